"""MetaSchedule with perfmodel's cost model: a matrix product for one core of this processor (docs/tvm.md).

python examples/tune_tvm.py --device epyc-7763 --trials 32
"""

import argparse
import tempfile

import tvm
from tvm import te
from tvm.s_tir import meta_schedule

from perfmodel.integrations.tvm import CostModel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="epyc-7763", help="the processor: an id of the catalogue, or a device TOML")
parser.add_argument("--mcpu", default="znver3", help="the same for LLVM")
parser.add_argument("--trials", type=int, default=32)
parser.add_argument("--size", type=int, default=256)
options = parser.parse_args()

n = options.size
a, b = te.placeholder((n, n), name="A"), te.placeholder((n, n), name="B")
k = te.reduce_axis((0, n), name="k")
c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
product = te.create_prim_func([a, b, c]).with_attr("global_symbol", "main")

if __name__ == "__main__":  # TVM's builder and runner start processes that import this file again
    with tempfile.TemporaryDirectory() as folder:
        database = meta_schedule.tune_tir(
            mod=tvm.IRModule({"main": product}),
            target=tvm.target.Target({"kind": "llvm", "mcpu": options.mcpu, "num-cores": 1}),
            work_dir=folder,
            max_trials_global=options.trials,
            num_trials_per_iter=8,
            cost_model=CostModel(options.device),
            # Scoring a schedule takes a few ms: a smaller population than TVM's 512 loses nothing that was seen.
            strategy=meta_schedule.search_strategy.EvolutionarySearch(population_size=128, genetic_num_iters=3),
            num_tuning_cores=1,
            seed=1,
        )
    times = [min(float(t) for t in r.run_secs) for r in database.get_all_tuning_records() if r.run_secs]
    ran = [t for t in times if t < 1e9]
    print(f"{len(ran)} schedules ran; the best: {1e3 * min(ran):.3f} ms, {2e-9 * n**3 / min(ran):.1f} GFLOP/s")

"""TVM's MetaSchedule on one core: perfmodel's cost model against TVM's own XGBoost model and random choice.

    python tests/bench/tvm_tuning.py record FILE [--workloads …] [--seeds 1,2] [--trials 128]   # random schedules, measured
    python tests/bench/tvm_tuning.py live FILE [--models ours,xgb] [--seeds 1,2,3]              # whole tuning runs
    python tests/bench/tvm_tuning.py table FILE                                                 # best after 32, 64, 128 trials
    python tests/bench/tvm_tuning.py retime FILE OUTPUT                                         # those, timed side by side
    python tests/bench/tvm_tuning.py fit FILE models/loop_nests/residual.json.gz                # trees, from workloads of TRAIN

Needs the extra `tvm` and xgboost. Results go to FILE, a JSON line a schedule, with the trace that makes it again. `retime`
makes the best of each run after 32, 64 and 128 trials once more and times them in turn, so that what else a machine does meets
all alike; `table OUTPUT` shows what it wrote.

`live` is MetaSchedule's evolutionary search over its own space, with its mutators and
post-processing; this file builds and times the candidates in its own process, and checks each result against the unscheduled
function's. Random is a replay of traces with new decisions. All strategies get the same settings and batches of eight. A time
is the least of several runs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TVM_NUM_THREADS", "1")

import numpy as np
import tvm
from tvm import te
from tvm.s_tir import meta_schedule
from tvm.s_tir.meta_schedule.cost_model import XGBModel
from tvm.s_tir.meta_schedule.database import MemoryDatabase, TuningRecord
from tvm.s_tir.meta_schedule.runner import RunnerResult
from tvm.s_tir.meta_schedule.search_strategy import EvolutionarySearch

from perfmodel.hardware.loader import load_device
from perfmodel.integrations.loop_nests import Core, program
from perfmodel.integrations.nest_learner import fit_prior
from perfmodel.integrations.tir import nests
from perfmodel.integrations.tvm import CostModel

DEVICE = "epyc-7763"
TARGET = tvm.target.Target({"kind": "llvm", "mcpu": "znver3", "num-cores": 1})
POPULATION = {"population_size": 128, "genetic_num_iters": 3}
"""A quarter of the default population: one core scores it, and schedules of small workloads are soon alike."""
BATCH = 8
AFTER = (32, 64, 128)
"""Trials after which searches are compared."""


def gemm(m: int, n: int, k: int) -> list[Any]:
    a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
    r = te.reduce_axis((0, k), name="k")
    return [a, b, te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")]


def conv(h: int, w: int, ci: int, co: int, kernel: int) -> list[Any]:
    """NHWC, padded, with a ReLU."""
    p = kernel // 2
    x, f = te.placeholder((1, h, w, ci), name="X"), te.placeholder((kernel, kernel, ci, co), name="W")
    padded = x
    if p:
        padded = te.compute(
            (1, h + 2 * p, w + 2 * p, ci),
            lambda b, i, j, c: te.if_then_else(
                te.all(i >= p, i < h + p, j >= p, j < w + p), x[b, i - p, j - p, c], 0.0
            ),
            name="pad",
        )
    ry, rx, rc = (
        te.reduce_axis((0, extent), name=name) for extent, name in ((kernel, "ry"), (kernel, "rx"), (ci, "rc"))
    )
    axes = [ry, rx, rc]
    y = te.compute(
        (1, h, w, co),
        lambda b, i, j, c: te.sum(padded[b, i + ry, j + rx, rc] * f[ry, rx, rc, c], axis=axes),
        name="conv",
    )
    return [x, f, te.compute(y.shape, lambda b, i, j, c: te.max(y[b, i, j, c], 0.0), name="relu")]


def mlp(m: int, d: int, h: int) -> list[Any]:
    """Two products with biases and a ReLU between."""
    x, w1, b1 = te.placeholder((m, d), name="X"), te.placeholder((d, h), name="W1"), te.placeholder((h,), name="B1")
    w2, b2 = te.placeholder((h, d), name="W2"), te.placeholder((d,), name="B2")
    k1, k2 = te.reduce_axis((0, d), name="k"), te.reduce_axis((0, h), name="k2")
    up = te.compute((m, h), lambda i, j: te.sum(x[i, k1] * w1[k1, j], axis=k1), name="up")
    z = te.compute((m, h), lambda i, j: te.max(up[i, j] + b1[j], 0.0), name="relu")
    down = te.compute((m, d), lambda i, j: te.sum(z[i, k2] * w2[k2, j], axis=k2), name="down")
    return [x, w1, b1, w2, b2, te.compute((m, d), lambda i, j: down[i, j] + b2[j], name="bias")]


JUDGED: dict[str, Callable[[], list[Any]]] = {
    "gemm_256": lambda: gemm(256, 256, 256),
    "gemm_32x512x512": lambda: gemm(32, 512, 512),
    "conv3x3_28x28x32": lambda: conv(28, 28, 32, 32, 3),
    "conv1x1_14x14x256": lambda: conv(14, 14, 256, 128, 1),
    "mlp_32x256x512": lambda: mlp(32, 256, 512),
}
TRAIN: dict[str, Callable[[], list[Any]]] = {
    "gemm_192x320x128": lambda: gemm(192, 320, 128),
    "gemm_128x256x512": lambda: gemm(128, 256, 512),
    "conv3x3_14x14x64": lambda: conv(14, 14, 64, 48, 3),
    "conv1x1_28x28x64": lambda: conv(28, 28, 64, 96, 1),
    "mlp_48x128x384": lambda: mlp(48, 128, 384),
}
"""Those that the shipped trees learned from; none is judged."""


def module(name: str) -> Any:
    function = te.create_prim_func({**JUDGED, **TRAIN}[name]())
    return tvm.IRModule({"main": function.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)})


class Measure:
    """Compiles and times a workload's schedules in this process."""

    def __init__(self, mod: Any) -> None:
        rng = np.random.default_rng(0)
        self._device = tvm.cpu(0)
        self._args = [
            tvm.runtime.tensor(rng.uniform(-1, 1, [int(x) for x in a.shape]).astype("float32"), self._device)
            for a in meta_schedule.arg_info.ArgInfo.from_prim_func(mod["main"])
        ]
        tvm.compile(mod, target=TARGET)["main"](*self._args)
        self._expected = self._args[-1].numpy().copy()

    def __call__(self, mod: Any) -> float:
        """Seconds; NaN where it does not compile or computes something else."""
        try:
            library = self.compiled(mod)
        except Exception:  # TVM raises many kinds for schedules that cannot be built
            return float("nan")
        if not np.allclose(self._args[-1].numpy(), self._expected, rtol=1e-3, atol=1e-3):
            return float("nan")
        first = self.timed(library, 2)
        return min(first, self.timed(library, int(np.clip(0.04 / first, 2, 20))))

    def compiled(self, mod: Any) -> Any:
        """A schedule's library, after it ran once."""
        library = tvm.compile(mod, target=TARGET).jit()
        library["main"](*self._args)
        return library

    def timed(self, library: Any, repeat: int) -> float:
        """Seconds, the least of some runs."""
        timed = library.time_evaluator("main", self._device, number=1, repeat=repeat)(*self._args)
        return min(float(t) for t in timed.results)


def context(mod: Any, seed: int, strategy: Any) -> Any:
    return meta_schedule.TuneContext(
        mod=mod, target=TARGET, space_generator="post-order-apply", search_strategy=strategy, num_threads=1, rand_state=seed
    )  # fmt: skip


def random_schedules(mod: Any, seed: int, trials: int) -> list[Any]:
    ctx = context(mod, seed, "replay-trace")
    ctx.pre_tuning(max_trials=trials, num_trials_per_iter=trials, design_spaces=ctx.generate_design_space())
    return list(ctx.generate_measure_candidates())


def tune(name: str, model: Any, seed: int, trials: int, batch: int = BATCH) -> tuple[list[float], list[Any], float]:
    """Seconds of the schedules that a cost model had measured, in order, with their traces; and the seconds of searching."""
    np.random.seed(seed)  # noqa: NPY002 - what TVM's model warms up with
    mod = module(name)
    ctx = context(mod, seed, EvolutionarySearch(**POPULATION))
    database = MemoryDatabase()
    workload = database.commit_workload(mod)
    args = meta_schedule.arg_info.ArgInfo.from_prim_func(mod["main"])
    ctx.pre_tuning(
        max_trials=trials, num_trials_per_iter=batch, design_spaces=ctx.generate_design_space(), database=database,
        cost_model=model,
    )  # fmt: skip
    measure, searching = Measure(mod), 0.0
    times: list[float] = []
    traces: list[Any] = []
    while len(times) < trials:
        start = time.perf_counter()
        candidates = ctx.generate_measure_candidates()
        searching += time.perf_counter() - start
        if not candidates:
            break
        measured = [measure(c.sch.mod) for c in candidates]
        times += measured
        results = [RunnerResult([t], None) if t == t else RunnerResult(None, "failed") for t in measured]
        for candidate, seconds in zip(candidates, measured, strict=True):
            kept = [seconds if seconds == seconds else 1e10]
            database.commit_tuning_record(TuningRecord(candidate.sch.trace, workload, kept, TARGET, args))
        start = time.perf_counter()
        model.update(ctx, candidates, results)
        searching += time.perf_counter() - start
        ctx.notify_runner_results(candidates, results)
        traces += [c.sch.trace for c in candidates]
    return times, traces, searching


MODELS: dict[str, tuple[Callable[[], Any], int, int]] = {
    "ours": (lambda: CostModel(DEVICE), 32, BATCH),
    "ours4": (lambda: CostModel(DEVICE), 32, 4),
    "ours64": (lambda: CostModel(DEVICE), 64, BATCH),
    "physics": (lambda: CostModel(DEVICE, prior=None), 32, BATCH),
    "xgb": (lambda: XGBModel(num_tuning_cores=1), 128, BATCH),
    "xgb16": (lambda: XGBModel(num_tuning_cores=1, num_warmup_samples=16), 128, BATCH),
}
"""Cost models, trials, and the size of a batch. TVM's model answers at random until it has seen 100 schedules; `xgb16` lets it
start after 16."""


def record(file: Path, names: Sequence[str], seeds: Sequence[int], trials: int) -> None:
    for seed in seeds:
        for name in names:
            mod = module(name)
            measure = Measure(mod)
            with file.open("a") as out:
                for candidate in random_schedules(mod, seed, trials):
                    seconds = measure(candidate.sch.mod)
                    line = {
                        "w": name,
                        "kind": "random",
                        "seed": seed,
                        "times": [seconds],
                        "trace": plain(candidate.sch.trace),
                    }
                    out.write(json.dumps(line) + "\n")
            print(name, seed, flush=True)


def plain(trace: Any) -> Any:
    """A trace as plain JSON."""

    def value(node: Any) -> Any:
        if hasattr(node, "value"):
            return float(node.value) if "Float" in type(node).__name__ else int(node.value)
        return list(node)

    return json.loads(json.dumps(trace.as_json(), default=value))


def fit(file: Path, output: Path) -> None:
    core = Core.of(load_device(DEVICE))
    programs: dict[str, tuple[list[Any], list[float]]] = {}
    for text in file.read_text().splitlines():
        line = json.loads(text)
        if line["w"] not in TRAIN or "trace" not in line:
            continue
        schedule = tvm.s_tir.Schedule(module(line["w"]))
        tvm.s_tir.schedule.Trace.apply_json_to_schedule(line["trace"], schedule)
        of, times = programs.setdefault(line["w"], ([], []))
        of.append(program(nests(schedule.mod), core))
        times.append(min(line["times"]) if line["times"] else float("nan"))
    trees = fit_prior([(of, np.array(times)) for of, times in programs.values()])
    output.write_bytes(gzip.compress(trees, 9, mtime=0))
    print({name: len(times) for name, (_, times) in programs.items()}, output.stat().st_size, "bytes")


def live(file: Path, names: Sequence[str], kinds: Sequence[str], seeds: Sequence[int]) -> None:
    for seed in seeds:
        for name in names:
            for kind in kinds:
                make, trials, batch = MODELS[kind]
                times, traces, searching = tune(name, make(), seed, trials, batch)
                with file.open("a") as out:
                    for seconds, trace in zip(times, traces, strict=True):
                        line = {"w": name, "kind": kind, "seed": seed, "times": [seconds], "trace": plain(trace)}
                        out.write(json.dumps(line) + "\n")
                print(
                    f"{name:18} {kind:8} {seed:3} {1e3 * np.nanmin(times):8.4f} ms, search {searching:.0f} s",
                    flush=True,
                )


def bests(file: Path) -> dict[str, dict[str, list[tuple[str, int, int]]]]:
    """By workload and trace (as JSON): the runs of which it was the best after so many trials."""
    runs: dict[tuple[str, str, int], list[tuple[float, str]]] = {}
    for text in file.read_text().splitlines():
        line = json.loads(text)
        if "trace" in line:
            seconds = line["times"][0]
            own = runs.setdefault((line["w"], line["kind"], line["seed"]), [])
            own.append((float("inf") if seconds is None or seconds != seconds else seconds, json.dumps(line["trace"])))
    found: dict[str, dict[str, list[tuple[str, int, int]]]] = {}
    for (name, kind, seed), own in runs.items():
        for trials in AFTER:
            if len(own) >= trials:
                trace = min(own[:trials])[1]
                found.setdefault(name, {}).setdefault(trace, []).append((kind, seed, trials))
    return found


def retime(file: Path, output: Path, rounds: int = 15) -> None:
    with output.open("a") as out:
        for name, traces in bests(file).items():
            mod = module(name)
            measure = Measure(mod)
            libraries = {}
            for trace in traces:
                schedule = tvm.s_tir.Schedule(mod)
                tvm.s_tir.schedule.Trace.apply_json_to_schedule(json.loads(trace), schedule)
                libraries[trace] = measure.compiled(schedule.mod)
            seconds = dict.fromkeys(libraries, float("inf"))
            for _ in range(rounds):
                for trace, library in libraries.items():
                    seconds[trace] = min(seconds[trace], measure.timed(library, 5))
            for trace, of in traces.items():
                for kind, seed, trials in of:
                    line = {"w": name, "kind": kind, "seed": seed, "after": trials, "times": [seconds[trace]]}
                    out.write(json.dumps(line) + "\n")
            print(name, len(libraries), "schedules", flush=True)


def table(file: Path) -> None:
    """Milliseconds of the best so far, the median over seeds; and ours after 32 over the better of the others after 128."""
    runs: dict[tuple[str, str, int], list[float]] = {}
    retimed: dict[tuple[str, str, int], dict[int, float]] = {}
    for text in file.read_text().splitlines():
        line = json.loads(text)
        key = (line["w"], line["kind"], line["seed"])
        best = [t if t is not None else float("nan") for t in line["times"]]
        if "after" in line:
            runs.setdefault(key, [])
            retimed.setdefault(key, {})[line["after"]] = min(best)
            continue
        runs.setdefault(key, []).extend([min(best)] if line["kind"] == "random" and best else best)
    at = {key: {n: float(np.nanmin(times[:n])) for n in AFTER if len(times) >= n} for key, times in runs.items()}
    at |= retimed
    kinds = sorted({kind for _, kind, _ in runs})
    print("| ms after 32 / 64 / 128 trials |", " | ".join(kinds), "|")
    print("|---" * (len(kinds) + 1) + "|")
    ratios = []
    for name in JUDGED:
        cells, last = [], {}
        for kind in kinds:
            mine = [of for (w, k, _), of in at.items() if (w, k) == (name, kind)]
            after = {n: float(np.median([of[n] for of in mine])) for n in AFTER if mine and all(n in of for of in mine)}
            cells.append(" / ".join(f"{1e3 * v:.3f}" for v in after.values()) or "–")
            last[kind] = after
        others = [last[k][128] for k in kinds if not k.startswith(("ours", "physics")) and 128 in last[k]]
        if others and 32 in last.get("ours", {}):
            ratios.append(last["ours"][32] / min(others))
        print(f"| {name} |", " | ".join(cells), "|")
    if ratios:
        print(
            f"ours after 32 / the better of the others after 128: {np.round(ratios, 3)}, median {np.median(ratios):.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "fit", "live", "table", "retime"))
    parser.add_argument("file", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--workloads", default=",".join(JUDGED))
    parser.add_argument("--models", default="ours,xgb,xgb16")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--trials", type=int, default=128)
    given = parser.parse_args()
    logging.disable(logging.INFO)
    names, seeds = given.workloads.split(","), [int(s) for s in given.seeds.split(",")]
    if given.what == "record":
        record(given.file, names, seeds, given.trials)
    elif given.what == "fit":
        fit(given.file, given.output)
    elif given.what == "retime":
        retime(given.file, given.output)
    elif given.what == "live":
        live(given.file, names, given.models.split(","), seeds)
    else:
        table(given.file)


if __name__ == "__main__":
    main()

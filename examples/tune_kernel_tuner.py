"""Kernel Tuner with perfmodel's strategy: a GEMM or a stencil in C, compiled by gcc and timed on one core of this processor.

    python examples/tune_kernel_tuner.py gemm --device epyc-7763 --measurements 40

docs/kernel-tuner.md explains it. `--strategy brute_force` measures everything that there is.
"""

import argparse
import os
from pathlib import Path

import kernel_tuner
import numpy as np

import perfmodel
from perfmodel.integrations.kernel_tuner import Strategy

HERE = Path(__file__).parent
FLAGS = ["-O3", "-march=native", "-ffast-math", "--param=max-completely-peeled-insns=2000"]
SIZE = {"gemm": 256, "stencil": 512}
PARAMETERS = {
    "gemm": {
        "tile_m": [16, 64, 256], "tile_n": [32, 64, 256], "tile_k": [64, 256], "inner_m": [1, 2, 4, 8],
        "inner_n": [8, 16, 32], "vector": [4, 8], "unroll": [1, 4],
    },
    "stencil": {
        "tile_h": [8, 64, 512], "tile_w": [32, 512], "inner_h": [1, 2, 4, 8], "inner_w": [4, 8, 16, 32], "vector": [4, 8],
        "unroll": [1, 3, 9],
    },
}  # fmt: skip
RESTRICTIONS = {
    "gemm": ["inner_m <= tile_m", "inner_n <= tile_n", "inner_n % vector == 0"],
    "stencil": ["inner_h <= tile_h", "inner_w <= tile_w", "inner_w % vector == 0"],
}


def problem(kernel):
    """What the kernel computes, and what its parameters mean."""
    n = SIZE[kernel]
    if kernel == "gemm":
        return perfmodel.Gemm(m=n, n=n, k=n, dtype="fp32"), "cpu_blocked_gemm"
    stencil = perfmodel.Conv(batch=1, h=n + 2, w=n + 2, c_in=1, c_out=1, kernel_h=3, kernel_w=3, dtype="fp32")
    return stencil, HERE / "stencil.toml"


def arguments(kernel):
    """The kernel's arguments, and what the last one should hold afterwards."""
    n, rng = SIZE[kernel], np.random.default_rng(0)
    result = np.zeros((n, n), np.float32)
    if kernel == "gemm":
        a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
        return [a, b, result], a @ b
    x, taps = rng.standard_normal((n + 2, n + 2), dtype=np.float32), rng.standard_normal(9, dtype=np.float32)
    return [x, taps, result], sum(taps[t] * x[t // 3 : t // 3 + n, t % 3 : t % 3 + n] for t in range(9))


def tune(kernel, strategy, measurements=None, cache=None, **options):
    """Runs Kernel Tuner; the results, one a configuration that was measured, `time` in ms."""
    given, expected = arguments(kernel)
    results, _ = kernel_tuner.tune_kernel(
        kernel, str(HERE / f"{kernel}.c"), 1, given, PARAMETERS[kernel], restrictions=RESTRICTIONS[kernel], lang="C",
        compiler="gcc", compiler_options=FLAGS, answer=[None, None, expected], atol=1e-2, iterations=1,
        strategy=strategy, strategy_options={"max_fevals": measurements} if measurements else {}, cache=cache, quiet=True,
        **options,
    )  # fmt: skip
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", choices=PARAMETERS)
    parser.add_argument("--device", default="epyc-7763", help="the processor: an id of the catalogue, or a device TOML")
    parser.add_argument("--measurements", type=int, default=40)
    parser.add_argument("--strategy", default="perfmodel", help="perfmodel, or one of Kernel Tuner's")
    parser.add_argument("--cache", help="Kernel Tuner's file of results, which a later run goes on from")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, so that times are of the same one
    op, space = problem(options.kernel)
    own = options.strategy == "perfmodel"
    results = tune(
        options.kernel, Strategy(op, options.device, space=space) if own else options.strategy,
        None if options.strategy == "brute_force" else options.measurements, options.cache,
    )  # fmt: skip
    ran = [r for r in results if isinstance(r["time"], float)]
    best = min(ran, key=lambda r: r["time"])
    print(f"{len(results)} measured; the best: {best['time']:.3f} ms")
    print({name: best[name] for name in PARAMETERS[options.kernel]})

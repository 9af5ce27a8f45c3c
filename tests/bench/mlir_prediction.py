"""Prints how long a compiler waits for a prediction of a live module: of one operator, and of about 2,000 operations.

    python tests/bench/mlir_prediction.py

Needs jax, for live modules. Times are of this process alone (CPU time), the best of several runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

import perfmodel
from perfmodel.features.fusion import fuse
from perfmodel.features.mlir import read, read_mlir
from perfmodel.hardware import load_device


def best(run: Callable[[], Any], times: int) -> float:
    """Milliseconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found) * 1e3


def product(size: int) -> Any:
    """One matrix product."""
    x = jnp.zeros((size, size), jnp.bfloat16)
    return jax.jit(lambda a, b: a @ b).lower(x, x).compiler_ir("stablehlo")


def chain(length: int) -> Any:
    """Products, activations and additions, about three operations and two constants each."""

    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        for _ in range(length):
            x = jnp.maximum(x @ w, 0) + 1.0
        return x

    x = jnp.zeros((128, 128))
    return jax.jit(run).lower(x, x).compiler_ir("stablehlo")


def main() -> None:
    """Print the table."""
    for name in ("default", "analytical"):
        print(f"\n{name}: milliseconds")
        for label, milliseconds in rows(perfmodel.load(name)):
            print(f"  {label:32s} {milliseconds:8.2f}")


def rows(predictor: Any) -> Iterator[tuple[str, float]]:
    """(what, milliseconds) for one predictor."""
    device = load_device("h100-sxm")

    def predict(model: Any, fusion: str = "engine") -> None:
        perfmodel.predict(model, device, predictor=predictor, fusion=fusion)

    new = iter([product(size) for size in range(64, 64 + 8 * 12, 8)])
    again = product(32)
    predict(again)
    yield "one operator, new each time", best(lambda: predict(next(new)), 10)
    yield "one operator, met before", best(lambda: predict(again), 50)
    module = chain(285)
    predict(module)
    yield f"{sum(1 for _ in read(module).walk())} operations", best(lambda: predict(module), 15)
    read_module, graph = read(module), read_mlir(module)
    fused = fuse(graph)
    yield "  reading", best(lambda: read(module), 15)
    yield "  to a graph", best(lambda: read_mlir(read_module), 15)
    yield "  fusion", best(lambda: fuse(graph), 15)
    yield "  prediction and composition", best(lambda: predict(fused, "none"), 15)


if __name__ == "__main__":
    main()

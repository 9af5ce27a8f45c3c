"""Matrix products and convolutions: what ONNX Runtime and numpy sustain on one thread.

Weights are initialisers, as in models: the runtime packs them once, when the session is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from perfmodel.collect.microbenchmarks.sessions import NodeSpec, call
from perfmodel.collect.microbenchmarks.timing import Benchmark, Work

N = 768
"""Of square products: the width of many transformers; 0.9 GFLOP, and three matrices of 2.4 MB in fp32."""
SMALL_M = (1, 4, 16)
SMALL_N = 512
"""Of products with few rows: 1 MB of weights each in fp32."""
SMALL_CHAINS = (1, 4)
"""Products with few rows run in two chains, whose difference is free of the time of a run; their weights stay in cache."""
STREAMED_N = 4096
"""Of the product with one row whose weights come from memory: 64 MB in fp32."""
CHANNELS, IMAGE = 64, 56
"""Of convolutions: a stage of ResNet-50."""
CHAIN = 4
"""Convolutions in a row, so that the change of layout around them counts little."""
DEPTHWISE_CHANNELS = 192

_DTYPES: dict[str, Any] = {"fp32": np.float32, "fp64": np.float64, "fp16": np.float16}


def _values(shape: tuple[int, ...], dtype: str = "fp32") -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32).astype(_DTYPES[dtype], copy=False)


def benchmarks(arithmetics: Sequence[str]) -> list[Benchmark]:
    """The products.

    Args:
        arithmetics: what the instruction set computes natively; of narrow floats only those are measured.
    """
    square = 2.0 * N**3
    found = [
        _rate("gemm.onnxruntime.fp32_flops", f"MatMul {N}x{N}x{N} fp32", square, partial(_matmul, "fp32", N, N)),
        _rate("gemm.onnxruntime.fp64_flops", f"MatMul {N}x{N}x{N} fp64", square, partial(_matmul, "fp64", N, N)),
        _rate("gemm.onnxruntime.int8_flops", f"MatMulInteger {N}x{N}x{N} u8 x s8", square, partial(_integer, N, N)),
        _rate("gemm.numpy.fp32_flops", f"matmul {N}x{N}x{N} fp32", square, partial(_numpy, "fp32"), "numpy"),
        _rate("gemm.numpy.fp64_flops", f"matmul {N}x{N}x{N} fp64", square, partial(_numpy, "fp64"), "numpy"),
    ]
    if "fp16" in arithmetics:
        how = f"MatMul {N}x{N}x{N} fp16"
        found.append(_rate("gemm.onnxruntime.fp16_flops", how, square, partial(_matmul, "fp16", N, N)))
    for m in SMALL_M:
        how = f"onnxruntime MatMul {m}x{SMALL_N}x{SMALL_N} fp32, chains of {SMALL_CHAINS[0]} and {SMALL_CHAINS[1]}"
        name = f"gemm.onnxruntime.fp32_m{m}_flops"
        found.append(Benchmark(name, how, partial(_chains, m), partial(_between, 2.0 * m * SMALL_N**2)))
    for name, works in (("fp32_m1_flops", partial(_matmul, "fp32", 1, STREAMED_N)),
                        ("int8_m1_flops", partial(_integer, 1, STREAMED_N))):  # fmt: skip
        how = f"1x{STREAMED_N}x{STREAMED_N} {name[:4]}, weights from memory"
        found.append(_rate(f"gemv.onnxruntime.{name}", how, 2.0 * STREAMED_N**2, works))
    pixels, dense = float(IMAGE**2), 2.0 * CHANNELS**2 * CHAIN
    found += [
        _rate("conv.onnxruntime.fp32_3x3_flops", f"{CHAIN} x Conv 3x3 {CHANNELS}>{CHANNELS} {IMAGE}x{IMAGE}",
              dense * 9 * pixels, partial(_convolutions, CHANNELS, 3, 1)),
        _rate("conv.onnxruntime.fp32_1x1_flops", f"{CHAIN} x Conv 1x1 {4 * CHANNELS}>{4 * CHANNELS} {IMAGE}x{IMAGE}",
              dense * 16 * pixels, partial(_convolutions, 4 * CHANNELS, 1, 1)),
        _rate("conv.onnxruntime.fp32_depthwise_flops", f"{CHAIN} x Conv 3x3 depthwise, {DEPTHWISE_CHANNELS} channels",
              2.0 * CHAIN * DEPTHWISE_CHANNELS * 9 * pixels,
              partial(_convolutions, DEPTHWISE_CHANNELS, 3, DEPTHWISE_CHANNELS)),
    ]  # fmt: skip
    return found


def _rate(name: str, how: str, flops: float, work: Callable[[], Work], software: str = "onnxruntime") -> Benchmark:
    return Benchmark(name, f"{software} {how}", lambda: [work()], lambda seconds: flops / seconds[0])


def _matmul(dtype: str, m: int, n: int) -> Work:
    return call(
        [("MatMul", ["a", "b"], ["c"], {})], {"a": _values((m, n), dtype)}, ["c"], {"b": _values((n, n), dtype)}
    )


def _chains(m: int) -> list[Work]:
    weights = _values((SMALL_N, SMALL_N)) / np.float32(SMALL_N**0.5)
    found: list[Work] = []
    for length in SMALL_CHAINS:
        nodes: list[NodeSpec] = [("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"], {}) for i in range(length)]
        held = {f"w{i}": weights for i in range(length)}
        found.append(call(nodes, {"x0": _values((m, SMALL_N))}, [f"x{length}"], held))
    return found


def _between(flops: float, seconds: Sequence[float]) -> float | None:
    taken = seconds[1] - seconds[0]
    return flops * (SMALL_CHAINS[1] - SMALL_CHAINS[0]) / taken if taken > 0 else None


def _integer(m: int, n: int) -> Work:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 255, (m, n), dtype=np.uint8)
    b = rng.integers(-64, 64, (n, n), dtype=np.int8)
    zero = np.array(128, dtype=np.uint8)
    return call([("MatMulInteger", ["a", "b", "z"], ["c"], {})], {"a": a}, ["c"], {"b": b, "z": zero})


def _numpy(dtype: str) -> Work:
    a = _values((N, N), dtype)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


def _convolutions(channels: int, kernel: int, groups: int) -> Work:
    x = _values((1, channels, IMAGE, IMAGE))
    # Small weights: what comes out of the last one is neither huge nor denormal.
    weight = _values((channels, channels // groups, kernel, kernel)) / np.float32(kernel * (channels / groups) ** 0.5)
    weights = {f"w{i}": weight for i in range(CHAIN)}
    attributes = {"kernel_shape": [kernel, kernel], "pads": [kernel // 2] * 4, "group": groups}
    nodes: list[NodeSpec] = [("Conv", [f"x{i}", f"w{i}"], [f"x{i + 1}"], attributes) for i in range(CHAIN)]
    return call(nodes, {"x0": x}, [f"x{CHAIN}"], weights)

"""Matrix products as networks have them: layers of encoders and decoders, heads of attention, classifiers, in 32 and 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from perfmodel.collect.sweeps.builder import Builder, int64
from perfmodel.collect.sweeps.convolutions import activation, dequantised

_WIDTHS = (
    32,
    48,
    64,
    96,
    120,
    128,
    160,
    192,
    256,
    256,
    312,
    384,
    384,
    400,
    512,
    512,
    640,
    768,
    768,
    1024,
    1536,
    2048,
    3072,
)


def _tokens(b: Builder, flops: float, k: int, n: int, most: int = 4096) -> int:
    """Rows of a product of about so many FLOPs; one row, as in a decoder, is common."""
    if b.chance(0.25):
        return b.one_of(1, 1, 1, 2, 4, 8)
    return max(1, min(int(flops / (2.0 * k * n)), most))


def linear(b: Builder, flops: float) -> None:
    """MatMul or Gemm with a bias and an activation; perhaps a second one."""
    k, n = b.one_of(*_WIDTHS), b.one_of(*_WIDTHS)
    if b.chance(0.15):
        k, n = b.between(8, 2000), b.between(2, 2000)
    m = _tokens(b, flops, k, n)
    kind = b.one_of("relu", "gelu", "gelu", "none", "none", "tanh", "sigmoid", "silu", "leaky")
    if b.chance(0.4):
        x = b.input(m, k)
        y = (
            b.op("Gemm", x, b.weight(n, k), b.weight(n), transB=1)
            if b.chance(0.7)
            else b.op("Gemm", x, b.weight(k, n), b.weight(n))
        )
        y = activation(b, y, kind)
    else:
        x = b.input(1, m, k)
        y = b.op("MatMul", x, b.weight(k, n))
        if b.chance(0.8):
            y = b.op("Add", y, b.weight(n))
        y = activation(b, y, kind)
    b.count(2.0 * m * k * n)
    b.output(y)


def feed_forward(b: Builder, flops: float) -> None:
    """Norm, two products with an activation between, residual and norm: half an encoder layer."""
    width = b.one_of(*_WIDTHS[3:18])
    wide = width * b.one_of(2, 4, 4)
    m = _tokens(b, flops, width, 2 * wide)
    x = b.input(1, m, width)
    b.count(4.0 * m * width * wide)
    y = norm(b, x, width) if b.chance(0.5) else x
    kind = b.one_of("gelu", "gelu", "relu", "silu")
    y = b.op("Add", b.op("MatMul", y, b.weight(width, wide)), b.weight(wide))
    y = activation(b, y, kind)
    y = b.op("Add", b.op("MatMul", y, b.weight(wide, width)), b.weight(width))
    y = b.op("Add", y, x)
    b.output(norm(b, y, width))


def norm(b: Builder, x: str, width: int) -> str:
    """A layer norm, as one operator or written out; or the form without a mean."""
    form = b.one_of("operator", "written", "root-mean-square")
    if form == "operator":
        return b.op("LayerNormalization", x, b.positive(width), b.weight(width, scale=0.1), axis=-1, epsilon=1e-5)
    two, small = b.constant(np.float32(2)), b.constant(np.float32(1e-5))
    if form == "written":
        centred = b.op("Sub", x, b.op("ReduceMean", x, axes=[-1]))
        spread = b.op("Sqrt", b.op("Add", b.op("ReduceMean", b.op("Pow", centred, two), axes=[-1]), small))
        return b.op("Add", b.op("Mul", b.op("Div", centred, spread), b.positive(width)), b.weight(width, scale=0.1))
    spread = b.op("Sqrt", b.op("Add", b.op("ReduceMean", b.op("Pow", x, two), axes=[-1]), small))
    return b.op("Mul", b.op("Div", x, spread), b.positive(width))


def attention(b: Builder, flops: float) -> None:
    """Heads written out: products, splits into heads, scores, softmax, the way back."""
    heads, size = b.one_of(1, 2, 4, 6, 8, 12), b.one_of(16, 32, 40, 64, 64, 64)
    width = heads * size
    # 8 m width² of the four products and 4 m² width of the scores.
    m = max(1, min(int((width**2 + flops / (4.0 * width)) ** 0.5 - width), 1500))
    b.count(8.0 * m * width**2 + 4.0 * m**2 * width)
    x = b.input(1, m, width)
    shape = int64(b, [0, 0, heads, size])

    def headed(perm: list[int]) -> str:
        y = b.op("MatMul", x, b.weight(width, width))
        if b.chance(0.7):
            y = b.op("Add", y, b.weight(width))
        return b.op("Transpose", b.op("Reshape", y, shape), perm=perm)

    q, k, v = headed([0, 2, 1, 3]), headed([0, 2, 3, 1]), headed([0, 2, 1, 3])
    scores = b.op("MatMul", q, k)
    scale = b.constant(np.float32(size**-0.5))
    scores = b.op("Mul", scores, scale) if b.chance(0.5) else b.op("Div", scores, b.constant(np.float32(size**0.5)))
    if b.chance(0.4):
        scores = b.op("Add", scores, b.weight(1, 1, m, m))
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), int64(b, [0, 0, width]))
    y = b.op("Add", b.op("MatMul", y, b.weight(width, width)), b.weight(width))
    y = b.op("Add", x, y)
    b.output(norm(b, y, width) if b.chance(0.6) else y)


def batched(b: Builder, flops: float) -> None:
    """A product of two values that are computed, by batches."""
    batch = b.one_of(1, 2, 4, 8, 12, 16)
    m, n, k = (b.between(1, 512) for _ in range(3))
    shrink = min(1.0, (flops / (2.0 * batch * m * n * k)) ** (1 / 3))
    m, n, k = (max(1, int(d * shrink)) for d in (m, n, k))
    x, y = b.input(batch, m, k), b.input(batch, k, n)
    b.count(2.0 * batch * m * n * k)
    b.output(b.op("MatMul", x, y))


def integers(b: Builder, flops: float) -> None:
    """Dynamically quantised products, as ONNX Runtime's tools write them; one quantised operand may serve several."""
    k, n = b.one_of(*_WIDTHS), b.one_of(*_WIDTHS)
    m = _tokens(b, flops, k, n)
    readers = b.one_of(1, 1, 2, 3)
    m = max(1, m // readers)
    x = b.input(1, m, k)
    q, scale, zero = b.ops("DynamicQuantizeLinear", x, results=3)
    kind = b.one_of("uint8", "int8", "int8")
    for number in range(readers):
        y = b.op("MatMulInteger", q, b.weight(k, n, kind=kind), zero, b.constant(np.zeros((), dtype=kind)))
        # Of equal factors the runtime would make one, which keeps it from fusing each with its product.
        factor = b.constant(np.float32(0.01 + 0.001 * number))
        y = b.op("Mul", b.op("Cast", y, to=1), b.op("Mul", scale, factor))
        if b.chance(0.7):
            y = b.op("Add", y, b.weight(n, scale=0.1))
        b.count(2.0 * m * n * k)
        b.output(activation(b, y, b.one_of("none", "none", "gelu", "relu", "silu")))


def quantised(b: Builder, flops: float) -> None:
    """Statically quantised products between quantise and dequantise nodes."""
    k, n = b.one_of(*_WIDTHS), b.one_of(*_WIDTHS)
    m = _tokens(b, flops, k, n)
    kinds = b.one_of(("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8"))
    x = b.input(1, m, k) if b.chance(0.7) else b.input(m, k)
    zero = b.constant(np.array(0 if kinds[1] == "int8" else 128, dtype=kinds[1]))
    weight = b.op("DequantizeLinear", b.weight(k, n, kind=kinds[1]), b.constant(np.float32(0.01)), zero)
    y = b.op("MatMul", dequantised(b, x, kinds[0]), weight)
    b.count(2.0 * m * n * k)
    y = dequantised(b, y, kinds[0])
    if b.chance(0.5):
        y = dequantised(b, b.op("Add", y, b.weight(n, scale=0.1)), kinds[0])
    if b.chance(0.3):
        y = dequantised(b, b.op("Softmax", y, axis=-1), kinds[0], scale=1 / 256)
    b.output(y)


def embedded(b: Builder, flops: float) -> None:
    """Rows of a table by indices, with a norm."""
    width, rows = b.one_of(*_WIDTHS[:18]), b.between(50, 30000)
    rows = min(rows, 20_000_000 // width)
    m = max(1, min(int(flops / 200.0 / width), 4096))
    ids = b.input(1, m, kind="int64")
    y = b.op("Gather", b.weight(rows, width), ids)
    b.count(8.0 * m * width)
    b.output(norm(b, y, width) if b.chance(0.5) else y)


CHAINS: dict[str, tuple[Callable[[Builder, float], Any], float]] = {
    "linear": (linear, 2.0),
    "feed-forward": (feed_forward, 1.0),
    "attention": (attention, 1.2),
    "batched": (batched, 0.6),
    "matmul-integer": (integers, 1.5),
    "matmul-quantised": (quantised, 1.0),
    "embedded": (embedded, 0.4),
}

"""What moves or changes elements: functions, broadcasts, reductions, transposes, slices, spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from perfmodel.collect.sweeps.builder import Builder, int64

_BYTES_PER_FLOP = 0.2
"""Elements' bytes that take about as long as one FLOP of a product: budgets are in FLOPs."""


_MOST_ELEMENTS = 3_000_000
"""Activations of more than 12 MB are rare in networks, and take seconds to be made."""


def _elements(b: Builder, flops: float) -> int:
    return max(1, min(int(flops * _BYTES_PER_FLOP / 8), _MOST_ELEMENTS))


def _shape(b: Builder, elements: int, least: int = 1, most: int = 4) -> tuple[int, ...]:
    """A shape of about so many elements."""
    rank = int(b.rng.integers(least, most + 1))
    shape: list[int] = []
    left = max(elements, 1)
    for axis in range(rank - 1, 0, -1):
        size = min(left, b.between(1, max(1.0, left ** (1.6 / (axis + 1)))))
        shape.append(max(1, size))
        left = max(1, left // max(1, size))
    shape.append(left)
    order = b.rng.permutation(len(shape))
    return tuple(shape[int(i)] for i in order)


_UNARY = (
    "Relu", "Sigmoid", "Tanh", "Sqrt", "Exp", "Log", "Erf", "Neg", "Abs", "Floor", "Reciprocal", "Clip", "LeakyRelu",
    "Cast", "Identity", "Sin", "Cos", "Softplus",
)  # fmt: skip
_BINARY = ("Add", "Add", "Add", "Mul", "Mul", "Mul", "Sub", "Sub", "Div", "Div", "Pow", "Max", "Min")


def functions(b: Builder, flops: float) -> None:
    """Functions of one or two operands, one after the other: equal shapes, a row, a column, or one number."""
    shape = _shape(b, _elements(b, flops))
    count = int(np.prod(shape))
    x = b.input(*shape)
    for _ in range(int(b.rng.integers(1, 5))):
        if b.chance(0.45):
            x = _unary(b, x)
        else:
            x = b.op(b.one_of(*_BINARY), *_operands(b, x, shape))
        b.count(count * 8 / _BYTES_PER_FLOP)
    b.output(x)


def _unary(b: Builder, x: str) -> str:
    kind = b.one_of(*_UNARY)
    if kind == "Clip":
        return b.op("Clip", x, b.constant(np.float32(-1)), b.constant(np.float32(1)))
    if kind == "Cast":
        return b.op("Cast", b.op("Cast", x, to=b.one_of(6, 7, 9)), to=1)
    return b.op(kind, x)


def _operands(b: Builder, x: str, shape: tuple[int, ...]) -> tuple[str, str]:
    form = b.one_of("same", "same", "number", "number", "row", "column", "channel")
    if form == "number":
        return x, b.constant(np.float32(b.rng.uniform(0.5, 2.0)))
    if form == "row":
        return x, b.positive(shape[-1])
    if form == "column":
        return x, b.positive(*shape[:-1], 1)
    if form == "channel" and len(shape) > 2:
        return x, b.positive(1, shape[1], *[1] * (len(shape) - 2))
    return x, b.input(*shape)


def choices(b: Builder, flops: float) -> None:
    """Comparisons, and values chosen by them."""
    shape = _shape(b, _elements(b, flops))
    x, y = b.input(*shape), b.input(*shape)
    test = b.op(b.one_of("Less", "Greater", "Equal"), x, y if b.chance(0.5) else b.constant(np.float32(0)))
    if b.chance(0.4):
        test = b.op("Not", test)
    b.count(int(np.prod(shape)) * 16 / _BYTES_PER_FLOP)
    b.output(b.op("Where", test, x, y if b.chance(0.5) else b.constant(np.float32(-1e9))))


def gates(b: Builder, flops: float) -> None:
    """SiLU and GELU of a value that is kept, as activations that follow no product; GELU of a value and its bias,
    too, which the runtime fuses by themselves where a product's rows are open."""
    shape = _shape(b, _elements(b, flops) // 2, 2)
    x = b.input(*shape)
    kind = b.one_of("silu", "gelu", "tanh-gelu", "silu-product")
    b.count(int(np.prod(shape)) * 16 / _BYTES_PER_FLOP)
    if kind == "tanh-gelu":
        cube = b.op("Pow", x, b.constant(np.float32(3)))
        inner = b.op("Add", x, b.op("Mul", cube, b.constant(np.float32(0.044715))))
        inner = b.op("Tanh", b.op("Mul", inner, b.constant(np.float32(0.7978845608))))
        y = b.op("Mul", b.op("Mul", x, b.constant(np.float32(0.5))), b.op("Add", inner, b.constant(np.float32(1))))
    else:
        from perfmodel.collect.sweeps.convolutions import activation

        if kind == "gelu" and b.chance(0.6):
            x = b.op("Add", x, b.weight(shape[-1], scale=0.1))
        y = activation(b, x, "gelu" if kind == "gelu" else "silu")
        if kind == "silu-product":
            y = b.op("Mul", y, b.input(*shape))
    b.output(y)


def reductions(b: Builder, flops: float) -> None:
    """Sums, means and greatest values along the last axis, another, or several; softmax; norms."""
    shape = _shape(b, _elements(b, flops), 2)
    x = b.input(*shape)
    b.count(int(np.prod(shape)) * 8 / _BYTES_PER_FLOP)
    kind = b.one_of(
        "ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2", "Softmax", "Softmax",
        "LogSoftmax", "LayerNormalization", "LayerNormalization", "ArgMax", "CumSum", "InstanceNormalization",
    )  # fmt: skip
    axis = b.one_of(-1, -1, -1, 0, len(shape) // 2)
    axis = axis % len(shape)
    if kind in ("Softmax", "LogSoftmax"):
        b.output(b.op(kind, x, axis=axis))
    elif kind == "LayerNormalization":
        b.output(b.op(kind, x, b.positive(shape[-1]), b.weight(shape[-1]), axis=-1))
    elif kind == "ArgMax":
        b.output(b.op(kind, x, axis=axis), "int64")
    elif kind == "CumSum":
        b.output(b.op(kind, x, b.constant(np.int64(axis))))
    elif kind == "InstanceNormalization" and len(shape) > 2:
        b.output(b.op(kind, x, b.positive(shape[1]), b.weight(shape[1])))
    else:
        kind = "ReduceMean" if kind == "InstanceNormalization" else kind
        axes = [axis] if b.chance(0.7) else sorted({axis, len(shape) - 1})
        keep = b.one_of(0, 1)
        if kind == "ReduceSum":
            b.output(b.op(kind, x, int64(b, axes), keepdims=keep))
        else:
            b.output(b.op(kind, x, axes=axes, keepdims=keep))


def movements(b: Builder, flops: float) -> None:
    """Transposes, joins, splits, slices, padding, expansion, gathers and scatters."""
    shape = _shape(b, _elements(b, flops), 2)
    rank, count = len(shape), int(np.prod(shape))
    x = b.input(*shape)
    b.count(count * 8 / _BYTES_PER_FLOP)
    kind = b.one_of(
        "transpose", "transpose", "transpose", "concat", "concat", "split", "slice", "slice", "strided", "pad", "expand",
        "tile", "gather", "gather-elements", "scatter", "depth", "resize", "identity",
    )  # fmt: skip
    axis = int(b.rng.integers(rank))
    if kind == "transpose":
        perm = [int(i) for i in b.rng.permutation(rank)]
        b.output(b.op("Transpose", x, perm=perm))
    elif kind == "concat":
        parts = [x, *(b.input(*shape) for _ in range(b.one_of(1, 1, 2, 3)))]
        b.output(b.op("Concat", *parts, axis=axis))
    elif kind == "split" and shape[axis] > 1:
        first = shape[axis] // 2
        left, right = b.ops("Split", x, int64(b, [first, shape[axis] - first]), results=2, axis=axis)
        b.output(left)
        b.output(right)
    elif kind in ("slice", "strided"):
        step = 2 if kind == "strided" else 1
        end = max(1, shape[axis] - b.one_of(0, 1, shape[axis] // 4) if step == 2 else shape[axis] - shape[axis] // 3)
        b.output(b.op("Slice", x, int64(b, [0]), int64(b, [end]), int64(b, [axis]), int64(b, [step])))
    elif kind == "pad":
        pads = [b.one_of(0, 1, 3) for _ in range(2 * rank)]
        mode = b.one_of("constant", "constant", "reflect") if min(shape) > 4 else "constant"
        b.output(b.op("Pad", x, int64(b, pads), mode=mode))
    elif kind == "expand":
        b.output(b.op("Expand", b.op("ReduceMax", x, axes=[axis]), int64(b, shape)))
    elif kind == "tile":
        b.output(b.op("Tile", x, int64(b, [1] * (rank - 1) + [2])))
    elif kind == "gather":
        ids = b.constant(b.rng.integers(0, shape[axis], max(1, shape[axis] // 2)).astype(np.int64))
        b.output(b.op("Gather", x, ids, axis=axis))
    elif kind == "gather-elements":
        ids = b.constant(b.rng.integers(0, shape[axis], shape).astype(np.int64))
        b.output(b.op("GatherElements", x, ids, axis=axis))
    elif kind == "scatter":
        rows = max(1, shape[0] // 2)
        ids = b.constant(b.rng.permutation(shape[0])[:rows].astype(np.int64)[:, None])
        b.output(b.op("ScatterND", x, ids, b.input(rows, *shape[1:])))
    elif kind == "depth":
        side = max(2, int((count / 4) ** 0.5) // 2 * 2)
        b.output(b.op(b.one_of("SpaceToDepth", "DepthToSpace"), b.input(1, 4, side, side), blocksize=2))
    elif kind == "resize":
        channels, side = b.one_of(1, 3, 16, 64), 0
        side = max(2, int((count / 4 / channels) ** 0.5))
        scales = b.constant(np.array([1, 1, 2, 2], np.float32))
        mode = b.one_of("nearest", "linear", "cubic")
        b.output(b.op("Resize", b.input(1, channels, side, side), "", scales, mode=mode))
    else:
        b.output(b.op("Identity", x))


def quantising(b: Builder, flops: float) -> None:
    """Conversions to 8 bits and back, of one scale or measured."""
    shape = _shape(b, _elements(b, flops), 2)
    x = b.input(*shape)
    b.count(int(np.prod(shape)) * 6 / _BYTES_PER_FLOP)
    if b.chance(0.5):
        q, _, _ = b.ops("DynamicQuantizeLinear", x, results=3)
        b.output(q, "uint8")
        return
    kind = b.one_of("uint8", "int8")
    zero = b.constant(np.zeros((), dtype=kind))
    q = b.op("QuantizeLinear", x, b.constant(np.float32(0.02)), zero)
    b.output(q, kind)
    b.output(b.op("DequantizeLinear", b.input(*shape, kind=kind), b.constant(np.float32(0.02)), zero))


def spectra(b: Builder, flops: float) -> None:
    """Short-time Fourier transforms of windows that are a power of two, and of others, which are computed otherwise."""
    window = b.one_of(160, 256, 320, 400, 400, 512, 512)
    step = window // b.one_of(2, 4)
    # Measured on one core: n log n of a power of two takes about 20 FLOPs' time an element and stage, others three times.
    stages = 8.0 if window & (window - 1) == 0 else 24.0
    frames = int(max(1, min(flops / (window * stages * 20.0), 1500)))
    x = b.input(1, window + step * (frames - 1), 1)
    y = b.op("STFT", x, b.constant(np.int64(step)), b.constant(np.hanning(window).astype(np.float32)), onesided=1)
    b.count(frames * window * stages * 20.0)
    b.output(y)


CHAINS: dict[str, tuple[Callable[[Builder, float], Any], float]] = {
    "functions": (functions, 2.0),
    "choices": (choices, 0.5),
    "gates": (gates, 0.8),
    "reductions": (reductions, 1.2),
    "movements": (movements, 2.0),
    "quantising": (quantising, 0.5),
    "spectra": (spectra, 0.4),
}

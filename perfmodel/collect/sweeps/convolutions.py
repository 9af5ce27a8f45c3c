"""Chains of convolutions: with batch norms, activations and residuals, separable ones, pools, along one axis, quantised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.collect.sweeps.builder import Builder, int64


@dataclass(frozen=True)
class Image:
    """A value with channels and one or two axes of space."""

    name: str
    batch: int
    channels: int
    space: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """``[batch, channels, *space]``."""
        return (self.batch, self.channels, *self.space)

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))


def image(b: Builder, flops: float, *, axes: int = 2) -> Image:
    """An input whose size fits convolutions of about so many FLOPs.

    Half of them by their extent, as feature maps of networks have it, with the channels that are left; half by their
    channels, with the places that are left: the last layers, and squeezes of one place.
    """
    # A convolution of 3 x 3 from C to C channels over P places has 18 C² P FLOPs.
    if b.chance(0.5):
        extent = b.between(3, 112) ** 2 if axes == 2 else b.between(8, 3000)
        left = min(max(int((flops / (18.0 * extent)) ** 0.5), 4), 1024)
        channels = b.channels(max(3, left // 2), left)
    else:
        channels = b.channels(3, 512)
        if b.chance(0.15):
            channels = b.one_of(1, 3)
    places = max(1.0, min(flops / (18.0 * channels**2), 1.2e6 / channels))
    if axes == 1:
        return _frames(b, channels, places)
    side = max(1, round(places**0.5))
    ratio = b.one_of(1.0, 1.0, 1.0, 0.25, 0.15, 4.0)
    space = (max(1, int(side * ratio**0.5)), max(1, int(side / ratio**0.5)))
    return Image("", b.one_of(1, 1, 1, 1, 1, 2, 4), channels, space)


def _frames(b: Builder, channels: int, places: float) -> Image:
    """Places in a row; a quarter of the time cut into frames of a few places each, as voice detectors have them.

    The runtime multiplies each image of a batch by itself, with vectors along its places: few of them fill no vector.
    """
    length = max(4, int(places))
    if length < 16 or not b.chance(0.25):
        return Image("", 1, channels, (length,))
    frame = b.one_of(1, 2, 3, 4, 5, 8, 12, 20)
    return Image("", max(1, min(length // frame, 200)), channels, (frame,))


def fed(b: Builder, value: Image) -> Image:
    """The value as an input of the model."""
    return Image(b.input(*value.shape), value.batch, value.channels, value.space)


def conv(
    b: Builder,
    x: Image,
    c_out: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> Image:
    """A convolution that keeps the extent (divided by its stride)."""
    axes = len(x.space)
    pad = dilation * (kernel - 1) // 2
    weight = b.weight(c_out, x.channels // groups, *[kernel] * axes)
    inputs = [x.name, weight, *([b.weight(c_out, scale=0.1)] if bias else [])]
    out = b.op(
        "Conv", *inputs, kernel_shape=[kernel] * axes, strides=[stride] * axes, pads=[pad] * (2 * axes), group=groups,
        dilations=[dilation] * axes,
    )  # fmt: skip
    space = tuple((s + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for s in x.space)
    y = Image(out, x.batch, c_out, space)
    b.count(2.0 * y.elements * x.channels // groups * kernel**axes)
    return y


def activated(b: Builder, x: Image, kind: str | None = None) -> Image:
    """An activation as the exporters write it."""
    kind = kind or b.one_of(
        "relu", "relu", "relu", "silu", "silu", "clip", "hard_swish", "leaky", "sigmoid", "tanh", "none"
    )
    return Image(activation(b, x.name, kind), x.batch, x.channels, x.space)


def activation(b: Builder, x: str, kind: str) -> str:
    """The same of any value."""
    if kind == "relu":
        return b.op("Relu", x)
    if kind == "silu":
        return b.op("Mul", x, b.op("Sigmoid", x))
    if kind == "clip":
        return b.op("Clip", x, b.constant(np.float32(0)), b.constant(np.float32(6)))
    if kind == "hard_swish":
        return b.op("Mul", x, b.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    if kind == "leaky":
        return b.op("LeakyRelu", x, alpha=0.1)
    if kind == "sigmoid":
        return b.op("Sigmoid", x)
    if kind == "tanh":
        return b.op("Tanh", x)
    if kind == "gelu":
        half = b.op("Erf", b.op("Div", x, b.constant(np.float32(2**0.5))))
        return b.op("Mul", b.op("Mul", x, b.op("Add", half, b.constant(np.float32(1)))), b.constant(np.float32(0.5)))
    return x


def normed(b: Builder, x: Image) -> Image:
    """A batch norm, which the runtime folds into the convolution before it."""
    n = x.channels
    scale, var = b.positive(n), b.positive(n)
    out = b.op("BatchNormalization", x.name, scale, b.weight(n, scale=0.1), b.weight(n, scale=0.1), var)
    return Image(out, x.batch, x.channels, x.space)


def _wider(b: Builder, x: Image, flops: float, kernel: int) -> int:
    """Channels of the result, near those of the operand, within the budget."""
    drawn = b.channels(max(4, x.channels // 4), max(16, 4 * x.channels))
    per_channel = 2.0 * x.elements * kernel ** len(x.space)
    return int(max(1, min(drawn, max(4.0, flops / per_channel))))


def standard(b: Builder, flops: float) -> None:
    """Convolution, batch norm, activation; perhaps a second one with a residual, as in ResNets."""
    x = fed(b, image(b, flops))
    kernel = b.one_of(1, 1, 1, 3, 3, 3, 5, 7)
    kernel = min(kernel, *(2 * s - 1 for s in x.space))
    stride = b.one_of(1, 1, 1, 2) if min(x.space) > 2 else 1
    y = conv(b, x, _wider(b, x, flops, kernel), kernel, stride=stride, bias=b.chance(0.6))
    if b.chance(0.4):
        y = normed(b, y)
    y = activated(b, y)
    if b.chance(0.4):
        z = conv(b, y, y.channels, 1 if b.chance(0.5) or min(y.space) < 3 else 3)
        z = Image(b.op("Add", z.name, y.name), z.batch, z.channels, z.space)
        y = activated(b, z, b.one_of("relu", "none", "silu"))
    if b.chance(0.15):
        y = pooled(b, y)
    b.output(y.name)


def pooled(b: Builder, x: Image) -> Image:
    """A pool of 2 x 2 or 3 x 3, or over everything."""
    if min(x.space) < 4 or b.chance(0.4):
        kind = b.one_of("GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool")
        return Image(b.op(kind, x.name), x.batch, x.channels, (1,) * len(x.space))
    kernel = b.one_of(2, 2, 3)
    axes = len(x.space)
    kind = b.one_of("MaxPool", "MaxPool", "AveragePool")
    out = b.op(kind, x.name, kernel_shape=[kernel] * axes, strides=[2] * axes)
    return Image(out, x.batch, x.channels, tuple((s - kernel) // 2 + 1 for s in x.space))


def separable(b: Builder, flops: float) -> None:
    """Expansion by 1 x 1, a depthwise convolution, squeeze and excitation, projection: inverted residuals."""
    x = fed(b, image(b, flops))
    wide = x.channels * b.one_of(1, 2, 4, 6)
    kind = b.one_of("relu", "clip", "silu", "hard_swish")
    y = x
    if b.chance(0.6):
        y = activated(b, conv(b, x, wide, 1), kind)
    kernel = min(b.one_of(3, 3, 3, 5, 7), *(2 * s - 1 for s in y.space))
    stride = b.one_of(1, 1, 2) if min(y.space) > 2 else 1
    y = activated(b, conv(b, y, y.channels, kernel, stride=stride, groups=y.channels), kind)
    if b.chance(0.4):
        gate = Image(b.op("GlobalAveragePool", y.name), y.batch, y.channels, (1, 1))
        gate = activated(b, conv(b, gate, max(1, y.channels // 4), 1), "relu")
        gate = activated(b, conv(b, gate, y.channels, 1), "sigmoid")
        y = Image(b.op("Mul", y.name, gate.name), y.batch, y.channels, y.space)
    z = conv(b, y, x.channels, 1)
    if z.shape == x.shape and b.chance(0.7):
        z = Image(b.op("Add", z.name, x.name), z.batch, z.channels, z.space)
    b.output(z.name)


def branching(b: Builder, flops: float) -> None:
    """Two branches that are joined, upsampled or shuffled: CSP blocks and feature pyramids."""
    x = fed(b, image(b, flops / 3))
    kind = b.one_of("relu", "silu", "leaky")
    left = activated(b, conv(b, x, max(1, x.channels // 2), 1), kind)
    right = activated(b, conv(b, x, max(1, x.channels // 2), 3 if min(x.space) > 2 else 1), kind)
    y = Image(b.op("Concat", left.name, right.name, axis=1), x.batch, 2 * left.channels, x.space)
    if b.chance(0.3):
        scales = b.constant(np.array([1, 1, 2, 2], np.float32))
        mode = b.one_of("nearest", "nearest", "linear")
        y = Image(
            b.op("Resize", y.name, "", scales, mode=mode, coordinate_transformation_mode="asymmetric"),
            y.batch, y.channels, (2 * y.space[0], 2 * y.space[1]),
        )  # fmt: skip
    elif b.chance(0.3):
        parts = b.ops("Split", y.name, int64(b, [left.channels, left.channels]), results=2, axis=1)
        b.output(parts[1])
        y = Image(parts[0], y.batch, left.channels, y.space)
    y = activated(b, conv(b, y, x.channels, b.one_of(1, 3) if min(y.space) > 2 else 1), kind)
    b.output(y.name)


def along_time(b: Builder, flops: float) -> None:
    """Convolutions along one axis: speech and audio, wide windows with a stride among them."""
    if b.chance(0.3):  # a bank of filters over samples
        window, filters = b.one_of(128, 256, 400, 512, 1024), b.one_of(66, 80, 128, 201, 258, 402, 514)
        hop = b.one_of(64, 128, 160)
        batch, steps = _windows(b, flops / (2.0 * window * filters), 3000)
        x = fed(b, Image("", batch, 1, (window + hop * (steps - 1),)))
        bank = b.op("Conv", x.name, b.weight(filters, 1, window), kernel_shape=[window], strides=[hop])
        b.count(2.0 * window * filters * steps * batch)
        b.output(activation(b, bank, b.one_of("none", "relu")))
        return
    x = fed(b, image(b, flops, axes=1))
    kernel = min(b.one_of(1, 3, 3, 5, 9, 15), 2 * x.space[0] - 1)
    depthwise = b.chance(0.25)
    c_out = x.channels if depthwise else _wider(b, x, flops, kernel)
    y = conv(b, x, c_out, kernel, stride=b.one_of(1, 1, 2), groups=x.channels if depthwise else 1)
    y = activated(b, y, b.one_of("relu", "gelu", "silu", "none"))
    if b.chance(0.3):
        y = Image(b.op("Transpose", y.name, perm=[0, 2, 1]), y.batch, y.channels, y.space)
    b.output(y.name)


def _windows(b: Builder, steps: float, most: int) -> tuple[int, int]:
    """A batch and the windows of each: all in one, or, a quarter of the time, a few windows of many pieces of sound."""
    count = max(1, min(int(steps), most))
    if count < 8 or not b.chance(0.25):
        return 1, count
    few = b.between(2, 8)
    return max(1, min(count // few, 100)), few


def strips(b: Builder, flops: float) -> None:
    """Convolutions over time and frequency: long windows in one axis, odd channels, padding written out."""
    channels, height, width = b.one_of(1, 8, 16, 32), b.between(16, 400), b.between(16, 300)
    kernel = (b.one_of(1, 3, 5, 7, 39), b.one_of(1, 3, 5))
    c_out = b.one_of(1, 8, 16, 32, 64)
    per_place = 2.0 * channels * c_out * kernel[0] * kernel[1]
    shrink = min(1.0, (flops / (per_place * height * width)) ** 0.5)
    height, width = max(kernel[0], int(height * shrink)), max(kernel[1], int(width * shrink))
    x = b.input(1, channels, height, width)
    if b.chance(0.4):
        x = b.op("Pad", x, int64(b, [0, 0, kernel[0] // 2, kernel[1] // 2] * 2))
        pads = [0, 0, 0, 0]
    else:
        pads = [kernel[0] // 2, kernel[1] // 2] * 2
    y = b.op("Conv", x, b.weight(c_out, channels, *kernel), b.weight(c_out), kernel_shape=list(kernel), pads=pads)
    b.count(per_place * height * width)
    y = activation(b, y, b.one_of("relu", "none", "sigmoid", "leaky"))
    wide_enough = min(height + pads[0] * 2 - kernel[0], width + pads[1] * 2 - kernel[1]) > 0
    b.output(b.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]) if wide_enough and b.chance(0.3) else y)


def transposed(b: Builder, flops: float) -> None:
    """A transposed convolution that doubles the extent."""
    x = fed(b, image(b, flops / 8))
    c_out = max(1, x.channels // b.one_of(1, 2, 4))
    kernel = b.one_of(2, 2, 4)
    y = b.op(
        "ConvTranspose", x.name, b.weight(x.channels, c_out, kernel, kernel), b.weight(c_out),
        kernel_shape=[kernel, kernel], strides=[2, 2], pads=[(kernel - 2) // 2] * 4,
    )  # fmt: skip
    b.count(2.0 * x.elements * c_out * kernel**2)
    b.output(activation(b, y, b.one_of("relu", "sigmoid", "none")))


def integers(b: Builder, flops: float) -> None:
    """A dynamically quantised convolution, as ONNX Runtime's tools write it: ConvInteger and two factors; along one axis
    it is another code, several times slower."""
    axes = 1 if b.chance(0.3) else 2
    if axes == 1 and b.chance(0.4):  # a bank of filters over samples
        kernel, hop = b.one_of(128, 256, 400, 512), b.one_of(64, 128, 160)
        c_out = b.one_of(66, 128, 201, 258, 402)
        batch, steps = _windows(b, flops / (2.0 * kernel * c_out), 1000)
        x = fed(b, Image("", batch, 1, (kernel + hop * (steps - 1),)))
        pad, stride, groups = 0, hop, 1
    else:
        x = fed(b, image(b, flops, axes=axes))
        kernel = min(b.one_of(1, 1, 3, 3, 5), *(2 * s - 1 for s in x.space))
        depthwise = b.chance(0.2)
        groups = x.channels if depthwise else 1
        c_out = x.channels if depthwise else _wider(b, x, flops, kernel)
        pad, stride = (kernel - 1) // 2, b.one_of(1, 1, 1, 2)
    q, scale, zero = b.ops("DynamicQuantizeLinear", x.name, results=3)
    y = b.op(
        "ConvInteger", q, b.weight(c_out, x.channels // groups, *[kernel] * axes, kind="uint8"), zero,
        b.constant(np.uint8(128)), kernel_shape=[kernel] * axes, pads=[pad] * (2 * axes), group=groups,
        strides=[stride] * axes,
    )  # fmt: skip
    b.count(2.0 * x.elements / stride**axes * c_out / groups * kernel**axes)
    y = b.op("Cast", y, to=1)
    y = b.op("Mul", y, b.op("Mul", scale, b.constant(np.array([0.01], np.float32))))
    y = b.op("Add", y, b.weight(1, c_out, *[1] * axes, scale=0.1))
    b.output(activation(b, y, b.one_of("relu", "silu", "none")))


def quantised(b: Builder, flops: float) -> None:
    """A statically quantised convolution: quantise and dequantise nodes, which the runtime makes a QLinearConv of."""
    drawn = image(b, flops)
    if drawn.channels < 8 and b.chance(0.7):  # only the first layers of networks are as narrow
        drawn = Image("", 1, b.channels(8, 64), (b.between(2, 16),) * 2)
        flops = max(flops, 18.0 * drawn.channels * drawn.elements)
    x = fed(b, drawn)
    kernel = min(b.one_of(1, 1, 3, 3, 5), *(2 * s - 1 for s in x.space))
    depthwise = b.chance(0.3)
    groups = x.channels if depthwise else 1
    c_out = x.channels if depthwise else _wider(b, x, flops, kernel)
    kinds = b.one_of(("uint8", "int8"), ("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8"))
    y = dequantised(b, x.name, kinds[0])
    weight = _dequantised_weight(b, (c_out, x.channels // groups, kernel, kernel), kinds[1])
    pad, stride = (kernel - 1) // 2, b.one_of(1, 1, 1, 2)
    bias = b.op(
        "DequantizeLinear", b.constant(b.rng.integers(-99, 99, c_out).astype(np.int32)),
        b.constant(np.float32(0.02 * 0.01)), b.constant(np.int32(0)),
    )  # fmt: skip
    y = b.op("Conv", y, weight, bias, kernel_shape=[kernel] * 2, pads=[pad] * 4, group=groups, strides=[stride] * 2)
    b.count(2.0 * x.elements / stride**2 * c_out / groups * kernel**2)
    y = dequantised(b, activation(b, y, b.one_of("relu", "none")), kinds[0])
    if b.chance(0.4):
        y = dequantised(b, b.op(b.one_of("Add", "Mul"), y, y), kinds[0])
    if b.chance(0.3):
        y = dequantised(b, b.op("Sigmoid", y), kinds[0])
    b.output(y)


def dequantised(b: Builder, x: str, kind: str, scale: float = 0.02) -> str:
    """A value that goes through 8 bits."""
    zero = b.constant(np.array(128 if kind == "uint8" else 0, dtype=kind))
    factor = b.constant(np.float32(scale))
    return b.op("DequantizeLinear", b.op("QuantizeLinear", x, factor, zero), factor, zero)


def _dequantised_weight(b: Builder, shape: tuple[int, ...], kind: str) -> str:
    zero = b.constant(np.array(128 if kind == "uint8" else 0, dtype=kind))
    return b.op("DequantizeLinear", b.weight(*shape, kind=kind), b.constant(np.float32(0.01)), zero)


CHAINS: dict[str, tuple[Callable[[Builder, float], Any], float]] = {
    "conv": (standard, 3.0),
    "separable": (separable, 2.0),
    "branching": (branching, 1.0),
    "along-time": (along_time, 1.2),
    "strips": (strips, 0.8),
    "transposed": (transposed, 0.3),
    "conv-integer": (integers, 1.6),
    "conv-quantised": (quantised, 2.4),
}
"""By name, the chain and how often it is drawn among its kind."""

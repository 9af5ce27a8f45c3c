"""Families of sliding windows: convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.generator.products import draw_formats, slow
from perfmodel.collect.iree.generator.reductions import LOWEST
from perfmodel.collect.iree.generator.registry import Parameters, family
from perfmodel.collect.iree.generator.scalars import ACTIVATIONS
from perfmodel.collect.iree.generator.text import AXES, Function, Scalars, Value, is_float


def padded(f: Function, x: Value, axes: Sequence[int], by: int, value: float = 0.0) -> Value:
    """The tensor with ``by`` elements more on both sides of some axes."""
    if by == 0:
        return x
    amount = ", ".join(str(by if axis in axes else 0) for axis in range(x.rank))
    shape = [extent + (2 * by if axis in axes else 0) for axis, extent in enumerate(x.shape)]
    indices = ", ".join(f"%p{axis}: index" for axis in range(x.rank))
    scalar = f.constant(value, x.dtype)
    result = Value("", tuple(shape), x.dtype)
    return f.op(
        f"tensor.pad {x.name} low[{amount}] high[{amount}] {{\n  ^bb0({indices}):\n    tensor.yield {scalar} : {x.dtype}\n"
        f"  }} : {x.type} to {result.type}",
        shape,
        x.dtype,
    )


def _attributes(stride: int, dilation: int, axes: int = 2) -> str:
    return f"{{dilations = dense<{dilation}> : tensor<{axes}xi64>, strides = dense<{stride}> : tensor<{axes}xi64>}}"


def out_extent(extent: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Extent of the result of a window; below 1 where none fits."""
    return (extent + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1


def _draw_convolution(draw: Draw) -> Parameters:
    kernel = draw.choice((1, 3, 5, 7), (4, 8, 1, 1))
    size = draw.extent(4, 64)
    return {
        "batch": draw.choice((1, 1, 1, 2, 4)),
        "size": max(size, kernel),
        "c_in": draw.choice((3, draw.extent(4, 256)), (1, 5)),
        "c_out": draw.extent(4, 256),
        "kernel": kernel,
        "stride": draw.choice((1, 2), (4, 1)),
        "dilation": draw.choice((1, 2), (9, 1)) if kernel == 3 else 1,
        "pad": kernel // 2 if draw.chance(0.7) else 0,
        "bias": draw.chance(0.6),
        "activation": draw.choice(("none", "relu", "clip", "silu", "hard_swish"), (3, 4, 1, 1, 1)),
        **draw_formats(draw),
    }


def _out_size(p: Parameters) -> int:
    return out_extent(p["size"], p["kernel"], p["stride"], p["dilation"], p["pad"])


def _convolution_work(p: Parameters) -> float:
    per_element = 2.0 * p["kernel"] ** 2 * p.get("c_in", 1) * slow(p)
    return p["batch"] * float(max(_out_size(p), 0)) ** 2 * p["c_out"] * per_element


def biased(f: Function, x: Value, bias: Value | None, axis: int, activation: str) -> Value:
    """A bias a channel and an activation; x itself without either."""
    if bias is None and activation == "none":
        return x
    names = AXES[: x.rank]
    extras = [] if bias is None else [(bias, names[axis])]

    def body(s: Scalars, given: list[str]) -> str:
        value = given[0] if bias is None else s.binary("add", given[0], given[1])
        if activation == "none":
            return value
        if not is_float(x.dtype):
            return s.binary("max", value, s.constant(0, x.dtype))
        return ACTIVATIONS[activation](s, value)

    return f.generic([(x, names), *extras], [(f.empty(x.shape, x.dtype), names)], names, body)[0]


@family("conv_nchw", draw=_draw_convolution, work=_convolution_work, small=3e5, large=6e7)
def conv_nchw(p: Parameters) -> str:
    """A convolution of images whose channels come first."""
    f = Function()
    x = f.argument((p["batch"], p["c_in"], p["size"], p["size"]), p["dtype"])
    w = f.argument((p["c_out"], p["c_in"], p["kernel"], p["kernel"]), p["dtype"])
    bias = f.argument((p["c_out"],), p["accumulator"]) if p["bias"] else None
    out = _out_size(p)
    into = f.filled((p["batch"], p["c_out"], out, out), p["accumulator"])
    x = padded(f, x, (2, 3), p["pad"])
    y = f.named("conv_2d_nchw_fchw", [x, w], into, _attributes(p["stride"], p["dilation"]))
    return f.text(biased(f, y, bias, 1, p["activation"]))


@family("conv_nhwc", draw=_draw_convolution, work=_convolution_work, small=3e5, large=6e7)
def conv_nhwc(p: Parameters) -> str:
    """A convolution of images whose channels come last."""
    f = Function()
    x = f.argument((p["batch"], p["size"], p["size"], p["c_in"]), p["dtype"])
    w = f.argument((p["kernel"], p["kernel"], p["c_in"], p["c_out"]), p["dtype"])
    bias = f.argument((p["c_out"],), p["accumulator"]) if p["bias"] else None
    out = _out_size(p)
    into = f.filled((p["batch"], out, out, p["c_out"]), p["accumulator"])
    x = padded(f, x, (1, 2), p["pad"])
    y = f.named("conv_2d_nhwc_hwcf", [x, w], into, _attributes(p["stride"], p["dilation"]))
    return f.text(biased(f, y, bias, 3, p["activation"]))


def _draw_depthwise(draw: Draw) -> Parameters:
    p = _draw_convolution(draw)
    del p["c_in"]
    return {**p, "kernel": draw.choice((3, 5, 7), (6, 2, 1)), "dilation": 1, "layout": draw.choice(("nhwc", "nchw"))}


@family("conv_depthwise", draw=_draw_depthwise, work=_convolution_work, small=2e5, large=3e7)
def conv_depthwise(p: Parameters) -> str:
    """A convolution of each channel with a filter of its own."""
    f = Function()
    n, s, c, k, out = p["batch"], p["size"], p["c_out"], p["kernel"], _out_size(p)
    last = p["layout"] == "nhwc"
    x = f.argument((n, s, s, c) if last else (n, c, s, s), p["dtype"])
    w = f.argument((k, k, c) if last else (c, k, k), p["dtype"])
    bias = f.argument((c,), p["accumulator"]) if p["bias"] else None
    into = f.filled((n, out, out, c) if last else (n, c, out, out), p["accumulator"])
    x = padded(f, x, (1, 2) if last else (2, 3), p["pad"])
    op = "depthwise_conv_2d_nhwc_hwc" if last else "depthwise_conv_2d_nchw_chw"
    y = f.named(op, [x, w], into, _attributes(p["stride"], 1))
    return f.text(biased(f, y, bias, 3 if last else 1, p["activation"]))


def _draw_conv1d(draw: Draw) -> Parameters:
    return {
        "batch": draw.choice((1, 1, 2)),
        "length": draw.extent(16, 4096),
        "c_in": draw.choice((1, draw.extent(4, 128)), (1, 4)),
        "c_out": draw.extent(4, 128),
        "kernel": draw.choice((3, 5, 9, 16)),
        "stride": draw.choice((1, 2, 4), (4, 1, 1)),
        "layout": draw.choice(("nwc", "ncw")),
        **draw_formats(draw),
    }


@family(
    "conv_1d",
    draw=_draw_conv1d,
    work=lambda p: 2.0 * p["batch"] * p["length"] / p["stride"] * p["c_in"] * p["c_out"] * p["kernel"] * slow(p),
    small=2e5,
    large=5e7,
    weight=0.7,
)
def conv_1d(p: Parameters) -> str:
    """A convolution along one axis, as of sound."""
    f = Function()
    n, c, o, k = p["batch"], p["c_in"], p["c_out"], p["kernel"]
    out = out_extent(p["length"], k, p["stride"], 1, 0)
    if p["layout"] == "nwc":
        x, w = f.argument((n, p["length"], c), p["dtype"]), f.argument((k, c, o), p["dtype"])
        op, shape = "conv_1d_nwc_wcf", (n, out, o)
    else:
        x, w = f.argument((n, c, p["length"]), p["dtype"]), f.argument((o, c, k), p["dtype"])
        op, shape = "conv_1d_ncw_fcw", (n, o, out)
    return f.text(f.named(op, [x, w], f.filled(shape, p["accumulator"]), _attributes(p["stride"], 1, 1)))


def _draw_pool(draw: Draw) -> Parameters:
    return {
        "batch": draw.choice((1, 1, 2, 4)),
        "size": draw.extent(8, 112),
        "channels": draw.extent(4, 256),
        "kernel": draw.choice((2, 3, 5, 7), (4, 4, 1, 1)),
        "stride": draw.choice((1, 2, 3), (2, 5, 1)),
        "kind": draw.choice(("max", "sum")),
        "layout": draw.choice(("nhwc", "nchw")),
        "dtype": draw.choice(("f32", "f16", "bf16"), (8, 1, 1)),
        "dilation": 1,
        "pad": 0,
    }


@family(
    "pool",
    draw=_draw_pool,
    work=lambda p: p["batch"] * float(max(_out_size(p), 0)) ** 2 * p["channels"] * p["kernel"] ** 2
    * (1.0 if p["dtype"] == "f32" else 4.0),
    small=1e5,
    large=1e7,
)  # fmt: skip
def pool(p: Parameters) -> str:
    """The maximum or the mean of windows."""
    f = Function()
    n, s, c, k, out = p["batch"], p["size"], p["channels"], p["kernel"], _out_size(p)
    last = p["layout"] == "nhwc"
    x = f.argument((n, s, s, c) if last else (n, c, s, s), p["dtype"])
    window = f.empty((k, k), p["dtype"])
    start = LOWEST[p["dtype"]] if p["kind"] == "max" else 0.0
    into = f.filled((n, out, out, c) if last else (n, c, out, out), p["dtype"], start)
    y = f.named(f"pooling_{p['layout']}_{p['kind']}", [x, window], into, _attributes(p["stride"], 1))
    if p["kind"] == "sum":
        y = f.map([y], lambda b, given: b.binary("mul", given[0], b.constant(1.0 / k**2, y.dtype)))
    return f.text(y)


def _draw_stencil(draw: Draw) -> Parameters:
    return {
        "rows": draw.extent(8, 1024),
        "cols": draw.extent(16, 1024),
        "points": draw.choice((3, 5, 9)),
        "dtype": draw.choice(("f32", "f64", "f16"), (6, 2, 1)),
    }


@family("stencil", draw=_draw_stencil, work=lambda p: 2.0 * p["rows"] * p["cols"] * p["points"], small=1e5, large=1e7,
        weight=0.7)  # fmt: skip
def stencil(p: Parameters) -> str:
    """A weighted sum of each element's neighbours, from shifted slices, as of finite differences."""
    f = Function()
    rows, cols, dtype = p["rows"], p["cols"], p["dtype"]
    x = f.argument((rows + 2, cols + 2), dtype)
    places = {
        3: [(1, 0), (1, 1), (1, 2)],
        5: [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)],
        9: [(i, j) for i in range(3) for j in range(3)],
    }[p["points"]]
    shifted = [
        f.op(f"tensor.extract_slice {x.name}[{i}, {j}] [{rows}, {cols}] [1, 1] : {x.type} to tensor<{rows}x{cols}x{dtype}>",
             (rows, cols), dtype)
        for i, j in places
    ]  # fmt: skip

    def body(s: Scalars, given: list[str]) -> str:
        total = s.binary("mul", given[0], s.constant(0.5, dtype))
        for number, other in enumerate(given[1:-1], start=1):
            total = s.binary("add", total, s.binary("mul", other, s.constant(0.5 / (number + 1), dtype)))
        return total

    return f.text(f.map(shifted, body))

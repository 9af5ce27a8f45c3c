"""Families of whole blocks of networks, which become several dispatches."""

from __future__ import annotations

from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.generator.products import product
from perfmodel.collect.iree.generator.reductions import normalised, softmax_of
from perfmodel.collect.iree.generator.registry import Parameters, family
from perfmodel.collect.iree.generator.scalars import ACTIVATIONS
from perfmodel.collect.iree.generator.text import AXES, Function, Scalars, Value
from perfmodel.collect.iree.generator.windows import biased, padded

_DTYPES = ("f32", "f16", "bf16")
_WEIGHTS = (8, 1, 1)


def _cost(p: Parameters) -> float:
    return 1.0 if p["dtype"] == "f32" else 6.0


def _draw_attention(draw: Draw) -> Parameters:
    queries = draw.choice((1, draw.extent(4, 256)), (1, 3))
    return {
        "heads": draw.whole(1, 16),
        "queries": queries,
        "keys": draw.extent(8, 512) if queries == 1 or draw.chance(0.2) else queries,
        "head_dim": draw.choice((16, 32, 40, 64, 80, 128)),
        "mask": draw.chance(0.4),
        "dtype": draw.choice(_DTYPES, _WEIGHTS),
    }


def _attention_work(p: Parameters) -> float:
    scores = p["heads"] * p["queries"] * p["keys"]
    return scores * (4.0 * p["head_dim"] * _cost(p) + 20)


@family("attention", draw=_draw_attention, work=_attention_work, small=4e5, large=8e7, weight=1.3)
def attention(p: Parameters) -> str:
    """softmax(Q Kᵀ / sqrt d + mask) V by heads."""
    f = Function()
    h, m, n, d, dtype = p["heads"], p["queries"], p["keys"], p["head_dim"], p["dtype"]
    q, k, v = f.argument((h, m, d), dtype), f.argument((h, n, d), dtype), f.argument((h, n, d), dtype)
    extents = {"i": h, "j": m, "k": n, "l": d}
    scores = product(f, q, k, dtype, ("ijl", "ikl", "ijk"), extents)
    extras = [(f.argument((m, n), dtype), "jk")] if p["mask"] else []

    def scaled(s: Scalars, given: list[str]) -> str:
        value = s.binary("mul", given[0], s.constant(d**-0.5, dtype))
        return s.binary("add", value, given[1]) if p["mask"] else value

    scores = f.generic([(scores, "ijk"), *extras], [(f.empty((h, m, n), dtype), "ijk")], "ijk", scaled)[0]
    return f.text(product(f, softmax_of(f, scores), v, dtype, ("ijk", "ikl", "ijl"), extents))


def _draw_mlp(draw: Draw) -> Parameters:
    width = draw.extent(16, 512)
    return {
        "rows": draw.choice((1, draw.extent(2, 256)), (1, 4)),
        "width": width,
        "hidden": draw.choice((2 * width, 4 * width, draw.extent(16, 1024))),
        "activation": draw.choice(tuple(ACTIVATIONS)),
        "gated": draw.chance(0.35),
        "norm": draw.choice(("none", "layer", "rms")),
        "residual": draw.chance(0.5),
        "dtype": draw.choice(_DTYPES, _WEIGHTS),
    }


@family(
    "mlp",
    draw=_draw_mlp,
    work=lambda p: (6.0 if p["gated"] else 4.0) * p["rows"] * p["width"] * p["hidden"] * _cost(p),
    small=4e5,
    large=8e7,
    weight=1.3,
)
def mlp(p: Parameters) -> str:
    """The feed-forward half of a transformer: norm, product, activation (gated or not), product, residual."""
    f = Function()
    m, d, h, dtype = p["rows"], p["width"], p["hidden"], p["dtype"]
    x = f.argument((m, d), dtype)
    y = x
    if p["norm"] != "none":
        scale = f.argument((d,), dtype)
        y = normalised(f, x, p["norm"], scale, f.argument((d,), dtype) if p["norm"] == "layer" else None)

    def linear(value: Value, width: int) -> Value:
        w = f.argument((value.shape[1], width), dtype)
        return f.named("matmul", [value, w], f.filled((m, width), dtype))

    up = linear(y, h)
    if p["gated"]:
        gate = linear(y, h)
        hidden = f.map(
            [gate, up], lambda s, given: s.binary("mul", ACTIVATIONS[p["activation"]](s, given[0]), given[1])
        )
    else:
        bias = f.argument((h,), dtype)
        hidden = biased(f, up, bias, 1, p["activation"])
    out = linear(hidden, d)
    return f.text(f.map([out, x], lambda s, given: s.binary("add", given[0], given[1])) if p["residual"] else out)


def _draw_residual(draw: Draw) -> Parameters:
    return {
        "size": draw.extent(6, 40),
        "channels": draw.extent(8, 128),
        "middle": draw.extent(8, 128),
        "form": draw.choice(("basic", "bottleneck", "separable")),
        "activation": draw.choice(("relu", "clip", "silu")),
        "dtype": "f32",
    }


def _residual_work(p: Parameters) -> float:
    size, c, m = float(p["size"]) ** 2, p["channels"], p["middle"]
    return (
        2.0
        * size
        * {"basic": 18.0 * c * m, "bottleneck": 2.0 * c * m + 9.0 * m * m, "separable": 2.0 * c * m + 9.0 * m}[
            p["form"]
        ]
    )


@family("conv_block", draw=_draw_residual, work=_residual_work, small=1e6, large=8e7)
def conv_block(p: Parameters) -> str:
    """A residual block of convolutions with scale and shift a channel: basic, bottleneck, or separable."""
    f = Function()
    s, c, m, dtype = p["size"], p["channels"], p["middle"], p["dtype"]
    x = f.argument((1, c, s, s), dtype)

    def scaled(value: Value, activation: str, other: Value | None = None) -> Value:
        names = AXES[:4]
        channels = value.shape[1]
        extras = [(f.argument((channels,), dtype), "j"), (f.argument((channels,), dtype), "j")]
        if other is not None:
            extras.append((other, names))

        def body(b: Scalars, given: list[str]) -> str:
            result = b.binary("add", b.binary("mul", given[0], given[1]), given[2])
            if other is not None:
                result = b.binary("add", result, given[3])
            return ACTIVATIONS[activation](b, result) if activation != "none" else result

        return f.generic([(value, names), *extras], [(f.empty(value.shape, dtype), names)], names, body)[0]

    def convolved(value: Value, out: int, kernel: int) -> Value:
        w = f.argument((out, value.shape[1], kernel, kernel), dtype)
        into = f.filled((1, out, s, s), dtype)
        return f.named("conv_2d_nchw_fchw", [padded(f, value, (2, 3), kernel // 2), w], into)

    if p["form"] == "basic":
        y = scaled(convolved(x, m, 3), p["activation"])
        return f.text(scaled(convolved(y, c, 3), p["activation"], x))
    y = scaled(convolved(x, m, 1), p["activation"])
    if p["form"] == "bottleneck":
        y = scaled(convolved(y, m, 3), p["activation"])
    else:
        w = f.argument((m, 3, 3), dtype)
        y = f.named("depthwise_conv_2d_nchw_chw", [padded(f, y, (2, 3), 1), w], f.filled((1, m, s, s), dtype))
        y = scaled(y, p["activation"])
    return f.text(scaled(convolved(y, c, 1), "none", x))


def _draw_squeeze(draw: Draw) -> Parameters:
    return {
        "size": draw.extent(4, 56),
        "channels": draw.extent(8, 256),
        "ratio": draw.choice((2, 4, 8)),
        "dtype": "f32",
    }


@family(
    "squeeze_excite",
    draw=_draw_squeeze,
    work=lambda p: 4.0 * p["size"] ** 2 * p["channels"] + 4.0 * p["channels"] ** 2 / p["ratio"],
    small=1e5,
    large=8e6,
    weight=0.7,
)
def squeeze_excite(p: Parameters) -> str:
    """The mean of each channel through two small products, which scale the channels."""
    f = Function()
    s, c = p["size"], p["channels"]
    inner = max(c // p["ratio"], 1)
    x = f.argument((c, s, s), "f32")
    total = f.generic(
        [(x, "ijk")], [(f.filled((c,), "f32"), "i")], "iJK", lambda b, given: b.binary("add", given[1], given[0])
    )[0]
    mean = f.map([total], lambda b, given: b.binary("mul", given[0], b.constant(1.0 / s**2, "f32")))

    def layer(value: Value, width: int, activation: str) -> Value:
        w = f.argument((width, value.shape[0]), "f32")
        y = f.named("matvec", [w, value], f.filled((width,), "f32"))
        return biased(f, y, f.argument((width,), "f32"), 0, activation)

    gate = layer(layer(mean, inner, "relu"), c, "sigmoid")
    into = f.empty(x.shape, "f32")
    return f.text(
        f.generic(
            [(x, "ijk"), (gate, "i")], [(into, "ijk")], "ijk", lambda b, given: b.binary("mul", given[0], given[1])
        )[0]
    )

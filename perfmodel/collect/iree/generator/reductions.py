"""Families that sum over axes: reductions, softmax, norms."""

from __future__ import annotations

from math import prod

from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.generator.elementwise import draw_shape
from perfmodel.collect.iree.generator.registry import Parameters, family
from perfmodel.collect.iree.generator.scalars import FLOATING, Unary
from perfmodel.collect.iree.generator.text import AXES, Function, Scalars, Value, is_float

LOWEST: dict[str, float] = {"f32": -3.0e38, "f64": -1e300, "f16": -6e4, "bf16": -3.0e38, "i32": -(2**31), "i8": -128}


def reduced(
    f: Function, x: Value, axes: set[int], op: str, before: Unary | None = None, out: str | None = None
) -> Value:
    """One number for all elements along some axes.

    Args:
        f: the function that is written.
        x: what is reduced.
        axes: that go.
        op: ``add``, ``mul`` or ``max``.
        before: a function of each element.
        out: dtype that is summed in; None: that of x.
    """
    dtype = out or x.dtype
    names = AXES[: x.rank]
    kept = "".join(name for axis, name in enumerate(names) if axis not in axes)
    start = {"add": 0.0, "mul": 1.0, "max": LOWEST[dtype]}[op]
    into = f.filled([x.shape[names.index(name)] for name in kept], dtype, start)

    def body(s: Scalars, given: list[str]) -> str:
        value = s.cast(given[0], dtype)
        return s.binary(op, given[1], value if before is None else before(s, value))

    loops = "".join(name.upper() if axis in axes else name for axis, name in enumerate(names))
    return f.generic([(x, names)], [(into, kept)], loops, body)[0]


def _draw_reduction(draw: Draw) -> Parameters:
    shape = draw_shape(draw, most_rank=4)
    rank = len(shape)
    form = draw.unit()
    if form < 0.4 or rank == 1:
        axes = [rank - 1]
    elif form < 0.6:
        axes = [0]
    elif form < 0.75:
        axes = list(range(rank))
    else:
        axes = sorted({draw.whole(0, rank - 1) for _ in range(2)})
    dtype = draw.choice(("f32", "f16", "bf16", "i32", "i8", "f64"), (10, 2, 2, 2, 1, 1))
    op = draw.choice(("add", "max", "mul", "argmax"), (5, 3, 1, 1))
    before = draw.choice(("none", "none", "square", "abs", "exp")) if is_float(dtype) and op != "argmax" else "none"
    wide = {"f16": "f32", "bf16": "f32", "i8": "i32"}.get(dtype, dtype) if op == "add" and draw.chance(0.6) else dtype
    return {"shape": shape, "axes": axes, "dtype": dtype, "accumulator": wide, "op": op, "before": before}


def _reduction_work(p: Parameters) -> float:
    return prod(p["shape"]) * (12.0 if p["before"] == "exp" else 2.0) * (4 if p["dtype"] in ("f16", "bf16") else 1)


@family("reduction", draw=_draw_reduction, work=_reduction_work, small=1e5, large=1e7, weight=1.5)
def reduction(p: Parameters) -> str:
    """A sum, product, maximum, or the place of the maximum, over some axes."""
    f = Function()
    x = f.argument(p["shape"], p["dtype"])
    if p["op"] != "argmax":
        before = None if p["before"] == "none" else FLOATING[p["before"]]
        return f.text(reduced(f, x, set(p["axes"]), p["op"], before, p["accumulator"]))
    names = AXES[: x.rank]
    kept = names[:-1]
    shape = x.shape[:-1]
    best, place = f.filled(shape, x.dtype, LOWEST[x.dtype]), f.filled(shape, "i32", 0)

    def body(s: Scalars, given: list[str]) -> tuple[str, str]:
        value, old, old_place = given
        here = s.to_integer(s.index(x.rank - 1), "i32")
        more = s.greater(value, old)
        return s.select(more, value, old), s.select(more, here, old_place)

    found = f.generic([(x, names)], [(best, kept), (place, kept)], kept + names[-1].upper(), body)
    return f.text(found[1])


def softmax_of(f: Function, x: Value) -> Value:
    """Softmax over the last axis, written out: maximum, exponentials, sum, division."""
    names = AXES[: x.rank]
    kept, last = names[:-1], {x.rank - 1}
    top = reduced(f, x, last, "max")

    def shifted(s: Scalars, given: list[str]) -> str:
        return s.unary("math.exp", s.binary("sub", given[0], given[1]))

    e = f.generic([(x, names), (top, kept)], [(f.empty(x.shape, x.dtype), names)], names, shifted)[0]
    total = reduced(f, e, last, "add")

    def divided(s: Scalars, given: list[str]) -> str:
        return s.binary("div", given[0], given[1])

    return f.generic([(e, names), (total, kept)], [(f.empty(x.shape, x.dtype), names)], names, divided)[0]


def _draw_softmax(draw: Draw) -> Parameters:
    rank = draw.whole(2, 4)
    shape = [draw.extent(1, 16) for _ in range(rank - 2)] + [draw.extent(2, 1024), draw.extent(8, 4096)]
    form = draw.choice(("named", "written", "masked", "log"))
    # IREE 3.13 lowers the named one in half precision to calls of fmaxf, which its linker does not find.
    dtype = "f32" if form == "named" else draw.choice(("f32", "f16", "bf16"), (8, 2, 1))
    return {"shape": shape, "dtype": dtype, "form": form}


@family(
    "softmax",
    draw=_draw_softmax,
    work=lambda p: prod(p["shape"]) * (20 if p["dtype"] == "f32" else 60),
    small=2e5,
    large=2.5e7,
)
def softmax(p: Parameters) -> str:
    """Softmax over the last axis: the operation of that name, written out, behind a mask, or its logarithm."""
    f = Function()
    x = f.argument(p["shape"], p["dtype"])
    if p["form"] == "named":
        into = f.empty(p["shape"], p["dtype"])
        return f.text(
            f.op(f"linalg.softmax dimension({x.rank - 1}) ins({x.name} : {x.type}) outs({into.name} : {into.type}) -> {x.type}",
                 x.shape, x.dtype)
        )  # fmt: skip
    if p["form"] == "masked":
        mask = f.argument(p["shape"][-2:], p["dtype"])
        names = AXES[: x.rank]

        def body(s: Scalars, given: list[str]) -> str:
            return s.binary("add", s.binary("mul", given[0], s.constant(0.125, x.dtype)), given[1])

        x = f.generic([(x, names), (mask, names[-2:])], [(f.empty(x.shape, x.dtype), names)], names, body)[0]
    result = softmax_of(f, x)
    if p["form"] == "log":
        result = f.map([result], lambda s, given: s.unary("math.log", given[0]))
    return f.text(result)


def normalised(f: Function, x: Value, kind: str, scale: Value | None, shift: Value | None) -> Value:
    """Layer norm or root-mean-square norm over the last axis, with sums in f32."""
    names = AXES[: x.rank]
    kept, last, width = names[:-1], {x.rank - 1}, x.shape[-1]

    def mean(s: Scalars, value: str) -> str:
        return s.binary("mul", value, s.constant(1.0 / width, "f32"))

    if kind == "layer":
        total = reduced(f, x, last, "add", None, "f32")

        def centre(s: Scalars, given: list[str]) -> str:
            return s.binary("sub", s.cast(given[0], "f32"), mean(s, given[1]))

        centred = f.generic([(x, names), (total, kept)], [(f.empty(x.shape, "f32"), names)], names, centre)[0]
    else:
        centred = x
    squares = reduced(f, centred, last, "add", FLOATING["square"], "f32")
    extras = [(value, names[-1]) for value in (scale, shift) if value is not None]

    def body(s: Scalars, given: list[str]) -> str:
        spread = s.unary("math.rsqrt", s.binary("add", mean(s, given[1]), s.constant(1e-5, "f32")))
        value = s.binary("mul", s.cast(given[0], "f32"), spread)
        for op, other in zip(("mul", "add"), given[2:-1], strict=False):
            value = s.binary(op, value, s.cast(other, "f32"))
        return s.cast(value, x.dtype)

    into = f.empty(x.shape, x.dtype)
    return f.generic([(centred, names), (squares, kept), *extras], [(into, names)], names, body)[0]


def _draw_norm(draw: Draw) -> Parameters:
    shape = ([draw.extent(1, 16)] if draw.chance(0.3) else []) + [draw.extent(1, 1024), draw.extent(16, 4096)]
    kind = draw.choice(("layer", "rms"))
    return {
        "shape": shape,
        "kind": kind,
        "dtype": draw.choice(("f32", "f16", "bf16"), (6, 2, 2)),
        "parameters": draw.choice((0, 1, 2) if kind == "layer" else (0, 1)),
        "residual": draw.chance(0.3),
    }


@family("norm", draw=_draw_norm, work=lambda p: 12.0 * prod(p["shape"]), small=2e5, large=2e7)
def norm(p: Parameters) -> str:
    """Layer norm and root-mean-square norm over the last axis, after a residual or not."""
    f = Function()
    x = f.argument(p["shape"], p["dtype"])
    if p["residual"]:
        other = f.argument(p["shape"], p["dtype"])
        x = f.map([x, other], lambda s, given: s.binary("add", given[0], given[1]))
    weights: list[Value | None] = [f.argument((x.shape[-1],), p["dtype"]) for _ in range(p["parameters"])]
    scale, shift = (*weights, None, None)[:2]
    return f.text(normalised(f, x, p["kind"], scale, shift))

"""Families of element-wise code: chains, broadcasts, movement of elements."""

from __future__ import annotations

from functools import partial
from math import prod

from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.generator.registry import Parameters, family
from perfmodel.collect.iree.generator.scalars import BINARY, FLOATING, WHOLE
from perfmodel.collect.iree.generator.text import AXES, Function, Scalars, Value, is_float, tensor_type

DTYPES = ("f32", "f16", "bf16", "i32", "i8", "f64")
DTYPE_WEIGHTS = (10, 2, 2, 2, 1, 1)


def draw_shape(draw: Draw, most_rank: int = 4, low: int = 4, high: int = 2048) -> list[int]:
    """Extents of a tensor of 1 to ``most_rank`` axes; those of many axes are shorter."""
    rank = draw.whole(1, most_rank)
    if rank == 1:
        return [draw.extent(low * low, high * high // 4)]
    each = max(int(high ** (2 / rank)), low + 1)
    return [draw.extent(1 if axis == 0 and rank > 2 else low, each) for axis in range(rank)]


def apply_unary(s: Scalars, name: str, x: str) -> str:
    """A function of one element, by its name; what is defined for floats alone passes whole numbers on."""
    table = FLOATING if is_float(s.dtypes[x]) else WHOLE
    return table[name](s, x)


def _unary_body(name: str, s: Scalars, given: list[str]) -> str:
    """The body of an operation that is one such function."""
    return apply_unary(s, name, given[0])


def _draw_chain(draw: Draw) -> Parameters:
    dtype = draw.choice(DTYPES, DTYPE_WEIGHTS)
    names = tuple(FLOATING) if is_float(dtype) else tuple(WHOLE)
    inputs = draw.whole(1, 4)
    steps = [draw.choice(names) for _ in range(draw.whole(1 if inputs > 1 else 2, 6))]
    return {
        "shape": draw_shape(draw),
        "dtype": dtype,
        "inputs": inputs,
        "steps": steps,
        "joins": [draw.choice(BINARY[:5]) for _ in range(inputs - 1)],
        "cast": draw.choice(("none", "f32")) if dtype in ("f16", "bf16", "i8") else "none",
        "separate": draw.chance(0.4),
    }


_DEAR = {"gelu_tanh", "gelu_erf", "tanh", "sigmoid", "silu", "exp", "log1p", "sin"}


def step_work(steps: list[str], dtype: str) -> float:
    """Operations of an element, roughly."""
    each = sum(12.0 if step in _DEAR else 1.5 for step in steps) + 1
    return each * (4 if dtype in ("f16", "bf16") else 1)


@family(
    "elementwise",
    draw=_draw_chain,
    work=lambda p: prod(p["shape"]) * (step_work(p["steps"], p["dtype"]) + p["inputs"]),
    small=2e5,
    large=2e7,
    weight=2.0,
)
def elementwise(p: Parameters) -> str:
    """A chain of functions of elements, in one operation or one each, which the compiler fuses."""
    f = Function()
    values = [f.argument(p["shape"], p["dtype"]) for _ in range(p["inputs"])]
    inner = p["cast"] if p["cast"] != "none" else p["dtype"]

    def joined(s: Scalars, given: list[str]) -> str:
        x = s.cast(given[0], inner)
        for op, other in zip(p["joins"], given[1:-1], strict=True):
            x = s.binary(op, x, s.cast(other, inner))
        return x

    if p["separate"]:
        x = f.map(values, joined, inner)
        for step in p["steps"]:
            x = f.map([x], partial(_unary_body, step))
        return f.text(
            f.map([x], lambda s, given: s.cast(given[0], p["dtype"]), p["dtype"]) if inner != p["dtype"] else x
        )

    def whole(s: Scalars, given: list[str]) -> str:
        x = joined(s, given)
        for step in p["steps"]:
            x = apply_unary(s, step, x)
        return s.cast(x, p["dtype"])

    return f.text(f.map(values, whole, p["dtype"]))


def _draw_broadcast(draw: Draw) -> Parameters:
    shape = draw_shape(draw, most_rank=4)
    while len(shape) < 2:
        shape = draw_shape(draw, most_rank=4)
    axes = AXES[: len(shape)]
    # At least one axis missing each.
    others = []
    for _ in range(draw.whole(1, 3)):
        kept = "".join(axis for axis in axes if draw.chance(0.5))
        others.append(kept if len(kept) < len(axes) else kept[1:])
    dtype = draw.choice(DTYPES[:4], DTYPE_WEIGHTS[:4])
    names = tuple(FLOATING) if is_float(dtype) else tuple(WHOLE)
    return {
        "shape": shape,
        "dtype": dtype,
        "others": others,
        "joins": [draw.choice(BINARY[:5]) for _ in others],
        "steps": [draw.choice(names) for _ in range(draw.whole(0, 3))],
    }


@family(
    "broadcast",
    draw=_draw_broadcast,
    work=lambda p: prod(p["shape"]) * (step_work(p["steps"], p["dtype"]) + 1 + len(p["others"])),
    small=2e5,
    large=1.5e7,
)
def broadcast(p: Parameters) -> str:
    """A tensor with others of fewer axes, which are repeated along the rest."""
    f = Function()
    axes = AXES[: len(p["shape"])]
    x = f.argument(p["shape"], p["dtype"])
    others = [(f.argument([p["shape"][axes.index(axis)] for axis in kept], p["dtype"]), kept) for kept in p["others"]]

    def body(s: Scalars, given: list[str]) -> str:
        result = given[0]
        for op, other in zip(p["joins"], given[1:-1], strict=True):
            result = s.binary(op, result, other)
        for step in p["steps"]:
            result = apply_unary(s, step, result)
        return result

    return f.text(f.generic([(x, axes), *others], [(f.empty(p["shape"], p["dtype"]), axes)], axes, body)[0])


def _draw_transpose(draw: Draw) -> Parameters:
    rank = draw.whole(2, 4)
    each = {2: 1500, 3: 160, 4: 48}[rank]
    shape = [draw.extent(4, each) for _ in range(rank)]
    order = list(range(rank))
    while order == sorted(order):
        keys = [draw.unit() for _ in order]
        order = sorted(order, key=lambda axis: keys[axis])
    dtype = draw.choice(DTYPES, DTYPE_WEIGHTS)
    return {
        "shape": shape,
        "order": order,
        "dtype": dtype,
        "step": draw.choice(("none", "none", "scale", "relu", "square")),
    }


@family("transpose", draw=_draw_transpose, work=lambda p: 2.0 * prod(p["shape"]), small=1e5, large=8e6)
def transpose(p: Parameters) -> str:
    """Axes in another order, with or without a function of the elements."""
    f = Function()
    x = f.argument(p["shape"], p["dtype"])
    shape = [p["shape"][axis] for axis in p["order"]]
    if p["step"] == "none":
        into = f.empty(shape, p["dtype"])
        order = ", ".join(map(str, p["order"]))
        return f.text(
            f.op(f"linalg.transpose ins({x.name} : {x.type}) outs({into.name} : {into.type}) permutation = [{order}]",
                 shape, p["dtype"])
        )  # fmt: skip
    axes = AXES[: len(shape)]
    source = "".join(axes[p["order"].index(axis)] for axis in range(len(shape)))
    into = f.empty(shape, p["dtype"])
    return f.text(
        f.generic([(x, source)], [(into, axes)], axes, lambda s, given: apply_unary(s, p["step"], given[0]))[0]
    )


def _draw_gather(draw: Draw) -> Parameters:
    return {
        "rows": draw.extent(16, 4096),
        "cols": draw.extent(8, 1024),
        "picked": draw.extent(4, 2048),
        "dtype": draw.choice(("f32", "f16", "i8", "bf16"), (6, 2, 1, 1)),
        "axis": draw.choice((0, 0, 0, 1)),
        "scaled": draw.chance(0.4),
    }


@family("gather", draw=_draw_gather, work=lambda p: 3.0 * p["picked"] * (p["cols"] if p["axis"] == 0 else p["rows"]),
        small=1e5, large=4e6)  # fmt: skip
def gather(p: Parameters) -> str:
    """Rows (or columns) of a table by their numbers, as an embedding reads them."""
    f = Function()
    table = f.argument((p["rows"], p["cols"]), p["dtype"])
    numbers = f.argument((p["picked"],), "i32", below=p["rows"] if p["axis"] == 0 else p["cols"])
    shape = (p["picked"], p["cols"]) if p["axis"] == 0 else (p["rows"], p["picked"])

    def body(s: Scalars, given: list[str]) -> str:
        picked = s.to_index(given[0])
        along = s.index(1 - p["axis"])
        x = s.extract(table, [picked, along] if p["axis"] == 0 else [along, picked])
        return apply_unary(s, "scale", x) if p["scaled"] else x

    into = f.empty(shape, p["dtype"])
    return f.text(f.generic([(numbers, "ij"[p["axis"]])], [(into, "ij")], "ij", body)[0])


def _draw_rearranged(draw: Draw) -> Parameters:
    form = draw.choice(("concatenate", "slice", "pad", "rotate", "split"))
    shape = [draw.extent(4, 512), 2 * draw.extent(4, 512)]
    return {
        "form": form,
        "shape": shape,
        "dtype": draw.choice(DTYPES[:4], DTYPE_WEIGHTS[:4]),
        "axis": draw.choice((0, 1)),
    }


def _slice(f: Function, x: Value, offset: tuple[int, int], shape: tuple[int, int], stride: int = 1) -> Value:
    return f.op(
        f"tensor.extract_slice {x.name}[{offset[0]}, {offset[1]}] [{shape[0]}, {shape[1]}] [{stride}, 1]"
        f" : {x.type} to tensor<{shape[0]}x{shape[1]}x{x.dtype}>",
        shape,
        x.dtype,
    )


@family("rearranged", draw=_draw_rearranged, work=lambda p: 6.0 * prod(p["shape"]), small=1e5, large=4e6)
def rearranged(p: Parameters) -> str:
    """Joins, slices, padding, and the rotation of position embeddings, with a little arithmetic."""
    f = Function()
    (rows, cols), dtype, axis = p["shape"], p["dtype"], p["axis"]
    x = f.argument((rows, cols), dtype)

    def arithmetic(value: Value) -> Value:
        return f.map([value], lambda s, given: s.binary("add", given[0], given[0]))

    if p["form"] == "concatenate":
        y = f.argument((rows, cols), dtype)
        shape = (2 * rows, cols) if axis == 0 else (rows, 2 * cols)
        both = f"({x.type}, {y.type}) -> {tensor_type(shape, dtype)}"
        joined = f.op(f"tensor.concat dim({axis}) {x.name}, {y.name} : {both}", shape, dtype)
        return f.text(arithmetic(joined))
    if p["form"] == "slice":
        return f.text(arithmetic(_slice(f, x, (rows // 4, cols // 4), (rows // 2 or 1, cols // 2))))
    if p["form"] == "pad":
        shape = (rows + 2, cols + 4)
        zero = f.constant(0, dtype)
        padded = f.op(
            f"tensor.pad {x.name} low[1, 2] high[1, 2] {{\n  ^bb0(%p0: index, %p1: index):\n    tensor.yield {zero} : {dtype}\n"
            f"  }} : {x.type} to tensor<{shape[0]}x{shape[1]}x{dtype}>",
            shape, dtype,
        )  # fmt: skip
        return f.text(arithmetic(padded))
    half = cols // 2
    left, right = _slice(f, x, (0, 0), (rows, half)), _slice(f, x, (0, half), (rows, half))
    if p["form"] == "split":
        return f.text(f.map([left, right], lambda s, given: s.binary("mul", given[0], given[1])))
    cosine, sine = f.argument((rows, half), dtype), f.argument((rows, half), dtype)

    def turned(sign: str) -> Value:
        def body(s: Scalars, given: list[str]) -> str:
            a, b, c, d = given[:4]
            return s.binary(sign, s.binary("mul", a, c), s.binary("mul", b, d))

        operands = [left, right, cosine, sine] if sign == "sub" else [right, left, cosine, sine]
        return f.map(operands, body)

    first, second = turned("sub"), turned("add")
    return f.text(
        f.op(
            f"tensor.concat dim(1) {first.name}, {second.name} : ({first.type}, {second.type}) -> {x.type}",
            x.shape,
            dtype,
        )
    )

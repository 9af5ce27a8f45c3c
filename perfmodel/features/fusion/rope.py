"""Rotary position embeddings, one kernel in every engine, out of the slices, products and concatenations of an
export.

The definition is Su et al., "RoFormer" (2021), equation 34. Two ways of writing it are recognised, each for halves
(GPT-NeoX, Llama) and for interleaved pairs (GPT-J), whose nodes differ only in slices and views:

1. ``x·cos + rotate(x)·sin`` with ``rotate(x) = concat(-x2, x1)``;
2. ``concat(x1·cos - x2·sin, x2·cos + x1·sin)``.

Where only a part of each head is rotated (GPT-NeoX, Phi), the kernel works in place: what is put together again with
the rotated part is not moved.
"""

from __future__ import annotations

from perfmodel.features.fusion.layout import is_cut
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Copy, Elementwise


def fuse_rope(ws: Rewriter) -> None:
    """Replaces both ways of writing by one elementwise operator of kind ``rope``."""
    for vertex in ws.vertices(Elementwise):
        if ws.alive(vertex) and vertex.computes("add") and len(vertex.inputs) == 2:
            _rotated_sum(ws, vertex)
    for vertex in ws.vertices(Copy):
        if ws.alive(vertex) and vertex.kind == "concat":
            _joined_halves(ws, vertex)


def _rotated_sum(ws: Rewriter, add: Vertex) -> bool:
    products = [ws.maker(n) for n in add.inputs]
    for straight, turned in (products, products[::-1]):
        if straight is None or turned is None or not (straight.computes("mul") and turned.computes("mul")):
            return False
        for rotated in turned.inputs:
            walked: list[Vertex] = []
            x = _rotation(ws, rotated, walked)
            sine = turned.other(rotated)
            factors = [] if x is None else [n for n in straight.inputs if _origin(ws, n) == x]
            if sine is None or len(factors) != 1:
                continue
            cosine = straight.other(factors[0])
            if cosine is not None:
                members = [add, straight, turned, *walked]
                return _replace(ws, members, add, factors[0], (cosine, sine), add.output)
    return False


def _rotation(ws: Rewriter, name: str, walked: list[Vertex]) -> str | None:
    """The origin of x when a tensor is concat(-x2, x1) of its parts; None otherwise."""
    name, path = ws.back(name)
    concat = ws.maker(name)
    if concat is None or not concat.copies("concat") or len(concat.inputs) != 2:
        return None
    walked += [*path, concat]
    negated, kept = concat.inputs
    negated, path = ws.back(negated)
    minus = ws.maker(negated)
    if minus is None:
        return None
    if minus.computes("neg"):
        part = minus.inputs[0]
    elif minus.computes("mul") and any(ws.is_close(n, -1.0) for n in minus.inputs):
        part = next(n for n in minus.inputs if not ws.is_close(n, -1.0))
    else:
        return None
    walked += [*path, minus]
    origins = [_cut_from(ws, part, walked), _cut_from(ws, kept, walked)]
    return origins[0] if origins[0] is not None and origins[0] == origins[1] else None


def _cut_from(ws: Rewriter, name: str, walked: list[Vertex]) -> str | None:
    """The origin of the tensor that a slice or a part of a split was cut from."""
    name, path = ws.back(name)
    cut = ws.maker(name)
    if cut is None or not is_cut(ws, cut):
        return None
    walked += [*path, cut]
    return _origin(ws, cut.inputs[0])


def _origin(ws: Rewriter, name: str) -> str:
    return ws.back(name)[0]


def _joined_halves(ws: Rewriter, concat: Vertex) -> bool:
    if len(concat.inputs) != 2:
        return False
    walked: list[Vertex] = [concat]
    sides: list[Vertex] = []
    for name in concat.inputs:
        origin, path = ws.back(name)
        side = ws.maker(origin)
        if side is None or not side.computes("sub", "add") or len(side.inputs) != 2:
            return False
        walked += [*path, side]
        sides.append(side)
    if sorted(s.kind for s in sides) != ["add", "sub"]:
        return False
    origins: set[str] = set()
    factors: list[dict[str, str]] = []  # for each side, what each half is multiplied by
    for side in sides:
        factor_of: dict[str, str] = {}
        for name in side.inputs:
            product = ws.maker(name)
            if product is None or not product.computes("mul") or len(product.inputs) != 2:
                return False
            found = [(n, _cut_from(ws, n, [])) for n in product.inputs]
            halves = [(n, o) for n, o in found if o is not None and not _is_angle(ws, n, product)]
            if len(halves) != 1:
                return False
            half, origin = halves[0]
            other = product.other(half)
            if other is None or origin is None:
                return False
            factor_of[half] = other
            origins.add(origin)
            end, path = ws.back(half)
            cut = ws.maker(end)
            walked += [product, *path, *([cut] if cut is not None else [])]
        factors.append(factor_of)
    if len(origins) != 1 or not _is_rotation(*factors):
        return False
    source = next(v for v in walked if is_cut(ws, v)).inputs[0]
    angles = tuple(dict.fromkeys(n for side in factors for n in side.values()))
    return _replace(ws, walked, concat, source, angles, concat.output)


def _is_rotation(first: dict[str, str], second: dict[str, str]) -> bool:
    """Whether the sides multiply the same two halves by cosine and sine, and by sine and cosine."""
    if len(first) != 2 or first.keys() != second.keys():
        return False
    one, two = first
    crossed = first[one] == second[two] and first[two] == second[one]
    return crossed or len({*first.values(), *second.values()}) == 4


def _is_angle(ws: Rewriter, name: str, product: Vertex) -> bool:
    """Whether a factor is the table of cosines or sines: it is the smaller one, spread over batch and heads."""
    other = product.other(name)
    mine, its = ws.elements(name), None if other is None else ws.elements(other)
    if isinstance(mine, int) and isinstance(its, int):
        return mine < its
    return False


def _replace(ws: Rewriter, members: list[Vertex], main: Vertex, x: str, angles: tuple[str, ...], result: str) -> bool:
    if not same(ws.elements(x), ws.elements(result)) or not same(ws.elements(x), ws.elements(_origin(ws, x))):
        return False
    dtype = ws.dtype(x)
    alike = [n for n in angles if ws.dtype(n) == dtype]
    op = Elementwise(
        kind="rope",
        dtype=dtype,
        elements=ws.elements(result),
        input_elements=sum(ws.elements(n) for n in (x, *alike)),
        out_dtype=None if ws.dtype(result) == dtype else ws.dtype(result),
    )
    others = sum(ws.bytes(n) for n in angles if n not in alike)
    outputs = (result,)
    merged = ws.merge(
        members, main=main, op=op, inputs=(x, *angles), outputs=outputs, extra_bytes_read=others, attributes={}
    )
    if merged is not None:
        _leave_the_rest(ws, merged)
    return merged is not None


def _leave_the_rest(ws: Rewriter, rope: Vertex) -> None:
    """Takes in the concatenation of the rotated part with the part of the same tensor that is not rotated."""
    concat, path = ws.ahead(rope.output)
    source = _cut_from(ws, rope.inputs[0], [])
    if concat is None or source is None or not concat.copies("concat") or len(concat.inputs) != 2:
        return
    rest = concat.other(path[-1].output if path else rope.output)
    if rest is not None and _cut_from(ws, rest, []) == source:
        ws.merge(
            [rope, *path, concat],
            main=rope,
            op=rope.op,
            outputs=concat.node.outputs,
            extra_bytes_read=rope.node.extra_bytes_read,
        )

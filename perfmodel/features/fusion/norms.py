"""Normalisation that an exporter wrote out as arithmetic, back into one operator; residual additions before it.

The anchor is the root of a variance (sqrt, rsqrt, x^-0.5). From it the pattern walks back to the mean of squares and,
for LayerNorm, to the mean that was subtracted; then forward, through whatever arithmetic combines the root with the
input and with weights, until one result is left. So the order of the factors, reciprocal or division, casts to fp32
and back, gamma folded into the root (``x * (rsqrt * gamma) + (beta - mean * rsqrt * gamma)``), E[x²] - E[x]² all
match the same rule.

LayerNorm: Ba et al. (2016); RMSNorm: Zhang and Sennrich (2019), section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same, same_shape
from perfmodel.ops import Elementwise, Norm, Reduce

_SPREADING = ("expand", "broadcast")
_COMBINING = ("mul", "div", "sub", "add", "neg", "reciprocal", "max", "clip")
# Steps between the reductions and the root, and from the root to the result; real models need 2 and 8.
_MAX_BACK = 8
_MAX_FORWARD = 24


@dataclass
class _Statistics:
    """What the walk back from the root found.

    Attributes:
        x: the tensor that is normalised.
        same_as_x: x, and the tensors that hold its values in another dtype or shape.
        reduce: the reduction that makes the mean of squares.
        centred: whether a mean is subtracted.
        averaged: whether the squares are averaged rather than summed.
        members: vertices walked over.
    """

    x: str
    same_as_x: set[str]
    reduce: Reduce
    centred: bool
    averaged: bool
    members: dict[Vertex, None] = field(default_factory=dict)


def fuse_norms(ws: Rewriter) -> None:
    """Decomposed LayerNorm, RMSNorm and L2 normalisation become one operator each; then instance normalisation with
    views around it becomes group normalisation."""
    for vertex in ws.vertices(Elementwise, Reduce):
        if ws.alive(vertex) and _is_root(ws, vertex):
            for statistics in _readings(ws, vertex):
                if _normalise(ws, vertex, statistics):
                    break
    for vertex in ws.vertices(Norm):
        if ws.alive(vertex) and vertex.kind == "instancenorm":
            _groupnorm(ws, vertex)


def _is_root(ws: Rewriter, vertex: Vertex) -> bool:
    if vertex.computes("pow"):
        return len(vertex.inputs) == 2 and ws.is_close(vertex.inputs[1], -0.5)
    return vertex.computes("sqrt", "rsqrt") or (isinstance(vertex.op, Reduce) and vertex.kind == "l2")


def _readings(ws: Rewriter, root: Vertex) -> Iterator[_Statistics]:
    """The ways to read what the root is taken of: with the casts before it first, then without."""
    if isinstance(root.op, Reduce):
        yield _Statistics(root.inputs[0], {root.inputs[0]}, root.op, False, False, {root: None})
        return
    for through_casts in (True, False):
        found = _variance(ws, root.inputs[0], through_casts)
        if found is not None:
            found.members[root] = None
            yield found


def _walk(ws: Rewriter, name: str, members: dict[Vertex, None], *, casts: bool = True) -> str:
    """Back over views, spreading copies and casts, which become members."""
    name, path = ws.back(name, *_SPREADING, *(("cast",) if casts else ()))
    members.update(dict.fromkeys(path))
    return name


def _variance(ws: Rewriter, name: str, through_casts: bool) -> _Statistics | None:
    members: dict[Vertex, None] = {}
    averaged = False
    for _ in range(_MAX_BACK):
        name = _walk(ws, name, members)
        vertex = ws.maker(name)
        if vertex is None:
            return None
        if isinstance(vertex.op, Reduce):
            break
        rest = [n for n in vertex.inputs if not ws.is_immediate(n)]
        if vertex.computes("sub") and len(rest) == 2:
            return _difference_of_squares(ws, vertex, members)
        if len(rest) != 1 or not vertex.computes("add", "max", "clip", "mul", "div"):
            return None
        averaged = averaged or vertex.computes("mul", "div")
        members[vertex] = None
        name = rest[0]
    else:
        return None
    if vertex.kind not in ("mean", "sum", "sum_square"):
        return None
    members[vertex] = None
    averaged = averaged or vertex.kind == "mean"
    base = vertex.inputs[0] if vertex.kind == "sum_square" else _square_root(ws, vertex.inputs[0], members)
    if base is None:
        return None
    mean = _centre(ws, base, members)
    if mean is None:
        names = _aliases(ws, base, members, through_casts)
        return _Statistics(names[-1], set(names), vertex.op, False, averaged, members)
    names = _aliases(ws, mean, members, through_casts)
    return _Statistics(names[-1], set(names), vertex.op, True, averaged, members)


def _square_root(ws: Rewriter, name: str, members: dict[Vertex, None]) -> str | None:
    """What is squared to make a tensor; None when it is no square."""
    name = _walk(ws, name, members)
    vertex = ws.maker(name)
    if vertex is None:
        return None
    is_square = (
        vertex.computes("square")
        or (vertex.computes("mul") and len(vertex.inputs) == 2 and vertex.inputs[0] == vertex.inputs[1])
        or (vertex.computes("pow") and len(vertex.inputs) == 2 and ws.is_close(vertex.inputs[1], 2.0))
    )
    if not is_square:
        return None
    members[vertex] = None
    return vertex.inputs[0]


def _aliases(ws: Rewriter, name: str, members: dict[Vertex, None], through_casts: bool) -> list[str]:
    """The tensor itself and, where casts are walked over, the tensor that it was cast from."""
    if not through_casts:
        return [name]
    source, path = ws.back(name, "cast")
    if not same_shape(ws.shape(source), ws.shape(name)):
        return [name]
    members.update(dict.fromkeys(path))
    return [name, *(v.inputs[0] for v in path)]


def _centre(ws: Rewriter, base: str, members: dict[Vertex, None]) -> str | None:
    """The tensor x when ``base`` is x minus its mean; None, with no member added, otherwise."""
    found: dict[Vertex, None] = {}
    name = _walk(ws, base, found)
    vertex = ws.maker(name)
    if vertex is None or not vertex.computes("sub") or len(vertex.inputs) != 2:
        return None
    source = _mean_of(ws, vertex.inputs[1], found)
    if source is None or not _are_same(ws, source, vertex.inputs[0]):
        return None
    members.update(found)
    members[vertex] = None
    return vertex.inputs[0]


def _mean_of(ws: Rewriter, name: str, members: dict[Vertex, None]) -> str | None:
    """What a tensor is the mean of, as a mean or as a sum with a constant factor."""
    name = _walk(ws, name, members)
    vertex = ws.maker(name)
    if vertex is not None and vertex.computes("mul", "div"):
        rest = [n for n in vertex.inputs if not ws.is_immediate(n)]
        if len(rest) != 1:
            return None
        members[vertex] = None
        vertex = ws.maker(_walk(ws, rest[0], members))
        if vertex is None or vertex.kind != "sum":
            return None
    elif vertex is None or vertex.kind != "mean":
        return None
    if not isinstance(vertex.op, Reduce):
        return None
    members[vertex] = None
    return vertex.inputs[0]


def _are_same(ws: Rewriter, a: str, b: str) -> bool:
    return ws.back(a, "cast")[0] == ws.back(b, "cast")[0]


def _difference_of_squares(ws: Rewriter, vertex: Vertex, members: dict[Vertex, None]) -> _Statistics | None:
    """E[x²] - E[x]²."""
    members[vertex] = None
    mean = _square_root(ws, vertex.inputs[1], members)
    squared = _mean_of(ws, vertex.inputs[0], members)
    of_squares = next((v for v in members if isinstance(v.op, Reduce) and v.inputs[0] == squared), None)
    if of_squares is None or mean is None:
        return None
    x = None if squared is None else _square_root(ws, squared, members)
    source = _mean_of(ws, mean, members)
    if x is None or source is None or not _are_same(ws, x, source):
        return None
    assert isinstance(of_squares.op, Reduce)
    return _Statistics(x, {x, source}, of_squares.op, True, True, members)


def _normalise(ws: Rewriter, root: Vertex, found: _Statistics) -> bool:
    elements = found.reduce.rows * found.reduce.cols
    if not same(elements, ws.elements(found.x)):
        return False
    members = dict(found.members)
    progress = _Progress(ws, found, root)
    last: Vertex | None = None
    for _ in range(_MAX_FORWARD):
        last = _next_forward(ws, members, progress)
        if last is None:
            return False
        members.update(progress.means)
        members[last] = None
        progress.note(last)
        if progress.is_applied and _leaving(ws, members) == [last.output] and same(ws.elements(last.output), elements):
            break
    else:
        return False
    last = _scale_and_shift(ws, last, members, progress, ws.dtype(found.x))
    _take_casts(ws, found.x, members)
    if ws.dtype(last.output) != ws.dtype(found.x):
        return False
    kind = "layernorm" if found.centred else "rmsnorm" if found.averaged else "l2norm"
    parameters = [n for n in ws.outside(list(members)) if n != found.x]
    op = Norm(
        kind=kind,
        dtype=ws.dtype(found.x),
        rows=found.reduce.rows,
        cols=found.reduce.cols,
        parameters=sum(ws.elements(n) for n in parameters),
    )
    inputs = (found.x, *parameters)
    merged = ws.merge(members, main=root, op=op, inputs=inputs, outputs=(last.output,), attributes={})
    return merged is not None


def _take_casts(ws: Rewriter, x: str, members: dict[Vertex, None]) -> None:
    """Takes in the casts of the input that nothing but the members read (a mean taken in fp32 of a bf16 input)."""
    for name in ws.outside(list(members)):
        source, path = ws.back(name, "cast")
        if name != x and source == x and all(r in members for v in path for r in ws.readers(v.output) if r not in path):
            members.update(dict.fromkeys(path))


class _Progress:
    """What the walk forward has met so far: gamma, beta, and whether the input was already combined with the root."""

    def __init__(self, ws: Rewriter, found: _Statistics, root: Vertex) -> None:
        self._ws = ws
        self._cols = found.reduce.cols
        self._elements = found.reduce.rows * found.reduce.cols
        self._may_shift = found.centred
        self._inside = found.same_as_x | {n for v in found.members for n in v.node.outputs}
        self._derived = set(root.node.outputs)
        self._has_gamma = self._has_beta = False
        self._x = found.x
        self._x_names = found.same_as_x
        self.is_applied = False
        self.means: dict[Vertex, None] = {}

    def knows(self, name: str) -> bool:
        """Whether a tensor comes from the input or is a parameter that a normalisation may have."""
        return name in self._inside or self._is_parameter(name) or self._is_centred(name)

    def _is_centred(self, name: str) -> bool:
        """Whether a tensor is the input minus a mean of its own: one that is not the variance's, which some exporters take
        in another dtype. What makes it is kept in ``means``."""
        if not self._may_shift or not same(self._ws.elements(name), self._elements):
            return False
        found: dict[Vertex, None] = {}
        source = _centre(self._ws, name, found)
        if source is None or source not in self._x_names:
            return False
        self.means.update(found)
        self._inside.update(n for v in found for n in v.node.outputs)
        return True

    def _is_parameter(self, name: str) -> bool:
        """Whether a tensor is a constant with one value a column, or one value."""
        ws = self._ws
        return ws.is_constant(name) and (ws.is_small(name) or same(ws.elements(name), self._cols))

    def note(self, vertex: Vertex) -> None:
        """Takes a vertex that was added to the members into account."""
        derived = [n for n in vertex.inputs if n in self._derived]
        full = [
            n for n in vertex.inputs
            if n in self._inside and n not in self._derived and same(self._ws.elements(n), self._elements)
        ]  # fmt: skip
        if vertex.computes("mul", "div") and full and derived:
            self.is_applied = True
        if any(self._is_parameter(n) and not self._ws.is_small(n) for n in vertex.inputs):
            self._has_gamma = self._has_gamma or vertex.computes("mul", "div")
            self._has_beta = self._has_beta or vertex.computes("add", "sub")
        self._inside.update(vertex.node.outputs)
        if derived:
            self._derived.update(vertex.node.outputs)

    def may_follow(self, vertex: Vertex, name: str) -> bool:
        """Whether a vertex scales or shifts the finished result ``name`` by a parameter that is not there yet."""
        other = vertex.other(name)
        if other is None or not self._is_parameter(other) or self._ws.is_small(other) or self._has_beta:
            return False
        if vertex.computes("mul"):
            return not self._has_gamma
        return self._may_shift and (vertex.computes("add") or (vertex.computes("sub") and vertex.inputs[0] == name))


def _next_forward(ws: Rewriter, members: dict[Vertex, None], progress: _Progress) -> Vertex | None:
    """The first vertex after the members that reads only them, the input and parameters."""
    found = [
        reader
        for name in _leaving(ws, members)
        for reader in ws.readers(name)
        if reader not in members and len(reader.node.outputs) == 1 and _may_join(reader, progress)
    ]
    return min(found, key=lambda v: v.key, default=None)


def _may_join(reader: Vertex, progress: _Progress) -> bool:
    if reader.is_view or reader.copies("cast", *_SPREADING):
        return progress.knows(reader.inputs[0])
    return reader.computes(*_COMBINING) and all(progress.knows(n) for n in reader.inputs)


def _leaving(ws: Rewriter, members: dict[Vertex, None]) -> list[str]:
    """Results of the members that something else needs."""
    return [
        name
        for vertex in members
        for name in vertex.node.outputs
        if ws.is_output(name) or any(r not in members for r in ws.readers(name))
    ]


def _scale_and_shift(
    ws: Rewriter, last: Vertex, members: dict[Vertex, None], progress: _Progress, dtype: str
) -> Vertex:
    """Takes in gamma, beta and the casts around them, as far as the result has the dtype of the input again."""
    waiting: list[Vertex] = []
    name = last.output
    while (reader := ws.sole_reader(name)) is not None:
        if progress.may_follow(reader, name):
            progress.note(reader)
        elif not reader.copies("cast"):
            break
        waiting.append(reader)
        name = reader.output
        if ws.dtype(name) == dtype:
            members.update(dict.fromkeys(waiting))
            last, waiting = reader, []
    return last


def _groupnorm(ws: Rewriter, norm: Vertex) -> bool:
    """Reshape to groups, instance normalisation, reshape back, then gamma and beta a channel: group normalisation."""
    before = ws.maker(norm.inputs[0])
    end, path = ws.ahead(norm.output)
    if before is None or not before.is_view or not path or end is None or not isinstance(norm.op, Norm):
        return False
    shape = ws.shape(path[-1].output)
    if shape is None or len(shape) < 2 or not same_shape(shape, ws.shape(before.inputs[0])):
        return False
    members, name = [norm, *path], path[-1].output
    for kind in ("mul", "add"):
        other = None if end is None else end.other(name)
        if end is None or other is None or not end.computes(kind):
            break
        if not (ws.is_constant(other) and same(ws.elements(other), shape[1])):
            break
        members.append(end)
        name = end.output
        end = ws.sole_reader(name)
    if len(members) == 1 + len(path):
        return False
    parameters = [n for n in ws.outside(members) if ws.is_constant(n)]
    op = norm.op.replace(kind="groupnorm", parameters=sum(ws.elements(n) for n in parameters))
    return ws.merge(members, main=norm, op=op, outputs=(name,)) is not None


def fuse_residual_norms(ws: Rewriter) -> None:
    """The addition of a skip connection directly before a normalisation joins it where the sum is needed again later.

    This is what serving engines run in pre-norm transformers (one kernel adds, normalises, and writes both results).
    Where the sum is needed by nothing else, it is an epilogue of the GEMM before it instead, which moves as many
    bytes.
    """
    for norm in ws.vertices(Norm):
        if not isinstance(norm.op, Norm) or norm.op.residual or norm.kind not in ("layernorm", "rmsnorm"):
            continue
        if not norm.inputs or not all(ws.is_constant(n) for n in norm.inputs[1:]):
            continue
        add = ws.maker(norm.inputs[0])
        if add is None or not add.computes("add") or len(add.inputs) != 2 or add.node.fused:
            continue
        if ws.sole_reader(add.output) is norm or add.inputs[0] == add.inputs[1]:
            continue
        shape = ws.shape(add.output)
        if not all(same_shape(ws.shape(n), shape) and ws.dtype(n) == norm.op.dtype for n in (*add.inputs, add.output)):
            continue
        if any(ws.is_constant(n) for n in add.inputs) or not same(ws.elements(add.output), norm.op.rows * norm.op.cols):
            continue
        ws.merge(
            [add, norm],
            main=norm,
            op=norm.op.replace(residual=True),
            inputs=(*add.inputs, *norm.inputs[1:]),
            outputs=(add.output, *norm.node.outputs),
            # The parameters are constants, so that everything the kernel reads is there when the addition could run.
            at=add,
            fused=norm.node.fused,
            extra_bytes_read=norm.node.extra_bytes_read,
        )

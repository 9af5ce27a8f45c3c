"""Operators that change nothing: an engine drops them when it loads the model."""

from __future__ import annotations

from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same, same_shape
from perfmodel.ops import Copy, Elementwise, View

NO_OP = "no-op"

_NAMES_OF_NOTHING = ("identity", "dropout", "alias", "clone", "detach", "stop_gradient")
# Copies whose kind alone says that each output element is one input element, in the same order.
_ORDER_KEEPING = ("copy", "expand", "broadcast", "tile", "slice", "concat", "pad", "split", *_NAMES_OF_NOTHING)


def remove_noops(ws: Rewriter) -> None:
    """Removes identities, dropouts, casts to the same dtype, arithmetic with neutral constants, transposes that move
    only axes of length one, pairs of transposes that cancel, and copies of a whole tensor onto itself."""
    for vertex in ws.vertices(View, Copy, Elementwise):
        if ws.alive(vertex) and len(vertex.node.outputs) >= 1 and vertex.inputs and _is_noop(ws, vertex):
            ws.bypass(vertex, NO_OP)
        elif vertex.copies("transpose"):
            _cancel_transposes(ws, vertex)


def _is_noop(ws: Rewriter, vertex: Vertex) -> bool:
    if any(ws.readers(name) or ws.is_output(name) for name in vertex.node.outputs[1:]):
        return False  # a second result that is used: the mask of a dropout, the parts of a split
    source, result = vertex.inputs[0], vertex.output
    if vertex.is_view or vertex.computes(*_NAMES_OF_NOTHING):
        return vertex.kind in _NAMES_OF_NOTHING and same_shape(ws.shape(source), ws.shape(result))
    if ws.dtype(source) != ws.dtype(result):
        return False
    if isinstance(vertex.op, Elementwise):
        return _is_neutral(ws, vertex)
    if vertex.kind == "cast":
        # One dtype stands for all 8-bit floating-point formats; a cast that keeps the format is a view already.
        return ws.dtype(source) != "fp8" and same_shape(ws.shape(source), ws.shape(result))
    if vertex.kind == "transpose":
        return moves_nothing(ws, vertex)
    if vertex.kind not in _ORDER_KEEPING or len([n for n in vertex.inputs if not ws.is_constant(n)]) > 1:
        return False
    return same_shape(ws.shape(source), ws.shape(result))


def _is_neutral(ws: Rewriter, vertex: Vertex) -> bool:
    """x·1, x/1, x+0, x-0, x^1 whose result has the shape of x."""
    if len(vertex.inputs) != 2:
        return False
    first, second = vertex.inputs
    neutral = {"mul": 1.0, "div": 1.0, "pow": 1.0, "add": 0.0, "sub": 0.0}.get(vertex.kind)
    if neutral is None:
        return False
    if ws.scalar(first) == neutral and vertex.kind in ("mul", "add"):
        first, second = second, first
    if ws.scalar(second) != neutral or not same_shape(ws.shape(first), ws.shape(vertex.output)):
        return False
    ws.update(vertex, inputs=(first, second))  # bypass() hands on the operand that stands first
    return True


def permutation(vertex: Vertex) -> tuple[int, ...] | None:
    """The axes' order of a transpose; None when the reader did not say."""
    perm = vertex.node.attributes.get("perm")
    return None if perm is None else tuple(int(p) for p in perm)


def fits(ws: Rewriter, transpose: Vertex) -> bool:
    """Whether a transpose reads its operand in the shape that it was written for.

    Once views are taken out it may not: then its axes are not the operand's axes.
    """
    perm, shape = permutation(transpose), ws.shape(transpose.inputs[0])
    if perm is None or shape is None or len(shape) != len(perm):
        return False
    return same_shape(ws.shape(transpose.output), [shape[axis] for axis in perm])


def moves_nothing(ws: Rewriter, vertex: Vertex) -> bool:
    """Whether a transpose leaves the order of the elements in memory as it is."""
    perm, shape = permutation(vertex), ws.shape(vertex.inputs[0])
    if perm is None or shape is None or not fits(ws, vertex):
        return False
    moving = [axis for axis in perm if not same(shape[axis], 1)]
    return moving == sorted(moving)


def _cancel_transposes(ws: Rewriter, vertex: Vertex) -> None:
    """A transpose of a transpose that together move nothing: the readers read the source."""
    first = ws.maker(vertex.inputs[0])
    if first is None or not first.copies("transpose") or not fits(ws, vertex):
        return
    inner, outer = permutation(first), permutation(vertex)
    if inner is None or outer is None or len(inner) != len(outer):
        return
    if tuple(inner[axis] for axis in outer) != tuple(range(len(inner))):
        return
    if ws.bypass(vertex, NO_OP, source=first.inputs[0]) and ws.is_unread(first.output):
        ws.drop(first, NO_OP, 0)

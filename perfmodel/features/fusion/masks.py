"""Whether a mask is causal, from what the graph tells without reading its values."""

from __future__ import annotations

from enum import Enum
from typing import Any

from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same

_ORDERS = ("less", "less_equal", "greater", "greater_equal")
_TRIANGLES = ("trilu", "tril", "triu")
_MAX_ANCESTORS = 256


# Operators of ONNX that exporters make causal masks with; a reader lists them as removed when the mask is constant.
_MAKERS_OF_TRIANGLES = frozenset(("LessOrEqual", "Less", "Trilu"))


class Causality(Enum):
    """What is known about the masks of one attention operator."""

    CAUSAL = "causal"
    ASSUMED = "causal, as far as one can tell"
    FULL = "not causal"
    UNKNOWN = "a constant whose values are not known"


def causality(ws: Rewriter, masks: list[tuple[Vertex, str]], q_len: Any, kv_len: Any) -> Causality:
    """Decides from the masks' making.

    A mask is causal when its reader says so (``attributes["causal"]`` of a vertex that applies the mask or helps to
    make it), when positions of queries are compared by order with positions of keys to make it, or when a triangle is
    cut out of a matrix. A mask that follows from constants alone has no vertices left that make it: it is assumed to
    be causal when it is one matrix for all heads and the file compares by order, or cuts triangles, among its
    constants.

    Args:
        masks: the vertices that apply masks, each with the mask's name.
        q_len, kv_len: extent of the scores.
    """
    answer = Causality.FULL
    if same(q_len, 1):
        return answer  # the one query is the last: it sees all keys
    for vertex, name in masks:
        said = vertex.node.attributes.get("causal")
        if said or (said is None and _is_made_by_order(ws, name)):
            return Causality.CAUSAL
        if said is None and ws.is_constant(name) and not _is_one_row(ws, name):
            is_likely = ws.removed_operators & _MAKERS_OF_TRIANGLES and _is_for_all_heads(ws, name, q_len, kv_len)
            answer = Causality.ASSUMED if is_likely else Causality.UNKNOWN
    return answer


def window(masks: list[tuple[Vertex, str]]) -> int | None:
    """Keys that each query sees at most, where the reader read that from a mask; None means no limit."""
    found = [v.node.attributes.get("window") for v, _ in masks]
    return min((int(w) for w in found if w is not None), default=None)


def _is_for_all_heads(ws: Rewriter, name: str, q_len: Any, kv_len: Any) -> bool:
    """Whether a mask holds one value for each pair of query and key, whatever the head: no bias of positions."""
    shape = ws.shape(name)
    if shape is None or len(shape) < 2 or not (same(shape[-1], kv_len) and same(shape[-2], q_len)):
        return False
    return len(shape) == 2 or same(shape[-3], 1)


def _is_one_row(ws: Rewriter, name: str) -> bool:
    """Whether all queries see the same keys."""
    shape = ws.shape(name)
    return shape is not None and (len(shape) < 2 or same(shape[-2], 1))


def _is_made_by_order(ws: Rewriter, name: str) -> bool:
    waiting, seen = [name], {name}
    while waiting and len(seen) < _MAX_ANCESTORS:
        vertex = ws.maker(waiting.pop())
        if vertex is None:
            continue
        if vertex.node.attributes.get("causal") or vertex.kind in _TRIANGLES:
            return True
        if vertex.computes(*_ORDERS) and _compares_positions(ws, vertex):
            return True
        for operand in vertex.inputs:
            if operand not in seen:
                seen.add(operand)
                waiting.append(operand)
    return False


def _compares_positions(ws: Rewriter, vertex: Vertex) -> bool:
    """Whether a column of query positions is compared with a row of key positions."""
    shapes = [ws.shape(n) for n in vertex.inputs]
    if len(shapes) != 2 or any(s is None or len(s) < 1 for s in shapes):
        return False
    first, second = (s or () for s in shapes)
    result = ws.shape(vertex.output) or ()
    if len(result) < 2 or same(result[-2], 1):
        return False  # the same answer for all queries: positions are compared with lengths
    return any(
        len(column) >= 2 and same(column[-1], 1) and (len(row) < 2 or same(row[-2], 1)) and same(column[-2], result[-2])
        and same(row[-1], result[-1])
        for column, row in ((first, second), (second, first))
    )  # fmt: skip

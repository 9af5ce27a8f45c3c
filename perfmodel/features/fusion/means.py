"""Means that an exporter wrote out: a sum and a division by the number of its terms; and sums of sums."""

from __future__ import annotations

from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Reduce

_AGAIN = ("sum", "max", "min", "prod", "and", "or")


def fuse_means(ws: Rewriter) -> None:
    """A reduction of what the same reduction made along other axes is one over all of them; a sum times one over the number
    of its terms is a mean."""
    for vertex in ws.vertices(Reduce):
        if ws.alive(vertex) and vertex.kind in _AGAIN:
            joined = _join(ws, vertex)
            if joined.kind == "sum":
                _mean(ws, joined)


def _join(ws: Rewriter, first: Vertex) -> Vertex:
    while True:
        second, views = ws.ahead(first.output)
        if second is None or views or not isinstance(second.op, Reduce) or second.kind != first.kind:
            return first
        assert isinstance(first.op, Reduce)
        inner, outer = first.node.attributes.get("axis"), second.node.attributes.get("axis")
        keeps = first.node.attributes.get("keepdims") and second.node.attributes.get("keepdims")
        if not keeps or not isinstance(inner, tuple) or not isinstance(outer, tuple) or len(first.node.outputs) != 1:
            return first
        op = second.op.replace(cols=first.op.cols * second.op.cols, dtype=first.op.dtype)
        attributes = {**second.node.attributes, "axis": tuple(sorted({*inner, *outer}))}
        # What the later reduction computes is executed still, in registers.
        fused = (*first.node.fused, second.op, *second.node.fused)
        merged = ws.merge(
            [first, second], main=second, op=op, outputs=second.node.outputs, attributes=attributes, fused=fused
        )
        if merged is None:
            return first
        first = merged


def _mean(ws: Rewriter, total: Vertex) -> None:
    reader, views = ws.ahead(total.output)
    name = views[-1].output if views else total.output
    if reader is None or len(total.node.outputs) != 1 or not isinstance(total.op, Reduce):
        return
    other = reader.other(name)
    number = None if other is None else ws.scalar(other)
    if number is None or not isinstance(total.op.cols, int) or total.op.cols < 1:
        return
    is_mean = reader.computes("div") and reader.inputs[0] == name and same(number, float(total.op.cols))
    is_mean = is_mean or (reader.computes("mul") and abs(number * total.op.cols - 1) < 1e-3)
    if not is_mean or ws.dtype(reader.output) != ws.dtype(total.output):
        return
    attributes = dict(total.node.attributes)
    if views:  # the axes that the result has are those of the view
        attributes["keepdims"] = len(ws.shape(reader.output) or ()) == len(ws.shape(total.inputs[0]) or ())
    ws.merge(
        [total, *views, reader], main=total, op=total.op.replace(kind="mean"), outputs=reader.node.outputs,
        attributes=attributes, fused=(*total.node.fused, reader.op, *reader.node.fused),
    )  # fmt: skip

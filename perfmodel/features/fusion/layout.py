"""Copies and views that no kernel needs: attention and rotary embeddings read and write any layout."""

from __future__ import annotations

from perfmodel.features.fusion.rewrite import MOVES_NOTHING, Rewriter, Vertex, same
from perfmodel.ops import Attention, Copy, Elementwise, View

READ_STRIDED = "read strided by {}"
WRITTEN_STRIDED = "written strided by attention"

_SPREADING = ("expand", "broadcast", "tile", "repeat")


def drop_views(ws: Rewriter) -> None:
    """Takes all views out: the readers read the tensor that they are a view of. Those that the model returns stay."""
    for vertex in ws.vertices(View):
        if len(vertex.node.outputs) != 1 or not vertex.inputs:
            continue
        source, result = vertex.inputs[0], vertex.output
        # Shape arithmetic is a view to the cost model, but its result does not hold its operand's values.
        if ws.dtype(source) == ws.dtype(result) and same(ws.elements(source), ws.elements(result)):
            ws.bypass(vertex, MOVES_NOTHING)


def read_strided(ws: Rewriter) -> None:
    """Transposes, slices, splits and repetitions that only feed attention or rotary embeddings do not happen: these
    kernels read any layout. Elementwise kernels and concatenations read slices and parts of a split where they lie. A
    transpose of attention's result does not happen either: it is written in that layout."""
    for vertex in ws.vertices(Attention):
        reader = ws.sole_reader(vertex.output) if len(vertex.node.outputs) == 1 else None
        if reader is not None and reader.copies("transpose"):
            ws.bypass(reader, WRITTEN_STRIDED)
    for vertex in ws.vertices(Copy, newest_first=True):
        if not vertex.inputs or any(ws.is_output(name) for name in vertex.node.outputs):
            continue
        readers = [r for name in vertex.node.outputs for r in ws.readers(name)]
        if not readers:
            continue
        kernel = _kernel(ws, vertex, readers)
        if kernel is not None:
            ws.bypass(vertex, READ_STRIDED.format(kernel))


def _kernel(ws: Rewriter, vertex: Vertex, readers: list[Vertex]) -> str | None:
    """The kernel that reads a copy's source in the copy's place; None when the copy must run."""
    attends = any(isinstance(r.op, Attention) for r in readers)
    if vertex.copies("transpose", *_SPREADING) and all(_reads_any_layout(r) for r in readers):
        return "attention" if attends else "the rotary embedding"
    if not is_cut(ws, vertex):
        return None
    if all(_reads_any_layout(r) or _reads_a_part(vertex, r) for r in readers):
        return "attention" if attends else "the elementwise kernel"
    if all(r.copies("concat") for r in readers):
        return "the concatenation"
    return None


def _reads_a_part(vertex: Vertex, reader: Vertex) -> bool:
    """Whether a reader is an elementwise kernel that reads of the source nothing but the part.

    One that reads the whole source, too, needs an element of it for several results: it must not look like a kernel that
    reads one operand twice, which can be done while the source is written.
    """
    return isinstance(reader.op, Elementwise) and vertex.inputs[0] not in reader.inputs


def is_cut(ws: Rewriter, vertex: Vertex) -> bool:
    """Whether a copy takes a part of its operand at a place known beforehand."""
    if vertex.copies("gather"):
        return len(vertex.inputs) == 2 and ws.is_constant(vertex.inputs[1]) and ws.is_small(vertex.inputs[1])
    return vertex.copies("slice", "split")


def _reads_any_layout(vertex: Vertex) -> bool:
    return isinstance(vertex.op, Attention) or (isinstance(vertex.op, Elementwise) and "rope" in vertex.kind.split("+"))

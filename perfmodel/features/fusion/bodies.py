"""Reductions whose file computes what they reduce in the same body: one kernel again, after the patterns had a look.

MLIR's ``linalg.generic`` squares and sums in one body. Its reader makes a node of each function, which patterns know norms
and softmax by; where none applied, what a body computes is not stored only to be read again.
"""

from __future__ import annotations

from perfmodel.features.fusion.rewrite import Rewriter, Vertex
from perfmodel.ops import Copy, Elementwise, Operator, Reduce

BODY = "body"
"""Attribute of the nodes that one body became: its name."""


def rejoin_bodies(ws: Rewriter) -> None:
    """Lets reductions compute what they reduce."""
    for vertex in ws.vertices(Reduce):
        if vertex.node.attributes.get(BODY):
            _rejoin(ws, vertex)


def _rejoin(ws: Rewriter, reduction: Vertex) -> None:
    name = reduction.node.attributes[BODY]
    members = [reduction]
    waiting = list(reduction.inputs)
    while waiting:
        made = ws.maker(waiting.pop())
        if made is None or made in members or made.node.attributes.get(BODY) != name:
            continue
        if not isinstance(made.op, (Elementwise, Copy)) or any(r not in members for r in ws.readers(made.output)):
            continue
        members.append(made)
        waiting += made.inputs
    inputs = ws.outside(members)
    if len(members) == 1 or not inputs:
        return
    assert isinstance(reduction.op, Reduce)
    widest = max(inputs, key=lambda n: float(size) if isinstance(size := ws.elements(n), int) else 0.0)
    dtype, result = ws.dtype(widest), ws.dtype(reduction.output)
    op = reduction.op.replace(dtype=dtype, out_dtype=None if result == dtype else result)
    parts: list[Operator] = []
    for vertex in sorted(members[1:], key=lambda v: v.key):
        if isinstance(vertex.op, Elementwise):
            parts.append(vertex.op.replace(inputs=0, input_elements=None))
        parts += vertex.node.fused
    attributes = {k: v for k, v in reduction.node.attributes.items() if k != BODY}
    # What the kernel reads is what its body reads, each operand once.
    extra = sum(ws.bytes(n) for n in inputs) - op.bytes_read
    ws.merge(
        members, main=reduction, op=op, outputs=reduction.node.outputs, inputs=inputs, attributes=attributes,
        fused=(*parts, *reduction.node.fused), extra_bytes_read=extra,
    )  # fmt: skip


__all__ = ["BODY", "rejoin_bodies"]

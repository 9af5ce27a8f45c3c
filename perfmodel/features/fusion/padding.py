"""Explicit padding before a convolution: convolutions pad while they read."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel.features.fusion.noops import permutation
from perfmodel.features.fusion.rewrite import MOVES_NOTHING, Rewriter, Vertex, same
from perfmodel.graph import Tensor
from perfmodel.ops import Conv, Copy, Pool

PADDED = "the convolution pads while it reads"
PADDED_BY_POOL = "the pool pads while it reads"

_SPATIAL = (("w", "pad_w"), ("h", "pad_h"), ("depth", "pad_d"))
"""Fields of a convolution's descriptor for its last axis, the one before it, and the one before that."""


def absorb_padding(ws: Rewriter) -> None:
    """Zeros around the spatial axes that only convolutions read become the convolutions' own padding, and borders that
    change no maximum (or count as zeros in a mean) that of pools.

    Reflected and repeated borders stay, since kernels of convolutions know zeros only; so does padding with other values.
    """
    for vertex in ws.vertices(Copy):
        if not vertex.copies("pad") or not ws.alive(vertex):
            continue
        if vertex.node.attributes.get("mode") == "constant":
            _absorb_into_pool(ws, vertex)
        if ws.alive(vertex) and _is_zero(vertex):
            pad = _move_past_transpose(ws, vertex)
            if pad is not None:
                _absorb(ws, pad)


_LOWEST = -3e38  # below what any format of 32 bits or fewer holds, but for infinities


def _absorb_into_pool(ws: Rewriter, pad: Vertex) -> None:
    """A pool that only adds neutral values at its borders reads the tensor without them."""
    value = pad.node.attributes.get("value")
    pool = ws.sole_reader(pad.output) if len(pad.node.outputs) == 1 else None
    if pool is None or not isinstance(pool.op, Pool) or pool.node.count != pad.node.count or value is None:
        return
    if not (value <= _LOWEST if pool.kind == "max" else value == 0.0 and pool.kind == "average"):
        return
    before, after = ws.shape(pad.inputs[0]), ws.shape(pad.output)
    if before is None or after is None or len(before) != 4 or len(after) != 4:
        return
    changed = [axis for axis in range(4) if not same(before[axis], after[axis])]
    # Channels stand before or after the two axes that are pooled over.
    for h, w in ((2, 3), (1, 2)):
        fits = same(after[h], pool.op.h) and same(after[w], pool.op.w)
        if fits and set(changed) <= {h, w} and ws.bypass(pad, PADDED_BY_POOL):
            ws.update(pool, op=pool.op.replace(h=before[h], w=before[w]))
            return


def _is_zero(vertex: Vertex) -> bool:
    attributes = vertex.node.attributes
    return attributes.get("mode") == "constant" and attributes.get("value") == 0.0


def _move_past_transpose(ws: Rewriter, pad: Vertex) -> Vertex | None:
    """A pad of channels-last data that is turned for a convolution afterwards: turned first, then padded."""
    reader = ws.sole_reader(pad.output) if len(pad.node.outputs) == 1 else None
    if reader is None or not reader.copies("transpose"):
        return pad
    perm, shape = permutation(reader), ws.shape(pad.inputs[0])
    if perm is None or shape is None or len(perm) != len(shape) or reader.node.fused or pad.node.fused:
        return None
    convolutions = ws.readers(reader.output)
    if ws.is_output(reader.output) or not convolutions or not all(isinstance(r.op, Conv) for r in convolutions):
        return None
    if not all(ws.is_constant(n) for n in (*pad.inputs[1:], *reader.inputs[1:])):
        return None
    dtype, result = ws.dtype(pad.output), reader.output
    assert isinstance(reader.op, Copy)
    turned = reader.op.replace(elements=ws.elements(pad.inputs[0]))
    ws.swap(pad, reader, Tensor(pad.output, tuple(shape[axis] for axis in perm), dtype), (pad.op, turned))
    return ws.maker(result)


def _absorb(ws: Rewriter, pad: Vertex) -> None:
    if len(pad.node.outputs) != 1 or ws.is_output(pad.output):
        return
    # A convolution along one axis may be written as one along two, with a view in between.
    reader, views = ws.ahead(pad.output)
    name = views[-1].output if views else pad.output
    readers = [reader] if reader is not None else ws.readers(pad.output)
    if not readers or not all(r.inputs.count(name) == 1 and r.inputs[0] == name for r in readers):
        return
    changed = [_padded(ws, r, pad, name) for r in readers]
    if any(op is None for op in changed):
        return
    for view in views:
        ws.bypass(view, MOVES_NOTHING)
    if ws.bypass(pad, PADDED):
        for r, op in zip(readers, changed, strict=True):
            assert op is not None
            ws.update(r, op=op)


def _padded(ws: Rewriter, reader: Vertex, pad: Vertex, name: str) -> Conv | None:
    """A convolution's descriptor when it reads what was padded for it; None when that is not the same.

    Args:
        name: the tensor that it reads: what the pad makes, or a view of that.
    """
    op = reader.op
    before, after, seen = ws.shape(pad.inputs[0]), ws.shape(pad.output), ws.shape(name)
    if not isinstance(op, Conv) or op.transposed or reader.node.count != pad.node.count:
        return None
    if before is None or after is None or seen is None or len(before) != len(after) or not 3 <= len(seen) <= 5:
        return None
    changes: dict[str, Any] = {}
    for axis in range(len(after)):
        if same(before[axis], after[axis]):
            continue
        # The axis of the view that steps through memory as this one does.
        found = [i for i in range(2, len(seen)) if same(seen[i], after[axis])]
        found = [i for i in found if same(prod(seen[i + 1 :]), prod(after[axis + 1 :]))]
        if not found:
            return None
        size, padding = _SPATIAL[len(seen) - 1 - found[0]]
        if size in changes or not same(getattr(op, size), after[axis]):
            return None
        both = 2 * getattr(op, padding) + after[axis] - before[axis]
        if isinstance(both, (int, float)):
            if after[axis] < before[axis]:
                return None
            both = int(both) // 2 if both % 2 == 0 else both / 2
        else:
            both = both / 2
        changes[size], changes[padding] = before[axis], both
    return op.replace(**changes)

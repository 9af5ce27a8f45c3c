"""Q and DQ around what only moves or selects values: it moves the narrow ones."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.features.fusion.quantized import arithmetic_of, dequantizes, keeps_values, quantizes
from perfmodel.features.fusion.rewrite import Rewriter, Vertex
from perfmodel.graph import Tensor
from perfmodel.ops import Copy, Operator, Pool, Quantize, Reduce
from perfmodel.ops.base import is_symbolic

CANCELLED = "quantises what was dequantised with the same scale"
MOVED = "the {} moves {}"

_SAME_ELEMENTS = ("transpose", "depth_to_space", "space_to_depth")
_SELECTS = ("max", "min")
"""Kinds of pools and reductions whose result is one of the operands: they need no scale of their own."""
_REDUCTIONS = ("mean", "sum", *_SELECTS)
_MAX_STEPS = 64


def move_quantization(ws: Rewriter) -> None:
    """Moves Q towards the makers and DQ towards the readers, over what does not change the values; and lets a DQ and the
    Q after it cancel when their scales are the same."""
    for vertex in ws.vertices(Quantize):
        if ws.alive(vertex) and quantizes(vertex) and not ws.is_constant(vertex.inputs[0]):
            _move_back(ws, vertex)
    for vertex in ws.vertices(Quantize):
        if ws.alive(vertex) and dequantizes(vertex) and not ws.is_constant(vertex.inputs[0]):
            _move_ahead(ws, vertex)
    for vertex in ws.vertices(Quantize):
        if ws.alive(vertex) and quantizes(vertex):
            _cancel(ws, vertex)


def _is_per_tensor(ws: Rewriter, vertex: Vertex) -> bool:
    return all(ws.is_small(name) for name in vertex.inputs[1:])


def _move_back(ws: Rewriter, q: Vertex) -> None:
    for _ in range(_MAX_STEPS):
        mover = ws.maker(q.inputs[0])
        if mover is None or ws.sole_reader(q.inputs[0]) is not q or not _is_per_tensor(ws, q):
            return
        if not _selects(ws, mover) and not keeps_values(ws, mover, *_SAME_ELEMENTS, "pad"):
            return
        if _grows(ws, mover):
            return
        narrow = ws.tensors[q.output].dtype
        between = Tensor(mover.output, ws.shape(mover.inputs[0]), narrow)
        q = _exchange(ws, mover, q, between, narrow, moved_first=True)


def _move_ahead(ws: Rewriter, dq: Vertex) -> None:
    for _ in range(_MAX_STEPS):
        mover = ws.sole_reader(dq.output)
        if mover is None or mover.inputs[0] != dq.output or not _is_per_tensor(ws, dq):
            return
        # A slice has fewer elements to dequantise.
        if not _selects(ws, mover) and not keeps_values(ws, mover, *_SAME_ELEMENTS, "slice"):
            return
        narrow = ws.tensors[dq.inputs[0]].dtype
        between = Tensor(dq.output, ws.shape(mover.output), narrow)
        dq = _exchange(ws, dq, mover, between, narrow, moved_first=False)


def _exchange(
    ws: Rewriter, first: Vertex, second: Vertex, between: Tensor, narrow: str, *, moved_first: bool
) -> Vertex:
    """Exchanges a mover and a Q or DQ beside it.

    Returns:
        The Q or DQ, where it stands afterwards.
    """
    mover, conversion = (first, second) if moved_first else (second, first)
    last = second.output
    assert isinstance(conversion.op, Quantize)
    # A Q reads the mover's operand afterwards, a DQ what the mover makes: in both cases what lies at its own wide side.
    shape = ws.shape(first.inputs[0]) if moved_first else between.shape
    assert shape is not None
    converted = conversion.op.replace(rows=prod(shape[:-1]), cols=shape[-1] if shape else 1)
    moved = mover.op.replace(dtype=narrow)
    ws.swap(first, second, between, (moved, converted) if moved_first else (converted, moved))
    found = ws.maker(between.name) if moved_first else ws.maker(last)
    assert found is not None
    return found


def _selects(ws: Rewriter, vertex: Vertex) -> bool:
    """Whether a vertex is a pool whose results are some of its operands."""
    if not isinstance(vertex.op, Pool) or vertex.kind not in _SELECTS or len(vertex.node.outputs) != 1:
        return False
    if vertex.node.fused:
        return False
    return len(vertex.inputs) == 1 and None not in (ws.shape(vertex.inputs[0]), ws.shape(vertex.output))


def _grows(ws: Rewriter, mover: Vertex) -> bool:
    """Whether more bytes would move with a Q before a pool than with one after it.

    With N elements in, n out: the pool reads 4N and writes 4n bytes, then Q 4n and n; the other way 4N and N, then N and n.
    In general, at w bytes each, (w + 2)·N + n against w·N + (2·w + 1)·n: it grows when N > w·n.
    """
    if not isinstance(mover.op, Pool):
        return False
    before, after = ws.elements(mover.inputs[0]), ws.elements(mover.output)
    width = int(dtype_record(ws.dtype(mover.inputs[0])).activation_bits // 8)
    return not _is_at_most(before, width * after)


def _is_at_most(a: Any, b: Any) -> bool:
    """Whether one number of elements is certainly no larger than another."""
    if not is_symbolic(a) and not is_symbolic(b):
        return bool(a <= b)
    import sympy

    return bool(sympy.expand(b - a).is_nonnegative)


def _cancel(ws: Rewriter, q: Vertex) -> None:
    dq = ws.maker(q.inputs[0])
    if dq is None or not dequantizes(dq) or not _same_parameters(ws, dq, q):
        return
    if ws.dtype(dq.inputs[0]) == ws.dtype(q.output) and ws.bypass(q, CANCELLED, source=dq.inputs[0]):
        ws.drop_unread(dq, CANCELLED)


def _same_parameters(ws: Rewriter, a: Vertex, b: Vertex) -> bool:
    """Whether a DQ and a Q certainly have the same scale and zero point."""

    def number(vertex: Vertex, index: int) -> float | str | None:
        if len(vertex.inputs) <= index:
            return 0.0  # no zero point
        scalar = ws.scalar(vertex.inputs[index])
        return scalar if scalar is not None else vertex.inputs[index]

    return all(number(a, i) == number(b, i) for i in (1, 2))


def copy_narrow(ws: Rewriter) -> None:
    """Lets copies, pools and means between DQ and Q work on the narrow values."""
    for vertex in ws.vertices(Copy, Pool, Reduce):
        if not ws.alive(vertex) or vertex.copies("cast"):
            continue
        if not isinstance(vertex.op, Reduce) or vertex.kind in _REDUCTIONS:
            _between(ws, vertex)


def _between(ws: Rewriter, vertex: Vertex) -> None:
    sources: dict[str, Vertex] = {}
    for name in dict.fromkeys(vertex.inputs):
        maker = ws.maker(name)
        if maker is not None and dequantizes(maker) and _is_per_tensor(ws, maker):
            sources[name] = maker
        elif ws.dtype(name) == getattr(vertex.op, "dtype", "") and not ws.is_small(name):
            return  # a wide operand
    used = [name for name in vertex.node.outputs if not ws.is_unread(name)]
    readers = [ws.sole_reader(name) for name in used]
    if not sources or not readers or vertex.node.fused:
        return
    for reader in readers:
        if reader is None or not quantizes(reader) or not _is_per_tensor(ws, reader):
            return
    takers = [reader for reader in readers if reader is not None]
    widths = {ws.dtype(dq.inputs[0]) for dq in sources.values()} | {ws.dtype(q.output) for q in takers}
    if len(widths) != 1:
        return
    (narrow,) = widths
    fused: list[Operator] = []
    gone = []
    selects = isinstance(vertex.op, Copy) or vertex.kind in _SELECTS
    for q in takers:
        if selects and all(_same_parameters(ws, dq, q) for dq in sources.values()):
            gone.append((q, MOVED.format(vertex.kind or vertex.op.op, narrow), q.node.flops))
        else:
            fused.append(arithmetic_of(q, ws.elements(q.output)))
    outputs = [q.output for q in takers]
    outputs += [name for name in vertex.node.outputs if name not in used]
    merged = ws.merge(
        [vertex, *takers],
        main=vertex,
        op=vertex.op.replace(dtype=narrow),
        inputs=[sources[name].inputs[0] if name in sources else name for name in vertex.inputs],
        outputs=outputs,
        fused=fused,
        extra_bytes_read=vertex.node.extra_bytes_read,
        gone=gone,
    )
    if merged is None:
        return
    for name in outputs[len(takers) :]:
        ws.store(Tensor(name, ws.shape(name), narrow))
    for dq in sources.values():
        ws.drop_unread(dq, MOVED.format(merged.kind or merged.op.op, narrow))

"""Quantised graphs: what the quantise and dequantise nodes (Q, DQ) around an operator mean to an engine.

A file says "dequantise both operands, multiply in floating point, quantise the result"; an engine multiplies the integers,
and scales the sums while it writes them (NVIDIA TensorRT Developer Guide, "Working with Quantized Types"; ONNX Runtime,
"Quantize ONNX models", format QDQ). The passes of this module run first, in this order:

1. :func:`move_quantization`: Q goes to where the values are made, DQ to where they are used, so that views, transposes
   and pooling between them move narrow values; DQ and Q of the same scale, one after the other, cancel.
2. :func:`run_on_integers`: copies and pools between DQ and Q; products of two narrow operands, or of narrow weights;
   look-ups in narrow tables.
3. :func:`store_constants`: a DQ of constants that is left runs when the engine is built.

What they leave is met later: Q after a product, and DQ of its residual, join the product's epilogue (``epilogues``); Q
and DQ around elementwise operators are parts of their kernels (``elementwise``); attention quantises its probabilities
(``attention``). At the graph's edges, and around operators that have no integer kernel, they stay.
"""

from __future__ import annotations

from typing import Any

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.features.fusion.formats import is_narrow, product_format, weight_format
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.graph import Tensor
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Operator, Pool, Quantize, Reduce

CANCELLED = "quantises what was dequantised with the same scale"
MULTIPLIED = "its operand is multiplied as {}"
STORED = "the {} reads its weights as {}"
LOOKED_UP = "the look-up reads its table as {}"
MOVED = "the {} moves {}"
CONSTANT = "constant"

_SAME_ELEMENTS = ("transpose", "depth_to_space", "space_to_depth")
_CUTS = ("slice",)  # fewer elements come out than go in
_MAX_STEPS = 64
_SELECTS = ("max", "min")
"""Kinds of pools and reductions whose result is one of the operands: they need no scale of their own."""

WEIGHT_DTYPE = "weight_dtype"
"""Attribute of a product whose weights are stored narrower than its descriptor says."""


def quantizes(vertex: Vertex | None) -> bool:
    """Whether a vertex is a Q with a scale that is given."""
    return _is(vertex, "quantize")


def dequantizes(vertex: Vertex | None) -> bool:
    """Whether a vertex is a DQ."""
    return _is(vertex, "dequantize")


def _is(vertex: Vertex | None, kind: str) -> bool:
    if vertex is None or not isinstance(vertex.op, Quantize) or vertex.kind != kind:
        return False
    return len(vertex.inputs) >= 2 and len(vertex.node.outputs) == 1 and not vertex.node.fused


def arithmetic_of(vertex: Vertex, elements: Any) -> Elementwise:
    """What a Q or DQ computes, as a part of another kernel; it counts the same FLOPs."""
    assert isinstance(vertex.op, Quantize)
    return Elementwise(
        kind=vertex.kind, elements=elements, inputs=1, dtype=vertex.op.dtype, out_dtype=vertex.op.out_dtype
    )


def parameter_bytes(ws: Rewriter, vertex: Vertex) -> Any:
    """Bytes of the scales and zero points that a Q or DQ reads; single numbers are immediates."""
    return sum(ws.bytes(name) for name in vertex.inputs[1:] if not ws.is_small(name))


# ------------------------------------------------------------------------------------------------- where they stand
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
        if not _commutes(ws, mover, (*_SAME_ELEMENTS, "pad")) or _grows(ws, mover):
            return
        narrow = ws.tensors[q.output].dtype
        between = Tensor(mover.output, ws.shape(mover.inputs[0]), narrow)
        q = _exchange(ws, mover, q, between, narrow, moved_first=True)


def _move_ahead(ws: Rewriter, dq: Vertex) -> None:
    for _ in range(_MAX_STEPS):
        mover = ws.sole_reader(dq.output)
        if mover is None or mover.inputs[0] != dq.output or not _is_per_tensor(ws, dq):
            return
        if not _commutes(ws, mover, (*_SAME_ELEMENTS, *_CUTS)):
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
    rows: Any = 1
    for dim in shape[:-1]:
        rows = rows * dim
    converted = conversion.op.replace(rows=rows, cols=shape[-1] if shape else 1)
    moved = mover.op.replace(dtype=narrow)
    ws.swap(first, second, between, (moved, converted) if moved_first else (converted, moved))
    found = ws.maker(between.name) if moved_first else ws.maker(last)
    assert found is not None
    return found


def _commutes(ws: Rewriter, mover: Vertex, copies: tuple[str, ...]) -> bool:
    """Whether a vertex hands on values of its first operand, whatever they are."""
    if len(mover.node.outputs) != 1 or mover.node.count < 1 or mover.node.fused:
        return False
    if not all(ws.is_constant(name) for name in mover.inputs[1:]) or None in (
        ws.shape(mover.inputs[0]),
        ws.shape(mover.output),
    ):
        return False
    if mover.is_view:
        # Shape arithmetic is a view, too, but its result does not hold its operand's values.
        source, result = mover.inputs[0], mover.output
        return ws.dtype(source) == ws.dtype(result) and same(ws.elements(source), ws.elements(result))
    return mover.copies(*copies) or (isinstance(mover.op, Pool) and mover.kind in _SELECTS)


def _grows(ws: Rewriter, mover: Vertex) -> bool:
    """Whether more bytes would move with a Q before a pool than with one after it.

    With N elements in, n out: the pool reads 4N and writes 4n bytes, then Q 4n and n; the other way 4N and N, then N and n.
    The file's values may be narrower: at 2 bytes each, 2N + 2n + 2n + n against 2N + N + N + n.
    """
    if not isinstance(mover.op, Pool):
        return False
    before, after = ws.elements(mover.inputs[0]), ws.elements(mover.output)
    if not (isinstance(before, int) and isinstance(after, int)):
        return True
    width = dtype_record(ws.dtype(mover.inputs[0])).activation_bits / 8
    return 2 * before > 2 * width * after


def _cancel(ws: Rewriter, q: Vertex) -> None:
    dq = ws.maker(q.inputs[0])
    if dq is None or not dequantizes(dq) or not _same_parameters(ws, dq, q):
        return
    if ws.dtype(dq.inputs[0]) == ws.dtype(q.output) and ws.bypass(q, CANCELLED, source=dq.inputs[0]):
        _drop_unread(ws, dq, CANCELLED)


def _same_parameters(ws: Rewriter, a: Vertex, b: Vertex) -> bool:
    """Whether a DQ and a Q certainly have the same scale and zero point."""

    def number(vertex: Vertex, index: int) -> float | str | None:
        if len(vertex.inputs) <= index:
            return 0.0  # no zero point
        scalar = ws.scalar(vertex.inputs[index])
        return scalar if scalar is not None else vertex.inputs[index]

    return all(number(a, i) == number(b, i) for i in (1, 2))


def _drop_unread(ws: Rewriter, vertex: Vertex, reason: str) -> None:
    if ws.alive(vertex) and all(ws.is_unread(name) for name in vertex.node.outputs):
        ws.drop(vertex, reason, vertex.node.flops)


# ------------------------------------------------------------------------------------------ what runs on integers
def run_on_integers(ws: Rewriter) -> None:
    """Lets the operators around which Q and DQ stand work on the narrow values themselves."""
    for vertex in ws.vertices(Copy, Pool, Reduce):
        if ws.alive(vertex):
            _between(ws, vertex)
    for vertex in ws.vertices(Gemm, Conv):
        _multiply(ws, vertex)
    for vertex in ws.vertices(Copy):
        if vertex.copies("gather") and len(vertex.inputs) == 2:
            _look_up(ws, vertex)


def _between(ws: Rewriter, vertex: Vertex) -> None:
    """A copy, pool or mean between DQ and Q."""
    if vertex.copies("cast") or (isinstance(vertex.op, Reduce) and vertex.kind not in ("mean", "sum", *_SELECTS)):
        return
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
        _drop_unread(ws, dq, MOVED.format(merged.kind or merged.op.op, narrow))


class _Narrow:
    """An operand of a product that is stored narrow.

    Attributes:
        name: the tensor that the kernel reads.
        dtype: how it is stored.
        is_weight: whether it is stored with the model.
        parameters: bytes of its scales and zero points.
        scale: dtype of the scales; formats with scales a block of values are told apart by it.
        path: the vertices that lie between, the DQ last.
    """

    def __init__(self, ws: Rewriter, dq: Vertex, path: list[Vertex], operand: str) -> None:
        source = dq.inputs[0]
        self.dtype = ws.dtype(source)
        self.is_weight = ws.is_constant(source)
        self.path = [*path, dq]
        self.name = source
        if path:  # turned when the engine is built
            shape = ws.shape(operand)
            self.name = ws.store(Tensor(f"{operand} as {self.dtype}", shape, self.dtype, is_weight=True))
        self.parameters = parameter_bytes(ws, dq)
        self.scale = ws.dtype(dq.inputs[1])
        scales = ws.maker(dq.inputs[1])
        # Scales may be stored narrow themselves, with a scale of their own (NVFP4).
        if scales is not None and dequantizes(scales) and ws.is_constant(scales.inputs[0]):
            self.path.append(scales)
            self.scale = ws.dtype(scales.inputs[0])
            self.parameters += ws.bytes(scales.inputs[0]) - ws.bytes(dq.inputs[1])


def _narrow(ws: Rewriter, name: str) -> _Narrow | None:
    """The narrow tensor that an operand is made from; None when there is none."""
    operand = name
    path: list[Vertex] = []
    while (vertex := ws.maker(name)) is not None and len(path) < _MAX_STEPS:
        if dequantizes(vertex):
            if path and not ws.is_constant(vertex.inputs[0]):
                return None
            return _Narrow(ws, vertex, path, operand) if is_narrow(ws.dtype(vertex.inputs[0])) else None
        if not _commutes(ws, vertex, ("transpose",)) or isinstance(vertex.op, Pool):
            return None
        path.append(vertex)
        name = vertex.inputs[0]
    return None


def _multiply(ws: Rewriter, product: Vertex) -> None:
    """A product of narrow operands, or with narrow weights."""
    op = product.op
    if len(product.inputs) < 2 or len(product.node.outputs) != 1 or not is_wide_float(op.dtype):
        return
    if not any(dequantizes(ws.maker(n)) or ws.maker(n) is not None for n in product.inputs[:2]):
        return
    left, right = (_narrow(ws, name) for name in product.inputs[:2])
    if left is not None and right is not None:
        first, second = (right, left) if left.is_weight and not right.is_weight else (left, right)
        dtype = product_format(first.dtype, second.dtype, second.scale)
    else:
        weights = right or left
        if weights is None or not weights.is_weight:
            return
        second = weights
        other = product.inputs[0 if right is not None else 1]
        dtype = weight_format(ws.dtype(other), second.dtype)
    if dtype is None:
        return
    operands = [n for n in (left, right) if n is not None]
    new = _in_format(ws, op, dtype, second, ws.dtype(product.output))
    extra = product.node.extra_bytes_read + sum(n.parameters for n in operands)
    attributes = dict(product.node.attributes)
    if second.is_weight:
        # The descriptor counts weights of its format's width, with that format's own scales.
        extra = extra + ws.bytes(second.name) - new.weight_bytes
        if dtype_record(second.dtype).weight_bits != dtype_record(dtype).weight_bits:
            attributes[WEIGHT_DTYPE] = second.dtype
    change = {n: found.name for n, found in zip(product.inputs[:2], (left, right), strict=False) if found is not None}
    biases = {n: ws.maker(n) for n in product.inputs[2:]}
    for name, dq in biases.items():
        if dq is not None and dequantizes(dq) and ws.is_constant(dq.inputs[0]):
            change[name] = dq.inputs[0]
            extra = extra + ws.bytes(dq.inputs[0]) - ws.bytes(name)
    ws.update(product, op=new, extra_bytes_read=extra, attributes=attributes)
    ws.reroute(product, change)
    label = "convolution" if isinstance(op, Conv) else "GEMM"
    for found in operands:
        reason = STORED.format(label, found.dtype) if found.is_weight else MULTIPLIED.format(found.dtype)
        for vertex in found.path:
            _drop_unread(ws, vertex, reason)
    for dq in biases.values():
        if dq is not None and dequantizes(dq):
            _drop_unread(ws, dq, STORED.format(label, "integers"))


def is_wide_float(dtype: str) -> bool:
    """Whether a product is still one of plain floating-point numbers."""
    return dtype in ("fp64", "fp32", "tf32", "fp16", "bf16")


def _in_format(ws: Rewriter, op: Operator, dtype: str, weights: _Narrow, result: str) -> Any:
    """The product's descriptor in another format, weights on the side of B."""
    changes: dict[str, Any] = {"dtype": dtype, "out_dtype": result}
    if isinstance(op, Gemm) and weights.is_weight:
        elements = ws.elements(weights.name)
        if same(op.batch * op.m * op.k, elements) and not same(op.batch * op.n * op.k, elements):
            changes.update(m=op.n, n=op.m)
    return op.replace(**changes)


def _look_up(ws: Rewriter, gather: Vertex) -> None:
    """A selection from a narrow table: only the selected values are made wide."""
    dq = ws.maker(gather.inputs[0])
    if dq is None or not dequantizes(dq) or not ws.is_constant(dq.inputs[0]):
        return
    narrow = ws.dtype(dq.inputs[0])
    if not isinstance(gather.op, Copy) or gather.op.dtype != ws.dtype(dq.output):
        return
    op = gather.op.replace(dtype=narrow, out_dtype=gather.op.out_dtype or gather.op.dtype)
    ws.update(gather, op=op)
    ws.reroute(gather, {dq.output: dq.inputs[0]})
    _drop_unread(ws, dq, LOOKED_UP.format(narrow))


def store_constants(ws: Rewriter) -> None:
    """A DQ of constants that no kernel takes in runs when the engine is built."""
    for vertex in ws.vertices(Quantize):
        if dequantizes(vertex) and all(ws.is_constant(name) for name in vertex.inputs):
            if ws.is_output(vertex.output) or ws.is_unread(vertex.output):
                continue
            ws.make_constant(vertex, CONSTANT)


__all__ = ["arithmetic_of", "dequantizes", "move_quantization", "quantizes", "run_on_integers", "store_constants"]

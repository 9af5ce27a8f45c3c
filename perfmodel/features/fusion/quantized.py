"""Quantised graphs: what the quantise and dequantise nodes (Q, DQ) around an operator mean to an engine.

A file says "dequantise both operands, multiply in floating point, quantise the result"; an engine multiplies the integers,
and scales the sums while it writes them (NVIDIA TensorRT Developer Guide, "Working with Quantized Types"; ONNX Runtime,
"Quantize ONNX models", format QDQ). Four passes run before all others:

1. ``quantized_copies.copy_narrow``: copies, pools and means between DQ and Q.
2. ``quantized_copies.move_quantization``: Q goes to where the values are made, DQ to where they are used, so that views,
   transposes and pools between them move narrow values; DQ and Q of one scale, one after the other, cancel.
3. :func:`multiply_narrow`: products of two narrow operands, or of narrow weights; look-ups in narrow tables.
4. :func:`store_constants`: a DQ of constants that is left runs when the engine is built.

What they leave is met later: Q after a product, and DQ of its residual, join the product's epilogue (``epilogues``); Q
and DQ around elementwise operators are parts of their kernels (``elementwise``); attention quantises its probabilities
(``attention``). At the graph's edges, and around operators that have no integer kernel, they stay.
"""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel.dtypes import element_bytes
from perfmodel.features.fusion.noops import permutation
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.graph import Tensor
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Operator, Quantize
from perfmodel.ops.base import at_least, ceil_div, storage_bytes
from perfmodel.ops.formats import LARGEST_GROUP, is_narrow, product_format, weight_format

MULTIPLIED = "its operand is multiplied as {}"
STORED = "the {} reads its weights as {}"
LOOKED_UP = "the look-up reads its table as {}"
CONSTANT = "constant"

_MAX_STEPS = 64


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


def parameters(ws: Rewriter, vertex: Vertex) -> list[str]:
    """The scales and zero points that a Q or DQ reads; single numbers are immediates."""
    return [name for name in vertex.inputs[1:] if not ws.is_small(name)]


def keeps_values(ws: Rewriter, vertex: Vertex, *copies: str) -> bool:
    """Whether a vertex hands on values of its first operand, whatever they are: a view, or a copy of these kinds."""
    if len(vertex.node.outputs) != 1 or not vertex.inputs or vertex.node.fused:
        return False
    source, result = vertex.inputs[0], vertex.output
    if ws.shape(source) is None or ws.shape(result) is None:
        return False
    if not all(ws.is_constant(name) for name in vertex.inputs[1:]):
        return False
    if vertex.is_view:
        # Shape arithmetic is a view, too, but its result does not hold its operand's values.
        return ws.dtype(source) == ws.dtype(result) and same(ws.elements(source), ws.elements(result))
    return vertex.copies(*copies)


def is_wide_float(dtype: str) -> bool:
    """Whether a format is plain floating point, nothing quantised."""
    return dtype in ("fp64", "fp32", "tf32", "fp16", "bf16")


def multiply_narrow(ws: Rewriter) -> None:
    """Lets products and look-ups work on narrow values themselves."""
    if not ws.vertices(Quantize):
        return
    for vertex in ws.vertices(Gemm, Conv):
        _multiply(ws, vertex)
    for vertex in ws.vertices(Copy):
        if vertex.copies("gather") and len(vertex.inputs) == 2:
            _look_up(ws, vertex)


class _Narrow:
    """An operand of a product that is stored narrow.

    Attributes:
        name: the tensor that the kernel reads.
        dtype: how it is stored.
        is_weight: whether it is stored with the model.
        parameters: its scales and zero points, but for single numbers.
        scale: dtype of the scales; formats with scales a block of values are told apart by it.
        block: values along the sums that share a scale; 0 where all of a row or of the tensor do.
        is_turned: whether the product reads its transpose.
        path: the vertices that lie between, the DQ last.
    """

    def __init__(self, ws: Rewriter, dq: Vertex, path: list[Vertex], operand: str, reader: Vertex) -> None:
        source = dq.inputs[0]
        self.dtype = ws.dtype(source)
        self.is_weight = ws.is_constant(source)
        self.path = [*path, dq]
        self.is_turned = isinstance(reader.op, Gemm) and len(path) % 2 == 1 and all(_swaps_last(v) for v in path)
        self.name = source
        if path and not self.is_turned:  # brought into shape when the engine is built
            shape = ws.shape(operand)
            self.name = ws.store(Tensor(f"{operand} as {self.dtype}", shape, self.dtype, is_weight=True))
        self.parameters = parameters(ws, dq)
        self.scale = ws.dtype(dq.inputs[1])
        self.block = int(dq.node.attributes.get("block_size") or 0)
        scales = ws.maker(dq.inputs[1])
        # Scales may be stored narrow themselves, with a scale of their own (NVFP4).
        if scales is not None and dequantizes(scales) and ws.is_constant(scales.inputs[0]):
            self.path.append(scales)
            self.scale = ws.dtype(scales.inputs[0])
            self.parameters = [scales.inputs[0], *(n for n in self.parameters if n != dq.inputs[1])]


def _swaps_last(vertex: Vertex) -> bool:
    perm = permutation(vertex) if vertex.copies("transpose") else None
    return perm is not None and perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2)


def _narrow(ws: Rewriter, name: str, reader: Vertex) -> _Narrow | None:
    """The narrow tensor that an operand of a product is made from; None when there is none."""
    operand = name
    path: list[Vertex] = []
    while (vertex := ws.maker(name)) is not None and len(path) < _MAX_STEPS:
        if dequantizes(vertex):
            if path and not ws.is_constant(vertex.inputs[0]):
                return None
            return _Narrow(ws, vertex, path, operand, reader) if is_narrow(ws.dtype(vertex.inputs[0])) else None
        if not keeps_values(ws, vertex, "transpose"):
            return None
        path.append(vertex)
        name = vertex.inputs[0]
    return None


def _multiply(ws: Rewriter, product: Vertex) -> None:
    """A product of narrow operands, or with narrow weights."""
    op = product.op
    if len(product.inputs) < 2 or len(product.node.outputs) != 1 or not is_wide_float(op.dtype):
        return
    left, right = (_narrow(ws, name, product) for name in product.inputs[:2])
    length = op.products[0].k if isinstance(op.products[0].k, int) else LARGEST_GROUP
    if left is not None and right is not None:
        first, second = (right, left) if left.is_weight and not right.is_weight else (left, right)
        dtype = product_format(first.dtype, second.dtype, second.scale, second.block or length)
    else:
        weights = right or left
        if weights is None or not weights.is_weight:
            return
        second = weights
        other = product.inputs[0 if right is not None else 1]
        dtype = weight_format(ws.dtype(other), second.dtype, second.scale, second.block or length)
    if dtype is None:
        return
    operands = [n for n in (left, right) if n is not None]
    new = _in_format(ws, op, dtype, second, ws.dtype(product.output))
    read = [name for n in operands for name in n.parameters]
    extra = product.node.extra_bytes_read + sum(ws.bytes(name) for name in read)
    if second.is_weight:
        # The descriptor counts weights of its format's width, with that format's own scales.
        extra = extra + ws.bytes(second.name) - new.weight_bytes
    change = {n: found.name for n, found in zip(product.inputs[:2], (left, right), strict=False) if found is not None}
    biases = {n: ws.maker(n) for n in product.inputs[2:]}
    for name, dq in biases.items():
        if dq is not None and dequantizes(dq) and ws.is_constant(dq.inputs[0]):
            change[name] = dq.inputs[0]
            extra = extra + ws.bytes(dq.inputs[0]) - ws.bytes(name)
    attributes = dict(product.node.attributes)
    for key, found in zip(("transpose_a", "transpose_b"), (left, right), strict=True):
        if found is not None and found.is_turned:
            attributes[key] = not attributes.get(key, False)
    ws.update(product, op=new, extra_bytes_read=extra, attributes=attributes)
    ws.reroute(product, change, read)
    label = "convolution" if isinstance(op, Conv) else "GEMM"
    for found in operands:
        reason = STORED.format(label, found.dtype) if found.is_weight else MULTIPLIED.format(found.dtype)
        for vertex in found.path:
            ws.drop_unread(vertex, reason)
    for dq in biases.values():
        if dq is not None and dequantizes(dq):
            ws.drop_unread(dq, STORED.format(label, "integers"))


def _in_format(ws: Rewriter, op: Operator, dtype: str, weights: _Narrow, result: str) -> Any:
    """The product's descriptor in another format, weights on the side of B."""
    changes: dict[str, Any] = {"dtype": dtype, "out_dtype": result}
    if isinstance(op, Gemm) and weights.is_weight:
        elements = ws.elements(weights.name)
        if same(op.batch * op.m * op.k, elements) and not same(op.batch * op.n * op.k, elements):
            changes.update(m=op.n, n=op.m)
    return op.replace(**changes)


def _look_up(ws: Rewriter, gather: Vertex) -> None:
    """A selection from a narrow table: only the selected values are made wide, with their share of the scales."""
    dq = ws.maker(gather.inputs[0])
    if dq is None or not dequantizes(dq) or not ws.is_constant(dq.inputs[0]):
        return
    narrow = ws.dtype(dq.inputs[0])
    if not isinstance(gather.op, Copy) or gather.op.dtype != ws.dtype(dq.output):
        return
    op = gather.op.replace(dtype=narrow, out_dtype=gather.op.out_dtype or gather.op.dtype)
    scales = parameters(ws, dq)
    read = sum(_selected_bytes(ws, gather, dq, name) for name in scales)
    fused = (arithmetic_of(dq, gather.op.elements), *gather.node.fused)
    ws.update(gather, op=op, fused=fused, extra_bytes_read=gather.node.extra_bytes_read + read)
    ws.reroute(gather, {dq.output: dq.inputs[0]}, scales)
    ws.drop_unread(dq, LOOKED_UP.format(narrow))


def _selected_bytes(ws: Rewriter, gather: Vertex, dq: Vertex, name: str) -> Any:
    """Bytes of those scales or zero points that belong to what a look-up selects: for each place along its axis those of
    that place, or all where they do not change along it."""
    table, scales = ws.shape(dq.inputs[0]) or (), ws.shape(name) or ()
    axis = gather.node.attributes.get("axis")
    axis = axis % max(len(table), 1) if isinstance(axis, int) else 0
    if len(scales) != len(table):  # one a place along the axis of the quantisation
        own = dq.node.attributes.get("axis")
        own = (1 if own is None else own) % max(len(table), 1)
        scales = tuple(prod(scales) if a == own else 1 for a in range(len(table)))
    if axis >= len(table) or same(scales[axis], 1):
        return ws.bytes(name)
    of_a_place = prod(size for a, size in enumerate(table) if a != axis)
    places = ceil_div(ws.elements(gather.output), at_least(of_a_place, 1))  # of single values: as if they lay together
    return storage_bytes(
        places * prod(size for a, size in enumerate(scales) if a != axis), 8 * element_bytes(ws.dtype(name))
    )


def store_constants(ws: Rewriter) -> None:
    """A DQ of constants that no kernel takes in runs when the engine is built."""
    for vertex in ws.vertices(Quantize):
        if dequantizes(vertex) and all(ws.is_constant(name) for name in vertex.inputs):
            if ws.is_output(vertex.output):
                continue
            ws.make_constant(vertex, CONSTANT)

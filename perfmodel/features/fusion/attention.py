"""softmax(Q·K^T)·V in all the ways exporters and people write it, into one attention operator.

The anchor is the softmax. Backwards from it stand, in any order, what is done to the scores (scaling, an additive
mask or a ``where``, casts, soft-capping, views) and the product Q·K^T; forwards stand casts, the guard against rows
without keys (``where(isnan(p), 0, p)``) and the product with V. Scales of Q and K before the product (torch writes √s
on both sides) and the repetition of K and V for grouped queries (GQA) are walked over on the way to the tensors that
a kernel reads.

The FLOPs of both products are kept exactly: a match whose attention operator would count others is no match.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perfmodel.features.fusion.layout import is_cut
from perfmodel.features.fusion.masks import Causality, causality, window
from perfmodel.features.fusion.noops import permutation
from perfmodel.features.fusion.quantized import arithmetic_of, is_wide_float, quantizes
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Attention, Copy, Elementwise, Gemm, Operator, Softmax
from perfmodel.ops.base import floor_div

_REPEATS = ("expand", "broadcast", "tile", "repeat")
_MAX_STEPS = 24


@dataclass
class _Scores:
    """What stands between Q·K^T and the softmax.

    Attributes:
        product: the vertex of Q·K^T.
        transposed: whether its result is transposed before the softmax (K·Q^T was computed).
        masks: the vertices that mask, each with the tensor that it reads as mask.
        extras: elementwise operators that are neither scale nor mask (soft-capping); they stay to be executed.
        members: all vertices walked over, the product included.
        shapes: shapes of the scores on the way, nearest to the softmax first.
    """

    product: Vertex
    transposed: bool = False
    masks: list[tuple[Vertex, str]] = field(default_factory=list)
    extras: list[Operator] = field(default_factory=list)
    members: list[Vertex] = field(default_factory=list)
    shapes: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class _Operand:
    """Q, K or V as a kernel reads it.

    Attributes:
        name: the tensor that the product reads once scales are taken out.
        elements: elements that are really there, before any repetition for GQA.
        scales: vertices that scale it.
        shapes: shapes met on the way back, nearest to the product first.
    """

    name: str
    elements: Any
    scales: list[Vertex] = field(default_factory=list)
    shapes: list[tuple[Any, ...]] = field(default_factory=list)


def fuse_attention(ws: Rewriter) -> None:
    """Replaces every softmax(Q·K^T)·V by one :class:`perfmodel.ops.Attention`."""
    for softmax in ws.vertices(Softmax):
        if ws.alive(softmax) and softmax.kind == "softmax" and _is_over_last_axis(ws, softmax):
            _match(ws, softmax)


def _is_over_last_axis(ws: Rewriter, softmax: Vertex) -> bool:
    shape = ws.shape(softmax.output)
    axis = softmax.node.attributes.get("axis", -1)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    return shape is not None and len(shape) >= 2 and axes in ((-1,), (len(shape) - 1,))


def _match(ws: Rewriter, softmax: Vertex) -> bool:
    scores = _scores(ws, softmax.inputs[0], _MAX_STEPS)
    if scores is None:
        return False
    after: list[Vertex] = []
    product = _second_product(ws, softmax, after)
    if product is None or len(scores.product.inputs) < 2:
        return False
    probabilities = (after[-1] if after else softmax).output
    if product.inputs.count(probabilities) != 1 or len(product.inputs) != 2:
        return False
    swapped = product.inputs[0] != probabilities  # V^T·P^T, as einsum may order it
    q_name, k_name = scores.product.inputs[:2]
    if scores.transposed:
        q_name, k_name = k_name, q_name
    v_name = product.inputs[0] if swapped else product.inputs[1]
    q, k, v = (_operand(ws, name) for name in (q_name, k_name, v_name))
    first, second = scores.product.op, product.op
    if not (isinstance(first, Gemm) and isinstance(second, Gemm)):
        return False
    is_narrow = not (is_wide_float(first.dtype) and is_wide_float(second.dtype))
    if is_narrow and first.dtype != second.dtype:
        return False
    shape = ws.shape(softmax.output)
    assert shape is not None
    scores.shapes.insert(0, shape)
    batch, heads = _batch_and_heads(shape, [*scores.shapes, *q.shapes, *k.shapes, *v.shapes], first.k)
    q_len, kv_len = shape[-2], shape[-1]
    value_dim = second.m if swapped else second.n
    is_causal = causality(ws, scores.masks, q_len, kv_len)
    causal = is_causal in (Causality.CAUSAL, Causality.ASSUMED)
    op = Attention(
        phase=_phase(q_len, causal),
        batch=batch,
        heads=heads,
        kv_heads=_kv_heads(heads, k.elements, batch * kv_len * first.k, v.elements, batch * kv_len * value_dim),
        q_len=q_len,
        kv_len=kv_len,
        head_dim=first.k,
        v_head_dim=None if same(value_dim, first.k) else value_dim,
        causal=causal,
        window=window(scores.masks),
        dtype=first.dtype if is_narrow else ws.dtype(q.name),
    )
    # Narrow products multiply narrow probabilities: the kernel quantises them.
    scores.extras += [arithmetic_of(v, op.scores) for v in after if quantizes(v)]
    if not same(op.product_flops, first.product_flops + second.product_flops):
        return False
    if not _replace(ws, [*scores.members, softmax, *after, product], scores, product, op, (q, k, v)):
        return False
    if is_causal is Causality.UNKNOWN:
        ws.note("attention with a constant mask whose values were not read: counted as attention to all keys", product)
    elif is_causal is Causality.ASSUMED:
        ws.note("attention with a constant mask: taken as causal, since the file compares positions by order", product)
    return True


def _replace(
    ws: Rewriter,
    members: list[Vertex],
    scores: _Scores,
    product: Vertex,
    op: Attention,
    operands: tuple[_Operand, _Operand, _Operand],
) -> bool:
    # A causal or local mask that is constant is a flag of the kernel; any other mask is read and added to every score.
    is_flag = op.causal or op.window is not None
    masks = [(v, name) for v, name in scores.masks if not (is_flag and ws.is_constant(name))]
    fused = [Elementwise(kind=v.kind, dtype=op.dtype, elements=op.scores, inputs=0) for v, _ in masks]
    scales = list(dict.fromkeys(v for operand in operands for v in operand.scales))
    inputs = list(dict.fromkeys([*(operand.name for operand in operands), *(name for _, name in masks)]))
    attention = ws.merge(
        members,
        main=product,
        op=op,
        inputs=inputs,
        outputs=product.node.outputs,
        fused=(*fused, *scores.extras),
        extra_bytes_read=sum(ws.bytes(name) for _, name in masks),
        attributes={},
        also=[name for v in scales for name in v.members],
    )
    if attention is None:
        return False
    for vertex in scales:
        ws.bypass(vertex, None, source=_scaled_operand(ws, vertex))
    return True


def _phase(q_len: Any, causal: bool) -> str:
    if same(q_len, 1):
        return "decode"
    return "prefill" if causal else "encoder"


def _kv_heads(heads: Any, k_elements: Any, k_each: Any, v_elements: Any, v_each: Any) -> Any:
    """Heads that K and V really have: their elements over the elements of one head; ``heads`` when that is
    undecided."""
    found = floor_div(k_elements, k_each) if k_elements is not None else None
    if found is None or not same(found * k_each, k_elements) or not same(found * v_each, v_elements):
        return heads
    divides = not isinstance(heads, int) or not isinstance(found, int) or (found > 0 and heads % found == 0)
    return found if divides else heads


def _batch_and_heads(shape: tuple[Any, ...], others: list[tuple[Any, ...]], head_dim: Any) -> tuple[Any, Any]:
    """Splits the independent score matrices into sequences and heads.

    Scores of rank 4 are (batch, heads, q, kv), of rank 5 (batch, kv_heads, group, q, kv). Scores of rank 3 have both
    in one axis: a tensor of rank 4 on the way tells them apart; without one they count as the heads of one sequence.
    """
    leading = shape[:-2]
    if len(leading) != 1:
        heads: Any = 1
        for dim in leading[1:]:
            heads = heads * dim
        return (leading[0] if leading else 1), heads
    for other in others:
        if len(other) != 4:
            continue
        batch = other[0]
        for heads, length in ((other[1], other[2]), (other[2], other[1])):
            if same(batch * heads, leading[0]) and (
                same(length, shape[-2]) or same(length, shape[-1]) or same(length, head_dim)
            ):
                return batch, heads
    return 1, leading[0]


def _scores(ws: Rewriter, name: str, steps: int) -> _Scores | None:
    """Walks back from the softmax to Q·K^T."""
    vertex = ws.maker(name)
    if vertex is None or steps == 0 or len(vertex.node.outputs) != 1:
        return None
    if isinstance(vertex.op, Gemm):
        is_plain = not vertex.node.fused and not any(ws.is_constant(n) for n in vertex.inputs)
        return _Scores(vertex, members=[vertex]) if is_plain else None
    if vertex.is_view or vertex.copies("cast"):
        found = _scores(ws, vertex.inputs[0], steps - 1)
    elif vertex.copies("transpose"):
        perm = permutation(vertex)
        if perm is None or perm != (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2):
            return None
        found = _scores(ws, vertex.inputs[0], steps - 1)
        if found is not None:
            found.transposed = not found.transposed
            found.shapes.clear()
    elif isinstance(vertex.op, Elementwise) and not vertex.node.fused:
        found = _through_arithmetic(ws, vertex, steps)
    else:
        return None
    if found is not None:
        found.members.append(vertex)
        shape = ws.shape(vertex.inputs[0])
        if shape is not None and not found.transposed:
            found.shapes.insert(0, shape)
    return found


def _through_arithmetic(ws: Rewriter, vertex: Vertex, steps: int) -> _Scores | None:
    """Through one scaling, masking or capping of the scores."""
    size = ws.elements(vertex.output)
    if vertex.computes("mul", "div", "add", "sub", "where", "tanh", "clip", "min", "max"):
        for name in vertex.inputs:
            if ws.is_constant(name) or not same(ws.elements(name), size):
                continue
            if vertex.kind in ("sub", "div") and name != vertex.inputs[0]:
                continue
            found = _scores(ws, name, steps - 1)
            if found is None:
                continue
            rest = [n for n in vertex.inputs if n != name]
            others = [n for n in rest if not ws.is_small(n)]
            if not others and vertex.computes("mul", "div"):
                return found  # the scale: Attention counts it
            if not others or vertex.computes("tanh"):
                found.extras.append(vertex.op)
                return found
            if len(others) == 1 and vertex.computes("add", "sub", "where"):
                found.masks.append((vertex, others[0]))
                return found
            return None
    return None


def _second_product(ws: Rewriter, softmax: Vertex, after: list[Vertex]) -> Vertex | None:
    """Walks on from the softmax to the product with V; what lies between is added to ``after``."""
    name = softmax.output
    for _ in range(_MAX_STEPS):
        readers = ws.readers(name)
        if ws.is_output(name) or not readers:
            return None
        if len(readers) == 2:
            guard = _guard(ws, name, readers)
            if guard is None:
                return None
            after += guard
            name = guard[-1].output
            continue
        reader = readers[0]
        if len(readers) > 1:
            return None
        if isinstance(reader.op, Gemm):
            return reader if not any(ws.is_constant(n) for n in reader.inputs) else None
        if not (reader.is_view or reader.copies("cast") or quantizes(reader)) or len(reader.node.outputs) != 1:
            return None
        after.append(reader)
        name = reader.output
    return None


def _guard(ws: Rewriter, name: str, readers: list[Vertex]) -> list[Vertex] | None:
    """``where(isnan(p), 0, p)``: keeps rows without any key from becoming NaN."""
    test = next((r for r in readers if r.computes("is_nan")), None)
    choice = next((r for r in readers if r.computes("where")), None)
    if test is None or choice is None or ws.sole_reader(test.output) is not choice:
        return None
    if choice.inputs[0] != test.output or choice.inputs[-1] != name:
        return None
    return [test, choice]


def _operand(ws: Rewriter, name: str) -> _Operand:
    """Walks back from an operand of a product over scales, transposes, repetitions and cuts."""
    found = _Operand(name, ws.elements(name))
    is_first = True
    was_cut = False
    for _ in range(_MAX_STEPS):
        shape = ws.shape(name)
        if shape is not None and not was_cut:
            found.shapes.append(shape)
            found.elements = ws.elements(name)
        vertex = ws.maker(name)
        if vertex is None:
            break
        if vertex.is_view or vertex.copies("transpose", *_REPEATS):
            if len(vertex.node.outputs) != 1 or not vertex.inputs:
                break
            is_first = is_first and ws.sole_reader(name) is not None
            name = vertex.inputs[0]
        elif is_cut(ws, vertex):
            was_cut = True
            name = vertex.inputs[0]
        elif vertex.computes("mul", "div") and is_first and not was_cut and ws.sole_reader(name) is not None:
            operand = _scaled_operand(ws, vertex)
            if operand is None or not same(ws.elements(operand), ws.elements(name)):
                break
            found.scales.append(vertex)
            if found.name == name:
                found.name = operand
            name = operand
        else:
            break
    return found


def _scaled_operand(ws: Rewriter, vertex: Vertex) -> str | None:
    """The tensor that a multiplication by one number scales; None when it is no such thing."""
    if len(vertex.inputs) != 2 or vertex.node.fused:
        return None
    first, second = vertex.inputs
    if ws.is_small(second) and not ws.is_small(first):
        return first
    if vertex.computes("mul") and ws.is_small(first) and not ws.is_small(second):
        return second
    return None


def append_to_caches(ws: Rewriter) -> None:
    """A concatenation of cached and new keys or values that attention reads becomes an append in place.

    An engine owns the cache and writes only the new tokens into it; the graph's copy of the whole cache does not
    happen.
    """
    for vertex in ws.vertices(Copy):
        if vertex.kind != "concat" or len(vertex.inputs) != 2:
            continue
        past, new = vertex.inputs
        if not ws.is_input(past) or ws.is_input(new) or ws.dtype(past) != ws.dtype(new):
            continue
        size = ws.elements(new)
        if size is not None and any(isinstance(r.op, Attention) for r in ws.readers(vertex.output)):
            op = Copy(kind="cache_append", dtype=ws.dtype(new), elements=size, read_elements=size)
            ws.update(vertex, op=op)

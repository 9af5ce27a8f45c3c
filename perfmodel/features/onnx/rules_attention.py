"""Rules of attention: the standard's, and the fused forms that ONNX Runtime's tools write (``com.microsoft``)."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import KINDS
from perfmodel.ops.base import is_symbolic


def phase_of(q_len: Any, kv_len: Any, causal: bool) -> str:
    """One query against a longer past is decoding; a causal mask is a prompt; everything else an encoder."""
    if _is_one(q_len) and not _is_one(kv_len):
        return "decode"
    return "prefill" if causal else "encoder"


def _is_one(dim: Any) -> bool:
    return not is_symbolic(dim) and bool(dim == 1)


def exact_share(size: Any, parts: int) -> Any:
    """``size / parts``, which is whole by the operator's definition."""
    if is_symbolic(size):
        return size / parts
    if parts < 1 or size % parts:
        raise RuleError(f"{size} is not divisible into {parts} heads")
    return size // parts


def scores_dtype(dtype: str) -> str:
    """Dtype of the attention inside an operator whose projections are integers: it is computed in single precision."""
    return "fp32" if dtype in ("int8", "uint8") else dtype


def described(
    call: Call, batch: Any, q_len: Any, kv_len: Any, heads: Any, head_dim: Any, *, kv_heads: Any = None,
    value_dim: Any = None, causal: bool = False, window: Any = None, dtype: str | None = None,
    kv_dtype: str | None = None,
) -> ops.Attention:  # fmt: skip
    """The descriptor; K and V have the queries' heads and widths where nothing else is said."""
    own = dtype or call.dtype
    return ops.Attention(
        phase=phase_of(q_len, kv_len, causal), batch=batch, q_len=q_len, kv_len=kv_len, heads=heads,
        kv_heads=heads if kv_heads is None else kv_heads, head_dim=head_dim,
        v_head_dim=None if value_dim is None or value_dim == head_dim else value_dim,
        causal=causal, window=window, dtype=own, kv_dtype=None if kv_dtype in (None, own) else kv_dtype,
    )  # fmt: skip


def on_scores(op: ops.Attention, *kinds: str) -> tuple[ops.Operator, ...]:
    """Scalar functions that the kernel applies to every score (a mask, a soft cap)."""
    return tuple(ops.Elementwise(kind=kind, elements=op.scores, inputs=0, dtype=op.dtype) for kind in kinds)


def _soft_cap(call: Call) -> tuple[str, ...]:
    return ("div+tanh+mul",) if float(call.get("softcap", 0.0) or 0.0) else ()


def attention(call: Call) -> Modelled:
    """Attention (operator set 23 and newer): Q, K, V of rank 3 or 4, a mask, cached keys and values."""
    q, k, v = call.shape(0), call.shape(1), call.shape(2)
    if len(q) == 4:
        batch, heads, q_len, head_dim = q
        _, kv_heads, kv_len, _ = k
        value_dim = v[3]
    elif len(q) == 3:
        heads, kv_heads = call.get("q_num_heads", None), call.get("kv_num_heads", None)
        if not heads or not kv_heads:
            raise RuleError("it names no q_num_heads and kv_num_heads")
        batch, q_len, kv_len = q[0], q[1], k[1]
        head_dim, value_dim = exact_share(q[2], heads), exact_share(v[2], kv_heads)
    else:
        raise RuleError(f"its query has the rank {len(q)}")
    if call.has(4):
        kv_len = kv_len + call.shape(4)[-2]
    causal = bool(call.get("is_causal", 0))
    mask = call.tensor(3) if call.has(3) else None
    op = described(
        call, batch, q_len, kv_len, heads, head_dim, kv_heads=kv_heads, value_dim=value_dim, causal=causal
    )  # fmt: skip
    attributes = {"causal": causal, "scale": call.get("scale", None), "mask": mask.name if mask else None}
    extra = on_scores(op, *_soft_cap(call), *(("add",) if mask else ()))
    return Modelled(op, attributes, extra, mask.bytes if mask else 0)


def flex_attention(call: Call) -> Modelled:
    """FlexAttention (ai.onnx.preview): its two modifiers are elementwise graphs over the scores."""
    q, k, v = call.shape(0), call.shape(1), call.shape(2)
    if not len(q) == len(k) == len(v) == 4:
        raise RuleError("its operands do not have the rank 4")
    op = described(call, q[0], q[2], k[2], q[1], q[3], kv_heads=k[1], value_dim=v[3])
    # What is no scalar function there makes positions and masks out of shapes, once.
    kinds = [
        KINDS[node.op_type]
        for name in ("score_mod", "prob_mod")
        for node in call.get(name, ())
        if node.op_type in KINDS
    ]
    return Modelled(op, {"causal": False, "scale": call.get("scale", None), "mask": None}, on_scores(op, *kinds))


_DECAYS = ("gated", "gated_delta")
_CORRECTS = ("delta", "gated_delta")


def linear_attention(call: Call) -> Modelled:
    """LinearAttention: a state of key width x value width a head, updated by every token and read by every query.

    The counts are those of the recurrence; forms in chunks trade more products for fewer steps.
    """
    q, k, v = call.shape(0), call.shape(1), call.shape(2)
    heads, kv_heads = int(call.get("q_num_heads", 0)), int(call.get("kv_num_heads", 0))
    if not len(q) == len(k) == len(v) == 3 or heads < 1 or kv_heads < 1 or heads % kv_heads:
        raise RuleError("it names no heads that fit its operands")
    rule = str(call.get("update_rule", "gated_delta"))
    tokens, states = q[1], q[0] * kv_heads
    key_dim, value_dim = exact_share(q[2], heads), exact_share(v[2], kv_heads)
    op = ops.Gemm(batch=states, m=tokens * (heads // kv_heads), n=value_dim, k=key_dim, dtype=call.dtype)
    update = ops.Gemm(batch=states, m=key_dim, n=value_dim, k=tokens, dtype=call.dtype)
    fused: list[ops.Operator] = [update]
    each = states * tokens

    def scalar(kind: str, count: Any) -> ops.Elementwise:
        return ops.Elementwise(kind=kind, elements=count, inputs=0, dtype=call.dtype)

    if rule in _DECAYS:
        decays = call.elements(4) if call.has(4) else each
        fused += [scalar("exp", decays), scalar("mul", each * key_dim * value_dim)]
    if rule in _CORRECTS:
        # What the state holds for the key is taken from the value, times the rate of the update.
        fused += [
            ops.Gemm(batch=states, m=tokens, n=value_dim, k=key_dim, dtype=call.dtype),
            scalar("sub+mul", each * value_dim),
        ]
    fused.append(scalar("mul", q[0] * tokens * heads * value_dim))  # the scale
    extra = sum(call.tensor(i).bytes for i in (1, 2, 4, 5) if call.has(i))
    return Modelled(op, {"causal": True}, tuple(fused), extra + update.bytes_written)


# ------------------------------------------------------------------------------------------------ com.microsoft


def group_query_attention(call: Call) -> Modelled:
    """GroupQueryAttention and SparseAttention: causal, with a cache; Q, K and V may come packed as the query.

    Of the former, input 10 is added to the scores, and 12 and 13 are the scales of a quantised cache.
    """
    query = call.shape(0)
    heads, kv_heads = int(call.get("num_heads", 0)), int(call.get("kv_num_heads", 0))
    if len(query) != 3 or not heads or not kv_heads:
        raise RuleError("it names no heads")
    packed = not call.has(1)
    head_dim = exact_share(query[2], heads + 2 * kv_heads if packed else heads)
    kv_len = query[1]
    if len(call.outputs) > 1 and call.outputs[1] is not None and call.outputs[1].shape is not None:
        kv_len = call.outputs[1].shape[2]
    elif call.has(3):
        kv_len = kv_len + call.shape(3)[2]
    window = int(call.get("local_window_size", -1))
    # The cache may be stored narrower than the queries; values of four bits lie in pairs in a byte.
    kv_dtype = call.tensor(3).dtype if call.has(3) else None
    if kv_dtype is not None and call.get("kv_cache_bit_width", 0) == 4:
        kv_dtype = "int4"
    op = described(
        call, query[0], query[1], kv_len, heads, head_dim, kv_heads=kv_heads, causal=True,
        window=window if window > 0 else None, kv_dtype=kv_dtype,
    )  # fmt: skip
    # SparseAttention has other operands there.
    further = [i for i in (10, 12, 13) if call.op_type == "GroupQueryAttention" and call.has(i)]
    extra: tuple[ops.Operator, ...] = on_scores(op, *_soft_cap(call), *(["add"] if 10 in further else []))
    if call.get("do_rotary", 0):
        rotated = query[0] * query[1] * (heads + kv_heads) * head_dim
        extra = (*extra, ops.Elementwise(kind="rope", elements=rotated, dtype=call.dtype))
    read = sum(call.tensor(i).bytes for i in further)
    return Modelled(op, {"causal": True, "scale": call.get("scale", None), "mask": None}, extra, read)


def multi_head_attention(call: Call) -> Modelled:
    """MultiHeadAttention(query, key, value, bias, mask, attention bias, past key, past value).

    Packed forms: one query [batch, tokens, heads, 3, width], or a key [batch, tokens, heads, 2, width] without a value.
    """
    query, heads = call.shape(0), int(call.get("num_heads", 0))
    if heads < 1:
        raise RuleError("it names no heads")
    if len(query) == 5:
        batch, q_len, _, _, head_dim = query
        kv_len, value_dim = q_len, head_dim
    elif len(query) == 3 and call.has(1):
        batch, q_len, head_dim = query[0], query[1], exact_share(query[2], heads)
        key = call.shape(1)
        kv_len = key[2] if len(key) == 4 else key[1]
        value = call.shape(2) if call.has(2) else None
        if value is None:
            value_dim = head_dim
        else:
            value_dim = exact_share(value[2], heads) if len(value) == 3 else value[-1]
    else:
        raise RuleError(f"its query has the rank {len(query)}")
    if call.has(6):
        kv_len = kv_len + call.shape(6)[2]
    causal = bool(call.get("unidirectional", 0))
    op = described(call, batch, q_len, kv_len, heads, head_dim, value_dim=value_dim, causal=causal)
    extra = on_scores(op, *("add" for i in (4, 5) if call.has(i)))
    if call.has(3):  # the biases of the projections
        tokens = batch * heads * (q_len * head_dim + kv_len * (head_dim + value_dim))
        extra = (ops.Elementwise(kind="add", elements=tokens, inputs=0, dtype=call.dtype), *extra)
    read = sum(call.tensor(i).bytes for i in (3, 4, 5) if call.has(i))
    return Modelled(op, {"causal": causal, "scale": call.get("scale", None), "mask": None}, extra, read)


def decoder_attention(call: Call) -> Modelled:
    """DecoderMaskedMultiHeadAttention: one new token a sequence against a cache of fixed size, inputs 5 and 6."""
    query, heads = call.shape(0), int(call.get("num_heads", 0))
    if len(query) != 3 or heads < 1:
        raise RuleError("it names no heads")
    packed = not call.has(1)
    head_dim = exact_share(query[2], 3 * heads if packed else heads)
    if call.has(5):
        kv_len = call.shape(5)[2]
    elif call.has(1):
        kv_len = call.shape(1)[1] if len(call.shape(1)) == 3 else call.shape(1)[2]
    else:
        kv_len = query[1]
    op = described(call, query[0], query[1], kv_len, heads, head_dim)
    extra = on_scores(op, *("add" for i in (3, 4) if call.has(i)))
    read = sum(call.tensor(i).bytes for i in (3, 4) if call.has(i))
    return Modelled(op, {"causal": False, "scale": call.get("scale", None), "mask": None}, extra, read)


def projected(
    call: Call, tokens: Any, batch: Any, length: Any, kv_len: Any, *, causal: bool, dtype: str | None = None,
    bias: int = 2, extra: Any = 0, masks: int = 0,
) -> Modelled:  # fmt: skip
    """Attention whose projection of the input to Q, K and V belongs to the operator.

    The descriptor is the projection's product, which dominates; the attention is counted as fused into it.

    Args:
        tokens: rows of the projection.
        dtype: of the projection, where it is not the input's.
        masks: tensors that are added to the scores.
    """
    x, w, heads = call.shape(0), call.shape(1), int(call.get("num_heads", 0))
    if len(w) != 2 or heads < 1:
        raise RuleError("it names no heads")
    sizes = call.get("qkv_hidden_sizes", None)
    q_size, k_size, v_size = [int(s) for s in sizes] if sizes else [exact_share(w[1], 3)] * 3
    head_dim, value_dim = exact_share(k_size, heads), exact_share(v_size, heads)
    inside = scores_dtype(call.dtype)
    inner = described(call, batch, length, kv_len, heads, head_dim, value_dim=value_dim, causal=causal, dtype=inside)
    width = q_size + k_size + v_size
    op = ops.Gemm(batch=1, m=tokens, n=width, k=x[-1], dtype=dtype or call.dtype, out_dtype=inside)
    fused: tuple[ops.Operator, ...] = (inner, *on_scores(inner, *["add"] * masks))
    read = inner.bytes + extra
    if call.has(bias):
        fused = (ops.Elementwise(kind="add", elements=tokens * width, inputs=0, dtype=inside), *fused)
        read = read + call.tensor(bias).bytes
    return Modelled(op, {"causal": causal}, fused, read)


def attention_with_projection(call: Call) -> Modelled:
    """Attention(input, weights, bias, mask, past, attention bias) of com.microsoft, and DecoderMaskedSelfAttention."""
    x = call.shape(0)
    if len(x) != 3:
        raise RuleError(f"its input has the rank {len(x)}, not 3")
    past = call.shape(4)[3] if call.has(4) else 0
    # A mask of rank 1 holds lengths; the others are added to the scores.
    masks = sum(call.has(i) and len(call.shape(i)) > 1 for i in (3, 5))
    read = sum(call.tensor(i).bytes for i in (3, 5) if call.has(i))
    causal = bool(call.get("unidirectional", 0))
    return projected(call, x[0] * x[1], x[0], x[1], x[1] + past, causal=causal, extra=read, masks=masks)


def quantized_attention(call: Call) -> Modelled:
    """QAttention: the projection multiplies 8-bit operands, the attention runs in single precision."""
    x = call.shape(0)
    if len(x) != 3:
        raise RuleError(f"its input has the rank {len(x)}, not 3")
    past = call.shape(8)[3] if call.has(8) else 0
    read = sum(call.tensor(i).bytes for i in (3, 4, 5, 6, 7) if call.has(i))
    causal = bool(call.get("unidirectional", 0))
    masks = int(call.has(5) and len(call.shape(5)) > 1)
    return projected(
        call, x[0] * x[1], x[0], x[1], x[1] + past, causal=causal, dtype="int8", extra=read, masks=masks
    )  # fmt: skip


def packed_attention(call: Call) -> Modelled:
    """PackedAttention: the padding between sequences is left out of the projection; sequences count whole in the scores."""
    x, offsets = call.shape(0), call.shape(3)
    if len(x) != 2 or len(offsets) != 2:
        raise RuleError("its tokens do not have the rank 2")
    read = sum(call.tensor(i).bytes for i in (3, 4, 5) if call.has(i))
    return projected(
        call, x[0], offsets[0], offsets[1], offsets[1], causal=False, extra=read, masks=int(call.has(5))
    )  # fmt: skip


def packed_multi_head_attention(call: Call) -> Modelled:
    """PackedMultiHeadAttention(query, key, value, bias, token offsets, lengths, attention bias), projections done."""
    query, heads = call.shape(0), int(call.get("num_heads", 0))
    offsets = call.shape(4)
    if heads < 1 or len(offsets) != 2 or len(query) not in (2, 4):
        raise RuleError("it names no heads")
    head_dim = query[3] if len(query) == 4 else exact_share(query[1], heads)
    value_dim = exact_share(call.shape(2)[1], heads) if call.has(2) else head_dim
    op = described(call, offsets[0], offsets[1], offsets[1], heads, head_dim, value_dim=value_dim)
    read = sum(call.tensor(i).bytes for i in (3, 4, 5, 6) if call.has(i))
    return Modelled(op, {"causal": False, "scale": call.get("scale", None), "mask": None},
                    on_scores(op, *["add"] * call.has(6)), read)  # fmt: skip


def paged_attention(call: Call) -> Modelled:
    """PagedAttention: sequences packed one after the other; each may attend to all pages its table lists."""
    query, table, cache = call.shape(0), call.shape(7), call.shape(3)
    heads, kv_heads = int(call.get("num_heads", 0)), int(call.get("kv_num_heads", 0))
    if len(query) != 2 or len(table) != 2 or len(cache) != 4 or heads < 1 or kv_heads < 1:
        raise RuleError("it names no heads")
    packed = not call.has(2)
    head_dim = exact_share(query[1], heads + 2 * kv_heads if packed else heads)
    sequences = table[0]
    length = query[0] / sequences if is_symbolic(query[0]) or query[0] % sequences else query[0] // sequences
    op = described(
        call, sequences, length, table[1] * cache[1], heads, head_dim, kv_heads=kv_heads, causal=True,
        kv_dtype=call.tensor(3).dtype,
    )  # fmt: skip
    return Modelled(
        op, {"causal": True, "scale": call.get("scale", None), "mask": None}, on_scores(op, *_soft_cap(call))
    )


def gated_relative_bias(call: Call) -> Modelled:
    """GatedRelativePositionBias: two gates a query from a product with a small weight, times the bias of each pair."""
    x, w, out = call.shape(0), call.shape(3), call.result_shape()
    heads = int(call.get("num_heads", 0))
    if len(out) != 4 or len(w) != 2 or heads < 1:
        raise RuleError("it names no heads")
    tokens = elements(x[:-1])
    op = ops.Elementwise(kind="mul", elements=elements(out), input_elements=call.elements(2), dtype=call.dtype)
    gate = ops.Gemm(batch=1, m=tokens * heads, n=w[1], k=w[0], dtype=call.dtype)
    return Modelled(op, {}, (gate,), call.tensor(0).bytes + call.tensor(3).bytes)


RULES: dict[str, Rule] = {"Attention": attention, "LinearAttention": linear_attention}
"""Operators of the standard domain."""

PREVIEW: dict[str, Rule] = {"FlexAttention": flex_attention}
"""Operators of ``ai.onnx.preview``."""

CONTRIB: dict[str, Rule] = {
    "Attention": attention_with_projection,
    "DecoderMaskedMultiHeadAttention": decoder_attention,
    "DecoderMaskedSelfAttention": attention_with_projection,
    "GatedRelativePositionBias": gated_relative_bias,
    "GroupQueryAttention": group_query_attention,
    "LinearAttention": linear_attention,
    "MultiHeadAttention": multi_head_attention,
    "PackedAttention": packed_attention,
    "PackedMultiHeadAttention": packed_multi_head_attention,
    "PagedAttention": paged_attention,
    "QAttention": quantized_attention,
    "SparseAttention": group_query_attention,
}
"""Operators of ONNX Runtime's domain ``com.microsoft``."""

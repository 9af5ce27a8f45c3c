"""Rules of the fused operators that ONNX Runtime's tools write (domain ``com.microsoft``).

Their definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.dtypes import mixed_dtype
from perfmodel.features.onnx import rules_elementwise, rules_memory, rules_products, rules_quantized
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import elementwise, named
from perfmodel.features.onnx.rules_products import exact_share, phase_of, product


def fused_matmul(call: Call) -> Modelled:
    """FusedMatMul and TransposeMatMul: MatMul with transpositions and a factor."""
    a, b = call.shape(0), call.shape(1)
    transpose_a, transpose_b = bool(call.get("transA", 0)), bool(call.get("transB", 0))
    if call.get("transBatchA", 0) or call.get("transBatchB", 0):
        raise RuleError("it transposes batches")
    if transpose_a and len(a) > 1:
        a = (*a[:-2], a[-1], a[-2])
    if transpose_b and len(b) > 1:
        b = (*b[:-2], b[-1], b[-2])
    op = product((call.tensor(0), call.tensor(1)), a, b, call.dtype, call.out_dtype)
    return Modelled(
        op, {"transpose_a": transpose_a, "transpose_b": transpose_b, "alpha": float(call.get("alpha", 1.0))}
    )


def matmul_nbits(call: Call) -> Modelled:
    """MatMulNBits: activations times weights of 2 to 8 bits, with a scale a block and maybe a zero point."""
    a = call.shape(0)
    n, k, bits = int(call.get("N", 0)), int(call.get("K", 0)), int(call.get("bits", 4))
    block = int(call.get("block_size", 32))
    if not (1 <= bits <= 8 and n > 0 and k > 0 and block > 0):
        raise RuleError(f"it has {bits} bits, N = {n}, K = {k} and blocks of {block}")
    # Where a block is longer than a row, one scale serves the row.
    record = mixed_dtype(bits, 32 if call.dtype == "fp32" else 16, max(8, min(block, k)))
    op = ops.Gemm(batch=1, m=elements(a[:-1]), n=n, k=k, dtype=record.name, out_dtype=call.out_dtype)
    read = sum(call.tensor(i).bytes for i in (3, 4, 5) if call.has(i))  # zero points, order of the groups, bias
    return Modelled(op, {"bits": bits, "block_size": block}, (), read)


def skip_norm(kind: str, parameters: tuple[int, ...]) -> Rule:
    """SkipLayerNormalization and its RMS form: add the residual, normalise, and maybe keep the sum."""

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        read = sum(call.elements(i) for i in parameters if call.has(i))
        op = ops.Norm(
            kind=kind, rows=elements(shape[:-1]), cols=shape[-1], residual=True, parameters=read, dtype=call.dtype
        )
        return Modelled(op, {"axis": len(shape) - 1, "epsilon": float(call.get("epsilon", 1e-12))})

    return rule


def embed_layer_norm(call: Call) -> Modelled:
    """EmbedLayerNormalization: word, position and segment embeddings are added and normalised."""
    out = call.result_shape()
    rows, cols = elements(out[:-1]), out[-1]
    table = call.tensor(2)
    op = ops.Norm(kind="layernorm", rows=rows, cols=cols, dtype=table.dtype)
    lookups = sum(1 for i in (2, 3, 4) if call.has(i))
    one = ops.Embedding(rows=rows, cols=cols, dtype=table.dtype)
    # The norm reads its input once; the further tables and the indices come on top.
    return Modelled(op, {"axis": len(out) - 1}, (), lookups * one.bytes_read - one.bytes_written)


def bias_activation(kind: str) -> Rule:
    """BiasGelu, FastGelu, BiasAdd: an optional bias first."""

    def rule(call: Call) -> ops.Elementwise:
        operands = sum(t is not None for t in call.inputs)
        return elementwise(
            call, "+".join(["add"] * (operands - 1) + [kind]) if kind else "+".join(["add"] * (operands - 1))
        )

    return rule


def group_query_attention(call: Call) -> Modelled:
    """GroupQueryAttention: causal, with a cache; Q, K and V may come packed as the query."""
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
    op = ops.Attention(
        phase=phase_of(query[1], kv_len, True), batch=query[0], q_len=query[1], kv_len=kv_len, heads=heads,
        kv_heads=kv_heads, head_dim=head_dim, causal=True, window=window if window > 0 else None, dtype=call.dtype,
    )  # fmt: skip
    rope: tuple[ops.Operator, ...] = ()
    if call.get("do_rotary", 0):
        rotated = query[0] * query[1] * (heads + kv_heads) * head_dim
        rope = (ops.Elementwise(kind="rope", elements=rotated, dtype=call.dtype),)
    return Modelled(op, {"causal": True, "scale": call.get("scale", None), "mask": None}, rope)


def multi_head_attention(call: Call) -> Modelled:
    """MultiHeadAttention with separate query, key and value of rank 3 (or keys and values already split into heads)."""
    query, heads = call.shape(0), int(call.get("num_heads", 0))
    if len(query) != 3 or not heads or not call.has(1) or not call.has(2):
        raise RuleError("its query, key and value are packed")
    key, value = call.shape(1), call.shape(2)
    kv_len = key[1] if len(key) == 3 else key[2]
    value_dim = exact_share(value[2], heads) if len(value) == 3 else value[3]
    if call.has(6):
        kv_len = kv_len + call.shape(6)[2]
    causal = bool(call.get("unidirectional", 0))
    head_dim = exact_share(query[2], heads)
    op = ops.Attention(
        phase=phase_of(query[1], kv_len, causal), batch=query[0], q_len=query[1], kv_len=kv_len, heads=heads,
        kv_heads=heads, head_dim=head_dim, v_head_dim=None if value_dim == head_dim else value_dim, causal=causal,
        dtype=call.dtype,
    )  # fmt: skip
    read = sum(call.tensor(i).bytes for i in (3, 4, 5) if call.has(i))
    return Modelled(op, {"causal": causal, "scale": call.get("scale", None), "mask": None}, (), read)


def packed_attention(call: Call) -> Modelled:
    """Attention of com.microsoft: the projection of the input to Q, K and V belongs to the operator.

    The descriptor is the projection's product, which dominates; the attention is counted as fused into it.
    """
    x, w = call.shape(0), call.shape(1)
    heads = int(call.get("num_heads", 0))
    if len(x) != 3 or len(w) != 2 or not heads:
        raise RuleError("it names no heads")
    sizes = call.get("qkv_hidden_sizes", None)
    q_size, k_size, v_size = [int(s) for s in sizes] if sizes else [exact_share(w[1], 3)] * 3
    causal = bool(call.get("unidirectional", 0))
    past = call.shape(4)[3] if call.has(4) else 0
    kv_len: Any = x[1] + past
    head_dim, value_dim = exact_share(k_size, heads), exact_share(v_size, heads)
    inner = ops.Attention(
        phase=phase_of(x[1], kv_len, causal), batch=x[0], q_len=x[1], kv_len=kv_len, heads=heads, kv_heads=heads,
        head_dim=head_dim, v_head_dim=None if value_dim == head_dim else value_dim, causal=causal, dtype=call.dtype,
    )  # fmt: skip
    op = ops.Gemm(batch=1, m=x[0] * x[1], n=q_size + k_size + v_size, k=x[2], dtype=call.dtype)
    bias = call.tensor(2).bytes if call.has(2) else 0
    return Modelled(op, {"causal": causal}, (inner,), inner.bytes + bias)


def mixture_of_experts(call: Call) -> Modelled:
    """MoE: a router's choice, then the chosen experts' layers."""
    x, first = call.shape(0), call.shape(2)
    if len(first) != 3:
        raise RuleError("its experts' weights do not have the rank 3")
    swiglu = str(call.get("activation_type", "relu")) == "swiglu"
    gated = call.has(6) or swiglu
    width = call.shape(4)[2] if len(call.shape(4)) == 3 else first[1]
    op = ops.Moe(
        tokens=elements(x[:-1]), hidden=x[-1], intermediate=width, experts=first[0], top_k=int(call.get("k", 1)),
        matrices=3 if gated else 2, dtype=call.dtype,
    )  # fmt: skip
    return Modelled(op, {}, (), call.tensor(1).bytes)


CONTRIB: dict[str, Rule] = {
    **rules_quantized.CONTRIB,
    "Attention": packed_attention,
    "BiasAdd": bias_activation(""),
    "BiasGelu": bias_activation("gelu"),
    "EmbedLayerNormalization": embed_layer_norm,
    "FastGelu": bias_activation("gelu_tanh"),
    "FusedConv": rules_products.conv,
    "FusedGemm": rules_products.gemm,
    "FusedMatMul": fused_matmul,
    "Gelu": rules_elementwise.gelu,
    "GroupQueryAttention": group_query_attention,
    "LayerNormalization": rules_memory.trailing_norm("layernorm"),
    "MatMulNBits": matmul_nbits,
    "MoE": mixture_of_experts,
    "MultiHeadAttention": multi_head_attention,
    "QuickGelu": named("swish"),
    "RotaryEmbedding": rules_elementwise.rotary((2, 3)),
    "SimplifiedLayerNormalization": rules_memory.trailing_norm("rmsnorm"),
    "SkipLayerNormalization": skip_norm("layernorm", (2, 3, 4)),
    "SkipSimplifiedLayerNormalization": skip_norm("rmsnorm", (2, 3)),
    "TransposeMatMul": fused_matmul,
}

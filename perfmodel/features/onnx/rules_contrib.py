"""Rules of the fused operators that ONNX Runtime's tools write (domain ``com.microsoft``).

Their definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. Attention is in
``rules_attention``, quantised operators are in ``rules_quantized``, ``rules_qlinear`` and ``rules_narrow``.
"""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx import rules_elementwise, rules_memory, rules_movement, rules_products
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import elementwise, every_operand, named
from perfmodel.features.onnx.rules_products import matmul_of

_ACTIVATIONS = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "LeakyRelu": "leaky_relu", "Clip": "clip",
    "HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish", "Gelu": "gelu", "FastGelu": "gelu_tanh",
    "QuickGelu": "swish", "Elu": "elu",
}  # fmt: skip


def activated(rule: Rule, *, residual: int | None = None, attribute: str = "activation") -> Rule:
    """An operator with an activation (its attribute) at its end, and maybe a residual (an operand) before that."""

    def fused(call: Call) -> Modelled:
        answer = rule(call)
        plain = answer if isinstance(answer, Modelled) else Modelled(answer)
        kinds, read, attributes = [], plain.extra_bytes_read, plain.attributes
        if residual is not None and call.has(residual):
            kinds.append("add")
            read = read + call.tensor(residual).bytes
            attributes = {**attributes, "residual": True}
        name = str(call.get(attribute, ""))
        if name:
            if name not in _ACTIVATIONS:
                raise RuleError(f"its activation {name!r} is not known")
            kinds.append(_ACTIVATIONS[name])
        if not kinds:
            return plain
        out = call.result()
        step = ops.Elementwise(kind="+".join(kinds), elements=out.elements, inputs=0, dtype=out.dtype)
        return Modelled(plain.op, attributes, (*plain.fused, step), read)

    return fused


def fused_matmul(call: Call) -> Modelled:
    """FusedMatMul and TransposeMatMul: MatMul with transpositions and a factor."""
    return matmul_of(
        call, 0, 1, transpose_a=bool(call.get("transA", 0)), transpose_b=bool(call.get("transB", 0)),
        batches=(bool(call.get("transBatchA", 0)), bool(call.get("transBatchB", 0))), alpha=float(call.get("alpha", 1.0)),
    )  # fmt: skip


def gemm_fast_gelu(call: Call) -> Modelled:
    """GemmFastGelu(X, W, bias)."""
    plain = rules_products.with_bias(call, matmul_of(call, 0, 1).op, 2, {})
    out = call.result()
    gelu = ops.Elementwise(kind="gelu_tanh", elements=out.elements, inputs=0, dtype=out.dtype)
    return Modelled(plain.op, plain.attributes, (*plain.fused, gelu), plain.extra_bytes_read)


def skip_norm(kind: str, parameters: tuple[int, ...]) -> Rule:
    """SkipLayerNormalization and its RMS form: add the residual, normalise, and write the sum where it is wanted.

    Args:
        parameters: the operands that are scale, shift and, last, the bias that is added with the residual.
    """

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        read = sum(call.elements(i) for i in parameters if call.has(i))
        op = ops.Norm(kind=kind, rows=elements(shape[:-1]), cols=shape[-1], parameters=read, dtype=call.dtype)
        kinds = ["add"] * call.has(parameters[-1])
        attributes = {"axis": len(shape) - 1, "epsilon": float(call.get("epsilon", 1e-12))}
        return _after_residual(call, op, attributes, kinds, skip=1, total=3)

    return rule


def _after_residual(
    call: Call, op: ops.Norm, attributes: dict[str, Any], kinds: list[str], *, skip: int, total: int
) -> Modelled:
    """A norm of the sum of input 0 and, where it is there, input ``skip``; output ``total`` is that sum.

    Args:
        kinds: further scalar functions of each element.
    """
    read: Any = 0
    if call.has(skip) and total < len(call.outputs) and call.outputs[total] is not None:
        op = op.replace(residual=True)
    elif call.has(skip):  # the sum stays on chip
        kinds, read = ["add", *kinds], call.tensor(skip).bytes
    fused = (
        [ops.Elementwise(kind="+".join(kinds), elements=call.elements(0), inputs=0, dtype=call.dtype)] if kinds else []
    )
    return Modelled(op, attributes, tuple(fused), read)


def group_norm(call: Call) -> Modelled:
    """GroupNorm(X, gamma, beta) and SkipGroupNorm(X, gamma, beta, skip, bias), channels last; SiLU may follow."""
    shape, groups = call.shape(0), int(call.get("groups", 1))
    if len(shape) < 3 or groups < 1:
        raise RuleError("it has no channels to group")
    rows = shape[0] * groups
    read = sum(call.elements(i) for i in (1, 2, 4) if call.has(i))
    cols = rules_elementwise.share(elements(shape), rows)
    op = ops.Norm(kind="groupnorm", rows=rows, cols=cols, parameters=read, dtype=call.dtype)
    kinds = (["add"] if call.has(4) else []) + (["silu"] if call.get("activation", 0) else [])
    return _after_residual(call, op, {"groups": groups}, kinds, skip=3, total=1)


def embed_layer_norm(tables: tuple[int, ...]) -> Rule:
    """EmbedLayerNormalization and its quantised form: word, position and segment embeddings are added and normalised."""

    def rule(call: Call) -> Modelled:
        out = call.result_shape()
        rows, cols = elements(out[:-1]), out[-1]
        stored = call.tensor(2).dtype
        dtype = "fp32" if stored in ("int8", "uint8") else stored
        op = ops.Norm(kind="layernorm", rows=rows, cols=cols, dtype=dtype)
        lookups = sum(call.has(i) for i in tables)
        one = ops.Embedding(rows=rows, cols=cols, dtype=stored)
        # The norm reads its input once; the further tables and the indices come on top.
        added = ops.Elementwise(kind="add", elements=rows * cols * max(lookups - 1, 0), inputs=0, dtype=dtype)
        read = (
            lookups * one.bytes_read
            - ops.Norm(kind="layernorm", rows=rows, cols=cols, parameters=0, dtype=dtype).bytes_read
        )
        return Modelled(op, {"axis": len(out) - 1}, (added,), read)

    return rule


def bias_activation(kind: str) -> Rule:
    """BiasGelu, FastGelu, BiasAdd: an optional bias first."""

    def rule(call: Call) -> Modelled:
        operands = sum(t is not None for t in call.inputs)
        return elementwise(
            call, "+".join(["add"] * (operands - 1) + [kind]) if kind else "+".join(["add"] * (operands - 1))
        )

    return rule


def bias_split_gelu(call: Call) -> Modelled:
    """BiasSplitGelu: a bias, then one half times the Gelu of the other."""
    results = call.result().elements
    return Modelled(every_operand(call, "add+add+gelu+mul", results))


def bias_softmax(call: Call) -> Modelled:
    """BiasSoftmax: a bias (a mask) is added first."""
    plain = rules_memory.softmax("softmax", flattens=True)(call)
    assert isinstance(plain, Modelled)
    add = ops.Elementwise(kind="add", elements=call.elements(0), inputs=0, dtype=call.dtype)
    return Modelled(plain.op, plain.attributes, (add,), call.tensor(1).bytes)


def bias_dropout(call: Call) -> ops.Operator:
    """BiasDropout(data, bias, residual, ratio, training): at inference the sums are left of it."""
    added = sum(call.has(i) for i in (1, 2))
    if rules_movement.trains(call, 3):
        kinds = "+".join([*["add"] * added, rules_movement.DROPPING])
        operands = sum(call.tensor(i).bytes for i in (0, 1, 2) if call.has(i))
        return every_operand(call, kinds, call.elements(0), dtype=call.dtype, read=operands)
    read = sum(call.elements(i) for i in (0, 1, 2) if call.has(i))
    return ops.Elementwise(
        kind="+".join(["add"] * added), elements=call.elements(0), input_elements=read, dtype=call.dtype
    )


def per_element(*kinds: str, of: int = 0) -> Rule:
    """These scalar functions for each element of operand ``of``; every operand is read once."""

    def rule(call: Call) -> Modelled:
        return Modelled(every_operand(call, "+".join(kinds), call.elements(of)))

    return rule


def complex_product(call: Call) -> Modelled:
    """ComplexMul and ComplexMulConj: pairs of a real and an imaginary part."""
    return Modelled(every_operand(call, "complex_mul", rules_elementwise.share(call.result().elements, 2)))


def distances(call: Call) -> Modelled:
    """CDist: |a|² - 2·a·b + |b|², by a product, as libraries compute it."""
    a, b = call.shape(0), call.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise RuleError("its operands do not have the rank 2")
    op = ops.Gemm(batch=1, m=a[0], n=b[0], k=a[1], dtype=call.dtype, out_dtype=call.out_dtype)
    kinds = "mul+add+add" + ("+sqrt" if str(call.get("metric", "euclidean")) == "euclidean" else "")
    squares = ops.Reduce(kind="sum_square", rows=a[0] + b[0], cols=a[1], dtype=call.dtype)
    return Modelled(op, {}, (ops.Elementwise(kind=kinds, elements=a[0] * b[0], inputs=0, dtype=call.dtype), squares))


def mixture_of_experts(call: Call) -> Modelled:
    """MoE: a router's choice, then the chosen experts' layers."""
    first = call.shape(2)
    if len(first) != 3:
        raise RuleError("its experts' weights do not have the rank 3")
    gated = call.has(6) or str(call.get("activation_type", "relu")) == "swiglu"
    second = call.shape(4)
    return routed(
        call, experts=first[0], width=second[2] if len(second) == 3 else first[1], gated=gated, dtype=call.dtype
    )


def routed(call: Call, *, experts: Any, width: Any, gated: bool, dtype: str) -> Modelled:
    """The descriptor of a mixture of experts whose router's scores are operand 1."""
    x = call.shape(0)
    op = ops.Moe(
        tokens=elements(x[:-1]), hidden=x[-1], intermediate=width, experts=experts, top_k=int(call.get("k", 1)),
        matrices=3 if gated else 2, dtype=dtype,
    )  # fmt: skip
    return Modelled(op, {}, (), call.tensor(1).bytes)


def word_embedding(call: Call) -> Modelled:
    """WordConvEmbedding(characters, filters [count, 1, window, width], bias, table): a convolution over each word."""
    ids, w = call.shape(0), call.shape(1)
    if len(w) != 4 or len(ids) < 2:
        raise RuleError("its filters do not have the rank 4")
    words = elements(ids[:-1])
    places = words * (ids[-1] - w[2] + 1)
    op = ops.Gemm(batch=1, m=places, n=w[0], k=w[2] * w[3], dtype=call.tensor(1).dtype)
    after = ops.Elementwise(kind="add+tanh+max", elements=places * w[0], inputs=0, dtype=op.dtype)
    return Modelled(op, {}, (after,), call.tensor(0).bytes)


def relative_bias(call: Call) -> Modelled:
    """RelativePositionBias: each pair of positions looks its bucket up; buckets are logarithmic."""
    out = call.result()
    op = ops.Copy(kind="gather", elements=out.elements, dtype=out.dtype)
    pairs = elements((out.shape or ())[-2:])
    buckets = ops.Elementwise(kind="sub+abs+div+log+mul+add+min", elements=pairs, inputs=0, dtype=out.dtype)
    return Modelled(op, {}, (buckets,))


def is_finite(call: Call) -> Modelled:
    """IsAllFinite: one answer for all operands."""
    count = sum(call.elements(i) for i in range(len(call.inputs)) if call.has(i))
    return Modelled(every_operand(call, "is_inf+and", count))


def time_warping(call: Call) -> Modelled:
    """DynamicTimeWarping: each pair of times adds its cost to the cheapest of three neighbours."""
    return Modelled(every_operand(call, "min+min+add", call.elements(0)))


CONTRIB: dict[str, Rule] = {
    "BiasAdd": bias_activation(""),
    "BiasDropout": bias_dropout,
    "BiasGelu": bias_activation("gelu"),
    "BiasSoftmax": bias_softmax,
    "BiasSplitGelu": bias_split_gelu,
    "BifurcationDetector": rules_movement.copy("copy"),
    "CDist": distances,
    "CausalConvWithState": rules_products.causal_conv,
    "ComplexMul": complex_product,
    "ComplexMulConj": complex_product,
    "ConvTransposeWithDynamicPads": rules_products.conv_transpose,
    "DynamicTimeWarping": time_warping,
    "EmbedLayerNormalization": embed_layer_norm((2, 3, 4)),
    "ExpandDims": rules_movement.view("unsqueeze"),
    "FastGelu": bias_activation("gelu_tanh"),
    "FusedConv": activated(rules_products.conv, residual=3),
    "FusedGemm": activated(rules_products.gemm),
    "FusedMatMul": fused_matmul,
    "FusedMatMulActivation": activated(fused_matmul),
    "GatherND": rules_movement.gather_by("gather"),
    "Gelu": rules_elementwise.gelu,
    "GemmFastGelu": gemm_fast_gelu,
    # Operands: embeddings, then q and k with their rotated halves, each element a product and a sum.
    "GemmaRotaryEmbedding": per_element("mul", "mul", "add", "mul", "mul", "add", of=1),
    "GroupNorm": group_norm,
    "IsAllFinite": is_finite,
    "LayerNormalization": rules_memory.trailing_norm("layernorm"),
    "MaxpoolWithMask": rules_memory.pool("max"),
    "MoE": mixture_of_experts,
    "NGramRepeatBlock": rules_movement.copy("copy", operand=1),
    "NhwcConv": rules_products.conv_channels_last,
    "NhwcFusedConv": activated(rules_products.conv_channels_last, residual=3),
    "Pad": rules_movement.copy("pad", reads_all=True),
    "QuickGelu": named("swish"),
    "Range": rules_movement.fill("iota"),
    "ReduceSumInteger": rules_memory.reduction("sum"),
    "RelativePositionBias": relative_bias,
    "RemovePadding": rules_movement.copy("gather"),
    "RestorePadding": rules_movement.copy("scatter", places=1),
    "RotaryEmbedding": rules_elementwise.rotary((2, 3)),
    "SimplifiedLayerNormalization": rules_memory.trailing_norm("rmsnorm"),
    "SkipGroupNorm": group_norm,
    "SkipLayerNormalization": skip_norm("layernorm", (2, 3, 4)),
    "SkipSimplifiedLayerNormalization": skip_norm("rmsnorm", (2, 3)),
    "TorchEmbedding": rules_movement.gather,
    "TransposeMatMul": fused_matmul,
    "Trilu": rules_movement.copy("trilu"),
    "UnfoldTensor": rules_movement.copy("copy"),
    "Unique": rules_movement.unique,
    "WordConvEmbedding": word_embedding,
}

BLOCKED: dict[str, Rule] = {
    "AveragePool": rules_memory.pool("average"),
    "Conv": activated(rules_products.conv_blocked, residual=3),
    "GlobalAveragePool": rules_memory.global_pool("mean"),
    "GlobalMaxPool": rules_memory.global_pool("max"),
    "MaxPool": rules_memory.pool("max"),
    "ReorderInput": rules_movement.copy("transpose"),
    "ReorderOutput": rules_movement.copy("transpose", reads_all=True),
    "Upsample": rules_movement.copy("resize", reads_all=True),
}
"""Operators of ``com.microsoft.nchwc``, the blocked layout of ONNX Runtime's CPU kernels; shapes are those of NCHW."""

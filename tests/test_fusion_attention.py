"""Attention and rotary embeddings as exporters and people write them.

Unless a test says otherwise: 2 sequences, 4 heads, 6 tokens, heads of 8, so that each product has
2 * (2 * 4) * 6 * 6 * 8 = 4608 FLOPs and there are 288 scores.
"""

from __future__ import annotations

from typing import Any

import pytest
from attention_graphs import (
    PRODUCTS,
    SCORES,
    attention_of,
    check,
    heads,
    merged,
    plain,
    position_mask,
    qkv,
    rotate_half,
    rotate_pairs,
)
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph, Removed


def test_written_by_hand() -> None:
    b = Builder()
    y = merged(b, plain(b, *qkv(b)))
    before = b.graph(y)
    node = check(
        b, before, batch=2, heads=4, kv_heads=4, q_len=6, kv_len=6, head_dim=8, v_head_dim=None,
        phase="encoder", causal=False, dtype="fp32",
    )  # fmt: skip
    after = fuse(before)
    # Nothing but the four linear layers and the attention is left; heads are split and merged by strides.
    assert [n.op.op for n in after.nodes] == ["gemm", "gemm", "gemm", "attention", "gemm"]
    assert node.product_flops == PRODUCTS
    assert node.flops == PRODUCTS + SCORES * (1 + 15)
    assert node.bytes == 4 * 4 * 2 * 6 * 32  # Q, K, V and the result: 2 x 6 x 32 elements of 4 bytes
    reasons = {r.reason for r in after.removed}
    assert reasons == {"read strided by attention", "written strided by attention", "view: moves no data"}


def test_as_torch_exports_scaled_dot_product_attention() -> None:
    """√s on Q and on K, K transposed in three dimensions, a mask that is added, a guard against NaN."""
    b = Builder()
    q, k, v = qkv(b)
    mask = b.input(2, 1, 6, 6)
    turned = b.view(b.transpose(b.view(k, 8, 6, 8), 0, 2, 1), 2, 4, 8, 6)
    scores = b.ew("add", b.matmul(b.ew("mul", q, 0.5946), b.ew("mul", turned, 0.5946)), mask)
    p = b.softmax(scores)
    p = b.ew("where", b.ew("is_nan", p), 0.0, p)
    before = b.graph(merged(b, b.matmul(p, v)))
    node = check(b, before, batch=2, heads=4, causal=False, phase="encoder")
    assert node.extra_bytes_read == 4 * 72
    assert [f.flops for f in node.fused] == [SCORES]  # the mask is added to every score
    assert mask in node.inputs


def test_scale_before_the_heads_are_split() -> None:
    b = Builder()
    x = b.input(2, 6, 32)
    q = heads(b, b.ew("mul", b.linear(x, 32), 0.3535))
    k, v = heads(b, b.linear(x, 32)), heads(b, b.linear(x, 32))
    y = b.matmul(b.softmax(b.matmul(q, b.transpose(k, 0, 1, 3, 2))), v)
    before = b.graph(merged(b, y))
    node = check(b, before)
    scale = next(n.name for n in before.nodes if n.name.startswith("mul"))
    assert scale in node.members


def test_key_transposed_in_one_step() -> None:
    """K goes from (batch, tokens, heads, d) to (batch, heads, d, tokens) at once."""
    b = Builder()
    x = b.input(2, 6, 32)
    q, v = heads(b, b.linear(x, 32)), heads(b, b.linear(x, 32))
    k = b.transpose(b.view(b.linear(x, 32), 2, 6, 4, 8), 0, 2, 3, 1)
    y = b.matmul(b.softmax(b.matmul(q, k)), v)
    check(b, b.graph(merged(b, y)), heads=4, kv_heads=4, head_dim=8)


def test_batches_and_heads_in_one_axis() -> None:
    """bmm in three dimensions, with a mask added in four."""
    b = Builder()
    q, k, v = (b.view(t, 8, 6, 8) for t in qkv(b))
    scores = b.matmul(q, b.transpose(k, 0, 2, 1))
    masked = b.ew("add", b.view(scores, 2, 4, 6, 6), b.input(2, 1, 1, 6))
    p = b.softmax(b.view(masked, 8, 6, 6))
    y = b.view(b.matmul(p, v), 2, 4, 6, 8)
    node = check(b, b.graph(merged(b, y)), batch=2, heads=4, kv_heads=4)
    assert node.extra_bytes_read == 4 * 12


@pytest.mark.parametrize("axis", ["heads", "tokens"])
def test_batches_and_heads_in_one_axis_without_a_mask(axis: str) -> None:
    b = Builder()
    q, k, v = (b.view(t, 8, 6, 8) for t in qkv(b))
    y = plain(b, q, k, v)
    y = merged(b, b.view(y, 2, 4, 6, 8)) if axis == "heads" else y
    check(b, b.graph(y), batch=2, heads=4)


def test_masked_by_where_and_computed_in_fp32() -> None:
    b = Builder("bf16")
    q, k, v = qkv(b)
    allowed = b.input(2, 1, 6, 6, dtype="bool")
    scores = b.ew("mul", b.matmul(q, b.transpose(k, 0, 1, 3, 2)), 0.3535)
    scores = b.ew("where", allowed, scores, b.scalar(-1e9))
    p = b.cast(b.softmax(b.cast(scores, "fp32")), "bf16")
    before = b.graph(merged(b, b.matmul(p, v)))
    node = check(b, before, dtype="bf16")
    assert node.extra_bytes_read == 72  # one byte each


def test_soft_capped_scores_keep_their_tanh() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    scores = b.ew("mul", b.ew("tanh", b.ew("div", scores, 50.0)), 50.0)
    node = check(b, b.graph(merged(b, b.matmul(b.softmax(scores), v))))
    assert [f.flops for f in node.fused] == [SCORES * 8]


def test_decomposed_softmax_inside() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    e = b.ew("exp", b.ew("sub", scores, b.reduce("max", scores)))
    y = b.matmul(b.ew("div", e, b.reduce("sum", e)), v)
    check(b, b.graph(merged(b, y)), heads=4)


def repeated(b: Builder, x: str, times: int) -> str:
    """As Hugging Face's repeat_kv."""
    n, h, s, d = b.shape(x)
    return b.view(b.expand(b.view(x, n, h, 1, s, d), n, h, times, s, d), n, h * times, s, d)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_grouped_queries_by_repetition(kv_heads: int) -> None:
    b = Builder()
    q, k, v = qkv(b, kv_heads)
    y = plain(b, q, repeated(b, k, 4 // kv_heads), repeated(b, v, 4 // kv_heads))
    before = b.graph(merged(b, y))
    node = check(b, before, heads=4, kv_heads=kv_heads)
    # Q and the result have 2 x 6 x 32 elements, K and V 2 x 6 x 8 for each of their heads.
    assert node.bytes == 4 * (2 * 384 + 2 * 96 * kv_heads)
    assert not any(n.op.op == "copy" for n in fuse(before).nodes)


def test_grouped_queries_by_a_fifth_axis() -> None:
    b = Builder()
    q, k, v = qkv(b, 2)
    q = b.view(q, 2, 2, 2, 6, 8)
    y = plain(b, q, b.view(k, 2, 2, 1, 6, 8), b.view(v, 2, 2, 1, 6, 8))
    check(b, b.graph(merged(b, b.view(y, 2, 4, 6, 8))), batch=2, heads=4, kv_heads=2)


def test_one_key_head_by_broadcasting() -> None:
    b = Builder()
    q, k, v = qkv(b, 1)
    check(b, b.graph(merged(b, plain(b, q, k, v))), heads=4, kv_heads=1)


def test_fused_projection_cut_by_split() -> None:
    b = Builder()
    x = b.input(2, 6, 32)
    q, k, v = (heads(b, part) for part in b.split(b.linear(x, 96), 2, 3))
    before = b.graph(merged(b, plain(b, q, k, v)))
    check(b, before, heads=4, kv_heads=4)
    assert [n.op.op for n in fuse(before).nodes] == ["gemm", "attention", "gemm"]


def test_fused_projection_cut_by_slices_of_a_fifth_axis() -> None:
    """As timm's vision transformers: (batch, tokens, 3, heads, d) → (3, batch, heads, tokens, d)."""
    b = Builder()
    x = b.input(2, 6, 32)
    packed = b.transpose(b.view(b.linear(x, 96), 2, 6, 3, 4, 8), 2, 0, 3, 1, 4)
    q, k, v = (b.view(b.slice(packed, 0, i, i + 1), 2, 4, 6, 8) for i in range(3))
    before = b.graph(merged(b, plain(b, q, k, v)))
    check(b, before, batch=2, heads=4, kv_heads=4)
    assert [n.op.op for n in fuse(before).nodes] == ["gemm", "attention", "gemm"]


def test_values_of_another_width_and_cross_attention() -> None:
    b = Builder()
    q = heads(b, b.linear(b.input(2, 6, 32), 32))
    memory = b.input(2, 10, 32)
    k, v = heads(b, b.linear(memory, 32)), heads(b, b.linear(memory, 64))
    node = check(b, b.graph(merged(b, plain(b, q, k, v))), q_len=6, kv_len=10, head_dim=8, v_head_dim=16)
    # Q·K^T: 2 x 8 x 6 x 10 x 8 = 7680; P·V: 2 x 8 x 6 x 16 x 10 = 15360
    assert node.product_flops == 7680 + 15360


def test_scores_transposed_before_the_softmax() -> None:
    """K·Q^T, then transposed, as einsum may order its operands."""
    b = Builder()
    q, k, v = qkv(b)
    scores = b.transpose(b.matmul(k, b.transpose(q, 0, 1, 3, 2)), 0, 1, 3, 2)
    check(b, b.graph(merged(b, b.matmul(b.softmax(scores), v))), heads=4)


def test_product_with_the_values_the_other_way_round() -> None:
    """V^T·P^T gives the transposed result."""
    b = Builder()
    q, k, v = qkv(b)
    p = b.softmax(b.matmul(q, b.transpose(k, 0, 1, 3, 2)))
    op = ops.Gemm(batch=8, m=8, n=6, k=6, dtype="fp32")
    y = b.node(op, (v, p), (2, 4, 8, 6), attributes={"transpose_a": True, "transpose_b": True})[0]
    check(b, b.graph(y), head_dim=8, v_head_dim=None)


def test_probabilities_that_are_returned_must_be_computed() -> None:
    b = Builder()
    q, k, v = qkv(b)
    p = b.softmax(b.matmul(q, b.transpose(k, 0, 1, 3, 2)))
    after = fuse(b.graph(merged(b, b.matmul(p, v)), p))
    assert not any(isinstance(n.op, ops.Attention) for n in after.nodes)


def test_softmax_before_a_classifier_is_no_attention() -> None:
    b = Builder()
    y = b.matmul(b.softmax(b.linear(b.input(2, 6, 32), 10)), b.weight(10, 4))
    assert not any(isinstance(n.op, ops.Attention) for n in fuse(b.graph(y)).nodes)


# --- causality


@pytest.mark.parametrize("order", ["less_equal", "less", "greater"])
def test_mask_made_by_comparing_positions_is_causal(order: str) -> None:
    b = Builder()
    node = check(b, b.graph(plain(b, *qkv(b), position_mask(b, order))), causal=True, phase="prefill")
    assert node.extra_bytes_read == 4 * 36
    # Query i sees i + 1 keys: 21 of 36 pairs for each of 8 heads; two products of 2 x 8 FLOPs, scale and softmax a
    # pair, and the mask added to all 288.
    assert node.flops_executed == 8 * 21 * (16 + 16 + 16) + SCORES


def test_triangle_is_causal() -> None:
    b = Builder()
    whole = b.input(6, 6)
    triangle = b.node(ops.Copy(kind="trilu", elements=36, dtype="fp32"), (whole,), (6, 6))[0]
    check(b, b.graph(plain(b, *qkv(b), triangle)), causal=True)


def test_padding_mask_is_not_causal() -> None:
    b = Builder()
    padding = b.ew("mul", b.ew("sub", 1.0, b.view(b.input(2, 6), 2, 1, 1, 6)), -1e9)
    before = b.graph(plain(b, *qkv(b), padding))
    check(b, before, causal=False, phase="encoder")
    assert fuse(before).warnings == ()


def test_constant_mask_without_evidence_is_counted_in_full_and_said() -> None:
    b = Builder()
    before = b.graph(plain(b, *qkv(b), b.weight(1, 1, 6, 6)))
    after = fuse(before)
    node = attention_of(after)
    assert not node.op.causal
    assert node.extra_bytes_read == 4 * 36
    assert len(after.warnings) == 1
    assert after.warnings[0].startswith("1 x attention with a constant mask whose values were not read")


def test_constant_mask_that_the_reader_knows_to_be_causal() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    scores = b.ew("add", scores, b.weight(1, 1, 6, 6), attributes={"causal": True})
    before = b.graph(b.matmul(b.softmax(scores), v))
    node = check(b, before, causal=True, phase="prefill")
    # A flag of the kernel: nothing is read and nothing added.
    assert node.extra_bytes_read == 0
    assert node.fused == ()
    assert fuse(before).warnings == ()


def with_removed(graph: Graph, source_op: str) -> Graph:
    import dataclasses

    return dataclasses.replace(graph, removed=(Removed("compare", source_op, "constant"),))


def test_constant_mask_of_a_file_that_compares_by_order_is_assumed_causal() -> None:
    b = Builder()
    before = with_removed(b.graph(plain(b, *qkv(b), b.weight(1, 1, 6, 6))), "LessOrEqual")
    after = fuse(before)
    assert attention_of(after).op.causal
    assert after.warnings == (
        "1 x attention with a constant mask: taken as causal, since the file compares positions by order "
        f"({attention_of(after).name})",
    )


def test_constant_bias_per_head_is_not_assumed_causal() -> None:
    b = Builder()
    before = with_removed(b.graph(plain(b, *qkv(b), b.weight(1, 4, 6, 6))), "LessOrEqual")
    assert not attention_of(fuse(before)).op.causal


# --- decoding with a cache


@pytest.mark.parametrize("returned", [True, False])
def test_cache_is_appended_to_in_place(returned: bool) -> None:
    """Ten cached tokens, one new: the kernel reads 11 keys, and only one is written."""
    b = Builder()
    x = b.input(2, 1, 32)
    past_k, past_v = b.input(2, 4, 10, 8), b.input(2, 4, 10, 8)
    q, k, v = (heads(b, b.linear(x, 32)) for _ in range(3))
    k, v = b.concat(2, past_k, k), b.concat(2, past_v, v)
    y = merged(b, plain(b, q, k, v))
    before = b.graph(y, k, v) if returned else b.graph(y)
    node = check(b, before, q_len=1, kv_len=11, phase="decode", causal=False)
    assert node.product_flops == 2 * (2 * 8 * 11 * 8)
    appends = [n for n in fuse(before).nodes if n.op.op == "copy"]
    assert [n.op.kind for n in appends] == ["cache_append"] * 2
    assert [n.bytes for n in appends] == [2 * 4 * 64] * 2  # 2 x 4 x 1 x 8 elements read and written


# --- rotary embeddings


@pytest.mark.parametrize("rotate", [rotate_half, rotate_pairs])
@pytest.mark.parametrize("swap", [False, True])
def test_rope(rotate: Any, swap: bool) -> None:
    b = Builder()
    x, cos, sin = b.input(2, 4, 6, 8), b.input(1, 1, 6, 8), b.input(1, 1, 6, 8)
    straight, turned = b.ew("mul", x, cos), b.ew("mul", sin, rotate(b, x))
    y = b.ew("add", turned, straight) if swap else b.ew("add", straight, turned)
    before = b.graph(y)
    (node,) = fuse(before).nodes
    assert isinstance(node.op, ops.Elementwise)
    assert node.op.kind == "rope"
    assert node.flops == 3 * 384
    assert node.bytes == 4 * (384 + 48 + 48 + 384)
    assert len(node.members) >= 7  # the rest are views


def test_rope_by_halves() -> None:
    b = Builder()
    x, cos, sin = b.input(2, 4, 6, 8), b.input(1, 1, 6, 4), b.input(1, 1, 6, 4)
    x1, x2 = b.split(x, 3, 2)
    first = b.ew("sub", b.ew("mul", x1, cos), b.ew("mul", x2, sin))
    second = b.ew("add", b.ew("mul", x2, cos), b.ew("mul", x1, sin))
    (node,) = fuse(b.graph(b.concat(3, first, second))).nodes
    assert isinstance(node.op, ops.Elementwise)
    assert (node.op.kind, node.op.elements) == ("rope", 384)
    assert node.bytes == 4 * (384 + 24 + 24 + 384)


def test_rope_of_something_else_rotated_is_no_rope() -> None:
    b = Builder()
    x, z = b.input(2, 4, 6, 8), b.input(2, 4, 6, 8)
    cos, sin = b.input(1, 1, 6, 8), b.input(1, 1, 6, 8)
    y = b.ew("add", b.ew("mul", x, cos), b.ew("mul", rotate_half(b, z), sin))
    assert not any("rope" in getattr(n.op, "kind", "") for n in fuse(b.graph(y)).nodes)


def test_rope_between_the_projection_and_attention_reads_strided() -> None:
    b = Builder()
    q, k, v = qkv(b, 2)
    cos, sin = b.input(1, 1, 6, 8), b.input(1, 1, 6, 8)

    def rope(x: str) -> str:
        return b.ew("add", b.ew("mul", x, cos), b.ew("mul", rotate_half(b, x), sin))

    y = plain(b, rope(q), repeated(b, rope(k), 2), repeated(b, v, 2))
    before = b.graph(merged(b, y))
    check(b, before, kv_heads=2)
    kinds = [getattr(n.op, "kind", n.op.op) for n in fuse(before).nodes]
    assert sorted(kinds) == ["attention", "gemm", "gemm", "gemm", "gemm", "rope", "rope"]

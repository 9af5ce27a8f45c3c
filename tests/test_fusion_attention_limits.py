"""What looks like attention or a rotary embedding and is none, or not all of it; shapes as in test_fusion_attention."""

from __future__ import annotations

from typing import Any

import pytest
from attention_graphs import SCORES, attention_of, check, merged, plain, position_mask, qkv, rotate_half
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph

# --- what looks like attention, but is none, or not all of it


def attentions(graph: Graph) -> int:
    return sum(isinstance(n.op, ops.Attention) for n in fuse(graph).nodes)


def test_scores_weighted_by_a_tensor_are_no_attention() -> None:
    """No kernel multiplies scores by a tensor (as gated attention does)."""
    b = Builder()
    q, k, v = qkv(b)
    scores = b.ew("mul", b.matmul(q, b.transpose(k, 0, 1, 3, 2)), b.input(2, 4, 6, 6))
    assert attentions(b.graph(b.matmul(b.softmax(scores), v))) == 0


def test_scores_subtracted_from_something_are_no_attention() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.ew("sub", b.input(2, 4, 6, 6), b.matmul(q, b.transpose(k, 0, 1, 3, 2)))
    assert attentions(b.graph(b.matmul(b.softmax(scores), v))) == 0


def test_softmax_over_the_queries_is_no_attention() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    op = ops.Softmax(rows=48, cols=6, dtype="fp32")
    p = b.node(op, (scores,), (2, 4, 6, 6), attributes={"axis": 2})[0]
    assert attentions(b.graph(b.matmul(p, v))) == 0


def test_scores_that_are_returned_must_be_computed() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    assert attentions(b.graph(b.matmul(b.softmax(scores), v), scores)) == 0


def test_probabilities_with_two_products_are_no_attention() -> None:
    b = Builder()
    q, k, v = qkv(b)
    p = b.softmax(b.matmul(q, b.transpose(k, 0, 1, 3, 2)))
    assert attentions(b.graph(b.matmul(p, v), b.matmul(p, k))) == 0


def test_probabilities_used_otherwise_are_no_attention() -> None:
    b = Builder()
    q, k, v = qkv(b)
    p = b.ew("relu", b.softmax(b.matmul(q, b.transpose(k, 0, 1, 3, 2))))
    assert attentions(b.graph(b.matmul(p, v))) == 0


def test_keys_that_are_weights_are_no_attention() -> None:
    """A softmax between two linear layers (a learned dictionary) is run as two GEMMs."""
    b = Builder()
    scores = b.matmul(b.input(2, 6, 8), b.weight(8, 6))
    assert attentions(b.graph(b.matmul(b.softmax(scores), b.input(2, 6, 8)))) == 0


def test_other_transposes_of_scores_are_no_attention() -> None:
    b = Builder()
    q, k, _ = qkv(b)
    scores = b.transpose(b.matmul(q, b.transpose(k, 0, 1, 3, 2)), 0, 2, 1, 3)
    assert attentions(b.graph(b.matmul(b.softmax(scores), b.input(2, 6, 6, 8)))) == 0


@pytest.mark.parametrize("kind", ["max", "min", "clip"])
def test_bounded_scores(kind: str) -> None:
    """As some exports keep fp16 from overflowing: max(scores, lowest)."""
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    scores = b.ew(kind, scores, -1e4, 1e4) if kind == "clip" else b.ew(kind, scores, -1e4)
    node = check(b, b.graph(merged(b, b.matmul(b.softmax(scores), v))))
    assert [f.flops for f in node.fused] == [SCORES]


def test_scaled_query_that_is_needed_elsewhere_is_scaled() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scaled = b.ew("mul", q, 0.3535)
    y = b.matmul(b.softmax(b.matmul(scaled, b.transpose(k, 0, 1, 3, 2))), v)
    after = fuse(b.graph(y, b.reduce("max", scaled)))
    assert scaled in attention_of(after).inputs
    assert scaled in {name for n in after.nodes for name in n.outputs}


def test_scale_per_channel_is_arithmetic_before_attention() -> None:
    """Only one number can be folded into the kernel's scale."""
    b = Builder()
    q, k, v = qkv(b)
    scaled = b.ew("mul", q, b.weight(8))
    y = b.matmul(b.softmax(b.matmul(scaled, b.transpose(k, 0, 1, 3, 2))), v)
    assert scaled in attention_of(fuse(b.graph(y))).inputs


def test_keys_that_are_returned_transposed_are_made() -> None:
    b = Builder()
    q, k, v = qkv(b)
    turned = b.transpose(k, 0, 1, 3, 2)
    after = fuse(b.graph(b.matmul(b.softmax(b.matmul(q, turned)), v), turned))
    assert turned in {name for n in after.nodes for name in n.outputs}


def test_two_masks_are_both_read() -> None:
    b = Builder()
    q, k, v = qkv(b)
    scores = b.matmul(q, b.transpose(k, 0, 1, 3, 2))
    scores = b.ew("add", b.ew("add", scores, b.input(1, 4, 6, 6)), b.input(2, 1, 1, 6))
    node = check(b, b.graph(merged(b, b.matmul(b.softmax(scores), v))))
    assert node.extra_bytes_read == 4 * (144 + 12)
    assert [f.flops for f in node.fused] == [SCORES, SCORES]


@pytest.mark.parametrize(
    "shapes", [((2, 1, 1, 6), (2, 1, 1, 1)), ((1, 1, 6, 6), (1, 1, 6, 6)), ((1, 1, 6, 1), (1, 1, 6, 1))]
)
def test_other_comparisons_are_not_causal(shapes: Any) -> None:
    """Positions with lengths (padding), or matrices with each other."""
    b = Builder()
    allowed = b.ew("less", b.input(*shapes[0]), b.input(*shapes[1]))
    mask = b.ew("where", allowed, 0.0, -1e9, dtype="fp32")
    check(b, b.graph(plain(b, *qkv(b), mask)), causal=False)


def test_equality_of_positions_is_not_causal() -> None:
    b = Builder()
    check(b, b.graph(plain(b, *qkv(b), position_mask(b, "equal"))), causal=False)


def test_mask_that_a_node_on_the_way_says_to_be_causal() -> None:
    b = Builder()
    allowed = b.ew(
        "and", b.weight(1, 1, 6, 6, dtype="bool"), b.input(2, 1, 1, 6, dtype="bool"), attributes={"causal": True}
    )
    mask = b.ew("where", allowed, 0.0, -1e9, dtype="fp32")
    node = check(b, b.graph(plain(b, *qkv(b), mask)), causal=True)
    assert node.extra_bytes_read == 4 * 72  # it hides padding too, so that it must be read


def test_constant_padding_is_no_reason_to_warn() -> None:
    b = Builder()
    before = b.graph(plain(b, *qkv(b), b.weight(2, 1, 1, 6)))
    assert fuse(before).warnings == ()


def test_one_query_needs_no_causality() -> None:
    b = Builder()
    k, v = b.input(2, 4, 11, 8), b.input(2, 4, 11, 8)
    before = b.graph(plain(b, b.input(2, 4, 1, 8), k, v, b.weight(1, 1, 1, 11)))
    node = attention_of(fuse(before))
    assert (node.op.phase, node.op.causal) == ("decode", False)
    assert fuse(before).warnings == ()


@pytest.mark.parametrize("case", ["new first", "computed past", "dtype", "three"])
def test_concatenations_that_are_no_cache(case: str) -> None:
    b = Builder()
    q, k, v = qkv(b)
    past = b.input(2, 4, 10, 8)
    parts = {
        "new first": lambda: (k, past), "computed past": lambda: (b.ew("exp", past), k),
        "dtype": lambda: (b.input(2, 4, 10, 8, dtype="bf16"), k), "three": lambda: (past, k, k),
    }[case]()  # fmt: skip
    k = b.concat(2, *parts)
    v = b.input(*b.shape(k))
    after = fuse(b.graph(plain(b, q, k, v)))
    assert [n.op.kind for n in after.nodes if isinstance(n.op, ops.Copy) and n.op.kind != "transpose"] == ["concat"]


def test_concatenation_that_no_attention_reads_is_no_cache() -> None:
    b = Builder()
    y = b.reduce("max", b.concat(1, b.input(2, 4), b.ew("exp", b.input(2, 4))))
    assert [getattr(n.op, "kind", "") for n in fuse(b.graph(y)).nodes] == ["exp", "concat", "max"]


def rope_variant(b: Builder, case: str) -> str:
    x, cos, sin = b.input(2, 4, 6, 8), b.input(1, 1, 6, 8), b.input(1, 1, 6, 8)
    low, high = b.slice(x, 3, 0, 4), b.slice(x, 3, 4, 8)
    turned = {
        "not negated": lambda: b.concat(3, b.ew("exp", high), low),
        "three parts": lambda: b.concat(3, b.ew("neg", high), b.slice(low, 3, 0, 2), b.slice(low, 3, 2, 4)),
        "times two": lambda: b.concat(3, b.ew("mul", high, 2.0), low),
        "times minus one": lambda: b.concat(3, b.ew("mul", high, -1.0), low),
    }[case]()
    return b.ew("add", b.ew("mul", x, cos), b.ew("mul", turned, sin))


@pytest.mark.parametrize(
    ("case", "expected"), [("not negated", 0), ("three parts", 0), ("times two", 0), ("times minus one", 1)]
)
def test_variants_of_rotation(case: str, expected: int) -> None:
    b = Builder()
    after = fuse(b.graph(rope_variant(b, case)))
    assert sum("rope" in getattr(n.op, "kind", "") for n in after.nodes) == expected


@pytest.mark.parametrize("case", ["two sums", "other tensor", "one half", "not crossed"])
def test_halves_that_are_not_rotated(case: str) -> None:
    b = Builder()
    x, cos, sin = b.input(2, 4, 6, 8), b.input(1, 1, 6, 4), b.input(1, 1, 6, 4)
    x1, x2 = b.split(x, 3, 2)
    z1, z2 = b.split(b.input(2, 4, 6, 8), 3, 2)
    a, c = {"two sums": (x1, x2), "other tensor": (z1, z2), "one half": (x1, x1), "not crossed": (x2, x1)}[case]
    first = b.ew("add" if case == "two sums" else "sub", b.ew("mul", x1, cos), b.ew("mul", x2, sin))
    second = b.ew("add", b.ew("mul", c, cos), b.ew("mul", a, sin))
    after = fuse(b.graph(b.concat(3, first, second)))
    found = sum("rope" in getattr(n.op, "kind", "") for n in after.nodes)
    assert found == 0


def test_rope_of_a_half_precision_tensor_with_wide_tables() -> None:
    b = Builder("bf16")
    x = b.input(2, 4, 6, 8)
    cos, sin = b.input(1, 1, 6, 8, dtype="fp32"), b.input(1, 1, 6, 8, dtype="fp32")
    (node,) = fuse(b.graph(b.ew("add", b.ew("mul", x, cos), b.ew("mul", rotate_half(b, x), sin)))).nodes
    assert node.bytes == 2 * 384 + 4 * 96 + 2 * 384


@pytest.mark.parametrize("same_source", [True, False])
def test_rope_of_a_part_of_each_head_works_in_place(same_source: bool) -> None:
    b = Builder()
    x = b.input(2, 4, 6, 16)
    cos, sin = b.input(1, 1, 6, 8), b.input(1, 1, 6, 8)
    part = b.slice(x, 3, 0, 8)
    rest = b.slice(x if same_source else b.input(2, 4, 6, 16), 3, 8, 16)
    y = b.concat(3, b.ew("add", b.ew("mul", part, cos), b.ew("mul", rotate_half(b, part), sin)), rest)
    before = b.graph(b.reduce("max", y))
    after = fuse(before)
    kinds = [n.op.kind for n in after.nodes]
    assert kinds == (["rope", "max"] if same_source else ["rope", "concat", "max"])
    rope = next(n for n in after.nodes if n.op.kind == "rope")
    assert rope.bytes == 4 * (384 + 96 + 384)  # 8 of 16 columns move
    assert fuse(after) == after


@pytest.mark.parametrize("kind", ["mul", "div"])
@pytest.mark.parametrize("first", [True, False])
def test_scale_of_the_keys(kind: str, first: bool) -> None:
    b = Builder()
    q, k, v = qkv(b)
    k = b.ew(kind, 3.0, k) if first else b.ew(kind, k, 3.0)
    y = b.matmul(b.softmax(b.matmul(q, b.transpose(k, 0, 1, 3, 2))), v)
    after = fuse(b.graph(y))
    is_scale = not (first and kind == "div")
    assert (k in attention_of(after).inputs) != is_scale

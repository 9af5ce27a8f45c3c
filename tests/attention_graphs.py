"""Graphs with attention, piece by piece, and what must hold after fusion."""

from __future__ import annotations

from typing import Any

from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph, Node

PRODUCTS = 2 * 4608
SCORES = 288


def attention_of(graph: Graph) -> Node:
    found = [n for n in graph.nodes if isinstance(n.op, ops.Attention)]
    assert len(found) == 1, [n.op for n in graph.nodes]
    return found[0]


def heads(b: Builder, x: str, number: int = 4) -> str:
    """(batch, tokens, heads·8) → (batch, heads, tokens, 8)."""
    n, s, width = b.shape(x)
    return b.transpose(b.view(x, n, s, number, width // number), 0, 2, 1, 3)


def merged(b: Builder, y: str) -> str:
    """(batch, heads, tokens, d) → (batch, tokens, heads·d), and the output projection to 32."""
    n, h, s, d = b.shape(y)
    return b.matmul(b.view(b.transpose(y, 0, 2, 1, 3), n, s, h * d), b.weight(h * d, 32))


def qkv(b: Builder, kv_heads: int = 4) -> tuple[str, str, str]:
    x = b.input(2, 6, 32)
    return (
        heads(b, b.linear(x, 32)),
        heads(b, b.linear(x, 8 * kv_heads), kv_heads),
        heads(b, b.linear(x, 8 * kv_heads), kv_heads),
    )


def plain(b: Builder, q: str, k: str, v: str, mask: str | None = None) -> str:
    rank = len(b.shape(k))
    scores = b.matmul(q, b.transpose(k, *range(rank - 2), rank - 1, rank - 2))
    scores = b.ew("div", scores, 8**0.5)
    if mask is not None:
        scores = b.ew("add", scores, mask)
    return b.matmul(b.softmax(scores), v)


def gemms(graph: Graph) -> int:
    return sum(isinstance(n.op, ops.Gemm) for n in graph.nodes)


def check(b: Builder, before: Graph, **expected: Any) -> Node:
    after = fuse(before)
    node = attention_of(after)
    assert before.total("product_flops") == after.total("product_flops")
    assert after.total("bytes") < before.total("bytes")
    assert gemms(after) == gemms(before) - 2
    assert fuse(after) == after
    for name, value in expected.items():
        assert getattr(node.op, name) == value, name
    return node


def position_mask(b: Builder, order: str) -> str:
    """where(key position <= query position, 0, -inf), from positions that are inputs."""
    positions = b.input(6, dtype="int64")
    allowed = b.ew(order, b.view(positions, 1, 1, 1, 6), b.view(positions, 1, 1, 6, 1))
    return b.ew("where", allowed, 0.0, -1e9, dtype="fp32")


def rotate_half(b: Builder, x: str) -> str:
    d = b.shape(x)[-1]
    return b.concat(3, b.ew("neg", b.slice(x, 3, d // 2, d)), b.slice(x, 3, 0, d // 2))


def rotate_pairs(b: Builder, x: str) -> str:
    """As GPT-J: neighbours are pairs."""
    n, h, s, d = b.shape(x)
    even, odd = (b.view(part, n, h, s, d // 2, 1) for part in b.split(b.view(x, n, h, s, d // 2, 2), 4, 2))
    return b.view(b.concat(4, b.ew("neg", odd), even), n, h, s, d)

"""What a CPU runtime fuses less than engines do, and where it changes the layout of channels."""

from __future__ import annotations

import pytest
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse, fuse_for_cpu
from perfmodel.graph import Graph, Node
from perfmodel.predict.memory import plan_on_cpu
from perfmodel.predict.memory.layout import with_reorders


def conv(b: Builder, x: str, c_out: int, *, transposed: bool = False, groups: int = 1) -> str:
    """A 1x1 convolution (2x2 with stride 2 where transposed) of (n, c, h, w)."""
    n, c_in, h, w = b.shape(x)
    size, scale = (2, 2) if transposed else (1, 1)
    op = ops.Conv(
        batch=n, c_in=c_in, c_out=c_out, h=h, w=w, kernel_h=size, kernel_w=size, stride_h=scale, stride_w=scale,
        groups=groups, transposed=transposed, dtype=b.dtype,
    )  # fmt: skip
    weight = b.weight(c_in, c_out // groups, size, size) if transposed else b.weight(c_out, c_in // groups, size, size)
    return b.node(op, (x, weight), (n, c_out, h * scale, w * scale))[0]


def kinds(graph: Graph) -> list[str]:
    """Every kernel as ``family:parts``."""
    return [
        ":".join([getattr(n.op, "kind", n.op.op), *(getattr(f, "kind", f.op) for f in n.fused)]) for n in graph.nodes
    ]


# ------------------------------------------------------------------------------------------------------------- fusion
def test_a_convolution_takes_bias_residual_and_activation() -> None:
    b = Builder()
    x = b.input(1, 16, 4, 4)
    shortcut = b.ew("exp", x)
    y = b.ew("relu", b.ew("add", conv(b, b.ew("neg", x), 16), shortcut))
    assert kinds(fuse_for_cpu(b.graph(b.ew("exp", y)))) == ["exp", "neg", "conv:add:relu", "exp"]


def test_a_residual_after_a_gemm_is_a_kernel() -> None:
    b = Builder()
    x = b.ew("exp", b.input(8, 8))
    graph = b.graph(b.ew("add", b.matmul(x, b.weight(8, 8)), x))
    assert kinds(fuse_for_cpu(graph)) == ["exp", "gemm", "add"]
    assert kinds(fuse(graph)) == ["exp", "gemm:add"]


def test_a_gemm_takes_bias_activation_and_factors_but_no_residual() -> None:
    b = Builder()
    x = b.input(4, 8)
    y = b.matmul(b.ew("mul", b.ew("exp", x), 0.5), b.weight(8, 8))
    y = b.ew("tanh", b.ew("add", y, b.weight(8)))
    graph = b.graph(b.ew("add", y, x))
    assert kinds(fuse_for_cpu(graph)) == ["exp", "gemm:add:tanh", "add"]
    assert [r.reason for r in fuse_for_cpu(graph).removed] == ["a factor of the GEMM"]


@pytest.mark.parametrize(("kind", "joins"), [("relu", True), ("clip", True), ("gelu", False), ("silu", False)])
def test_activations_of_mlas_join(kind: str, joins: bool) -> None:
    b = Builder()
    fused = kinds(fuse_for_cpu(b.graph(b.ew(kind, b.matmul(b.input(4, 8), b.weight(8, 8))))))
    assert fused == ([f"gemm:{kind}"] if joins else ["gemm", kind])


def test_a_transposed_convolution_takes_nothing() -> None:
    b = Builder()
    graph = b.graph(b.ew("relu", conv(b, b.input(1, 16, 4, 4), 16, transposed=True)))
    assert kinds(fuse_for_cpu(graph)) == ["conv", "relu"]
    assert kinds(fuse(graph)) == ["conv:relu"]


def test_chains_and_hard_swish_stay_apart() -> None:
    b = Builder()
    x = b.ew("exp", b.input(4, 8))
    gate = b.ew("clip", b.ew("add", x, 3))
    graph = b.graph(b.ew("div", b.ew("mul", x, gate), 6))
    assert kinds(fuse_for_cpu(graph)) == ["exp", "add", "clip", "mul", "div"]
    assert len(fuse(graph).nodes) == 1


# ------------------------------------------------------------------------------------------------------------- layout
def reorders(graph: Graph) -> list[str]:
    """The kernels of a graph with its reordered copies, by what they are."""
    nodes: list[Node] = list(with_reorders(graph).nodes)
    return [getattr(n.op, "kind", n.op.op) for n in nodes]


def test_a_chain_of_convolutions_needs_one_copy_at_its_end() -> None:
    b = Builder()
    y = conv(b, conv(b, b.input(1, 3, 8, 8), 32), 16)  # three channels are read as they are
    graph = b.graph(b.ew("exp", y))
    assert reorders(graph) == ["conv", "conv", "reorder", "exp"]


def test_a_result_of_the_model_is_returned_unblocked() -> None:
    b = Builder()
    plain = b.graph(conv(b, b.input(1, 3, 8, 8), 20))
    graph = with_reorders(plain)
    assert [n.op.op for n in graph.nodes] == ["conv", "copy"]
    made, returned = graph.nodes[0].outputs[0], graph.outputs[0]
    # 20 channels are padded to two blocks of 16 inside.
    assert graph.tensors[made].shape == (1, 32, 8, 8)
    assert graph.tensors[returned].shape == (1, 20, 8, 8)
    found = plan_on_cpu(plain)
    assert (found.outputs_bytes, found.activations_bytes) == (4 * 20 * 64, 4 * 32 * 64)


def test_many_channels_are_reordered_first_and_once() -> None:
    b = Builder()
    x = b.input(1, 32, 8, 8)
    graph = b.graph(b.ew("exp", b.ew("add", conv(b, x, 16), conv(b, x, 16))))
    # The sum of two blocked tensors of one shape is blocked.
    assert reorders(graph) == ["reorder", "conv", "conv", "add", "reorder", "exp"]


def test_broadcasts_and_odd_concatenations_are_not_blocked() -> None:
    b = Builder()
    x = conv(b, b.input(1, 3, 8, 8), 16)
    gate = conv(b, b.input(1, 3, 1, 1), 16)
    assert reorders(b.graph(b.ew("mul", x, gate)))[-3:] == ["reorder", "reorder", "mul"]
    for channels, expected in (
        (16, ["conv", "conv", "concat", "reorder"]),
        (8, ["conv", "conv", "reorder", "reorder", "concat"]),
    ):
        b = Builder()
        parts = [conv(b, b.input(1, 3, 8, 8), channels) for _ in "ab"]
        joined = ops.Copy(kind="concat", elements=2 * channels * 64, dtype="fp32")
        y = b.node(joined, tuple(parts), (1, 2 * channels, 8, 8), attributes={"axis": 1})[0]
        assert reorders(b.graph(y)) == expected


def test_what_is_no_blocked_convolution() -> None:
    for dtype, transposed, groups in (("fp16", False, 1), ("fp32", True, 1), ("fp32", False, 2)):
        b = Builder(dtype)
        graph = b.graph(conv(b, b.input(1, 16, 4, 4), 16, transposed=transposed, groups=groups))
        assert with_reorders(graph) is graph
    # Groups of whole blocks are, and depthwise convolutions.
    for groups in (2, 64):
        b = Builder()
        assert reorders(b.graph(conv(b, b.input(1, 64, 4, 4), 64, groups=groups))) == ["reorder", "conv", "reorder"]

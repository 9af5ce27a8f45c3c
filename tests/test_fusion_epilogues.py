"""What joins a GEMM or convolution: constants in its weights, bias, activation, residual, transposes."""

from __future__ import annotations

import pytest
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph, Node

# Convolutions here: (2, 3, 8, 8) → (2, 4, 8, 8), kernel 3: 512 results.
CONV_PRODUCT = 2 * 512 * 27
RESULTS = 512


def kinds(node: Node) -> list[str]:
    return [f.kind for f in node.fused]


def check_flops(before: Graph, after: Graph) -> None:
    """Every FLOP is either still executed or listed as removed."""
    assert before.total("flops") == after.total("flops") + sum(r.flops for r in after.removed)
    assert before.total("product_flops") == after.total("product_flops")
    assert after.total("bytes") <= before.total("bytes")
    named = [m for n in after.nodes for m in n.members] + [r.name for r in after.removed]
    assert sorted(named) == sorted(n.name for n in before.nodes)
    assert fuse(after) == after


def test_batchnorm_goes_into_a_convolution_without_bias() -> None:
    b = Builder()
    y = b.ew("relu", b.batchnorm(b.conv(b.input(2, 3, 8, 8), 4)))
    before = b.graph(y)
    after = fuse(before)
    (node,) = after.nodes
    assert kinds(node) == ["add", "relu"]  # the shift remains, as a bias
    assert node.flops == CONV_PRODUCT + 2 * RESULTS
    assert node.extra_bytes_read == 4 * 4
    (gone,) = after.removed
    assert gone.reason == "folded into the convolution"
    # 2 a element and 8 a channel, less the bias that is added in its place
    assert gone.flops == 2 * RESULTS + 4 * 8 - RESULTS
    assert gone.name not in node.members
    # 384 elements in, 4 x 27 weights, 4 biases, 512 out
    assert node.bytes == 4 * (384 + 108 + 4 + 512)
    check_flops(before, after)


def test_batchnorm_goes_into_a_convolution_with_bias() -> None:
    b = Builder()
    before = b.graph(b.batchnorm(b.conv(b.input(2, 3, 8, 8), 4, bias=True)))
    after = fuse(before)
    (node,) = after.nodes
    assert kinds(node) == ["add"]
    assert [r.flops for r in after.removed] == [2 * RESULTS + 32]
    check_flops(before, after)


def test_frozen_batchnorm_written_as_scale_and_shift() -> None:
    b = Builder()
    y = b.conv(b.input(2, 3, 8, 8), 4)
    y = b.ew("add", b.ew("mul", y, b.weight(1, 4, 1, 1)), b.weight(4, 1, 1))
    before = b.graph(b.ew("relu", y))
    after = fuse(before)
    (node,) = after.nodes
    assert kinds(node) == ["add", "relu"]
    assert [(r.reason, r.flops) for r in after.removed] == [
        ("folded into the convolution", RESULTS),
        ("folded into the convolution", 0),  # its addition became the bias
    ]
    check_flops(before, after)


def test_scale_of_another_axis_is_not_folded() -> None:
    """Four values along the width are no channels."""
    b = Builder()
    y = b.ew("mul", b.conv(b.input(2, 3, 8, 4), 4), b.weight(4))
    after = fuse(b.graph(y))
    assert after.removed == ()
    assert kinds(after.nodes[0]) == ["mul"]


def test_batchnorm_after_an_activation_stays() -> None:
    b = Builder()
    before = b.graph(b.batchnorm(b.ew("relu", b.conv(b.input(2, 3, 8, 8), 4))))
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["conv", "norm"]
    check_flops(before, after)


def test_batchnorm_whose_input_is_read_elsewhere_stays() -> None:
    b = Builder()
    y = b.conv(b.input(2, 3, 8, 8), 4)
    before = b.graph(b.batchnorm(y), b.reduce("max", y))
    after = fuse(before)
    assert sorted(n.op.op for n in after.nodes) == ["conv", "norm", "reduce"]


def test_batchnorm_alone_takes_scale_shift_and_activation() -> None:
    """As in DenseNet, where it stands before the convolution."""
    b = Builder()
    y = b.batchnorm(b.input(2, 4, 8, 8))
    y = b.ew("relu", b.ew("add", b.ew("mul", y, b.weight(4, 1, 1)), b.weight(4, 1, 1)))
    before = b.graph(b.conv(y, 4))
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["norm", "conv"]
    assert kinds(after.nodes[0]) == ["relu"]
    assert {r.reason for r in after.removed} == {"folded into the batch norm"}
    check_flops(before, after)


def test_batchnorm_goes_into_a_linear_layer() -> None:
    b = Builder()
    y = b.linear(b.input(5, 8), 16)
    before = b.graph(b.batchnorm(y))
    after = fuse(before)
    # The bias is a node of its own here; it is taken in first, and the batch norm then goes into weights and bias.
    assert [n.op.op for n in after.nodes] == ["gemm"]
    assert {r.reason for r in after.removed} == {"folded into the linear layer"}
    check_flops(before, after)


def test_residual_block() -> None:
    """conv-relu-conv + x, relu: two kernels."""
    b = Builder()
    x = b.input(2, 4, 8, 8)
    y = b.conv(b.ew("relu", b.conv(x, 4, bias=True)), 4, bias=True)
    before = b.graph(b.ew("relu", b.ew("add", y, x)))
    after = fuse(before)
    assert [kinds(n) for n in after.nodes] == [["add", "relu"], ["add", "add", "relu"]]
    assert after.nodes[1].extra_bytes_read == 4 * 4 + 4 * RESULTS
    assert x in after.nodes[1].inputs
    check_flops(before, after)


def test_of_two_convolutions_that_meet_the_later_one_adds() -> None:
    b = Builder()
    x = b.input(2, 4, 8, 8)
    first, second = b.conv(x, 4), b.conv(x, 4, 1)
    before = b.graph(b.ew("relu", b.ew("add", first, second)))
    after = fuse(before)
    assert [kinds(n) for n in after.nodes] == [[], ["add", "relu"]]
    assert first in after.nodes[1].inputs
    check_flops(before, after)


def test_a_second_residual_is_a_kernel_of_its_own() -> None:
    b = Builder()
    x, z = b.input(5, 16), b.input(5, 16)
    y = b.ew("add", b.ew("add", b.linear(x, 16), x), z)
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == ["gemm", "elementwise"]
    assert kinds(after.nodes[0]) == ["add", "add"]


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "hard_swish"])
def test_linear_layer_with_bias_and_activation(activation: str) -> None:
    b = Builder()
    before = b.graph(b.ew(activation, b.linear(b.input(5, 8), 16)))
    after = fuse(before)
    (node,) = after.nodes
    assert kinds(node) == ["add", activation]
    assert node.product_flops == 2 * 5 * 8 * 16
    assert node.name == before.nodes[0].name
    assert node.bytes == 4 * (5 * 8 + 8 * 16 + 16 + 5 * 16)
    check_flops(before, after)


def test_scale_and_cast() -> None:
    b = Builder("bf16")
    y = b.cast(b.ew("mul", b.linear(b.input(5, 8), 16, bias=False), 0.125), "fp32")
    before = b.graph(y)
    (node,) = fuse(before).nodes
    assert isinstance(node.op, ops.Gemm)
    assert node.op.out_dtype == "fp32"
    assert node.bytes == 2 * (5 * 8 + 8 * 16) + 4 * 5 * 16
    assert node.flops == 2 * 5 * 8 * 16 + 80


def test_views_between_are_no_obstacle() -> None:
    """As torch exports addmm: rows folded, then unfolded."""
    b = Builder()
    x = b.view(b.input(2, 3, 8), 6, 8)
    before = b.graph(b.ew("gelu", b.view(b.linear(x, 16), 2, 3, 16)))
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["gemm"]
    check_flops(before, after)


def test_squeeze_and_excitation_scale_is_small_enough_for_an_epilogue() -> None:
    b = Builder()
    gate = b.input(2, 4, 1, 1)
    y = b.ew("mul", b.conv(b.input(2, 3, 8, 8), 4), gate)
    (node,) = fuse(b.graph(y)).nodes
    assert kinds(node) == ["mul"]
    assert node.extra_bytes_read == 4 * 8


def test_result_that_is_broadcast_is_written() -> None:
    """The gate of squeeze-and-excitation itself: its product is larger than it is."""
    b = Builder()
    x = b.input(2, 4, 8, 8)
    gate = b.ew("sigmoid", b.conv(b.reduce("mean", b.reduce("mean", x, -1), -2), 4, 1))
    before = b.graph(b.ew("mul", x, gate))
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["reduce", "reduce", "conv", "elementwise"]
    assert kinds(after.nodes[2]) == ["sigmoid"]
    check_flops(before, after)


def test_result_that_is_returned_too_is_written() -> None:
    b = Builder()
    y = b.linear(b.input(5, 8), 16, bias=False)
    after = fuse(b.graph(b.ew("relu", y), y))
    assert [n.op.op for n in after.nodes] == ["gemm", "elementwise"]


def test_rotation_or_resizing_is_no_epilogue() -> None:
    b = Builder()
    y = b.linear(b.input(5, 8), 16, bias=False)
    after = fuse(b.graph(b.ew("rope", y, b.input(5, 16), b.input(5, 16))))
    assert [n.op.op for n in after.nodes] == ["gemm", "elementwise"]


def test_transposed_operand_is_a_flag() -> None:
    b = Builder()
    x, z = b.input(2, 5, 8), b.input(2, 16, 8)
    before = b.graph(b.matmul(x, b.transpose(z, 0, 2, 1)))
    after = fuse(before)
    (node,) = after.nodes
    assert node.inputs == (x, z)
    assert node.attributes["transpose_b"] is True
    assert node.attributes["transpose_a"] is False
    assert [r.reason for r in after.removed] == ["read transposed by the GEMM"]


def test_transposed_operand_that_is_returned_is_made() -> None:
    b = Builder()
    turned = b.transpose(b.input(2, 16, 8), 0, 2, 1)
    after = fuse(b.graph(b.matmul(b.input(2, 5, 8), turned), turned))
    assert [n.op.op for n in after.nodes] == ["copy", "gemm"]
    assert after.nodes[1].attributes["transpose_b"] is False


def test_other_transposes_run() -> None:
    b = Builder()
    before = b.graph(b.matmul(b.transpose(b.input(5, 2, 8), 1, 0, 2), b.input(2, 8, 16)))
    assert [n.op.op for n in fuse(before).nodes] == ["copy", "gemm"]


@pytest.mark.parametrize("kind", ["mul", "div"])
@pytest.mark.parametrize("shift", ["add", "sub"])
def test_every_way_to_scale_and_shift_a_channel(kind: str, shift: str) -> None:
    b = Builder()
    y = b.ew(shift, b.ew(kind, b.conv(b.input(2, 3, 8, 8), 4), b.weight(4, 1, 1)), b.weight(4, 1, 1))
    before = b.graph(y)
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["conv"]
    assert kinds(after.nodes[0]) == ["add"]
    check_flops(before, after)


@pytest.mark.parametrize("kind", ["div", "sub"])
def test_constant_divided_by_the_result_is_no_scale(kind: str) -> None:
    b = Builder()
    before = b.graph(b.ew(kind, b.weight(4, 1, 1), b.conv(b.input(2, 3, 8, 8), 4)))
    after = fuse(before)
    assert after.removed == ()
    assert kinds(after.nodes[0]) == [kind]


def test_scale_that_is_computed_is_not_folded() -> None:
    b = Builder()
    after = fuse(b.graph(b.ew("mul", b.conv(b.input(2, 3, 8, 8), 4), b.input(4, 1, 1))))
    assert after.removed == ()
    assert kinds(after.nodes[0]) == ["mul"]


def test_plain_bias_is_an_epilogue_not_a_fold() -> None:
    b = Builder()
    after = fuse(b.graph(b.ew("add", b.conv(b.input(2, 3, 8, 8), 4), b.weight(4, 1, 1))))
    assert after.removed == ()
    assert kinds(after.nodes[0]) == ["add"]


def test_nothing_is_folded_into_computed_weights() -> None:
    b = Builder()
    x, w = b.input(5, 8), b.input(8, 16)
    after = fuse(b.graph(b.batchnorm(b.matmul(x, w))))
    assert [n.op.op for n in after.nodes] == ["gemm", "norm"]


def test_layernorm_is_never_folded() -> None:
    b = Builder()
    after = fuse(b.graph(b.layernorm(b.conv(b.input(2, 3, 8, 8), 4))))
    assert [n.op.op for n in after.nodes] == ["conv", "norm"]


def test_two_residuals_at_once_are_no_epilogue() -> None:
    b = Builder()
    x, z = b.input(5, 16), b.input(5, 16)
    y = b.linear(x, 16, bias=False)
    op = ops.Elementwise(kind="add+add", elements=80, inputs=3, dtype="fp32")
    y = b.node(op, (y, x, z), (5, 16))[0]
    assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["gemm", "elementwise"]


def test_product_with_a_full_tensor_is_no_epilogue() -> None:
    b = Builder()
    y = b.ew("mul", b.linear(b.input(5, 8), 16, bias=False), b.input(5, 16))
    assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["gemm", "elementwise"]


def test_comparison_is_no_epilogue() -> None:
    b = Builder()
    y = b.ew("greater", b.linear(b.input(5, 8), 16, bias=False), 0.0)
    assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["gemm", "elementwise"]


def test_epilogues_have_a_limited_length() -> None:
    b = Builder()
    y = b.linear(b.input(5, 8), 16, bias=False)
    for _ in range(20):
        y = b.ew("neg", y)
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == ["gemm", "elementwise"]
    assert len(after.nodes[0].fused) == 16


def test_cast_after_a_batchnorm_is_a_kernel() -> None:
    b = Builder("bf16")
    after = fuse(b.graph(b.cast(b.batchnorm(b.input(2, 4, 8, 8)), "fp32")))
    assert [n.op.op for n in after.nodes] == ["norm", "copy"]


@pytest.mark.parametrize("gated", [True, False])
def test_activation_waits_for_its_gate_only_where_there_is_one(gated: bool) -> None:
    """relu(a)·b with a full-size b is one kernel after both GEMMs; relu(a)·w with constants is an epilogue."""
    b = Builder()
    x = b.input(5, 8)
    a = b.ew("relu", b.linear(x, 16))
    y = b.ew("mul", a, b.linear(x, 16) if gated else b.weight(16))
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == (["gemm", "gemm", "elementwise"] if gated else ["gemm"])


@pytest.mark.parametrize("perm", [(0, 2, 1), (2, 0, 1), (1, 0, 2)])
def test_only_the_last_two_axes_are_a_flag(perm: tuple[int, int, int]) -> None:
    b = Builder()
    turned = b.transpose(b.input(4, 4, 4), *perm)
    after = fuse(b.graph(b.matmul(turned, b.input(4, 4, 4))))
    assert [n.op.op for n in after.nodes] == (["gemm"] if perm == (0, 2, 1) else ["copy", "gemm"])


def test_left_operand_transposed() -> None:
    b = Builder()
    after = fuse(b.graph(b.matmul(b.transpose(b.input(2, 8, 5), 0, 2, 1), b.input(2, 8, 16))))
    assert [n.op.op for n in after.nodes] == ["gemm"]
    assert (after.nodes[0].attributes["transpose_a"], after.nodes[0].attributes["transpose_b"]) == (True, False)


def test_transpose_that_arithmetic_reads_too_is_made() -> None:
    b = Builder()
    turned = b.transpose(b.input(2, 16, 8), 0, 2, 1)
    after = fuse(b.graph(b.matmul(b.input(2, 5, 8), turned), b.reduce("max", turned)))
    assert sorted(n.op.op for n in after.nodes) == ["copy", "gemm", "reduce"]


def test_instance_norm_with_as_many_rows_as_channels_is_not_folded() -> None:
    """Its statistics come from the data."""
    b = Builder()
    y = b.conv(b.input(1, 3, 8, 8), 4)
    op = ops.Norm(kind="instancenorm", rows=4, cols=64, dtype="fp32")
    y = b.node(op, (y, b.weight(4), b.weight(4)), (1, 4, 8, 8))[0]
    assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["conv", "norm"]


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "square", "clip"])
def test_gated_units(activation: str) -> None:
    b = Builder()
    x = b.input(5, 8)
    gate = b.linear(x, 16, bias=False)
    gate = b.ew("clip", gate, 0.0, 6.0) if activation == "clip" else b.ew(activation, gate)
    after = fuse(b.graph(b.ew("mul", b.linear(x, 16, bias=False), gate)))
    assert [getattr(n.op, "kind", n.op.op) for n in after.nodes] == ["gemm", "gemm", f"{activation}+mul"]


def test_transpose_that_is_flattened_before_a_linear_layer_is_made() -> None:
    b = Builder()
    turned = b.transpose(b.input(2, 4, 6), 0, 2, 1)
    after = fuse(b.graph(b.linear(b.view(turned, 2, 24), 16)))
    assert [n.op.op for n in after.nodes] == ["copy", "gemm"]


def test_transposed_operand_of_a_gemm_that_transposes_it_again() -> None:
    b = Builder()
    x, z = b.input(5, 8), b.input(8, 16)
    op = ops.Gemm(m=5, n=16, k=8, dtype="fp32", layout="nt")
    y = b.node(op, (x, b.transpose(z, 1, 0)), (5, 16), attributes={"transpose_a": False, "transpose_b": True})[0]
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == ["gemm"]
    assert after.nodes[0].attributes["transpose_b"] is False


def test_batchnorm_of_other_channels_is_not_folded() -> None:
    """A reshape makes 4 rows of 4 features out of 4 channels of a linear layer: the same number, another axis."""
    b = Builder()
    y = b.view(b.linear(b.input(4, 4, 8), 4), 1, 4, 16)
    after = fuse(b.graph(b.batchnorm(y)))
    assert [n.op.op for n in after.nodes] == ["gemm", "norm"]

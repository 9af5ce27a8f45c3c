"""What a batch norm may not be folded into: sums of which a part is not scaled with the layer's weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fusion_graphs import Builder
from onnx import helper
from onnx_models import model, value, weight

from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse, fuse_for_cpu
from perfmodel.graph import Graph

# Of every batch norm here: 4 channels of 128 elements, 2 FLOPs each, and 8 a channel.
BATCHNORM = 2 * 512 + 4 * 8


def forked(b: Builder, y: str) -> Graph:
    """The graph whose batch norm of ``y`` two others read: an activation of it would keep it from being folded."""
    y = b.batchnorm(y)
    return b.graph(b.reduce("max", y), b.reduce("sum", y))


@pytest.mark.parametrize("rewritten", [fuse, fuse_for_cpu])
@pytest.mark.parametrize("bias", [True, False])
def test_batchnorm_of_a_sum_with_a_residual_is_a_kernel(rewritten: Callable[[Graph], Graph], bias: bool) -> None:
    b = Builder()
    x, r = b.input(2, 3, 8, 8), b.input(2, 4, 8, 8)
    before = forked(b, b.ew("add", b.conv(x, 4, bias=bias), r))
    after = rewritten(before)
    assert after.removed == ()
    assert [n.op.op for n in after.nodes] == ["conv", "norm", "reduce", "reduce"]
    assert after.nodes[1].flops == BATCHNORM
    assert fuse(after) == after


def test_batchnorm_of_a_linear_layer_plus_its_own_input_is_a_kernel() -> None:
    """The residual is an operand that the kernel reads anyway, as in the layers of graph transformers."""
    b = Builder()
    x = b.input(128, 4)
    before = forked(b, b.ew("add", b.linear(x, 4), x))
    after = fuse(before)
    assert after.removed == ()
    assert [n.op.op for n in after.nodes] == ["gemm", "norm", "reduce", "reduce"]
    assert after.nodes[1].flops == BATCHNORM


@pytest.mark.parametrize("is_constant", [True, False])
def test_only_a_bias_that_is_stored_is_scaled_with_the_weights(is_constant: bool) -> None:
    """As U-Nets add the embedding of a time step to every channel."""
    b = Builder()
    x, time = b.input(2, 3, 8, 8), b.weight(4, 1, 1) if is_constant else b.input(2, 4, 1, 1)
    after = fuse(forked(b, b.ew("add", b.conv(x, 4), time)))
    assert [n.op.op for n in after.nodes] == ["conv", *([] if is_constant else ["norm"]), "reduce", "reduce"]


def test_batchnorm_after_a_convolution_of_onnx_runtime_that_adds_a_residual() -> None:
    nodes = [
        helper.make_node("FusedConv", ["x", "w", "b", "z"], ["c"], domain="com.microsoft"),
        helper.make_node("BatchNormalization", ["c", "g", "g", "g", "g"], ["y"]),
    ]
    stored = [weight("w", [4, 4, 1, 1]), weight("b", [4]), weight("g", [4])]
    inputs = [value(n, [2, 4, 8, 8]) for n in "xz"]
    after = fuse(read_onnx(model(nodes, inputs, ["y"], stored, domains=["com.microsoft"])))
    assert [n.op.op for n in after.nodes] == ["conv", "norm"]
    assert after.nodes[1].flops == BATCHNORM

"""What operators read and write once ``--dtype`` or ``--dtype-map`` have given them other formats."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper
from onnx_models import model, value, weight

from perfmodel.features.mlir import read_mlir
from perfmodel.features.onnx import read_onnx
from perfmodel.graph import Graph, Node
from perfmodel.predict.cast import cast


def product(first: str, second: str) -> Graph:
    a, b, out = f"tensor<128x1024x{first}>", f"tensor<1024x4096x{second}>", "tensor<128x4096xf32>"
    return read_mlir(
        f"func.func @main(%a: {a}, %b: {b}) -> {out} {{\n"
        f"%r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : ({a}, {b}) -> {out}\nreturn %r : {out}\n}}\n"
    )


def only(graph: Graph, op: str) -> Node:
    (found,) = [n for n in graph.nodes if n.op.op == op]
    return found


@pytest.mark.parametrize("pair", [("f32", "f16"), ("bf16", "f32")])
@pytest.mark.parametrize(
    "formats",
    [{"dtype": name} for name in ("fp32", "fp16", "bf16", "fp8", "w4a16_g128")]
    + [{"dtype": None, "dtype_map": {"gemm": name}} for name in ("fp16", "fp8")],
)
def test_operands_of_two_widths_are_alike_once_they_are_cast(pair: tuple[str, str], formats: dict[str, Any]) -> None:
    of_two, of_one = (only(cast(product(*types), **formats), "gemm") for types in (pair, ("f32", "f32")))
    assert of_two.op.replace(out_dtype=None) == of_one.op.replace(out_dtype=None)
    assert of_two.extra_bytes_read == of_one.extra_bytes_read == 0


def test_conditions_and_positions_keep_their_width() -> None:
    # Two fp16 operands and a result of 100 elements, and a bool each.
    inputs = [value("c", [100], TensorProto.BOOL), value("x", [100]), value("y", [100])]
    graph = read_onnx(model([helper.make_node("Where", ["c", "x", "y"], ["z"])], inputs, [value("z", [100])]))
    assert only(cast(graph, "fp16"), "elementwise").bytes == 100 * (3 * 2 + 1)
    # An image of 64 elements, its maxima of 2 x 2, and an int64 for each of these.
    pool = helper.make_node("MaxPool", ["x"], ["y", "p"], kernel_shape=[2, 2], strides=[2, 2])
    results = [value("y", [1, 1, 4, 4]), value("p", [1, 1, 4, 4], TensorProto.INT64)]
    graph = read_onnx(model([pool], [value("x", [1, 1, 8, 8])], results))
    assert only(cast(graph, "bf16"), "pool").bytes == 2 * (64 + 16) + 8 * 16


def test_a_residual_before_a_norm_is_as_wide_as_the_operand() -> None:
    shape = [1, 128, 64]
    skip = helper.make_node("SkipLayerNormalization", ["x", "r", "g", "b"], ["y"], domain="com.microsoft")
    initializers = [weight("g", [64]), weight("b", [64])]
    graph = read_onnx(model([skip], [value("x", shape), value("r", shape)], [value("y", shape)], initializers))
    # Operand, residual and result; scale and shift.
    assert only(cast(graph, "fp16"), "norm").bytes == 2 * (3 * 128 * 64 + 2 * 64)

"""Quantise and dequantise nodes around products, as engines run them."""

from __future__ import annotations

from typing import Any

import pytest
from fusion_checks import check_invariants
from onnx import helper
from onnx_models import FLOAT, FLOAT16, INT8, UINT8, constant, model, value, weight
from quantized_models import FP4, FP8, INT4, INT16, INT32, UINT4, UINT16, Builder

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph, Node


def fused(b: Builder, *outputs: str, **dims: int) -> Graph:
    """The model, read and fused; what fusion promises is checked."""
    before = read_onnx(b.model(*outputs), dims=dims)
    after = fuse(before)
    check_invariants(before, after)
    return after


def kinds(node: Node) -> list[str]:
    return [getattr(f, "kind", f.op) for f in node.fused]


def only(graph: Graph, family: str) -> Node:
    (node,) = [n for n in graph.nodes if n.op.op == family]
    return node


def reasons(graph: Graph) -> set[str]:
    return {r.reason for r in graph.removed}


# ------------------------------------------------------------------------------------------------ int8 products
# Convolutions here: (1, 3, 8, 8) → (1, 4, 8, 8), kernel 3.
READ, FILTERS, WRITTEN = 3 * 64, 4 * 27, 4 * 64


def test_convolution_of_integers() -> None:
    b = Builder()
    x = b.qdq(b.input(1, 3, 8, 8))
    y = b.node("Relu", b.conv(x, b.stored(4, 3, 3, 3), b.stored(4, elem_type=INT32)))
    graph = fused(b, b.qdq(y))
    assert [n.op.op for n in graph.nodes] == ["quantize", "conv", "quantize"]  # both edges stay
    node = graph.nodes[1]
    assert (node.op.dtype, node.op.out_dtype) == ("int8", "int8")  # type: ignore[attr-defined]
    assert kinds(node) == ["add", "relu", "quantize"]
    assert node.bytes == READ + FILTERS + WRITTEN + 4 * 4  # a bias of four 32-bit numbers
    assert node.flops == 2 * WRITTEN * 27 + WRITTEN + WRITTEN + 4 * WRITTEN
    assert graph.weights_bytes == FILTERS + 4 * 4 + 2 * 5  # scale and zero point of both edges
    assert "its operand is multiplied as int8" in reasons(graph)
    assert "the convolution reads its weights as int8" in reasons(graph)
    assert "the convolution reads its weights as integers" in reasons(graph)  # the bias
    assert "constant" not in reasons(graph)


def test_same_as_the_operator_of_onnx_that_does_it_in_one() -> None:
    b = Builder()
    x = b.dequantize(b.input(1, 3, 8, 8, elem_type=INT8))
    node = only(fused(b, b.quantize(b.conv(x, b.stored(4, 3, 3, 3), b.stored(4, elem_type=INT32)))), "conv")
    names = ["x", "s", "z", "w", "s", "z", "s", "z", "b"]
    one = helper.make_node("QLinearConv", names, ["y"], kernel_shape=[3, 3], pads=[1] * 4)
    parameters = [constant("s", [0.5], FLOAT, []), constant("z", [0], INT8, [])]
    tensors = [*parameters, weight("w", [4, 3, 3, 3], INT8), weight("b", [4], INT32)]
    (other,) = read_onnx(model([one], [value("x", [1, 3, 8, 8], INT8)], ["y"], tensors)).nodes
    assert node.op == other.op
    assert node.flops == other.flops
    # The scales of a QLinearConv are operands; those of Q and DQ with one scale are immediates.
    assert other.bytes - node.bytes == 3 * 5


@pytest.mark.parametrize("zeros", [False, True])
def test_scales_and_zero_points_per_channel_are_read(zeros: bool) -> None:
    b = Builder()
    x = b.qdq(b.input(1, 3, 8, 8), elem_type=UINT8, zero=128)
    node = only(fused(b, b.qdq(b.conv(x, b.stored(4, 3, 3, 3, axis=0, zeros=zeros)))), "conv")
    assert node.op.dtype == "int8"
    assert node.bytes == READ + FILTERS + WRITTEN + 4 * 4 + (4 if zeros else 0)


@pytest.mark.parametrize(("floating", "width"), [(FLOAT, 4), (FLOAT16, 2)])
def test_without_quantisation_after_it_a_product_writes_what_the_file_says(floating: int, width: int) -> None:
    b = Builder(floating)
    node = only(fused(b, b.conv(b.qdq(b.input(1, 3, 8, 8)), b.stored(4, 3, 3, 3))), "conv")
    assert (node.op.dtype, kinds(node)) == ("int8", [])
    assert node.bytes == READ + FILTERS + width * WRITTEN


def test_transposed_convolution() -> None:
    b = Builder()
    x = b.qdq(b.input(1, 3, 8, 8))
    y = b.node("ConvTranspose", x, b.stored(3, 4, 2, 2), kernel_shape=[2, 2], strides=[2, 2])
    node = only(fused(b, b.qdq(y)), "conv")
    assert (node.op.dtype, node.op.out_dtype) == ("int8", "int8")  # type: ignore[attr-defined]
    assert node.bytes == 3 * 64 + 3 * 4 * 4 + 4 * 256


@pytest.mark.parametrize("form", ["matmul", "gemm", "transposed weights", "reshaped weights"])
def test_linear_layers(form: str) -> None:
    b = Builder()
    x = b.qdq(b.input(5, 16))
    if form == "gemm":
        y = b.node("Gemm", x, b.stored(8, 16), b.stored(8, elem_type=INT32), transB=1)
    elif form == "transposed weights":
        y = b.node("MatMul", x, b.node("Transpose", b.stored(8, 16), perm=[1, 0]))
    elif form == "reshaped weights":
        y = b.node("MatMul", x, b.node("Reshape", b.stored(128), b.ints(16, 8)))
    else:
        y = b.node("MatMul", x, b.stored(16, 8))
    graph = fused(b, b.qdq(y))
    node = only(graph, "gemm")
    assert (node.op.dtype, node.op.shape, node.op.out_dtype) == ("int8", "5x8x16", "int8")  # type: ignore[attr-defined]
    assert node.bytes == 5 * 16 + 16 * 8 + 5 * 8 + (4 * 8 if form == "gemm" else 0)
    assert len(graph.nodes) == 3


def test_weights_on_the_left_are_b() -> None:
    b = Builder()
    y = b.node("MatMul", b.stored(8, 16, elem_type=INT4), b.qdq(b.input(16, 5)))
    node = only(fused(b, y), "gemm")
    assert node.op.shape == "5x8x16"
    assert node.bytes == 16 * 5 + 8 * 16 / 2 + 4 * 8 * 5


def test_four_bit_weights_under_eight_bit_activations_are_stored_in_four() -> None:
    b = Builder()
    node = only(fused(b, b.qdq(b.node("MatMul", b.qdq(b.input(5, 16)), b.stored(16, 8, elem_type=INT4)))), "gemm")
    assert node.op.dtype == "int8"
    assert node.bytes == 5 * 16 + 16 * 8 / 2 + 5 * 8


def test_one_quantised_operand_is_no_integer_product() -> None:
    b = Builder()
    graph = fused(b, b.conv(b.qdq(b.input(1, 3, 8, 8)), b.weight(4, 3, 3, 3)))
    assert only(graph, "conv").op.dtype == "fp32"
    assert [n.op.op for n in graph.nodes] == ["elementwise", "conv"]  # Q and DQ: one kernel


def test_values_that_something_else_needs_wide_before_a_transpose() -> None:
    """DQ cannot move over the transpose: the product reads what was made wide."""
    b = Builder()
    x = b.dequantize(b.input(16, 5, elem_type=INT8))
    y = b.node("MatMul", b.node("Transpose", x, perm=[1, 0]), b.stored(16, 8))
    graph = fused(b, y, b.node("Softmax", x, axis=-1))
    assert only(graph, "gemm").op.dtype == "w8a32"
    assert [n.op.op for n in graph.nodes] == ["quantize", "gemm", "softmax"]


def test_products_that_share_an_operand() -> None:
    b = Builder()
    x = b.qdq(b.input(5, 16))
    graph = fused(b, *(b.quantize(b.node("MatMul", x, b.stored(16, 8))) for _ in range(3)))
    assert [n.op.op for n in graph.nodes] == ["quantize", "gemm", "gemm", "gemm"]
    assert {n.op.dtype for n in graph.nodes[1:]} == {"int8"}


# ---------------------------------------------------------------------------------------------------- other formats
def test_fp8_with_scales_given_beforehand() -> None:
    b = Builder(FLOAT16)
    y = b.node("MatMul", b.qdq(b.input(5, 16), elem_type=FP8), b.stored(16, 8, elem_type=FP8))
    node = only(fused(b, b.qdq(y, elem_type=FP8)), "gemm")
    assert (node.op.dtype, node.op.out_dtype) == ("fp8_static", "fp8")  # type: ignore[attr-defined]
    assert node.bytes == 5 * 16 + 16 * 8 + 5 * 8


@pytest.mark.parametrize(
    ("weights", "weight_bytes", "dtype"),
    [(INT8, 128, "w8a16"), (UINT8, 128, "w8a16"), (INT4, 64, "w4a16_g16"), (UINT4, 64, "w4a16_g16")],
)
@pytest.mark.parametrize("activations", [INT16, UINT16])
def test_sixteen_bit_activations(activations: int, weights: int, weight_bytes: int, dtype: str) -> None:
    b = Builder()
    y = b.node("MatMul", b.qdq(b.input(5, 16), elem_type=activations), b.stored(16, 8, elem_type=weights))
    node = only(fused(b, b.qdq(y, elem_type=activations)), "gemm")
    assert node.op.dtype == dtype
    assert node.bytes == 2 * 5 * 16 + weight_bytes + 2 * 5 * 8


def test_sixteen_bits_on_both_sides_have_no_unit() -> None:
    b = Builder()
    y = b.node("MatMul", b.qdq(b.input(5, 16), elem_type=INT16), b.stored(16, 8, elem_type=INT16))
    graph = fused(b, y)
    assert only(graph, "gemm").op.dtype == "fp32"
    assert graph.weights_bytes == 4 * 16 * 8  # made wide when the engine is built
    assert "constant" in reasons(graph)


# Weights alone: (5, 64) · (64, 8), 512 of them; four bits with a scale for 32 along the sums: 16 scales.
@pytest.mark.parametrize(
    ("floating", "elem_type", "axis", "block", "dtype", "stored"),
    [
        (FLOAT16, INT8, 1, None, "w8a16", 512 + 2 * 8),
        (FLOAT16, INT8, None, None, "w8a16", 512),
        (FLOAT, INT8, 1, None, "w8a32", 512 + 4 * 8),
        (FLOAT16, FP8, 1, None, "w8a16_fp8", 512 + 2 * 8),
        (FLOAT16, INT4, 0, 32, "w4a16_g32", 256 + 2 * 16),
        (FLOAT, UINT4, 0, 32, "w4a32_g32", 256 + 4 * 16),
        (FLOAT16, INT4, 1, None, "w4a16_g64", 256 + 2 * 8),
        (FLOAT16, INT4, None, None, "w4a16_g64", 256),
    ],
)  # fmt: skip
@pytest.mark.parametrize("turned", [False, True])
def test_weights_alone(
    floating: int, elem_type: int, axis: int | None, block: int | None, dtype: str, stored: int, turned: bool
) -> None:
    b = Builder(floating)
    if turned:
        w = b.stored(8, 64, elem_type=elem_type, axis=None if axis is None else 1 - axis, block=block)
        w = b.node("Transpose", w, perm=[1, 0])
    else:
        w = b.stored(64, 8, elem_type=elem_type, axis=axis, block=block)
    graph = fused(b, b.node("MatMul", b.input(5, 64), w))
    (node,) = graph.nodes
    width = 4 if floating == FLOAT else 2
    assert node.op.dtype == dtype
    assert node.bytes == width * 5 * 64 + stored + width * 5 * 8


def test_zero_points_of_blocks_are_read() -> None:
    b = Builder(FLOAT16)
    w = b.stored(64, 8, elem_type=UINT4, axis=0, block=32, zeros=True)
    (node,) = fused(b, b.node("MatMul", b.input(5, 64), w)).nodes
    assert node.bytes == 2 * 5 * 64 + 256 + 2 * 16 + 16 / 2 + 2 * 5 * 8


def test_four_bit_floats_with_scales_of_their_own_scale() -> None:
    """NVFP4: a scale of eight bits for 16 values, and one number that scales the scales."""
    b = Builder()
    scales = b.node("DequantizeLinear", b.weight(4, 8, elem_type=FP8), b.number(0.01))
    w = b.node("DequantizeLinear", b.weight(64, 8, elem_type=FP4), scales, axis=0, block_size=16)
    graph = fused(b, b.node("MatMul", b.input(5, 64), w))
    (node,) = graph.nodes
    assert node.op.dtype == "w4a32_nvfp4"
    # 4.25 bits a value, since E2M1 is counted as a microscaling format with its scales; 32 scales of 8 bits.
    assert node.bytes == 4 * 5 * 64 + 512 * 4.25 / 8 + 32 + 4 * 5 * 8


def test_convolution_with_narrow_weights_alone() -> None:
    b = Builder(FLOAT16)
    (node,) = fused(b, b.conv(b.input(1, 3, 8, 8), b.stored(4, 3, 3, 3, axis=0))).nodes
    assert node.op.dtype == "w8a16"
    assert node.bytes == 2 * READ + FILTERS + 2 * 4 + 2 * WRITTEN


def test_narrow_table() -> None:
    """Of an embedding that shares its weights with the head, the rows that are looked up are read narrow."""
    b = Builder(FLOAT16)
    table = b.stored(100, 16, axis=0)
    rows = b.node("Gather", table, b.input(7, elem_type=7))
    graph = fused(b, b.node("MatMul", rows, b.node("Transpose", table, perm=[1, 0])))
    look_up, head = graph.nodes
    # 7 rows of 16 in, and made wide, 2 FLOPs a value; 7 indices, and a scale of fp16 a row
    assert (look_up.op.dtype, look_up.bytes) == ("int8", 7 * 16 + 2 * 7 * 16 + 8 * 7 + 2 * 7)
    assert look_up.flops == 2 * 7 * 16
    assert head.op.dtype == "w8a16"
    assert graph.weights_bytes == 1600 + 2 * 100
    assert head.attributes["transpose_b"]


@pytest.mark.parametrize(
    ("axis", "block", "zeros", "read"),
    [
        (1, None, False, 2 * 64),  # a scale a column: all of them, once
        (1, 32, False, 7 * 2 * 2),  # two blocks a row, each with a scale of 2 bytes
        (1, 32, True, 7 * 2 * (2 + 1)),  # and a zero point
        (0, 20, False, 7 * 64 * 2),  # the rows of a block share theirs, and rows come from any
        (None, None, False, 0),  # one number is part of the kernel
    ],
)
def test_scales_of_what_is_looked_up_are_read(axis: int | None, block: int | None, zeros: bool, read: int) -> None:
    b = Builder(FLOAT16)
    rows = b.node("Gather", b.stored(100, 64, axis=axis, block=block, zeros=zeros), b.input(7, elem_type=7))
    (node,) = fused(b, rows).nodes
    assert node.bytes == 7 * 64 + 2 * 7 * 64 + 8 * 7 + read
    assert node.flops == 2 * 7 * 64


def test_scales_along_an_axis_that_is_counted_from_the_end() -> None:
    b = Builder(FLOAT16)
    table = b.stored(100, 64, axis=1)
    (node,) = fused(b, b.node("GatherElements", table, b.input(100, 1, elem_type=7), axis=-1)).nodes
    # A value of each row: as many as one column has, with a scale of 2 bytes.
    assert node.bytes == 100 + 2 * 100 + 8 * 100 + 2


def test_other_constants_are_made_wide_once() -> None:
    b = Builder()
    graph = fused(b, b.node("Add", b.input(5, 8), b.stored(8)))
    (node,) = graph.nodes
    assert (node.op.op, node.op.dtype) == ("elementwise", "fp32")
    assert [(r.source_op, r.reason) for r in graph.removed] == [("DequantizeLinear", "constant")]


# ------------------------------------------------------------------------------------------- what follows a product
def test_residual_is_read_narrow_by_the_epilogue() -> None:
    b = Builder()
    x = b.qdq(b.input(1, 4, 8, 8))
    y = b.node("Relu", b.node("Add", b.conv(x, b.stored(4, 4, 3, 3)), x))
    graph = fused(b, b.qdq(y))
    node = only(graph, "conv")
    assert kinds(node) == ["dequantize", "add", "relu", "quantize"]
    assert node.bytes == 256 + 4 * 36 + 256 + 256  # the residual in eight bits, too
    assert len(graph.nodes) == 3


def test_attention_on_integers() -> None:
    b = Builder(FLOAT16)
    heads = (2, 4, 6, 8)
    q, k, v = (b.qdq(b.input(*heads)) for _ in range(3))
    scores = b.node("MatMul", q, b.node("Transpose", k, perm=[0, 1, 3, 2]))
    p = b.node("Softmax", b.node("Mul", scores, b.number(0.35)), axis=-1)
    graph = fused(b, b.node("MatMul", b.qdq(p), v))
    node = only(graph, "attention")
    assert isinstance(node.op, ops.Attention)
    assert (node.op.dtype, node.op.heads, node.op.head_dim) == ("int8", 4, 8)
    assert kinds(node) == ["quantize"]  # the probabilities
    assert [n.op.op for n in graph.nodes] == ["quantize"] * 3 + ["attention"]


def test_attention_of_two_formats_stays_apart() -> None:
    b = Builder()
    q, k = (b.qdq(b.input(2, 4, 6, 8)) for _ in range(2))
    p = b.node("Softmax", b.node("MatMul", q, b.node("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    graph = fused(b, b.node("MatMul", p, b.input(2, 4, 6, 8)))
    assert sorted(n.op.dtype for n in graph.nodes if n.op.op == "gemm") == ["fp32", "int8"]


@pytest.mark.parametrize("op_type", ["MatMulInteger", "ConvInteger"])
def test_dynamic_quantisation(op_type: str) -> None:
    """DynamicQuantizeLinear stays a kernel, which several products share; the rest is one product."""
    b = Builder()
    shape: tuple[Any, ...] = (5, 16) if op_type == "MatMulInteger" else (1, 3, 8, 8)
    q, scale, zero = b.node("DynamicQuantizeLinear", b.input(*shape), outputs=3)
    results = []
    for _ in range(2):
        if op_type == "MatMulInteger":
            sums = b.node(op_type, q, b.weight(16, 8, elem_type=INT8), zero)
            bias = b.weight(8)
        else:
            filters = b.weight(4, 3, 3, 3, elem_type=INT8)
            sums = b.node(op_type, q, filters, zero, kernel_shape=[3, 3], pads=[1] * 4)
            bias = b.weight(1, 4, 1, 1)
        factor = b.node("Mul", scale, b.number(0.25))
        results.append(b.node("Relu", b.node("Add", b.node("Mul", b.node("Cast", sums, to=FLOAT), factor), bias)))
    graph = fused(b, *results)
    assert [n.op.op for n in graph.nodes] == ["quantize", *["gemm" if op_type == "MatMulInteger" else "conv"] * 2]
    for node in graph.nodes[1:]:
        assert (node.op.dtype, node.op.out_dtype) == ("int8", "fp32")  # type: ignore[attr-defined]
        assert kinds(node) == ["mul", "mul", "add", "relu"]
        assert node.flops == node.product_flops + 1 + 3 * (40 if op_type == "MatMulInteger" else WRITTEN)


def test_fused_with_open_dimensions_or_bound_first() -> None:
    def build() -> Builder:
        b = Builder()
        x = b.node(
            "MaxPool", b.node("Relu", b.conv(b.qdq(b.input("n", 3, 8, 8)), b.stored(4, 3, 3, 3))), kernel_shape=[2, 2]
        )
        b.last = b.qdq(b.conv(b.qdq(x), b.stored(4, 4, 3, 3)))  # type: ignore[attr-defined]
        return b

    b = build()
    proto = b.model(b.last)  # type: ignore[attr-defined]
    symbolic = fuse(read_onnx(proto, keep_symbolic=True)).bind(n=2)
    bound = fuse(read_onnx(proto, dims={"n": 2}))
    convolutions = [[n.op for n in g.nodes if n.op.op == "conv"] for g in (symbolic, bound)]
    assert convolutions[0] == convolutions[1]

"""Quantise and dequantise nodes around what only moves values, and any mixture of all of it."""

from __future__ import annotations

from typing import Any

import pytest
from fusion_checks import check_invariants
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import FLOAT, FLOAT16, INT8, UINT8
from quantized_models import Builder
from test_fusion_quantized import fused, kinds, only, reasons

from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.predict.cast import cast


def test_quantisation_moves_to_where_the_values_are_made() -> None:
    """Q after a pool, a transpose and a view, none of which changes values: the convolution writes eight bits."""
    b = Builder()
    y = b.node("MaxPool", b.conv(b.qdq(b.input(1, 3, 8, 8)), b.stored(4, 3, 3, 3)), kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("Reshape", b.node("Transpose", y, perm=[0, 2, 3, 1]), b.ints(16, 4))
    graph = fused(b, b.qdq(b.node("MatMul", b.qdq(y), b.stored(4, 8))))
    assert [(n.op.op, n.op.dtype) for n in graph.nodes] == [
        ("quantize", "fp32"), ("conv", "int8"), ("pool", "int8"), ("copy", "int8"), ("gemm", "int8"), ("quantize", "int8"),
    ]  # fmt: skip
    assert kinds(graph.nodes[1]) == ["quantize"]
    assert graph.nodes[2].bytes == 256 + 64


def test_dequantisation_moves_to_where_the_values_are_used() -> None:
    b = Builder()
    x = b.dequantize(b.input(4, 6, 8, elem_type=INT8))
    x = b.node("Slice", b.node("Transpose", x, perm=[0, 2, 1]), b.ints(0), b.ints(4), b.ints(1))
    graph = fused(b, b.node("MatMul", x, b.stored(6, 5)))
    assert [(n.op.op, n.op.dtype) for n in graph.nodes] == [("copy", "int8"), ("copy", "int8"), ("gemm", "int8")]
    assert graph.nodes[2].op.shape == "16x5x6"


def test_quantisation_does_not_move_before_a_pool_that_takes_much_more_than_it_gives() -> None:
    b = Builder()
    x = b.node("Relu", b.input(1, 4, 16, 16))
    graph = fused(b, b.quantize(b.node("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4])))
    # 1024 elements in, 64 out: 4 bytes each of the former cost more than Q on the latter saves.
    assert [(n.op.op, n.op.dtype) for n in graph.nodes] == [
        ("elementwise", "fp32"),
        ("pool", "fp32"),
        ("quantize", "fp32"),
    ]


def test_pairs_of_one_scale_cancel() -> None:
    b = Builder()
    x = b.dequantize(b.input(4, 8, elem_type=INT8))
    graph = fused(b, b.node("MatMul", b.qdq(b.node("Reshape", x, b.ints(8, 4))), b.stored(4, 2)))
    assert [n.op.op for n in graph.nodes] == ["gemm"]
    assert "quantises what was dequantised with the same scale" in reasons(graph)


@pytest.mark.parametrize(("scale", "zero", "elem_type"), [(0.25, 0, INT8), (0.5, 3, INT8), (0.5, 0, UINT8)])
def test_pairs_of_two_scales_are_a_kernel(scale: float, zero: int, elem_type: int) -> None:
    b = Builder()
    x = b.dequantize(b.input(4, 8, elem_type=INT8))
    q = b.quantize(x, scale, elem_type, zero)
    graph = fused(b, b.node("MatMul", b.dequantize(q, scale, elem_type, zero), b.stored(8, 2)))
    node = graph.nodes[0]
    assert [n.op.op for n in graph.nodes] == ["elementwise", "gemm"]
    assert node.op.kind == "dequantize+quantize"  # type: ignore[attr-defined]
    assert node.bytes == 64
    assert node.flops == 32 * 6


def _sandwich(b: Builder, case: str) -> Any:
    """What stands between DQ and Q, by case."""
    x = [b.dequantize(b.input(2, 4, 8, 8, elem_type=INT8)) for _ in range(2 if case == "concat" else 1)]
    return {
        "concat": lambda: b.node("Concat", *x, axis=1),
        "average": lambda: b.node("AveragePool", x[0], kernel_shape=[2, 2], strides=[2, 2]),
        "max": lambda: b.node("MaxPool", x[0], kernel_shape=[4, 4], strides=[4, 4]),
        "mean": lambda: b.node("GlobalAveragePool", x[0]),
        "gather": lambda: b.node("Gather", x[0], b.ints(0, 2), axis=1),
        "pad": lambda: b.node("Pad", x[0], b.ints(0, 0, 1, 1, 0, 0, 1, 1)),
    }[case]()


@pytest.mark.parametrize(
    ("case", "family", "read", "written"),
    [
        ("concat", "copy", 1024, 1024), ("average", "pool", 512, 128), ("max", "pool", 512, 32), ("mean", "reduce", 512, 8),
        ("gather", "copy", 256 + 16, 256), ("pad", "copy", 512, 800),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_operators_between(case: str, family: str, read: int, written: int, scale: float) -> None:
    b = Builder()
    graph = fused(b, b.quantize(_sandwich(b, case), scale))
    node = only(graph, family)
    assert len(graph.nodes) == 1
    assert node.op.dtype == "int8"
    assert node.bytes == read + written
    scaled = case in ("average", "mean") or scale != 0.5
    assert kinds(node) == (["quantize"] if scaled else [])
    assert fuse(graph) == graph


def test_parts_of_a_split_are_quantised_each() -> None:
    b = Builder()
    x = b.dequantize(b.input(2, 6, elem_type=INT8))
    first, second = b.node("Split", x, b.ints(3, 3), outputs=2, axis=1)
    graph = fused(b, b.quantize(first), b.quantize(second))
    (node,) = graph.nodes
    assert (node.op.dtype, node.bytes, len(node.outputs)) == ("int8", 24, 2)


def test_one_wide_operand_keeps_an_operator_wide() -> None:
    b = Builder()
    x = b.dequantize(b.input(2, 4, elem_type=INT8))
    graph = fused(b, b.quantize(b.node("Concat", x, b.input(2, 4), axis=1)))
    assert only(graph, "copy").op.dtype == "fp32"


def test_two_kinds_of_narrow_values_are_made_wide_to_be_mixed() -> None:
    b = Builder()
    x = b.dequantize(b.input(2, 4, elem_type=INT8)), b.dequantize(b.input(2, 4, elem_type=UINT8), elem_type=UINT8)
    graph = fused(b, b.quantize(b.node("Concat", *x, axis=1)))
    assert only(graph, "copy").op.dtype == "fp32"


def test_only_what_a_slice_leaves_is_dequantised() -> None:
    b = Builder()
    x = b.node("Slice", b.dequantize(b.input(4, 8, elem_type=INT8)), b.ints(0), b.ints(2), b.ints(0))
    graph = fused(b, b.node("Softmax", x, axis=-1))
    assert [(n.op.op, n.op.dtype) for n in graph.nodes] == [("copy", "int8"), ("quantize", "int8"), ("softmax", "fp32")]
    assert graph.nodes[1].flops == 2 * 16


def test_elementwise_operators_read_and_write_narrow() -> None:
    b = Builder()
    x, y = (b.dequantize(b.input(4, 8, elem_type=INT8)) for _ in range(2))
    (node,) = fused(b, b.quantize(b.node("Sigmoid", b.node("Add", x, y)))).nodes
    assert node.op.kind == "dequantize+dequantize+add+sigmoid+quantize"  # type: ignore[attr-defined]
    assert node.name == "n2"  # of the addition, not of a DQ
    assert node.bytes == 3 * 32
    assert node.flops == 32 * (2 + 2 + 1 + 14 + 4)


def test_around_operators_without_an_integer_kernel_they_stay() -> None:
    b = Builder()
    x = b.dequantize(b.input(4, 8, elem_type=INT8))
    graph = fused(b, b.quantize(b.node("LayerNormalization", x, b.weight(8), b.weight(8))))
    assert [n.op.op for n in graph.nodes] == ["quantize", "norm", "quantize"]


def test_none_leaves_them_all() -> None:
    b = Builder()
    graph = read_onnx(b.model(b.qdq(b.conv(b.qdq(b.input(1, 3, 8, 8)), b.stored(4, 3, 3, 3)))))
    assert fuse(graph, mode="none") == graph
    assert sum(n.op.op == "quantize" for n in graph.nodes) == 5


def test_another_dtype_for_what_is_not_quantised() -> None:
    """``--dtype`` leaves integers as the file has them; what they are made from and made into follows."""
    b = Builder()
    x = b.qdq(b.node("Relu", b.input(5, 16)))
    y = b.node("MatMul", b.node("MatMul", x, b.stored(16, 8)), b.weight(8, 4))
    graph = cast(fused(b, y), "bf16")
    made, first, second = graph.nodes
    assert (made.op.dtype, made.op.out_dtype) == ("bf16", "int8")  # type: ignore[attr-defined]
    assert (first.op.dtype, first.op.out_dtype) == ("int8", "bf16")  # type: ignore[attr-defined]
    assert second.op.dtype == "bf16"
    b = Builder()
    (dq,) = cast(fused(b, b.dequantize(b.input(4, 8, elem_type=INT8))), "bf16").nodes
    assert (dq.op.dtype, dq.op.out_dtype, dq.bytes) == ("int8", "bf16", 32 + 64 + 5)  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------- any mixture
@st.composite
def programs(draw: st.DrawFn) -> Any:
    """Random networks of quantised and plain operators over a few shapes."""
    b = Builder(draw(st.sampled_from([FLOAT, FLOAT16])))
    shape = (2, 4, 6, 6)
    known = [b.input(*shape), b.input(*shape)]
    for _ in range(draw(st.integers(2, 14))):
        x, other = (draw(st.sampled_from(known[-4:])) for _ in range(2))
        choice = draw(st.integers(0, 11))
        narrow = draw(st.sampled_from([INT8, UINT8]))
        scale = draw(st.sampled_from([0.5, 0.25]))
        if choice <= 3:
            y = b.qdq(x, scale, narrow)
        elif choice == 4:
            y = b.conv(x, b.stored(4, 4, 3, 3, axis=draw(st.sampled_from([None, 0]))))
        elif choice == 5:
            y = b.conv(x, b.weight(4, 4, 3, 3), b.weight(4))
        elif choice == 6:
            y = b.node(draw(st.sampled_from(["Relu", "Sigmoid", "Neg"])), x)
        elif choice == 7:
            y = b.node(draw(st.sampled_from(["Add", "Mul"])), x, other)
        elif choice == 8:
            y = b.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
        elif choice == 9:
            y = b.node(
                "MatMul", b.node("Transpose", x, perm=[0, 1, 3, 2]), draw(st.sampled_from([other, b.stored(6, 6)]))
            )
        elif choice == 10:
            y = b.node("Softmax", x, axis=-1)
        else:
            y = b.node("Slice", b.node("Concat", x, other, axis=1), b.ints(0), b.ints(4), b.ints(1))
        known.append(y)
    made = [name for n in b.nodes for name in n.output if name in known]
    return b, draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(programs())
def test_random_programs(program: Any) -> None:
    b, outputs = program
    before = read_onnx(b.model(*outputs))
    check_invariants(before, fuse(before))

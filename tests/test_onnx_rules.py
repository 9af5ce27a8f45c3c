"""Every operator's descriptor, counted by hand on small shapes."""

from __future__ import annotations

from math import prod
from typing import Any

import onnx
import pytest
from onnx import helper
from onnx_models import BOOL, FLOAT16, INT8, INT64, UINT8, constant, model, single, value, weight

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.features.onnx.rules import RULES
from perfmodel.graph import Node


def only(proto: onnx.ModelProto, **dims: int) -> Node:
    """The one node of a model of one operator."""
    (node,) = read_onnx(proto, dims=dims).nodes
    return node


def output_shape(proto: onnx.ModelProto) -> tuple[int, ...]:
    """The output's shape as onnx infers it, which our reader does not ask for these operators."""
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    return tuple(d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim)


CONVOLUTIONS: list[tuple[list[int], list[int], dict[str, Any]]] = [
    ([2, 3, 32, 32], [8, 3, 3, 3], {}),
    ([2, 3, 33, 31], [8, 3, 3, 3], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ([1, 4, 9, 12], [4, 1, 3, 5], {"group": 4, "pads": [0, 1, 2, 3]}),  # asymmetric, odd in sum
    ([1, 4, 20, 20], [6, 2, 3, 3], {"group": 2, "dilations": [2, 3]}),
    ([1, 3, 17, 18], [5, 3, 4, 3], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    ([1, 3, 17, 18], [5, 3, 4, 3], {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    ([1, 3, 17, 18], [5, 3, 4, 3], {"auto_pad": "VALID", "strides": [3, 2]}),
    ([3, 16, 100], [32, 16, 7], {"strides": [2], "pads": [3, 2]}),
    ([1, 80, 3000], [384, 80, 3], {"pads": [1, 1]}),
    ([1, 3, 16, 56, 40], [8, 3, 3, 5, 7], {"strides": [2, 1, 2], "pads": [1, 2, 3, 0, 2, 3]}),
    ([2, 4, 9, 10, 11], [4, 2, 2, 2, 2], {"group": 2, "strides": [2, 3, 1], "dilations": [3, 1, 2]}),
]


@pytest.mark.parametrize(
    ("op_type", "kind"), [("LayerNormalization", "layernorm"), ("SimplifiedLayerNormalization", "rmsnorm")]
)
def test_norms_of_later_opsets_that_a_runtime_put_into_older_files(op_type: str, kind: str) -> None:
    nodes = [
        helper.make_node(op_type, ["x", "w"], ["h"], name="norm", axis=-1),
        helper.make_node("Reshape", ["h", "to"], ["r"], name="reshape"),  # needs the shape of what the norm gives
        helper.make_node("Relu", ["r"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, [2, 3, 8])], [helper.make_tensor_value_info("y", 1, None)],
        [weight("w", [8]), constant("to", [0, 1, -1])],
    )  # fmt: skip
    found = read_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8))
    by_name = {node.name: node.op for node in found.nodes}
    norm = by_name["norm"]
    assert isinstance(norm, ops.Norm)
    assert (norm.kind, norm.rows, norm.cols) == (kind, 6, 8)
    assert found.tensors["y"].shape == (2, 1, 24)


@pytest.mark.parametrize(("x", "w", "attributes"), CONVOLUTIONS)
def test_convolutions_of_every_rank_reproduce_their_output(
    x: list[int], w: list[int], attributes: dict[str, Any]
) -> None:
    proto = single("Conv", x, weights=[w], **attributes)
    node = only(proto)
    out = output_shape(proto)
    assert isinstance(node.op, ops.Conv)
    extents = (node.op.out_d, node.op.out_h, node.op.out_w)
    assert extents == (1,) * (5 - len(out)) + out[2:]
    assert all(isinstance(e, int) for e in extents)
    # Each output element is a sum over the kernel and the input channels of its group; w[1] is c_in / groups.
    assert node.flops == 2 * prod(out) * prod(w[1:])
    assert node.op.bytes == 4 * (prod(x) + prod(w) + prod(out))


TRANSPOSED: list[tuple[list[int], list[int], dict[str, Any]]] = [
    ([1, 8, 10, 10], [8, 4, 4, 4], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ([1, 8, 10, 10], [8, 4, 3, 3], {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ([1, 8, 7, 9], [8, 3, 2, 2], {"group": 2, "strides": [2, 2], "output_padding": [1, 0]}),
    ([2, 8, 50], [8, 4, 5], {"strides": [3], "auto_pad": "SAME_UPPER"}),
    ([1, 2, 5, 6, 7], [2, 3, 3, 3, 3], {"strides": [2, 1, 2], "dilations": [1, 2, 1]}),
]


@pytest.mark.parametrize(("x", "w", "attributes"), TRANSPOSED)
def test_transposed_convolutions(x: list[int], w: list[int], attributes: dict[str, Any]) -> None:
    proto = single("ConvTranspose", x, weights=[w], **attributes)
    node = only(proto)
    out = output_shape(proto)
    assert isinstance(node.op, ops.Conv)
    assert (node.op.out_d, node.op.out_h, node.op.out_w) == (1,) * (5 - len(out)) + out[2:]
    # Every input element is multiplied with every filter element that its channel has: c_out / groups x kernel.
    assert node.flops == 2 * prod(x) * prod(w[1:])
    assert node.op.bytes == 4 * (prod(x) + prod(w) + prod(out))


def test_a_bias_is_added_by_the_same_kernel() -> None:
    conv = only(single("Conv", [2, 3, 8, 8], weights=[[4, 3, 3, 3], [4]]))
    # 2·(2·4·6·6)·27 of products and one addition per output element; the bias is 4 floats.
    assert (conv.op.flops, conv.flops, conv.extra_bytes_read) == (15_552, 15_840, 16)
    assert conv.attributes["bias"] == "w1"
    gemm = only(single("Gemm", [5, 7], weights=[[11, 7], [11]], transB=1, alpha=0.5))
    assert isinstance(gemm.op, ops.Gemm)
    assert (gemm.op.m, gemm.op.n, gemm.op.k, gemm.op.layout) == (5, 11, 7, "nt")
    assert gemm.flops == 2 * 5 * 11 * 7 + 55
    assert gemm.attributes == {"transpose_a": False, "transpose_b": True, "alpha": 0.5, "beta": 1.0, "bias": "w1"}
    swapped = only(single("Gemm", [7, 5], weights=[[7, 11]], transA=1))
    assert isinstance(swapped.op, ops.Gemm)
    assert (swapped.op.m, swapped.op.n, swapped.op.k, swapped.fused) == (5, 11, 7, ())


# shape of A, shape of B, which one is a weight, (batch, m, n, k)
PRODUCTS = [
    ([4, 6], [6, 8], "b", (1, 4, 8, 6)),
    ([2, 3, 4, 6], [6, 8], "b", (1, 24, 8, 6)),  # B is shared: its batches are rows
    ([2, 3, 4, 6], [2, 3, 6, 8], "", (6, 4, 8, 6)),
    ([2, 3, 4, 6], [1, 3, 6, 8], "", (3, 8, 8, 6)),  # shared along one axis
    ([2, 3, 4, 6], [3, 6, 8], "", (3, 8, 8, 6)),
    ([4, 6], [5, 6, 8], "a", (1, 40, 4, 6)),  # a weight on the left: the transposed product
    ([4, 6], [6, 8], "a", (1, 8, 4, 6)),
    ([3, 4, 6], [3, 6, 8], "a", (3, 4, 8, 6)),
    ([1, 3, 4, 6], [5, 3, 6, 8], "", (3, 40, 4, 6)),  # A is shared along one axis: its batches are columns, turned
    ([4, 1, 64, 64], [4, 8, 64, 32], "", (4, 256, 64, 64)),
    ([5, 1, 4, 6], [1, 3, 6, 8], "", (1, 20, 24, 6)),  # each along another one: all rows with all columns
    ([6], [6, 8], "b", (1, 1, 8, 6)),
    ([2, 4, 6], [6], "", (1, 8, 1, 6)),
    ([6], [6], "", (1, 1, 1, 6)),
]


@pytest.mark.parametrize(("a", "b", "weights", "expected"), PRODUCTS)
def test_matrix_products(a: list[int], b: list[int], weights: str, expected: tuple[int, ...]) -> None:
    inputs = [value(n, s) for n, s in (("a", a), ("b", b)) if n != weights]
    stored = [weight(n, s) for n, s in (("a", a), ("b", b)) if n == weights]
    op = only(model([helper.make_node("MatMul", ["a", "b"], ["y"])], inputs, ["y"], stored)).op
    assert isinstance(op, ops.Gemm)
    assert (op.batch, op.m, op.n, op.k) == expected
    assert op.bytes_read == 4 * (prod(a) + prod(b))  # each operand once


EINSUMS = [
    ("bij,bjk->bik", [2, 3, 4], [2, 4, 5], (2, 3, 5, 4)),
    ("bshd,bthd->bhst", [2, 6, 3, 4], [2, 7, 3, 4], (6, 6, 7, 4)),
    ("...ij,jk->...ik", [2, 9, 3, 4], [4, 5], (1, 54, 5, 4)),
    ("ij,jk", [3, 4], [4, 5], (1, 3, 5, 4)),
    ("...ij,...jk", [8, 3, 4], [8, 4, 5], (8, 3, 5, 4)),  # the axes of an ellipsis are kept
    ("i,i->", [9], [9], (1, 1, 1, 9)),
]


@pytest.mark.parametrize(("equation", "a", "b", "expected"), EINSUMS)
def test_einsum_contractions(equation: str, a: list[int], b: list[int], expected: tuple[int, ...]) -> None:
    op = only(single("Einsum", a, b, equation=equation)).op
    assert isinstance(op, ops.Gemm)
    assert (op.batch, op.m, op.n, op.k) == expected


def test_einsum_without_contraction() -> None:
    assert only(single("Einsum", [2, 3], equation="ij->ji")).op == ops.Copy(kind="transpose", elements=6, dtype="fp32")
    assert only(single("Einsum", [2, 3], equation="ij->i")).op == ops.Reduce(kind="sum", rows=2, cols=3, dtype="fp32")
    outer = only(single("Einsum", [2], [3], equation="i,j->ij")).op
    assert (outer.flops, outer.bytes_read, outer.bytes_written) == (6, 4 * 5, 4 * 6)


def test_broadcast_operands_are_read_at_their_own_size() -> None:
    add = only(single("Add", [8, 16], weights=[[16]])).op
    assert (add.flops, add.bytes_read, add.bytes_written) == (128, 4 * (128 + 16), 4 * 128)
    compare = only(single("Less", [8, 16], [8, 1])).op
    assert (compare.bytes_read, compare.bytes_written) == (4 * (128 + 8), 128)  # a bool is a byte
    where = only(
        model(
            [helper.make_node("Where", ["c", "a", "b"], ["y"])],
            [value("c", [8, 16], BOOL), value("a", [8, 16], FLOAT16), value("b", [1], FLOAT16)],
        )
    ).op
    assert (where.flops, where.bytes_written) == (128, 256)
    three = only(single("Max", [4], [4], [4])).op
    assert three.flops == 8  # two comparisons an element
    assert only(single("Mean", [4], [4])).op.flops == 8  # an addition and a multiplication


@pytest.mark.parametrize(
    ("op_type", "opset", "attributes", "flops_per_element"),
    [
        ("Relu", 18, {}, 1),
        ("Sigmoid", 18, {}, 14),
        ("Gelu", 20, {}, 12),
        ("Gelu", 20, {"approximate": "tanh"}, 16),
        ("HardSwish", 18, {}, 5),
        ("Erf", 18, {}, 8),
        ("Sqrt", 18, {}, 4),
        ("Swish", 24, {}, 15),
        ("Swish", 24, {"alpha": 1.5}, 16),
        ("Clip", 6, {"min": 0.0, "max": 6.0}, 1),
        ("IsNaN", 18, {}, 1),
    ],
)
def test_scalar_functions(op_type: str, opset: int, attributes: dict[str, Any], flops_per_element: int) -> None:
    assert only(single(op_type, [3, 5], opset=opset, **attributes)).op.flops == 15 * flops_per_element


def test_norms() -> None:
    layer = only(single("LayerNormalization", [2, 5, 8], weights=[[8], [8]], axis=-1, epsilon=1e-6))
    assert (layer.op.flops, layer.op.bytes_read) == (10 * 8 * 7 + 10 * 8, 4 * (80 + 16))
    assert layer.attributes["axis"] == 2
    assert layer.attributes["epsilon"] == pytest.approx(1e-6)
    rms = only(single("RMSNormalization", [2, 5, 8], weights=[[5, 8]], axis=1, opset=23)).op
    assert isinstance(rms, ops.Norm)
    assert (rms.kind, rms.rows, rms.cols, rms.bytes_read) == ("rmsnorm", 2, 40, 4 * (80 + 40))
    group = only(single("GroupNormalization", [2, 6, 4, 4], weights=[[6], [6]], num_groups=3, opset=21)).op
    assert isinstance(group, ops.Norm)
    assert (group.rows, group.cols, group.bytes_read) == (6, 32, 4 * (192 + 12))
    batch = only(single("BatchNormalization", [2, 6, 4, 4], weights=[[6]] * 4)).op
    assert isinstance(batch, ops.Norm)
    assert (batch.rows, batch.cols) == (6, 32)
    instance = only(single("InstanceNormalization", [2, 6, 4, 4], weights=[[6]] * 2)).op
    assert isinstance(instance, ops.Norm)
    assert (instance.rows, instance.cols) == (12, 16)
    neighbours = only(single("LRN", [2, 6, 4, 4], size=5)).op
    assert isinstance(neighbours, ops.Norm)
    assert (neighbours.kind, neighbours.rows, neighbours.cols) == ("lrn", 32, 6)


def test_softmax_before_operator_set_13_runs_over_all_further_axes() -> None:
    old = only(single("Softmax", [2, 3, 4, 5], opset=11))
    assert isinstance(old.op, ops.Softmax)
    assert (old.op.rows, old.op.cols, old.attributes["axis"]) == (2, 60, (1, 2, 3))
    new = only(single("Softmax", [2, 3, 4, 5], opset=13))
    assert isinstance(new.op, ops.Softmax)
    assert (new.op.rows, new.op.cols, new.attributes["axis"]) == (24, 5, 3)
    middle = only(single("LogSoftmax", [2, 3, 4], axis=1, opset=13))
    assert isinstance(middle.op, ops.Softmax)
    assert (middle.op.kind, middle.op.rows, middle.op.cols) == ("log_softmax", 8, 3)


def test_reductions_take_axes_as_attribute_or_operand() -> None:
    old = only(single("ReduceMean", [2, 3, 4], axes=[-1, 0], keepdims=0, opset=13))
    new = only(
        model(
            [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
            [value("x", [2, 3, 4])],
            ["y"],
            [constant("axes", [-1, 0])],
        )
    )
    for node in (old, new):
        assert node.op == ops.Reduce(kind="mean", rows=3, cols=8, dtype="fp32")
        assert node.attributes == {"axis": (0, 2), "keepdims": False}
        assert node.inputs in (("x0",), ("x",))
    assert only(single("ReduceMax", [2, 3])).op == ops.Reduce(kind="max", rows=1, cols=6, dtype="fp32")
    assert isinstance(only(single("ReduceSum", [2, 3], noop_with_empty_axes=1)).op, ops.View)
    assert only(single("GlobalAveragePool", [2, 3, 7, 7])).op == ops.Reduce(kind="mean", rows=6, cols=49, dtype="fp32")
    argmax = only(single("ArgMax", [4, 10], axis=-1)).op
    assert (argmax.bytes_read, argmax.bytes_written) == (160, 32)
    running = only(
        model(
            [helper.make_node("CumSum", ["x", "axis"], ["y"])],
            [value("x", [4, 10])],
            ["y"],
            [constant("axis", [1], shape=[])],
        )
    ).op
    assert (running.flops, running.bytes_written) == (40, 160)
    top = only(
        model(
            [helper.make_node("TopK", ["x", "k"], ["y", "i"])], [value("x", [4, 10])], ["y", "i"], [constant("k", [3])]
        )
    ).op
    assert (top.bytes_read, top.bytes_written) == (160, 4 * 3 * (4 + 8))


def test_pools() -> None:
    pool = only(single("MaxPool", [2, 3, 9, 9], kernel_shape=[3, 3], strides=[2, 2])).op
    assert (pool.flops, pool.bytes_read, pool.bytes_written) == (2 * 3 * 16 * 9, 4 * 486, 4 * 96)
    deep = only(single("AveragePool", [1, 2, 4, 6, 8], kernel_shape=[2, 2, 2], strides=[2, 2, 2])).op
    assert (deep.flops, deep.bytes_read, deep.bytes_written) == (2 * 24 * 8, 4 * 384, 4 * 48)
    flat = only(single("AveragePool", [1, 2, 10], kernel_shape=[4], auto_pad="SAME_UPPER")).op
    assert (flat.flops, flat.bytes_written) == (2 * 10 * 4, 4 * 20)


@pytest.mark.parametrize("opset", [7, 8])
def test_upsample_whose_factors_are_an_attribute(opset: int) -> None:
    """As PyTorch exported before operator set 9; the extent is rounded down: 1.5 · 5 = 7."""
    resized = only(single("Upsample", [1, 2, 4, 5], opset=opset, scales=[1.0, 1.0, 2.0, 1.5], mode="nearest")).op
    assert (resized.op, resized.bytes_written) == ("copy", 4 * 2 * 8 * 7)
    linear = only(single("Upsample", [1, 2, 4, 5], opset=opset, scales=[1.0, 1.0, 1.0, 2.0], mode="linear")).op
    assert (linear.op, linear.bytes_written) == ("elementwise", 4 * 2 * 4 * 10)


def test_a_look_up_in_a_weight_is_an_embedding() -> None:
    gather = helper.make_node("Gather", ["table", "ids"], ["y"])
    ids = value("ids", [2, 5], INT64)
    table = only(model([gather], [ids], ["y"], [weight("table", [1000, 16])])).op
    assert table == ops.Embedding(rows=10, cols=16, dtype="fp32")
    assert (table.bytes_read, table.bytes_written) == (10 * 64 + 10 * 8, 640)
    moved = only(model([gather], [value("table", [1000, 16]), ids]))
    assert moved.op == ops.Copy(kind="gather", elements=160, dtype="fp32")
    assert moved.bytes == 2 * 640 + 80


def test_copies_and_views() -> None:
    assert only(single("Transpose", [2, 3, 4], perm=[0, 2, 1])).op == ops.Copy(
        kind="transpose", elements=24, dtype="fp32"
    )
    assert isinstance(only(single("Transpose", [2, 1, 4], perm=[1, 0, 2])).op, ops.View)  # nothing moves
    assert only(single("Concat", [2, 3], [2, 5], axis=1)).op.bytes == 2 * 64
    assert isinstance(only(single("Flatten", [2, 3, 4])).op, ops.View)
    assert isinstance(only(single("Dropout", [2, 3])).op, ops.View)
    cast = only(single("Cast", [2, 3], to=FLOAT16))
    assert (cast.op.bytes_read, cast.op.bytes_written) == (24, 12)
    assert isinstance(only(single("Cast", [2, 3], to=1)).op, ops.View)
    resize = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    scales = constant("s", [1.0, 1.0, 2.0, 2.0], 1)
    linear = only(model([resize], [value("x", [1, 3, 4, 4])], ["y"], [scales])).op
    assert (linear.flops, linear.bytes_read, linear.bytes_written) == (192 * 7, 4 * 48, 4 * 192)
    pieces = only(
        model([helper.make_node("Split", ["x"], ["y", "z"], axis=-1, num_outputs=2)], [value("x", [2, 6])], ["y", "z"])
    )
    assert pieces.attributes == {"axis": 1, "sizes": (3, 3)}
    assert pieces.op.bytes == 2 * 48


def test_slices_carry_where_they_cut() -> None:
    cuts = [constant("starts", [1]), constant("ends", [3]), constant("axes", [-1])]
    node = only(
        model([helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["y"])], [value("x", [4, 8])], ["y"], cuts)
    )
    assert node.op.bytes == 2 * 4 * 8
    assert node.attributes == {"starts": (1,), "ends": (3,), "axes": (1,), "steps": None}
    assert node.inputs == ("x",)  # how, not what


def test_attention_of_operator_set_23() -> None:
    node = only(single("Attention", [2, 9, 128, 64], [2, 3, 128, 64], [2, 3, 128, 64], is_causal=1, opset=23))
    op = node.op
    assert isinstance(op, ops.Attention)
    assert (op.phase, op.batch, op.heads, op.kv_heads, op.q_len, op.kv_len, op.head_dim) == (
        "prefill",
        2,
        9,
        3,
        128,
        128,
        64,
    )
    assert node.product_flops == 2 * 2 * (2 * 9) * 128 * 128 * 64
    packed = only(
        single("Attention", [2, 1, 512], [2, 77, 256], [2, 77, 256], q_num_heads=8, kv_num_heads=4, opset=23)
    ).op
    assert isinstance(packed, ops.Attention)
    assert (packed.phase, packed.heads, packed.kv_heads, packed.head_dim, packed.kv_len) == ("decode", 8, 4, 64, 77)


def test_recurrent_layers() -> None:
    lstm = only(
        single("LSTM", [10, 2, 16], weights=[[2, 128, 16], [2, 128, 32]], hidden_size=32, direction="bidirectional")
    )
    # 4 gates x 32 units x (16 inputs + 32 states), both directions, 10 steps, 2 sequences
    assert lstm.product_flops == 2 * 2 * 10 * 2 * 128 * (16 + 32)


def test_products_of_integers() -> None:
    u8, i8 = value("x", [4, 6], UINT8), weight("w", [6, 8], INT8)
    plain = only(model([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], [u8], ["y"], [i8])).op
    assert plain == ops.Gemm(batch=1, m=4, n=8, k=6, dtype="int8", out_dtype="int32")
    assert (plain.bytes_read, plain.bytes_written) == (24 + 48, 4 * 32)
    scales = [constant(n, [0.1], 1, []) for n in ("xs", "ws", "ys")]
    zeros = [constant(n, [3], t, []) for n, t in (("xz", UINT8), ("wz", INT8), ("yz", UINT8))]
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    scaled = only(model([helper.make_node("QLinearMatMul", names, ["y"])], [u8], ["y"], [i8, *scales, *zeros]))
    assert (scaled.op.bytes_written, scaled.product_flops, scaled.flops) == (32, 384, 384 + 32 * 4)
    kernel, bias = weight("k", [4, 3, 3, 3], INT8), weight("b", [4], 6)
    names = ["x", "xs", "xz", "k", "ws", "wz", "ys", "yz", "b"]
    image = value("x", [1, 3, 8, 8], UINT8)
    conv = only(model([helper.make_node("QLinearConv", names, ["y"])], [image], ["y"], [kernel, bias, *scales, *zeros]))
    # 4·6·6 results of 27 products each, then a bias and four steps of scaling; 3 scales, 3 zeros, 4 biases are read.
    assert (conv.op.flops, conv.flops, conv.op.bytes) == (7776, 7776 + 144 * (1 + 4), 192 + 108 + 144)
    assert conv.extra_bytes_read == 3 * 4 + 3 + 16
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])
    quantized = only(model([node], [value("x", [4, 6])], ["y", "s", "z"])).op
    assert (quantized.bytes_read, quantized.bytes_written) == (2 * 96, 24)


@pytest.mark.parametrize(
    ("op_type", "shapes", "weights", "attributes", "family"),
    [
        ("FusedMatMul", [[2, 4, 6], [2, 8, 6]], [], {"transB": 1, "alpha": 0.125}, "gemm"),
        ("Gelu", [[2, 4]], [], {}, "elementwise"),
        ("BiasGelu", [[2, 4]], [[4]], {}, "elementwise"),
        ("SkipLayerNormalization", [[2, 5, 8], [2, 5, 8]], [[8], [8]], {}, "norm"),
        ("MultiHeadAttention", [[2, 5, 16], [2, 5, 16], [2, 5, 16]], [], {"num_heads": 4}, "attention"),
    ],
)
def test_fused_operators_of_onnx_runtime(
    op_type: str, shapes: list[list[int]], weights: list[list[int]], attributes: dict[str, Any], family: str
) -> None:
    node = only(single(op_type, *shapes, weights=weights, domain="com.microsoft", **attributes))
    assert node.op.op == family
    assert node.source_op == f"com.microsoft::{op_type}"


def test_operators_of_real_models_all_have_a_rule() -> None:
    real = """
        Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Clip Concat ConstantOfShape Conv
        ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum
        Elu Equal Erf Exp Expand Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
        GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Identity
        InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
        MatMul MatMulInteger Max MaxPool Mean Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv
        QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormalLike Range Reciprocal ReduceL2 ReduceMax
        ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Resize RotaryEmbedding Round ScatterElements
        ScatterND Selu Shape Sigmoid Sign Sin Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Swish
        Tan Tanh Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
    """.split()
    assert [name for name in real if ("", name) not in RULES] == []

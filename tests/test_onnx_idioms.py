"""How exporters write what they have no operator for: read, shaped, and fused as an engine runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fusion_checks import check_invariants
from onnx import helper, numpy_helper
from onnx_models import BOOL, FLOAT, INT64, constant, model, value, weight

from perfmodel import ops
from perfmodel.errors import ModelFileError
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.features.onnx import branches, small
from perfmodel.graph import Graph

N = helper.make_node


def fused(proto: onnx.ModelProto, **dims: int) -> Graph:
    before = read_onnx(proto, dims=dims)
    after = fuse(before)
    check_invariants(before, after)
    return after


def kernels(graph: Graph) -> list[str]:
    return [getattr(n.op, "kind", n.op.op) for n in graph.nodes]


def stored(name: str, array: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


# --------------------------------------------------------------------------------------------------------- padding
def padded(amounts: list[int], *, mode: str = "constant", number: float | None = None, **attributes: Any) -> Graph:
    inputs = ["x", "pads"] + ([] if number is None else ["number"])
    nodes = [N("Pad", inputs, ["p"], mode=mode), N("Conv", ["p", "w"], ["y"], kernel_shape=[3, 3], **attributes)]
    tensors = [constant("pads", amounts), weight("w", [4, 3, 3, 3])]
    if number is not None:
        tensors.append(constant("number", [number], FLOAT, []))
    return fused(model(nodes, [value("x", [1, 3, 8, 8])], ["y"], tensors))


@pytest.mark.parametrize("number", [None, 0.0])
def test_a_convolution_pads_while_it_reads(number: float | None) -> None:
    graph = padded([0, 0, 0, 1, 0, 0, 1, 2], number=number, strides=[2, 2], pads=[1, 1, 1, 1])
    (node,) = graph.nodes
    assert isinstance(node.op, ops.Conv)
    # 8 rows and 1 + 2 more, 8 columns and 3 + 2 more; half of that on each side.
    assert (node.op.h, node.op.w, node.op.pad_h, node.op.pad_w) == (8, 8, 1.5, 2.5)
    assert (node.op.out_h, node.op.out_w) == (5, 6)
    assert node.bytes == 4 * (3 * 64 + 4 * 27 + 4 * 30)
    assert [(r.source_op, r.reason) for r in graph.removed] == [("Pad", "the convolution pads while it reads")]


@pytest.mark.parametrize(
    ("pads", "mode", "number"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], "reflect", None),
        ([0, 0, 1, 1, 0, 0, 1, 1], "edge", None),
        ([0, 0, 1, 1, 0, 0, 1, 1], "constant", 1.0),
        ([0, 0, -1, 0, 0, 0, 0, 0], "constant", None),  # cuts
    ],
)
def test_other_padding_is_a_kernel(pads: list[int], mode: str, number: float | None) -> None:
    assert kernels(padded(pads, mode=mode, number=number)) == ["pad", "conv"]


def test_padding_of_channels_is_a_kernel() -> None:
    nodes = [N("Pad", ["x", "pads"], ["p"]), N("Conv", ["p", "w"], ["y"], kernel_shape=[3, 3])]
    tensors = [constant("pads", [0, 1, 0, 0, 0, 0, 0, 0]), weight("w", [4, 3, 3, 3])]
    assert kernels(fused(model(nodes, [value("x", [1, 2, 8, 8])], ["y"], tensors))) == ["pad", "conv"]


def test_padding_that_something_else_reads_is_a_kernel() -> None:
    nodes = [N("Pad", ["x", "pads"], ["p"]), N("Conv", ["p", "w"], ["y"], kernel_shape=[3, 3]), N("Exp", ["p"], ["z"])]
    tensors = [constant("pads", [0, 0, 1, 1, 0, 0, 1, 1]), weight("w", [4, 3, 3, 3])]
    assert kernels(fused(model(nodes, [value("x", [1, 3, 8, 8])], ["y", "z"], tensors))) == ["pad", "conv", "exp"]


def test_padding_before_a_convolution_along_one_axis_written_along_two() -> None:
    """TensorFlow's causal conv1d: padded as [batch, time, channels], then a convolution over [1, time]."""
    nodes = [
        N("Pad", ["x", "pads"], ["p"]), N("Reshape", ["p", "shape"], ["r"]),
        N("Conv", ["r", "w"], ["y"], kernel_shape=[1, 5]),
    ]  # fmt: skip
    tensors = [constant("pads", [0, 4, 0, 0, 0, 0]), constant("shape", [2, 1, 1, 36]), weight("w", [8, 1, 1, 5])]
    (node,) = fused(model(nodes, [value("x", [2, 32, 1])], ["y"], tensors)).nodes
    assert (node.op.w, node.op.pad_w, node.op.out_w) == (32, 2, 32)  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------- channels last (tf2onnx)
def test_transposes_around_every_convolution() -> None:
    """TensorFlow keeps channels last: each convolution stands between transposes, with scale, bias, activation, padding and
    the residual on the other side of them."""
    to_first, to_last = [0, 3, 1, 2], [0, 2, 3, 1]
    nodes = [
        N("Transpose", ["x"], ["x1"], perm=to_first),
        N("Conv", ["x1", "w1"], ["c1"], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        N("Transpose", ["c1"], ["t1"], perm=to_last),
        N("Mul", ["t1", "scale"], ["m1"]), N("Add", ["m1", "shift"], ["a1"]), N("Relu", ["a1"], ["r1"]),
        N("Pad", ["r1", "pads"], ["p1"]),
        N("Transpose", ["p1"], ["q1"], perm=to_first),
        N("Conv", ["q1", "w2"], ["c2"], kernel_shape=[3, 3], strides=[2, 2]),
        N("Transpose", ["c2"], ["t2"], perm=to_last),
        N("Add", ["t2", "shift"], ["a2"]), N("Relu", ["a2"], ["r2"]),
        N("Transpose", ["r2"], ["q2"], perm=to_first),
        N("Conv", ["q2", "w3"], ["c3"], kernel_shape=[1, 1]),
        N("Transpose", ["c3"], ["t3"], perm=to_last),
        N("Add", ["t3", "r2"], ["a3"]),
        N("Transpose", ["a3"], ["q3"], perm=to_first),
        N("Conv", ["q3", "w3"], ["c4"], kernel_shape=[1, 1]),
        N("Transpose", ["c4"], ["t4"], perm=to_last),
        N("ReduceMean", ["t4"], ["g"], axes=[1, 2], keepdims=0),
        N("MatMul", ["g", "w5"], ["y"]),
    ]  # fmt: skip
    tensors = [
        weight("w1", [8, 3, 3, 3]), weight("scale", [8]), weight("shift", [8]), constant("pads", [0, 1, 1, 0, 0, 1, 1, 0]),
        weight("w2", [8, 8, 3, 3]), weight("w3", [8, 8, 1, 1]), weight("w5", [8, 4]),
    ]  # fmt: skip
    graph = fused(model(nodes, [value("x", [2, 16, 16, 3])], ["y"], tensors, opset=13))
    assert kernels(graph) == ["transpose", "conv", "conv", "conv", "conv", "mean", "gemm"]
    assert [[getattr(f, "kind", "") for f in n.fused] for n in graph.nodes[1:5]] == [
        ["add", "relu"], ["add", "relu"], ["add"], [],
    ]  # fmt: skip
    assert (graph.nodes[2].op.h, graph.nodes[2].op.pad_h, graph.nodes[2].op.out_h) == (16, 1, 8)  # type: ignore[attr-defined]
    assert graph.nodes[5].attributes["axis"] == (2, 3)


@pytest.mark.parametrize("spoiler", ["output", "other reader", "broadcast", "other turn"])
def test_transposes_that_are_needed_stay(spoiler: str) -> None:
    nodes = [N("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1])]
    outputs = ["y"]
    if spoiler == "broadcast":
        nodes.append(N("Add", ["t", "z"], ["a"]))
    else:
        nodes.append(N("Relu", ["t"], ["a"]))
    nodes.append(N("Transpose", ["a"], ["y"], perm=[0, 3, 1, 2] if spoiler != "other turn" else [0, 2, 1, 3]))
    if spoiler == "output":
        outputs.append("a")
    if spoiler == "other reader":
        nodes.append(N("Softmax", ["a"], ["s"], axis=-1))
        outputs.append("s")
    nodes.append(N("Exp", ["y"], ["e"]))
    outputs[0] = "e"
    graph = fused(model(nodes, [value("x", [2, 3, 4, 5]), value("z", [3])], outputs))
    assert kernels(graph).count("transpose") == 2


def test_concatenation_between_transposes() -> None:
    nodes = [
        N("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), N("Transpose", ["z"], ["b"], perm=[0, 2, 3, 1]),
        N("Concat", ["a", "b"], ["c"], axis=3), N("Transpose", ["c"], ["d"], perm=[0, 3, 1, 2]), N("Exp", ["d"], ["y"]),
    ]  # fmt: skip
    graph = fused(model(nodes, [value("x", [2, 3, 4, 5]), value("z", [2, 6, 4, 5])], ["y"]))
    assert kernels(graph) == ["concat", "exp"]
    assert graph.nodes[0].attributes["axis"] == 1
    assert graph.tensors[graph.nodes[0].outputs[0]].shape == (2, 9, 4, 5)


def test_a_gate_of_one_value_a_channel_between_transposes() -> None:
    """Squeeze and excitation, channels last: turning the gate moves nothing."""
    nodes = [
        N("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), N("Transpose", ["gate"], ["g"], perm=[0, 2, 3, 1]),
        N("Mul", ["a", "g"], ["m"]), N("Transpose", ["m"], ["d"], perm=[0, 3, 1, 2]), N("Exp", ["d"], ["y"]),
    ]  # fmt: skip
    graph = fused(model(nodes, [value("x", [2, 3, 4, 5]), value("gate", [2, 3, 1, 1])], ["y"]))
    assert kernels(graph) == ["mul+exp"]
    assert graph.nodes[0].bytes == 4 * (2 * 120 + 6)


def test_a_reduction_that_reorders_its_result_needs_the_transpose() -> None:
    nodes = [N("Transpose", ["x"], ["t"], perm=[2, 1, 0]), N("ReduceMean", ["t"], ["y"], axes=[1], keepdims=0)]
    graph = fused(model(nodes, [value("x", [2, 3, 4])], ["y"], opset=13))
    assert kernels(graph) == ["transpose", "mean"]


def test_a_rolled_image_is_two_slices_that_the_concatenation_reads() -> None:
    nodes = [
        N("Slice", ["x", "two", "end", "axis"], ["a"]), N("Slice", ["x", "zero", "two", "axis"], ["b"]),
        N("Concat", ["a", "b"], ["y"], axis=1),
    ]  # fmt: skip
    tensors = [constant(n, [v]) for n, v in (("zero", 0), ("two", 2), ("end", 2**40), ("axis", 1))]
    graph = fused(model(nodes, [value("x", [1, 8, 4])], ["y"], tensors))
    assert kernels(graph) == ["concat"]
    assert graph.nodes[0].bytes == 2 * 4 * 32


# ------------------------------------------------------------------------------------------------ conditions (tracing)
def squeeze_if(size: Any, *, dims: int = 2) -> onnx.ModelProto:
    """torch.squeeze(x, -1) as the tracer writes it: an If on the size of the axis."""
    then = helper.make_graph([N("Squeeze", ["x", "last"], ["s"])], "then", [], [value("s", None)])
    otherwise = helper.make_graph([N("Identity", ["x"], ["i"])], "else", [], [value("i", None)])
    nodes = [
        N("Shape", ["x"], ["shape"]), N("Gather", ["shape", "last_scalar"], ["size"], axis=0),
        N("Equal", ["size", "one"], ["is_one"]),
        N("If", ["is_one"], ["f"], then_branch=then, else_branch=otherwise), N("Exp", ["f"], ["y"]),
    ]  # fmt: skip
    tensors = [constant("last", [-1]), constant("last_scalar", [-1], shape=[]), constant("one", [1], shape=[])]
    return model(nodes, [value("x", [4, size])], ["y"], tensors)


@pytest.mark.parametrize(("size", "shape"), [(1, (4,)), (5, (4, 5))])
def test_the_branch_that_the_shapes_choose(size: int, shape: tuple[int, ...]) -> None:
    """The other one need not fit: an axis of five elements cannot be squeezed."""
    for proto, dims in ((squeeze_if(size), {}), (squeeze_if("n"), {"n": size})):
        graph = read_onnx(proto, dims=dims)
        assert graph.tensors["y"].shape == shape
        assert not graph.warnings
        assert [n.op.op for n in fuse(graph).nodes] == ["elementwise"]


def test_a_chosen_branch_may_have_constants_of_a_name_that_is_taken() -> None:
    then = helper.make_graph(
        [N("MatMul", ["x", "w"], ["m"]), N("Identity", ["x"], ["i"])], "then", [], [value("m", None), value("i", None)],
        [weight("w", [5, 7])],
    )  # fmt: skip
    otherwise = helper.make_graph(
        [N("Exp", ["x"], ["e"]), N("Exp", ["x"], ["f"])], "else", [], [value("e", None), value("f", None)]
    )
    nodes = [N("If", ["yes"], ["a", "b"], then_branch=then, else_branch=otherwise), N("MatMul", ["b", "w"], ["c"])]
    tensors = [stored("yes", np.array(True)), weight("w", [5, 3])]
    graph = read_onnx(model(nodes, [value("x", [4, 5])], ["a", "c"], tensors))
    assert sorted(n.op.shape for n in graph.nodes if n.op.op == "gemm") == ["4x3x5", "4x7x5"]
    assert graph.outputs == ("a", "c")
    assert graph.weights_bytes == 4 * 5 * 10


def either(then_width: int, else_width: int) -> onnx.ModelProto:
    """A layer that a value of the input chooses, with weights of one of two sizes."""
    branches = [
        helper.make_graph([N("MatMul", ["x", f"w{i}"], [f"m{i}"])], f"b{i}", [], [value(f"m{i}", None)])
        for i in range(2)
    ]
    nodes = [
        N("ReduceMax", ["x"], ["largest"], keepdims=0), N("Greater", ["largest", "zero"], ["is_positive"]),
        N("If", ["is_positive"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]  # fmt: skip
    tensors = [weight("w0", [then_width, 8]), weight("w1", [else_width, 8]), stored("zero", np.float32(0))]
    return model(nodes, [value("x", [4, "n"])], ["y"], tensors)


def test_the_only_branch_that_fits_the_dimensions() -> None:
    """Silero's voice detector has one branch a sampling rate, each for its own number of samples."""
    for size, which in ((16, "else"), (32, "then")):
        graph = read_onnx(either(16, 32), dims={"n": size})
        (node,) = [n for n in graph.nodes if n.op.op == "gemm"]
        assert node.op.shape == f"4x8x{size}"
        assert graph.warnings == (
            f"If: its {which} branch does not fit the dimensions given; counted as the other one ('If_y')",
        )
    with pytest.raises(ModelFileError, match="do not fit"):
        read_onnx(either(16, 32), dims={"n": 24})


def test_what_nobody_understands_in_a_branch_that_may_not_run() -> None:
    """In the graph itself an operator without its operands is refused; in a branch it has no shape."""
    broken = N("MatMulNBits", ["x"], ["m"], domain="com.microsoft", N=8, K=4)
    then = helper.make_graph([broken], "then", [], [value("m", None)])
    otherwise = helper.make_graph([N("Exp", ["x"], ["e"])], "else", [], [value("e", None)])
    nodes = [
        N("ReduceMax", ["x"], ["largest"], keepdims=0), N("Greater", ["largest", "zero"], ["is_positive"]),
        N("If", ["is_positive"], ["y"], then_branch=then, else_branch=otherwise),
    ]  # fmt: skip
    tensors = [stored("zero", np.float32(0))]
    proto = model(nodes, [value("x", [2, 4])], ["y"], tensors, domains=["com.microsoft"])
    assert any(n.op.op == "elementwise" and n.op.kind == "exp" for n in read_onnx(proto).nodes)  # type: ignore[attr-defined]
    with pytest.raises(ModelFileError):
        read_onnx(model([broken], [value("x", [2, 4])], ["m"], domains=["com.microsoft"]))


def test_shapes_inside_a_loop_may_change() -> None:
    """The size of what a loop grows is no constant, whatever the body declares."""
    body = helper.make_graph(
        [
            N("Shape", ["a"], ["size"]), N("ConstantOfShape", ["size"], ["zeros"]), N("Concat", ["a", "zeros"], ["b"], axis=0),
            N("Identity", ["go"], ["going"]),
        ],
        "body", [value("i", [], INT64), value("go", [], BOOL), value("a", [2])], [value("going", [], BOOL), value("b", None)],
    )  # fmt: skip
    nodes = [N("Loop", ["trips", "", "x"], ["y"], body=body), N("Shape", ["x"], ["outside"])]
    proto = model(nodes, [value("x", [2])], ["y", "outside"], [constant("trips", [3], shape=[])])
    loaded = ir.from_proto(proto)
    evaluated = small.evaluate_all(list(loaded.graphs()), lambda v: v.dtype, branches.repeated(loaded.graphs()))
    assert [n.outputs[0].name for n in evaluated] == ["outside"]


def test_amounts_of_padding_that_the_tracer_computes() -> None:
    """F.pad: amounts for the last axes, filled up with zeros, turned around and reordered."""
    nodes = [
        N("ConstantOfShape", ["two"], ["zeros"], value=constant("v", [0], shape=[1])),
        N("Concat", ["amounts", "zeros"], ["all"], axis=0), N("Reshape", ["all", "pairs"], ["matrix"]),
        N("Slice", ["matrix", "minus_one", "far", "zero", "minus_one"], ["turned"]),
        N("Transpose", ["turned"], ["columns"], perm=[1, 0]), N("Reshape", ["columns", "minus_one"], ["flat"]),
        N("Cast", ["flat"], ["pads"], to=INT64), N("Pad", ["x", "pads"], ["y"], mode="reflect"),
    ]  # fmt: skip
    tensors = [
        constant("two", [2]), constant("amounts", [3, 4]), constant("pairs", [-1, 2]), constant("minus_one", [-1]),
        constant("far", [-(2**63) + 1]), constant("zero", [0]),
    ]  # fmt: skip
    assert read_onnx(model(nodes, [value("x", [2, 10])], ["y"], tensors)).tensors["y"].shape == (2, 17)


# ------------------------------------------------------------------------------------------------------------- norms
def test_layer_norm_by_the_difference_of_squares() -> None:
    """flax: sums with a factor, variance as E[x²] - E[x]² and not below 0, gamma folded into the root."""
    nodes = [
        N("ReduceSum", ["x", "last"], ["sum"], keepdims=1), N("Mul", ["sum", "share"], ["mean"]),
        N("Mul", ["x", "x"], ["squares"]), N("ReduceSum", ["squares", "last"], ["sum2"], keepdims=1),
        N("Mul", ["sum2", "share"], ["mean2"]), N("Mul", ["mean", "mean"], ["squared"]),
        N("Sub", ["mean2", "squared"], ["d"]), N("Max", ["d", "zero"], ["variance"]),
        N("Add", ["variance", "epsilon"], ["v"]), N("Sqrt", ["v"], ["root"]), N("Reciprocal", ["root"], ["inverse"]),
        N("Mul", ["inverse", "gamma"], ["scale"]), N("Sub", ["x", "mean"], ["centred"]),
        N("Mul", ["centred", "scale"], ["scaled"]), N("Add", ["scaled", "beta"], ["y"]),
    ]  # fmt: skip
    numbers = {"share": 1 / 16, "zero": 0.0, "epsilon": 1e-6}
    tensors = [constant("last", [-1]), weight("gamma", [16]), weight("beta", [16])]
    tensors += [constant(name, [number], FLOAT, []) for name, number in numbers.items()]
    (node,) = fused(model(nodes, [value("x", [4, 8, 16])], ["y"], tensors)).nodes
    assert (node.op.op, node.op.shape) == ("norm", "layernorm 32x16")

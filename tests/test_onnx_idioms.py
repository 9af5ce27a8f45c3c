"""How exporters write what they have no operator for: read, shaped, and fused as an engine runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from fusion_checks import check_invariants
from onnx import TensorProto, helper, numpy_helper
from onnx_models import BOOL, FLOAT, INT64, constant, model, value, weight

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph, Node
from perfmodel.ops import Attention

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


# ------------------------------------------------------------------------------------------------------------ masks
HEADS = [2, 4, 6, 8]


def attention(mask: onnx.TensorProto | None, *before: onnx.NodeProto, apply: str = "add", more: Any = ()) -> Node:
    """The attention of Q·K^T with a mask; its input is called ``mask``."""
    nodes = [*before, N("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]), N("MatMul", ["q", "kt"], ["s"])]
    if apply == "add":
        nodes.append(N("Add", ["s", "mask"], ["m"]))
    else:
        nodes.append(N("Where", ["mask", *(["s", "low"] if apply == "sees" else ["low", "s"])], ["m"]))
    nodes += [N("Softmax", ["m"], ["p"], axis=-1), N("MatMul", ["p", "v"], ["y"])]
    tensors = [stored("low", np.float32(-np.inf)), *more, *([] if mask is None else [mask])]
    graph = fused(model(nodes, [value(n, HEADS) for n in "qkv"], ["y"], tensors))
    (node,) = [n for n in graph.nodes if isinstance(n.op, Attention)]
    assert not any("mask" in w for w in graph.warnings)
    return node


def matrix(seen: np.ndarray) -> np.ndarray:
    return np.where(seen, 0, -np.inf).astype(np.float32)


AHEAD = np.arange(6)[None, :] - np.arange(6)[:, None]


@pytest.mark.parametrize(
    ("seen", "causal", "window", "pairs"),
    [
        (AHEAD <= 0, True, None, 21),
        ((AHEAD <= 0) & (AHEAD > -3), True, 3, 1 + 2 + 4 * 3),
        (abs(AHEAD) <= 1, False, 3, 18),  # 16, and the two that the ends do not have
        (AHEAD >= -9, False, None, 36),
    ],
)
@pytest.mark.parametrize("form", ["added", "added 4-D", "fp16", "sees", "hides"])
def test_stored_masks(seen: np.ndarray, causal: bool, window: int | None, pairs: int, form: str) -> None:
    if form in ("sees", "hides"):
        node = attention(stored("mask", seen if form == "sees" else ~seen), apply=form)
    else:
        values = matrix(seen)
        node = attention(stored("mask", values[None, None] if form == "added 4-D" else values))
    assert isinstance(node.op, Attention)
    assert (node.op.causal, node.op.window) == (causal, window)
    assert node.op.scores_executed == 2 * 4 * pairs
    if causal or window is not None:
        assert (node.extra_bytes_read, node.fused) == (0, ())  # a flag of the kernel


@pytest.mark.parametrize("limit", [None, 3])
def test_masks_computed_from_constants(limit: int | None) -> None:
    """Positions compared with each other: the matrix is too large to be shape arithmetic, and known all the same."""
    nodes = [
        N("Range", ["zero", "six", "one"], ["i"]), N("Unsqueeze", ["i", "axis1"], ["rows"]),
        N("Unsqueeze", ["i", "axis0"], ["columns"]), N("Sub", ["columns", "rows"], ["ahead"]),
    ]  # fmt: skip
    if limit is None:
        nodes.append(N("LessOrEqual", ["columns", "rows"], ["sees"]))
    else:
        nodes += [N("Abs", ["ahead"], ["distance"]), N("Less", ["distance", "limit"], ["sees"])]
    nodes += [N("Not", ["sees"], ["hides"]), N("Where", ["hides", "low", "none"], ["mask"])]
    more = [
        *(constant(n, [v], shape=[]) for n, v in (("zero", 0), ("six", 6), ("one", 1), ("limit", limit or 0))),
        constant("axis0", [0]), constant("axis1", [1]), stored("none", np.float32(0)),
    ]  # fmt: skip
    node = attention(None, *nodes, more=more)
    assert (node.op.causal, node.op.window) == ((True, None) if limit is None else (False, 5))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 36, dtype=np.float32).reshape(6, 6),  # a bias
        matrix((AHEAD + 6) % 2 == 0),  # a checkerboard
        matrix(AHEAD != 3),
    ],
)
def test_other_constants_are_no_bands(values: np.ndarray) -> None:
    nodes = [N("Add", ["s", "mask"], ["y"])]
    graph = read_onnx(model(nodes, [value("s", [2, 4, 6, 6])], ["y"], [stored("mask", values)]))
    assert "causal" not in graph.nodes[0].attributes


def test_masks_outside_the_file(tmp_path: Any) -> None:
    proto = model(
        [N("Where", ["mask", "s", "low"], ["y"])], [value("s", [2, 4, 16, 16])], ["y"],
        [stored("mask", np.tri(16, dtype=bool)), stored("low", np.float32(-1e9))],
    )  # fmt: skip
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights", size_threshold=0)
    assert read_onnx(path).nodes[0].attributes == {"causal": True, "window": None}
    (tmp_path / "weights").unlink()
    assert "causal" not in read_onnx(path).nodes[0].attributes


def test_weights_are_not_looked_at_beyond_their_first_elements() -> None:
    """What begins like weights is left alone, and damaged data of weights are nobody's business."""
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[64, 64], raw_data=np.full(20, 0.3, np.float32).tobytes())
    graph = read_onnx(model([N("Add", ["x", "w"], ["y"])], [value("x", [64, 64])], ["y"], [tensor]))
    assert graph.nodes[0].op.op == "elementwise"
    short = TensorProto(name="w", data_type=BOOL, dims=[64, 64], raw_data=b"\x01" * 20)
    graph = read_onnx(model([N("Where", ["w", "x", "x"], ["y"])], [value("x", [64, 64])], ["y"], [short]))
    assert "causal" not in graph.nodes[0].attributes


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

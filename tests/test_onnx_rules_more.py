"""Signal processing, regions, losses, classical models and sequences, counted by hand on small shapes."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import helper
from onnx_models import BOOL, INT64, constant, model, single, value, weight

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.graph import Node

node = helper.make_node
ML = "ai.onnx.ml"


def only(proto: onnx.ModelProto, **dims: int) -> Node:
    (found,) = read_onnx(proto, dims=dims).nodes
    return found


def learned(op_type: str, shape: list[Any], outputs: int = 1, **attributes: Any) -> Node:
    """The node of one operator of ai.onnx.ml."""
    names = [f"y{i}" for i in range(outputs)]
    return only(model([node(op_type, ["x"], names, domain=ML, **attributes)], [value("x", shape)], names, domains=[ML]))


# ------------------------------------------------------------------------------------------------- signals


def test_short_time_transforms() -> None:
    nodes = [node("STFT", ["x", "step", "window"], ["y"], onesided=1)]
    stored = [constant("step", [8], shape=[]), weight("window", [16])]
    made = only(model(nodes, [value("x", [2, 64, 1])], ["y"], stored))
    # (64 - 16) / 8 + 1 frames of 16 points: a product with the window, then half of 5·16·log2(16).
    assert made.flops == 2 * 7 * (16 + 5 * 16 * 4 // 2)
    assert made.op.bytes_written == 4 * 2 * 7 * 9 * 2


@pytest.mark.parametrize(("op_type", "flops"), [("HannWindow", 11), ("HammingWindow", 11), ("BlackmanWindow", 22)])
def test_windows_of_a_length_that_is_an_input(op_type: str, flops: int) -> None:
    made = only(model([node(op_type, ["n"], ["y"])], [value("n", [], INT64)]), y_0=400)
    assert made.flops == 400 * flops


# ------------------------------------------------------------------------------------------------- regions


def test_regions_are_sampled() -> None:
    proto = model(
        [node("RoiAlign", ["x", "rois", "images"], ["y"], output_height=7, output_width=7, sampling_ratio=2)],
        [value("x", [1, 8, 50, 50]), value("rois", [10, 4]), value("images", [10], INT64)],
    )
    made = only(proto)
    # 10·8·7·7 results of 4 samples, each 7 for its four neighbours and an addition.
    assert made.flops == 3920 * 4 * 8
    assert made.op.bytes_read == 4 * 8 * 2500 + 4 * 40 + 8 * 10
    pooled = only(model([node("MaxRoiPool", ["x", "rois"], ["y"], pooled_shape=[7, 7])],
                        [value("x", [1, 8, 50, 50]), value("rois", [10, 5])]))  # fmt: skip
    assert pooled.flops == 10 * 8 * 2500


def test_suppression_compares_with_what_is_kept() -> None:
    proto = model([node("NonMaxSuppression", ["b", "s", "most"], ["y"])],
                  [value("b", [1, 100, 4]), value("s", [1, 3, 100])], ["y"], [constant("most", [20])])  # fmt: skip
    assert only(proto, y_0=30).flops == 100 * 30 * 16


@pytest.mark.parametrize(
    ("mode", "before", "after", "each"),
    [
        ("linear", [1, 2, 4], [1, 2, 8], 3),
        ("linear", [1, 2, 4, 4], [1, 2, 8, 8], 7),
        ("linear", [1, 2, 4, 4, 4], [1, 2, 8, 8, 8], 15),
        ("cubic", [1, 2, 4, 4], [1, 2, 8, 8], 31),
        ("linear", [1, 2, 4, 4], [1, 2, 4, 8], 3),  # one axis changes
        ("nearest", [1, 2, 4, 4], [1, 2, 8, 8], 0),
    ],
)
def test_interpolation_weighs_its_neighbours(mode: str, before: list[int], after: list[int], each: int) -> None:
    proto = model([node("Resize", ["x", "", "", "sizes"], ["y"], mode=mode)], [value("x", before)], ["y"],
                  [constant("sizes", after)])  # fmt: skip
    made = only(proto)
    results = 1
    for size in after:
        results *= size
    assert made.flops == results * each


def test_affine_grids_and_columns() -> None:
    grid = only(model([node("AffineGrid", ["t", "size"], ["y"])], [value("t", [2, 2, 3])], ["y"],
                      [constant("size", [2, 3, 5, 7])], opset=20))  # fmt: skip
    assert grid.op == ops.Gemm(batch=2, m=35, n=2, k=3, dtype="fp32")
    columns = only(model([node("Col2Im", ["x", "image", "block"], ["y"])], [value("x", [1, 4 * 9, 9])], ["y"],
                         [constant("image", [5, 5]), constant("block", [3, 3])]))  # fmt: skip
    assert (columns.flops, columns.op.bytes) == (324, 4 * (324 + 100) + 32)


def test_scatters_that_reduce() -> None:
    proto = model([node("ScatterND", ["x", "i", "u"], ["y"], reduction="add")],
                  [value("x", [8, 4]), value("i", [3, 1], INT64), value("u", [3, 4])])  # fmt: skip
    assert only(proto).flops == 12
    assert only(proto).bytes == 4 * (32 + 32) + 24 + 48


def test_distinct_elements_are_sorted_out() -> None:
    made = only(model([node("Unique", ["x"], ["y"])], [value("x", [64])]), y_0=10)
    assert (made.flops, made.op.bytes) == (64 * 6, 4 * (64 + 10))


# ------------------------------------------------------------------------------------------ losses, optimisers


def test_losses() -> None:
    picked = only(model([node("NegativeLogLikelihoodLoss", ["x", "t"], ["y"], reduction="sum")],
                        [value("x", [6, 10]), value("t", [6], INT64)]))  # fmt: skip
    assert (picked.flops, picked.bytes) == (6 * 2, 4 * 6 + 8 * 6 + 4)
    entropy = only(model([node("SoftmaxCrossEntropyLoss", ["x", "t"], ["y"], reduction="sum")],
                         [value("x", [6, 10]), value("t", [6], INT64)]))  # fmt: skip
    # max, sub, exp, add an element; log, add, sub, neg, add a row
    assert entropy.flops == 60 * 11 + 6 * (8 + 1 + 1 + 1 + 1)
    both = only(model([node("SoftmaxCrossEntropyLoss", ["x", "t"], ["y", "logs"], reduction="none")],
                      [value("x", [6, 10]), value("t", [6], INT64)], ["y", "logs"]))  # fmt: skip
    assert both.op.bytes_written == 240
    assert both.flops == 60 * 12 + 6 * 8 + 6


def test_a_step_of_an_optimiser() -> None:
    domain = "ai.onnx.preview.training"
    names = ["r", "t", "x", "g", "v", "h"]
    proto = model([node("Adam", names, ["x1", "v1", "h1"], domain=domain)],
                  [value("r", []), value("t", [], INT64), *(value(n, [50]) for n in names[2:])],
                  [value(n, [50]) for n in ("x1", "v1", "h1")], domains=[domain])  # fmt: skip
    made = only(proto)
    # the regularised gradient 2; v 3; h 4; root and epsilon 5; rate, quotient, step 6
    assert made.flops == 50 * 20
    assert made.op.bytes == 4 * (4 * 50 + 1) + 8 + 4 * 150


# --------------------------------------------------------------------------------------------- classical models


def test_linear_models() -> None:
    made = learned("LinearRegressor", [9, 5], coefficients=[0.1] * 15, intercepts=[0.0] * 3, targets=3)
    assert made.op == ops.Gemm(batch=1, m=9, n=3, k=5, dtype="fp32", out_dtype="fp32")
    assert made.flops == 27 * (10 + 1)
    two = learned("LinearClassifier", [9, 5], 2, coefficients=[0.1] * 10, intercepts=[0.0] * 2, classlabels_ints=[0, 1],
                  post_transform="SOFTMAX")  # fmt: skip
    assert two.flops == 18 * (10 + 1 + 15)


def test_support_vectors() -> None:
    made = learned(
        "SVMRegressor", [9, 5], coefficients=[1.0] * 7, support_vectors=[0.1] * 35, n_supports=7, kernel_type="RBF"
    )
    # 7 products of 5; |x|² - 2xv + |v|², the factor, the exponential; the weighted sum
    assert made.flops == 9 * 7 * (10 + 1 + 1 + 1 + 8 + 2)


def test_trees_count_their_longest_path() -> None:
    # Two trees: a stump, and a chain of three decisions.
    trees = [0, 0, 0, *[1] * 7]
    nodes = [0, 1, 2, 0, 1, 2, 3, 4, 5, 6]
    modes = ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"]
    true = [1, 0, 0, 1, 0, 3, 0, 5, 0, 0]
    false = [2, 0, 0, 2, 0, 4, 0, 6, 0, 0]
    made = learned(
        "TreeEnsembleRegressor", [9, 5], nodes_treeids=trees, nodes_nodeids=nodes, nodes_modes=modes, n_targets=1,
        nodes_truenodeids=true, nodes_falsenodeids=false, nodes_featureids=[0] * 10, nodes_values=[0.5] * 10,
        target_ids=[0], target_nodeids=[1], target_treeids=[0], target_weights=[1.0],
    )  # fmt: skip
    assert made.flops == 9 * (1 + 3) + 9 * 2  # a sum of both trees' leaves
    assert made.op.bytes == 4 * (45 + 9)
    assert made.extra_bytes_read == 20 * 10


def test_encoders_and_scalers() -> None:
    assert learned("Scaler", [9, 5], offset=[0.0] * 5, scale=[1.0] * 5).flops == 90
    assert learned("Normalizer", [9, 5], norm="L2").op == ops.Norm(
        kind="l2norm", rows=9, cols=5, parameters=0, dtype="fp32"
    )
    assert learned("OneHotEncoder", [9], cats_int64s=[1, 2, 3]).op.bytes_written == 4 * 27
    assert learned("Binarizer", [9, 5], threshold=0.5).flops == 45


# ---------------------------------------------------------------------------------------------------- attention


def test_masks_and_soft_caps_are_counted_on_the_scores() -> None:
    shapes = [value(n, [2, 3, 8, 16]) for n in "qkv"]
    plain = only(model([node("Attention", ["q", "k", "v"], ["y"])], shapes, opset=23))
    masked = only(
        model([node("Attention", ["q", "k", "v", "m"], ["y"], softcap=30.0)], [*shapes, value("m", [8, 8])], opset=23)
    )
    scores = 2 * 3 * 8 * 8
    assert masked.flops - plain.flops == scores * (1 + 4 + 8 + 1)


def test_modifiers_of_flexible_attention() -> None:
    def modifier(*names: str) -> onnx.GraphProto:
        steps = [node(op, [f"t{i}"] * (2 if op == "Mul" else 1), [f"t{i + 1}"]) for i, op in enumerate(names)]
        return helper.make_graph(steps, "modifier", [value("t0", None)], [value(f"t{len(names)}", None)])

    domain = "ai.onnx.preview"
    shapes = [value(n, [2, 3, 8, 16]) for n in "qkv"]
    made = only(model([node("FlexAttention", ["q", "k", "v"], ["y"], domain=domain, score_mod=modifier("Tanh", "Mul"))], shapes,
                      [value("y", [2, 3, 8, 16])], domains=[domain], opset=23))  # fmt: skip
    assert isinstance(made.op, ops.Attention)
    assert made.flops - made.op.flops == 2 * 3 * 64 * (8 + 1)


# ---------------------------------------------------------------------------------------------- unknown shapes


def test_a_reduction_whose_axes_are_data_reads_everything() -> None:
    proto = model([node("ReduceL2", ["x", "axes"], ["y"])], [value("x", [4, 6]), value("axes", [1], INT64)],
                  [value("y", [4, 1])])  # fmt: skip
    assert only(proto).op == ops.Reduce(kind="l2", rows=4, cols=6, dtype="fp32")


def test_unknown_ranks_are_listed_never_free() -> None:
    nodes = [node("Squeeze", ["x", "axes"], ["h"]), node("Exp", ["h"], ["e"]), node("Add", ["e", "x"], ["y"])]
    graph = read_onnx(model(nodes, [value("x", [1, 4, 6]), value("axes", [1], INT64)]))
    squeeze, exp, add = graph.nodes
    assert isinstance(squeeze.op, ops.View)
    assert [n.op.op for n in (exp, add)] == ["unmodelled", "unmodelled"]
    assert add.bytes == 4 * 24  # the operand whose shape is known
    assert len(graph.warnings) == 2
    assert all("is not known: counted as memory traffic only" in w for w in graph.warnings)


def test_squeezes_and_splits_by_data_do_not_invent_shapes() -> None:
    proto = model([node("Split", ["x", "sizes"], ["a", "b"])], [value("x", [8, 4]), value("sizes", [2], INT64)],
                  ["a", "b"], opset=13)  # fmt: skip
    graph = read_onnx(proto, dims={"a_0": 3, "b_0": 5})
    assert graph.tensors["b"].shape == (5, 4)


def test_a_condition_that_is_true_costs_no_branch() -> None:
    branches = {
        f"{which}_branch": helper.make_graph([node(op, ["x"], [op])], which, [], [value(op, None)])
        for which, op in (("then", "Relu"), ("else", "Exp"))
    }
    proto = model([node("If", ["c"], ["y"], **branches)], [value("x", [10])], ["y"], [constant("c", [False], BOOL, [])])
    assert read_onnx(proto).total("flops") == 80


EINSUMS = [
    ("ij,jk,kl->il", [[2, 3], [3, 4], [4, 5]], 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5),
    ("ij,ij,ij->i", [[2, 3]] * 3, 6 + 2 * 2 * 3),
    ("ij,kl->k", [[2, 3], [4, 5]], 6 + 20 + 4),  # both are summed first
    ("ii->i", [[3, 3]], 0),
]


@pytest.mark.parametrize(("equation", "shapes", "flops"), EINSUMS)
def test_einsums_of_more_operands(equation: str, shapes: list[list[int]], flops: int) -> None:
    assert only(single("Einsum", *shapes, equation=equation)).flops == flops

"""How a kernel stands in its graph: bytes, distances and stretches, counted by hand."""

from __future__ import annotations

from math import prod

import pytest

from perfmodel.graph import Graph, Node, Tensor
from perfmodel.models.host.context import COLUMNS, contexts
from perfmodel.ops import Copy, Elementwise, Gemm, View


def small_graph() -> Graph:
    """x[4, 8] -> h = x · w[8, 16] -> view v[2, 2, 16] -> t = transpose -> y = t + bias[16]."""
    tensors = {
        "x": Tensor("x", (4, 8), "fp32"), "w": Tensor("w", (8, 16), "fp32", is_weight=True), "h": Tensor("h", (4, 16), "fp32"),
        "v": Tensor("v", (2, 2, 16), "fp32"), "t": Tensor("t", (2, 2, 16), "fp32"),
        "bias": Tensor("bias", (16,), "fp32", is_weight=True), "y": Tensor("y", (2, 2, 16), "fp32"),
    }  # fmt: skip
    nodes = (
        Node("product", Gemm(m=4, n=16, k=8, dtype="fp32"), ("x", "w"), ("h",), "MatMul"),
        Node("view", View(kind="reshape", dtype="fp32"), ("h",), ("v",), "Reshape"),
        Node("transpose", Copy(kind="transpose", elements=64, dtype="fp32"), ("v",), ("t",), "Transpose", {"perm": (1, 0, 2)}),
        Node("sum", Elementwise(kind="add", elements=64, input_elements=80, dtype="fp32"), ("t", "bias"), ("y",), "Add"),
    )  # fmt: skip
    return Graph("small", tensors, nodes, ("x",), ("y",))


def test_bytes_of_operands_are_told_apart():
    product, _, transpose, total = contexts(small_graph())
    assert (product["weight_bytes"], product["input_bytes"], product["output_bytes"]) == (512, 128, 256)
    assert (transpose["weight_bytes"], transpose["input_bytes"]) == (0, 256)
    assert (total["weight_bytes"], total["operands"]) == (64, 2)


def test_a_run_touches_weights_and_results_once_and_views_nothing():
    # w 512, bias 64; h, t, y 256 each.
    assert {c["run_bytes"] for c in contexts(small_graph())} == {512 + 64 + 3 * 256}


def test_distance_to_what_was_written_sees_through_views():
    product, _, transpose, total = contexts(small_graph())
    moved = (128 + 512 + 256) + (256 + 256) + (320 + 256)
    assert product["input_distance_bytes"] == moved  # an input of the model: a whole run ago
    assert transpose["input_distance_bytes"] == 0
    assert total["input_distance_bytes"] == 0


def test_stretches_of_elements():
    _, _, transpose, total = contexts(small_graph())
    assert transpose["contiguous_elements"] == 16  # the last axis stays
    assert total["contiguous_elements"] == 16  # the bias repeats after a row


@pytest.mark.parametrize(
    ("perm", "shape", "kept"), [((0, 2, 1), (2, 3, 5), 1), ((1, 0, 2), (2, 3, 5), 5), ((0, 3, 1, 2), (1, 3, 1, 7), 1)]
)
def test_what_a_permutation_leaves_side_by_side(perm, shape, kept):
    elements = 1
    for size in shape:
        elements *= size
    graph = Graph(
        "t", {"a": Tensor("a", shape, "fp32"), "b": Tensor("b", tuple(shape[p] for p in perm), "fp32")},
        (Node("n", Copy(kind="transpose", elements=elements, dtype="fp32"), ("a",), ("b",), "Transpose", {"perm": perm}),),
    )  # fmt: skip
    assert contexts(graph)[0]["contiguous_elements"] == kept


@pytest.mark.parametrize(
    ("shape", "other", "run"),
    [
        ((5, 7), (), 35), ((5, 7), (1,), 35), ((5, 7), (7,), 7), ((5, 7), (5, 1), 7),
        # A last axis of one place: ONNX Runtime goes element by element, though the other operand is a single number.
        ((5, 7, 1), (), 1), ((5, 7, 1), (1,), 1), ((5, 7, 1), (5, 7, 1), 35),
    ],
)  # fmt: skip
def test_elements_that_pass_before_an_operand_repeats(shape, other, run):
    assert stretch(shape, other, inputs=2) == run


def test_a_number_that_no_operand_is_repeats_nothing():
    assert stretch((5, 7, 1), (), inputs=1) == 35  # a scale, a bound


def stretch(shape, other, inputs):
    elements = prod(shape)
    graph = Graph(
        "t", {"a": Tensor("a", shape, "fp32"), "s": Tensor("s", other, "fp32"), "b": Tensor("b", shape, "fp32")},
        (Node("n", Elementwise(kind="mul", elements=elements, inputs=inputs, dtype="fp32"), ("a", "s"), ("b",), "Mul", {}),),
    )  # fmt: skip
    return contexts(graph)[0]["contiguous_elements"]


def test_every_column_is_there():
    assert all(set(c) == set(COLUMNS) for c in contexts(small_graph()))

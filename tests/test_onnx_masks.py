"""Constant attention masks: the reader looks at their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import BOOL, FLOAT, constant, model, value
from test_onnx_idioms import fused, stored

from perfmodel.features import read_onnx
from perfmodel.features.onnx.bands import keep_masks
from perfmodel.graph import Node
from perfmodel.ops import Attention

N = helper.make_node
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
    tensor = numpy_helper.from_array(np.tri(64, dtype=np.float32) * 0.5, "w")
    assert keep_masks(ir.from_proto(tensor), None) is None
    short = TensorProto(name="w", data_type=BOOL, dims=[64, 64], raw_data=b"\x01" * 20)
    graph = read_onnx(model([N("Where", ["w", "x", "x"], ["y"])], [value("x", [64, 64])], ["y"], [short]))
    assert "causal" not in graph.nodes[0].attributes

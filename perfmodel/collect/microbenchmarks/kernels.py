"""Costs of ONNX Runtime's small kernels: calling one, running a model, and elements per second by kind of operator.

Rates are slopes between two sizes whose operands a core's own caches hold, so that the time of the call drops out and
memory counts little. Their names are those of the descriptors: ``kernel.elementwise.add``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from perfmodel.collect.microbenchmarks.sessions import CONTRIB, NodeSpec, call, model_bytes, session
from perfmodel.collect.microbenchmarks.timing import Benchmark, Work

FEW, MANY = 8, 72
"""Nodes of the two models whose difference is the time of a node."""
ROWS, COLS = (16, 80), 384
"""Rows of the two sizes, and elements of a row: 25 kB and 123 kB in fp32."""

_X = "x"
_Feeds = dict[str, np.ndarray]


def _plain(rows: int) -> _Feeds:
    # Small numbers of both signs: no kernel meets infinities, denormals or a short cut for zeros.
    return {_X: np.random.default_rng(0).uniform(-1, 1, (rows, COLS)).astype(np.float32)}


def _positive(rows: int) -> _Feeds:
    return {_X: np.random.default_rng(0).uniform(0.1, 1, (rows, COLS)).astype(np.float32)}


def _pair(rows: int) -> _Feeds:
    return _positive(rows) | {"y": _positive(rows)[_X]}


def _chosen(rows: int) -> _Feeds:
    # A causal mask, not a random one: the branches of a kernel are as easy to foresee as those of models' masks.
    return _pair(rows) | {"c": np.tri(rows, COLS, dtype=bool)}


def _bytes(rows: int) -> _Feeds:
    return {_X: np.random.default_rng(0).integers(0, 255, (rows, COLS), dtype=np.uint8)}


_ROW = np.ones(COLS, np.float32)
_SCALE, _ZERO = np.array(0.02, np.float32), np.array(128, np.uint8)
_GELU = {"b": np.zeros(COLS, np.float32)}

_KINDS: tuple[
    tuple[str, str, Callable[[int], _Feeds], Sequence[str], Mapping[str, Any], Mapping[str, np.ndarray]], ...
] = (
    ("elementwise.add", "Add", _pair, (_X, "y"), {}, {}),
    ("elementwise.mul", "Mul", _pair, (_X, "y"), {}, {}),
    ("elementwise.div", "Div", _pair, (_X, "y"), {}, {}),
    ("elementwise.pow", "Pow", _positive, (_X, "e"), {}, {"e": np.array(2.0, np.float32)}),  # the power of most graphs
    ("elementwise.sqrt", "Sqrt", _positive, (_X,), {}, {}),
    ("elementwise.exp", "Exp", _plain, (_X,), {}, {}),
    ("elementwise.log", "Log", _positive, (_X,), {}, {}),
    ("elementwise.erf", "Erf", _plain, (_X,), {}, {}),
    ("elementwise.tanh", "Tanh", _plain, (_X,), {}, {}),
    ("elementwise.sigmoid", "Sigmoid", _plain, (_X,), {}, {}),
    ("elementwise.relu", "Relu", _plain, (_X,), {}, {}),
    ("elementwise.where", "Where", _chosen, ("c", _X, "y"), {}, {}),
    ("elementwise.gelu", f"{CONTRIB}::Gelu", _plain, (_X,), {}, {}),
    ("elementwise.gelu_tanh", f"{CONTRIB}::FastGelu", _plain, (_X, "b"), {}, _GELU),
    ("elementwise.cast", "Cast", _plain, (_X,), {"to": 7}, {}),
    ("softmax.softmax", "Softmax", _plain, (_X,), {"axis": -1}, {}),
    ("norm.layernorm", "LayerNormalization", _plain, (_X, "g", "b"), {"axis": -1}, {"g": _ROW, "b": 0 * _ROW}),
    (
        "norm.layernorm_residual",
        f"{CONTRIB}::SkipLayerNormalization",
        _pair,
        (_X, "y", "g", "b"),
        {},
        {"g": _ROW, "b": 0 * _ROW},
    ),
    ("reduce.sum", "ReduceSum", _plain, (_X, "axes"), {"keepdims": 1}, {"axes": np.array([1])}),
    ("reduce.max", "ReduceMax", _plain, (_X,), {"axes": [1], "keepdims": 1}, {}),
    ("copy.transpose", "Transpose", _plain, (_X,), {"perm": [1, 0]}, {}),
    ("copy.concat", "Concat", _pair, (_X, "y"), {"axis": 1}, {}),
    ("quantize.quantize", "QuantizeLinear", _plain, (_X, "s", "z"), {}, {"s": _SCALE, "z": _ZERO}),
    ("quantize.dequantize", "DequantizeLinear", _bytes, (_X, "s", "z"), {}, {"s": _SCALE, "z": _ZERO}),
)
"""Name, operator, what feeds it, its inputs, attributes, weights."""


def benchmarks() -> list[Benchmark]:
    """The overheads, then the rates."""
    found = [
        Benchmark("call.node_s", f"onnxruntime Add of 8 numbers, {FEW} and {MANY} in a row", _adds, _per_node),
        Benchmark("call.product_s", f"onnxruntime MatMul 1x8x8, {FEW} and {MANY} in a row", _products, _per_node),
        Benchmark("call.run_s", "onnxruntime session.run of one Add, less that node", _runs, _run_alone),
    ]
    for name, op, feeds, inputs, attributes, weights in _KINDS:
        outputs = 2 if name == "copy.concat" else 1
        found.append(
            Benchmark(
                f"kernel.{name}_per_s",
                f"onnxruntime {op.rpartition('::')[2]}, slope of {ROWS[0]}x{COLS} to {ROWS[1]}x{COLS}",
                partial(_two_sizes, op, feeds, inputs, attributes, weights),
                partial(_slope, outputs * COLS * (ROWS[1] - ROWS[0])),
            )
        )
    return found


def _two_sizes(
    op: str,
    feeds: Callable[[int], _Feeds],
    inputs: Sequence[str],
    attributes: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
) -> list[Work]:
    return [call([(op, list(inputs), ["out"], attributes)], feeds(rows), ["out"], weights) for rows in ROWS]


def _slope(elements: int, seconds: Sequence[float]) -> float | None:
    taken = seconds[1] - seconds[0]
    return elements / taken if taken > 0 else None


def _per_node(seconds: Sequence[float]) -> float:
    return (seconds[1] - seconds[0]) / (MANY - FEW)


def _run_alone(seconds: Sequence[float]) -> float:
    return seconds[0] - (seconds[2] - seconds[1]) / (MANY - FEW)


def _chain(op: str, feeds: _Feeds, weights: _Feeds, length: int) -> tuple[Any, ...]:
    (second,) = weights
    nodes: list[NodeSpec] = [(op, [f"x{i}", second], [f"x{i + 1}"], {}) for i in range(length)]
    return nodes, feeds, [f"x{length}"], weights


def _adds() -> list[Work]:
    one = {"y": np.ones(8, np.float32)}
    return [call(*_chain("Add", {"x0": one["y"]}, one, length)) for length in (FEW, MANY)]


def _products() -> list[Work]:
    feeds, weights = {"x0": np.ones((1, 8), np.float32)}, {"w": np.eye(8, dtype=np.float32)}
    return [call(*_chain("MatMul", feeds, weights, length)) for length in (FEW, MANY)]


def _runs() -> list[Work]:
    """A plain run with arrays of numpy, as most programs call a model; then the two chains that tell the node's share."""
    one = {"y": np.ones(8, np.float32)}
    nodes, feeds, outputs, weights = _chain("Add", {"x0": one["y"]}, one, 1)
    ready = session(model_bytes(nodes, feeds, outputs, weights))
    return [lambda: ready.run(None, feeds), *_adds()]

"""An export as an ONNX model: any number of rows at once, each input and output a vector of doubles.

Each step is a tensor ``[rows, numbers]``. Arithmetic is in double precision, which opset 18 has for all that is used. Trees are
a ``TreeEnsembleRegressor`` of ai.onnx.ml 3 on float32 features, as they were trained; runtimes may add up their leaves in
another order, so that ln(time) differs in float32's last digits. A batch of products is a loop over its halves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from perfmodel.errors import InputError
from perfmodel.export.operators import AT_LEAST, Export
from perfmodel.models.trees import Booster
from perfmodel.ops.base import MAX_DIMENSION
from perfmodel.recording.program import ELEMENTWISE, Step, Value

OPSET, ML_OPSET = 18, 3
"""The least that have what is used: ``BitwiseAnd`` of 18; trees of ai.onnx.ml 3."""
_IR_VERSION = 8
_SIMPLE = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min",
    "ceil": "Ceil", "floor": "Floor", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "negative": "Neg", "absolute": "Abs",
    "reciprocal": "Reciprocal", "rint": "Round",
}  # fmt: skip
_TRUTHS = {
    "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual", "equal": "Equal",
}  # fmt: skip
_LOGICAL = {"logical_and": "And", "logical_or": "Or"}
_BITS = {"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr"}
_REDUCTIONS = {
    "minimum": "ReduceMin",
    "maximum": "ReduceMax",
    "add": "ReduceSum",
    "logical_and": "ReduceMin",
    "logical_or": "ReduceMax",
}


def model(export: Export) -> onnx.ModelProto:
    """The ONNX model of an export.

    Raises:
        InputError: a step that ONNX has no operator for.
    """
    graph = _Graph()
    inputs = {name: graph.add("Unsqueeze", [name, graph.constant(np.array([1]))]) for name in export.inputs}
    if export.halving is None:
        results = graph.program(export, inputs)
    else:
        results = _halved(graph, export, inputs)
    nodes_out = []
    for name in [*(["refused"] if export.refusals else []), *export.outputs]:
        flat = graph.add("Squeeze", [results[name], graph.constant(np.array([1]))])
        graph.nodes.append(helper.make_node("Identity", [flat], [name]))
        nodes_out.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows"]))
    made = helper.make_graph(
        graph.nodes, export.name, [helper.make_tensor_value_info(n, TensorProto.DOUBLE, ["rows"]) for n in export.inputs],
        nodes_out, initializer=graph.initializers, doc_string=export.title,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    result = helper.make_model(made, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="perfmodel")
    meanings = {**export.inputs, **export.outputs} | {
        f"refused={code}": reason for code, reason in enumerate(export.refusals) if code
    }
    helper.set_model_props(result, meanings)
    onnx.checker.check_model(result)
    return result


def _halved(graph: _Graph, export: Export, inputs: dict[str, str]) -> dict[str, str]:
    """The program for the smallest half of each row's batch, then for the next, up to the batch itself."""
    assert export.halving is not None
    double = graph.constant
    largest = np.floor(max(export.halving.largest, 1.0))
    powers = 2.0 ** np.arange(MAX_DIMENSION.bit_length())
    above = graph.add("Greater", [inputs["batch"], double(largest * powers[None])])
    halvings = graph.add("ReduceSum", [graph.cast(above, TensorProto.DOUBLE), double(np.array([1]))], keepdims=1)
    divisor = graph.add("Pow", [double(np.array(2.0)), graph.add("Max", [halvings, double(np.array(1.0))])])
    first = graph.add("Ceil", [graph.add("Div", [inputs["batch"], divisor])])
    single = graph.add("LessOrEqual", [inputs["batch"], double(np.array(1.0))])
    first = graph.add("Where", [single, inputs["batch"], first])

    # As many halves as the largest batch of the rows has; none where all are single.
    beyond = graph.cast(graph.add("Greater", [first, double(powers[None])]), TensorProto.DOUBLE)
    halves = graph.add("ReduceSum", [beyond, double(np.array([1]))], keepdims=1)
    halves = graph.add("Where", [single, double(np.array(0.0)), graph.add("Add", [halves, double(np.array(1.0))])])
    most = graph.add("ReduceMax", [graph.add("Concat", [halves, double(np.zeros((1, 1)))], axis=0)], keepdims=0)
    levels = graph.cast(most, TensorProto.INT64)

    body = _Graph("body_")
    # Of the loop's turns, the last is the batch itself; the one before it the first half, and so on down.
    left = body.add("Sub", [levels, "turn"])
    deeper = body.cast(body.add("Sub", [left, double(np.array(1))]), TensorProto.DOUBLE)
    part = body.add("Ceil", [body.add("Div", [first, body.add("Pow", [double(np.array(2.0)), deeper])])])
    whole = body.add("Equal", [left, double(np.array(0))])
    batch = body.add("Where", [whole, inputs["batch"], part])
    results = body.program(export, {**inputs, "batch": batch}, "least")
    names = list(export.outputs)
    body.nodes.append(helper.make_node("Identity", ["going"], ["going_on"]))
    body.nodes.append(helper.make_node("Identity", [results["latency_s"]], ["least_out"]))
    scans = []
    for name in names:
        body.nodes.append(helper.make_node("Identity", [results[name]], [f"each_{name}"]))
        scans.append(helper.make_tensor_value_info(f"each_{name}", TensorProto.DOUBLE, None))
    graph.initializers += body.initializers
    inner = helper.make_graph(
        body.nodes, "of_a_half",
        [helper.make_tensor_value_info("turn", TensorProto.INT64, []),
         helper.make_tensor_value_info("going", TensorProto.BOOL, []),
         helper.make_tensor_value_info("least", TensorProto.DOUBLE, None)],
        [helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("least_out", TensorProto.DOUBLE, None), *scans],
    )  # fmt: skip
    nothing = graph.add("Mul", [inputs["batch"], double(np.array(0.0))])
    outs = ["last_latency", *(f"all_{n}" for n in names)]
    turns = graph.add("Add", [levels, double(np.array(1))])
    graph.nodes.append(helper.make_node("Loop", [turns, double(np.array(True)), nothing], outs, body=inner))
    return {n: graph.add("Gather", [f"all_{n}", levels], axis=0) for n in names}


class _Graph:
    """Nodes in the making."""

    _numbers = itertools.count()

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants: dict[Any, str] = {}
        self._nothing = ""  # a 0 for each row

    def add(self, op: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """A node with one output, and its name."""
        name = f"{self.prefix}x{next(self._numbers)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], domain=domain, **attributes))
        return name

    def cast(self, name: str, kind: int) -> str:
        """A cast."""
        return self.add("Cast", [name], to=kind)

    def constant(self, array: np.ndarray) -> str:
        """An initializer; equal ones are one."""
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = f"{self.prefix}c{next(self._numbers)}"
            self.initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def program(self, export: Export, inputs: dict[str, str], least: str | None = None) -> dict[str, str]:
        """The steps of an export's program, and the names of its results, each ``[rows, 1]``."""
        made: dict[int, str] = {}
        self._nothing = self.add("Mul", [next(iter(inputs.values())), self.constant(np.array(0.0))])
        for step in export.program.needed():
            if step.op == "constant":
                continue
            if step.op == "input":
                made[step.number] = least if step.data == AT_LEAST and least is not None else inputs[step.data]
            else:
                made[step.number] = self._step(step, made)
        results = {}
        for name, value in export.program.outputs.items():
            result = self._value(value, made)
            if value.step.op == "constant":  # the same in all rows
                result = self.add("Add", [self._nothing, result])
            results[name] = result
        return results

    def _value(self, value: Value, made: dict[int, str]) -> str:
        """A value as ``[rows, numbers]``; one number for all entries stays one."""
        step, places = value.step, value.places
        if step.op == "constant":
            numbers = step.data[places]
            return self.constant(numbers[None, :] if len(set(numbers.tolist())) > 1 else numbers[None, :1])
        if step.size == 1 or value.whole:
            return made[step.number]
        if (places == places[0]).all():
            places = places[:1]
        return self.add("Gather", [made[step.number], self.constant(places.astype(np.int64))], axis=1)

    def _step(self, step: Step, made: dict[int, str]) -> str:
        if step.op in ELEMENTWISE:
            return self._elementwise(step.op, [self._value(v, made) for v in step.inputs])
        values = [self._wide(v, made) for v in step.inputs]
        own: dict[str, Callable[[], str]] = {
            "reduce": lambda: self._reduce(step, values[0]),
            "pick": lambda: self._pick(step, values),
            "look_up": lambda: self._look_up(step, values[0]),
            "count": lambda: self._count(step, values[0]),
            "is_in": lambda: self._any(
                self.add("Equal", [self._column(values[0]), self.constant(step.data[None, None])])
            ),
            "gather": lambda: self.add("Concat", values, axis=1),
            "trees": lambda: self._trees(step.data, self.cast(values[0], TensorProto.FLOAT)),
        }
        return own[step.op]()

    def _elementwise(self, op: str, values: list[str]) -> str:
        double = TensorProto.DOUBLE
        if op in _SIMPLE:
            return self.add(_SIMPLE[op], values)
        if op in _TRUTHS:
            return self.cast(self.add(_TRUTHS[op], values), double)
        if op in _LOGICAL:
            return self.cast(self.add(_LOGICAL[op], [self.cast(v, TensorProto.BOOL) for v in values]), double)
        if op in _BITS:
            return self.cast(self.add(_BITS[op], [self.cast(v, TensorProto.INT64) for v in values]), double)
        one = values[0]
        if op == "where":
            return self.add("Where", [self.cast(one, TensorProto.BOOL), *values[1:]])
        if op == "logical_not":
            return self.cast(self.add("Equal", [one, self.constant(np.array(0.0))]), double)
        if op == "not_equal":
            return self.cast(self.add("Not", [self.add("Equal", values)]), double)
        if op == "log2":
            # Whole where the number is a power of two: the quotient of logarithms is off by its last digit there.
            quotient = self.add("Div", [self.add("Log", [one]), self.constant(np.log(np.array(2.0)))])
            near = self.add("Round", [quotient])
            exact = self.add("Equal", [self.add("Pow", [self.constant(np.array(2.0)), near]), one])
            return self.add("Where", [exact, near, quotient])
        if op == "exp2":
            return self.add("Pow", [self.constant(np.array(2.0)), one])
        if op == "square":
            return self.add("Mul", [one, one])
        if op == "hypot":
            return self.add("Sqrt", [self.add("Add", [self.add("Mul", [v, v]) for v in values])])
        if op == "remainder":
            whole = self.add("Floor", [self.add("Div", values)])
            return self.add("Sub", [one, self.add("Mul", [whole, values[1]])])
        if op == "floor_divide":
            return self.add("Floor", [self.add("Div", values)])
        if op == "float32":
            return self.cast(self.cast(one, TensorProto.FLOAT), double)
        if op == "trunc":
            return self.cast(self.cast(one, TensorProto.INT64), double)
        raise InputError(f"{op} cannot be exported as onnx; c can hold it")

    def _column(self, name: str) -> str:
        return self.add("Unsqueeze", [name, self.constant(np.array([2]))])

    def _wide(self, value: Value, made: dict[int, str]) -> str:
        """A value as ``[rows, entries]``, without broadcasting."""
        step, places = value.step, value.places
        if step.op == "constant":
            return self.add("Add", [self._nothing, self.constant(step.data[places][None])])
        if value.whole:
            return made[step.number]
        return self.add("Gather", [made[step.number], self.constant(places.astype(np.int64))], axis=1)

    def _runs(self, name: str, run: int) -> str:
        return self.add("Reshape", [name, self.constant(np.array([0, -1, run]))])

    def _reduce(self, step: Step, value: str) -> str:
        name, run = step.data
        runs = self._runs(value, run)
        if name in ("argmin", "argmax"):
            op = "ArgMin" if name == "argmin" else "ArgMax"
            return self.cast(self.add(op, [runs], axis=2, keepdims=0), TensorProto.DOUBLE)
        return self.add(_REDUCTIONS[name], [runs, self.constant(np.array([2]))], keepdims=0)

    def _pick(self, step: Step, values: list[str]) -> str:
        index = self._column(self.cast(values[1], TensorProto.INT64))
        picked = self.add("GatherElements", [self._runs(values[0], step.data), index], axis=2)
        return self.add("Squeeze", [picked, self.constant(np.array([2]))])

    def _look_up(self, step: Step, index: str) -> str:
        return self.add(
            "Gather", [self.constant(step.data.astype(np.float64)), self.cast(index, TensorProto.INT64)], axis=0
        )

    def _count(self, step: Step, value: str) -> str:
        edges, side = step.data
        op = "GreaterOrEqual" if side == "right" else "Greater"
        above = self.cast(self.add(op, [self._column(value), self.constant(edges[None, None])]), TensorProto.DOUBLE)
        return self.add("ReduceSum", [above, self.constant(np.array([2]))], keepdims=0)

    def _any(self, truths: str) -> str:
        return self.add("ReduceMax", [self.cast(truths, TensorProto.DOUBLE), self.constant(np.array([2]))], keepdims=0)

    def _trees(self, booster: Booster, features: str) -> str:
        total = self.add("TreeEnsembleRegressor", [features], domain="ai.onnx.ml", **tree_attributes(booster))
        return self.cast(total, TensorProto.DOUBLE)


def tree_attributes(booster: Booster) -> dict[str, Any]:
    """The attributes of a ``TreeEnsembleRegressor``."""
    trees, nodes = np.nonzero(_reachable(booster))
    left, right = booster.left[trees, nodes], booster.right[trees, nodes]
    leaf = left == nodes
    return {
        "n_targets": 1, "base_values": [float(booster.base)], "nodes_treeids": trees.tolist(), "nodes_nodeids": nodes.tolist(),
        "nodes_featureids": booster.feature[trees, nodes].tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LT").tolist(),
        "nodes_values": np.where(leaf, 0.0, booster.threshold[trees, nodes]).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(), "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
        "nodes_missing_value_tracks_true": booster.default_left[trees, nodes].astype(int).tolist(),
        "target_treeids": trees[leaf].tolist(), "target_nodeids": nodes[leaf].tolist(), "target_ids": [0] * int(leaf.sum()),
        "target_weights": booster.threshold[trees, nodes][leaf].tolist(),
    }  # fmt: skip


def _reachable(booster: Booster) -> np.ndarray:
    """Which nodes are of their tree, and no padding."""
    reached = np.zeros(booster.feature.shape, dtype=bool)
    reached[:, 0] = True
    for _ in range(booster.depth):
        where, node = np.nonzero(reached)
        reached[where, booster.left[where, node]] = True
        reached[where, booster.right[where, node]] = True
    return reached

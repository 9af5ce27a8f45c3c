"""Small ONNX models written by hand, for the tests of the reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL, INT8, UINT8, FLOAT16 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.FLOAT16,
)


def value(name: str, shape: Sequence[Any] | None, elem_type: int = FLOAT) -> onnx.ValueInfoProto:
    """A graph input or output; a string is a symbolic dimension, None an unnamed one."""
    return helper.make_tensor_value_info(name, elem_type, shape)


def weight(name: str, shape: Sequence[int], elem_type: int = FLOAT) -> onnx.TensorProto:
    """An initializer whose data lie in a file that does not exist."""
    tensor = onnx.TensorProto(name=name, data_type=elem_type, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="absent.bin")
    return tensor


def constant(name: str, numbers: Any, elem_type: int = INT64, shape: Sequence[int] | None = None) -> onnx.TensorProto:
    """An initializer with its data inside."""
    numbers = list(numbers)
    return helper.make_tensor(name, elem_type, [len(numbers)] if shape is None else shape, numbers)


def model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto],
    outputs: Iterable[onnx.ValueInfoProto | str] = ("y",),
    initializers: Iterable[onnx.TensorProto] = (),
    *,
    opset: int = 18,
    domains: Iterable[str] = (),
    functions: Iterable[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model; outputs given by name have no shape."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        list(inputs),
        [value(o, None) if isinstance(o, str) else o for o in outputs],
        list(initializers),
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions))


def single(
    op_type: str, *shapes: Sequence[Any], weights: Sequence[Sequence[int]] = (), opset: int = 18, **attributes: Any
) -> onnx.ModelProto:
    """A model of one operator: inputs of the given shapes (x0, x1, ...), then weights (w0, w1, ...), output y."""
    domain = attributes.pop("domain", "")
    inputs = [value(f"x{i}", shape) for i, shape in enumerate(shapes)]
    initializers = [weight(f"w{i}", shape) for i, shape in enumerate(weights)]
    names = [*(i.name for i in inputs), *(w.name for w in initializers)]
    node = helper.make_node(op_type, names, ["y"], name="node", domain=domain, **attributes)
    return model([node], inputs, ["y"], initializers, opset=opset, domains=[domain] if domain else [])


def small_model() -> onnx.ModelProto:
    """Conv + Relu, MaxPool, mean, Gemm, Softmax, and an If with two operators in one branch."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    branches = {
        "then_branch": helper.make_graph(
            [
                helper.make_node("Mul", ["s", "s"], ["sq"], name="then_mul"),
                helper.make_node("Exp", ["sq"], ["t"], name="then_exp"),
            ],
            "then", [], [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
        ),
        "else_branch": helper.make_graph(
            [helper.make_node("Neg", ["s"], ["e"], name="else_neg")],
            "else", [], [helper.make_tensor_value_info("e", TensorProto.FLOAT, None)],
        ),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("GlobalAveragePool", ["r1"], ["g"], name="mean"),
        helper.make_node("Flatten", ["g"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["l"], name="fc"),
        helper.make_node("Softmax", ["l"], ["s"], name="softmax"),
        helper.make_node("ReduceSum", ["s"], ["total"], name="total", keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"], name="greater"),
        helper.make_node("If", ["positive"], ["y"], name="if1", **branches),
    ]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            weight("w1", 16, 3, 3, 3), weight("b1", 16), weight("w2", 16, 10), weight("b2", 10),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model

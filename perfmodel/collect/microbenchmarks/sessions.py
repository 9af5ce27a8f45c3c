"""Small ONNX models as sessions of ONNX Runtime on one thread, whose operands stay where they are.

Inputs and outputs are bound once, so that a call neither copies nor allocates them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from perfmodel.errors import MissingExtraError

OPSET = 17
IR_VERSION = 8
"""The oldest that every supported runtime reads: the same work with all of them."""
CONTRIB = "com.microsoft"

NodeSpec = tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]
"""Operator (``"Add"``, ``"com.microsoft::FastGelu"``), names of inputs and outputs, attributes."""


def runtime() -> Any:
    """The module ``onnxruntime``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError("onnxruntime", "collect", "measuring this machine") from None


def model_bytes(
    nodes: Sequence[NodeSpec],
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """A serialised model.

    Args:
        nodes: in order of execution.
        inputs: name to an array of the input's shape and element type.
        outputs: names; their shapes are inferred by the runtime.
        weights: initialisers.
    """
    from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

    made = []
    for number, (op, ins, outs, attributes) in enumerate(nodes):
        domain, _, kind = op.rpartition("::")
        made.append(helper.make_node(kind, ins, outs, name=f"n{number}", domain=domain, **attributes))
    given = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs.items()
    ]
    # The type of an output is inferred, too: an empty record of the name suffices.
    results = [ValueInfoProto(name=name) for name in outputs]
    held = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(made, "microbenchmark", given, results, held)
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    model: ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    return model.SerializeToString()


def session(model: bytes) -> Any:
    """A session on one thread."""
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def call(
    nodes: Sequence[NodeSpec],
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray] | None = None,
) -> Callable[[], None]:
    """One execution of a model as a function without arguments; arguments as of :func:`model_bytes`.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        Exception: what the runtime raises where it has no kernel.
    """
    ready = session(model_bytes(nodes, inputs, outputs, weights))
    ort = runtime()
    # One run that allocates tells the shapes of the outputs.
    first = ready.run(list(outputs), dict(inputs))
    binding = ready.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
    for name, array in zip(outputs, first, strict=True):
        binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(np.zeros_like(array)))

    def run() -> None:
        ready.run_with_iobinding(binding)

    return run

"""How often bodies run: the dimension that says it, named after the node.

``<node>_trips`` is a dimension like those of the inputs: ``--dim decoder_trips=12`` lets the body of the Loop
``decoder`` run 12 times. It is needed where the number of iterations depends on data, and accepted where a condition
may end the loop before its limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from perfmodel.features.onnx.dims import Dimensions, identifier

if TYPE_CHECKING:
    import onnx_ir as ir

_REPEATING = frozenset({"Loop", "Scan", "SequenceMap"})
SEARCHES = frozenset({"BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"})
"""Operators of com.microsoft that generate tokens: a prompt's graphs run once, the decoder's once a token."""


_NAME = "perfmodel.trips"
_LONGEST = 50
"""Characters of a node's name that its dimension keeps: the last ones, which tell nodes of one module apart."""


def trips_name(node: Any) -> str:
    """The dimension that says how often a node's body runs, once :func:`bind_trips` has named it."""
    return str(node.meta.get(_NAME, ""))


def bind_trips(model: ir.Model, graphs: Iterable[Any], dims: Dimensions) -> None:
    """Tell the dimensions of every body, and give Loops whose number of iterations the caller names that limit."""
    import numpy as np
    import onnx_ir as ir

    for graph in graphs:
        for node in graph:
            searches = node.op_type in SEARCHES and node.domain == "com.microsoft"
            if not searches and (node.op_type not in _REPEATING or node.domain not in ("", "ai.onnx")):
                continue
            name = dims.declare_trips(identifier((node.name or node.op_type)[-_LONGEST:].strip("/")))
            node.meta[_NAME] = name
            if searches:
                # Nothing outside determines the shapes inside: the bodies' own dimensions are the model's, too.
                for attribute in node.attributes.values():
                    if attribute.type.name == "GRAPH" and not attribute.is_ref():
                        dims.declare_inputs(v for v in attribute.value.inputs if not v.is_initializer())
            given = dims.given.get(name)
            if given is None or node.op_type != "Loop" or not node.inputs:
                continue
            tensor = ir.tensor(np.array(given, dtype=np.int64), name=f"{node.name}/trips")
            value = ir.Value(name=tensor.name, shape=ir.Shape([]), type=ir.TensorType(tensor.dtype), const_value=tensor)
            node.replace_input_with(0, value)
            model.graph.register_initializer(value)

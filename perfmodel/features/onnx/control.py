"""If, Loop and Scan: their bodies become ordinary nodes where their number of executions is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from perfmodel.features.onnx import shapes, small
from perfmodel.features.onnx.dims import Dimensions
from perfmodel.graph import Node, Tensor
from perfmodel.ops import View
from perfmodel.ops.base import evaluate, is_symbolic

CONTROL = frozenset({"If", "Loop", "Scan"})
"""Operators with bodies that are expanded here."""

MAX_TRIPS = 2**31
"""A larger trip count stands for "until the condition says so"."""


class Converter(Protocol):
    """What an expansion needs of the conversion it is part of."""

    dims: Dimensions

    def note(self, text: str, name: str) -> None:
        """Warn of a node; equal texts are joined."""

    def tensor(self, value: Any) -> Tensor:
        """The tensor of a value."""

    def alias(self, value: Any, tensor: Tensor) -> None:
        """Let a body's input be a tensor of the graph around it."""

    def nodes_of(self, graph: Any) -> Sequence[Node]:
        """The nodes of a body."""

    def dearest(self, graphs: Sequence[Any], cost: Callable[[list[Node]], Any]) -> tuple[int, bool, list[Node]]:
        """The dearest of several bodies: its number, whether all cost the same, its nodes."""


def expand(node: Any, name: str, convert: Converter) -> list[Node] | None:
    """The nodes that a control-flow node executes; None when their number is not known."""
    if node.op_type == "If":
        return _if(node, name, convert)
    if node.op_type == "Loop":
        return _loop(node, name, convert)
    return _scan(node, name, convert)


def _links(results: Sequence[Any], outputs: Sequence[Any], name: str, convert: Converter) -> list[Node]:
    """Views from a body's results to the control-flow node's outputs."""
    links = []
    for number, (result, output) in enumerate(zip(results, outputs, strict=False)):
        if not output.name:
            continue
        source, target = convert.tensor(result), convert.tensor(output)
        label = f"{name}/result_{number}"
        links.append(
            Node(
                name=label,
                op=View(kind="identity", dtype=source.dtype),
                inputs=(source.name,),
                outputs=(target.name,),
                source_op="Identity",
                members=(label,),
            )
        )
    return links


def _body(node: Any, name: str) -> Any:
    attribute = node.attributes.get(name)
    return None if attribute is None or attribute.is_ref() else attribute.value


def _if(node: Any, name: str, convert: Converter) -> list[Node] | None:
    branches = [_body(node, "then_branch"), _body(node, "else_branch")]
    if any(b is None for b in branches):
        return None
    condition = small.scalar_of(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
    if condition is not None:
        chosen = branches[0 if condition else 1]
        return [*convert.nodes_of(chosen), *_links(chosen.outputs, node.outputs, name, convert)]
    number, equal, nodes = convert.dearest(branches, _cost)
    if not equal:
        which = ("then", "else")[number]
        convert.note(f"If: its condition depends on data; counted as the dearer branch ({which})", name)
    return [*nodes, *_links(branches[number].outputs, node.outputs, name, convert)]


def _cost(nodes: Sequence[Node]) -> tuple[float, float]:
    """FLOPs and bytes; open dimensions count 64, which is enough to compare two branches."""

    def number(value: Any) -> float:
        return float(evaluate(value, {str(s): 64 for s in value.free_symbols}) if is_symbolic(value) else value)

    return number(sum(n.flops for n in nodes)), number(sum(n.bytes for n in nodes))


def _repeated(nodes: Sequence[Node], trips: int) -> list[Node]:
    return [n.replace(count=n.count * trips) for n in nodes]


def _loop(node: Any, name: str, convert: Converter) -> list[Node] | None:
    body = _body(node, "body")
    trips = _trip_count(node, convert)
    if body is None or trips is None or len(body.inputs) < 2:
        return None
    carried = node.inputs[2:]
    for inner, outer in zip(body.inputs[2:], carried, strict=False):
        if outer is not None:
            convert.alias(inner, convert.tensor(outer))
    if not _always_goes_on(body):
        convert.note(f"Loop: its condition may end it early; counted with all {trips} iterations", name)
    nodes = _repeated(convert.nodes_of(body), trips) if trips else []
    return [*nodes, *_links(body.outputs[1:], node.outputs, name, convert)]


def _trip_count(node: Any, convert: Converter) -> int | None:
    count = node.inputs[0] if node.inputs else None
    if count is None:
        return None
    elements = shapes.known_elements(count, convert.dims)
    if not elements or len(elements) != 1 or is_symbolic(elements[0]):
        return None
    trips = int(elements[0])
    return max(trips, 0) if trips < MAX_TRIPS else None


def _always_goes_on(body: Any) -> bool:
    """Whether the condition that the body returns is a constant, or the one it was given."""
    value = body.outputs[0] if body.outputs else None
    for _ in range(8):
        if value is None:
            return False
        if value is body.inputs[1]:
            return True
        if small.scalar_of(value) is not None:
            return True
        producer = value.producer()
        if producer is None or producer.op_type not in ("Identity", "Cast") or not producer.inputs:
            return False
        value = producer.inputs[0]
    return False


def _scan(node: Any, name: str, convert: Converter) -> list[Node] | None:
    body = _body(node, "body")
    scanned = node.attributes.get("num_scan_inputs")
    if body is None or scanned is None or not 1 <= int(scanned.value) <= len(node.inputs):
        return None
    states = len(node.inputs) - int(scanned.value)
    axes = node.attributes.get("scan_input_axes")
    axis = int(axes.value[0]) if axes is not None and len(axes.value) else 0
    sequence = node.inputs[states]
    shape = convert.tensor(sequence).shape if sequence is not None else None
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    trips = shape[axis]
    if not isinstance(trips, int):
        return None
    for inner, outer in zip(body.inputs[:states], node.inputs[:states], strict=False):
        if outer is not None:
            convert.alias(inner, convert.tensor(outer))
    nodes = _repeated(convert.nodes_of(body), trips)
    return [*nodes, *_links(body.outputs, node.outputs, name, convert)]

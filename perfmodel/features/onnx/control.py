"""If, Loop, Scan, SequenceMap and the search loops of ONNX Runtime: bodies become nodes that run as often as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from perfmodel.features.onnx import loops, sequences, shapes, small
from perfmodel.features.onnx.dims import Dimensions
from perfmodel.graph import Node, Tensor
from perfmodel.ops import View
from perfmodel.ops.base import evaluate, is_symbolic

CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
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


def has_body(node: Any) -> bool:
    """Whether a node is one of those that are expanded here."""
    if node.domain == "com.microsoft":
        return node.op_type in loops.SEARCHES
    return node.op_type in CONTROL and node.domain in ("", "ai.onnx")


def expand(node: Any, name: str, opset: int, convert: Converter) -> list[Node] | None:
    """The nodes that a control-flow node executes; None when it has no body.

    Args:
        opset: version of the standard operator set.
    """
    if node.op_type in loops.SEARCHES:
        return _search(node, name, convert)
    if node.op_type == "If":
        return _if(node, name, convert)
    if node.op_type == "Loop":
        return _loop(node, name, convert)
    if node.op_type == "Scan":
        return _scan(node, name, convert, batched=opset < 9)
    return _sequence_map(node, name, convert)


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


def _repeated(nodes: Sequence[Node], trips: Any) -> list[Node]:
    if not is_symbolic(trips) and trips == 0:
        return []
    return [n.replace(count=n.count * trips) for n in nodes]


def _counted(node: Any, name: str, trips: Any, convert: Converter) -> Any:
    """The number of iterations; where nothing gives it, one, and a warning that says how to give it."""
    if trips is not None:
        return trips
    dimension = loops.trips_name(node)
    convert.note(
        f"{node.op_type}: how often its body runs depends on data; counted once: --dim {dimension}=N counts it N times",
        name,
    )
    return 1


def _bind(inner: Sequence[Any], outer: Sequence[Any], convert: Converter) -> None:
    """Let a body's inputs be the tensors that enter it."""
    for value, source in zip(inner, outer, strict=False):
        if source is not None:
            convert.alias(value, convert.tensor(source))


def _loop(node: Any, name: str, convert: Converter) -> list[Node] | None:
    body = _body(node, "body")
    if body is None or len(body.inputs) < 2:
        return None
    limit = _limit(node, convert)
    trips = _counted(node, name, limit, convert)
    _bind(body.inputs[2:], node.inputs[2:], convert)
    if limit is not None and not is_given(node, convert.dims) and not _always_goes_on(body):
        convert.note(
            f"Loop: its condition may end it early; counted with all {trips} iterations: "
            f"--dim {loops.trips_name(node)}=N counts N",
            name,
        )
    if any(_changes(before, after) for before, after in zip(body.inputs[2:], body.outputs[1:], strict=False)):
        convert.note("Loop: what it carries changes its shape; counted with the shapes of the first iteration", name)
    nodes = _repeated(convert.nodes_of(body), trips)
    return [*nodes, *_links(body.outputs[1:], node.outputs, name, convert)]


def is_given(node: Any, dims: Dimensions) -> bool:
    """Whether the caller says how often a body runs."""
    return loops.trips_name(node) in dims.given


def _changes(before: Any, after: Any) -> bool:
    return before.shape is not None and after.shape is not None and before.shape != after.shape


def _limit(node: Any, convert: Converter) -> Any:
    """The most iterations of a Loop, or None."""
    if len(node.inputs) > 1 and node.inputs[1] is not None and small.scalar_of(node.inputs[1]) == 0:
        return 0  # its condition is false from the start
    count = node.inputs[0] if node.inputs else None
    if count is None:
        return None
    elements = shapes.known_elements(count, convert.dims)
    if elements and len(elements) == 1:
        trips = elements[0]
        if is_symbolic(trips):
            return trips
        return max(int(trips), 0) if trips < MAX_TRIPS else None
    # Unless the first dimension of something that it collects has a name, which the caller may have left open.
    return convert.dims.resolve_name(loops.trips_name(node))


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


def _scan(node: Any, name: str, convert: Converter, *, batched: bool) -> list[Node] | None:
    """One iteration a slice; before operator set 9 (``batched``) for each sequence of a batch.

    There the lengths of the sequences come first among the operands; all sequences count as the longest.
    """
    body = _body(node, "body")
    scanned = node.attributes.get("num_scan_inputs")
    operands = node.inputs[1:] if batched else node.inputs
    if body is None or scanned is None or not 1 <= int(scanned.value) <= len(operands):
        return None
    states = len(operands) - int(scanned.value)
    axes = node.attributes.get("scan_input_axes")
    axis = int(axes.value[0]) if axes is not None and len(axes.value) else 0
    sequence = operands[states]
    shape = convert.tensor(sequence).shape if sequence is not None else None
    trips = None
    if shape is not None and batched and len(shape) > 1:
        trips = shape[0] * shape[1]
    elif shape is not None and -len(shape) <= axis < len(shape):
        trips = shape[axis]
    trips = _counted(node, name, trips, convert)
    _bind(body.inputs[:states], operands[:states], convert)
    nodes = _repeated(convert.nodes_of(body), trips)
    return [*nodes, *_links(body.outputs, node.outputs, name, convert)]


def _sequence_map(node: Any, name: str, convert: Converter) -> list[Node] | None:
    """One iteration an element of the first sequence."""
    body = _body(node, "body")
    if body is None or not node.inputs or node.inputs[0] is None:
        return None
    trips = convert.dims.given.get(loops.trips_name(node), sequences.length_of(node.inputs[0]))
    trips = _counted(node, name, trips, convert)
    nodes = _repeated(convert.nodes_of(body), trips)
    return [*nodes, *_links(body.outputs, node.outputs, name, convert)]


def _search(node: Any, name: str, convert: Converter) -> list[Node] | None:
    """A search over tokens: the encoder and the first pass of the decoder once, the decoder once a further token.

    The shapes inside are those that the bodies' inputs declare; their open dimensions are asked for like the model's.
    """
    decoder = _body(node, "decoder")
    if decoder is None:
        return None
    nodes: list[Node] = []
    for part in ("encoder", "init_decoder"):
        body = _body(node, part)
        if body is not None:
            nodes += convert.nodes_of(body)
    trips = _counted(node, name, convert.dims.given.get(loops.trips_name(node)), convert)
    nodes += _repeated(convert.nodes_of(decoder), trips)
    inputs = [convert.tensor(v) for v in node.inputs if v is not None]
    outputs = [convert.tensor(v) for v in node.outputs if v.name]
    tokens = Node(
        name=name,
        op=View(kind="sequence", dtype=outputs[0].dtype if outputs else "int32"),
        inputs=tuple(t.name for t in inputs),
        outputs=tuple(t.name for t in outputs),
        source_op=f"com.microsoft::{node.op_type}",
        members=(name,),
    )
    return [*nodes, tokens]

"""The model as the steps after loading want it: named and ordered nodes, and weights without data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ModelFileError
from perfmodel.features.onnx import bands
from perfmodel.features.onnx.external import read_small

if TYPE_CHECKING:
    import onnx_ir as ir


def name_nodes(graphs: Sequence[ir.Graph]) -> None:
    """Give every node a name of its own; many files leave them out or use one twice."""
    taken: set[str] = set()
    for graph in graphs:
        for node in graph:
            base = node.name or f"{node.op_type}_{next((v.name for v in node.outputs if v.name), '')}"
            name, number = base, 2
            while name in taken:
                name, number = f"{base}#{number}", number + 1
            taken.add(name)
            if name != node.name:
                node.name = name


def complete_loops(model: ir.Model, graphs: Sequence[ir.Graph]) -> None:
    """Spell out the operands that a Loop may leave out: no limit to its iterations, a condition that holds.

    The shape inference insists on them.
    """
    import numpy as np
    import onnx_ir as ir

    for graph in graphs:
        for node in graph:
            if node.op_type != "Loop" or node.domain not in ("", "ai.onnx"):
                continue
            for index, default in enumerate((np.array(2**63 - 1), np.array(True))):
                if index < len(node.inputs) and node.inputs[index] is None:
                    name = f"{node.name}/{('limit', 'condition')[index]}"
                    tensor = ir.tensor(default, name=name)
                    value = ir.Value(
                        name=name, shape=ir.Shape([]), type=ir.TensorType(tensor.dtype), const_value=tensor
                    )
                    node.replace_input_with(index, value)
                    model.graph.register_initializer(value)


def order(model: ir.Model, graphs: Sequence[ir.Graph], label: str) -> None:
    """Put the nodes into topological order where the file has them otherwise."""
    import onnx_ir as ir

    if all(_in_order(graph) for graph in graphs):
        return
    try:
        model.graph.sort()
    except ValueError:
        stuck = _node_on_cycle(model.graph)
        name = f" through the node {stuck.name!r} ({stuck.op_type})" if isinstance(stuck, ir.Node) else ""
        raise ModelFileError(
            f"{label}: the graph has a cycle{name}; a model is a directed graph without cycles"
        ) from None


def _in_order(graph: Any) -> bool:
    done: set[Any] = set()
    for node in graph:
        for value in node.inputs:
            if value is not None:
                producer = value.producer()
                if producer is not None and producer.graph is graph and producer not in done:
                    return False
        done.add(node)
    return True


def _node_on_cycle(graph: Any) -> Any:
    """A node that lies on a cycle: walk back along unfinished producers until one repeats."""
    nodes = list(graph)
    missing = {n: len({p for p in (v.producer() for v in n.inputs if v is not None) if p is not None}) for n in nodes}
    ready = [n for n in nodes if missing[n] == 0]
    while ready:
        node = ready.pop()
        for successor in node.successors():
            if successor in missing:
                missing[successor] -= 1
                if missing[successor] == 0:
                    ready.append(successor)
    stuck = next((n for n in nodes if missing[n] > 0), None)
    seen: set[Any] = set()
    while stuck is not None and stuck not in seen:
        seen.add(stuck)
        producers = (v.producer() for v in stuck.inputs if v is not None)
        stuck = next((p for p in producers if p is not None and missing.get(p, 0) > 0), None)
    return stuck


def forget_weights(graphs: Sequence[ir.Graph], folder: Path | None, label: str) -> None:
    """Take the data away from every tensor that is not a small constant, so that no later step can load them."""
    for graph in graphs:
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None:
                continue
            value.shape, value.dtype = _shape_of(tensor), tensor.dtype
            value.const_value = read_small(tensor, folder, label)
            _keep_mask(value, tensor, folder)
        for node in list(graph):
            tensor = _stored_tensor(node)
            if tensor is not None:
                small = read_small(tensor, folder, label)
                if small is tensor:
                    continue
                _keep_mask(_replace_constant(graph, node, tensor, small), tensor, folder)


def _keep_mask(value: Any, tensor: Any, folder: Path | None) -> None:
    if value.const_value is None:
        mask = bands.keep_masks(tensor, folder)
        if mask is not None:
            value.meta[bands.MASK] = mask


def _stored_tensor(node: Any) -> Any:
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    attribute = node.attributes.get("value")
    return None if attribute is None or attribute.is_ref() or attribute.type.name != "TENSOR" else attribute.value


def _replace_constant(graph: Any, node: Any, tensor: Any, small: Any) -> Any:
    """A Constant node with weights inside becomes an initializer without data, which is returned."""
    import onnx_ir as ir

    old = node.outputs[0]
    new = ir.Value(name=old.name, shape=_shape_of(tensor), type=ir.TensorType(tensor.dtype), const_value=tensor)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    graph.register_initializer(new)
    new.const_value = small
    return new


def _shape_of(tensor: Any) -> Any:
    import onnx_ir as ir

    return ir.Shape([int(d) for d in tensor.shape])

"""Peak memory of a model: weights, and activations that are alive at the same time."""

from __future__ import annotations

from perfmodel.graph import Graph
from perfmodel.ops import View


def peak_activation_bytes(graph: Graph) -> float:
    """Most bytes of activations alive at once when the nodes run in order.

    A tensor lives from the node that makes it (inputs: from the start) to its last reader; the graph's outputs live to
    the end. Views share the storage of what they view. Tensors of unknown rank count 0.
    """
    storage: dict[str, str] = {}

    def root(name: str) -> str:
        while name in storage:
            name = storage[name]
        return name

    for node in graph.nodes:
        if isinstance(node.op, View) and node.inputs:
            storage.update(dict.fromkeys(node.outputs, node.inputs[0]))
    last = len(graph.nodes)
    last_use: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        for name in (*node.inputs, *node.outputs):
            last_use[root(name)] = index
    last_use.update({root(name): last for name in graph.outputs})
    ends: dict[int, list[str]] = {}
    for name, index in last_use.items():
        ends.setdefault(index, []).append(name)

    def size(name: str) -> float:
        tensor = graph.tensors.get(name)
        return 0.0 if tensor is None or tensor.is_weight else float(tensor.bytes or 0)

    alive = {root(name) for name in graph.inputs}
    current = peak = sum(size(name) for name in alive)
    for index, node in enumerate(graph.nodes):
        for name in map(root, node.outputs):
            if name not in alive:
                alive.add(name)
                current += size(name)
        peak = max(peak, current)
        for name in ends.get(index, ()):
            if name in alive:
                alive.discard(name)
                current -= size(name)
    return peak

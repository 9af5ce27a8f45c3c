"""What must hold for every graph and its fused form."""

from __future__ import annotations

from collections import Counter
from typing import Any

from perfmodel import ops
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph

COMPOSITES = ("gelu", "gelu_tanh", "silu", "swish", "hard_swish", "mish", "sigmoid", "rope")


def products(graph: Graph) -> tuple[Any, Any]:
    """FLOPs of convolutions, and of GEMMs and attention together."""
    conv = sum(n.product_flops for n in graph.nodes if n.op.op == "conv")
    return conv, graph.total("product_flops") - conv


def dependencies(graph: Graph) -> dict[str, frozenset[str]]:
    """The inputs that each output depends on."""
    reach: dict[str, frozenset[str]] = {name: frozenset([name]) for name in graph.inputs}
    for node in graph.nodes:
        found = frozenset().union(*(reach.get(n, frozenset()) for n in node.inputs))
        reach.update(dict.fromkeys(node.outputs, found))
    return {name: reach.get(name, frozenset()) for name in graph.outputs}


def composites(graph: Graph) -> Counter[str]:
    """Operators whose FLOPs may differ from those of the arithmetic that they were put together from."""
    found: Counter[str] = Counter()
    for node in graph.nodes:
        for op in (node.op, *node.fused):
            if isinstance(op, (ops.Attention, ops.Softmax, ops.Norm)):
                found[op.op] += 1
            found.update(part for part in getattr(op, "kind", "").split("+") if part in COMPOSITES)
    return found


def converts_elsewhere(graph: Graph) -> bool:
    """Whether a Q or DQ may move over an operator that has more elements on one side than on the other."""
    changes_size = (
        isinstance(n.op, ops.Pool) or getattr(n.op, "kind", "") in ("slice", "pad", "gather") for n in graph.nodes
    )
    return any(isinstance(n.op, ops.Quantize) for n in graph.nodes) and any(changes_size)


def check_invariants(before: Graph, after: Graph) -> None:
    """Asserts all that fusion promises."""
    assert products(before) == products(after)
    # Every node is in exactly one kernel, or removed.
    named = [m for n in after.nodes for m in n.members] + [r.name for r in after.removed[len(before.removed) :]]
    assert sorted(named) == sorted(m for n in before.nodes for m in (n.members or (n.name,)))
    assert len({n.name for n in after.nodes}) == len(after.nodes)
    # Each node reads what exists by then.
    exists = {*before.inputs, *(name for g in (before, after) for name, t in g.tensors.items() if t.is_weight)}
    for node in after.nodes:
        assert exists.issuperset(node.inputs), node
        exists.update(node.outputs)
    assert exists.issuperset(after.outputs)
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert {name for n in after.nodes for name in (*n.inputs, *n.outputs)} <= set(after.tensors)
    assert dependencies(before) == dependencies(after)
    assert after.total("bytes") <= before.total("bytes")
    assert fuse(after) == after
    gone = sum(r.flops for r in after.removed[len(before.removed) :])
    if composites(before) == composites(after) and not converts_elsewhere(before):
        assert before.total("flops") == after.total("flops") + gone

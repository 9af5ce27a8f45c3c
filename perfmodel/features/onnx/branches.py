"""If nodes whose condition is known: the branch that runs takes their place.

PyTorch's tracer writes ``squeeze`` as an If on the size of the axis, and recurrent layers as a tree of Ifs on the rank of
their input. The branch that does not run need not fit the shapes at all, and what both branches have in common says
little about the result: so the decision is made before the shapes after it are inferred.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perfmodel.features.onnx import small

_STANDARD = ("", "ai.onnx")
_REPEATED = frozenset({"Loop", "Scan", "SequenceMap"})


def is_if(node: Any) -> bool:
    """Whether a node is the standard's If."""
    return node.op_type == "If" and node.domain in _STANDARD


def branches_of(node: Any) -> list[Any]:
    """The graphs of an If, the then-branch first; empty where one is missing or is no graph."""
    import onnx_ir as ir

    found = [node.attributes.get(name) for name in ("then_branch", "else_branch")]
    if any(a is None or a.is_ref() or a.type != ir.AttributeType.GRAPH for a in found):
        return []
    return [a.as_graph() for a in found]


def inline_decided(graphs: Iterable[Any]) -> bool:
    """Puts the nodes of the branch that runs in the place of every If of which the condition is a known constant.

    Args:
        graphs: all graphs of an ``onnx_ir`` model; changed in place.

    Returns:
        Whether there was any.
    """
    found = False
    for graph in graphs:
        for node in [n for n in graph if is_if(n)]:
            if not node.inputs or node.inputs[0] is None:
                continue
            condition, branches = small.scalar_of(node.inputs[0]), branches_of(node)
            if condition is None or not branches:
                continue
            branch = branches[0 if condition else 1]
            if len(branch.outputs) == len(node.outputs):
                _splice(graph, node, branch)
                found = True
    return found


def rule_out(model: Any, graph: Any) -> tuple[str, str] | None:
    """Decides the If that a branch, or what is inside it, belongs to: this branch does not run.

    Returns:
        The If's name and which branch (``"then"``, ``"else"``); None where the graph is in no branch, or both are.
    """
    for outer in list(model.graphs()):
        for node in list(outer):
            found = branches_of(node) if is_if(node) else []
            # The innermost If decides: what is inside one that is nested is that one's.
            inside = [graph is branch for branch in found]
            if sum(inside) == 1 and len(found[inside.index(False)].outputs) == len(node.outputs):
                name = str(node.name)
                _splice(outer, node, found[inside.index(False)])
                return name, ("then", "else")[inside.index(True)]
    return None


def _splice(graph: Any, node: Any, branch: Any) -> None:
    import onnx_ir as ir

    results = list(branch.outputs)
    branch.outputs.clear()
    for value in list(branch.initializers.values()):
        del branch.initializers[value.name]
        name, number = value.name, 2
        while name in graph.initializers:
            name, number = f"{value.name}#{number}", number + 1
        value.name = name
        graph.initializers.add(value)  # register_initializer() insists on data, which weights have no more
    nodes = list(branch)
    branch.remove(nodes)
    links = []
    for number, (result, output) in enumerate(zip(results, node.outputs, strict=True)):
        link = ir.node("Identity", [result], name=f"{node.name}/result_{number}")
        link.outputs[0].name = output.name
        output.replace_all_uses_with(link.outputs[0], replace_graph_outputs=True)
        links.append(link)
    graph.insert_before(node, [*nodes, *links])
    graph.remove(node, safe=True)


def undecided(model: Any) -> set[Any]:
    """The graphs that may not run at all: branches of Ifs, and what is inside them."""
    return {
        inner
        for graph in model.graphs()
        for node in graph
        if is_if(node)
        for branch in branches_of(node)
        for inner in (branch, *branch.subgraphs())
    }


def repeated(graphs: Iterable[Any]) -> set[Any]:
    """The bodies of loops, and what is inside them: a shape there may change from one iteration to the next."""
    found: set[Any] = set()
    for graph in graphs:
        for node in graph:
            if node.op_type not in _REPEATED:
                continue
            for attribute in node.attributes.values():
                if not attribute.is_ref() and attribute.type.name == "GRAPH":
                    body = attribute.as_graph()
                    found.update((body, *body.subgraphs()))
    return found

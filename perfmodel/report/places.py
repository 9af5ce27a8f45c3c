"""The module that each operator belongs to, where its own name does not say: ``node_linear_3`` lies in ``encoder.layer.0``.

PyTorch's exporter of 2.5 and later numbers its nodes, and notes the modules beside them (``pkg.torch.onnx.name_scopes`` in a
node's metadata: the module paths from the root down, then the node's own name). Tools that drop such notes leave the names of
the weights, which are the paths of the modules that own them.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from typing import Any

from perfmodel.graph import Graph
from perfmodel.report.modules import module_path

_SCOPES = "pkg.torch.onnx.name_scopes"
_ENOUGH = 0.5
"""Share of the operators whose own names must hold modules for these to be used."""


def operator_paths(names: Sequence[str], graph: Graph, model: Any) -> list[list[str]]:
    """For each operator the modules that it lies in, the outermost first, and itself last.

    Args:
        names: of the operators, in order.
        graph: whose nodes they are.
        model: the file that it was read from, where it was one.
    """
    own = [module_path(name) for name in names]
    if sum(len(path) > 1 for path in own) >= _ENOUGH * len(own):
        return own
    known = _noted(model) or _of_weights(graph)
    found = [known.get(name) for name in names]
    if not any(found):
        return own
    return [[*modules, *path] for modules, path in zip(_filled(found), own, strict=True)]


def _noted(model: Any) -> dict[str, list[str]]:
    """The modules that an exporter noted beside the nodes of an ONNX file, by the node's name."""
    from perfmodel.features.mlir.detect import is_mlir

    if isinstance(model, Graph) or is_mlir(model):
        return {}
    from perfmodel.features.onnx.load import load

    notes = {
        str(node.name): node.metadata_props[_SCOPES]
        for graph in load(model).graphs
        for node in graph
        if _SCOPES in node.metadata_props
    }
    return {name: path for name, note in notes.items() if (path := _scope(note)) is not None}


def _scope(note: str) -> list[str] | None:
    """``['', 'h.0', 'h.0.mlp', 'linear']`` is ``["h", "0", "mlp"]``; None where it is no such list."""
    try:
        scopes = ast.literal_eval(note)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(scopes, list) or not scopes or not all(isinstance(s, str) for s in scopes):
        return None
    innermost = next((s for s in reversed(scopes[:-1]) if s), "")
    return [part for part in innermost.split(".") if part]


def _of_weights(graph: Graph) -> dict[str, list[str]]:
    """The modules that own the weights of each node, by the node's name: what its weights' paths have in common.

    A weight that several nodes read says nothing: exporters keep one of several that are equal, as the scales of new norms.
    """
    readers = Counter(name for node in graph.nodes for name in set(node.inputs))
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        tensors = [graph.tensors[name] for name in node.inputs if name in graph.tensors]
        paths = [(t.source or t.name).split(".")[:-1] for t in tensors if t.is_weight and readers[t.name] == 1]
        owned = [path for path in paths if path]
        if owned:
            found[node.name] = _common(owned)
    return found


def _filled(known: Sequence[Sequence[str] | None]) -> list[Sequence[str]]:
    """Operators of unknown modules lie in what their nearest known neighbours have in common."""
    after: list[Sequence[str] | None] = [None] * len(known)
    following: Sequence[str] | None = None
    for i in range(len(known) - 1, -1, -1):
        following = following if known[i] is None else known[i]
        after[i] = following
    filled: list[Sequence[str]] = []
    before: Sequence[str] | None = None
    for path, behind in zip(known, after, strict=True):
        before = before if path is None else path
        around = [side for side in (before, behind) if side is not None]
        filled.append(_common(around) if path is None else path)
    return filled


def _common(paths: Sequence[Sequence[str]]) -> list[str]:
    """The parts that all paths start with."""
    shared: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared

"""The tree of modules that the operators' names spell: ``/encoder/layer.0/attention/MatMul`` lies in three modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SEPARATORS = ("/", "::", ".")
"""What exporters put between a module and its part; the first that a name has splits it."""
MAX_DEPTH = 24
"""Levels of a path; deeper ones stay one label."""


@dataclass(frozen=True)
class Tree:
    """A tree over operators. Node 0 is the whole model; a parent always stands before its children.

    Attributes:
        labels: of the nodes.
        parents: index of each node's parent; that of the root is -1.
        leaves: for each operator the node that it is.
    """

    labels: tuple[str, ...]
    parents: tuple[int, ...]
    leaves: tuple[int, ...]

    def sums(self, values: Sequence[float]) -> list[float]:
        """For each node the sum over the operators in it.

        Args:
            values: one an operator.
        """
        totals = [0.0] * len(self.labels)
        for leaf, value in zip(self.leaves, values, strict=True):
            totals[leaf] += value
        for node in range(len(totals) - 1, 0, -1):
            totals[self.parents[node]] += totals[node]
        return totals


def module_path(name: str) -> list[str]:
    """The parts of an operator's name, at least one, from the outermost module to the operator itself."""
    for separator in _SEPARATORS:
        if separator in name.strip(separator):
            return [part for part in name.split(separator) if part]
    return [name]


def _at_most(path: Sequence[str]) -> list[str]:
    """The path with all parts beyond :data:`MAX_DEPTH` as one."""
    return list(path) if len(path) <= MAX_DEPTH else [*path[: MAX_DEPTH - 1], "/".join(path[MAX_DEPTH - 1 :])]


def module_tree(paths: Sequence[Sequence[str]], root: str) -> Tree:
    """Modules and operators, in the order of the model.

    A module that holds one thing alone is joined with it, one that holds everything is the root.

    Args:
        paths: of the operators, in order: the modules that each lies in, from the outermost, and itself.
        root: what the whole is called.
    """
    labels, parents = [root], [-1]
    known: dict[tuple[int, str], int] = {}
    leaves = []
    for path in paths:
        node = 0
        *modules, last = _at_most(path)
        for label in modules:
            if (node, label) not in known:
                known[node, label] = len(labels)
                labels.append(label)
                parents.append(node)
            node = known[node, label]
        leaves.append(len(labels))
        labels.append(last)
        parents.append(node)
    return _joined(labels, parents, leaves)


def _joined(labels: list[str], parents: list[int], leaves: list[int]) -> Tree:
    """The tree without nodes that have a single child: ``model`` over ``layers`` alone becomes ``model/layers``."""
    children = [0] * len(labels)
    for parent in parents[1:]:
        children[parent] += 1
    kept, new_labels, new_parents = {0: 0}, [labels[0]], [-1]
    prefix = {0: ""}
    for node in range(1, len(labels)):
        parent = parents[node]
        label = prefix[parent] + labels[node]
        if children[node] == 1:
            # Passed through: its child takes its place and its name. What all operators lie in needs none.
            outermost = kept[parent] == 0 and children[0] == 1
            kept[node], prefix[node] = kept[parent], "" if outermost else f"{label}/"
            continue
        if kept[parent] == 0 and children[0] == 1 and children[node] > 1:
            kept[node], prefix[node] = 0, ""
            children[0] = children[node]
            continue
        kept[node], prefix[node] = len(new_labels), ""
        new_labels.append(label)
        new_parents.append(kept[parent])
    return Tree(tuple(new_labels), tuple(new_parents), tuple(kept[leaf] for leaf in leaves))

"""Boosted trees as C."""

from __future__ import annotations

import numpy as np

from perfmodel.models.trees import Booster


def trees_function(booster: Booster, name: str) -> str:
    """A function of a row of float32 features: the sum of all trees, float32, in the order of training.

    A node holds its feature, its threshold and its left child, next to which the right one stands; a leaf, whose child is 0,
    holds its value in place of the threshold.
    """
    thresholds: list[str] = []
    features: list[int] = []
    children: list[int] = []
    roots: list[int] = []
    for tree in range(len(booster.feature)):
        start = len(thresholds)
        roots.append(start)
        order = _siblings_together(booster.left[tree], booster.right[tree])
        place = {node: start + i for i, node in enumerate(order)}
        for node in order:
            left = int(booster.left[tree, node])
            thresholds.append(_float32(booster.threshold[tree, node]))
            features.append(int(booster.feature[tree, node]))
            children.append(0 if left == node else place[left])
    index = "unsigned short" if len(thresholds) < 2**16 else "unsigned"
    nodes = [f"{{{t},{f},{c}}}" for t, f, c in zip(thresholds, features, children, strict=True)]
    return "\n".join([
        f"/* {len(roots)} trees of {booster.features} features. */",
        f"static const struct {{ float at; unsigned short feature; {index} left; }} {name}_nodes[{len(nodes)}] = {{",
        *(",".join(nodes[i : i + 6]) + "," for i in range(0, len(nodes), 6)), "};",
        f"static const unsigned {name}_roots[{len(roots)}] = {{{','.join(map(str, roots))}}};",
        f"static double {name}(const float *row)", "{",
        f"    float total = {_float32(np.float32(booster.base))};",
        f"    for (int tree = 0; tree < {len(roots)}; tree++) {{",
        f"        unsigned node = {name}_roots[tree];",
        f"        while ({name}_nodes[node].left)",
        f"            node = {name}_nodes[node].left + !(row[{name}_nodes[node].feature] < {name}_nodes[node].at);",
        f"        total += {name}_nodes[node].at;", "    }", "    return total;", "}", "",
    ])  # fmt: skip


def _siblings_together(left: np.ndarray, right: np.ndarray) -> list[int]:
    """A tree's nodes from the root on, each pair of children next to each other, left first."""
    order = [0]
    for node in order:
        if left[node] != node:
            order += [int(left[node]), int(right[node])]
    return order


def _float32(value: np.floating) -> str:
    text = repr(float(np.float32(value)))
    return text + "f"

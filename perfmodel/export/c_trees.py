"""Boosted trees as C."""

from __future__ import annotations

import numpy as np

from perfmodel.models.trees import Booster

_SIDE_BY_SIDE = 4


def trees_function(booster: Booster, name: str) -> str:
    """A function of a row of float32 features: the sum of all trees, float32, in the order of training.

    The row has one entry more than there are features, minus infinity. A node holds its feature, its threshold and its left
    child, next to which the right one stands. A leaf holds its value in place of the threshold, and reads the last entry, which
    is below it: it leads to itself. So several trees are walked side by side, each waiting less for the other's memory.
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
            features.append(booster.features if left == node else int(booster.feature[tree, node]))
            children.append(place[left])
    index = "unsigned short" if len(thresholds) < 2**16 else "unsigned"
    nodes = [f"{{{t},{f},{c}}}" for t, f, c in zip(thresholds, features, children, strict=True)]
    lanes = range(_SIDE_BY_SIDE)
    several = len(roots) // _SIDE_BY_SIDE * _SIDE_BY_SIDE
    step = "{name}_nodes[{n}].left + !(row[{name}_nodes[{n}].feature] < {name}_nodes[{n}].at)"
    return "\n".join([
        f"/* {len(roots)} trees of {booster.features} features. */",
        f"static const struct {{ float at; unsigned short feature; {index} left; }} {name}_nodes[{len(nodes)}] = {{",
        *(",".join(nodes[i : i + 6]) + "," for i in range(0, len(nodes), 6)), "};",
        f"static const unsigned {name}_roots[{len(roots)}] = {{{','.join(map(str, roots))}}};",
        f"static double {name}(const float *row)", "{",
        f"    float total = {_float32(np.float32(booster.base))};",
        "    int tree = 0;",
        f"    for (; tree < {several}; tree += {_SIDE_BY_SIDE}) {{",
        f"        unsigned {', '.join(f'n{k} = {name}_roots[tree + {k}]' for k in lanes)};",
        "        for (;;) {",
        *(f"            const unsigned m{k} = {step.format(name=name, n=f'n{k}')};" for k in lanes),
        f"            if ({' && '.join(f'm{k} == n{k}' for k in lanes)}) break;",
        f"            {' '.join(f'n{k} = m{k};' for k in lanes)}", "        }",
        *(f"        total += {name}_nodes[n{k}].at;" for k in lanes), "    }",
        f"    for (; tree < {len(roots)}; tree++) {{",
        f"        unsigned n = {name}_roots[tree], m;",
        f"        while ((m = {step.format(name=name, n='n')}) != n) n = m;",
        f"        total += {name}_nodes[n].at;", "    }", "    return total;", "}", "",
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

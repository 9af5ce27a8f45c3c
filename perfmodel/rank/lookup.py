"""Boosted trees of few parameters each, as tables: a sum of look-ups.

Tuning parameters have few values, and XGBoost can be held to trees that read at most three parameters each
(``interaction_constraints``). All trees of the same parameters then add up to one table over the intervals between their
thresholds: exactly the trees' sum for any value, in one look-up a table however many trees there were. A million configurations
take a fraction of what walking trees does, one configuration some microseconds without numpy, and a C compiler could do it too.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.errors import PredictorError
from perfmodel.models.tables import look_up
from perfmodel.models.trees import Booster

_MOST_CELLS = 2**20
_MOST_LN = 300.0
"""What stored tables may add to the logarithm of a time: its exponential, times any time, stays finite."""


@dataclass(frozen=True)
class Tables:
    """A sum of tables over parameters.

    Attributes:
        base: what is added to their sum.
        columns: the parameters.
        edges: by parameter, the thresholds in rising order; a value falls into the interval after those at or below it.
        members: of each table the places of its parameters in ``columns``, three at most.
        values: of each table its cells, float32, one axis a parameter.
    """

    base: float
    columns: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    members: tuple[tuple[int, ...], ...]
    values: tuple[np.ndarray, ...]

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sum for each row, shape ``[rows]``, float64.

        Args:
            columns: every parameter, shape ``[rows]``.
        """
        places = [np.searchsorted(e, columns[n], side="right") for n, e in zip(self.columns, self.edges, strict=True)]
        if not places:
            return np.zeros(0)
        total = np.full_like(places[0], self.base, dtype=np.float64)
        for members, cells in zip(self.members, self.values, strict=True):
            flat = places[members[0]]
            for axis, member in enumerate(members[1:], start=1):
                flat = flat * cells.shape[axis] + places[member]
            total += look_up(cells.ravel(), flat)
        return total

    def predict_one(self, values: Mapping[str, float]) -> float:
        """The sum for one configuration, in plain Python."""
        edges, tables = self._plain
        places = [bisect_right(e, values[name]) for name, e in edges]
        places.append(0)
        total = self.base
        for first, of_first in tables:
            for second, of_second in of_first[places[first]]:
                for third, cells in of_second[places[second]]:
                    total += cells[places[third]]
        return total

    @cached_property
    def _plain(self) -> tuple[list[tuple[str, list[float]]], list[tuple[int, list[Any]]]]:
        """The edges, and the tables as nested lists.

        Tables that follow each other and share their first parameter are one entry, a list by its place; in it those that
        share the second one, a list by that one's place; in it the third one and the cells by its place. Axes that a table of
        fewer than three parameters lacks have one place.
        """
        none = len(self.columns)
        edges = [(name, [float(v) for v in e]) for name, e in zip(self.columns, self.edges, strict=True)]
        tables = []
        for members, cells in zip(self.members, self.values, strict=True):
            lacking = 3 - cells.ndim
            nested = cells.reshape(cells.shape + (1,) * lacking).astype(float).tolist()
            tables.append(((*members, *[none] * lacking), nested))
        together: list[tuple[int, list[Any]]] = []
        for first, group in itertools.groupby(tables, lambda table: table[0][0]):
            pairs = [(second, list(same)) for second, same in itertools.groupby(group, lambda table: table[0][1])]
            of_first = [
                [
                    (
                        second,
                        [[(members[2], nested[a][b]) for members, nested in same] for b in range(len(same[0][1][a]))],
                    )
                    for second, same in pairs
                ]
                for a in range(len(pairs[0][1][0][1]))
            ]
            together.append((first, of_first))
        return edges, together

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; :meth:`from_dict` gives an equal one. Cells have four digits after the point."""
        return {
            "base": self.base,
            "columns": list(self.columns),
            "edges": [[float(v) for v in e] for e in self.edges],
            "tables": [
                {"members": list(m), "cells": [round(float(v), 4) for v in cells.ravel()]}
                for m, cells in zip(self.members, self.values, strict=True)
            ],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Tables:
        """Reads what :meth:`to_dict` gives.

        Raises:
            PredictorError: something is absent or does not fit together.
        """
        try:
            columns = tuple(str(c) for c in value["columns"])
            edges = tuple(np.array(e, dtype=np.float64) for e in value["edges"])
            members, cells = [], []
            for table in value["tables"]:
                places = tuple(int(m) for m in table["members"])
                shape = tuple(len(edges[m]) + 1 for m in places)
                members.append(places)
                # As doubles first: what no single holds is refused below, not warned of here.
                cells.append(
                    np.clip(np.array(table["cells"], dtype=np.float64), -1e9, 1e9).astype(np.float32).reshape(shape)
                )
            if any(not 1 <= len(m) <= 3 for m in members):
                raise ValueError("a table of no parameter, or of more than three")
            if len(edges) != len(columns) or any(e.ndim != 1 or np.any(np.diff(e) <= 0) for e in edges):
                raise ValueError("edges do not fit the columns")
            if not sum(float(np.abs(c).max()) for c in cells) + abs(value["base"]) <= _MOST_LN:
                raise ValueError(f"a cell is no number, or they add up to more than {_MOST_LN:g}")
            if not all(np.isfinite(e).all() for e in edges):
                raise ValueError("an edge is no number")
            return cls(float(value["base"]), columns, edges, tuple(members), tuple(cells))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise PredictorError(f"the tables of a ranker are damaged: {type(error).__name__} {error}") from None


def compiled(booster: Booster, columns: Sequence[str], order: int) -> Tables:
    """The tables of a booster none of whose leaves lies below splits of more than ``order`` columns.

    A leaf adds its value to the cells of a box: the intervals of the columns on its path that its splits leave.

    Args:
        booster: the trees, on the columns' own values.
        columns: their names, in the booster's order.
        order: most columns of a path.

    Raises:
        PredictorError: a path reads more of them, or the tables would be too large.
    """
    inner = booster.left != np.arange(booster.left.shape[1])
    edges = tuple(
        np.unique(booster.threshold[inner & (booster.feature == place)]).astype(np.float64)
        for place in range(len(columns))
    )
    base = booster.base
    boxes: dict[tuple[int, ...], list[tuple[tuple[slice, ...], float]]] = {}
    for tree in range(len(booster.feature)):
        for box, value in _leaves(booster, tree, edges):
            members = tuple(sorted(box))
            if len(members) > order:
                raise PredictorError(f"a leaf of tree {tree} reads {len(members)} columns; wanted at most {order}")
            if members:
                boxes.setdefault(members, []).append((tuple(slice(*box[m]) for m in members), value))
            else:
                base += value
    # A box of fewer columns is part of the table of more that holds them all.
    largest = sorted(m for m in boxes if not any(set(m) < set(other) for other in boxes))
    cells = {m: np.zeros(_shape(m, edges)) for m in largest}
    for members, parts in boxes.items():
        home = next(m for m in largest if set(members) <= set(m))
        for place, value in parts:
            within = dict(zip(members, place, strict=True))
            cells[home][tuple(within.get(m, slice(None)) for m in home)] += value
    values = tuple(table.astype(np.float32) for table in cells.values())
    return Tables(float(base), tuple(columns), edges, tuple(cells), values)


def _shape(members: tuple[int, ...], edges: tuple[np.ndarray, ...]) -> tuple[int, ...]:
    shape = tuple(len(edges[m]) + 1 for m in members)
    if int(np.prod(shape)) > _MOST_CELLS:
        raise PredictorError(f"a table of {shape} cells is too large")
    return shape


def _leaves(
    booster: Booster, tree: int, edges: tuple[np.ndarray, ...]
) -> Iterator[tuple[dict[int, tuple[int, int]], float]]:
    """Of each leaf of a tree the intervals of the columns that its path reads (first, and one past the last), and its value."""
    left, right = booster.left[tree], booster.right[tree]
    waiting: list[tuple[int, dict[int, tuple[int, int]]]] = [(0, {})]
    while waiting:
        node, box = waiting.pop()
        if left[node] == node:
            yield box, float(booster.threshold[tree, node])
            continue
        feature, threshold = int(booster.feature[tree, node]), float(booster.threshold[tree, node])
        first, last = box.get(feature, (0, len(edges[feature]) + 1))
        # Values below the threshold lie in the intervals up to and with the place that it has among the edges.
        split = int(np.searchsorted(edges[feature], threshold)) + 1
        waiting.append((int(right[node]), {**box, feature: (max(first, split), last)}))
        waiting.append((int(left[node]), {**box, feature: (first, min(last, split))}))

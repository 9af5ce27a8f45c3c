"""Which candidates to measure next: those expected to beat the best, in turn with those unlike all that were measured.

A device may favour a combination of parameters for a reason that no other device has (an asynchronous copy that one code path
uses, say). No model of other devices foresees that, and expected improvement, once the model is sure of itself, never looks.
So every second measurement goes to the candidate that shows most combinations of values for the first time, among those that
are not too slow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np

from perfmodel.rank.posterior import Posterior

FIRST = 4
"""Measurements before the first that explores."""
EVERY = 2
"""Of so many measurements one explores."""
MOST_VALUES = 5
MOST_PARAMETERS = 10
"""Parameters of so few values, and so many of them at most, are combined."""
TOGETHER = 4
"""Parameters whose values make a combination."""
FORGIVEN = 0.7
"""ln of the slowness that showing only new combinations makes up for."""

_ERFC = np.frompyfunc(math.erfc, 1, 1)


class Combinations:
    """Combinations of parameters' values that each candidate shows.

    Args:
        columns: the parameters, shape ``[candidates]``.
    """

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        few = []
        for values in columns.values():
            levels, place = np.unique(values, return_inverse=True)
            if 2 <= len(levels) <= MOST_VALUES:
                few.append(place)
        few = few[:MOST_PARAMETERS]
        rows = len(next(iter(columns.values())))
        shown = []
        self._count = 0
        for members in itertools.combinations(few, min(TOGETHER, len(few))):
            code = np.zeros(rows, dtype=np.int64)
            for place in members:
                code = code * MOST_VALUES + place
            kinds, number = np.unique(code, return_inverse=True)
            shown.append((number + self._count).astype(np.int32))
            self._count += len(kinds)
        self._shown = np.stack(shown, axis=1) if shown else np.zeros((rows, 1), dtype=np.int32)

    def new(self, measured: np.ndarray) -> np.ndarray:
        """The share of each candidate's combinations that none of the measured ones shows, shape ``[candidates]``."""
        seen = np.zeros(max(self._count, 1), dtype=bool)
        seen[self._shown[measured].ravel()] = True
        return 1.0 - seen[self._shown].mean(axis=1)


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """By how much a measurement is expected to fall below the best (Jones et al., "Efficient Global Optimization", 1998).

    Args:
        mean, deviation: of ln(time), shape ``[candidates]``.
        best: ln of the shortest time so far.
    """
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    # The normal distribution function, whose far tail decides between unlikely candidates.
    below = _ERFC(-z / math.sqrt(2)).astype(np.float64) / 2
    improvement: np.ndarray = deviation * np.maximum(z * below + density, 0.0)
    return improvement


def next_places(
    posterior: Posterior,
    combinations: Combinations,
    measured: np.ndarray,
    best: float | None,
    n: int,
    offset: np.ndarray | None = None,
) -> np.ndarray:
    """Places of the candidates to measure next, most wanted first.

    Args:
        posterior: what is known.
        combinations: of the candidates' parameters.
        measured: places that were measured.
        best: ln of the shortest time; None before any.
        n: how many.
        offset: what the objective adds to ln(time).
    """
    mean, _ = posterior.moments()
    if offset is not None:
        mean = mean + offset
        best = None if best is None else float(mean[measured].min())
    left = np.ones(len(mean), dtype=bool)
    left[measured] = False
    if best is None:
        return np.argsort(np.where(left, mean, np.inf), kind="stable")[: min(n, int(left.sum()))]
    wanted = posterior.expected(
        lambda m, v: expected_improvement(m if offset is None else m + offset, np.sqrt(v), best)
    )
    chosen: list[int] = []
    while len(chosen) < n and left.any():
        turn = len(measured) + len(chosen)
        if turn >= FIRST and turn % EVERY == 0:
            new = combinations.new(np.concatenate([measured, np.array(chosen, dtype=np.intp)]))
            score = new - np.maximum(mean - best, 0.0) / FORGIVEN
        else:
            score = wanted
        place = int(np.argmax(np.where(left, score, -np.inf)))
        left[place] = False
        chosen.append(place)
    return np.array(chosen, dtype=np.intp)

"""Which candidates to measure next: those expected to beat the best, in turn with others that the model would never choose.

A device may favour a combination of parameters for a reason that no other device has (an asynchronous copy that one code path
uses, say). No model of other devices foresees that, and expected improvement, once the model is sure of itself, never looks.
So only a third of the measurements goes to the candidate of most expected improvement. The others explore, in turn:

- a *region* that none was measured in: the most hopeful one that is not far too slow, there the most hopeful candidate. A
  region is a setting of all switches together with the outputs that a thread computes, which decide between them what bounds a
  kernel;
- a *surprise*: the region whose measurements were most below their forecasts, the less so the more of them there are;
- *combinations*: the candidate that shows most combinations of four parameters' values for the first time, among those that are
  not too slow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from perfmodel.rank.posterior import Posterior

TURNS = ("region", "surprise", "improvement", "combinations", "surprise", "improvement")
"""What each of six measurements is for; the first of all goes to the fastest as far as is known."""
MOST_VALUES = 5
MOST_PARAMETERS = 10
"""Parameters of so few values, and so many of them at most, are combined."""
TOGETHER = 4
"""Parameters whose values make a combination."""
FORGIVEN = 0.7
"""ln of the slowness that showing only new combinations makes up for."""

_ERFC = np.frompyfunc(math.erfc, 1, 1)


class Combinations:
    """Combinations of parameters' values that each candidate shows, and its region.

    Args:
        columns: the parameters, shape ``[candidates]``.
        outputs: of a thread, shape ``[candidates]``.
    """

    def __init__(self, columns: Mapping[str, np.ndarray], outputs: np.ndarray) -> None:
        few = []
        _, region = np.unique(outputs, return_inverse=True)
        for values in columns.values():
            levels, place = np.unique(values, return_inverse=True)
            if 2 <= len(levels) <= MOST_VALUES:
                few.append(place)
            if np.array_equal(levels, (0, 1)):
                region = 2 * region + place
        self.region: np.ndarray = np.unique(region, return_inverse=True)[1]
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
    surprises: Sequence[float] = (),
) -> np.ndarray:
    """Places of the candidates to measure next, most wanted first.

    Args:
        posterior: what is known.
        combinations: of the candidates' parameters.
        measured: places that were measured.
        best: ln of the shortest time; None before any.
        n: how many.
        offset: what the objective adds to ln(time).
        surprises: of those measured, ln(measured / forecast); none: 0 of each.
    """
    mean, _ = posterior.moments()
    if offset is not None:
        mean = mean + offset
        best = None if best is None else float(mean[measured].min())
    left = np.ones(len(mean), dtype=bool)
    left[measured] = False
    if best is None:
        return _first_batch(combinations.region, np.where(left, mean, np.inf), min(n, int(left.sum())))
    wanted = posterior.expected(
        lambda m, v: expected_improvement(m if offset is None else m + offset, np.sqrt(v), best)
    )
    region = combinations.region
    below = np.zeros(region.max() + 1)
    if len(surprises):
        np.minimum.at(below, region[measured], np.asarray(surprises))
    chosen: list[int] = []
    while len(chosen) < n and left.any():
        taken = np.concatenate([measured, np.array(chosen, dtype=np.intp)])
        turn = TURNS[len(taken) % len(TURNS)]
        score = wanted
        if turn == "surprise":
            score = _followed(
                region, below / np.maximum(np.bincount(region[taken], minlength=len(below)), 1), left, mean
            )
        elif turn == "region":
            new = np.isin(region, region[taken], invert=True) & (mean < best + FORGIVEN)
            score = np.where(new, -mean, -np.inf)
        if turn == "combinations" or not (score[left] > -np.inf).any():
            score = combinations.new(taken) - np.maximum(mean - best, 0.0) / FORGIVEN
        place = int(np.argmax(np.where(left, score, -np.inf)))
        left[place] = False
        chosen.append(place)
    return np.array(chosen, dtype=np.intp)


def _followed(region: np.ndarray, below: np.ndarray, left: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Minus the mean of the candidates in the region that was most below its forecasts; of all where none was.

    Args:
        region: of the candidates.
        below: of each region, 0 or less.
        left: candidates that may be chosen.
        mean: of ln(time).
    """
    open_regions = np.unique(region[left])
    most = open_regions[np.argmin(below[open_regions])]
    return -mean if below[most] == 0 else np.where(region == most, -mean, -np.inf)


def _first_batch(region: np.ndarray, mean: np.ndarray, n: int) -> np.ndarray:
    """The first n places by their mean, in turn with the first of each further region; none whose mean is infinite."""
    order = np.argsort(mean, kind="stable")
    order = order[np.isfinite(mean[order])]
    _, firsts = np.unique(region[order], return_index=True)
    likeliest, further = iter(order.tolist()), iter(order[np.sort(firsts)].tolist())
    chosen: dict[int, None] = {}
    while len(chosen) < n:
        wanted = further if len(chosen) % 2 else likeliest
        place = next((p for p in wanted if p not in chosen), None)
        if place is None:  # no region is left
            further = likeliest
            continue
        chosen[place] = None
    return np.array(list(chosen), dtype=np.intp)

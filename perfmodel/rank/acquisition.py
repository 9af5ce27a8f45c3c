"""Which candidates to measure next."""

from __future__ import annotations

import math

import numpy as np

from perfmodel.rank.posterior import Posterior

_ERFC = np.frompyfunc(math.erfc, 1, 1)


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """By how much a measurement is expected to fall below the best (Jones et al., "Efficient Global Optimization", 1998).

    Args:
        mean, deviation: of ln(time), shape ``[candidates]``.
        best: ln of the shortest time so far.
    """
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return deviation * (z * _below(z) + density)


def next_places(
    posterior: Posterior, measured: np.ndarray, best: float | None, n: int, offset: np.ndarray | None = None
) -> np.ndarray:
    """Places of the candidates to measure next, most wanted first.

    Args:
        posterior: what is known.
        measured: places that were measured.
        best: ln of the shortest time; None before any.
        n: how many.
        offset: what the objective adds to ln(time).
    """
    mean, variance = posterior.moments()
    if offset is not None:
        mean = mean + offset
        best = None if best is None else float(mean[measured].min())
    open_to = np.ones(len(mean), dtype=bool)
    open_to[measured] = False
    if best is None:
        return np.argsort(np.where(open_to, mean, np.inf), kind="stable")[: min(n, int(open_to.sum()))]
    wanted = expected_improvement(mean, np.sqrt(variance), best)
    order = np.argsort(np.where(open_to, -wanted, np.inf), kind="stable")
    return order[: min(n, int(open_to.sum()))]


def _below(z: np.ndarray) -> np.ndarray:
    """The standard normal distribution function, whose far tail decides between unlikely candidates."""
    tail: np.ndarray = _ERFC(-z / math.sqrt(2)).astype(np.float64)
    return tail / 2

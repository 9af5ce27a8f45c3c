"""What each kernel of a runtime takes for each thing that it does: factors, none negative, by least relative squares.

A line through what was measured, where trees are steps: it goes on beyond the largest kernel of a sweep, and one hundred
rows are enough for it. What it leaves is what the booster learns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.models.host.work import TERMS, Costs, keys

FEWEST_ROWS = 14
FEWEST_MODELS = 6
"""Rows, and models that they come from, of which factors are made: kernels of one network share their shapes."""
RIDGE = 0.005
"""By how much factors are drawn to 0, in the mean square of a row: what the data do not tell stays small."""
USUAL = 0.002
"""By how much a factor of 1 is drawn to 0, in the same unit: amounts are of the size of seconds, so that factors of a thousand,
which four bytes of a scale can have that are constant in a sweep, are no law to go by where they are a thousand bytes."""
_PASSES = 5
_LINEAR_FROM = 0.1
"""Logarithm of a ratio from which on a row counts by its error, not by its square: a disturbed kernel pulls little."""
_MOST_SHIFTED = 0.5


def fit_costs(
    table: Mapping[str, np.ndarray], amounts: np.ndarray, seconds: np.ndarray, weights: np.ndarray, model: np.ndarray
) -> Costs:
    """Factors for every name that enough rows bear.

    Args:
        table: the columns of traces.
        amounts: of :func:`perfmodel.models.host.work.terms`.
        seconds: measured; shape ``[rows]``.
        weights: what rows count.
        model: which model a row is a kernel of.
    """
    found: dict[str, tuple[float, ...]] = {}
    for level in keys(table):
        names = level.astype(str)
        for name in np.unique(names).tolist():
            rows = np.flatnonzero(names == name)
            if len(rows) >= FEWEST_ROWS and len(set(model[rows].tolist())) >= FEWEST_MODELS:
                found[name] = tuple(factors(amounts[rows], seconds[rows], weights[rows]).tolist())
    return Costs(found)


def factors(amounts: np.ndarray, seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Factors that make sums of amounts nearest to what was measured, relatively; shape ``[len(TERMS)]``.

    The sum's middle is that of the rows: squares of relative errors alone would leave it low.
    """
    from scipy.optimize import nnls

    relative = amounts / seconds[:, None]
    size = np.sqrt((relative**2).mean(axis=0)) + 1e-30
    scaled = relative / size
    drawn = np.sqrt(weights.sum()) * np.diag(np.hypot(RIDGE, USUAL / size))
    physics = TERMS.index("physics")
    drawn[physics, physics] = 0.0
    counts = np.sqrt(weights)
    best = np.zeros(amounts.shape[1])
    for _ in range(_PASSES):
        wanted = np.concatenate([counts, np.zeros(len(drawn))])
        best, _ = nnls(np.concatenate([scaled * counts[:, None], drawn]), wanted, maxiter=100 * len(drawn))
        error = np.abs(np.log(np.maximum(scaled @ best, 1e-6)))
        counts = np.sqrt(weights / np.maximum(error, _LINEAR_FROM))
    found: np.ndarray = best / size
    shift = np.average(np.log(seconds / np.maximum(amounts @ found, 1e-9)), weights=weights)
    return found * float(np.exp(np.clip(shift, -_MOST_SHIFTED, _MOST_SHIFTED)))

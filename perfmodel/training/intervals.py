"""90 % intervals of learned predictions, from errors on held-out groups: by predicted latency, wider for variants of which
few groups were measured."""

from __future__ import annotations

import numpy as np

from perfmodel.models.learned import SIZE_BUCKETS_S, size_bucket
from perfmodel.models.trace_rows import PreparedTable

INTERVAL = (0.05, 0.95)
FEWEST_ROWS = 100
"""Rows of a latency bucket that speak for themselves."""
FEW_GROUPS = 30
"""Variants with fewer groups have an interval of their own; Student's factor is 1.05 there."""
_NARROWEST = 0.005
"""ln offset that half an interval is taken to be at least, when errors are measured by it."""


def error_quantiles(measured: np.ndarray, predicted: np.ndarray) -> list[list[float]]:
    """The 5 % and 95 % quantiles of ln(measured / held-out prediction), by bucket of the predicted latency.

    By the predicted latency, since a user has no measured one. A bucket with few rows takes the quantiles of all.
    """
    error = np.log(measured / predicted)
    bucket = size_bucket(predicted)
    everything = np.quantile(error, INTERVAL)
    result = []
    for index in range(len(SIZE_BUCKETS_S) + 1):
        mine = error[bucket == index]
        low, high = np.quantile(mine, INTERVAL) if len(mine) >= FEWEST_ROWS else everything
        result.append([float(low), float(high)])
    return result


def family_widths(
    family: np.ndarray, group: np.ndarray, measured: np.ndarray, predicted: np.ndarray, quantiles: np.ndarray
) -> dict[str, float]:
    """By what the interval of all rows is stretched (in logarithms, about its middle) for each family of operators, so that it
    holds 90 % of the family's own held-out rows: what is pooled over families holds more of those that are predicted well,
    and fewer of the others. Of few groups Student's factor is added, as in :func:`variant_widths`.

    Args:
        family: of each row; as all others an array of shape ``[rows]``.
        group: what was held out together.
        measured, predicted: seconds.
        quantiles: of :func:`error_quantiles`, shape ``[buckets, 2]``.
    """
    error = np.log(measured / predicted)
    low, high = quantiles[size_bucket(predicted)].T
    off = np.abs(error - (low + high) / 2) / np.maximum((high - low) / 2, _NARROWEST)
    result = {}
    for name in dict.fromkeys(family.tolist()):
        mine = family == name
        groups = len(np.unique(group[mine]))
        share = min((INTERVAL[1] - INTERVAL[0]) * (1 + 1 / mine.sum()), 1.0)
        result[str(name)] = float(np.quantile(off[mine], share)) * (student(groups) if groups < FEW_GROUPS else 1.0)
    return result


def student(groups: int) -> float:
    """What a prediction from so many groups adds to a normal interval: t(95 %, G - 1) sqrt(1 + 1 / G) over the normal quantile
    (Hahn and Meeker, Statistical Intervals, 1991, chapter 4); one group counts as two."""
    from scipy.stats import norm, t

    groups = max(groups, 2)
    return float(t.ppf(INTERVAL[1], groups - 1) / norm.ppf(INTERVAL[1]) * (1 + 1 / groups) ** 0.5)


def variant_widths(
    table: PreparedTable, predicted: np.ndarray, quantiles: np.ndarray, rows: np.ndarray
) -> dict[str, float]:
    """By what the interval of all rows is stretched (in logarithms, about its middle) for variants of which few groups were
    measured.

    Rows of one group err together, so that the errors of a few groups say little of the next one. A variant's factor makes
    the common interval hold 90 % of its own held-out rows, times what Student's t adds for a prediction from so many groups
    (:func:`student`).
    One group alone says nothing of its own errors: it takes the factor of two groups on the common interval.

    Args:
        table: of the part.
        predicted: seconds, held out, of every row.
        quantiles: of :func:`error_quantiles`, shape ``[buckets, 2]``.
        rows: indices of the rows that may be looked at.

    Returns:
        a factor for each variant with fewer than :data:`FEW_GROUPS` groups among the rows.
    """
    result = {}
    for variant in table.software:
        mine = rows[table.variant_of_row[rows] == variant]
        groups = len(set(table.group[mine].tolist()))
        if groups >= FEW_GROUPS:
            continue
        own = 1.0
        if groups > 1:
            error = np.log(table.measured_s[mine] / predicted[mine])
            low, high = quantiles[size_bucket(predicted[mine])].T
            half = np.maximum((high - low) / 2, _NARROWEST)
            own = float(np.quantile(np.abs(error - (low + high) / 2) / half, INTERVAL[1] - INTERVAL[0]))
        result[variant] = own * student(groups)
    return result

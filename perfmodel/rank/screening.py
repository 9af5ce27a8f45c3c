"""Which configurations are worth a second look: what cannot run is counted, what the physics thinks slow is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perfmodel.errors import InputError
from perfmodel.rank.opinions import Opinions
from perfmodel.rank.physics import undefined_role

KEPT_AT_LEAST = 20_000
KEPT_SHARE = 0.2
"""Of a table of more rows than the first, this share goes on to the learned part; at least so many rows do."""
_AT_A_TIME = 8192
"""Rows whose intermediate results stay in a core's cache."""


@dataclass(frozen=True)
class Screened:
    """What is left of a table.

    Attributes:
        places: rows of the table that are left, in order.
        mean: ln(seconds) of each as far as is known without a measurement here.
        refused: configurations that cannot run, by reason.
    """

    places: np.ndarray
    mean: np.ndarray
    refused: dict[str, int]


def screen(opinions: Opinions, columns: Mapping[str, np.ndarray]) -> Screened:
    """Feasibility, then physics, then what was learned.

    Args:
        opinions: of the problem and device.
        columns: the parameters, shape ``[rows]``.

    Raises:
        InputError: no configuration can run.
    """
    rows = len(next(iter(columns.values())))
    physics = opinions.physics
    log_s, code = np.empty(rows), np.empty(rows, dtype=np.int16)
    with np.errstate(all="ignore"):  # of impossible shapes, which are refused
        for start in range(0, rows, _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            try:
                costs = physics.costs({n: v[part] for n, v in columns.items()})
            except ArithmeticError:  # of numbers that no column stands in: arrays divide to infinity
                raise InputError(undefined_role(physics.space)) from None
            log_s[part], code[part] = np.log(costs.latency_s), physics.refusal(costs)
    counts = np.bincount(code, minlength=len(physics.reasons))
    refused = {reason: int(c) for reason, c in zip(physics.reasons[1:], counts[1:], strict=True) if c}
    able = np.flatnonzero(code == 0)
    if not len(able):
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in refused.items())
        raise InputError(
            f"none of {rows:,} configurations can run on {physics.device.id}: {reasons or 'the table is empty'}"
        )
    keep = max(KEPT_AT_LEAST, int(KEPT_SHARE * len(able)))
    if len(able) > keep:
        able = np.sort(able[np.argpartition(log_s[able], keep - 1)[:keep]])
    mean = np.empty(len(able))
    for start in range(0, len(able), _AT_A_TIME):
        rows_of_part = able[start : start + _AT_A_TIME]
        own = {n: v[rows_of_part] for n, v in columns.items()}
        _, mean[start : start + len(rows_of_part)] = opinions.of(own, log_s[rows_of_part])
    return Screened(able, mean, refused)

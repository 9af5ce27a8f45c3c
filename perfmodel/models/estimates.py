"""What a prediction says of each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfmodel import units
from perfmodel.errors import checked_methods
from perfmodel.html_table import html_result, html_table

if TYPE_CHECKING:
    from pandas import DataFrame

ROWS_SHOWN = 20
"""Rows that Jupyter shows."""

DETAILS = ("tile_m", "tile_n", "split_k", "tiles_per_unit", "occupancy", "miss")
"""What the tile model chose for a product: the tile, the split-K factor, the tiles of the busiest unit, the busy share of the
units, and the share of the compulsory bytes that cross DRAM."""


@checked_methods()
@dataclass(frozen=True)
class Estimates:
    """Predictions for a table of operators; arrays of shape ``[rows]``, in the order of the rows given.

    Attributes:
        latency_s, latency_low_s, latency_high_s: seconds of one execution and its 90 % interval.
        power_w, power_low_w, power_high_w: mean power; NaN where the device's TDP is unknown.
        energy_low_j, energy_high_j: the 90 % interval of the energy of one execution; None where the ends of the latency's
            and of the power's interval are to be multiplied.
        power_source: ``learned``, ``blended`` or ``analytical``, of the power (``source`` is that of the latency); None where
            the TDP is unknown.
        analytical_s: what the analytical model alone says.
        floor_s: the physical floor.
        bound, source: names (object arrays).
        terms: seconds by bound, NaN where a row has no such term.
        software: the stack that the prediction is for; None where none was learned.
        details: of :data:`DETAILS`, what the tile model chose; NaN where a row is no single product.
        workspace_bytes: memory beyond operands and results that the kernels need while they run; 0 where none.
        algorithm: which of several algorithms is expected to run (object array); None where a family has but one.
        notes: one line each: what ran instead of what was asked for, what was assumed.
    """

    latency_s: np.ndarray
    latency_low_s: np.ndarray
    latency_high_s: np.ndarray
    power_w: np.ndarray
    power_low_w: np.ndarray
    power_high_w: np.ndarray
    analytical_s: np.ndarray
    floor_s: np.ndarray
    bound: np.ndarray
    source: np.ndarray
    software: np.ndarray
    terms: Mapping[str, np.ndarray]
    workspace_bytes: np.ndarray
    algorithm: np.ndarray
    details: Mapping[str, np.ndarray] = field(default_factory=dict)
    energy_low_j: np.ndarray | None = None
    energy_high_j: np.ndarray | None = None
    power_source: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.latency_s)

    def __repr__(self) -> str:
        """One line: there may be a million rows."""
        if not len(self):
            return "<Estimates of no operators>"
        fastest, slowest = (units.duration(float(ends(self.latency_s))) for ends in (np.min, np.max))
        return f"<Estimates of {len(self):,} operators: {fastest} to {slowest}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the first rows."""
        rows = [
            (
                units.duration(float(self.latency_s[i])),
                f"{units.duration(float(self.latency_low_s[i]))} to {units.duration(float(self.latency_high_s[i]))}",
                units.power(float(self.power_w[i])), units.energy(float(self.energy_j[i])), str(self.bound[i]),
                str(self.source[i]),
            )
            for i in range(min(len(self), ROWS_SHOWN))
        ]  # fmt: skip
        more = [f"and {len(self) - ROWS_SHOWN:,} further rows"] if len(self) > ROWS_SHOWN else []
        heads = ("latency", "90 % interval", "power", "energy", "bound", "rests on")
        return html_result(repr(self)[1:-1], html_table(heads, rows, right=range(4)), notes=[*more, *self.notes])

    def to_pandas(self) -> DataFrame:
        """One row an operator, in the order given, SI units in the names of the columns.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.datasets.schema import require_pandas

        names = (
            "latency_s", "latency_low_s", "latency_high_s", "power_w", "power_low_w", "power_high_w", "energy_j",
            "energy_low_j", "energy_high_j", "analytical_s", "floor_s", "workspace_bytes", "bound", "source", "power_source",
            "software", "algorithm",
        )  # fmt: skip
        low, high = self.energy_ends_j
        columns = {name: getattr(self, name) for name in names} | {"energy_low_j": low, "energy_high_j": high}
        frame: DataFrame = require_pandas("a data frame").DataFrame(columns)
        return frame

    @property
    def energy_j(self) -> np.ndarray:
        """Joules of one execution: power times latency."""
        joules: np.ndarray = self.power_w * self.latency_s
        return joules

    @property
    def energy_ends_j(self) -> tuple[np.ndarray, np.ndarray]:
        """The 90 % interval of the energy of one execution, also where ``energy_low_j`` and ``energy_high_j`` are None."""
        if self.energy_low_j is None or self.energy_high_j is None:
            return self.power_low_w * self.latency_low_s, self.power_high_w * self.latency_high_s
        return self.energy_low_j, self.energy_high_j

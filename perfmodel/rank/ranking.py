"""A ranking: the configurations in order, with what they will take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError, checked_methods

if TYPE_CHECKING:
    import pandas as pd

OBJECTIVES = ("latency", "energy", "edp")
"""What may be least: seconds, joules, joules times seconds."""


@checked_methods()
@dataclass(frozen=True)
class Ranking:
    """Configurations in order, the best first; arrays of shape ``[ranked]``.

    Attributes:
        rows: of the table that was given.
        columns: the space's parameters.
        latency_s, latency_low_s, latency_high_s: seconds and their 90 % interval.
        power_w, energy_j: by the power model (``analytical``); None where the device's TDP or idle power is unknown.
        objective: what the order is by.
        configurations: rows of the table.
        refused: configurations that cannot run, by reason.
        screened_out: configurations that the physics thought too slow to look at again.
        observed: measurements behind it.
        source: what the latency rests on: ``analytical``, ``learned`` (other devices' measurements) or ``observed``.
        taught_by: devices whose measurements are behind it.
        assumed: parameters that the table has no column for, with the default that every row takes.
        ignored: columns of the table that are no parameter of the space.
        failed: rows that failed when they were measured last; they count among ``refused`` and are ranked again once a
            measurement of them succeeds.
        warnings: one line each: what a power limit does not do, or what a driver may not take.
    """

    rows: np.ndarray
    columns: dict[str, np.ndarray]
    latency_s: np.ndarray
    latency_low_s: np.ndarray
    latency_high_s: np.ndarray
    power_w: np.ndarray | None
    energy_j: np.ndarray | None
    objective: str
    configurations: int
    refused: dict[str, int]
    screened_out: int
    observed: int
    source: str
    taught_by: tuple[str, ...]
    assumed: dict[str, float]
    ignored: tuple[str, ...]
    failed: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def power_source(self) -> str | None:
        """What ``power_w``, ``energy_j`` and :meth:`front` rest on: ``analytical``; None where they are unknown."""
        return None if self.power_w is None else "analytical"

    def front(self) -> np.ndarray:
        """Places in this ranking that no other beats in both latency and energy, the fastest first; shape ``[front]``.

        The energy is the power model's alone (``analytical``).

        Raises:
            InputError: the device's power is unknown.
        """
        if self.energy_j is None:
            raise InputError("the device's TDP or idle power is unknown, and with it the energy: give a device file")
        from perfmodel.predict.pareto import front

        energy, latency = self.energy_j.tolist(), self.latency_s.tolist()
        return np.array(front(range(len(self)), latency.__getitem__, energy.__getitem__), dtype=np.intp)

    def to_columns(self) -> dict[str, np.ndarray]:
        """The ranked table: ``rank`` (from 1), ``row``, the parameters as ``cfg_<name>``, and the figures."""
        figures: dict[str, Any] = {
            "latency_s": self.latency_s, "latency_low_s": self.latency_low_s, "latency_high_s": self.latency_high_s,
        }  # fmt: skip
        if self.power_w is not None and self.energy_j is not None:
            figures |= {"power_w": self.power_w, "energy_j": self.energy_j}
        return {
            "rank": np.arange(1, len(self) + 1),
            "row": self.rows,
            **{f"cfg_{n}": _whole(v) for n, v in self.columns.items()},
            **figures,
        }

    def to_dict(self, device: str) -> dict[str, Any]:
        """As JSON has it.

        Args:
            device: its name.
        """
        columns = {name: values.tolist() for name, values in self.to_columns().items()}
        parameters = [name for name in columns if name.startswith("cfg_")]
        ranked = []
        for place in range(len(self)):
            low, high = columns["latency_low_s"][place], columns["latency_high_s"][place]
            ranked.append(
                {
                    "rank": columns["rank"][place],
                    "row": columns["row"][place],
                    **{name: columns[name][place] for name in parameters},
                    "latency_s": {"value": columns["latency_s"][place], "low": low, "high": high},
                    "power_w": columns["power_w"][place] if "power_w" in columns else None,
                    "energy_j": columns["energy_j"][place] if "energy_j" in columns else None,
                }
            )
        return {
            "device": device, "objective": self.objective, "source": self.source, "taught_by": list(self.taught_by),
            "power_source": self.power_source, "configurations": self.configurations,
            "refused": self.refused, "screened_out": self.screened_out, "assumed": self.assumed,
            "ignored": list(self.ignored), "warnings": list(self.warnings), "ranked": ranked,
        }  # fmt: skip

    def __repr__(self) -> str:
        """One line: there may be a million rows."""
        from perfmodel.predict.notebook import configurations_line

        return configurations_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the first configurations with their figures."""
        from perfmodel.predict.notebook import configurations_html

        return configurations_html(self)

    def to_pandas(self) -> pd.DataFrame:
        """:meth:`to_columns` as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from perfmodel.datasets.schema import require_pandas

        return require_pandas().DataFrame(self.to_columns())


def _whole(values: np.ndarray) -> np.ndarray:
    """A parameter as whole numbers where it has no others: ``-D MWG=64.0`` is no macro that a kernel compiles with."""
    whole = np.rint(values)
    return values.astype(np.int64) if (whole == values).all() and (np.abs(values) < 2**53).all() else values

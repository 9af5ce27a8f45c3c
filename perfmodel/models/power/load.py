"""Whole runs: what each executed, summed over its operators, and the energy of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from perfmodel.models.power.activity import Activity
from perfmodel.models.power.device import DevicePower
from perfmodel.models.power.energy import energy_terms


@dataclass(frozen=True)
class Load:
    """Runs on one device; arrays of shape ``[runs]``.

    Attributes:
        parts: the sums over the operators whose products one arithmetic runs, by arithmetic; their ``occupancy`` is not used.
        busy_s: seconds that the kernels of a run take, each times the share of the units that have work.
        kernel_s: seconds that the kernels take, as predicted.
        launches: kernels of a run.
        clock_hz: the clock that was measured.
        latency_s: seconds of the run, measured or predicted.
    """

    parts: Mapping[str, Activity]
    busy_s: np.ndarray
    kernel_s: np.ndarray
    launches: np.ndarray
    clock_hz: np.ndarray
    latency_s: np.ndarray

    def taken(self, rows: np.ndarray) -> Load:
        """Some of the runs."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "parts"}
        parts = {
            name: replace(part, **{f.name: getattr(part, f.name)[rows] for f in fields(part) if f.name != "arithmetic"})
            for name, part in self.parts.items()
        }
        return Load(parts=parts, **arrays)

    def terms(self, d: DevicePower, dispatch_s: float) -> dict[str, np.ndarray]:
        """Energy by cause [J]: of the kernels, and of a device that idles while it waits for the host.

        Kernels take the time that they were predicted to, scaled so that with the gaps it becomes the run's: what a device
        waits for is the host, which takes ``dispatch_s`` a launch.
        """
        host_s = dispatch_s * self.launches
        busy_s = self.latency_s * self.busy_s / np.maximum(self.kernel_s, host_s)
        ratio = np.minimum(self.clock_hz / d.peak_clock_hz, 1.0)
        total: dict[str, np.ndarray] = {}
        for number, part in enumerate(self.parts.values()):
            mine = energy_terms(
                d, replace(part, occupancy=np.ones_like(busy_s)), busy_s if number == 0 else 0 * busy_s, ratio
            )
            total = {name: joules + total.get(name, 0.0) for name, joules in mine.items()}
        return total | {"idle": d.idle_at(ratio) * self.latency_s}

    def energy_j(self, d: DevicePower, dispatch_s: float) -> np.ndarray:
        """Energy of each run, within what idle power and the power limit allow [J]."""
        terms = self.terms(d, dispatch_s)
        joules = np.asarray(sum(terms.values()))
        return joules if d.tdp_w is None else np.minimum(joules, d.tdp_w * self.latency_s)

"""Energy and power of a window of readings, with their uncertainty, and whether they may be called measured.

Two ways lead to an energy. The difference of an energy counter is exact up to the moments at which the counter was
updated; the integral of power readings misses what happens between them. Either is a label only if the work had run
long enough before the window that the readings show this work alone (``settle_s``), if the window is long enough
(``min_window_s``), and if the power no longer moves within it. What fails one of these is reported with the reason,
and :meth:`Window.columns` leaves its power and energy out.

The uncertainty is what follows from the readings: steps of the counter, times of its updates, scatter and number of the
power samples. How well the sensor itself is calibrated is not in it, since no interface here tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.collect.meters.base import HARDWARE, Conditions, MeterInfo, Reading
from perfmodel.collect.meters.series import Series, counter_series, mean_power
from perfmodel.errors import MeterError

DRIFT = 0.03
"""By how much the power of the last third of a window may differ from that of its first third."""
UNCERTAIN = 0.05
"""The largest relative uncertainty (one standard deviation) of a label."""
Z_90 = 1.645
"""Standard deviations on either side of a 90 % interval of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Window:
    """The energy of a window.

    Attributes:
        info: of the meter.
        method: ``energy counter`` or ``integrated power``.
        settled_s: how long the work had run when the window began.
        duration_s: its length, between two readings.
        energy_j: energy of the window.
        energy_std_j: one standard deviation of it.
        parts_j: energy by counter, also of those that another contains.
        uncertainty_j: what the standard deviation consists of, by cause; independent of each other.
        conditions: means over the window; ``throttle`` has every reason that was seen.
        readings: how many readings lie in it.
        executions: executions of the work, from its beginning to ``busy_s`` later; None: not counted.
        busy_s: seconds that those executions took.
        steady: whether first and last third of the window have the same power, within :data:`DRIFT` and what is uncertain.
        defects: why its energy is no measurement of the work; empty where it is one.
    """

    info: MeterInfo
    method: str
    settled_s: float
    duration_s: float
    energy_j: float
    energy_std_j: float
    parts_j: Mapping[str, float] = field(default_factory=dict)
    uncertainty_j: Mapping[str, float] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)
    readings: int = 0
    executions: int | None = None
    busy_s: float | None = None
    steady: bool = True
    defects: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether energy and power are measurements of the work."""
        return not self.defects

    @property
    def power_w(self) -> float:
        """Mean power of the window."""
        return self.energy_j / self.duration_s

    @property
    def power_std_w(self) -> float:
        """One standard deviation of it."""
        return self.energy_std_j / self.duration_s

    @property
    def energy_each_j(self) -> float | None:
        """Energy of one execution: mean power times its time; None where executions were not counted."""
        if not self.executions or self.busy_s is None:
            return None
        return self.power_w * self.busy_s / self.executions

    def columns(self) -> dict[str, Any]:
        """The columns of a trace row: power, energy of one execution, conditions.

        Power and energy are None in a window with defects, and ``note`` says why.
        """
        measured = self.measured
        return {
            "power_w": self.power_w if measured else None,
            "energy_j": self.energy_each_j if measured else None,
            "power_rel_std": self.energy_std_j / self.energy_j if measured and self.energy_j > 0 else None,
            "clock_mhz": self.conditions.clock_mhz,
            "mem_clock_mhz": self.conditions.mem_clock_mhz,
            "power_limit_w": self.conditions.power_limit_w,
            "temperature_c": self.conditions.temperature_c,
            "note": None if measured else f"power not measured: {'; '.join(self.defects)}",
        }


def window_of(
    info: MeterInfo,
    readings: Sequence[Reading],
    begin_s: float,
    end_s: float,
    *,
    settled_s: float,
    executions: int | None = None,
    busy_s: float | None = None,
) -> Window:
    """The window between two times, from readings that also cover a while before.

    Args:
        info: of the meter that gave the readings.
        readings: in the order of their times.
        begin_s: earliest beginning; the window begins at the first update of the counter from there on.
        end_s: latest end.
        settled_s: how long the work had run at ``begin_s``.
        executions: of the work, within ``busy_s`` seconds.
        busy_s: how long they took.

    Raises:
        MeterError: the readings do not give an energy at all.
    """
    defects = _preconditions(info, settled_s)
    series = None
    if info.counters and all(r.energy_j for r in readings):
        series = counter_series(info, readings, begin_s, end_s)
        if series is None and info.power is None:
            raise MeterError(
                f"{info.name}: the energy counter did not move within {end_s - begin_s:.3g} s: it does not count here, "
                "or the window is shorter than the time between two updates"
            )
    method = "energy counter"
    if series is None:
        method = "integrated power"
        series = mean_power(info, readings, begin_s, end_s)
    # The power of a third has its own uncertainty: a difference within it is no drift.
    first, last = series.first_third_w, series.last_third_w
    steady = abs(last - first) <= DRIFT * max(first, last) + 2 * series.third_std_w
    if not steady:
        defects.append(
            f"the power still moves: {first:.4g} W in the first third of the window, {last:.4g} W in the last"
        )
    std = math.hypot(*series.uncertainty_j.values())
    defects += series.defects + _judged(info, series, std)
    return Window(
        info=info,
        method=method,
        settled_s=settled_s,
        duration_s=series.duration_s,
        energy_j=series.energy_j,
        energy_std_j=std,
        parts_j=series.parts_j,
        uncertainty_j=series.uncertainty_j,
        conditions=mean_conditions([r for r in readings if begin_s <= r.time_s <= end_s]),
        readings=series.readings,
        executions=executions,
        busy_s=busy_s,
        steady=steady,
        defects=tuple(defects),
    )


def _preconditions(info: MeterInfo, settled_s: float) -> list[str]:
    found = []
    if info.origin != HARDWARE:
        found.append(f"the readings are {info.origin}, not a sensor's")
    if settled_s < info.settle_s * (1 - 1e-9):
        found.append(
            f"the work is known to have run for {settled_s:.3g} s only (wanted {info.settle_s:g} s): earlier load shows in the"
            " readings"
        )
    return found


def _judged(info: MeterInfo, series: Series, std_j: float) -> list[str]:
    found = []
    # A window is cut at readings and updates, so that it may be a little shorter than what was asked for.
    if series.duration_s < 0.95 * info.min_window_s:
        found.append(f"the window of {series.duration_s:.3g} s is shorter than {info.min_window_s:g} s")
    if std_j > UNCERTAIN * series.energy_j:
        share = std_j / series.energy_j if series.energy_j > 0 else math.inf
        found.append(f"the energy is uncertain by {share:.0%}")
    return found


def mean_conditions(readings: Sequence[Reading]) -> Conditions:
    """Means of what was read; reasons of throttling from all of them."""
    seen = [r.conditions for r in readings if r.conditions is not None]

    def mean(name: str) -> float | None:
        values = [v for c in seen if (v := getattr(c, name)) is not None]
        return sum(values) / len(values) if values else None

    reasons = [c.throttle for c in seen if c.throttle is not None]
    return Conditions(
        clock_mhz=mean("clock_mhz"),
        mem_clock_mhz=mean("mem_clock_mhz"),
        temperature_c=mean("temperature_c"),
        power_limit_w=mean("power_limit_w"),
        throttle=tuple(sorted({reason for group in reasons for reason in group})) if reasons else None,
    )

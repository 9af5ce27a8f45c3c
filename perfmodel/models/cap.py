"""What a power cap costs an operator: the clock falls until the power fits, and the latency grows.

Under a cap the driver lowers clock and voltage together. What an operator draws under the cap is the soft minimum of demand
and cap (:func:`perfmodel.models.power.limited`). The clock at which it draws that is searched among locked clocks, whose
latency and energy the physical model knows; so is the clock at which it draws what the device's own limit leaves. The ratio
of the latencies at both is how much longer the operator takes than without a cap, so that a cap at the device's own limit
changes nothing, and a tighter cap never makes anything faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.hardware.device import Device
from perfmodel.models.bounds import BOUND_POWER
from perfmodel.models.machine import Conditions
from perfmodel.models.power import DevicePower, clock_ratio_of, idle_power_w, limited

CLOCK_RATIOS = np.linspace(1.0, 0.2, 25)
"""Clocks that are tried, over the one that is pinned or the peak. Below a fifth of its peak no GPU runs: what does not fit
there waits in between."""

NOTICED = 1.01
"""A cap bounds an operator that it makes slower by this factor: the soft minimum touches all of them a little."""

Run = Callable[[Conditions], dict[str, Any]]
"""Predicts the rows of a group under conditions without a cap: a mapping of columns, ``dynamic_j`` and ``demand_w`` among
them."""


def binds(device: Device, power_limit_w: float | None) -> bool:
    """Whether a cap lies below the device's own limit.

    Raises:
        InputError: the cap is not above the idle power, so that nothing could run.
    """
    if power_limit_w is None or device.tdp_w is None or power_limit_w >= device.tdp_w:
        return False
    idle = idle_power_w(device)
    if idle is not None and power_limit_w <= idle:
        raise InputError(
            f"a power limit of {power_limit_w:g} W is not above the {idle:g} W that {device.id} draws when idle"
        )
    return True


def without_effect(device: Device, power_limit_w: float | None) -> str | None:
    """Why a cap that was asked for changes nothing; None where there is none, or it may bind."""
    if power_limit_w is None:
        return None
    if device.tdp_w is None:
        return f"the TDP of {device.id} is unknown: the power limit of {power_limit_w:g} W changes nothing here"
    if power_limit_w > device.tdp_w:
        return (
            f"the power limit of {power_limit_w:g} W is above the {device.tdp_w:g} W of {device.id}, which hold instead"
        )
    return None


@dataclass(frozen=True)
class _Clocks:
    """Locked clocks, falling; arrays of shape ``[clocks, rows]``.

    Attributes:
        runs: the predictions, one a clock.
        latency_s: of the rows, never less at a lower clock.
        watts: what they draw there, never more at a lower clock.
    """

    runs: list[dict[str, Any]]
    latency_s: np.ndarray
    watts: np.ndarray

    def at(self, power_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latency [s] at the clock at which each row draws a power, and the number of the clock just above.

        Below the lowest clock the device waits in between; ``power_w`` then is above idle.
        """
        rows = np.arange(self.watts.shape[1])
        above = np.clip((self.watts > power_w).sum(axis=0) - 1, 0, len(self.watts) - 2)
        high, low = self.watts[above, rows], self.watts[above + 1, rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(high > low, np.clip((high - power_w) / (high - low), 0.0, 1.0), 0.0)
        slow, quick = self.latency_s[above + 1, rows], self.latency_s[above, rows]
        return quick * (slow / quick) ** share, above + (share >= 1.0)


def under_cap(run: Run, device: Device, conditions: Conditions) -> dict[str, Any]:
    """The rows of ``run`` under the cap of ``conditions``, which binds.

    Args:
        run: predicts the rows without a cap.
        device: with a TDP and an idle power.
        conditions: their ``power_limit_w`` is the cap.
    """
    cap, tdp = conditions.power_limit_w, device.tdp_w
    assert cap is not None
    assert tdp is not None
    free = run(replace(conditions, power_limit_w=None))
    d = DevicePower.of(device)
    lowest = float(d.idle_at(0.0))
    demand, power = free["demand_w"], free["power_w"]
    # What was learned of the power, over what the physics says of it, holds under the cap, too.
    own, capped = (_above(d, demand, lowest, watts) for watts in (tdp, cap))
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(own > 0, np.minimum(capped / own, 1.0), 1.0)
    wanted = np.minimum(lowest + (power - lowest) * kept, cap)
    pending = np.flatnonzero((wanted < power) & (free["latency_s"] > 0))
    result = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in free.items()}
    result["terms"] = {name: value.copy() for name, value in free["terms"].items()}
    result["power_w"] = wanted
    if len(pending):
        clocks = _locked(run, d, conditions, power, demand)
        at_own, _ = clocks.at(power)
        at_cap, number = clocks.at(wanted)
        floor = clocks.watts[-1]
        waits = np.where(wanted < floor, (floor - lowest) / np.maximum(wanted - lowest, 1e-9), 1.0)
        stretch = np.maximum(at_cap / at_own * np.maximum(waits, 1.0), 1.0)[pending]
        for column, each in enumerate(clocks.runs):
            _take(result, each, pending[number[pending] == column])
        result["latency_s"][pending] = np.maximum(free["latency_s"][pending] * stretch, result["floor_s"][pending])
        for name in ("latency_low_s", "latency_high_s"):
            result[name][pending] = np.maximum(free[name][pending] * stretch, result["floor_s"][pending])
        result["bound"][pending[stretch > NOTICED]] = BOUND_POWER
    _bounded(result, free, lowest, cap)
    return result


def _above(d: DevicePower, demand: np.ndarray, idle: float, watts: float) -> np.ndarray:
    """Power above idle of a demand under a limit [W]."""
    result: np.ndarray = limited(d, demand, np.asarray(idle), watts) - idle
    return result


def _locked(run: Run, d: DevicePower, conditions: Conditions, power: np.ndarray, demand: np.ndarray) -> _Clocks:
    """The rows at falling locked clocks."""
    top = conditions.clock_hz or d.peak_clock_hz
    runs = [
        run(replace(conditions, power_limit_w=None, clock_hz=top * ratio))
        for ratio in CLOCK_RATIOS
        if ratio == CLOCK_RATIOS[0] or top * ratio >= CLOCK_RATIOS[-1] * d.peak_clock_hz
    ]
    if len(runs) == 1:  # a clock pinned below all others: there is nowhere to go but to wait
        runs = runs * 2
    latency = np.maximum.accumulate(np.stack([each["latency_s"] for each in runs]), axis=0)
    ratios = [clock_ratio_of(d, top * ratio) for ratio in CLOCK_RATIOS[: len(runs)]]
    idle = np.array([float(d.idle_at(ratio)) for ratio in ratios])[:, None]
    dynamic = np.stack([each["dynamic_j"] for each in runs])
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where the power is learned and lies below the limit, it says how much more the rows take than the physics thinks.
        free = limited(d, demand, idle[0], d.tdp_w or np.inf)
        scale = np.where(free > idle[0], (power - idle[0]) / (free - idle[0]), 1.0)
        watts = idle + np.maximum(scale, 0.0) * np.where(latency > 0, dynamic / latency, 0.0)
    return _Clocks(runs, latency, np.minimum.accumulate(watts, axis=0))


def _bounded(result: dict[str, Any], free: dict[str, Any], idle: float, cap: float) -> None:
    """The intervals of power and energy: as wide as without the cap, within idle and the cap; the energy follows the power and
    the latency."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (
            np.where(free["power_w"] > 0, free[n] / free["power_w"], 1.0) for n in ("power_low_w", "power_high_w")
        )
        before = free["power_w"] * free["latency_s"]
        ends = {n: np.where(before > 0, free[n] / before, 1.0) for n in ("energy_low_j", "energy_high_j")}
    power = result["power_w"]
    result["power_low_w"] = np.minimum(np.clip(power * low, idle, cap), power)
    result["power_high_w"] = np.maximum(np.clip(power * high, idle, cap), power)
    for name, end in ends.items():
        result[name] = power * result["latency_s"] * end


def _take(result: dict[str, Any], other: dict[str, Any], rows: np.ndarray) -> None:
    """Copies the rows' bounds and what goes with them from another prediction."""
    for name in ("floor_s", "analytical_s", "dynamic_j"):
        result[name][rows] = other[name][rows]
    for name, values in other["terms"].items():
        result["terms"][name][rows] = values[rows]

"""What a power cap costs: the clock falls until the power fits, and the latency grows.

Under a cap the driver lowers clock and voltage together. Here the highest clock is sought, row by row, at which idle power
plus dynamic energy over latency stays below the cap. The dynamic energy is scaled so that without a cap each row draws what
it draws against the device's own limit, so that a cap at that limit changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.hardware.device import Device
from perfmodel.models.machine import Conditions
from perfmodel.models.power import FACTOR, idle_power_w

CLOCK_RATIOS = np.linspace(0.98, 0.2, 40)
"""Clocks that are tried, over the one that is pinned or the peak. Below a fifth of its peak no GPU runs: what does not fit
there waits in between."""

Run = Callable[[Conditions], dict[str, Any]]
"""Predicts the rows of a group under conditions without a cap: a mapping of columns, ``dynamic_j`` among them."""


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


def under_cap(run: Run, device: Device, conditions: Conditions) -> dict[str, Any]:
    """The rows of ``run`` under the cap of ``conditions``, which binds.

    Args:
        run: predicts the rows without a cap.
        device: with a TDP and an idle power.
        conditions: their ``power_limit_w`` is the cap.
    """
    cap, idle = conditions.power_limit_w, idle_power_w(device)
    assert cap is not None
    assert idle is not None
    free = run(replace(conditions, power_limit_w=None))
    result = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in free.items()}
    result["terms"] = {name: value.copy() for name, value in free["terms"].items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        calibration = np.where(
            free["dynamic_j"] > 0, (free["power_w"] - idle) * free["latency_s"] / free["dynamic_j"], 0.0
        )
    pending = np.flatnonzero(free["power_w"] > cap)
    peak = device.peak_clock_hz or max(device.arithmetic_clock_hz.values(), default=0.0)
    top = conditions.clock_hz or peak
    slow, energy = free, free["dynamic_j"] * calibration
    for ratio in CLOCK_RATIOS:
        if not len(pending) or not 0 < CLOCK_RATIOS[-1] * peak <= top * ratio:
            break
        slow = run(replace(conditions, power_limit_w=None, clock_hz=top * ratio))
        # A locked clock is not throttled: near the top it may come out faster than the uncapped run. There the device's own
        # limit already holds the clock lower than that, and locking it saves nothing.
        latency = np.maximum(slow["latency_s"], free["latency_s"])
        locked = slow["latency_s"] >= free["latency_s"]
        energy = np.where(locked, slow["dynamic_j"], free["dynamic_j"]) * calibration
        power = idle + energy / latency
        fits = pending[power[pending] <= cap]
        _take(result, slow, fits)
        result["latency_s"][fits], result["power_w"][fits] = latency[fits], power[fits]
        pending = pending[power[pending] > cap]
    if len(pending):
        _take(result, slow, pending)
        result["latency_s"][pending] = np.maximum(energy[pending] / (cap - idle), result["latency_s"][pending])
        result["power_w"][pending] = cap
    changed = np.flatnonzero(result["latency_s"] > free["latency_s"])
    stretch = result["latency_s"][changed] / free["latency_s"][changed]
    for name in ("latency_low_s", "latency_high_s"):
        result[name][changed] = np.maximum(free[name][changed] * stretch, result["floor_s"][changed])
    result["bound"][changed] = "power"
    result["power_low_w"] = np.clip(result["power_w"] / FACTOR, idle, cap)
    result["power_high_w"] = np.clip(result["power_w"] * FACTOR, idle, cap)
    return result


def _take(result: dict[str, Any], other: dict[str, Any], rows: np.ndarray) -> None:
    """Copies the rows' bounds and what goes with them from another prediction."""
    for name in ("floor_s", "analytical_s", "dynamic_j"):
        result[name][rows] = other[name][rows]
    for name, values in other["terms"].items():
        result["terms"][name][rows] = values[rows]

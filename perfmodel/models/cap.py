"""What a power cap costs an operator: the clock falls until the power fits, and the latency grows.

Under a cap the driver lowers clock and voltage together. What an operator draws under the cap is the soft minimum of demand
and cap (:func:`perfmodel.models.power.limited`). The clock at which it draws that is searched among locked clocks
(:mod:`perfmodel.models.clock`), and it takes what it takes there: a cap at the device's own limit changes nothing, and a
tighter cap never makes anything faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.hardware.device import Device
from perfmodel.models.bounds import BOUND_POWER
from perfmodel.models.clock import Columns, LockedClocks
from perfmodel.models.power import DevicePower, idle_power_w, limited

CLOCK_RATIOS = np.linspace(1.0, 0.2, 25)
"""Clocks that are tried, over the highest. Below a fifth of its peak no GPU runs: what does not fit there waits in between."""

NOTICED = 1.01
"""A cap bounds an operator that it makes slower by this factor: the soft minimum touches all of them a little."""

LEAST_SHARE = 0.28
"""Of the TDP, the lowest power limit of a GPU that we found documented: 200 of 700 W (NVIDIA DGX B200 user guide, "Querying the
Current GPU Power Limit", ``AllowableMin``). An RTX 6000 takes 100 of 260 W (ml-energy/zeus, pull request 143)."""


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


def may_be_refused(device: Device, power_limit_w: float | None) -> str | None:
    """Why a driver may not take a cap; None where nothing is known against it."""
    if (
        power_limit_w is None
        or device.tdp_w is None
        or device.kind != "gpu"
        or power_limit_w >= LEAST_SHARE * device.tdp_w
    ):
        return None
    return (
        f"a driver may refuse a power limit of {power_limit_w:g} W: the lowest documented one of a GPU is {LEAST_SHARE:.2f} of "
        f"its TDP, which would be {LEAST_SHARE * device.tdp_w:.0f} W on {device.id}"
    )


@dataclass(frozen=True)
class _Falling:
    """Locked clocks, falling; arrays of shape ``[clocks, rows]``.

    Attributes:
        columns: the predictions, one a clock.
        latency_s: of the rows, never less at a lower clock.
        watts: what they draw there, never more at a lower clock.
    """

    columns: list[Columns]
    latency_s: np.ndarray
    watts: np.ndarray

    @classmethod
    def of(cls, clocks: LockedClocks) -> _Falling:
        """Those of :data:`CLOCK_RATIOS`."""
        columns = [clocks.at(clocks.top_hz * ratio) for ratio in CLOCK_RATIOS]
        return cls(
            columns,
            np.maximum.accumulate(np.stack([each["latency_s"] for each in columns]), axis=0),
            np.minimum.accumulate(np.stack([each["power_w"] for each in columns]), axis=0),
        )

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


def under_cap(clocks: LockedClocks, cap_w: float, clock_hz: float | None, notes: dict[str, None]) -> Columns:
    """The rows of ``clocks`` under a cap that binds.

    Args:
        clocks: of a device with a TDP and an idle power.
        cap_w: the cap.
        clock_hz: a locked clock besides, or None: each row runs at the lower of it and the one that the cap leaves.
        notes: takes a line where the cap is lower than a driver may take.
    """
    device = clocks.device
    assert device.tdp_w is not None
    if (why := may_be_refused(device, cap_w)) is not None:
        notes[why] = None
    result = _capped(clocks, cap_w, notes)
    if clock_hz is None:
        return result
    locked = clocks.at(clock_hz)
    like = _slower(locked, result)
    # Two that are about as slow need not have like floors nor be as well known: what holds of either holds of both.
    for name in ("floor_s", "analytical_s"):
        like[name] = np.maximum(locked[name], result[name])
    held = like | _bounded(like, np.minimum(locked["power_w"], result["power_w"]), like["latency_s"], clocks, cap_w)
    held["latency_high_s"] = np.maximum(locked["latency_high_s"], result["latency_high_s"])
    for name in ("power_low_w", "power_high_w"):
        held[name] = np.minimum(held[name], np.minimum(locked[name], result[name]))
    return held


def _capped(clocks: LockedClocks, cap_w: float, notes: dict[str, None]) -> Columns:
    """The rows under a cap alone."""
    free, device = clocks.free, clocks.device
    assert device.tdp_w is not None
    d = DevicePower.of(device)
    lowest = float(d.idle_at(0.0))
    demand, power = free["demand_w"], free["power_w"]
    # What was learned of the power, over what the physics says of it, holds under the cap, too.
    own, capped = (_above(d, demand, lowest, watts) for watts in (device.tdp_w, cap_w))
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(own > 0, np.minimum(capped / own, 1.0), 1.0)
    wanted = np.minimum(lowest + (power - lowest) * kept, cap_w)
    pending = (wanted < power) & (free["latency_s"] > 0)
    like, latency = dict(free), free["latency_s"]
    if pending.any():
        falling = _Falling.of(clocks)
        at_cap, number = falling.at(wanted)
        # Below the lowest clock the device pauses, at idle power.
        floor = falling.watts[-1]
        pauses = pending & (wanted < floor)
        waits = np.where(pauses, (floor - lowest) / np.maximum(wanted - lowest, 1e-9), 1.0)
        for column, each in enumerate(falling.columns):
            like = _chosen(pending & (number == column), each, like)
        slower = np.maximum(np.maximum(at_cap * np.maximum(waits, 1.0), latency), like["floor_s"])
        held = pending & (slower > NOTICED * latency)
        latency = np.where(pending, slower, latency)
        like["bound"] = np.where(held, BOUND_POWER, like["bound"])
        if pauses.any():
            notes[
                f"some operators draw more than {cap_w:g} W on {device.id} at a fifth of its highest clock: they are taken to"
                " pause in between, which a driver need not do"
            ] = None
    return like | _bounded(like, wanted, latency, clocks, cap_w)


def _slower(one: Mapping[str, Any], other: Mapping[str, Any]) -> Columns:
    """Row by row the columns of the one that takes longer."""
    return _chosen(one["latency_s"] >= other["latency_s"], one, other)


def _chosen(mine: np.ndarray, one: Mapping[str, Any], other: Mapping[str, Any]) -> Columns:
    """The columns of ``one`` where ``mine``, those of ``other`` elsewhere; a term that either lacks is NaN there."""
    absent = np.full(len(mine), np.nan)

    def each(a: Any, b: Any) -> Any:
        if isinstance(a, Mapping):
            return {n: each(a.get(n, absent), b.get(n, absent)) for n in dict.fromkeys([*a, *b])}
        # Details may have further columns.
        return np.where(mine.reshape(-1, *[1] * (np.ndim(a) - 1)), a, b)

    return {name: each(one[name], other[name]) for name in one}


def _above(d: DevicePower, demand: np.ndarray, idle: float, watts: float) -> np.ndarray:
    """Power above idle of a demand under a limit [W]."""
    result: np.ndarray = limited(d, demand, np.asarray(idle), watts) - idle
    return result


def _bounded(
    like: Mapping[str, Any], power_w: np.ndarray, latency_s: np.ndarray, clocks: LockedClocks, cap_w: float
) -> Columns:
    """Another latency and power, with intervals that are as wide as before, within floor, idle and the cap."""
    idle = float(DevicePower.of(clocks.device).idle_at(0.0))

    def end(name: str, of: np.ndarray, value: np.ndarray) -> np.ndarray:
        return value * np.divide(like[name], of, out=np.ones(len(of)), where=of > 0)

    watts, seconds = like["power_w"], like["latency_s"]
    low, high = (end(f"latency_{which}_s", seconds, latency_s) for which in ("low", "high"))
    energy = power_w * latency_s
    return {
        "power_w": power_w,
        "power_low_w": np.minimum(np.clip(end("power_low_w", watts, power_w), idle, cap_w), power_w),
        "power_high_w": np.maximum(np.clip(end("power_high_w", watts, power_w), idle, cap_w), power_w),
        "latency_s": latency_s,
        "latency_low_s": np.minimum(np.maximum(low, like["floor_s"]), latency_s),
        "latency_high_s": np.maximum(high, latency_s),
        "energy_low_j": np.minimum(end("energy_low_j", watts * seconds, energy), energy),
        "energy_high_j": np.maximum(end("energy_high_j", watts * seconds, energy), energy),
    }

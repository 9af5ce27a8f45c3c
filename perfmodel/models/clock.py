"""Locked clocks: what an operator takes at one, from what it takes where nothing holds the clock.

A device that nothing holds runs at its highest clock, or as far below as its power limit lets it. Locked at that clock or
above, it is the same device. Locked below, it is slower by what the analytical model says: by the ratio of its latencies,
locked and free. What was learned of the free run, ``c`` = ln(learned / analytical), fades as the clock falls:

    latency(f) = max(free latency, A(f) exp(w c))                           A: the analytical model's latency
    power(f)   = idle(f) + (free power - idle(s)) above(f) / above(s)       s: the clock at which the free run settles

The weight is ``w = f / s`` where kernels are faster than the physics says, and ``A(s) / A(f)`` where they are slower. With
either a lower clock is never faster (with ``q = A(f) / A(s)``, ``ln q - c (1 - 1/q)`` falls until ``q = c``, then rises; what
lies below the free latency is cut off), a locked clock is never faster than free, and the highest one changes nothing.
``above`` is what the physical model adds to the idle power, under the device's own limit, with the latency of that clock. A
library's choice of kernels does not look at the clock: an execution does what it does when free.

Of the weights that keep this order these had the smallest errors on EnergAIzer's networks at 510 to 1410 MHz: 15.2 % on
average, 15.8 with ``w = 1``. Trees that are read at the locked clock have 15.3 %, and keep no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.analytical import analyse
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Conditions
from perfmodel.models.power import Activity, DevicePower, clock_ratio_of, energy_terms, limited
from perfmodel.ops.table import Group

Columns = dict[str, Any]
"""Estimates of a group's rows by name: arrays of shape ``[rows]``, and mappings of them (``terms``, ``details``)."""


@dataclass(frozen=True)
class LockedClocks:
    """A group's rows at any locked clock.

    Attributes:
        group, device, constants, extras: as :func:`~perfmodel.models.analytical.analyse` takes them.
        cache: the state of the last-level cache.
        log_interval: ln offsets of the 90 % interval of the analytical model.
        bounds: what the analytical model says of the rows where nothing holds the clock.
        free: what is predicted of them there.
    """

    group: Group
    device: Device
    constants: Constants | None
    extras: Extras
    cache: str
    log_interval: tuple[float, float]
    bounds: Bounds
    free: Mapping[str, Any]

    @property
    def top_hz(self) -> float:
        """The highest clock."""
        return self._power.peak_clock_hz

    def at(self, clock_hz: float) -> Columns:
        """The columns of the estimates at a clock.

        Raises:
            InputError: the device has no such clock.
        """
        free, bounds = self.free, self._analyse(Conditions(self.cache, clock_hz))
        slowdown = np.maximum(_ratio_or_one(bounds.latency_s, self._free_s), 1.0)
        share = np.minimum(clock_ratio_of(self._power, clock_hz) / self._settled_ratio, 1.0)
        floor = np.maximum(bounds.floor_s, free["floor_s"])
        analytical = free["analytical_s"] * slowdown
        learned = np.log(_ratio_or_one(free["latency_s"], free["analytical_s"]))
        faded = free["latency_s"] * slowdown * np.exp((np.where(learned < 0, share, 1 / slowdown) - 1) * learned)
        # A clock at or above the one that the free run settles at is no other clock.
        latency = np.maximum(np.where(slowdown > 1, np.maximum(faded, free["latency_s"]), free["latency_s"]), floor)
        slower = latency > free["latency_s"]
        result = dict(free) | self._interval(latency, np.where(slower, share, 1.0), floor)
        result["latency_s"], result["floor_s"], result["analytical_s"] = latency, floor, np.maximum(analytical, floor)
        absent = np.full(len(self.group), np.nan)
        result["terms"] = {
            name: np.where(slower, bounds.terms.get(name, absent), free["terms"].get(name, absent))
            for name in dict.fromkeys([*free["terms"], *bounds.terms])
        }
        result["bound"] = np.where(slower, bounds.bound, free["bound"])
        result["source"] = _leans(free["source"], slower)
        return result | self._power_at(clock_hz, result)

    def _interval(self, latency_s: np.ndarray, share: np.ndarray, floor_s: np.ndarray) -> Columns:
        """The interval of the latency: from that of the free run to that of the analytical model, as the clock falls."""
        free = self.free
        low, high = (
            share * np.log(_ratio_or_one(free[name], free["latency_s"])) + (1 - share) * analytical
            for name, analytical in zip(("latency_low_s", "latency_high_s"), self.log_interval, strict=True)
        )
        least = np.maximum(free["latency_low_s"], floor_s)
        return {
            "latency_low_s": np.minimum(np.maximum(latency_s * np.exp(low), least), latency_s),
            "latency_high_s": np.maximum(latency_s * np.exp(high), latency_s),
        }

    def _power_at(self, clock_hz: float, locked: Mapping[str, Any]) -> Columns:
        """Power and energy at a clock; the interval of the power as wide as where nothing holds it, within idle and limit."""
        free, d, limit = self.free, self._power, self.device.tdp_w
        if limit is None or d.idle_w is None:
            return {}
        settled = self._settled_ratio
        ratio = np.minimum(clock_ratio_of(d, clock_hz), settled)
        latency, idle = locked["latency_s"], d.idle_at(ratio)
        kept = _ratio_or_one(self._above_w(self._dynamic_w(latency, ratio)), self._above_w(self._settled_w))
        power = idle + (free["power_w"] - d.idle_at(settled)) * np.minimum(kept, 1.0)
        low, high = (_ratio_or_one(free[name], free["power_w"]) for name in ("power_low_w", "power_high_w"))
        before = free["power_w"] * free["latency_s"]
        energy = power * latency
        # The energy is as much less certain as the latency is.
        cheap, dear = (
            _ratio_or_one(free[f"energy_{end}_j"], before)
            * _ratio_or_one(locked[f"latency_{end}_s"], latency)
            / _ratio_or_one(free[f"latency_{end}_s"], free["latency_s"])
            for end in ("low", "high")
        )
        return {
            "power_w": power,
            "power_low_w": np.minimum(np.maximum(power * low, idle), power),
            "power_high_w": np.maximum(np.minimum(power * high, limit), power),
            "energy_low_j": energy * np.minimum(cheap, 1.0),
            "energy_high_j": energy * np.maximum(dear, 1.0),
            "power_source": _leans(free["power_source"], power < free["power_w"]),
        }

    def _dynamic_w(self, latency_s: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """What the physical model adds to the idle power before any limit [W], at clocks over the highest."""
        terms = energy_terms(self._power, self._activity, latency_s, ratio)
        dynamic = np.asarray(sum(joules for name, joules in terms.items() if name != "idle"))
        return np.divide(dynamic, latency_s, out=np.zeros(len(latency_s)), where=latency_s > 0)

    def _above_w(self, dynamic_w: np.ndarray) -> np.ndarray:
        """The same under the device's own limit [W]. Where the clock settled, the row wants what the limit leaves, no more."""
        d, limit = self._power, self.device.tdp_w
        assert limit is not None
        idle = d.idle_at(self._settled_ratio)
        room = np.maximum(d.ceiling * limit - idle, 0.0)
        wanted = dynamic_w * np.minimum(_ratio_or_one(room, self._settled_w), 1.0)
        above: np.ndarray = limited(d, idle + wanted, idle, limit) - idle
        return above

    def _analyse(self, conditions: Conditions) -> Bounds:
        return analyse(self.group, self.device, constants=self.constants, conditions=conditions, extras=self.extras)

    @cached_property
    def _power(self) -> DevicePower:
        return DevicePower.of(self.device)

    @cached_property
    def _activity(self) -> Activity:
        return Activity.of(self.group, self.device, self.bounds, self.extras)

    @cached_property
    def _settled_ratio(self) -> np.ndarray:
        """The clocks over the highest at which the power limit lets the rows run when free."""
        locked = self._analyse(Conditions(self.cache, self.top_hz)).latency_s
        return np.minimum(_ratio_or_one(locked, self._free_s), 1.0)

    @cached_property
    def _settled_w(self) -> np.ndarray:
        return self._dynamic_w(self.free["latency_s"], self._settled_ratio)

    @cached_property
    def _free_s(self) -> np.ndarray:
        """The analytical model's latency at the highest clock that the power limit leaves.

        Data sheets rate matrix units at another clock than the rest (1,830 of 1,980 MHz on an H100); the chip does not stop
        there.
        """
        arithmetic = self.device.arithmetic(self.group.op.dtype).name
        if self.device.clock_hz(arithmetic) in (None, self.top_hz):
            return self.bounds.latency_s
        return self._analyse(Conditions(self.cache, self.top_hz, boosts=True)).latency_s


def _ratio_or_one(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The ratio; 1 where there is none."""
    result: np.ndarray = np.divide(above, below, out=np.ones(np.shape(below)), where=np.asarray(below) > 0)
    return result


def _leans(source: np.ndarray, elsewhere: np.ndarray) -> np.ndarray:
    """What was learned of rows where nothing holds the clock is leant on elsewhere."""
    return np.where(elsewhere & (source == "learned"), "blended", source)

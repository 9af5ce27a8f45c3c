"""Energy by cause, and power within idle and limit.

    E = idle·t + [leakage·v³ + issue·f·vᵉ]·t·occupancy + vᵉ·(arithmetic + elements + L2) + DRAM        v = V(f) / V_lowest

The demand E / t stands against the power limit: the power is the soft minimum of both, since under a limit that binds the
clock, the voltage with it, falls until the demand fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.models.machine import Conditions
from perfmodel.models.power.activity import Activity
from perfmodel.models.power.constants import PowerConstants, fit_file
from perfmodel.models.power.device import DevicePower
from perfmodel.ops.table import Group

ENERGY_TERMS = ("idle", "leakage", "issue", "arithmetic", "elements", "l2", "dram")
"""Causes of energy. ``issue`` is what a busy unit takes each clock whatever it computes; ``elements`` the loads, stores and
arithmetic outside products."""
FACTOR = 1.5
"""The interval of power of devices whose kind no label measured is a factor of this either way, within idle and limit."""


def clock_ratio_of(d: DevicePower, clock_hz: float | None) -> float:
    """A pinned clock over the highest; None is the highest."""
    return 1.0 if clock_hz is None else min(clock_hz / d.peak_clock_hz, 1.0)


def energy_terms(
    d: DevicePower, activity: Activity, latency_s: np.ndarray, clock_ratio: np.ndarray | float = 1.0
) -> dict[str, np.ndarray]:
    """Energy of one execution by cause, before any limit [J].

    Args:
        d: the device.
        activity: what each row does, shape ``[rows]``.
        latency_s: seconds of one execution.
        clock_ratio: the clock over the highest, a number or one a row.

    Returns:
        one array of shape ``[rows]`` for each of :data:`ENERGY_TERMS`; ``idle`` is NaN where the idle power is unknown.
    """
    v = d.relative_voltage(clock_ratio)
    dynamic = v**d.voltage_exponent
    busy_s = latency_s * activity.occupancy
    values = {
        "idle": d.idle_at(clock_ratio) * latency_s,
        "leakage": d.leakage_w * v**3 * busy_s,
        "issue": d.issue_j_per_clock * d.peak_clock_hz * clock_ratio * dynamic * busy_s,
        "arithmetic": d.arithmetic_j_per_flop[activity.arithmetic] * dynamic * activity.product_flops,
        "elements": dynamic * (d.element_j * activity.elements + d.vector_j_per_flop * activity.vector_flops),
        "l2": d.l2_j_per_byte * dynamic * activity.l2_bytes,
        "dram": d.dram_j_per_byte * activity.dram_bytes,
    }
    return {name: np.broadcast_to(values[name], latency_s.shape) for name in ENERGY_TERMS}


def limited(d: DevicePower, demand_w: np.ndarray, idle_w: np.ndarray, limit_w: float) -> np.ndarray:
    """Power of a demand under a limit: the soft minimum of both above idle [W].

    Args:
        d: the device.
        demand_w: power without a limit, shape ``[rows]``, at least ``idle_w``.
        idle_w: idle power at the clock.
        limit_w: the limit in force.

    Returns:
        watts between idle and limit, rising with the demand and with the limit.
    """
    room = np.maximum(d.ceiling * limit_w - idle_w, 0.0)
    wanted = np.maximum(demand_w - idle_w, 0.0)
    smaller, larger = np.minimum(wanted, room), np.maximum(wanted, room)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(larger > 0, smaller / larger, 0.0)
    result: np.ndarray = np.clip(idle_w + smaller * (1 + ratio**d.sharpness) ** (-1 / d.sharpness), idle_w, limit_w)
    return result


@dataclass(frozen=True)
class Estimated:
    """Power and energy of rows within idle and limit; arrays of shape ``[rows]``.

    Attributes:
        idle_w: idle power at the clock, a number.
        demand_w: power without a limit.
        power_w: power under the limit.
        follows: how much the logarithm of the power grows with that of the demand: 1 far below the limit, 0 at it.
        static: share of the demand that is there each second, whatever is computed.
    """

    idle_w: float
    demand_w: np.ndarray
    power_w: np.ndarray
    follows: np.ndarray
    static: np.ndarray

    @classmethod
    def of(
        cls, d: DevicePower, terms: Mapping[str, np.ndarray], latency_s: np.ndarray, ratio: float, limit_w: float
    ) -> Self:
        """From the energy by cause (:func:`energy_terms`)."""
        idle = float(d.idle_at(ratio))
        with np.errstate(divide="ignore", invalid="ignore"):
            per_second = {name: np.where(latency_s > 0, joules / latency_s, 0.0) for name, joules in terms.items()}
        dynamic = np.asarray(sum(watts for name, watts in per_second.items() if name != "idle"))
        demand = idle + dynamic
        power = limited(d, demand, np.asarray(idle), limit_w)
        room = max(d.ceiling * limit_w - idle, 1e-9)
        slope = 1 / (1 + np.minimum(dynamic / room, 1e6) ** d.sharpness)
        follows = np.where(dynamic > 0, (power - idle) / power * slope * demand / np.maximum(dynamic, 1e-30), 0.0)
        static = (idle + per_second["leakage"] + per_second["issue"]) / demand
        return cls(idle, demand, power, np.clip(follows, 0.0, 1.0), static)


def log_interval(device: Device) -> tuple[float, float]:
    """ln(measured / predicted) of power with the latency given: between which nine tenths of what was measured lie.

    CPUs and TPUs have no labels; their interval is a factor of :data:`FACTOR` either way.
    """
    known = fit_file()
    if device.id in known.devices:
        return known.intervals["seen"]
    assumed = float(np.log(FACTOR))
    return known.intervals["unseen"] if device.kind == "gpu" else (-assumed, assumed)


def of_group(
    group: Group, device: Device, bounds: Bounds, latency_s: np.ndarray, extras: Extras, conditions: Conditions,
    constants: PowerConstants | None = None, *, latency_low_s: np.ndarray | None = None,
    latency_high_s: np.ndarray | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Power and energy of a group's rows under the device's own limit.

    Their intervals join what the constants may be off by with what the latency may: energy above idle hardly depends on how
    long the same work takes, so that a longer latency is less power, and an energy higher by the static share alone. At the
    limit the power does not depend on the latency, and the energy is as uncertain as that.

    Args:
        group: like descriptors.
        device: the machine.
        bounds: what the analytical model says of them there.
        latency_s: seconds of one execution, measured or predicted.
        extras: traffic and arithmetic of fused epilogues.
        conditions: their clock counts.
        constants: fitted ones; None means the shipped ones.
        latency_low_s, latency_high_s: the interval of the latency; None means that it is certain.

    Returns:
        ``power_w``, ``power_low_w``, ``power_high_w``, ``energy_low_j``, ``energy_high_j`` (NaN where the TDP or the idle power
        is unknown); ``demand_w``, the power without a limit; ``dynamic_j``, energy above idle without a limit.
    """
    d = DevicePower.of(device, constants)
    ratio = clock_ratio_of(d, conditions.clock_hz)
    terms = energy_terms(d, Activity.of(group, device, bounds, extras), latency_s, ratio)
    dynamic_j = np.asarray(sum(joules for name, joules in terms.items() if name != "idle"))
    if d.idle_w is None or d.tdp_w is None:
        unknown = np.full(len(group), np.nan)
        names = ("power_w", "power_low_w", "power_high_w", "energy_low_j", "energy_high_j", "demand_w")
        return dict.fromkeys(names, unknown) | {"dynamic_j": dynamic_j}
    e = Estimated.of(d, terms, latency_s, ratio, d.tdp_w)
    ends = intervals(
        e, log_interval(device), latency_s, latency_s if latency_low_s is None else latency_low_s,
        latency_s if latency_high_s is None else latency_high_s, d.tdp_w,
    )  # fmt: skip
    return {"power_w": e.power_w, "demand_w": e.demand_w, "dynamic_j": dynamic_j} | ends


def intervals(
    e: Estimated, off: tuple[float, float], latency_s: np.ndarray, latency_low_s: np.ndarray, latency_high_s: np.ndarray,
    limit_w: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The ends of the intervals of power and energy (:func:`of_group`).

    Args:
        e: the estimate.
        off: ln offsets of the power with the latency given.
        latency_s, latency_low_s, latency_high_s: the latency and its interval.
        limit_w: the limit in force.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shorter, longer = (
            np.where((latency_s > 0) & (end > 0), np.abs(np.log(end / latency_s)), 0.0)
            for end in (latency_low_s, latency_high_s)
        )
    of_power = e.follows * (1 - e.static)  # d ln P / d ln t, negative
    of_energy = 1 - of_power
    power_low = e.power_w * np.exp(-np.hypot(off[0], of_power * longer))
    power_high = e.power_w * np.exp(np.hypot(off[1], of_power * shorter))
    energy = e.power_w * latency_s
    low = energy * np.exp(-np.hypot(off[0], of_energy * shorter))
    high = energy * np.exp(np.hypot(off[1], of_energy * longer))
    return {
        "power_low_w": np.clip(power_low, e.idle_w, e.power_w), "power_high_w": np.clip(power_high, e.power_w, limit_w),
        "energy_low_j": np.maximum(low, np.minimum(e.idle_w * latency_low_s, energy)),
        "energy_high_j": np.minimum(high, np.maximum(limit_w * latency_high_s, energy)),
    }  # fmt: skip


def shares(terms: Mapping[str, np.ndarray], energy_j: np.ndarray) -> dict[str, np.ndarray]:
    """Energy by cause under a limit: the causes above idle shrink until all add up to ``energy_j``, shape ``[rows]``."""
    dynamic = sum(joules for name, joules in terms.items() if name != "idle")
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(dynamic > 0, (energy_j - terms["idle"]) / dynamic, 0.0)
    return {name: joules if name == "idle" else joules * factor for name, joules in terms.items()}

"""Energy by cause, and power within idle and limit.

    E = idle·t + [leakage·v³ + issue·f·vᵉ]·t·occupancy + vᵉ·(arithmetic + elements + L2) + DRAM        v = V(f) / V_lowest

The demand E / t stands against the power limit: the power is the soft minimum of both, since under a limit that binds the
clock, the voltage with it, falls until the demand fits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.models.machine import Conditions
from perfmodel.models.power.activity import Activity
from perfmodel.models.power.constants import PowerConstants
from perfmodel.models.power.device import DevicePower
from perfmodel.ops.table import Group

ENERGY_TERMS = ("idle", "leakage", "issue", "arithmetic", "elements", "l2", "dram")
"""Causes of energy. ``issue`` is what a busy unit takes each clock whatever it computes; ``elements`` the loads, stores and
arithmetic outside products."""
FACTOR = 1.5
"""The interval of power is a factor of this either way, within idle and limit, where no label says better."""


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


def of_group(
    group: Group, device: Device, bounds: Bounds, latency_s: np.ndarray, extras: Extras, conditions: Conditions,
    constants: PowerConstants | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Power of a group's rows under the device's own limit.

    Args:
        group: like descriptors.
        device: the machine.
        bounds: what the analytical model says of them there.
        latency_s: seconds of one execution, measured or predicted.
        extras: traffic and arithmetic of fused epilogues.
        conditions: their clock counts.
        constants: fitted ones; None means the built-in ones.

    Returns:
        ``power_w``, ``power_low_w``, ``power_high_w`` (NaN where the TDP or the idle power is unknown); ``demand_w``, the power
        without a limit; ``dynamic_j``, energy above idle without a limit.
    """
    d = DevicePower.of(device, constants)
    ratio = clock_ratio_of(d, conditions.clock_hz)
    terms = energy_terms(d, Activity.of(group, device, bounds, extras), latency_s, ratio)
    dynamic_j = np.asarray(sum(joules for name, joules in terms.items() if name != "idle"))
    if d.idle_w is None or d.tdp_w is None:
        unknown = np.full(len(group), np.nan)
        return dict.fromkeys(("power_w", "power_low_w", "power_high_w", "demand_w"), unknown) | {"dynamic_j": dynamic_j}
    idle = d.idle_at(ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        demand = idle + np.where(latency_s > 0, dynamic_j / latency_s, 0.0)
    value = limited(d, demand, idle, d.tdp_w)
    low, high = (np.clip(value * factor, idle, d.tdp_w) for factor in (1 / FACTOR, FACTOR))
    return {"power_w": value, "power_low_w": low, "power_high_w": high, "demand_w": demand, "dynamic_j": dynamic_j}


def shares(terms: Mapping[str, np.ndarray], energy_j: np.ndarray) -> dict[str, np.ndarray]:
    """Energy by cause under a limit: the causes above idle shrink until all add up to ``energy_j``, shape ``[rows]``."""
    dynamic = sum(joules for name, joules in terms.items() if name != "idle")
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(dynamic > 0, (energy_j - terms["idle"]) / dynamic, 0.0)
    return {name: joules if name == "idle" else joules * factor for name, joules in terms.items()}

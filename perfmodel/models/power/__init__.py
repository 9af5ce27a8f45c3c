"""Power and energy: a physical model of what an execution takes, by cause, within idle power and power limit.

- :mod:`~perfmodel.models.power.constants`: energies per FLOP, value and byte, leakage, idle power: fitted, few, named;
- :mod:`~perfmodel.models.power.voltage`: supply voltage against clock;
- :mod:`~perfmodel.models.power.device`: those of one device, from its file or regressed from its data sheet;
- :mod:`~perfmodel.models.power.activity`: what an execution does;
- :mod:`~perfmodel.models.power.energy`: energy by cause, and power under a limit;
- :mod:`~perfmodel.models.power.load`: whole runs;
- :mod:`~perfmodel.models.power.fit`: the fit of the constants to measured runs (``fitted.toml`` holds what came of it);
- :mod:`~perfmodel.models.power.table`: a device's energy per operation.

The formulas, their sources and how far they are from measured power stand in ``docs/power.md``.
"""

from __future__ import annotations

from perfmodel.hardware.device import Device
from perfmodel.models.power.activity import Activity
from perfmodel.models.power.constants import FALLBACK, MEMORIES, PowerConstants, fitted
from perfmodel.models.power.device import DevicePower, memory_of
from perfmodel.models.power.energy import ENERGY_TERMS, FACTOR, clock_ratio_of, energy_terms, limited, of_group, shares
from perfmodel.models.power.load import Load
from perfmodel.models.power.table import OperationEnergy, energy_per_operation
from perfmodel.models.power.voltage import VoltageCurve


def idle_power_w(device: Device) -> float | None:
    """Idle power of a device at its lowest clock [W]; None where neither it nor the TDP is known."""
    d = DevicePower.of(device)
    return None if d.idle_w is None else float(d.idle_at(0.0))


def running_idle_w(device: Device, clock_hz: float | None = None) -> float | None:
    """Idle power of a device that keeps a clock, its highest unless one is given [W]; None where it is unknown."""
    d = DevicePower.of(device)
    return None if d.idle_w is None else float(d.idle_at(clock_ratio_of(d, clock_hz)))


def limit_w(device: Device, power_limit_w: float | None) -> float | None:
    """The limit in force: the user's, but never above the device's own."""
    limits = [w for w in (device.tdp_w, power_limit_w) if w is not None]
    return min(limits) if limits else None


__all__ = [
    "ENERGY_TERMS", "FACTOR", "FALLBACK", "MEMORIES", "Activity", "DevicePower", "Load", "OperationEnergy", "PowerConstants",
    "VoltageCurve", "clock_ratio_of", "energy_per_operation", "energy_terms", "fitted", "idle_power_w", "limit_w", "limited",
    "memory_of", "of_group", "running_idle_w", "shares",
]  # fmt: skip

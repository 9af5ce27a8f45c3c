"""The table of a device: energy per FLOP by arithmetic, per value, per byte by level of memory, and idle power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.hardware import Device, load_device
from perfmodel.hardware.published_energy import SRAM, dram_j_per_byte, sram_j_per_byte
from perfmodel.models import cap
from perfmodel.models.circuits import WhatIf, changed_flop_j, circuits_j
from perfmodel.models.power import DevicePower, OperationEnergy, PowerConstants, clock_ratio_of, energy_per_operation
from perfmodel.models.power.constants import fit_file
from perfmodel.models.power.fit import SPREADS
from perfmodel.models.power.table import known
from perfmodel.predict.result import Estimate

FITTED, DEVICE_FILE, REGRESSED, UNKNOWN = "fitted", "device file", "regressed", "unknown"
FACTORS = {FITTED: 1.4, DEVICE_FILE: 1.2, REGRESSED: 2.0}
"""The interval is a factor of this either way, by what a figure rests on. Of a fitted one it is how far its prior let it move.
What was fitted to H200, B200 and GB200 is within 1.3 of what would be regressed for FLOPs and values, 1.8 for DRAM. Idle power
of a device file differs between samples and with temperature."""
_L2_FACTORS = {FITTED: 2.0, REGRESSED: 3.0}
"""The same of bytes from L2, which runs tell least: up to 2.6 apart."""
_LOWEST_CLOCK, _CLOCKS = 0.2, 401
"""Clocks that are tried under the power limit, over the highest."""
FLOP, L2_BYTE, DRAM_BYTE = "flop", "l2_byte", "dram_byte"
_CONSTANT = {
    "vector_flop": "vector_j_per_flop", "element": "element_j", L2_BYTE: "l2_j_per_byte", DRAM_BYTE: "dram_j_per_byte",
}  # fmt: skip
_OWN = "measured.power."
"""Before a power constant's name in the sources of a device file that brings it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What documents say of an operation, for a chip of this process.

    Attributes:
        what: what was published.
        low_j, high_j: joules an operation or a byte; equal where documents have one figure.
    """

    what: str
    low_j: float
    high_j: float

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {"what": self.what, "low_j": self.low_j, "high_j": self.high_j}


@dataclass(frozen=True, slots=True)
class Row:
    """The energy of one operation.

    Attributes:
        operation: as in :class:`perfmodel.models.power.OperationEnergy`.
        dtype: the arithmetic of a FLOP, the kind of memory of a DRAM byte; else None.
        energy_j: what one more takes [J]; None where it is unknown.
        whole_chip_j: of a FLOP, with its share of what the chip takes whatever it does, where nothing but such FLOPs keeps all
            units busy at the highest clock that the power limit allows [J]; None for others, and where it is unknown.
        published: what documents say of it; None where they say nothing.
        basis: ``"fitted"`` (to measured power of this device), ``"device file"``, ``"regressed"`` or ``"unknown"``.
        source: the same in words.
        what_if_j: of a FLOP with other circuits [J]; None without a what-if, and where no document says anything.
    """

    operation: str
    dtype: str | None
    energy_j: Estimate | None
    whole_chip_j: float | None
    published: Reference | None
    basis: str
    source: str
    what_if_j: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "operation": self.operation, "dtype": self.dtype,
            "energy_j": None if self.energy_j is None else self.energy_j.to_dict(), "whole_chip_j": self.whole_chip_j,
            "published": None if self.published is None else self.published.to_dict(),
            "basis": self.basis, "source": self.source,
            "what_if_j": None if self.what_if_j is None else self.what_if_j.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """What operations take on a device.

    Attributes:
        device: its id.
        process_nm: None where the device file does not say; circuits are then unknown.
        memory: the kind of main memory.
        clock_mhz: the clock whose voltage the figures are for; None: the highest.
        power_limit_w: the power limit that the whole chip keeps; None: the device's own.
        idle_power_w: at the lowest clock; None where it is unknown.
        idle_basis, idle_source: what it rests on.
        rows: FLOPs by arithmetic, then values and bytes.
    """

    device: str
    process_nm: float | None
    memory: str
    clock_mhz: float | None
    idle_power_w: Estimate | None
    idle_basis: str
    idle_source: str
    rows: tuple[Row, ...]
    power_limit_w: float | None = None

    def row(self, operation: str, dtype: str | None = None) -> Row | None:
        """The row of an operation, of any dtype unless one is given; None where there is none."""
        found = (r for r in self.rows if r.operation == operation and dtype in (None, r.dtype))
        return next(found, None)

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        idle = None if self.idle_power_w is None else self.idle_power_w.to_dict()
        return {
            "device": self.device, "process_nm": self.process_nm, "memory": self.memory, "clock_mhz": self.clock_mhz,
            "idle_power_w": idle, "idle_basis": self.idle_basis, "idle_source": self.idle_source,
            "operations": [row.to_dict() for row in self.rows], "power_limit_w": self.power_limit_w,
        }  # fmt: skip


def device_table(
    device: Device | str,
    *,
    clock_mhz: float | None = None,
    power_limit_w: float | None = None,
    what_if: WhatIf | None = None,
    constants: PowerConstants | None = None,
) -> DeviceTable:
    """The table of a device.

    Args:
        device: a record, an id, or the path of a device TOML.
        clock_mhz: the clock whose voltage the energies are for; None is the highest.
        power_limit_w: a limit that the whole chip keeps, below the device's own.
        what_if: other circuits.
        constants: those of a predictor; None means the built-in ones.

    Raises:
        DeviceError: an unknown device.
        InputError: the clock is no clock of the device; the limit is not above its idle power.
    """
    record = load_device(device)
    if clock_mhz is not None:
        _check_clock(record, clock_mhz)
    limit = power_limit_w if cap.binds(record, power_limit_w) else None
    d = DevicePower.of(record, constants)
    clock_hz = None if clock_mhz is None else clock_mhz * 1e6
    rows = tuple(
        _row(record, row, d, clock_hz, limit, what_if)
        for row in energy_per_operation(record, clock_hz=clock_hz, constants=constants)
    )
    basis, source = _idle_basis(record, d)
    idle = None
    if d.idle_w is not None:
        factor = FACTORS[basis]
        idle = Estimate(d.idle_w, d.idle_w / factor, _at_most(d.idle_w * factor, d.tdp_w))
    return DeviceTable(record.id, record.process_nm, d.memory, clock_mhz, idle, basis, source, rows, limit)


def flop_j(device: Device, arithmetic: str, clock_hz: float | None, constants: PowerConstants | None) -> float:
    """Energy of a FLOP of an arithmetic at a clock's voltage [J]."""
    d = DevicePower.of(device, constants)
    return d.arithmetic_j_per_flop[arithmetic] * float(
        d.relative_voltage(clock_ratio_of(d, clock_hz)) ** d.voltage_exponent
    )


def _check_clock(device: Device, clock_mhz: float) -> None:
    from perfmodel.models.machine import Conditions, Machine

    Machine.of(device, "fp32", Conditions(clock_hz=clock_mhz * 1e6))


def _row(
    device: Device,
    row: OperationEnergy,
    d: DevicePower,
    clock_hz: float | None,
    limit_w: float | None,
    what_if: WhatIf | None,
) -> Row:
    reference = _reference(device.process_nm, row)
    if row.energy_j is None:
        return Row(row.operation, row.dtype, None, None, reference, UNKNOWN, row.source)
    basis, source = _basis(device, row)
    factor = (_L2_FACTORS if row.operation == L2_BYTE else FACTORS)[basis]
    energy = Estimate(row.energy_j, row.energy_j / factor, row.energy_j * factor)
    changed = None
    if what_if and row.operation == FLOP and row.dtype is not None and device.process_nm is not None:
        found = changed_flop_j(row.energy_j, row.dtype, device.process_nm, what_if)
        if found is not None:
            changed = Estimate(found.value, found.low / factor, found.high * factor)
    whole = None
    if row.operation == FLOP and row.dtype is not None:
        whole = _whole_chip_j(device, row.dtype, d, clock_hz, limit_w)
    return Row(row.operation, row.dtype, energy, whole, reference, basis, source, changed)


def _whole_chip_j(
    device: Device, arithmetic: str, d: DevicePower, clock_hz: float | None, limit_w: float | None
) -> float | None:
    if d.idle_w is None:
        return None
    ratio = np.linspace(_LOWEST_CLOCK, 1.0, _CLOCKS) * clock_ratio_of(d, clock_hz)
    voltage = d.relative_voltage(ratio)
    dynamic = voltage**d.voltage_exponent
    quoted_at = device.clock_hz(arithmetic) or d.peak_clock_hz
    rate = device.peak_flops[arithmetic] * ratio * d.peak_clock_hz / quoted_at
    power = d.idle_at(ratio) + d.leakage_w * voltage**3
    power = power + dynamic * (
        d.issue_j_per_clock * d.peak_clock_hz * ratio + d.arithmetic_j_per_flop[arithmetic] * rate
    )
    limit = np.inf if d.tdp_w is None else d.ceiling * (limit_w or d.tdp_w)
    highest = max(int(np.searchsorted(power, limit)) - 1, 0)
    return known(float(min(power[highest], limit) / rate[highest]))


def _reference(process_nm: float | None, row: OperationEnergy) -> Reference | None:
    if row.operation == DRAM_BYTE:
        found = dram_j_per_byte(row.dtype or "")
        return None if found is None else Reference(*found)
    if process_nm is None:
        return None
    if row.operation == L2_BYTE:
        joules = sram_j_per_byte(process_nm)
        return Reference(f"{SRAM}, scaled to {process_nm:g} nm", joules, joules)
    circuit = circuits_j(row.dtype, process_nm) if row.operation == FLOP and row.dtype is not None else None
    if circuit is None:
        return None
    return Reference(f"half of a bare multiplier and accumulator, scaled to {process_nm:g} nm", circuit, circuit)


def _basis(device: Device, row: OperationEnergy) -> tuple[str, str]:
    """What a figure rests on, by its kind and in words."""
    name = f"{row.dtype}_j_per_flop" if row.operation == FLOP else _CONSTANT[row.operation]
    own = device.sources.get(f"{_OWN}{name}")
    if own is not None:
        return FITTED, own
    of_runs = {FLOP: f"flop.{row.dtype}", DRAM_BYTE: f"dram.{row.dtype}"}.get(row.operation, name)
    if device.id in fit_file().devices and of_runs in SPREADS:
        return FITTED, "fitted to the energy of whole networks on this device (docs/power.md)"
    if row.operation == DRAM_BYTE:
        return REGRESSED, f"regressed from the kind of memory, {row.dtype}"
    return REGRESSED, row.source


def _idle_basis(device: Device, d: DevicePower) -> tuple[str, str]:
    own = device.sources.get(f"{_OWN}idle_w")
    if own is not None:
        return FITTED, own
    if d.idle_w is None:
        return UNKNOWN, d.sources["idle_w"]
    if device.idle_power_w is not None:
        return DEVICE_FILE, device.sources.get("idle_power_w", DEVICE_FILE)
    return REGRESSED, f"regressed from TDP and the kind of memory, {d.memory}"


def _at_most(value: float, limit: float | None) -> float:
    return value if limit is None else min(value, limit)

"""Energy per FLOP and per byte of a device, as the power model has them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfmodel.hardware.device import Device
from perfmodel.models.power.constants import PowerConstants
from perfmodel.models.power.device import DevicePower
from perfmodel.models.power.energy import clock_ratio_of


@dataclass(frozen=True)
class OperationEnergy:
    """The energy of one operation.

    Attributes:
        operation: ``"flop"``, ``"vector_flop"``, ``"element"``, ``"l2_byte"`` or ``"dram_byte"``.
        dtype: the arithmetic of a ``"flop"``, the kind of memory of a ``"dram_byte"``; None for others.
        energy_j: marginal energy, at the voltage of the clock [J]; None where it is unknown.
        with_issue_j: of a ``"flop"``, with its share of what busy units and idle power take at the datasheet's peak [J];
            None for others, and where that or the idle power is unknown.
        source: where the figure comes from.
    """

    operation: str
    dtype: str | None
    energy_j: float | None
    with_issue_j: float | None
    source: str


def energy_per_operation(
    device: Device, *, clock_hz: float | None = None, constants: PowerConstants | None = None
) -> list[OperationEnergy]:
    """The table of a device: a row for each arithmetic that it quotes a peak for, then values and bytes.

    Args:
        device: the machine.
        clock_hz: a clock; None is the highest.
        constants: fitted ones; None means the built-in ones.
    """
    d = DevicePower.of(device, constants)
    ratio = clock_ratio_of(d, clock_hz)
    v = float(d.relative_voltage(ratio))
    dynamic = v**d.voltage_exponent
    rest_w = float(d.idle_at(ratio)) + d.leakage_w * v**3 + d.issue_j_per_clock * d.peak_clock_hz * ratio * dynamic
    rows = []
    for name, peak in device.peak_flops.items():
        clock = device.clock_hz(name) or d.peak_clock_hz
        joules = d.arithmetic_j_per_flop[name] * dynamic
        whole = joules + rest_w / (peak * d.peak_clock_hz * ratio / clock)
        rows.append(OperationEnergy("flop", name, known(joules), known(whole), d.sources["arithmetic_j_per_flop"]))
    for operation, joules, source in (
        ("vector_flop", d.vector_j_per_flop * dynamic, "vector_j_per_flop"),
        ("element", d.element_j * dynamic, "element_j"),
        ("l2_byte", d.l2_j_per_byte * dynamic, "l2_j_per_byte"),
    ):
        rows.append(OperationEnergy(operation, None, known(joules), None, d.sources[source]))
    rows.append(OperationEnergy("dram_byte", d.memory, d.dram_j_per_byte, None, d.sources["dram_j_per_byte"]))
    return rows


def known(joules: float) -> float | None:
    """A figure of the power model; None where it is NaN, which stands for an unknown one there."""
    return None if math.isnan(joules) else joules

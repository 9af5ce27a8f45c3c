"""A device reduced to what its power takes: constants of its own file, else what follows from its data sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.machine import ASSUMED_CLOCK_HZ, Machine
from perfmodel.models.power.constants import FALLBACK, REFERENCE_NM, PowerConstants
from perfmodel.models.power.voltage import VoltageCurve

_ASSUMED_NM = {"gpu": 5.0, "cpu": 5.0, "tpu": 5.0}
_NARROWEST_HBM_BITS = 1024
"""Memory buses from this width on are HBM's (of GPUs and TPUs)."""
_BEYOND_GDDR_BYTES_PER_S = 2e12
"""A board that quotes no bus is taken for one with HBM from this bandwidth on."""


@dataclass(frozen=True)
class DevicePower:
    """The power constants of one device, at its lowest running voltage.

    Attributes:
        idle_w: nothing runs, at the lowest clock; None where neither it nor the TDP is known.
        tdp_w: the power limit as delivered; None where it is unknown.
        idle_clock_rise: what idle power gains up to the highest clock, over ``idle_w``.
        units: SMs, compute units or cores.
        peak_clock_hz: the highest clock.
        arithmetic_j_per_flop: by arithmetic.
        vector_j_per_flop, element_j, l2_j_per_byte, dram_j_per_byte: energies [J].
        issue_j_per_clock: of the whole chip, all units busy.
        leakage_w: of the whole chip, all units awake.
        voltage, voltage_exponent, ceiling, sharpness: as in :class:`PowerConstants`.
        memory: the kind of main memory (:data:`perfmodel.models.power.constants.MEMORIES`).
        sources: where each number comes from, by the names above.
    """

    idle_w: float | None
    tdp_w: float | None
    idle_clock_rise: float
    units: float
    peak_clock_hz: float
    arithmetic_j_per_flop: Mapping[str, float]
    vector_j_per_flop: float
    element_j: float
    l2_j_per_byte: float
    dram_j_per_byte: float
    issue_j_per_clock: float
    leakage_w: float
    voltage: VoltageCurve
    voltage_exponent: float
    ceiling: float
    sharpness: float
    memory: str
    sources: Mapping[str, str]

    @classmethod
    def of(cls, device: Device, constants: PowerConstants | None = None) -> DevicePower:
        """The power constants of a device.

        Args:
            device: the machine.
            constants: fitted ones; None means the built-in ones.
        """
        c = constants or FALLBACK
        machine = Machine.of(device, "fp32")
        nm = device.process_nm or _ASSUMED_NM[device.kind]
        scale = (nm / REFERENCE_NM) ** c.process_exponent
        memory = memory_of(device)
        arithmetic = {name: scale * joules for name, joules in c.arithmetic_j_per_flop.items()}
        if not device.on_matrix_units("fp32"):
            arithmetic["fp32"] = scale * c.vector_j_per_flop
        if not device.has_matrix_units:
            # Values packed in the lanes of the ordinary units: an instruction costs what an fp32 one does.
            for name, peak in device.peak_flops.items():
                arithmetic[name] = scale * c.vector_j_per_flop * min(device.vector_flops / peak, 4.0)
        how = f"regressed: {nm:g} nm, {memory}"
        sources = dict.fromkeys(
            ("arithmetic_j_per_flop", "vector_j_per_flop", "element_j", "l2_j_per_byte", "dram_j_per_byte",
             "issue_j_per_clock", "leakage_w"), how
        )  # fmt: skip
        sources["idle_w"] = device.sources.get("idle_power_w", f"regressed: TDP, {memory}")
        sources["tdp_w"] = device.sources.get("tdp_w", "unknown")
        return cls(
            idle_w=_idle_w(device, memory, c),
            tdp_w=device.tdp_w,
            idle_clock_rise=_idle_clock_rise(device, c),
            units=machine.units,
            peak_clock_hz=max([device.peak_clock_hz or ASSUMED_CLOCK_HZ, *device.arithmetic_clock_hz.values()]),
            arithmetic_j_per_flop=arithmetic,
            vector_j_per_flop=scale * c.vector_j_per_flop,
            element_j=scale * c.element_j,
            l2_j_per_byte=scale * c.l2_j_per_byte,
            dram_j_per_byte=c.dram_j_per_byte[memory],
            issue_j_per_clock=scale * c.issue_j_per_clock * machine.units,
            leakage_w=c.leakage_w_per_unit * machine.units,
            voltage=c.voltage, voltage_exponent=c.voltage_exponent, ceiling=c.ceiling, sharpness=c.sharpness,
            memory=memory, sources=sources,
        )  # fmt: skip

    def relative_voltage(self, clock_ratio: np.ndarray | float) -> np.ndarray:
        """Voltage over the lowest one, at a clock over the highest."""
        return self.voltage.relative(clock_ratio)

    def idle_at(self, clock_ratio: np.ndarray | float) -> np.ndarray:
        """Idle power at a clock over the highest [W], at most the TDP; NaN where it is unknown.

        It follows the voltage: from 44 to 67 W on an A100 PCIe (EnergAIzer's artefact, config/dvfs/yz8/idle_power.json).
        """
        if self.idle_w is None:
            return np.full(np.shape(clock_ratio), np.nan)
        top = float(self.voltage.relative(1.0)) ** 3 - 1
        above = (self.voltage.relative(clock_ratio) ** 3 - 1) / top
        idle: np.ndarray = self.idle_w * (1 + self.idle_clock_rise * above)
        return idle if self.tdp_w is None else np.minimum(idle, self.tdp_w)


def memory_of(device: Device) -> str:
    """The kind of main memory, from its bus and the rate of its pins."""
    rate, bits = device.memory_rate_bits_per_s_per_pin, device.memory_bus_bits
    if device.kind == "cpu":
        return "lpddr" if rate and rate > 7e9 and (bits or 0) <= 256 else "ddr4" if rate and rate <= 3.2e9 else "ddr5"
    wide = (
        bits >= _NARROWEST_HBM_BITS
        if bits is not None
        else device.memory_bandwidth_bytes_per_s > _BEYOND_GDDR_BYTES_PER_S
    )
    if wide or device.kind == "tpu":
        return "hbm3" if rate is None or rate > 3.7e9 else "hbm2e" if rate > 2.5e9 else "hbm2"
    if rate is not None and bits is not None and bits <= 256 and rate < 7e9:
        return "lpddr"
    return "gddr6" if rate is None else "gddr5" if rate <= 11.5e9 else "gddr6" if rate <= 24e9 else "gddr7"


def _idle_w(device: Device, memory: str, c: PowerConstants) -> float | None:
    if device.idle_power_w is not None:
        return device.idle_power_w
    if device.tdp_w is None:
        return None
    return device.tdp_w * (c.idle_share_hbm if memory.startswith("hbm") else c.idle_share_other)


def _idle_clock_rise(device: Device, c: PowerConstants) -> float:
    at_peak = device.measured.get("idle_power_at_peak_clock_w")
    if at_peak is None or device.idle_power_w is None:
        return c.idle_clock_rise
    return max(0.0, at_peak / device.idle_power_w - 1)

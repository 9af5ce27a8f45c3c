"""A device reduced to what its power takes: constants of its own file, else what follows from its data sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from perfmodel.errors import DeviceError
from perfmodel.hardware.device import Device
from perfmodel.models.machine import ASSUMED_CLOCK_HZ, Machine
from perfmodel.models.power.constants import REFERENCE_NM, PowerConstants, fitted
from perfmodel.models.power.voltage import VoltageCurve

_ASSUMED_NM = 5.0
_NARROWEST_HBM_BITS = 1024
"""Memory buses from this width on are HBM's (of GPUs and TPUs)."""
_BEYOND_GDDR_BYTES_PER_S = 2e12
"""A board that quotes no bus is taken for one with HBM from this bandwidth on."""
_SMALLEST_WITH_GDDR5 = 12.0
"""Slow pins on a narrow bus are LPDDR's on chips of a finer process than this, GDDR5's on others [nm]."""
_MOST_PACKED = 4.0
"""Values that ordinary units multiply in one 32-bit lane at most."""
_ISSUE_SHARE = 0.4
"""Share of a busy core's power that is there whatever it computes: fetch, decode, caches, clock. Assumed."""
_SEQUENTIAL_UNITS = ("cpu", "tpu")
UNKNOWN = "unknown"
WITHOUT_TDP = f"{UNKNOWN}: of a CPU or a TPU it follows from the TDP, which the device file does not have"
"""The source of what nothing is known of."""


@dataclass(frozen=True)
class DevicePower:
    """The power constants of one device, at its lowest running voltage.

    A CPU's and a TPU's energies follow from the TDP. Without one all but that of a byte of memory are NaN, unknown: what was
    fitted to GPUs says nothing of such chips.

    Attributes:
        idle_w: nothing runs, at the lowest clock; None where neither it nor the TDP is known.
        tdp_w: the power limit as delivered; None where it is unknown.
        idle_linear_rise: what idle power gains up to the top clock by the clock alone, over ``idle_w``.
        idle_clock_rise: what it gains up to the top clock in all, over ``idle_w``.
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
    idle_linear_rise: float
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
            constants: fitted ones; None means the shipped ones.
        """
        return _of(device, constants) if constants is not None else _shipped(device)

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
        linear = min(self.idle_linear_rise, self.idle_clock_rise)
        rise = linear * np.clip(clock_ratio, 0.0, 1.0) + (self.idle_clock_rise - linear) * above
        idle: np.ndarray = self.idle_w * (1 + rise)
        return idle if self.tdp_w is None else np.minimum(idle, self.tdp_w)


@lru_cache(maxsize=256)
def _memory(kind: str, rate: float | None, bits: int | None, bandwidth: float, nm: float) -> str:
    if kind == "cpu":
        if rate is not None and rate > 7e9 and (bits or 0) <= 256:
            return "lpddr"
        return "ddr4" if rate is not None and rate <= 3.2e9 else "ddr5"
    wide = bits >= _NARROWEST_HBM_BITS if bits is not None else bandwidth > _BEYOND_GDDR_BYTES_PER_S
    if wide or kind == "tpu":
        return "hbm3" if rate is None or rate > 3.7e9 else "hbm2e" if rate > 2.5e9 else "hbm2"
    if rate is None:
        return "gddr6"
    if rate < 7e9 and bits is not None and bits <= 256 and nm < _SMALLEST_WITH_GDDR5:
        return "lpddr"
    return "gddr5" if rate <= 11.5e9 else "gddr6" if rate <= 24e9 else "gddr7"


def memory_of(device: Device) -> str:
    """The kind of main memory, from its bus and the rate of its pins."""
    return _memory(
        device.kind,
        device.memory_rate_bits_per_s_per_pin,
        device.memory_bus_bits,
        device.memory_bandwidth_bytes_per_s,
        device.process_nm or _ASSUMED_NM,
    )


@lru_cache(maxsize=256)
def _shipped(device: Device) -> DevicePower:
    return _of(device, fitted())


def _of(device: Device, c: PowerConstants) -> DevicePower:
    machine = Machine.of(device, "fp32")
    memory = memory_of(device)
    peak_clock_hz = max([device.peak_clock_hz or ASSUMED_CLOCK_HZ, *device.arithmetic_clock_hz.values()])
    nm = device.process_nm or _ASSUMED_NM
    scale = (nm / REFERENCE_NM) ** c.process_exponent
    idle_w = _idle_w(device, memory, c)
    numbers: dict[str, float] = {
        "vector_j_per_flop": scale * c.vector_j_per_flop,
        "element_j": scale * c.element_j,
        "l2_j_per_byte": scale * c.l2_j_per_byte,
        "dram_j_per_byte": c.dram_j_per_byte[memory],
        "issue_j_per_clock": scale * c.issue_j_per_clock * machine.units,
        "leakage_w": c.leakage_w_per_unit * machine.units,
    }
    arithmetic = {name: scale * joules for name, joules in c.arithmetic_j_per_flop.items()}
    if not device.on_matrix_units("fp32"):
        arithmetic["fp32"] = numbers["vector_j_per_flop"]
    if not device.has_matrix_units:
        # Values packed in the lanes of the ordinary units: an instruction costs what an fp32 one does.
        for name, peak in device.peak_flops.items():
            arithmetic[name] = numbers["vector_j_per_flop"] * max(device.vector_flops / peak, 1 / _MOST_PACKED)
    how = f"regressed from {'' if device.process_nm else 'an assumed '}{nm:g} nm and {memory}"
    if device.kind in _SEQUENTIAL_UNITS:
        if device.tdp_w is None or idle_w is None:
            numbers |= dict.fromkeys(numbers.keys() - {"dram_j_per_byte"}, math.nan)
            arithmetic = dict.fromkeys(arithmetic, math.nan)
            how = WITHOUT_TDP
        else:
            full_w = max(device.tdp_w - idle_w, 0.0)
            own, by_flop = _of_tdp(device, c, full_w, machine.units, peak_clock_hz)
            numbers |= own
            arithmetic |= by_flop
            how = "regressed from TDP: all cores at full rate and base clock draw it"
    at_peak, lowest = device.measured.get("idle_power_at_peak_clock_w"), device.idle_power_w
    rise = c.idle_clock_rise if at_peak is None or lowest is None else max(0.0, at_peak / lowest - 1)
    regressed = DevicePower(
        idle_w=idle_w,
        tdp_w=device.tdp_w,
        idle_linear_rise=c.idle_linear_rise,
        idle_clock_rise=rise,
        units=machine.units,
        peak_clock_hz=peak_clock_hz,
        arithmetic_j_per_flop=arithmetic,
        **numbers,
        voltage=c.voltage, voltage_exponent=c.voltage_exponent, ceiling=c.ceiling, sharpness=c.sharpness,
        memory=memory,
        sources=dict.fromkeys((*numbers, "arithmetic_j_per_flop"), how)
        | {"dram_j_per_byte": memory}
        | {
            "idle_w": device.sources.get("idle_power_w", f"regressed from TDP and {memory}" if idle_w is not None else UNKNOWN),
            "tdp_w": device.sources.get("tdp_w", UNKNOWN),
        },
    )  # fmt: skip
    return _with_own(regressed, device)


_OWN = "power."
"""Before the names of a device file's own power constants, a table of ``measured``."""
_OF_ARITHMETIC = "_j_per_flop"


def _with_own(regressed: DevicePower, device: Device) -> DevicePower:
    """With the constants that the device file has itself, ``[measured.power]``: ``idle_w``, ``bf16_j_per_flop`` and so on.

    Raises:
        DeviceError: a constant that there is not.
    """
    own = {name.removeprefix(_OWN): value for name, value in device.measured.items() if name.startswith(_OWN)}
    if not own:
        return regressed
    arithmetic = {name.removesuffix(_OF_ARITHMETIC): v for name, v in own.items() if name.endswith(_OF_ARITHMETIC)}
    numbers = {name: v for name, v in own.items() if not name.endswith(_OF_ARITHMETIC)}
    if "vector" in arithmetic:
        numbers[f"vector{_OF_ARITHMETIC}"] = arithmetic.pop("vector")
    strange = sorted([*(set(arithmetic) - set(regressed.arithmetic_j_per_flop)), *(set(numbers) - set(_OWN_NUMBERS))])
    if strange:
        wanted = ", ".join((*_OWN_NUMBERS, *(f"{a}{_OF_ARITHMETIC}" for a in regressed.arithmetic_j_per_flop)))
        raise DeviceError(f"{device.id}: measured.power.{strange[0]} is no power constant; wanted some of {wanted}")
    sources = dict(regressed.sources)
    for name in numbers:
        sources[name] = device.sources.get(f"measured.{_OWN}{name}", "measured")
    for name in arithmetic:
        sources["arithmetic_j_per_flop"] = device.sources.get(f"measured.{_OWN}{name}{_OF_ARITHMETIC}", "measured")
    joint = dict(regressed.arithmetic_j_per_flop) | arithmetic
    changed: Any = numbers
    return replace(regressed, arithmetic_j_per_flop=joint, sources=sources, **changed)


_OWN_NUMBERS = (
    "idle_w", "idle_clock_rise", "vector_j_per_flop", "element_j", "l2_j_per_byte", "dram_j_per_byte", "issue_j_per_clock",
    "leakage_w", "ceiling",
)  # fmt: skip


def _of_tdp(
    device: Device, c: PowerConstants, full_w: float, units: float, peak_clock_hz: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Energies of a chip whose TDP is what all its cores draw at full rate and base clock.

    That is how TDP is defined (Intel's glossary: "the average power, in watts, the processor dissipates when operating at base
    frequency with all cores active under an Intel-defined, high-complexity workload").

    Args:
        full_w: TDP less idle power.

    Returns:
        constants by name, and energy per FLOP by arithmetic.
    """
    base = min(device.base_clock_hz or peak_clock_hz, peak_clock_hz)
    base_voltage = float(c.voltage.relative(base / peak_clock_hz)) ** c.voltage_exponent
    per_clock = full_w / base / base_voltage  # of the whole chip, at the lowest voltage
    computing = (1 - _ISSUE_SHARE) * per_clock
    by_flop = {
        name: computing * (device.clock_hz(name) or peak_clock_hz) / peak
        for name, peak in device.peak_flops.items()
    }  # fmt: skip
    vector = computing * (device.clock_hz("fp32") or peak_clock_hz) / device.vector_flops
    # A core loads and stores two vectors a clock beside its two multiply-adds: a value costs about what four FLOPs do.
    numbers = {
        "vector_j_per_flop": vector, "element_j": 4 * vector, "l2_j_per_byte": vector / 2,
        "issue_j_per_clock": _ISSUE_SHARE * per_clock, "leakage_w": 1e-3 * units,
    }  # fmt: skip
    return numbers, by_flop


def _idle_w(device: Device, memory: str, c: PowerConstants) -> float | None:
    if device.idle_power_w is not None:
        return device.idle_power_w
    if device.tdp_w is None:
        return None
    if device.kind == "cpu":
        return device.tdp_w * c.idle_share_cpu
    return device.tdp_w * (c.idle_share_hbm if memory.startswith("hbm") else c.idle_share_other)

"""The numbers of a device file: what each means, its unit, and which values are no machine's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfmodel.hardware.device import Device


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a number may be.

    Attributes:
        unit: how the unit is called in messages.
        low, high: no machine is outside; a number that is, has the wrong unit.
        mistaken: other units with their factor to ours, likeliest first.
        typical: where a number lands that was converted from the right one of ``mistaken``.
        whole: whether it counts things.
    """

    unit: str
    low: float
    high: float
    mistaken: tuple[tuple[str, float], ...] = ()
    typical: tuple[float, float] = (0.0, math.inf)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class NumberField:
    """One number of the format.

    Attributes:
        quantity: its unit and range.
        unit: the unit's symbol in documentation; empty for counts.
        meaning: what it is, in one line.
    """

    quantity: Quantity
    unit: str
    meaning: str


_FLOPS = Quantity("FLOP/s", 1e8, 1e18, (("TFLOP/s", 1e12), ("GFLOP/s", 1e9), ("PFLOP/s", 1e15)), (1e10, 1e17))
_BYTES_PER_S = Quantity("bytes per second", 1e8, 1e15, (("GB/s", 1e9), ("TB/s", 1e12), ("MB/s", 1e6)), (5e9, 5e13))
_MEMORY = Quantity("bytes", 2**24, 2**50, (("GB", 1e9), ("MB", 1e6), ("TB", 1e12)), (1e9, 2e13), whole=True)
_CACHE = Quantity("bytes", 2**17, 2**40, (("MB", 1e6), ("KiB", 1024.0)), (2**17, 2**33), whole=True)
_UNIT_STORAGE = Quantity("bytes", 1024, 2**30, (("KiB", 1024.0),), (1024, 2**24), whole=True)
_CLOCK = Quantity("Hz", 1e7, 1e11, (("MHz", 1e6), ("GHz", 1e9), ("kHz", 1e3)), (1e8, 1e10))
_WATTS = Quantity("watts", 0.01, 20_000, (("mW", 1e-3), ("kW", 1e3)), (1, 3_000))
_PARTITIONS = Quantity("parts", 1, 64, whole=True)
_POWER_LIMIT = Quantity("watts", 1, 20_000, (("kW", 1e3), ("mW", 1e-3)), (1, 3_000))
_UNITS = Quantity("SMs, compute units or cores", 1, 1e6, whole=True)
_BITS = Quantity("bits", 8, 1e6, whole=True)
_PIN_RATE = Quantity("bits per second and pin", 1e8, 1e12, (("Gbit/s", 1e9), ("MT/s", 1e6)), (1e8, 1e11))
_NANOMETRES = Quantity("nanometres", 0.1, 1_000, (("m", 1e9),), (0.1, 1_000))
_EXPONENTIALS = Quantity("exponentials per clock and unit", 0.01, 1e5)
_PER_CLOCK = Quantity("FLOP per clock and unit", 0.01, 1e7)

COMPULSORY = ("peak_flops.fp32", "memory_bandwidth_bytes_per_s", "memory_bytes")

ARITHMETIC_FIELDS: dict[str, NumberField] = {
    "peak_flops": NumberField(_FLOPS, "FLOP/s", "dense peak"),
    "vector_peak_flops": NumberField(
        _FLOPS, "FLOP/s", "the ordinary units, where `peak_flops` is that of matrix units"
    ),
    "flops_per_clock_per_unit": NumberField(
        _PER_CLOCK, "FLOP", "of one unit in one clock, of the units that `peak_flops` quotes"
    ),
    "arithmetic_clock_hz": NumberField(_CLOCK, "Hz", "the clock of that peak where it is not `peak_clock_hz`"),
}
"""Tables with one number for each arithmetic."""

NUMBER_FIELDS: dict[str, NumberField] = {
    "memory_bandwidth_bytes_per_s": NumberField(_BYTES_PER_S, "bytes/s", "main memory, read or written"),
    "memory_bytes": NumberField(_MEMORY, "bytes", "nominal size"),
    "memory_bus_bits": NumberField(_BITS, "bits", "width of the memory interface"),
    "memory_rate_bits_per_s_per_pin": NumberField(_PIN_RATE, "bits/s", "rate of one of its pins"),
    "memory_clock_hz": NumberField(_CLOCK, "Hz", "memory clock (HBM: two transfers a clock, GDDR6: eight)"),
    "units": NumberField(_UNITS, "", "SMs, compute units, matrix units of a TPU, or physical cores"),
    "peak_clock_hz": NumberField(_CLOCK, "Hz", "boost clock, at which the peaks hold"),
    "base_clock_hz": NumberField(_CLOCK, "Hz", "guaranteed clock"),
    "l2_bytes": NumberField(_CACHE, "bytes", "last-level cache on the chip, all of it"),
    "l2_partitions": NumberField(
        _PARTITIONS,
        "",
        "parts of it that each keep their own copy of what their units read (two on GA100, GH100 and two-die Blackwell); "
        "absent: one",
    ),
    "l1_bytes_per_unit": NumberField(_UNIT_STORAGE, "bytes", "L1 and shared memory of one unit, together"),
    "shared_bytes_per_unit": NumberField(
        _UNIT_STORAGE, "bytes", "the most of it that kernels may use as shared memory (LDS)"
    ),
    "register_bytes_per_unit": NumberField(_UNIT_STORAGE, "bytes", "vector registers of one unit"),
    "exponentials_per_clock_per_unit": NumberField(
        _EXPONENTIALS, "", "exp2 of one unit's special-function units in a clock; absent: 16, as on most GPUs"
    ),
    "tdp_w": NumberField(_POWER_LIMIT, "W", "power limit as delivered"),
    "idle_power_w": NumberField(_WATTS, "W", "nothing running, lowest clock"),
    "interconnect_bytes_per_s": NumberField(
        _BYTES_PER_S,
        "bytes/s",
        "to other devices, one direction, all links together; PCIe where there is nothing faster",
    ),
    "process_nm": NumberField(_NANOMETRES, "nm", "manufacturing process, by its marketing name"),
}
"""Fields that are one number."""


_CYCLES = Quantity("clock cycles", 1, 1e6)
_SHARE = Quantity("a share", 0.02, 2.0)
_SMALL_SHARE = Quantity("a share", 1e-4, 2.0)
_BYTES_PER_CLOCK = Quantity("bytes per clock and unit", 0.1, 1e5)

CALIBRATED_FIELDS: dict[str, NumberField] = {
    "launch_cycles": NumberField(_CYCLES, "clocks", "an empty GEMM kernel, from launch to finish"),
    "wave_cycles": NumberField(_CYCLES, "clocks", "prologue and epilogue of a wave of tiles"),
    "split_cycles": NumberField(_CYCLES, "clocks", "what splitting the contraction over units costs"),
    "k_extra": NumberField(Quantity("elements of k", 0.1, 1e4), "elements", "what filling a tile's pipeline costs"),
    "mma_efficiency": NumberField(_SHARE, "", "sustained share of the matrix units' peak"),
    "norm_p": NumberField(Quantity("an exponent", 1, 50), "", "how well compute, L2 and DRAM time overlap"),
    "dram_efficiency": NumberField(_SHARE, "", "sustained share of the datasheet's memory bandwidth"),
    "l2_bytes_per_clock": NumberField(
        _BYTES_PER_CLOCK, "bytes", "operands that a unit with 2048 FLOP per clock takes from L2 in a clock"
    ),
    "hit_bytes_per_clock": NumberField(_BYTES_PER_CLOCK, "bytes", "streaming L2 hits of a unit in a clock"),
    "residency": NumberField(_SHARE, "", "share of the last-level cache that keeps operands between executions"),
    "refetch_residency": NumberField(_SHARE, "", "the same between waves of one execution"),
    "residency_power": NumberField(Quantity("an exponent", 0.1, 50), "", "how sharply operands fall out of that cache"),
    "simt_efficiency": NumberField(_SHARE, "", "sustained share of the vector units' fp32 peak in products"),
    "int8_efficiency": NumberField(_SHARE, "", "rate of 8-bit products over the share that wider ones sustain"),
    "simt_convolution_efficiency": NumberField(_SHARE, "", "rate of fp32 convolutions over that of fp32 products"),
    "direct_efficiency": NumberField(_SHARE, "", "share of the vector units' peak in depthwise convolutions"),
    "vector_efficiency": NumberField(_SMALL_SHARE, "", "share of the vector units' peak in elementwise arithmetic"),
    "stream_efficiency": NumberField(_SHARE, "", "share of the memory bandwidth that streaming kernels sustain"),
    "stream_launch_cycles": NumberField(_CYCLES, "clocks", "an empty kernel that multiplies no matrices"),
    "throttle_flops_per_w": NumberField(
        Quantity("FLOP/s per watt", 1e10, 1e17), "FLOP/s/W", "peak per watt at which the power limit begins to hold"
    ),
}
"""Constants of the analytical model that may be fitted to one device (``perfmodel calibrate``)."""


def number_field(name: str) -> NumberField | None:
    """The field that a name stands for (``"tdp_w"``, ``"peak_flops.bf16"``), or None."""
    return NUMBER_FIELDS.get(name) or ARITHMETIC_FIELDS.get(name.partition(".")[0])


def number_of(device: Device, name: str) -> float | None:
    """A device's number by the name that its source stands under; None where it is unknown."""
    table, _, arithmetic = name.partition(".")
    if arithmetic:
        value: float | None = getattr(device, table).get(arithmetic)
        return value
    number: float | None = getattr(device, name)
    return number

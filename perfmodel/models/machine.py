"""A device under given conditions, reduced to what the analytical model needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from perfmodel.errors import InputError, is_number, one_of
from perfmodel.hardware.device import Device

CACHES = ("warm", "cold", "rotating", "rotating_all", "filling")
"""State of the last-level cache at the start of an execution: ``warm`` holds what the previous execution of the same
operator left; ``rotating`` is warm for activations while the weights change from call to call (six sets); ``cold`` holds
nothing. Two more are how benchmarks ran: ``rotating_all`` changes the activations with the weights, and ``filling``
takes as many sets of weights, five at most, as together exceed the cache."""


@dataclass(frozen=True)
class Conditions:
    """How an operator is run.

    Attributes:
        cache: one of :data:`CACHES`.
        clock_hz: a pinned clock of the compute units; None means the peak clock, throttled by the power limit.
        power_limit_w: a cap below the device's own; None means the device's.
        boosts: the clock is where the device would like to run, throttled by the power limit, rather than pinned.
    """

    cache: str = "rotating"
    clock_hz: float | None = None
    power_limit_w: float | None = None
    boosts: bool = False

    def __post_init__(self) -> None:
        one_of("cache", self.cache, CACHES)
        for name in ("clock_hz", "power_limit_w"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 < value < float("inf")):
                raise InputError(f"{name} is {value!r}; wanted a positive number")

    @property
    def pinned(self) -> bool:
        """Whether the clock stays where it is, whatever the power."""
        return self.clock_hz is not None and not self.boosts


# Used where a device file does not say: figures of a mid-size GPU, so that an estimate exists; a warning names them.
ASSUMED_CLOCK_HZ = 1.5e9
MIN_CLOCK_RATIO, MAX_CLOCK_RATIO = 0.02, 1.01
"""A pinned clock lies within these shares of the highest that the device file quotes."""
ASSUMED_VECTOR_FLOPS_PER_CLOCK = 256.0
ASSUMED_L2_BYTES_PER_UNIT = 2**18
WIDEST_SM_FLOPS_PER_CLOCK = 256.0
"""fp32 FLOPs of an SM since GA102 and Hopper, and of a CDNA 3 compute unit, in a clock (``flops_per_clock_per_unit``)."""


@dataclass(frozen=True)
class Machine:
    """Rates of one device for one dtype at one clock.

    Attributes:
        units: SMs, compute units or cores.
        clock_hz: the clock it runs at.
        peak_flops: FLOP/s of the dtype's arithmetic at that clock.
        flops_per_clock: that peak per unit and clock.
        wide_flops_per_clock: the same for the 16-bit matrix arithmetic (or the widest there is): the yardstick of how
            much on-chip bandwidth the unit was built with.
        vector_flops: FLOP/s of the ordinary units in fp32 at that clock.
        dram_bytes_per_s: datasheet bandwidth.
        l2_bytes: last-level cache.
        l2_partitions: parts of it that each keep their own copy of what their units read; an operand that all units
            read stays resident in ``l2_bytes / l2_partitions`` only.
        throttle_ratio: dense 16-bit peak per watt of TDP [FLOP/s/W]; None where the clock is
            pinned or the TDP is unknown.
        arithmetic: name of the arithmetic that runs.
        on_matrix_units: whether that is the matrix units' (Tensor Cores, MFMA, AMX), not the ordinary ones'.
        of_cores: whether a unit is a processor's core, whose products have small tiles.
        assumptions: what the device file does not say and was assumed, one line each.
    """

    units: float
    clock_hz: float
    peak_flops: float
    flops_per_clock: float
    wide_flops_per_clock: float
    vector_flops: float
    dram_bytes_per_s: float
    l2_bytes: float
    l2_partitions: float
    throttle_ratio: float | None
    arithmetic: str
    on_matrix_units: bool
    of_cores: bool = False
    assumptions: tuple[str, ...] = ()

    @property
    def resident_bytes(self) -> float:
        """Last-level cache that holds different data."""
        return self.l2_bytes / self.l2_partitions

    @property
    def vector_units(self) -> float:
        """Ordinary units beside a matrix unit, as multiples of the widest that a GPU's SM or compute unit has, at least 1.

        Constants that count clocks of an SM's ordinary units are divided by it: a TPU has few units, with wide ones.
        """
        per_clock = self.vector_flops / (self.units * self.clock_hz)
        return max(1.0, float(round(per_clock / WIDEST_SM_FLOPS_PER_CLOCK)))

    @classmethod
    def of(cls, device: Device, dtype: str, conditions: Conditions | None = None) -> Machine:
        """The machine that runs ``dtype`` on ``device``.

        Raises:
            DtypeError: the dtype is unknown.
        """
        return _of(device, dtype, conditions or Conditions())


@lru_cache(maxsize=1024)
def _of(device: Device, dtype: str, conditions: Conditions) -> Machine:
    arithmetic = device.arithmetic(dtype)
    assumptions: list[str] = []
    # Matrix units may be rated at another clock than the rest (1.83 against 1.98 GHz on H100).
    peak_clock = device.clock_hz(arithmetic.name)
    if peak_clock is None:
        peak_clock = ASSUMED_CLOCK_HZ
        assumptions.append(f"{device.id} quotes no clock; assumed {ASSUMED_CLOCK_HZ / 1e9} GHz")
    units: float | None = device.units
    if units is None:
        units = max(1.0, round(device.vector_flops / (peak_clock * ASSUMED_VECTOR_FLOPS_PER_CLOCK)))
        assumptions.append(f"{device.id} quotes no number of units; assumed {units:.0f} from its fp32 peak")
    l2_bytes: float | None = device.l2_bytes
    if l2_bytes is None:
        l2_bytes = ASSUMED_L2_BYTES_PER_UNIT * units
        assumptions.append(f"{device.id} quotes no last-level cache; assumed {l2_bytes / 2**20:.3g} MiB")
    clock = conditions.clock_hz or peak_clock
    top = max([peak_clock, device.peak_clock_hz or 0.0, *device.arithmetic_clock_hz.values()])
    if not MIN_CLOCK_RATIO * top <= clock <= MAX_CLOCK_RATIO * top:
        raise InputError(
            f"a clock of {clock / 1e6:g} MHz is not one of {device.id}, which runs up to {top / 1e6:g} MHz"
        )
    scale = clock / peak_clock
    vector_clock = device.clock_hz("fp32") or peak_clock
    wide_name = max(("bf16", "fp16", "fp32"), key=lambda name: device.peak_flops.get(name, 0.0))
    wide = device.peak_flops[wide_name]
    wide_clock = device.clock_hz(wide_name) or peak_clock
    limits = [watts for watts in (conditions.power_limit_w, device.tdp_w) if watts is not None]
    limit = min(limits) if limits else None  # a cap above the device's own changes nothing
    throttled = limit is not None and not conditions.pinned
    return Machine(
        units=units,
        clock_hz=clock,
        peak_flops=arithmetic.peak_flops * scale,
        flops_per_clock=arithmetic.peak_flops / (units * peak_clock),
        wide_flops_per_clock=wide / (units * wide_clock),
        vector_flops=device.vector_flops * clock / vector_clock,
        dram_bytes_per_s=device.memory_bandwidth_bytes_per_s,
        l2_bytes=l2_bytes,
        l2_partitions=float(device.l2_partitions or 1),
        throttle_ratio=wide / device.tdp_w if throttled and device.tdp_w is not None else None,
        arithmetic=arithmetic.name,
        on_matrix_units=device.on_matrix_units(arithmetic.name),
        of_cores=device.kind == "cpu",
        assumptions=tuple(assumptions),
    )

"""The constants of the power model: few, named, fitted together; a device enters with its data sheet alone.

All energies are those of a 7 nm GPU at its lowest running voltage (:mod:`perfmodel.models.power.voltage`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from perfmodel.dtypes import ARITHMETICS
from perfmodel.errors import PredictorError
from perfmodel.models.power.voltage import VoltageCurve

REFERENCE_NM = 7.0
MEMORIES = ("hbm2", "hbm2e", "hbm3", "gddr5", "gddr6", "gddr7", "ddr4", "ddr5", "lpddr")
"""Kinds of main memory that have an energy of their own (:func:`perfmodel.models.power.device.memory_of`)."""

# Relative to a 16-bit FLOP of matrix units, where no label says otherwise: the peaks of NVIDIA's and AMD's data sheets at equal
# power for the narrow formats, Horowitz ("Computing's Energy Problem", ISSCC 2014, figure 1.1.9) for fp64 over fp16.
_RELATIVE_TO_BF16 = {
    "fp64": 10.0, "tf32": 1.6, "fp16": 1.0, "bf16": 1.0, "fp8": 0.55, "int8": 0.55, "fp6": 0.55, "fp4": 0.32, "int4": 0.32,
    "int1": 0.08,
}  # fmt: skip


def _arithmetic() -> Mapping[str, float]:
    bf16 = 0.5e-12
    return {name: share * bf16 for name, share in _RELATIVE_TO_BF16.items()} | {"fp32": 2.5e-12}


def _memories() -> Mapping[str, float]:
    # Access and interface of HBM2 3.9 pJ/bit, of GDDR5 14 pJ/bit (O'Connor et al., "Fine-Grained DRAM", MICRO 2017, section 2);
    # the way across the chip on top. Of CPUs the package's share alone: the modules are outside what TDP and RAPL's package
    # domain count.
    return {
        "hbm2": 44e-12, "hbm2e": 42e-12, "hbm3": 40e-12, "gddr5": 130e-12, "gddr6": 90e-12, "gddr7": 75e-12,
        "ddr4": 60e-12, "ddr5": 50e-12, "lpddr": 40e-12,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PowerConstants:
    """Constants of the energy of GPUs, at 7 nm and the lowest running voltage. All are positive."""

    arithmetic_j_per_flop: Mapping[str, float] = field(default_factory=_arithmetic)
    """Energy of a FLOP inside products by the arithmetic that runs it, on matrix units where it has some [J]."""
    vector_j_per_flop: float = 5.5e-12
    """Energy of an fp32 FLOP of the ordinary units, operands and instruction included [J]."""
    element_j: float = 70e-12
    """Energy of a value that ordinary instructions load or store outside a product's main loop [J]."""
    l2_j_per_byte: float = 10e-12
    """Energy of a byte that units take from the last-level cache [J]."""
    dram_j_per_byte: Mapping[str, float] = field(default_factory=_memories)
    """Energy of a byte that crosses the memory interface, by kind of memory, whatever the voltage of the chip [J]."""
    issue_j_per_clock: float = 360e-12
    """Energy of one clock of one busy unit: clock tree, schedulers, registers that are kept [J]."""
    leakage_w_per_unit: float = 0.01
    """What a unit that is awake leaks beyond idle [W]."""
    process_exponent: float = 0.7
    """Energy on the chip grows as the feature size (its marketing name) to this power."""
    voltage_exponent: float = 2.5
    """Energy per operation on the chip grows as the voltage to this power."""
    idle_share_hbm: float = 0.18
    """Idle power over TDP where a device file quotes none, of boards with HBM."""
    idle_share_other: float = 0.3
    """The same of boards with other memory."""
    idle_clock_rise: float = 0.45
    """What idle power gains from the lowest to the highest clock and voltage, over its lowest."""
    ceiling: float = 0.97
    """Share of the power limit that a steady load at the limit draws on average."""
    sharpness: float = 8.0
    """How abruptly the power limit holds: the exponent of the soft minimum of demand and limit."""
    voltage: VoltageCurve = field(default_factory=VoltageCurve)

    def to_dict(self) -> dict[str, Any]:
        """As a manifest holds them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; what is left out keeps its default.

        Raises:
            PredictorError: a constant is unknown, or no positive number.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise PredictorError(
                f"unknown power constants: {', '.join(unknown)}; wanted some of {', '.join(sorted(known))}"
            )
        tables = {"arithmetic_j_per_flop": ARITHMETICS, "dram_j_per_byte": MEMORIES}
        given: dict[str, Any] = {}
        for name, value in values.items():
            if name in tables:
                strange = sorted(set(value) - set(tables[name]))
                if strange:
                    raise PredictorError(f"power constant {name}: unknown {', '.join(strange)}")
                default = dict(getattr(cls(), name))
                given[name] = default | {str(k): _positive(f"{name}.{k}", v) for k, v in value.items()}
            elif name == "voltage":
                given[name] = VoltageCurve(**{str(k): _positive(f"voltage.{k}", v) for k, v in value.items()})
            else:
                given[name] = _positive(name, value)
        return cls(**given)


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise PredictorError(f"power constant {name} is {value!r}; wanted a positive number")
    return float(value)


FALLBACK = PowerConstants()
"""Where no predictor is at hand."""

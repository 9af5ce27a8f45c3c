"""The constants of the power model: few, named, fitted together; a device enters with its data sheet alone.

All energies are those of a 7 nm GPU at its lowest running voltage (:mod:`perfmodel.models.power.voltage`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
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
    return {name: share * bf16 for name, share in _RELATIVE_TO_BF16.items()} | {"fp32": 5.0 * bf16}


def _memories() -> Mapping[str, float]:
    # Of HBM2 3.9 pJ/bit, of GDDR5 14 pJ/bit (O'Connor et al., "Fine-Grained DRAM", MICRO 2017, section 2); of GDDR6 7.5, of
    # HBM2E 6.0 pJ/bit (Micron, "Ultra-Bandwidth Solutions", memory comparison); of GDDR7 a third less than GDDR6 and of HBM3 a
    # sixth less than HBM2E, assumed. Of CPUs the package's side of the interface alone, assumed: the modules are outside what
    # TDP and RAPL's package domain count.
    return {
        "hbm2": 44e-12, "hbm2e": 48e-12, "hbm3": 40e-12, "gddr5": 112e-12, "gddr6": 60e-12, "gddr7": 40e-12,
        "ddr4": 60e-12, "ddr5": 50e-12, "lpddr": 40e-12,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PowerConstants:
    """Constants of the energy of GPUs, at 7 nm and the lowest running voltage. All are positive."""

    arithmetic_j_per_flop: Mapping[str, float] = field(default_factory=_arithmetic)
    """Energy of a FLOP inside products by the arithmetic that runs it, on matrix units where it has some [J]."""
    vector_j_per_flop: float = 5.5e-12
    """Energy of an fp32 FLOP of the ordinary units, operands and instruction included [J]."""
    element_j: float = 68e-12
    """Energy of a value that ordinary instructions load or store outside a product's main loop [J]."""
    l2_j_per_byte: float = 10e-12
    """Energy of a byte that units take from the last-level cache [J]."""
    dram_j_per_byte: Mapping[str, float] = field(default_factory=_memories)
    """Energy of a byte that crosses the memory interface, by kind of memory, whatever the voltage of the chip [J]."""
    issue_j_per_clock: float = 360e-12
    """Energy of one clock of one busy unit: clock tree, schedulers, registers that are kept [J]."""
    leakage_w_per_unit: float = 0.03
    """What a unit that is awake leaks beyond idle [W]."""
    process_exponent: float = 0.8
    """Energy on the chip grows as the feature size (its marketing name) to this power."""
    voltage_exponent: float = 2.5
    """Energy per operation on the chip grows as the voltage to this power."""
    idle_share_hbm: float = 0.17
    """Idle power, memory clocked for work, over TDP where a device file quotes none, of boards with HBM: A100 0.15 and 0.18,
    H100 0.10 (EnergAIzer's artefact); V100 53 of 300 W in a listing of nvidia-smi (zai-org/GLM-130B, issue 32)."""
    idle_share_other: float = 0.3
    """The same of boards with other memory: RTX A4000 38 of 140 W (huggingface/text-generation-inference, issue 946), A40 110
    of 300 W at its top clock (NVIDIA/open-gpu-kernel-modules, issue 874). Without a process they draw a third of it."""
    idle_share_cpu: float = 0.25
    """The same of a CPU's package. Published results of SPECpower_ssj2008 have servers at active idle at a fifth to a third of
    what they draw at full load."""
    idle_linear_rise: float = 0.08
    """What idle power gains up to the top clock by the clock alone, over its lowest."""
    idle_clock_rise: float = 0.45
    """What idle power gains from the lowest to the highest clock and voltage, over its lowest: 0.51 and 0.37 on two A100, 0.65
    on an H100 (EnergAIzer's artefact, config/dvfs)."""
    ceiling: float = 0.985
    """Share of the power limit that a steady load at the limit draws on average: 0.98 to 0.99 in AIConfigurator's tables of
    H200, B200 and GB200."""
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
"""Where fits begin and what they are held to: figures of documents where there are any, else a first look at the same runs."""


@dataclass(frozen=True)
class Fitted:
    """What ``fitted.toml`` holds.

    Attributes:
        constants: the power constants.
        cap: those of :class:`perfmodel.models.power.capped.CapResponse`.
        intervals: ln(measured / predicted) between which nine tenths of the runs lie: ``seen`` on a device that the constants
            were fitted on, ``unseen`` on others.
        devices: the ids of the former.
    """

    constants: PowerConstants
    cap: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    devices: tuple[str, ...]


@cache
def fit_file() -> Fitted:
    """What was fitted to measured runs (``fitted.toml`` beside this module; ``tools/fit_power.py`` writes it)."""
    import tomllib
    from importlib.resources import files

    data = tomllib.loads(files("perfmodel.models.power").joinpath("fitted.toml").read_text(encoding="utf-8"))
    intervals = {str(name): (float(low), float(high)) for name, (low, high) in data["intervals"].items()}
    cap = {str(name): float(value) for name, value in data["cap"].items()}
    return Fitted(PowerConstants.from_dict(data["constants"]), cap, intervals, tuple(data["devices"]))


def fitted() -> PowerConstants:
    """The constants that were fitted to measured runs."""
    return fit_file().constants

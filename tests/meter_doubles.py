"""Meters without hardware: every reading here is synthesised from the documented formats, none was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from perfmodel.collect.meters import Counter, MeterInfo, Reading


class Clock:
    """Time that passes only when something takes it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float = 0.02) -> Callable[[], None]:
        """A piece of work that takes so long."""

        def piece() -> None:
            self.now += seconds

        return piece


class Load:
    """Power over time, and the energy since the clock's beginning; summed up where its formula is not given."""

    def __init__(self, power: Callable[[float], float], energy: Callable[[float], float] | None = None) -> None:
        self.power, self._energy = power, energy

    def energy(self, seconds: float, steps: int = 2000) -> float:
        """Midpoint rule."""
        if self._energy is not None:
            return self._energy(seconds)
        width = seconds / steps
        return sum(self.power((i + 0.5) * width) for i in range(steps)) * width


def constant(watts: float) -> Load:
    return Load(lambda _: watts, lambda seconds: watts * seconds)


def ramp(low: float, high: float, seconds: float) -> Load:
    """Exponential approach, as a clock's or a temperature's."""
    return Load(
        lambda t: high - (high - low) * math.exp(-t / seconds),
        lambda t: high * t - (high - low) * seconds * (1 - math.exp(-t / seconds)),
    )


class Simulated:
    """A meter whose counter is updated every ``update_s`` seconds, in steps."""

    def __init__(self, info: MeterInfo, load: Load, clock: Clock, update_s: float = 0.1, offset_j: float = 0.0) -> None:
        self.info, self.load, self.clock, self.update_s, self.offset_j = info, load, clock, update_s, offset_j
        self.start = clock.now

    def read(self, *, conditions: bool = False) -> Reading:
        elapsed = self.clock.now - self.start
        # The small number keeps an update that falls on a reading from being lost to rounding.
        updated = math.floor(elapsed / self.update_s + 1e-9) * self.update_s
        energy = {}
        for counter in self.info.counters:
            joules = self.offset_j + self.load.energy(updated)
            joules = math.floor(joules / counter.step_j + 1e-9) * counter.step_j
            energy[counter.name] = joules % counter.range_j if counter.range_j else joules
        power = self.load.power(updated) if self.info.power else None
        return Reading(self.clock.now, energy, power)

    def close(self) -> None:
        return None


def counter_info(**changes: Any) -> MeterInfo:
    fields: dict[str, Any] = {
        "meter": "made-up", "unit": "0", "device": "none", "counters": (Counter("gpu", 0.001),), "sampling": "between",
    }  # fmt: skip
    return MeterInfo(**{**fields, **changes})


# ---------------------------------------------------------------------------------------------------- NVML


class NVMLError(Exception):
    """As of pynvml: ``value`` is the return code."""

    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


class FakeNvml:
    """The functions of ``pynvml`` that perfmodel calls. What is in ``lacks`` answers as a GPU without it does."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_FI_DEV_POWER_INSTANT = 186

    def __init__(self, clock: Clock, load: Load, **settings: Any) -> None:
        self.clock, self.load, self.start = clock, load, clock.now
        self.lacks: set[str] = settings.pop("lacks", set())
        self.fails_with: int | None = settings.pop("fails_with", None)
        self.capability = settings.pop("capability", (9, 0))
        self.reasons = settings.pop("reasons", 0)
        self.mig = settings.pop("mig", [0, 0])
        self.count = settings.pop("count", 1)
        self.update_s = 0.1
        assert not settings

    def _elapsed(self, function: str) -> float:
        if self.fails_with is not None:
            raise NVMLError(self.fails_with)
        if function in self.lacks:
            raise NVMLError(3)
        return math.floor((self.clock.now - self.start) / self.update_s + 1e-9) * self.update_s

    def nvmlInit(self) -> None:  # noqa: N802
        self._elapsed("nvmlInit")

    def nvmlShutdown(self) -> None:  # noqa: N802
        return None

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return f"handle {index}"

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        return "Synthesised GPU"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        return 81_234_000 + int(1000 * self.load.energy(self._elapsed("energy")) + 1e-6)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return int(1000 * self.load.power(self._elapsed("usage")))

    def nvmlDeviceGetFieldValues(self, handle: str, fields: list[int]) -> list[Any]:  # noqa: N802
        assert fields == [186]
        code = 3 if "instant" in self.lacks else 0
        milliwatts = int(1000 * self.load.power(self._elapsed("field")))
        return [SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(uiVal=milliwatts))]

    def nvmlDeviceGetCudaComputeCapability(self, handle: str) -> tuple[int, int]:  # noqa: N802
        self._elapsed("capability")
        return self.capability

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:  # noqa: N802
        return self.mig

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:  # noqa: N802
        self._elapsed("limit")
        return 700_000

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        self._elapsed("clocks")
        return {1: 1755, 2: 2619}[kind]

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        self._elapsed("temperature")
        return 61

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:  # noqa: N802
        self._elapsed("reasons")
        return self.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        self._elapsed("older reasons")
        return self.reasons


# ---------------------------------------------------------------------------------------------------- AMD SMI


class FakeAmdSmi:
    """The functions of ``amdsmi`` that perfmodel calls, with its dictionaries."""

    class AmdSmiClkType(IntEnum):
        GFX = 1
        MEM = 5

    class AmdSmiTemperatureType(IntEnum):
        EDGE = 0
        JUNCTION = 1

    class AmdSmiTemperatureMetric(IntEnum):
        CURRENT = 0

    def __init__(self, clock: Clock, load: Load, **settings: Any) -> None:
        self.clock, self.load, self.start = clock, load, clock.now
        self.energy: dict[str, Any] | Callable[[float], dict[str, Any]] | None = settings.pop("energy", self._energy)
        self.power_key: str | None = settings.pop("power_key", "current_socket_power")
        self.cap: Any = settings.pop("cap", 750_000_000)
        self.starts = settings.pop("starts", True)
        self.gone = False
        assert not settings

    def _energy(self, elapsed: float) -> dict[str, Any]:
        return {
            "energy_accumulator": int((5e9 + self.load.energy(elapsed) * 1e6) / 15.3),
            "counter_resolution": 15.3,
            "timestamp": int(elapsed * 1e9),
        }

    def amdsmi_init(self) -> None:
        if not self.starts:
            raise RuntimeError("Error code:\n\t34 | AMDSMI_STATUS_NO_DRV - No driver")

    def amdsmi_shut_down(self) -> None:
        return None

    def amdsmi_get_processor_handles(self) -> list[str]:
        return ["handle"]

    def amdsmi_get_gpu_asic_info(self, handle: str) -> dict[str, Any]:
        return {"market_name": "Synthesised Instinct"}

    def amdsmi_get_energy_count(self, handle: str) -> dict[str, Any]:
        if self.energy is None or self.gone:
            raise RuntimeError("AMDSMI_STATUS_NOT_SUPPORTED")
        elapsed = math.floor((self.clock.now - self.start) / 0.1 + 1e-9) * 0.1
        return self.energy(elapsed) if callable(self.energy) else self.energy

    def amdsmi_get_power_info(self, handle: str) -> dict[str, Any]:
        told: dict[str, Any] = {"current_socket_power": "N/A", "average_socket_power": "N/A"}
        if self.power_key is not None:
            told[self.power_key] = round(self.load.power(self.clock.now - self.start))
        return told

    def amdsmi_get_power_cap_info(self, handle: str) -> dict[str, Any]:
        return {"power_cap": self.cap}

    def amdsmi_get_clock_info(self, handle: str, kind: IntEnum) -> dict[str, Any]:
        return {"clk": {"GFX": 2100, "MEM": 1300}[kind.name]}

    def amdsmi_get_temp_metric(self, handle: str, sensor: IntEnum, metric: IntEnum) -> int:
        assert sensor.name == "JUNCTION"
        return 58


# ---------------------------------------------------------------------------------------------------- powercap


class Powercap:
    """A powercap tree as Linux has it on a machine with two Intel packages, and a processor's other files."""

    RANGE_UJ = 262_143_328_850  # of a Core i5-7400, among many

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "sys/class/powercap"
        for zone, name in (
            ("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "package-1"), ("intel-rapl:1:0", "core"), ("intel-rapl:1:1", "dram"),
            ("intel-rapl:2", "psys"), ("intel-rapl-mmio:0", "package-0"),
        ):  # fmt: skip
            self.write(zone, "name", name)
            self.write(zone, "max_energy_range_uj", self.RANGE_UJ)
            self.write(zone, "energy_uj", 0)
        for package in (0, 1):
            self.write(f"intel-rapl:{package}", "constraint_0_name", "long_term")
            self.write(f"intel-rapl:{package}", "constraint_0_power_limit_uw", 205_000_000)
            self.write(f"intel-rapl:{package}", "constraint_1_name", "short_term")
            self.write(f"intel-rapl:{package}", "constraint_1_power_limit_uw", 246_000_000)
        (self.folder / "intel-rapl").mkdir()  # the control type, which is no zone
        cpu = root / "proc/cpuinfo"
        cpu.parent.mkdir()
        cpu.write_text("processor\t: 0\nmodel name\t: Synthesised Xeon\n")

    def write(self, zone: str, name: str, value: object) -> Path:
        path = self.folder / zone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
        return path

    def add(self, zone: str, microjoules: int) -> None:
        """Let a counter run on, over its end if need be."""
        path = self.folder / zone / "energy_uj"
        self.write(zone, "energy_uj", (int(path.read_text()) + microjoules) % (self.RANGE_UJ + 1))

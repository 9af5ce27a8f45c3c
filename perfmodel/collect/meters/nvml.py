"""Energy and power of NVIDIA's GPUs, through NVML (the package ``nvidia-ml-py``, extra ``perfmodel[nvml]``).

GPUs from Volta on count their energy in millijoules (``nvmlDeviceGetTotalEnergyConsumption``): the difference of two
readings needs no sampling. Others have power readings in milliwatts. ``nvmlDeviceGetPowerUsage`` is an average over one
second on Ampere (without GA100) and later; the field ``NVML_FI_DEV_POWER_INSTANT`` is the power now (NVML API
Reference Guide, Device Queries and Field Value Enums).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from perfmodel.collect.meters.base import AVERAGE, INSTANT, Conditions, Counter, Found, MeterInfo, Reading
from perfmodel.errors import MeterError, MissingExtraError

NAME = "nvml"
UPDATE_S = 0.1
"""Longest time between two updates of the counter or the sensor: 20 to 100 ms on recent GPUs, as PETSc's manual page of
PetscLogGpuEnergyMeter says."""
AVERAGING_S = 1.0
STEP_J, STEP_W = 1e-3, 1e-3
GA100 = (8, 0)
"""Compute capability of the one Ampere chip whose power usage is no average."""
THROTTLE = {
    0x4: "power cap", 0x8: "hardware slowdown", 0x10: "sync boost", 0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown", 0x80: "power brake", 0x2: "application clocks",
}  # fmt: skip
"""Bits of ``nvmlClocksEventReasons`` that tell why a clock is below its highest; idleness is none of them."""
SAMPLED_IN_PART = (
    "integrated power: the sensor of some GPUs looks at a part of the time only (25 % on A100 and H100, by Yang, Adamek "
    "and Armour, SC24)"
)


class NvmlDriver:
    """Every GPU that NVML sees, by its index: the order of the PCI bus, which CUDA's may differ from.

    Args:
        library: a module with the names of ``pynvml``; None: that one.
        clock: seconds of a clock that never goes back.
    """

    name = NAME

    def __init__(self, library: Any = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._library, self._clock = library, clock

    def find(self) -> Sequence[Found]:
        """One entry a GPU, or one that says why there is none."""
        try:
            library = self._start()
            count = library.nvmlDeviceGetCount()
        except MeterError as problem:
            return [Found(NAME, why_not=str(problem))]
        except MissingExtraError as problem:
            return [Found(NAME, why_not=str(problem))]
        except Exception as error:  # NVMLError, or what a library of another version raises
            return [Found(NAME, why_not=_explained(error))]
        if count == 0:
            return [Found(NAME, why_not="the driver runs and sees no GPU")]
        return [self._found(library, index) for index in range(count)]

    def open(self, unit: str | None = None) -> NvmlMeter:
        """The GPU of an index (None: the first).

        Raises:
            MeterError: there is no driver, no such GPU, or it tells neither energy nor power.
            MissingExtraError: nvidia-ml-py is not installed.
        """
        library = self._start()
        try:
            count = library.nvmlDeviceGetCount()
            index = int(unit or "0")
            if not 0 <= index < count:
                raise ValueError
            return NvmlMeter(library, index, self._clock)
        except ValueError:
            raise MeterError(f"nvml has no GPU {unit!r}; it sees {count}, counted from 0") from None
        except MeterError:
            raise
        except Exception as error:
            raise MeterError(f"nvml:{unit or 0}: {_explained(error)}") from None

    def _start(self) -> Any:
        if self._library is None:
            try:
                self._library = import_module("pynvml")
            except ImportError:
                raise MissingExtraError("pynvml", "nvml", "reading NVIDIA's counters") from None
        try:
            self._library.nvmlInit()
        except Exception as error:
            raise MeterError(_explained(error)) from None
        return self._library

    def _found(self, library: Any, index: int) -> Found:
        device = None
        try:
            device = _name(library, library.nvmlDeviceGetHandleByIndex(index))
            info = NvmlMeter(library, index, self._clock).info
        except MeterError as problem:
            return Found(NAME, str(index), device, why_not=str(problem))
        except Exception as error:
            return Found(NAME, str(index), device, why_not=_explained(error))
        return Found(NAME, str(index), device, info=info)


class NvmlMeter:
    """One GPU."""

    def __init__(self, library: Any, index: int, clock: Callable[[], float]) -> None:
        self._library, self._clock = library, clock
        self._handle = library.nvmlDeviceGetHandleByIndex(index)
        counts = self._ask("nvmlDeviceGetTotalEnergyConsumption") is not None
        self._power, kind = self._power_source()
        if not counts and kind is None:
            raise MeterError(f"nvml:{index} tells neither its energy nor its power")
        averaging = AVERAGING_S if kind == AVERAGE else 0.0
        caveats = [] if counts else [SAMPLED_IN_PART]
        mig = self._ask("nvmlDeviceGetMigMode")
        if mig is not None and mig[0]:
            caveats.append("MIG is on: the energy is that of the whole GPU, with all its instances")
        self.info: MeterInfo = MeterInfo(
            meter=NAME,
            unit=str(index),
            device=_name(library, self._handle),
            counters=(Counter("gpu", STEP_J),) if counts else (),
            power=kind,
            averaging_s=averaging,
            power_step_w=STEP_W,
            update_s=UPDATE_S,
            # Beside what the clock needs, an average must have forgotten what was before.
            settle_s=2.0 + (0.0 if counts else 2 * averaging),
            # An average is one sample a second: ten of them.
            min_window_s=3.0 if counts or not averaging else 10.5 * averaging,
            caveats=tuple(caveats),
        )

    def clock(self) -> float:
        """Seconds of the driver's clock."""
        return self._clock()

    def read(self, *, conditions: bool = False) -> Reading:
        """Counter and power, and the conditions where they are asked for.

        Raises:
            MeterError: the GPU is gone, or the driver was reloaded.
        """
        begin = self.clock()
        energy, power = {}, None
        try:
            if self.info.counters:
                energy["gpu"] = self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle) * 1e-3
            if self._power is not None:
                power = self._power()
        except Exception as error:
            raise MeterError(f"{self.info.name} stopped: {_explained(error)}") from None
        middle = (begin + self.clock()) / 2
        return Reading(middle, energy, power, self._conditions() if conditions else None)

    def close(self) -> None:
        """NVML counts who began with it, and ends with the last."""
        self._ask("nvmlShutdown", device=False)

    def _power_source(self) -> tuple[Callable[[], float] | None, str | None]:
        """How the power is asked for, in watts, and what it is."""
        if self._instant_w() is not None:
            return self._instant_w_or_raise, INSTANT
        if self._ask("nvmlDeviceGetPowerUsage") is None:
            return None, None
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        # Unknown: taken for an average, which asks for longer windows.
        averaged = capability is None or (tuple(capability) >= GA100 and tuple(capability) != GA100)
        return lambda: self._library.nvmlDeviceGetPowerUsage(self._handle) * 1e-3, AVERAGE if averaged else INSTANT

    def _instant_w(self) -> float | None:
        field = getattr(self._library, "NVML_FI_DEV_POWER_INSTANT", None)
        values = None if field is None else self._ask("nvmlDeviceGetFieldValues", [field])
        if values is None or values[0].nvmlReturn != 0:
            return None
        return float(values[0].value.uiVal) * 1e-3

    def _instant_w_or_raise(self) -> float:
        power = self._instant_w()
        if power is None:
            raise MeterError("the instant power is no longer told")
        return power

    def _conditions(self) -> Conditions:
        library = self._library
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        # The older name is that of drivers before 535.
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return Conditions(
            clock_mhz=self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_SM),
            mem_clock_mhz=self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_MEM),
            temperature_c=self._ask("nvmlDeviceGetTemperature", library.NVML_TEMPERATURE_GPU),
            power_limit_w=None if limit is None else limit * 1e-3,
            throttle=None if reasons is None else tuple(n for bit, n in THROTTLE.items() if reasons & bit),
        )

    def _ask(self, function: str, *arguments: Any, device: bool = True) -> Any:
        """What NVML says, or None where this GPU, driver or version of the package does not tell."""
        try:
            call = getattr(self._library, function)
            return call(self._handle, *arguments) if device else call(*arguments)
        except (AttributeError, self._library.NVMLError):
            return None


def _name(library: Any, handle: Any) -> str:
    name = library.nvmlDeviceGetName(handle)
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


_ADVICE = {
    4: "this user may not read it",
    9: "the NVIDIA driver is not loaded",
    12: "there is no NVIDIA driver here (libnvidia-ml.so is not found)",
    13: "the driver is too old for this call",
    15: "the GPU has fallen off the bus",
    18: "driver and library have different versions; a reboot usually ends that",
}
"""What the commonest return codes of NVML mean to a user."""


def _explained(error: Exception) -> str:
    code = getattr(error, "value", None)
    advice = _ADVICE.get(code) if isinstance(code, int) else None
    if isinstance(error, AttributeError):
        advice = (
            "the installed module `pynvml` lacks a function: pip install --upgrade nvidia-ml-py, and uninstall `pynvml`"
        )
    return advice or " ".join(str(error).split()) or type(error).__name__

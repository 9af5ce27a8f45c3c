"""Energy and power of AMD's GPUs, through AMD SMI (the module ``amdsmi``, which comes with ROCm).

The energy counter counts in steps of ``counter_resolution`` microjoules (``amdsmi_get_energy_count``). On some releases
it stands still within a process, or falls (ROCm/amdsmi issues 22 and 115): a window notices either, and then the
power is integrated, or nothing is called measured. Power is in watts: the power now on MI300 and later, an average on
Navi, MI200 and earlier (AMD SMI documentation, ``amdsmi_power_info_t``).
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from perfmodel.collect.meters.base import AVERAGE, INSTANT, Conditions, Counter, Found, MeterInfo, Reading
from perfmodel.errors import MeterError

NAME = "amdsmi"
UPDATE_S = 0.1
"""The driver renews its table of metrics every 100 ms at the fastest (documentation of AMD SMI's violation counters)."""
AVERAGING_S = 1.0
"""Assumed: how long the averaged power looks back is not documented."""
STEP_W = 1.0
MOST_LIKELY_WATTS = 100_000
"""Power caps come in microwatts, in earlier releases in watts: no socket has a limit of 100 kW."""
NOT_INSTALLED = (
    "the module amdsmi is not installed: it comes with ROCm (pip install /opt/rocm/share/amd_smi), or "
    "`pip install amdsmi` where the versions agree"
)


class AmdSmiDriver:
    """Every GPU that AMD SMI sees, by its index.

    Args:
        library: a module with the names of ``amdsmi``; None: that one.
        clock: seconds of a clock that never goes back.
    """

    name = NAME

    def __init__(self, library: Any = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._library, self._clock = library, clock

    def find(self) -> Sequence[Found]:
        """One entry a GPU, or one that says why there is none."""
        try:
            library, handles = self._start()
        except MeterError as problem:
            return [Found(NAME, why_not=str(problem))]
        if not handles:
            return [Found(NAME, why_not="AMD SMI runs and sees no GPU")]
        return [self._found(library, handle, index) for index, handle in enumerate(handles)]

    def open(self, unit: str | None = None) -> AmdSmiMeter:
        """The GPU of an index (None: the first).

        Raises:
            MeterError: there is no driver, no such GPU, or it tells neither energy nor power.
        """
        library, handles = self._start()
        if not (unit or "0").isdigit() or int(unit or "0") >= len(handles):
            raise MeterError(f"amdsmi has no GPU {unit!r}; it sees {len(handles)}, counted from 0")
        return AmdSmiMeter(library, handles[int(unit or "0")], int(unit or "0"), self._clock)

    def _start(self) -> tuple[Any, list[Any]]:
        if self._library is None:
            try:
                # Where the shared library is missing, the import prints that and fails in one of several ways.
                with contextlib.redirect_stdout(io.StringIO()):
                    self._library = import_module("amdsmi")
            except ModuleNotFoundError:
                raise MeterError(NOT_INSTALLED) from None
            except (
                Exception
            ):  # its module runs code of the library at import: whatever that raises, there is none to use
                raise MeterError("libamd_smi.so is not found: AMD's driver and ROCm are not installed here") from None
        try:
            self._library.amdsmi_init()
            return self._library, list(self._library.amdsmi_get_processor_handles())
        except Exception as error:  # AmdSmiLibraryException, or what another version raises
            raise MeterError(f"AMD SMI does not start: {_line(error)}") from None

    def _found(self, library: Any, handle: Any, index: int) -> Found:
        try:
            info = AmdSmiMeter(library, handle, index, self._clock).info
        except MeterError as problem:
            return Found(NAME, str(index), _name(library, handle), why_not=str(problem))
        return Found(NAME, str(index), info.device, info=info)


class AmdSmiMeter:
    """One GPU."""

    def __init__(self, library: Any, handle: Any, index: int, clock: Callable[[], float]) -> None:
        self._library, self._handle, self._clock = library, handle, clock
        counter = self._counter()
        kind = self._power()[1]
        if counter is None and kind is None:
            raise MeterError(
                f"amdsmi:{index} tells neither its energy nor its power (virtual machines are not told the energy)"
            )
        averaging = AVERAGING_S if kind == AVERAGE else 0.0
        self.info: MeterInfo = MeterInfo(
            meter=NAME,
            unit=str(index),
            device=_name(library, handle),
            counters=() if counter is None else (Counter("gpu", counter[1]),),
            power=kind,
            averaging_s=averaging,
            power_step_w=STEP_W,
            update_s=UPDATE_S,
            # A counter may turn out to stand still: windows are long enough for the power, too.
            settle_s=2.0 + 2 * averaging,
            min_window_s=3.0 if not averaging else 10.5 * averaging,
            caveats=()
            if counter is not None
            else ("integrated power: what happens between two readings is not in it",),
        )

    def clock(self) -> float:
        """Seconds of the driver's clock."""
        return self._clock()

    def read(self, *, conditions: bool = False) -> Reading:
        """Counter and power, and the conditions where they are asked for.

        Raises:
            MeterError: the GPU tells nothing any more.
        """
        begin = self.clock()
        counter = self._counter() if self.info.counters else None
        power, _ = self._power()
        if (self.info.counters and counter is None) or (self.info.power and power is None):
            raise MeterError(f"{self.info.name} stopped: it no longer tells what it told")
        middle = (begin + self.clock()) / 2
        energy = {} if counter is None else {"gpu": counter[0]}
        return Reading(middle, energy, power, self._conditions() if conditions else None)

    def close(self) -> None:
        """End what the driver began."""
        self._ask("amdsmi_shut_down", device=False)

    def _counter(self) -> tuple[float, float] | None:
        """Joules, and the joules of one step."""
        told = self._ask("amdsmi_get_energy_count")
        # `power` is the accumulator's name before ROCm 6.1.
        count = None if told is None else told.get("energy_accumulator", told.get("power"))
        step = None if told is None else _number(told.get("counter_resolution"))
        return None if not isinstance(count, int) or not step else (count * step * 1e-6, step * 1e-6)

    def _power(self) -> tuple[float | None, str | None]:
        """Watts, and whether they are the power now or an average."""
        told = self._ask("amdsmi_get_power_info") or {}
        for key, kind in (("current_socket_power", INSTANT), ("average_socket_power", AVERAGE)):
            value = _number(told.get(key))
            if value is not None:
                return value, kind
        return None, None

    def _conditions(self) -> Conditions:
        library = self._library
        kinds = getattr(library, "AmdSmiClkType", None)
        cap = _number((self._ask("amdsmi_get_power_cap_info") or {}).get("power_cap"))
        return Conditions(
            clock_mhz=self._clock_mhz(getattr(kinds, "GFX", None)),
            mem_clock_mhz=self._clock_mhz(getattr(kinds, "MEM", None)),
            temperature_c=self._temperature_c(),
            power_limit_w=None if not cap else cap if cap < MOST_LIKELY_WATTS else cap * 1e-6,
        )

    def _clock_mhz(self, kind: Any) -> float | None:
        told = self._ask("amdsmi_get_clock_info", kind) or {}
        return _number(told.get("clk", told.get("cur_clk")))

    def _temperature_c(self) -> float | None:
        metric = getattr(getattr(self._library, "AmdSmiTemperatureMetric", None), "CURRENT", None)
        kinds = getattr(self._library, "AmdSmiTemperatureType", None)
        for name in ("JUNCTION", "HOTSPOT", "EDGE"):
            value = _number(self._ask("amdsmi_get_temp_metric", getattr(kinds, name, None), metric))
            if value is not None:
                return value
        return None

    def _ask(self, function: str, *arguments: Any, device: bool = True) -> Any:
        """What AMD SMI says, or None where this GPU or version does not tell."""
        try:
            call = getattr(self._library, function)
            return call(self._handle, *arguments) if device else call(*arguments)
        except Exception:  # another package's classes; a side reading that a GPU lacks must not end a measurement
            return None


def _number(value: Any) -> float | None:
    """A number; None for ``N/A``, and for the largest values of 16 and 32 bits, which stand for it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if value in (0xFFFF, 0xFFFFFFFF) else float(value)


def _name(library: Any, handle: Any) -> str:
    try:
        return str(library.amdsmi_get_gpu_asic_info(handle)["market_name"])
    except Exception:  # another package's classes; only a name hangs on it
        return "AMD GPU"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

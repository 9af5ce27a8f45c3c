"""Meters of energy and power behind one interface.

    >>> from perfmodel.collect.meters import measure, open_meter
    >>> window = measure(open_meter("rapl"), work)  # doctest: +SKIP
    >>> window.measured, window.power_w, window.power_std_w  # doctest: +SKIP

`base` has the interface, `nvml`, `amd_smi` and `rapl` the drivers, `replay` recordings; `measure` runs work under a meter,
and `window` turns readings into an energy with its uncertainty and says whether that is a measurement.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from perfmodel.collect.meters.base import GROUP, Conditions, Counter, Found, Meter, MeterDriver, MeterInfo, Reading
from perfmodel.collect.meters.measure import measure, watch
from perfmodel.collect.meters.window import Window, window_of
from perfmodel.errors import InputError, MeterError, PerfmodelError, checked_keywords, nearest
from perfmodel.plugins import make_registered, registered

__all__ = [
    "Conditions", "Counter", "Found", "Meter", "MeterDriver", "MeterInfo", "Reading", "Window", "driver", "driver_names",
    "find_meters", "measure", "open_meter", "watch", "window_of",
]  # fmt: skip

_OURS = {
    "nvml": "nvml:NvmlDriver",
    "amdsmi": "amd_smi:AmdSmiDriver",
    "rapl": "rapl:RaplDriver",
    "replay": "replay:ReplayDriver",
}
"""Drivers of perfmodel: module and class, imported when they are asked for."""


@checked_keywords()
def driver_names() -> list[str]:
    """Drivers of perfmodel, then those of other packages."""
    return [*_OURS, *(name for name in sorted(registered(GROUP)) if name not in _OURS)]


@checked_keywords()
def driver(name: str) -> MeterDriver:
    """A driver by name; ours come before those that packages register.

    Raises:
        InputError: there is none of that name, or several packages register it.
        MeterError: that of another package cannot be made, or is no driver.
    """
    if name in _OURS:
        module, _, cls = _OURS[name].partition(":")
        ours: MeterDriver = getattr(import_module(f"{__name__}.{module}"), cls)()
        return ours
    found = make_registered(GROUP, "meter", name, MeterError)
    if found is None:
        raise InputError(f"no meter is called {name!r}: {nearest(name, driver_names())}")
    made, origin = found
    if not isinstance(made, MeterDriver):
        lacks = ", ".join(part for part in ("name", "find", "open") if not hasattr(made, part))
        raise MeterError(f"{origin} makes a {type(made).__name__}, which is no driver of meters: it lacks {lacks}")
    return made


@checked_keywords()
def open_meter(name: str) -> Meter:
    """A meter by ``driver`` or ``driver:unit``, as in ``rapl``, ``nvml:1``, ``replay:readings.jsonl``.

    Raises:
        InputError: an unknown name, or a recording that is none.
        MeterError: it is not there or may not be read; the line says what to do.
        MissingExtraError: a package that it needs is not installed.
    """
    kind, colon, unit = name.partition(":")
    return driver(kind).open(unit if colon else None)


@checked_keywords()
def find_meters() -> Iterator[Found]:
    """Every unit of every driver, usable or not. Never raises."""
    for name in driver_names():
        try:
            yield from driver(name).find()
        except PerfmodelError as problem:
            yield Found(name, why_not=str(problem))
        except Exception as problem:  # whatever another package's code raises
            reason = " ".join(str(problem).split()) or "no message"
            yield Found(name, why_not=f"{type(problem).__name__}: {reason}")

"""Recordings of meters, and the meter that plays them again.

A recording is a text file of JSON objects, one a line: the header with the meter's description, then one reading after
the other, in seconds, joules, watts, megahertz and degrees Celsius::

    {"format": "perfmodel-readings", "version": 1, "info": {"meter": "nvml", "unit": "0", ...}}
    {"time_s": 12.02, "energy_j": {"gpu": 81234.551}, "power_w": 312.4, "conditions": {"clock_mhz": 1755.0, ...}}

It keeps where its readings come from (``origin``): what was synthesised stays synthesised when it is played.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from perfmodel.collect.meters.base import (
    AVERAGE,
    BETWEEN,
    INSTANT,
    ORIGINS,
    THREAD,
    Conditions,
    Counter,
    Found,
    Meter,
    MeterInfo,
    Reading,
)  # fmt: skip
from perfmodel.errors import InputError, MeterError, is_finite_number
from perfmodel.files import write_whole

NAME = "replay"
FORMAT, VERSION = "perfmodel-readings", 1
MOST_BYTES = 256_000_000
MOST_CHARACTERS = 1_000_000
"""Of a line."""
MOST_NUMBERS = 5_000_000
"""Times and counters of a recording, all readings together: 7 hours of a meter with one counter, read each 10 ms."""


class Recorder:
    """A meter that keeps what another one reads.

    Attributes:
        readings: everything that was read, in order.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.readings: list[Reading] = []

    @property
    def info(self) -> MeterInfo:
        """That of the other meter."""
        return self._meter.info

    def clock(self) -> float:
        """That of the other meter."""
        return self._meter.clock()

    def read(self, *, conditions: bool = False) -> Reading:
        """A reading of the other meter, which is kept."""
        reading = self._meter.read(conditions=conditions)
        self.readings.append(reading)
        return reading

    def close(self) -> None:
        """Close the other meter."""
        self._meter.close()


class ReplayMeter:
    """Plays a recording: each reading is the next one of the file, and its clock stands at the last one.

    Time passes only as it is read, so that work of any kind, also none, can be measured with it.

    Attributes:
        info: as recorded, but read between pieces of work and at every opportunity.
        recorded: as recorded.
        readings: all of the recording.
    """

    def __init__(self, info: MeterInfo, readings: Sequence[Reading]) -> None:
        # Every reading is played: between two pieces of work one, however long they take here.
        self.info: MeterInfo = dataclasses.replace(info, sampling=BETWEEN, interval_s=0.0)
        self.recorded = info
        self.readings = readings
        self._next = 0

    def clock(self) -> float:
        """The time of the last reading (of the first one, before any)."""
        return self.readings[max(self._next - 1, 0)].time_s

    def read(self, *, conditions: bool = False) -> Reading:
        """The next reading, with its conditions where it has some.

        Raises:
            MeterError: the recording is over.
        """
        if self._next == len(self.readings):
            span = self.readings[-1].time_s - self.readings[0].time_s
            raise MeterError(f"the recording of {self.info.name} is over after {span:.3g} s; more was asked for")
        self._next += 1
        return self.readings[self._next - 1]

    def close(self) -> None:
        """Nothing is held open."""


class ReplayDriver:
    """Opens recordings: the unit is the path of a file."""

    name = NAME

    def find(self) -> Sequence[Found]:
        """One entry that says how it is used."""
        return [Found(NAME, why_not="plays a recording: --meter replay:FILE")]

    def open(self, unit: str | None = None) -> ReplayMeter:
        """The meter of a recording.

        Raises:
            MeterError: no file is given.
            InputError: it is no recording.
        """
        if unit is None:
            raise MeterError("replay needs the file of a recording: replay:FILE")
        return ReplayMeter(*load_readings(unit))


# ------------------------------------------------------------------------------------------------ files


def save_readings(path: str | Path, info: MeterInfo, readings: Sequence[Reading]) -> None:
    """Writes a recording, complete or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    header = {"format": FORMAT, "version": VERSION, "info": dataclasses.asdict(info)}
    lines = [json.dumps(header, allow_nan=False)]
    lines += [json.dumps(_plain(reading), allow_nan=False) for reading in readings]
    try:
        write_whole(path, ("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def _plain(reading: Reading) -> dict[str, Any]:
    found: dict[str, Any] = {"time_s": reading.time_s}
    if reading.energy_j:
        found["energy_j"] = dict(reading.energy_j)
    if reading.power_w is not None:
        found["power_w"] = reading.power_w
    if reading.conditions is not None:
        found["conditions"] = {k: v for k, v in dataclasses.asdict(reading.conditions).items() if v is not None}
    return found


def load_readings(path: str | Path) -> tuple[MeterInfo, list[Reading]]:
    """A recording.

    Raises:
        InputError: it is no recording; the file, the line and what was wanted.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES} bytes, which no recording has")
        with path.open(encoding="utf-8") as file:
            return _read(path, _lines(path, file))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no recording of a meter: it is no text") from None


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, str]]:
    """The lines and their numbers, one after the other: a file that unpacks to gigabytes is refused before it has."""
    number = 0
    while line := file.readline(MOST_CHARACTERS + 1):
        number += 1
        if len(line) > MOST_CHARACTERS:
            raise InputError(f"{path}: line {number} has more than {MOST_CHARACTERS} characters, which no reading has")
        yield number, line


def _read(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[MeterInfo, list[Reading]]:
    first, second = next(lines, None), next(lines, None)
    if first is None or second is None:
        raise InputError(f"{path} is no recording of a meter: wanted a header and readings, one a line")
    header = _object(path, *first)
    if header.get("format") != FORMAT:
        raise InputError(f"{path}: line 1: format {header.get('format')!r}; wanted {FORMAT!r}")
    if header.get("version") != VERSION:
        raise InputError(f"{path}: version {header.get('version')!r} is not known here; wanted {VERSION}")
    info = _info(path, header.get("info"))
    names = {c.name for c in info.counters}
    readings: list[Reading] = []
    for number, line in chain([second], lines):
        reading = _reading(path, number, _object(path, number, line), names)
        if readings and reading.time_s <= readings[-1].time_s:
            raise InputError(f"{path}: line {number}: time_s is not after that of the line before")
        readings.append(reading)
        if len(readings) * (1 + len(names)) > MOST_NUMBERS:
            raise InputError(
                f"{path}: line {number}: more than {MOST_NUMBERS} times and counters; wanted a shorter recording, or several"
            )
    return info, readings


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{path}: line {number}: wanted a JSON object")
    return value


_TEXTS = {"power": (None, INSTANT, AVERAGE), "sampling": (THREAD, BETWEEN), "origin": ORIGINS}


def _info(path: Path, value: Any) -> MeterInfo:
    where = f"{path}: line 1: info"
    fields = {f.name for f in dataclasses.fields(MeterInfo)}
    if not isinstance(value, dict) or not {"meter", "unit", "device", "origin"} <= set(value) <= fields:
        raise InputError(f"{where}: wanted meter, unit, device, origin and, of the others, {', '.join(sorted(fields))}")
    found = dict(value)
    for name, known in _TEXTS.items():
        if name in found and found[name] not in known:
            raise InputError(f"{where}: {name} is {found[name]!r}; wanted one of {', '.join(map(str, known))}")
    for name in ("averaging_s", "power_step_w", "update_s", "interval_s", "settle_s", "min_window_s"):
        if name in found:
            found[name] = _number(where, name, found[name], least=0.0)
    for name in ("meter", "unit", "device"):
        if not isinstance(found[name], str):
            raise InputError(f"{where}: {name} is no text")
    caveats = found.get("caveats", [])
    if not (isinstance(caveats, list) and all(isinstance(c, str) for c in caveats)):
        raise InputError(f"{where}: caveats is no list of texts")
    found["caveats"] = tuple(caveats)
    found["counters"] = tuple(_counter(where, c) for c in _list(where, "counters", found.get("counters", [])))
    return MeterInfo(**found)


def _counter(where: str, value: Any) -> Counter:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise InputError(f"{where}: a counter is no object with a name")
    range_j = value.get("range_j")
    return Counter(
        name=value["name"],
        step_j=_number(where, "step_j", value.get("step_j"), least=0.0),
        range_j=None if range_j is None else _number(where, "range_j", range_j, least=0.0),
        in_total=value.get("in_total", True) is True,
    )


def _reading(path: Path, number: int, value: Mapping[str, Any], names: set[str]) -> Reading:
    where = f"{path}: line {number}"
    energy = value.get("energy_j", {})
    if not isinstance(energy, dict) or set(energy) != names:
        raise InputError(f"{where}: energy_j has {_shown(energy)}; wanted the counters {sorted(names)}")
    power = value.get("power_w")
    conditions = value.get("conditions")
    return Reading(
        time_s=_number(where, "time_s", value.get("time_s")),
        energy_j={name: _number(where, name, v, least=0.0) for name, v in energy.items()},
        power_w=None if power is None else _number(where, "power_w", power, least=0.0),
        conditions=None if conditions is None else _conditions(where, conditions),
    )


def _conditions(where: str, value: Any) -> Conditions:
    fields = {f.name for f in dataclasses.fields(Conditions)}
    if not isinstance(value, dict) or not set(value) <= fields:
        raise InputError(f"{where}: conditions are no object with {', '.join(sorted(fields))}")
    found: dict[str, Any] = {n: _number(where, n, v) for n, v in value.items() if n != "throttle"}
    if "throttle" in value:
        found["throttle"] = tuple(str(reason) for reason in _list(where, "throttle", value["throttle"]))
    return Conditions(**found)


def _list(where: str, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where}: {name} is no list")
    return value


def _number(where: str, name: str, value: Any, *, least: float = -math.inf) -> float:
    if not is_finite_number(value) or value < least:
        raise InputError(
            f"{where}: {name} is {_shown(value)}; wanted a number" + (" of 0 or more" if least == 0 else "")
        )
    return float(value)


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, dict) else value)
    return text if len(text) <= 80 else text[:77] + "..."

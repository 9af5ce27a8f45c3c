"""Reading a device TOML: every number checked, every number with its source.

The file is hostile until parsed. Whatever is wrong with it is one :class:`~perfmodel.errors.DeviceError` that names the
file, the field, what was got and what was wanted. The format is described in ``docs/device-files.md``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from perfmodel.dtypes import ARITHMETICS
from perfmodel.errors import DeviceError, nearest
from perfmodel.files import is_storable, parse_toml
from perfmodel.hardware.device import Device
from perfmodel.hardware.fields import (
    ARITHMETIC_FIELDS,
    CALIBRATED_FIELDS,
    COMPULSORY,
    NUMBER_FIELDS,
    Quantity,
    number_field,
    number_of,
)
from perfmodel.hardware.siblings import nearest_sibling

SCHEMA_VERSION = 1

KINDS = ("gpu", "cpu", "tpu")
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_FAMILY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MEASURED_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_IDENTITY = ("id", "name", "vendor", "kind", "family", "compute_capability")
_FIELDS = ("schema", *_IDENTITY, "sources", "measured", "calibrated", *NUMBER_FIELDS, *ARITHMETIC_FIELDS)


def parse_device(text: str, where: str, known: Callable[[], Iterable[Device]] | None = None) -> Device:
    """A device record from the text of a device TOML.

    Args:
        text: the file's content.
        where: the file's name, for messages.
        known: gives the devices whose numbers may stand in a message beside a wrong one; asked only when there is one.

    Raises:
        DeviceError: the text is not TOML or breaks the schema; the message is one line.
    """
    return _Parser(where, known).device(_toml(text, where))


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise DeviceError(f"{where}: {_one_line(str(error))}") from None


def _one_line(text: str, limit: int = 200) -> str:
    """``text`` without control characters and not longer than ``limit``."""
    text = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _shown(value: object) -> str:
    """What was got, short and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 100:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _one_line(repr(value[:60]), 64)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return _one_line(f"{type(value).__name__} {value}", 60)


class _Parser:
    def __init__(self, where: str, known: Callable[[], Iterable[Device]] | None) -> None:
        self.where = where
        self.known = known
        self.toml: dict[str, Any] = {}
        self.citations: dict[str, str] = {}  # key of [sources] -> citation
        self.sources: dict[str, str] = {}  # field -> citation

    def fail(self, field: str, problem: str) -> NoReturn:
        raise DeviceError(f"{self.where}: {_one_line(field, 100)}: {problem}{self._sibling(field)}")

    def _sibling(self, field: str) -> str:
        """What the most similar known device has for a number; empty where that says nothing."""
        field = field.removesuffix(".value")
        if self.known is None or number_field(field) is None or field in ARITHMETIC_FIELDS:
            return ""
        sibling = nearest_sibling(field, self.toml, dict(_numbers(self.toml)), self.known())
        return "" if sibling is None else f"; {sibling.id} has {number_of(sibling, field):.6g}"

    def device(self, toml: dict[str, Any]) -> Device:
        self.toml = toml
        self._version(toml)
        self._known(toml, _FIELDS, "", "field")
        values: dict[str, Any] = {name: self._identity(toml, name) for name in _IDENTITY}
        self._citations(toml.get("sources"))
        for name, field in NUMBER_FIELDS.items():
            if name in toml:
                values[name] = self._number(name, toml[name], field.quantity)
        for name, field in ARITHMETIC_FIELDS.items():
            if name in toml:
                table = self._table(name, toml[name])
                self._known(table, ARITHMETICS, f"{name}.", "arithmetic")
                values[name] = {a: self._number(f"{name}.{a}", table[a], field.quantity) for a in table}
        if "measured" in toml:
            values["measured"] = dict(self._measured("measured", self._table("measured", toml["measured"])))
        if "calibrated" in toml:
            table = self._table("calibrated", toml["calibrated"])
            self._known(table, CALIBRATED_FIELDS, "calibrated.", "constant")
            values["calibrated"] = {
                name: self._number(f"calibrated.{name}", entry, CALIBRATED_FIELDS[name].quantity)
                for name, entry in table.items()
            }
        for compulsory in COMPULSORY:
            if compulsory not in self.sources:
                self.fail(compulsory, f"missing; a device needs {', '.join(COMPULSORY)}")
        device = Device(**values, sources=self.sources)
        self._consistent(device)
        return device

    def _version(self, toml: dict[str, Any]) -> None:
        version = toml.get("schema")
        if version is None:
            self.fail("schema", f"missing; wanted schema = {SCHEMA_VERSION} (is this a device TOML?)")
        if type(version) is not int or version < 1:
            self.fail("schema", f"got {_shown(version)}, wanted {SCHEMA_VERSION}")
        if version > SCHEMA_VERSION:
            self.fail(
                "schema", f"got {_shown(version)}; this perfmodel reads up to {SCHEMA_VERSION}: a newer one wrote it"
            )

    def _known(self, table: dict[str, Any], known: Iterable[str], prefix: str, noun: str) -> None:
        known = tuple(known)
        for key in table:
            if key not in known:
                self.fail(
                    prefix + key, f"unknown {noun}: {nearest(key[:60], known)}{self._likeliest(key, known, prefix)}"
                )

    def _likeliest(self, key: str, known: Iterable[str], prefix: str) -> str:
        """Unit of the number that a misspelt field is likeliest to be, and what the most similar known device has there."""
        likely = difflib.get_close_matches(key[:60].lower(), known, n=1, cutoff=0.5)
        field = number_field(prefix + likely[0]) if likely else None
        return "" if field is None else f" ({field.quantity.unit}{self._sibling(prefix + likely[0])})"

    def _table(self, field: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(field, f"got {_shown(value)}, wanted a table")
        return value

    def _text(self, field: str, value: object, limit: int) -> str:
        if not isinstance(value, str):
            self.fail(field, f"got {_shown(value)}, wanted a string")
        if not value.strip() or len(value) > limit or not value.isprintable():
            self.fail(field, f"got {_shown(value)}, wanted one line of 1 to {limit} printable characters")
        return value

    def _identity(self, toml: dict[str, Any], name: str) -> str | None:
        if name not in toml:
            if name == "compute_capability":  # only CUDA and ROCm devices have one
                return None
            self.fail(name, "missing; wanted a string")
        value = self._text(name, toml[name], 100)
        if name == "kind" and value not in KINDS:
            self.fail(name, f"got {_shown(value)}, wanted one of {', '.join(KINDS)}")
        if name == "id" and not _ID.fullmatch(value):
            self.fail(name, f"got {_shown(value)}, wanted at most 64 of a-z, 0-9, '-' and '.'")
        if name == "id" and not is_storable(value):
            self.fail(name, f"got {_shown(value)}, which cannot be the name of a file on every system; wanted another")
        if name == "family" and not _FAMILY.fullmatch(value):
            self.fail(name, f"got {_shown(value)}, wanted at most 64 of a-z, 0-9, '-', '_' and '.'")
        return value

    def _citations(self, value: object) -> None:
        if value is None:
            self.fail("sources", 'missing; every number needs a source: [sources] with key = "document, table, year"')
        for key, citation in self._table("sources", value).items():
            self.citations[key] = self._text(f"sources.{key}", citation, 1_000)

    def _number(self, field: str, value: object, quantity: Quantity) -> float:
        """One ``{ value, source }``; notes its source."""
        number = self._sourced(field, value, quantity.unit)
        if number <= 0:
            self.fail(field, f"got {_shown(number)}; wanted {quantity.unit}, above 0 (leave out what is unknown)")
        if not quantity.low <= number <= quantity.high:
            self._wrong_unit(field, number, quantity)
        if quantity.whole:
            if number != int(number):
                self.fail(field, f"got {_shown(number)}, wanted a whole number of {quantity.unit}")
            return int(number)
        return float(number)

    def _wrong_unit(self, field: str, number: float, quantity: Quantity) -> NoReturn:
        for unit, factor in quantity.mistaken:
            if quantity.typical[0] <= number * factor <= quantity.typical[1]:
                self.fail(
                    field,
                    f"got {_shown(number)}, which looks like {unit}; wanted {quantity.unit} ({number * factor:.6g})",
                )
        self.fail(
            field, f"got {_shown(number)}; wanted {quantity.unit}, between {quantity.low:g} and {quantity.high:g}"
        )

    def _sourced(self, field: str, value: object, unit: str) -> float:
        """The number of a ``{ value, source }`` table, finite but of any sign; notes its source."""
        form = f'{{ value = ..., source = "key of [sources]" }} in {unit}'
        if not isinstance(value, dict):
            # The commonest slip gets its own sentence: a number is refused for its missing source, not for its type.
            bare = type(value) in (int, float)
            self.fail(field, f"got {_shown(value)}{', a number without a source' if bare else ''}; wanted {form}")
        self._known(value, ("value", "source"), f"{field}.", "key")
        for key in ("value", "source"):
            if key not in value:
                self.fail(field, f"has no {key}; wanted {form}")
        number, source = value["value"], value["source"]
        if type(number) not in (int, float):
            self.fail(f"{field}.value", f"got {_shown(number)}, wanted a number in {unit}")
        if (isinstance(number, int) and number.bit_length() > 100) or not math.isfinite(number):
            self.fail(f"{field}.value", f"got {_shown(number)}, wanted a finite number in {unit}")
        if not isinstance(source, str) or source not in self.citations:
            hint = nearest(source[:60], self.citations) if isinstance(source, str) and self.citations else "add it"
            self.fail(f"{field}.source", f"got {_shown(source)}, which is not a key of [sources]: {_one_line(hint)}")
        self.sources[field] = self.citations[source]
        return float(number) if isinstance(number, float) else number

    def _measured(self, field: str, table: dict[str, Any], depth: int = 1) -> Iterator[tuple[str, float]]:
        """Free keys, possibly in sub-tables, flattened to dotted names without the leading ``measured.``."""
        for key, value in table.items():
            name = f"{field}.{key}"
            if not _MEASURED_KEY.fullmatch(key):
                self.fail(name, "wanted a name of at most 64 of a-z, 0-9, '_' and '-'")
            if isinstance(value, dict) and value and not {"value", "source"} & value.keys():
                if depth == 4:
                    self.fail(name, "tables of measured numbers nest at most 4 deep")
                yield from self._measured(name, value, depth + 1)
            else:
                yield name.removeprefix("measured."), float(self._sourced(name, value, "SI units"))

    def _consistent(self, device: Device) -> None:
        """Refuses numbers that contradict each other grossly; small differences are the vendors' roundings."""
        for arithmetic, per_clock in device.flops_per_clock_per_unit.items():
            peak, clock = device.peak_flops.get(arithmetic), device.clock_hz(arithmetic)
            if peak is not None and clock is not None and device.units is not None:
                self._ratio(
                    f"peak_flops.{arithmetic}",
                    peak,
                    device.units * clock * per_clock,
                    "units x clock x flops_per_clock_per_unit (peaks are dense: is this the figure with sparsity?)",
                )
        if device.memory_bus_bits is not None and device.memory_rate_bits_per_s_per_pin is not None:
            self._ratio(
                "memory_bandwidth_bytes_per_s",
                device.memory_bandwidth_bytes_per_s,
                device.memory_bus_bits * device.memory_rate_bits_per_s_per_pin / 8,
                "memory_bus_bits x memory_rate_bits_per_s_per_pin / 8",
            )
        for small, large in (
            ("base_clock_hz", "peak_clock_hz"),
            ("idle_power_w", "tdp_w"),
            ("shared_bytes_per_unit", "l1_bytes_per_unit"),
        ):
            low, high = getattr(device, small), getattr(device, large)
            if low is not None and high is not None and low > high:
                self.fail(small, f"got {low:g}, more than {large} ({high:g})")

    def _ratio(self, field: str, got: float, expected: float, product: str) -> None:
        # 1.5: boost clocks and effective rates differ between documents by up to a fifth, sparsity by two.
        if not 1 / 1.5 < got / expected < 1.5:
            self.fail(field, f"got {got:.4g}, which is {got / expected:.3g} times {product} = {expected:.4g}")


def _numbers(toml: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number that a file gives as ``{ value, source }``, right or wrong, by the name of its field."""
    for name in NUMBER_FIELDS:
        yield from _value(name, toml.get(name))
    for name in ARITHMETIC_FIELDS:
        table = toml.get(name)
        if isinstance(table, dict):
            for arithmetic, entry in table.items():
                yield from _value(f"{name}.{arithmetic}", entry)


def _value(name: str, entry: object) -> Iterator[tuple[str, float]]:
    value = entry.get("value") if isinstance(entry, dict) else None
    if type(value) is float or (type(value) is int and value.bit_length() <= 100):
        yield name, float(value)

"""Writing a device record as a device TOML, from which :func:`perfmodel.hardware.load_device` reads the same record."""

from __future__ import annotations

import json
from collections.abc import Iterator

from perfmodel.hardware.device import Device
from perfmodel.hardware.fields import ARITHMETIC_FIELDS, NUMBER_FIELDS

_HEAD = "# Written by perfmodel. docs/device-files.md has the rules; `perfmodel devices FILE` shows the file."
_FREE_TABLES = {
    "calibrated": "Constants of the analytical model fitted to this device, in place of those of all devices.",
    "measured": "Ceilings that were measured, beside the datasheet's.",
}


def device_toml(device: Device) -> str:
    """The text of a device TOML that holds the record, every number with its source.

    Args:
        device: its ``sources`` name each of its numbers.
    """
    keys: dict[str, str] = {}  # citation -> its key in [sources]

    def number(name: str, shown: str, value: float) -> str:
        key = keys.setdefault(device.sources[name], f"source-{len(keys) + 1}")
        # repr is the shortest text that reads back as the same number.
        return f'{shown} = {{ value = {value!r}, source = "{key}" }}'

    lines = [_HEAD, "schema = 1", *_identity(device), ""]
    for name in NUMBER_FIELDS:
        value = getattr(device, name)
        if value is not None:
            lines.append(number(name, name, value))
    for table in ARITHMETIC_FIELDS:
        values = getattr(device, table)
        if values:
            lines += ["", f"[{table}]", *(number(f"{table}.{a}", a, v) for a, v in values.items())]
    for table, meaning in _FREE_TABLES.items():
        values = getattr(device, table)
        if values:
            lines += ["", f"# {meaning}", f"[{table}]"]
            lines += [number(f"{table}.{name}", _dotted(name), value) for name, value in values.items()]
    lines += ["", "[sources]", *(f"{key} = {_text(citation)}" for citation, key in keys.items())]
    return "\n".join(lines) + "\n"


def _identity(device: Device) -> Iterator[str]:
    for name in ("id", "name", "vendor", "kind", "family", "compute_capability"):
        value = getattr(device, name)
        if value is not None:
            yield f"{name} = {_text(value)}"


def _dotted(name: str) -> str:
    """A flattened name of nested tables, each part quoted: TOML reads dots as nesting."""
    return ".".join(json.dumps(part) for part in name.split("."))


def _text(text: str) -> str:
    """A TOML string; JSON's is one, for text that a device file may hold."""
    return json.dumps(text, ensure_ascii=False)

"""``perfmodel devices``."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from perfmodel.cli import options, units
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.errors import PerfmodelError

if TYPE_CHECKING:
    from perfmodel.hardware import Device

Learned: TypeAlias = dict[str, dict[str, dict[str, list[str]]]]

DESCRIPTION = "The catalogue of devices, or everything known of one, each number with its source."
EXAMPLE = "perfmodel devices h100-sxm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "device", metavar="ID", nargs="?", help="a device id or a device TOML; without it all devices are listed"
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the catalogue or one device; write the JSON where it was asked for."""
    from perfmodel.hardware import device_ids, load_device

    known = learned()
    if arguments.device is None:
        devices = [load_device(name) for name in device_ids()]
        result: dict[str, Any] = {"devices": [record(d, known) for d in devices]}
    else:
        devices = [load_device(arguments.device)]
        result = record(devices[0], known)
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json == TO_STDOUT:
        return 0
    if arguments.device is None:
        _print_catalogue(devices, known)
    else:
        _print_device(devices[0], known)
    return 0


def learned() -> Learned:
    """What the shipped predictor has learned from measurements; empty where it is not installed.

    Returns:
        Software stacks by dtype by operator family by device id.
    """
    from perfmodel.models.predictor import load

    result: Learned = {}
    try:
        residuals = load().residuals
    except PerfmodelError:  # the catalogue is worth showing all the same; `predict` reports what is wrong
        return result
    for (device, dtype), residual in sorted(residuals.items()):
        result.setdefault(device, {}).setdefault("gemm", {})[dtype] = list(residual.software)
    return result


def record(device: Device, known: Learned) -> dict[str, Any]:
    """The device's fields under their own names, in SI units, and what is learned of it; None is unknown."""
    fields = {f.name: getattr(device, f.name) for f in dataclasses.fields(device)}
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
    return plain | {"learned": known.get(device.id, {})}


def _print_catalogue(devices: list[Device], known: Learned) -> None:
    from perfmodel.cli.tables import plain_table, safe

    table = plain_table()
    table.add_column("device", no_wrap=True)
    table.add_column("name", overflow="fold")
    for heading in ("16-bit", "fp8", "fp32", "TB/s", "GB", "W"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("learned")
    for d in devices:
        sixteen = d.peak_flops.get("bf16", d.peak_flops.get("fp16"))
        figures = (sixteen, d.peak_flops.get("fp8"), d.peak_flops.get("fp32"), d.memory_bandwidth_bytes_per_s)
        table.add_row(
            safe(d.id),
            # The ids tell the vendor, and the memory has a column of its own.
            safe(re.sub(r" \d+GB$", "", d.name.removeprefix(f"{d.vendor} "))),
            *(_in(1e12, f) for f in figures),
            _in(1e9, d.memory_bytes),
            _in(1, d.tdp_w),
            ", ".join(known.get(d.id, ())) or "-",
        )
    screen = console()
    screen.print(table)
    screen.print("16-bit (bf16, else fp16), fp8, fp32: dense peaks in TFLOP/s; TB/s, GB: memory;")
    screen.print("W: TDP; learned: operators that the shipped predictor has measurements of;")
    screen.print("`-`: none, or unknown. `perfmodel devices ID` shows all that is known of one.")


def _in(unit: float, value: float | None) -> str:
    return "-" if value is None else units.digits(value / unit)


def _print_device(device: Device, known: Learned) -> None:
    from perfmodel.cli.tables import plain_table, safe

    table = plain_table()
    table.add_column("field", no_wrap=True)
    table.add_column("value", justify="right", overflow="fold")
    table.add_column("source", justify="right", no_wrap=True)
    # Most numbers of a device share a few sources: each is printed once, below.
    numbers: dict[str, int] = {}
    for name, value in _flat(device):
        source = device.sources.get(name)
        mark = f"[{numbers.setdefault(source, len(numbers) + 1)}]" if source else ""
        table.add_row(safe(name), safe(_readable(name, value)), mark)
    screen = console()
    screen.print(safe(f"{device.id}: {device.name}"), style="bold")
    screen.print(table)
    for source, number in numbers.items():
        screen.print(safe(f"[{number}] {source}"))
    if device.id not in known:
        screen.print("\nThe shipped predictor has no measurements of this device: its physics alone decides.")
        return
    screen.print("\nThe shipped predictor has measurements of")
    for family, dtypes in known[device.id].items():
        for dtype, software in dtypes.items():
            screen.print(safe(f"  {family} {dtype}: {', '.join(software)}"))


def _flat(device: Device) -> Iterator[tuple[str, Any]]:
    """Every field by the name that its source stands under (``peak_flops.bf16``)."""
    for field in dataclasses.fields(device):
        if field.name in ("id", "name", "sources"):
            continue
        value = getattr(device, field.name)
        if isinstance(value, Mapping):
            yield from ((f"{field.name}.{key}", item) for key, item in value.items())
        else:
            yield field.name, value


def _readable(name: str, value: Any) -> str:
    """A number in the unit that its name ends with."""
    if value is None:
        return units.UNKNOWN
    name = name.partition(".")[0]  # peak_flops.bf16
    if name == "peak_flops":
        return units.flop_rate(value)
    if name.endswith("bits_per_s_per_pin"):
        return f"{units.digits(value / 1e9)} Gbit/s"
    if name.endswith("bytes_per_s"):
        return units.bandwidth(value)
    if name == "memory_bytes":
        return units.size(value)
    if "_bytes" in name:
        return units.binary_size(value)
    if name.endswith("_hz"):
        return units.clock(value)
    if name.endswith("_w"):
        return units.power(value)
    return f"{value:g}" if isinstance(value, float) else str(value)

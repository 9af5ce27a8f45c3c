"""``perfmodel devices``."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from perfmodel import units
from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json, write_text
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError, PerfmodelError, nearest

if TYPE_CHECKING:
    from perfmodel.hardware import Device

Learned: TypeAlias = dict[str, dict[str, dict[str, list[str]]]]

DESCRIPTION = "The catalogue of devices, or everything known of one, each number with its source."
EXAMPLE = """perfmodel devices h100-sxm
  perfmodel devices --kind cpu
  perfmodel devices --template --like h100-pcie -o my-gpu.toml"""

KIND_ORDER = ("gpu", "tpu", "cpu")
NAMES_FROM_COLUMNS = 110
"""Terminals of this width have room for the devices' names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "device", metavar="ID", nargs="?", help="a device id or a device TOML; without it all devices are listed"
    )
    listing = parser.add_argument_group("which devices are listed")
    listing.add_argument("--kind", choices=("gpu", "cpu", "tpu"), help="only devices of this kind")
    listing.add_argument("--vendor", metavar="NAME", help="only devices of this vendor")
    listing.add_argument("--match", metavar="TEXT", help="only devices with this text in their id, name or family")
    template = parser.add_argument_group("a device file of your own")
    template.add_argument(
        "--template",
        action="store_true",
        help="write a device TOML to start from, every field with its unit and meaning",
    )
    template.add_argument("--like", metavar="ID", help="fill the template in with the numbers of this device")
    template.add_argument("-o", "--output", metavar="FILE", help="where the template goes; default: standard output")
    options.add_force_option(template)
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the catalogue or one device, or write a template; write the JSON where it was asked for."""
    from perfmodel.hardware import load_device

    _refuse_what_does_not_go_together(arguments)
    if arguments.template:
        return _write_template(arguments)
    with Progress("perfmodel devices") as progress:
        progress("reading the catalogue and what the shipped predictor learned")
        known = learned()
    if arguments.device is None:
        devices = list(_listed(arguments))
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


def _refuse_what_does_not_go_together(arguments: argparse.Namespace) -> None:
    filters = [f"--{name}" for name in ("kind", "vendor", "match") if getattr(arguments, name) is not None]
    template = [f"--{name}" for name in ("like", "output", "force") if getattr(arguments, name)]
    if template and not arguments.template:
        raise InputError(f"{template[0]} goes with --template")
    if arguments.template and (arguments.device is not None or filters or arguments.json is not None):
        raise InputError(
            "--template takes --like, --output and --force, and nothing else; for its numbers say --like ID"
        )
    if arguments.device is not None and filters:
        raise InputError(f"{filters[0]} chooses among all devices; leave {arguments.device!r} out")


def _write_template(arguments: argparse.Namespace) -> int:
    from perfmodel.hardware import catalogue, load_device
    from perfmodel.hardware.template import device_template

    like = None if arguments.like is None else load_device(arguments.like)
    text = device_template(catalogue().values(), like)
    write_text(text, arguments.output or TO_STDOUT, overwrite=arguments.force)
    if arguments.output not in (None, TO_STDOUT):
        console().print(
            f"{arguments.output}: put your device's numbers in, delete what you do not know; then "
            f"`perfmodel devices {arguments.output}` checks it",
            soft_wrap=True,
        )
    return 0


def _listed(arguments: argparse.Namespace) -> Iterator[Device]:
    """The devices that pass the filters, by vendor and kind.

    Raises:
        InputError: none does.
    """
    from perfmodel.hardware import LOCAL_CPU, catalogue, load_device

    devices = list(catalogue().values())
    vendors = sorted({d.vendor for d in devices})
    if arguments.kind in (None, "cpu"):  # this machine is measured only where it may be listed
        devices.append(load_device(LOCAL_CPU))
    text = (arguments.match or "").lower()
    vendor = arguments.vendor
    chosen = [
        d
        for d in devices
        if arguments.kind in (None, d.kind)
        and (vendor is None or vendor.lower() == d.vendor.lower())
        and any(text in part.lower() for part in (d.id, d.name, d.family))
    ]
    if not chosen:
        hint = f" (--vendor {vendor!r}: {nearest(vendor, vendors, limit=1, alike=0.7)})" if vendor is not None else ""
        raise InputError(f"no device is like that{hint}; `perfmodel devices` lists all of them")
    yield from sorted(chosen, key=lambda d: (KIND_ORDER.index(d.kind), -_count(devices, d), d.vendor, d.id))


def _count(devices: list[Device], device: Device) -> int:
    """How many devices share its vendor and kind: the largest groups come first."""
    return sum((d.vendor, d.kind) == (device.vendor, device.kind) for d in devices)


def learned() -> Learned:
    """What the shipped predictor has learned from measurements; empty where it is not installed.

    Returns:
        Software stacks (or kernels of theirs) by part, usually a dtype, by family of operators by device id.
    """
    from perfmodel.models.families import FAMILIES
    from perfmodel.models.predictor import load_trained

    result: Learned = {}
    try:
        residuals = load_trained().residuals
    except PerfmodelError:  # the catalogue is worth showing all the same; `predict` reports what is wrong
        return result
    order = list(FAMILIES)
    for (family, device, part), residual in sorted(residuals.items(), key=lambda item: order.index(item[0][0])):
        result.setdefault(device, {}).setdefault(family, {})[part] = list(residual.software)
    return result


def record(device: Device, known: Learned) -> dict[str, Any]:
    """The device's fields under their own names, in SI units, and what is learned of it; None is unknown."""
    fields = {f.name: getattr(device, f.name) for f in dataclasses.fields(device)}
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
    return plain | {"learned": known.get(device.id, {})}


def _print_catalogue(devices: list[Device], known: Learned) -> None:
    from perfmodel.cli.tables import plain_table, safe

    screen = console()
    named = screen.width >= NAMES_FROM_COLUMNS
    table = plain_table()
    table.add_column("device", no_wrap=True)
    for heading in ("16-bit", "fp8", "fp32", "TB/s", "GB", "W"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("learned", no_wrap=True)
    if named:
        table.add_column("name", overflow="fold")
    group = None
    for d in devices:
        if group != (d.vendor, d.kind):
            group = (d.vendor, d.kind)
            table.add_row(safe(f"{d.vendor} {d.kind.upper()}s"), style="bold")
        sixteen = d.peak_flops.get("bf16", d.peak_flops.get("fp16"))
        figures = (sixteen, d.peak_flops.get("fp8"), d.peak_flops.get("fp32"), d.memory_bandwidth_bytes_per_s)
        table.add_row(
            safe(d.id),
            *(_in(1e12, f) for f in figures),
            _in(1e9, d.memory_bytes),
            _in(1, d.tdp_w),
            _first_and_more(known.get(d.id, {})),
            # The heading tells the vendor, and the memory has a column of its own.
            *([safe(re.sub(r" \d+GB$", "", d.name.removeprefix(f"{d.vendor} ")))] if named else []),
        )
    screen.print(table)
    screen.print("16-bit (bf16, else fp16), fp8, fp32: dense peaks in TFLOP/s; TB/s, GB: memory;")
    screen.print("W: TDP; learned: operators that the shipped predictor has measurements of, the")
    screen.print("first and how many more; `-`: none, or unknown. `perfmodel devices ID` shows all")
    screen.print("that is known of one, `--kind`, `--vendor` and `--match` shorten the list.")


def _first_and_more(families: Mapping[str, Any]) -> str:
    """Families of operators, as short as a column has to be: ``gemm +12``."""
    first = next(iter(families), "-")
    return first if len(families) < 2 else f"{first} +{len(families) - 1}"


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
    for family, parts in known[device.id].items():
        for part, software in parts.items():
            screen.print(safe(f"  {family} {part}: {', '.join(_by_version(software))}"))


def _by_version(variants: Iterable[str]) -> list[str]:
    """The versions of stacks, with the number of their kernels where each is known by itself."""
    from perfmodel.models.learned import software_of

    kernels = Counter(software_of(v) for v in variants)
    return [version if count == 1 else f"{version} ({count} kernels)" for version, count in kernels.items()]


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

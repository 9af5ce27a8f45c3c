"""``perfmodel meters``."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, check_target, console, write_json
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.collect.meters import Found, MeterInfo, Reading, Window

DESCRIPTION = "Meters of energy and power: which can be read here and why others cannot; or read one for a while."
EXAMPLE = """perfmodel meters --json -
  perfmodel meters --meter rapl --seconds 30
  perfmodel meters --meter nvml:0 --seconds 10 -o readings.jsonl
  perfmodel meters --meter replay:readings.jsonl"""

SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "--meter",
        metavar="NAME",
        help="read this one (nvml, nvml:1, amdsmi:0, rapl, replay:FILE, ...) while other work runs, or none: then "
        "its power is the idle power; without it, all meters are listed",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=options.positive, help=f"how long the window is (default {SECONDS:g})"
    )
    parser.add_argument(
        "--settle",
        metavar="S",
        type=options.positive,
        help="seconds that are read before the window, with the same work (default: what the meter needs)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="keep the readings in this file, for replay:FILE")
    options.add_force_option(parser)
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the meters, or read one."""
    if arguments.meter is None:
        for name in ("seconds", "settle", "output"):
            if getattr(arguments, name) is not None:
                raise InputError(f"--{name} goes with --meter NAME")
        return _list(arguments)
    if arguments.output is not None:
        check_target(arguments.output, overwrite=arguments.force)
    window = _read(arguments)
    if arguments.json is not None:
        write_json(_window_json(window), arguments.json)
    if arguments.json != TO_STDOUT:
        _print_window(window)
    return 0


# -------------------------------------------------------------------------------------------------------- list


def _list(arguments: argparse.Namespace) -> int:
    from perfmodel.collect.meters import find_meters

    found = list(find_meters())
    if arguments.json is not None:
        write_json({"meters": [_found_json(f) for f in found]}, arguments.json)
    if arguments.json == TO_STDOUT:
        return 0
    from perfmodel.cli.tables import plain_table, safe

    screen = console()
    usable = [f for f in found if f.info is not None]
    if usable:
        table = plain_table()
        table.add_column("meter", no_wrap=True)
        table.add_column("device", overflow="fold")
        table.add_column("reads", overflow="fold")
        table.add_column("settle", justify="right", no_wrap=True)
        table.add_column("window", justify="right", no_wrap=True)
        for f in usable:
            if f.info is not None:
                times = (f"{s:g} s" for s in (f.info.settle_s, f.info.min_window_s))
                table.add_row(safe(f.info.name), safe(f.info.device), _reads(f.info), *times)
        screen.print(table)
        screen.print("settle: how long work runs before its window; window: the shortest that makes a label.")
    else:
        screen.print("No meter can be read here.")
    for f in found:
        if f.info is None:
            screen.print(safe(f"{_name(f)}: {f.why_not}"))
    return 0


def _name(found: Found) -> str:
    return found.meter if found.unit is None else f"{found.meter}:{found.unit}"


def _reads(info: MeterInfo) -> str:
    if info.counters:
        counted = sum(c.in_total for c in info.counters)
        return "energy counter" if counted == 1 else f"{counted} energy counters"
    return "power now" if not info.averaging_s else f"power, mean of {info.averaging_s:g} s"


def _found_json(found: Found) -> dict[str, Any]:
    info = found.info
    return {
        "name": _name(found),
        "meter": found.meter,
        "unit": found.unit,
        "device": found.device,
        "usable": info is not None,
        "why_not": found.why_not,
        "info": None if info is None else dataclasses.asdict(info),
    }


# -------------------------------------------------------------------------------------------------------- read


def _read(arguments: argparse.Namespace) -> Window:
    from perfmodel.collect.meters import open_meter, watch, window_of
    from perfmodel.collect.meters.replay import ReplayMeter, save_readings

    meter = open_meter(arguments.meter)
    try:
        if isinstance(meter, ReplayMeter):
            if arguments.output is not None:
                raise InputError("-o keeps readings of a meter; those of a recording are kept already")
            info, readings = meter.recorded, meter.readings
            span = readings[-1].time_s - readings[0].time_s
            # A recording that is too short to settle is judged whole, and is no measurement.
            settle = arguments.settle or (info.settle_s if info.settle_s < span else 0.0)
            begin = readings[0].time_s + settle
            end = readings[-1].time_s if arguments.seconds is None else begin + arguments.seconds
            return window_of(info, readings, begin, end, settled_s=settle)
        seconds = SECONDS if arguments.seconds is None else arguments.seconds
        kept: list[Reading] = []
        with Progress("perfmodel meters", ticks=False) as progress:
            try:
                window, _ = watch(
                    meter,
                    seconds,
                    settle_s=arguments.settle,
                    report=lambda left: progress(f"reading {arguments.meter}", remaining_s=left),
                    keep=kept.extend,
                )
            except KeyboardInterrupt as stop:
                if arguments.output is not None and len(kept) > 1:
                    save_readings(arguments.output, meter.info, kept)
                    stop.add_note(f"the readings until now are in {arguments.output}")
                raise
        if arguments.output is not None:
            save_readings(arguments.output, meter.info, kept)
        return window
    finally:
        meter.close()


def _window_json(window: Window) -> dict[str, Any]:
    from perfmodel.collect.meters.window import Z_90

    power, energy = window.power_w, window.energy_j
    spread_w, spread_j = Z_90 * window.power_std_w, Z_90 * window.energy_std_j
    return {
        "meter": window.info.name,
        "device": window.info.device,
        "measured": window.measured,
        "defects": list(window.defects),
        "caveats": list(window.info.caveats),
        "method": window.method,
        "duration_s": window.duration_s,
        "readings": window.readings,
        "power_w": {"value": power, "low": max(0.0, power - spread_w), "high": power + spread_w},
        "energy_j": {"value": energy, "low": max(0.0, energy - spread_j), "high": energy + spread_j},
        "parts_j": dict(window.parts_j),
        "uncertainty_j": dict(window.uncertainty_j),
        **dataclasses.asdict(window.conditions),
    }


def _print_window(window: Window) -> None:
    from perfmodel import units
    from perfmodel.cli.tables import plain_table, safe
    from perfmodel.collect.meters.window import Z_90

    spread = Z_90 * window.power_std_w
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    table.show_header = False
    table.add_row("meter", safe(f"{window.info.name}: {window.info.device}"))
    table.add_row("method", f"{window.method}, {window.readings} readings in {units.duration(window.duration_s)}")
    table.add_row("power", f"{units.power(window.power_w)} +- {units.power(spread)} (90 %)")
    table.add_row("energy", units.energy(window.energy_j))
    for name, joules in window.parts_j.items():
        if len(window.parts_j) > 1:
            table.add_row(safe(f"  {name}"), f"{units.energy(joules)}, {units.power(joules / window.duration_s)}")
    conditions = window.conditions
    for label, value, unit in (
        ("clock", conditions.clock_mhz, "MHz"),
        ("memory clock", conditions.mem_clock_mhz, "MHz"),
        ("temperature", conditions.temperature_c, "C"),
        ("power limit", conditions.power_limit_w, "W"),
    ):
        if value is not None:
            table.add_row(label, f"{value:.0f} {unit}")
    if conditions.throttle is not None:
        table.add_row("slowed by", safe(", ".join(conditions.throttle) or "nothing"))
    screen = console()
    screen.print(table)
    for caveat in window.info.caveats:
        screen.print(safe(f"note: {caveat}"))
    for defect in window.defects:
        screen.print(safe(f"not a measurement: {defect}"))

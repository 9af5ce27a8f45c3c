"""``perfmodel sweep``."""

from __future__ import annotations

import argparse
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_bytes, write_json
from perfmodel.cli.units import duration, energy, power

DESCRIPTION = "The energy-latency curve of a model file under power limits or clocks, and its knee."
EXAMPLE = (
    "perfmodel sweep resnet.onnx --device a100-pcie-40gb --dim batch=8 --power-limit-w 100:250:25\n"
    "  perfmodel sweep resnet.onnx --device a10 --dim batch=8 --clock-mhz 600:1600:100 -o curve.svg"
)
_TITLES = {"power_limit_w": "power limit", "clock_mhz": "clock"}
_UNITS = {"power_limit_w": "W", "clock_mhz": "MHz"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser,
        device_metavar="DEVICE",
        device_help="a device id (see `perfmodel devices`) or a device TOML",
        ranges=True,
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="also draw the curve into this .svg or .png file")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sweep, write JSON and picture where they were asked for, and show the table."""
    conditions = options.prediction_conditions(arguments)

    from perfmodel.predict.sweep import sweep
    from perfmodel.predict.sweep_plot import draw, plot_format

    ending = None if arguments.output is None else plot_format(arguments.output)  # a wrong name before the work
    curve = sweep(arguments.model, arguments.device, **conditions)
    if arguments.output is not None and ending is not None:
        write_bytes(draw(curve, ending), arguments.output)
    if arguments.json is not None:
        write_json(curve.to_dict(), arguments.json)
    if arguments.json != TO_STDOUT:
        console().print(_table(curve))
        unit = _UNITS[curve.swept]
        console().print(f"knee: {curve.knee.value:g} {unit}; least energy: {curve.least_energy.value:g} {unit}")
        for warning in curve.points[0].prediction.warnings:
            console().print(f"warning: {warning}")
    return 0


def _table(curve: Any) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in (_TITLES[curve.swept], "latency", "power", "energy", "90 % interval", ""):
        table.add_column(title, justify="right", no_wrap=True)
    knee, thriftiest = curve.knee, curve.least_energy
    for point in curve.points:
        p = point.prediction
        marks = [name for name, it in (("knee", knee), ("least energy", thriftiest)) if it is point]
        table.add_row(
            f"{point.value:g} {_UNITS[curve.swept]}", duration(p.latency_s.value), power(p.power_w.value),
            energy(p.energy_j.value), f"{energy(p.energy_j.low)} - {energy(p.energy_j.high)}", ", ".join(marks),
        )  # fmt: skip
    return table

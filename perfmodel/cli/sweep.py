"""``perfmodel sweep``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_bytes, write_json
from perfmodel.cli.progress import Progress
from perfmodel.cli.targets import Written, plot
from perfmodel.units import duration, energy, power

if TYPE_CHECKING:
    from perfmodel.predict.sweep import Sweep

DESCRIPTION = "The energy-latency curve of a model file under power limits or clocks, and its knee."
EXAMPLE = (
    "perfmodel sweep resnet.onnx --device a100-pcie-40gb --dim batch=8 --power-limit-w 100:250:25\n"
    "  perfmodel sweep resnet.onnx --device a10 --dim batch=8 --clock-mhz 600:1600:100 -o curve.svg"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser,
        device_metavar="DEVICE",
        device_help="a device id (see `perfmodel devices`) or a device TOML",
        ranges=True,
        explains=False,
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", action=Written, kind=plot,
        help="also draw the curve into this .svg or .png file",
    )  # fmt: skip
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sweep, write JSON and picture where they were asked for, and show the table."""
    conditions = options.prediction_conditions(arguments)

    from perfmodel.predict.picture import picture_format
    from perfmodel.predict.sweep import sweep
    from perfmodel.predict.sweep_plot import draw

    with Progress("perfmodel sweep") as progress:
        progress(f"predicting {arguments.model} on {arguments.device}")
        curve = sweep(arguments.model, arguments.device, report=progress, **conditions)
    if arguments.output is not None:
        write_bytes(draw(curve, picture_format(arguments.output)), arguments.output)
    if arguments.json is not None:
        write_json(curve.to_dict(), arguments.json)
    if arguments.json != TO_STDOUT:
        _show(curve, conditions["dtype"])
    return 0


def _show(curve: Sweep, dtype: str | None) -> None:
    from perfmodel.cli.tables import headline, interval, plain_table, print_warnings, value_of
    from perfmodel.predict.sweep import NAMES, UNITS

    unit = UNITS[curve.swept]
    table = plain_table()
    for title in (NAMES[curve.swept], "latency", "power", "energy", "90 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    knee, thriftiest = curve.knee, curve.least_energy
    for point in curve.points:
        p = point.prediction
        marks = [name for name, it in (("knee", knee), ("least energy", thriftiest)) if it is point]
        assert p.energy_j is not None  # no curve without energies
        table.add_row(
            f"{point.value:g} {unit}", duration(p.latency_s.value), power(value_of(p.power_w)), energy(p.energy_j.value),
            interval(p.energy_j, energy), ", ".join(marks),
        )  # fmt: skip
    screen = console()
    screen.print(headline(curve.points[0].prediction, dtype))
    screen.print(table)
    screen.print(f"knee: {knee.value:g} {unit}; least energy: {thriftiest.value:g} {unit}")
    print_warnings(screen, curve.warnings)

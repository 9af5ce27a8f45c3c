"""``perfmodel energy-table``."""

from __future__ import annotations

import argparse
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

DESCRIPTION = (
    "Energy per FLOP by number format and per byte by level of memory, next to published figures;\n"
    "and what a model would take with circuits that nobody built."
)
EXAMPLE = """perfmodel energy-table --device h100-sxm,a100-pcie-40gb --what-if bits=8
  perfmodel energy-table bert.onnx --device h100-sxm --dim batch=8 --what-if multiplier=adder"""

_OF_A_MODEL = ("dim", "dtype", "dtype_map", "kv_dtype", "software", "entry", "explain")
"""Options that say nothing of a device alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser,
        device_metavar="D1,D2,...",
        device_help="device ids or device TOMLs, separated by commas; without it a line for each device of the catalogue",
        model_required=False,
    )
    parser.add_argument(
        "--what-if",
        metavar="CHANGE",
        action="append",
        default=[],
        help="bits=N: operands of products are integers of N bits; multiplier=adder: each product becomes an integer sum; "
        "once for each, or separated by commas",
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """The table, and the energy of the model where one is given."""
    from perfmodel.models.circuits import parse

    change = parse(arguments.what_if)
    needing = {
        "MODEL": arguments.model, "--what-if": change or None, "--clock-mhz": arguments.clock_mhz,
        "--power-limit-w": arguments.power_limit_w,
    }  # fmt: skip
    asked = next((name for name, value in needing.items() if value is not None), None)
    if arguments.device is None and asked is not None:
        raise InputError(f"{asked} needs a device: give --device, as in --device h100-sxm")
    if arguments.model is None:
        without = next((name for name in _OF_A_MODEL if getattr(arguments, name)), None)
        if without is not None:
            raise InputError(
                f"--{without.replace('_', '-')} goes with a MODEL: the table of a device does not depend on it"
            )
        return _tables(arguments, change)
    return _model(arguments, change)


def _tables(arguments: argparse.Namespace, change: Any) -> int:
    from perfmodel.energy_table import device_table
    from perfmodel.energy_table.model import power_constants
    from perfmodel.hardware import catalogue
    from perfmodel.hardware.published_energy import published
    from perfmodel.models.predictor import load

    constants = power_constants(load(arguments.predictor))
    everything = arguments.device is None
    devices = list(catalogue()) if everything else options.device_list(arguments.device)
    tables = [
        device_table(
            d, clock_mhz=arguments.clock_mhz, power_limit_w=arguments.power_limit_w, what_if=change, constants=constants
        )
        for d in devices
    ]
    if arguments.json is not None:
        write_json(
            {
                "devices": [t.to_dict() for t in tables],
                **_change(change),
                "published": [_figure(p) for p in published()],
            },
            arguments.json,
        )
    if arguments.json != TO_STDOUT:
        from perfmodel.cli import operation_tables as screen

        if everything:
            screen.print_summary(console(), tables)
            screen.print_published(console(), published())
        else:
            screen.print_tables(console(), tables, change)
    return 0


def _model(arguments: argparse.Namespace, change: Any) -> int:
    from perfmodel.energy_table import model_energy

    conditions = options.prediction_conditions(arguments)
    devices = options.device_list(arguments.device)
    energies = []
    with Progress("perfmodel energy-table") as progress:
        for number, d in enumerate(devices, 1):
            progress(f"{number}/{len(devices)} predicting {arguments.model} on {d}")
            energies.append(model_energy(arguments.model, d, what_if=change, **conditions))
    if arguments.json is not None:
        write_json({"models": [e.to_dict() for e in energies], **_change(change)}, arguments.json)
    if arguments.json != TO_STDOUT:
        from perfmodel.cli import operation_tables as screen

        for energy in energies:
            screen.print_model(console(), energy, dtype=conditions["dtype"], explain=arguments.explain)
    return 0


def _change(change: Any) -> dict[str, Any]:
    from perfmodel.models.circuits import FORMULA

    if not change:
        return {"what_if": None}
    return {"what_if": {"bits": change.bits, "multiplier": change.multiplier, "formula": FORMULA}}


def _figure(p: Any) -> dict[str, Any]:
    return {
        "operation": p.operation, "what": p.what, "process_nm": p.process_nm, "low_j": p.low_j, "high_j": p.high_j,
        "document": p.document.title, "seen": p.document.seen,
    }  # fmt: skip

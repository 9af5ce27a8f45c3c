"""``perfmodel calibrate``."""

from __future__ import annotations

import argparse
import math

from perfmodel.cli.output import TO_STDOUT, console, write_text
from perfmodel.errors import InputError

DESCRIPTION = "Fit a device's physics constants to a few operators that were measured on it."
EXAMPLE = """perfmodel calibrate --device my-gpu.toml --traces few.parquet -o calibrated.toml
  perfmodel predict model.onnx --device calibrated.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--device", metavar="D", required=True, help="the device's TOML, or its id")
    parser.add_argument(
        "--traces", metavar="TABLE", help="operator traces measured on it (Parquet or CSV); five GEMMs already help"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the calibrated device TOML; `-`: the screen"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    parser.add_argument(
        "--predictor",
        metavar="DIR",
        default="default",
        help="whose constants are the starting point (default: default)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of folds and samples (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, write the device TOML, and show what moved."""
    from perfmodel.calibrate import calibrate
    from perfmodel.hardware.writer import device_toml

    if arguments.traces is None:
        raise InputError(
            "measuring this machine is not built yet: give rows that you measured with --traces "
            "(`perfmodel collect --suggest N` says which shapes are worth it)"
        )
    _refuse_existing(arguments.output, overwrite=arguments.force)  # before the work, not after it
    found = calibrate(arguments.traces, arguments.device, predictor=arguments.predictor, seed=arguments.seed)
    write_text(device_toml(found.device), arguments.output, overwrite=arguments.force)
    if arguments.output != TO_STDOUT:
        screen = console()
        screen.print(
            f"{arguments.output}: {found.device.id} calibrated from {found.rows} rows of {found.described}; mean "
            f"|ln(measured / predicted)| of rows held out: {found.before:.3f} before, {found.after:.3f} after"
        )
        for name, before in found.fleet.items():
            after = found.device.calibrated[name]
            if abs(math.log(after / before)) > 0.005:
                screen.print(f"  {name}: {before:.4g} -> {after:.4g} ({after / before - 1:+.1%})")
    return 0


def _refuse_existing(target: str, *, overwrite: bool) -> None:
    from pathlib import Path

    if target != TO_STDOUT and not overwrite and Path(target).is_file():
        raise InputError(f"{target} exists; --force replaces it")

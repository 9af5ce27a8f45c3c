"""``perfmodel calibrate``."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, check_target, console, write_json, write_text
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.collect.microbenchmarks.suite import Figure
    from perfmodel.measured_cpu import MeasuredDevice

DESCRIPTION = "Measure this machine's processor, or fit a device's physics to rows measured on it."
EXAMPLE = """perfmodel calibrate --device local-cpu -o my.toml
  perfmodel calibrate --device my-gpu.toml --traces few.parquet -o calibrated.toml
  perfmodel predict model.onnx --device my.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "--device", metavar="D", required=True, help="local-cpu: this machine; else the device's TOML, or its id"
    )
    parser.add_argument(
        "--traces",
        metavar="TABLE",
        help="operator traces measured on it (Parquet or CSV), and nothing is measured here; five GEMMs already help",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=float, help="how long to measure this machine, without --traces (default 90)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the calibrated device TOML; `-`: the screen"
    )
    options.add_force_option(parser)
    parser.add_argument(
        "--predictor",
        metavar="DIR",
        help="with --traces: whose constants are the starting point (default: default)",
    )
    parser.add_argument("--seed", metavar="N", type=int, help="with --traces: of folds and samples (default 0)")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure or fit, write the device TOML, and show what was found."""
    only_measuring = {"--seconds": arguments.seconds}
    only_fitting = {"--predictor": arguments.predictor, "--seed": arguments.seed}
    unused = only_fitting if arguments.traces is None else only_measuring
    for option, value in unused.items():
        if value is not None:
            wanted = "without" if option in only_measuring else "with"
            raise InputError(f"{option} is for calibrating {wanted} --traces")
    if arguments.output == arguments.json == TO_STDOUT:
        raise InputError("both the device file and the JSON would go to standard output: give one of them a name")
    check_target(arguments.output, overwrite=arguments.force)  # before the work, not after it
    return _measure(arguments) if arguments.traces is None else _fit(arguments)


def _fit(arguments: argparse.Namespace) -> int:
    from perfmodel.calibrate import calibrate
    from perfmodel.hardware.writer import device_toml

    with Progress("perfmodel calibrate") as progress:
        progress("fitting the constants of the device")
        found = calibrate(
            arguments.traces, arguments.device, predictor=arguments.predictor or "default", seed=arguments.seed or 0
        )
    write_text(device_toml(found.device), arguments.output, overwrite=arguments.force)
    constants = {
        name: {"before": before, "after": found.device.calibrated[name]} for name, before in found.fleet.items()
    }
    if arguments.json is not None:
        write_json(
            {
                "device": found.device.id, "output": arguments.output, "rows": found.rows,
                "mean_abs_log_ratio": {"before": found.before, "after": found.after}, "constants": constants,
            },
            arguments.json,
        )  # fmt: skip
    if TO_STDOUT not in (arguments.output, arguments.json):
        screen = console()
        screen.print(
            f"{arguments.output}: {found.device.id} calibrated from {found.rows} rows of {found.described}; mean "
            f"|ln(measured / predicted)| of rows held out: {found.before:.3f} before, {found.after:.3f} after"
        )
        for name, constant in constants.items():
            before, after = constant["before"], constant["after"]
            if abs(math.log(after / before)) > 0.005:
                screen.print(f"  {name}: {before:.4g} -> {after:.4g} ({after / before - 1:+.1%})")
    return 0


def _measure(arguments: argparse.Namespace) -> int:
    from perfmodel.hardware.writer import device_toml
    from perfmodel.measured_cpu import SECONDS, measure

    seconds = SECONDS if arguments.seconds is None else arguments.seconds
    # What is measured runs in a process of its own; the seconds stand still meanwhile, so as not to disturb it.
    with Progress("perfmodel calibrate", ticks=False) as progress:
        found = measure(
            arguments.device,
            seconds=seconds,
            progress=lambda at: progress(f"{at.done}/{at.total} {at.name}", remaining_s=at.remaining_s),
        )
    text = device_toml(found.device)
    try:
        write_text(text, arguments.output, overwrite=arguments.force)
    except InputError as problem:
        # A minute and a half of measuring is not to be lost to a disk that has filled meanwhile.
        sys.stdout.write(text)
        raise InputError(f"{problem}; the device file is printed instead") from None
    if arguments.json is not None:
        measured = {"device": found.device.id, "output": arguments.output, **found.measurement.to_json()}
        write_json(measured, arguments.json)
    if TO_STDOUT not in (arguments.output, arguments.json):
        _show(found, arguments.output)
    return 0


def _show(found: MeasuredDevice, output: str) -> None:
    from perfmodel.cli.tables import plain_table

    screen, measurement = console(), found.measurement
    table = plain_table()
    table.add_column("measured")
    for title in ("", "known to"):
        table.add_column(title, justify="right")
    for name, figure in measurement.figures.items():
        if not name.startswith("sweep."):
            table.add_row(name, _value(name, figure), _share(figure.uncertainty))
    levels = []
    for level in found.levels:
        held = "" if math.isinf(level.bytes) else f" up to {level.bytes / 2**20:.3g} MiB"
        rates = ", ".join(f"{kind} {rate / 1e9:.1f}" for kind, rate in level.bytes_per_s.items())
        levels.append(f"{level.name}{held}: {rates} GB/s")
    screen.print(table)
    for line in levels:
        screen.print(line)
    for name, why in measurement.left_out.items():
        screen.print(f"not measured: {name}: {why}")
    drift = measurement.drift
    screen.print(
        f"the anchor ranged over {drift.gemm_range:.1%} (product) and {drift.copy_range:.1%} (copy) in {drift.visits} visits"
    )
    if (rough := _rough(found)) is not None:
        screen.print(rough)
    screen.print(f"{output}: {found.device.id}, measured in {measurement.seconds:.0f} s")


def _rough(found: MeasuredDevice) -> str | None:
    """How many of the file's figures are not known well, and what to do; None where all are."""
    from statistics import median

    from perfmodel.collect.microbenchmarks.timing import BOUND, LEAST_MOMENTS, MOMENT_S
    from perfmodel.hardware.measured import UNCERTAINTY

    known = {k: v for k, v in found.device.measured.items() if k.startswith(UNCERTAINTY)}
    if not known:
        return (
            f"how steady the figures are is not known: each must be measured at {LEAST_MOMENTS} moments at least,"
            f" {MOMENT_S:g} s or more apart; give it more --seconds"
        )
    rough = [share for share in known.values() if share > BOUND]
    if not rough:
        return None
    return (
        f"{len(rough)} of {len(known)} figures are not known to {BOUND:.0%} (median of all: {median(known.values()):.1%}),"
        " since the machine moved; the file says which. Predictions that rest on them say so"
    )


def _value(name: str, figure: Figure) -> str:
    if name.endswith("_flops"):
        return f"{figure.value / 1e9:.1f} GFLOP/s"
    if name.endswith("_per_s"):
        return f"{figure.value / 1e9:.2f} G/s"
    return f"{figure.value * 1e6:.2f} us"


def _share(value: float) -> str:
    return "?" if math.isinf(value) else f"{value:.1%}"

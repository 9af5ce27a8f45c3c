"""``perfmodel collect-ops``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, check_table_target, console, write_json, write_table
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from perfmodel.collect.meters import Meter

DESCRIPTION = """Measures operators one by one with PyTorch, on a GPU or on processors: times by events,
clocks and power by a meter. It can be stopped at any time; the same command goes on."""
EXAMPLE = """perfmodel collect-ops --device h100-sxm --minutes 20 -o traces.parquet
  perfmodel collect-ops --device h100-sxm --power --operators 200 -o power.parquet
  perfmodel collect --device my-gpu.toml --suggest 50 -o shapes.csv
  perfmodel collect-ops --device my-gpu.toml --shapes shapes.csv -o traces.parquet"""
METERS = ("nvml", "amdsmi")
"""Meters of GPUs that are tried where none is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--device", metavar="D", required=True, help="the device's TOML, or its id")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the table: .parquet or .csv")
    parser.add_argument("--minutes", metavar="M", type=float, default=5.0, help="how long to measure (default 5)")
    parser.add_argument("--operators", metavar="N", type=int, help="at most so many; default: what the time allows")
    parser.add_argument("--shapes", metavar="CSV", help="measure the operators of this table instead of a sweep")
    parser.add_argument("--families", metavar="F,...", help="of the sweep (default all that PyTorch runs)")
    parser.add_argument("--dtypes", metavar="D,...", help="of the sweep (default bf16,fp16,fp32,tf32,fp8,int8)")
    parser.add_argument("--cold", action="store_true", help="drive the caches out before each execution")
    parser.add_argument("--power", action="store_true", help="measure power and energy, too: 5 s and more an operator")
    parser.add_argument(
        "--meter",
        metavar="NAME",
        help="what tells clocks and power, as in nvml:1; none: nothing does (default: a GPU's)",
    )
    parser.add_argument(
        "--on", metavar="DEVICE", help="PyTorch's name of the device: cuda, cuda:1, cpu (default: a GPU)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the sweep and the inputs (default 0)")
    parser.add_argument(
        "--recording",
        metavar="DIR",
        help="where finished operators are kept (default FILE.operators); to go on, the same",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace FILE where it exists; a collection that goes on does not need it"
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, write the table and the JSON where it was asked for, and say what there is."""
    from perfmodel.collect.pytorch.recording import OPERATORS

    folder = Path(arguments.recording or f"{arguments.output}.operators")
    # The table is a view of the recording, which is what is never replaced. Without one it is somebody's.
    check_table_target(arguments.output, overwrite=arguments.force or (folder / OPERATORS).is_file())
    from perfmodel.collect.pytorch.collector import PyTorch
    from perfmodel.collect.pytorch.measuring import Settings
    from perfmodel.collect.pytorch.sweep import DTYPES, FAMILIES
    from perfmodel.operator_sweep import Wanted, collect_operators

    families, dtypes = options.names_of(arguments.families), options.names_of(arguments.dtypes)
    wanted = Wanted(
        device=arguments.device,
        folder=folder,
        minutes=arguments.minutes,
        operators=arguments.operators,
        shapes=None if arguments.shapes is None else Path(arguments.shapes),
        families=FAMILIES if families is None else tuple(families),
        dtypes=DTYPES if dtypes is None else tuple(dtypes),
        seed=arguments.seed,
    )
    settings = Settings(cold=arguments.cold, power=arguments.power)
    collector = PyTorch(arguments.on, settings, _meter(arguments.meter, arguments.on, needed=arguments.power))
    with Progress("perfmodel collect-ops", ticks=False) as progress:
        try:
            table = collect_operators(wanted, collector, progress)
        except KeyboardInterrupt as stop:
            if folder.is_dir():
                _keep(folder, arguments)
                stop.add_note(f"the same command goes on from {folder}")
            raise
    write_table(table, arguments.output)
    good = table[table["status"] == "ok"]
    result = {
        "rows": len(table), "failed": len(table) - len(good), "recording": str(folder),
        "operators": {str(op): int(count) for op, count in good["op"].value_counts(sort=False).items()},
        "with_power": int(good["power_w"].notna().sum()) if "power_w" in good else 0,
    }  # fmt: skip
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT:
        failed = f", {result['failed']} without a time (column status)" if result["failed"] else ""
        power = f", {result['with_power']} with power" if arguments.power else ""
        console().print(f"{arguments.output}: {result['rows']} rows{power}{failed}", soft_wrap=True)
    return 0


def _keep(folder: Path, arguments: argparse.Namespace) -> None:
    """The table of what was finished before Ctrl-C, where there is any."""
    from perfmodel.errors import TraceError
    from perfmodel.hardware import load_device
    from perfmodel.operator_sweep import operator_table

    try:
        table = operator_table(folder, load_device(arguments.device).id)
    except TraceError:
        return  # nothing was finished
    write_table(table, arguments.output)


def _meter(name: str | None, on: str | None, *, needed: bool) -> Meter | None:
    """The meter of a name, or that of the GPU that is measured; None without one where it is not needed."""
    from perfmodel.collect.meters import open_meter
    from perfmodel.errors import MeterError

    if name == "none":
        return None
    if name is not None:
        return open_meter(name)
    problems = []
    number = (on or "").partition(":")[2]
    for usual in METERS:
        try:
            return open_meter(f"{usual}:{number}" if number else usual)
        except (MeterError, MissingExtraError) as problem:
            problems.append(str(problem))
    if needed:
        raise InputError(f"no meter of a GPU can be read: {'; '.join(problems)}")
    return None

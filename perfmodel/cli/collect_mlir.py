"""``perfmodel collect-mlir``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress

DESCRIPTION = """Compiles generated MLIR modules with IREE for a CPU, reads the code of every dispatch
(instructions by kind, bytes, spills, registers, tile sizes), counts the instructions executed with
Valgrind, and writes modules.parquet and dispatches.parquet. Any CPU can compile for any other. It can
be stopped at any time; the same command goes on. With --time it times what was compiled instead."""
EXAMPLE = """perfmodel collect-mlir -o compiled --modules 2000 --minutes 60
  perfmodel collect-mlir -o compiled --time                # on this machine, when it is quiet
  perfmodel collect-mlir -o wide --target-cpu skylake-avx512 --no-count
  perfmodel collect-mlir -o mine --modules 0 --model block.mlir"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="the tables and the compiled modules")
    parser.add_argument(
        "--modules",
        metavar="N",
        type=int,
        default=1000,
        help="generated modules, of all calls, by sixteens (default 1000)",
    )
    parser.add_argument("--minutes", metavar="M", type=float, default=60.0, help="of this call (default 60)")
    parser.add_argument(
        "--model", metavar="FILE", action="append", default=[],
        help="also this MLIR module, of which counts are kept and no text; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--target-cpu", metavar="CPU", default="haswell", help="as LLVM names it (default haswell: AVX2, no AVX-512)"
    )
    parser.add_argument(
        "--no-count",
        action="store_true",
        help="leave out instructions executed, which Valgrind cannot count for AVX-512",
    )
    parser.add_argument("--force", action="store_true", help="replace tables that another collection left in FOLDER")
    parser.add_argument("--time", action="store_true", help="time the compiled modules on one thread of this machine")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the generated modules (default 0)")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Collect, with a line of progress whenever a batch is safe, and say what there is."""
    from perfmodel.collecting.compiled import MODULES, Wanted, collect_modules, time_modules
    from perfmodel.collecting.journal import pieces_of

    wanted = Wanted(
        folder=Path(arguments.output),
        modules=arguments.modules,
        minutes=arguments.minutes,
        seed=arguments.seed,
        cpu=arguments.target_cpu,
        real=[Path(model) for model in arguments.model],
        count=not arguments.no_count,
        overwrite=arguments.force,
    )

    # Each line says that a batch is safe: a log gets them all.
    with Progress("perfmodel collect-mlir", ticks=not arguments.time, logged_every_s=0.0) as progress:
        try:
            tables = (time_modules if arguments.time else collect_modules)(wanted, progress)
        except KeyboardInterrupt as stop:
            if pieces_of(wanted.folder / MODULES):
                stop.add_note(f"what was finished is in {arguments.output}, the same command goes on")
            raise
    result: dict[str, Any] = {
        "output": str(wanted.folder),
        "modules": len(tables.modules),
        "failed": int((tables.modules["status"] != "ok").sum()),
        "dispatches": len(tables.dispatches),
        "counted": int((tables.modules["executed_status"] == "ok").sum()),
        "timed": int(tables.modules["latency_s"].notna().sum()) if "latency_s" in tables.modules else 0,
    }
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT:
        console().print(
            f"{result['output']}: {result['modules']} modules ({result['failed']} failed), {result['dispatches']} dispatches;"
            f" {result['counted']} counted, {result['timed']} timed",
            soft_wrap=True,
        )
    return 0

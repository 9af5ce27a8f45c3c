"""``perfmodel characterise``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError
from perfmodel.units import duration

if TYPE_CHECKING:
    from perfmodel.characterise import Characterisation, Interval

DESCRIPTION = (
    "What the compiler will make of an MLIR module on a processor: instructions, code size, registers and\n"
    "spills of each dispatch, instructions executed and time of a call. No compiler is run."
)
EXAMPLE = """perfmodel characterise module.mlir
  perfmodel characterise module.mlir --target iree-llvm-cpu-haswell --json -
  perfmodel characterise matmul.mlir --tiles 4,16,8    # what would other tiles give?"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "module", metavar="MODULE", help="the module (.mlir): operations of linalg and tensor with static shapes"
    )
    parser.add_argument(
        "--target",
        metavar="TARGET",
        help="compiler and processor, as in iree-llvm-cpu-haswell (default: the one that ships)",
    )
    parser.add_argument(
        "--model", metavar="DIR", help="a characteriser's folder of your own, in place of the one that ships"
    )
    parser.add_argument(
        "--entry",
        metavar="FUNCTION",
        help="the function to characterise; default: main, forward, or the one that nothing calls",
    )
    parser.add_argument(
        "--tiles",
        metavar="N,N,...",
        type=_tiles,
        help="vector tile sizes of the loops in place of those that the compiler's heuristic chooses, for a module of one "
        "dispatch",
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Characterise, and show it."""
    if arguments.model is not None and arguments.target is not None:
        raise InputError("--target and --model exclude each other: a characteriser's folder says its target")
    with Progress("perfmodel characterise") as progress:
        progress(f"reading {arguments.module}")
        from perfmodel.characterise import DEFAULT_TARGET, characterise

        found = characterise(
            arguments.module, target=arguments.target or DEFAULT_TARGET, model=arguments.model, entry=arguments.entry,
            vector_tiles=arguments.tiles,
        )  # fmt: skip
    if arguments.json is not None:
        write_json(found.to_dict(), arguments.json)
    if arguments.json != TO_STDOUT:
        _show(found)
    return 0


def _show(found: Characterisation) -> None:
    from rich.table import Table

    from perfmodel.cli.tables import plain_table, safe

    screen = console()
    count = len(found.dispatches)
    screen.print(safe(f"{found.module} for {found.target}: {count} dispatch{'es' if count != 1 else ''}"), style="bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    rows = [
        ("  instructions in the code", _number(found.instructions.value), _range(found.instructions)),
        ("  code", f"{_number(found.code_bytes.value)} B", _range(found.code_bytes, " B")),
        ("  instructions executed", _number(found.executed.value), _range(found.executed)),
        ("  spills", _number(found.spills.value), _range(found.spills)),
    ]
    if (latency := found.latency_s) is not None:
        between = f"90 % interval: {duration(latency.low)} to {duration(latency.high)}"
        rows.append(("  latency", duration(latency.value), between))
    if (used := found.utilisation) is not None:
        rows.append(
            ("  utilisation", f"{100 * used.value:.1f} %", f"of what a tuned product sustains on {found.processor}")
        )
    for row in rows:
        table.add_row(*row)
    screen.print(table)
    screen.print()
    each = plain_table()
    each.add_column("dispatch", overflow="fold")
    each.add_column("tiles", overflow="fold")
    for title in ("instr.", "code", "executed", "regs", "spills", ">8"):
        each.add_column(title, justify="right", no_wrap=True)
    for d in found.dispatches:
        each.add_row(
            safe(d.name), ",".join(str(v) for v in d.vector), _number(d.instructions.value), f"{_number(d.code_bytes.value)}B",
            _number(d.executed.value), f"{d.vector_registers.value:.0f}", _number(d.spills.value),
            f"{100 * d.many_spills:.0f} %",
        )  # fmt: skip
    screen.print(each)
    screen.print("tiles: vectorised and unrolled whole; >8: chance of more than 8 spills")
    screen.print(safe(f"learned from {found.compiler}"))
    for note in found.notes:
        screen.print(safe(f"warning: {note}"))


def _number(value: float) -> str:
    """Three digits, with a letter for thousands and more."""
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * limit:
            scaled = value / limit
            return f"{scaled:.0f}{letter}" if scaled >= 99.95 else f"{scaled:.3g}{letter}"
    return f"{value:.0f}"


def _range(interval: Interval, unit: str = "") -> str:
    return f"90 % interval: {_number(interval.low)}{unit} to {_number(interval.high)}{unit}"


def _tiles(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, for argparse."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or any(size < 0 for size in sizes):
        raise argparse.ArgumentTypeError(
            f"{text!r} are no tile sizes: wanted whole numbers separated by commas, as in 8,8,8"
        )
    return sizes

"""``perfmodel rank``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from perfmodel.cli import options
from perfmodel.cli.energy_options import count as whole_number
from perfmodel.cli.output import TO_STDOUT, check_table_target, console, write_json, write_table
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError
from perfmodel.units import duration, energy, power

if TYPE_CHECKING:
    from perfmodel.ops.base import Operator
    from perfmodel.rank import Ranking

DESCRIPTION = "Order kernel configurations of a table by what they will take, none of them measured."
EXAMPLE = """perfmodel rank configs.parquet --op gemm --shape m=4096,n=4096,k=4096 --dtype fp32 \\
    --device rtx-3090 --top 10
  perfmodel rank configs.csv --op gemm --shape m=512,n=512,k=512 --dtype fp32 \\
    --device my.toml --space mine.toml -o ranked.csv"""
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "configs", metavar="CONFIGS", nargs="?", help="the configurations: a .parquet or .csv file, one row each"
    )
    parser.add_argument("--op", metavar="FAMILY", help="the operator's family, as in gemm or conv")
    parser.add_argument(
        "--shape", metavar="NAME=N,...", help="the fields of its descriptor, as in m=4096,n=4096,k=4096"
    )
    parser.add_argument("--dtype", metavar="DTYPE", help="the number format, as in fp32 or bf16")
    parser.add_argument("--device", metavar="DEVICE", help="a device id or a device TOML")
    parser.add_argument(
        "--space",
        metavar="NAME|FILE.toml",
        help="what the columns mean: a space that ships, or a description of your own (docs/ranking.md); default: the shipped "
        "one that has the columns",
    )
    parser.add_argument(
        "--objective", choices=("latency", "energy", "edp"), default="latency", help="what is to be least"
    )
    parser.add_argument(
        "--power-limit-w", metavar="W", type=options.positive, help="a power limit below the device's TDP"
    )
    parser.add_argument(
        "--ranker",
        metavar="DIR",
        default="default",
        help="what other devices taught: `default` (shipped), `none` (the physics alone), or a ranker's folder",
    )
    parser.add_argument("--top", metavar="N", type=whole_number, help="rank only so many, the best")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the ranked table to this .parquet or .csv file")
    options.add_force_option(parser)
    options.add_json_option(parser)
    parser.add_argument(
        "--serve", action="store_true",
        help="answer requests, one JSON object a line, from standard input on standard output (docs/serving.md)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Rank, write what was asked for, and show the best."""
    from perfmodel.rank import rank

    if arguments.serve:
        return _serve(arguments)
    lacking = [n for n in ("op", "shape", "dtype", "device") if getattr(arguments, n) is None]
    if arguments.configs is None or lacking:
        wanted = ["CONFIGS"] * (arguments.configs is None) + [f"--{n}" for n in lacking]
        raise InputError(f"wanted {', '.join(wanted)} (or --serve)")
    if arguments.output is not None:
        check_table_target(arguments.output, overwrite=arguments.force)  # before the work
    elif arguments.force:
        raise InputError("--force is for -o FILE")
    op = _descriptor(arguments.op, arguments.shape, arguments.dtype)
    with Progress("perfmodel rank") as progress:
        progress(f"ranking {arguments.configs}")
        ranking = rank(
            op, arguments.configs, arguments.device, top_k=arguments.top, space=arguments.space,
            objective=arguments.objective, power_limit_w=arguments.power_limit_w, pretrained=arguments.ranker,
        )  # fmt: skip
    if arguments.output is not None:
        write_table(ranking.to_pandas(), arguments.output, overwrite=arguments.force)
    if arguments.json is not None:
        write_json(ranking.to_dict(arguments.device), arguments.json)
    if arguments.json != TO_STDOUT:
        _show(ranking, op, arguments.device)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    """Answer requests until the input ends.

    Raises:
        InputError: an option beside --serve; requests say what the options do.
    """
    import sys

    from perfmodel.cli.interrupts import exit_code
    from perfmodel.rank.serving import Server

    given = {n: v for n, v in vars(arguments).items() if n not in ("serve", "ranker", "objective")}
    told = [n for n, v in given.items() if v] + ["ranker"] * (arguments.ranker != "default")
    told += ["objective"] * (arguments.objective != "latency")
    if told:
        raise InputError(f"--serve takes no {', '.join(told)}: each request says what it is about (docs/serving.md)")
    try:
        Server().serve(sys.stdin.buffer, sys.stdout.buffer)
    except KeyboardInterrupt as stop:
        return exit_code(
            stop
        )  # a server that is stopped has nothing to say: whoever reads its errors would take it for one
    return 0


def _show(ranking: Ranking, op: Operator, device: str) -> None:
    from perfmodel.cli.tables import plain_table

    varying = {n: v for n, v in ranking.columns.items() if len(ranking) == 1 or (v != v[0]).any()}
    table = plain_table()
    for title in ("", "row", "latency", "power", "energy"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("configuration")
    for place in range(min(len(ranking), _SHOWN)):
        watts = "-" if ranking.power_w is None else power(float(ranking.power_w[place]))
        joules = "-" if ranking.energy_j is None else energy(float(ranking.energy_j[place]))
        table.add_row(
            str(place + 1), str(int(ranking.rows[place])), duration(float(ranking.latency_s[place])), watts, joules,
            " ".join(f"{name}={v[place]:g}" for name, v in varying.items()),
        )  # fmt: skip
    screen = console()
    basis = f"learned on {', '.join(ranking.taught_by)}" if ranking.taught_by else "physics alone"
    screen.print(
        f"{op.op} {op.dtype} on {device}: {ranking.configurations:,} configurations by {ranking.objective}; {basis}"
    )
    screen.print(table)
    low, high = (duration(float(bound[0])) for bound in (ranking.latency_low_s, ranking.latency_high_s))
    screen.print(f"90 % interval of the first: {low} to {high}; the order is surer than the level")
    if ranking.assumed:
        screen.print(
            "no column, so each takes the default: " + ", ".join(f"{n}={v:g}" for n, v in ranking.assumed.items())
        )
    if ranking.ignored:
        screen.print(f"no parameters of this space, left out: {', '.join(ranking.ignored)}")
    for warning in ranking.warnings:
        screen.print(f"warning: {warning}")
    for reason, count in ranking.refused.items():
        screen.print(f"refused: {count:,} {reason}")
    if ranking.screened_out:
        screen.print(f"left out: {ranking.screened_out:,} that the physics thinks slow")
    if ranking.power_w is not None:
        screen.print("power and energy: the power model alone, no measured space has them")


def _descriptor(family: str, shape: str, dtype: str) -> Operator:
    """The descriptor that --op, --shape and --dtype name.

    Raises:
        InputError: an unknown family or field, or no whole number.
    """
    from perfmodel.errors import nearest
    from perfmodel.ops import FAMILIES

    if family not in FAMILIES:
        raise InputError(f"--op {family!r} is no operator family: {nearest(family, FAMILIES)}")
    known = FAMILIES[family].dimension_names()
    fields: dict[str, int] = {}
    for pair in filter(None, (part.strip() for part in shape.split(","))):
        name, equals, number = pair.partition("=")
        name = name.strip()
        if name not in known:
            raise InputError(f"--shape names {name!r}, which {family} has not: {nearest(name, known)}")
        if name in fields:
            raise InputError(f"--shape names {name} twice")
        try:
            fields[name] = int(number)
        except ValueError:
            raise InputError(f"--shape {pair!r}: wanted NAME=N with a whole number, as in m=4096") from None
        if not equals or fields[name] < 0:
            raise InputError(f"--shape {pair!r}: wanted NAME=N with a whole number, as in m=4096")
    try:
        return FAMILIES[family](dtype=dtype, **fields)
    except TypeError:
        import dataclasses

        needed = [
            f.name for f in dataclasses.fields(FAMILIES[family]) if f.default is dataclasses.MISSING and f.name in known
        ]
        raise InputError(f"--shape lacks {', '.join(n for n in needed if n not in fields)} of {family}") from None

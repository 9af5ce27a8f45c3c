"""``perfmodel evaluate``."""

from __future__ import annotations

import argparse
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json

DESCRIPTION = "Judge a predictor against measured operators."
EXAMPLE = "perfmodel evaluate traces.parquet --predictor my-predictor --by device,dtype"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("traces", metavar="TRACES", help="operator traces (Parquet or CSV)")
    parser.add_argument("--predictor", metavar="DIR", default="default", help="a folder, or the name of a shipped one")
    parser.add_argument(
        "--protocol",
        choices=("shapes", "device", "family"),
        help="train anew and judge what was held out: whole groups of shapes (a GEMM's (n, k)), each device while its "
        "siblings stay, or each hardware family; without it the traces are simply predicted",
    )
    parser.add_argument(
        "--by", metavar="KEYS", default="device,dtype,software", help="group by op,device,dtype,software,size"
    )
    parser.add_argument("--device", metavar="TOML", help="the device file of a device that the catalogue lacks")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the folds (default 0)")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="processes to train in (default 1)")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the JSON where it was asked for, and show the table."""
    from perfmodel.evaluate import evaluate

    by = tuple(key.strip() for key in arguments.by.split(",") if key.strip())
    result = evaluate(
        arguments.traces,
        arguments.predictor,
        by=by,
        protocol=arguments.protocol,
        device=arguments.device,
        seed=arguments.seed,
        jobs=arguments.jobs,
    )
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT:
        console().print(_table(result, by))
    return 0


def _table(result: dict[str, Any], by: tuple[str, ...]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="errors in percent")
    for key in by:
        table.add_column(key, overflow="fold")
    figures = ("mape", "median_ape", "p90_ape", "bias", "coverage_90", "analytical_mape", "roofline_mape", "noise_mape")
    titles = ("rows", "MAPE", "med.", "p90", "bias", "cov.", "phys.", "roof.", "noise")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for group in (*result["groups"], {"overall": True, **result["overall"]}):
        names = [str(group.get(key) or ("mean" if "overall" in group and key == by[0] else "")) for key in by]
        cells = ["" if group[f] is None else f"{100 * group[f]:.1f}" for f in figures]
        table.add_row(*names, str(group["n"]), *cells)
    return table

"""``perfmodel evaluate``."""

from __future__ import annotations

import argparse
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.protocols import PROTOCOLS

DESCRIPTION = "Judge a predictor against measured operators and runs of whole networks."
EXAMPLE = (
    "perfmodel evaluate traces.parquet --predictor my-predictor --by device,dtype\n"
    "  perfmodel evaluate traces.parquet runs.parquet --protocol models\n"
    "  perfmodel evaluate neusight --from path/to/neusight --protocol neusight"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    protocols = "; ".join(f"{p.name}: {p.holds_out}" for p in PROTOCOLS.values())
    parser.add_argument(
        "traces", metavar="TRACES", nargs="+", help="operator or run traces (Parquet or CSV), or names of data sets"
    )
    parser.add_argument("--from", dest="source", metavar="PATH", help="where the data sets that were named lie")
    parser.add_argument("--predictor", metavar="DIR", default="default", help="a folder, or the name of a shipped one")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        choices=tuple(PROTOCOLS),
        help=f"train anew and judge what was held out. {protocols}. Without it the traces are simply predicted",
    )
    parser.add_argument(
        "--by",
        metavar="KEYS",
        help="group by some of op,device,dtype,software,size,held_out,workload,variant (default: device,dtype,software, or "
        "what the protocol is usually read by)",
    )
    parser.add_argument("--device", metavar="D", help="the device file of a device that the catalogue lacks, or an id")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the folds (default 0)")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="processes to train in (default 1)")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the JSON where it was asked for, and show the tables."""
    from perfmodel.evaluate import BY, evaluate

    by = None if arguments.by is None else tuple(key.strip() for key in arguments.by.split(",") if key.strip())
    result = evaluate(
        arguments.traces,
        arguments.predictor,
        by=by,
        protocol=arguments.protocol,
        device=arguments.device,
        root=arguments.source,
        seed=arguments.seed,
        jobs=arguments.jobs,
    )
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT:
        usual = BY if arguments.protocol is None else PROTOCOLS[arguments.protocol].by
        console().print(_table(result["groups"], by or usual, overall=result["overall"]))
        if "size" not in (by or usual):
            console().print(_table(result["by_size"], ("size",)))
    return 0


def _table(groups: list[dict[str, Any]], by: tuple[str, ...], overall: dict[str, Any] | None = None) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="errors in percent" if overall else None)
    # One column, which is broken between names: a column each breaks within them on 80 columns.
    table.add_column(" ".join(by), overflow="fold")
    figures = ("mape", "median_ape", "p90_ape", "bias", "coverage_90", "analytical_mape", "roofline_mape", "noise_mape")
    titles = ("rows", "MAPE", "med.", "p90", "bias", "cov.", "phys.", "roof.", "noise")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for group in (*groups, *([] if overall is None else [{"overall": True, **overall}])):
        name = "mean" if "overall" in group else " ".join(str(group[key]) for key in by if group.get(key))
        cells = ["" if group[f] is None else f"{100 * group[f]:.1f}" for f in figures]
        table.add_row(name, str(group["n"]), *cells)
    return table

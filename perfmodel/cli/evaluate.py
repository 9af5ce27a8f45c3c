"""``perfmodel evaluate``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError
from perfmodel.protocols import PROTOCOLS, SOFTWARE, TARGETS

DESCRIPTION = "Judge a predictor against measured operators and runs of whole networks."
EXAMPLE = (
    "perfmodel evaluate traces.parquet --predictor my-predictor --by device,dtype\n"
    "  perfmodel evaluate traces.parquet runs.parquet --protocol models\n"
    "  perfmodel evaluate neusight --from path/to/neusight --protocol neusight\n"
    "  perfmodel evaluate zeus --protocol caps\n"
    "  perfmodel evaluate new-traces.parquet --predictor my-predictor --max-mape 15\n"
    "  perfmodel evaluate perfcastdb --from path/to/perfcastdb --protocol scores"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    protocols = "; ".join(f"{p.name}: {p.holds_out}" for p in PROTOCOLS.values())
    parser.add_argument(
        "traces", metavar="TRACES", nargs="+", help="operator or run traces (Parquet or CSV), or names of data sets"
    )
    parser.add_argument("--from", dest="source", metavar="PATH", help="where the data sets that were named lie")
    parser.add_argument("--predictor", metavar="DIR", help="a folder, or the name of a shipped one (default: default)")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        choices=(*PROTOCOLS, SOFTWARE),
        help=f"train anew and judge what was held out. {protocols}. Without it the traces are simply predicted",
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default="latency",
        help="what is judged; power and energy of operators take the protocols shapes, software (each software of a device, by "
        "what the others taught) and device, and are grouped by op,device,dtype,software,held_out (default latency)",
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
    parser.add_argument(
        "--max-mape",
        metavar="PERCENT",
        type=options.positive,
        help="exit code 1 where the mean over the groups is above it: for a CI that guards a predictor",
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the JSON where it was asked for, show the tables, and hold the mean against a threshold."""
    from perfmodel.cli import DONE, FAILED_THRESHOLD
    from perfmodel.evaluate import BY, evaluate
    from perfmodel.power_accuracy import BY as POWER_BY

    by = None if arguments.by is None else tuple(options.names_of(arguments.by) or ())
    if arguments.protocol == "scores":
        if arguments.max_mape is not None:
            raise InputError("--max-mape is not for the protocol scores, whose groups are also of the baselines")
        for option, value in (("--predictor", arguments.predictor), ("--device", arguments.device)):
            if value is not None:
                raise InputError(
                    f"{option} is not for the protocol scores: its predictors are made of the table's scores, and machines are "
                    "described by its columns"
                )
    with Progress("perfmodel evaluate") as progress:
        progress(f"judging by the protocol {arguments.protocol}" if arguments.protocol else "judging")
        result = evaluate(
            arguments.traces,
            arguments.predictor or "default",
            by=by,
            protocol=arguments.protocol,
            device=arguments.device,
            root=arguments.source,
            seed=arguments.seed,
            jobs=arguments.jobs,
            target=arguments.target,
            report=progress,
        )
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT and arguments.target != "latency":
        for of_settled in (False, True):
            table = _power_table(result["groups"], by or POWER_BY, result["overall"], of_settled=of_settled)
            console().print(table)
    elif arguments.json != TO_STDOUT and arguments.protocol == "scores":
        console().print(_score_table(result["groups"], by or PROTOCOLS["scores"].by))
    elif arguments.json != TO_STDOUT:
        usual = BY if arguments.protocol is None else PROTOCOLS[arguments.protocol].by
        console().print(_table(result["groups"], by or usual, overall=result["overall"]))
        if "size" not in (by or usual) and result["by_size"]:
            console().print(_table(result["by_size"], ("size",)))
    if arguments.max_mape is not None and (mape := 100 * result["overall"]["mape"]) > arguments.max_mape:
        sys.stderr.write(
            f"perfmodel: the mean MAPE is {mape:.4g} %, above the {arguments.max_mape:g} % of --max-mape\n"
        )
        return FAILED_THRESHOLD
    return DONE


def _power_table(
    groups: list[dict[str, Any]], by: tuple[str, ...], overall: dict[str, Any], *, of_settled: bool = False
) -> Any:
    """Figures of rows of 0.1 ms or more, or of the settled ones among them; constant predictors and noise beside them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    which = "settled rows" if of_settled else "rows of 0.1 ms or more"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=f"{which}, errors in percent")
    table.add_column(" ".join(by), overflow="fold")  # as in _table
    for title in ("rows", "MAPE", "med.", "cov.", "phys.", "limit", "const.", "noise"):
        table.add_column(title, justify="right", no_wrap=True)
    figures = ("mape", "median_ape", "coverage_90", "analytical_mape", "limit_mape", "median_mape", "noise_mape")
    for group in (*groups, {"overall": True, **overall}):
        name = "mean" if "overall" in group else " ".join(str(group[key]) for key in by if group.get(key))
        shown = (group.get("settled") or {"n": 0}) if of_settled else group
        cells = ["" if shown.get(f) is None else f"{100 * shown[f]:.1f}" for f in figures]
        table.add_row(name, str(shown["n"]), *cells)
    return table


def _score_table(groups: list[dict[str, Any]], by: tuple[str, ...]) -> Any:
    """Scores, with the MAPE of the baselines in columns beside them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="errors in percent; MAPE of mean, linear, plain physics"
    )
    table.add_column(" ".join(by), overflow="fold")  # as in _table
    for title in ("rows", "MAPE", "med.", "cov.", "mean", "linear", "plain", "noise"):
        table.add_column(title, justify="right", no_wrap=True)
    targets = list(dict.fromkeys(group["target"] for group in groups))
    found = {(group["target"], *(group[key] for key in by)): group for group in groups}
    for (target, *names), group in found.items():
        if target != targets[0]:
            continue
        beside = [found[other, *names]["mape"] for other in targets[1:]]
        figures = (group["mape"], group["median_ape"], group["coverage_90"], *beside, group["noise_mape"])
        cells = ["" if figure is None else f"{100 * figure:.1f}" for figure in figures]
        table.add_row(" ".join(str(name) for name in names if name), str(group["n"]), *cells)
    return table


def _table(groups: list[dict[str, Any]], by: tuple[str, ...], overall: dict[str, Any] | None = None) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="errors in percent" if overall else None)
    if len({group["target"] for group in groups}) > 1:
        by = ("target", *by)
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

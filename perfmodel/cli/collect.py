"""``perfmodel collect``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, check_table_target, console, write_json, write_text
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

DESCRIPTION = """Measures the kernels of this machine's CPU for some minutes, as ONNX Runtime runs them in
networks, and writes operator traces to train on. It can be stopped at any time; the same command
goes on. With --suggest N nothing is measured: the N shapes that are worth measuring first on a
device are printed."""
EXAMPLE = """perfmodel collect --device my.toml -o traces.parquet
  perfmodel collect --device my.toml --minutes 8 --model net.onnx --dim batch=1 -o traces.parquet
  perfmodel collect --device my-gpu.toml --suggest 20
  perfmodel collect --device h100-pcie --suggest 200 --dtype fp8 -o shapes.csv"""
_MINUTES, _FAMILY, _DTYPE, _PREDICTOR = 5.0, "gemm", "bf16", "default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--device", metavar="D", required=True, help="the device's TOML, or its id")
    parser.add_argument("--minutes", metavar="M", type=float, help=f"how long to measure in all (default {_MINUTES:g})")
    parser.add_argument(
        "--model", metavar="FILE", action="append", help="also measure this ONNX model; may be repeated"
    )
    parser.add_argument(
        "--dim", metavar="NAME=N", action="append",
        help="a number for a symbolic dimension of the models that have it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--only-models", action="store_true", default=None,
        help="measure the models that --model names and no generated sweep",
    )  # fmt: skip
    parser.add_argument(
        "--recordings", metavar="FOLDER", help="also keep what was recorded of each piece, without weights, for replay"
    )
    parser.add_argument("--suggest", metavar="N", type=int, help="measure nothing; how many shapes to print")
    parser.add_argument("--family", metavar="F", help=f"with --suggest: the operator family (default {_FAMILY})")
    parser.add_argument("--dtype", metavar="DTYPE", help=f"with --suggest: the number format (default {_DTYPE})")
    parser.add_argument(
        "--software", metavar="STACK", help="with --suggest: the stack that will be measured, as in vllm-0.24.0"
    )
    parser.add_argument(
        "--from",
        dest="candidates",
        metavar="TABLE",
        help="with --suggest: choose among the operators of this trace table (Parquet or CSV)",
    )
    parser.add_argument(
        "--predictor", metavar="DIR", help=f"with --suggest: whose errors are to be learned (default {_PREDICTOR})"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the sweep, or of the draw of candidates (default 0)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="needed to measure: the .parquet file of the rows; one that was begun goes on where it was. With --suggest: "
        "also write the shapes as a table (.csv or .parquet) with the columns of traces",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace FILE where it exists; a collection that goes on does not need it"
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Choose, write the table and the JSON where they were asked for, and show the shapes."""
    _check_used(arguments)
    if arguments.suggest is None:
        return _measure(arguments)
    if arguments.output is not None:
        check_table_target(arguments.output, overwrite=arguments.force)  # before the work, not after it
    from perfmodel.datasets.schema import read_traces
    from perfmodel.suggest import suggest

    with Progress("perfmodel collect") as progress:
        progress(f"choosing {arguments.suggest} shapes")
        candidates = None if arguments.candidates is None else read_traces(arguments.candidates)
        shapes = suggest(
            arguments.device,
            arguments.suggest,
            family=_FAMILY if arguments.family is None else arguments.family,
            dtype=_DTYPE if arguments.dtype is None else arguments.dtype,
            software=arguments.software,
            candidates=candidates,
            predictor=_PREDICTOR if arguments.predictor is None else arguments.predictor,
            seed=arguments.seed,
        )
    if arguments.output is not None:
        _write(shapes, arguments.output, overwrite=arguments.force)
    if arguments.json is not None:
        write_json(_json(shapes, arguments.device), arguments.json)
    if arguments.json != TO_STDOUT:
        console().print(_table(shapes))
    return 0


def _check_used(arguments: argparse.Namespace) -> None:
    """Refuses options that would do nothing.

    Raises:
        InputError: one of measuring with ``--suggest``, or one of suggesting without.
    """
    measuring = {
        "--minutes": arguments.minutes, "--model": arguments.model, "--dim": arguments.dim,
        "--only-models": arguments.only_models, "--recordings": arguments.recordings,
    }  # fmt: skip
    suggesting = {
        "--family": arguments.family, "--dtype": arguments.dtype, "--software": arguments.software,
        "--from": arguments.candidates, "--predictor": arguments.predictor,
    }  # fmt: skip
    unused, why = (
        (suggesting, "--suggest N, and this measures")
        if arguments.suggest is None
        else (measuring, "measuring, and --suggest measures nothing")
    )
    for option, value in unused.items():
        if value is not None:
            raise InputError(f"{option} is for {why}")


def _measure(arguments: argparse.Namespace) -> int:
    """Measures this machine, with a line of progress whenever rows are safe."""
    from perfmodel.collecting.journal import pieces_of
    from perfmodel.collecting.session import Wanted, collect

    if arguments.output is None:
        raise InputError("where to? -o traces.parquet keeps what is measured (--suggest N measures nothing)")
    if arguments.only_models and not arguments.model:
        raise InputError("--only-models measures the files of --model, and there is none")
    dims = options.parse_dims(arguments.dim or [])
    wanted = Wanted(
        device=arguments.device,
        output=Path(arguments.output),
        minutes=_MINUTES if arguments.minutes is None else arguments.minutes,
        models=[(Path(model), dims) for model in arguments.model or ()],
        seed=arguments.seed,
        recordings=None if arguments.recordings is None else Path(arguments.recordings),
        sweep=not arguments.only_models,
        overwrite=arguments.force,
    )

    with Progress("perfmodel collect", ticks=False, logged_every_s=0.0) as progress:
        try:
            found = collect(wanted, progress)
        except KeyboardInterrupt as stop:
            if wanted.output.exists() and pieces_of(wanted.output):  # else no piece was finished
                stop.add_note(f"what was measured is in {arguments.output}, the same command goes on")
            raise
    if arguments.json is not None:
        write_json(
            {"output": str(found.output), "pieces": found.pieces, "kernels": found.rows, "marked": found.marked,
             "seconds": found.seconds, "passed_over": dict(found.passed_over),
             **{k: found.about[k] for k in ("per_event_s", "median_drift", "median_rel_std")}},
            arguments.json,
        )  # fmt: skip
    progress.note(
        f"{found.rows:,} kernels of {found.pieces} pieces in {found.seconds / 60:.1f} minutes"
        + (f"; {found.marked} marked, since the machine moved" if found.marked else "")
        + (f"; passed over: {', '.join(found.passed_over)}" if found.passed_over else "")
        + f". Next: perfmodel train {found.output} --device {arguments.device} -o my-predictor"
    )
    return 0


def _write(shapes: Any, target: str, *, overwrite: bool) -> None:
    # Predicted latencies are no measurements: the table has the descriptors alone.
    rows = shapes.drop(columns=["latency_s", "low_s", "high_s", "candidate"])
    if Path(target).suffix.lower() == ".csv":
        write_text(rows.to_csv(index=False), target, overwrite=overwrite)
    else:
        from perfmodel.datasets.schema import write_traces

        write_traces(rows, target)


def _json(shapes: Any, device: str) -> dict[str, Any]:
    found = []
    for row in shapes.drop(columns=["candidate"]).to_dict("records"):
        latency = {"value": row.pop("latency_s"), "low": row.pop("low_s"), "high": row.pop("high_s")}
        found.append({**row, "latency_s": latency})
    return {"device": device, "shapes": found}


def _table(shapes: Any) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from perfmodel.units import duration

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="in the order in which they are worth measuring")
    for title in ("", "batch", "m", "n", "k", "predicted", "90 %"):
        table.add_column(title, justify="right", no_wrap=True)
    for number, row in enumerate(shapes.to_dict("records"), start=1):
        dims = [str(int(row.get(d, 1))) for d in ("batch", "m", "n", "k")]
        bounds = f"{duration(row['low_s'])} - {duration(row['high_s'])}"
        table.add_row(str(number), *dims, duration(row["latency_s"]), bounds)
    return table

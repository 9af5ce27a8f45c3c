"""``perfmodel train``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, write_json
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

DESCRIPTION = "Train a predictor of operator latency, and of power where it was measured, on operator traces."
EXAMPLE = """perfmodel train traces.parquet -o my-predictor
  perfmodel train with-power.parquet --only power -o my-predictor
  perfmodel train few.parquet --device calibrated.toml --base default -o my-predictor"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("traces", metavar="TRACES", nargs="+", help="operator traces (Parquet or CSV)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True,
        help="the predictor's folder; a predictor that is there is replaced at the end, other folders must be empty",
    )  # fmt: skip
    parser.add_argument("--device", metavar="D", help="the device file of a device that the catalogue lacks, or an id")
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="correct this predictor (a folder, or the name of a shipped one) with a few rows, instead of training anew",
    )
    parser.add_argument(
        "--only",
        choices=("latency", "power"),
        help="latency: nothing of power, even where the traces have it; power: add it to the predictor that is in DIR, whose "
        "latency stays as it is (default: both)",
    )
    parser.add_argument(
        "--families",
        metavar="F1,F2",
        help="only these: gemm, attention (or one of its phases: attention_prefill, ...), moe, conv, elementwise, softmax, "
        "norm, quantize, collective",
    )
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="where finished pieces are kept until all are done, so that an interrupted training goes on; other files in it "
        "stay (default OUTPUT/.partial)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of folds, samples and boosters (default 0)")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="processes to train in (default 1); same result"
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, write the accuracy as JSON where it was asked for, and print it."""
    before = _installed(arguments.output)
    with Progress("perfmodel train") as progress:
        try:
            if arguments.only == "power":
                result = _power(arguments, progress)
            elif arguments.base is not None:
                result = _on_base(arguments, progress)
            else:
                result = _anew(arguments, progress)
        except KeyboardInterrupt as stop:
            stop.add_note(_left(arguments, before))
            raise
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json == TO_STDOUT:
        return 0
    if arguments.only == "power":
        _print_power(result["shapes"]["pooled"]["power"], arguments.output)
        return 0
    overall = result["overall"]
    print(
        f"{arguments.output}: {overall['n']} rows, held-out MAPE {overall['mape']:.2%}, median {overall['median_ape']:.2%},"
        f" 90 % interval covers {overall['coverage_90']:.1%} (analytical {overall['analytical_mape']:.1%},"
        f" roofline {overall['roofline_mape']:.1%})"
    )
    for note in result.get("notes", ()):
        print(f"warning: {note}")
    return 0


def _power(arguments: argparse.Namespace, report: Callable[[str], None]) -> dict[str, Any]:
    from perfmodel.train_power import train_power

    if arguments.base is not None or arguments.resume is not None:
        raise InputError("--only power adds to the predictor in DIR: it takes no --base, and has nothing to go on from")
    return train_power(
        arguments.traces, arguments.output, device=arguments.device, families=options.names_of(arguments.families),
        seed=arguments.seed, jobs=arguments.jobs, report=report,
    )  # fmt: skip


def _print_power(figures: dict[str, Any], output: str) -> None:
    print(
        f"{output}: power of {figures['n']} rows of 0.1 ms or more, held-out MAPE {figures['mape']:.2%}, 90 % "
        f"interval covers {figures['coverage_90']:.1%} (physical {figures['analytical_mape']:.1%}, the limit "
        f"{figures['limit_mape']:.1%})"
    )


def _on_base(arguments: argparse.Namespace, report: Callable[[str], None]) -> dict[str, Any]:
    from perfmodel.correct import train_on_base

    if arguments.families is not None or arguments.resume is not None:
        raise InputError("--base takes the families that the rows have, and nothing to go on from")
    return train_on_base(
        arguments.traces,
        arguments.output,
        base=arguments.base,
        device=arguments.device,
        seed=arguments.seed,
        report=report,
    )


def _anew(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from perfmodel.train import train

    return train(
        arguments.traces,
        arguments.output,
        device=arguments.device,
        families=options.names_of(arguments.families),
        power=arguments.only is None,
        resume=arguments.resume,
        seed=arguments.seed,
        jobs=arguments.jobs,
        report=progress,
    )


def _installed(output: str) -> tuple[int, int, int] | None:
    """What tells one manifest in a folder from the next; None where there is none."""
    from perfmodel.models import artefact

    try:
        found = (Path(output) / artefact.MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _left(arguments: argparse.Namespace, before: tuple[int, int, int] | None) -> str:
    """What an interrupted training leaves."""
    from perfmodel.training.resume import FOLDER

    output = arguments.output
    if _installed(output) != before:
        if arguments.only is None and arguments.base is None:
            return f"the latency's predictor is written to {output}; --only power adds what the traces say of power"
        return f"{output} is written"
    kept = Path(arguments.resume or f"{output}/{FOLDER}")
    goes_on = arguments.only != "power" and arguments.base is None and any(kept.glob("*.npz"))
    return f"the same command goes on from {kept}" if goes_on else f"{output} is as it was"

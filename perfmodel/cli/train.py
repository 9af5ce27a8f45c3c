"""``perfmodel train``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from perfmodel.errors import InputError

DESCRIPTION = "Train a predictor of operator latency on operator traces."
EXAMPLE = """perfmodel train traces.parquet -o my-predictor
  perfmodel train few.parquet --device calibrated.toml --base default -o my-predictor"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("traces", metavar="TRACES", nargs="+", help="operator traces (Parquet or CSV)")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the predictor's folder")
    parser.add_argument("--device", metavar="D", help="the device file of a device that the catalogue lacks, or an id")
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="correct this predictor (a folder, or the name of a shipped one) with a few rows, instead of training anew",
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
        help="where finished pieces are kept until all are done, so that an interrupted training goes on "
        "(default OUTPUT/.partial)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of folds, samples and boosters (default 0)")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="processes to train in (default 1); same result"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, with a line of progress on standard error for each step, and print the accuracy."""

    def report(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    if arguments.base is not None:
        accuracy = _on_base(arguments, report)
    else:
        accuracy = _anew(arguments, report)
    overall = accuracy["overall"]
    print(
        f"{arguments.output}: {overall['n']} rows, held-out MAPE {overall['mape']:.2%}, median {overall['median_ape']:.2%},"
        f" 90 % interval covers {overall['coverage_90']:.1%} (analytical {overall['analytical_mape']:.1%},"
        f" roofline {overall['roofline_mape']:.1%})"
    )
    return 0


def _pieces(arguments: argparse.Namespace) -> str:
    return str(arguments.resume or f"{arguments.output}/.partial")


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


def _anew(arguments: argparse.Namespace, report: Callable[[str], None]) -> dict[str, Any]:
    from perfmodel.train import train

    families = None
    if arguments.families is not None:
        families = [name.strip() for name in arguments.families.split(",") if name.strip()]
    try:
        return train(
            arguments.traces,
            arguments.output,
            device=arguments.device,
            families=families,
            resume=arguments.resume,
            seed=arguments.seed,
            jobs=arguments.jobs,
            report=report,
        )
    except KeyboardInterrupt:
        report(f"perfmodel train: interrupted; the same command goes on from {_pieces(arguments)}")
        raise

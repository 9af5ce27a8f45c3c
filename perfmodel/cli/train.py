"""``perfmodel train``."""

from __future__ import annotations

import argparse
import sys

DESCRIPTION = "Train a predictor of operator latency on operator traces."
EXAMPLE = "perfmodel train traces.parquet -o my-predictor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("traces", metavar="TRACES", nargs="+", help="operator traces (Parquet or CSV)")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the predictor's folder")
    parser.add_argument("--device", metavar="TOML", help="the device file of a device that the catalogue lacks")
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
    from perfmodel.train import train

    def report(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    families = None
    if arguments.families is not None:
        families = [name.strip() for name in arguments.families.split(",") if name.strip()]
    try:
        accuracy = train(
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
    overall = accuracy["overall"]
    print(
        f"{arguments.output}: {overall['n']} rows, held-out MAPE {overall['mape']:.2%}, median {overall['median_ape']:.2%},"
        f" 90 % interval covers {overall['coverage_90']:.1%} (analytical {overall['analytical_mape']:.1%},"
        f" roofline {overall['roofline_mape']:.1%})"
    )
    return 0


def _pieces(arguments: argparse.Namespace) -> str:
    return str(arguments.resume or f"{arguments.output}/.partial")

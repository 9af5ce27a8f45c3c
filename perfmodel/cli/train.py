"""``perfmodel train``."""

from __future__ import annotations

import argparse
import sys

DESCRIPTION = "Train a predictor of GEMM latency on operator traces."
EXAMPLE = """perfmodel train traces.parquet -o my-predictor
  perfmodel train few.parquet --device calibrated.toml --base default -o my-predictor"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("traces", metavar="TRACES", nargs="+", help="operator traces (Parquet or CSV)")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the predictor's folder")
    parser.add_argument("--device", metavar="TOML", help="the device file of a device that the catalogue lacks")
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="correct this predictor (a folder, or the name of a shipped one) with a few rows, instead of training anew",
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

    if arguments.base is not None:
        from perfmodel.correct import train_on_base

        accuracy = train_on_base(
            arguments.traces,
            arguments.output,
            base=arguments.base,
            device=arguments.device,
            seed=arguments.seed,
            report=report,
        )
    else:
        accuracy = train(
            arguments.traces,
            arguments.output,
            device=arguments.device,
            seed=arguments.seed,
            jobs=arguments.jobs,
            report=report,
        )
    overall = accuracy["overall"]
    print(
        f"{arguments.output}: {overall['n']} rows, held-out MAPE {overall['mape']:.2%}, median {overall['median_ape']:.2%},"
        f" 90 % interval covers {overall['coverage_90']:.1%} (analytical {overall['analytical_mape']:.1%},"
        f" roofline {overall['roofline_mape']:.1%})"
    )
    return 0

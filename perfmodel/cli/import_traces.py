"""``perfmodel import``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, check_table_target, console, write_json, write_table
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

DESCRIPTION = "Traces that profilers, tuners and runtimes wrote, as operator traces to train on or to judge by."
EXAMPLE = """perfmodel import trace.json --device h100-sxm --software torch-2.9.0 -o traces.parquet
  perfmodel import gemm.csv --format cutlass-profiler --device t4 --software cutlass-4.2 -o t.csv
  perfmodel import cache.json --op 'gemm m=4096 n=4096 k=4096 dtype=fp32' \\
      --device rtx-3090 --software clblast-1.6 -o t.csv
  perfmodel import profile.json --graph optimised.onnx \\
      --device local-cpu --software onnxruntime-1.23 -o traces.parquet"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("traces", metavar="TRACE", nargs="+", help="files as the tools wrote them; .gz is unpacked")
    parser.add_argument("--device", metavar="D", required=True, help="what they were measured on: an id, or a TOML")
    parser.add_argument(
        "--software", metavar="STACK", required=True, help="the stack that was measured, as in torch-2.9.0"
    )
    parser.add_argument(
        "--format", metavar="F", help="what the files are; default: each is looked at (docs/importing.md has them all)"
    )
    parser.add_argument("--op", metavar="TEXT", help="what the kernel computes, where the file does not say")
    parser.add_argument("--graph", metavar="ONNX", help="the saved graph that a profile of ONNX Runtime belongs to")
    parser.add_argument(
        "--dim", metavar=options.DIM_METAVAR, action="append", default=[], help="a number for a dimension of that graph"
    )
    parser.add_argument(
        "--warm-up", metavar="N", type=int, default=1, help="runs of a profile to leave out (default 1)"
    )
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="of the profiled session (default 1)")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the table: .parquet or .csv")
    options.add_force_option(parser)
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the files, write the table and the JSON where it was asked for, and say what became of what."""
    check_table_target(arguments.output, overwrite=arguments.force)
    if arguments.warm_up < 0 or arguments.threads < 1:
        raise InputError(
            f"wanted --warm-up of 0 or more and --threads above 0, got {arguments.warm_up} and {arguments.threads}"
        )
    from perfmodel.collect.importers.descriptor import parse_descriptor
    from perfmodel.collect.importers.registry import Request
    from perfmodel.importing import counted, import_traces

    request = Request(
        device=arguments.device,
        software=arguments.software,
        op=None if arguments.op is None else parse_descriptor(arguments.op),
        graph=None if arguments.graph is None else Path(arguments.graph),
        dims=options.parse_dims(arguments.dim),
        warm_up=arguments.warm_up,
        threads=arguments.threads,
    )
    with Progress("perfmodel import") as progress:
        found = import_traces(*arguments.traces, request=request, format=arguments.format, report=progress)
    write_table(found.table, arguments.output, overwrite=arguments.force)
    result = counted(found)
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT:
        _show(result, arguments.output)
    return 0


def _show(result: dict[str, Any], target: str) -> None:
    screen = console()
    for path, name in result["files"].items():
        screen.print(f"{path}: {name}", soft_wrap=True)
    operators = ", ".join(f"{count} {op}" for op, count in result["operators"].items())
    failed = f", {result['failed']} of them failed" if result["failed"] else ""
    screen.print(f"{target}: {result['rows']} rows ({operators}){failed}", soft_wrap=True)
    for reason, count in result["passed_over"].items():
        screen.print(f"passed over: {count} x {reason}", soft_wrap=True)

"""``perfmodel datasets``."""

from __future__ import annotations

import argparse

DESCRIPTION = "Public data sets as operator traces."
EXAMPLE = "perfmodel datasets build aiconfigurator --from path/to/aiconfigurator -o traces.parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("action", choices=("list", "build"), help="list: what is known; build: write a trace table")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the data set")
    parser.add_argument("--from", dest="source", metavar="PATH", help="a local copy in its upstream layout")
    parser.add_argument("-o", "--output", metavar="TRACES", help="the Parquet file to write")


def run(arguments: argparse.Namespace) -> int:
    """List the data sets, or write one as operator traces."""
    from perfmodel.errors import InputError, nearest

    if arguments.action == "list":
        from perfmodel.datasets.aiconfigurator import card

        known = card()
        print(
            f"{known['id']}  {known['title']}: {', '.join(known['families'])} ({known['licence']}, {known['source']})"
        )
        return 0
    if arguments.name is None or arguments.source is None or arguments.output is None:
        raise InputError("datasets build needs a name, --from PATH and -o TRACES")
    if arguments.name != "aiconfigurator":
        raise InputError(f"unknown data set {arguments.name!r}: {nearest(arguments.name, ['aiconfigurator'])}")
    from perfmodel.datasets.aiconfigurator import read_gemm
    from perfmodel.datasets.schema import write_traces

    table = read_gemm(arguments.source)
    write_traces(table, arguments.output)
    print(
        f"{arguments.output}: {len(table)} rows, {table['device'].nunique()} devices, {table['collection'].nunique()} tables"
    )
    return 0

"""``perfmodel datasets``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress

if TYPE_CHECKING:
    from perfmodel.datasets.build import Summary
    from perfmodel.datasets.cards import Card

DESCRIPTION = "Public data sets: list them, download one, or build a table of traces from them."
EXAMPLE = (
    "perfmodel datasets list\n"
    "  perfmodel datasets get zeus\n"
    "  perfmodel datasets build aiconfigurator --family gemm,attention --device h100-sxm -o h100.parquet"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "action",
        choices=("list", "get", "build"),
        help="list: what is known; get: download one into the cache; build: write a trace table",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="the data sets (get: one)")
    parser.add_argument("--from", dest="source", metavar="PATH", help="build: a local copy in its upstream layout")
    parser.add_argument("--family", metavar="OPS", help="build: only these operator families, as in gemm,attention")
    parser.add_argument("--device", metavar="IDS", help="build: only these devices, as in h100-sxm,l40s")
    parser.add_argument(
        "--table", metavar="FILES", help="build: only these kinds of upstream file (aiconfigurator), as in gemm,moe"
    )
    parser.add_argument(
        "--duplicates",
        choices=("keep", "first", "median"),
        default="keep",
        help="build: shapes that a file measures more than once: keep all and count them in `repeat` (default), "
        "keep the first, or one row with the medians",
    )
    parser.add_argument("-o", "--output", metavar="TRACES", help="build: the file to write, .parquet or .csv")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """List, download or build; write the JSON where it was asked for."""
    from perfmodel.errors import InputError

    if arguments.action == "list":
        result, shown = _list(arguments)
    elif arguments.action == "get":
        if len(arguments.names) != 1:
            raise InputError("datasets get needs the name of one data set, as in `perfmodel datasets get zeus`")
        result, shown = _get(arguments.names[0])
    else:
        if not arguments.names or arguments.output is None:
            raise InputError(
                "datasets build needs a name and -o TRACES, as in `perfmodel datasets build zeus -o zeus.parquet`"
            )
        result, shown = _build(arguments)
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json != TO_STDOUT:
        screen = console()
        for item in shown:
            screen.print(item)
    return 0


def _list(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[Any]]:
    from perfmodel.cli.tables import plain_table, safe
    from perfmodel.datasets.cards import load_card
    from perfmodel.datasets.local import where
    from perfmodel.datasets.registry import ADAPTERS
    from perfmodel.errors import InputError, nearest

    for name in arguments.names:
        if name not in ADAPTERS:
            raise InputError(f"unknown data set {name!r}: {nearest(name, ADAPTERS)}")
    cards = [load_card(name) for name in arguments.names or ADAPTERS]
    table = plain_table()
    table.add_column("name", no_wrap=True)
    table.add_column("holds", overflow="fold")
    table.add_column("devices", justify="right")
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("licence", overflow="fold")
    table.add_column("here", no_wrap=True)
    entries = []
    for card in cards:
        place = where(card)
        entries.append({**_record(card), "here": place})
        rows = "-" if card.rows is None else f"{card.rows:,}"
        holds = ", ".join(card.families) or "runs"
        table.add_row(safe(card.id), holds, str(len(card.measured_devices)), rows, safe(card.licence), place)
    notes = ["here: `downloaded` (perfmodel datasets get), `package` (an installed Python package), or `-`"]
    return {"datasets": entries}, [table, *notes]


def _record(card: Card) -> dict[str, Any]:
    return {
        "id": card.id, "title": card.title, "table": card.table, "families": list(card.families),
        "devices": list(card.measured_devices), "rows": card.rows, "licence": card.licence, "source": card.source,
        "commit": card.commit, "downloadable": card.download is not None, "traps": dict(card.raw["traps"]),
    }  # fmt: skip


def _get(name: str) -> tuple[dict[str, Any], list[Any]]:
    from perfmodel.datasets.cards import load_card
    from perfmodel.datasets.fetch import get
    from perfmodel.datasets.registry import reader

    reader(name)  # an unknown name is refused with the nearest ones

    card = load_card(name)
    with Progress("perfmodel datasets get") as progress:
        try:
            fetched = get(card, report=progress)
        except KeyboardInterrupt as stop:
            stop.add_note("files that had come whole are kept, the same command goes on")
            raise
    result = {
        "id": name, "commit": card.commit, "folder": str(fetched.folder), "files": fetched.files, "bytes": fetched.bytes,
        "downloaded": fetched.downloaded, "verified": fetched.verified, "archive_sha256": fetched.sha256,
    }  # fmt: skip
    shown = [f"{fetched.folder}: {fetched.files} files, {fetched.bytes / 1e6:.1f} MB, {fetched.downloaded} of them new"]
    if not fetched.verified:
        shown.append(
            f"not verified: the card knows no checksum of this archive; it came over HTTPS and has SHA-256 {fetched.sha256}"
        )
    return result, shown


def _build(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[Any]]:
    from perfmodel.datasets.build import plan, write

    chosen = plan(
        arguments.names,
        arguments.source,
        families=options.names_of(arguments.family),
        devices=options.names_of(arguments.device),
        tables=options.names_of(arguments.table),
        duplicates=arguments.duplicates,
    )
    with Progress("perfmodel datasets build") as progress:
        progress(f"reading {', '.join(arguments.names)}")
        summary = write(chosen, arguments.output, report=progress)
    return {"output": arguments.output, **summary.to_dict()}, _summary(summary, arguments.output)


def _summary(summary: Summary, output: str) -> list[Any]:
    """Rows by family, device and software, and everything that is not an ordinary row."""
    from perfmodel.cli.tables import plain_table, safe

    table = plain_table()
    for name in ("family", "device", "software"):
        table.add_column(name, overflow="fold")
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("not ok", overflow="fold")
    groups: dict[tuple[str, str, str], dict[str, int]] = {}
    for (_, family, device, software, status), count in sorted(summary.rows.items()):
        groups.setdefault((family, device, software), {})[status] = count
    for key, statuses in groups.items():
        bad = ", ".join(f"{n} {status}" for status, n in statuses.items() if status != "ok")
        table.add_row(*map(safe, key), f"{sum(statuses.values()):,}", safe(bad))
    lines: list[Any] = [safe(f"{output}: {summary.total:,} rows of {summary.files} upstream files")]
    for (name, family), count in sorted(summary.repeats.items()):
        lines.append(safe(f"{name}, {family}: {count:,} rows measure again what their file has already (`repeat`)"))
    for (name, note), count in sorted(summary.notes.items()):
        lines.append(safe(f"{name}: {count:,} rows with the note `{note}`"))
    if summary.joined:
        lines.append(f"{summary.joined:,} repeats were joined or left out (--duplicates)")
    if summary.left_out:
        lines.append(f"{summary.left_out:,} rows of the same files were left out (--family, --device)")
    return [table, *lines]

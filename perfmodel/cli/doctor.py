"""``perfmodel doctor``."""

from __future__ import annotations

import argparse

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress

DESCRIPTION = """What there is on this machine that perfmodel uses, and what is missing: versions, extras, devices, meters,
predictors, data sets. Put it into a bug report. Nothing is measured or sent anywhere."""
EXAMPLE = "perfmodel doctor --json doctor.json"

MARKS = {"ok": ("+", "green"), "missing": ("-", ""), "broken": ("!", "red")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; what is broken is said, and changes no exit code."""
    from perfmodel.doctor import examine, to_dict

    with Progress("perfmodel doctor"):
        found = examine()
    result = to_dict(found)
    if arguments.json is not None:
        write_json(result, arguments.json)
    if arguments.json == TO_STDOUT:
        return 0
    from rich.table import Table
    from rich.text import Text

    from perfmodel.cli.tables import safe

    screen = console()
    for section, findings in found.items():
        screen.print(section, style="bold")
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_column()
        table.add_column(overflow="fold", max_width=28)
        table.add_column(overflow="fold")
        for finding in findings:
            mark, style = MARKS[finding.state]
            table.add_row(Text(f"  {mark}", style=style), safe(finding.name), safe(finding.text))
        screen.print(table)
    broken = result["broken"]
    screen.print(f"\n+ there   - not there, which is no fault   ! broken: {broken}")
    return 0

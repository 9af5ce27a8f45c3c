"""Files that a command writes: declared with its options, checked before its work, of whichever command.

An option with ``action=Written`` names such a file. Before a command runs, :func:`check` refuses what could not be written
in the end: a name that says no format, an extra that is missing, a folder that is not there, two results in one file.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

from perfmodel.cli.output import TO_STDOUT, check_target, place_of
from perfmodel.errors import InputError


class Written(argparse.Action):
    """An option whose value is the path of a file that the command writes, replacing one that is there.

    Args:
        kind: refuses a path whose name says no format that can be written, and what is not installed; None: any name will do.
        options: as for :class:`argparse.Action`.
    """

    def __init__(self, *names: Any, kind: Callable[[str], None] | None = None, **options: Any) -> None:
        super().__init__(*names, **options)
        self.kind: Callable[[str], None] | None = kind

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Store it."""
        setattr(namespace, self.dest, values)


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse files that could not be written, before the work.

    Args:
        parser: of the command. Beside :class:`Written`, its ``--output`` counts as written: commands that keep a file which
            is there check it themselves.
        arguments: that it found.

    Raises:
        InputError: as :func:`perfmodel.cli.output.check_target`; two options name one file; one names the model.
        MissingExtraError: what writes it is not installed.
    """
    models = set(_models(arguments))
    taken: dict[str, str] = {}
    for action in parser._actions:
        target = getattr(arguments, action.dest, None)
        written = isinstance(action, Written)
        if not isinstance(target, str) or not (written or action.dest == "output"):
            continue
        if isinstance(action, Written) and action.kind is not None:
            action.kind(target)
        if target == TO_STDOUT:
            continue
        if written:
            check_target(target, overwrite=True)
        path = place_of(target)
        if path.exists() and not path.is_file() and not path.is_dir():
            continue  # a pipe or a device takes more than one result
        option = action.option_strings[-1]
        other = taken.setdefault(str(path), option)
        if other != option:
            raise InputError(f"{other} and {option} both write {target}: give each a name of its own")
        if str(path) in models:
            raise InputError(f"{option} {target} is the model itself, which is not replaced: choose another name")


def _models(arguments: argparse.Namespace) -> Iterator[str]:
    given = getattr(arguments, "model", None)
    for model in given if isinstance(given, list) else [given]:
        if isinstance(model, str):
            yield os.path.realpath(model)


# ------------------------------------------------------------------------------------------------------------- kinds
def page(path: str) -> None:
    """A page.

    Raises:
        InputError: its name does not end in ``.html``.
        MissingExtraError: the extra ``report`` is not installed.
    """
    if not path.lower().endswith((".html", ".htm")):
        raise InputError(f"a page {path!r}: wanted a name that ends in .html")
    from perfmodel.report import vega

    vega.check_installed()


def plot(path: str) -> None:
    """A picture.

    Raises:
        InputError: its name ends neither in ``.svg`` nor in ``.png``.
        MissingExtraError: the extra ``plot`` is not installed.
    """
    from perfmodel.predict import picture

    picture.picture_format(path)
    picture.check_installed("a plot")


def trace(path: str) -> None:
    """A predicted run.

    Raises:
        InputError: its name does not end in ``.json``.
    """
    if not path.lower().endswith(".json"):
        raise InputError(f"a trace {path!r}: wanted a name that ends in .json")


def table(path: str) -> None:
    """A table of operators.

    Raises:
        InputError: its name ends neither in ``.csv`` nor in ``.parquet``.
        MissingExtraError: Parquet without the extra ``train``.
    """
    from perfmodel.exchange.table import check_ending

    check_ending(path)

"""Where results go: JSON files, and the console that tables are printed on."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError
from perfmodel.files import write_whole

if TYPE_CHECKING:
    from rich.console import Console

TO_STDOUT = "-"


def write_json(result: Any, target: str) -> None:
    """Write a result as strict JSON (no NaN, no infinity).

    A file appears complete or not at all: it is written under another name beside its place and then renamed.

    Args:
        result: what :mod:`json` can write.
        target: a path, or ``"-"`` for standard output.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=True) + "\n", target)


def write_text(text: str, target: str, *, overwrite: bool = True) -> None:
    """Write a text file, complete or not at all.

    Args:
        text: what it holds.
        target: a path, or ``"-"`` for standard output.
        overwrite: whether a file that exists is replaced.

    Raises:
        InputError: the file cannot be written, or exists and is not to be replaced.
    """
    if target == TO_STDOUT:
        sys.stdout.write(text)
        return
    write_bytes(text.encode("utf-8"), target, overwrite=overwrite)


def write_bytes(data: bytes, target: str, *, overwrite: bool = True) -> None:
    """Write a file, complete or not at all.

    Args:
        data: what it holds.
        target: its path.
        overwrite: whether a file that exists is replaced.

    Raises:
        InputError: the file cannot be written, or exists and is not to be replaced.
    """
    path = Path(os.path.realpath(target))  # of a link, the file that it points to is replaced
    try:
        if not overwrite and path.is_file():
            raise InputError(f"{target} exists; --force replaces it")
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            # A pipe or a device (/dev/stdout, process substitution) is written to, never replaced. A folder fails here.
            with path.open("wb") as stream:
                stream.write(data)
            return
        write_whole(path, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"cannot write {target!r}: {error.strerror or error}") from None


def console() -> Console:
    """Standard output for tables: colours and the terminal's width there, plain 80 columns in a pipe.

    ``NO_COLOR`` and ``COLUMNS`` are respected. Text is never read as markup: names come from files.
    """
    from rich.console import Console

    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)

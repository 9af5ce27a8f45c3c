"""Where results go: JSON files, and the console that tables are printed on."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from perfmodel.cli import interrupts
from perfmodel.errors import InputError
from perfmodel.files import write_whole

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

TO_STDOUT = "-"
_BLANKS = re.compile(r" +(?=\n)")
_ELLIPSIS = "…"


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
    path = place_of(target)
    try:
        if not overwrite and path.is_file():
            raise InputError(f"{target} exists; --force replaces it")
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            # A pipe or a device (/dev/stdout, process substitution) is written to, never replaced. A folder fails here.
            with path.open("wb") as stream:
                stream.write(data)
            return
        write_whole(path, data)
        interrupts.WRITTEN.append(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"cannot write {target!r}: {error.strerror or error}") from None


def place_of(target: str) -> Path:
    """The path that is written to: of a link, the file that it points to is replaced.

    A pipe or a device keeps the name that it was given: what its links end in (``pipe:[7]``, of ``/dev/stdout``) is no path.
    """
    path = Path(target)
    return path if path.exists() and not path.is_file() and not path.is_dir() else Path(os.path.realpath(target))


def check_target(target: str, *, overwrite: bool) -> None:
    """Refuses a file that could not be written: before the work, not after it.

    Args:
        target: a path, or ``"-"`` for standard output.
        overwrite: whether a file that exists is replaced.

    Raises:
        InputError: it exists and is not to be replaced, is a folder, or its folder does not exist or may not be written to.
    """
    if target == TO_STDOUT:
        return
    path = place_of(target)
    if path.is_dir():
        raise InputError(f"cannot write {target!r}: it is a folder; wanted a file")
    if not overwrite and path.is_file():
        raise InputError(f"{target} exists; --force replaces it")
    if path.exists() and not path.is_file():  # a pipe or a device
        if not os.access(path, os.W_OK):
            raise InputError(f"cannot write {target!r}: it may not be written to")
        return
    if not path.parent.is_dir():
        raise InputError(f"cannot write {target!r}: there is no folder {Path(target).parent}")
    # A file that is there is replaced by one that is written beside it, which takes place in its folder, too.
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {target!r}: the folder {Path(target).parent} may not be written to")


def check_table_target(target: str, *, overwrite: bool) -> None:
    """Refuses a file that a table could not be written to: before the work, not after it.

    Raises:
        InputError: as :func:`check_target`, or it is neither .csv nor .parquet.
    """
    if Path(target).suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"{target} is neither .csv nor .parquet")
    check_target(target, overwrite=overwrite)


def write_table(table: pd.DataFrame, target: str, *, overwrite: bool = True) -> None:
    """Write a table as CSV or Parquet, by the name's end; complete or not at all.

    Raises:
        InputError: as :func:`check_table_target`, or the file cannot be written.
    """
    check_table_target(target, overwrite=overwrite)
    if Path(target).suffix.lower() == ".csv":
        write_text(table.to_csv(index=False), target, overwrite=overwrite)
    else:
        from io import BytesIO

        data = BytesIO()
        table.to_parquet(data, index=False)
        write_bytes(data.getvalue(), target, overwrite=overwrite)


def console(*, errors: bool = False) -> Console:
    """Standard output for tables: colours and the terminal's width there, plain 80 columns in a pipe.

    ``NO_COLOR``, ``FORCE_COLOR`` and ``COLUMNS`` are respected. Text is never read as markup: names come from files.

    Args:
        errors: standard error instead, beside JSON on standard output.
    """
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would leave with exit code 1, which says that a threshold was missed

    return Screen(
        file=cast(TextIO, _Plain(sys.stderr if errors else sys.stdout)), markup=False, highlight=False, emoji=False
    )


class _Plain:
    """A stream as tables need it: no blanks at the ends of lines in a pipe or file, no ellipsis where the encoding has none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._trims = not stream.isatty()
        try:
            _ELLIPSIS.encode(stream.encoding or "ascii")
            self._ellipsis = _ELLIPSIS
        except (UnicodeError, LookupError):
            self._ellipsis = "~"  # as wide as the character: its escape would push the columns apart

    def write(self, text: str) -> int:
        """As a stream's."""
        if self._trims:
            text = _BLANKS.sub("", text)
        return self._stream.write(text.replace(_ELLIPSIS, self._ellipsis))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

"""CSV tables that tools print among other lines."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from perfmodel.collect.importers.rows import text_lines
from perfmodel.errors import TraceError

_DECIMAL_COMMA = re.compile(r"[+-]?(?:[\d.]*\d,(?!\d{3}\b)\d+|0,\d+|[\d.]*\.[\d.]*,\d+)")
"""``10,24``, ``0,125``, ``1.234,567``: numbers of a locale whose decimals follow a comma. ``1,234`` is a thousand and more."""
LONGEST_LINE = 100_000
"""Names of kernels with their templates have some thousand characters."""


def csv_rows(
    path: str | Path, is_header: Callable[[Collection[str]], bool], what: str, through: str | None = None
) -> Iterator[dict[str, str]]:
    """The rows below every header that is one of the wanted tables, as mappings; a table may follow another.

    Lines before the first header, lines of another length, and other tables are passed over.

    Args:
        path: the file.
        is_header: whether a line with these fields is the header of a wanted table.
        what: the file should be, for messages.
        through: a column; lines that end after it, with a further field so that it is whole, are rows, too, and empty in the
            columns that they lack.

    Raises:
        TraceError: there is no such header, or the file cannot be read.
    """
    header: list[str] | None = None
    seen = False
    try:
        for fields in csv.reader(_lines(path)):
            names = [field.strip() for field in fields]
            if is_header(names):
                header, seen = names, True
            elif header is not None and (not any(names) or len(set(names) & set(header)) > 1):
                header = None  # another table begins, or this one ends
            elif header is not None and len(names) == len(header):
                yield dict(zip(header, names, strict=True))
            elif header is not None and through in header and header.index(through) + 1 < len(names) < len(header):
                yield dict.fromkeys(header, "") | dict(zip(header, names, strict=False))
    except csv.Error as problem:
        raise TraceError(f"{path} is no {what}: {problem}") from None
    if not seen:
        raise TraceError(f"{path} is no {what}: it lacks the columns of one")


def _lines(path: str | Path) -> Iterator[str]:
    for line in text_lines(path):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        # A NUL in a text file is damage; the csv module of Python 3.11 refuses the rest of such a file.
        yield line.replace("\0", "")


def number(text: str | None) -> float | None:
    """``1,234.5`` as a number; None for anything else, infinite ones among it.

    Raises:
        TraceError: it has a decimal comma: ``1,234`` of the same file would be a thousand times too large.
    """
    if text and _DECIMAL_COMMA.fullmatch(text.strip()):
        raise TraceError(f"{text.strip()!r} has a decimal comma: write the file again under LC_ALL=C")
    try:
        found = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return found if math.isfinite(found) else None

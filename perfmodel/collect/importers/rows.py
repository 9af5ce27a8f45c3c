"""Calls of operators, gathered into rows of a trace table."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, TextIO

from perfmodel.collect.importers.descriptor import does_nothing
from perfmodel.collect.onnxruntime_profile import midmean
from perfmodel.errors import TraceError
from perfmodel.ops.base import Operator
from perfmodel.ops.table import columns_of

EMPTY = "operators without elements"
NO_TIME = "calls without a time"
MOST_BYTES, LONGEST_PIECE = 2_000_000_000, 10_000_000
MOST_CONTAINERS = 40_000_000
"""Of a JSON text: each empty list takes 64 bytes of memory, and two of the text."""
_MOST_UNPACKED, _MOST_TIMES = 64_000_000, 150
"""Of a packed file: so many bytes, or so many times its own length. Profiles become 10 to 40 times as long."""


@dataclass(frozen=True)
class Imported:
    """Columns of operator traces, all of one length; None where a row has no such column.

    Attributes:
        columns: by name, in SI units.
        passed_over: what is no row, by reason, and how often.
    """

    columns: Mapping[str, list[Any]]
    passed_over: Mapping[str, int]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


@dataclass
class Rows:
    """Gathers calls; calls of one operator by one kernel become one row.

    Attributes:
        common: columns that every row has (``device``, ``software``, ``source``).
    """

    common: Mapping[str, Any]
    passed_over: Counter[str] = field(default_factory=Counter)
    _calls: dict[tuple[Operator, str], list[float]] = field(default_factory=dict)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, op: Operator, seconds: float, kernel: str) -> None:
        """One call that took so long; none without a time becomes a row."""
        if does_nothing(op):
            self.passed_over[EMPTY] += 1
        elif not seconds > 0:
            self.passed_over[NO_TIME] += 1
        else:
            self._calls.setdefault((op, kernel), []).append(seconds)

    def add_summary(self, op: Operator, seconds: float, kernel: str, samples: int, rel_std: float | None) -> None:
        """Calls that were summed up elsewhere: their median (or mean), how many they are, their relative deviation."""
        more = {"kernel": kernel, "latency_s": seconds, "samples": samples, "latency_rel_std": rel_std}
        self.add_row(op, more)

    def add_row(self, op: Operator, more: Mapping[str, Any]) -> None:
        """A row of its own, with further columns: one configuration of a kernel."""
        if does_nothing(op):
            self.passed_over[EMPTY] += 1
        else:
            self._rows.append({**self.common, **columns_of(op), **more})

    def imported(self, name: str) -> Imported:
        """The rows: calls in the order of the first of each, then rows of their own.

        Args:
            name: of the file, for the message.

        Raises:
            TraceError: there is no row.
        """
        if not self._calls and not self._rows:
            why = ", ".join(f"{reason} ({count})" for reason, count in self.passed_over.most_common(4))
            raise TraceError(f"{name} holds no operator that is understood" + (f": {why}" if why else ""))
        rows = [
            {
                **self.common,
                **columns_of(op),
                "kernel": kernel,
                "latency_s": midmean(seconds),
                "samples": len(seconds),
                "latency_rel_std": pstdev(seconds) / fmean(seconds),
                "order": order,
            }
            for order, ((op, kernel), seconds) in enumerate(self._calls.items())
        ]
        rows += [{**row, "order": order} for order, row in enumerate(self._rows, start=len(rows))]
        return Imported(as_columns(rows), dict(self.passed_over))


def as_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns; what a row lacks is None."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def read_text(path: str | Path) -> str:
    """A file of text; ``.gz`` is unpacked.

    Raises:
        TraceError: it cannot be read, or is too large.
    """
    # In pieces: one read of so many bytes takes as much memory at once, however short the file is.
    return "".join(text_lines(path))


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, nests too deeply, or holds more than :data:`MOST_CONTAINERS` lists and objects.
    """
    if text.count("[") + text.count("{") > MOST_CONTAINERS:
        raise ValueError(f"more than {MOST_CONTAINERS:,} lists and objects")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def text_lines(path: str | Path) -> Iterator[str]:
    """The lines of a file of text, one after another; ``.gz`` is unpacked.

    Raises:
        TraceError: it cannot be read, or is too large.
    """
    path = Path(path)
    read = 0
    try:
        most = MOST_BYTES
        if path.suffix == ".gz":
            most = min(most, max(_MOST_UNPACKED, _MOST_TIMES * path.stat().st_size))
        with _opened(path) as file:
            # A line that does not end is given in pieces.
            while line := file.readline(LONGEST_PIECE):
                read += len(line)
                if read > most:
                    raise _too_large(path, most)
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: {_reason(error)}") from None


def _opened(path: Path) -> TextIO:
    if path.stat().st_size > MOST_BYTES:
        raise _too_large(path, MOST_BYTES)
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def _too_large(path: Path, most: int) -> TraceError:
    return TraceError(f"{path} {'unpacks to' if path.suffix == '.gz' else 'has'} more than {most} bytes")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

"""Calls of operators, gathered into rows of a trace table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from perfmodel.collect.onnxruntime_profile import midmean
from perfmodel.errors import TraceError
from perfmodel.ops.base import Operator
from perfmodel.ops.table import columns_of

MOST_BYTES = 2_000_000_000


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

    def add(self, op: Operator, seconds: float, kernel: str) -> None:
        """One call that took so long."""
        self._calls.setdefault((op, kernel), []).append(seconds)

    def imported(self, name: str) -> Imported:
        """The rows, in the order of their first calls.

        Args:
            name: of the file, for the message.

        Raises:
            TraceError: there is no row.
        """
        if not self._calls:
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
        return Imported(as_columns(rows), dict(self.passed_over))


def as_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns; what a row lacks is None."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def read_text(path: str | Path) -> str:
    """A file of text.

    Raises:
        TraceError: it cannot be read, or is too large.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise TraceError(f"{path} has more than {MOST_BYTES} bytes")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None

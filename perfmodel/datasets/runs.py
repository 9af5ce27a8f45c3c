"""Run traces with the operators that each run executed: tables in memory, or files beside a table of runs.

A run's column ``operators`` names a table of operator rows: ``op``, the family's descriptor, and ``count`` (how often it
ran). In a file of runs it is a path, relative to that file's folder. Where the operators were timed too, ``latency_s`` is
seconds of one execution, and ``variant`` what the data set calls the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets import columns as c
from perfmodel.datasets.cards import is_inside
from perfmodel.datasets.schema import check_runs, read_table, require_pandas, usable
from perfmodel.errors import TraceError
from perfmodel.ops.base import Operator
from perfmodel.ops.table import columns_of

if TYPE_CHECKING:
    import pandas as pd

COUNT = "count"


@dataclass(frozen=True)
class Runs:
    """A table of run traces, and how to get at the operators of one.

    Attributes:
        table: checked run traces.
        operators: the operator table that a value of the column ``operators`` names.
    """

    table: pd.DataFrame
    operators: Callable[[str], pd.DataFrame]

    @property
    def listed(self) -> pd.DataFrame:
        """The runs that can be predicted: measured without fault, with a latency and a list of operators."""
        if "operators" not in self.table:
            return self.table[:0]
        latency = self.table["latency_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        return self.table[usable(self.table) & np.isfinite(latency) & self.table["operators"].notna().to_numpy()]


def operator_table(counts: Iterable[tuple[Operator, int, Mapping[str, Any]]]) -> pd.DataFrame:
    """A table of operators with counts.

    Args:
        counts: descriptor, how often it ran, and further columns (``variant``, ``latency_s``).
    """
    return require_pandas().DataFrame([{**columns_of(op), COUNT: count, **more} for op, count, more in counts])


class OperatorFiles:
    """The operator tables below a folder; each is read when it is asked for, once."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._known: dict[str, pd.DataFrame] = {}

    def __call__(self, reference: str) -> pd.DataFrame:
        """The table of a path.

        Raises:
            TraceError: the path leads out of the folder, or there is no table of operators.
        """
        if reference not in self._known:
            if not is_inside(reference):
                raise TraceError(f"{self._name}: the operators {reference!r} are no path below the folder of the runs")
            self._known[reference] = read_operators(self._folder / reference)
        return self._known[reference]


def runs_in(table: pd.DataFrame, folder: Path, name: str = "runs") -> Runs:
    """Runs whose operator tables lie below a folder.

    Raises:
        TraceError: the table breaks the schema.
    """
    check_runs(table, name)
    return Runs(table, OperatorFiles(folder, name))


def read_operators(path: Path) -> pd.DataFrame:
    """A file of operators with counts.

    Raises:
        TraceError: it cannot be read, or lacks a column.
    """
    table = read_table(path)
    check_operators(table, str(path))
    return table


def check_operators(table: pd.DataFrame, name: str) -> None:
    """Checks a table of operators with counts.

    Raises:
        TraceError: a column is missing, or a count is no whole number above 0.
    """
    for column in ("op", COUNT):
        if column not in table.columns:
            raise TraceError(f"{name}: column {column!r} is missing; wanted operator rows with counts")
    counts = table[COUNT].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(np.isfinite(counts) & (counts >= 1) & (counts == np.floor(counts)))
    if bad.any():
        row = int(np.argmax(bad))
        raise TraceError(f"{name}: row {row}, column {COUNT!r}: found {counts[row]:g}, wanted a whole number above 0")
    for family in dict.fromkeys(map(str, table["op"])):
        for column in c.REQUIRED_OF_FAMILY.get(family, ()):
            if column not in table.columns:
                raise TraceError(f"{name}: column {column!r} is missing, which {family} needs")

"""What the adapters share: reading upstream files with one clear line where they differ, names, marks, repeats.

An adapter is a module with one function,

    read(root, card, wanted) -> iterator of tables

that yields one table a file, with our column names and SI units, in the order in which rows shall stand. What the card
says of all rows (:func:`finish`) is added by :mod:`perfmodel.datasets.build`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets import columns as c
from perfmodel.datasets.cards import Card
from perfmodel.datasets.parquet import read_parquet
from perfmodel.datasets.schema import first_line, require_pandas
from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

CONDITIONS = (
    "device", "software", "op", "kernel", "launch", "cache", "clock_mhz", "mem_clock_mhz", "power_limit_w", "threads",
    "collection",
)  # fmt: skip
"""Beside its descriptor or workload, what two rows must share to be repeats of one measurement."""


@dataclass(frozen=True)
class Wanted:
    """What a build asks for; None means everything. Adapters skip files that hold nothing of it."""

    families: frozenset[str] | None = None
    devices: frozenset[str] | None = None
    tables: frozenset[str] | None = None

    def family(self, *names: str) -> bool:
        """Whether any of these operator families is asked for."""
        return self.families is None or not self.families.isdisjoint(names)

    def device(self, name: str) -> bool:
        """Whether this device is asked for."""
        return self.devices is None or name in self.devices

    def table(self, name: str) -> bool:
        """Whether this kind of upstream file is asked for."""
        return self.tables is None or name in self.tables

    def rows(self, table: pd.DataFrame) -> np.ndarray:
        """Which rows of a table are asked for; shape ``[rows]``."""
        chosen = np.ones(len(table), dtype=bool)
        if self.families is not None and "op" in table.columns:
            chosen &= table["op"].isin(list(self.families)).to_numpy()
        if self.devices is not None:
            chosen &= table["device"].isin(list(self.devices)).to_numpy()
        return chosen


EVERYTHING = Wanted()


def find(root: str | Path, patterns: Iterable[str], wanted: str) -> list[Path]:
    """The files below a folder that match, in the order of their paths.

    Raises:
        TraceError: there is none; the message says what was ``wanted``.
    """
    # Absolute, since a part of the layout may be the name of the folder one stands in.
    base = Path(root).absolute()
    if not base.is_dir():
        raise TraceError(f"there is no folder {root}; wanted {wanted}")
    files = sorted({path for pattern in patterns for path in base.glob(pattern) if path.is_file()})
    if not files:
        raise TraceError(f"{root} holds no {wanted}")
    return files


def read_table(path: Path, needed: Collection[str]) -> pd.DataFrame:
    """An upstream Parquet or CSV file.

    Raises:
        TraceError: it cannot be read or lacks a column.
    """
    pandas = require_pandas()
    kind = "CSV" if path.suffix.lower() == ".csv" else "Parquet"
    table: pd.DataFrame
    try:
        if path.exists() and not path.is_file():
            raise TraceError(f"{path} is no file; wanted a {kind} table")
        table = pandas.read_csv(path) if kind == "CSV" else read_parquet(path)
    except TraceError:
        raise
    except Exception as error:  # pandas and pyarrow raise whatever their parsers do; a name may be no path
        raise TraceError(f"{path} is no readable {kind} table: {first_line(error)}") from None
    table.columns = [str(name).strip() for name in table.columns]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise TraceError(f"{path}: column {missing[0]!r} is missing; found {', '.join(table.columns)}")
    return table


def translate(values: pd.Series, names: Mapping[str, str], what: str, path: Path) -> pd.Series:
    """Our names for upstream's.

    Raises:
        TraceError: the card does not name one of them.
    """
    result: pd.Series = values.map(names)
    unknown = result.isna().to_numpy()
    if unknown.any():
        raise TraceError(f"{path}: the card names no {what} for {values[unknown].iloc[0]!r}: {', '.join(names)}")
    return result


def numbers(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers, and which of its entries are texts that are none (an error's name); both ``[rows]``."""
    pandas = require_pandas()
    result = pandas.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.isnan(result) & values.notna().to_numpy()
    return result, text


def latency_and_status(values: pd.Series, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each row, and its status: an error's text, ``zero latency``, ``no latency`` or ``ok``.

    Args:
        values: upstream's latency, some of it perhaps texts.
        scale: seconds in its unit.
    """
    measured, text = numbers(values)
    status = np.full(len(values), "ok", dtype=object)
    status[np.isnan(measured)] = "no latency"
    status[text] = values.to_numpy(dtype=object)[text]
    status[measured == 0] = "zero latency"
    status[(measured < 0) | np.isinf(measured)] = "impossible latency"
    return np.where(status == "ok", measured * scale, np.nan), status


def noted(rows: Any, text: str) -> np.ndarray:
    """A column that has a text where ``rows`` is true and nothing elsewhere; shape ``[rows]``."""
    result = np.full(len(rows), None, dtype=object)
    result[np.asarray(rows, dtype=bool)] = text
    return result


def finish(table: pd.DataFrame, card: Card) -> pd.DataFrame:
    """Adds what holds for every adapter: the source, the row's position in its file, marks of the card, repeats.

    ``repeat`` counts how often the same measurement stood in the file before: 0 the first time, then 1, 2, ….
    """
    table["source"] = card.id
    if "order" not in table.columns:
        table["order"] = np.arange(len(table))
    for column in ("status", "note"):
        if column not in table.columns:
            table[column] = np.full(len(table), "ok" if column == "status" else None, dtype=object)
    for mark in card.marks:
        rows = _marked(table, mark.where)
        column, value = ("status", mark.status) if mark.status is not None else ("note", mark.note)
        if column == "status":
            rows &= (table["status"] == "ok").to_numpy()
        if rows.any():
            table.loc[rows, column] = value
    if card.table == "operators":
        descriptor = [name for family in card.families for name in c.family_columns(family)]
    else:
        descriptor = list(c.RUN)
    own = [name for name in table.columns if str(name).startswith((c.CONFIGURATION, c.MACHINE))]
    key = [n for n in dict.fromkeys((*CONDITIONS, *descriptor, *own)) if n in table.columns and n not in ("score",)]
    table["repeat"] = table.groupby(key, dropna=False, sort=False, observed=True).cumcount().to_numpy()
    return table


def _marked(table: pd.DataFrame, where: Mapping[str, Any]) -> np.ndarray:
    rows = np.ones(len(table), dtype=bool)
    for column, value in where.items():
        if column not in table.columns:
            return np.zeros(len(table), dtype=bool)
        if isinstance(value, str):
            matching = [v for v in table[column].dropna().unique() if fnmatch.fnmatchcase(str(v), value)]
            rows &= table[column].isin(matching).to_numpy()
        else:
            rows &= (table[column] == value).to_numpy(dtype=bool)
    return rows

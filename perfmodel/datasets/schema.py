"""The operator-trace schema: which columns a table of measured operators has, and a check that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.dtypes import gemm_dtype
from perfmodel.errors import DtypeError, MissingExtraError, TraceError, nearest

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("device", "software", "op", "latency_s", "source")
OPTIONAL = (
    "power_w", "energy_j", "collection", "order", "clock_mhz", "mem_clock_mhz", "power_limit_w", "temperature_c", "threads",
    "cache", "samples", "latency_rel_std", "status", "kernel",
)  # fmt: skip
GEMM_COLUMNS = ("batch", "m", "n", "k", "dtype")
CACHE_STATES = ("warm", "cold", "rotating")
_LIKELY_SECONDS = 3600.0


def require_pandas() -> Any:
    """The pandas module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pandas
        import pyarrow  # noqa: F401  (pandas reads Parquet through it)
    except ImportError as error:
        raise MissingExtraError(error.name or "pandas", "train", "reading traces") from None
    return pandas


def read_traces(path: str | Path) -> pd.DataFrame:
    """A table of operator traces, checked.

    Args:
        path: a Parquet or CSV file.

    Raises:
        TraceError: the file cannot be read or breaks the schema.
        MissingExtraError: pandas is not installed.
    """
    pandas = require_pandas()
    path = Path(path)
    if not path.is_file():
        raise TraceError(f"there is no trace file {path}")
    try:
        table = pandas.read_csv(path) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    except Exception as error:  # pandas and pyarrow raise whatever their parsers do
        raise TraceError(f"{path} is no readable {path.suffix.lstrip('.') or 'Parquet'} table: {str(error).splitlines()[0]}") from None
    check_traces(table, str(path))
    return table


def check_traces(table: pd.DataFrame, name: str) -> None:
    """Checks a table of operator traces of the GEMM family against the schema.

    Raises:
        TraceError: naming the file, the row, the column, what was found and what was wanted.
    """
    for column in (*REQUIRED, *GEMM_COLUMNS):
        if column not in table.columns:
            raise TraceError(f"{name}: column {column!r} is missing: {nearest(column, map(str, table.columns))}")
    ok = np.ones(len(table), dtype=bool)
    if "status" in table.columns:
        ok = (table["status"].isna() | (table["status"] == "ok")).to_numpy()
    for column in ("latency_s", *GEMM_COLUMNS[:-1]):
        values = _numbers(table, column, name)
        bad = ok & ~(np.isfinite(values) & (values > 0))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise TraceError(f"{name}: row {row}, column {column!r}: found {table[column].iloc[row]!r}, wanted a number above 0")
    slow = ok & (_numbers(table, "latency_s", name) > _LIKELY_SECONDS)
    if slow.any():
        row = int(np.flatnonzero(slow)[0])
        raise TraceError(
            f"{name}: row {row}, column 'latency_s': found {table['latency_s'].iloc[row]!r}, wanted seconds; is it in us or ms?"
        )
    wrong = sorted(set(table["op"].astype(str)) - {"gemm"})
    if wrong:
        raise TraceError(f"{name}: column 'op' holds {wrong[0]!r}; this version trains the family gemm only")
    for value in table["dtype"].astype(str).unique():
        try:
            gemm_dtype(value)
        except DtypeError as error:
            row = int(np.flatnonzero(table["dtype"].astype(str) == value)[0])
            raise TraceError(f"{name}: row {row}, column 'dtype': {error}") from None
    if "cache" in table.columns:
        states = set(table["cache"].dropna().astype(str)) - set(CACHE_STATES)
        if states:
            raise TraceError(f"{name}: column 'cache' holds {sorted(states)[0]!r}, wanted one of {', '.join(CACHE_STATES)}")


def _numbers(table: pd.DataFrame, column: str, name: str) -> np.ndarray:
    try:
        return table[column].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise TraceError(f"{name}: column {column!r} holds text; wanted numbers") from None


def write_traces(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a trace table as Parquet, under a temporary name that is renamed when it is whole."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        table.to_parquet(temporary, index=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

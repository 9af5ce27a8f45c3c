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
    table: pd.DataFrame
    try:
        table = pandas.read_csv(path) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    except Exception as error:  # pandas and pyarrow raise whatever their parsers do
        kind = path.suffix.lstrip(".") or "Parquet"
        raise TraceError(f"{path} is no readable {kind} table: {first_line(error)}") from None
    check_traces(table, str(path))
    return table


def first_line(error: Exception) -> str:
    """The first line of an error of a library, or its type where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


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
    for column in ("device", "software", "op", "source", "dtype"):
        _refuse(table, name, column, table[column].isna().to_numpy(), "a text")
    latency = _numbers(table, "latency_s", name)
    _refuse(table, name, "latency_s", ok & ~(np.isfinite(latency) & (latency > 0)), "a number above 0")
    _refuse(table, name, "latency_s", ok & (latency > _LIKELY_SECONDS), "seconds; is it in us or ms?")
    for column in GEMM_COLUMNS[:-1]:
        values = _numbers(table, column, name)
        good = np.isfinite(values) & (values > 0) & (values == np.floor(values))
        _refuse(table, name, column, ok & ~good, "a whole number above 0")
    _refuse(table, name, "op", (table["op"].astype(str) != "gemm").to_numpy(), "gemm, the one family of this version")
    for value in table["dtype"].astype(str).unique():
        try:
            usual = gemm_dtype(value).name
            problem = None if usual == value else f"found {value!r}, another spelling of {usual!r}; wanted that"
        except DtypeError as error:
            problem = str(error)
        if problem is not None:
            row = int(np.flatnonzero(table["dtype"].astype(str) == value)[0])
            raise TraceError(f"{name}: row {row}, column 'dtype': {problem}")
    if "cache" in table.columns:
        unknown = ~(table["cache"].isna() | table["cache"].isin(CACHE_STATES)).to_numpy()
        _refuse(table, name, "cache", unknown, f"one of {', '.join(CACHE_STATES)}")


def _refuse(table: pd.DataFrame, name: str, column: str, bad: np.ndarray, wanted: str) -> None:
    """Raises a TraceError for the first of the bad rows."""
    if bad.any():
        row = int(np.argmax(bad))
        found = table[column].iloc[row]
        found = found.item() if isinstance(found, np.generic) else found
        raise TraceError(f"{name}: row {row}, column {column!r}: found {found!r}, wanted {wanted}")


def _numbers(table: pd.DataFrame, column: str, name: str) -> np.ndarray:
    values = table[column]
    try:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        text = np.array([isinstance(v, str) for v in values.tolist()], dtype=bool)
        _refuse(table, name, column, text, "a number")
        raise TraceError(f"{name}: column {column!r} holds {values.dtype}; wanted numbers") from None


def write_traces(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a trace table as Parquet, under a temporary name that is renamed when it is whole."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        table.to_parquet(temporary, index=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def with_device(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """The table with the path of a device TOML in place of that device's id, so that its rows find their record.

    Raises:
        DeviceError: the file cannot be read or breaks the schema.
        TraceError: no row bears the device's id.
    """
    from perfmodel.hardware import load_device

    record = load_device(Path(path))
    names = table["device"].astype(str)
    if not (names == record.id).any():
        found = ", ".join(sorted(names.unique())[:5])
        raise TraceError(f"no row of the traces bears the device {record.id!r} that {path} describes; found {found}")
    return table.assign(device=names.where(names != record.id, str(path)))

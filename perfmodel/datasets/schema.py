"""The trace schema: which columns a table of measured operators or runs has, and checks that say what is wrong."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets import columns as c
from perfmodel.datasets.parquet import read_parquet
from perfmodel.dtypes import dtype as any_dtype
from perfmodel.dtypes import gemm_dtype
from perfmodel.errors import DtypeError, MissingExtraError, TraceError, nearest
from perfmodel.files import write_whole
from perfmodel.ops import GEMM_LIKE, costs
from perfmodel.ops.attention import ATTENTION_PHASES

if TYPE_CHECKING:
    import pandas as pd

CACHE_STATES = ("warm", "cold", "rotating", "rotating_all", "filling")
_LIKELY_SECONDS = 3600.0
_LIKELY_RUN_SECONDS = 30 * 86400.0
_POSITIVE = ("power_w", "energy_j", "clock_mhz", "mem_clock_mhz", "power_limit_w", "samples", "threads")
_TEXT_OF_ALL = ("device", "software", "source")


def require_pandas(purpose: str = "reading traces") -> Any:
    """The pandas module.

    Args:
        purpose: what it is wanted for, as the error says it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pandas
        import pyarrow  # noqa: F401  (pandas reads Parquet through it)
    except ImportError as error:
        raise MissingExtraError(error.name or "pandas", "train", purpose) from None
    return pandas


def read_traces(path: str | Path) -> pd.DataFrame:
    """A table of operator traces, checked.

    Args:
        path: a Parquet or CSV file.

    Raises:
        TraceError: the file cannot be read or breaks the schema.
        MissingExtraError: pandas is not installed.
    """
    table = read_table(path)
    check_traces(table, str(path))
    return table


def read_runs(path: str | Path) -> pd.DataFrame:
    """A table of run traces, checked; otherwise like :func:`read_traces`."""
    table = read_table(path)
    check_runs(table, str(path))
    return table


def read_table(path: str | Path) -> pd.DataFrame:
    """A Parquet or CSV file, unchecked.

    Raises:
        TraceError: the file cannot be read.
        MissingExtraError: pandas is not installed.
    """
    table: pd.DataFrame = _read(Path(path))
    return table


def _read(path: Path, *, only_names: bool = False) -> Any:
    pandas = require_pandas()
    if path.is_dir():
        raise TraceError(f"{path} is a folder; wanted a trace file, .parquet or .csv")
    if not path.is_file():
        raise TraceError(f"there is no trace file {path}")
    try:
        if path.suffix.lower() == ".csv":
            return pandas.read_csv(path, nrows=0).columns if only_names else pandas.read_csv(path)
        if only_names:
            from pyarrow.parquet import read_schema

            return read_schema(path).names
        return read_parquet(path)
    except TraceError:
        raise
    except Exception as error:  # pandas and pyarrow raise whatever their parsers do
        kind = path.suffix.lstrip(".") or "Parquet"
        raise TraceError(f"{path} is no readable {kind} table: {first_line(error)}") from None


def column_names(path: str | Path) -> tuple[str, ...]:
    """The names of a Parquet or CSV file's columns; its rows are not read.

    Raises:
        TraceError: the file cannot be read.
        MissingExtraError: pandas is not installed.
    """
    return tuple(map(str, _read(Path(path), only_names=True)))


def first_line(error: Exception) -> str:
    """The first line of an error of a library, or its type where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def usable(table: pd.DataFrame) -> np.ndarray:
    """Which rows are measurements: those whose ``status`` is ``ok`` or absent; shape ``[rows]``."""
    if "status" not in table.columns:
        return np.ones(len(table), dtype=bool)
    return (table["status"].isna() | (table["status"] == "ok")).to_numpy(dtype=bool)


def check_traces(table: pd.DataFrame, name: str) -> None:
    """Checks a table of operator traces against the schema.

    Args:
        table: the rows; those whose ``status`` is not ``ok`` need neither a latency nor a whole descriptor.
        name: stands in the messages, usually the file.

    Raises:
        TraceError: naming the file, the row, the column, what was found and what was wanted.
    """
    if "op" not in table.columns and "workload" in table.columns:
        raise TraceError(
            f"{name} holds runs of whole models (a column 'workload'); wanted operator traces, column 'op'"
        )
    _need(table, name, c.REQUIRED)
    ok = usable(table)
    for column in (*_TEXT_OF_ALL, "op"):
        _refuse(table, name, column, table[column].isna().to_numpy(), "a text")
    family_of_row = table["op"].astype(str).to_numpy(dtype=object)
    present = [f for f in c.REQUIRED_OF_FAMILY if (family_of_row == f).any()]
    # The families' columns first: one that is missing explains more than a wrong value in another.
    for family in present:
        _need(table, name, c.REQUIRED_OF_FAMILY[family])
    _check_latency(table, name, ok, _LIKELY_SECONDS)
    unknown = ~np.isin(family_of_row, list(c.REQUIRED_OF_FAMILY))
    _refuse(table, name, "op", unknown, f"one of {', '.join(c.REQUIRED_OF_FAMILY)}")
    for family in present:
        _check_family(table, name, family, (family_of_row == family) & ok)
    _check_conditions(table, name)


def check_runs(table: pd.DataFrame, name: str) -> None:
    """Checks a table of run traces against the schema.

    A run needs a latency unless it has a power, an energy or a score: benchmarks of whole machines have only those.

    Raises:
        TraceError: naming the file, the row, the column, what was found and what was wanted.
    """
    _need(table, name, c.REQUIRED_OF_RUNS)
    ok = usable(table)
    for column in (*_TEXT_OF_ALL, "workload"):
        _refuse(table, name, column, table[column].isna().to_numpy(), "a text")
    measured = np.zeros(len(table), dtype=bool)
    for column in ("score", "power_w", "energy_j"):
        if column in table.columns:
            measured |= np.isfinite(_numbers(table, column, name))
    latency = _numbers(table, "latency_s", name)
    _check_latency(table, name, ok & ~(np.isnan(latency) & measured), _LIKELY_RUN_SECONDS)
    if "batch" in table.columns:
        batch = _numbers(table, "batch", name)
        _refuse(table, name, "batch", ~(np.isnan(batch) | _whole(batch, 1)), "a whole number above 0, or nothing")
    _check_conditions(table, name)


def _need(table: pd.DataFrame, name: str, wanted: Collection[str]) -> None:
    for column in wanted:
        if column not in table.columns:
            hint = nearest(column, map(str, table.columns)).replace("known:", "the table has")
            raise TraceError(f"{name}: column {column!r} is missing: {hint}")


def _check_latency(table: pd.DataFrame, name: str, needed: np.ndarray, likely: float) -> None:
    latency = _numbers(table, "latency_s", name)
    _refuse(table, name, "latency_s", needed & ~(np.isfinite(latency) & (latency > 0)), "a number above 0")
    _refuse(table, name, "latency_s", needed & (latency > likely), "seconds; is it in us or ms?")


def _check_family(table: pd.DataFrame, name: str, family: str, rows: np.ndarray) -> None:
    required = c.REQUIRED_OF_FAMILY[family]
    for column, kind in c.family_columns(family).items():
        if column not in table.columns:
            continue
        optional = column not in required
        if kind == c.INTEGER:
            values = _numbers(table, column, name)
            least = 0 if column in c.MAY_BE_ZERO else 1
            good = _whole(2 * values, 0) if column in c.MAY_BE_HALF else _whole(values, least)
            wanted = "a whole number above 0" if least else "a whole number, 0 or above"
            if column in c.MAY_BE_FRACTION:
                good, wanted = np.isfinite(values) & (values > 0), "a number above 0"
            _refuse(table, name, column, rows & ~good & ~(optional & np.isnan(values)), wanted)
            continue
        null = table[column].isna().to_numpy()
        if not optional:
            _refuse(table, name, column, rows & null, "true or false" if kind == c.FLAG else "a text")
        if kind == c.FLAG:
            _refuse(table, name, column, rows & ~null & ~table[column].isin([True, False]).to_numpy(), "true or false")
        elif column.endswith("dtype"):
            main = family in GEMM_LIKE and column == "dtype"
            _check_dtype(table, name, column, rows & ~null, gemm_dtype if main else any_dtype)
        elif column in ("kind", "phase"):
            _check_kind(table, name, family, column, rows & ~null)


def _check_dtype(table: pd.DataFrame, name: str, column: str, rows: np.ndarray, look_up: Any) -> None:
    for value in map(str, table[column][rows].unique()):
        try:
            usual = look_up(value).name
            problem = None if usual == value else f"found {value!r}, another spelling of {usual!r}; wanted that"
        except DtypeError as error:
            problem = str(error)
        if problem is not None:
            row = int(np.flatnonzero(rows & (table[column].map(str) == value).to_numpy())[0])
            raise TraceError(f"{name}: row {row}, column {column!r}: {problem}")


def _check_kind(table: pd.DataFrame, name: str, family: str, column: str, rows: np.ndarray) -> None:
    """Kinds that decide how an operator's work is counted must be known ones."""
    for value in map(str, table[column][rows].unique()):
        if column == "phase":
            good, wanted = value in ATTENTION_PHASES, f"one of {', '.join(ATTENTION_PHASES)}"
        elif family == "norm":
            good, wanted = value in costs.NORM, f"one of {', '.join(costs.NORM)}"
        elif family == "elementwise":
            good, wanted = costs.elementwise_flops(value) is not None, "functions of perfmodel.ops.costs, joined by +"
        else:
            continue
        if not good:
            _refuse(table, name, column, rows & (table[column].astype(str) == value).to_numpy(), wanted)


def _check_conditions(table: pd.DataFrame, name: str) -> None:
    for column in _POSITIVE:
        if column in table.columns:
            values = _numbers(table, column, name)
            _refuse(table, name, column, ~np.isnan(values) & ~(np.isfinite(values) & (values > 0)), "a number above 0")
    if "cache" in table.columns:
        unknown = ~(table["cache"].isna() | table["cache"].isin(CACHE_STATES)).to_numpy()
        _refuse(table, name, "cache", unknown, f"one of {', '.join(CACHE_STATES)}")


def _whole(values: np.ndarray, least: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        good: np.ndarray = np.isfinite(values) & (values >= least) & (values == np.floor(values))
    return good


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
    except OverflowError:
        raise TraceError(f"{name}: column {column!r} holds a whole number that no float can hold") from None
    except (TypeError, ValueError):
        text = np.array([isinstance(v, str) for v in values.tolist()], dtype=bool)
        _refuse(table, name, column, text, "a number")
        raise TraceError(f"{name}: column {column!r} holds {values.dtype}; wanted numbers") from None


def write_traces(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a trace table as Parquet, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    data = io.BytesIO()
    table.to_parquet(data, index=False)
    write_whole(Path(path), data.getvalue())


def with_device(table: pd.DataFrame, device: str | Path) -> pd.DataFrame:
    """The table with the path of a device TOML in place of that device's id, so that its rows find their record.

    Args:
        device: that path; the id of a device of the catalogue leaves the rows as they are.

    Raises:
        DeviceError: the file cannot be read or breaks the schema; the id is unknown.
        TraceError: no row bears the device's id.
    """
    from perfmodel.hardware import load_device

    record = load_device(device)
    names = table["device"].astype(str)
    if not (names == record.id).any():
        found = ", ".join(sorted(names.unique())[:5]) or "no row at all"
        described = "" if str(device) == record.id else f" that {device} describes"
        raise TraceError(f"no row of the traces bears the device {record.id!r}{described}; found {found}")
    return table.assign(device=names.where(names != record.id, str(device)))

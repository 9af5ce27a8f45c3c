"""Tables of configurations: a mapping of columns, pandas, pyarrow or a file, as columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.rank.expressions import MOST

if TYPE_CHECKING:
    from perfmodel.rank.space import Space

PREFIX = "cfg_"
"""Of kernel-configuration columns in traces."""


def named_columns(table: Any) -> dict[str, Any]:
    """The columns of a table by their names, ``cfg_`` left out.

    Args:
        table: a mapping of columns, a pandas DataFrame, a pyarrow Table, or the path of a Parquet or CSV file.

    Raises:
        InputError: it is none of these, or names a column twice.
        MissingExtraError: a file, and pandas is not installed.
    """
    if isinstance(table, str | Path):
        from perfmodel.datasets.adapter import read_table

        table = read_table(Path(table), ())
    if isinstance(table, Mapping):
        names, column = list(table), table.__getitem__
    elif hasattr(table, "column_names"):  # pyarrow
        names, column = list(table.column_names), lambda name: table.column(name).to_numpy()
    elif hasattr(table, "columns") and hasattr(table, "dtypes"):  # pandas, polars
        names, column = list(table.columns), lambda name: table[name].to_numpy()
    else:
        raise InputError(
            f"configurations are a mapping of columns, a pandas or pyarrow table, or a file; got {type(table).__name__}"
        )
    plain = [str(name).removeprefix(PREFIX) for name in names]
    twice = sorted({name for name in plain if plain.count(name) > 1})
    if twice:
        raise InputError(f"configurations name a column twice: {', '.join(twice)} (with or without {PREFIX})")
    return {name: column(given) for name, given in zip(plain, names, strict=True)}


def parameters(table: Any, space: Space) -> dict[str, np.ndarray]:
    """The space's parameters of a table as float64 columns of one length; absent ones take their defaults.

    Raises:
        InputError: a compulsory column is absent, holds something else than numbers up to 2^53, or differs in length.
    """
    given = named_columns(table)
    arrays = {n: _numbers(n, given[n]) for n in space.columns if n in given}
    lengths = {len(a) for a in arrays.values()}
    if len(lengths) > 1:
        raise InputError(
            "columns of configurations differ in length: " + ", ".join(f"{n} {len(a)}" for n, a in arrays.items())
        )
    absent = [n for n, default in space.columns.items() if default is None and n not in arrays]
    if absent or not lengths:
        raise InputError(
            f"the configurations of {space.id} need the column{'s' if len(absent) > 1 else ''} "
            f"{', '.join(absent or space.columns)}; got {', '.join(map(str, given)) or 'none'}"
        )
    rows = lengths.pop()
    return {n: arrays[n] if n in arrays else np.full(rows, default) for n, default in space.columns.items()}


def unmatched(table: Any, space: Space) -> tuple[dict[str, float], tuple[str, ...]]:
    """What a misspelt name of a column does in silence: the defaults of absent parameters, and the columns that are none.

    Raises:
        InputError: as :func:`named_columns`.
    """
    given = named_columns(table)
    assumed = {n: float(default) for n, default in space.columns.items() if default is not None and n not in given}
    return assumed, tuple(n for n in given if n not in space.columns)


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:  # lists of unlike length
        raise InputError(f"column {name} holds lists; wanted one number a configuration") from None
    if array.ndim == 0:
        array = array[None]
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row = next((r for r, value in enumerate(array) if not _is_number(value)), 0)
        raise InputError(f"column {name}, row {row}: {str(array[row])!r:.80} is no number") from None
    if numbers.ndim != 1:
        raise InputError(f"column {name} has the shape {numbers.shape}; wanted one number a configuration")
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise InputError(f"column {name}, row {row}: {numbers[row]:g} is no finite number")
    if len(numbers) and max(numbers.max(), -numbers.min()) > MOST:
        row = int(np.argmax(np.abs(numbers)))
        raise InputError(f"column {name}, row {row}: {numbers[row]:g} is beyond 2^53, which no parameter is")
    return numbers


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True

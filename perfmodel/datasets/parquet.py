"""Parquet files of unknown origin: some bytes may stand for more than any memory holds, and pyarrow unpacks all of them.

A run of equal values takes a few bytes however long it is, and so does a text that stands in every row. What a file says of its
own size is not believed: rows and columns are counted, and texts are read in the packed form in which each stands once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

MOST_CELLS = 500_000_000
"""Of a table: 4 GB of numbers."""
MOST_TEXT_BYTES = 4 * 10**9
"""Of all texts of a table together."""
_ROWS_AT_A_TIME = 65_536


def read_parquet(path: str | Path) -> pd.DataFrame:
    """The table of a Parquet file.

    Raises:
        TraceError: it cannot be read, holds lists, or unpacks to more than :data:`MOST_CELLS` or :data:`MOST_TEXT_BYTES`.
        MissingExtraError: pandas is not installed.
    """
    from perfmodel.datasets.schema import first_line, require_pandas

    pandas = require_pandas()
    path = Path(path)
    try:
        check_unpacked(path)
        table: pd.DataFrame = pandas.read_parquet(path)
    except TraceError:
        raise
    except FileNotFoundError:
        raise TraceError(f"there is no file {path}") from None
    except Exception as error:  # pandas and pyarrow raise whatever their parsers do
        raise TraceError(f"{path} is no readable Parquet table: {first_line(error)}") from None
    return table


def check_unpacked(path: Path) -> None:
    """Refuses a Parquet file that would fill the memory.

    Raises:
        TraceError: see :func:`read_parquet`.
        pyarrow.ArrowException: it is damaged.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        rows, schema = file.metadata.num_rows, file.schema
        columns = [schema.column(place) for place in range(len(schema))]
    cells = rows * max(len(columns), 1)
    if cells > MOST_CELLS:
        raise TraceError(f"{path} unpacks to {cells:,} cells; tables of up to {MOST_CELLS:,} are read")
    left = MOST_TEXT_BYTES
    for column in columns:
        if column.max_repetition_level > 0:
            raise TraceError(f"{path}: column {column.path!r:.200} holds lists; wanted one value a row")
        if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
            left -= rows * column.length
        elif column.physical_type == "BYTE_ARRAY":
            left -= _text_bytes(path, column.path, left)
        if left < 0:
            raise TraceError(
                f"{path}: with column {column.path!r:.200} its texts unpack to more than {MOST_TEXT_BYTES:,} bytes, "
                "which is as much as is read"
            )


def _text_bytes(path: Path, name: str, most: int) -> int:
    """Bytes of a column's texts, each row's counted; the count ends above ``most``.

    Raises:
        TraceError: one is no UTF-8.
    """
    import pyarrow as pa
    from pyarrow import compute
    from pyarrow.parquet import ParquetFile

    total = 0
    with ParquetFile(path, read_dictionary=[name]) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=[name], use_threads=False):
            values: Any = batch.column(0)
            packed = pa.types.is_dictionary(values.type)
            try:  # else whoever makes a Python text of one meets it
                (values.dictionary if packed else values).validate(full=True)
            except pa.ArrowInvalid as error:
                raise TraceError(f"{path}: column {name!r:.200} holds no texts: {error}") from None
            if packed:
                lengths = compute.take(compute.binary_length(values.dictionary), values.indices)
            else:
                lengths = compute.binary_length(values)
            total += compute.sum(lengths.cast(pa.int64())).as_py() or 0
            if total > most:
                break
    return total

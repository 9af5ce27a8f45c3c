"""The operators of a prediction as a table in a file, one row an operator."""

from __future__ import annotations

import csv
import io
from typing import Any

from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import InputError, checked_keywords
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.notebook import OPERATOR_COLUMNS, REQUEST_COLUMNS, operator_rows, phase_rows
from perfmodel.predict.result import ModelPrediction

ENDINGS = (".csv", ".parquet")


def check_ending(name: str) -> None:
    """Refuse a table whose name does not say how it is written.

    Raises:
        InputError: it ends neither in ``.csv`` nor in ``.parquet``.
        MissingExtraError: Parquet without pandas and pyarrow (the extra ``train``); CSV needs neither.
    """
    if not name.lower().endswith(ENDINGS):
        raise InputError(f"{name} is neither .csv nor .parquet")
    if not name.lower().endswith(".csv"):
        require_pandas("a Parquet file")  # the extra brings both


def rows_of(prediction: ModelPrediction | GenerationPrediction) -> list[dict[str, Any]]:
    """One record an operator: :func:`~perfmodel.predict.notebook.operator_rows`, or of a generation request
    :func:`~perfmodel.predict.notebook.phase_rows`."""
    return (
        operator_rows(prediction.operators)
        if isinstance(prediction, ModelPrediction)
        else phase_rows(prediction.phases)
    )


def columns_of(prediction: ModelPrediction | GenerationPrediction) -> dict[str, type]:
    """The columns of a prediction's table, in order, and what they hold: the same for every device and model."""
    return OPERATOR_COLUMNS if isinstance(prediction, ModelPrediction) else REQUEST_COLUMNS


@checked_keywords()
def table_bytes(prediction: ModelPrediction | GenerationPrediction, name: str) -> bytes:
    """The file's contents.

    Args:
        prediction: whose operators.
        name: of the file; its ending decides.

    Raises:
        InputError, MissingExtraError: as :func:`check_ending`.
    """
    check_ending(name)
    rows, columns = rows_of(prediction), columns_of(prediction)
    if name.lower().endswith(".csv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        # repr, which csv uses for floats, is the shortest text that reads back as the same number.
        writer.writerows(rows)
        return text.getvalue().encode("utf-8")
    import pyarrow
    from pyarrow import parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    # Types are written down: of a column that is unknown throughout, a reader would find none.
    arrays = {
        column: pyarrow.array([None if row[column] is None else kind(row[column]) for row in rows], kinds[kind])
        for column, kind in columns.items()
    }
    data = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays), data)
    return data.getvalue()

"""Files for other tools: ``--trace``, ``--table`` and ``--annotate``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.cli.output import write_bytes, write_text
from perfmodel.cli.targets import Written, table, trace
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.predict import ModelPrediction
    from perfmodel.predict.generation_result import GenerationPrediction


def add_trace_option(parser: argparse._ActionsContainer) -> None:
    """``--trace``."""
    parser.add_argument(
        "--trace", metavar="FILE.json", action=Written, kind=trace,
        help="write the predicted run as a Chrome trace, which ui.perfetto.dev opens",
    )  # fmt: skip


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """All three."""
    group = parser.add_argument_group("files for other tools (docs/exchange.md); one that exists is replaced")
    add_trace_option(group)
    group.add_argument(
        "--table", metavar="FILE", action=Written, kind=table, help="write the operators as a table: .csv or .parquet"
    )
    group.add_argument(
        "--annotate",
        metavar="FILE",
        action=Written,
        help="write the model again with the costs of each node: ONNX as metadata (Netron shows it), MLIR text as attributes",
    )


def check_annotated(model: str, target: str | None) -> None:
    """Refuse a name that says another format than the model's, before the work: tools go by it.

    Args:
        model: that is annotated.
        target: the name; None: nothing is to be annotated.

    Raises:
        InputError: it does.
    """
    if target is None:
        return
    from perfmodel.features.mlir.detect import is_mlir

    ending = os.path.splitext(target)[1].lower()
    if is_mlir(Path(model)):
        if ending in (".onnx", ".mlirbc"):
            raise InputError(
                f"--annotate {target}: the model is an MLIR module, which is written as text: wanted .mlir"
            )
    elif ending in (".mlir", ".mlirbc"):
        raise InputError(f"--annotate {target}: the model is no MLIR module: wanted .onnx")


def write_trace(
    arguments: argparse.Namespace, predictions: Sequence[ModelPrediction | GenerationPrediction]
) -> list[str]:
    """Write the trace if it was asked for; what to say of it."""
    if arguments.trace is None:
        return []
    from perfmodel.exchange.timeline import timeline

    write_text(timeline(predictions), arguments.trace)
    return [f"{arguments.trace}: the predicted run, for ui.perfetto.dev or chrome://tracing"]


def write_files(
    arguments: argparse.Namespace,
    prediction: ModelPrediction | GenerationPrediction,
    conditions: dict[str, Any],
) -> tuple[list[str], list[str]]:
    """Write every file that was asked for; a line about each, and what is warned of.

    Raises:
        InputError: a file cannot be written, or the model cannot be annotated.
    """
    from perfmodel.predict.result import ModelPrediction

    said = write_trace(arguments, [prediction])
    if arguments.table is not None:
        from perfmodel.exchange.table import rows_of, table_bytes

        write_bytes(table_bytes(prediction, arguments.table), arguments.table)
        said.append(f"{arguments.table}: {len(rows_of(prediction))} operators")
    if arguments.annotate is not None and isinstance(prediction, ModelPrediction):
        line, warnings = _annotate(arguments.model, arguments.annotate, prediction, conditions)
        return [*said, line], warnings
    return said, []


def _annotate(
    model: str, target: str, prediction: ModelPrediction, conditions: dict[str, Any]
) -> tuple[str, list[str]]:
    from perfmodel.features.mlir.detect import is_mlir

    if is_mlir(Path(model)):
        from perfmodel.exchange import mlir_text

        text, warnings = mlir_text.annotated(
            Path(model), prediction, dims=conditions["dims"], entry=conditions["entry"],
            joined=conditions["fusion"] == "none",
        )  # fmt: skip
        write_text(text, target)
        return f"{target}: the module with costs as attributes perfmodel.*", list(warnings)
    from perfmodel.exchange import onnx_model

    data, warnings = onnx_model.annotated(model, prediction, target)
    write_bytes(data, target)
    return f"{target}: the model with costs as metadata perfmodel.*, which Netron shows of each node", list(warnings)

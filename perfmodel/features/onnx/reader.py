"""ONNX file in, :class:`perfmodel.graph.Graph` out."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perfmodel.errors import checked_keywords
from perfmodel.features.onnx import shapes
from perfmodel.features.onnx.convert import Conversion, free_inputs
from perfmodel.features.onnx.dims import Dimensions, check_given
from perfmodel.features.onnx.load import load
from perfmodel.features.onnx.loops import bind_trips
from perfmodel.graph import Graph, without_collection

if TYPE_CHECKING:
    import onnx


@checked_keywords()
def read_onnx(
    path: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    dims: Mapping[str, int] | None = None,
    keep_symbolic: bool = False,
) -> Graph:
    """Read a model into a graph of operator descriptors; weights are never loaded.

    Args:
        path: an ``.onnx`` file (external data may be absent), its bytes, or a parsed ``ModelProto``.
        dims: a number for each symbolic dimension, by name (:func:`model_dims`); ``<node>_trips`` says how often the body
            of a Loop or SequenceMap runs where that depends on data (it counts once otherwise, with a warning).
        keep_symbolic: dimensions without a number stay sympy expressions; :meth:`Graph.bind` gives them numbers later,
            or arrays of numbers for a sweep.

    Raises:
        ModelFileError: the file is no ONNX model, is damaged, too large or contradicts itself.
        UnboundDimensionError: symbolic dimensions have no number, and ``keep_symbolic`` is False.
        InputError: ``dims`` names dimensions that the model does not have, or gives impossible numbers.
    """
    given = check_given(dims)
    with _undisturbed():
        loaded = load(path)
        dimensions = Dimensions(loaded.label, given)
        dimensions.declare_inputs(free_inputs(loaded.model.graph))
        bind_trips(loaded.model, loaded.graphs, dimensions)
        if not keep_symbolic:
            # Early, so that a mistyped name costs no inference; dimensions that depend on data are not known yet.
            dimensions.refuse_open()
        notes = shapes.infer(loaded, dimensions)
        shapes.name_data_dimensions(loaded.model, dimensions)
        dimensions.refuse_unknown()
        if not keep_symbolic:
            dimensions.refuse_open()
        return Conversion(loaded, dimensions, notes).graph()


def model_dims(path: str | os.PathLike[str] | bytes | onnx.ModelProto) -> tuple[str, ...]:
    """Names of a model's symbolic dimensions, in the order of its inputs.

    Dimensions that depend on data (how many boxes a detector finds, how often a loop runs whose results are collected)
    come last.

    Raises:
        ModelFileError: the file is no ONNX model, is damaged, too large or contradicts itself.
    """
    with _undisturbed():
        loaded = load(path)
        dimensions = Dimensions(loaded.label, {})
        dimensions.declare_inputs(free_inputs(loaded.model.graph))
        bind_trips(loaded.model, loaded.graphs, dimensions)
        shapes.infer(loaded, dimensions)
        shapes.name_data_dimensions(loaded.model, dimensions)
        return dimensions.known


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No garbage collection, and no messages of the libraries underneath.

    What those log and warn about is either raised as an error here or does not matter to a prediction.
    """
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnx_shape_inference")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with without_collection(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

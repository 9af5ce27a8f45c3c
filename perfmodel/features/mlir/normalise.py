"""Attributes that releases, forms and bindings write differently, in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfmodel.features.mlir.attributes import Dense, DialectAttribute
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.types import TensorType

MAX_WINDOW_RANK = 64
_STATIC = (
    "static_offsets static_sizes static_strides static_low static_high static_position static_output_shape "
    "staticLowerBound staticUpperBound staticStep"
).split()
_DYNAMIC = -(2**63)


def normalise(operation: Operation) -> None:
    """Attributes that releases and forms write differently, in one way.

    ``iterator_types`` are strings; dynamic entries of ``static_*`` are None; ``padding`` of windows is one pair a
    dimension, whether it was written as an array, a constant, or the one number that all entries are.
    """
    special = _NORMALISED.get(operation.name)
    if special is not None:
        special(operation.attributes)


def normaliser(name: str) -> Callable[[dict[str, Any]], None] | None:
    """What :func:`normalise` does to the attributes of operations of a name; None where that is nothing."""
    return _NORMALISED.get(name)


def _iterator_types(attributes: dict[str, Any]) -> None:
    kinds = attributes.get("iterator_types")
    if isinstance(kinds, tuple):
        attributes["iterator_types"] = tuple(k.body if isinstance(k, DialectAttribute) else k for k in kinds)


def _static(attributes: dict[str, Any]) -> None:
    for name in _STATIC:
        numbers = attributes.get(name)
        if isinstance(numbers, tuple):
            attributes[name] = tuple(None if n == _DYNAMIC else n for n in numbers)


def _padding(attributes: dict[str, Any]) -> None:
    value = attributes.get("padding")
    if isinstance(value, Dense) and isinstance(value.type, TensorType) and isinstance(value.values, (int, tuple)):
        rows = value.type.shape[0] if value.type.shape else None
        if rows is not None and rows <= MAX_WINDOW_RANK:
            same = value.values
            attributes["padding"] = same if isinstance(same, tuple) else ((same, same),) * rows


_NORMALISED: dict[str, Callable[[dict[str, Any]], None]] = {
    **dict.fromkeys("linalg.generic vector.contract linalg.contract".split(), _iterator_types),
    **dict.fromkeys(
        (
            "tensor.extract_slice tensor.insert_slice tensor.parallel_insert_slice memref.subview "
            "memref.reinterpret_cast tensor.pad tensor.expand_shape memref.expand_shape vector.extract "
            "vector.insert scf.forall"
        ).split(),
        _static,
    ),
    **dict.fromkeys(
        (
            "stablehlo.convolution stablehlo.reduce_window mhlo.convolution mhlo.reduce_window "
            "stablehlo.select_and_scatter mhlo.select_and_scatter"
        ).split(),
        _padding,
    ),
}

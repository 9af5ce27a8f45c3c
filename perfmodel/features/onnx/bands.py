"""Which keys a constant attention mask lets each query see.

Exporters store the mask of causal and local attention as a matrix, or compute it from constants. Its values decide how
much of the attention is executed, so they are looked at, weights are not: what is no matrix of two values in its first
row is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.features.onnx import external, small

MAX_MASK_ELEMENTS = 2**24
"""Larger masks (of more than 4,096 x 4,096) are not looked at."""

MASK = "perfmodel.mask"
"""Key of a value's ``meta``: the elements of a stored mask."""

_FIRST = 16
_LEAST = 2
_MASKED_BELOW = -1e3
"""Added to a score, this leaves nothing of it: exp(-1000) is 0 in every format."""


@dataclass(frozen=True, slots=True)
class Band:
    """What every query sees.

    Attributes:
        causal: nothing after its own position; the last query stands at the last key.
        window: as many keys as :class:`perfmodel.ops.Attention` counts; None means no limit.
    """

    causal: bool
    window: int | None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """For the node that applies the mask."""
        return {"causal": self.causal, "window": self.window}


def keep_masks(tensor: Any, folder: Path | None) -> np.ndarray | None:
    """The elements of a stored tensor that may be a mask: a matrix of truth values, or of zeros and large negative
    numbers; None for everything else, of which at most the first elements are read."""
    shape = [int(d) for d in tensor.shape]
    count = 1
    for size in shape:
        count *= size
    if not _may_be_mask(shape) or count > MAX_MASK_ELEMENTS or tensor.dtype.name not in _DTYPES:
        return None
    first = external.first_elements(tensor, min(_FIRST, count), folder)
    if first is None or not _has_two_values(first):
        return None
    found = external.first_elements(tensor, count, folder)
    return None if found is None else found.reshape(shape)


_DTYPES = frozenset({"BOOL", "FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8", "INT32", "INT64"})


def _may_be_mask(shape: list[Any]) -> bool:
    return len(shape) >= 2 and min(shape[-2:]) >= _LEAST and all(size == 1 for size in shape[:-2])


def _has_two_values(first: np.ndarray) -> bool:
    if first.dtype == bool:
        return True
    values = {float(v) for v in first}
    return values <= {0.0, 1.0} or all(v == 0 or v < _MASKED_BELOW for v in values)


def band_of(array: np.ndarray) -> Band | None:
    """The band of a mask along its diagonal; None when it is no such mask.

    Args:
        array: ``[..., queries, keys]`` with one matrix in all. Truth values may mean "sees" or "does not see": a query
            sees the key at its own position.
    """
    if not _may_be_mask(list(array.shape)):
        return None
    queries, keys = array.shape[-2:]
    matrix = array.reshape(queries, keys)
    if matrix.dtype == bool or bool(np.all((matrix == 0) | (matrix == 1)) and np.any(matrix == 1)):
        sees = matrix.astype(bool)
    elif np.all((matrix == 0) | (matrix < _MASKED_BELOW)):
        sees = matrix == 0
    else:
        return None
    shift = keys - queries
    if shift < 0:
        return None
    # How far each key lies ahead of the query that the last key's position belongs to.
    ahead = np.arange(keys)[None, :] - np.arange(queries)[:, None] - shift
    if not sees[ahead == 0].all():
        sees = ~sees
    inside = ahead[sees]
    if not inside.size or not sees[ahead == 0].all():
        return None
    first, last = int(inside.min()), int(inside.max())
    if not np.array_equal(sees, (ahead >= first) & (ahead <= last)):
        return None
    everything_before = first == 1 - keys
    everything_after = last == queries - 1
    if last == 0 and not everything_after:
        return Band(causal=True, window=None if everything_before else 1 - first)
    if everything_before and everything_after:
        return Band(causal=False, window=None)
    return None if everything_before else Band(causal=False, window=last - first + 1)


class Masks:
    """The masks of one model, evaluated when they are asked for.

    Args:
        dtype_of: the ``onnx_ir`` dtype of a value where it is known.
    """

    def __init__(self, dtype_of: Callable[[Any], Any]) -> None:
        self._dtype_of = dtype_of
        self._arrays: dict[Any, np.ndarray | None] = {}

    def band(self, value: Any) -> Band | None:
        """The band of a constant; None when it is no mask, or not known."""
        if value.shape is None or not _may_be_mask([d if isinstance(d, int) else 0 for d in value.shape]):
            return None
        array = self._array(value, 0)
        return None if array is None else band_of(array)

    def _array(self, value: Any, depth: int) -> np.ndarray | None:
        if value not in self._arrays:
            self._arrays[value] = None if depth > _MAX_DEPTH else self._evaluated(value, depth)
        return self._arrays[value]

    def _evaluated(self, value: Any, depth: int) -> np.ndarray | None:
        found = value.meta.get(MASK)
        if found is None:
            found = small.array_of(value)
        node = value.producer()
        if found is not None or node is None or value.shape is None:
            return found
        count = 1
        for size in value.shape:
            if not isinstance(size, int):
                return None
            count *= size
        if count > MAX_MASK_ELEMENTS:
            return None
        operands = [None if v is None else self._array(v, depth + 1) for v in node.inputs]
        if any(o is None and v is not None for o, v in zip(operands, node.inputs, strict=True)):
            return None
        return small.evaluate(node, operands, self._dtype_of, MAX_MASK_ELEMENTS)


_MAX_DEPTH = 64
"""Nodes behind each other between the stored constants and a mask; exporters need a dozen."""

"""Which constants are positions, and which masks compare positions by order: a causal mask is known by how it is made.

Attention kernels skip what a causal mask hides, so that a mask's values matter. Masks are constants of thousands of
elements whose values no reader decodes; but they are made of ``iota`` and a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.known import CAUSAL, Known

_ORDERS = ("LT", "LE", "GT", "GE")
_KEEPING = ("convert", "cast", "reshape", "view", "broadcast", "expand", "select", "where", "and", "or", "not", "add", "sub",
            "subtract", "multiply", "mul", "masked_fill", "logical", "bitwise", "clone", "tile")  # fmt: skip


def mark(operation: Operation, known: Sequence[Known], rank: int | None, shape: Any) -> Any:
    """The mark of a folded result: ``("position", axis from the end)``, :data:`CAUSAL` or None."""
    name = operation.name.split(".")[2 if operation.name.startswith("torch.aten.") else -1]
    if name == "iota" and rank is not None:
        axis = numbers_of(operation.attributes.get("iota_dimension"))
        return ("position", axis[0] - rank) if axis else None
    if name == "arange":
        return ("position", -1)
    if name in ("tril", "triu"):
        return CAUSAL
    marks = [k.mark for k in known if k.mark is not None]
    if not marks:
        return None
    if len(marks) == 2 and marks[0] != marks[1] and _compares_order(operation, name):
        axes = {m[1] for m in marks if m is not CAUSAL}
        return CAUSAL if axes == {-1, -2} else None
    if CAUSAL in marks:
        return CAUSAL if name.startswith(_KEEPING) else None
    if not name.startswith(_KEEPING) and name not in ("unsqueeze", "expand_shape", "broadcast_in_dim"):
        return None
    return _moved(operation, name, known, marks[0], shape)


def _compares_order(operation: Operation, name: str) -> bool:
    from perfmodel.features.mlir.evaluate import direction

    if name in ("lt", "le", "gt", "ge", "greater", "greater_equal"):
        return True
    return TENSOR_KINDS.get(operation.name) == "compare" and direction(operation) in _ORDERS


def _moved(operation: Operation, name: str, known: Sequence[Known], found: tuple[str, int], shape: Any) -> Any:
    """Where the axis of positions stands in the result."""
    source = next((k.tensor for k in known if k.mark == found), None)
    if source is None or source.shape is None or shape is None:
        return None
    axis = found[1] + len(source.shape)
    dims = numbers_of(operation.attributes.get("broadcast_dimensions"))
    if dims is not None:
        return ("position", dims[axis] - len(shape)) if axis < len(dims) else None
    length = source.shape[axis]
    if len(source.shape) == len(shape):
        return found
    places = [i for i, d in enumerate(shape) if d == length]
    return ("position", places[0] - len(shape)) if len(places) == 1 else None

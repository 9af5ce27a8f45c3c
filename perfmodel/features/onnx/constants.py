"""What an engine computes once, not per inference: constants, and arithmetic on shapes.

A node whose operands are all constants (initializers included: a transposed weight) runs when the engine is built. So
does arithmetic on the shapes of tensors, since an engine is built for given shapes. Shapes that depend on data are
arithmetic on the host while the model runs; its few integers launch nothing on the device either.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from perfmodel.features.onnx.external import MAX_CONSTANT_ELEMENTS

CONSTANT_REASON = "constant"
SHAPE_REASON = "shape arithmetic"


class Origin(IntEnum):
    """Where a value that needs no execution on the device comes from; a node has the largest of its operands."""

    CONSTANT = 1
    SHAPE = 2
    HOST = 3  # from a shape that depends on data

    @property
    def reason(self) -> str:
        """How :class:`perfmodel.graph.Removed` names it."""
        return CONSTANT_REASON if self is Origin.CONSTANT else SHAPE_REASON


# Not the same at each run; or weights that are stored narrow on purpose, whose conversion the engine leaves to the
# kernel that reads them (folding it would store them wide).
_NEVER_FOLDED = frozenset(
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli "
    "DequantizeLinear DequantizeBFP If Loop Scan SequenceMap BeamSearch GreedySearch Sampling WhisperBeamSearch "
    "SequenceConstruct SequenceInsert OptionalHasElement".split()
)
_SHAPE_OF = frozenset({"Shape", "Size"})
_STANDARD = ("", "ai.onnx")


def origin_of(node: Any, known: dict[Any, Origin], is_static: Callable[[Any], bool]) -> Origin | None:
    """The origin of a node's results, or None when it runs on the device.

    Args:
        node: an ``onnx_ir`` node whose operands were looked at before.
        known: the origins of values met so far.
        is_static: whether a value's shape follows from the inputs' shapes alone.
    """
    if node.op_type in _NEVER_FOLDED:
        return None
    if node.op_type in _SHAPE_OF and node.domain in _STANDARD:
        operand = node.inputs[0] if node.inputs else None
        return None if operand is None else Origin.SHAPE if is_static(operand) else Origin.HOST
    if node.op_type == "Constant" and node.domain in _STANDARD:
        return Origin.CONSTANT
    worst: Origin | None = None
    for value in node.inputs:
        if value is None:
            continue
        origin = known.get(value)
        if origin is None:
            return None
        worst = origin if worst is None else max(worst, origin)
    if worst is Origin.HOST and not all(_is_small(v) for v in node.outputs):
        return None
    return worst


def _is_small(value: Any) -> bool:
    if value.shape is None:
        return False
    count = 1
    for dim in value.shape:
        if not isinstance(dim, int):
            return False
        count *= dim
    return count <= MAX_CONSTANT_ELEMENTS

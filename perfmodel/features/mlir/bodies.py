"""What the body of a reduction, a scatter or a collective does with two values."""

from __future__ import annotations

from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.kinds import TENSOR_KINDS

REDUCTIONS = {
    "add": "sum", "mul": "prod", "max": "max", "min": "min", "and": "and", "or": "or", "xor": "xor", "bitwise": "or",
}  # fmt: skip
"""Scalar functions of two values, and the reductions that they make."""


def combiner(operation: Operation, default: str = "sum") -> str:
    """The kind of reduction that a body makes; ``default`` where it only hands a value on."""
    kinds = [REDUCTIONS[k] for k in _kinds(operation) if k in REDUCTIONS]
    if not kinds:
        for literal in (*operation.literals, operation.attributes.get("applies"), operation.attributes.get("combiner")):
            kind = TENSOR_KINDS.get(literal.strip("'\"")) if isinstance(literal, str) else None
            if kind in REDUCTIONS:
                return REDUCTIONS[kind]
        return default
    return kinds[0] if len(set(kinds)) == 1 else next((k for k in kinds if k in ("max", "min")), kinds[0])


def is_arg_search(operation: Operation) -> bool:
    """Whether a body compares and chooses: a search for the position of the largest or smallest."""
    kinds = _kinds(operation)
    return any(k in ("compare", "max", "min") for k in kinds) and "where" in kinds


def _kinds(operation: Operation) -> list[str]:
    """The scalar functions of the first region, in order."""
    body = operation.body
    return [] if body is None else [TENSOR_KINDS[o.name] for o in body.operations if o.name in TENSOR_KINDS]

"""Operands of linalg's operations, and what their bodies compute."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from perfmodel.errors import InputError
from perfmodel.features.lowering.loops import Access, Axes
from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS
from perfmodel.features.mlir.types import ScalarType, TensorType


def operands_of(operation: Operation) -> tuple[list[Value], list[Value]]:
    """(inputs, what is written): of destination-passing operations the results, which are what later operations read."""
    groups = operation.operand_groups
    values = [v for v in operation.operands if isinstance(v.type, TensorType)]
    if "outs" not in groups:
        count = len(values) - len(operation.results) if operation.name.startswith("linalg.") else len(values)
        return values[:count], list(operation.results)
    ins = groups.get("ins", 0)
    return [v for v in operation.operands[:ins] if isinstance(v.type, TensorType)], list(operation.results)


def access_of(value: Value, axes: Axes) -> Access:
    """An operand by the loops that index its axes.

    Raises:
        InputError: a dimension is not known.
        TypeError, ValueError: the value is no tensor, or has another number of axes.
    """
    kind = value.type
    if not isinstance(kind, TensorType):
        raise TypeError(f"expected a tensor, found {kind}")
    if kind.shape is None or None in kind.shape:
        raise InputError(
            f"%{value.name}: {kind} has a dimension that is not known; compiled code is characterised for static shapes: write "
            "the module with numbers"
        )
    shape = tuple(int(d or 0) for d in kind.shape)
    if len(axes) != len(shape):
        raise ValueError(f"{kind} has {len(shape)} axes, its map {len(axes)}")
    bits, is_float = bits_of(kind.element)
    is_brain = prefix_of(kind.element) == "bf16."
    made_by = value.operation
    is_part = made_by is not None and made_by.name == "tensor.extract_slice"
    return Access(axes, shape, bits, is_float, is_part, value, is_brain)


def bits_of(element: Any) -> tuple[int, bool]:
    """(bits as stored, whether floating-point) of an element type; 64-bit floats count 32, as IREE demotes them by default."""
    name = element.name if isinstance(element, ScalarType) else str(element)
    if name == "index":
        return 64, False
    match = re.fullmatch(r"(bf|tf|f|[su]?i)([0-9]+)\w*", name)
    if match is None:
        return 32, True
    is_float = not match[1].endswith("i")
    bits = int(match[2])
    return (32 if is_float and bits == 64 else bits), is_float


def prefix_of(element: Any) -> str:
    """What stands before the name of a scalar operation on numbers of a type: nothing, ``f16.``, ``bf16.`` or ``i.``."""
    bits, is_float = bits_of(element)
    if not is_float:
        return "i."
    if bits != 16:
        return ""
    return "bf16." if str(getattr(element, "name", element)).startswith("bf") else "f16."


def extents_of(count: int, accesses: list[Access]) -> tuple[int, ...]:
    """Iterations of each of ``count`` loops, from the shapes that they index."""
    extents = [0] * count
    for access in accesses:
        for axis, size in zip(access.axes, access.shape, strict=True):
            if len(axis) == 1:
                extents[axis[0]] = max(extents[axis[0]], size)
    if 0 in extents:
        # A loop that only windows index: what is left of the axis once the other loop has its extent.
        for access in accesses:
            for axis, size in zip(access.axes, access.shape, strict=True):
                open_ = [i for i in axis if extents[i] == 0]
                if len(open_) == 1:
                    others = sum(extents[i] - 1 for i in axis if extents[i])
                    extents[open_[0]] = max(size - others, 1)
    return tuple(max(e, 1) for e in extents)


def typed(function: str, operation: Operation) -> str:
    """A scalar function under the name that it has for the operation's numbers: ``add``, or ``i.add`` of integers."""
    value = (*operation.results, *operation.operands)[0]
    element = value.type.element if isinstance(value.type, TensorType) else value.type
    return prefix_of(element) + function


def product_body(operation: Operation) -> Counter[str]:
    """Of a product: a multiplication and an addition, and casts where the accumulator is wider."""
    elements = [v.type.element for v in (*operation.operands, *operation.results) if isinstance(v.type, TensorType)]
    result = elements[-1]
    prefix = prefix_of(result)
    body: Counter[str] = Counter({prefix + "mul": 1, prefix + "add": 1})
    for element in elements[:2]:
        if bits_of(element) != bits_of(result):
            body[_cast(element, result)] += 1
    return body


def _cast(source: Any, target: Any) -> str:
    """A conversion by the format that has to be read or written: ``bf16.narrow`` rounds, which bf16 has no instruction for."""
    before, after = prefix_of(source), prefix_of(target)
    if after == "bf16.":
        return "bf16.narrow"
    return f"{after or before}cast" if "i." not in (before, after) else "i.cast"


def body_of(operation: Operation) -> Counter[str]:
    """The scalar operations of a body, regions within it included."""
    counts: Counter[str] = Counter()
    for inner in operation.walk():
        if inner is operation or inner.name.endswith(".yield") or inner.name == "arith.constant":
            continue
        kind = SCALAR_KINDS.get(inner.name, inner.name)
        values = (*inner.operands, *inner.results)
        if inner.name == "linalg.index":
            counts["index"] += 1
        elif kind == "cast" and inner.operands and inner.results:
            counts[_cast(inner.operands[0].type, inner.results[0].type)] += 1
        else:
            # Of a selection the first operand is its condition.
            value = inner.results[0] if kind == "where" and inner.results else values[0] if values else None
            counts[("" if value is None else prefix_of(value.type)) + kind] += 1
    return counts

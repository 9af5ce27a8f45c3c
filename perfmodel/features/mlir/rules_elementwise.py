"""Rules of operations that apply one scalar function to each element, in every dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import Call, Modelled, Rule, RuleError
from perfmodel.features.mlir.evaluate import direction
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.graph import Tensor

COMPARISONS = {
    "EQ": "equal", "NE": "not_equal", "LT": "less", "LE": "less_equal", "GT": "greater", "GE": "greater_equal",
}  # fmt: skip

LARGE = 3e38
"""Limits from here on limit nothing."""

# Operands after these say how, not what: shifts, zero points, rounding.
_OPERANDS = {
    "tosa.mul": 2, "tosa.negate": 1, "tosa.arithmetic_right_shift": 2, "tosa.cast": 1, "tosa.rescale": 1,
}  # fmt: skip


def describe(kind: str, inputs: Sequence[Tensor], out: Tensor) -> ops.Elementwise:
    """The descriptor of a scalar function over the operands' broadcast: each operand is read once, at its own size.

    Operands of another dtype than the function's are not in it: :func:`apply` counts them as wide as they are stored.

    Raises:
        RuleError: the shape of an operand or of the result is not known.
    """
    first = inputs[0] if inputs else out
    dtype = first.dtype
    if len(inputs) > 1 and dtype == "bool":
        dtype = inputs[1].dtype  # a choice: the condition is no operand of the arithmetic
    if out.shape is None or any(t.shape is None for t in inputs):
        raise RuleError("the shape of an operand is not known")
    return ops.Elementwise(
        kind=kind, elements=out.elements, inputs=len(inputs),
        input_elements=sum([t.elements for t in inputs if t.dtype == dtype]),
        out_dtype=None if out.dtype == dtype else out.dtype, dtype=dtype,
    )  # fmt: skip


def operands(call: Call, count: int | None = None) -> list[Tensor]:
    """The tensors of the first operands.

    Raises:
        RuleError: there are none.
    """
    found = [t for t in call.inputs[:count] if t is not None]
    if not found:
        raise RuleError("it has no operand")
    return found


def apply(
    call: Call, kind: str, inputs: Sequence[Tensor], attributes: dict[str, Any] | None = None, *,
    out: Tensor | None = None,
) -> None:  # fmt: skip
    """Add one node of a scalar function of these operands.

    Args:
        out: what it writes; None means the operation's result.
    """
    result = call.result() if out is None else out
    op = describe(kind, inputs, result)
    others = sum([t.bytes for t in inputs if t.dtype != op.dtype])
    call.emit(op, inputs, (result,), attributes, extra=others)


def named(kind: str, count: int | None = None) -> Rule:
    """The rule of an operation that is one scalar function of its first operands."""

    def rule(call: Call) -> Modelled | ops.Operator | None:
        inputs = operands(call, count)
        apply(call, kind, inputs)
        return None

    return rule


def maximum(call: Call) -> None:
    """A maximum; with zero it is what frameworks call ReLU."""
    inputs = operands(call, 2)
    rest = [t for t in inputs if t.scalar != 0.0]
    if len(inputs) == 2 and len(rest) == 1 and same_size(rest[0], call.result()):
        apply(call, "relu", rest)
    else:
        apply(call, "max", inputs)


def same_size(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have certainly equally many elements."""
    return a.shape is not None and a.shape == b.shape


def compare(call: Call) -> None:
    """A comparison, by its direction."""
    apply(call, COMPARISONS.get(direction(call.operation), "compare"), operands(call, 2))


def select(call: Call) -> None:
    """A choice; the larger of a tensor and zero is ReLU."""
    inputs = operands(call, 3)
    x = relu_of(call, inputs)
    if x is None:
        apply(call, "where", inputs)
    else:
        apply(call, "relu", [x])


def relu_of(call: Call, inputs: Sequence[Tensor]) -> Tensor | None:
    """x where a choice is ``x > 0 ? x : 0`` between whole tensors; None otherwise."""
    if len(inputs) != 3 or inputs[2].scalar != 0.0:
        return None
    test = call.operation.operands[0].operation
    if test is None or TENSOR_KINDS.get(test.name) not in ("compare", "greater", "greater_equal"):
        return None
    if test.name.startswith("tosa") is False and direction(test) not in ("GT", "GE"):
        return None
    if test.operands[0] is not call.operation.operands[1] or call.convert.known(test.operands[1]).number != 0:
        return None
    return inputs[1]


def clamp(call: Call) -> None:
    """``clamp(low, x, high)``; without an upper limit, and zero as the lower, it is ReLU."""
    inputs = operands(call, 3)
    if len(inputs) != 3:
        raise RuleError("it has no limits")
    low, x, high = inputs
    limits(call, x, low.scalar, high.scalar, [low, high])


def clamp_by_attributes(call: Call) -> None:
    """TOSA's clamp: the limits are attributes."""
    (x,) = operands(call, 1)
    found = [call.attributes.get(n) for n in ("min_val", "max_val")]
    if found == [None, None]:
        found = [call.attributes.get(n) for n in ("min_fp", "max_fp")]
    limits(call, x, found[0], found[1], [])


def limits(call: Call, x: Tensor, low: Any, high: Any, tensors: Sequence[Tensor]) -> None:
    """A limited x, as ReLU where that is what it is."""
    if low == 0 and isinstance(high, (int, float)) and high >= LARGE:
        apply(call, "relu", [x])
        return
    attributes = {n: float(v) for n, v in (("min", low), ("max", high)) if isinstance(v, (int, float)) and not tensors}
    apply(call, "clip", [x, *tensors], attributes)


def cast(call: Call) -> Modelled | ops.Operator:
    """A conversion of the element type; to the same type it is a view."""
    x, out = call.tensor(0), call.result()
    if x.dtype == out.dtype and not converts(call.operation):
        return ops.View(kind="identity", dtype=x.dtype)
    return ops.Copy(kind="cast", elements=out.elements, read_elements=x.elements, dtype=x.dtype, out_dtype=out.dtype)


def converts(operation: Operation) -> bool:
    """Whether a conversion within one dtype computes other values: one dtype stands for all 8-bit floating-point formats."""
    if "bitcast" in operation.name:
        return False
    names = {str(getattr(v.type, "element", v.type)) for v in (operation.operands[0], operation.results[0])}
    return len(names) > 1 and any(name.startswith(("f8E", "f6E")) for name in names)


_SPECIAL: dict[str, Rule] = {
    **dict.fromkeys(("stablehlo.clamp", "mhlo.clamp", "chlo.clamp"), clamp),
    "tosa.clamp": clamp_by_attributes,
    **dict.fromkeys(
        ("stablehlo.maximum", "mhlo.maximum", "chlo.broadcast_maximum", "tosa.maximum", "arith.maximumf", "arith.maxnumf",
         "linalg.max"), maximum
    ),
    **dict.fromkeys(
        ("stablehlo.compare", "mhlo.compare", "chlo.broadcast_compare", "arith.cmpf", "arith.cmpi"), compare
    ),
    **dict.fromkeys(
        ("stablehlo.select", "mhlo.select", "chlo.broadcast_select", "tosa.select", "arith.select", "linalg.select"),
        select,
    ),
}  # fmt: skip

CASTS = ("stablehlo.convert", "mhlo.convert", "stablehlo.bitcast_convert", "mhlo.bitcast_convert", "tosa.cast")

RULES: dict[str, Rule] = {
    **{
        name: named(kind, _OPERANDS.get(name)) if kind != "cast" else cast
        for name, kind in TENSOR_KINDS.items()
        if not name.startswith("linalg.")
    },
    **{name: rule for name, rule in _SPECIAL.items() if not name.startswith("linalg.")},
    **dict.fromkeys(CASTS, cast),
}
"""Rules by the operation's name."""

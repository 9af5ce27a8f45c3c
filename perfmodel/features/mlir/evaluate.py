"""The values of small constants: scalars, splats, shapes and a few dozen elements."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.known import Known
from perfmodel.ops.base import is_symbolic

MAX_NUMBERS = 64
"""Elements of the largest constant whose values are kept."""

_KEEP_SPLAT = (
    "broadcast", "reshape", "transpose", "slice", "convert", "cast", "expand", "collapse", "permute", "view", "squeeze",
    "tile", "reverse", "clone", "identity", "to.dtype", "contiguous", "copy", "concat", "gather", "select.int", "splat",
    "fill", "detach", "bitcast", "extract", "optimization_barrier", "full", "to_builtin", "from_builtin", "alias",
    "convert_element_type", "lift_fresh",
)  # fmt: skip
"""Parts of names of operations that give their operand's elements again, in another order, shape or dtype."""

_EVALUATE: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "max": max, "min": min, "neg": operator.neg,
    "abs": abs, "cast": lambda a: a, "copy": lambda a: a, "square": lambda a: a * a,
    "sqrt": math.sqrt, "rsqrt": lambda a: 1 / math.sqrt(a), "reciprocal": lambda a: 1 / a, "exp": math.exp,
    "log": math.log, "pow": lambda a, b: a**b if abs(b) <= 64 else math.inf, "tanh": math.tanh, "erf": math.erf,
    "floor": math.floor, "ceil": math.ceil, "where": lambda c, a, b: a if c else b,
    "clip": lambda low, x, high: min(max(low, x), high),
}  # fmt: skip


def value_of(operation: Operation, known: Sequence[Known]) -> tuple[Any, list[Any] | None]:
    """(the number that all elements are, the elements), each None where unknown."""
    name = operation.name
    kind = TENSOR_KINDS.get(name)
    if kind == "compare":
        return _compared(operation, known)
    if kind is None and name.startswith("torch.aten."):
        kind = {"add": "add", "mul": "mul", "sub": "sub", "div": "div", "sqrt": "sqrt", "rsqrt": "rsqrt"}.get(
            name.split(".")[2]
        )
    if kind == "div":
        integers = name in ("arith.divsi", "arith.divui", "arith.floordivsi", "tosa.intdiv") or all(
            isinstance(k.number, int) for k in known[:2]
        )
        return _apply(_floor_divide if integers else operator.truediv, known[:2])
    if kind == "mod":
        return _apply(operator.mod, known[:2])
    if kind in _EVALUATE:
        operands = known[:2] if kind in ("add", "sub", "mul", "max", "min", "pow") else known
        if len(operands) > 1 and name.startswith("torch.aten.") and len(known) > 2 and known[2].number not in (None, 1):
            return None, None
        return _apply(_EVALUATE[kind], operands)
    if name == "linalg.generic":
        return None, None
    if name == "arith.ceildivsi" and len(known) == 2:
        return _apply(lambda a, b: -(-a // b), known)
    if known and _keeps_splat(name):
        first = known[0]
        if "concat" in name:
            parts = [k.integers for k in known]
            joined = [n for p in parts if p is not None for n in p] if all(p is not None for p in parts) else None
            return None, joined if joined is not None and len(joined) <= MAX_NUMBERS else None
        keeps_all = "slice" not in name and "gather" not in name and "extract" not in name and "select" not in name
        numbers = first.numbers if keeps_all else _sliced(operation, first.numbers)
        if numbers is not None and "broadcast" in name:
            numbers = None
        return first.scalar, numbers
    return None, None


@lru_cache(maxsize=4096)
def _keeps_splat(name: str) -> bool:
    return any(part in name for part in _KEEP_SPLAT)


def _floor_divide(a: Any, b: Any) -> Any:
    return a // b


def _sliced(operation: Operation, numbers: list[Any] | None) -> list[Any] | None:
    start, limit = (numbers_of(operation.attributes.get(n)) for n in ("start_indices", "limit_indices"))
    if numbers is None or start is None or limit is None or len(start) != 1:
        return None
    stride = numbers_of(operation.attributes.get("strides")) or [1]
    return numbers[start[0] : limit[0] : stride[0]]


def _apply(function: Callable[..., Any], known: Sequence[Known]) -> tuple[Any, list[Any] | None]:
    try:
        scalars = [k.number for k in known]
        if all(s is not None for s in scalars):
            return function(*scalars), None
        lists = [k.integers for k in known]
        longest = max((len(n) for n in lists if n is not None), default=0)
        if any(n is None or len(n) not in (1, longest) for n in lists):
            return None, None
        spread = [n * longest if len(n) == 1 else n for n in lists if n is not None]
        return None, [function(*row) for row in zip(*spread, strict=True)]
    except (ArithmeticError, ValueError, TypeError):
        return None, None


_PREDICATES = {
    "EQ": operator.eq, "NE": operator.ne, "LT": operator.lt, "LE": operator.le, "GT": operator.gt, "GE": operator.ge,
}  # fmt: skip


def _compared(operation: Operation, known: Sequence[Known]) -> tuple[Any, None]:
    values = [k.number for k in known[:2]]
    function = _PREDICATES.get(direction(operation))
    if function is None or len(values) < 2 or any(v is None or is_symbolic(v) for v in values):
        return None, None
    return bool(function(*values)), None


_ARITH_PREDICATES = ("EQ", "NE", "LT", "LE", "GT", "GE", "LT", "LE", "GT", "GE")
_FLOAT_PREDICATES = (
    "", "EQ", "GT", "GE", "LT", "LE", "NE", "", "EQ", "GT", "GE", "LT", "LE", "NE", "", "",
)  # fmt: skip


def direction(operation: Operation) -> str:
    """``"LT"`` and so on of a comparison of any dialect; empty where it has none."""
    attributes = operation.attributes
    found = attributes.get("comparison_direction", attributes.get("predicate"))
    if found is None and operation.literals:
        found = operation.literals[0]
    if isinstance(found, int):
        table = _FLOAT_PREDICATES if operation.name == "arith.cmpf" else _ARITH_PREDICATES
        return table[found] if 0 <= found < len(table) else ""
    text = str(getattr(found, "body", found)).strip("<> ").split()[-1:] or [""]
    word = text[0].upper()
    return word if word in _PREDICATES else word[-2:] if word[-2:] in _PREDICATES else ""

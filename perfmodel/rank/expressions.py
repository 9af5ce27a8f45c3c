"""Arithmetic over named values, as the descriptions of configuration spaces write it: ``"MWG // MDIMC"``, ``"min(a, 4) * b"``.

An expression is parsed once into nested functions and knows nothing but numbers, names, ``+ - * / // % **``, comparisons,
``and or not`` and the functions of :class:`Arithmetic`. It runs over arrays (a million rows at once) or over plain numbers
(one configuration, without numpy's cost of a call), whichever arithmetic it is given.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.errors import InputError

Values = Mapping[str, Any]
MOST = 2.0**53
"""The largest number of a formula, a default or a table: beyond it floats do not even count one by one."""
LARGEST = 1e30
"""The largest value of a formula that a configuration can run with: products of many such values stay finite."""
_MAX_LENGTH = 1000
_MAX_NODES = 300


@dataclass(frozen=True)
class Arithmetic:
    """The functions that arrays and plain numbers do not share as operators.

    Attributes:
        minimum, maximum: of two.
        where: the second where the first holds, else the third.
        ceil, floor, log2, sqrt: of one.
        power_of_two: the largest power of two that divides a whole number; 1 of 0.
    """

    minimum: Callable[[Any, Any], Any]
    maximum: Callable[[Any, Any], Any]
    where: Callable[[Any, Any, Any], Any]
    ceil: Callable[[Any], Any]
    floor: Callable[[Any], Any]
    log2: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]
    power_of_two: Callable[[Any], Any]


def _powers_of_two(values: Any) -> Any:
    whole = np.asanyarray(values).astype(np.int64)
    return np.maximum(whole & -whole, 1).astype(np.float64)


def _power_of_two(value: Any) -> float:
    whole = int(value)
    return float(max(whole & -whole, 1))


def _either(condition: Any, then: Any, otherwise: Any) -> Any:
    return then if condition else otherwise


ARRAYS = Arithmetic(np.minimum, np.maximum, np.where, np.ceil, np.floor, np.log2, np.sqrt, _powers_of_two)
"""Over numpy arrays."""
NUMBERS = Arithmetic(min, max, _either, math.ceil, math.floor, math.log2, math.sqrt, _power_of_two)
"""Over plain numbers."""

_Compiled = Callable[[Values, Arithmetic], Any]
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
# Name in an expression: (function of Arithmetic, number of arguments).
_FUNCTIONS: dict[str, tuple[str, int]] = {
    "min": ("minimum", 2),
    "max": ("maximum", 2),
    "where": ("where", 3),
    "ceil": ("ceil", 1),
    "floor": ("floor", 1),
    "log2": ("log2", 1),
    "sqrt": ("sqrt", 1),
    "power_of_two": ("power_of_two", 1),
}


@dataclass(frozen=True)
class Expression:
    """One formula.

    Attributes:
        text: as it was written.
        names: what it reads (``"MWG"``, ``"op.k"``).
    """

    text: str
    names: tuple[str, ...]
    _run: _Compiled

    @cached_property
    def may_leave_bounds(self) -> bool:
        """Whether numbers up to :data:`MOST` may become none, or more than :data:`LARGEST`: by a division, a remainder, a root,
        a logarithm, or more than one multiplication (a power is written as one)."""
        undefined = any(mark in self.text for mark in ("/", "%", "**", "sqrt", "log2"))
        return undefined or self.text.count("*") > 1

    @classmethod
    def parse(cls, text: str | float) -> Expression:
        """Reads a formula, or a number.

        Raises:
            InputError: it is no arithmetic over names.
        """
        text = " ".join(str(text).split())
        if len(text) > _MAX_LENGTH:
            raise InputError(
                f"the expression {text[:40]!r}... has {len(text)} characters; wanted at most {_MAX_LENGTH}"
            )
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InputError(f"the expression {text!r} is no arithmetic") from None
        if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
            raise InputError(f"the expression {text[:40]!r}... has more than {_MAX_NODES} parts")
        names: dict[str, None] = {}
        return cls(text, *_finish(_compile(tree, names, text), names))

    def __call__(self, values: Values, arithmetic: Arithmetic = ARRAYS) -> Any:
        """The value, of the kind that the values have.

        Raises:
            InputError: a name that the values lack.
        """
        try:
            return self._run(values, arithmetic)
        except KeyError as error:
            raise InputError(f"{self.text!r} reads {error.args[0]!r}, which is not there") from None


def _finish(run: _Compiled, names: dict[str, None]) -> tuple[tuple[str, ...], _Compiled]:
    return tuple(names), run


def _compile(node: ast.AST, names: dict[str, None], text: str) -> _Compiled:
    """The function of a part of the tree; notes the names that it reads."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        if not abs(node.value) <= MOST:
            raise InputError(f"the expression {text[:40]!r} holds {node.value!r:.40}; wanted numbers up to 2^53")
        value = float(node.value)
        return lambda values, arithmetic: value
    name = _name_of(node)
    if name is not None:
        names[name] = None
        return lambda values, arithmetic: values[name]
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        combine = _BINARY[type(node.op)]
        left, right = _compile(node.left, names, text), _compile(node.right, names, text)
        return lambda values, arithmetic: combine(left(values, arithmetic), right(values, arithmetic))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        # Exact for whole numbers below 2^52, and ten times as quick as numpy's own.
        above, below = _compile(node.left, names, text), _compile(node.right, names, text)
        return lambda values, arithmetic: arithmetic.floor(above(values, arithmetic) / below(values, arithmetic))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _compile(node.operand, names, text)
        return lambda values, arithmetic: -inner(values, arithmetic)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _compile(node.operand, names, text)
        return lambda values, arithmetic: inner(values, arithmetic) == 0
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        compare = _COMPARE[type(node.ops[0])]
        left, right = _compile(node.left, names, text), _compile(node.comparators[0], names, text)
        return lambda values, arithmetic: compare(left(values, arithmetic), right(values, arithmetic))
    if isinstance(node, ast.BoolOp):
        return _logical(node, names, text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _called(node, names, text)
    raise InputError(
        f"the expression {text!r} holds {type(node).__name__}; wanted names, numbers, + - * / // % **, comparisons, "
        f"and/or/not, and {', '.join(_FUNCTIONS)}"
    )


def _name_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


def _logical(node: ast.BoolOp, names: dict[str, None], text: str) -> _Compiled:
    parts = [_compile(value, names, text) for value in node.values]
    if isinstance(node.op, ast.And):

        def both(values: Values, arithmetic: Arithmetic) -> Any:
            result = parts[0](values, arithmetic) != 0
            for part in parts[1:]:
                result = result & (part(values, arithmetic) != 0)
            return result

        return both

    def either(values: Values, arithmetic: Arithmetic) -> Any:
        result = parts[0](values, arithmetic) != 0
        for part in parts[1:]:
            result = result | (part(values, arithmetic) != 0)
        return result

    return either


def _called(node: ast.Call, names: dict[str, None], text: str) -> _Compiled:
    assert isinstance(node.func, ast.Name)
    if node.func.id not in _FUNCTIONS:
        raise InputError(f"the expression {text!r} calls {node.func.id!r}; known: {', '.join(_FUNCTIONS)}")
    function, count = _FUNCTIONS[node.func.id]
    if len(node.args) != count:
        raise InputError(f"the expression {text!r} gives {node.func.id} {len(node.args)} arguments; wanted {count}")
    parts = [_compile(argument, names, text) for argument in node.args]
    return lambda values, arithmetic: getattr(arithmetic, function)(*(part(values, arithmetic) for part in parts))

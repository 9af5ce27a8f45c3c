"""Attributes of MLIR operations as Python values and small records.

=================================  ==================================================================================
in the text                        here
=================================  ==================================================================================
``4 : i32``, ``-1``                ``int`` (the type is dropped)
``1.0e-5 : f32``, ``0x7F800000``   ``float``; hexadecimal patterns are decoded where their type is a float
``true``, ``false``                ``bool``
``unit``, a key without a value    ``True``
``"text"``                         ``str``
``[1, 2]``                         ``tuple``
``{a = 1}``                        ``dict``
``array<i64: 1, 2>``               ``tuple`` of numbers
``@main``, ``@kernels::@k``        :class:`SymbolRef`
``dense<...> : tensor<4xf32>``     :class:`Dense` (also ``dense_resource`` and ``sparse``)
``affine_map<...>``                :class:`AffineMap`
``affine_set<...>``                :class:`IntegerSet`
``tensor<4xf32>``                  a type of :mod:`perfmodel.features.mlir.types`
``#stablehlo.dot<...>``            :class:`DialectAttribute`
=================================  ==================================================================================

Aliases (``#map``) are replaced by what they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from perfmodel.features.mlir.types import Type

AffineExpr: TypeAlias = "int | tuple[Any, ...]"
"""An integer; ``("d", 0)`` and ``("s", 0)`` for dimensions and symbols; ``(operator, left, right)`` with an operator of
``+ * mod floordiv ceildiv``. Subtraction is ``("+", a, ("*", b, -1))``."""


@dataclass(frozen=True, slots=True)
class AffineMap:
    """``affine_map<(d0, d1)[s0] -> (d0 + s0, d1 floordiv 2)>``."""

    num_dims: int
    num_symbols: int
    results: tuple[AffineExpr, ...]

    @property
    def permutation(self) -> tuple[int, ...] | None:
        """Positions of the dimensions where every result is one dimension, none twice; else None."""
        positions = tuple(r[1] for r in self.results if isinstance(r, tuple) and r[0] == "d")
        if len(positions) != len(self.results) or len(set(positions)) != len(positions):
            return None
        return positions

    def __str__(self) -> str:
        dims = ", ".join(f"d{i}" for i in range(self.num_dims))
        symbols = "[" + ", ".join(f"s{i}" for i in range(self.num_symbols)) + "]" if self.num_symbols else ""
        return f"affine_map<({dims}){symbols} -> ({', '.join(map(affine_text, self.results))})>"


@dataclass(frozen=True, slots=True)
class IntegerSet:
    """``affine_set<(d0)[s0] : (d0 - 1 >= 0, d0 == 0)>``: each constraint is (expression, whether it is an equality)."""

    num_dims: int
    num_symbols: int
    constraints: tuple[tuple[AffineExpr, bool], ...]


@dataclass(frozen=True, slots=True)
class SymbolRef:
    """``@kernels::@k`` as ``("kernels", "k")``."""

    path: tuple[str, ...]

    @property
    def root(self) -> str:
        """The outermost name."""
        return self.path[0]

    @property
    def leaf(self) -> str:
        """The innermost name."""
        return self.path[-1]

    def __str__(self) -> str:
        return "::".join("@" + name for name in self.path)


@dataclass(frozen=True, slots=True)
class Dense:
    """Elements of a constant; large ones are never decoded.

    Attributes:
        type: type of the constant; None where the text gives none.
        values: nested tuples as in the text, or one number for a splat (``dense<1.0>``); None where elided, stored as a
            blob, or longer than the reader's limit.
        resource: name of the blob for ``dense_resource``.
        nbytes: bytes of the blob that the text holds; None where there is none.
    """

    type: Type | None
    values: Any = None
    resource: str | None = None
    nbytes: int | None = None

    @property
    def splat(self) -> Any:
        """The one number that all elements are; None where they differ or are unknown."""
        value = self.values
        while isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        return None if isinstance(value, tuple) else value

    def flat(self) -> tuple[Any, ...] | None:
        """All elements that the text names in one tuple (one for a splat); None where unknown."""
        if self.values is None:
            return None
        level = [self.values]
        while any(isinstance(v, tuple) for v in level):
            level = [item for v in level for item in (v if isinstance(v, tuple) else (v,))]
        return tuple(level)


@dataclass(frozen=True, slots=True)
class DialectAttribute:
    """An attribute of a dialect.

    Attributes:
        name: with the dialect, without ``#``: ``"stablehlo.dot"``, ``"linalg.iterator_type"``.
        body: what stands between the angle brackets.
        params: ``key = value`` pairs of the body where it has that form.
    """

    name: str
    body: str = ""
    params: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def dialect(self) -> str:
        """The dialect's name space."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"#{self.name}<{self.body}>" if self.body else f"#{self.name}"


def affine_text(expression: AffineExpr) -> str:
    """An affine expression as MLIR writes it."""
    if isinstance(expression, int):
        return str(expression)
    if expression[0] in ("d", "s"):
        return f"{expression[0]}{expression[1]}"
    operator, left, right = expression
    texts = []
    for side in (left, right):
        text = affine_text(side)
        nested = isinstance(side, tuple) and side[0] not in ("d", "s")
        texts.append(f"({text})" if nested and (operator != "+" or side is right) else text)
    return f"{texts[0]} {operator} {texts[1]}"


def affine_value(expression: AffineExpr, dims: Any = (), symbols: Any = ()) -> Any:
    """The value of an affine expression for given dimensions and symbols (numbers, arrays or sympy expressions)."""
    if isinstance(expression, int):
        return expression
    kind = expression[0]
    if kind == "d":
        return dims[expression[1]]
    if kind == "s":
        return symbols[expression[1]]
    left, right = (affine_value(e, dims, symbols) for e in expression[1:])
    if kind == "+":
        return left + right
    if kind == "*":
        return left * right
    if kind == "mod":
        return left % right
    return left // right if kind == "floordiv" else -(-left // right)

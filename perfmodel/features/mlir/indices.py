"""Indices of loads and stores as linear forms of the loops around them, and how many elements they reach."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import numpy as np

from perfmodel.features.mlir.attributes import AffineMap, affine_value
from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.ops.base import at_most, is_symbolic

_CASTS = ("arith.index_cast", "index.cast", "arith.ext", "arith.trunci", "llvm.sext", "llvm.zext", "llvm.trunc")
_MAX_DEPTH = 64
_MAX_ITERATIONS = 1 << 16
"""Iterations of outer loops that are counted one by one where the bounds of an inner one depend on them."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop around a statement.

    Attributes:
        extent: how often it runs; the mean where its bounds depend on outer loops.
        start, step: values of its variable.
        reach: how many values its variable takes in all iterations of the outer loops; None means as many as in one.
        outer: variables of the loops that its bounds depend on.
    """

    extent: Any
    start: Any = 0
    step: Any = 1
    reach: Any = None
    outer: frozenset[Value] = frozenset()

    @property
    def values(self) -> Any:
        """Distinct values of its variable."""
        return self.extent if self.reach is None else self.reach

    @property
    def mean(self) -> Any:
        """The variable's mean value: loops whose bounds depend on it run that often on average."""
        if self.start is None or self.step is None:
            return None
        middle = self.start + self.step * (self.extent - 1) / 2
        return int(middle) if isinstance(middle, float) and middle.is_integer() else middle


class Linear:
    """``3·i + j + 5``: coefficients by loop variable, and a constant (None where it is not known)."""

    __slots__ = ("coefficients", "constant")

    def __init__(self, coefficients: Mapping[Value, Any], constant: Any = 0) -> None:
        self.coefficients: dict[Value, Any] = {v: c for v, c in coefficients.items() if is_symbolic(c) or c != 0}
        self.constant: Any = constant

    def __add__(self, other: Any) -> Linear:
        other = _linear(other)
        total = dict(self.coefficients)
        for value, c in other.coefficients.items():
            total[value] = total.get(value, 0) + c
        known = self.constant is not None and other.constant is not None
        return Linear(total, self.constant + other.constant if known else None)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Linear:
        other = _linear(other)
        if other.coefficients and self.coefficients:
            raise NotLinearError
        factor, form = (other, self) if self.coefficients else (self, other)
        if factor.constant is None:
            # A stride that is not known: the loops still run over the axis.
            return Linear(dict.fromkeys(form.coefficients, 1), None)
        constant = None if form.constant is None else factor.constant * form.constant
        return Linear({v: c * factor.constant for v, c in form.coefficients.items()}, constant)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Linear:
        other = _linear(other)
        if not self.coefficients and not other.coefficients and None not in (self.constant, other.constant):
            return Linear({}, self.constant // other.constant)
        raise NotLinearError

    def __mod__(self, other: Any) -> Linear:
        other = _linear(other)
        if not self.coefficients and not other.coefficients and None not in (self.constant, other.constant):
            return Linear({}, self.constant % other.constant)
        raise NotLinearError

    def __neg__(self) -> Linear:
        return self * -1


class NotLinearError(Exception):
    """An index that is no linear form of loops: a division, or data."""


def _linear(value: Any) -> Linear:
    return value if isinstance(value, Linear) else Linear({}, value)


class Indices:
    """Linear forms of the values in one nest.

    Args:
        known: the number of a value from outside of the nest, or None.
    """

    def __init__(self, known: Any) -> None:
        self._known = known
        self.loops: dict[Value, Loop] = {}
        self.fixed: dict[Value, Linear] = {}
        self._cache: dict[Value, Linear | None] = {}

    def form(self, value: Value, depth: int = 0) -> Linear | None:
        """The linear form of a value; None where it is data."""
        if value in self.fixed:
            return self.fixed[value]
        if value in self.loops:
            return Linear({value: 1}, 0)
        if value not in self._cache:
            self._cache[value] = None
            self._cache[value] = self._made(value, depth)
        return self._cache[value]

    def _made(self, value: Value, depth: int) -> Linear | None:
        operation = value.operation
        number = self._known(value)
        if number is not None:
            return Linear({}, number)
        if operation is None or depth > _MAX_DEPTH:
            return None
        name = operation.name
        if name in ("arith.constant", "index.constant", "llvm.mlir.constant"):
            found = operation.attributes.get("value")
            return Linear({}, found) if isinstance(found, int) else None
        if name in ("affine.apply", "affine.min", "affine.max"):
            return self._affine(operation.attributes.get("map"), operation.operands, depth)
        operands = [self.form(v, depth + 1) for v in operation.operands]
        if any(o is None for o in operands):
            return None
        forms = [o for o in operands if o is not None]
        try:
            if name in ("arith.addi", "index.add", "llvm.add"):
                return forms[0] + forms[1]
            if name in ("arith.subi", "index.sub", "llvm.sub"):
                return forms[0] + -forms[1]
            if name in ("arith.muli", "index.mul", "llvm.mul"):
                return forms[0] * forms[1]
            if name in ("arith.divui", "arith.divsi", "index.divu", "index.divs"):
                return forms[0] // forms[1]
            if name in ("arith.remui", "arith.remsi", "index.remu", "index.rems"):
                return forms[0] % forms[1]
            if name.startswith(
                ("arith.index_cast", "index.cast", "arith.ext", "arith.trunci", "llvm.sext", "llvm.zext", "llvm.trunc")
            ):
                return forms[0]
        except NotLinearError:
            return None
        return None

    def _affine(self, map_: Any, operands: Sequence[Value], depth: int) -> Linear | None:
        if not isinstance(map_, AffineMap) or not map_.results:
            return None
        return self.through(map_, operands, depth)[0]

    def through(self, map_: AffineMap, operands: Sequence[Value], depth: int = 0) -> list[Linear | None]:
        """What an affine map makes of values."""
        forms = [self.form(v, depth + 1) for v in operands]
        dims = forms[: map_.num_dims]
        symbols = forms[map_.num_dims :]
        found: list[Linear | None] = []
        for result in map_.results:
            try:
                found.append(_linear(affine_value(result, dims, symbols)))
            except (NotLinearError, TypeError, AttributeError, IndexError):
                found.append(None)
        return found

    def tile(self, operation: Operation, arguments: Sequence[Value]) -> None:
        """A loop from ``i0`` to ``i0 + 8``, one tile of an outer loop's: its variable is ``i0`` plus 0 to 7.

        Only where the bounds move together: the rows of a triangle (from ``i0`` to the end) keep one variable.
        """
        lows, highs = self._moving_bounds(operation)
        low = lows[0] if len(lows) == 1 else None
        if low is None or not low.coefficients or len(arguments) == 0 or arguments[0] not in self.loops:
            return
        if all(high is None or (high + -low).coefficients for high in highs):
            return
        variable = arguments[0]
        loop = self.loops[variable]
        self.loops[variable] = Loop(loop.extent, 0, loop.step)  # a whole tile reaches no further than the outer loop
        self.fixed[variable] = low + Linear({variable: 1})

    def moving(self, operation: Operation, start: Any, step: Any) -> Loop | None:
        """A loop whose bounds depend on outer ones: how often it runs is summed over their iterations, which is exact for
        partial tiles and triangles. None for other loops.
        """
        lows, highs = self._moving_bounds(operation)
        if not lows or not highs or not isinstance(step, int) or step < 1:
            return None
        forms: list[Linear] = []
        for form in (*lows, *highs):
            if form is None or not isinstance(form.constant, int):
                return None
            forms.append(form)
        outer = list(dict.fromkeys(v for form in forms for v in form.coefficients))
        loops = [self.loops.get(v) for v in outer]
        if not outer or any(n is None or not _is_counted(n) for n in loops):
            return None
        if prod(n.extent for n in loops if n is not None) > _MAX_ITERATIONS:
            return None
        axes = np.ix_(*(n.start + n.step * np.arange(n.extent, dtype=np.int64) for n in loops if n is not None))
        grids = dict(zip(outer, axes, strict=True))
        sides = [sum((c * grids[v] for v, c in f.coefficients.items()), np.asarray(f.constant)) for f in forms]
        low = functools.reduce(np.maximum, sides[: len(lows)])
        high = functools.reduce(np.minimum, sides[len(lows) :])
        counts = np.maximum(-((low - high) // step), 0)
        total = int(np.broadcast_to(counts, [n.extent for n in loops if n is not None]).sum())
        runs = prod(n.extent for n in loops if n is not None)
        reach = max(-(-(int(high.max()) - int(low.min())) // step), 0)
        return Loop(total // runs if total % runs == 0 else total / runs, start, step, reach, frozenset(outer))

    def _moving_bounds(self, operation: Operation) -> tuple[list[Linear | None], list[Linear | None]]:
        """The lower bounds of a loop of one variable, of which the largest holds, and its upper bounds, of which the least."""
        operands = operation.operands
        if operation.name == "scf.for" and len(operands) >= 3:
            return self._bounds(operands[0], "max"), self._bounds(operands[1], "min")
        low, high = operation.attributes.get("lowerBoundMap"), operation.attributes.get("upperBoundMap")
        if operation.name != "affine.for" or not isinstance(low, AffineMap) or not isinstance(high, AffineMap):
            return [], []
        split = low.num_dims + low.num_symbols
        lows = self.through(low, operands[:split])
        highs = self.through(high, operands[split : split + high.num_dims + high.num_symbols])
        return lows, highs

    def _bounds(self, value: Value, kind: str) -> list[Linear | None]:
        """The forms of which a value is the least or largest (``affine.min``, ``arith.maxsi``); its own where it is another."""
        made = value.operation
        map_ = made.attributes.get("map") if made is not None else None
        if made is not None and made.name == f"affine.{kind}" and isinstance(map_, AffineMap):
            return self.through(map_, made.operands)
        if made is not None and made.name in (f"arith.{kind}si", f"arith.{kind}ui"):
            return [self.form(v) for v in made.operands]
        return [self.form(value)]

    def number(self, value: Value) -> Any:
        """A value as a number: a constant, or its mean over the loops that it depends on; None where unknown."""
        form = self.form(value)
        if form is None or form.constant is None:
            return None
        total = form.constant
        for variable, c in form.coefficients.items():
            mean = self.loops[variable].mean if variable in self.loops else None
            if mean is None:
                return None
            total = total + c * mean
        return total


def _is_counted(loop: Loop) -> bool:
    return isinstance(loop.extent, int) and isinstance(loop.start, int) and isinstance(loop.step, int)


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store.

    Attributes:
        axes: the linear form of each axis' index, None for data.
        width: elements at once along each axis (vectors), innermost last; axes beyond are 1.
        runs: how often it is executed.
    """

    axes: tuple[Linear | None, ...]
    width: tuple[Any, ...]
    runs: Any


def variables(access: Access) -> frozenset[Value]:
    """The loops that an access depends on."""
    return frozenset(v for axis in access.axes if axis is not None for v in axis.coefficients)


def distinct(accesses: Iterable[Access], shape: Sequence[Any], loops: Mapping[Value, Loop]) -> Any:
    """Elements that accesses to one buffer reach together.

    Accesses that differ in constants alone (the points of a stencil) overlap; others are added up. There are never more than
    the buffer has.
    """
    groups: dict[Any, list[Access]] = {}
    for access in accesses:
        key = tuple(
            None if a is None else tuple(sorted((id(v), c) for v, c in a.coefficients.items())) for a in access.axes
        )
        groups.setdefault(key, []).append(access)
    total: Any = 0
    for group in groups.values():
        total = total + _of_group(group, shape, loops)
    return at_most(total, prod(shape)) if shape else at_most(total, 1)


def _of_group(group: list[Access], shape: Sequence[Any], loops: Mapping[Value, Loop]) -> Any:
    first = group[0]
    reached: Any = 1
    for axis, form in enumerate(first.axes):
        size = shape[axis] if axis < len(shape) else None
        if form is None:
            reached = reached * (size if size is not None else first.runs)
            continue
        width = first.width[axis - len(first.axes)] if axis - len(first.axes) >= -len(first.width) else 1
        constants = [index.constant for a in group if (index := a.axes[axis]) is not None]
        numbers = [c for c in constants if isinstance(c, int)]
        count = _shifted(form, loops, numbers) if len(numbers) == len(constants) and width == 1 else None
        if count is None:
            spread = max(numbers) - min(numbers) if len(numbers) == len(constants) and numbers else 0
            count = _values(form, loops) * width + spread
        reached = reached * (count if size is None else at_most(count, size))
    used = variables(first)
    if all(form is not None for form in first.axes):
        # A diagonal is no square: there are no more elements than there are executions.
        runs: Any = prod((n.extent if n.outer <= used else n.values for v, n in loops.items() if v in used), start=1)
        widths = prod(first.width) if first.width else 1
        reached = at_most(reached, runs * widths * len(group))
    return reached


def _shifted(form: Linear, loops: Mapping[Value, Loop], constants: Sequence[int]) -> int | None:
    """Distinct values of ``c·i + k`` for several k: those of one remainder overlap where they lie close; None for others."""
    terms = [(c, loops[v]) for v, c in form.coefficients.items() if v in loops]
    if len(terms) != 1 or len(constants) < 2:
        return None
    factor, loop = terms[0]
    if not isinstance(factor, int) or not isinstance(loop.step, int) or not isinstance(loop.values, int):
        return None
    stride = abs(factor * loop.step)
    if stride == 0:
        return None
    total = 0
    groups: dict[int, list[int]] = {}
    for constant in set(constants):
        groups.setdefault(constant % stride, []).append(constant // stride)
    for offsets in groups.values():
        offsets.sort()
        total += loop.values + sum(min(b - a, loop.values) for a, b in itertools.pairwise(offsets))
    return total


def _values(form: Linear, loops: Mapping[Value, Loop]) -> Any:
    """Distinct values of a linear form."""
    terms = [
        (c * (loops[v].step if loops[v].step is not None else 1), loops[v].values)
        for v, c in form.coefficients.items()
        if v in loops
    ]
    if not terms:
        return 1
    if len(terms) == 1:
        return terms[0][1]
    combinations = prod(extent for _, extent in terms)
    if any(is_symbolic(c) or is_symbolic(n) or not isinstance(c, int) for c, n in terms):
        return combinations
    divisor = gcd(*(abs(c) for c, _ in terms)) or 1
    span = sum(abs(c) // divisor * (n - 1) for c, n in terms) + 1
    return at_most(combinations, span)

"""The factors of what a ``linalg.generic`` sums: two operands that are multiplied, and what scales or shifts them.

A body may convert, shift and scale its operands before it multiplies them: ``sum_k x[m, k] · (w[k, n] - z[n]) · s[n]`` is a
product of x and w, whose values are dequantised on the way. What scales lacks a loop that the operand has; another whole
tensor in the same place leaves no product of two matrices.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.contractions import is_one
from perfmodel.features.mlir.element_types import dtype_of
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS
from perfmodel.graph import Tensor
from perfmodel.ops.formats import is_narrow

_SCALING = frozenset("add sub mul div neg shift and or xor copy round clip".split())
"""Scalar functions that bring an operand into the form in which it is multiplied."""

_MAX_FACTORS = 8


@dataclass(slots=True)
class Factor:
    """One side of a product.

    Attributes:
        operand: number of the operand that is multiplied.
        others: numbers of the operands that scale or shift it, in order.
        kinds: the scalar functions that are applied to each of its values, conversions left out.
    """

    operand: int
    others: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Factors:
    """What is multiplied and summed.

    Attributes:
        a, b: the two sides, in the order of the operands.
        of_result: operands that scale each result: they are the same for all terms of a sum.
    """

    a: Factor
    b: Factor
    of_result: list[int] = field(default_factory=list)


def loops_of(map_: AffineMap) -> frozenset[int]:
    """The loops that an operand's indices depend on."""
    found: set[int] = set()
    waiting: list[Any] = list(map_.results)
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple):
            if part[0] == "d":
                found.add(part[1])
            elif part[0] != "s":
                waiting += part[1:]
    return frozenset(found)


def uncast(value: Value) -> Value:
    """What a value was before it was converted to another type."""
    while (operation := value.operation) is not None and SCALAR_KINDS.get(operation.name) == "cast":
        value = operation.operands[0]
    return value


def factors_of(
    value: Value, arguments: Sequence[Value], maps: Sequence[AffineMap], sizes: Sequence[Any], reducing: Collection[int]
) -> Factors | None:
    """The factors of a value that is summed; None where it is no product of two operands.

    Args:
        value: what is added to the accumulator.
        arguments: of the body, one an operand that is read.
        maps: of those operands.
        sizes: extent of each loop.
        reducing: which loops reduce.
    """
    numbers = {argument: i for i, argument in enumerate(arguments)}
    loops = [loops_of(m) for m in maps]
    made = uncast(value).operation
    if made is None or SCALAR_KINDS.get(made.name) not in ("mul", "mul+add", "and"):
        return None
    parts: list[Value] = []
    waiting = list(made.operands[:2])
    while waiting:
        side = uncast(waiting.pop(0))
        inner = side.operation
        if inner is not None and SCALAR_KINDS.get(inner.name) == "mul" and inner.parent is made.parent:
            waiting = [*inner.operands[:2], *waiting]
        else:
            parts.append(side)
        if len(parts) + len(waiting) > _MAX_FACTORS:
            return None
    found: list[Factor] = []
    for part in parts:
        factor = _one(part, numbers, loops, made.parent)
        if factor is None:
            return None
        if factor.operand >= 0:  # constants scale all
            found.append(factor)
    summed = frozenset(d for d in reducing if not is_one(sizes[d]))
    return _sides(found, loops, summed)


def _one(part: Value, numbers: dict[Value, int], loops: Sequence[frozenset[int]], block: Block | None) -> Factor | None:
    """One factor: an operand, and what shifts it; None where it is more than that."""
    used: list[int] = []
    kinds: list[str] = []
    waiting, seen = [part], set()
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if value in numbers:
            if numbers[value] not in used:
                used.append(numbers[value])
            continue
        operation: Operation | None = value.operation
        if operation is None:
            return None
        if operation.name.endswith(".constant") or operation.parent is not block:
            continue  # a number, or one from outside of the body: the same in every iteration
        kind = SCALAR_KINDS.get(operation.name)
        if kind == "cast":
            waiting.append(operation.operands[0])
        elif kind in _SCALING:
            kinds += [] if kind == "copy" else [kind]
            waiting += operation.operands
        else:
            return None
    if not used:
        return Factor(-1)
    main = max(used, key=lambda i: len(loops[i]))
    others = [i for i in used if i != main]
    if any(not loops[i] < loops[main] for i in others):
        return None
    return Factor(main, others, kinds)


def _sides(found: list[Factor], loops: Sequence[frozenset[int]], summed: frozenset[int]) -> Factors | None:
    """The two factors that vary along all loops that sum; the others scale one of them, or the result."""
    whole = [f for f in found if summed <= loops[f.operand]]
    for a, b in combinations(whole, 2):
        if a.operand != b.operand:
            answer = _with_scales(a, b, [f for f in found if f is not a and f is not b], loops, summed)
            if answer is not None:
                return answer
    return None


def _with_scales(
    a: Factor, b: Factor, rest: list[Factor], loops: Sequence[frozenset[int]], summed: frozenset[int]
) -> Factors | None:
    sides = {id(s): Factor(s.operand, list(s.others), list(s.kinds)) for s in (a, b)}
    of_result: list[int] = []
    for factor in rest:
        # What both sides could be scaled by belongs to the one that has fewer values to scale.
        holders = [s for s in (a, b) if loops[factor.operand] < loops[s.operand]]
        names = [factor.operand, *factor.others]
        if not loops[factor.operand] & summed and not holders:
            of_result += names
            continue
        if not holders:
            return None
        side = sides[id(min(holders, key=lambda s: len(loops[s.operand])))]
        side.others += [n for n in names if n not in side.others]
        side.kinds += [*factor.kinds, "mul"]
    return Factors(sides[id(a)], sides[id(b)], of_result)


def group_of(main: AffineMap, scale: AffineMap | None, sizes: Sequence[Any], summed: Collection[int]) -> Any:
    """How many terms of a sum share a scale."""
    own = {d for d in loops_of(main) if d in summed}
    return prod(sizes[d] for d in own - (loops_of(scale) if scale is not None else frozenset()))


def arithmetic(factor: Factor, tensor: Tensor) -> tuple[ops.Operator, ...]:
    """What is done with each value of a side before it is multiplied, as parts of the product's kernel."""
    if not factor.kinds:
        return ()
    return (ops.Elementwise(kind="+".join(factor.kinds), elements=tensor.elements, inputs=0, dtype=tensor.dtype),)


def dequantised(operation: Operation) -> Factor | None:
    """The narrow operand that a ``linalg.generic`` without reductions only dequantises, and its scales; None for others.

    ``(w - z) · s``, converted from integers: what engines do while they multiply, not in a kernel of its own.
    """
    body = operation.body
    terminator = body.terminator if body is not None else None
    maps = operation.attributes.get("indexing_maps", ())
    if body is None or terminator is None or len(terminator.operands) != 1 or len(maps) != len(body.arguments):
        return None
    count = len(body.arguments) - 1
    made = uncast(terminator.operands[0]).operation
    if made is None or SCALAR_KINDS.get(made.name) != "mul" or not all(isinstance(m, AffineMap) for m in maps):
        return None
    numbers = {v: i for i, v in enumerate(body.arguments[:count])}
    found = _one(terminator.operands[0], numbers, [loops_of(m) for m in maps[:count]], body)
    if found is None or found.operand < 0 or set(found.kinds) - {"sub", "mul"} or found.kinds.count("mul") != 1:
        return None
    if maps[found.operand].results != maps[count].results or not found.others:
        return None
    stored, result = (dtype_of(v.type) for v in (body.arguments[found.operand], body.arguments[count]))
    return found if stored is not None and is_narrow(stored) and result is not None and not is_narrow(result) else None

"""Affine maps and sets of the text: operator precedence with two stacks, so that no nesting is too deep for Python."""

from __future__ import annotations

import re
from typing import Any

from perfmodel.features.mlir.attributes import AffineExpr, AffineMap, IntegerSet

MAX_OPERATORS = 200
"""Expressions with more operators are refused; compilers write a handful."""

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_%][\w$.#-]*)|(>=|==|<=|->|.))", re.DOTALL)
_BINDS = {"+": 1, "-": 1, "*": 2, "mod": 2, "floordiv": 2, "ceildiv": 2, "neg": 3}


class AffineError(ValueError):
    """What was expected of the text of an affine map or set, and what stands there."""


def parse_map(text: str) -> AffineMap:
    """``(d0, d1)[s0] -> (d0 + s0, d1)``."""
    dims, symbols, rest = _head(text)
    if not rest.startswith("->"):
        raise AffineError(f"expected '->', found {rest[:20]!r}")
    names = _names(dims, symbols)
    return AffineMap(len(dims), len(symbols), tuple(expression(part, names) for part in _listed(rest[2:].strip())))


def parse_set(text: str) -> IntegerSet:
    """``(d0)[s0] : (d0 - 1 >= 0, d0 == s0)``."""
    dims, symbols, rest = _head(text)
    if not rest.startswith(":"):
        raise AffineError(f"expected ':', found {rest[:20]!r}")
    names = _names(dims, symbols)
    constraints = []
    for part in _listed(rest[1:].strip()):
        for mark in ("==", ">=", "<="):
            left, found, right = part.partition(mark)
            if found:
                first, second = expression(left, names), expression(right, names)
                if mark == "<=":
                    first, second = second, first
                constraints.append((_sum(first, _negated(second)), mark == "=="))
                break
        else:
            raise AffineError(f"expected '==' or '>=', found {part[:20]!r}")
    return IntegerSet(len(dims), len(symbols), tuple(constraints))


def expression(text: str, names: dict[str, AffineExpr]) -> AffineExpr:
    """One affine expression whose names stand for what ``names`` says; ``symbol(%n)`` is the name inside."""
    values: list[AffineExpr] = []
    pending: list[str] = []
    operand_next, operators = True, 0
    for match in _TOKEN.finditer(text.strip()):
        number, name, mark = match.groups()
        token = number or name or mark
        if name in ("mod", "floordiv", "ceildiv") or (mark in ("+", "*") or (mark == "-" and not operand_next)):
            if operand_next:
                raise AffineError(f"expected an affine expression, found {token!r}")
            while pending and pending[-1] != "(" and _BINDS[pending[-1]] >= _BINDS[token]:
                _reduce(values, pending.pop())
            pending.append(token)
            operand_next = True
            operators += 1
        elif mark == "-":
            pending.append("neg")
            operators += 1
        elif mark == "(":
            if not operand_next:
                raise AffineError("expected an operator, found '('")
            pending.append("(")
            operators += 1
        elif mark == ")":
            while pending and pending[-1] != "(":
                _reduce(values, pending.pop())
            if not pending or operand_next:
                raise AffineError("expected an affine expression, found ')'")
            pending.pop()
        elif name == "symbol":
            continue  # symbol(%n): the parentheses do no harm
        elif not operand_next:
            raise AffineError(f"expected an operator, found {token!r}")
        else:
            if number:
                if len(number) > 19:
                    raise AffineError(f"expected an integer of 64 bits, found {number[:20]}...")
                values.append(int(number))
            elif name in names:
                values.append(names[name])
            else:
                raise AffineError(f"expected a dimension or symbol of the map, found {token!r}")
            operand_next = False
        if operators > MAX_OPERATORS:
            raise AffineError(f"expected at most {MAX_OPERATORS} operators, found more")
    if operand_next:
        raise AffineError("expected an affine expression, found nothing")
    while pending:
        if pending[-1] == "(":
            raise AffineError("expected ')', found the end of the expression")
        _reduce(values, pending.pop())
    return values[0]


def _reduce(values: list[AffineExpr], operator: str) -> None:
    right = values.pop()
    if operator == "neg":
        values.append(_negated(right))
        return
    if not values:
        raise AffineError(f"expected an operand of {operator!r}, found nothing")
    left = values.pop()
    if operator == "-":
        values.append(_sum(left, _negated(right)))
    elif operator == "+":
        values.append(_sum(left, right))
    elif operator == "*":
        values.append(_product(left, right))
    else:
        values.append((operator, left, right))


# Numbers and symbols go to the right, and numbers are added up, as MLIR itself does: equal maps are equal tuples.
def _sum(left: AffineExpr, right: AffineExpr) -> AffineExpr:
    if isinstance(left, int) or (_is_fixed(left) and not _is_fixed(right)):
        left, right = right, left
    if isinstance(right, int):
        if isinstance(left, int):
            return left + right
        if not right:
            return left
        if left[0] == "+" and isinstance(left[2], int):
            return _sum(left[1], left[2] + right)
    return ("+", left, right)


def _product(left: AffineExpr, right: AffineExpr) -> AffineExpr:
    if isinstance(left, int) or (_is_fixed(left) and not _is_fixed(right)):
        left, right = right, left
    if isinstance(left, int) and isinstance(right, int):
        return left * right
    return left if right == 1 else ("*", left, right)


def _is_fixed(expression: AffineExpr) -> bool:
    """Whether no dimension occurs in it."""
    stack = [expression]
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            if part[0] == "d":
                return False
            stack += part[1:] if part[0] != "s" else ()
    return True


def _negated(value: AffineExpr) -> AffineExpr:
    return _product(value, -1)


def _head(text: str) -> tuple[list[str], list[str], str]:
    text = text.strip()
    if not text.startswith("("):
        raise AffineError(f"expected '(' before the dimensions of an affine map, found {text[:20]!r}")
    inside, mark, rest = text[1:].partition(")")
    if not mark:
        raise AffineError("expected ')' after the dimensions of an affine map, found the end of the text")
    dims = [d.partition(":")[0].strip() for d in inside.split(",") if d.strip()]
    symbols: list[str] = []
    rest = rest.lstrip()
    if rest.startswith("["):
        inside, _, rest = rest[1:].partition("]")
        symbols = [s.strip() for s in inside.split(",") if s.strip()]
    return dims, symbols, rest.lstrip()


def _names(dims: list[str], symbols: list[str]) -> dict[str, AffineExpr]:
    names: dict[str, Any] = {name: ("d", i) for i, name in enumerate(dims)}
    names.update((name, ("s", i)) for i, name in enumerate(symbols))
    return names


def _listed(text: str) -> list[str]:
    """The parts of ``(a, b)``, whose own parentheses are left alone."""
    if not text.startswith("(") or not text.endswith(")"):
        raise AffineError(f"expected a list in parentheses, found {text[:20]!r}")
    parts, level, start = [], 0, 1
    for position in range(1, len(text) - 1):
        character = text[position]
        if character == "(":
            level += 1
        elif character == ")":
            level -= 1
        elif character == "," and not level:
            parts.append(text[start:position])
            start = position + 1
    last = text[start:-1]
    return [*parts, last] if last.strip() or parts else []

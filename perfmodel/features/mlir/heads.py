"""Operations whose custom form begins in a way of its own: affine loops and accesses, linalg's short forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir.affine_text import AffineError, expression
from perfmodel.features.mlir.attributes import AffineExpr, AffineMap
from perfmodel.features.mlir.lexer import HASH, NUMBER, VALUE, WORD
from perfmodel.features.mlir.pending import Argument, Pending
from perfmodel.features.mlir.types import ScalarType

if TYPE_CHECKING:
    from perfmodel.features.mlir.custom import CustomForms

_VALUE = re.compile(r"%[A-Za-z0-9_$.-]+(?:#[0-9]+)?")
_SYMBOL = re.compile(r"symbol\s*\(\s*(%[A-Za-z0-9_$.-]+)\s*\)")
_INDEX = ScalarType("index")


def _affine_for(forms: CustomForms, pending: Pending) -> None:
    """``%i = 0 to min #map(%n) step 4 iter_args(...) -> (...)``."""
    lexer, operation = forms.lexer, pending.operation
    if lexer.kind != VALUE:
        lexer.fail("the induction variable of the loop")
    pending.arguments.append(Argument(lexer.token[1:], lexer.start, _INDEX))
    lexer.advance()
    lexer.expect("=", "after the induction variable")
    lower, count = _bound(forms, pending)
    lexer.expect("to", "between the bounds of the loop")
    upper, others = _bound(forms, pending)
    step = 1
    if lexer.token == "step":
        lexer.advance()
        if lexer.kind != NUMBER:
            lexer.fail("a step")
        step = forms.attributes.attribute(lexer)
    operation.attributes.update(lowerBoundMap=lower, upperBoundMap=upper, step=step)
    operation.operand_groups.update(lower=count, upper=others)


def _bound(forms: CustomForms, pending: Pending) -> tuple[Any, int]:
    """The map of a loop's bound, and how many operands it has."""
    lexer = forms.lexer
    if lexer.kind == NUMBER:
        return AffineMap(0, 0, (forms.attributes.attribute(lexer),)), 0
    before = len(pending.operation.operands)
    if lexer.kind == WORD and lexer.token in ("min", "max"):
        lexer.advance()
    if lexer.kind == VALUE:
        _operand(forms, pending)
        return AffineMap(0, 1, (("s", 0),)), 1
    if lexer.kind != HASH and lexer.token != "affine_map":
        lexer.fail("a bound of the loop")
    bound = forms.attributes.attribute(lexer)
    _map_operands(forms, pending)
    return bound, len(pending.operation.operands) - before


def _operand(forms: CustomForms, pending: Pending) -> None:
    lexer = forms.lexer
    pending.operation.operands.append(forms.scopes.use(lexer.token[1:], lexer.start))
    lexer.advance()


def _map_operands(forms: CustomForms, pending: Pending) -> None:
    """``(%d0, %d1)[%s0]``."""
    lexer = forms.lexer
    for opening, closing in (("(", ")"), ("[", "]")):
        if lexer.token != opening:
            continue
        lexer.advance()
        while lexer.token != closing:
            if lexer.kind != VALUE:
                lexer.fail(f"an operand of the map or {closing!r}")
            _operand(forms, pending)
            if lexer.token != closing:
                lexer.expect(",", f"or {closing!r} after an operand")
        lexer.advance()


def _affine_apply(forms: CustomForms, pending: Pending) -> None:
    """``affine.apply #map(%i)[%n]``, and the same for min and max."""
    lexer = forms.lexer
    if lexer.kind == HASH or lexer.token == "affine_map":
        pending.operation.attributes["map"] = forms.attributes.attribute(lexer)
        _map_operands(forms, pending)


def _affine_if(forms: CustomForms, pending: Pending) -> None:
    """``affine.if #set(%i)[%n] -> (f32)``."""
    lexer = forms.lexer
    if lexer.kind == HASH or lexer.token == "affine_set":
        pending.operation.attributes["condition"] = forms.attributes.attribute(lexer)
        _map_operands(forms, pending)


def _affine_parallel(forms: CustomForms, pending: Pending) -> None:
    """``affine.parallel (%i, %j) = (0, 0) to (%n, min(%m, 10)) step (1, 4)``."""
    lexer, operation = forms.lexer, pending.operation
    _induction_variables(forms, pending)
    lexer.expect("=", "after the induction variables")
    operation.attributes["lowerBoundsMap"], lower = _expressions(forms, pending, "(")
    lexer.expect("to", "between the bounds of the loop")
    operation.attributes["upperBoundsMap"], upper = _expressions(forms, pending, "(")
    operation.operand_groups.update(lower=lower, upper=upper)
    steps: tuple[Any, ...] = (1,) * len(pending.arguments)
    if lexer.token == "step":
        lexer.advance()
        steps = _expressions(forms, pending, "(")[0].results
    operation.attributes["steps"] = steps


def _induction_variables(forms: CustomForms, pending: Pending) -> None:
    lexer = forms.lexer
    lexer.expect("(", "before the induction variables")
    while lexer.token != ")":
        if lexer.kind != VALUE:
            lexer.fail("an induction variable")
        pending.arguments.append(Argument(lexer.token[1:], lexer.start, _INDEX))
        lexer.advance()
        if lexer.token != ")":
            lexer.expect(",", "or ')' after an induction variable")
    lexer.advance()


def _affine_access(forms: CustomForms, pending: Pending) -> None:
    """``affine.load %A[%i + 1, symbol(%n)]``, ``affine.store %v, %A[...]``."""
    lexer = forms.lexer
    while lexer.kind == VALUE:
        _operand(forms, pending)
        if lexer.token != ",":
            break
        lexer.advance()
    if lexer.token == "[":
        pending.operation.attributes["map"], _ = _expressions(forms, pending, "[")


def _expressions(forms: CustomForms, pending: Pending, opening: str) -> tuple[AffineMap, int]:
    """A list of affine expressions over values: the map, whose dimensions become operands, and how many there are."""
    lexer = forms.lexer
    if lexer.token != opening:
        lexer.fail(f"{opening!r} before affine expressions")
    start = lexer.start
    end = lexer.closing(start)
    text = lexer.text[start + 1 : end - 1]
    names: dict[str, AffineExpr] = {}
    symbols = list(dict.fromkeys(_SYMBOL.findall(text)))
    dims = [name for name in dict.fromkeys(_VALUE.findall(text)) if name not in symbols]
    names.update((name, ("d", i)) for i, name in enumerate(dims))
    names.update((name, ("s", i)) for i, name in enumerate(symbols))
    try:
        results = tuple(expression(part, names) for part in _parts(text))
    except AffineError as problem:
        lexer.refuse(str(problem), start)
    for name in (*dims, *symbols):
        pending.operation.operands.append(forms.scopes.use(name[1:], start))
    lexer.jump(end)
    return AffineMap(len(dims), len(symbols), results), len(dims) + len(symbols)


def _parts(text: str) -> list[str]:
    """Expressions between commas; those of ``min(a, b)`` and ``max(a, b)`` count singly."""
    parts, start = [], 0
    flat = re.sub(r"\b(?:min|max)\s*\(", " (", text)
    grouped = flat != text
    level = 0
    for position, character in enumerate(flat):
        if character == "(":
            level += 1
        elif character == ")":
            level -= 1
        elif character == "," and (not level or grouped):
            parts.append(flat[start:position])
            start = position + 1
    parts.append(flat[start:])
    if grouped:
        parts = [p.strip().strip("()") for p in parts]
    return [p for p in parts if p.strip()]


def _linalg_short(forms: CustomForms, pending: Pending) -> None:
    """``linalg.map { arith.addf }`` and ``linalg.reduce { arith.addf }``: the body is one named operation."""
    lexer = forms.lexer
    if (
        lexer.token != "{"
        or lexer.peek()[0] != WORD
        or "." not in lexer.peek()[1]
        or lexer.peek(2)[1] not in ("}", "{")
    ):
        return
    lexer.advance()
    pending.literals += ["applies", lexer.token]
    lexer.advance()
    if lexer.token == "{":
        pending.literals.append(forms.attributes.dictionary(lexer))
    elif lexer.token == "<":
        lexer.jump(lexer.closing(lexer.start))
    lexer.expect("}", "after the operation of the body")


def _forall(forms: CustomForms, pending: Pending) -> None:
    """``(%i, %j) in (%n, 8)`` or ``(%i, %j) = (0, %a) to (%n, 8) step (1, %s)``."""
    lexer, operation = forms.lexer, pending.operation
    _induction_variables(forms, pending)
    names = ("staticLowerBound", "staticUpperBound", "staticStep")
    if lexer.token == "in":
        lexer.advance()
        upper = _mixed(forms, pending)
        operation.attributes.update(zip(names, ((0,) * len(upper), upper, (1,) * len(upper)), strict=True))
        return
    for word, name in zip(("=", "to", "step"), names, strict=True):
        lexer.expect(word, "before the bounds or steps of the loops")
        operation.attributes[name] = _mixed(forms, pending)


def _mixed(forms: CustomForms, pending: Pending) -> tuple[Any, ...]:
    """``(%n, 8)`` as numbers; None for an operand."""
    lexer = forms.lexer
    items: list[Any] = []
    lexer.expect("(", "before bounds or steps")
    while lexer.token != ")":
        if lexer.kind == VALUE:
            _operand(forms, pending)
            items.append(None)
        elif lexer.kind == NUMBER:
            items.append(forms.attributes.attribute(lexer))
        else:
            lexer.fail("a number or an operand")
        if lexer.token != ")":
            lexer.expect(",", "or ')' in a list")
    lexer.advance()
    return tuple(items)


HEADS: dict[str, Callable[[CustomForms, Pending], None]] = {
    "affine.for": _affine_for,
    "affine.parallel": _affine_parallel,
    "affine.if": _affine_if,
    "scf.forall": _forall,
    **dict.fromkeys(("affine.apply", "affine.min", "affine.max"), _affine_apply),
    **dict.fromkeys(
        ("affine.load", "affine.store", "affine.vector_load", "affine.vector_store", "affine.prefetch"), _affine_access
    ),
    **dict.fromkeys(("linalg.map", "linalg.reduce"), _linalg_short),
}

"""Lists inside custom forms: parentheses, brackets, ``keyword = value``; what they tell of a region's arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir.ir import Block, Value
from perfmodel.features.mlir.lexer import END, LABEL, NUMBER, PUNCT, SYMBOL, VALUE, WORD, Lexer
from perfmodel.features.mlir.parse_attributes import AttributeParser, number, symbol
from perfmodel.features.mlir.parse_types import at_type, parse_type
from perfmodel.features.mlir.pending import Argument, Pending
from perfmodel.features.mlir.scopes import Scopes
from perfmodel.features.mlir.types import ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable

EQUALS = re.compile(r"[ \t\r\n]*=(?![=>])")
_DIM_NUMBERS = re.compile(r"\s*(\[[^\]]*\]\s*x\s*\[[^\]]*\]\s*->\s*\[[^\]]*\])")
_INDEX = ScalarType("index")


class ListForms:
    """See the module's text."""

    successor: Callable[[str, int], Block]

    def __init__(self, text: str, filename: str) -> None:
        self.attributes: AttributeParser = AttributeParser(filename)
        self.lexer: Lexer = Lexer(text, filename)
        self.scopes: Scopes = Scopes(self.lexer)

    def _use(self, pending: Pending, token: str, position: int) -> Value:
        value = self.scopes.use(token[1:], position)
        if value.owner is None:
            pending.fresh.append(value)
        return value

    def _keyword_value(self, pending: Pending, keyword: str) -> None:
        lexer, attributes = self.lexer, pending.operation.attributes
        if keyword == "dim_numbers" and (match := _DIM_NUMBERS.match(lexer.text, lexer.before)) is not None:
            attributes[keyword] = match[1]
            lexer.jump(match.end())
        elif lexer.token == "[":
            first = self.bracket(pending)
            if lexer.token == "x":
                lexer.advance()
                attributes[keyword] = (first, self.bracket(pending))
            else:
                attributes[keyword] = first
        elif lexer.kind == VALUE:
            pending.operation.operands.append(self._use(pending, lexer.token, lexer.start))
            pending.operation.operand_groups[keyword] = 1
            lexer.advance()
        elif lexer.token == "(":
            self.group(pending, keyword)
        elif lexer.token == "{" and keyword == "attrs":
            attributes.update(self.attributes.dictionary(lexer))
        else:
            attributes[keyword] = self.attributes.attribute(lexer, typed=False)

    # ------------------------------------------------------------------------------------------------ lists inside
    def group(self, pending: Pending, keyword: str) -> None:
        """``( ... )``: operands, arguments of a region, types; however deep the parentheses are."""
        lexer, operands, table = self.lexer, pending.operation.operands, self.attributes.types
        opened = [lexer.start]
        before, known, named = len(operands), len(pending.literals), len(pending.arguments)
        lexer.advance()
        while opened:
            kind, token = lexer.kind, lexer.token
            if kind == VALUE:
                position = lexer.start
                lexer.advance()
                following = lexer.token if lexer.kind == PUNCT else ""
                if following == "=":
                    lexer.advance()
                    pending.arguments.append(Argument(token[1:], position, None, len(operands)))
                elif following == ":" and token[1:] not in self.scopes.values:
                    lexer.advance()
                    pending.arguments.append(Argument(token[1:], position, parse_type(lexer, table)))
                    if lexer.token == "{":
                        lexer.jump(lexer.closing(lexer.start))
                    self.skip_location()
                else:
                    operands.append(self._use(pending, token, position))
            elif kind == PUNCT:
                if token == "(":
                    opened.append(lexer.start)
                    lexer.advance()
                elif token == ")":
                    opened.pop()
                    lexer.advance()
                elif token == ":":
                    lexer.advance()
                    while at_type(lexer) and lexer.token != "(":
                        parse_type(lexer, table)
                        if lexer.token == ",":
                            lexer.advance()
                elif token == "[":
                    pending.literals.append(self.bracket(pending))
                elif token == "{":
                    lexer.jump(lexer.closing(lexer.start))
                elif token in "}]":
                    lexer.fail(f"')' to close the '(' of {lexer.place(opened[-1])}")
                else:
                    lexer.advance()
            elif kind == END:
                lexer.fail(f"')' to close the '(' of {lexer.place(opened[-1])}")
            elif kind == SYMBOL:
                pending.symbols.append(symbol(token))
                lexer.advance()
            elif kind == LABEL:
                pending.operation.successors.append(self.successor(token[1:], lexer.start))
                lexer.advance()
            elif kind == WORD and token == "loc":
                self.skip_location()
            elif kind == WORD and EQUALS.match(lexer.text, lexer.end) is not None:
                lexer.advance()
                lexer.advance()
                if lexer.token != "(":  # parentheses are counted here, not nested
                    self._keyword_value(pending, token)
            else:
                pending.literals.append(self.attributes.attribute(lexer))
        if keyword and len(operands) != before:
            pending.operation.operand_groups[keyword] = len(operands) - before
        elif keyword and len(pending.literals) > known and len(pending.arguments) == named:  # dim(0)
            values = pending.literals[known:]
            del pending.literals[known:]
            pending.operation.attributes[keyword] = values[0] if len(values) == 1 else tuple(values)

    def bracket(self, pending: Pending) -> tuple[Any, ...]:
        """``[ ... ]`` as nested tuples; an operand is None in it, ``a:b:c`` a tuple of three numbers."""
        lexer = self.lexer
        levels: list[list[Any]] = [[]]
        opened = [lexer.start]
        lexer.expect("[")
        while True:
            kind, token = lexer.kind, lexer.token
            if kind == VALUE:
                pending.operation.operands.append(self._use(pending, token, lexer.start))
                levels[-1].append(None)
                lexer.advance()
            elif kind == NUMBER:
                levels[-1].append(self._range(token))
            elif kind == LABEL:
                pending.operation.successors.append(self.successor(token[1:], lexer.start))
                lexer.advance()
            elif kind == END:
                lexer.fail(f"']' to close the '[' of {lexer.place(opened[-1])}")
            elif kind == PUNCT and token != "{":
                if token in "[(":
                    levels.append([])
                    opened.append(lexer.start)
                elif token in "])":
                    if (lexer.text[opened.pop()] == "[") != (token == "]"):
                        lexer.fail("the bracket that closes the list")
                    done = tuple(levels.pop())
                    if not levels:
                        lexer.advance()
                        return done
                    levels[-1].append(done)
                elif token == "}":
                    lexer.fail(f"']' to close the '[' of {lexer.place(opened[-1])}")
                elif token == ":":
                    lexer.advance()
                    if at_type(lexer) and lexer.token != "(":
                        parse_type(lexer, self.attributes.types)
                    continue
                elif token != ",":
                    levels[-1].append(token)
                lexer.advance()
            else:
                levels[-1].append(self.attributes.attribute(lexer))

    def _range(self, token: str) -> Any:
        lexer = self.lexer
        try:
            parts = [number(token)]
        except ValueError:
            lexer.fail("a number")
        lexer.advance()
        while lexer.token == ":" and lexer.peek()[0] == NUMBER and len(parts) < 3:
            lexer.advance()
            parts.append(number(lexer.token))
            lexer.advance()
        if len(parts) > 1:
            return (*parts, 1)[:3]
        if lexer.token == ":" and lexer.peek()[0] != VALUE:  # [1 : i32]
            lexer.advance()
            parse_type(lexer, self.attributes.types)
        return parts[0]

    # --------------------------------------------------------------------------------------------------- locations
    def location(self, pending: Pending) -> None:
        """``loc(...)`` behind an operation."""
        lexer = self.lexer
        start = lexer.start
        lexer.advance()
        if lexer.token != "(":
            lexer.fail("'(' after loc")
        end = lexer.closing(lexer.start)
        pending.operation.location = lexer.text[start:end]
        lexer.jump(end)

    def skip_location(self) -> None:
        """``loc(...)`` behind an argument."""
        lexer = self.lexer
        if lexer.kind == WORD and lexer.token == "loc":
            lexer.advance()
            if lexer.token != "(":
                lexer.fail("'(' after loc")
            lexer.jump(lexer.closing(lexer.start))

    # --------------------------------------------------------------------------------------------------- arguments
    def region_arguments(self, pending: Pending) -> list[Argument]:
        """The arguments named ahead of a region, with the types that their initial values have."""
        operation = pending.operation
        found = [Argument(v.name, pending.position) for v in pending.fresh if v.owner is None]
        if found:
            missing = {v for v in pending.fresh if v.owner is None}
            kept: list[Value] = []
            moved = []
            for value in operation.operands:
                moved.append(len(kept))
                if value not in missing:
                    kept.append(value)
            moved.append(len(kept))
            for argument in pending.arguments:
                if argument.initial is not None:
                    argument.initial = moved[argument.initial]
            operation.operands[:] = kept
        found += pending.arguments
        carried = [a for a in pending.arguments if a.initial is not None]
        for argument in found:
            if argument.type is None and argument.initial is not None and argument.initial < len(operation.operands):
                argument.type = operation.operands[argument.initial].type
            if argument.type is None and operation.name.startswith(("scf.", "affine.", "gpu.", "linalg.")):
                argument.type = _INDEX
        if carried and len(pending.results) in (len(carried), len(carried) - 1) and operation.name == "scf.for":
            for argument, kind in zip(reversed(carried), reversed(pending.results), strict=False):
                argument.type = kind
        return found

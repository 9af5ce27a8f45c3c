"""The general grammar of custom forms.

Dialects write their operations as they like, and differently from release to release; but nearly all of them put
together the same parts: operands, lists in parentheses and brackets, ``keyword = attribute``, dictionaries, regions,
and a colon before the types. This reads those parts in any order. What single operations do beyond that is in
``heads``; what the parts mean is in ``dialects``.

An operation ends where a new line begins like another one, or where one begins behind its types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir.attributes import DialectAttribute
from perfmodel.features.mlir.dialects import DEFAULT_DIALECT_OPERATIONS, takes_region
from perfmodel.features.mlir.ir import Block, Value
from perfmodel.features.mlir.lexer import (
    END,
    HASH,
    LABEL,
    NUMBER,
    PUNCT,
    STRING,
    SYMBOL,
    TYPE,
    VALUE,
    WORD,
    Lexer,
    unquote,
)
from perfmodel.features.mlir.parse_attributes import AttributeParser, number, symbol
from perfmodel.features.mlir.parse_types import at_type, parse_type, parse_type_list
from perfmodel.features.mlir.pending import Argument, Pending
from perfmodel.features.mlir.scopes import Scopes
from perfmodel.features.mlir.types import ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = r"%[A-Za-z0-9_$.-]+(?::[0-9]+)?"
_DEFINITION = re.compile(
    rf'{_NAME}(?:[ \t]*,[ \t\r\n]*{_NAME})*[ \t]*=[ \t\r\n]*(?:"|([A-Za-z_][\w$]*)(\.)?)'
)  # of results: what follows is an operation, not the initial value of an argument
_EQUALS = re.compile(r"[ \t\r\n]*=(?![=>])")
_DIM_NUMBERS = re.compile(r"\s*(\[[^\]]*\]\s*x\s*\[[^\]]*\]\s*->\s*\[[^\]]*\])")
_VALUE_WORDS = frozenset(("dense", "dense_resource", "sparse", "array", "affine_map", "affine_set", "strided"))
_BETWEEN_TYPES = frozenset(("to", "into", "from"))
_INDEX = ScalarType("index")


class CustomForms:
    """The parts of custom forms; see the module's text."""

    successor: Callable[[str, int], Block]

    def __init__(self, text: str, filename: str) -> None:
        self.attributes = AttributeParser(filename)
        self.lexer = Lexer(text, filename)
        self.scopes = Scopes(self.lexer)

    def head(self, pending: Pending) -> None:
        """What the operation writes in a way of its own ahead of the general parts."""
        from perfmodel.features.mlir.heads import HEADS

        special = HEADS.get(pending.operation.name)
        if special is not None:
            special(self, pending)

    # ------------------------------------------------------------------------------------------------- the parts
    def items(self, pending: Pending) -> bool:
        """Read parts until the operation ends (True) or a region begins at the cursor (False)."""
        lexer = self.lexer
        operands = pending.operation.operands
        while True:
            kind, token = lexer.kind, lexer.token
            if kind == VALUE:
                if (pending.typed or lexer.new_line()) and self._at_definition():
                    return True
                position = lexer.start
                lexer.advance()
                if lexer.token == "=" and lexer.kind == PUNCT:
                    lexer.advance()
                    pending.arguments.append(Argument(token[1:], position, None, len(operands)))
                else:
                    operands.append(self._use(pending, token, position))
            elif kind == PUNCT:
                if token == ",":
                    lexer.advance()
                elif token == ":":
                    self._types(pending)
                elif token == "->":
                    self._results(pending, "->")
                elif token == "(":
                    self.group(pending, "")
                elif token == "[":
                    pending.literals.append(self.bracket(pending))
                elif token == "{":
                    if not self._braces(pending):
                        return False
                elif token == "<":
                    self._angles(pending)
                elif token == "}" or token == "{-#":
                    return True
                elif token in ")]>":
                    lexer.fail("the next part of an operation")
                elif token == '"':
                    lexer.fail("a string that ends on its line")
                else:
                    lexer.advance()
                    if token != "=":
                        pending.literals.append(token)
            elif kind == WORD:
                if (pending.typed or lexer.new_line()) and self._at_operation(token):
                    return True
                if token == "loc":
                    self.location(pending)
                    return True
                self._word(pending, token)
            elif kind == STRING:
                if (pending.typed or lexer.new_line()) and lexer.peek()[1] == "(":
                    return True
                pending.literals.append(unquote(token))
                lexer.advance()
            elif kind == SYMBOL:
                reference = symbol(token)
                pending.symbols.append(reference)
                pending.literals.append(reference)
                lexer.advance()
            elif kind == LABEL:
                if lexer.new_line() and lexer.text[lexer.before - 1] != "," and self._at_label():
                    return True
                self._successor(pending)
            elif kind == NUMBER:
                pending.literals.append(self._number())
            elif kind == END:
                return True
            elif (kind == HASH or kind == TYPE) and lexer.new_line() and lexer.peek()[1] == "=":
                return True
            else:
                pending.literals.append(self.attributes.attribute(lexer, typed=False))

    def _use(self, pending: Pending, token: str, position: int) -> Value:
        value = self.scopes.use(token[1:], position)
        if value.owner is None:
            pending.fresh.append(value)
        return value

    def _number(self) -> Any:
        lexer = self.lexer
        try:
            return self.attributes.attribute(lexer, typed=False)
        except ValueError:
            lexer.fail("a number")

    def _at_definition(self) -> bool:
        lexer = self.lexer
        if lexer.text[lexer.before - 1 : lexer.before] == ",":
            return False
        match = _DEFINITION.match(lexer.text, lexer.start)
        if match is None:
            return False
        return match[1] is None or match[2] is not None or match[1] in DEFAULT_DIALECT_OPERATIONS

    def _at_operation(self, token: str) -> bool:
        if "." not in token:
            return token in DEFAULT_DIALECT_OPERATIONS
        lexer = self.lexer
        return lexer.text[lexer.before - 1 : lexer.before] != "," and _EQUALS.match(lexer.text, lexer.end) is None

    def _at_label(self) -> bool:
        lexer = self.lexer
        end = lexer.end
        if lexer.text[end : end + 1] == "(":
            end = lexer.closing(end)
        return lexer.text[end : end + 1] == ":"

    def _word(self, pending: Pending, token: str) -> None:
        lexer = self.lexer
        text, end = lexer.text, lexer.end
        if _EQUALS.match(text, end) is not None:
            lexer.advance()
            lexer.advance()
            self._keyword_value(pending, token)
            return
        following = text[end : end + 1]
        if following == "<" and not at_type(lexer):
            value = self.attributes.attribute(lexer, typed=False)
            if token in _VALUE_WORDS:
                pending.literals.append(value)
            else:
                pending.operation.attributes[token] = value.body if isinstance(value, DialectAttribute) else value
            return
        if at_type(lexer):
            pending.literals.append(parse_type(lexer, self.attributes.types))
            return
        lexer.advance()
        if lexer.token == "(" and lexer.kind == PUNCT:
            self.group(pending, token)
        elif lexer.token == "{" and token == "attributes":
            pending.operation.attributes.update(self.attributes.dictionary(lexer))
        elif token == "true" or token == "false":
            pending.literals.append(token == "true")
        elif lexer.token == "[" and token not in pending.operation.attributes:
            pending.operation.attributes[token] = self.bracket(pending)
        elif token == "applies":
            pending.literals += [token, lexer.token]
            lexer.advance()
        elif not (lexer.token == "{" and lexer.kind == PUNCT):  # else, do, cond name the region that follows
            pending.literals.append(token)

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
        else:
            attributes[keyword] = self.attributes.attribute(lexer, typed=False)

    def _angles(self, pending: Pending) -> None:
        lexer = self.lexer
        if lexer.peek()[1] == "{":
            lexer.advance()
            pending.operation.attributes.update(self.attributes.dictionary(lexer))
            lexer.expect(">", "after the properties")
            return
        end = lexer.closing(lexer.start)
        pending.literals.append(DialectAttribute("", lexer.text[lexer.start + 1 : end - 1].strip()))
        lexer.jump(end)

    def _braces(self, pending: Pending) -> bool:
        """A dictionary or a list of operands (True); False where a region begins at the cursor."""
        lexer = self.lexer
        kind, token = lexer.peek()
        if kind == VALUE:
            match = _DEFINITION.match(lexer.text, lexer.text.index("%", lexer.start))
            if match is not None:
                return False
            lexer.advance()
            while lexer.kind == VALUE:
                pending.operation.operands.append(self._use(pending, lexer.token, lexer.start))
                lexer.advance()
                if lexer.token != ",":
                    break
                lexer.advance()
            lexer.expect("}", "after a list of operands")
            return True
        if kind == LABEL:
            return False
        if token == "}":
            if takes_region(pending.operation.name) and not pending.operation.regions:
                return False
            if pending.operation.regions and pending.operation.name.startswith(("scf.", "affine.", "torch.prim")):
                return False
            lexer.advance()
            lexer.advance()
            return True
        if kind == WORD or kind == STRING:
            after = lexer.peek(2)[1]
            if kind == STRING:
                if after == "(":
                    return False
            elif after == "}" or after == ",":
                one_line = lexer.text.find("\n", lexer.start, lexer.text.index(token, lexer.start)) == -1
                last = token.rpartition(".")[2]
                if "." in token and after == "}" and (not one_line or last in ("yield", "return", "terminator", "end")):
                    return False
                if token == "return" and after == "}":
                    return False
            elif after != "=" and ("." in token or token in DEFAULT_DIALECT_OPERATIONS):
                return False
            pending.operation.attributes.update(self.attributes.dictionary(lexer))
            return True
        end = lexer.closing(lexer.start)
        pending.literals.append(lexer.text[lexer.start : end])
        lexer.jump(end)
        return True

    # -------------------------------------------------------------------------------------------------- the types
    def _types(self, pending: Pending) -> None:
        lexer, table = self.lexer, self.attributes.types
        lexer.advance()
        pending.typed = True
        while True:
            if lexer.token == "(" and lexer.kind == PUNCT:
                pending.types += parse_type_list(lexer, table)
            elif at_type(lexer):
                pending.types.append(parse_type(lexer, table))
            else:
                lexer.fail("a type")
            token = lexer.token
            if token == "{" and lexer.peek()[0] == VALUE and not self._region_follows():
                self._braces(pending)
                token = lexer.token
            if token == "->" or (token in _BETWEEN_TYPES and lexer.kind == WORD):
                self._results(pending, token)
                return
            if token != ",":
                return
            lexer.advance()
            if not at_type(lexer):
                return

    def _region_follows(self) -> bool:
        lexer = self.lexer
        return _DEFINITION.match(lexer.text, lexer.text.index("%", lexer.start)) is not None

    def _results(self, pending: Pending, arrow: str) -> None:
        lexer, table = self.lexer, self.attributes.types
        lexer.advance()
        pending.arrow = arrow
        pending.typed = True
        while True:
            if lexer.token == "(" and lexer.kind == PUNCT:
                pending.results += parse_type_list(lexer, table)
            elif at_type(lexer):
                pending.results.append(parse_type(lexer, table))
            else:
                lexer.fail("a type")
            if lexer.token == "{" and lexer.peek()[0] == VALUE and not self._region_follows():
                self._braces(pending)
            if lexer.token != ",":
                return
            lexer.advance()
            if not at_type(lexer):
                return

    # ------------------------------------------------------------------------------------------------ lists inside
    def group(self, pending: Pending, keyword: str) -> None:
        """``( ... )``: operands, arguments of a region, types; however deep the parentheses are."""
        lexer, operands, table = self.lexer, pending.operation.operands, self.attributes.types
        opened = [lexer.start]
        before = len(operands)
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
                self._successor(pending)
            elif kind == WORD and token == "loc":
                self.skip_location()
            elif kind == WORD and _EQUALS.match(lexer.text, lexer.end) is not None:
                lexer.advance()
                lexer.advance()
                self._keyword_value(pending, token)
            else:
                pending.literals.append(self.attributes.attribute(lexer))
        if keyword and len(operands) != before:
            pending.operation.operand_groups[keyword] = len(operands) - before

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
                self._successor(pending)
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

    def _successor(self, pending: Pending) -> None:
        lexer = self.lexer
        pending.operation.successors.append(self.successor(lexer.token[1:], lexer.start))
        lexer.advance()
        if lexer.token == "(" and lexer.kind == PUNCT:
            self.group(pending, "")

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

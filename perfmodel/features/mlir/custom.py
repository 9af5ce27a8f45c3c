"""The general grammar of custom forms.

Dialects write their operations as they like, and differently from release to release; but nearly all of them put
together the same parts: operands, lists in parentheses and brackets, ``keyword = attribute``, dictionaries, regions,
and a colon before the types. This reads those parts in any order. What single operations do beyond that is in
``heads``; what the parts mean is in ``dialects``.

An operation ends where a new line begins like another one, or where one begins behind its types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfmodel.features.mlir.attributes import DialectAttribute
from perfmodel.features.mlir.dialects import DEFAULT_DIALECT_OPERATIONS, takes_region
from perfmodel.features.mlir.lexer import (
    END,
    HASH,
    LABEL,
    PUNCT,
    STRING,
    SYMBOL,
    TYPE,
    VALUE,
    WORD,
    unquote,
)
from perfmodel.features.mlir.lists import EQUALS, ListForms
from perfmodel.features.mlir.parse_attributes import symbol
from perfmodel.features.mlir.parse_types import at_type, parse_type, parse_type_list
from perfmodel.features.mlir.pending import Argument, Pending

if TYPE_CHECKING:
    pass

_ALIASES = frozenset((HASH, TYPE))
_NAMES = frozenset((WORD, STRING))
_NAME = r"%[A-Za-z0-9_$.-]+(?::[0-9]+)?"
_DEFINITION = re.compile(
    rf'{_NAME}(?:[ \t]*,[ \t\r\n]*{_NAME})*[ \t]*=[ \t\r\n]*(?:"|([A-Za-z_][\w$]*)(\.)?)'
)  # of results: what follows is an operation, not the initial value of an argument
_VALUE_WORDS = frozenset(("dense", "dense_resource", "sparse", "array", "affine_map", "affine_set", "strided"))
_BETWEEN_TYPES = frozenset(("to", "into", "from"))


class CustomForms(ListForms):
    """The parts of custom forms; see the module's text."""

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
                    if lexer.kind == PUNCT and lexer.token in (":", ",", ")"):
                        lexer.fail("an operand or an attribute after ','")
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
            elif kind == END or (kind in _ALIASES and lexer.new_line() and lexer.peek()[1] == "="):
                return True
            else:
                pending.literals.append(self.attributes.attribute(lexer, typed=False))

    def _successor(self, pending: Pending) -> None:
        lexer = self.lexer
        pending.operation.successors.append(self.successor(lexer.token[1:], lexer.start))
        lexer.advance()
        if lexer.token == "(" and lexer.kind == PUNCT:
            self.group(pending, "")

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
        return lexer.text[lexer.before - 1 : lexer.before] != "," and EQUALS.match(lexer.text, lexer.end) is None

    def _at_label(self) -> bool:
        lexer = self.lexer
        end = lexer.end
        if lexer.text[end : end + 1] == "(":
            end = lexer.closing(end)
        return lexer.text[end : end + 1] == ":"

    def _word(self, pending: Pending, token: str) -> None:
        lexer = self.lexer
        text, end = lexer.text, lexer.end
        if EQUALS.match(text, end) is not None:
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
        elif lexer.token == ":" and lexer.peek()[1] == "[":  # offset: [0], sizes: [%n]
            lexer.advance()
            pending.operation.attributes[token] = self.bracket(pending)
        elif lexer.token == "{" and token == "attributes":
            pending.operation.attributes.update(self.attributes.dictionary(lexer))
        elif token == "true" or token == "false":
            pending.literals.append(token == "true")
        elif lexer.token == "[" and token not in pending.operation.attributes:
            pending.operation.attributes[token] = self.bracket(pending)
        elif token == "applies":
            pending.literals += [token, lexer.token]
            lexer.advance()
        else:
            pending.literals.append(token)

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
        if kind in _NAMES:
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

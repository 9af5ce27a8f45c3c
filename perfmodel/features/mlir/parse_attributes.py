"""Attributes of the text as Python values. Data of constants are skipped, not decoded."""

from __future__ import annotations

import re
import struct
from typing import Any

from perfmodel.features.mlir.affine_text import AffineError, parse_map, parse_set
from perfmodel.features.mlir.attributes import Dense, DialectAttribute, SymbolRef
from perfmodel.features.mlir.lexer import HASH, NUMBER, STRING, SYMBOL, TYPE, WORD, Lexer, unquote
from perfmodel.features.mlir.parse_types import (
    MAX_NESTING,
    TypeTable,
    TypeTextError,
    at_type,
    parse_type,
    split,
    strided,
)
from perfmodel.features.mlir.types import SHAPED, ComplexType, ScalarType, StridedLayout, Type

MAX_DENSE_TEXT = 4096
"""Constants whose elements take more characters are not decoded: no shape, axis or scale is that long."""

_ELEMENT = re.compile(r'\s*(?:([\[(])|([\])])|(,)|("[^"\\]*(?:\\.[^"\\]*)*")|([^\s,\[\]()"]+))')
_SYMBOL_PART = re.compile(r'@("[^"\\]*(?:\\.[^"\\]*)*"|[^:"]+)')
_PARAMETER = re.compile(r"([A-Za-z_][\w.$]*)\s*=\s*(.*)\Z", re.DOTALL)
_FIRST_WORD = re.compile(r"\s*([A-Za-z_]\w*)\s+(\S.*)\Z", re.DOTALL)
_FORMATS = {"f64": (">d", 8), "f32": (">f", 4), "f16": (">e", 2)}


class AttributeParser:
    """Parses attributes and types of one module.

    Args:
        filename: how errors call the text.
    """

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.types: TypeTable = TypeTable(self.from_text)
        self._values: dict[str, Any] = {}

    def define_alias(self, name: str, value: Any) -> None:
        """``#map = ...``."""
        self._values[name] = value

    # ---------------------------------------------------------------------------------------------- one attribute
    def attribute(self, lexer: Lexer, *, typed: bool = True, depth: int = 0) -> Any:
        """The attribute at the cursor, which moves behind it.

        Args:
            typed: a colon after a number or constant begins its type; in custom forms it begins the operation's types.
        """
        if depth > MAX_NESTING:
            lexer.refuse(f"attributes are nested more than {MAX_NESTING} deep")
        kind, token, start = lexer.kind, lexer.token, lexer.start
        if kind == NUMBER:
            lexer.advance()
            declared = self._declared(lexer, typed=typed) if typed or "x" in token else None
            try:
                return number(token, declared)
            except ValueError as error:
                lexer.refuse(str(error), start)
        if kind == STRING:
            lexer.advance()
            if typed and lexer.token == ":":
                lexer.advance()
                parse_type(lexer, self.types)
            return unquote(token)
        if kind == HASH:
            return self._hash(lexer)
        if kind == SYMBOL:
            lexer.advance()
            return symbol(token)
        if token == "[":
            return self._array(lexer, depth)
        if token == "{":
            return self.dictionary(lexer, depth)
        if kind == WORD:
            return self._word(lexer, token, typed=typed, depth=depth)
        if kind == TYPE or token == "(":
            return parse_type(lexer, self.types)
        lexer.fail("an attribute")

    def dictionary(self, lexer: Lexer, depth: int = 0) -> dict[str, Any]:
        """``{name = value, flag, "quoted" = ...}``."""
        lexer.expect("{")
        found: dict[str, Any] = {}
        while lexer.token != "}":
            if lexer.kind == STRING:
                name = unquote(lexer.token)
            elif lexer.kind == WORD:
                name = lexer.token
            else:
                lexer.fail("the name of an attribute or '}'")
            lexer.advance()
            if lexer.token == "=":
                lexer.advance()
                found[name] = self.attribute(lexer, depth=depth + 1)
            else:
                found[name] = True
            if lexer.token == ",":
                lexer.advance()
            elif lexer.token != "}":
                lexer.fail("',' or '}' after an attribute")
        lexer.advance()
        return found

    def _array(self, lexer: Lexer, depth: int) -> tuple[Any, ...]:
        lexer.advance()
        items: list[Any] = []
        while lexer.token != "]":
            items.append(self.attribute(lexer, depth=depth + 1))
            if lexer.token == ",":
                lexer.advance()
            elif lexer.token != "]":
                lexer.fail("',' or ']' after an element")
        lexer.advance()
        return tuple(items)

    # ----------------------------------------------------------------------------------------------- single words
    def _word(self, lexer: Lexer, token: str, *, typed: bool, depth: int) -> Any:
        if token in ("true", "false"):
            lexer.advance()
            return token == "true"
        if token == "unit":
            lexer.advance()
            return True
        if at_type(lexer):
            return parse_type(lexer, self.types)
        if token == "distinct" and lexer.text[lexer.end : lexer.end + 1] == "[":
            start, end = lexer.start, lexer.closing(lexer.end)
            if lexer.text[end : end + 1] == "<":
                end = lexer.closing(end)
            lexer.jump(end)
            return DialectAttribute("builtin.distinct", lexer.text[start:end])
        if lexer.text[lexer.end : lexer.end + 1] != "<":
            lexer.advance()
            if token == "loc" and lexer.token == "(":
                lexer.jump(lexer.closing(lexer.start))
            return token
        if token == "dense":
            return self._dense(lexer, typed=typed)
        start, opening = lexer.start, lexer.end
        end = lexer.closing(opening)
        body = lexer.text[opening + 1 : end - 1]
        lexer.jump(end)
        if token in ("dense_resource", "sparse"):
            resource = unquote(body) if body.startswith('"') else body.strip()
            declared = self._declared(lexer, typed=typed)
            return Dense(declared, None, resource if token == "dense_resource" else None)
        return self._bracketed(lexer, token, body, start, depth)

    def _bracketed(self, lexer: Lexer, token: str, body: str, start: int, depth: int) -> Any:
        if token in ("affine_map", "affine_set"):
            known = self._values.get(token + body)
            if known is None:
                try:
                    known = self._values[token + body] = (parse_map if token == "affine_map" else parse_set)(body)
                except AffineError as problem:
                    lexer.refuse(str(problem), start)
            return known
        if token == "array":
            kind, _, listed = body.partition(":")
            declared = ScalarType(kind.strip())
            try:
                return tuple(number(part.strip(), declared) for part in listed.split(",") if part.strip())
            except ValueError:
                lexer.refuse(f"expected numbers in an array, found {listed.strip()[:40]!r}", start)
        if token == "strided":
            try:
                return strided(f"strided<{body}>")
            except ValueError:
                lexer.refuse(f"expected the strides of a layout, found {body[:40]!r}", start)
        return self._dialect(token, body, depth)

    def _hash(self, lexer: Lexer) -> Any:
        token, start = lexer.token, lexer.start
        known = self._values.get(token)
        at = lexer.end
        if known is not None and lexer.text[at : at + 1] != "<" and not token.endswith("->"):
            lexer.advance()
            return known
        name = token.partition("<")[0]
        opening = start + len(name)
        if lexer.text[opening : opening + 1] == "<":
            end = lexer.closing(opening)
            value = self._dialect(name[1:], lexer.text[opening + 1 : end - 1], 0)
            self._values[lexer.text[start:end]] = value
            lexer.jump(end)
        else:
            lexer.advance()
            value = DialectAttribute(name[1:])
        return value

    def _dialect(self, name: str, body: str, depth: int) -> DialectAttribute:
        if "." not in name and (match := _FIRST_WORD.match(body)) is not None:  # #stablehlo<precision DEFAULT>
            name, body = f"{name}.{match[1]}", match[2]
        if "=" not in body or depth > 3:
            return DialectAttribute(name, body)
        params = {}
        parts = split(body.strip()[1:-1] if body.strip().startswith("{") else body)
        for part in parts:
            match = _PARAMETER.match(part)
            if match is None:
                return DialectAttribute(name, body)
            params[match[1]] = self.from_text(match[2], depth + 1, tolerant=True)
        return DialectAttribute(name, body, params)

    def from_text(self, text: str, depth: int = 0, *, tolerant: bool = False) -> Any:
        """The attribute that a text is; with ``tolerant``, the text itself where it is none."""
        from perfmodel.errors import ModelFileError

        lexer = Lexer(text, self.filename)
        try:
            value = self.attribute(lexer, depth=depth)
            if lexer.token:
                lexer.fail("the end of the attribute")
        except ModelFileError as error:
            if tolerant:
                return text
            raise TypeTextError("an attribute", repr(text[:40])) from error
        return value

    # ------------------------------------------------------------------------------------------------- constants
    def _declared(self, lexer: Lexer, *, typed: bool) -> Type | None:
        """The type after the colon; where the colon belongs to the operation, the cursor stays in front of it."""
        if lexer.token != ":":
            return None
        colon = lexer.start
        lexer.advance()
        if typed:
            return parse_type(lexer, self.types)
        declared = parse_type(lexer, self.types) if at_type(lexer) and lexer.token != "(" else None
        lexer.jump(colon)
        return declared

    def _dense(self, lexer: Lexer, *, typed: bool) -> Dense:
        text, opening = lexer.text, lexer.end
        begin = opening + 1
        nbytes = None
        if text.startswith('"', begin):
            end = lexer.string_end(begin)
            nbytes = max(0, (end - begin - 4) // 2)
            elements = text[begin:end] if end - begin <= 40 else None
        else:
            end = text.find(">", begin)
            if end == -1:
                lexer.fail("'>' to close the constant", len(text))
            elements = text[begin:end]
            if '"' in elements:
                end = lexer.closing(opening) - 1
                elements = text[begin:end]
        if not text.startswith(">", end):
            lexer.fail("'>' to close the constant", end)
        lexer.jump(end + 1)
        declared = self._declared(lexer, typed=typed)
        if elements is None or len(elements) > MAX_DENSE_TEXT:
            return Dense(declared, None, None, nbytes)
        try:
            values = elements_of(elements, element_type(declared))
        except ValueError as error:
            lexer.refuse(str(error), begin)
        return Dense(declared, values, None, nbytes)


def symbol(token: str) -> SymbolRef:
    """``@a::@"b c"``."""
    if "::" not in token and '"' not in token:
        return SymbolRef((token[1:],))
    parts = _SYMBOL_PART.findall(token)
    return SymbolRef(tuple(unquote(p) if p.startswith('"') else p for p in parts))


def element_type(kind: Type | None) -> Type | None:
    """Element type of a shaped type, the type itself otherwise."""
    return kind.element if isinstance(kind, SHAPED) else kind


def number(token: str, kind: Type | None = None) -> Any:
    """A literal as int, float or bool; ``kind`` says what hexadecimal digits and integers without a point stand for.

    Raises:
        ValueError: the text is no number.
    """
    if token in ("true", "false"):
        return token == "true"
    name = kind.name if isinstance(kind, ScalarType) else ""
    floating = name.startswith(("f", "bf", "tf"))
    if "x" in token:
        bits = int(token, 16)
        if not floating:
            return bits
        if name == "bf16":
            return struct.unpack(">f", (bits & 0xFFFF).to_bytes(2, "big") + b"\0\0")[0]
        form, size = _FORMATS.get(name, ("", 0))
        return struct.unpack(form, (bits & (256**size - 1)).to_bytes(size, "big"))[0] if form else bits
    if "." in token or "e" in token or "E" in token:
        return float(token)
    if len(token) > 4000:
        raise ValueError("expected a number, found one with more than 4000 digits")
    return float(token) if floating else int(token)


def elements_of(text: str, kind: Type | None) -> Any:
    """Elements of ``dense<...>`` as nested tuples; a splat as one number.

    Raises:
        ValueError: brackets or numbers that make no sense; the message says what was expected and found.
    """
    if isinstance(kind, ComplexType):
        kind = kind.element
    levels: list[list[Any]] = [[]]
    for match in _ELEMENT.finditer(text):
        opening, closing, comma, string, item = match.groups()
        if opening:
            levels.append([])
            if len(levels) > MAX_NESTING:
                raise ValueError(f"expected a constant nested at most {MAX_NESTING} deep, found a deeper one")
        elif closing:
            if len(levels) == 1:
                raise ValueError(f"expected an element of the constant, found {closing!r}")
            done = tuple(levels.pop())
            levels[-1].append(done)
        elif string:
            levels[-1].append(_blob(string, kind) if string.startswith('"0x') else unquote(string))
        elif not comma:
            try:
                levels[-1].append(number(item, kind))
            except ValueError:
                raise ValueError(f"expected an element of the constant, found {item[:40]!r}") from None
    if len(levels) != 1:
        raise ValueError("expected ']' to close the constant, found '>'")
    top = levels[0]
    return top[0] if len(top) == 1 else tuple(top)


def _blob(string: str, kind: Type | None) -> Any:
    """The element that a short blob (``"0x0000803F"``, little-endian) holds; None where it holds several."""
    name = kind.name if isinstance(kind, ScalarType) else ""
    try:
        data = bytes.fromhex(string[3:-1])[::-1]
    except ValueError:
        raise ValueError(f"expected hexadecimal digits, found {string[:40]}") from None
    if name == "bf16" and len(data) == 2:
        return struct.unpack(">f", data + b"\0\0")[0]
    form, size = _FORMATS.get(name, ("", 0))
    if form:
        return struct.unpack(form, data)[0] if len(data) == size else None
    bits = name.lstrip("su").removeprefix("i")
    if not bits.isdigit() or len(data) * 8 != int(bits):
        return None
    return int.from_bytes(data, "big", signed=not name.startswith("u"))


__all__ = ["AttributeParser", "StridedLayout", "element_type", "elements_of", "number", "symbol"]

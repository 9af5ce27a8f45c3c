"""Types of the text. Each distinct text is parsed once for a module: exporters repeat the same few types everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir.lexer import TYPE, WORD
from perfmodel.features.mlir.types import (
    ComplexType,
    DialectType,
    FunctionType,
    MemRefType,
    ScalarType,
    StridedLayout,
    TensorType,
    TupleType,
    Type,
    VectorType,
)

if TYPE_CHECKING:
    from perfmodel.features.mlir.lexer import Lexer

MAX_NESTING = 60
"""Types and attributes nested deeper are refused: no compiler writes any."""

MAX_RANK = 1000

_NAMES = frozenset((TYPE, WORD))

SCALAR = re.compile(r"(?:[su]?i[1-9][0-9]{0,7}|f[0-9]+[A-Z0-9a-z]*|bf16|tf32|index|none)\Z")
_DIMS = re.compile(r"(?:\*x|(?:(?:[0-9]+|\?|\[[0-9]+\])x)*)")
_DIM = re.compile(r"([0-9]+|\?|\[[0-9]+\])x")
_STRIDED = re.compile(r"strided<\s*\[([^\]]*)\]\s*(?:,\s*offset\s*:\s*([-0-9?]+)\s*)?>\Z")
_TORCH_TENSORS = frozenset(("torch.vtensor", "torch.tensor"))
_DISPATCH_TENSORS = frozenset(("flow.dispatch.tensor", "iree_tensor_ext.dispatch.tensor"))
_OPENING = {"(": 1, "[": 1, "{": 1, "<": 1, ")": -1, "]": -1, "}": -1, ">": -1}
_MARK = re.compile(r'[][(){}<>,]|->|"[^"\\]*(?:\\.[^"\\]*)*"')


def _end_of_dimensions(body: str) -> int:
    found = _DIMS.match(body)
    assert found is not None  # no dimensions match, too
    return found.end()


class TypeTextError(Exception):
    """What is wrong with a type: (expected, found)."""


class TypeTable:
    """The types of one module by their text.

    Args:
        attribute: parses the text of an attribute (a layout, an encoding, a memory space).
    """

    def __init__(self, attribute: Callable[[str], Any]) -> None:
        self.known: dict[str, Type] = {}
        self.aliases: dict[str, str] = {}
        self._attribute = attribute

    def named(self, text: str, depth: int = 0) -> Type:
        """The type that a text is.

        Raises:
            TypeTextError: the text is no type.
        """
        found = self.known.get(text)
        if found is None:
            if depth > MAX_NESTING:
                raise TypeTextError(f"types nested at most {MAX_NESTING} deep", "deeper ones")
            found = self.known[text] = self._parse(text.strip(), depth)
        return found

    def _parse(self, text: str, depth: int) -> Type:
        if SCALAR.match(text):
            return ScalarType(text)
        if text.startswith("!"):
            return self._dialect(text, depth)
        if text.startswith("("):
            return self._function(text, depth)
        name, mark, rest = text.partition("<")
        if not mark or not rest.endswith(">"):
            raise TypeTextError("a type", repr(text[:40]) if text else "nothing")
        name, body = name.strip(), rest[:-1].strip()
        if name == "tensor":
            shape, element, others = self._shaped(body, depth)
            return TensorType(shape, element, self._attribute(others[0]) if others else None)
        if name == "memref":
            shape, element, others = self._shaped(body, depth)
            layout, space = None, None
            for part in others:
                if part.startswith(("strided", "affine_map")) or (len(others) > 1 and part is others[0]):
                    layout = self._layout(part)
                else:
                    value = self._attribute(part)
                    if hasattr(value, "num_dims"):
                        layout = value
                    else:
                        space = value
            return MemRefType(shape, element, layout, space)
        if name == "vector":
            return self._vector(body, depth)
        if name == "complex":
            return ComplexType(self.named(body, depth + 1))
        if name == "tuple":
            return TupleType(tuple(self.named(part, depth + 1) for part in split(body)))
        raise TypeTextError("a type", repr(text[:40]))

    def _shaped(self, body: str, depth: int) -> tuple[tuple[int | None, ...] | None, Type, list[str]]:
        end = _end_of_dimensions(body)
        sizes = body[:end]
        if sizes == "*x":
            shape = None
        else:
            shape = tuple(None if d == "?" else int(d) for d in _DIM.findall(sizes) if self._plain(d, body))
            if len(shape) > MAX_RANK:
                raise TypeTextError(f"at most {MAX_RANK} dimensions", str(len(shape)))
        parts = split(body[end:])
        if not parts or not parts[0]:
            raise TypeTextError("an element type", repr(body[end:][:40]) if body[end:] else "nothing")
        return shape, self.named(parts[0], depth + 1), parts[1:]

    @staticmethod
    def _plain(dimension: str, body: str) -> bool:
        if dimension.startswith("["):
            raise TypeTextError("a dimension", repr(dimension))
        if len(dimension) > 18:
            raise TypeTextError("a dimension below 10^18", repr(body[:40]))
        return True

    def _vector(self, body: str, depth: int) -> VectorType:
        end = _end_of_dimensions(body)
        sizes = _DIM.findall(body[:end])
        if any(len(d) > 18 for d in sizes) or body.startswith("*"):
            raise TypeTextError("the dimensions of a vector", repr(body[:40]))
        scalable = tuple(d.startswith("[") for d in sizes)
        shape = tuple(None if d == "?" else int(d.strip("[]")) for d in sizes)
        return VectorType(shape, self.named(body[end:], depth + 1), scalable if any(scalable) else ())

    def _layout(self, text: str) -> Any:
        if not text.startswith("strided"):
            return self._attribute(text)
        try:
            return strided(text)
        except ValueError:
            raise TypeTextError("the strides of a layout", repr(text[:40])) from None

    def _dialect(self, text: str, depth: int) -> Type:
        name, mark, body = text[1:].partition("<")
        if not mark:
            alias = self.aliases.get(text)
            return DialectType(name) if alias is None else self.named(alias, depth + 1)
        if name in _TORCH_TENSORS and (parts := split(body[:-1])) and len(parts) > 1:
            sizes = parts[0]
            try:
                shape = None if sizes == "*" else tuple(_number(d) for d in sizes.strip("[]").split(",") if d.strip())
            except ValueError:
                raise TypeTextError("the dimensions of a tensor", repr(sizes[:40])) from None
            element = None if parts[1] == "unk" else self.named(parts[1], depth + 1)
            return TensorType(shape, element, ", ".join(parts[2:]) or None, name)
        if name in _DISPATCH_TENSORS and ":" in body:
            inner = self.named(body[:-1].partition(":")[2].strip(), depth + 1)
            if isinstance(inner, TensorType):
                return TensorType(inner.shape, inner.element, inner.encoding, name)
        return DialectType(name, body[:-1])

    def _function(self, text: str, depth: int) -> FunctionType:
        end, level = -1, 0
        for match in _MARK.finditer(text):
            level += _OPENING.get(match[0], 0)
            if not level:
                end = match.start()
                break
        rest = text[end + 1 :].lstrip()
        if end == -1 or not rest.startswith("->"):
            raise TypeTextError("a function type", repr(text[:40]))
        results = rest[2:].strip()
        given = split(results[1:-1]) if results.startswith("(") and "->" not in results else [results]
        inputs = tuple(self.named(part, depth + 1) for part in split(text[1:end]))
        return FunctionType(inputs, tuple(self.named(part, depth + 1) for part in given if part))


def parse_type(lexer: Lexer, table: TypeTable, depth: int = 0) -> Type:
    """The type at the cursor, which moves behind it."""
    kind, token = lexer.kind, lexer.token
    found = table.known.get(token)
    if found is not None and kind in _NAMES and not token.endswith("->"):
        start, end = lexer.start, lexer.end
        lexer.advance()
        if lexer.token != "<" or lexer.start != end:
            return found
        lexer.jump(start)
    if depth > MAX_NESTING:
        lexer.refuse(f"types are nested more than {MAX_NESTING} deep")
    if token == "(":
        inputs = parse_type_list(lexer, table, depth + 1)
        lexer.expect("->", "after the inputs of a function type")
        if lexer.token == "(":
            results = parse_type_list(lexer, table, depth + 1)
        else:
            results = [parse_type(lexer, table, depth + 1)]
        return FunctionType(tuple(inputs), tuple(results))
    start = lexer.start
    if kind not in (TYPE, WORD) or (kind == WORD and not SCALAR.match(token) and token not in _BRACKETED):
        lexer.fail("a type")
    end = lexer.end
    name_end = start + len(token.partition("<")[0])
    while lexer.text[name_end : name_end + 1].isspace() and kind == WORD and token in _BRACKETED:
        name_end += 1
    if lexer.text[name_end : name_end + 1] == "<":
        end = lexer.closing(name_end)
    try:
        found = table.named(lexer.text[start:end])
    except TypeTextError as problem:
        lexer.refuse("expected {}, found {}".format(*problem.args), start)
    lexer.jump(end)
    return found


_BRACKETED = frozenset(("tensor", "memref", "vector", "complex", "tuple"))


def at_type(lexer: Lexer) -> bool:
    """Whether a type begins at the cursor."""
    kind, token = lexer.kind, lexer.token
    return kind == TYPE or token == "(" or (kind == WORD and (token in _BRACKETED or SCALAR.match(token) is not None))


def parse_type_list(lexer: Lexer, table: TypeTable, depth: int = 0) -> list[Type]:
    """The types between the parenthesis at the cursor and the one that closes it.

    Attributes and names of the single ones (``-> (tensor<4xf32> {jax.result_info = ""})``) are skipped.
    """
    lexer.expect("(")
    types: list[Type] = []
    while lexer.token != ")":
        types.append(parse_type(lexer, table, depth))
        if lexer.token == "{":
            lexer.jump(lexer.closing(lexer.start))
        if lexer.token == "loc":
            lexer.advance()
            lexer.jump(lexer.closing(lexer.start))
        if lexer.token != ")":
            lexer.expect(",", "or ')' in a list of types")
    lexer.advance()
    return types


def split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    if not text.strip():
        return []
    if not any(c in text for c in '<([{"'):
        return [part.strip() for part in text.split(",")]
    parts, level, start = [], 0, 0
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark == ",":
            if not level:
                parts.append(text[start : match.start()].strip())
                start = match.end()
        else:
            level += _OPENING.get(mark, 0)
    parts.append(text[start:].strip())
    return parts


def strided(text: str) -> StridedLayout:
    """``strided<[64, 1], offset: ?>``.

    Raises:
        ValueError: the text is no such layout.
    """
    match = _STRIDED.match(text)
    if match is None:
        raise ValueError(text)
    strides = tuple(_number(s) for s in match[1].split(",") if s.strip())
    return StridedLayout(strides, _number(match[2]) if match[2] else 0)


def _number(text: str) -> int | None:
    text = text.strip()
    return None if text == "?" else int(text)

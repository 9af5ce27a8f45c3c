"""Where in the text of a module an operation takes further attributes.

An operation in generic form has its dictionary before the type. Custom forms differ, but by family: most dialects write it
before the colon of the types, functions after ``attributes``, structured operations before ``ins`` or behind ``outs``, loops
behind their body. What is found here is checked by reading the result again (:mod:`perfmodel.exchange.mlir_text`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.lexer import END, STRING, VALUE, WORD, Lexer

_FUNCTIONS = frozenset(
    "func.func gpu.func llvm.func tt.func ml_program.func util.func builtin.module gpu.module torch.global_slot.module".split()
)
_BEHIND_BODY = frozenset(
    "scf.for scf.forall scf.parallel scf.if scf.index_switch affine.for affine.if affine.parallel gpu.launch".split()
)
_KEYWORD_BEFORE_BODY = {"stablehlo.while": "cond", "mhlo.while": "cond"}
_BEHIND_OUTS = frozenset("linalg.transpose linalg.broadcast linalg.reduce linalg.map".split())


class Place(NamedTuple):
    """A place for attributes.

    Attributes:
        position: in the text.
        before, after: what has to stand around them there (``" {"`` and ``"}"``; ``""`` and ``", "`` in a dictionary).
    """

    position: int
    before: str
    after: str


def place_of(text: str, operation: Operation, line_starts: list[int]) -> Place | None:
    """The place of an operation's attributes; None where its form is not known.

    Args:
        text: that was read.
        operation: with its line and column there.
        line_starts: where each line begins.
    """
    if not operation.line:
        return None
    lexer = Lexer(text, "", line_starts[operation.line - 1] + operation.column - 1)
    while lexer.kind == VALUE or lexer.token in (",", "=", ":") or lexer.token.isdigit():  # names of results
        lexer.advance()
    if lexer.kind == STRING:
        lexer.advance()
        return _before_colon(lexer)
    if lexer.kind != WORD:
        return None
    lexer.advance()
    name = operation.name
    if name in _FUNCTIONS:
        return _before_body(lexer)
    if name in _KEYWORD_BEFORE_BODY:
        return _before_keyword(lexer, _KEYWORD_BEFORE_BODY[name])
    if name in _BEHIND_BODY:
        return _behind_body(lexer)
    if name == "gpu.launch_func":
        return _behind_launch(lexer)
    if name == "linalg.generic":
        return _behind_outs(lexer, "attrs")
    if name in _BEHIND_OUTS:
        return _behind_outs(lexer, "")
    if name.startswith("linalg.") and name != "linalg.index":
        return _before_operands(lexer)
    return _before_colon(lexer)


def _in_dictionary(lexer: Lexer) -> Place:
    """At the beginning of the dictionary that the cursor stands at."""
    empty = lexer.peek()[1] == "}"
    return Place(lexer.start + 1, "", "" if empty else ", ")


def _new(lexer: Lexer, word: str = "") -> Place:
    """A dictionary of its own, behind the token before the cursor."""
    return Place(lexer.before, f" {word} {{" if word else " {", "}")


def skip(lexer: Lexer) -> bool:
    """Step over a token, or over all that stands in a bracket; False at the end."""
    if lexer.kind == END:
        return False
    if lexer.token in ("(", "[", "{", "<"):
        lexer.jump(lexer.closing(lexer.start))
    else:
        lexer.advance()
    return True


def _before_colon(lexer: Lexer) -> Place | None:
    """``op operands {attributes} : types``; a dictionary behind ``=`` belongs to what stands before that."""
    last = ""
    while lexer.token != ":":
        if lexer.token == "{" and last != "=" and _is_dictionary(lexer):
            return _in_dictionary(lexer)
        last = lexer.token
        if lexer.token == "}" or not skip(lexer):
            return None
    return _new(lexer)


def _is_dictionary(lexer: Lexer) -> bool:
    """Whether the bracket at the cursor is no body (``tensor.pad`` has one before its types)."""
    kind, token = lexer.peek()
    return token == "}" or (kind in (WORD, STRING) and lexer.peek(2)[1] in ("=", ",", "}"))


def _before_body(lexer: Lexer) -> Place | None:
    """``func.func @f(...) -> ... attributes {attributes} {``."""
    last = ""
    while lexer.token != "{":
        last = lexer.token
        if lexer.token == "}" or not skip(lexer):
            return None
    return _in_dictionary(lexer) if last == "attributes" else _new(lexer, "attributes")


def _before_keyword(lexer: Lexer, keyword: str) -> Place | None:
    """``stablehlo.while(...) : types attributes {attributes} cond {``."""
    while lexer.token != keyword:
        if lexer.token == "attributes" and lexer.peek()[1] == "{":
            lexer.advance()
            return _in_dictionary(lexer)
        if lexer.token == "}" or not skip(lexer):
            return None
    return _new(lexer, "attributes")


def _behind_body(lexer: Lexer) -> Place | None:
    """``scf.for ... {body} else {body} {attributes}``."""
    while lexer.token != "{":
        if lexer.token == "}" or not skip(lexer):
            return None
    while lexer.token == "{":
        skip(lexer)
        if lexer.token in ("else", "do"):
            lexer.advance()
        elif lexer.token == "{" and not lexer.new_line():
            return _in_dictionary(lexer)
        else:
            return _new(lexer)
    return None


def _behind_launch(lexer: Lexer) -> Place | None:
    """``gpu.launch_func @kernels::@k blocks in (...) threads in (...) : i64 args(...) {attributes}``."""
    while lexer.token != "threads":
        if lexer.token == "}" or not skip(lexer):
            return None
    for _ in range(3):  # threads, in, (...)
        skip(lexer)
    for word in (":", "dynamic_shared_memory_size", "args"):
        if lexer.token == word:
            lexer.advance()
            skip(lexer)
    return _in_dictionary(lexer) if lexer.token == "{" and not lexer.new_line() else _new(lexer)


def _before_operands(lexer: Lexer) -> Place | None:
    """``linalg.matmul {attributes} ins(...) outs(...)``."""
    last = ""
    while lexer.token not in ("ins", "outs", "dimension"):
        if lexer.token == "{" and last not in ("=", "<"):
            return _in_dictionary(lexer)
        last = lexer.token
        if lexer.token == "}" or not skip(lexer):
            return None
    return _new(lexer)


_FURTHER = re.compile(r"(permutation|dimensions)\Z")


def _behind_outs(lexer: Lexer, keyword: str) -> Place | None:
    """``linalg.generic ... outs(...) attrs = {attributes} {body}``, ``linalg.transpose ... permutation = [...] {...}``."""
    while lexer.token != "outs":
        if lexer.token == "}" or not skip(lexer):
            return None
    lexer.advance()
    skip(lexer)
    while _FURTHER.match(lexer.token):
        for _ in range(2):
            lexer.advance()
        skip(lexer)
    if keyword and lexer.token == keyword:
        for _ in range(2):
            lexer.advance()
        return _in_dictionary(lexer)
    if (
        not keyword
        and lexer.token == "{"
        and not lexer.new_line()
        and lexer.peek()[0] == WORD
        and lexer.peek(2)[1] == "="
    ):
        return _in_dictionary(lexer)
    return _new(lexer, f"{keyword} =" if keyword else "")

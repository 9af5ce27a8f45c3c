"""The text of a module without the costs of an earlier annotation: attributes ``perfmodel.*``, wherever they stand.

What is left is the text as it was before, so that a new annotation is the only one. Dictionaries that held nothing else go
with their attributes; lines keep their numbers.
"""

from __future__ import annotations

import re

from perfmodel.exchange.costs import PREFIX
from perfmodel.features.mlir.lexer import END, WORD, Lexer

_SEEN = re.compile(rf'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|//[^\n]*|(?<![\w.$#%@!^-])({re.escape(PREFIX)}[\w.$]+)')
"""Strings and comments, which are stepped over, and names that begin as costs do."""
_BEFORE_DICTIONARY = re.compile(r"[ \t]*(?:\battributes|\battrs[ \t]*=)?[ \t]*\Z")
_LONGEST_WORD = 40
"""Characters before a dictionary among which the word that introduces it is looked for."""
_HOLDS_A_DICTIONARY = "=<,([{"
"""After these a dictionary is the value of something, or its properties, and stays though it is empty."""


def without_costs(text: str, label: str = "") -> str:
    """The text without attributes ``perfmodel.*``.

    Args:
        text: of a module.
        label: its name, for messages.

    Raises:
        ModelFileError: a bracket or string within such an attribute is not closed.
    """
    if PREFIX not in text:
        return text
    pieces, done, comments = [], 0, {}
    for found in _SEEN.finditer(text):
        if found[1] is None:
            if found[0].startswith("//"):
                comments[found.end()] = found.start()
            continue
        if found.start() < done:
            continue
        opened = _before(text, found.start(), comments)
        cut = _cut(text, label, opened, found.start()) if opened >= 0 and text[opened] in "{," else None
        if cut is None:
            continue
        start, end = cut
        pieces += [text[done:start], "\n" * text.count("\n", start, end)]
        done = end
    return "".join([*pieces, text[done:]])


def _before(text: str, position: int, comments: dict[int, int]) -> int:
    """Where the last character before a position stands that is neither blank nor of a comment; -1: there is none."""
    at = position
    while at:
        if at in comments:
            at = comments[at]
        elif text[at - 1].isspace():
            at -= 1
        else:
            break
    return at - 1


def _cut(text: str, label: str, opened: int, position: int) -> tuple[int, int] | None:
    """From where to where the attributes that begin at a position go; None: what stands there is no attribute.

    Args:
        text, label: the module.
        opened: where the bracket or comma before them stands.
        position: of the first of them.
    """
    lexer = Lexer(text, label, position)
    while lexer.kind == WORD and lexer.token.startswith(PREFIX):
        lexer.advance()
        if lexer.token not in ("=", ",", "}"):
            return None
        while lexer.token not in (",", "}"):
            if lexer.kind == END:
                return None
            if lexer.token in ("(", "[", "{", "<"):
                lexer.jump(lexer.closing(lexer.start))
            else:
                lexer.advance()
        if lexer.token == "}":
            return _to_the_end(text, opened, position, lexer)
        lexer.advance()
    end = lexer.before  # behind a comma; a comment there stays
    while text[end : end + 1] in (" ", "\t"):
        end += 1
    return position, end


def _to_the_end(text: str, opened: int, position: int, lexer: Lexer) -> tuple[int, int]:
    """The last attributes of a dictionary, at whose end the cursor stands; with the dictionary where nothing else is in it."""
    if text[opened] == ",":
        return opened, lexer.before
    # At least blanks match.
    introduced = _BEFORE_DICTIONARY.search(text, max(0, opened - _LONGEST_WORD), opened)
    start = opened if introduced is None else introduced.start()
    return (position, lexer.start) if text[start - 1] in _HOLDS_A_DICTIONARY else (start, lexer.end)

"""The text of a module without the costs of an earlier annotation: attributes ``perfmodel.*``, wherever they stand.

What is left is the text as it was before, so that a new annotation is the only one. Dictionaries that held nothing else go
with their attributes; comments stay, and lines keep their numbers.
"""

from __future__ import annotations

import re

from perfmodel.exchange.costs import PREFIX
from perfmodel.exchange.mlir_places import skip
from perfmodel.features.mlir.lexer import WORD, Lexer

_SEEN = re.compile(rf'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|//[^\n]*|(?<![\w.$#%@!^-])({re.escape(PREFIX)}[\w.$]+)')
"""Strings and comments, which are stepped over, and names that begin as costs do."""
_STAYS = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|([ \t]*//[^\n]*|\r?\n)')
"""Strings, which go, and in a group what stays where attributes go: comments and ends of lines."""
_LAST_WORD = re.compile(r"[\w.$#%@!^-]*\Z")
_BLANKS = re.compile(r"[ \t]*\Z")
_LONGEST = 40
"""Characters before a dictionary among which the word that introduces it, and blanks, are looked for."""
_HOLDS_A_DICTIONARY = "<,([{"
"""After these, as after ``=``, a dictionary is the value of something, or its properties, and stays though it is empty."""


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
        cut = _cut(text, label, opened, found.start(), comments) if opened >= 0 and text[opened] in "{," else None
        if cut is None:
            continue
        start, end = cut
        pieces += [text[done:start], *_STAYS.findall(text, start, end)]
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


def _cut(text: str, label: str, opened: int, position: int, comments: dict[int, int]) -> tuple[int, int] | None:
    """From where to where the attributes that begin at a position go; None: what stands there is no attribute.

    Args:
        text, label: the module.
        opened: where the bracket or comma before them stands.
        position: of the first of them.
        comments: where each comment before them begins, by where it ends.
    """
    lexer = Lexer(text, label, position)
    while lexer.kind == WORD and lexer.token.startswith(PREFIX):
        lexer.advance()
        if lexer.token not in ("=", ",", "}"):
            return None
        while lexer.token not in (",", "}"):
            if not skip(lexer):
                return None
        if lexer.token == "}":
            return _to_the_end(text, opened, position, lexer, comments)
        lexer.advance()
    end = lexer.before  # behind a comma, after which one blank was written; a comment there stays
    return position, end + 1 if text[end : end + 1] == " " else end


def _to_the_end(text: str, opened: int, position: int, lexer: Lexer, comments: dict[int, int]) -> tuple[int, int]:
    """The last attributes of a dictionary, at whose end the cursor stands; with the dictionary where nothing else is in it."""
    if text[opened] == ",":
        return opened, lexer.before
    introduced = _introduced(text, opened, comments)
    if introduced is None:
        return position, lexer.start
    return _last(_BLANKS, text, introduced).start(), lexer.end


def _introduced(text: str, opened: int, comments: dict[int, int]) -> int | None:
    """Where a dictionary of attributes begins, with the word before it if there is one; None: it stays, though it is empty."""
    last, word = _before(text, opened, comments), "attributes"
    if last >= 0 and text[last] == "=":
        last, word = _before(text, last, comments), "attrs"
    found = _last(_LAST_WORD, text, last + 1)
    if found[0] == word:
        return found.start()
    if word == "attrs" or (last >= 0 and text[last] in _HOLDS_A_DICTIONARY):
        return None
    return opened


def _last(pattern: re.Pattern[str], text: str, end: int) -> re.Match[str]:
    """What matches a pattern, which takes nothing too, before a place."""
    found = pattern.search(text, max(0, end - _LONGEST), end)
    assert found is not None
    return found

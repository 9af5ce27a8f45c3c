"""The text of a module as tokens, read on demand: a regular expression a token, nothing copied ahead.

Brackets that only have to be skipped (locations, types in angle brackets) and the data of constants are jumped over
with searches that the interpreter does not take part in.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NoReturn

from perfmodel.errors import ModelFileError

VALUE, TYPE, WORD, NUMBER, STRING, SYMBOL, HASH, LABEL, PUNCT, END = range(1, 11)
"""Kinds of tokens: ``%x``; ``!t`` and ``tensor<...>``; bare words; numbers; ``"..."``; ``@f``; ``#map``; ``^bb0``;
punctuation; the end of the text."""

MAX_MESSAGE = 300

_NAME = r"[A-Za-z0-9_$.-]+"
_QUOTED = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_SIMPLE = r'(?:<[^<>"\n]*>)?'  # angle brackets without others inside; what nests is found by `closing`

_TOKEN = re.compile(
    r"(?:\s+|//[^\n]*)*(?:"
    rf"(%(?:[0-9]+|[A-Za-z_$.-]{_NAME[:-1]}*)(?:\#[0-9]+)?)"
    rf"|((?:(?:tensor|memref|vector)(?=<)|!{_NAME}){_SIMPLE})"
    r"|([A-Za-z_][A-Za-z0-9_$.]*)"
    r"|(-?(?:0x[0-9A-Fa-f]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?))"
    rf"|({_QUOTED})"
    rf"|(@(?:{_NAME}|{_QUOTED})(?:::@(?:{_NAME}|{_QUOTED}))*)"
    rf"|(\#[A-Za-z0-9_$.][A-Za-z0-9_$.-]*{_SIMPLE})"
    rf"|(\^{_NAME})"
    r"|(->|::|\{-\#|\#-\}|\S)"
    r"|(\Z))"
)
_BRACKET = re.compile(r'[][(){}"]|->|>=|[<>]|//[^\n]*')
_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_NEWLINE = re.compile("\n")
_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t"}


class Lexer:
    """A cursor in a text.

    Attributes:
        kind, token: the current token.
        start, end: where it stands.
        before: where the token before it ends.
    """

    __slots__ = ("_lines", "before", "end", "filename", "kind", "start", "text", "token")

    def __init__(self, text: str, filename: str, position: int = 0) -> None:
        self.text: str = text
        self.filename: str = filename
        self.start: int = 0
        self.before: int = 0
        self.end: int = position
        self.kind: int = 0
        self.token: str = ""
        self._lines: list[int] | None = None
        self.advance()

    def advance(self) -> None:
        """Go to the next token."""
        match = _TOKEN.match(self.text, self.end)
        # Any character is a token, and so is the end: the pattern always matches, with one group.
        assert match is not None
        self.kind = kind = match.lastindex or 0
        self.token = match[kind]
        self.before = self.end
        self.start, self.end = match.span(kind)

    def jump(self, position: int) -> None:
        """Make the first token from a position the current one."""
        self.end = position
        self.advance()

    def peek(self, ahead: int = 1) -> tuple[int, str]:
        """Kind and text of a token after the current one."""
        end = self.end
        while True:
            match = _TOKEN.match(self.text, end)
            assert match is not None
            kind = match.lastindex or 0
            ahead -= 1
            if not ahead:
                return kind, match[kind]
            end = match.end()

    def take(self, token: str) -> bool:
        """Step over a punctuation or word if it is the current token."""
        if self.token == token:
            self.advance()
            return True
        return False

    def expect(self, token: str, where: str = "") -> None:
        """Step over a token that must stand here."""
        if self.token != token:
            self.fail(f"{token!r}{' ' + where if where else ''}")
        self.advance()

    def new_line(self) -> bool:
        """Whether a line ends between the token before and the current one."""
        return self.text.find("\n", self.before, self.start) != -1

    def closing(self, position: int) -> int:
        """Where the text after the bracket that closes the one at a position begins."""
        text = self.text
        opened: list[tuple[str, int]] = []
        at = position
        while True:
            match = _BRACKET.search(text, at)
            if match is None:
                bracket, at = opened[-1]
                self.fail(f"{_PAIRS[bracket]!r} to close the {bracket!r} of {self.place(at)}", len(text))
            mark, at = match[0], match.end()
            if mark in _PAIRS:
                opened.append((mark, at - 1))
            elif mark == '"':
                at = self.string_end(at - 1)
            elif mark[0] == "/":
                continue  # a comment, whatever brackets it holds
            elif mark != "->" and mark != ">=":
                bracket, begin = opened[-1]
                if _PAIRS[bracket] != mark:
                    self.fail(f"{_PAIRS[bracket]!r} to close the {bracket!r} of {self.place(begin)}", at - 1)
                opened.pop()
            elif mark == ">=" and opened[-1][0] == "<":  # `#a<...>= `: comparisons stand in parentheses
                opened.pop()
                at -= 1
            if not opened:
                return at

    def string_end(self, position: int) -> int:
        """Where the text after the string that begins at a position begins."""
        end = self.text.find('"', position + 1)
        while end != -1:
            slashes = end - 1
            while self.text[slashes] == "\\":
                slashes -= 1
            if (end - slashes) % 2:
                return end + 1
            end = self.text.find('"', end + 1)
        self.fail("'\"' to close the string", position)

    # ------------------------------------------------------------------------------------------------- messages
    def line_column(self, position: int) -> tuple[int, int]:
        """Line and column, both from 1."""
        if self._lines is None:
            self._lines = [0, *(m.end() for m in _NEWLINE.finditer(self.text))]
        line = bisect_right(self._lines, position)
        return line, position - self._lines[line - 1] + 1

    def place(self, position: int) -> str:
        """``line:column`` for messages."""
        return "{}:{}".format(*self.line_column(position))

    def fail(self, expected: str, position: int | None = None) -> NoReturn:
        """Raise the error that says what was expected, and what stands there."""
        at = self.start if position is None else position
        raise ModelFileError(f"{self.filename}:{self.place(at)}: expected {expected}, found {self.found(at)}")

    def refuse(self, problem: str, position: int | None = None) -> NoReturn:
        """Raise an error about something that was read but makes no sense."""
        at = self.start if position is None else position
        if len(problem) > MAX_MESSAGE:
            problem = problem[: MAX_MESSAGE - 3] + "..."
        raise ModelFileError(f"{self.filename}:{self.place(at)}: {' '.join(problem.split())}")

    def found(self, position: int) -> str:
        """The token at a position as messages quote it."""
        match = _TOKEN.match(self.text, position)
        if match is None or match.lastindex == END:
            return "the end of the text"
        text = match[match.lastindex or 0]
        if text == '"':
            return "a string that is not closed on its line"
        return repr(text if len(text) <= 40 else text[:37] + "...")


def unquote(token: str) -> str:
    """The value of a quoted string."""
    inner = token[1:-1]
    if "\\" not in inner:
        return inner
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED.get(m[2], m[2]), inner)

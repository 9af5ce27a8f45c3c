"""Names from files as a page shows them: one line each, none too long, none that turns the text around it."""

from __future__ import annotations

import re
from typing import Any

MOST = 240
"""Characters of a name; of a longer one the middle is left out."""
MOST_OF_LINE = 1000
"""Characters of a line that holds names, such as a warning."""

_LINE_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
_UNSHOWN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, marks of the direction of writing (U+202E turns what follows it around), and halves of characters."""


def clean(text: str) -> str:
    """The text on one line, :func:`printable`."""
    return printable(_LINE_BREAKS.sub(" ", text))


def printable(text: str) -> str:
    """The text with a U+FFFD for each character that shows nothing but changes how others are shown; its lines stay."""
    return _UNSHOWN.sub("\ufffd", text)


def short(text: str, most: int = MOST) -> str:
    """The text :func:`clean`, at most so long: the middle of a longer one is left out, since names differ at their ends."""
    line = clean(text)
    if len(line) <= most:
        return line
    head = (most - 1) // 2
    return f"{line[:head]}\u2026{line[head + 1 - most :]}"


def clean_data(data: Any) -> Any:
    """Lists and mappings whose texts are :func:`clean`; keys stay."""
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, dict):
        return {key: clean_data(value) for key, value in data.items()}
    return [clean_data(value) for value in data] if isinstance(data, (list, tuple)) else data

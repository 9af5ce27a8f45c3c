"""The code blocks of the pages, and what each needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(?:<!-- needs: ([^>]*?) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, line, language and text; ``needs`` is what stands in ``<!-- needs: ... -->`` above it."""

    page: Path
    line: int
    language: str
    text: str
    needs: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        yield Block(page, text.count("\n", 0, match.start(2)) + 1, match[2], match[3], match[1])


def lines(block: Block) -> Iterator[str]:
    """The lines of a block of commands, without prompts, comments and empty ones; continued lines are joined."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if found := re.split(r"(?:^|\s)#\s", line.removeprefix("$ "))[0].strip():
            yield found


def commands(block: Block) -> Iterator[str]:
    """The ``perfmodel`` commands of a block, without what stands behind a pipe or takes the output."""
    for line in lines(block):
        if line.startswith("perfmodel "):
            yield re.split(r"\s*[|>]\s", line)[0]

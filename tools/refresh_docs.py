"""Runs the ``perfmodel`` commands that stand in the pages again and puts their output in.

A command is a line ``$ perfmodel …`` in a block fenced as ``console``; what follows it, up to the next command or the
end of the block, is its output.

    python tools/refresh_docs.py            rewrites README.md and docs/
    python tools/refresh_docs.py --check    exits with 1 where the output differs
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (perfmodel .*)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every page that may hold commands."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> Iterator[str]:
    """The commands of a page, in order."""
    for block in BLOCK.findall(text):
        yield from COMMAND.findall(block)


def run(command: str) -> tuple[int, str]:
    """Exit code and output of a command, as a reader's shell in the repository shows it.

    ``perfmodel`` is the one of this interpreter.
    """
    shell = f'perfmodel() {{ "{sys.executable}" -m perfmodel "$@"; }}\n{command}'
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return done.returncode, "".join(f"{line}\n" for line in lines)


def refreshed(text: str) -> str:
    """The page with the output of every command as it is now."""

    def block(match: re.Match[str]) -> str:
        if not COMMAND.search(match[0]):
            return match[0]
        # A command goes up to the next prompt, whether it is one of ours (run) or another (kept with its output).
        parts = re.split(r"^(?=\$ )", match[0], flags=re.MULTILINE)
        result = ""
        for part in parts:
            found = COMMAND.match(part)
            result += f"$ {found[1]}\n{run(found[1])[1]}" if found else part
        return result

    return BLOCK.sub(block, text)


def main() -> int:
    """Refresh or check every page."""
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = refreshed(text)
        if new != text:
            stale.append(page)
            if "--check" not in sys.argv[1:]:
                page.write_text(new, encoding="utf-8")
    for page in stale:
        print(f"{page.relative_to(ROOT)}: output has changed")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the ``perfmodel`` commands that stand in the pages again and puts their output in.

A command is a line ``$ perfmodel …`` in a block fenced as ``console``; what follows it, up to the next command or the
end of the block, is its output.

    python tools/refresh_docs.py            rewrites README.md and docs/
    python tools/refresh_docs.py --check    exits with 1 where the output differs
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

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


def run(command: str, folder: Path = ROOT) -> tuple[int, str]:
    """Exit code and output of a ``perfmodel`` command, as a reader's shell in a folder shows it, 80 columns wide.

    The command runs in this process: starting Python and loading a predictor each time takes seconds. What stands behind
    a ``|`` gets the output from a shell of its own, and its exit code is the one that is returned, as in a shell.
    """
    words = shlex.split(command)
    pipe = words.index("|") if "|" in words else len(words)
    shown = io.BytesIO()
    errors = shown if pipe == len(words) else io.BytesIO()
    code = _main(words[1:pipe], folder, shown, errors)
    output = shown.getvalue()
    if errors is not shown:
        behind = command.split(" | ", 1)[1]
        done = subprocess.run(["bash", "-c", behind], cwd=folder, input=output, stdout=subprocess.PIPE, check=False)
        code, output = done.returncode, errors.getvalue() + done.stdout
    lines = [line.rstrip() for line in output.decode().splitlines()]
    return code, "".join(f"{line}\n" for line in lines)


def _main(arguments: list[str], folder: Path, output: io.BytesIO, errors: io.BytesIO) -> int:
    from perfmodel.cli import main

    out = io.TextIOWrapper(output, encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(errors, encoding="utf-8", write_through=True)
    nothing = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        with (
            mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}),
            mock.patch.object(sys, "stdin", nothing),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            contextlib.chdir(folder),
        ):
            return main(arguments)
    finally:
        out.detach()  # otherwise the buffer would be closed with its wrapper
        err.detach()


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
    sys.path.insert(0, str(ROOT))
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

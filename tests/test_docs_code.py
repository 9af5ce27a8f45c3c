"""Every code block of the pages runs, or says what it needs; every command in them is one that perfmodel takes."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from docs_code import PAGES, ROOT, Block, blocks, commands

from perfmodel.cli import COMMANDS, OneLineParser

TUTORIALS = [p for p in PAGES if p.parent.name == "tutorials" and p.name != "index.md"]
CODE = [p for p in PAGES if p not in TUTORIALS and any(b.language == "python" and b.needs is None for b in blocks(p))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a reader's own, with the examples of a checkout."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python(block: Block, names: dict[str, object]) -> None:
    # With the block's own place, so that a traceback shows the page and its line.
    exec(compile("\n" * block.line + block.text, str(block), "exec"), names)  # noqa: S102 - our own pages


def run_shell(block: Block) -> None:
    shell = f'set -e\nperfmodel() {{ "{sys.executable}" -m perfmodel "$@"; }}\n{block.text}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block}: {done.stdout[-1000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda p: p.stem)
def test_a_tutorial_can_be_followed_from_its_beginning_to_its_end(page: Path, folder: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    names: dict[str, object] = {"__name__": "tutorial"}
    ran = 0
    for block in blocks(page):
        if block.needs is None and block.language in ("python", "sh"):
            run_shell(block) if block.language == "sh" else run_python(block, names)
            ran += 1
    assert ran >= 2


@pytest.mark.parametrize("page", CODE, ids=lambda p: p.stem)
def test_python_in_a_page_runs_in_order(page: Path, folder: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python" and block.needs is None:
            run_python(block, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_that_needs_something_is_at_least_python(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text, str(block))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_a_page_are_ones_that_perfmodel_takes(page: Path) -> None:
    modules = {c.name: c.module for c in COMMANDS}
    for block in blocks(page):
        if block.language not in ("sh", "bash", "console", ""):
            continue
        for line in commands(block):
            if "..." in line or "…" in line or "[" in line:  # a form, not a command
                continue
            _, name, *arguments = shlex.split(line)
            if name.startswith("-") or "--help" in arguments:
                continue
            assert name in modules, f"{block}: {line}"
            parser = OneLineParser(prog=f"perfmodel {name}", allow_abbrev=False)
            import_module(modules[name]).add_arguments(parser)
            try:
                parser.parse_args(arguments)
            except SystemExit:
                pytest.fail(f"{block}: {line}")


def test_blocks_have_a_language() -> None:
    """So that whether one runs is decided, not forgotten."""
    fenced = [b for page in PAGES for b in blocks(page)]
    assert len(fenced) > 100
    assert {b.language for b in fenced} <= {"", "python", "sh", "console", "toml", "text", "json", "mlir", "bash", "c"}

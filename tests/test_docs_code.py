"""Every code block of the pages runs, or says what it needs; every command in them is one that perfmodel takes."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from docs_code import PAGES, ROOT, Block, blocks, commands, lines
from docs_inputs import INPUTS
from scripts import script

from perfmodel._resources import data_path
from perfmodel.cli import COMMANDS, OneLineParser

REFRESH = script("refresh_docs")
OF_EXTRAS = ("onnxruntime", "pandas", "pyarrow", "scipy", "xgboost")
"""What blocks may use without saying so (extras `train` and `collect`): where one is absent its pages are skipped."""
LANGUAGES = {"python", "sh", "console", "toml", "text", "json", "mlir", "c"}


def runs(block: Block) -> bool:
    return block.needs is None and block.language in ("python", "sh")


FOLLOWED = [page for page in PAGES if any(runs(b) for b in blocks(page))]
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials" and page.name != "index.md"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a reader's own, with the examples of a checkout."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def provide(names: Iterable[str], folder: Path) -> None:
    """Puts the files there that the page takes a reader to have, unless its own blocks have written them already."""
    for name in names:
        if name in INPUTS and not (folder / name).exists():
            INPUTS[name](folder / name)


@contextlib.contextmanager
def skipped_without_its_extra(block: Block) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        # Errors of perfmodel have the name in their text alone.
        if error.name in OF_EXTRAS or any(f"package {name!r}" in str(error) for name in OF_EXTRAS):
            pytest.skip(f"{block}: {error}")
        raise


def run_python(block: Block, names: dict[str, object]) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        # With the block's own place, so that a traceback shows the page and its line.
        exec(compile("\n" * block.line + block.text, str(block), "exec"), names)  # noqa: S102 - our own pages
    for line in block.text.splitlines():
        statement, _, comment = line.partition("  # ")
        if re.match(r"print\(.*\)$", statement) and re.match(r"[\d\[(]", comment):  # what the page says is printed
            printed = [shown.split() for shown in output.getvalue().splitlines()]  # numpy's versions differ in blanks
            assert comment.split() in printed, f"{block}: {line}\n{output.getvalue()}"
        elif re.fullmatch(r"[\d.e]+", comment) and not statement.startswith(" "):  # what it says is the value
            assert eval(statement, names) == ast.literal_eval(comment), f"{block}: {line}"  # noqa: S307 - our own pages


def run_shell(block: Block, folder: Path, *, given: bool) -> None:
    """Each line, a command of perfmodel, in this process: starting Python takes a second each time."""
    for line in lines(block):
        assert line.startswith("perfmodel "), f"{block}: {line!r} is not run here: say above the block what it needs"
        if given:
            words = shlex.split(line)
            provide((w.removeprefix("./") for before, w in pairwise(words) if before != "-o"), folder)
        code, output = REFRESH.run(line, folder)
        absent = re.search(r"needs the package '(\w+)', which is not installed: .*", output)
        if absent is not None and absent[1] in OF_EXTRAS:
            pytest.skip(f"{block}: {absent[0]}")
        assert code == 0, f"{block}: {line}\n{output[-2000:]}"


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_can_be_followed_from_its_beginning_to_its_end(page: Path, folder: Path) -> None:
    """A tutorial with nothing but the examples, another page with the files that it takes a reader to have."""
    names: dict[str, object] = {"__name__": "page"}
    given = page not in TUTORIALS
    for block in filter(runs, blocks(page)):
        if block.language == "sh":
            run_shell(block, folder, given=given)
        else:
            if given:
                provide(re.findall(r'"([^"\n]+)"', block.text), folder)
            with skipped_without_its_extra(block):
                run_python(block, names)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("perfmodel devices h100-sxm  # fine\npip install x", "'pip install x' is not run here"),
        ("perfmodel predict \\\n  nothing.onnx --device h100-sxm", "nothing.onnx"),
        ("perfmodel devices h100-sxm > shown.txt", "unrecognized arguments"),
    ],
)
def test_what_does_not_work_or_is_not_run_is_told(text: str, told: str, folder: Path) -> None:
    with pytest.raises(AssertionError, match=told):
        run_shell(Block(ROOT / "README.md", 1, "sh", text, None), folder, given=True)


def test_what_a_page_trains_changes_nothing_that_ships(folder: Path) -> None:
    provide(["my-predictor"], folder)
    given, shipped = folder / "my-predictor", data_path("models", "default")
    assert (given / "manifest.json").read_bytes() == (shipped / "manifest.json").read_bytes()
    for file in given.rglob("*"):
        assert file.resolve().is_relative_to(folder.resolve()), file


def test_a_tutorial_is_more_than_words() -> None:
    assert len(TUTORIALS) >= 5
    for page in TUTORIALS:
        assert sum(map(runs, blocks(page))) >= 2, page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_does_not_run_is_at_least_well_formed(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text, str(block))
        elif block.language == "toml":
            tomllib.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_a_page_are_ones_that_perfmodel_takes(page: Path) -> None:
    modules = {c.name: c.module for c in COMMANDS}
    for block in blocks(page):
        if block.language not in ("sh", "console"):
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
    assert [str(b) for b in fenced if b.language not in LANGUAGES] == []


def test_commands_stand_where_they_are_run() -> None:
    """``sh`` here, ``console`` where `tools/refresh_docs.py` puts the output in; in another one nobody sees that it fails."""
    others = [b for page in PAGES for b in blocks(page) if b.language not in ("sh", "console", "python")]
    assert [str(b) for b in others if any(commands(b))] == []

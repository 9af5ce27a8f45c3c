"""The documentation site builds, with warnings as errors; links out of the pages lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "tools" / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(path: str) -> SimpleNamespace:
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


def test_links_to_sources_become_their_names(hooks: ModuleType) -> None:
    assert (
        hooks.on_page_markdown("[`errors`](../perfmodel/errors.py)", page("a.md")) == "`errors` (`perfmodel/errors.py`)"
    )
    assert hooks.on_page_markdown("[`errors.py`](../perfmodel/errors.py)", page("a.md")) == "`errors.py`"
    inside = "[page](../report.md#from-python)"
    assert hooks.on_page_markdown(inside, page("tutorials/a.md")) == inside  # mkdocs checks it
    with pytest.raises(hooks.LostLinkError, match=r"a\.md: there is no \.\./perfmodel/nothing\.py"):
        hooks.on_page_markdown("[x](../perfmodel/nothing.py)", page("a.md"))


def test_roles_of_docstrings_become_names(hooks: ModuleType) -> None:
    content = "see :func:<code>perfmodel.predict.compare</code> and :class:<code>~perfmodel.graph.Graph</code>"
    assert hooks.on_page_content(content) == "see <code>compare</code> and <code>Graph</code>"


def test_every_page_of_docs_has_its_place_in_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    named = set(re.findall(r"([\w/-]+\.md)$", text, re.MULTILINE))
    assert named == {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    commands = (tmp_path / "reference" / "commands.html").read_text()
    assert "perfmodel predict" in commands
    assert "--annotate" in commands
    python = (tmp_path / "reference" / "python.html").read_text()
    assert "perfmodel.predict.predict" in python
    assert "Raises" in python
    assert ":class:" not in python
    loaded = {
        u
        for p in tmp_path.rglob("*.html")
        for u in re.findall(r'<(?:script|link)[^>]+(?:src|href)="(https?:[^"]+)', p.read_text())
    }
    assert loaded == set()  # nothing is loaded from elsewhere

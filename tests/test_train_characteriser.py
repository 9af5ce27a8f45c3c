"""The tool that makes the shipped characteriser: from two tables to a folder, a card and the table of the docs page."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from perfmodel._resources import data_path
from perfmodel.characterise import load, training

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import train_characteriser as tool  # noqa: E402 - a script beside the package

_FEW = {"trees": 5, "max_depth": 2}


def test_a_run_from_tables_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = data_path("datasets", "iree-cpu")
    data = tmp_path / "data"
    data.mkdir()
    modules = pd.read_parquet(tables / "modules.parquet")
    some = modules[modules["family"].isin(["gemm", "reduction", "transpose"])].groupby("family").head(12)
    some.to_parquet(data / "modules.parquet")
    dispatches = pd.read_parquet(tables / "dispatches.parquet")
    dispatches[dispatches["module"].isin(some["module"])].to_parquet(data / "dispatches.parquet")
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{tool.BEGIN}\n\nan old table\n\n{tool.END}\n\nafter\n")
    monkeypatch.setattr(training, "PARAMETERS", {**training.PARAMETERS, **_FEW})
    monkeypatch.setattr(training, "OF_TARGET", {name: {**of, **_FEW} for name, of in training.OF_TARGET.items()})
    monkeypatch.setattr(sys, "argv", ["train", str(data), "-o", str(tmp_path / "out"), "--page", str(page)])

    tool.main()

    folder = tmp_path / "out" / "iree-llvm-cpu-haswell"
    assert load(folder).target.cpu == "haswell"
    count = json.loads((folder / "manifest.json").read_text())["modules"]
    assert 30 <= count <= 36
    assert f"{count} generated modules" in (folder / "card.md").read_text()
    assert capsys.readouterr().out.startswith(f"{count} modules")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\n\nafter\n")
    assert "an old table" not in text
    # The page says what the card and the accuracy file say.
    shapes = json.loads((folder / "accuracy.json").read_text())["protocols"]["shapes"]
    executed, linear = shapes["executed"]["model"]["median"], shapes["spills"]["linear_module_auc"]
    assert re.search(rf"^\| instructions executed: this model \| {100 * executed:.1f} % \|", text, re.MULTILINE)
    assert re.search(rf"^\| the same: linear model \| {linear:.3f} \|", text, re.MULTILINE)


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shutil.copy(ROOT / "docs" / "index.md", page)
    with pytest.raises(SystemExit, match="has no marks"):
        tool.put_into(page, ["| a |"])
    assert page.read_bytes() == (ROOT / "docs" / "index.md").read_bytes()

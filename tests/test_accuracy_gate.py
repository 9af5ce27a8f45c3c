"""The accuracy gate: what it lets through, and that its sample is always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripts import script

GATE = script("accuracy_gate")


def figures(mape: float = 0.05, coverage: float = 0.9, n: int = 100) -> dict[str, Any]:
    return {"default": {"gemm": {"n": n, "mape": mape, "coverage_90": coverage}}}


def verdicts(recorded: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [line.verdict for line in GATE.compare(recorded, now)]


def test_small_differences_pass() -> None:
    assert verdicts(figures(), figures()) == ["", ""]
    # 0.3 points of MAPE, 2 points of coverage.
    assert verdicts(figures(0.05, 0.9), figures(0.0529, 0.881)) == ["", ""]
    # 3 % of an error of 40 % are 1.2 points.
    assert verdicts(figures(0.40), figures(0.411)) == ["", ""]


def test_a_regression_shuts_the_gate() -> None:
    assert verdicts(figures(0.05), figures(0.0531)) == ["worse by 0.31 points; 0.30 are allowed", ""]
    assert verdicts(figures(0.40), figures(0.4125)) == ["worse by 1.25 points; 1.20 are allowed", ""]
    assert verdicts(figures(coverage=0.9), figures(coverage=0.879)) == ["", "worse by 2.10 points; 2.00 are allowed"]
    assert verdicts(figures(), figures(n=99)) == ["worse: other rows, so nothing can be compared"]
    assert verdicts(figures(), {"default": {}}) == ["worse: no longer judged"]
    assert verdicts(figures(), {}) == ["worse: no longer judged"]


def test_what_is_better_or_new_is_said() -> None:
    assert verdicts(figures(0.05, 0.85), figures(0.04, 0.9)) == ["better: record it", "better: record it"]
    assert verdicts({}, figures()) == ["new: record it"]
    text = GATE.table(GATE.compare(figures(0.05), figures(0.06)))
    assert text.splitlines()[1].split() == [
        "default", "gemm", "mape", "5.00", "%", "6.00", "%", "worse", "by", "1.00", "points;", "0.30", "are", "allowed",
    ]  # fmt: skip


def test_without_data_it_says_why_it_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PERFMODEL_SHARED", raising=False)
    assert GATE.main([]) == 0
    monkeypatch.setenv("PERFMODEL_SHARED", str(tmp_path))
    assert GATE.main([]) == 0
    assert (
        capsys.readouterr().out.count("skipped, since PERFMODEL_SHARED names no folder with data/aiconfigurator") == 2
    )


def test_a_regression_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in GATE.SOURCES:
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.setenv("PERFMODEL_SHARED", str(tmp_path))
    monkeypatch.setattr(GATE, "RECORDED", tmp_path / "recorded.json")
    monkeypatch.setattr(GATE, "sample", lambda data: None)
    monkeypatch.setattr(GATE, "figures", lambda rows: figures(0.05))
    assert GATE.main([]) == 1
    assert "nothing is recorded" in capsys.readouterr().out
    assert GATE.main(["--record"]) == 0
    monkeypatch.setattr(GATE, "figures", lambda rows: figures(0.08))
    assert GATE.main([]) == 1
    assert "accuracy gate: 1 of 2 figures got worse" in capsys.readouterr().out


def test_the_sample_is_always_the_same(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas", reason="traces need the extra train")
    monkeypatch.setattr(GATE, "SOURCES", {"neusight": {"devices": ("t4",), "families": ("softmax", "norm")}})
    first, again = GATE.sample(shared / "data"), GATE.sample(shared / "data")
    assert first.equals(again)
    assert set(first["op"]) == {"softmax", "norm"}
    assert first.groupby("collection").size().max() == GATE.ROWS
    assert not first.duplicated(["collection", "order"]).any()


def test_what_is_recorded_is_what_the_gate_compares() -> None:
    if not GATE.RECORDED.is_file():
        pytest.skip("tests/accuracy_gate.json has to be recorded: python tools/accuracy_gate.py --record")
    recorded = GATE.json.loads(GATE.RECORDED.read_text(encoding="utf-8"))
    assert set(recorded) == set(GATE.PREDICTORS)
    for families in recorded.values():
        assert {"gemm", "conv", "softmax", "norm", "elementwise", "moe", "quantize", "collective"} <= set(families)

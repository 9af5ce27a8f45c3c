"""Building trace tables of data sets: what is kept, in which order, how it is written; the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import upstream_layouts as layouts

from perfmodel.cli import main
from perfmodel.datasets import build, load
from perfmodel.datasets.adapter import finish
from perfmodel.datasets.cards import Mark, columns_of, load_card
from perfmodel.datasets.registry import ADAPTERS
from perfmodel.datasets.schema import read_runs, read_traces
from perfmodel.errors import InputError, TraceError


@pytest.fixture(scope="module")
def aiconfigurator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.aiconfigurator(tmp_path_factory.mktemp("upstream"))


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_what_is_written_is_what_is_loaded(tmp_path: Path, name: str, ending: str) -> None:
    root = layouts.ALL[name](tmp_path / "upstream")
    output = tmp_path / f"t.{ending}"
    lines: list[str] = []
    summary = build.write(build.plan([name], root), output, report=lines.append)
    assert lines[-1] == f"{summary.files} upstream files, {summary.total:,} rows"
    runs = load_card(name).table == "runs"
    found = (read_runs if runs else read_traces)(output)
    wanted = load(name, root)
    assert list(found.columns) == list(wanted.columns) == list(columns_of([load_card(name)]))
    assert summary.total == len(found)
    for column in wanted.columns:
        if column == "operators":  # paths instead of upstream's names; their tables are tested apart
            continue
        a, b = (t[column].astype(object).where(t[column].notna(), None).tolist() for t in (found, wanted))
        assert a == b, column
    lists = ["t.operators"] if "operators" in wanted.columns else []
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"t.{ending}", *lists, "upstream"])


def test_builds_are_the_same_to_the_bit(tmp_path: Path, aiconfigurator: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        build.write(build.plan(["aiconfigurator"], aiconfigurator, families=["gemm", "moe"]), tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_familys_table_has_its_columns_only(aiconfigurator: Path) -> None:
    table = load("aiconfigurator", aiconfigurator, families=["gemm"], tables=["gemm"])
    assert table["batch"].tolist() == [1, 1]
    assert table["m"].dtype == np.int64
    assert {"q_len", "tokens", "ranks"}.isdisjoint(table.columns)


def test_devices(aiconfigurator: Path) -> None:
    table = load("aiconfigurator", aiconfigurator, devices=["l40s"])
    assert set(table["device"]) == {"l40s"}
    assert "gemm" not in set(table["op"])


def test_rows_that_are_left_out_are_counted(tmp_path: Path) -> None:
    root = layouts.neusight(tmp_path)
    # Elementwise rows of two devices in one file.
    path = root / "data/dataset/train/elem.csv"
    path.write_text(path.read_text() + "add,1.5,Tesla T4,k,10,20,True\n")
    summary = build.Summary()
    parts = list(build.parts(build.plan(["neusight"], root, families=["elementwise"], devices=["t4"]), summary))
    assert sum(map(len, parts)) == summary.total == 1
    assert summary.left_out == 4


@pytest.mark.parametrize(("duplicates", "latencies"), [("keep", [1.0, 1.5, 9.0]), ("first", [1.0]), ("median", [1.5])])
def test_repeats(aiconfigurator: Path, duplicates: str, latencies: list[float]) -> None:
    summary = build.Summary()
    chosen = build.plan(["aiconfigurator"], aiconfigurator, families=["moe"], duplicates=duplicates)
    table = pandas.concat(build.parts(chosen, summary))
    shape = table[(table["hidden"] == 4096) & (table["status"] == "ok")]
    assert shape["latency_s"].tolist() == pytest.approx([1e-3 * value for value in latencies])
    # The other two rows differ in their kernel.
    assert len(table) == 2 + len(latencies)
    assert summary.joined == (0 if duplicates == "keep" else 2)
    if duplicates == "median":
        assert sorted(table["samples"].tolist()) == [1, 1, 3]


def test_marks() -> None:
    card = load_card("zeus")
    table = pandas.DataFrame({
        "device": ["a40", "v100", "v100"], "software": "s", "workload": ["a/1", "b/1", "b/2"], "batch": [1, 2, 2],
        "status": ["ok", "ok", "failed"],
    })  # fmt: skip
    marks = (
        Mark({"workload": "b/*", "batch": 2}, "why", status="stub"),
        Mark({"device": "a40"}, "why", note="slow"),
        Mark({"kernel": "x"}, "a column that the table lacks", note="never"),
    )
    found = finish(table, type(card)(**{**vars(card), "marks": marks}))
    assert found["status"].tolist() == ["ok", "stub", "failed"]  # what failed keeps its own reason
    assert found["note"].tolist() == ["slow", None, None]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {}, "no data set was named"),
        (["nothing"], {}, "unknown data set 'nothing'"),
        (
            ["zeus", "neusight"],
            {},
            "operator and run traces are two tables: zeus holds run traces, neusight holds operator",
        ),
        (["neusight", "gpperf"], {"root": "x"}, "--from names the folder of one data set, and 2 were asked for"),
        (["neusight"], {"families": ["attention"]}, "neusight: no rows of the family 'attention'"),
        (["zeus"], {"families": ["gemm"]}, "run traces have no families"),
        (["zeus"], {"devices": ["a100"]}, "zeus: no rows of the device 'a100'"),
        (["zeus"], {"duplicates": "mean"}, "duplicates is 'mean': did you mean 'median'"),
    ],
)
def test_plans_that_are_refused(arguments: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build.plan(arguments, **options)


def test_nothing_of_what_was_asked_for(tmp_path: Path, aiconfigurator: Path) -> None:
    output = tmp_path / "t.parquet"
    with pytest.raises(InputError, match="holds no row of what was asked for"):
        build.write(build.plan(["aiconfigurator"], aiconfigurator, families=["gemm"], devices=["gb200"]), output)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_file_leaves_the_old_table(tmp_path: Path) -> None:
    root = layouts.zeus(tmp_path / "upstream")
    output = tmp_path / "t.csv"
    build.write(build.plan(["zeus"], root), output)
    before = output.read_bytes()
    # The second file, after the first was written.
    text = (root / "trace/summary_power_v100.csv").read_text()
    layouts.text(root / "trace/summary_power_v100_b.csv", text.replace("256", "-256")).rename(
        root / "trace/summary_power_rtx6000.csv"
    )
    with pytest.raises(TraceError, match="zeus: summary_power_rtx6000: row 0, column 'batch': found -256"):
        build.write(build.plan(["zeus"], root), output)
    assert output.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "upstream"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "check_runs", interrupted)
    root = layouts.zeus(tmp_path / "upstream")
    assert main(["datasets", "build", "zeus", "--from", str(root), "-o", str(tmp_path / "t.parquet")]) == 130
    assert [p.name for p in tmp_path.iterdir()] == ["upstream"]


@pytest.mark.parametrize(
    ("output", "message"),
    [("t.json", "ends in .parquet or .csv"), ("no/t.csv", "there is no folder"), ("d.csv", "cannot write")],
)
def test_places_that_cannot_be_written(tmp_path: Path, output: str, message: str) -> None:
    (tmp_path / "d.csv").mkdir()
    root = layouts.zeus(tmp_path / "upstream")
    with pytest.raises(InputError, match=message):
        build.write(build.plan(["zeus"], root), tmp_path / output)


# ----------------------------------------------------------------------------------------------------------- command line
def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "list", "--json", "-"]) == 0
    entries = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)["datasets"]}
    assert list(entries) == list(ADAPTERS)
    assert entries["zeus"]["rows"] == 1609
    assert entries["zeus"]["devices"] == ["a40", "p100-pcie-16gb", "quadro-rtx-6000", "v100-pcie-32gb"]
    assert entries["gpperf"]["downloadable"] is False
    assert main(["datasets", "list", "zeus"]) == 0
    shown = capsys.readouterr().out
    assert "1,609" in shown
    assert "neusight" not in shown
    assert main(["datasets", "list", "zoos"]) == 2
    assert "did you mean 'zeus'" in capsys.readouterr().err


def test_the_summary(tmp_path: Path, aiconfigurator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "t.parquet")
    command = ["datasets", "build", "aiconfigurator", "--from", str(aiconfigurator), "-o", output]
    assert main([*command, "--family", "moe,quantize", "--json", str(tmp_path / "s.json")]) == 0
    shown = capsys.readouterr().out
    assert ": 11 rows of 4 upstream files" in " ".join(shown.split())
    assert "aiconfigurator, moe: 2 rows measure again" in shown
    assert "1 rows with the note `gate unknown`" in shown
    summary = json.loads((tmp_path / "s.json").read_text())
    groups = {(g["family"], g["device"], g["software"], g["status"]): g["rows"] for g in summary["groups"]}
    assert groups == {
        ("moe", "l40s", "trtllm-1.3.0rc20", "ok"): 5, ("quantize", "l40s", "sglang-0.5.14", "ok"): 2,
        ("quantize", "l40s", "sglang-0.5.14", "stub"): 1, ("quantize", "l40s", "sglang-0.5.14", "zero latency"): 1,
        ("quantize", "l40s", "vllm-0.24.0", "ok"): 1, ("quantize", "l40s", "vllm-0.24.0", "zero latency"): 1,
    }  # fmt: skip
    assert (summary["rows"], summary["files"], summary["output"]) == (11, 4, output)


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["get"], ["get", "zeus", "neusight"], ["build", "zeus"], ["build", "-o", "t.parquet"]):
        assert main(["datasets", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1

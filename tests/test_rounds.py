"""``train --base`` again and again: rows after rows, formats after formats, software after software."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_doubles import physics_alone, write_predictor
from test_calibrate import A100, measured

from perfmodel import correct, load
from perfmodel.cli import main
from perfmodel.correct import train_on_base
from perfmodel.errors import InputError
from perfmodel.hardware.writer import device_toml
from perfmodel.models import artefact
from perfmodel.ops import Elementwise, Gemm

pandas = pytest.importorskip("pandas")
pytest.importorskip("scipy")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return physics_alone(tmp_path / "base")


def gemm(rows: Any) -> Gemm:
    return Gemm(**{d: rows[d].to_numpy(float) for d in "mnk"}, dtype="bf16")


def slower(rows: Any, factor: float, **columns: Any) -> Any:
    return rows.assign(latency_s=factor * rows["latency_s"], **columns)


def taken_longer(folder: Path, base: Path, rows: Any, software: str = "mine-1.0") -> float:
    """Median factor by which rows are predicted to take longer than by the base, whose physics they were made with."""
    now, before = (
        load(f).predict(gemm(rows), A100, software=s, cache="cold") for f, s in ((folder, software), (base, None))
    )
    return float(np.median(now.latency_s / before.latency_s))


def test_a_second_round_goes_on_from_the_first(base: Path, tmp_path: Path) -> None:
    first, second = measured(20), measured(20, seed=1)
    train_on_base(slower(first, 1.4), tmp_path / "first", base=base)
    train_on_base(slower(second, 1.4), tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    assert known.rows == 40
    train_on_base(slower(pandas.concat([second, first]), 1.4), tmp_path / "at once", base=base)
    op = gemm(measured(50, seed=2))
    two, one = (load(tmp_path / f).predict(op, A100, software="mine", cache="cold") for f in ("second", "at once"))
    for name in ("latency_s", "latency_low_s", "latency_high_s"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-6)


def test_rounds_of_several_stacks_keep_the_state_of_the_cache_of_each(base: Path, tmp_path: Path) -> None:
    # What takes 1.4 times as long under one stack takes 0.7 times under another.
    rows = measured(20)
    train_on_base(slower(rows, 1.4), tmp_path / "first", base=base)
    other = slower(rows, 0.7, software="other-2.0", cache="warm")
    other["latency_s"] = 0.7 * load(base).predict(gemm(rows), A100, cache="warm").latency_s
    train_on_base(other, tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    assert (known.rows, known.software, known.cache) == (40, ("mine-1.0", "other-2.0"), ("cold", "warm"))
    assert (
        taken_longer(tmp_path / "second", base, rows)
        > 1.1
        > 0.9
        > taken_longer(tmp_path / "second", base, rows, "other")
    )


def test_of_a_shape_that_was_measured_again_the_newer_row_stands(base: Path, tmp_path: Path) -> None:
    rows = measured(30)
    train_on_base(slower(rows, 1.4), tmp_path / "first", base=base)
    # Twenty of the thirty again, at the pace of the physics, and ten more: ten rows are left that say ln 1.4 = 0.3365.
    train_on_base(pandas.concat([rows[:20], measured(10, seed=1)]), tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    assert np.sort(known.error) == pytest.approx([0.0] * 30 + [0.3365] * 10, abs=1e-4)


@pytest.mark.parametrize("rows", [20, 40])
def test_of_shapes_that_were_all_measured_again_no_older_row_stays(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Also where a correction does not hold the rows of both rounds, or not even those of one."""
    monkeypatch.setattr(correct, "PROCESS_ROWS", 30)
    train_on_base(slower(measured(rows), 1.4), tmp_path / "first", base=base)
    train_on_base(measured(rows), tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    # None of ln 1.4 = 0.3365 is left, and there is room for 20 rows, or for 30 of the 40.
    assert known.error == pytest.approx([0.0] * min(rows, 30), abs=1e-4)


def test_one_row_more_than_a_correction_holds(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correct, "PROCESS_ROWS", 30)
    train_on_base(slower(measured(30), 1.4), tmp_path / "first", base=base)
    train_on_base(measured(1, seed=5), tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    # 30 * 1 // 31 is no row at all: the new one stands beside 29 of the thirty that say ln 1.4 = 0.3365.
    assert np.sort(known.error) == pytest.approx([0.0] + [0.3365] * 29, abs=1e-4)


def test_kinds_that_the_covariance_cannot_tell_apart_are_no_repeats(base: Path, tmp_path: Path) -> None:
    """Sums and differences of one size have the same features."""

    def rows(kind: str, factor: float) -> Any:
        elements = 2 ** np.arange(16, 26)
        op = Elementwise(kind=kind, elements=elements.astype(float), inputs=2, dtype="fp32")
        latency_s = factor * load(base).predict(op, A100, cache="warm").latency_s
        return pandas.DataFrame(
            {"device": A100.id, "software": "mine-1.0", "op": "elementwise", "kind": kind, "elements": elements, "inputs": 2,
             "dtype": "fp32", "source": "made up", "cache": "warm", "latency_s": latency_s}
        )  # fmt: skip

    train_on_base(rows("add", 1.4), tmp_path / "first", base=base)
    train_on_base(rows("sub", 1.0), tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    assert known.rows == 20


def test_two_rounds_with_more_rows_than_a_correction_holds_are_drawn_from(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(correct, "PROCESS_ROWS", 30)
    train_on_base(measured(20), tmp_path / "first", base=base)
    new = measured(40, seed=1)
    train_on_base(new, tmp_path / "second", base=tmp_path / "first", report=said.append)
    (known,) = load(tmp_path / "second").corrections.values()
    # A third of the sixty rows were measured first: ten of the thirty.
    assert known.rows == 30
    sizes = np.log2(new[["m", "n", "k"]].to_numpy(float))
    held = known.points.matrix(("log2_m", "log2_n", "log2_k"))
    assert sum(bool(np.isclose(sizes, row).all(axis=1).any()) for row in held) == 20


def launching_in(cycles: float, folder: Path) -> Path:
    """The file of an A100 that was calibrated to those launch cycles."""
    sources = {**A100.sources, "calibrated.launch_cycles": "by hand"}
    mine = replace(A100, calibrated={"launch_cycles": cycles}, sources=sources)
    (file := folder / f"{cycles}.toml").write_text(device_toml(mine), encoding="utf-8")
    return file


def test_a_second_round_takes_the_constants_of_the_first(base: Path, tmp_path: Path) -> None:
    files = [launching_in(cycles, tmp_path) for cycles in (9000.0, 5000.0)]
    train_on_base(measured(20), tmp_path / "first", base=base, device=files[0])
    # The catalogue's device has no constants of its own: those of the correction are its.
    train_on_base(measured(20, seed=1), tmp_path / "second", base=tmp_path / "first")
    (known,) = load(tmp_path / "second").corrections.values()
    assert (known.rows, dict(known.calibrated)) == (40, {"launch_cycles": 9000.0})
    with pytest.raises(InputError, match="gemm a100-sxm-80gb bf16 was made with other calibrated constants"):
        train_on_base(measured(20, seed=1), tmp_path / "third", base=tmp_path / "first", device=files[1])
    assert not (tmp_path / "third").exists()


def test_all_corrections_of_a_device_have_the_same_constants(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A predictor takes one set for everything that it predicts there."""
    file = launching_in(20000.0, tmp_path)
    train_on_base(measured(20), tmp_path / "plain", base=base)
    fp16 = measured(60).assign(dtype="fp16")
    for rows in (20, 60):  # a correction, and a booster
        monkeypatch.setattr(correct, "BOOSTER_ROWS", 40)
        with pytest.raises(InputError, match="gemm a100-sxm-80gb bf16 was made with other calibrated constants"):
            train_on_base(fp16[:rows], tmp_path / "mixed", base=tmp_path / "plain", device=file)
    named = pandas.concat([measured(20), fp16[:20].assign(device=str(file))])
    with pytest.raises(InputError, match="a100-sxm-80gb are of two device files with different calibrated constants"):
        train_on_base(named, tmp_path / "mixed", base=base)
    assert not (tmp_path / "mixed").exists()
    # With the constants of the base, those of another dtype go in.
    train_on_base(fp16[:20], tmp_path / "both", base=tmp_path / "plain")
    assert {c.rows for c in load(tmp_path / "both").corrections.values()} == {20}


@pytest.mark.parametrize("first", ["fp16", "bf16"])
def test_a_booster_beside_a_calibrated_correction_predicts_the_rows_that_made_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """It is trained under the constants with which it predicts: the correction's, or none where it takes its place."""
    pytest.importorskip("xgboost")
    file = launching_in(20000.0, tmp_path)
    train_on_base(measured(20).assign(dtype=first), tmp_path / "few", base=base, device=file)
    monkeypatch.setattr(correct, "BOOSTER_ROWS", 40)
    rows = pandas.concat([many := measured(200), measured(20, seed=1).assign(dtype="fp16")])
    train_on_base(rows, tmp_path / "many", base=tmp_path / "few")
    both = load(tmp_path / "many")
    assert (set(both.residuals), set(both.corrections)) == (
        {("gemm", A100.id, "bf16")}, {("gemm", A100.id, "fp16")}
    )  # fmt: skip
    predicted_s = both.predict(gemm(many), A100, software="mine", cache="cold").latency_s
    # The rows are the physics' own: 20000 launch cycles of 1.41 GHz are 14.2 us, where the smallest take 4.
    assert np.abs(np.log(predicted_s / many["latency_s"])).mean() < 0.1


def test_many_rows_leave_the_booster_of_software_that_they_lack(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xgboost")
    monkeypatch.setattr(correct, "BOOSTER_ROWS", 40)
    monkeypatch.setattr(correct, "PROCESS_ROWS", 25)
    rows, other = slower(measured(60), 2.0), measured(60, seed=1).assign(software="other-1.0")
    train_on_base(rows, tmp_path / "own", base=base)
    other.to_parquet(tmp_path / "other.parquet")
    command = ["train", str(tmp_path / "other.parquet"), "--base", str(tmp_path / "own"), "-o", str(tmp_path / "both")]
    assert main(command) == 0
    told = "gemm a100-sxm-80gb bf16: the base has learned mine-1.0 there, of which none of the 60 rows is"
    assert f"warning: {told}" in capsys.readouterr().out
    assert told in (tmp_path / "both" / "card.md").read_text()
    own, both = load(tmp_path / "own"), load(tmp_path / "both")
    key = ("gemm", A100.id, "bf16")
    assert both.residuals[key].software == ("mine-1.0",)
    assert both.residuals[key].read() == own.residuals[key].read()
    assert (both.corrections[key].software, both.corrections[key].rows) == (("other-1.0",), 25)
    # With rows of all software a booster of all takes its place.
    everything = pandas.concat([rows, other])
    notes = train_on_base(everything, tmp_path / "new", base=tmp_path / "both")["notes"]
    new = load(tmp_path / "new")
    assert new.residuals[key].software == ("mine-1.0", "other-1.0")
    assert not new.corrections
    (note,) = notes
    assert "a booster of 120 rows takes the place of the 25 rows that corrected the base" in note
    assert (
        "| gemm a100-sxm-80gb bf16: a booster of its own | 120 | mine-1.0, other-1.0 |"
        in (tmp_path / "new" / "card.md").read_text()
    )


def test_software_that_the_base_has_measured_there_is_not_corrected_by_other(tmp_path: Path) -> None:
    write_predictor(tmp_path / "base", (A100.id, "bf16", (0.1, 0.3)))
    rows = measured(60).query("m >= 16 and m <= 4096 and n <= 4096 and k <= 4096")
    before = load(tmp_path / "base")

    def predicted(name: str, software: str | None) -> Any:
        return load(tmp_path / name).predict(gemm(rows), A100, software=software, cache="cold")

    for name, factor in (("slower", 1.4), ("faster", 0.7)):
        # 1.4 and 0.7 times what the faster of the base's two stacks takes.
        seconds = factor * before.predict(gemm(rows), A100, software="stack0", cache="cold").latency_s
        train_on_base(rows.assign(latency_s=seconds), tmp_path / name, base=tmp_path / "base")
        for software in ("stack0", "stack1-1.0"):
            for figure in ("latency_s", "latency_low_s", "latency_high_s", "source", "software"):
                now, then = (getattr(predicted(n, software), figure) for n in (name, "base"))
                np.testing.assert_array_equal(now, then)
        assert np.median(predicted(name, "mine").latency_s / seconds) == pytest.approx(1, abs=0.1)
        assert set(predicted(name, None).software) == {"mine-1.0"}  # without a name, what the rows are of


def test_a_booster_of_its_own_keeps_what_is_known_of_siblings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xgboost")
    manifest = write_predictor(tmp_path / "base", ("h100-sxm", "bf16", (0.1,)))
    manifest["boosters"][0]["sibling_quantiles"] = [[-0.3, 0.4]] * 4
    artefact.write_json(tmp_path / "base", artefact.MANIFEST, manifest)
    monkeypatch.setattr(correct, "BOOSTER_ROWS", 40)
    both = pandas.concat([measured(60), measured(60).assign(dtype="fp16")])
    train_on_base(both, tmp_path / "new", base=tmp_path / "base")
    new = load(tmp_path / "new").residuals
    assert new["gemm", A100.id, "bf16"].sibling_quantiles == ((-0.3, 0.4),) * 4
    assert new["gemm", A100.id, "fp16"].sibling_quantiles is None  # nothing was ever said of this format

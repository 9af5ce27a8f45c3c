"""Which shapes are suggested, and the command that prints them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_doubles import predictor, residual
from test_calibrate import A100, ANALYTICAL, measured

from perfmodel import suggest as module
from perfmodel.calibrate import measured_errors
from perfmodel.cli import WRONG_USE, main
from perfmodel.correct import correction_of
from perfmodel.datasets.schema import read_traces
from perfmodel.errors import InputError
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.trace_rows import Part
from perfmodel.suggest import LONGEST_S, choose, suggest

pandas = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 150)


def test_shapes_are_distinct_and_spread_over_sizes_and_bounds() -> None:
    shapes = suggest(A100, 20, predictor=ANALYTICAL)
    assert len(shapes.drop_duplicates(["m", "n", "k"])) == 20
    assert shapes["latency_s"].max() <= LONGEST_S
    assert (shapes["low_s"] <= shapes["latency_s"]).all()
    assert (shapes["latency_s"] <= shapes["high_s"]).all()
    # Short and long ones, of few rows and of many: not a corner.
    assert shapes["latency_s"].max() / shapes["latency_s"].min() > 50
    assert {(m > 64, n > k) for m, n, k in shapes[["m", "n", "k"]].to_numpy()} == {
        (a, b) for a in (0, 1) for b in (0, 1)
    }


def test_the_first_shapes_are_the_first_of_more_and_the_same_every_time() -> None:
    ten, twenty, again = (suggest(A100, n, predictor=ANALYTICAL)["candidate"].tolist() for n in (10, 20, 10))
    assert ten == again == twenty[:10]


def test_suggested_shapes_leave_less_unknown_than_random_ones() -> None:
    rows = measured(150)
    kernel = ANALYTICAL.error_kernel(GEMM)
    from perfmodel.calibrate import measured_errors

    part = Part(GEMM, "gemm", A100.id, "bf16", rows)
    points = measured_errors(part, A100, ANALYTICAL).points
    covariance, noise = kernel.covariance(points, points), kernel.noise_variance(points)

    def left(index: np.ndarray) -> float:
        inverse = np.linalg.inv(covariance[np.ix_(index, index)] + np.diag(noise[index]))
        return float(np.trace(covariance - covariance[:, index] @ inverse @ covariance[index]))

    random = [left(np.random.default_rng(s).permutation(150)[:15]) for s in range(20)]
    assert left(choose(part, A100, ANALYTICAL, 15)) < min(random)


def test_a_trace_table_gives_the_candidates_and_its_latencies_do_not_matter() -> None:
    rows = measured(60)
    chosen = suggest(A100, 10, candidates=rows, predictor=ANALYTICAL)
    assert (rows.iloc[chosen["candidate"]][["m", "n", "k"]].to_numpy() == chosen[["m", "n", "k"]].to_numpy()).all()
    other = rows.assign(latency_s=rows["latency_s"].to_numpy()[::-1])
    assert (
        suggest(A100, 10, candidates=other, predictor=ANALYTICAL)["candidate"].tolist() == chosen["candidate"].tolist()
    )


def test_what_a_correction_holds_is_not_asked_for_again() -> None:
    rows = measured(60)
    half = Part(GEMM, "gemm", A100.id, "bf16", rows[:30])
    correction, _, _ = correction_of(half, measured_errors(half, A100, ANALYTICAL), A100, ANALYTICAL)
    corrected = replace(ANALYTICAL, corrections={correction.key: correction})
    asked = suggest(A100, 15, candidates=rows, predictor=corrected, software="mine-1.0")["candidate"]
    before = suggest(A100, 15, candidates=rows, predictor=ANALYTICAL, software="mine-1.0")["candidate"]
    assert (asked < 30).sum() <= 3 < (before < 30).sum()


def test_latencies_are_those_of_the_stack_that_was_named() -> None:
    # ln 1.5 and ln 3 on top of the physics; the fastest of all stacks is the first.
    both = residual(A100.id, log_ratio=(float(np.log(1.5)), float(np.log(3))), software=("quick-1.0", "slow-1.0"))
    known, rows = predictor(both), measured(40).query("m >= 16 and n <= 4096 and k <= 4096 and m <= 4096")

    def shown(software: str | None) -> np.ndarray:
        table = suggest(A100, len(rows), candidates=rows, predictor=known, software=software).sort_values("candidate")
        seconds: np.ndarray = table[["latency_s", "low_s", "high_s"]].to_numpy()
        return seconds

    np.testing.assert_allclose(shown("slow"), 2 * shown("quick-1.0"))
    np.testing.assert_array_equal(shown(None), shown("quick-1.0"))
    # A stack that nobody measured anywhere is for the fastest, as it is without a name.
    np.testing.assert_array_equal(shown("mine-1.0"), shown(None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "0 shapes were asked for; wanted 1 to"),
        ({"count": 5, "family": "gem"}, "no shapes are suggested for 'gem' so far: did you mean 'gemm'"),
        ({"count": 5, "candidates": "none"}, "the candidates hold no gemm in fp8"),
    ],
)
def test_what_cannot_be_suggested(options: dict[str, Any], message: str) -> None:
    if options.get("candidates"):
        options = {**options, "candidates": measured(9), "dtype": "fp8"}
    count = options.pop("count") if "count" in options else 5
    with pytest.raises(InputError, match=message):
        suggest(A100, count, predictor=ANALYTICAL, **options)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--device", A100.id]) == WRONG_USE
    assert "--suggest N measures nothing" in capsys.readouterr().err
    command = ["collect", "--device", A100.id, "--predictor", "analytical"]
    out = tmp_path / "shapes.csv"
    assert main([*command, "--suggest", "3", "-o", str(out)]) == 0
    assert "predicted" in capsys.readouterr().out
    table = pandas.read_csv(out)
    assert list(table.columns) == ["op", "batch", "m", "n", "k", "dtype", "device"]
    # With what measuring adds, it is a trace table.
    table.assign(software="mine-1.0", source="mine", latency_s=1e-5).to_csv(tmp_path / "few.csv", index=False)
    assert len(read_traces(tmp_path / "few.csv")) == 3
    assert main([*command, "--suggest", "3", "-o", str(out)]) == WRONG_USE
    assert "exists; --force replaces it" in capsys.readouterr().err
    assert main([*command, "--suggest", "3", "-o", str(tmp_path / "x.txt")]) == WRONG_USE
    assert "neither .csv nor .parquet" in capsys.readouterr().err
    assert main([*command, "--suggest", "3", "--json", "-"]) == 0
    shapes = json.loads(capsys.readouterr().out)["shapes"]
    assert [s["m"] for s in shapes] == table["m"].tolist()
    assert set(shapes[0]["latency_s"]) == {"value", "low", "high"}


@pytest.mark.parametrize(
    "given",
    [["--family", "gemm"], ["--dtype", "bf16"], ["--software", "vllm"], ["--from", "t.csv"], ["--predictor", "p"]],
)
def test_options_of_suggesting_are_refused_where_it_measures(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", "--device", A100.id, *given]) == WRONG_USE
    assert capsys.readouterr().err == f"perfmodel: error: {given[0]} is for --suggest N, and this measures\n"


@pytest.mark.parametrize(
    "given", [["--minutes", "5"], ["--model", "m.onnx"], ["--dim", "batch=1"], ["--only-models"], ["--recordings", "r"]]
)
def test_options_of_measuring_are_refused_where_it_suggests(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", "--device", A100.id, "--suggest", "0", *given]) == WRONG_USE
    assert capsys.readouterr().err == f"perfmodel: error: {given[0]} is for measuring, and --suggest measures nothing\n"

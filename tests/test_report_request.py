"""Pages about a whole generation request: figures as in JSON, the course over the tokens, and two runs to look into."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_predictions import operator, prediction
from test_generation import DECODER, DEVICE, causal
from test_generation import request as predicted
from test_report import Structure, data_of

from perfmodel.cli import main
from perfmodel.errors import InputError
from perfmodel.hardware import load_device
from perfmodel.predict import Estimate
from perfmodel.predict.energy import Prices
from perfmodel.predict.generation_result import GenerationPrediction, PhasePrediction
from perfmodel.predict.workload import Workload
from perfmodel.report import report, vega
from perfmodel.report.caveats import request_caveats
from perfmodel.report.comparing import comparison_html
from perfmodel.report.figures import DIGITS
from perfmodel.report.request import course, headline

H100 = load_device("h100-sxm")


@pytest.fixture(autouse=True)
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vega, "version", lambda: "6")
    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")


def about(value: float, spread: float = 0.5) -> Estimate:
    return Estimate(value, value * (1 - spread), value * (1 + spread))


def run(seconds: float, joules: float, memory: float, source: str = "learned") -> Any:
    one = operator("gemm", "a", seconds, source=source, power_w=about(joules / seconds), energy_j=about(joules))
    return prediction(
        operators=(one,), latency_s=about(seconds), energy_j=about(joules), power_w=about(joules / seconds),
        peak_memory_bytes=memory, weights_bytes=5e6, unmodelled=({"op": "Odd", "count": 2, "bytes_share": 0.25},),
    )  # fmt: skip


def by_hand(generate: int = 5, **changes: Any) -> GenerationPrediction:
    """Two sequences of ten tokens; 40 ms of prefill, then two steps of 1 ms and two of 2 ms: 46 ms in all."""
    early, late = run(1e-3, 0.1, 6e6), run(2e-3, 0.2, 7e6, "analytical")
    phases = [PhasePrediction(
        name="prefill", runs=1, tokens=20, parts=((run(40e-3, 8.0, 9e6), 1),), latency_s=about(40e-3), energy_j=about(8.0),
        power_w=about(200.0), peak_w=about(200.0),
    ), PhasePrediction(
        name="decode", runs=4, tokens=8, parts=((early, 2), (late, 2)), latency_s=about(6e-3), energy_j=about(0.6),
        power_w=about(100.0), peak_w=about(100.0),
    )]  # fmt: skip
    fields: dict[str, Any] = {
        "model": "net", "device": "h100-sxm", "predictor": "default", "prompt": 10, "generate": generate,
        "phases": tuple(phases[: 2 if generate > 1 else 1]), "latency_s": about(46e-3), "power_w": about(8.6 / 46e-3),
        "energy_j": about(8.6), "peak_w": about(200.0), "kv_cache_bytes": 14e3, "peak_memory_bytes": 9.014e6,
        "workload": Workload(2, 30), "idle_power_w": 50.0, "power_limit_w": 700.0,
    }  # fmt: skip
    return GenerationPrediction(**{**fields, **changes})


def prepared(has_cache: bool = False) -> Any:
    """A cache of 1000 bytes a token."""
    return SimpleNamespace(has_cache=has_cache, cache_at=lambda tokens: 1000.0 * tokens)


# ---------------------------------------------------------------------------------------------------- figures
def test_the_figures_of_a_request() -> None:
    rows = {row["label"]: row for row in headline(by_hand(), H100, Prices(grid=400.0, per_hour=3.6))}
    assert rows["time to first token"]["ends"] == [0.04, 0.02, 0.06]
    # 6 ms of decode are four steps.
    assert rows["time per output token"]["ends"] == [0.0015, 0.00075, 0.00225]
    assert rows["latency"]["text"] == "46.0 ms"
    # Ten tokens in 46 ms, in at most 69 and at least 23.
    assert rows["throughput"]["ends"] == [pytest.approx(217.39), pytest.approx(144.93), pytest.approx(434.78)]
    # 0.6 J for four tokens of each of two sequences.
    assert rows["energy per token"]["ends"][0] == 0.075
    assert "400 mJ a token of the prompt" in rows["energy per token"]["note"]
    # 8.6 J are 2.3889e-6 kWh, of 400 g each.
    assert rows["carbon"]["ends"][0] == pytest.approx(9.5556e-4, rel=1e-4)
    # 46 ms at 3.6 an hour are 4.6e-5, for 30 tokens.
    assert rows["money"]["ends"][0] == pytest.approx(4.6e-5 / 30 * 1e6, rel=1e-4)
    assert "4.60e-05 a request" in rows["money"]["note"]
    assert rows["peak memory"]["text"] == "9.01 MB"
    assert "14.0 kB are keys and values" in rows["peak memory"]["note"]


def test_one_token_has_no_time_for_the_next() -> None:
    rows = {row["label"]: row for row in headline(by_hand(1), H100)}
    assert rows["time per output token"]["text"] == rows["energy per token"]["text"] == "unknown"
    assert "one token is generated" in rows["time per output token"]["note"]
    assert course(by_hand(1), prepared(), H100)["steps"] == []


def test_unknown_power_stays_unknown() -> None:
    unpowered = {"power_w": None, "energy_j": None, "peak_w": None}
    rows = {row["label"]: row for row in headline(by_hand(**unpowered), H100)}
    assert rows["power"]["text"] == rows["energy"]["text"] == "unknown"
    assert course(by_hand(**unpowered), prepared(), H100)["power"] is None


def test_the_course_over_the_tokens() -> None:
    found = course(by_hand(), prepared(), H100)
    # Prefill makes token 1. Four steps follow, of which the first and the third are predicted, for two tokens each.
    places = [tuple(s[key] for key in ("from", "to", "at", "cached")) for s in found["steps"]]
    assert places == [(2, 3, 2, 10), (4, 5, 4, 12)]
    assert [s["t"] for s in found["steps"]] == [[0.001, 0.0005, 0.0015], [0.002, 0.001, 0.003]]
    # A step makes a token of each of two sequences.
    assert [s["j"][0] for s in found["steps"]] == [0.05, 0.1]
    # Ten tokens of the prompt are in the cache after prefill, and one more after each step.
    assert [m["cache"] for m in found["memory"]] == [[10e3, 10e3], [11e3, 12e3], [13e3, 14e3]]
    assert [m["rest"] for m in found["memory"]] == [4e6, 1e6, 2e6]
    assert found["power"]["duration_s"] == pytest.approx(46e-3)


def test_a_file_with_a_cache_counts_it_once() -> None:
    found = course(by_hand(), prepared(has_cache=True), H100)
    # 9 MB of the run without 5 MB of weights and the cache: 10, 11 and 13 tokens of it, the new one with them.
    assert [m["rest"] for m in found["memory"]] == [4e6 - 10e3, 1e6 - 11e3, 2e6 - 13e3]


def test_the_honest_box_weighs_runs() -> None:
    box = request_caveats(by_hand(), has_cache=False)
    # 40 and two times 1 of 46 ms rest on measurements.
    assert box["time_sources"] == {"learned": pytest.approx(42 / 46), "analytical": pytest.approx(4 / 46)}
    assert box["unmodelled"] == [{"op": "Odd", "count": 2, "bytes_share": pytest.approx(0.25)}]
    assert any("2 of 4 decode steps" in note for note in box["notes"])


def test_the_honest_box_counts_steps_that_stand_for_others() -> None:
    whole = by_hand(4)
    prefill, decode = whole.phases
    (early, _), (late, _) = decode.parts
    for last, said in (((early, 2), True), ((early, 1), False)):
        parts = (last, (late, 1))
        steps = sum(n for _, n in parts)
        short = replace(whole, generate=steps + 1, phases=(prefill, replace(decode, runs=steps, parts=parts)))
        notes = request_caveats(short, has_cache=False)["notes"]
        assert any(f"2 of {steps} decode steps are predicted" in note for note in notes) is said


# ------------------------------------------------------------------------------------------------------- page
CONDITIONS: dict[str, Any] = {"dims": {"batch": 3}, "predictor": "analytical"}


@pytest.mark.parametrize("model", [DECODER, "without"], ids=["cache", "no cache"])
def test_the_page_agrees_with_the_prediction(model: Any) -> None:
    model = causal() if model == "without" else model
    heard: list[Any] = []
    conditions = CONDITIONS if model is DECODER else {**CONDITIONS, "dims": {}}
    text = report(model, [DEVICE], prompt=10, generate=9, predicted=heard.append, **conditions)
    expected = predicted(model, generate=9, dims=conditions["dims"]).to_dict()
    assert [p.to_dict() for p in heard] == [expected]
    found = Structure(text)
    assert len(set(found.ids)) == len(found.ids)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    [device] = data_of(text)["devices"]
    ends = {row["label"]: row["ends"] for row in device["headline"]}
    prefill, decode = expected["phases"]
    for label, estimate in {
        "time to first token": prefill["latency_per_run_s"], "time per output token": decode["latency_per_run_s"],
        "latency": expected["latency_s"], "energy": expected["energy_j"], "energy per token": decode["energy_per_token_j"],
        "power": expected["power_w"],
    }.items():  # fmt: skip
        assert ends[label] == [pytest.approx(estimate[k], rel=10 ** (1 - DIGITS)) for k in ("value", "low", "high")], (
            label
        )
    assert device["course"]["memory"][-1]["cache"][1] == pytest.approx(expected["kv_cache_bytes"], rel=1e-4)
    # Eight steps, six of them predicted; the runs are the first and the last of all parts.
    last = decode["parts"][-1]["latency_s"]["value"]
    assert [r["run"] for r in device["runs"]] == ["Prefill", "Decode step"]
    assert [r["latency_s"] for r in device["runs"]] == [
        pytest.approx(v, rel=1e-4) for v in (prefill["latency_s"]["value"], last)
    ]
    # The eighth step finds the prompt and seven tokens in the cache, and adds its own.
    assert any("q1 kv18" in kind["shape"] for kind in device["runs"][1]["kinds"])
    assert ("beside the memory of this run" in device["runs"][1]["about"]) is (model is not DECODER)
    assert sum(s["to"] - s["from"] + 1 for s in device["course"]["steps"]) == 8


def test_a_request_needs_both_numbers() -> None:
    with pytest.raises(InputError, match="generate is missing"):
        report(DECODER, [DEVICE], prompt=10, **CONDITIONS)


def test_the_comparison_of_requests() -> None:
    slow = by_hand(device="l40s", latency_s=about(90e-3), energy_j=about(5.0))
    title = {"model": "net", "dims": {"prompt": 10, "generate": 5}, "asked": {}}
    text = comparison_html([by_hand(), slow], ["h100-sxm", "l40s"], title, Prices(per_hour=2.0), None)
    ids = Structure(text).ids
    assert {"chart-first-token", "chart-next-token", "chart-latency", "chart-energy", "chart-pareto"} <= set(ids)
    # The slow one takes less energy, and costs more at the same price of an hour.
    assert data_of(text)["fronts"] == {"energy": ["h100-sxm", "l40s"], "money": ["h100-sxm"]}


# ---------------------------------------------------------------------------------------------------- command
@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "decoder.onnx"
    path.write_bytes(DECODER)
    return str(path)


def test_the_commands(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--dim", "batch=3", "--predictor", "analytical", "--prompt", "10", "--generate", "4"]
    page, file = tmp_path / "request.html", tmp_path / "request.json"
    devices = ["--device", "h100-sxm,l40s"]
    assert main(["report", model, *devices, *given, "-o", str(page), "--json", str(file)]) == 0
    shown = data_of(page.read_text(encoding="utf-8"))["devices"]
    written = json.loads(file.read_text(encoding="utf-8"))["predictions"]
    assert [p["device"] for p in written] == [d["id"] for d in shown] == ["h100-sxm", "l40s"]
    assert main(["predict", model, "--device", "l40s", *given, "--json", str(file)]) == 0
    assert written[1] == json.loads(file.read_text(encoding="utf-8"))
    assert main(["compare", model, *devices, *given, "--html", str(page)]) == 0
    assert "chart-next-token" in page.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["report", model, *devices, "--prompt", "10", "-o", str(page)]) == 2
    assert "--generate is missing" in capsys.readouterr().err
    assert main(["compare", model, *devices, *given, "--over", "batch=1:8"]) == 2
    assert "--over is of" in capsys.readouterr().err

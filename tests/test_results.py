"""What public results have in common: a line, a table in Jupyter, copies, equality, hashes, sums, data frames."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_predictions import operator, prediction
from hypothesis import given
from hypothesis import strategies as st
from test_notebook import Cells

import perfmodel
from perfmodel.characterise import characterise
from perfmodel.errors import InputError
from perfmodel.predict import Estimate
from perfmodel.predict.energy.profile import PowerBlock, PowerProfile, PowerStep
from perfmodel.predict.generation_result import PhasePrediction
from perfmodel.predict.unpowered import NO_TDP, NO_TIME, unpowered
from perfmodel.training.resume import fingerprint

ROOT = Path(__file__).parent.parent
RESNET, GPT2 = (str(ROOT / "examples" / name) for name in ("resnet18.onnx", "gpt2.onnx"))
GEMM = perfmodel.Gemm(m=1024, n=1024, k=1024, dtype="fp32")
CONFIGS = {
    name: np.full(3, value)
    for name, value in {"MWG": 64, "NWG": 64, "MDIMC": 8, "NDIMC": 8, "MDIMA": 8, "NDIMB": 8}.items()
}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    p = perfmodel.predict(RESNET, "h100-sxm", dims={"batch": 2})
    request = perfmodel.predict_generation(GPT2, "h100-sxm", prompt=8, generate=3, dims={"batch": 1})
    return {
        "prediction": p, "operator": p.operators[0], "comparison": perfmodel.Comparison([p, p]), "memory": p.memory,
        "profile": p.power_profile(), "cost": p.cost(perfmodel.Prices("FRA")), "request": request,
        "phase": request.phases[0], "requests": perfmodel.compare_generation(
            GPT2, "h100-sxm", prompt=1, generate=2, dims={"batch": 1}
        ),
        "device": perfmodel.load_device("h100-sxm"), "graph": perfmodel.read_onnx(RESNET, dims={"batch": 1}),
        "predictor": perfmodel.load("default"), "estimates": perfmodel.load("default").predict([GEMM], "h100-sxm"),
        "ranking": perfmodel.rank(GEMM, CONFIGS, "rtx-3090"), "ranker": perfmodel.Ranker(GEMM, CONFIGS, "rtx-3090"),
        "character": characterise(ROOT / "examples" / "mlp.mlir"),
    }  # fmt: skip


LINES = {
    "prediction": "<ModelPrediction resnet18 on h100-sxm: ",
    "operator": "<OperatorPrediction stem: conv b2 3>64 224x224 k7x7 s2 fp32, ",
    "memory": "<MemoryPlan ",
    "profile": "<PowerProfile of ",
    "cost": "<Cost of a run on h100-sxm: ",
    "request": "<GenerationPrediction gpt2 on h100-sxm: 8 + 3 tokens, ",
    "phase": "<PhasePrediction prefill: 1 runs, 8 tokens, ",
    "device": "<Device h100-sxm: NVIDIA H100 SXM5 80GB, 989 TFLOP/s in bf16, 3.35 TB/s, 85.9 GB, 700 W>",
    "graph": "<Graph resnet18: 69 nodes, ",
    "predictor": "<Predictor default: learned: attention_decode, ",
    "estimates": "<Estimates of 1 operators: ",
    "ranking": "<Ranking of 3 of 3 configurations by latency: ",
    "ranker": "<Ranker of 3 configurations of clblast_sgemm by latency, 0 measured>",
    "character": "<Characterisation of mlp.mlir for iree-llvm-cpu-haswell: ",
}
SHOWN = (
    "prediction", "operator", "comparison", "memory", "profile", "cost", "request", "phase", "requests", "device", "estimates",
    "ranking", "character",
)  # fmt: skip
FRAMES = (
    "prediction", "operator", "comparison", "memory", "profile", "request", "phase", "requests", "estimates", "ranking",
    "character",
)  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_everything_says_what_it_is_in_a_line(name: str, results: dict[str, Any]) -> None:
    line = repr(results[name])
    assert line.startswith(LINES[name])
    assert line.endswith(">")
    assert len(line) < 200
    assert "\n" not in line


@pytest.mark.parametrize("name", SHOWN)
def test_everything_shows_itself_in_jupyter(name: str, results: dict[str, Any]) -> None:
    found = Cells(results[name]._repr_html_())
    assert {"table", "tr", "td"} <= set(found.tags)
    assert not {"script", "style", "img"} & set(found.tags)
    assert not any("None" in text or "nan" in text for text in found.texts)


@pytest.mark.parametrize("name", FRAMES)
def test_data_frames_have_a_row_each(name: str, results: dict[str, Any]) -> None:
    frame = results[name].to_pandas()
    assert len(frame) > 0
    figures = [c for c in frame.columns if c.endswith(("_s", "_w", "_j"))]
    assert figures or name in ("character", "memory")
    assert all(frame[c].dtype == "float64" for c in figures)


def test_estimates_have_the_ends_of_their_energy_as_operators_do(results: dict[str, Any]) -> None:
    e = results["estimates"]
    [row] = e.to_pandas().to_dict("records")
    assert row["energy_low_j"] == e.energy_low_j[0] < row["energy_j"] < row["energy_high_j"] == e.energy_high_j[0]
    assert row["power_source"] == e.power_source[0]
    # Without ends of their own, power times time of the ends; without a source, none.
    [row] = replace(e, energy_low_j=None, energy_high_j=None, power_source=None).to_pandas().to_dict("records")
    assert row["energy_low_j"] == row["power_low_w"] * row["latency_low_s"]
    assert row["energy_high_j"] == row["power_high_w"] * row["latency_high_s"]
    assert row["power_source"] is None


def test_frames_of_parts_are_those_of_the_whole(results: dict[str, Any]) -> None:
    whole, request = results["prediction"].to_pandas(), results["request"].to_pandas()
    assert results["operator"].to_pandas().equals(whole.head(1))
    assert results["phase"].to_pandas().equals(request[request["phase"] == "prefill"])
    memory, plan = results["memory"].to_pandas(), results["memory"]
    assert list(memory.columns) == ["node", "bytes"]
    assert tuple(memory["node"]) == plan.nodes
    assert memory["bytes"].max() == plan.peak_bytes
    profile = results["profile"].to_pandas()
    assert list(profile["name"]) == list(whole["name"])
    # Energy over time is the mean: in a run of one block each row lasts as long as its operator.
    mean = (profile["duration_s"] * profile["power_w"]).sum() / profile["duration_s"].sum()
    assert mean == pytest.approx(results["profile"].average_w.value)


def test_a_profile_and_a_phase_show_their_figures() -> None:
    """Two steps of 1 ms at 100 W and 3 ms at 300 W: (100 + 3 · 300) / 4 = 250 W on average."""
    steps = tuple(
        PowerStep(name, "gemm", seconds, Estimate(watts, watts / 2, watts * 2))
        for name, seconds, watts in (("a", 1e-3, 100.0), ("b", 3e-3, 300.0))
    )
    profile = PowerProfile((PowerBlock("decode", steps, repeat=5),), idle_power_w=70, power_limit_w=700.0)
    found = Cells(profile._repr_html_()).texts
    assert found[0] == "power over 20.0 ms"
    for name, watts, interval in (("average", "250 W", "125 W to 500 W"), ("peak", "300 W", "150 W to 600 W")):
        place = found.index(name)
        assert found[place + 1 : place + 3] == [watts, interval]
    assert {"70.0 W", "700 W", "waiting", "limit"} <= set(found)
    frame = profile.to_pandas()
    assert frame.loc[1].to_dict() == {
        "phase": "decode", "repeat": 5, "name": "b", "op": "gemm", "duration_s": 3e-3, "power_w": 300.0, "power_low_w": 150.0,
        "power_high_w": 600.0,
    }  # fmt: skip
    part = prediction()  # 400 us
    phase = PhasePrediction(
        name="decode", runs=4, tokens=8, parts=((part, 4),), latency_s=part.latency_s.scaled(4), energy_j=None, power_w=None,
        peak_w=None,
    )  # fmt: skip
    found = Cells(phase._repr_html_()).texts
    assert found[0] == "decode: 4 runs, 8 tokens"
    assert (found[found.index("a run") + 1], found[found.index("latency") + 1]) == ("400 us", "1.60 ms")
    assert found[found.index("a token") + 1 :] == ["unknown", NO_TDP]


@pytest.mark.parametrize("name", [n for n in (*LINES, "comparison", "requests") if n != "ranker"])
def test_copies_are_like_what_was_copied(name: str, results: dict[str, Any]) -> None:
    one = results[name]
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert repr(other) == repr(one)
        if name not in ("predictor", "estimates", "ranking", "graph"):  # tables, which numpy compares
            assert other == one


@pytest.mark.parametrize("name", ["prediction", "operator", "memory", "request", "phase", "device", "profile", "cost"])
def test_what_is_equal_has_one_hash(name: str, results: dict[str, Any]) -> None:
    assert len({results[name], copy.deepcopy(results[name])}) == 1


def test_predictions_that_differ_are_not_equal(results: dict[str, Any]) -> None:
    p = results["prediction"]
    assert p == perfmodel.predict(RESNET, "h100-sxm", dims={"batch": 2})
    assert p != perfmodel.predict(RESNET, "h100-sxm", dims={"batch": 3})
    memory = replace(p.memory, profile=p.memory.profile + 1.0)
    assert memory != p.memory
    assert replace(p, memory=memory) != p
    assert p.memory != "memory"


def test_a_record_for_people_is_not_what_training_goes_on_by() -> None:
    """Devices whose line is the same are told apart by what was kept of a training that was interrupted."""
    device = perfmodel.load_device("h100-sxm")
    other = replace(device, l2_bytes=1)
    assert repr(other) == repr(device)
    assert fingerprint([(device, "x")]) == fingerprint([(replace(device), "x")])
    assert fingerprint([(device, "x")]) != fingerprint([(other, "x")])


# --------------------------------------------------------------------------------------------------------------- sums
def test_runs_of_one_model_are_multiplied(results: dict[str, Any]) -> None:
    p = results["prediction"]
    three, added = 3 * p, p + p + p
    assert three == p * 3
    for name in ("latency_s", "energy_j"):
        for end in ("value", "low", "high"):
            assert getattr(getattr(three, name), end) == pytest.approx(getattr(getattr(added, name), end), rel=1e-12)
    assert (three.flops, three.bytes) == pytest.approx((added.flops, added.bytes))
    # The weights of one model are there once, those of three models three times.
    assert (three.weights_bytes, three.peak_memory_bytes) == (p.weights_bytes, p.peak_memory_bytes)
    assert added.weights_bytes == pytest.approx(3 * p.weights_bytes)
    assert [o.count for o in three.operators] == [3 * o.count for o in p.operators]
    assert sum(o.latency_s.value for o in three.operators) == pytest.approx(three.latency_s.value)
    assert three.power_w == p.power_w
    assert three.workload.samples == 6
    assert 1 * p is p


def test_a_model_that_takes_no_time_adds_no_energy_and_leaves_the_power() -> None:
    nothing = Estimate(0.0, 0.0, 0.0)
    p, views = prediction(), prediction(model="views", latency_s=nothing, power_w=None, energy_j=None)
    for both in (p + views, views + p):
        assert (both.latency_s, both.energy_j, both.power_w) == (p.latency_s, p.energy_j, p.power_w)
        assert both.utilisation == p.utilisation
    neither = views + views
    assert (neither.energy_j, neither.power_w) == (None, None)
    assert unpowered(neither) == NO_TIME
    unknown = prediction(power_w=None, energy_j=None)
    for both in (p + unknown, unknown + p, unknown + views, views + unknown):
        assert (both.energy_j, both.power_w) == (None, None)
        assert unpowered(both) == NO_TDP


@pytest.mark.parametrize("times", [0, -1, 1.5, float("nan")])
def test_runs_are_counted_in_whole_numbers(times: float) -> None:
    with pytest.raises(InputError, match="wanted a whole number of runs"):
        prediction() * times


@pytest.mark.parametrize(
    "wrong",
    [lambda p: p * "2", lambda p: p + 1, lambda p: p.latency_s * "2", lambda p: p.latency_s / [1], lambda p: p < p],
)
def test_what_has_no_meaning_is_a_type_error(wrong: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        wrong(prediction())


ENDS = st.floats(0, 1e6)


@given(ENDS, ENDS, ENDS, st.integers(1, 1000))
def test_estimates_keep_their_order_when_multiplied(a: float, b: float, c: float, times: int) -> None:
    low, value, high = sorted((a, b, c))
    one = Estimate(value, low, high)
    many = times * one
    assert many.low <= many.value <= many.high
    assert (many / times).value == pytest.approx(value)
    assert many == one * times == one.scaled(times)


def test_estimates_are_not_turned_round() -> None:
    one = Estimate(2.0, 1.0, 3.0)
    with pytest.raises(InputError, match="wanted a number of 0 or more"):
        one * -1
    with pytest.raises(InputError, match="wanted a number above 0"):
        one / 0
    assert one / 2 == Estimate(1.0, 0.5, 1.5)


def test_names_from_files_are_escaped_everywhere() -> None:
    name = "<img src=x>"
    for shown in (operator("conv", name, 1e-5, name=name), prediction(model=name)):
        assert "<img" not in shown._repr_html_()

"""Profiles of ONNX Runtime: read, corrected, joined with the graph. The made-up ones follow the documented format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.collect.kernels import EventCost, Kernel, Profile, event_cost
from perfmodel.collect.onnxruntime_profile import midmean, read_profile, without_parents
from perfmodel.errors import TraceError


def node(name: str, op: str, ts: int, dur: int, **more: Any) -> dict[str, Any]:
    arguments = {
        "op_name": op, "provider": "CPUExecutionProvider", "node_index": "0",
        "input_type_shape": [{"float": [2, 3]}], "output_type_shape": [{"float": [2, 3]}],
    }  # fmt: skip
    return {
        "cat": "Node", "pid": 1, "tid": 1, "ph": "X", "name": f"{name}_kernel_time", "ts": ts, "dur": dur,
        "args": arguments, **more,
    }  # fmt: skip


def session(name: str, ts: int, dur: int) -> dict[str, Any]:
    return {"cat": "Session", "pid": 1, "tid": 1, "ph": "X", "name": name, "ts": ts, "dur": dur, "args": {}}


def run(ts: int, *durations: int) -> list[dict[str, Any]]:
    """A run of MatMul, If (which contains Mul and Exp), Add; the event of a parent comes after those within it."""
    matmul, mul, exp, add = durations
    at = ts + 10
    events = [node("mm", "MatMul", at, matmul)]
    inner = at + matmul + 10
    events += [node("then_mul", "Mul", inner + 2, mul), node("then_exp", "Exp", inner + 4 + mul, exp)]
    events.append(node("if1", "If", inner, mul + exp + 10))
    events.append(node("add", "Add", inner + mul + exp + 20, add))
    events.append(session("SequentialExecutor::Execute", ts + 2, 200))
    events.append(session("model_run", ts, 300))
    return events


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.json"
    events = [session("model_loading_uri", 1, 50)]
    for i, durations in enumerate([(90, 50, 50, 50), (40, 4, 6, 8), (42, 5, 6, 9), (44, 6, 6, 10)]):
        events += run(1000 * (i + 1), *durations)
    path.write_text(json.dumps(events))
    return path


# ------------------------------------------------------------------------------------------------ reading
def test_kernels_of_a_profile(profile: Path) -> None:
    kernels, total, events = read_profile(profile, warm_up=1)
    assert [(k.node, k.op_type, k.calls, k.samples) for k in kernels] == [
        ("mm", "MatMul", 1.0, 3), ("then_mul", "Mul", 1.0, 3), ("then_exp", "Exp", 1.0, 3), ("add", "Add", 1.0, 3),
    ]  # fmt: skip
    assert kernels[0].latency_s == pytest.approx(42e-6)
    assert kernels[0].inputs == (("float", (2, 3)),)
    assert total == pytest.approx(62e-6)  # 42 + 5 + 6 + 9: the If, whose 21 us contain two of them, is left out
    assert events == 4
    # With the run that allocates: 90 us are in the mean of the middle half no more than one of two values.
    assert read_profile(profile)[0][0].samples == 4


def test_a_body_that_runs_often(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    events = []
    for i in range(2):
        at = 1000 * i
        events += [node("body", "MatMul", at + 10 * k, 5) for k in range(1, 6)]
        events += [node("loop", "Loop", at + 5, 100), session("model_run", at, 200)]
    path.write_text(json.dumps({"traceEvents": events}))
    [kernel], total, count = read_profile(path)
    assert (kernel.node, kernel.calls, kernel.samples) == ("body", 5.0, 10)
    assert total == pytest.approx(25e-6)
    assert count == 5


def test_equal_times_are_parent_and_child(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps([node("inner", "Mul", 10, 7), node("outer", "If", 10, 9), node("next", "Add", 19, 3)]))
    kernels, total, _ = read_profile(path)  # no model_run: all of it is one run
    assert [k.node for k in kernels] == ["inner", "next"]
    assert total == pytest.approx(10e-6)


def test_threads_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps([node("a", "Mul", 10, 50), node("b", "Add", 20, 5, tid=2), session("model_run", 0, 99)]))
    assert [k.node for k in read_profile(path)[0]] == ["a", "b"]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=30))
def test_events_one_after_the_other_have_no_parents(spans: list[tuple[int, int]]) -> None:
    from perfmodel.collect.onnxruntime_profile import Event

    events, at = [], 0
    for i, (seconds, gap) in enumerate(spans):
        events.append(Event(str(i), "Mul", at * 1e-6, seconds * 1e-6, 1, (), ()))
        at += seconds + gap
    assert len(without_parents(events)) == len(events)
    whole = Event("all", "Loop", 0.0, at * 1e-6, 1, (), ())
    if len(events) > 1:
        assert "all" not in {e.node for e in without_parents([*events, whole])}


def test_the_mean_of_the_middle_half() -> None:
    # Sorted 2 2 2 3 3 3 3 90: two cut on either side, the mean of 2 3 3 3.
    assert midmean([3, 2, 3, 90, 2, 3, 2, 3]) == pytest.approx(2.75)
    assert midmean([5.0]) == 5.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no profile of ONNX Runtime: it is no JSON"),
        ("[" * 100_000, "is no profile of ONNX Runtime: it is no JSON"),
        ("3", "wanted a list of events"),
        ("[]", "no event is the call of a kernel"),
        (json.dumps([session("model_run", 0, 5)]), "no event is the call of a kernel"),
        (json.dumps([node("a", "Mul", 1, -2)]), "event 0: dur is -2; wanted microseconds"),
        (json.dumps([node("a", "Mul", "x", 2)]), "event 0: ts is 'x'; wanted microseconds"),  # type: ignore[arg-type]
        (
            json.dumps([node("a", "Mul", 500, 2), session("model_run", 0, 5)]),
            "holds no call of a kernel within its runs",
        ),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(TraceError, match=message) as error:
        read_profile(path)
    assert str(error.value).startswith(str(path))


def test_runs_that_are_not_there(profile: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds 4 runs; wanted more than the 4 that warm up"):
        read_profile(profile, warm_up=4)
    with pytest.raises(TraceError, match="No such file"):
        read_profile(tmp_path / "none.json")


# ------------------------------------------------------------------------------------------------ correction
def made(sum_us: float, events: float, before_us: float | None, after_us: float | None = None) -> Profile:
    return Profile(
        "m", "onnxruntime-1", (Kernel("a", "Mul", 5e-6), Kernel("b", "Add", 1e-6)), sum_us * 1e-6, events,
        () if before_us is None else (before_us * 1e-6,), () if before_us is None else ((after_us or before_us) * 1e-6,),
    )  # fmt: skip


def test_the_cost_of_an_event() -> None:
    # 100 events that add up to 346 us, in a model that takes 212 us: (346 + 6 - 212) / 100.
    cost = event_cost([made(346, 100, 212)])
    assert cost.per_event_s == pytest.approx(1.4e-6)
    corrected = made(346, 100, 212).corrected(cost)
    assert corrected.predicted_s == pytest.approx(212e-6)
    assert [k.latency_s for k in corrected.kernels] == [pytest.approx(3.6e-6), pytest.approx(0.2e-6)]
    with pytest.raises(ValueError, match="corrected already"):
        corrected.corrected(cost)


def test_models_of_many_kernels_say_most() -> None:
    few = [made(1000 + i, 2, 990) for i in range(5)]  # 8 us an event and more
    assert event_cost([*few, made(346, 100, 212)]).per_event_s == pytest.approx(1.4e-6)


def test_models_that_have_no_say() -> None:
    assert event_cost([]) == EventCost()
    assert event_cost([made(900, 100, 212, 260), made(900, 100, None), made(0, 0, 10)]) == EventCost()
    assert event_cost([made(100, 100, 500)]).per_event_s == 0.0  # a profiler takes time, it gives none


def test_a_machine_that_changed_meanwhile() -> None:
    assert made(346, 100, 200, 209).status == "ok"
    moved = made(346, 100, 200, 220)
    assert moved.moved == pytest.approx(0.1)
    assert moved.status == "the unprofiled time moved by +10.0% while the model was profiled"
    assert made(346, 100, None).status == "ok"
    assert made(346, 100, None).moved is None


@given(
    sums=st.lists(st.tuples(st.floats(10, 1e5), st.integers(1, 500)), min_size=1, max_size=8),
    delta=st.floats(0, 5),
)
def test_a_cost_that_all_models_share_is_found(sums: list[tuple[float, int]], delta: float) -> None:
    profiles = [made(true + delta * n, n, true + 6) for true, n in sums]
    cost = event_cost(profiles)
    assert cost.per_event_s == pytest.approx(delta * 1e-6, abs=1e-9)
    for profile in profiles:
        assert profile.corrected(cost).predicted_s >= 0.2e-6 * profile.events

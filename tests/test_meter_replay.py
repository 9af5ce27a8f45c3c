"""Recordings: what is saved is what is read, damaged files are refused in one line, and a replay measures the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_doubles import Clock, Simulated, counter_info, ramp

from perfmodel.collect.meters import (
    Conditions,
    Counter,
    Meter,
    MeterDriver,
    MeterInfo,
    Reading,
    measure,
    open_meter,
    replay,
)
from perfmodel.collect.meters.replay import Recorder, ReplayDriver, ReplayMeter, load_readings, save_readings
from perfmodel.errors import InputError, MeterError

INFO = counter_info(counters=(Counter("a", 1e-3, 500.0), Counter("b", 1e-3, None, False)), caveats=("board alone",))
READINGS = [
    Reading(1.0, {"a": 3.0, "b": 1.0}, 20.5, Conditions(1500.0, None, 55.0, 300.0, ("power cap",))),
    Reading(1.1, {"a": 5.0, "b": 1.5}, None, Conditions(throttle=())),
    Reading(1.2, {"a": 7.0, "b": 2.0}, 21.0),
]


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    save_readings(path, INFO, READINGS)
    assert load_readings(path) == (INFO, READINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["readings.jsonl"]


finite = st.floats(0, 1e9)


@settings(max_examples=25)
@given(
    step=st.lists(st.floats(1e-3, 10), min_size=2, max_size=20),
    joules=finite,
    watts=st.none() | finite,
    clock=st.none() | finite,
    throttle=st.none() | st.lists(st.text(max_size=5), max_size=2).map(tuple),
)
def test_any_recording_survives(
    tmp_path_factory: pytest.TempPathFactory, step: list[float], joules: float, watts: float | None,
    clock: float | None, throttle: tuple[str, ...] | None,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("any") / "r.jsonl"
    readings = [
        Reading(sum(step[: i + 1]), {"gpu": joules}, watts, Conditions(clock, throttle=throttle))
        for i in range(len(step))
    ]
    save_readings(path, counter_info(), readings)
    assert load_readings(path) == (counter_info(), readings)


def test_a_replay_measures_what_was_measured(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(Simulated(counter_info(interval_s=0.0), ramp(100.0, 600.0, 1.5), clock))
    live = measure(recorder, clock.work())
    save_readings(tmp_path / "r.jsonl", recorder.info, recorder.readings)
    meter = open_meter(f"replay:{tmp_path / 'r.jsonl'}")
    again = measure(meter, lambda: None)
    # The clock of a replay stands where that of the meter stood after each reading: times may differ by an interval.
    assert again.power_w == pytest.approx(live.power_w, rel=0.002)
    assert again.energy_std_j == pytest.approx(live.energy_std_j, rel=0.01)
    assert again.measured
    assert live.measured


def test_it_is_a_driver_and_a_meter() -> None:
    assert isinstance(ReplayDriver(), MeterDriver)
    assert isinstance(ReplayMeter(INFO, READINGS), Meter)
    assert isinstance(Recorder(ReplayMeter(INFO, READINGS)), Meter)
    with pytest.raises(MeterError, match="replay needs the file of a recording: replay:FILE"):
        open_meter("replay")


def test_a_recording_ends() -> None:
    meter = ReplayMeter(INFO, READINGS)
    assert [meter.read().time_s for _ in READINGS] == [1.0, 1.1, 1.2]
    with pytest.raises(MeterError, match=r"the recording of made-up:0 is over after 0\.2 s; more was asked for"):
        meter.read()
    with pytest.raises(MeterError, match="is over"):
        measure(ReplayMeter(INFO, READINGS), lambda: None)


def test_what_was_synthesised_stays_synthesised(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(Simulated(counter_info(origin="synthesised"), ramp(1.0, 300.0, 0.1), clock))
    measure(recorder, clock.work())
    save_readings(tmp_path / "r.jsonl", recorder.info, recorder.readings)
    found = measure(open_meter(f"replay:{tmp_path / 'r.jsonl'}"), lambda: None)
    assert found.defects == ("the readings are synthesised, not a sensor's",)


def lines(header: Any = None, *readings: Any) -> list[Any]:
    plain: dict[str, Any] = {
        "format": "perfmodel-readings",
        "version": 1,
        "info": dataclasses.asdict(INFO) | {"counters": [{"name": "a", "step_j": 0.001}]},
    }
    return [plain if header is None else header(plain), *(readings or ({"time_s": 1, "energy_j": {"a": 1}},) * 1)]


def reading(**changes: Any) -> dict[str, Any]:
    return {"time_s": 2.0, "energy_j": {"a": 1.0}, **changes}


def info(**changes: Any) -> Any:
    return lambda plain: {**plain, "info": {**plain["info"], **changes}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is no recording of a meter: wanted a header and readings"),
        (lines()[:1], "is no recording of a meter: wanted a header and readings"),
        (lines(lambda h: {**h, "format": "csv"}), "line 1: format 'csv'; wanted 'perfmodel-readings'"),
        (lines(lambda h: {**h, "version": 2}), "version 2 is not known here; wanted 1"),
        (lines(lambda h: [h]), "line 1: wanted a JSON object"),
        (lines(lambda h: {**h, "info": None}), "line 1: info: wanted meter, unit, device, origin"),
        (lines(info(colour="red")), "line 1: info: wanted meter, unit, device, origin"),
        (lines(info(origin="guessed")), "origin is 'guessed'; wanted one of hardware, synthesised, estimated"),
        (lines(info(power="apparent")), "power is 'apparent'; wanted one of None, instant, average"),
        (lines(info(settle_s=-1)), "settle_s is -1; wanted a number of 0 or more"),
        (lines(info(device=3)), "device is no text"),
        (lines(info(caveats="x")), "caveats is no list of texts"),
        (lines(info(counters=[3])), "a counter is no object with a name"),
        (lines(info(counters=[{"name": "a", "step_j": True}])), "step_j is True; wanted a number"),
        (lines(None, reading(), reading()), "line 3: time_s is not after that of the line before"),
        (lines(None, reading(time_s="now")), "line 2: time_s is 'now'; wanted a number"),
        (lines(None, reading(energy_j={"b": 1})), r"line 2: energy_j has \['b'\]; wanted the counters \['a'\]"),
        (lines(None, reading(energy_j={"a": -1})), "line 2: a is -1; wanted a number of 0 or more"),
        (lines(None, reading(power_w=[])), r"line 2: power_w is \[\]; wanted a number"),
        (lines(None, reading(conditions={"volts": 1})), "line 2: conditions are no object with"),
        (lines(None, reading(conditions={"throttle": "cap"})), "line 2: throttle is no list"),
        (["{" * 5, "x"], "line 1: wanted a JSON object"),
        (["[" * 100_000, "x"], "line 1: wanted a JSON object"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: list[Any], message: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in content))
    with pytest.raises(InputError, match=message) as error:
        load_readings(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    text = "\n".join(json.dumps(line) for line in lines(None, reading(time_s=float("nan"))))
    path.write_text(text)
    with pytest.raises(InputError, match="line 2: time_s is nan; wanted a number"):
        load_readings(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_readings(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no recording of a meter: it is no text"):
        load_readings(tmp_path / "binary")
    with pytest.raises(InputError, match="cannot write"):
        save_readings(tmp_path / "none" / "r.jsonl", INFO, READINGS)


def test_a_recorder_is_the_meter_that_it_keeps() -> None:
    inner = ReplayMeter(INFO, READINGS)
    recorder = Recorder(inner)
    recorder.read()
    assert recorder.readings == READINGS[:1]
    assert (recorder.info, recorder.clock()) == (inner.info, 1.0)
    assert isinstance(recorder.info, MeterInfo)


def written(path: Path, count: int) -> Path:
    save_readings(path, INFO, [Reading(float(i), {"a": 1.0, "b": 1.0}, None) for i in range(count)])
    return path


def test_a_recording_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MOST_NUMBERS", 30)  # of a reading here 3: its time, two counters
    assert len(load_readings(written(tmp_path / "r.jsonl", 10))[1]) == 10
    with pytest.raises(InputError, match=r"r\.jsonl: line 12: more than 30 times and counters; wanted a shorter"):
        load_readings(written(tmp_path / "r.jsonl", 40))


def test_a_line_without_end_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "r.jsonl", 2)
    with path.open("a") as file:
        file.write('{"time_s": 9, "energy_j": [' + "{}," * 400_000 + "{}]}\n")
    parsed: list[int] = []
    parse = replay._object

    def noted(where: Path, number: int, line: str) -> dict[str, Any]:
        parsed.append(number)
        return parse(where, number, line)

    monkeypatch.setattr(replay, "_object", noted)
    with pytest.raises(InputError, match=r"line 4 has more than 1000000 characters, which no reading has"):
        load_readings(path)
    assert parsed == [1, 2, 3]

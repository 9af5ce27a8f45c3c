"""What an H100 gave: part of a sweep of `collect-ops` and the meter's readings of one network, kept as they were recorded.

NVIDIA H100 80GB HBM3, driver 580.159.04, PyTorch 2.11.0, 2026-11-26 (docs/collecting-gpu.md). `sweep_h100` has two operators of
every family and format, at most twelve samples of each, and four that were measured with power; `readings_h100.jsonl` is
BERT-base in fp16, 8 x 384, replayed without a pause: 2 s of settling and 3 s of a window.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

import perfmodel
from perfmodel.collect.collectors import collector
from perfmodel.collect.meters import window_of
from perfmodel.collect.meters.replay import load_readings
from perfmodel.collect.pytorch.recording import Recording
from perfmodel.collect.pytorch.sweep import FAMILIES

pytest.importorskip("pandas", reason="traces need the extra train")

SWEEP = Path(__file__).parent / "sweep_h100"
READINGS = Path(__file__).parent / "readings_h100.jsonl"


def test_the_sweep_replays_and_its_rows_keep_to_the_schema() -> None:
    from perfmodel.operator_sweep import operator_table

    table = operator_table(SWEEP, "h100-sxm")
    assert len(table) == 52
    assert set(table["op"]) == set(FAMILIES)
    assert set(table.loc[table["op"] == "gemm", "dtype"]) == {"bf16", "fp16", "fp32", "tf32", "fp8", "int8"}
    assert set(table["status"]) == {"ok"}
    assert set(table["launch"]) == {"graph"}
    assert len(collector("pytorch").replay(SWEEP).kernels) == 52


def test_no_real_time_is_below_the_floor_of_a_prediction() -> None:
    predictor, device = perfmodel.load("default"), perfmodel.load_device("h100-sxm")
    done = Recording(SWEEP).done
    floors = [float(np.ravel(predictor.predict(m.op, device, cache="warm").floor_s)[0]) for m in done]
    # What multiplies nothing and finds its operands in the cache has none.
    assert sum(floor_s > 0 for floor_s in floors) > 25
    for measured, floor_s in zip(done, floors, strict=True):
        assert measured.row["latency_s"] > floor_s, measured.op


def test_products_in_bf16_are_not_taken_for_eager_calls() -> None:
    """An eager call's 32 us, on kernels of 3 to 200 us, would be an error of hundreds of percent."""
    from perfmodel.operator_sweep import operator_table

    table = operator_table(SWEEP, "h100-sxm")
    products = table[(table["op"] == "gemm") & (table["dtype"] == "bf16")]
    assert len(products) >= 2
    assert all(group["mape"] < 1 for group in perfmodel.evaluate(products, by=("op",))["groups"])


def test_power_energy_and_time_of_a_row_agree() -> None:
    rows = [m.row for m in Recording(SWEEP).done if m.row.get("power_w")]
    assert len(rows) == 4
    for row in rows:
        assert row["energy_j"] == pytest.approx(row["power_w"] * row["latency_s"], rel=0.02)
    # The product of 8192 runs into the power limit.
    assert max(r["power_w"] for r in rows) == pytest.approx(700, abs=3)


def test_counter_and_sensor_agree_on_the_power_of_a_network() -> None:
    info, readings = load_readings(READINGS)
    begin, end = readings[0].time_s + 2, readings[-1].time_s
    counted = window_of(info, readings, begin, end, settled_s=2)
    sensed = window_of(dataclasses.replace(info, counters=()), readings, begin, end, settled_s=2)
    assert (counted.method, sensed.method) == ("energy counter", "integrated power")
    assert counted.measured
    assert sensed.measured
    assert counted.power_w == pytest.approx(691, abs=3)
    assert sensed.power_w == pytest.approx(counted.power_w, rel=0.01)
    assert counted.conditions.throttle == ("power cap",)


def test_the_counter_moves_every_tenth_of_a_second() -> None:
    """What the meter's description assumes at most."""
    info, readings = load_readings(READINGS)
    counts = [(r.time_s, r.energy_j["gpu"]) for r in readings]
    moved = [b[0] for a, b in itertools.pairwise(counts) if b[1] != a[1]]
    assert np.median(np.diff(moved)) == pytest.approx(info.update_s, rel=0.1)

"""The pages quote what was measured: accuracy.json, and whole networks that no training used."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from perfmodel._resources import data_path
from perfmodel.datasets.energaizer import failed, read_runs
from perfmodel.hardware import load_device
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.predictor import load
from perfmodel.predict.compose import EAGER_DISPATCH_S

ROOT = Path(__file__).parent.parent
ACCURACY = json.loads(data_path("models", "default", "accuracy.json").read_text())


def test_the_pages_figures_are_those_of_accuracy_json() -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text()
    for row in ACCURACY["by_device_dtype"]:
        start = f"| {row['device']} | {row['dtype']} | {row['n_groups']} | {row['n']:,} | {row['mape']:.1%} |"
        assert start in page, start


def test_the_headline_is_the_mean_of_the_devices() -> None:
    bf16 = [row for row in ACCURACY["by_device_dtype"] if row["dtype"] == "bf16"]
    assert len(bf16) == 6
    headline = np.mean([row["mape"] for row in bf16])
    assert headline < 0.05
    assert f"**{headline:.1%}**" in (ROOT / "docs" / "accuracy.md").read_text()
    assert f"| {100 * headline:.1f} % |" in (ROOT / "README.md").read_text()


def test_whole_networks_on_an_a10(shared: Path) -> None:
    # A slice of tests/bench/whole_models.py that takes seconds; its figures on the day it was written: 12.1 and 5.8 %.
    predictor, a10 = load("default"), load_device("a10")
    errors = []
    for run in read_runs(shared / "data" / "energaizer"):
        arithmetic = "bf16" if run.precision == "bf16" else "tf32"
        if run.device != "a10" or failed(
            run, Machine.of(a10, arithmetic, Conditions(clock_hz=run.clock_hz)).peak_flops
        ):
            continue
        counts = Counter(run.operators)
        e = predictor.predict(list(counts), a10, clock_hz=run.clock_hz)
        device_s = float((e.latency_s * np.array(list(counts.values()))).sum())
        errors.append(abs(max(device_s, EAGER_DISPATCH_S * len(run.operators)) / run.latency_s - 1))
    assert len(errors) == 80
    assert np.mean(errors) < 0.14
    assert np.median(errors) < 0.07

"""Boosters on the physical power: what they add, how far they are trusted, and what always holds."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import booster_json, predictor, residual, toy_device, tree, write_predictor

from perfmodel import Gemm, load
from perfmodel.errors import DeviceError, PredictorError
from perfmodel.models import artefact
from perfmodel.models.power import DevicePower, running_idle_w
from perfmodel.models.power.learned import (
    INTERVAL_GROUPS,
    LearnedPower,
    PowerResidual,
    interval_group,
    power_schema,
)
from perfmodel.models.predictor import Predictor

TOY = toy_device()
LARGE = Gemm(m=1024, n=1024, k=1024, dtype="bf16")
PAIRS = ((-0.05, 0.1),) * INTERVAL_GROUPS
ENERGY_PAIRS = ((-0.2, 0.3),) * INTERVAL_GROUPS


def power_bytes(log_ratio: tuple[float, ...]) -> bytes:
    """A booster that answers ``log_ratio[i]`` for the i-th software, whatever the shape."""
    first = len(power_schema("gemm").names)
    trees = [tree((first + i, 0.5, 1, 2, False), (0.0,), (value,)) for i, value in enumerate(log_ratio)]
    return gzip.compress(json.dumps(booster_json(trees, first + len(log_ratio))).encode(), mtime=0)


def power_residual(device: str = "toy", *, log_ratio: tuple[float, ...] = (0.1,), **changes: Any) -> PowerResidual:
    packed = power_bytes(log_ratio)
    trees = residual(device, log_ratio=log_ratio, schema=power_schema("gemm"), read=lambda: packed, **changes)
    names = [s.split(":")[0] for s in trees.software]
    return PowerResidual(trees, dict.fromkeys(names, PAIRS), dict.fromkeys(names, ENERGY_PAIRS))


def with_power(*residuals: PowerResidual, latency: tuple[float, ...] = (0.5,), **changes: Any) -> Predictor:
    software = changes.pop("software", tuple(f"stack{i}-1.0" for i in range(len(latency))))
    learned = LearnedPower({r.key: r for r in residuals}, changes.pop("intervals", {}))
    return predictor(residual(log_ratio=latency, software=software), power=learned, **changes)


def row(p: Predictor, op: Gemm = LARGE, device: Any = TOY, **options: Any) -> dict[str, Any]:
    e = p.predict(op, device, **options)
    names = (
        "latency_s", "latency_low_s", "power_w", "power_low_w", "power_high_w", "energy_j", "energy_low_j", "energy_high_j",
        "power_source", "source",
    )  # fmt: skip
    return {name: getattr(e, name)[0] for name in names}


def test_the_correction_multiplies_the_physical_power() -> None:
    physical, learned = row(with_power()), row(with_power(power_residual(log_ratio=(0.1,))))
    assert (physical["power_source"], learned["power_source"]) == ("analytical", "learned")
    # e^0.1 = 1.1051709, of labels e^-0.05 = 0.9512294 to e^0.1.
    assert learned["power_w"] == pytest.approx(1.1051709 * physical["power_w"])
    assert learned["power_low_w"] == pytest.approx(max(0.9512294 * learned["power_w"], running_idle_w(TOY) or 0))
    assert learned["power_high_w"] == pytest.approx(1.1051709 * learned["power_w"])
    assert learned["energy_j"] == learned["power_w"] * learned["latency_s"]
    assert (learned["energy_low_j"], learned["energy_high_j"]) == pytest.approx(
        (0.8187308 * learned["energy_j"], 1.3498588 * learned["energy_j"])
    )


def test_latency_knows_nothing_of_it() -> None:
    ops = [LARGE, LARGE.replace(m=1), LARGE.replace(n=2**14)]
    one, other = (p.predict(ops, TOY) for p in (with_power(), with_power(power_residual(log_ratio=(0.4,)))))
    for name in ("latency_s", "latency_low_s", "latency_high_s", "analytical_s", "source", "software", "bound"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert not np.allclose(one.power_w, other.power_w)


@pytest.mark.parametrize(
    ("measured", "share"),
    [
        ("stack0-1.0", 1.0),
        ("stack0-0.9", 0.9),  # another version of the stack
        ("stack0-1.0:triton", 0.9),  # one of its kernels
        ("other-1.0", 0.0),  # another stack says nothing
    ],
)
def test_whose_labels_count(measured: str, share: float) -> None:
    physical = row(with_power())
    learned = row(with_power(power_residual(software=(measured,), log_ratio=(0.1,))))
    assert np.log(learned["power_w"] / physical["power_w"]) == pytest.approx(0.1 * share)


def test_a_sibling_lends_seven_tenths() -> None:
    sibling = toy_device(id="h200-sxm", compute_capability="9.0")
    p = with_power(power_residual("h100-sxm"))
    p = replace(p, residuals=predictor(residual("h200-sxm")).residuals)
    physical = row(replace(p, power=LearnedPower()), device=sibling)
    assert np.log(row(p, device=sibling)["power_w"] / physical["power_w"]) == pytest.approx(0.07)


def test_outside_of_what_was_measured_the_physics_is_left() -> None:
    far = LARGE.replace(m=2**16, n=2**16)  # four octaves each
    p = with_power(power_residual())
    assert row(p, far)["power_source"] == "analytical"
    near = LARGE.replace(n=2**13)  # one octave: 1 / e
    physical = row(with_power(), near)
    assert np.log(row(p, near)["power_w"] / physical["power_w"]) == pytest.approx(0.1 * 0.3678794)


def test_at_another_clock_as_much_more_above_idle() -> None:
    p, physical = with_power(power_residual()), with_power()

    def above_idle(clock_hz: float) -> float:
        watts, idle = [row(each, clock_hz=clock_hz)["power_w"] for each in (p, physical)], running_idle_w(TOY, clock_hz)
        assert idle is not None
        return float((watts[0] - idle) / (watts[1] - idle))

    assert above_idle(1e9) > 1.1  # 10.5 % more of all
    assert above_idle(0.9e9) == pytest.approx(above_idle(1e9))
    assert above_idle(0.4e9) == pytest.approx(above_idle(1e9))
    assert [row(p, clock_hz=hz)["power_source"] for hz in (1e9, 0.9e9)] == ["learned", "blended"]


def test_intervals_are_those_of_the_software() -> None:
    wide = ((-0.3, 0.01),) * INTERVAL_GROUPS
    two = power_residual(log_ratio=(0.1, 0.1))
    two = PowerResidual(two.residual, {**two.power_quantiles, "stack1-1.0": wide}, two.energy_quantiles)
    p = with_power(two, latency=(0.5, 0.5))
    left, right = (row(p, software=s) for s in ("stack0-1.0", "stack1-1.0"))
    assert left["power_high_w"] / left["power_w"] == pytest.approx(1.1051709)
    assert right["power_high_w"] / right["power_w"] == pytest.approx(1.0100502)


def test_interval_groups_by_time_and_load() -> None:
    latency = np.array([9e-5, 9e-5, 9e-5, 1e-4, 1e-4, 1e-4])
    assert interval_group(latency, np.array([59.0, 60.0, 93.0] * 2), 100.0).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_physical_interval_is_at_least_what_left_out_devices_were_off_by() -> None:
    narrow, wide = row(with_power()), row(with_power(intervals={"gemm": (-2.0, 0.7)}))
    assert wide["power_w"] == narrow["power_w"]
    assert wide["power_low_w"] == narrow["power_low_w"] == 14.5  # idle at the highest clock: no lower
    assert narrow["power_high_w"] < wide["power_high_w"]
    assert narrow["energy_high_j"] < wide["energy_high_j"] == pytest.approx(2.0137527 * wide["energy_j"])
    assert wide["power_high_w"] == pytest.approx(min(2.0137527 * wide["power_w"], 100.0))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 2**15), min_size=3, max_size=3),
    st.floats(-6, 6),
    st.sampled_from([None, 0.3e9, 1e9]),
    st.sampled_from(["bf16", "fp32"]),
)
def test_what_always_holds(dims: list[int], log_ratio: float, clock_hz: float | None, dtype: str) -> None:
    p = with_power(power_residual(log_ratio=(log_ratio,)))
    e = row(p, Gemm(m=dims[0], n=dims[1], k=dims[2], dtype=dtype), clock_hz=clock_hz)
    idle = running_idle_w(TOY, clock_hz)
    assert idle is not None
    assert idle * (1 - 1e-12) <= e["power_low_w"] <= e["power_w"] <= e["power_high_w"] <= 100.0
    assert 0 < e["energy_low_j"] <= e["energy_j"] <= e["energy_high_j"] < np.inf
    assert e["energy_j"] == pytest.approx(e["power_w"] * e["latency_s"])


# ---------------------------------------------------------------------------------------------------------------- folders
def entry_of(file: str, sha256: str) -> dict[str, Any]:
    made = power_residual("h100-sxm").residual
    pairs = {"stack0-1.0": [list(p) for p in PAIRS]}
    return {
        "family": "gemm", "device": "h100-sxm", "dtype": "bf16", "part": "bf16", "software": list(made.software),
        "cache": list(made.cache), "support": {k: list(v) for k, v in made.support.items()}, "rows": 10, "file": file,
        "sha256": sha256, "power_quantiles": pairs, "energy_quantiles": pairs,
    }  # fmt: skip


def powered_folder(folder: Path, **changes: Any) -> Path:
    sha256 = artefact.write_file(folder, "power/gemm/h100-sxm/bf16.json.gz", power_bytes((0.1,)))
    entry = {**entry_of("power/gemm/h100-sxm/bf16.json.gz", sha256), **changes.pop("entry", {})}
    manifest = {
        "power_boosters": [entry], "power_feature_schemas": {"gemm": power_schema("gemm").sha256},
        "power_log_intervals": {"gemm": [-0.5, 0.4]},
    }  # fmt: skip
    write_predictor(folder, ("h100-sxm", "bf16", (0.5,)), **{**manifest, **changes})
    return folder


def test_a_folder_with_power(tmp_path: Path) -> None:
    loaded = load(powered_folder(tmp_path / "powered"))
    assert isinstance(loaded, Predictor)
    assert list(loaded.power.residuals) == [("gemm", "h100-sxm", "bf16")]
    assert loaded.power.intervals == {"gemm": (-0.5, 0.4)}
    e = loaded.predict(LARGE, "h100-sxm")
    assert e.power_source is not None
    assert e.power_source.tolist() == ["learned"]


def test_a_folder_of_before(tmp_path: Path) -> None:
    write_predictor(tmp_path / "old", ("h100-sxm", "bf16", (0.5,)))
    e = load(tmp_path / "old").predict(LARGE, "h100-sxm")
    assert (e.source.tolist(), e.power_source.tolist()) == (["learned"], ["analytical"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"power_feature_schemas": {"gemm": "0" * 64}}, "train its power again"),
        ({"entry": {"power_quantiles": {"stack0-1.0": [[0.0, 0.1]]}}}, "6 pairs of finite quantiles"),
        ({"entry": {"energy_quantiles": {}}}, "of each software"),
        ({"entry": {"family": "astrology"}}, "does not know"),
        ({"power_log_intervals": {"gemm": [0.1, 0.2]}}, "wanted logarithms around 0"),
        ({"power_feature_schemas": {}}, "lacks something"),
    ],
)
def test_damaged_folders(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        load(powered_folder(tmp_path / "p", **changes))


def test_a_changed_booster_is_refused(tmp_path: Path) -> None:
    loaded = load(powered_folder(tmp_path / "p"))
    (tmp_path / "p" / "power" / "gemm" / "h100-sxm" / "bf16.json.gz").write_bytes(power_bytes((0.2,)))
    with pytest.raises(PredictorError, match="does not match its hash"):
        loaded.predict(LARGE, "h100-sxm")


# ----------------------------------------------------------------------------------------------------------- device files
def test_power_constants_of_a_devices_own() -> None:
    own = toy_device(measured={"power.idle_w": 20.0, "power.bf16_j_per_flop": 2e-12, "power.vector_j_per_flop": 3e-12})
    d, regressed = DevicePower.of(own), DevicePower.of(TOY)
    assert (d.idle_w, d.arithmetic_j_per_flop["bf16"], d.vector_j_per_flop) == (20.0, 2e-12, 3e-12)
    assert (d.dram_j_per_byte, d.arithmetic_j_per_flop["fp8"]) == (
        regressed.dram_j_per_byte, regressed.arithmetic_j_per_flop["fp8"],
    )  # fmt: skip
    with pytest.raises(DeviceError, match=r"measured\.power\.colour is no power constant; wanted some of idle_w"):
        DevicePower.of(toy_device(measured={"power.colour": 1.0}))


@pytest.mark.parametrize(("device", "running"), [("h200-sxm", 126), ("b200-sxm", 238), ("gb200", 205)])
def test_idle_power_of_the_devices_with_labels(device: str, running: float) -> None:
    # The lowest labels of each device's tables.
    from perfmodel.hardware import load_device

    record = load_device(device)
    assert running_idle_w(record) == pytest.approx(running, rel=0.01)
    assert "AIConfigurator" in DevicePower.of(record).sources["dram_j_per_byte"]

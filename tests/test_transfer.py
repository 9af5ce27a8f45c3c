"""Devices that were not measured: what they lean on, what is left out to judge it, and whose errors make their interval."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_doubles import booster_json, predictor, residual, toy_device, tree

from perfmodel import hardware, load
from perfmodel.evaluate import JudgedRows, evaluate
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK
from perfmodel.models.families.gemm import GEMM as GEMM_FAMILY
from perfmodel.models.fit import gemm_group
from perfmodel.models.kernel import general_kernel
from perfmodel.models.learned import UNSEEN, Residual
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import parts_of
from perfmodel.ops import Gemm
from perfmodel.transfer import (
    FAMILY,
    SIBLING,
    LeftOut,
    by_physics,
    harmful,
    leave_out,
    sibling_of,
    targets,
    transfer_quantiles,
    with_intervals,
)

pandas = pytest.importorskip("pandas")
pytest.importorskip("xgboost")
transfer = import_module("perfmodel.transfer")
training = import_module("perfmodel.train")

DEVICES = ("a100-sxm-80gb", "h100-sxm", "h200-sxm")
GEMM = Gemm(m=np.array([64.0, 128.0, 4000.0]), n=256, k=512, dtype="bf16")
LARGE = Gemm(m=np.array([32.0, 64.0, 128.0]), n=512, k=512, dtype="bf16")


def synthetic(device: str, *, pairs: int = 40, factor: float = 1.0) -> Any:
    """Rows that take ``factor`` times the physics, and half as long again where m is no multiple of 64."""
    rng = np.random.default_rng(5)
    rows = pandas.DataFrame(
        {"device": device, "software": "vllm-0.9.0", "op": "gemm", "batch": 1, "m": np.tile([32, 64, 1056, 1024], pairs),
         "n": np.repeat(64 * rng.integers(1, 128, pairs), 4), "k": np.repeat(64 * rng.integers(1, 128, pairs), 4),
         "dtype": "bf16", "source": "synthetic", "cache": "warm"}
    )  # fmt: skip
    physics = analyse(
        gemm_group(rows, "bf16"), load_device(device), constants=FALLBACK, conditions=Conditions("warm")
    ).latency_s
    rows["latency_s"] = physics * factor * np.where(rows["m"] % 64, 1.5, 1.0)
    return rows


def traces(**factors: float) -> Any:
    parts = [synthetic(d, factor=factors.get(d.split("-")[0], 1.0)) for d in DEVICES]
    return pandas.concat(parts, ignore_index=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Fits of the constants are skipped; the devices that each would have seen are kept."""
    seen: list[set[str]] = []

    def held(table: Any, **options: Any) -> Any:
        seen.append(set(table["device"]))
        return FALLBACK

    monkeypatch.setattr(transfer, "fit_constants", held)
    monkeypatch.setattr(training, "fit_constants", held)
    monkeypatch.setitem(GEMM_FAMILY.booster, "trees", 30)
    monkeypatch.setitem(transfer.UNSEEN_BOOSTER, "min_child_weight", 1)
    return seen


def test_every_family_has_one_say_however_many_devices_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[np.ndarray] = []
    boost = transfer.boost

    def kept(matrix: Any, target: Any, parameters: Any, seed: int, weight: np.ndarray) -> Any:
        weights.append(weight)
        return boost(matrix, target, parameters, seed, weight)

    monkeypatch.setattr(transfer, "boost", kept)
    table = pandas.concat(
        [synthetic("a100-sxm-80gb", pairs=10), synthetic("h100-sxm"), synthetic("h200-sxm", pairs=20)]
    )
    assert transfer.train_unseen(parts_of(table), FALLBACK, 0) is not None
    ampere, h100, h200 = (w.sum() for w in np.split(weights[0], np.cumsum([40, 160])))
    assert [ampere / (h100 + h200), h100 / h200] == pytest.approx([1, 1])


# ------------------------------------------------------------------------------------------------------------ protocols
def test_what_is_left_out() -> None:
    assert targets(DEVICES, "device") == {d: [d] for d in DEVICES}
    assert targets(DEVICES, "family") == {"ampere": ["a100-sxm-80gb"], "hopper": ["h100-sxm", "h200-sxm"]}
    assert sibling_of(load_device("h200-sxm"), ["a100-sxm-80gb", "h100-sxm"]) == "h100-sxm"
    assert sibling_of(load_device("h200-sxm"), ["a100-sxm-80gb"]) is None
    assert sibling_of(toy_device(compute_capability=None), DEVICES) is None


def test_a_device_leans_on_its_sibling_and_is_not_seen(quick: list[set[str]]) -> None:
    # H100 and H200 share a factor of 3 that nobody else has.
    parts = leave_out(parts_of(traces(h100=3.0, h200=3.0)), "device", FALLBACK)
    kinds = {p.rows.device: p.kind for p in parts}
    assert kinds == {"a100-sxm-80gb": FAMILY, "h100-sxm": SIBLING, "h200-sxm": SIBLING}
    assert quick == [set(DEVICES) - {d} for d in DEVICES]
    for part in parts:
        if part.kind == SIBLING:
            # a tenth of the sibling's ratio of up to 4.5 is held back
            assert np.abs(np.log(part.rows.measured / part.rows.predicted)).mean() < 0.3
        else:  # one compute capability is left, which says nothing of others
            np.testing.assert_array_equal(part.rows.predicted, part.rows.analytical)


def test_a_family_is_left_out_as_a_whole(quick: list[set[str]]) -> None:
    parts = leave_out(parts_of(traces(h100=3.0, h200=3.0)), "family", FALLBACK)
    assert quick == [{"h100-sxm", "h200-sxm"}, {"a100-sxm-80gb"}]
    assert {p.kind for p in parts} == {FAMILY}
    hopper = [p for p in parts if p.target == "hopper"]
    # Nothing says that Hopper is three times as slow; one family alone trains no booster for others.
    for part in hopper:
        np.testing.assert_array_equal(part.rows.predicted, part.rows.analytical)


def test_what_all_families_share_carries_over() -> None:
    l40s = synthetic("l40s")
    table = pandas.concat([traces(), l40s], ignore_index=True)
    parts = leave_out(parts_of(table), "family", FALLBACK)
    for part in parts:
        error = np.abs(part.rows.predicted / part.rows.measured - 1).mean()
        physics = np.abs(part.rows.analytical / part.rows.measured - 1).mean()
        assert physics == pytest.approx(1 / 6, abs=0.01)  # half of the rows are a third too fast
        assert error < 0.4 * physics


def test_evaluate_by_protocol(quick: list[set[str]]) -> None:
    report = evaluate(traces(), Predictor(constants=FALLBACK), protocol="device", by=("device",))
    assert report["protocol"] == "device"
    assert [g["device"] for g in report["groups"]] == list(DEVICES)
    assert evaluate(traces(), Predictor(), protocol="family", by=("dtype",))["overall"]["n"] == len(traces())


@pytest.mark.parametrize("protocol", ["device", "family"])
def test_a_device_that_no_catalogue_has_is_left_out_like_the_others(protocol: str, tmp_path: Path) -> None:
    record = tmp_path / "mine.toml"
    text = Path(hardware.__file__).with_name("catalogue").joinpath("h100-sxm.toml").read_text("utf-8")
    record.write_text(text.replace('id = "h100-sxm"', 'id = "mine"'), "utf-8")
    table = traces()
    mine = table.replace({"device": {"h100-sxm": "mine"}})
    report = evaluate(mine, Predictor(constants=FALLBACK), device=record, protocol=protocol, by=("device",))
    assert {g["device"] for g in report["groups"]} == {"mine", "a100-sxm-80gb", "h200-sxm"}
    if protocol == "family":  # the file is the H100's under another name: the same errors, and the same intervals
        wanted = evaluate(table, Predictor(constants=FALLBACK), protocol=protocol, by=("device",))
        named = [{**g, "device": g["device"].replace("h100-sxm", "mine")} for g in wanted["groups"]]
        assert sorted(report["groups"], key=str) == sorted(named, key=str)


# ------------------------------------------------------------------------------------------------------------ intervals
def left_out(target: str, errors: Any, *, kind: str = FAMILY, predicted: float = 5e-6) -> LeftOut:
    errors = np.asarray(errors, dtype=float)
    p = np.full(len(errors), predicted)
    device = {"ampere": "a100-sxm-80gb", "hopper": "h100-sxm", "ada": "l40s"}.get(target, target)
    key = np.full(len(errors), "1x1x1")
    rows = JudgedRows(device, "bf16", "vllm-1", p * np.exp(errors), p, p, p, p, p, key, 1)
    return LeftOut(kind, target, rows)


def test_the_widest_target_decides() -> None:
    narrow, low, high = np.linspace(-0.1, 0.1, 201), np.linspace(-1, 0, 201), np.linspace(0, 2, 201)
    parts = [left_out("ampere", narrow), left_out("hopper", low), left_out("ada", high)]
    (quantiles,) = [transfer_quantiles(parts)[FAMILY]["gemm", "bf16"]]
    # 5 % and 95 % of each: ±0.09, -0.95 to -0.05, 0.1 to 1.9.
    assert quantiles[0] == pytest.approx([-0.95, 1.9])
    assert len(quantiles) == 4
    assert transfer_quantiles([]) == {}


def test_an_interval_takes_no_error_of_its_own_family() -> None:
    own = [left_out("hopper", np.linspace(-9, 9, 201)), left_out("h200-sxm", np.linspace(-9, 9, 201))]
    other = left_out("ampere", np.linspace(-0.1, 0.1, 201))
    sibling = left_out("h200-sxm", np.linspace(-0.2, 0.2, 201), kind=SIBLING)
    judged = with_intervals([own[0], sibling], [*own, other, sibling], ["h100-sxm", "h200-sxm", "a100-sxm-80gb"])
    np.testing.assert_allclose(judged[0].rows.low, 5e-6 * np.exp(-0.09))
    np.testing.assert_allclose(judged[0].rows.high, 5e-6 * np.exp(0.09))
    # Nothing else of its kind was left out: no interval is claimed.
    assert judged[1] == sibling


def test_trees_that_harm_a_family_are_not_used() -> None:
    def judged(family: str, predicted: float, physics: float, kind: str = FAMILY, dtype: str = "bf16") -> LeftOut:
        part = left_out(family, np.zeros(4), kind=kind)
        errors = {"predicted": np.full(4, predicted), "analytical": np.full(4, physics), "measured": np.ones(4)}
        return replace(part, rows=replace(part.rows, dtype=dtype, **errors))

    # Errors of 10 % against 9.5 are no harm; of 30 % against 20 they are, whatever another family gained.
    good = [judged("ampere", 1.10, 1.095), judged("hopper", 1.1, 1.5)]
    bad = [judged("ampere", 1.1, 1.9, dtype="fp8"), judged("hopper", 0.7, 1.2, dtype="fp8")]
    sibling = judged("hopper", 5.0, 1.0, SIBLING)
    assert harmful([*good, *bad, sibling]) == {"fp8"}
    assert harmful([]) == set()
    kept = by_physics([*good, *bad, sibling], {"fp8"})
    assert [p.rows.predicted[0] for p in kept] == [1.10, 1.1, 1.9, 1.2, 5.0]


# ------------------------------------------------------------------------------------------------------------ in the product
def unseen(**changes: Any) -> Residual:
    """ln 2 more than the physics for one stack."""
    features = len(feature_schema("gemm_unseen").names) + 1
    packed = gzip.compress(json.dumps(booster_json([tree((float(np.log(2)),))], features)).encode(), mtime=0)
    fields = {
        "software": ("vllm",), "schema": feature_schema("gemm_unseen"), "read": lambda: packed, "vendors": ("Nobody",),
        "quantiles": ((-0.5, 0.7),) * 4,
    }  # fmt: skip
    return residual(UNSEEN, **{**fields, **changes})


def test_a_device_that_was_not_measured_leans_on_all() -> None:
    p = predictor(unseen())
    e = p.predict(GEMM, toy_device(), cache="warm", software="vllm")
    np.testing.assert_allclose(e.latency_s / e.analytical_s, 2**0.9)
    assert e.source.tolist() == ["blended"] * 3
    np.testing.assert_allclose(e.latency_high_s / e.latency_s, np.exp(0.7))
    assert (e.latency_low_s >= e.latency_s * np.exp(-0.5) * (1 - 1e-12)).all()
    assert any("was not measured" in note for note in e.notes)


@pytest.mark.parametrize(
    "device",
    [toy_device(vendor="Somebody"), toy_device(compute_capability=None), toy_device(peak_flops={"fp32": 1e11})],
    ids=["another vendor", "no capability", "bf16 runs as fp32"],
)
def test_where_it_says_nothing(device: Any) -> None:
    e = predictor(unseen()).predict(GEMM, device, cache="warm")
    np.testing.assert_array_equal(e.latency_s, e.analytical_s)
    assert set(e.source) == {"analytical"}


def test_a_sibling_comes_first_with_its_own_interval() -> None:
    quantiles = ((-0.3, 0.4),) * 4
    p = predictor(unseen(), residual("toy", log_ratio=(0.1,), sibling_quantiles=quantiles))
    brother = toy_device(id="brother")
    # siblings are found by the capability that the catalogue quotes
    h100 = predictor(unseen(), residual("h100-sxm", log_ratio=(0.1,), sibling_quantiles=quantiles))
    e = h100.predict(GEMM, replace(load_device("h100-sxm"), id="h800"), cache="warm")
    np.testing.assert_allclose(e.latency_high_s / e.latency_s, np.exp(0.4))
    np.testing.assert_allclose(e.latency_s[:1] / e.analytical_s[:1], np.exp(0.09), rtol=1e-6)
    assert p.known_software("stack0-1.0", toy_device(), GEMM) == "stack0-1.0"
    assert p.known_software("stack0-7.0", toy_device(), GEMM) == "stack0"
    assert p.known_software("vllm-0.1", brother, GEMM) == "vllm"
    assert p.known_software("vllm-0.1", toy_device(), GEMM) is None
    assert p.known_software("vllm-0.1", brother, GEMM.replace(dtype="fp8")) is None


def test_a_sibling_none_of_whose_kind_was_left_out_has_the_interval_of_the_physics_too() -> None:
    def interval(device: Device, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
        p = predictor(residual("h100-sxm", log_ratio=(0.1,), **changes))
        e = p.predict(LARGE, device, cache="warm", software="stack0")
        assert (e.latency_low_s > e.floor_s).all()
        return np.log(e.latency_low_s / e.latency_s), np.log(e.latency_high_s / e.latency_s)

    # The physics is off by -0.4 to 0.6, the booster on shapes of its own by -0.1 to 0.2, or by -0.1 to 0.9.
    h100 = load_device("h100-sxm")
    sibling = replace(h100, id="h800")
    np.testing.assert_allclose(interval(h100), ([-0.1] * 3, [0.2] * 3))
    np.testing.assert_allclose(interval(sibling), ([-0.4] * 3, [0.6] * 3))
    np.testing.assert_allclose(interval(sibling, quantiles=((-0.1, 0.9),) * 4), ([-0.4] * 3, [0.9] * 3))
    # A stack of few shapes has twice the width, -0.25 to 0.35, on the device itself; the physics holds that on the sibling.
    np.testing.assert_allclose(interval(h100, widths={"stack0-1.0": 2.0}), ([-0.25] * 3, [0.35] * 3))
    np.testing.assert_allclose(interval(sibling, widths={"stack0-1.0": 2.0}), ([-0.4] * 3, [0.6] * 3))
    # Where siblings were left out, what they said is all.
    np.testing.assert_allclose(interval(sibling, sibling_quantiles=((-0.3, 0.3),) * 4), ([-0.3] * 3, [0.3] * 3))


def test_training_writes_what_other_devices_need(tmp_path: Path) -> None:
    table = pandas.concat([traces(), synthetic("l40s")], ignore_index=True)
    accuracy = training.train(table, tmp_path / "p")
    assert set(accuracy["transfer"]) == {"device", "family"}
    assert len(accuracy["transfer"]["family"]["groups"]) == 4
    loaded = load(tmp_path / "p")
    assert set(loaded.residuals) == {("gemm", d, "bf16") for d in (*DEVICES, "l40s", UNSEEN)}
    assert loaded.residuals["gemm", "h100-sxm", "bf16"].sibling_quantiles is not None
    learned = loaded.error_kernels["gemm"]
    # Rows here repeat to the last digit: less noise than the general covariance has.
    assert loaded.error_kernel(GEMM_FAMILY) is learned
    assert learned.noise < general_kernel(GEMM_FAMILY).noise
    a10 = loaded.predict(GEMM.replace(m=np.array([64.0, 1056.0, 1024.0])), "a10", cache="warm")
    assert set(a10.source) == {"blended"}
    # 1056 is no multiple of 64: half as long again, of which nine tenths are believed.
    np.testing.assert_allclose(a10.latency_s / a10.analytical_s, [1, 1.5**0.9, 1], rtol=0.1)
    assert loaded.predict(GEMM, "mi210", cache="warm").source.tolist() == ["analytical"] * 3

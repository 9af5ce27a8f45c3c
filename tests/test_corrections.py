"""Corrections of a predictor by few rows: the process itself, how it is suited to a device, stored, and used."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import write_predictor
from test_calibrate import A100, ANALYTICAL, measured

from perfmodel import correct, load
from perfmodel._resources import data_path
from perfmodel.calibrate import calibrate, measured_errors
from perfmodel.cli import main
from perfmodel.correct import train_on_base
from perfmodel.errors import InputError, PredictorError
from perfmodel.export import artefact as exported
from perfmodel.export import operator
from perfmodel.hardware.writer import device_toml
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK
from perfmodel.models.corrections import Correction, _width, corrected, fit_correction, packed, unpacked
from perfmodel.models.families import FAMILIES
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.host.composition import Composition
from perfmodel.models.kernel import Kernel, Part, Points, error_columns, error_kernel
from perfmodel.models.kernel_fit import Sample, _negative_log_likelihood, _packed, _unpacked, fit_kernel
from perfmodel.models.trace_rows import Part as Rows
from perfmodel.ops import Elementwise, Gemm

pandas = pytest.importorskip("pandas")
pytest.importorskip("scipy")

ROUGH = Kernel((Part("matern12", ("x",), (2.0,), (0.02, 0.01, 0.01)),), noise=0.01, launch_noise=1e-12)
"""exp(-distance / 2) times 0.02, 0.03 within a stack, 0.04 within a software."""


def points(*x: float, software: tuple[str, ...] | None = None) -> Points:
    names = software or ("s-1",) * len(x)
    return Points({"x": np.array(x)}, np.array(names, dtype=object))


def correction(kernel: Kernel, where: Points, error: np.ndarray, noise: np.ndarray) -> Correction:
    data = packed(where, error, noise, ("x",))
    return Correction("toy", "gemm", "bf16", ("s-1",), ("warm",), kernel, {}, len(error), lambda: data)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A predictor without a booster: the physics, in a folder."""
    folder = tmp_path / "base"
    manifest = {
        "schema": 1, "perfmodel": "0", "seed": 0, "constants": FALLBACK.to_dict(), "feature_schemas": {}, "boosters": [],
        "training_data": [], "analytical_log_intervals": {}, "versions": {},
    }  # fmt: skip
    artefact.write_json(folder, artefact.MANIFEST, manifest)
    return folder


def gemm(rows: Any) -> Gemm:
    return Gemm(**{d: rows[d].to_numpy(float) for d in "mnk"}, dtype="bf16")


# ------------------------------------------------------------------------------------------------------- the covariance
def test_a_row_at_the_measured_point_by_hand() -> None:
    mean, deviation, known = correction(ROUGH, points(1.0), np.array([0.1]), np.array([0.01])).predict(
        {"x": np.array([1.0, 1.0 + 2 * np.log(2)])}, "s-1"
    )
    # One point of variance 0.04 and noise 0.01: 0.8 of its error there, half of that where the covariance has halved.
    # 0.8 and 0.2 of the variance are gone; of the rest one row against twenty leaves a twenty-first.
    assert mean == pytest.approx([0.08 * 17 / 21, 0.04 * 5 / 21], rel=1e-4)
    # What is left: 0.04 - 0.04^2 / 0.05, and 0.04 - 0.02^2 / 0.05, and the noise of a new measurement.
    assert deviation**2 == pytest.approx([0.018, 0.042], rel=1e-3)
    assert known == pytest.approx([0.8, 0.2], rel=1e-3)


def test_software_shares_what_it_is_said_to() -> None:
    known = correction(ROUGH, points(1.0), np.array([0.1]), np.array([0.01]))
    means = [known.predict({"x": np.array([1.0])}, s)[0][0] for s in ("s-1", "s-2", "t-1")]
    # 0.08, 0.06 and 0.04 where rows are many; of the variance 0.8, 0.45 and 0.2 are gone.
    assert means == pytest.approx([0.08 * 17 / 21, 0.06 * 10 / 21, 0.04 * 5 / 21], rel=1e-4)


def test_few_rows_do_not_narrow_the_interval_to_what_they_claim() -> None:
    one = correction(ROUGH, points(1.0), np.array([0.1]), np.array([0.01]))

    def halves(correction: Correction) -> tuple[float, float]:
        latency = np.array([1e-4])
        columns = corrected(
            correction,
            "s-1",
            blend=lambda software: {
                "latency_s": latency, "latency_low_s": latency * np.exp(-0.8), "latency_high_s": latency * np.exp(1.2),
                "floor_s": np.zeros(1), "source": np.array(["analytical"], dtype=object),
            },
            base_software=lambda software: None,
            columns=lambda cache: {"x": np.array([1.0])},
        )  # fmt: skip
        low, high = (np.log(columns[f"latency_{side}_s"] / columns["latency_s"])[0] for side in ("low", "high"))
        return low, high

    # 1.645 sqrt(0.018) = 0.2207 by the process: one row against fifty leaves it a fifty-first, very many all.
    assert halves(one) == pytest.approx(((-50 * 0.8 - 0.2207) / 51, (50 * 1.2 + 0.2207) / 51), rel=1e-3)
    assert halves(replace(one, rows=10**9)) == pytest.approx((-0.2207, 0.2207), rel=1e-3)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_covariances_have_no_negative_variance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for family in (GEMM, FAMILIES["attention_prefill"]):
        kernel = error_kernel(family)
        names = sorted({c for p in kernel.parts for c in p.columns})
        software = np.array(rng.choice(["a-1", "a-2", "b-1"], 12), dtype=object)
        some = Points({n: rng.normal(0, 2, 12) for n in names}, software)
        covariance = kernel.covariance(some, some)
        assert np.allclose(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > -1e-9 * covariance.max()
        assert np.allclose(np.diag(covariance), kernel.variance(some), rtol=1e-4)
        assert Kernel.from_dict(json.loads(json.dumps(kernel.to_dict()))) == kernel


def test_the_gradient_of_the_likelihood_is_its_slope() -> None:
    rng = np.random.default_rng(0)
    kernel = error_kernel(GEMM)
    names = sorted({c for p in kernel.parts for c in p.columns})
    some = Points({n: rng.random(15) for n in names}, np.array(rng.choice(["a-1", "a-2", "b-1"], 15), dtype=object))
    sample, x = Sample(some, rng.normal(0, 0.1, 15)), _packed(kernel)
    _, gradient = _negative_log_likelihood(kernel, sample)
    for i in range(len(x)):
        step = 1e-5 * np.eye(len(x))[i]
        up, down = (_negative_log_likelihood(_unpacked(x + s, kernel), sample)[0] for s in (step, -step))
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-5)


def test_the_scale_of_errors_is_learned() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 40, 150)
    samples = []
    for _ in range(3):
        where = points(*x)
        truth = np.linalg.cholesky(ROUGH.covariance(where, where) + 0.01 * np.eye(150))
        samples.append(Sample(where, truth @ rng.standard_normal(150)))
    wrong = Kernel((replace(ROUGH.parts[0], scales=(20.0,)),), noise=0.1, launch_noise=1e-6)
    learned = fit_kernel(samples, wrong, steps=60)
    assert learned.noise == pytest.approx(0.01, rel=0.4)
    assert learned.parts[0].scales[0] == pytest.approx(2.0, rel=0.6)


# ---------------------------------------------------------------------------------------------- suited to a device's rows
def test_an_outlier_loses_its_say() -> None:
    x = np.linspace(0, 1, 21)
    error = np.where(np.arange(21) == 10, 0.6, 0.05)
    fitted = fit_correction(points(*x), error, ROUGH)
    known = correction(fitted.kernel, points(*x), fitted.error, fitted.noise)
    assert known.predict({"x": x}, "s-1")[0] == pytest.approx(np.full(21, 0.05), abs=0.03)


def test_errors_without_a_pattern_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    x, error = rng.uniform(0, 500, 60), rng.normal(0, 0.2, 60)
    fitted = fit_correction(points(*x), error, ROUGH)
    known = correction(fitted.kernel, points(*x), fitted.error, fitted.noise)
    assert np.abs(known.predict({"x": x + 0.5}, "s-1")[0]).mean() < 0.06


def test_the_width_is_tempered_where_rows_are_few() -> None:
    # 20 rows that all miss by twice the 90 % quantile ask for twice the width, 20 imagined ones for none: half as wide again.
    missed = np.tile([-2.0, 2.0], 10) * 1.645
    assert _width(missed, np.ones(20)) == pytest.approx(1.5)
    assert _width(0.01 * missed, np.full(20, 0.01)) == pytest.approx(1.5)


def test_intervals_are_the_processs_where_rows_are_many() -> None:
    """Around a measured point, with hardly any noise, and far away: 1.645 deviations each, instead of a factor of two."""
    known = replace(correction(ROUGH, points(0.0), np.array([0.1]), np.array([1e-6])), rows=10**9)
    blend = {
        "latency_s": np.ones(2), "latency_low_s": np.full(2, 0.5), "latency_high_s": np.full(2, 2.0),
        "floor_s": np.zeros(2), "source": np.array(["analytical"] * 2, dtype=object),
    }  # fmt: skip
    where = {"x": np.array([0.0, 1e3])}
    e = corrected(known, "s-1", blend=lambda s: blend, base_software=lambda s: None, columns=lambda cache: where)
    # Noise of variance 0.01 remains of one measurement; far away a variance of 0.04 with it.
    assert e["latency_s"] == pytest.approx([np.exp(0.1), 1], rel=1e-4)
    assert e["latency_low_s"] / e["latency_s"] == pytest.approx([np.exp(-0.1645), np.exp(-0.3678)], rel=1e-3)
    assert e["latency_high_s"] / e["latency_s"] == pytest.approx([np.exp(0.1645), np.exp(0.3678)], rel=1e-3)
    assert e["source"].tolist() == ["learned", "analytical"]


def test_what_is_stored_is_read_back() -> None:
    where, error, noise = points(0.1, 0.7, software=("a-1", "b-1")), np.array([0.3, -1 / 3]), np.array([0.1, 0.2])
    again, error_again, noise_again = unpacked(packed(where, error, noise, ("x",)), "it")
    assert (again.columns["x"] == where.columns["x"]).all()
    assert (again.software == where.software).all()
    assert (error_again == error).all()
    assert (noise_again == noise).all()
    assert again.shapes is None
    named = replace(where, shapes=np.array([0, 2**64 - 1], dtype=np.uint64))
    again, _, _ = unpacked(packed(named, error, noise, ("x",)), "it")
    assert again.shapes is not None
    assert again.shapes.tolist() == [0, 2**64 - 1]
    for wrong in (["0"], ["0", "-1"], ["0", "1" + 16 * "0"], ["0", 1], 5):
        told = json.loads(gzip.decompress(packed(named, error, noise, ("x",)))) | {"shapes": wrong}
        with pytest.raises(PredictorError, match="it is damaged"):
            unpacked(artefact.compress(json.dumps(told).encode()), "it")
    for broken in (b"", b"junk", artefact.compress(b"{}"), artefact.compress(b'{"columns": {"x": [1]}, "software": [],'
                   b' "software_of_row": [], "error": [], "noise": []}')):  # fmt: skip
        with pytest.raises(PredictorError, match="it is damaged"):
            unpacked(broken, "it")


# ------------------------------------------------------------------------------------------------------- train --base
def test_a_correction_brings_what_was_measured(base: Path, tmp_path: Path) -> None:
    rows, others = measured(60), measured(200, seed=9)
    for table in (rows, others):
        table["latency_s"] *= 1.4
    accuracy = train_on_base(rows, tmp_path / "new", base=base)
    predictor = load(tmp_path / "new")
    e = predictor.predict(gemm(others), A100, software="mine", cache="cold")
    measured_s = others["latency_s"].to_numpy()
    before = load(base).predict(gemm(others), A100, cache="cold")
    assert np.abs(before.latency_s / measured_s - 1).mean() == pytest.approx(1 - 1 / 1.4, abs=0.01)
    assert np.abs(e.latency_s / measured_s - 1).mean() < 0.05
    assert (e.latency_low_s <= e.latency_s).all()
    assert (e.latency_s <= e.latency_high_s).all()
    assert np.mean((measured_s >= e.latency_low_s) & (measured_s <= e.latency_high_s)) > 0.85
    assert (e.latency_s >= e.floor_s).all()
    assert set(e.source) <= {"learned", "blended"}
    assert set(e.software) == {"mine-1.0"}
    assert accuracy["overall"]["mape"] < 0.1
    # Another device, and another dtype, are as they were.
    for op, device in ((gemm(others), "h100-sxm"), (gemm(others).replace(dtype="fp16"), A100)):
        same = [p.predict(op, device, cache="cold").latency_s for p in (predictor, load(base))]
        assert (same[0] == same[1]).all()


def test_the_same_rows_give_the_same_bytes(base: Path, tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        train_on_base(measured(30, noise=0.1), tmp_path / name, base=base)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        hashes.append([(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files])
    assert hashes[0] == hashes[1]


def test_what_was_stored_predicts_as_what_was_fitted(base: Path, tmp_path: Path) -> None:
    rows = measured(30, noise=0.1)
    train_on_base(rows, tmp_path / "new", base=base)
    part = Rows(GEMM, "gemm", A100.id, "bf16", rows)
    fresh = load(base)
    made, _, _ = correct.correction_of(part, measured_errors(part, A100, fresh), A100, fresh)
    mine = replace(fresh, corrections={made.key: made}).predict(gemm(rows), A100, cache="cold")
    stored = load(tmp_path / "new").predict(gemm(rows), A100, cache="cold")
    for name in ("latency_s", "latency_low_s", "latency_high_s"):
        assert (getattr(mine, name) == getattr(stored, name)).all()


def test_calibrated_constants_travel_with_the_correction(base: Path, tmp_path: Path) -> None:
    device = replace(A100, calibrated={"launch_cycles": 9000.0})
    part = Rows(GEMM, "gemm", A100.id, "bf16", measured(20))
    made, _, _ = correct.correction_of(part, measured_errors(part, device, load(base)), device, load(base))
    predictor = replace(load(base), corrections={made.key: made})
    op = Gemm(m=1, n=64, k=64, dtype="bf16")
    assert predictor.predict(op, A100).analytical_s == predictor.predict(op, device).analytical_s
    assert predictor.predict(op, A100).analytical_s > load(base).predict(op, A100).analytical_s


def test_what_is_exported_has_the_constants_of_the_devices_corrections() -> None:
    device = replace(A100, calibrated={"launch_cycles": 9000.0})
    part = Rows(GEMM, "gemm", A100.id, "bf16", measured(20))
    made, _, _ = correct.correction_of(part, measured_errors(part, device, ANALYTICAL), device, ANALYTICAL)
    softmax = replace(made, family="softmax")  # products themselves would lean on the rows, and are not exported
    predictor = replace(ANALYTICAL, corrections={softmax.key: softmax})
    of_catalogue, of_file, without = (
        exported(operator(p, d, "gemm", "bf16"), "c")
        for p, d in ((predictor, A100), (ANALYTICAL, device), (ANALYTICAL, A100))
    )
    assert of_catalogue == of_file != without


def test_calibrating_starts_from_the_predictor_without_its_corrections() -> None:
    """A correction brings the constants that it was made with, and takes over the errors that constants should explain."""
    device = replace(A100, calibrated={"launch_cycles": 9000.0})
    part = Rows(GEMM, "gemm", A100.id, "bf16", measured(20, launch_cycles=2.0))
    made, _, _ = correct.correction_of(part, measured_errors(part, device, ANALYTICAL), device, ANALYTICAL)
    rows = measured(20, launch_cycles=1.3)
    plain, corrected_too = (
        calibrate(rows, A100, predictor=p) for p in (ANALYTICAL, replace(ANALYTICAL, corrections={made.key: made}))
    )
    assert corrected_too.device.calibrated == plain.device.calibrated
    assert (corrected_too.before, corrected_too.after) == (plain.before, plain.after)


def test_a_changed_file_is_refused(base: Path, tmp_path: Path) -> None:
    train_on_base(measured(10), tmp_path / "new", base=base)
    (file,) = (tmp_path / "new").rglob("*.correction.json.gz")
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(PredictorError, match="does not match its hash"):
        load(tmp_path / "new").predict(Gemm(m=1, n=64, k=64, dtype="bf16"), A100)
    manifest = tmp_path / "new" / artefact.MANIFEST
    manifest.write_text(manifest.read_text().replace('"width": ', '"width": -'))
    with pytest.raises(PredictorError, match="damaged: width"):
        load(tmp_path / "new")


def test_the_base_is_not_overwritten(base: Path) -> None:
    with pytest.raises(InputError, match="is the base itself"):
        train_on_base(measured(10), base, base=base)


def test_an_interrupted_correction_leaves_the_predictor_that_was_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    train_on_base(measured(10), new, base=base)
    before = {path: path.read_bytes() for path in new.rglob("*") if path.is_file()}

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(correct, "_card", interrupted)
    for output in (new, tmp_path / "another"):
        with pytest.raises(KeyboardInterrupt):
            train_on_base(measured(12), output, base=base)
    assert {path: path.read_bytes() for path in new.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "another").exists()


def test_many_rows_make_a_booster_and_the_new_folder_needs_no_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xgboost")
    few = tmp_path / "few"
    slower = measured(10)
    slower["latency_s"] *= 1.4
    train_on_base(slower, few, base=base)
    monkeypatch.setattr(correct, "BOOSTER_ROWS", 40)
    fp16 = measured(60).assign(dtype="fp16")
    train_on_base(fp16, tmp_path / "many", base=few)
    both = load(tmp_path / "many")
    assert set(both.residuals) == {("gemm", A100.id, "fp16")}
    assert set(both.corrections) == {("gemm", A100.id, "bf16")}
    for file in sorted(few.rglob("*")):
        if file.is_file():
            file.unlink()
    assert both.predict(Gemm(m=8, n=512, k=512, dtype="bf16"), A100).source[0] in ("learned", "blended")


# ------------------------------------------------------------------------------------------------- one round after another
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


def test_whatever_files_the_base_names_come_along(base: Path, tmp_path: Path) -> None:
    shipped = data_path("models", "default")
    known = artefact.read_manifest(shipped)
    power = next(
        e for e in known["power_boosters"] if (e["family"], e["device"], e["dtype"]) == ("gemm", "b200-sxm", "bf16")
    )
    artefact.write_file(base, power["file"], artefact.read_file(shipped, power["file"], power["sha256"]))
    kernels = HostKernels("xeon-8380", "runtime-1.2", 1, (), {}, ((-0.7, 0.7),) * 4, Composition(), bytes, rows=1)
    file = "host/xeon-8380/runtime-1.2.json.gz"
    host = kernels.to_entry() | {"file": file, "sha256": artefact.write_file(base, file, b"of the processor")}
    traces = [{"file": "traces.parquet", "sha256": "0" * 64, "rows": 1}]  # which lie wherever they were trained on
    artefact.write_json(base, artefact.MANIFEST, artefact.read_manifest(base) | {
        "power_boosters": [power], "power_feature_schemas": known["power_feature_schemas"], "host_kernels": [host],
        "training_data": traces, "power_training_data": traces,
    })  # fmt: skip
    train_on_base(measured(10), tmp_path / "new", base=base)
    shutil.rmtree(base)
    new = load(tmp_path / "new")
    assert new.host[0].read() == b"of the processor"
    assert new.power.residuals["gemm", "b200-sxm", "bf16"].residual.booster.features > 10


def test_other_families_are_corrected_too(base: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = pandas.DataFrame(
        {"device": A100.id, "software": "mine-1.0", "op": "softmax", "kind": "softmax", "rows": rng.integers(64, 8192, 30),
         "cols": rng.integers(64, 8192, 30), "dtype": "fp32", "source": "made up", "cache": "warm", "latency_s": 1.0}
    )  # fmt: skip
    from perfmodel.ops import Softmax

    op = Softmax(rows=rows["rows"].to_numpy(float), cols=rows["cols"].to_numpy(float), dtype="fp32")
    rows["latency_s"] = 1.5 * load(base).predict(op, A100, cache="warm").latency_s
    train_on_base(rows, tmp_path / "new", base=base)
    e = load(tmp_path / "new").predict(op, A100, cache="warm")
    assert np.abs(e.latency_s / rows["latency_s"] - 1).mean() < 0.05


def test_the_command(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "few.parquet"
    measured(20).to_parquet(rows)
    assert main(["train", str(rows), "--base", str(base), "-o", str(tmp_path / "new")]) == 0
    assert "20 rows, held-out MAPE" in capsys.readouterr().out
    assert error_columns({"share_dram": np.array([0.0])})["share_dram"] == [1.0]

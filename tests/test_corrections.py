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
from model_doubles import physics_alone
from test_calibrate import A100, ANALYTICAL, measured

from perfmodel import correct, load
from perfmodel._resources import data_path
from perfmodel.calibrate import calibrate, measured_errors
from perfmodel.cli import main
from perfmodel.correct import train_on_base
from perfmodel.errors import InputError, PredictorError
from perfmodel.export import artefact as exported
from perfmodel.export import operator
from perfmodel.models import artefact
from perfmodel.models.corrections import Correction, _width, corrected, fit_correction, packed, unpacked
from perfmodel.models.families import FAMILIES
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.host.composition import Composition
from perfmodel.models.kernel import Kernel, Part, Points, error_columns, error_kernel
from perfmodel.models.kernel_fit import Sample, _negative_log_likelihood, _packed, _unpacked, fit_kernel
from perfmodel.models.trace_rows import Part as Rows
from perfmodel.ops import Gemm

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
    return physics_alone(tmp_path / "base")


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

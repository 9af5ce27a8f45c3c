"""Training on a few hundred rows: reproducible, honest about what it held out, and complete."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perfmodel
from perfmodel import load
from perfmodel.errors import DeviceError, InputError, TraceError
from perfmodel.hardware import load_device
from perfmodel.hardware.writer import device_toml
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import KERNEL_CONSTANTS, _samples, fit_constants, gemm_group
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import parts_of, prepare
from perfmodel.training import boosting
from perfmodel.training.intervals import error_quantiles, variant_widths
from perfmodel.training.parts import PartTask, TrainedPart, cross_validate_part
from perfmodel.training.resume import Pieces

pandas = pytest.importorskip("pandas", reason="training needs the extra train")
xgboost = pytest.importorskip("xgboost", reason="training needs the extra train")
pytest.importorskip("scipy", reason="training needs the extra train")

# `perfmodel.train` is the function.
training = import_module("perfmodel.train")
H100 = load_device("h100-sxm")
FILES = ["accuracy.json", "card.md", "gemm/h100-sxm/bf16.json.gz", "gemm/h100-sxm/fp8.json.gz", "manifest.json"]


def synthetic(
    pairs: int = 24, *, device: str = "h100-sxm", dtypes: tuple[str, ...] = ("bf16",), constants: Constants = FALLBACK,
    spread: float = 0.0, seed: int = 0,
) -> Any:  # fmt: skip
    """Rows of ``pairs`` (n, k) pairs at five m under two versions.

    Their latency is the physics, times a slope in n that only a booster can know, times a factor of each pair's own (up
    to e^spread) that nobody can know who has not seen the pair.
    """
    rng = np.random.default_rng(seed)
    m = np.tile([1, 16, 128, 1024, 4096], pairs)
    n, k = (64 * rng.integers(1, 128, pairs) for _ in "nk")
    own = rng.uniform(-spread, spread, pairs)
    tables = []
    for dtype in dtypes:
        for software, factor in (("vllm-0.9.0", 1.0), ("vllm-0.10.0", 1.1)):
            rows = pandas.DataFrame(
                {"device": device, "software": software, "op": "gemm", "batch": 1, "m": m,
                 "n": np.repeat(n, 5), "k": np.repeat(k, 5), "dtype": dtype, "source": "synthetic", "cache": "warm"}
            )  # fmt: skip
            physics = analyse(
                gemm_group(rows, dtype), H100, constants=constants, conditions=Conditions("warm")
            ).latency_s
            rows["latency_s"] = physics * factor * np.exp(0.05 * np.log2(rows["n"] / 1024) + np.repeat(own, 5))
            tables.append(rows)
    return pandas.concat(tables, ignore_index=True)


@pytest.fixture
def constants_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit of the constants has a test of its own."""
    monkeypatch.setattr(training, "fit_constants", lambda table, **options: FALLBACK)


def a_short_fit(table: Any, **options: Any) -> Constants:
    """How far the fit gets has a test of its own."""
    return fit_constants(table, **{**options, "max_evaluations": 3})


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ------------------------------------------------------------------------------------------------------------- the whole
@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Any]:
    """A predictor of two dtypes, its accuracy and its traces; the constants are fitted."""
    folder = tmp_path_factory.mktemp("trained") / "mine"
    table = synthetic(dtypes=("bf16", "fp8"))
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "fit_constants", a_short_fit)
        accuracy = training.train(table, folder, name="mine", report=lines.append)
    assert lines[0] == "480 rows; fitting the physics constants"
    parts = [line for line in lines if "held-out MAPE" in line]
    assert parts[0].startswith("1/2 h100-sxm bf16: held-out MAPE")
    assert parts[0].endswith("left")
    assert parts[1].startswith("2/2 h100-sxm fp8: held-out MAPE")
    assert parts[1].endswith("over 2 tables")
    return folder, accuracy, table


def test_what_is_written(trained: tuple[Path, dict[str, Any], Any]) -> None:
    folder, accuracy, _ = trained
    assert sorted(files(folder)) == FILES
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert (manifest["schema"], manifest["seed"], manifest["training_data"]) == (1, 0, [])
    assert {"numpy", "pandas", "scipy"} <= set(manifest["versions"])
    for entry in manifest["boosters"]:
        assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
        assert (entry["rows"], entry["software"]) == (240, ["vllm-0.9.0", "vllm-0.10.0"])  # in order of the versions
        assert entry["cache"] == ["warm", "warm"]
        assert entry["support"]["log2_m"] == [0.0, 12.0]
        # Fewer than a hundred rows in some bucket: it takes the quantiles of all.
        assert len(entry["quantiles"]) == 4
    assert json.loads((folder / "accuracy.json").read_bytes()) == accuracy
    card = (folder / "card.md").read_text()
    assert "# Predictor `mine`" in card
    assert "Training rows: 480 in 2 boosters; 4 (family, device, software, dtype) tables" in card
    assert "| h100-sxm | bf16 | 2 |" in card


def test_keys_of_the_accuracy(trained: tuple[Path, dict[str, Any], Any]) -> None:
    _, accuracy, _ = trained
    reports = {"protocol", "seed", "groups", "overall", "pooled", "by_device_dtype", "scatter", "by_size"}
    assert set(accuracy) == reports | {"transfer"}
    assert accuracy["transfer"] == {}  # one device: nothing is left when it is left out
    assert accuracy["protocol"] == "shapes"
    figures = {
        "mape", "median_ape", "p90_ape", "bias", "r2", "coverage_90", "analytical_mape", "roofline_mape", "noise_mape"
    }  # fmt: skip
    for group in accuracy["groups"]:
        keys = {"op", "device", "dtype", "software", "size", "held_out", "workload", "variant"}
        assert set(group) == figures | keys | {"target", "n", "n_groups"}
        assert (group["n"], group["n_groups"], group["op"], group["target"]) == (120, 5, "gemm", "latency")
    assert set(accuracy["overall"]) == set(accuracy["pooled"]) == figures | {"n", "n_groups"}
    # One version is a tenth slower: 10 % one way, 1 - 1/1.1 the other.
    noise = {(g["dtype"], g["software"]): g["noise_mape"] for g in accuracy["groups"]}
    assert noise["bf16", "vllm-0.9.0"] == pytest.approx(0.1)
    assert noise["bf16", "vllm-0.10.0"] == pytest.approx(1 / 11)


def test_it_predicts_what_it_learned(trained: tuple[Path, dict[str, Any], Any]) -> None:
    folder, accuracy, table = trained
    predictor = load(folder)
    for dtype in ("bf16", "fp8"):
        for software in ("vllm-0.9.0", "vllm-0.10.0"):
            part = table[(table["dtype"] == dtype) & (table["software"] == software)]
            e = predictor.predict(gemm_group(part, dtype).op, "h100-sxm", software=software, cache="warm")
            assert set(e.source) == {"learned"}
            error = np.abs(e.latency_s / part["latency_s"].to_numpy() - 1)
            assert error.mean() < 0.02
            assert error.mean() < np.abs(e.analytical_s / part["latency_s"].to_numpy() - 1).mean()
    # Held-out pairs are harder than seen ones, and easier than for the physics alone.
    assert 0.005 < accuracy["overall"]["mape"] < accuracy["overall"]["analytical_mape"]


def test_boosters_are_in_the_format_of_xgboost(trained: tuple[Path, dict[str, Any], Any]) -> None:
    folder, _, _ = trained
    for residual in load(folder).residuals.values():
        theirs = xgboost.Booster()
        theirs.load_model(bytearray(gzip.decompress(residual.read())))
        matrix = np.random.default_rng(0).normal(size=(300, residual.booster.features)).astype(np.float32) * 4
        expected = theirs.predict(xgboost.DMatrix(matrix), validate_features=False)
        np.testing.assert_allclose(residual.booster.predict(matrix), expected, atol=1e-6)


# ------------------------------------------------------------------------------------------------------- reproducibility
@pytest.mark.usefixtures("constants_held")
def test_the_same_again_to_the_byte_whatever_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "fit_constants", a_short_fit)
    table = synthetic(6, dtypes=("bf16", "fp8"))
    before = table.copy()
    training.train(table, tmp_path / "one")
    training.train(table, tmp_path / "two", jobs=2)
    one = files(tmp_path / "one")
    assert sorted(one) == FILES
    assert files(tmp_path / "two") == one
    pandas.testing.assert_frame_equal(table, before)


def test_the_fit_is_reproducible_and_finds_what_was_put_in() -> None:
    truth = replace(FALLBACK, launch_cycles=8000.0, dram_efficiency=0.6)
    table = synthetic(40, constants=truth)
    table = table[table["software"] == "vllm-0.9.0"]
    table["latency_s"] *= np.exp(-0.05 * np.log2(table["n"] / 1024))  # the physics alone
    first = fit_constants(table)
    assert first == fit_constants(table)
    assert first.launch_cycles == pytest.approx(8000, rel=0.15)  # from 4350
    assert first.dram_efficiency == pytest.approx(0.6, rel=0.15)  # from 0.8

    def error(constants: Constants) -> float:
        latency = analyse(gemm_group(table, "bf16"), H100, constants=constants, conditions=Conditions("warm")).latency_s
        return float(np.abs(np.log(latency / table["latency_s"].to_numpy())).mean())

    assert error(first) < 0.3 * error(FALLBACK)
    # Constants of formats and streams that no row speaks of stay as they were.
    assert (first.fp4_efficiency, first.stream_efficiency) == (FALLBACK.fp4_efficiency, FALLBACK.stream_efficiency)


def test_formats_do_not_pull_at_the_kernels_constants() -> None:
    bf16, fp8 = synthetic(10), synthetic(10, dtypes=("fp8",))
    fp8["latency_s"] *= 3
    alone, together = (fit_constants(t) for t in (bf16, pandas.concat([bf16, fp8])))
    assert {n: getattr(alone, n) for n in KERNEL_CONSTANTS} == {n: getattr(together, n) for n in KERNEL_CONSTANTS}
    assert alone.fp8_efficiency == FALLBACK.fp8_efficiency > together.fp8_efficiency


def test_rows_without_a_cache_state_count_as_warm() -> None:
    table = synthetic(4)
    assert fit_constants(table.assign(cache=None), max_evaluations=1) == fit_constants(table, max_evaluations=1)
    assert fit_constants(table.drop(columns="cache"), max_evaluations=1) == fit_constants(table, max_evaluations=1)


def test_rows_are_fitted_in_their_own_state_of_the_cache_and_with_their_own_launch() -> None:
    """Each row's latency is the physics of what it says of itself, so that nothing is left to fit."""
    table = synthetic(12, dtypes=("fp32",))
    table["cache"] = np.resize(np.array(["cold", None, "warm", "rotating"], dtype=object), len(table))
    table["launch"] = np.resize(np.array(["eager", "graph", None], dtype=object), len(table))
    for cache in ("cold", "warm", "rotating"):
        mine = (table["cache"].fillna("warm") == cache).to_numpy()
        physics = analyse(
            gemm_group(table[mine], "fp32"), H100, constants=FALLBACK, conditions=Conditions(cache)
        ).latency_s
        table.loc[mine, "latency_s"] = physics + (table["launch"][mine] == "eager") * FALLBACK.eager_launch_s
    samples = _samples(table, 1000, 0)
    assert sum(len(s.log_measured) for s in samples) == len(table)
    for s in samples:
        physics = analyse(s.group, s.device, constants=FALLBACK, conditions=s.conditions).latency_s
        assert np.exp(s.log_measured) == pytest.approx(physics + s.eager * FALLBACK.eager_launch_s, rel=1e-9)
    # Every table of a software weighs the same, in however many states it was measured.
    few = _samples(table, 7, 0)
    assert sum(len(s.log_measured) for s in few) == 2 * 7


def test_tables_of_one_state_are_sampled_as_ever() -> None:
    """The shipped predictor's constants were fitted to these rows, in this order."""
    other = synthetic(6, device="a100-sxm-80gb", dtypes=("fp8", "bf16")).assign(cache=None, launch="eager")
    table = pandas.concat([synthetic(6, dtypes=("bf16", "fp8")), other], ignore_index=True)
    table.loc[(table["software"] == "vllm-0.9.0") & (table["device"] == "h100-sxm"), "cache"] = "cold"
    samples = iter(_samples(table, 20, 3))
    for device in ("a100-sxm-80gb", "h100-sxm"):
        for software in ("vllm-0.10.0", "vllm-0.9.0"):  # as texts
            for dtype in ("bf16", "fp8"):
                rows = table[(table["device"] == device) & (table["software"] == software) & (table["dtype"] == dtype)]
                rows = rows.sample(20, random_state=3)
                s = next(samples)
                assert (s.device.id, s.group.op.dtype, s.eager) == (device, dtype, device == "a100-sxm-80gb")
                assert s.conditions == Conditions(rows["cache"].fillna("warm").iloc[0])
                assert s.log_measured.tolist() == np.log(rows["latency_s"].to_numpy()).tolist()
                for name in "mnk":
                    assert getattr(s.group.op, name).tolist() == rows[name].tolist()
    assert next(samples, None) is None


def test_constants_of_a_device_file_that_was_edited_are_fitted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[Any] = []
    monkeypatch.setattr(training, "fit_constants", lambda table, **options: fits.append(table) or FALLBACK)
    own, pieces = tmp_path / "own.toml", Pieces(tmp_path / "pieces")
    table = synthetic(2, device=str(own))

    def fitted(**edited: float) -> int:
        own.write_text(device_toml(replace(H100, id="my-h100", **edited)), encoding="utf-8")
        training._constants(table, len(table), 0, pieces, lambda line: None)
        return len(fits)

    assert [fitted(), fitted(), fitted(tdp_w=600.0), fitted(tdp_w=600.0)] == [1, 1, 2, 2]


# -------------------------------------------------------------------------------------------------------------- held out
def test_whole_pairs_are_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No booster that judges a row has seen a row of its (n, k) pair, at any m, in any table."""
    seen: list[np.ndarray] = []
    fit = boosting.fit_booster

    def spying(table: Any, rows: np.ndarray, seed: int) -> Any:
        seen.append(rows)
        return fit(table, rows, seed)

    monkeypatch.setattr(boosting, "fit_booster", spying)
    monkeypatch.setitem(GEMM.booster, "trees", 3)
    table = synthetic(12)
    (part,) = parts_of(table)
    judged = cross_validate_part(PartTask.of(part, FALLBACK, 0, Pieces(None)))
    assert sum(len(j.measured) for j in judged) == len(table) == 120
    pairs = [tuple(p) for p in table[["n", "k"]].to_numpy().tolist()]
    left_out = []
    for rows in seen:
        inside = {pairs[row] for row in rows}
        outside = [i for i in range(len(table)) if i not in set(rows.tolist())]
        assert not inside & {pairs[i] for i in outside}
        left_out += outside
    # Every row is judged once.
    assert sorted(left_out) == list(range(len(table)))


def test_a_pairs_own_factor_cannot_be_known_beforehand(tmp_path: Path, constants_held: None) -> None:
    """With a factor of up to e^0.5 of each pair's own, a split of single rows would look ten times as good."""
    table = synthetic(40, spread=0.5)
    accuracy = training.train(table, tmp_path / "p")
    assert accuracy["overall"]["mape"] > 0.2
    part = table[table["software"] == "vllm-0.9.0"]
    e = load(tmp_path / "p").predict(gemm_group(part, "bf16").op, "h100-sxm", software="vllm-0.9.0", cache="warm")
    assert np.abs(e.latency_s / part["latency_s"].to_numpy() - 1).mean() < 0.03  # seen in training
    # The interval knows of it: it comes from held-out errors, and covers about nine of ten.
    assert 0.85 < accuracy["overall"]["coverage_90"] < 0.95
    assert (e.latency_high_s / e.latency_low_s > 1.5).all()


def test_coverage_is_measured_on_folds_that_had_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """One fold is off by a factor of ten: nobody else's errors say so, and its rows lie outside their interval."""
    part = prepare(parts_of(synthetic(12))[0], FALLBACK, 0)
    odd = part.fold == part.fold[0]
    predicted = part.measured_s * np.where(odd, 0.1, 1.0) * np.exp(np.linspace(-0.01, 0.01, len(odd)))
    judged = boosting.judged(part, predicted)
    inside = np.concatenate([(j.measured >= j.low) & (j.measured <= j.high) for j in judged])
    assert len(inside) == len(odd)
    assert 0 < odd.sum() < len(odd)
    assert (~inside).sum() >= odd.sum()


def test_few_groups_widen_the_interval_of_their_variant() -> None:
    part = prepare(parts_of(synthetic(8))[0], FALLBACK, 0)
    rows = np.arange(len(part))
    (variant, *_) = part.software
    quantiles = np.array([[-0.2, 0.1]] * 4)

    def width(groups: int, error: float) -> float | None:
        table = replace(part, group=rows % groups, variant_of_row=np.array([variant] * len(part), dtype=object))
        return variant_widths(table, part.measured_s * np.exp(-error), quantiles, rows).get(variant)

    # The interval's middle is -0.05, its half 0.15: errors of 0.1 lie on its edge. Student's t of a table at 95 %: 6.314 of one
    # degree of freedom, 2.132 of four; 1.645 is the normal one.
    assert width(2, 0.1) == pytest.approx(6.314 / 1.645 * 1.5**0.5, rel=1e-3)
    assert width(5, 0.1) == pytest.approx(2.132 / 1.645 * 1.2**0.5, rel=1e-3)
    # 0.3 lies 0.35 from the middle, -0.1 a third of the half.
    assert width(5, 0.3) == pytest.approx(0.35 / 0.15 * 2.132 / 1.645 * 1.2**0.5, rel=1e-3)
    assert width(5, -0.1) == pytest.approx(2.132 / 1.645 * 1.2**0.5 / 3, rel=1e-3)
    # One group has no errors of its own that count.
    assert width(1, 0.3) == pytest.approx(width(2, 0.1))
    assert width(30, 0.3) is None


def test_quantiles_by_bucket(tmp_path: Path) -> None:
    predicted = np.array([5e-6] * 200 + [5e-5] * 200 + [5e-4] * 50)
    # Errors of ±0.1 below 10 us, of ±0.4 below 100 us; 50 rows are too few to speak for themselves.
    error = np.tile([-1.0, 1.0], 225) * np.repeat([0.1, 0.4, 5.0], [200, 200, 50])

    small, medium, few, none = error_quantiles(predicted * np.exp(error), predicted)
    assert small == pytest.approx([-0.1, 0.1])
    assert medium == pytest.approx([-0.4, 0.4])
    # Of all 450 rows the outer 25 each way are ±5: more than 5 %.
    assert few == none == pytest.approx([-5.0, 5.0])


def test_intervals_of_the_physics_by_family_and_dtype() -> None:
    def part(family: str, name: str, low: float, high: float) -> TrainedPart:
        return TrainedPart(b"", {"family": family, "part": name}, [], (low, high))

    parts = [part("gemm", "bf16", -0.9, 0.9), part("gemm", "bf16", 0.2, 3.8), part("gemm", "fp8", 2.05, 2.95)]
    # The wider end of two devices; never without the estimate itself.
    assert training._analytical_intervals([*parts, part("moe", "fp8", -0.1, 0.3)]) == {
        "bf16": [-0.9, 3.8], "fp8": [0, 2.95], "moe/fp8": [-0.1, 0.3]
    }  # fmt: skip


@pytest.mark.usefixtures("constants_held")
def test_each_stack_has_its_own_cache_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GEMM.booster, "trees", 2)
    table = synthetic(6)
    table["cache"] = np.where(table["software"] == "vllm-0.9.0", "rotating", None)
    training.train(table, tmp_path / "p")
    (entry,) = json.loads((tmp_path / "p/manifest.json").read_bytes())["boosters"]
    assert dict(zip(entry["software"], entry["cache"], strict=True)) == {
        "vllm-0.9.0": "rotating",
        "vllm-0.10.0": "warm",
    }


def test_the_protocol_shapes_trains_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GEMM.booster, "trees", 20)
    table = synthetic(12)
    table.loc[0, "status"] = "out of memory"
    table.loc[0, "latency_s"] = float("nan")
    physics = replace(FALLBACK, launch_cycles=9000.0)
    report = perfmodel.evaluate(table, Predictor(constants=physics), protocol="shapes")
    assert (report["protocol"], report["pooled"]["n"]) == ("shapes", 119)
    assert {(g["device"], g["software"], g["n_groups"]) for g in report["groups"]} == {
        ("h100-sxm", "vllm-0.9.0", 5), ("h100-sxm", "vllm-0.10.0", 5)
    }  # fmt: skip
    # The constants are the predictor's: twice the launch makes the physics alone too slow on the short ones.
    default = perfmodel.evaluate(table, Predictor(), protocol="shapes")
    assert report["overall"]["analytical_mape"] > 1.5 * default["overall"]["analytical_mape"]


# --------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.usefixtures("constants_held")
def test_rows_that_were_not_measured_are_left_out(tmp_path: Path) -> None:
    table = synthetic(8)
    table["status"] = "ok"
    table.loc[:4, "status"] = "out of memory"
    table.loc[:4, "latency_s"] = float("nan")
    accuracy = training.train(table, tmp_path / "p")
    assert accuracy["pooled"]["n"] == len(table) - 5
    with pytest.raises(InputError, match="no usable row"):
        training.train(table.assign(status="failed"), tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_wrong_traces(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="traces: row 0, column 'm'"):
        training.train(synthetic(4).assign(m=0), tmp_path / "p")
    with pytest.raises(DeviceError, match="unknown device 'h100'"):
        training.train(synthetic(4, device="h100"), tmp_path / "p")
    with pytest.raises(TraceError, match="there is no trace file"):
        training.train(tmp_path / "nothing.parquet", tmp_path / "p")
    with pytest.raises(InputError, match="no trace file was given"):
        training.train([], tmp_path / "p")
    milliseconds = synthetic(4)
    milliseconds["latency_s"] *= 1e3
    with pytest.raises(TraceError, match=r"latency_s of gemm on h100-sxm is 1,.* times what the physics says"):
        training.train(milliseconds, tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.usefixtures("constants_held")
def test_files_stand_in_the_manifest_with_their_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GEMM.booster, "trees", 2)
    table = synthetic(6)
    table[:30].to_csv(tmp_path / "a.csv", index=False)
    table[30:].to_parquet(tmp_path / "b.parquet")
    training.train([tmp_path / "a.csv", str(tmp_path / "b.parquet")], tmp_path / "p")
    recorded = json.loads((tmp_path / "p/manifest.json").read_bytes())["training_data"]
    assert [(r["file"], r["rows"]) for r in recorded] == [("a.csv", 30), ("b.parquet", 30)]
    assert recorded[0]["sha256"] == hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()


@pytest.mark.usefixtures("constants_held")
def test_a_device_of_ones_own_is_filed_under_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.resources import files as resources

    monkeypatch.setitem(GEMM.booster, "trees", 2)
    text = resources("perfmodel.hardware").joinpath("catalogue/h100-sxm.toml").read_text()
    own = tmp_path / "deep" / "own.toml"
    own.parent.mkdir()
    own.write_text(text.replace('id = "h100-sxm"', 'id = "my-h100"'))
    training.train(synthetic(6, device=str(own)), tmp_path / "p")
    assert "gemm/my-h100/bf16.json.gz" in files(tmp_path / "p")
    assert load(tmp_path / "p").predict(gemm_group(synthetic(6), "bf16").op, own).source[0] == "learned"
    # Nothing was written beside the folder.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "p"]

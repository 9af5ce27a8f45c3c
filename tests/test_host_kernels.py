"""Kernels of a runtime on a processor: learned from traces of a made-up machine whose times follow a known law."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import perfmodel
from perfmodel.cli import INTERRUPTED, main
from perfmodel.correct import train_on_base
from perfmodel.errors import InputError, PredictorError, TraceError
from perfmodel.hardware import load_device
from perfmodel.hardware.writer import device_toml
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK
from perfmodel.models.host.boosters import host_kernels_of, stretched
from perfmodel.models.host.composition import Composition
from perfmodel.models.host.context import COLUMNS
from perfmodel.models.host.features import numbers
from perfmodel.models.learned import size_bucket
from perfmodel.ops import Conv, Elementwise, Gemm

pd = pytest.importorskip("pandas", reason="traces need the extra train")
pytest.importorskip("xgboost", reason="training needs the extra train")

from perfmodel.datasets.runs import operator_table  # noqa: E402
from perfmodel.datasets.schema import check_traces  # noqa: E402
from perfmodel.evaluate import evaluate  # noqa: E402
from perfmodel.profiled import whole  # noqa: E402
from perfmodel.train import train  # noqa: E402
from perfmodel.training.host import adding_up, fit_composition, host_table, run_quantiles  # noqa: E402
from perfmodel.training.host_judged import judged_as_predicted  # noqa: E402
from perfmodel.training.intervals import error_quantiles, family_widths, student  # noqa: E402

PER_NODE_S, PER_RUN_S = 4e-7, 8e-6


def seconds(op: Gemm | Elementwise) -> float:
    """The law: 30 GFLOP/s and half a microsecond for products, 5 GB/s and one microsecond for what moves."""
    return op.flops / 30e9 + 5e-7 if isinstance(op, Gemm) else op.bytes / 5e9 + 1e-6


def traces(device: str, models: int = 32, real: int = 20) -> pd.DataFrame:
    """Rows of models, some of them real, and what each takes in all."""
    rng = np.random.default_rng(0)
    tables = []
    for number in range(models):
        rows = []
        for index in range(10):
            if rng.random() < 0.5:
                m, n, k = (int(2 ** rng.uniform(3, 9)) for _ in range(3))
                op, kernel = Gemm(m=m, n=n, k=k, dtype="fp32"), "MatMul"
            else:
                op, kernel = (
                    Elementwise(kind="add", elements=int(2 ** rng.uniform(8, 18)), inputs=2, dtype="fp32"),
                    "Add",
                )
            stand = dict.fromkeys(COLUMNS, 0.0) | {"run_bytes": 1e6, "operands": 2.0}
            noise = float(np.exp(rng.normal(0, 0.02)))
            rows.append((op, 1, {"latency_s": seconds(op) * noise, "kernel": kernel, "node": f"n{index}", **stand}))
        table = operator_table(rows)
        run = float(table["latency_s"].sum()) + PER_NODE_S * 12 + PER_RUN_S
        tables.append(
            table.assign(
                collection=f"model-{number}", source="model" if number < real else "sweep", run_s=run, run_events=12.0,
                network=f"network-{number // 2}" if number < real else None,
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True).assign(device=device, software="runtime-1.2", threads=1, status="ok")


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> tuple[str, pd.DataFrame, object]:
    """A device file, traces of it, and the predictor that they train."""
    folder = tmp_path_factory.mktemp("host")
    own = folder / "my.toml"
    own.write_text(device_toml(replace(load_device("xeon-8380"), id="my-cpu")), encoding="utf-8")
    table = traces("my-cpu")
    train(table, folder / "predictor", device=own)
    return str(own), table, folder / "predictor"


def test_kernels_of_models_that_were_left_out(machine):
    _, _, folder = machine
    accuracy = json.loads((folder / "accuracy.json").read_text())
    by_op = {(g["op"], g["dtype"]): g for g in accuracy["groups"] if g["op"] != "run"}
    assert set(by_op) == {("gemm", "fp32"), ("elementwise", "fp32")}
    for group in by_op.values():
        # The law is smooth and the noise 2 %; the first estimate does not know the rates.
        assert group["median_ape"] < 0.15 < group["analytical_mape"]
        assert 0.8 <= group["coverage_90"] <= 1.0


def test_the_plain_roofline_stands_beside_the_physics(machine):
    own, table, folder = machine
    # One of the 40 cores of the file: peak FLOP/s, and bytes at the bandwidth of the socket.
    device = load_device(own)
    peak, bandwidth = device.peak_flops["fp32"] / device.units, device.memory_bandwidth_bytes_per_s
    operators = [
        Gemm(m=int(r.m), n=int(r.n), k=int(r.k), dtype="fp32") if r.op == "gemm"
        else Elementwise(kind="add", elements=int(r.elements), inputs=2, dtype="fp32")
        for r in table.itertuples()
    ]  # fmt: skip
    roofline_s = np.array([max(op.flops / peak, op.bytes / bandwidth) for op in operators])
    error = np.abs(roofline_s / table["latency_s"].to_numpy() - 1)
    trained = json.loads((folder / "accuracy.json").read_text())["groups"]
    as_it_is = evaluate(table, folder, device=own, by=["op"])["groups"]
    for groups in (trained, as_it_is):
        by_op = {g["op"]: g for g in groups if g["op"] != "run"}
        for op in ("gemm", "elementwise"):
            assert by_op[op]["roofline_mape"] == pytest.approx(error[table["op"] == op].mean(), rel=1e-9)
            assert by_op[op]["roofline_mape"] != by_op[op]["analytical_mape"]
    # A run's is the sum over its kernels, each executed once; the sweep's are no runs.
    real = (table["source"] == "model").to_numpy()
    sums = pd.Series(roofline_s[real]).groupby(table["collection"][real].to_numpy()).sum()
    runs = table[real].groupby("collection")["run_s"].first()
    expected = pytest.approx((sums / runs - 1).abs().mean(), rel=1e-9)
    assert [g["roofline_mape"] for g in (*trained, *as_it_is) if g["op"] == "run"] == [expected] * 2


def test_runs_are_judged_by_networks_that_were_left_out(machine):
    own, table, _ = machine
    report = evaluate(table, device=own, protocol="models")
    assert {g["workload"] for g in report["groups"]} == {f"model-{i}" for i in range(20)}
    assert report["overall"]["mape"] < 0.15
    assert report["overall"]["coverage_90"] >= 0.75  # of ten networks, each in two forms
    folds = {
        g["workload"]: g["held_out"]
        for g in evaluate(table, device=own, protocol="models", by=["workload", "held_out"])["groups"]
    }
    assert all(folds[f"model-{2 * i}"] == folds[f"model-{2 * i + 1}"] for i in range(10)), (
        "forms of one network were parted"
    )


def test_a_sweep_alone_is_no_model_to_judge(machine):
    own, table, _ = machine
    with pytest.raises(InputError, match=r"`perfmodel collect --model FILE` measures models"):
        evaluate(table[table["source"] == "sweep"], device=own, protocol="models")


@pytest.mark.parametrize("protocol", ["shapes", "device", "family", "dataset"])
def test_protocols_of_operators_leave_kernels_of_processors_out(machine, protocol):
    own, table, _ = machine
    with pytest.raises(
        InputError, match=rf"the protocol {protocol} does not judge kernels of a processor.*--protocol models"
    ):
        evaluate(table, device=own, protocol=protocol)
    gpus = pd.concat([gpu_rows(name) for name in ("h100-sxm", "h200-sxm", "a100-sxm-80gb")], ignore_index=True)
    said: list[str] = []
    report = evaluate([table, gpus], device=own, protocol=protocol, report=said.append)
    assert {g["device"] for g in report["groups"]} > {"h100-sxm"}
    assert "my-cpu" not in {g["device"] for g in report["groups"]}
    assert "320 kernels of processors are left out: --protocol models judges them" in said


def gpu_rows(device: str) -> pd.DataFrame:
    """Products of a GPU from a source of its own, 1 us and 100 TFLOP/s."""
    rng = np.random.default_rng(3)
    m, n, k = (16 * rng.integers(1, 200, 30) for _ in "mnk")
    return pd.DataFrame(
        {"device": device, "software": "runtime-1.2", "op": "gemm", "batch": 1, "m": m, "n": n, "k": k, "dtype": "fp32",
         "latency_s": 1e-6 + 2.0 * m * n * k / 100e12, "source": f"of {device}", "cache": "warm"}
    )  # fmt: skip


def test_a_base_learns_a_processor_that_it_does_not_know(machine, tmp_path):
    own, _, _ = machine
    table = traces("my-cpu", models=6, real=4)
    train(table, tmp_path / "trained", device=own)
    base = {
        "schema": 1, "perfmodel": "0", "seed": 0, "constants": FALLBACK.to_dict(), "feature_schemas": {}, "boosters": [],
        "training_data": [], "analytical_log_intervals": {}, "versions": {},
    }  # fmt: skip
    artefact.write_json(tmp_path / "base", artefact.MANIFEST, base)
    with_gpu = [table, gpu_rows("h100-sxm")]
    accuracy = train_on_base(with_gpu, tmp_path / "new", base=tmp_path / "base", device=own)
    assert {(g["op"], g["device"]) for g in accuracy["groups"]} == {
        ("gemm", "my-cpu"), ("elementwise", "my-cpu"), ("run", "my-cpu"), ("gemm", "h100-sxm")
    }  # fmt: skip
    new, trained = perfmodel.load(tmp_path / "new"), perfmodel.load(tmp_path / "trained")
    assert set(new.corrections) == {("gemm", "h100-sxm", "fp32")}
    assert [k.read() for k in new.host] == [k.read() for k in trained.host]
    assert "| kernels of my-cpu | 60 | runtime-1.2 |" in (tmp_path / "new" / "card.md").read_text()
    # Once learned, other rows of it are no correction, and do not take its place.
    with pytest.raises(InputError, match=r"new has learned 60 kernels of my-cpu under runtime-1\.2") as refused:
        train_on_base(table, tmp_path / "again", base=tmp_path / "new", device=own)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "again").exists()
    train_on_base(table.assign(software="runtime-1.3"), tmp_path / "both", base=tmp_path / "new", device=own)
    assert [k.software for k in perfmodel.load(tmp_path / "both").host] == ["runtime-1.2", "runtime-1.3"]


def test_a_trained_predictor_judges_traces_as_they_are(machine):
    own, table, folder = machine
    report = evaluate(table, folder, device=own, by=["op"])
    assert {g["op"] for g in report["groups"]} == {"gemm", "elementwise", "run"}
    assert all(g["mape"] < 0.1 for g in report["groups"])


def test_kernels_of_several_numbers_of_threads_are_judged_all_the_same(machine):
    own, table, folder = machine
    mixed = pd.concat([table, table.assign(threads=4)], ignore_index=True)
    one, both = (evaluate(rows, folder, device=own, by=["op"])["groups"] for rows in (table, mixed))
    assert [(g["op"], g["n"], g["mape"]) for g in both] == [
        (g["op"], 2 * g["n"], pytest.approx(g["mape"])) for g in one
    ]


def test_rows_of_software_that_nothing_was_learned_of_stay_beside_each_other():
    one = traces("xeon-8380", models=2)
    gpu = one[one["op"] == "gemm"].drop(columns=[*COLUMNS]).assign(device="h100-sxm")
    everything = pd.concat([one, one.assign(software="other-1.0"), gpu], ignore_index=True)
    everything["latency_s"] = 1e-6 * np.arange(1, len(everything) + 1)
    rest, judged = judged_as_predicted(dict(iter(everything.groupby("op"))), [])
    assert judged == []
    for op in ("gemm", "elementwise"):
        assert sorted(rest[op]["latency_s"]) == sorted(everything["latency_s"][everything["op"] == op])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("threads", [1, 4], r"xeon-8380 under runtime-1\.2 were measured with 1 and 4 threads; .*keep the rows of one"),
        ("threads", [np.nan, 2, 16], r"with 1, 2 and 16 threads"),
        ("software", ["runtime-1.2", "Runtime-1.2"], r"'Runtime-1\.2' and 'runtime-1\.2' .*would be one file"),
        ("software", ["runtime:1.2"], r"'runtime:1\.2' can be no file .*: rename it"),
    ],
)
def test_what_cannot_be_learned_or_stored_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch, column, values, message
):
    training = import_module("perfmodel.train")  # `perfmodel.train` is the function
    monkeypatch.setattr(training, "write_host", lambda *arguments: pytest.fail("it trained"))
    table = traces("xeon-8380", models=2)
    table[column] = np.resize(np.array(values), len(table))
    with pytest.raises(InputError, match=message) as refused:
        train(table, tmp_path / "p")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("values", [[np.nan, 1.0], [np.nan]])
def test_kernels_that_do_not_say_their_threads_had_one(values):
    table = traces("xeon-8380", models=2)
    for kind in ("float64", "Int64"):
        threads = pd.Series(np.resize(np.array(values), len(table))).astype(kind)
        assert host_table(table.assign(threads=threads), load_device("xeon-8380")).threads == 1
    with pytest.raises(InputError, match="with 1 and 4 threads"):
        host_table(table.assign(threads=np.resize([4, 1], len(table))), load_device("xeon-8380"))


def test_a_graph_is_its_kernels_and_the_runtimes_own_time(machine, tmp_path):
    own, _, folder = machine
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"], name="a"), helper.make_node("Add", ["z", "z"], ["y"], name="b")], "g",
        [value("x", TensorProto.FLOAT, [64, 128]), value("z", TensorProto.FLOAT, [64, 256])],
        [value("h", TensorProto.FLOAT, [64, 256]), value("y", TensorProto.FLOAT, [64, 256])],
        [numpy_helper.from_array(np.zeros((128, 256), np.float32), "w")],
    )  # fmt: skip
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    found = perfmodel.predict(path, device=own, predictor=folder)
    host = host_kernels_of(perfmodel.load(folder).host, load_device(own), None)
    kernels = sum(o.latency_s.value for o in found.operators)
    assert {o.source for o in found.operators} == {"learned"}
    expected = kernels + host.composition.per_node_s * 2 + host.composition.per_run_s
    assert found.latency_s.value == pytest.approx(expected)
    assert found.latency_s.low <= found.latency_s.value <= found.latency_s.high
    assert found.energy_j is None or found.energy_j.value == pytest.approx(found.power_w.value * found.latency_s.value)
    # The product of 4.2 MFLOP takes 140 us by the law.
    assert found.operators[0].latency_s.value == pytest.approx(140e-6, rel=0.25)


def test_saved_and_loaded_alike(machine):
    own, table, folder = machine
    device = load_device(own)
    rows = {
        name: table[name].to_numpy(dtype=object if name in ("op", "kind", "kernel", "dtype") else None)
        for name in table
    }
    one, two = (host_kernels_of(perfmodel.load(folder).host, device, None).predict(rows, device) for _ in range(2))
    assert (one.latency_s == two.latency_s).all()
    assert np.isfinite(one.latency_s).all()
    assert ((one.low_s <= one.latency_s) & (one.latency_s <= one.high_s)).all()


def test_kernels_that_were_never_measured_say_so_and_are_wide(machine):
    own, table, folder = machine
    device = load_device(own)
    rows = {name: table[name].to_numpy()[:20] for name in table}
    found = host_kernels_of(perfmodel.load(folder).host, device, None).predict(
        rows | {"kernel": np.array(["Mystery"] * 20, dtype=object)}, device
    )
    assert not found.known.any()
    assert (found.high_s >= 2.99 * found.latency_s).all()


def test_a_changed_booster_is_refused(machine, tmp_path):
    import shutil

    own, _, folder = machine
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    (booster,) = (copy / "host").rglob("*.json.gz")
    booster.write_bytes(booster.read_bytes() + b"\0")
    host = host_kernels_of(perfmodel.load(copy).host, load_device(own), None)
    with pytest.raises(PredictorError, match="does not match its hash"):
        host.read()


def test_composition_adds_up():
    composition = Composition(
        per_node_s=1e-6, per_run_s=5e-6, scale=1.5, quantiles=((-0.5, 0.5), (-0.1, 0.2), (-0.05, 0.1))
    )
    assert composition.latency_s(2e-3, 10) == pytest.approx(3.015e-3)
    low, high = composition.interval_s(3e-3)  # of the middle size
    assert (low, high) == (pytest.approx(3e-3 * 0.904837), pytest.approx(3e-3 * 1.221403))
    assert Composition.from_dict(json.loads(json.dumps(composition.to_dict()))) == composition


@pytest.mark.parametrize(
    "damage", [{"scale": 0.0}, {"per_run_s": -1.0}, {"quantiles": [[0, 0]]}, {"scale": float("nan")}]
)
def test_a_damaged_composition_is_refused(damage):
    with pytest.raises((ValueError, PredictorError)):
        Composition.from_dict(Composition().to_dict() | damage)


def test_overheads_are_found_in_runs():
    rng = np.random.default_rng(0)
    kernels, nodes = 10 ** rng.uniform(-5, -2, 200), rng.integers(5, 300, 200).astype(float)
    found = fit_composition(1.1 * kernels + 5e-7 * nodes + 9e-6, kernels, nodes)
    assert found.scale == pytest.approx(1.1, rel=0.02)
    assert found.per_node_s == pytest.approx(5e-7, rel=0.1)
    assert found.per_run_s == pytest.approx(9e-6, rel=0.3)


@pytest.mark.parametrize(("slower", "left"), [(1.3, 1.0), (0.8, 1.0), (5.0, 2.5)])
def test_kernels_that_were_profiled_at_another_pace_than_their_run_add_up_to_it(slower, left):
    table = traces("xeon-8380", models=20)
    true = table["latency_s"].to_numpy()
    one = (table["collection"] == "model-3").to_numpy()
    moved = table.assign(latency_s=np.where(one, slower, 1.0) * true, pace=1.0)
    found = adding_up(host_table(moved, load_device("xeon-8380")))
    # No factor beyond two is taken for the machine's doing.
    assert found[one] == pytest.approx(left * true[one], rel=0.03)
    assert found[~one] == pytest.approx(true[~one], rel=0.03)


def test_kernels_whose_run_nobody_timed_stay_as_they_are():
    table = traces("xeon-8380", models=20)
    table.loc[table["collection"] == "model-3", ["run_s", "run_events"]] = np.nan
    one = (table["collection"] == "model-3").to_numpy()
    assert adding_up(host_table(table, load_device("xeon-8380")))[one].tolist() == table["latency_s"][one].tolist()


def test_convolutions_along_one_axis_and_their_patches_are_features():
    window = Conv(batch=1, c_in=1, c_out=258, h=1, w=25600, kernel_h=1, kernel_w=256, stride_w=128, dtype="int8")
    image = Conv(batch=2, c_in=32, c_out=64, h=56, w=56, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="int8")
    stand = {"latency_s": 1e-3, "kernel": "ConvInteger", "node": "n", **dict.fromkeys(COLUMNS, 1.0)}
    table = operator_table([(window, 1, stand), (image, 1, stand)])
    found, _ = numbers({name: table[name].to_numpy() for name in table.columns}, load_device("xeon-8380"))
    assert found["one_axis"].tolist() == [1.0, 0.0]
    assert found["log2_height"] == pytest.approx(np.log2([2, 57]))
    # 199 places of 256 samples; two images of 56 x 56 places with 3 x 3 of 32 channels.
    assert found["log2_patches"] == pytest.approx(np.log2([199 * 256 + 1, 2 * 56 * 56 * 288 + 1]))


def test_quantiles_of_runs_hold_nine_in_ten_of_the_next():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        error = np.exp(rng.normal(0, 0.2, 21))
        (low, high), *_ = run_quantiles(1e-4 * error[:20], np.full(20, 1e-4))
        held.append(low <= np.log(error[20]) <= high)
    assert np.mean(held) >= 0.86


@pytest.mark.parametrize("networks", [3, 8, 30])
def test_runs_of_one_network_err_together_and_few_networks_say_little(networks):
    rng = np.random.default_rng(3)
    of = np.repeat(np.arange(networks + 1), 3)  # three forms of each
    held, pooled = [], []
    for _ in range(300):
        error = np.exp(rng.normal(0, 0.2, networks + 1)[of] + rng.normal(0, 0.02, len(of)))
        known, seconds = of < networks, np.full(len(of), 1e-2)
        for found, by in ((held, of[known]), (pooled, np.arange(known.sum()))):
            (low, high), *_ = run_quantiles(1e-2 * error[known], seconds[known], by)
            found.append(low <= np.log(error[-1]) <= high)
    assert 0.86 <= np.mean(held) <= 0.97
    assert np.mean(pooled) < np.mean(held)  # as many runs as networks would promise more than they know


def test_sizes_of_few_networks_take_the_interval_of_all():
    rng = np.random.default_rng(4)
    seconds = np.repeat([1e-4, 1e-2 * 3], [10, 60])
    error = np.exp(np.where(seconds < 1e-3, rng.normal(0, 0.5, 70), rng.normal(0, 0.05, 70)))
    short, middle, long = run_quantiles(seconds * error, seconds, np.arange(70))
    assert short == middle  # ten networks and none: all seventy
    assert long[1] - long[0] < (short[1] - short[0]) / 2


def test_intervals_of_kernels_hold_nine_in_ten_of_every_family():
    rng = np.random.default_rng(2)
    scatter = {"gemm": 0.3, "elementwise": 0.1}

    def made(groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        family = np.array(["gemm", "elementwise"] * (5 * groups), dtype=object)
        predicted = 10 ** rng.uniform(-6, -2, len(family))
        error = rng.normal(0, [scatter[f] for f in family])
        return family, np.arange(len(family)) // 10, predicted * np.exp(error), predicted

    family, group, measured, predicted = made(200)
    quantiles = np.array(error_quantiles(measured, predicted))
    widths = family_widths(family, group, measured, predicted, quantiles)
    fresh, _, measured, predicted = made(200)
    low, high = stretched(quantiles[size_bucket(predicted)], fresh, widths)
    held = (low <= np.log(measured / predicted)) & (np.log(measured / predicted) <= high)
    pooled_low, pooled_high = quantiles[size_bucket(predicted)].T
    pooled = (pooled_low <= np.log(measured / predicted)) & (np.log(measured / predicted) <= pooled_high)
    for name in scatter:
        assert held[fresh == name].mean() == pytest.approx(0.9, abs=0.03)
    assert pooled[fresh == "gemm"].mean() < 0.85  # what all families share holds too few of the one
    # t(95 %, 1) = 6.3138, normal 1.6449: 3.8384 * sqrt(1.5).
    assert student(2) == student(1) == pytest.approx(4.7011, abs=1e-3)


def fourier(points: int, frames: int = 1000) -> Elementwise:
    return Elementwise(kind="fft_stage", elements=frames * points, inputs=1, steps=np.log2(points) / 2, dtype="fp32")


def test_traces_keep_the_fraction_of_the_stages_of_a_fourier_transform():
    stand = {"latency_s": 1e-3, "kernel": "STFT", "node": "n", **dict.fromkeys(COLUMNS, 1.0)}
    table = whole(operator_table([(fourier(400), 1, stand), (fourier(512), 1, stand)]))
    assert table["steps"].tolist() == pytest.approx([4.3219, 4.5], abs=1e-4)
    table = table.assign(device="my-cpu", software="runtime-1.2", source="model", collection="m", status="ok")
    check_traces(table, "stages")
    with pytest.raises(TraceError, match=r"steps.*a number above 0"):
        check_traces(table.assign(steps=[0.0, 4.5]), "stages")


def test_fourier_transforms_of_lengths_that_are_no_power_of_two_start_from_three_longer_ones():
    rows = {"op": np.array(["elementwise"] * 2, dtype=object), "kind": np.array(["fft_stage"] * 2, dtype=object),
            "dtype": np.array(["fp32"] * 2, dtype=object), "elements": np.array([4e5, 4.096e5]), "inputs": np.ones(2),
            "steps": np.array([np.log2(400) / 2, np.log2(512) / 2]), **{name: np.zeros(2) for name in COLUMNS}}  # fmt: skip
    _, (other, power) = numbers(rows, load_device("xeon-8380"))
    # 1000 times 3 x 5 x 1024 x 10 FLOPs against 800 times 5 x 512 x 9.
    assert other / power == pytest.approx(1000 * 3 * 1024 * 10 / (800 * 512 * 9), rel=0.01)


def test_a_full_disk_leaves_the_predictor_as_it_was(machine, tmp_path, monkeypatch):
    import shutil

    own, table, folder = machine
    copy = tmp_path / "predictor"
    shutil.copytree(folder, copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    def full(path: Path, data: bytes) -> None:
        if path.name == "card.md":  # the boosters and the accuracy are written by then
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_bytes(data)

    monkeypatch.setattr("perfmodel.models.artefact.write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        train(table[table["collection"].isin([f"model-{i}" for i in range(6)])], copy, device=own)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in before} == before
    assert perfmodel.load(copy).host
    # The next training clears what that one left.
    train(table[table["collection"].isin([f"model-{i}" for i in range(8)])], copy, device=own)
    assert not (copy / ".new").exists()
    assert perfmodel.load(copy).host[0].rows == 80


def test_an_interrupted_training_says_what_there_is(machine, tmp_path, monkeypatch, capsys):
    own, table, _ = machine
    table.to_parquet(tmp_path / "t.parquet")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perfmodel.training.host.fit_kernels", interrupted)
    assert main(["train", str(tmp_path / "t.parquet"), "--device", own, "-o", str(tmp_path / "p")]) == INTERRUPTED
    assert f"perfmodel train: interrupted; {tmp_path / 'p'} is as it was" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()

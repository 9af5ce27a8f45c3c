"""The collector of ONNX Runtime: a model with a fused convolution, a blocked layout and an If, run and played again.

Nothing here asks how long anything took.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import small_model

from perfmodel.collect.collectors import Collector, collector, collector_names
from perfmodel.collect.kernels import EventCost, Kernel
from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu, random_inputs, read_run
from perfmodel.errors import (
    InputError,
    MissingExtraError,
    ModelFileError,
    PerfmodelError,
    TraceError,
    UnboundDimensionError,
)
from perfmodel.profiled import import_profile, join, operator_traces

pytest.importorskip("onnxruntime", reason="the extra collect is not installed")
pytest.importorskip("pandas", reason="traces need the extra train")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    onnx.save(small_model(), folder / "small.onnx")
    OnnxRuntimeCpu(seconds=0.001).collect(folder / "small.onnx", folder / "run", dims={"batch": 2})
    return folder / "run"


def test_it_is_a_collector() -> None:
    found = collector("onnxruntime-cpu")
    assert isinstance(found, Collector)
    assert found.why_not() is None


def test_a_recording_has_all_that_a_replay_needs(recording: Path) -> None:
    assert sorted(p.name for p in recording.iterdir()) == ["optimised.onnx", "profile.json", "run.json"]
    record = read_run(recording)
    assert record["model"] == "small"
    assert record["software"].startswith("onnxruntime-1.")
    assert record["dims"] == {"batch": 2}
    assert len(record["before_s"]) == len(record["after_s"]) >= 5
    profile = OnnxRuntimeCpu().replay(recording)
    assert profile == OnnxRuntimeCpu().replay(recording)
    names = {k.node for k in profile.kernels}
    assert {"then_mul", "then_exp"} <= names
    assert not names & {"if1", "else_neg", "relu1"}  # a parent, a branch not taken, and what was fused
    assert all(k.samples == len(record["before_s"]) and k.calls == 1 for k in profile.kernels)
    assert profile.events == len(profile.kernels)


def test_rows_are_what_ran(recording: Path) -> None:
    profile = OnnxRuntimeCpu().replay(recording)
    found = operator_traces(profile, recording / "optimised.onnx", "local-cpu", dims={"batch": 2})
    rows = {row["node"]: row for row in found.table.to_dict("records")}
    [conv] = [row for row in rows.values() if row["op"] == "conv"]
    assert {k: conv[k] for k in ("batch", "c_in", "c_out", "h", "w", "kernel_h", "pad_h", "stride_h", "groups", "dtype")} == {
        "batch": 2, "c_in": 3, "c_out": 16, "h": 16, "w": 16, "kernel_h": 3, "pad_h": 1, "stride_h": 1, "groups": 1,
        "dtype": "fp32",
    }  # fmt: skip
    assert conv["fused"] == "add+relu"
    gemm = rows["fc"]
    assert (gemm["m"], gemm["n"], gemm["k"]) == (2, 10, 16)
    assert (rows["then_exp"]["kind"], rows["then_exp"]["elements"]) == ("exp", 20)
    assert [(name, why) for name, why, _ in found.left_out] == [("flat", "Flatten is view")]
    assert set(found.table["collection"]) == {"small"}
    assert set(found.table["threads"]) == {1}
    assert (found.table["latency_s"] > 0).all()
    assert list(found.table["count"]) == [1] * len(found.table)


def test_the_run_as_a_whole(recording: Path) -> None:
    pandas = pytest.importorskip("pandas")
    from perfmodel.datasets.runs import check_operators
    from perfmodel.datasets.schema import check_runs

    profile = OnnxRuntimeCpu().replay(recording)
    found = operator_traces(profile, recording / "optimised.onnx", "local-cpu", dims={"batch": 2})
    row = found.run("small.parquet")
    check_runs(pandas.DataFrame([row]), "runs")
    check_operators(found.table, "small.parquet")
    assert row["workload"] == "small"
    assert row["latency_s"] == profile.unprofiled_s
    other = import_profile(
        recording / "profile.json", recording / "optimised.onnx", "local-cpu", "x", dims={"batch": 2}
    )
    with pytest.raises(TraceError, match="optimised has no run without the profiler"):
        other.run()


def test_kernels_add_up_to_the_model(recording: Path) -> None:
    profile = OnnxRuntimeCpu().replay(recording)
    found = operator_traces(
        profile, recording / "optimised.onnx", "local-cpu", dims={"batch": 2}, cost=EventCost(1e-6, 6e-6)
    )
    assert found.profile.cost == EventCost(1e-6, 6e-6)
    for before, after in zip(profile.kernels, found.profile.kernels, strict=True):
        assert after.latency_s == pytest.approx(max(before.latency_s - 1e-6, 0.2e-6))


def test_a_changed_machine_marks_the_rows(recording: Path, tmp_path: Path) -> None:
    for name in ("profile.json", "optimised.onnx"):
        (tmp_path / name).write_bytes((recording / name).read_bytes())
    record = json.loads((recording / "run.json").read_text())
    record |= {"before_s": [1e-4] * 5, "after_s": [1.2e-4] * 5}
    (tmp_path / "run.json").write_text(json.dumps(record))
    found = operator_traces(
        OnnxRuntimeCpu().replay(tmp_path), tmp_path / "optimised.onnx", "local-cpu", dims={"batch": 2}
    )
    assert set(found.table["status"]) == {"the unprofiled time moved by +20.0% while the model was profiled"}


def test_somebody_elses_profile(recording: Path) -> None:
    found = import_profile(
        recording / "profile.json", recording / "optimised.onnx", "local-cpu", "onnxruntime-1.32.0", dims={"batch": 2}
    )
    assert set(found.table["source"]) == {"onnxruntime-profile"}
    assert found.profile.cost == EventCost()
    assert "conv" in set(found.table["op"])


def test_a_profile_of_another_graph(recording: Path, tmp_path: Path) -> None:
    other = helper.make_model(
        helper.make_graph(
            [helper.make_node("Neg", ["x"], ["y"], name="fc")], "other",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )  # fmt: skip
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(TraceError, match=r"none of the \d+ kernels of small is an operator of the graph"):
        operator_traces(OnnxRuntimeCpu().replay(recording), tmp_path / "other.onnx", "local-cpu")


def test_nodes_without_a_name_are_joined_in_order() -> None:
    nodes = [SimpleNamespace(name=f"Mul_{i}", source_op="Mul") for i in (0, 1)] + [
        SimpleNamespace(name="add", source_op="Add")
    ]
    kernels = (
        Kernel("Mul_7", "Mul", 1.0),
        Kernel("add", "Add", 1.0),
        Kernel("Mul_9", "Mul", 2.0),
        Kernel("sub", "Sub", 3.0),
    )
    joined, missing = join(kernels, SimpleNamespace(nodes=nodes))  # type: ignore[arg-type]
    assert [(k.node, n.name) for k, n in joined] == [("Mul_7", "Mul_0"), ("add", "add"), ("Mul_9", "Mul_1")]
    assert [k.node for k in missing] == ["sub"]
    joined, missing = join(kernels[:1], SimpleNamespace(nodes=nodes))  # type: ignore[arg-type]
    assert joined == []  # one ran and the graph has two: which of them, nobody can tell


def test_names_come_before_the_order() -> None:
    nodes = [SimpleNamespace(name=name, source_op="com.microsoft.nchwc::Conv") for name in ("first", "second")]
    kernels = (Kernel("second", "Conv", 2.0), Kernel("first", "Conv", 1.0))
    joined, missing = join(kernels, SimpleNamespace(nodes=nodes))  # type: ignore[arg-type]
    assert [(k.node, n.name) for k, n in joined] == [("second", "second"), ("first", "first")]
    assert missing == []


# ------------------------------------------------------------------------------------------------ bad input
def test_models_that_do_not_run(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"bad\.onnx: onnxruntime cannot load it"):
        OnnxRuntimeCpu().collect(tmp_path / "bad.onnx", tmp_path / "run", dims={})
    onnx.save(small_model(), tmp_path / "small.onnx")
    with pytest.raises(UnboundDimensionError, match="the model has the open dimensions batch"):
        OnnxRuntimeCpu().collect(tmp_path / "small.onnx", tmp_path / "run", dims={})
    with pytest.raises(TraceError, match=r"holds no complete recording: there is no run\.json"):
        OnnxRuntimeCpu().replay(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "x"}, "is no recording of version 1"),
        ({"version": 9}, "is no recording of version 1"),
        ({"before_s": [0.0]}, "wanted model, software, threads"),
        ({"after_s": None}, "wanted model, software, threads"),
        ({"threads": "two"}, "wanted model, software, threads"),
    ],
)
def test_recordings_that_are_none(recording: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    record = json.loads((recording / "run.json").read_text()) | changes
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(TraceError, match=message):
        read_run(tmp_path)


def test_inputs() -> None:
    inputs = [
        SimpleNamespace(name="x", type="tensor(float)", shape=["batch", None, 4]),
        SimpleNamespace(name="ids", type="tensor(int64)", shape=["batch", 6]),
        SimpleNamespace(name="mask", type="tensor(bool)", shape=[5]),
    ]
    feeds = random_inputs(inputs, {"batch": 3, "x_1": 2}, seed=1)
    assert {n: (v.shape, v.dtype.name) for n, v in feeds.items()} == {
        "x": ((3, 2, 4), "float32"), "ids": ((3, 6), "int64"), "mask": ((5,), "bool"),
    }  # fmt: skip
    assert set(np.unique(feeds["ids"])) <= {0, 1}
    assert np.array_equal(random_inputs(inputs, {"batch": 3, "x_1": 2}, seed=1)["x"], feeds["x"])
    with pytest.raises(UnboundDimensionError, match="open dimensions batch, x_1: give"):
        random_inputs(inputs, {}, seed=1)
    with pytest.raises(ModelFileError, match=r"input 'text' is a tensor\(string\)"):
        random_inputs([SimpleNamespace(name="text", type="tensor(string)", shape=[1])], {}, seed=1)


def test_settings() -> None:
    with pytest.raises(InputError, match="wanted threads >= 1"):
        OnnxRuntimeCpu(threads=0)


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'perfmodel[collect]'" in str(OnnxRuntimeCpu().why_not())
    with pytest.raises(MissingExtraError):
        OnnxRuntimeCpu().collect(tmp_path / "m.onnx", tmp_path / "run", dims={})


# ------------------------------------------------------------------------------------------------ other packages
@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.syspath_prepend(tmp_path)

    def package(code: str) -> None:
        (tmp_path / "theirs.py").write_text(code)
        folder = tmp_path / "theirs-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text("[perfmodel.collectors]\ntheir-runtime = theirs:make\n")
        monkeypatch.delitem(sys.modules, "theirs", raising=False)

    return package


def test_a_collector_of_another_package(install: Callable[[str], None]) -> None:
    install(
        "class make:\n name = 'their-runtime'\n def why_not(self): return 'no'\n"
        " def collect(self, model, folder, *, dims, seed=0): pass\n def replay(self, folder): pass\n"
    )
    assert collector_names() == ["onnxruntime-cpu", "pytorch", "their-runtime"]
    assert collector("their-runtime").why_not() == "no"
    with pytest.raises(InputError, match="no collector is called 'onnxruntime': did you mean 'onnxruntime-cpu'"):
        collector("onnxruntime")


def test_one_that_is_none(install: Callable[[str], None]) -> None:
    install("class make:\n name = 'x'\n")
    with pytest.raises(PerfmodelError, match="which is no collector: it lacks why_not, collect, replay"):
        collector("their-runtime")

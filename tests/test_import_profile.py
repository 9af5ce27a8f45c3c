"""Profiles of ONNX Runtime through the one door for all formats. The files are made up after the documented format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfmodel.collect.importers.registry import Request
from perfmodel.errors import InputError, TraceError
from perfmodel.importing import import_traces

pandas = pytest.importorskip("pandas", reason="traces need the extra train")
onnx = pytest.importorskip("onnx")

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def products(path: Path, n: int, names: tuple[str, str] = ("first", "second"), rows: int = 128) -> Path:
    """``rows x 128`` by ``128 x n``, and that by ``n x 64``; both factors are weights."""
    float_, make = onnx.TensorProto.FLOAT, onnx.helper
    weights = [
        make.make_tensor(name, float_, shape, [0.5] * shape[0] * shape[1])
        for name, shape in (("v", (128, n)), ("w", (n, 64)))
    ]
    graph = make.make_graph(
        [make.make_node("MatMul", io[:2], io[2:], name=name) for io, name in zip(("xvy", "ywz"), names, strict=True)],
        "products", [make.make_tensor_value_info("x", float_, [rows, 128])],
        [make.make_tensor_value_info("z", float_, [rows, 64])], initializer=weights,
    )  # fmt: skip
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), path)
    return path


def profile(path: Path, *calls: tuple[str, int, str]) -> Path:
    """Three runs of products: name, us and provider of each."""
    events: list[dict[str, Any]] = []
    for begin in (0, 1000, 2000):
        events.append({"cat": "Session", "ph": "X", "name": "model_run", "ts": begin, "dur": 900, "tid": 1})
        at = begin + 10
        for name, us, provider in calls:
            arguments = {"op_name": "MatMul", "provider": provider}
            events.append(
                {
                    "cat": "Node",
                    "ph": "X",
                    "name": f"{name}_kernel_time",
                    "ts": at,
                    "dur": us,
                    "tid": 1,
                    "args": arguments,
                }
            )
            at += us + 10
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(events))
    return path


def imported(*paths: Path, graph: Path, device: str = "local-cpu") -> Any:
    return import_traces(*paths, request=Request(device, "onnxruntime-1.23", graph=graph), format="onnxruntime")


def test_times_of_calls_are_no_latency_of_a_gpu(tmp_path: Path) -> None:
    graph = products(tmp_path / "g.onnx", 32)
    path = profile(tmp_path / "p.json", ("first", 20, CPU), ("second", 40, CUDA))
    with pytest.raises(
        InputError, match="h100-sxm is a gpu: profile the model with Nsight Systems, Nsight Compute or torch"
    ):
        imported(path, graph=graph, device="h100-sxm")
    found = imported(path, graph=graph)
    assert found.table["node"].tolist() == ["first"]
    reason = f"run by {CUDA}: the time is that of its call, not of its kernel"
    assert found.passed_over == {reason: 1}
    path = profile(tmp_path / "p.json", ("first", 20, CUDA), ("second", 40, CUDA))
    with pytest.raises(TraceError, match=f"none of the 2 kernels of g is an operator of the graph: {reason}"):
        imported(path, graph=graph)


def test_nodes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    graph = products(tmp_path / "g.onnx", 4096, names=("mm", "mm"))
    table = imported(profile(tmp_path / "p.json", ("mm", 200, CPU), ("mm", 20, CPU)), graph=graph).table
    assert table[["n", "k"]].to_numpy().tolist() == [[4096, 128], [64, 4096]]
    # What the profiler adds to an event, 1.4 us, is taken off.
    assert table["latency_s"].tolist() == pytest.approx([198.6e-6, 18.6e-6])


def test_profiles_of_one_network_share_it(tmp_path: Path) -> None:
    from perfmodel.hardware import load_device
    from perfmodel.training.host import host_table

    calls = (("first", 20, CPU), ("second", 40, CPU))
    graph = products(tmp_path / "g.onnx", 32)
    runs = imported(
        profile(tmp_path / "run_1.json", *calls), profile(tmp_path / "run_2.json", *calls), graph=graph
    ).table
    assert runs["collection"].unique().tolist() == ["run_1.json", "run_2.json"]
    assert runs["network"].nunique() == 1
    # Another batch, saved under another name, is the same network; other weights are another one.
    batch = imported(tmp_path / "run_1.json", graph=products(tmp_path / "b.onnx", 32, rows=1)).table
    other = imported(profile(tmp_path / "o" / "run_1.json", *calls), graph=products(tmp_path / "o.onnx", 48)).table
    assert batch["network"][0] == runs["network"][0] != other["network"][0]
    # Two networks whose profiles bear one name are two models in training.
    table = host_table(pandas.concat([runs, other], ignore_index=True), load_device("local-cpu"))
    assert len(set(table.model)) == 3
    assert len(set(table.network)) == 2
    assert [len(rows) for rows, _, _ in table.runs().values()] == [2, 2, 2]


def test_files_of_one_name_keep_the_folders_that_tell_them_apart(tmp_path: Path) -> None:
    calls = (("first", 20, CPU), ("second", 40, CPU))
    paths = [profile(tmp_path / name, *calls) for name in ("a/p.json", "b/p.json", "c.json")]
    table = imported(*paths, graph=products(tmp_path / "g.onnx", 32)).table
    assert table["collection"].unique().tolist() == ["a/p.json", "b/p.json", "c.json"]


def test_a_device_of_a_file_is_known_to_the_reader(tmp_path: Path) -> None:
    """The kind of a device that has no record but its file; rows bear its id, not the path."""
    from perfmodel.hardware import load_device
    from perfmodel.hardware.writer import device_toml

    calls, graph = (("first", 20, CPU), ("second", 40, CPU)), products(tmp_path / "g.onnx", 32)
    (tmp_path / "mine.toml").write_text(device_toml(replace(load_device("epyc-9654"), id="mine")))
    table = imported(profile(tmp_path / "p.json", *calls), graph=graph, device=str(tmp_path / "mine.toml")).table
    assert set(table["device"]) == {"mine"}

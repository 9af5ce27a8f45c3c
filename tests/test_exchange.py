"""Predictions for other tools: the trace of a run, tables, and models that say what their nodes cost."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models
import pandas as pd
import pytest
from fake_predictions import operator, prediction
from onnx import helper, numpy_helper

import perfmodel
from perfmodel.cli import main
from perfmodel.errors import InputError
from perfmodel.exchange import costs, onnx_model, table
from perfmodel.exchange.timeline import timeline
from perfmodel.predict import Estimate
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.notebook import OPERATOR_COLUMNS

ROOT = Path(__file__).parent.parent
RESNET = str(ROOT / "examples" / "resnet18.onnx")


@pytest.fixture(scope="module")
def resnet() -> perfmodel.ModelPrediction:
    return perfmodel.predict(RESNET, "h100-sxm", dims={"batch": 8}, dtype="bf16")


@pytest.fixture(scope="module")
def gpt2() -> GenerationPrediction:
    model = ROOT / "examples" / "gpt2.onnx"
    return perfmodel.predict_generation(model, "h100-sxm", prompt=16, generate=9, dims={"batch": 1}, dtype="bf16")


def events(text: str, **wanted: Any) -> list[dict[str, Any]]:
    return [e for e in json.loads(text)["traceEvents"] if all(e.get(k) == v for k, v in wanted.items())]


# ------------------------------------------------------------------------------------------------------------- traces
def test_kernels_follow_each_other_and_end_with_the_run(resnet: perfmodel.ModelPrediction) -> None:
    kernels = events(timeline([resnet]), ph="X", tid=3)
    assert [e["name"] for e in kernels] == [o.name for o in resnet.operators]
    assert [e["dur"] / 1e6 for e in kernels] == pytest.approx(
        [o.latency_s.value for o in resnet.operators], abs=2.001e-9
    )
    ends = [e["ts"] + e["dur"] for e in kernels]
    # Each ends one nanosecond before the next begins.
    assert [e["ts"] for e in kernels] == pytest.approx([0.0, *(end + 1e-3 for end in ends[:-1])], abs=1e-6)
    assert ends[-1] == pytest.approx(1e6 * resnet.latency_s.value - 1e-3, abs=1e-3)
    args = kernels[0]["args"]
    first = resnet.operators[0]
    assert (args["bound"], args["flops"], args["bytes"]) == (first.bound, first.flops, first.bytes)
    assert args["latency_s"] == first.latency_s.to_dict()
    assert args["energy_j"]["value"] == first.energy_j.value if first.energy_j else False


def test_power_is_a_counter_whose_area_is_the_energy(resnet: perfmodel.ModelPrediction) -> None:
    steps = [(e["ts"], e["args"]["W"]) for e in events(timeline([resnet]), ph="C", name="power")]
    joules = sum(w * (after - at) / 1e6 for (at, w), (after, _) in pairwise(steps))
    assert resnet.energy_j is not None
    assert joules == pytest.approx(resnet.energy_j.value, rel=1e-9)


def test_modules_hold_their_kernels_and_lie_in_each_other() -> None:
    def named(name: str) -> Any:
        return operator("gemm", "s", 1e-6, name=name)

    p = prediction(
        operators=tuple(map(named, ("/a/b/x", "/a/b/y", "/a/c/z", "/d/w"))), latency_s=Estimate(4e-6, 4e-6, 4e-6)
    )
    spans = {e["name"]: (e["ts"], e["dur"]) for e in events(timeline([p]), ph="X", tid=2)}
    # Three microseconds, two, one and one, to the nanosecond before the next; what lies within ends one earlier.
    assert {k: pytest.approx(v) for k, v in spans.items()} == {
        "a": (0, 2.999), "b": (0, 1.998), "c": (2, 0.998), "d": (3, 0.999),
    }  # fmt: skip


def test_what_holds_another_of_the_same_length_stands_before_it(gpt2: GenerationPrediction) -> None:
    """The one that holds the other is a nanosecond longer."""
    run = (operator("gemm", "s", 1e-6, name="/a/b/x"), operator("gemm", "s", 1e-6, name="/a/b/y"))
    p = prediction(operators=run, latency_s=Estimate(2e-6, 2e-6, 2e-6))
    assert [e["name"] for e in events(timeline([p]), ph="X", tid=2)] == ["a", "b"]
    first = events(timeline([gpt2]), ph="X", tid=1)[:2]
    assert [e["cat"] for e in first] == ["phase", "run"]
    assert first[0]["dur"] == pytest.approx(first[1]["dur"] + 1e-3)


def test_waits_for_the_host_are_drawn_between_kernels() -> None:
    run = tuple(operator("gemm", f"s{i}", 1e-6, power_w=Estimate(300.0, 300.0, 300.0)) for i in range(2))
    p = prediction(
        operators=run, latency_s=Estimate(10e-6, 9e-6, 11e-6), launch_gap_s=8e-6, idle_power_w=90.0,
        power_w=Estimate(100.0, 100.0, 100.0),
    )  # fmt: skip
    text = timeline([p])
    assert [(e["ts"], e["dur"]) for e in events(text, tid=4, ph="X")] == [
        pytest.approx(x) for x in ((1, 3.999), (6, 3.999))
    ]
    assert [e["args"]["W"] for e in events(text, ph="C", name="power")] == [300, 90, 300, 90, 90]


def test_requests_have_phases_and_devices_are_processes(
    monkeypatch: pytest.MonkeyPatch, gpt2: GenerationPrediction
) -> None:
    from perfmodel.exchange import timeline as module

    request = gpt2
    text = timeline([request, prediction()])
    assert [e["args"]["name"] for e in events(text, ph="M", name="process_name")] == [
        "gpt2 on h100-sxm (predicted)", "resnet18 on h100-sxm (predicted)",
    ]  # fmt: skip
    phases = events(text, cat="phase")
    assert [(e["name"], e["dur"] / 1e6) for e in phases] == [
        (p.name, pytest.approx(p.latency_s.value, abs=2e-9)) for p in request.phases
    ]
    # The prompt, and a run a further token, numbered on over the parts that the phase is predicted in.
    assert [count for _, count in request.phases[1].parts] == [2, 2, 1, 1, 1, 1]
    numbered = [f"decode {number}" for number in range(1, 9)]
    assert [e["name"] for e in events(text, cat="run")] == ["prefill", *numbered]
    # Beyond a number of kernels, runs that are alike are drawn once: the time stays.
    monkeypatch.setattr(module, "MOST_KERNELS", 10)
    short = timeline([request])
    assert len(short) < len(text) / 1.2
    assert max(e["ts"] + e["dur"] for e in events(short, ph="X")) / 1e6 == pytest.approx(request.latency_s.value)
    assert [e["name"] for e in events(short, tid=3, ph="X") if "further" in e["name"]]
    assert [e["name"] for e in events(short, cat="run")] == ["prefill", *(f"decode {n}" for n in (1, 3, 5, 6, 7, 8))]


# ------------------------------------------------------------------------------------------------------------- tables
def test_a_csv_reads_back_as_the_same_numbers(resnet: perfmodel.ModelPrediction) -> None:
    rows = list(csv.DictReader(io.StringIO(table.table_bytes(resnet, "t.csv").decode())))
    assert [r["name"] for r in rows] == [o.name for o in resnet.operators]
    assert [float(r["latency_s"]) for r in rows] == [
        o.latency_s.value for o in resnet.operators
    ]  # the same, not nearly
    assert [r["algorithm"] for r in rows] == [o.algorithm or "" for o in resnet.operators]


def test_parquet_and_csv_are_one_table(resnet: perfmodel.ModelPrediction) -> None:
    parquet = pd.read_parquet(io.BytesIO(table.table_bytes(resnet, "t.parquet")))
    pd.testing.assert_frame_equal(parquet, resnet.to_pandas())
    assert list(pd.read_csv(io.BytesIO(table.table_bytes(resnet, "t.csv"))).columns) == list(parquet.columns)


UNKNOWN = prediction(
    operators=(
        operator("gemm", "s", 1e-6, flops=2**53 + 1, power_w=None, energy_j=None, algorithm=None, name='a,"b\n'),
    )
)
"""Of a device whose power is unknown; more FLOPs than a float counts one by one."""


@pytest.mark.parametrize("p", [UNKNOWN, prediction(operators=())], ids=["no power", "no operators"])
def test_columns_and_their_types_are_the_same_for_every_device(
    p: perfmodel.ModelPrediction, resnet: perfmodel.ModelPrediction
) -> None:
    from pyarrow import parquet

    wanted, found = (parquet.read_schema(io.BytesIO(table.table_bytes(x, "t.parquet"))) for x in (resnet, p))
    assert found.equals(wanted)
    assert list(pd.read_csv(io.BytesIO(table.table_bytes(p, "t.csv"))).columns) == wanted.names
    frame, other = p.to_pandas(), resnet.to_pandas()
    assert list(frame.columns) == list(other.columns)
    figures = [c for c, kind in other.dtypes.items() if kind == "float64"]
    assert [c for c, kind in frame.dtypes.items() if kind == "float64"] == figures
    assert len(pd.concat([frame, other])) == len(frame) + len(other)


def test_names_of_any_kind_survive_a_table() -> None:
    for name, read in (("t.csv", pd.read_csv), ("t.parquet", pd.read_parquet)):
        [row] = read(io.BytesIO(table.table_bytes(UNKNOWN, name))).to_dict("records")
        assert row["name"] == 'a,"b\n'
        assert row["flops"] == 2**53 + 1 or row["flops"] == 2.0**53
        assert np.isnan(row["power_w"])


def test_requests_say_phase_and_runs(gpt2: GenerationPrediction) -> None:
    frame = pd.read_parquet(io.BytesIO(table.table_bytes(gpt2, "t.parquet")))
    assert list(frame.columns[:3]) == ["phase", "runs", "name"]
    seconds = (frame["runs"] * frame["latency_s"]).groupby(frame["phase"]).sum()
    assert dict(seconds) == {p.name: pytest.approx(p.latency_s.value) for p in gpt2.phases}


def test_every_column_is_explained() -> None:
    text = (ROOT / "docs" / "exchange.md").read_text()
    rows = text.split("| column | holds |")[1].split("\n\n")[0]
    named = [n for line in rows.splitlines()[2:] for n in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert named == ["phase", "runs", *OPERATOR_COLUMNS]


# --------------------------------------------------------------------------------------------------------------- ONNX
def properties(holder: Any) -> dict[str, str]:
    return {e.key.removeprefix("perfmodel."): e.value for e in holder.metadata_props if e.key.startswith("perfmodel.")}


def saved(tmp_path: Path, model: onnx.ModelProto) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def annotated(
    path: Path | str, target: Path | None = None, **conditions: Any
) -> tuple[onnx.ModelProto, Any, list[str]]:
    p = perfmodel.predict(path, "h100-sxm", **conditions)
    data, warnings = onnx_model.annotated(path, p, target)
    return onnx.ModelProto.FromString(data), p, warnings


def test_times_of_the_nodes_add_up_to_those_of_the_kernels() -> None:
    model, p, _ = annotated(RESNET, dims={"batch": 8}, dtype="bf16")
    found = {n.name: properties(n) for n in model.graph.node}
    timed = {name: float(f["latency_s"]) for name, f in found.items() if "latency_s" in f}
    assert timed == {o.name: o.latency_s.value for o in p.operators}
    assert float(properties(model)["latency_s"]) == p.latency_s.value
    assert found["stem.relu"] == {"part_of": "stem"}  # it was fused into the convolution before it
    assert found["stem"]["bound"] == p.operators[0].bound


def test_nothing_but_metadata_is_added_and_it_predicts_the_same() -> None:
    model, p, _ = annotated(RESNET, dims={"batch": 8}, dtype="bf16")
    again = perfmodel.predict(model, "h100-sxm", dims={"batch": 8}, dtype="bf16")
    assert [(o.name, o.latency_s) for o in again.operators] == [(o.name, o.latency_s) for o in p.operators]
    for holder in (model, *model.graph.node):
        del holder.metadata_props[:]
    before = onnx.load(RESNET, load_external_data=False)
    for holder in (before, *before.graph.node):
        del holder.metadata_props[:]
    assert model == before


def test_nodes_without_names_and_with_the_same_one_are_told_apart(tmp_path: Path) -> None:
    shape = [256, 256]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="same"),
        helper.make_node("MatMul", ["a", "w"], ["b"], name="same"),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    model = onnx_models.model(nodes, [onnx_models.value("x", [8, 256])], ["y"], [onnx_models.weight("w", shape)])
    result, p, _ = annotated(saved(tmp_path, model))
    assert [n.name for n in result.graph.node] == ["same", "same", ""]  # as they were
    assert [float(properties(n)["latency_s"]) for n in result.graph.node] == [o.latency_s.value for o in p.operators]


def test_a_call_of_a_function_costs_what_its_body_does(tmp_path: Path) -> None:
    body = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    function = helper.make_function("own", "Twice", ["x", "w"], ["y"], body, [helper.make_opsetid("", 18)])
    nodes = [helper.make_node("Twice", ["x", "w"], ["y"], domain="own", name="call")]
    model = onnx_models.model(
        nodes, [onnx_models.value("x", [8, 256])], ["y"], [onnx_models.weight("w", [256, 256])], domains=["own"],
        functions=[function],
    )  # fmt: skip
    result, p, _ = annotated(saved(tmp_path, model))
    [call] = result.graph.node
    assert len(p.operators) == 2
    assert float(properties(call)["latency_s"]) == pytest.approx(sum(o.latency_s.value for o in p.operators))
    assert properties(call)["kernels"] == "2"
    # Beside that each node of the function says what it takes itself.
    inside = [float(properties(n)["latency_s"]) for n in result.functions[0].node]
    assert inside == [o.latency_s.value for o in p.operators]


def test_nodes_of_functions_have_the_costs_of_all_calls_and_those_of_inner_functions_their_own(tmp_path: Path) -> None:
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    product = helper.make_function(
        "own", "Product", ["x", "w"], ["y"], [helper.make_node("MatMul", ["x", "w"], ["y"])], versions
    )
    body = [
        helper.make_node("Product", ["x", "w"], ["a"], domain="own"),
        helper.make_node("Softmax", ["a"], ["b"]),
        helper.make_node("Product", ["b", "w"], ["y"], domain="own"),
    ]
    block = helper.make_function("own", "Block", ["x", "w"], ["y"], body, versions)
    nodes = [
        helper.make_node("Block", ["x", "w"], ["h"], domain="own", name="first"),
        helper.make_node("Block", ["h", "w"], ["y"], domain="own", name="second"),
    ]
    model = onnx_models.model(
        nodes, [onnx_models.value("x", [8, 256])], ["y"], [onnx_models.weight("w", [256, 256])], domains=["own"],
        functions=[product, block],
    )  # fmt: skip
    result, p, _ = annotated(saved(tmp_path, model))
    assert [o.op for o in p.operators] == ["gemm", "softmax", "gemm", "gemm", "softmax", "gemm"]
    seconds = [o.latency_s.value for o in p.operators]
    assert [float(properties(n)["latency_s"]) for n in result.graph.node] == pytest.approx(
        [sum(seconds[:3]), sum(seconds[3:])]
    )
    of_product, of_block = ([properties(n) for n in f.node] for f in result.functions)
    assert [float(n["latency_s"]) for n in of_product] == pytest.approx(
        [seconds[0] + seconds[2] + seconds[3] + seconds[5]]
    )
    assert [n["kernels"] for n in of_product] == ["4"]
    assert [float(n["latency_s"]) for n in of_block] == pytest.approx([seconds[i] + seconds[i + 3] for i in range(3)])
    assert not [key for f in result.functions for n in f.node for key in properties(n) if "mark" in key]


def test_a_node_of_a_function_that_joins_a_kernel_outside_says_so(tmp_path: Path) -> None:
    function = helper.make_function(
        "own", "Act", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 18)]
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="product"),
        helper.make_node("Act", ["a"], ["y"], domain="own", name="call"),
    ]
    model = onnx_models.model(
        nodes, [onnx_models.value("x", [8, 256])], ["y"], [onnx_models.weight("w", [256, 256])], domains=["own"],
        functions=[function],
    )  # fmt: skip
    result, _, _ = annotated(saved(tmp_path, model))
    assert properties(result.graph.node[1]) == {"part_of": "product"}
    assert properties(result.functions[0].node[0]) == {"part_of": "product"}


def test_bodies_of_loops_are_annotated_where_they_stand(tmp_path: Path) -> None:
    from onnx import TensorProto

    step = helper.make_node("MatMul", ["state_in", "w"], ["state_out"], name="step")
    keep = helper.make_node("Identity", ["cond_in"], ["cond_out"], name="keep")
    body = helper.make_graph(
        [step, keep], "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("cond_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, [8, 256]),
        ],
        [
            helper.make_tensor_value_info("cond_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [8, 256]),
        ],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["trips", "yes", "x"], ["y"], name="loop", body=body)
    model = onnx_models.model(
        [loop], [onnx_models.value("x", [8, 256])], ["y"],
        [onnx_models.weight("w", [256, 256]), onnx_models.constant("trips", [7], shape=[]),
         onnx_models.constant("yes", [1], onnx_models.BOOL, shape=[])],
    )  # fmt: skip
    result, p, _ = annotated(saved(tmp_path, model))
    [inner] = [n for n in result.graph.node[0].attribute[0].g.node if n.name == "step"]
    assert properties(inner)["count"] == "7"
    # What the loop says of its body is the body's, not more time.
    assert properties(result.graph.node[0])["bodies_latency_s"] == properties(inner)["latency_s"]
    assert "latency_s" not in properties(result.graph.node[0])
    assert float(properties(inner)["latency_s"]) == p.operators[0].latency_s.value


def test_an_old_annotation_is_replaced(tmp_path: Path) -> None:
    first, _, _ = annotated(RESNET, dims={"batch": 8})
    for node in first.graph.node:  # one without costs in this annotation may have had some in another
        node.metadata_props.add(key="perfmodel.gone", value="1")
    path = saved(tmp_path, first)
    second, p, _ = annotated(path, dims={"batch": 1})
    assert float(properties(second)["latency_s"]) == p.latency_s.value
    assert properties(second)["dims"] == "batch=1"
    keys = [e.key for e in second.graph.node[0].metadata_props]
    assert len(keys) == len(set(keys))
    assert any(not properties(node) for node in second.graph.node)
    assert not any("gone" in properties(node) for node in second.graph.node)


def test_warnings_of_an_annotated_file_stand_beside_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on standard output has nothing of the file; what is said of it besides is left out there, as everywhere."""
    weight = onnx_models.weight("w", [256, 256])
    del weight.external_data[:]
    weight.external_data.add(key="location", value="weights/absent.bin")
    model = onnx_models.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [onnx_models.value("x", [8, 256])], ["y"], [weight]
    )
    (tmp_path / "elsewhere").mkdir()
    target = str(tmp_path / "elsewhere" / "model.onnx")
    arguments = ["predict", str(saved(tmp_path, model)), "--device", "h100-sxm", "--predictor", "analytical"]
    assert main([*arguments, "--annotate", target, "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["device"] == "h100-sxm"
    [line] = shown.err.splitlines()
    assert line.startswith("warning: ")
    assert "'weights/absent.bin' beside the model" in line
    assert main([*arguments, "--annotate", target]) == 0
    shown = capsys.readouterr()
    assert line in shown.out.splitlines()
    assert shown.err == ""


def test_weights_outside_stay_where_they_are(tmp_path: Path) -> None:
    weight = onnx_models.weight("w", [256, 256])
    del weight.external_data[:]
    weight.external_data.add(key="location", value="weights/absent.bin")
    model = onnx_models.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [onnx_models.value("x", [8, 256])], ["y"], [weight]
    )
    path = saved(tmp_path, model)
    (tmp_path / "elsewhere").mkdir()
    result, _, warnings = annotated(path, tmp_path / "elsewhere" / "model.onnx")
    assert result.graph.initializer[0].external_data[0].value == "weights/absent.bin"
    assert not result.graph.initializer[0].raw_data
    assert any("'weights/absent.bin' beside the model" in w for w in warnings)
    assert not any("beside" in w for w in annotated(path, tmp_path / "other.onnx")[2])


def test_the_annotated_file_still_runs(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((16, 4)).astype(np.float32)
    model = onnx_models.model(
        [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        [onnx_models.value("x", [2, 16])], [onnx_models.value("y", [2, 4])], [numpy_helper.from_array(numbers, "w")],
    )  # fmt: skip
    model.ir_version = 8
    path = saved(tmp_path, model)
    result, _, warnings = annotated(path)
    assert result.ir_version == 8
    assert any("version 8" in w for w in warnings)
    onnx.checker.check_model(result, full_check=True)
    x = rng.standard_normal((2, 16)).astype(np.float32)
    [y] = runtime.InferenceSession(result.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y, np.maximum(x @ numbers, 0), rtol=1e-5)


def test_kernels_that_stand_nowhere_are_told() -> None:
    gone = prediction(
        operators=(operator("gemm", "s", 1e-6, name="fused by a runtime"), operator("gemm", "s", 2e-6, name="a"))
    )
    placed = costs.place(gone, {"a": 0})
    assert [o.name for o in placed.homeless] == ["fused by a runtime"]
    assert costs.totals(gone, placed)["unplaced_s"] == 1e-6
    assert placed.nodes[0]["latency_s"] == 2e-6


# ----------------------------------------------------------------------------------------------------------- commands
def test_the_command_writes_all_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / name) for name in ("t.json", "t.csv", "m.onnx")]
    arguments = ["predict", RESNET, "--device", "h100-sxm", "--dim", "batch=8", "--dtype", "bf16"]
    assert main([*arguments, "--trace", files[0], "--table", files[1], "--annotate", files[2]]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in files)
    seconds = sum(float(r["latency_s"]) for r in csv.DictReader(Path(files[1]).read_text().splitlines()))
    kernels = events(Path(files[0]).read_text(), tid=3, ph="X")
    assert sum(e["args"]["latency_s"]["value"] for e in kernels) == pytest.approx(seconds)
    assert sum(e["dur"] for e in kernels) / 1e6 == pytest.approx(seconds, abs=2e-9 * len(kernels))
    assert main([*arguments[:1], files[2], *arguments[2:], "--json", str(tmp_path / "again.json")]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["latency_s"]["value"] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--trace", "t.txt"], "wanted a name that ends in .json"),
        (["--table", "t.txt"], "neither .csv nor .parquet"),
        (["--annotate", RESNET], "is the model itself"),
        (["--annotate", "no/such/folder/m.onnx"], "there is no folder"),
        (["--annotate", "m.mlir"], "the model is no MLIR module: wanted .onnx"),
        (["--annotate", "m.onnx", "--prompt", "4", "--generate", "4"], "leave out --prompt"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    options: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", RESNET, "--device", "h100-sxm", "--dim", "batch=8", *options]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_members_of_kernels_are_in_the_json(resnet: perfmodel.ModelPrediction) -> None:
    assert resnet.to_dict()["operators"][0]["members"] == ["stem", "stem.relu"]


def test_a_table_must_say_its_format() -> None:
    with pytest.raises(InputError, match=r"neither \.csv nor \.parquet"):
        table.table_bytes(prediction(), "t.xls")

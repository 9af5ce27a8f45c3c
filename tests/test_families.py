"""Every family end to end: from trace rows to boosters, to what a predictor says, and to what evaluation says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_doubles import predictor, residual

from perfmodel import load
from perfmodel.errors import InputError, PredictorError
from perfmodel.evaluate import evaluate
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.bounds import Bounds
from perfmodel.models.constants import FALLBACK
from perfmodel.models.families import FAMILIES, Family, family_of
from perfmodel.models.fit import fit_constants
from perfmodel.models.learned import Residual, software_order
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import parts_of, shape_keys, variants_of
from perfmodel.ops import Attention, Collective, Conv, Elementwise, Gemm, Moe, Norm, Operator, Quantize, Softmax
from perfmodel.ops.table import from_columns, stack

pandas = pytest.importorskip("pandas", reason="training needs the extra train")
pytest.importorskip("xgboost", reason="training needs the extra train")
training = import_module("perfmodel.train")

DEVICES = ("h100-sxm", "h200-sxm")
OPERATORS: dict[str, Operator] = {
    "gemm": Gemm(m=64, n=1024, k=512, dtype="bf16"),
    "attention_prefill": Attention(q_len=512, kv_len=512, heads=8, kv_heads=2, head_dim=128, causal=True, dtype="bf16"),
    "attention_decode": Attention(
        phase="decode", batch=8, q_len=1, kv_len=1024, heads=8, kv_heads=2, head_dim=128, window=128, dtype="bf16"
    ),
    "attention_encoder": Attention(phase="encoder", q_len=576, kv_len=576, heads=16, kv_heads=16, head_dim=72, dtype="bf16"),
    "mla_prefill": Attention(
        phase="mla_prefill", q_len=256, kv_len=256, heads=16, kv_heads=16, head_dim=192, v_head_dim=128, dtype="bf16"
    ),
    "mla_decode": Attention(
        phase="mla_decode", batch=4, q_len=1, kv_len=256, heads=16, kv_heads=1, head_dim=576, v_head_dim=512, dtype="bf16"
    ),
    "moe": Moe(tokens=128, hidden=1024, intermediate=512, experts=8, top_k=2, distribution="power_law_1.2", dtype="bf16"),
    "conv": Conv(batch=2, c_in=64, c_out=64, h=28, w=28, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="fp32"),
    "elementwise": Elementwise(kind="gelu", elements=10**6, dtype="fp32"),
    "softmax": Softmax(rows=512, cols=1024, dtype="fp32"),
    "norm": Norm(kind="layernorm", rows=512, cols=1024, dtype="fp32"),
    "quantize": Quantize(kind="dynamic", rows=512, cols=1024, dtype="bf16", out_dtype="fp8"),
    "collective": Collective(kind="all_reduce", message_bytes=2**20, ranks=4, dtype="bf16"),
}  # fmt: skip
"""One operator of each family."""
GREW = {
    "gemm": "n", "attention": "heads", "moe": "hidden", "conv": "c_out", "elementwise": "elements", "softmax": "cols",
    "norm": "cols", "quantize": "cols", "collective": "bytes",
}  # fmt: skip
"""A column that makes another group of shapes."""


def rows(name: str, device: str = "h100-sxm", *, factor: float = 1.5, software: str = "vllm-1.0") -> Any:
    """Six shapes of a family that take ``factor`` times the physics."""
    op = OPERATORS[name]
    fields = {n: getattr(op, n) for n in op.__dataclass_fields__ if n != "message_bytes"}
    if isinstance(op, Collective):
        fields["bytes"] = op.message_bytes
    table = pandas.DataFrame([fields] * 6).astype(object)
    column = GREW[op.op]
    table[column] = table[column].astype(int) * np.array([1, 2, 4, 8, 16, 32])
    if column == "heads" and name != "mla_decode":
        table["kv_heads"] = table["kv_heads"].astype(int) * np.array([1, 2, 4, 8, 16, 32])
    table = table.assign(op=op.op, device=device, software=software, kernel=None, cache="warm", source="test")
    for group in from_columns({c: table[c].to_numpy() for c in table}):
        physics = analyse(group, load_device(device), constants=FALLBACK, conditions=Conditions("warm")).latency_s
        table.loc[group.rows, "latency_s"] = physics * factor
    table["latency_s"] = table["latency_s"].astype(float)
    return table


def everything(*devices: str) -> Any:
    parts = [rows(name, device) for name in OPERATORS for device in devices or DEVICES]
    return pandas.concat(parts, ignore_index=True).infer_objects()


def parameters_of(family: Family) -> dict[str, Any]:
    """A family's parameters of XGBoost, to be changed for a test."""
    assert isinstance(family.booster, dict)
    return family.booster


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Few and weakly constrained trees, so that a handful of rows teaches a factor; the constants are held."""
    with pytest.MonkeyPatch.context() as patch:
        for family in FAMILIES.values():
            for name, value in {
                "trees": 20,
                "eta": 0.5,
                "min_child_weight": 0,
                "subsample": 1.0,
                "lambda": 0.0,
            }.items():
                patch.setitem(parameters_of(family), name, value)
        for module in ("perfmodel.train", "perfmodel.transfer"):
            patch.setattr(import_module(module), "fit_constants", lambda table, **options: FALLBACK)
        yield


# ------------------------------------------------------------------------------------------------------------ the records
@pytest.mark.parametrize("name", OPERATORS)
def test_features_of_each_family(name: str) -> None:
    family, op = FAMILIES[name], OPERATORS[name]
    assert family_of(op) is family
    (group,) = stack([op, op])
    device = load_device("h100-sxm")
    bounds = analyse(group, device, constants=FALLBACK, conditions=Conditions("warm"))
    columns = family.columns(group.op, bounds, Machine.of(device, op.dtype), device)
    wanted = {*feature_schema(name).names, *family.support, *family.exact}
    assert wanted <= set(columns)
    for column in wanted:
        assert np.shape(columns[column]) == (2,), column
        assert np.isfinite(columns[column]).all(), column
    assert all(column.startswith("log2_") for column in family.support)
    assert family.part(group.op) == family.part(op)


def test_each_family_has_an_operator_here_and_a_schema() -> None:
    assert set(FAMILIES) == set(OPERATORS)
    assert family_of(Norm(kind="rmsnorm", rows=1, cols=1, dtype="bf16")) is FAMILIES["norm"]
    assert family_of(OPERATORS["conv"].replace(transposed=True)) is None


@pytest.mark.parametrize("name", OPERATORS)
def test_nothing_breaks_on_empty_dimensions(name: str) -> None:
    op = OPERATORS[name]
    free = {n: 0 for n in op.dimension_names() if n in ("m", "q_len", "tokens", "elements", "rows", "message_bytes")}
    (group,) = stack([op.replace(**free)])
    device = load_device("h100-sxm")
    bounds: Bounds = analyse(group, device, constants=FALLBACK)
    columns = FAMILIES[name].columns(group.op, bounds, Machine.of(device, op.dtype), device)
    assert all(np.isfinite(columns[c]).all() for c in FAMILIES[name].support)


# --------------------------------------------------------------------------------------------------------------- the whole
@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trained") / "p"
    with pytest.MonkeyPatch.context() as patch:
        for family in FAMILIES.values():  # one factor is to be learned
            patch.setitem(family.booster, "trees", 60)
        return folder, training.train(everything(), folder)


def test_from_traces_to_predictions(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, accuracy = trained
    loaded = load(folder)
    assert {key[:2] for key in loaded.residuals} == {(name, d) for name in OPERATORS for d in DEVICES}
    for name, op in OPERATORS.items():
        e = loaded.predict(op, "h100-sxm", cache="warm")
        assert e.source.tolist() == ["learned"], name
        np.testing.assert_allclose(e.latency_s / e.analytical_s, 1.5, rtol=0.02, err_msg=name)
        assert e.software.tolist() == ["vllm-1.0"]
        part = FAMILIES[name].part(op)
        assert (folder / name / "h100-sxm" / f"{part}.json.gz").is_file()
    assert not (folder / ".partial").exists()
    groups = {(g["op"], g["device"]): g for g in accuracy["groups"]}
    assert set(groups) == {(name, d) for name in OPERATORS for d in DEVICES}
    assert {g["n"] for g in groups.values()} == {6}
    # Half as long again as the physics: a third too short.
    assert all(g["analytical_mape"] == pytest.approx(1 / 3) for g in groups.values())
    assert {(r["op"], r["device"], r["dtype"]) for r in accuracy["by_device_dtype"]} == {
        (name, d, op.dtype) for name, op in OPERATORS.items() for d in DEVICES
    }
    # A device left out leans on its sibling, with nine tenths of its factor.
    left_out = {(g["op"], g["device"]): g["mape"] for g in accuracy["transfer"]["device"]["groups"]}
    assert left_out == pytest.approx(dict.fromkeys(groups, 1 - 1.5**-0.1), rel=0.3)
    assert "family" not in accuracy["transfer"]  # one family: nothing is left
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert all(entry["sibling_quantiles"] is not None for entry in manifest["boosters"])
    # The analytical interval of a family reaches from the estimate to where its labels are: ln 1.5.
    assert manifest["analytical_log_intervals"]["moe/all"] == pytest.approx([0, np.log(1.5)])


def test_a_sibling_another_device_and_what_was_not_measured(trained: tuple[Path, dict[str, Any]]) -> None:
    loaded = load(trained[0])
    for name, op in OPERATORS.items():
        sibling = loaded.predict(op, replace(load_device("h100-sxm"), id="h800"), cache="warm")
        assert sibling.source.tolist() == ["blended"], name
        np.testing.assert_allclose(sibling.latency_s / sibling.analytical_s, 1.5**0.9, rtol=0.1, err_msg=name)
        other = loaded.predict(op, "mi210", cache="warm")
        assert other.source.tolist() == ["analytical"], name
        # ln 1.5 above, and not a hair below.
        np.testing.assert_allclose(other.latency_high_s / other.latency_s, 1.5, rtol=1e-6, err_msg=name)
    op = OPERATORS["moe"]
    assert loaded.predict(op.replace(dtype="fp8"), "h100-sxm").source.tolist() == ["analytical"]
    far = op.replace(hidden=2**20)  # five octaves beyond
    assert loaded.predict(far, "h100-sxm").source.tolist() == ["analytical"]
    near = loaded.predict(op.replace(hidden=2**16), "h100-sxm")  # one
    assert near.source.tolist() == ["blended"]
    np.testing.assert_allclose(np.log(near.latency_s / near.analytical_s), np.log(1.5) / np.e, rtol=0.1)


def test_what_a_convolution_leans_on(trained: tuple[Path, dict[str, Any]]) -> None:
    loaded = load(trained[0])
    conv = OPERATORS["conv"]
    for changes in ({"kernel_h": 5}, {"stride_h": 2}, {"groups": 2}, {"pad_w": 0}):
        assert loaded.predict(conv.replace(**changes), "h100-sxm").source.tolist() == ["analytical"], changes
    # In bf16 a 1x1 convolution is the GEMM of 64 channels at 784 positions, and GEMMs take half as long again.
    as_gemm = conv.replace(
        dtype="bf16", kernel_h=1, kernel_w=1, pad_h=0, pad_w=0, c_in=512, c_out=1024, batch=1, h=8, w=8
    )
    e = loaded.predict(as_gemm, "h100-sxm", cache="warm")
    assert e.algorithm[0] == "implicit_gemm"
    assert e.source.tolist() == ["blended"]
    np.testing.assert_allclose(e.latency_s / e.analytical_s, 1.5**0.9, rtol=0.05)
    assert any("implicit GEMMs" in note for note in e.notes)
    # Its interval stays that of what nothing measured: a factor of two.
    np.testing.assert_allclose(e.latency_high_s / e.latency_s, 2.0)


def test_a_stack_that_a_family_was_not_measured_with_is_analytical(trained: tuple[Path, dict[str, Any]]) -> None:
    loaded = load(trained[0])
    extra = residual("h100-sxm", part="fp8", software=("sglang-2.0", "vllm-2.0"), log_ratio=(0.1, 0.1))
    p = Predictor("p", loaded.constants, {**loaded.residuals, extra.key: extra}, loaded.analytical_log_intervals)
    e = p.predict(OPERATORS["moe"], "h100-sxm", software="sglang-2.0")
    assert (e.source[0], e.software[0]) == ("analytical", None)
    assert any("moe was not measured under sglang-2.0" in note for note in e.notes)
    # Another version of a stack that was: that one's booster.
    assert p.predict(OPERATORS["moe"], "h100-sxm", software="vllm-2.0").software[0] == "vllm-1.0"


# ----------------------------------------------------------------------------------------------------------------- kernels
def test_variants() -> None:
    software = np.array(["a-1", "a-1", "a-1", "b-1", "b-1", "b-1"], dtype=object)
    kernel = np.array(["x", "y", None, "x", "y", "y"], dtype=object)
    shape = np.array([1, 1, 2, 1, 2, 3])
    # a runs x and y on shape 1; b chooses one kernel for each shape.
    assert variants_of(software, kernel, shape).tolist() == ["a-1:x", "a-1:y", "a-1", "b-1", "b-1", "b-1"]
    assert variants_of(software, None, shape).tolist() == software.tolist()
    assert software_order(["b-1.10", "b-1.9", "a-2:y", "a-2:x"]) == ("a-2:x", "a-2:y", "b-1.9", "b-1.10")


def test_a_software_alone_is_its_fastest_kernel(tmp_path: Path) -> None:
    slow, fast = rows("moe", factor=3.0), rows("moe", factor=1.2)
    table = pandas.concat([slow.assign(kernel="triton"), fast.assign(kernel="cutlass")], ignore_index=True)
    table = pandas.concat([table, rows("moe", factor=2.0, software="other-1.0")], ignore_index=True).infer_objects()
    accuracy = training.train(table, tmp_path / "p")
    assert sorted(g["software"] for g in accuracy["groups"]) == ["other-1.0", "vllm-1.0"]
    loaded, op = load(tmp_path / "p"), OPERATORS["moe"]

    def factor(software: str | None) -> tuple[str, float]:
        e = loaded.predict(op, "h100-sxm", software=software, cache="warm")
        return str(e.software[0]), float(e.latency_s[0] / e.analytical_s[0])

    assert factor("vllm-1.0") == ("vllm-1.0:cutlass", pytest.approx(1.2, rel=0.05))
    assert factor("vllm") == ("vllm-1.0:cutlass", pytest.approx(1.2, rel=0.05))
    assert factor("vllm-1.0:triton") == ("vllm-1.0:triton", pytest.approx(3.0, rel=0.05))
    assert factor(None)[0] == "vllm-1.0:cutlass"
    # Rows are judged under their own kernel.
    report = evaluate(table, loaded, by=("op", "software"))
    assert [(g["op"], g["software"]) for g in report["groups"]] == [("moe", "other-1.0"), ("moe", "vllm-1.0")]
    assert report["overall"]["mape"] < 0.05
    assert report["overall"]["analytical_mape"] > 0.3


def test_shape_keys_tell_shapes_apart() -> None:
    table = everything("h100-sxm")
    keys = np.concatenate([shape_keys(g) for g in from_columns({c: table[c].to_numpy() for c in table})])
    assert len(set(keys.tolist())) == len(table)
    again = np.concatenate([shape_keys(g) for g in from_columns({c: table[c].to_numpy() for c in table})])
    np.testing.assert_array_equal(keys, again)


def test_parts_of_a_table() -> None:
    table = pandas.concat(
        [everything(), rows("moe").assign(dtype="fp8"), rows("softmax").assign(dtype="fp16")], ignore_index=True
    )
    parts = parts_of(table)
    assert sum(len(p.rows) for p in parts) == len(table)
    found = [(p.name, p.device, p.part) for p in parts]
    assert found[:2] == [("gemm", "h100-sxm", "bf16"), ("gemm", "h200-sxm", "bf16")]
    assert [f for f in found if f[0] == "softmax"] == [
        ("softmax", "h100-sxm", "fp16"), ("softmax", "h100-sxm", "fp32"), ("softmax", "h200-sxm", "fp32")
    ]  # fmt: skip
    # Experts of all formats share a booster.
    assert [f for f in found if f[0] == "moe"] == [("moe", "h100-sxm", "all"), ("moe", "h200-sxm", "all")]
    for p in parts:
        assert set(p.rows["device"]) == {p.device}
    copies = rows("norm").assign(op="copy", kind="copy", elements=9)
    (other,) = parts_of(copies)
    assert (other.family, other.name, other.part) == (None, "copy", "fp32")


# ----------------------------------------------------------------------------------------------------------------- evaluate
@pytest.mark.parametrize("protocol", ["shapes", "device", "family"])
def test_protocols(protocol: str) -> None:
    names = ("attention_decode", "moe", "collective")
    devices = (*DEVICES, "l40s")
    table = pandas.concat([rows(n, d) for n in names for d in devices], ignore_index=True).infer_objects()
    lines: list[str] = []
    report = evaluate(table, Predictor(constants=FALLBACK), protocol=protocol, by=("op", "device"), report=lines.append)
    assert lines
    if protocol == "shapes":
        count = len(names) * len(devices)
        assert lines[-1] == f"{count}/{count} tables judged"  # what counts has a rate and an end on a terminal
    mape = {(g["op"], g["device"]): g["mape"] for g in report["groups"]}
    assert set(mape) == {(n, d) for n in names for d in devices}
    for (_, device), value in mape.items():
        if protocol == "family" or (protocol == "device" and device == "l40s"):
            assert value == pytest.approx(1 / 3)  # nothing like it was seen
        elif protocol == "device":
            assert value < 0.06


def test_operators_without_a_family_are_judged_as_analytical(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    copies = rows("norm").assign(op="copy", kind="copy", elements=10**6, latency_s=1e-3)
    report = evaluate(pandas.concat([copies, rows("moe")]).infer_objects(), load(trained[0]), by=("op",))
    by_op = {g["op"]: g for g in report["groups"]}
    assert set(by_op) == {"copy", "moe"}
    assert by_op["copy"]["mape"] == by_op["copy"]["analytical_mape"] > 0.5
    assert by_op["moe"]["mape"] < 0.05
    lines: list[str] = []
    training.train(pandas.concat([copies, rows("moe")]).infer_objects(), tmp_path, report=lines.append)
    assert "6 rows of operators that nothing is learned of are left out" in lines
    with pytest.raises(InputError, match="no usable row to train on"):
        training.train(copies, tmp_path)


# ---------------------------------------------------------------------------------------------------------- going on again
def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_interrupted_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pandas.concat([rows(n, d) for n in ("gemm", "moe") for d in DEVICES], ignore_index=True).infer_objects()
    training.train(table, tmp_path / "whole")
    parts = import_module("perfmodel.training.parts")
    fit, calls = parts.held_out, []

    def stops_at_the_third(prepared: Any, seed: int) -> Any:
        calls.append((prepared.family.name, prepared.device.id))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(prepared, seed)

    monkeypatch.setattr(parts, "held_out", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        training.train(table, tmp_path / "p", resume=tmp_path / "pieces")
    assert not (tmp_path / "p" / "manifest.json").exists()
    kept = sorted(p.suffix for p in (tmp_path / "pieces").iterdir())
    assert kept == [".json"] * 3 + [".npz"] * 3  # the constants and two parts
    training.train(table, tmp_path / "p", resume=tmp_path / "pieces")
    # The first two were not trained again, and the result is the same to the byte.
    assert calls[3:] == [("moe", "h100-sxm"), ("moe", "h200-sxm")]
    assert files(tmp_path / "p") == files(tmp_path / "whole")
    assert not (tmp_path / "pieces").exists()


def test_pieces_of_other_rows_or_settings_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.training.parts import PartTask
    from perfmodel.training.resume import Pieces

    pieces = Pieces(tmp_path)
    (part,) = parts_of(rows("moe").infer_objects())
    task = PartTask.of(part, FALLBACK, 0, pieces)
    other_rows = part.rows.copy()
    other_rows.iloc[3, other_rows.columns.get_loc("latency_s")] *= 1.0001
    keys = {
        task.key("part"), replace(task, seed=1).key("part"), replace(task, rows=other_rows).key("part"),
        replace(task, constants=replace(FALLBACK, norm_p=3.0)).key("part"), task.key("left out"),
    }  # fmt: skip
    monkeypatch.setitem(parameters_of(FAMILIES["moe"]), "trees", 21)
    keys.add(task.key("part"))
    assert len(keys) == 6
    pieces.store("k", {"a": 1}, {"x": np.arange(3)})
    (tmp_path / "k.npz").write_bytes(b"cut short")
    assert pieces.load("k") is None
    assert Pieces(None).load("k") is None


def test_only_some_families(tmp_path: Path) -> None:
    lines: list[str] = []
    training.train(everything("h100-sxm"), tmp_path / "p", families=["attention", "softmax"], report=lines.append)
    assert {key[0] for key in load(tmp_path / "p").residuals} == {
        "attention_prefill", "attention_decode", "attention_encoder", "mla_prefill", "mla_decode", "softmax"
    }  # fmt: skip
    assert any("were not asked for" in line for line in lines)
    assert any("no GEMMs among them: the built-in physics constants" in line for line in lines)
    with pytest.raises(InputError, match="there is no family 'atention': did you mean 'attention"):
        training.train(everything("h100-sxm"), tmp_path / "q", families=["atention"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_table_of_one_to_three_rows_trains(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "fit_constants", fit_constants)
    table = pandas.concat([rows("gemm")[:count], rows("moe")[:count]], ignore_index=True).infer_objects()
    for name in ("gemm", "moe"):
        monkeypatch.setitem(parameters_of(FAMILIES[name]), "trees", 2)
    training.train(table, tmp_path / "p")
    e = load(tmp_path / "p").predict([OPERATORS["gemm"], OPERATORS["moe"]], "h100-sxm")
    assert np.isfinite(e.latency_s).all()


# -------------------------------------------------------------------------------------------------------------- the entries
def test_an_entry_needs_the_values_of_its_exact_features() -> None:
    conv = FAMILIES["conv"]
    fields: dict[str, Any] = {
        "family": "conv", "schema": conv.schema, "support": dict.fromkeys(conv.support, (0.0, 20.0)), "part": "fp32"
    }  # fmt: skip
    with pytest.raises(
        PredictorError, match="the entry of conv toy fp32 is damaged: wanted 1 to 4096 values of each of"
    ):
        residual(**fields)
    assert isinstance(residual(**fields, exact=dict.fromkeys(conv.exact, (1.0,))), Residual)
    with pytest.raises(PredictorError, match="knows no family 'gem'"):
        residual(family="gem")
    assert predictor().residuals == {}


def test_a_kernel_that_never_ran_a_format_is_not_chosen_for_it(tmp_path: Path) -> None:
    # The four-bit kernel is the faster one of its software, and never takes 16-bit weights.
    wide, narrow = (
        rows("moe", factor=3.0).assign(kernel="triton"),
        rows("moe", factor=1.2).assign(kernel="marlin", dtype="w4a16"),
    )
    table = pandas.concat([wide, narrow], ignore_index=True).infer_objects()
    training.train(table, tmp_path / "p")
    loaded, op = load(tmp_path / "p"), OPERATORS["moe"]
    for software in ("vllm-1.0", "vllm", None):
        assert loaded.predict(op, "h100-sxm", software=software).software[0] == "vllm-1.0:triton"
        assert loaded.predict(op.replace(dtype="w4a16"), "h100-sxm", software=software).software[0] == "vllm-1.0:marlin"
    # Named, it is believed.
    assert loaded.predict(op, "h100-sxm", software="vllm-1.0:marlin").software[0] == "vllm-1.0:marlin"

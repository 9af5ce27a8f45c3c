"""The characteriser: training, folders, predictions and the command, on modules whose counts are made up by a plain rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lowering import bias_tanh, elementwise, matmul, reduction

from perfmodel.characterise import characterise, load, training
from perfmodel.characterise.baselines import family_median, family_share, predictions, tokens
from perfmodel.characterise.evaluation import area_under_curve, judged, relative_errors
from perfmodel.characterise.examples import Examples, folds_of_families, folds_of_shapes
from perfmodel.characterise.learned import Learned
from perfmodel.characterise.table import aligned, examples_of
from perfmodel.cli import main
from perfmodel.errors import InputError, PredictorError
from perfmodel.features.lowering.target import HASWELL

_FEW = {"trees": 30, "max_depth": 3, "eta": 0.3}


def module(family: str, text: str, work: float) -> dict[str, Any]:
    """A module whose counts follow from its work."""
    counts = {
        "name": "main_dispatch_0_x", "calls": 1, "instructions": 50 + 10 * work**0.25, "code_bytes": 300 + 60 * work**0.25,
        "executed_instructions": 2 * work, "vector_registers": 12, "spills": 30 if work > 3e4 else 1,
    }  # fmt: skip
    return {"family": family, "text": text, "dispatches": [counts], "latency_s": 1e-5 + 3e-10 * work}


@pytest.fixture(scope="module")
def examples() -> Examples:
    sizes = (8, 17, 32, 48, 64, 100, 128, 200)
    modules = [module("gemm", matmul(m, n, 64), m * n * 64.0) for m in sizes for n in sizes[::2]]
    modules += [module("reduction", reduction((m, n), 1), m * n / 1.0) for m in sizes for n in sizes[1::2]]
    modules += [module("elementwise", elementwise(m, n), m * n * 3.0) for m in sizes for n in sizes[1::2]]
    return examples_of(modules, HASWELL)


@pytest.fixture(scope="module")
def trained(examples: Examples) -> tuple[Learned, dict[str, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "OF_TARGET", {name: {**value, **_FEW} for name, value in training.OF_TARGET.items()})
        patch.setattr(training, "PARAMETERS", {**training.PARAMETERS, **_FEW})
        return training.train(examples, HASWELL, 1e-5, 5e10, "a processor", folds_of_shapes(examples, 2, 0), 0)


@pytest.fixture(scope="module")
def folder(trained: tuple[Learned, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("characteriser") / "model"
    training.save(*trained, path, {"seed": 0})
    return path


def test_saved_and_read_predicts_the_same(trained: tuple[Learned, dict[str, bytes]], folder: Path) -> None:
    text = matmul(40, 60, 64, behind=bias_tanh(40, 60))
    assert characterise(text, model=trained[0]).to_dict() == characterise(text, model=load(folder)).to_dict()


def test_what_it_learned_is_near(folder: Path) -> None:
    # Not a size that it was trained on; of whole tiles, since the made-up counts know of no remainders.
    found = characterise(matmul(60, 64, 64), model=folder)
    assert found.executed.value == pytest.approx(2 * 60 * 64 * 64, rel=0.1)
    # 273: no sum of vector operations, so that it takes the trees to be near; the linear estimate alone says 191.
    assert found.instructions.value == pytest.approx(50 + 10 * (60 * 64 * 64) ** 0.25, rel=0.1)
    assert found.latency_s is not None
    assert found.latency_s.value == pytest.approx(1e-5 + 3e-10 * 60 * 64 * 64, rel=0.1)
    assert found.dispatches[0].many_spills > 0.5
    assert found.utilisation is not None
    assert found.utilisation.value == pytest.approx(2 * 60 * 64 * 64 / (5e10 * found.latency_s.value))


@settings(max_examples=15)
@given(m=st.integers(1, 3000), n=st.integers(1, 3000), k=st.integers(1, 3000))
def test_figures_are_positive_and_ordered(folder: Path, m: int, n: int, k: int) -> None:
    found = characterise(matmul(m, n, k), model=load(folder))
    latency = found.latency_s
    assert latency is not None
    for interval in (found.instructions, found.code_bytes, found.executed, latency):
        assert 0 < interval.low <= interval.value <= interval.high < float("inf")
    assert latency.low >= 1e-5  # no call is below the runtime's floor
    assert 0 <= found.spills.low <= found.spills.value <= found.spills.high
    assert all(d.vector_registers.high <= 16 and 0 <= d.many_spills <= 1 for d in found.dispatches)


def test_equal_dispatches_count_once_in_the_code(folder: Path) -> None:
    t = "tensor<32x32xf32>"
    second = f"  %d = linalg.matmul ins(%b, %a : {t}, {t}) outs(%f : {t}) -> {t}\n  return %d :"
    twice = matmul(32, 32, 32).replace("  return %c :", second)
    one, two = (characterise(text, model=folder) for text in (matmul(32, 32, 32), twice))
    assert len(two.dispatches) == 2
    assert two.instructions == one.instructions
    assert two.executed.value == pytest.approx(2 * one.executed.value)


def test_tiles_of_ones_own(folder: Path) -> None:
    found = characterise(matmul(64, 64, 64), model=folder, vector_tiles=(4, 8, 8))
    assert found.dispatches[0].vector == (4, 8, 8)
    with pytest.raises(InputError, match="wanted 3 whole numbers of at least 0, one a loop, as in 8,8,8"):
        characterise(matmul(64, 64, 64), model=folder, vector_tiles=(4, 8))


def test_a_disk_that_is_full_leaves_the_model_that_was_there(
    trained: tuple[Learned, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned, boosters = trained
    training.save(learned, boosters, tmp_path, {"seed": 0})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(path: Path, data: bytes) -> None:
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr("perfmodel.models.artefact.write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        training.save(learned, {name: data + b" " for name, data in boosters.items()}, tmp_path, {"seed": 1})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert load(tmp_path).target == learned.target


def test_a_changed_booster_is_refused(trained: tuple[Learned, dict[str, bytes]], tmp_path: Path) -> None:
    training.save(*trained, tmp_path, {})
    (tmp_path / "executed.json.gz").write_bytes(b"x")
    with pytest.raises(PredictorError, match="does not match its hash"):
        load(tmp_path)


def test_a_model_of_other_features_is_refused(trained: tuple[Learned, dict[str, bytes]], tmp_path: Path) -> None:
    training.save(*trained, tmp_path, {})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["features"] = manifest["features"][1:]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PredictorError, match="other features"):
        load(tmp_path)


def test_no_module_is_on_both_sides(examples: Examples) -> None:
    double = Examples(
        np.concatenate([examples.families] * 2), examples.texts * 2, np.concatenate([examples.matrix] * 2),
        np.concatenate([examples.module_of, examples.module_of + len(examples)]), np.concatenate([examples.is_new] * 2),
        {k: np.concatenate([v] * 2) for k, v in examples.counts.items()},
        {k: np.concatenate([v] * 2) for k, v in examples.totals.items()}, np.concatenate([examples.same_count] * 2),
    )  # fmt: skip
    fold_of = folds_of_shapes(double, 4, 0)
    assert (fold_of[: len(examples)] == fold_of[len(examples) :]).all()
    families = folds_of_families(double)
    assert {len(set(families[double.families == f].tolist())) for f in set(double.families.tolist())} == {1}


def test_the_model_beats_what_knows_less(examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PARAMETERS", {**training.PARAMETERS, **_FEW})
    monkeypatch.setattr(training, "OF_TARGET", {name: {**value, **_FEW} for name, value in training.OF_TARGET.items()})
    found = judged(examples, "shapes", 1e-5, 0)
    executed = found["executed"]
    assert executed["model"]["n"] == len(examples)
    assert executed["model"]["median"] < executed["family_median"]["median"]
    spills = found["spills"]
    assert spills["auc"] > 0.9
    # What is claimed of spills stands beside the same three baselines as every other figure.
    beside = [spills[f"{name}_module_auc"] for name in ("linear", "tokens", "family")]
    assert all(0.5 < area <= 1 for area in beside)
    assert spills["family_module_auc"] < spills["module_auc"]
    assert found["latency_s"]["model"]["median"] < 0.4


def test_area_under_curve_by_hand() -> None:
    # Pairs (positive, negative): 0.9>0.5, 0.9>0.2, 0.5=0.5 counts half, 0.5>0.2: 3.5 of 4.
    assert area_under_curve(np.array([0.9, 0.5, 0.5, 0.2]), np.array([1, 1, 0, 0])) == pytest.approx(3.5 / 4)
    assert area_under_curve(np.array([0.1, 0.2]), np.array([1, 1])) is None


def test_relative_errors_leave_out_what_is_unknown() -> None:
    errors = relative_errors(np.log1p(np.array([110.0, 5.0])), np.array([100.0, np.nan]))
    assert errors == pytest.approx([0.1])


def test_the_share_of_a_family_is_no_vote() -> None:
    # Of family a two of five spill, of b none; one of each is held out in turn. A vote cannot tell them apart, a share can.
    spills = np.array([1, 1, 0, 0, 0] + [0] * 5, dtype=float)
    families, fold_of = np.array(["a"] * 5 + ["b"] * 5), np.array([0, 1, 2, 3, 4] * 2)
    share = predictions(family_share(spills, families), spills, fold_of)
    assert share == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.5] + [0.0] * 5)
    vote = predictions(family_median(spills, families), spills, fold_of)
    assert vote.tolist() == [0, 0, 0.5, 0.5, 0.5] + [0] * 5


def test_tokens_know_numbers_by_magnitude() -> None:
    found = tokens("%3 = linalg.matmul ins(%a : tensor<100x200xf32>)")
    assert (found["linalg.matmul"], found["#2^6"], found["#2^7"], found["x"]) == (1, 1, 1, 2)
    assert "3" not in found


def test_dispatches_are_found_by_their_extents() -> None:
    compiled = ["main_dispatch_0_matmul_48x192x96_f32", "main_dispatch_1_elementwise_96_f32"]
    assert aligned(["generic 96", "matmul 48x192x96", "matmul 48x192x96"], compiled) == [1, 0, None]


def test_the_command_shows_a_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = matmul(40, 60, 64, behind=bias_tanh(40, 60)).replace(
        "  %e = tensor.empty", '  %u = "made.up"(%a) : (tensor<40x64xf32>) -> tensor<40x64xf32>\n  %e = tensor.empty', 1
    )
    path = tmp_path / "mlp.mlir"
    path.write_text(text)
    assert main(["characterise", str(path), "--model", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "mlp.mlir for iree-llvm-cpu-haswell: 1 dispatch"
    assert [line.split("  ")[1] for line in lines[1:7]] == [
        "instructions in the code", "code", "instructions executed", "spills", "latency", "utilisation",
    ]  # fmt: skip
    assert any(line.startswith("matmul 40x60x64") and "8,8,8" in line for line in lines)
    assert lines[-1] == "warning: not understood, and in no figure: made.up (1)"


def test_the_command_gives_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(matmul(16, 16, 16))
    assert main(["characterise", str(path), "--model", str(folder), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target"] == "iree-llvm-cpu-haswell"
    assert set(found["dispatches"][0]) == {
        "name", "strategy", "distribution", "vector", "iterations", "flops", "bytes", "instructions", "code_bytes", "executed",
        "vector_registers", "spills", "many_spills",
    }  # fmt: skip
    assert found["dispatches"][0]["flops"] == 2 * 16**3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.mlir"], "none.mlir"),
        (["m.mlir", "--target", "iree-llvm-cpu-haswel"], "no characteriser ships for the target"),
        (["m.mlir", "--tiles", "8,x"], "wanted whole numbers separated by commas"),
        (["m.mlir", "--target", "a", "--model", "b"], "exclude each other"),
        (["m.mlir", "--model", "nowhere"], "is no predictor"),
        (["open.mlir"], "static shapes"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.mlir").write_text(matmul(16, 16, 16))
    (tmp_path / "open.mlir").write_text(matmul(16, 16, 16).replace("tensor<16x16xf32>", "tensor<?x16xf32>"))
    assert main(["characterise", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_what_ships_knows_its_target() -> None:
    found = characterise(matmul(128, 128, 128))
    assert found.target == "iree-llvm-cpu-haswell"
    assert found.dispatches[0].vector == (8, 8, 8)
    # 128^3 / 8 fused multiply-adds of eight lanes at least; a scalar loop would take six instructions an iteration.
    assert 128**3 / 8 < found.executed.value < 6 * 128**3

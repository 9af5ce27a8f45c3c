"""Learning power from labels: which rows count, what comes of it, and how it is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_doubles import write_predictor

from perfmodel.cli import main
from perfmodel.errors import InputError
from perfmodel.evaluate import evaluate
from perfmodel.hardware import load_device
from perfmodel.models.predictor import Predictor, load
from perfmodel.power_accuracy import JudgedPower, grouped

pandas = pytest.importorskip("pandas", reason="training needs the extra train")
pytest.importorskip("xgboost", reason="training needs the extra train")
pytest.importorskip("scipy", reason="training needs the extra train")

from perfmodel.train_power import train_power  # noqa: E402
from perfmodel.training import power  # noqa: E402
from perfmodel.training.power_rows import chosen, labelled, neighbour_noise, settled  # noqa: E402

STACKS = {"stack0-1.0": 1.15, "stack1-1.0": 0.85}


# ---------------------------------------------------------------------------------------------------------------- labels
def in_file(power: list[float], seconds: list[float] | None = None, **columns: Any) -> Any:
    rows = len(power)
    return pandas.DataFrame(
        {"device": "h200-sxm", "software": "s-1", "op": "gemm", "dtype": "bf16", "collection": "c", "order": range(rows),
         "power_w": power, "latency_s": seconds or [1e-3] * rows, **columns}
    )  # fmt: skip


def test_settled_rows_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    power = (100 * np.exp(0.05 * rng.standard_normal(200))).tolist()
    seconds = rng.choice([5e-5, 1e-4, 1e-3], 200).tolist()
    table = in_file(power, seconds, dtype=rng.choice(["bf16", "fp8"], 200))
    shuffled = table.sample(frac=1.0, random_state=1)
    found = settled(shuffled)
    for place, (_, row) in enumerate(shuffled.iterrows()):
        alike = table[table["dtype"] == row["dtype"]].sort_values("order")
        position = alike["order"].tolist().index(row["order"])
        around = sorted(alike["power_w"].tolist()[max(0, position - 5) : position + 6])
        middle = (around[(len(around) - 1) // 2] + around[len(around) // 2]) / 2
        wanted = abs(row["power_w"] / middle - 1) <= 0.05 and row["latency_s"] >= 1e-4
        assert found[place] == wanted


def test_files_and_phases_stand_apart() -> None:
    # Two files in one collection, both counting from 0: the neighbours of one are not those of the other.
    table = pandas.concat(
        [in_file([100.0] * 11, phase="prefill"), in_file([200.0] * 11, phase="decode")], ignore_index=True
    )
    assert settled(table).all()
    assert not settled(table.drop(columns="phase")).any()


def test_noise_of_the_row_measured_next() -> None:
    table = in_file([100.0, 110.0, 55.0, 55.0], [1e-3, 1.04e-3, 2e-3, 2e-3])
    # 100 -> 110 took the same time; 110 -> 55 did not; 55 -> 55 did; the last has none after it.
    np.testing.assert_allclose(neighbour_noise(table), [0.1, np.nan, 0.0, np.nan])


def test_what_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.training import power_rows

    monkeypatch.setattr(power_rows, "MOST_LONG", 5)
    monkeypatch.setattr(power_rows, "MOST_SHORT", 2)
    table = in_file([100.0] * 30, [1e-3] * 20 + [1e-5] * 10)
    table.loc[3, "power_w"] = np.nan
    table["software"] = ["s-1", "s-2"] * 15
    assert labelled(table).sum() == 29
    rows = chosen(table, seed=0)
    assert rows.groupby(["software", rows["latency_s"] >= 1e-4]).size().tolist() == [2, 5, 2, 5]
    assert rows.equals(chosen(table, seed=0))
    assert not rows.equals(chosen(table, seed=1))
    assert not labelled(table.drop(columns="power_w")).any()


# ---------------------------------------------------------------------------------------------------------------- figures
def judged(**changes: Any) -> JudgedPower:
    rows = 4
    values: dict[str, Any] = {
        "family": "gemm", "device": "d", "dtype": "bf16", "software": "a-1", "latency_s": np.array([1e-3, 1e-3, 1e-3, 1e-5]),
        "power_w": np.array([100.0, 200.0, 400.0, 50.0]), "settled": np.array([True, True, False, False]),
        "neighbour": np.array([0.1, np.nan, 0.3, 9.0]), "predicted_w": np.array([110.0, 200.0, 200.0, 100.0]),
        "low_w": np.array([90.0, 190.0, 150.0, 60.0]), "high_w": np.array([120.0, 210.0, 300.0, 120.0]),
        "physical_w": np.full(rows, 200.0), "limit_w": np.full(rows, 400.0), "median_w": np.full(rows, 200.0),
        "shape_key": np.arange(rows, dtype=np.uint64),
    }  # fmt: skip
    values |= {
        f"{name}_j": values[f"{name}_w"] * values["latency_s"] for name in ("predicted", "low", "high", "physical")
    }
    return JudgedPower(**{**values, **changes})


def test_figures_by_hand() -> None:
    (group,) = grouped([judged()], ("device",), "power")
    assert group["n"] == 3
    assert group["mape"] == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert group["median_ape"] == pytest.approx(0.1)
    assert group["bias"] == pytest.approx((0.1 + 0 - 0.5) / 3)
    # Of 100, 200, 400: mean 233.33, squares 46,666.7; missed by 10, 0 and 200.
    assert group["r2"] == pytest.approx(1 - 40100 / 46666.667)
    assert group["coverage_90"] == pytest.approx(2 / 3)
    assert group["analytical_mape"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert group["limit_mape"] == pytest.approx((3 + 1 + 0) / 3)
    assert group["median_mape"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert group["neighbour_mape"] == pytest.approx(0.2)
    assert (group["noise_mape"], group["roofline_mape"], group["target"]) == (None, None, "power")
    assert group["settled_share"] == pytest.approx(2 / 3)
    assert (group["settled"]["n"], group["settled"]["mape"]) == (2, pytest.approx(0.05))
    assert (group["short"]["n"], group["short"]["mape"]) == (1, pytest.approx(1.0))


def test_energy_by_hand() -> None:
    (group,) = grouped([judged()], ("device",), "energy")
    assert group["mape"] == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert "limit_mape" not in group


def test_labels_above_the_limit_count_as_at_it() -> None:
    above = judged(power_w=np.array([410.0, 200.0, 400.0, 50.0]), predicted_w=np.array([400.0, 200.0, 400.0, 50.0]),
                   low_w=np.array([390.0, 190.0, 390.0, 40.0]), high_w=np.array([400.0, 210.0, 400.0, 60.0]))  # fmt: skip
    (group,) = grouped([above], ("device",), "power")
    assert group["coverage_90"] == 1.0
    assert group["mape"] == pytest.approx(10 / 410 / 3)


def test_the_noise_of_files_is_that_of_equal_shapes() -> None:
    other = judged(software="b-1", power_w=np.array([50.0, 150.0, 200.0, 300.0]), settled=np.zeros(4, dtype=bool),
                   shape_key=np.array([3, 0, 1, 7], dtype=np.uint64), latency_s=np.array([1e-5, 1e-3, 1e-3, 1e-3]))  # fmt: skip
    left, right = grouped([judged(), other], ("software",), "power")
    assert left["noise_mape"] == pytest.approx((0.5 + 0) / 2)  # 150 / 100, 200 / 200; the third shape has no twin
    assert right["noise_mape"] == pytest.approx((1 / 3 + 0) / 2)


# --------------------------------------------------------------------------------------------------------------- training
def traces(device: str = "h100-sxm", pairs: int = 44, seed: int = 0) -> Any:
    """GEMMs whose power is the physical one times a factor of each stack's own, under a predictor that :func:`folder` wrote."""
    rng = np.random.default_rng(seed)
    m = np.tile([256, 512, 1024, 2048, 4096], pairs)
    n, k = (256 * rng.integers(2, 16, pairs) for _ in "nk")
    tables = []
    for software, factor in STACKS.items():
        rows = pandas.DataFrame(
            {"device": device, "software": software, "op": "gemm", "batch": 1, "m": m, "n": np.repeat(n, 5),
             "k": np.repeat(k, 5), "dtype": "bf16", "cache": "warm", "source": "synthetic",
             "collection": f"{device}/{software}", "order": range(len(m))}
        )  # fmt: skip
        rows["latency_s"], rows["power_w"] = 1.0, 1.0
        tables.append((rows, factor))
    return tables


@pytest.fixture(scope="module", autouse=True)
def small_boosters() -> Iterator[None]:
    """Enough for factors that do not depend on the shape."""
    small = {**power.POWER_BOOSTER, "trees": 20, "max_leaves": 8, "eta": 0.4}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("POWER_BOOSTER", "SMALL_BOOSTER"):
            patch.setattr(power, name, small)
        patch.setattr(power, "_FEWER", 20)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any], Any]:
    """The folder before, the one with power, its reports, and the traces."""
    root = tmp_path_factory.mktemp("power")
    for name in ("before", "after"):
        write_predictor(root / name, ("h100-sxm", "bf16", (0.9, 0.9)), ("h200-sxm", "bf16", (0.9, 0.9)))
        (root / name / "accuracy.json").write_text('{"groups": [], "transfer": {}, "by_device_dtype": []}')
    predictor = load(root / "before")
    assert isinstance(predictor, Predictor)
    tables = []
    for device in ("h100-sxm", "h200-sxm"):
        record = load_device(device)
        for rows, factor in traces(device):
            e = predictor.predict({c: rows[c].to_numpy() for c in ("op", "batch", "m", "n", "k", "dtype")}, record,
                                  software=rows["software"][0], cache="warm")  # fmt: skip
            noise = np.exp(0.01 * np.random.default_rng(1).standard_normal(len(rows)))
            labels = np.minimum(e.power_w * factor, record.tdp_w or 0) * noise
            tables.append(rows.assign(latency_s=e.latency_s, power_w=labels, power_limit_w=record.tdp_w))
    table = pandas.concat(tables, ignore_index=True)
    return root / "before", root / "after", train_power(table, root / "after", seed=0), table


def test_training_learns_each_stacks_factor(trained: tuple[Path, Path, dict[str, Any], Any]) -> None:
    _, _, reports, table = trained
    long = int((table["latency_s"] >= 1e-4).sum())
    pooled = reports["shapes"]["pooled"]["power"]
    assert pooled["n"] == long
    assert pooled["mape"] < 0.04 < pooled["analytical_mape"]
    # Other stacks say nothing of a stack: physics.
    assert reports["software"]["pooled"]["power"]["mape"] == pytest.approx(
        reports["software"]["pooled"]["power"]["analytical_mape"]
    )
    assert {g["held_out"] for g in reports["device"]["groups"]} == {None}
    assert {g["device"] for g in reports["device"]["groups"]} == {"h100-sxm", "h200-sxm"}


def test_training_leaves_the_latency(trained: tuple[Path, Path, dict[str, Any], Any]) -> None:
    before, after, _, table = trained
    old, new = (json.loads((folder / "manifest.json").read_text()) for folder in (before, after))
    assert {k: new[k] for k in old} == old
    columns = {c: table[c].to_numpy() for c in ("op", "batch", "m", "n", "k", "dtype")}
    for software in STACKS:
        one, other = (load(folder).predict(columns, "h100-sxm", software=software) for folder in (before, after))
        np.testing.assert_array_equal(one.latency_s, other.latency_s)
        np.testing.assert_array_equal(one.latency_high_s, other.latency_high_s)
        assert set(other.power_source.tolist()) == {"learned"}
    card = (after / "card.md").read_text()
    assert "## Power" in card
    assert "| gemm | h200-sxm | bf16 | stack1-1.0 |" in card


def test_training_twice_gives_the_same_bytes(trained: tuple[Path, Path, dict[str, Any], Any], tmp_path: Path) -> None:
    table = trained[3]
    shape = table[table["device"] == "h100-sxm"]
    for name in ("one", "two"):
        write_predictor(tmp_path / name, ("h100-sxm", "bf16", (0.9, 0.9)))
        (tmp_path / name / "accuracy.json").write_text('{"groups": [], "transfer": {}, "by_device_dtype": []}')
        train_power(shape, tmp_path / name)
    files = [sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("one", "two")]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_intervals_cover_nine_tenths(trained: tuple[Path, Path, dict[str, Any], Any]) -> None:
    for target in ("power", "energy"):
        assert 0.8 <= trained[2]["shapes"]["pooled"][target]["coverage_90"] <= 0.97


@pytest.mark.parametrize("protocol", [None, "shapes", "software", "device"])
def test_evaluate_power(trained: tuple[Path, Path, dict[str, Any], Any], protocol: str | None) -> None:
    _, after, _, table = trained
    result = evaluate(table, str(after), protocol=protocol, target="power", by=("device", "software"))
    assert result["protocol"] == (protocol or "predict")
    assert len(result["groups"]) == 4
    for group in result["groups"]:
        assert group["target"] == "power"
        # Without the software's or the device's own labels the physics is left, which these made-up labels are far from.
        assert 0 < group["mape"] < (0.03 if protocol is None else 2.0)
        assert group["settled"]["n"] <= group["n"]
    if protocol is None:
        assert result["overall"]["mape"] < result["overall"]["analytical_mape"]


def test_evaluate_energy_on_the_screen(
    trained: tuple[Path, Path, dict[str, Any], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, after, _, table = trained
    table.to_parquet(tmp_path / "t.parquet")
    assert main(["evaluate", str(tmp_path / "t.parquet"), "--predictor", str(after), "--target", "energy"]) == 0
    assert "settled rows, errors in percent" in capsys.readouterr().out


def test_wrong_use(trained: tuple[Path, Path, dict[str, Any], Any], tmp_path: Path) -> None:
    before, after, _, table = trained
    with pytest.raises(InputError, match="no rows with power_w"):
        train_power(table.drop(columns="power_w"), before)
    assert train_power(table.drop(columns="power_w"), before, needed=False) == {}
    with pytest.raises(InputError, match="no measured power"):
        evaluate(table.drop(columns="power_w"), str(after), target="power")
    with pytest.raises(InputError, match="does not judge power"):
        evaluate(table, str(after), target="power", protocol="models")
    with pytest.raises(InputError, match="cannot group power"):
        evaluate(table, str(after), target="power", by=("size",))
    with pytest.raises(InputError, match="target is 'heat': known: energy, latency, power"):
        evaluate(table, str(after), target="heat")


def test_command_adds_power(trained: tuple[Path, Path, dict[str, Any], Any], tmp_path: Path, capsys: Any) -> None:
    table = trained[3]
    table[table["device"] == "h100-sxm"].to_parquet(tmp_path / "t.parquet")
    write_predictor(tmp_path / "p", ("h100-sxm", "bf16", (0.9, 0.9)))
    (tmp_path / "p" / "accuracy.json").write_text('{"groups": [], "transfer": {}, "by_device_dtype": []}')
    assert main(["train", str(tmp_path / "t.parquet"), "--only", "power", "-o", str(tmp_path / "p")]) == 0
    assert "held-out MAPE" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "p" / "manifest.json").read_text())
    assert [d["file"] for d in manifest["power_training_data"]] == ["t.parquet"]
    assert main(["train", "x.parquet", "--only", "power", "--base", "default", "-o", str(tmp_path / "p")]) == 2


def test_every_array_of_judged_rows_is_kept() -> None:
    arrays = {f.name for f in fields(JudgedPower)} - {"family", "device", "dtype", "software", "folds", "held_out"}
    assert set(judged().columns) == arrays

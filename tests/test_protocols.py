"""What each protocol holds out, against splits counted by hand; sums per network; runs with their launches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import upstream_layouts as layouts

from perfmodel.datasets.runs import Runs, operator_table
from perfmodel.datasets.splits import names_of, overlapping, sources_of, upstream_split, without
from perfmodel.errors import InputError, TraceError
from perfmodel.evaluate import evaluate
from perfmodel.hardware import load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor
from perfmodel.ops import Gemm, Softmax
from perfmodel.ops.table import Group, groups_of
from perfmodel.protocols import PROTOCOLS
from perfmodel.protocols.runs import predicted_runs

pandas = pytest.importorskip("pandas")
pytest.importorskip("xgboost")
learning = import_module("perfmodel.protocols.learn")


def rows(**columns: Any) -> Any:
    table = {
        "device": "h100-sxm", "software": "vllm-0.9.0", "op": "gemm", "batch": 1, "m": [64, 128], "n": 256, "k": 512,
        "dtype": "bf16", "latency_s": 1e-3, "source": "a", "cache": "warm",
    }  # fmt: skip
    return pandas.DataFrame({**table, **columns})


def runs_of(operators: dict[str, Any], **columns: Any) -> Runs:
    """Runs whose operator lists are given by name."""
    table = {
        "device": "h100-sxm", "software": "vllm-0.9.0", "workload": list(operators), "operators": list(operators),
        "latency_s": 1e-3, "source": "b",
    }  # fmt: skip
    return Runs(pandas.DataFrame({**table, **columns}), operators.__getitem__)


@dataclass
class Millisecond:
    """Predicts a millisecond for everything, two by physics; keeps what it was trained on and asked."""

    trained: list[Any]

    from_measurements = False

    def of(self, op: str) -> Millisecond:
        return self

    def known_software(self, *_: Any) -> None:
        return None

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        count = sum(len(g) for g in groups_of(ops)[0])
        one = np.full(count, 1e-3)
        return SimpleNamespace(latency_s=one, latency_low_s=one / 2, latency_high_s=one * 2, analytical_s=2 * one)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nothing is trained: a millisecond for everything. What would have been trained on is kept."""
    seen: list[Any] = []

    def learn(held: Any) -> Millisecond:
        seen.append(held)
        return Millisecond(seen)

    monkeypatch.setattr(learning, "learn", learn)
    return seen


def figures(report: dict[str, Any], *keys: str) -> dict[Any, float]:
    return {tuple(g[k] for k in keys): round(g["mape"], 6) for g in report["groups"]}


# ---------------------------------------------------------------------------------------------------------------- splits
def test_a_source_of_several_vendors_is_one_for_each() -> None:
    tables = {
        "gemm": rows(source=["x", "x"], device=["h100-sxm", "mi100"]),
        "norm": rows(op="norm", source=["x", "y"], device="a10"),
    }
    labels = sources_of(tables)
    assert labels["gemm"].tolist() == ["x (NVIDIA)", "x (AMD)"]
    assert labels["norm"].tolist() == ["x (NVIDIA)", "y"]
    assert names_of(labels) == ["x (AMD)", "x (NVIDIA)", "y"]
    train, test = without(tables, labels, "x (AMD)")
    assert {op: len(t) for op, t in train.items()} == {"gemm": 1, "norm": 2}
    assert {op: t["device"].tolist() for op, t in test.items()} == {"gemm": ["mi100"]}


def test_only_families_and_dtypes_that_overlap_are_judged() -> None:
    train = {"gemm": rows(dtype="bf16")}
    test = {"gemm": rows(dtype=["bf16", "fp32"]), "norm": rows(op="norm")}
    found = overlapping(train, test)
    assert {op: t["dtype"].tolist() for op, t in found.items()} == {"gemm": ["bf16"]}


def test_upstreams_own_split() -> None:
    table = rows(collection=["dataset/train/collect/bmm/p2.1.0/T4", "dataset/test/bmm"])
    assert upstream_split(table).tolist() == ["train", "test"]
    with pytest.raises(InputError, match=r"'training/x' belongs to neither"):
        upstream_split(rows(collection="training/x"))


# --------------------------------------------------------------------------------------------------------------- dataset
def test_a_data_set_is_judged_without_its_rows(trained: list[Any]) -> None:
    table = pandas.concat([rows(source="a"), rows(source="b", latency_s=4e-3), rows(source="c", dtype="fp32")])
    report = evaluate(table, Predictor(), protocol="dataset")
    # 1 ms against 1 and 4; c has a dtype of its own.
    assert figures(report, "held_out", "op", "device") == {
        ("a", "gemm", "h100-sxm"): 0.0,
        ("b", "gemm", "h100-sxm"): 0.75,
    }
    assert [set(h.train["gemm"]["source"]) for h in trained] == [{"b", "c"}, {"a", "c"}]
    assert {g["size"]: g["n"] for g in report["by_size"]} == {">=1ms": 4}


def test_runs_of_another_data_set(trained: list[Any]) -> None:
    product = operator_table([(Gemm(m=1, n=2, k=3, dtype="bf16"), 3, {})])
    runs = runs_of({"one": product, "two": product}, dtype=["bf16", "fp32"], latency_s=[2e-3, 1.0])
    report = evaluate([rows(source="a"), runs], Predictor(), protocol="dataset", by=("held_out", "op", "workload"))
    # Three products of a millisecond against two; nobody taught fp32.
    assert figures(report, "held_out", "op", "workload") == {("b", "run", "one"): 0.5}
    with pytest.raises(InputError, match="no data set can be judged by another: found a"):
        evaluate(rows(), Predictor(), protocol="dataset")
    with pytest.raises(TraceError, match="the protocol dataset needs operator traces to train on"):
        evaluate(runs, Predictor(), protocol="dataset")


def test_sets_of_one_repository_do_not_teach_each_other(trained: list[Any]) -> None:
    product = operator_table([(Gemm(m=1, n=2, k=3, dtype="bf16"), 3, {})])
    runs = runs_of({"one": product}, source="neusight_models")
    evaluate([rows(source="neusight"), rows(source="a"), runs], Predictor(), protocol="dataset")
    assert [set(h.train["gemm"]["source"]) for h in trained if h.runs] == [{"a"}]


# ---------------------------------------------------------------------------------------------------------------- models
def test_a_networks_shapes_are_out(trained: list[Any]) -> None:
    def network(n: int, cols: int) -> Any:
        return operator_table(
            [(Gemm(m=7, n=n, k=512, dtype="bf16"), 1, {}), (Softmax(rows=4, cols=cols, dtype="bf16"), 2, {})]
        )

    lists = {f"w{i}": network(64 * (i + 1), i + 1) for i in range(6)}
    runs = runs_of(lists, network=[f"net{i // 2}" for i in range(6)], latency_s=6e-3)
    # n as the networks have it, and m and n exchanged; a shape that no network has stays.
    table = pandas.concat([rows(n=[64, 9999]), rows(m=5, n=[7, 128]), rows(n=[192, 256])])
    report = evaluate([table, runs], Predictor(), protocol="models")
    assert figures(report, "workload") == {("net0",): 0.5, ("net1",): 0.5, ("net2",): 0.5}
    judged = {}
    for held in trained:
        for name in held.runs[0].table["network"].unique():
            judged[name] = set(held.train["gemm"]["n"]) if held.train else set()
    # Two networks may share a fold, and then neither's shapes are in.
    of_network = {"net0": {64, 128, 7}, "net1": {192, 256, 7}, "net2": {7}}
    for name, left in judged.items():
        assert 9999 in left
        assert left.isdisjoint(of_network[name])
    with pytest.raises(InputError, match="judges runs that name their operators"):
        evaluate(rows(), Predictor(), protocol="models")


# -------------------------------------------------------------------------------------------------------------- neusight
@pytest.fixture
def no_eager_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of eager calls are compared with estimates as they are: round numbers stay round."""
    monkeypatch.setattr(import_module("perfmodel.evaluate"), "FALLBACK", replace(FALLBACK, eager_launch_s=1e-15))


@pytest.mark.usefixtures("no_eager_cost")
def test_each_gpu_of_neusight_is_left_out(trained: list[Any], tmp_path: Path) -> None:
    root = layouts.neusight_checkout(tmp_path)
    for name in ("linear", "bmm", "ln"):  # what upstream tested on is not there
        (root / f"scripts/asplos/data/dataset/test/{name}.csv").unlink()
    report = evaluate("neusight", Predictor(), root=root, protocol="neusight")
    assert figures(report, "held_out", "op", "variant") == {
        ("t4", "gemm", "linear"): 1.0, ("t4", "gemm", "bmm"): 0.0, ("t4", "norm", "ln"): 7.0,
        ("t4", "elementwise", "elem"): 9.0, ("v100-pcie-32gb", "gemm", "linear"): 3.0,
    }  # fmt: skip
    # Each row once, though the checkout has most twice.
    assert [g["n"] for g in report["groups"]] == [1] * 5
    assert [{d for t in h.train.values() for d in t["device"]} for h in trained] == [{"v100-pcie-32gb"}, {"t4"}]


@pytest.mark.usefixtures("no_eager_cost")
def test_neusights_published_split(trained: list[Any], tmp_path: Path) -> None:
    root = layouts.neusight_checkout(tmp_path)
    report = evaluate(["neusight", "neusight_models"], Predictor(), root=root, protocol="neusight")
    ((train,),) = [[h.train for h in trained]]
    assert {op: len(t) for op, t in train.items()} == {"gemm": 3, "norm": 1, "elementwise": 1}
    found = figures(report, "held_out", "op", "variant")
    # Rows: 1 ms against 2 on the T4; on the L4 against 4, and against 0.5 and 1.25.
    assert found.pop(("in distribution", "gemm", "linear")) == 0.5
    assert found.pop(("out of distribution", "gemm", "linear")) == 0.75
    assert found.pop(("out of distribution", "gemm", "bmm")) == 0.6
    assert found.pop(("out of distribution", "norm", "ln")) == 1.0
    # Whole runs of 40 ms: 1 + 5·5 + 1 kernels, twice; in training 5 more for the layer norm, 15 for the first linear layer
    # (two products and a sum), 2 for the embedding.
    assert found.pop(("out of distribution", "run", None)) == pytest.approx(1 - 27 / 40)
    assert found.pop(("in distribution", "run", None)) == pytest.approx(49 / 40 - 1)
    # Summed over a network: 5 · 2 + 8 ms of linear layers against 5 + 1 predicted, and so on.
    sums = {"linear": 1 - 6 / 18, "bmm": 0, "ln": 1, "softmax": 3, "elem": 7}
    training = {"linear": 21 / 18 - 1, "bmm": 0, "ln": 3, "softmax": 3, "elem": 7}
    assert found == {
        (where, "run_sum", variant): pytest.approx(value, abs=1e-6)
        for where, values in (("out of distribution", sums), ("in distribution", training))
        for variant, value in values.items()
    }


def test_other_traces_are_not_neusights() -> None:
    with pytest.raises(InputError, match="no row of it was given"):
        evaluate(rows(), Predictor(), protocol="neusight")


# -------------------------------------------------------------------------------------------------------- what is learned
def synthetic(
    source: str, device: str, factor: float, software: str = "vllm-0.9.0", *, pairs: int = 40, seed: int = 5
) -> Any:
    rng = np.random.default_rng(seed)
    table = rows(
        source=source, device=device, software=software, m=np.tile([32, 64, 1000, 1024], pairs),
        n=np.repeat(64 * rng.integers(1, 128, pairs), 4), k=np.repeat(64 * rng.integers(1, 128, pairs), 4),
    )  # fmt: skip
    op = Gemm(batch=1, **{d: table[d].to_numpy(dtype=float) for d in "mnk"}, dtype="bf16")
    bounds = analyse(
        Group(op, np.arange(len(table))), load_device(device), constants=FALLBACK, conditions=Conditions("warm")
    )
    return table.assign(latency_s=factor * bounds.latency_s)


def test_the_same_device_and_a_sibling_in_another_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "fit_constants", lambda *_, **__: FALLBACK)
    a = [synthetic("a", "h100-sxm", 3.0), synthetic("a", "b200-sxm", 2.0), synthetic("a", "gb200", 6.0)]
    b = [("h100-sxm", 3.3), ("h200-sxm", 3.0), ("gb200", 6.0)]
    table = pandas.concat([*a, *(synthetic("b", device, factor, seed=6) for device, factor in b)])
    report = evaluate(table, Predictor(), protocol="dataset", by=("held_out", "device"))
    found = {(g["held_out"], g["device"]): (g["mape"], g["analytical_mape"]) for g in report["groups"]}
    # b's H100 leans on a's own booster: 3 against 3.3; its H200 on its sibling's, nine tenths of ln 3.
    assert found["b", "h100-sxm"] == pytest.approx((1 - 3 / 3.3, 1 - 1 / 3.3), abs=0.02)
    assert found["b", "h200-sxm"] == pytest.approx((1 - 3**-0.1, 2 / 3), abs=0.03)
    # Its GB200 leans on a's GB200 and not on the sibling, which is three times as fast.
    assert found["b", "gb200"] == pytest.approx((0, 5 / 6), abs=0.03)
    # The interval comes from the other set's errors on the same dtype.
    assert None not in {g["coverage_90"] for g in report["groups"]}


def test_without_another_part_no_interval_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "fit_constants", lambda *_, **__: FALLBACK)
    product = operator_table([(Gemm(m=64, n=640, k=640, dtype="bf16"), 3, {})])
    report = evaluate([synthetic("a", "h100-sxm", 2.0), runs_of({"one": product})], Predictor(), protocol="dataset")
    assert report["overall"]["coverage_90"] is None


# ------------------------------------------------------------------------------------------------------------------- runs
def test_a_run_is_the_sum_of_its_operators_and_waits_for_its_launches() -> None:
    table = operator_table(
        [(Gemm(m=1, n=2, k=3, dtype="bf16"), 30, {}), (Softmax(rows=4, cols=5, dtype="bf16"), 70, {})]
    )
    runs = runs_of({"graph": table, "eager": table}, launch=[None, "eager"], latency_s=[0.1, 0.2])
    (judged,) = (r for r in predicted_runs(runs, Millisecond([]).of) if r.workload == "graph")
    assert judged.predicted == pytest.approx([0.1])
    assert (judged.low, judged.high, judged.analytical) == (
        pytest.approx([0.05]), pytest.approx([0.2]), pytest.approx([0.2]),
    )  # fmt: skip
    # The host launches one each 11 us at least: 100,000 of 0.1 us would take 1.1 s.
    tiny = operator_table([(Gemm(m=1, n=1, k=1, dtype="bf16"), 100_000, {})])
    fast = Predictor()
    (eager,) = predicted_runs(runs_of({"e": tiny}, launch="eager", device="gb200"), lambda op: fast)
    device_s = fast.predict(Gemm(m=1, n=1, k=1, dtype="bf16"), "gb200").latency_s[0] * 1e5
    assert eager.predicted == pytest.approx([max(1.1, device_s)])
    assert device_s < 1.1


def test_nodes_of_different_lists_may_bear_one_name() -> None:
    op = Softmax(rows=4, cols=5, dtype="bf16")
    # Of the first list the whole node was timed, which is two operators; of the second that node was not.
    timed = [
        (op, 1, {"variant": "softmax", "node": "n", "latency_s": 4e-3}),
        (op, 1, {"variant": "softmax", "node": "n"}),
    ]
    untimed = [
        (op, 1, {"variant": "softmax", "node": "n"}),
        (op, 1, {"variant": "softmax", "node": "o", "latency_s": 3e-3}),
    ]
    runs = runs_of({"one": operator_table(timed), "two": operator_table(untimed)}, latency_s=[0.1, 0.2])
    sums = {
        (r.workload, r.variant): (r.measured[0], r.predicted[0])
        for r in predicted_runs(runs, Millisecond([]).of)
        if r.family == "run_sum"
    }
    assert sums == {("one", "softmax"): (4e-3, 2e-3), ("two", "softmax"): (3e-3, 1e-3)}


def test_runs_without_a_protocol(tmp_path: Path) -> None:
    from perfmodel.datasets import build

    build.write(build.plan(["energaizer"], layouts.energaizer(tmp_path / "u")), tmp_path / "runs.parquet")
    report = evaluate(tmp_path / "runs.parquet", Predictor(), by=("workload", "device"))
    (group,) = report["groups"]
    assert (group["workload"], group["device"], group["n"]) == ("tiny", "a10", 1)
    # 2 · 1024^3 FLOPs at bf16 on an A10 at 900 MHz take some 0.04 ms, and 2.5 were measured.
    assert -1 < group["bias"] < -0.95


def test_the_pages_name_every_protocol() -> None:
    root = Path(__file__).parent.parent
    page = (root / "docs" / "evaluating.md").read_text(encoding="utf-8")
    for name, protocol in PROTOCOLS.items():
        assert f"## `{name}`" in page or f", `{name}`" in page, name
        assert protocol.holds_out
    with pytest.raises(InputError, match="no protocol is called 'model': did you mean 'models'"):
        evaluate(rows(), Predictor(), protocol="model")

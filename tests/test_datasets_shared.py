"""The data sets themselves: what stands in the cards is what the files hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from perfmodel.datasets import build
from perfmodel.datasets.aiconfigurator_families import TABLES
from perfmodel.datasets.cards import load_card
from perfmodel.datasets.energaizer import read_runs
from perfmodel.ops.table import from_columns

SMALL = ("accelwattch", "benchmark_hub", "energaizer", "neusight", "perfcastdb", "zeus")


@pytest.mark.parametrize("name", SMALL)
def test_counts(shared: Path, name: str) -> None:
    summary = build.Summary()
    for _ in build.parts(build.plan([name], shared / "data" / name), summary):
        pass
    assert {key[1:]: count for key, count in summary.rows.items()} == load_card(name).counts


def test_counts_of_aiconfigurator(shared: Path) -> None:
    """All rows by kind of table, from the files' footers; and every figure of the device with the fewest rows."""
    card, root = load_card("aiconfigurator"), shared / "data" / "aiconfigurator"
    rows: Counter[str] = Counter()
    for path in root.rglob("*_perf.parquet"):
        rows[TABLES[path.stem.removesuffix("_perf")].family] += pyarrow.parquet.read_metadata(path).num_rows
    counted: Counter[str] = Counter()
    for (family, _, _, _), count in card.counts.items():
        counted[family] += count
    assert rows == counted
    assert rows.total() == 6_946_567
    summary = build.Summary()
    for table in build.parts(build.plan(["aiconfigurator"], root, devices=["a100-sxm-80gb"]), summary):
        assert set(table["device"]) == {"a100-sxm-80gb"}
    wanted = {key: count for key, count in card.counts.items() if key[1] == "a100-sxm-80gb"}
    assert {key[1:]: count for key, count in summary.rows.items()} == wanted


def test_the_traps_of_aiconfigurator(shared: Path) -> None:
    root = shared / "data" / "aiconfigurator"

    def counted(device: str, table: str) -> build.Summary:
        summary = build.Summary()
        for _ in build.parts(build.plan(["aiconfigurator"], root, devices=[device], tables=[table]), summary):
            pass
        return summary

    assert counted("gb200", "moe").repeats == {("aiconfigurator", "moe"): 50_592}
    assert counted("l40s", "gemm").repeats == {("aiconfigurator", "gemm"): 168 + 307}
    scales = counted("b200-sxm", "computescale")
    stub = [key for key in scales.rows if key[3] == "sglang-0.5.14"]
    assert {key[4]: scales.rows[key] for key in stub} == {"zero latency": 1627, "stub": 1}
    # 23 sizes on eight GPUs: of two stacks eager and graph, and once of TRT-LLM.
    assert counted("l40s", "custom_allreduce").notes == {("aiconfigurator", "outlier"): 23 * 5}


@pytest.mark.parametrize("name", ["accelwattch", "aiconfigurator", "energaizer", "neusight", "perfcastdb", "zeus"])
def test_checksums(shared: Path, name: str) -> None:
    """Every file that `get` would download is the one that the adapter was written for."""
    card = load_card(name)
    root = shared / "data" / name
    for path, sha256 in card.checksums.items():
        # The copy of one set has its folders flattened into names.
        file = root / path if name != "accelwattch" else root / path.replace("/", "_")
        assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256, path


def test_descriptors_of_neusight(shared: Path) -> None:
    """The work of every row, and that no product beats the device's fp32 peak by more than a boost clock."""
    summary = build.Summary()
    tables = build.parts(build.plan(["neusight"], shared / "data" / "neusight", devices=["a100-pcie-40gb"]), summary)
    for table in tables:
        for group in from_columns({column: table[column] for column in table.columns if column != "layout"}):
            latency = table["latency_s"].to_numpy()[group.rows]
            flops = np.broadcast_to(np.asarray(group.op.flops, dtype=float), latency.shape)
            # 19.5 TFLOP/s by the datasheet. Elementwise functions count more FLOPs than they cost.
            if group.op.op == "gemm":
                assert (flops / latency).max() < 19.5e12
                assert np.quantile(flops / latency, 0.99) > 10e12
    assert summary.total == sum(n for key, n in load_card("neusight").counts.items() if key[1] == "a100-pcie-40gb")


def test_runs_of_energaizer_and_their_operators(shared: Path) -> None:
    root = shared / "data" / "energaizer"
    summary = build.Summary()
    runs = {}
    for table in build.parts(build.plan(["energaizer"], root), summary):
        for row in table.to_dict("records"):
            runs[row["collection"], row["latency_s"]] = row
    with_lists = read_runs(root, complete=False)
    assert len(with_lists) == 82 + 117 + 217
    for run in with_lists:
        row = runs[run.collection, run.latency_s]
        assert (row["device"], row["dtype"], row["energy_j"]) == (run.device, run.precision, run.energy_j)
        assert row["workload"].replace("_attneager", "") == run.workload
    broken = [row for row in runs.values() if row["status"] != "ok"]
    assert len(broken) == 13

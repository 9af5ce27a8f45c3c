"""Run traces with the operators of each run: whole networks of data sets, files beside a table, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pandas
import pytest
import upstream_layouts as layouts

from perfmodel.datasets import build
from perfmodel.datasets.runs import OperatorFiles, check_operators, read_operators, runs_in
from perfmodel.errors import InputError, TraceError


def run(runs: Any, **where: str) -> Any:
    table = runs.table
    for column, value in where.items():
        table = table[table[column] == value]
    (found,) = table.to_dict("records")
    return found


def operators(runs: Any, **where: str) -> list[tuple[Any, ...]]:
    table = runs.operators(run(runs, **where)["operators"])
    table = table.reindex(
        columns=["op", "variant", "count", "batch", "m", "n", "k", "rows", "cols", "elements", "latency_s"]
    )
    return [tuple(None if pandas.isna(v) else v for v in row) for row in table.itertuples(index=False)]


# -------------------------------------------------------------------------------------------------------------- NeuSight
def test_a_network_of_neusight(tmp_path: Path) -> None:
    runs = build.load_runs("neusight_models", layouts.neusight_models(tmp_path))
    found = run(runs, workload="gpt3_xl-inf-8-2", device="t4")
    assert (found["network"], found["phase"], found["batch"], found["launch"]) == ("gpt3_xl", "inference", 2, "eager")
    assert (found["latency_s"], found["dtype"], found["software"]) == (0.04, "fp32", "pytorch-2.1")
    # (2, 8) and (2, 8, 4) are 16 and 64 elements of 4 bytes: as much as a copy of 40 reads and writes. N is the contraction.
    assert operators(runs, workload="gpt3_xl-inf-8-2", device="t4") == [
        ("copy", "other", 1, None, None, None, None, None, None, 40, None),
        ("norm", "ln", 5, None, None, None, None, 16, 4, None, 0.0005),
        ("gemm", "linear", 5, 1, 16, 12, 4, None, None, None, 0.002),
        ("gemm", "bmm", 5, 6, 8, 8, 4, None, None, None, 0.001),
        ("softmax", "softmax", 5, None, None, None, None, 48, 8, None, 0.00025),
        ("elementwise", "elem", 5, None, None, None, None, None, None, 64, 0.000125),
        ("gemm", "linear", 1, 1, 16, 50, 4, None, None, None, 0.008),
    ]


def test_training_runs_have_their_backward_pass(tmp_path: Path) -> None:
    runs = build.load_runs("neusight_models", layouts.neusight_models(tmp_path))
    assert run(runs, workload="gpt2_large-train-8-2")["phase"] == "training"
    found = operators(runs, workload="gpt2_large-train-8-2")
    # A node's time stands on the first of its operators: forward, backward twice, the gradients added up.
    assert [row for row in found if row[1] == "linear"] == [
        ("gemm", "linear", 5, 1, 16, 12, 4, None, None, None, 0.002),
        ("gemm", "linear", 5, 1, 16, 4, 12, None, None, None, None),
        ("gemm", "linear", 5, 1, 12, 4, 16, None, None, None, None),
        ("elementwise", "linear", 5, None, None, None, None, None, None, 48, None),
        ("gemm", "linear", 1, 1, 16, 50, 4, None, None, None, 0.008),
    ]
    assert [row[9] for row in found if row[1] == "other"] == [40, 100, 200]


def test_what_upstream_kept_for_testing_is_noted(tmp_path: Path) -> None:
    table = build.load_runs("neusight_models", layouts.neusight_models(tmp_path)).table
    noted = table[table["note"] == "out of distribution"]
    assert set(zip(noted["device"], noted["network"], strict=True)) == {("t4", "gpt3_xl"), ("l4", "gpt3_xl")}
    assert len(table) == 3  # the distributed run is none


def test_runs_without_times_of_their_operators(tmp_path: Path) -> None:
    runs = build.load_runs("neusight_models", layouts.neusight_models(tmp_path))
    assert {row[-1] for row in operators(runs, device="l4")} == {None}


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("results/opgraph/gpt3_xl-inf-8-2.csv", "add_15", "add_16", "no layer from 'transformer_h_0_ln_1' to 'add_15'"),
        ("results/opgraph/gpt3_xl-inf-8-2.csv", "'VECln'", "'VECxy'", r"\['VECxy', \(16, 4\)\] is no operator"),
        (
            "results/opgraph/gpt3_xl-inf-8-2.csv",
            "[['BMM', (6,",
            "[['BMM', (__import__('os'),",
            "is no list of operators",
        ),
        ("label/Tesla_T4/gpt3_xl-inf-8-2.json", "num_layer", "layers", "is no run of NeuSight"),
    ],
)
def test_files_of_another_shape(tmp_path: Path, path: str, old: str, new: str, message: str) -> None:
    file = layouts.neusight_models(tmp_path) / "scripts/asplos" / path
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(TraceError, match=message):
        operators(build.load_runs("neusight_models", tmp_path), workload="gpt3_xl-inf-8-2", device="t4")


def test_a_graph_that_is_missing(tmp_path: Path) -> None:
    root = layouts.neusight_models(tmp_path)
    (root / "scripts/asplos/results/opgraph/gpt3_xl-inf-8-2.csv").unlink()
    with pytest.raises(TraceError, match=r"has no graph; wanted .*gpt3_xl-inf-8-2\.csv"):
        operators(build.load_runs("neusight_models", root), workload="gpt3_xl-inf-8-2", device="t4")


# ------------------------------------------------------------------------------------------------------------- energaizer
def test_energaizers_runs_name_their_operators(tmp_path: Path) -> None:
    runs = build.load_runs("energaizer", layouts.energaizer(tmp_path))
    assert len(runs.table) == 4
    # One broke off early, two have no list.
    (listed,) = runs.listed.to_dict("records")
    assert (listed["network"], listed["launch"]) == ("tiny", "eager")
    assert set(runs.table["network"]) == {"tiny", "net"}
    (product,) = runs.operators(listed["operators"]).to_dict("records")
    assert (product["op"], product["m"], product["count"], product["dtype"]) == ("gemm", 1024, 1, "bf16")
    with pytest.raises(InputError, match="neusight holds operator traces"):
        build.load_runs("neusight", tmp_path)


# ------------------------------------------------------------------------------------------------------------------ files
def test_operators_are_written_beside_the_runs(tmp_path: Path) -> None:
    root = layouts.neusight_models(tmp_path / "upstream")
    for name in ("runs.parquet", "runs.csv"):
        build.write(build.plan(["neusight_models"], root), tmp_path / name)
        table = pandas.read_csv(tmp_path / name) if name.endswith("csv") else pandas.read_parquet(tmp_path / name)
        runs = runs_in(table, tmp_path)
        path = run(runs, workload="gpt3_xl-inf-8-2", device="t4")["operators"]
        assert path == "runs.operators/neusight_models/Tesla_T4/gpt3_xl-inf-8-2.parquet"
        built = build.load_runs("neusight_models", root)
        assert operators(runs, device="l4") == operators(built, device="l4")
    again = pickle.loads(pickle.dumps(runs.operators))
    assert len(again(path)) == 7


@pytest.mark.parametrize("reference", ["../secret.parquet", "/etc/x.parquet", "a/../../x.parquet"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, reference: str) -> None:
    with pytest.raises(TraceError, match="are no path below the folder of the runs"):
        OperatorFiles(tmp_path, "runs.parquet")(reference)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"op": ["gemm"], "m": [1]}, "column 'count' is missing"),
        ({"op": ["gemm"], "count": [0]}, "row 0, column 'count': found 0, wanted a whole number above 0"),
        ({"op": ["gemm", "gemm"], "count": [1, 1.5]}, "row 1, column 'count': found 1.5"),
        ({"op": ["gemm"], "count": [2], "m": [1]}, "column 'batch' is missing, which gemm needs"),
    ],
)
def test_tables_that_hold_no_operators(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        check_operators(pandas.DataFrame(columns), "t")


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no trace file"):
        read_operators(tmp_path / "x.parquet")

"""Trace tables: the schema, the adapters of public data sets, the splits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.datasets import energaizer
from perfmodel.datasets.build import load
from perfmodel.datasets.schema import CACHE_STATES, check_traces, read_traces, with_device, write_traces
from perfmodel.datasets.splits import FOLDS, folds_of, group_keys
from perfmodel.errors import TraceError
from perfmodel.models.machine import CACHES
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Norm, Softmax

pandas = pytest.importorskip("pandas", reason="trace tables need the extra train")
pytest.importorskip("pyarrow", reason="Parquet needs the extra train")

ROWS = {
    "device": "h100-sxm", "software": "vllm-0.24.0", "op": "gemm", "batch": 1, "m": [1, 2, 3], "n": [64, 64, 128],
    "k": [256, 512, 1024], "dtype": "bf16", "latency_s": [1e-6, 2e-6, 3e-6], "source": "test",
}  # fmt: skip


def table(**changes: Any) -> Any:
    return pandas.DataFrame({**ROWS, **changes})


# --------------------------------------------------------------------------------------------------------------- schema
@pytest.mark.parametrize(
    "changes",
    [
        {}, {"status": ["ok", None, "ok"]}, {"cache": ["warm", None, "rotating"]}, {"power_w": [None, 3.0, 4.0]},
        {"m": pandas.array([1, 2, 3], dtype="Int64")}, {"dtype": pandas.Categorical(["bf16", "fp8", "w4a16"])},
        # A row that was not measured carries its reason, and no latency.
        {"status": ["ok", "out of memory", "ok"], "latency_s": [1e-6, None, 3e-6]},
    ],
)  # fmt: skip
def test_tables_that_keep_the_schema(changes: dict[str, Any]) -> None:
    check_traces(table(**changes), "t")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": [1, -2, 3]}, "t.csv: row 1, column 'm': found -2, wanted a whole number above 0"),
        ({"n": [1, 2.5, 3]}, "t.csv: row 1, column 'n': found 2.5, wanted a whole number above 0"),
        ({"k": [1, 2, 0]}, "t.csv: row 2, column 'k': found 0, wanted"),
        ({"batch": [1, 2, None]}, "t.csv: row 2, column 'batch': found nan, wanted"),
        ({"m": pandas.array([1, None, 3], dtype="Int64")}, "t.csv: row 1, column 'm': found <NA>, wanted"),
        ({"m": ["1", "two", "3"]}, "t.csv: row 0, column 'm': found '1', wanted a number"),
        ({"latency_s": [1e-6, 0.0, 1e-6]}, "t.csv: row 1, column 'latency_s': found 0.0, wanted a number above 0"),
        ({"latency_s": [1e-6, np.inf, 1e-6]}, "row 1, column 'latency_s': found inf"),
        ({"latency_s": [None, 1e-6, 1e-6]}, "row 0, column 'latency_s': found nan"),
        ({"latency_s": [1e-6, 1e-6, 5000.0]}, "row 2, column 'latency_s': found 5000.0, wanted seconds; is it in us or ms?"),
        ({"op": ["gemm", "gemv", "gemm"]}, "row 1, column 'op': found 'gemv', wanted one of gemm, conv, attention, moe"),
        ({"dtype": ["bf16", "bf16", "bf61"]}, "row 2, column 'dtype': unknown dtype 'bf61': did you mean 'bf16'"),
        ({"dtype": ["bf16", None, "bf16"]}, "row 1, column 'dtype': found .*, wanted a text"),
        ({"dtype": "int64"}, "row 0, column 'dtype': unknown dtype 'int64'"),
        ({"dtype": ["bf16", "w4a16_g128", "bf16"]}, "row 1, column 'dtype': found 'w4a16_g128', another spelling of 'w4a16'"),
        ({"device": [None, "a", "b"]}, "row 0, column 'device': found .*, wanted a text"),
        ({"software": ["a", "b", None]}, "row 2, column 'software': found .*, wanted a text"),
        ({"cache": ["warm", "hot", None]}, "row 1, column 'cache': found 'hot', wanted one of warm, cold, rotating"),
    ],
)  # fmt: skip
def test_tables_that_break_it(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError, match=message.replace("(", r"\(")) as error:
        check_traces(table(**changes), "t.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["device", "software", "op", "latency_s", "source", "batch", "m", "n", "k", "dtype"])
def test_missing_columns_are_named(column: str) -> None:
    with pytest.raises(TraceError, match=f"t: column '{column}' is missing"):
        check_traces(table().drop(columns=column), "t")


def test_a_column_under_another_name_is_pointed_at() -> None:
    with pytest.raises(TraceError, match="'latency_s' is missing: did you mean 'latency'"):
        check_traces(table().rename(columns={"latency_s": "latency"}), "t")


def test_files(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "t.csv", index=False)
    write_traces(table(), tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        pandas.testing.assert_frame_equal(read_traces(tmp_path / name), table(), check_dtype=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no trace file"):
        read_traces(tmp_path / "nothing.csv")
    with pytest.raises(TraceError, match="is a folder; wanted a trace file"):
        read_traces(tmp_path)
    for name, data in (("a.parquet", b"PAR1 no"), ("b.parquet", b""), ("c.csv", b""), ("d.csv", b'"\xff'), ("e", b"x")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TraceError, match=rf"{name} is no readable \w+ table") as error:
            read_traces(tmp_path / name)
        assert "\n" not in str(error.value)
    table(m=[1, 2, -3]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TraceError, match=r"t\.csv: row 2, column 'm': found -3"):
        read_traces(tmp_path / "t.csv")


def test_a_device_file_in_place_of_an_id(tmp_path: Path) -> None:
    from importlib.resources import files

    text = files("perfmodel.hardware").joinpath("catalogue/h100-sxm.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace('id = "h100-sxm"', 'id = "my-gpu"'))
    traces = table(device=["my-gpu", "l40s", "my-gpu"])
    found = with_device(traces, tmp_path / "own.toml")
    assert found["device"].tolist() == [str(tmp_path / "own.toml"), "l40s", str(tmp_path / "own.toml")]
    assert traces["device"].tolist() == ["my-gpu", "l40s", "my-gpu"]
    with pytest.raises(TraceError, match=r"no row of the traces bears the device 'my-gpu' .* found h100-sxm"):
        with_device(table(), tmp_path / "own.toml")


# --------------------------------------------------------------------------------------------------------------- splits
def shape_fold(n: np.ndarray, k: np.ndarray, **options: int) -> np.ndarray:
    return folds_of(group_keys(pandas.DataFrame({"op": "gemm", "n": n, "k": k})), **options)


def test_a_pair_is_in_one_fold_wherever_it_stands() -> None:
    rng = np.random.default_rng(0)
    n, k = rng.integers(1, 50, 2000), rng.integers(1, 50, 2000)
    fold = shape_fold(n, k)
    by_pair: dict[tuple[int, int], set[int]] = {}
    for pair, f in zip(zip(n.tolist(), k.tolist(), strict=True), fold.tolist(), strict=True):
        by_pair.setdefault(pair, set()).add(f)
    assert all(len(folds) == 1 for folds in by_pair.values())
    # Other rows beside it, another order, another type: the same fold.
    np.testing.assert_array_equal(shape_fold(n[:10].astype(float), k[:10].astype(np.int32)), fold[:10])
    np.testing.assert_array_equal(shape_fold(n[::-1], k[::-1]), fold[::-1])
    assert set(fold.tolist()) == set(range(FOLDS))
    assert (np.bincount(fold) > 250).all()
    assert (shape_fold(n, k, seed=1) != fold).any()
    # (n, k) and (k, n) are two pairs; the numbers do not run together.
    assert len({int(f) for f in shape_fold(np.array([1, 11, 2, 12]), np.array([112, 12, 1, 1]), folds=10**9)}) == 4


def test_folds_do_not_depend_on_the_run() -> None:
    # The first 16 digits that sha256sum prints of "0:4096x1024" and so on, modulo 5.
    assert shape_fold(np.array([4096, 1, 28672]), np.array([1024, 1, 8192])).tolist() == [4, 2, 3]


# ------------------------------------------------------------------------------------------------------- AIConfigurator
def upstream(folder: Path, where: str = "h100_sxm/gemm/vllm/0.24.0", **changes: Any) -> Path:
    """One table as upstream has it, below ``folder``."""
    path = folder / where / "gemm_perf.parquet"
    path.parent.mkdir(parents=True)
    columns = {
        "gemm_dtype": ["bfloat16", "int4_wo"],
        "m": [1, 2],
        "n": [64, 128],
        "k": [256, 512],
        "latency": [0.5, 2.0],
    }
    pandas.DataFrame({k: v for k, v in {**columns, **changes}.items() if v is not None}).to_parquet(path)
    return path


def read_gemm(root: str | Path) -> Any:
    return load("aiconfigurator", root, tables=["gemm"])


def test_a_hand_written_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream(tmp_path, power=[300.0, 400.0], power_limit=[700.0, 700.0], kernel_source=["cutlass", None])
    upstream(tmp_path, "a100_sxm/gemm/trtllm/1.0.0", gemm_dtype=["sq", "int8_wo"])
    traces = read_gemm(tmp_path)
    # Files in order: the A100's first. Milliseconds become seconds.
    assert traces["device"].tolist() == ["a100-sxm-80gb"] * 2 + ["h100-sxm"] * 2
    assert traces["software"].tolist() == ["trtllm-1.0.0"] * 2 + ["vllm-0.24.0"] * 2
    assert traces["dtype"].tolist() == ["int8_sq", "w8a16", "bf16", "w4a16"]
    assert traces["latency_s"].tolist() == [0.0005, 0.002] * 2
    assert traces["cache"].tolist() == ["filling"] * 2 + ["rotating"] * 2
    assert traces["collection"].tolist() == ["a100_sxm/trtllm/1.0.0"] * 2 + ["h100_sxm/vllm/0.24.0"] * 2
    assert traces["power_w"].tolist()[2:] == [300.0, 400.0]
    assert traces["power_w"].isna().tolist()[:2] == [True, True]
    assert (traces["m"].tolist(), set(traces["batch"]), set(traces["source"])) == ([1, 2] * 2, {1}, {"aiconfigurator"})
    # From any folder above the tables, also a relative one.
    monkeypatch.chdir(tmp_path / "h100_sxm")
    assert len(read_gemm(".")) == 2


@pytest.mark.parametrize(
    ("where", "changes", "message"),
    [
        ("z9/gemm/vllm/1", {}, "the card names no device for the system 'z9'"),
        ("l40s/gemm/mlc/1", {}, "the card names no cache state for 'mlc'"),
        ("l40s/gemm/vllm/1", {"gemm_dtype": ["bfloat16", "int3"]}, "the card names no dtype for 'int3'"),
        ("l40s/gemm/vllm/1", {"latency": None}, "column 'latency' is missing; found gemm_dtype, m, n, k"),
        ("l40s/gemm/vllm/1", {"m": [1, 0]}, "row 1, column 'm': found 0"),
    ],
)
def test_trees_that_are_refused(tmp_path: Path, where: str, changes: dict[str, Any], message: str) -> None:
    upstream(tmp_path, where, **changes)
    with pytest.raises(TraceError, match=re.escape(message)):
        read_gemm(tmp_path)


def test_folders_without_tables(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds no table of AIConfigurator"):
        read_gemm(tmp_path)
    upstream(tmp_path).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(TraceError, match="is no readable Parquet table"):
        read_gemm(tmp_path)


def test_traces_know_every_state_of_the_cache() -> None:
    assert CACHE_STATES == CACHES


def test_the_tables_themselves(shared: Path) -> None:
    import pyarrow.parquet

    files = sorted((shared / "data" / "aiconfigurator").glob("**/gemm_perf.parquet"))
    assert sum(pyarrow.parquet.read_metadata(f).num_rows for f in files) == 3_273_676
    smallest = min(files, key=lambda f: f.stat().st_size)
    traces = read_gemm(smallest.parents[3])
    rows = sum(pyarrow.parquet.read_metadata(f).num_rows for f in files if smallest.parents[3] in f.parents)
    assert len(traces) == rows
    assert traces["latency_s"].between(1e-7, 10).all()


# ----------------------------------------------------------------------------------------------------------- EnergAIzer
def network(folder: Path, operators: list[Any], rows: str) -> Path:
    lists = folder / "test/data/workloads/text"
    lists.mkdir(parents=True)
    (lists / "tiny_pbf16.json").write_text(json.dumps(operators))
    for name in energaizer.MEASUREMENTS:
        path = folder / "test/data/measurements" / name / "nvml/nvml_parsed.csv"
        path.parent.mkdir(parents=True)
        path.write_text("workload,avg_freq,time,energy\n" + (rows if name == "a10" else ""))
    return folder


GEMM = [{"batch": 2, "dimM": 3, "dimN": 4, "dimK": 5, "precM": "bf16"}, ["gemm"]]
CONV = [{"b": 1, "c": 4, "m": 8, "hw": 6, "rs": 3, "stride": 1, "padding": 1, "dimK": 36, "prec": "bf16"}, ["conv2d"]]
RUN = "tiny_pbf16_attneager_freq900_iter7.csv,900,2.5,0.75\ntiny_pfp32_freq600_iter1.csv,600,5,1\nunlisted.csv,1,1,1\n"


def test_runs_of_a_hand_written_network(tmp_path: Path) -> None:
    simple = [
        [{"op": "gelu", "dim": 10, "prec": "bf16"}, ["elementwise"]],
        [{"batch": 2, "dim": 3, "prec": "bf16"}, ["layernorm"]],
    ]
    network(tmp_path, [GEMM, *simple, [{"batch": 2, "dim": 3, "prec": "bf16"}, ["softmax"]], CONV], RUN)
    bf16, fp32 = energaizer.read_runs(tmp_path, complete=False)
    assert (bf16.workload, bf16.device, bf16.precision, bf16.collection) == ("tiny_pbf16", "a10", "bf16", "a10")
    assert (bf16.clock_hz, bf16.latency_s, bf16.energy_j) == (9e8, 0.0025, 0.75)
    conv = Conv(c_in=4, c_out=8, h=6, w=6, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="bf16")
    gemm = Gemm(batch=2, m=3, n=4, k=5, dtype="bf16")
    others = (Elementwise(kind="gelu", elements=10, dtype="bf16"), Norm(rows=2, cols=3, dtype="bf16"))
    assert bf16.operators == (gemm, *others, Softmax(rows=2, cols=3, dtype="bf16"), conv)
    # In fp32 convolutions run in TF32, products do not.
    assert [op.dtype for op in fp32.operators] == ["fp32", "fp32", "fp32", "fp32", "tf32"]
    # With what the lists leave out: the batched product's operands are copied (2·(15 + 20) values), a convolution's layout
    # is turned before and after, and a batch norm follows.
    whole = energaizer.read_runs(tmp_path)[0].operators
    assert whole[:2] == (Copy(kind="contiguous", elements=70, dtype="bf16"), gemm)
    assert [type(op) for op in whole[-4:]] == [Copy, Conv, Copy, Norm]
    assert (whole[-4], whole[-2]) == (
        Copy(kind="nchw_to_nhwc", elements=4 * 36, dtype="bf16"), Copy(kind="nhwc_to_nchw", elements=8 * 36, dtype="bf16")
    )  # fmt: skip
    # 2·8·36·36 FLOPs of the convolution and 240 of the products in 2.5 ms are 8.4 MFLOP/s.
    assert not energaizer.failed(bf16, 1e7)
    assert energaizer.failed(bf16, 8e6)


@pytest.mark.parametrize(
    ("operators", "rows", "message"),
    [
        ([[{"batch": 1}, ["gemm"]]], RUN, "is no operator that this version reads: KeyError"),
        ([[{"dim": 1, "prec": "bf16"}, ["conv9d"]]], RUN, "unknown family 'conv9d'"),
        ([["x", ["gemm"]]], RUN, "is no operator"),
        ([5], RUN, "is no operator"),
        ({}, RUN, "is no list of operators"),
        ([GEMM], "tiny_pbf16.csv,fast,1,1\n", "is no table of measurements"),
        ([GEMM], "tiny_pbf16.csv,1\n", "is no table of measurements"),
    ],
)
def test_networks_that_are_refused(tmp_path: Path, operators: Any, rows: str, message: str) -> None:
    network(tmp_path, operators, rows)
    with pytest.raises(TraceError, match=message):
        energaizer.read_runs(tmp_path)


def test_folders_without_networks(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds no operator lists"):
        energaizer.read_runs(tmp_path)
    network(tmp_path, [GEMM], RUN)
    (tmp_path / "test/data/workloads/text/tiny_pbf16.json").write_text("{")
    with pytest.raises(TraceError, match="is no JSON"):
        energaizer.read_runs(tmp_path)
    (tmp_path / "test/data/measurements/a100/nvml/nvml_parsed.csv").unlink()
    with pytest.raises(TraceError, match=r"is no JSON|cannot be read"):
        energaizer.read_runs(tmp_path)

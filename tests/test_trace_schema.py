"""The trace schema beyond GEMMs: every operator family, runs of whole models, groups for held-out splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.datasets import columns as c
from perfmodel.datasets.schema import check_runs, check_traces
from perfmodel.datasets.splits import GROUP_COLUMNS, folds_of, group_keys
from perfmodel.errors import InputError, TraceError
from perfmodel.ops.table import from_columns

HEAD = {"device": "h100-sxm", "software": "s", "latency_s": 1e-5, "source": "t"}
ROWS: dict[str, dict[str, Any]] = {
    "gemm": {"batch": 1, "m": 2, "n": 3, "k": 4, "dtype": "bf16"},
    "conv": {
        "batch": 1, "c_in": 4, "c_out": 8, "h": 9, "w": 9, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1,
        "pad_h": 0.5, "pad_w": 0, "groups": 1, "dtype": "fp16",
    },
    "attention": {
        "phase": "decode", "batch": 2, "q_len": 1, "kv_len": 9, "heads": 8, "kv_heads": 2, "head_dim": 64, "causal": True,
        "dtype": "bf16", "kv_dtype": "fp8", "window": 4,
    },
    "moe": {"tokens": 3, "hidden": 8, "intermediate": 4, "experts": 4, "top_k": 2, "dtype": "fp8", "distribution": "balanced"},
    "norm": {"kind": "rmsnorm", "rows": 2, "cols": 8, "dtype": "bf16"},
    "softmax": {"rows": 2, "cols": 8, "dtype": "fp32"},
    "elementwise": {"kind": "mul+add", "elements": 64, "inputs": 0, "dtype": "bf16"},
    "reduce": {"kind": "sum", "rows": 2, "cols": 8, "dtype": "bf16"},
    "pool": {
        "kind": "max", "batch": 1, "channels": 2, "h": 4, "w": 4, "out_h": 2, "out_w": 2, "kernel_h": 2, "kernel_w": 2,
        "dtype": "bf16",
    },
    "copy": {"kind": "transpose", "elements": 64, "dtype": "int64"},
    "embedding": {"rows": 2, "cols": 8, "dtype": "bf16"},
    "rnn": {"kind": "lstm", "batch": 1, "seq_len": 3, "input_size": 4, "hidden_size": 5, "dtype": "bf16"},
    "quantize": {"kind": "scale", "rows": 2, "cols": 8, "dtype": "bf16", "out_dtype": "fp8"},
    "collective": {"kind": "all_reduce", "bytes": 512, "ranks": 2, "dtype": "bf16"},
}  # fmt: skip


def one(family: str, **changes: Any) -> Any:
    """A table of one row."""
    return pandas.DataFrame([{**HEAD, "op": family, **ROWS[family], **changes}])


def test_every_family_is_here() -> None:
    assert list(ROWS) == list(c.REQUIRED_OF_FAMILY)


@pytest.mark.parametrize("family", ROWS)
def test_rows_of_every_family(family: str) -> None:
    table = one(family)
    check_traces(table, "t")
    (group,) = from_columns({column: table[column] for column in table.columns})
    assert group.op.op == family
    for column in c.REQUIRED_OF_FAMILY[family]:
        with pytest.raises(TraceError, match=f"t: column '{column}' is missing"):
            check_traces(table.drop(columns=column), "t")
        with pytest.raises(TraceError, match=f"t: row 0, column '{column}': found (nan|None|<NA>), wanted"):
            check_traces(one(family, **{column: None}), "t")
        # A row that is no measurement need not be described.
        check_traces(one(family, status="out of memory", latency_s=None, **{column: None}), "t")


def test_all_families_in_one_table() -> None:
    check_traces(pandas.concat([one(family) for family in ROWS]), "t")
    check_traces(one("attention", window=None, tp=None, kv_dtype=None), "t")


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("conv", {"pad_h": -1}, "column 'pad_h': found -1, wanted a whole number, 0 or above"),
        ("conv", {"pad_h": 0.25}, "column 'pad_h': found 0.25"),
        ("conv", {"groups": 0}, "column 'groups': found 0, wanted a whole number above 0"),
        ("conv", {"depth": 0}, "column 'depth': found 0"),
        ("attention", {"phase": "prefil"}, "column 'phase': found 'prefil', wanted one of prefill, decode"),
        ("attention", {"causal": "yes"}, "column 'causal': found 'yes', wanted true or false"),
        ("attention", {"window": 0}, "column 'window': found 0"),
        ("attention", {"kv_dtype": "fp9"}, "column 'kv_dtype': unknown dtype 'fp9'"),
        ("attention", {"dtype": "int64"}, "column 'dtype': unknown dtype 'int64'"),
        ("moe", {"ep": 1.5}, "column 'ep': found 1.5"),
        ("moe", {"matrices": 0}, "column 'matrices': found 0"),
        ("norm", {"kind": "sqnorm"}, "column 'kind': found 'sqnorm', wanted one of layernorm"),
        ("elementwise", {"kind": "mul+frobnicate"}, r"column 'kind': found 'mul\+frobnicate', wanted functions"),
        ("elementwise", {"inputs": -1}, "column 'inputs': found -1"),
        ("collective", {"bytes": 0.5}, "column 'bytes': found 0.5"),
        ("gemm", {"power_w": 0}, "column 'power_w': found 0, wanted a number above 0"),
        ("gemm", {"clock_mhz": np.inf}, "column 'clock_mhz': found inf"),
        ("gemm", {"op": "view"}, "column 'op': found 'view', wanted one of gemm"),
    ],
)  # fmt: skip
def test_rows_that_break_it(family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError, match=f"t: row 0, {message}"):
        check_traces(one(family, **changes), "t")


def run(**changes: Any) -> Any:
    return pandas.DataFrame([{**HEAD, "workload": "resnet", "batch": 8, **changes}])


def test_runs() -> None:
    check_runs(run(), "r")
    check_runs(run(batch=None, latency_s=7200.0), "r")  # an epoch takes hours
    for measured in ("score", "power_w", "energy_j"):
        check_runs(run(latency_s=None, **{measured: 5.0}), "r")
    for changes, message in (
        ({"latency_s": None}, "column 'latency_s': found (nan|None), wanted a number above 0"),
        ({"latency_s": 0.0, "score": 5.0}, "column 'latency_s': found 0.0"),
        ({"latency_s": 1e8}, "is it in us or ms"),
        ({"workload": None}, "column 'workload': found (nan|None), wanted a text"),
        ({"batch": 0}, "column 'batch': found 0"),
        ({"cache": "hot"}, "column 'cache': found 'hot'"),
    ):
        with pytest.raises(TraceError, match=message):
            check_runs(run(**changes), "r")
    with pytest.raises(TraceError, match="r: column 'workload' is missing"):
        check_runs(one("gemm"), "r")
    with pytest.raises(TraceError, match="t holds runs of whole models"):
        check_traces(run(), "t")


# --------------------------------------------------------------------------------------------------------------- groups
def test_groups_of_every_family() -> None:
    assert list(GROUP_COLUMNS) == list(ROWS)
    keys = group_keys(pandas.concat([one(family) for family in ROWS], ignore_index=True))
    assert keys.tolist() == [
        "3x4", "conv:4x8x3x3", "attention:8x2x64x4", "moe:8x4x4x2", "norm:8", "softmax:8", "elementwise:24", "reduce:8",
        "pool:2x2x2", "copy:24", "embedding:8", "rnn:4x5", "quantize:8", "collective:all_reducex2",
    ]  # fmt: skip


def test_groups_do_not_see_what_requests_decide() -> None:
    base = group_keys(one("attention"))
    assert group_keys(one("attention", batch=9, q_len=5, kv_len=77, phase="prefill", dtype="fp8")) == base
    assert group_keys(one("attention", window=None)).tolist() == ["attention:8x2x64x-"]
    assert group_keys(one("attention").drop(columns="window")).tolist() == ["attention:8x2x64x-"]
    # A quarter of an octave: 64 to 76.1 is one band.
    bands = [group_keys(one("elementwise", elements=n))[0] for n in (63, 64, 76, 77, 128)]
    assert bands == ["elementwise:23", "elementwise:24", "elementwise:24", "elementwise:25", "elementwise:28"]


def test_groups_that_cannot_be_made() -> None:
    with pytest.raises(InputError, match="no groups of the family 'view'"):
        group_keys(one("gemm", op="view"))
    with pytest.raises(InputError, match="the groups of moe need the column 'top_k'"):
        group_keys(one("moe").drop(columns="top_k"))


def _as_floats(table: Any) -> Any:
    return table.astype({"heads": float, "window": float})


@pytest.mark.parametrize(
    "change", [_as_floats, lambda t: t.astype({"op": "category"}), lambda t: t.astype({"window": "Int64"})]
)
def test_groups_do_not_depend_on_how_a_column_is_stored(change: Callable[[Any], Any]) -> None:
    table = pandas.concat([one("attention"), one("attention", window=None, heads=9)], ignore_index=True)
    assert group_keys(change(table)).tolist() == ["attention:8x2x64x4", "attention:9x2x64x-"]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=40),
    st.integers(0, 3),
    st.integers(1, 7),
)
def test_a_group_is_in_one_fold(pairs: list[tuple[int, int]], seed: int, folds: int) -> None:
    table = pandas.concat([one("gemm")] * len(pairs), ignore_index=True)
    table["n"], table["k"] = zip(*pairs, strict=True)
    keys = group_keys(table)
    fold = folds_of(keys, seed=seed, folds=folds)
    assert ((fold >= 0) & (fold < folds)).all()
    assert len(set(zip(keys.tolist(), fold.tolist(), strict=True))) == len(set(pairs))
    np.testing.assert_array_equal(folds_of(keys[::-1], seed=seed, folds=folds), fold[::-1])

"""Many operators at once: lists and tables of columns become groups of like descriptors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import DescriptorError, DtypeError
from perfmodel.ops import FAMILIES, Attention, Collective, Conv, Gemm, Norm, Operator, Rnn, Softmax, View
from perfmodel.ops.table import Group, from_columns, stack


def rows_of(groups: list[Group]) -> dict[int, Operator]:
    """Every row as a descriptor of its own, in whole numbers again."""
    found = {}
    for group in groups:
        for i, row in enumerate(group.rows):
            dims = {n: v[i].item() for n in group.op.dimension_names() if (v := getattr(group.op, n)) is not None}
            found[int(row)] = group.op.replace(**dims)
    return found


# ---------------------------------------------------------------------------------------------------------------- stack
def test_like_descriptors_share_a_group() -> None:
    ops: list[Operator] = [
        Gemm(m=1, n=2, k=3, dtype="bf16"),
        Softmax(rows=4, cols=5, dtype="fp32"),
        Gemm(m=6, n=7, k=8, dtype="bf16"),
        Gemm(m=1, n=2, k=3, dtype="fp8"),
        Gemm(m=1, n=2, k=3, dtype="bf16", out_dtype="fp32"),
        View(dtype="fp32"),
    ]
    groups = stack(ops)
    assert [g.rows.tolist() for g in groups] == [[0, 2], [1], [3], [4], [5]]
    first = groups[0].op
    assert isinstance(first, Gemm)
    assert (first.m.tolist(), first.n.tolist(), first.batch.tolist()) == ([1, 6], [2, 7], [1, 1])
    assert first.m.dtype == np.float64
    assert rows_of(groups) == dict(enumerate(ops))
    np.testing.assert_array_equal(first.flops, [12, 672])


def test_rows_with_and_without_a_window_are_not_alike() -> None:
    op = Attention(q_len=1, kv_len=9, heads=2, kv_heads=2, head_dim=4, dtype="bf16")
    ops = [op, op.replace(window=3), op, op.replace(window=5)]
    groups = stack(ops)
    assert [g.rows.tolist() for g in groups] == [[0, 2], [1, 3]]
    assert rows_of(groups) == dict(enumerate(ops))


def test_nothing_stacks_to_nothing() -> None:
    assert stack([]) == []


def test_part_of_a_group() -> None:
    (group,) = stack([Gemm(m=m, n=2, k=3, dtype="bf16") for m in (1, 2, 3, 4)])
    part = group.part(1, 3)
    assert (part.op.m.tolist(), part.rows.tolist(), len(part)) == ([2, 3], [1, 2], 2)


def test_open_or_array_dimensions_do_not_stack() -> None:
    import sympy

    with pytest.raises(DescriptorError, match=r"operator 1 \(gemm\) has open dimensions N: bind"):
        stack([Gemm(m=1, n=1, k=1, dtype="bf16"), Gemm(m=sympy.Symbol("N"), n=1, k=1, dtype="bf16")])
    with pytest.raises(DescriptorError, match=r"operator 0 .* arrays as dimensions"):
        stack([Gemm(m=np.array([1, 2]), n=1, k=1, dtype="bf16")])


gemms = st.builds(
    Gemm, batch=st.integers(1, 3), m=st.integers(0, 2**48), n=st.integers(1, 9), k=st.integers(1, 9),
    dtype=st.sampled_from(["bf16", "fp8"]), out_dtype=st.sampled_from([None, "fp32"]),
)  # fmt: skip
norms = st.builds(
    Norm, kind=st.sampled_from(["layernorm", "rmsnorm"]), rows=st.integers(1, 9), cols=st.integers(1, 9),
    parameters=st.none() | st.integers(0, 9), dtype=st.just("fp16"),
)  # fmt: skip


@given(st.lists(gemms | norms, max_size=12))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_stacking_loses_no_row(ops: list[Operator]) -> None:
    groups = stack(ops)
    assert rows_of(groups) == dict(enumerate(ops))
    for group in groups:
        flops = np.broadcast_to(group.op.flops, len(group))
        assert flops.tolist() == [ops[row].flops for row in group.rows]


# -------------------------------------------------------------------------------------------------------------- columns
def test_one_value_or_one_a_row() -> None:
    groups = from_columns({"op": "gemm", "m": [1, 2, 3], "n": 4, "k": np.array([5, 6, 7]), "dtype": "bf16"})
    assert rows_of(groups) == {i: Gemm(m=i + 1, n=4, k=i + 5, dtype="bf16") for i in range(3)}
    assert rows_of(from_columns({"op": "gemm", "m": 1, "n": 2, "k": 3, "dtype": "bf16"})) == {
        0: Gemm(m=1, n=2, k=3, dtype="bf16")
    }


def test_families_and_settings_make_groups() -> None:
    groups = from_columns(
        {
            "op": ["gemm", "norm", "gemm", "gemm"],
            "dtype": ["bf16", "fp32", "fp8", "bf16"],
            "kind": [None, "rmsnorm", None, None],
            "m": [1, None, 2, 3], "n": [1, None, 2, 3], "k": [1, None, 2, 3],
            "rows": [np.nan, 8, np.nan, np.nan], "cols": [np.nan, 9, np.nan, np.nan],
            "latency_s": [1e-6, 2e-6, 3e-6, 4e-6], "device": "h100-sxm",
        }
    )  # fmt: skip
    assert sorted(g.rows.tolist() for g in groups) == [[0, 3], [1], [2]]
    assert rows_of(groups) == {
        0: Gemm(m=1, n=1, k=1, dtype="bf16"),
        1: Norm(kind="rmsnorm", rows=8, cols=9, dtype="fp32"),
        2: Gemm(m=2, n=2, k=2, dtype="fp8"),
        3: Gemm(m=3, n=3, k=3, dtype="bf16"),
    }


def test_nulls_mean_the_default() -> None:
    columns = {
        "op": "attention", "q_len": 1, "kv_len": 9, "heads": 2, "kv_heads": 2, "head_dim": 4, "dtype": "bf16",
        "batch": [None, 3.0, 2.0], "window": [np.nan, 4, 5], "causal": [None, True, False], "phase": "decode",
        "kv_dtype": [None, None, "fp8"], "tp": [np.nan, np.nan, 2],
    }  # fmt: skip
    op = Attention(phase="decode", q_len=1, kv_len=9, heads=2, kv_heads=2, head_dim=4, dtype="bf16")
    assert rows_of(from_columns(columns)) == {
        0: op,
        1: op.replace(batch=3, window=4, causal=True),
        2: op.replace(batch=2, window=5, kv_dtype="fp8", tp=2),
    }
    # A padding, a stride, a group count that are null are the family's defaults.
    conv = from_columns(
        {"op": "conv", "c_in": 2, "c_out": 2, "h": [4, 4], "w": 4, "kernel_h": 3, "kernel_w": 3, "dtype": "fp32",
         "stride_h": [2, None], "pad_h": [np.nan, 1], "groups": None}
    )  # fmt: skip
    expected = Conv(c_in=2, c_out=2, h=4, w=4, kernel_h=3, kernel_w=3, dtype="fp32")
    assert rows_of(conv) == {0: expected.replace(stride_h=2), 1: expected.replace(pad_h=1)}


def test_trace_tables_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="trace tables need the extra train")
    table = pandas.DataFrame(
        {
            "op": pandas.Categorical(["gemm", "gemm"]), "dtype": pandas.Categorical(["bf16", "fp8"]),
            "m": pandas.array([1, 2], dtype="Int64"), "n": np.array([3, 4], dtype=np.int32), "k": [5.0, 6.0],
            "batch": pandas.array([None, 7], dtype="Int64"), "out_dtype": pandas.array([None, "fp32"], dtype="string"),
        }
    )  # fmt: skip
    groups = from_columns({name: table[name] for name in table})
    assert rows_of(groups) == {
        0: Gemm(m=1, n=3, k=5, dtype="bf16"),
        1: Gemm(m=2, n=4, k=6, batch=7, dtype="fp8", out_dtype="fp32"),
    }


def test_collectives_have_their_bytes_under_the_name_of_traces() -> None:
    (group,) = from_columns({"op": "collective", "kind": "all_gather", "bytes": [1024], "ranks": 8, "dtype": "bf16"})
    assert rows_of([group]) == {0: Collective(kind="all_gather", message_bytes=1024, ranks=8, dtype="bf16")}
    with pytest.raises(DescriptorError, match=r"no column 'bytes', which collective needs \(missing: bytes, ranks\)"):
        from_columns({"op": "collective", "dtype": "bf16"})


def test_recurrent_layers_from_columns() -> None:
    table = {"op": "rnn", "kind": ["gru"], "seq_len": [7], "input_size": [3], "hidden_size": [4], "dtype": "fp16"}
    assert rows_of(from_columns(table)) == {0: Rnn(kind="gru", seq_len=7, input_size=3, hidden_size=4, dtype="fp16")}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_as_columns_equals_its_descriptor(family: str) -> None:
    import dataclasses

    cls = FAMILIES[family]
    values: dict[str, Any] = {f.name: 2 if f.metadata.get("dim") else f.default for f in dataclasses.fields(cls)}
    values["dtype"] = "bf16"
    columns: dict[str, Any] = {"op": family, **{n: [v, v] for n, v in values.items()}}
    op = cls(**values)
    assert rows_of(from_columns(columns)) == {0: op, 1: op}


def test_a_table_without_rows() -> None:
    assert from_columns({"op": [], "m": [], "n": [], "k": [], "dtype": []}) == []
    assert from_columns({"op": "gemm", "m": [], "n": [], "k": [], "dtype": "bf16"}) == []


def test_the_table_is_not_changed() -> None:
    columns = {"op": ["gemm", "gemm"], "m": np.array([1.0, 2.0]), "n": [3, None], "k": [4, 5], "dtype": ["bf16", "fp8"]}
    columns["n"] = [3, 3]
    before = {k: list(v) for k, v in columns.items()}
    groups = from_columns(columns)
    groups[0].op.m[0] = 99
    assert {k: list(v) for k, v in columns.items()} == before


GOOD: dict[str, Any] = {"op": ["gemm"] * 3, "m": [1, 2, 3], "n": [1, 2, 3], "k": [1, 2, 3], "dtype": ["bf16"] * 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": ["gemm", "gem", "gemm"]}, "unknown operator family 'gem' .* did you mean 'gemm'"),
        ({"op": ["gemm", None, "gemm"]}, "unknown operator family None"),
        ({"op": 7}, "unknown operator family 7"),
        ({"n": [1, 2]}, "differ in length: op 3, m 3, n 2, k 3"),
        ({"n": [[1], [2], [3]]}, r"column 'n' has the shape \(3, 1\)"),
        ({"n": [1, "x", 3]}, "column 'n' holds something that is no number"),
        ({"n": [1, None, 3]}, "row 1, column 'n' is null; gemm needs it"),
        ({"n": [1, 2, np.nan]}, "row 2, column 'n' is null"),
        ({"dtype": ["bf16", None, "bf16"]}, "row 1, column 'dtype' is null; gemm needs it"),
        ({"dtype": None}, "row 0, column 'dtype' is null"),
        ({"n": [1, -2, 3]}, "Gemm.n is -2.0; dimensions are not negative"),
        ({"n": [1, np.inf, 3]}, "Gemm.n holds a value that is not finite"),
    ],
)
def test_tables_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        from_columns({**GOOD, **changes})


def test_missing_columns_and_unknown_dtypes() -> None:
    with pytest.raises(DescriptorError, match="no column 'op'"):
        from_columns({"m": [1]})
    with pytest.raises(DescriptorError, match=r"no column 'n', which gemm needs \(missing: n, k\)"):
        from_columns({"op": "gemm", "m": [1], "dtype": "bf16"})
    with pytest.raises(DtypeError, match="unknown dtype 'bf61'"):
        from_columns({**GOOD, "dtype": "bf61"})


def test_the_row_named_is_that_of_the_table() -> None:
    sizes = {"m": [None, 1, None], "n": 1, "k": 1, "rows": 1, "cols": 1}
    with pytest.raises(DescriptorError, match="row 2, column 'm' is null"):
        from_columns({"op": ["norm", "gemm", "gemm"], "dtype": "bf16", **sizes})

"""Kernel configurations: formulas, descriptions of spaces, physics, tables."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_spaces import GEMM, HALF, sgemm

import perfmodel
from perfmodel.errors import InputError, PredictorError
from perfmodel.hardware import load_device
from perfmodel.rank import rank, space, space_ids
from perfmodel.rank.expressions import NUMBERS, Expression
from perfmodel.rank.limits import Limits
from perfmodel.rank.lookup import Tables
from perfmodel.rank.physics import TERMS, Physics


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7 // 2 + a", 8.0), ("min(a, 3) * 2", 6.0), ("where(a > 4, 1, 2)", 1), ("a % 2 == 1 and not (a == 4)", True),
     ("power_of_two(a * 8)", 8.0), ("-a ** 2", -25.0), ("ceil(a / 2)", 3), ("op.k - 1", 9.0), ("a < 3 or a > 4", True)],
)  # fmt: skip
def test_formulas_over_numbers_and_arrays(text: str, expected: float) -> None:
    formula = Expression.parse(text)
    assert formula({"a": 5.0, "op.k": 10.0}, NUMBERS) == expected
    assert formula({"a": np.array([5.0]), "op.k": 10.0}) == np.array([expected])


@pytest.mark.parametrize(
    "text", ["a.__class__.b", "open('x')", "a[0]", "lambda: 1", "a +", "'a'", "a < b < c", "1" * 2000]
)
def test_formulas_are_arithmetic_and_nothing_else(text: str) -> None:
    with pytest.raises(InputError, match="expression"):
        Expression.parse(text)


def test_every_space_that_ships_is_described() -> None:
    assert {"clblast_sgemm", "cpu_blocked_gemm", "kernel_tuner_convolution", "triton_gemm"} < set(space_ids())
    assert {space(name).op for name in space_ids()} == {"gemm", "conv"}


def test_what_a_description_lacks_is_said() -> None:
    good = {"id": "x", "op": "gemm", "columns": {"a": {}}, "roles": {"tile_m": "a", "tile_n": "a"}}
    assert space(good).columns == {"a": None}
    for change, message in (
        ({"roles": {"tile_m": "a"}}, "tile_n"),
        ({"roles": {"tile_m": "b", "tile_n": "a"}}, "reads 'b'"),
        ({"roles": {"tile_m": "a", "tile_n": "a", "tile_q": "a"}}, "tile_q"),
        ({"schema": 9}, "schema 9"),
        ({"columns": 3}, "lacks something or holds a wrong type"),
    ):
        with pytest.raises(InputError, match=message):
            space({**good, **change})
    with pytest.raises(InputError, match="clblast_sgemm"):
        space("clblast_sgem")


def test_residency_of_a_block_by_hand() -> None:
    """256 threads, 4 x 4 outputs and 8 operands and 24 more: 48 registers; 8 KiB of shared memory.

    An RTX 3090's SM: 65,536 registers / (48 x 256) = 5 blocks; (100 KiB) / (8 + 1 KiB) = 11; 1536 / 256 = 6; 16 at most.
    """
    names = "MWG NWG KWG MDIMC NDIMC MDIMA NDIMB KWI VWM VWN STRM STRN SA SB".split()
    values = (64, 64, 16, 16, 16, 16, 16, 2, 4, 4, 0, 0, 1, 1)
    columns = {name: np.array([float(value)]) for name, value in zip(names, values, strict=True)}
    costs = Physics.of(space("clblast_sgemm"), GEMM, load_device("rtx-3090")).costs(columns)
    assert costs.roles["shared_bytes"] == 8192
    assert costs.registers == 48
    assert costs.blocks_per_unit == 5
    assert costs.occupancy == pytest.approx(1280 / 1536)
    # 16 x 16 blocks on 82 units are 3.12 each: the busiest has 4.
    assert costs.tail == pytest.approx(256 / (4 * 82))
    # 2 x 1024^3 FLOPs at 4 blocks of the 3.12: the fp32 peak of 35.6e12 scaled by the tail.
    assert costs.terms_s["compute"] == pytest.approx(2 * 1024**3 / 35.6e12 / (256 / 328), rel=0.01)


def test_limits_follow_the_capability_and_the_device_file() -> None:
    turing, ampere, cdna = (Limits.of(load_device(d)) for d in ("rtx-2080ti", "a100-pcie-40gb", "mi250x"))
    assert (turing.threads, ampere.threads, cdna.threads) == (1024, 2048, 2048)
    assert (turing.warp, cdna.warp) == (32, 64)
    assert turing.block_shared_bytes == 65_536
    assert ampere.registers == 65_536


def test_what_cannot_run_is_counted_by_reason_and_never_ranked() -> None:
    configs = {
        "BLOCK_SIZE_M": [128, 256, 8, 128, 96], "BLOCK_SIZE_N": [128, 256, 128, 128, 128],
        "BLOCK_SIZE_K": [32, 128, 32, 32, 32],
        "num_stages": [2, 4, 2, 2, 2], "num_warps": [4, 8, 4, 64, 4],
    }  # fmt: skip
    ranking = rank(HALF, configs, "a100-sxm-80gb", pretrained="none")
    assert ranking.rows.tolist() == [0]
    assert ranking.refused == {
        "over shared memory": 1,  # 2 bytes x 128 x 512 x 3 stages = 384 KiB of 163
        "tl.dot takes no block below 16": 1,
        "more threads than a block may have": 1,  # 2048
        "blocks and warps are powers of two": 1,
    }
    with pytest.raises(InputError, match=r"none of 1 configurations.*over shared memory \(1\)"):
        rank(HALF, {n: v[1:2] for n, v in configs.items()}, "a100-sxm-80gb", pretrained="none")


def test_a_block_whose_results_exceed_the_registers_is_refused() -> None:
    # 512 x 512 accumulators of 32 bits: 1 MiB; an SM has 256 KiB of registers.
    configs = {"BLOCK_SIZE_M": [512, 64], "BLOCK_SIZE_N": [512, 64], "BLOCK_SIZE_K": [16, 16], "num_warps": [32, 4]}
    assert rank(HALF, configs, "h100-sxm", pretrained="none").refused == {"over registers": 1}


def test_other_refusals_are_those_of_the_table() -> None:
    with pytest.raises(InputError, match="need the columns NWG, "):
        rank(GEMM, {"MWG": [1]}, "rtx-3090", space="clblast_sgemm")
    with pytest.raises(InputError, match="column MWG, row 1: nan is no finite number"):
        rank(GEMM, {**sgemm(), "MWG": [32, np.nan]}, "rtx-3090", space="clblast_sgemm")
    with pytest.raises(InputError, match="column MWG, row 1: 'wide' is no number"):
        rank(GEMM, {**sgemm(), "MWG": [32, "wide"]}, "rtx-3090", space="clblast_sgemm")
    with pytest.raises(InputError, match="name a column twice: MWG"):
        rank(GEMM, {**sgemm(), "cfg_MWG": sgemm()["NWG"]}, "rtx-3090")
    with pytest.raises(InputError, match="differ in length"):
        rank(GEMM, {**sgemm(), "MWG": [32]}, "rtx-3090", space="clblast_sgemm")
    with pytest.raises(InputError, match="no shipped space of gemm"):
        rank(GEMM, {"x": [1]}, "rtx-3090")
    with pytest.raises(InputError, match="is of gemm kernels"):
        rank(perfmodel.Softmax(rows=1, cols=1, dtype="fp32"), sgemm(), "rtx-3090", space="clblast_sgemm")
    with pytest.raises(InputError, match="arrays as dimensions"):
        rank(perfmodel.Gemm(m=np.array([1, 2]), n=1, k=1, dtype="fp32"), sgemm(), "rtx-3090", space="clblast_sgemm")
    for empty in ({"m": 0}, {"n": 0}, {"k": 0}):
        nothing = perfmodel.Gemm(**{"m": 8, "n": 8, "k": 8, "dtype": "fp32", **empty})
        with pytest.raises(InputError, match="computes nothing, since a dimension is 0"):
            rank(nothing, sgemm(), "rtx-3090")
    with pytest.raises(InputError, match="objective"):
        rank(GEMM, sgemm(), "rtx-3090", objective="power")
    with pytest.raises(InputError, match="top_k is 0"):
        rank(GEMM, sgemm(), "rtx-3090", top_k=0)


def test_tables_of_all_kinds_are_the_same_table() -> None:
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    columns = sgemm()
    expected = rank(GEMM, columns, "rtx-3080", top_k=5)
    traces = {f"cfg_{n}": v for n, v in columns.items()} | {"device": np.full(len(columns["MWG"]), "x")}
    for table in (pandas.DataFrame(columns), pyarrow.table(columns), traces):
        assert rank(GEMM, table, "rtx-3080", top_k=5).rows.tolist() == expected.rows.tolist()


configurations = st.fixed_dictionaries(
    {
        "tile_m": st.integers(1, 512), "tile_n": st.integers(1, 512), "tile_k": st.integers(1, 512),
        "inner_m": st.integers(1, 16), "inner_n": st.integers(1, 64), "vector": st.sampled_from([1, 4, 8, 16]),
        "threads": st.integers(1, 64),
    }
)  # fmt: skip


@given(configurations, st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4096))
def test_latencies_are_finite_above_their_terms_and_alike_one_by_one(c: dict[str, int], m: int, n: int, k: int) -> None:
    physics = Physics.of(
        space("cpu_blocked_gemm"), perfmodel.Gemm(m=m, n=n, k=k, dtype="fp32"), load_device("epyc-7763")
    )
    values = {**{name: d for name, d in physics.space.columns.items() if d is not None}, **c}
    many = physics.costs({name: np.array([float(v)] * 2) for name, v in values.items()})
    one = physics.costs({name: float(v) for name, v in values.items()}, NUMBERS)
    assert np.isfinite(many.latency_s).all()
    assert one.latency_s == pytest.approx(many.latency_s[0], rel=1e-12)
    assert int(one.refused) == int(np.broadcast_to(many.refused, (2,))[0])
    for name in TERMS:
        assert 0 <= one.terms_s[name] <= one.latency_s * (1 + 1e-12)
    assert one.latency_s >= 2 * m * n * k / physics.machine.peak_flops


def test_more_threads_of_a_cpu_are_faster() -> None:
    configs = {"tile_m": [64] * 2, "tile_n": [64] * 2, "tile_k": [64] * 2, "threads": [1, 8]}
    one, eight = np.sort(rank(GEMM, configs, "epyc-7763").latency_s)[::-1]
    assert one > 4 * eight


def test_trees_of_few_parameters_are_tables() -> None:
    """Tables give the same as XGBoost itself, anywhere: at thresholds, between and beyond them."""
    xgboost = pytest.importorskip("xgboost")
    from perfmodel.models.trees import Booster
    from perfmodel.rank.lookup import compiled

    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, (400, 4)).astype(float)
    y = x[:, 0] * x[:, 1] - 3 * (x[:, 2] > 2) * x[:, 3]
    pairs = [list(p) for p in itertools.combinations(range(4), 2)]
    booster = xgboost.train(
        {"max_depth": 4, "eta": 0.3, "interaction_constraints": str(pairs), "nthread": 1}, xgboost.DMatrix(x, y), 40
    )
    tables = compiled(Booster.from_json(bytes(booster.save_raw("json"))), tuple("abcd"), 2)
    probe = np.vstack([x, rng.uniform(-3, 9, (200, 4)), x + 0.5]).astype(np.float32).astype(float)
    expected = booster.predict(xgboost.DMatrix(probe))
    columns = {n: probe[:, i] for i, n in enumerate("abcd")}
    assert tables.predict(columns) == pytest.approx(expected, abs=2e-4)
    assert tables.predict_one({n: v[7] for n, v in columns.items()}) == pytest.approx(expected[7], abs=2e-4)
    again = Tables.from_dict(json.loads(json.dumps(tables.to_dict())))
    assert again.predict(columns) == pytest.approx(expected, abs=5e-3)
    free = xgboost.train({"max_depth": 4, "eta": 0.3, "nthread": 1}, xgboost.DMatrix(x, y), 40)
    with pytest.raises(PredictorError, match="wanted at most 2"):
        compiled(Booster.from_json(bytes(free.save_raw("json"))), tuple("abcd"), 2)

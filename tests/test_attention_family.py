"""Features of the learned attention families, and the copy into the cache that prompts pay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from perfmodel.hardware import load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.families import FAMILIES, family_of
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import Attention
from perfmodel.ops.table import stack

H100 = load_device("h100-sxm")


def op(**changes: Any) -> Attention:
    values: dict[str, Any] = {
        "phase": "prefill", "batch": 2, "q_len": 500, "kv_len": 500, "heads": 32, "kv_heads": 8, "head_dim": 72,
        "causal": True, "dtype": "bf16",
    }  # fmt: skip
    return Attention(**{**values, **changes})


def columns(*ops: Attention) -> dict[str, np.ndarray]:
    (group,) = stack(ops)
    family = family_of(group.op)
    assert family is not None
    return family.columns(group.op, analyse(group, H100), Machine.of(H100, group.op.dtype), H100)


def test_a_prompt_as_a_kernel_sees_it() -> None:
    found = {name: float(values[0]) for name, values in columns(op()).items()}
    wanted = {
        "log2_group": 2.0,
        "head_fill": 72 / 128,
        "group_fill": 0.5,
        "query_fill": 500 / 512,
        "log_waves_128": math.log(4 * 64 / 132),  # four blocks of each of 64 heads on 132 units
        "occupancy_128": 256 / 132 / 2,
        "log_packed_waves_128": math.log(16 * 16 / 132),  # 2000 packed queries are 16 blocks of each of 16 heads
        "log2_seen": math.log2(250.5),  # 1 + 2 + ... + 500 over 500
        "log2_kv_bytes": math.log2(2 * 8 * 500 * 144 * 2),
        "log2_query_bytes": math.log2(2 * 32 * 500 * 72 * 2),
        "log2_window_share": 0.0,
        "log2_kv_over_q_len": 0.0,
        "operand_bits": 16.0,
        "kv_bits": 16.0,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_window_and_cache_format_are_seen() -> None:
    narrow = columns(op(phase="decode", q_len=1, kv_len=1024, window=128, kv_dtype="fp8"))
    assert float(narrow["log2_window_share"][0]) == -3.0
    assert float(narrow["log2_seen"][0]) == 7.0
    assert float(narrow["kv_bits"][0]) == 8.0


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("attention_prefill", op()),
        ("attention_decode", op(phase="decode", q_len=1, kv_len=4096)),
        ("attention_encoder", op(phase="encoder", causal=False, kv_heads=32)),
        ("mla_prefill", op(phase="mla_prefill", kv_heads=32, head_dim=192, v_head_dim=128)),
        ("mla_decode", op(phase="mla_decode", q_len=1, kv_len=4096, kv_heads=1, head_dim=576, v_head_dim=512)),
    ],
)
def test_every_phase_has_a_family_with_finite_features(name: str, some: Attention) -> None:
    family = FAMILIES[name]
    assert family_of(some) is family
    found = columns(some, some.replace(batch=1), some.replace(batch=0))
    assert np.isfinite(family.schema.matrix(found)).all()
    assert set(family.support) | set(family.exact) <= set(found)


def test_formats_share_a_booster_but_only_measured_ones_use_it() -> None:
    family = FAMILIES["attention_prefill"]
    assert [family.part(op(dtype=d)) for d in ("bf16", "fp16", "fp8", "fp32", "int8")] == [
        "float", "float", "float", "fp32", "int8",
    ]  # fmt: skip


def test_a_prompt_is_copied_into_the_cache() -> None:
    """Read and written once: 16 sequences of 4096 tokens, 8 heads of keys and values of 128 elements of 2 bytes."""

    def crossing(phase: str) -> float:
        some = op(phase=phase, batch=16, q_len=4096, kv_len=4096, head_dim=128)
        return float(analyse(stack([some])[0], H100, conditions=Conditions("cold")).dram_bytes[0])

    assert crossing("prefill") - crossing("encoder") == 2 * 16 * 4096 * 8 * 256 * 2


def test_joined_boosters_count_where_their_column_is_one() -> None:
    xgboost = pytest.importorskip("xgboost")
    from perfmodel.models.trees import Booster
    from perfmodel.training import joining, objective

    draw = np.random.default_rng(0)
    matrix = draw.random((300, 4)).astype(np.float32)
    mine = draw.random(300) < 0.5
    matrix[:, 2], matrix[:, 3] = mine, ~mine
    target = np.where(mine, 3 * matrix[:, 0], -5 * matrix[:, 1])
    parameters = {
        "trees": 5,
        "max_leaves": 8,
        "tree_method": "hist",
        "objective": "reg:squarederror",
        "base_score": 0.25,
    }
    parts = {
        column: objective.boost(matrix[rows], target[rows], parameters, 0) for column, rows in ((2, mine), (3, ~mine))
    }
    joined = joining.joined(parts)
    wanted = np.where(mine, *(parts[column].predict(xgboost.DMatrix(matrix)) for column in (2, 3)))
    assert joined.predict(xgboost.DMatrix(matrix)) == pytest.approx(wanted, abs=1e-6)
    read = Booster.from_json(bytes(joined.save_raw("json")), "joined")
    assert read.predict(matrix) == pytest.approx(wanted, abs=1e-6)

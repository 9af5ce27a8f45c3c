"""How tokens spread over experts, and what expert layers make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.hardware import load_device
from perfmodel.models import routing
from perfmodel.models.analytical import analyse
from perfmodel.models.families.moe import MOE, tuned
from perfmodel.models.learned import variant_columns
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import Moe
from perfmodel.ops.table import stack
from perfmodel.training.boosting import thinned


def _load(distribution: str | None, tokens: int, experts: int, top_k: int, ep: int) -> routing.Load:
    return routing.load(distribution, *(np.array([float(v)]) for v in (tokens, experts, top_k, ep)))


def test_even_routing_by_hand() -> None:
    # 10 tokens visit 3 of 8 experts: 30 pairs, 15 on each of two ranks, over 4 experts: 4, 4, 4, 3.
    load = _load("balanced", 10, 8, 3, 2)
    assert (load.rows[0], load.active[0], load.busiest[0]) == (15, 4, 4)
    assert load.blocks[0].tolist() == [4, 4, 4, 4, 4]
    # 100 tokens on one expert each of two: 50 rows each, in 4 blocks of 16, 2 of 32, 1 of 64 and more.
    assert _load(None, 100, 2, 1, 1).blocks[0].tolist() == [8, 4, 2, 2, 2]


def test_even_routing_with_fewer_pairs_than_experts() -> None:
    load = _load(None, 1, 256, 8, 1)
    assert (load.rows[0], load.active[0], load.busiest[0]) == (8, 8, 1)


def test_skewed_routing_loads_one_rank_and_one_expert_more() -> None:
    even, mild, strong = (_load(d, 4096, 64, 4, 8) for d in ("balanced", "power_law_1.01", "power_law_1.8"))
    assert even.rows[0] < mild.rows[0] < strong.rows[0]
    assert even.busiest[0] < mild.busiest[0] <= 4096
    assert strong.active[0] <= mild.active[0] <= even.active[0]


def test_one_rank_gets_every_pair_that_no_cap_drops() -> None:
    # Of 256 experts none comes near the cap of one visit a token under a mild skew.
    assert _load("power_law_1.01", 1024, 256, 8, 1).rows[0] == pytest.approx(8192, rel=0.01)
    assert _load("power_law_1.2", 1, 64, 6, 1).rows[0] == 6


def test_a_token_visits_an_expert_at_most_once() -> None:
    # Half of 64 experts are visited by each of 100 tokens: the draws would give the busiest one several times as many.
    assert _load("power_law_1.2", 100, 64, 32, 1).busiest[0] == 100


def test_equal_rows_get_equal_loads_wherever_they_stand() -> None:
    columns = [np.array(v, dtype=float) for v in ([64, 8, 64], [32, 32, 32], [4, 4, 4], [2, 4, 2])]
    load = routing.load("power_law_1.2", *columns)
    alone = routing.load("power_law_1.2", *(c[2:] for c in columns))
    assert load.rows[0] == load.rows[2] == alone.rows[0]
    assert np.array_equal(load.blocks[0], alone.blocks[0])


@given(
    st.integers(0, 3000), st.integers(1, 300), st.integers(1, 22), st.sampled_from([1, 2, 4, 7, 64]),
    st.sampled_from([None, "power_law_1.0", "power_law_1.2", "power_law_2"]),
)  # fmt: skip
def test_loads_hold_together(tokens: int, experts: int, top_k: int, ep: int, distribution: str | None) -> None:
    load = _load(distribution, tokens, experts, top_k, ep)
    rows, active, busiest, blocks = load.rows[0], load.active[0], load.busiest[0], load.blocks[0]
    assert np.isfinite([rows, active, busiest, *blocks]).all()
    assert 1 <= active <= rows + 1e-9
    assert rows / active <= busiest + 1e-9 <= rows + 1e-6
    assert (blocks >= active - 1e-9).all()
    assert (blocks * routing.BLOCK_ROWS >= rows - 1e-6).all()


LAYER = Moe(tokens=2048, hidden=4096, intermediate=1536, experts=128, top_k=8, ep=8, dtype="bf16")


def _bounds(op: Moe, device: str = "h100-sxm"):  # type: ignore[no-untyped-def]
    (group,) = stack([op])
    return analyse(group, load_device(device), conditions=Conditions("warm"))


def test_the_busiest_rank_decides_the_latency() -> None:
    assert _bounds(LAYER).latency_s[0] < 0.9 * _bounds(LAYER.replace(distribution="power_law_1.2")).latency_s[0]


@pytest.mark.parametrize("distribution", [None, "power_law_1.2"])
def test_the_floor_stays_below_the_estimate(distribution: str | None) -> None:
    bounds = _bounds(LAYER.replace(distribution=distribution, tokens=8))
    assert 0 < bounds.floor_s[0] < bounds.latency_s[0]


def test_skew_may_leave_most_experts_unread() -> None:
    # 64 tokens of 8 experts each may all choose the same 8 of 128: 8 experts' weights instead of 128.
    one = LAYER.replace(tokens=64, ep=1)
    even, skewed = (_bounds(one.replace(distribution=d)).floor_s[0] for d in (None, "power_law_1.2"))
    expert_bytes = 3 * 4096 * 1536 * 2
    tokens_bytes = 2 * 64 * 4096 * 2
    l2, bandwidth = 50 * 2**20, 3.35e12
    assert even == pytest.approx((128 * expert_bytes + tokens_bytes - l2) / bandwidth, rel=0.02)
    assert skewed == pytest.approx((8 * expert_bytes + tokens_bytes - l2) / bandwidth, rel=0.02)


def test_features_are_those_of_the_schema_and_finite() -> None:
    for op in (LAYER, LAYER.replace(tokens=0, dtype="nvfp4", distribution="power_law_1.01", matrices=2)):
        (group,) = stack([op])
        device = load_device("b200-sxm")
        bounds = analyse(group, device, conditions=Conditions("warm"))
        columns = MOE.columns(group.op, bounds, Machine.of(device, op.dtype), device)
        assert np.isfinite(MOE.schema.matrix(columns)).all()


def test_thinning_keeps_rare_variants_whole() -> None:
    variant = np.array(["a"] * 1000 + ["b"] * 300 + ["c"] * 20, dtype=object)
    rows = thinned(np.arange(len(variant)), variant, 220, seed=0)
    kept = {v: int((variant[rows] == v).sum()) for v in "abc"}
    assert kept == {"a": 100, "b": 100, "c": 20}
    assert np.array_equal(rows, thinned(np.arange(len(variant)), variant, 220, seed=0))
    assert len(thinned(np.arange(len(variant)), variant, None, seed=0)) == len(variant)


def test_tuned_layers_are_those_that_a_stack_ships() -> None:
    # sglang 0.5.14 holds E=128,N=768,device_name=NVIDIA_H100_80GB_HBM3.json, and that of N=1536 for other devices only.
    experts, width = np.array([128.0, 128.0, 64.0]), np.array([768.0, 1536.0, 768.0])
    assert tuned("sglang", "h100-sxm", "bf16", experts, width).tolist() == [1.0, 0.0, 1.0]
    assert tuned("sglang", "h100-sxm", "fp16", experts, width).tolist() == [1.0, 0.0, 1.0]
    assert not tuned("sglang", "h100-sxm", "nvfp4", experts, width).any()
    assert not tuned("vllm", "rtx-4090", "bf16", experts, width).any()


def test_the_layer_of_a_rank_decides_what_is_tuned() -> None:
    # 256 experts of 1536 over two ranks of each parallelism are 128 of 768 on a rank.
    (group,) = stack([LAYER.replace(experts=256, intermediate=1536, tp=2, ep=2, dtype="bf16")])
    device = load_device("h100-sxm")
    bounds = analyse(group, device, conditions=Conditions("warm"))
    columns = MOE.columns(group.op, bounds, Machine.of(device, "bf16"), device)
    assert columns["tuned_sglang"].tolist() == [1.0]
    tokens = float(np.asarray(group.op.tokens)[0])
    assert 2 ** columns["log2_tokens_per_local_expert"][0] == pytest.approx(tokens / 128)


def test_software_kernel_and_make_are_told_apart() -> None:
    variants = ("a-1:x_triton", "a-2:x_triton", "a-2:y_cutlass", "b-1:z_fused_moe", "b-1")
    columns = variant_columns(variants, ("cutlass", "triton|fused_moe", "marlin"))
    # Software a-1, a-2, b-1; kernels x, y, z; makes triton, cutlass. No column for a make that none has.
    assert columns.tolist() == [
        [1, 0, 0, 1, 0, 0, 1, 0],
        [0, 1, 0, 1, 0, 0, 1, 0],
        [0, 1, 0, 0, 1, 0, 0, 1],
        [0, 0, 1, 0, 0, 1, 1, 0],
        [0, 0, 1, 0, 0, 0, 0, 0],
    ]
    assert variant_columns(variants).tolist() == np.eye(5).tolist()


def test_trees_of_each_softwares_own_need_a_column_a_variant() -> None:
    with pytest.raises(ValueError, match="one column a variant"):
        replace(MOE, by_software=True)

"""fp32 products on vector units: one case by hand, the power limit, and which devices run them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.hardware import load_device
from perfmodel.models import vector_gemm
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.gemm import TILES, GemmEstimate, GemmShape
from perfmodel.models.machine import Conditions, Machine

V100, T4 = load_device("v100-pcie-32gb"), load_device("t4")
ROUND = replace(
    FALLBACK, simt_gemm_efficiency=1.0, simt_tile_cost=0.5, simt_l2_bytes_per_clock=1e6, simt_norm_p=8.0,
    simt_split_cycles=1e9, simt_block_scale=1.0, simt_throttle_power=1.0,
)  # fmt: skip


def run(
    device_id: str, m: float, n: float, k: float, constants: Constants = ROUND, conditions: Conditions | None = None
) -> GemmEstimate:
    device, conditions = load_device(device_id), conditions or Conditions("warm")
    machine = Machine.of(device, "fp32", conditions)
    arrays = (np.array([v], dtype=float) for v in (1, m, n, k))
    return vector_gemm.estimate(GemmShape(*arrays, 32, 32, 32), device, machine, constants, conditions)


def test_tiles_run_in_pairs_and_small_ones_slowly() -> None:
    """256 tiles of 128 x 128 on the 80 SMs of a V100: 160 at a time, so that two pairs follow each other on the busiest."""
    e = run("v100-pcie-32gb", 2048, 2048, 1016)
    cycle = 1 / 1.38e9
    # 4 tiles, k of 1016 and 8 to fill, a tile of 128 x 128 takes 1 + 0.5 · 64/128 as long, 128 FLOPs a clock. The launch is
    # 3000 clocks and 500 for the root of four waves; the peak that the datasheet rounds to 14 TFLOP/s is 80 SMs at 1.367 GHz.
    compute = 4 * 2 * 128 * 128 * 1024 * 1.25 / (14e12 / 80)
    with_128 = e.tile_latency_s[0, TILES.tolist().index([128, 128])]
    with_64 = e.tile_latency_s[0, TILES.tolist().index([64, 64])]
    rest = (3000 + 500 * 2) * cycle
    # Memory takes half as long and hides behind the arithmetic.
    assert with_128 == pytest.approx(rest + compute, rel=0.02)
    # 1024 tiles of 64 x 64: seven pairs, 1 + 0.5 times as long each.
    small = 14 * 2 * 64 * 64 * 1024 * 1.5 / (14e12 / 80)
    assert with_64 == pytest.approx((3000 + 500 * np.sqrt(14)) * cycle + small, rel=0.02)


def test_power_limit_holds_inference_cards_down() -> None:
    # 6 pJ a FLOP at 4 nm, three times that at 12 nm: 8.1 TFLOP/s draw 145.8 W, the T4 may draw 70; 14 TFLOP/s draw 252 of 250.
    assert vector_gemm.throttle(T4, Conditions(), ROUND) == pytest.approx(70 / 145.8)
    assert vector_gemm.throttle(V100, Conditions(), ROUND) == pytest.approx(250 / 252)
    assert vector_gemm.throttle(load_device("p100-pcie-16gb"), Conditions(), ROUND) == 1
    assert vector_gemm.throttle(T4, Conditions(clock_hz=585e6), ROUND) == 1
    big = run("t4", 8192, 8192, 4096)
    assert big.throttle[0] == pytest.approx(70 / 145.8, rel=0.1)


def test_eager_call_comes_on_top() -> None:
    c = replace(FALLBACK, eager_launch_s=20e-6)
    assert vector_gemm.as_timed(np.array([5e-6, 1e-3]), c) == pytest.approx([25e-6, 1.02e-3])


def test_which_products_they_are() -> None:
    assert vector_gemm.runs_on(T4, Machine.of(T4, "fp32"))
    assert not vector_gemm.runs_on(T4, Machine.of(T4, "fp16"))
    for other in ("mi210", "xeon-8380"):  # matrix units take fp32; no GPU
        device = load_device(other)
        assert not vector_gemm.runs_on(device, Machine.of(device, "fp32"))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["t4", "p4", "a100-pcie-40gb", "rtx-4090"]),
    st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 20000),
)  # fmt: skip
def test_more_work_never_takes_less_time(device: str, m: int, n: int, k: int) -> None:
    once, twice = (run(device, m, n, depth, FALLBACK) for depth in (k, 2 * k))
    assert 0 < once.latency_s[0] <= twice.latency_s[0] * (1 + 1e-9) < np.inf

"""The tile model of GEMM: one case by hand, waves, residency, and what physics demands of every shape."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import QUICK_HITS, TOY_CONSTANTS, log_spaced, toy_device

from perfmodel.hardware import Device, load_device
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.gemm import SPLITS, TILES, GemmEstimate, GemmShape, estimate, throttle
from perfmodel.models.machine import CACHES, Conditions, Machine

CYCLE = 1e-9  # at the toy's 1 GHz
H100 = load_device("h100-sxm")


def run(
    m: Any, n: Any, k: Any, *, batch: Any = 1, device: Device | None = None, constants: Constants = TOY_CONSTANTS,
    cache: str = "cold", clock_hz: float | None = None, **shape: Any,
) -> GemmEstimate:  # fmt: skip
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (batch, m, n, k)))
    machine = Machine.of(device or toy_device(), "bf16", Conditions(cache, clock_hz))
    bits = {"a_bits": 16, "b_bits": 16, "c_bits": 16}
    return estimate(GemmShape(*arrays, **{**bits, **shape}), machine, constants, cache)


def tile(e: GemmEstimate, tile_m: int, tile_n: int) -> float:
    """Cycles with one tile size, at its best split."""
    index = TILES.tolist().index([tile_m, tile_n])
    return float(e.tile_latency_s[0, index] / CYCLE)


# -------------------------------------------------------------------------------------------------------------- by hand
def test_one_tile_by_hand() -> None:
    """C[128,128] = A[128,32] · B[32,128] in bf16 on one unit of 1024 FLOPs a clock."""
    e = run(128, 128, 32)
    # One 128x128 tile; k runs over 32 elements and 32 more for filling the pipeline: 2·128·128·64 / 1024 clocks.
    assert e.compute_s / CYCLE == pytest.approx([2048])
    # (128 + 128)·64 values of 2 bytes, at 64 bytes a clock for a unit of 2048 FLOPs, half of it for one of 1024.
    assert e.l2_s / CYCLE == pytest.approx([1024])
    # A and B 128·32 values each, C 128·128: 24,576 values of 2 bytes at half of 96 bytes a clock.
    assert e.dram_s / CYCLE == pytest.approx([1024])
    assert e.launch_s / CYCLE == pytest.approx([1000 + 100])
    assert e.latency_s / CYCLE == pytest.approx([1100 + 2048 + 1024 + 1024])
    assert (e.tile_m[0], e.tile_n[0], e.split_k[0], e.split_k_s[0], e.quantize_s[0]) == (128, 128, 1, 0, 0)
    assert (e.tiles_per_unit[0], e.occupancy[0], e.miss[0]) == (1, 1, 1)
    # Half of a 256x128 tile is idle: twice the FLOPs, (256 + 128)·64·2 / 32 clocks of operands.
    assert tile(e, 256, 128) == pytest.approx(1100 + 4096 + 1536 + 1024)
    # Two tiles, one after the other: the same FLOPs, (128 + 64)·64·2·2 / 32, and waves that overlap: 100·sqrt(2).
    assert tile(e, 128, 64) == pytest.approx(1000 + 141.4214 + 2048 + 1536 + 1024)
    assert tile(e, 64, 64) == pytest.approx(1000 + 200 + 2048 + 2048 + 1024)
    # 32x128: four tiles, their rows of A and the whole of B each: 4·(32 + 128)·64·2 / 32.
    assert tile(e, 32, 128) == pytest.approx(1000 + 200 + 2048 + 2560 + 1024)


def test_batches_are_more_tiles() -> None:
    one, two = run(128, 128, 32), run(128, 128, 32, batch=2)
    assert two.tiles_per_unit == 2
    for term in ("compute_s", "l2_s", "dram_s"):
        assert getattr(two, term) == pytest.approx(2 * getattr(one, term))
    # Two units take one each.
    spread = run(128, 128, 32, batch=2, device=toy_device(units=2, peak_flops={"bf16": 2.048e12, "fp32": 1e11}))
    assert (spread.tiles_per_unit[0], spread.occupancy[0]) == (1, 1)
    assert spread.compute_s == pytest.approx(one.compute_s)


def test_whole_waves() -> None:
    # Three units, four 128x128 tiles: two waves of which the second is a third full.
    device = toy_device(units=3, peak_flops={"bf16": 3 * 1.024e12, "fp32": 1e11})
    e = run(256, 256, 32, device=device)
    # 131,072 bytes of C, and twice 16,384 of A and B: 163,840 / 48
    dram = (131072 + 2 * 16384) / 48
    # two 128x128 tiles a unit
    assert tile(e, 128, 128) == pytest.approx(1000 + 141.4214 + 2 * 2048 + 2 * 1024 + dram)
    # two 256x128 tiles, one a unit: a unit is idle, yet it is as fast and reads less
    assert tile(e, 256, 128) == pytest.approx(1100 + 4096 + 1536 + dram)
    # eight 128x64 tiles, three on the busiest unit, of 1024 and 768 clocks each: the best there is
    assert e.latency_s / CYCLE == pytest.approx([1000 + 173.2051 + 3 * 1024 + 3 * 768 + dram])
    assert (e.tile_m[0], e.tile_n[0], e.tiles_per_unit[0]) == (128, 64, 3)
    assert e.occupancy == pytest.approx([8 / 9])


def test_narrow_formats_by_hand() -> None:
    # Two kernels before: 500 clocks each, and 128·32 values read twice in 2 bytes and written in 1, at 48 a clock.
    e = run(128, 128, 32, a_bits=8, b_bits=8, quantize_kernels=2)
    assert e.quantize_s / CYCLE == pytest.approx([1000 + 128 * 32 * 5 / 48])
    # Resident operands come at 96 bytes a clock.
    warm = run(
        128, 128, 32, a_bits=8, b_bits=8, quantize_kernels=2, cache="warm", device=toy_device(l2_bytes=10**9),
        constants=QUICK_HITS,
    )  # fmt: skip
    assert warm.quantize_s / CYCLE == pytest.approx([1000 + 128 * 32 * 5 / 96])
    # A 128-wide tile widens 128·64 weights at an eighth of a clock.
    wide = run(128, 128, 32, b_bits=4, dequantize=True)
    assert wide.compute_s / CYCLE == pytest.approx([2048 + 1024])
    # Half a byte a weight: 128·0.5 instead of 128·2 in the tile, 2048 bytes instead of 8192 from memory.
    assert wide.l2_s / CYCLE == pytest.approx([(128 * 2 + 128 * 0.5) * 64 / 32])
    assert wide.dram_s / CYCLE == pytest.approx([(49152 - 8192 + 2048) / 48])


def test_residency() -> None:
    # 49,152 bytes in all. Half of the cache keeps operands: 98,304 keep just as much, and then half of it misses.
    warm = run(128, 128, 32, cache="warm", device=toy_device(l2_bytes=98304), constants=QUICK_HITS)
    assert warm.miss == pytest.approx([0.5])
    assert warm.dram_s / CYCLE == pytest.approx([24576 / 48 + 24576 / 96])
    # A cache that would stream more slowly than the memory behind it does not: 16 bytes a clock against 48.
    assert run(128, 128, 32, cache="warm", device=toy_device(l2_bytes=98304)).dram_s / CYCLE == pytest.approx([1024])
    # Two partitions keep a copy each, and so half as much.
    halves = toy_device(l2_bytes=2 * 98304, l2_partitions=2)
    assert run(128, 128, 32, cache="warm", device=halves).miss == pytest.approx([0.5])
    # Six sets of weights take turns: 5 · 8,192 bytes more; with the activations, 5 · 8,192 more again.
    assert run(128, 128, 32, cache="rotating", device=toy_device(l2_bytes=2 * 90112)).miss == pytest.approx([0.5])
    assert run(128, 128, 32, cache="rotating_all", device=toy_device(l2_bytes=2 * 131072)).miss == pytest.approx([0.5])
    # As many as exceed the cache, five at most: 8,192 bytes of weights go 2 to 20,000, more than 5 times to 10**6.
    assert run(128, 128, 32, cache="filling", device=toy_device(l2_bytes=16384)).footprint * 16384 == 49152 + 8192
    assert run(128, 128, 32, cache="filling", device=toy_device(l2_bytes=16385)).footprint * 16385 == 49152 + 2 * 8192
    assert run(128, 128, 32, cache="filling", device=toy_device(l2_bytes=10**6)).footprint * 10**6 == 49152 + 4 * 8192
    assert run(128, 128, 32, cache="filling", device=toy_device(l2_bytes=8192)).footprint * 8192 == 49152
    assert run(128, 128, 32, cache="warm", device=toy_device(l2_bytes=10**9)).miss < 1e-5
    assert run(128, 128, 32, cache="cold", device=toy_device(l2_bytes=10**9)).miss == 1


def test_what_waves_fetch_again() -> None:
    # A wave covers a block of a side of a quarter of 128: 128·128·32·(2 + 2) / 2 / 32 bytes are fetched for it, and C is
    # written. What the cache keeps until the next wave is left out: here nothing.
    forgets = replace(TOY_CONSTANTS, refetch_residency=1e-9, block_scale=0.25)
    e = run(128, 128, 32, constants=forgets)
    assert e.dram_s / CYCLE == pytest.approx([(32768 + 32768) / 48])
    assert e.dram_bytes == pytest.approx([65536])
    assert run(128, 128, 32, constants=forgets, batch=2).dram_bytes == pytest.approx([2 * 65536])
    # No side is longer than the longer of m and n.
    wide = run(128, 128, 32, constants=replace(forgets, block_scale=100.0))
    assert wide.dram_bytes == pytest.approx([49152])
    # Half is kept where a product of 49,152 bytes fills what the cache keeps.
    half = run(128, 128, 32, constants=replace(forgets, refetch_residency=0.5), device=toy_device(l2_bytes=98304))
    assert half.dram_bytes == pytest.approx([16384 + 32768])


def test_efficiencies_of_formats() -> None:
    c = replace(TOY_CONSTANTS, mma_efficiency=0.5, fp8_efficiency=0.25)
    device = toy_device(peak_flops={"bf16": 1.024e12, "fp8": 2.048e12, "fp32": 1e11})
    one = (np.array([128.0]) for _ in "bmnk")
    shape = GemmShape(np.ones(1), *list(one)[:2], np.array([32.0]), 16, 16, 16)
    bf16, fp8 = (estimate(shape, Machine.of(device, d), c, "cold") for d in ("bf16", "fp8"))
    # 2·128·128·64 FLOPs at half of 1024 a clock, and at an eighth of 2048.
    assert (bf16.compute_s / CYCLE, fp8.compute_s / CYCLE) == (pytest.approx([4096]), pytest.approx([8192]))


def test_split_k_feeds_idle_units() -> None:
    device = toy_device(units=16, peak_flops={"bf16": 16 * 1.024e12, "fp32": 1e11})
    e = run(128, 128, 65536, device=device, constants=replace(TOY_CONSTANTS, split_cycles=1.0))
    assert e.split_k > 1
    alone = run(128, 128, 65536, device=device, constants=replace(TOY_CONSTANTS, split_cycles=1e12))
    assert (alone.split_k[0], alone.split_k_s[0]) == (1, 0)
    assert e.latency_s < alone.latency_s
    # fp32 sums of 128·128, written and read by each split, over 16 units of 32 bytes both ways.
    forced = run(128, 128, 65536, device=device, constants=replace(TOY_CONSTANTS, split_cycles=7.0))
    sums = 128 * 128 * 4 * 2 * forced.split_k / (2 * 16 * 32)
    assert forced.split_k_s / CYCLE == pytest.approx(7 + sums)


def test_compulsory_bytes_replace_the_three_matrices() -> None:
    e = run(128, 128, 32, compulsory_bytes=np.array([4800.0]))
    # C alone, 32,768 bytes, still has to be written
    assert e.dram_s / CYCLE == pytest.approx([32768 / 48])
    more = run(128, 128, 32, compulsory_bytes=np.array([480000.0]))
    assert more.dram_s / CYCLE == pytest.approx([10000])


def test_power_limit_and_pinned_clock() -> None:
    # 1.024e12 FLOP/s over 100 W, at two thirds of the reference clock and half of the reference width:
    # 1.024e10 · (2/3)^2 · sqrt(2) = 6.436e9. With a third of that as the limit it is 1 / (1 + 3), to the power of one half.
    c = replace(TOY_CONSTANTS, throttle_flops_per_w=6.43634e9 / 3, throttle_power=0.5)
    machine = Machine.of(toy_device(), "bf16")
    assert throttle(machine, c) == pytest.approx(0.5, rel=1e-5)
    # The useful FLOPs at half the rate take as long as those with the pipeline's filling at the whole rate.
    assert run(128, 128, 32, constants=c).compute_s / CYCLE == pytest.approx([2048], rel=1e-5)
    long = run(128, 128, 3200, constants=c)
    assert long.compute_s / CYCLE == pytest.approx([2 * 128 * 128 * 3200 / 512], rel=1e-5)
    assert long.throttle == pytest.approx([3232 / 6400], rel=1e-5)
    # A cap changes nothing here (perfmodel.models.cap finds the clock under it); a pinned clock is not throttled.
    assert throttle(Machine.of(toy_device(), "bf16", Conditions(power_limit_w=25.0)), c) == throttle(machine, c)
    assert throttle(Machine.of(toy_device(), "bf16", Conditions(clock_hz=1e9)), c) == 1
    assert throttle(Machine.of(toy_device(tdp_w=None), "bf16"), c) == 1


# ----------------------------------------------------------------------------------------------------------- properties
def test_one_tile_more_than_a_full_wave_costs_a_wave() -> None:
    # 132 units: n of 128·132 columns fills them, one column more starts another wave.
    n = [128 * 131, 128 * 132, 128 * 132 + 1]
    nearly, full, over = run(256, n, 8192, device=H100, constants=FALLBACK, clock_hz=1.83e9).latency_s
    assert over / full > 1.05
    assert full / nearly < 1.02


def test_more_rows_than_fit_one_chunk() -> None:
    rows = 4096 + 3
    m = np.arange(1, rows + 1)
    whole = run(m, 64, 128)
    for index in (0, 4095, 4096, rows - 1):
        alone = run(m[index], 64, 128)
        for f in fields(GemmEstimate):
            rows_of = getattr(whole, f.name)[index], getattr(alone, f.name)[0]
            np.testing.assert_allclose(*rows_of, rtol=1e-12, err_msg=f.name)
    assert whole.tile_latency_s.shape == (rows, len(TILES))


def test_no_rows() -> None:
    assert run([], [], []).latency_s.shape == (0,)
    assert run([], [], []).tile_latency_s.shape == (0, len(TILES))


dims = st.integers(0, 15).flatmap(lambda e: st.integers(2**e, 2 ** (e + 1)))
SHAPES = {name: log_spaced(1, 2**16, 400, seed=i) for i, name in enumerate("mnk")}


@given(m=dims, n=dims, k=dims, cache=st.sampled_from(CACHES))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_finite_positive_and_above_every_term(m: int, n: int, k: int, cache: str) -> None:
    e = run(m, n, k, device=H100, constants=FALLBACK, cache=cache)
    for f in fields(GemmEstimate):
        values = getattr(e, f.name)
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert e.latency_s >= max(e.compute_s, e.l2_s, e.dram_s) + e.launch_s + e.split_k_s
    assert e.latency_s == pytest.approx(e.tile_latency_s.min())
    assert 0 < e.occupancy <= 1
    assert 0 <= e.miss <= 1
    assert e.split_k in SPLITS
    # The matrix units cannot do the products faster than their peak, whatever the tile.
    assert e.compute_s * H100.peak_flops["bf16"] >= 2.0 * m * n * k


def latency(device: Device = H100, **changes: Any) -> np.ndarray:
    return run(**{**SHAPES, "device": device, "constants": FALLBACK, "clock_hz": 1.83e9, **changes}).latency_s


def changed(**changes: Any) -> Device:
    return replace(H100, **changes)


def test_more_bandwidth_is_never_slower() -> None:
    for cache in CACHES:
        slow = latency(cache=cache)
        fast = latency(changed(memory_bandwidth_bytes_per_s=2 * H100.memory_bandwidth_bytes_per_s), cache=cache)
        assert (fast <= slow).all()
        assert (fast < slow).any()


def test_more_flops_are_never_slower() -> None:
    faster = changed(peak_flops={**H100.peak_flops, "bf16": 1.5 * H100.peak_flops["bf16"]})
    assert (latency(faster) <= latency()).all()
    assert (latency(faster) < latency()).any()


def test_a_lower_clock_is_never_faster() -> None:
    clocks = [latency(clock_hz=f) for f in (1.98e9, 1.83e9, 1.2e9, 0.6e9, 0.2e9)]
    for fast, slow in pairwise(clocks):
        assert (slow > fast).all()


def test_a_larger_product_is_never_faster() -> None:
    for name in "mnk":
        assert (latency(**{name: 2 * SHAPES[name]}) >= latency()).all()


COLDER = ("cold", "rotating_all", "rotating", "filling", "warm")


@pytest.mark.parametrize("device", ["h100-sxm", "a100-sxm-80gb", "l40s", "gb200", "mi210", "p4"])
def test_a_colder_cache_is_never_faster(device: str) -> None:
    """Also where the fitted rate of hits is below the memory's, as with slow hits."""
    for constants in (FALLBACK, replace(FALLBACK, hit_bytes_per_clock=5.0)):
        states = [latency(load_device(device), cache=c, constants=constants, clock_hz=None) for c in COLDER]
        for colder, warmer in pairwise(states):
            assert (colder >= warmer * (1 - 1e-12)).all()


def test_a_small_gemm_gains_most_from_a_warm_cache() -> None:
    fits = [latency(m=16, n=2048, k=2048, cache=c)[0] for c in ("cold", "warm")]
    assert fits[0] > 1.05 * fits[1]
    small = [run(1, 1024, 1024, device=H100, constants=FALLBACK, cache=c).miss[0] for c in ("cold", "rotating", "warm")]
    assert small[0] == 1
    assert small[0] > small[1] > small[2]

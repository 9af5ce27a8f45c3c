"""Locked clocks: never faster than free, the highest one the same as free, and everything monotone in clock and cap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from model_doubles import toy_device

from perfmodel.hardware import Device, load_device
from perfmodel.models.power import DevicePower
from perfmodel.models.predictor import Estimates, Predictor, load
from perfmodel.ops import Attention, Conv, Elementwise, Gemm, Norm, Operator, Softmax

OPS: list[Operator] = [
    Gemm(m=8192, n=8192, k=8192, dtype="bf16"),
    Gemm(m=4096, n=2304, k=768, dtype="bf16"),
    Gemm(m=4, n=4096, k=4096, dtype="bf16"),
    Gemm(m=2048, n=2048, k=2048, dtype="fp32"),
    Conv(batch=8, c_in=64, c_out=64, h=56, w=56, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="bf16"),
    Attention(batch=8, heads=16, kv_heads=16, q_len=512, kv_len=512, head_dim=64, dtype="bf16", causal=True),
    Elementwise(kind="add", elements=10**7, inputs=2, dtype="bf16"),
    Softmax(rows=4096, cols=1024, dtype="bf16"),
    Norm(kind="layernorm", rows=4096, cols=1024, dtype="bf16"),
]  # fmt: skip
LEARNED = ("h100-sxm", "h200-sxm", "b200-sxm", "gb200", "a100-sxm-80gb", "l40s")
OTHERS = ("a100-pcie-40gb", "v100-sxm2-32gb", "mi300x", "rtx-4090", "epyc-9654")
devices = st.sampled_from([*LEARNED, *OTHERS])
shares = st.floats(0.2, 1.0)
ROUNDING = 1 - 1e-9


def top_hz(device: Device) -> float:
    return DevicePower.of(device).peak_clock_hz


def at(device: str, share: float | None = None, cap_share: float | None = None) -> Estimates:
    record = load_device(device)
    assert record.tdp_w is not None
    clock = None if share is None else share * top_hz(record)
    cap = None if cap_share is None else cap_share * record.tdp_w
    return load().predict(OPS, record, clock_hz=clock, power_limit_w=cap)


def hold_more(more: Estimates, less: Estimates) -> None:
    """What holds a device down makes nothing faster, and nothing draws more."""
    for name in ("latency_s", "latency_high_s", "floor_s", "analytical_s"):
        assert (getattr(more, name) >= getattr(less, name) * ROUNDING).all(), name
    for name in ("power_w", "power_low_w", "power_high_w"):
        assert (getattr(more, name) * ROUNDING <= getattr(less, name)).all(), name


def keeps_its_promises(e: Estimates, device: str) -> None:
    record = load_device(device)
    lowest = DevicePower.of(record).idle_w
    assert lowest is not None
    assert (e.floor_s <= e.latency_low_s).all()
    assert (e.latency_low_s <= e.latency_s).all()
    assert (e.latency_s <= e.latency_high_s).all()
    assert (lowest * ROUNDING <= e.power_low_w).all()
    assert (e.power_low_w <= e.power_w).all()
    assert (e.power_w <= e.power_high_w).all()
    assert (e.power_high_w <= record.tdp_w).all()
    assert e.energy_j == pytest.approx(e.power_w * e.latency_s)
    assert e.energy_low_j is not None
    assert e.energy_high_j is not None
    assert (e.energy_low_j <= e.energy_j * (1 + 1e-12)).all()
    assert (e.energy_j <= e.energy_high_j * (1 + 1e-12)).all()
    assert np.isfinite(e.energy_high_j).all()


@pytest.mark.parametrize("device", [*LEARNED, *OTHERS])
def test_the_highest_clock_changes_nothing(device: str) -> None:
    free, locked = at(device), at(device, 1.0)
    assert (locked.latency_s == free.latency_s).all()
    for name in (
        "latency_low_s",
        "latency_high_s",
        "power_w",
        "power_low_w",
        "power_high_w",
        "energy_low_j",
        "energy_high_j",
    ):
        assert getattr(locked, name) == pytest.approx(getattr(free, name), rel=1e-9), name
    assert locked.source.tolist() == free.source.tolist()
    assert locked.bound.tolist() == free.bound.tolist()


@settings(max_examples=15, deadline=None)
@given(devices, shares, shares)
def test_a_lower_clock_is_never_faster_and_never_draws_more(device: str, one: float, other: float) -> None:
    low, high = at(device, min(one, other)), at(device, max(one, other))
    hold_more(low, high)
    hold_more(high, at(device))
    assert (low.latency_low_s >= at(device).latency_low_s).all()
    keeps_its_promises(low, device)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(devices, shares, shares, st.floats(0.5, 1.0), st.floats(0.5, 1.0))
@example("h200-sxm", 1.0, 0.875, 0.53125, 1.0)  # the clock alone was less well known than with the cap
@example("rtx-4090", 1.0, 0.5, 0.5, 1.0)  # the power's low end was cut off at another clock's idle power
def test_clock_and_cap_together_hold_down_more_than_either(
    device: str, one: float, other: float, cap: float, looser: float
) -> None:
    both = at(device, min(one, other), min(cap, looser))
    hold_more(both, at(device, min(one, other)))
    hold_more(both, at(device, max(one, other), min(cap, looser)))
    hold_more(both, at(device, min(one, other), max(cap, looser)))
    keeps_its_promises(both, device)
    assert (both.power_high_w <= min(cap, looser) * (load_device(device).tdp_w or 0) * (1 + 1e-12)).all()


def test_a_cap_is_the_clock_that_draws_as_much() -> None:
    # Large products at the limit, as most of a transformer's are: the clock that the cap leaves, locked, gives the same.
    for device in ("h100-sxm", "gb200", "mi300x"):
        record = load_device(device)
        assert record.tdp_w is not None
        capped = load().predict(OPS[0], record, power_limit_w=0.75 * record.tdp_w)
        shares = np.linspace(0.4, 1.0, 601)
        drawn = np.array([load().predict(OPS[0], record, clock_hz=s * top_hz(record)).power_w[0] for s in shares[::20]])
        share = float(np.interp(capped.power_w[0], drawn, shares[::20]))
        locked = load().predict(OPS[0], record, clock_hz=share * top_hz(record))
        assert locked.latency_s[0] == pytest.approx(capped.latency_s[0], rel=0.01), device


def test_a_product_that_only_computes_takes_as_much_longer_as_the_clock_is_lower() -> None:
    # 2 * 4096**3 FLOPs on one unit of a toy at 1.024 TFLOP/s and 96 GB/s: memory and launch hardly count; nothing throttles.
    toy = toy_device()
    ops = [Gemm(m=4096, n=4096, k=4096, dtype="bf16")]
    free, half = Predictor().predict(ops, toy), Predictor().predict(ops, toy, clock_hz=5e8)
    locked = Predictor().predict(ops, replace(toy, tdp_w=None), clock_hz=1e9)
    assert half.latency_s / locked.latency_s == pytest.approx([2.0], rel=0.02)
    assert half.latency_s[0] < 2.02 * free.latency_s[0]
    assert half.power_w[0] < free.power_w[0]


def test_a_locked_clock_above_where_the_limit_settles_is_the_free_run() -> None:
    # The largest product of an H100 settles near 1.6 of 1.98 GHz: at 1.9 GHz the limit holds it as before.
    free, locked = at("h100-sxm"), at("h100-sxm", 1.9 / 1.98)
    assert locked.latency_s[0] == free.latency_s[0]
    assert locked.power_w[0] == pytest.approx(free.power_w[0], rel=1e-9)
    assert locked.latency_s[1] > free.latency_s[1]


def test_what_was_learned_is_leant_on_at_another_clock() -> None:
    free, locked = at("h200-sxm"), at("h200-sxm", 0.6)
    assert free.source[1] == "learned"
    assert locked.source[1] == "blended"


def test_without_a_limit_or_an_idle_power_there_is_no_power_at_any_clock() -> None:
    e = Predictor().predict(OPS[:2], toy_device(tdp_w=None, idle_power_w=None), clock_hz=5e8)
    assert np.isnan(e.power_w).all()
    assert np.isfinite(e.latency_s).all()

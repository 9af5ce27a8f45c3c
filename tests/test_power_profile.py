"""Power over time: figures by hand, windows by brute force, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from fake_predictions import operator, prediction
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import InputError
from perfmodel.predict import Estimate
from perfmodel.predict.energy import PowerProfile
from perfmodel.predict.energy.profile import PowerBlock, PowerStep


def step(seconds: float, watts: float, name: str = "op") -> PowerStep:
    """A step whose power may be half or twice as much."""
    return PowerStep(name, "gemm", seconds, Estimate(watts, watts / 2, watts * 2))


def profile(*steps: tuple[float, float], repeat: int = 1) -> PowerProfile:
    return PowerProfile((PowerBlock(None, tuple(step(t, w, f"op{i}") for i, (t, w) in enumerate(steps)), repeat),))


# 100 W for 8 s, 600 W for 1.5 s, 300 W for 0.5 s: 800 + 900 + 150 = 1850 J in 10 s.
THREE = profile((8.0, 100.0), (1.5, 600.0), (0.5, 300.0))


def test_average_peak_and_percentiles_by_hand() -> None:
    assert THREE.duration_s == 10.0
    assert THREE.average_w == Estimate(185.0, 92.5, 370.0)
    assert THREE.peak_w == Estimate(600.0, 300.0, 1200.0)
    # 80 % of the time at most 100 W, 85 % at most 300 W.
    for share, watts in (
        (0.5, 100.0),
        (0.8, 100.0),
        (0.81, 300.0),
        (0.85, 300.0),
        (0.86, 600.0),
        (0.99, 600.0),
        (1.0, 600.0),
    ):
        assert THREE.percentile_w(share).value == watts
    assert THREE.percentile_w().high == 1200.0


@pytest.mark.parametrize(
    ("window_s", "watts"),
    [
        (0.5, 600.0),
        (1.5, 600.0),
        (2.0, (900 + 150) / 2),  # both of the last two steps
        (4.0, (900 + 150 + 2 * 100) / 4),
        (10.0, 185.0),  # the whole run, wherever it starts
        (12.0, (1850 + 1050) / 12),  # a run, and the two seconds that take most once more
        (1000.0, 185.0),
    ],
)
def test_a_window_sees_the_highest_mean(window_s: float, watts: float) -> None:
    assert THREE.peak_over(window_s).value == pytest.approx(watts)
    assert THREE.peak_over(window_s).high == pytest.approx(2 * watts)


def test_runs_follow_each_other_without_pauses() -> None:
    # The high step lies at the beginning and at the end: a window over the seam sees both.
    split = profile((1.0, 600.0), (8.0, 100.0), (1.0, 600.0))
    assert split.peak_over(2.0).value == pytest.approx(600.0)


def test_a_repeated_block_is_what_it_would_be_written_out() -> None:
    once, often = ((0.2, 100.0), (0.1, 400.0)), 7
    short, long = profile(*once, repeat=often), profile(*(once * often))
    assert short.duration_s == pytest.approx(2.1)
    for window_s in (0.05, 0.3, 0.35, 1.0, 2.0, 5.0):
        assert short.peak_over(window_s).value == pytest.approx(long.peak_over(window_s).value)
    assert short.percentile_w(0.6) == long.percentile_w(0.6)
    for one, other in zip(short.slices(5), long.slices(5), strict=True):
        assert one["mean_w"] == pytest.approx(other["mean_w"])


def test_slices_by_hand() -> None:
    first, second = THREE.slices(2)
    assert (first["start_s"], first["end_s"], first["mean_w"], first["peak_w"], first["name"]) == (
        0,
        5,
        100,
        100,
        "op0",
    )
    # 3 s of 100 W, then 900 and 150 J: 1350 J in 5 s, most of them the second operator's.
    assert (second["mean_w"], second["peak_w"], second["name"]) == (pytest.approx(270.0), 600.0, "op1")


STEPS = st.lists(st.tuples(st.floats(1e-6, 1e-2), st.floats(50.0, 1000.0)), min_size=1, max_size=12)


@given(STEPS, st.floats(1e-6, 0.2), st.integers(1, 5))
@settings(max_examples=150)
def test_what_always_holds(steps: list[tuple[float, float]], window_s: float, repeat: int) -> None:
    p = profile(*steps, repeat=repeat)
    lowest = min(w for _, w in steps)
    for kind, factor in (("value", 1.0), ("low", 0.5), ("high", 2.0)):
        average, over, peak = (getattr(e, kind) for e in (p.average_w, p.peak_over(window_s), p.peak_w))
        assert factor * lowest * (1 - 1e-9) <= average
        assert average * (1 - 1e-9) <= over <= peak * (1 + 1e-9)
        assert getattr(p.percentile_w(), kind) <= peak
    assert p.percentile_w(0.5).value <= p.percentile_w(0.9).value <= p.percentile_w().value
    # Two windows side by side are one of twice the length: its mean is no higher than the higher of the two.
    assert p.peak_over(2 * window_s).value <= p.peak_over(window_s).value * (1 + 1e-9)
    joules = sum(r["mean_w"] * (r["end_s"] - r["start_s"]) for r in p.slices(7))
    assert joules == pytest.approx(p.average_w.value * p.duration_s)
    assert joules == pytest.approx(repeat * sum(t * w for t, w in steps))


@given(STEPS, st.integers(1, 60))
@settings(max_examples=60)
def test_windows_against_every_sample(steps: list[tuple[float, float]], length: int) -> None:
    """On a grid of a hundredth of the run, the highest mean of a window of so many cells, by looking at each place."""
    cells = np.repeat([w for _, w in steps], 5)  # each step is five cells long
    p = profile(*((5e-3, w) for _, w in steps))
    around = np.tile(cells, length // len(cells) + 2)
    means = [around[i : i + length].mean() for i in range(len(cells))]
    assert p.peak_over(length * 1e-3).value == pytest.approx(max(means))


@pytest.mark.parametrize("window_s", [0.0, -1.0, float("inf"), float("nan")])
def test_windows_that_are_none(window_s: float) -> None:
    with pytest.raises(InputError, match=r"window of .* wanted a number of seconds above 0"):
        THREE.peak_over(window_s)


def test_percentiles_that_are_none() -> None:
    for share in (0.0, 1.1, float("nan")):
        with pytest.raises(InputError, match="wanted a share above 0 and up to 1"):
            THREE.percentile_w(share)
    with pytest.raises(InputError, match="needs at least one operator that takes time"):
        PowerProfile(())


# --------------------------------------------------------------------------------------------------- of predictions
def watts(value: float) -> Estimate:
    return Estimate(value, value / 2, value * 2)


def test_the_profile_of_a_run_has_its_operators_in_order() -> None:
    made = prediction(
        operators=(
            operator("gemm", "a", 2e-6, 3, power_w=watts(400)),
            operator("add", "b", 4e-6, power_w=watts(100)),
        ),
        idle_power_w=70.0,
        power_limit_w=700.0,
    )
    p = made.power_profile()
    assert [(s.name, s.op, s.duration_s, s.power_w.value) for s in p.blocks[0].steps] == [
        ("gemm.a", "gemm", pytest.approx(6e-6), 400), ("add.b", "add", 4e-6, 100)
    ]  # fmt: skip
    assert p.average_w.value == pytest.approx((6 * 400 + 4 * 100) / 10)
    assert (p.idle_power_w, p.power_limit_w) == (70.0, 700.0)
    keys = p.to_dict([1e-6])
    assert set(keys) == {
        "duration_s", "average_w", "p99_w", "peak_w", "windows", "idle_power_w", "power_limit_w", "blocks",
    }  # fmt: skip
    assert keys["windows"] == [{"window_s": 1e-6, "peak_w": {"value": 400.0, "low": 200.0, "high": 800.0}}]
    assert keys["blocks"][0]["steps"][1]["power_w"]["high"] == 200.0


def test_the_device_idles_while_it_waits_for_the_host() -> None:
    made = prediction(
        operators=(
            operator("gemm", "a", 2e-6, 3, power_w=watts(400)),
            operator("add", "b", 4e-6, power_w=watts(100)),
        ),
        idle_power_w=70.0,
        launch_gap_s=40e-6,
    )
    p = made.power_profile()
    # Four launches, a gap of 10 us after each.
    assert [(s.op, s.duration_s) for s in p.blocks[0].steps] == [
        ("gemm", pytest.approx(6e-6)), ("idle", pytest.approx(30e-6)), ("add", 4e-6), ("idle", pytest.approx(10e-6))
    ]  # fmt: skip
    assert p.duration_s == pytest.approx(50e-6)
    assert p.average_w.value == pytest.approx((6 * 400 + 4 * 100 + 40 * 70) / 50)


def test_unknown_power_has_no_profile() -> None:
    with pytest.raises(InputError, match=r"the power of h100-sxm is unknown"):
        prediction().power_profile()

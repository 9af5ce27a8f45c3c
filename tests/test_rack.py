"""Many devices under a budget of watts, by hand and against trying every number."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import InputError
from perfmodel.predict import Estimate
from perfmodel.predict.energy import Hosts, PowerProfile
from perfmodel.predict.energy.profile import PowerBlock, PowerStep

# Half of the time 200 W, half of it 400 W: 300 W on average; exact to a tenth.
STEPS = tuple(PowerStep("op", "gemm", 1.0, Estimate(w, 0.9 * w, 1.1 * w)) for w in (200.0, 400.0))
PROFILE = PowerProfile((PowerBlock(None, STEPS),), idle_power_w=100.0, power_limit_w=700.0, lowest_idle_power_w=70.0)


def test_levels_by_hand() -> None:
    r = PROFILE.rack(count=8, budget_w=3000, hosts=Hosts(500.0, 4), pue=1.5, windows_s=(1.0, 4.0))
    assert [level.basis for level in r.levels] == [
        "average", "p99 out of step", "p99", "peak over 4000 ms", "peak over 1000 ms", "peak", "limit"
    ]  # fmt: skip
    average, peak, limit = (r.level(name) for name in ("average", "peak", "limit"))
    # Eight devices in two hosts: 8 · 300 + 2 · 500.
    assert average.rack_w == Estimate(3400, pytest.approx(3160), pytest.approx(3640))
    assert average.facility_w == Estimate(5100, pytest.approx(4740), pytest.approx(5460))
    # What is left is least where power is highest.
    assert average.headroom_w == Estimate(-400, pytest.approx(-640), pytest.approx(-160))
    # One host of four is 1700 W; another one with two of 300 W makes 2800 W, with three 3100 W.
    assert average.fits == Estimate(6, 6, 6 + 1)
    # One host of four at 400 W is 2100 W, and one more device with its host 900 W.
    assert peak.fits is not None
    assert peak.fits.value == 5
    assert limit.fits == Estimate(2500 // 700, 2500 // 700, 2500 // 700)
    # Two hosts take 1000 W; 2000 W are left for eight.
    assert r.cap_w == 250.0


def test_devices_alone() -> None:
    r = PROFILE.rack(budget_w=3000)
    assert r.level("average").fits == Estimate(10, 9, 11)
    assert r.level("limit").fits == Estimate(4, 4, 4)
    assert (r.cap_w, r.level("peak").rack_w, r.level("peak").headroom_w) == (None, None, None)
    # Without a budget nothing fits or does not.
    counted = PROFILE.rack(count=2)
    assert counted.level("peak").rack_w == Estimate(800, pytest.approx(720), pytest.approx(880))
    assert (counted.level("peak").fits, counted.level("peak").facility_w, counted.cap_w) == (None, None, None)


def test_a_cap_only_where_it_is_needed_and_possible() -> None:
    # At its high end the peak is 440 W: eight of them fit 3520 W.
    assert PROFILE.rack(count=8, budget_w=3521).cap_w is None
    assert PROFILE.rack(count=8, budget_w=3519).cap_w == pytest.approx(3519 / 8)
    # 60 W each is less than they draw when idle. With 80 W each they can only run at lower clocks than those they wait at.
    assert PROFILE.rack(count=8, budget_w=480).cap_w is None
    assert PROFILE.rack(count=8, budget_w=640).cap_w == pytest.approx(80)


# ------------------------------------------------------------------------------------------------------- out of step
# A tenth of the time 300 W, else 100 W.
SELDOM = PowerProfile(
    (PowerBlock(None, tuple(PowerStep("op", "gemm", t, Estimate(w, w, w)) for t, w in ((0.9, 100.0), (0.1, 300.0)))),)
)


def test_devices_that_do_not_peak_together_by_hand() -> None:
    assert SELDOM.out_of_step_w(1).value == pytest.approx(300)
    # Two: 600 W for 1 % of the time, 400 W for 18 %, 200 W for 81 %.
    assert SELDOM.out_of_step_w(2).value == pytest.approx(400)
    assert SELDOM.out_of_step_w(2, 0.995).value == pytest.approx(600)
    assert SELDOM.out_of_step_w(2, 0.8).value == pytest.approx(200)
    # Ten: P(at most 4 peak) = 0.9984, P(at most 3) = 0.9872 (binomial): 4 · 300 + 6 · 100.
    assert SELDOM.out_of_step_w(10).value == pytest.approx(1800)
    r = SELDOM.rack(count=10, budget_w=1800.0)
    level = r.level("p99 out of step")
    assert level.device_w.value == pytest.approx(180)
    assert level.fits is not None
    assert level.fits.value == 10
    assert [x.fits.value for x in r.levels if x.fits is not None][:3] == [15, 10, 6]
    # Two hosts take 1000 W: 1801 W are left, or 1301 W; of seven devices three peak at most (P = 0.9973; two: 0.9743).
    for budget_w, most in ((2801.0, 10), (2301.0, 7)):
        fits = SELDOM.rack(budget_w=budget_w, hosts=Hosts(500.0, 5)).level("p99 out of step").fits
        assert fits is not None
        assert fits.value == most


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.floats(60.0, 700.0)), min_size=2, max_size=4), st.integers(1, 4))
@settings(max_examples=60)
def test_the_sum_against_every_combination(steps: list[tuple[float, float]], count: int) -> None:
    p = PowerProfile((PowerBlock(None, tuple(PowerStep("op", "gemm", t, Estimate(w, w, w)) for t, w in steps)),))
    total = sum(t for t, _ in steps)
    sums = sorted(
        (sum(w for _, w in chosen), math.prod(t / total for t, _ in chosen)) for chosen in product(steps, repeat=count)
    )
    # Power is rounded up to the next of 256 steps, each device's.
    width = (max(w for _, w in steps) - min(w for _, w in steps)) / 255
    found = p.out_of_step_w(count).value
    below = sum(share for watts, share in sums if watts <= found + 1e-6)
    assert below >= 0.99 - 1e-6
    under = sum(share for watts, share in sums if watts < found - (count + 1) * width - 1e-6)
    assert under <= 0.99 + 1e-6
    assert found <= count * p.peak_w.value * (1 + 1e-9)


def test_of_many_devices_the_sum_is_normal() -> None:
    exact, normal = (SELDOM.out_of_step_w(n).value / n for n in (500, 501))
    assert normal == pytest.approx(exact, rel=2e-3)
    # 120 W on average, a deviation of 60 W; 2.326 deviations of the mean of 501.
    assert normal == pytest.approx(120 + 2.326 * 60 / 501**0.5, rel=1e-4)
    assert PROFILE.out_of_step_w(5000).value <= 5000 * 400
    flat = PowerProfile((PowerBlock(None, STEPS[:1]),))
    assert flat.out_of_step_w(7) == Estimate(1400, pytest.approx(1260), pytest.approx(1540))


# ------------------------------------------------------------------------------------------------- what always holds
@given(st.floats(1.0, 1000.0), st.floats(0.0, 1000.0), st.integers(1, 9), st.floats(1.0, 20000.0))
def test_the_most_that_fit(device_w: float, host_w: float, devices: int, budget_w: float) -> None:
    hosts = Hosts(host_w, devices)
    fitting = hosts.fitting(device_w, budget_w)

    def needs(count: int) -> float:
        return count * device_w + hosts.total_w(count)

    assert needs(fitting) <= budget_w * (1 + 1e-9)
    assert needs(fitting + 1) > budget_w * (1 - 1e-9)


@settings(max_examples=25)
@given(st.integers(1, 50), st.floats(1.0, 3.0), st.floats(0.0, 2000.0))
def test_more_of_anything_draws_more(count: int, pue: float, host_w: float) -> None:
    def building(c: int, p: float, h: float) -> float:
        level = PROFILE.rack(count=c, pue=p, hosts=Hosts(h)).level("average")
        assert level.facility_w is not None
        assert level.facility_w.low <= level.facility_w.value <= level.facility_w.high
        return level.facility_w.value

    here = building(count, pue, host_w)
    assert building(count + 1, pue, host_w) > here
    assert building(count, pue + 0.1, host_w) > here
    assert building(count, pue, host_w + 1) > here


def test_a_larger_budget_fits_no_fewer_and_higher_power_no_more() -> None:
    counts = [PROFILE.rack(budget_w=b, hosts=Hosts(300.0, 8)).level("average").fits for b in range(100, 9000, 300)]
    values = [c.value for c in counts if c is not None]
    assert values == sorted(values)
    r = PROFILE.rack(budget_w=5000, hosts=Hosts(300.0, 8))
    fits = [r.level(name).fits for name in ("average", "p99", "peak", "limit")]
    assert [f.value for f in fits if f is not None] == sorted((f.value for f in fits if f is not None), reverse=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a count of devices, a budget in watts, or both"),
        ({"count": 0}, "count is 0: wanted a whole number of devices"),
        ({"count": 1.5}, "count is 1.5"),
        ({"budget_w": -1.0}, "budget_w is -1.0: wanted watts above 0"),
        ({"count": 1, "pue": 0.9}, "pue is 0.9: wanted .* 1 or more"),
        ({"count": 1, "pue": float("nan")}, "pue is nan"),
    ],
)
def test_what_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PROFILE.rack(**options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"host_power_w is -1\.0"):
        Hosts(-1.0)
    with pytest.raises(InputError, match="devices_per_host is 0"):
        Hosts(1.0, 0)


def test_keys_of_the_json() -> None:
    keys = PROFILE.rack(count=2, budget_w=900.0).to_dict()
    assert set(keys) == {"count", "budget_w", "host_power_w", "devices_per_host", "pue", "cap_w", "levels"}
    assert keys["host_power_w"] is None
    assert all(
        set(level) == {"basis", "device_w", "rack_w", "facility_w", "headroom_w", "fits"} for level in keys["levels"]
    )

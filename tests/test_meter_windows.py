"""Energy of a window: by hand, under every defect, and as properties. All readings are synthesised."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_doubles import Clock, Load, Simulated, constant, counter_info, ramp

from perfmodel.collect.meters import Conditions, Counter, MeterInfo, Reading, Window, measure, window_of
from perfmodel.collect.meters.measure import ThreadSampler, watch
from perfmodel.errors import InputError, MeterError

POWER = counter_info(counters=(), power="instant")


def powers(*watts: float, every: float = 1.0) -> list[Reading]:
    return [Reading(i * every, {}, p) for i, p in enumerate(watts)]


def counted(*joules: float, every: float = 0.1, name: str = "gpu") -> list[Reading]:
    return [Reading(i * every, {name: e}) for i, e in enumerate(joules)]


def window(info: MeterInfo, readings: list[Reading], begin: float = 0.0, **more: float) -> Window:
    return window_of(info, readings, begin, readings[-1].time_s, settled_s=more.get("settled_s", 60.0))


def names(found: Window, start: str) -> list[str]:
    return [d for d in found.defects if d.startswith(start)]


# ------------------------------------------------------------------------------------------------ counters
def test_a_counter_by_hand() -> None:
    # 30 J every 0.1 s from 5 s on: 300 W. Updates are seen at once, so that each is known to 0.1 s.
    readings = counted(*(1000 + 30 * i for i in range(101)))
    found = window(counter_info(), readings, begin=5.0)
    assert found.measured
    assert found.method == "energy counter"
    assert found.energy_j == pytest.approx(50 * 30)
    assert found.duration_s == pytest.approx(5.0)
    assert found.power_w == pytest.approx(300)
    # Two ends, each uniform over 0.1 s of 300 W: 30 J / sqrt(12) each; steps of 1 mJ at two ends: next to nothing.
    assert found.energy_std_j == pytest.approx(math.sqrt(2 * 30**2 / 12), rel=1e-6)
    assert found.uncertainty_j["steps of the counter"] == pytest.approx(0.001 / math.sqrt(6))


def test_updates_are_where_the_counter_moved() -> None:
    # Read every 10 ms, updated every 100 ms with 20 J: from the update at 1.0 to that at 4.9 s are 39 updates.
    readings = [Reading(i / 100, {"gpu": 20.0 * (i // 10)}) for i in range(496)]
    found = window(counter_info(), readings, begin=0.95)
    assert found.energy_j == 39 * 20
    assert found.duration_s == pytest.approx(3.9)
    assert found.energy_std_j == pytest.approx(200 * 0.01 * math.sqrt(2 / 12), rel=1e-3)
    assert found.measured


def test_parts_that_another_counter_contains_are_not_added() -> None:
    info = counter_info(
        counters=(Counter("package-0", 1e-4), Counter("core", 1e-4, in_total=False), Counter("dram", 1e-4))
    )
    readings = [Reading(i * 0.1, {"package-0": 10.0 * i, "core": 6.0 * i, "dram": 2.0 * i}) for i in range(51)]
    found = window(info, readings)
    assert found.energy_j == pytest.approx(50 * 12)
    assert found.parts_j == {"package-0": 500.0, "core": 300.0, "dram": pytest.approx(100.0)}


def test_an_update_is_taken_to_lie_in_the_middle() -> None:
    # The first reading says nothing of when its update was: 0.05 s earlier on average. The others: 0.005 s.
    readings = [Reading(i / 100, {"gpu": 3.0 * i}) for i in range(401)]
    found = window(counter_info(), readings)
    assert found.duration_s == pytest.approx(4.0 + 0.05 - 0.005)
    assert found.energy_j == pytest.approx(1200)


def test_a_counter_starts_again() -> None:
    info = counter_info(counters=(Counter("package-0", 1e-4, range_j=262.0),))
    readings = [Reading(i * 0.1, {"package-0": (250.0 + 10 * i) % 262.0}) for i in range(101)]
    found = window(info, readings)
    assert found.energy_j == pytest.approx(1000.0)  # it started again three times
    assert found.measured
    sparse = window(info, [*readings[:41], *readings[81:]])
    assert names(sparse, "4.1 s passed between two readings, in which the counter package-0 may start again")


def test_a_limit_says_how_soon_a_counter_may_start_again() -> None:
    info = counter_info(counters=(Counter("package-0", 1e-4, range_j=262.0),))
    readings = [Reading(i * 0.5, {"package-0": (50.0 * i) % 262.0}) for i in range(41)]
    assert names(window(info, readings), "0.5 s passed")  # 500 J at the assumed 1 kW
    slow = [Reading(r.time_s, r.energy_j, None, Conditions(power_limit_w=500.0)) for r in readings]
    assert window(info, slow).measured  # 250 J do not reach 262


def test_a_counter_falls() -> None:
    found = window(counter_info(), counted(*range(0, 300, 10), *range(100, 500, 10)))
    assert names(found, "the counter gpu fell by 190 J")
    assert found.energy_j == 290 + 390


def test_a_counter_stands_still() -> None:
    with pytest.raises(MeterError, match=r"made-up:0: the energy counter did not move within 5 s"):
        window(counter_info(), counted(*[7.0] * 51))
    both = [Reading(i * 0.1, {"gpu": 7.0}, 300.0 + i % 2) for i in range(51)]
    found = window(counter_info(power="instant"), both)
    assert found.method == "integrated power"
    assert found.power_w == pytest.approx(300.5)
    assert found.measured


def test_few_updates() -> None:
    found = window(counter_info(update_s=1.0), counted(0, 300, 600, 900, 1200, every=1.0))
    assert names(found, "the counter was updated 5 times only")


def test_a_counter_is_missing() -> None:
    info = counter_info(counters=(Counter("a", 1e-3), Counter("b", 1e-3)))
    with pytest.raises(MeterError, match=r"the counter b is missing in the reading at 0\.000 s"):
        window(info, counted(1, 2, 3, name="a"))


def test_time_goes_on() -> None:
    with pytest.raises(MeterError, match=r"the reading at 1\.000000 s follows one at 1\.000000 s"):
        window(POWER, [Reading(0.0, {}, 1.0), Reading(1.0, {}, 1.0), Reading(1.0, {}, 1.0)])


# ------------------------------------------------------------------------------------------------ power
def test_power_by_hand() -> None:
    # Trapezoids: 150 + 250 + 250 + 150 J over 4 s.
    found = window(POWER, powers(100, 200, 300, 200, 100))
    assert found.energy_j == pytest.approx(800)
    assert found.power_w == pytest.approx(200)
    # Samples about the mean of 200 W: (100^2 + 0 + 100^2 + 0 + 100^2) / 4; 4 s at a sample a second are 4 samples.
    assert found.power_std_w == pytest.approx(math.sqrt(30000 / 4) / 2)
    assert names(found, "4 independent power readings")


def test_an_average_is_one_sample_each_time() -> None:
    readings = [Reading(i * 0.1, {}, 300.0 + (-1) ** i) for i in range(121)]
    now = window(counter_info(counters=(), power="instant"), readings)
    mean = window(counter_info(counters=(), power="average", averaging_s=1.0), readings)
    assert now.power_std_w == pytest.approx(1.0 / math.sqrt(120), rel=0.01)
    assert mean.power_std_w == pytest.approx(1.0 / math.sqrt(12), rel=0.01)


def test_steps_of_a_power_reading() -> None:
    found = window(counter_info(counters=(), power="instant", power_step_w=1.0), powers(*[300.0, 301.0] * 8))
    assert found.uncertainty_j["steps of the power reading"] == pytest.approx(15 / math.sqrt(12))


@pytest.mark.parametrize(
    ("readings", "defect"),
    [
        (powers(*[300.0] * 20), "the power reading never moved from 300 W"),
        ([*powers(300.0, 301.0, every=0.1), *(Reading(5 + i / 10, {}, 300.0) for i in range(50))], "no power reading for 4.9"),
        ([Reading(i / 10, {}, 139.0 if i < 20 else 627.0) for i in range(60)], "the power still moves: 147.3 W in the first"),
        ([Reading(i / 10, {}, 100.0 * (i % 20 == 7)) for i in range(100)], "the energy is uncertain by"),
    ],
)  # fmt: skip
def test_power_that_is_no_label(readings: list[Reading], defect: str) -> None:
    found = window(POWER, readings)
    assert names(found, defect)
    assert not found.measured


def test_too_few_power_readings() -> None:
    with pytest.raises(MeterError, match=r"1 power readings within 0 s; an energy takes two at least"):
        window(POWER, powers(300.0))


# ------------------------------------------------------------------------------------------------ what a label is
def test_the_flaw_of_public_labels() -> None:
    """A loop of 0.3 s after another load, sampled every 0.1 s: what reads 139, 295, 567, 627 W is no label."""
    readings = [*powers(139, 295, 567, 627, every=0.1)]
    found = window(POWER, readings, settled_s=0.0)
    assert names(found, "the work is known to have run for 0 s only (wanted 2 s)")
    assert names(found, "the window of 0.3 s is shorter than 3 s")
    assert found.columns()["power_w"] is None
    assert str(found.columns()["note"]).startswith("power not measured: the work is known to have run for 0 s only")


@pytest.mark.parametrize("origin", ["synthesised", "estimated"])
def test_what_no_sensor_gave_is_never_measured(origin: str) -> None:
    found = window(counter_info(origin=origin), counted(*(30 * i for i in range(51))))
    assert found.defects == (f"the readings are {origin}, not a sensor's",)
    assert not found.measured
    columns = found.columns()
    assert columns["power_w"] is columns["energy_j"] is columns["power_rel_std"] is None


def test_columns_of_a_label() -> None:
    conditions = [Conditions(1700.0, 2619.0, 60.0, 700.0, ()), Conditions(1600.0, 2619.0, 62.0, 700.0, ("power cap",))]
    readings = [Reading(i * 0.1, {"gpu": 30.0 * i}, None, conditions[i] if i < 2 else None) for i in range(51)]
    # 40 executions in 6 s, longer than the window, are 0.15 s each: 45 J at 300 W.
    found = window_of(counter_info(), readings, 0.0, 5.0, settled_s=2.0, executions=40, busy_s=6.0)
    assert found.energy_each_j == pytest.approx(45.0)
    assert found.columns() == {
        "power_w": pytest.approx(300.0), "energy_j": pytest.approx(45.0),
        "power_rel_std": pytest.approx(found.energy_std_j / 1500), "clock_mhz": 1650.0, "mem_clock_mhz": 2619.0,
        "power_limit_w": 700.0, "temperature_c": 61.0, "note": None,
    }  # fmt: skip
    assert found.conditions.throttle == ("power cap",)
    short = window_of(counter_info(), readings, 0.0, 5.0, settled_s=0.0, executions=40, busy_s=6.0)
    assert short.columns()["energy_j"] is None
    assert window(counter_info(), readings).energy_each_j is None


@given(
    watts=st.floats(1.0, 2000.0),
    interval=st.floats(0.003, 0.09),
    update=st.floats(0.02, 0.1),
    offset=st.floats(0.0, 1e6),
)
def test_any_constant_power_is_found(watts: float, interval: float, update: float, offset: float) -> None:
    clock = Clock()
    meter = Simulated(counter_info(interval_s=interval), constant(watts), clock, update, offset)
    found = measure(meter, clock.work(interval))
    # An update lies between two readings (a reading may be left out by rounding), and not longer ago than 0.1 s.
    assert abs(found.power_w - watts) <= watts * min(0.1, 2 * interval) / found.duration_s + 0.002
    assert found.energy_j == pytest.approx(found.power_w * found.duration_s)
    assert found.measured


@given(offset=st.floats(0.0, 200.0), size=st.integers(40, 200))
def test_where_a_counter_begins_makes_no_difference(offset: float, size: int) -> None:
    info = counter_info(counters=(Counter("gpu", 1e-6, range_j=200.0),))
    steps = [7.0 + (i * 37 % 11) for i in range(size)]
    total = [sum(steps[:i]) for i in range(size)]
    plain = window(counter_info(), counted(*total))
    around = window(info, counted(*((offset + e) % 200.0 for e in total)))
    assert around.energy_j == pytest.approx(plain.energy_j)
    assert around.duration_s == plain.duration_s


# ------------------------------------------------------------------------------------------------ measuring
def test_measuring_waits_until_the_power_stands_still() -> None:
    clock = Clock()
    meter = Simulated(counter_info(), ramp(100.0, 600.0, seconds=1.5), clock)
    found = measure(meter, clock.work())
    assert found.measured
    assert found.settled_s > 5.0  # the first window, from 2 s on, still moved
    assert found.power_w == pytest.approx(600, rel=0.02)
    assert found.executions == pytest.approx(found.busy_s / 0.02, abs=1)


def test_measuring_gives_up() -> None:
    def moving(**times: float) -> tuple[Window, float]:
        clock = Clock()
        load = Load(lambda t: 100.0 + 20 * t, lambda t: 100.0 * t + 10 * t * t)
        meter = Simulated(counter_info(), load, clock)
        return measure(meter, clock.work(), **times), clock.now - 100.0

    found, took = moving()
    assert names(found, "the power still moves")
    # Windows of 3 s and twice 0.1 and 0.02 s more, in pieces of 0.02 s: the third begins after 2 + 2 * 3.24 s. None begins
    # after the longest time: the second would after 5.24 s.
    assert found.settled_s == pytest.approx(2 + 2 * 3.24, abs=0.1)
    assert took == pytest.approx(2 + 3 * 3.24, abs=0.1)
    for longest, settled in ((5.1, 2.0), (5.4, 2 + 3.24)):
        assert moving(longest_s=longest)[0].settled_s == pytest.approx(settled, abs=0.1)


def test_less_settling_is_no_measurement() -> None:
    clock = Clock()
    found = measure(Simulated(counter_info(), constant(300.0), clock), clock.work(), settle_s=0.5)
    assert found.defects == (
        "the work is known to have run for 0.52 s only (wanted 2 s): earlier load shows in the readings",
    )


def test_work_says_how_often_it_ran() -> None:
    clock = Clock()
    advance = clock.work(0.1)

    def batch() -> int:
        advance()
        return 50

    found = measure(Simulated(counter_info(), constant(200.0), clock), batch)
    assert found.energy_each_j == pytest.approx(200.0 * 0.1 / 50, rel=0.03)


@pytest.mark.parametrize("times", [{"settle_s": -1.0}, {"window_s": 0.0}, {"window_s": math.nan}])
def test_times_that_are_none(times: dict[str, float]) -> None:
    clock = Clock()
    with pytest.raises(InputError, match="wanted a settle time of 0 s or more and a window above 0 s"):
        measure(Simulated(counter_info(), constant(1.0), clock), clock.work(), **times)


class Broken(Simulated):
    """Stops after some readings."""

    left = 5

    def read(self, *, conditions: bool = False) -> Reading:
        self.left -= 1
        if self.left < 0:
            raise MeterError("the cable is out")
        return super().read(conditions=conditions)


@pytest.mark.parametrize("sampling", ["between", "thread"])
def test_a_meter_that_stops(sampling: str) -> None:
    import time

    clock = Clock()
    meter = Broken(counter_info(sampling=sampling, interval_s=0.001), constant(300.0), clock)

    def work() -> None:
        clock.now += 0.01
        time.sleep(0.0005)

    # 200 s of that clock are 20,000 pieces of work: ten real seconds, in which the thread has its turn.
    with pytest.raises(MeterError, match="the cable is out"):
        measure(meter, work, settle_s=0.0, window_s=200.0)


def test_a_thread_reads_beside_the_work() -> None:
    import time

    class Real(Simulated):
        def clock(self) -> float:  # type: ignore[override]
            return time.perf_counter()

        def read(self, *, conditions: bool = False) -> Reading:
            return Reading(time.perf_counter(), {}, 100.0)

    meter = Real(counter_info(counters=(), power="instant", interval_s=0.001), constant(1.0), Clock())
    with ThreadSampler(meter) as sampler:
        deadline = time.perf_counter() + 10
        while len(sampler.readings) < 20 and time.perf_counter() < deadline:
            time.sleep(0.005)
    count = len(sampler.readings)
    assert count >= 20
    assert not sampler._thread.is_alive()


def test_watching() -> None:
    clock = Clock()

    class Slow(Simulated):
        def read(self, *, conditions: bool = False) -> Reading:
            clock.now += 0.05
            return super().read(conditions=conditions)

    found, readings = watch(Slow(counter_info(interval_s=0.0), constant(60.0), clock), 5.0)
    assert found.measured
    assert found.settled_s == 2.0  # what the meter needs
    assert found.power_w == pytest.approx(60.0, rel=0.02)
    assert found.executions is None
    assert readings[-1].time_s - readings[0].time_s == pytest.approx(7.0, abs=0.2)
    # What ran before the first reading is not known: less time than the meter needs is no measurement.
    hasty, _ = watch(Slow(counter_info(interval_s=0.0), constant(60.0), clock), 5.0, settle_s=1.0)
    assert not hasty.measured
    assert hasty.defects[0].startswith("the work is known to have run for 1 s only (wanted 2 s)")

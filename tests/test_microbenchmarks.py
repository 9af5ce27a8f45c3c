"""Micro-benchmarks: the stability gate, the passes and the levels on made-up machines; and one short run on this one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from perfmodel.collect.anchor import AnchorTimes, pinned, typical
from perfmodel.collect.microbenchmarks import bandwidth, kernels, levels, products
from perfmodel.collect.microbenchmarks.suite import Measurement, Progress, run
from perfmodel.collect.microbenchmarks.timing import Benchmark, Rounds, one_pass, spread_of_median

US = 1e-6


class Machine:
    """A clock that only work moves, and work that takes as long as it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0

    def clock(self) -> float:
        return self.now

    def work(self, seconds: Callable[[int], float] | float) -> Callable[[], None]:
        def call() -> None:
            self.calls += 1
            self.now += seconds(self.calls) if callable(seconds) else seconds

        return call

    def benchmark(self, name: str, seconds: Callable[[int], float] | float) -> Benchmark:
        return Benchmark(name, "made up", lambda: [self.work(seconds)], lambda s: 1 / s[0])


class Anchored:
    """An anchor whose every visit is slower than the last."""

    def __init__(self) -> None:
        self.visits = 0

    def times(self) -> AnchorTimes:
        self.visits += 1
        return AnchorTimes(1e-3 * self.visits, 2e-3)


# ----------------------------------------------------------------------------------------------- timing
def test_steady_work_ends_early() -> None:
    machine = Machine()
    values = one_pass(machine.benchmark("x", 100 * US), 10.0, machine.clock)
    assert values == pytest.approx([1e4] * 5)
    assert machine.now < 0.02  # of the ten seconds that it had


def test_noisy_work_is_repeated_until_the_time_is_up() -> None:
    machine = Machine()
    noise = np.random.default_rng(0).uniform(0.5, 1.5, 100_000)
    values = one_pass(machine.benchmark("x", lambda i: 2e-3 * noise[i]), 0.5, machine.clock)
    # Rounds of 2 ms, 0.5 s: some 250, unless the median was known to 1 % before.
    assert 100 < len(values) < 300
    assert machine.now < 0.6


def test_quick_work_is_called_often() -> None:
    machine = Machine()
    one_pass(machine.benchmark("x", 1 * US), 1.0, machine.clock)
    assert machine.calls > 5 * 1000  # five rounds of a millisecond


def test_a_round_without_a_value_is_taken_again() -> None:
    machine, given = Machine(), iter([None, -1.0, math.nan, 7.0])
    benchmark = Benchmark("x", "made up", lambda: [machine.work(0.01)], lambda _: next(given))
    assert one_pass(benchmark, 0.0, machine.clock) == [7.0]


def test_spread_by_hand() -> None:
    # Deviations from 10: 1, 0, 1 and 3, 0: their median is 1; 1.2533 * 1.4826 / sqrt(5) / 10 = 0.0831.
    assert spread_of_median([9.0, 10.0, 11.0, 13.0, 10.0]) == pytest.approx(0.0831, abs=1e-4)
    assert spread_of_median([1.0, 1.0]) == math.inf
    rounds = Rounds([[10.0, 10.0, 10.0], [11.0, 11.0, 11.0]])
    assert rounds.moved == pytest.approx(1 / 10.5)
    assert not rounds.steady  # each pass agrees with itself, and not with the other
    assert Rounds([[10.0] * 3, [10.1] * 3]).steady


# ----------------------------------------------------------------------------------------------- the suite
def test_a_run_visits_everything_and_says_what_moved() -> None:
    machine, anchor, told = Machine(), Anchored(), list[Progress]()

    def broken() -> Sequence[Callable[[], object]]:
        raise RuntimeError("no kernel\nfor it")

    drifting = machine.benchmark("drifting", lambda _: 1e-3 if machine.now < 30 else 2e-3)
    found = run(
        [machine.benchmark("steady", 1e-3), drifting, Benchmark("broken", "made up", broken, lambda s: s[0])],
        60.0, anchor, clock=machine.clock, progress=told.append, software={"x": "1"}, cpu=3,
    )  # fmt: skip
    assert found.figures["steady"].value == pytest.approx(1000)
    assert found.figures["steady"].steady
    assert found.left_out == {"broken": "no kernel for it"}
    assert found.drift.visits == anchor.visits >= 2
    assert found.drift.gemm_range == pytest.approx((anchor.visits - 1) / np.median(range(1, anchor.visits + 1)))
    assert found.drift.copy_range == 0
    assert [p.name for p in told[:3]] == ["steady", "drifting", "broken"]
    assert all(p.remaining_s <= 60 for p in told)
    assert Measurement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_unsteady_figures_get_what_time_is_left() -> None:
    machine = Machine()
    noise = np.random.default_rng(1).lognormal(0, 1, 1_000_000)
    noisy = machine.benchmark("noisy", lambda i: 1e-3 * noise[i])
    found = run([machine.benchmark("steady", 1e-3), noisy], 21.0, Anchored(), clock=machine.clock)
    assert found.figures["steady"].rounds < 50 < found.figures["noisy"].rounds
    assert 18 < machine.now < 23


def test_little_time_is_one_pass() -> None:
    machine = Machine()
    found = run([machine.benchmark(str(i), 0.01) for i in range(20)], 0.1, Anchored(), clock=machine.clock)
    assert all(f.rounds >= 1 and f.moved == math.inf and not f.steady for f in found.figures.values())
    assert machine.now < 3


def test_what_is_interrupted_leaves_no_measurement() -> None:
    machine = Machine()

    def stop(_: int) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([machine.benchmark("x", stop)], 1.0, Anchored(), clock=machine.clock)


# ----------------------------------------------------------------------------------------------- cache levels
def test_levels_of_a_made_up_machine() -> None:
    sizes = bandwidth.sizes(2**23)
    noise = np.random.default_rng(0).normal(0, 0.03, (2, len(sizes)))

    def curve(rates: Sequence[float], wobble: np.ndarray) -> list[float]:
        held = (2**18, 2**22, math.inf)
        return [
            next(r for r, most in zip(rates, held, strict=True) if s <= most) * math.exp(w)
            for s, w in zip(sizes, wobble, strict=True)
        ]

    found = levels.levels(
        sizes, {"read": curve((80e9, 40e9, 10e9), noise[0]), "write": curve((40e9, 25e9, 7e9), noise[1])}
    )
    assert [level.name for level in found] == ["l1", "l2", "memory"]
    assert found[0].bytes == pytest.approx(2**18 * 2**0.25, rel=1e-3)  # between the last within and the first beyond
    assert found[1].bytes == pytest.approx(2**22 * 2**0.25, rel=1e-3)
    assert found[2].bytes == math.inf
    for level, read in zip(found, (80e9, 40e9, 10e9), strict=True):
        assert level.bytes_per_s["read"] == pytest.approx(read, rel=0.05)


def test_a_flat_curve_is_memory_alone_and_one_outlier_no_level() -> None:
    sizes = bandwidth.sizes(2**23)
    flat = [10e9] * len(sizes)
    flat[7] = 1e9
    (only,) = levels.levels(sizes, {"read": flat})
    assert (only.name, only.bytes, only.bytes_per_s["read"]) == ("memory", math.inf, 10e9)
    with pytest.raises(ValueError, match="two working sets"):
        levels.levels([1], {"read": [1.0]})


def test_sizes_reach_beyond_the_last_level() -> None:
    assert bandwidth.sizes(2**25)[-1] == 2**27
    assert bandwidth.sizes(0)[-1] == 2**26  # an unknown cache
    assert bandwidth.sizes(2**35)[-1] == 2**29


# ----------------------------------------------------------------------------------------------- this machine
def test_a_short_run_on_this_machine() -> None:
    pytest.importorskip("onnxruntime")
    chosen = {
        "gemm.onnxruntime.fp32_m16_flops", "call.node_s", "kernel.elementwise.add_per_s", "kernel.copy.concat_per_s",
        bandwidth.name("read", 2**18), bandwidth.name("write", 2**18), bandwidth.name("copy", 2**18),
    }  # fmt: skip
    everything = [*products.benchmarks(["fp32"]), *bandwidth.benchmarks(0), *kernels.benchmarks()]
    assert len({b.name for b in everything}) == len(everything)
    with pinned() as cpu:
        found = run([b for b in everything if b.name in chosen], 0.5, Anchored(), cpu=cpu)
    # No assertion on speed: between what a calculator and what no core does.
    for name, figure in found.figures.items():
        low, high = (1e-8, 1e-2) if name == "call.node_s" else (1e5, 1e14)
        assert low < figure.value < high, name
    assert set(found.figures) | set(found.left_out) == chosen


def test_every_kernel_runs() -> None:
    pytest.importorskip("onnxruntime")
    for benchmark in kernels.benchmarks():
        for work in benchmark.prepare():
            work()


def test_typical_anchor() -> None:
    times = [AnchorTimes(1.0, 4.0), AnchorTimes(3.0, 2.0), AnchorTimes(2.0, 9.0)]
    assert typical(times) == AnchorTimes(2.0, 4.0)
    assert times[1].slower_than(typical(times)) == AnchorTimes(1.5, 0.5)

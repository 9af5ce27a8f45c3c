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
from perfmodel.collect.microbenchmarks.timing import Benchmark, Clocks, Prepared, Visits, visit

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
def one_visit(machine: Machine, benchmark: Benchmark, seconds: float) -> list[float]:
    clocks = Clocks(machine.clock)
    return visit(benchmark, Prepared.of(benchmark, clocks), seconds, clocks)


def test_a_visit_lasts_as_long_as_it_is_told() -> None:
    machine = Machine()
    values = one_visit(machine, machine.benchmark("x", 100 * US), 0.05)
    assert values == pytest.approx([1e4] * len(values))
    assert 45 <= len(values) <= 50  # rounds of a millisecond
    slow = Machine()
    assert len(one_visit(slow, slow.benchmark("x", 1.0), 0.05)) == 3


def test_quick_work_is_called_often() -> None:
    machine = Machine()
    one_visit(machine, machine.benchmark("x", 1 * US), 0.0)
    assert machine.calls > 3 * 1000  # three rounds of a millisecond


def test_a_round_without_a_value_is_none() -> None:
    machine, given = Machine(), iter([None, -1.0, math.nan, *[7.0] * 9])
    benchmark = Benchmark("x", "made up", lambda: [machine.work(0.01)], lambda _: next(given))
    assert one_visit(machine, benchmark, 0.045) == [7.0, 7.0]
    seen = Visits()
    seen.add(0.0, [])
    assert (seen.rounds, seen.medians) == (0, [])


def test_waiting_for_the_core_is_no_time() -> None:
    machine = Machine()
    used = iter(np.cumsum([0.0, *[5.0, 0.0] * 100]).tolist())  # 5 s of the processor in every piece of work
    clocks = Clocks(machine.clock, lambda: next(used))
    assert clocks.seconds(machine.work(8.0), 1) == 5.0  # another program had the core for three of eight
    assert clocks.seconds(machine.work(2.0), 1) == 2.0  # several threads: more than the wall's
    real = Clocks.of_system()
    assert 0 < real.seconds(lambda: sum(range(100_000)), 3) < 1


def visits(rounds: list[list[float]], every_s: float = 5.0) -> Visits:
    seen = Visits()
    for number, values in enumerate(rounds):
        seen.add(every_s * number, values)
    return seen


def test_what_visits_say_by_hand() -> None:
    # Medians 10, 11, 10, 11, 10, 11: the mean of ln is ln(110) / 2; each differs from it by ln(1.1) / 2 = 0.04766, so that
    # the deviation is 0.04766 * sqrt(6/5) = 0.05220 and twice the standard error 2 * 0.05220 / sqrt(6) = 0.04262.
    seen = visits([[10.0, 10.0, 30.0], [11.0, 11.0, 2.0]] * 3)
    assert seen.value == pytest.approx(110**0.5)
    assert seen.uncertainty == pytest.approx(0.04262, abs=1e-5)
    assert seen.steady
    assert not visits([[10.0], [12.0]] * 3).steady
    assert visits([[10.0]] * 5).uncertainty == math.inf  # too few, however alike
    # Six visits within a second are one moment.
    assert visits([[10.0]] * 6, 0.1).uncertainty == math.inf
    assert visits([[10.0], [40.0], [20.0], [20.0]], 2.0).moments == pytest.approx([20.0, 20.0])


# ----------------------------------------------------------------------------------------------- the suite
def test_a_run_visits_everything_and_says_what_moved() -> None:
    machine, anchor, told = Machine(), Anchored(), list[Progress]()

    def broken() -> Sequence[Callable[[], object]]:
        raise RuntimeError("no kernel\nfor it")

    drifting = machine.benchmark("drifting", lambda _: 1e-3 if machine.now < 30 else 2e-3)
    found = run(
        [machine.benchmark("steady", 1e-3), drifting, machine.benchmark("noisy", lambda i: (1 + i % 2) * 0.05),
         Benchmark("broken", "made up", broken, lambda s: s[0])],
        60.0, anchor, clocks=Clocks(machine.clock), progress=told.append, software={"x": "1"}, cpu=3,
    )  # fmt: skip
    assert found.figures["steady"].value == pytest.approx(1000)
    assert found.figures["steady"].steady
    assert found.figures["steady"].rounds > 100
    assert found.left_out == {"broken": "no kernel for it"}
    assert found.drift.visits == anchor.visits >= 2
    assert found.drift.gemm_range == pytest.approx((anchor.visits - 1) / np.median(range(1, anchor.visits + 1)))
    assert found.drift.copy_range == 0
    assert [p.name for p in told[:5]] == ["steady", "drifting", "noisy", "broken", "steady"]
    assert all(p.remaining_s <= 60 and p.done < p.total for p in told)
    assert Measurement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_quiet_machine_is_soon_known_and_figures_that_move_get_the_time() -> None:
    machine = Machine()
    run([machine.benchmark(str(i), 0.02) for i in range(20)], 90.0, Anchored(), clocks=Clocks(machine.clock))
    assert 15 < machine.now < 22  # six moments
    noise = np.random.default_rng(1).lognormal(0, 1, 1_000_000)
    noisy = machine.benchmark("noisy", lambda i: 0.02 * noise[i // 5])
    begin = machine.now
    found = run([machine.benchmark("steady", 0.02), noisy], 60.0, Anchored(), clocks=Clocks(machine.clock))
    assert found.figures["noisy"].visits > 2 * found.figures["steady"].visits
    assert machine.now - begin < 62


def test_two_states_of_a_machine_are_averaged() -> None:
    # A neighbour on the same core halves the speed for seconds at a time: neither state alone is what runs meet.
    machine = Machine()
    found = run(
        [machine.benchmark("x", lambda _: 0.1 if machine.now % 7 < 3.5 else 0.2)], 80.0, Anchored(),
        clocks=Clocks(machine.clock),
    )  # fmt: skip
    assert found.figures["x"].value == pytest.approx(10 / 2**0.5, rel=0.1)


def test_operands_are_put_elsewhere_once() -> None:
    machine, made = Machine(), []

    def prepare() -> Sequence[Callable[[], object]]:
        made.append(machine.now)
        return [machine.work(lambda i: (1 + i % 2) * 0.05)]

    run([Benchmark("x", "made up", prepare, lambda s: s[0])], 20.0, Anchored(), clocks=Clocks(machine.clock))
    assert len(made) == 2
    assert 10 < made[1] < 12


def test_little_time_is_one_visit() -> None:
    machine = Machine()
    found = run([machine.benchmark(str(i), 0.01) for i in range(20)], 0.1, Anchored(), clocks=Clocks(machine.clock))
    assert all(f.visits >= 1 and f.uncertainty == math.inf and not f.steady for f in found.figures.values())
    assert machine.now < 3


def test_what_gives_no_value_is_left_out() -> None:
    machine = Machine()
    found = run(
        [Benchmark("x", "made up", lambda: [machine.work(0.01)], lambda s: None)], 1.0, Anchored(),
        clocks=Clocks(machine.clock),
    )  # fmt: skip
    assert found.figures == {}
    assert "no round gave a value" in found.left_out["x"]


def test_what_is_interrupted_leaves_no_measurement() -> None:
    machine = Machine()

    def stop(_: int) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([machine.benchmark("x", stop)], 1.0, Anchored(), clocks=Clocks(machine.clock))


def test_working_sets_lie_apart_and_share_their_memory() -> None:
    memory = bandwidth._Memory(2**24)
    for size in (2**16, 2**23):
        source, target = memory.two(size // 2)
        assert len(source) == len(target) == size // 2
        assert (target.ctypes.data - source.ctypes.data) % 4096 == 2048
        assert (
            source.ctypes.data + size // 2 <= target.ctypes.data or target.ctypes.data + size // 2 <= source.ctypes.data
        )
    assert memory.bytes(2**24).ctypes.data == memory.bytes(2**23).ctypes.data
    assert memory.bytes(2**16).ctypes.data % 4096 == 0


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
        found = run([b for b in everything if b.name in chosen], 0.5, Anchored(), cpu=cpu)  # the system's clocks
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

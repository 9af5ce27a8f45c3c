"""The search for the size from which on another device leads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from fake_predictions import prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report import MODEL

from perfmodel.hardware import load_device
from perfmodel.predict import Estimate
from perfmodel.predict.energy import Prices
from perfmodel.predict.energy.ranking import labels
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.workload import Workload
from perfmodel.report.crossover import Crossing, Curves
from perfmodel.report.sections import crossing_lines

DEVICES = ("h100-sxm", "l40s", "a10")
NOTHING: Any = None
"""In place of the graph and the predictor of curves that are given."""
L40S = files("perfmodel.hardware") / "catalogue" / "l40s.toml"


class Lines(Curves):
    """Runs of ``start + slope * size`` seconds, by device; energy in proportion."""

    lines: dict[str, tuple[float, float]]

    def at(self, size: int) -> dict[str, ModelPrediction]:
        found = {}
        for device, (start, slope) in self.lines.items():
            seconds = start + slope * size
            one = Estimate(seconds, seconds, seconds)
            found[device] = prediction(
                device=device, latency_s=one, energy_j=one.scaled(100.0), workload=Workload(size)
            )
        return found


def lines(sizes: tuple[int, ...], **by_device: tuple[float, float]) -> Lines:
    named = {name.replace("_", "-"): line for name, line in by_device.items()}
    devices = tuple(load_device(name) for name in named)
    made = Lines(NOTHING, "batch", sizes, devices, {}, Prices(), NOTHING)
    made.lines = named
    return made


def test_the_search_says_what_it_predicts() -> None:
    said: list[str] = []
    curves = Curves.of(
        str(MODEL), ["h100-sxm", "l40s"], "batch", (16, 64), dims={"batch": 16}, dtype="bf16",
        prices=Prices(per_hour={"h100-sxm": 2.5, "l40s": 1.1}), say=said.append,
    )  # fmt: skip
    assert said == ["1/2 sizes: batch=16", "2/2 sizes: batch=64"]
    curves.to_dict()
    assert said[2] == "searching where another device leads: batch=40"  # halfway
    assert len(said) == len(set(said))
    known = len(said)
    curves.to_dict()
    assert len(said) == known  # nothing is predicted twice


def test_a_crossing_is_found_to_the_sample() -> None:
    # For a sample 10 / n + 1 against 2: equal at 10, less from 11 on.
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0))
    assert curves.crossings("latency") == [Crossing("latency", 11, "h100-sxm", "l40s", 10)]
    assert curves.curves("latency") == {"l40s": [2.0, 2.0, 2.0], "h100-sxm": [11.0, 2.25, 1.15625]}
    assert curves.crossings("energy")[0].size == 11
    assert curves.quantities == ("latency", "energy")


def test_no_crossing() -> None:
    curves = lines((1, 64), l40s=(0.0, 2.0), h100_sxm=(0.0, 1.0))
    assert curves.crossings("latency") == []
    names = {"l40s": "L40S", "h100-sxm": "H100"}
    assert crossing_lines(curves.to_dict(), names, labels(None))[0] == "latency: H100 is the fastest from batch=1 to 64"


def test_crossings_in_words() -> None:
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0))
    names = {"l40s": "L40S", "h100-sxm": "H100"}
    assert crossing_lines(curves.to_dict(), names, labels(None)) == [
        "from batch=11 on H100 is faster than L40S (latency for each sample)",
        "from batch=11 on H100 is thriftier than L40S (energy for each sample)",
    ]
    # 0.1 / n + 1.98 against 2: equal at 5, and never 5 % apart.
    curves = lines((1, 11, 64), l40s=(0.0, 2.0), h100_sxm=(0.1, 1.98))
    assert crossing_lines(curves.to_dict(), names, labels(None))[0] == (
        "from batch=6 on H100 is faster than L40S (latency for each sample;"
        " from 1 to 5 they take turns or differ by less than 5 %)"
    )


class Steps(Lines):
    """The H100 computes eight samples at a time: with one more it takes as long as with eight."""

    def at(self, size: int) -> dict[str, ModelPrediction]:
        found = super().at(size)
        start, slope = self.lines["h100-sxm"]
        seconds = start + slope * 8 * -(-size // 8)
        one = Estimate(seconds, seconds, seconds)
        return found | {"h100-sxm": prediction(device="h100-sxm", latency_s=one, energy_j=one, workload=Workload(size))}


class Given(Lines):
    """The H100 takes what is given for a size, for each sample."""

    given: dict[int, float]

    def at(self, size: int) -> dict[str, ModelPrediction]:
        if size not in self.given:
            return super().at(size)
        one = Estimate(*[size * self.given[size]] * 3)
        own = prediction(device="h100-sxm", latency_s=one, energy_j=one, workload=Workload(size))
        return super().at(size) | {"h100-sxm": own}


@pytest.mark.parametrize("sizes", [(1, 64), (1, 8, 32, 64, 128), (1, 30, 200)])
def test_a_lead_counts_from_where_it_is_kept(sizes: tuple[int, ...]) -> None:
    devices = tuple(load_device(d) for d in ("l40s", "h100-sxm"))
    curves = Steps(NOTHING, "batch", sizes, devices, {}, Prices(), NOTHING)
    curves.lines = {"l40s": (0.0, 2.0), "h100-sxm": (10.0, 1.6)}
    times = {n: {device: p.latency_s.value for device, p in curves.at(n).items()} for n in range(1, sizes[-1] + 1)}
    # They take turns: at 24 samples the H100 leads, with 25 it starts another step and falls behind.
    behind = [n for n in times if times[n]["h100-sxm"] >= times[n]["l40s"]]
    assert len(behind) < behind[-1] - 5
    [crossing] = curves.crossings("latency")
    assert crossing.size == behind[-1] + 1
    # The first lead that was found lies in what is called open.
    assert crossing.open_from < crossing.size - 1


def test_a_lead_that_is_given_back_at_once_is_a_turn() -> None:
    devices = tuple(map(load_device, ("l40s", "h100-sxm")))
    curves = Given(NOTHING, "batch", (1, 2, 16, 64), devices, {}, Prices(), NOTHING)
    # The H100 leads at 2, 5 and 16 alone; by more than 5 %.
    curves.lines = {"l40s": (0.0, 2.0), "h100-sxm": (0.0, 2.5)}
    curves.given = dict.fromkeys((2, 5, 16), 1.5)
    assert curves.crossings("latency") == [Crossing("latency", 17, "l40s", "h100-sxm", 2)]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 10)), min_size=3, max_size=3),
    st.sampled_from([(1, 2, 4, 8, 16, 32, 64), (1, 64), (3, 17, 50)]),
)
@settings(max_examples=50)
def test_crossings_are_those_of_a_search_through_all_sizes(
    found: list[tuple[float, float]], sizes: tuple[int, ...]
) -> None:
    curves = lines(sizes, **{name.replace("-", "_"): line for name, line in zip(DEVICES, found, strict=True)})
    leads = {
        n: min(DEVICES, key=lambda d: (dict(zip(DEVICES, found, strict=True))[d][0] / n) + curves.lines[d][1])
        for n in range(sizes[0], sizes[-1] + 1)
    }
    crossings = curves.crossings("latency")
    # Every crossing that is named is one, and from each shown size to the next the leader is as told.
    leader = leads[sizes[0]]
    told = {sizes[0]: leader}
    for c in crossings:
        assert c.instead_of == leader
        leader = told[c.size] = c.device
    for size in sizes:
        last = max(at for at in told if at <= size)
        times = {d: curves.at(size)[d].latency_s.value for d in DEVICES}
        assert times[told[last]] == pytest.approx(min(times.values()))


class Stepped(Curves):
    """Each device costs what a function of the size says, for each sample; sizes that were asked for are noted."""

    costs: dict[str, Callable[[int], float]]
    asked: set[int]

    def at(self, size: int) -> dict[str, ModelPrediction]:
        self.asked.add(size)
        found = {}
        for device, cost in self.costs.items():
            one = Estimate(*[size * cost(size)] * 3)
            found[device] = prediction(device=device, latency_s=one, energy_j=None, workload=Workload(size))
        return found

    def leaders(self, size: int) -> set[str]:
        each = {device: cost(size) for device, cost in self.costs.items()}
        return {device for device, cost in each.items() if cost <= min(each.values()) * (1 + 1e-12)}


def stepped(sizes: Sequence[int], costs: dict[str, Callable[[int], float]]) -> Stepped:
    devices = tuple(load_device(name) for name in costs)
    made = Stepped(NOTHING, "batch", tuple(sizes), devices, {}, Prices(), NOTHING)
    made.costs, made.asked = costs, set()
    return made


def test_a_third_device_that_takes_over_while_two_take_turns() -> None:
    costs: dict[str, Callable[[int], float]] = {
        "a10": lambda n: 10.0,
        "l40s": lambda n: 11.0 if n < 10 else 10.1 if n == 19 else 9.9 if n < 20 else 9.0,
        "h100-sxm": lambda n: 12.0 if n < 12 else 5.0,
    }
    found = stepped((1, 64), costs).crossings("latency")
    assert [(c.size, c.device, c.instead_of) for c in found] == [(10, "l40s", "a10"), (12, "h100-sxm", "l40s")]


def held_to(curves: Stepped, sizes: Iterable[int]) -> None:
    """What the docstrings of a crossing and of the search promise, at some sizes."""
    crossings = curves.crossings("latency")
    last = curves.sizes[-1]
    starts = [curves.sizes[0], *(c.size for c in crossings)]
    assert starts == sorted(set(starts))
    each = {n: {d: cost(n) for d, cost in curves.costs.items()} for n in range(starts[0], last + 1)}
    for c in crossings:
        assert c.device in curves.leaders(c.size)
        assert each[c.size - 1][c.instead_of] <= each[c.size - 1][c.device]
        assert curves.sizes[0] <= c.open_from <= c.size
    leading = [curves.leaders(starts[0]), *({c.device} for c in crossings)]
    ends = [*((c.size, c.open_from) for c in crossings), (last + 1, last + 1)]
    for start, leaders, (end, open_from) in zip(starts, leading, ends, strict=True):
        beaten = next((n for n in sizes if start <= n < end and not leaders & curves.leaders(n)), end)
        assert min(open_from, end) <= beaten, (start, beaten, crossings)


def sampled(values: np.ndarray) -> Callable[[int], float]:
    return lambda n: float(values[n - 1])


def random_curves(seed: int, sizes: Sequence[int], devices: Sequence[str]) -> Stepped:
    """Steps of random width and height that fall as a batch fills the device, of devices that cost about the same."""
    generator = np.random.default_rng(seed)
    last = sizes[-1]
    costs: dict[str, Callable[[int], float]] = {}
    for device in devices:
        base = 10 * generator.lognormal(0, 0.08) + generator.choice([0, 5, 50]) / np.arange(1, last + 1)
        edges = np.sort(generator.choice(np.arange(1, last + 1), size=int(generator.integers(1, 12)), replace=False))
        levels = generator.lognormal(0, float(generator.choice([0.02, 0.1])), size=len(edges) + 1)
        values = base * levels[np.searchsorted(edges, np.arange(1, last + 1), side="right")]
        costs[device] = sampled(values)
    return stepped(sizes, costs)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_no_device_leads_at_a_size_that_was_tried_without_being_told_of(count: int) -> None:
    devices = ("a10", "l40s", "h100-sxm", "a100-sxm-80gb")[:count]
    for seed in range(60):
        sizes = ((1, 64), (1, 8, 64), (2, 31, 57, 90), tuple(range(1, 41)))[seed % 4]
        curves = random_curves(seed, sizes, devices)
        crossings = curves.crossings("latency")
        assert crossings == curves.crossings("latency")
        held_to(curves, tried_by(curves, crossings))


def tried_by(curves: Stepped, crossings: Sequence[Crossing]) -> list[int]:
    """Sizes that are shown, and those that were tried one after the other from a crossing on, of which there are many."""
    tried = set(curves.sizes)
    for c in crossings:
        row = list(itertools.takewhile(curves.asked.__contains__, itertools.count(c.size)))
        tried |= set(row) if len(row) >= 16 else {c.size}
    return sorted(tried)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(1.3, 2.5)), min_size=1, max_size=6))
@settings(max_examples=40)
def test_leads_that_last_are_found_to_the_sample(leads: list[tuple[int, float]]) -> None:
    sizes = tuple(range(1, 41))
    devices = ("a10", "l40s", "h100-sxm", "a100-sxm-80gb")
    # From which size on who leads, each long enough to be no turn.
    starts: list[tuple[int, str]] = []
    size = 1
    for who, factor in leads:
        if not starts or starts[-1][1] != devices[who]:
            starts.append((size, devices[who]))
        size = math.ceil(size * factor)
    starts = [(n, device) for n, device in starts if n <= sizes[-1]]

    def cost(device: str) -> Callable[[int], float]:
        return lambda n: 1.0 if [d for start, d in starts if start <= n][-1] == device else 1.2 + 0.01 * len(device)

    found = stepped(sizes, {device: cost(device) for device in devices}).crossings("latency")
    expected = [(n, device, before) for (_, before), (n, device) in itertools.pairwise(starts)]
    assert [(c.size, c.device, c.instead_of) for c in found] == expected

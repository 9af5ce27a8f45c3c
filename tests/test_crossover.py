"""Devices over a dimension: crossings, Pareto fronts, the command and its pictures."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_predictions import prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report import MODEL, Structure, data_of

from perfmodel.cli import main
from perfmodel.hardware import load_device
from perfmodel.predict import Estimate
from perfmodel.predict.energy import Hosts, Prices
from perfmodel.predict.energy.ranking import labels
from perfmodel.predict.pareto import front
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.workload import Workload
from perfmodel.report import vega
from perfmodel.report.comparing import comparison_html, draw, fronts
from perfmodel.report.crossover import Crossing, Curves
from perfmodel.report.sections import crossing_lines

DEVICES = ("h100-sxm", "l40s", "a10")
L40S = files("perfmodel.hardware") / "catalogue" / "l40s.toml"


@pytest.fixture(autouse=True)
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are made without the plotting library, whose version the footer names."""
    monkeypatch.setattr(vega, "version", lambda: "6")


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
    made = Lines(None, "batch", sizes, devices, {}, Prices(), None)  # type: ignore[arg-type]
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
    curves = Steps(
        None,
        "batch",
        sizes,
        tuple(load_device(d) for d in ("l40s", "h100-sxm")),
        {},
        Prices(),
        None,  # type: ignore[arg-type]
    )
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
    curves = Given(None, "batch", (1, 2, 16, 64), tuple(map(load_device, ("l40s", "h100-sxm"))), {}, Prices(), None)  # type: ignore[arg-type]
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
    made = Stepped(None, "batch", tuple(sizes), devices, {}, Prices(), None)  # type: ignore[arg-type]
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
        costs[device] = lambda n, values=values: float(values[n - 1])  # type: ignore[misc]
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


def test_the_front() -> None:
    points = [(1, 10), (2, 5), (2, 7), (3, 6), (4, 1), (5, math.inf)]
    assert front(points, lambda p: p[0], lambda p: p[1]) == ((1, 10), (2, 5), (4, 1))


def some_ranking() -> list[ModelPrediction]:
    def one(device: str, seconds: float, joules: float, **more: Any) -> ModelPrediction:
        e = Estimate(joules, 0.9 * joules, 1.2 * joules)
        return prediction(device=device, latency_s=Estimate(seconds, 0.8 * seconds, 1.5 * seconds), energy_j=e, **more)

    return [one("h100-sxm", 1e-3, 0.5), one("l40s", 2e-3, 0.3), one("a10", 3e-3, 0.4)]


def test_fronts_of_devices() -> None:
    ranking = some_ranking()
    assert fronts(ranking, Prices()) == {"energy": ["h100-sxm", "l40s"]}
    prices = Prices(per_hour={"h100-sxm": 9.0, "l40s": 2.0, "a10": 0.5})  # 2.5, 1.1 and 0.4 millionths
    assert fronts(ranking, prices)["money"] == ["h100-sxm", "l40s", "a10"]
    assert "money" not in fronts(ranking, Prices(per_hour={"a10": 1.0}))


def test_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0), a10=(50.0, 3.0))
    name = "<script>alert(1)</script>"
    text = comparison_html(some_ranking(), DEVICES, {"model": name, "dims": {}, "asked": {}}, None, curves)
    found = Structure(text)
    assert {"devices", "over", "pareto", "chart-latency", "chart-energy", "chart-over", "chart-pareto"} <= set(
        found.ids
    )
    assert found.tags.count("script") == 4  # the data, the library, two of ours
    assert (
        "from batch=11 on NVIDIA H100 SXM5 80GB is faster than NVIDIA L40S 48GB (latency for each sample)"
        in found.texts
    )
    assert data_of(text)["over"]["crossings"][0]["size"] == 11


@pytest.mark.parametrize("over", [True, False])
def test_the_plot_is_the_same_each_time(over: bool) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0)) if over else None
    first = draw(some_ranking(), None, curves, None, "svg")
    assert first == draw(some_ranking(), None, curves, None, "svg")
    text = first.decode()
    assert ("h100-sxm from 11" in text) is over
    assert ("Pareto front" in text) is not over


def of_devices(monkeypatch: pytest.MonkeyPatch, ranking: list[ModelPrediction], prices: Prices | None) -> str:
    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")
    devices = [p.device for p in ranking]
    return comparison_html(ranking, devices, {"model": "net", "dims": {}, "asked": {}}, prices, None)


def test_fronts_and_points_are_of_the_same_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a kilowatt of host beside each: 1 ms and 0.5 J are 1.5 J, 2 ms and 0.3 J 2.3 J, 3 ms and 0.4 J 3.4 J.
    text = of_devices(monkeypatch, some_ranking(), Prices(hosts=Hosts(power_w=1000.0)))
    data = data_of(text)
    assert data["fronts"] == {"energy": ["h100-sxm"]}
    rows = [{row["label"]: row for row in d["headline"]} for d in data["devices"]]
    assert [row[data["labels"]["energy"]]["ends"][0] for row in rows] == [1.5, 2.3, 3.4]
    assert [row["energy"]["ends"][0] for row in rows] == [0.5, 0.3, 0.4]
    texts = Structure(text).texts
    assert "latency and energy at the meter: no other device beats NVIDIA H100 SXM5 80GB" in texts
    assert "Energy at the meter" in texts
    assert "energy at the meter" in texts  # the button
    assert data_of(of_devices(monkeypatch, some_ranking(), None))["labels"]["energy"] == "energy"
    over = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0)).to_dict()
    names = {"l40s": "L40S", "h100-sxm": "H100"}
    assert crossing_lines(over, names, data["labels"])[1].endswith("(energy at the meter for each sample)")


def test_a_figure_that_the_first_device_lacks_has_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.report.sections import device_table

    shown = data_of(of_devices(monkeypatch, some_ranking(), Prices(per_hour={"l40s": 2.0})))["devices"]
    table = Structure(device_table(shown)).texts
    assert table.count("money") == 1
    assert table.index("money") < table.index(shown[0]["name"])


def unpowered_ranking() -> list[ModelPrediction]:
    first, second, third = some_ranking()
    return [first, replace(second, energy_j=None, power_w=None), third]


def test_without_a_front_the_page_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    text = of_devices(monkeypatch, unpowered_ranking(), None)
    found = Structure(text)
    assert data_of(text)["fronts"] == {}
    assert "chart-pareto" not in found.ids
    [why] = [t for t in found.texts if t.startswith("No front")]
    assert why.endswith("the energy of every device, which is unknown of NVIDIA L40S 48GB (the device quotes no TDP).")


def test_a_page_with_a_front_says_why_another_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is paid for by the hour is known without energy, carbon is not; of prices two are missing below.
    per_hour = {"h100-sxm": 9.0, "l40s": 2.0, "a10": 0.5}
    text = of_devices(monkeypatch, unpowered_ranking(), Prices(grid=400.0, per_hour=per_hour))
    found = Structure(text)
    assert list(data_of(text)["fronts"]) == ["money"]
    assert "chart-pareto" in found.ids
    lacking = "NVIDIA L40S 48GB (the device quotes no TDP)"
    without = "is drawn: it would need the {} of every device, which is unknown of"
    reasons = [t for t in found.texts if t.startswith("No front")]
    assert reasons == [f"No front against {by} {without.format(by)} {lacking}." for by in ("energy", "carbon")]
    text = of_devices(monkeypatch, some_ranking(), Prices(per_hour={"l40s": 2.0}))
    [why] = [t for t in Structure(text).texts if t.startswith("No front")]
    assert why.startswith("No front against money is drawn: ")
    assert why.endswith("unknown of NVIDIA H100 SXM5 80GB, NVIDIA A10 24GB.")
    assert not any(t.startswith("No front") for t in Structure(of_devices(monkeypatch, some_ranking(), None)).texts)


def test_curves_of_a_quantity_that_a_device_lacks_are_drawn_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0))
    curves.prices = Prices(per_hour={"l40s": 2.0})

    def searched(by: str) -> None:
        raise AssertionError(by)

    monkeypatch.setattr(curves, "crossings", searched)
    text = draw(some_ranking(), None, curves, "money", "svg").decode()
    assert ">money unknown: h100-sxm<" in text
    assert ">l40s<" in text
    assert ">h100-sxm<" not in text


def test_the_plot_is_of_the_quantity_that_was_asked_for() -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    text = draw(unpowered_ranking(), Prices(grid=400.0), None, "carbon", "svg").decode()
    assert ">carbon [g CO2e]<" in text
    assert ">carbon unknown: l40s<" in text


@pytest.mark.parametrize(
    ("text", "now", "sizes"),
    [("batch=1:8", 6, (1, 2, 4, 6, 8)), ("batch=1:4", 8, (1, 2, 4)), ("batch=1,3,9", 6, (1, 3, 9))],
)
def test_the_size_of_the_table_stands_among_those_between(text: str, now: int, sizes: tuple[int, ...]) -> None:
    from perfmodel.cli.compare import _over

    assert _over(text, {"batch": now}) == ("batch", sizes)


# -------------------------------------------------------------------------------------------------- conditions
BODY = """func.func @main(%a: tensor<?x64xf32>, %o: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
    iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x64xf32>) outs(%o : tensor<?x64xf32>) {
  ^bb0(%x: f32, %y: f32):
    %1 = math.exp %x : f32
    %2 = math.tanh %1 : f32
    linalg.yield %2 : f32
  } -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
"""
"""An operation of two scalar functions: one node where nothing is fused, as the file has it; else two that fusion joins."""


class Heard:
    """In place of the prediction: what each was asked of."""

    def __init__(self) -> None:
        self.prepared: list[Any] = []

    def __call__(self, prepared: Any, record: Any, dims: Any, *others: Any) -> ModelPrediction:
        self.prepared.append(prepared)
        size = next(iter(dims.values()))
        return prediction(device=record.id, workload=Workload(size))


def test_sizes_are_predicted_of_the_file_as_the_base_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.report import crossover

    heard = Heard()
    monkeypatch.setattr(crossover, "_predict", heard)
    Curves.of(BODY, ["h100-sxm"], "a_0", (8, 16), dims={"a_0": 8, "o_0": 8}, fusion="none")
    assert [len(prepared.graph.nodes) for prepared in heard.prepared] == [1, 1]
    # A processor's runtime makes its own graph of the file.
    assert all(prepared.model is BODY for prepared in heard.prepared)


def test_what_ifs_are_predicted_of_the_file_as_the_base_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.features.mlir import parse_operations
    from perfmodel.report import what_if

    parsings: list[int] = []
    parse = parse_operations.parse
    monkeypatch.setattr(parse_operations, "parse", lambda *given: (parsings.append(1), parse(*given))[1])
    for model, dims in ((BODY, {"a_0": 8, "o_0": 8}), (MODEL, {"batch": 8})):
        heard = Heard()
        monkeypatch.setattr(what_if, "_predict", heard)
        study = what_if.Study.of(model, ["h100-sxm"], {"dims": dims})
        list(study.predictions(lambda line: None))
        study.variants(lambda line: None)
        assert all(prepared.model is model for prepared in heard.prepared)
        if model is BODY:
            [plain] = [prepared for prepared in heard.prepared if prepared.fusion == "none"]
            assert len(plain.graph.nodes) == 1
            assert parsings == [1]


def test_a_step_of_a_request_is_no_file_that_a_runtime_takes() -> None:
    from perfmodel.predict import kernels_of
    from perfmodel.predict.on_host import runtime_graph

    graph, warning = runtime_graph(kernels_of(MODEL, dims={"batch": 1}), None, None)  # type: ignore[arg-type]
    assert graph is None
    assert "not graphs or the steps of a request" in warning


def test_a_request_reads_a_module_as_its_fusion_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.errors import InputError
    from perfmodel.predict import generation

    heard: list[int] = []

    def steps(graph: Any, *others: Any) -> Any:
        heard.append(len(graph.nodes))
        raise InputError("enough")

    monkeypatch.setattr(generation, "graphs_of", steps)
    for fusion in ("none", "engine"):
        with pytest.raises(InputError, match="enough"):
            generation.prepare_request(BODY, 8, 8, {}, (None, None, None, fusion), None)
    assert heard == [1, 2]


def test_devices_that_share_an_id_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import perfmodel
    from perfmodel.errors import InputError

    file = tmp_path / "calibrated.toml"
    file.write_text(L40S.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["compare", MODEL, "--device", f"l40s,{file}", "--dim", "batch=8"]) == 2
    assert f"two devices (l40s, {file}) have the id 'l40s'" in capsys.readouterr().err
    for prompt in ({}, {"prompt": 8, "generate": 8}):
        with pytest.raises(InputError, match="change `id` in the file"):
            perfmodel.report(MODEL, ["l40s", file], dims={"batch": 8}, **prompt)
    with pytest.raises(InputError, match="l40s is given twice: name each device once"):
        Curves.of(MODEL, ["l40s", load_device("l40s")], "batch", (8, 16), dims={"batch": 8})
    again = f"{file},{tmp_path}/./{file.name}"
    for command in (["compare"], ["report", "-o", str(tmp_path / "x.html")]):
        for devices, said in ((f"l40s,{file}", "have the id 'l40s'"), (again, "l40s is given twice")):
            # Before prices by their names, which such devices share.
            wrong = [*command, MODEL, "--device", devices, "--dim", "batch=8", "--price-per-hour", f"l40s=1,{file}=2"]
            assert main(wrong) == 2
            assert said in capsys.readouterr().err
    with pytest.raises(InputError, match="change `id` in the file"):
        comparison_html(some_ranking(), [*DEVICES, file], {"model": "net", "dims": {}, "asked": {}}, None, None)


# ---------------------------------------------------------------------------------------------------- command
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "compared.json"
    arguments = [
        "compare",
        MODEL,
        "--device",
        "h100-sxm,l40s",
        "--dim",
        "batch=8",
        "--dtype",
        "bf16",
        "--over",
        "batch=1:4",
    ]
    assert main([*arguments, "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    over = json.loads(out.read_text())["over"]
    assert over["sizes"] == [1, 2, 4]
    assert set(over["curves"]) == {"latency", "energy"}
    # What is shown for a size is what `predict` says of it, for each sample.
    assert main(["predict", MODEL, "--device", "l40s", "--dim", "batch=4", "--dtype", "bf16", "--json", str(out)]) == 0
    alone = json.loads(out.read_text())["latency_s"]["value"]
    assert over["curves"]["latency"]["l40s"][2] == pytest.approx(alone / 4)
    assert "latency: h100-sxm is the fastest from batch=1 to 4" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--over", "batch"], "wanted NAME=A:B or NAME=A,B,C"),
        (["--over", "batch=0:4"], "wanted NAME=A:B or NAME=A,B,C"),
        (["--over", "bach=1:4"], "did you mean 'batch'"),
        (["--over", "batch=4"], "needs 2 to 40 sizes; got 1"),
        (["--plot", "x.pdf"], "ends in .svg or .png"),
        (["--html", "x.pdf"], "ends in .html"),
        (["--over", "batch=1:4", "--prompt", "8", "--generate", "8"], "--over is of the operators of one run"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", MODEL, "--device", "h100-sxm", "--dim", "batch=8", *arguments]) == 2
    assert message in capsys.readouterr().err

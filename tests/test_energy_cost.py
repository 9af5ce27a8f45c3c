"""Energy at the meter, carbon and money by hand; the table of grids; devices in the order of what they cost."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from fake_predictions import prediction
from fusion_graphs import Builder
from hypothesis import given
from hypothesis import strategies as st

import perfmodel
from perfmodel.cli import compare as compare_command
from perfmodel.errors import InputError, is_number, is_whole_number
from perfmodel.graph import Graph, Tensor
from perfmodel.models.machine import Conditions
from perfmodel.predict import Estimate
from perfmodel.predict.energy import Cost, Hosts, Prices, grid_region
from perfmodel.predict.energy.grid import grid_regions
from perfmodel.predict.energy.ranking import RANKS, ranked
from perfmodel.predict.workload import Workload, sequence_dim, workload_of

# An hour at 3600 kJ, half or twice as much: a kWh of the device.
HOUR = prediction(
    latency_s=Estimate(3600.0, 1800.0, 7200.0),
    energy_j=Estimate(3.6e6, 1.8e6, 7.2e6),
    workload=Workload(4, 2000),
)


def cost(**given: object) -> Cost:
    return HOUR.cost(Prices(**given))  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- by hand
def test_a_kilowatt_hour_by_hand() -> None:
    c = cost(grid=400, per_hour=2.5, electricity=0.3, hosts=Hosts(1000.0, 4), pue=1.2)
    run = c.per_run
    assert run.device_energy_j == Estimate(3.6e6, 1.8e6, 7.2e6)
    # A quarter of a host is 250 W, for an hour: 1.25 kWh, and cooling makes 1.5.
    assert run.energy_j == Estimate(1.5 * 3.6e6, 0.75 * 3.6e6, 3.0 * 3.6e6)
    assert run.carbon_g == Estimate(600.0, 300.0, 1200.0)
    assert run.device_money == Estimate(2.5, 1.25, 5.0)
    assert run.electricity_money == Estimate(pytest.approx(0.45), pytest.approx(0.225), pytest.approx(0.9))
    assert run.money == Estimate(pytest.approx(2.95), pytest.approx(1.475), pytest.approx(5.9))
    # 2000 tokens a run: 500 runs are a million.
    assert (c.unit, c.units) == ("tokens", 2000)
    assert c.per_million.carbon_g == Estimate(300e3, 150e3, 600e3)
    assert c.per_million.time_s.value == 500 * 3600
    assert len(c.notes) == 1
    assert "embodied" in c.notes[0]


def test_nothing_is_assumed() -> None:
    c = cost()
    assert c.per_run.energy_j == c.per_run.device_energy_j
    assert (c.per_run.carbon_g, c.per_run.device_money, c.per_run.electricity_money, c.per_run.money) == (None,) * 4
    assert len(c.notes) == 2
    assert any("host" in note for note in c.notes)
    assert any("PUE" in note for note in c.notes)
    # What was given as 1 or 0 is given.
    assert cost(pue=1.0, hosts=Hosts(0.0)).notes == ()


def test_money_is_the_sum_of_what_has_a_price() -> None:
    assert cost(per_hour=2.0).per_run.money == Estimate(2.0, 1.0, 4.0)
    assert cost(electricity=0.5).per_run.money == Estimate(pytest.approx(0.5), pytest.approx(0.25), pytest.approx(1.0))
    by_device = {"l40s": 1.0}
    # The H100 has no price here: its electricity alone would look like a bargain.
    assert cost(per_hour=by_device, electricity=0.5).per_run.money is None
    assert cost(per_hour=by_device, electricity=0.5).per_run.electricity_money is not None
    assert cost(per_hour={"h100-sxm": 3.0}).per_run.money == Estimate(3.0, 1.5, 6.0)


def test_unknown_power_leaves_time() -> None:
    c = prediction(energy_j=None, latency_s=Estimate(36.0, 36.0, 36.0)).cost(
        Prices(grid=400, per_hour=1.0, electricity=1.0)
    )
    assert (c.per_run.energy_j, c.per_run.carbon_g, c.per_run.electricity_money, c.per_run.money) == (None,) * 4
    assert c.per_run.device_money == Estimate(0.01, 0.01, 0.01)
    assert "power is unknown" in c.notes[0]


@given(st.floats(1.0, 3.0), st.floats(0.0, 2000.0), st.floats(0.0, 1000.0), st.floats(0.0, 5.0))
def test_more_of_anything_costs_more(pue: float, host_w: float, grams: float, price: float) -> None:
    def figures(**changes: object) -> list[float]:
        given = {"pue": pue, "hosts": Hosts(host_w), "grid": grams, "electricity": price, "per_hour": 1.0} | changes
        run = cost(**given).per_run
        found = [run.energy_j, run.carbon_g, run.money]
        for e in found:
            assert e is not None
            assert 0 <= e.low <= e.value <= e.high
        return [e.value for e in found if e is not None]

    here = figures()
    for more in ({"pue": pue + 0.5}, {"hosts": Hosts(host_w + 100)}, {"grid": grams + 1}, {"electricity": price + 1}):
        assert all(b >= a for a, b in zip(here, figures(**more), strict=True))
    assert figures(pue=pue + 0.5)[0] > here[0]


def test_keys_of_the_json() -> None:
    keys = cost(grid="FRA").to_dict()
    amounts = {"time_s", "device_energy_j", "energy_j", "carbon_g", "device_money", "electricity_money", "money"}
    assert set(keys["per_run"]) == set(keys["per_million_tokens"]) == amounts
    assert keys["grid"]["id"] == "FRA"
    assert set(keys) == {
        "per_run", "per_million_tokens", "unit", "units", "grid", "host_power_w", "devices_per_host", "pue",
        "electricity_price", "price_per_hour", "notes",
    }  # fmt: skip
    assert "per_million_samples" in prediction().cost(Prices()).to_dict()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pue": 0.5}, "pue is 0.5"),
        ({"electricity": -1.0}, "electricity price is -1.0"),
        ({"per_hour": float("nan")}, "price per hour is nan"),
        ({"per_hour": {"l40s": -2.0}}, "l40s is -2.0"),
        ({"grid": "Atlantis"}, "unknown grid region 'Atlantis'"),
    ],
)
def test_prices_that_are_none(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Prices(**given)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- grids
@pytest.mark.parametrize(
    ("called", "region", "grams"),
    [
        # Our World in Data's table of 2023 has, rounded: France 56, Germany 381, India 713, China 582.
        ("FRA", "FRA", 56), ("fr", "FRA", 56), ("France", "FRA", 56), ("Germany", "DEU", 381), ("india", "IND", 713),
        ("CHN", "CHN", 582), ("world", "WORLD", 481),
        # eGRID2023: 394.769 lb/MWh; a pound is 453.59237 g.
        ("US-CA", "US-CA", 179.1), ("california", "US-CA", 179.1), ("new_york", "US-NY", None), ("GEO", "GEO", None),
        ("US-GA", "US-GA", None),
    ],
)  # fmt: skip
def test_regions_by_all_their_names(called: str, region: str, grams: float | None) -> None:
    found = grid_region(called)
    assert found.id == region
    assert grams is None or found.grams_co2e_per_kwh == pytest.approx(grams, abs=0.5)


def test_every_region_has_year_source_and_licence() -> None:
    regions = grid_regions()
    assert len(regions) > 250
    assert len({r.id for r in regions}) == len(regions)
    for r in regions:
        assert 0 < r.grams_co2e_per_kwh < 1400, r  # Turkmenistan, 1306
        assert r.year in (2021, 2022, 2023), r
        assert r.source.count("https://") == 1
        assert r.licence
        assert r.basis
        assert re.fullmatch(r"[A-Z]{3}|US-[A-Z]{2}|WORLD", r.id)


def test_a_number_is_grams() -> None:
    for number in (400, 400.0, "400"):
        found = grid_region(number)
        assert (found.id, found.grams_co2e_per_kwh, found.year) == ("given", 400.0, None)
    for wrong in (-1, "4000", "nan", float("inf")):
        with pytest.raises(InputError, match="wanted 0 to 3000 grams"):
            grid_region(wrong)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("Frnace", "did you mean FRA (France)?"),
        ("californa", "US-CA (California)"),
        ("qqqqq", "wanted an ISO 3166 code or a name"),
    ],
)
def test_unknown_regions_name_near_ones(wrong: str, hint: str) -> None:
    with pytest.raises(InputError, match=re.escape(hint)):
        grid_region(wrong)


# ----------------------------------------------------------------------------------------------------------- ranking
FAST = prediction(device="fast", latency_s=Estimate(1.0, 1.0, 1.0), energy_j=Estimate(300.0, 300.0, 300.0))
LEAN = prediction(device="lean", latency_s=Estimate(2.0, 2.0, 2.0), energy_j=Estimate(200.0, 200.0, 200.0))
CHEAP = prediction(device="cheap", latency_s=Estimate(4.0, 4.0, 4.0), energy_j=Estimate(400.0, 400.0, 400.0))
DARK = prediction(device="dark", latency_s=Estimate(3.0, 3.0, 3.0), energy_j=None)


def test_orders() -> None:
    prices = Prices(grid=100, per_hour={"fast": 10.0, "lean": 4.0, "cheap": 1.0, "dark": 3.0})
    every = [DARK, CHEAP, LEAN, FAST]

    def order(by: str, p: Prices = prices) -> list[str]:
        return [x.device for x in ranked(every, by, p)]

    assert order("latency") == ["fast", "lean", "dark", "cheap"]
    assert order("energy") == ["lean", "fast", "cheap", "dark"]  # unknown energy comes last
    assert order("carbon") == ["lean", "fast", "cheap", "dark"]
    # By hour: 10, 8, 9 and 4 units of money.
    assert order("money") == ["cheap", "lean", "dark", "fast"]
    # A host of 400 W costs the slow ones most: 700, 1000, 2000 J.
    assert order("energy", Prices(hosts=Hosts(400.0))) == ["fast", "lean", "cheap", "dark"]


@pytest.mark.parametrize(
    ("by", "prices", "message"),
    [
        ("carbon", Prices(), "needs the grid"),
        ("money", Prices(), "needs --price-per-hour"),
        ("money", Prices(per_hour={"fast": 1.0}), "no price per hour of lean"),
        ("enregy", Prices(), "did you mean 'energy'"),
    ],
)
def test_orders_that_nothing_was_given_for(by: str, prices: Prices, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ranked([FAST, LEAN], by, prices)


def test_the_command_offers_every_order() -> None:
    assert compare_command.RANKS == RANKS


# ---------------------------------------------------------------------------------------------------------- workloads
def inputs(**shapes: tuple[tuple[str | int, int], ...]) -> Graph:
    """A graph of inputs alone: each axis by its name (or the number itself) and extent."""
    tensors = {
        n: Tensor(n, tuple(e for _, e in axes), "int64" if "id" in n or "mask" in n else "fp32")
        for n, axes in shapes.items()
    }
    named = {n: tuple(a if isinstance(a, str) else None for a, _ in axes) for n, axes in shapes.items()}
    return Graph("m", tensors, (), inputs=tuple(shapes), input_axes={n: a for n, a in named.items() if any(a)})


@pytest.mark.parametrize(
    ("graph", "samples", "tokens", "sequence"),
    [
        (inputs(ids=(("batch", 4), ("seq", 128))), 4, 512, "seq"),
        (inputs(image=(("N", 8), (3, 3), (224, 224), (224, 224))), 8, None, None),
        (inputs(image=((2, 2), (3, 3), (224, 224), (224, 224))), 2, None, None),
        (inputs(a_0=((1, 1), ("seq", 7))), 1, 7, "seq"),
        (inputs(input_ids=((2, 2), (128, 128))), 2, 256, None),
        (inputs(input_ids=(("batch_size", 2), ("input_ids_1", 16))), 2, 32, "input_ids_1"),
        (inputs(x=(("seq", 50), (512, 512))), 1, 50, "seq"),
        # Tokens in a cache are not worked on again.
        (
            inputs(
                past_key=(("batch", 2), (8, 8), ("past_sequence_length", 100), (64, 64)),
                input_ids=(("batch", 2), ("sequence_length", 1)),
            ),
            2, 2, "sequence_length",
        ),
        (Builder("bf16").graph(), 1, None, None),
    ],
)  # fmt: skip
def test_what_a_run_works_on(graph: Graph, samples: int, tokens: int | None, sequence: str | None) -> None:
    assert workload_of(graph) == Workload(samples, tokens)
    assert sequence_dim(graph) == sequence


def test_a_prediction_knows_its_workload() -> None:
    p = perfmodel.predict("examples/resnet18.onnx", "h100-sxm", dims={"batch": 8}, predictor="analytical")
    assert p.workload == Workload(8, None)
    c = p.cost(perfmodel.Prices(grid="SWE", electricity=0.1))
    assert c.per_million.energy_j is not None
    assert p.energy_j is not None
    assert c.per_million.energy_j.value == pytest.approx(125000 * p.energy_j.value)
    assert (p.to_dict()["samples"], p.to_dict()["tokens"]) == (8, None)
    assert p.power_limit_w == 700.0
    # 72.76 W at its lowest clocks; more at those that it runs at.
    assert p.idle_power_w is not None
    assert 72.76 <= p.idle_power_w < 200.0
    assert p.power_profile().average_w.value == pytest.approx(p.power_w.value if p.power_w else 0.0)


@pytest.mark.parametrize("called", ["Georgia", "georgia"])
def test_a_name_of_two_regions_is_refused(called: str) -> None:
    with pytest.raises(InputError, match=re.escape("may be GEO (Georgia) or US-GA (Georgia): give the code")):
        grid_region(called)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prices(grid=True), "grid is True"),
        (lambda: Prices(per_hour=True), "price per hour is True"),
        (lambda: Prices(pue=True), "pue is True"),
        (lambda: Hosts(power_w=True), "host_power_w is True"),
        (lambda: Hosts(devices=True), "devices_per_host is True"),
        (lambda: Conditions(power_limit_w=True), "power_limit_w is True"),
    ],
)
def test_true_is_no_number(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
    assert is_number(np.int64(3))
    assert is_whole_number(np.int64(3))

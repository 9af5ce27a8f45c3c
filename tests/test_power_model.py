"""The physical model of power: energy by cause, idle power, the limit, intervals, what a cap does to a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import toy_device

from perfmodel.errors import PredictorError
from perfmodel.hardware import catalogue, load_device
from perfmodel.models.power import (
    ENERGY_TERMS,
    FALLBACK,
    Activity,
    DevicePower,
    PowerConstants,
    VoltageCurve,
    energy_per_operation,
    energy_terms,
    fitted,
    idle_power_w,
    limited,
    memory_of,
    running_idle_w,
    shares,
)
from perfmodel.models.power.capped import CappedRuns, CapResponse, fit_response, under_cap
from perfmodel.models.power.energy import Estimated, intervals, log_interval
from perfmodel.models.predictor import Predictor
from perfmodel.ops import Elementwise, Gemm, Operator

TOY = toy_device()
ROUND = replace(
    FALLBACK, arithmetic_j_per_flop={**FALLBACK.arithmetic_j_per_flop, "bf16": 1e-12}, vector_j_per_flop=4e-12,
    element_j=50e-12, l2_j_per_byte=10e-12, dram_j_per_byte={**FALLBACK.dram_j_per_byte, "gddr6": 100e-12},
    issue_j_per_clock=1e-9, leakage_w_per_unit=0.5, process_exponent=1.0, voltage_exponent=2.0, idle_linear_rise=0.1,
    idle_clock_rise=0.5, ceiling=1.0, sharpness=2.0, voltage=VoltageCurve(flat_to=0.5, rise=0.5, shape=1.0),
)  # fmt: skip
"""The toy is at 4 nm with a single unit at 1 GHz: on the chip everything is 4/7 of these figures."""


def activity(**changes: Any) -> Activity:
    values = {
        "product_flops": 7e9, "vector_flops": 7e8, "elements": 7e7, "l2_bytes": 7e8, "dram_bytes": 1e8, "occupancy": 0.5,
    }  # fmt: skip
    arrays = {name: np.array([float(v)]) for name, v in {**values, **changes}.items()}
    return Activity(arithmetic="bf16", **arrays)


def test_energy_by_hand() -> None:
    d = DevicePower.of(TOY, ROUND)
    # At half of the clock the voltage is the lowest: 4/7 of every figure of the chip. 0.1 s, half of the unit busy.
    terms = energy_terms(d, activity(), np.array([0.1]), 0.5)
    joules = {name: float(values[0]) for name, values in terms.items()}
    # Idle 10 W, and half of a tenth more by the clock. A clock costs 4/7 of 1 nJ, half a billion times a second.
    assert joules == pytest.approx(
        {
            "idle": 1.05, "leakage": 0.5 * 0.05, "issue": 4 / 7 * 0.5 * 0.05, "arithmetic": 4e-3,
            "elements": 2e-3 + 1.6e-3, "l2": 4e-3, "dram": 1e-2,
        }
    )  # fmt: skip
    assert tuple(terms) == ENERGY_TERMS
    # At the top the voltage is 1.5 times the lowest: 2.25 times the energy of an operation, 3.375 times the leakage, twice the
    # clocks; idle power is 15 W; what crosses memory costs the same.
    top = {n: float(v[0]) for n, v in energy_terms(d, activity(), np.array([0.1]), 1.0).items()}
    assert top["idle"] == pytest.approx(1.5)
    assert top["leakage"] == pytest.approx(3.375 * joules["leakage"])
    assert top["issue"] == pytest.approx(4.5 * joules["issue"])
    assert top["arithmetic"] == pytest.approx(2.25 * joules["arithmetic"])
    assert top["dram"] == joules["dram"]


def test_the_limit_is_a_soft_minimum_above_idle() -> None:
    d = DevicePower.of(TOY, ROUND)
    idle = np.array(10.0)
    # Wanted 30 W above idle, room for 40: 30·(1 + 9/16)^(-1/2) = 24.
    assert limited(d, np.array([40.0]), idle, 50.0) == pytest.approx([34.0])
    assert limited(d, np.array([10.0, 1e9]), idle, 50.0) == pytest.approx([10.0, 50.0])
    # A limit at or below idle leaves nothing.
    assert limited(d, np.array([40.0]), idle, 10.0) == pytest.approx([10.0])


@given(demand=st.floats(10, 1e4), more=st.floats(1, 1e3), limit=st.floats(11, 1e3), higher=st.floats(1, 1e3))
@settings(max_examples=60, deadline=None)
def test_power_rises_with_demand_and_limit(demand: float, more: float, limit: float, higher: float) -> None:
    d, idle = DevicePower.of(TOY, fitted()), np.array(10.0)
    low, high = limited(d, np.array([demand, demand + more]), idle, limit)
    assert 10 <= low <= high + 1e-9
    assert high <= limit
    assert limited(d, np.array([demand]), idle, limit + higher)[0] >= low - 1e-9


def test_idle_power_of_two_measured_gpus() -> None:
    # EnergAIzer's artefact, config/dvfs: locked clock [MHz] and watts with nothing running.
    for name, watts in (
        ("a100-pcie-40gb", {210: 44.47, 900: 47.35, 1200: 54.28, 1410: 67.34}),
        ("a100-sxm-80gb", {210: 60.28, 900: 63.21, 1200: 68.37, 1410: 82.29}),
    ):
        for mhz, measured in watts.items():
            assert running_idle_w(load_device(name), mhz * 1e6) == pytest.approx(measured, rel=0.08), (name, mhz)


def test_supply_voltage_of_a_measured_gpu() -> None:
    # Volts over the lowest, 0.69375: config/dvfs/yz8/supply_voltage.json.
    d = DevicePower.of(load_device("a100-pcie-40gb"))
    for mhz, volts in {510: 0.69375, 1020: 0.69375, 1155: 0.7375, 1260: 0.7875, 1350: 0.84375, 1410: 0.89375}.items():
        assert d.relative_voltage(mhz / 1410) == pytest.approx(volts / 0.69375, rel=0.02)


def test_memory_is_told_by_bus_and_pins() -> None:
    expected = {
        "a100-pcie-40gb": "hbm2", "h100-sxm": "hbm3", "a10": "gddr6", "p4": "gddr5", "rtx-5090": "gddr7",
        "p100-pcie-16gb": "hbm2", "jetson-orin": "lpddr", "epyc-9654": "ddr5", "xeon-8380": "ddr4",
        "core-ultra-7-258v": "lpddr", "tpu-v5p": "hbm3",
    }  # fmt: skip
    assert {name: memory_of(load_device(name)) for name in expected} == expected


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_device_has_an_energy_for_each_of_its_formats(name: str) -> None:
    device = load_device(name)
    rows = energy_per_operation(device)
    flops = {row.dtype: row for row in rows if row.operation == "flop"}
    assert flops.keys() == device.peak_flops.keys()
    known = {id(row): row.energy_j for row in rows if row.energy_j is not None}
    assert all(0 < joules < 1e-6 for joules in known.values())
    without = device.kind != "gpu" and device.tdp_w is None
    assert len(known) == (1 if without else len(rows))
    for row in flops.values():
        assert (row.with_issue_j is None) == (idle_power_w(device) is None)
        assert row.with_issue_j is None or row.with_issue_j > known[id(row)]
    # Narrower is cheaper, on the units that a device has for it.
    order = [known[id(flops[f])] for f in ("fp32", "bf16", "fp8", "fp4") if f in flops and not without]
    assert order == sorted(order, reverse=True)


def test_all_cores_at_full_rate_and_base_clock_draw_the_tdp_of_a_cpu() -> None:
    device = load_device("xeon-8480-plus")
    d = DevicePower.of(device)
    assert device.base_clock_hz is not None
    ratio = device.base_clock_hz / d.peak_clock_hz
    rate = device.peak_flops["fp32"] * device.base_clock_hz / (device.clock_hz("fp32") or d.peak_clock_hz)
    work = Activity("fp32", np.array([rate]), *(np.zeros(1) for _ in range(4)), np.ones(1))
    terms = energy_terms(d, work, np.ones(1), ratio)
    assert sum(float(v[0]) for v in terms.values()) == pytest.approx(350, rel=0.02)


CPU_OPS: list[Operator] = [
    Gemm(m=4096, n=4096, k=4096, dtype="fp32"),
    Elementwise(kind="add", elements=10**8, inputs=2, dtype="fp32"),
]


def test_a_cpu_under_a_large_product_draws_most_of_its_tdp() -> None:
    for name in ("epyc-9654", "xeon-8480-plus", "graviton3"):
        e = Predictor().predict(CPU_OPS, load_device(name), cache="cold")
        tdp = load_device(name).tdp_w
        if tdp is None:
            continue
        assert 0.8 * tdp < e.power_w[0] <= tdp
        # No label measured a CPU: a factor of 1.5 at least, as far as idle power and limit allow.
        assert (e.power_low_w <= np.maximum(e.power_w / 1.5, idle_power_w(load_device(name)) or 0) * 1.4).all()
        assert (e.power_high_w >= np.minimum(e.power_w * 1.5, tdp) * (1 - 1e-9)).all()


def test_energy_by_cause_adds_up_under_a_limit() -> None:
    d = DevicePower.of(TOY, ROUND)
    terms = energy_terms(d, activity(), np.array([1e-3]), 1.0)
    total = np.array([60.0 * 1e-3])
    parts = shares(terms, total)
    assert sum(v[0] for v in parts.values()) == pytest.approx(total[0])
    assert parts["idle"][0] == terms["idle"][0]


def test_a_longer_latency_is_less_power_and_hardly_more_energy() -> None:
    d = DevicePower.of(TOY, ROUND)
    latency = np.array([1e-2])
    e = Estimated.of(d, energy_terms(d, activity(occupancy=0.0), latency, 0.5), latency, 0.5, 1e6)
    ends = intervals(e, (0.0, 0.0), latency, latency / 2, latency * 2, 1e6)
    # Idle 10.5 W of 12.76 W: of a factor 2 in time the energy takes 2^0.823, the power 2^-0.177.
    static = 10.5 / float(e.demand_w[0])
    assert ends["energy_high_j"] / (e.power_w * latency) == pytest.approx(2**static, rel=1e-6)
    assert ends["power_low_w"] / e.power_w == pytest.approx(2 ** (static - 1), rel=1e-6)
    # At the limit the power is what it is, and the energy follows the time.
    tight = Estimated.of(d, energy_terms(d, activity(product_flops=1e15), latency, 0.5), latency, 0.5, 50.0)
    ends = intervals(tight, (0.0, 0.0), latency, latency / 2, latency * 2, 50.0)
    assert ends["power_low_w"] == pytest.approx(tight.power_w, rel=1e-3)
    assert ends["energy_high_j"] == pytest.approx(tight.power_w * 2 * latency, rel=1e-3)


def test_intervals_are_narrow_only_where_constants_were_fitted() -> None:
    fitted_on, other, cpu = (log_interval(load_device(n)) for n in ("a100-pcie-40gb", "a10", "epyc-9654"))
    assert other[0] < fitted_on[0] < 0 < fitted_on[1] < other[1]
    assert cpu == pytest.approx((-np.log(1.5), np.log(1.5)))


def test_constants_survive_a_manifest_and_refuse_nonsense() -> None:
    assert PowerConstants.from_dict(fitted().to_dict()) == fitted()
    for wrong, message in (
        ({"elements": 1.0}, "unknown power constants: elements"),
        ({"element_j": -1.0}, "power constant element_j is -1.0; wanted a positive number"),
        ({"dram_j_per_byte": {"sram": 1e-12}}, "power constant dram_j_per_byte: unknown sram"),
    ):
        with pytest.raises(PredictorError, match=message):
            PowerConstants.from_dict(wrong)


# ----------------------------------------------------------------------------------------------------- runs under a cap
def runs(power: float, cap: float, rows: int = 1) -> CappedRuns:
    return CappedRuns(*(np.full(rows, v) for v in (power, 100.0, 50.0, 250.0, cap)))


@given(power=st.floats(55, 250), cap=st.floats(60, 400), tighter=st.floats(0.3, 1.0))
@settings(max_examples=80, deadline=None)
def test_a_tighter_cap_is_slower_and_draws_less(power: float, cap: float, tighter: float) -> None:
    response = CapResponse()
    (watts,), (seconds,) = under_cap(runs(power, cap), response)
    (less,), (slower,) = under_cap(runs(power, max(cap * tighter, 1.0)), response)
    assert 0 < less <= watts + 1e-9
    assert watts <= min(power, cap) + 1e-9
    assert 100.0 - 1e-9 <= seconds <= slower * (1 + 1e-12)


def test_a_cap_at_the_tdp_changes_nothing() -> None:
    for cap in (250.0, 1000.0):
        watts, seconds = under_cap(runs(220.0, cap), CapResponse())
        assert (watts[0], seconds[0]) == pytest.approx((220.0, 100.0))


def test_the_response_is_found_again() -> None:
    truth = CapResponse(cap_share=0.8, tdp_share=0.08, sensitivity=0.3, memory_share=0.2)
    rng = np.random.default_rng(0)
    many = CappedRuns(
        rng.uniform(100, 240, 60), np.full(60, 10.0), np.full(60, 40.0), np.full(60, 250.0), rng.uniform(100, 240, 60)
    )
    power, seconds = under_cap(many, truth)
    found = fit_response(many, power, seconds, np.full(60, "one"))
    again, longer = under_cap(many, found)
    assert again == pytest.approx(power, rel=0.01)
    assert longer == pytest.approx(seconds, rel=0.02)

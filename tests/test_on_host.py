"""Models on a processor whose kernels were learned: power, clocks, caps and caches follow the learned times."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fusion_graphs import Builder

from perfmodel import ModelPrediction, predict
from perfmodel.errors import InputError
from perfmodel.graph import Graph
from perfmodel.hardware import load_device
from perfmodel.models.host.boosters import KernelEstimates
from perfmodel.models.host.composition import Composition
from perfmodel.models.power import idle_power_w
from perfmodel.models.predictor import Predictor, load
from perfmodel.models.times import Times
from perfmodel.ops import Gemm, Softmax

XEON = load_device("xeon-8380")
PER_NODE_S, PER_RUN_S = 5e-7, 38e-6
COMPOSITION = Composition(PER_NODE_S, PER_RUN_S, quantiles=((-0.5, 0.5),) * 3)


def model() -> Graph:
    """A product that its cores' arithmetic bounds, and a softmax that memory does."""
    b = Builder("fp32")
    x = b.linear(b.input(4096, 1024), 1024)
    (y,) = b.node(Softmax(rows=4096, cols=1024, dtype="fp32"), (x,), (4096, 1024))
    return b.graph(y)


def on_host(
    monkeypatch: pytest.MonkeyPatch, factor: float, composition: Composition = COMPOSITION, **conditions: Any
) -> ModelPrediction:
    """The model with kernels that take a multiple of what the physics says of them, give or take a third."""
    alone = predict(model(), XEON, predictor="analytical").operators
    seconds = {o.op: factor * o.latency_each_s.value for o in alone}

    def kernels(table: Any, device: Any) -> KernelEstimates:
        latency = np.array([seconds[op] for op in table["op"]])
        return KernelEstimates(latency, latency / 1.5, latency * 1.5, latency, np.full(len(latency), True))

    host = SimpleNamespace(predict=kernels, composition=composition, software="runtime-1.2", threads=1)
    with monkeypatch.context() as patch:
        patch.setattr("perfmodel.models.host.boosters.host_kernels_of", lambda *given: host)
        return predict(model(), XEON, predictor="analytical", **conditions)


@pytest.mark.parametrize("conditions", [{}, {"clock_mhz": 1000.0}, {"power_limit_w": 150.0}, {"cache": "cold"}])
@pytest.mark.parametrize("factor", [0.2, 0.5, 1.0, 5.0])
def test_intervals_hold_what_they_are_of(
    monkeypatch: pytest.MonkeyPatch, factor: float, conditions: dict[str, Any]
) -> None:
    p = on_host(monkeypatch, factor, **conditions)
    idle, limit = idle_power_w(XEON), p.power_limit_w
    assert idle is not None
    assert limit is not None
    for part in (p, *p.operators):
        assert part.power_w is not None
        assert part.energy_j is not None
        assert idle <= part.power_w.low < part.power_w.value <= part.power_w.high <= limit
        assert part.energy_j.low < part.energy_j.value < part.energy_j.high
        assert part.energy_j.value == pytest.approx(part.power_w.value * part.latency_s.value)
        assert part.latency_s.low <= part.latency_s.value <= part.latency_s.high


def test_the_same_work_in_more_time_draws_less(monkeypatch: pytest.MonkeyPatch) -> None:
    for quick, slow in zip(*(on_host(monkeypatch, factor).operators for factor in (1.0, 5.0)), strict=True):
        assert slow.latency_s.value == pytest.approx(5 * quick.latency_s.value)
        # The arithmetic and the bytes stay, what is there each second is five times as much.
        assert slow.power_w.value < quick.power_w.value
        assert 1.0 < slow.energy_j.value / quick.energy_j.value < 5.0


@pytest.mark.parametrize(
    "conditions",
    [{"clock_mhz": 1000.0}, {"clock_mhz": 2000.0}, {"power_limit_w": 120.0}, {"cache": "cold"}, {"cache": "warm"}],
)
def test_kernels_that_take_what_the_physics_says_take_it_under_all_conditions(
    monkeypatch: pytest.MonkeyPatch, conditions: dict[str, Any]
) -> None:
    physics = predict(model(), XEON, predictor="analytical", **conditions)
    learned = on_host(monkeypatch, 1.0, **conditions)
    for one, other in zip(physics.operators, learned.operators, strict=True):
        assert other.latency_s.value == pytest.approx(one.latency_s.value)
        assert other.power_w.value == pytest.approx(one.power_w.value)
    # Two nodes and a run of the runtime's own time.
    kernels = sum(o.latency_s.value for o in physics.operators)
    assert learned.latency_s.value == pytest.approx(kernels + 2 * PER_NODE_S + PER_RUN_S)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_a_clock_or_a_cap_slows_learned_kernels(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    free = on_host(monkeypatch, factor)
    for conditions in ({"clock_mhz": 1000.0}, {"power_limit_w": 90.0}):
        held = on_host(monkeypatch, factor, **conditions)
        product, softmax = held.operators
        assert product.latency_s.value > 1.1 * free.operators[0].latency_s.value
        assert softmax.latency_s.value >= free.operators[1].latency_s.value
        assert product.source == "blended"  # what was learned is leant on where the clock is another
        assert held.latency_s.value > free.latency_s.value
        # The run's interval is at least as wide as that of runs as they were measured.
        assert held.latency_s.high / held.latency_s.value >= free.latency_s.high / free.latency_s.value
        assert held.latency_s.low / held.latency_s.value <= free.latency_s.low / free.latency_s.value
    top = on_host(monkeypatch, factor, clock_mhz=XEON.peak_clock_hz / 1e6)
    assert top.latency_s.value == pytest.approx(free.latency_s.value)
    assert (top.latency_s.low, top.latency_s.high) == pytest.approx((free.latency_s.low, free.latency_s.high))


def test_a_runtime_that_was_measured_has_its_launches_in(monkeypatch: pytest.MonkeyPatch) -> None:
    free, eager = on_host(monkeypatch, 1.0), on_host(monkeypatch, 1.0, launch="eager")
    assert eager.latency_s == free.latency_s
    assert eager.energy_j == free.energy_j
    said = "launch eager changes nothing"
    assert [said in " ".join(p.warnings) for p in (free, eager)] == [False, True]


@pytest.mark.parametrize(
    "conditions", [{}, {"clock_hz": 1e9}, {"power_limit_w": 300.0}, {"clock_hz": 1.2e9, "power_limit_w": 250.0}]
)
def test_times_of_a_predictor_give_what_it_predicts(conditions: dict[str, Any]) -> None:
    """Learned products on an H100, their times handed over: all that follows is as if the predictor had learned them."""
    predictor, ops = load(), [Gemm(m=8, n=4096, k=4096, dtype="bf16"), Gemm(m=4096, n=4096, k=4096, dtype="bf16")]
    assert isinstance(predictor, Predictor)
    free = predictor.predict(ops, "h100-sxm")
    times = Times(free.latency_s, free.latency_low_s, free.latency_high_s, free.source, free.software)
    own, handed = (predictor.predict(ops, "h100-sxm", times=t, **conditions) for t in (None, times))
    for name in ("latency", "power", "energy"):
        unit = {"latency": "s", "power": "w", "energy": "j"}[name]
        for end in ("", "_low", "_high"):
            column = f"{name}{end}_{unit}"
            assert getattr(handed, column) == pytest.approx(getattr(own, column)), column
    assert handed.source.tolist() == own.source.tolist()


@pytest.mark.parametrize("rows", [1, 3])
def test_times_of_another_number_of_rows_are_refused(rows: int) -> None:
    seconds, names = np.full(rows, 1e-5), np.full(rows, "x", dtype=object)
    products, times = (
        Gemm(m=np.array([8, 16]), n=64, k=64, dtype="bf16"),
        Times(seconds, seconds, seconds, names, names),
    )
    with pytest.raises(InputError, match=rf"times has the shape \({rows},\); wanted one number for each of the 2 rows"):
        load("analytical").predict(products, "h100-sxm", times=times)

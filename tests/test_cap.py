"""A power cap costs time: latency, power and energy under it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import InputError
from perfmodel.hardware import load_device
from perfmodel.models.cap import without_effect
from perfmodel.models.predictor import Estimates, Predictor
from perfmodel.ops import Elementwise, Gemm, Operator
from perfmodel.predict import predict

EXAMPLE = Path(__file__).parent.parent / "examples" / "resnet18.onnx"

OPS: list[Operator] = [
    Gemm(m=8192, n=8192, k=8192, dtype="bf16"),
    Gemm(m=4096, n=4096, k=4096, dtype="fp32"),
    Gemm(m=4, n=4096, k=4096, dtype="bf16"),
    Elementwise(kind="add", elements=10**8, inputs=2, dtype="bf16"),
]
H100 = load_device("h100-sxm")
IDLE_W, TDP_W = 72.76, 700.0


def under(cap: float | None, **options: float) -> Estimates:
    return Predictor().predict(OPS, H100, cache="cold", power_limit_w=cap, **options)


def test_a_cap_at_the_devices_own_limit_changes_nothing() -> None:
    free = under(None)
    for cap in (TDP_W, 2 * TDP_W):
        assert (under(cap).latency_s == free.latency_s).all()
        assert (under(cap).power_w == free.power_w).all()


@pytest.mark.parametrize("cap", [600.0, 400.0, 200.0, 100.0, 75.0])
def test_power_is_paid_for_with_time(cap: float) -> None:
    free, capped = under(None), under(cap)
    assert (capped.power_w <= cap + 1e-9).all()
    assert (capped.power_high_w <= cap).all()
    assert (capped.latency_s[free.power_w > cap] > free.latency_s[free.power_w > cap]).all()
    # The limit is soft: far below it nothing changes, close to it a little.
    far = free.power_w <= 0.6 * cap
    assert capped.latency_s[far] == pytest.approx(free.latency_s[far], rel=5e-3)
    assert (capped.bound[free.power_w > cap] == "power").all()
    # Voltage falls to 0.694 / 0.894 of its peak at best: no operator takes less energy than the cube of that of its own. When
    # nothing runs at the peak clock the H100 draws 118 W, 120 at its very top.
    least = (free.power_w - 121.0) * free.latency_s * (0.694 / 0.894) ** 3
    assert (capped.energy_j >= least + IDLE_W * capped.latency_s - 1e-9).all()


@given(st.floats(80, 700), st.floats(80, 700))
@settings(max_examples=25, deadline=None)
def test_a_tighter_cap_is_never_faster(one: float, other: float) -> None:
    tight, loose = under(min(one, other)), under(max(one, other))
    assert (tight.latency_s >= loose.latency_s * (1 - 1e-12)).all()
    assert (tight.power_w <= min(one, other) + 1e-9).all()


def test_a_cap_on_top_of_a_pinned_clock() -> None:
    pinned = under(None, clock_hz=1e9)
    capped = under(150.0, clock_hz=1e9)
    assert (capped.latency_s >= pinned.latency_s).all()
    assert (capped.power_w <= 150.0).all()


def test_nothing_runs_on_less_than_idle() -> None:
    with pytest.raises(
        InputError, match=r"a power limit of 60 W is not above the 72\.76 W that h100-sxm draws when idle"
    ):
        under(60.0)


def test_interval_and_terms_go_along() -> None:
    capped = under(200.0)
    assert (capped.latency_low_s <= capped.latency_s).all()
    assert (capped.latency_s <= capped.latency_high_s).all()
    assert np.isfinite(capped.latency_high_s).all()


def test_a_cap_bounds_what_it_slows() -> None:
    # The soft minimum takes a little of every operator: 690 of 700 W slow none of these by a hundredth.
    free, near, tight = under(None), under(690.0), under(150.0)
    slower = near.latency_s > 1.01 * free.latency_s
    assert (near.bound[~slower] == free.bound[~slower]).all()
    assert (tight.bound[tight.latency_s > 1.02 * free.latency_s] == "power").all()


def test_a_cap_without_effect_says_why() -> None:
    assert without_effect(load_device("h100-sxm"), None) is None
    assert without_effect(load_device("h100-sxm"), 700.0) is None
    assert without_effect(load_device("h100-sxm"), 300.0) is None
    assert without_effect(load_device("h100-sxm"), 900.0) == (
        "the power limit of 900 W is above the 700 W of h100-sxm, which hold instead"
    )
    assert without_effect(load_device("tpu-v4"), 100.0) == (
        "the TDP of tpu-v4 is unknown: the power limit of 100 W changes nothing here"
    )
    prediction = predict(EXAMPLE, "tpu-v4", dims={"batch": 1}, power_limit_w=100.0)
    assert any("changes nothing here" in w for w in prediction.warnings)


def test_a_cap_that_a_driver_may_refuse_says_so() -> None:
    # An RTX 4090 idles at 135 W: at 140 W its products do not even fit at a fifth of the clock.
    pauses = "at a fifth of its highest clock: they are taken to pause in between"
    (note,) = Predictor().predict(OPS[0], "rtx-4090", power_limit_w=140.0).notes
    assert note.startswith("some operators draw more than 140 W on rtx-4090 " + pauses)
    # 0.28 of 700 W are 196.
    assert not under(300.0).notes
    low, note = under(150.0).notes
    assert low.startswith("a driver may refuse a power limit of 150 W")
    assert "196 W on h100-sxm" in low
    assert pauses in note

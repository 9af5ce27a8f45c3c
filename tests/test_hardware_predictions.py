"""Every shipped device predicts every family and format: finite, positive, above the floor, within its power."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfmodel
from perfmodel import ops
from perfmodel.dtypes import GEMM_DTYPES
from perfmodel.hardware import catalogue, load_device
from perfmodel.models.power import idle_power_w
from perfmodel.models.predictor import Estimates
from perfmodel.predict import compare

IDS = sorted(catalogue())
all_devices = pytest.mark.parametrize("name", IDS)


def operators(dtype: str) -> list[ops.Operator]:
    """One of each family that runs in a format, of a size that fills no device and one that fills most."""
    return [
        ops.Gemm(m=1, n=4096, k=4096, dtype=dtype),
        ops.Gemm(m=2048, n=2048, k=2048, dtype=dtype),
        ops.Conv(
            batch=8, c_in=64, c_out=64, h=56, w=56, kernel_h=3, kernel_w=3, stride_h=1, stride_w=1, pad_h=1, pad_w=1,
            groups=1, dtype=dtype,
        ),
        ops.Attention(
            phase="prefill", batch=1, q_len=512, kv_len=512, heads=16, kv_heads=16, head_dim=64, causal=True, dtype=dtype
        ),
    ]  # fmt: skip


SOFTMAX = [ops.Softmax(kind="softmax", rows=4096, cols=1024, dtype=dtype) for dtype in ("fp32", "fp16", "bf16")]
ALL = [*(op for dtype in GEMM_DTYPES for op in operators(dtype)), *SOFTMAX]


PREDICTOR = perfmodel.load("default")


def estimates(name: str, what: list[ops.Operator]) -> Estimates:
    return PREDICTOR.predict(what, load_device(name), cache="cold")


@all_devices
def test_every_family_in_every_format(name: str) -> None:
    device, e = load_device(name), estimates(name, ALL)
    assert np.isfinite(e.latency_s).all()
    assert (e.floor_s > 0).all()  # nothing is resident in a cold cache: every operator has bytes to move
    assert (e.latency_s >= e.floor_s).all()
    assert (e.latency_low_s <= e.latency_s).all()
    assert (e.latency_s <= e.latency_high_s).all()
    if device.tdp_w is None:
        assert np.isnan(e.power_w).all()
        return
    idle = idle_power_w(device)
    assert idle is not None
    assert (e.power_w >= idle).all()
    assert (e.power_w <= device.tdp_w).all()
    assert e.energy_j == pytest.approx(e.power_w * e.latency_s)


@all_devices
def test_the_floor_is_the_datasheets(name: str) -> None:
    # 2 x 4096^3 = 137.4 GFLOP over the peak, or three matrices of 4096^2 two-byte elements over the bandwidth.
    device = load_device(name)
    [floor] = estimates(name, [ops.Gemm(m=4096, n=4096, k=4096, dtype="bf16")]).floor_s
    peak = device.peak_flops.get("bf16", device.peak_flops["fp32"])
    assert floor == pytest.approx(max(137_438_953_472 / peak, 100_663_296 / device.memory_bandwidth_bytes_per_s))


@all_devices
def test_a_large_product_comes_within_three_times_the_floor(name: str) -> None:
    # Libraries reach half of the peak and more on every one of these machines; a constant that is off by ten shows here.
    device = load_device(name)
    dtype = "fp32" if device.kind == "cpu" else "bf16"
    e = estimates(name, [ops.Gemm(m=4096, n=4096, k=4096, dtype=dtype)])
    assert 1.0 <= e.latency_s[0] / e.floor_s[0] <= 3.0


@all_devices
def test_a_large_attention_comes_within_five_times_the_floor(name: str) -> None:
    attention = ops.Attention(
        phase="prefill",
        batch=1,
        q_len=2048,
        kv_len=2048,
        heads=32,
        kv_heads=32,
        head_dim=128,
        causal=False,
        dtype="bf16",
    )
    e = estimates(name, [attention])
    assert 1.0 <= e.latency_s[0] / e.floor_s[0] <= 5.0


@all_devices
def test_a_format_that_is_emulated_says_so(name: str) -> None:
    peaks = load_device(name).peak_flops
    notes = estimates(name, [ops.Gemm(m=64, n=64, k=64, dtype=dtype) for dtype in GEMM_DTYPES]).notes
    emulated = {note.partition(":")[0] for note in notes if "ran instead" in note}
    assert emulated == {dtype for dtype, record in GEMM_DTYPES.items() if record.arithmetics[0] not in peaks}


# A slower clock never helps. The clock is pinned both times, so that no power limit plays a part.
@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from([name for name in IDS if load_device(name).peak_clock_hz]),
    op=st.sampled_from(operators("bf16") + SOFTMAX),
    slow=st.floats(0.3, 0.95),
)
def test_a_slower_clock_is_not_faster(name: str, op: ops.Operator, slow: float) -> None:
    device = load_device(name)
    top = device.clock_hz(device.arithmetic("bf16").name)
    assert top is not None
    times = [PREDICTOR.predict([op], device, clock_hz=top * ratio).analytical_s[0] for ratio in (slow, 1.0)]
    assert times[0] >= times[1] * (1 - 1e-9)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(IDS), op=st.sampled_from(operators("bf16")), factor=st.floats(1.05, 4))
def test_more_bandwidth_is_not_slower(name: str, op: ops.Operator, factor: float) -> None:
    device = load_device(name)
    better = dataclasses.replace(
        device, memory_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s * factor, id="better"
    )
    before, after = (PREDICTOR.predict([op], d).analytical_s[0] for d in (device, better))
    assert after <= before * (1 + 1e-9)


def test_the_order_of_devices_on_the_demo_model() -> None:
    # ResNet-18 in 16 bits: the order that everyone who has used these GPUs expects.
    demo = Path(__file__).parent.parent / "examples" / "resnet18.onnx"
    names = ["t4", "h100-sxm", "core-ultra-7-258v", "a100-sxm-80gb", "l4", "rtx-4090", "jetson-orin", "gtx-1080ti"]
    ranked = [p.device for p in compare(demo, names, dims={"batch": 32}, dtype="fp16")]
    assert ranked[0] == "h100-sxm"
    assert set(ranked[1:3]) == {"a100-sxm-80gb", "rtx-4090"}
    assert ranked.index("rtx-4090") < ranked.index("l4") < ranked.index("t4") < ranked.index("gtx-1080ti")
    assert ranked.index("l4") < ranked.index("jetson-orin")
    assert ranked[-1] == "core-ultra-7-258v"

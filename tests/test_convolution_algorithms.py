"""Algorithms of convolutions: when each may run, what it executes, its workspace, and the order that measured facts demand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import TOY_CONSTANTS, toy_device

from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.bounds import Bounds, Candidate, Extras, Setting
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.convolution import (
    ALGORITHMS,
    conv_shape,
    direct,
    fft,
    formats,
    im2col_gemm,
    implicit_gemm,
    simt,
    winograd,
)
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.predictor import Predictor
from perfmodel.ops import Conv, Gemm
from perfmodel.ops.table import stack

CYCLE = 1e-9  # at the toy's 1 GHz
V100, H100 = load_device("v100-pcie-32gb"), load_device("h100-sxm")


def conv(c_in: int = 64, c_out: int = 64, size: int = 28, kernel: int = 3, **changes: Any) -> Conv:
    fields: dict[str, Any] = {
        "batch": 8, "c_in": c_in, "c_out": c_out, "h": size, "w": size, "kernel_h": kernel, "kernel_w": kernel,
        "pad_h": kernel // 2, "pad_w": kernel // 2, "dtype": "fp32",
    }  # fmt: skip
    return Conv(**{**fields, **changes})


def bounds(*ops: Conv, device: Device = V100, cache: str = "cold", extras: Extras | None = None) -> Bounds:
    (group,) = stack(ops)
    return analyse(group, device, constants=FALLBACK, conditions=Conditions(cache), extras=extras)


def candidates(op: Conv, device: Device, constants: Constants = TOY_CONSTANTS) -> dict[str, Candidate]:
    """Every algorithm that may run the operator, by name."""
    (group,) = stack([op])
    conditions = Conditions("cold")
    machine = Machine.of(device, op.dtype, conditions)
    s = Setting(1, device, machine, constants, conditions, Extras(np.zeros(1), np.zeros(1)))
    made = group.op
    assert isinstance(made, Conv)
    shape, f = conv_shape(made, s), formats(made, s)
    everything = [
        *implicit_gemm(shape, f, s), *im2col_gemm(shape, f, s, op.transposed), *direct(shape, f, s),
        *winograd(made, shape, f, s), *fft(made, shape, f, s),
    ]  # fmt: skip
    return {c.name: c for c in everything}


def algorithm(op: Conv, device: Device = V100, cache: str = "cold") -> str:
    chosen = bounds(op, device=device, cache=cache).algorithm
    assert chosen is not None
    return str(chosen[0])


# ------------------------------------------------------------------------------------------------------------ by hand
def test_fused_winograd_by_hand() -> None:
    # Two images of 4x4 tiles of 2x2 outputs are one block of 32 tiles, and 32 channels one of filters: 16 products of
    # 32·32 over 8 channels and 16 to fill the loop, at half of 95 FLOPs a clock.
    c = candidates(conv(8, 32, 8, batch=2), toy_device())["winograd_fused"]
    assert c.terms["compute"] / CYCLE == pytest.approx([2 * 16 * 32 * 32 * (8 + 16) / 47.5])
    # 200 inputs and 16·32 values of filters a channel, 4 bytes each, at twice 48 bytes a clock, the pace of memory.
    assert c.terms["l2"] / CYCLE == pytest.approx([(200 + 512) * 4 * 24 / 96])
    assert c.product_flops == pytest.approx([2 * 16 * (2 * 16) * 8 * 32])
    assert c.workspace_bytes == pytest.approx([16 * 8 * 32 * 4])  # transformed filters
    # A ninth row needs a fifth row of tiles, another row of blocks: twice the time.
    taller = candidates(conv(8, 32, 8, batch=2, h=9), toy_device())["winograd_fused"]
    assert taller.terms["compute"] == pytest.approx(2 * c.terms["compute"])


def test_nonfused_winograd_by_hand() -> None:
    # 16x16 outputs are 16 tiles of 4x4; with 4 images 64 tiles: 36 products of 64 x 64 over 8 channels and 16 to fill.
    c = candidates(conv(8, 64, 16, batch=4), toy_device())["winograd_nonfused"]
    assert c.terms["compute"] / CYCLE == pytest.approx([36 * 2 * 64 * 64 * (8 + 16) / 95])
    assert c.product_flops == pytest.approx([2 * 36 * 64 * 8 * 64])
    values = {"data": 36 * 64 * 8, "filters": 36 * 8 * 64, "results": 36 * 64 * 64}
    assert c.workspace_bytes == pytest.approx([4 * sum(values.values())])
    # FLOPs of the transforms at 10 a clock: 144 a tile and input channel, 72 a filter, 100 a tile and output channel.
    assert c.terms["vector"] / CYCLE == pytest.approx([(144 * 64 * 8 + 72 * 8 * 64 + 100 * 64 * 64) / 10])
    # From a cold cache all that the transforms read and write crosses DRAM; what they wrote a moment ago is in part still there
    # for the products.
    transforms = 4 * (4 * 8 * 256 + 9 * 8 * 64 + 4 * 64 * 256 + sum(values.values()))
    assert transforms < c.dram_bytes[0] < transforms + 4 * sum(values.values())


def test_im2col_stores_every_patch() -> None:
    op = conv(16, 32, 10, batch=3)
    c = candidates(op, toy_device())["im2col_gemm"]
    matrix = 3 * 100 * 9 * 16 * 4
    assert c.workspace_bytes == pytest.approx([matrix])
    # The patches are written by one kernel, and read with the filters by the next, which writes the result.
    assert c.dram_bytes == pytest.approx([3 * 16 * 100 * 4 + matrix + matrix + 9 * 16 * 32 * 4 + 3 * 32 * 100 * 4])
    # A CPU's segments stay in its caches.
    cpu = candidates(op, toy_device(kind="cpu"))
    assert cpu["im2col_gemm"].workspace_bytes == pytest.approx([128 * 128 * 4])
    assert cpu["im2col_gemm"].dram_bytes == pytest.approx([op.bytes])
    assert cpu["direct"].workspace_bytes == pytest.approx([0])
    assert "im2col_gemm" not in candidates(conv(kernel=1), toy_device())


def test_fft_by_hand() -> None:
    # An 11x11 kernel leaves 22x22 outputs of a tile of 32: 2x2 tiles for 44x44. 32·17 frequencies of complex products.
    c = candidates(conv(8, 16, 44, 11, batch=1), toy_device())["fft"]
    assert c.product_flops == pytest.approx([8 * 544 * 4 * 8 * 16])
    assert c.workspace_bytes == pytest.approx([544 * 8 * (4 * 8 + 8 * 16 + 4 * 16)])


def test_channels_are_padded_to_vectors_of_16_bytes() -> None:
    # 9 channels take 16 in bf16: a vector is 8 of them. 3 take 4. On the vector units nothing is padded.
    def k(channels: int, dtype: str) -> float:
        op = conv(channels, 64, 1, 1, batch=128, dtype=dtype)
        device = toy_device(peak_flops={"bf16": 1.024e12, "int8": 2e12, "fp32": 1e11}, l2_bytes=10**9)
        (name,) = [n for n in candidates(op, device) if n == "implicit_gemm"]
        return float(candidates(op, device)[name].terms["l2"][0])

    assert k(41, "bf16") == k(48, "bf16")  # loops go in steps of 32
    assert k(33, "bf16") == k(40, "bf16")
    step = candidates(conv(9, 64, 8, 3, dtype="bf16"), toy_device())["implicit_gemm"]
    full = candidates(conv(16, 64, 8, 3, dtype="bf16"), toy_device())["implicit_gemm"]
    assert step.terms["compute"] == pytest.approx(full.terms["compute"])
    image = candidates(conv(3, 64, 8, 3, dtype="bf16"), toy_device())["implicit_gemm"]
    padded = candidates(conv(4, 64, 8, 3, dtype="bf16"), toy_device())["implicit_gemm"]
    assert image.terms["compute"] == pytest.approx(padded.terms["compute"])


def test_packed_groups_have_longer_loops() -> None:
    # 32 groups of 4 channels: a tile of 32 columns holds 8 groups, whose loop over 9·4 is 8 times longer.
    op = conv(128, 128, 16, groups=32, dtype="bf16")
    found = candidates(op, toy_device())
    alone, packed = found["implicit_gemm"], found["implicit_gemm_packed_groups"]
    assert packed.terms["compute"][0] < alone.terms["compute"][0] / 2
    assert packed.product_flops == alone.product_flops
    assert "implicit_gemm_packed_groups" not in candidates(conv(128, 128, groups=4, dtype="bf16"), toy_device())


def test_ordinary_units_of_gpus_pack_two_values_a_lane() -> None:
    # The H100's FP16 on ordinary units is twice its FP32 (whitepaper v1.04: 133.8 and 66.9 TFLOP/s); a CPU's bf16 is not.
    def vector(dtype: str, device: Device) -> float:
        return float(candidates(conv(256, 256, groups=256, kernel=7, dtype=dtype), device)["direct"].terms["vector"][0])

    assert vector("fp16", H100) == pytest.approx(vector("fp32", H100) / 2, rel=0.1)  # at 1.83 instead of 1.98 GHz
    xeon = load_device("xeon-8480-plus")
    assert vector("bf16", xeon) == pytest.approx(vector("fp32", xeon))


def test_groups_are_not_packed_on_cpus() -> None:
    # AMX is so much faster than the vector units that a block diagonal would look cheap; no library builds one.
    xeon, op = load_device("xeon-8480-plus"), conv(256, 256, 28, groups=128, dtype="bf16")
    assert "implicit_gemm_packed_groups" in candidates(op, H100, FALLBACK)
    assert set(candidates(op, xeon, FALLBACK)) <= set(ALGORITHMS) - {"implicit_gemm_packed_groups"}
    assert algorithm(op, xeon) == "direct"


def test_a_transposed_convolution_writes_its_output_once() -> None:
    # 2x upsampling of 64 channels: 4 taps in each direction, stride 2.
    op = conv(64, 64, 32, 4, pad_h=1, pad_w=1, stride_h=2, stride_w=2, transposed=True, dtype="bf16")
    b = bounds(op, device=H100)
    assert (op.out_h, op.out_w) == (64, 64)
    # The columns that a GEMM over the inputs would leave are 16/4 of the output.
    assert b.dram_bytes <= op.bytes * (1 + 1e-9)
    columns = candidates(op, H100, FALLBACK)["im2col_gemm"]
    assert columns.workspace_bytes == pytest.approx([8 * 1024 * 16 * 64 * 2])
    # As much work as the convolution that it is the transpose of; and, where nothing hides it, about the time.
    forward = conv(64, 64, 64, 4, pad_h=1, pad_w=1, stride_h=2, stride_w=2, dtype="bf16", batch=512)
    back = op.replace(batch=512)
    assert forward.product_flops == back.product_flops
    assert 0.5 < bounds(back, device=H100).latency_s / bounds(forward, device=H100).latency_s < 2


# ------------------------------------------------------------------------------------------------------- which, when
def test_what_libraries_choose() -> None:
    assert algorithm(conv(256, 256, 14, batch=64)) == "winograd_nonfused"  # deep layers of a VGG
    assert algorithm(conv(64, 24, 112, batch=32)) == "winograd_fused"  # few filters, large images
    assert algorithm(conv(256, 256, 14, 1, batch=64)) == "implicit_gemm"
    assert algorithm(conv(256, 256, 14, batch=64, stride_h=2, stride_w=2)) == "implicit_gemm"
    assert algorithm(conv(128, 128, 44, 11, batch=16)) == "fft"
    assert algorithm(conv(256, 256, 14, batch=64, groups=256)) == "direct"
    # Matrix units multiply so fast that transforms do not pay.
    assert algorithm(conv(256, 256, 14, batch=64, dtype="bf16"), H100) == "implicit_gemm"
    # CPUs have neither Winograd nor FFT here.
    cpu = toy_device(kind="cpu", units=8, peak_flops={"fp32": 1e12})
    assert algorithm(conv(256, 256, 14, batch=64), cpu) in ("direct", "im2col_gemm")


def test_tensor_cores_of_geforce_cards_are_matrix_units() -> None:
    # They do 16 bits at but twice the fp32 rate, as packed FP16 does on a P100's ordinary units.
    op, geforce, p100 = conv(256, 256, 28, dtype="fp16"), load_device("rtx-4090"), load_device("p100-pcie-16gb")
    assert "winograd_fused" not in candidates(op, geforce, FALLBACK)
    assert "winograd_fused" in candidates(op, p100, FALLBACK)
    # Transforms win nothing: products run at 165.2 TFLOP/s at most, however they are cut.
    assert bounds(op, device=geforce).latency_s > op.product_flops / 165.2e12
    # Vectors of 16 bytes: 9 channels cost as 16.
    nine, sixteen = (
        candidates(conv(c, 64, 28, dtype="bf16"), geforce, FALLBACK)["implicit_gemm"].terms["compute"] for c in (9, 16)
    )
    assert nine == pytest.approx(sixteen)


@pytest.mark.parametrize(
    "changes",
    [
        {"stride_h": 2}, {"stride_w": 2}, {"dilation_h": 2, "pad_h": 2}, {"dilation_w": 2, "pad_w": 2}, {"groups": 2},
        {"kernel_h": 1}, {"kernel_w": 1}, {"depth": 2}, {"depth": 3, "kernel_d": 3}, {"transposed": True},
        {"dtype": "tf32"}, {"dtype": "bf16"}, {"dtype": "int8"}, {"dtype": "fp64"},
    ],
    ids=str,
)  # fmt: skip
def test_winograd_and_fft_run_nothing_else(changes: dict[str, Any]) -> None:
    plain, large = conv(), conv(kernel=7, size=40)
    assert {"winograd_fused", "winograd_nonfused"} <= set(candidates(plain, V100, FALLBACK))
    assert "fft" in candidates(large, V100, FALLBACK)
    found = {
        *candidates(plain.replace(**changes), V100, FALLBACK),
        *candidates(large.replace(**changes), V100, FALLBACK),
    }
    assert not found & {"winograd_fused", "winograd_nonfused", "fft"}


def test_the_floor_is_that_of_the_fewest_multiplications() -> None:
    # One output channel of a small image: Winograd's tiles would be mostly padding, and the direct algorithm wins; but
    # were libraries to choose Winograd, it would execute a quarter.
    op = conv(1024, 64, 32, batch=64)
    b = bounds(op, cache="warm")
    assert b.floor_s == pytest.approx([op.product_flops / 4 / 14e12], rel=1e-3)
    # Where tiles are mostly padding, the direct algorithm executes the fewest: 2·9 FLOPs for an output, 72 in a tile of 4x4.
    single = conv(1024, 64, 1, batch=4096)
    assert bounds(single, cache="warm").floor_s == pytest.approx([single.product_flops / 14e12], rel=1e-3)
    # What is executed is what draws power: 2.25 or 4 times less.
    op = conv(256, 256, 32, batch=64)
    chosen = bounds(op)
    assert algorithm(op) == "winograd_nonfused"
    assert chosen.product_flops is not None
    assert chosen.product_flops == pytest.approx([op.product_flops / 4])
    analytical, device = Predictor(constants=FALLBACK), replace(V100, tdp_w=1e4, idle_power_w=1e-3)
    without = op.replace(dilation_w=2, pad_w=2)
    joules = [float(analytical.predict(o, device, cache="cold").energy_j[0]) for o in (op, without)]
    # Of the quarter that is left, and what the transforms move.
    assert 0.25 < joules[0] / joules[1] < 0.6


def test_split_k_keeps_partial_sums() -> None:
    # 64 x 64 outputs over 65,536: one or a few tiles, whose loops are split.
    e = Predictor(constants=FALLBACK).predict(Gemm(m=64, n=64, k=65536, dtype="bf16"), "h100-sxm")
    assert e.details["split_k"][0] > 1
    assert e.workspace_bytes == pytest.approx(64 * 64 * 4 * e.details["split_k"])
    assert Predictor().predict(Gemm(m=8192, n=8192, k=8192, dtype="bf16"), "h100-sxm").workspace_bytes == 0


def test_winograd_pays_where_products_are_slow() -> None:
    op = conv(256, 256, 28, batch=32)
    plain = candidates(op, V100, FALLBACK)["implicit_gemm"].latency_s[0]
    # Lavin & Gray measured up to 2.3 times on VGG's layers.
    assert 1.2 < plain / bounds(op).latency_s[0] < 4


def test_depthwise_convolutions_are_bound_by_memory() -> None:
    for device in (H100, load_device("a100-sxm-80gb")):
        op = conv(384, 384, 56, groups=384, batch=64, dtype="bf16")
        b = bounds(op, device=device)
        assert b.bound[0] in ("dram", "l2")
        # Time follows activations, not FLOPs (Dollár et al., 2021): a dense 1x1 of 256 times the FLOPs is not 3 times slower.
        dense = conv(384, 384, 56, 1, batch=64, dtype="bf16")
        assert dense.flops > 40 * op.flops
        assert bounds(dense, device=device).latency_s < 3 * b.latency_s


def test_grouped_convolutions_are_slow_for_their_work() -> None:
    # ResNeXt-50 32x4d against ResNet-50 (Xie et al., 2017): an eighth of the FLOPs in 3x3 layers, not an eighth of the time.
    for device in (H100, V100):
        dense = conv(128, 128, 28, batch=64, dtype="fp16")
        grouped = dense.replace(groups=32)
        ratio = bounds(dense, device=device).latency_s[0] / bounds(grouped, device=device).latency_s[0]
        assert dense.flops == 32 * grouped.flops
        assert ratio < 8
        # Fewer channels a group, fewer FLOPs a second.
        rates = [
            float(op.flops / bounds(op, device=device).latency_s[0])
            for op in (dense.replace(c_in=512, c_out=512, groups=g) for g in (1, 4, 16, 64, 512))
        ]
        assert rates == sorted(rates, reverse=True)


def test_a_third_dimension() -> None:
    # Three planes of a 3x3 layer at once, with one tap in depth, are three images.
    flat = conv(64, 64, 28, batch=24)
    deep = conv(64, 64, 28, batch=8, depth=3)
    assert algorithm(deep) == "implicit_gemm"  # no Winograd in three dimensions
    plain = candidates(flat, V100, FALLBACK)["implicit_gemm"]
    assert bounds(deep).latency_s == pytest.approx(plain.latency_s)
    volume = deep.replace(kernel_d=3, pad_d=1)
    assert volume.flops == 3 * deep.flops
    assert bounds(volume).latency_s > 2 * bounds(deep).latency_s


def test_the_power_limit_slows_the_vector_units() -> None:
    op = conv(256, 256, 14, 1, batch=64)
    t4 = load_device("t4")
    # 70 W for 8.1 TFLOP/s of a 12 nm chip, which would draw 146 W.
    assert bounds(op, device=replace(t4, tdp_w=200.0)).latency_s < 0.9 * bounds(op, device=t4).latency_s
    (group,) = stack([op])
    free = Setting(1, V100, Machine.of(V100, "fp32"), FALLBACK, Conditions(), Extras(np.zeros(1), np.zeros(1)))
    assert simt.throttle(replace(free, device=t4)) == pytest.approx((70 / 145.8) ** FALLBACK.throttle_power)
    assert simt.throttle(replace(free, conditions=Conditions(clock_hz=1e9))) == 1
    assert group.op.dtype == "fp32"


# ---------------------------------------------------------------------------------------------------------- properties
few, some = st.integers(1, 4), st.integers(1, 96)
devices = st.sampled_from(["h100-sxm", "v100-pcie-32gb", "p4", "mi210", "a10"]).map(load_device)
convs = st.builds(
    lambda groups, c_in, c_out, size, kernel, **more: Conv(
        c_in=groups * c_in, c_out=groups * c_out, h=size + 16, w=size + 20, kernel_h=kernel, pad_h=kernel // 2, **more
    ),
    groups=st.sampled_from([1, 1, 1, 2, 32]), c_in=some, c_out=some, size=some, kernel=st.sampled_from([1, 3, 3, 5, 11]),
    kernel_w=st.sampled_from([1, 3, 3, 5, 11]), batch=st.integers(1, 300), stride_h=st.sampled_from([1, 1, 2]),
    stride_w=st.sampled_from([1, 1, 2]), dilation_h=st.sampled_from([1, 1, 2]), depth=st.sampled_from([1, 1, 4]),
    transposed=st.sampled_from([False, False, True]), dtype=st.sampled_from(["fp32", "fp16", "bf16", "tf32", "fp8", "int8"]),
)  # fmt: skip


@given(op=convs, device=devices, cache=st.sampled_from(["warm", "cold", "rotating"]))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_no_algorithm_beats_the_floor(op: Conv, device: Device, cache: str) -> None:
    b = bounds(op, device=device, cache=cache)
    assert np.isfinite(b.latency_s).all()
    assert b.latency_s >= b.floor_s
    assert b.workspace_bytes is not None
    assert b.product_flops is not None
    assert b.algorithm is not None
    assert b.algorithm[0] in ALGORITHMS
    assert b.workspace_bytes >= 0
    # Counted again, one tile after the other: no admissible algorithm multiplies less often than the floor assumes.
    peak = Machine.of(device, op.dtype, Conditions(cache)).peak_flops
    vector = device.vector_flops * 2
    square = (op.kernel_h, op.kernel_w) == (3, 3)
    plain = (op.stride_h, op.stride_w, op.dilation_h, op.groups, op.depth) == (1, 1, 1, 1, 1) and not op.transposed
    executed = op.product_flops
    if square and plain and op.dtype in ("fp32", "fp16"):
        tiles = op.batch * math.ceil(op.out_h / 4) * math.ceil(op.out_w / 4)
        executed = min(executed, 2 * 36 * tiles * op.c_in * op.c_out)
    else:
        assert not b.algorithm[0].startswith("winograd")
    if op.groups == 1 and b.algorithm[0] != "fft" and min(op.kernel_h, op.kernel_w) < 5:
        assert b.floor_s >= executed / peak * (1 - 1e-12)
    assert (
        b.floor_s <= max(op.product_flops / min(peak, vector), op.bytes / device.memory_bandwidth_bytes_per_s) * 1.001
    )


@given(op=convs, device=devices)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_more_images_take_no_less_time(op: Conv, device: Device) -> None:
    batches = [op.replace(batch=n) for n in (1, 2, 3, 7, 8, 9, 64, 65)]
    latency = bounds(*batches, device=device).latency_s
    # Larger tiles may fit a few images more a little better.
    assert (latency[1:] >= latency[:-1] * 0.97).all()


@given(ops=st.lists(convs.map(lambda op: op.replace(dtype="fp32", transposed=False)), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_rows_do_not_touch_each_other(ops: list[Conv]) -> None:
    together = bounds(*ops)
    assert together.algorithm is not None
    assert together.workspace_bytes is not None
    for index, op in enumerate(ops):
        alone = bounds(op)
        assert alone.algorithm is not None
        assert alone.workspace_bytes is not None
        assert together.latency_s[index] == pytest.approx(alone.latency_s[0], rel=1e-12)
        assert together.floor_s[index] == pytest.approx(alone.floor_s[0], rel=1e-12)
        assert together.algorithm[index] == alone.algorithm[0]
        assert together.workspace_bytes[index] == pytest.approx(alone.workspace_bytes[0])
        for name, values in alone.terms.items():
            assert together.terms[name][index] == pytest.approx(values[0], rel=1e-12, abs=1e-18)


@pytest.mark.parametrize(
    "op",
    [
        conv(batch=0), conv(1, 1, 1), conv(2**20, 2**20, 2**12, batch=2**12), conv(1, 2**20, 2**14, 31),
        conv(0, 0, 4), conv(2**16, 2**16, 64, groups=2**16), conv(size=1, transposed=True, stride_h=64, stride_w=64),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_empty_and_absurd_convolutions_stay_finite(op: Conv, dtype: str) -> None:
    for device in (V100, H100, toy_device(kind="cpu")):
        b = bounds(op.replace(dtype=dtype), device=device, cache="warm")
        assert np.isfinite(b.latency_s).all()
        assert b.latency_s >= b.floor_s
        assert b.workspace_bytes is not None
        assert np.isfinite(b.workspace_bytes).all()

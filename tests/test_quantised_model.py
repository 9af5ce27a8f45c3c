"""What it costs to multiply operands that are stored narrower than they are multiplied."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import TOY_CONSTANTS, predictor, residual, toy_device

import perfmodel
from perfmodel._resources import data_path
from perfmodel.dtypes import dtype
from perfmodel.hardware.loader import catalogue
from perfmodel.models.analytical import Bounds, Extras, analyse
from perfmodel.models.learned import UNSEEN
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.power import Activity
from perfmodel.models.quantised import widening
from perfmodel.ops import Gemm, Moe, Operator
from perfmodel.ops.table import stack

CYCLE = 1e-9  # at the toy's 1 GHz
FORMATS = (
    "w1a16", "w2a16", "w3a16_g64", "w4a16", "w4a16_g32", "w5a16", "w7a16", "w8a16", "w8a16_g32", "w4a32", "w8a32", "w4a8",
    "w3a8", "w4afp8", "w4a4", "w4a16_nf4", "w4a16_fp4", "w6a16_fp6", "w8a16_fp8", "fp6", "mxfp6", "mxfp8", "mxint8",
    "int1", "int3", "int5", "bs2x2", "bs8x8",
)  # fmt: skip


def bounds(op: Operator, device: str | None = None, **peaks: float) -> Bounds:
    (group,) = stack([op])
    record = toy_device(peak_flops={"bf16": 1.024e12, "fp32": 1e11, **peaks}) if device is None else catalogue()[device]
    constants = TOY_CONSTANTS if device is None else perfmodel.load("analytical").constants
    return analyse(group, record, constants=constants, conditions=Conditions("cold"))


def cycles(b: Bounds, term: str) -> float:
    return float(b.terms[term][0] / CYCLE)


# ----------------------------------------------------------------------------------------------------------- by hand
def test_a_tile_widens_its_own_weights() -> None:
    plain = bounds(Gemm(m=128, n=128, k=32, dtype="bf16"))
    narrow = bounds(Gemm(m=128, n=128, k=32, dtype="w4a16_fp4"))
    # 2 · 128 · 128 FLOPs in each of 32 + 32 steps, 1,024 a clock; then 128 weights a step, a pair of them in 4 instructions
    # (sign, rest, shift, scale) of an eighth of a clock.
    assert cycles(plain, "compute") == pytest.approx(2048)
    assert cycles(narrow, "compute") == pytest.approx(2048 + 2 * 1024)
    assert narrow.details["tile_m"][0] == 128


@pytest.mark.parametrize("device", ["tpu-v4", "tpu-v5e"])
def test_a_wide_unit_widens_more_in_a_clock(device: str) -> None:
    # A matrix unit of these TPUs has four times the vector lanes of an SM beside it: reading half of the bytes pays at m = 1.
    bf16, w8a16 = (bounds(Gemm(m=1, n=4096, k=4096, dtype=name), device).latency_s[0] for name in ("bf16", "w8a16"))
    assert w8a16 < 0.75 * bf16
    assert Machine.of(catalogue()[device], "bf16").vector_units == 4


@pytest.mark.parametrize("device", sorted(name for name, d in catalogue().items() if d.kind == "gpu"))
def test_an_sm_counts_as_one(device: str) -> None:
    # That is what the constant of widening was fitted in.
    assert Machine.of(catalogue()[device], "bf16").vector_units == 1


def test_emulated_formats_widen_both_operands() -> None:
    # int8 on bf16 units: 128 weights and 128 activations a step, two instructions a pair.
    assert cycles(bounds(Gemm(m=128, n=128, k=32, dtype="int8")), "compute") == pytest.approx(2048 + 2 * 1024)
    # One tile of 16 x 128: 4 clocks of products a step, and 128 + 16 elements at an eighth of a clock each.
    thin = bounds(Gemm(m=16, n=128, k=32, dtype="int8"))
    assert (thin.details["tile_m"][0], thin.details["tile_n"][0]) == (16, 128)
    assert cycles(thin, "compute") == pytest.approx(64 * (4 + 144 / 8))
    # Native: int8_efficiency is 0.9 of bf16's 1024 a clock.
    native = bounds(Gemm(m=128, n=128, k=32, dtype="int8"), int8=1.024e12)
    assert cycles(native, "compute") == pytest.approx(2048 / 0.9)


def test_weights_are_widened_ahead_where_m_is_large() -> None:
    plain, nf4 = (bounds(Gemm(m=65536, n=128, k=128, dtype=d)) for d in ("bf16", "nf4"))
    # 16,384 weights of 4.126953125 bits are read and as many of 16 bits written, 41,220 bytes at 48 a clock, after 2,000.
    assert (nf4.latency_s[0] - plain.latency_s[0]) / CYCLE == pytest.approx(2000 + 41220 / 48, rel=1e-3)
    assert cycles(nf4, "compute") == cycles(plain, "compute")
    # Formats with kernels that widen in the loop at every m do that: 256 tiles of 256 x 128, each 128 · 160 weights.
    int4 = bounds(Gemm(m=65536, n=128, k=128, dtype="w4a16"))
    assert cycles(int4, "compute") - cycles(plain, "compute") == pytest.approx(256 * 128 * 160 / 8)


def test_few_rows_are_multiplied_on_the_ordinary_units() -> None:
    nf4 = bounds(Gemm(m=1, n=64, k=64, dtype="nf4"))
    # 4,096 weights: 2 FLOPs each at 95 a clock; a pair is widened by a load at a quarter of the rate and three others.
    assert cycles(nf4, "compute") == pytest.approx(8192 / 95 + 4096 / 8 * 3.5)
    assert nf4.details["tile_m"][0] == 1
    assert cycles(nf4, "launch") == pytest.approx(1100)  # one wave, no splits


@pytest.mark.parametrize(
    ("name", "arithmetic", "instructions"),
    [
        ("w3a16", "bf16", (4.5 / 2, 0)),  # a pair: LOP3 and half a shift for the second plane, LOP3, FMA, scale
        ("w2a16", "bf16", (3.375 / 2, 0)),
        ("w8a16_g128", "bf16", (1, 0)),  # fitted, as w8a16
        ("w4a32", "fp32", (3.25, 0)),  # one a register
        ("w4a8", "int8", (3.25 / 4, 0)),
        ("int3", "int4", (3.5 / 8, 3.5 / 8)),  # no scales in the loop
        ("fp8", "bf16", (1.5, 1.5)),
        ("mxfp8", "bf16", (2, 2)),
        ("mxfp6", "fp8", (5.5 / 4, 5.5 / 4)),
        ("bf16", "fp32", (0, 0)),
    ],
)
def test_instructions_of_widening(name: str, arithmetic: str, instructions: tuple[float, float]) -> None:
    assert widening(dtype(name), arithmetic) == pytest.approx(instructions)


def test_a_mixture_of_experts_widens_its_weights() -> None:
    moe = {"tokens": 64, "hidden": 256, "intermediate": 256, "experts": 4, "top_k": 2}
    four, nf4 = (bounds(Moe(dtype=d, **moe), "a100-sxm-80gb").terms["compute"][0] for d in ("w4a16", "nf4"))
    assert bounds(Moe(dtype="bf16", **moe), "a100-sxm-80gb").terms["compute"][0] < four < nf4


# --------------------------------------------------------------------------------------- what the shipped boosters read
def test_formats_with_boosters_are_estimated_as_they_were_trained() -> None:
    """Two numbers of widening decide the features: 1 for weights narrower than activations, 0 for all others."""
    manifest = json.loads(data_path("models", "default", "manifest.json").read_text())
    pairs = {(b["device"], b["dtype"]) for b in manifest["boosters"] if b["device"] != UNSEEN and b["family"] == "gemm"}
    assert {"bf16", "fp8_block"} <= {name for _, name in pairs}
    for device, name in pairs:
        arithmetic = catalogue()[device].arithmetic(name).name
        expected = 1.0 if name in ("w4a16", "w8a16", "fp8_block") else 0.0
        assert widening(dtype(name), arithmetic) == (expected, 0.0), (device, name)


def test_another_group_size_leans_on_the_usual_ones_residual() -> None:
    hand_made = predictor(residual(part="w4a16", log_ratio=(1.0,)))
    shape = {"m": 256, "n": 256, "k": 256}
    usual = hand_made.predict(Gemm(dtype="w4a16", **shape), toy_device(), cache="warm")
    other = hand_made.predict(Gemm(dtype="w4a16_g32", **shape), toy_device(), cache="warm")
    assert usual.latency_s / usual.analytical_s == pytest.approx(np.e)
    assert other.latency_s / other.analytical_s == pytest.approx(np.exp(0.9))
    assert (usual.source[0], other.source[0]) == ("learned", "blended")
    assert "w4a16_g32 was not measured: GEMMs lean on w4a16" in other.notes
    for name in ("w3a16", "w4a32", "w4a16_nf4"):  # other kernels
        assert hand_made.predict(Gemm(dtype=name, **shape), toy_device(), cache="warm").source[0] == "analytical"


# ------------------------------------------------------------------------------------------------------- what must hold
@pytest.mark.parametrize("device", ["a100-sxm-80gb", "h100-sxm", "b200-sxm", "mi250x", "v100-pcie-32gb", "t4"])
def test_weight_only_pays_at_small_m_and_never_computes_less(device: str) -> None:
    sizes: dict[str, Any] = {
        "n": 16384,
        "k": 16384,
        "dtype": "bf16" if "bf16" in catalogue()[device].peak_flops else "fp16",
    }
    small, large = Gemm(m=1, **sizes), Gemm(m=8192, **sizes)
    for name in ("w1a16", "w2a16", "w3a16", "w4a16", "w4a16_g32", "w4a16_nf4", "w6a16_fp6", "w8a16"):
        assert bounds(small.replace(dtype=name), device).latency_s < bounds(small, device).latency_s, name
        # What narrower weights save in traffic on chip may outweigh it in the latency.
        assert bounds(large.replace(dtype=name), device).terms["compute"] >= bounds(large, device).terms["compute"], (
            name
        )


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.sampled_from(sorted(catalogue())),
    st.tuples(*[st.integers(1, 20000)] * 3),
    st.sampled_from(["rotating", "warm", "cold"]),
)
def test_every_format_gives_a_finite_estimate_on_every_device(
    name: str, device: str, shape: tuple[int, int, int], cache: str
) -> None:
    m, n, k = shape
    e = perfmodel.load("analytical").predict(Gemm(m=m, n=n, k=k, dtype=name), device, cache=cache)
    assert np.isfinite(e.latency_s).all()
    assert (e.floor_s <= e.latency_s).all()
    assert (e.latency_low_s > 0).all()
    assert np.allclose(e.energy_j, e.power_w * e.latency_s, equal_nan=True)
    assert all(np.isfinite(t).all() and (t >= 0).all() for t in e.terms.values() if not np.isnan(t).all())


@given(st.tuples(*[st.integers(1, 10**6)] * 3), st.sampled_from(["4", "8", "16", "32", "fp8"]))
def test_narrower_weights_never_read_more(shape: tuple[int, int, int], activations: str) -> None:
    m, n, k = shape
    read = [Gemm(m=m, n=n, k=k, dtype=f"w{bits}a{activations}").bytes_read for bits in range(1, 9)]
    assert read == sorted(read)


def test_bit_serial_passes_cost_energy() -> None:
    # Two bits by three are six passes, each of 2 · 4096³ single-bit operations, and each of them takes energy.
    device = toy_device(peak_flops={"fp32": 1e11, "int1": 1e15}, tdp_w=1e6, l2_bytes=10**12)
    [group] = stack([Gemm(m=4096, n=4096, k=4096, dtype="bs2x3")])
    extras = Extras(np.zeros(1), np.zeros(1))
    activity = Activity.of(group, device, analyse(group, device, extras=extras), extras)
    assert activity.arithmetic == "int1"
    assert activity.product_flops == pytest.approx([6 * 137_438_953_472])

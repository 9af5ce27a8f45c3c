"""The predictor: one row or many, the blend by hand, intervals, power."""

from __future__ import annotations

import copy
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import TOY_CONSTANTS, booster_bytes, predictor, residual, toy_device, tree

from perfmodel._resources import data_path
from perfmodel.errors import DescriptorError, DeviceError, DtypeError, InputError
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.families.gemm import residual_columns
from perfmodel.models.learned import version_key
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.power import limit_w
from perfmodel.models.predictor import ELSEWHERE_WEIGHT, Estimates, Predictor, load
from perfmodel.ops import Attention, Conv, Copy, Elementwise, Gemm, Norm, Operator, Softmax, View
from perfmodel.ops.table import stack

TOY = toy_device()
GEMM = Gemm(m=128, n=128, k=32, dtype="bf16")
ANALYTICAL_S = 5.196e-6  # from a cold cache, counted in the test of the tile model
H100, H200, A100 = (load_device(name) for name in ("h100-sxm", "h200-sxm", "a100-sxm-80gb"))
OPS: list[Operator] = [
    Gemm(m=77, n=1024, k=512, dtype="bf16"), Softmax(rows=9, cols=1000, dtype="fp32"),
    Gemm(m=2**14, n=64, k=8, dtype="bf16"), Gemm(m=5, n=6, k=7, dtype="fp8"), View(dtype="fp32"),
    Attention(q_len=300, kv_len=300, heads=8, kv_heads=2, head_dim=64, causal=True, dtype="fp16"),
    Conv(c_in=8, c_out=16, h=30, w=30, kernel_h=3, kernel_w=3, dtype="fp16"), Gemm(m=1, n=9, k=9, batch=4, dtype="fp8"),
    Elementwise(kind="gelu", elements=10**6, dtype="bf16"), Norm(rows=7, cols=4096, dtype="fp32"), GEMM,
]  # fmt: skip
TEXT = ("bound", "source", "software")
NUMBERS = [f.name for f in fields(Estimates) if f.name.endswith(("_s", "_w"))]


def alike(left: Estimates, right: Estimates, rows: Any = slice(None)) -> None:
    for name in NUMBERS:
        np.testing.assert_allclose(getattr(left, name)[rows], getattr(right, name), rtol=1e-12, err_msg=name)
    for name in TEXT:
        assert getattr(left, name)[rows].tolist() == getattr(right, name).tolist(), name
    for name, values in left.terms.items():
        np.testing.assert_allclose(values[rows], right.terms[name], rtol=1e-12, err_msg=name)


def two_stacks(device: str = "h100-sxm", **changes: Any) -> Predictor:
    software = ("left-1.0", "right-2.0")
    return predictor(residual(device, log_ratio=(0.5, 0.3), software=software, **changes), constants=None)


# ------------------------------------------------------------------------------------------------------ one row or many
def test_many_rows_equal_one_by_one() -> None:
    p = two_stacks()
    together = p.predict(OPS, H100)
    assert len(together) == len(OPS)
    for index, op in enumerate(OPS):
        alike(together, p.predict(op, "h100-sxm"), [index])
    backwards = p.predict(OPS[::-1], H100)
    alike(together, backwards, slice(None, None, -1))


def test_a_convolution_leans_on_the_same_trees_whatever_is_asked_beside_it() -> None:
    """Some lie where convolutions were measured, others are implicit GEMMs that lean on those of GEMMs."""
    p = load(data_path("models", "default"))
    ops = [
        Conv(batch=8, c_in=c, c_out=c, h=size, w=size, kernel_h=k, kernel_w=k, pad_h=k // 2, pad_w=k // 2, dtype="fp32")
        for c, size, k in ((64, 56, 3), (256, 14, 1), (128, 28, 5), (512, 7, 1), (2048, 28, 3), (8, 224, 7))
    ]
    for device in ("v100-pcie-32gb", "t4", "p4", "p100-pcie-16gb"):
        together = p.predict(ops, device)
        for index, op in enumerate(ops):
            alike(together, p.predict(op, device), [index])


def test_a_list_a_table_and_a_sweep_are_the_same() -> None:
    p = two_stacks()
    m = [1, 17, 128, 5000, 2**17]
    expected = p.predict([Gemm(m=x, n=256, k=512, dtype="bf16") for x in m], H100)
    alike(expected, p.predict({"op": "gemm", "m": m, "n": 256, "k": [512] * 5, "dtype": ["bf16"] * 5}, H100))
    alike(expected, p.predict(Gemm(m=np.array(m), n=256, k=512, dtype="bf16"), H100))
    alike(expected, p.predict(tuple(Gemm(m=x, n=256, k=512, dtype="bf16") for x in m), H100))


def test_the_same_again_and_nothing_is_changed() -> None:
    p = two_stacks()
    columns: dict[str, Any] = {"op": ["gemm"] * 3, "m": np.array([1.0, 2.0, 3.0]), "n": 256, "k": 64, "dtype": "bf16"}
    before, sweep = copy.deepcopy(columns), Gemm(m=np.array([1, 2, 3]), n=256, k=64, dtype="bf16")
    extra = np.array([1.0, 2.0, 3.0])
    first = p.predict(columns, H100, extra_bytes_read=extra, extra_flops=extra)
    alike(first, p.predict(columns, H100, extra_bytes_read=extra, extra_flops=extra))
    p.predict(sweep, H100)
    np.testing.assert_equal(columns, before)
    np.testing.assert_array_equal(sweep.m, [1, 2, 3])
    np.testing.assert_array_equal(extra, [1, 2, 3])


@pytest.mark.parametrize(
    "nothing",
    [[], (), {"op": [], "m": [], "n": [], "k": [], "dtype": []}, Gemm(m=np.array([]), n=3, k=3, dtype="bf16")],
)
def test_no_operators_give_no_rows(nothing: Any) -> None:
    e = two_stacks().predict(nothing, H100)
    assert len(e) == 0
    assert e.energy_j.tolist() == e.bound.tolist() == []


# -------------------------------------------------------------------------------------------------------- blend by hand
def one_row(p: Predictor, op: Operator = GEMM, device: Device | str = TOY, **options: Any) -> dict[str, Any]:
    e = p.predict(op, device, **{"cache": "cold", **options})
    row = {name: getattr(e, name)[0] for name in (*NUMBERS, *TEXT)}
    return {**row, "notes": e.notes}


def test_learned_where_there_is_support() -> None:
    row = one_row(predictor(residual(log_ratio=(0.5,), quantiles=((-0.1, 0.2),) * 4)))
    # The booster says ln(measured / analytical) = 0.5; its held-out errors lie between -0.1 and 0.2.
    value = ANALYTICAL_S * 1.6487213
    assert row["latency_s"] == pytest.approx(value)
    assert row["analytical_s"] == pytest.approx(ANALYTICAL_S)
    assert (row["latency_low_s"], row["latency_high_s"]) == pytest.approx((value * 0.9048374, value * 1.2214028))
    assert (row["source"], row["software"]) == ("learned", "stack0-1.0")


@pytest.mark.parametrize(
    ("op", "weight"),
    [
        (GEMM, 1.0),  # log2 of m, n, k within 4 to 12
        (GEMM.replace(m=16, k=4096), 1.0),
        (GEMM.replace(n=2**13), 0.3678794),  # one octave beyond: 1 / e
        (GEMM.replace(k=8), 0.3678794),
        (GEMM.replace(batch=2), 0.3678794),
        (GEMM.replace(n=2**13, m=2**13), 0.1353353),
        (GEMM.replace(n=2**15, batch=2), 0.0),  # four octaves: below 0.05 counts as nothing
        (GEMM.replace(m=0), 0.0),
    ],
)
def test_trust_fades_by_octaves(op: Gemm, weight: float) -> None:
    row = one_row(predictor(residual(log_ratio=(0.5,))), op)
    blended = np.exp(weight * 0.5) * row["analytical_s"]
    assert row["latency_s"] == pytest.approx(blended)
    # Offsets of the interval mix in the same proportion: (-0.1, 0.2) learned, (-0.4, 0.6) analytical.
    assert np.log(row["latency_low_s"] / blended) == pytest.approx(-0.1 * weight - 0.4 * (1 - weight))
    assert np.log(row["latency_high_s"] / blended) == pytest.approx(0.2 * weight + 0.6 * (1 - weight))
    assert row["source"] == ("learned" if weight == 1 else "blended" if weight else "analytical")
    assert (row["software"] is None) == (weight == 0)


def test_other_families_and_dtypes_are_analytical() -> None:
    p = predictor(residual(log_ratio=(0.5,)))
    for op in (GEMM.replace(dtype="fp16"), Norm(rows=8, cols=64, dtype="fp32"), Copy(elements=9, dtype="fp32")):
        row = one_row(p, op)
        assert (row["source"], row["software"]) == ("analytical", None)
        assert row["latency_s"] == row["analytical_s"]
        # A factor of two either way where nothing was measured.
        assert row["latency_high_s"] / row["latency_s"] == pytest.approx(2.0)
        assert row["latency_low_s"] == pytest.approx(max(row["latency_s"] / 2, row["floor_s"]))


def test_the_interval_depends_on_the_size() -> None:
    quantiles = ((-0.1, 0.1), (-0.2, 0.2), (-0.3, 0.3), (-0.4, 0.4))
    p = predictor(residual(log_ratio=(0.0,), quantiles=quantiles))
    for k, expected in ((32, 0.1), (1024, 0.2), (4096, 0.3)):  # about 5, 35 and 140 us
        row = one_row(p, GEMM.replace(k=k))
        assert np.log(row["latency_high_s"] / row["latency_s"]) == pytest.approx(expected)
    row = one_row(p, Gemm(m=1024, n=1024, k=1024, dtype="bf16"))  # above a millisecond
    assert np.log(row["latency_high_s"] / row["latency_s"]) == pytest.approx(0.4)


def test_the_interval_holds_the_estimate_even_where_all_errors_lie_on_one_side() -> None:
    for quantiles in ((0.1, 0.3), (-0.3, -0.1)):
        row = one_row(predictor(residual(log_ratio=(0.5,), quantiles=(quantiles,) * 4)))
        assert row["latency_low_s"] <= row["latency_s"] <= row["latency_high_s"]


def test_never_below_the_floor() -> None:
    row = one_row(predictor(residual(log_ratio=(-10.0,))))
    # 49,152 bytes at 96 GB/s; the 2·128·128·32 FLOPs take 1.024 us as well.
    assert row["latency_s"] == row["latency_low_s"] == row["floor_s"] == pytest.approx(1.024e-6, rel=1e-3)


# ----------------------------------------------------------------------------------------------------- where it is used
def test_a_sibling_lends_most_of_its_residual() -> None:
    p = two_stacks()
    row = one_row(p, device=H200, software="left")
    assert row["latency_s"] == pytest.approx(row["analytical_s"] * np.exp(ELSEWHERE_WEIGHT * 0.5))
    assert row["source"] == "blended"
    assert row["notes"] == ("h200-sxm was not measured: GEMMs lean on its sibling h100-sxm",)
    other = one_row(p, device=A100)
    assert (other["source"], other["notes"]) == ("analytical", ())
    # A residual of the device itself wins over a sibling's.
    both = Predictor(residuals={**p.residuals, ("gemm", "h200-sxm", "bf16"): residual("h200-sxm", log_ratio=(0.1,))})
    assert one_row(both, device=H200)["source"] == "learned"


def test_residuals_of_devices_that_only_their_owner_describes() -> None:
    p = predictor(residual("my-own-gpu", log_ratio=(0.5,)))
    assert one_row(p, device=H100)["source"] == "analytical"
    assert one_row(p, device=toy_device(id="my-own-gpu"))["source"] == "learned"


def test_at_another_clock_what_was_learned_fades() -> None:
    plain, slow, quick = predictor(), predictor(residual(log_ratio=(0.5,))), predictor(residual(log_ratio=(-0.2,)))
    full, half = (one_row(plain, clock_hz=hz)["latency_s"] for hz in (1e9, 5e8))
    assert (one_row(slow, clock_hz=1e9)["source"], one_row(slow, clock_hz=5e8)["source"]) == ("learned", "blended")
    assert one_row(slow, clock_hz=1e9)["latency_s"] == pytest.approx(1.6487213 * full)
    # Slower than the physics says: as much of it as they are still quick. Faster: half of it at half the clock.
    assert one_row(slow, clock_hz=5e8)["latency_s"] == pytest.approx(half * np.exp(0.5 * full / half))
    assert one_row(quick, clock_hz=5e8)["latency_s"] == pytest.approx(0.9048374 * half)
    # The interval goes half of the way from what was learned, 10 % and 20 %, to the analytical model's, 40 and 60 %.
    row = one_row(slow, clock_hz=5e8)
    assert np.log([row[f"latency_{end}_s"] / row["latency_s"] for end in ("low", "high")]) == pytest.approx(
        [-0.25, 0.4]
    )


def test_which_software() -> None:
    software = ("vllm-0.9.1", "vllm-0.24.0", "sglang-0.5.0", "sglang-0.5.0rc2")
    p = predictor(residual(log_ratio=(0.1, 0.4, 0.3, 0.2), software=software))

    def chosen(**options: Any) -> tuple[str, float]:
        row = one_row(p, **options)
        return row["software"], float(np.log(row["latency_s"] / row["analytical_s"]))

    # Of the newest versions, vllm 0.24.0 and sglang 0.5.0, the faster; older ones are not asked.
    assert chosen() == ("sglang-0.5.0", pytest.approx(0.3))
    assert chosen(software="vllm") == ("vllm-0.24.0", pytest.approx(0.4))
    assert chosen(software="vllm-0.9.1") == ("vllm-0.9.1", pytest.approx(0.1))
    assert chosen(software="sglang-0.5.0rc2") == ("sglang-0.5.0rc2", pytest.approx(0.2))
    (note,) = one_row(p)["notes"]
    assert note == "no software was given: GEMMs are for the fastest of vllm-0.24.0, sglang-0.5.0"
    assert one_row(p, software="vllm")["notes"] == ()
    with pytest.raises(InputError, match=r"unknown software 'vllm-0\.24\.1': did you mean 'vllm-0\.24\.0'"):
        one_row(p, software="vllm-0.24.1")
    # Known elsewhere, but not measured here: the same stack's other version, or all there are, and it is said.
    elsewhere = residual("h100-sxm", software=("right-2.0", "vllm-0.24.0"))
    both = predictor(residual(software=("vllm-0.9.1", "sglang-0.5.0"), log_ratio=(0.3, 0.1)), elsewhere)
    other_version = one_row(both, software="vllm-0.24.0")
    assert other_version["software"] == "vllm-0.9.1"
    assert other_version["notes"] == ("vllm-0.24.0 was not measured on toy: GEMMs are for vllm-0.9.1",)
    other_stack = one_row(both, software="right-2.0")
    assert other_stack["software"] == "sglang-0.5.0"
    assert other_stack["notes"] == (
        "right-2.0 was not measured on toy: GEMMs are for the fastest of vllm-0.9.1, sglang-0.5.0",
    )
    # A mistyped name is refused where nothing is learned, too.
    with pytest.raises(InputError, match="unknown software 'vlm'"):
        one_row(both, op=GEMM.replace(dtype="fp32"), software="vlm")


def test_software_on_a_sibling_is_that_of_the_same_stack() -> None:
    p = two_stacks()
    assert one_row(p, device=H200, software="right")["software"] == "right-2.0"
    with pytest.raises(InputError, match=r"unknown software 'right-9\.9'"):
        one_row(p, device=H200, software="right-9.9")


def test_a_stack_that_a_sibling_was_not_measured_with_is_said() -> None:
    p = predictor(residual("h100-sxm", log_ratio=(0.5, -0.5)), residual("a10", software=("other-1.0",)))
    notes = p.predict(GEMM, "h100-pcie", software="other-1.0", cache="warm").notes
    assert "other-1.0 was not measured on h100-sxm: GEMMs are for the fastest of stack0-1.0, stack1-1.0" in notes
    assert not any("fastest" in n for n in p.predict(GEMM, "h100-pcie", software="stack0-1.0", cache="warm").notes)


def test_an_unknown_software_is_not_answered_with_every_kernel() -> None:
    p = predictor(
        residual("toy", software=("sglang-0.5:triton", "sglang-0.5:flashinfer", "vllm-0.24.0"), log_ratio=(0.1,) * 3)
    )
    with pytest.raises(InputError, match=r"unknown software 'mine': known: sglang, sglang-0\.5, vllm, vllm-0\.24\.0$"):
        p.predict(GEMM, TOY, software="mine")
    with pytest.raises(InputError, match=r"did you mean 'sglang-0\.5:triton'"):
        p.predict(GEMM, TOY, software="sglang-0.5:tritn")


def test_the_newest_of_a_stack_that_a_sibling_was_measured_with() -> None:
    software = ("x-1.0", "y-1.0", "x-3.0", "x-2.0")
    hopper = residual("h100-sxm", log_ratio=(0.1, 0.2, 0.3, 0.4), software=software)
    p = predictor(hopper, residual("a100-sxm-80gb", software=("x-2.5",)), constants=None)
    assert one_row(p, device=H200, software="x-2.5")["software"] == "x-3.0"


def test_features_by_hand() -> None:
    """C[100,200] = A[100,64] · B[64,200] on the toy, which takes four 128x64 tiles one after the other."""
    (group,) = stack([Gemm(m=100, n=200, k=64, dtype="bf16")])
    assert isinstance(group.op, Gemm)
    b = analyse(group, TOY, constants=TOY_CONSTANTS, conditions=Conditions("cold"))
    machine = replace(Machine.of(TOY, "bf16"), units=2.0)
    f = {name: float(values[0]) for name, values in residual_columns(group.op, b, machine, TOY).items()}
    assert set(f) == set(feature_schema("gemm").names)
    assert (2 ** f["log2_m"], 2 ** f["log2_n"], 2 ** f["log2_k"]) == pytest.approx((100, 200, 64))
    assert (2 ** f["log2_mn"], 2 ** f["log2_nk"], 2 ** f["log2_mk"]) == pytest.approx((20000, 12800, 6400))
    assert (2 ** f["log2_mnk"], 2 ** f["log2_total"]) == pytest.approx((1280000, 39200))
    assert (2 ** f["log2_n_over_k"], f["m_mod_64"], f["n_mod_128"]) == pytest.approx((3.125, 36, 72))
    # Two 128x128 tiles on two units are one full wave, eight 64x64 tiles four, a 128x256 tile half of one.
    assert (f["tile_128x128_occupancy"], f["tile_64x64_occupancy"], f["tile_128x256_occupancy"]) == (1, 1, 0.5)
    assert (f["tile_64x64_log_waves"], f["tile_128x256_log_waves"]) == pytest.approx((np.log(4), np.log(0.5)))
    tile = 2 ** f["log2_tile_m"], 2 ** f["log2_tile_n"]
    assert tile in {(128, 64), (128, 128), (128, 256)}
    # All of the rows' 100 of 128, and of the columns' 200 of 256.
    assert (f["m_fill"], f["n_fill"]) == pytest.approx((100 / 128, 200 / 256))
    assert f["log_analytical"] == pytest.approx(np.log(b.latency_s[0]))
    assert f["share_dram"] == pytest.approx(np.log(b.terms["dram"][0] / b.latency_s[0] + 0.001))
    assert (f["miss"], f["occupancy"], f["log2_split_k"]) == (1, 1, 0)
    slowdowns = {name: value for name, value in f.items() if name.endswith("_slowdown")}
    assert min(slowdowns.values()) == slowdowns[f"tile_{tile[0]:.0f}x{tile[1]:.0f}_slowdown"] == 0


def test_versions_are_ordered_by_number() -> None:
    shuffled = ["x-1.0", "x-0.24.0", "x-0.24.0rc2", "x-0.9", "x-0.24.1", "x-0.24.0rc1"]
    names = ["x-0.9", "x-0.24.0rc1", "x-0.24.0rc2", "x-0.24.0", "x-0.24.1", "x-1.0"]
    assert sorted(shuffled, key=version_key) == names


def test_features_are_those_of_the_cache_state_that_was_measured() -> None:
    miss = feature_schema("gemm").names.index("miss")
    packed = booster_bytes([tree((miss, 0.9, 1, 2, False), (0.25,), (-0.25,))], 1)  # 0.25 where operands are resident
    for measured, expected in (("warm", 0.25), ("cold", -0.25)):
        row = one_row(predictor(residual(cache=(measured,), read=lambda: packed)), cache="cold")
        assert np.log(row["latency_s"] / row["analytical_s"]) == pytest.approx(expected), measured


# --------------------------------------------------------------------------------------------------------------- power
def test_power_is_that_of_the_physical_model() -> None:
    row = one_row(predictor())
    assert 10 < row["power_low_w"] < row["power_w"] < row["power_high_w"] < 100
    assert np.isnan(one_row(predictor(), device=toy_device(tdp_w=None))["power_w"])
    assert (limit_w(TOY, 50.0), limit_w(TOY, 500.0), limit_w(TOY, None)) == (50.0, 100.0, 100.0)


ops = st.sampled_from(OPS) | st.builds(
    Gemm,
    m=st.integers(0, 10**6),
    n=st.integers(1, 10**5),
    k=st.integers(1, 10**5),
    dtype=st.sampled_from(["bf16", "fp8"]),
)


@given(
    op=ops, device=st.sampled_from([H100, H200, A100, TOY]), ratio=st.floats(-3, 3),
    cache=st.sampled_from(["warm", "cold"]), clock=st.none() | st.floats(0.1, 1.0), limit=st.none() | st.floats(150, 2000),
)  # fmt: skip
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_every_estimate_keeps(
    op: Operator, device: Device, ratio: float, cache: str, clock: float | None, limit: float | None
) -> None:
    p = predictor(residual("h100-sxm", log_ratio=(ratio,)))
    clock_hz = None if clock is None else clock * (device.peak_clock_hz or 1e9)
    e = p.predict(op, device, cache=cache, clock_hz=clock_hz, power_limit_w=limit)
    assert (e.floor_s <= e.latency_low_s).all()
    assert (e.latency_low_s <= e.latency_s).all()
    assert (e.latency_s <= e.latency_high_s).all()
    assert np.isfinite(e.latency_high_s).all()
    assert (e.latency_s > 0).all() or isinstance(op, View)
    cap = min(device.tdp_w or 0, limit or np.inf)
    assert min(device.idle_power_w or 0, cap) <= e.power_low_w <= e.power_w <= e.power_high_w <= cap
    assert e.energy_j == e.power_w * e.latency_s
    assert e.source[0] in ("learned", "blended", "analytical")


# -------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("ops", "options", "error", "message"),
    [
        ([GEMM, "gemm"], {}, InputError, "operator 1 is a str; wanted a descriptor"),
        ([GEMM.replace(m=np.array([1, 2]))], {}, DescriptorError, "operator 0 .* arrays"),
        (GEMM.replace(m=np.ones(2), n=np.ones(3)), {}, InputError, r"differ in length: \[\(2,\), \(3,\)\]"),
        (GEMM.replace(m=np.ones((2, 2))), {}, InputError, r"shape \(2, 2\)"),
        (GEMM, {"extra_flops": np.zeros(2)}, InputError, r"extra_flops has the shape \(2,\); wanted .* 1 rows"),
        (GEMM, {"extra_bytes_read": 5.0}, InputError, "extra_bytes_read has the shape"),
        (GEMM, {"cache": "hot"}, InputError, "cache is 'hot': known: cold, filling, rotating"),
        (GEMM, {"clock_hz": -1.0}, InputError, "clock_hz is -1.0"),
        (GEMM, {"device": "h100"}, DeviceError, "did you mean 'h100-nvl' or 'h100-pcie' or 'h100-sxm'"),
        ({"op": "gemm", "m": 1, "n": 1, "k": 1, "dtype": "bf61"}, {}, DtypeError, "unknown dtype 'bf61'"),
        ({"op": "gemm", "m": 1}, {}, DescriptorError, "missing: dtype, n, k"),
    ],
)  # fmt: skip
def test_wrong_use(ops: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    device = options.pop("device", TOY)
    with pytest.raises(error, match=message):
        predictor().predict(ops, device, **options)


def test_open_dimensions_are_asked_for() -> None:
    import sympy

    for op in (GEMM.replace(m=sympy.Symbol("batch")), [GEMM, GEMM.replace(m=sympy.Symbol("batch"))]):
        with pytest.raises(DescriptorError, match="open dimensions batch"):
            predictor().predict(op, TOY)


def test_constants_of_the_predictor_are_used() -> None:
    slow = predictor(constants=replace(TOY_CONSTANTS, launch_cycles=1e6))
    assert one_row(slow)["latency_s"] == pytest.approx(ANALYTICAL_S + 999e-6)


def test_a_shipped_predictor_is_read_once_and_a_folder_each_time(tmp_path: Path) -> None:
    assert load("default") is load("default")
    copy = shutil.copytree(data_path("models", "default"), tmp_path / "copy")
    assert load(copy) is not load(copy)

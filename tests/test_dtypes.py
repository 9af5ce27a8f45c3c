"""Names of number formats: bits counted by hand, spellings, refusals, and what runs them on every device."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from model_doubles import toy_device

from perfmodel.dtypes import (
    ARITHMETICS,
    GEMM_DTYPES,
    MORE_GEMM_DTYPES,
    STORAGE_DTYPES,
    Dtype,
    dtype,
    gemm_dtype,
    mixed_dtype,
)
from perfmodel.errors import DtypeError
from perfmodel.hardware.loader import catalogue
from perfmodel.ops import Gemm

# Weights, activations, results, in bits. A group of g weights shares one scale of 16 bits (32 beside fp32 activations).
BY_HAND = {
    "w4a16": (4.125, 16, 16),  # 128 · 4 + 16 = 528 bits for 128
    "w4a16_g32": (4.5, 16, 16),  # 144 bits for 32
    "w4a16_g64": (4.25, 16, 16),
    "w3a16": (3.125, 16, 16),
    "w2a16_g64": (2.25, 16, 16),
    "w1a16_g256": (1.0625, 16, 16),
    "w7a16_g16": (8, 16, 16),
    "w8a16": (8, 16, 16),
    "w8a16_g128": (8.125, 16, 16),
    "w4a32": (4.25, 32, 32),
    "w4a32_g32": (5, 32, 32),  # 160 bits for 32
    "w8a32": (8, 32, 32),
    "w8a32_g64": (8.5, 32, 32),
    "w4a8": (4.125, 8, 16),
    "w4afp8": (4.125, 8, 16),
    "w4a4": (4.125, 4, 16),
    "w1a8": (1.125, 8, 16),
    "w4a16_nf4": (4.126953125, 16, 16),  # 64 · 256 weights: 65,536 bits, 256 scales of 8 bits, one of 32
    "nf4": (4.126953125, 16, 16),
    "w4a16_nf4_g64": (4.25, 16, 16),
    "w4a16_fp4": (4.125, 16, 16),
    "w4a16_nvfp4": (4.5, 16, 16),
    "w4a16_mxfp4": (4.25, 16, 16),
    "w4a32_mxfp4": (4.25, 32, 32),
    "w6a16_fp6": (6, 16, 16),
    "w6a16_mxfp6": (6.25, 16, 16),
    "w8a16_fp8": (8, 16, 16),
    "fp6": (6, 6, 16),
    "mxfp6": (6.25, 6.25, 16),
    "mxfp8": (8.25, 8.25, 16),
    "mxint8": (8.25, 8.25, 16),
    "int3": (3, 3, 32),
    "binary": (1, 1, 32),
    "bs2x3": (2, 3, 32),
}
NAMES = sorted(
    {
        *GEMM_DTYPES, *MORE_GEMM_DTYPES, *BY_HAND,
        *(f"w{w}a{a}" for w in range(1, 9) for a in ("4", "8", "16", "32", "fp8")),
        *(f"int{b}" for b in range(1, 9)), *(f"bs{w}x{a}" for w in range(1, 9) for a in range(1, 9)),
    }
)  # fmt: skip
"""One of every kind of name that there is."""


@pytest.mark.parametrize(("name", "bits"), BY_HAND.items())
def test_bits_by_hand(name: str, bits: tuple[float, float, float]) -> None:
    record = gemm_dtype(name)
    assert (record.weight_bits, record.activation_bits, record.output_bits) == bits


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("w4a16_g128", "w4a16"), ("w4a16_fp4_g128", "w4a16_fp4"), ("nf4", "w4a16_nf4"), ("binary", "int1"),
        ("w8a16_g128", "w8a16_g128"), ("w3a32_g128", "w3a32"), ("w4a16_mxfp4", "w4a16_mxfp4"),
    ],
)  # fmt: skip
def test_one_format_has_one_name(spelling: str, name: str) -> None:
    assert dtype(spelling).name == name
    assert dtype(name) == dtype(spelling)
    assert Gemm(m=1, n=1, k=1, dtype=spelling) == Gemm(m=1, n=1, k=1, dtype=name)


def test_the_first_formats_keep_their_meaning() -> None:
    # Their names are also of the grammar's form, which must not shadow them.
    for name in ("w8a16", "w4a16", "w4a16_mxfp4", "w4a8_mxfp4_mxfp8", "int8"):
        assert dtype(name) is GEMM_DTYPES[name]
    assert [(d.name, d.weight_bits, d.quantize_kernels) for d in GEMM_DTYPES.values() if d.quantize_kernels] == [
        ("fp8", 8, 2), ("fp8_block", 8 + 1 / 512, 1), ("nvfp4", 4.5, 1), ("mxfp4", 4.25, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "w0a16", "w9a16", "w4a12", "w4a16_g0", "w4a16_g7", "w4a16_g65537", "w4a16_g032", "w4a16_mxfp4_g32", "w3a16_nf4",
        "w4a16_fp8", "W4A16", "w4a16 ", "w4a16_", "w٤a16", "int0", "int9", "bs0x1", "bs1x9", "bs2", "", "w4a16_g" + "9" * 99,
    ],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(DtypeError, match=r"^unknown dtype '") as error:
        dtype(name)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", [None, 4, ["w4a16"], b"w4a16", ("w4a16",)])
def test_what_is_no_text_is_no_dtype(name: object) -> None:
    with pytest.raises(DtypeError):
        dtype(name)  # type: ignore[arg-type]
    with pytest.raises(DtypeError):
        gemm_dtype(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", STORAGE_DTYPES)
def test_storage_formats_are_no_choice(name: str) -> None:
    with pytest.raises(DtypeError, match=f"unknown dtype '{name}'"):
        gemm_dtype(name)


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(
            r"(w[0-9a]{0,3}a[0-9fp]{0,3}(_[a-z0-9]{0,6}){0,3}|int[0-9]{0,2}|bs[0-9]?x?[0-9]?)", fullmatch=True
        ),
    )
)
@example("w4a16_g128")
@example("\n")
def test_any_text_is_a_format_or_one_line(text: str) -> None:
    try:
        record = dtype(text)
    except DtypeError as error:
        message = str(error)
    else:
        message = ""
        assert dtype(record.name) == record
        assert 0 < record.weight_bits <= 128
        assert set(record.arithmetics) <= set(ARITHMETICS)
    assert "\n" not in message
    assert len(message) < 600


def test_narrower_integers_never_take_more_bits() -> None:
    for activations in ("4", "8", "16", "32", "fp8"):
        for suffix in ("", "_g16", "_g512"):
            bits = [dtype(f"w{w}a{activations}{suffix}").weight_bits for w in range(1, 9)]
            assert all(a < b for a, b in pairwise(bits)), (activations, suffix)


@given(st.integers(1, 8), st.sampled_from([16, 32]), st.integers(8, 65536), st.integers(8, 65536))
def test_larger_groups_never_take_more_bits(bits: int, activation: int, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert mixed_dtype(bits, activation, large).weight_bits <= mixed_dtype(bits, activation, small).weight_bits


# ------------------------------------------------------------------------------------------------- what runs them
@pytest.mark.parametrize("name", NAMES)
def test_something_runs_it_on_every_device(name: str) -> None:
    for device in catalogue().values():
        arithmetic = device.arithmetic(name)
        assert 0 < arithmetic.peak_flops <= max(device.peak_flops.values())
        assert arithmetic.name in dtype(name).arithmetics or arithmetic.name == "fp32"
        assert arithmetic.note is None or "\n" not in arithmetic.note


@pytest.mark.parametrize(
    ("device", "name", "note"),
    [
        ("a100-sxm-80gb", "w3a16", "w3a16: 3-bit weights are widened in registers to bf16, which multiplies"),
        ("a100-sxm-80gb", "w4a16_nf4", "w4a16_nf4: 4-bit weights are widened in registers to bf16, which multiplies"),
        ("a100-sxm-80gb", "w4a8", "w4a8: 4-bit weights are widened in registers to int8, which multiplies"),
        ("a100-sxm-80gb", "w4a32", "w4a32: 4-bit weights are widened in registers to fp32, which multiplies"),
        ("a100-sxm-80gb", "int3", "int3: operands are widened in registers to int4, which multiplies"),
        ("a100-sxm-80gb", "fp6", "fp6: a100-sxm-80gb has no fp6 arithmetic; bf16 ran instead"),
        ("h100-sxm", "mxfp6", "mxfp6: h100-sxm has no fp6 arithmetic; fp8 ran instead"),
        ("h100-sxm", "bs2x2", "bs2x2: h100-sxm has no int1 arithmetic; int8 ran instead"),
        ("a100-sxm-80gb", "int8", None),
        ("b200-sxm", "mxfp6", None),
    ],
)
def test_what_is_emulated_is_said(device: str, name: str, note: str | None) -> None:
    assert catalogue()[device].arithmetic(name).note == note


def test_fp6_runs_at_the_rate_of_fp8_on_blackwell() -> None:
    # 9 PFLOP/s with sparsity on the datasheet, "FP8/FP6".
    assert catalogue()["b200-sxm"].arithmetic("fp6").peak_flops == 4.5e15


def test_bit_serial_takes_a_pass_for_each_pair_of_bits_or_a_wider_unit() -> None:
    device = toy_device(peak_flops={"fp32": 1e12, "int8": 8e12, "int1": 64e12})
    # 2 · 3 passes: 64 / 6 = 10.7 T > 8 T of int8; 3 · 3 passes: 7.1 T.
    serial, wide = device.arithmetic("bs2x3"), device.arithmetic("bs3x3")
    assert (serial.name, serial.passes, serial.peak_flops) == ("int1", 6, pytest.approx(64e12 / 6))
    assert serial.note == "bs2x3: 6 passes of 1-bit products ran"
    assert (wide.name, wide.passes, wide.peak_flops) == ("int8", 1, 8e12)
    assert wide.note == "bs3x3: 9 passes of 1-bit products would take longer; int8 ran instead"
    assert device.arithmetic("int1").peak_flops == 64e12


def test_which_operands_are_widened() -> None:
    def widened(name: str, arithmetic: str) -> tuple[bool, bool]:
        record: Dtype = dtype(name)
        return record.widens_weights(arithmetic), record.widens_activations(arithmetic)

    assert widened("bf16", "fp32") == (False, False)
    assert widened("fp8", "fp8") == (False, False)
    assert widened("fp8", "bf16") == (True, True)
    assert widened("w4a16", "bf16") == (True, False)
    assert widened("w4a8", "int8") == (True, False)
    assert widened("w4a8", "bf16") == (True, True)
    assert widened("w8a8", "int8") == (False, False)
    assert widened("bs2x2", "int1") == (False, False)
    assert widened("bs2x2", "int8") == (True, True)

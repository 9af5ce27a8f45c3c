"""Number formats: how many bits they store, and which arithmetic runs them.

A *dtype* names how a GEMM-like operator stores its two operands (``w4a16``: 4-bit weights, 16-bit
activations). An *arithmetic* names the hardware unit that multiplies (``bf16``, ``fp8``, ``int8``);
device records quote their peaks by arithmetic. A device that lacks the first choice runs the next one
of the dtype's chain, and the prediction says so.

Block formats include their scales in the bit count: nvfp4 has one 8-bit scale per 16 values, mxfp4 and
mxfp8 one per 32 (OCP Microscaling Formats v1.0, table 1), fp8_block one 32-bit scale per 128 activations
and per 128x128 weights (DeepSeek-V3 technical report, section 3.3), w4a16 one 16-bit scale per group of 128
(AWQ, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.errors import DtypeError, nearest

ARITHMETICS = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8", "int4")
"""The arithmetics a device record may quote a peak for, in FLOP/s (or integer operations/s)."""


@dataclass(frozen=True, slots=True)
class Dtype:
    """One number format.

    Attributes:
        name: the design's name.
        weight_bits: bits stored per weight, scales included.
        activation_bits: bits stored per activation that enters the operator, scales included.
        output_bits: bits stored per result of a GEMM-like operator.
        arithmetics: the hardware arithmetics that can run it, best first.
    """

    name: str
    weight_bits: float
    activation_bits: float
    output_bits: float
    arithmetics: tuple[str, ...]


def _same(name: str, bits: float, *arithmetics: str) -> Dtype:
    return Dtype(name, bits, bits, bits, arithmetics)


_FP16 = ("bf16", "fp16", "fp32")
_FP8 = ("fp8", *_FP16)

GEMM_DTYPES: dict[str, Dtype] = {
    d.name: d
    for d in (
        _same("fp64", 64, "fp64"),
        _same("fp32", 32, "fp32"),
        _same("tf32", 32, "tf32", "fp32"),
        _same("fp16", 16, "fp16", "fp32"),
        _same("bf16", 16, "bf16", "fp32"),
        Dtype("fp8", 8, 8, 16, _FP8),
        Dtype("fp8_static", 8, 8, 16, _FP8),
        Dtype("fp8_block", 8 + 32 / (128 * 128), 8 + 32 / 128, 16, _FP8),
        Dtype("nvfp4", 4 + 8 / 16, 4 + 8 / 16, 16, ("fp4", *_FP8)),
        Dtype("mxfp4", 4 + 8 / 32, 4 + 8 / 32, 16, ("fp4", *_FP8)),
        Dtype("int8", 8, 8, 32, ("int8", *_FP16)),
        Dtype("int8_sq", 8, 8, 16, ("int8", *_FP16)),
        Dtype("w8a16", 8, 16, 16, _FP16),
        Dtype("w4a16", 4 + 16 / 128, 16, 16, _FP16),
        Dtype("w4a16_mxfp4", 4 + 8 / 32, 16, 16, _FP16),
        Dtype("w4a8_mxfp4_mxfp8", 4 + 8 / 32, 8 + 8 / 32, 16, _FP8),
    )
}
"""Formats that ``--dtype`` accepts and that GEMM-like operators run in."""

STORAGE_DTYPES: dict[str, Dtype] = {
    d.name: d
    for d in (
        _same("int64", 64, "fp32"),
        _same("uint64", 64, "fp32"),
        _same("int32", 32, "fp32"),
        _same("uint32", 32, "fp32"),
        _same("int16", 16, "fp32"),
        _same("uint16", 16, "fp32"),
        _same("uint8", 8, "int8", "fp32"),
        _same("bool", 8, "fp32"),
        _same("int4", 4, "int4", "int8", "fp32"),
        _same("uint4", 4, "int4", "int8", "fp32"),
        _same("int2", 2, "int4", "int8", "fp32"),
        _same("uint2", 2, "int4", "int8", "fp32"),
        _same("complex64", 64, "fp32"),
        _same("complex128", 128, "fp64"),
        # 16 bytes: a reference and a length; the characters themselves are not counted.
        _same("string", 128, "fp32"),
    )
}
"""Formats that tensors may be stored in, but that are no choice for ``--dtype``."""

_ALL = {**GEMM_DTYPES, **STORAGE_DTYPES}
_FLOATING = frozenset({"fp64", "fp32", "tf32", "fp16", "bf16", "fp8"})


def dtype(name: str) -> Dtype:
    """The record of a dtype.

    Raises:
        DtypeError: the name is unknown; the message names the nearest ones.
    """
    try:
        return _ALL[name]
    except (KeyError, TypeError):
        raise DtypeError(f"unknown dtype {name!r}: {nearest(str(name), GEMM_DTYPES)}") from None


def gemm_dtype(name: str) -> Dtype:
    """Like :func:`dtype`, for the formats that a GEMM-like operator can be cast to.

    Raises:
        DtypeError: the name is unknown or only a storage format.
    """
    if name not in GEMM_DTYPES:
        raise DtypeError(f"unknown dtype {name!r}: {nearest(str(name), GEMM_DTYPES)}")
    return GEMM_DTYPES[name]


def element_bytes(name: str) -> float:
    """Bytes of one stored element (of an activation, for formats whose weights are narrower)."""
    return dtype(name).activation_bits / 8


def is_floating(name: str) -> bool:
    """Whether a stored tensor of this dtype is cast by ``--dtype``."""
    return name in _FLOATING

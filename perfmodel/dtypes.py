"""Number formats: how many bits they store, and which arithmetic runs them.

A *dtype* names how a GEMM-like operator stores its two operands (``w4a16``: 4-bit weights, 16-bit activations). An
*arithmetic* names the hardware unit that multiplies (``bf16``, ``fp8``, ``int8``); device records quote their peaks by
arithmetic. A device that lacks the first choice runs the next one of the dtype's chain, and the prediction says so:
narrow operands are then widened in registers.

Beside the names in the tables there is a grammar, :data:`GRAMMAR`. Block formats include their scales in the bit count
(``docs/number-formats.md`` lists them all):

- nvfp4 has one 8-bit scale per 16 values, the mx formats one per 32 (OCP Microscaling Formats v1.0, table 1);
- fp8_block one 32-bit scale per 128 activations and per 128x128 weights (DeepSeek-V3 technical report, section 3.3);
- ``wXaY`` with X below 8 one scale per group of 128 weights (AWQ, section 4; GPTQ's and Marlin's usual group), as wide as
  the activations but at least 16 bits. 8-bit integers, fp8 and fp6 weights have one scale an output channel (LLM.int8();
  FP6-LLM), which is not counted: 0.1 % of the bits at k = 2048;
- nf4 one 8-bit scale per 64 weights and one 32-bit scale per 256 of those (QLoRA, section 3, "Double Quantization").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from perfmodel.errors import DtypeError, nearest

ARITHMETICS = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8", "int4", "int1")
"""The arithmetics a device record may quote a peak for, in FLOP/s (or integer operations/s).

``int1`` are products of single bits (AND or XOR, then a population count), counted like all others: 2 operations a product.
"""

GRAMMAR = "w{1-8}a{4|8|16|32|fp8}[_{fp4|nf4|nvfp4|mxfp4|fp6|mxfp6|fp8}][_g{8-65536}], int{1-8}, bs{1-8}x{1-8}"
"""Names that :func:`dtype` understands beside those of the tables."""


@dataclass(frozen=True, slots=True)
class Dtype:
    """One number format.

    Attributes:
        name: the name; several spellings of one format (``w4a16_g128``) share the shortest.
        weight_bits: bits stored per weight, scales included.
        activation_bits: bits stored per activation that enters the operator, scales included.
        output_bits: bits stored per result of a GEMM-like operator.
        arithmetics: the hardware arithmetics that can run it, best first.
        weight_format, activation_format: what one element is without its scale (``"int4"``, ``"nf4"``); empty for formats
            of 16 bits and more. An arithmetic takes operands of its own name as they are; others are widened in
            registers.
        quantize_kernels: kernels that quantise the activations before a GEMM (fp8 per tensor needs the largest value
            first); 0 where scales are fixed beforehand.
        bit_planes: products of single bits that one product takes on ``int1`` arithmetic; 1 for everything but the
            bit-serial formats.
        group: weights that share a scale, where the name gives it or the format has a usual one; else None.
    """

    name: str
    weight_bits: float
    activation_bits: float
    output_bits: float
    arithmetics: tuple[str, ...]
    weight_format: str = ""
    activation_format: str = ""
    quantize_kernels: int = 0
    bit_planes: int = 1
    group: int | None = None

    @property
    def ungrouped(self) -> str:
        """The name without a group size of its own: kernels of all group sizes are the same ones."""
        return self.name.partition("_g")[0]

    @property
    def weight_only(self) -> bool:
        """Whether only the weights are narrow: activations stay in 16 bits or more."""
        return bool(self.weight_format) and not self.activation_format

    def widens_weights(self, arithmetic: str) -> bool:
        """Whether the weights must be converted before this arithmetic can take them."""
        return bool(self.weight_format) and self.weight_format != arithmetic and not self._serial(arithmetic)

    def widens_activations(self, arithmetic: str) -> bool:
        """Whether the activations must be converted before this arithmetic can take them."""
        return bool(self.activation_format) and self.activation_format != arithmetic and not self._serial(arithmetic)

    def _serial(self, arithmetic: str) -> bool:
        return self.bit_planes > 1 and arithmetic == "int1"  # planes of bits are stored as such


def _same(name: str, bits: float, *arithmetics: str) -> Dtype:
    return Dtype(name, bits, bits, bits, arithmetics)


_FP16 = ("bf16", "fp16", "fp32")
_FP8 = ("fp8", *_FP16)
_INT8 = ("int8", *_FP16)
_MX_SCALE = 8 / 32
_NF4_SCALES = 8 / 64 + 32 / (64 * 256)

GEMM_DTYPES: dict[str, Dtype] = {
    d.name: d
    for d in (
        _same("fp64", 64, "fp64"),
        _same("fp32", 32, "fp32"),
        _same("tf32", 32, "tf32", "fp32"),
        _same("fp16", 16, "fp16", "fp32"),
        _same("bf16", 16, "bf16", "fp32"),
        Dtype("fp8", 8, 8, 16, _FP8, "fp8", "fp8", 2),
        Dtype("fp8_static", 8, 8, 16, _FP8, "fp8", "fp8"),
        Dtype("fp8_block", 8 + 32 / (128 * 128), 8 + 32 / 128, 16, _FP8, "fp8", "fp8", 1),
        Dtype("nvfp4", 4 + 8 / 16, 4 + 8 / 16, 16, ("fp4", *_FP8), "fp4", "fp4", 1),
        Dtype("mxfp4", 4 + 8 / 32, 4 + 8 / 32, 16, ("fp4", *_FP8), "fp4", "fp4", 1),
        Dtype("int8", 8, 8, 32, _INT8, "int8", "int8"),
        Dtype("int8_sq", 8, 8, 16, _INT8, "int8", "int8"),
        Dtype("w8a16", 8, 16, 16, _FP16, "int8"),
        Dtype("w4a16", 4 + 16 / 128, 16, 16, _FP16, "int4", group=128),
        Dtype("w4a16_mxfp4", 4 + 8 / 32, 16, 16, _FP16, "fp4"),
        Dtype("w4a8_mxfp4_mxfp8", 4 + 8 / 32, 8 + 8 / 32, 16, _FP8, "fp4", "fp8"),
    )
}
"""The formats that ``--dtype`` had from the start; their meaning is fixed."""

MORE_GEMM_DTYPES: dict[str, Dtype] = {
    d.name: d
    for d in (
        Dtype("mxfp8", 8 + _MX_SCALE, 8 + _MX_SCALE, 16, _FP8, "fp8", "fp8", 1),
        # e2m3 and e3m2 both fit into fp8's formats without loss.
        Dtype("fp6", 6, 6, 16, ("fp6", *_FP8), "fp6", "fp6"),
        Dtype("mxfp6", 6 + _MX_SCALE, 6 + _MX_SCALE, 16, ("fp6", *_FP8), "fp6", "fp6", 1),
        Dtype("mxint8", 8 + _MX_SCALE, 8 + _MX_SCALE, 16, _INT8, "int8", "int8", 1),
    )
}
"""Further named formats that ``--dtype`` accepts."""

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
        _same("uint4", 4, "int4", "int8", "fp32"),
        _same("uint2", 2, "int4", "int8", "fp32"),
        _same("complex64", 64, "fp32"),
        _same("complex128", 128, "fp64"),
        # 16 bytes: a reference and a length; the characters themselves are not counted.
        _same("string", 128, "fp32"),
    )
}
"""Formats that tensors may be stored in, but that are no choice for ``--dtype``."""

_ALIASES = {"nf4": "w4a16_nf4", "binary": "int1"}
_TABLES = {**GEMM_DTYPES, **MORE_GEMM_DTYPES, **STORAGE_DTYPES}
_FLOATING = frozenset({"fp64", "fp32", "tf32", "fp16", "bf16", "fp8"})

_MIN_GROUP, _MAX_GROUP = 8, 65536
_MIXED = re.compile(
    r"w([1-8])a(4|8|16|32|fp8)(?:_(fp4|nf4|nvfp4|mxfp4|fp6|mxfp6|fp8))?(?:_g([1-9][0-9]{0,4}))?", re.ASCII
)
_INTEGER = re.compile(r"int([1-7])", re.ASCII)
_BIT_SERIAL = re.compile(r"bs([1-8])x([1-8])", re.ASCII)

# Weight formats of the grammar beside plain integers: bits, element, bits of the format's own scales per weight.
_WEIGHT_FORMATS: dict[str, tuple[int, str, float | None]] = {
    "fp4": (4, "fp4", None),  # None: one scale a group, as integers have
    "nf4": (4, "nf4", _NF4_SCALES),
    "nvfp4": (4, "fp4", 8 / 16),
    "mxfp4": (4, "fp4", _MX_SCALE),
    "fp6": (6, "fp6", 0.0),
    "mxfp6": (6, "fp6", _MX_SCALE),
    "fp8": (8, "fp8", 0.0),
}
_FIXED_BLOCKS = ("nvfp4", "mxfp4", "mxfp6")
_USUAL_GROUP = 128


def dtype(name: str) -> Dtype:
    """The record of a dtype.

    Raises:
        DtypeError: the name is unknown; the message names the nearest ones.
    """
    try:
        found = _TABLES.get(name) or _parsed(name)
    except TypeError:  # not even hashable
        found = None
    if found is None:
        raise DtypeError(_unknown(name))
    return found


def gemm_dtype(name: str) -> Dtype:
    """Like :func:`dtype`, for the formats that a GEMM-like operator can be cast to.

    Raises:
        DtypeError: the name is unknown or only a storage format.
    """
    found = dtype(name)
    if found.name in STORAGE_DTYPES:
        raise DtypeError(_unknown(name))
    return found


def mixed_dtype(weight_bits: int, activation_bits: int, group: int) -> Dtype:
    """Integer weights of so many bits with one scale per ``group``, and floating activations of 16 or 32 bits.

    Raises:
        DtypeError: no such format.
    """
    return dtype(f"w{weight_bits}a{activation_bits}_g{group}")


@lru_cache(maxsize=1024)
def _parsed(name: object) -> Dtype | None:
    if not isinstance(name, str):
        return None
    if name in _ALIASES:
        return dtype(_ALIASES[name])
    if match := _MIXED.fullmatch(name):
        return _mixed(int(match[1]), match[2], match[3], match[4])
    if match := _INTEGER.fullmatch(name):
        bits = int(match[1])
        # The next wider integer units, then the floating ones; sums have 32 bits, as int8's have.
        chain = tuple(a for a in ("int1", "int4", "int8") if int(a[3:]) >= bits)
        return Dtype(name, bits, bits, 32, (*chain, *_FP16), name, name)
    if match := _BIT_SERIAL.fullmatch(name):
        w, a = int(match[1]), int(match[2])
        # One product of planes of bits for each pair of a weight's and an activation's bit (Umuroglu et al., "BISMO",
        # FPL 2018): the sum over i, j of 2^(i+j) · popcount(W_i AND A_j).
        return Dtype(name, w, a, 32, ("int1", *_INT8), f"int{w}", f"int{a}", bit_planes=w * a)
    return None


def _mixed(bits: int, activation: str, form: str | None, group_text: str | None) -> Dtype | None:
    wide = activation in ("16", "32")
    width = 8 if activation == "fp8" else int(activation)
    scale_bits = max(16, width)
    group = None if group_text is None else int(group_text)
    if group is not None and (not _MIN_GROUP <= group <= _MAX_GROUP or form in _FIXED_BLOCKS):
        return None
    element, scales = f"int{bits}", None if bits < 8 else 0.0
    if form is not None:
        own_bits, element, scales = _WEIGHT_FORMATS[form]
        if own_bits != bits:
            return None
    if group is not None:
        scales = scale_bits / group
    elif scales is None:
        group, scales = _USUAL_GROUP, scale_bits / _USUAL_GROUP
    # Spelled without what is usual, so that one format has one name.
    shown = "" if group is None or (group == _USUAL_GROUP and bits < 8 and form in (None, "fp4")) else f"_g{group}"
    name = f"w{bits}a{activation}" + (f"_{form}" if form else "") + shown
    if name in GEMM_DTYPES:
        return GEMM_DTYPES[name]
    if wide:
        arithmetics: tuple[str, ...] = ("fp32",) if width == 32 else _FP16
        return Dtype(name, bits + scales, width, width, arithmetics, element, group=group)
    arithmetics = _FP8 if activation == "fp8" else (("int4", *_INT8) if width == 4 and bits <= 4 else _INT8)
    act = "fp8" if activation == "fp8" else f"int{width}"
    # Activations are quantised token by token (QServe): one kernel, scales not counted.
    return Dtype(name, bits + scales, width, 16, arithmetics, element, act, 1, group=group)


def _unknown(name: object) -> str:
    text = str(name)[:60]
    known = {**GEMM_DTYPES, **MORE_GEMM_DTYPES, **dict.fromkeys(_ALIASES)}
    return f"unknown dtype {text!r}: {nearest(text, known)} (or wXaY, as in w3a16_g64; intX; bsXxY)"


def element_bytes(name: str) -> float:
    """Bytes of one stored element (of an activation, for formats whose weights are narrower)."""
    return dtype(name).activation_bits / 8


def is_floating(name: str) -> bool:
    """Whether a stored tensor of this dtype is cast by ``--dtype``."""
    return name in _FLOATING

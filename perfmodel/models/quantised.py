"""Products of operands that are stored narrower than they are multiplied.

Three ways, of which the quickest is taken where libraries have them all:

- *fused*: each tile widens its operands in registers, inside the main loop. Per element that is a number of instructions
  of the ordinary units (:data:`PER_REGISTER`), which share issue slots and registers with the loop and add to it;
- *ahead*: a kernel of its own widens all weights to the arithmetic's format in memory first, then a plain GEMM runs. It
  reads and writes every weight once and pays for itself only where m is large: bitsandbytes does so for every m above 1,
  vLLM's exllama kernels above 50 and its AWQ kernels from 256 on;
- *row by row*: with few rows of A a matrix tile is nearly empty, and kernels multiply on the ordinary units as they widen
  (llama.cpp's and bitsandbytes' matrix-vector kernels, ONNX Runtime's MatMulNBits).

At small m the weights' bytes bound (Frantar et al., "Marlin", 2024).
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from perfmodel.dtypes import Dtype
from perfmodel.models import gemm
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Machine

# Instructions of the ordinary units that fill one 32-bit register with widened elements. Two elements of 16 bits share a
# register; the counts are for such a pair.
PER_REGISTER = {
    # One byte permutation that also merges an exponent, one packed addition that takes the offset off (Kim et al., "Who Says
    # Elephants Can't Run", 2022).
    "int8": 2.0,
    # A LOP3 that masks and merges an exponent and a packed FMA; a word of eight (16, 32) needs one (3, 7) shifts more
    # (the same; Frantar et al., "Marlin", 2024).
    "int4": 1 + 1 + 1 / 4,
    "int2": 1 + 1 + 3 / 8,
    "int1": 1 + 1 + 7 / 16,
    # Widths that do not divide a word are packed as planes of 1, 2 and 4 bits: each further plane costs one more LOP3 and
    # half a shift (Xia et al., "FP6-LLM", 2024, splits 6 bits into 2 and 4).
    "int3": 1 + 1 + 1 + 0.5,
    "int5": 1 + 1 + 1 + 0.5,
    "int6": 1 + 1 + 1 + 0.5,
    "int7": 1 + 1 + 2 * (1 + 0.5),
    # Sign and the rest move to their places apart: two LOP3 and a shift. The exponent's bias rides in the scale.
    "fp8": 3.0,
    "fp4": 3.0,
    "fp6": 3 + 1 + 0.5,
    # A table in shared memory gives a pair a load (Guo et al., "FLUTE", 2024), at a quarter of arithmetic's
    # lanes a clock; a shift and a mask make the pair's index.
    "nf4": 4 + 2.0,
}
"""What widening takes, in instructions; our counts of the sequences that the cited kernels use."""
_SCALE = 1.0  # one more multiplication a register where scales change along k
_LANES = {"fp64": 0.5, "fp32": 1, "tf32": 1, "fp16": 2, "bf16": 2, "fp8": 4, "fp6": 4, "int8": 4, "fp4": 8, "int4": 8}
"""Elements of an arithmetic's operands that share a register."""

_FITTED = ("w4a16", "w8a16", "w4a16_mxfp4", "w4a8_mxfp4_mxfp8")
"""Formats whose weights cost 1, whatever their count: ``dequantize_cycles_per_element`` was fitted to the tables of w4a16 and
w8a16 together, and the residuals were trained on that. It comes out at 1/39 clock, 1.6 instructions of an A100's 64 lanes,
where int8's count is 1 and int4's 1.6. Against bf16, the A100's int4 GEMMs of n, k >= 4096 take 2 to 5 % more time from
m = 256 on and its int8 GEMMs 0 to 2 %: a cost of about 1.8, where 1.6 is counted."""
_FUSED_16_BIT = ("int4", "int8", "fp4", "fp8")
"""Weights for which common libraries widen to 16 bits in the main loop at every m (CUTLASS's mixed-input GEMMs, Marlin,
Machete): the tables that the shipped residuals were trained on are those kernels'."""
_RESCALING = {"fp8_block": 1.0}
"""Formats that their own arithmetic takes as they are, but whose scales change along k: partial sums are scaled on the
ordinary units every 128 of them (DeepSeek-V3, section 3.3), which the fitted constants put at the cost of widening."""


def widening(record: Dtype, arithmetic: str) -> tuple[float, float]:
    """Instructions that widening one weight and one activation takes in the main loop; 0 where none is widened."""
    weights = activations = 0.0
    if record.widens_weights(arithmetic):
        fitted = record.ungrouped in _FITTED
        weights = 1.0 if fitted else _instructions(record.weight_format, record.weight_bits, arithmetic)
    elif record.name in _RESCALING:
        weights = _RESCALING[record.name]
    if record.widens_activations(arithmetic):
        activations = _instructions(record.activation_format, record.activation_bits, arithmetic)
    return weights, activations


def _instructions(element: str, bits: float, arithmetic: str) -> float:
    scaled = bits > int(element[-1])
    return (PER_REGISTER[element] + (_SCALE if scaled else 0.0)) / _LANES[arithmetic]


def estimate(shape: gemm.GemmShape, record: Dtype, machine: Machine, c: Constants, cache: str) -> gemm.GemmEstimate:
    """:func:`perfmodel.models.gemm.estimate` for operands of a format that may be narrower than its arithmetic.

    Args:
        shape: the products; ``dequantize`` and ``dequantize_a`` are set here.
        record: the format.
        machine, c, cache: as there.
    """
    weights, activations = widening(record, machine.arithmetic)
    shape = replace(shape, dequantize=weights, dequantize_a=activations)
    fused = gemm.estimate(shape, machine, c, cache)
    if not record.weight_only or (record.weight_format in _FUSED_16_BIT and record.activation_bits == 16):
        return fused
    return _quicker(_quicker(fused, _ahead(shape, machine, c, cache)), _row_by_row(fused, shape, machine, c))


def _ahead(shape: gemm.GemmShape, machine: Machine, c: Constants, cache: str) -> gemm.GemmEstimate:
    """A kernel that writes the weights as wide as the activations are, and the GEMM that reads those."""
    extra = (shape.a_bits - shape.b_bits) / 8 * shape.batch * shape.n * shape.k
    wide = None if shape.compulsory_bytes is None else shape.compulsory_bytes + extra
    plain = gemm.estimate(replace(shape, b_bits=shape.a_bits, compulsory_bytes=wide, dequantize=0.0), machine, c, cache)
    moved = (shape.a_bits + shape.b_bits) / 8 * shape.batch * shape.n * shape.k
    kernel = c.stream_launch_cycles / machine.clock_hz + moved / (machine.dram_bytes_per_s * c.stream_efficiency)
    return replace(
        plain,
        latency_s=plain.latency_s + kernel,
        quantize_s=plain.quantize_s + kernel,
        dram_bytes=plain.dram_bytes + moved,
        unsplit_latency_s=plain.unsplit_latency_s + kernel,
        tile_latency_s=plain.tile_latency_s + kernel[:, None],
    )


def _row_by_row(fused: gemm.GemmEstimate, shape: gemm.GemmShape, machine: Machine, c: Constants) -> gemm.GemmEstimate:
    """Every weight is read and widened once, and multiplied with each row of A on the ordinary units."""
    weights = shape.batch * shape.n * shape.k
    multiply = 2 * shape.m * weights / (machine.vector_flops * c.simt_efficiency)
    vector_clock = machine.units * machine.clock_hz * machine.vector_units
    widen = weights * c.dequantize_cycles_per_element * shape.dequantize / vector_clock
    compute = multiply + widen
    l2 = weights * shape.b_bits / 8 / gemm.hit_rate(machine, c, machine.dram_bytes_per_s * c.dram_efficiency)
    p = c.norm_p
    latency = fused.launch_s + (compute**p + l2**p + fused.dram_s**p) ** (1 / p)
    return replace(
        fused,
        latency_s=latency,
        compute_s=compute,
        l2_s=l2,
        split_k_s=np.zeros_like(latency),
        tile_m=np.ones_like(latency),
        split_k=np.ones_like(latency),
        throttle=np.ones_like(latency),
        unsplit_latency_s=latency,
        tile_latency_s=np.maximum(fused.tile_latency_s, latency[:, None]),
    )


def _quicker(first: gemm.GemmEstimate, second: gemm.GemmEstimate) -> gemm.GemmEstimate:
    """Row by row the estimate with the lower latency."""
    better = second.latency_s < first.latency_s

    def chosen(name: str) -> np.ndarray:
        one, other = getattr(first, name), getattr(second, name)
        picked: np.ndarray = np.where(better[:, None] if one.ndim > 1 else better, other, one)
        return picked

    return gemm.GemmEstimate(*(chosen(f.name) for f in fields(gemm.GemmEstimate)))

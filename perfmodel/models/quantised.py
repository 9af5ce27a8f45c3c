"""Products of operands that are stored narrower than they are multiplied.

Three ways, of which the quickest is taken where libraries have them all:

- *fused*: each tile widens its operands in registers, inside the main loop. Per element that is a number of instructions
  of the ordinary units (:data:`WIDENING`), which share issue slots and registers with the loop and add to it;
- *ahead*: a kernel of its own widens all weights to the arithmetic's format in memory first, then a plain GEMM runs. It
  reads and writes every weight once and pays for itself only where m is large: bitsandbytes does so for every m above 1,
  GPTQ's exllama kernels from m = 50 on, AWQ's from 256 on;
- *row by row*: with few rows of A a matrix tile is nearly empty, and kernels multiply on the ordinary units as they widen
  (llama.cpp's and bitsandbytes' matrix-vector kernels, ONNX Runtime's MatMulNBits).

At small m the weights' bytes bound (Frantar et al., "Marlin", 2024, section 2).
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from perfmodel.dtypes import Dtype
from perfmodel.models import gemm
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Machine

# Instructions that widen one weight to 16 bits, the product with its group's scale included (half an instruction: one
# packed multiplication for two). Counted for 32-bit registers with packed 16-bit arithmetic:
_SCALE = 0.5
_INSTRUCTIONS = {
    # A word holds eight: one shift, then for each pair one LOP3 that masks and merges an exponent, and one packed FMA that
    # takes the offset off (Kim et al., "Who Says Elephants Can't Run", 2022, section 3; Marlin's kernel).
    "int4": (1 + 4 + 4) / 8 + _SCALE,
    "int2": (3 + 8 + 8) / 16 + _SCALE,
    "int1": (7 + 16 + 16) / 32 + _SCALE,
    # Widths that do not divide a word are packed as planes of 1, 2 and 4 bits: each further plane costs a pair one more
    # LOP3 and half a shift (Xia et al., "FP6-LLM", 2024, section 5, splits 6 bits into 2 and 4).
    "int3": (1 + 0.5 + 1 + 1) / 2 + _SCALE,
    "int5": (1 + 0.5 + 1 + 1) / 2 + _SCALE,
    "int6": (1 + 0.5 + 1 + 1) / 2 + _SCALE,
    "int7": (1 + 0.5 + 1 + 0.5 + 1 + 1) / 2 + _SCALE,
    # Floating formats: sign and the rest move to their places apart (two LOP3, a shift); the exponent's bias rides in the
    # scale.
    "fp6": (1 + 0.5 + 1 + 1 + 1) / 2 + _SCALE,
    "fp8": (1 + 1 + 1) / 2 + _SCALE,
    # A table in shared memory gives two weights a load (Guo et al., "FLUTE", 2024, section 3.2); a load takes a quarter
    # as many lanes a clock as arithmetic does. Then a shift and a mask for the pair's index.
    "nf4": (4 + 2) / 2 + _SCALE,
}
# int8 and fp4 take int4's cost: the constant was fitted over weights of 4 and 8 bits together, and one LOP3 more or less is
# below what the tables that it was fitted to can tell apart.
WIDENING = {name: count / _INSTRUCTIONS["int4"] for name, count in _INSTRUCTIONS.items()} | {"int8": 1.0, "fp4": 1.0}
"""Cost of widening one element, over that of an int4 weight (``dequantize_cycles_per_element``)."""

_FUSED_16_BIT = ("int4", "int8", "fp4", "fp8")
"""Weights for which common libraries widen to 16 bits in the main loop at every m (CUTLASS's mixed-input GEMMs, Marlin,
Machete): the tables that the shipped residuals were trained on are those kernels'."""
_RESCALING = {"fp8_block": 1.0}
"""Formats that their own arithmetic takes as they are, but whose scales change along k: partial sums are scaled on the
ordinary units every 128 of them (DeepSeek-V3, section 3.3), which the fitted constants put at the cost of widening."""


def widening(record: Dtype, arithmetic: str) -> tuple[float, float]:
    """What widening one weight and one activation costs in the main loop, over an int4 weight; 0 where none is widened."""
    weights = WIDENING[record.weight_format] if record.widens_weights(arithmetic) else _RESCALING.get(record.name, 0.0)
    return weights, WIDENING[record.activation_format] if record.widens_activations(arithmetic) else 0.0


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
    plain = gemm.estimate(
        replace(shape, b_bits=shape.a_bits, compulsory_bytes=wide, dequantize=0.0), machine, c, cache
    )
    moved = (shape.a_bits + shape.b_bits) / 8 * shape.batch * shape.n * shape.k
    kernel = c.stream_launch_cycles / machine.clock_hz + moved / (machine.dram_bytes_per_s * c.stream_efficiency)
    return replace(
        plain,
        latency_s=plain.latency_s + kernel,
        quantize_s=plain.quantize_s + kernel,
        dram_bytes=plain.dram_bytes + moved,
        tile_latency_s=plain.tile_latency_s + kernel[:, None],
    )


def _row_by_row(fused: gemm.GemmEstimate, shape: gemm.GemmShape, machine: Machine, c: Constants) -> gemm.GemmEstimate:
    """Every weight is read and widened once, and multiplied with each row of A on the ordinary units."""
    weights = shape.batch * shape.n * shape.k
    multiply = 2 * shape.m * weights / (machine.vector_flops * c.mma_efficiency * c.simt_efficiency)
    widen = weights * c.dequantize_cycles_per_element * shape.dequantize / (machine.units * machine.clock_hz)
    compute = multiply + widen
    l2 = weights * shape.b_bits / 8 / (c.hit_bytes_per_clock * machine.units * machine.clock_hz)
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

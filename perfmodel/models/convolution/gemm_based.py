"""Convolution as a matrix product: implicit GEMM, explicit im2col, and what transposed convolutions make of them.

Implicit GEMM (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014, section 3) computes
C[batch·outputs, c_out] = A[batch·outputs, taps·c_in] · B[taps·c_in, c_out], where the tiles of A are gathered from the input
while the kernel runs: no copy of the input is ever stored. Explicit im2col stores A, which is ``taps / stride`` times the
input, and multiplies it afterwards (the footprints are compared in Lu et al., "Im2win: Memory Efficient Convolution On SIMD
Architectures", 2022).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfmodel.models import gemm, quantised
from perfmodel.models.bounds import Candidate, Setting, joined, miss
from perfmodel.models.convolution import simt
from perfmodel.models.convolution.shape import ConvShape, Formats
from perfmodel.models.products import split_k_workspace, tile_details

VECTOR_BYTES = 16
"""Matrix kernels gather channels in vectors of 16 bytes: input channels are padded to 8 in 16 bits, 16 in 8 bits, 4 in TF32
(NVIDIA, "Convolutional Layers User's Guide", section on channels)."""
FIRST_LAYER_CHANNELS = 4
"""Images of up to 4 channels are padded to 4, for which there are kernels of their own (the same section)."""
PACKED_WIDTH = 32
"""Groups are packed until a tile has this many columns: the narrowest of :data:`perfmodel.models.gemm.TILES`."""
SEGMENT_BYTES = 65536
"""On CPUs im2col is done in segments of a core's cache, one a thread: 128 x 128 floats (as in Microsoft's MLAS)."""


def padded_channels(shape: ConvShape, f: Formats) -> np.ndarray:
    """Input channels of a group as the kernel multiplies them."""
    if not f.on_matrix_units:
        return shape.c_in
    vector = max(1.0, VECTOR_BYTES * 8 / f.record.activation_bits)
    padded: np.ndarray = np.where(
        shape.c_in <= FIRST_LAYER_CHANNELS, FIRST_LAYER_CHANNELS, np.ceil(shape.c_in / vector) * vector
    )
    return padded


def estimate(g: gemm.GemmShape, f: Formats, s: Setting) -> gemm.GemmEstimate:
    """The tile model with the kernels that convolution libraries have."""
    if s.device.kind == "cpu":
        c = s.constants
        c = replace(c, simt_efficiency=c.simt_efficiency * c.simt_convolution_efficiency)
        return quantised.estimate(g, f.record, s.machine, c, s.cache)
    if f.on_matrix_units:
        return quantised.estimate(g, f.record, s.machine, s.constants, s.cache)
    weights, activations = quantised.widening(f.record, s.machine.arithmetic)
    return gemm.estimate(
        replace(g, dequantize=weights, dequantize_a=activations), *simt.product(s), s.cache, simt.CONVOLUTION
    )


def _product(shape: ConvShape, f: Formats, channels: np.ndarray, packed: np.ndarray | float) -> gemm.GemmShape:
    """The product of implicit GEMM with ``packed`` groups in one tile: their filters lie on a block diagonal."""
    # Each output of a transposed convolution sums over the taps that reach it: one in `stride` of them.
    taps = shape.taps * shape.products / np.maximum(shape.outputs, 1.0)
    return gemm.GemmShape(
        batch=shape.groups / packed, m=shape.batch * shape.outputs, n=shape.c_out * packed, k=taps * channels * packed,
        a_bits=f.record.activation_bits, b_bits=f.record.weight_bits, c_bits=f.output_bits,
        compulsory_bytes=shape.compulsory_bytes,
    )  # fmt: skip


def _candidate(
    name: str, index: np.ndarray, e: gemm.GemmEstimate, g: gemm.GemmShape, shape: ConvShape, s: Setting
) -> Candidate:
    vector = s.extras.flops / s.vector_rate
    overhead = e.launch_s + e.split_k_s + e.quantize_s
    terms = {"compute": e.compute_s, "l2": e.l2_s, "dram": e.dram_s, "vector": vector, "launch": overhead}
    return Candidate(
        name, index, np.maximum(e.latency_s, overhead + vector), terms, e.dram_bytes, split_k_workspace(e, g), shape.flops,
        s.machine.peak_flops, tile_details(e), e.throttle,
    )  # fmt: skip


def implicit_gemm(shape: ConvShape, f: Formats, s: Setting) -> list[Candidate]:
    """One product a group; and where groups are narrow, one product over several of them.

    A tile has at least :data:`PACKED_WIDTH` columns, so that a group of 4 output channels wastes seven eighths of it.
    Packing 8 groups wastes as much arithmetic (the block diagonal's zeros), but its loops are 8 times longer.
    """
    name = "direct" if s.device.kind == "cpu" else "implicit_gemm"
    channels = padded_channels(shape, f)
    g = _product(shape, f, channels, 1.0)
    everything = np.arange(s.rows)
    candidates = [_candidate(name, everything, estimate(g, f, s), g, shape, s)]
    if s.device.kind == "cpu":  # its libraries compute narrow groups on the vector units
        return candidates
    narrow = np.flatnonzero((shape.groups > 1) & (shape.c_out < PACKED_WIDTH) & (shape.c_out > 0))
    if len(narrow):
        part, where = shape.part(narrow), s.part(narrow)
        packed = np.minimum(np.ceil(PACKED_WIDTH / part.c_out), part.groups)
        g = _product(part, f, channels[narrow], packed)
        candidates.append(_candidate("implicit_gemm_packed_groups", narrow, estimate(g, f, where), g, part, where))
    return candidates


def im2col_gemm(shape: ConvShape, f: Formats, s: Setting, transposed: bool) -> list[Candidate]:
    """A kernel that stores the matrix of all patches, then a plain GEMM over it.

    A transposed convolution does the same backwards: the GEMM stores a column of contributions a position, and a kernel
    sums them up (col2im). On CPUs the matrix is made in segments that stay in a core's cache. Pointwise convolutions
    need no patches.
    """
    index = np.flatnonzero((shape.taps > 1) & (shape.flops > 0))
    if not len(index) or s.device.kind == "tpu":  # compilers for TPUs make no patches
        return []
    shape, s = shape.part(index), s.part(index)
    segmented = s.device.kind == "cpu"
    positions, wide = shape.batch * shape.products, shape.taps * np.where(transposed, shape.c_out, shape.c_in)
    matrix = positions * shape.groups * wide * (f.output_bits if transposed else f.record.activation_bits) / 8
    g = gemm.GemmShape(
        batch=shape.groups, m=positions, n=wide if transposed else shape.c_out, k=shape.c_in if transposed else wide,
        a_bits=f.record.activation_bits, b_bits=f.record.weight_bits, c_bits=f.output_bits,
        # Segments never leave the caches: only the tensors themselves cross DRAM.
        compulsory_bytes=shape.compulsory_bytes if segmented else None,
    )  # fmt: skip
    e = estimate(g, f, s)
    stream_rate = s.machine.dram_bytes_per_s * s.constants.stream_efficiency
    if segmented:
        workspace, copied, crossing, launch = (
            np.minimum(matrix, s.machine.units * SEGMENT_BYTES),
            matrix,
            0.0 * matrix,
            0.0,
        )
    else:
        workspace, launch = matrix, s.stream_launch_s
        copied = matrix + (shape.output_bytes if transposed else shape.input_bytes) + shape.extra_bytes
        crossing = copied * miss(copied, s)
    copy_dram, copy_l2 = crossing / stream_rate, copied / s.hit_rate
    vector = s.extras.flops / s.vector_rate
    overhead = e.launch_s + e.split_k_s + e.quantize_s + launch
    terms = {
        "compute": e.compute_s, "l2": e.l2_s + copy_l2, "dram": e.dram_s + copy_dram, "vector": vector, "launch": overhead,
    }  # fmt: skip
    latency = e.latency_s + launch + joined(s.constants.norm_p, copy_dram, copy_l2)
    return [
        Candidate(
            "im2col_gemm", index, np.maximum(latency, overhead + vector), terms, e.dram_bytes + crossing,
            workspace + split_k_workspace(e, g), shape.flops, s.machine.peak_flops, tile_details(e), e.throttle,
        )
    ]  # fmt: skip

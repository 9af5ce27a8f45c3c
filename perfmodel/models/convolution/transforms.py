"""Algorithms that multiply fewer times in a transformed domain: Winograd's minimal filtering, and the Fourier transform.

F(m x m, r x r) computes an m x m tile of outputs from an (m + r - 1) x (m + r - 1) tile of inputs with one multiplication a
value of that tile instead of r·r an output (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
equations 3 to 8): F(2x2, 3x3) multiplies 16 times where the direct algorithm does 36 times, F(4x4, 3x3) 36 times instead of
144. Summed over channels the multiplications are 16 or 36 independent matrix products. What is saved there is paid for in
transforms, which are arithmetic on the vector units and, unless everything is one kernel, traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.models import gemm
from perfmodel.models.bounds import Candidate, Setting, joined, miss
from perfmodel.models.convolution import simt
from perfmodel.models.convolution.shape import ConvShape, Formats
from perfmodel.models.products import tile_details
from perfmodel.ops import Conv

WINOGRAD_DTYPES = ("fp32", "fp16")
"""Formats in which GPU libraries have Winograd kernels: narrower ones lose their bits in the transforms, and TF32 and bf16
run as implicit GEMM."""
FFT_TILE = 32.0
"""Side of the tiles of cuDNN's tiled FFT convolution, whose transforms have 32 x 17 complex values."""
FFT_VALUES = FFT_TILE * (FFT_TILE / 2 + 1)
FFT_SMALLEST_KERNEL = 5
"""Libraries try the transform of 32 x 32 for kernels from 5x5 on; below, Winograd or the direct algorithm needs fewer FLOPs."""


FUSED_BLOCKS = ((1.0, 4.0, 8.0), (2.0, 4.0, 4.0), (2.0, 2.0, 8.0))
"""Images, rows and columns of 2x2 tiles that a thread block of cuDNN's fused kernel takes (``tile148``, ``tile244``,
``tile228``): 32 tiles of 32 output channels each. Found to give the grids in NeuSight's convolution traces."""
FUSED_TILES, FUSED_FILTERS, FUSED_STEP = 32.0, 32.0, 8.0
FUSED_INPUTS = 200.0
"""Inputs under 32 tiles with their halo: 10 x 10 of two images, or 10 x 18 of one."""
OPERAND_HITS = 2.0
"""Operands that several warps of a block read come from L1 about every other time."""


@dataclass(frozen=True)
class Minimal:
    """F(m x m, 3 x 3): side of a tile of outputs and of inputs, and FLOPs of the transforms of one tile and channel (Lavin &
    Gray 2016, section 4.1: 32, 28 and 24 for m = 2; section 4.2: 144, 72 and 100 for m = 4)."""

    outputs: float
    inputs: float
    data_flops: float
    filter_flops: float
    inverse_flops: float

    @property
    def values(self) -> float:
        """Multiplications of a tile and pair of channels, and values of a transformed tile."""
        return self.inputs**2


F2 = Minimal(2, 4, 32, 28, 24)
F4 = Minimal(4, 6, 144, 72, 100)


def _where(op: Conv, s: Setting, allowed: np.ndarray) -> np.ndarray:
    """Rows among ``allowed`` of two-dimensional convolutions of dense channels, at stride 1, undilated."""
    if s.device.kind != "gpu" or op.transposed:
        return np.zeros(0, dtype=np.intp)
    ones = (
        op.stride_h, op.stride_w, op.stride_d, op.dilation_h, op.dilation_w, op.dilation_d, op.groups, op.depth, op.kernel_d,
        op.out_d,
    )  # fmt: skip
    for dimension in ones:
        allowed = allowed & (s.per_row(dimension) == 1)
    return np.flatnonzero(allowed)


def winograd(op: Conv, shape: ConvShape, f: Formats, s: Setting) -> list[Candidate]:
    """Both forms of Winograd convolution where they are admissible: 3x3, stride 1, undilated, ungrouped, fp32 or fp16."""
    if op.dtype not in WINOGRAD_DTYPES:
        return []
    index = _where(op, s, (s.per_row(op.kernel_h) == 3) & (s.per_row(op.kernel_w) == 3) & (shape.flops > 0))
    if not len(index):
        return []
    part, setting = shape.part(index), s.part(index)
    fused = [] if f.on_matrix_units else [_fused(index, part, f, setting)]
    return [*fused, _nonfused(index, part, f, setting)]


def _tiles(shape: ConvShape, side: float) -> np.ndarray:
    tiles: np.ndarray = shape.batch * np.ceil(shape.out_h / side) * np.ceil(shape.out_w / side)
    return tiles


def _fused(index: np.ndarray, shape: ConvShape, f: Formats, s: Setting) -> Candidate:
    """F(2x2, 3x3) in one kernel that transforms tiles on chip, after a small one that transforms the filters."""
    c, machine = s.constants, s.machine
    bits = f.record.activation_bits
    down, across = np.ceil(shape.out_h / F2.outputs), np.ceil(shape.out_w / F2.outputs)
    grids = [
        np.ceil(shape.batch / n) * np.ceil(down / rows) * np.ceil(across / columns) for n, rows, columns in FUSED_BLOCKS
    ]
    blocks_m = np.stack(grids).min(axis=0)
    blocks = blocks_m * np.ceil(shape.c_out / FUSED_FILTERS)
    loop = np.ceil(shape.c_in / FUSED_STEP) * FUSED_STEP + simt.K_EXTRA
    per_unit = np.ceil(blocks / machine.units)
    rate = machine.flops_per_clock * machine.clock_hz * c.simt_efficiency * c.winograd_efficiency
    compute = per_unit * 2 * F2.values * FUSED_TILES * FUSED_FILTERS * loop / (rate * simt.throttle(s))
    filters = F2.values * shape.c_in * shape.c_out * bits / 8
    # A block reads its tiles' inputs (with their halo) and its filters once a channel.
    operands = (FUSED_INPUTS + F2.values * FUSED_FILTERS) * bits / 8
    moved = shape.input_bytes + filters + shape.output_bytes + shape.extra_bytes
    missed = miss(moved, s)
    dram = moved * missed / s.dram_rate + moved * (1 - missed) / s.hit_rate
    l2 = blocks * operands * loop / (s.hit_rate * OPERAND_HITS)
    prepared = _filter_transform(shape.weight_bytes + filters, F2.filter_flops * shape.c_in * shape.c_out, s)
    vector = s.extras.flops / s.vector_rate
    launch = c.launch_cycles / machine.clock_hz + s.stream_launch_s
    terms = {"compute": compute, "l2": l2, "dram": dram + prepared, "vector": vector, "launch": np.full(s.rows, launch)}
    latency = launch + prepared + np.maximum(joined(c.norm_p, compute, l2, dram), vector)
    return Candidate(
        "winograd_fused", index, latency, terms, moved * missed, filters,
        2 * F2.values * _tiles(shape, F2.outputs) * shape.c_in * shape.c_out, machine.peak_flops,
        throttle=simt.throttle(s),
    )  # fmt: skip


def _nonfused(index: np.ndarray, shape: ConvShape, f: Formats, s: Setting) -> Candidate:
    """F(4x4, 3x3) as four kernels: transforms of input and filters, 36 products, the inverse transform."""
    tiles = _tiles(shape, F4.outputs)
    bits = f.record.activation_bits
    data = F4.values * tiles * shape.c_in * bits / 8
    filters = F4.values * shape.c_in * shape.c_out * bits / 8
    results = F4.values * tiles * shape.c_out * bits / 8
    g = gemm.GemmShape(np.full(s.rows, F4.values), tiles, shape.c_out, shape.c_in, bits, bits, bits)
    inverse = F4.inverse_flops * tiles * shape.c_out + s.extras.flops
    tile_rate, filter_rate = s.constants.transform_efficiency, s.constants.filter_transform_efficiency
    passes = (
        (shape.input_bytes + data, F4.data_flops * tiles * shape.c_in, tile_rate),
        (shape.weight_bytes + filters, F4.filter_flops * shape.c_in * shape.c_out, filter_rate),
        (results + shape.output_bytes + shape.extra_bytes, inverse, tile_rate),
    )
    flops = 2 * F4.values * tiles * shape.c_in * shape.c_out
    return _transformed("winograd_nonfused", index, g, passes, data + filters + results, flops, f, s)


def fft(op: Conv, shape: ConvShape, f: Formats, s: Setting) -> list[Candidate]:
    """Tiled Fourier transforms of 32 x 32 values in fp32: products of complex matrices, one a frequency.

    Half of the frequencies suffice for real data, and a complex product is four real ones. (Mathieu, Henaff & LeCun, "Fast
    Training of Convolutional Networks through FFTs", 2013; cuDNN's CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING.)
    """
    kernel = np.maximum(s.per_row(op.kernel_h), s.per_row(op.kernel_w))
    smallest = np.minimum(s.per_row(op.kernel_h), s.per_row(op.kernel_w))
    allowed = (smallest >= FFT_SMALLEST_KERNEL) & (kernel < FFT_TILE) & (shape.flops > 0)
    index = _where(op, s, allowed) if op.dtype == "fp32" else np.zeros(0, dtype=np.intp)
    if not len(index):
        return []
    shape, reach_h, reach_w = shape.part(index), shape.reach_h[index], shape.reach_w[index]
    s = s.part(index)
    rows, columns = FFT_TILE - reach_h + 1, FFT_TILE - reach_w + 1  # outputs of a tile
    tiles = shape.batch * np.ceil(shape.out_h / rows) * np.ceil(shape.out_w / columns)
    # As real products: [Re, Im] of the data times [[Re, Im], [-Im, Re]] of the filters, which are stored once.
    g = gemm.GemmShape(np.full(s.rows, FFT_VALUES), tiles, 2 * shape.c_out, 2 * shape.c_in, 32, 16, 32)
    value_bytes = 8.0
    data, filters, results = (
        FFT_VALUES * value_bytes * v for v in (tiles * shape.c_in, shape.c_in * shape.c_out, tiles * shape.c_out)
    )
    # 5·n·log2(n) FLOPs for n complex values (Cooley & Tukey 1965), half of that for real ones.
    transform = 2.5 * FFT_TILE**2 * np.log2(FFT_TILE**2)
    tile_rate = s.constants.transform_efficiency
    passes = (
        (shape.input_bytes + data, transform * tiles * shape.c_in, tile_rate),
        (shape.weight_bytes + filters, transform * shape.c_in * shape.c_out, tile_rate),
        (results + shape.output_bytes + shape.extra_bytes, transform * tiles * shape.c_out + s.extras.flops, tile_rate),
    )
    flops = 8 * FFT_VALUES * tiles * shape.c_in * shape.c_out
    return [_transformed("fft", index, g, passes, data + filters + results, flops, f, s)]


def _filter_transform(moved: np.ndarray, flops: np.ndarray, s: Setting) -> np.ndarray:
    """Seconds of the transform of the filters, without its launch."""
    dram, l2, vector = _kernel_terms(moved, flops, s.constants.filter_transform_efficiency, s)
    return joined(s.constants.norm_p, dram, l2, vector)


def _kernel_terms(
    moved: np.ndarray, flops: np.ndarray, efficiency: float, s: Setting
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dram = moved * miss(moved, s) / (s.machine.dram_bytes_per_s * s.constants.stream_efficiency * efficiency)
    return dram, moved / (s.hit_rate * efficiency), flops / s.vector_rate


def _transformed(
    name: str, index: np.ndarray, g: gemm.GemmShape, passes: tuple[tuple[np.ndarray, np.ndarray, float], ...],
    workspace: np.ndarray, flops: np.ndarray, f: Formats, s: Setting,
) -> Candidate:  # fmt: skip
    """Products between transforms that are kernels of their own; each pays its launch and its traffic."""
    # What the transforms wrote a moment ago is in the cache as far as it fits, whatever the cache held before.
    if f.on_matrix_units:
        e = gemm.estimate(g, s.machine, s.constants, "warm")
    else:
        e = gemm.estimate(g, *simt.product(s, 1.0), "warm", simt.WINOGRAD)
    launch = e.launch_s + e.split_k_s + len(passes) * s.stream_launch_s
    latency = e.latency_s + len(passes) * s.stream_launch_s
    terms = {"compute": e.compute_s, "l2": e.l2_s, "dram": e.dram_s, "vector": np.zeros(s.rows), "launch": launch}
    crossing = e.dram_bytes
    for moved, arithmetic, efficiency in passes:
        dram, l2, vector = _kernel_terms(moved, arithmetic, efficiency, s)
        latency = latency + joined(s.constants.norm_p, dram, l2, vector)
        crossing = crossing + moved * miss(moved, s)
        for term, seconds in (("dram", dram), ("l2", l2), ("vector", vector)):
            terms[term] = terms[term] + seconds
    return Candidate(
        name, index, latency, terms, crossing, workspace, flops, s.machine.peak_flops, tile_details(e), e.throttle
    )  # fmt: skip

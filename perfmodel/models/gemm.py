"""The tile model of a GEMM kernel: every kernel that multiplies matrices is predicted through it.

    latency = launch + waves + split-K + || compute, L2, DRAM ||_p          minimised over tiles and split-K factors

- *compute* counts whole tiles and whole waves: ``ceil(tiles / units)`` tiles per unit, each ``2·tile_m·tile_n·k`` FLOPs; or
  the useful FLOPs at the rate that the power limit sustains, whichever takes longer;
- *L2* is the operand traffic of those tiles, ``(tile_m + tile_n)·k`` values per tile, at the bandwidth of one unit;
- *DRAM* is the compulsory traffic as far as it is not resident in the last-level cache, or what the waves fetch again
  where a panel does not stay in the cache between them;
- *launch* and the prologue of the waves are clock cycles, not microseconds.

The form follows tile-quantisation models of GEMM (NVIDIA, "Matrix Multiplication Background User's Guide", sections
"Tile Quantization" and "Wave Quantization"); L2 residency as a smooth function of footprint over capacity, and launch in
cycles, are ours. The constants are fitted (:mod:`perfmodel.models.constants`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.models.constants import Constants
from perfmodel.models.machine import Machine
from perfmodel.models.tables import look_up

# Thread-block tiles that BLAS libraries ship, in elements of the output (tile_m, tile_n).
TILES = np.array(
    [
        (256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 256), (256, 64), (64, 64),
        (32, 128), (128, 32), (32, 64), (64, 32), (16, 128), (16, 64), (16, 32), (32, 32),
    ],
    dtype=np.float64,
)  # fmt: skip
SPLITS = np.array([1, 2, 3, 4, 6, 8, 12, 16], dtype=np.float64)
K_STEP = 32.0
"""Granularity of the main loop in k."""
REFERENCE_FLOPS_PER_CLOCK = 2048.0
"""The A100's SM: dense 16-bit FLOPs per clock, the yardstick of ``l2_bytes_per_clock``."""
REFERENCE_CLOCK_HZ = 1.5e9
"""The clock at which ``throttle_flops_per_w`` is quoted."""
ROTATING_SETS = 6
"""Weight matrices that a rotating benchmark cycles through."""
FILLING_SETS = 5
"""Weight matrices that a benchmark which fills the cache cycles through at most."""
_CHUNK = 4096


@dataclass(frozen=True)
class Kernels:
    """The kernels that a library may choose from.

    Attributes:
        tiles: thread-block tiles (tile_m, tile_n), shape ``[tiles, 2]``.
        splits: split-K factors.
        k_step: granularity of the main loop in k.
        blocks_per_unit: tiles that run on one unit at a time, and are counted in such sets.
        tile_cost: how much longer a multiply-add takes for reading its operands from shared memory, in a tile of 64 x 64;
            in others in proportion to the tile's circumference over its area.
        operand_bytes_per_clock: bytes of operands that a unit takes from the last-level cache in a clock; None means what
            the constants say for the width of the matrix unit.
        sustained: share of the peak clock that the power limit leaves to the useful work; None means that of
            :func:`throttle`.
        block: side of the square of outputs whose operands are fetched once, where the library blocks for a core's own
            caches; None means that of the block of tiles that a wave covers.
    """

    tiles: np.ndarray
    splits: np.ndarray
    k_step: float = K_STEP
    blocks_per_unit: float = 1.0
    tile_cost: float = 0.0
    operand_bytes_per_clock: float | None = None
    sustained: float | None = None
    block: float | None = None

    @cached_property
    def candidates(self) -> np.ndarray:
        """(tile_m, tile_n, split) of every kernel, shape ``[tiles · splits, 3]``."""
        return np.array([(tm, tn, s) for tm, tn in self.tiles for s in self.splits])


BLAS = Kernels(TILES, SPLITS)
"""Those of BLAS libraries, in which the constants were fitted."""
CORE = Kernels(np.array([(rows, 16.0) for rows in (1.0, 2.0, 3.0, 4.0, 6.0)]), np.array([1.0]), k_step=1.0, block=128.0)
"""Of a processor's core: a tile is what its vector registers hold, six rows of sixteen with 16 registers of 8 floats, fewer
where there are fewer rows (the micro-kernels of OpenBLAS, BLIS and Microsoft's MLAS); a product with one row wastes nothing.
Panels are packed for a core's caches in blocks of some 128 columns (Goto & van de Geijn, "Anatomy of High-Performance Matrix
Multiplication", 2008)."""


@dataclass(frozen=True)
class GemmShape:
    """Rows of products C[m,n] = A[m,k] · B[k,n], with the bits that A, B and C take; all arrays of shape ``[rows]``.

    ``compulsory_bytes`` replaces the sum of the three matrices where the operator moves less (convolution reads its
    input once, not im2col's copy of it).
    """

    batch: np.ndarray
    m: np.ndarray
    n: np.ndarray
    k: np.ndarray
    a_bits: float
    b_bits: float
    c_bits: float
    compulsory_bytes: np.ndarray | None = None
    quantize_kernels: int = 0
    dequantize: float = 0.0
    """Instructions that widen a weight in registers, of ``dequantize_cycles_per_element`` each; 0 where none is widened."""
    dequantize_a: float = 0.0
    """The same for an element of A."""
    row_blocks: np.ndarray | None = None
    """Blocks of each tile's height in which the rows of all products lie, shape ``[rows, tiles]``, where the products differ in
    m (experts' rows); ``m`` is their mean then. None means ``batch * ceil(m / tile_m)``."""


@dataclass(frozen=True)
class GemmEstimate:
    """What the model says of each row; arrays of shape ``[rows]``, times in seconds.

    ``compute``, ``l2`` and ``dram`` overlap (p-norm); ``launch`` (with waves) and ``split_k`` and ``quantize`` add up.
    """

    latency_s: np.ndarray
    compute_s: np.ndarray
    l2_s: np.ndarray
    dram_s: np.ndarray
    launch_s: np.ndarray
    split_k_s: np.ndarray
    quantize_s: np.ndarray
    tile_m: np.ndarray
    tile_n: np.ndarray
    split_k: np.ndarray
    tiles_per_unit: np.ndarray
    occupancy: np.ndarray
    """Busy share of the units, averaged over the waves: tiles / (units · waves)."""
    miss: np.ndarray
    """Share of the compulsory bytes that cross DRAM."""
    throttle: np.ndarray
    """Share of its speed that the power limit leaves to the arithmetic."""
    dram_bytes: np.ndarray
    """Bytes that cross DRAM, those that waves fetch again included."""
    footprint: np.ndarray
    """Bytes between two uses of an operand over what the cache keeps."""
    unsplit_latency_s: np.ndarray
    """Latency of the best tile without split-K."""
    tile_latency_s: np.ndarray
    """Latency with each tile of the kernels at its best split-K factor, shape ``[rows, tiles]``."""


def _arithmetic_efficiency(arithmetic: str, c: Constants) -> float:
    if arithmetic == "fp32":  # on the vector units
        return c.simt_efficiency
    special = {"fp8": c.fp8_efficiency, "fp6": c.fp8_efficiency, "fp4": c.fp4_efficiency, "int8": c.int8_efficiency}
    return c.mma_efficiency * special.get(arithmetic, 1.0)


def throttle(machine: Machine, c: Constants) -> float:
    """Share of the peak rate that the power limit leaves to dense matrix arithmetic in the long run, at most 1.

    What counts is the peak per watt, times the energy of one operation: that grows with the square of the voltage, which
    follows the clock, and falls with the root of the matrix unit's width, since a wider one reads fewer operands for
    each product. Products on the vector units draw less and are not throttled.
    """
    if machine.throttle_ratio is None or not machine.on_matrix_units:
        return 1.0
    voltage, width = machine.clock_hz / REFERENCE_CLOCK_HZ, machine.wide_flops_per_clock / REFERENCE_FLOPS_PER_CLOCK
    demand = machine.throttle_ratio * voltage**2 / np.sqrt(width)
    return float((1 + demand / c.throttle_flops_per_w) ** -c.throttle_power)


def hit_rate(machine: Machine, c: Constants, dram_rate: float) -> float:
    """Bytes per second of streams that hit the last-level cache: never below those of the memory behind it."""
    return max(c.hit_bytes_per_clock * machine.units * machine.clock_hz, dram_rate)


def operand_rate(machine: Machine, c: Constants) -> float:
    """Bytes per second of operands that one unit takes from the last-level cache."""
    width = machine.wide_flops_per_clock / REFERENCE_FLOPS_PER_CLOCK
    return max(c.l2_bytes_per_clock * width**c.l2_exponent, c.hit_bytes_per_clock) * machine.clock_hz


def miss_share(footprint: np.ndarray, machine: Machine, c: Constants) -> np.ndarray:
    """Share of a footprint [bytes] that the last-level cache does not keep from one execution to the next."""
    return _beyond(footprint, c.residency * machine.resident_bytes, c.residency_power)


def _beyond(size: np.ndarray, capacity: float, power: float) -> np.ndarray:
    # A log-logistic curve; written so that no power overflows, and nothing is no less than a byte.
    log_size = np.log(np.maximum(size, 1.0))
    share: np.ndarray = 1 / (1 + np.exp(np.clip(power * (np.log(capacity) - log_size), -700.0, 700.0)))
    return share


def _footprint(
    reads_a: np.ndarray, reads_b: np.ndarray, compulsory: np.ndarray, machine: Machine, cache: str
) -> np.ndarray:
    """Bytes that pass the cache from one use of an operand to the next [bytes]."""
    if cache == "rotating":
        return compulsory + (ROTATING_SETS - 1) * reads_b
    if cache == "rotating_all":
        return compulsory + (ROTATING_SETS - 1) * (reads_a + reads_b)
    if cache == "filling":
        sets = np.clip(np.ceil(machine.l2_bytes / np.maximum(reads_b, 1.0)), 1, FILLING_SETS)
        return compulsory + (sets - 1) * reads_b
    return compulsory


def estimate(
    shape: GemmShape, machine: Machine, constants: Constants, cache: str, kernels: Kernels | None = None
) -> GemmEstimate:
    """The tile model for every row.

    Args:
        shape: the products.
        machine: rates of the device for their arithmetic.
        constants: the physics constants.
        cache: one of :data:`perfmodel.models.machine.CACHES`.
        kernels: what the library may choose from; None means what libraries have for the machine.
    """
    if kernels is None and machine.of_cores:
        e = estimate(shape, machine, constants, cache, CORE)
        # None of the tiles that these columns tell apart is one of a core's: none is slower than another.
        return replace(e, tile_latency_s=np.repeat(e.latency_s[:, None], len(TILES), axis=1))
    kernels = kernels or BLAS
    rows = len(shape.m)
    parts = [
        _estimate_chunk(_slice(shape, i, i + _CHUNK), machine, constants, cache, kernels)
        for i in range(0, max(rows, 1), _CHUNK)
    ]
    if len(parts) == 1:
        return parts[0]
    return GemmEstimate(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(GemmEstimate)))


def _slice(shape: GemmShape, start: int, stop: int) -> GemmShape:
    part = slice(start, stop)
    compulsory = None if shape.compulsory_bytes is None else shape.compulsory_bytes[part]
    return GemmShape(
        shape.batch[part], shape.m[part], shape.n[part], shape.k[part], shape.a_bits, shape.b_bits, shape.c_bits,
        compulsory, shape.quantize_kernels, shape.dequantize, shape.dequantize_a,
        None if shape.row_blocks is None else shape.row_blocks[part],
    )  # fmt: skip


def _estimate_chunk(shape: GemmShape, machine: Machine, c: Constants, cache: str, kernels: Kernels) -> GemmEstimate:
    # Rows run down, candidates (tile, split) run across: shape [rows, candidates].
    column = (slice(None), None)
    batch, m, n, k = (np.maximum(v, 1.0)[column] for v in (shape.batch, shape.m, shape.n, shape.k))
    tile_m, tile_n, split = kernels.candidates.T
    f, units = machine.clock_hz, machine.units
    a_bytes, b_bytes, c_bytes = shape.a_bits / 8, shape.b_bits / 8, shape.c_bits / 8

    reads_a, reads_b, writes = batch * m * k * a_bytes, batch * n * k * b_bytes, batch * m * n * c_bytes
    compulsory = reads_a + reads_b + writes
    if shape.compulsory_bytes is not None:
        compulsory = shape.compulsory_bytes[column]
    footprint = _footprint(reads_a, reads_b, compulsory, machine, cache)
    miss = np.ones_like(footprint) if cache == "cold" else miss_share(footprint, machine, c)
    dram_rate = machine.dram_bytes_per_s * c.dram_efficiency
    hits = hit_rate(machine, c, dram_rate)

    if shape.row_blocks is None:
        row_blocks = batch * np.ceil(m / tile_m)
    else:
        row_blocks = np.repeat(shape.row_blocks, len(kernels.splits), axis=1)
    tiles = row_blocks * np.ceil(n / tile_n) * split
    per_unit = np.ceil(tiles / (units * kernels.blocks_per_unit)) * kernels.blocks_per_unit
    k_run = np.ceil(k / (split * kernels.k_step)) * kernels.k_step + c.k_extra
    busy_rate: Any = machine.flops_per_clock * f * _arithmetic_efficiency(machine.arithmetic, c)
    if kernels.tile_cost:
        busy_rate = busy_rate / (1 + kernels.tile_cost * 64 / np.sqrt(tile_m * tile_n))
    compute = per_unit * 2 * tile_m * tile_n * k_run / busy_rate
    vector_clock = f * machine.vector_units
    if shape.dequantize:
        # Each tile widens its own columns of B. The vector units' instructions share issue slots and registers with the
        # main loop's, so that they add to it rather than hide behind it.
        compute = (
            compute + per_unit * tile_n * k_run * c.dequantize_cycles_per_element / vector_clock * shape.dequantize
        )
    if shape.dequantize_a:
        compute = (
            compute + per_unit * tile_m * k_run * c.dequantize_cycles_per_element / vector_clock * shape.dequantize_a
        )
    # The power limit holds down the useful work of the whole chip; idle units and padding draw little.
    free = compute
    sustained = throttle(machine, c) if kernels.sustained is None else kernels.sustained
    compute = np.maximum(free, 2 * batch * m * n * k / (units * busy_rate * sustained))
    unit_rate = operand_rate(machine, c)
    if kernels.operand_bytes_per_clock is not None:
        unit_rate = kernels.operand_bytes_per_clock * f
    l2 = per_unit * (tile_m * a_bytes + tile_n * b_bytes) * k_run / unit_rate

    # Each wave covers a near-square block of tiles and reads its rows of A and columns of B; what the cache does not
    # keep until the next wave is fetched again.
    block = c.block_scale * np.sqrt(units * tile_m * tile_n) if kernels.block is None else kernels.block
    side = np.minimum(block, np.maximum(m, n))
    # Reuse happens within one product: the others of a batch do not compete for the cache.
    refetch_miss = _beyond(compulsory / batch, c.refetch_residency * machine.resident_bytes, c.refetch_power)
    refetched = batch * m * n * k * (a_bytes + b_bytes) / 2 / side * refetch_miss
    if shape.compulsory_bytes is not None:
        refetched = refetched * np.minimum(1.0, shape.compulsory_bytes[column] / (reads_a + reads_b + writes))
    dram = np.maximum(
        compulsory * miss / dram_rate + compulsory * (1 - miss) / hits, (refetched + writes * miss) / dram_rate
    )

    p = c.norm_p
    launch = (c.launch_cycles + c.wave_cycles * np.sqrt(per_unit)) / f
    partial_sums = batch * m * n * 4 * split * 2  # fp32 partial results, written and read once
    split_cost = np.where(split > 1, c.split_cycles / f + partial_sums / (2 * units * unit_rate), 0.0)
    total = launch + split_cost + (compute**p + l2**p + dram**p) ** (1 / p)

    best = np.argmin(total, axis=1)
    pick = (np.arange(len(best)), best)
    shape_2d = total.shape

    def chosen(values: np.ndarray) -> np.ndarray:
        picked: np.ndarray = np.broadcast_to(values, shape_2d)[pick]
        return picked

    quantize = np.zeros(len(best))
    if shape.quantize_kernels:
        moved = (batch * m * k)[:, 0] * (2 * 2 + 1)  # read twice in 16 bits, written once in 8
        rate = np.where(miss[:, 0] > 0.5, dram_rate, hits)
        quantize = shape.quantize_kernels * c.quantize_cycles / f + moved / rate
    per = chosen(per_unit)
    by_tile = total.reshape(len(best), len(kernels.tiles), len(kernels.splits))
    return GemmEstimate(
        latency_s=total[pick] + quantize,
        compute_s=compute[pick] if compute.shape == shape_2d else chosen(compute),
        l2_s=chosen(l2),
        dram_s=chosen(dram),
        launch_s=chosen(launch),
        split_k_s=chosen(split_cost),
        quantize_s=quantize,
        tile_m=look_up(tile_m, best),
        tile_n=look_up(tile_n, best),
        split_k=look_up(split, best),
        tiles_per_unit=per,
        occupancy=chosen(tiles) / (units * per),
        miss=miss[:, 0],
        throttle=chosen(free / compute),
        dram_bytes=chosen(np.maximum(compulsory * miss, refetched + writes * miss)),
        footprint=footprint[:, 0] / machine.resident_bytes,
        unsplit_latency_s=by_tile[:, :, 0].min(axis=1) + quantize,
        tile_latency_s=by_tile.min(axis=2),
    )

"""Attention as one fused kernel, or as a product, a softmax and a product.

A fused kernel (Dao et al., "FlashAttention", 2022; "FlashAttention-2", 2023; Shah et al., "FlashAttention-3", 2024) keeps a block
of queries on chip and passes over the keys and values once, block by block, with a running maximum and sum: the scores never
leave the chip. In the words of Nayak et al., "FuseMax" (2024), that is one pass over the scores; the unfused form makes three
kernels of it, and its softmax reads the scores as often as they do not fit on chip.

What a fused kernel takes of a unit, per pair of query and key: the two products on the matrix units, and on the way between them
one exponential, of which a unit does 16 a clock, and some arithmetic. FlashAttention-3 (section 3.2) hides the latter behind
the products of another block; the measured kernels show that hardly any of it is hidden, so that the two add up here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.models import gemm
from perfmodel.models.bounds import Bounds, Candidate, Setting, executed_product_flops, fastest, joined, memory_floor, miss
from perfmodel.models.products import split_k_workspace
from perfmodel.ops import Attention, Operator, costs

ALGORITHMS = ("fused", "fused_split_kv", "unfused")
"""Names that are reported; ``fused_split_kv`` divides the keys of a query among several units (flash decoding)."""

QUERY_ROWS = 128.0
"""Queries of a block ("FlashAttention-2", section 3.3)."""
KEY_ROWS = 128.0
"""Keys of a block at most; fewer where two blocks of keys and values would not fit the shared memory."""
SMALLEST_KEY_ROWS = 16.0
QUERY_GRAIN = 64.0
"""Queries are computed in multiples of this: 16 a warp, 4 warps; 64 in one instruction of a warp group from Hopper on."""
SPLIT_KEYS = 256.0
"""Keys that a split takes at least."""
ASSUMED_SHARED_BYTES = 65536
"""Shared memory of a unit where a device file quotes none."""
STAGES = 2.0
"""Blocks of keys and values that are on chip at a time: one is loaded while the other is used."""
LARGEST_HEAD = 256.0
"""Widest head that fused kernels take."""
EXPONENTIALS_PER_CLOCK = 16.0
"""exp2 results per clock and SM (CUDA C++ Programming Guide, table "Throughput of Native Arithmetic Instructions")."""
ASYNCHRONOUS_FLOPS_PER_CLOCK = 3072.0
"""Matrix units of this width and more read their operands from shared memory while the warps do something else (wgmma of Hopper
and its successors; FlashAttention-3, section 2.2). Narrower ones are fed through the registers of the warps that compute the
softmax."""


@dataclass(frozen=True)
class _Shape:
    """Rows of attention operators; arrays of shape ``[rows]``."""

    batch: np.ndarray
    heads: np.ndarray
    kv_heads: np.ndarray
    queries: np.ndarray
    keys: np.ndarray
    key_width: np.ndarray
    value_width: np.ndarray
    scores: np.ndarray
    moved: np.ndarray


def _shape(op: Attention, s: Setting) -> _Shape:
    return _Shape(
        batch=s.per_row(op.batch), heads=s.per_row(op.heads), kv_heads=np.maximum(s.per_row(op.kv_heads), 1.0),
        queries=s.per_row(op.q_len), keys=s.per_row(op.kv_len), key_width=s.per_row(op.head_dim),
        value_width=s.per_row(op.value_dim), scores=s.per_row(op.scores_executed),
        moved=s.per_row(op.bytes) + s.extras.bytes_read,
    )  # fmt: skip


def _part(a: _Shape, index: np.ndarray) -> _Shape:
    return _Shape(**{f.name: getattr(a, f.name)[index] for f in fields(a)})


def attention(op: Operator, s: Setting) -> Bounds:
    """The fused kernel where there is one, else three kernels."""
    assert isinstance(op, Attention)
    shape = _shape(op, s)
    candidates = [*_fused(op, shape, s), *_unfused(op, shape, s)]
    return fastest(candidates, s, memory_floor(op, s), gemm.throttle(s.machine, s.constants))


def padded_head(width: np.ndarray) -> np.ndarray:
    """Width of a head as kernels are compiled for it: multiples of 32, and of 64 from 128 on."""
    step = np.where(width <= 128, 32.0, 64.0)
    result: np.ndarray = np.maximum(np.ceil(width / step) * step, 32.0)
    return result


def _has_fused_kernel(op: Attention, a: _Shape, s: Setting) -> np.ndarray:
    """Whether libraries have a fused kernel for a row; engines use it wherever there is one."""
    if op.phase == "mla_decode":  # kernels of its own, for its latent of 576 values
        return np.ones(s.rows, dtype=bool)
    result: np.ndarray = (a.key_width <= LARGEST_HEAD) & (a.value_width <= LARGEST_HEAD)
    return result


def _fused(op: Attention, a: _Shape, s: Setting) -> list[Candidate]:
    """One kernel: a block of queries stays on chip while the keys and values that it sees pass by."""
    c, machine = s.constants, s.machine
    bits = dtype_record(op.dtype).activation_bits
    dk, dv = padded_head(a.key_width), padded_head(a.value_width)
    # Queries of the heads that share keys are packed into one block, so that the keys cross once.
    group = np.maximum(a.heads / a.kv_heads, 1.0)
    packed = a.queries * group
    blocks = np.maximum(a.batch * a.kv_heads * np.ceil(packed / QUERY_ROWS), 1.0)
    rows = np.ceil(np.clip(packed, 1.0, QUERY_ROWS) / QUERY_GRAIN) * QUERY_GRAIN
    shared = s.device.shared_bytes_per_unit or ASSUMED_SHARED_BYTES
    room = (shared - QUERY_ROWS * dk * bits / 8) / (STAGES * (dk + dv) * bits / 8)
    key_rows = np.clip(np.floor(room / SMALLEST_KEY_ROWS) * SMALLEST_KEY_ROWS, SMALLEST_KEY_ROWS, KEY_ROWS)
    admissible = _has_fused_kernel(op, a, s)

    # Keys that a block passes over: those that its queries see, in whole blocks of keys.
    seen = a.scores / np.maximum(a.batch * a.heads * a.queries, 1.0)
    span = np.minimum(QUERY_ROWS / group, a.queries)  # positions that a block's queries cover
    if op.causal or op.window is not None:
        # On average half of a block's queries see fewer keys than its last one; behind a window also its first one.
        more = span / 2 + (0.0 if op.window is None else span / 2)
        seen = np.minimum(seen + more, a.keys) + key_rows / 2
    splits = np.where(packed <= QUERY_ROWS, np.floor(machine.units / blocks), 1.0)
    splits = np.clip(splits, 1.0, np.maximum(np.ceil(seen / SPLIT_KEYS), 1.0))
    passed = np.maximum(np.ceil(seen / splits / key_rows), 1.0) * key_rows
    per_unit = np.ceil(blocks * splits / machine.units)
    pairs = per_unit * rows * passed  # of the busiest unit
    asynchronous = machine.wide_flops_per_clock >= ASYNCHRONOUS_FLOPS_PER_CLOCK
    efficiency = c.attention_efficiency if asynchronous else c.attention_sync_efficiency
    if bits <= 8:
        efficiency = efficiency * c.attention_narrow_efficiency
    compute = 2 * pairs * (dk + dv) / (machine.flops_per_clock * machine.clock_hz * efficiency * gemm.throttle(machine, c))
    vector = pairs / (EXPONENTIALS_PER_CLOCK * machine.clock_hz) + s.extras.flops / s.vector_rate
    missed = miss(a.moved, s)
    dram = a.moved * missed / s.dram_rate + a.moved * (1 - missed) / s.hit_rate
    width = machine.wide_flops_per_clock / gemm.REFERENCE_FLOPS_PER_CLOCK
    unit_rate = max(c.l2_bytes_per_clock * width**c.l2_exponent, c.hit_bytes_per_clock) * machine.clock_hz
    kv_bits = 8 * element_bytes(op.kv_dtype or op.dtype)
    l2 = per_unit * passed * (a.key_width + a.value_width) * kv_bits / 8 / unit_rate
    split = splits > 1
    launch = (
        c.attention_launch_cycles + per_unit * c.attention_block_cycles + np.where(split, c.split_cycles, 0.0)
    ) / machine.clock_hz
    p = c.norm_p
    latency = launch + joined(p, compute + vector, dram, l2)
    terms = {"compute": compute, "l2": l2, "dram": dram, "vector": vector, "launch": launch}
    # What each split makes of its keys: an unscaled result, and the maximum and sum of its rows.
    workspace = np.where(split, a.batch * a.heads * a.queries * (a.value_width + 2) * 4 * splits, 0.0)
    flops = executed_product_flops(op, s)
    result = []
    for name, mine in (("fused", ~split & admissible), ("fused_split_kv", split & admissible)):
        index = np.flatnonzero(mine)
        if len(index):
            result.append(
                Candidate(
                    name, index, latency[index], {k: np.broadcast_to(v, (s.rows,))[index] for k, v in terms.items()},
                    (a.moved * missed)[index], workspace[index], flops[index], machine.peak_flops,
                )
            )  # fmt: skip
    return result


def _unfused(op: Attention, a: _Shape, s: Setting) -> list[Candidate]:
    """A product that writes the scores, a softmax that reads and writes them, a product that reads them."""
    index = np.flatnonzero(~_has_fused_kernel(op, a, s))
    if not len(index):
        return []
    flops, unmasked = executed_product_flops(op, s)[index], s.per_row(op.product_flops)[index]
    scores = s.per_row(op.scores)[index]
    a, s = _part(a, index), s.part(index)
    c, record = s.constants, dtype_record(op.dtype)
    operand_bits, score_bits = record.activation_bits, record.output_bits
    kv_bits = 8 * element_bytes(op.kv_dtype or op.dtype)
    streams = a.batch * a.heads
    qk = gemm.GemmShape(streams, a.queries, a.keys, a.key_width, operand_bits, kv_bits, score_bits)
    pv = gemm.GemmShape(streams, a.queries, a.value_width, a.keys, score_bits, kv_bits, score_bits)
    first, second = (gemm.estimate(g, s.machine, c, s.cache) for g in (qk, pv))
    matrix = scores * score_bits / 8
    # A row that does not fit on chip is read once for its maximum and sum and once more to be normalised.
    on_chip = s.device.shared_bytes_per_unit or ASSUMED_SHARED_BYTES
    reads = np.where(a.keys * score_bits / 8 <= on_chip, 1.0, 2.0)
    moved = (reads + 1) * matrix + s.extras.bytes_read
    crossing = moved * miss(moved, s)
    dram = crossing / (s.machine.dram_bytes_per_s * c.stream_efficiency * c.row_efficiency)
    l2 = moved / (s.hit_rate * c.row_efficiency)
    vector = (scores * (costs.SOFTMAX + 1) + s.extras.flops) / s.vector_rate
    launch = first.launch_s + second.launch_s + first.split_k_s + second.split_k_s + s.stream_launch_s
    terms = {
        "compute": first.compute_s + second.compute_s, "l2": first.l2_s + second.l2_s + l2,
        "dram": first.dram_s + second.dram_s + dram, "vector": vector, "launch": launch,
    }  # fmt: skip
    latency = first.latency_s + second.latency_s + s.stream_launch_s + joined(c.norm_p, dram, l2, vector)
    workspace = matrix + np.maximum(split_k_workspace(first, qk), split_k_workspace(second, pv))
    # The products do not know of the mask.
    return [
        Candidate(
            "unfused", index, latency, terms, first.dram_bytes + second.dram_bytes + crossing, workspace,
            np.maximum(unmasked, flops), s.machine.peak_flops,
        )
    ]  # fmt: skip

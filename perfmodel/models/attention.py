"""Attention as one fused kernel, or as a product, a softmax and a product.

A fused kernel (Dao et al., "FlashAttention", 2022; "FlashAttention-2", 2023; Shah et al., "FlashAttention-3", 2024) keeps a
block of queries on chip and passes over the keys and values once, block by block, with a running maximum and sum: the scores
never leave the chip. In the words of Nayak et al., "FuseMax" (2024), that is one pass over the scores; the unfused form makes
three kernels of it, whose softmax passes over the scores once more where a row does not fit on chip.

What a fused kernel takes of a unit, per pair of query and key: the two products on the matrix units, and on the way between
them one exponential, of which a unit does 16 a clock, and some arithmetic. FlashAttention-3 (section 3) hides the latter
behind the products of another block; measured kernels show that hardly any of it is hidden, so that the two add up here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.models import gemm
from perfmodel.models.bounds import (
    Bounds,
    Candidate,
    Setting,
    executed_product_flops,
    fastest,
    joined,
    memory_floor,
    miss,
)
from perfmodel.models.products import PARTIAL_SUM_BYTES, split_k_workspace
from perfmodel.ops import Attention, Operator, costs

ALGORITHMS = ("fused", "fused_split_kv", "unfused")
"""Names that are reported; ``fused_split_kv`` divides the keys of a query among several units (flash decoding)."""

QUERY_ROWS = 128.0
"""Queries of a block ("FlashAttention-2", section 3.3)."""
KEY_ROWS = 128.0
"""Keys of a block at most; fewer where two blocks of keys and values would not fit the shared memory."""
SMALLEST_KEY_ROWS = 16.0
QUERY_GRAIN = 64.0
"""Matrix units compute queries in multiples of this: 16 a warp, 4 warps; 64 in one instruction of a warp group from Hopper
on. Ordinary units multiply row by row and compute no padding."""
NARROW_BITS = 8
SPLIT_KEYS = 256.0
"""Keys that a split takes at least."""
SPLIT_RATIO = 4.0
"""Keys a query from which kernels split the keys of several blocks, too: a short prompt on a long cache. No measured table has
such rows; where prompts are as long as the keys, splitting made the model worse on them."""
STAGES = 2.0
"""Blocks of keys and values that are on chip at a time: one is loaded while the other is used."""
LARGEST_HEAD = 256.0
"""Widest head that fused kernels take."""
ASYNCHRONOUS_FLOPS_PER_CLOCK = 3072.0
"""Matrix units of this width and more read their operands from shared memory while the warps do something else (wgmma of Hopper
and its successors; FlashAttention-3, section 2.2). Narrower ones are fed through the registers of the warps that compute the
softmax."""


_FILLING = ("prefill", "mla_prefill")
"""Phases whose keys and values are new and go into the cache."""


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
    return fastest(candidates, s, memory_floor(op, s))


def padded_head(width: np.ndarray) -> np.ndarray:
    """Width of a head as kernels are compiled for it: multiples of 32, and of 64 from 128 on."""
    step = np.where(width <= 128, 32.0, 64.0)
    result: np.ndarray = np.maximum(np.ceil(width / step) * step, 32.0)
    return result


def _has_fused_kernel(op: Attention, a: _Shape, s: Setting) -> np.ndarray:
    """Whether libraries have a fused kernel for a row; engines use it wherever there is one."""
    if op.phase == "mla_decode":  # kernels of its own, for its latent of 576 values
        return np.ones(s.rows, dtype=bool)
    narrow = (a.key_width <= LARGEST_HEAD) & (a.value_width <= LARGEST_HEAD)
    result: np.ndarray = narrow & (_room(op, a, s, QUERY_GRAIN) >= SMALLEST_KEY_ROWS)
    return result


def _room(op: Attention, a: _Shape, s: Setting, query_rows: float) -> np.ndarray:
    """Keys with their values that fit on chip beside a block of queries, when :data:`STAGES` blocks of them are there."""
    value_bytes = dtype_record(op.dtype).activation_bits / 8
    dk, dv = padded_head(a.key_width), padded_head(a.value_width)
    room: np.ndarray = (s.on_chip_bytes - query_rows * dk * value_bytes) / (STAGES * (dk + dv) * value_bytes)
    return room


def _fused(op: Attention, a: _Shape, s: Setting) -> list[Candidate]:
    """One kernel: a block of queries stays on chip while the keys and values that it sees pass by."""
    index = np.flatnonzero(_has_fused_kernel(op, a, s))
    if not len(index):
        return []
    flops = executed_product_flops(op, s)[index]
    a, s = _part(a, index), s.part(index)
    blocks = _blocks(op, a, s)
    candidates = [_fused_kernel("fused", op, a, s, blocks, np.ones(s.rows), index, flops)]
    # Where the queries of a head are but one block, as in decoding, or few beside the keys, keys can be split over idle units.
    idle = np.floor(s.machine.units / blocks.count)
    few = blocks.single | (a.keys >= SPLIT_RATIO * a.queries)
    splits = np.clip(np.where(few, idle, 1.0), 1.0, np.maximum(np.ceil(blocks.seen / SPLIT_KEYS), 1.0))
    mine = np.flatnonzero(splits > 1)
    if len(mine):
        part, where = _part(a, mine), s.part(mine)
        candidates.append(
            _fused_kernel(
                "fused_split_kv", op, part, where, _blocks(op, part, where), splits[mine], index[mine], flops[mine]
            )
        )
    return candidates


@dataclass(frozen=True)
class _Blocks:
    """How a fused kernel cuts up its rows; arrays of shape ``[rows]``.

    Attributes:
        count: blocks of queries.
        single: whether a head's queries are one block.
        rows: queries of a block, padding included.
        keys: keys of a block.
        seen: keys that a block passes over on average.
        longest: keys that the last block passes over.
    """

    count: np.ndarray
    single: np.ndarray
    rows: np.ndarray
    keys: np.ndarray
    seen: np.ndarray
    longest: np.ndarray


def _blocks(op: Attention, a: _Shape, s: Setting) -> _Blocks:
    # Queries of the heads that share keys are packed into one block, so that the keys cross once.
    group = np.maximum(a.heads / a.kv_heads, 1.0)
    packed = a.queries * group
    wide, narrow = _room(op, a, s, QUERY_ROWS), _room(op, a, s, QUERY_GRAIN)
    fits = wide >= SMALLEST_KEY_ROWS
    query_rows = np.where(fits, QUERY_ROWS, QUERY_GRAIN)  # 64 queries where 128 leave no room for keys
    key_rows = np.floor(np.where(fits, wide, narrow) / SMALLEST_KEY_ROWS) * SMALLEST_KEY_ROWS
    key_rows = np.clip(key_rows, SMALLEST_KEY_ROWS, KEY_ROWS)
    # Keys that a block passes over, in whole blocks of keys: those that no query of the block sees are skipped.
    seen = a.scores / np.maximum(a.batch * a.heads * a.queries, 1.0)
    single = packed <= query_rows
    grain = QUERY_GRAIN if s.machine.on_matrix_units else 1.0
    whole = np.ceil(a.keys / key_rows) * key_rows
    if op.causal or op.window is not None:
        # The average query sees fewer keys than the block's last one; behind a window also than its first one.
        span = np.minimum(query_rows / group, a.queries)  # positions that the block covers
        seen = np.minimum(seen + (span / 2 if op.window is None else span), a.keys)
        # Their last key lies within a block of keys, of which the rest is passed over, too; behind a window also the first.
        beyond = np.maximum(key_rows - span, 0.0) * (0.5 if op.window is None else 1.0)
        average = np.clip(seen + beyond, key_rows, whole)
        seen = np.where(single, np.ceil(seen / key_rows) * key_rows, average)
        longest = whole if op.window is None else seen
    else:
        seen = longest = whole
    return _Blocks(
        count=np.maximum(a.batch * a.kv_heads * np.ceil(packed / query_rows), 1.0), single=single,
        rows=np.ceil(np.clip(packed, 1.0, query_rows) / grain) * grain, keys=key_rows, seen=seen, longest=longest,
    )  # fmt: skip


def _fused_kernel(
    name: str, op: Attention, a: _Shape, s: Setting, blocks: _Blocks, splits: np.ndarray, index: np.ndarray, flops: np.ndarray
) -> Candidate:  # fmt: skip
    c, machine = s.constants, s.machine
    dk, dv = padded_head(a.key_width), padded_head(a.value_width)
    passed = np.maximum(blocks.seen, blocks.keys)
    passed = np.where(splits > 1, np.maximum(np.ceil(passed / splits / blocks.keys), 1.0) * blocks.keys, passed)
    per_unit = np.ceil(blocks.count * splits / machine.units)
    # Of the busiest unit: the long blocks start first, so that it has one of them or an average load.
    pairs = blocks.rows * np.maximum(per_unit * passed, np.where(splits > 1, 0.0, blocks.longest))
    asynchronous = machine.wide_flops_per_clock >= ASYNCHRONOUS_FLOPS_PER_CLOCK
    efficiency = c.attention_efficiency if asynchronous else c.attention_sync_efficiency
    if dtype_record(op.dtype).activation_bits <= NARROW_BITS:
        efficiency = efficiency * c.attention_narrow_efficiency
    free = 2 * pairs * (dk + dv) / (machine.flops_per_clock * machine.clock_hz * efficiency)
    vector = pairs / s.exponentials_per_s + s.extras.flops / s.vector_rate
    missed = miss(a.moved, s)
    dram = a.moved * missed / s.dram_rate + a.moved * (1 - missed) / s.hit_rate
    width = machine.wide_flops_per_clock / gemm.REFERENCE_FLOPS_PER_CLOCK
    unit_rate = max(c.l2_bytes_per_clock * width**c.l2_exponent, c.hit_bytes_per_clock) * machine.clock_hz
    kv_bytes = element_bytes(op.kv_dtype or op.dtype)
    l2 = per_unit * passed * (a.key_width + a.value_width) * kv_bytes / unit_rate
    split = splits > 1
    # What each split makes of its keys: an unscaled result in fp32, and the maximum and sum of its rows; written and read once.
    partial = a.batch * a.heads * a.queries * (a.value_width + 2) * PARTIAL_SUM_BYTES * splits
    l2 = l2 + np.where(split, 2 * partial / s.hit_rate, 0.0)
    # The first block is waited for; what the next ones cost overlaps with their loads, as their products do.
    block = c.attention_block_cycles / machine.clock_hz
    alone = (c.attention_launch_cycles + np.where(split, c.split_cycles, 0.0)) / machine.clock_hz + block
    between = (per_unit - 1) * block
    launch = alone + between
    # The power limit holds down the useful work of the whole chip to the rate of GEMMs in the long run; while exponentials
    # are computed, the matrix units draw little.
    sustained = flops / (machine.peak_flops * max(c.mma_efficiency, efficiency) * gemm.throttle(machine, c))
    busy = free + vector + between
    compute = np.where(sustained > busy, sustained, free)
    busy = np.maximum(busy, sustained)
    copied = _copied_bytes(op, a)
    copied_past = copied * miss(copied, s)
    copy = copied_past / s.dram_rate + (copied - copied_past) / s.hit_rate
    latency = alone + copy + joined(c.norm_p, busy, dram, l2)
    terms = {"compute": compute, "l2": l2, "dram": dram + copy, "vector": vector, "launch": launch}
    return Candidate(
        name, index, latency, terms, a.moved * missed + copied_past,
        np.where(split, partial, 0.0), flops, machine.peak_flops, throttle=free / compute,
    )  # fmt: skip


def _copied_bytes(op: Attention, a: _Shape) -> np.ndarray:
    """Bytes that serving stacks read and write to put a prompt's keys and values into the paged cache, before they attend.

    They do so with a kernel of its own for the new tokens (vLLM's ``reshape_and_cache``). AIConfigurator's tables do not say
    that they include it: that is inferred, since most rows with many short prompts were estimated too fast. With it the mean
    error over the tables of prompts fell by 1 to 4 points, over those of latent attention by 6 to 10 except on A100, where
    TensorRT-LLM's rose from 13 to 18 %. A decode step's one token a sequence is in ``attention_launch_cycles``.
    """
    if op.phase not in _FILLING:
        return np.zeros_like(a.keys)
    width = element_bytes(op.dtype) + element_bytes(op.kv_dtype or op.dtype)
    result: np.ndarray = a.batch * a.kv_heads * np.minimum(a.queries, a.keys) * (a.key_width + a.value_width) * width
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
    reads = np.where(a.keys * score_bits / 8 <= s.on_chip_bytes, 1.0, 2.0)
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
            np.maximum(unmasked, flops), s.machine.peak_flops, throttle=np.minimum(first.throttle, second.throttle),
        )
    ]  # fmt: skip

"""Attention."""

from __future__ import annotations

import numpy as np

from perfmodel.models import gemm
from perfmodel.models.bounds import Bounds, Setting, floor, miss
from perfmodel.ops import Attention, Operator

_EXPONENTIALS_PER_CLOCK = 16.0
_ATTENTION_BLOCK = 128
_ATTENTION_EFFICIENCY = 0.75


def attention(op: Operator, s: Setting) -> Bounds:
    """One fused kernel: products in blocks of queries, an exponential per score, keys and values read once per block."""
    assert isinstance(op, Attention)
    c, machine = s.constants, s.machine
    heads, queries, keys = (s.per_row(v) for v in (op.heads, op.q_len, op.kv_len))
    batch, kv_heads = s.per_row(op.batch), np.maximum(s.per_row(op.kv_heads), 1.0)
    scores = s.per_row(op.scores_executed)
    widths = s.per_row(op.head_dim) + s.per_row(op.value_dim)
    rows_per_kv = np.where(queries < _ATTENTION_BLOCK, queries * heads / kv_heads, queries)
    streams = np.where(queries < _ATTENTION_BLOCK, batch * kv_heads, batch * heads)
    blocks = np.maximum(streams * np.ceil(rows_per_kv / _ATTENTION_BLOCK), 1.0)
    splits = np.clip(np.floor(machine.units / blocks), 1.0, np.maximum(np.ceil(keys / 256), 1.0))
    per_unit = np.ceil(blocks * splits / machine.units)
    occupancy = blocks * splits / (per_unit * machine.units)
    padding = np.ceil(rows_per_kv / 16) * 16 / np.maximum(rows_per_kv, 1e-9)
    rate = machine.peak_flops * _ATTENTION_EFFICIENCY * c.mma_efficiency * gemm.throttle(machine, c)
    compute = 2 * scores * widths * np.minimum(padding, 16.0) / (rate * occupancy)
    vector = scores / (_EXPONENTIALS_PER_CLOCK * machine.units * machine.clock_hz * occupancy)
    vector = vector + s.extras.flops / s.vector_rate
    moved = s.per_row(op.bytes) + s.extras.bytes_read
    missed = miss(moved, s)
    dram = moved * missed / s.dram_rate + moved * (1 - missed) / s.hit_rate
    every_key = s.per_row(op.replace(window=None).kv_bytes)
    kv_reads = every_key * np.ceil(rows_per_kv / _ATTENTION_BLOCK)
    kv_reads = kv_reads * np.where(queries < _ATTENTION_BLOCK, 1.0, heads / kv_heads)
    kv_reads = kv_reads * scores / np.maximum(s.per_row(op.scores), 1.0)
    l2 = kv_reads / (s.hit_rate * 2 * occupancy)
    launch = (c.launch_cycles + np.where(splits > 1, c.split_cycles, 0.0)) / machine.clock_hz
    p = c.norm_p
    latency = launch + (compute**p + vector**p + dram**p + l2**p) ** (1 / p)
    lowest = floor(op, s)
    terms = {"compute": compute, "l2": l2, "dram": dram, "vector": vector, "launch": launch}
    return Bounds(np.maximum(latency, lowest), terms, lowest, moved * missed, gemm.throttle(machine, c))

"""Operators that are bound by traffic, those that move nothing, and collectives."""

from __future__ import annotations

import numpy as np

from perfmodel.dtypes import element_bytes
from perfmodel.models import core
from perfmodel.models.bounds import Bounds, Setting, floor, joined, miss
from perfmodel.ops import Collective, Norm, Operator, Softmax

ASSUMED_LINK_BYTES_PER_S = 32e9
"""PCIe 4.0 x16, one direction, where a device file quotes no interconnect."""

_WITHOUT_STATISTICS = ("batchnorm", "lrn")
"""Normalisations that reduce no row: with constants at inference, or over a few neighbours."""


def stream(op: Operator, s: Setting) -> Bounds:
    """Everything that is bound by traffic: bytes through DRAM or L2, some vector arithmetic, a launch."""
    if s.levels:
        return measured_stream(op, s)
    c, machine = s.constants, s.machine
    moved = s.per_row(op.bytes) + s.extras.bytes_read + _read_again(op, s)
    missed = miss(moved, s)
    dram = moved * missed / (machine.dram_bytes_per_s * c.stream_efficiency)
    l2 = moved / s.hit_rate
    if isinstance(op, (Norm, Softmax)):
        dram, l2 = dram / c.row_efficiency, l2 / c.row_efficiency
        # One thread block per row: with fewer rows than units the others idle.
        row_count = np.maximum(s.per_row(op.rows), 1.0)
        l2 = l2 * np.ceil(row_count / machine.units) * machine.units / row_count
    vector = (s.per_row(op.flops) + s.extras.flops) / s.vector_rate
    launch = np.full(s.rows, s.stream_launch_s)
    latency = launch + joined(c.norm_p, dram, l2, vector)
    lowest = floor(op, s)
    terms = {"l2": l2, "dram": dram, "vector": vector, "launch": launch}
    return Bounds(np.maximum(latency, lowest), terms, lowest, moved * missed)


def measured_stream(op: Operator, s: Setting) -> Bounds:
    """The same on a processor whose cache levels and kernels were measured."""
    levels = s.levels
    read = s.per_row(op.bytes_read) + s.extras.bytes_read + _read_again(op, s)
    written = s.per_row(op.bytes_written)
    caches, dram = core.transfer_s(read, written, read + written, levels, s.cache == "cold")
    kernel = core.kernel_s(op, s.device, s.vector_rate)
    vector = s.per_row(op.flops) / s.vector_rate if kernel is None else s.per_row(kernel)
    vector = vector + s.extras.flops / s.vector_rate
    launch = np.full(s.rows, s.stream_launch_s)
    lowest = floor(op, s)
    latency = launch + joined(core.OVERLAP, caches + dram, vector)
    terms = {"l2": caches, "dram": dram, "vector": vector, "launch": launch}
    return Bounds(np.maximum(latency, lowest), terms, lowest, dram * levels[-1].read_bytes_per_s)


def _read_again(op: Operator, s: Setting) -> np.ndarray:
    """Bytes that kernels with a reduction per row read a second time: rows that do not fit on chip.

    One pass finds the statistics (for a softmax the running maximum and sum of Milakov & Gimelshein, "Online normalizer
    calculation for softmax", 2018), the second applies them.
    """
    if not isinstance(op, (Norm, Softmax)) or op.kind in _WITHOUT_STATISTICS:
        return np.zeros(s.rows)
    row_bytes = s.per_row(op.cols) * element_bytes(op.io_dtype or op.dtype)
    result: np.ndarray = np.where(row_bytes > s.on_chip_bytes, s.per_row(op.rows) * row_bytes, 0.0)
    return result


def view(op: Operator, s: Setting) -> Bounds:
    """Nothing moves and nothing is launched."""
    zero = np.zeros(s.rows)
    return Bounds(zero, {"launch": zero}, zero, zero)


def collective(op: Operator, s: Setting) -> Bounds:
    """Ring algorithms: (r - 1) / r of the message per phase, two phases for an all-reduce (Thakur et al., 2005)."""
    assert isinstance(op, Collective)
    ranks = np.maximum(s.per_row(op.ranks), 1.0)
    phases = 2.0 if op.kind == "all_reduce" else 1.0
    link_rate = s.device.interconnect_bytes_per_s or ASSUMED_LINK_BYTES_PER_S
    link = phases * (ranks - 1) / ranks * s.per_row(op.message_bytes) / (link_rate * s.constants.stream_efficiency)
    launch = s.stream_launch_s + phases * (ranks - 1) * s.stream_launch_s / 4
    return Bounds(launch + link, {"link": link, "launch": launch}, np.zeros(s.rows), s.per_row(op.bytes))

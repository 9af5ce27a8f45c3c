"""Where buffers lie: offsets in one arena, and what the holes between them cost.

Buffers are placed in the order in which they are first needed, each into the smallest hole that it fits, else at the end:
what ONNX Runtime's memory pattern does (``mem_pattern_planner.h``), and close to what allocators at run time do, which do
not know the future. Planners that do know it and place the largest buffers first come a little nearer to the bound that the
live bytes are (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020,
https://arxiv.org/abs/2001.03288), at a cost that is quadratic in the number of buffers.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from perfmodel.predict.memory.buffers import Buffer

MAX_STEPS = 4_000_000
"""Holes that are looked at in all; where more would be needed (thousands of buffers alive at once), there is no placement."""


def arena_bytes(buffers: Sequence[Buffer], alignment: int) -> float | None:
    """The extent of an arena that holds the buffers, each at a multiple of ``alignment``.

    Returns:
        None where so many are alive at once that more than :data:`MAX_STEPS` holes would have to be looked at.
    """
    expiring: dict[int, list[tuple[int, int]]] = {}
    live: list[tuple[int, int]] = []  # (offset, end), sorted
    now = None
    extent = steps = 0
    pending: list[int] = []  # positions at which something expires, sorted
    for buffer in sorted(buffers, key=lambda b: b.first):
        if buffer.first != now:
            now = buffer.first
            while pending and pending[0] < now:
                for block in expiring.pop(pending.pop(0)):
                    live.remove(block)
        size = -(-int(buffer.bytes) // alignment) * alignment
        block = _best_fit(live, size)
        insort(live, block)
        steps += len(live)
        if steps > MAX_STEPS:
            return None
        extent = max(extent, block[1])
        if buffer.last not in expiring:
            insort(pending, buffer.last)
        expiring.setdefault(buffer.last, []).append(block)
    return float(extent)


def _best_fit(live: Sequence[tuple[int, int]], size: int) -> tuple[int, int]:
    """The smallest hole of at least ``size`` between live blocks, or the end."""
    best, waste, end = None, 0, 0
    for start, stop in live:
        hole = start - end
        if hole >= size and (best is None or hole - size < waste):
            best, waste = end, hole - size
        end = max(end, stop)
    offset = end if best is None else best
    return offset, offset + size

"""Cache levels from curves of bandwidth over the size of the working set.

A curve is flat within a level and falls to the next. The sizes are cut into at most four runs, so that the logarithm of
bandwidth strays least from a constant within each: by dynamic programming, with a price for every further run, and one cut
for the curves of all kinds together. What software cannot tell apart (two levels that it streams from at one rate) is
one level here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MOST = 4
"""Levels: three of caches, and memory."""
PRICE = 0.12
"""What a further run must save, in |ln| summed over its sizes and averaged over kinds: a step of 15 % over a factor of two in
size at the least."""
LEAST_SIZES = 3
"""Of a level: an outlier is none."""
STEP = 1.12
"""The first kind (reading) or the mean of all must fall by this factor, or the two runs are one level."""


@dataclass(frozen=True)
class MeasuredLevel:
    """A plateau of the curves.

    Attributes:
        name: ``l1``, ``l2``, ... and ``memory``, which is last.
        bytes: working set up to which it lasts (the geometric mean of the last size within and the first beyond);
            infinite for memory.
        bytes_per_s: kind to bandwidth, the median over its sizes.
    """

    name: str
    bytes: float
    bytes_per_s: Mapping[str, float]


def levels(sizes: Sequence[int], curves: Mapping[str, Sequence[float]]) -> list[MeasuredLevel]:
    """The levels, from the fastest to memory.

    Args:
        sizes: working sets, rising; their ratio is the same throughout.
        curves: kind to bandwidths at those sizes, all above 0.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError("wanted at least two working sets")
    logs = [[math.log(v) for v in curve] for curve in curves.values()]
    cuts = _merged(_cut(logs), logs)
    found = []
    for number, (start, stop) in enumerate(cuts):
        last = number == len(cuts) - 1
        found.append(
            MeasuredLevel(
                "memory" if last else f"l{number + 1}",
                math.inf if last else math.sqrt(sizes[stop - 1] * sizes[stop]),
                {kind: median(curve[start:stop]) for kind, curve in curves.items()},
            )
        )
    return found


def _stray(logs: Sequence[Sequence[float]], start: int, stop: int) -> float:
    """How far a run strays from constants: the sum over its sizes, the mean over kinds."""
    total = 0.0
    for curve in logs:
        part = curve[start:stop]
        middle = median(part)
        total += sum(abs(value - middle) for value in part)
    return total / len(logs)


def _cut(logs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """The runs as (start, stop) of sizes."""
    count = len(logs[0])
    stray = {(i, j): _stray(logs, i, j) for i in range(count) for j in range(i + 1, count + 1)}
    # best[k][j]: the least cost of the first j sizes in k runs, and where the last of them starts.
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    least = min(LEAST_SIZES, count)
    for runs in range(1, min(MOST, count // least) + 1):
        before = best[-1]
        best.append(
            {
                j: min((before[i][0] + stray[i, j], i) for i in before if j - i >= least)
                for j in range(runs * least, count + 1)
            }
        )
    runs = min(range(1, len(best)), key=lambda k: best[k][count][0] + PRICE * k)
    cuts, stop = [], count
    for k in range(runs, 0, -1):
        start = best[k][stop][1]
        cuts.append((start, stop))
        stop = start
    return cuts[::-1]


def _merged(cuts: list[tuple[int, int]], logs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Runs between which bandwidth does not fall become one."""
    merged = [cuts[0]]
    for start, stop in cuts[1:]:
        above, below = merged[-1], (start, stop)
        falls = [median(curve[above[0] : above[1]]) - median(curve[below[0] : below[1]]) for curve in logs]
        if sum(falls) / len(falls) < math.log(STEP):
            merged[-1] = (above[0], stop)
        else:
            merged.append(below)
    return merged

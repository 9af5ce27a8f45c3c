"""Bandwidth of one thread over the size of its working set: reading, writing and copying, by numpy's vectorised loops.

The caches that a system claims are those of the machine; what a virtual one gets of a cache that it shares is found by the
sweep alone. So sizes run from a few kilobytes to beyond four times the claimed last level, and :mod:`.levels` finds the
knees.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from perfmodel.collect.microbenchmarks.timing import Benchmark, Work

LEAST_BYTES = 2**15
"""Below, a call takes longer than what it moves."""
LEAST_LARGEST, MOST_LARGEST = 2**26, 2**29
"""Bounds of the largest working set: four times the last-level cache, within 64 MB and 512 MB."""
KINDS = ("read", "write", "copy")
_PASSES_BYTES = 2**21
"""A call that reads less reads its working set several times."""


def sizes(last_level_bytes: int) -> list[int]:
    """Working sets in bytes, each the last times the root of two."""
    largest = min(max(4 * last_level_bytes, LEAST_LARGEST), MOST_LARGEST)
    found, exponent = [], 0
    while (size := int(LEAST_BYTES * 2 ** (exponent / 2))) <= largest:
        found.append(size // 64 * 64)
        exponent += 1
    return found


def benchmarks(last_level_bytes: int) -> list[Benchmark]:
    """One for every kind and size; bytes per second as STREAM counts them (what the program reads plus what it writes)."""
    return [
        Benchmark(name(kind, size), _HOW[kind], partial(_WORKS[kind], size), partial(_rate, kind, size))
        for size in sizes(last_level_bytes)
        for kind in KINDS
    ]


def name(kind: str, size: int) -> str:
    """Of the figure of a working set; these stay out of the device file."""
    return f"sweep.{kind}.{size}"


_HOW = {
    "read": "numpy maximum.reduce of int32",
    "write": "numpy fill of float64",
    "copy": "numpy copyto of float64",
}


def _rate(kind: str, size: int, seconds: Sequence[float]) -> float | None:
    """Bytes per second, the time of an empty call taken off where the work does not repeat itself."""
    if kind == "read":
        return size * _repeats(size) / seconds[0]
    moved = seconds[0] - seconds[1]
    return size / moved if moved > 0 else None


def _repeats(size: int) -> int:
    return max(1, _PASSES_BYTES // size)


def _read(size: int) -> list[Work]:
    values = np.ones(size // 4, np.int32)
    # Rows that all lie on the same memory: one call reads it many times over, and costs the time of a call once.
    rows = np.lib.stride_tricks.as_strided(values, (_repeats(size), len(values)), (0, 4), writeable=False)
    out = np.zeros(len(rows), np.int32)
    return [lambda: np.maximum.reduce(rows, axis=1, out=out)]


def _write(size: int) -> list[Work]:
    values, nothing = np.zeros(size // 8), np.zeros(1)
    return [lambda: values.fill(1.0), lambda: nothing.fill(1.0)]


def _copy(size: int) -> list[Work]:
    source, target, nothing = np.ones(size // 16), np.zeros(size // 16), np.zeros(1)
    return [lambda: np.copyto(target, source), lambda: np.copyto(nothing, nothing)]


_WORKS = {"read": _read, "write": _write, "copy": _copy}

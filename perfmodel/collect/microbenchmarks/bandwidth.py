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


SHARED_BYTES = 2**22
"""Working sets from this size on lie in one stretch of memory, so that all of them can be kept through a run. Smaller ones have
memory of their own."""
PAGE, APART = 4096, 2048
"""A copy whose target lies 16 bytes further into its page than the source was ten to twenty times slower on AMD's Zen 3: where
memory happens to be put must not decide, and the two are half a page apart."""


def benchmarks(last_level_bytes: int) -> list[Benchmark]:
    """One for every kind and size; bytes per second as STREAM counts them (what the program reads plus what it writes)."""
    wanted = sizes(last_level_bytes)
    memory = _Memory(wanted[-1])
    return [
        Benchmark(name(kind, size), _HOW[kind], partial(_WORKS[kind], memory, size), partial(_rate, kind, size))
        for size in wanted
        for kind in KINDS
    ]


class _Memory:
    """Where working sets lie: at the beginning of a page, written to once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shared: np.ndarray | None = None

    def bytes(self, size: int, apart: int = 0) -> np.ndarray:
        """So many bytes, that far into a page.

        Raises:
            MemoryError: there are not so many.
        """
        if size < SHARED_BYTES:
            return _paged(size, apart)
        if self._shared is None:
            try:
                self._shared = _paged(self._most + 2 * PAGE, 0)
            except MemoryError:
                return _paged(size, apart)
        return self._shared[apart : apart + size]

    def two(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Source and target, so many bytes each."""
        if size < SHARED_BYTES // 2:
            return _paged(size, 0), _paged(size, APART)
        both = self.bytes(2 * size + 2 * PAGE)
        begin = (size + PAGE - 1) // PAGE * PAGE + APART
        return both[:size], both[begin : begin + size]


def _paged(size: int, apart: int) -> np.ndarray:
    held = np.ones(size + PAGE + apart, np.uint8)
    begin = -held.ctypes.data % PAGE + apart
    return held[begin : begin + size]


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


def _read(memory: _Memory, size: int) -> list[Work]:
    values = memory.bytes(size).view(np.int32)
    # Rows that all lie on the same memory: one call reads it many times over, and costs the time of a call once.
    rows = np.lib.stride_tricks.as_strided(values, (_repeats(size), len(values)), (0, 4), writeable=False)
    out = np.zeros(len(rows), np.int32)
    return [lambda: np.maximum.reduce(rows, axis=1, out=out)]


def _write(memory: _Memory, size: int) -> list[Work]:
    values, nothing = memory.bytes(size).view(np.float64), np.zeros(1)
    return [lambda: values.fill(1.0), lambda: nothing.fill(1.0)]


def _copy(memory: _Memory, size: int) -> list[Work]:
    source, target = (half.view(np.float64) for half in memory.two(size // 2))
    nothing = np.zeros(1)
    return [lambda: np.copyto(target, source), lambda: np.copyto(nothing, nothing)]


_WORKS = {"read": _read, "write": _write, "copy": _copy}

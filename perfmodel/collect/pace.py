"""The pace of a machine while it measures: two small pieces of work between the runs of a model.

On a machine that is shared, speed changes within tens of milliseconds, and its mean within seconds. What a small product
and a small copy took between the runs of a model, over what they take in the whole session, says how fast the machine was
for that model. They are small, so that the caches are hardly other ones after them; :mod:`perfmodel.collect.anchor` is for
drift between pieces, and between days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any, NamedTuple

from perfmodel.collect.anchor import product_session

GEMM_N = 128
"""C[n, n] = A[n, n] · B[n, n] in fp32: 4 MFLOP and 0.2 MB, some 60 us on one core of a server."""
COPY_BYTES = 2**20
"""Read and written: within the last-level cache, beyond the others on most machines."""
TIMES = 3
"""How often each part is timed in one go."""
CHUNKS = 24
"""Into how many parts the runs of a model are divided, with the work between them."""
CHUNK_S = 3e-3
"""A chunk and the work after it take at least so long, so that short models see more than one moment of the machine."""


class Pace(NamedTuple):
    """Median seconds of the two pieces of work over a measurement."""

    gemm_s: float
    copy_s: float


class PaceMaker:
    """Makes the work, runs it when it is called, and remembers what it took.

    Args:
        clock: gives seconds that only grow.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        import numpy as np

        self._clock = clock
        self._session = product_session(GEMM_N, "measuring the pace of a machine")
        self._feeds = {name: np.full((GEMM_N, GEMM_N), 0.5, np.float32) for name in "ab"}
        self._source, self._target = (np.ones(COPY_BYTES // 4, np.float32) for _ in range(2))
        self.taken: list[Pace] = []

    def __call__(self, at_least_s: float = 0.0) -> None:
        """Runs the work :data:`TIMES` times, and again until so much time has passed.

        Each part runs once before it counts: after a model, its operands and its code are in no cache, and what loading
        them takes depends on the model.
        """
        begin = self._clock()
        while True:
            gemm = self._timed(self._multiply)
            copy = self._timed(self._copy)
            self.taken += map(Pace, gemm, copy)
            if self._clock() - begin >= at_least_s:
                return

    def _timed(self, work: Callable[[], Any]) -> list[float]:
        work()
        seconds = []
        for _ in range(TIMES):
            begin = self._clock()
            work()
            seconds.append(self._clock() - begin)
        return seconds

    def _multiply(self) -> None:
        self._session.run(None, self._feeds)

    def _copy(self) -> None:
        import numpy as np

        np.copyto(self._target, self._source)

    def reset(self) -> list[Pace]:
        """What was remembered, which is forgotten."""
        taken, self.taken = self.taken, []
        return taken


def typical(taken: Iterable[Pace]) -> Pace | None:
    """The median of each part; None where nothing was taken."""
    found = list(taken)
    return Pace(*(median(part) for part in zip(*found, strict=True))) if found else None

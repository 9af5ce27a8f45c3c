"""Times that rows are given in place of what a predictor learned of their operators: of a runtime's kernels in a graph, say.

Power and energy, and what a locked clock or a cap changes, follow from such a time as from one that the predictor learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.models.bounds import Bounds


@dataclass(frozen=True)
class Times:
    """Seconds of rows where nothing holds the clock; arrays of shape ``[rows]``.

    Attributes:
        latency_s, low_s, high_s: of one execution, and its 90 % interval.
        source: ``learned`` or ``blended``.
        software: that they are of.
        cache: state of the last-level cache in which they were measured.
    """

    latency_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    source: np.ndarray
    software: np.ndarray
    cache: str = "rotating"

    def key(self) -> tuple[Any, ...]:
        """What tells them from others."""
        numbers = (self.latency_s.tobytes(), self.low_s.tobytes(), self.high_s.tobytes())
        return (*numbers, tuple(self.source.tolist()), tuple(self.software.tolist()), self.cache)

    def columns(self, rows: np.ndarray, bounds: Bounds, as_measured: Bounds) -> dict[str, Any]:
        """The columns of the estimates of some rows, as :meth:`perfmodel.models.blend.Learned.blend` gives them.

        Args:
            rows: their indices here.
            bounds: what the analytical model says of them in the state of the cache that was asked for.
            as_measured: the same in that of :attr:`cache`: the physics converts between states.
        """
        before = as_measured.latency_s
        ratio = np.divide(bounds.latency_s, before, out=np.ones(len(rows)), where=before > 0)
        floor = bounds.floor_s
        value = np.maximum(self.latency_s[rows] * ratio, floor)
        return {
            "latency_s": value,
            "latency_low_s": np.minimum(np.maximum(self.low_s[rows] * ratio, floor), value),
            "latency_high_s": np.maximum(self.high_s[rows] * ratio, value),
            "analytical_s": bounds.latency_s,
            "floor_s": floor,
            "source": self.source[rows],
            "software": self.software[rows],
        }

"""From kernels to a whole run on a processor: their sum, what the runtime adds to each node, and an interval of its own.

    run = scale * sum of kernels + per_node_s * nodes + per_run_s

The three numbers are fitted to runs without a profiler, of models whose kernels were predicted by what never saw them.
Errors of kernels partly cancel in a sum and partly go together, which no rule for adding intervals knows: the interval of
a run comes from whole models that were held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.models.learned import are_log_errors

RUN_BUCKETS_S = (1e-3, 1e-2)
"""Bounds of the sizes by which intervals of runs are kept: < 1 ms, < 10 ms, above."""
MOST_SCALE = 1e6
"""Of the scale, and of the seconds of a node and of a run: at most."""


@dataclass(frozen=True)
class Composition:
    """How kernels become a run.

    Attributes:
        per_node_s: what the runtime adds to every node, those that move nothing included.
        per_run_s: what a run takes beside its nodes.
        scale: of the sum: kernels that run in a row, unprofiled, over their times one by one.
        quantiles: per size of the predicted run the 5 % and 95 % quantiles of ln(measured / predicted).
        runs: how many runs it was fitted to.
    """

    per_node_s: float = 0.0
    per_run_s: float = 6e-6
    scale: float = 1.0
    quantiles: tuple[tuple[float, float], ...] = ((-0.7, 0.7),) * (len(RUN_BUCKETS_S) + 1)
    runs: int = 0

    def latency_s(self, kernels_s: Any, nodes: Any) -> Any:
        """Seconds of a run of kernels that add up to ``kernels_s`` and execute ``nodes`` nodes."""
        return self.scale * kernels_s + self.per_node_s * nodes + self.per_run_s

    def interval_s(self, latency_s: float) -> tuple[float, float]:
        """The 90 % interval of a predicted run."""
        low, high = self.quantiles[int(np.searchsorted(RUN_BUCKETS_S, latency_s, side="right"))]
        return latency_s * float(np.exp(min(low, 0.0))), latency_s * float(np.exp(max(high, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {
            "per_node_s": self.per_node_s, "per_run_s": self.per_run_s, "scale": self.scale,
            "quantiles": [list(q) for q in self.quantiles], "runs": self.runs,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Composition:
        """The record of what :meth:`to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        quantiles = tuple((float(low), float(high)) for low, high in stored["quantiles"])
        numbers = [float(stored[name]) for name in ("per_node_s", "per_run_s", "scale")]
        good = len(quantiles) == len(RUN_BUCKETS_S) + 1 and all(are_log_errors(*q) for q in quantiles)
        if not (good and 0 < numbers[2] <= MOST_SCALE and min(numbers[:2]) >= 0 and max(numbers[:2]) <= MOST_SCALE):
            raise ValueError(f"the composition is damaged: wanted seconds and a scale up to {MOST_SCALE:g}")
        return cls(numbers[0], numbers[1], numbers[2], quantiles, int(stored["runs"]))

"""What was learned of one runtime's kernels on one processor: a booster over all of them, and how far it is off.

Factors say what a kernel takes for each thing that it does (:mod:`perfmodel.models.host.work`); the booster predicts
ln(measured / that sum) from the features of :mod:`perfmodel.models.host.features`. One booster serves all families: how bytes
move and how work fills a core is shared, and words say which kernel a row is. A kernel that was never measured has no word,
is predicted by its work and traffic alone, and gets the interval of such kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.errors import PredictorError
from perfmodel.hardware import Device
from perfmodel.models.host.composition import Composition
from perfmodel.models.host.features import NUMBERS, matrix, numbers, with_costs, words
from perfmodel.models.host.work import TERMS, Costs, terms
from perfmodel.models.learned import MOST_WIDTH, SIZE_BUCKETS_S, are_log_errors, size_bucket
from perfmodel.models.trees import MOST_LN, Booster, read_booster

UNKNOWN_FACTOR = 3.0
"""Half the interval of a kernel whose name was never measured, as a factor."""
MOST_COST = 1e9
"""Of the factors of work and traffic."""
LEAST_S = 2e-7
"""No kernel takes less: a call alone takes as long."""


@dataclass(frozen=True)
class KernelEstimates:
    """Seconds of one execution of each row, its 90 % interval, the first estimate, and whether such kernels were measured;
    arrays of shape ``[rows]``."""

    latency_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    base_s: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class HostKernels:
    """The learned kernels of one device.

    Attributes:
        device: its id.
        software: the runtime, ``onnxruntime-1.32.0``.
        threads: processors that a kernel may use.
        words: the flags that follow the numbers, in order (:func:`perfmodel.models.host.features.words`).
        kernels: rows in training by the runtime's name of a kernel.
        quantiles: per bucket of the predicted latency the 5 % and 95 % quantiles of ln(measured / predicted) of kernels of
            held-out models.
        composition: makes whole models of kernels.
        read: the booster's packed bytes.
        rows: training rows.
        widths: by family of operators, by what its kernels stretch that interval.
        costs: factors by kernel.
    """

    device: str
    software: str
    threads: int
    words: tuple[str, ...]
    kernels: Mapping[str, int]
    quantiles: tuple[tuple[float, float], ...]
    composition: Composition
    read: Callable[[], bytes]
    rows: int
    widths: Mapping[str, float] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)

    @cached_property
    def _booster(self) -> Booster:
        booster = read_booster(self.read(), f"the kernels of {self.device}")
        if booster.features != len(NUMBERS) + len(self.words):
            raise PredictorError(
                f"the booster of {self.device} reads {booster.features} features; wanted {len(NUMBERS) + len(self.words)}"
            )
        return booster

    def predict(self, table: Mapping[str, np.ndarray], device: Device) -> KernelEstimates:
        """Estimates for a table of kernels (:func:`perfmodel.models.host.features.table_of_nodes`)."""
        columns, base = numbers(table, device)
        amounts, places = terms(table, columns, base)
        costs = np.maximum(self.costs.seconds(table, amounts, base), LEAST_S)
        features = matrix(with_costs(columns, costs, base, places), words(table), self.words)
        latency = np.maximum(costs * np.exp(self._booster.predict(features)), LEAST_S)
        known = np.array([str(kernel) in self.kernels for kernel in np.asarray(table["kernel"], dtype=object).tolist()])
        ops = np.asarray(table["op"], dtype=object).astype(str)
        low, high = stretched(np.array(self.quantiles)[size_bucket(latency)], ops, self.widths)
        wide = np.log(UNKNOWN_FACTOR)
        low, high = np.where(known, low, np.minimum(low, -wide)), np.where(known, high, np.maximum(high, wide))
        return KernelEstimates(
            latency, latency * np.exp(np.minimum(low, 0.0)), latency * np.exp(np.maximum(high, 0.0)), base, known
        )

    def to_entry(self) -> dict[str, Any]:
        """The manifest's entry, without file and hash."""
        return {
            "device": self.device, "software": self.software, "threads": self.threads, "words": list(self.words),
            "kernels": dict(sorted(self.kernels.items())), "quantiles": [list(q) for q in self.quantiles],
            "composition": self.composition.to_dict(), "numbers": list(NUMBERS), "rows": self.rows,
            "widths": dict(sorted(self.widths.items())), "terms": list(TERMS),
            "costs": {name: list(values) for name, values in sorted(self.costs.factors.items())},
        }  # fmt: skip

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], read: Callable[[], bytes]) -> HostKernels:
        """The record of a manifest's entry.

        Raises:
            PredictorError: it was trained on other features than this version computes.
            KeyError, TypeError, ValueError: it is damaged.
        """
        if tuple(entry["numbers"]) != NUMBERS or tuple(entry["terms"]) != TERMS:
            raise PredictorError("the kernels were trained on other features than this version computes: train again")
        quantiles = tuple((float(low), float(high)) for low, high in entry["quantiles"])
        if len(quantiles) != len(SIZE_BUCKETS_S) + 1 or not all(are_log_errors(*q) for q in quantiles):
            raise ValueError("the quantiles of the kernels are no pair a bucket")
        widths = {str(family): float(width) for family, width in entry.get("widths", {}).items()}
        if not all(0 < width <= MOST_WIDTH for width in widths.values()):
            raise ValueError(f"the widths of the kernels' intervals are no positive numbers up to {MOST_WIDTH:g}")
        costs = {str(name): tuple(map(float, values)) for name, values in entry["costs"].items()}
        if not all(len(v) == len(TERMS) and min(v) >= 0 and max(v) <= MOST_COST for v in costs.values()):
            raise ValueError(f"the costs of the kernels are not a factor a term, 0 to {MOST_COST:g}")
        return cls(
            device=str(entry["device"]), software=str(entry["software"]), threads=int(entry["threads"]),
            words=tuple(map(str, entry["words"])), kernels={str(k): int(v) for k, v in entry["kernels"].items()},
            quantiles=quantiles, composition=Composition.from_dict(entry["composition"]), read=read, rows=int(entry["rows"]),
            widths=widths, costs=Costs(costs),
        )  # fmt: skip


def stretched(quantiles: np.ndarray, family: np.ndarray, widths: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """The ends of intervals, stretched about their middles by what belongs to a row's family.

    Args:
        quantiles: lower and upper end in logarithms, shape ``[rows, 2]``.
        family: of operators, shape ``[rows]``.
        widths: by family; 1 where there is none.
    """
    middle, half = quantiles.mean(axis=1), np.diff(quantiles, axis=1)[:, 0] / 2
    half = half * np.array([widths.get(name, 1.0) for name in family.tolist()])
    return np.clip(middle - half, -MOST_LN, MOST_LN), np.clip(middle + half, -MOST_LN, MOST_LN)


def host_kernels_of(learned: Sequence[HostKernels], device: Device, software: str | None) -> HostKernels | None:
    """What was learned of a device under a software, a stack, or (None) the newest; None where nothing was."""
    from perfmodel.models.learned import stack_of, version_key

    mine = [h for h in learned if h.device == device.id]
    if software is not None:
        mine = [h for h in mine if software in (h.software, stack_of(h.software))]
    return max(mine, key=lambda h: version_key(h.software), default=None)

"""The learned residual: what boosted trees add to the analytical model where measurements support it.

A booster predicts ln(measured / analytical) of one family's operators (:mod:`perfmodel.models.families`) on one device, over
all software stacks that were measured there. Where a row lies outside what the booster was trained on, the residual fades
out octave by octave, and the prediction is the analytical one again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.errors import PredictorError, nearest
from perfmodel.features.vector import FeatureSchema
from perfmodel.models.families import FAMILIES
from perfmodel.models.machine import CACHES
from perfmodel.models.tables import look_up
from perfmodel.models.trees import MOST_LN, Booster, read_booster

Key = tuple[str, str, str]
"""Of a residual: family, device id, part."""

SIZE_BUCKETS_S = (1e-5, 1e-4, 1e-3)
"""Bounds of the latency buckets by which accuracy and intervals are kept: < 10 us, < 100 us, < 1 ms, above."""
UNSEEN = "*"
"""In place of a device id: the booster for devices that were not measured, over stacks instead of versions."""
_LEARNED_WEIGHT = 0.99
_ANALYTICAL_WEIGHT = 0.05
MOST_WIDTH = 1e9
"""By what an interval may be stretched, at most; its ends are logarithms of ratios all the same."""
_MAX_EXACT = 4096
"""Distinct values of an exact feature that a manifest may list."""


def are_log_errors(low: float, high: float) -> bool:
    """Whether two numbers can be the ends of an interval of ln(measured / predicted)."""
    return -MOST_LN <= low <= high <= MOST_LN


def variant_of(software: str, kernel: str) -> str:
    """The name of one of several kernels that a software runs on the same shapes: ``"sglang-0.5.10:flashinfer"``."""
    return f"{software}:{kernel}"


def software_of(variant: str) -> str:
    """The software of a variant: ``"sglang-0.5.10:flashinfer"`` -> ``"sglang-0.5.10"``."""
    return variant.split(":", 1)[0]


def kernel_of(variant: str) -> str:
    """The kernel of a variant, ``""`` where it is a software alone: ``"sglang-0.5.10:flashinfer"`` -> ``"flashinfer"``."""
    return variant.partition(":")[2]


def stack_of(software: str) -> str:
    """The stack of a software id: ``"vllm-0.24.0"`` -> ``"vllm"``."""
    return software_of(software).split("-", 1)[0]


def version_key(software: str) -> tuple[tuple[int, int | str], ...]:
    """Orders versions of one stack: numbers by value, and a release candidate before its release."""
    software = software_of(software)
    version = software.split("-", 1)[1] if "-" in software else ""
    parts = re.findall(r"\d+|[a-z]+", version)
    # A letter sorts below any number, and the end of a version (a release) above "rc".
    return (*((1, int(p)) if p.isdigit() else (-1, p) for p in parts), (0, 0))


def software_order(variants: Iterable[str]) -> tuple[str, ...]:
    """Distinct variants by stack, version and kernel: the order of a booster's last columns."""
    return tuple(sorted(set(variants), key=lambda v: (stack_of(v), version_key(v), v)))


def variants_for(software: str | None, measured: Sequence[str]) -> tuple[str, ...]:
    """The measured variants that a name stands for: itself, all kernels of a software, or those of a stack's newest version.

    Args:
        software: a variant, an id, a stack; None or ``"any"`` is every stack.
        measured: variants.

    Returns:
        Empty where nothing of that name was measured.
    """
    if software is None or software == "any":
        stacks = dict.fromkeys(map(stack_of, measured))
        return tuple(v for stack in stacks for v in variants_for(stack, measured))
    if software in measured:
        return (software,)
    kernels = tuple(v for v in measured if software_of(v) == software)
    of_stack = [v for v in measured if stack_of(v) == software]
    newest = max(map(version_key, of_stack), default=None)
    return kernels or tuple(v for v in of_stack if version_key(v) == newest)


@dataclass(frozen=True)
class Residual:
    """One booster with what it takes to use it.

    Attributes:
        device: what it was trained on.
        part: of the family on that device, usually the dtype (:attr:`perfmodel.models.families.Family.part`).
        software: the stacks, in the order of the booster's last columns; ``software:kernel`` (:func:`variant_of`) for those
            of which several kernels were measured on the same shapes.
        cache: the state of the last-level cache in which each stack's rows were measured.
        support: lowest and highest value of each support feature in training.
        quantiles: per size bucket the 5 % and 95 % quantiles of ln(measured / predicted) on held-out groups of shapes; on
            left-out families for the booster of devices that were not measured.
        widths: by what the interval is stretched (:func:`stretched`) for variants of which few groups were measured.
        sibling_quantiles: the same as ``quantiles`` on devices that were left out while a sibling was measured; None where none
            was: a sibling then has what ``quantiles`` and the analytical interval span.
        vendors: whose devices the booster for unmeasured ones was trained on.
        rows: training rows.
        family: name of the operator family (:data:`perfmodel.models.families.FAMILIES`).
        exact: the values in training of each feature that must be one of them.
        kernels: of each variant the values in training of the family's features that say which kernels can run; variants
            that are not named run everything.
    """

    device: str
    part: str
    software: tuple[str, ...]
    cache: tuple[str, ...]
    schema: FeatureSchema
    support: Mapping[str, tuple[float, float]]
    quantiles: tuple[tuple[float, float], ...]
    rows: int
    read: Callable[[], bytes]
    sibling_quantiles: tuple[tuple[float, float], ...] | None = None
    vendors: tuple[str, ...] = ()
    family: str = "gemm"
    exact: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    kernels: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise PredictorError(f"this version knows no family {self.family!r}: {nearest(self.family, FAMILIES)}")
        record = FAMILIES[self.family]
        spans = [self.support.get(name, (np.nan, np.nan)) for name in record.support]
        wrong = (
            (not self.software or len(self.cache) != len(self.software), "one state of the cache for each software"),
            (not set(self.cache) <= set(CACHES), f"states of the cache among {', '.join(CACHES)}"),
            (
                any(
                    len(q) != len(SIZE_BUCKETS_S) + 1 for q in (self.quantiles, self.sibling_quantiles) if q is not None
                ),
                f"{len(SIZE_BUCKETS_S) + 1} pairs of quantiles",
            ),
            (not all(-np.inf < a <= b < np.inf for a, b in spans), "finite ranges, low before high"),
            (
                not all(are_log_errors(a, b) for a, b in (*self.quantiles, *(self.sibling_quantiles or ()))),
                f"quantiles of logarithms, -{MOST_LN:g} to {MOST_LN:g}, low before high",
            ),
            (not all(0 <= w <= MOST_WIDTH for w in self.widths.values()), f"widths of 0 to {MOST_WIDTH:g}"),
            (
                any(not 0 < len(self.exact.get(name, ())) <= _MAX_EXACT for name in record.exact),
                f"1 to {_MAX_EXACT} values of each of {', '.join(record.exact)}",
            ),
        )
        for broken, wanted in wrong:
            if broken:
                raise PredictorError(
                    f"the entry of {self.family} {self.device} {self.part} is damaged: wanted {wanted}"
                )

    @property
    def key(self) -> Key:
        """Family, device, part."""
        return self.family, self.device, self.part

    @cached_property
    def booster(self) -> Booster:
        """The trees, read on first use."""
        name = f"the booster for {self.family} on {self.device} in {self.part}"
        booster = read_booster(self.read(), name)
        wanted = len(self.schema.names) + self._variant_columns.shape[1]
        if booster.features != wanted:
            raise PredictorError(f"{name} reads {booster.features} features; the manifest describes {wanted}")
        return booster

    def choices(self, software: str | None) -> tuple[str, ...]:
        """The stacks that a prediction is made for: the one named (all its kernels), or the newest of each.

        Of a version that was not measured here the newest one of its stack stands in, of a stack that was not, all of them.

        Args:
            software: a variant (``"sglang-0.5.10:triton"``), an id (``"vllm-0.24.0"``), a stack (``"vllm"``), or None.
        """
        found = variants_for(software, self.software)
        if found or software is None:
            return found
        return variants_for(stack_of(software), self.software) or self.choices(None)

    def predict(self, columns: Mapping[str, np.ndarray], software: str) -> np.ndarray:
        """ln(measured / analytical) under one software stack, shape ``[rows]``."""
        matrix = self.schema.matrix(columns)
        told = self._variant_columns[self.software.index(software)]
        return self.booster.predict(np.concatenate([matrix, np.tile(told, (len(matrix), 1))], axis=1))

    @cached_property
    def _variant_columns(self) -> np.ndarray:
        return variant_columns(self.software, FAMILIES[self.family].kernel_classes)

    def runs(self, columns: Mapping[str, np.ndarray], variants: Sequence[str]) -> np.ndarray:
        """Which of some variants were measured on operators of each row's kind; shape ``[variants, rows]``.

        A row that none of them was measured on may run any: which of them steps in is not known.

        Args:
            columns: those of the family's ``kernels``, shape ``[rows]``.
            variants: names of :attr:`software`.
        """
        rows = len(next(iter(columns.values())))
        able = []
        for variant in variants:
            runs = np.ones(rows, dtype=bool)
            for name, values in self.kernels.get(variant, {}).items():
                runs = runs & np.isin(columns[name], values)
            able.append(runs)
        each = np.stack(able)
        result: np.ndarray = each | ~each.any(axis=0)
        return result

    def weight(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """How far the residual is trusted, 0..1: falls by e for each octave outside the training range, and is 0 where an
        exact feature has a value that was not measured.

        Args:
            columns: those of the family's ``support`` and ``exact``, shape ``[rows]``.
        """
        distance: Any = 0.0
        for name in FAMILIES[self.family].support:
            low, high = self.support[name]
            distance = distance + np.maximum(low - columns[name], 0.0) + np.maximum(columns[name] - high, 0.0)
        weight: np.ndarray = np.exp(-distance)
        weight[weight > _LEARNED_WEIGHT] = 1.0
        weight[weight < _ANALYTICAL_WEIGHT] = 0.0
        for name in FAMILIES[self.family].exact:
            weight[~np.isin(columns[name], self.exact[name])] = 0.0
        return weight

    def log_interval(
        self,
        latency_s: np.ndarray,
        variants: Sequence[str],
        chosen: np.ndarray,
        *,
        elsewhere: tuple[float, float] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """ln offsets of the 90 % interval around a learned prediction, by size bucket and variant.

        Args:
            latency_s: predicted, shape ``[rows]``.
            variants: names of :attr:`software`; ``chosen`` says by index which of them each row runs.
            elsewhere: where the prediction is for another device than the one that was measured, the interval of the
                analytical model there; None where it is that device.
        """
        bucket = np.searchsorted(SIZE_BUCKETS_S, latency_s, side="right")
        left_out = None if elsewhere is None else self.sibling_quantiles
        low, high = np.array(left_out or self.quantiles).T
        # Errors on devices that were left out were not told apart by variant.
        width = np.array([1.0 if left_out else self.widths.get(v, 1.0) for v in variants])
        found = stretched(look_up(low, bucket), look_up(high, bucket), look_up(width, chosen))
        if elsewhere is None or left_out or self.device == UNSEEN:
            return found
        # No sibling of this device was ever left out: its errors on shapes of its own say nothing of another device.
        return np.minimum(found[0], elsewhere[0]), np.maximum(found[1], elsewhere[1])


def stretched(low: np.ndarray, high: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of ``width`` times their length about their middle."""
    middle, half = (low + high) / 2, (high - low) / 2 * width
    return np.clip(middle - half, -MOST_LN, MOST_LN), np.clip(middle + half, -MOST_LN, MOST_LN)


def source_names(weight: np.ndarray) -> np.ndarray:
    """``learned``, ``blended`` or ``analytical`` by weight."""
    return np.where(weight >= 1.0, "learned", np.where(weight > 0.0, "blended", "analytical")).astype(object)


def size_bucket(latency_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """Index of the size bucket of each measured latency."""
    return np.searchsorted(SIZE_BUCKETS_S, np.asarray(latency_s), side="right")


def software_columns(software: Sequence[str], values: np.ndarray) -> np.ndarray:
    """One-hot columns in the order of ``software``, float32 of shape ``[rows, len(software)]``."""
    return np.stack([(values == s) for s in software], axis=1).astype(np.float32)


def variant_columns(variants: Sequence[str], kernel_classes: Sequence[str] = ()) -> np.ndarray:
    """What a booster reads of each variant, float32 of shape ``[variants, columns]``.

    Args:
        variants: in the booster's order.
        kernel_classes: :attr:`perfmodel.models.families.Family.kernel_classes`; none means one column a variant.
    """
    if not kernel_classes:
        return np.eye(len(variants), dtype=np.float32)
    software = np.array(list(map(software_of, variants)), dtype=object)
    kernel = np.array(list(map(kernel_of, variants)), dtype=object)
    make = np.array(
        [next((c for c in kernel_classes if re.search(c, k)), "") if k else "" for k in kernel.tolist()], dtype=object
    )
    columns = [software_columns(tuple(dict.fromkeys(software.tolist())), software)]
    for values in (kernel, make):
        # Classes that no variant has, and variants without a kernel, need no column.
        if known := tuple(dict.fromkeys(v for v in values.tolist() if v)):
            columns.append(software_columns(known, values))
    return np.concatenate(columns, axis=1)

"""The covariance of what a predictor gets wrong on a device that it has not seen: a sum of a few named parts.

Errors are alike where shapes and regimes are alike, more so within one software stack, and most within one version of it.
Each part of the covariance is a function of some features times ``shared + same stack + same software``. The variances and
length scales are learned on measured devices that were left out (:mod:`perfmodel.models.kernel_fit`), so that twenty points on
a new one need not say them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from perfmodel.errors import PredictorError
from perfmodel.models.families.base import Family
from perfmodel.models.learned import stack_of

FORMS = ("constant", "linear", "matern12", "matern32")
"""One number for everything; proportional to features; a rough and a smooth function of them."""
JITTER = 1e-6
"""Variance that keeps equal points from making a matrix singular."""
_LN_SHARES = frozenset(f"share_{term}" for term in ("compute", "l2", "dram", "vector", "link"))
_CLIPPED = {"log_footprint": (-6.0, 4.0), "log_tiles_per_unit": (0.0, 5.0)}
_LEAST, _MOST = 1e-100, 1e30
"""What variances and length scales of a covariance may be, far beyond what any fit comes to: quotients stay finite."""
_SLOWEST = 0.7
"""A tile that is slower than the best by more than e to this power was no candidate."""


def error_columns(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The residual's features as the covariance reads them: shares as shares instead of logarithms, ranges clipped, and
    whether m and n fill whole tiles; arrays of shape ``[rows]``."""
    result = {}
    for name, values in columns.items():
        column = np.asarray(values, dtype=np.float64)
        if name in _LN_SHARES:
            column = np.exp(column)
        if name.endswith("_slowdown"):
            column = np.clip(column, 0.0, _SLOWEST)
        result[name] = np.clip(column, *_CLIPPED[name]) if name in _CLIPPED else column
    for name in ("m_mod_64", "n_mod_128"):
        if name in columns:
            result[f"{name}_is_0"] = (np.asarray(columns[name]) == 0).astype(np.float64)
    return result


@dataclass(frozen=True)
class Points:
    """Rows as the covariance sees them.

    Attributes:
        columns: of :func:`error_columns`, each of shape ``[rows]``.
        software: software id of each row (object array).
        shapes: a number that is equal for equal descriptors (:func:`perfmodel.models.trace_rows.shape_keys`); None where that
            does not matter.
    """

    columns: Mapping[str, np.ndarray]
    software: np.ndarray
    shapes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.software)

    def part(self, index: np.ndarray) -> Points:
        """Those of the rows ``index``."""
        shapes = None if self.shapes is None else self.shapes[index]
        return Points({name: values[index] for name, values in self.columns.items()}, self.software[index], shapes)

    def matrix(self, names: Sequence[str]) -> np.ndarray:
        """The columns ``names`` side by side, shape ``[rows, names]``."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise PredictorError(f"a correction reads the feature {missing[0]!r}, which this version does not compute")
        return np.stack([self.columns[n] for n in names], axis=1) if names else np.zeros((len(self), 0))


def joined(a: Points, b: Points) -> Points:
    """The rows of both, with the columns that both have."""
    columns = {n: np.concatenate([values, b.columns[n]]) for n, values in a.columns.items() if n in b.columns}
    shapes = None if a.shapes is None or b.shapes is None else np.concatenate([a.shapes, b.shapes])
    return Points(columns, np.concatenate([a.software, b.software]), shapes)


def alike(a: Points, b: Points) -> tuple[np.ndarray, np.ndarray]:
    """Whether rows of ``a`` and ``b`` share the stack, and whether they share the software: 0 or 1, ``[rows a, rows b]``."""
    stacks = [np.array([stack_of(str(s)) for s in p.software], dtype=object) for p in (a, b)]
    same_stack = (stacks[0][:, None] == stacks[1][None, :]).astype(np.float64)
    return same_stack, (a.software[:, None] == b.software[None, :]).astype(np.float64)


@dataclass(frozen=True)
class Part:
    """One part of the covariance.

    Attributes:
        form: of :data:`FORMS`.
        columns: the features that it reads.
        scales: for each of them the length over which errors change; of ``linear``, its weight.
        variances: shared by all software, more within a stack, more within one software.
    """

    form: str
    columns: tuple[str, ...]
    scales: tuple[float, ...]
    variances: tuple[float, float, float]

    def __post_init__(self) -> None:
        numbers = (*self.scales, *self.variances)
        if (
            self.form not in FORMS
            or len(self.scales) != len(self.columns)
            or len(self.variances) != 3
            or not all(_LEAST <= v <= _MOST for v in numbers)
        ):
            raise PredictorError(f"a part of the corrections' covariance is damaged: {self.form!r}, {self.columns}")

    def shape(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The covariance of features alone, of variance one (except ``linear``); ``a``, ``b``: ``[rows, columns]``."""
        if self.form == "constant":
            return np.ones((len(a), len(b)))
        scales = np.array(self.scales)
        if self.form == "linear":
            product: np.ndarray = (a * scales**2) @ b.T
            return product
        distance = distances(a / scales, b / scales)
        if self.form == "matern12":
            rough: np.ndarray = np.exp(-distance)
            return rough
        smooth: np.ndarray = (1 + np.sqrt(3) * distance) * np.exp(-np.sqrt(3) * distance)
        return smooth

    def own(self, a: np.ndarray) -> np.ndarray:
        """The diagonal of :meth:`shape` of ``a`` with itself, shape ``[rows]``."""
        if self.form == "linear":
            squares: np.ndarray = (a**2 * np.array(self.scales) ** 2).sum(axis=1)
            return squares
        return np.ones(len(a))


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances between the rows of ``a`` and of ``b``, a little above 0 where they are equal."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    result: np.ndarray = np.sqrt(np.maximum(squares, 0.0) + 1e-12)
    return result


@dataclass(frozen=True)
class Kernel:
    """The whole covariance of ln(measured / predicted).

    Attributes:
        parts: they add up.
        noise: variance of one measurement that no feature explains.
        launch_noise: what is added to it where launch overhead is all there is; in proportion to ``share_launch``.
    """

    parts: tuple[Part, ...]
    noise: float
    launch_noise: float

    def covariance(self, a: Points, b: Points) -> np.ndarray:
        """Without the noise of measuring, shape ``[rows a, rows b]``."""
        same_stack, same_software = alike(a, b)
        total = np.zeros((len(a), len(b)))
        for part in self.parts:
            shared, stack, software = part.variances
            weight = shared + stack * same_stack + software * same_software
            total += part.shape(a.matrix(part.columns), b.matrix(part.columns)) * weight
        return total

    def variance(self, a: Points) -> np.ndarray:
        """The diagonal of :meth:`covariance` of ``a`` with itself, shape ``[rows]``."""
        total = np.zeros(len(a))
        for part in self.parts:
            total += part.own(a.matrix(part.columns)) * sum(part.variances)
        return total

    def noise_variance(self, a: Points) -> np.ndarray:
        """The noise of measuring each row, shape ``[rows]``."""
        share = a.columns.get("share_launch", np.zeros(len(a)))
        result: np.ndarray = self.noise + self.launch_noise * np.clip(share, 0.0, 1.0) + JITTER
        return result

    def restricted(self, columns: Sequence[str]) -> Kernel:
        """Without what reads features that a family does not have."""
        parts = []
        for part in self.parts:
            kept = [i for i, name in enumerate(part.columns) if name in columns]
            if kept or part.form == "constant":
                parts.append(
                    replace(
                        part, columns=tuple(part.columns[i] for i in kept), scales=tuple(part.scales[i] for i in kept)
                    )
                )
        return replace(self, parts=tuple(parts))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "noise": self.noise,
            "launch_noise": self.launch_noise,
            "parts": [
                {
                    "form": p.form, "columns": list(p.columns), "scales": list(p.scales), "variances": list(p.variances),
                }
                for p in self.parts
            ],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.

        Raises:
            PredictorError: a part is damaged.
        """
        parts = tuple(
            Part(
                str(p["form"]),
                tuple(map(str, p["columns"])),
                tuple(map(float, p["scales"])),
                _variances(p["variances"]),
            )
            for p in values["parts"]
        )
        noise, launch = float(values["noise"]), float(values["launch_noise"])
        if not (_LEAST <= noise <= _MOST and 0 <= launch <= _MOST):
            raise PredictorError(f"the corrections' noise is damaged: {noise}, {launch}")
        return cls(parts, noise, launch)


def _variances(values: Iterable[Any]) -> tuple[float, float, float]:
    shared, stack, software = map(float, values)
    return shared, stack, software


_SIZES = ("log2_m", "log2_n", "log2_k")
_REGIME = (
    "share_compute", "share_l2", "share_dram", "share_launch", "share_split_k", "miss", "log_footprint",
    "log_tiles_per_unit", "occupancy", "log2_split_k", "log2_tile_m", "log2_tile_n", "m_mod_64_is_0", "n_mod_128_is_0",
    "m_fill", "n_fill", "tile_128x128_occupancy", "tile_256x128_occupancy", "tile_128x64_occupancy",
)  # fmt: skip
_LINEAR = (
    "share_compute", "share_l2", "share_dram", "share_launch", "share_split_k", "miss", "occupancy", "unsplit_slowdown",
    "tile_256x128_slowdown", "tile_128x256_slowdown", "tile_128x128_slowdown", "tile_128x64_slowdown",
    "tile_64x128_slowdown", "tile_64x64_slowdown", "tile_16x64_slowdown",
)  # fmt: skip


def _general(sizes: Sequence[str], regime: Sequence[str], linear: Sequence[str]) -> Kernel:
    """Before anything is learned: every part as likely as the others, changing over two or three octaves of sizes, and over
    a fair share of each term."""
    usual = (0.0067, 0.0025, 0.0025)
    scales = tuple(_REGIME_SCALES.get(name, 0.5) for name in regime)
    return Kernel(
        (
            Part("constant", (), (), usual),
            Part("linear", tuple(linear), (1.0,) * len(linear), usual),
            Part("matern32", tuple(sizes), (3.0,) * len(sizes), usual),
            Part("matern12", tuple(sizes), (3.0,) * len(sizes), usual),
            Part("matern32", tuple(regime), scales, usual),
        ),
        noise=0.004,
        launch_noise=0.004,
    )


_REGIME_SCALES = {
    "log_footprint": 4.0, "log_tiles_per_unit": 3.0, "log2_split_k": 4.0, "log2_tile_m": 4.0, "log2_tile_n": 4.0,
    "miss": 1.0, "m_mod_64_is_0": 3.0, "n_mod_128_is_0": 3.0,
}  # fmt: skip


def general_kernel(family: Family) -> Kernel:
    """The form of a family's covariance with hyperparameters that nothing was learned for."""
    if family.name == "gemm":
        return _general(_SIZES, _REGIME, _LINEAR)
    shares = tuple(name for name in family.schema.names if name.startswith("share_"))
    return _general(family.support, shares, shares)


def error_kernel(family: Family) -> Kernel:
    """The covariance of a family's errors on devices that were not measured, for predictors that have learned none."""
    return general_kernel(family)

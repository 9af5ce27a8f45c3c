"""What a family of learned residuals is: which operators it covers, their features, and how its boosters are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.features.vector import FeatureSchema, feature_schema
from perfmodel.hardware.device import Device
from perfmodel.models.bounds import TERMS, Bounds
from perfmodel.models.machine import Machine
from perfmodel.ops import Operator

Columns = dict[str, np.ndarray]

RELATIVE_ERROR = "relative_error"
"""In place of an XGBoost objective: |exp(p - y) - 1| of a predicted p and a measured y, both logarithms."""

BOOSTER: Mapping[str, Any] = {
    "objective": RELATIVE_ERROR,
    "tree_method": "hist",
    "grow_policy": "lossguide",
    "max_depth": 0,
    "max_leaves": 128,
    "max_bin": 128,
    "eta": 0.12,
    "subsample": 0.4,
    "colsample_bynode": 0.5,
    "min_child_weight": 5,
    "nthread": 1,
    "trees": 250,
}
"""XGBoost's parameters where a family has no reason for others; ``trees`` is the number of boosting rounds."""


@dataclass(frozen=True)
class Family:
    """One family of learned residuals. A booster belongs to a (family, device, part).

    Attributes:
        name: of the folder of its boosters and of ``features/<name>.toml``.
        op: the descriptors' family (``"attention"``).
        applies: whether a descriptor of that family belongs here. It may look at settings (fields that are no dimensions)
            and at which optional dimensions are absent, since these are alike in all rows of a group.
        columns: the features of a group's rows, arrays of shape ``[rows]``: those of the schema, :attr:`support` and
            :attr:`exact` among them.
        support: log2 features whose range in training decides the trust: an octave outside, and the weight falls by e.
        part: what gets a booster of its own on one device, usually the dtype; like :attr:`applies` it looks at settings.
            It is a file's name.
        booster: XGBoost's parameters, ``trees``, and ``rows``: how many rows a booster is trained on at most.
        exact: features whose values must be among those seen in training, else there is no residual at all.
        kernels: features whose values say which kernels of a software can run. Where there are any, each kernel is a variant
            of its own, also where the software chooses one for each shape.
        kernel_classes: patterns of kernels' names, each for one make (``"cutlass"``); a kernel is of the first that is found in
            its name. Where there are any, a booster's last columns are software, kernel and class, each on its own, so that
            what one software shows of a kernel or a make tells of others; otherwise each variant has one column.
        by_software: whether each software has trees of its own (``trees`` of them, on ``rows`` rows) within the booster.
    """

    name: str
    op: str
    applies: Callable[[Operator], bool]
    columns: Callable[[Operator, Bounds, Machine, Device], Columns]
    support: tuple[str, ...]
    part: Callable[[Operator], str]
    booster: Mapping[str, Any]
    exact: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    kernel_classes: tuple[str, ...] = ()
    by_software: bool = False

    def __post_init__(self) -> None:
        if self.by_software and self.kernel_classes:
            raise ValueError(f"family {self.name!r}: trees of each software's own need one column a variant")

    @property
    def schema(self) -> FeatureSchema:
        """The names of its features in order."""
        return feature_schema(self.name)


def any_of_its_family(op: Operator) -> bool:
    """For families that cover every descriptor of their ``op``."""
    return True


def by_dtype(op: Operator) -> str:
    """A part for each dtype."""
    return op.dtype


def per_row(value: Any, bounds: Bounds) -> np.ndarray:
    """A dimension as float64 of shape ``[rows]``."""
    return np.broadcast_to(np.asanyarray(value, dtype=np.float64), bounds.latency_s.shape)


def log2(value: Any, bounds: Bounds) -> np.ndarray:
    """log2 of a dimension, shape ``[rows]``; 0 counts as 1."""
    return np.log2(np.maximum(per_row(value, bounds), 1.0))


_SHARE_OFFSET = 1e-3
"""Keeps the logarithm of a share of 0 finite."""


def bound_columns(bounds: Bounds) -> Columns:
    """What the analytical model says: its latency, and each term's share of it."""
    latency = np.maximum(bounds.latency_s, np.finfo(np.float64).tiny)
    columns = {"log_analytical": np.log(latency)}
    for name in TERMS:
        share = np.zeros_like(latency) if name not in bounds.terms else bounds.terms[name] / latency
        columns[f"share_{name}"] = share if name == "launch" else np.log(share + _SHARE_OFFSET)
    return columns

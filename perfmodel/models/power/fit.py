"""Fits the power constants to the energy of measured runs: bounded, robust, and held near what documents say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.errors import MissingExtraError
from perfmodel.hardware.device import Device
from perfmodel.models.power.constants import FALLBACK, PowerConstants
from perfmodel.models.power.device import DevicePower
from perfmodel.models.power.load import Load

SPREADS = {
    "flop.bf16": 0.5, "flop.tf32": 0.5, "vector_j_per_flop": 0.3, "element_j": 0.5, "l2_j_per_byte": 0.5, "dram.hbm2": 0.3,
    "issue_j_per_clock": 0.5, "leakage_w_per_unit": 0.7, "voltage_exponent": 0.1,
}  # fmt: skip
"""The constants that runs can tell, with how far (in ln) each may be from its prior."""
SOFT_L1_SCALE = 0.08
"""Relative error of a run beyond which it counts linearly instead of squared: lists of operators are not complete."""
_PRIOR_WEIGHT = 0.025
"""A constant one spread off its prior counts as much as one run that is off by this share."""
_FURTHEST = 2.5
"""Spreads from the prior that no constant goes beyond."""
DISPATCH_STARTS_S = (10e-6, 20e-6, 40e-6)
"""Where searches for the time of a launch begin."""
_CAPPED = 0.93
"""Runs above this share of the limit are at it: they hardly tell constants, and weigh no more than the others together."""


@dataclass(frozen=True)
class MeasuredLoad:
    """Runs of one device with their energy; arrays of shape ``[runs]``."""

    device: Device
    load: Load
    energy_j: np.ndarray
    dispatch_s: float


def fit_power(
    measured: Sequence[MeasuredLoad], *, prior: PowerConstants = FALLBACK, max_evaluations: int = 60
) -> PowerConstants:
    """Constants that minimise a robust sum of squared ln(predicted / measured energy), and stay near their priors.

    Args:
        measured: runs by device.
        prior: where the search begins and what it is held to.
        max_evaluations: steps of the search.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise MissingExtraError("scipy", "train", "fitting power constants") from None
    names = tuple(SPREADS)
    spread = np.array([SPREADS[name] for name in names])
    weights = [_weights(m) for m in measured]
    rows = sum(len(w) for w in weights)

    def residuals(x: np.ndarray) -> np.ndarray:
        constants = moved(prior, dict(zip(names, np.exp(x * spread), strict=True)))
        parts = [
            w * np.log(m.load.energy_j(DevicePower.of(m.device, constants), m.dispatch_s) / m.energy_j)
            for m, w in zip(measured, weights, strict=True)
        ]
        return np.concatenate([*parts, x * _PRIOR_WEIGHT * np.sqrt(rows / 100)])

    solution = least_squares(
        residuals, np.zeros(len(names)), bounds=(-_FURTHEST, _FURTHEST), loss="soft_l1", f_scale=SOFT_L1_SCALE,
        max_nfev=max_evaluations,
    )  # fmt: skip
    return moved(prior, dict(zip(names, np.exp(solution.x * spread), strict=True)))


def _weights(m: MeasuredLoad) -> np.ndarray:
    weights = np.ones(len(m.energy_j))
    if m.device.tdp_w is not None:
        capped = m.energy_j / m.load.latency_s > _CAPPED * m.device.tdp_w
        if capped.sum() > (~capped).sum() > 0:
            weights[capped] = np.sqrt((~capped).sum() / capped.sum())
    return weights


def moved(constants: PowerConstants, factors: Mapping[str, float]) -> PowerConstants:
    """Constants times factors, by the names of :data:`SPREADS`. All formats of matrix units follow bf16, but TF32; all kinds of
    HBM follow HBM2."""
    flop, tf32, hbm = (factors[name] for name in ("flop.bf16", "flop.tf32", "dram.hbm2"))
    numbers: dict[str, Any] = {
        name: float(getattr(constants, name) * f) for name, f in factors.items() if "." not in name
    }
    return replace(
        constants,
        arithmetic_j_per_flop={
            name: float(joules * (tf32 if name == "tf32" else flop))
            for name, joules in constants.arithmetic_j_per_flop.items()
        },
        dram_j_per_byte={
            name: float(joules * (hbm if name.startswith("hbm") else 1.0))
            for name, joules in constants.dram_j_per_byte.items()
        },
        **numbers,
    )


@dataclass(frozen=True)
class Timing:
    """How the runs of one machine go, beyond its kernels' predicted times.

    Attributes:
        dispatch_s: seconds that the host takes a launch.
        pace: what the kernels of a kind of run take, over what is predicted.
    """

    dispatch_s: float
    pace: Mapping[str, float]

    def timed(self, load: Load, kinds: np.ndarray, *, given: bool) -> Load:
        """A load at this pace.

        Args:
            load: the runs.
            kinds: the kind of each, shape ``[runs]``; one that was not seen goes at the pace 1.
            given: whether the latencies of the runs stay; otherwise they become those predicted.
        """
        pace = np.array([self.pace.get(str(kind), 1.0) for kind in kinds])
        kernel_s = load.kernel_s * pace
        latency_s = load.latency_s if given else np.maximum(kernel_s, self.dispatch_s * load.launches)
        return replace(load, kernel_s=kernel_s, busy_s=load.busy_s * pace, latency_s=latency_s)


def fit_timing(load: Load, kinds: np.ndarray) -> Timing:
    """The timing that explains best how long runs took.

    Args:
        load: the runs, with measured latencies.
        kinds: what kind each is (its dtype), shape ``[runs]``.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise MissingExtraError("scipy", "train", "fitting power constants") from None
    names = sorted(set(map(str, kinds)))
    index = np.searchsorted(names, kinds.astype(str))

    def residuals(x: np.ndarray) -> np.ndarray:
        predicted = np.maximum(load.kernel_s * np.exp(x[1:])[index], np.exp(x[0]) * load.launches)
        return np.log(predicted / load.latency_s)

    # The maximum has a kink at every run: several beginnings, the best end.
    starts = [np.concatenate([[np.log(each)], np.zeros(len(names))]) for each in DISPATCH_STARTS_S]
    ends = [least_squares(residuals, start, loss="soft_l1", f_scale=0.1) for start in starts]
    best = min(ends, key=lambda end: float(end.cost)).x
    return Timing(float(np.exp(best[0])), {name: float(np.exp(v)) for name, v in zip(names, best[1:], strict=True)})

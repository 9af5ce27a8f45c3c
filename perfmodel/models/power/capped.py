"""What a power cap does to a run that was measured without one: power, time and energy of the same work.

    D(L) = D₀ · g(R(L) / D₀) / g(R(TDP) / D₀)        g(r) = (1 + r⁻ᵖ)^(-1/p)        R(L) = a·L + b·TDP - idle
    P(L) = idle + D(L), at most L                    D = power above idle, of the uncapped run D₀
    idle + D₀ · [(1 - m)·(V(x)/V(1))ᵉ + m] / T(x) = P(L)        T(x) = 1 - s + s/x        t = t₀ · T(x)

The first line is a soft minimum of what the run wants and what the cap leaves: a run is many kernels, some of which want more
than its mean. The last finds the clock x at which the run takes that power: a share m of its energy (memory) knows no voltage,
a share s of its time follows the clock, and more of it the nearer the run was to the TDP. The constants are fitted to Zeus's
training epochs (You et al., NSDI 2023).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perfmodel.errors import InputError, MissingExtraError
from perfmodel.models.power.constants import fit_file
from perfmodel.models.power.voltage import VoltageCurve

CLOCKS = np.linspace(0.05, 1.0, 191)
"""Clocks over the uncapped run's that are searched."""
_NEAR = 0.7
"""Power over TDP about which the share of time that follows the clock is written."""


@dataclass(frozen=True, kw_only=True)
class CapResponse:
    """Constants of the response of a run to a power cap; ``sensitivity_slope`` may have any sign, the rest are positive."""

    cap_share: float = 0.87
    """Watts of mean power that a watt of cap leaves, *a*."""
    tdp_share: float = 0.05
    """What is left beyond that, over the TDP, *b*: the limiter averages, and boards have a lowest limit."""
    sharpness: float = 5.0
    """Exponent of the soft minimum, *p*."""
    sensitivity: float = 0.3
    """Share of the time that follows the clock, of a run at 0.7 of the TDP, *s*."""
    sensitivity_slope: float = 1.0
    """How the logit of that share grows with power over TDP."""
    flat_to: float = 0.4
    """Clock over the uncapped one below which the voltage no longer falls."""
    rise: float = 0.5
    """Voltage at the uncapped clock over the lowest, less 1."""
    voltage_exponent: float = 2.5
    """Energy of an operation grows as the voltage to this power, *e*."""
    memory_share: float = 0.3
    """Share of the energy above idle that knows no voltage, *m*."""
    idle_factor: float = 0.9
    """Idle power of the process that runs, over that of :class:`~perfmodel.models.power.DevicePower`."""

    def to_dict(self) -> dict[str, float]:
        """By name."""
        return dataclasses.asdict(self)


SEARCHED: Mapping[str, tuple[float, float]] = {
    "cap_share": (0.5, 1.1), "tdp_share": (0.0, 0.2), "sharpness": (2.0, 20.0), "sensitivity": (0.02, 0.98),
    "sensitivity_slope": (-8.0, 12.0), "flat_to": (0.2, 0.85), "rise": (0.05, 0.9), "voltage_exponent": (2.0, 3.0),
    "memory_share": (0.05, 0.6), "idle_factor": (0.6, 1.3),
}  # fmt: skip
"""The constants with what each can be."""


@dataclass(frozen=True)
class CappedRuns:
    """Runs under caps with the same work without one; arrays of shape ``[runs]``.

    Attributes:
        power_w, latency_s: of the uncapped run.
        idle_w, tdp_w: of its device.
        cap_w: the cap.
    """

    power_w: np.ndarray
    latency_s: np.ndarray
    idle_w: np.ndarray
    tdp_w: np.ndarray
    cap_w: np.ndarray


def shipped() -> CapResponse:
    """The response that was fitted to all of Zeus's GPUs."""
    return CapResponse(**fit_file().cap)


def under_cap(runs: CappedRuns, response: CapResponse | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Power [W] and seconds of runs under their caps; a cap at the TDP or above changes nothing.

    Args:
        runs: what was measured without a cap, and the caps.
        response: the constants; None means the shipped ones.

    Raises:
        InputError: a cap is not above 0.
    """
    if not (runs.cap_w > 0).all():
        raise InputError("a power cap must be above 0 W")
    r = response or shipped()
    idle = np.minimum(r.idle_factor * runs.idle_w, 0.95 * runs.power_w)
    wanted = runs.power_w - idle
    cap = np.minimum(runs.cap_w, runs.tdp_w)

    def room(limit_w: np.ndarray) -> np.ndarray:
        # What a cap near idle power leaves is little, but never nothing.
        left = r.cap_share * limit_w + r.tdp_share * runs.tdp_w - idle
        return np.maximum(left, 0.02 * limit_w)

    def kept(limit_w: np.ndarray) -> np.ndarray:
        return (1 + (wanted / room(limit_w)) ** r.sharpness) ** (-1 / r.sharpness)

    power = np.minimum(idle + wanted * kept(cap) / kept(runs.tdp_w), np.maximum(runs.cap_w, 0.0))
    stretch = _stretch(runs, r, idle, wanted, power)
    return power, runs.latency_s * stretch


def _stretch(runs: CappedRuns, r: CapResponse, idle: np.ndarray, wanted: np.ndarray, power: np.ndarray) -> np.ndarray:
    """How much longer the runs take, at least 1."""
    logit = np.log(r.sensitivity / (1 - r.sensitivity)) + r.sensitivity_slope * (runs.power_w / runs.tdp_w - _NEAR)
    share = 1 / (1 + np.exp(-logit))
    curve = VoltageCurve(flat_to=r.flat_to, rise=r.rise)
    relative = curve.relative(CLOCKS) / curve.relative(1.0)
    times = (1 - share)[:, None] + share[:, None] / CLOCKS
    watts = (
        idle[:, None] + wanted[:, None] * ((1 - r.memory_share) * relative**r.voltage_exponent + r.memory_share) / times
    )
    clock = np.array([np.interp(w, row, CLOCKS) for w, row in zip(power, watts, strict=True)])
    result = (1 - share) + share / clock
    # Below the lowest clock the device waits in between.
    waits = np.maximum(watts[:, 0] - idle, 0.0) / np.maximum(power - idle, 1e-3 * runs.tdp_w)
    return np.where(power < watts[:, 0], result * np.maximum(waits, 1.0), result)


def fit_response(
    runs: CappedRuns, power_w: np.ndarray, latency_s: np.ndarray, groups: np.ndarray, *, max_evaluations: int = 40
) -> CapResponse:
    """Constants that minimise a robust sum of squared ln(predicted / measured) of power, time and energy.

    Args:
        runs: uncapped runs and caps.
        power_w, latency_s: measured under the caps, shape ``[runs]``.
        groups: the device of each; every device weighs the same.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise MissingExtraError("scipy", "train", "fitting power constants") from None
    names = tuple(SEARCHED)
    low, high = np.array(list(SEARCHED.values())).T
    _, index, count = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    weight = np.sqrt(len(groups) / len(count) / count[index])

    def residuals(x: np.ndarray) -> np.ndarray:
        power, latency = under_cap(runs, CapResponse(**dict(zip(names, map(float, x), strict=True))))
        off = [np.log(power / power_w), np.log(latency / latency_s)]
        return np.concatenate([weight * each for each in (*off, off[0] + off[1])])

    start = np.array([getattr(CapResponse(), name) for name in names])
    solution = least_squares(
        residuals, start, bounds=(low, high), loss="soft_l1", f_scale=0.03, x_scale=high - low, diff_step=1e-3,
        max_nfev=max_evaluations,
    )  # fmt: skip
    return CapResponse(**dict(zip(names, map(float, solution.x), strict=True)))

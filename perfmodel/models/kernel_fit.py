"""Learning the covariance of a predictor's errors from devices that were left out (empirical Bayes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.errors import MissingExtraError
from perfmodel.models.kernel import JITTER, Kernel, Part, Points, alike, distances

ERROR_LIMIT = 0.6
"""|ln(measured / predicted)| beyond which a row says no more than that it is far off: spikes, kernels of another kind."""
_WIDTH = 2.0
"""Standard deviation of the logarithm of each hyperparameter about its starting value."""


@dataclass(frozen=True)
class Sample:
    """Rows of one device that was left out.

    Attributes:
        points: their features and software.
        error: ln(measured / predicted), shape ``[rows]``.
    """

    points: Points
    error: np.ndarray


def fit_kernel(samples: Sequence[Sample], start: Kernel, *, steps: int = 25) -> Kernel:
    """The most probable hyperparameters: those under which the errors of all samples are likeliest.

    Args:
        samples: one a device; a few hundred rows each, since the effort grows with their cube.
        start: the form of the covariance, and where each hyperparameter is likeliest before anything is seen.
        steps: of the search (L-BFGS).

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingExtraError("scipy", "train", "learning a covariance") from None
    origin = _packed(start)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        kernel = _unpacked(x, start)
        away = (x - origin) / _WIDTH
        value, gradient = 0.5 * float(away @ away), away / _WIDTH
        for sample in samples:
            one, slope = _negative_log_likelihood(kernel, sample)
            value, gradient = value + one, gradient + slope
        return value, gradient

    found = minimize(loss, origin, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return _unpacked(found.x, start)


def _packed(kernel: Kernel) -> np.ndarray:
    numbers = [v for p in kernel.parts for v in (*p.variances, *p.scales)]
    return np.log([*numbers, kernel.noise, kernel.launch_noise])


def _unpacked(x: np.ndarray, like: Kernel) -> Kernel:
    numbers, at, parts = np.exp(x), 0, []
    for part in like.parts:
        count = len(part.scales)
        first, second, third = (float(v) for v in numbers[at : at + 3])
        scales = tuple(float(v) for v in numbers[at + 3 : at + 3 + count])
        parts.append(replace(part, variances=(first, second, third), scales=scales))
        at += 3 + count
    return Kernel(tuple(parts), float(numbers[at]), float(numbers[at + 1]))


def _negative_log_likelihood(kernel: Kernel, sample: Sample) -> tuple[float, np.ndarray]:
    """Of one sample's errors (without constants), and its gradient in the logarithms of the hyperparameters."""
    points, error = sample.points, np.clip(sample.error, -ERROR_LIMIT, ERROR_LIMIT)
    alikeness = (np.ones((len(points), len(points))), *alike(points, points))
    covariance = np.diag(kernel.noise_variance(points))
    shapes, weights = [], []
    for part in kernel.parts:
        features = points.matrix(part.columns)
        shapes.append(part.shape(features, features))
        weights.append(sum(v * mask for v, mask in zip(part.variances, alikeness, strict=True)))
        covariance = covariance + shapes[-1] * weights[-1]
    lower = np.linalg.cholesky(covariance + JITTER * np.eye(len(points)))
    inverse = np.linalg.inv(covariance + JITTER * np.eye(len(points)))
    weighted = inverse @ error
    value = 0.5 * float(error @ weighted) + float(np.log(np.diag(lower)).sum())
    # d value / d K, to be summed against d K / d (each log hyperparameter).
    slope = 0.5 * (inverse - np.outer(weighted, weighted))
    gradient: list[float] = []
    for part, shape, weight in zip(kernel.parts, shapes, weights, strict=True):
        against = slope * shape
        gradient += [v * float((against * mask).sum()) for v, mask in zip(part.variances, alikeness, strict=True)]
        gradient += _scale_gradient(part, points, slope * weight)
    diagonal = np.diag(slope)
    share = np.clip(points.columns.get("share_launch", np.zeros(len(points))), 0.0, 1.0)
    gradient += [kernel.noise * float(diagonal.sum()), kernel.launch_noise * float((diagonal * share).sum())]
    return value, np.array(gradient)


def _scale_gradient(part: Part, points: Points, slope: np.ndarray) -> list[float]:
    if part.form == "constant":
        return []
    features = points.matrix(part.columns) / (1.0 if part.form == "linear" else np.array(part.scales))
    if part.form == "linear":
        return [2 * s**2 * float(f @ slope @ f) for s, f in zip(part.scales, features.T, strict=True)]
    distance = distances(features, features)
    bend = np.exp(-distance) / distance if part.form == "matern12" else 3 * np.exp(-np.sqrt(3) * distance)
    against = slope * bend
    return [float((against * (f[:, None] - f[None, :]) ** 2).sum()) for f in features.T]

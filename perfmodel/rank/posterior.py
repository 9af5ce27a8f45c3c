"""What measurements say of configurations that were not measured: Gaussian processes over a fixed set of candidates.

ln(time) is a prior mean, a level of its own, a weight for each opinion (what other devices took for the same configuration,
with and without the physics of this one), and a smooth deviation over the coordinates: of each alone, of pairs, and of all
together (Durrande et al., "ANOVA kernels and RKHS of zero mean functions", 2013). Several such processes, of different widths
and lengths, are weighed by how well each foresaw the measurements as they came (their marginal likelihood).

Measuring adds a row to the Cholesky factor and a column over all candidates: the cost of an observation is that of one column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_LEVEL_VARIANCE = 25.0
"""Of the level of ln(time): unknown; the first measurement sets it."""
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True)
class Prior:
    """Variances of ln(time).

    Attributes:
        opinion: of each opinion's weight.
        alone, pairs, together: of the deviation's parts.
        length: over coordinates of standard deviation 1/4.
        noise: of a measurement, as variance.
    """

    opinion: float
    alone: float
    pairs: float
    together: float
    length: float
    noise: float = 1e-3


def priors() -> tuple[Prior, ...]:
    """The processes that are weighed: small and large deviations, of few coordinates or of all."""
    kinds = ((1.0, 0.2, 0.6), (0.2, 1.0, 0.25))  # of few coordinates and long, of all together and short
    return tuple(Prior(0.05, a * s, a * s / 2, t * s, length) for s in (0.05, 0.3) for a, t, length in kinds)


class Process:
    """One Gaussian process over candidates; ``mean`` and ``variance`` are of ln(time), shape ``[candidates]``."""

    def __init__(self, coordinates: np.ndarray, opinions: np.ndarray, mean: np.ndarray, prior: Prior) -> None:
        self._x, self._opinions = coordinates.astype(np.float32), opinions.astype(np.float32)
        self.prior: Prior = prior
        self.mean: np.ndarray = mean.astype(np.float64).copy()
        p = prior
        own = p.alone + p.pairs + p.together
        self.variance: np.ndarray = _LEVEL_VARIANCE + p.opinion * (opinions**2).sum(axis=1) + own
        self._factor = np.zeros((8, len(mean)), dtype=np.float32)
        self._count = 0
        self.log_likelihood: float = 0.0

    def add(self, place: int, log_seconds: float, weight: float = 1.0) -> None:
        """Takes in the measurement of one candidate."""
        factor = self._factor[: self._count]
        column = self._covariance(place) - factor.T @ factor[:, place]
        total = float(column[place]) + self.prior.noise / weight
        surprise = log_seconds - float(self.mean[place])
        self.log_likelihood -= 0.5 * (surprise**2 / total + np.log(total))
        step = (column / np.sqrt(total)).astype(np.float32)
        self.mean += step * (surprise / np.sqrt(total))
        self.variance = np.maximum(self.variance - step.astype(np.float64) ** 2, _LEAST_VARIANCE)
        if self._count == len(self._factor):
            self._factor = np.concatenate([self._factor, np.zeros_like(self._factor)])
        self._factor[self._count] = step
        self._count += 1

    def _covariance(self, place: int) -> np.ndarray:
        """Of all candidates with one."""
        p, x = self.prior, self._x
        near = np.exp((-0.5 / p.length**2) * (x - x[place]) ** 2)
        count = near.shape[1]
        alone = near.sum(axis=1)
        pairs = (alone**2 - (near**2).sum(axis=1)) / max(count * (count - 1), 1)
        own = p.alone * alone / count + p.pairs * pairs + p.together * near.prod(axis=1)
        covariance: np.ndarray = _LEVEL_VARIANCE + p.opinion * (self._opinions @ self._opinions[place]) + own
        return covariance.astype(np.float64)


class Posterior:
    """Several processes over the same candidates, weighed by their likelihood."""

    DROPPED = 1e-3
    """Weight below which a process is no longer carried along."""
    CONSIDERED = 0.01
    """Weight below which a process has no say in what to measure."""
    SETTLED = 20
    """Measurements before any is dropped."""

    def __init__(self, coordinates: np.ndarray, opinions: np.ndarray, mean: np.ndarray, of: Sequence[Prior]) -> None:
        self._processes = [Process(coordinates, opinions, mean, prior) for prior in of]
        self.count: int = 0

    def add(self, place: int, log_seconds: float) -> None:
        """Takes in the measurement of one candidate."""
        for process in self._processes:
            process.add(place, log_seconds)
        self.count += 1
        if self.count >= self.SETTLED:
            weights = self.weights
            self._processes = [p for p, w in zip(self._processes, weights, strict=True) if w >= self.DROPPED]

    @property
    def weights(self) -> np.ndarray:
        """Of the processes; they add up to 1."""
        logs = np.array([p.log_likelihood for p in self._processes])
        weights = np.exp(logs - logs.max())
        return weights / weights.sum()

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of ln(time), shape ``[candidates]``."""
        if self.count == 0:  # they differ in their spread alone
            return self._processes[0].mean, np.mean([p.variance for p in self._processes], axis=0)
        weights = self.weights
        mean = sum(w * p.mean for w, p in zip(weights, self._processes, strict=True))
        variance = sum(w * (p.variance + (p.mean - mean) ** 2) for w, p in zip(weights, self._processes, strict=True))
        return np.asarray(mean), np.asarray(variance)

    def expected(self, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """The mean over the processes of a function of their means and variances, shape ``[candidates]``."""
        weights = self.weights
        parts = [
            w * of(p.mean, p.variance) for w, p in zip(weights, self._processes, strict=True) if w >= self.CONSIDERED
        ]
        return np.asarray(sum(parts))

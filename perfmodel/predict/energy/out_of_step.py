"""The power of many devices that run the same model, each at its own moment of it.

Peaks of a fleet rarely coincide. If each device is at an independent, uniformly chosen moment of its run, their sum has the
distribution of a sum of independent draws from the power over time, which is the convolution of that distribution with itself
as many times as there are devices.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

_BINS = 256
"""Steps of power that a distribution is taken in; power is rounded up to the next one."""
_EXACT_UP_TO = 500
"""Devices up to which the convolution is carried out; of more the sum is taken as normal (central limit theorem)."""


def quantile_w(seconds: np.ndarray, watts: np.ndarray, count: int, share: float) -> float:
    """The power that all devices together do not exceed for a share of the time [W].

    Args:
        seconds: how long each step of a run lasts, shape ``[steps]``.
        watts: power of each step, the same shape.
        count: devices, at least 1.
        share: of the time, above 0 and below 1.
    """
    weights = seconds / seconds.sum()
    low, high = float(watts.min()), float(watts.max())
    if high - low <= 1e-9 * high:
        return count * high
    if count > _EXACT_UP_TO:
        mean = float(weights @ watts)
        deviation = float(np.sqrt(weights @ (watts - mean) ** 2))
        return min(count * mean + NormalDist().inv_cdf(share) * np.sqrt(count) * deviation, count * high)
    width = (high - low) / (_BINS - 1)
    bins = np.minimum(np.ceil((watts - low) / width - 1e-9).astype(np.int64), _BINS - 1)
    one = np.bincount(bins, weights=weights, minlength=_BINS)
    length = count * (_BINS - 1) + 1
    size = 1 << (length - 1).bit_length()
    together = np.fft.irfft(np.fft.rfft(one, size) ** count, size)[:length]
    reached = int(np.searchsorted(np.cumsum(np.maximum(together, 0.0)), share * (1 - 1e-9)))
    return count * low + min(reached, length - 1) * width

"""What is drawn for a module: extents as models have them, formats, and how much work it is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

WIDTHS = (
    48,
    64,
    96,
    128,
    160,
    192,
    256,
    320,
    384,
    512,
    576,
    640,
    768,
    896,
    1024,
    1152,
    1280,
    1536,
    2048,
    2560,
    3072,
    4096,
)
"""Widths of layers as published networks have them."""


class Draw:
    """A source of random numbers that gives the same ones everywhere: seeded by a text, and reading nothing but
    :meth:`random.Random.random`, whose sequence Python keeps.

    Args:
        seed: a text.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def unit(self) -> float:
        """From 0 to below 1."""
        return self._random.random()

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self.unit() * (high - low + 1))

    def choice(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of them."""
        if weights is None:
            return options[int(self.unit() * len(options))]
        left = self.unit() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]

    def chance(self, share: float) -> bool:
        """True in so many of all cases."""
        return self.unit() < share

    def between(self, low: float, high: float) -> float:
        """Log-uniform."""
        return float(low * (high / low) ** self.unit())

    def extent(self, low: int, high: int) -> int:
        """An extent of an axis, log-uniform: a fifth are powers of 2, a third whole eighths or sixteenths, a fifth
        widths of published layers, the rest any number: compilers treat each otherwise."""
        kind = self.unit()
        value = self.between(low, high + 0.999)
        if kind < 0.2:
            value = 2.0 ** round(_log2(value))
        elif kind < 0.53:
            step = self.choice((8, 8, 16, 32))
            value = max(round(value / step), 1) * step
        elif kind < 0.73:
            value = min(WIDTHS, key=lambda width: abs(_log2(width) - _log2(value)))
        return int(min(max(value, low), high))


def _log2(value: float) -> float:
    from math import log2

    return log2(value)

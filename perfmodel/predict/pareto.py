"""The points that no other beats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def front(points: Iterable[T], first: Callable[[T], float], second: Callable[[T], float]) -> tuple[T, ...]:
    """The points to which no other is superior in both quantities, the least of the first quantity first.

    Args:
        points: in any order.
        first, second: what is to be small; infinity where it is unknown.
    """
    best: list[T] = []
    for point in sorted(points, key=lambda p: (first(p), second(p))):
        if not best or second(point) < second(best[-1]):
            best.append(point)
    return tuple(best)

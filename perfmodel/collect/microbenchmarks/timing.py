"""Timing one benchmark until its median is known well enough.

A *round* times every piece of work of a benchmark once, long enough for the clock, and makes one value of the seconds: a
rate, a time, or a slope between two sizes. Rounds are repeated in several passes over all benchmarks, minutes apart where
there is time, so that a machine that changes meanwhile shows: rounds of one moment agree with each other better than with
those of the next.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

BOUND = 0.01
"""Relative standard error of a median at which no more rounds are taken."""
AGREEMENT = 0.05
"""By how much the medians of two passes may differ, relative, before a figure counts as unsteady."""
ROUND_S = 1e-3
"""A piece of work is called so often that it takes as long: clocks tick in tens of nanoseconds, interrupts in microseconds."""
LEAST_ROUNDS = 5
"""Of one pass."""
MOST_ROUNDS = 400
"""Of one pass: more of one moment say no more about the next."""
_NORMAL_MAD = 1.4826
_NORMAL_MEDIAN = 1.2533
"""Standard deviation over median absolute deviation, and standard error of a median over that of a mean, of a normal
distribution."""

Work = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Benchmark:
    """One figure to be measured.

    Attributes:
        name: of the figure; dots make tables of the device file (``gemm.onnxruntime.fp32_flops``).
        how: what is run, one line without the numbers that differ from run to run.
        prepare: makes the pieces of work; called once a pass, and its memory is freed after the pass.
        value: the figure from the seconds of one call of each piece of work; None where they do not give one (a slope
            that noise turned negative).
    """

    name: str
    how: str
    prepare: Callable[[], Sequence[Work]]
    value: Callable[[Sequence[float]], float | None]


@dataclass
class Rounds:
    """The values of a benchmark, a list for each pass."""

    passes: list[list[float]] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        """Those of all passes."""
        return [value for values in self.passes for value in values]

    @property
    def median(self) -> float:
        """Of all rounds."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """Relative standard error of the median."""
        return spread_of_median(self.values)

    @property
    def moved(self) -> float:
        """By how much the medians of passes differ at most, relative to the figure; infinite where there is one pass,
        which cannot tell."""
        medians = [median(values) for values in self.passes if values]
        return (max(medians) - min(medians)) / self.median if len(medians) > 1 else math.inf

    @property
    def steady(self) -> bool:
        """Whether the rounds agree, and the passes do."""
        return self.spread <= BOUND and self.moved <= AGREEMENT


def spread_of_median(values: Sequence[float]) -> float:
    """Relative standard error of a median, from the median absolute deviation; infinite for fewer than three values."""
    if len(values) < 3:
        return math.inf
    middle = median(values)
    deviation = _NORMAL_MAD * median(abs(value - middle) for value in values)
    return _NORMAL_MEDIAN * deviation / math.sqrt(len(values)) / abs(middle) if middle else math.inf


def one_pass(benchmark: Benchmark, seconds: float, clock: Clock = time.perf_counter) -> list[float]:
    """The values of one pass: until the median's spread is below :data:`BOUND`, or the time is up.

    Args:
        benchmark: what to run.
        seconds: no further round starts after as long. Whatever happens, rounds are taken until one gives a value,
            :data:`LEAST_ROUNDS` at most. Preparing counts not.
        clock: gives seconds.
    """
    works = benchmark.prepare()
    calls = [_calls(work, clock) for work in works]
    begin = clock()
    values: list[float] = []
    rounds, looked_at = 0, LEAST_ROUNDS
    while (not values and rounds < LEAST_ROUNDS) or clock() - begin < seconds:
        value = benchmark.value([_seconds(work, n, clock) for work, n in zip(works, calls, strict=True)])
        rounds += 1
        if value is not None and math.isfinite(value) and value > 0:
            values.append(value)
        if len(values) >= looked_at:
            if spread_of_median(values) <= BOUND or len(values) >= MOST_ROUNDS:
                break
            looked_at = math.ceil(1.1 * looked_at)  # a median costs time, too
    return values


def _calls(work: Work, clock: Clock) -> int:
    """How many calls make :data:`ROUND_S`; warms up on the way."""
    work()
    number = 1
    while (taken := _seconds(work, number, clock) * number) < ROUND_S:
        # At least double, so that a first call that was slow does not hold the number down.
        number = max(2 * number, math.ceil(number * ROUND_S / taken) if taken > 0 else 0)
        if number > 10**6:
            break
    return number


def _seconds(work: Work, calls: int, clock: Clock) -> float:
    """Of one call, the mean of so many in a row."""
    repeat = range(calls)
    begin = clock()
    for _ in repeat:
        work()
    return (clock() - begin) / calls

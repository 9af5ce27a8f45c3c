"""Timing one benchmark in many short visits, spread over the whole run.

A *round* times every piece of work of a benchmark once, long enough for the clock, and makes one value of the seconds: a
rate, a time, or a slope between two sizes. A *visit* is some rounds in a row, and counts by their median. Machines that are
shared switch between states that last from tenths of a second to minutes (a neighbour on the same core, say): rounds of one
moment agree with each other and say nothing of the next moment, so that what is known of a figure follows from how its visits
differ.

The clock is the lesser of the wall's and the processor's: while another program has the core, only the wall's goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean, median, stdev

BOUND = 0.05
"""Uncertainty (:attr:`Visits.uncertainty`) up to which a figure counts as steady, and is visited no more."""
MOMENT_S = 3.0
"""Visits within as long are of one moment, and count together: a neighbour that slows the one slows the other."""
LEAST_MOMENTS = 6
"""Before a figure can count as steady: fewer say little of how much they differ."""
ROUND_S = 1e-3
"""A piece of work is called so often that it takes as long: clocks tick in tens of nanoseconds, interrupts in microseconds."""
LEAST_ROUNDS = 3
"""Of a visit."""
MOST_ROUNDS = 400
"""Of a visit: more of one moment say no more about the next."""

Work = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Clocks:
    """What is read around each piece of work; seconds that only grow.

    Attributes:
        wall: the time.
        processor: what this process had of processors, over all its threads; None: unknown, or too coarse.
    """

    wall: Clock = time.perf_counter
    processor: Clock | None = None

    @classmethod
    def of_system(cls) -> Clocks:
        """Those of this system; processor time only where it is finer than a round."""
        import os

        # Windows counts it in steps of 16 ms, whatever it says of its resolution.
        return cls(processor=time.process_time if os.name == "posix" else None)

    def seconds(self, work: Work, calls: int) -> float:
        """Of one call, the mean of so many in a row."""
        repeat = range(calls)
        used = 0.0 if self.processor is None else self.processor()
        begin = self.wall()
        for _ in repeat:
            work()
        taken = self.wall() - begin
        if self.processor is not None:
            # Threads that ran side by side use more than the wall's time: then the wall's counts.
            taken = min(taken, self.processor() - used)
        return taken / calls


@dataclass(frozen=True)
class Benchmark:
    """One figure to be measured.

    Attributes:
        name: of the figure; dots make tables of the device file (``gemm.onnxruntime.fp32_flops``).
        how: what is run, one line without the numbers that differ from run to run.
        prepare: makes the pieces of work; called twice a run, and their memory is held meanwhile.
        value: the figure from the seconds of one call of each piece of work; None where they do not give one (a slope
            that noise turned negative).
    """

    name: str
    how: str
    prepare: Callable[[], Sequence[Work]]
    value: Callable[[Sequence[float]], float | None]


@dataclass(frozen=True)
class Prepared:
    """The pieces of work of a benchmark, and how often each is called in a round."""

    works: Sequence[Work]
    calls: Sequence[int]

    @classmethod
    def of(cls, benchmark: Benchmark, clocks: Clocks) -> Prepared:
        """Makes them, and warms up."""
        works = benchmark.prepare()
        return cls(works, [_calls(work, clocks) for work in works])


@dataclass
class Visits:
    """The visits to a benchmark that gave values.

    Attributes:
        medians: of each visit.
        rounds: how many values there were in all.
    """

    medians: list[float] = field(default_factory=list)
    rounds: int = 0
    _by_moment: list[list[float]] = field(default_factory=list)
    _began_s: float = -math.inf

    def add(self, at_s: float, values: Sequence[float]) -> None:
        """What a visit gave that began then; nothing is no visit."""
        if not values:
            return
        self.medians.append(median(values))
        self.rounds += len(values)
        if at_s - self._began_s >= MOMENT_S:
            self._by_moment.append([])
            self._began_s = at_s
        self._by_moment[-1].append(self.medians[-1])

    @property
    def moments(self) -> list[float]:
        """The geometric mean of the medians of each moment."""
        return [geometric_mean(values) for values in self._by_moment]

    @property
    def value(self) -> float:
        """The geometric mean of the moments. Where visits find a machine in one of two states, their median jumps from
        the one to the other, and their mean moves."""
        return geometric_mean(self.moments)

    @property
    def uncertainty(self) -> float:
        """Twice the standard error of the value, relative, from how the moments differ; infinite below
        :data:`LEAST_MOMENTS`."""
        moments = self.moments
        if len(moments) < LEAST_MOMENTS:
            return math.inf
        return 2 * stdev([math.log(m) for m in moments]) / math.sqrt(len(moments))

    @property
    def steady(self) -> bool:
        """Whether it is known to :data:`BOUND`."""
        return self.uncertainty <= BOUND


def visit(benchmark: Benchmark, prepared: Prepared, seconds: float, clocks: Clocks) -> list[float]:
    """The values of one visit.

    Args:
        benchmark: what to run.
        prepared: its pieces of work.
        seconds: no further round starts after as long; :data:`LEAST_ROUNDS` are taken in any case.
        clocks: what is read.
    """
    for work in prepared.works:
        work()  # what ran before had the caches
    begin = clocks.wall()
    values: list[float] = []
    rounds = 0
    while rounds < LEAST_ROUNDS or (clocks.wall() - begin < seconds and rounds < MOST_ROUNDS):
        value = benchmark.value([clocks.seconds(w, n) for w, n in zip(prepared.works, prepared.calls, strict=True)])
        rounds += 1
        if value is not None and math.isfinite(value) and value > 0:
            values.append(value)
    return values


def _calls(work: Work, clocks: Clocks) -> int:
    """How many calls make :data:`ROUND_S`; warms up on the way."""
    work()
    number = 1
    while (taken := clocks.seconds(work, number) * number) < ROUND_S:
        # At least double, so that a first call that was slow does not hold the number down.
        number = max(2 * number, math.ceil(number * ROUND_S / taken) if taken > 0 else 0)
        if number > 10**6:
            break
    return number

"""All micro-benchmarks of one machine within a given time, and the record of what they found."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Protocol

from perfmodel.collect.anchor import AnchorTimes
from perfmodel.collect.microbenchmarks.timing import Benchmark, Clocks, Prepared, Visits, visit

VISIT_S = 0.04
"""Of a benchmark in a pass."""
ANCHOR_EVERY_S = 4.0


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        value: the mean over all visits, SI.
        best: what 95 % of the visits were not above (rates) [same unit].
        uncertainty: twice the standard error, relative, from how moments differ; infinite where they were too few to tell.
        visits: how many there were.
        rounds: how many there were in them.
        steady: whether the uncertainty is within its bound.
        how: what was run.
    """

    value: float
    best: float
    uncertainty: float
    visits: int
    rounds: int
    steady: bool
    how: str


@dataclass(frozen=True)
class Drift:
    """The anchor through a run: median seconds of its two parts, and the range of its visits over that median."""

    visits: int
    gemm_s: float
    copy_s: float
    gemm_range: float
    copy_range: float


@dataclass(frozen=True)
class Measurement:
    """What a run of the suite found.

    Attributes:
        figures: by name.
        left_out: figures that could not be measured, and why.
        drift: of the anchor.
        started: local date and time, ISO 8601.
        seconds: how long it took.
        software: package to version.
        cpu: the logical processor that it was pinned to; None where the system cannot pin.
    """

    figures: Mapping[str, Figure]
    left_out: Mapping[str, str]
    drift: Drift
    started: str
    seconds: float
    software: Mapping[str, str] = field(default_factory=dict)
    cpu: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for :mod:`json`; infinities become null."""
        return {
            **{k: v for k, v in asdict(self).items() if k != "figures"},
            "figures": {
                name: {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(figure).items()}
                for name, figure in self.figures.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measurement:
        """The inverse of :meth:`to_json`."""

        def figure(given: Mapping[str, Any]) -> Figure:
            complete: dict[str, Any] = {k: math.inf if v is None else v for k, v in given.items()}
            return Figure(**complete)

        figures = {name: figure(given) for name, given in values["figures"].items()}
        rest = {k: v for k, v in values.items() if k not in ("figures", "drift")}
        return cls(figures=figures, drift=Drift(**values["drift"]), **rest)


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        name: of the figure that is measured next.
        done, total: visits of benchmarks so far, and as many as there will be at this pace.
        remaining_s: at most.
    """

    name: str
    done: int
    total: int
    remaining_s: float


class Reference(Protocol):
    """What is timed through the run: :class:`perfmodel.collect.anchor.Anchor`, or a double of it."""

    def times(self) -> AnchorTimes:
        """Both parts now."""


def run(
    benchmarks: Sequence[Benchmark],
    seconds: float,
    anchor: Reference,
    *,
    clocks: Clocks | None = None,
    progress: Callable[[Progress], None] | None = None,
    software: Mapping[str, str] | None = None,
    cpu: int | None = None,
) -> Measurement:
    """Measures every benchmark: pass after pass, each a short visit to all of them, later to those that are not steady.

    Args:
        benchmarks: with names of their own.
        seconds: about how long at most; one visit of each benchmark is made in any case, and it ends early when all are
            steady.
        anchor: timed at the beginning, the end, and every few seconds between.
        clocks: what is read; None: the system's.
        progress: told before every visit of a benchmark.
        software, cpu: noted.
    """
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    suite = _Run(list(benchmarks), seconds, anchor, clocks or Clocks.of_system(), progress)
    suite.measure()
    figures = {}
    for b in benchmarks:
        found = suite.found[b.name]
        if found.rounds:
            figures[b.name] = _figure(found, b.how)
        else:
            suite.left_out.setdefault(b.name, "no round gave a value: it is below what can be told here")
    return Measurement(figures, suite.left_out, _drift(suite.anchors), started, suite.spent, dict(software or {}), cpu)


class _Run:
    """The state of :func:`run`."""

    def __init__(
        self,
        benchmarks: list[Benchmark],
        seconds: float,
        anchor: Reference,
        clocks: Clocks,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._benchmarks, self._seconds, self._anchor, self._clocks = benchmarks, seconds, anchor, clocks
        self._progress, self._begin = progress, clocks.wall()
        self.found = {b.name: Visits() for b in benchmarks}
        self.left_out: dict[str, str] = {}
        self.anchors = [anchor.times()]
        self._anchored = clocks.wall()
        self._done = 0
        self._prepared: dict[str, Prepared] = {}

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._clocks.wall() - self._begin

    def measure(self) -> None:
        """Passes until the time is up, or all is steady."""
        renewed = False
        while wanted := [b for b in self._benchmarks if b.name not in self.left_out and not self.found[b.name].steady]:
            # Where operands happened to be put counts, too: once in between they are put elsewhere.
            if not renewed and self.spent > self._seconds / 2:
                self._prepared.clear()
                renewed = True
            for b in wanted:
                if self.found[b.name].rounds and self.spent >= self._seconds:
                    break
                self._tell(b)
                self._visit(b)
                self._done += 1
            if self.spent >= self._seconds:
                break
        self.anchors.append(self._anchor.times())

    def _visit(self, b: Benchmark) -> None:
        if self._clocks.wall() - self._anchored > ANCHOR_EVERY_S:
            self.anchors.append(self._anchor.times())
            self._anchored = self._clocks.wall()
        try:
            if b.name not in self._prepared:
                self._prepared[b.name] = Prepared.of(b, self._clocks)
            at = self.spent
            values = visit(b, self._prepared[b.name], VISIT_S, self._clocks)
        except MemoryError:
            self.left_out[b.name] = "not enough memory"
        except Exception as error:  # the runtime raises a class for each of its states
            self.left_out[b.name] = " ".join(str(error).split())[:200] or type(error).__name__
        else:
            self.found[b.name].add(at, values)
            if not values and not self.found[b.name].rounds and self.spent >= self._seconds:
                self.left_out[b.name] = "no round gave a value: it is below what can be told here"

    def _tell(self, b: Benchmark) -> None:
        if self._progress is not None:
            share = min(self.spent / self._seconds, 1.0)
            least = len(self._benchmarks)
            total = max(least, self._done + 1, round(self._done / share) if share > 0 else least)
            self._progress(Progress(b.name, self._done, total, max(self._seconds - self.spent, 0.0)))


def _figure(found: Visits, how: str) -> Figure:
    medians = sorted(found.medians)
    best = medians[min(len(medians) - 1, math.ceil(0.95 * len(medians)) - 1)]
    return Figure(found.value, best, found.uncertainty, len(medians), found.rounds, found.steady, how)


def _drift(anchors: Sequence[AnchorTimes]) -> Drift:
    gemm, copy = zip(*anchors, strict=True)
    middle = median(gemm), median(copy)
    return Drift(
        len(anchors), *middle, (max(gemm) - min(gemm)) / middle[0], (max(copy) - min(copy)) / middle[1]
    )  # fmt: skip

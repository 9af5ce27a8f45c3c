"""All micro-benchmarks of one machine within a given time, and the record of what they found."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Protocol

from perfmodel.collect.anchor import AnchorTimes
from perfmodel.collect.microbenchmarks.timing import Benchmark, Clock, Rounds, one_pass

PASSES = 3
"""Over all benchmarks; further ones go over the unsteady figures alone, while there is time."""
ONE_PASS_S = 20.0
"""With less time than this there is one pass, after which no figure is known to be steady."""
LEAST_SHARE_S = 0.02
"""Of a benchmark in a pass."""
ANCHOR_EVERY_S = 4.0


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        value: the median of all rounds, SI.
        best: what 95 % of the rounds were not above (rates) [same unit].
        spread: relative standard error of the median.
        moved: by how much the medians of passes differ at most, relative; infinite where there was one pass.
        rounds: how many there were.
        steady: whether both are within their bounds.
        how: what was run.
    """

    value: float
    best: float
    spread: float
    moved: float
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
        done, total: visits of benchmarks in the planned passes.
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
    clock: Clock = time.perf_counter,
    progress: Callable[[Progress], None] | None = None,
    software: Mapping[str, str] | None = None,
    cpu: int | None = None,
) -> Measurement:
    """Measures every benchmark.

    Args:
        benchmarks: with names of their own.
        seconds: about how long; one round of each benchmark is taken in any case.
        anchor: timed at the beginning, the end, and every few seconds between.
        clock: gives seconds.
        progress: told before every visit of a benchmark.
        software, cpu: noted.
    """
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    begin = clock()
    found = {b.name: Rounds() for b in benchmarks}
    left_out: dict[str, str] = {}
    anchors = [anchor.times()]
    anchored = clock()
    passes = PASSES if seconds >= ONE_PASS_S else 1
    total, done = passes * len(benchmarks), 0

    def visit(b: Benchmark, share: float) -> None:
        nonlocal anchored
        if progress is not None:
            progress(Progress(b.name, min(done, total), total, max(seconds - (clock() - begin), 0.0)))
        if clock() - anchored > ANCHOR_EVERY_S:
            anchors.append(anchor.times())
            anchored = clock()
        try:
            found[b.name].passes.append(one_pass(b, share, clock))
        except MemoryError:
            left_out[b.name] = "not enough memory"
        except Exception as error:  # the runtime raises a class for each of its states
            left_out[b.name] = " ".join(str(error).split())[:200] or type(error).__name__

    for number in range(passes):
        for place, b in enumerate(benchmarks):
            if b.name not in left_out:
                # What is left of the time, over what is left to do: short visits leave more to the later ones.
                left = (passes - number) * len(benchmarks) - place
                visit(b, max(LEAST_SHARE_S, (seconds - (clock() - begin)) / left))
            done += 1
    while (unsteady := [b for b in benchmarks if b.name not in left_out and not _steady(found[b.name])]) and passes > 1:
        left_s = seconds - (clock() - begin)
        if left_s < LEAST_SHARE_S * len(unsteady):
            break
        for b in unsteady:
            if clock() - begin < seconds:
                visit(b, max(LEAST_SHARE_S, left_s / len(unsteady) / 2))
    anchors.append(anchor.times())
    figures = {}
    for b in benchmarks:
        if found[b.name].values:
            figures[b.name] = _figure(found[b.name], b.how)
        else:
            left_out.setdefault(b.name, "no round gave a value: it is below what can be told here")
    return Measurement(figures, left_out, _drift(anchors), started, clock() - begin, dict(software or {}), cpu)


def _steady(rounds: Rounds) -> bool:
    return bool(rounds.values) and rounds.steady


def _figure(rounds: Rounds, how: str) -> Figure:
    values = sorted(rounds.values)
    best = values[min(len(values) - 1, math.ceil(0.95 * len(values)) - 1)]
    return Figure(rounds.median, best, rounds.spread, rounds.moved, len(values), rounds.steady, how)


def _drift(anchors: Sequence[AnchorTimes]) -> Drift:
    gemm, copy = zip(*anchors, strict=True)
    middle = median(gemm), median(copy)
    return Drift(
        len(anchors), *middle, (max(gemm) - min(gemm)) / middle[0], (max(copy) - min(copy)) / middle[1]
    )  # fmt: skip

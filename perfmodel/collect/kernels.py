"""What collectors return: the kernels of a model with their times, and the run that they are a part of.

A profiler adds to every event that it records. Of n kernels, the times of a profile add up to more than the run took:

    unprofiled run = sum of the profile's times - per_event_s * n + per_run_s

:func:`event_cost` finds both numbers from runs with and without the profiler, and :meth:`Profile.corrected` takes
``per_event_s`` off every kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

USUAL_EVENT_S = 1.4e-6
USUAL_RUN_S = 6e-6
"""What ONNX Runtime's profiler adds to an event, and what a run takes beside its kernels, on a server processor (measured
with onnxruntime 1.31 on one core); the start of the fit, and what holds where nothing was run without the profiler."""
LEAST_S = 2e-7
"""No kernel is corrected to less than this: a call alone takes as long."""
STABLE = 0.05
"""By how much the unprofiled time may differ before and after the profile."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One node of a model as it ran.

    Attributes:
        node: its name in the graph that ran.
        op_type: ``Conv``; ``domain`` is not known to every profiler.
        latency_s: seconds of one call.
        calls: how often one run of the model calls it; below 1 where a branch is not always taken.
        samples: calls that were timed.
        rel_std: standard deviation of the calls over their mean.
        inputs, outputs: (element type, shape) of each operand, as the profiler names types; shapes of the first call.
        provider: which part of the runtime ran it, as ``CPUExecutionProvider``; empty where the profiler does not say.
    """

    node: str
    op_type: str
    latency_s: float
    calls: float = 1.0
    samples: int = 1
    rel_std: float = 0.0
    inputs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    outputs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    provider: str = ""


@dataclass(frozen=True, slots=True)
class EventCost:
    """What a profiler adds to an event, and what a run takes beside its kernels, in seconds."""

    per_event_s: float = USUAL_EVENT_S
    per_run_s: float = USUAL_RUN_S


@dataclass(frozen=True, slots=True)
class Profile:
    """A model that ran, kernel by kernel.

    Attributes:
        model: what it is called.
        software: the stack, as in ``onnxruntime-1.32.0``.
        kernels: without parents of other kernels (If, Loop), whose time contains theirs.
        sum_s: median over runs of the sum of its kernels, as profiled.
        events: how many events a run has, parents left out.
        before_s, after_s: seconds of each unprofiled run before and after; empty where there were none.
        threads: processors that one kernel may use.
        cost: of the profiler; None: not corrected for yet.
        pace_s: what a small product and a small copy took between the runs (:mod:`perfmodel.collect.pace`); None: unknown.
    """

    model: str
    software: str
    kernels: tuple[Kernel, ...]
    sum_s: float
    events: float
    before_s: tuple[float, ...] = ()
    after_s: tuple[float, ...] = ()
    threads: int = 1
    cost: EventCost | None = None
    pace_s: tuple[float, ...] | None = None

    @property
    def unprofiled_s(self) -> float | None:
        """Median of the runs without the profiler."""
        times = (*self.before_s, *self.after_s)
        return median(times) if times else None

    @property
    def moved(self) -> float | None:
        """By how much the unprofiled time changed from before to after, relative; None where it was not taken twice."""
        if not self.before_s or not self.after_s:
            return None
        return median(self.after_s) / median(self.before_s) - 1

    @property
    def status(self) -> str:
        """``ok``, or why its times are no measurement."""
        if self.moved is not None and abs(self.moved) > STABLE:
            return f"the unprofiled time moved by {self.moved:+.1%} while the model was profiled"
        return "ok"

    @property
    def predicted_s(self) -> float:
        """End-to-end time that follows from the kernels: their sum without the profiler's share, and the run's own time."""
        cost = self.cost or EventCost()
        return max(self.sum_s - cost.per_event_s * self.events, LEAST_S * self.events) + cost.per_run_s

    def corrected(self, cost: EventCost) -> Profile:
        """The same with ``per_event_s`` taken off every kernel.

        Raises:
            ValueError: it is corrected already.
        """
        if self.cost is not None:
            raise ValueError("the profile is corrected already")
        kernels = tuple(replace(k, latency_s=max(k.latency_s - cost.per_event_s, LEAST_S)) for k in self.kernels)
        return replace(self, kernels=kernels, cost=cost)


def event_cost(profiles: Sequence[Profile]) -> EventCost:
    """What the profiler adds, from runs with and without it.

    ``per_event_s`` is the median over models of (sum + per_run_s - unprofiled) / events, weighted by the events of each:
    models with many small kernels say most. With one model it is exact, so that the model's kernels add up to its
    time. Models that moved, or have no unprofiled time, have no say.

    Returns:
        The usual cost where no model has a say. Never less than 0: a profiler takes time.
    """
    said = sorted(
        ((p.sum_s + USUAL_RUN_S - p.unprofiled_s) / p.events, p.events)
        for p in profiles
        if p.status == "ok" and p.unprofiled_s is not None and p.events
    )
    if not said:
        return EventCost()
    half, passed = sum(weight for _, weight in said) / 2, 0.0
    for value, weight in said:
        passed += weight
        if passed >= half:
            return EventCost(per_event_s=max(value, 0.0))
    raise AssertionError("unreachable: the weights add up to twice the half")

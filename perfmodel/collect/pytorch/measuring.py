"""Measuring one operator: warm up, time until the samples are enough, read the clocks, and the power where it is asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, median, pstdev, quantiles
from typing import Any

from perfmodel.collect.meters import Meter, measure
from perfmodel.collect.pytorch.runtime import MOST_QUEUED, Runtime, UnsupportedError, Work
from perfmodel.errors import InputError, MeterError
from perfmodel.ops.base import Operator

SCATTER = 0.25
"""Distance of the quartiles over the median of the samples above which a time is no measurement. A sample that another program
disturbed does not move quartiles."""
SAMPLE_S = 1e-3
"""A sample is as many executions as take this long."""
PIECE_S = 0.03
"""A piece of work that runs between two looks at the meter."""
LATE = 1.1
"""How much longer than its samples an operator may take under a meter before a row says so."""


@dataclass(frozen=True)
class Settings:
    """How operators are measured.

    Attributes:
        seconds: about how long the samples of one operator take.
        samples: at least so many.
        warm_up: executions before anything is timed.
        cold: drive the caches out before every execution.
        power: run each operator until the meter has a window of settled power (5 s and more of each).
        settle_s, window_s: of that window; None: what the meter needs. With less, nothing is called measured.
    """

    seconds: float = 0.2
    samples: int = 10
    warm_up: int = 3
    cold: bool = False
    power: bool = False
    settle_s: float | None = None
    window_s: float | None = None

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.samples >= 2 and self.warm_up >= 0):
            raise InputError(
                f"wanted seconds above 0, 2 samples or more and a warm-up of 0 or more; got {self.seconds}, {self.samples}, "
                f"{self.warm_up}"
            )
        if self.cold and self.power:
            raise InputError(
                "power is measured warm: with the caches driven out before each execution, the energy would be that of both"
            )


@dataclass(frozen=True)
class Measurement:
    """One operator.

    Attributes:
        op: what ran.
        status: ``ok``, or why there is no time.
        seconds: mean seconds of one execution, of each sample.
        columns: further columns of the row: clocks, power, energy, ``note``.
    """

    op: Operator
    status: str
    seconds: tuple[float, ...] = ()
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        """Columns of a trace row without those of the descriptor: time, quality, conditions."""
        found: dict[str, Any] = {"latency_s": None, "status": self.status, **self.columns}
        if self.seconds:
            found |= {
                "latency_s": median(self.seconds) if self.status == "ok" else None,
                "samples": len(self.seconds),
                "latency_rel_std": pstdev(self.seconds) / fmean(self.seconds),
            }
        return found


def measure_operator(
    runtime: Runtime,
    op: Operator,
    settings: Settings,
    *,
    seed: int = 0,
    meter: Meter | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """Measures one operator. What cannot run becomes a measurement whose status says why.

    Args:
        runtime: runs it.
        op: a descriptor with numbers.
        settings: how.
        seed: of its inputs.
        meter: tells clocks, and power where the settings ask for it; None: neither is known.
        clock: seconds that only grow.

    Raises:
        MeterError: the meter stopped.
        DeviceLostError: the device answers nothing any more.
    """
    try:
        return _measured(runtime, op, settings, seed, meter, clock)
    except UnsupportedError as problem:
        return Measurement(op, f"not supported: {problem}")
    except MemoryError:
        runtime.release()
        return Measurement(op, "out of memory")


def _measured(
    runtime: Runtime, op: Operator, settings: Settings, seed: int, meter: Meter | None, clock: Callable[[], float]
) -> Measurement:
    work = runtime.prepare(op, seed)
    runtime.repeat(work, settings.warm_up)
    once = runtime.seconds(work, 3, cold=settings.cold)
    executions = 1 if settings.cold else min(max(math.ceil(SAMPLE_S / max(once, 1e-9)), 1), MOST_QUEUED)
    samples: list[float] = []
    begin = clock()
    while len(samples) < settings.samples or clock() - begin < settings.seconds:
        samples.append(runtime.seconds(work, executions, cold=settings.cold))
    columns = _conditions(meter)
    if settings.power and meter is not None:
        found, sustained = _power(runtime, work, median(samples), settings, meter)
        columns |= found
        samples = sustained or samples
    seconds = tuple(samples)
    if not all(math.isfinite(s) and s > 0 for s in seconds):
        return Measurement(op, "the timer gave no time", (), columns)
    low, middle, high = quantiles(seconds, n=4, method="inclusive")
    scatter = (high - low) / middle
    status = "ok" if scatter <= SCATTER else f"the time scatters by {scatter:.0%}"
    return Measurement(op, status, seconds, columns)


def _conditions(meter: Meter | None) -> dict[str, Any]:
    """Clocks, temperature and limit right after the operator ran; why the clock was lowered, as a note."""
    found = None if meter is None else meter.read(conditions=True).conditions
    if found is None:
        return {}
    note = f"clock lowered: {', '.join(found.throttle)}" if found.throttle else None
    return {
        "clock_mhz": found.clock_mhz, "mem_clock_mhz": found.mem_clock_mhz, "temperature_c": found.temperature_c,
        "power_limit_w": found.power_limit_w, "note": note,
    }  # fmt: skip


def _power(
    runtime: Runtime, work: Work, each_s: float, settings: Settings, meter: Meter
) -> tuple[dict[str, Any], list[float]]:
    """Columns of power and conditions, and the seconds of one execution in each piece of work of the window.

    Samples with pauses between them draw less than work without an end, which a power limit slows down: where there is a
    power, the time is that of the same executions. The times are empty where there is none.
    """
    loop = runtime.loop(work, min(max(math.ceil(PIECE_S / max(each_s, 1e-9)), 1), 100 * MOST_QUEUED))
    pieces: list[tuple[float, float]] = []

    def piece() -> int:
        begin = meter.clock()
        loop.run()
        pieces.append((begin, meter.clock()))
        return loop.executions

    try:
        window = measure(meter, piece, settle_s=settings.settle_s, window_s=settings.window_s)
    except MeterError as problem:
        # A counter that did not move gives no energy; a meter that is gone fails the next reading, too.
        meter.read()
        return {"note": f"power not measured: {problem}"}, []
    found = window.columns()
    lowered = window.conditions.throttle
    busy_s = window.busy_s or 0.0
    slower = busy_s / max(window.executions or 1, 1) / each_s
    if not loop.busy and not lowered and slower > LATE:
        found |= dict.fromkeys(("power_w", "energy_j", "power_rel_std"))
        found["note"] = (
            f"power not measured: the device waited for the host, which took {slower:.1f} times as long to launch it"
        )
    if lowered:
        text = f"clock lowered: {', '.join(lowered)}"
        if found["power_w"] is not None and slower > LATE:
            text += f" ({each_s:.4g} s with pauses)"
        found["note"] = text if found["note"] is None else f"{found['note']}; {text}"
    if found["power_w"] is None:
        return found, []
    since = pieces[-1][1] - busy_s
    return found, [(end - begin) / loop.executions for begin, end in pieces if begin >= since - 1e-9]

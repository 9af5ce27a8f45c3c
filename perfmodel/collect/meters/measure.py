"""Reading a meter while work runs: settle, measure, and go on until the power stands still."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

from perfmodel.collect.meters.base import THREAD, Meter, Reading
from perfmodel.collect.meters.window import Window, window_of
from perfmodel.errors import InputError

MOST_WINDOWS = 3
"""Of one measurement, where nothing else is wanted."""
CONDITIONS_EVERY_S = 0.5
"""Clocks, temperature and limits are read this often."""

Work = Callable[[], int | None]
"""A piece of work, done when it returns: how many executions it was (None: one)."""


class Sampler(Protocol):
    """Takes readings while work runs."""

    def between(self) -> None:
        """Called between two pieces of work.

        Raises:
            MeterError: the meter stopped.
        """


class _Readings:
    """Reads a meter, and the conditions when they are due."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.readings: list[Reading] = []
        self._conditions_due_s = -float("inf")

    def read(self) -> None:
        due = self.meter.clock() >= self._conditions_due_s
        reading = self.meter.read(conditions=due)
        if due:
            self._conditions_due_s = reading.time_s + CONDITIONS_EVERY_S
        # A clock of coarse ticks may give two readings one time: the later one knows more.
        if self.readings and reading.time_s <= self.readings[-1].time_s:
            self.readings.pop()
        self.readings.append(reading)


class BetweenSampler(_Readings):
    """Reads between pieces of work, on the same thread: nothing runs beside the work."""

    def __enter__(self) -> BetweenSampler:
        self.read()
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def between(self) -> None:
        """A reading, where the last one is old enough."""
        if self.meter.clock() - self.readings[-1].time_s >= self.meter.info.interval_s:
            self.read()


class ThreadSampler(_Readings):
    """Reads on a thread of its own, so that a device is never left idle for a reading."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(meter)
        self._stop = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="perfmodel-meter", daemon=True)

    def __enter__(self) -> ThreadSampler:
        self.read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def between(self) -> None:
        """Whether the thread still reads."""
        if self._problem is not None:
            raise self._problem

    def _run(self) -> None:
        while not self._stop.wait(self.meter.info.interval_s):
            try:
                self.read()
            except Exception as problem:  # raised where the work is: a thread has nobody to tell
                self._problem = problem
                return


def sampler_for(meter: Meter) -> BetweenSampler | ThreadSampler:
    """The sampler that the meter asks for."""
    return ThreadSampler(meter) if meter.info.sampling == THREAD else BetweenSampler(meter)


def measure(
    meter: Meter,
    work: Work,
    *,
    settle_s: float | None = None,
    window_s: float | None = None,
    longest_s: float | None = None,
) -> Window:
    """Runs work over and over and measures its power and energy.

    The work runs for ``settle_s`` first, and then for a window. Where the power still moves within the window, that
    window counts as settling and another one follows.

    Args:
        meter: an opened meter; its readings' clock is used.
        work: is called until the time is over; pieces of 0.01 to 0.1 s are a good size. Work on a device must have
            finished when it returns.
        settle_s: seconds before the first window; default: what the meter needs. With less, nothing is called measured.
        window_s: seconds of a window; default: the shortest that the meter makes a label of.
        longest_s: no further window begins so long after the beginning; default: there are at most :data:`MOST_WINDOWS`.

    Returns:
        The last window. ``measured`` says whether it is one, ``defects`` why not.

    Raises:
        InputError: a time that is no time.
        MeterError: the meter stopped, or gave no energy.
    """
    info = meter.info
    settle = info.settle_s if settle_s is None else settle_s
    length = info.min_window_s if window_s is None else window_s
    if not (settle >= 0 and length > 0):
        raise InputError(f"wanted a settle time of 0 s or more and a window above 0 s, got {settle} s and {length} s")
    # The window is cut at readings, and at updates of the counter: a little more is measured so that enough is left.
    length += 2 * (info.update_s + info.interval_s)
    with sampler_for(meter) as sampler:
        start = meter.clock()
        _run(meter, sampler, work, start + settle)
        for number in count(1):
            begin = meter.clock()
            executions, end = _run(meter, sampler, work, begin + length)
            window = window_of(
                info,
                list(sampler.readings),
                begin,
                end,
                settled_s=begin - start,
                executions=executions,
                busy_s=end - begin,
            )
            over = number >= MOST_WINDOWS if longest_s is None else meter.clock() - start > longest_s
            if window.steady or over:
                break
        return window


def _run(meter: Meter, sampler: Sampler, work: Work, until_s: float) -> tuple[int, float]:
    """Executions of the work until a time, and the time after the last of them."""
    executions = 0
    while (now := meter.clock()) < until_s:
        done = work()
        executions += 1 if done is None else done
        sampler.between()
    return executions, now


def watch(
    meter: Meter,
    seconds: float,
    *,
    settle_s: float | None = None,
    report: Callable[[float], None] = lambda remaining_s: None,
    keep: Callable[[list[Reading]], None] = lambda readings: None,
) -> tuple[Window, list[Reading]]:
    """Reads a meter for a while and does nothing: whatever runs meanwhile is measured, or the idle power.

    Args:
        meter: an opened meter.
        seconds: how long.
        settle_s: seconds before, which are read but are not in the window; default: what the meter needs. How long the work had
            run before that is not known and does not count: with less, nothing is called measured.
        report: is told once a second how many are left.
        keep: is handed all readings, also those until an interrupt.

    Returns:
        The window, and all readings.

    Raises:
        MeterError: as :func:`measure`.
    """
    pause = min(meter.info.interval_s, 0.1)
    settle = meter.info.settle_s if settle_s is None else settle_s
    with sampler_for(meter) as sampler:
        start = meter.clock()
        until, told = start + settle + seconds, math.inf

        def wait() -> None:
            nonlocal told
            time.sleep(pause)
            remaining = until - meter.clock()
            if told - remaining >= 1:
                told = remaining
                report(remaining)

        try:
            _run(meter, sampler, wait, start + settle)
            begin = meter.clock()
            _, end = _run(meter, sampler, wait, begin + seconds)
        finally:
            readings = list(sampler.readings)
            keep(readings)
    return window_of(meter.info, readings, begin, end, settled_s=settle), readings

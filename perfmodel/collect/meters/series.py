"""The energy between two times, from an energy counter or from power readings."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfmodel.collect.meters.base import Counter, MeterInfo, Reading
from perfmodel.errors import MeterError

FEWEST_UPDATES = 6
"""Updates of a counter within a window below which nobody can tell whether the power still moves."""
FEWEST_SAMPLES = 10
"""Independent power readings below which their integral is no label."""
LONGEST_GAP = 3
"""Times the usual time between two power readings after which one counts as missed."""
LIKELY_LIMIT_W = 1000.0
"""Assumed power limit of a unit that does not tell it, to judge whether a counter may have started again unseen."""


@dataclass(frozen=True, slots=True)
class Series:
    """What the readings of a window add up to; attributes as of :class:`~perfmodel.collect.meters.window.Window`.

    Attributes:
        first_third_w: mean power of the first third.
        last_third_w: mean power of the last third.
        third_std_w: one standard deviation of the difference of the two.
    """

    duration_s: float
    energy_j: float
    parts_j: Mapping[str, float]
    uncertainty_j: Mapping[str, float]
    first_third_w: float
    last_third_w: float
    third_std_w: float
    readings: int
    defects: list[str]


# -------------------------------------------------------------------------------------------------- counters


def counter_series(info: MeterInfo, readings: Sequence[Reading], begin_s: float, end_s: float) -> Series | None:
    """The difference of energy counters between their first and last update within a window.

    A counter shows an update somewhere between two readings, and not earlier than ``update_s`` before the second. The
    middle of that span is taken as its time; half its width is what the end of the window is uncertain by.

    Returns:
        None where the counters were not updated twice within the window.
    """
    times = [r.time_s for r in readings]
    _check_order(info, times)
    defects: list[str] = []
    values = {c.name: unwrapped(info, c, readings, defects) for c in info.counters}
    counted = [c for c in info.counters if c.in_total]
    total = [sum(values[c.name][i] for c in counted) for i in range(len(readings))]
    moved = [0, *(i for i in range(1, len(total)) if total[i] != total[i - 1])]
    inside = [i for i in moved if begin_s <= times[i] <= end_s]
    if len(inside) < 2:
        return None
    first, last = inside[0], inside[-1]
    width = {i: info.update_s if i == 0 else min(info.update_s, times[i] - times[i - 1]) for i in inside}
    at = [times[i] - width[i] / 2 for i in inside]
    duration, energy = at[-1] - at[0], total[last] - total[first]
    power = energy / duration
    if len(inside) < FEWEST_UPDATES:
        defects.append(
            f"the counter was updated {len(inside)} times only: nobody can tell whether the power still moves"
        )
    cumulative = [total[i] - total[first] for i in inside]
    third = duration / 3
    early, late = (_interpolated(at, cumulative, at[0] + share * third) for share in (1, 2))
    # Uniformly distributed errors: the width over the square root of 12.
    ends = [power * width[i] / math.sqrt(12) for i in (first, last)]
    middle = power * max(width.values()) / math.sqrt(12)
    return Series(
        duration_s=duration,
        energy_j=energy,
        parts_j={name: v[last] - v[first] for name, v in values.items()},
        uncertainty_j={
            "times of the updates": math.hypot(*ends),
            "steps of the counter": math.sqrt(sum(c.step_j**2 for c in counted) / 6),
        },
        first_third_w=early / third,
        last_third_w=(energy - late) / third,
        third_std_w=2 * middle / third,  # two thirds with two ends each
        readings=last - first + 1,
        defects=defects,
    )


def unwrapped(info: MeterInfo, counter: Counter, readings: Sequence[Reading], defects: list[str]) -> list[float]:
    """A counter's values from 0 on, continued where it starts again.

    Args:
        defects: gets a line where a value fell although the counter does not start again, or where it may have started
            again unseen.

    Raises:
        MeterError: a reading lacks the counter.
    """
    raw = []
    for reading in readings:
        value = reading.energy_j.get(counter.name)
        if value is None:
            raise MeterError(
                f"{info.name}: the counter {counter.name} is missing in the reading at {reading.time_s:.3f} s"
            )
        raw.append(value)
    values = [0.0]
    for before, now in pairwise(raw):
        step = now - before
        if step < 0:
            if counter.range_j is None:
                defects.append(f"the counter {counter.name} fell by {-step:.4g} J")
                step = 0.0
            else:
                step += counter.range_j
        values.append(values[-1] + step)
    if counter.range_j is not None:
        gap = max((b.time_s - a.time_s for a, b in pairwise(readings)), default=0.0)
        limits = [r.conditions.power_limit_w for r in readings if r.conditions and r.conditions.power_limit_w]
        if gap * max(limits, default=LIKELY_LIMIT_W) >= counter.range_j:
            defects.append(
                f"{gap:.3g} s passed between two readings, in which the counter {counter.name} may start again unseen"
            )
    return values


def _interpolated(at: Sequence[float], values: Sequence[float], time: float) -> float:
    """Linear between the updates around ``time``, which lies within them."""
    i = min(max(bisect_left(at, time), 1), len(at) - 1)
    share = (time - at[i - 1]) / (at[i] - at[i - 1])
    return values[i - 1] + share * (values[i] - values[i - 1])


# ------------------------------------------------------------------------------------------------ power readings


def mean_power(info: MeterInfo, readings: Sequence[Reading], begin_s: float, end_s: float) -> Series:
    """The integral of power readings by the trapezoidal rule.

    Readings closer together than the sensor's updates, or than the time it averages over, repeat each other: the scatter
    of the mean counts one sample for each such time.

    Raises:
        MeterError: fewer than two readings of power lie in the window.
    """
    times = [r.time_s for r in readings]
    _check_order(info, times)
    inside = [(r.time_s, r.power_w) for r in readings if r.power_w is not None and begin_s <= r.time_s <= end_s]
    if len(inside) < 2:
        raise MeterError(
            f"{info.name}: {len(inside)} power readings within {end_s - begin_s:.3g} s; an energy takes two at least"
        )
    at, power = [t for t, _ in inside], [p for _, p in inside]
    pieces = [(b - a) * (p + q) / 2 for a, b, p, q in zip(at, at[1:], power, power[1:], strict=False)]
    duration, energy = at[-1] - at[0], sum(pieces)
    cumulative = [0.0]
    for piece in pieces:
        cumulative.append(cumulative[-1] + piece)
    mean = energy / duration
    scatter = math.sqrt(sum((p - mean) ** 2 for p in power) / (len(power) - 1))
    usual = max(info.update_s, info.averaging_s, duration / (len(power) - 1))
    independent = max(duration / usual, 1.0)
    defects = []
    if independent < FEWEST_SAMPLES:
        defects.append(f"{independent:.3g} independent power readings (wanted {FEWEST_SAMPLES})")
    longest = max(b - a for a, b in pairwise(at))
    if longest > LONGEST_GAP * max(info.update_s, info.interval_s):
        defects.append(f"no power reading for {longest:.3g} s")
    every = {r.power_w for r in readings if r.power_w is not None}
    if len(every) == 1:
        defects.append(f"the power reading never moved from {mean:.4g} W")
    third = duration / 3
    early, late = (_interpolated(at, cumulative, at[0] + share * third) for share in (1, 2))
    return Series(
        duration_s=duration,
        energy_j=energy,
        parts_j={},
        uncertainty_j={
            "scatter of the power readings": duration * scatter / math.sqrt(independent),
            "steps of the power reading": duration * info.power_step_w / math.sqrt(12),
        },
        first_third_w=early / third,
        last_third_w=(energy - late) / third,
        third_std_w=scatter * math.sqrt(2 * 3 / independent),
        readings=len(inside),
        defects=defects,
    )


def _check_order(info: MeterInfo, times: Sequence[float]) -> None:
    for before, now in pairwise(times):
        if not now > before:
            raise MeterError(
                f"{info.name}: the reading at {now:.6f} s follows one at {before:.6f} s; wanted later times"
            )

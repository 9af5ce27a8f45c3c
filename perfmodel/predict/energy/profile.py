"""Power over the time of a run.

Operators last microseconds, and each draws its own power. Power supplies, breakers and meters see an average over
milliseconds, so the highest power depends on who looks: :meth:`PowerProfile.peak_over` gives it for a window of any length.
Runs follow each other without pauses, as on a busy device: a window that is longer than a run sees several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import units
from perfmodel.errors import InputError, checked_methods
from perfmodel.predict.result import Estimate

if TYPE_CHECKING:
    from pandas import DataFrame

    from perfmodel.predict.energy.rack import Hosts, Rack
    from perfmodel.predict.result import ModelPrediction

WINDOWS_S = (1e-3, 0.1)
"""Averaging windows of meters and power supplies, unless others are asked for [s]."""
HIGH_PERCENTILE = 0.99
_KINDS = ("value", "low", "high")


@dataclass(frozen=True, slots=True)
class PowerStep:
    """A stretch of constant power.

    Attributes:
        name: of the operator, or ``"launch gap"`` where the device waits for the host.
        op: its family; ``"idle"`` for a gap.
        duration_s: as expected.
        power_w: while it lasts.
    """

    name: str
    op: str
    duration_s: float
    power_w: Estimate


@dataclass(frozen=True, slots=True)
class PowerBlock:
    """Steps that follow each other, and how often they do: a decode step stands once for all that are like it."""

    phase: str | None
    steps: tuple[PowerStep, ...]
    repeat: int = 1


@checked_methods()
@dataclass(frozen=True)
class PowerProfile:
    """Power over time, as a sequence of blocks.

    Every figure is an estimate with its interval: the ends take all operators at their low or high power, for their expected
    time.

    Attributes:
        blocks: what runs, in order; at least one, of a positive duration.
        idle_power_w: of a device that waits for its next kernel, at the clock that it keeps; None where unknown.
        power_limit_w: the limit in force; None where unknown.
        lowest_idle_power_w: idle power at the lowest clock, above which every power limit lies; None where unknown.
    """

    blocks: tuple[PowerBlock, ...]
    idle_power_w: float | None = None
    power_limit_w: float | None = None
    lowest_idle_power_w: float | None = None

    def __post_init__(self) -> None:
        if not self.duration_s > 0:
            raise InputError("a power profile needs at least one operator that takes time")

    @cached_property
    def duration_s(self) -> float:
        """Seconds of one run, as expected."""
        return float(sum(block.repeat * sum(s.duration_s for s in block.steps) for block in self.blocks))

    def __repr__(self) -> str:
        """One line: a request has thousands of steps."""
        steps = sum(block.repeat * len(block.steps) for block in self.blocks)
        return (
            f"<PowerProfile of {units.duration(self.duration_s)}: {units.power(self.average_w.value)} on average, "
            f"{units.power(self.peak_w.value)} at most, {steps:,} steps>"
        )

    def _repr_html_(self) -> str:
        """What Jupyter shows: average, percentile and peaks."""
        from perfmodel.predict.notebook import profile_html

        return profile_html(self)

    def to_pandas(self) -> DataFrame:
        """One row a step of each block, in order, once however often the block repeats; SI units in the columns' names.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import profile_frame

        return profile_frame(self)

    @property
    def average_w(self) -> Estimate:
        """Mean power over time: energy over duration [W]."""
        seconds, watts = self._flat
        return _estimate((watts @ seconds) / seconds.sum())

    @property
    def peak_w(self) -> Estimate:
        """Power of the operator that draws most, however short it is [W]."""
        return _estimate(self._flat[1].max(axis=1))

    def percentile_w(self, share: float = HIGH_PERCENTILE) -> Estimate:
        """The power that is not exceeded for a share of the time [W].

        Raises:
            InputError: the share is not between 0 and 1.
        """
        if not 0 < share <= 1:
            raise InputError(f"a percentile of {share!r}: wanted a share above 0 and up to 1, such as 0.99")
        seconds, watts = self._flat
        result = []
        for row in watts:
            order = np.argsort(row, kind="stable")
            reached = np.cumsum(seconds[order])
            result.append(row[order[min(np.searchsorted(reached, share * reached[-1] * (1 - 1e-12)), len(row) - 1)]])
        return _estimate(np.array(result))

    def out_of_step_w(self, count: int, share: float = HIGH_PERCENTILE) -> Estimate:
        """What so many devices together do not exceed for a share of the time, each at its own moment of the run [W].

        Args:
            count: devices, at least 1.
            share: of the time, above 0 and below 1.
        """
        from perfmodel.predict.energy.out_of_step import quantile_w

        seconds, watts = self._flat
        return _estimate(np.array([quantile_w(seconds, row, count, share) for row in watts]))

    def peak_over(self, window_s: float) -> Estimate:
        """The highest mean power over any stretch of a length: what a meter with this window shows at most [W].

        Raises:
            InputError: the window is not above 0.
        """
        if not 0 < window_s < float("inf"):
            raise InputError(f"a window of {window_s!r} s: wanted a number of seconds above 0")
        full, rest = divmod(window_s, self.duration_s)
        seconds, watts = self._repeated(min(window_s, self.duration_s))
        average = np.array([getattr(self.average_w, kind) for kind in _KINDS])
        # Several runs in a row look the same wherever the window lies; only what is left of it matters.
        most = np.array([_highest_joules(seconds, row, rest) for row in watts])
        peak = (full * self.duration_s * average + most) / window_s
        return _estimate(np.clip(peak, average, self._flat[1].max(axis=1)))

    def rack(
        self,
        *,
        count: int | None = None,
        budget_w: float | None = None,
        hosts: Hosts | None = None,
        pue: float | None = None,
        windows_s: Sequence[float] = WINDOWS_S,
    ) -> Rack:
        """What many devices draw that all run this in step, and how many of them a budget powers.

        Args:
            count: devices; None: only how many fit.
            budget_w: what devices and hosts together may draw; None: no budget.
            hosts: what they are plugged into; None: nothing is known of it, and nothing counted.
            pue: power of the building over that of the racks; None: not known.
            windows_s: of meters and power supplies.

        Raises:
            InputError: neither a count nor a budget, or an impossible one.
        """
        from perfmodel.predict.energy.rack import rack_of

        return rack_of(self, count=count, budget_w=budget_w, hosts=hosts, pue=pue, windows_s=windows_s)

    def slices(self, count: int) -> list[dict[str, Any]]:
        """The run in equal stretches of time, for a table or a plot.

        Returns:
            ``count`` records: ``start_s``, ``end_s``, ``mean_w`` and ``peak_w`` (both by the value of the estimate), ``phase``
            and ``name`` of what takes most of the stretch's energy.
        """
        edges = np.linspace(0.0, self.duration_s, count + 1)
        starts, steps, order = self._timeline
        ends = np.append(starts[1:], self.duration_s)
        records = []
        for low, high in pairwise(edges.tolist()):
            first, last = np.searchsorted(ends, low, "right"), np.searchsorted(starts, high, "left")
            inside = range(int(first), max(int(last), int(first) + 1))
            joules: dict[tuple[str | None, str], float] = {}
            for i in inside:
                phase, step = steps[order[i]]
                share = max(min(ends[i], high) - max(starts[i], low), 0.0)
                key = (phase, step.name)
                joules[key] = joules.get(key, 0.0) + float(share) * step.power_w.value
            (phase, name), _ = max(joules.items(), key=lambda item: item[1])
            records.append(
                {
                    "start_s": low, "end_s": high, "phase": phase, "name": name,
                    "mean_w": sum(joules.values()) / (high - low),
                    "peak_w": max(steps[i][1].power_w.value for i in np.unique(order[first : inside.stop])),
                }
            )  # fmt: skip
        return records

    def to_dict(self, windows_s: Sequence[float] = WINDOWS_S) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "duration_s": self.duration_s,
            "average_w": self.average_w.to_dict(),
            "p99_w": self.percentile_w().to_dict(),
            "peak_w": self.peak_w.to_dict(),
            "windows": [{"window_s": w, "peak_w": self.peak_over(w).to_dict()} for w in windows_s],
            "idle_power_w": self.idle_power_w,
            "power_limit_w": self.power_limit_w,
            "blocks": [
                {
                    "phase": block.phase,
                    "repeat": block.repeat,
                    "steps": [
                        {"name": s.name, "op": s.op, "duration_s": s.duration_s, "power_w": s.power_w.to_dict()}
                        for s in block.steps
                    ],
                }
                for block in self.blocks
            ],
        }

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Seconds ``[steps]``, repeats included, and watts ``[3, steps]``; in no order that means anything."""
        steps = [
            (block.repeat * s.duration_s, s.power_w) for block in self.blocks for s in block.steps if s.duration_s > 0
        ]
        return np.array([t for t, _ in steps]), _watts(p for _, p in steps)

    def _repeated(self, window_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Like :attr:`_flat`, in order, each block as often as a window of this length can tell.

        A block that lasts longer than the window looks the same from inside, however often it is repeated.
        """
        steps: list[PowerStep] = []
        for block in self.blocks:
            inside = [s for s in block.steps if s.duration_s > 0]
            once = sum(s.duration_s for s in inside)
            if inside:
                steps += inside * min(block.repeat, int(window_s / once) + 2)
        return np.array([s.duration_s for s in steps]), _watts(s.power_w for s in steps)

    @cached_property
    def _timeline(self) -> tuple[np.ndarray, list[tuple[str | None, PowerStep]], np.ndarray]:
        """When each step starts [s], every step once with its phase, and which of them it is."""
        steps: list[tuple[str | None, PowerStep]] = []
        order: list[np.ndarray] = []
        for block in self.blocks:
            inside = [(block.phase, s) for s in block.steps if s.duration_s > 0]
            order.append(np.tile(np.arange(len(steps), len(steps) + len(inside)), block.repeat))
            steps += inside
        which = np.concatenate(order)
        lengths = np.array([s.duration_s for _, s in steps])[which]
        return np.concatenate([[0.0], np.cumsum(lengths)[:-1]]), steps, which


def figures_of(
    profile: PowerProfile, windows_s: Iterable[float] = WINDOWS_S
) -> Iterator[tuple[str, Estimate | float, str]]:
    """What people read of a profile: a name, watts, and what they mean; the longest window first."""
    yield "average", profile.average_w, "energy over time"
    yield "p99", profile.percentile_w(), "not exceeded for 99 % of the time"
    for window_s in sorted(windows_s, reverse=True):
        yield f"over {window_s * 1e3:g} ms", profile.peak_over(window_s), "highest mean in such a window"
    yield "peak", profile.peak_w, "of one operator, however short"
    if profile.idle_power_w is not None:
        yield "waiting", profile.idle_power_w, "for the next kernel: idle power at the clock that it keeps"
    if profile.power_limit_w is not None:
        yield "limit", profile.power_limit_w, ""


def _watts(powers: Iterable[Estimate]) -> np.ndarray:
    listed = list(powers)
    return np.array([[getattr(p, kind) for p in listed] for kind in _KINDS], dtype=np.float64)


def _estimate(ends: np.ndarray) -> Estimate:
    return Estimate(*(float(v) for v in ends))


def _highest_joules(seconds: np.ndarray, watts: np.ndarray, window_s: float) -> float:
    """The most energy in a window over a sequence of steps that starts again at its end.

    Args:
        seconds, watts: of the steps, shape ``[steps]``.
        window_s: no longer than all of them.
    """
    if window_s <= 0:
        return 0.0
    # Twice around, so that no window ends outside. The energy in a window is linear between the places where one of its
    # ends passes from one step to the next: the most is at one of those.
    times = np.concatenate([[0.0], np.cumsum(np.tile(seconds, 2))])
    joules = np.concatenate([[0.0], np.cumsum(np.tile(seconds * watts, 2))])
    around = times[len(seconds)]
    starts = np.concatenate(
        [times[: len(seconds)], (times - window_s)[(times >= window_s) & (times - window_s <= around)]]
    )
    energy = np.interp(starts + window_s, times, joules) - np.interp(starts, times, joules)
    return float(energy.max())


def profile_of(prediction: ModelPrediction) -> PowerProfile:
    """The profile of one run of a model.

    Raises:
        InputError: the device's power is unknown.
    """
    return PowerProfile(
        (PowerBlock(None, tuple(steps_of(prediction))),),
        prediction.idle_power_w,
        prediction.power_limit_w,
        prediction.lowest_idle_power_w,
    )


def steps_of(prediction: ModelPrediction) -> Iterator[PowerStep]:
    """One step an operator, in the order of the model; all executions of a loop's body together.

    Where the device waits for the host it idles, after each launch for an equal part of the gap.

    Raises:
        InputError: the device's power is unknown.
    """
    launches = sum(o.count for o in prediction.operators)
    idle = prediction.idle_power_w
    for operator in prediction.operators:
        if operator.power_w is None:
            raise InputError(
                f"the power of {prediction.device} is unknown: its TDP is (give tdp_w and idle_power_w in a device file)"
            )
        yield PowerStep(operator.name, operator.op, operator.latency_s.value, operator.power_w)
        if prediction.launch_gap_s and idle is not None:
            gap_s = prediction.launch_gap_s * operator.count / launches
            yield PowerStep("launch gap", "idle", gap_s, Estimate(idle, idle, idle))

"""What every meter offers: readings of energy counters and power, and what they are worth.

A *driver* knows one interface (NVML, AMD SMI, RAPL) and lists the *units* that it sees; an opened unit is a *meter*.
Another package adds a driver under the entry point group :data:`GROUP`::

    [project.entry-points."perfmodel.meters"]
    wall-plug = "their_package:make"

``make()`` is called without arguments and returns an object with the attributes of :class:`MeterDriver` (docs/meters.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

GROUP = "perfmodel.meters"
"""Entry point group of drivers: the name is what ``--meter`` takes, the object is called without arguments."""

HARDWARE, SYNTHESISED, ESTIMATED = "hardware", "synthesised", "estimated"
ORIGINS = (HARDWARE, SYNTHESISED, ESTIMATED)
"""Where readings come from: a sensor or counter; made up from a format's documentation, for tests; computed by a model
of the machine. Only the first can be measurements."""

INSTANT, AVERAGE = "instant", "average"
"""What a power reading is: the power now, or its average over a time before."""

THREAD, BETWEEN = "thread", "between"
"""When a meter is read: by a thread beside the work, or between two pieces of work. The second takes no processor from
work that runs on it, and is enough for a counter."""


@dataclass(frozen=True, slots=True)
class Counter:
    """An energy counter of a meter.

    Attributes:
        name: unique within the meter, as in ``package-0/dram``.
        step_j: the smallest change that it can show.
        range_j: the value at which it starts again from 0; None: it does not within a measurement.
        in_total: whether it is part of the meter's energy; False where another counter contains it already.
    """

    name: str
    step_j: float
    range_j: float | None = None
    in_total: bool = True


@dataclass(frozen=True, slots=True)
class MeterInfo:
    """What a meter's readings are, and how long it has to be read for a label.

    Attributes:
        meter: the driver's name.
        unit: what of the driver it reads, as in ``0`` (its first GPU) or ``all``.
        device: the product's name, as the driver gives it.
        counters: its energy counters; empty where it has power readings alone.
        power: :data:`INSTANT`, :data:`AVERAGE`, or None where it has counters alone.
        averaging_s: the time that a power reading is an average over; 0 for instant readings.
        power_step_w: the smallest difference between two power readings.
        update_s: the longest time between two updates of what is read.
        interval_s: how often it is read.
        settle_s: how long the work runs before a window begins, so that neither an earlier load nor the ramp of the
            clock is in the label.
        min_window_s: the shortest window whose energy is a label.
        sampling: :data:`THREAD` or :data:`BETWEEN`.
        origin: one of :data:`ORIGINS`.
        caveats: what the energy contains or lacks, in plain words.
    """

    meter: str
    unit: str
    device: str
    counters: tuple[Counter, ...] = ()
    power: str | None = None
    averaging_s: float = 0.0
    power_step_w: float = 0.0
    update_s: float = 0.1
    interval_s: float = 0.02
    settle_s: float = 2.0
    min_window_s: float = 3.0
    sampling: str = THREAD
    origin: str = HARDWARE
    caveats: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What ``--meter`` takes: ``nvml:0``."""
        return f"{self.meter}:{self.unit}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a unit runs at; None is unknown.

    Attributes:
        throttle: reasons for a clock below the one that was asked for; empty: none; None: unknown.
    """

    clock_mhz: float | None = None
    mem_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_limit_w: float | None = None
    throttle: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading.

    Attributes:
        time_s: when it was taken, by the meter's clock.
        energy_j: the value of each counter, by name, as it stands (not yet unwrapped).
        power_w: the power, where the meter has it.
        conditions: where they were asked for with this reading.
    """

    time_s: float
    energy_j: Mapping[str, float] = field(default_factory=dict)
    power_w: float | None = None
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that a driver sees, or the reason why it sees none.

    Attributes:
        meter: the driver's name.
        unit: as :attr:`MeterInfo.unit`; None where the driver itself does not work here.
        device: the product's name; None: unknown.
        why_not: why it cannot be read and what to do, in one line; None where it can.
        info: what its readings are; None where it cannot be read.
    """

    meter: str
    unit: str | None = None
    device: str | None = None
    why_not: str | None = None
    info: MeterInfo | None = None


@runtime_checkable
class Meter(Protocol):
    """An opened unit. Reading it again and again costs little and changes nothing."""

    @property
    def info(self) -> MeterInfo:
        """What its readings are."""

    def clock(self) -> float:
        """Seconds of a clock that never goes back; readings bear its time."""

    def read(self, *, conditions: bool = False) -> Reading:
        """One reading, with the conditions where they are asked for (they cost more).

        Raises:
            MeterError: it cannot be read any more.
        """

    def close(self) -> None:
        """Give it back; it is not read afterwards."""


@runtime_checkable
class MeterDriver(Protocol):
    """One interface to meters."""

    @property
    def name(self) -> str:
        """What ``--meter`` takes."""

    def find(self) -> Sequence[Found]:
        """Every unit that it sees, usable or not; one entry without a unit where it sees none. Never raises."""

    def open(self, unit: str | None = None) -> Meter:
        """The meter of a unit; None: the first, or all together where that is usual.

        Raises:
            MeterError: the unit is not there or may not be read; the line says what to do.
        """

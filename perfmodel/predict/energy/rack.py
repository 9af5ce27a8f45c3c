"""Many devices under a budget of watts: how many fit, by what one believes of their power.

Nobody provisions by the mean, and provisioning by the power limit leaves racks half empty; what lies between is how far one
trusts the profile: the 99th percentile, or the highest mean over what a power supply or a breaker averages. The figures by
each stand side by side, for devices that run the model in step, which is the worst case, since peaks then coincide; and once
for devices that are each at a moment of their own (:mod:`perfmodel.predict.energy.out_of_step`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.errors import InputError, checked_methods, is_number, is_whole_number
from perfmodel.predict.energy.profile import WINDOWS_S, PowerProfile
from perfmodel.predict.result import Estimate

OUT_OF_STEP = "p99 out of step"


@checked_methods()
@dataclass(frozen=True, slots=True)
class Hosts:
    """What the devices are plugged into.

    Attributes:
        power_w: what one host draws beside its devices (CPUs, memory, fans, network) [W]; None: not known, and left out.
        devices: how many devices one host has.
    """

    power_w: float | None = None
    devices: int = 1

    def __post_init__(self) -> None:
        if self.power_w is not None and not (is_number(self.power_w) and 0 <= self.power_w < math.inf):
            raise InputError(f"host_power_w is {self.power_w!r}: wanted watts of one host, 0 or more")
        if not (is_whole_number(self.devices) and self.devices >= 1):
            raise InputError(f"devices_per_host is {self.devices!r}: wanted a whole number of at least 1")

    @property
    def share_w(self) -> float:
        """Watts of a host that fall to one device, in a full host."""
        return (self.power_w or 0.0) / self.devices

    def total_w(self, count: int) -> float:
        """Watts of the hosts that a number of devices needs; a host that is not full draws as much as a full one."""
        return (self.power_w or 0.0) * math.ceil(count / self.devices)

    def fitting(self, device_w: float, budget_w: float) -> int:
        """The most devices that a budget powers, with their hosts.

        Raises:
            InputError: nothing draws power, so that any number would fit.
        """
        full_w = self.devices * device_w + (self.power_w or 0.0)
        if full_w <= 0:
            raise InputError("neither device nor host draws power: any number fits")
        # A budget that is a whole number of hosts stays one in floating point.
        hosts = int(budget_w / full_w * (1 + 1e-12))
        left_w = budget_w * (1 + 1e-12) - hosts * full_w - (self.power_w or 0.0)
        more = int(left_w / device_w) if left_w > 0 and device_w > 0 else 0
        return hosts * self.devices + min(max(more, 0), self.devices - 1)


@dataclass(frozen=True, slots=True)
class RackLevel:
    """The rack as it is if each device draws a certain power.

    Attributes:
        basis: ``average``, ``p99 out of step``, ``p99``, ``peak over 100 ms``, ``peak``, or ``limit`` (what a plan without a
            profile would take).
        device_w: of one device.
        rack_w: of all devices and their hosts; None without a count.
        facility_w: ``rack_w`` times the PUE; None without a count or a PUE.
        headroom_w: the budget less ``rack_w``, negative where it does not fit; None without a count or a budget.
        fits: how many devices the budget powers; None without a budget. The low end is for the high end of power.
    """

    basis: str
    device_w: Estimate
    rack_w: Estimate | None = None
    facility_w: Estimate | None = None
    headroom_w: Estimate | None = None
    fits: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        named = {name: getattr(self, name) for name in ("device_w", "rack_w", "facility_w", "headroom_w", "fits")}
        return {"basis": self.basis} | {n: None if e is None else e.to_dict() for n, e in named.items()}


@dataclass(frozen=True)
class Rack:
    """Devices and hosts under a budget.

    Attributes:
        count: devices; None: only how many fit was asked for.
        budget_w: what devices and hosts together may draw; None: no budget. (Of a whole building, divide by its PUE.)
        hosts: what they are plugged into.
        pue: power usage effectiveness: power of the building over that of the racks; None: not known.
        levels: from the mean to the limit.
        cap_w: the power limit of each device under which the budget holds whatever runs; None where it holds anyway, or where
            nothing was counted, or where no limit above the lowest idle power would do.
    """

    count: int | None
    budget_w: float | None
    hosts: Hosts
    pue: float | None
    levels: tuple[RackLevel, ...]
    cap_w: float | None = None

    def level(self, basis: str) -> RackLevel:
        """The level of a basis.

        Raises:
            KeyError: there is none.
        """
        return {level.basis: level for level in self.levels}[basis]

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "count": self.count, "budget_w": self.budget_w, "host_power_w": self.hosts.power_w,
            "devices_per_host": self.hosts.devices, "pue": self.pue, "cap_w": self.cap_w,
            "levels": [level.to_dict() for level in self.levels],
        }  # fmt: skip


def checked_pue(pue: float | None) -> float | None:
    """A power usage effectiveness, or None.

    Raises:
        InputError: it is below 1 or not finite.
    """
    if pue is not None and not (is_number(pue) and 1 <= pue < math.inf):
        raise InputError(f"pue is {pue!r}: wanted a building's power over its racks' power, 1 or more")
    return pue


def window_name(window_s: float) -> str:
    """``peak over 100 ms``."""
    return f"peak over {window_s * 1e3:g} ms"


def rack_of(
    profile: PowerProfile,
    *,
    count: int | None = None,
    budget_w: float | None = None,
    hosts: Hosts | None = None,
    pue: float | None = None,
    windows_s: Sequence[float] = WINDOWS_S,
) -> Rack:
    """What many devices draw that all run what the profile is of, and how many of them a budget powers.

    Raises:
        InputError: neither a count nor a budget, or an impossible one.
    """
    hosts = hosts or Hosts()
    if count is None and budget_w is None:
        raise InputError("a rack needs a count of devices, a budget in watts, or both")
    if count is not None and not (is_whole_number(count) and count >= 1):
        raise InputError(f"count is {count!r}: wanted a whole number of devices, at least 1")
    if budget_w is not None and not (is_number(budget_w) and 0 < budget_w < math.inf):
        raise InputError(f"budget_w is {budget_w!r}: wanted watts above 0")
    checked_pue(pue)
    powers = {"average": profile.average_w}
    together = _out_of_step(profile, count, budget_w, hosts, pue)
    powers["p99"] = profile.percentile_w()
    powers |= {window_name(w): profile.peak_over(w) for w in sorted(windows_s, reverse=True)}
    powers["peak"] = profile.peak_w
    limit = profile.power_limit_w
    if limit is not None:
        powers["limit"] = Estimate(limit, limit, limit)
    average, *others = (_level(basis, p, count, budget_w, hosts, pue) for basis, p in powers.items())
    levels = (average, together, *others)
    return Rack(count, budget_w, hosts, pue, levels, _cap_w(profile, levels, count, budget_w, hosts))


def _out_of_step(
    profile: PowerProfile, count: int | None, budget_w: float | None, hosts: Hosts, pue: float | None
) -> RackLevel:
    """The level of devices that each are at their own moment: the more there are, the closer to the average."""

    def fitting(kind: str) -> int:
        # The most whose sum, with their hosts, is within the budget: at least those that fit by the peak, at most by the mean.
        assert budget_w is not None
        low = hosts.fitting(getattr(profile.peak_w, kind), budget_w)
        high = max(hosts.fitting(getattr(profile.average_w, kind), budget_w), low)
        while low < high:
            middle = (low + high + 1) // 2
            needed = getattr(profile.out_of_step_w(middle), kind) + hosts.total_w(middle)
            low, high = (middle, high) if needed <= budget_w else (low, middle - 1)
        return low

    fits = None if budget_w is None else Estimate(*(float(fitting(kind)) for kind in ("value", "high", "low")))
    of = count or max(int(fits.value) if fits is not None else 1, 1)
    level = _level(OUT_OF_STEP, profile.out_of_step_w(of).scaled(1 / of), count, budget_w, hosts, pue)
    return replace(level, fits=fits)


def _level(
    basis: str, power: Estimate, count: int | None, budget_w: float | None, hosts: Hosts, pue: float | None
) -> RackLevel:
    fits = total = facility = headroom = None
    if budget_w is not None:
        fits = Estimate(*(float(hosts.fitting(w, budget_w)) for w in (power.value, power.high, power.low)))
    if count is not None:
        total = power.scaled(count).plus(hosts.total_w(count))
        facility = None if pue is None else total.scaled(pue)
        if budget_w is not None:
            headroom = Estimate(budget_w - total.value, budget_w - total.high, budget_w - total.low)
    return RackLevel(basis, power, total, facility, headroom, fits)


def _cap_w(
    profile: PowerProfile, levels: tuple[RackLevel, ...], count: int | None, budget_w: float | None, hosts: Hosts
) -> float | None:
    """The limit of each device that keeps the rack within its budget; see :attr:`Rack.cap_w`."""
    if count is None or budget_w is None:
        return None
    peak = next(level for level in levels if level.basis == "peak")
    if peak.headroom_w is None or peak.headroom_w.low >= 0:
        return None
    cap = (budget_w - hosts.total_w(count)) / count
    return cap if math.floor(cap) > (profile.lowest_idle_power_w or 0.0) else None  # drivers take whole watts

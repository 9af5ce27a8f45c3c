"""Energy at the meter, carbon and money of a run.

    meter energy = PUE · (device energy + share of the host's power · time)
    carbon       = meter energy · grams per kWh of the grid
    money        = time · price per hour of the device + meter energy · price per kWh

Nothing is assumed: what was not given is left out, and :attr:`Cost.notes` say so. The carbon of making the hardware is out of
scope. Currencies are the user's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from perfmodel import units
from perfmodel.errors import InputError, checked_methods, is_number
from perfmodel.html_table import html_result, html_table
from perfmodel.predict.energy.grid import GridRegion, grid_region
from perfmodel.predict.energy.rack import Hosts, checked_pue
from perfmodel.predict.result import Estimate
from perfmodel.predict.workload import Workload

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0
MILLION = 1e6
EMBODIED = "the carbon of making, moving and scrapping the hardware (embodied carbon) is not included"


@checked_methods()
@dataclass(frozen=True)
class Prices:
    """What time and energy cost, and what is between the device and the meter.

    Attributes:
        grid: a region, its code or name, or grams of CO2e per kWh (:func:`~perfmodel.predict.energy.grid.grid_region`);
            None: no carbon.
        per_hour: price of one device for an hour, one number or by device id; None: no price of the device.
        electricity: price of one kWh; None: no price of electricity.
        hosts: power of the hosts.
        pue: power usage effectiveness of the building; None: not known, and left out.

    Raises:
        InputError: a price that is negative or not finite, a PUE below 1, an unknown region.
    """

    grid: GridRegion | str | float | None = None
    per_hour: float | dict[str, float] | None = None
    electricity: float | None = None
    hosts: Hosts = field(default_factory=Hosts)
    pue: float | None = None

    def __post_init__(self) -> None:
        checked_pue(self.pue)
        by_device = self.per_hour if isinstance(self.per_hour, dict) else {"price per hour": self.per_hour}
        for name, price in {**by_device, "electricity price": self.electricity}.items():
            if price is not None and not (is_number(price) and 0 <= price < math.inf):
                raise InputError(f"{name} is {price!r}: wanted a number of 0 or more")
        if self.grid is not None and not isinstance(self.grid, GridRegion):
            object.__setattr__(self, "grid", grid_region(self.grid))

    def price_of(self, device: str) -> float | None:
        """Price of an hour of a device; None where none was given for it."""
        return self.per_hour.get(device) if isinstance(self.per_hour, dict) else self.per_hour


@dataclass(frozen=True)
class Amount:
    """Energy, carbon and money of some work; None where something that it needs was not given.

    Attributes:
        time_s: time of one device [s].
        device_energy_j: of the device alone; None where its power is unknown.
        energy_j: at the meter, with what was given of host and PUE.
        carbon_g: grams of CO2 equivalents.
        device_money, electricity_money: by the hour, by the kWh.
        money: of all that has a price; None where nothing has, or the device lacks the price that others have.
    """

    time_s: Estimate
    device_energy_j: Estimate | None
    energy_j: Estimate | None
    carbon_g: Estimate | None
    device_money: Estimate | None
    electricity_money: Estimate | None
    money: Estimate | None

    def scaled(self, factor: float) -> Amount:
        """The same for more or less work."""
        others = (self._optional(f.name) for f in fields(self)[1:])
        return Amount(self.time_s.scaled(factor), *(None if e is None else e.scaled(factor) for e in others))

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        named = {f.name: self._optional(f.name) for f in fields(self)}
        return {name: None if e is None else e.to_dict() for name, e in named.items()}

    def _optional(self, name: str) -> Estimate | None:
        found: Estimate | None = getattr(self, name)
        return found


@checked_methods()
@dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
        device: its id.
        per_run: of one run of the batch.
        unit: ``tokens`` where the model has a sequence, else ``samples``.
        units: how many of them a run works on.
        grid: the region whose electricity it is; None: none was given.
        prices: what it was computed from.
        notes: what is not included, one line each.
    """

    device: str
    per_run: Amount
    unit: str
    units: int
    grid: GridRegion | None
    prices: Prices
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        run = self.per_run
        energy, carbon = units.watt_hours(_value(run.energy_j)), units.mass(_value(run.carbon_g))
        return f"<Cost of a run on {self.device}: {energy}, {carbon} CO2e, money {units.money(_value(run.money))}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: a run, and a million of what it works on, with intervals; what is not included below."""
        rows = [
            (name, *(f"{show(e.value)} ({show(e.low)} to {show(e.high)})" if e else units.UNKNOWN for e in both))
            for name, show, both in (
                ("time of the device", units.duration, (self.per_run.time_s, self.per_million.time_s)),
                ("energy at the meter", units.watt_hours, (self.per_run.energy_j, self.per_million.energy_j)),
                ("carbon", units.mass, (self.per_run.carbon_g, self.per_million.carbon_g)),
                ("money", units.money, (self.per_run.money, self.per_million.money)),
            )
        ]
        table = html_table(("", "a run", f"a million {self.unit}"), rows, right=(1, 2))
        return html_result(f"what a run on {self.device} costs", table, notes=self.notes)

    @property
    def per_million(self) -> Amount:
        """Of a million tokens or samples, in runs like this one."""
        return self.per_run.scaled(MILLION / self.units)

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "per_run": self.per_run.to_dict(), f"per_million_{self.unit}": self.per_million.to_dict(),
            "unit": self.unit, "units": self.units, "grid": None if self.grid is None else self.grid.to_dict(),
            "host_power_w": self.prices.hosts.power_w, "devices_per_host": self.prices.hosts.devices,
            "pue": self.prices.pue, "electricity_price": self.prices.electricity,
            "price_per_hour": self.prices.price_of(self.device), "notes": list(self.notes),
        }  # fmt: skip


def cost_of(prices: Prices, device: str, latency_s: Estimate, energy_j: Estimate | None, workload: Workload) -> Cost:
    """The cost of one run.

    Args:
        prices: what was given.
        device: its id, for its price.
        latency_s: time of the run.
        energy_j: of the device; None where its power is unknown.
        workload: what the run works on.
    """
    meter = None
    if energy_j is not None:
        meter = energy_j.plus(latency_s.scaled(prices.hosts.share_w)).scaled(prices.pue or 1.0)
    kwh = None if meter is None else meter.scaled(1 / JOULES_PER_KWH)
    region = prices.grid if isinstance(prices.grid, GridRegion) else None
    hourly = prices.price_of(device)
    device_money = None if hourly is None else latency_s.scaled(hourly / SECONDS_PER_HOUR)
    electricity_money = None if kwh is None or prices.electricity is None else kwh.scaled(prices.electricity)
    amount = Amount(
        time_s=latency_s,
        device_energy_j=energy_j,
        energy_j=meter,
        carbon_g=None if kwh is None or region is None else kwh.scaled(region.grams_co2e_per_kwh),
        device_money=device_money,
        electricity_money=electricity_money,
        money=_total(
            [
                e
                for e, price in ((device_money, prices.per_hour), (electricity_money, prices.electricity))
                if price is not None
            ]
        ),
    )
    return Cost(device, amount, workload.unit, workload.units, region, prices, _notes(prices, region, energy_j))


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _total(parts: list[Estimate | None]) -> Estimate | None:
    """The sum; None where there is nothing to add, or one of the parts is unknown."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return known[0] if len(known) == 1 else known[0].plus(known[1])


def _notes(prices: Prices, region: GridRegion | None, energy_j: Estimate | None) -> tuple[str, ...]:
    notes = []
    if energy_j is None:
        notes.append("the device's power is unknown: no energy, no carbon, no price of electricity")
    if prices.hosts.power_w is None:
        notes.append("the host's power was not given and is not included")
    if prices.pue is None:
        notes.append("the PUE was not given: cooling and power conversion are not included")
    if region is not None:
        notes.append(EMBODIED)
    return tuple(notes)

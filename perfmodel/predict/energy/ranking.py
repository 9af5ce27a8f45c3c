"""Devices in the order of what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from perfmodel.errors import InputError, nearest
from perfmodel.predict.energy.cost import Cost, Prices
from perfmodel.predict.result import Estimate

RANKS = ("latency", "energy", "carbon", "money")
"""What devices may be ranked by."""


AT_THE_METER = "energy at the meter"


def called(by: str, prices: Prices | None) -> str:
    """What one of :data:`RANKS` is called: energy is that of the device alone, unless a host's power or the PUE is given."""
    at_the_meter = prices is not None and (prices.hosts.power_w is not None or prices.pue is not None)
    return AT_THE_METER if by == "energy" and at_the_meter else by


def labels(prices: Prices | None) -> dict[str, str]:
    """What each of :data:`RANKS` is called (:func:`called`)."""
    return {by: called(by, prices) for by in RANKS}


class Costed(Protocol):
    """A prediction that has a cost: of one run, or of a generation request."""

    @property
    def device(self) -> str:
        """The device's id."""

    @property
    def latency_s(self) -> Estimate:
        """Seconds of it."""

    def cost(self, prices: Prices) -> Cost:
        """What it costs."""


T = TypeVar("T", bound=Costed)


def check_rank(by: str, prices: Prices) -> None:
    """Refuse an order that cannot be found.

    Raises:
        InputError: an unknown quantity, or one that nothing was given for.
    """
    if by not in RANKS:
        raise InputError(f"rank is {by!r}: {nearest(by, RANKS)}")
    if by == "carbon" and prices.grid is None:
        raise InputError("ranking by carbon needs the grid: --grid FRA, say, or grams of CO2e per kWh")
    if by == "money" and prices.per_hour is None and prices.electricity is None:
        raise InputError("ranking by money needs --price-per-hour, --electricity-price, or both")


def ranked(predictions: Sequence[T], by: str, prices: Prices) -> list[T]:
    """Predictions of one model on several devices, the least of a quantity first; unknown ones last.

    Args:
        predictions: in any order; ties keep it.
        by: one of :data:`RANKS`: time, energy at the meter, carbon or money of a run.
        prices: what carbon and money follow from.

    Raises:
        InputError: as :func:`check_rank`; or a device without a price where others have one.
    """
    check_rank(by, prices)
    if by == "money" and prices.per_hour is not None:
        unpriced = [p.device for p in predictions if prices.price_of(p.device) is None]
        if unpriced:
            raise InputError(f"ranking by money: no price per hour of {', '.join(unpriced)}")
    return sorted(predictions, key=lambda p: quantity(p, by, prices))


def quantity(prediction: Costed, by: str, prices: Prices) -> float:
    """Seconds, joules at the meter, grams or money of a run, by one of :data:`RANKS`; infinity where it is unknown."""
    run = prediction.cost(prices).per_run
    estimate = {"latency": run.time_s, "energy": run.energy_j, "carbon": run.carbon_g, "money": run.money}[by]
    return math.inf if estimate is None else estimate.value

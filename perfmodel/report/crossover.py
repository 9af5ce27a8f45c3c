"""Several devices over a dimension of the model: what each costs for a sample or token, and where another takes the lead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from perfmodel.errors import InputError
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device, load_device
from perfmodel.models.predictor import load as load_predictor
from perfmodel.predict import _graph, _predict
from perfmodel.predict.energy import Prices
from perfmodel.predict.energy.ranking import RANKS, quantity
from perfmodel.predict.result import ModelPrediction
from perfmodel.report.what_if import prepared_for

MOST_SIZES = 40
"""Sizes of the dimension that are predicted, beside those that a crossing is searched at."""
CLOSE = 1.05
"""Costs whose ratio is below this are about equal: the lead may change from size to size, as tiles fit one and not the next."""
MOST_TRIED = 64
"""Sizes that are tried after a first crossing, until the new leader leads by more than :data:`CLOSE`."""
SHORT = 1.25
"""A lead that is over before the size has grown by this factor is a turn, no lead."""
SETTLED = 16
"""So many tries in a row it must lead by as much: longer than a step of tiles in the usual kernels."""


@dataclass(frozen=True)
class Crossing:
    """From a size on, another device is the cheapest.

    Attributes:
        by: one of :data:`~perfmodel.predict.energy.ranking.RANKS`.
        size: the first from which on it is; at the size below, ``instead_of`` costs no more.
        device: the cheapest from there on.
        instead_of: the cheapest before.
        open_from: the first known size from which on up to ``size`` the two take turns or differ by less than 5 %; ``size``
            itself where there is none.
    """

    by: str
    size: int
    device: str
    instead_of: str
    open_from: int

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "by": self.by, "size": self.size, "device": self.device, "instead_of": self.instead_of,
            "open_from": self.open_from,
        }  # fmt: skip


def checked_sizes(dimension: str, sizes: Iterable[int]) -> tuple[int, ...]:
    """Each size once, the smallest first.

    Raises:
        InputError: too few or too many.
    """
    chosen = tuple(sorted(set(sizes)))
    if not 2 <= len(chosen) <= MOST_SIZES:
        raise InputError(f"a comparison over {dimension} needs 2 to {MOST_SIZES} sizes; got {len(chosen)}")
    return chosen


@dataclass
class Curves:
    """Devices over one dimension.

    Attributes:
        model: what is predicted, with the dimension open.
        dimension: its name.
        sizes: that are shown, ascending.
        devices: in the order given.
        conditions: keyword arguments of :func:`perfmodel.predict`.
        prices: what carbon and money follow from.
        say: is told which further size is predicted, while crossings are searched.
    """

    model: Graph
    dimension: str
    sizes: tuple[int, ...]
    devices: tuple[Device, ...]
    conditions: Mapping[str, Any]
    prices: Prices
    predictor: Any
    say: Callable[[str], None] = lambda line: None
    _known: dict[int, dict[str, ModelPrediction]] = field(default_factory=dict)
    _tried: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        model: Any,
        devices: Sequence[Any],
        dimension: str,
        sizes: Sequence[int],
        *,
        prices: Prices | None = None,
        say: Callable[[str], None] = lambda line: None,
        **conditions: Any,
    ) -> Curves:
        """Reads the model once and predicts every size on every device.

        Args:
            model, devices, conditions: as for :func:`perfmodel.compare`.
            dimension: the name of a symbolic dimension.
            sizes: of it, at least two.
            prices: what carbon and money follow from.
            say: is told what is done next.

        Raises:
            InputError: as there; or too few or too many sizes.
        """
        chosen = checked_sizes(dimension, sizes)
        records = tuple(load_device(d) for d in devices)
        predictor = load_predictor(conditions.get("predictor", "default"))
        with without_collection():
            graph = _graph(model, {}, conditions.get("entry"), keep_symbolic=True)
        made = cls(graph, dimension, chosen, records, {**conditions, "entry": None}, prices or Prices(), predictor, say)
        for number, size in enumerate(chosen, 1):
            say(f"{number}/{len(chosen)} sizes: {dimension}={size}")
            made.at(size)
        return made

    def at(self, size: int) -> dict[str, ModelPrediction]:
        """Predictions of one size by device id."""
        if size not in self._known:
            c = {**self.conditions, "dims": {**(self.conditions.get("dims") or {}), self.dimension: size}}
            with without_collection():
                prepared = prepared_for(self.model, c)
                self._known[size] = {
                    record.id: _predict(
                        prepared, record, c["dims"], self.predictor, c.get("software"), c.get("launch", "graph"),
                        c.get("clock_mhz"), c.get("power_limit_w"), c.get("cache", "rotating"),
                    )
                    for record in self.devices
                }  # fmt: skip
        return self._known[size]

    @property
    def quantities(self) -> tuple[str, ...]:
        """Those of :data:`RANKS` that every device has a figure of."""
        return tuple(by for by in RANKS if all(v < float("inf") for curve in self.curves(by).values() for v in curve))

    def curves(self, by: str) -> dict[str, list[float]]:
        """By device id what a sample or token costs at each of the sizes."""
        return {d.id: [self._each(size, d.id, by) for size in self.sizes] for d in self.devices}

    def crossings(self, by: str) -> list[Crossing]:
        """Where the cheapest device changes, ascending, to the last size.

        Costs do not fall smoothly with the size, so that two devices may take turns where they are about equal. A crossing is
        the size from which on the new leader has kept its lead at all sizes tried: one after the other (above 128 in steps of
        1.6 %) until it leads by more than :data:`CLOSE` for long, and those that are shown. A device that is the cheapest
        only between two neighbouring sizes may be missed.
        """
        found: list[Crossing] = []
        best = self._cheapest(self.sizes[0], by)
        low = self.sizes[0]
        for above in self.sizes[1:]:
            while low < above and self._cheapest(above, by) != best:
                old = best
                high = _first(low, above, partial(self._is_beaten, old, by))
                best = self._cheapest(high, by)
                low = self._settled(high, self._reign(above, best, by), best, old, by)
                still_open = min(high, self._close_from(low, best, old, by))
                found = _with(found, Crossing(by, low, best, old, still_open))
            low = max(low, above)
        return found

    def _is_beaten(self, device: str, by: str, size: int) -> bool:
        """Whether a device is not the cheapest at a size."""
        return self._cheapest(size, by) != device

    def _reign(self, size: int, device: str, by: str) -> int:
        """The last of the sizes shown from ``size`` on up to which a device is the cheapest at all; ``size`` at least."""
        last = size
        for shown in self.sizes:
            if shown >= size:
                if self._cheapest(shown, by) != device:
                    break
                last = shown
        return last

    def _settled(self, first: int, limit: int, device: str, instead_of: str, by: str) -> int:
        """The first size, from ``first`` to ``limit``, from which on ``device`` costs less than the other wherever tried."""
        step = max(1, first // 64)
        tried, ahead = [first], 0
        for size in range(first + step, limit + 1, step)[:MOST_TRIED]:
            tried.append(size)
            ahead = ahead + 1 if self._lead(size, device, instead_of, by) > CLOSE else 0
            if ahead == SETTLED:
                break
        tried += [size for size in self.sizes if tried[-1] < size <= limit]
        behind = [i for i, size in enumerate(tried) if self._lead(size, device, instead_of, by) <= 1]
        # Always ahead; or no more than a turn, with the other one ahead at the end.
        if not behind or behind[-1] + 1 == len(tried):
            return first
        return _first(
            tried[behind[-1]], tried[behind[-1] + 1], lambda size: self._lead(size, device, instead_of, by) > 1
        )

    def _close_from(self, size: int, device: str, instead_of: str, by: str) -> int:
        """The first known size from which on up to ``size`` the two cost about the same."""
        close = size
        for known in sorted((s for s in self._tried if s < size), reverse=True):
            if not 1 / CLOSE < self._lead(known, device, instead_of, by) < CLOSE:
                break
            close = known
        return close

    def _lead(self, size: int, device: str, instead_of: str, by: str) -> float:
        """What ``instead_of`` costs over what ``device`` does."""
        own, other = self._each(size, device, by), self._each(size, instead_of, by)
        return other / own if own > 0 else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "dimension": self.dimension, "sizes": list(self.sizes), "unit": self.unit,
            "curves": {by: self.curves(by) for by in self.quantities},
            "crossings": [c.to_dict() for by in self.quantities for c in self.crossings(by)],
        }  # fmt: skip

    @property
    def unit(self) -> str:
        """``sample`` or ``token``: what the costs are for."""
        return next(iter(self.at(self.sizes[0]).values())).workload.unit.removesuffix("s")

    def _each(self, size: int, device: str, by: str) -> float:
        self._tried.add(size)
        if size not in self._known:
            self.say(f"searching where another device leads: {self.dimension}={size}")
        prediction = self.at(size)[device]
        return quantity(prediction, by, self.prices) / prediction.workload.units

    def _cheapest(self, size: int, by: str) -> str:
        return min((d.id for d in self.devices), key=lambda device: self._each(size, device, by))


def _with(before: list[Crossing], crossing: Crossing) -> list[Crossing]:
    """The crossings and another one; if that gives a lead back which was no more than a turn, the two are one."""
    last = before[-1] if before else None
    if last is None or last.instead_of != crossing.device or crossing.size >= SHORT * last.size:
        return [*before, crossing]
    return [*before[:-1], replace(crossing, open_from=min(last.open_from, crossing.open_from))]


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The size after ``low``, where something does not hold, at which it does: found by halving, down to neighbouring sizes."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high

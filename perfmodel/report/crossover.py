"""Several devices over a dimension of the model: what each costs for a sample or token, and where another takes the lead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from perfmodel.errors import InputError
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device
from perfmodel.models.predictor import load as load_predictor
from perfmodel.predict import _predict
from perfmodel.predict.conditions import distinct_devices
from perfmodel.predict.energy import Prices
from perfmodel.predict.energy.ranking import RANKS, quantity
from perfmodel.predict.result import ModelPrediction
from perfmodel.report.what_if import open_graph, prepared_for

MOST_SIZES = 40
"""Sizes of the dimension that are predicted, beside those that a crossing is searched at."""
CLOSE = 1.05
"""Costs whose ratio is below this are about equal: the lead may change from size to size, as tiles fit one and not the next."""
MOST_TRIED = 64
"""Sizes that are tried after a first crossing, until the old leader is beaten by more than :data:`CLOSE`."""
SHORT = 1.25
"""A lead that is over before the size has grown by this factor is a turn, no lead."""
SETTLED = 16
"""So many tries in a row it must be beaten by as much: longer than a step of tiles in the usual kernels."""


@dataclass(frozen=True)
class Crossing:
    """From a size on, another device is the cheapest.

    Attributes:
        by: one of :data:`~perfmodel.predict.energy.ranking.RANKS`.
        size: the first from which on it is; at the size below, ``instead_of`` costs no more.
        device: the cheapest from there on, up to the next crossing or the first size that is open before it.
        instead_of: the cheapest before.
        open_from: the first known size from which on up to ``size`` the two (and perhaps others) take turns or the two differ
            by less than 5 %; ``size`` itself where there is none.
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
        file: what ``model`` was read from, which a processor's runtime is asked for its graph of.
    """

    model: Graph
    dimension: str
    sizes: tuple[int, ...]
    devices: tuple[Device, ...]
    conditions: Mapping[str, Any]
    prices: Prices
    predictor: Any
    say: Callable[[str], None] = lambda line: None
    file: Any = None
    _known: dict[int, dict[str, ModelPrediction]] = field(default_factory=dict)

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
        records = distinct_devices(devices)
        predictor = load_predictor(conditions.get("predictor", "default"))
        with without_collection():
            graph = open_graph(model, conditions)
        kept = {**conditions, "entry": None}
        made = cls(graph, dimension, chosen, records, kept, prices or Prices(), predictor, say, model)
        for number, size in enumerate(chosen, 1):
            say(f"{number}/{len(chosen)} sizes: {dimension}={size}")
            made.at(size)
        return made

    def at(self, size: int) -> dict[str, ModelPrediction]:
        """Predictions of one size by device id."""
        if size not in self._known:
            c = {**self.conditions, "dims": {**(self.conditions.get("dims") or {}), self.dimension: size}}
            with without_collection():
                prepared = replace(prepared_for(self.model, c), model=self.file)
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
        costs = [self._costs(by, size) for size in self.sizes]
        return {d.id: [of[d.id] for of in costs] for d in self.devices}

    def crossings(self, by: str) -> list[Crossing]:
        """Where the cheapest device changes, ascending, to the last size.

        Costs do not fall smoothly with the size, so that two devices may take turns where they are about equal. A crossing is
        the size from which on the new leader has kept its lead over all others at all sizes tried: one after the other (above
        128 in steps of 1.6 %) until the one before it has long been beaten by more than :data:`CLOSE`, and those that are
        shown. A device that is the cheapest only between two neighbouring sizes may be missed.
        """
        return _Search(by, self.sizes, partial(self._costs, by)).crossings()

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

    def _costs(self, by: str, size: int) -> dict[str, float]:
        """By device id what a sample or token costs at a size, which is predicted where it was not yet."""
        if size not in self._known:
            self.say(f"searching where another device leads: {self.dimension}={size}")
        predictions = self.at(size)
        return {d.id: _each(predictions[d.id], by, self.prices) for d in self.devices}


@dataclass
class _Search:
    """The search for :meth:`Curves.crossings` by one quantity.

    Attributes:
        by: the quantity.
        shown: sizes, ascending.
        costs_at: by device what a sample or token costs at a size.
    """

    by: str
    shown: tuple[int, ...]
    costs_at: Callable[[int], Mapping[str, float]]
    _costs: dict[int, Mapping[str, float]] = field(default_factory=dict)
    """Of all sizes that were looked at."""
    _held: set[int] = field(default_factory=set)
    """Those whose leader the crossings must agree with: all but sizes that only halving met."""
    _in_a_row: int = 0
    """The last of the sizes that were tried one after the other."""

    def crossings(self) -> list[Crossing]:
        """Of all sizes held to: no device leads at one of them that is not told of."""
        found: list[Crossing] = []
        self._held = set(self.shown)
        low = self.shown[0]
        best = self._cheapest(low)
        while (beaten := self._first_beaten(low, best)) is not None:
            old, kept = best, max(size for size in self._held if size < beaten)
            high = _first(kept, beaten, partial(self._is_beaten, old))
            best = self._cheapest(high)
            low = self._settled(high, best, old)
            self._held.add(low)
            still_open = min(high, self._close_from(low, best, old))
            found = _with(found, Crossing(self.by, low, best, old, still_open))
        return found

    def _first_beaten(self, low: int, device: str) -> int | None:
        """The first size held to, above ``low``, at which a device is not the cheapest."""
        return next((size for size in sorted(self._held) if size > low and self._is_beaten(device, size)), None)

    def _settled(self, first: int, device: str, instead_of: str) -> int:
        """The first size, from ``first`` on, from which on ``device`` is the cheapest wherever tried, until a third one is."""
        limit = self._reign(first, device)
        self._try_on(first, limit, instead_of)
        while True:
            window = self._turns(first, limit, device, instead_of)
            behind = [i for i, size in enumerate(window) if not self._leads(device, instead_of, size)]
            # Always ahead; or no more than a turn, with the other one ahead at the end.
            if not behind or behind[-1] + 1 == len(window):
                return first
            last = behind[-1]
            size = _first(window[last], window[last + 1], partial(self._leads, device, instead_of))
            if not self._is_third(device, instead_of, size - 1):
                return size
            self._held.add(size - 1)

    def _reign(self, first: int, device: str) -> int:
        """The last size shown up to which a device leads from the next one shown on; the size below that where it does not."""
        above = next(size for size in self.shown if size >= first)
        last = above - 1
        for size in self.shown:
            if size >= above:
                if self._is_beaten(device, size):
                    break
                last = size
        return last

    def _try_on(self, first: int, limit: int, instead_of: str) -> None:
        """Tries sizes one after the other, until ``instead_of`` was beaten by more than :data:`CLOSE` often enough in a row."""
        step, beaten = max(1, first // 64), 0
        self._held.add(first)
        # Where many devices take turns, what was tried after one took the lead serves the next one, too.
        if self._in_a_row >= first + SETTLED * step:
            return
        for size in range(first + step, limit + 1, step)[:MOST_TRIED]:
            self._held.add(size)
            self._in_a_row = max(self._in_a_row, size)
            beaten = beaten + 1 if self._of(size)[instead_of] > CLOSE * min(self._of(size).values()) else 0
            if beaten == SETTLED:
                break

    def _turns(self, first: int, limit: int, device: str, instead_of: str) -> list[int]:
        """The sizes held to, from ``first`` to ``limit``, before the first at which neither of two devices is the cheapest."""
        window = []
        for size in sorted(size for size in self._held if first <= size <= limit):
            if self._is_third(device, instead_of, size):
                break
            window.append(size)
        return window

    def _close_from(self, size: int, device: str, instead_of: str) -> int:
        """The first known size from which on up to ``size`` the two cost about the same."""
        close = size
        for known in sorted((s for s in self._costs if s < size), reverse=True):
            own, other = self._of(known)[device], self._of(known)[instead_of]
            if own != other and max(own, other) >= CLOSE * min(own, other):
                break
            close = known
        return close

    def _of(self, size: int) -> Mapping[str, float]:
        if size not in self._costs:
            self._costs[size] = self.costs_at(size)
        return self._costs[size]

    def _cheapest(self, size: int) -> str:
        costs = self._of(size)
        return min(costs, key=costs.__getitem__)

    def _is_beaten(self, device: str, size: int) -> bool:
        """Whether another one costs less; a device that leads keeps its lead where another costs as much."""
        costs = self._of(size)
        return min(costs.values()) < costs[device]

    def _leads(self, device: str, instead_of: str, size: int) -> bool:
        """Whether no device costs less, and the one that led before costs more."""
        costs = self._of(size)
        return costs[device] < costs[instead_of] and not self._is_beaten(device, size)

    def _is_third(self, device: str, instead_of: str, size: int) -> bool:
        """Whether another one costs less than both."""
        costs = self._of(size)
        return min(costs.values()) < min(costs[device], costs[instead_of])


def _each(prediction: ModelPrediction, by: str, prices: Prices) -> float:
    return quantity(prediction, by, prices) / prediction.workload.units


def _with(before: list[Crossing], crossing: Crossing) -> list[Crossing]:
    """The crossings and another one; if that gives a lead back which was no more than a turn, they are one from there on."""
    for i in reversed(range(len(before))):
        if crossing.size >= SHORT * before[i].size:
            break
        if before[i].instead_of == crossing.device:
            turns = [*before[i:], crossing]
            return [*before[:i], replace(crossing, open_from=min(c.open_from for c in turns))]
    return [*before, crossing]


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The size after ``low``, where something does not hold, at which it does: found by halving, down to neighbouring sizes."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high

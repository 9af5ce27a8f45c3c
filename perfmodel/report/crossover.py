"""Several devices over a dimension of the model: what each costs for a sample or token, and where another takes the lead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
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


@dataclass(frozen=True)
class Crossing:
    """From a size on, another device is the cheapest.

    Attributes:
        by: one of :data:`~perfmodel.predict.energy.ranking.RANKS`.
        size: the first at which it is.
        device: the cheapest from there on.
        instead_of: the cheapest before.
    """

    by: str
    size: int
    device: str
    instead_of: str

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {"by": self.by, "size": self.size, "device": self.device, "instead_of": self.instead_of}


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
    """

    model: Graph
    dimension: str
    sizes: tuple[int, ...]
    devices: tuple[Device, ...]
    conditions: Mapping[str, Any]
    prices: Prices
    predictor: Any
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
        chosen = tuple(sorted(set(sizes)))
        if not 2 <= len(chosen) <= MOST_SIZES:
            raise InputError(f"a comparison over {dimension} needs 2 to {MOST_SIZES} sizes; got {len(chosen)}")
        records = tuple(load_device(d) for d in devices)
        predictor = load_predictor(conditions.get("predictor", "default"))
        with without_collection():
            graph = _graph(model, {}, conditions.get("entry"), keep_symbolic=True)
        made = cls(graph, dimension, chosen, records, {**conditions, "entry": None}, prices or Prices(), predictor)
        for size in chosen:
            say(f"{dimension}={size}")
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
        """Where the cheapest device changes, ascending, to the last size between two that are shown.

        A device that is the cheapest only between two neighbouring sizes may be missed.
        """
        found = []
        best = self._cheapest(self.sizes[0], by)
        for below, above in pairwise(self.sizes):
            low = below
            while self._cheapest(above, by) != best:
                high = above
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self._cheapest(middle, by) == best else (low, middle)
                found.append(Crossing(by, high, self._cheapest(high, by), best))
                low, best = high, found[-1].device
        return found

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
        prediction = self.at(size)[device]
        return quantity(prediction, by, self.prices) / prediction.workload.units

    def _cheapest(self, size: int, by: str) -> str:
        return min((d.id for d in self.devices), key=lambda device: self._each(size, device, by))

"""The energy-latency curve of a model: the same prediction under a range of power limits or clocks, and its knee."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device, load_device
from perfmodel.models.predictor import load as load_predictor
from perfmodel.predict import _predict, _prepare
from perfmodel.predict.pareto import front
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.unpowered import NO_TDP, NO_TIME, unpowered

UNITS = {"power_limit_w": "W", "clock_mhz": "MHz"}
"""What can be swept, with its unit."""
NAMES = {"power_limit_w": "power limit", "clock_mhz": "clock"}
"""What tables and lines of progress call it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One setting and what the model costs there.

    Attributes:
        value: the setting, in the unit of :attr:`Sweep.swept`.
        prediction: under it.
    """

    value: float
    prediction: ModelPrediction

    @property
    def latency_s(self) -> float:
        """Seconds."""
        return self.prediction.latency_s.value

    @property
    def energy_j(self) -> float:
        """Joules."""
        assert self.prediction.energy_j is not None
        return self.prediction.energy_j.value


@dataclass(frozen=True, slots=True)
class Sweep:
    """An energy-latency curve.

    Attributes:
        swept: one of :data:`UNITS`.
        points: in the order of the settings.
    """

    swept: str
    points: tuple[Point, ...]

    @property
    def pareto(self) -> tuple[Point, ...]:
        """The points to which no other is superior in both latency and energy, the fastest first."""
        return front(self.points, lambda p: p.latency_s, lambda p: p.energy_j)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of all points, each once."""
        return tuple(dict.fromkeys(w for point in self.points for w in point.prediction.warnings))

    @property
    def least_energy(self) -> Point:
        """The point of the lowest energy, the faster of two."""
        return self.pareto[-1]

    @property
    def knee(self) -> Point:
        """The point after which saving more energy costs much more time.

        Of the points that no other beats, the one farthest from the straight line between the fastest and the thriftiest, both
        axes scaled to 1 (Satopää et al., "Finding a 'Kneedle' in a Haystack", ICDCS workshops 2011). Where none lies below the
        line it is the one of the lowest energy-delay product.
        """
        front = self.pareto
        if len(front) > 2:
            latency, energy = (np.array([getattr(p, name) for p in front]) for name in ("latency_s", "energy_j"))
            along = (latency - latency[0]) / (latency[-1] - latency[0])
            saved = (energy[0] - energy) / (energy[0] - energy[-1])
            below = saved - along
            if below.max() > 1e-9:
                return front[int(np.argmax(below))]
        return min(front, key=lambda p: p.energy_j * p.latency_s)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``perfmodel sweep --json``."""
        first = self.points[0].prediction
        pareto = {id(point) for point in self.pareto}
        return {
            "model": first.model, "device": first.device, "predictor": first.predictor, "swept": self.swept,
            "points": [
                {
                    "value": p.value, "latency_s": p.prediction.latency_s.to_dict(),
                    "power_w": None if p.prediction.power_w is None else p.prediction.power_w.to_dict(),
                    "energy_j": None if p.prediction.energy_j is None else p.prediction.energy_j.to_dict(),
                    "energy_delay_js": p.energy_j * p.latency_s, "pareto": id(p) in pareto,
                }
                for p in self.points
            ],
            "knee": self.knee.value, "least_energy": self.least_energy.value, "warnings": list(self.warnings),
        }  # fmt: skip


def sweep(
    model: str | os.PathLike[str] | Graph | Any,
    device: str | os.PathLike[str] | Device,
    *,
    power_limit_w: float | Sequence[float] | None = None,
    clock_mhz: float | Sequence[float] | None = None,
    predictor: Any = "default",
    dims: Any = None,
    dtype: str | None = None,
    dtype_map: Any = None,
    kv_dtype: str | None = None,
    software: str | None = None,
    fusion: str = "engine",
    launch: str = "graph",
    cache: str = "rotating",
    entry: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Sweep:
    """Predictions of a model under a range of power limits or of clocks; the file is read and fused once.

    Args:
        model, device: as for :func:`perfmodel.predict`.
        power_limit_w, clock_mhz: one of them several numbers, the other a number or None.
        predictor, dims, dtype, dtype_map, kv_dtype, software, fusion, launch, cache, entry: as there.
        report: is told which setting is predicted next.

    Raises:
        InputError: also where none or both of them are several numbers, the device's power is unknown, or no operator takes
            time.
    """
    settings: dict[str, float | Sequence[float] | None] = {"power_limit_w": power_limit_w, "clock_mhz": clock_mhz}
    several = [name for name, value in settings.items() if value is not None and not isinstance(value, (int, float))]
    if len(several) != 1:
        options = " or ".join("--" + name.replace("_", "-") for name in UNITS)
        raise InputError(f"a sweep needs one range, of {options}, as in 200:400:25; got {len(several)}")
    [swept] = several
    values = [float(v) for v in np.asarray(settings[swept], dtype=np.float64)]
    if not values:
        raise InputError(f"the range of {swept} is empty")
    record = load_device(device)
    loaded = load_predictor(predictor)
    points = []
    with without_collection():
        prepared = _prepare(model, dims, dtype, dtype_map, kv_dtype, fusion, entry)
        for number, value in enumerate(values, 1):
            report(f"{number}/{len(values)} {NAMES[swept]} {value:g} {UNITS[swept]}")
            setting: dict[str, Any] = {**settings, swept: value}
            prediction = _predict(
                prepared, record, dims, loaded, software, launch, setting["clock_mhz"], setting["power_limit_w"], cache
            )
            if prediction.energy_j is None:
                why = f"{record.id} quotes no TDP" if unpowered(prediction) == NO_TDP else NO_TIME
                raise InputError(f"{why}: the power is unknown, and there is no curve to draw")
            points.append(Point(value, prediction))
    return Sweep(swept, tuple(points))

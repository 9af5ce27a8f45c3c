"""The energy-latency curve as a picture."""

from __future__ import annotations

from typing import Any

from perfmodel.predict.picture import BLUE, GREY, ORANGE, picture, time_unit
from perfmodel.predict.sweep import UNITS, Sweep

_LABELS = 8
"""Settings that are written beside the curve at most."""


def draw(curve: Sweep, ending: str) -> bytes:
    """The picture: energy over latency, with intervals of the energy, the knee marked. The same bytes each time.

    Args:
        curve: what is drawn.
        ending: one of :data:`~perfmodel.predict.picture.FORMATS`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return picture(lambda axes: _fill(axes, curve), "a plot of an energy-latency curve", ending, (6.4, 4.0))


def _fill(axes: Any, curve: Sweep) -> None:
    first, front = curve.points[0].prediction, curve.pareto
    factor, unit = time_unit(max(p.latency_s for p in curve.points))
    by_latency = sorted(curve.points, key=lambda p: p.latency_s)
    intervals = [p.prediction.energy_j for p in by_latency]
    times = [p.latency_s / factor for p in by_latency]
    axes.fill_between(
        times, [e.low for e in intervals if e], [e.high for e in intervals if e], color=BLUE, alpha=0.12, linewidth=0,
        label="90 % interval of the energy",
    )  # fmt: skip
    axes.plot([p.latency_s / factor for p in front], [p.energy_j for p in front], "o-", color=BLUE, markersize=4)
    beaten = [p for p in curve.points if p not in front]
    if beaten:
        axes.plot(
            [p.latency_s / factor for p in beaten], [p.energy_j for p in beaten], "o", color=GREY, markersize=4,
            label="slower and no less energy",
        )  # fmt: skip
    knee = curve.knee
    axes.plot([knee.latency_s / factor], [knee.energy_j], "o", color=ORANGE, markersize=8, label="knee")
    step = -(-len(curve.points) // _LABELS)
    # Settings that change nothing, as limits above the device's own, stand at one place.
    labels: dict[tuple[float, float], list[str]] = {}
    for point in {id(p): p for p in (*curve.points[::step], knee)}.values():
        place = (point.latency_s / factor, point.energy_j)
        labels.setdefault(place, []).append(f"{point.value:g}")
    for place, values in labels.items():
        axes.annotate(
            f"{', '.join(dict.fromkeys(values))} {UNITS[curve.swept]}", place, xytext=(4, 4), textcoords="offset points",
            fontsize=7,
        )  # fmt: skip
    axes.set(xlabel=f"latency [{unit}]", ylabel="energy [J]", title=f"{first.model} on {first.device}")
    axes.legend()

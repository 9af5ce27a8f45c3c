"""The energy-latency curve as a picture."""

from __future__ import annotations

from typing import Any

from perfmodel.predict.picture import BLUE, GREY, ORANGE, picture, time_unit
from perfmodel.predict.sweep import UNITS, Point, Sweep

_LABELS = 8
"""Settings that are written beside the curve at most."""
_LABEL_WIDTH, _LABEL_HEIGHT = 40.0, 12.0
"""Room of one label, in dots of the picture."""


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
    for place, values in together(axes, [*curve.points[::step], knee], factor):
        axes.annotate(f"{values} {UNITS[curve.swept]}", place, xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.set(xlabel=f"latency [{unit}]", ylabel="energy [J]", title=f"{first.model} on {first.device}")
    axes.legend()


def together(axes: Any, points: list[Point], factor: float) -> list[tuple[tuple[float, float], str]]:
    """Places of labels, and the settings that each names: those whose labels would lie upon each other share one.

    Limits above what the device draws change little or nothing.
    """
    axes.autoscale_view()  # matplotlib scales axes when they are drawn, not when something is plotted
    groups: list[tuple[tuple[float, float], list[float]]] = []
    for point in sorted(points, key=lambda p: p.latency_s):
        place = (point.latency_s / factor, point.energy_j)
        if groups:
            (x, y), (last_x, last_y) = axes.transData.transform([place, groups[-1][0]])
            if abs(x - last_x) < _LABEL_WIDTH and abs(y - last_y) < _LABEL_HEIGHT:
                groups[-1][1].append(point.value)
                continue
        groups.append((place, [point.value]))
    return [(place, ", ".join(f"{value:g}" for value in sorted(set(values)))) for place, values in groups]

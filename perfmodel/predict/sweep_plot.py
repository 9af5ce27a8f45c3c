"""The energy-latency curve as a picture."""

from __future__ import annotations

import io
from typing import Any

from perfmodel.errors import InputError, MissingExtraError
from perfmodel.predict.sweep import Sweep

FORMATS = ("svg", "png")
UNITS = {"power_limit_w": "W", "clock_mhz": "MHz"}
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "perfmodel", "font.family": "sans-serif", "font.size": 9.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.titlesize": 10.0,
    "legend.frameon": False, "legend.fontsize": 8.0,
}  # fmt: skip
_CURVE, _KNEE, _BEATEN = "#0072b2", "#d55e00", "#999999"  # told apart by colour-blind readers (Okabe and Ito, 2008)
_LABELS = 8
"""Settings that are written beside the curve at most."""


def plot_format(path: str) -> str:
    """The format that a file's ending means.

    Raises:
        InputError: it is neither ``.svg`` nor ``.png``.
    """
    ending = path.rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise InputError(f"a plot {path!r}: wanted a name that ends in .svg or .png")
    return ending


def draw(curve: Sweep, ending: str) -> bytes:
    """The picture: energy over latency, with intervals of the energy, the knee marked. The same bytes each time.

    Args:
        curve: what is drawn.
        ending: one of :data:`FORMATS`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.style import context
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "a plot of an energy-latency curve") from error
    # Without pyplot: nothing of a session's own figures, style or backend is touched.
    with context(["default", _STYLE]):
        figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
        canvas: Any = FigureCanvasSVG(figure) if ending == "svg" else FigureCanvasAgg(figure)
        _fill(figure.add_subplot(), curve)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        canvas.print_figure(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def _fill(axes: Any, curve: Sweep) -> None:
    first, front = curve.points[0].prediction, curve.pareto
    longest = max(p.latency_s for p in curve.points)
    scale, unit = next((s, u) for s, u in ((1.0, "s"), (1e3, "ms"), (1e6, "us")) if longest * s >= 1 or u == "us")
    by_latency = sorted(curve.points, key=lambda p: p.latency_s)
    intervals = [p.prediction.energy_j for p in by_latency]
    times = [scale * p.latency_s for p in by_latency]
    axes.fill_between(
        times, [e.low for e in intervals if e], [e.high for e in intervals if e], color=_CURVE, alpha=0.12, linewidth=0,
        label="90 % interval of the energy",
    )  # fmt: skip
    axes.plot([scale * p.latency_s for p in front], [p.energy_j for p in front], "o-", color=_CURVE, markersize=4)
    beaten = [p for p in curve.points if p not in front]
    if beaten:
        axes.plot(
            [scale * p.latency_s for p in beaten], [p.energy_j for p in beaten], "o", color=_BEATEN, markersize=4,
            label="slower and no less energy",
        )  # fmt: skip
    knee = curve.knee
    axes.plot([scale * knee.latency_s], [knee.energy_j], "o", color=_KNEE, markersize=8, label="knee")
    step = -(-len(curve.points) // _LABELS)
    for point in {id(p): p for p in (*curve.points[::step], knee)}.values():
        axes.annotate(
            f"{point.value:g} {UNITS[curve.swept]}", (scale * point.latency_s, point.energy_j), xytext=(4, 4),
            textcoords="offset points", fontsize=7,
        )  # fmt: skip
    axes.set(xlabel=f"latency [{unit}]", ylabel="energy [J]", title=f"{first.model} on {first.device}")
    axes.legend()

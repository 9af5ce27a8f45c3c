"""Power over time as a picture."""

from __future__ import annotations

import io
from typing import Any

from perfmodel.errors import InputError, MissingExtraError
from perfmodel.predict.energy.profile import PowerProfile

FORMATS = ("svg", "png")
_SLICES = 400
"""Stretches of time that a long run is drawn in: more than a picture has room for."""
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "perfmodel", "font.family": "sans-serif", "font.size": 9.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.titlesize": 10.0,
    "legend.frameon": False, "legend.fontsize": 8.0,
}  # fmt: skip
_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
_MEAN, _PEAK, _LIMIT = "#0072b2", "#d55e00", "#999999"  # told apart by colour-blind readers (Okabe and Ito, 2008)


def plot_format(path: str) -> str:
    """The format that a file's ending means.

    Raises:
        InputError: it is neither ``.svg`` nor ``.png``.
    """
    ending = path.rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise InputError(f"a plot {path!r}: wanted a name that ends in .svg or .png")
    return ending


def draw(profile: PowerProfile, title: str, ending: str) -> bytes:
    """The picture: mean and highest power over time, with average, 99th percentile and limit. The same bytes each time.

    Args:
        profile: what is drawn.
        title: above it.
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
        raise MissingExtraError("matplotlib", "plot", "a plot of power over time") from error
    # Without pyplot: nothing of a session's own figures, style or backend is touched.
    with context(["default", _STYLE]):
        figure = Figure(figsize=(8.0, 3.6), dpi=150, layout="constrained")
        canvas: Any = FigureCanvasSVG(figure) if ending == "svg" else FigureCanvasAgg(figure)
        _fill(figure.add_subplot(), profile, title)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        canvas.print_figure(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def _fill(axes: Any, profile: PowerProfile, title: str) -> None:
    factor, unit = next((s for s in _TIME if profile.duration_s >= s[0]), _TIME[-1])
    slices = profile.slices(_SLICES)
    edges = [r["start_s"] / factor for r in slices] + [profile.duration_s / factor]
    mean, peak = ([r[key] for r in slices] for key in ("mean_w", "peak_w"))
    axes.stairs(peak, edges, baseline=mean, fill=True, color=_PEAK, alpha=0.35, linewidth=0, label="highest operator")
    axes.stairs(mean, edges, baseline=None, color=_MEAN, linewidth=0.9, label="mean")
    for watts, style, name in (
        (profile.average_w.value, "-", "average"),
        (profile.percentile_w().value, "--", "p99"),
        (profile.power_limit_w, ":", "limit"),
    ):
        if watts is not None:
            axes.axhline(watts, color="black" if name != "limit" else _LIMIT, linestyle=style, linewidth=0.8,
                         label=f"{name} {watts:.0f} W")  # fmt: skip
    start = 0.0
    phases: dict[str, float] = {}
    for block in profile.blocks:
        if block.phase is not None:
            phases.setdefault(block.phase, start)
        start += block.repeat * sum(s.duration_s for s in block.steps)
    for name, begin in phases.items():
        axes.axvline(begin / factor, color=_LIMIT, linewidth=0.8)
        # Upright: a short prefill leaves no room beside it.
        axes.annotate(
            name,
            (begin / factor, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            rotation=90,
            verticalalignment="top",
            fontsize=8,
        )
    axes.set(xlim=(0, edges[-1]), ylim=(0, None), xlabel=f"time [{unit}]", ylabel="power [W]", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

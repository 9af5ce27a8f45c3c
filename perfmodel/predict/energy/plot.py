"""Power over time as a picture."""

from __future__ import annotations

from typing import Any

from perfmodel.predict.energy.profile import PowerProfile
from perfmodel.predict.picture import BLUE, GREY, ORANGE, picture, time_unit

_SLICES = 400
"""Stretches of time that a long run is drawn in: more than a picture has room for."""


def draw(profile: PowerProfile, title: str, ending: str) -> bytes:
    """The picture: mean and highest power over time, with average, 99th percentile and limit. The same bytes each time.

    Args:
        profile: what is drawn.
        title: above it.
        ending: one of :data:`~perfmodel.predict.picture.FORMATS`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return picture(lambda axes: _fill(axes, profile, title), "a plot of power over time", ending, (8.0, 3.6))


def _fill(axes: Any, profile: PowerProfile, title: str) -> None:
    factor, unit = time_unit(profile.duration_s)
    slices = profile.slices(_SLICES)
    edges = [r["start_s"] / factor for r in slices] + [profile.duration_s / factor]
    mean, peak = ([r[key] for r in slices] for key in ("mean_w", "peak_w"))
    axes.stairs(peak, edges, baseline=mean, fill=True, color=ORANGE, alpha=0.35, linewidth=0, label="highest operator")
    axes.stairs(mean, edges, baseline=None, color=BLUE, linewidth=0.9, label="mean")
    for watts, style, name in (
        (profile.average_w.value, "-", "average"),
        (profile.percentile_w().value, "--", "p99"),
        (profile.power_limit_w, ":", "limit"),
    ):
        if watts is not None:
            axes.axhline(watts, color="black" if name != "limit" else GREY, linestyle=style, linewidth=0.8,
                         label=f"{name} {watts:.0f} W")  # fmt: skip
    start = 0.0
    phases: dict[str, float] = {}
    for block in profile.blocks:
        if block.phase is not None:
            phases.setdefault(block.phase, start)
        start += block.repeat * sum(s.duration_s for s in block.steps)
    for name, begin in phases.items():
        axes.axvline(begin / factor, color=GREY, linewidth=0.8)
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

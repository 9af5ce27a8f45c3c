"""Draws docs/images/accuracy/FAMILY.svg from models/default/accuracy.json (``tools/accuracy_page.py`` calls it).

Four panels a family: predicted against measured, error by measured latency, error by device under each protocol, and what
the 90 % interval covers. The same figures give the same bytes: no date, salted ids, text as text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from perfmodel.evaluate import SIZE_NAMES
from perfmodel.predict.picture import STYLE

HELD_OUT = {"shapes": "shapes held out", "device": "device left out", "family": "hardware family left out"}
"""Protocols with a report of every family, and what a legend calls them."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Colours that colour-blind readers tell apart (Okabe and Ito, 2008, and a grey)."""
_WIDTH, _HEIGHT = 9.0, 6.4
_STYLE = {**STYLE, "font.sans-serif": ["DejaVu Sans"], "path.simplify": False}

Reports = Mapping[str, Mapping[str, Any]]
"""Reports of one predictor by protocol."""


def draw(family: str, reports: Reports) -> bytes | None:
    """The SVG of a family; None where there is nothing to draw."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    mine = {name: _of(family, reports[name]) for name in HELD_OUT if name in reports}
    mine = {name: report for name, report in mine.items() if report["groups"]}
    if not mine:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(2, 2, figsize=(_WIDTH, _HEIGHT))
        # Fixed places: fitting them to the labels takes three times as long.
        figure.subplots_adjust(left=0.125, right=0.985, top=0.955, bottom=0.125, wspace=0.36, hspace=0.34)
        first = next(iter(mine))
        _scatter(axes[0][0], mine[first].get("scatter"), HELD_OUT[first])
        _by_size(axes[0][1], mine[first]["by_size"], HELD_OUT[first])
        devices = sorted({g["device"] for report in mine.values() for g in report["groups"]})
        _by_device(axes[1][0], mine, devices)
        _coverage(axes[1][1], mine, devices)
        if len(mine) > 1:
            handles, labels = axes[1][1].get_legend_handles_labels()
            figure.legend(handles, labels, loc="lower center", ncols=len(mine))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return _small(buffer.getvalue().decode()).encode()


def _small(svg: str) -> str:
    """The same picture in a third of the bytes: styles as classes, coordinates to a hundredth of a point, no indentation."""
    # Any sans-serif face does where the named one is missing.
    svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    classes: dict[str, str] = {}
    svg = re.sub(r' style="([^"]*)"', lambda m: f' class="{classes.setdefault(m[1], f"s{len(classes)}")}"', svg)
    rules = "".join(f".{name}{{{style}}}\n" for style, name in classes.items())
    svg = svg.replace("</style>", rules + "</style>", 1)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), svg)
    return re.sub(r"^[ \t]+|[ \t]+$", "", svg, flags=re.MULTILINE)


def _of(family: str, report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "groups": [g for g in report["groups"] if g["op"] == family],
        "by_size": [r for r in report.get("by_size", ()) if r["op"] == family],
        "scatter": report.get("scatter", {}).get(family),
    }


def _scatter(axes: Any, sample: Mapping[str, Any] | None, held_out: str) -> None:
    axes.set_title(f"predicted against measured ({held_out})")
    if not sample:
        return _nothing(axes)
    points = [
        (m, p) for d in sample["devices"].values() for m, p in zip(d["measured_s"], d["predicted_s"], strict=True)
    ]
    low, high = min(map(min, points)) / 1.5, max(map(max, points)) * 1.5
    axes.plot([low, high], [low, high], color="#bbbbbb", linewidth=1, zorder=0)
    for colour, (device, figures) in zip(_cycle(), sample["devices"].items(), strict=False):
        axes.plot(
            figures["measured_s"], figures["predicted_s"], ".", color=colour, markersize=4, alpha=0.8, label=device,
            markeredgewidth=0,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    shown = f"{len(points)} of {sample['rows']:,} rows"
    axes.set(xlabel=f"measured [s], {shown}", ylabel="predicted [s]")
    axes.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.2, ncols=1 if len(sample["devices"]) < 5 else 2)


def _by_size(axes: Any, rows: list[Mapping[str, Any]], held_out: str) -> None:
    axes.set_title(f"error by measured latency ({held_out})")
    if not rows:
        return _nothing(axes)
    sizes = [s for s in SIZE_NAMES if any(r["size"] == s for r in rows)]
    kinds = {
        "mape": ("predicted", COLOURS[0]),
        "analytical_mape": ("physics alone", "#888888"),
        "roofline_mape": ("roofline", "#cccccc"),
    }
    width = 0.8 / len(kinds)
    for i, (key, (label, colour)) in enumerate(kinds.items()):
        means = [_mean([r[key] for r in rows if r["size"] == s]) for s in sizes]
        places = [x + (i - 1) * width for x in range(len(sizes))]
        axes.bar(places, [100 * m for m in means], width * 0.92, color=colour, label=label)
        for x, m in zip(places, means, strict=True):
            axes.text(
                x, 100 * m, f"{100 * m:.0f}" if m >= 0.095 else f"{100 * m:.1f}", ha="center", va="bottom", fontsize=7
            )
    axes.set_xticks(range(len(sizes)), [_size(s) for s in sizes])
    axes.set(ylabel="MAPE [%], mean over devices", ylim=(0, 1.2 * axes.get_ylim()[1]))
    axes.legend(loc="upper right", ncols=len(kinds))


def _by_device(axes: Any, mine: Mapping[str, Mapping[str, Any]], devices: list[str]) -> None:
    axes.set_title("error by device (bar: mean, tick: each table)")
    width = 0.8 / len(mine)
    for i, (colour, (name, report)) in enumerate(zip(_cycle(), mine.items(), strict=False)):
        label = HELD_OUT[name]
        for y, device in enumerate(devices):
            tables = [100 * g["mape"] for g in report["groups"] if g["device"] == device]
            if not tables:
                continue
            place = y + (i - (len(mine) - 1) / 2) * width
            axes.barh(place, _mean(tables), width * 0.9, color=colour, label=label)
            # One broken line: a marker each would double the file.
            across = [x for t in tables for x in (t, t, float("nan"))]
            up = [place - width / 3, place + width / 3, float("nan")] * len(tables)
            axes.plot(across, up, color="black", linewidth=0.6)
            label = "_"
    axes.set_yticks(range(len(devices)), devices)
    axes.invert_yaxis()
    axes.set(xlabel="MAPE [%], all dtypes", xlim=(0, None))


def _coverage(axes: Any, mine: Mapping[str, Mapping[str, Any]], devices: list[str]) -> None:
    axes.set_title("rows inside the 90 % interval (one mark a table)")
    axes.axvspan(88, 93, color="#e8e8e8", zorder=0)
    axes.axvline(90, color="#bbbbbb", linewidth=1, zorder=0)
    shown = []
    for i, (colour, (name, report)) in enumerate(zip(_cycle(), mine.items(), strict=False)):
        label = HELD_OUT[name]
        for y, device in enumerate(devices):
            tables = [
                100 * g["coverage_90"] for g in report["groups"] if g["device"] == device and _known(g["coverage_90"])
            ]
            place = y + (i - (len(mine) - 1) / 2) * 0.25
            axes.plot(
                tables,
                [place] * len(tables),
                "o",
                color=colour,
                markersize=3.5,
                alpha=0.7,
                label=label,
                markeredgewidth=0,
            )
            label = "_"
            shown += tables
    axes.set_yticks(range(len(devices)), devices)
    axes.invert_yaxis()
    axes.set(xlabel="rows covered [%]; grey: 88 to 93 %", xlim=(min([70.0, *shown]) - 2, 101))


def _nothing(axes: Any) -> None:
    axes.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axes.transAxes, color="#999999")
    axes.set_axis_off()


def _cycle() -> list[str]:
    return list(COLOURS) * 3


def _size(name: str) -> str:
    """A bucket by its bounds, as ``10 to 100 us``."""
    return {"<10us": "to 10 us", "<100us": "to 100 us", "<1ms": "to 1 ms", ">=1ms": "above"}[name]


def _known(value: float | None) -> bool:
    return value is not None and value == value


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)

"""``perfmodel compare`` as pictures: a page, or a plot of the devices over a dimension or against each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from perfmodel import units
from perfmodel.hardware import Device
from perfmodel.predict.conditions import distinct_devices
from perfmodel.predict.energy import Prices
from perfmodel.predict.energy.ranking import RANKS, Costed, called, labels, quantity
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.pareto import front
from perfmodel.predict.picture import BLUE, GREY, ORANGE, picture, time_unit
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.unpowered import unpowered
from perfmodel.report import figures, page, request, vega
from perfmodel.report.crossover import Curves

_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", GREY)
_MARKERS = "os^DvPX*"
_UNITS = {"latency": "s", "energy": "J", "carbon": "g CO2e", "money": "money"}


def fronts(ranking: Sequence[Costed], prices: Prices) -> dict[str, list[str]]:
    """By quantity the ids of the devices that no other beats in it and in latency; only quantities that all are known in."""
    result = {}
    for by in RANKS[1:]:
        if all(math.isfinite(quantity(p, by, prices)) for p in ranking):
            best = front(ranking, lambda p: p.latency_s.value, partial(quantity, by=by, prices=prices))
            result[by] = [p.device for p in best]
    return result


def comparison_html(
    ranking: Sequence[ModelPrediction | GenerationPrediction],
    devices: Sequence[Any],
    title: Mapping[str, Any],
    prices: Prices | None,
    curves: Curves | None,
    say: Callable[[str], None] = lambda line: None,
) -> str:
    """The page of ``perfmodel compare --html``.

    Args:
        ranking: predictions or generation requests, in the order of the page.
        devices: ids or paths that were compared.
        title: ``model``, ``dims``, ``asked``.
        prices: what carbon and money follow from; None: nothing was given.
        curves: the devices over a dimension; None: none was asked for.
        say: is told what is done next.

    Raises:
        InputError: two devices have one id.
        MissingExtraError: the plotting library is not installed.
    """
    vega.check_installed()
    records = {record.id: record for record in distinct_devices(devices)}
    shown = [
        {"id": p.device, "name": records[p.device].name, "headline": _headline(p, records[p.device], prices)}
        for p in ranking
    ]
    say("writing the page")
    over = None if curves is None else curves.to_dict()
    best = fronts(ranking, prices or Prices())
    return page.comparison_page(shown, title, best, over, vega.script(), labels(prices))


def _headline(
    prediction: ModelPrediction | GenerationPrediction, device: Device, prices: Prices | None
) -> list[dict[str, Any]]:
    """The figures of a device; where its energy is not that of the meter, which devices are compared by, both."""
    if isinstance(prediction, ModelPrediction):
        rows = figures.headline(prediction, device, prices)
    else:
        rows = request.headline(prediction, device, prices)
    name = called("energy", prices)
    if prices is not None and name != "energy":
        joules = prediction.cost(prices).per_run.energy_j
        at = next(i for i, row in enumerate(rows) if row["label"] == "energy")
        rows.insert(at + 1, figures.figure(name, joules, units.energy, "", unpowered(prediction)))
    return rows


def draw(
    ranking: Sequence[ModelPrediction | GenerationPrediction],
    prices: Prices | None,
    curves: Curves | None,
    by: str | None,
    ending: str,
) -> bytes:
    """A picture: what a sample or token costs over the dimension, or latency against energy (or ``by``) of each device.

    Args:
        by: one of :data:`~perfmodel.predict.energy.ranking.RANKS`; latency or None: energy. Devices of which it is unknown are
            named in the title, and not drawn.
        ending: one of :data:`~perfmodel.predict.picture.FORMATS`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if curves is not None:
        title = f"{ranking[0].model} over {curves.dimension}"
        return picture(
            lambda axes: _over(axes, curves, by or "latency", title), "a plot of devices", ending, (7.0, 4.2)
        )
    against = "energy" if by in (None, "latency") else str(by)
    return picture(
        lambda axes: _pareto(axes, ranking, prices or Prices(), against), "a plot of devices", ending, (7.0, 4.2)
    )


def _over(axes: Any, curves: Curves, by: str, title: str) -> None:
    name, costs = called(by, curves.prices), curves.curves(by)
    known = {device: values for device, values in costs.items() if all(map(math.isfinite, values))}
    for i, (device, values) in enumerate(known.items()):
        axes.plot(
            curves.sizes,
            values,
            marker=_MARKERS[i % 8],
            color=_COLOURS[i % 8],
            markersize=4,
            linewidth=1.2,
            label=device,
        )
    # Who is the cheapest is known only where all are.
    for crossing in curves.crossings(by) if len(known) == len(costs) else ():
        axes.axvline(crossing.size, color=GREY, linestyle=":", linewidth=0.8)
        axes.annotate(
            f"{crossing.device} from {crossing.size}", (crossing.size, 0.98), xycoords=("data", "axes fraction"),
            xytext=(3, 0), textcoords="offset points", fontsize=7, va="top",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(
        xlabel=curves.dimension, ylabel=f"{name} for each {curves.unit} [{_UNITS[by]}]",
        title=title + _unknown(name, [device for device in costs if device not in known]),
    )  # fmt: skip
    axes.set_xticks(curves.sizes, [str(s) for s in curves.sizes])
    axes.minorticks_off()
    if known:
        axes.legend()


def _unknown(name: str, devices: Sequence[str]) -> str:
    """The line of a title that names the devices that cannot be drawn; empty where all can."""
    return f"\n{name} unknown: {', '.join(devices)}" if devices else ""


def _pareto(
    axes: Any,
    ranking: Sequence[ModelPrediction | GenerationPrediction],
    prices: Prices,
    by: str,
) -> None:
    factor, unit = time_unit(max(p.latency_s.value for p in ranking))
    name, amount = called(by, prices), partial(quantity, by=by, prices=prices)
    known = [p for p in ranking if math.isfinite(amount(p))]
    best = [p.device for p in front(known, lambda p: p.latency_s.value, amount)]
    points = {p.device: (p.latency_s.value / factor, amount(p)) for p in known}
    line = sorted(points[device] for device in best)
    axes.plot([x for x, _ in line], [y for _, y in line], "--", color=GREY, linewidth=0.9, label="Pareto front")
    for device, (x, y) in points.items():
        axes.plot([x], [y], "o", color=BLUE if device in best else GREY, markersize=5)
        axes.annotate(device, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
    missing = [p.device for p in ranking if p.device not in points]
    axes.set(
        xlabel=f"latency [{unit}]", ylabel=f"{name} [{_UNITS[by]}]",
        title=f"{ranking[0].model} on {len(ranking)} devices{_unknown(name, missing)}",
        xlim=(0, None), ylim=(0, None),
    )  # fmt: skip
    axes.legend()

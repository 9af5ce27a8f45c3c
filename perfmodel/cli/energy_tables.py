"""Power over time, racks, cost, and the phases of a request, as tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from perfmodel import units
from perfmodel.cli.tables import (
    conditions,
    figures_grid,
    headline,
    interval,
    interval_note,
    plain_table,
    print_common_warnings,
    print_explanations,
    safe,
    value_of,
)
from perfmodel.models.cap import LEAST_SHARE
from perfmodel.predict.unpowered import unpowered

if TYPE_CHECKING:
    from perfmodel.predict import Estimate, ModelPrediction, OperatorPrediction
    from perfmodel.predict.energy import Cost, PowerProfile, Prices, Rack
    from perfmodel.predict.generation_result import GenerationPrediction, PhasePrediction

SLICES_SHOWN = 16
"""Rows of the table of power over time."""
_BAR = 20
"""Columns of a bar."""
KINDS_SHOWN = 12
"""Kinds of operators in the table of energy unless ``--all`` is given."""


def print_generation(
    console: Console, prediction: GenerationPrediction, *, dtype: str | None, device_memory_bytes: int | None
) -> None:
    """The figures of a whole request, then those of its phases."""
    console.print(headline(prediction, dtype))
    total = device_memory_bytes
    needed = prediction.peak_memory_bytes
    fits = "" if total is None else f"{'MORE than the device has: ' if needed > total else ''}of {units.size(total)}; "
    generated = prediction.workload.samples * prediction.generate
    missing = unpowered(prediction)
    latency, mean, peak, energy = prediction.latency_s, prediction.power_w, prediction.peak_w, prediction.energy_j
    rows = [
        ("latency", units.duration(latency.value), interval_note(latency, units.duration)),
        ("throughput", units.rate(_each_second(generated, prediction)), "tokens generated"),
        ("mean power", units.power(value_of(mean)), interval_note(mean, units.power, missing)),
        ("peak power", units.power(value_of(peak)), interval_note(peak, units.power, missing)),
        ("energy", units.energy(value_of(energy)), interval_note(energy, units.energy, missing)),
        ("memory", units.size(needed), f"{fits}key/value cache {units.size(prediction.kv_cache_bytes)} at the end"),
    ]
    console.print(figures_grid(rows))
    console.print()
    table = plain_table()
    for name in ("phase", "runs", "time", "each run", "tokens/s", "power", "peak", "energy", "each token"):
        table.add_column(name, justify="left" if name == "phase" else "right", no_wrap=True)
    for phase in prediction.phases:
        table.add_row(
            phase.name,
            str(phase.runs),
            units.duration(phase.latency_s.value),
            units.duration(phase.latency_per_run_s.value),
            units.rate(_each_second(phase.tokens, phase)).removesuffix("/s").strip(),
            units.power(value_of(phase.power_w)),
            units.power(value_of(phase.peak_w)),
            units.energy(value_of(phase.energy_j)),
            units.energy(value_of(phase.energy_per_token_j)),
        )
    console.print(table)


def _each_second(tokens: float, of: GenerationPrediction | PhasePrediction) -> float | None:
    return tokens / of.latency_s.value if of.latency_s.value else None


def print_energy(console: Console, prediction: ModelPrediction, *, heading: str, shown: int | None) -> None:
    """Power and energy by kind of operator, those that take the most energy first, and of the waits between kernels.

    Args:
        prediction: of one run, whose energy the shares are of.
        heading: what stands above the table.
        shown: kinds listed; None: all.
    """
    kinds: dict[tuple[str, str, str], list[OperatorPrediction]] = {}
    for o in prediction.operators:
        kinds.setdefault((o.op, o.dtype, o.shape), []).append(o)
    rows = []
    for (op, dtype, shape), same in kinds.items():
        joules = [o.energy_j.value for o in same if o.energy_j is not None]
        seconds = sum(o.latency_s.value for o in same)
        energy = sum(joules) if len(joules) == len(same) else None
        rows.append((f"{op} {dtype}", shape, sum(o.count for o in same), seconds, energy))
    rows.sort(key=lambda row: -(row[4] or 0.0))
    total = value_of(prediction.energy_j)
    table = plain_table(gap=1)
    table.add_column("op", overflow="fold")
    table.add_column("shape", overflow="fold")
    for name in ("count", "time", "power", "energy", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    listed = rows if shown is None or len(rows) == shown + 1 else rows[:shown]
    others = rows[len(listed) :]
    for op, shape, count, seconds, joules_of in listed:
        table.add_row(
            safe(op), safe(shape), str(count), units.duration(seconds), *_energy_cells(joules_of, seconds, total)
        )
    if others:
        joules_of = sum(row[4] or 0.0 for row in others)
        seconds = sum(row[3] for row in others)
        table.add_row(
            f"{len(others)} other kinds",
            "",
            str(sum(row[2] for row in others)),
            units.duration(seconds),
            *_energy_cells(joules_of, seconds, total),
        )
    if prediction.launch_gap_s:
        waiting, seconds = prediction.idle_power_w, prediction.launch_gap_s
        joules_of = None if waiting is None else waiting * seconds
        table.add_row("launch gaps", "", "", units.duration(seconds), *_energy_cells(joules_of, seconds, total))
    console.print()
    console.print(safe(heading))
    console.print(table)
    sources: dict[str, list[str]] = {}
    for o in prediction.operators:
        if o.power_source is not None and o.op not in sources.setdefault(o.power_source, []):
            sources[o.power_source].append(o.op)
    if sources:
        console.print(safe("power: " + "; ".join(f"{name}: {', '.join(sources[name])}" for name in sorted(sources))))


def _energy_cells(joules: float | None, seconds: float, total: float | None) -> tuple[str, str, str]:
    power = None if joules is None or not seconds else joules / seconds
    return (
        units.power(power),
        units.energy(joules),
        units.share(None if joules is None or not total else joules / total),
    )


def print_profile(console: Console, profile: PowerProfile, windows_s: Iterable[float]) -> None:
    """Average, percentile and peaks, then power by stretches of time."""
    from perfmodel.predict.energy.profile import figures_of
    from perfmodel.predict.result import Estimate

    console.print()
    console.print("power over time (estimated; runs follow each other without pauses):")
    table = plain_table()
    table.add_column("")
    table.add_column("power", justify="right", no_wrap=True)
    table.add_column("90 % interval", justify="right", no_wrap=True)
    table.add_column("")
    for name, watts, note in figures_of(profile, windows_s):
        if isinstance(watts, Estimate):
            table.add_row(name, units.power(watts.value), interval(watts, units.power), note)
        else:
            table.add_row(name, units.power(watts), "", note)
    console.print(table)
    console.print()
    slices = profile.slices(SLICES_SHOWN)
    most = max(profile.power_limit_w or 0.0, profile.peak_w.value)
    table = plain_table()
    phased = any(record["phase"] for record in slices)
    for column in ("from", "mean", "peak"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(f"0 to {most:.0f} W", no_wrap=True)
    if phased:
        table.add_column("phase", no_wrap=True)
    table.add_column("most of it", overflow="ellipsis", no_wrap=True)
    for record in slices:
        bar = "#" * round(_BAR * record["mean_w"] / most)
        row = [units.duration(record["start_s"]), units.power(record["mean_w"]), units.power(record["peak_w"])]
        row.append(bar + "-" * (round(_BAR * record["peak_w"] / most) - len(bar)))
        table.add_row(*row, *([record["phase"]] if phased else []), safe(record["name"]))
    console.print(table)


def print_rack(console: Console, result: Rack) -> None:
    """One line a level of power: what the rack draws, what is left, and how many devices fit."""
    console.print()
    of = "rack" if result.count is None else f"rack of {result.count} device{'s' * (result.count != 1)}"
    budget = "" if result.budget_w is None else f", {units.power(result.budget_w)} of budget"
    console.print(f"{of}{budget} ({_host(result.hosts.power_w, result.hosts.devices)}):")
    table = plain_table()
    table.add_column("if each draws its", no_wrap=True)
    columns: list[tuple[str, Callable[[float | None], str]]] = [("device_w", units.power)]
    columns += [("rack_w", units.power), ("facility_w", units.power), ("headroom_w", units.power), ("fits", _whole)]
    names = {"device_w": "device", "rack_w": "rack", "facility_w": "building", "headroom_w": "headroom", "fits": "fit"}
    present = [(key, unit) for key, unit in columns if getattr(result.levels[0], key) is not None]
    for key, _ in present:
        table.add_column(names[key], justify="right", no_wrap=True)
    if any(key == "fits" for key, _ in present):
        table.add_column("90 %", justify="right", no_wrap=True)
    for level in result.levels:
        cells = [unit(getattr(level, key).value) for key, unit in present]
        if level.fits is not None:
            cells.append(f"{level.fits.low:.0f} to {level.fits.high:.0f}")
        table.add_row(level.basis, *cells)
    console.print(table)
    if result.cap_w is not None:
        cap = f"--power-limit-w {int(result.cap_w)} on each device keeps the budget whatever runs"
        limits = [level.device_w.value for level in result.levels if level.basis == "limit"]
        low = bool(limits) and result.cap_w < LEAST_SHARE * limits[0]
        console.print(f"power capping: {cap}{'; a driver may refuse so low a limit' if low else ''}")
    elif result.count is not None and result.level("peak").headroom_w is not None:
        headroom = result.level("peak").headroom_w
        if headroom is not None and headroom.low < 0:
            console.print("power capping: no limit above the devices' lowest idle power keeps the budget with so many")


def print_cost_comparison(
    console: Console,
    ranking: Sequence[ModelPrediction | GenerationPrediction],
    prices: Prices | None,
    *,
    dtype: str | None,
    rank: str,
    explain: bool = False,
) -> None:
    """One line a device with its time, energy, carbon and money, in the order of one of them.

    Args:
        prices: what carbon and money follow from; None: nothing was asked for beside the device's energy.
        explain: also print the terms of the bounds of each device's slowest kinds of operators; not of requests.
    """
    from perfmodel.predict.energy import Prices
    from perfmodel.predict.result import ModelPrediction

    given = prices or Prices()
    costs = [p.cost(given) for p in ranking]
    first = costs[0]
    console.print(safe(f"{ranking[0].model}{conditions(ranking[0], dtype)}, ranked by {rank}"), style="bold")
    priced = given.per_hour is not None or given.electricity is not None
    amounts = [name for name, given in (("CO2e", first.grid is not None), ("money", priced)) if given]
    of = f"{' and '.join(amounts)} of a million {first.unit} " if amounts else ""
    if prices is not None:
        console.print(safe(f"{of}({_conditions(first)})"))
    table = plain_table(gap=1)
    table.add_column("device", overflow="fold")
    phases = getattr(ranking[0], "phases", ())
    names = ["latency", *(["first token"] if phases else []), *(["each next"] if len(phases) > 1 else [])]
    same = all(cost.per_run.energy_j == cost.per_run.device_energy_j for cost in costs)
    for name in (*names, "power", "energy", *([] if same else ["energy at\nthe meter"]), *amounts):
        table.add_column(name.replace(" token", "\ntoken"), justify="right", no_wrap=True, vertical="bottom")
    for p, cost in zip(ranking, costs, strict=True):
        million = cost.per_million
        table.add_row(
            safe(p.device),
            units.duration(p.latency_s.value),
            *(units.duration(phase.latency_per_run_s.value) for phase in getattr(p, "phases", ())),
            units.power(value_of(p.power_w)),
            units.energy(value_of(p.energy_j)),
            *([] if same else [units.energy(value_of(cost.per_run.energy_j))]),
            *([units.mass(value_of(million.carbon_g))] if "CO2e" in amounts else []),
            *([units.money(value_of(million.money))] if "money" in amounts else []),
        )
    console.print(table)
    if explain:
        print_explanations(console, [p for p in ranking if isinstance(p, ModelPrediction)])
    if prices is not None:
        for note in dict.fromkeys(note for cost in costs for note in cost.notes):
            console.print(safe(f"note: {note}"))
        _print_source(console, first)
    print_common_warnings(console, ranking)


def print_cost(console: Console, costs: Sequence[tuple[str, Cost]]) -> None:
    """Energy at the meter, carbon and money: of a run, and of a million tokens or samples.

    Args:
        costs: with what each is of (``run``, ``prefill``, ...); the conditions of the first are those of all.
    """
    first = costs[0][1]
    console.print()
    console.print(safe(f"cost ({_conditions(first)}):"))
    for name, cost in costs:
        table = _cost_table(name, cost)
        if table.row_count:  # carbon alone, of a device whose power is unknown, has nothing to show but the note
            console.print(table)
    for note in first.notes:
        console.print(safe(f"note: {note}"))
    _print_source(console, first)


def _print_source(console: Console, cost: Cost) -> None:
    if cost.grid is not None and cost.grid.year is not None:
        console.print(safe(f"grid: {cost.grid.source} ({cost.grid.basis}; {cost.grid.licence})"))


def _cost_table(name: str, cost: Cost) -> Table:
    table = plain_table(gap=1)
    table.add_column(name, no_wrap=True)
    for column in ("each", "90 % interval", f"a million\n{cost.unit}", "90 % interval"):
        table.add_column(column, justify="right", no_wrap=True, vertical="bottom")
    each, million = cost.per_run, cost.per_million
    rows: list[tuple[str, str, Callable[[float | None], str]]] = [
        ("device energy", "device_energy_j", units.watt_hours),
        ("at the meter", "energy_j", units.watt_hours),
        ("CO2e", "carbon_g", units.mass),
        ("device time", "device_money", units.money),
        ("electricity", "electricity_money", units.money),
        ("money", "money", units.money),
    ]
    seen: list[Estimate] = []
    for label, key, unit in rows:
        one, many = getattr(each, key), getattr(million, key)
        # Without host and PUE the meter reads what the device takes; with one price alone that is all the money.
        if one is None or one in seen:
            continue
        seen.append(one)
        table.add_row(label, unit(one.value), interval(one, unit), unit(many.value), interval(many, unit))
    return table


def _conditions(cost: Cost) -> str:
    parts = []
    if cost.grid is not None:
        parts.append(
            f"{cost.grid.name}: {cost.grid.grams_co2e_per_kwh:g} g CO2e/kWh"
            + ("" if cost.grid.year is None else f" in {cost.grid.year}")
        )
    parts.append("no PUE" if cost.prices.pue is None else f"PUE {cost.prices.pue:g}")
    parts.append(_host(cost.prices.hosts.power_w, cost.prices.hosts.devices))
    return "; ".join(parts)


def _host(power_w: float | None, devices: int) -> str:
    if power_w is None:
        return "no host power"
    return f"host {units.power(power_w)} per {'device' if devices == 1 else f'{devices} devices'}"


def _whole(number: float | None) -> str:
    return units.UNKNOWN if number is None else f"{number:.0f}"

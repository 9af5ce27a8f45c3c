"""The sections of the report as HTML; every text from outside goes through :func:`html.escape`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from perfmodel import units
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.unpowered import NO_TIME
from perfmodel.report.assets import asset
from perfmodel.report.caveats import NOT_MODELLED, SOURCES, UNSAID
from perfmodel.report.figures import figures_of, typeset
from perfmodel.report.names import MOST_OF_LINE, short
from perfmodel.report.what_if import Variant

_ROOM = 1.12
"""The scale of an interval's bar ends so far beyond its high end."""
_GROUPS = {
    "batch": "Another batch", "sequence": "Another length", "format": "Another format", "fusion": "Another fusion",
    "launch": "Another way of launching", "device": "Another device",
}  # fmt: skip


def subtitle(title: Mapping[str, Any], names: Sequence[str]) -> str:
    """``batch=8, bf16 · predicted on NVIDIA H100 SXM``."""
    dims = [f"{short(name, 80)}={size}" for name, size in title["dims"].items()]
    asked = [
        f"{value}" if key == "dtype" else f"{key.replace('_', ' ')} {value}"
        for key, value in title["asked"].items()
        if (key, value) not in (("fusion", "engine"), ("launch", "graph"), ("cache", "rotating"))
    ]
    conditions = ", ".join([*dims, *asked])
    where = f"predicted on {', '.join(short(name, 80) for name in names)}"
    return f"{conditions} · {where}" if conditions else where


def tabs(names: Sequence[str]) -> str:
    """Buttons that choose the device; nothing where there is but one."""
    if len(names) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" data-tab="{i}" aria-pressed="{"false" if i else "true"}">{escape(short(name, 80))}</button>'
        for i, name in enumerate(names)
    )
    return f'<div class="tabs" role="group" aria-label="Device that is shown">{buttons}</div>'


def _panels(shown: Sequence[Mapping[str, Any]], content: Iterable[str]) -> str:
    """One block a device, of which the page shows one."""
    return "".join(
        f'<div data-device="{i}"{" hidden" if i else ""}>{html}</div>'
        for i, (_, html) in enumerate(zip(shown, content, strict=True))
    )


def _runs(device: Mapping[str, Any], content: Callable[[Mapping[str, Any]], str]) -> str:
    """HTML of a device's run; of each of them, of which the page shows one, where it has several."""
    if "runs" not in device:
        return content(device)
    return "".join(
        f'<div data-run="{i}"{" hidden" if i else ""}>{content(run)}</div>' for i, run in enumerate(device["runs"])
    )


def headline(shown: Sequence[Mapping[str, Any]]) -> str:
    """The figures at the top, each with its interval."""
    return _panels(shown, (_figures(device["headline"]) + _in_short(device["caveats"]) for device in shown))


def _figures(rows: Iterable[Mapping[str, Any]]) -> str:
    return f'<dl class="figures card">{"".join(_figure(row) for row in rows)}</dl>'


def _in_short(box: Mapping[str, Any]) -> str:
    """The honest box in a line, with the way to it."""
    rests = _named_shares(box["time_sources"])
    missing = sum(u["bytes_share"] for u in box["unmodelled"])
    parts = [f"Bars are 90 % intervals. {f'The time is {rests}' if rests else NO_TIME.capitalize()}"]
    if missing:
        parts.append(f"no rule covers operators with {units.share(missing)} of the bytes")
    if box["warnings"]:
        parts.append(f"{len(box['warnings'])} assumption{'s' if len(box['warnings']) > 1 else ''} to know of")
    return f'<p class="trust">{escape("; ".join(parts))}. <a href="#trust">How far to trust this</a></p>'


def _figure(row: Mapping[str, Any]) -> str:
    quiet = " bad" if row.get("bad") else " quiet" if row["text"] in ("not asked", units.UNKNOWN) else ""
    parts = [f'<div class="figure"><dt>{escape(row["label"])}</dt><dd>']
    parts.append(f'<div class="value{quiet}">{escape(row["text"])}</div>')
    if row["ends"]:
        value, low, high = row["ends"]
        scale = 100 / (high * _ROOM) if high > 0 else 0.0
        parts.append(
            f'<div class="span" aria-hidden="true"><i style="left:{low * scale:.1f}%;width:{(high - low) * scale:.1f}%">'
            f'</i><b style="left:{value * scale:.1f}%"></b></div><div class="note">{escape(row["interval"])}</div>'
        )
    if row["note"]:
        parts.append(f'<div class="note">{escape(row["note"])}</div>')
    return "".join([*parts, "</dd></div>"])


def device_table(shown: Sequence[Mapping[str, Any]]) -> str:
    """The headline's figures side by side; nothing for a single device."""
    if len(shown) < 2:
        return ""
    labels = list(dict.fromkeys(row["label"] for device in shown for row in device["headline"]))
    rows = []
    for device in shown:
        cells = []
        for label in labels:
            figure = figures_of(device, label)
            between = f'<br><span class="note">{escape(figure["interval"])}</span>' if figure.get("ends") else ""
            cells.append(_number(escape(figure.get("text", units.UNKNOWN)) + between))
        rows.append(f"<tr>{_row_head(device['name'])}{''.join(cells)}</tr>")
    table = _table("Devices side by side", [("device", ""), *((label, "n") for label in labels)], rows)
    return f'<section id="devices"><h2>Side by side</h2>{table}</section>'


# ----------------------------------------------------------------------------------------------------- tables
def _table(label: str, heads: Iterable[tuple[str, str]], rows: Iterable[str], caption: str = "") -> str:
    """A table in a card of its own that scrolls where it does not fit.

    Args:
        label: what a screen reader calls it.
        heads: text and classes of each column.
        rows: HTML, escaped already.
        caption: plain text above it.
    """
    columns = "".join(f'<th scope="col" class="{kind}">{escape(name)}</th>' for name, kind in heads)
    above = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return (
        f'<div class="card">{above}<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def _row_head(text: str) -> str:
    return f'<th scope="row">{escape(short(text))}</th>'


def _number(html: str, classes: str = "n") -> str:
    return f'<td class="{classes}">{html}</td>'


# ------------------------------------------------------------------------------------------------------ trust
_TRUST_COLOURS = {"learned": "l2", "blended": "dram", "analytical": "launch"}


def trust(shown: Sequence[Mapping[str, Any]]) -> str:
    """The honest box."""
    boxes = _panels(shown, (_honest(device["caveats"]) for device in shown))
    return (
        '<section id="trust"><h2>How far to trust this</h2><p class="lead">What the figures rest on, what was extrapolated or'
        f" assumed, and what is not in them.</p>{boxes}</section>"
    )


def _honest(box: Mapping[str, Any]) -> str:
    rests = _rests("time", box["time_sources"])
    if box["power_sources"]:
        rests += _rests("power", box["power_sources"])
    rests += "<h3>Of these figures</h3>" + _list(box["notes"])
    further = ""
    if box["unmodelled"]:
        estimated = "of the bytes, estimated as memory traffic"
        items = [f"{u['count']} × {u['op']}: {units.share(u['bytes_share'])} {estimated}" for u in box["unmodelled"]]
        further += "<h3>No rule covers</h3>" + _list(items)
    if box["warnings"]:
        further += "<h3>Extrapolated or assumed</h3>" + _list(box["warnings"])
    further += "<h3>Not modelled at all</h3>" + _list(NOT_MODELLED)
    return f'<div class="card honest two"><div>{rests}</div><div>{further}</div></div>'


def _rests(what: str, sources: Mapping[str, float]) -> str:
    said = _named_shares(sources)
    colours = {name: _TRUST_COLOURS.get(name, "faint") for name in sources}
    bars = "".join(f'<i style="width:{100 * s:.2f}%;background:var(--{colours[n]})"></i>' for n, s in sources.items())
    keys = "".join(
        f'<li><i style="background:var(--{colours[n]})"></i>{escape(f"{n} {_percent(s)}: {SOURCES.get(n, UNSAID)}")}</li>'
        for n, s in sources.items()
    )
    return (
        f"<h3>The estimates of {what} rest on</h3>"
        f'<div class="stack" role="img" aria-label="{escape(f"{what}: {said}")}">{bars}</div><ul class="key column">{keys}</ul>'
    )


def _named_shares(sources: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_percent(share)}" for name, share in sources.items())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _time(seconds: float) -> str:
    return typeset(units.duration(seconds))


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(short(line, MOST_OF_LINE))}</li>' for line in lines)}</ul>"


# ----------------------------------------------------------------------------------------------------- charts
def charts(shown: Sequence[Mapping[str, Any]]) -> str:
    """The places of the charts, which the scripts fill, and what belongs beside them."""
    owners = _panels(shown, (_runs(device, lambda run: _owners(run["memory"])) for device in shown))
    return Template(asset("charts.html")).substitute(owners=owners)


def _owners(memory: Mapping[str, Any] | None) -> str:
    if memory is None:
        return '<div class="card"><p class="chart-note">No memory plan was made.</p></div>'
    parts = ", ".join(f"{name} {units.size(size)}" for name, size in memory["parts"].items())
    rows = [
        f"<tr>{_number(escape(o['name']), 'name')}<td>{escape(o['kind'])}</td>{_number(escape(units.size(o['bytes'])))}"
        f"{_number(units.share(o['share']))}{_number(escape(o['made_by'] or 'before the run'), 'name optional')}"
        f"{_number(escape(o['until'] or 'the end'), 'name optional')}</tr>"
        for o in memory["owners"]
    ]
    peak = f"the peak of {units.size(memory['peak'])} at {memory['peak_node']}"
    heads = [
        ("tensor", ""),
        ("kind", ""),
        ("bytes", "n"),
        ("share", "n"),
        ("made by", "optional"),
        ("needed until", "optional"),
    ]
    return _table(
        "What the peak of memory consists of", heads, rows, f"What {peak} consists of: {parts}. The largest tensors:"
    )


# ---------------------------------------------------------------------------------------------------- request
def request(shown: Sequence[Mapping[str, Any]]) -> str:
    """The course of a request, its phases, and the choice of the run that the sections below it show."""
    names = [run["run"] for run in shown[0]["runs"]]
    buttons = "".join(
        f'<button type="button" data-choose-run="{i}" aria-pressed="{"false" if i else "true"}">{escape(name)}</button>'
        for i, name in enumerate(names)
    )
    return Template(asset("request.html")).substitute(
        phases=_panels(shown, (_phases(device["phases"]) for device in shown)),
        runs=f'<div class="choice" role="group" aria-label="Run that is shown">{buttons}</div>',
        figures=_panels(shown, (_runs(device, _run) for device in shown)),
    )


def _run(run: Mapping[str, Any]) -> str:
    return f'<p class="lead">{escape(run["about"])}</p>{_figures(run["headline"])}'


def _phases(phases: Sequence[Mapping[str, Any]]) -> str:
    """The table that ``perfmodel predict`` prints."""
    rows = []
    for phase in phases:
        seconds = phase["latency_s"]["value"]
        cells = [
            f"{phase['runs']:,}", _time(seconds), _time(phase["latency_per_run_s"]["value"]),
            units.rate(phase["tokens"] / seconds if seconds else None), _value(phase["power_w"], units.power),
            _value(phase["peak_w"], units.power), _value(phase["energy_j"], units.energy),
            _value(phase["energy_per_token_j"], units.energy),
        ]  # fmt: skip
        rows.append(f"<tr>{_row_head(phase['name'])}{''.join(_number(escape(typeset(c))) for c in cells)}</tr>")
    heads = ("runs", "time", "each run", "tokens", "power", "highest power", "energy", "each token")
    return _table("Phases of the request", [("phase", ""), *((name, "n") for name in heads)], rows)


def _value(estimate: Mapping[str, float] | None, unit: Callable[[float | None], str]) -> str:
    return unit(None if estimate is None else estimate["value"])


# ---------------------------------------------------------------------------------------------------- what if
def what_if(variants: Sequence[Variant], shown: Sequence[Mapping[str, Any]]) -> str:
    """Alternatives, as one table a device."""
    tables = _panels(shown, (_what_if_table(variants, device["id"]) for device in shown))
    return (
        '<section id="what-if"><h2>What if</h2><p class="lead">The same model, predicted with one thing changed. Bars are'
        f" latency for each sample or token, on one scale.</p>{tables}</section>"
    )


def _what_if_table(variants: Sequence[Variant], device: str) -> str:
    mine = [v for v in variants if v.device == device or v.group == "device"]
    base = next((v.prediction for v in mine if v.is_base), None)
    each = [v.prediction.latency_s.value / v.prediction.workload.units for v in mine if v.prediction is not None]
    longest = max(each, default=0.0) or 1.0
    rows = []
    for group, title in _GROUPS.items():
        members = sorted((v for v in mine if v.group == group), key=_order)
        if all(v.is_base for v in members):
            continue
        rows.append(f'<tr class="group"><th colspan="6" scope="rowgroup">{title}</th></tr>')
        rows += [_variant_row(v, base, longest) for v in members]
    heads = [
        ("", ""),
        ("latency", "n"),
        ("against now", "n"),
        ("throughput", "n"),
        ("energy each", "n"),
        ("peak memory", "n optional"),
    ]
    return _table("What if", heads, rows)


def _order(variant: Variant) -> tuple[float, str]:
    """Sizes in their order, everything else with what there is now first."""
    size = variant.label.rpartition("=")[2]
    return (float(size), "") if size.isdigit() else (-1.0 if variant.is_base else 0.0, "")


def _variant_row(v: Variant, base: ModelPrediction | None, longest: float) -> str:
    label = f"{v.label} (now)" if v.is_base else v.label
    if v.prediction is None:
        return f'<tr>{_row_head(label)}<td colspan="5">{escape(short(v.reason, MOST_OF_LINE))}</td></tr>'
    p, count = v.prediction, v.prediction.workload.units
    seconds = p.latency_s.value / count
    against = ""
    unit = "token" if p.workload.tokens is not None else "sample"
    if v.is_base:
        against = f"{escape(_time(seconds))} a {unit}"
    elif base is not None and base.latency_s.value > 0:
        ratio = seconds / (base.latency_s.value / base.workload.units)
        against = f'<span class="{"better" if ratio < 0.995 else "worse"}">{ratio:.2f}× a {unit}</span>'
    energy = units.UNKNOWN if p.energy_j is None else typeset(units.energy(p.energy_j.value / count))
    bad = ' class="bad"' if any("would not run there" in w for w in p.warnings) else ""
    bar = f'<span class="bar" style="width:{max(2.0, 90 * seconds / longest):.0f}px"></span>'
    rate = units.rate(count / p.latency_s.value if p.latency_s.value else None)
    memory = f"<span{bad}>{escape(units.size(p.peak_memory_bytes))}</span>"
    return (
        f"<tr{' class=base' if v.is_base else ''}>{_row_head(label)}{_number(escape(_time(p.latency_s.value)))}"
        f"{_number(against + bar)}{_number(escape(rate))}{_number(escape(energy))}{_number(memory, 'n optional')}</tr>"
    )


# ------------------------------------------------------------------------------------------------- comparison
QUANTITIES = {"latency": "faster", "energy": "thriftier", "carbon": "cleaner", "money": "cheaper"}
"""What a device is that has less of a quantity."""


def crossing_lines(over: Mapping[str, Any], names: Mapping[str, str], labels: Mapping[str, str]) -> list[str]:
    """``from batch=24 on L40S is cheaper than H100 (money for each sample)``; and who leads everywhere.

    Args:
        over: :meth:`perfmodel.report.crossover.Curves.to_dict`.
        names: what a device is called, by id.
        labels: what each quantity is called (:func:`perfmodel.predict.energy.ranking.labels`).
    """
    lines = []
    for by, curves in over["curves"].items():
        mine = [c for c in over["crossings"] if c["by"] == by]
        if not mine:
            leader = min(curves, key=lambda device: curves[device][0])
            span = f"{over['dimension']}={over['sizes'][0]} to {over['sizes'][-1]}"
            lines.append(f"{labels[by]}: {names[leader]} is the {_most(QUANTITIES[by])} from {span}")
        lines += [_crossing_line(c, over, names, labels[by]) for c in mine]
    return lines


def _crossing_line(crossing: Mapping[str, Any], over: Mapping[str, Any], names: Mapping[str, str], label: str) -> str:
    by, size, start = crossing["by"], crossing["size"], crossing["open_from"]
    near = f"; from {start} to {size - 1} they take turns or differ by less than 5 %" if size - start > 1 else ""
    return (
        f"from {over['dimension']}={size} on {names[crossing['device']]} is {QUANTITIES[by]} than"
        f" {names[crossing['instead_of']]} ({label} for each {over['unit']}{near})"
    )


def _most(comparative: str) -> str:
    return f"{comparative.removesuffix('r')}st"


def comparison_charts(
    shown: Sequence[Mapping[str, Any]],
    over: Mapping[str, Any] | None,
    fronts: Mapping[str, Any],
    labels: Mapping[str, str],
) -> str:
    """The places of the comparison's charts, and what they say in words; ``labels``: what each quantity is called."""
    names = {d["id"]: d["name"] for d in shown}
    crossings = ""
    if over is not None:
        absent = _absent(shown, over["curves"], labels, "No curves of {} are drawn")
        crossings = _list(crossing_lines(over, names, labels)) + absent
    buttons = "" if over is None else _choice("quantity", "Quantity", over["curves"], labels)
    beaten = [
        f"latency and {labels[by]}: no other device beats {', '.join(names[device] for device in front)}"
        for by, front in fronts.items()
    ]
    first = shown[0] if shown else {"headline": []}
    phases = asset("comparison_request.html") if figures_of(first, "time to first token") else ""
    charts = Template(asset("comparison.html")).substitute(
        phases=phases,
        hidden="" if over else "hidden", dimension=escape(short(over["dimension"], 80) if over else ""), crossings=crossings,
        quantities=buttons, energy=escape(labels["energy"].capitalize()), front=_front(shown, beaten, fronts, labels),
    )  # fmt: skip
    return charts


def _front(
    shown: Sequence[Mapping[str, Any]], beaten: Sequence[str], fronts: Mapping[str, Any], labels: Mapping[str, str]
) -> str:
    """What stands in the section about fronts; and of each quantity that was asked for and has none, why."""
    drawn = ""
    if fronts:
        choice = _choice("front", "Against latency", fronts, labels)
        drawn = Template(asset("comparison_front.html")).substitute(fronts=choice, beaten=_list(beaten))
    return drawn + _absent(shown, fronts, labels, "No front against {} is drawn")


def _absent(shown: Sequence[Mapping[str, Any]], drawn: Iterable[str], labels: Mapping[str, str], without: str) -> str:
    """Of each quantity that was asked for and is not among those drawn, why; ``without`` says what there is not of it."""
    missing = [label for by, label in labels.items() if by != "latency" and by not in drawn]
    reasons = [f"{without.format(label)}: {why}" for label in missing if (why := _unknown_of(shown, label))]
    return "".join(f'<p class="lead">{escape(why)}</p>' for why in reasons)


def _unknown_of(shown: Sequence[Mapping[str, Any]], label: str) -> str:
    """Which devices a quantity is unknown of; empty where none is, or nothing was given that it would follow from."""
    rows = [(device["name"], figures_of(device, label)) for device in shown]
    if all(row.get("text", "not asked") == "not asked" for _, row in rows):
        return ""
    unknown = [
        short(name, 80) + (f" ({row['note']})" if row.get("note") else "") for name, row in rows if not row.get("ends")
    ]
    return f"it would need the {label} of every device, which is unknown of {', '.join(unknown)}." if unknown else ""


def _choice(name: str, label: str, values: Iterable[str], texts: Mapping[str, str]) -> str:
    buttons = "".join(
        f'<button type="button" data-{name}="{escape(v)}" aria-pressed="{"false" if i else "true"}">{escape(texts[v])}'
        "</button>"
        for i, v in enumerate(values)
    )
    return f'<div class="choice" role="group" aria-label="{escape(label)}">{buttons}</div>'

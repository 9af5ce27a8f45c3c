"""The sections of the report as HTML; every text from outside goes through :func:`html.escape`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from perfmodel import units
from perfmodel.predict.result import ModelPrediction
from perfmodel.report.caveats import NOT_MODELLED, SOURCES
from perfmodel.report.figures import figures_of, typeset
from perfmodel.report.what_if import Variant

_ROOM = 1.12
"""The scale of an interval's bar ends so far beyond its high end."""
_GROUPS = {
    "batch": "Another batch", "sequence": "Another length", "format": "Another format", "fusion": "Another fusion",
    "launch": "Another way of launching", "device": "Another device",
}  # fmt: skip


def subtitle(title: Mapping[str, Any], names: Sequence[str]) -> str:
    """``batch=8, bf16 · predicted on NVIDIA H100 SXM``."""
    dims = [f"{name}={size}" for name, size in title["dims"].items()]
    asked = [
        f"{value}" if key == "dtype" else f"{key.replace('_', ' ')} {value}"
        for key, value in title["asked"].items()
        if (key, value) not in (("fusion", "engine"), ("launch", "graph"), ("cache", "rotating"))
    ]
    conditions = ", ".join([*dims, *asked])
    where = f"predicted on {', '.join(names)}"
    return f"{conditions} · {where}" if conditions else where


def tabs(names: Sequence[str]) -> str:
    """Buttons that choose the device; nothing where there is but one."""
    if len(names) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" data-tab="{i}" aria-pressed="{"true" if i == 0 else "false"}">{escape(name)}</button>'
        for i, name in enumerate(names)
    )
    return f'<div class="tabs" role="group" aria-label="Device that is shown">{buttons}</div>'


def _panels(shown: Sequence[Mapping[str, Any]], content: Iterable[str]) -> str:
    """One block a device, of which the page shows one."""
    return "".join(
        f'<div data-device="{i}"{" hidden" if i else ""}>{html}</div>'
        for i, (_, html) in enumerate(zip(shown, content, strict=True))
    )


def headline(shown: Sequence[Mapping[str, Any]]) -> str:
    """The figures at the top, each with its interval."""
    return _panels(shown, (_figures(device["headline"]) for device in shown))


def _figures(rows: Iterable[Mapping[str, Any]]) -> str:
    return f'<dl class="figures card">{"".join(_figure(row) for row in rows)}</dl>'


def _figure(row: Mapping[str, Any]) -> str:
    quiet = " bad" if row.get("bad") else " quiet" if row["text"] in ("not asked", units.UNKNOWN) else ""
    parts = [f'<div class="figure"><dt>{escape(row["label"])}</dt><dd><div class="value{quiet}">{escape(row["text"])}</div>']
    if row["ends"]:
        value, low, high = row["ends"]
        scale = 100 / (high * _ROOM) if high > 0 else 0.0
        parts.append(
            f'<div class="span" aria-hidden="true"><i style="left:{low * scale:.1f}%;width:{(high - low) * scale:.1f}%"></i>'
            f'<b style="left:{value * scale:.1f}%"></b></div><div class="note">{escape(row["interval"])}</div>'
        )
    if row["note"]:
        parts.append(f'<div class="note">{escape(row["note"])}</div>')
    return "".join([*parts, "</dd></div>"])


def device_table(shown: Sequence[Mapping[str, Any]]) -> str:
    """The headline's figures side by side; nothing for a single device."""
    if len(shown) < 2:
        return ""
    labels = [row["label"] for row in shown[0]["headline"]]
    heads = "".join(f'<th scope="col" class="n">{escape(label)}</th>' for label in labels)
    rows = []
    for device in shown:
        cells = []
        for label in labels:
            figure = figures_of(device, label)
            between = f'<br><span class="note">{escape(figure["interval"])}</span>' if figure.get("ends") else ""
            cells.append(f'<td class="n">{escape(figure.get("text", units.UNKNOWN))}{between}</td>')
        rows.append(f'<tr><th scope="row">{escape(device["name"])}</th>{"".join(cells)}</tr>')
    return (
        '<section id="devices"><h2>Side by side</h2><div class="card scroll" tabindex="0" role="region" aria-label="Devices side by side">'
        f'<table><thead><tr><th scope="col">device</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


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
        items = [f"{u['count']} × {u['op']}: {u['bytes_share']:.1%} of the bytes, estimated as memory traffic" for u in box["unmodelled"]]
        further += "<h3>No rule covers</h3>" + _list(items)
    if box["warnings"]:
        further += "<h3>Extrapolated or assumed</h3>" + _list(box["warnings"])
    further += "<h3>Not modelled at all</h3>" + _list(NOT_MODELLED)
    return f'<div class="card honest two"><div>{rests}</div><div>{further}</div></div>'


def _rests(what: str, sources: Mapping[str, float]) -> str:
    said = ", ".join(f"{name} {share:.0%}" for name, share in sources.items())
    colours = {name: _TRUST_COLOURS.get(name, "faint") for name in sources}
    bars = "".join(f'<i style="width:{100 * s:.2f}%;background:var(--{colours[n]})"></i>' for n, s in sources.items())
    keys = "".join(
        f'<li><i style="background:var(--{colours[n]})"></i>{escape(n)} {s:.0%}: {escape(SOURCES.get(n, "not said by the predictor"))}</li>'
        for n, s in sources.items()
    )
    return (
        f"<h3>The estimates of {what} rest on</h3>"
        f'<div class="stack" role="img" aria-label="{escape(f"{what}: {said}")}">{bars}</div><ul class="key column">{keys}</ul>'
    )


def _time(seconds: float) -> str:
    return typeset(units.duration(seconds))


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


# ----------------------------------------------------------------------------------------------------- charts
def charts(shown: Sequence[Mapping[str, Any]]) -> str:
    """The places of the charts, which the scripts fill, and what belongs beside them."""
    owners = _panels(shown, (_owners(device["memory"]) for device in shown))
    return f"""
<section id="time"><h2>Where the time goes</h2>
<p class="lead">Each block is as wide as its share of the time, the parts of a module below it, in the order of the run; its colour
is the bound that takes most of it. Choose a block to look into it, an operator to see how it was estimated.</p>
<div class="card"><div class="stack" id="bounds-bar" role="img"></div><ul class="key" id="bounds-key"></ul></div><br>
<div class="card"><div class="bar-row"><div class="crumbs" id="crumbs"></div><div class="choice" role="group" aria-label="Grouped by">
<button type="button" data-tree="module" aria-pressed="true">module path</button><button type="button" data-tree="family" aria-pressed="false">operator family</button></div></div>
<div class="chart" id="chart-tree"></div></div></section>
<section id="roofline"><h2>Roofline</h2>
<p class="lead">Each dot is an operator, its area the time it takes, its colour the bound that wins. A line is the most that a
memory or an arithmetic gives; a dot above the DRAM line works out of the cache.</p>
<div class="card"><div class="chart" id="chart-roofline"></div><p class="chart-note" id="roofline-note"></p></div></section>
<section id="efficiency"><h2>Efficiency gap and waterline</h2>
<p class="lead">Latency is arithmetic complexity over peak and computational efficiency (Lavin, “On the Efficiency of Convolutional
Neural Networks”, 2024). On the left areas are latency: what lies above the dashed line is the gap to the peak. On the right widths
are latency, and what stays under water cannot reach the peak however well its kernel is written.</p>
<div class="two"><div class="card"><h3>Efficiency gap</h3><div class="chart" id="chart-gap"></div><p class="chart-note" id="gap-note"></p></div>
<div class="card"><h3>Waterline</h3><div class="chart" id="chart-waterline"></div><p class="chart-note" id="waterline-note"></p></div></div></section>
<section id="resources"><h2>Memory and power over the run</h2>
<p class="lead">Memory in use while each operator runs, and the tensors that make its peak; power of each stretch of the run, above
it that of its most powerful operator.</p>
<div class="two"><div class="card"><h3>Memory</h3><div class="chart" id="chart-memory"></div></div>
<div class="card"><h3>Power</h3><div class="chart" id="chart-power"></div></div></div><br>{owners}</section>"""


def _owners(memory: Mapping[str, Any] | None) -> str:
    if memory is None:
        return '<div class="card"><p class="chart-note">No memory plan was made.</p></div>'
    parts = ", ".join(f"{name} {units.size(size)}" for name, size in memory["parts"].items())
    rows = "".join(
        f'<tr><td class="name">{escape(o["name"])}</td><td>{escape(o["kind"])}</td><td class="n">{escape(units.size(o["bytes"]))}</td>'
        f'<td class="n">{o["share"]:.1%}</td><td class="name optional">{escape(o["made_by"] or "before the run")}</td>'
        f'<td class="name optional">{escape(o["until"] or "the end")}</td></tr>'
        for o in memory["owners"]
    )
    return (
        '<div class="card scroll" tabindex="0" role="region" aria-label="What the peak of memory consists of"><table>'
        f"<caption>What the peak of {escape(units.size(memory['peak']))} at {escape(str(memory['peak_node']))} consists of: {escape(parts)}."
        " The largest tensors:</caption>"
        '<thead><tr><th scope="col">tensor</th><th scope="col">kind</th><th scope="col" class="n">bytes</th><th scope="col" class="n">share</th>'
        '<th scope="col" class="optional">made by</th><th scope="col" class="optional">needed until</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


# ---------------------------------------------------------------------------------------------------- what if
def what_if(variants: Sequence[Variant], shown: Sequence[Mapping[str, Any]]) -> str:
    """Alternatives, as one table a device."""
    tables = _panels(shown, (_what_if_table(variants, device["id"]) for device in shown))
    return (
        '<section id="what-if"><h2>What if</h2><p class="lead">The same model, predicted with one thing changed. Bars are latency for'
        f" each sample or token, on one scale.</p>{tables}</section>"
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
    heads = "".join(
        f'<th scope="col" class="{kind}">{name}</th>'
        for name, kind in (
            ("", ""), ("latency", "n"), ("against now", "n"), ("throughput", "n"), ("energy each", "n"), ("peak memory", "n optional"),
        )
    )  # fmt: skip
    return (
        '<div class="card scroll" tabindex="0" role="region" aria-label="What if"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _order(variant: Variant) -> tuple[float, str]:
    """Sizes in their order, everything else with what there is now first."""
    size = variant.label.rpartition("=")[2]
    return (float(size), "") if size.isdigit() else (-1.0 if variant.is_base else 0.0, "")


def _variant_row(v: Variant, base: ModelPrediction | None, longest: float) -> str:
    label = f"{v.label} (now)" if v.is_base else v.label
    if v.prediction is None:
        return f'<tr><th scope="row">{escape(label)}</th><td colspan="5">{escape(v.reason)}</td></tr>'
    p, count = v.prediction, v.prediction.workload.units
    seconds = p.latency_s.value / count
    against = ""
    if base is not None and not v.is_base and base.latency_s.value > 0:
        ratio = seconds / (base.latency_s.value / base.workload.units)
        unit = "token" if p.workload.tokens is not None else "sample"
        against = f'<span class="{"better" if ratio < 0.995 else "worse"}">{ratio:.2f}× a {unit}</span>'
    energy = units.UNKNOWN if p.energy_j is None else typeset(units.energy(p.energy_j.value / count))
    bad = ' class="bad"' if any("would not run there" in w for w in p.warnings) else ""
    return (
        f'<tr{" class=base" if v.is_base else ""}><th scope="row">{escape(label)}</th>'
        f'<td class="n">{escape(_time(p.latency_s.value))}<span class="bar" style="width:{max(2.0, 90 * seconds / longest):.0f}px"></span></td>'
        f'<td class="n">{against}</td><td class="n">{escape(units.rate(count / p.latency_s.value if p.latency_s.value else None))}</td>'
        f'<td class="n">{escape(energy)}</td><td class="n optional"><span{bad}>{escape(units.size(p.peak_memory_bytes))}</span></td></tr>'
    )


# -------------------------------------------------------------------------------------------------- operators
def operator_table() -> str:
    """The place of the operator table, which the scripts fill page by page."""
    return """
<section id="operators"><h2>Operators</h2>
<p class="lead">Every kernel of the run. The arrow before a row opens the formula of its estimate: the terms of the bound, the kernel
that is expected, and what the time rests on.</p>
<div class="card"><div class="tools"><input type="search" id="operators-search" placeholder="name, shape, bound …" aria-label="Search operators" autocomplete="off" spellcheck="false">
<label><input type="checkbox" id="operators-grouped"> operators of one kind together</label><span class="chart-note" id="operators-count"></span></div>
<div class="scroll" tabindex="0" role="region" aria-label="Operators"><table id="operators-table"><thead id="operators-head"></thead><tbody id="operators-body"></tbody></table></div>
<div class="pager"><span id="operators-page"></span><button type="button" id="operators-back">Back</button><button type="button" id="operators-next">Next</button></div></div></section>"""

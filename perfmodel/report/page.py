"""HTML of the pages: a skeleton, everything in it escaped, and a policy by which no other code can run.

Names of models and operators come from files and are hostile until shown. In HTML they are escaped here; the scripts get them
as JSON in which no ``<`` is left, and put them on the page as text. The policy names the hashes of our own scripts, so that
nothing else runs even if one slipped through, and forbids all loading from elsewhere: the page works offline or not at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from perfmodel.report import sections
from perfmodel.report.assets import asset
from perfmodel.report.names import clean, clean_data, printable, short
from perfmodel.report.what_if import Variant

REPORT_SCRIPTS = ("base.js", "operators.js", "curves.js", "report.js")
REQUEST_SCRIPTS = ("base.js", "operators.js", "curves.js", "request.js", "report.js")
COMPARISON_SCRIPTS = ("base.js", "comparison.js")
RUN_CONTENTS = (
    ("time", "Time"),
    ("roofline", "Roofline"),
    ("efficiency", "Efficiency"),
    ("resources", "Memory and power"),
)
"""Anchors and names of the sections about one run."""


def report_page(
    shown: Sequence[Mapping[str, Any]], variants: Sequence[Variant], title: Mapping[str, Any], library: str
) -> str:
    """The page of ``perfmodel report``.

    Args:
        shown: :func:`perfmodel.report.figures.device_figures` of each device.
        variants: alternatives; none: the section is left out.
        title: ``model``, ``dims``, ``asked``.
        library: the plotting library's script.
    """
    contents = [*RUN_CONTENTS]
    body = [sections.headline(shown), sections.device_table(shown), sections.charts(shown)]
    if variants:
        body.append(sections.what_if(variants, shown))
        contents.append(("what-if", "What if"))
    body += [asset("operators.html"), sections.trust(shown)]
    contents += [("operators", "Operators"), ("trust", "Trust")]
    return _of_devices(shown, title, "", contents, body, REPORT_SCRIPTS, library)


def request_page(shown: Sequence[Mapping[str, Any]], title: Mapping[str, Any], library: str) -> str:
    """The page of ``perfmodel report --prompt --generate``: the request, and below it one of its runs as of any model.

    Args:
        shown: :func:`perfmodel.report.request.request_figures` of each device.
        title, library: as for :func:`report_page`.
    """
    body = [
        sections.headline(shown), sections.device_table(shown), sections.request(shown), sections.charts(shown),
        asset("operators.html"), sections.trust(shown),
    ]  # fmt: skip
    contents = [("request", "Request"), ("runs", "Runs"), *RUN_CONTENTS, ("operators", "Operators"), ("trust", "Trust")]
    return _of_devices(shown, title, "a request to ", contents, body, REQUEST_SCRIPTS, library)


def _of_devices(
    shown: Sequence[Mapping[str, Any]],
    title: Mapping[str, Any],
    what: str,
    contents: Sequence[tuple[str, str]],
    body: Sequence[str],
    scripts: Sequence[str],
    library: str,
) -> str:
    """A page about one model with a tab for each device; ``what`` stands before the model's name in the window's title."""
    names, model = [str(d["name"]) for d in shown], short(str(title["model"]))
    return document(
        title=f"{what}{model} on {', '.join(names)}",
        heading=model,
        subtitle=sections.subtitle(title, names),
        tabs=sections.tabs(names),
        contents=contents,
        body="\n".join(body),
        data={"model": model, "devices": shown},
        scripts=scripts,
        library=library,
    )


def comparison_page(
    shown: Sequence[Mapping[str, Any]],
    title: Mapping[str, Any],
    fronts: Mapping[str, Any],
    over: Mapping[str, Any] | None,
    library: str,
    labels: Mapping[str, str],
) -> str:
    """The page of ``perfmodel compare --html``.

    Args:
        shown: of each device ``id``, ``name`` and ``headline`` (:func:`perfmodel.report.figures.headline`).
        title: ``model``, ``dims``, ``asked``.
        fronts: by quantity the devices that no other beats in it and in latency.
        over: :meth:`perfmodel.report.crossover.Curves.to_dict`; None: no dimension was asked for.
        library: the plotting library's script.
        labels: what each quantity is called (:func:`perfmodel.predict.energy.ranking.labels`).
    """
    names, model = [str(d["name"]) for d in shown], short(str(title["model"]))
    contents = [("devices", "Side by side"), *([("over", "Crossovers")] if over else []), ("pareto", "Pareto front")]
    body = [sections.device_table(shown), sections.comparison_charts(shown, over, fronts, labels)]
    return document(
        title=f"{model} on {len(names)} devices",
        heading=model,
        subtitle=sections.subtitle(title, names),
        contents=contents,
        body="\n".join(body),
        data={"model": model, "devices": shown, "fronts": fronts, "over": over, "labels": labels},
        scripts=COMPARISON_SCRIPTS,
        library=library,
    )


def document(
    *,
    title: str,
    heading: str,
    subtitle: str,
    body: str,
    data: Mapping[str, Any],
    scripts: Iterable[str],
    library: str,
    contents: Sequence[tuple[str, str]] = (),
    tabs: str = "",
) -> str:
    """A whole page.

    Args:
        title, heading, subtitle: plain text.
        body: HTML, escaped already.
        data: what the scripts read, as JSON.
        scripts: assets, in the order in which they run.
        library: the plotting library's script, before them.
        contents: anchors and names of the sections.
        tabs: HTML above them, escaped already.
    """
    from perfmodel import __version__
    from perfmodel.report.vega import version

    code = [library, *("\n" + asset(name) for name in scripts)]
    links = "".join(f'<li><a href="#{escape(anchor)}">{escape(name)}</a></li>' for anchor, name in contents)
    vega = f"Charts: Vega {version()} (BSD-3-Clause, vega.github.io), inside this file."
    return Template(asset("page.html")).substitute(
        policy=policy(code),
        generator=escape(f"perfmodel {__version__}"),
        title=escape(clean(title)),
        heading=escape(clean(heading)),
        subtitle=escape(clean(subtitle)),
        style=asset("page.css"),
        tabs=printable(tabs),
        contents=links,
        body=printable(body),
        footer=escape(f"Made by perfmodel {__version__}. Everything here is predicted, nothing was measured. {vega}"),
        data=json_for_html(data),
        scripts="\n".join(f"<script>{text}</script>" for text in code),
    )


def json_for_html(data: Mapping[str, Any]) -> str:
    """Strict JSON that can stand inside a ``<script>`` element: without ``<``, ``>`` and ``&``."""
    text = json.dumps(clean_data(data), allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: Iterable[str]) -> str:
    """The content security policy: only these scripts, no ``eval``, nothing from elsewhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
        for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )

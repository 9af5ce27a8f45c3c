"""What ``accuracy.json`` carries for plots: a small fixed sample of judged rows, and figures by bucket of measured latency.

Rows are judged part by part, often in several processes, so both are made in two steps: :func:`seen` of the rows of a part,
which is plain JSON and small, and :func:`plotted` of all parts together. The sample is the same however the rows are parted:
each row has a rank that follows from its table and its place there, and the lowest ranks of a family stay.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from perfmodel.evaluate import SIZE_NAMES, GroupAccuracy, JudgedRows, grouped, mean_of

SAMPLE = 240
"""Rows of a family that a scatter plot shows."""
_DIGITS = 4
"""Significant digits of a sampled latency: a plot shows fewer."""


def seen(rows: Sequence[JudgedRows]) -> dict[str, Any]:
    """What plots need of some judged rows: ``{"samples": …, "sizes": …}``, plain JSON."""
    samples: dict[str, dict[str, Any]] = {}
    for r in rows:
        points = [
            [int(rank), r.device, float(r.measured[i]), float(r.predicted[i])] for rank, i in _lowest(_ranks(r), SAMPLE)
        ]
        mine = samples.setdefault(r.family, {"rows": 0, "points": []})
        mine["rows"] += len(r.measured)
        mine["points"] = sorted(mine["points"] + points)[:SAMPLE]
    sizes = grouped(rows, ("op", "device", "dtype", "software", "size"))
    return {"samples": samples, "sizes": [asdict(s) for s in sizes]}


def plotted(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``{"scatter": …, "by_size": …}`` of all parts, as ``accuracy.json`` has them.

    Args:
        parts: what :func:`seen` gave; empty ones are left out.

    Returns:
        ``scatter``: by family ``rows`` (how many the sample is of) and ``devices``: by id ``measured_s`` and ``predicted_s``,
        lists of equal length. ``by_size``: a list of ``op``, ``device``, ``size`` and the unweighted mean over the tables.
    """
    parts = [part for part in parts if part]
    scatter: dict[str, Any] = {}
    for family in sorted({name for part in parts for name in part["samples"]}):
        mine = [part["samples"][family] for part in parts if family in part["samples"]]
        devices: dict[str, dict[str, list[float]]] = {}
        for _, device, measured, predicted in sorted(p for sample in mine for p in sample["points"])[:SAMPLE]:
            figures = devices.setdefault(device, {"measured_s": [], "predicted_s": []})
            figures["measured_s"].append(_rounded(measured))
            figures["predicted_s"].append(_rounded(predicted))
        scatter[family] = {"rows": sum(s["rows"] for s in mine), "devices": dict(sorted(devices.items()))}
    groups = [GroupAccuracy(**size) for part in parts for size in part["sizes"]]
    keys = sorted({(str(g.op), str(g.device), SIZE_NAMES.index(str(g.size))) for g in groups})
    by_size = []
    for op, device, size in keys:
        tables = [g for g in groups if (g.op, g.device, g.size) == (op, device, SIZE_NAMES[size])]
        by_size.append({"op": op, "device": device, "size": SIZE_NAMES[size], **mean_of(tables, weighted=False)})
    return {"scatter": scatter, "by_size": by_size}


def _ranks(r: JudgedRows) -> np.ndarray:
    """A number of each row that looks random and follows from its table and place (splitmix64; Steele et al., 2014)."""
    table = zlib.crc32(f"{r.family}|{r.device}|{r.dtype}|{r.software}".encode())
    with np.errstate(over="ignore"):
        x = np.arange(1, len(r.measured) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(table << 17)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    ranks: np.ndarray = x ^ (x >> np.uint64(31))
    return ranks


def _lowest(ranks: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The lowest ranks with the rows that have them."""
    rows = np.argsort(ranks, kind="stable")[:count]
    return [(int(ranks[i]), int(i)) for i in rows]


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.{_DIGITS - 1}e}")

"""The part of docs/accuracy.md on power and energy, from what models/default/accuracy.json has under ``power``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.card import POWER_PROTOCOLS, power_table

Accuracy = Mapping[str, Any]
_CEILING = {
    ("h200-sxm", "vllm"): 0.93, ("b200-sxm", "trtllm"): 0.97, ("gb200", "trtllm"): 0.97, ("b200-sxm", "vllm"): 0.75,
    ("gb200", "vllm"): 0.75,
}  # fmt: skip
"""R² that the disagreement of neighbouring labels leaves to be reached, by device and stack, from a study of these tables
before anything was trained."""


def power(accuracy: Accuracy) -> list[str]:
    """What was aimed at and reached, by file, across files and with devices left out; then every table."""
    reports = accuracy.get("power")
    if not reports:
        return ["", "Nothing of power was learned yet: all of it is physical."]
    lines = ["", "### What was aimed at", "", *_targets(reports)]
    for protocol, report in reports.items():
        lines += ["", f"### `{protocol}`: {POWER_PROTOCOLS[protocol]}", *power_table(dict(report))]
    return lines


def _targets(reports: Mapping[str, Any]) -> list[str]:
    rows = []
    for group in _groups(reports, "shapes", "by_file"):
        device, software = group["device"], group["software"]
        stack = software.split("-")[0]
        wanted = "7 %" if (device, stack) == ("gb200", "vllm") else "5 %"
        ceiling = _CEILING.get((device, stack))
        rows.append(
            (f"GEMM without fp8_block, (n, k) held out, {device} {software}",
             f"MAPE ≤ {wanted}, median ≤ 3 %" + (f", R² ≥ {ceiling - 0.03:.2f}" if ceiling else ""), *_figures(group))
        )  # fmt: skip
    for group in (g for g in _groups(reports, "software", "groups") if g["dtype"] == "bf16"):
        rows.append(
            (f"GEMM in bf16 across files, {group['device']} {group['software']}", "settled ≤ 8 %", *_figures(group))
        )
    for group in _groups(reports, "device", "by_device"):
        rows.append((f"GEMM in all dtypes, {group['device']} left out", "settled ≤ 10 %", *_figures(group)))
    names = (
        "", "wanted", "rows", "MAPE", "median", "R²", "physics", "the limit", "training median", "labels: other file",
        "next row", "kept", "settled: MAPE", "the limit", "training median", "coverage",
    )  # fmt: skip
    return _table(names, rows)


def _groups(reports: Mapping[str, Any], protocol: str, part: str) -> list[Mapping[str, Any]]:
    groups = reports.get(protocol, {}).get(part, [])
    return [g for g in groups if g["target"] == "power" and g["op"] == "gemm"]


def _figures(group: Mapping[str, Any]) -> tuple[str, ...]:
    settled = group["settled"] or {}
    return (
        f"{group['n']:,}", f"**{group['mape']:.1%}**", f"{group['median_ape']:.1%}", f"{group['r2']:.2f}",
        *(_percent(group[name]) for name in ("analytical_mape", "limit_mape", "median_mape", "noise_mape", "neighbour_mape")),
        _percent(group["settled_share"]), f"**{_percent(settled.get('mape'))}**",
        *(_percent(settled.get(name)) for name in ("limit_mape", "median_mape")), _percent(group["coverage_90"]),
    )  # fmt: skip


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (names, ["---"] * len(names), *rows)]

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
    lines = ["", "### What was aimed at", "", *_targets(reports), "", *_run_targets(accuracy.get("evaluations", {}))]
    for protocol, report in reports.items():
        lines += ["", f"### `{protocol}`: {POWER_PROTOCOLS[protocol]}", *power_table(dict(report))]
    return lines


SUMMARY = (
    ("power of GEMM but fp8_block, unseen (n, k)", "shapes", "by_file", "power"),
    ("energy of GEMM but fp8_block, unseen (n, k)", "shapes", "by_file", "energy"),
    ("power of GEMM, a GPU whose power was not measured", "device", "by_device", "power"),
)
"""Rows of the README's table: their names, what is held out, the part of the report, the target."""
_SUMMARY_KEYS = ("mape", "median_ape", "analytical_mape", "roofline_mape", "noise_mape")


def summary(accuracy: Accuracy) -> list[tuple[str, ...]]:
    """The rows of the README's table on power and energy: means over devices of the means over a device's files."""
    rows = []
    for what, protocol, part, target in SUMMARY:
        groups = accuracy.get("power", {}).get(protocol, {}).get(part, [])
        by_device: dict[str, list[Mapping[str, Any]]] = {}
        for group in groups:
            if (group["target"], group["op"]) == (target, "gemm"):
                by_device.setdefault(group["device"], []).append(group)
        if by_device:
            cells = (_mean([_mean([g[key] for g in mine]) for mine in by_device.values()]) for key in _SUMMARY_KEYS)
            rows.append((f"{what}, {len(by_device)} GPUs", *map(_percent, cells)))
    return rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


_RUNS = (
    ("EnergAIzer, energy of an iteration, networks held out, latency predicted", "8 % (14.2 % on its published rows)", "≤ 6 %",
     "power_networks", {"target": "energy", "variant": "latency predicted", "device": "a100-pcie-40gb"}),
    ("the same, latency given", "–", "–",
     "power_networks", {"target": "energy", "variant": "latency given", "device": "a100-pcie-40gb"}),
    ("EnergAIzer, A100 to A10, energy, latency given", "–", "≤ 8 %",
     "power_gpus", {"target": "energy", "variant": "latency given", "device": "a10"}),
    ("EnergAIzer, A100 to A10, energy, latency predicted", "–", "≤ 15 %",
     "power_gpus", {"target": "energy", "variant": "latency predicted", "device": "a10"}),
    ("Zeus, a GPU held out, power under a cap", "–", "≤ 4 %", "power_caps", {"target": "power"}),
    ("Zeus, a GPU held out, time under a cap", "–", "≤ 8 %", "power_caps", {"target": "latency"}),
    ("Zeus, a GPU held out, energy under a cap", "–", "≤ 9 %", "power_caps", {"target": "energy"}),
)  # fmt: skip
"""Targets of whole runs: what, published, wanted, the evaluation of accuracy.json, and the groups of it."""


def _run_targets(evaluations: Mapping[str, Any]) -> list[str]:
    rows = []
    for what, published, wanted, name, chosen in _RUNS:
        groups = [
            g for g in evaluations.get(name, {}).get("groups", []) if all(g.get(k) == v for k, v in chosen.items())
        ]
        number = sum(g["n"] for g in groups)

        def of(key: str, groups: list[Any] = groups, number: int = number) -> str:
            return f"{sum(g['n'] * g[key] for g in groups) / number:.1%}" if number else ""

        reached = (f"{number:,}", f"**{of('mape')}**", of("coverage_90")) if number else ("", "not measured", "")
        rows.append((what, published, wanted, *reached))
    return _table(("", "best published", "wanted", "runs", "mean error", "coverage"), rows)


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

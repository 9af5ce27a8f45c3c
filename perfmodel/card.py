"""The card of a trained predictor: what it was trained on, how it is judged, and how well it does."""

from __future__ import annotations

from typing import Any

from perfmodel.models.learned import UNSEEN


def card_text(name: str, manifest: dict[str, Any], accuracy: dict[str, Any]) -> str:
    """``card.md``.

    Args:
        name: of the predictor.
        manifest: its ``manifest.json``.
        accuracy: its ``accuracy.json``.
    """
    measured = [b for b in manifest["boosters"] if b["device"] != UNSEEN]
    lines = [
        f"# Predictor `{name}`",
        "",
        "Latency of operators: the analytical model, its constants fitted to GEMMs, and per operator family, device and",
        "dtype a booster on ln(measured / analytical); for GEMMs on devices that were not measured one a dtype over all",
        "devices. Operators of other families, and other devices without a measured sibling, are analytical.",
        "",
        f"- Training rows: {sum(b['rows'] for b in measured)} in {len(measured)} boosters;"
        f" {len(accuracy['groups'])} (family, device, software, dtype)"
        " tables.",
        "- Accuracy below: whole groups of shapes (a GEMM's (n, k)) held out in every table (five folds). MAPE is the mean of",
        "  |predicted / measured - 1|; a device's figure is the unweighted mean over its tables. `analytical` is the physics",
        "  alone, `roofline` is max(FLOPs / peak, bytes / bandwidth), `noise` the disagreement between versions of one stack.",
        "- The 90 % interval is the 5 % and 95 % quantile of held-out errors by latency bucket. Coverage is measured with the",
        "  quantiles of the other folds.",
        *accuracy_table(accuracy),
    ]
    for protocol, report in accuracy["transfer"].items():
        lines += [
            "",
            f"Each {protocol} left out in turn, for GEMMs the physics constants fitted again without it; coverage with the",
            "quantiles of the others. What is left out leans on its sibling's booster where one stays; where none does, GEMMs",
            "lean on the booster over all devices, and other families are analytical.",
            *accuracy_table(report),
        ]
    lines += power_section(manifest, accuracy)
    return "\n".join(lines) + "\n"


def power_section(manifest: dict[str, Any], accuracy: dict[str, Any]) -> list[str]:
    """Markdown lines on power; none where nothing was learned of it."""
    boosters = manifest.get("power_boosters", [])
    reports = accuracy.get("power", {})
    if not boosters or not reports:
        return []
    lines = [
        "",
        "## Power",
        "",
        f"Boosters on ln(measured / physical power): {len(boosters)}, of {sum(b['rows'] for b in boosters)} labelled rows.",
        "Rows of 0.1 ms or more were sampled for a second, shorter ones for 0.3 s. *Kept* are the settled ones: within 5 % of",
        "the median of the eleven rows of their dtype around them in file order. *Limit* and *median W* are constant",
        "predictors, *noise* is the disagreement of the same shape under another software, *next* that of rows measured one",
        "after the other that took the same time. Latencies are predicted, too, where shapes are held out, else given.",
    ]
    for protocol, report in reports.items():
        lines += ["", f"Held out: {POWER_PROTOCOLS[protocol]}.", *power_table(report)]
    return lines


POWER_PROTOCOLS = {
    "shapes": "groups of shapes (a GEMM's (n, k)), five folds",
    "software": "each software of a device; what the others taught is the idle power, the rest is physics",
    "device": "each device, its own constants with it; a sibling's boosters under the same stack stay",
}
"""What each protocol of power holds out."""


def power_table(report: dict[str, Any]) -> list[str]:
    """Markdown lines with the figures of power of each table: of all rows of 0.1 ms or more, then of the settled ones."""
    lines = [
        "",
        "| family | device | dtype | software | rows | MAPE | median | R² | physics | limit | median W | noise | next |"
        " coverage | kept | settled: MAPE | limit | median W | energy: MAPE | coverage |",
        "|" + "---|" * 20,
    ]
    energy = {_key(g): g for g in report["groups"] if g["target"] == "energy"}
    for g in (g for g in report["groups"] if g["target"] == "power"):
        settled, joules = g["settled"] or {}, energy[_key(g)]
        lines.append(
            f"| {g['op']} | {g['device']} | {g['dtype']} | {g['software']} | {g['n']} | {_percent(g['mape'])} |"
            f" {_percent(g['median_ape'])} | {g['r2']:.2f} | {_percent(g['analytical_mape'])} | {_percent(g['limit_mape'])} |"
            f" {_percent(g['median_mape'])} | {_percent(g['noise_mape'])} | {_percent(g['neighbour_mape'])} |"
            f" {_percent(g['coverage_90'])} | {_percent(g['settled_share'])} | {_percent(settled.get('mape'))} |"
            f" {_percent(settled.get('limit_mape'))} | {_percent(settled.get('median_mape'))} | {_percent(joules['mape'])} |"
            f" {_percent(joules['coverage_90'])} |"
        )
    return lines


def _key(group: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(group[name] for name in ("op", "device", "dtype", "software", "held_out"))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def accuracy_table(report: dict[str, Any]) -> list[str]:
    """Markdown lines with the figures of each family, device and dtype."""
    lines = [
        "",
        "| family | device | dtype | tables | MAPE | median | p90 | analytical | roofline | noise | coverage |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["by_device_dtype"]:
        noise = "" if row["noise_mape"] is None else f"{row['noise_mape']:.1%}"
        lines.append(
            f"| {row['op']} | {row['device']} | {row['dtype']} | {row['n_groups']} | {row['mape']:.1%} |"
            f" {row['median_ape']:.1%} | {row['p90_ape']:.1%} | {row['analytical_mape']:.1%} | {row['roofline_mape']:.1%} |"
            f" {noise} | {row['coverage_90']:.1%} |"
        )
    return lines

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
    return "\n".join(lines) + "\n"


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
            f" {row['median_ape']:.1%} | {row['p90_ape']:.1%} | {row['analytical_mape']:.1%} | {row['roofline_mape']:.1%} | {noise} |"
            f" {row['coverage_90']:.1%} |"
        )
    return lines

"""Compares predictions of a fixed sample of public measurements with recorded figures (tests/accuracy_gate.json).

python tools/accuracy_gate.py             prints a table; exits with 1 where a figure got worse
python tools/accuracy_gate.py --record    records the figures of now

It tells that a change moved predictions, not how accurate they are: the shipped predictor was trained on these rows, so that
its figures here lie below those of held-out rows (docs/accuracy.md). The analytical model beside it was fitted to some of the
GEMM rows alone. Needs PERFMODEL_SHARED, a folder with data/aiconfigurator and data/neusight; without it nothing is compared.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "tests" / "accuracy_gate.json"
PREDICTORS = ("default", "analytical")
SOURCES: dict[str, dict[str, Sequence[str]]] = {
    "aiconfigurator": {
        "devices": ("a100-sxm-80gb", "h100-sxm"), "families": ("gemm", "attention", "moe", "quantize", "collective"),
    },
    "neusight": {"devices": ("v100-pcie-32gb", "t4"), "families": ("gemm", "conv", "elementwise", "softmax", "norm")},
}  # fmt: skip
"""What is read of each data set: enough for every family, and little enough for seconds."""
ROWS = 80
"""Rows of each upstream file."""
WORSE_MAPE, WORSE_MAPE_SHARE, WORSE_COVERAGE = 0.003, 0.03, 0.02
"""What may get worse: MAPE by 0.3 points or 3 % of itself, whichever is more; coverage by 2 points. The rows are always the
same, so that this is no noise but room for changes that are meant for something else."""

Figures = dict[str, dict[str, dict[str, Any]]]
"""By predictor, by family: ``n``, ``mape``, ``coverage_90``."""


class Line(NamedTuple):
    """One comparison: a recorded figure, the one of now, and what is said of it (``""`` for nothing)."""

    predictor: str
    family: str
    figure: str
    recorded: float | None
    now: float | None
    verdict: str


def sample(data: Path) -> Any:
    """The rows, the same on every machine: of each upstream file some, drawn with a seed of its own."""
    import pandas as pd

    from perfmodel.datasets.build import parts, plan

    chosen = []
    for name, wanted in SOURCES.items():
        for table in parts(plan([name], data / name, devices=wanted["devices"], families=wanted["families"])):
            usable = np.ones(len(table), dtype=bool)
            if "status" in table.columns:
                usable = (table["status"].isna() | (table["status"] == "ok")).to_numpy()
            rows = np.flatnonzero(usable)
            rng = np.random.default_rng(0)
            drawn = np.sort(rng.permutation(rows)[:ROWS])
            chosen.append(
                table.iloc[drawn].astype({c: object for c in table.columns if str(table[c].dtype) == "category"})
            )
    return pd.concat(chosen, ignore_index=True)


def figures(rows: Any) -> Figures:
    """The figures of the sample under each predictor."""
    import perfmodel

    result: Figures = {}
    for predictor in PREDICTORS:
        groups = perfmodel.evaluate(rows, predictor, by=("op",))["groups"]
        result[predictor] = {
            str(g["op"]): {"n": g["n"], "mape": round(g["mape"], 5), "coverage_90": round(g["coverage_90"], 4)}
            for g in groups
        }
    return result


def compare(recorded: Figures, now: Figures) -> list[Line]:
    """Every figure beside the recorded one; ``verdict`` begins with ``worse`` where the gate is shut."""
    lines = []
    for predictor in dict.fromkeys([*recorded, *now]):
        before, after = recorded.get(predictor, {}), now.get(predictor, {})
        for family in sorted({*before, *after}):
            if family not in after or family not in before:
                verdict = "worse: no longer judged" if family not in after else "new: record it"
                counts = [f.get(family, {}).get("n") for f in (before, after)]
                lines.append(Line(predictor, family, "rows", counts[0], counts[1], verdict))
                continue
            old, new = before[family], after[family]
            if old["n"] != new["n"]:
                lines.append(
                    Line(predictor, family, "rows", old["n"], new["n"], "worse: other rows, so nothing can be compared")
                )
                continue
            room = max(WORSE_MAPE, WORSE_MAPE_SHARE * old["mape"])
            lines.append(
                Line(predictor, family, "mape", old["mape"], new["mape"], _verdict(new["mape"] - old["mape"], room))
            )
            fall = old["coverage_90"] - new["coverage_90"]
            lines.append(
                Line(
                    predictor,
                    family,
                    "coverage_90",
                    old["coverage_90"],
                    new["coverage_90"],
                    _verdict(fall, WORSE_COVERAGE),
                )
            )
    return lines


def _verdict(worse_by: float, room: float) -> str:
    if worse_by > room:
        return f"worse by {100 * worse_by:.2f} points; {100 * room:.2f} are allowed"
    return "better: record it" if worse_by < -room else ""


def table(lines: Sequence[Line]) -> str:
    """The comparison as text."""
    rows: list[tuple[str, ...]] = [("predictor", "family", "figure", "recorded", "now", "")]
    for line in lines:
        shown = [_shown(line.figure, value) for value in (line.recorded, line.now)]
        rows.append((line.predictor, line.family, line.figure, *shown, line.verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _shown(figure: str, value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if figure == "rows" else f"{100 * value:.2f} %"


def main(arguments: Sequence[str]) -> int:
    """Compares or records; 0 where nothing got worse, or nothing could be compared."""
    shared = os.environ.get("PERFMODEL_SHARED")
    data = Path(shared) / "data" if shared else None
    if data is None or not all((data / name).is_dir() for name in SOURCES):
        print(f"accuracy gate: skipped, since PERFMODEL_SHARED names no folder with data/{' and data/'.join(SOURCES)}")
        return 0
    now = figures(sample(data))
    if "--record" in arguments:
        from perfmodel.models.artefact import write_json

        write_json(RECORDED.parent, RECORDED.name, now)
    if not RECORDED.is_file():
        print(f"accuracy gate: nothing is recorded in {RECORDED.name}: python tools/accuracy_gate.py --record")
        return 1
    recorded: Mapping[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    lines = compare(dict(recorded), now)
    print(table(lines))
    worse = sum(line.verdict.startswith("worse") for line in lines)
    print(f"accuracy gate: {worse} of {len(lines)} figures got worse" if worse else "accuracy gate: nothing got worse")
    if worse:
        print("If the change is meant: python tools/accuracy_gate.py --record")
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

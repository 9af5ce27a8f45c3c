"""Puts the figures of models/default/accuracy.json into the tables of docs/accuracy.md.

python tools/accuracy_page.py            rewrites the tables
python tools/accuracy_page.py --check    exits with 1 where they differ

A table stands between ``<!-- accuracy: NAME -->`` and ``<!-- end -->``; the text around it is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from perfmodel.card import accuracy_table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
ACCURACY = ROOT / "models" / "default" / "accuracy.json"
_TABLE = re.compile(r"(<!-- accuracy: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables(accuracy: dict[str, Any]) -> dict[str, list[str]]:
    """Lines of Markdown by the name of a table: ``shapes``, ``headline``, and one for each protocol that leaves devices out."""
    reports = {"shapes": accuracy, **accuracy["transfer"]}
    return {"headline": _headline(reports)} | {name: accuracy_table(report) for name, report in reports.items()}


def _headline(reports: dict[str, dict[str, Any]]) -> list[str]:
    """The mean over devices of each dtype that more than one device was measured in, by what was held out."""
    lines = [
        "",
        "| held out | dtype | devices | MAPE | analytical | roofline | noise | coverage, mean | coverage, lowest table |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, report in reports.items():
        rows = report["by_device_dtype"]
        for dtype in dict.fromkeys(r["dtype"] for r in rows):
            mine = [r for r in rows if r["dtype"] == dtype]
            groups = [g["coverage_90"] for g in report["groups"] if g["dtype"] == dtype]
            if len(mine) > 1:
                noises = [r["noise_mape"] for r in mine if r["noise_mape"] is not None]
                noise = f"{_mean(noises):.1%}" if noises else ""
                mean = {key: _mean([r[key] for r in mine]) for key in ("mape", "analytical_mape", "roofline_mape")}
                lines.append(
                    f"| {name} | {dtype} | {len(mine)} | **{mean['mape']:.1%}** | {mean['analytical_mape']:.1%} |"
                    f" {mean['roofline_mape']:.1%} | {noise} | {_mean(groups):.1%} | {min(groups):.1%} |"
                )
    return lines


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def render(page: str, accuracy: dict[str, Any]) -> str:
    """The page with the tables that the figures give.

    Raises:
        KeyError: the page asks for a table that there is none of.
    """
    by_name = tables(accuracy)
    return _TABLE.sub(lambda m: m[1] + "\n".join(by_name[m[2]]) + "\n\n" + m[3], page)


def main() -> int:
    """Rewrites or checks the page."""
    page = PAGE.read_text(encoding="utf-8")
    made = render(page, json.loads(ACCURACY.read_text(encoding="utf-8")))
    if "--check" in sys.argv[1:]:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

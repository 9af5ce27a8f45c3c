"""Writes what follows from the cards and from local copies of the data sets.

    python tools/refresh_datasets.py NAME PATH              counts.csv beside the card: rows of a build of PATH
    python tools/refresh_datasets.py NAME PATH GLOB...      and checksums.txt: of the files below PATH that match
    python tools/refresh_datasets.py                        the table and the sections of docs/datasets.md

PATH has the upstream layout, so that a file's path below it is its path in the repository.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

from perfmodel.datasets.build import Summary, parts, plan
from perfmodel.datasets.cards import load_card
from perfmodel.datasets.registry import ADAPTERS

CHECKOUT = Path(__file__).resolve().parent.parent
ROOT = CHECKOUT / "datasets"
PAGE = CHECKOUT / "docs" / "datasets.md"
GENERATED = "<!-- from the cards, by tools/refresh_datasets.py -->"


def write_counts(name: str, folder: Path) -> None:
    """``counts.csv``: rows by family, device, software and status."""
    summary = Summary()
    for _ in parts(plan([name], folder), summary):
        pass
    with (ROOT / name / "counts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("family", "device", "software", "status", "rows"))
        writer.writerows((*key[1:], count) for key, count in sorted(summary.rows.items()))


def write_checksums(name: str, folder: Path, globs: list[str]) -> None:
    """``checksums.txt``: SHA-256 of the files, as sha256sum prints them."""
    files = sorted({path for glob in globs for path in folder.glob(glob) if path.is_file()})
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (ROOT / name / "checksums.txt").write_text("".join(lines), encoding="utf-8")


def page_of_cards() -> str:
    """The generated part of the page: a table of all sets, then a section each."""
    cards = [load_card(name) for name in ADAPTERS]
    lines = ["| name | holds | devices | rows | licence |", "|---|---|---|---|---|"]
    for card in cards:
        rows = "–" if card.rows is None else f"{card.rows:,}"
        holds = ", ".join(card.families) or "runs"
        lines.append(f"| `{card.id}` | {holds} | {len(card.measured_devices)} | {rows} | {card.licence} |")
    for card in cards:
        at = f" at `{card.commit}`" if card.commit else ""
        lines += ["", f"### {card.id}", "", f"{card.title}. <{card.source}>{at}, licence: {card.licence}.", ""]
        lines += [card.raw["note"], "", f"Layout: `{card.layout}`", ""]
        lines += [f"- {trap}" for trap in card.raw["traps"].values()]
        lines += [f"- `{mark.note or mark.status}`: {mark.why}" for mark in card.marks]
        if card.configuration:
            named = ", ".join(f"`cfg_{name}` {entry['means']}" for name, entry in card.configuration.items())
            lines.append(f"- Kernel parameters: {named}.")
    return "\n".join(lines) + "\n"


def write_page() -> None:
    """Puts the cards into the page, below its marker."""
    text = PAGE.read_text(encoding="utf-8")
    head = text[: text.index(GENERATED) + len(GENERATED)]
    PAGE.write_text(f"{head}\n\n{page_of_cards()}", encoding="utf-8")


if __name__ == "__main__":
    if not sys.argv[1:]:
        write_page()
        sys.exit()
    write_counts(sys.argv[1], Path(sys.argv[2]))
    if sys.argv[3:]:
        write_checksums(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

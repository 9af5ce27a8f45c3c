"""Writes what stands beside a data set's card, from a local copy: ``counts.csv``, and ``checksums.txt`` on request.

    python tools/refresh_datasets.py NAME PATH              counts of a build of PATH
    python tools/refresh_datasets.py NAME PATH GLOB...      and checksums of the files below PATH that match

PATH has the upstream layout, so that a file's path below it is its path in the repository.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

from perfmodel.datasets.build import Summary, parts, plan

ROOT = Path(__file__).resolve().parent.parent / "datasets"


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


if __name__ == "__main__":
    write_counts(sys.argv[1], Path(sys.argv[2]))
    if sys.argv[3:]:
        write_checksums(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

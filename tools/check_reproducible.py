"""Trains a booster of models/default twice from the data: the same bytes both times, and those that ship.

python tools/check_reproducible.py          the part with the fewest rows (a minute)
python tools/check_reproducible.py --each   of every family the part with the fewest rows (a quarter of an hour)
python tools/check_reproducible.py --all    every part of every family (the time of `make predictors`, twice)

Needs PERFMODEL_SHARED, a folder with data/aiconfigurator and data/neusight, and the versions of models/lock.txt (`make
check-reproducible` has them): others may differ in the last bits, and then predictions have to agree within 1e-6.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "models" / "default"
TOLERANCE = 1e-6
"""Relative difference of predictions that other versions, or more threads, may have."""


def traces_of(entry: Mapping[str, Any], data: Path) -> Any:
    """The operator traces that a booster of the manifest was trained on.

    Raises:
        SystemExit: neither data set has rows of it.
    """
    from perfmodel.datasets.build import load
    from perfmodel.errors import InputError
    from perfmodel.models.families import FAMILIES
    from perfmodel.training.tables import learned_parts, load_tables

    family = str(entry["family"])
    op = FAMILIES[family].op
    for name in ("aiconfigurator", "neusight"):
        kinds = ["gemm"] if (name, op) == ("aiconfigurator", "gemm") else None
        try:
            rows = load(name, data / name, families=[op], devices=[entry["device"]], tables=kinds)
        except InputError:
            continue
        for part in learned_parts(load_tables(rows, None)[0], [family], lambda line: None):
            if part.part == entry.get("part", entry["dtype"]):
                return part.rows.reset_index(drop=True).assign(source=name)
    raise SystemExit(f"no rows of {entry['family']} {entry['device']} in {data}")


def check(entry: Mapping[str, Any], manifest: Mapping[str, Any], data: Path) -> list[str]:
    """Trains what an entry of the manifest says, twice; a line for everything that differs."""
    import perfmodel
    from perfmodel.models.constants import Constants

    rows = traces_of(entry, data)
    options: dict[str, Any] = {"constants": Constants.from_dict(manifest["constants"]), "seed": manifest["seed"]}
    hashes, latencies = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for run in ("first", "second"):
            folder = Path(scratch) / run
            perfmodel.train(rows, folder, **options)
            hashes.append(hashlib.sha256((folder / str(entry["file"])).read_bytes()).hexdigest())
            latencies.append(_latencies(perfmodel.load(folder), rows))
    wrong = []
    if hashes[0] != hashes[1]:
        wrong.append(f"two trainings differ: {hashes[0][:12]} and {hashes[1][:12]}")
    if hashes[0] != entry["sha256"]:
        shipped = _latencies(perfmodel.load(SHIPPED), rows)
        difference = float(np.max(np.abs(latencies[0] / shipped - 1)))
        wrong.append(
            f"other bytes than those that ship; predictions differ by up to {difference:.1e} ({TOLERANCE:g} allowed)"
        )
        if difference <= TOLERANCE:
            wrong[-1] += ": within what other versions may give"
    return wrong


def _latencies(predictor: Any, rows: Any) -> np.ndarray:
    """Predictions of some of the rows, each under its own device's fastest stack."""
    some = rows.iloc[:: max(1, len(rows) // 500)]
    columns = {name: some[name].to_numpy(dtype=object) for name in some.columns if name not in ("device", "software")}
    latency: np.ndarray = predictor.predict(columns, str(some["device"].iloc[0])).latency_s
    return latency


def main(arguments: Sequence[str]) -> int:
    """Checks one part, one of each family, or all; 1 where something differs."""
    from perfmodel.models import artefact
    from perfmodel.models.learned import UNSEEN

    shared = os.environ.get("PERFMODEL_SHARED")
    if not shared or not (Path(shared) / "data").is_dir():
        print("check_reproducible needs PERFMODEL_SHARED, a folder with data/aiconfigurator", file=sys.stderr)
        return 2
    manifest = artefact.read_manifest(SHIPPED)
    entries = sorted((e for e in manifest["boosters"] if e["device"] != UNSEEN), key=lambda e: (e["rows"], e["file"]))
    if "--each" in arguments:
        # The last of a reversed list wins: the part with the fewest rows.
        entries = list({e["family"]: e for e in reversed(entries)}.values())
    elif "--all" not in arguments:
        entries = entries[:1]
    failed = 0
    for entry in entries:
        wrong = check(entry, manifest, Path(shared) / "data")
        failed += any("within what" not in line for line in wrong)
        print(f"{entry['file']} ({entry['rows']:,} rows): {'; '.join(wrong) or 'the same bytes, twice and as shipped'}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

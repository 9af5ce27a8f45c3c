"""The adapter of the AIConfigurator tables (``datasets/aiconfigurator/card.toml``).

One upstream file is the measurements of one operator on one system under one version of one framework:
``<system>/<op>/<framework>/<version>/<name>_perf.parquet``. This module finds the files and adds what they have in
common; :mod:`perfmodel.datasets.aiconfigurator_families` turns each family's columns into ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, latency_and_status, read_table
from perfmodel.datasets.aiconfigurator_families import TABLES, software
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

_MILLISECOND = 1e-3
_UNSUPPORTED = "unsupported"


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a file: family by family, within each by path.

    Raises:
        TraceError: no table, a name that the card does not know, or a table without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    patterns = [pattern for table in TABLES.values() for pattern in _patterns(table.folder, table.file)]
    files = find(
        root, patterns, "table of AIConfigurator; wanted .../<system>/<op>/<framework>/<version>/<op>_perf.parquet"
    )
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(path.stem.removesuffix("_perf"), []).append(path)
    for name in TABLES:
        if wanted.family(TABLES[name].family) and wanted.table(name):
            for path in by_name.get(name, ()):
                if wanted.device(_device(path, card)):
                    yield _read_file(path, name, card)


def _patterns(folder: str, file: str) -> list[str]:
    return [f"**/{folder}/*/*/{file}"]


def _device(path: Path, card: Card) -> str:
    system = path.parts[-5]
    device = card.devices.get(system)
    if device is None:
        raise TraceError(f"{path}: the card names no device for the system {system!r}: {', '.join(card.devices)}")
    return device


def _read_file(path: Path, name: str, card: Card) -> pd.DataFrame:
    pandas = require_pandas()
    table = TABLES[name]
    system, _, framework, version = path.parts[-5:-1]
    device = _device(path, card)
    caches = card.raw["cache"]
    if framework not in caches:
        raise TraceError(f"{path}: the card names no cache state for {framework!r}: {', '.join(caches)}")
    raw = read_table(path, (*table.columns, "latency"))
    latency, status = latency_and_status(raw["latency"], _MILLISECOND)
    head = {"device": device, "software": software(raw, path), "op": table.family}
    rows = pandas.DataFrame(head, index=raw.index)
    rows["kernel"] = raw.get("kernel_source")
    for column, values in table.read(raw, card, path).items():
        rows[column] = values
    rows["latency_s"] = latency
    rows["power_w"] = raw["power"] if "power" in raw else float("nan")
    rows["power_limit_w"] = raw["power_limit"] if "power_limit" in raw else float("nan")
    rows["cache"] = caches[framework] if name == "gemm" else table.cache
    rows["collection"] = f"{system}/{framework}/{version}"
    # A format that the card knows but perfmodel has no dtype for: the row stays, as no measurement.
    unsupported = (rows["dtype"] == _UNSUPPORTED).to_numpy()
    rows["dtype"] = rows["dtype"].where(~unsupported)
    rows["status"] = np.where(unsupported, "unsupported dtype", status)
    return rows

"""Kernels of processors among the traces: told apart, trained, and written into a predictor's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets.schema import require_pandas
from perfmodel.datasets.splits import folds_of
from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.files import is_storable
from perfmodel.hardware import load_device
from perfmodel.models import artefact
from perfmodel.models.host.context import COLUMNS
from perfmodel.models.host.features import measured_here
from perfmodel.training.host import HostTable, host_table, threads_of, train_host
from perfmodel.training.host_judged import judged_kernels, judged_runs

if TYPE_CHECKING:
    import pandas as pd

KEPT = (
    *COLUMNS, "source", "collection", "network", "fused", "count", "threads", "run_s", "run_events", "pace",
)  # fmt: skip
"""Columns of traces that training on a processor's kernels reads beside those of descriptors."""


def split_host(tables: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[pd.DataFrame]]:
    """Tables without the kernels of processors, and those by device and software.

    Args:
        tables: usable rows by operator, with the columns :data:`KEPT` where they have them.
    """
    pandas = require_pandas()
    rest, host = {}, []
    for op, table in tables.items():
        here = measured_here({name: table[name].to_numpy() for name in table.columns}) & _on_processors(table)
        if here.any():
            host.append(table[here])
        if not here.all():
            rest[op] = table[~here]
    if not host:
        return rest, []
    plain = [t.astype({c: object for c in t.columns if str(t[c].dtype) == "category"}) for t in host]
    together = pandas.concat(plain, ignore_index=True)
    return rest, [rows for _, rows in together.groupby(["device", "software"], sort=True)]


def _on_processors(table: pd.DataFrame) -> np.ndarray:
    cpus = {name for name in table["device"].astype(str).unique() if load_device(name).kind == "cpu"}
    found: np.ndarray = table["device"].astype(str).isin(cpus).to_numpy()
    return found


def _file(device_id: str, software: str) -> str:
    return f"host/{device_id}/{software}.json.gz"


def check_host(tables: list[pd.DataFrame]) -> None:
    """Refuses, before anything is trained, kernels that cannot be learned together or stored.

    Args:
        tables: by device and software, as :func:`split_host` gives them.

    Raises:
        InputError: kernels of one device and software were measured with several numbers of threads; the name of a software
            can be no file, or that of two would be one where systems do not tell capitals apart.
    """
    seen: dict[str, str] = {}
    for rows in tables:
        device, software = load_device(str(rows["device"].iloc[0])), str(rows["software"].iloc[0])
        file = _file(device.id, software)
        if not is_storable(file):
            raise InputError(
                f"the software {software!r:.200} can be no file of a predictor; wanted letters, digits, dots and dashes: "
                "rename it in the traces"
            )
        if file.casefold() in seen:
            raise InputError(
                f"the software {seen[file.casefold()]!r} and {software!r} on {device.id} would be one file where capitals are "
                "not told apart: rename one in the traces"
            )
        seen[file.casefold()] = software
        threads_of(rows, device)


def write_host(
    tables: list[pd.DataFrame], folder: Path, seed: int, report: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[JudgedRows]]:
    """Trains each device and software, and writes the boosters.

    Returns:
        the manifest's entries; kernels and runs as those see them that were left out.
    """
    entries, judged = [], []
    for rows in tables:
        table = prepared(rows)
        report(
            f"{len(table):,} kernels of {len(set(table.model.tolist()))} models on {table.device.id}, {table.software}"
        )
        trained = train_host(table, seed, report)
        file = _file(table.device.id, table.software)
        sha256 = artefact.write_file(folder, file, trained.kernels.read())
        entries.append(trained.kernels.to_entry() | {"file": file, "sha256": sha256})
        fold = folds_of(table.network.astype(object), seed=seed)
        judged += judged_kernels(table, trained.predicted_s, fold)
        judged += judged_runs(table, trained.predicted_s, fold)
    return entries, judged


def prepared(rows: pd.DataFrame) -> HostTable:
    """The rows of one device and software with their features."""
    return host_table(rows.reset_index(drop=True), load_device(str(rows["device"].iloc[0])))

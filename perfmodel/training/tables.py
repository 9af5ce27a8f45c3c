"""Trace tables as training takes them: usable rows, one table for each family of descriptors, only the columns that matter."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.datasets.schema import check_traces, read_traces, require_pandas, usable, with_device
from perfmodel.errors import InputError, nearest
from perfmodel.hardware import load_device
from perfmodel.models.families import FAMILIES
from perfmodel.models.trace_rows import Part, parts_of
from perfmodel.ops import FAMILIES as DESCRIPTORS
from perfmodel.ops.table import COLUMN_OF_FIELD

if TYPE_CHECKING:
    import pandas as pd

_KEPT = ("device", "software", "op", "kernel", "cache", "latency_s", "launch")


def load_tables(
    traces: pd.DataFrame | str | Path | Iterable[pd.DataFrame | str | Path],
    device: str | Path | None = None,
    keep: Sequence[str] = (),
) -> tuple[dict[str, pd.DataFrame], list[dict[str, Any]]]:
    """The usable rows of some trace tables by operator, and the hashes of their files.

    Args:
        traces: a table or the path of one (Parquet or CSV), or several.
        device: the path of the TOML of a device that the catalogue lacks.
        keep: further columns to keep where a table has them.

    Raises:
        TraceError: a table breaks the schema.
        InputError: no file was given, or no row is usable.
    """
    pandas = require_pandas()
    hashes: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    for item in [traces] if isinstance(traces, (str, Path, pandas.DataFrame)) else traces:
        if isinstance(item, pandas.DataFrame):
            check_traces(item, "traces")
            tables.append(item)
            continue
        path = Path(str(item))
        tables.append(read_traces(path))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        hashes.append({"file": path.name, "sha256": sha256, "rows": len(tables[-1])})
    if not tables:
        raise InputError("no trace file was given to train on")
    if device is not None:
        own = load_device(device).id
        bearing = [t for t in tables if (t["device"].astype(str) == own).any()] or tables[:1]
        tables = [with_device(t, device) if any(t is b for b in bearing) else t for t in tables]
    by_op: dict[str, list[pd.DataFrame]] = {}
    for table in tables:
        table = table[usable(table)]
        for op in map(str, table["op"].unique()):
            rows = table if table["op"].nunique() == 1 else table[table["op"] == op]
            by_op.setdefault(op, []).append(rows[[c for c in (*_columns(op), *keep) if c in rows.columns]])
    if not by_op:
        raise InputError("the traces hold no usable row")
    return {
        op: _compact(pandas.concat(t, ignore_index=True) if len(t) > 1 else t[0]) for op, t in by_op.items()
    }, hashes


def _columns(op: str) -> list[str]:
    aliases = COLUMN_OF_FIELD.get(op, {})
    return [*_KEPT, *(aliases.get(f.name, f.name) for f in dataclasses.fields(DESCRIPTORS[op]))]


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    """Texts as categories: a tenth of the memory, and of what is sent to other processes."""
    texts = [
        c for c in table.columns if table[c].dtype == object or str(table[c].dtype) in ("string", "str", "category")
    ]
    # Sorted, so that equal rows are equal tables whatever files they came in.
    return table.assign(**{c: table[c].astype(object).astype("category") for c in texts}).reset_index(drop=True)


def learned_parts(
    tables: dict[str, pd.DataFrame], families: Sequence[str] | None, report: Callable[[str], None]
) -> list[Part]:
    """The parts of some tables that have a family, in the order of the families; ``report`` hears of rows left out.

    Raises:
        InputError: a family that does not exist, or no row of any.
    """
    for name in families or ():
        if name not in FAMILIES and name not in DESCRIPTORS:
            raise InputError(f"there is no family {name!r}: {nearest(name, FAMILIES)}")
    parts = [part for table in tables.values() for part in parts_of(table)]
    wanted = [
        p for p in parts if p.family is not None and (not families or p.family.name in families or p.op in families)
    ]
    others = sum(len(p.rows) for p in parts) - sum(len(p.rows) for p in wanted)
    if others:
        why = "families that were not asked for" if families else "operators that nothing is learned of"
        report(f"{others} rows of {why} are left out")
    if not wanted:
        raise InputError("the traces hold no usable row to train on")
    order = list(FAMILIES)
    return sorted(wanted, key=lambda p: order.index(p.name))

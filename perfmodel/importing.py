"""Traces that other tools wrote, as tables of operator traces: one door for every format.

The formats stand in :mod:`perfmodel.collect.importers.registry`; that of ONNX Runtime's profiles is added here, since it joins
the profile with a graph.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.collect.importers import registry
from perfmodel.collect.importers.registry import Format, Request
from perfmodel.collect.importers.rows import Imported
from perfmodel.datasets.schema import check_traces, require_pandas
from perfmodel.errors import InputError, checked_keywords, checked_methods
from perfmodel.hardware import load_device

if TYPE_CHECKING:
    import pandas as pd


@checked_methods()
@dataclass(frozen=True)
class ImportedTable:
    """Imported files as one table.

    Attributes:
        table: operator traces; ``collection`` is the file, with as much of its path as tells the given ones apart.
        formats: the format of each file, by its name.
        passed_over: what is no row, by reason, and how often.
    """

    table: pd.DataFrame
    formats: Mapping[str, str]
    passed_over: Mapping[str, int] = field(default_factory=dict)


@checked_keywords()
def import_traces(
    *paths: str | Path, request: Request, format: str | None = None, report: Callable[[str], None] = lambda line: None
) -> ImportedTable:
    """The operators of some files.

    Args:
        paths: files that profilers, tuners or runtimes wrote.
        request: what the files do not tell of themselves; its device is looked up.
        format: what they are; None: each is looked at.
        report: receives a line before each file.

    Raises:
        InputError: no file, an unknown format, or something that a format needs is missing.
        DeviceError: an unknown device.
        TraceError: a file is damaged, or holds no operator that is understood.
        MissingExtraError: pandas is not installed.
    """
    if not paths:
        raise InputError("no trace was given")
    pandas = require_pandas()
    device = load_device(request.device)
    chosen = None if format is None else registry.format_of(format, _OF_GRAPHS)
    tables, found, passed_over = [], {}, Counter[str]()
    files = list(map(Path, paths))
    collections = _collections(files)
    for done, (path, collection) in enumerate(zip(files, collections, strict=True)):
        report(f"{done}/{len(paths)} files read; reading {collection}")
        kind = registry.detect(path, _OF_GRAPHS) if chosen is None else chosen
        imported = kind.read(path, request)
        table = pandas.DataFrame(imported.columns).assign(collection=collection)
        check_traces(table, str(path))
        tables.append(table.assign(device=table["device"].replace(request.device, device.id)))
        found[str(path)] = kind.name
        passed_over.update(imported.passed_over)
    return ImportedTable(pandas.concat(tables, ignore_index=True), found, dict(passed_over))


def _collections(files: list[Path]) -> list[str]:
    """What each file is called in the table: its name, and of its folders as many as tell the files apart."""
    found: dict[Path, str] = {}
    depth = 1
    while rest := [file for file in dict.fromkeys(files) if file not in found]:
        alike = Counter(file.parts[-depth:] for file in rest)
        found |= {
            file: Path(*file.parts[-depth:]).as_posix()
            for file in rest
            if alike[file.parts[-depth:]] == 1 or depth >= len(file.parts)
        }
        depth += 1
    return [found[file] for file in files]


def format_names() -> list[str]:
    """What ``format`` may be."""
    return registry.format_names(_OF_GRAPHS)


def titles() -> dict[str, str]:
    """What each of our formats is."""
    return {name: f.title for name, f in registry.formats(_OF_GRAPHS).items()}


def _is_profile(head: str) -> bool:
    return re.search(r'"cat"\s*:\s*"(Session|Node)"', head) is not None


def _read_profile(path: Path, request: Request) -> Imported:
    from perfmodel.profiled import import_profile

    if request.graph is None:
        raise InputError(
            f"{path}: a profile of ONNX Runtime belongs to a graph: give the file of optimized_model_filepath as --graph"
        )
    profiled = import_profile(
        path, request.graph, request.device, request.software, dims=request.dims, warm_up=request.warm_up,
        threads=request.threads, source=request.source or "onnxruntime-profile",
    )  # fmt: skip
    columns = {name: [_or_none(v) for v in profiled.table[name].tolist()] for name in profiled.table.columns}
    return Imported(columns, Counter(reason for _, reason, _ in profiled.left_out))


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


_OF_GRAPHS = {
    "onnxruntime": Format("onnxruntime", "profile of ONNX Runtime; needs the saved graph", _is_profile, _read_profile)
}


def counted(found: ImportedTable) -> dict[str, Any]:
    """What was imported, as ``import --json`` has it."""
    table = found.table
    operators = {str(op): int(count) for op, count in table["op"].value_counts(sort=False).items()}
    failed = int((table["status"].fillna("ok") != "ok").sum()) if "status" in table else 0
    return {
        "rows": len(table), "failed": failed, "operators": operators, "files": dict(found.formats),
        "passed_over": dict(found.passed_over),
    }  # fmt: skip

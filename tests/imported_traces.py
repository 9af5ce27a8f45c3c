"""What tests of imported traces share: files written, read, and the descriptors of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from profile_doubles import FILES

from perfmodel.collect.importers.registry import Request
from perfmodel.importing import import_traces
from perfmodel.ops.table import from_columns

pandas = pytest.importorskip("pandas", reason="traces need the extra train")

HERE = Request("a100-sxm-80gb", "stack-1.0")


def written(folder: Path, name: str, text: str | None = None) -> Path:
    path = folder / name
    path.write_text(FILES[name][0] if text is None else text)
    return path


def imported(folder: Path, name: str) -> tuple[list[dict[str, Any]], Any]:
    found = import_traces(written(folder, name), request=HERE)
    return [{k: v for k, v in row.items() if not pandas.isna(v)} for row in found.table.to_dict("records")], found


def operators(table: Any) -> list[Any]:
    """The descriptor of each row."""
    found: dict[int, Any] = {}
    for group in from_columns({name: table[name] for name in table.columns}):
        for i, row in enumerate(group.rows):
            found[int(row)] = group.taken(slice(i, i + 1)).op
    return [found[i] for i in range(len(table))]


def same(op: Any, wanted: Any) -> bool:
    names = wanted.dimension_names()
    return type(op) is type(wanted) and all(
        float(getattr(op, n)[0]) == float(getattr(wanted, n)) for n in names if getattr(wanted, n) is not None
    )

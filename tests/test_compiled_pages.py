"""The tool that writes what compiled modules say into the pages."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import compiled_pages as tool  # noqa: E402 - a script beside the package


def test_only_what_is_marked_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before <!-- rows: begin -->old<!-- rows: end --> after\n")
    tool.put(page, "rows", "new")
    assert page.read_text() == "before <!-- rows: begin -->new<!-- rows: end --> after\n"
    with pytest.raises(SystemExit, match="no marks <!-- tiles: begin -->"):
        tool.put(page, "tiles", "new")


def test_stores_of_the_frame_beside_the_remarks() -> None:
    table = pd.DataFrame(
        {
            "spill_stores": [0, 10, 4, 3], "spill_loads": [0, 10, 2, 0], "vector_slots": [0, 8, 2, 0],
            "regalloc_spills": [0, 20, 4, 0], "regalloc_reloads": [0, 9, 3, 0],
        }
    )  # fmt: skip
    said = tool.spills(table)
    # The last has stores and no place; both that have places agree on more than 8, and the stores are 0.5 and 1 of the spills.
    assert said.startswith("of 4 dispatches 75 % have")
    assert "of the 2 that have places, 100 % have more than" in said
    assert "0.75 of the spills" in said


def test_tiles_are_written_on_the_product_of_the_example() -> None:
    text = tool.tiled(tool.EXAMPLE.read_text(encoding="utf-8"), (8, 50, 0), (4, 8, 2))
    assert text.count("linalg.matmul {compilation_info = ") == 1
    assert "vector_common_parallel = [4, 8, 0], vector_reduction = [0, 0, 2]" in text


def test_the_pages_are_filled() -> None:
    for name, marks in (("compiled-modules.md", ("spills", "rows")), ("characterise.md", ("tiles", "fused"))):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        for mark in marks:
            inside = page.partition(f"<!-- {mark}: begin -->")[2].partition(f"<!-- {mark}: end -->")[0]
            assert any(c.isdigit() for c in inside), (
                f"{name}: {mark} says nothing; python tools/compiled_pages.py --compile"
            )

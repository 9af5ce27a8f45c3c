"""The worked example of docs/memory.md is what the plan says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfmodel.features.fusion import fuse
from perfmodel.features.onnx import read_onnx
from perfmodel.predict.cast import cast
from perfmodel.predict.memory import MemoryPlan, plan

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found() -> MemoryPlan:
    model = read_onnx(str(ROOT / "examples" / "resnet18.onnx"), dims={"batch": 8})
    return plan(cast(fuse(model), "bf16"))


@pytest.mark.parametrize(
    ("row", "position"),
    [("`stem`:", 0), ("`stem.pool`", 1), ("first block, first", 2), ("first block, second", 3)],
)
def test_the_rows_of_the_table(found: MemoryPlan, row: str, position: int) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row}"))
    figure = float(re.findall(r"([\d.]+)\**(?: MB)?\** \|$", line)[0])
    assert found.profile[position] - found.weights_bytes == pytest.approx(figure * 1e6, abs=1.1e3)


def test_the_totals(found: MemoryPlan) -> None:
    total = re.search(r"needs ([\d.]+) \+ ([\d.]+) =\s+\*\*([\d.]+) MB\*\*", PAGE)
    assert total is not None
    weights, others, peak = (float(n) * 1e6 for n in total.groups())
    assert (found.weights_bytes, found.peak_bytes - found.weights_bytes, found.peak_bytes) == pytest.approx(
        (weights, others, peak), abs=1.1e3
    )
    assert found.peak_node == "stem.pool"
    # By hand: what is alive at the peak, in bytes.
    assert found.peak_bytes - found.weights_bytes == 2 * (8 * 3 * 224 * 224 + 8 * 64 * 112 * 112 + 8 * 64 * 56 * 56)

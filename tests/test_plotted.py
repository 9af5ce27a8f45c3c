"""What accuracy.json carries for plots: the same sample however rows are parted, and figures by size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from perfmodel.evaluate import JudgedRows
from perfmodel.plotted import SAMPLE, plotted, seen


def judged(
    device: str = "h100-sxm", software: str = "vllm-1", rows: int = 500, *, error: float = 0.1, seed: int = 0
) -> Any:
    """Rows from a microsecond to ten milliseconds, predicted a share too slow."""
    measured = np.exp(np.random.default_rng(seed).uniform(np.log(1e-6), np.log(1e-2), rows))
    predicted = measured * (1 + error)
    return JudgedRows(
        device, "bf16", software, measured, predicted, predicted * 0.9, predicted * 1.1, measured * 2, measured / 2,
        np.arange(rows).astype(str), 5,
    )  # fmt: skip


TABLES = [judged("h100-sxm"), judged("l40s", seed=1), judged("l40s", "sglang-1", 40, error=0.3, seed=2)]


def test_the_sample_does_not_depend_on_how_rows_are_parted() -> None:
    together = plotted([seen(TABLES)])
    apart = plotted([seen([t]) for t in reversed(TABLES)])
    assert together == apart
    scatter = together["scatter"]["gemm"]
    assert scatter["rows"] == 1040
    counts = {device: len(figures["measured_s"]) for device, figures in scatter["devices"].items()}
    assert sum(counts.values()) == SAMPLE
    # 500 of 1,040 rows are the H100's: of 240 chosen blindly 115, give or take four standard deviations (7.7).
    assert abs(counts["h100-sxm"] - 115) < 31
    pairs = set(zip(np.round(TABLES[0].measured, 12), np.round(TABLES[0].predicted, 12), strict=True))
    for measured, predicted in zip(*scatter["devices"]["h100-sxm"].values(), strict=True):
        assert any(abs(measured / m - 1) < 1e-3 and abs(predicted / p - 1) < 1e-3 for m, p in pairs)


def test_few_rows_are_all_shown() -> None:
    few = judged(rows=7)
    scatter = plotted([seen([few])])["scatter"]["gemm"]
    shown = scatter["devices"]["h100-sxm"]["measured_s"]
    assert sorted(shown) == pytest.approx(sorted(few.measured), rel=1e-3)
    assert shown[0] == float(f"{shown[0]:.3e}")


def test_figures_by_size_are_means_over_tables() -> None:
    rows = plotted([seen(TABLES)])["by_size"]
    assert [(r["device"], r["size"]) for r in rows] == [
        (device, size) for device in ("h100-sxm", "l40s") for size in ("<10us", "<100us", "<1ms", ">=1ms")
    ]  # fmt: skip
    assert {r["op"] for r in rows} == {"gemm"}
    for r in rows:
        # Two tables of the L40S with errors of 10 and 30 %, whatever their numbers of rows.
        assert r["mape"] == pytest.approx(0.1 if r["device"] == "h100-sxm" else 0.2)
        assert r["analytical_mape"] == pytest.approx(1.0)
        assert r["coverage_90"] == pytest.approx(1.0 if r["device"] == "h100-sxm" else 0.5)
    edges = (TABLES[0].measured < 1e-5).sum()
    assert rows[0]["n"] == edges


def test_it_is_plain_json() -> None:
    part = seen(TABLES)
    assert plotted([json.loads(json.dumps(part))]) == plotted([part])
    assert plotted([]) == plotted([{}]) == {"scatter": {}, "by_size": []}

"""Joining what several machines' runs of `perfmodel collect-mlir` gave: times that the anchor casts doubt on are left out."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import join_compiled as tool  # noqa: E402 - a script beside the package


def test_times_beside_a_slow_anchor_are_left_out() -> None:
    table = pd.DataFrame(
        {
            "module": list("abcde"), "latency_s": [1e-3, 2e-3, 3e-3, 4e-3, None], "latency_rel_std": [0.01] * 5,
            "samples": [9] * 5, "latency_status": ["ok"] * 4 + ["refused"],
            "anchor_gemm_s": [0.004, 0.0042, 0.012, 0.004, None], "anchor_copy_s": [0.004, 0.004, 0.012, 0.006, None],
        }
    )  # fmt: skip
    found = tool.undisturbed(table)
    # Medians are 0.0041 and 0.005: c is three times as slow at both, d (0.006) stays below 1.25 times.
    assert found["latency_s"].notna().tolist() == [True, True, False, True, False]
    assert found["latency_status"].tolist() == ["ok", "ok", "left out: the anchor beside it was slow", "ok", "refused"]
    assert table["latency_s"].notna().sum() == 4  # the table that was given is as it was

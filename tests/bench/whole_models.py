"""Whole networks on GPUs whose runs are in no training set: EnergAIzer's A100-PCIe-40GB and A10.

    PERFMODEL_SHARED=... python tests/bench/whole_models.py

Prints the mean and median error of the predicted time per iteration, analytical and blended.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from perfmodel.datasets.energaizer import Run, failed, read_runs
from perfmodel.hardware import load_device
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.predictor import Predictor, load
from perfmodel.predict.compose import with_launches
from perfmodel.predict.result import Estimate

_COLLECTIONS = {
    "a10": "a10 | 900 MHz", "a100": "a100-pcie-40gb | 900 MHz", "dvfs": "a100-pcie-40gb | 510-1410 MHz", "all": "all | all",
}  # fmt: skip


def predicted_s(run: Run, predictor: Predictor) -> tuple[float, float]:
    """Seconds of one iteration, eager launches; and the device's share of it."""
    counts = Counter(run.operators)
    e = predictor.predict(list(counts), run.device, clock_hz=run.clock_hz)
    device_s = float((e.latency_s * np.array(list(counts.values()))).sum())
    return with_launches(Estimate(device_s, 0.0, 0.0), len(run.operators), "eager")[0].value, device_s


def usable(run: Run) -> bool:
    """Leaves out failed runs: those above the peak of the arithmetic at that clock."""
    machine = Machine.of(
        load_device(run.device), "bf16" if run.precision == "bf16" else "tf32", Conditions(clock_hz=run.clock_hz)
    )
    return not failed(run, machine.peak_flops)


def main() -> None:
    """Prints the table."""
    root = Path(os.environ["PERFMODEL_SHARED"]) / "data" / "energaizer"
    for complete in (True, False):
        everything = read_runs(root, complete=complete)
        runs = [r for r in everything if usable(r)]
        print(
            f"\noperator lists {'completed' if complete else 'as published'}: {len(runs)} of {len(everything)} runs usable\n"
        )
        _table(runs, {"analytical": load("analytical"), "blended": load("default")})


def _table(runs: list[Run], predictors: dict[str, Predictor]) -> None:
    heads = "".join(f" {name} mean | median |" for name in predictors)
    print(f"| device | clock | precision | runs |{heads}")
    print("|---" * (4 + 2 * len(predictors)) + "|")
    for collection, name in _COLLECTIONS.items():
        for precision in ("bf16", "fp32", "both"):
            mine = [r for r in runs if collection in (r.collection, "all") and precision in (r.precision, "both")]
            cells = []
            for predictor in predictors.values():
                error = np.array([abs(predicted_s(r, predictor)[0] / r.latency_s - 1) for r in mine])
                cells.append(f" {error.mean():.1%} | {np.median(error):.1%} |")
            print(f"| {name} | {precision} | {len(mine)} |" + "".join(cells))


if __name__ == "__main__":
    main()

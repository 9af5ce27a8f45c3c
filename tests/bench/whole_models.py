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
from perfmodel.predict.compose import EAGER_DISPATCH_S


def predicted_s(run: Run, predictor: Predictor) -> tuple[float, float]:
    """Seconds of one iteration, eager launches; and the device's share of it."""
    counts = Counter(run.operators)
    e = predictor.predict(list(counts), run.device, clock_hz=run.clock_hz)
    device_s = float((e.latency_s * np.array(list(counts.values()))).sum())
    return max(device_s, EAGER_DISPATCH_S * len(run.operators)), device_s


def usable(run: Run) -> bool:
    """Leaves out failed runs: those above the peak of the arithmetic at that clock."""
    machine = Machine.of(load_device(run.device), "bf16" if run.precision == "bf16" else "tf32", Conditions(clock_hz=run.clock_hz))
    return not failed(run, machine.peak_flops)


def main() -> None:
    """Prints the table."""
    root = Path(os.environ["PERFMODEL_SHARED"]) / "data" / "energaizer"
    runs = [r for r in read_runs(root) if usable(r)]
    predictors = {"analytical": load("analytical"), "blended": load("default")}
    if os.environ.get("DETAIL"):
        for r in sorted(runs, key=lambda r: (r.collection, r.workload)):
            p, d = predicted_s(r, predictors["blended"])
            print(f"{r.collection:5s} {r.workload:50s} {r.clock_hz / 1e6:6.0f} {r.latency_s * 1e3:8.2f} {p * 1e3:8.2f} {p / r.latency_s - 1:+.2f} {r.latency_s / len(r.operators) * 1e6:6.1f}")
    print(f"{'collection':10} {'precision':9} {'runs':>5}  " + "  ".join(f"{n + ' mean':>15} {'median':>7}" for n in predictors))
    for collection in ("a10", "a100", "dvfs", "all"):
        for precision in ("bf16", "fp32", "both"):
            mine = [r for r in runs if collection in (r.collection, "all") and precision in (r.precision, "both")]
            if not mine:
                continue
            cells = []
            for predictor in predictors.values():
                error = np.array([abs(predicted_s(r, predictor)[0] / r.latency_s - 1) for r in mine])
                cells.append(f"{error.mean():>15.1%} {np.median(error):>7.1%}")
            print(f"{collection:10} {precision:9} {len(mine):>5}  " + "  ".join(cells))


if __name__ == "__main__":
    main()

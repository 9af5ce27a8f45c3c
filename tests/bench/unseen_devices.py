"""GPUs that no training has seen, predicted from their catalogue file alone, against AIConfigurator's measured products.

    pip install --no-deps aiconfigurator-core && python tests/bench/unseen_devices.py

Prints the mean and median error in bf16, next to the plain roofline's, and how many measurements fall below the floor.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from perfmodel.hardware import load_device
from perfmodel.models.predictor import load
from perfmodel.ops import Gemm

TABLES = {
    "gb300": "gb300/gemm/vllm/0.24.0",
    "b300-sxm": "b300_sxm/gemm/vllm/0.24.0",
    "rtx-pro-6000-server": "rtx_pro_6000_server/gemm/vllm/0.24.0",
    "arc-pro-b60": "b60/gemm/vllm/0.20.0",
}
ROWS, SEED = 3_000, 0


def main() -> None:
    """Predict a sample of each table and print the errors."""
    spec = find_spec("aiconfigurator_core")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs the package aiconfigurator-core: pip install --no-deps aiconfigurator-core")
    data, predictor = Path(spec.submodule_search_locations[0]) / "systems" / "data", load("default")
    print(f"{'device':<22}{'rows':>6}{'mean':>8}{'median':>8}{'bias':>8}{'roofline':>10}{'below floor':>13}")
    for name, table in TABLES.items():
        device = load_device(name)
        rows = pd.read_parquet(data / table / "gemm_perf.parquet")
        rows = rows[(rows["gemm_dtype"] == "bfloat16") & (rows["latency"] > 0)].sample(ROWS, random_state=SEED)
        m, n, k = (rows[column].to_numpy(np.float64) for column in "mnk")
        measured_s = rows["latency"].to_numpy() * 1e-3
        e = predictor.predict(Gemm(m=m, n=n, k=k, dtype="bf16"), device)
        roofline_s = np.maximum(
            2 * m * n * k / device.peak_flops["bf16"],
            2 * (m * k + n * k + m * n) / device.memory_bandwidth_bytes_per_s,
        )
        error, roofline = (np.abs(s / measured_s - 1) for s in (e.latency_s, roofline_s))
        print(
            f"{name:<22}{len(rows):>6}{error.mean():>8.1%}{np.median(error):>8.1%}"
            f"{np.median(e.latency_s / measured_s) - 1:>8.1%}{roofline.mean():>10.1%}"
            f"{np.mean(measured_s < e.floor_s):>13.2%}"
        )


if __name__ == "__main__":
    main()

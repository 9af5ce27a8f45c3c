"""The analytical model of convolutions against NeuSight's fp32 kernels (3x3, stride 1, padding 1; cuDNN 8.9).

    PERFMODEL_SHARED=... python tests/bench/convolutions.py

Prints errors by GPU and by size, and how often the algorithm is the one that ran (from the names of the kernels).
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from perfmodel.models.predictor import load
from perfmodel.ops import Conv

GPUS = {
    "p100-pcie-16gb": "Tesla P100-PCIE-16GB", "p4": "Tesla P4", "t4": "Tesla T4", "v100-pcie-32gb": "Tesla V100-PCIE-32GB",
}  # fmt: skip
_FOLDER = "data/neusight/scripts/asplos/data/dataset/train/collect/conv/p2.1.0"
SIZES = ((0.0, 0.3e-3), (0.3e-3, 1e-3), (1e-3, 3e-3), (3e-3, 10e-3), (10e-3, np.inf))
_ALGORITHMS = (
    ("winograd_nonfused", "winograd_nonfused"), ("winograd", "winograd_fused"), ("fft", "fft"),
    ("im2col", "im2col_gemm"),
)  # fmt: skip


def read(root: Path, device: str) -> tuple[Conv, np.ndarray, np.ndarray]:
    """The rows of a GPU: descriptors with arrays, measured seconds, the algorithm that ran."""
    with (root / _FOLDER / f"{GPUS[device]}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def column(name: str) -> np.ndarray:
        return np.array([float(r[name]) for r in rows])

    size, kernel, pad, stride = (column(n) for n in ("Input_Size", "Kernel_Szie", "Padding", "Stride"))
    op = Conv(
        batch=column("B"), c_in=column("Input_Channel"), c_out=column("Output_Channel"), h=size, w=size,
        kernel_h=kernel, kernel_w=kernel, pad_h=pad, pad_w=pad, stride_h=stride, stride_w=stride,
        dilation_h=np.ones(len(rows)), dilation_w=np.ones(len(rows)), groups=np.ones(len(rows)), depth=np.ones(len(rows)),
        kernel_d=np.ones(len(rows)), stride_d=np.ones(len(rows)), pad_d=np.zeros(len(rows)),
        dilation_d=np.ones(len(rows)), out_pad_h=np.zeros(len(rows)), out_pad_w=np.zeros(len(rows)),
        out_pad_d=np.zeros(len(rows)), dtype="fp32",
    )  # fmt: skip
    ran = [next((name for part, name in _ALGORITHMS if part in r["Kernels"].lower()), "implicit_gemm") for r in rows]
    return op, column("Latency") * 1e-3, np.array(ran, dtype=object)


def _cells(log_error: np.ndarray) -> str:
    error = np.abs(np.expm1(log_error))
    return f" {len(error)} | {error.mean():.1%} | {np.median(error):.1%} | {np.expm1(np.median(log_error)):+.1%} |"


def main() -> None:
    """Prints the tables."""
    root = Path(os.environ["PERFMODEL_SHARED"])
    predictor = load("analytical")
    print("| device | latency | rows | MAPE | median | median bias |\n|---|---|---|---|---|---|")
    everything, sizes, agreement = [], [], []
    for device in GPUS:
        op, measured, ran = read(root, device)
        e = predictor.predict(op, device, cache="warm")
        log_error = np.log(e.latency_s / measured)
        everything.append(log_error)
        sizes.append(measured)
        print(f"| {device} | all |" + _cells(log_error))
        chosen = getattr(e, "algorithm", None)
        if chosen is not None:
            agreement.append((device, ran, chosen, log_error))
    log_error, measured = np.concatenate(everything), np.concatenate(sizes)
    for low, high in SIZES:
        rows = (measured >= low) & (measured < high)
        print(f"| all | {low * 1e3:g} to {high * 1e3:g} ms |" + _cells(log_error[rows]))
    print("| all | above 1 ms |" + _cells(log_error[measured > 1e-3]))
    print("| all | all |" + _cells(log_error))
    print("\n| device | ran | rows | same chosen | MAPE | median bias |\n|---|---|---|---|---|---|")
    for device, ran, chosen, errors in agreement:
        for name in sorted(set(ran)):
            mine = ran == name
            error = np.abs(np.expm1(errors[mine]))
            print(
                f"| {device} | {name} | {mine.sum()} | {np.mean(chosen[mine] == name):.0%} | {error.mean():.1%} |"
                f" {np.expm1(np.median(errors[mine])):+.1%} |"
            )


if __name__ == "__main__":
    main()

"""The adapter of the EnergAIzer measurements: whole networks on an A100-PCIe-40GB and an A10 at pinned clocks.

:func:`read` gives every run as a row of a run table (``datasets/energaizer/card.toml``); :func:`read_runs` those that can
be joined with the upstream list of the operators that they executed. The lists leave out what eager PyTorch also runs,
which ``complete`` adds, from how the networks are written and not from their times:

- a batch normalisation after every convolution (ResNet-101 and MobileViT have one after each, He et al. 2016);
- the layout conversions around cuDNN's matrix-unit convolutions, which compute in NHWC while eager PyTorch keeps NCHW: one
  kernel before and one after each (cuDNN Developer Guide, "Tensor Layout": NCHW tensors are converted);
- the copies that make the operands of batched products contiguous after heads were split (``torch.matmul`` on permuted
  views copies each operand), and the one that merges the heads again.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.datasets.adapter import EVERYTHING, Wanted
from perfmodel.datasets.cards import Card
from perfmodel.datasets.runs import operator_table
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import TraceError
from perfmodel.hardware import load_device
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Norm, Operator, Softmax

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "energaizer"
MEASUREMENTS = {"a10": "a10", "a100": "a100-pcie-40gb", "dvfs": "a100-pcie-40gb"}
"""Upstream folder of measurements to device id."""

_ELEMENTWISE = {
    "gelu": ("gelu", 1), "pointwise_add": ("add", 2), "pointwise_mul": ("mul", 2), "relu": ("relu", 1),
    "scalar_add": ("add", 1), "scalar_mul": ("mul", 1), "silu": ("silu", 1), "tanh": ("tanh", 1),
    "unspecified_scalar": ("mul", 1), "unspecified_tensor": ("add", 2),
}  # fmt: skip
_CASTS = {"typecast_to_bf16": ("fp32", "bf16"), "typecast_to_fp32": ("bf16", "fp32")}


@dataclass(frozen=True)
class Run:
    """One measured run of a network, per iteration.

    Attributes:
        workload: upstream name without the clock.
        device: device id.
        collection: upstream folder.
        clock_hz: average SM clock.
        latency_s, energy_j: of one iteration.
        operators: what it executes, in order.
        precision: ``"bf16"`` or ``"fp32"``.
    """

    workload: str
    device: str
    collection: str
    clock_hz: float
    latency_s: float
    energy_j: float
    operators: tuple[Operator, ...]
    precision: str


def read_runs(root: str | Path, *, complete: bool = True) -> list[Run]:
    """All runs that have an operator list; fp32 runs take the bf16 list with its precision replaced.

    Args:
        root: the data set's folder (the one that holds ``test/data``).
        complete: add the operators that the lists leave out (see the module).

    Raises:
        TraceError: the folder has another layout, or an operator list holds something unknown.
    """
    data = _data(root)
    lists = _lists(data)
    if not lists:
        raise TraceError(f"{root} holds no operator lists; wanted test/data/workloads/**/*.json")
    runs = []
    for folder, device in MEASUREMENTS.items():
        for name, clock_hz, latency_s, energy_j, _ in _measurements(data / "measurements" / folder):
            workload, precision = _named(name)
            path = _list_of(workload, lists)
            if path is None:
                continue
            operators = tuple(_operators(precision, path, complete))
            runs.append(Run(workload, device, folder, clock_hz, latency_s, energy_j, operators, precision))
    return runs


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """Every measured run, one table a folder of measurements.

    A run whose products alone would have run above the device's peak broke off early; its status says so.

    Raises:
        TraceError: the folder has another layout.
        MissingExtraError: pandas is not installed.
    """
    pandas = require_pandas()
    data = _data(root)
    lists = _lists(data)
    flops: dict[tuple[str, Path], float] = {}
    for folder, device in MEASUREMENTS.items():
        if not wanted.device(device):
            continue
        rows = []
        for name, clock_hz, latency_s, energy_j, temperature_c in _measurements(data / "measurements" / folder):
            workload, precision = _named(name)
            path = _list_of(workload, lists)
            broken = False
            if path is not None:
                if (precision, path) not in flops:
                    flops[precision, path] = sum(op.product_flops for op in _operators(precision, path, complete=False))
                broken = flops[precision, path] / latency_s > _peak_flops(device, precision, clock_hz)
            pinned = re.search(r"_freq(\d+)_iter(\d+)", name)
            batch = re.search(r"_b(\d+)_", f"{workload}_")
            rows.append({
                "device": device, "software": card.raw["software"]["stack"], "launch": "eager",
                "network": re.split(r"_+p(?:bf16|fp32)", workload)[0],
                "operators": None if path is None else f"{precision}/{path.stem}",
                # With how attention was run, which some networks were measured both ways.
                "workload": re.sub(r"(_freq\d+)?(_iter\d+)?\.csv$", "", name),
                "batch": int(batch[1]) if batch else None, "phase": "prefill" if "_modeprefill" in workload else None,
                "dtype": precision, "latency_s": latency_s, "power_w": energy_j / latency_s, "energy_j": energy_j,
                "clock_mhz": clock_hz * 1e-6, "temperature_c": temperature_c, "collection": folder,
                "samples": int(pinned[2]) if pinned else None,
                "status": "above the peak: broke off early" if broken else "ok",
                # Below the clock that it was pinned to: the power limit held it back.
                "note": "power capped" if pinned and clock_hz * 1e-6 < 0.99 * int(pinned[1]) else None,
            })  # fmt: skip
        yield pandas.DataFrame(rows)


def operator_lists(root: str | Path, card: Card) -> Callable[[str], pd.DataFrame]:
    """The completed operator list that a value of the column ``operators`` names, as a table with counts."""
    lists = _lists(_data(root))

    def table(reference: str) -> pd.DataFrame:
        precision, name = reference.split("/")
        counts = Counter(_operators(precision, lists[name], complete=True))
        return operator_table((op, count, {}) for op, count in counts.items())

    return table


def _data(root: str | Path) -> Path:
    return Path(root) / "test" / "data"


def _lists(data: Path) -> dict[str, Path]:
    """The operator lists by name."""
    return {path.stem: path for path in sorted(data.glob("workloads/**/*.json"))}


def _named(name: str) -> tuple[str, str]:
    """Workload (without clock) and precision of an upstream name."""
    workload = re.sub(r"_freq\d+_iter\d+\.csv$", "", name).replace("_attneager", "")
    return workload, "fp32" if "_pfp32" in workload else "bf16"


def _list_of(workload: str, lists: dict[str, Path]) -> Path | None:
    """The operator list of a workload; fp32 runs take the bf16 list."""
    stem = workload.replace("_pfp32", "_pbf16")
    # Image networks keep the clock in the list's name.
    return lists.get(stem) or lists.get(f"{stem}_freq900")


def _peak_flops(device: str, precision: str, clock_hz: float) -> float:
    """FLOP/s that the fastest arithmetic of a precision reaches at a clock (TF32 for fp32 convolutions)."""
    record = load_device(device)
    arithmetic = record.arithmetic("bf16" if precision == "bf16" else "tf32")
    peak_clock = record.clock_hz(arithmetic.name)
    return arithmetic.peak_flops * (clock_hz / peak_clock if peak_clock else 1.0)


def _measurements(folder: Path) -> list[tuple[str, float, float, float, float | None]]:
    """Name, clock [Hz], seconds and joules of one iteration, and degrees Celsius of each run."""
    path = folder / "nvml" / "nvml_parsed.csv"
    try:
        with path.open(newline="") as file:
            return [
                (
                    str(row["workload"]),
                    float(row["avg_freq"]) * 1e6,
                    float(row["time"]) * 1e-3,
                    float(row["energy"]),
                    float(row["temp"]) if row.get("temp") else None,
                )
                for row in csv.DictReader(file)
            ]
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{path} is no table of measurements that this version reads: {error!r}") from None


def _operators(precision: str, path: Path, complete: bool) -> Iterator[Operator]:
    try:
        entries = json.loads(path.read_bytes())
    except ValueError as error:
        raise TraceError(f"{path} is no JSON: {error}") from None
    if not isinstance(entries, list):
        raise TraceError(f"{path} is no list of operators")
    for entry in entries:
        try:
            fields, tags = entry
            yield from _operator(fields, tags[0], precision, complete)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise TraceError(f"{path}: {entry!r} is no operator that this version reads: {error!r}") from None


def _operator(f: dict[str, Any], family: str, precision: str, complete: bool) -> Iterator[Operator]:
    own = f.get("prec", f.get("precM"))
    dtype = "fp32" if precision == "fp32" else str(own)
    if family == "gemm":
        batch, m, n, k = (int(f[name]) for name in ("batch", "dimM", "dimN", "dimK"))
        if complete and batch > 1:
            yield Copy(kind="contiguous", elements=batch * (m * k + n * k), dtype=dtype)
        # PyTorch keeps fp32 products in full precision on the vector units unless told otherwise.
        yield Gemm(batch=batch, m=m, n=n, k=k, dtype=dtype)
    elif family == "conv2d":
        # cuDNN convolutions of fp32 tensors run in TF32 by default.
        conv = Conv(
            batch=int(f["b"]), c_in=int(f["c"]), c_out=int(f["m"]), h=int(f["hw"]), w=int(f["hw"]), kernel_h=int(f["rs"]),
            kernel_w=int(f["rs"]), stride_h=int(f["stride"]), stride_w=int(f["stride"]), pad_h=int(f["padding"]),
            pad_w=int(f["padding"]), groups=max(int(f["c"]) * int(f["rs"]) ** 2 // int(f["dimK"]), 1),
            dtype="tf32" if dtype == "fp32" else dtype,
        )  # fmt: skip
        if complete:
            yield Copy(kind="nchw_to_nhwc", elements=conv.batch * conv.c_in * conv.h * conv.w, dtype=dtype)
        yield conv
        if complete:
            outputs = conv.batch * conv.c_out * conv.out_h * conv.out_w
            yield Copy(kind="nhwc_to_nchw", elements=outputs, dtype=dtype)
            yield Norm(kind="batchnorm", rows=conv.c_out, cols=conv.batch * conv.out_h * conv.out_w, dtype=dtype)
    elif family == "elementwise":
        elements = int(f["dim"])
        if f["op"] in _CASTS:
            source, target = _CASTS[f["op"]]
            if precision != "fp32":  # an fp32 network casts nothing
                yield Copy(kind="cast", elements=elements, dtype=source, out_dtype=target)
        else:
            kind, inputs = _ELEMENTWISE[f["op"]]
            yield Elementwise(kind=kind, elements=elements, inputs=inputs, dtype=dtype)
    elif family == "layernorm":
        yield Norm(kind="layernorm", rows=int(f["batch"]), cols=int(f["dim"]), dtype=dtype)
    elif family == "softmax":
        yield Softmax(rows=int(f["batch"]), cols=int(f["dim"]), dtype=dtype)
    else:
        raise ValueError(f"unknown family {family!r}")


def failed(run: Run, peak_flops: float) -> bool:
    """Whether a run's products would have run above the device's peak: the run broke off early."""
    flops = sum(op.product_flops for op in run.operators)
    return bool(flops / run.latency_s > peak_flops)

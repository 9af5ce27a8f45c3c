"""Whole ONNX models on one pinned thread: what the built-in record, a calibrated one and bare ceilings say of them.

    perfmodel calibrate --device local-cpu -o my.toml
    PERFMODEL_SHARED=... python tests/bench/calibrated_models.py my.toml

The graphs of the shared folder get random weights; models of installed packages keep theirs. Each runs by ONNX Runtime,
and is predicted from its file as `perfmodel predict` does. "Ceilings" adds up, over the kernels, the greater of FLOPs over the
datasheet's peak and bytes over the copy bandwidth of the built-in record. Everything is pinned to one processor before
numpy is loaded, and the anchor is timed between the models. `--graphs` measures the four graphs alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

# One thread on one core, set before the imports below (E402): thread pools read both when they are loaded.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402

import perfmodel  # noqa: E402
from perfmodel.collect.anchor import Anchor, AnchorTimes, typical  # noqa: E402
from perfmodel.collect.onnxruntime_cpu import random_inputs  # noqa: E402
from perfmodel.errors import InputError  # noqa: E402
from perfmodel.hardware import Device, load_device  # noqa: E402
from perfmodel.hardware.schema import parse_device  # noqa: E402
from perfmodel.hardware.writer import device_toml  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from installed_models import TESTED  # noqa: E402

GRAPHS: tuple[tuple[str, dict[str, int]], ...] = (
    ("resnet50", {"batch": 1}), ("vit_b16", {"batch": 1}), ("bert-base", {"batch": 1, "seq": 128}),
    ("gpt2", {"batch": 1, "seq": 64}), ("gpt2", {"batch": 1, "seq": 1}),
)  # fmt: skip


def with_random_weights(graph: Path, target: Path, seed: int = 0) -> None:
    """Save a graph whose weights are elsewhere with random ones."""
    model = onnx.load(graph, load_external_data=False)
    rng = np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        values = np.zeros(tuple(tensor.dims), kind)  # tables of indices
        if np.issubdtype(kind, np.floating):
            values = (0.02 * rng.standard_normal(values.shape, np.float32)).astype(kind)
            if "var" in tensor.name:  # variances are positive
                values = 1 + np.abs(values)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)


def models(folder: Path, graphs_only: bool) -> Iterator[tuple[str, Path, Mapping[str, int]]]:
    """Name, file and dimensions of each model."""
    shared = os.environ.get("PERFMODEL_SHARED")
    for name, dims in GRAPHS if shared else ():
        path = folder / f"{name}.onnx"
        if not path.exists():
            with_random_weights(Path(shared or "") / "onnx" / f"{name}.graph.onnx", path)
        yield f"{name}, {', '.join(f'{k} {v}' for k, v in dims.items())}", path, dims
    for installed in () if graphs_only else TESTED:
        path = installed.path()
        if path is not None and not installed.feeds:  # inputs that decide what runs cannot be drawn
            yield installed.name, path, installed.dims


def measured_s(path: Path, dims: Mapping[str, int], seconds: float) -> tuple[float, float]:
    """Median of a run, and its relative spread (of the two halves' medians)."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = random_inputs(session.get_inputs(), _as_named(session, dims), 0)
    for _ in range(3):
        session.run(None, feeds)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 6 or time.perf_counter() < end:
        begin = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - begin)
    half = len(times) // 2
    return median(times), abs(median(times[:half]) / median(times[half:]) - 1)


def _as_named(session: Any, dims: Mapping[str, int]) -> dict[str, int]:
    """Dimensions by the model's own names; perfmodel's have no dots, and say input and axis where there is none."""
    found: dict[str, int] = {}
    for item in session.get_inputs():
        for axis, dim in enumerate(item.shape):
            known = [dims[n] for n in (re.sub(r"\W", "_", str(dim)), f"{item.name}_{axis}") if n in dims]
            if isinstance(dim, str) and re.search(r"\w", dim) and known and found.setdefault(dim, known[0]) != known[0]:
                raise InputError(f"{item.name} calls dimensions of {found[dim]} and {known[0]} {dim!r}")
    return {**dims, **found}


def ceiling_s(prediction: perfmodel.ModelPrediction, device: Device) -> float:
    """The greater of compute and memory at their ceilings, kernel by kernel."""
    total = 0.0
    for o in prediction.operators:
        peak = device.peak_flops.get(o.dtype, device.peak_flops["fp32"])
        total += max(o.flops / peak, o.bytes / device.memory_bandwidth_bytes_per_s)
    return total


def measure(times: Path, seconds: float, graphs_only: bool) -> None:
    """Time every model, and keep what the built-in record says at that time."""
    anchor = Anchor()
    anchors, found = [anchor.times()], []
    with tempfile.TemporaryDirectory() as folder:
        # Weights are made before anything is timed.
        for name, path, dims in list(models(Path(folder), graphs_only)):
            try:
                measured, spread = measured_s(path, dims, seconds)
            except InputError as problem:
                print(f"left out: {name}: {problem}", file=sys.stderr)
                continue
            found.append({"name": name, "latency_s": measured, "spread": spread})
            anchors.append(anchor.times())
    device = device_toml(load_device("local-cpu"))
    times.write_text(json.dumps({"models": found, "anchors": anchors, "local-cpu": device}, indent=1), encoding="utf-8")


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", help="what perfmodel calibrate wrote")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each model")
    parser.add_argument("--graphs", action="store_true", help="the four graphs alone")
    parser.add_argument("--times", type=Path, help="JSON of measured times: read where it exists, else written")
    parser.add_argument("--measure", action="store_true", help="write --times and stop")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = arguments.times or Path(folder) / "times.json"
        if not times.exists():
            measure(times, arguments.seconds, arguments.graphs)
        if not arguments.measure:
            own = load_device(arguments.device)
            report(json.loads(times.read_text(encoding="utf-8")), own, Path(folder), arguments.graphs)
    return 0


def report(measured: Mapping[str, Any], own: Device, folder: Path, graphs_only: bool) -> None:
    """Predict the models that were measured, and print the table."""
    plain = parse_device(measured["local-cpu"], "local-cpu")
    known = {entry["name"]: entry for entry in measured["models"]}
    print("| model | measured | halves differ | ceilings | local-cpu | calibrated | 90 % interval holds it |")
    print("|---" * 7 + "|")
    rows = []
    for name, path, dims in models(folder, graphs_only):
        if name not in known:
            continue
        before, after = (perfmodel.predict(path, device=d, dims=dims) for d in (plain, own))
        seconds, latency = known[name]["latency_s"], after.latency_s
        values = (ceiling_s(before, plain), before.latency_s.value, latency.value)
        rows.append((seconds, values))
        shown = " | ".join(f"{v * 1e3:.3g} ms ({v / seconds - 1:+.0%})" for v in values)
        inside = "yes" if latency.low <= seconds <= latency.high else "no"
        print(f"| {name} | {seconds * 1e3:.3g} ms | {known[name]['spread']:.1%} | {shown} | {inside} |", flush=True)
    for label, least, most in (
        ("all", 0.0, 1e9),
        (">= 10 ms", 0.01, 1e9),
        ("1-10 ms", 1e-3, 0.01),
        ("< 1 ms", 0.0, 1e-3),
    ):
        mine = [(seconds, values) for seconds, values in rows if least <= seconds < most]
        if mine:
            errors = np.array([[abs(v / seconds - 1) for v in values] for seconds, values in mine])
            means, medians = errors.mean(axis=0), np.median(errors, axis=0)
            cells = " | ".join(f"{a:.1%} (median {b:.1%})" for a, b in zip(means, medians, strict=True))
            print(f"| **{label}: {len(mine)} models** | | | {cells} | |")
    anchors = [AnchorTimes(*values) for values in measured["anchors"]]
    middle = typical(anchors)
    gemm, copy = (np.ptp(v) / m for v, m in zip(zip(*anchors, strict=True), middle, strict=True))
    print(f"\nanchor: product ranges over {gemm:.1%}, copy over {copy:.1%}, {len(anchors)} visits")


if __name__ == "__main__":
    sys.exit(main())

"""Calibration: the physics constants of one device, fitted to a few rows that were measured there.

The fleet's constants are the prior. Each may move as far as it differs between devices (:data:`SPREAD`), so that a handful of
rows corrects what they speak of and leaves the rest alone; a step that does not also improve rows which had no say in it is
shortened or dropped. The residual that a predictor learned stays: the constants explain what is left after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.errors import InputError, checked_keywords
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse, constants_for
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.corrections import OUTLIER
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.kernel import Points, error_columns
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.predictor import Predictor, load_trained
from perfmodel.models.trace_rows import (
    Analysed,
    Part,
    analysed,
    beyond_kernel_s,
    cache_states,
    check_seconds,
    shape_keys,
    variants_of,
)
from perfmodel.ops.table import Group

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.collect.microbenchmarks.suite import Progress
    from perfmodel.measured_cpu import MeasuredDevice

SPREAD = {
    "launch_cycles": 0.15, "wave_cycles": 0.3, "split_cycles": 0.2, "k_extra": 0.2, "mma_efficiency": 0.06, "norm_p": 0.15,
    "dram_efficiency": 0.08, "l2_bytes_per_clock": 0.2, "hit_bytes_per_clock": 0.2, "residency": 0.25,
    "refetch_residency": 0.25, "throttle_flops_per_w": 0.25,
}  # fmt: skip
"""How far each constant may differ from the fleet's on one device, as a standard deviation of its logarithm."""
NOISE = 0.15
"""Standard deviation of ln(measured / predicted) that constants cannot explain: a library's choice of kernels."""
ROWS = 300
"""Rows that are fitted at most; a dozen numbers need no more."""
_STEPS = 4
_FOLDS = 5
_SHARES = (1.0, 0.5, 0.25)
FULL_STEP_ROWS = 20
"""Rows from which on a whole step may be taken. Of fewer, a share in proportion: the rows that check a step are as few as
those that made it. Of five rows drawn at random a whole step made the worst draw 3.9 points of MAPE worse, a quarter 0.6."""
_ERROR_LIMIT = 0.6
"""|ln(measured / predicted)| beyond which a row says no more than that it is far off."""
_DIFFERENCE = 0.03


@dataclass(frozen=True)
class Calibration:
    """What a calibration found.

    Attributes:
        device: the device with its calibrated constants.
        fleet: the constants before, of the same names.
        rows: rows that were fitted.
        before, after: mean |ln(measured / predicted)| of rows that had no say in the constants they were judged with.
        described: which traces, in a few words.
    """

    device: Device
    fleet: dict[str, float]
    rows: int
    before: float
    after: float
    described: str


@dataclass(frozen=True)
class Measured:
    """Measured rows of one part of one device, with what a predictor says of them; arrays of shape ``[rows]``.

    Attributes:
        chunks: their descriptors and analytical bounds by state of the cache.
        points: features and software, as the covariance of errors reads them.
        error: ln(measured / predicted).
        measured_s, predicted_s, analytical_s: seconds.
        cache: state of the last-level cache (object array).
    """

    chunks: tuple[Analysed, ...]
    points: Points
    error: np.ndarray
    measured_s: np.ndarray
    predicted_s: np.ndarray
    analytical_s: np.ndarray
    cache: np.ndarray

    def __len__(self) -> int:
        return len(self.error)


@dataclass(frozen=True)
class Described:
    """Rows of one part as the physics and the covariance of errors see them; arrays of shape ``[rows]``.

    Attributes:
        chunks: their descriptors and analytical bounds by state of the cache.
        points: features and software.
        cache: state of the last-level cache (object array).
        analytical_s: seconds.
    """

    chunks: tuple[Analysed, ...]
    points: Points
    cache: np.ndarray
    analytical_s: np.ndarray


def described(part: Part, device: Device, constants: Constants | None) -> Described:
    """Rows of one part, each in its own state of the cache."""
    assert part.family is not None
    table, rows = part.rows, len(part.rows)
    states = cache_states(table)
    chunks = tuple(analysed(table, part.op, device, constants, states))
    keys, analytical = np.empty(rows, dtype=np.uint64), np.empty(rows)
    columns: dict[str, np.ndarray] = {}
    for chunk in chunks:
        op = chunk.group.op
        machine = Machine.of(device, op.dtype)
        for name, values in part.family.columns(op, chunk.bounds, machine, device).items():
            columns.setdefault(name, np.empty(rows))[chunk.rows] = values
        keys[chunk.rows], analytical[chunk.rows] = shape_keys(chunk.group), chunk.bounds.latency_s
    software = table["software"].astype(str).to_numpy(dtype=object)
    kernel = table["kernel"].astype(object).to_numpy() if "kernel" in table.columns else None
    points = Points(error_columns(columns), variants_of(software, kernel, keys), keys)
    return Described(chunks, points, states, analytical)


def measured_errors(part: Part, device: Device, predictor: Predictor) -> Measured:
    """Rows of one part, predicted under their own software where that is known and in their own state of the cache."""
    seen = described(part, device, predictor.constants)
    variants = seen.points.software
    predicted = np.empty(len(variants))
    for chunk in seen.chunks:
        for variant in sorted(set(variants[chunk.rows].tolist())):
            mine = np.flatnonzero(variants[chunk.rows] == variant)
            name, _, of_kernel = variant.partition(":")
            some = taken(chunk.group, mine)
            known = predictor.known_software(name, device, some.op, of_kernel or None)
            estimates = predictor.predict(some.op, device, software=known, cache=chunk.cache)
            predicted[chunk.rows[mine]] = estimates.latency_s
    beyond = beyond_kernel_s(part.rows, part.op, predictor.constants or FALLBACK)
    return with_predictions(part, seen, predicted + beyond)


def with_predictions(part: Part, seen: Described, predicted_s: np.ndarray) -> Measured:
    """The rows of a part with predictions, in seconds of shape ``[rows]``."""
    measured = part.rows["latency_s"].to_numpy(dtype=np.float64)
    error = np.log(measured / predicted_s)
    return Measured(seen.chunks, seen.points, error, measured, predicted_s, seen.analytical_s, seen.cache)


def taken(group: Group, index: np.ndarray) -> Group:
    """The rows ``index`` of a group, counted from 0."""
    changes = {
        name: np.broadcast_to(np.asarray(value, dtype=np.float64), (len(group),))[index]
        for name in group.op.dimension_names()
        if (value := getattr(group.op, name)) is not None
    }
    return Group(group.op.replace(**changes), np.arange(len(index)))


@checked_keywords()
def calibrate(
    traces: pd.DataFrame | str | Path,
    device: Device | str | Path,
    *,
    predictor: Predictor | str = "default",
    seed: int = 0,
) -> Calibration:
    """Fits a device's constants to rows that were measured on it.

    Args:
        traces: operator traces, a table or the path of one; GEMMs of this device are used.
        device: the device, its id or its TOML. What an earlier calibration left in it is replaced.
        predictor: whose constants and residuals are the starting point; what corrections it has of few rows are left out.
        seed: of the draw where there are more than :data:`ROWS` rows.

    Raises:
        InputError: no usable row is of this device; the device's kind has no fitted constants.
        TraceError: the traces break the schema, or their times cannot be seconds.
    """
    from perfmodel.datasets.schema import check_traces, read_traces, usable

    record = replace(load_device(device) if not isinstance(device, Device) else device, calibrated={})
    if record.kind != "gpu":
        raise InputError(
            f"{record.id} is a {record.kind}; only the constants of GPUs are fitted to traces (a processor is measured: "
            "`perfmodel calibrate --device local-cpu -o my.toml`)"
        )
    if isinstance(traces, (str, Path)):
        traces = read_traces(traces)
    else:
        check_traces(traces, "traces")
    table = traces[usable(traces)]
    table = table[(table["op"] == "gemm") & (table["device"].astype(str) == record.id)]
    if table.empty:
        found = ", ".join(sorted(traces["device"].astype(str).unique())[:5]) or "none: there are no rows"
        raise InputError(f"no usable GEMM of the traces was measured on {record.id}; their devices are {found}")
    if len(table) > ROWS:
        table = table.sample(ROWS, random_state=seed)
    # Corrections bring calibrated constants of their own, and explain errors of this very device.
    loaded = replace(load_trained(predictor), corrections={})
    fleet = fleet_constants(record, loaded)
    dtypes = sorted(table["dtype"].astype(str).unique())
    parts = []
    for dtype in dtypes:
        rows = table[table["dtype"].astype(str) == dtype]
        part = Part(GEMM, "gemm", record.id, dtype, rows)
        check_seconds(part, record, loaded.constants)
        parts.append(measured_errors(part, record, loaded))
    values, before, after = fit_device(parts, record, loaded, fleet, seed)
    described = f"GEMMs in {', '.join(dtypes)}"
    return Calibration(
        with_constants(record, values, len(table), described), fleet, len(table), before, after, described
    )


def fleet_constants(device: Device, predictor: Predictor) -> dict[str, float]:
    """The constants of :data:`SPREAD` that hold for a device before its calibration."""
    base = constants_for(replace(device, calibrated={}), predictor.constants)
    return {name: float(getattr(base, name)) for name in SPREAD}


def with_constants(device: Device, values: dict[str, float], rows: int, described: str) -> Device:
    """The device with calibrated constants and, beside the datasheet's ceilings, those that they amount to."""
    source = f"calibrated from {rows} rows of {described} on {date.today().isoformat()}"
    machine = Machine.of(device, "bf16")
    ceilings = {
        "launch_s": values["launch_cycles"] / machine.clock_hz,
        "memory_bandwidth_bytes_per_s": values["dram_efficiency"] * device.memory_bandwidth_bytes_per_s,
        "l2_bandwidth_bytes_per_s": values["hit_bytes_per_clock"] * machine.units * machine.clock_hz,
        "matrix_efficiency": values["mma_efficiency"],
    }
    measured = {**device.measured, **ceilings}
    sources = {name: text for name, text in device.sources.items() if not name.startswith("calibrated.")}
    sources |= {f"calibrated.{name}": source for name in values} | {f"measured.{name}": source for name in ceilings}
    return replace(device, calibrated=values, measured=measured, sources=sources)


def physics(rows: Measured, device: Device, predictor: Predictor, values: Mapping[str, float]) -> np.ndarray:
    """ln of the analytical latency of every row under a device's own constants."""
    moved = replace(device, calibrated=dict(values))
    result = np.empty(len(rows))
    for chunk in rows.chunks:
        bounds = analyse(chunk.group, moved, constants=predictor.constants, conditions=Conditions(chunk.cache))
        result[chunk.rows] = np.log(bounds.latency_s)
    return result


def fit_device(
    parts: Sequence[Measured], device: Device, predictor: Predictor, fleet: Mapping[str, float], seed: int
) -> tuple[dict[str, float], float, float]:
    """The constants of a device, and the mean |ln ratio| of held-out rows before and after.

    Args:
        parts: what was measured, one a dtype.
        device: without calibrated constants.
        predictor: whose predictions ``parts`` hold.
        fleet: the constants to start from, those of :data:`SPREAD`.
        seed: of the folds.
    """
    target = np.clip(np.concatenate([p.error for p in parts]), -_ERROR_LIMIT, _ERROR_LIMIT)
    start = np.concatenate([physics(p, device, predictor, fleet) for p in parts])

    def values_of(step: np.ndarray) -> dict[str, float]:
        return {name: value * float(np.exp(s)) for (name, value), s in zip(fleet.items(), step, strict=True)}

    def model(step: np.ndarray) -> np.ndarray:
        values = values_of(step)
        moved: np.ndarray = np.concatenate([physics(p, device, predictor, values) for p in parts]) - start
        return moved

    def posterior_mode(used: np.ndarray) -> np.ndarray:
        return _posterior_mode(model, target, np.flatnonzero(used))

    count = len(target)
    everything = np.ones(count, dtype=bool)
    shares = [share * min(1.0, count / FULL_STEP_ROWS) for share in _SHARES]
    held_out = {share: np.abs(target) for share in (0.0, *shares)}
    if count == 1:  # nothing checks a single row: the least share of the step is all that is taken
        share = shares[-1]
    else:
        fold = np.random.default_rng(seed).permutation(count) % min(_FOLDS, count)
        for number in range(int(fold.max()) + 1):
            out = fold == number
            step = posterior_mode(~out)
            for part in shares:
                held_out[part] = np.where(out, np.abs(target - model(part * step)), held_out[part])
        share = min(held_out, key=lambda s: float(held_out[s].mean()))
    step = share * posterior_mode(everything) if share else np.zeros(len(fleet))
    return values_of(step), float(held_out[0.0].mean()), float(held_out[share].mean())


def _posterior_mode(model: Callable[[np.ndarray], np.ndarray], target: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The most probable ln steps of the constants, given the rows ``used``: Gauss-Newton with the prior as damping.

    Rows weigh alike, whatever the errors' covariance says: constants that leave what like rows share to a correction made
    worse predictions. Rows far off weigh less (Huber).
    """
    spread = np.array(list(SPREAD.values()))
    step = np.zeros(len(spread))
    for _ in range(_STEPS):
        now = model(step)
        error = (target - now)[used]
        weight = np.minimum(1.0, OUTLIER * NOISE / np.maximum(np.abs(error), 1e-9)) / NOISE**2
        # Differences as wide as a constant's uncertainty: the model has kinks.
        slope = np.stack([(model(step + d) - now)[used] / _DIFFERENCE for d in _DIFFERENCE * np.eye(len(step))], axis=1)
        curvature = slope.T @ (weight[:, None] * slope) + np.diag(1 / spread**2)
        change = np.linalg.solve(curvature, slope.T @ (weight * error) - step / spread**2)
        step = step + np.clip(change, -1.5 * spread, 1.5 * spread)
    return step


@checked_keywords()
def measure(
    device: Device | str = "local-cpu",
    *,
    seconds: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> MeasuredDevice:
    """Measures one core of this machine: :func:`perfmodel.measured_cpu.measure`, in its time unless another is given."""
    from perfmodel import measured_cpu

    return measured_cpu.measure(device, seconds=measured_cpu.SECONDS if seconds is None else seconds, progress=progress)

"""Judging predictors: error figures by group, with the plain roofline and the noise of the labels beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError, nearest
from perfmodel.hardware import Device, load_device
from perfmodel.models.learned import size_bucket, stack_of
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops.table import Group

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.models.predictor import Predictor
    from perfmodel.models.protocol import PredictorProtocol


@dataclass(frozen=True)
class GroupAccuracy:
    """Error figures of one group of rows; fractions, not percent. The keys are those of ``evaluate --json``."""

    op: str | None
    device: str | None
    dtype: str | None
    software: str | None
    size: str | None
    target: str
    n: int
    n_groups: int
    mape: float
    median_ape: float
    p90_ape: float
    bias: float
    r2: float
    coverage_90: float
    analytical_mape: float
    roofline_mape: float
    noise_mape: float | None


def ape(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """|predicted / measured - 1| of each row."""
    result: np.ndarray = np.abs(predicted / measured - 1)
    return result


def roofline_s(group: Group, device: Device) -> np.ndarray:
    """The plain roofline: max(FLOPs / peak, bytes / DRAM bandwidth), nothing else (Williams et al., CACM 2009)."""
    machine = Machine.of(device, group.op.dtype, Conditions())
    flops = np.broadcast_to(np.asarray(group.op.flops_executed, dtype=np.float64), (len(group),))
    moved = np.broadcast_to(np.asarray(group.op.bytes, dtype=np.float64), (len(group),))
    return np.maximum(flops / machine.peak_flops, moved / machine.dram_bytes_per_s)


def score_group(
    *,
    op: str | None,
    device: str | None,
    dtype: str | None,
    software: str | None,
    measured: np.ndarray,
    predicted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    analytical: np.ndarray,
    roofline: np.ndarray,
    folds: int,
    noise: float | None,
    size: str | None = None,
) -> GroupAccuracy:
    """The figures of one group; all arrays of shape ``[rows]`` in seconds.

    ``bias`` is the mean of predicted / measured - 1, ``r2`` is taken on ln(latency).
    """
    error = ape(predicted, measured)
    log_measured = np.log(measured)
    spread = float(((log_measured - log_measured.mean()) ** 2).sum())
    residual = float(((np.log(predicted) - log_measured) ** 2).sum())
    return GroupAccuracy(
        op=op, device=device, dtype=dtype, software=software, size=size, target="latency", n=len(measured), n_groups=folds,
        mape=float(error.mean()), median_ape=float(np.median(error)), p90_ape=float(np.quantile(error, 0.9)),
        bias=float((predicted / measured - 1).mean()), r2=1 - residual / spread if spread > 0 else 0.0,
        coverage_90=float(((measured >= low) & (measured <= high)).mean()),
        analytical_mape=float(ape(analytical, measured).mean()), roofline_mape=float(ape(roofline, measured).mean()),
        noise_mape=noise,
    )  # fmt: skip


def software_noise(shape_key: np.ndarray, software: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """How far versions of one stack disagree on the same shape: mean |a / b - 1| over shared shapes and other versions.

    Args:
        shape_key: a text that is equal for equal shapes, shape ``[rows]``.
        software: software id of each row.
        measured: seconds.

    Returns:
        the figure of each software that another version of its stack can be held against.
    """
    by_software: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in sorted(set(software.tolist())):
        rows = software == name
        keys, first = np.unique(shape_key[rows], return_index=True)
        by_software[name] = (keys, measured[rows][first])
    result = {}
    for name, (keys, values) in by_software.items():
        figures = []
        for other, (other_keys, other_values) in by_software.items():
            if other == name or stack_of(other) != stack_of(name):
                continue
            _, mine, theirs = np.intersect1d(keys, other_keys, assume_unique=True, return_indices=True)
            if len(mine):
                figures.append(float(ape(other_values[theirs], values[mine]).mean()))
        if figures:
            result[name] = float(np.mean(figures))
    return result


_FIGURES = ("mape", "median_ape", "p90_ape", "bias", "r2", "coverage_90", "analytical_mape", "roofline_mape")


def accuracy_report(protocol: str, seed: int, groups: Sequence[GroupAccuracy]) -> dict[str, Any]:
    """``accuracy.json``: every group, their unweighted mean, the mean over rows, and a summary by device and dtype."""
    keys = list(dict.fromkeys((g.device, g.dtype) for g in groups))
    by_device_dtype = []
    for device, dtype in keys:
        mine = [g for g in groups if (g.device, g.dtype) == (device, dtype)]
        by_device_dtype.append({"device": device, "dtype": dtype, **mean_of(mine, weighted=False)})
    return {
        "protocol": protocol,
        "seed": seed,
        "groups": [asdict(g) for g in groups],
        "overall": mean_of(groups, weighted=False),
        "pooled": mean_of(groups, weighted=True),
        "by_device_dtype": by_device_dtype,
    }


def mean_of(groups: Sequence[GroupAccuracy], *, weighted: bool) -> dict[str, Any]:
    """The unweighted mean of the figures of groups, or the one over their rows."""
    weights = np.array([g.n if weighted else 1 for g in groups], dtype=np.float64)
    figures: dict[str, Any] = {
        name: float(np.average([getattr(g, name) for g in groups], weights=weights)) for name in _FIGURES
    }
    noisy = [(g.noise_mape, w) for g, w in zip(groups, weights, strict=True) if g.noise_mape is not None]
    figures["noise_mape"] = float(np.average([n for n, _ in noisy], weights=[w for _, w in noisy])) if noisy else None
    return {"n": sum(g.n for g in groups), "n_groups": len(groups), **figures}


GROUP_KEYS = ("op", "device", "dtype", "software", "size")
"""What ``--by`` may group rows by."""
PROTOCOLS = ("shapes", "device", "family")
"""What is held out: whole (n, k) pairs, a device while its siblings stay, or a hardware family."""
SIZE_NAMES = ("<10us", "<100us", "<1ms", ">=1ms")
"""Names of the buckets of measured latency."""


def evaluate(
    traces: pd.DataFrame | str | Path,
    predictor: PredictorProtocol | str = "default",
    *,
    device: str | Path | None = None,
    by: Sequence[str] = ("device", "dtype", "software"),
    protocol: str | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> dict[str, Any]:
    """How far a predictor is from measured operators.

    Args:
        traces: operator traces of GEMMs: a table or the path of one.
        predictor: a predictor, its folder, a shipped name, or one that a package registers (without a protocol alone).
        device: the path of the TOML of a device that the catalogue lacks; rows that bear its id use it.
        by: what rows are grouped by, of :data:`GROUP_KEYS`; other keys are null in the result.
        protocol: None predicts the traces as they are, each row under its own software and cache state. ``"shapes"``
            trains anew with whole (n, k) pairs held out of every table (five folds), with the predictor's constants.
            ``"device"`` and ``"family"`` leave out each device or hardware family in turn, constants included.
        seed: of the folds.
        jobs: processes to train in.

    Returns:
        ``{protocol, seed, groups, overall, pooled}`` as ``evaluate --json`` has it.

    Raises:
        InputError: an unknown protocol or group key, or no usable row.
        TraceError: the traces break the schema.
    """
    from perfmodel.datasets.schema import check_traces, only_gemm, read_traces, with_device
    from perfmodel.models.predictor import load, load_trained

    for key in by:
        if key not in GROUP_KEYS:
            raise InputError(f"cannot group by {key!r}: {nearest(key, GROUP_KEYS)}")
    if protocol is not None and protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is not known: {nearest(protocol, PROTOCOLS)}")
    if isinstance(traces, (str, Path)):
        traces = read_traces(traces)
    else:
        check_traces(traces, "traces")
    traces = only_gemm(traces)
    if device is not None:
        traces = with_device(traces, device)
    if protocol is None:
        rows = predicted_rows(traces, load(predictor))
    else:
        rows = _held_out_rows(traces, load_trained(predictor), protocol, seed, jobs)
    if not rows:
        raise InputError("the traces hold no usable row")
    groups = grouped(rows, by)
    report = accuracy_report(protocol or "predict", seed, groups)
    return {key: report[key] for key in ("protocol", "seed", "groups", "overall", "pooled")}


@dataclass(frozen=True)
class JudgedRows:
    """Rows of one (device, dtype, software) with what was predicted for them, in seconds."""

    device: str
    dtype: str
    software: str
    measured: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    analytical: np.ndarray
    roofline: np.ndarray
    shape_key: np.ndarray
    folds: int


def _held_out_rows(traces: pd.DataFrame, predictor: Predictor, protocol: str, seed: int, jobs: int) -> list[JudgedRows]:
    from perfmodel.models.constants import FALLBACK

    constants = predictor.constants or FALLBACK
    if "status" in traces:
        traces = traces[traces["status"].isna() | (traces["status"] == "ok")]
    if protocol == "shapes":
        from perfmodel.train import cross_validate

        return cross_validate(traces, constants, seed=seed, jobs=jobs)
    from perfmodel.transfer import leave_out, with_intervals

    parts = leave_out(traces, protocol, constants, seed=seed, jobs=jobs)
    # A device without a sibling takes its interval from other families that were left out.
    families = leave_out(traces, "family", constants, seed=seed, jobs=jobs) if protocol == "device" else []
    return [part.rows for part in with_intervals(parts, [*parts, *families])]


def predicted_rows(traces: pd.DataFrame, predictor: PredictorProtocol) -> list[JudgedRows]:
    """Every row as the predictor sees it, under its own software where that or its stack is known, and its cache state."""
    from perfmodel.models.fit import gemm_group

    if "status" in traces:
        traces = traces[traces["status"].isna() | (traces["status"] == "ok")]
    cache = traces["cache"].astype(object).fillna("warm") if "cache" in traces else "warm"
    keys = ["device", "dtype", "software", "_cache"]
    judged = []
    for (device, dtype, software, state), part in traces.assign(_cache=cache).groupby(keys, observed=True, sort=True):
        record = load_device(str(device))
        group = gemm_group(part, str(dtype))
        known_software = getattr(predictor, "known_software", None)
        stack = None if known_software is None else known_software(str(software), record, str(dtype))
        e = predictor.predict(group.op, record, software=stack, cache=str(state))
        m, n, k = (part[c].to_numpy().astype(str) for c in "mnk")
        judged.append(
            JudgedRows(
                record.id, str(dtype), str(software), part["latency_s"].to_numpy(dtype=np.float64), e.latency_s,
                e.latency_low_s, e.latency_high_s, e.analytical_s, roofline_s(group, record),
                np.char.add(np.char.add(np.char.add(m, "x"), np.char.add(n, "x")), k), 1,
            )
        )  # fmt: skip
    return judged


def _noise_by_software(rows: Sequence[JudgedRows]) -> dict[tuple[str, str, str], float]:
    noise = {}
    for device, dtype in dict.fromkeys((r.device, r.dtype) for r in rows):
        mine = [r for r in rows if (r.device, r.dtype) == (device, dtype)]
        software = np.concatenate([np.full(len(r.measured), r.software, dtype=object) for r in mine])
        figures = software_noise(
            np.concatenate([r.shape_key for r in mine]), software, np.concatenate([r.measured for r in mine])
        )
        noise.update({(device, dtype, s): f for s, f in figures.items()})
    return noise


def grouped(rows: Sequence[JudgedRows], by: Sequence[str]) -> list[GroupAccuracy]:
    """The figures of judged rows, grouped by some of :data:`GROUP_KEYS`."""
    noise = _noise_by_software(rows)
    pieces: dict[tuple[str | None, ...], list[tuple[JudgedRows, np.ndarray]]] = {}
    for r in rows:
        bucket = size_bucket(r.measured)
        for size in np.unique(bucket) if "size" in by else [None]:
            chosen = np.arange(len(bucket)) if size is None else np.flatnonzero(bucket == size)
            name = None if size is None else SIZE_NAMES[size]
            values = ("gemm", r.device, r.dtype, r.software, name)
            key = tuple(v if k in by else None for k, v in zip(GROUP_KEYS, values, strict=True))
            pieces.setdefault(key, []).append((r, chosen))
    groups = []
    for key, parts in pieces.items():
        figures = {
            name: np.concatenate([getattr(r, name)[c] for r, c in parts])
            for name in ("measured", "predicted", "low", "high", "analytical", "roofline")
        }
        known = [f for r, _ in parts if (f := noise.get((r.device, r.dtype, r.software))) is not None]
        op, device, dtype, software, size_name = key
        groups.append(
            score_group(
                op=op, device=device, dtype=dtype, software=software, size=size_name, **figures,
                folds=max(r.folds for r, _ in parts), noise=float(np.mean(known)) if known else None,
            )
        )  # fmt: skip
    return groups

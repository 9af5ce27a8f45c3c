"""Judging predictors: error figures by group, with the plain roofline and the noise of the labels beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from perfmodel.hardware import Device
from perfmodel.models.learned import stack_of
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops.table import Group


@dataclass(frozen=True)
class GroupAccuracy:
    """Error figures of one group of rows; fractions, not percent. The keys are those of ``evaluate --json``."""

    op: str
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
    op: str,
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
        by_device_dtype.append({"device": device, "dtype": dtype, **_mean(mine, weighted=False)})
    return {
        "protocol": protocol,
        "seed": seed,
        "groups": [asdict(g) for g in groups],
        "overall": _mean(groups, weighted=False),
        "pooled": _mean(groups, weighted=True),
        "by_device_dtype": by_device_dtype,
    }


def _mean(groups: Sequence[GroupAccuracy], *, weighted: bool) -> dict[str, Any]:
    weights = np.array([g.n if weighted else 1 for g in groups], dtype=np.float64)
    figures: dict[str, Any] = {
        name: float(np.average([getattr(g, name) for g in groups], weights=weights)) for name in _FIGURES
    }
    noisy = [(g.noise_mape, w) for g, w in zip(groups, weights, strict=True) if g.noise_mape is not None]
    figures["noise_mape"] = float(np.average([n for n, _ in noisy], weights=[w for _, w in noisy])) if noisy else None
    return {"n": sum(g.n for g in groups), "n_groups": len(groups), **figures}

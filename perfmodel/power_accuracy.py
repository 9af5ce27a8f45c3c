"""How predicted power and energy are judged: beside constant predictors, and beside the noise of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from perfmodel.evaluate import ape
from perfmodel.models.power.learned import LONG_S

TARGETS = ("power", "energy")
GROUP_KEYS = ("op", "device", "dtype", "software", "held_out")
APART = "fp8_block"
"""Left out of figures by file: its kernels differ tenfold between stacks, and their power with them."""
BY = ("op", "device", "dtype", "software")
"""What the figures of power are grouped by."""


@dataclass(frozen=True)
class JudgedPower:
    """Rows of one (device, dtype, software) with their measured and predicted power and energy; arrays of shape ``[rows]``.

    Attributes:
        latency_s, power_w: measured.
        settled: rows whose label can be taken at its word.
        neighbour: |power of the row measured next / own - 1| where it took the same time, else NaN.
        predicted_w, low_w, high_w: power with its interval.
        predicted_j, low_j, high_j: energy with its interval.
        physical_w, physical_j: of the physical model alone.
        limit_w: the power limit.
        median_w: the median power of the long rows that were trained on.
        shape_key: equal for equal descriptors.
        folds: how many groups were held out in turn.
    """

    family: str
    device: str
    dtype: str
    software: str
    latency_s: np.ndarray
    power_w: np.ndarray
    settled: np.ndarray
    neighbour: np.ndarray
    predicted_w: np.ndarray
    low_w: np.ndarray
    high_w: np.ndarray
    predicted_j: np.ndarray
    low_j: np.ndarray
    high_j: np.ndarray
    physical_w: np.ndarray
    physical_j: np.ndarray
    limit_w: np.ndarray
    median_w: np.ndarray
    shape_key: np.ndarray
    folds: int = 1
    held_out: str | None = None

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The arrays, by name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}


def grouped(rows: Sequence[JudgedPower], by: Sequence[str], target: str) -> list[dict[str, Any]]:
    """The figures of judged rows, one group for each combination of some of :data:`GROUP_KEYS`.

    Args:
        rows: judged.
        by: of :data:`GROUP_KEYS`.
        target: one of :data:`TARGETS`.
    """
    noise = _noise_of_files(rows)
    pieces: dict[tuple[str | None, ...], list[JudgedPower]] = {}
    for r in rows:
        values = (r.family, r.device, r.dtype, r.software, r.held_out)
        pieces.setdefault(tuple(v if k in by else None for k, v in zip(GROUP_KEYS, values, strict=True)), []).append(r)
    groups = []
    for key, mine in pieces.items():
        columns = {name: np.concatenate([r.columns[name] for r in mine]) for name in mine[0].columns}
        columns["other_file"] = np.concatenate([noise[id(r)] for r in mine])
        long = columns["latency_s"] >= LONG_S
        if not long.any():
            continue
        figures = _figures(columns, long, target)
        settled = _figures(columns, long & columns["settled"], target)
        short = _figures(columns, ~long, target)
        groups.append(
            dict(zip(GROUP_KEYS, key, strict=True)) | {"size": None, "target": target} | figures | {
                "n_groups": max(r.folds for r in mine), "settled_share": settled.get("n", 0) / figures["n"],
                "settled": settled or None, "short": short or None,
            }
        )  # fmt: skip
    return groups


def _figures(columns: Mapping[str, np.ndarray], chosen: np.ndarray, target: str) -> dict[str, Any]:
    """The figures of the rows ``chosen``; empty where there are none."""
    c = {name: values[chosen] for name, values in columns.items()}
    if not len(c["power_w"]):
        return {}
    seconds = c["latency_s"]
    measured, suffix = (c["power_w"], "w") if target == "power" else (c["power_w"] * seconds, "j")
    predicted, low, high, physical = (c[f"{name}_{suffix}"] for name in ("predicted", "low", "high", "physical"))
    error = ape(predicted, measured)
    # Power within one device spans a factor of five, energy one of a million.
    known, said = (measured, predicted) if target == "power" else (np.log(measured), np.log(predicted))
    spread = float(((known - known.mean()) ** 2).sum())
    claimed = np.isfinite(low) & np.isfinite(high)
    # A power above the limit is the sampling's error: no prediction may say it.
    capped = np.minimum(measured, c["limit_w"] * (1.0 if target == "power" else seconds))
    covered = ((capped >= low) & (capped <= high))[claimed]
    figures: dict[str, Any] = {
        "n": len(error), "mape": float(error.mean()), "median_ape": float(np.median(error)),
        "p90_ape": float(np.quantile(error, 0.9)), "bias": float((predicted / measured - 1).mean()),
        "r2": 1 - float(((said - known) ** 2).sum()) / spread if spread > 0 else 0.0,
        "coverage_90": float(covered.mean()) if len(covered) else None,
        "analytical_mape": float(ape(physical, measured).mean()), "roofline_mape": None,
    }  # fmt: skip
    if target == "power":
        figures |= {
            "limit_mape": float(ape(c["limit_w"], measured).mean()),
            "median_mape": _mean(ape(c["median_w"], measured)),
            "noise_mape": _mean(c["other_file"]),
            "neighbour_mape": _mean(c["neighbour"]),
        }
    else:
        figures["noise_mape"] = None
    return figures


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _noise_of_files(rows: Sequence[JudgedPower]) -> dict[int, np.ndarray]:
    """For each of some rows |power of the same shape under another software / own - 1|, NaN where there is none; by ``id``."""
    result = {}
    for r in rows:
        own = np.full(len(r.power_w), np.nan)
        for other in rows:
            if other.software == r.software or (other.family, other.device, other.dtype) != (
                r.family,
                r.device,
                r.dtype,
            ):
                continue
            keys, first = np.unique(other.shape_key, return_index=True)
            place = np.searchsorted(keys, r.shape_key).clip(max=len(keys) - 1)
            theirs = first[place]
            same = (keys[place] == r.shape_key) & ((other.latency_s[theirs] >= LONG_S) == (r.latency_s >= LONG_S))
            own[same] = np.abs(other.power_w[theirs[same]] / r.power_w[same] - 1)
        result[id(r)] = own
    return result


def report(protocol: str, seed: int, rows: Sequence[JudgedPower], by: Sequence[str] = BY) -> Any:
    """What ``accuracy.json`` holds of a protocol of power: groups of both targets, their means, all dtypes of a file together
    (without :data:`APART`), and all files of a device."""
    groups = [g for target in TARGETS for g in grouped(rows, by, target)]
    files = [r for r in rows if r.dtype != APART]
    return rounded({
        "protocol": protocol,
        "seed": seed,
        "groups": groups,
        "by_file": [g for target in TARGETS for g in grouped(files, ("op", "device", "software"), target)]
        if files
        else [],
        "by_device": [g for target in TARGETS for g in grouped(rows, ("op", "device"), target)],
        "overall": {
            target: mean_of([g for g in groups if g["target"] == target], weighted=False) for target in TARGETS
        },
        "pooled": {target: mean_of([g for g in groups if g["target"] == target], weighted=True) for target in TARGETS},
    })  # fmt: skip


_DIGITS = 5
"""Significant digits of figures: labels know fewer."""


def rounded(value: Any) -> Any:
    """Numbers of a report, however nested, with :data:`_DIGITS` significant digits."""
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


_MEANS = (
    "mape", "median_ape", "p90_ape", "bias", "r2", "coverage_90", "analytical_mape", "limit_mape", "median_mape", "noise_mape",
    "neighbour_mape", "settled_share",
)  # fmt: skip


def mean_of(groups: Sequence[Mapping[str, Any]], *, weighted: bool) -> dict[str, Any]:
    """The unweighted mean of the figures of groups, or the one over their rows; of their settled rows under ``settled``."""
    result: dict[str, Any] = {"n": sum(g["n"] for g in groups), "n_groups": len(groups)}
    for name in _MEANS:
        known = [(g[name], g["n"] if weighted else 1) for g in groups if g.get(name) is not None]
        result[name] = float(np.average([v for v, _ in known], weights=[w for _, w in known])) if known else None
    inner = [g["settled"] for g in groups if g.get("settled")]
    if inner:
        result["settled"] = mean_of(inner, weighted=weighted)
    return result

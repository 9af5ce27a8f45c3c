"""Devices that were not measured: what is trained for them, and the protocols that judge it.

A device whose sibling was measured (the same compute capability) leans on the sibling's booster. Any other GPU of a vendor
that was measured takes the *unseen* booster of the dtype: small trees over features without a device's scale, trained on
all devices together. How far either is off is learned by leaving devices and families out: the constants of the physics
are fitted again without them, and what was left out is predicted as a user's own device would be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.evaluate import JudgedRows, predicted_rows
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.constants import Constants
from perfmodel.models.fit import fit_constants
from perfmodel.models.learned import SIZE_BUCKETS_S, UNSEEN, Residual, size_bucket, software_columns, stack_of
from perfmodel.models.predictor import Predictor
from perfmodel.train import PreparedTable, fit_booster, import_xgboost, in_parallel, pairs, prepare, strip

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS = ("device", "family")
"""``device``: each device left out, its siblings stay. ``family``: each hardware family left out."""
SIBLING, FAMILY = "sibling", "family"
"""What a device that was not measured leans on: its sibling's booster, or the unseen one."""

UNSEEN_BOOSTER = {
    "objective": "reg:absoluteerror",
    "tree_method": "hist",
    "max_depth": 4,
    "max_bin": 128,
    "eta": 0.06,
    "subsample": 0.6,
    "colsample_bytree": 0.3,
    "min_child_weight": 50,
    "nthread": 1,
}
UNSEEN_TREES = 150
_ROWS_PER_TABLE = 3000
_COLUMNS = ("device", "software", "dtype", "batch", "m", "n", "k", "latency_s", "cache")
_FEWEST_ROWS = 100
_INTERVAL = (0.05, 0.95)


@dataclass(frozen=True)
class UnseenBooster:
    """The bytes of a booster for devices that were not measured, and its entry of the manifest."""

    data: bytes
    entry: dict[str, Any]

    def residual(self, quantiles: Sequence[Sequence[float]]) -> Residual:
        """A residual that needs no file."""
        return _residual(self.entry, self.data, feature_schema("gemm_unseen"), quantiles)


def sibling_of(device: Device, measured: Iterable[str]) -> str | None:
    """The first measured device of the same compute capability."""
    if device.compute_capability is None:
        return None
    for other in sorted(measured):
        if load_device(other).compute_capability == device.compute_capability:
            return other
    return None


def train_unseen(traces: pd.DataFrame, dtype: str, constants: Constants, seed: int) -> UnseenBooster | None:
    """A booster over all devices of one dtype; every family, every device of one and every table of a device weighs the same.

    Args:
        traces: GEMM rows of that dtype alone.
        constants: physics constants, fitted to devices that these rows come from.
        seed: of the sample (:data:`_ROWS_PER_TABLE` rows of each table) and of the trees.

    Returns:
        None where fewer than two compute capabilities were measured in this dtype: nothing says what carries over.
    """
    devices = sorted(traces["device"].astype(str).unique())
    records = {d: load_device(d) for d in devices}
    if len({r.compute_capability for r in records.values()}) < 2:
        return None
    sample = (
        traces.groupby(["device", "software"], observed=True, sort=True)
        .sample(frac=1.0, random_state=seed)
        .groupby(["device", "software"], observed=True, sort=True)
        .head(_ROWS_PER_TABLE)
    )
    tables = [prepare(sample[sample["device"] == d], records[d], dtype, constants, seed) for d in devices]
    stacks = tuple(sorted({stack_of(s) for t in tables for s in t.software}))
    cache = {stack_of(s): c for t in tables for s, c in zip(t.software, t.cache, strict=True)}
    families = Counter(r.family for r in records.values())
    parts, weights = [], []
    for table in tables:
        own = np.array([stack_of(s) for s in table.software_of_row], dtype=object)
        parts.append(np.concatenate([_unseen_columns(table), software_columns(stacks, own)], axis=1))
        share = {s: np.mean(table.software_of_row == s) * len(table.software) for s in table.software}
        # What is to be predicted is another family: two siblings say no more about it than one device does.
        siblings = families[table.device.family]
        weights.append(np.array([1 / share[s] for s in table.software_of_row]) / (len(own) * siblings))
    weight = np.concatenate(weights)
    xgboost = import_xgboost()
    data = xgboost.DMatrix(
        np.concatenate(parts), np.concatenate([t.log_ratio for t in tables]), weight=weight / weight.mean()
    )
    booster = xgboost.train({**UNSEEN_BOOSTER, "seed": seed}, data, UNSEEN_TREES)
    support = {
        name: [min(t.support[name][0] for t in tables), max(t.support[name][1] for t in tables)]
        for name in tables[0].support
    }
    entry = {
        "family": "gemm", "device": UNSEEN, "dtype": dtype, "software": list(stacks), "cache": [cache[s] for s in stacks],
        "support": support, "rows": len(weight), "vendors": sorted({r.vendor for r in records.values()}),
    }  # fmt: skip
    return UnseenBooster(artefact.compress(strip(booster)), entry)


def _unseen_columns(table: PreparedTable) -> np.ndarray:
    names = feature_schema("gemm").names
    columns: np.ndarray = table.matrix[:, [names.index(n) for n in feature_schema("gemm_unseen").names]]
    return columns


def _residual(entry: dict[str, Any], data: bytes, schema: Any, quantiles: Sequence[Sequence[float]]) -> Residual:
    return Residual(
        device=entry["device"], dtype=entry["dtype"], software=tuple(entry["software"]), cache=tuple(entry["cache"]),
        schema=schema, support={k: (v[0], v[1]) for k, v in entry["support"].items()},
        quantiles=tuple((float(a), float(b)) for a, b in quantiles), rows=entry["rows"], read=lambda: data,
        vendors=tuple(entry.get("vendors", ())),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ protocols
@dataclass(frozen=True)
class LeftOut:
    """Rows of a device that was left out, and what they were predicted with."""

    kind: str
    target: str
    rows: JudgedRows


def targets(traces: pd.DataFrame, protocol: str) -> dict[str, list[str]]:
    """What is left out in turn: a device id or a family, to its devices."""
    result: dict[str, list[str]] = {}
    for device in sorted(traces["device"].astype(str).unique()):
        key = device if protocol == "device" else load_device(device).family
        result.setdefault(key, []).append(device)
    return result


def leave_out(traces: pd.DataFrame, protocol: str, start: Constants, *, seed: int = 0, jobs: int = 1) -> list[LeftOut]:
    """Every row, predicted by a predictor that saw neither its device nor, under ``family``, its family.

    The physics constants are fitted again for each target. The intervals are empty: see :func:`with_intervals`.

    Args:
        traces: operator traces of GEMMs, checked.
        protocol: one of :data:`PROTOCOLS`.
        start: where the fits of the constants begin.
        seed: of samples and boosters.
        jobs: processes to work in.
    """
    traces = traces[[c for c in _COLUMNS if c in traces]]  # every task carries a copy
    tasks = []
    for target, devices in targets(traces, protocol).items():
        out = traces["device"].astype(str).isin(devices)
        if out.all():
            continue  # nothing is left to train on
        tasks.append((target, traces[~out], traces[out], start, seed))
    parts = [part for found in in_parallel(_judge_target, tasks, jobs) for part in found]
    return parts


def _judge_target(task: tuple[str, pd.DataFrame, pd.DataFrame, Constants, int]) -> list[LeftOut]:
    target, rest, test, start, seed = task
    constants = fit_constants(rest, seed=seed, start=start, max_evaluations=8)
    no_interval = [(0.0, 0.0)] * (len(SIZE_BUCKETS_S) + 1)
    result = []
    for device_id, dtype, rows in pairs(test):
        others = rest[rest["dtype"] == dtype]
        predictor, kind = Predictor(constants=constants), FAMILY
        sibling = sibling_of(load_device(device_id), others["device"].astype(str).unique())
        if sibling is not None:
            table = prepare(others[others["device"] == sibling], load_device(sibling), dtype, constants, seed)
            booster = strip(fit_booster(table, np.arange(len(table.measured_s)), seed))
            entry = {
                "device": sibling, "dtype": dtype, "software": table.software, "cache": table.cache,
                "support": table.support, "rows": len(table.measured_s),
            }  # fmt: skip
            residual = _residual(entry, artefact.compress(booster), feature_schema("gemm"), no_interval)
            predictor, kind = replace(predictor, residuals={(sibling, dtype): residual}), SIBLING
        elif len(others) and (unseen := train_unseen(others, dtype, constants, seed)) is not None:
            predictor = replace(predictor, residuals={(UNSEEN, dtype): unseen.residual(no_interval)})
        result += [LeftOut(kind, target, judged) for judged in predicted_rows(rows, predictor)]
    return result


def transfer_quantiles(parts: Sequence[LeftOut]) -> dict[str, dict[str, list[list[float]]]]:
    """By kind and dtype, per size bucket, the widest of the targets' 5 % and 95 % quantiles of ln(measured / predicted).

    The widest, since a pooled quantile covers too little on the device that differs most, and nobody knows beforehand
    whether theirs is one.
    """
    result: dict[str, dict[str, list[list[float]]]] = {}
    for kind, dtype in sorted({(p.kind, p.rows.dtype) for p in parts}):
        mine = [p for p in parts if (p.kind, p.rows.dtype) == (kind, dtype)]
        by_target = [_bucket_quantiles([p for p in mine if p.target == t]) for t in sorted({p.target for p in mine})]
        widest = np.stack(
            [np.min([q[:, 0] for q in by_target], axis=0), np.max([q[:, 1] for q in by_target], axis=0)], 1
        )
        result.setdefault(kind, {})[dtype] = widest.tolist()
    return result


def _bucket_quantiles(parts: Sequence[LeftOut]) -> np.ndarray:
    error = np.concatenate([np.log(p.rows.measured / p.rows.predicted) for p in parts])
    bucket = size_bucket(np.concatenate([p.rows.predicted for p in parts]))
    everything = np.quantile(error, _INTERVAL)
    rows = [error[bucket == b] for b in range(len(SIZE_BUCKETS_S) + 1)]
    return np.stack([np.quantile(r, _INTERVAL) if len(r) >= _FEWEST_ROWS else everything for r in rows])


def with_intervals(parts: Sequence[LeftOut], reference: Sequence[LeftOut]) -> list[LeftOut]:
    """The parts with intervals as a predictor would give them, from errors that do not include their own.

    Args:
        parts: of one protocol.
        reference: of all protocols; what was left out of the same family is not used for a part that has no sibling,
            nor the same device for one that has.
    """
    result = []
    for part in parts:
        own = (lambda device: load_device(device).family) if part.kind == FAMILY else str
        others = [
            p
            for p in reference
            if (p.kind, p.rows.dtype) == (part.kind, part.rows.dtype) and own(p.rows.device) != own(part.rows.device)
        ]
        if not others:
            result.append(part)
            continue
        quantiles = np.array(transfer_quantiles(others)[part.kind][part.rows.dtype])[size_bucket(part.rows.predicted)]
        low, high = (part.rows.predicted * np.exp(quantiles[:, side]) for side in (0, 1))
        result.append(replace(part, rows=replace(part.rows, low=low, high=high)))
    return result

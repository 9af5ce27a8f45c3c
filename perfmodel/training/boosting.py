"""Boosters of one (family, device, part): the fit, what held-out groups say of it, and its bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from perfmodel.datasets.splits import FOLDS
from perfmodel.evaluate import JudgedRows
from perfmodel.models.learned import size_bucket, software_of, stretched
from perfmodel.models.trace_rows import PreparedTable, text_key
from perfmodel.training.intervals import error_quantiles, variant_widths
from perfmodel.training.joining import joined
from perfmodel.training.objective import boost


def fit_booster(table: PreparedTable, rows: np.ndarray, seed: int) -> Any:
    """A booster of ln(measured / analytical), trained on some rows of a table with its family's parameters."""
    family, rows = table.family, np.arange(len(table))[rows]
    most = family.booster.get("rows")
    if not family.by_software:
        rows = thinned(rows, table.variant_of_row, most, seed)
        return boost(table.matrix[rows], table.log_ratio[rows], family.booster, seed)
    parameters = {**family.booster, "base_score": float(np.mean(table.log_ratio[rows]))}
    boosters = {}
    for position, variant in enumerate(table.software):
        mine = thinned(rows[table.variant_of_row[rows] == variant], table.variant_of_row, most, seed)
        if len(mine):
            column = table.matrix.shape[1] - len(table.software) + position
            boosters[column] = boost(table.matrix[mine], table.log_ratio[mine], parameters, seed)
    return joined(boosters)


def thinned(rows: np.ndarray, variant_of_row: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """At most so many of the rows, drawn so that rare variants stay whole: commonest ones are cut to one size.

    Args:
        rows: indices.
        variant_of_row: of every row of the table.
        most: how many rows; None keeps all.
        seed: of the draw.
    """
    if most is None or len(rows) <= most:
        return rows
    variants, counts = np.unique(variant_of_row[rows].astype(str), return_counts=True)
    left, quota = most, 0
    for position, count in enumerate(np.sort(counts)):
        quota = left // (len(counts) - position)
        if count > quota:
            break
        left -= int(count)
    # A random order of all rows, of which each variant keeps its first.
    order = np.random.default_rng(seed).permutation(rows)
    of_order = variant_of_row[order].astype(str)
    kept = [order[of_order == v][:quota] for v in variants]
    return np.sort(np.concatenate(kept))


def strip(booster: Any) -> bytes:
    """XGBoost's JSON without what prediction does not need: training statistics, and digits of the leaves beyond 1e-4 (a
    hundredth of a percent each). Half the size."""
    model = json.loads(booster.save_raw("json"))
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        count = len(tree["left_children"])
        for name in ("loss_changes", "sum_hessian", "base_weights"):
            tree[name] = [0.0] * count  # XGBoost reads no whole number there
        tree["split_conditions"] = [
            round(value, 4) if child < 0 else value
            for value, child in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    return json.dumps(model, separators=(",", ":"), sort_keys=True).encode()


def held_out(table: PreparedTable, seed: int) -> np.ndarray:
    """Predictions of every row by boosters that saw no row of its group, in any table of the part; seconds."""
    predicted = np.empty(len(table))
    for fold in range(FOLDS):
        out = table.fold == fold
        if not out.any() or out.all():
            predicted[out] = table.analytical_s[out]
            continue
        booster = fit_booster(table, np.flatnonzero(~out), seed)
        predicted[out] = table.analytical_s[out] * np.exp(booster.inplace_predict(table.matrix[out]))
    bounded: np.ndarray = np.maximum(predicted, table.floor_s)
    return bounded


def judged(table: PreparedTable, predicted: np.ndarray) -> list[JudgedRows]:
    """The rows of each software and dtype with their held-out predictions and intervals.

    The interval of a fold's rows takes its quantiles and widths from the errors of the other folds, so that coverage is
    measured on groups that had no say in it.
    """
    bucket = size_bucket(predicted)
    low, high = np.empty_like(predicted), np.empty_like(predicted)
    for fold in np.unique(table.fold):
        mine = table.fold == fold
        others = ~mine if not mine.all() else mine
        quantiles = np.array(error_quantiles(table.measured_s[others], predicted[others]))
        widths = variant_widths(table, predicted, quantiles, np.flatnonzero(others))
        width = np.array([widths.get(v, 1.0) for v in table.variant_of_row[mine]])
        common_low, common_high = quantiles[bucket[mine]].T
        offsets = stretched(common_low, common_high, width)
        low[mine], high[mine] = (predicted[mine] * np.exp(offset) for offset in offsets)
    return rows_by_software(table, predicted, low, high, FOLDS)


def rows_by_software(
    table: PreparedTable, predicted: np.ndarray, low: np.ndarray, high: np.ndarray, folds: int
) -> list[JudgedRows]:
    """One :class:`~perfmodel.evaluate.JudgedRows` for each software and dtype of a table."""
    # Kernels of one shape are told apart where versions are held against each other.
    key = table.shape_key.copy()
    for variant in table.software:
        if (kernel := variant.removeprefix(software_of(variant))) != "":
            key[table.variant_of_row == variant] ^= np.uint64(text_key(kernel))
    result = []
    for software in dict.fromkeys(map(software_of, table.software)):
        for dtype in sorted(set(table.dtype_of_row.tolist())):
            rows = np.flatnonzero((table.software_of_row == software) & (table.dtype_of_row == dtype))
            if len(rows):
                result.append(
                    JudgedRows(
                        table.device.id, dtype, software, table.measured_s[rows], predicted[rows], low[rows], high[rows],
                        table.analytical_s[rows], table.roofline_s[rows], key[rows], folds,
                        family=table.family.name, part=table.part,
                    )
                )  # fmt: skip
    return result

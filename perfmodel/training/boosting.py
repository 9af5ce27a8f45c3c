"""Boosters of one (family, device, part): the fit, what held-out groups say of it, and its bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from perfmodel.datasets.splits import FOLDS
from perfmodel.errors import MissingExtraError
from perfmodel.evaluate import JudgedRows
from perfmodel.models.learned import SIZE_BUCKETS_S, size_bucket, software_of
from perfmodel.models.trace_rows import PreparedTable, text_key

INTERVAL = (0.05, 0.95)
FEWEST_ROWS = 100
"""Rows of a latency bucket that speak for themselves."""


def import_xgboost() -> Any:
    """The module xgboost.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import xgboost
    except ImportError:
        raise MissingExtraError("xgboost", "train", "training a predictor") from None
    return xgboost


def boost(
    matrix: np.ndarray, target: np.ndarray, parameters: Mapping[str, Any], seed: int, weight: np.ndarray | None = None
) -> Any:
    """An XGBoost booster.

    Args:
        matrix: features, float32 of shape ``[rows, features]``.
        target: what it learns, shape ``[rows]``.
        parameters: XGBoost's, and ``trees``.
        seed: of the draws of rows and columns.
        weight: of each row; None means all alike.
    """
    xgboost = import_xgboost()
    settings = {name: value for name, value in parameters.items() if name != "trees"}
    # Binned at once: half the memory of a DMatrix, and no second pass over the features.
    data = xgboost.QuantileDMatrix(matrix, target, weight=weight, max_bin=settings.get("max_bin", 256), nthread=1)
    return xgboost.train({**settings, "seed": seed}, data, parameters["trees"])


def fit_booster(table: PreparedTable, rows: np.ndarray, seed: int) -> Any:
    """A booster of ln(measured / analytical), trained on some rows of a table with its family's parameters."""
    return boost(table.matrix[rows], table.log_ratio[rows], table.family.booster, seed)


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


def error_quantiles(measured: np.ndarray, predicted: np.ndarray) -> list[list[float]]:
    """The 5 % and 95 % quantiles of ln(measured / held-out prediction), by bucket of the predicted latency.

    By the predicted latency, since a user has no measured one. A bucket with few rows takes the quantiles of all.
    """
    error = np.log(measured / predicted)
    bucket = size_bucket(predicted)
    everything = np.quantile(error, INTERVAL)
    result = []
    for index in range(len(SIZE_BUCKETS_S) + 1):
        mine = error[bucket == index]
        low, high = np.quantile(mine, INTERVAL) if len(mine) >= FEWEST_ROWS else everything
        result.append([float(low), float(high)])
    return result


def judged(table: PreparedTable, predicted: np.ndarray) -> list[JudgedRows]:
    """The rows of each software and dtype with their held-out predictions and intervals.

    The interval of a fold's rows takes its quantiles from the errors of the other folds, so that coverage is measured on
    groups that had no say in it.
    """
    bucket = size_bucket(predicted)
    low, high = np.empty_like(predicted), np.empty_like(predicted)
    for fold in np.unique(table.fold):
        mine = table.fold == fold
        others = ~mine if not mine.all() else mine
        quantiles = np.array(error_quantiles(table.measured_s[others], predicted[others]))
        low[mine], high[mine] = (predicted[mine] * np.exp(quantiles[bucket[mine], side]) for side in (0, 1))
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

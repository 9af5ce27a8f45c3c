"""Boosted trees that are trained for what they are judged by: the mean relative error.

XGBoost's ``reg:absoluteerror`` minimises |ln(predicted / measured)| and must find a median in each leaf of each tree, which
takes a third of the training time. The loss here is the mean |predicted / measured - 1| itself, smooth near zero, and its
leaves are weighted means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perfmodel.errors import MissingExtraError
from perfmodel.models.families.base import RELATIVE_ERROR

SMOOTHING = 0.05
"""Relative error below which the loss is quadratic rather than linear: about what repeated measurements scatter by."""
_FARTHEST = 1.0
"""Rows farther off than this, in ln, pull no harder: a first tree must not follow a row that is wrong by orders."""


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


def relative_error(predicted: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and curvature of the loss sqrt(u² + s²)·s with u = exp(p - y) - 1 and s = :data:`SMOOTHING`.

    The curvature is that of the parabola which touches the loss as iteratively reweighted least squares draws it, not the
    second derivative: that one is nearly 0 far from the target, and would send a leaf there anywhere. The factor s makes it
    1 at the target, so that ``min_child_weight`` and ``lambda`` count rows.

    Args:
        predicted: ln of the prediction, shape ``[rows]``.
        measured: ln of the target, the same shape.
    """
    ratio = np.exp(np.clip(predicted - measured, -_FARTHEST, _FARTHEST))
    error = ratio - 1
    weight = SMOOTHING / np.hypot(error, SMOOTHING)
    return error * ratio * weight, ratio**2 * weight


def boost(
    matrix: np.ndarray, target: np.ndarray, parameters: Mapping[str, Any], seed: int, weight: np.ndarray | None = None
) -> Any:
    """A booster trained on a matrix of features.

    Args:
        matrix: shape ``[rows, features]``.
        target: ln of a ratio, shape ``[rows]``.
        parameters: XGBoost's, :data:`RELATIVE_ERROR` as a further objective, and ``trees``.
        seed: of the draws of rows and columns.
        weight: of each row; None means all alike.

    Raises:
        MissingExtraError: the extra ``train`` is not installed.
    """
    xgboost = import_xgboost()
    chosen = {name: value for name, value in parameters.items() if name != "trees"} | {"seed": seed}
    trees = parameters["trees"]
    # Binned once, in the bins that the trees use.
    bins = {name: chosen[name] for name in ("max_bin", "nthread") if name in chosen}
    data = xgboost.QuantileDMatrix(matrix, target, weight=weight, **bins)
    if chosen["objective"] != RELATIVE_ERROR:
        return xgboost.train(chosen, data, trees)
    # To XGBoost, and to those who read the file, the prediction is the plain sum of the leaves, as in least squares.
    chosen |= {"objective": "reg:squarederror", "base_score": float(np.median(target))}
    share = 1.0 if weight is None else weight  # which XGBoost leaves to an objective of one's own

    def objective(predicted: np.ndarray, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        gradient, curvature = relative_error(predicted, rows.get_label())
        return gradient * share, curvature * share

    return xgboost.train(chosen, data, trees, obj=objective)

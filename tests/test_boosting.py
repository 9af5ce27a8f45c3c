"""The loss that boosters of GEMMs are trained with."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from perfmodel.errors import MissingExtraError
from perfmodel.models.families.base import BOOSTER, RELATIVE_ERROR
from perfmodel.models.trees import Booster
from perfmodel.training.boosting import strip
from perfmodel.training.objective import SMOOTHING, boost, relative_error


def loss(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    return SMOOTHING * np.sqrt((np.exp(predicted) / np.exp(measured) - 1) ** 2 + SMOOTHING**2)


def test_the_gradient_is_the_slope_of_the_smoothed_relative_error() -> None:
    off = np.array([-0.9, -0.3, -0.05, -1e-3, 0.0, 1e-3, 0.05, 0.3, 0.9])
    measured = np.linspace(-2.0, 2.0, len(off))
    step = 1e-6
    slope = (loss(measured + off + step, measured) - loss(measured + off - step, measured)) / (2 * step)
    gradient, curvature = relative_error(measured + off, measured)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-9)
    assert np.all(curvature > 0)
    assert curvature[4] == 1.0  # a row on target counts as one row


def test_rows_that_are_wrong_by_orders_pull_no_harder() -> None:
    far = np.array([1.0, 5.0, 800.0])
    for sign in (-1, 1):
        gradient, curvature = relative_error(sign * far, np.zeros(3))
        assert np.all(gradient == gradient[0])
        assert np.all(curvature == curvature[0])
        assert np.isfinite(gradient).all()
        # One step of Newton stays within reach.
        assert abs(gradient[0] / curvature[0]) < 3


def test_a_single_leaf_finds_the_least_mean_relative_error() -> None:
    """The optimum lies below the median, since a prediction twice too high costs 100 %, one at half 50 %."""
    pytest.importorskip("xgboost", reason="training needs the extra train")
    target = np.random.default_rng(3).normal(0.0, 0.4, 4000)
    parameters = {**BOOSTER, "trees": 40, "eta": 0.5, "subsample": 1.0, "reg_lambda": 0.0}
    booster = boost(np.ones((len(target), 2), dtype=np.float32), target, parameters, 0)
    found = float(Booster.from_json(strip(booster)).predict(np.ones((1, 2)))[0])
    grid = np.linspace(-0.5, 0.3, 801)
    best = grid[np.argmin([np.mean(np.abs(np.exp(g - target) - 1)) for g in grid])]
    assert best < np.median(target) - 0.05
    assert found == pytest.approx(best, abs=0.02)


def test_other_objectives_stay_xgboosts_own() -> None:
    pytest.importorskip("xgboost", reason="training needs the extra train")
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(400, 3)).astype(np.float32)
    parameters = {**BOOSTER, "objective": "reg:absoluteerror", "trees": 3}
    assert BOOSTER["objective"] == RELATIVE_ERROR
    objective = {
        name: boost(matrix, matrix[:, 0], {**parameters, "objective": name}, 1).save_config()
        for name in (RELATIVE_ERROR, "reg:absoluteerror")
    }
    assert '"objective":"reg:squarederror"' in objective[RELATIVE_ERROR].replace(" ", "")
    assert '"objective":"reg:absoluteerror"' in objective["reg:absoluteerror"].replace(" ", "")


def test_training_needs_xgboost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingExtraError, match="xgboost"):
        boost(np.ones((2, 1), dtype=np.float32), np.zeros(2), BOOSTER, 0)


def test_weights_count_as_rows() -> None:
    pytest.importorskip("xgboost", reason="training needs the extra train")
    matrix, target = np.ones((300, 1), dtype=np.float32), np.repeat([0.0, 0.3], [200, 100])
    parameters = {**BOOSTER, "trees": 60, "eta": 0.5, "subsample": 1.0, "colsample_bynode": 1.0, "reg_lambda": 0.0}
    weight = np.repeat([0.1, 3.0], [200, 100])  # 20 against 300
    found = [float(boost(matrix, target, parameters, 0, w).inplace_predict(matrix[:1])[0]) for w in (None, weight)]
    # Most rows say 0, most of the weight says 0.3.
    assert found == pytest.approx([0.0, 0.3], abs=0.03)

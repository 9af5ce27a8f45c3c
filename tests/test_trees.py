"""The numpy evaluator of boosted trees against XGBoost itself, and what damaged files come to."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import booster_json, tree

from perfmodel.errors import PredictorError
from perfmodel.models.trees import Booster


def read(model: Any) -> Booster:
    return Booster.from_json(json.dumps(model).encode())


# -------------------------------------------------------------------------------------------------------------- by hand
SPLIT = tree((0, 1.5, 1, 2, True), (10.0,), (20.0,))  # x0 < 1.5: 10, else 20; a missing x0 goes left
# x1 < 0: leaf -1; else x0 < 4: 2 (missing goes right), else 3
DEEP = tree((1, 0.0, 1, 2, True), (-1.0,), (0, 4.0, 3, 4, False), (2.0,), (3.0,))


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ((1.0, -1.0), 0.5 + 10 - 1),
        ((1.4999, 0.0), 0.5 + 10 + 2),
        ((1.5, 0.0), 0.5 + 20 + 2),  # at the threshold: right
        ((4.0, 5.0), 0.5 + 20 + 3),
        ((np.nan, np.nan), 0.5 + 10 - 1),
        ((np.nan, 1.0), 0.5 + 10 + 3),
        ((-np.inf, np.inf), 0.5 + 10 + 2),
        # 1.49999999 is 1.5 in the 32 bits that XGBoost compares in
        ((1.49999999, 0.0), 0.5 + 20 + 2),
    ],
)
@pytest.mark.parametrize("rows", [1, 3])  # one row alone takes a way of its own
def test_walks_by_hand(row: tuple[float, float], value: float, rows: int) -> None:
    booster = read(booster_json([SPLIT, DEEP], 2, base="5E-1"))
    assert booster.predict(np.array([row] * rows)).tolist() == [value] * rows
    assert (booster.depth, booster.features) == (2, 2)


def test_trees_that_are_one_leaf() -> None:
    booster = read(booster_json([tree((0.25,)), tree((0.5,))], 3, base="[1E0]"))
    assert booster.predict(np.full((2, 3), np.nan)).tolist() == [1.75, 1.75]
    assert booster.predict(np.zeros((1, 3))).tolist() == [1.75]


def test_no_trees_and_no_rows() -> None:
    assert read(booster_json([], 2, base="-5E-1")).predict(np.zeros((3, 2))).tolist() == [-0.5, -0.5, -0.5]
    assert read(booster_json([], 2, base="-5E-1")).predict(np.zeros((1, 2))).tolist() == [-0.5]
    assert read(booster_json([SPLIT], 2)).predict(np.zeros((0, 2))).tolist() == []


def test_a_leaf_and_a_deep_tree_side_by_side() -> None:
    booster = read(booster_json([tree((7.0,)), DEEP, SPLIT], 2))
    assert booster.predict(np.array([[5.0, 1.0], [0.0, -3.0]])).tolist() == [7 + 3 + 20, 7 - 1 + 10]


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3), (1, 2, 2)])
def test_another_number_of_features_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PredictorError, match="reads 2 features, got a matrix of shape"):
        read(booster_json([SPLIT], 2)).predict(np.zeros(shape))


# -------------------------------------------------------------------------------------------------------------- XGBoost
@pytest.mark.parametrize(
    ("settings_", "rows", "rounds"),
    [
        ({"objective": "reg:absoluteerror", "tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 32,
          "max_depth": 0, "subsample": 0.8}, 3000, 8),
        ({"objective": "reg:squarederror", "tree_method": "hist", "max_depth": 6}, 500, 10),
        ({"objective": "reg:squarederror", "tree_method": "exact", "max_depth": 4, "base_score": 3.5}, 200, 10),
        ({"objective": "reg:pseudohubererror", "tree_method": "approx", "max_depth": 3}, 200, 5),
        ({"objective": "reg:squarederror", "max_depth": 2, "gamma": 1e9}, 100, 3),  # every tree is a single leaf
        ({"objective": "reg:squarederror", "max_depth": 5, "num_parallel_tree": 3}, 100, 3),
    ],
)  # fmt: skip
def test_equal_to_xgboost(settings_: dict[str, Any], rows: int, rounds: int) -> None:
    xgboost = pytest.importorskip("xgboost", reason="comparing with XGBoost needs the extra train")
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 7)).astype(np.float32)
    x[:, 5] = np.round(x[:, 5])  # rows that lie exactly on thresholds
    x[rng.random(x.shape) < 0.15] = np.nan
    y = np.nan_to_num(x[:, 0]) ** 2 - np.nan_to_num(x[:, 3]) * np.nan_to_num(x[:, 5]) + 100
    trained = xgboost.train({**settings_, "nthread": 1, "seed": 1}, xgboost.DMatrix(x, y), rounds)
    ours = Booster.from_json(bytes(trained.save_raw("json")))
    probe = rng.normal(size=(2500, 7)) * 2  # more rows than are walked at a time
    probe[rng.random(probe.shape) < 0.3] = np.nan
    probe[:50, 5] = x[:50, 5]
    for matrix in (x, probe, probe[:1], np.full((1, 7), np.nan)):
        np.testing.assert_allclose(ours.predict(matrix), trained.predict(xgboost.DMatrix(matrix)), rtol=1e-6, atol=1e-6)
    # A row's value does not depend on its neighbours.
    together = ours.predict(probe)
    for row in range(1200, 1240):
        np.testing.assert_array_equal(together[row : row + 1], ours.predict(probe[row : row + 1]))


def test_shipped_boosters_equal_xgboost() -> None:
    xgboost = pytest.importorskip("xgboost", reason="comparing with XGBoost needs the extra train")
    import gzip

    from perfmodel import load
    from perfmodel.errors import InputError

    try:
        residuals = load("default").residuals
    except InputError as error:
        pytest.skip(f"no shipped predictor: {error}")
    rng = np.random.default_rng(0)
    for key in sorted(residuals)[::3]:  # a third of a second each
        residual = residuals[key]
        text = gzip.decompress(residual.read())
        theirs = xgboost.Booster()
        theirs.load_model(bytearray(text))
        matrix = rng.normal(size=(200, residual.booster.features)).astype(np.float32) * 5
        expected = theirs.predict(xgboost.DMatrix(matrix), validate_features=False)
        np.testing.assert_allclose(residual.booster.predict(matrix), expected, atol=1e-6)


# --------------------------------------------------------------------------------------------------------------- damage
GOOD = booster_json([SPLIT, DEEP], 2)


def broken(*path: Any, value: Any) -> Any:
    model = copy.deepcopy(GOOD)
    at: Any = model
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return model


LEARNER = ("learner",)
PARAMETERS = (*LEARNER, "learner_model_param")
TREES = (*LEARNER, "gradient_booster", "model", "trees")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (broken(*LEARNER, "gradient_booster", "name", value="dart"), "'dart'; only 'gbtree'"),
        (broken(*LEARNER, "gradient_booster", "name", value="gblinear"), "only 'gbtree'"),
        (broken(*LEARNER, "objective", "name", value="binary:logistic"), "objective is 'binary:logistic'"),
        (broken(*PARAMETERS, "num_class", value="3"), "several outputs"),
        (broken(*PARAMETERS, "num_target", value="2"), "several outputs"),
        (broken(*PARAMETERS, "base_score", value="nan"), "not finite"),
        (broken(*PARAMETERS, "base_score", value=0.5), "no XGBoost JSON model"),
        (broken(*PARAMETERS, "num_feature", value="1"), "feature beyond the 1"),
        (broken(*TREES, 0, "split_type", value=[1, 0, 0]), "categorical"),
        (broken(*TREES, 0, "left_children", value=[0, -1, -1]), "does not follow its parent"),
        (broken(*TREES, 1, "right_children", value=[2, -1, 1, -1, -1]), "does not follow its parent"),
        (broken(*TREES, 0, "left_children", value=[3, -1, -1]), "outside the tree"),
        (broken(*TREES, 0, "right_children", value=[2**70, -1, -1]), "no XGBoost JSON model"),
        (broken(*TREES, 0, "right_children", value=[1, -1, -1]), "two parents"),
        (broken(*TREES, 0, "left_children", value=[1.5, -1, -1]), "whole numbers"),
        (broken(*TREES, 0, "left_children", value=[]), "no XGBoost JSON model"),
        (broken(*TREES, 0, "split_indices", value=[-1, 0, 0]), "feature beyond"),
        (broken(*TREES, 0, "split_indices", value=[0]), "whole numbers"),
        (broken(*TREES, 0, "split_conditions", value=[1.0]), "unlike length"),
        (broken(*TREES, 0, "split_conditions", value=[1.0, float("nan"), 2.0]), "not finite"),
        (broken(*TREES, 0, "split_conditions", value=[1.0, 1e300, 2.0]), "not finite"),
        (broken(*TREES, value=[{}]), "KeyError"),
        (broken(*TREES, value=None), "TypeError"),
        ([], "TypeError"),
        ("text", "TypeError"),
    ],
)  # fmt: skip
def test_models_that_are_refused(model: Any, message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        read(model)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"learner": ' * 20_000, b"1e999999", b"null"]
)
def test_text_that_is_no_model(text: bytes) -> None:
    with pytest.raises(PredictorError, match="booster 7 is no XGBoost JSON model"):
        Booster.from_json(text, "booster 7")


def test_a_few_bytes_do_not_fill_the_memory() -> None:
    wide = tree(*[(0.0,)] * 20_000)
    with pytest.raises(PredictorError, match="more than is accepted"):
        read(booster_json([wide, *[tree((0.0,))] * 1000], 2))


def test_a_deep_chain_is_refused() -> None:
    links = 2000
    nodes: list[tuple[Any, ...]] = []
    for i in range(links):
        nodes += [(0, 0.0, 2 * i + 1, 2 * i + 2, True), (0.0,)]
    with pytest.raises(PredictorError, match="depth 2000"):
        read(booster_json([tree(*nodes, (0.0,))], 2))


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        found += [p for k, v in value.items() for p in paths(v, (*at, k))]
    elif isinstance(value, list):
        found += [p for i, v in enumerate(value) for p in paths(v, (*at, i))]
    return found


junk = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.just(2**80), st.floats(), st.text(max_size=3),
    st.just([]), st.just({}), st.lists(st.integers(-2, 6), max_size=6),
)  # fmt: skip


@given(path=st.sampled_from(paths(GOOD)), value=junk, drop=st.booleans())
@settings(max_examples=250, deadline=None, derandomize=True)
def test_a_damaged_model_is_refused_or_still_walks(path: tuple[Any, ...], value: Any, drop: bool) -> None:
    model = broken(*path, value=value)
    if drop:
        at: Any = model
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
    message, result = "", np.zeros(2)
    try:
        booster = read(model)
        if booster.features < 100:
            result = booster.predict(np.zeros((2, booster.features)))
    except PredictorError as error:
        message = str(error)
    assert "\n" not in message
    assert np.isfinite(result).all()

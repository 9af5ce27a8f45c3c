"""Evaluation of boosted trees from XGBoost's own JSON format, with numpy alone.

The base install has no XGBoost (and no SciPy, which it needs): shipped boosters are read here. A test compares every
shipped booster with XGBoost itself. The format is XGBoost's documented JSON model schema ("Introduction to Model IO").
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.errors import PredictorError

_MAX_BOOSTER_BYTES = 64 * 2**20
_ROWS_AT_A_TIME = 512
_MAX_CELLS = 2**24
"""Trees times nodes of the largest tree: padded arrays of that size take 300 MB, which no crafted file may exceed."""
_MAX_DEPTH = 1024
MOST_LN = 50.0
"""Stored boosters predict logarithms of ratios, and intervals are such logarithms: a factor of 5e21 is larger than any that was
ever measured, and keeps its exponential, times any latency, finite."""
_MOST_LN_OF_LEAVES = 300.0
"""What the largest leaves of all trees may add up to: nine times what the largest of the shipped boosters have."""
_IDENTITY_OBJECTIVES = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")
"""Objectives whose prediction is the sum of the leaves; others pass it through a link function."""


@dataclass(frozen=True)
class Booster:
    """A sum of regression trees; all arrays of shape ``[trees, nodes]``, padded with leaves.

    Attributes:
        base: prediction before the first tree.
        feature: column that a node tests.
        threshold: a row goes left if its value is below; the leaf's value where the node is a leaf.
        left, right: children; a leaf is its own child.
        default_left: where a missing value goes.
        depth: longest path.
        features: columns that the booster reads.
    """

    base: float
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    default_left: np.ndarray
    depth: int
    features: int

    @classmethod
    def from_json(cls, text: bytes, name: str = "booster") -> Booster:
        """Reads a model that ``xgboost.Booster.save_model`` wrote as JSON.

        Raises:
            PredictorError: the text is no such model, or one with features that are not supported (categorical splits,
                several outputs, DART, linear boosters).
        """
        try:
            return _parse(json.loads(text))
        except PredictorError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            raise PredictorError(
                f"{name} is no XGBoost JSON model that this version reads: {type(error).__name__} {error}"
            ) from None

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Predictions of shape ``[rows]`` for a matrix of shape ``[rows, features]``.

        Raises:
            PredictorError: the matrix has another number of columns than the booster was trained on.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise PredictorError(f"the booster reads {self.features} features, got a matrix of shape {matrix.shape}")
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        parts = [self._predict_part(matrix[i : i + _ROWS_AT_A_TIME]) for i in range(0, len(matrix), _ROWS_AT_A_TIME)]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
    def _flat(self) -> _Flat:
        trees, nodes = self.feature.shape
        first = (np.arange(trees, dtype=np.int32) * nodes)[:, None]
        children = np.stack([self.left + first, self.right + first], axis=-1)
        return _Flat(
            first=first[:, 0], feature=self.feature.ravel(), threshold=self.threshold.ravel(), children=children.ravel(),
            default_right=~self.default_left.ravel(), inner=(self.left != np.arange(nodes)).ravel(),
        )  # fmt: skip

    @cached_property
    def _nodes(self) -> _Nodes:
        trees, nodes = self.feature.shape
        inner = (self.left != np.arange(nodes)).ravel()
        inside, leaves = np.flatnonzero(inner), np.flatnonzero(~inner)
        number = np.empty(trees * nodes, dtype=np.int32)
        number[inside] = np.arange(len(inside))
        number[leaves] = np.arange(len(inside), trees * nodes)
        first = np.arange(trees) * nodes
        left, right = (number[(child + first[:, None]).ravel()[inside]] for child in (self.left, self.right))
        threshold = self.threshold.ravel()
        return _Nodes(
            first=number[first], feature=self.feature.ravel()[inside], threshold=threshold[inside], left=left, right=right,
            default_left=self.default_left.ravel()[inside],
            leaves=np.arange(len(inside), trees * nodes, dtype=np.int32), leaf=threshold[leaves],
        )  # fmt: skip

    def _predict_row(self, row: np.ndarray) -> np.ndarray:
        """The prediction of one row: every node decides at once, and what remains is to follow the decisions down.

        For a few hundred trees that is a quarter of the time that the walk of many rows takes for one.
        """
        nodes = self._nodes
        value = row.take(nodes.feature)
        left = value < nodes.threshold
        missing = np.isnan(value)
        if missing.any():
            left |= missing & nodes.default_left
        after = np.concatenate([np.where(left, nodes.left, nodes.right), nodes.leaves])
        here = nodes.first
        for _ in range(self.depth):
            here = after.take(here)
        total = np.float32(self.base)
        # Summed one by one, as for many rows.
        for leaf in nodes.leaf.take(here - len(nodes.feature)):
            total += leaf
        return np.array([total], dtype=np.float64)

    def _predict_part(self, matrix: np.ndarray) -> np.ndarray:
        if len(matrix) == 1:
            return self._predict_row(matrix[0])
        flat, (rows, width) = self._flat, matrix.shape
        values, missing = matrix.ravel(), bool(np.isnan(matrix).any())
        # Every row walks down every tree: pairs of both, rows first, of which those at a leaf drop out now and then.
        node = np.tile(flat.first, rows)
        pair = np.flatnonzero(flat.inner.take(node))
        here, start = node.take(pair), ((pair // len(flat.first)) * width).astype(np.int32)
        # Indices are valid by how the arrays were made: "clip" saves numpy a second look at each.
        while len(pair):
            value = values.take(start + flat.feature.take(here, mode="clip"), mode="clip")
            right = ~(value < flat.threshold.take(here, mode="clip"))
            if missing:
                right = np.where(np.isnan(value), flat.default_right.take(here), right)
            here = flat.children.take(2 * here + right, mode="clip")
            inner = flat.inner.take(here, mode="clip")
            if 4 * np.count_nonzero(inner) < 3 * len(inner):
                done = ~inner
                node[pair[done]] = here[done]
                pair, here, start = pair[inner], here[inner], start[inner]
        leaves = flat.threshold.take(node).reshape(rows, len(flat.first))
        # Summed in float32 in tree order, as XGBoost does.
        total = np.full(rows, np.float32(self.base), dtype=np.float32)
        for column in leaves.T:
            total += column
        return total.astype(np.float64)


@dataclass(frozen=True)
class _Flat:
    """The nodes of all trees in one row: of each its number in ``children``, where those of node ``i`` are ``2 i`` (left) and
    ``2 i + 1``; ``first`` are the roots, ``inner`` is False for leaves, whose children they are themselves."""

    first: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    children: np.ndarray
    default_right: np.ndarray
    inner: np.ndarray


@dataclass(frozen=True)
class _Nodes:
    """The nodes of all trees in one row, those that test first, the leaves after them.

    Attributes:
        first: numbers of the roots.
        feature, threshold, left, right, default_left: of the nodes that test; children by their numbers.
        leaves: the numbers of the leaves.
        leaf: their values.
    """

    first: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    default_left: np.ndarray
    leaves: np.ndarray
    leaf: np.ndarray


def read_booster(packed: bytes, name: str) -> Booster:
    """The trees of a booster's stored bytes (gzip), which predict the logarithm of a ratio.

    Raises:
        PredictorError: they cannot be unpacked, are no booster, or could predict what is no ratio of two times.
    """
    try:
        # Bounded, so that a crafted archive cannot fill the memory.
        inflater = zlib.decompressobj(wbits=31)
        text = inflater.decompress(packed, _MAX_BOOSTER_BYTES)
        if inflater.unconsumed_tail:
            raise PredictorError(f"{name} unpacks to more than {_MAX_BOOSTER_BYTES >> 20} MiB")
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise PredictorError(f"{name} cannot be unpacked: {error}") from None
    booster = Booster.from_json(text, name)
    leaves = np.where(booster.left == np.arange(booster.left.shape[1]), np.abs(booster.threshold), 0.0)
    most = abs(booster.base) + float(leaves.max(axis=1, initial=0.0).sum())
    if most > _MOST_LN_OF_LEAVES:
        raise PredictorError(
            f"{name} could predict e^{most:.3g}, which is no ratio of two times; wanted leaves that add up to at most "
            f"{_MOST_LN_OF_LEAVES:g}"
        )
    return booster


def _parse(model: dict[str, Any]) -> Booster:
    learner = model["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise PredictorError(f"the booster is a {booster['name']!r:.80}; only 'gbtree' is supported")
    objective = learner["objective"]["name"]
    if objective not in _IDENTITY_OBJECTIVES:
        raise PredictorError(
            f"the booster's objective is {objective!r:.80}; only {', '.join(_IDENTITY_OBJECTIVES)} are supported"
        )
    parameters = learner["learner_model_param"]
    if int(parameters.get("num_target", "1")) > 1 or int(parameters["num_class"]) > 1:
        raise PredictorError("the booster has several outputs; only one is supported")
    base = float(parameters["base_score"].strip("[]"))
    trees = booster["model"]["trees"]
    nodes = max((len(t["left_children"]) for t in trees), default=1)
    shape = (len(trees), nodes)
    if len(trees) * nodes > _MAX_CELLS:
        raise PredictorError(f"the booster has {len(trees)} trees of up to {nodes} nodes, more than is accepted")
    feature = np.zeros(shape, dtype=np.int32)
    threshold = np.zeros(shape, dtype=np.float32)
    left, right = (np.tile(np.arange(nodes, dtype=np.int32), (len(trees), 1)) for _ in range(2))
    default_left = np.zeros(shape, dtype=bool)
    features = int(parameters["num_feature"])
    depth = 0
    for index, tree in enumerate(trees):
        if any(tree.get("split_type", ())) or tree.get("categories"):
            raise PredictorError("the booster has categorical splits, which are not supported")
        count = len(tree["left_children"])
        children_l, children_r, split = (
            _whole_numbers(tree[name], count) for name in ("left_children", "right_children", "split_indices")
        )
        inner = children_l >= 0
        own = np.arange(count)
        # A child comes after its parent, so that every walk ends; anything else is no tree.
        if not (np.all(children_l[inner] > own[inner]) and np.all(children_r[inner] > own[inner])):
            raise PredictorError(f"tree {index} has a child that does not follow its parent")
        if np.any(children_l[inner] >= count) or np.any(children_r[inner] >= count):
            raise PredictorError(f"tree {index} has a child outside the tree")
        children = np.concatenate([children_l[inner], children_r[inner]])
        if len(np.unique(children)) < len(children):
            raise PredictorError(f"tree {index} has a node with two parents")
        left[index, :count] = np.where(inner, children_l, own)
        right[index, :count] = np.where(inner, children_r, own)
        if np.any(split[inner] >= features) or np.any(split[inner] < 0):
            raise PredictorError(f"tree {index} tests a feature beyond the {features} it was trained on")
        feature[index, :count] = np.where(inner, split, 0)
        if not len(tree["split_conditions"]) == len(tree["default_left"]) == count:
            raise PredictorError(f"tree {index} has arrays of unlike length")
        with np.errstate(over="ignore"):  # refused below
            threshold[index, :count] = np.array(tree["split_conditions"], dtype=np.float32)
        default_left[index, :count] = np.array(tree["default_left"], dtype=bool)
        depth = max(depth, _depth(children_l, children_r))
    if depth > _MAX_DEPTH:
        raise PredictorError(f"the booster has a tree of depth {depth}, more than is accepted")
    if not (np.isfinite(base) and np.isfinite(threshold).all()):
        raise PredictorError("the booster holds a value that is not finite")
    return Booster(base, feature, threshold, left, right, default_left, depth, features)


def _whole_numbers(values: list[int], count: int) -> np.ndarray:
    array = np.array(values)
    if array.shape != (count,) or array.dtype.kind != "i":
        raise ValueError(f"wanted a list of {count} whole numbers, got {values!r:.40}")
    return array


def _depth(left: np.ndarray, right: np.ndarray) -> int:
    levels = [0] * len(left)
    for node, (low, high) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        if low >= 0:
            levels[low] = levels[high] = levels[node] + 1
    return max(levels)

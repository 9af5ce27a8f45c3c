"""What the characteriser is held against: the median of a module's family, a linear model, and the words of the text.

All of them predict whole modules in the logarithm of a count; none sees a module of the fold that it is judged on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from perfmodel.characterise.training import PARAMETERS
from perfmodel.training.objective import boost

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Numbers of the modules to learn from and to predict; predictions of the latter, in the target's logarithm."""

_TOKEN = re.compile(r"[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?(?:e-?\d+)?|[^\s\w]")
_NUMBER = re.compile(r"-?\d")
_VOCABULARY = 600
_RIDGE = 1.0


def tokens(text: str) -> Counter[str]:
    """Words of a module's text with how often each occurs; numbers by their magnitude (``#2^7`` for 128 to 255), extents of
    types (``1x128xf32``) one by one, names of values left out."""
    text = re.sub(r"%[\w#]+", "%", text)
    text = re.sub(r"(?<=\d)x(?=[\d?a-z])", " x ", text)
    counts: Counter[str] = Counter()
    for token in _TOKEN.findall(text):
        if _NUMBER.match(token):
            size = abs(float(token))
            token = "#0" if size == 0 else f"#2^{int(np.floor(np.log2(size)))}"
        counts[token] += 1
    return counts


def token_matrix(texts: tuple[str, ...]) -> np.ndarray:
    """ln(1 + occurrences) of the commonest tokens, shape ``[modules, tokens]``, and the logarithm of the sum of all sizes."""
    bags = [tokens(text) for text in texts]
    common = Counter(token for bag in bags for token in bag)
    vocabulary = [token for token, _ in common.most_common(_VOCABULARY)]
    matrix = np.zeros((len(texts), len(vocabulary)), dtype=np.float32)
    for row, bag in enumerate(bags):
        matrix[row] = [np.log1p(bag[token]) for token in vocabulary]
    return matrix


def family_median(goal: np.ndarray, families: np.ndarray) -> Fit:
    """The median of the modules of the same family; of all where none is known."""
    return _of_family(goal, families, np.median)


def family_share(goal: np.ndarray, families: np.ndarray) -> Fit:
    """The mean of the modules of the same family (of a yes or no: the share of yes); of all where none is known."""
    return _of_family(goal, families, np.mean)


def _of_family(goal: np.ndarray, families: np.ndarray, middle: Callable[[np.ndarray], Any]) -> Fit:
    def fit(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        everything = float(middle(goal[inside]))
        known = {f: float(middle(goal[inside][families[inside] == f])) for f in set(families[inside].tolist())}
        return np.array([known.get(f, everything) for f in families[outside].tolist()])

    return fit


def linear(goal: np.ndarray, matrix: np.ndarray) -> Fit:
    """Ridge regression of the logarithm on standardised features."""

    def fit(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        mean, spread = matrix[inside].mean(axis=0), matrix[inside].std(axis=0)
        scaled = (matrix - mean) / np.where(spread > 1e-9, spread, 1.0)
        scaled = np.clip(np.column_stack([np.ones(len(scaled)), scaled]), -10, 10)
        a = scaled[inside]
        weights = np.linalg.solve(a.T @ a + _RIDGE * np.eye(a.shape[1]), a.T @ goal[inside])
        return scaled[outside] @ weights

    return fit


def of_tokens(goal: np.ndarray, matrix: np.ndarray, seed: int) -> Fit:
    """Boosted trees on a bag of tokens, with the same parameters as the characteriser's."""

    def fit(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        booster = boost(matrix[inside], goal[inside], PARAMETERS, seed)
        predicted: np.ndarray = booster.inplace_predict(matrix[outside]).astype(np.float64)
        return predicted

    return fit


def predictions(fit: Fit, goal: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Held-out predictions of every module; NaN where the goal is unknown."""
    result = np.full(len(goal), np.nan)
    known = np.isfinite(goal)
    for fold in np.unique(fold_of):
        inside, outside = np.flatnonzero((fold_of != fold) & known), np.flatnonzero((fold_of == fold) & known)
        if len(inside) and len(outside):
            result[outside] = fit(inside, outside)
    return result

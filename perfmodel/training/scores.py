"""Predictors of benchmark scores from datasheets: baselines, candidates, and the choice among them.

Each is a function of training rows, test rows and a seed that returns ln(score) of the test rows. All give every benchmark a
factor of its own (its *anchor*), the mean of its training rows; what differs is how a score changes from machine to machine.
The choice (:func:`choose`) is by cross-validation: each processor of the training rows is left out in turn, and its benchmarks
that another processor has, too, are predicted. Where there are too few of those, :data:`UNCHOSEN` is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.models.scores import PACKAGE_READ, Machines, kind_of, physical, plain

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[["Scores", "Scores", int], np.ndarray]

RIDGE = 1.0
EXPONENT_STD = 0.3
"""How far the exponent of a resource may be from the physical one, as one standard deviation."""
NOISE_STD = 0.02
LENGTH, AMPLITUDE = 0.3, 0.15
"""Of the Gaussian process: distance of ln(datasheet) over which machines are alike, and by how much they differ."""
TREES: dict[str, Any] = {"max_depth": 2, "eta": 0.1, "lambda": 3.0, "min_child_weight": 2.0, "nthread": 1}
ROUNDS = 60
LEAST_PAIRS = 3
"""Pairs of processor and suite that a choice needs: two have no standard error worth the name."""


@dataclass(frozen=True)
class Scores:
    """Measured scores with their machines; arrays of shape ``[rows]``.

    Attributes:
        log_score: ln(score).
        workload: ``suite/test``.
        cpu: the processor's id.
        software: the build, as upstream names it.
        machines: their datasheets.
    """

    log_score: np.ndarray
    workload: np.ndarray
    cpu: np.ndarray
    software: np.ndarray
    machines: Machines

    @classmethod
    def of(cls, table: pd.DataFrame) -> Scores:
        """Of run traces with a positive ``score``.

        Raises:
            TraceError: the machine's columns are missing.
        """
        workload, cpu, software = (
            table[name].astype(str).to_numpy(dtype=object) for name in ("workload", "device", "software")
        )
        return cls(np.log(table["score"].to_numpy(dtype=np.float64)), workload, cpu, software, Machines.of(table))

    def __len__(self) -> int:
        return len(self.log_score)

    def taken(self, rows: Any) -> Scores:
        """Some of the rows."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "machines"}
        return Scores(**arrays, machines=self.machines.taken(rows))

    @property
    def suite(self) -> np.ndarray:
        """The part of the workload before the slash."""
        return np.array([w.partition("/")[0] for w in self.workload], dtype=object)


def log_resource(of: Callable[[str, Machines], np.ndarray], scores: Scores) -> np.ndarray:
    """ln of :func:`~perfmodel.models.scores.plain` or :func:`~perfmodel.models.scores.physical` of each row."""
    result = np.empty(len(scores))
    for workload in dict.fromkeys(scores.workload):
        rows = scores.workload == workload
        result[rows] = np.log(of(workload, scores.machines.taken(rows)))
    return result


def anchors(train: Scores, residual: np.ndarray, test: Scores, nearest: bool = False) -> np.ndarray:
    """The factor of each test row's benchmark; shape ``[test rows]``.

    A benchmark that was not trained on takes those of another socket, of its suite and kind, of its suite, or all.

    Args:
        train: training rows.
        residual: what is left of ln(score) there.
        test: rows to predict.
        nearest: of the machine that is most like the row's, instead of the mean over machines.
    """
    features, wanted = train.machines.features(), test.machines.features()
    kinds = np.array([kind_of(w) for w in train.workload], dtype=object)
    sockets = np.array([_any_socket(w) for w in train.workload], dtype=object)
    result = np.empty(len(test))
    for i, workload in enumerate(test.workload):
        rows = train.workload == workload
        same_suite = train.suite == test.suite[i]
        for wider in (sockets == _any_socket(workload), same_suite & (kinds == kind_of(workload)), same_suite):
            rows = rows if rows.any() else wider
        rows = rows if rows.any() else np.ones(len(train), dtype=bool)
        if nearest:
            distance = np.abs(features[rows] - wanted[i]).sum(axis=1)
            result[i] = residual[rows][distance <= distance.min() + 1e-12].mean()
        else:
            # The mean over processors, each of which may have been measured more or less often.
            result[i] = np.mean([residual[rows & (train.cpu == cpu)].mean() for cpu in sorted(set(train.cpu[rows]))])
    return result


def _any_socket(workload: str) -> str:
    """The name without the number of the socket that was measured."""
    return re.sub(r"\bSocket \d+", "Socket", workload)


def _anchored(of: Callable[[str, Machines], np.ndarray] | None, nearest: bool = False) -> Predict:
    def predict(train: Scores, test: Scores, seed: int) -> np.ndarray:
        there = 0.0 if of is None else log_resource(of, test)
        known = 0.0 if of is None else log_resource(of, train)
        return there + anchors(train, train.log_score - known, test, nearest)

    return predict


def _linear(penalty: float, from_physics: bool) -> Predict:
    """ln(score) = anchor + weights of the kind . ln(datasheet); least squares, of least norm where many fit alike."""

    def predict(train: Scores, test: Scores, seed: int) -> np.ndarray:
        known, there = (log_resource(physical, s) if from_physics else np.zeros(len(s)) for s in (train, test))
        names = sorted(set(train.workload))
        x, centre = train.machines.features(), train.machines.features().mean(axis=0)
        dummies = np.array([[w == n for n in names] for w in train.workload], dtype=np.float64)
        target = train.log_score - known
        offset = anchors(train, target, train)
        design = np.hstack([dummies, x - centre])
        rows = [design]
        if penalty:
            rows.append(np.hstack([np.zeros((x.shape[1], len(names))), np.sqrt(penalty) * np.eye(x.shape[1])]))
        wanted = np.concatenate([target - offset, np.zeros(x.shape[1] if penalty else 0)])
        weights = np.linalg.lstsq(np.vstack(rows), wanted, rcond=1e-9)[0]
        of_test = dict(zip(names, weights[: len(names)], strict=True))
        shift = np.array([of_test.get(w, 0.0) for w in test.workload])
        return (
            there + anchors(train, target, test) + shift + (test.machines.features() - centre) @ weights[len(names) :]
        )

    return predict


def _gaussian_process(train: Scores, test: Scores, seed: int) -> np.ndarray:
    """The residual of the physics as a smooth function of the datasheet, alike for benchmarks of one kind."""
    target = train.log_score - log_resource(physical, train)
    offset = anchors(train, target, train)

    def kernel(a: Scores, b: Scores) -> np.ndarray:
        distance = ((a.machines.features()[:, None] - b.machines.features()[None]) ** 2).sum(axis=2)
        kinds_a, kinds_b = (np.array([kind_of(w) for w in s.workload], dtype=object) for s in (a, b))
        alike = 0.5 * (kinds_a[:, None] == kinds_b[None]) + 0.5 * (a.workload[:, None] == b.workload[None])
        result: np.ndarray = AMPLITUDE**2 * alike * np.exp(-distance / (2 * LENGTH**2))
        return result

    known = kernel(train, train) + NOISE_STD**2 * np.eye(len(train))
    learned = kernel(test, train) @ np.linalg.solve(known, target - offset)
    return log_resource(physical, test) + anchors(train, target, test) + learned


def _trees(train: Scores, test: Scores, seed: int) -> np.ndarray:
    """Boosted trees on the residual of the anchored physics."""
    from perfmodel.training.objective import import_xgboost

    xgboost = import_xgboost()
    kinds = sorted({kind_of(w) for w in (*train.workload, *test.workload)})

    def matrix(scores: Scores) -> np.ndarray:
        kind = [[kind_of(w) == k for k in kinds] for w in scores.workload]
        return np.hstack([scores.machines.features(), np.array(kind, dtype=np.float64)])

    target = train.log_score - log_resource(physical, train)
    offset = anchors(train, target, train)
    booster = xgboost.train(
        TREES | {"seed": seed, "base_score": 0.0}, xgboost.DMatrix(matrix(train), target - offset), ROUNDS
    )
    learned = booster.predict(xgboost.DMatrix(matrix(test))).astype(np.float64)
    result: np.ndarray = log_resource(physical, test) + anchors(train, target, test) + learned
    return result


BASELINES: Mapping[str, Predict] = {
    "mean": _anchored(None),
    "linear": _linear(0.0, from_physics=False),
    "plain physics": _anchored(plain),
}
"""The mean of the training rows of a benchmark, linear regression of ln(score), channels x rate or cores x clock."""
UNCHOSEN = "physics"
CANDIDATES: Mapping[str, Predict] = {
    UNCHOSEN: _anchored(physical),
    "physics from the nearest machine": _anchored(physical, nearest=True),
    "exponents around the physics": _linear((NOISE_STD / EXPONENT_STD) ** 2, from_physics=True),
    "ridge": _linear(RIDGE, from_physics=False),
    "Gaussian process on the physics": _gaussian_process,
    "trees on the physics": _trees,
}


def predict_chosen(train: Scores, test: Scores, seed: int) -> np.ndarray:
    """ln(score) of the test rows, each by what :func:`choose` takes for its kind; shape ``[test rows]``."""
    kinds = np.array([kind_of(w) for w in test.workload], dtype=object)
    result = np.empty(len(test))
    for kind in sorted(set(kinds)):
        rows = kinds == kind
        result[rows] = CANDIDATES[choose(train, kind, seed)[0]](train, test.taken(rows), seed)
    return result


def choose(train: Scores, kind: str, seed: int) -> tuple[str, dict[str, float]]:
    """The candidate that predicts benchmarks of one kind best on processors that were left out of the training rows.

    By the rule of one standard error (Breiman et al., Classification and Regression Trees, 1984): another candidate takes the
    place of :data:`UNCHOSEN` where it is better by more than the standard error of that difference, over pairs of processor
    and suite.

    Args:
        train: training rows.
        kind: what limits the benchmarks, as :func:`perfmodel.models.scores.kind_of` says: how well bandwidths are predicted
            tells nothing of arithmetic.
        seed: of the boosters.

    Returns:
        its name, and the mean |ln(predicted / measured)| of each over those pairs; :data:`UNCHOSEN` and nothing where there are
        fewer than :data:`LEAST_PAIRS`.
    """
    pairs = []
    for cpu in sorted(set(train.cpu)):
        rest, held = train.taken(train.cpu != cpu), train.taken(train.cpu == cpu)
        held = held.taken(np.isin(held.workload, list(set(rest.workload))))
        held = held.taken([kind_of(w) == kind for w in held.workload])
        pairs += [(rest, held.taken(held.suite == suite)) for suite in sorted(set(held.suite))]
    if len(pairs) < LEAST_PAIRS:
        return UNCHOSEN, {}
    errors = {
        name: np.array([np.abs(predict(rest, held, seed) - held.log_score).mean() for rest, held in pairs])
        for name, predict in CANDIDATES.items()
    }
    gains = {name: errors[UNCHOSEN] - found for name, found in errors.items()}
    sure = [name for name, gain in gains.items() if gain.mean() > gain.std(ddof=1) / np.sqrt(len(pairs))]
    best = max(sure, key=lambda name: gains[name].mean(), default=UNCHOSEN)
    return best, {name: float(found.mean()) for name, found in errors.items()}


def interval_std(train: Scores, test: Scores) -> np.ndarray:
    """One standard deviation of ln(score): what wrong exponents of the resources would make, for the distance to the nearest
    machine that the benchmark ran on, and the noise; shape ``[test rows]``."""
    known, wanted = train.machines, test.machines

    def resources(m: Machines) -> np.ndarray:
        bandwidth = m.memory_bytes_per_s(PACKAGE_READ)
        return np.log(np.stack([m.cores, m.sustained_hz, m.l3_bytes, bandwidth], axis=1))

    a, b = resources(known), resources(wanted)
    result = np.empty(len(test))
    for i, workload in enumerate(test.workload):
        rows = train.workload == workload
        rows = rows if rows.any() else train.suite == test.suite[i]
        rows = rows if rows.any() else np.ones(len(train), dtype=bool)
        result[i] = np.sqrt(NOISE_STD**2 + EXPONENT_STD**2 * ((a[rows] - b[i]) ** 2).sum(axis=1).min())
    return result


def repeat_noise(scores: Scores) -> float | None:
    """Mean |a / b - 1| over pairs of measurements of one benchmark on one machine; None where nothing was repeated."""
    found = []
    for workload in dict.fromkeys(scores.workload):
        for cpu in dict.fromkeys(scores.cpu):
            values = np.exp(np.unique(scores.log_score[(scores.workload == workload) & (scores.cpu == cpu)]))
            ratios = values[:, None] / values[None]
            found.append(np.abs(ratios[~np.eye(len(values), dtype=bool)] - 1))
    pairs = np.concatenate(found)
    return float(pairs.mean()) if len(pairs) else None

"""Trains a characteriser: boosters on ln(count / first estimate), 90 % intervals from held-out modules, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.characterise import targets
from perfmodel.characterise.description import module_names
from perfmodel.characterise.examples import Examples
from perfmodel.characterise.learned import Learned, Part
from perfmodel.characterise.targets import Target
from perfmodel.features.lowering.features import names
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.models import artefact
from perfmodel.models.trees import Booster
from perfmodel.training.boosting import strip
from perfmodel.training.objective import boost, import_xgboost

PARAMETERS: dict[str, Any] = {
    "objective": "reg:absoluteerror", "trees": 300, "eta": 0.08, "max_depth": 6, "min_child_weight": 4, "subsample": 0.8,
    "colsample_bytree": 0.5, "lambda": 1.0, "tree_method": "hist", "nthread": 1, "verbosity": 0,
}  # fmt: skip
OF_TARGET: dict[str, dict[str, Any]] = {
    targets.REGISTERS.name: {"trees": 80, "max_depth": 5},
    targets.SPILLS.name: {"trees": 150},
    targets.SPILLS_ABOVE.name: {"trees": 120, "objective": "binary:logistic"},
}
"""What differs from :data:`PARAMETERS` by target."""
INTERVAL = (0.05, 0.95)
LEAST_LATENCY_S = 20e-6
"""Shorter calls are mostly the runtime's floor; latency is learned and judged above."""


def parameters_of(target: Target) -> dict[str, Any]:
    """XGBoost's parameters for a target."""
    return {**PARAMETERS, **OF_TARGET.get(target.name, {})}


def wanted(target: Target, counts: np.ndarray) -> np.ndarray:
    """Measured values in the target's scale."""
    if target.scale == "log":
        return np.log1p(counts)
    if target.scale == "above":
        return np.where(np.isnan(counts), np.nan, (counts > targets.MANY_SPILLS).astype(float))
    return counts.astype(float)


def train_booster(target: Target, matrix: np.ndarray, counts: np.ndarray, columns: tuple[str, ...], seed: int) -> Any:
    """XGBoost's booster of one target; rows without a measured value are left out."""
    goal = wanted(target, counts)
    rows = np.flatnonzero(np.isfinite(goal))
    goal = goal[rows] - (matrix[rows, columns.index(target.base)] if target.base is not None else 0.0)
    parameters = parameters_of(target)
    if parameters["objective"] == "binary:logistic":
        return _boost_odds(matrix[rows], goal, parameters, seed)
    return boost(matrix[rows], goal, parameters, seed)


def _boost_odds(matrix: np.ndarray, goal: np.ndarray, parameters: Mapping[str, Any], seed: int) -> Any:
    """Boosted log-odds, saved as a plain sum of leaves: the readers of our files know no other link."""
    xgboost = import_xgboost()
    share = float(np.clip(goal.mean(), 0.01, 0.99))
    chosen = {k: v for k, v in parameters.items() if k != "trees"} | {"seed": seed}
    chosen |= {"objective": "reg:squarederror", "base_score": float(np.log(share / (1 - share))), "min_child_weight": 1}

    def objective(predicted: np.ndarray, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        chance = 1 / (1 + np.exp(-predicted))
        return chance - rows.get_label(), np.maximum(chance * (1 - chance), 1e-6)

    return xgboost.train(chosen, xgboost.QuantileDMatrix(matrix, goal), parameters["trees"], obj=objective)


def raw_predictions(target: Target, booster: Any, matrix: np.ndarray, columns: tuple[str, ...]) -> np.ndarray:
    """Predictions in the target's scale."""
    raw: np.ndarray = booster.inplace_predict(matrix).astype(np.float64)
    return raw + matrix[:, columns.index(target.base)] if target.base is not None else raw


def above_floor_ns(examples: Examples, floor_s: float) -> np.ndarray:
    """Measured nanoseconds above the runtime's floor, by module; NaN where the call is too short to say."""
    latency = examples.totals[targets.LATENCY.name]
    with np.errstate(invalid="ignore"):
        return np.where(latency > LEAST_LATENCY_S, np.maximum(latency - floor_s, 1e-9) * 1e9, np.nan)


def held_out(examples: Examples, fold_of: np.ndarray, floor_s: float, seed: int) -> dict[str, np.ndarray]:
    """Predictions, in the targets' scales, of every dispatch (latency: of every module) by boosters that saw no module of its fold.

    The latency booster is trained on executed counts that were predicted for modules held out in turn, as it will be used.
    """
    columns = names()
    result = {t.name: np.full(len(examples.matrix), np.nan) for t in targets.DISPATCH_TARGETS}
    for fold in np.unique(fold_of):
        inside, outside = (examples.dispatches(np.flatnonzero(mask)) for mask in (fold_of != fold, fold_of == fold))
        for target in targets.DISPATCH_TARGETS:
            counts = examples.counts[target.name][inside]
            booster = train_booster(target, examples.matrix[inside], counts, columns, seed)
            result[target.name][outside] = raw_predictions(target, booster, examples.matrix[outside], columns)
    executed = np.expm1(np.clip(result[targets.EXECUTED.name], 0, 60))
    matrix, columns = examples.module_matrix(executed), module_names()
    ns = above_floor_ns(examples, floor_s)
    predicted = np.full(len(examples), np.nan)
    for fold in np.unique(fold_of):
        inside, outside = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        booster = train_latency(matrix[inside], ns[inside], seed)
        predicted[outside] = raw_predictions(targets.LATENCY, booster, matrix[outside], columns)
    result[targets.LATENCY.name] = predicted
    return result


def train_latency(matrix: np.ndarray, ns: np.ndarray, seed: int) -> Any:
    """The booster of ln(nanoseconds above the floor / instructions executed)."""
    columns = module_names()
    rows = np.flatnonzero(np.isfinite(ns))
    goal = np.log(ns[rows]) - matrix[rows, columns.index(str(targets.LATENCY.base))]
    return boost(matrix[rows], goal, parameters_of(targets.LATENCY), seed)


def train(
    examples: Examples, target: CompileTarget, floor_s: float, peak_flops: float, processor: str, fold_of: np.ndarray, seed: int
) -> tuple[Learned, dict[str, bytes]]:
    """A characteriser of all examples, with intervals from folds held out.

    Args:
        examples: compiled modules.
        target: what they were compiled for.
        floor_s: of the runtime.
        peak_flops, processor: of the machine that timed them.
        fold_of: folds of modules that errors are taken from.
        seed: of the draws.

    Returns:
        The characteriser, and its boosters' bytes by target, as they are stored.
    """
    out = held_out(examples, fold_of, floor_s, seed)
    executed = np.expm1(np.clip(out[targets.EXECUTED.name], 0, 60))
    parts, stored = {}, {}
    for goal in targets.DISPATCH_TARGETS:
        booster = train_booster(goal, examples.matrix, examples.counts[goal.name], names(), seed)
        stored[goal.name] = strip(booster)
        error = wanted(goal, examples.counts[goal.name]) - out[goal.name]
        parts[goal.name] = Part(goal, Booster.from_json(stored[goal.name]), offsets(error))
    ns = above_floor_ns(examples, floor_s)
    matrix = examples.module_matrix(executed)
    stored[targets.LATENCY.name] = strip(train_latency(matrix, ns, seed))
    error = np.log(ns) - out[targets.LATENCY.name]
    booster = Booster.from_json(stored[targets.LATENCY.name])
    parts[targets.LATENCY.name] = Part(targets.LATENCY, booster, offsets(error))
    return Learned(target, parts, floor_s, peak_flops, processor), stored


def offsets(error: np.ndarray) -> tuple[float, float]:
    """The 5 % and 95 % quantiles of held-out errors; (0, 0) where there are none."""
    error = error[np.isfinite(error)]
    if not len(error):
        return 0.0, 0.0
    low, high = np.quantile(error, INTERVAL)
    return float(low), float(high)


def save(learned: Learned, boosters: Mapping[str, bytes], folder: Path, about: Mapping[str, Any]) -> None:
    """Writes a characteriser's folder.

    Args:
        learned: the model.
        boosters: XGBoost's JSON by target.
        folder: where; it may exist.
        about: further keys of the manifest: data, versions, seed.
    """
    entries = []
    for name, part in learned.parts.items():
        file = f"{name}.json.gz"
        sha256 = artefact.write_file(folder, file, artefact.compress(boosters[name]))
        entries.append({"target": name, "file": file, "sha256": sha256, "interval": list(part.interval)})
    manifest = {
        "schema": artefact.SCHEMA, "kind": "characteriser", "target": learned.target.to_dict(), "floor_s": learned.floor_s,
        "peak_flops": learned.peak_flops, "processor": learned.processor, "features": list(names()),
        "module_features": list(module_names()), "boosters": entries,
    }  # fmt: skip
    artefact.write_json(folder, artefact.MANIFEST, {**about, **manifest})

"""Trains a characteriser: boosters on ln(count / first estimate), 90 % intervals from held-out modules, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.characterise import targets
from perfmodel.characterise.description import module_names
from perfmodel.characterise.examples import Examples
from perfmodel.characterise.learned import Learned, Part, first_estimate
from perfmodel.characterise.targets import Target
from perfmodel.features.lowering.features import names, terms
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.models import artefact
from perfmodel.models.trees import Booster
from perfmodel.training.boosting import strip
from perfmodel.training.objective import boost, import_xgboost

PARAMETERS: dict[str, Any] = {
    "objective": "reg:absoluteerror", "trees": 300, "eta": 0.07, "max_depth": 6, "min_child_weight": 4, "subsample": 0.8,
    "colsample_bytree": 0.5, "lambda": 1.0, "tree_method": "hist", "nthread": 1, "verbosity": 0,
}  # fmt: skip
OF_TARGET: dict[str, dict[str, Any]] = {
    targets.REGISTERS.name: {"trees": 80, "eta": 0.1, "max_depth": 5},
    targets.SPILLS.name: {"trees": 150, "eta": 0.1},
    targets.SPILLS_ABOVE.name: {"trees": 120, "eta": 0.1, "objective": "binary:logistic"},
    # Times are fewer and noisier than counts: shallower trees.
    targets.LATENCY.name: {"trees": 250, "eta": 0.05, "max_depth": 4, "min_child_weight": 8, "colsample_bytree": 0.3},
}
"""What differs from :data:`PARAMETERS` by target."""
INTERVAL = (0.05, 0.95)
_REWEIGHTED, _NEAR = 6, 0.03
FEWEST_TIMED = 20
"""Timed modules that a latency is learned from at least."""
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


@dataclass(frozen=True)
class Fitted:
    """A first estimate and the booster that corrects it."""

    target: Target
    weights: np.ndarray
    booster: Any

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        """Predictions in the target's scale."""
        raw: np.ndarray = self.booster.inplace_predict(matrix).astype(np.float64)
        return raw + first_estimate(self.target, self.weights, matrix)


def fit(target: Target, matrix: np.ndarray, counts: np.ndarray, seed: int) -> Fitted:
    """Fits one target of dispatches; rows without a measured value are left out."""
    goal = wanted(target, counts)
    rows = np.flatnonzero(np.isfinite(goal))
    weights = fit_weights(target, matrix[rows], counts[rows])
    goal = goal[rows] - first_estimate(target, weights, matrix[rows])
    parameters = parameters_of(target)
    if parameters["objective"] == "binary:logistic":
        return Fitted(target, weights, _boost_odds(matrix[rows], goal, parameters, seed))
    return Fitted(target, weights, boost(matrix[rows], goal, parameters, seed))


def fit_weights(target: Target, matrix: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights, none below 0, of the terms of a first estimate: how many instructions a vector operation of each kind becomes.

    Least squares of the relative error (non-negative least squares, C. L. Lawson and R. J. Hanson, Solving Least Squares
    Problems, 1974, chapter 23), reweighted so that rows far off count less. Empty where the target has no terms.
    """
    if target.terms is None:
        return np.zeros(0)
    from scipy.optimize import nnls

    a = terms(matrix, target.terms) / np.maximum(counts, 1.0)[:, None]
    scale = np.maximum(a.max(axis=0), 1e-12)
    share = np.ones(len(a))
    for _ in range(_REWEIGHTED):
        weights, _ = nnls(a / scale * share[:, None], share)
        share = 1 / np.sqrt(np.maximum(np.abs(a @ (weights / scale) - 1), _NEAR))
    weights = weights / scale
    weights[-1] = max(weights[-1], 1.0)  # an estimate is never 0
    return weights


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


def above_floor_ns(examples: Examples, floor_s: float) -> np.ndarray:
    """Measured nanoseconds above the runtime's floor, by module; NaN where the call is too short to say."""
    latency = examples.totals[targets.LATENCY.name]
    with np.errstate(invalid="ignore"):
        return np.where(latency > LEAST_LATENCY_S, np.maximum(latency - floor_s, 1e-9) * 1e9, np.nan)


def held_out(examples: Examples, fold_of: np.ndarray, floor_s: float, seed: int) -> dict[str, np.ndarray]:
    """Predictions, in the targets' scales, of every dispatch (latency: of every module) by boosters that saw none of its fold.

    The latency booster is trained on executed counts that were predicted for modules held out in turn, as it will be used.
    """
    result = {t.name: np.full(len(examples.matrix), np.nan) for t in targets.DISPATCH_TARGETS}
    for fold in np.unique(fold_of):
        inside, outside = (examples.dispatches(np.flatnonzero(mask)) for mask in (fold_of != fold, fold_of == fold))
        for target in targets.DISPATCH_TARGETS:
            fitted = fit(target, examples.matrix[inside], examples.counts[target.name][inside], seed)
            result[target.name][outside] = fitted.raw(examples.matrix[outside])
    executed = np.expm1(np.clip(result[targets.EXECUTED.name], 0, 60))
    result[targets.LATENCY.name] = held_out_latency(
        examples, executed, above_floor_ns(examples, floor_s), fold_of, seed
    )
    return result


def held_out_latency(
    examples: Examples, executed: np.ndarray, ns: np.ndarray, fold_of: np.ndarray, seed: int
) -> np.ndarray:
    """ln(nanoseconds above the floor) of every module by boosters that saw no module of its fold.

    Args:
        examples: compiled modules.
        executed: instructions that each dispatch executes, as they are predicted (or known).
        ns: measured, NaN where unknown.
        fold_of: folds of modules.
        seed: of the draws.
    """
    matrix = examples.module_matrix(executed)
    predicted = np.full(len(examples), np.nan)
    for fold in np.unique(fold_of):
        inside, outside = np.flatnonzero((fold_of != fold) & np.isfinite(ns)), np.flatnonzero(fold_of == fold)
        if len(inside) >= FEWEST_TIMED:
            predicted[outside] = fit_latency(matrix[inside], ns[inside], seed).raw(matrix[outside])
    return predicted


def fit_latency(matrix: np.ndarray, ns: np.ndarray, seed: int) -> Fitted:
    """The booster of ln(nanoseconds above the floor / instructions executed)."""
    goal = np.log(ns) - first_estimate(targets.LATENCY, np.zeros(0), matrix)
    return Fitted(targets.LATENCY, np.zeros(0), boost(matrix, goal, parameters_of(targets.LATENCY), seed))


def train(
    examples: Examples,
    target: CompileTarget,
    floor_s: float,
    peak_flops: float,
    processor: str,
    fold_of: np.ndarray,
    seed: int,
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
    ns = above_floor_ns(examples, floor_s)
    timed = np.flatnonzero(np.isfinite(ns))
    fitted = [fit(goal, examples.matrix, examples.counts[goal.name], seed) for goal in targets.DISPATCH_TARGETS]
    if len(timed) >= FEWEST_TIMED:
        fitted.append(fit_latency(examples.module_matrix(executed)[timed], ns[timed], seed))
    parts, stored = {}, {}
    for each in fitted:
        name = each.target.name
        measured = np.log(ns) if each.target is targets.LATENCY else wanted(each.target, examples.counts[name])
        stored[name] = strip(each.booster)
        booster = Booster.from_json(stored[name])
        parts[name] = Part(each.target, booster, each.weights, offsets(measured - out[name]))
    return Learned(target, parts, floor_s, peak_flops, processor), stored


def offsets(error: np.ndarray) -> tuple[float, float]:
    """The 5 % and 95 % quantiles of held-out errors; (0, 0) where there are none."""
    error = error[np.isfinite(error)]
    if not len(error):
        return 0.0, 0.0
    low, high = np.quantile(error, INTERVAL)
    return float(low), float(high)


def save(learned: Learned, boosters: Mapping[str, bytes], folder: Path, about: Mapping[str, Any]) -> None:
    """Writes a characteriser's folder; whatever is raised meanwhile leaves it as it was.

    Args:
        learned: the model.
        boosters: XGBoost's JSON by target.
        folder: where; it may exist.
        about: further keys of the manifest: data, versions, seed.

    Raises:
        OSError: it cannot be written to.
    """
    with artefact.staged(folder) as new:
        entries = []
        for name, part in learned.parts.items():
            file = f"{name}.json.gz"
            sha256 = artefact.write_file(new, file, artefact.compress(boosters[name]))
            entries.append(
                {
                    "target": name,
                    "file": file,
                    "sha256": sha256,
                    "weights": part.weights.tolist(),
                    "interval": list(part.interval),
                }
            )
        manifest = {
            "schema": artefact.SCHEMA, "kind": "characteriser", "target": learned.target.to_dict(), "floor_s": learned.floor_s,
            "peak_flops": learned.peak_flops, "processor": learned.processor, "features": list(names()),
            "module_features": list(module_names()), "boosters": entries,
        }  # fmt: skip
        artefact.write_json(new, artefact.MANIFEST, {**about, **manifest})

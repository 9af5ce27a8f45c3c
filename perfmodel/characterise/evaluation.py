"""How far a characteriser is from modules that it has not seen: shapes held out, and whole families; next to baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from perfmodel.characterise import baselines, targets
from perfmodel.characterise.description import module_names
from perfmodel.characterise.examples import Examples, folds_of_families, folds_of_shapes
from perfmodel.characterise.training import INTERVAL, above_floor_ns, held_out, held_out_latency, offsets
from perfmodel.features.lowering.features import names

JUDGED = (targets.INSTRUCTIONS, targets.CODE_BYTES, targets.EXECUTED)
SHAPE_FOLDS, FAMILY_FOLDS = 5, 8
"""Parts that the modules, or the families, are held out in."""


def relative_errors(predicted_log: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """|predicted / measured - 1| of predictions in ln(1 + count); rows without a measured value are left out."""
    known = np.isfinite(measured) & np.isfinite(predicted_log) & (measured > 0)
    return np.abs(np.expm1(predicted_log[known]) / measured[known] - 1)


def area_under_curve(score: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the receiver's curve, ties counted half; None where there is only one class."""
    positive = positive.astype(bool)
    if positive.all() or not positive.any():
        return None
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    _, inverse, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, weights=ranks) / count)[inverse]
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def figures(errors: np.ndarray) -> dict[str, Any]:
    """Median, mean and 90th percentile of relative errors (fractions)."""
    if not len(errors):
        return {"n": 0, "median": None, "mean": None, "p90": None}
    return {
        "n": len(errors), "median": float(np.median(errors)), "mean": float(errors.mean()),
        "p90": float(np.quantile(errors, 0.9)),
    }  # fmt: skip


def judged(
    examples: Examples, protocol: str, floor_s: float, seed: int, *, with_baselines: bool = True
) -> dict[str, Any]:
    """The figures of one protocol.

    Args:
        examples: compiled modules.
        protocol: ``shapes`` (random modules held out, the same text never on both sides) or ``families``.
        floor_s: of the runtime.
        seed: of folds and boosters.
        with_baselines: whether baselines are judged, too.

    Returns:
        By target the figures of ``model`` and of each baseline; of spills the area under the curve.
    """
    fold_of = (
        folds_of_shapes(examples, SHAPE_FOLDS, seed)
        if protocol == "shapes"
        else folds_of_families(examples, FAMILY_FOLDS)
    )
    out = held_out(examples, fold_of, floor_s, seed)
    executed = np.expm1(np.clip(out[targets.EXECUTED.name], 0, 60))
    module_matrix = examples.module_matrix(executed)
    words = baselines.token_matrix(examples.texts) if with_baselines else np.zeros((0, 0))
    result: dict[str, Any] = {}
    for target in JUDGED:
        predicted = np.log1p(examples.sums(np.expm1(np.clip(out[target.name], 0, 60)), once=target.once))
        measured = examples.totals[target.name]
        result[target.name] = _beside(
            examples, predicted, np.log1p(measured), measured, module_matrix, words, fold_of, seed
        )
        result[target.name]["by_dispatch"] = figures(relative_errors(out[target.name], examples.counts[target.name]))
        result[target.name]["coverage_90"] = _coverage(
            out[target.name], np.log1p(examples.counts[target.name]), examples, fold_of
        )
        result[target.name]["by_family"] = _by_family(examples, predicted, measured)
    result["spills"] = _spills(examples, out, module_matrix, words, fold_of, seed)
    ns = above_floor_ns(examples, floor_s)
    latency = out[targets.LATENCY.name]
    result[targets.LATENCY.name] = _beside(examples, latency, np.log(ns), ns, module_matrix, words, fold_of, seed)
    error = np.log(ns) - latency
    result[targets.LATENCY.name]["coverage_90"] = _covered(error, fold_of)
    result[targets.LATENCY.name]["given_executed"] = figures(
        relative_errors(_latency_given(examples, fold_of, ns, seed), ns)
    )
    result[targets.LATENCY.name]["without_executed"] = figures(
        relative_errors(_latency_without(examples, fold_of, ns, seed), ns)
    )
    registers = out[targets.REGISTERS.name] - examples.counts[targets.REGISTERS.name]
    known = np.isfinite(registers)
    result[targets.REGISTERS.name] = {"mean_absolute": float(np.abs(registers[known]).mean()) if known.any() else None}
    return result


def learning_curve(
    examples: Examples, protocol: str, floor_s: float, seed: int, shares: tuple[float, ...] = (0.25, 0.5, 1.0)
) -> dict[str, dict[str, float | None]]:
    """Median errors of models trained on part of the modules; the modules judged are as many fewer."""
    result: dict[str, dict[str, float | None]] = {}
    order = np.random.default_rng(seed).permutation(len(examples))
    for share in shares:
        part = subset(examples, np.sort(order[: max(int(share * len(examples)), 1)]))
        found = judged(part, protocol, floor_s, seed, with_baselines=False)
        result[f"{share:g}"] = {
            t: found[t]["model"]["median"] for t in (*(x.name for x in JUDGED), targets.LATENCY.name)
        }
    return result


def subset(examples: Examples, modules: np.ndarray) -> Examples:
    """Some of the modules."""
    rows = examples.dispatches(modules)
    number = np.full(len(examples), -1)
    number[modules] = np.arange(len(modules))
    return Examples(
        examples.families[modules], tuple(examples.texts[i] for i in modules), examples.matrix[rows],
        number[examples.module_of[rows]], examples.is_new[rows], {k: v[rows] for k, v in examples.counts.items()},
        {k: v[modules] for k, v in examples.totals.items()}, examples.same_count[modules], examples.unread,
    )  # fmt: skip


def _beside(
    examples: Examples, predicted: np.ndarray, goal: np.ndarray, measured: np.ndarray, matrix: np.ndarray, words: np.ndarray,
    fold_of: np.ndarray, seed: int,
) -> dict[str, Any]:  # fmt: skip
    result: dict[str, Any] = {"model": figures(relative_errors(predicted, measured))}
    if len(words):
        for name, fit in (
            ("family_median", baselines.family_median(goal, examples.families)),
            ("linear", baselines.linear(goal, _unlearned(matrix))),
            ("tokens", baselines.of_tokens(goal, words, seed)),
        ):
            result[name] = figures(relative_errors(baselines.predictions(fit, goal, fold_of), measured))
    return result


def _unlearned(matrix: np.ndarray) -> np.ndarray:
    """Features of modules for the linear model: with the first estimates, as the boosters have; without the learned count."""
    plain = matrix.copy()
    plain[:, module_names().index("ln_executed")] = 0.0
    return plain


def _spills(
    examples: Examples,
    out: dict[str, np.ndarray],
    matrix: np.ndarray,
    words: np.ndarray,
    fold_of: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    counts = examples.counts[targets.SPILLS.name]
    known = np.isfinite(counts)
    many = counts > targets.MANY_SPILLS
    error = np.abs(np.expm1(np.clip(out[targets.SPILLS.name][known], 0, 60)) - counts[known])
    chance = 1 / (1 + np.exp(-np.clip(out[targets.SPILLS_ABOVE.name], -60, 60)))
    result = {
        "dispatches": int(known.sum()), "share_many": float(many[known].mean()) if known.any() else None,
        "auc": area_under_curve(out[targets.SPILLS_ABOVE.name][known], many[known]),
        "right": float(((chance[known] > 0.5) == many[known]).mean()) if known.any() else None,
        "median_absolute": float(np.median(error)) if known.any() else None,
        "mean_absolute": float(error.mean()) if known.any() else None,
    }  # fmt: skip
    totals = examples.totals[targets.SPILLS.name]
    many_in_module = np.where(np.isfinite(totals), (totals > targets.MANY_SPILLS).astype(float), np.nan)
    most = np.full(len(examples), -np.inf)
    np.maximum.at(most, examples.module_of, out[targets.SPILLS_ABOVE.name])
    judged_modules = np.isfinite(many_in_module) & np.isfinite(most)
    result["module_auc"] = area_under_curve(most[judged_modules], many_in_module[judged_modules])
    if len(words):
        for name, fit in (
            ("linear", baselines.linear(many_in_module, _unlearned(matrix))),
            ("tokens", baselines.of_tokens(many_in_module, words, seed)),
            ("family", baselines.family_share(many_in_module, examples.families)),
        ):
            score = baselines.predictions(fit, many_in_module, fold_of)
            result[f"{name}_module_auc"] = area_under_curve(score[judged_modules], many_in_module[judged_modules])
    return result


def _latency_given(examples: Examples, fold_of: np.ndarray, ns: np.ndarray, seed: int) -> np.ndarray:
    """Held-out latency where the true number of executed instructions is given."""
    executed = examples.counts[targets.EXECUTED.name]
    complete = np.isfinite(examples.sums(executed))
    return held_out_latency(examples, np.nan_to_num(executed), np.where(complete, ns, np.nan), fold_of, seed)


def _latency_without(examples: Examples, fold_of: np.ndarray, ns: np.ndarray, seed: int) -> np.ndarray:
    """Held-out latency by the same boosters and features, with the vector operations that the tiles give, of which nothing is
    learned, in place of the predicted instructions."""
    operations = np.expm1(examples.matrix[:, names().index("ln_executed_vectors")])
    return held_out_latency(examples, operations, ns, fold_of, seed)


def _coverage(predicted: np.ndarray, goal: np.ndarray, examples: Examples, fold_of: np.ndarray) -> float | None:
    return _covered(goal - predicted, fold_of[examples.module_of])


def _covered(error: np.ndarray, fold_of: np.ndarray) -> float | None:
    """Share of rows inside an interval that the errors of the other folds give."""
    inside = np.zeros(len(error), dtype=bool)
    known = np.isfinite(error)
    for fold in np.unique(fold_of):
        mine = fold_of == fold
        low, high = offsets(error[~mine])
        inside[mine] = (error[mine] >= low) & (error[mine] <= high)
    return float(inside[known].mean()) if known.any() else None


def _by_family(examples: Examples, predicted: np.ndarray, measured: np.ndarray) -> dict[str, Any]:
    result = {}
    for family in sorted(set(examples.families.tolist())):
        mine = examples.families == family
        result[family] = figures(relative_errors(predicted[mine], measured[mine]))
    return result


__all__ = ["INTERVAL", "area_under_curve", "figures", "judged", "learning_curve", "relative_errors", "subset"]

"""Median and mean error of every predictor of benchmark scores, on the published split and with each processor held out.

    python tests/bench/scores.py PATH/TO/perfcastdb

The last column says what the protocol ``scores`` uses. Nothing here decides that: the candidates are listed to show what would
have been gained or lost.

A third table says what the published split lets anybody know: how many machines each side has, which columns differ between
them, and what oracles reach that look at the test rows: the nearest row of all others, by the same columns; the nearest
machine but its own; and the prediction with one factor a suite that is taken from the test rows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from perfmodel.datasets import load
from perfmodel.protocols.scores import PUBLISHED, splits
from perfmodel.training.scores import BASELINES, CANDIDATES, Scores, predict_chosen


def main(root: str) -> None:
    """Print two tables."""
    runs = load("perfcastdb", root)
    scores = Scores.of(runs)
    predictors = {**BASELINES, **CANDIDATES, "chosen": predict_chosen}
    errors: dict[tuple[bool, str, str], list[np.ndarray]] = {}
    for held_out, train, test in splits(scores, runs["collection"].tolist()):
        known, unknown = scores.taken(train), scores.taken(test)
        for name, predict in predictors.items():
            error = np.abs(np.exp(predict(known, unknown, 0) - unknown.log_score) - 1)
            for suite in dict.fromkeys(unknown.suite):
                errors.setdefault((held_out == PUBLISHED, suite, name), []).append(error[unknown.suite == suite])
    for published in (True, False):
        print(f"\n{PUBLISHED if published else 'each processor held out'}: median / mean error in percent\n")
        print(f"| {'suite':32} | rows | {' | '.join(predictors)} |")
        print("|---" * (len(predictors) + 2) + "|")
        for suite in sorted({s for p, s, _ in errors if p == published}):
            found = {name: np.concatenate(errors[published, suite, name]) for name in predictors}
            cells = [f"{100 * np.median(e):.1f} / {100 * e.mean():.1f}" for e in found.values()]
            print(f"| {suite:32} | {len(found['chosen'])} | {' | '.join(cells)} |")
    knowable(scores, runs["collection"].tolist())


def knowable(scores: Scores, collection: Sequence[str]) -> None:
    """Prints what the published split lets anybody know, by suite."""
    ((_, train, test),) = [split for split in splits(scores, collection) if split[0] == PUBLISHED]
    predicted = predict_chosen(scores.taken(train), scores.taken(test), 0) - scores.taken(test).log_score
    print("\nwhat the published split lets anybody know: mean error in percent\n")
    print("| suite | machines trained on, tested | columns that differ | predicted | nearest row | nearest other machine |"
          " one factor a suite known |\n" + "|---" * 7 + "|")  # fmt: skip
    machine = np.unique(np.nan_to_num(_columns(scores), nan=-1.0), axis=0, return_inverse=True)[1].ravel()
    for suite in sorted(set(scores.suite[test])):
        mine = scores.suite == suite
        sides = [mine & train, mine & test]
        differ = [f.name for f in fields(scores.machines) if len(_values(scores, f.name, mine)) > 1]
        here = predicted[scores.suite[test] == suite]
        cells = [f"{100 * np.abs(np.exp(e) - 1).mean():.1f}" for e in (
            here, _of_nearest(scores, np.flatnonzero(sides[1]), None), _of_nearest(scores, np.flatnonzero(sides[1]), machine),
            here - np.median(here),
        )]  # fmt: skip
        counts = ", ".join(str(len(set(machine[side].tolist()))) for side in sides)
        print(f"| {suite} | {counts} | {', '.join(differ)} | {' | '.join(cells)} |")


def _columns(scores: Scores) -> np.ndarray:
    return np.stack([getattr(scores.machines, f.name) for f in fields(scores.machines)], axis=1)


def _values(scores: Scores, name: str, rows: np.ndarray) -> set[float]:
    return set(np.nan_to_num(getattr(scores.machines, name)[rows], nan=-1.0).tolist())


def _of_nearest(scores: Scores, rows: np.ndarray, machine: np.ndarray | None) -> np.ndarray:
    """ln(predicted / measured) of some rows by the mean of the nearest others of the same test.

    Args:
        scores: all rows.
        rows: indices.
        machine: of each row; what is of the row's own is left out, too. None: only the row itself is.
    """
    near = scores.machines.features()
    errors = []
    for row in rows.tolist():
        others = scores.workload == scores.workload[row]
        others[row] = False
        if machine is not None:
            others &= machine != machine[row]
        if others.any():
            distance = np.abs(near[others] - near[row]).sum(axis=1)
            errors.append(scores.log_score[others][distance <= distance.min() + 1e-12].mean() - scores.log_score[row])
    return np.array(errors)


if __name__ == "__main__":
    main(sys.argv[1])

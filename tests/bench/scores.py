"""Median and mean error of every predictor of benchmark scores, on the published split and with each processor held out.

    python tests/bench/scores.py PATH/TO/perfcastdb

The last column says what the protocol ``scores`` uses. Nothing here decides that: the candidates are listed to show what would
have been gained or lost.
"""

from __future__ import annotations

import sys

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


if __name__ == "__main__":
    main(sys.argv[1])

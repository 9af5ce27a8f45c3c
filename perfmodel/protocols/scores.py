"""The protocol ``scores``: benchmark scores from datasheets, by upstream's own split and with each processor held out.

Run traces with a ``score`` and the machine's columns are judged. Beside what :mod:`perfmodel.training.scores` predicts
stand three baselines, as targets of their own: the training rows' mean of each benchmark, linear regression, and the plain
physics (channels x rate, cores x clock). Under ``analytical`` stands the physical estimate that predictions start from, under
``roofline`` the plain one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from perfmodel.datasets.schema import usable
from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.protocols.task import Task
from perfmodel.training.scores import (
    BASELINES,
    CANDIDATES,
    UNCHOSEN,
    Scores,
    interval_std,
    predict_chosen,
    repeat_noise,
)

SCORE = "score"
TARGETS = (SCORE, *(f"{SCORE} by {name}" for name in BASELINES))
PUBLISHED = "published split"
TRAINED, TESTED = "train_data", "test_data"
"""Ends of the column ``collection`` in a data set that upstream has split."""
Z_90 = 1.645


def judge(task: Task) -> list[JudgedRows]:
    """Every score of a processor, predicted without any score of that processor, and the test rows of a published split.

    Raises:
        InputError: there are no scores of at least two processors.
        TraceError: the machine's columns are missing.
    """
    judged: list[JudgedRows] = []
    for runs in task.runs:
        if "score" not in runs.table:
            continue
        value = runs.table["score"].to_numpy(dtype=np.float64, na_value=np.nan)
        table = runs.table[usable(runs.table) & np.isfinite(value) & (value > 0)]
        if table.empty:
            continue
        scores = Scores.of(table)
        collection = table["collection"].tolist() if "collection" in table else None
        for name, train, test in splits(scores, collection):
            judged += _judged(name, scores.taken(train), scores.taken(test), task.seed)
    if not judged:
        raise InputError(
            "the protocol scores judges run traces with scores of at least two processors and their machines' columns: "
            "perfcastdb has some"
        )
    return judged


def splits(scores: Scores, collection: Sequence[str] | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names of what is held out, the rows to train on, and those to predict.

    Args:
        scores: all of them.
        collection: the file that each row stood in; None: unknown.
    """
    names = [""] * len(scores) if collection is None else collection
    train, test = (np.array([str(n).endswith(end) for n in names]) for end in (TRAINED, TESTED))
    if train.any() and test.any():
        yield PUBLISHED, train, test
    for cpu in sorted(set(scores.cpu)):
        held = scores.cpu == cpu
        if not held.all():
            yield cpu, ~held, held


def _judged(held_out: str, train: Scores, test: Scores, seed: int) -> Iterator[JudgedRows]:
    predicted = {SCORE: predict_chosen(train, test, seed)}
    predicted |= {f"{SCORE} by {name}": of(train, test, seed) for name, of in BASELINES.items()}
    physical, plain = CANDIDATES[UNCHOSEN](train, test, seed), BASELINES["plain physics"](train, test, seed)
    width = Z_90 * interval_std(train, test)
    for suite in dict.fromkeys(test.suite):
        for workload in dict.fromkeys(test.workload[test.suite == suite]):
            for cpu in dict.fromkeys(test.cpu):
                rows = (test.workload == workload) & (test.cpu == cpu)
                if not rows.any():
                    continue
                noise = repeat_noise(test.taken(rows))
                for target in TARGETS:
                    log = predicted[target][rows]
                    # A baseline claims no interval.
                    off = width[rows] if target == SCORE else np.full(rows.sum(), np.nan)
                    yield JudgedRows(
                        device=cpu, dtype="-", software=str(test.software[rows][0]), family="run", workload=suite,
                        variant=workload.partition("/")[2], held_out=held_out, target=target, folds=1, noise=noise,
                        measured=np.exp(test.log_score[rows]), predicted=np.exp(log),
                        low=np.exp(log - off), high=np.exp(log + off), analytical=np.exp(physical[rows]),
                        roofline=np.exp(plain[rows]), shape_key=test.workload[rows],
                    )  # fmt: skip

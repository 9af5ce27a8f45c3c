"""The protocol ``dataset``: each data set in turn is predicted by what the others taught.

Rows are judged where another set has rows of their family and dtype; runs where another set has matrix products in the
run's dtype. A set that measured devices of several vendors counts as one for each (NeuSight's NVIDIA and AMD tables are of
different software). Sets of one upstream repository never teach each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from perfmodel.datasets.cards import load_card
from perfmodel.datasets.registry import ADAPTERS
from perfmodel.datasets.splits import names_of, overlapping, rows_where, sources_of, without
from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.protocols.learn import HeldOut, judge_held_out
from perfmodel.protocols.task import Task, need_operators, without_processors

if TYPE_CHECKING:
    from perfmodel.datasets.runs import Runs


def judge(task: Task) -> list[JudgedRows]:
    """Every row and run of a data set that overlaps with another, predicted by a predictor that saw none of its set.

    Raises:
        InputError: nothing overlaps, or kernels of processors are all there is.
    """
    need_operators(task, "to train on")
    task = without_processors(task)
    held = [*_rows(task), *_runs(task)]
    if not held:
        found = ", ".join(names_of(sources_of(task.operators)))
        raise InputError(f"no data set can be judged by another: found {found}, without a family and dtype in common")
    return judge_held_out(held, task.jobs, task.report)


def _rows(task: Task) -> Iterator[HeldOut]:
    labels = sources_of(task.operators)
    for name in names_of(labels):
        train, test = without(task.operators, labels, name)
        test = overlapping(train, test)
        if test:
            yield HeldOut(name, train, test, (), task.constants, task.seed)


def _runs(task: Task) -> Iterator[HeldOut]:
    origins = {
        op: table["source"].astype(str).map(_origin).to_numpy(dtype=object) for op, table in task.operators.items()
    }
    for runs in task.runs:
        for source in dict.fromkeys(runs.listed["source"].astype(str)):
            train = rows_where(task.operators, {op: origin != _origin(source) for op, origin in origins.items()})
            products = set(train["gemm"]["dtype"].astype(str)) if "gemm" in train else set()
            mine = _in_dtypes(runs, source, products)
            if len(mine.listed):
                yield HeldOut(source, train, {}, (mine,), task.constants, task.seed)


def _in_dtypes(runs: Runs, source: str, dtypes: set[str]) -> Runs:
    """The runs of a data set that compute in one of some formats."""
    rows = runs.table["source"].astype(str) == source
    if "dtype" in runs.table:
        rows &= runs.table["dtype"].isin(list(dtypes))
    return replace(runs, table=runs.table[rows & bool(dtypes)])


def _origin(source: str) -> str:
    """The repository of a data set."""
    return load_card(source).source if source in ADAPTERS else source

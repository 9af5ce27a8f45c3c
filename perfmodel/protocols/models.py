"""The protocol ``models``: the runs of whole networks, predicted by what never saw a shape of theirs.

Networks are parted into five folds; for each, every row of operator traces whose group of shapes (a GEMM's weight, a
softmax's width, on whatever device) occurs in one of its networks is out of training. Models that `perfmodel collect`
measured on a processor are runs, too: theirs are held out by whole networks, quantised forms together with the original.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.datasets.runs import Runs
from perfmodel.datasets.splits import FOLDS, GROUP_COLUMNS, folds_of, group_keys, rows_where
from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.protocols.learn import HeldOut, judge_held_out
from perfmodel.protocols.task import Task, need_operators
from perfmodel.training.host import train_host
from perfmodel.training.host_files import prepared, split_host
from perfmodel.training.host_judged import judged_runs

if TYPE_CHECKING:
    import pandas as pd


def judge(task: Task) -> list[JudgedRows]:
    """Every run that has a list of its operators.

    Raises:
        InputError: there is none.
    """
    need_operators(task, "to train on, beside the runs")
    operators, host = split_host(task.operators)
    task = replace(task, operators=operators)
    measured = [rows for table in host for rows in _on_processors(table, task.seed)]
    if measured:
        return measured + (judge_held_out(_folds(task), task.jobs, task.report) if operators else [])
    if not any(len(runs.listed) for runs in task.runs):
        if host:
            raise InputError(
                "the protocol models judges whole models, and these rows are of a generated sweep alone: "
                "`perfmodel collect --model FILE` measures models, too"
            )
        raise InputError(
            "the protocol models judges runs that name their operators, and none was given: energaizer has some"
        )
    need_operators(task, "to train on, beside kernels of processors and the runs")
    return judge_held_out(_folds(task), task.jobs, task.report)


def _on_processors(rows: pd.DataFrame, seed: int) -> list[JudgedRows]:
    """The real models among a processor's kernels (`perfmodel collect --model`), each predicted without its network."""
    table = prepared(rows)
    trained = train_host(table, seed)
    return judged_runs(table, trained.predicted_s, folds_of(table.network.astype(object), seed=seed))


def _folds(task: Task) -> Iterator[HeldOut]:
    keys = {op: group_keys(table) for op, table in task.operators.items()}
    folds = [folds_of(networks_of(runs.table), seed=task.seed) for runs in task.runs]
    for fold in range(FOLDS):
        mine = tuple(
            replace(runs, table=runs.table[of_run == fold]) for runs, of_run in zip(task.runs, folds, strict=True)
        )
        if any(len(runs.listed) for runs in mine):
            out = list(shapes_of(mine))
            train = rows_where(task.operators, {op: ~np.isin(k.astype(str), out) for op, k in keys.items()})
            yield HeldOut(f"fold {fold + 1}", train, {}, mine, task.constants, task.seed)


def networks_of(table: pd.DataFrame) -> np.ndarray:
    """The network of each run: the column ``network``, or the workload where that is null; texts of shape ``[rows]``."""
    workload = table["workload"].astype(object)
    network = table["network"].astype(object).fillna(workload) if "network" in table else workload
    return network.to_numpy(dtype=object)


def shapes_of(all_runs: tuple[Runs, ...]) -> set[str]:
    """The groups of all operators that some runs executed; those of products also with m and n exchanged, as some
    libraries' lists have them."""
    found: set[str] = set()
    for runs in all_runs:
        for name in runs.listed["operators"].unique():
            table = runs.operators(str(name))
            table = table[table["op"].isin(list(GROUP_COLUMNS))]
            found.update(group_keys(table).tolist())
            products = table[table["op"] == "gemm"]
            if len(products):
                found.update(group_keys(products.assign(n=products["m"])).tolist())
    return found

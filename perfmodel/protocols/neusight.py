"""The protocol ``neusight``: the data of Lee et al., "Forecasting GPU Performance for Deep Learning Training and
Inference" (ASPLOS 2025), by operator as they name them.

Of the GPUs that upstream trained on, each is left out in turn, and all its rows are judged. A table that also has rows of
GPUs without any training rows comes from a whole checkout: then the published split is judged instead, all of upstream's
test files by a predictor of all its training files. Whole networks (the data set ``neusight_models``) are judged with it:
end to end, and summed by operator over each network as in their paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.datasets.splits import TEST, TRAIN, Tables, names_of, rows_where, upstream_split, without
from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.protocols.learn import VARIANT, HeldOut, judge_held_out
from perfmodel.protocols.task import Task, need_operators

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "neusight"
IN, OUT = "in distribution", "out of distribution"
"""Of the published split: what upstream trained on a like of, and the GPUs and networks that it kept for testing."""
_NVIDIA = "dataset/"
_OPERATORS = r"/(linear|bmm|conv|elem|ln|softmax)(?:/|$)"


def judge(task: Task) -> list[JudgedRows]:
    """Every row of a GPU that was left out, or of upstream's test files, and the networks that go with it.

    Raises:
        InputError: the traces are not NeuSight's.
    """
    need_operators(task, "of the data set neusight")
    tables = _of_nvidia(task.operators)
    if not tables:
        raise InputError("the protocol neusight judges the data set neusight, and no row of it was given")
    devices = names_of(_devices(tables))
    runs = tuple(replace(r, table=r.table[r.table["device"].isin(devices).to_numpy()]) for r in task.runs)
    task = replace(task, operators=tables, runs=runs)
    part = {op: upstream_split(table) for op, table in tables.items()}
    unseen = kept_for_testing(tables, part)
    return _published(task, part, unseen) if unseen else judge_held_out(_left_out(task), task.jobs, task.report)


def _of_nvidia(tables: Tables) -> Tables:
    """NeuSight's rows of NVIDIA GPUs with upstream's name of the operator; the tables of other vendors are of other
    software, and the protocol ``dataset`` has them."""
    found = {}
    for op, table in tables.items():
        if "collection" not in table.columns:
            continue
        collection = table["collection"].astype(str)
        rows = (table["source"] == SOURCE).to_numpy() & collection.str.startswith(_NVIDIA).to_numpy()
        if rows.any():
            variant = collection[rows].str.extract(_OPERATORS, expand=False)
            found[op] = table[rows].assign(**{VARIANT: variant.to_numpy(dtype=object)})
    return found


def _devices(tables: Tables) -> dict[str, np.ndarray]:
    return {op: table["device"].astype(str).to_numpy(dtype=object) for op, table in tables.items()}


def kept_for_testing(tables: Tables, part: Mapping[str, np.ndarray]) -> set[str]:
    """The devices of which there are products to test on, but none to train on."""
    if "gemm" not in tables:
        return set()
    device = _devices(tables)["gemm"]
    return set(device[part["gemm"] == TEST]) - set(device[part["gemm"] == TRAIN])


def _left_out(task: Task) -> Iterator[HeldOut]:
    devices = _devices(task.operators)
    names = names_of(devices)
    for name in names if len(names) > 1 else ():
        train, test = without(task.operators, devices, name)
        runs = tuple(replace(r, table=r.table[(r.table["device"] == name).to_numpy()]) for r in task.runs)
        yield HeldOut(name, train, test, runs, task.constants, task.seed)


def _published(task: Task, part: Mapping[str, np.ndarray], unseen: set[str]) -> list[JudgedRows]:
    """One predictor for all test rows and networks, which are then told apart as upstream does."""
    train = rows_where(task.operators, {op: labels == TRAIN for op, labels in part.items()})
    test = rows_where(task.operators, {op: labels == TEST for op, labels in part.items()})
    judged = judge_held_out([HeldOut(OUT, train, test, task.runs, task.constants, task.seed)], task.jobs, task.report)
    noted = {pair for runs in task.runs for pair in _noted(runs.table)}
    return [replace(r, held_out=OUT if r.device in unseen or (r.device, r.workload) in noted else IN) for r in judged]


def _noted(runs: pd.DataFrame) -> set[tuple[str, str]]:
    """Device and network of the runs that the data set's card counts as out of distribution."""
    out = runs[(runs["note"] == OUT).to_numpy(dtype=bool)] if "note" in runs else runs[:0]
    return set(zip(out["device"].astype(str), out["network"].astype(str), strict=True))

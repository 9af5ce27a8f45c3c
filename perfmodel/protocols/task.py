"""What a protocol is given, and reading it: tables of operators and of runs, files or data sets by their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.datasets.registry import ADAPTERS
from perfmodel.datasets.runs import Runs, runs_in
from perfmodel.datasets.schema import column_names, read_table, require_pandas
from perfmodel.errors import InputError, TraceError
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.trace_rows import Part
from perfmodel.training.host_files import KEPT as HOST_COLUMNS
from perfmodel.training.host_files import split_host
from perfmodel.training.tables import learned_parts, load_tables

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.datasets.splits import Tables

    Traces = pd.DataFrame | Runs | str | Path

_ALSO_KEPT = ("source", "collection", *(c for c in HOST_COLUMNS if c not in ("source", "collection")))
"""Columns that training on families of operators does not need, but splits and kernels of processors do."""


@dataclass(frozen=True)
class Task:
    """What a protocol judges.

    Attributes:
        protocol: its name (one module may serve several).
        operators: usable rows of operator traces, by operator; empty where only runs were given.
        runs: tables of run traces.
        constants: where fits of the physics constants begin.
        seed: of folds, samples and boosters.
        jobs: processes to train in.
        report: receives a line whenever a part is judged.
    """

    protocol: str
    operators: Tables
    runs: tuple[Runs, ...] = ()
    constants: Constants = FALLBACK
    seed: int = 0
    jobs: int = 1
    report: Callable[[str], None] = lambda line: None


def read(
    traces: Traces | Sequence[Traces],
    root: str | Path | None = None,
    device: str | Path | None = None,
    keep: Sequence[str] = (),
) -> tuple[Tables, tuple[Runs, ...]]:
    """The usable rows of operator traces, by operator, and tables of run traces.

    Args:
        traces: tables, paths of tables, or names of data sets (:data:`perfmodel.datasets.registry.ADAPTERS`).
        root: where the data sets lie; None: the download or the installed package.
        device: the path of the TOML of a device that the catalogue lacks; rows that bear its id use it.
        keep: further columns to keep where a table has them.

    Raises:
        InputError: nothing was given or is usable, or ``root`` without a data set's name.
        TraceError: a table breaks the schema.
    """
    given = _listed(traces)
    if root is not None and not any(_is_data_set(item) for item in given):
        raise InputError(
            "--from says where data sets lie, and none was named: give its name, as in `evaluate neusight`"
        )
    found = [_read(item, root) for item in given]
    runs = tuple(item for item in found if isinstance(item, Runs))
    tables = [item for item in found if not isinstance(item, Runs)]
    if not tables and runs:
        return {}, runs
    return load_tables(tables, device, keep=(*_ALSO_KEPT, *(c for c in keep if c not in _ALSO_KEPT)))[0], runs


def _listed(traces: Any) -> list[Traces]:
    """One or several, as a list. pandas is imported late, so that no type checker tells a table from a sequence here."""
    pandas = require_pandas()
    return [traces] if isinstance(traces, (str, Path, Runs, pandas.DataFrame)) else list(traces)


def _is_data_set(item: Traces) -> bool:
    return isinstance(item, str) and item in ADAPTERS and not Path(item).is_file()


def _read(item: Traces, root: str | Path | None) -> pd.DataFrame | Runs | str | Path:
    """A table of runs, or one of operators; the path of a file of operators, which is then read by its name."""
    if isinstance(item, Runs):
        return item
    if _is_data_set(item):
        from perfmodel.datasets.build import load, load_runs
        from perfmodel.datasets.cards import load_card

        return load_runs(str(item), root) if load_card(str(item)).table == "runs" else load(str(item), root)
    if isinstance(item, (str, Path)):
        return runs_in(read_table(item), Path(item).parent, str(item)) if _of_runs(column_names(item)) else item
    return runs_in(item, Path(), "traces") if _of_runs(item.columns) else item


def _of_runs(names: Collection[str]) -> bool:
    return "workload" in names and "op" not in names


def need_operators(task: Task, why: str) -> None:
    """Refuses a task without operator traces.

    Raises:
        TraceError: the message says what they are needed for.
    """
    if not task.operators:
        raise TraceError(
            f"the protocol {task.protocol} needs operator traces {why}: give a table or a data set of them"
        )


def without_processors(task: Task) -> Task:
    """The task without kernels of processors that `perfmodel collect` measured: training learns them by themselves, and they
    are held out by whole networks. ``report`` hears of them.

    Raises:
        InputError: there is nothing else.
    """
    operators, host = split_host(task.operators)
    if not host:
        return task
    if not operators:
        raise InputError(
            f"the protocol {task.protocol} does not judge kernels of a processor, which are held out by whole networks: "
            "--protocol models does"
        )
    task.report(f"{sum(map(len, host))} kernels of processors are left out: --protocol models judges them")
    return replace(task, operators=operators)


def learned(task: Task) -> list[Part]:
    """The parts of the operator traces that something is learned of.

    Raises:
        TraceError: there are no operator traces.
        InputError: nothing is learned of any, or kernels of processors are all there is.
    """
    need_operators(task, "to hold some out of")
    return learned_parts(without_processors(task).operators, None, lambda line: None)

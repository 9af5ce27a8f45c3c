"""How well kernels and runs of a processor are predicted: rows to score, each with an interval from the errors of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.datasets.schema import require_pandas
from perfmodel.evaluate import JudgedRows
from perfmodel.hardware import load_device
from perfmodel.models.host.boosters import HostKernels, host_kernels_of, stretched
from perfmodel.models.host.composition import Composition
from perfmodel.models.host.features import one_core
from perfmodel.models.learned import size_bucket
from perfmodel.models.trace_rows import roofline_s
from perfmodel.ops.table import from_columns
from perfmodel.training.host import HostTable, Runs, by_threads, composition_for, kernel_intervals

if TYPE_CHECKING:
    import pandas as pd

RUN = "run"
"""In place of an operator family: a whole run of a model."""


def judged_kernels(table: HostTable, predicted_s: np.ndarray, fold: np.ndarray) -> list[JudgedRows]:
    """Kernels by family and dtype.

    Args:
        table: whose kernels.
        predicted_s: seconds, by what did not see the row's model.
        fold: which models were left out together; the interval of a row is that of the other folds' errors.
    """
    low, high = np.empty(len(table)), np.empty(len(table))
    ops = np.asarray(table.table["op"], dtype=object).astype(str)
    for number in np.unique(fold):
        mine = fold == number
        others = ~mine if not mine.all() else mine
        quantiles, widths = kernel_intervals(table, predicted_s, others)
        below, above = stretched(np.array(quantiles)[size_bucket(predicted_s[mine])], ops[mine], widths)
        low[mine], high[mine] = predicted_s[mine] * np.exp(below), predicted_s[mine] * np.exp(above)
    return _by_family(table, predicted_s, low, high, len(np.unique(fold)))


def _by_family(
    table: HostTable, predicted_s: np.ndarray, low: np.ndarray, high: np.ndarray, folds: int
) -> list[JudgedRows]:
    ops = np.asarray(table.table["op"], dtype=object).astype(str)
    dtypes = np.asarray(table.table["dtype"], dtype=object).astype(str)
    roofline, found = _roofline_s(table), []
    for op in dict.fromkeys(ops.tolist()):
        for dtype in dict.fromkeys(dtypes[ops == op].tolist()):
            rows = np.flatnonzero((ops == op) & (dtypes == dtype))
            found.append(
                JudgedRows(
                    table.device.id, dtype, table.software, table.measured_s[rows], predicted_s[rows], low[rows],
                    high[rows], table.base_s[rows], roofline[rows], rows.astype(np.uint64), folds, family=op,
                    part="host",
                )
            )  # fmt: skip
    return found


def _roofline_s(table: HostTable) -> np.ndarray:
    """The plain roofline of each kernel's descriptor on the core that ran it, shape ``[rows]``."""
    core, found = one_core(table.device), np.empty(len(table))
    for group in from_columns(table.table):
        found[group.rows] = roofline_s(group, core)
    return found


def judged_runs(table: HostTable, predicted_s: np.ndarray, fold: np.ndarray) -> list[JudgedRows]:
    """Whole runs of real models, one entry a model: its kernels under the composition of the other folds.

    Args:
        table, predicted_s, fold: as of :func:`judged_kernels`.
    """
    runs, roofline = Runs.of(table, predicted_s), _roofline_of_runs(table)
    of_run = fold[runs.first]
    found = []
    for number in np.unique(of_run):
        others = of_run != number if (of_run != number).any() else of_run == number
        composition = composition_for(runs, others)
        for index in np.flatnonzero((of_run == number) & runs.real & np.isfinite(runs.run_s)).tolist():
            found.append(_run(table, runs, roofline, index, composition, f"fold {int(number) + 1}"))
    return found


def _roofline_of_runs(table: HostTable) -> np.ndarray:
    """The sums over the kernels of each run, shape ``[models]``: a roofline knows no time of the runtime's own."""
    return Runs.of(table, _roofline_s(table)).kernels_s


def _run(
    table: HostTable, runs: Runs, roofline: np.ndarray, index: int, composition: Composition, held_out: str | None
) -> JudgedRows:
    value = float(composition.latency_s(runs.kernels_s[index], runs.nodes[index]))
    low, high = composition.interval_s(value)
    return JudgedRows(
        table.device.id, runs.dtype[index], table.software, runs.run_s[[index]], np.array([value]), np.array([low]),
        np.array([high]), runs.base_s[[index]], roofline[[index]], np.array([runs.names[index]]), 1, family=RUN,
        workload=runs.names[index], held_out=held_out,
    )  # fmt: skip


def judged_as_predicted(
    tables: dict[str, pd.DataFrame], learned: Sequence[HostKernels]
) -> tuple[dict[str, pd.DataFrame], list[JudgedRows]]:
    """Kernels and runs of processors as a predictor sees them that was trained before.

    Args:
        tables: usable rows by operator.
        learned: what the predictor knows.

    Returns:
        the tables without the rows that it knows the processor of, and those rows, judged.
    """
    from perfmodel.training.host_files import prepared, split_host

    pandas = require_pandas()
    rest, host = split_host(tables)
    judged: list[JudgedRows] = []
    for rows in host:
        device, software = load_device(str(rows["device"].iloc[0])), str(rows["software"].iloc[0])
        known = host_kernels_of(learned, device, software) or host_kernels_of(learned, device, None)
        if known is None:
            for op, some in rows.groupby("op"):
                # Other processors and software, and GPUs, have rows of the same operator.
                rest[str(op)] = pandas.concat([rest[str(op)], some], ignore_index=True) if op in rest else some
            continue
        for same in by_threads(rows):
            table = prepared(same)
            found = known.predict(table.table, device)
            judged += _by_family(table, found.latency_s, found.low_s, found.high_s, 1)
            runs, roofline = Runs.of(table, found.latency_s), _roofline_of_runs(table)
            for index in np.flatnonzero(runs.real & np.isfinite(runs.run_s)).tolist():
                judged.append(_run(table, runs, roofline, index, known.composition, None))
    return rest, judged

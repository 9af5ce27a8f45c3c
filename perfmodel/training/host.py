"""Training what `perfmodel collect` measured: one booster over a runtime's kernels, its intervals, and whole runs.

    rows → features and a first estimate → factors of what each kernel does, and boosters on what they leave, that leave a
         fifth of the models out → errors, intervals, composition → factors and a booster of all rows

Whole models are left out together, never rows: kernels of one model share shapes, state of the caches and the moment at
which they were measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets.splits import FOLDS, folds_of
from perfmodel.errors import InputError
from perfmodel.hardware import Device
from perfmodel.models import artefact
from perfmodel.models.host import features
from perfmodel.models.host.boosters import LEAST_S, HostKernels
from perfmodel.models.host.composition import RUN_BUCKETS_S, Composition
from perfmodel.models.host.work import terms
from perfmodel.training.boosting import strip
from perfmodel.training.host_costs import fit_costs
from perfmodel.training.intervals import INTERVAL, error_quantiles, family_widths, student
from perfmodel.training.objective import boost

if TYPE_CHECKING:
    import pandas as pd

BOOSTER: Mapping[str, Any] = {
    "objective": "reg:squarederror", "tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0, "max_leaves": 40,
    "max_bin": 64, "eta": 0.1, "subsample": 0.7, "colsample_bynode": 0.3, "min_child_weight": 2, "nthread": 1, "trees": 220,
    "num_parallel_tree": 3,
}  # fmt: skip
"""Three trees a round, each of other rows and columns, whose mean is taken: sums over a network scatter less by chance.

Squared errors of the logarithm, not the mean relative error that operators of accelerators are trained for: that one gives a
kernel that is a hundred times slower than its like (a Fourier transform of 400 points) up, and sums of kernels come out low."""
LEAST_WORD = 5
"""Rows that a word must have to be a feature."""
MODEL = "model"
"""The ``source`` of rows of real models; sweeps are no networks, and are not judged as runs."""
FEWEST_MODELS = 10
"""Real models from which on the interval of runs is theirs alone."""
_FEWEST_NETWORKS = 19
"""Networks of one size below which they take the interval of all: of fewer, the outermost error is no 5 % quantile."""
_NORMAL_95 = 1.6449
"""The 95 % quantile of the normal distribution."""
_TINY_S = 2e-6
_MOST_SHARED = 2.0
"""By how much the kernels of a run may all be taken to be off together."""


@dataclass(frozen=True)
class HostTable:
    """Rows of one device and software, ready to train on; arrays of shape ``[rows]``.

    Attributes:
        table: the columns of the traces.
        measured_s: seconds at the usual pace of the machine.
        model: which model each row is a kernel of; ``network`` what its quantised forms share with it.
        count: executions in a run.
        numbers, base_s, words: of :mod:`perfmodel.models.host.features`.
        amounts, places: of :func:`perfmodel.models.host.work.terms`.
    """

    table: Mapping[str, np.ndarray]
    device: Device
    software: str
    threads: int
    measured_s: np.ndarray
    model: np.ndarray
    network: np.ndarray
    count: np.ndarray
    numbers: features.Columns
    base_s: np.ndarray
    words: list[set[str]]
    amounts: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.measured_s)

    def runs(self) -> dict[str, tuple[np.ndarray, float, float]]:
        """By model: its rows, seconds of a run without the profiler (NaN: unknown), nodes of a run."""
        seconds = np.asarray(self.table.get("run_s", np.full(len(self), np.nan)), dtype=np.float64)
        nodes = np.asarray(self.table.get("run_events", np.full(len(self), np.nan)), dtype=np.float64)
        pace = self.table.get("pace")
        slower = np.ones(len(self)) if pace is None else np.nan_to_num(np.asarray(pace, dtype=np.float64), nan=1.0)
        found = {}
        order = np.argsort(self.model.astype(str), kind="stable")
        names, starts = np.unique(self.model[order].astype(str), return_index=True)
        for name, rows in zip(names.tolist(), np.split(order, starts[1:]), strict=True):
            found[name] = (rows, float(seconds[rows[0]] / slower[rows[0]]), float(nodes[rows[0]]))
        return found


@dataclass(frozen=True)
class Runs:
    """The models that rows are kernels of; arrays of shape ``[models]``.

    Attributes:
        names: of the models.
        first: a row of each.
        run_s: seconds of a run without the profiler, at the usual pace; NaN where it is unknown.
        nodes: executed in a run.
        kernels_s, base_s: the sums of the predicted kernels, and of their first estimates.
        real: whether it is a model that somebody gave, no piece of a sweep.
        dtype: the format of most of its products' FLOPs, ``-`` where it has none.
        network: what quantised forms of one model share.
    """

    names: list[str]
    first: np.ndarray
    run_s: np.ndarray
    nodes: np.ndarray
    kernels_s: np.ndarray
    base_s: np.ndarray
    real: np.ndarray
    dtype: list[str]
    network: np.ndarray

    @classmethod
    def of(cls, table: HostTable, predicted_s: np.ndarray) -> Runs:
        """The runs of a table whose kernels are predicted to take so many seconds."""
        found = table.runs()
        rows_of = [rows for rows, _, _ in found.values()]
        first = np.array([rows[0] for rows in rows_of])
        source = np.asarray(table.table["source"], dtype=object).astype(str)
        dtypes = np.asarray(table.table["dtype"], dtype=object).astype(str)
        work = table.numbers["log2_product_flops"]
        return cls(
            names=list(found),
            first=first,
            run_s=np.array([seconds for _, seconds, _ in found.values()]),
            nodes=np.array([nodes for _, _, nodes in found.values()]),
            kernels_s=np.array([float((predicted_s[rows] * table.count[rows]).sum()) for rows in rows_of]),
            base_s=np.array([float((table.base_s[rows] * table.count[rows]).sum()) for rows in rows_of]),
            real=source[first] == MODEL,
            dtype=[_main_dtype(dtypes[rows], 2.0 ** work[rows] - 1.0) for rows in rows_of],
            network=table.network[first],
        )


def _main_dtype(dtypes: np.ndarray, work: np.ndarray) -> str:
    names = np.unique(dtypes)
    of_each = [float(work[dtypes == name].sum()) for name in names]
    return str(names[int(np.argmax(of_each))]) if max(of_each) > 0 else "-"


def by_threads(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of one device and software, apart by the number of threads that they were measured with."""
    if "threads" not in rows:
        return [rows]
    return [same for _, same in rows.groupby(_threads(rows), sort=True)]


def _threads(rows: pd.DataFrame) -> np.ndarray:
    """Of each row; those that do not say had one."""
    return np.nan_to_num(rows["threads"].to_numpy(dtype=np.float64, na_value=np.nan), nan=1.0)


def threads_of(rows: pd.DataFrame, device: Device) -> int:
    """With how many threads the rows of one device and software were measured; those that do not say had one.

    Raises:
        InputError: not all with the same number: one booster would learn two machines, and what is predicted asks the runtime
            for the graph that it makes for one of them.
    """
    if "threads" not in rows:
        return 1
    stated = _threads(rows)
    *others, most = (f"{number:g}" for number in np.unique(stated).tolist())
    if others:
        raise InputError(
            f"the kernels of {device.id} under {rows['software'].iloc[0]} were measured with {', '.join(others)} and {most}"
            " threads; wanted one number of them: keep the rows of one in the column threads"
        )
    return int(stated[0])


def host_table(rows: pd.DataFrame, device: Device) -> HostTable:
    """The rows of one device and software with their features.

    Raises:
        InputError: they were measured with several numbers of threads.
    """
    table = {name: rows[name].astype(object).to_numpy() if str(rows[name].dtype) in ("category", "str", "string")
             else rows[name].to_numpy() for name in rows.columns}  # fmt: skip
    columns, base = features.numbers(table, device)
    amounts, places = terms(table, columns, base)
    pace = (
        np.nan_to_num(np.asarray(table["pace"], dtype=np.float64), nan=1.0) if "pace" in table else np.ones(len(base))
    )
    model = np.asarray(table["collection"], dtype=object).astype(str)
    network = np.asarray(table.get("network", model), dtype=object)
    known = np.array([isinstance(n, str) for n in network.tolist()])
    network = np.where(known, network, model).astype(str)
    # Files of one name may hold different networks: a profiler calls every file alike.
    networks_of = Counter(name for name, _ in set(zip(model.tolist(), network.tolist(), strict=True)))
    pairs = zip(model.tolist(), network.tolist(), strict=True)
    model = np.array([f"{name}/{of}" if networks_of[name] > 1 else name for name, of in pairs], dtype=str)
    return HostTable(
        table=table, device=device, software=str(table["software"][0]),
        threads=threads_of(rows, device),
        measured_s=np.asarray(table["latency_s"], dtype=np.float64) / pace, model=model,
        network=network,
        count=np.asarray(table.get("count", np.ones(len(base))), dtype=np.float64),
        numbers=columns, base_s=base, words=features.words(table),
        amounts=amounts, places=places,
    )  # fmt: skip


def part_of(table: HostTable, rows: np.ndarray) -> HostTable:
    """Some rows of a table."""
    return replace(
        table, table={name: values[rows] for name, values in table.table.items()}, measured_s=table.measured_s[rows],
        model=table.model[rows], network=table.network[rows], count=table.count[rows],
        numbers={name: values[rows] for name, values in table.numbers.items()}, base_s=table.base_s[rows],
        words=[table.words[i] for i in rows.tolist()], amounts=table.amounts[rows], places=table.places[rows],
    )  # fmt: skip


def fit_kernels(table: HostTable, rows: np.ndarray, seed: int) -> HostKernels:
    """Factors and a booster of some rows, without intervals and composition."""
    part = part_of(table, rows)
    known = features.vocabulary(part.words, LEAST_WORD)
    seconds, count = adding_up(part), weights(part.measured_s)
    costs = fit_costs(part.table, part.amounts, seconds, count, part.model)
    costs_s = np.maximum(costs.seconds(part.table, part.amounts, part.base_s), LEAST_S)
    matrix = features.matrix(features.with_costs(part.numbers, costs_s, part.base_s, part.places), part.words, known)
    data = artefact.compress(strip(boost(matrix, np.log(seconds / costs_s), BOOSTER, seed, count)))
    names, counts = np.unique(np.asarray(part.table["kernel"], dtype=object).astype(str), return_counts=True)
    return HostKernels(
        device=table.device.id, software=table.software, threads=table.threads, words=known,
        kernels=dict(zip(names.tolist(), counts.tolist(), strict=True)), quantiles=((-0.7, 0.7),) * 4,
        composition=Composition(), read=lambda: data, rows=len(rows), costs=costs,
    )  # fmt: skip


def adding_up(table: HostTable) -> np.ndarray:
    """Seconds of kernels that add up to their runs without the profiler; shape ``[rows]``.

    A profiled run and those without the profiler see the machine at different moments, and the profiler costs more in one
    model than in another: kernels of one run are off together, and the run says by how much. What runs take beside
    kernels, and the usual ratio of the two, follow from all runs of the table.
    """
    rows_of, run_s, nodes = (list(part) for part in zip(*table.runs().values(), strict=True))
    sums = np.array([float((table.measured_s[rows] * table.count[rows]).sum()) for rows in rows_of])
    usual = fit_composition(np.array(run_s), sums, np.array(nodes))
    left = np.array(run_s) - usual.per_node_s * np.array(nodes) - usual.per_run_s
    shared = np.clip(np.nan_to_num(left / (usual.scale * sums), nan=1.0), 1 / _MOST_SHARED, _MOST_SHARED)
    found = table.measured_s.copy()
    for rows, factor in zip(rows_of, shared.tolist(), strict=True):
        found[rows] *= factor
    return found


def weights(measured_s: np.ndarray) -> np.ndarray:
    """What rows count: those of a few microseconds scatter by the clock's step, and add up to little."""
    result: np.ndarray = 1.0 / (1.0 + (_TINY_S / measured_s) ** 2)
    return result


def predicted(kernels: HostKernels, table: HostTable, rows: np.ndarray) -> np.ndarray:
    """Seconds of some rows."""
    return kernels.predict({name: values[rows] for name, values in table.table.items()}, table.device).latency_s


def fit_composition(run_s: np.ndarray, kernels_s: np.ndarray, nodes: np.ndarray) -> Composition:
    """Overheads and scale from runs: least absolute relative error, overheads not below 0.

    Args:
        run_s: seconds without the profiler.
        kernels_s: the sums of the predicted kernels.
        nodes: nodes of a run.
    """
    from scipy.optimize import minimize

    good = np.isfinite(run_s) & np.isfinite(nodes) & (run_s > 0)
    if good.sum() < 3:
        return Composition()
    run_s, kernels_s, nodes = run_s[good], kernels_s[good], nodes[good]

    def loss(x: np.ndarray) -> float:
        estimate = np.exp(x[2]) * kernels_s + abs(x[0]) * 1e-6 * nodes + abs(x[1]) * 1e-6
        # Tails pull little: a run that was disturbed says nothing of overheads.
        return float(np.mean(np.sqrt(np.log(estimate / run_s) ** 2 + 0.02**2)))

    best = minimize(loss, np.array([0.3, 6.0, 0.0]), method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-4})
    per_node, per_run, scale = abs(best.x[0]) * 1e-6, abs(best.x[1]) * 1e-6, float(np.exp(best.x[2]))
    composition = Composition(float(per_node), float(per_run), scale, runs=int(good.sum()))
    return replace(composition, quantiles=run_quantiles(run_s, composition.latency_s(kernels_s, nodes)))


def composition_for(runs: Runs, kept: np.ndarray) -> Composition:
    """The composition of some runs; its interval is that of the real models among them, where there are enough.

    Args:
        runs: with kernels predicted by what did not see them.
        kept: which of them; bool of shape ``[runs]``.
    """
    composition = fit_composition(runs.run_s[kept], runs.kernels_s[kept], runs.nodes[kept])
    models = kept & runs.real & np.isfinite(runs.run_s) & np.isfinite(runs.nodes)
    if models.sum() < FEWEST_MODELS:
        return composition
    predicted_s = composition.latency_s(runs.kernels_s[models], runs.nodes[models])
    return replace(composition, quantiles=run_quantiles(runs.run_s[models], predicted_s, runs.network[models]))


def run_quantiles(
    run_s: np.ndarray, predicted_s: np.ndarray, network: np.ndarray | None = None
) -> tuple[tuple[float, float], ...]:
    """The 5 % and 95 % quantiles of ln(measured / predicted) by size of the predicted run.

    Forms of one network err together, so that networks count, not runs: the finite-sample step of conformal prediction
    goes by their number, and of few networks the interval is Student's of a next one where that is wider. A size with
    fewer than :data:`_FEWEST_NETWORKS` takes the interval of all.

    Args:
        run_s: seconds without the profiler; shape ``[runs]``.
        predicted_s: by what did not see them; the same shape.
        network: which network each is a form of; None: each its own.
    """
    error = np.log(run_s / predicted_s)
    network = np.arange(len(error)) if network is None else np.unique(network, return_inverse=True)[1]
    bucket = np.searchsorted(RUN_BUCKETS_S, predicted_s, side="right")
    found = []
    for index in range(len(RUN_BUCKETS_S) + 1):
        mine = bucket == index
        if len(np.unique(network[mine])) < _FEWEST_NETWORKS:
            mine = np.ones(len(error), dtype=bool)
        found.append(_interval(error[mine], network[mine]))
    return tuple(found)


def _interval(error: np.ndarray, network: np.ndarray) -> tuple[float, float]:
    counts = np.bincount(network)
    networks = int((counts > 0).sum())
    step = 1.0 / (networks + 1)
    low, high = np.quantile(error, [max(INTERVAL[0] - step, 0.0), min(INTERVAL[1] + step, 1.0)])
    if 1 < networks < _FEWEST_NETWORKS:
        # Each network counts once, however many forms it has.
        weight = 1.0 / counts[network]
        middle = float(np.average(error, weights=weight))
        spread = float(np.average((error - middle) ** 2, weights=weight) * networks / (networks - 1)) ** 0.5
        half = _NORMAL_95 * student(networks) * spread
        low, high = min(low, middle - half), max(high, middle + half)
    return float(low), float(high)


def kernel_intervals(
    table: HostTable, predicted_s: np.ndarray, rows: np.ndarray
) -> tuple[list[list[float]], dict[str, float]]:
    """The interval of kernels by size, and by what each family stretches it.

    Args:
        table: whose kernels.
        predicted_s: seconds of every row, by what did not see its network.
        rows: that may be looked at; indices, or a bool a row.
    """
    measured, predicted = table.measured_s[rows], predicted_s[rows]
    quantiles = error_quantiles(measured, predicted)
    family = np.asarray(table.table["op"], dtype=object).astype(str)[rows]
    return quantiles, family_widths(family, table.network[rows], measured, predicted, np.array(quantiles))


@dataclass(frozen=True)
class TrainedHost:
    """What training gives: the kernels with everything, and every row as those see it that never saw its network.

    Attributes:
        kernels: of all rows.
        predicted_s: of each row, held out; shape ``[rows]``.
    """

    kernels: HostKernels
    predicted_s: np.ndarray


def train_host(table: HostTable, seed: int, report: Callable[[str], None] = lambda line: None) -> TrainedHost:
    """Held-out errors, then one booster of all rows."""
    fold = folds_of(table.network.astype(object), seed=seed)
    held_out = np.empty(len(table))
    for number in range(FOLDS):
        out = np.flatnonzero(fold == number)
        kept = np.flatnonzero(fold != number)
        if not len(out) or not len(kept):
            held_out[out] = np.maximum(table.base_s[out], LEAST_S)
            continue
        held_out[out] = predicted(fit_kernels(table, kept, seed), table, out)
        error = np.abs(held_out[out] / table.measured_s[out] - 1)
        report(f"kernels {number + 1}/{FOLDS}: median error of left-out models {np.median(error):.1%}")
    final = fit_kernels(table, np.arange(len(table)), seed)
    runs = Runs.of(table, held_out)
    composition = composition_for(runs, np.ones(len(runs.names), dtype=bool))
    quantiles, widths = kernel_intervals(table, held_out, np.arange(len(table)))
    kernels = replace(
        final, quantiles=tuple((low, high) for low, high in quantiles), widths=widths, composition=composition
    )
    return TrainedHost(kernels, held_out)

"""Judging predictors: error figures by group, with the plain roofline and the noise of the labels beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError, checked_keywords, nearest, one_of
from perfmodel.hardware import load_device
from perfmodel.models.constants import FALLBACK
from perfmodel.models.learned import size_bucket, stack_of
from perfmodel.models.trace_rows import (
    Part,
    beyond_kernel_s,
    cache_states,
    descriptor_columns,
    parts_of,
    roofline_s,
    shape_keys,
    text_key,
)
from perfmodel.ops.table import from_columns

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.models.protocol import PredictorProtocol
    from perfmodel.protocols.task import Traces


@dataclass(frozen=True)
class GroupAccuracy:
    """Error figures of one group of rows; fractions, not percent. The keys are those of ``evaluate --json``."""

    op: str | None
    device: str | None
    dtype: str | None
    software: str | None
    size: str | None
    target: str
    n: int
    n_groups: int
    mape: float
    median_ape: float
    p90_ape: float
    bias: float
    r2: float
    coverage_90: float | None
    analytical_mape: float
    roofline_mape: float
    noise_mape: float | None
    held_out: str | None = None
    workload: str | None = None
    variant: str | None = None


def ape(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """|predicted / measured - 1| of each row."""
    result: np.ndarray = np.abs(predicted / measured - 1)
    return result


def score_group(
    *,
    op: str | None,
    device: str | None,
    dtype: str | None,
    software: str | None,
    measured: np.ndarray,
    predicted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    analytical: np.ndarray,
    roofline: np.ndarray,
    folds: int,
    noise: float | None,
    size: str | None = None,
    held_out: str | None = None,
    workload: str | None = None,
    variant: str | None = None,
    target: str = "latency",
) -> GroupAccuracy:
    """The figures of one group; all arrays of shape ``[rows]``, in seconds, watts or joules as ``target`` says.

    ``bias`` is the mean of predicted / measured - 1, ``r2`` is taken on the logarithm. Rows whose interval is NaN claim none:
    coverage is that of the others, None where there are none.
    """
    error = ape(predicted, measured)
    log_measured = np.log(measured)
    spread = float(((log_measured - log_measured.mean()) ** 2).sum())
    residual = float(((np.log(predicted) - log_measured) ** 2).sum())
    claimed = np.isfinite(low) & np.isfinite(high)
    covered = ((measured >= low) & (measured <= high))[claimed]
    return GroupAccuracy(
        op=op, device=device, dtype=dtype, software=software, size=size, target=target, n=len(measured), n_groups=folds,
        mape=float(error.mean()), median_ape=float(np.median(error)), p90_ape=float(np.quantile(error, 0.9)),
        bias=float((predicted / measured - 1).mean()), r2=1 - residual / spread if spread > 0 else 0.0,
        coverage_90=float(covered.mean()) if len(covered) else None,
        analytical_mape=float(ape(analytical, measured).mean()), roofline_mape=float(ape(roofline, measured).mean()),
        noise_mape=noise, held_out=held_out, workload=workload, variant=variant,
    )  # fmt: skip


def software_noise(shape_key: np.ndarray, software: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """How far versions of one stack disagree on the same shape: mean |a / b - 1| over shared shapes and other versions.

    Args:
        shape_key: a text or a number that is equal for equal shapes, shape ``[rows]``.
        software: software id of each row.
        measured: seconds.

    Returns:
        the figure of each software that another version of its stack can be held against.
    """
    by_software: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in sorted(set(software.tolist())):
        rows = software == name
        keys, first = np.unique(shape_key[rows], return_index=True)
        by_software[name] = (keys, measured[rows][first])
    result = {}
    for name, (keys, values) in by_software.items():
        figures = []
        for other, (other_keys, other_values) in by_software.items():
            if other == name or stack_of(other) != stack_of(name):
                continue
            _, mine, theirs = np.intersect1d(keys, other_keys, assume_unique=True, return_indices=True)
            if len(mine):
                figures.append(float(ape(other_values[theirs], values[mine]).mean()))
        if figures:
            result[name] = float(np.mean(figures))
    return result


_ROWS_AT_A_TIME = 50_000
_FIGURES = ("mape", "median_ape", "p90_ape", "bias", "r2", "analytical_mape", "roofline_mape")
_MAYBE_UNKNOWN = ("coverage_90", "noise_mape")


def accuracy_report(protocol: str, seed: int, groups: Sequence[GroupAccuracy]) -> dict[str, Any]:
    """``accuracy.json``: every group, their unweighted mean, the mean over rows, and a summary by family, device and
    dtype."""
    keys = list(dict.fromkeys((g.op, g.device, g.dtype) for g in groups))
    by_device_dtype = []
    for op, device, dtype in keys:
        mine = [g for g in groups if (g.op, g.device, g.dtype) == (op, device, dtype)]
        by_device_dtype.append({"op": op, "device": device, "dtype": dtype, **mean_of(mine, weighted=False)})
    return {
        "protocol": protocol,
        "seed": seed,
        "groups": [asdict(g) for g in groups],
        "overall": mean_of(groups, weighted=False),
        "pooled": mean_of(groups, weighted=True),
        "by_device_dtype": by_device_dtype,
    }


def mean_of(groups: Sequence[GroupAccuracy], *, weighted: bool) -> dict[str, Any]:
    """The unweighted mean of the figures of groups, or the one over their rows."""
    weights = np.array([g.n if weighted else 1 for g in groups], dtype=np.float64)
    figures: dict[str, Any] = {
        name: float(np.average([getattr(g, name) for g in groups], weights=weights)) for name in _FIGURES
    }
    for name in _MAYBE_UNKNOWN:
        known = [(v, w) for g, w in zip(groups, weights, strict=True) if (v := getattr(g, name)) is not None]
        figures[name] = float(np.average([v for v, _ in known], weights=[w for _, w in known])) if known else None
    return {"n": sum(g.n for g in groups), "n_groups": len(groups), **figures}


GROUP_KEYS = ("op", "device", "dtype", "software", "size", "held_out", "workload", "variant")
"""What ``--by`` may group rows by."""
SIZE_NAMES = ("<10us", "<100us", "<1ms", ">=1ms")
"""Names of the buckets of measured latency."""
BY = ("device", "dtype", "software")
"""What rows are grouped by unless something else is asked for; some protocols have other defaults."""


@checked_keywords()
def evaluate(
    traces: Traces | Sequence[Traces],
    predictor: PredictorProtocol | str = "default",
    *,
    device: str | Path | None = None,
    by: Sequence[str] | None = None,
    protocol: str | None = None,
    root: str | Path | None = None,
    seed: int = 0,
    jobs: int = 1,
    target: str = "latency",
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """How far a predictor is from measured operators and runs.

    Args:
        traces: operator traces and run traces: tables, paths of tables, or names of data sets. A run is predicted where it
            names its operators. Under a protocol operators that nothing is learned of are left out.
        predictor: a predictor, its folder, a shipped name, or one that a package registers (without a protocol alone).
        device: the path of the TOML of a device that the catalogue lacks; rows that bear its id use it.
        by: what rows are grouped by, of :data:`GROUP_KEYS`; other keys are null in the result. None: :data:`BY`, or what
            the protocol is usually read by.
        protocol: None predicts the traces as they are, each row under its own software and cache state. Otherwise one of
            :data:`perfmodel.protocols.PROTOCOLS`: a predictor is trained anew without what the protocol holds out, with the
            constants of ``predictor`` to begin with.
        root: where data sets lie that were named; None: the download or the installed package.
        seed: of the folds.
        jobs: processes to train in.
        target: ``"latency"``, or ``"power"`` or ``"energy"`` of the operator traces that have ``power_w``: of rows of 0.1 ms or
            more, with further figures of settled and of shorter rows (:mod:`perfmodel.power_accuracy`).
        report: receives a line whenever a protocol has judged a part of the rows.

    Returns:
        ``{protocol, seed, groups, overall, pooled, by_size}`` as ``evaluate --json`` has it. Means are over the groups of the
        protocol's first target, sizes those of latencies.

    Raises:
        InputError: an unknown protocol or group key, or no usable row.
        TraceError: the traces break the schema.
    """
    from perfmodel.models.constants import FALLBACK
    from perfmodel.models.predictor import load, load_trained
    from perfmodel.protocols import TARGETS
    from perfmodel.protocols import protocol as protocol_of
    from perfmodel.protocols.runs import predicted_runs
    from perfmodel.protocols.task import Task, read

    one_of("target", target, TARGETS)
    if target != "latency":
        from perfmodel.protocols.power import evaluate_power

        return evaluate_power(
            traces, predictor, target, device=device, by=by, protocol=protocol, root=root, seed=seed, jobs=jobs
        )
    for key in by or ():
        if key not in GROUP_KEYS:
            raise InputError(f"cannot group by {key!r}: {nearest(key, GROUP_KEYS)}")
    chosen = None if protocol is None else protocol_of(protocol)
    tables, runs = read(traces, root, device)
    if chosen is None:
        loaded = load(predictor)
        tables, rows = _on_processors(tables, loaded)
        rows += [r for table in tables.values() for part in parts_of(table) for r in judge_part(part, loaded)]
        rows += [r for some in runs for r in predicted_runs(some, lambda op: loaded)]
    else:
        constants = load_trained(predictor).constants or FALLBACK
        rows = chosen.judge(Task(chosen.name, tables, runs, constants, seed, jobs, report))
    if not rows:
        why = (
            "; a run is predicted where its column `operators` names a list of them and it has a latency"
            if runs
            else ""
        )
        raise InputError(f"the traces hold no usable row{why}")
    usual = BY if chosen is None else chosen.by
    groups = grouped(rows, usual if by is None else by)
    main = "latency" if chosen is None else chosen.targets[0]
    result = accuracy_report(protocol or "predict", seed, [g for g in groups if g.target == main])
    result["groups"] = [asdict(group) for group in groups]
    result["by_size"] = [asdict(group) for group in grouped([r for r in rows if r.target == "latency"], ("size",))]
    return {key: result[key] for key in ("protocol", "seed", "groups", "overall", "pooled", "by_size")}


def _on_processors(
    tables: dict[str, pd.DataFrame], predictor: PredictorProtocol
) -> tuple[dict[str, pd.DataFrame], list[JudgedRows]]:
    """Tables without the kernels of processors that the predictor learned, and those with their runs, judged."""
    from perfmodel.training.host_judged import judged_as_predicted

    learned = getattr(predictor, "host", ())
    return judged_as_predicted(tables, learned) if learned else (tables, [])


@dataclass(frozen=True)
class JudgedRows:
    """Rows of one (device, dtype, software) with what was predicted for them, in seconds, watts, joules or the unit of a score
    (``target``). ``noise`` is by how much repeats of the same measurement differ, where the protocol knows it."""

    device: str
    dtype: str
    software: str
    measured: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    analytical: np.ndarray
    roofline: np.ndarray
    shape_key: np.ndarray
    folds: int
    family: str = "gemm"
    part: str | None = None
    held_out: str | None = None
    workload: str | None = None
    variant: str | None = None
    target: str = "latency"
    noise: float | None = None

    @property
    def booster(self) -> tuple[str, str]:
        """The family and the part of it that these rows belong to; the dtype where that is the part."""
        return self.family, self.dtype if self.part is None else self.part


_FIGURES_OF_ROWS = ("latency_s", "latency_low_s", "latency_high_s", "analytical_s")


def judge_part(part: Part, predictor: PredictorProtocol) -> list[JudgedRows]:
    """The rows of a part as the predictor sees them, by software and dtype: each under its own cache state and its own
    software, or its kernel or stack where those are what is known."""
    record, table = load_device(part.device), part.rows
    software = table["software"].astype(str).to_numpy(dtype=object)
    out, roofline, keys = predicted_columns(part, predictor, _FIGURES_OF_ROWS)
    beyond = beyond_kernel_s(table, part.op, getattr(predictor, "constants", None) or FALLBACK)
    for values in out.values():
        values += beyond
    dtype_of_row = table["dtype"].astype(str).to_numpy(dtype=object)
    judged = []
    for s in sorted(set(software.tolist())):
        for dtype in sorted(set(dtype_of_row.tolist())):
            mine = np.flatnonzero((software == s) & (dtype_of_row == dtype))
            if len(mine):
                predicted, low, high, analytical = (out[name][mine] for name in _FIGURES_OF_ROWS)
                judged.append(
                    JudgedRows(
                        record.id, dtype, s, table["latency_s"].to_numpy(dtype=np.float64)[mine], predicted, low, high,
                        analytical, roofline[mine], keys[mine], 1, family=part.name, part=part.part,
                    )
                )  # fmt: skip
    return judged


def predicted_columns(
    part: Part, predictor: PredictorProtocol, names: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Some columns of the estimates of a part's rows, each under its own cache state and its own software, or its kernel or
    stack where those are what is known; their roofline in seconds, and keys of their shapes (kernels told apart). Arrays of
    shape ``[rows]``."""
    record = load_device(part.device)
    table, rows = part.rows, len(part.rows)
    software = table["software"].astype(str).to_numpy(dtype=object)
    states = cache_states(table)
    kernel = np.full(rows, None, dtype=object)
    if "kernel" in table.columns:
        kernel = table["kernel"].astype(object).where(table["kernel"].notna(), None).to_numpy(dtype=object)
    out = {name: np.empty(rows) for name in names}
    roofline, keys = np.empty(rows), np.empty(rows, dtype=np.uint64)
    columns = descriptor_columns(table, part.op)
    known_software = getattr(predictor, "known_software", None)
    for group in from_columns(columns):
        roofline[group.rows], keys[group.rows] = roofline_s(group, record), shape_keys(group)
        runs: dict[tuple[str | None, str], list[np.ndarray]] = {}
        for s, k, state in {*zip(software[group.rows], kernel[group.rows], states[group.rows], strict=True)}:
            mine = (software[group.rows] == s) & (kernel[group.rows] == k) & (states[group.rows] == state)
            known = None if known_software is None else known_software(s, record, group.op, k)
            if known is not None and ":" in known:
                keys[group.rows[mine]] ^= np.uint64(text_key(known.removeprefix(s)))
            runs.setdefault((known, state), []).append(np.flatnonzero(mine))
        for (known, state), places in sorted(runs.items(), key=str):
            for chosen in np.array_split(np.concatenate(places), -(-sum(map(len, places)) // _ROWS_AT_A_TIME)):
                e = predictor.predict(group.taken(chosen).op, record, software=known, cache=state)
                for name, values in out.items():
                    found = getattr(e, name)
                    values[group.rows[chosen]] = np.nan if found is None else found
    return out, roofline, keys


def _noise_by_software(rows: Sequence[JudgedRows]) -> dict[tuple[str, str, str, str], float]:
    noise = {}
    by_table: dict[tuple[str, str, str], list[JudgedRows]] = {}
    for r in (r for r in rows if r.target == "latency"):
        by_table.setdefault((r.family, r.device, r.dtype), []).append(r)
    for table, mine in by_table.items():
        software = np.concatenate([np.full(len(r.measured), r.software, dtype=object) for r in mine])
        figures = software_noise(
            np.concatenate([r.shape_key for r in mine]), software, np.concatenate([r.measured for r in mine])
        )
        noise.update({(*table, s): f for s, f in figures.items()})
    return noise


def grouped(rows: Sequence[JudgedRows], by: Sequence[str]) -> list[GroupAccuracy]:
    """The figures of judged rows, grouped by some of :data:`GROUP_KEYS`."""
    noise = _noise_by_software(rows)
    pieces: dict[tuple[str | None, ...], list[tuple[JudgedRows, np.ndarray]]] = {}
    for r in rows:
        bucket = size_bucket(r.measured) if r.target == "latency" else np.full(len(r.measured), len(SIZE_NAMES) - 1)
        for size in np.unique(bucket) if "size" in by else [None]:
            chosen = np.arange(len(bucket)) if size is None else np.flatnonzero(bucket == size)
            name = None if size is None else SIZE_NAMES[size]
            values = (r.family, r.device, r.dtype, r.software, name, r.held_out, r.workload, r.variant)
            key = (r.target, *(v if k in by else None for k, v in zip(GROUP_KEYS, values, strict=True)))
            pieces.setdefault(key, []).append((r, chosen))
    groups = []
    for key, parts in pieces.items():
        figures = {
            name: np.concatenate([getattr(r, name)[c] for r, c in parts])
            for name in ("measured", "predicted", "low", "high", "analytical", "roofline")
        }
        by_table = [
            noise.get((r.family, r.device, r.dtype, r.software)) if r.noise is None else r.noise for r, _ in parts
        ]
        known = [figure for figure in by_table if figure is not None]
        target, op, device, dtype, software, size_name, held_out, workload, variant = key
        assert target is not None
        groups.append(
            score_group(
                op=op, device=device, dtype=dtype, software=software, size=size_name, held_out=held_out, workload=workload,
                variant=variant, target=target, **figures, folds=max(r.folds for r, _ in parts),
                noise=float(np.mean(known)) if known else None,
            )
        )  # fmt: skip
    return groups

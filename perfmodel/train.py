"""Training: from operator traces to a predictor folder.

    traces → physics constants (one fit over everything) → per (device, dtype) a booster on ln(measured / analytical)
           → out-of-fold errors and interval quantiles → manifest, boosters, accuracy.json, card.md

Everything random takes the seed, and every booster is trained by one thread: the same traces and the same versions
(``models/lock.txt``) give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import __version__
from perfmodel.card import card_text
from perfmodel.datasets.schema import only_gemm, read_traces, with_device
from perfmodel.datasets.splits import FOLDS, shape_fold
from perfmodel.errors import InputError, MissingExtraError
from perfmodel.evaluate import GroupAccuracy, JudgedRows, accuracy_report, grouped, roofline_s
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import Constants
from perfmodel.models.fit import fit_constants, gemm_group
from perfmodel.models.learned import (
    SIZE_BUCKETS_S,
    SUPPORT_FEATURES,
    residual_columns,
    size_bucket,
    software_columns,
    version_key,
)
from perfmodel.models.machine import CACHES, Conditions, Machine
from perfmodel.ops import Gemm

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_CACHE = "warm"
"""State of the last-level cache of rows that do not say: benchmarks repeat one call on the same buffers."""

BOOSTER = {
    "objective": "reg:absoluteerror",
    "tree_method": "hist",
    "grow_policy": "lossguide",
    "max_depth": 0,
    "max_leaves": 128,
    "max_bin": 128,
    "eta": 0.12,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 5,
    "nthread": 1,
}
TREES = 250
_LOCKED = ("numpy", "pandas", "pyarrow", "scipy", "xgboost-cpu", "xgboost")
_INTERVAL = (0.05, 0.95)
_ROWS_AT_A_TIME = 50_000


@dataclass(frozen=True)
class PreparedTable:
    """The rows of one (device, dtype) with their features."""

    device: Device
    dtype: str
    software: tuple[str, ...]
    cache: tuple[str, ...]
    software_of_row: np.ndarray
    measured_s: np.ndarray
    analytical_s: np.ndarray
    floor_s: np.ndarray
    roofline_s: np.ndarray
    matrix: np.ndarray
    support: dict[str, tuple[float, float]]
    fold: np.ndarray
    shape_key: np.ndarray

    @property
    def log_ratio(self) -> np.ndarray:
        ratio: np.ndarray = np.log(self.measured_s / self.analytical_s)
        return ratio


def import_xgboost() -> Any:
    """The module xgboost.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import xgboost
    except ImportError:
        raise MissingExtraError("xgboost", "train", "training a predictor") from None
    return xgboost


def prepare(traces: pd.DataFrame, device: Device, dtype: str, constants: Constants, seed: int) -> PreparedTable:
    """The rows of one (device, dtype) with the features and the analytical latency under the state of their cache."""
    software_of_row = traces["software"].astype(str).to_numpy()
    software = tuple(sorted(set(software_of_row), key=lambda s: (s.split("-", 1)[0], version_key(s))))
    cache_of_row = np.full(len(traces), DEFAULT_CACHE, dtype=object)
    if "cache" in traces:
        cache_of_row = traces["cache"].astype(object).fillna(DEFAULT_CACHE).to_numpy()
    group = gemm_group(traces, dtype)
    units = Machine.of(device, dtype).units
    columns = {name: np.empty(len(traces)) for name in feature_schema("gemm").names}
    latency, floor = np.empty(len(traces)), np.empty(len(traces))
    # In pieces: the features of half a million rows with all tile candidates would not fit the memory at once.
    for start in range(0, len(traces), _ROWS_AT_A_TIME):
        for cache in CACHES:
            rows = start + np.flatnonzero(cache_of_row[start : start + _ROWS_AT_A_TIME] == cache)
            if not len(rows):
                continue
            part = gemm_group(traces.iloc[rows], dtype)
            bounds = analyse(part, device, constants=constants, conditions=Conditions(cache))
            assert isinstance(part.op, Gemm)
            for name, values in residual_columns(part.op, bounds, units).items():
                columns[name][rows] = values
            latency[rows], floor[rows] = bounds.latency_s, bounds.floor_s
    one_hot = software_columns(software, software_of_row)
    m, n, k = (traces[c].to_numpy() for c in "mnk")
    m_text, n_text, k_text = (c.astype(str) for c in (m, n, k))
    return PreparedTable(
        device=device,
        dtype=dtype,
        software=software,
        cache=tuple(str(cache_of_row[software_of_row == s][0]) for s in software),
        software_of_row=software_of_row,
        measured_s=traces["latency_s"].to_numpy(dtype=np.float64),
        analytical_s=latency,
        floor_s=floor,
        roofline_s=roofline_s(group, device),
        matrix=np.concatenate([feature_schema("gemm").matrix(columns), one_hot], axis=1),
        support={f: (float(columns[f].min()), float(columns[f].max())) for f in SUPPORT_FEATURES},
        fold=shape_fold(n, k, seed=seed),
        shape_key=np.char.add(np.char.add(m_text, "x"), np.char.add(np.char.add(n_text, "x"), k_text)),
    )


def fit_booster(table: PreparedTable, rows: np.ndarray, seed: int) -> Any:
    """A booster of ln(measured / analytical), trained on some rows of a table."""
    xgboost = import_xgboost()
    data = xgboost.DMatrix(table.matrix[rows], table.log_ratio[rows])
    return xgboost.train({**BOOSTER, "seed": seed}, data, TREES)


def strip(booster: Any) -> bytes:
    """XGBoost's JSON without what prediction does not need: training statistics, and digits of the leaves beyond 1e-4 (a
    hundredth of a percent each). Half the size."""
    model = json.loads(booster.save_raw("json"))
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        count = len(tree["left_children"])
        for name in ("loss_changes", "sum_hessian", "base_weights"):
            tree[name] = [0.0] * count  # XGBoost reads no whole number there
        tree["split_conditions"] = [
            round(value, 4) if child < 0 else value
            for value, child in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    return json.dumps(model, separators=(",", ":"), sort_keys=True).encode()


def _held_out(table: PreparedTable, seed: int) -> np.ndarray:
    """Predictions of every row by boosters that saw neither its (n, k) pair nor any file's row of that pair."""
    xgboost = import_xgboost()
    predicted = np.empty(len(table.measured_s))
    for fold in range(FOLDS):
        out = table.fold == fold
        if not out.any() or out.all():
            predicted[out] = table.analytical_s[out]
            continue
        booster = fit_booster(table, np.flatnonzero(~out), seed)
        correction = booster.predict(xgboost.DMatrix(table.matrix[out]))
        predicted[out] = table.analytical_s[out] * np.exp(correction)
    bounded: np.ndarray = np.maximum(predicted, table.floor_s)
    return bounded


def error_quantiles(measured: np.ndarray, predicted: np.ndarray) -> list[list[float]]:
    """The 5 % and 95 % quantiles of ln(measured / held-out prediction), by bucket of the predicted latency.

    By the predicted latency, since a user has no measured one. A bucket with few rows takes the quantiles of all.
    """
    error = np.log(measured / predicted)
    bucket = size_bucket(predicted)
    everything = np.quantile(error, _INTERVAL)
    result = []
    for index in range(len(SIZE_BUCKETS_S) + 1):
        mine = error[bucket == index]
        low, high = np.quantile(mine, _INTERVAL) if len(mine) >= 100 else everything
        result.append([float(low), float(high)])
    return result


def _analytical_intervals(errors: Mapping[tuple[str, str], np.ndarray]) -> dict[str, list[float]]:
    """By dtype, ln offsets that cover 90 % of the rows of every device that was measured in it, the worst one included.

    Args:
        errors: ln(measured / analytical) of the rows of each (device, dtype).
    """
    result: dict[str, list[float]] = {}
    for (_device, dtype), error in sorted(errors.items()):
        low, high = (float(q) for q in np.quantile(error, _INTERVAL))
        # The estimate itself always lies inside, even where a format's kernels are all slower than the physics says.
        before = result.get(dtype, [0.0, 0.0])
        result[dtype] = [min(low, before[0]), max(high, before[1])]
    return result


def train(
    traces: pd.DataFrame | str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    device: str | Path | None = None,
    name: str = "default",
    seed: int = 0,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Trains a predictor on GEMM traces and writes it to a folder.

    Args:
        traces: a table of operator traces, or the paths of such tables (Parquet or CSV).
        output: the predictor's folder; it is created, its files are replaced one by one under temporary names.
        device: the path of the TOML of a device that the catalogue lacks; rows that bear its id use it.
        name: stands in the card.
        seed: of the folds, the constants' sample and the boosters.
        jobs: processes to train in; the result does not depend on it, since each booster is trained by one thread.
        report: receives a line of progress now and then.

    Returns:
        the contents of ``accuracy.json``.

    Raises:
        TraceError: the traces break the schema.
        InputError: a device that is unknown; no usable rows.
        MissingExtraError: the extra ``train`` is not installed.
    """
    table, hashes = load_tables(traces)
    table = only_gemm(table, report)
    if device is not None:
        table = with_device(table, device)
    if "status" in table:
        table = table[table["status"].isna() | (table["status"] == "ok")]
    if table.empty:
        raise InputError("the traces hold no usable row to train on")
    folder = Path(output)
    report(f"{len(table)} rows; fitting the physics constants")
    constants = fit_constants(table, seed=seed, report=report)
    tasks = [(rows, device, dtype, constants, seed) for device, dtype, rows in pairs(table)]
    boosters, groups = [], []
    analytical_errors: dict[tuple[str, str], np.ndarray] = {}
    for index, trained in enumerate(in_parallel(train_pair, tasks, jobs)):
        file = f"gemm/{trained.entry['device']}/{trained.entry['dtype']}.json.gz"
        sha256 = artefact.write_file(folder, file, trained.booster)
        boosters.append({**trained.entry, "file": file, "sha256": sha256})
        analytical_errors[trained.entry["device"], trained.entry["dtype"]] = trained.analytical_error
        groups += trained.scores
        mean = float(np.mean([g.mape for g in trained.scores]))
        name_of = f"{trained.entry['device']} {trained.entry['dtype']}"
        report(f"{index + 1}/{len(tasks)} {name_of}: held-out MAPE {mean:.2%} over {len(trained.scores)} tables")
    transfer, accuracy_of_transfer = _transfer(table, constants, seed, jobs, boosters, folder, report)
    manifest = {
        "schema": artefact.SCHEMA,
        "perfmodel": __version__,
        "seed": seed,
        "constants": constants.to_dict(),
        "feature_schemas": {name: feature_schema(name).sha256 for name in ("gemm", "gemm_unseen")},
        "training_data": hashes,
        "analytical_log_intervals": _analytical_intervals(analytical_errors),
        "boosters": boosters + transfer,
        "versions": locked_versions(),
    }
    accuracy = accuracy_report("shapes", seed, groups) | {"transfer": accuracy_of_transfer}
    artefact.write_json(folder, "accuracy.json", accuracy)
    artefact.write_file(folder, "card.md", card_text(name, manifest, accuracy).encode())
    # Last: a folder whose training was interrupted keeps its old manifest, whose hashes then refuse the new files.
    artefact.write_json(folder, artefact.MANIFEST, manifest)
    return accuracy


def _transfer(
    traces: pd.DataFrame,
    constants: Constants,
    seed: int,
    jobs: int,
    boosters: list[dict[str, Any]],
    folder: Path,
    report: Callable[[str], None],
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Boosters for devices that were not measured, written; the siblings' quantiles, put into ``boosters``.

    Returns:
        the manifest's entries of the boosters, and the accuracy report of each protocol that leaves devices out.
    """
    from perfmodel.transfer import (
        FAMILY,
        PROTOCOLS,
        SIBLING,
        leave_out,
        train_unseen,
        transfer_quantiles,
        with_intervals,
    )

    parts = {p: leave_out(traces, p, constants, seed=seed, jobs=jobs) for p in PROTOCOLS}
    everything = [part for left_out in parts.values() for part in left_out]
    reports = {}
    for protocol in PROTOCOLS:
        left_out = with_intervals(parts[protocol], everything)
        if left_out:
            scores = grouped([p.rows for p in left_out], ("op", "device", "dtype", "software"))
            reports[protocol] = accuracy_report(protocol, seed, scores)
            report(f"{protocol} left out: MAPE {reports[protocol]['overall']['mape']:.2%} over {len(scores)} tables")
    siblings = transfer_quantiles([p for p in parts["device"] if p.kind == SIBLING]).get(SIBLING, {})
    for entry in boosters:
        entry["sibling_quantiles"] = siblings.get(entry["dtype"])
    families = transfer_quantiles([p for p in parts["family"] if p.kind == FAMILY]).get(FAMILY, {})
    entries = []
    for dtype in families:
        unseen = train_unseen(traces[traces["dtype"] == dtype], dtype, constants, seed)
        if unseen is not None:
            file = f"gemm/unseen/{dtype}.json.gz"
            sha256 = artefact.write_file(folder, file, unseen.data)
            entries.append({**unseen.entry, "quantiles": families[dtype], "file": file, "sha256": sha256})
    return entries, reports


@dataclass(frozen=True)
class _Trained:
    """What one (device, dtype) gives: the booster's bytes, its manifest entry, and how it did on held-out pairs."""

    booster: bytes
    entry: dict[str, Any]
    scores: list[GroupAccuracy]
    analytical_error: np.ndarray


def train_pair(task: tuple[pd.DataFrame, str, str, Constants, int]) -> _Trained:
    """The booster of one (device, dtype): rows, device, dtype, constants, seed."""
    rows, device_id, dtype, constants, seed = task
    part = prepare(rows, load_device(device_id), dtype, constants, seed)
    predicted = _held_out(part, seed)
    final = fit_booster(part, np.arange(len(part.measured_s)), seed)
    entry = {
        "family": "gemm", "device": part.device.id, "dtype": dtype, "software": list(part.software), "cache": list(part.cache),
        "support": {k: list(v) for k, v in part.support.items()}, "quantiles": error_quantiles(part.measured_s, predicted),
        "rows": len(part.measured_s),
    }  # fmt: skip
    judged = _judged(part, predicted)
    scores = grouped(judged, ("op", "device", "dtype", "software"))
    return _Trained(artefact.compress(strip(final)), entry, scores, part.log_ratio)


def in_parallel(function: Callable[[Any], Any], tasks: Sequence[Any], jobs: int) -> Iterable[Any]:
    """The results in the order of the tasks, computed by some processes."""
    if jobs <= 1:
        return map(function, tasks)
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    def results() -> Iterable[Any]:
        # Not forked: a process that has used OpenMP (XGBoost, scikit-learn) forks children that wait for its threads.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield from pool.map(function, tasks)

    return results()


def locked_versions() -> dict[str, str]:
    """Versions of the packages that decide the boosters' bytes; absent ones are left out."""
    found = {}
    for package in _LOCKED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _judged(part: PreparedTable, predicted: np.ndarray) -> list[JudgedRows]:
    """The rows of each software with their held-out predictions and intervals.

    The interval of a fold's rows takes its quantiles from the errors of the other folds, so that coverage is measured on
    pairs that had no say in it.
    """
    bucket = size_bucket(predicted)
    low, high = np.empty_like(predicted), np.empty_like(predicted)
    for fold in np.unique(part.fold):
        mine = part.fold == fold
        others = ~mine if not mine.all() else mine
        quantiles = np.array(error_quantiles(part.measured_s[others], predicted[others]))
        low[mine], high[mine] = (predicted[mine] * np.exp(quantiles[bucket[mine], side]) for side in (0, 1))
    judged = []
    for software in part.software:
        rows = part.software_of_row == software
        judged.append(
            JudgedRows(
                part.device.id, part.dtype, software, part.measured_s[rows], predicted[rows], low[rows], high[rows],
                part.analytical_s[rows], part.roofline_s[rows], part.shape_key[rows], FOLDS,
            )
        )  # fmt: skip
    return judged


def _cross_validate_pair(task: tuple[pd.DataFrame, str, str, Constants, int]) -> list[JudgedRows]:
    rows, device_id, dtype, constants, seed = task
    part = prepare(rows, load_device(device_id), dtype, constants, seed)
    return _judged(part, _held_out(part, seed))


def cross_validate(traces: pd.DataFrame, constants: Constants, *, seed: int = 0, jobs: int = 1) -> list[JudgedRows]:
    """The protocol ``shapes``: every row predicted by boosters that never saw its (n, k) pair, in any table.

    Args:
        traces: operator traces of GEMMs, checked.
        constants: physics constants; a score of numbers that one table of one pair hardly moves.
        seed: of the folds and the boosters.
        jobs: processes to train in.
    """
    if "status" in traces:
        traces = traces[traces["status"].isna() | (traces["status"] == "ok")]
    tasks = [(rows, device, dtype, constants, seed) for device, dtype, rows in pairs(traces)]
    return [judged for part in in_parallel(_cross_validate_pair, tasks, jobs) for judged in part]


def pairs(table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Every (device, dtype) of a table with its rows, sorted."""
    pairs = sorted(table[["device", "dtype"]].drop_duplicates().astype(str).itertuples(index=False, name=None))
    return [(d, t, table[(table["device"] == d) & (table["dtype"] == t)]) for d, t in pairs]


def load_tables(traces: pd.DataFrame | str | Path | Iterable[str | Path]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Trace tables as one, checked, and the hash of each file."""
    from perfmodel.datasets.schema import check_traces, require_pandas

    pandas = require_pandas()
    if isinstance(traces, pandas.DataFrame):
        check_traces(traces, "traces")
        return traces, []
    paths = [Path(str(p)) for p in ([traces] if isinstance(traces, (str, Path)) else traces)]
    tables, hashes = [], []
    for path in paths:
        tables.append(read_traces(path))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        hashes.append({"file": path.name, "sha256": sha256, "rows": len(tables[-1])})
    if not tables:
        raise InputError("no trace file was given to train on")
    return pandas.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0], hashes

"""Boosters of power: of one (family, device, part), their held-out figures and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.datasets.splits import FOLDS
from perfmodel.evaluate import judge_part
from perfmodel.hardware import load_device
from perfmodel.models import artefact
from perfmodel.models.constants import Constants
from perfmodel.models.families import FAMILIES
from perfmodel.models.families.base import BOOSTER
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.learned import software_of, variant_columns
from perfmodel.models.power.learned import INTERVAL_GROUPS, LONG_S, interval_group
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part, PreparedTable, prepare
from perfmodel.power_accuracy import JudgedPower
from perfmodel.training.boosting import held_out, strip
from perfmodel.training.intervals import FEWEST_ROWS, INTERVAL
from perfmodel.training.joining import joined
from perfmodel.training.objective import boost
from perfmodel.training.power_rows import Physical, chosen, labelled, physical, weights

POWER_BOOSTER: Mapping[str, Any] = {
    **BOOSTER, "max_leaves": 48, "trees": 100, "subsample": 0.7, "colsample_bynode": 1.0, "max_bin": 256, "min_child_weight": 4,
}  # fmt: skip
"""XGBoost's parameters; ``trees`` are those of each software. Twice the trees, twice the leaves or squared errors make no
difference or are worse on held-out (n, k) of H200 and GB200."""
SMALL_BOOSTER: Mapping[str, Any] = {**POWER_BOOSTER, "max_leaves": 24, "trees": 80}
"""For other families than GEMM, whose labels are noisier and whose rows are more alike."""

_FEWER, _FASTER = 3, 2
"""The boosters that say how long held-out kernels take have a third of the trees of those that ship and learn twice as fast:
their latencies are a little worse, so that the figures of power and energy are, too."""


@dataclass(frozen=True)
class PowerTask:
    """The labelled rows of a part (:func:`perfmodel.training.power_rows.chosen`); families by name, as in
    :class:`perfmodel.training.parts.PartTask`.

    Attributes:
        predictor: of the latency, as it is.
    """

    family: str
    op: str
    device: str
    part: str
    rows: Any
    predictor: Predictor
    seed: int

    @property
    def as_part(self) -> Part:
        """The part."""
        return Part(FAMILIES[self.family], self.op, self.device, self.part, self.rows)

    @property
    def constants(self) -> Constants | None:
        """Of the latency's physics."""
        return self.predictor.constants

    @property
    def name(self) -> str:
        """As progress reports have it."""
        return f"{self.family} {load_device(self.device).id} {self.part}"


def power_tasks(parts: Sequence[Part], predictor: Predictor, seed: int) -> list[PowerTask]:
    """The tasks of those parts that have measured power, on devices with a power limit."""
    tasks = []
    for part in parts:
        if part.family is None or not labelled(part.rows).any() or load_device(part.device).tdp_w is None:
            continue
        rows = chosen(part.rows, seed)
        if (rows["latency_s"] >= LONG_S).sum() >= FEWEST_ROWS or len(rows) >= 10 * FEWEST_ROWS:
            tasks.append(PowerTask(part.family.name, part.op, part.device, part.part, rows, predictor, seed))
    return tasks


@dataclass(frozen=True)
class TrainedPower:
    """What one part gives: the packed booster, its entry of the manifest without file, and the judged held-out rows."""

    booster: bytes
    entry: dict[str, Any]
    rows: list[JudgedPower]


@dataclass(frozen=True)
class PowerData:
    """A part with its features and its labels (:mod:`perfmodel.training.power_rows`), arrays of shape ``[rows]``."""

    table: PreparedTable
    power_w: np.ndarray
    settled: np.ndarray
    neighbour: np.ndarray

    @classmethod
    def of(cls, task: PowerTask) -> PowerData:
        rows = task.rows
        return cls(
            prepare(task.as_part, task.constants, task.seed), rows["power_w"].to_numpy(dtype=np.float64),
            rows["settled"].to_numpy(dtype=bool), rows["neighbour"].to_numpy(dtype=np.float64),
        )  # fmt: skip


def train_power_part(task: PowerTask) -> TrainedPower:
    """Five folds for the figures and the intervals, then one booster of all rows.

    The latencies of the folds are predicted by boosters that saw none of the fold; the booster that ships reads the latencies
    of the predictor that it belongs to.
    """
    data = PowerData.of(task)
    table = data.table
    latencies = {"held_out": held_out_latency(table, task.seed), "shipped": predicted_latency(task)}
    models = physical(task.as_part, task.constants, latencies)
    power = held_out_power(data, models["held_out"], task.seed)
    rows = judged_rows(data, models["held_out"], latencies["held_out"], power)
    final = fit_power(table, models["shipped"], data.power_w, np.arange(len(table)), task.seed)
    entry = table.entry | entry_quantiles(rows)
    return TrainedPower(artefact.compress(strip(final)), entry, rows)


def judge_by_shapes(task: PowerTask) -> list[JudgedPower]:
    """Every row of a part, predicted by boosters of latency and power that saw no row of its group."""
    data = PowerData.of(task)
    latency = held_out_latency(data.table, task.seed)
    model = physical(task.as_part, task.constants, {"held_out": latency})["held_out"]
    return judged_rows(data, model, latency, held_out_power(data, model, task.seed))


def held_out_latency(table: PreparedTable, seed: int) -> np.ndarray:
    """Seconds of every row by boosters that saw no row of its group, and labelled rows alone; shape ``[rows]``."""
    own = table.family.booster
    lighter = {**own, "trees": max(own["trees"] // _FEWER, 1), "eta": min(own["eta"] * _FASTER, 0.3)}
    return held_out(replace(table, family=replace(table.family, booster=lighter)), seed)


def predicted_latency(task: PowerTask) -> np.ndarray:
    """The latency of each row under its own software and cache state as the task's predictor has it; shape ``[rows]``."""
    software, dtype = (task.rows[c].astype(str).to_numpy(dtype=object) for c in ("software", "dtype"))
    result = np.empty(len(task.rows))
    for judged in judge_part(task.as_part, task.predictor):
        result[(software == judged.software) & (dtype == judged.dtype)] = judged.predicted
    return result


def matrix_of(
    table: PreparedTable, model: Physical, variants: Sequence[str] | None = None, variant: str = ""
) -> np.ndarray:
    """What a booster of power reads, float32 of shape ``[rows, features]``.

    Args:
        table, model: the rows.
        variants: of the booster, where it is another table's.
        variant: under which of them to ask it.
    """
    own = len(table.family.schema.names)
    told = table.matrix[:, own:]
    if variants is not None:
        columns = variant_columns(variants, table.family.kernel_classes)[list(variants).index(variant)]
        told = np.tile(columns, (len(table), 1))
    return np.concatenate([table.matrix[:, :own], model.features, told], axis=1)


def fit_power(table: PreparedTable, model: Physical, power_w: np.ndarray, rows: np.ndarray, seed: int) -> Any:
    """A booster of ln(measured / physical power), trained on some rows."""
    family = table.family
    parameters = POWER_BOOSTER if family is GEMM else SMALL_BOOSTER
    matrix = matrix_of(table, model)
    # A label above the limit is the sampling's error.
    target = np.log(np.minimum(power_w, model.limit_w) / model.power_w)
    weight = weights(table.measured_s)
    if family.kernel_classes:
        return boost(matrix[rows], target[rows], parameters, seed, weight[rows])
    parameters = {**parameters, "base_score": float(np.median(target[rows]))}
    boosters = {}
    for position, variant in enumerate(table.software):
        mine = rows[table.variant_of_row[rows] == variant]
        if len(mine):
            column = matrix.shape[1] - len(table.software) + position
            boosters[column] = boost(matrix[mine], target[mine], parameters, seed, weight[mine])
    return joined(boosters)


def held_out_power(data: PowerData, model: Physical, seed: int) -> np.ndarray:
    """Power of every row by boosters that saw no row of its group; W, within idle and limit."""
    table = data.table
    matrix = matrix_of(table, model)
    log_ratio = np.zeros(len(table))
    for fold in range(FOLDS):
        out = table.fold == fold
        if out.any() and not out.all():
            booster = fit_power(table, model, data.power_w, np.flatnonzero(~out), seed)
            log_ratio[out] = booster.inplace_predict(matrix[out])
    return model.bounded(log_ratio)


def pairs_of(log_error: np.ndarray, group: np.ndarray) -> list[list[float]]:
    """The 5 % and 95 % quantiles of errors by :func:`~perfmodel.models.power.learned.interval_group`; a group with few rows
    takes those of all."""
    everything = np.quantile(log_error, INTERVAL)
    result = []
    for index in range(INTERVAL_GROUPS):
        mine = log_error[group == index]
        low, high = np.quantile(mine, INTERVAL) if len(mine) >= FEWEST_ROWS else everything
        result.append([float(low), float(high)])
    return result


Quantiles = dict[str, list[list[float]]]
"""``power_quantiles`` and ``energy_quantiles`` of one software."""


def quantiles_of(rows: Sequence[JudgedPower]) -> Quantiles:
    """The quantiles of some judged rows together."""
    return _quantiles({name: np.concatenate([r.columns[name] for r in rows]) for name in rows[0].columns})


def entry_quantiles(rows: Sequence[JudgedPower]) -> dict[str, dict[str, list[list[float]]]]:
    """``power_quantiles`` and ``energy_quantiles`` of a manifest's entry, by software."""
    by_software = {
        s: quantiles_of([r for r in rows if r.software == s]) for s in dict.fromkeys(r.software for r in rows)
    }
    return {name: {s: q[name] for s, q in by_software.items()} for name in ("power_quantiles", "energy_quantiles")}


def _quantiles(c: Mapping[str, np.ndarray]) -> Quantiles:
    group = interval_group(c["predicted_j"] / c["predicted_w"], c["predicted_w"], c["limit_w"])
    measured = np.minimum(c["power_w"], c["limit_w"])
    return {
        "power_quantiles": pairs_of(np.log(measured / c["predicted_w"]), group),
        "energy_quantiles": pairs_of(np.log(measured * c["latency_s"] / c["predicted_j"]), group),
    }


def with_quantiles(rows: JudgedPower, quantiles: Mapping[str, Sequence[Sequence[float]]], idle_w: float) -> JudgedPower:
    """Judged rows with the intervals that some quantiles give."""
    group = interval_group(rows.predicted_j / rows.predicted_w, rows.predicted_w, rows.limit_w)
    power, energy = (np.array(quantiles[name])[group] for name in ("power_quantiles", "energy_quantiles"))
    return replace(
        rows,
        low_w=np.clip(rows.predicted_w * np.exp(power[:, 0]), idle_w, rows.predicted_w),
        high_w=np.clip(rows.predicted_w * np.exp(power[:, 1]), rows.predicted_w, rows.limit_w),
        low_j=np.minimum(rows.predicted_j * np.exp(energy[:, 0]), rows.predicted_j),
        high_j=np.maximum(rows.predicted_j * np.exp(energy[:, 1]), rows.predicted_j),
    )


def judged_rows(data: PowerData, model: Physical, latency: np.ndarray, power: np.ndarray) -> list[JudgedPower]:
    """Held-out rows by software and dtype; the interval of a fold's rows takes its quantiles from the other folds."""
    table, rows = data.table, len(data.table)
    long = table.measured_s >= LONG_S
    median = np.full(rows, np.nan)
    by_table = [
        (software, dtype, np.flatnonzero((table.software_of_row == software) & (table.dtype_of_row == dtype)))
        for software in dict.fromkeys(map(software_of, table.software))
        for dtype in sorted(set(table.dtype_of_row.tolist()))
    ]
    for _, _, mine in by_table:
        for fold in np.unique(table.fold[mine]):
            others = mine[(table.fold[mine] != fold) & long[mine]]
            if len(others):
                median[mine[table.fold[mine] == fold]] = np.median(data.power_w[others])
    nothing = np.full(rows, np.nan)

    def part(index: np.ndarray, software: str, dtype: str) -> JudgedPower:
        return JudgedPower(
            table.family.name, table.device.id, dtype, software, table.measured_s[index], data.power_w[index],
            data.settled[index], data.neighbour[index], power[index], nothing[index], nothing[index],
            (power * latency)[index], nothing[index], nothing[index], model.power_w[index], (model.power_w * latency)[index],
            np.full(len(index), model.limit_w), median[index], table.shape_key[index], FOLDS,
        )  # fmt: skip

    judged = []
    for software, dtype, index in by_table:
        if not len(index):
            continue
        whole, of_fold = part(index, software, dtype), table.fold[index]
        columns: dict[str, Any] = {name: np.empty(len(index)) for name in ("low_w", "high_w", "low_j", "high_j")}
        for fold in np.unique(of_fold):
            inside = of_fold == fold
            # Other dtypes of the same software have a say, as in the manifest.
            alike = (table.software_of_row == software) & (table.fold != fold)
            others = np.flatnonzero(alike) if alike.any() else index
            quantiles = quantiles_of([part(others, software, dtype)])
            bounded = with_quantiles(part(index[inside], software, dtype), quantiles, model.idle_w)
            for name, values in columns.items():
                values[inside] = getattr(bounded, name)
        judged.append(replace(whole, **columns))
    return judged

"""Devices that were not measured: what is trained for them, and the protocols that judge it.

A device whose sibling was measured (the same compute capability) leans on the sibling's booster. For GEMMs any other GPU of a
vendor that was measured takes the *unseen* booster of the dtype: small trees over features without a device's scale, trained
on all devices together; other families are analytical there. How far either is off is learned by leaving devices and
families out, and predicting them as a user's own device would be. For GEMMs the constants of the physics are fitted again
without them. Other families keep the constants: theirs were never fitted to these rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.evaluate import JudgedRows, ape, judge_part
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.constants import Constants
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import SIMT_DTYPE, fit_constants
from perfmodel.models.learned import SIZE_BUCKETS_S, UNSEEN, Key, Residual, size_bucket, software_columns, stack_of
from perfmodel.models.manifest import UNSEEN_SCHEMA, residual_of
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part, PreparedTable, prepare
from perfmodel.training.boosting import strip, thinned
from perfmodel.training.intervals import FEWEST_ROWS, INTERVAL
from perfmodel.training.objective import boost
from perfmodel.training.parallel import in_parallel
from perfmodel.training.parts import NO_INTERVAL, PartTask, train_booster
from perfmodel.training.resume import Pieces, fingerprint

if TYPE_CHECKING:
    import pandas as pd

LEAVING_OUT = ("device", "family")
"""The protocols that leave devices out. ``device``: each device, its siblings stay. ``family``: each hardware family."""
SIBLING, FAMILY = "sibling", "family"
"""What a device that was not measured leans on: its sibling's booster, or the unseen one."""

UNSEEN_BOOSTER: dict[str, Any] = {
    "objective": "reg:absoluteerror",
    "tree_method": "hist",
    "max_depth": 4,
    "max_bin": 128,
    "eta": 0.06,
    "subsample": 0.6,
    "colsample_bytree": 0.3,
    "min_child_weight": 50,
    "nthread": 1,
    "trees": 150,
}
_JUDGED_ROWS = 20_000
"""Rows of a part that are judged where a family of operators is left out that has no constants fitted anew: tables of attention
and expert layers hold up to half a million. GEMMs are judged on all rows."""
_ROWS_PER_TABLE = 3000


@dataclass(frozen=True)
class UnseenBooster:
    """The bytes of a booster for devices that were not measured, and its entry of the manifest."""

    data: bytes
    entry: dict[str, Any]

    def residual(self, quantiles: Sequence[Sequence[float]]) -> Residual:
        """A residual that needs no file."""
        return residual_of({**self.entry, "quantiles": quantiles}, feature_schema(UNSEEN_SCHEMA), lambda: self.data)


def sibling_of(device: Device, measured: Iterable[str]) -> str | None:
    """The first measured device of the same compute capability."""
    if device.compute_capability is None:
        return None
    for other in sorted(measured):
        if load_device(other).compute_capability == device.compute_capability:
            return other
    return None


def train_unseen(parts: Sequence[Part], constants: Constants, seed: int) -> UnseenBooster | None:
    """A booster over all devices of one dtype; every family, every device of one and every table of a device weighs the same.

    Args:
        parts: GEMMs of that dtype, one part a device.
        constants: physics constants, fitted to devices that these rows come from.
        seed: of the sample (:data:`_ROWS_PER_TABLE` rows of each table) and of the trees.

    Returns:
        None where fewer than two compute capabilities were measured in this dtype: nothing says what carries over.
    """
    parts = sorted(parts, key=lambda p: p.device)
    records = {p.device: load_device(p.device) for p in parts}
    if len({r.compute_capability for r in records.values()}) < 2:
        return None
    tables = [prepare(replace(p, rows=_sample(p.rows, seed)), constants, seed) for p in parts]
    stacks = tuple(sorted({stack_of(s) for t in tables for s in t.software}))
    cache = {stack_of(s): c for t in tables for s, c in zip(t.software, t.cache, strict=True)}
    families = Counter(r.family for r in records.values())
    matrices, weights = [], []
    for table in tables:
        own = np.array([stack_of(s) for s in table.software_of_row], dtype=object)
        matrices.append(np.concatenate([_unseen_columns(table), software_columns(stacks, own)], axis=1))
        share = {s: np.mean(table.software_of_row == s) * len(table.software) for s in table.software}
        # What is to be predicted is another family: two siblings say no more about it than one device does.
        siblings = families[table.device.family]
        weights.append(np.array([1 / share[s] for s in table.software_of_row]) / (len(own) * siblings))
    weight = np.concatenate(weights)
    target = np.concatenate([t.log_ratio for t in tables])
    booster = boost(np.concatenate(matrices), target, UNSEEN_BOOSTER, seed, weight / weight.mean())
    support = {
        name: [min(t.support[name][0] for t in tables), max(t.support[name][1] for t in tables)]
        for name in tables[0].support
    }
    entry = {
        "family": GEMM.name, "device": UNSEEN, "part": parts[0].part, "dtype": parts[0].part, "software": list(stacks),
        "cache": [cache[s] for s in stacks], "support": support, "rows": len(weight),
        "vendors": sorted({r.vendor for r in records.values()}),
    }  # fmt: skip
    return UnseenBooster(artefact.compress(strip(booster)), entry)


def _sample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    return (
        rows.groupby("software", observed=True, sort=True)
        .sample(frac=1.0, random_state=seed)
        .groupby("software", observed=True, sort=True)
        .head(_ROWS_PER_TABLE)
    )


def _unseen_columns(table: PreparedTable) -> np.ndarray:
    names = GEMM.schema.names
    columns: np.ndarray = table.matrix[:, [names.index(n) for n in feature_schema(UNSEEN_SCHEMA).names]]
    return columns


# ------------------------------------------------------------------------------------------------------------ protocols
@dataclass(frozen=True)
class LeftOut:
    """Rows of a device that was left out, and what they were predicted with."""

    kind: str
    target: str
    rows: JudgedRows


def targets(devices: Iterable[str], protocol: str) -> dict[str, list[str]]:
    """What is left out in turn: a device id or a family, to its devices."""
    result: dict[str, list[str]] = {}
    for device in sorted(set(devices)):
        key = device if protocol == "device" else load_device(device).family
        result.setdefault(key, []).append(device)
    return result


def leave_out(
    parts: Sequence[Part],
    protocol: str,
    constants: Constants,
    *,
    residuals: Mapping[Key, Residual] | None = None,
    seed: int = 0,
    jobs: int = 1,
    pieces: Pieces | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[LeftOut]:
    """Every row, predicted by a predictor that saw neither its device nor, under ``family``, its family.

    The intervals are empty: see :func:`with_intervals`.

    Args:
        parts: what was measured (:func:`perfmodel.models.trace_rows.parts_of`).
        protocol: one of :data:`LEAVING_OUT`.
        constants: for GEMMs where the fits without a target begin; the constants of the other families.
        residuals: of the other families, trained with these constants; what is missing is trained.
        seed: of samples and boosters.
        jobs: processes to work in.
        pieces: where finished targets are kept.
        report: receives a line of progress now and then.
    """
    pieces = pieces or Pieces(None)
    residuals = dict(residuals or {})
    found: list[LeftOut] = []
    gemms = [p for p in parts if p.family is GEMM]
    tasks: list[_Target] = []
    for target, devices in targets((p.device for p in gemms), protocol).items():
        rest = [_sent(p) for p in gemms if p.device not in devices]
        if rest:  # else nothing is left to train on
            test = [_sent(p) for p in gemms if p.device in devices]
            tasks.append(_Target(target, rest, test, constants, seed, pieces))
    for number, done in enumerate(in_parallel(_judge_gemms, tasks, jobs)):
        found += done
        report(f"{protocol} left out {number + 1}/{len(tasks)}: GEMMs of {tasks[number].target}")
    others = [p for p in parts if p.family is not None and p.family is not GEMM]
    siblings = {id(p): _sibling_part(p, others) if protocol == "device" else None for p in others}
    wanted = {(s.name, load_device(s.device).id, s.part): s for s in siblings.values() if s is not None}
    lacking = [PartTask.of(s, constants, seed, pieces) for key, s in wanted.items() if key not in residuals]
    for trained in in_parallel(train_booster, lacking, jobs):
        residual = trained.residual()
        residuals[residual.key] = residual
    measured = {name: {p.device for p in others if p.name == name} for name in {p.name for p in others}}
    for number, part in enumerate(others, start=1):
        report(f"{protocol} left out {number}/{len(others)}: {part.name} of {part.device}")
        name = part.device if protocol == "device" else load_device(part.device).family
        if set(targets(measured[part.name], protocol)[name]) == measured[part.name]:
            continue  # nothing else was measured: there is nothing to leave it out of
        sibling, predictor = siblings[id(part)], Predictor(constants=constants)
        if sibling is not None:
            residual = residuals[sibling.name, load_device(sibling.device).id, sibling.part]
            predictor = replace(predictor, residuals={residual.key: residual})
        kind = FAMILY if sibling is None else SIBLING
        found += [LeftOut(kind, name, rows) for rows in judge_part(_thinned(part, seed), predictor)]
    return found


def _thinned(part: Part, seed: int) -> Part:
    """At most :data:`_JUDGED_ROWS` rows of a part, the same number of each software where there are enough."""
    software = part.rows["software"].astype(str).to_numpy()
    rows = thinned(np.arange(len(part.rows)), software, _JUDGED_ROWS, seed)
    return replace(part, rows=part.rows.iloc[rows])


@dataclass(frozen=True)
class _Sent:
    """A GEMM part without its family's record, which no process can send to another."""

    device: str
    part: str
    rows: pd.DataFrame

    def back(self) -> Part:
        return Part(GEMM, GEMM.op, self.device, self.part, self.rows)


def _sent(part: Part) -> _Sent:
    return _Sent(part.device, part.part, part.rows)


@dataclass(frozen=True)
class _Target:
    target: str
    rest: list[_Sent]
    test: list[_Sent]
    start: Constants
    seed: int
    pieces: Pieces


def _sibling_part(part: Part, parts: Sequence[Part]) -> Part | None:
    """The same family and part on a sibling."""
    like = {p.device: p for p in parts if (p.name, p.part) == (part.name, part.part) and p.device != part.device}
    sibling = sibling_of(load_device(part.device), like)
    return None if sibling is None else like[sibling]


def _judge_gemms(task: _Target) -> list[LeftOut]:
    import pandas

    rows = [p.rows for p in (*task.rest, *task.test)]
    settings = (sorted(GEMM.booster.items()), sorted(UNSEEN_BOOSTER.items()), GEMM.schema.sha256)
    devices = [(load_device(p.device), p.part) for p in (*task.rest, *task.test)]
    key = fingerprint("left out", task.target, len(task.rest), devices, settings, task.start, task.seed, *rows)
    kept = task.pieces.load(key)
    if kept is not None:
        return _unpacked(*kept)
    # Products on vector units and on matrix units have constants of their own: those of the other kind stay.
    simt = {p.part == SIMT_DTYPE for p in task.test}
    rest = pandas.concat(
        [p.rows for p in task.rest if (p.part == SIMT_DTYPE) in simt] or [task.rest[0].rows[:0]], ignore_index=True
    )
    constants = fit_constants(rest, seed=task.seed, start=task.start, max_evaluations=8)
    result = []
    for sent in task.test:
        others = [p.back() for p in task.rest if p.part == sent.part]
        predictor, kind = Predictor(constants=constants), FAMILY
        sibling = sibling_of(load_device(sent.device), (p.device for p in others))
        if sibling is not None:
            (part,) = (p for p in others if p.device == sibling)
            residual = train_booster(PartTask.of(part, constants, task.seed, Pieces(None))).residual()
            predictor, kind = replace(predictor, residuals={residual.key: residual}), SIBLING
        elif others and (unseen := train_unseen(others, constants, task.seed)) is not None:
            residual = unseen.residual(NO_INTERVAL)
            predictor = replace(predictor, residuals={residual.key: residual})
        result += [LeftOut(kind, task.target, judged) for judged in judge_part(sent.back(), predictor)]
    task.pieces.store(key, *_packed(result))
    return result


_ARRAYS = ("measured", "predicted", "low", "high", "analytical", "roofline", "shape_key")


def _packed(parts: Sequence[LeftOut]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    names = ("device", "dtype", "software", "folds", "family", "part")
    data = [{"kind": p.kind, "target": p.target, **{n: getattr(p.rows, n) for n in names}} for p in parts]
    arrays = {f"{i}_{n}": getattr(p.rows, n) for i, p in enumerate(parts) for n in _ARRAYS}
    return {"parts": data}, arrays


def _unpacked(data: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[LeftOut]:
    result = []
    for i, entry in enumerate(data["parts"]):
        kind, target = entry.pop("kind"), entry.pop("target")
        fields: dict[str, Any] = {**entry, **{n: arrays[f"{i}_{n}"] for n in _ARRAYS}}
        result.append(LeftOut(kind, target, JudgedRows(**fields)))
    return result


HARM = 1.1
"""How much worse than the physics alone the unseen booster may make a left-out family, as a ratio of mean errors."""


def harmful(left_out: Sequence[LeftOut]) -> set[str]:
    """The dtypes of GEMMs whose unseen booster is not to be used: it makes some left-out family worse than the physics does
    by more than :data:`HARM`. Kernels of such a dtype have nothing in common across families, or differ between stacks.

    Args:
        left_out: under the protocol ``family``.
    """
    by_target: dict[tuple[str, str], list[JudgedRows]] = {}
    for part in left_out:
        if part.kind == FAMILY and part.rows.family == GEMM.name:
            by_target.setdefault((part.rows.dtype, part.target), []).append(part.rows)
    found = set()
    for (dtype, _target), rows in by_target.items():
        with_trees, physics = (
            np.mean([ape(getattr(r, name), r.measured).mean() for r in rows]) for name in ("predicted", "analytical")
        )
        if with_trees > HARM * physics:
            found.add(dtype)
    return found


def by_physics(left_out: Sequence[LeftOut], dtypes: Collection[str]) -> list[LeftOut]:
    """The same with the physics alone in place of the unseen booster of some dtypes."""
    return [
        replace(part, rows=replace(part.rows, predicted=part.rows.analytical))
        if part.kind == FAMILY and part.rows.family == GEMM.name and part.rows.dtype in dtypes
        else part
        for part in left_out
    ]


Quantiles = list[list[float]]


def transfer_quantiles(parts: Sequence[LeftOut]) -> dict[str, dict[tuple[str, str], Quantiles]]:
    """By kind, and by family and part, per size bucket, the widest of the targets' 5 % and 95 % quantiles of
    ln(measured / predicted).

    The widest, since a pooled quantile covers too little on the device that differs most, and nobody knows beforehand
    whether theirs is one.
    """
    result: dict[str, dict[tuple[str, str], Quantiles]] = {}
    for kind, part in sorted({(p.kind, p.rows.booster) for p in parts}):
        mine = [p for p in parts if (p.kind, p.rows.booster) == (kind, part)]
        by_target = [_bucket_quantiles([p for p in mine if p.target == t]) for t in sorted({p.target for p in mine})]
        widest = np.stack(
            [np.min([q[:, 0] for q in by_target], axis=0), np.max([q[:, 1] for q in by_target], axis=0)], 1
        )
        result.setdefault(kind, {})[part] = widest.tolist()
    return result


def _bucket_quantiles(parts: Sequence[LeftOut]) -> np.ndarray:
    error = np.concatenate([np.log(p.rows.measured / p.rows.predicted) for p in parts])
    bucket = size_bucket(np.concatenate([p.rows.predicted for p in parts]))
    everything = np.quantile(error, INTERVAL)
    rows = [error[bucket == b] for b in range(len(SIZE_BUCKETS_S) + 1)]
    return np.stack([np.quantile(r, INTERVAL) if len(r) >= FEWEST_ROWS else everything for r in rows])


def with_intervals(parts: Sequence[LeftOut], reference: Sequence[LeftOut], devices: Iterable[str]) -> list[LeftOut]:
    """The parts with intervals as a predictor would give them, from errors that do not include their own.

    Args:
        parts: of one protocol.
        reference: of all protocols; what was left out of the same family is not used for a part that has no sibling,
            nor the same device for one that has.
        devices: of all of these; rows know the id alone, which says nothing of a device that no catalogue has.
    """
    families = {record.id: record.family for record in map(load_device, devices)}
    result = []
    for part in parts:
        own = families.__getitem__ if part.kind == FAMILY else str
        others = [
            p
            for p in reference
            if (p.kind, p.rows.booster) == (part.kind, part.rows.booster)
            and own(p.rows.device) != own(part.rows.device)
        ]
        result.append(replace(part, rows=with_interval_of(part.rows, others)) if others else part)
    return result


def with_interval_of(rows: JudgedRows, others: Sequence[LeftOut]) -> JudgedRows:
    """The rows with the interval that the errors of others give: of one kind, and of the same family and part."""
    (by_booster,) = transfer_quantiles(others).values()
    quantiles = np.array(by_booster[rows.booster])[size_bucket(rows.predicted)]
    low, high = (rows.predicted * np.exp(quantiles[:, side]) for side in (0, 1))
    return replace(rows, low=low, high=high)

"""Power of a software, or of a device, whose labels were left out: what a predictor without them would say.

``software``: each software of a device is predicted by what the others on that device taught. Boosters do not carry over from
one stack to another (:meth:`perfmodel.models.power.learned.PowerResidual.sources_for`), so that what is judged is the physical
model with the idle power that the other labels show. ``device``: each device is left out, its own constants with it; the
booster of a sibling that was measured under the same stack counts as in use. Latencies are the measured ones in both: it is
power that is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.hardware import Device, load_device
from perfmodel.models.learned import software_of, stack_of
from perfmodel.models.power import DevicePower, fitted
from perfmodel.models.power.learned import LONG_S, SIBLING_WEIGHT
from perfmodel.power_accuracy import JudgedPower
from perfmodel.training.intervals import FEWEST_ROWS, INTERVAL
from perfmodel.training.power import (
    PowerData,
    PowerTask,
    fit_power,
    judged_rows,
    matrix_of,
    quantiles_of,
    with_quantiles,
)
from perfmodel.training.power_rows import Physical, physical

LEAVING_OUT = ("software", "device")
"""The protocols."""
_ROWS = 4000
"""Rows of a software that are judged, all of 0.1 ms or more."""
_IDLE_QUANTILE = 0.001
"""The lowest labels of a table are of kernels that hardly load the device."""


@dataclass(frozen=True)
class _LongRows:
    """The long rows of a task with what is known of them, latencies given."""

    task: PowerTask
    data: PowerData

    @classmethod
    def of(cls, task: PowerTask) -> _LongRows | None:
        rows = task.rows[(task.rows["latency_s"] >= LONG_S).to_numpy()]
        rows = rows.sample(frac=1.0, random_state=task.seed).groupby("software", observed=True, sort=True).head(_ROWS)
        rows = rows.sort_index().reset_index(drop=True)
        if len(rows) < FEWEST_ROWS:
            return None
        task = replace(task, rows=rows)
        return cls(task, PowerData.of(task))

    def model(self, device: Device | None) -> Physical:
        """The physical power, by the device's own constants or those of another record of it."""
        given = {"given": self.data.table.measured_s}
        return physical(self.task.as_part, self.task.constants, given, device)["given"]


def leave_out(tasks: Sequence[PowerTask], protocol: str) -> list[JudgedPower]:
    """The long rows of every task, predicted without their software or device, with intervals from what else was left out.

    Args:
        tasks: labelled parts.
        protocol: one of :data:`LEAVING_OUT`.
    """
    long = [rows for task in tasks if (rows := _LongRows.of(task)) is not None]
    judged = list(_software(long) if protocol == "software" else _device(long))
    return [_with_interval_of_others(rows, judged) for rows in judged]


def _software(long: Sequence[_LongRows]) -> Iterator[JudgedPower]:
    idle = {(r.task.device, s): w for r in long for s, w in _idle_of(r, long).items()}
    for rows in long:
        table = rows.data.table
        names = dict.fromkeys(map(software_of, table.software))
        for software in names if len(names) > 1 else ():
            others = [w for (d, s), w in idle.items() if d == rows.task.device and s != software]
            model = rows.model(_with_idle(load_device(rows.task.device), min(others)))
            for judged in judged_rows(rows.data, model, table.measured_s, model.power_w):
                if judged.software == software:
                    median = np.median(rows.data.power_w[table.software_of_row != software])
                    yield replace(
                        judged, held_out=software, folds=len(names), median_w=np.full(len(judged.power_w), median)
                    )


def _idle_of(rows: _LongRows, long: Sequence[_LongRows]) -> dict[str, float]:
    """The lowest power that each software's labels show on a device, all families together [W]."""
    alike = [r for r in long if r.task.device == rows.task.device]
    software = np.concatenate([r.data.table.software_of_row for r in alike])
    power = np.concatenate([r.data.power_w for r in alike])
    return {s: float(np.quantile(power[software == s], _IDLE_QUANTILE)) for s in dict.fromkeys(software.tolist())}


def _device(long: Sequence[_LongRows]) -> Iterator[JudgedPower]:
    own = {r.task.device: load_device(r.task.device) for r in long}
    for rows in long:
        device = own[rows.task.device]
        others = [d for d in own.values() if d.id != device.id]
        if not others:
            continue
        shares = [w / d.tdp_w for d in others if (w := DevicePower.of(d).idle_w) is not None and d.tdp_w is not None]
        assert device.tdp_w is not None
        model = rows.model(_with_idle(device, float(np.mean(shares)) * device.tdp_w * (1 + fitted().idle_clock_rise)))
        correction = np.zeros(len(rows.data.table))
        siblings = [r for r in long if _are_siblings(rows, r)]
        for sibling in siblings[:1]:
            correction = _sibling_correction(rows, model, sibling)
        power = model.bounded(correction)
        alike = [r.data.power_w for r in long if r.task.family == rows.task.family and r.task.device != device.id]
        median = np.median(np.concatenate(alike)) if alike else np.nan
        for judged in judged_rows(rows.data, model, rows.data.table.measured_s, power):
            yield replace(judged, held_out=device.id, folds=len(own), median_w=np.full(len(judged.power_w), median))


def _are_siblings(a: _LongRows, b: _LongRows) -> bool:
    capability = load_device(a.task.device).compute_capability
    same = (a.task.family, a.task.part) == (b.task.family, b.task.part) and a.task.device != b.task.device
    return same and capability is not None and capability == load_device(b.task.device).compute_capability


def _sibling_correction(rows: _LongRows, model: Physical, sibling: _LongRows) -> np.ndarray:
    """What a sibling's booster says of each row under the same stack, 0 where it has none; shape ``[rows]``."""
    theirs = sibling.data.table
    booster = fit_power(theirs, sibling.model(None), sibling.data.power_w, np.arange(len(theirs)), sibling.task.seed)
    table = rows.data.table
    result = np.zeros(len(table))
    for variant in table.software:
        alike = [v for v in theirs.software if stack_of(v) == stack_of(variant)]
        mine = np.flatnonzero(table.variant_of_row == variant)
        if alike and len(mine):
            said = [booster.inplace_predict(matrix_of(table, model, theirs.software, v)[mine]) for v in alike]
            result[mine] = SIBLING_WEIGHT * np.mean(said, axis=0)
    return result


def _with_idle(device: Device, running_w: float) -> Device:
    """A device without power constants of its own but for its idle power, given at the highest clock."""
    measured: Mapping[str, float] = {k: v for k, v in device.measured.items() if not k.startswith("power.")}
    return replace(device, measured={**measured, "power.idle_w": running_w / (1 + fitted().idle_clock_rise)})


def _with_interval_of_others(rows: JudgedPower, judged: Sequence[JudgedPower]) -> JudgedPower:
    """The interval that holds the same family's errors on each other left-out software and device, the worst one included; none
    (NaN) where nothing else was left out."""
    alike: dict[tuple[str | None, str], list[JudgedPower]] = {}
    for r in judged:
        if r.family == rows.family and (r.held_out, r.device) != (rows.held_out, rows.device):
            alike.setdefault((r.held_out, r.device), []).append(r)
    nothing = np.full(len(rows.power_w), np.nan)
    if not alike:
        return replace(rows, low_w=nothing, high_w=nothing, low_j=nothing, high_j=nothing)
    of_each = [quantiles_of(other) for other in alike.values()]
    widest = {}
    for name in of_each[0]:
        pairs = np.array([quantiles[name] for quantiles in of_each])
        widest[name] = np.stack([pairs[:, :, 0].min(axis=0), pairs[:, :, 1].max(axis=0)], axis=1).tolist()
    return with_quantiles(rows, widest, 0.0)


def physical_intervals(left_out: Sequence[JudgedPower]) -> dict[str, list[float]]:
    """ln offsets of the 90 % interval of the physical power of devices without labels, by family: those that cover nine of ten
    rows of each device that was left out, the worst one included."""
    result: dict[str, list[float]] = {}
    for family in dict.fromkeys(r.family for r in left_out):
        pairs = []
        for device in dict.fromkeys(r.device for r in left_out if r.family == family):
            mine = [r for r in left_out if (r.family, r.device) == (family, device)]
            error = np.concatenate([np.log(np.minimum(r.power_w, r.limit_w) / r.physical_w) for r in mine])
            pairs.append(np.quantile(error, INTERVAL))
        low, high = np.min(pairs, axis=0)[0], np.max(pairs, axis=0)[1]
        result[family] = [min(float(low), 0.0), max(float(high), 0.0)]
    return result

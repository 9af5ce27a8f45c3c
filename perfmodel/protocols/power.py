"""The protocols of power: what is held out, and what the rest says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError, nearest
from perfmodel.evaluate import predicted_columns
from perfmodel.hardware import load_device
from perfmodel.models.power.learned import LONG_S, LearnedPower
from perfmodel.models.predictor import Predictor, load
from perfmodel.models.trace_rows import Part, parts_of
from perfmodel.power_accuracy import BY, GROUP_KEYS, JudgedPower, grouped, mean_of
from perfmodel.protocols.task import read
from perfmodel.training.parallel import in_parallel
from perfmodel.training.power import judge_by_shapes, power_tasks
from perfmodel.training.power_left_out import LEAVING_OUT, leave_out
from perfmodel.training.power_rows import KEPT, labelled, neighbour_noise, settled

if TYPE_CHECKING:
    from perfmodel.datasets.splits import Tables
    from perfmodel.models.protocol import PredictorProtocol
    from perfmodel.protocols.task import Traces

SHAPES = "shapes"
POWER_PROTOCOLS = (SHAPES, *LEAVING_OUT)
"""What may be held out where power or energy is judged."""
_COLUMNS = ("latency_s", "power_w", "power_low_w", "power_high_w", "energy_low_j", "energy_high_j")


def evaluate_power(
    traces: Traces | Sequence[Traces],
    predictor: PredictorProtocol | str,
    target: str,
    *,
    device: str | Path | None,
    by: Sequence[str] | None,
    protocol: str | None,
    root: str | Path | None,
    seed: int,
    jobs: int,
) -> dict[str, Any]:
    """:func:`perfmodel.evaluate.evaluate` for the targets ``power`` and ``energy``: the same arguments and keys.

    Raises:
        InputError: an unknown protocol or group key, or no measured power of a kernel of 0.1 ms or more.
        TraceError: the traces break the schema.
    """
    for key in by or ():
        if key not in GROUP_KEYS:
            raise InputError(f"cannot group {target} by {key!r}: {nearest(key, GROUP_KEYS)}")
    tables, _ = read(traces, root, device, keep=KEPT)
    rows = judge_power(tables, load(predictor), protocol, seed=seed, jobs=jobs)
    groups = grouped(rows, BY if by is None else by, target)
    if not groups:
        raise InputError("no measured power is of a kernel of 0.1 ms or more")
    return {
        "protocol": protocol or "predict", "seed": seed, "groups": groups, "overall": mean_of(groups, weighted=False),
        "pooled": mean_of(groups, weighted=True), "by_size": [],
    }  # fmt: skip


def judge_power(
    tables: Tables, predictor: PredictorProtocol, protocol: str | None, *, seed: int, jobs: int
) -> list[JudgedPower]:
    """Every labelled row with its predicted power and energy.

    Args:
        tables: operator traces, by operator.
        predictor: of the latency; without a protocol that of the power, too.
        protocol: one of :data:`POWER_PROTOCOLS`, or None: the traces are simply predicted.
        seed: of folds, samples and boosters.
        jobs: processes to train in.

    Raises:
        InputError: no row has a measured power, or the protocol is not one of power.
    """
    parts = [part for table in tables.values() for part in parts_of(table) if labelled(part.rows).any()]
    if not parts:
        raise InputError("the traces hold no measured power: wanted operator traces with a column power_w")
    if protocol is None:
        return [rows for part in parts for rows in _predicted(part, predictor)]
    if protocol not in POWER_PROTOCOLS:
        raise InputError(f"the protocol {protocol!r} does not judge power: {nearest(protocol, POWER_PROTOCOLS)}")
    if not isinstance(predictor, Predictor):
        raise InputError(f"the protocol {protocol} needs a predictor that `perfmodel train` wrote")
    tasks = power_tasks(parts, replace(predictor, power=LearnedPower()), seed)
    if protocol != SHAPES:
        return leave_out(tasks, protocol)
    return [rows for found in in_parallel(judge_by_shapes, tasks, jobs) for rows in found]


def _predicted(part: Part, predictor: PredictorProtocol) -> list[JudgedPower]:
    table = part.rows[labelled(part.rows)].reset_index(drop=True)
    part, device = replace(part, rows=table), load_device(part.device)
    found, _, keys = predicted_columns(part, predictor, _COLUMNS)
    physical = found
    if isinstance(predictor, Predictor):
        alone = replace(predictor, power=LearnedPower({}, predictor.power.intervals))
        physical, _, _ = predicted_columns(part, alone, ("latency_s", "power_w"))
    known = np.isfinite(found["power_w"])
    seconds, watts = (table[c].to_numpy(dtype=np.float64) for c in ("latency_s", "power_w"))
    columns = {
        "latency_s": seconds, "power_w": watts, "settled": settled(table), "neighbour": neighbour_noise(table),
        "predicted_w": found["power_w"], "low_w": found["power_low_w"], "high_w": found["power_high_w"],
        "predicted_j": found["power_w"] * found["latency_s"], "low_j": found["energy_low_j"], "high_j": found["energy_high_j"],
        "physical_w": physical["power_w"], "physical_j": physical["power_w"] * physical["latency_s"],
        "limit_w": np.full(len(table), np.nan if device.tdp_w is None else device.tdp_w),
        "median_w": np.full(len(table), np.median(watts[seconds >= LONG_S]) if (seconds >= LONG_S).any() else np.nan),
        "shape_key": keys,
    }  # fmt: skip
    software, dtype = (table[c].astype(str).to_numpy(dtype=object) for c in ("software", "dtype"))
    judged = []
    for s, d in sorted(set(zip(software.tolist(), dtype.tolist(), strict=True))):
        mine = np.flatnonzero((software == s) & (dtype == d) & known)
        if len(mine):
            own = {name: values[mine] for name, values in columns.items()}
            judged.append(JudgedPower(part.name, device.id, d, s, **own))
    return judged

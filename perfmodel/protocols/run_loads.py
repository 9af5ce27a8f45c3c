"""What runs executed, as the power model sees it: the sums over their operators (:class:`perfmodel.models.power.Load`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import Extras, analyse
from perfmodel.models.machine import Conditions
from perfmodel.models.power import Activity, Load
from perfmodel.ops.table import from_columns
from perfmodel.protocols.runs import CACHE

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.datasets.runs import Runs
    from perfmodel.models.predictor import Predictor

_SUMMED = tuple(f.name for f in fields(Activity) if f.name not in ("arithmetic", "occupancy"))


@dataclass(frozen=True)
class Labelled:
    """Runs of one device that have an energy and a list of their operators.

    Attributes:
        device: the machine.
        table: their rows of the run table.
        load: what they executed; its ``latency_s`` is measured.
        energy_j: measured, shape ``[runs]``.
    """

    device: Device
    table: pd.DataFrame
    load: Load
    energy_j: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """One list of operators at one clock."""

    parts: dict[str, dict[str, float]]
    busy_s: float
    kernel_s: float
    launches: float


def labelled(runs: Runs, predictor: Predictor) -> list[Labelled]:
    """The runs that have a clock, an energy and a list of operators, by device.

    Args:
        runs: run traces with their operators.
        predictor: predicts how long the operators take.
    """
    table = runs.listed
    found = []
    for name in dict.fromkeys(map(str, table["device"])):
        mine = table[(table["device"].astype(str) == name) & table["energy_j"].notna() & table["clock_mhz"].notna()]
        if len(mine):
            device = load_device(name)
            found.append(
                Labelled(device, mine, _load(mine, device, runs.operators, predictor), _numbers(mine, "energy_j"))
            )
    return found


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    values: np.ndarray = table[name].to_numpy(dtype=np.float64)
    return values


def _load(table: pd.DataFrame, device: Device, operators: Callable[[str], pd.DataFrame], predictor: Predictor) -> Load:
    clock_hz = np.round(_numbers(table, "clock_mhz"), 1) * 1e6  # averages differ in the last digits
    known: dict[tuple[str, float], _Sums] = {}
    sums = []
    for name, clock in zip(map(str, table["operators"]), clock_hz.tolist(), strict=True):
        if (name, clock) not in known:
            known[name, clock] = _sums(operators(name), device, clock, predictor)
        sums.append(known[name, clock])
    arithmetics = sorted({name for s in sums for name in s.parts})
    parts = {
        arithmetic: Activity(
            arithmetic=arithmetic,
            occupancy=np.ones(len(sums)),
            **{field: np.array([s.parts.get(arithmetic, {}).get(field, 0.0) for s in sums]) for field in _SUMMED},
        )
        for arithmetic in arithmetics
    }
    return Load(
        parts=parts,
        busy_s=np.array([s.busy_s for s in sums]),
        kernel_s=np.array([s.kernel_s for s in sums]),
        launches=np.array([s.launches for s in sums]),
        clock_hz=clock_hz,
        latency_s=_numbers(table, "latency_s"),
    )


def _sums(table: pd.DataFrame, device: Device, clock_hz: float, predictor: Predictor) -> _Sums:
    table = table[table["op"] != "view"]  # views launch nothing
    count = table["count"].to_numpy(dtype=np.float64)
    parts: dict[str, dict[str, float]] = {}
    busy = kernel = 0.0
    conditions = Conditions(CACHE, clock_hz)
    for group in from_columns({name: table[name].to_numpy() for name in table.columns}):
        times = count[group.rows]
        extras = Extras(np.zeros(len(group)), np.zeros(len(group)))
        latency_s = predictor.predict(group.op, device, cache=CACHE, clock_hz=clock_hz).latency_s
        bounds = analyse(group, device, constants=predictor.constants, conditions=conditions, extras=extras)
        activity = Activity.of(group, device, bounds, extras)
        kernel += float((times * latency_s).sum())
        busy += float((times * latency_s * activity.occupancy).sum())
        part = parts.setdefault(activity.arithmetic, dict.fromkeys(_SUMMED, 0.0))
        for name in _SUMMED:
            part[name] += float((times * getattr(activity, name)).sum())
    return _Sums(parts, busy, kernel, float(count.sum()))

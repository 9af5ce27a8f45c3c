"""The protocol ``caps``: runs under power limits, each GPU held out, given the uncapped run of the same work.

The response of a run to a cap (:mod:`perfmodel.models.power.capped`) is fitted to the other GPUs. Under ``analytical`` stands
what a plain rule says: the run draws the smaller of its uncapped power and the cap and takes as much longer as it draws less.
Under ``roofline`` stands the uncapped run itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from perfmodel.datasets.runs import Runs
from perfmodel.datasets.schema import usable
from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.hardware import load_device
from perfmodel.models.power import idle_power_w
from perfmodel.models.power.capped import CappedRuns, CapResponse, fit_response, under_cap
from perfmodel.protocols.task import Task

SAME_WORK = ("device", "software", "workload", "batch", "phase", "optimizer")
"""Columns that say that two runs did the same work."""
COVERED = (0.05, 0.95)
TARGETS = ("power", "latency", "energy")


@dataclass(frozen=True)
class Capped:
    """Runs under a cap with their uncapped ones and what was measured; arrays of shape ``[runs]``.

    Attributes:
        runs: the uncapped runs and the caps.
        power_w, latency_s: measured under the cap.
        device: id of each.
        software, workload: texts of each.
    """

    runs: CappedRuns
    power_w: np.ndarray
    latency_s: np.ndarray
    device: np.ndarray
    software: np.ndarray
    workload: np.ndarray

    def taken(self, rows: np.ndarray) -> Capped:
        """Some of the runs."""
        runs = CappedRuns(**{f.name: getattr(self.runs, f.name)[rows] for f in fields(CappedRuns)})
        rest = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "runs"}
        return Capped(runs=runs, **rest)

    def fit(self) -> CapResponse:
        """The response that explains these runs best."""
        return fit_response(self.runs, self.power_w, self.latency_s, self.device)

    def log_errors(self, response: CapResponse) -> dict[str, np.ndarray]:
        """ln(measured / predicted) by target."""
        power, latency = under_cap(self.runs, response)
        off = {"power": np.log(self.power_w / power), "latency": np.log(self.latency_s / latency)}
        return off | {"energy": off["power"] + off["latency"]}


def capped(runs: Runs) -> Capped | None:
    """The runs with a limit below their device's for which the same work ran at its TDP; None where there is none."""
    table = runs.table[usable(runs.table)]
    if not {"power_limit_w", "power_w"} <= set(table.columns):
        return None
    table = table[table[["power_limit_w", "power_w", "latency_s"]].notna().all(axis=1)]
    devices = {name: load_device(name) for name in dict.fromkeys(map(str, table["device"]))}
    known = {name: d for name, d in devices.items() if d.tdp_w is not None and idle_power_w(d) is not None}
    table = table[table["device"].astype(str).isin(list(known))]
    if table.empty:
        return None
    columns = [name for name in SAME_WORK if name in table.columns]
    key = table[columns].astype(str).agg("|".join, axis=1)
    tdp = table["device"].astype(str).map({name: d.tdp_w for name, d in known.items()}).astype(float)
    idle = table["device"].astype(str).map({name: idle_power_w(d) for name, d in known.items()}).astype(float)
    free = table[table["power_limit_w"] >= tdp].assign(key=key).drop_duplicates("key").set_index("key")
    mine = (table["power_limit_w"] < tdp) & key.isin(free.index)
    if not mine.any():
        return None
    work = key[mine].to_numpy()
    numbers = {
        "power_w": free.loc[work, "power_w"], "latency_s": free.loc[work, "latency_s"], "idle_w": idle[mine],
        "tdp_w": tdp[mine], "cap_w": table.loc[mine, "power_limit_w"],
    }  # fmt: skip
    table = table[mine]
    return Capped(
        CappedRuns(**{name: values.to_numpy(dtype=np.float64) for name, values in numbers.items()}),
        table["power_w"].to_numpy(dtype=np.float64), table["latency_s"].to_numpy(dtype=np.float64),
        *(table[name].astype(str).to_numpy(dtype=object) for name in ("device", "software", "workload")),
    )  # fmt: skip


def judge(task: Task) -> list[JudgedRows]:
    """Every run under a cap whose work also ran without one, once a target.

    Raises:
        InputError: there is none, or all are of one device.
    """
    found = [item for runs in task.runs if (item := capped(runs)) is not None]
    judged = [rows for item in found for rows in _each_device(item)]
    if not judged:
        raise InputError(
            "the protocol caps judges runs under power limits of at least two devices, each with the same work at its TDP: "
            "zeus has some"
        )
    return judged


def _each_device(item: Capped) -> Iterator[JudgedRows]:
    names = sorted(set(item.device.tolist()))
    for name in names if len(names) > 1 else ():
        held, others = item.taken(item.device == name), item.taken(item.device != name)
        response = others.fit()
        errors = _errors(others)
        yield from _judged(held, response, errors, name)


def _errors(item: Capped) -> dict[str, np.ndarray]:
    """ln(measured / predicted) by target, each device held out in turn where there are several."""
    names = sorted(set(item.device.tolist()))
    if len(names) == 1:
        return item.log_errors(item.fit())
    parts = [item.taken(item.device == n).log_errors(item.taken(item.device != n).fit()) for n in names]
    return {target: np.concatenate([part[target] for part in parts]) for target in TARGETS}


def _judged(item: Capped, response: CapResponse, errors: dict[str, np.ndarray], held_out: str) -> Iterator[JudgedRows]:
    power, latency = under_cap(item.runs, response)
    free_w, free_s = item.runs.power_w, item.runs.latency_s
    plain_w = np.minimum(free_w, item.runs.cap_w)
    plain_s = free_s * free_w / plain_w
    values = {
        "power": (item.power_w, power, plain_w, free_w),
        "latency": (item.latency_s, latency, plain_s, free_s),
        "energy": (item.power_w * item.latency_s, power * latency, plain_w * plain_s, free_w * free_s),
    }
    for workload in sorted(set(item.workload.tolist())):
        mine = item.workload == workload
        for target in TARGETS:
            measured, predicted, plain, free = (v[mine] for v in values[target])
            low, high = np.exp(np.quantile(errors[target], COVERED))
            ends = [predicted * low, predicted * high]
            if target == "power":
                ends = [
                    np.clip(end, item.runs.idle_w[mine] * response.idle_factor, item.runs.tdp_w[mine]) for end in ends
                ]
            yield JudgedRows(
                device=held_out, dtype="-", software=str(item.software[0]), family="run", workload=workload,
                held_out=held_out, target=target, folds=1, measured=measured, predicted=predicted, low=ends[0], high=ends[1],
                analytical=plain, roofline=free,
                shape_key=np.array([f"{workload}|{w:g}" for w in item.runs.cap_w[mine]]),
            )  # fmt: skip

"""The protocols ``energy`` and ``energy-device``: energy and power of measured runs, by constants that never saw them.

``energy`` holds out each network of a device in turn and fits the power constants to the device's other runs. Two variants
are judged: with the measured latency given, and with the latency predicted, for which the time that the host takes a launch
and the pace of each dtype's kernels are fitted to the same other runs. ``energy-device`` fits to all other devices: nothing
is known of the device but its file.

What stands under ``analytical`` is the power model with the priors of its fit, under ``roofline`` a device that
always draws its power limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from perfmodel.errors import InputError
from perfmodel.evaluate import JudgedRows
from perfmodel.models.power import FALLBACK, DevicePower, Load
from perfmodel.models.power.fit import MeasuredLoad, Timing, fit_power, fit_timing
from perfmodel.models.predictor import load_trained
from perfmodel.protocols.models import networks_of
from perfmodel.protocols.run_loads import Labelled, labelled
from perfmodel.protocols.task import Task

VARIANTS = ("latency given", "latency predicted")
COVERED = (0.05, 0.95)
"""Quantiles of the errors that make the interval."""
FEWEST_GROUPS = 3
"""Networks that an interval needs: with fewer, none is claimed."""


def judge(task: Task) -> list[JudgedRows]:
    """Every run with an energy, a clock and a list of operators, once a variant and target.

    Raises:
        InputError: there is none, or nothing to fit on.
    """
    predictor = load_trained("default")
    found = [item for runs in task.runs for item in labelled(runs, predictor)]
    if not found:
        raise InputError(
            f"the protocol {task.protocol} judges runs with an energy, a clock and a list of operators, and none was given: "
            "energaizer has some"
        )
    if task.protocol == "energy":
        judged = [rows for item in found for rows in _networks(item)]
    else:
        judged = [rows for item in found for rows in _device(item, [o for o in found if o.device.id != item.device.id])]
    if not judged:
        raise InputError(
            f"the protocol {task.protocol} needs runs of at least two networks of a device, or of two devices"
        )
    return judged


def _kinds(item: Labelled) -> np.ndarray:
    return item.table["dtype"].astype(str).to_numpy(dtype=object)


class _Fitted:
    """Constants and timing that were fitted to some runs of devices."""

    def __init__(self, items: list[tuple[Labelled, np.ndarray]], *, given: bool) -> None:
        self.given = given
        measured, timings = [], []
        for item, rows in items:
            load, kinds = item.load.taken(rows), _kinds(item)[rows]
            timing = fit_timing(load, kinds)
            timings.append(timing)
            measured.append(
                MeasuredLoad(
                    item.device, timing.timed(load, kinds, given=given), item.energy_j[rows], timing.dispatch_s
                )
            )
        self.constants = fit_power(measured)
        self.timing: Timing = timings[0]

    def load(self, item: Labelled, rows: np.ndarray) -> Load:
        return self.timing.timed(item.load.taken(rows), _kinds(item)[rows], given=self.given)

    def energy_j(self, item: Labelled, rows: np.ndarray) -> np.ndarray:
        return self.load(item, rows).energy_j(DevicePower.of(item.device, self.constants), self.timing.dispatch_s)


def log_errors(item: Labelled, rows: np.ndarray, *, given: bool) -> np.ndarray:
    """ln(measured / predicted energy) of some runs, each network of them held out in turn; NaN where there is but one."""
    networks = networks_of(item.table)
    errors = np.full(len(rows), np.nan)
    names = sorted(set(networks[rows].tolist()))
    for name in names if len(names) > 1 else ():
        held = networks[rows] == name
        fit = _Fitted([(item, rows[~held])], given=given)
        errors[held] = np.log(item.energy_j[rows[held]] / fit.energy_j(item, rows[held]))
    return errors


def _networks(item: Labelled) -> Iterator[JudgedRows]:
    networks = networks_of(item.table)
    names = sorted(set(networks.tolist()))
    for name in names if len(names) > 1 else ():
        held, others = np.flatnonzero(networks == name), np.flatnonzero(networks != name)
        for variant in VARIANTS:
            given = variant == VARIANTS[0]
            fit = _Fitted([(item, others)], given=given)
            errors = log_errors(item, others, given=given) if len(names) > FEWEST_GROUPS else np.full(1, np.nan)
            yield from _judged(item, held, fit, errors, variant, name)


def _device(item: Labelled, others: list[Labelled]) -> Iterator[JudgedRows]:
    everything = np.arange(len(item.energy_j))
    for variant in VARIANTS if others else ():
        given = variant == VARIANTS[0]
        fit = _Fitted([(other, np.arange(len(other.energy_j))) for other in others], given=given)
        # How far constants are off on another device no runs of this one may tell: those of the others by network do.
        errors = np.concatenate([log_errors(other, np.arange(len(other.energy_j)), given=given) for other in others])
        yield from _judged(item, everything, fit, errors, variant, item.device.id)


def _judged(
    item: Labelled, rows: np.ndarray, fit: _Fitted, errors: np.ndarray, variant: str, held_out: str
) -> Iterator[JudgedRows]:
    load, predicted = fit.load(item, rows), fit.energy_j(item, rows)
    low, high = np.exp(np.quantile(errors, COVERED)) if np.isfinite(errors).all() else (np.nan, np.nan)
    prior = load.energy_j(DevicePower.of(item.device, FALLBACK), fit.timing.dispatch_s)
    limit_w = item.device.tdp_w or np.nan
    table = item.table.iloc[rows]
    key = [f"{w}|{c}" for w, c in zip(table["workload"].astype(str), table["clock_mhz"], strict=True)]
    kinds, networks = _kinds(item)[rows], networks_of(table)
    for network, kind in sorted({*zip(networks.tolist(), kinds.tolist(), strict=True)}):
        mine = np.flatnonzero((networks == network) & (kinds == kind))
        whole = JudgedRows(
            device=item.device.id, dtype=str(kind), software=str(table["software"].iloc[0]), family="run",
            workload=str(network), variant=variant, held_out=held_out, folds=1, target="energy",
            measured=item.energy_j[rows][mine], predicted=predicted[mine], low=(predicted * low)[mine],
            high=(predicted * high)[mine], analytical=prior[mine], roofline=(limit_w * load.latency_s)[mine],
            shape_key=np.array(key)[mine],
        )  # fmt: skip
        yield whole
        measured_s, predicted_s = item.load.latency_s[rows][mine], load.latency_s[mine]
        idle = DevicePower.of(item.device).idle_at(load.clock_hz[mine] / (item.device.peak_clock_hz or np.inf))
        yield replace(
            whole, target="power", measured=whole.measured / measured_s,
            **{
                name: np.clip(getattr(whole, name) / predicted_s, idle, limit_w)
                for name in ("predicted", "low", "high", "analytical", "roofline")
            },
        )  # fmt: skip

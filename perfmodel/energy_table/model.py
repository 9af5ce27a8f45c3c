"""The energy of a model by cause, as it is and with other circuits.

arithmetic:   FLOPs of products, each at what a FLOP takes with the other circuits (perfmodel.models.circuits)
l2, dram:     operands of products are as many bits narrower; results and everything else keep theirs
elements, issue, leakage, idle:  as they are; so is the time
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.energy_table.device import flop_j
from perfmodel.errors import InputError
from perfmodel.graph import Graph
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.bounds import Extras
from perfmodel.models.circuits import WhatIf, changed_flop_j
from perfmodel.models.machine import Conditions
from perfmodel.models.power import (
    ENERGY_TERMS,
    Activity,
    DevicePower,
    PowerConstants,
    clock_ratio_of,
    energy_terms,
    shares,
)
from perfmodel.models.predictor import load as load_predictor
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.ops import View
from perfmodel.ops.table import Group, stack
from perfmodel.predict import kernels_of, predict
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction
from perfmodel.predict.unpowered import NO_TIME, unpowered

Joules = Mapping[str, float]
"""Joules by cause (:data:`perfmodel.models.power.ENERGY_TERMS`)."""


@dataclass(frozen=True, slots=True)
class OperatorEnergy:
    """What the executions of one operator of a model take together.

    Attributes:
        operator: the operator, with its predicted energy.
        by_cause_j: that energy by cause [J].
        what_if_by_cause_j: the same with other circuits.
    """

    operator: OperatorPrediction
    by_cause_j: Joules
    what_if_by_cause_j: Joules

    @property
    def what_if_j(self) -> float:
        """Joules with other circuits."""
        return sum(self.what_if_by_cause_j.values())


@dataclass(frozen=True, slots=True)
class ModelEnergy:
    """What one run of a model takes, as it is and with other circuits.

    Attributes:
        prediction: the prediction of the run as it is.
        what_if: the change; empty where nothing changes.
        by_cause_j: predicted energy by cause [J].
        what_if_by_cause_j: the same with other circuits.
        what_if_j: their sum; the interval holds what the circuits leave open and the prediction's own.
        operators: in the order of the prediction.
        notes: what could not be changed, one line each.
    """

    prediction: ModelPrediction
    what_if: WhatIf
    by_cause_j: Joules
    what_if_by_cause_j: Joules
    what_if_j: Estimate
    operators: tuple[OperatorEnergy, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        p, changed = self.prediction, bool(self.what_if)
        assert p.energy_j is not None
        return {
            "model": p.model, "device": p.device, "dims": dict(p.dims), "latency_s": p.latency_s.to_dict(),
            "energy_j": p.energy_j.to_dict(), "by_cause_j": dict(self.by_cause_j),
            "what_if_j": self.what_if_j.to_dict() if changed else None,
            "what_if_by_cause_j": dict(self.what_if_by_cause_j) if changed else None,
            "operators": [
                {
                    "name": o.operator.name, "op": o.operator.op, "shape": o.operator.shape, "dtype": o.operator.dtype,
                    "count": o.operator.count, "by_cause_j": dict(o.by_cause_j),
                    "what_if_by_cause_j": dict(o.what_if_by_cause_j) if changed else None,
                }
                for o in self.operators
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def model_energy(
    model: str | os.PathLike[str] | Graph | Any,
    device: Device | str,
    *,
    what_if: WhatIf | None = None,
    dims: Mapping[str, int] | None = None,
    dtype: str | None = None,
    dtype_map: Mapping[str, str] | None = None,
    kv_dtype: str | None = None,
    predictor: str | Path | PredictorProtocol = "default",
    software: str | None = None,
    fusion: str = "engine",
    launch: str = "graph",
    clock_mhz: float | None = None,
    power_limit_w: float | None = None,
    cache: str = "rotating",
    entry: str | None = None,
) -> ModelEnergy:
    """The energy of a model by cause, and with other circuits.

    Args:
        what_if: other circuits; None changes nothing.
        model, device, dims, dtype, dtype_map, kv_dtype, predictor, software, fusion, launch, clock_mhz, power_limit_w,
            cache, entry: as for :func:`perfmodel.predict`.

    Raises:
        InputError: what :func:`perfmodel.predict` raises; the device's idle power or TDP is unknown; no operator
            takes time.
    """
    record, loaded, change = load_device(device), load_predictor(predictor), what_if or WhatIf()
    graph = kernels_of(
        model, dims=dims, dtype=dtype, dtype_map=dtype_map, kv_dtype=kv_dtype, fusion=fusion, entry=entry
    )
    prediction = predict(
        model, record, dims=dims, dtype=dtype, dtype_map=dtype_map, kv_dtype=kv_dtype, predictor=loaded, software=software,
        fusion=fusion, launch=launch, clock_mhz=clock_mhz, power_limit_w=power_limit_w, cache=cache,
        entry=entry,
    )  # fmt: skip
    if prediction.energy_j is None and unpowered(prediction) == NO_TIME:
        raise InputError(f"{NO_TIME} in {prediction.model}: there is no energy to divide")
    if prediction.energy_j is None:
        raise InputError(
            f"the energy of {record.id} is unknown, since its TDP or its idle power is: give a device file that has both"
        )
    nodes = [node for node in graph.nodes if not isinstance(node.op, View)]
    clock_hz = None if clock_mhz is None else clock_mhz * 1e6
    rows = _Rows(
        record,
        getattr(loaded, "constants", None),
        power_constants(loaded),
        Conditions(cache, clock_hz, power_limit_w),
        change,
    )
    extras = Extras(
        np.array([float(n.extra_bytes_read) for n in nodes]),
        np.array([float(sum(f.flops for f in n.fused)) for n in nodes]),
    )
    each_s = np.array([o.latency_each_s.value for o in prediction.operators])
    each_w = np.array([o.power_w.value if o.power_w is not None else 0.0 for o in prediction.operators])
    now = {cause: np.zeros(len(nodes)) for cause in ENERGY_TERMS}
    then, low, high = ({cause: np.zeros(len(nodes)) for cause in ENERGY_TERMS} for _ in range(3))
    for group in stack([node.op for node in nodes]):
        i = group.rows
        mine = rows.of(group, extras.part(i), each_s[i], each_w[i] * each_s[i])
        for result, part in zip((now, then, low, high), mine, strict=True):
            for cause in ENERGY_TERMS:
                result[cause][i] = part[cause]
    count = np.array([float(n.count) for n in nodes])
    operators = tuple(
        OperatorEnergy(
            o,
            *({cause: float(joules[cause][i] * count[i]) for cause in ENERGY_TERMS} for joules in (now, then)),
        )
        for i, o in enumerate(prediction.operators)
    )
    # What the sum over operators lacks is what the device takes while it waits for its host.
    waiting = prediction.energy_j.value - sum(float((count * now[c]).sum()) for c in ENERGY_TERMS)

    def total(joules: Mapping[str, np.ndarray]) -> dict[str, float]:
        return {c: float((count * joules[c]).sum()) + (waiting if c == "idle" else 0.0) for c in ENERGY_TERMS}

    by_cause, changed = total(now), total(then)
    value = sum(changed.values())
    energy = prediction.energy_j
    bounds = Estimate(
        value,
        min(value, sum(total(low).values()) * energy.low / energy.value),
        max(value, sum(total(high).values()) * energy.high / energy.value),
    )
    return ModelEnergy(prediction, change, by_cause, changed, bounds, operators, tuple(rows.notes))


def power_constants(predictor: PredictorProtocol) -> PowerConstants | None:
    """The power constants that a predictor brings; None means the built-in ones."""
    found = getattr(predictor, "power_constants", None)
    return found if isinstance(found, PowerConstants) else None


class _Rows:
    """Joules by cause of groups of operators, as they are and with other circuits."""

    def __init__(
        self, device: Device, constants: Any, power: PowerConstants | None, conditions: Conditions, change: WhatIf
    ) -> None:
        self.device, self.constants, self.power = device, constants, power
        self.conditions, self.change = conditions, change
        self.notes: dict[str, None] = {}

    def of(self, group: Group, extras: Extras, latency_s: np.ndarray, energy_j: np.ndarray) -> tuple[Any, ...]:
        """Joules of one execution by cause: now, with the change, and the latter's two extremes; arrays of shape ``[rows]``."""
        local = replace(group, rows=np.arange(len(group)))
        bounds = analyse(local, self.device, constants=self.constants, conditions=self.conditions, extras=extras)
        activity = Activity.of(local, self.device, bounds, extras)
        d = DevicePower.of(self.device, self.power)
        terms = energy_terms(d, activity, latency_s, clock_ratio_of(d, self.conditions.clock_hz))
        # A power that was learned may lie below the physical model's idle power at the clock: then all of it is that.
        now = shares({**terms, "idle": np.minimum(terms["idle"], energy_j)}, energy_j)
        if not self.change or not group.op.products:
            return now, now, now, now
        arithmetic = self._arithmetic_ratio(activity.arithmetic)
        l2, dram = self._byte_ratios(local, activity, extras)

        def changed(ratio: float) -> dict[str, np.ndarray]:
            return {**now, "arithmetic": now["arithmetic"] * ratio, "l2": now["l2"] * l2, "dram": now["dram"] * dram}

        return now, *(changed(ratio) for ratio in arithmetic)

    def _arithmetic_ratio(self, arithmetic: str) -> tuple[float, float, float]:
        nm = self.device.process_nm
        joules = flop_j(self.device, arithmetic, self.conditions.clock_hz, self.power)
        found = None if nm is None else changed_flop_j(joules, arithmetic, nm, self.change)
        if found is None:
            why = (
                f"the process of {self.device.id} is unknown"
                if nm is None
                else f"no document has circuits of {arithmetic}"
            )
            self.notes[f"{why}: its arithmetic is left as it is"] = None
            return 1.0, 1.0, 1.0
        return found.value / joules, found.low / joules, found.high / joules

    def _byte_ratios(self, group: Group, activity: Activity, extras: Extras) -> tuple[np.ndarray, np.ndarray]:
        """Bytes with operands of other widths over those now, through L2 and DRAM."""
        op, rows = group.op, len(group)
        if dtype_record(op.dtype).weight_only and self.change.bits is not None:
            self.notes[f"operands of {op.dtype} keep their bytes: their weights are narrow already"] = None
            return np.ones(rows), np.ones(rows)
        narrower = self.change.operand_ratio(8 * element_bytes(op.dtype)) - 1
        read, written = (
            np.broadcast_to(np.asarray(b, dtype=np.float64), (rows,)) for b in (op.bytes_read, op.bytes_written)
        )
        other = written + extras.bytes_read
        with np.errstate(divide="ignore", invalid="ignore"):
            l2 = np.where(activity.l2_bytes > 0, np.clip(activity.l2_bytes - other, 0, None) / activity.l2_bytes, 0.0)
            dram = np.where(read + other > 0, read / (read + other), 0.0)
        return 1 + narrower * l2, 1 + narrower * dram

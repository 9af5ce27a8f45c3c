"""What boosters add to the physical power where power was measured.

A booster predicts ln(measured / physical) of one family's operators on one device, with trees of each software's own: the
same kernel drew up to 40 % more in one library's benchmark than in another's, so that one software's labels say nothing of
another's. Outside of what was measured the residual fades out octave by octave, as that of the latency does, and the physical
power remains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from perfmodel.errors import PredictorError
from perfmodel.features.vector import FeatureSchema, feature_schema
from perfmodel.hardware import Device
from perfmodel.models.analytical import analyse
from perfmodel.models.blend import compute_capability
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.models.constants import Constants
from perfmodel.models.families import FAMILIES, Family, family_of
from perfmodel.models.families.base import Columns
from perfmodel.models.learned import Key, Residual, are_log_errors, kernel_of, software_of, source_names, stack_of
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.power import running_idle_w
from perfmodel.models.power.activity import Activity
from perfmodel.models.power.constants import fit_file
from perfmodel.ops import Operator
from perfmodel.ops.table import Group

SCHEMA = "power"
"""Of the features beside a family's own (``features/power.toml``)."""
LONG_S = 1e-4
"""Kernels from here on were measured for a second by the public labels; shorter ones for 0.3 s, which shows more of what ran
before."""
LOADS = (0.6, 0.93)
"""Shares of the power limit between which intervals are kept apart: idle units, ordinary loads, loads at the limit."""
INTERVAL_GROUPS = 2 * (len(LOADS) + 1)
Pairs = tuple[tuple[float, float], ...]
OTHER_VERSION_WEIGHT = 0.9
"""How far a booster is trusted for another version or kernel of the stack that it was trained on."""
SIBLING_WEIGHT = 0.7
"""How far a booster is trusted on a sibling of its device under the same stack. Of 0, 0.5, 0.9 and 1 on settled GEMMs of B200
with GB200's trees and the reverse 0.5 and 0.9 were the best (fp8 of TensorRT-LLM on B200 20.8 to 14.2 and 11.2 %, vLLM's
fp8_block on GB200 73 to 57 and 47 %); vLLM's bf16 and nvfp4, nearly all at the limit, are best left alone."""
_PRODUCT_OFFSET, _DRAM_OFFSET = 1e-4, 1e-3
"""Keep the logarithms of rates of 0 finite."""


@cache
def power_schema(family: str) -> FeatureSchema:
    """The features of a family's power boosters: the family's own, then those of ``features/power.toml``."""
    own, more = FAMILIES[family].schema, feature_schema(SCHEMA)
    joint = hashlib.sha256(f"{own.sha256}{more.sha256}".encode()).hexdigest()
    return FeatureSchema(f"{family}+{SCHEMA}", own.names + more.names, joint)


def power_columns(
    group: Group,
    device: Device,
    bounds: Bounds,
    extras: Extras,
    machine: Machine,
    latency_s: np.ndarray,
    demand_w: np.ndarray,
) -> Columns:
    """Every feature of ``features/power.toml``, arrays of shape ``[rows]``.

    Args:
        group, device, bounds, extras: the rows and what the analytical model says of them.
        machine: the device for their dtype.
        latency_s: seconds of one execution, as predicted.
        demand_w: power without a limit, by the physical model.
    """
    assert device.tdp_w is not None
    activity = Activity.of(group, device, bounds, extras)
    seconds = np.maximum(latency_s, np.finfo(np.float64).tiny)
    return {
        "log_demand": np.log(np.maximum(demand_w, 1e-3 * device.tdp_w) / device.tdp_w),
        "log_latency": np.log(seconds),
        "log_product_rate": np.log(activity.product_flops / seconds / machine.peak_flops + _PRODUCT_OFFSET),
        "log_dram_rate": np.log(bounds.dram_bytes / seconds / machine.dram_bytes_per_s + _DRAM_OFFSET),
    }


def interval_group(latency_s: np.ndarray, power_w: np.ndarray, limit_w: np.ndarray | float) -> np.ndarray:
    """Which interval a prediction has: by how long such kernels were measured, and by the load; indices of shape ``[rows]``."""
    load = np.searchsorted(LOADS, power_w / limit_w, side="right")
    index: np.ndarray = load + (len(LOADS) + 1) * (latency_s >= LONG_S)
    return index


@dataclass(frozen=True)
class PowerResidual:
    """One booster of power with what it takes to use it.

    Attributes:
        residual: the trees of ln(measured / physical power), their software and support.
        power_quantiles: by software, of each :func:`interval_group` the 5 % and 95 % quantiles of ln(measured / predicted) on
            held-out groups of shapes.
        energy_quantiles: the same of energy, with the latency of held-out groups predicted, too.
    """

    residual: Residual
    power_quantiles: Mapping[str, Pairs]
    energy_quantiles: Mapping[str, Pairs]

    def __post_init__(self) -> None:
        named = set(map(software_of, self.residual.software))
        for quantiles in (self.power_quantiles, self.energy_quantiles):
            shaped = all(
                len(pairs) == INTERVAL_GROUPS and all(are_log_errors(low, high) for low, high in pairs)
                for pairs in quantiles.values()
            )
            if not named <= set(quantiles) or not shaped:
                raise PredictorError(
                    f"the entry of power of {self.residual.family} {self.residual.device} {self.residual.part} is damaged:"
                    f" wanted {INTERVAL_GROUPS} pairs of finite quantiles, low before high, of each software"
                )

    @property
    def key(self) -> Key:
        """Family, device, part."""
        return self.residual.key

    def sources_for(self, variant: str) -> tuple[tuple[str, ...], float]:
        """The measured variants whose mean stands for one, and how far that is trusted.

        Another version or kernel of a stack stands in for one that was not measured; another stack does not.
        """
        known = self.residual.software
        if variant in known:
            return (variant,), 1.0
        same = tuple(v for v in known if software_of(v) == software_of(variant))
        if not same:
            same = tuple(v for v in known if stack_of(v) == stack_of(variant))
        alike = tuple(v for v in same if kernel_of(v) == kernel_of(variant))
        return alike or same, OTHER_VERSION_WEIGHT

    def correction(self, columns: Mapping[str, np.ndarray], variants: Sequence[str]) -> np.ndarray:
        """The mean of ln(measured / physical) under some variants, shape ``[rows]``."""
        mean: np.ndarray = np.mean([self.residual.predict(columns, v) for v in variants], axis=0)
        return mean


@dataclass(frozen=True)
class LearnedPower:
    """Everything that a predictor has learned of power.

    Attributes:
        residuals: by family, device id and part.
        intervals: ln offsets that the interval of the physical power has at least, by family: what devices were off by whose
            labels were left out.
    """

    residuals: Mapping[Key, PowerResidual] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def find(self, op: Operator, device: Device) -> PowerResidual | None:
        """The booster of this device, or of a sibling (the same compute capability)."""
        family = family_of(op)
        if family is None:
            return None
        part = family.part(op)
        own = self.residuals.get((family.name, device.id, part))
        if own is not None or device.compute_capability is None:
            return own
        for key in sorted(self.residuals):
            if key[::2] == (family.name, part) and compute_capability(key[1]) == device.compute_capability:
                return self.residuals[key]
        return None

    def blend(
        self,
        group: Group,
        device: Device,
        bounds: Bounds,
        extras: Extras,
        conditions: Conditions,
        part: Mapping[str, Any],
        constants: Constants | None,
    ) -> dict[str, Any]:
        """Power and energy with their intervals, from the physical power.

        Args:
            group, device, bounds, extras, conditions: the rows, and where and how they run, without a cap.
            part: the columns of the estimates so far: latency, software, power and energy of the physical model, all with their
                intervals, and perhaps ``columns``, the features by state of the cache.
            constants: of the latency's physics.
        """
        limit, idle_w = device.tdp_w, running_idle_w(device)
        rows, physical, latency = len(group), part["power_w"], part["latency_s"]
        if limit is None or idle_w is None or np.isnan(physical).all():
            return {"power_source": np.full(rows, None, dtype=object)}
        family = family_of(group.op)
        offsets = self._physical_offsets(family, device, part)
        weight, power = np.zeros(rows), physical
        found = self.find(group.op, device)
        if family is not None and found is not None:
            correction, weight, leant_on = self._correction(
                found, family, group, device, bounds, extras, conditions, part, constants
            )
            if found.residual.device != device.id:
                weight = SIBLING_WEIGHT * weight
            power = np.clip(physical * np.exp(weight * correction), idle_w, limit)
            index = interval_group(latency, power, limit)
            for software in dict.fromkeys(s for s in leant_on.tolist() if s is not None):
                mine = np.flatnonzero(leant_on == software)
                pairs = np.concatenate([found.power_quantiles[software], found.energy_quantiles[software]], axis=1)
                learned = pairs[index[mine]].T
                offsets[:, mine] = weight[mine] * learned + (1 - weight[mine]) * offsets[:, mine]
        energy = power * latency
        ends = np.exp(offsets)
        return {
            "power_w": power,
            # Held-out errors may all lie on one side; the interval holds the estimate all the same.
            "power_low_w": np.clip(power * ends[0], idle_w, power),
            "power_high_w": np.clip(power * ends[1], power, limit),
            "energy_low_j": np.clip(energy * ends[2], np.minimum(idle_w * part["latency_low_s"], energy), energy),
            "energy_high_j": np.maximum(energy * ends[3], energy),
            "power_source": source_names(weight),
        }

    def _physical_offsets(self, family: Family | None, device: Device, part: Mapping[str, Any]) -> np.ndarray:
        """ln offsets of the physical power's interval and of its energy's: low, high, low, high; shape ``[4, rows]``.

        Where the physical constants were fitted to runs of the device, or its kind has no labels, their own intervals hold.
        """
        power, energy = part["power_w"], part["power_w"] * part["latency_s"]
        tiny = np.finfo(np.float64).tiny
        ends = [part["power_low_w"], part["power_high_w"], part["energy_low_j"], part["energy_high_j"]]
        middles = [power, power, energy, energy]
        offsets = np.stack(
            [np.log(np.maximum(e, tiny) / np.maximum(m, tiny)) for e, m in zip(ends, middles, strict=True)]
        )
        apart = family is None or device.kind != "gpu" or device.id in fit_file().devices
        low, high = (0.0, 0.0) if apart or family is None else self.intervals.get(family.name, (0.0, 0.0))
        offsets[::2], offsets[1::2] = np.minimum(offsets[::2], low), np.maximum(offsets[1::2], high)
        return offsets

    def _correction(
        self,
        found: PowerResidual,
        family: Family,
        group: Group,
        device: Device,
        bounds: Bounds,
        extras: Extras,
        conditions: Conditions,
        part: Mapping[str, Any],
        constants: Constants | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ln(measured / physical) of each row under the software of its latency, how far it is trusted, and the measured
        software that it leans on (None where there is none)."""
        rows = len(group)
        correction, weight, leant_on = np.zeros(rows), np.zeros(rows), np.full(rows, None, dtype=object)
        machine = Machine.of(device, group.op.dtype, conditions)
        physical = power_columns(group, device, bounds, extras, machine, part["latency_s"], part["demand_w"])
        by_cache: dict[str, Mapping[str, np.ndarray]] = dict(part.get("columns", {}))
        residual, software = found.residual, part["software"]
        for variant in dict.fromkeys(v for v in software.tolist() if v is not None):
            sources, trust = found.sources_for(variant)
            if not sources:
                continue
            mine = np.flatnonzero(software == variant)
            cache_state = residual.cache[residual.software.index(sources[0])]
            if cache_state not in by_cache:
                there = Conditions(cache_state)
                as_measured = analyse(group, device, constants=constants, conditions=there)
                by_cache[cache_state] = family.columns(group.op, as_measured, machine, device)
            columns = {name: values[mine] for name, values in {**by_cache[cache_state], **physical}.items()}
            weight[mine] = trust * residual.weight(columns)
            correction[mine] = found.correction(columns, sources)
            leant_on[mine] = software_of(sources[0])
        return correction, weight, leant_on

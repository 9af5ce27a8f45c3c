"""Which residual an operator leans on, how far it is trusted, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.errors import DeviceError, DtypeError
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import Bounds, analyse
from perfmodel.models.constants import Constants
from perfmodel.models.families import Family, family_of
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.learned import UNSEEN, Key, Residual, software_of, source_names, stack_of, variants_for
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import Conv, Gemm, Operator
from perfmodel.ops.table import Group

ASSUMED_FACTOR = 2.0
"""Half-width of the 90 % interval, as a factor, of families that no label of ours has measured."""
ELSEWHERE_WEIGHT = 0.9
"""How far a residual is trusted on a sibling of the device it was trained on: most of a residual is the library's choice of
kernels, which siblings share. Of 0, 0.25, 0.5, 0.75, 0.9 and 1 the best on bf16 GEMMs of B200 with GB200's trees (12.5 to
7.4 %) and the reverse (12.0 to 6.8 %)."""
_OCTAVES_OF_BATCHES = 3.0
"""So many octaves above the largest measured batch products are analytical alone, and so grow by themselves."""
_IMPLICIT_GEMMS = ("implicit_gemm", "im2col_gemm")
"""How the names of convolutions' algorithms begin whose main loop is a GEMM kernel's."""


@dataclass(frozen=True)
class Found:
    """A residual for an operator on a device, and how far to trust it.

    Attributes:
        residual: of this device, a sibling, or all devices together.
        trust: 1 where it is the device's own, for this very part.
        family: whose features it reads.
    """

    residual: Residual
    trust: float
    family: Family


@dataclass(frozen=True)
class Learned:
    """Everything that a predictor has learned.

    Attributes:
        constants: physics constants of GPUs; None means the built-in ones.
        residuals: by family, device id and part.
        intervals: ln offsets of the 90 % interval of the analytical model, by :func:`interval_key`.
    """

    constants: Constants | None
    residuals: Mapping[Key, Residual]
    intervals: Mapping[str, tuple[float, float]]

    def find(self, op: Operator, device: Device) -> Found | None:
        """The residual of this device, of a sibling (the same compute capability), or for GEMMs that of GPUs that were not
        measured.

        Weights with another group size lean on those of the usual one: the kernels are the same.
        """
        family = family_of(op)
        if family is None:
            return None
        trust = 1.0
        for name in dict.fromkeys((op.dtype, dtype_record(op.dtype).ungrouped)):
            part = family.part(op if name == op.dtype else op.replace(dtype=name))
            found = self._find_part(family, part, name, device)
            if found is not None:
                return Found(found[0], trust * found[1], family)
            trust *= ELSEWHERE_WEIGHT
        return None

    def _find_part(self, family: Family, part: str, dtype: str, device: Device) -> tuple[Residual, float] | None:
        own = self.residuals.get((family.name, device.id, part))
        if own is not None:
            return own, 1.0
        if device.compute_capability is None:
            return None
        for key in sorted(self.residuals):
            if key[::2] == (family.name, part) and compute_capability(key[1]) == device.compute_capability:
                return self.residuals[key], ELSEWHERE_WEIGHT
        unseen = self.residuals.get((family.name, UNSEEN, part))
        # Where another arithmetic stands in (bf16 on a V100), so do other kernels.
        native = device.arithmetic(dtype).note is None
        return (unseen, ELSEWHERE_WEIGHT) if unseen is not None and device.vendor in unseen.vendors and native else None

    def interval(self, op: Operator) -> tuple[float, float]:
        """ln offsets of the 90 % interval of the analytical model."""
        width, family = float(np.log(ASSUMED_FACTOR)), family_of(op)
        key = None if family is None else interval_key(family.name, family.part(op))
        return (-width, width) if key is None else self.intervals.get(key, (-width, width))

    def blend(
        self,
        group: Group,
        device: Device,
        bounds: Bounds,
        conditions: Conditions,
        software: str | None,
        notes: dict[str, None],
        *,
        fused: bool,
    ) -> dict[str, Any]:
        """The columns of the estimates that say latency, interval, source and software; and ``columns``, the features by
        cache state, as far as they were computed.

        Args:
            group: like descriptors.
            device, conditions: where and how they run.
            bounds: what the analytical model says of them.
            software: the stack that was asked for.
            notes: takes a line on what was leant on.
            fused: whether ``bounds`` hold the work of fused epilogues, too.
        """
        rows = len(group)
        low, high = self.interval(group.op)
        log_low, log_high = np.full(rows, low), np.full(rows, high)
        latency, weight = bounds.latency_s, np.zeros(rows)
        chosen = np.full(rows, None, dtype=object)
        by_cache: dict[str, dict[str, np.ndarray]] = {}
        found = self.find(group.op, device)
        if found is not None:
            residual, trust = found.residual, found.trust
            own = residual.device == device.id
            machine = Machine.of(device, group.op.dtype, conditions)
            columns = found.family.columns(group.op, bounds, machine, device)
            weight = trust * residual.weight(columns)
            choices = _choices(found, software)
            if not choices:
                weight = np.zeros(rows)
                notes.setdefault(
                    f"{residual.family} was not measured under {software} on {residual.device}: analytical"
                )
            # Outside the support of all rows the trees are not even read.
            if weight.any():
                # Features that were computed already serve where nothing about them differs.
                by_cache |= {} if fused else {conditions.cache: columns}
                correction = self._corrections(group, device, conditions, found, choices, by_cache)
                able = residual.runs(columns, choices)
                fastest: np.ndarray = np.argmin(np.where(able, correction, np.inf), axis=0)
                latency = bounds.latency_s * np.exp(weight * correction[fastest, np.arange(rows)])
                chosen[weight > 0] = np.array(choices, dtype=object)[fastest][weight > 0]
                elsewhere = None if own else (low, high)
                learned_low, learned_high = residual.log_interval(latency, choices, fastest, elsewhere=elsewhere)
                # Elsewhere the quantiles already are those of blended predictions.
                share = weight if own else np.minimum(weight / ELSEWHERE_WEIGHT, 1.0)
                log_low = share * learned_low + (1 - share) * log_low
                log_high = share * learned_high + (1 - share) * log_high
                notes |= dict.fromkeys(_notes(group.op, device, residual, choices, software))
            if isinstance(group.op, Gemm):
                largest = 2.0 ** (np.clip(residual.support["log2_batch"][1], 0, 50) + _OCTAVES_OF_BATCHES)
                latency = self._not_faster_than_half(latency, group, device, conditions, software, largest)
        # Row by row, so that no prediction depends on what else was asked for.
        left = weight == 0.0
        if isinstance(group.op, Conv) and left.any():
            leaning, leant = self._as_gemm(group, device, bounds, left, conditions, software, notes)
            latency, weight = np.where(left, leaning, latency), np.where(left, leant, weight)
        latency = np.maximum(latency, bounds.floor_s)
        return {
            "latency_s": latency,
            # Held-out errors may all lie on one side; the interval holds the estimate all the same.
            "latency_low_s": np.clip(latency * np.exp(log_low), bounds.floor_s, latency),
            "latency_high_s": np.maximum(latency * np.exp(log_high), latency),
            "analytical_s": bounds.latency_s,
            "floor_s": bounds.floor_s,
            "source": source_names(weight),
            "software": chosen,
            "columns": by_cache,
        }

    def _not_faster_than_half(
        self,
        latency: np.ndarray,
        group: Group,
        device: Device,
        conditions: Conditions,
        software: str | None,
        largest: float,
    ) -> np.ndarray:
        """Seconds of batches, at least those of half as many products; above the batch ``largest``, of at most that many.

        Where single products were measured, batches are mostly analytical: with kernels slower than the physics says, two
        products would come out faster than one. Where batches were measured, trees fall here and there.
        """
        fewer = group.halved(largest)
        if fewer is None:
            return latency
        bounds = analyse(fewer, device, constants=self.constants, conditions=conditions)
        result = latency.copy()
        half = self.blend(fewer, device, bounds, conditions, software, {}, fused=False)["latency_s"]
        result[fewer.rows] = np.maximum(result[fewer.rows], half)
        return result

    def _corrections(
        self,
        group: Group,
        device: Device,
        conditions: Conditions,
        found: Found,
        choices: Sequence[str],
        by_cache: dict[str, dict[str, np.ndarray]],
    ) -> np.ndarray:
        """ln(measured / analytical) under each stack, shape ``[stacks, rows]``.

        The features are those of the cache state in which the stack was measured. The ratio is then applied to the
        analytical latency in the state that was asked for: the physics converts between cache states.

        Args:
            by_cache: the features by cache state that are known already; takes those that are computed.
        """
        residual = found.residual
        corrections = []
        for choice in choices:
            cache = residual.cache[residual.software.index(choice)]
            if cache not in by_cache:
                there = replace(conditions, cache=cache)
                as_measured = analyse(group, device, constants=self.constants, conditions=there)
                machine = Machine.of(device, group.op.dtype, conditions)
                by_cache[cache] = found.family.columns(group.op, as_measured, machine, device)
            corrections.append(residual.predict(by_cache[cache], choice))
        return np.stack(corrections)

    def _as_gemm(
        self,
        group: Group,
        device: Device,
        bounds: Bounds,
        left: np.ndarray,
        conditions: Conditions,
        software: str | None,
        notes: dict[str, None],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Convolutions of ``left`` that run as an implicit GEMM, corrected as that GEMM is; latency and weight of each row.

        How far a library's GEMM kernels are from the physics is how far those of its convolutions are taken to be: nothing
        of ours measured them.
        """
        rows = len(group)
        latency, weight = bounds.latency_s, np.zeros(rows)
        (product,) = group.op.products
        dims: dict[str, Any] = {
            name: np.maximum(np.broadcast_to(np.asanyarray(getattr(product, name), dtype=np.float64), (rows,)), 1.0)
            for name in ("batch", "m", "n", "k")
        }
        try:
            gemm = Group(Gemm(**dims, dtype=group.op.dtype), np.arange(rows))
        except DtypeError:
            return latency, weight
        found = self.find(gemm.op, device)
        implicit = bounds.ran(*_IMPLICIT_GEMMS) & left
        # What carries over from GEMMs of other devices to this one's is not carried on to its convolutions.
        if found is None or found.residual.device == UNSEEN or not implicit.any():
            return latency, weight
        machine = Machine.of(device, gemm.op.dtype, conditions)
        as_gemm = analyse(gemm, device, constants=self.constants, conditions=conditions)
        columns = GEMM.columns(gemm.op, as_gemm, machine, device)
        trust = min(found.trust, ELSEWHERE_WEIGHT)
        weight = np.where(implicit, trust * found.residual.weight(columns), 0.0)
        if weight.any():
            choices = found.residual.choices(software)
            correction = self._corrections(gemm, device, conditions, found, choices, {conditions.cache: columns})
            latency = latency * np.exp(weight * correction.min(axis=0))
            notes.setdefault(
                "convolutions lean on the residual of their implicit GEMMs, which nothing of ours measured"
            )
        return latency, weight


def interval_key(family: str, part: str) -> str:
    """Where the analytical interval of a part stands: the part (a dtype) for GEMMs, ``family/part`` for others."""
    return part if family == GEMM.name else f"{family}/{part}"


def _choices(found: Found, software: str | None) -> tuple[str, ...]:
    """The stacks of a residual that a software stands for; names that were measured nowhere were refused before.

    GEMMs are learned for nearly every stack, and most stacks call the same libraries: where the one asked for was not measured,
    the fastest of the others stands in. Of other families a stack has its own kernels: where it was not measured, physics does.
    """
    stacks = map(stack_of, found.residual.software)
    if found.family is GEMM or software is None or stack_of(software) in stacks:
        return found.residual.choices(software)
    return ()


def _notes(op: Operator, device: Device, residual: Residual, choices: Sequence[str], software: str | None) -> list[str]:
    """What a prediction leans on, one line each: another device, another format, the fastest of some stacks."""
    what = "GEMMs" if residual.family == GEMM.name else residual.family.replace("_", " ")
    lean = "lean" if residual.family == GEMM.name else "leans"
    lines = []
    if residual.device == UNSEEN:
        lines.append(f"{device.id} was not measured: {what} {lean} on what devices of all families share")
    elif residual.device != device.id:
        lines.append(f"{device.id} was not measured: {what} {lean} on its sibling {residual.device}")
    family = family_of(op)
    if family is not None and residual.part != family.part(op):
        lines.append(f"{family.part(op)} was not measured: {what} {lean} on {residual.part}")
    if software is not None and variants_for(software, residual.software):
        return lines
    are = "are" if residual.family == GEMM.name else "is"
    where = "any device" if residual.device == UNSEEN else residual.device
    why = "no software was given" if software is None else f"{software} was not measured on {where}"
    others = ", ".join(dict.fromkeys(map(software_of, choices)))
    stands_in = software is not None and stack_of(software) in map(stack_of, choices)
    lines.append(f"{why}: {what} {are} for {others if stands_in else f'the fastest of {others}'}")
    return lines


def compute_capability(device_id: str) -> str | None:
    """The compute capability of a device by its id; None where it has none, or is not in the catalogue."""
    if device_id == UNSEEN:
        return None
    try:
        return load_device(device_id).compute_capability
    except DeviceError:  # a predictor of a device that only its owner's file describes
        return None

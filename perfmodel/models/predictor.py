"""The predictor: analytical bounds, learned residuals where there is support, blend, interval, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.errors import DeviceError, InputError, PredictorError, nearest
from perfmodel.features.vector import feature_schema, gemm_columns
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact, cap
from perfmodel.models import power as power_model
from perfmodel.models.analytical import TERMS, Bounds, Extras, analyse
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.corrections import Correction, corrected
from perfmodel.models.kernel import ERROR_KERNEL, Kernel
from perfmodel.models.learned import UNSEEN, Residual, residual_columns, source_names, stack_of
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import FAMILIES, Gemm, Operator
from perfmodel.ops.table import Group, from_columns, stack

ASSUMED_FACTOR = 2.0
"""Half-width of the 90 % interval, as a factor, of families that no label of ours has measured."""


DETAILS = ("tile_m", "tile_n", "split_k", "tiles_per_unit", "occupancy", "miss")
"""What the tile model chose for a product: the tile, the split-K factor, the tiles of the busiest unit, the busy share of the
units, and the share of the compulsory bytes that cross DRAM."""
ELSEWHERE_WEIGHT = 0.9
"""How far a residual is trusted on a sibling of the device it was trained on, or at another clock: most of a residual
is the library's choice of kernels, which siblings share. Of 0, 0.25, 0.5, 0.75, 0.9 and 1 the best on bf16 GEMMs of B200 with
GB200's trees (12.5 to 7.4 %) and the reverse (12.0 to 6.8 %)."""


@dataclass(frozen=True)
class Estimates:
    """Predictions for a table of operators; arrays of shape ``[rows]``, in the order of the rows given.

    Attributes:
        latency_s, latency_low_s, latency_high_s: seconds of one execution and its 90 % interval.
        power_w, power_low_w, power_high_w: mean power; NaN where the device's TDP is unknown.
        analytical_s: what the analytical model alone says.
        floor_s: the physical floor.
        bound, source: names (object arrays).
        terms: seconds by bound, NaN where a row has no such term.
        software: the stack that the prediction is for; None where none was learned.
        details: of :data:`DETAILS`, what the tile model chose; NaN where a row is no single product.
        workspace_bytes: memory beyond operands and results that the kernels need while they run; 0 where none.
        algorithm: which of several algorithms is expected to run (object array); None where a family has but one.
        notes: one line each: what ran instead of what was asked for, what was assumed.
    """

    latency_s: np.ndarray
    latency_low_s: np.ndarray
    latency_high_s: np.ndarray
    power_w: np.ndarray
    power_low_w: np.ndarray
    power_high_w: np.ndarray
    analytical_s: np.ndarray
    floor_s: np.ndarray
    bound: np.ndarray
    source: np.ndarray
    software: np.ndarray
    terms: Mapping[str, np.ndarray]
    workspace_bytes: np.ndarray
    algorithm: np.ndarray
    details: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.latency_s)

    @property
    def energy_j(self) -> np.ndarray:
        """Joules of one execution: power times latency."""
        joules: np.ndarray = self.power_w * self.latency_s
        return joules


@dataclass(frozen=True)
class Predictor:
    """Predicts operators on devices. Get one with :func:`load` (or train one).

    Attributes:
        name: of the predictor's folder, or ``"analytical"``.
        constants: physics constants of GPUs; None means the built-in ones.
        residuals: learned residuals by (device id, dtype), for GEMM; under the device :data:`UNSEEN` those for GPUs
            that were not measured and have no sibling that was.
        analytical_log_intervals: ln offsets of the 90 % interval of the analytical GEMM model on an unseen device, by
            dtype; dtypes that were not measured, and other families, take a factor of :data:`ASSUMED_FACTOR`.
        corrections: what few rows measured on a device add, by (device id, dtype), for GEMM.
        error_kernel: the covariance of GEMM errors on devices that were not measured.
    """

    name: str = "analytical"
    constants: Constants | None = None
    residuals: Mapping[tuple[str, str], Residual] = field(default_factory=dict)
    analytical_log_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    corrections: Mapping[tuple[str, str], Correction] = field(default_factory=dict)
    error_kernel: Kernel = ERROR_KERNEL

    def predict(
        self,
        ops: Operator | Sequence[Operator] | Mapping[str, Any],
        device: Device | str,
        *,
        software: str | None = None,
        cache: str = "rotating",
        clock_hz: float | None = None,
        power_limit_w: float | None = None,
        extra_bytes_read: np.ndarray | None = None,
        extra_flops: np.ndarray | None = None,
    ) -> Estimates:
        """Predictions for one descriptor, a list of them, or a table of columns.

        Args:
            ops: a descriptor (its dimensions may be arrays), a sequence of descriptors, or a mapping of columns (``op``
                and the family's fields; see :func:`perfmodel.ops.table.from_columns`).
            device: a record, an id, or the path of a device TOML.
            software: the stack that runs the operators; None means the fastest of the newest versions that were measured.
            cache: state of the last-level cache (:data:`perfmodel.models.machine.CACHES`).
            clock_hz: a pinned clock.
            power_limit_w: a cap below the device's own.
            extra_bytes_read, extra_flops: traffic and vector arithmetic of fused epilogues, shape ``[rows]``.

        Raises:
            InputError: an unknown device, dtype, software or family; a table that lacks a column.
        """
        device = load_device(device) if not isinstance(device, Device) else device
        groups, rows = _groups(ops)
        device = self._as_corrected(device)
        conditions = Conditions(cache, clock_hz, power_limit_w)
        more_bytes = _per_row(extra_bytes_read, rows, "extra_bytes_read")
        more_flops = _per_row(extra_flops, rows, "extra_flops")
        out = {name: np.full(rows, np.nan) for name in _FLOAT_COLUMNS}
        terms = {name: np.full(rows, np.nan) for name in TERMS}
        details = {name: np.full(rows, np.nan) for name in DETAILS}
        text = {name: np.full(rows, None, dtype=object) for name in ("bound", "source", "software", "algorithm")}
        notes: dict[str, None] = {}
        self._check_software(software)
        for group in groups:
            extras = Extras(more_bytes[group.rows], more_flops[group.rows])
            part = self._estimate(group, device, conditions, extras, software, notes)
            for name in _FLOAT_COLUMNS:
                out[name][group.rows] = part[name]
            for name, values in part["terms"].items():
                terms[name][group.rows] = values
            for name in part["details"].keys() & details.keys():
                details[name][group.rows] = part["details"][name]
            for name, column in text.items():
                column[group.rows] = part[name]
        return Estimates(**out, **text, terms=terms, details=details, notes=tuple(notes))

    def known_software(self, software: str, device: Device, dtype: str) -> str | None:
        """The name by which GEMMs on a device know a software: its own, its stack's, or None where nothing was learned."""
        correction = self.corrections.get((device.id, dtype))
        if correction is not None and correction.choices(software) is not None:
            return software if software in correction.software else stack_of(software)
        return self._base_software(software, device, dtype)

    def _base_software(self, software: str, device: Device, dtype: str) -> str | None:
        """The same without corrections."""
        found = self._residual(device, dtype)
        if found is None or software in found[0].software:
            return None if found is None else software
        return stack_of(software) if stack_of(software) in map(stack_of, found[0].software) else None

    def _check_software(self, software: str | None) -> None:
        """A name that no table of this predictor has is a mistake, wherever it is used."""
        known = {s for r in self.residuals.values() for s in r.software}
        known |= {s for c in self.corrections.values() for s in c.software}
        known |= {stack_of(s) for s in known}
        if software is not None and known and software not in known:
            raise InputError(f"unknown software {software!r}: {nearest(software, known)}")

    def _estimate(
        self,
        group: Group,
        device: Device,
        conditions: Conditions,
        extras: Extras,
        software: str | None,
        notes: dict[str, None],
    ) -> dict[str, Any]:
        """The columns of the estimates of a group's rows."""
        if cap.binds(device, conditions.power_limit_w):
            return cap.under_cap(
                lambda free: self._estimate(group, device, free, extras, software, notes), device, conditions
            )
        bounds = analyse(group, device, constants=self.constants, conditions=conditions, extras=extras)
        notes |= dict.fromkeys(bounds.notes)
        correction = self.corrections.get((device.id, group.op.dtype)) if isinstance(group.op, Gemm) else None
        if correction is None:
            part = self._blend(group, device, bounds, conditions, software, notes)
        else:
            part = corrected(
                correction, software,
                blend=lambda base: self._blend(group, device, bounds, conditions, base, notes),
                base_software=lambda name: self._base_software(name, device, group.op.dtype),
                columns=lambda state: self.error_features(group, device, replace(conditions, cache=state)),
            )  # fmt: skip
        part |= _power(group, device, bounds, part["latency_s"], extras, conditions)
        rows = len(group)
        return part | {
            "terms": bounds.terms,
            "bound": bounds.bound,
            "details": bounds.details,
            "workspace_bytes": np.zeros(rows) if bounds.workspace_bytes is None else bounds.workspace_bytes,
            "algorithm": np.full(rows, None, dtype=object) if bounds.algorithm is None else bounds.algorithm,
        }

    def _blend(
        self,
        group: Group,
        device: Device,
        bounds: Bounds,
        conditions: Conditions,
        software: str | None,
        notes: dict[str, None],
    ) -> dict[str, Any]:
        rows = len(group)
        low, high = self._analytical_interval(group.op)
        log_low, log_high = np.full(rows, low), np.full(rows, high)
        latency, weight = bounds.latency_s, np.zeros(rows)
        chosen = np.full(rows, None, dtype=object)
        found = self._residual(device, group.op.dtype) if isinstance(group.op, Gemm) else None
        if found is not None and isinstance(group.op, Gemm):
            residual, trust = found
            if conditions.clock_hz is not None:
                trust = min(trust, ELSEWHERE_WEIGHT)  # measured at the device's own clock
            choices = residual.choices(software, exact=residual.device == device.id)
            units = Machine.of(device, group.op.dtype, conditions).units
            batch = np.broadcast_to(np.asarray(group.op.batch, dtype=np.float64), (rows,))
            weight = trust * residual.weight(gemm_columns(group.op.products[0], units), batch)
            # Outside the support of all rows the trees are not even read.
            if weight.any():
                correction = self._corrections(group, device, conditions, residual, choices, units)
                fastest: np.ndarray = np.argmin(correction, axis=0)
                latency = bounds.latency_s * np.exp(weight * correction[fastest, np.arange(rows)])
                chosen[weight > 0] = np.array(choices, dtype=object)[fastest][weight > 0]
                own = residual.device == device.id
                learned_low, learned_high = residual.log_interval(latency, sibling=not own)
                # Elsewhere the quantiles already are those of blended predictions.
                share = weight if own else np.minimum(weight / ELSEWHERE_WEIGHT, 1.0)
                log_low = share * learned_low + (1 - share) * log_low
                log_high = share * learned_high + (1 - share) * log_high
                if residual.device == UNSEEN:
                    notes.setdefault(f"{device.id} was not measured: GEMMs lean on what devices of all families share")
                elif not own:
                    notes.setdefault(f"{device.id} was not measured: GEMMs lean on its sibling {residual.device}")
                if residual.dtype != group.op.dtype:
                    notes.setdefault(f"{group.op.dtype} was not measured: GEMMs lean on {residual.dtype}")
                if software is None:
                    notes.setdefault(f"no software was given: GEMMs are for the fastest of {', '.join(choices)}")
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
        }

    def _residual(self, device: Device, dtype: str) -> tuple[Residual, float] | None:
        """The residual for this device, a sibling's (the same compute capability), or that of GPUs that were not measured,
        and how far to trust it.

        Weights with another group size lean on those of the usual one: the kernels are the same.
        """
        trust = 1.0
        for name in dict.fromkeys((dtype, dtype_record(dtype).ungrouped)):
            found = self._residual_of(device, name)
            if found is not None:
                return found[0], trust * found[1]
            trust *= ELSEWHERE_WEIGHT
        return None

    def _residual_of(self, device: Device, dtype: str) -> tuple[Residual, float] | None:
        own = self.residuals.get((device.id, dtype))
        if own is not None:
            return own, 1.0
        if device.compute_capability is None:
            return None
        for key in sorted(self.residuals):
            if key[1] == dtype and _compute_capability(key[0]) == device.compute_capability:
                return self.residuals[key], ELSEWHERE_WEIGHT
        unseen = self.residuals.get((UNSEEN, dtype))
        # Where another arithmetic stands in (bf16 on a V100), so do other kernels.
        native = device.arithmetic(dtype).note is None
        return (unseen, ELSEWHERE_WEIGHT) if unseen is not None and device.vendor in unseen.vendors and native else None

    def _corrections(
        self,
        group: Group,
        device: Device,
        conditions: Conditions,
        residual: Residual,
        choices: Sequence[str],
        units: float,
    ) -> np.ndarray:
        """ln(measured / analytical) under each stack, shape ``[stacks, rows]``.

        The features are those of the cache state in which the stack was measured. The ratio is then applied to the
        analytical latency in the state that was asked for: the physics converts between cache states.
        """
        assert isinstance(group.op, Gemm)
        by_cache: dict[str, dict[str, np.ndarray]] = {}
        corrections = []
        for choice in choices:
            cache = residual.cache[residual.software.index(choice)]
            if cache not in by_cache:
                as_measured = analyse(
                    group, device, constants=self.constants, conditions=replace(conditions, cache=cache)
                )
                by_cache[cache] = residual_columns(group.op, as_measured, units)
            corrections.append(residual.predict(by_cache[cache], choice))
        return np.stack(corrections)

    def without_correction(self, device: Device, dtype: str) -> Predictor:
        """The predictor before any correction of a device's GEMMs."""
        return replace(self, corrections={k: c for k, c in self.corrections.items() if k != (device.id, dtype)})

    def error_features(self, group: Group, device: Device, conditions: Conditions) -> Mapping[str, np.ndarray]:
        """The features by which errors of GEMMs are alike, under the conditions given."""
        assert isinstance(group.op, Gemm)
        bounds = analyse(group, device, constants=self.constants, conditions=conditions)
        return residual_columns(group.op, bounds, Machine.of(device, group.op.dtype, conditions).units)

    def _as_corrected(self, device: Device) -> Device:
        """The device with the constants that its correction was made with, unless it brings its own."""
        for (device_id, _), correction in self.corrections.items():
            if device_id == device.id and correction.calibrated and not device.calibrated:
                return replace(device, calibrated=correction.calibrated)
        return device

    def _analytical_interval(self, op: Operator) -> tuple[float, float]:
        width = float(np.log(ASSUMED_FACTOR))
        measured = self.analytical_log_intervals.get(op.dtype) if isinstance(op, Gemm) else None
        return measured or (-width, width)


_FLOAT_COLUMNS = (
    "latency_s", "latency_low_s", "latency_high_s", "power_w", "power_low_w", "power_high_w", "analytical_s", "floor_s",
    "workspace_bytes",
)  # fmt: skip


def _per_row(values: np.ndarray | None, rows: int, name: str) -> np.ndarray:
    if values is None:
        return np.zeros(rows)
    result = np.asarray(values, dtype=np.float64)
    if result.shape != (rows,):
        raise InputError(f"{name} has the shape {result.shape}; wanted one number for each of the {rows} rows")
    return result


def _compute_capability(device_id: str) -> str | None:
    if device_id == UNSEEN:
        return None
    try:
        return load_device(device_id).compute_capability
    except DeviceError:  # a predictor of a device that only its owner's file describes
        return None


def _groups(ops: Operator | Sequence[Operator] | Mapping[str, Any]) -> tuple[list[Group], int]:
    if isinstance(ops, Mapping):
        groups = from_columns(ops)
    elif isinstance(ops, Operator):
        # One descriptor whose dimensions may be arrays: a sweep.
        shapes = [np.shape(v) for n in ops.dimension_names() if (v := getattr(ops, n)) is not None]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            raise InputError(
                f"the dimensions of {ops.op} differ in length: {sorted({s for s in shapes if s})}"
            ) from None
        if len(shape) > 1:
            raise InputError(f"the dimensions of {ops.op} broadcast to the shape {shape}; wanted numbers or 1-D arrays")
        rows = shape[0] if shape else 1
        if ops.free_dims or not shape:
            groups = stack([ops])
        else:
            changes = {
                n: np.broadcast_to(np.asarray(v, dtype=np.float64), (rows,))
                for n in ops.dimension_names()
                if (v := getattr(ops, n)) is not None
            }
            groups = [Group(ops.replace(**changes), np.arange(rows))]
    else:
        ops = list(ops)
        for index, op in enumerate(ops):
            if not isinstance(op, Operator):
                raise InputError(
                    f"operator {index} is a {type(op).__name__}; wanted a descriptor: {', '.join(FAMILIES)}"
                )
        groups = stack(ops)
    return groups, sum(len(g) for g in groups)


def _power(
    group: Group, device: Device, bounds: Bounds, latency_s: np.ndarray, extras: Extras, conditions: Conditions
) -> dict[str, np.ndarray]:
    rows = len(group)
    product = np.broadcast_to(np.asarray(group.op.product_flops, dtype=np.float64), (rows,))
    other = np.broadcast_to(np.asarray(group.op.flops, dtype=np.float64), (rows,)) - product
    executed = np.broadcast_to(np.asarray(group.op.flops_executed, dtype=np.float64), (rows,))
    total = np.broadcast_to(np.asarray(group.op.flops, dtype=np.float64), (rows,))
    # Causality drops the same share of products and of the rest.
    share = np.divide(executed, total, out=np.ones(rows), where=total > 0)
    arithmetic = device.arithmetic(group.op.dtype)
    dynamic_j = power_model.dynamic_energy_j(
        device,
        arithmetic=arithmetic.name,
        product_flops=(product * share if bounds.product_flops is None else bounds.product_flops) * arithmetic.passes,
        other_flops=other * share + extras.flops,
        dram_bytes=bounds.dram_bytes,
        clock_hz=conditions.clock_hz,
    )
    estimate = power_model.power(device, dynamic_j, latency_s)
    if estimate is None:
        unknown = np.full(rows, np.nan)
        estimate = (unknown, unknown, unknown)
    names = ("power_w", "power_low_w", "power_high_w")
    return dict(zip(names, estimate, strict=True)) | {"dynamic_j": dynamic_j}


def load(predictor: str | Path | Predictor = "default") -> Predictor:
    """A predictor by name or folder.

    Args:
        predictor: ``"default"`` and other shipped names, ``"analytical"`` (the physics alone), or the path of a folder
            that ``perfmodel train`` wrote.

    Raises:
        InputError: no predictor of that name.
        PredictorError: the folder is damaged, was changed, or is too new.
    """
    if isinstance(predictor, Predictor):
        return predictor
    if str(predictor) == "analytical":
        return _analytical()
    return _load_folder(predictor_folder(predictor))


def predictor_folder(predictor: str | Path) -> Path:
    """The folder of a predictor that is given by its path or by a shipped name.

    Raises:
        InputError: there is none.
    """
    from perfmodel._resources import data_path

    path = Path(predictor)
    if isinstance(predictor, Path) or len(path.parts) != 1 or path.is_dir():
        if not path.is_dir():
            raise InputError(
                f"there is no predictor folder {str(predictor)!r}: give a folder that `perfmodel train` wrote"
            )
        return path
    names = [p.name for p in data_path("models").iterdir() if p.is_dir()]
    if str(predictor) not in names:
        known = nearest(str(predictor), [*names, "analytical"])
        raise InputError(f"no predictor is called {str(predictor)!r}: {known} (or give the path of a folder)")
    return data_path("models", str(predictor))


def _pairs_of_numbers(values: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(low), float(high)) for low, high in values)


def _analytical() -> Predictor:
    """The physics alone, with the constants and intervals of the shipped predictor where there is one."""
    try:
        shipped = _load_folder(predictor_folder("default"))
    except (InputError, PredictorError):
        return Predictor()
    return Predictor("analytical", shipped.constants, {}, shipped.analytical_log_intervals, {}, shipped.error_kernel)


def _load_folder(folder: Path) -> Predictor:
    manifest = artefact.read_manifest(folder)
    try:
        unseen = any(entry["device"] == UNSEEN for entry in manifest["boosters"])
        for family in ("gemm", "gemm_unseen") if unseen else ("gemm",):
            if manifest["feature_schemas"][family] != feature_schema(family).sha256:
                raise PredictorError(
                    f"{folder} was trained on other features than this version computes: train it again"
                )
        residuals = {}
        for entry in manifest["boosters"]:
            key = (str(entry["device"]), str(entry["dtype"]))
            residuals[key] = Residual(
                device=key[0],
                dtype=key[1],
                software=tuple(map(str, entry["software"])),
                cache=tuple(map(str, entry["cache"])),
                schema=feature_schema("gemm_unseen" if key[0] == UNSEEN else "gemm"),
                support={k: (float(v[0]), float(v[1])) for k, v in entry["support"].items()},
                quantiles=_pairs_of_numbers(entry["quantiles"]),
                rows=int(entry["rows"]),
                sibling_quantiles=_pairs_of_numbers(entry["sibling_quantiles"])
                if entry.get("sibling_quantiles")
                else None,
                vendors=tuple(map(str, entry.get("vendors", ()))),
                read=partial(artefact.read_file, folder, str(entry["file"]), str(entry["sha256"])),
            )
        intervals = {
            str(dtype): (float(low), float(high)) for dtype, (low, high) in manifest["analytical_log_intervals"].items()
        }
        for dtype, interval in intervals.items():
            if not -np.inf < interval[0] <= 0 <= interval[1] < np.inf:
                raise PredictorError(f"the manifest of {folder} has the interval {interval} for {dtype}, not around 0")
        constants = Constants.from_dict(manifest["constants"])
        corrections = {
            (str(e["device"]), str(e["dtype"])): Correction.from_entry(
                e, partial(artefact.read_file, folder, str(e["file"]), str(e["sha256"]))
            )
            for e in manifest.get("corrections", [])
        }
        kernel = Kernel.from_dict(manifest["error_kernel"]) if "error_kernel" in manifest else ERROR_KERNEL
        return Predictor(folder.name, constants, residuals, intervals, corrections, kernel)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise PredictorError(
            f"the manifest of {folder} lacks something or holds a wrong type: {type(error).__name__} {error}"
        ) from None


__all__ = ["ASSUMED_FACTOR", "FALLBACK", "Estimates", "Predictor", "load"]

"""The predictor: analytical bounds, learned residuals where there is support, blend, interval, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import InputError, PredictorError, checked_keywords, checked_methods, nearest
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact, cap, manifest, protocol
from perfmodel.models import power as power_model
from perfmodel.models.analytical import TERMS, Extras, analyse
from perfmodel.models.blend import ASSUMED_FACTOR, ELSEWHERE_WEIGHT, Learned
from perfmodel.models.bounds import Bounds
from perfmodel.models.clock import LockedClocks
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.corrections import Correction, corrected
from perfmodel.models.estimates import DETAILS, Estimates
from perfmodel.models.families import Family, family_of
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.kernel import Kernel, error_kernel
from perfmodel.models.learned import Key, Residual, software_of, stack_of, variant_of
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.power.learned import LearnedPower
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.models.times import Times
from perfmodel.ops import Operator
from perfmodel.ops.table import Group, groups_of
from perfmodel.plugins import registered


@checked_methods()
@dataclass(frozen=True)
class Predictor:
    """Predicts operators on devices. Get one with :func:`load` (or train one).

    Attributes:
        name: of the predictor's folder, or ``"analytical"``.
        constants: physics constants of GPUs; None means the built-in ones.
        residuals: learned residuals by (family, device id, part); under the device
            :data:`~perfmodel.models.learned.UNSEEN` those for GPUs that were not measured and have no sibling that was.
        analytical_log_intervals: ln offsets of the 90 % interval of the analytical model on an unseen device, by
            :func:`~perfmodel.models.blend.interval_key`; what was not measured takes a factor of :data:`ASSUMED_FACTOR`.
        corrections: what few rows measured on a device add, by (family, device id, part).
        error_kernels: the covariance of errors on devices that were not measured, by family; others take a general one.
        power: what was learned of power.
        host: the kernels of runtimes on processors that were measured by ``perfmodel collect``, which whole models are
            composed of there.
    """

    name: str = "analytical"
    constants: Constants | None = None
    residuals: Mapping[Key, Residual] = field(default_factory=dict)
    analytical_log_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    corrections: Mapping[Key, Correction] = field(default_factory=dict)
    error_kernels: Mapping[str, Kernel] = field(default_factory=dict)
    power: LearnedPower = field(default_factory=LearnedPower)
    host: tuple[HostKernels, ...] = ()

    def __repr__(self) -> str:
        """One line: a trained predictor holds thousands of trees."""
        families = sorted({family for family, *_ in self.residuals})
        learned = f"learned: {', '.join(families)}" if families else "physics alone"
        return f"<Predictor {self.name}: {learned}>"

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
        times: Times | None = None,
    ) -> Estimates:
        """Predictions for one descriptor, a list of them, or a table of columns.

        Args:
            ops: a descriptor (its dimensions may be arrays), a sequence of descriptors, or a mapping of columns (``op``
                and the family's fields; see :func:`perfmodel.ops.table.from_columns`).
            device: a record, an id, or the path of a device TOML.
            software: the stack that runs the operators (``"vllm"``, ``"vllm-0.24.0"``, or one of its kernels,
                ``"sglang-0.5.10:triton"``); None means the fastest of the newest versions that were measured, of a
                correction's rows where there is one.
            cache: state of the last-level cache (:data:`perfmodel.models.machine.CACHES`).
            clock_hz: a pinned clock.
            power_limit_w: a cap below the device's own.
            extra_bytes_read, extra_flops: traffic and vector arithmetic of fused epilogues, shape ``[rows]``.
            times: of the rows, in place of what was learned of such operators.

        Raises:
            InputError: an unknown device, dtype, software or family; a table that lacks a column.
        """
        device = load_device(device) if not isinstance(device, Device) else device
        device = self.as_corrected(device)
        groups, rows = groups_of(ops)
        conditions = Conditions(cache, clock_hz, power_limit_w)
        more_bytes = _per_row(extra_bytes_read, rows, "extra_bytes_read")
        more_flops = _per_row(extra_flops, rows, "extra_flops")
        if times is not None:
            _per_row(times.latency_s, rows, "times")
        out = {name: np.full(rows, np.nan) for name in _FLOAT_COLUMNS}
        terms = {name: np.full(rows, np.nan) for name in TERMS}
        details = {name: np.full(rows, np.nan) for name in DETAILS}
        text = {name: np.full(rows, None, dtype=object) for name in _TEXT_COLUMNS}
        notes: dict[str, None] = {}
        self._check_software(software)
        for group in groups:
            extras = Extras(more_bytes[group.rows], more_flops[group.rows])
            part = self._estimate(group, device, conditions, extras, software, times, notes)
            for name in _FLOAT_COLUMNS:
                out[name][group.rows] = part[name]
            for name, values in part["terms"].items():
                terms[name][group.rows] = values
            for name in part["details"].keys() & details.keys():
                details[name][group.rows] = part["details"][name]
            for name, column in text.items():
                column[group.rows] = part[name]
        return Estimates(**out, **text, terms=terms, details=details, notes=tuple(notes))

    def known_software(self, software: str, device: Device, op: Operator, kernel: str | None = None) -> str | None:
        """The name by which operators like this one know a software on a device.

        Args:
            software: an id.
            device: where it runs.
            op: a descriptor; its settings decide.
            kernel: which kernel of it, where that is known.

        Returns:
            The kernel's variant, the software, its stack, or None where nothing was learned of either.
        """
        correction = self._correction(op, device)
        if correction is not None and (known := correction.known(software, kernel)) is not None:
            return known
        return self._base_software(software, device, op, kernel)

    def _base_software(self, software: str, device: Device, op: Operator, kernel: str | None = None) -> str | None:
        """The same without corrections."""
        found = self._learned.find(op, device)
        if found is None:
            return None
        names = found.residual.software
        if kernel is not None and variant_of(software, kernel) in names:
            return variant_of(software, kernel)
        if software in map(software_of, names):
            return software
        return stack_of(software) if stack_of(software) in map(stack_of, names) else None

    def error_kernel(self, family: Family) -> Kernel:
        """The covariance of a family's errors on devices that were not measured."""
        return self.error_kernels.get(family.name) or error_kernel(family)

    def error_features(self, group: Group, device: Device, conditions: Conditions) -> Mapping[str, np.ndarray]:
        """The features by which errors of like operators are alike, under the conditions given."""
        family = family_of(group.op)
        assert family is not None
        bounds = analyse(group, device, constants=self.constants, conditions=conditions)
        return family.columns(group.op, bounds, Machine.of(device, group.op.dtype, conditions), device)

    def without_correction(self, key: Key) -> Predictor:
        """The predictor before the correction of one (family, device id, part)."""
        return replace(self, corrections={k: c for k, c in self.corrections.items() if k != key})

    def _correction(self, op: Operator, device: Device) -> Correction | None:
        family = family_of(op) if self.corrections else None
        return None if family is None else self.corrections.get((family.name, device.id, family.part(op)))

    def as_corrected(self, device: Device) -> Device:
        """The device with the constants that its corrections were made with, unless it brings its own."""
        for (_, device_id, _), correction in self.corrections.items():
            if device_id == device.id and correction.calibrated and not device.calibrated:
                return replace(device, calibrated=correction.calibrated)
        return device

    @cached_property
    def _learned(self) -> Learned:
        return Learned(self.constants, self.residuals, self.analytical_log_intervals)

    def _learned_there(self, op: Operator, device: Device) -> tuple[str, ...]:
        """The variants that operators like this one were measured under on the very device, corrections aside."""
        found = self._learned.find(op, device)
        return found.residual.software if found is not None and found.trust == 1.0 else ()

    def _check_software(self, software: str | None) -> None:
        """A name that no table of this predictor has is a mistake, wherever it is used."""
        if software is None:
            return
        known = {s for r in self.residuals.values() for s in r.software}
        known |= {s for c in self.corrections.values() for s in c.software}
        known |= {software_of(s) for s in known} | {stack_of(s) for s in known}
        if known and software not in known:
            # Hundreds of names are of one kernel each; only who asks for a kernel is helped by them.
            shown = known if ":" in software else {software_of(s) for s in known}
            raise InputError(f"unknown software {software!r}: {nearest(software, shown)}")

    def _estimate(
        self,
        group: Group,
        device: Device,
        conditions: Conditions,
        extras: Extras,
        software: str | None,
        times: Times | None,
        notes: dict[str, None],
    ) -> dict[str, Any]:
        """The columns of the estimates of a group's rows."""
        cap_w = conditions.power_limit_w
        if (why := cap.without_effect(device, cap_w)) is not None:
            notes[why] = None
        bounds, free = self._free(group, device, Conditions(conditions.cache), extras, software, times, notes)
        interval = self._learned.interval(group.op)
        clocks = LockedClocks(group, device, self.constants, extras, conditions.cache, interval, bounds, free)
        if cap_w is not None and cap.binds(device, cap_w):
            return cap.under_cap(clocks, cap_w, conditions.clock_hz, notes)
        return free if conditions.clock_hz is None else clocks.at(conditions.clock_hz)

    def _free(
        self,
        group: Group,
        device: Device,
        conditions: Conditions,
        extras: Extras,
        software: str | None,
        times: Times | None,
        notes: dict[str, None],
    ) -> tuple[Bounds, dict[str, Any]]:
        """What the analytical model says of a group's rows where nothing holds the clock, and the columns of the estimates."""
        bounds = analyse(group, device, constants=self.constants, conditions=conditions, extras=extras)
        notes |= dict.fromkeys(bounds.notes)
        fused = bool(extras.bytes_read.any() or extras.flops.any())
        correction = self._correction(group.op, device)
        if times is not None:
            as_measured = bounds
            if times.cache != conditions.cache:
                there = replace(conditions, cache=times.cache)
                as_measured = analyse(group, device, constants=self.constants, conditions=there, extras=extras)
            part = times.columns(group.rows, bounds, as_measured)
        elif correction is None:
            part = self._learned.blend(group, device, bounds, conditions, software, notes, fused=fused)
        else:
            part = corrected(
                correction, software,
                blend=lambda base: self._learned.blend(group, device, bounds, conditions, base, notes, fused=fused),
                base_software=lambda name: self._base_software(name, device, group.op),
                columns=lambda state: self.error_features(group, device, replace(conditions, cache=state)),
                learned=self._learned_there(group.op, device),
            )  # fmt: skip
        part |= power_model.of_group(
            group, device, bounds, part["latency_s"], extras, conditions,
            latency_low_s=part["latency_low_s"], latency_high_s=part["latency_high_s"],
        )  # fmt: skip
        part |= self.power.blend(group, device, bounds, extras, conditions, part, self.constants)
        rows = len(group)
        part.pop("columns", None)
        return bounds, part | {
            "terms": bounds.terms,
            "bound": bounds.bound,
            "details": bounds.details,
            "workspace_bytes": np.zeros(rows) if bounds.workspace_bytes is None else bounds.workspace_bytes,
            "algorithm": np.full(rows, None, dtype=object) if bounds.algorithm is None else bounds.algorithm,
        }


_FLOAT_COLUMNS = (
    "latency_s", "latency_low_s", "latency_high_s", "power_w", "power_low_w", "power_high_w", "analytical_s", "floor_s",
    "workspace_bytes", "energy_low_j", "energy_high_j",
)  # fmt: skip
_TEXT_COLUMNS = ("bound", "source", "software", "algorithm", "power_source")


def _per_row(values: np.ndarray | None, rows: int, name: str) -> np.ndarray:
    if values is None:
        return np.zeros(rows)
    result = np.asarray(values, dtype=np.float64)
    if result.shape != (rows,):
        raise InputError(f"{name} has the shape {result.shape}; wanted one number for each of the {rows} rows")
    return result


@checked_keywords()
def load(predictor: str | Path | PredictorProtocol = "default") -> PredictorProtocol:
    """A predictor by name or folder.

    Args:
        predictor: ``"default"`` and other shipped names, ``"analytical"`` (the physics alone), the path of a folder that
            ``perfmodel train`` wrote, or a name that an installed package registers
            (:data:`perfmodel.models.protocol.GROUP`). A folder of that name comes before a shipped predictor, and that
            before a registered one.

    Raises:
        InputError: no predictor of that name.
        PredictorError: the folder is damaged, was changed, or is too new; a registered predictor cannot be loaded.
    """
    # A protocol's check looks at every attribute: ours and names go first.
    if isinstance(predictor, Predictor):
        return predictor
    if not isinstance(predictor, (str, Path)) and isinstance(predictor, PredictorProtocol):
        return predictor
    if not isinstance(predictor, (str, Path)):
        raise InputError(f"a predictor is given by its name or its folder, or is one; got {type(predictor).__name__}")
    if str(predictor) == "analytical":
        return _analytical()
    folder = predictor_folder(predictor)
    if folder is not None:
        return _load_once(folder) if _ships(folder) else _load_folder(folder)
    found = protocol.load_registered(str(predictor))
    if found is None:
        names = [*_shipped(), "analytical", *registered(protocol.GROUP)]
        raise InputError(
            f"no predictor is called {str(predictor)!r}: {nearest(str(predictor), names)} (or give the path of a folder)"
        )
    return found


def load_trained(predictor: str | Path | PredictorProtocol = "default") -> Predictor:
    """:func:`load` for those who need the constants and residuals of a predictor that ``perfmodel train`` wrote.

    Raises:
        InputError: also a predictor of another package, which has neither.
    """
    loaded = load(predictor)
    if not isinstance(loaded, Predictor):
        raise InputError(
            f"the predictor {loaded.name!r} is a {type(loaded).__name__} of another package, without physics constants: "
            "wanted one that `perfmodel train` wrote"
        )
    return loaded


def predictor_folder(predictor: str | Path) -> Path | None:
    """The folder that a path or a shipped name means; None for any other plain name."""
    from perfmodel._resources import data_path

    path = Path(predictor)
    if isinstance(predictor, Path) or len(path.parts) != 1 or path.is_dir():
        if not path.is_dir():
            raise InputError(
                f"there is no predictor folder {str(predictor)!r}: give a folder that `perfmodel train` wrote"
            )
        return path
    return data_path("models", str(predictor)) if str(predictor) in _shipped() else None


def _ships(folder: Path) -> bool:
    from perfmodel._resources import data_path

    return folder.parent == data_path("models") and (folder / artefact.MANIFEST).is_file()


def _load_once(folder: Path) -> Predictor:
    """A predictor that is read once while its manifest stays: a compiler asks for it by name thousands of times."""
    stamp = (folder / artefact.MANIFEST).stat()
    return _kept(folder, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _kept(folder: Path, mtime_ns: int, size: int) -> Predictor:
    return _load_folder(folder)


def _shipped() -> list[str]:
    from perfmodel._resources import data_path

    # A ranker stands beside them, with a manifest of its own name.
    return [p.name for p in data_path("models").iterdir() if (p / artefact.MANIFEST).is_file()]


def _analytical() -> Predictor:
    """The physics alone, with the constants and intervals of the shipped predictor where there is one."""
    from perfmodel._resources import data_path

    try:
        shipped = _load_folder(data_path("models", "default"))
    except (InputError, PredictorError):
        return Predictor()
    return Predictor(
        "analytical",
        shipped.constants,
        {},
        shipped.analytical_log_intervals,
        {},
        shipped.error_kernels,
        LearnedPower({}, shipped.power.intervals),
    )


def _load_folder(folder: Path) -> Predictor:
    contents = manifest.read(folder)
    return Predictor(
        folder.name,
        contents.constants,
        contents.residuals,
        contents.intervals,
        contents.corrections,
        contents.error_kernels,
        contents.power,
        contents.host,
    )


__all__ = [
    "ASSUMED_FACTOR",
    "DETAILS",
    "ELSEWHERE_WEIGHT",
    "FALLBACK",
    "Estimates",
    "Predictor",
    "load",
    "load_trained",
    "predictor_folder",
]

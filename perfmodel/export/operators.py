"""The prediction of one family's operators in one format on one device, recorded from the predictor itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import InputError, PerfmodelError, checked_keywords, checked_methods, nearest
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.models.analytical import Extras, analyse
from perfmodel.models.blend import Learned, compute_capability
from perfmodel.models.learned import Residual
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor, load_trained
from perfmodel.ops import FAMILIES
from perfmodel.ops.base import Operator
from perfmodel.ops.table import Group
from perfmodel.recording.program import Program
from perfmodel.recording.recorded import SAMPLE_ROWS, Recorded, UnrecordableError, recorded

OUTPUTS = {
    "latency_s": "seconds of one execution",
    "latency_low_s": "lower end of the 90 % interval, seconds",
    "latency_high_s": "upper end of the 90 % interval, seconds",
    "analytical_s": "seconds by the physics alone",
    "floor_s": "no execution can be faster, seconds",
}
"""What an exported operator gives, with units."""
AT_LEAST = "at_least_s"
"""Input of the inner program of a batch: what half the batch takes."""
_LARGEST_SAMPLE = {"batch": 6, "m": 13, "n": 13, "k": 13, "q_len": 13, "kv_len": 15, "tokens": 13, "message_bytes": 30}
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Halving:
    """A batch takes no less than half of it, and that no less than half of that: the program is run from the smallest up.

    Attributes:
        largest: above it, batches are halved until they are at most so large before the first is looked at.
    """

    largest: float


@checked_methods()
@dataclass(frozen=True)
class Export:
    """A computation ready to be written as an artefact.

    Attributes:
        name: of the function, a C identifier.
        title: what it computes, one line.
        program: of one row.
        inputs: name to meaning, with units.
        outputs: the same of what it gives.
        halving: how a batch is run; None where the program is run once.
        refusals: reasons by code where ``refused`` is among the program's outputs, the first for what can run.
        notes: what the figures lean on.
    """

    name: str
    title: str
    program: Program
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    halving: Halving | None = None
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Trees:
    """A booster that records that it was asked."""

    def __init__(self, booster: Any) -> None:
        self._booster, self.features = booster, booster.features

    def predict(self, matrix: Recorded) -> Recorded:
        plain = self._booster.predict(matrix.view(np.ndarray))
        return recorded(matrix.program, plain, matrix.program.trees(self._booster, matrix.value))


class _Residual(Residual):
    """A residual whose trees are recorded."""

    @cached_property
    def booster(self) -> Any:
        return _Trees(super().booster)


@dataclass(frozen=True)
class _Learned(Learned):
    """What was learned, of which batches are not compared with half of them: the artefact does that."""

    at_least: Any = None
    largest: list[float] = dataclasses.field(default_factory=list)

    def _not_faster_than_half(self, latency: Any, *given: Any) -> Any:
        if self.at_least is None:
            return latency
        self.largest.append(float(given[-1]))
        return np.maximum(latency, self.at_least)


@checked_keywords()
def operator(
    predictor: Predictor | str | Path, device: Device | str, op: str, dtype: str, *, settings: Mapping[str, Any] | None = None,
    software: str | None = None, cache: str = "rotating", name: str | None = None,
) -> Export:  # fmt: skip
    """Records the prediction of a family's operators.

    Args:
        predictor: its name, its folder, or the object; one that `perfmodel train` wrote.
        device: its id, its TOML, or its record.
        op: the family (``"gemm"``).
        dtype: the number format.
        settings: further fields of the descriptor: those that are no dimensions, and optional dimensions by ``True`` where
            they are to be inputs.
        software: as in :meth:`Predictor.predict`.
        cache: the same.
        name: of the C function; None means one made of family, format and device.

    Raises:
        InputError: what cannot be exported, with the reason.
    """
    predictor = load_trained(predictor)
    record = device if isinstance(device, Device) else load_device(device)
    family = family_of_name(op)
    if any(key[1] == record.id and key[0] == op for key in predictor.corrections):
        raise InputError(
            f"{op} on {record.id} leans on few measurements of its own (perfmodel.transfer), which cannot be exported: "
            "train a predictor on them, or export the one before"
        )
    record = predictor.as_corrected(record)  # what it predicts of other families there has their constants
    predictor._check_software(software)
    _refuse_sets(predictor, family, dtype, record)
    program = Program()
    fields, sample = recorded_fields(family, settings or {}, program)
    rows, conditions, notes = np.arange(SAMPLE_ROWS), Conditions(cache), dict[str, None]()
    nothing = np.zeros(SAMPLE_ROWS)
    at_least = recorded(program, nothing, program.input(AT_LEAST))
    single = (settings or {}).get("batch", True)
    if single is not True and single != 1:
        raise InputError(f"batch is fixed at {single}: fix it at 1, or let it be an input")
    residuals = {key: _recording(r) for key, r in predictor.residuals.items()}
    learned = _Learned(
        predictor.constants, residuals, predictor.analytical_log_intervals, at_least if single is True else None
    )
    try:
        group = Group(family(dtype=dtype, **fields), rows)
        bounds = analyse(
            group, record, constants=predictor.constants, conditions=conditions, extras=Extras(nothing, nothing)
        )
        part = learned.blend(group, record, bounds, conditions, software, notes, fused=False)
        for output in OUTPUTS:
            if not isinstance(part[output], Recorded):  # the same in all rows
                part[output] = np.where(at_least >= 0.0, part[output], 0.0)
            program.outputs[output] = part[output].value
    except (UnrecordableError, TypeError) as error:
        raise InputError(
            f"{op} in {dtype} on {record.id} cannot be exported, since its models choose among algorithms by sets of rows, or "
            f"draw numbers ({error})"
        ) from None
    halving = Halving(learned.largest[0]) if learned.largest else None
    if halving is None:
        program.inputs.remove(AT_LEAST)
    name = name or identifier("perfmodel", op, dtype, *_texts(settings or {}), record.id)
    inputs = {n: f"whole number of 0 or more: {n} of the descriptor" for n in program.inputs if n != AT_LEAST}
    told = ", ".join([dtype, *(f"{k} {v}" for k, v in (settings or {}).items() if v is not True), f"cache {cache}"])
    export = Export(
        name, f"Latency of {op} ({told}) on {record.id}", program, inputs, OUTPUTS, halving,
        notes=(*dict.fromkeys((*bounds.notes, *notes)),),
    )  # fmt: skip
    _verify(export, part, predictor, family(dtype=dtype, **{**fields, **sample}), record, software, cache)
    return export


def _refuse_sets(predictor: Predictor, family: type[Operator], dtype: str, device: Device) -> None:
    """Refuses what a recording does not follow: some convolutions lean on trees of their own, others on products'."""
    own = [key for key in predictor.residuals if key[0] == family.op == "conv" and key[2] == dtype]
    if any(k[1] == device.id or compute_capability(k[1]) == device.compute_capability is not None for k in own):
        raise InputError(
            f"conv in {dtype} on {device.id} cannot be exported: whether measured convolutions or products correct it is "
            "decided row by row, which a recording does not follow"
        )


def _verify(
    export: Export, part: Mapping[str, Any], predictor: Predictor, op: Operator, device: Device, software: str | None,
    cache: str,
) -> None:  # fmt: skip
    """The recorded path on the sample rows against the predictor's own: none of its short cuts was one for some rows only."""
    estimates = predictor.predict(op, device, software=software, cache=cache)
    # Batches, whose halves are not looked at while recording, are compared by what the physics says.
    single = (
        np.asarray(np.broadcast_to(getattr(op, "batch", 1.0), (SAMPLE_ROWS,))) <= 1 if export.halving else slice(None)
    )
    for output in OUTPUTS:
        mine, theirs = (np.asarray(v)[single] for v in (part[output], getattr(estimates, output)))
        if not np.allclose(mine, theirs, rtol=_TOLERANCE, atol=0.0):
            raise PerfmodelError(f"{export.name}: {output} as recorded differs from the predictor's: please report it")


def family_of_name(op: str) -> type[Operator]:
    """The family of descriptors of that name.

    Raises:
        InputError: there is none.
    """
    if op not in FAMILIES:
        raise InputError(f"{op!r} is no operator family: {nearest(op, FAMILIES)}")
    return FAMILIES[op]


def recorded_fields(
    family: type[Operator], settings: Mapping[str, Any], program: Program
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The descriptor's fields with recorded dimensions, and the same dimensions as plain arrays.

    Raises:
        InputError: a setting that the family has not.
    """
    known = {f.name: f for f in dataclasses.fields(family) if f.name != "dtype"}
    for name in settings:
        if name not in known:
            raise InputError(f"{family.op} has no field {name!r}: {nearest(name, known)}")
    rng = np.random.default_rng(0)
    fields: dict[str, Any] = {}
    sample: dict[str, np.ndarray] = {}
    for name in family.dimension_names():
        given = settings.get(name)
        if known[name].default is None and given is None:
            continue
        if given is not None and given is not True:
            fields[name] = given
            continue
        numbers = np.floor(2.0 ** rng.uniform(0, _LARGEST_SAMPLE.get(name, 10), SAMPLE_ROWS))
        if family.op == "conv":
            numbers = _convolution(name, numbers)
        sample[name] = numbers
        fields[name] = recorded(program, numbers, program.input(name))
    fields |= {n: v for n, v in settings.items() if n not in family.dimension_names()}
    return fields, sample


def _convolution(name: str, numbers: np.ndarray) -> np.ndarray:
    """Samples of a convolution's dimension that no other contradicts: kernels within the image, channels that groups divide."""
    if name in ("c_in", "c_out"):
        return 4 * numbers
    if name in ("h", "w", "depth"):
        return 64 + numbers
    kind = name.split("_", maxsplit=1)[0]
    return numbers % {"batch": 64, "kernel": 3, "stride": 2, "groups": 2}.get(kind, 1) + (kind not in ("pad", "out"))


def _recording(residual: Residual) -> Residual:
    return _Residual(**{f.name: getattr(residual, f.name) for f in dataclasses.fields(residual)})


def _texts(settings: Mapping[str, Any]) -> list[str]:
    return [str(v) for v in settings.values() if isinstance(v, str)]


def identifier(*parts: str) -> str:
    """A C identifier of parts."""
    text = "_".join(parts)
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)

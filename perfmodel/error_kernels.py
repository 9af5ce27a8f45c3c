"""Learning, for each operator family, what the errors on an unmeasured device look like: from devices that were left out.

    rows that the protocol `family` left out → a sample of each part, with the predictions made without its family
           → (GEMMs) the device calibrated on other rows of it, as its owner would → covariance of what is left

A correction of a few rows begins with this covariance instead of a general one (:mod:`perfmodel.models.corrections`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perfmodel.calibrate import Measured, described, fit_device, fleet_constants, with_predictions
from perfmodel.hardware import Device, load_device
from perfmodel.models.constants import Constants
from perfmodel.models.families import Family
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.kernel import Kernel, general_kernel
from perfmodel.models.kernel_fit import Sample, fit_kernel
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part
from perfmodel.transfer import FAMILY, LeftOut

ROWS = 160
"""Rows of each part that are looked at; the effort grows with their cube."""
CALIBRATION_ROWS = 100
"""Rows of each device that its constants are calibrated on; none of them is looked at afterwards."""
FEWEST_ROWS = 40
"""A part of fewer rows says too little."""
FEWEST_FAMILIES = 2
"""Hardware families that must have been left out: one alone says nothing of what differs between them."""
_STEPS = 25
_DIGITS = 4
"""Significant digits that are kept: the search amplifies rounding, and no more of them mean anything."""

_Drawn = tuple[Part, np.ndarray]


def learn_error_kernels(
    parts: Sequence[Part],
    left_out: Sequence[LeftOut],
    constants: Constants,
    *,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Kernel]:
    """The covariance of errors of each family that enough hardware families were left out of.

    Args:
        parts: everything that was measured.
        left_out: the rows of the same parts as :func:`perfmodel.transfer.leave_out` gives them under ``family``; those that
            a sibling predicted are not used.
        constants: physics constants that features and calibrations are computed with.
        seed: of the samples.
        report: receives a line for each family.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    predicted = _by_table([p for p in left_out if p.kind == FAMILY])
    kernels = {}
    for family in {p.family.name: p.family for p in parts if p.family is not None}.values():
        mine = [p for p in parts if p.family is family]
        samples, families = _samples(family, mine, predicted, constants, seed)
        if len(families) < FEWEST_FAMILIES:
            continue
        start = general_kernel(family).restricted(tuple(samples[0].points.columns))
        kernels[family.name] = _rounded(fit_kernel(samples, start, steps=_STEPS))
        report(f"{family.name}: covariance of errors from {len(samples)} parts of {len(families)} hardware families")
    return kernels


_Table = tuple[str, str, str, str, str]


def _by_table(left_out: Sequence[LeftOut]) -> dict[_Table, LeftOut]:
    return {(*p.rows.booster, p.rows.device, p.rows.software, p.rows.dtype): p for p in left_out}


def _predictions(part: Part, predicted: Mapping[_Table, LeftOut]) -> np.ndarray:
    """Seconds predicted for each row of a part by what saw nothing of its family; NaN where it was not left out."""
    result = np.full(len(part.rows), np.nan)
    software, dtype = (part.rows[c].astype(str).to_numpy(dtype=object) for c in ("software", "dtype"))
    measured, device = part.rows["latency_s"].to_numpy(dtype=np.float64), load_device(part.device).id
    for s, d in sorted({*zip(software.tolist(), dtype.tolist(), strict=True)}):
        judged = predicted.get((part.name, part.part, device, s, d))
        rows = np.flatnonzero((software == s) & (dtype == d))
        # Rows of a table are judged in its order; another sample of it would be another matter.
        if judged is not None and np.array_equal(judged.rows.measured, measured[rows]):
            result[rows] = judged.rows.predicted
    return result


def _samples(
    family: Family, parts: Sequence[Part], predicted: Mapping[_Table, LeftOut], constants: Constants, seed: int
) -> tuple[list[Sample], set[str]]:
    """Errors of each part, and the hardware families that they are of."""
    by_device: dict[str, list[_Drawn]] = {}
    for part in parts:
        latency = _predictions(part, predicted)
        known = np.flatnonzero(np.isfinite(latency))
        if len(known) < FEWEST_ROWS:
            continue
        rng = np.random.default_rng([seed, len(by_device.setdefault(part.device, []))])
        known = rng.permutation(known)[: ROWS + (CALIBRATION_ROWS if family is GEMM else 0)]
        by_device[part.device].append((replace(part, rows=part.rows.iloc[known]), latency[known]))
    samples: list[Sample] = []
    families = set()
    for name, drawn in by_device.items():
        device = load_device(name)
        if family is GEMM and device.kind == "gpu":
            samples += _calibrated_samples(drawn, device, constants, seed)
        else:
            errors = [with_predictions(p, described(p, device, constants), latency) for p, latency in drawn]
            samples += [Sample(m.points, m.error) for m in errors]
        families.add(device.family)
    return samples, families


def _calibrated_samples(drawn: Sequence[_Drawn], device: Device, constants: Constants, seed: int) -> list[Sample]:
    """What is left of the errors of a device's parts once other rows of theirs calibrated its constants."""
    plain = replace(device, calibrated={})
    predictor = Predictor(constants=constants)
    each = -(-CALIBRATION_ROWS // len(drawn))
    first = [(p, latency, min(each, len(latency) // 2)) for p, latency in drawn]
    fitted = [_errors(p, latency, slice(count), plain, constants) for p, latency, count in first]
    values, _, _ = fit_device(fitted, plain, predictor, fleet_constants(plain, predictor), seed)
    calibrated = replace(plain, calibrated=values)
    samples = []
    for part, latency, count in first:
        rest = slice(count, count + ROWS)
        before = _errors(part, latency, rest, plain, constants)
        after = _errors(part, latency, rest, calibrated, constants)
        samples.append(Sample(after.points, after.error - np.log(after.analytical_s / before.analytical_s)))
    return samples


def _errors(part: Part, predicted: np.ndarray, rows: slice, device: Device, constants: Constants) -> Measured:
    some = replace(part, rows=part.rows.iloc[rows])
    return with_predictions(some, described(some, device, constants), predicted[rows])


def _rounded(kernel: Kernel) -> Kernel:
    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: of(v) for k, v in value.items()}
        if isinstance(value, list):
            return [of(v) for v in value]
        return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value

    return Kernel.from_dict(of(kernel.to_dict()))

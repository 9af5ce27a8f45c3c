"""Corrections: what a few rows measured on a device say about the errors of a predictor that never saw it.

A Gaussian process over ln(measured / predicted), with a covariance that was learned on other devices
(:mod:`perfmodel.models.kernel`). Near the measured rows it takes their errors over, away from them it returns to the prediction
as it was, and everywhere it says how sure it is.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from perfmodel.errors import PredictorError
from perfmodel.hardware.fields import CALIBRATED_FIELDS
from perfmodel.models import artefact
from perfmodel.models.kernel import Kernel, Points, error_columns
from perfmodel.models.learned import MOST_WIDTH, Key, stack_of, variant_of, variants_for
from perfmodel.models.trees import MOST_LN

OUTLIER = 2.0
"""Standard deviations by which a row may miss what the others say before it loses weight (Student's t in effect)."""
_ERROR_LIMIT = 0.6
_REWEIGHTINGS = 4
_NINETY = 1.645
"""Standard normal quantile of a two-sided 90 % interval."""
_PSEUDO_ROWS = 20
"""Rows that a prior belief is worth: in the width that left-out rows ask for, and in how far a correction reaches."""
_INTERVAL_ROWS = 50
"""Rows that the interval of the uncorrected prediction is worth: with them the 90 % interval covers 96 % of the other rows of
bf16 GEMM tables of left-out families after 20 rows, 94 % after 200, and of the worst table 87 and 88 %."""
AMPLITUDES = (0.05, 0.25, 0.5, 1.0, 2.0)
NOISES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""By how much the covariance and the noise of a device may differ from those of the measured ones."""
_SURE_WEIGHT = 0.9
_MAX_BYTES = 64 * 2**20
_CHUNK = 20_000
_MOST_FEATURE = 1e9
"""Features are logarithms, shares and remainders; noise is a variance of logarithms."""


@dataclass(frozen=True)
class Correction:
    """The correction of one operator family and part (its dtype) on one device.

    Attributes:
        device, family, part: what it corrects.
        software: the stacks that were measured.
        cache: the state of the last-level cache in which each stack's rows were measured.
        kernel: the covariance.
        calibrated: the device's calibrated constants when it was made; empty where there were none.
        rows: measured rows.
        read: gives the stored points.
    """

    device: str
    family: str
    part: str
    software: tuple[str, ...]
    cache: tuple[str, ...]
    kernel: Kernel
    calibrated: Mapping[str, float]
    rows: int
    read: Callable[[], bytes]
    width: float = 1.0
    """What the standard deviation is multiplied by, so that left-out rows lie inside as often as they should."""

    def __post_init__(self) -> None:
        if not self.software or len(self.cache) != len(self.software):
            raise PredictorError(f"the correction of {self.device} {self.part} is damaged: one cache state a software")
        if not 0 < self.width <= MOST_WIDTH:
            raise PredictorError(f"the correction of {self.device} {self.part} is damaged: width {self.width!r}")

    def to_entry(self) -> dict[str, Any]:
        """The correction's entry of a manifest, without its file."""
        return {
            "family": self.family, "device": self.device, "part": self.part, "software": list(self.software),
            "cache": list(self.cache), "kernel": self.kernel.to_dict(), "calibrated": dict(self.calibrated),
            "rows": self.rows, "width": self.width,
        }  # fmt: skip

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], read: Callable[[], bytes]) -> Self:
        """The inverse of :meth:`to_entry`; ``read`` gives the bytes of its file."""
        calibrated = {str(name): float(value) for name, value in entry["calibrated"].items()}
        if not calibrated.keys() <= CALIBRATED_FIELDS.keys() or not all(
            0 < v < float("inf") for v in calibrated.values()
        ):
            raise PredictorError(f"the correction of {entry['device']} holds calibrated constants that are none")
        return cls(
            device=str(entry["device"]), family=str(entry["family"]), part=str(entry["part"]),
            software=tuple(map(str, entry["software"])), cache=tuple(map(str, entry["cache"])),
            kernel=Kernel.from_dict(entry["kernel"]), calibrated=calibrated, rows=int(entry["rows"]), read=read,
            width=float(entry["width"]),
        )  # fmt: skip

    @cached_property
    def _points(self) -> tuple[Points, np.ndarray, np.ndarray]:
        return unpacked(self.read(), f"the correction of {self.device} {self.part}")

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        points, error, noise = self._points
        try:
            inverse = np.linalg.inv(self.kernel.covariance(points, points) + np.diag(noise))
        except np.linalg.LinAlgError as problem:
            raise PredictorError(f"the correction of {self.device} {self.part} is damaged: {problem}") from None
        return inverse, inverse @ error

    @property
    def points(self) -> Points:
        """The measured rows."""
        return self._points[0]

    @property
    def error(self) -> np.ndarray:
        """ln(measured / predicted) of each, limited."""
        return self._points[1]

    def predict(self, columns: Mapping[str, np.ndarray], software: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What to add to the logarithm of a prediction.

        Args:
            columns: the features of the rows in the cache state in which ``software`` was measured.
            software: any id; one that was not measured shares what its stack, or all stacks, have in common.

        Returns:
            The mean; its standard deviation with the noise of one measurement; and how much of what was unknown before is
            known now, 0 to 1; each of shape ``[rows]``.
        """
        rows = len(next(iter(columns.values())))
        points = Points(error_columns(columns), np.full(rows, software, dtype=object))
        inverse, weighted = self._solved
        mean, left = np.empty(rows), np.empty(rows)
        before = self.kernel.variance(points)
        for start in range(0, rows, _CHUNK):
            index = np.arange(start, min(start + _CHUNK, rows))
            between = self.kernel.covariance(points.part(index), self.points)
            mean[index] = between @ weighted
            left[index] = before[index] - np.einsum("ij,ij->i", between @ inverse, between)
        if not (np.abs(mean) <= MOST_LN).all():
            raise PredictorError(
                f"the correction of {self.device} {self.part} is damaged: it predicts no ratio of two times"
            )
        left = np.clip(left, 0.0, before)
        known = 1 - np.divide(left, before, out=np.ones(rows), where=before > 0)
        mean *= _trust(known, self.rows)
        deviation: np.ndarray = self.width * np.sqrt(left + self.kernel.noise_variance(points))
        return mean, deviation, known

    @property
    def key(self) -> Key:
        """Family, device id, part."""
        return self.family, self.device, self.part

    def choices(self, software: str | None) -> tuple[str, ...] | None:
        """The measured variants that a prediction is for; None where another stack than those was asked for."""
        return variants_for(software, self.software) or None

    def known(self, software: str, kernel: str | None) -> str | None:
        """The name by which the correction knows a software: the kernel's variant, its own, its stack's, or None."""
        if kernel is not None and variant_of(software, kernel) in self.software:
            return variant_of(software, kernel)
        return next((name for name in (software, stack_of(software)) if self.choices(name) is not None), None)

    def cache_of(self, software: str) -> str:
        """The cache state in which a software, its stack, or else the first one was measured."""
        by_software = dict(zip(self.software, self.cache, strict=True))
        by_stack = {stack_of(s): c for s, c in by_software.items()}
        return by_software.get(software) or by_stack.get(stack_of(software)) or self.cache[0]


def packed(points: Points, error: np.ndarray, noise: np.ndarray, names: Sequence[str]) -> bytes:
    """Gzipped JSON of measured rows: features ``names``, software, errors, noise variances, and shapes where they are known."""
    software = sorted(set(points.software.tolist()))
    value = {
        "columns": {name: points.columns[name].tolist() for name in names},
        "software": software,
        "software_of_row": [software.index(s) for s in points.software.tolist()],
        "error": error.tolist(),
        "noise": noise.tolist(),
    } | ({} if points.shapes is None else {"shapes": [f"{shape:016x}" for shape in points.shapes.tolist()]})
    return artefact.compress(json.dumps(value, separators=(",", ":"), allow_nan=False).encode())


def unpacked(data: bytes, name: str) -> tuple[Points, np.ndarray, np.ndarray]:
    """The inverse of :func:`packed`.

    Raises:
        PredictorError: the bytes are no such table.
    """
    try:
        inflater = zlib.decompressobj(wbits=31)
        text = inflater.decompress(data, _MAX_BYTES)
        if inflater.unconsumed_tail:
            raise PredictorError(f"{name} unpacks to more than {_MAX_BYTES >> 20} MiB")
        value = json.loads(text)
        columns = {str(k): _column(v) for k, v in value["columns"].items()}
        software = np.array([value["software"][i] for i in value["software_of_row"]], dtype=object)
        error, noise = (_column(value[k]) for k in ("error", "noise"))
        shapes = np.array([int(s, 16) for s in value["shapes"]], dtype=np.uint64) if "shapes" in value else None
    except (
        zlib.error,
        gzip.BadGzipFile,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as problem:
        raise PredictorError(f"{name} is damaged: {type(problem).__name__} {problem}") from None
    lengths = {
        len(software),
        len(error),
        len(noise if shapes is None else shapes),
        len(noise),
        *map(len, columns.values()),
    }
    sane = all((np.abs(v) <= _MOST_FEATURE).all() for v in columns.values()) and (np.abs(error) <= MOST_LN).all()
    if len(lengths) != 1 or not lengths.pop() or not sane or not ((noise > 0) & (noise <= _MOST_FEATURE)).all():
        raise PredictorError(
            f"{name} is damaged: wanted columns of one length and numbers up to {_MOST_FEATURE:g}, errors that are logarithms, "
            "and noise above 0"
        )
    return Points(columns, software, shapes), error, noise


def _column(values: Any) -> np.ndarray:
    column = np.array(values, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"wanted a list of numbers, got {str(values)!r:.40}")
    return column


@dataclass(frozen=True)
class Fitted:
    """A correction before it is stored; arrays of shape ``[rows]``.

    Attributes:
        kernel: the covariance, its amplitude and noise suited to the device.
        error: the errors that it is made of, limited.
        noise: noise variance of each row, larger for outliers.
        left_out: what the other rows say of each row's error.
        deviation: the standard deviation of that.
        width: see :class:`Correction`.
    """

    kernel: Kernel
    error: np.ndarray
    noise: np.ndarray
    left_out: np.ndarray
    deviation: np.ndarray
    width: float

    @property
    def half_width(self) -> np.ndarray:
        """Half the 90 % interval of each left-out row, in ln."""
        result: np.ndarray = _NINETY * self.width * self.deviation
        return result


def fit_correction(points: Points, error: np.ndarray, kernel: Kernel) -> Fitted:
    """Suits the covariance to a device's own rows.

    How large errors are and how noisy measurements are may differ from the devices that the covariance was learned on: of a
    few factors each, those are taken under which the rows are likeliest given a prior that prefers none. Rows that the
    others contradict lose weight.

    Args:
        points: the measured rows, at least one.
        error: ln(measured / predicted), shape ``[rows]``.
        kernel: learned on other devices.
    """
    error = np.clip(error, -_ERROR_LIMIT, _ERROR_LIMIT)
    usual = kernel.restricted(tuple(points.columns))
    covariance, noise = usual.covariance(points, points), usual.noise_variance(points)
    best: tuple[float, Fitted] | None = None
    for amplitude in AMPLITUDES:
        for louder in NOISES:
            own = noise * louder
            inverse = np.linalg.inv(amplitude * covariance + np.diag(own))
            missed, deviation = _left_out(inverse, error, own, noise * louder)
            for _ in range(_REWEIGHTINGS):
                own = noise * louder * np.maximum(1.0, np.abs(missed) / deviation / OUTLIER) ** 2
                inverse = np.linalg.inv(amplitude * covariance + np.diag(own))
                missed, deviation = _left_out(inverse, error, own, noise * louder)
            score = _score(missed, deviation) + _prior(amplitude, louder)
            if best is None or score > best[0]:
                left = np.maximum(deviation**2 - noise * louder, 0.0)
                known = 1 - np.minimum(left / (amplitude * np.diag(covariance)), 1.0)
                left_out = _trust(known, len(error) - 1) * (error - missed)
                width = _width(error - left_out, deviation)
                best = score, Fitted(_scaled(usual, amplitude, louder), error, own, left_out, deviation, width)
    assert best is not None
    return best[1]


def _trust(known: np.ndarray, rows: int) -> np.ndarray:
    """How much of the process's mean is taken: all of it where it knows, and elsewhere the less the fewer rows there are.

    The covariance is that of other devices; a handful of rows cannot say that it holds here. Of twelve draws of five
    suggested bf16 GEMMs on left-out families the worst made a device's MAPE 0.2 points worse instead of 0.7; from fifty rows
    on it makes no difference.
    """
    trust: np.ndarray = 1 - (1 - known) * _PSEUDO_ROWS / (rows + _PSEUDO_ROWS)
    return trust


def _left_out(
    inverse: np.ndarray, error: np.ndarray, own: np.ndarray, usual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By how much the other rows miss each row's error, and the standard deviation of that under the usual noise.

    Args:
        inverse: of the covariance with the noise ``own`` that each row is given.
        error: of each row.
        own, usual: noise variances.
    """
    diagonal = np.diag(inverse)
    return inverse @ error / diagonal, np.sqrt(np.maximum(1 / diagonal - own, 0.0) + usual)


def _score(missed: np.ndarray, deviation: np.ndarray) -> float:
    """Log predictive density of left-out rows under Student's t with four degrees of freedom, up to a constant."""
    return float(np.sum(-2.5 * np.log1p((missed / deviation) ** 2 / 4) - np.log(deviation)))


def _prior(amplitude: float, louder: float) -> float:
    return -0.5 * (np.log(amplitude) / 1.5) ** 2 - 0.5 * (np.log(louder) / 1.5) ** 2


def _scaled(kernel: Kernel, amplitude: float, louder: float) -> Kernel:
    parts = tuple(
        replace(p, variances=(p.variances[0] * amplitude, p.variances[1] * amplitude, p.variances[2] * amplitude))
        for p in kernel.parts
    )
    return Kernel(parts, kernel.noise * louder, kernel.launch_noise * louder)


def _width(missed: np.ndarray, deviation: np.ndarray) -> float:
    """How much wider the interval must be so that nine of ten left-out rows lie inside, tempered where they are few."""
    rows = len(missed)
    asked = float(np.quantile(np.abs(missed) / deviation, 0.9)) / _NINETY
    return (rows * asked + _PSEUDO_ROWS) / (rows + _PSEUDO_ROWS)


def corrected(
    correction: Correction,
    software: str | None,
    *,
    blend: Callable[[str | None], dict[str, Any]],
    base_software: Callable[[str], str | None],
    columns: Callable[[str], Mapping[str, np.ndarray]],
    learned: Sequence[str] = (),
) -> dict[str, Any]:
    """The columns of an uncorrected blend with the correction applied, for the fastest stack of each row.

    Args:
        correction: of the rows' device, family and part.
        software: as it was asked for.
        blend: the predictor's own columns under a software that it knows, or None.
        base_software: the name by which ``blend`` knows a software, or None.
        columns: the features under a cache state.
        learned: the variants that ``blend`` has measurements of on the very device. Of software that the correction's rows lack
            they say more than those do: its predictions stay.
    """
    choices = correction.choices(software)
    if choices is None:
        stacks = set(map(stack_of, learned)) - set(map(stack_of, correction.software))
        if variants_for(software, learned) or stack_of(str(software)) in stacks:
            return blend(software)
        choices = (str(software),)
    best: dict[str, Any] | None = None
    for choice in choices:
        part = dict(blend(base_software(choice)))
        mean, deviation, known = correction.predict(columns(correction.cache_of(choice)), choice)
        latency = np.maximum(part["latency_s"] * np.exp(mean), part["floor_s"])
        low, high = (np.log(part[f"latency_{side}_s"] / part["latency_s"]) for side in ("low", "high"))
        # The process says how much is unknown where, if its covariance holds on this device: the more rows there are the
        # more is that believed, and the less the interval of a device that was not measured.
        half, sure = _NINETY * deviation, correction.rows / (correction.rows + _INTERVAL_ROWS)
        low = np.minimum(-half, (1 - sure) * low - sure * half)
        high = np.minimum(np.maximum(half, (1 - sure) * high + sure * half), MOST_LN)
        part["latency_low_s"] = np.clip(latency * np.exp(low), part["floor_s"], latency)
        part["latency_high_s"] = np.maximum(latency * np.exp(high), latency)
        part["latency_s"] = latency
        part["source"] = np.where(known >= _SURE_WEIGHT, "learned", part["source"]).astype(object)
        part["source"][(part["source"] == "analytical") & (known > 0.05)] = "blended"
        part["software"] = np.full(len(latency), choice, dtype=object)
        best = part if best is None else _faster(best, part)
    assert best is not None
    return best


def _faster(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Row by row, the columns of the faster one."""
    take = b["latency_s"] < a["latency_s"]
    return {
        name: np.where(take, b[name], value).astype(value.dtype) if isinstance(value, np.ndarray) else value
        for name, value in a.items()
    }

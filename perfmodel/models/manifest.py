"""What a predictor's manifest says: constants, intervals, and the residuals with their boosters' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from perfmodel.errors import PredictorError, nearest
from perfmodel.features.vector import FeatureSchema, feature_schema
from perfmodel.models import artefact
from perfmodel.models.constants import LATER, LATER_OF_PRODUCTS, Constants
from perfmodel.models.corrections import Correction
from perfmodel.models.families import FAMILIES
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.kernel import Kernel
from perfmodel.models.learned import SIZE_BUCKETS_S, UNSEEN, Key, Residual, are_log_errors
from perfmodel.models.power.learned import LearnedPower, PowerResidual, power_schema
from perfmodel.models.trees import MOST_LN

UNSEEN_SCHEMA = "gemm_unseen"
"""Features of the boosters for devices that were not measured."""
_OF_VECTOR_UNITS = "fp32"
"""The part of GEMMs that run there (:mod:`perfmodel.models.vector_gemm`)."""
_WANTED = f"wanted logarithms around 0, -{MOST_LN:g} to {MOST_LN:g}"


@dataclass(frozen=True)
class Contents:
    """A manifest, read."""

    constants: Constants
    residuals: dict[Key, Residual]
    intervals: dict[str, tuple[float, float]]
    corrections: dict[Key, Correction]
    error_kernels: dict[str, Kernel]
    power: LearnedPower
    host: tuple[HostKernels, ...] = ()


def read(folder: Path) -> Contents:
    """Reads the manifest of a predictor's folder; boosters are read when they are used.

    Raises:
        PredictorError: it is damaged, or was trained on other features than this version computes.
    """
    manifest = artefact.read_manifest(folder)
    try:
        residuals = {}
        schemas: dict[str, FeatureSchema] = {}
        for entry in manifest["boosters"]:
            family, device = str(entry["family"]), str(entry["device"])
            if family not in FAMILIES:
                raise PredictorError(
                    f"{folder} holds the family {family!r}, which this version does not know: {nearest(family, FAMILIES)}"
                )
            name = UNSEEN_SCHEMA if device == UNSEEN else family
            if name not in schemas:
                schemas[name] = feature_schema(name)
                if manifest["feature_schemas"][name] != schemas[name].sha256:
                    raise PredictorError(
                        f"{folder} was trained on other features than this version computes: train it again"
                    )
            residual = residual_of(
                entry, schemas[name], partial(artefact.read_file, folder, str(entry["file"]), str(entry["sha256"]))
            )
            residuals[residual.key] = residual
        lacking = sorted(_needed(residuals) - set(manifest["constants"]))
        if lacking:
            raise PredictorError(
                f"the manifest of {folder} lacks physics constants: {', '.join(lacking)}; train it again"
            )
        intervals = {str(key): _pair(value) for key, value in manifest["analytical_log_intervals"].items()}
        for key, interval in intervals.items():
            if not (are_log_errors(*interval) and interval[0] <= 0 <= interval[1]):
                raise PredictorError(f"the manifest of {folder} has the interval {interval} for {key}; {_WANTED}")
        corrections = {}
        for entry in manifest.get("corrections", []):
            stored = partial(artefact.read_file, folder, str(entry["file"]), str(entry["sha256"]))
            correction = Correction.from_entry(entry, stored)
            corrections[correction.key] = correction
        kernels = {str(name): Kernel.from_dict(value) for name, value in manifest.get("error_kernels", {}).items()}
        return Contents(
            Constants.from_dict(manifest["constants"]),
            residuals,
            intervals,
            corrections,
            kernels,
            _power(folder, manifest),
            tuple(
                HostKernels.from_entry(e, partial(artefact.read_file, folder, str(e["file"]), str(e["sha256"])))
                for e in manifest.get("host_kernels", [])
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise PredictorError(
            f"the manifest of {folder} lacks something or holds a wrong type: {type(error).__name__} {error}"
        ) from None


def _needed(residuals: Mapping[Key, Residual]) -> frozenset[str]:
    """Which of the constants that came later the physics of some residuals' training had."""
    if any(r.family != GEMM.name for r in residuals.values()):
        return LATER
    return LATER_OF_PRODUCTS if any(r.part == _OF_VECTOR_UNITS for r in residuals.values()) else frozenset()


def _power(folder: Path, manifest: Mapping[str, Any]) -> LearnedPower:
    """What a manifest says of power; nothing, where it is of a version that learned none."""
    residuals = {}
    for entry in manifest.get("power_boosters", []):
        family = str(entry["family"])
        if family not in FAMILIES:
            raise PredictorError(
                f"{folder} holds the family {family!r}, which this version does not know: {nearest(family, FAMILIES)}"
            )
        schema = power_schema(family)
        if manifest["power_feature_schemas"][family] != schema.sha256:
            raise PredictorError(
                f"{folder} learned power from other features than this version computes: train its power again"
            )
        residual = power_residual_of(
            entry, partial(artefact.read_file, folder, str(entry["file"]), str(entry["sha256"]))
        )
        residuals[residual.key] = residual
    intervals = {str(key): _pair(value) for key, value in manifest.get("power_log_intervals", {}).items()}
    for key, (low, high) in intervals.items():
        if not (are_log_errors(low, high) and low <= 0 <= high):
            raise PredictorError(
                f"the manifest of {folder} has the interval {low}, {high} of power for {key}; {_WANTED}"
            )
    return LearnedPower(residuals, intervals)


def power_residual_of(entry: Mapping[str, Any], read_bytes: Any) -> PowerResidual:
    """The residual that an entry of ``power_boosters`` describes."""
    unused = {"quantiles": [[0.0, 0.0]] * (len(SIZE_BUCKETS_S) + 1)}  # of latencies
    return PowerResidual(
        residual_of({**entry, **unused}, power_schema(str(entry["family"])), read_bytes),
        {str(s): tuple(map(_pair, pairs)) for s, pairs in entry["power_quantiles"].items()},
        {str(s): tuple(map(_pair, pairs)) for s, pairs in entry["energy_quantiles"].items()},
    )


def residual_of(entry: Mapping[str, Any], schema: FeatureSchema, read_bytes: Any) -> Residual:
    """The residual that an entry of ``boosters`` describes."""
    return Residual(
        family=str(entry["family"]),
        device=str(entry["device"]),
        part=str(entry.get("part", entry["dtype"])),
        software=tuple(map(str, entry["software"])),
        cache=tuple(map(str, entry["cache"])),
        schema=schema,
        support={k: _pair(v) for k, v in entry["support"].items()},
        exact={k: tuple(map(float, v)) for k, v in entry.get("exact", {}).items()},
        kernels={
            str(s): {str(k): tuple(map(float, v)) for k, v in values.items()}
            for s, values in entry.get("kernels", {}).items()
        },
        quantiles=tuple(map(_pair, entry["quantiles"])),
        widths={str(s): float(width) for s, width in entry.get("widths", {}).items()},
        rows=int(entry["rows"]),
        sibling_quantiles=tuple(map(_pair, entry["sibling_quantiles"])) if entry.get("sibling_quantiles") else None,
        vendors=tuple(map(str, entry.get("vendors", ()))),
        read=read_bytes,
    )


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)

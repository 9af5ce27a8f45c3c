"""The learned model: boosters over a dispatch's features, on disk and in use.

A folder holds ``manifest.json``, ``card.md``, ``accuracy.json`` and one gzipped booster in XGBoost's JSON a target. Reading and
predicting need numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.characterise import targets
from perfmodel.characterise.description import module_names, module_vector
from perfmodel.characterise.targets import LATENCY, Target
from perfmodel.errors import PredictorError
from perfmodel.features.lowering.features import names, terms
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.models import artefact
from perfmodel.models.learned import are_log_errors
from perfmodel.models.trees import Booster, read_booster

_MOST = 1e9
_LIMIT = 60.0
"""Largest logarithm that is raised again: counts stay finite whatever a booster says."""


@dataclass(frozen=True)
class Part:
    """What predicts one target.

    Attributes:
        target: which.
        booster: its trees.
        weights: of the terms of the first estimate, and of a constant; empty where the target has none.
        interval: offsets of the 90 % interval, in the target's scale (ln for counts): low, high.
    """

    target: Target
    booster: Booster
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0))
    interval: tuple[float, float] = (0.0, 0.0)

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        """Predictions in the target's scale, shape ``[rows]``."""
        return self.booster.predict(matrix) + first_estimate(self.target, self.weights, matrix)


def first_estimate(target: Target, weights: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """ln(1 + the linear estimate) of dispatches (of latency: the logarithm of the instructions executed); 0 without one.

    Args:
        target: whose.
        weights: of its terms, as :func:`perfmodel.characterise.training.fit_weights` gives them.
        matrix: features, shape ``[rows, features]``.
    """
    if target is LATENCY:
        executed: np.ndarray = matrix[:, module_names().index("ln_executed")]
        return executed
    if target.terms is None:
        return np.zeros(len(matrix))
    return np.log1p(terms(matrix, target.terms) @ weights)


@dataclass(frozen=True)
class Learned:
    """A trained characteriser.

    Attributes:
        target: what it was trained for.
        parts: by the target's name.
        floor_s: seconds that a call takes whatever it does.
        peak_flops: floating-point operations a second of the processor that latencies were measured on, one thread; 0: unknown.
        processor: what that is.
        about: the rest of the manifest.
    """

    target: CompileTarget
    parts: Mapping[str, Part]
    floor_s: float
    peak_flops: float
    processor: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def dispatch_values(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Predictions of dispatches by the target's name, each ``[rows, 3]``: value, low, high; ``many_spills`` is a
        probability.

        Args:
            matrix: features, shape ``[dispatches, features]``.
        """
        result = {}
        for target in targets.DISPATCH_TARGETS:
            part = self.parts[target.name]
            raw = part.raw(matrix)
            if target.scale == "above":
                chance = 1 / (1 + np.exp(-np.clip(raw, -_LIMIT, _LIMIT)))
                result[target.name] = np.stack([chance] * 3, axis=1)
                continue
            bounds = [raw, raw + min(part.interval[0], 0.0), raw + max(part.interval[1], 0.0)]
            values = np.stack(bounds, axis=1)
            if target.scale == "log":
                values = np.expm1(np.clip(values, 0.0, _LIMIT))
            if target is targets.REGISTERS:
                values = np.clip(values, 0.0, self.target.vector_registers)
            if target in (targets.INSTRUCTIONS, targets.CODE_BYTES, targets.EXECUTED):
                values = np.maximum(values, 1.0)
            result[target.name] = values
        return result

    def latency(self, matrix: np.ndarray, executed: np.ndarray) -> tuple[float, float, float] | None:
        """(value, low, high) of the seconds of one call of a module, the runtime's floor included; None: not learned.

        Args:
            matrix: features of its dispatches.
            executed: instructions that each executes.
        """
        part = self.parts.get(targets.LATENCY.name)
        if part is None:
            return None
        vector = module_vector(matrix, executed)[None, :]
        raw = float(part.raw(vector)[0])
        above = [np.exp(np.clip(raw + offset, -_LIMIT, _LIMIT)) * 1e-9 for offset in (0.0, *part.interval)]
        value, low, high = (self.floor_s + float(a) for a in above)
        return value, min(low, value), max(high, value)


def load(folder: str | Path) -> Learned:
    """Reads a characteriser's folder.

    Raises:
        PredictorError: it is none, is damaged, was trained on other features, or a newer version wrote it.
    """
    folder = Path(folder)
    manifest = artefact.read_manifest(folder)
    if manifest.get("kind") != "characteriser":
        raise PredictorError(f"{folder} is no characteriser: its manifest says {manifest.get('kind')!r}")
    try:
        if tuple(manifest["features"]) != names() or tuple(manifest["module_features"]) != module_names():
            raise PredictorError(f"{folder} was trained on other features than this version computes; train it again")
        parts = {}
        known = {t.name: t for t in (*targets.DISPATCH_TARGETS, targets.LATENCY)}
        for entry in manifest["boosters"]:
            name = str(entry["target"])
            data = artefact.read_file(folder, str(entry["file"]), str(entry["sha256"]))
            low, high = (float(x) for x in entry["interval"])
            weights = np.array([float(w) for w in entry["weights"]])
            if not (are_log_errors(low, high) and (np.abs(weights) <= _MOST).all()):
                raise PredictorError(
                    f"{folder}: {name} has an interval or weights that are none; wanted logarithms, low before high, and "
                    f"numbers up to {_MOST:g}"
                )
            expected = known[name].terms
            if known[name] is not LATENCY and len(weights) != (0 if expected is None else len(expected) + 1):
                raise PredictorError(f"{folder}: {name} has {len(weights)} weights, which are not as many as its terms")
            parts[name] = Part(known[name], read_booster(data, str(entry["file"])), weights, (low, high))
        missing = sorted(set(known) - set(parts) - {LATENCY.name})
        if missing:
            raise PredictorError(f"{folder} has no booster of {', '.join(missing)}")
        floor_s, peak_flops = float(manifest["floor_s"]), float(manifest["peak_flops"])
        if not (0 <= floor_s <= _MOST and 0 <= peak_flops <= 1e30):
            raise PredictorError(f"{folder}: floor_s or peak_flops is no number that a machine has")
        return Learned(
            CompileTarget.from_dict(manifest["target"]), parts, floor_s, peak_flops,
            str(manifest["processor"]), manifest,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise PredictorError(
            f"{folder}: its manifest lacks something or holds a wrong type: {type(error).__name__} {error}"
        ) from None


@lru_cache(maxsize=4)
def shipped(target: str) -> Learned:
    """The characteriser that ships for a target.

    Raises:
        InputError: none ships for it; names those that do.
    """
    from perfmodel._resources import data_path

    return load(data_path("models", "characterise", target))


def shipped_targets() -> tuple[str, ...]:
    """Ids of the targets that a characteriser ships for."""
    from perfmodel._resources import data_path

    return tuple(sorted(p.name for p in data_path("models", "characterise").iterdir() if p.is_dir()))

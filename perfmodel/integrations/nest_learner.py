"""What measured schedules teach beyond the physics of their loop nests: of other workloads beforehand, of this one as it goes.

Beforehand: boosted trees on ln(measured / physics) of single nests (``models/loop_nests``), fitted to schedules of workloads
other than those that the documentation judges them by. As it goes: the Gaussian processes of :mod:`perfmodel.rank.posterior`
over what was measured and what is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.files import write_whole
from perfmodel.integrations.loop_nests import NEST_VECTOR, Program
from perfmodel.models.trees import Booster, read_booster
from perfmodel.rank.posterior import Posterior, priors

SCHEMA = 1
_MOST = 1e9
"""Of stored features and logarithms: their squares stay finite."""
FAILED = 1.5
"""ln by how much a schedule that failed counts as slower than the slowest that ran."""


@lru_cache(maxsize=1)
def shipped_prior() -> Booster | None:
    """Trees that were fitted beforehand; None where the installation has none."""
    from perfmodel._resources import data_path

    try:
        path = data_path("models", "loop_nests", "residual.json.gz")
    except InputError:
        return None
    return read_booster(path.read_bytes(), str(path))


def corrected_seconds(programs: Sequence[Program], prior: Booster | None) -> np.ndarray:
    """Seconds of programs, shape ``[programs]``: each nest that computes corrected by what was learned beforehand."""
    seconds = [p.nest_seconds for p in programs]
    if prior is not None and programs:
        vectors = np.concatenate([p.nest_vectors for p in programs])
        computes = np.concatenate([p.computes for p in programs])
        ratio = np.ones(len(computes))
        if computes.any():
            ratio[computes] = np.exp(prior.predict(vectors[computes]))
        seconds = np.split(np.concatenate(seconds) * ratio, np.cumsum([len(s) for s in seconds])[:-1])
    return np.array([s.sum() for s in seconds])


@dataclass
class Workload:
    """Measurements of one workload.

    Attributes:
        features: of the measured programs, each of shape ``[features]``.
        prior_log_s: ln(seconds) that they were thought to take beforehand.
        log_s: ln(seconds) measured; NaN where one failed.
    """

    features: list[np.ndarray] = field(default_factory=list)
    prior_log_s: list[float] = field(default_factory=list)
    log_s: list[float] = field(default_factory=list)


class NestLearner:
    """Forecasts of programs of several workloads, each with what was measured of it.

    Args:
        prior: trees on single nests; None: physics alone.
    """

    def __init__(self, prior: Booster | None = None) -> None:
        self.prior = prior
        self.workloads: dict[str, Workload] = {}

    def observe(self, workload: str, programs: Sequence[Program], seconds: Sequence[float]) -> None:
        """Takes in measurements.

        Args:
            workload: a name that all programs of one problem share.
            programs: what was measured.
            seconds: of each; NaN where it failed.
        """
        known = self.workloads.setdefault(workload, Workload())
        expected = np.log(corrected_seconds(programs, self.prior))
        for program, prior_log_s, value in zip(programs, expected, seconds, strict=True):
            known.features.append(program.features)
            known.prior_log_s.append(float(prior_log_s))
            known.log_s.append(float(np.log(value)) if np.isfinite(value) and value > 0 else float("nan"))

    def forecast(self, workload: str, programs: Sequence[Program]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of ln(seconds), shape ``[programs]`` each.

        Args:
            workload: as in :meth:`observe`.
            programs: of which.
        """
        if not programs:
            return np.empty(0), np.empty(0)
        known = self.workloads.get(workload, Workload())
        measured = len(known.log_s)
        features = np.stack([*known.features, *(p.features for p in programs)])
        mean = np.concatenate([known.prior_log_s, np.log(corrected_seconds(programs, self.prior))])
        opinions = np.stack([mean - np.median(mean), (features[:, 0] - np.median(features[:, 0])) * np.log(2)], axis=1)
        posterior = Posterior(_coordinates(features), opinions, mean, priors())
        logs = np.array(known.log_s)
        if measured and np.isfinite(logs).any():
            for place, value in enumerate(np.where(np.isfinite(logs), logs, np.nanmax(logs) + FAILED)):
                posterior.add(place, float(value))
        centre, variance = posterior.moments()
        return centre[measured:], np.sqrt(variance[measured:])

    def best(self, workload: str) -> float | None:
        """ln of the shortest time of a workload; None before any."""
        known = self.workloads.get(workload)
        logs = [v for v in known.log_s if np.isfinite(v)] if known else []
        return min(logs) if logs else None

    def save(self, path: str | Path) -> None:
        """Writes the measurements as JSON."""
        content = {
            name: {
                "features": [f.tolist() for f in w.features],
                "prior_log_s": w.prior_log_s,
                "log_s": [v if np.isfinite(v) else None for v in w.log_s],
            }
            for name, w in self.workloads.items()
        }
        write_whole(Path(path), json.dumps({"schema": SCHEMA, "workloads": content}).encode())

    def load(self, path: str | Path) -> None:
        """Reads measurements that :meth:`save` wrote, in place of those there are.

        Raises:
            InputError: the file cannot be read or is none.
        """
        try:
            content = json.loads(Path(path).read_bytes())
            if content["schema"] != SCHEMA:
                raise InputError(f"{path} has schema {content['schema']!r}; this version reads {SCHEMA}")
            self.workloads = {str(name): _workload(w) for name, w in content["workloads"].items()}
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} holds no measurements of schedules: {type(error).__name__} {error}") from None


def _workload(value: Mapping[str, Any]) -> Workload:
    logs = [float("nan") if v is None else float(v) for v in value["log_s"]]
    features = [np.array(f, dtype=np.float64) for f in value["features"]]
    prior = [float(v) for v in value["prior_log_s"]]
    if not len(logs) == len(features) == len(prior):
        raise ValueError("its lists differ in length")
    if len({f.shape for f in features}) > 1 or any(f.ndim != 1 for f in features):
        raise ValueError("its features are no lists of one length")
    if not all(np.isfinite(f).all() and (np.abs(f) <= _MOST).all() for f in features):
        raise ValueError(f"its features are no numbers up to {_MOST:g}")
    if not all(abs(v) <= _MOST for v in prior) or any(abs(v) > _MOST for v in logs):
        raise ValueError(f"its logarithms are no numbers up to {_MOST:g}")
    return Workload(features, prior, logs)


def _coordinates(features: np.ndarray) -> np.ndarray:
    """Features to mean 0 and variance 1/16; constant ones are left out."""
    spread = features.std(axis=0)
    kept = spread > 1e-9
    if not kept.any():
        return np.zeros((len(features), 1))
    result: np.ndarray = (features[:, kept] - features[:, kept].mean(axis=0)) / spread[kept] / 4
    return result


def fit_prior(workloads: Sequence[tuple[Sequence[Program], np.ndarray]], *, trees: int = 120, seed: int = 0) -> bytes:
    """Trees on ln(measured / physics) of single nests, as XGBoost's JSON.

    A program's ratio, less the median of its workload, counts for each of its nests that compute, by their share of the time.

    Args:
        workloads: programs and their measured seconds, shape ``[programs]``, of each.
        trees: how many.
        seed: of the rows that each tree sees.
    """
    import xgboost

    rows, targets, weights = [], [], []
    for programs, seconds in workloads:
        ran = np.isfinite(seconds)
        ratio = np.log(seconds / np.array([p.seconds for p in programs]))
        ratio -= np.median(ratio[ran])
        for program, value, usable in zip(programs, ratio, ran, strict=True):
            if usable:
                share = program.nest_seconds * program.computes / (program.nest_seconds * program.computes).sum()
                for vector, weight in zip(program.nest_vectors[share > 0.1], share[share > 0.1], strict=True):
                    rows.append(vector)
                    targets.append(value)
                    weights.append(weight)
    settings = {
        "max_depth": 4, "eta": 0.08, "subsample": 0.7, "colsample_bytree": 0.5, "min_child_weight": 3, "lambda": 3.0,
        "tree_method": "hist", "nthread": 1, "seed": seed, "base_score": 0.0,
    }  # fmt: skip
    matrix = xgboost.DMatrix(
        np.stack(rows), np.array(targets), weight=np.array(weights), feature_names=list(NEST_VECTOR)
    )
    return bytes(xgboost.train(settings, matrix, trees).save_raw("json"))

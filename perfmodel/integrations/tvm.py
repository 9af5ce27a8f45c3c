"""A cost model of TVM's MetaSchedule for processors: physics of the schedule's loops, then what its measurements teach.

>>> from tvm.s_tir import meta_schedule
>>> from perfmodel.integrations.tvm import CostModel
>>> meta_schedule.tune_tir(mod, target, "work", max_trials_global=64, cost_model=CostModel("epyc-7763"))  # doctest: +SKIP

It knows something before the first measurement, so that no trials are spent on warming up. Importing this module imports TVM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perfmodel.errors import MissingExtraError
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.integrations.loop_nests import Core, Program, program
from perfmodel.integrations.nest_learner import NestLearner, shipped_prior
from perfmodel.integrations.tir import nests
from perfmodel.models.trees import Booster

try:
    from tvm.ir.utils import derived_object
    from tvm.s_tir.meta_schedule.cost_model import PyCostModel
    from tvm.s_tir.meta_schedule.utils import shash2hex
except ImportError:
    raise MissingExtraError("tvm", "tvm", "the cost model of TVM's MetaSchedule") from None

HOPE = 0.5
"""Standard deviations by which a schedule counts as faster than expected: what is uncertain is worth a look."""


@derived_object
class CostModel(PyCostModel):
    """Scores schedules for MetaSchedule: the share of the shortest time's speed, 1 and more for what would be faster.

    Args:
        device: the processor: an id of the catalogue, a device TOML, or its record.
        cores: cores that a parallel loop runs on (``num-cores`` of the target).
        prior: trees on single nests, fitted beforehand: ``default`` for those that ship, None for the physics alone.
        hope: standard deviations of optimism.

    Raises:
        DeviceError: an unknown device.
    """

    def __init__(
        self, device: Device | str, *, cores: int = 1, prior: Booster | str | None = "default", hope: float = HOPE
    ) -> None:
        super().__init__()
        record = device if isinstance(device, Device) else load_device(device)
        self.core: Core = Core.of(record, cores)
        self.learner: NestLearner = NestLearner(shipped_prior() if isinstance(prior, str) else prior)
        self.hope = hope

    def load(self, path: str) -> None:
        """Reads the measurements that :meth:`save` wrote.

        Raises:
            InputError: the file cannot be read or is none.
        """
        self.learner.load(path)

    def save(self, path: str) -> None:
        """Writes the measurements, as JSON."""
        self.learner.save(path)

    def update(self, context: Any, candidates: Sequence[Any], results: Sequence[Any]) -> None:
        """Learns from measured candidates; those that failed to compile or run count as slow."""
        programs, seconds = [], []
        for candidate, result in zip(candidates, results, strict=True):
            described = self.describe(candidate)
            if described is not None:
                times = [float(t) for t in result.run_secs] if result.run_secs else []
                programs.append(described)
                seconds.append(float(np.median(times)) if times else float("nan"))
        self.learner.observe(self._workload(context), programs, seconds)

    def predict(self, context: Any, candidates: Sequence[Any]) -> np.ndarray:
        """Scores of candidates, shape ``[candidates]``: higher is faster; 0 for what cannot be described."""
        described = [self.describe(c) for c in candidates]
        scores = np.zeros(len(candidates), dtype=np.float64)
        known = [place for place, p in enumerate(described) if p is not None]
        if known:
            workload = self._workload(context)
            programs = [p for p in described if p is not None]
            mean, deviation = self.learner.forecast(workload, programs)
            # Without a measurement the level is unknown to all alike: only the order counts.
            hope = self.hope if self.learner.best(workload) is not None else 0.0
            low = mean - hope * deviation
            best = self.learner.best(workload)
            scores[known] = np.exp((float(low.min()) if best is None else best) - low)
        return scores

    def describe(self, candidate: Any) -> Program | None:
        """The loop nests of a candidate and their costs; None where an extent is no constant or there are no loops."""
        try:
            return program(nests(candidate.sch.mod), self.core)
        except ValueError:
            return None

    @staticmethod
    def _workload(context: Any) -> str:
        return str(shash2hex(context.mod))

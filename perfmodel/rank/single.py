"""One configuration at a time, in plain Python: for a compiler's inner loop that cannot gather a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from perfmodel.errors import InputError, checked_keywords
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.ops.base import Operator
from perfmodel.rank.expressions import NUMBERS
from perfmodel.rank.lookup import Tables
from perfmodel.rank.opinions import Opinions
from perfmodel.rank.physics import Physics
from perfmodel.rank.pretrained import Pretrained
from perfmodel.rank.ranker import pretrained_of
from perfmodel.rank.space import Space
from perfmodel.rank.space import space as space_of
from perfmodel.recording.one_row import one_by_one
from perfmodel.recording.program import Program
from perfmodel.recording.recorded import SAMPLE_ROWS, recorded


@checked_keywords()
def prepare(
    op: Operator, device: Device | str, space: Space | str | Mapping[str, Any], pretrained: Pretrained | str = "default"
) -> Callable[[Mapping[str, float]], float]:
    """A function that gives the seconds of one configuration.

    It needs none of the candidates' medians that :class:`~perfmodel.rank.ranker.Ranker` sets levels by: the answer is the
    geometric mean of what the measured devices' tables say on top of this device's physics.

    Args:
        op: the problem.
        device: its id, its TOML, or its record.
        space: the configuration space.
        pretrained: as for a ranker.

    Returns:
        a function of a mapping of the space's parameters to numbers. It raises InputError, with the reason, for a configuration
        that cannot run, and for one that lacks a parameter.
    """
    record = device if isinstance(device, Device) else load_device(device)
    physics = Physics.of(space_of(space), op, record)
    tables = [s.tables for s in Opinions(physics, pretrained_of(pretrained)).sources]
    defaults = {n: d for n, d in physics.space.columns.items() if d is not None}
    reasons = physics.reasons
    costs = _Costs(physics)

    def predict(configuration: Mapping[str, float]) -> float:
        values = {**defaults, **configuration}
        try:
            refused, seconds = costs(values)
            if refused:
                raise InputError(f"the configuration cannot run on {record.id}: {reasons[int(refused)]}")
            if tables:
                seconds *= math.exp(beyond_physics([t.predict_one(values) for t in tables]))
            if not seconds < math.inf:
                seconds = _of_a_table(physics, values, tables)
        except ArithmeticError:  # plain numbers stop at a division by 0 even where nothing comes of it
            seconds = _of_a_table(physics, values, tables)
        except (KeyError, ValueError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            lacks = [n for n in physics.space.columns if n not in values]
            why = f"it lacks {', '.join(lacks)}" if lacks else f"{type(error).__name__} {error}"
            raise InputError(f"the configuration {dict(configuration)} cannot run: {why}") from None
        return float(seconds)

    return predict


def _of_a_table(physics: Physics, values: Mapping[str, float], tables: Sequence[Tables]) -> float:
    """The seconds of one configuration as those of a table of one row.

    Raises:
        InputError: it cannot run.
    """
    columns = {n: np.array([values[n]], dtype=np.float64) for n in physics.space.columns}
    with np.errstate(all="ignore"):
        costs = physics.costs(columns)
        refused = int(np.broadcast_to(physics.refusal(costs), (1,))[0])
        if refused:
            raise InputError(f"the configuration cannot run on {physics.device.id}: {physics.reasons[refused]}")
        beyond = beyond_physics([t.predict(columns) for t in tables]) if tables else np.zeros(1)
    return float((costs.latency_s * np.exp(beyond))[0])


def beyond_physics(logs: Sequence[Any]) -> Any:
    """ln(measured / physics) as far as the measured devices' tables know it: their mean."""
    return sum(logs) / len(logs)


def recorded_columns(space: Space, program: Program) -> dict[str, Any]:
    """The space's parameters as arrays that write down what the physics does with them."""
    rng = np.random.default_rng(1)
    samples = {n: np.floor(2.0 ** rng.uniform(0, 8, SAMPLE_ROWS)) for n in space.columns}
    return {n: recorded(program, numbers, program.input(n)) for n, numbers in samples.items()}


class _Costs:
    """The physics of one configuration: its refusal, and its seconds.

    What the problem and the device decide is worked out once many configurations were asked for: that takes twenty
    milliseconds and makes the physics of each of them twice as quick. The numbers are the same.
    """

    AFTER = 200
    """Configurations, which take as long as that without it."""

    def __init__(self, physics: Physics) -> None:
        self._physics = physics
        self._names = list(physics.space.columns)
        self._asked = 0
        self._short: Callable[[Sequence[float]], tuple[Any, Any]] | None = None

    def __call__(self, values: Mapping[str, float]) -> tuple[Any, Any]:
        numbers = [values[n] for n in self._names]
        if self._short is not None:
            return self._short(numbers)
        self._asked += 1
        if self._asked >= self.AFTER:
            self._short = shortened(self._physics)
        costs = self._physics.costs(values, NUMBERS)
        return costs.refused, costs.latency_s


def shortened(physics: Physics) -> Callable[[Sequence[float]], tuple[Any, Any]]:
    """The steps that are left of the physics where a problem, a device and a space are given."""
    program = Program()
    costs = physics.costs(recorded_columns(physics.space, program))
    program.outputs = {"refused": program.value_of(costs.refused), "latency_s": costs.latency_s.value}
    return one_by_one(program, "refused", "latency_s")

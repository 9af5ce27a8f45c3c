"""One configuration at a time, in plain Python: for a compiler's inner loop that cannot gather a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perfmodel.errors import InputError
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.ops.base import Operator
from perfmodel.rank.expressions import NUMBERS
from perfmodel.rank.opinions import Opinions
from perfmodel.rank.physics import Physics
from perfmodel.rank.pretrained import Pretrained
from perfmodel.rank.ranker import pretrained_of
from perfmodel.rank.space import Space
from perfmodel.rank.space import space as space_of


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

    def predict(configuration: Mapping[str, float]) -> float:
        values = {**defaults, **configuration}
        try:
            costs = physics.costs(values, NUMBERS)
            if costs.refused:
                raise InputError(f"the configuration cannot run on {record.id}: {reasons[costs.refused]}")
            seconds: float = costs.latency_s
            if tables:
                seconds *= math.exp(beyond_physics([t.predict_one(values) for t in tables]))
        except (ZeroDivisionError, KeyError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"the configuration {dict(configuration)} cannot run: {type(error).__name__} {error}"
            ) from None
        return seconds

    return predict


def beyond_physics(logs: Sequence[Any]) -> Any:
    """ln(measured / physics) as far as the measured devices' tables know it: their mean."""
    return sum(logs) / len(logs)

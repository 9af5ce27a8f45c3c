"""Predictions of operators that were asked for before: a compiler asks for the same few again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from perfmodel.hardware import Device
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.predictor import Estimates, Predictor
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.models.times import Times
from perfmodel.ops import Operator

MAX_CALLS = 512
"""Calls that are kept, the least recently used going first."""

MAX_ROWS = 20_000
"""Operators of the largest call that is kept."""


class Remembered:
    """A predictor that answers a call that it was given before from memory.

    A whole call is remembered (the operators, the device and the conditions), not its rows one by one: notes of a prediction
    are for all of its rows together.

    Args:
        predictor: asked for what is new.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._known: OrderedDict[Any, Estimates] = OrderedDict()

    @property
    def name(self) -> str:
        """The predictor's name."""
        return self._predictor.name

    @property
    def host(self) -> tuple[HostKernels, ...]:
        """What the predictor learned of runtimes on processors."""
        return self._predictor.host

    def predict(
        self,
        ops: Sequence[Operator],
        device: Device,
        *,
        extra_bytes_read: np.ndarray,
        extra_flops: np.ndarray,
        times: Times | None = None,
        **conditions: Any,
    ) -> Estimates:
        """As :meth:`perfmodel.Predictor.predict`."""
        given = None if times is None else times.key()
        key = (device, tuple(ops), extra_bytes_read.tobytes(), extra_flops.tobytes(), given, tuple(conditions.items()))
        found = self._known.get(key) if len(ops) <= MAX_ROWS else None
        if found is not None:
            self._known.move_to_end(key)
            return found
        answer = self._predictor.predict(
            ops, device, extra_bytes_read=extra_bytes_read, extra_flops=extra_flops, times=times, **conditions
        )
        if len(ops) <= MAX_ROWS:
            self._known[key] = answer
            if len(self._known) > MAX_CALLS:
                self._known.popitem(last=False)
        return answer


_REMEMBERED: OrderedDict[int, tuple[Predictor, Remembered]] = OrderedDict()
_MAX_PREDICTORS = 4


def remembered(predictor: PredictorProtocol) -> Any:
    """A predictor of ours with a memory; one of another package as it is, since it may answer differently each time."""
    if type(predictor) is not Predictor:
        return predictor
    found = _REMEMBERED.get(id(predictor))
    if found is None or found[0] is not predictor:
        found = _REMEMBERED[id(predictor)] = (predictor, Remembered(predictor))
        if len(_REMEMBERED) > _MAX_PREDICTORS:
            _REMEMBERED.popitem(last=False)
    return found[1]

"""What every predictor offers: ours, and those that other packages register.

A package registers a predictor under the entry point group :data:`GROUP`::

    [project.entry-points."perfmodel.predictors"]
    house-model = "their_package:make"

``make()`` is called without arguments and returns an object with the attributes of :class:`PredictorProtocol`;
``perfmodel.load("house-model")`` and ``--predictor house-model`` then find it (docs/your-own-predictor.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from perfmodel.errors import PredictorError
from perfmodel.plugins import make_registered

if TYPE_CHECKING:
    import numpy as np

    from perfmodel.hardware import Device
    from perfmodel.models.predictor import Estimates
    from perfmodel.ops import Operator

GROUP = "perfmodel.predictors"
"""Entry point group of predictors: the name is what ``--predictor`` takes, the object is called without arguments."""


@runtime_checkable
class PredictorProtocol(Protocol):
    """What ``perfmodel.predict`` and ``perfmodel evaluate`` ask of a predictor.

    ``perfmodel.testing.check_predictor`` holds an object against the promises behind these signatures. A predictor that
    tells software stacks apart may also have ``known_software(software, device, op, kernel) -> str | None``, the name by which
    it knows a stack; without it, ``evaluate`` gives no software.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    def predict(
        self,
        ops: Operator | Sequence[Operator] | Mapping[str, Any],
        device: Device | str,
        *,
        software: str | None = None,
        cache: str = "rotating",
        clock_hz: float | None = None,
        power_limit_w: float | None = None,
        extra_bytes_read: np.ndarray | None = None,
        extra_flops: np.ndarray | None = None,
    ) -> Estimates:
        """Estimates for one descriptor, a list of them, or a table of columns: see :class:`perfmodel.Predictor`.

        Raises:
            PerfmodelError: an unknown device, dtype, software or family, or a family that it does not predict.
        """


def load_registered(name: str) -> PredictorProtocol | None:
    """The predictor that an installed package registers under a name; None where none does.

    Raises:
        InputError: several packages register the name.
        PredictorError: it cannot be imported or made, or lacks something of :class:`PredictorProtocol`.
    """
    found = make_registered(GROUP, "predictor", name, PredictorError)
    if found is None:
        return None
    made, origin = found
    if not isinstance(made, PredictorProtocol):
        lacks = ", ".join(missing(made))
        raise PredictorError(
            f"{origin} makes a {type(made).__name__}, which is no predictor: it lacks {lacks} "
            "(docs/your-own-predictor.md)"
        )
    return made


def missing(candidate: object) -> list[str]:
    """Names of :class:`PredictorProtocol` that an object lacks."""
    return [name for name in ("name", "predict") if not hasattr(candidate, name)]

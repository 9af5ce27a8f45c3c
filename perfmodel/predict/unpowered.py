"""Why a prediction has no power: the device, or nothing that takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from perfmodel.predict.generation_result import GenerationPrediction, PhasePrediction
    from perfmodel.predict.result import ModelPrediction, OperatorPrediction

    Timed: TypeAlias = "ModelPrediction | OperatorPrediction | GenerationPrediction | PhasePrediction"

NO_TIME = "no operator takes time"
NO_TDP = "the device quotes no TDP"


def unpowered(prediction: Timed) -> str:
    """Why a prediction has no power: :data:`NO_TDP` or :data:`NO_TIME`, since power is energy over time."""
    return NO_TDP if prediction.latency_s.value > 0 else NO_TIME

"""What a reader must know before trusting the figures: extrapolated, assumed, not modelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel import units
from perfmodel.predict.result import ModelPrediction
from perfmodel.report.names import MOST_OF_LINE, short

SOURCES = {
    "learned": "measurements of like operators on like devices",
    "blended": "some measurements, and physics for the rest",
    "analytical": "physics alone, with an interval that is assumed or comes from other devices",
}  # fmt: skip

NO_TIME = "no operator takes time"

UNSAID = "not said by the predictor"

NOT_MODELLED = (
    "time of the host beyond launching kernels: tokenising, data loading, copies to and from the host, scheduling of requests",
    "contention with other work on the device, and clocks that fall in a hot room",
    "communication between devices, unless the model has collective operators",
    "autotuning of kernels, warm-up and compilation: the figures are of a run in a steady state",
)


def shares(prediction: ModelPrediction, attribute: str) -> dict[str, float]:
    """Share of the operators' time by ``source``, ``bound`` or another text of theirs, the largest first."""
    seconds: dict[str, float] = {}
    for operator in prediction.operators:
        key = getattr(operator, attribute) or "unknown"
        seconds[key] = seconds.get(key, 0.0) + operator.latency_s.value
    total = sum(seconds.values()) or 1.0
    return dict(sorted(((k, v / total) for k, v in seconds.items()), key=lambda item: -item[1]))


def unpowered(prediction: ModelPrediction) -> str:
    """Why a prediction has no power."""
    return "the device quotes no TDP" if prediction.latency_s.value > 0 else NO_TIME


def caveats(prediction: ModelPrediction, prices: Any = None) -> Mapping[str, Any]:
    """The honest box of one prediction.

    Args:
        prediction: that is shown.
        prices: what carbon and money follow from; their cost has notes of its own.

    Returns:
        ``time_sources`` and ``power_sources`` (shares of the time by what they rest on), ``unmodelled`` (op, count, share of
        the bytes), ``warnings``, ``notes`` (one line each).
    """
    notes = []
    latency = prediction.latency_s
    if latency.value:
        notes.append(
            f"the 90 % interval of the latency reaches from {latency.low / latency.value:.2f} to"
            f" {latency.high / latency.value:.2f} times the estimate; one run in ten lies outside"
        )
    if prediction.power_w is None:
        notes.append(f"{unpowered(prediction)}: power and energy are unknown, not zero")
    if prediction.memory is not None:
        notes.append(
            f"memory is planned as by the runtime {prediction.memory.runtime!r}; it has no interval, and leaves out the context"
            " of the driver and what the runtime reserves beforehand"
        )
        if prediction.memory.unknown:
            notes.append(f"{len(prediction.memory.unknown)} tensors of unknown size are left out of the memory")
    if prediction.removed_flops:
        share = prediction.removed_flops / (prediction.removed_flops + prediction.flops)
        notes.append(f"fusion folded away {units.share(share)} of the FLOPs that the file spells out")
    if prices is not None:
        notes += prediction.cost(prices).notes
    return {
        "time_sources": shares(prediction, "source"),
        "power_sources": {} if prediction.power_w is None else shares(prediction, "power_source"),
        "unmodelled": [{**u, "op": short(u["op"])} for u in prediction.unmodelled],
        "warnings": [short(line, MOST_OF_LINE) for line in prediction.warnings],
        "notes": notes,
    }

"""What a reader must know before trusting the figures: extrapolated, assumed, not modelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perfmodel import units
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.unpowered import unpowered
from perfmodel.report.names import MOST_OF_LINE, short

SOURCES = {
    "learned": "measurements of like operators on like devices",
    "blended": "some measurements, and physics for the rest",
    "analytical": "physics alone, with an interval that is assumed or comes from other devices",
}  # fmt: skip

UNSAID = "not said by the predictor"

NOT_MODELLED = (
    "time of the host beyond launching kernels: tokenising, data loading, copies to and from the host, scheduling of requests",
    "contention with other work on the device, and clocks that fall in a hot room",
    "communication between devices, unless the model has collective operators",
    "autotuning of kernels, warm-up and compilation: the figures are of a run in a steady state",
)


def shares(prediction: ModelPrediction, attribute: str) -> dict[str, float]:
    """Share of the operators' time by ``source``, ``bound`` or another text of theirs, the largest first."""
    return shares_of_runs([(prediction, 1)], attribute)


def shares_of_runs(runs: Iterable[tuple[ModelPrediction, int]], attribute: str) -> dict[str, float]:
    """:func:`shares` of predictions, each with the number of runs that it stands for."""
    seconds: dict[str, float] = {}
    for prediction, count in runs:
        for operator in prediction.operators:
            key = getattr(operator, attribute) or "unknown"
            seconds[key] = seconds.get(key, 0.0) + count * operator.latency_s.value
    total = sum(seconds.values()) or 1.0
    return dict(sorted(((k, v / total) for k, v in seconds.items()), key=lambda item: -item[1]))


def caveats(prediction: ModelPrediction, prices: Any = None) -> Mapping[str, Any]:
    """The honest box of one prediction.

    Args:
        prediction: that is shown.
        prices: what carbon and money follow from; their cost has notes of its own.

    Returns:
        ``time_sources`` and ``power_sources`` (shares of the time by what they rest on), ``unmodelled`` (op, count, share of
        the bytes), ``warnings``, ``notes`` (one line each).
    """
    notes = _of_intervals(prediction)
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
    time_sources = shares(prediction, "source")
    return {
        "time_sources": time_sources,
        "power_sources": {} if prediction.power_w is None else shares(prediction, "power_source"),
        "unmodelled": [{**u, "op": short(u["op"])} for u in prediction.unmodelled],
        "warnings": [short(line, MOST_OF_LINE) for line in prediction.warnings],
        "notes": [*notes, *_of_bounds(time_sources)],
    }


def _of_intervals(prediction: ModelPrediction | GenerationPrediction) -> list[str]:
    """How wide the latency's interval is, and why there may be no power."""
    notes = []
    latency = prediction.latency_s
    if latency.value:
        notes.append(
            f"the 90 % interval of the latency reaches from {latency.low / latency.value:.2f} to"
            f" {latency.high / latency.value:.2f} times the estimate; one run in ten lies outside"
        )
    if prediction.power_w is None:
        notes.append(f"{unpowered(prediction)}: power and energy are unknown, not zero")
    return notes


def request_caveats(request: GenerationPrediction, has_cache: bool, prices: Any = None) -> Mapping[str, Any]:
    """The honest box of a generation request: :func:`caveats` over all of its runs.

    Args:
        request: that is shown.
        has_cache: whether the file itself has inputs for past keys and values.
        prices: what carbon and money follow from.
    """
    runs = [run for phase in request.phases for run in phase.parts]
    notes = _of_intervals(request)
    steps = len(runs) - 1
    if 0 < steps < request.generate - 1:
        notes.append(f"{steps} of {request.generate - 1:,} decode steps are predicted, each for those around it")
    notes.append("errors of runs of one model go the same way: the ends of their intervals are added")
    notes.append(
        "the whole prompt goes through the last product, as the file has it; engines compute one token's logits"
    )
    notes.append("speculative decoding, chunked prefill and batches that mix both phases are not modelled")
    if has_cache:
        notes.append("peak memory is the most of the runs that are predicted")
    else:
        notes.append(
            "peak memory is that of the largest run with the whole cache beside it; storing new keys and values is not timed"
        )
    if prices is not None:
        notes.append("carbon and money of a million tokens: those of the prompt count, too")
        notes += request.cost(prices).notes
    time_sources = shares_of_runs(runs, "source")
    return {
        "time_sources": time_sources,
        "power_sources": {} if request.power_w is None else shares_of_runs(runs, "power_source"),
        "unmodelled": _unmodelled(runs),
        "warnings": [short(line, MOST_OF_LINE) for line in request.warnings],
        "notes": [*notes, *_of_bounds(time_sources)],
    }


def _of_bounds(time_sources: Mapping[str, float]) -> list[str]:
    """What the bounds say of operators whose time was not found by physics."""
    if not set(time_sources) & {"learned", "blended"}:
        return []
    return ["an operator's bound is the one that wins in the physical model, also where measurements correct its time"]


def _unmodelled(runs: Sequence[tuple[ModelPrediction, int]]) -> list[dict[str, Any]]:
    """What no rule covers: the most operators of a kind in any run, and their share of the bytes of all runs."""
    total = sum(count * p.bytes for p, count in runs) or 1.0
    found: dict[str, dict[str, Any]] = {}
    for prediction, count in runs:
        for u in prediction.unmodelled:
            mine = found.setdefault(u["op"], {"op": short(u["op"]), "count": 0, "bytes_share": 0.0})
            mine["count"] = max(mine["count"], u["count"])
            mine["bytes_share"] += u["bytes_share"] * prediction.bytes * count / total
    return list(found.values())

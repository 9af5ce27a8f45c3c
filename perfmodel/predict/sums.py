"""Models that run after each other on one device, as one prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perfmodel.errors import InputError, is_whole_number
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction
from perfmodel.predict.workload import Workload


def after_each_other(first: ModelPrediction, second: ModelPrediction) -> ModelPrediction:
    """The sum of two predictions: an encoder and its decoder, say.

    Latency, energy and work add up, the ends of intervals too: errors of like operators go the same way. Power is the mean over
    the time of both; a model that takes no time leaves power and energy as the other's are. The weights of both stay in memory,
    so that the peak is the higher of either's own peak beside the other's weights; there is no memory plan of both. Samples are
    the first's, tokens are added where both know theirs. Dimensions, formats, idle power and power
    limits are those that both have alike.

    Raises:
        InputError: the devices differ.
    """
    if first.device != second.device:
        raise InputError(
            f"{first.model} is on {first.device}, {second.model} on {second.device}: only predictions on one device add up"
            " (perfmodel.Comparison compares others)"
        )
    latency = first.latency_s.plus(second.latency_s)
    power, energy = _power_and_energy(first, second)
    moved = first.bytes + second.bytes
    tokens = first.workload.tokens, second.workload.tokens
    return ModelPrediction(
        model=f"{first.model} + {second.model}",
        device=first.device,
        predictor=" + ".join(dict.fromkeys((first.predictor, second.predictor))),
        latency_s=latency,
        power_w=power,
        energy_j=energy,
        flops=first.flops + second.flops,
        flops_executed=first.flops_executed + second.flops_executed,
        bytes=moved,
        weights_bytes=first.weights_bytes + second.weights_bytes,
        peak_memory_bytes=max(
            first.peak_memory_bytes + second.weights_bytes, second.peak_memory_bytes + first.weights_bytes
        ),
        utilisation=_weighted(first.utilisation, second.utilisation, first, second),
        operators=first.operators + second.operators,
        unmodelled=tuple(
            {**u, "bytes_share": u["bytes_share"] * p.bytes / moved if moved else 0.0}
            for p in (first, second)
            for u in p.unmodelled
        ),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        launch_gap_s=first.launch_gap_s + second.launch_gap_s,
        removed_flops=first.removed_flops + second.removed_flops,
        dims=_common(first.dims, second.dims),
        dtype_map=_common(first.dtype_map, second.dtype_map),
        kv_dtype=first.kv_dtype if first.kv_dtype == second.kv_dtype else None,
        workload=Workload(
            first.workload.samples, None if tokens[0] is None or tokens[1] is None else tokens[0] + tokens[1]
        ),
        idle_power_w=first.idle_power_w if first.idle_power_w == second.idle_power_w else None,
        power_limit_w=first.power_limit_w if first.power_limit_w == second.power_limit_w else None,
        lowest_idle_power_w=(
            first.lowest_idle_power_w if first.lowest_idle_power_w == second.lowest_idle_power_w else None
        ),
    )


def repeated(prediction: ModelPrediction, times: float) -> ModelPrediction:
    """So many runs of one model after each other, as one prediction.

    Latency, energy and work are multiplied, the ends of intervals too: all runs err alike. Power, weights, peak memory and
    utilisation stay those of one run.

    Raises:
        InputError: the number is not whole, or below 1.
    """
    if not is_whole_number(times) or times < 1:
        raise InputError(f"a prediction times {times!r}: wanted a whole number of runs, at least 1")
    runs = int(times)
    if runs == 1:
        return prediction
    one = prediction
    return replace(
        one,
        model=f"{runs} x {one.model}",
        latency_s=one.latency_s.scaled(runs),
        energy_j=None if one.energy_j is None else one.energy_j.scaled(runs),
        flops=runs * one.flops,
        flops_executed=runs * one.flops_executed,
        bytes=runs * one.bytes,
        operators=tuple(_repeated(o, runs) for o in one.operators),
        unmodelled=tuple({**u, "count": runs * u["count"]} for u in one.unmodelled),
        launch_gap_s=runs * one.launch_gap_s,
        removed_flops=runs * one.removed_flops,
        workload=Workload(
            runs * one.workload.samples, None if one.workload.tokens is None else runs * one.workload.tokens
        ),
    )


def _repeated(o: OperatorPrediction, runs: int) -> OperatorPrediction:
    return replace(
        o,
        count=runs * o.count,
        flops=runs * o.flops,
        bytes=runs * o.bytes,
        latency_s=o.latency_s.scaled(runs),
        energy_j=None if o.energy_j is None else o.energy_j.scaled(runs),
        flops_executed=None if o.flops_executed is None else runs * o.flops_executed,
    )


def _power_and_energy(first: ModelPrediction, second: ModelPrediction) -> tuple[Estimate | None, Estimate | None]:
    """Mean power and energy. Where nothing takes time they are unknown, but then nothing is to be added."""
    for one, other in ((first, second), (second, first)):
        if not other.latency_s.value:
            return one.power_w, one.energy_j
    power = energy = None
    if first.power_w is not None and second.power_w is not None:
        power = Estimate(
            *(
                _weighted(getattr(first.power_w, kind), getattr(second.power_w, kind), first, second)
                for kind in ("value", "low", "high")
            )
        )
    if first.energy_j is not None and second.energy_j is not None:
        energy = first.energy_j.plus(second.energy_j)
    return power, energy


def _weighted(one: float, other: float, first: ModelPrediction, second: ModelPrediction) -> float:
    """The mean over the time of both."""
    total = first.latency_s.value + second.latency_s.value
    return (one * first.latency_s.value + other * second.latency_s.value) / total if total else 0.0


def _common(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if other.get(key) == value}

"""One generation request: the prompt at once (prefill), then token by token (decode).

The two differ as much as two models do. Prefill is large products near the power limit; decode reads all weights for each
token and draws less for far longer. Whoever sizes a power supply needs the peak of the first, whoever pays for energy the mean
of the second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from perfmodel.errors import InputError, checked_keywords
from perfmodel.features.onnx.dims import MAX_BOUND, check_given
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device, load_device
from perfmodel.models.predictor import load as load_predictor
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.predict import _graph, _predict, _prepare, _Prepared
from perfmodel.predict.compose import too_large
from perfmodel.predict.conditions import CONDITIONS, PredictionConditions, device_list
from perfmodel.predict.generation_result import GenerationComparison, GenerationPrediction, PhasePrediction
from perfmodel.predict.memory import plan, plan_on_cpu
from perfmodel.predict.result import Estimate, ModelPrediction
from perfmodel.predict.steps import cache_bytes, check_causal, with_cache
from perfmodel.predict.steps import steps_of as graphs_of
from perfmodel.predict.workload import Workload

STEPS_PREDICTED = 6
"""Decode steps that are predicted; each stands for those around it. Time grows nearly in a straight line with the cache."""


@checked_keywords(CONDITIONS)
def predict_generation(
    model: str | os.PathLike[str] | Graph | Any,
    device: str | os.PathLike[str] | Device,
    *,
    prompt: int,
    generate: int,
    **conditions: Unpack[PredictionConditions],
) -> GenerationPrediction:
    """One generation request on a device, phase by phase.

    Args:
        model: as for :func:`perfmodel.predict`; a model with inputs for past keys and values, or one whose attention is
            causal throughout, to which the cache is added.
        device: as there.
        prompt: tokens of the prompt of each sequence.
        generate: tokens that each sequence generates; prefill makes the first.
        conditions: ``dims`` and all other keyword arguments of :func:`perfmodel.predict`.

    Raises:
        InputError: as there; or the model cannot be run token by token, and why.
    """
    return compare_generation(model, [device], prompt=prompt, generate=generate, **conditions)[0]


@checked_keywords()
def compare_generation(
    model: str | os.PathLike[str] | Graph | Any,
    devices: str | os.PathLike[str] | Device | Sequence[str | os.PathLike[str] | Device],
    *,
    prompt: int,
    generate: int,
    dims: Mapping[str, int] | None = None,
    dtype: str | None = None,
    dtype_map: Mapping[str, str] | None = None,
    kv_dtype: str | None = None,
    predictor: str | Path | PredictorProtocol = "default",
    software: str | None = None,
    fusion: str = "engine",
    launch: str = "graph",
    clock_mhz: float | None = None,
    power_limit_w: float | None = None,
    cache: str = "rotating",
    entry: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> GenerationComparison:
    """:func:`predict_generation` on several devices, fastest first; the file is read once.

    ``report`` is told which device is predicted next.
    """
    records = [load_device(d) for d in device_list(devices, "compare")]
    with without_collection():
        request = prepare_request(model, prompt, generate, dims, (dtype, dtype_map, kv_dtype, fusion), entry)
        loaded = load_predictor(predictor)
        results = []
        for number, record in enumerate(records, 1):
            report(f"{number}/{len(records)} {record.id}")
            results.append(request.on(record, loaded, software, launch, clock_mhz, power_limit_w, cache))
    return GenerationComparison(sorted(results, key=lambda r: r.latency_s.value))


@dataclass(frozen=True)
class PreparedRequest:
    """A request before it meets a device.

    Attributes:
        prompt, generate: tokens of each sequence.
        dims: numbers that the user gave.
        parts: phase, number of runs that it stands for, and graph of each run that is predicted, in order.
        last: the last run, or one of a single token where the file has no cache: it says how large the cache is.
        has_cache: whether the file itself has inputs for past keys and values.
        warnings: what was assumed.
    """

    prompt: int
    generate: int
    dims: Mapping[str, int]
    parts: tuple[tuple[str, int, _Prepared], ...]
    last: _Prepared
    has_cache: bool
    warnings: tuple[str, ...]

    def cache_at(self, tokens: int) -> float:
        """Bytes of keys and values of so many tokens of each sequence."""
        return cache_bytes(self.last.graph, tokens, has_cache=self.has_cache)

    def on(
        self, record: Device, predictor: Any, software: str | None = None, launch: str = "graph",
        clock_mhz: float | None = None, power_limit_w: float | None = None, cache: str = "rotating",
    ) -> GenerationPrediction:  # fmt: skip
        """The prediction on one device."""
        shown = {**self.dims, "prompt": self.prompt, "generate": self.generate}
        parts = [
            (phase, runs, _predict(p, record, shown, predictor, software, launch, clock_mhz, power_limit_w, cache))
            for phase, runs, p in self.parts
        ]
        return _composed(self, parts, record)

    def peak_bytes(self, record: Device, parts: Sequence[ModelPrediction]) -> float:
        """The most memory in use at any time of the request.

        Args:
            record: where it runs.
            parts: the runs that are predicted, in order.
        """
        most = max(p.peak_memory_bytes for p in parts)
        if not self.has_cache:
            return most + self.cache_at(self.prompt + self.generate - 1)
        if self.last is self.parts[-1][2]:
            return most
        # Steps that are predicted lie amid those that they stand for; the cache is the longest in the last one.
        if record.kind == "cpu":
            return max(most, plan_on_cpu(self.last.on_cpu).peak_bytes)
        workspace = {o.name: o.workspace_bytes for o in parts[-1].operators}
        return max(most, plan(self.last.graph, workspace=workspace).peak_bytes)


def prepare_request(
    model: Any, prompt: int, generate: int, dims: Mapping[str, int] | None, formats: tuple[Any, Any, Any, str],
    entry: str | None,
) -> PreparedRequest:  # fmt: skip
    """Reads a model once and binds it for each run that is predicted.

    Args:
        model, dims, entry: as for :func:`predict_generation`.
        prompt, generate: tokens of each sequence.
        formats: ``dtype``, ``dtype_map``, ``kv_dtype`` and ``fusion`` of :func:`perfmodel.predict`.

    Raises:
        InputError: as :func:`predict_generation`.
    """
    for name, value in (("prompt", prompt), ("generate", generate)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_BOUND:
            raise InputError(f"{name} is {value!r}: wanted a whole number of tokens, at least 1")
    given = check_given(dims)
    *_, fusion = formats
    read = _graph(model, given, entry, joined=fusion == "none", keep_symbolic=True)
    steps = graphs_of(read, prompt, given)
    prefill = _prepare(steps.prompt, None, *formats)
    warnings: list[str] = []
    if not steps.has_cache:
        check_causal(prefill.graph)
        warnings.append(
            "the file has no inputs for past keys and values: its attention is causal, so decode steps are taken to work on"
            " one token and to read the others from a cache"
        )
    parts = [("prefill", 1, prefill)]
    once = None if steps.has_cache else _prepare(steps.step(prompt), None, *formats)
    for first, runs in _chunks(generate - 1):
        # The step in the middle finds the prompt and all tokens generated before it in the cache.
        cached = prompt + middle(first, runs)
        if once is None:
            prepared = _prepare(steps.step(cached), None, *formats)
        else:
            prepared = replace(
                once,
                bound=with_cache(once.bound, prefill.bound, cached),
                graph=with_cache(once.graph, prefill.graph, cached),
                cache_added=True,
            )
        parts.append(("decode", runs, prepared))
    last = once or parts[-1][2]
    if once is None and parts[-1][1] > 1:
        last = _prepare(steps.step(prompt + generate - 2), None, *formats)
    return PreparedRequest(prompt, generate, dict(dims or {}), tuple(parts), last, steps.has_cache, tuple(warnings))


def middle(first: int, runs: int) -> int:
    """The step that stands for ``runs`` steps from ``first`` on."""
    return first + (runs - 1) // 2


def _chunks(steps: int) -> list[tuple[int, int]]:
    """First step and length of each run of steps that one of them stands for."""
    pieces = np.array_split(np.arange(steps), min(STEPS_PREDICTED, max(steps, 1)))
    return [(int(p[0]), len(p)) for p in pieces if len(p)]


def _composed(
    request: PreparedRequest, parts: list[tuple[str, int, ModelPrediction]], record: Device
) -> GenerationPrediction:
    first, prompt, generate = parts[0][2], request.prompt, request.generate
    kept = request.cache_at(prompt + generate - 1)
    samples = first.workload.samples
    phases = [_phase("prefill", [(p, n) for name, n, p in parts if name == "prefill"], samples * prompt)]
    if generate > 1:
        phases.append(_phase("decode", [(p, n) for name, n, p in parts if name == "decode"], samples * (generate - 1)))
    latency, energy, power, peak = _totals([(p, n) for _, n, p in parts])
    memory = request.peak_bytes(record, [p for _, _, p in parts])
    # Whether it fits is said once, of the request: each run needs another size, and some have no cache in theirs.
    of_runs = (w for _, _, p in parts for w in p.warnings if w not in too_large(p.peak_memory_bytes, record))
    warnings = [*request.warnings, *too_large(memory, record), *of_runs]
    return GenerationPrediction(
        model=first.model,
        device=first.device,
        predictor=first.predictor,
        prompt=prompt,
        generate=generate,
        phases=tuple(phases),
        latency_s=latency,
        power_w=power,
        energy_j=energy,
        peak_w=peak,
        kv_cache_bytes=kept,
        peak_memory_bytes=memory,
        workload=Workload(samples, samples * (prompt + generate)),
        dims=first.dims,
        dtype_map=first.dtype_map,
        kv_dtype=first.kv_dtype,
        warnings=tuple(dict.fromkeys(warnings)),
        idle_power_w=first.idle_power_w,
        power_limit_w=first.power_limit_w,
        lowest_idle_power_w=first.lowest_idle_power_w,
    )


def _phase(name: str, parts: list[tuple[ModelPrediction, int]], tokens: int) -> PhasePrediction:
    latency, energy, power, peak = _totals(parts)
    return PhasePrediction(
        name=name, runs=sum(n for _, n in parts), tokens=tokens, parts=tuple(parts), latency_s=latency, energy_j=energy,
        power_w=power, peak_w=peak,
    )  # fmt: skip


def _totals(
    parts: list[tuple[ModelPrediction, int]],
) -> tuple[Estimate, Estimate | None, Estimate | None, Estimate | None]:
    """Latency, energy, mean power and highest power of runs that follow each other.

    Errors of runs of one model go the same way: ends of intervals are added. The mean power weighs each run by its expected
    time. A run that takes no time has no power, and leaves that of the others as it is.
    """
    latency = _sum([p.latency_s.scaled(n) for p, n in parts])
    timed = [(p, n) for p, n in parts if p.latency_s.value > 0]
    powers = [(p.power_w, n * p.latency_s.value) for p, n in timed]
    operators = [o.power_w for p, _ in timed for o in p.operators if o.power_w is not None]
    energies = [p.energy_j.scaled(n) for p, n in timed if p.energy_j is not None]
    if len(energies) < len(timed) or not operators or latency.value <= 0:
        return latency, None, None, None
    weighed = _sum([power.scaled(seconds) for power, seconds in powers if power is not None])
    peak = Estimate(*(max(getattr(w, kind) for w in operators) for kind in ("value", "low", "high")))
    return latency, _sum(energies), weighed.scaled(1 / latency.value), peak


def _sum(estimates: list[Estimate]) -> Estimate:
    total = estimates[0]
    for estimate in estimates[1:]:
        total = total.plus(estimate)
    return total

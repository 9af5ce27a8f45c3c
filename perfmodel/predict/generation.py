"""One generation request: the prompt at once (prefill), then token by token (decode).

The two differ as much as two models do. Prefill is large products near the power limit; decode reads all weights for each
token and draws less for far longer. Whoever sizes a power supply needs the peak of the first, whoever pays for energy the mean
of the second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from perfmodel.errors import InputError, checked_keywords, checked_methods
from perfmodel.features.onnx.dims import MAX_BOUND, check_given
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device, load_device
from perfmodel.models.predictor import load as load_predictor
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.predict import _graph, _predict, _prepare, _Prepared
from perfmodel.predict.compose import too_large
from perfmodel.predict.conditions import CONDITIONS, PredictionConditions, device_list
from perfmodel.predict.energy.cost import Cost, Prices, cost_of
from perfmodel.predict.energy.profile import PowerBlock, PowerProfile, steps_of
from perfmodel.predict.memory import plan, plan_on_cpu
from perfmodel.predict.result import Estimate, ModelPrediction
from perfmodel.predict.steps import cache_bytes, check_causal, with_cache
from perfmodel.predict.steps import steps_of as graphs_of
from perfmodel.predict.workload import Workload

if TYPE_CHECKING:
    from pandas import DataFrame

STEPS_PREDICTED = 6
"""Decode steps that are predicted; each stands for those around it. Time grows nearly in a straight line with the cache."""


@checked_methods()
@dataclass(frozen=True, kw_only=True)
class PhasePrediction:
    """A phase of a request.

    Attributes:
        name: ``prefill`` or ``decode``.
        runs: how often the model runs.
        tokens: tokens of all sequences that the phase works on: those of the prompt, or those generated one by one.
        parts: predictions, each with the number of runs that it stands for, in order.
        latency_s, energy_j: of the whole phase.
        power_w: mean over its time.
        peak_w: power of the operator that draws most.
    """

    name: str
    runs: int
    tokens: int
    parts: tuple[tuple[ModelPrediction, int], ...]
    latency_s: Estimate
    energy_j: Estimate | None
    power_w: Estimate | None
    peak_w: Estimate | None

    @property
    def latency_per_run_s(self) -> Estimate:
        """Seconds of a run: to the first token (prefill), or from one token to the next (decode)."""
        return self.latency_s.scaled(1 / self.runs)

    @property
    def energy_per_token_j(self) -> Estimate | None:
        """Joules of a token."""
        return None if self.energy_j is None else self.energy_j.scaled(1 / self.tokens)

    def cost(self, prices: Prices) -> Cost:
        """Energy at the meter, carbon and money of the phase, and of a million of its tokens."""
        samples = self.parts[0][0].workload.samples
        return cost_of(prices, self.parts[0][0].device, self.latency_s, self.energy_j, Workload(samples, self.tokens))

    def __hash__(self) -> int:
        return hash((self.name, self.runs, self.tokens, self.latency_s))

    def __repr__(self) -> str:
        from perfmodel.predict.notebook import phase_line

        return phase_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the figures of the phase and of a run, with their intervals."""
        from perfmodel.predict.notebook import phase_html

        return phase_html(self)

    def to_pandas(self) -> DataFrame:
        """The phase's rows of :meth:`GenerationPrediction.to_pandas`.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import phases_frame

        return phases_frame([self])

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "name": self.name, "runs": self.runs, "tokens": self.tokens, "latency_s": self.latency_s.to_dict(),
            "latency_per_run_s": self.latency_per_run_s.to_dict(), "energy_j": _dict(self.energy_j),
            "energy_per_token_j": _dict(self.energy_per_token_j), "power_w": _dict(self.power_w),
            "peak_w": _dict(self.peak_w), "parts": [{"runs": n, **p.to_dict()} for p, n in self.parts],
        }  # fmt: skip


@checked_methods()
@dataclass(frozen=True, kw_only=True)
class GenerationPrediction:
    """A generation request on a device.

    Attributes:
        model: the file's name, or what the graph is called.
        device: the device's id.
        predictor: the predictor's name.
        prompt, generate: tokens of each sequence that are given, and that come out.
        phases: prefill, and decode where more than one token is generated (prefill makes the first).
        latency_s, power_w, energy_j: of the whole request; power is the mean.
        peak_w: power of the operator that draws most.
        kv_cache_bytes: keys and values at the end.
        peak_memory_bytes: the most of any run, the last step among them; where the file has no cache of its own, of the largest
            run that is predicted, with the whole cache added.
        workload: sequences, and their tokens of prompt and answer together.
        dims: the dimensions that the model was bound to in its first run.
        dtype_map: formats by operator family or pattern of names, as they were asked for.
        kv_dtype: the format that cached keys and values were asked to be stored in; None: none was.
        warnings: one line each: what was assumed, what is beyond the training data.
        idle_power_w: what the device draws while it waits, in watts; None where that is unknown.
        power_limit_w: the limit in force, the device's or the one that was asked for; None where the device's is unknown.
        lowest_idle_power_w: what the device draws at its lowest clock while nothing runs: power limits lie above it.
    """

    model: str
    device: str
    predictor: str
    prompt: int
    generate: int
    phases: tuple[PhasePrediction, ...]
    latency_s: Estimate
    power_w: Estimate | None
    energy_j: Estimate | None
    peak_w: Estimate | None
    kv_cache_bytes: float
    peak_memory_bytes: float
    workload: Workload
    dims: Mapping[str, int] = field(default_factory=dict)
    dtype_map: Mapping[str, str] = field(default_factory=dict)
    kv_dtype: str | None = None
    warnings: tuple[str, ...] = ()
    idle_power_w: float | None = None
    power_limit_w: float | None = None
    lowest_idle_power_w: float | None = None

    def power_profile(self) -> PowerProfile:
        """Power over the time of the request, its phases one after the other.

        Raises:
            InputError: the device's power is unknown.
        """
        blocks = (PowerBlock(phase.name, tuple(steps_of(p)), runs) for phase in self.phases for p, runs in phase.parts)
        return PowerProfile(tuple(blocks), self.idle_power_w, self.power_limit_w, self.lowest_idle_power_w)

    def cost(self, prices: Prices) -> Cost:
        """Energy at the meter, carbon and money of the request, and of a million tokens, given and generated."""
        return cost_of(prices, self.device, self.latency_s, self.energy_j, self.workload)

    def __hash__(self) -> int:
        return hash((self.model, self.device, self.predictor, self.prompt, self.generate, self.latency_s))

    def __repr__(self) -> str:
        """One line."""
        from perfmodel.predict.notebook import request_line

        return request_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the request and its phases, with intervals."""
        from perfmodel.predict.notebook import request_html

        return request_html(self)

    def to_pandas(self) -> DataFrame:
        """One row an operator of each phase; ``runs`` says how many runs of the model a row stands for, each.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import phases_frame

        return phases_frame(self.phases)

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "model": self.model, "device": self.device, "predictor": self.predictor, "prompt": self.prompt,
            "generate": self.generate, "latency_s": self.latency_s.to_dict(), "power_w": _dict(self.power_w),
            "energy_j": _dict(self.energy_j), "peak_w": _dict(self.peak_w), "kv_cache_bytes": self.kv_cache_bytes,
            "peak_memory_bytes": self.peak_memory_bytes, "samples": self.workload.samples,
            "tokens": self.workload.tokens, "dims": dict(self.dims), "dtype_map": dict(self.dtype_map),
            "kv_dtype": self.kv_dtype, "warnings": list(self.warnings), "idle_power_w": self.idle_power_w,
            "power_limit_w": self.power_limit_w, "lowest_idle_power_w": self.lowest_idle_power_w,
            "phases": [phase.to_dict() for phase in self.phases],
        }  # fmt: skip


@checked_methods()
class GenerationComparison(list[GenerationPrediction]):
    """Requests side by side: a list that shows itself as a table. :func:`compare_generation` gives one, the fastest first."""

    def _repr_html_(self) -> str:
        """What Jupyter shows: one row a request, the latency also as a multiple of the first one's."""
        from perfmodel.predict.notebook import requests_html

        return requests_html(self)

    def to_pandas(self) -> DataFrame:
        """One row a request, SI units in the names of the columns.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import requests_frame

        return requests_frame(self)


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
        last: the last run, which says how large the cache is.
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


def _dict(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()

"""A predicted run in Chrome's trace format: Perfetto (ui.perfetto.dev), ``chrome://tracing`` and Speedscope open it.

The format is Google's "Trace Event Format", which Perfetto's documentation calls legacy JSON and still reads:
``X`` events have a start ``ts`` and a length ``dur`` in microseconds, ``C`` events are counters, ``M`` events name lanes.
Stretches of a lane must lie apart or one within the other. Perfetto, which counts whole nanoseconds, drops one that crosses
another's end; Speedscope, which adds ``dur`` to ``ts`` in floating point, draws all that follows within it. So stretches begin
at whole nanoseconds and end one before the next begins, those within another one more: no reader's rounding lets them cross.
What was predicted to more digits is in their ``args``.

A prediction is a process; its lanes are the phases of a request, the modules that the operators' names spell (one within the
other, as a flame graph), the kernels, and what the device waits for. Kernels follow each other, as perfmodel predicts them: on
one stream. Power and memory are counters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.errors import checked_keywords
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction
from perfmodel.report.modules import module_path

PHASES, MODULES, KERNELS, WAITING = 1, 2, 3, 4
LANES = {PHASES: "phases", MODULES: "modules", KERNELS: "kernels", WAITING: "waiting"}
"""Lanes (threads) of a process, in the order in which they are shown."""

MOST_KERNELS = 60_000
"""Kernels of a trace: beyond them, of runs that are alike only the first is drawn kernel by kernel."""

_US = 1e6
_NS = 1e9


def _us(ns: int) -> float:
    """Microseconds that are as many nanoseconds in any reader, whether it rounds or cuts off."""
    us = ns / 1000
    return us if us * 1000 >= ns else math.nextafter(us, math.inf)


@checked_keywords()
def timeline(predictions: Sequence[ModelPrediction | GenerationPrediction]) -> str:
    """The predicted runs as the text of a trace, one process a prediction, each beginning at 0.

    Args:
        predictions: at least one.
    """
    from perfmodel import __version__

    events: list[dict[str, Any]] = []
    for number, prediction in enumerate(predictions, start=1):
        events += _process(prediction, number)
    facts = {
        "generator": f"perfmodel {__version__}",
        "note": "every time is predicted, none was measured",
        "predictions": [_facts(p) for p in predictions],
    }
    # One event a line: 60,000 of them can be searched, and two traces be compared line by line.
    lines = ",\n".join(json.dumps(event, allow_nan=False, separators=(",", ":")) for event in events)
    rest = json.dumps({"displayTimeUnit": "ns", "otherData": facts}, allow_nan=False)
    return f'{{"traceEvents": [\n{lines}\n], {rest[1:]}\n'


def _facts(p: ModelPrediction | GenerationPrediction) -> dict[str, Any]:
    return {
        "model": p.model, "device": p.device, "predictor": p.predictor, "dims": dict(p.dims),
        "latency_s": p.latency_s.to_dict(), "power_w": _dict(p.power_w), "energy_j": _dict(p.energy_j),
        "warnings": list(p.warnings),
    }  # fmt: skip


def _dict(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()


@dataclass
class _Lane:
    """What is drawn of one prediction: events so far, and the time at which the next begins [s]."""

    process: int
    now_s: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)

    def span(
        self,
        lane: int,
        name: str,
        start_s: float,
        end_s: float,
        args: dict[str, Any],
        kind: str = "",
        *,
        within: int = 0,
    ) -> None:
        """A stretch of time in a lane.

        Args:
            lane, name, args: where, what, and what a click shows.
            start_s, end_s: when; the next may begin where it ends.
            kind: its category; the lane's name where it has none of its own.
            within: how many others of its lane hold it.
        """
        start_ns = round(start_s * _NS)
        length_ns = max(round(end_s * _NS) - 1 - within - start_ns, 0)
        self.events.append(
            {
                "ph": "X", "pid": self.process, "tid": lane, "name": name, "cat": kind or LANES[lane],
                "ts": _us(start_ns), "dur": _us(length_ns), **({"args": args} if args else {}),
            }
        )  # fmt: skip

    def counter(self, name: str, unit: str, value: float) -> None:
        """A counter's value from now on."""
        self.events.append(
            {"ph": "C", "pid": self.process, "name": name, "ts": self.now_s * _US, "args": {unit: value}}
        )


def _process(p: ModelPrediction | GenerationPrediction, number: int) -> list[dict[str, Any]]:
    lane = _Lane(number)
    runs: list[tuple[str | None, ModelPrediction, int]]
    if isinstance(p, ModelPrediction):
        runs = [(None, p, 1)]
    else:
        runs = [(phase.name, part, count) for phase in p.phases for part, count in phase.parts]
    whole = sum(count * len(part.operators) for _, part, count in runs) <= MOST_KERNELS
    of_phase: dict[str | None, int] = {}
    for phase, _, count in runs:
        of_phase[phase] = of_phase.get(phase, 0) + count
    phase_start, phase_name, before = 0.0, None, 0
    for at, (phase, part, count) in enumerate(runs):
        if phase != phase_name:
            phase_start, phase_name, before = lane.now_s, phase, 0
        drawn = count if whole else 1
        for run in range(drawn):
            start = lane.now_s
            _run(lane, part)
            if phase is not None:
                name = f"{phase} {before + run + 1}" if of_phase[phase] > 1 else phase
                _span_of_run(lane, name, start, part)
        if drawn < count:
            seconds = (count - drawn) * part.latency_s.value
            args = {"runs": count - drawn, "latency_each_s": part.latency_s.to_dict()}
            lane.span(
                KERNELS, f"{count - drawn} further runs like the one before", lane.now_s, lane.now_s + seconds, args
            )
            if part.power_w is not None:
                lane.counter("power", "W", part.power_w.value)
            lane.now_s += seconds
        before += count
        if phase is not None and (at + 1 == len(runs) or runs[at + 1][0] != phase):
            lane.span(PHASES, phase, phase_start, lane.now_s, {}, "phase")
    if p.power_w is not None and p.idle_power_w is not None:
        lane.counter("power", "W", p.idle_power_w)
    return [*_names(p, number, {e["tid"] for e in lane.events if "tid" in e}), *_in_order(lane.events)]


def _span_of_run(lane: _Lane, name: str, start: float, part: ModelPrediction) -> None:
    args = {"latency_s": part.latency_s.to_dict(), "power_w": _dict(part.power_w), "energy_j": _dict(part.energy_j)}
    lane.span(PHASES, name, start, lane.now_s, {**args, "dims": dict(part.dims)}, "run", within=1)


def _names(p: ModelPrediction | GenerationPrediction, number: int, used: set[int]) -> Iterator[dict[str, Any]]:
    title = f"{p.model} on {p.device} (predicted)"
    yield {"ph": "M", "pid": number, "name": "process_name", "args": {"name": title}}
    yield {"ph": "M", "pid": number, "name": "process_sort_index", "args": {"sort_index": number}}
    for lane, name in LANES.items():
        if lane in used:
            yield {"ph": "M", "pid": number, "tid": lane, "name": "thread_name", "args": {"name": name}}
            yield {"ph": "M", "pid": number, "tid": lane, "name": "thread_sort_index", "args": {"sort_index": lane}}


def _in_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By time; what contains another stretch of its lane stands before it, or viewers draw it within the other."""

    def place(event: dict[str, Any]) -> tuple[float, float, bool]:
        holds = event.get("tid") in (PHASES, MODULES)
        return event["ts"], -event["dur"] if holds else 0.0, event.get("cat") != "phase"

    return sorted(events, key=place)


def _run(lane: _Lane, p: ModelPrediction) -> None:
    """One run, from now on."""
    start = lane.now_s
    kernels_s = sum(o.latency_s.value for o in p.operators)
    launches = sum(o.count for o in p.operators)
    # What is no kernel's: waits for the host, and what a runtime takes beside its kernels; after each launch an equal part.
    idle_s = max(p.latency_s.value - kernels_s, 0.0)
    in_use = {} if p.memory is None else dict(zip(p.memory.nodes, p.memory.profile.tolist(), strict=False))
    open_modules: list[tuple[str, float]] = []
    for o in p.operators:
        modules = module_path(o.name)[:-1]
        shared = 0
        while shared < min(len(modules), len(open_modules)) and open_modules[shared][0] == modules[shared]:
            shared += 1
        _close(lane, open_modules, shared)
        open_modules += [(name, lane.now_s) for name in modules[shared:]]
        if o.power_w is not None:
            lane.counter("power", "W", o.power_w.value)
        if o.name in in_use:
            lane.counter("memory in use", "bytes", in_use[o.name])
        lane.span(KERNELS, o.name, lane.now_s, lane.now_s + o.latency_s.value, _operator(o), o.op)
        lane.now_s += o.latency_s.value
        if idle_s > 0 and launches:
            gap_s = idle_s * o.count / launches
            if o.power_w is not None and p.idle_power_w is not None:
                lane.counter("power", "W", p.idle_power_w)
            lane.span(WAITING, "no kernel runs", lane.now_s, lane.now_s + gap_s, {})
            lane.now_s += gap_s
    _close(lane, open_modules, 0)
    # Rounding of many small sums must not push the next run about, nor back into this one.
    lane.now_s = max(lane.now_s, start + p.latency_s.value) if p.operators else lane.now_s


def _close(lane: _Lane, open_modules: list[tuple[str, float]], keep: int) -> None:
    for depth, (name, since) in enumerate(open_modules[keep:], start=keep):  # the outermost first: it holds the others
        lane.span(MODULES, name, since, lane.now_s, {}, within=depth)
    del open_modules[keep:]


def _operator(o: OperatorPrediction) -> dict[str, Any]:
    """What a click on a kernel shows."""
    result: dict[str, Any] = {
        "op": o.op, "shape": o.shape, "dtype": o.dtype, "count": o.count, "latency_s": o.latency_s.to_dict(),
        "latency_each_s": o.latency_each_s.value, "bound": o.bound, "source": o.source, "flops": o.flops, "bytes": o.bytes,
        "power_w": _dict(o.power_w), "energy_j": _dict(o.energy_j),
        "terms_s": dict(o.terms),
    }  # fmt: skip
    if len(o.members) > 1:
        result["fused"] = list(o.members)
    return result

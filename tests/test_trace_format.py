"""Exported timelines against the rules of the Trace Event Format, strictly: viewers drop what breaks them, and say nothing.

The rules are those of Google's public document "Trace Event Format" for the three kinds of event that are written: ``X``
(complete), ``C`` (counter) and ``M`` (metadata). Times are in microseconds.
"""

from __future__ import annotations

import copy
import json
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.exchange.timeline import timeline

EXAMPLES = Path(__file__).parent.parent / "examples"
METADATA = {"process_name": str, "process_sort_index": int, "thread_name": str, "thread_sort_index": int}
KEYS = {
    "X": {"ph", "pid", "tid", "name", "cat", "ts", "dur", "args"},
    "C": {"ph", "pid", "name", "ts", "args"},
    "M": {"ph", "pid", "tid", "name", "args"},
}
NANOSECOND = 1e-3
"""The finest that viewers tell apart [us]."""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def broken_rules(trace: Any) -> list[str]:
    """What a trace breaks, a line each; nothing where it is in order."""
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list) or not trace["traceEvents"]:
        return ["wanted an object with a list of traceEvents"]
    found = [] if trace.get("displayTimeUnit") in ("ms", "ns") else ["displayTimeUnit is neither ms nor ns"]
    for number, event in enumerate(trace["traceEvents"]):
        found += [f"event {number}: {rule}" for rule in _of_one(event)]
    if not found:
        found = [*_of_names(trace["traceEvents"]), *_of_order(trace["traceEvents"]), *_of_nesting(trace["traceEvents"])]
    return found


def _of_one(event: Any) -> list[str]:
    kind = event.get("ph") if isinstance(event, dict) else None
    if kind not in KEYS:
        return [f"ph is {kind!r}"]
    found = [
        f"has no {key}" for key in sorted(KEYS[kind] - set(event)) if (kind, key) not in (("M", "tid"), ("X", "args"))
    ]
    found += [f"{key} is unknown" for key in sorted(set(event) - KEYS[kind])]
    found += [f"{key} is no whole number" for key in ("pid", "tid") if key in event and not is_whole(event[key])]
    if not isinstance(event.get("name"), str) or not event["name"]:
        found.append("name is no text")
    for key in ("ts", "dur"):
        if key in event and not (is_number(event[key]) and event[key] >= 0):
            found.append(f"{key} is {event[key]!r}")
    args = event.get("args", {} if kind == "X" else None)
    if not isinstance(args, dict):
        return [*found, "args are no object"]
    if kind == "C" and not (args and all(map(is_number, args.values()))):
        found.append("a counter without numbers")
    if kind == "M":
        wanted = METADATA.get(event.get("name", ""))
        key = "name" if wanted is str else "sort_index"
        if wanted is None or set(args) != {key} or type(args[key]) is not wanted:
            found.append(f"metadata {event.get('name')!r} with {args}")
        elif event["name"].startswith("thread") != ("tid" in event):
            found.append(f"{event['name']} and tid do not agree")
    return found


def _of_names(events: list[dict[str, Any]]) -> list[str]:
    """Each process and lane is named, once, and none that has no events."""
    used = {(e["pid"], None) for e in events if e["ph"] != "M"} | {
        (e["pid"], e["tid"]) for e in events if e["ph"] == "X"
    }
    named = [(e["pid"], e.get("tid")) for e in events if e["name"] in ("process_name", "thread_name")]
    found = [f"{where} has no name" for where in sorted(used - set(named), key=str)]
    found += [f"{where} has a name and no events" for where in sorted(set(named) - used, key=str)]
    return found + [f"{where} is named twice" for where in sorted(set(named), key=str) if named.count(where) > 1]


def _of_order(events: list[dict[str, Any]]) -> list[str]:
    """Within a process times never go back, and each begins at 0."""
    found: list[str] = []
    last: dict[int, float] = {}
    for number, event in enumerate(events):
        if event["ph"] == "M":
            continue
        if event["pid"] not in last and event["ts"] != 0:
            found.append(f"event {number}: process {event['pid']} begins at {event['ts']}")
        if event["ts"] < last.get(event["pid"], 0.0):
            found.append(f"event {number}: before the one in front of it")
        last[event["pid"]] = event["ts"]
    return found


def _of_nesting(events: list[dict[str, Any]]) -> list[str]:
    """Two stretches of one lane lie apart, or one within the other, to any reader.

    Perfetto counts whole nanoseconds, rounded or cut off; Speedscope adds microseconds in floating point and ends a stretch at
    the sum: a hair behind the beginning of the next, it draws that one, and all that follow, within it.
    """
    found: list[str] = []
    readers: tuple[Callable[[float], float], ...] = (lambda us: round(us * 1000), lambda us: int(us * 1000), float)
    for units in readers:
        open_ends: dict[tuple[int, int], list[float]] = defaultdict(list)
        for number, event in enumerate(events):
            if event["ph"] != "X":
                continue
            ends = open_ends[event["pid"], event["tid"]]
            start = units(event["ts"])
            end = start + units(event["dur"])
            while ends and ends[-1] <= start:
                ends.pop()
            if ends and end > ends[-1]:
                found.append(f"event {number}: crosses the end of one that it began in, by {end - ends[-1]}")
            ends.append(end)
    return found


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The runs of two models: one on two devices, the other a request of two phases, on a third process."""
    resnet = [perfmodel.predict(EXAMPLES / "resnet18.onnx", d, dims={"batch": 8}) for d in ("h100-sxm", "l40s")]
    request = perfmodel.predict_generation(
        EXAMPLES / "gpt2.onnx", "h100-sxm", prompt=16, generate=5, dims={"batch": 1}, dtype="bf16", launch="eager"
    )
    trace: dict[str, Any] = json.loads(timeline([*resnet, request]))
    return trace


def test_the_timelines_of_two_models_keep_every_rule(whole: dict[str, Any]) -> None:
    assert len(whole["traceEvents"]) > 500
    assert broken_rules(whole) == []


def test_units_are_microseconds(whole: dict[str, Any]) -> None:
    """The last stretch of each process ends when its prediction, in seconds, does."""
    for number, facts in enumerate(whole["otherData"]["predictions"], start=1):
        end = max(e["ts"] + e["dur"] for e in whole["traceEvents"] if e["ph"] == "X" and e["pid"] == number)
        assert end == pytest.approx(facts["latency_s"]["value"] * 1e6, rel=1e-6, abs=2 * NANOSECOND)


def first(trace: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    event: dict[str, Any] = next(e for e in trace["traceEvents"] if all(e.get(k) == v for k, v in wanted.items()))
    return event


def _longer(trace: dict[str, Any]) -> None:
    first(trace, ph="X", tid=3)["dur"] *= 1.5


def _touching(trace: dict[str, Any]) -> None:
    """A kernel that ends where the next begins, but for the last digit of a float: 0.1 + 0.2 is more than 0.3."""
    one, other, *_ = (e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == 3 and e["ts"] > 0)
    one["ts"], one["dur"], other["ts"], other["dur"] = 0.1, 0.2, 0.3, 5.0
    trace["traceEvents"] = [e for e in trace["traceEvents"] if e["ph"] == "M" or e["ts"] == 0 or e in (one, other)]


def _shuffled(trace: dict[str, Any]) -> None:
    trace["traceEvents"].append(trace["traceEvents"].pop(first_index(trace, "X")))


def first_index(trace: dict[str, Any], kind: str) -> int:
    return next(i for i, e in enumerate(trace["traceEvents"]) if e["ph"] == kind)


BREAKS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no list": (lambda t: t.pop("traceEvents"), "list of traceEvents"),
    "unit": (lambda t: t.update(displayTimeUnit="us"), "displayTimeUnit"),
    "kind": (lambda t: first(t, ph="X").update(ph="x"), "ph is 'x'"),
    "no length": (lambda t: first(t, ph="X").pop("dur"), "has no dur"),
    "no lane": (lambda t: first(t, ph="X").pop("tid"), "has no tid"),
    "negative": (lambda t: first(t, ph="X").update(dur=-1e-9), "dur is -1e-09"),
    "not finite": (lambda t: first(t, ph="C").update(ts=math.nan), "ts is nan"),
    "text for a time": (lambda t: first(t, ph="X").update(ts="1"), "ts is '1'"),
    "process": (lambda t: first(t, ph="C").update(pid="gpu"), "pid is no whole number"),
    "counter": (lambda t: first(t, ph="C").update(args={"W": None}), "a counter without numbers"),
    "metadata": (lambda t: first(t, name="thread_name").update(args={"name": 3}), "metadata 'thread_name'"),
    "whose name": (lambda t: first(t, name="thread_name").pop("tid"), "do not agree"),
    "no name": (lambda t: t["traceEvents"].remove(first(t, name="process_name")), "has no name"),
    "two names": (lambda t: t["traceEvents"].append(first(t, name="process_name")), "named twice"),
    "order": (_shuffled, "before the one in front of it"),
    "crossing": (_longer, "crosses the end"),
    "crossing in floating point": (_touching, "crosses the end"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_is_seen_to_be_broken(name: str, whole: dict[str, Any]) -> None:
    trace = copy.deepcopy(whole)
    change, said = BREAKS[name]
    change(trace)
    assert any(said in line for line in broken_rules(trace)), broken_rules(trace)

"""ONNX Runtime's profile: a JSON list of events in the Chrome trace format, times in whole microseconds.

An event with ``cat`` ``Node`` and a name that ends with ``_kernel_time`` is a call of a kernel; ``args`` has its operator
(``op_name``), its execution provider, and types and shapes of its operands. ``model_run`` events bracket runs. If, Loop and
Scan have events of their own that contain those of their bodies. The call of a GPU's kernel is over when it is enqueued.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from perfmodel.collect.kernels import Kernel
from perfmodel.errors import TraceError, is_finite_number

SUFFIX = "_kernel_time"
MOST_BYTES = 2_000_000_000
MOST_SECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Event:
    """A call of a kernel; times in seconds."""

    node: str
    op_type: str
    begin_s: float
    seconds: float
    thread: int
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    provider: str = ""


def read_profile(
    path: str | Path, *, warm_up: int = 0, copies: Mapping[tuple[str, str], int] | None = None
) -> tuple[tuple[Kernel, ...], float, float]:
    """Kernels of a profile, the sum of a run, and the events of a run.

    Args:
        path: the file that ``end_profiling`` names.
        warm_up: runs at the beginning that are left out.
        copies: how many nodes share a name and operator (the runtime calls all that it puts in alike): their calls are told
            apart by their order within a run, and the kernels are called ``name#0``, ``name#1``, ...

    Returns:
        Kernels in the order of their first call; the median over runs of the sum of their times (as profiled); the mean
        number of events in a run.

    Raises:
        TraceError: it is no profile, or holds no run after the warm-up.
    """
    runs, events = _events(Path(path))
    kept = runs[warm_up:]
    if not kept:
        raise TraceError(f"{path} holds {len(runs)} runs; wanted more than the {warm_up} that warm up")
    leaves = without_parents(events)
    by_run: list[list[Event]] = [[] for _ in kept]
    position = 0
    for event in sorted(leaves, key=lambda e: e.begin_s):
        while position < len(kept) and event.begin_s > kept[position][1]:
            position += 1
        if position < len(kept) and event.begin_s >= kept[position][0]:
            by_run[position].append(event)
    if not any(by_run):
        raise TraceError(f"{path} holds no call of a kernel within its runs")
    calls: dict[tuple[str, str], list[Event]] = {}
    for run in by_run:
        seen: dict[tuple[str, str], int] = {}
        for event in run:
            key = (event.node, event.op_type)
            if (among := (copies or {}).get(key, 1)) > 1:
                place = seen[key] = seen.get(key, -1) + 1
                key = (f"{event.node}#{place % among}", event.op_type)
            calls.setdefault(key, []).append(event)
    kernels = tuple(_kernel(node, op, found, len(kept)) for (node, op), found in calls.items())
    total = median(sum(e.seconds for e in run) for run in by_run)
    return kernels, total, sum(map(len, by_run)) / len(by_run)


def without_parents(events: Iterable[Event]) -> list[Event]:
    """The events that contain no other of their thread."""
    by_thread: dict[int, list[Event]] = {}
    for event in events:
        by_thread.setdefault(event.thread, []).append(event)
    leaves = []
    for found in by_thread.values():
        # An event's children begin with or after it and end before: of equal beginnings the longest is the parent.
        found.sort(key=lambda e: (e.begin_s, -e.seconds))
        for event, following in zip(found, [*found[1:], None], strict=True):
            end = event.begin_s + event.seconds
            # The microsecond is what begin and length are rounded to.
            inside = following is not None and following.begin_s + following.seconds <= end + 1e-9
            if not (inside and following is not None and following.begin_s < end - 1e-9):
                leaves.append(event)
    return leaves


def _kernel(node: str, op_type: str, events: list[Event], runs: int) -> Kernel:
    seconds = [e.seconds for e in events]
    return Kernel(
        node=node,
        op_type=op_type,
        latency_s=midmean(seconds),
        calls=len(events) / runs,
        samples=len(events),
        rel_std=pstdev(seconds) / fmean(seconds) if fmean(seconds) > 0 else 0.0,
        inputs=events[0].inputs,
        outputs=events[0].outputs,
        provider=events[0].provider,
    )


def midmean(values: list[float]) -> float:
    """The mean of the middle half: as robust as the median, and finer than the microseconds that a profile is given in."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    return fmean(ordered[cut : len(ordered) - cut])


def _events(path: Path) -> tuple[list[tuple[float, float]], list[Event]]:
    from perfmodel.collect.importers.rows import parse_json  # the importers know this module

    try:
        if path.stat().st_size > MOST_BYTES:
            raise TraceError(f"{path} has more than {MOST_BYTES} bytes: profile fewer runs")
        data = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise TraceError(f"{path} is no profile of ONNX Runtime: it is no JSON (was the session ended?)") from None
    # Chrome's own format wraps the list.
    items = data.get("traceEvents") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise TraceError(f"{path} is no profile of ONNX Runtime: wanted a list of events")
    runs, events = [], []
    for number, item in enumerate(items):
        if not isinstance(item, dict) or item.get("ph", "X") != "X":
            continue
        name = item.get("name")
        if name == "model_run":
            begin, length = _times(path, number, item)
            runs.append((begin, begin + length))
        elif item.get("cat") == "Node" and isinstance(name, str) and name.endswith(SUFFIX):
            begin, length = _times(path, number, item)
            arguments = item.get("args")
            arguments = arguments if isinstance(arguments, dict) else {}
            events.append(
                Event(
                    node=name.removesuffix(SUFFIX),
                    op_type=str(arguments.get("op_name", "")),
                    begin_s=begin,
                    seconds=length,
                    thread=item["tid"] if isinstance(item.get("tid"), int) else 0,
                    inputs=_operands(arguments.get("input_type_shape")),
                    outputs=_operands(arguments.get("output_type_shape")),
                    provider=str(arguments.get("provider") or ""),
                )
            )
    if not events:
        raise TraceError(f"{path} is no profile of ONNX Runtime: no event is the call of a kernel")
    if not runs:
        # Profiles of other tools that embed the runtime may lack the brackets: all calls are one run then.
        runs.append((min(e.begin_s for e in events), max(e.begin_s + e.seconds for e in events)))
    return sorted(runs), events


def _times(path: Path, number: int, item: Mapping[str, Any]) -> tuple[float, float]:
    values = []
    for key in ("ts", "dur"):
        value = item.get(key)
        if not is_finite_number(value) or value < 0:
            raise TraceError(f"{path}: event {number}: {key} is {value!r:.80}; wanted microseconds")
        values.append(value * 1e-6)
    if values[1] > MOST_SECONDS:
        raise TraceError(f"{path}: event {number}: {values[1]:g} s long")
    return values[0], values[1]


def _operands(value: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """``[{"float": [2, 3]}]`` as (type, shape); what is of another form is left out."""
    found = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict) and len(item) == 1:
            [(kind, shape)] = item.items()
            if isinstance(shape, list) and all(isinstance(d, int) and not isinstance(d, bool) for d in shape):
                found.append((str(kind), tuple(shape)))
    return tuple(found)

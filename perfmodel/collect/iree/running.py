"""Seconds of a call through IREE's runtime, on one thread, with its own benchmark tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from perfmodel.collect.iree.compiler import tool
from perfmodel.collect.iree.process import TooLongError, run_bounded
from perfmodel.errors import PerfmodelError

REPEATS = 9
REPEAT_S = 0.015
"""Seconds of calls that make one repeat."""
RUN_LIMIT_S = 15.0


class RunError(PerfmodelError):
    """A module that the runtime cannot run."""


@dataclass(frozen=True)
class Latency:
    """Of one module.

    Attributes:
        latency_s: median over the repeats of the mean of a call.
        latency_rel_std: distance of the quartiles of the repeats over 1.349 times the median: their relative standard
            deviation, with no regard of outliers.
        samples: repeats.
    """

    latency_s: float
    latency_rel_std: float
    samples: int


def time_module(
    vmfb: Path, function: str, inputs: Sequence[str], *, repeats: int = REPEATS, repeat_s: float = REPEAT_S,
    limit_s: float = RUN_LIMIT_S,
) -> Latency:  # fmt: skip
    """Times a function; the caller pins the thread and sees to it that the machine is quiet.

    Args:
        vmfb: the compiled module.
        function: that is called.
        inputs: of ``iree-benchmark-module``.
        repeats, repeat_s: how often it is timed, and for how long each.
        limit_s: of processor time, after which it is ended.

    Raises:
        RunError: it failed, or took longer.
        MissingExtraError: the runtime is not installed.
    """
    command = [
        str(tool("iree-benchmark-module")), f"--module={vmfb}", f"--function={function}", "--device=local-sync",
        *(f"--input={value}" for value in inputs), f"--benchmark_repetitions={repeats}", "--benchmark_format=json",
        f"--benchmark_min_time={repeat_s}s",
    ]  # fmt: skip
    try:
        done = run_bounded(command, limit_s)
    except TooLongError as problem:
        raise RunError(f"{vmfb.name}: {problem} to time it") from None
    try:
        said = json.loads(done.stdout)
        seconds = sorted(
            float(entry["real_time"]) * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[entry["time_unit"]]
            for entry in said["benchmarks"]
            if entry["run_type"] == "iteration"
        )
    except (ValueError, KeyError):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RunError(
            f"{vmfb.name}: iree-benchmark-module ended with {done.returncode}: {last[-1][:200] if last else ''}"
        ) from None
    if not seconds:
        raise RunError(f"{vmfb.name}: no time was given")
    return Latency(median(seconds), _spread(seconds) / median(seconds), len(seconds))


def _spread(ordered: Sequence[float]) -> float:
    import numpy as np

    low, high = np.quantile(ordered, (0.25, 0.75))
    return float(high - low) / 1.349

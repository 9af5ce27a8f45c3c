"""Cache files of Kernel Tuner: every configuration of one kernel that was tried, with its time in milliseconds.

    {"device_name": ..., "kernel_name": ..., "problem_size": ..., "tune_params_keys": [...], "cache": {"32,1": {...}, ...}}

An entry has the parameters by name, and ``time``: a number, or the name of what went wrong (``InvalidConfig``,
``CompilationFailedConfig``, ``RuntimeFailedConfig``). While tuning goes on the file lacks its closing braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perfmodel.collect.importers.rows import Imported, as_columns, parse_json, read_text
from perfmodel.errors import TraceError, is_finite_number, is_number
from perfmodel.ops.base import Operator
from perfmodel.ops.table import columns_of

MILLISECOND = 1e-3
OLD_FAILURE = 1e19
"""Milliseconds: older versions wrote 1e20 for a configuration that failed."""
_MOST_CUTS = 50
"""Places at which a file that was cut off is tried to end."""


def read_kernel_tuner(
    path: str | Path, op: Operator, device: str, software: str, source: str = "kernel-tuner"
) -> Imported:
    """One row a configuration, with its parameters as ``cfg_<name>``.

    Args:
        path: the cache file.
        op: what the kernel computes: the file does not tell.
        device: the device's id, or the path of its TOML.
        software: the stack, as in ``clblast-1.6.2``.
        source: what the rows bear.

    Returns:
        Rows of failed configurations have no latency and the failure as ``status``.

    Raises:
        TraceError: it is no cache file, or an entry has another form.
    """
    data = _load(path)
    names, cache = data.get("tune_params_keys"), data.get("cache")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not isinstance(cache, dict):
        raise TraceError(f"{path} is no cache of Kernel Tuner: wanted tune_params_keys and cache")
    rows = []
    for order, (key, entry) in enumerate(cache.items()):
        if not isinstance(entry, dict) or not set(names) <= set(entry):
            raise TraceError(f"{path}: configuration {key!r}: wanted the parameters {', '.join(names)}")
        time = entry.get("time")
        failure = _failure(time)
        seconds = None
        if failure is None:
            if not (is_finite_number(time) and time > 0):
                raise TraceError(f"{path}: configuration {key!r}: time is {time!r}; wanted milliseconds or a failure")
            seconds = time * MILLISECOND
        times = entry.get("times")
        times = [t for t in times if is_finite_number(t)] if isinstance(times, list) else []
        rows.append(
            {
                "device": device, "software": software, "source": source, **columns_of(op),
                "kernel": str(data.get("kernel_name", "")) or None,
                "latency_s": seconds,
                "samples": len(times) or None, "status": failure or "ok", "order": order,
                **{f"cfg_{name}": entry[name] for name in names},
            }
        )  # fmt: skip
    if not rows:
        raise TraceError(f"{path} holds no configuration")
    return Imported(as_columns(rows), {})


def _failure(time: Any) -> str | None:
    """``CompilationFailedConfig`` as ``compilation failed``; older versions wrote a huge number in its place."""
    if is_number(time) and time >= OLD_FAILURE:
        return "failed"
    if not isinstance(time, str):
        return None
    words = re.findall(r"[A-Z][a-z]*", time.removesuffix("Config"))
    return " ".join(words).lower() or time


def _candidates(text: str) -> Iterator[str]:
    """The text; with the ends that a file lacks that tuning still appends to (after an entry, with or without a comma); and up
    to the last entries that are whole, where it was cut off within one."""
    yield text
    yield text.rstrip(",") + "}}"
    end = len(text)
    for _ in range(_MOST_CUTS):
        end = text.rfind("}", 0, end)
        if end < 0:
            return
        yield text[: end + 1] + "}}"


def _load(path: str | Path) -> dict[str, Any]:
    text = read_text(path).strip()
    for candidate in _candidates(text):
        try:
            data = parse_json(candidate)
        except ValueError:
            continue
        if isinstance(data, dict):
            if "results" in data and "cache" not in data:
                raise TraceError(
                    f"{path} is a file of results in the T4 format; wanted the cache file of the same tuning"
                )
            return data
    raise TraceError(f"{path} is no cache of Kernel Tuner: it is no JSON object")

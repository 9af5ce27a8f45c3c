"""Formats of traces that can be imported, by name, and which one a file has.

Another package adds one under the entry point group :data:`GROUP`::

    [project.entry-points."perfmodel.importers"]
    my-profiler = "their_package:make"

``make()`` is called without arguments and returns an object with the attributes of :class:`Format`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from perfmodel.collect.importers.chrome import read_chrome
from perfmodel.collect.importers.cutlass import read_cutlass
from perfmodel.collect.importers.kernel_tuner import read_kernel_tuner
from perfmodel.collect.importers.nsight import read_nsight_compute, read_nsight_systems
from perfmodel.collect.importers.onednn import read_onednn
from perfmodel.collect.importers.rows import Imported, text_lines
from perfmodel.collect.importers.tvm import read_autotvm, read_meta_schedule
from perfmodel.errors import InputError, PerfmodelError, TraceError, nearest
from perfmodel.ops.base import Operator
from perfmodel.plugins import make_registered, registered

GROUP = "perfmodel.importers"
HEAD_LINES, HEAD_CHARACTERS = 400, 200_000
"""How much of a file is looked at to tell its format."""


@dataclass(frozen=True)
class Request:
    """What a trace does not tell of itself.

    Attributes:
        device: id of the device, or the path of its TOML.
        software: the stack that was measured.
        source: what the rows bear; None: the format's name.
        op: what the kernel computes, where the file does not say.
        graph: the saved graph of a profiled model.
        dims: numbers for that graph's symbolic dimensions.
        warm_up: runs of a profile that are left out.
        threads: what a profiled session was allowed.
    """

    device: str
    software: str
    source: str | None = None
    op: Operator | None = None
    graph: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    warm_up: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: for ``--format``.
        title: what it is, for tables.
        is_it: whether the beginning of a file (some hundred lines) looks like it.
        read: the rows of a file; raises TraceError where it is damaged, InputError where the request lacks something.
    """

    name: str
    title: str
    is_it: Callable[[str], bool]
    read: Callable[[Path, Request], Imported]


def _plain(name: str, title: str, is_it: Callable[[str], bool], read: Callable[..., Imported]) -> Format:
    """A format whose files need nothing but device and software."""

    def read_it(path: Path, request: Request) -> Imported:
        return read(path, request.device, request.software, request.source or name)

    return Format(name, title, is_it, read_it)


def _kernel_tuner(path: Path, request: Request) -> Imported:
    if request.op is None:
        raise InputError(
            f"{path}: a cache of Kernel Tuner does not say what its kernel computes: give the operator, as in "
            "--op 'gemm m=4096 n=4096 k=4096 dtype=fp32'"
        )
    return read_kernel_tuner(path, request.op, request.device, request.software, request.source or "kernel-tuner")


def _has(*words: str) -> Callable[[str], bool]:
    return lambda head: all(word in head for word in words)


def _is_autotvm(head: str) -> bool:
    return re.match(r'\s*\{\s*"(input|i)"\s*:\s*\[', head) is not None and re.search(r'"(result|r)"', head) is not None


def _is_meta_schedule(head: str) -> bool:
    try:
        record = json.loads(head.split("\n", 1)[0])
    except (ValueError, RecursionError):
        return re.match(r'\s*\[\s*\d+\s*,\s*\[\s*\[\s*\[\s*\[\s*"', head) is not None
    return isinstance(record, list) and len(record) == 2 and isinstance(record[0], int) and isinstance(record[1], list)


_OURS = {
    f.name: f
    for f in (
        _plain(
            "nsight-systems", "nsys stats: cuda_gpu_kern_sum or cuda_gpu_trace as CSV",
            lambda head: re.search(r"(Instances|Duration \(\w+\)).*\bName\b", head) is not None, read_nsight_systems,
        ),
        _plain("nsight-compute", "ncu --csv", _has('"ID"', "Kernel Name"), read_nsight_compute),
        _plain("cutlass-profiler", "cutlass_profiler --output", _has("OperationKind,Operation,"), read_cutlass),
        _plain("autotvm", "tuning log of AutoTVM", _is_autotvm, read_autotvm),
        _plain("tvm-meta-schedule", "database_tuning_record.json of TVM", _is_meta_schedule, read_meta_schedule),
        Format(
            "kernel-tuner", "cache file of Kernel Tuner; needs the operator", _has('"tune_params_keys"'), _kernel_tuner
        ),
        _plain("onednn-verbose", "log with ONEDNN_VERBOSE=1", lambda head: "dnn" in head and "_verbose," in head, read_onednn),
        _plain(
            "torch-profiler", "torch.profiler, export_chrome_trace",
            lambda head: "deviceProperties" in head or ("traceEvents" in head and '"args"' in head), read_chrome,
        ),
    )
}  # fmt: skip
"""Formats of perfmodel that need no other layer; a file is of the first that it looks like."""


def formats(more: Mapping[str, Format] | None = None) -> dict[str, Format]:
    """Our formats by name, with those of another layer before them. What packages register is found by its name alone."""
    return {**(more or {}), **_OURS}


def format_names(more: Mapping[str, Format] | None = None) -> list[str]:
    """Names of our formats, then of those of other packages."""
    known = formats(more)
    return [*known, *(name for name in sorted(registered(GROUP)) if name not in known)]


def format_of(name: str, more: Mapping[str, Format] | None = None) -> Format:
    """A format by name; ours come before those that packages register.

    Raises:
        InputError: there is none of that name.
        PerfmodelError: that of another package cannot be made, or is none.
    """
    known = formats(more)
    if name in known:
        return known[name]
    found = make_registered(GROUP, "importer", name, PerfmodelError)
    if found is None:
        raise InputError(f"no format is called {name!r}: {nearest(name, format_names(more))}")
    made, origin = found
    lacks = [part for part in ("name", "title", "is_it", "read") if not hasattr(made, part)]
    if lacks:
        raise PerfmodelError(
            f"{origin} makes a {type(made).__name__}, which is no importer: it lacks {', '.join(lacks)}"
        )
    other: Any = made
    return Format(name, str(other.title), other.is_it, other.read)


def detect(path: Path, more: Mapping[str, Format] | None = None) -> Format:
    """The format that a file looks like.

    Raises:
        TraceError: it cannot be read, or looks like none.
    """
    head = "".join(islice(_head(path), HEAD_LINES))[:HEAD_CHARACTERS]
    if not head.strip():
        raise TraceError(f"{path} is empty")
    for candidate in formats(more).values():
        if candidate.is_it(head):
            return candidate
    for name in sorted(registered(GROUP)):
        if name not in formats(more) and (other := format_of(name, more)).is_it(head):
            return other
    raise TraceError(f"{path} has none of the formats {', '.join(format_names(more))}; --format says which one it has")


def _head(path: Path) -> Iterator[str]:
    read = 0
    for line in text_lines(path):
        yield line
        read += len(line)
        if read > HEAD_CHARACTERS:
            return

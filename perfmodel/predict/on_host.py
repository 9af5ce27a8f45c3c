"""Models on a processor whose runtime's kernels were measured: the runtime's own graph, its kernels, their sum.

What runs is the graph that the runtime makes of a file: it fuses operators and changes layouts. Where onnxruntime is
installed and the file has its weights, that graph is asked for; otherwise perfmodel's own fusion stands in, and says so.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import PerfmodelError
from perfmodel.graph import Graph, Node
from perfmodel.hardware import Device
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.host.context import COLUMNS, contexts
from perfmodel.models.host.features import table_of_nodes
from perfmodel.models.times import Times
from perfmodel.ops import View
from perfmodel.predict.result import Estimate

Stand = tuple[float, ...]

MAX_FILES = 4
"""Files whose optimised graphs are kept: a report and a comparison ask for one again and again, at other sizes."""


NO_LAUNCHES = (
    "launch eager changes nothing: what the runtime takes to call a kernel was measured on this processor, and counts"
)
"""Under ``--launch eager``."""


def runtime_graph(model: Any, host: HostKernels, dims: Mapping[str, int] | None) -> tuple[Graph | None, str]:
    """The graph that the runtime makes of a model, and a line of warning where it cannot be had (None then).

    Args:
        model: what :func:`perfmodel.predict` takes.
        host: whose runtime.
        dims: numbers for symbolic dimensions.
    """
    from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu

    if isinstance(model, Graph):
        return None, (
            "the runtime is given whole ONNX files, not graphs or the steps of a request: fused as perfmodel knows, which is"
            " less exact here"
        )
    if not isinstance(model, (str, os.PathLike)) or Path(model).suffix.lower() != ".onnx":
        return None, "only an ONNX file can be given to the runtime: fused as perfmodel knows, which is less exact here"
    runtime = OnnxRuntimeCpu(threads=host.threads)
    if runtime.why_not() is not None:
        return None, "onnxruntime is not installed: fused as perfmodel knows its fusions, which is less exact here"
    from perfmodel.features.onnx import read_onnx
    from perfmodel.features.opening import opening

    # Not where links lead: weights in files of their own lie beside the name that was given.
    path = os.path.abspath(model)
    try:
        with opening(str(model)):
            stat = os.stat(path)
        optimised, known = _optimised(path, stat.st_mtime_ns, stat.st_size, host.threads)
        graph = read_onnx(optimised, dims={name: n for name, n in (dims or {}).items() if name in known})
    except PerfmodelError as problem:
        return (
            None,
            f"the runtime's own graph cannot be had ({problem}): fused as perfmodel knows, which is less exact",
        )
    return replace(graph, name=Path(model).stem), ""


@lru_cache(maxsize=MAX_FILES)
def _optimised(path: str, changed_ns: int, size: int, threads: int) -> tuple[bytes, frozenset[str]]:
    """The runtime's graph of a file, serialised without large weights, and its dimensions, which are open: one for all sizes.

    Args:
        path: of the file.
        changed_ns, size: of it, since a file that was written again has another graph.
        threads: that the runtime has.

    Raises:
        PerfmodelError: the runtime cannot load the file, or its graph cannot be read; the next call tries again.
    """
    from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu
    from perfmodel.features.onnx.load import without_weights
    from perfmodel.features.onnx.reader import model_dims

    with tempfile.TemporaryDirectory(prefix="perfmodel-") as folder:
        target = Path(folder) / "optimised.onnx"
        OnnxRuntimeCpu(threads=threads).optimise(Path(path), target)
        optimised = without_weights(target)
    return optimised, frozenset(model_dims(optimised))


def stands_of(graph: Graph) -> list[Stand]:
    """How each kernel stands in its graph; what moves nothing is no kernel."""
    return [
        tuple(stand[c] for c in COLUMNS)
        for node, stand in zip(graph.nodes, contexts(graph), strict=True)
        if not isinstance(node.op, View)
    ]


def times_of(host: HostKernels, nodes: Sequence[Node], stands: Sequence[Stand], device: Device) -> Times | None:
    """What was learned of kernels, in a run; None where there are none."""
    if not nodes:
        return None
    table = table_of_nodes(nodes, [dict(zip(COLUMNS, stand, strict=True)) for stand in stands])
    found = host.predict(table, device)
    scale = host.composition.scale
    return Times(
        latency_s=scale * found.latency_s,
        low_s=scale * found.low_s,
        high_s=scale * found.high_s,
        source=np.where(found.known, "learned", "blended").astype(object),
        software=np.full(len(nodes), host.software, dtype=object),
    )


def total(times: Times, nodes: Sequence[Node], rows: Sequence[int]) -> Estimate:
    """The sum over nodes, each with the number of its row, as often as they are executed."""
    ends = (times.latency_s.tolist(), times.low_s.tolist(), times.high_s.tolist())
    return Estimate(*(sum(n.count * end[row] for n, row in zip(nodes, rows, strict=True)) for end in ends))


def run(host: HostKernels, kernels: Estimate, free: Estimate, nodes: float) -> tuple[Estimate, float]:
    """Seconds of a run, and those of them that no kernel takes.

    Args:
        host: whose composition.
        kernels: the sum over all kernels, :attr:`Composition.scale` applied.
        free: the same where nothing holds the clock, as runs were measured. The interval of the run is as much wider than
            theirs as that of the kernels is.
        nodes: executed in a run, those that move nothing included.
    """
    composition = host.composition
    value, measured = (float(composition.latency_s(k.value / composition.scale, nodes)) for k in (kernels, free))
    low, high = composition.interval_s(measured)
    slower = value / measured if measured else 1.0
    lower, higher = (
        getattr(kernels, end) / kernels.value / (getattr(free, end) / free.value)
        if kernels.value and free.value
        else 1.0
        for end in ("low", "high")
    )
    latency = Estimate(value, low * slower * min(lower, 1.0), high * slower * max(higher, 1.0))
    return latency, max(0.0, value - kernels.value)

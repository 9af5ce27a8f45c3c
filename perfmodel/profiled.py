"""Profiles of models as operator traces: the times of a collector joined with the descriptors of the graph that ran.

The graph is the one that the runtime saved after it had fused operators and changed layouts; the ONNX reader knows its
operators, so that attributes and shapes come from there and times from the profile. What joins them is the name of a
node; nodes without one are joined in their order, where as many of a kind ran as the graph has.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.collect.kernels import EventCost, Kernel, Profile, event_cost
from perfmodel.datasets import columns as c
from perfmodel.datasets.runs import operator_table
from perfmodel.datasets.schema import check_traces
from perfmodel.errors import InputError, TraceError
from perfmodel.hardware import load_device
from perfmodel.models.host.context import contexts

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.graph import Graph, Node


_TIMED = ("", "CPUExecutionProvider")
"""Providers whose calls are over when their kernels are; a profile may not say which one ran."""


@dataclass(frozen=True)
class Profiled:
    """A profile as a table.

    Attributes:
        table: operator traces, one row a node, with the columns ``node``, ``count`` (calls in a run of the model) and
            ``fused`` (what the kernel absorbed).
        left_out: nodes that are no row of it and why, with the seconds that they take in a run.
        profile: corrected for the profiler.
    """

    table: pd.DataFrame
    left_out: tuple[tuple[str, str, float], ...]
    profile: Profile

    def run(self, operators: str | None = None) -> dict[str, Any]:
        """The columns of a run trace: the whole model, as it ran without the profiler.

        Args:
            operators: where the table is kept, relative to the table of runs.

        Raises:
            TraceError: it never ran without the profiler.
        """
        seconds = self.profile.unprofiled_s
        if seconds is None:
            raise TraceError(f"{self.profile.model} has no run without the profiler: its end-to-end time is unknown")
        row = self.table.iloc[0]
        found = {name: row[name] for name in ("device", "software", "source", "status")}
        count = len(self.profile.before_s) + len(self.profile.after_s)
        found |= {
            "workload": self.profile.model,
            "latency_s": seconds,
            "samples": count,
            "threads": self.profile.threads,
        }
        return found | ({} if operators is None else {"operators": operators})


def operator_traces(
    profile: Profile,
    graph: str | Path | Graph,
    device: str,
    *,
    dims: Mapping[str, int] | None = None,
    cost: EventCost | None = None,
    source: str = "collected",
) -> Profiled:
    """A profile as operator traces.

    Args:
        profile: as a collector returned it, not yet corrected.
        graph: the graph that ran, or the file that it was saved in.
        device: the id of the device, or the path of its TOML.
        dims: numbers for the graph's symbolic dimensions.
        cost: what the profiler adds; None: found from this profile alone (:func:`perfmodel.collect.kernels.event_cost` on
            several models is better).
        source: what the rows bear as ``source``.

    Raises:
        ModelFileError: the graph cannot be read.
        UnboundDimensionError: one of its dimensions has no number.
        TraceError: no node of the profile is one of the graph.
    """
    if profile.cost is None:
        profile = profile.corrected(event_cost([profile]) if cost is None else cost)
    if isinstance(graph, str | Path):
        from perfmodel.features import read_onnx

        graph = read_onnx(graph, dims=dict(dims or {}))
    stands = dict(zip(map(id, graph.nodes), contexts(graph), strict=True))
    joined, missing = join(profile.kernels, graph)
    left_out = [(k.node, f"no {k.op_type} of that name is in the graph", k.latency_s * k.calls) for k in missing]
    rows = []
    for order, (kernel, node) in enumerate(joined):
        if kernel.provider not in _TIMED:
            why = f"run by {kernel.provider}: the time is that of its call, not of its kernel"
            left_out.append((node.name, why, kernel.latency_s * kernel.calls))
            continue
        if node.op.op not in c.REQUIRED_OF_FAMILY:
            left_out.append((node.name, f"{node.source_op} is {node.op.op}", kernel.latency_s * kernel.calls))
            continue
        if not node.op.bytes_written:
            left_out.append((node.name, f"{node.source_op} writes nothing", kernel.latency_s * kernel.calls))
            continue
        rows.append((node.op, max(1, round(kernel.calls)), _row(kernel, node) | stands[id(node)] | {"order": order}))
    if not rows:
        [(why, _)] = Counter(reason for _, reason, _ in left_out).most_common(1)
        raise TraceError(
            f"none of the {len(profile.kernels)} kernels of {profile.model} is an operator of the graph: {why}"
        )
    table = whole(operator_table(rows)).assign(
        device=device, software=profile.software, source=source, collection=profile.model, threads=profile.threads,
        status=profile.status,
    )  # fmt: skip
    check_traces(table, profile.model)
    return Profiled(table, tuple(left_out), profile)


def whole(table: pd.DataFrame) -> pd.DataFrame:
    """The table with whole dimensions, as the schema wants them.

    A one-sided Fourier transform writes 1.008 results an element.
    """
    names = {
        name for op in table["op"].unique() for name, kind in c.family_columns(str(op)).items() if kind == c.INTEGER
    }
    kept = c.MAY_BE_HALF | c.MAY_BE_FRACTION
    fractions = [n for n in names - kept if n in table and table[n].dtype.kind == "f" and (table[n] % 1 > 0).any()]
    return table.assign(**{name: table[name].round().clip(lower=1) for name in fractions})


def _row(kernel: Kernel, node: Node) -> dict[str, Any]:
    return {
        "kernel": node.source_op,
        "node": node.name,
        "latency_s": kernel.latency_s,
        "samples": kernel.samples,
        "latency_rel_std": kernel.rel_std,
        "fused": "+".join(getattr(f, "kind", f.op) for f in node.fused) or None,
    }


def join(kernels: tuple[Kernel, ...], graph: Graph) -> tuple[list[tuple[Kernel, Node]], list[Kernel]]:
    """Kernels with their nodes, in the order of the kernels, and the kernels that have none.

    A name alone is not trusted: the operator must be the same, too.
    """
    by_name = {(node.name, _op_type(node)): node for node in graph.nodes}
    found: dict[int, Node] = {}
    for index, kernel in enumerate(kernels):
        node = by_name.get((kernel.node, kernel.op_type))
        if node is not None:
            found[index] = node
    taken = {id(node) for node in found.values()}
    # Nodes without a name are called after their kind and place, each tool counting in its own way.
    for op_type in dict.fromkeys(k.op_type for k in kernels):
        loose = [i for i, k in enumerate(kernels) if i not in found and k.op_type == op_type]
        nodes = [n for n in graph.nodes if id(n) not in taken and _op_type(n) == op_type]
        if loose and len(loose) == len(nodes):
            found |= dict(zip(loose, nodes, strict=True))
    joined = [(kernel, found[i]) for i, kernel in enumerate(kernels) if i in found]
    return joined, [kernel for i, kernel in enumerate(kernels) if i not in found]


def _op_type(node: Node) -> str:
    return node.source_op.rpartition("::")[2]


def import_profile(
    path: str | Path,
    graph: str | Path,
    device: str,
    software: str,
    *,
    dims: Mapping[str, int] | None = None,
    warm_up: int = 1,
    threads: int = 1,
    source: str = "onnxruntime-profile",
) -> Profiled:
    """A profile of ONNX Runtime that somebody else took, with the graph that was saved beside it.

    The graph is that of ``SessionOptions.optimized_model_filepath``. Nothing was run without the profiler, so that the usual
    share of the profiler is taken off. ``network`` is what profiles of one network share, whatever their files are called.

    Args:
        path: the JSON that ``end_profiling`` names.
        graph: the saved graph.
        device, dims, source: as of :func:`operator_traces`.
        software: as in ``onnxruntime-1.32.0``.
        warm_up: runs at the beginning that are left out.
        threads: what the session was allowed.

    Raises:
        InputError: the device is no processor.
        TraceError: it is no profile, or not of that graph.
        ModelFileError: the graph cannot be read.
        UnboundDimensionError: one of its dimensions has no number.
    """
    from perfmodel.collect.onnxruntime_cpu import copies_of
    from perfmodel.collect.onnxruntime_profile import read_profile
    from perfmodel.features import read_onnx

    if (known := load_device(device)).kind != "cpu":
        raise InputError(
            f"{path}: a profile of ONNX Runtime has times of calls on the host, and {known.id} is a {known.kind}: profile the "
            "model with Nsight Systems, Nsight Compute or torch.profiler"
        )
    read = read_onnx(graph, dims=dict(dims or {}))
    kernels, total, events = read_profile(path, warm_up=warm_up, copies=copies_of(Path(graph)))
    profile = Profile(Path(graph).stem, software, kernels, total, events, threads=threads)
    found = operator_traces(profile, read, device, cost=EventCost(), source=source)
    return replace(found, table=found.table.assign(network=network_in(read)))


def network_in(graph: Graph) -> str:
    """What graphs of one network share, as a name: the shapes of their weights, as the graph stores them.

    Batch, lengths and the order of operators are not in it; of graphs without weights, their operators are.
    """
    weights = {name: t for name, t in graph.tensors.items() if t.is_weight and t.shape is not None and len(t.shape) > 1}
    shapes = [sorted(map(str, weights[n].shape or ())) for node in graph.nodes for n in node.inputs if n in weights]
    said: list[Any] = sorted(shapes) or [node.source_op for node in graph.nodes]
    return f"graph-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]}"

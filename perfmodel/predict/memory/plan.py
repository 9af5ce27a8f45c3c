"""The memory that a model needs while it runs: how much, when it is most, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import units
from perfmodel.errors import checked_methods
from perfmodel.graph import Graph, Node
from perfmodel.html_table import html_result, html_table
from perfmodel.predict.memory import kv_cache
from perfmodel.predict.memory.buffers import ACTIVATION, BEFORE, CACHE, INPUT, OUTPUT, Buffer, assign, storages
from perfmodel.predict.memory.kv_cache import KVCache
from perfmodel.predict.memory.placement import arena_bytes
from perfmodel.predict.memory.runtime import ENGINE, Runtime

if TYPE_CHECKING:
    from pandas import DataFrame

OWNERS = 12
"""Owners of the peak that are kept, the largest first."""

WEIGHT, WORKSPACE = "weight", "workspace"

Workspace = Mapping[str, float] | Sequence[float] | np.ndarray
"""Bytes by the node's name, or one number a node in the graph's order."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A tensor that is alive at the peak.

    Attributes:
        name: of the tensor (of the node, for its workspace).
        kind: ``weight``, ``input``, ``activation``, ``output``, ``kv_cache`` or ``workspace``.
        bytes: that it takes.
        share: of the peak.
        made_by: the node that makes it; None for what exists before the first.
        until: the last node that needs its memory; None: it stays to the end.
    """

    name: str
    kind: str
    bytes: float
    share: float
    made_by: str | None
    until: str | None

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "name": self.name, "kind": self.kind, "bytes": self.bytes, "share": self.share, "made_by": self.made_by,
            "until": self.until,
        }  # fmt: skip


@checked_methods()
@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What a model needs at its peak, in parts that add up to :attr:`peak_bytes`.

    Attributes:
        runtime: the name of the runtime whose habits were followed.
        weights_bytes: weights that some node reads, in the format that they are stored in.
        inputs_bytes: inputs; the caller's memory, held from the beginning to the end.
        activations_bytes: results that live between nodes, with buffers that are kept for later ones.
        outputs_bytes: results that the model returns, from when they are made.
        kv_cache_bytes: cached keys and values, past and present; they count neither as inputs nor as outputs.
        workspace_bytes: what the kernel that runs at the peak takes for itself.
        peak_node: the node that runs at the peak; None where there is none.
        arena_bytes: what an arena spans that holds all but weights and inputs, with its holes and alignment; None where too
            many buffers live at once to be placed.
        kv_cache: size and growth of the cache; None where the model has none.
        owners: the largest tensors alive at the peak, at most :data:`OWNERS`.
        unknown: tensors whose size is not known; they are left out of every figure.
        nodes: names of the graph's nodes in order.
        profile: bytes in use while each node runs, weights included; shape ``[nodes]``.
    """

    runtime: str
    weights_bytes: float
    inputs_bytes: float = 0.0
    activations_bytes: float = 0.0
    outputs_bytes: float = 0.0
    kv_cache_bytes: float = 0.0
    workspace_bytes: float = 0.0
    peak_node: str | None = None
    arena_bytes: float | None = None
    kv_cache: KVCache | None = None
    owners: tuple[Owner, ...] = ()
    unknown: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    profile: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __eq__(self, other: object) -> bool:
        """All parts, and the profile number by number: arrays have no truth of their own."""
        if not isinstance(other, MemoryPlan):
            return NotImplemented
        names = [f.name for f in fields(self) if f.name != "profile"]
        return all(getattr(self, n) == getattr(other, n) for n in names) and np.array_equal(self.profile, other.profile)

    def __hash__(self) -> int:
        return hash((self.runtime, self.peak_node, self.peak_bytes, len(self.nodes)))

    def __repr__(self) -> str:
        """One line: there may be thousands of nodes."""
        return f"<MemoryPlan {units.size(self.peak_bytes)} at {self.peak_node}, {units.size(self.weights_bytes)} of it weights>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the parts of the peak, and its largest owners."""
        parts = [
            (f.name.removesuffix("_bytes").replace("_", " "), units.size(getattr(self, f.name)))
            for f in fields(self)
            if f.name.endswith("_bytes") and f.name != "arena_bytes"
        ]
        owners = [(o.name, o.kind, units.size(o.bytes), units.share(o.share)) for o in self.owners]
        return html_result(
            f"{units.size(self.peak_bytes)} at {self.peak_node}", html_table(("part", "bytes"), parts, right=(1,)),
            html_table(("owner", "kind", "bytes", "share"), owners, right=(2, 3)),
        )  # fmt: skip

    def to_pandas(self) -> DataFrame:
        """One row a node, in the order of the run: ``node``, and ``bytes`` in use while it runs, weights included.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import memory_frame

        return memory_frame(self)

    @property
    def peak_bytes(self) -> float:
        """The most bytes in use at once: the sum of all parts."""
        return (
            self.weights_bytes + self.inputs_bytes + self.activations_bytes + self.outputs_bytes + self.kv_cache_bytes
            + self.workspace_bytes
        )  # fmt: skip

    def to_dict(self, *, profile: bool = False) -> dict[str, Any]:
        """The keys of the JSON contract; with ``profile`` also the bytes in use at every node."""
        result: dict[str, Any] = {
            "runtime": self.runtime, "weights_bytes": self.weights_bytes, "inputs_bytes": self.inputs_bytes,
            "activations_bytes": self.activations_bytes, "outputs_bytes": self.outputs_bytes,
            "kv_cache_bytes": self.kv_cache_bytes, "workspace_bytes": self.workspace_bytes,
            "peak_node": self.peak_node, "arena_bytes": self.arena_bytes,
            "kv_cache": None if self.kv_cache is None else self.kv_cache.to_dict(),
            "owners": [o.to_dict() for o in self.owners], "unknown_tensors": len(self.unknown),
        }  # fmt: skip
        if profile:
            result["profile"] = [
                {"node": name, "bytes": float(size)} for name, size in zip(self.nodes, self.profile, strict=True)
            ]
        return result


def plan(
    graph: Graph, runtime: Runtime = ENGINE, *, workspace: Workspace | None = None, in_place: bool = True
) -> MemoryPlan:
    """Walk a bound graph in order, as a runtime does, and follow the memory in use.

    Args:
        graph: as it runs: fused, without open dimensions.
        runtime: whose habits to follow.
        workspace: bytes that each kernel takes while it runs; None means none. Of names that no node has nothing is said.
        in_place: False gives every tensor memory of its own.

    Raises:
        ValueError: ``workspace`` is a sequence of another length than the nodes.
    """
    shared = storages(graph)
    cached = kv_cache.find(graph, shared)
    joined = {c.past: c.present for c in cached if c.past is not None} if runtime.owns_cache else {}
    if joined:
        shared = storages(graph, joined)
    kinds = {
        **{shared.root(name): INPUT for name in graph.inputs},
        **{shared.root(name): OUTPUT for name in graph.outputs if shared.root(name) in shared.made_at},
        **{shared.root(name): CACHE for c in cached for name in (c.past, c.present) if name is not None},
    }
    buffers, unknown = assign(graph, shared, runtime, in_place=in_place, kinds=kinds)
    extra = _workspace(graph.nodes, workspace)
    weights, unknown_weights = _weights(graph)
    weights_bytes = sum(weights.values())
    profile = _profile(buffers, len(graph.nodes)) + extra
    peak = int(profile.argmax()) if len(profile) else BEFORE
    alive = [b for b in buffers if b.first <= peak <= b.last or (peak == BEFORE and b.first == BEFORE)]
    parts = dict.fromkeys((INPUT, ACTIVATION, OUTPUT, CACHE), 0.0)
    for buffer in alive:
        parts[buffer.kind] += buffer.bytes
    workspace_bytes = float(extra[peak]) if len(profile) else 0.0
    total = weights_bytes + sum(parts.values()) + workspace_bytes
    return MemoryPlan(
        runtime=runtime.name,
        weights_bytes=weights_bytes,
        inputs_bytes=parts[INPUT],
        activations_bytes=parts[ACTIVATION],
        outputs_bytes=parts[OUTPUT],
        kv_cache_bytes=parts[CACHE],
        workspace_bytes=workspace_bytes,
        peak_node=graph.nodes[peak].name if len(profile) else None,
        arena_bytes=_arena(buffers, extra, runtime),
        kv_cache=kv_cache.describe(graph, cached),
        owners=_owners(graph, alive, weights, peak, workspace_bytes, total),
        unknown=(*unknown, *unknown_weights),
        nodes=tuple(node.name for node in graph.nodes),
        profile=profile + weights_bytes,
    )


def _weights(graph: Graph) -> tuple[dict[str, float], list[str]]:
    """Bytes of each weight that some node reads, and those of unknown size."""
    sizes: dict[str, float] = {}
    unknown: list[str] = []
    for name in dict.fromkeys(n for node in graph.nodes for n in node.inputs):
        tensor = graph.tensors.get(name)
        if tensor is None or not tensor.is_weight:
            continue
        if tensor.bytes is None:
            unknown.append(name)
        else:
            sizes[name] = float(tensor.bytes)
    return sizes, unknown


def _workspace(nodes: Sequence[Node], workspace: Workspace | None) -> np.ndarray:
    if workspace is None:
        return np.zeros(len(nodes))
    if isinstance(workspace, Mapping):
        return np.array([float(workspace.get(node.name, 0.0)) for node in nodes])
    if len(workspace) != len(nodes):
        raise ValueError(f"workspace has {len(workspace)} entries; wanted one for each of the {len(nodes)} nodes")
    return np.asarray(workspace, dtype=np.float64)


def _profile(buffers: Sequence[Buffer], nodes: int) -> np.ndarray:
    change = np.zeros(nodes + 1)
    for buffer in buffers:
        change[max(buffer.first, 0)] += buffer.bytes
        change[buffer.last + 1] -= buffer.bytes
    return np.cumsum(change)[:nodes]


def _arena(buffers: Sequence[Buffer], extra: np.ndarray, runtime: Runtime) -> float | None:
    mine = [b for b in buffers if b.kind != INPUT]
    mine += [Buffer(float(extra[i]), WORKSPACE, int(i), int(i)) for i in np.flatnonzero(extra)]
    return arena_bytes(mine, runtime.alignment)


def _owners(
    graph: Graph, alive: Sequence[Buffer], weights: Mapping[str, float], peak: int, workspace: float, total: float
) -> tuple[Owner, ...]:
    """The largest of what is alive; equal sizes in the order in which they came to be."""
    nodes = graph.nodes
    rows = [Owner(name, WEIGHT, size, 0.0, None, None) for name, size in weights.items()]
    for buffer in alive:
        made_at, name = buffer.tenant(peak)
        until = None if buffer.last >= len(nodes) - 1 else nodes[buffer.last].name
        rows.append(
            Owner(name, buffer.kind, buffer.bytes, 0.0, None if made_at == BEFORE else nodes[made_at].name, until)
        )
    if workspace:
        rows.append(Owner(nodes[peak].name, WORKSPACE, workspace, 0.0, nodes[peak].name, nodes[peak].name))
    largest = sorted(rows, key=lambda o: -o.bytes)[:OWNERS]
    return tuple(Owner(o.name, o.kind, o.bytes, o.bytes / total if total else 0.0, o.made_by, o.until) for o in largest)

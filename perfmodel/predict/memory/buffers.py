"""Which tensors share memory, and from when to when each piece of it is needed.

One walk over the nodes in order. A tensor's *storage* is the tensor that it views, or itself; a *buffer* is a piece of
memory that one storage after another may occupy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perfmodel.graph import Graph, Node
from perfmodel.ops import Copy, Norm, View
from perfmodel.predict.memory.runtime import Runtime

ACTIVATION, INPUT, OUTPUT, CACHE = "activation", "input", "output", "kv_cache"
"""What a buffer holds."""

BEFORE = -1
"""The position of what exists before the first node."""


@dataclass(slots=True)
class Buffer:
    """A piece of memory.

    Attributes:
        bytes: its size.
        kind: :data:`ACTIVATION`, :data:`INPUT`, :data:`OUTPUT` or :data:`CACHE`.
        first, last: positions of the first and the last node that need it; :data:`BEFORE` for what the caller brings.
        tenants: the storages that occupy it one after the other: position from which each does, and its name.
    """

    bytes: float
    kind: str
    first: int
    last: int
    tenants: list[tuple[int, str]] = field(default_factory=list)

    def tenant(self, position: int) -> tuple[int, str]:
        """Since when and for which storage the buffer is taken at a position (between two: the one before)."""
        found = self.tenants[0]
        for tenant in self.tenants:
            if tenant[0] > position:
                break
            found = tenant
        return found


@dataclass(frozen=True, slots=True)
class Storages:
    """Who shares whose storage, and until when each is read.

    Attributes:
        of: the storage of each tensor that is no storage itself.
        last_use: position of the last reader of each storage, through views; the number of nodes for results.
        made_at: position of each storage's maker.
        reread: of storages that a loop's body reads from outside, the last node of that loop: the next iteration reads
            them again, so that nothing in it may write over them.
    """

    of: Mapping[str, str]
    last_use: dict[str, int]
    made_at: Mapping[str, int]
    reread: Mapping[str, int]

    def root(self, name: str) -> str:
        """The storage of a tensor."""
        return self.of.get(name, name)


def storages(graph: Graph, joined: Mapping[str, str] | None = None) -> Storages:
    """Follow the views of a graph, and find the last reader of every storage.

    Args:
        graph: with nodes in the order in which they run.
        joined: inputs that lie inside a later tensor's storage (past keys inside the present ones).
    """
    of: dict[str, str] = dict(joined or {})
    made_at: dict[str, int] = {}
    last_use: dict[str, int] = {}
    reread: dict[str, int] = {}
    run_start: int | None = None
    outside: set[str] = set()  # made before the loop, read inside

    def end_of_loop(last: int) -> None:
        for name in outside:
            last_use[name] = reread[name] = max(last_use[name], last)
        outside.clear()

    for position, node in enumerate(graph.nodes):
        if node.count > 1:
            run_start = position if run_start is None else run_start
        elif run_start is not None:
            end_of_loop(position - 1)
            run_start = None
        roots = [of.get(name, name) for name in node.inputs]
        for root in roots:
            last_use[root] = position
            # What a loop's body reads from outside is read again in its last iteration.
            if run_start is not None and made_at.get(root, BEFORE) < run_start:
                outside.add(root)
        if isinstance(node.op, View) and roots and _is_view(graph, node):
            of.update(dict.fromkeys(node.outputs, roots[0]))
            continue
        for name in node.outputs:
            made_at[name] = position
            last_use.setdefault(name, position)
    end_of_loop(len(graph.nodes) - 1)
    last_use.update({of.get(name, name): len(graph.nodes) for name in graph.outputs})
    return Storages(of, last_use, made_at, reread)


def _is_view(graph: Graph, node: Node) -> bool:
    """Whether the result needs no memory of its own.

    The results of a loop's iterations are joined to a tensor larger than the one that it seems to be a view of.
    """
    viewed = graph.tensors.get(node.inputs[0])
    if viewed is not None and viewed.is_weight:
        return True
    source = size_of(graph, node.inputs[0])
    return all((size_of(graph, name) or 0) <= (source or 0) or source is None for name in node.outputs)


def size_of(graph: Graph, name: str) -> float | None:
    """Bytes of a tensor; 0 for weights, which are counted by themselves; None when unknown."""
    tensor = graph.tensors.get(name)
    if tensor is None:
        return None
    if tensor.is_weight:
        return 0.0
    size = tensor.bytes
    return None if size is None else float(size)


def assign(
    graph: Graph, shared: Storages, runtime: Runtime, *, in_place: bool = True, kinds: Mapping[str, str] | None = None
) -> tuple[list[Buffer], tuple[str, ...]]:
    """Give every storage a buffer.

    Args:
        graph: bound, with nodes in the order in which they run.
        shared: its :func:`storages`.
        runtime: whose habits to follow.
        in_place: False gives every storage a buffer of its own.
        kinds: storages that are more than activations (:data:`INPUT`, :data:`OUTPUT`, :data:`CACHE`); they never
            share a buffer.

    Returns:
        the buffers in the order in which they are first needed, and the storages of unknown size.
    """
    kinds = kinds or {}
    buffers: list[Buffer] = []
    holder: dict[str, Buffer] = {}
    free: dict[tuple[Any, ...], list[Buffer]] = {}
    unknown: dict[str, None] = {}
    end = len(graph.nodes) - 1

    def new(name: str, kind: str, first: int, last: int) -> None:
        size = size_of(graph, name)
        if size is None:
            unknown[name] = None
        elif size > 0:
            holder[name] = Buffer(size, kind, first, last, [(first, name)])
            buffers.append(holder[name])

    for name in dict.fromkeys(shared.root(n) for n in graph.inputs):
        # The caller's memory: nobody frees it before the run is over.
        new(name, kinds.get(name, INPUT), BEFORE, end)
    for position, node in enumerate(graph.nodes):
        for name in node.outputs:
            if shared.made_at.get(name) != position or name in holder:
                continue  # a view
            last = min(shared.last_use[name], end)
            kind = kinds.get(name, ACTIVATION)
            taken = None
            if in_place and kind == ACTIVATION:
                taken = _overwritten(graph, node, name, position, shared, holder, runtime)
                if taken is None and runtime.keeps_buffers:
                    waiting = free.get(_shape_key(graph, name))
                    taken = waiting.pop() if waiting else None
            if taken is None:
                new(name, kind, position, last)
                continue
            taken.last = last
            taken.tenants.append((position, name))
            holder[name] = taken
        if runtime.keeps_buffers:
            dead = dict.fromkeys(shared.root(n) for n in (*node.inputs, *node.outputs))
            for name in dead:
                buffer = holder.get(name)
                if buffer is not None and buffer.kind == ACTIVATION and buffer.last == position:
                    free.setdefault(_shape_key(graph, buffer.tenants[-1][1]), []).append(buffer)
    return buffers, tuple(unknown)


def _shape_key(graph: Graph, name: str) -> tuple[Any, ...]:
    tensor = graph.tensors.get(name)
    return () if tensor is None else (tensor.shape, tensor.bytes)


def _overwritten(
    graph: Graph,
    node: Node,
    result: str,
    position: int,
    shared: Storages,
    holder: Mapping[str, Buffer],
    runtime: Runtime,
) -> Buffer | None:
    """The buffer of a dying operand that the result may be written over; None when there is none."""
    wanted = graph.tensors.get(result)
    if wanted is None or wanted.shape is None:
        return None
    for name in _overwritable(node, runtime):
        root = shared.root(name)
        buffer, tensor = holder.get(root), graph.tensors.get(name)
        if buffer is None or tensor is None or tensor.shape is None:
            continue
        dies = buffer.kind == ACTIVATION and buffer.last == position and shared.reread.get(root) != position
        # As many elements of the same width: each element is read before it is overwritten.
        if dies and tensor.elements == wanted.elements and tensor.bytes == wanted.bytes == buffer.bytes:
            return buffer
    return None


def _overwritable(node: Node, runtime: Runtime) -> tuple[str, ...]:
    """The operands over which a kernel may write its result."""
    op = node.op
    if runtime.overwrites(op):
        # Of a scatter, the first operand is what the updates are written into.
        return node.inputs[:1] if isinstance(op, Copy) else node.inputs
    if op.op not in runtime.adds_in_place:
        return ()
    if isinstance(op, Norm):
        return node.inputs[1:] if op.residual else ()
    # The operands of the product come first; what is added after them.
    return node.inputs[2:] if node.fused else ()

"""The graph while it is being rewritten, and the questions that patterns ask of it.

Every pattern works the same way: walk from an anchor over :meth:`Rewriter.maker` and :meth:`Rewriter.readers`,
collect the vertices that an engine runs as one kernel, and hand them to :meth:`Rewriter.merge`, which refuses when a
value between them is needed elsewhere. So no pattern can lose a result or create a cycle: all paths that leave a
merged set leave through its outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np

from perfmodel.features.fusion.vertex import Vertex
from perfmodel.graph import Graph, Node, Removed, Tensor
from perfmodel.ops import Operator
from perfmodel.ops.base import is_symbolic

# Limits that no real model meets; they keep hostile files from taking quadratic time.
_MAX_WALK = 64
_MAX_OPERANDS = 256

MOVES_NOTHING = "view: moves no data"
UNUSED = "its result is no longer read"

_position = attrgetter("key")


class Rewriter:
    """A graph under construction.

    Args:
        graph: the graph to start from; it is not changed.

    Attributes:
        tensors: every tensor by name.
        changes: how often a vertex was taken away so far.
        removed_operators: operators of the file that the reader removed (constants, shape arithmetic), by source name.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.removed_operators: frozenset[str] = frozenset(r.source_op for r in graph.removed)
        self._notes: dict[str, list[str]] = {}
        self.changes: int = 0
        self._alive: dict[Vertex, None] = {}
        self._families: dict[type[Operator], dict[Vertex, None]] = {}
        self._maker: dict[str, Vertex] = {}
        self._readers: dict[str, dict[Vertex, None]] = {}
        self._lists: dict[tuple[Any, ...], list[Vertex]] = {}
        self._removed: list[Removed] = []
        self._inputs = frozenset(graph.inputs)
        self._outputs = frozenset(graph.outputs)
        for key, node in enumerate(graph.nodes):
            self._insert(Vertex(node, key))
        # Results that nothing read in the first place are the file's business; later ones are ours to clear away.
        self._unread_before = {name for node in graph.nodes for name in node.outputs if not self._readers.get(name)}

    def _insert(self, vertex: Vertex) -> None:
        self._lists.clear()
        self._alive[vertex] = None
        self._families.setdefault(type(vertex.op), {})[vertex] = None
        for name in vertex.node.outputs:
            self._maker[name] = vertex
        readers = self._readers
        for name in vertex.inputs:
            found = readers.get(name)
            if found is None:
                readers[name] = {vertex: None}
            else:
                found[vertex] = None

    def _delete(self, vertex: Vertex) -> None:
        self.changes += 1
        self._lists.clear()
        del self._alive[vertex]
        del self._families[type(vertex.op)][vertex]
        for name in vertex.node.outputs:
            if self._maker.get(name) is vertex:
                del self._maker[name]
        for name in vertex.inputs:
            found = self._readers.get(name)
            if found is not None:
                found.pop(vertex, None)

    # Questions

    def vertices(self, *families: type[Operator], newest_first: bool = False) -> list[Vertex]:
        """The vertices in topological order, or in the reverse; with families, those of them that read something.

        The list is shared by all who ask before the next change: it is not to be changed.
        """
        key = (families, newest_first)
        found = self._lists.get(key)
        if found is None:
            chosen = [v for f in families for v in self._families.get(f, ()) if v.inputs] if families else self._alive
            found = self._lists[key] = sorted(chosen, key=_position, reverse=newest_first)
        return found

    def alive(self, vertex: Vertex) -> bool:
        """Whether no earlier rewrite has taken the vertex away."""
        return vertex in self._alive

    def maker(self, name: str) -> Vertex | None:
        """The vertex that makes a tensor from others; None for inputs, weights and constants."""
        found = self._maker.get(name)
        return found if found is not None and found.inputs else None

    def readers(self, name: str) -> list[Vertex]:
        """The vertices that read a tensor, each once."""
        return list(self._readers.get(name, ()))

    def is_output(self, name: str) -> bool:
        """Whether the model returns this tensor."""
        return name in self._outputs

    def is_input(self, name: str) -> bool:
        """Whether the model is given this tensor."""
        return name in self._inputs

    def sole_reader(self, name: str) -> Vertex | None:
        """The one vertex that reads a tensor; None when there are several, none, or the model returns it."""
        found = self._readers.get(name, ())
        return next(iter(found)) if len(found) == 1 and name not in self._outputs else None

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is stored with the model or follows from constants alone; so is a view of such a tensor (one
        layer of stacked weights).

        The inputs of a loop's body are not, although no node makes them.
        """
        for _ in range(_MAX_WALK):
            maker = self._maker.get(name)
            if maker is None:
                tensor = self.tensors.get(name)
                return tensor is not None and tensor.is_weight and name not in self._inputs
            if not maker.is_view:
                return False
            name = maker.inputs[0]
        return False

    def scalar(self, name: str) -> float | None:
        """The value of a one-element constant; None when it is none, or unknown."""
        tensor = self.tensors.get(name)
        return tensor.scalar if tensor is not None and self.is_constant(name) else None

    def is_close(self, name: str, value: float) -> bool:
        """Whether a tensor is the constant ``value``, to the accuracy of a half-precision constant."""
        found = self.scalar(name)
        return found is not None and abs(found - value) <= 2e-3 * max(abs(value), 1e-6)

    def is_immediate(self, name: str) -> bool:
        """Whether a tensor is a constant of one element: part of a kernel's code, not traffic."""
        tensor = self.tensors.get(name)
        if tensor is None or not self.is_constant(name):
            return False
        return tensor.scalar is not None or same(tensor.elements, 1)

    def shape(self, name: str) -> tuple[Any, ...] | None:
        """The shape of a tensor; None when its rank is unknown."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.shape

    def elements(self, name: str) -> Any:
        """Number of elements of a tensor; None when unknown."""
        shape = self.shape(name)
        return None if shape is None else prod(shape)

    def dtype(self, name: str) -> str:
        """How a tensor is stored; empty when unknown."""
        tensor = self.tensors.get(name)
        return "" if tensor is None else tensor.dtype

    def bytes(self, name: str) -> Any:
        """Bytes of a tensor; 0 when it has unknown rank (such tensors are never merged over)."""
        tensor = self.tensors.get(name)
        size = None if tensor is None else tensor.bytes
        return 0 if size is None else size

    def is_small(self, name: str) -> bool:
        """Whether a tensor has one element (an immediate of a kernel, not traffic)."""
        return self.scalar(name) is not None or same(self.elements(name), 1)

    def back(self, name: str, *copies: str) -> tuple[str, list[Vertex]]:
        """Walks back over views, and over copies of these kinds, to where the values come from.

        Returns:
            the name of the tensor they come from, and the vertices walked over, last first.
        """
        path: list[Vertex] = []
        while (vertex := self._maker.get(name)) is not None and (vertex.is_view or vertex.copies(*copies)):
            if not vertex.inputs or len(vertex.node.outputs) != 1 or len(path) == _MAX_WALK:
                break
            path.append(vertex)
            name = vertex.inputs[0]
        return name, path

    def ahead(self, name: str, *copies: str) -> tuple[Vertex | None, list[Vertex]]:
        """Walks on over views, and over copies of these kinds, to the one vertex that uses the values.

        Returns:
            that vertex (None when several read it, or the model returns it), and the vertices walked over.
        """
        path: list[Vertex] = []
        while (vertex := self.sole_reader(name)) is not None and (vertex.is_view or vertex.copies(*copies)):
            if vertex.inputs[0] != name or len(vertex.node.outputs) != 1 or len(path) == _MAX_WALK:
                return None, path
            path.append(vertex)
            name = vertex.output
        return vertex, path

    # Changes

    def merge(
        self,
        members: Iterable[Vertex],
        *,
        main: Vertex,
        op: Operator,
        outputs: Sequence[str],
        inputs: Sequence[str] | None = None,
        at: Vertex | None = None,
        fused: Sequence[Operator] = (),
        extra_bytes_read: Any = 0,
        attributes: dict[str, Any] | None = None,
        also: Sequence[str] = (),
        gone: Sequence[tuple[Vertex, str, Any]] = (),
    ) -> Vertex | None:
        """Replaces vertices by one kernel.

        Args:
            members: what the kernel does; values between them vanish.
            main: the member that lends its name.
            op: the kernel's descriptor.
            outputs: the results that the kernel still writes.
            inputs: tensors it reads; None means all that its members read from outside, immediates left out.
            at: the member whose position the kernel takes; None means the last, which is right whenever there is one
                output.
            fused, extra_bytes_read, attributes: as in :class:`perfmodel.graph.Node`.
            also: names of nodes that were taken away for this kernel's sake.
            gone: members that nobody executes any more: vertex, reason, FLOPs. They are listed as removed.

        Returns:
            the new vertex; None, with nothing changed, when a value between the members is needed elsewhere or when
            they are not executed equally often.
        """
        ordered = sorted(dict.fromkeys(members), key=_position)
        inside = set(ordered)
        count = main.node.count
        for vertex in ordered:
            if vertex not in self._alive or vertex.node.count != count:
                return None
            for name in vertex.node.outputs:
                if name in outputs:
                    continue
                if name in self._outputs or not inside.issuperset(self._readers.get(name, ())):
                    return None
        new = self.joined(
            ordered, main, op, outputs, inputs=inputs, at=at, fused=fused, extra_bytes_read=extra_bytes_read,
            attributes=attributes, also=also, missing={v for v, _, _ in gone},
        )  # fmt: skip
        self.put(new, ordered)
        for vertex, reason, flops in gone:
            self._record(vertex, reason, flops)
        return new

    def joined(
        self,
        ordered: Sequence[Vertex],
        main: Vertex,
        op: Operator,
        outputs: Sequence[str],
        *,
        inputs: Sequence[str] | None = None,
        at: Vertex | None = None,
        fused: Sequence[Operator] = (),
        extra_bytes_read: Any = 0,
        attributes: Mapping[str, Any] | None = None,
        also: Sequence[str] = (),
        missing: Collection[Vertex] = (),
    ) -> Vertex:
        """The kernel that :meth:`merge` puts in the place of its members, beside the graph so far.

        Args:
            ordered: the members by position.
            main, op, outputs, inputs, at, fused, extra_bytes_read, attributes, also: as there.
            missing: members that nobody executes any more.
        """
        names = [name for v in ordered if v not in missing for name in v.node.members or (v.node.name,)]
        node = Node(
            name=main.node.name,
            op=op,
            inputs=tuple(self.outside(ordered) if inputs is None else inputs),
            outputs=tuple(outputs),
            source_op=main.node.source_op,
            attributes=dict(main.node.attributes if attributes is None else attributes),
            count=main.node.count,
            fused=tuple(fused),
            extra_bytes_read=extra_bytes_read,
            members=tuple(dict.fromkeys((*names, *also))),
        )
        return Vertex(node, (at or ordered[-1]).key)

    def put(self, new: Vertex, members: Iterable[Vertex]) -> None:
        """Puts a vertex in the place of others that it stands for (:meth:`joined`), whose values nothing else needs."""
        for vertex in members:
            self._delete(vertex)
        self._insert(new)

    def outside(self, members: Sequence[Vertex]) -> list[str]:
        """Tensors that the members read and none of them makes, each once; immediates are left out."""
        made = {name for v in members for name in v.node.outputs}
        names = dict.fromkeys([name for v in members for name in v.inputs if name not in made])
        return [n for n in names if not self.is_immediate(n)]

    def is_unread(self, name: str) -> bool:
        """Whether nothing reads a tensor, the caller of the model included."""
        return not self._readers.get(name) and name not in self._outputs

    def bypass(self, vertex: Vertex, reason: str | None, *, source: str | None = None) -> bool:
        """Takes a vertex away and lets the readers of its results read what it was made from.

        Args:
            reason: why no engine runs it; None when another kernel takes it over (then nothing is listed).
            source: the tensor to read instead; None means the vertex's first operand.

        Returns:
            False, with nothing changed, when the model returns its result, or there is no operand, or too many.
        """
        if not vertex.inputs or any(name in self._outputs for name in vertex.node.outputs):
            return False
        source = vertex.inputs[0] if source is None else source
        results = vertex.node.outputs
        readers = dict.fromkeys(r for name in results for r in self._readers.get(name, ()))
        if any(len(r.inputs) > _MAX_OPERANDS for r in readers):
            return False
        self._delete(vertex)
        for reader in readers:
            self._reconnect(reader, dict.fromkeys(results, source))
        if reason is not None:
            self._record(vertex, reason, vertex.node.flops)
        return True

    def reroute(self, reader: Vertex, change: dict[str, str], more: Sequence[str] = ()) -> None:
        """Lets one vertex read other tensors in the place of some of its operands, and ``more`` after them."""
        self.changes += 1
        self._reconnect(reader, change)
        reader.become(reader.node.replace(inputs=(*reader.inputs, *more)))
        for name in more:
            self._readers.setdefault(name, {})[reader] = None

    def swap(self, first: Vertex, second: Vertex, between: Tensor, ops: tuple[Operator, Operator]) -> None:
        """Exchanges a vertex and the one that reads its result, which nothing else reads.

        Args:
            first, second: as they are now; each has one result, and ``second`` has ``first``'s as its first operand.
            between: what the tensor between them is afterwards; it keeps its name.
            ops: the descriptors of ``first`` and ``second`` afterwards.
        """
        source, result = first.inputs[0], second.output
        self.tensors[between.name] = between
        before = second.node.replace(op=ops[1], inputs=(source, *second.inputs[1:]), outputs=(between.name,))
        after = first.node.replace(op=ops[0], inputs=(between.name, *first.inputs[1:]), outputs=(result,))
        keys = first.key, second.key
        self._delete(first)
        self._delete(second)
        self._insert(Vertex(before, keys[0]))
        self._insert(Vertex(after, keys[1]))

    def store(self, tensor: Tensor) -> str:
        """Makes a constant known, and returns its name."""
        self.tensors[tensor.name] = tensor
        return tensor.name

    def make_constant(self, vertex: Vertex, reason: str) -> None:
        """Takes away a vertex of which all operands are constants: its result is stored with the model instead."""
        self._delete(vertex)
        for name in vertex.node.outputs:
            self.tensors[name] = dataclasses.replace(self.tensors[name], is_weight=True)
        self._record(vertex, reason, vertex.node.flops)

    def update(self, vertex: Vertex, **changes: Any) -> None:
        """Changes fields of a vertex's node: its operands at most in their order, its family and results not at all."""
        vertex.become(vertex.node.replace(**changes))

    def drop(self, vertex: Vertex, reason: str, flops: Any) -> None:
        """Takes a vertex away whose results nobody reads."""
        self._delete(vertex)
        self._record(vertex, reason, flops)

    def drop_unread(self, vertex: Vertex, reason: str) -> None:
        """Takes a vertex away if nobody reads its results any more."""
        if vertex in self._alive and all(self.is_unread(name) for name in vertex.node.outputs):
            self.drop(vertex, reason, vertex.node.flops)

    def _reconnect(self, reader: Vertex, change: dict[str, str]) -> None:
        for name in reader.inputs:
            self._readers.get(name, {}).pop(reader, None)
        inputs = tuple(change.get(name, name) for name in reader.inputs)
        if reader.op.op in ("attention", "elementwise"):
            inputs = tuple(dict.fromkeys(inputs)) if len(reader.members) > 1 else inputs
        reader.become(reader.node.replace(inputs=inputs))
        for name in inputs:
            self._readers.setdefault(name, {})[reader] = None

    def _record(self, vertex: Vertex, reason: str, flops: Any) -> None:
        # The FLOPs belong to the node as a whole: they stand at its own name, the other members at 0.
        self._removed.append(Removed(vertex.node.name, vertex.node.source_op, reason, flops))
        self._removed.extend(Removed(name, "", reason, 0) for name in vertex.members if name != vertex.node.name)

    def note(self, line: str, vertex: Vertex) -> None:
        """Remembers what the user should know about a kernel; the same line for many kernels becomes one warning."""
        self._notes.setdefault(line, []).append(vertex.node.name)

    def sweep(self) -> None:
        """Clears away what no longer has a reader because of rewrites, and the makers that this leaves unread."""
        for vertex in self.vertices(newest_first=True):
            names = vertex.node.outputs
            if vertex.op.products or any(self._readers.get(n) or n in self._outputs for n in names):
                continue
            if vertex.is_view or not all(n in self._unread_before for n in names):
                self.drop(vertex, UNUSED, vertex.node.flops)

    def finish(self) -> Graph:
        """The rewritten graph; tensors that nothing refers to are left out."""
        nodes = tuple(v.node if v.node.members else v.node.replace(members=v.members) for v in self.vertices())
        used = {*self.graph.inputs, *self.graph.outputs}
        for node in nodes:
            used.update(node.inputs)
            used.update(node.outputs)
        notes = [
            f"{len(names)} x {line} ({names[0]}{', ...' if names[1:] else ''})" for line, names in self._notes.items()
        ]
        return dataclasses.replace(
            self.graph,
            tensors={name: t for name, t in self.tensors.items() if name in used},
            nodes=nodes,
            removed=(*self.graph.removed, *self._removed),
            warnings=(*self.graph.warnings, *notes),
        )


def same(a: Any, b: Any) -> bool:
    """Whether two dimensions are certainly equal; False when one is unknown or when it cannot be decided."""
    if type(a) is int and type(b) is int:  # nearly all of them
        return a == b
    if a is None or b is None:
        return False
    if is_symbolic(a) or is_symbolic(b):
        if a == b:
            return True
        import sympy

        return bool(sympy.expand(a - b) == 0)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.all(np.equal(a, b)))
    return bool(a == b)


def same_shape(a: Sequence[Any] | None, b: Sequence[Any] | None) -> bool:
    """Whether two shapes are certainly equal, axis by axis."""
    return a is not None and b is not None and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


__all__ = ["MOVES_NOTHING", "UNUSED", "Rewriter", "Vertex", "same", "same_shape"]

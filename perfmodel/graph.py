"""A model as perfmodel sees it: tensors, and nodes that carry operator descriptors, in topological order.

Readers (ONNX, MLIR, ...) build a :class:`Graph`; fusion rewrites it into another; prediction walks it. Nothing here
knows a file format or a device.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.errors import UnboundDimensionError, checked_methods, refuse_keywords
from perfmodel.ops.base import Dim, Operator, evaluate, is_symbolic, storage_bytes


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that flows between nodes.

    Attributes:
        name: unique in the graph.
        shape: one dimension an axis; None means an unknown rank.
        dtype: a name of :mod:`perfmodel.dtypes`.
        is_weight: stored with the model (an initializer); its data are never loaded.
        scalar: the value of a constant with one element, where fusion needs it (an exponent, an epsilon); else None.
        source: the weight of the file that it was folded from (a transposed one), where it is not that weight itself.
    """

    name: str
    shape: tuple[Dim, ...] | None
    dtype: str
    is_weight: bool = False
    scalar: float | None = None
    source: str | None = None

    def __init__(
        self,
        name: str,
        shape: tuple[Dim, ...] | None,
        dtype: str,
        is_weight: bool = False,
        scalar: float | None = None,
        source: str | None = None,
    ) -> None:
        # Written out, past the frozen class's __setattr__: readers make hundreds of thousands, compilers wait for each.
        _set_name(self, name)
        _set_shape(self, shape)
        _set_dtype(self, dtype)
        _set_is_weight(self, is_weight)
        _set_scalar(self, scalar)
        _set_source(self, source)

    @property
    def elements(self) -> Any:
        """Number of elements; None where the rank is unknown."""
        return None if self.shape is None else prod(self.shape)

    @property
    def bytes(self) -> Any:
        """Bytes stored; None where the rank is unknown."""
        if self.shape is None:
            return None
        record = dtype_record(self.dtype)
        return storage_bytes(self.elements, record.weight_bits if self.is_weight else record.activation_bits)


_set_name, _set_shape, _set_dtype, _set_is_weight, _set_scalar, _set_source = (
    getattr(Tensor, name).__set__ for name in ("name", "shape", "dtype", "is_weight", "scalar", "source")
)


@dataclass(frozen=True)
class Node:
    """One kernel (after fusion) or one operator of the file (before).

    Attributes:
        name: the name in the file, or of the operator that a fused kernel is built around.
        op: what is computed.
        inputs, outputs: tensor names; optional inputs that are absent are left out.
        source_op: the operator's name in the file's format (``"Conv"``, ``"stablehlo.dot_general"``).
        attributes: what patterns need beyond the descriptor (``axis``, ``perm``, ``transpose_b``, ...).
        count: executions of this node (trip counts of loops); an expression where they are an open dimension.
        fused: descriptors absorbed into this kernel; their FLOPs are executed here, their operands and results between
            the fused parts stay on chip.
        extra_bytes_read: bytes beyond those of the descriptor: what absorbed parts read from outside (bias, residual, mask),
            indices, further results, operands of another width (below 0 where these are narrower).
        members: names of all nodes of the file that became part of this one, itself included.
    """

    name: str
    op: Operator
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    source_op: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    count: Any = 1
    fused: tuple[Operator, ...] = ()
    extra_bytes_read: Dim = 0
    members: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        op: Operator,
        inputs: tuple[str, ...] = (),
        outputs: tuple[str, ...] = (),
        source_op: str = "",
        attributes: Mapping[str, Any] | None = None,
        count: Any = 1,
        fused: tuple[Operator, ...] = (),
        extra_bytes_read: Dim = 0,
        members: tuple[str, ...] = (),
    ) -> None:
        # Written out, past the frozen class's __setattr__, as Tensor's.
        fields = self.__dict__
        fields["name"] = name
        fields["op"] = op
        fields["inputs"] = inputs
        fields["outputs"] = outputs
        fields["source_op"] = source_op
        fields["attributes"] = {} if attributes is None else attributes
        fields["count"] = count
        fields["fused"] = fused
        fields["extra_bytes_read"] = extra_bytes_read
        fields["members"] = members

    @property
    def flops(self) -> Any:
        """FLOPs of all executions, the absorbed parts included."""
        return self.count * (self.op.flops + sum(f.flops for f in self.fused))

    @property
    def flops_executed(self) -> Any:
        """Like ``flops``, after causality and windows."""
        return self.count * (self.op.flops_executed + sum(f.flops_executed for f in self.fused))

    @property
    def product_flops(self) -> Any:
        """FLOPs inside matrix products, all executions."""
        return self.count * self.op.product_flops

    @property
    def bytes(self) -> Any:
        """Bytes read and written by all executions."""
        return self.count * (self.op.bytes + self.extra_bytes_read)

    def replace(self, **changes: Any) -> Node:
        """A copy with some fields changed."""
        fields = self.__dict__
        if not changes.keys() <= fields.keys():
            refuse_keywords("Node.replace", changes, fields)
        return Node(**{**fields, **changes})


@dataclass(frozen=True, slots=True)
class Removed:
    """A node that an engine does not execute: why it went, and the FLOPs that went with it."""

    name: str
    source_op: str
    reason: str
    flops: Any = 0


@checked_methods()
@dataclass(frozen=True)
class Graph:
    """A whole model.

    Attributes:
        name: the file's stem, or the model's own name.
        tensors: every tensor by name.
        nodes: in topological order.
        inputs, outputs: names of the graph's inputs (weights left out) and outputs.
        removed: nodes that were folded or dropped on the way (constants, batch norms folded into weights, no-ops).
        warnings: one line each, for the user.
        input_axes: what the symbolic dimensions of an input's axes are called (None: a number), also once they are bound;
            inputs without any are left out.
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()
    warnings: tuple[str, ...] = ()
    input_axes: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: a graph may have 200,000 nodes."""
        dims = f", open dimensions {', '.join(self.open_dims)}" if self.open_dims else ""
        return f"<Graph {self.name}: {len(self.nodes):,} nodes, {len(self.tensors):,} tensors{dims}>"

    @property
    def open_dims(self) -> tuple[str, ...]:
        """Names of symbolic dimensions that are not bound, sorted."""
        names: set[str] = set()
        loose: list[Any] = [dim for tensor in self.tensors.values() for dim in tensor.shape or ()]
        loose += [removed.flops for removed in self.removed]
        for node in self.nodes:
            names.update(node.op.free_dims, *(f.free_dims for f in node.fused))
            loose += (node.extra_bytes_read, node.count)
        for value in loose:
            if is_symbolic(value):
                names.update(str(s) for s in value.free_symbols)
        return tuple(sorted(names))

    def bind(self, **dims: Any) -> Graph:
        """The same graph with symbolic dimensions replaced by numbers (or by arrays, for a sweep).

        Raises:
            UnboundDimensionError: a dimension of the graph is not given.
        """
        missing = tuple(n for n in self.open_dims if n not in dims)
        if missing:
            raise UnboundDimensionError(
                f"the model has the open dimensions {', '.join(missing)}: give each a number", missing
            )
        tensors = {
            name: t if t.shape is None else dataclasses.replace(t, shape=tuple(evaluate(d, dims) for d in t.shape))
            for name, t in self.tensors.items()
        }
        nodes = tuple(
            node.replace(
                op=node.op.bind(**dims),
                fused=tuple(f.bind(**dims) for f in node.fused),
                extra_bytes_read=evaluate(node.extra_bytes_read, dims),
                count=evaluate(node.count, dims),
            )
            for node in self.nodes
        )
        removed = tuple(dataclasses.replace(r, flops=evaluate(r.flops, dims)) for r in self.removed)
        return dataclasses.replace(self, tensors=tensors, nodes=nodes, removed=removed)

    def producers(self) -> dict[str, Node]:
        """The node that makes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each tensor, in order; a node that reads it twice stands twice."""
        readers: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        return readers

    def total(self, count: str) -> Any:
        """Sum of ``"flops"``, ``"flops_executed"``, ``"product_flops"`` or ``"bytes"`` over all nodes."""
        return sum(getattr(node, count) for node in self.nodes)

    @property
    def weights_bytes(self) -> Any:
        """Bytes of all weights that some node reads."""
        used = {name for node in self.nodes for name in node.inputs}
        return sum(t.bytes for name, t in self.tensors.items() if t.is_weight and name in used and t.bytes is not None)


@contextmanager
def without_collection() -> Iterator[None]:
    """No garbage collection inside.

    Reading and predicting large graphs makes millions of objects and drops few: looking through all of them again and
    again doubles the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

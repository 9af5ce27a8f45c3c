"""Channels in blocks: the copies between layouts that ONNX Runtime's CPU provider makes around convolutions.

On x86 its two-dimensional convolutions in fp32 compute on blocks of channels (NCHWc, ``nchwc_transformer.cc``), and pools,
sums, concatenations and activations after them keep that layout, with channels padded to whole blocks. Where such a
kernel reads an ordinary tensor, and where another kernel reads a blocked one, a reordered copy is made. A chain of
convolutions needs none; a U-Net, whose transposed convolutions know no blocks, needs several at every level. Other
architectures may have no blocked kernels.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import Conv, Copy, Elementwise, Pool, Reduce
from perfmodel.ops.base import ceil_div

BLOCK = 16
"""Channels of a block with AVX-512; 8 with AVX and AVX2."""

_KEEP = frozenset({"add", "mul", "relu", "sigmoid", "tanh"})


def with_reorders(graph: Graph) -> Graph:
    """The graph with a copy wherever a layout changes; each tensor is reordered once, before its first such reader."""
    blocked: set[str] = set()
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    copies: dict[str, str] = {}

    def reordered(name: str) -> str:
        copy = copies.get(name)
        if copy is None:
            copy = copies[name] = f"{name} reordered"
            plain = graph.tensors[name]
            tensors[copy] = dataclasses.replace(plain if name in blocked else _padded(plain), name=copy)
            nodes.append(_reorder(plain, copy))
        return copy

    def block(names: tuple[str, ...]) -> None:
        blocked.update(names)
        tensors.update((name, _padded(graph.tensors[name])) for name in names)

    for node in graph.nodes:
        if _computes_on_blocks(graph, node):
            # A convolution of few channels (an image) reads them as they are.
            data = node.inputs[0]
            reads = (data,) if node.op.c_in >= BLOCK else ()  # type: ignore[attr-defined]
            wanted = {n: reordered(n) for n in (*reads, *node.inputs[2:]) if n not in blocked and _is_map(graph, n)}
            block(node.outputs)
        elif all(n in blocked for n in node.inputs) and _keeps_blocks(graph, node):
            wanted = {}
            block(node.outputs)
        else:
            wanted = {n: reordered(n) for n in dict.fromkeys(node.inputs) if n in blocked}
        nodes.append(node.replace(inputs=tuple(wanted.get(n, n) for n in node.inputs)) if wanted else node)
    if not blocked:
        return graph
    outputs = tuple(reordered(n) if n in blocked else n for n in graph.outputs)
    return dataclasses.replace(graph, tensors=tensors, nodes=tuple(nodes), outputs=outputs)


def _padded(tensor: Tensor) -> Tensor:
    """The tensor with whole blocks of channels."""
    if tensor.shape is None:
        return tensor
    n, channels, *extent = tensor.shape
    return dataclasses.replace(tensor, shape=(n, ceil_div(channels, BLOCK) * BLOCK, *extent))


def _reorder(tensor: Tensor, copy: str) -> Node:
    return Node(copy, Copy(kind="reorder", elements=tensor.elements, dtype=tensor.dtype), (tensor.name,), (copy,))


def _is_map(graph: Graph, name: str) -> bool:
    """Whether a tensor is a batch of two-dimensional maps, and no weight."""
    tensor = graph.tensors.get(name)
    return tensor is not None and not tensor.is_weight and tensor.shape is not None and len(tensor.shape) == 4


def _computes_on_blocks(graph: Graph, node: Node) -> bool:
    op: Any = node.op
    if not isinstance(op, Conv) or op.transposed or op.dtype != "fp32" or not node.inputs:
        return False
    if not _is_map(graph, node.inputs[0]) or not all(_is_map(graph, n) for n in node.outputs):
        return False
    if op.groups in (1, op.c_in):
        return True
    return op.c_in // op.groups % BLOCK == 0 and op.c_out // op.groups % BLOCK == 0


def _keeps_blocks(graph: Graph, node: Node) -> bool:
    """Whether a kernel works on blocked operands as they are; all of its operands are."""
    op = node.op
    if not node.inputs or not all(_is_map(graph, n) for n in node.outputs):
        return False
    shapes = [graph.tensors[n].shape or () for n in node.inputs]
    if isinstance(op, Pool):
        return op.kind in ("max", "average")
    if isinstance(op, Reduce):  # a pool over the whole extent
        return node.source_op in ("GlobalAveragePool", "GlobalMaxPool")
    if isinstance(op, Copy):
        if op.kind == "concat":
            return node.attributes.get("axis") == 1 and all(shape[1] % BLOCK == 0 for shape in shapes)
        return op.kind == "resize"  # nearest neighbours
    return isinstance(op, Elementwise) and op.kind in _KEEP and len(set(shapes)) == 1

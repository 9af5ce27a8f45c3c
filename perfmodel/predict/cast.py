"""``--dtype``: another number format for the GEMM-like operators and the activations between them."""

from __future__ import annotations

import dataclasses

from perfmodel.dtypes import gemm_dtype, is_floating
from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import GEMM_LIKE, Operator
from perfmodel.ops.memory import Copy, Elementwise, Embedding, Norm, Pool, Reduce, Softmax, View

# Activations that flow between GEMM-like operators change with them. Normalisation and softmax keep the format of their
# arithmetic, but read and write those activations; index arithmetic is not floating and stays as it is.
_FOLLOWS = (Elementwise, Copy, Pool, Embedding, Reduce)
_KEEPS_ARITHMETIC = (Norm, Softmax)
_NARROW_BITS = 16


def activation_dtype(dtype: str) -> str:
    """How activations between operators are stored when GEMM-like operators run in ``dtype``.

    The narrow formats hold their operands only: results leave the kernels in 16 bits.
    """
    return dtype if gemm_dtype(dtype).activation_bits > _NARROW_BITS or dtype in ("fp16", "bf16") else "bf16"


def cast(graph: Graph, dtype: str) -> Graph:
    """The graph with its floating GEMM-like operators, their weights and the activations between them in ``dtype``.

    Raises:
        DtypeError: the dtype is unknown, or only a storage format.
    """
    gemm_dtype(dtype)
    activation = activation_dtype(dtype)
    # A weight may reach its operator through reshapes.
    viewed: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, View) and node.inputs:
            viewed |= dict.fromkeys(node.outputs, viewed.get(node.inputs[0], node.inputs[0]))
    read = {
        viewed.get(name, name)
        for node in graph.nodes
        if node.op.op in GEMM_LIKE and is_floating(node.op.dtype)
        for name in node.inputs
    }
    weights = {name for name in read if name in graph.tensors and graph.tensors[name].is_weight}
    tensors = {name: _tensor(t, dtype if name in weights else activation) for name, t in graph.tensors.items()}
    return dataclasses.replace(graph, tensors=tensors, nodes=tuple(_node(n, dtype, activation) for n in graph.nodes))


def _tensor(tensor: Tensor, dtype: str) -> Tensor:
    return dataclasses.replace(tensor, dtype=dtype) if is_floating(tensor.dtype) else tensor


def _node(node: Node, dtype: str, activation: str) -> Node:
    before = node.op.dtype
    op = _operator(node.op, dtype, activation)
    extra = node.extra_bytes_read
    if op.dtype != before and is_floating(before):
        # Biases and residuals are activations of the new format.
        extra = extra * gemm_dtype(activation).activation_bits / gemm_dtype(before).activation_bits
    return node.replace(op=op, fused=tuple(_operator(f, dtype, activation) for f in node.fused), extra_bytes_read=extra)


def _operator(op: Operator, dtype: str, activation: str) -> Operator:
    if not is_floating(op.dtype):
        return op
    if op.op in GEMM_LIKE:
        changes: dict[str, object] = {"dtype": dtype}
        if getattr(op, "out_dtype", None) is not None:
            changes["out_dtype"] = activation
        if getattr(op, "kv_dtype", None) is not None:
            changes["kv_dtype"] = activation
        return op.replace(**changes)
    if isinstance(op, _FOLLOWS):
        out = getattr(op, "out_dtype", None)
        changes = {"out_dtype": activation} if out is not None and is_floating(out) else {}
        return op.replace(dtype=activation, **changes)
    if isinstance(op, _KEEPS_ARITHMETIC) and activation != op.dtype:
        return op.replace(io_dtype=activation)
    return op

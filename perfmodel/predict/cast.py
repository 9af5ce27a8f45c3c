"""``--dtype``, ``--dtype-map``, ``--kv-dtype``: other formats for GEMM-like operators and the activations between them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes, gemm_dtype, is_floating
from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import GEMM_LIKE, Attention, Gemm, Operator
from perfmodel.ops.base import is_symbolic
from perfmodel.ops.formats import is_narrow
from perfmodel.ops.memory import Copy, Elementwise, Embedding, Norm, Pool, Quantize, Reduce, Softmax, View
from perfmodel.predict import dtype_map as maps
from perfmodel.predict.conversions import convert
from perfmodel.predict.kv_cache import store_cache

# Activations that flow between GEMM-like operators change with them. Normalisation and softmax keep the format of their
# arithmetic, but read and write those activations; index arithmetic is not floating and stays as it is.
_FOLLOWS = (Elementwise, Copy, Pool, Embedding, Reduce)
_KEEPS_ARITHMETIC = (Norm, Softmax)
_NARROW_BITS = 16


def activation_dtype(dtype: str) -> str:
    """How activations between operators are stored when GEMM-like operators run in ``dtype``.

    The narrow formats hold their operands only: results leave the kernels in 16 bits. Narrow weights that meet fp32
    activations leave those as they are.
    """
    record = gemm_dtype(dtype)
    if record.activation_bits > _NARROW_BITS:
        return "fp32" if record.weight_only else record.name
    return record.name if record.name in ("fp16", "bf16") else "bf16"


def cast(
    graph: Graph,
    dtype: str | None,
    dtype_map: Mapping[str, str] | None = None,
    kv_dtype: str | None = None,
) -> Graph:
    """The graph with its floating GEMM-like operators, their weights and the activations between them in other formats.

    Args:
        graph: fused.
        dtype: the format of every operator that the map does not name; None: as the graph has it.
        dtype_map: formats by operator family or pattern of names (:mod:`perfmodel.predict.dtype_map`). Where neighbours
            then differ, activations are converted (:mod:`perfmodel.predict.conversions`).
        kv_dtype: how cached keys and values are stored (:mod:`perfmodel.predict.kv_cache`); None: as attention runs.

    Raises:
        DtypeError: a dtype is unknown, or only a storage format.
        InputError: a key of the map matches nothing.
    """
    castable = [i for i, n in enumerate(graph.nodes) if n.op.op in GEMM_LIKE and is_floating(n.op.dtype)]
    mapping = maps.checked(dtype_map or {})
    mapped, warnings = maps.assign(graph, mapping, castable) if mapping else ({}, ())
    default = None if dtype is None else gemm_dtype(dtype).name
    if default is not None or mapped:
        resolved = _resolved(graph)
        weightless = _weightless(graph, resolved)
        chosen = {
            i: _of_products(d) if i in weightless else d for i in castable if (d := mapped.get(i, default)) is not None
        }
        activation = None if default is None else activation_dtype(default)
        weights = _other_readers(graph, chosen, activation, resolved) if mapped else {}
        graph = _recast(graph, chosen, activation, resolved, weights)
        if mapped:
            graph = convert(graph, frozenset(castable))
    graph = dataclasses.replace(graph, warnings=(*graph.warnings, *warnings))
    return graph if kv_dtype is None else store_cache(graph, kv_dtype)


def _resolved(graph: Graph) -> dict[str, str]:
    """By name, the tensor that a chain of views goes back to."""
    result: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, View) and node.inputs:
            result |= dict.fromkeys(node.outputs, result.get(node.inputs[0], node.inputs[0]))
    return result


def _weightless(graph: Graph, resolved: Mapping[str, str]) -> set[int]:
    """Positions of operators that multiply activations with activations: attention, and GEMMs of two computed operands."""
    computed: set[str] = set()
    result: set[int] = set()
    for index, node in enumerate(graph.nodes):
        sources = [resolved.get(i, i) for i in node.inputs]
        both = len(sources) > 1 and all(s in computed for s in sources[:2])
        if isinstance(node.op, Attention) or (isinstance(node.op, Gemm) and both):
            result.add(index)
        if not all(s in graph.tensors and graph.tensors[s].is_weight for s in sources):
            computed.update(node.outputs)
    return result


def _of_products(dtype: str) -> str:
    """The format of a product without weights where those with weights run in ``dtype``."""
    record = gemm_dtype(dtype)
    return record.name if record.weight_format == record.activation_format else activation_dtype(dtype)


def _other_readers(
    graph: Graph, chosen: Mapping[int, str], activation: str | None, resolved: Mapping[str, str]
) -> dict[str, str]:
    """The formats of weights that operators outside the map read (an embedding that shares its table with the head)."""
    result: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        if index not in chosen and not isinstance(node.op, View):
            for name in node.inputs:
                source = graph.tensors.get(resolved.get(name, name))
                if source is not None and source.is_weight and is_floating(source.dtype):
                    result[source.name] = activation or source.dtype
    return result


def _recast(
    graph: Graph,
    chosen: Mapping[int, str],
    activation: str | None,
    resolved: Mapping[str, str],
    weights: dict[str, str],
) -> Graph:
    """Each node in its format; activations in ``activation`` (None: as they are); weights as their readers have them.

    Args:
        weights: formats of weights that are decided already; the others are added.
    """
    copies: dict[str, Tensor] = {}
    nodes = []
    for index, node in enumerate(graph.nodes):
        if index in chosen:
            node = _own_weights(node, chosen[index], graph, resolved, weights, copies)
        nodes.append(_node(node, chosen.get(index), activation, graph.tensors))
    tensors = {name: _tensor(t, weights.get(name, activation)) for name, t in graph.tensors.items()} | copies
    return dataclasses.replace(graph, tensors=tensors, nodes=tuple(nodes))


def _own_weights(
    node: Node,
    dtype: str,
    graph: Graph,
    resolved: Mapping[str, str],
    weights: dict[str, str],
    copies: dict[str, Tensor],
) -> Node:
    """Note the format of the node's weights; a matrix that others read in another format is stored twice."""
    inputs = list(node.inputs)
    for position, name in enumerate(node.inputs):
        source = graph.tensors.get(resolved.get(name, name))
        if source is None or not source.is_weight:
            continue
        if weights.setdefault(source.name, dtype) != dtype and len(source.shape or ()) > 1:
            twin = f"{source.name}@{dtype}"
            copies[twin] = dataclasses.replace(_tensor(source, dtype), name=twin)
            inputs[position] = twin
    return node.replace(inputs=tuple(inputs))


def _tensor(tensor: Tensor, dtype: str | None) -> Tensor:
    return dataclasses.replace(tensor, dtype=dtype) if dtype is not None and is_floating(tensor.dtype) else tensor


def _node(node: Node, dtype: str | None, activation: str | None, tensors: Mapping[str, Tensor]) -> Node:
    op = _operator(node.op, dtype, activation)
    before, extra = _stored(node.op), node.extra_bytes_read
    if dtype is not None:
        extra = extra - _of_other_widths(node, tensors)
    if _stored(op) != before and is_floating(before) and activation is not None:
        # Biases and residuals are activations of the new format; indices and conditions stay as they are.
        kept = min(_not_floating(node, tensors), max(extra, 0))
        extra = kept + (extra - kept) * gemm_dtype(activation).activation_bits / gemm_dtype(before).activation_bits
    return node.replace(op=op, fused=tuple(_operator(f, dtype, activation) for f in node.fused), extra_bytes_read=extra)


def _stored(op: Operator) -> str:
    """How operands and results are stored."""
    return getattr(op, "io_dtype", None) or op.dtype


def _of_other_widths(node: Node, tensors: Mapping[str, Tensor]) -> float:
    """What the extra bytes hold for floating operands of a product that are not as wide as its dtype says: all have one format
    once it is cast."""
    if not is_floating(node.op.dtype) or dtype_record(node.op.dtype).weight_only:
        return 0.0
    own = element_bytes(node.op.dtype)
    operands = (tensors[name] for name in node.inputs[:2] if name in tensors)
    others = (t for t in operands if is_floating(t.dtype) and element_bytes(t.dtype) != own)
    return sum(_bytes(t) * (1 - own / element_bytes(t.dtype)) for t in others)


def _not_floating(node: Node, tensors: Mapping[str, Tensor]) -> float:
    """Bytes of operands and further results that are no floating numbers."""
    names = (*node.inputs, *node.outputs[1:])
    return sum(_bytes(t) for n in names if (t := tensors.get(n)) is not None and not is_floating(t.dtype))


def _bytes(tensor: Tensor) -> float:
    """0 where the shape is unknown: nothing was counted then."""
    stored = tensor.bytes
    return 0.0 if stored is None or is_symbolic(stored) else float(stored)


def _operator(op: Operator, dtype: str | None, activation: str | None) -> Operator:
    if op.op in GEMM_LIKE and not is_floating(op.dtype):
        return _with_stored_weights(op, activation)
    if isinstance(op, Quantize) or is_narrow(op.dtype):
        return _beside_narrow(op, activation)
    if not is_floating(op.dtype):
        return op
    if op.op in GEMM_LIKE:
        changes: dict[str, object] = {} if dtype is None else {"dtype": dtype}
        for name in ("out_dtype", "kv_dtype"):
            if activation is not None and getattr(op, name, None) is not None:
                changes[name] = activation
        return op.replace(**changes) if changes else op
    if activation is None:
        return op
    if isinstance(op, _FOLLOWS):
        out = getattr(op, "out_dtype", None)
        changes = {"out_dtype": activation} if out is not None and is_floating(out) else {}
        return op.replace(dtype=activation, **changes)
    if isinstance(op, _KEEPS_ARITHMETIC) and activation != op.dtype:
        return op.replace(io_dtype=activation)
    return op


def _follows(dtype: str) -> bool:
    """Whether an activation of this dtype changes with its neighbours; one of fp8 is quantised, as one of integers is."""
    return is_floating(dtype) and dtype != "fp8"


def _beside_narrow(op: Operator, activation: str | None) -> Operator:
    """An operator that reads or writes quantised values: its other side follows its neighbours."""
    changes: dict[str, str] = {}
    if activation is not None and isinstance(op, (*_FOLLOWS, Quantize)):
        for name in ("dtype", "out_dtype"):
            stored = getattr(op, name, None)
            if stored is not None and _follows(stored):
                changes[name] = activation
    return op.replace(**changes) if changes else op


def _with_stored_weights(op: Operator, activation: str | None) -> Operator:
    """An operator whose weights the file holds quantised keeps them; its activations follow their neighbours."""
    record = dtype_record(op.dtype)
    out = getattr(op, "out_dtype", None)
    if activation is None or (out is not None and not _follows(out)):
        return op
    if not record.weight_only:
        return op if out is None else op.replace(out_dtype=activation)
    bits = int(gemm_dtype(activation).activation_bits)
    changes: dict[str, object] = {"dtype": gemm_dtype(re.sub(r"a(?:16|32)", f"a{bits}", record.name, count=1)).name}
    if out is not None:
        changes["out_dtype"] = activation
    return op.replace(**changes)

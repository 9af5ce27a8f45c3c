"""``--kv-dtype``: keys and values that attention reads from a cache, stored in a format of their own.

It is how they are stored, not how they are multiplied: attention's arithmetic stays, and the kernel widens what it reads in
registers. Attention that has no cached keys (a prompt from its start, an encoder) is not concerned.
"""

from __future__ import annotations

import dataclasses

from perfmodel.dtypes import Dtype, dtype, is_floating
from perfmodel.errors import DtypeError
from perfmodel.graph import Graph, Node
from perfmodel.ops import Attention, Copy, View

_DECODING = ("decode", "mla_decode")
_APPEND = ("cache_append", "concat")


def cache_dtype(name: str) -> Dtype:
    """The record of a format that keys and values may be stored in.

    Raises:
        DtypeError: the name is unknown, or the format has weights and activations that differ.
    """
    record = dtype(name)
    if record.weight_bits != record.activation_bits or record.bit_planes > 1 or record.name in ("bool", "string"):
        raise DtypeError(f"kv_dtype is {name!r}: wanted one format for all values, as in fp8, int8 or bf16")
    return record


def store_cache(graph: Graph, kv_dtype: str) -> Graph:
    """The graph whose attention reads cached keys and values in ``kv_dtype``; where none has a cache, a warning says so.

    Raises:
        DtypeError: no such format.
    """
    name = cache_dtype(kv_dtype).name
    roots: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, View) and node.inputs:
            roots |= dict.fromkeys(node.outputs, roots.get(node.inputs[0], node.inputs[0]))
    makers = {o: i for i, n in enumerate(graph.nodes) for o in n.outputs if _appends(n)}
    cached: set[str] = set()
    nodes = list(graph.nodes)
    for index, node in enumerate(graph.nodes):
        if not isinstance(node.op, Attention):
            continue
        appends = [makers[root] for i in node.inputs[1:3] if (root := roots.get(i, i)) in makers]
        if not appends and not _reads_cache(node.op):
            continue
        nodes[index] = node.replace(op=node.op.replace(kv_dtype=name))
        # What is kept between steps: the caches that come in, the ones that go out, and those being appended to.
        cached.update(i for i in node.inputs[1:] if i in graph.inputs and is_floating(graph.tensors[i].dtype))
        cached.update(node.outputs[1:])
        for position in appends:
            append = graph.nodes[position]
            cached.update((*(i for i in append.inputs if roots.get(i, i) in graph.inputs), *append.outputs))
            nodes[position] = append.replace(op=append.op.replace(dtype=name))
    if nodes == list(graph.nodes):
        warning = f"kv_dtype {name}: no attention of this model reads cached keys; nothing changed"
        return dataclasses.replace(graph, warnings=(*graph.warnings, warning))
    tensors = {
        key: dataclasses.replace(t, dtype=name) if key in cached or roots.get(key) in cached else t
        for key, t in graph.tensors.items()
    }
    return dataclasses.replace(graph, tensors=tensors, nodes=tuple(nodes))


def _appends(node: Node) -> bool:
    return isinstance(node.op, Copy) and node.op.kind in _APPEND


def _reads_cache(op: Attention) -> bool:
    return op.phase in _DECODING or (op.causal and bool(op.kv_len > op.q_len))

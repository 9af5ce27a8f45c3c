"""``--kv-dtype``: keys and values that attention reads from a cache, stored in a format of their own.

Which tensors they are, :mod:`perfmodel.predict.memory.kv_cache` says. It is how they are stored, not how they are
multiplied: attention's arithmetic stays, and the kernel widens what it reads in registers. Attention that has no cached
keys (a prompt from its start, an encoder) is not concerned.
"""

from __future__ import annotations

import dataclasses

from perfmodel.dtypes import Dtype, dtype, is_floating
from perfmodel.errors import DtypeError
from perfmodel.graph import Graph
from perfmodel.ops import Attention, Copy
from perfmodel.predict.memory.buffers import storages
from perfmodel.predict.memory.kv_cache import find

_DECODING = ("decode", "mla_decode")


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
    """The graph whose cached keys and values are stored in ``kv_dtype``, which attention then reads.

    A warning says so where none has a cache, and where attention is in parts, whose products count what they read as before.

    Raises:
        DtypeError: no such format.
    """
    name = cache_dtype(kv_dtype).name
    shared = storages(graph)
    # A model that only starts a cache reads its keys and values as they are made.
    found = [c for c in find(graph, shared) if c.past is not None]
    cached = {root for c in found for root in (c.present, c.past)}
    nodes = list(graph.nodes)
    attends = False
    for index, node in enumerate(graph.nodes):
        if isinstance(node.op, Attention):
            operands = (*node.inputs[1:], *node.outputs[1:])
            if not _reads_cache(node.op) and not any(shared.root(n) in cached for n in operands):
                continue
            attends = True
            nodes[index] = node.replace(op=node.op.replace(kv_dtype=name))
            # What is kept between steps, whether the model returns it or not.
            cached.update(i for i in node.inputs[1:] if i in graph.inputs)
            cached.update(node.outputs[1:])
        elif isinstance(node.op, Copy) and is_floating(node.op.dtype) and any(o in cached for o in node.outputs):
            nodes[index] = node.replace(op=node.op.replace(dtype=name))
    warnings = graph.warnings
    if not attends:
        reason = (
            "attention is in parts here: the cache is stored so, its products count what they read as before"
            if cached
            else "no attention of this model reads cached keys; nothing changed"
        )
        warnings = (*warnings, f"kv_dtype {name}: {reason}")
    tensors = {
        key: dataclasses.replace(t, dtype=name) if shared.root(key) in cached and is_floating(t.dtype) else t
        for key, t in graph.tensors.items()
    }
    return dataclasses.replace(graph, tensors=tensors, nodes=tuple(nodes), warnings=warnings)


def _reads_cache(op: Attention) -> bool:
    return op.phase in _DECODING or (op.causal and bool(op.kv_len > op.q_len))

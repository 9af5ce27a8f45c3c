"""Which tensors of a graph are a cache of keys and values.

Told by what is done with them, whatever they are called: the model is given a tensor, appends to it along one axis, and
returns the longer one; or attention does both. A model that has no past yet returns the keys and values that its
attention reads. Only where attention is not one operator in the graph, and nothing is appended, does the name of an output
(``present.0.key``) decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perfmodel.graph import Graph, Node
from perfmodel.ops import Attention, Copy, Operator
from perfmodel.predict.memory.buffers import Storages

_CACHE_NAME = re.compile(r"present|past_key|past_value|kv_cache|key_cache|value_cache", re.IGNORECASE)
_MIN_RANK = 3  # at least sequences, tokens and features


@dataclass(frozen=True, slots=True)
class Cached:
    """One cached tensor.

    Attributes:
        present: the storage that the model returns.
        past: the input that it continues; None where the model starts a cache.
        axis: the axis along which tokens lie.
    """

    present: str
    past: str | None
    axis: int


@dataclass(frozen=True, slots=True)
class KVCache:
    """The cache of a model as a whole.

    Attributes:
        bytes: keys and values of all layers after the run, past and new tokens together.
        tensors: how many tensors they are.
        tokens: tokens of each sequence after the run (of the longest cache, where layers differ).
        bytes_per_token: bytes that one more token of one sequence takes, over all layers.
        grows_with: bytes that one more unit of a dimension adds, by the dimension's name in the file.
    """

    bytes: float
    tensors: int
    tokens: int
    bytes_per_token: float
    grows_with: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "bytes": self.bytes, "tensors": self.tensors, "tokens": self.tokens,
            "bytes_per_token": self.bytes_per_token, "grows_with": dict(self.grows_with),
        }  # fmt: skip


def find(graph: Graph, shared: Storages) -> tuple[Cached, ...]:
    """The cached tensors of a graph, each once."""
    given = {shared.root(name): name for name in graph.inputs}
    returned = {shared.root(name): name for name in graph.outputs}
    found: dict[str, Cached] = {}
    for node in graph.nodes:
        for cached in (
            *_appended(graph, shared, node, given, returned),
            *_of_attention(graph, shared, node, given, returned),
        ):
            found.setdefault(cached.present, cached)
    for root, name in returned.items():
        if root not in found and root not in given and _CACHE_NAME.search(name) and _rank(graph, root) > _MIN_RANK:
            found[root] = Cached(root, None, _rank(graph, root) - 2)
    return tuple(found.values())


def _rank(graph: Graph, name: str) -> int:
    tensor = graph.tensors.get(name)
    return 0 if tensor is None or tensor.shape is None else len(tensor.shape)


def _appended(
    graph: Graph, shared: Storages, node: Node, given: Mapping[str, str], returned: Mapping[str, str]
) -> Iterator[Cached]:
    """Concatenations with an input, and updates of one in its place."""
    if not isinstance(node.op, Copy) or not node.inputs or len(node.outputs) != 1:
        return
    past, present = shared.root(node.inputs[0]), node.outputs[0]
    if past not in given:
        return
    if node.op.kind == "cache_append" or (node.op.kind in ("concat", "scatter") and present in returned):
        axis = _grown_axis(graph, past, present)
        if axis is not None:
            yield Cached(present, past, axis)


def _of_attention(
    graph: Graph, shared: Storages, node: Node, given: Mapping[str, str], returned: Mapping[str, str]
) -> Iterator[Cached]:
    """What an attention operator continues, starts, or reads while the model returns it."""
    if not any(isinstance(op, Attention) for op in _operators(node)):
        return
    # The query, or the hidden states, come first and are never the past.
    pasts = [root for root in dict.fromkeys(map(shared.root, node.inputs[1:])) if root in given]
    presents = [name for name in node.outputs[1:] if _rank(graph, name) >= _MIN_RANK and shared.root(name) in returned]
    for number, present in enumerate(presents):
        matching = {past: axis for past in pasts if (axis := _grown_axis(graph, past, present)) is not None}
        if not matching:
            yield Cached(present, None, _rank(graph, present) - 2)
            continue
        # New keys and values may be inputs too: the past is longer, and stands behind them. Keys come before values.
        longest = sorted(matching, key=lambda past: _extent(graph, past, matching[past]))
        past = longest[-min(len(presents) - number, len(longest))]
        pasts.remove(past)
        yield Cached(present, past, matching[past])
    if isinstance(node.op, Attention):
        for name in node.inputs[1:3]:
            root = shared.root(name)
            if root in returned and root not in given and _rank(graph, root) >= _MIN_RANK:
                yield Cached(root, None, _rank(graph, root) - 2)


def _operators(node: Node) -> tuple[Operator, ...]:
    return (node.op, *node.fused)


def _extent(graph: Graph, name: str, axis: int) -> Any:
    shape = graph.tensors[name].shape
    return 0 if shape is None else shape[axis]


def _grown_axis(graph: Graph, past: str, present: str) -> int | None:
    """The one axis along which the present exceeds the past; None where the two do not match.

    A cache that is allocated at its full length keeps its shape: then the last axis but one, as all layouts in use
    (batch, heads, tokens, features) have it.
    """
    old, new = graph.tensors.get(past), graph.tensors.get(present)
    if old is None or new is None or old.shape is None or new.shape is None or old.dtype != new.dtype:
        return None
    if len(old.shape) != len(new.shape) or len(new.shape) < _MIN_RANK:
        return None
    grown = [axis for axis, (a, b) in enumerate(zip(old.shape, new.shape, strict=True)) if a != b]
    if not grown:
        return len(new.shape) - 2
    axis = grown[0]
    return axis if len(grown) == 1 and new.shape[axis] > old.shape[axis] else None


def describe(graph: Graph, cached: tuple[Cached, ...]) -> KVCache | None:
    """Size and growth of the cache; None where there is none, or nothing of it has a known size."""
    total = per_token = 0.0
    tokens = 0
    grows: dict[str, float] = {}
    for entry in cached:
        tensor = graph.tensors[entry.present]
        if tensor.shape is None or not tensor.bytes:
            continue
        size = float(tensor.bytes)
        total += size
        tokens = max(tokens, int(tensor.shape[entry.axis]))
        # Sequences lie along the first axis; where keys and values are stacked (2, batch, ...), along the second.
        batch_axis = 1 if len(tensor.shape) == 5 else 0
        batch = tensor.shape[batch_axis] if batch_axis != entry.axis else 1
        per_token += size / float(tensor.shape[entry.axis] * batch)
        names = graph.input_axes.get(entry.past, ()) if entry.past is not None else ()
        for name, extent in zip(names, tensor.shape, strict=False):
            if name is not None:
                grows[name] = grows.get(name, 0.0) + size / float(extent)
    return KVCache(total, len(cached), tokens, per_token, grows) if total else None

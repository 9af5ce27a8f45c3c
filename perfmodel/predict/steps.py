"""The graphs that one generation request runs: the prompt at once, then one token at a time.

A file says in one of two ways how it generates. With **inputs for past keys and values** it says everything: their dimension
is bound to the tokens so far. **Without** them the file computes its whole sequence anew for every token, which nobody does:
where all attention is causal, what a cache changes is known, so each step works on one token, and its attention reads the keys
of all tokens before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from perfmodel.errors import InputError
from perfmodel.graph import Graph
from perfmodel.ops import Attention
from perfmodel.predict.memory.buffers import storages
from perfmodel.predict.memory.kv_cache import describe, find
from perfmodel.predict.workload import BATCH_DIMS, sequence_dim

_OF_CACHE = re.compile(r"past|cache", re.IGNORECASE)
"""Inputs and dimensions that hold keys and values of earlier tokens, as exporters name them."""
_OF_TOKENS = re.compile(r"seq|len|time|tok|kv", re.IGNORECASE)
"""Dimensions that count tokens."""


@dataclass(frozen=True)
class Steps:
    """How a model's graph is bound for each run of a request.

    Attributes:
        prompt: the graph of the prompt.
        step: the graph of a step that finds so many tokens in the cache.
        has_cache: whether the file itself has inputs for past keys and values.
        warnings: what was assumed.
    """

    prompt: Graph
    step: Callable[[int], Graph]
    has_cache: bool
    warnings: tuple[str, ...] = ()


def steps_of(graph: Graph, prompt: int, dims: Mapping[str, int]) -> Steps:
    """The graphs of a request.

    Args:
        graph: the model, its dimensions for the sequence and the cache still open.
        prompt: tokens of the prompt.
        dims: numbers that the user gave, to refuse those that the request decides.

    Raises:
        InputError: the model has no dimension for its sequence, or dimensions that nothing gives a number.
    """
    new = sequence_dim(graph)
    pasts, totals = ((), ()) if new is None else (_past_dims(graph, new), _total_dims(graph, new))
    taken = [name for name in (new, *pasts, *totals) if name in dims]
    if taken:
        raise InputError(f"--dim {taken[0]} is what --prompt and --generate decide: leave one of them out")
    if new is None or new not in graph.open_dims:
        raise InputError(
            f"{graph.name}: no input has an open dimension that counts its new tokens (such as seq or sequence_length), "
            "so it cannot be run on a prompt and then token by token; "
            + (f"open dimensions: {', '.join(graph.open_dims)}" if graph.open_dims else "it has no open dimension")
        )
    known = {new, *pasts, *totals}
    missing = [name for name in graph.open_dims if name not in known]
    if missing:
        raise InputError(f"{graph.name}: give a number for the dimensions {', '.join(missing)} (--dim {missing[0]}=1)")

    def bound(count: int, past: int) -> Graph:
        numbers = {new: count} | dict.fromkeys(pasts, past) | dict.fromkeys(totals, past + count)
        return graph.bind(**{name: numbers[name] for name in graph.open_dims})

    if pasts:
        return Steps(bound(prompt, 0), lambda cached: bound(1, cached), has_cache=True)
    return Steps(bound(prompt, 0), lambda cached: bound(1, 0), has_cache=False)


def check_causal(graph: Graph) -> None:
    """Refuse a model without cache inputs to which none can be added.

    Args:
        graph: the fused graph of the prompt.

    Raises:
        InputError: there is no attention, or one that sees tokens that come later.
    """
    attention = [n for n in graph.nodes if isinstance(n.op, Attention)]
    if not attention:
        raise InputError(
            f"{graph.name}: no inputs for past keys and values, and no attention that is one operator after fusion: "
            "a request cannot be told from the file; export it with its cache (past_key_values), or use --fusion engine"
        )
    for node in attention:
        if isinstance(node.op, Attention) and not node.op.causal:
            raise InputError(
                f"{graph.name}: no inputs for past keys and values, and the attention {node.name!r} is not causal: "
                "an encoder generates nothing; a decoder has to be exported with its cache (past_key_values)"
            )


def with_cache(step: Graph, prompt: Graph, cached: int) -> Graph:
    """The graph of one token whose attention also reads the keys and values of earlier ones.

    Args:
        step: the fused graph of one token alone.
        prompt: the fused graph of the prompt; windows are found only there, since one token does not show them.
        cached: tokens before this one.
    """
    windows = {n.name: n.op.window for n in prompt.nodes if isinstance(n.op, Attention)}
    nodes = tuple(
        n.replace(op=n.op.replace(phase="decode", kv_len=n.op.kv_len + cached, window=windows.get(n.name)))
        if isinstance(n.op, Attention)
        else n
        for n in step.nodes
    )
    return replace(step, nodes=nodes)


def cache_bytes(graph: Graph, tokens: int, *, has_cache: bool) -> float:
    """Bytes of keys and values of all layers for so many tokens of each sequence.

    Args:
        graph: a fused graph of a step.
        tokens: in the cache.
        has_cache: whether the cache is among the graph's tensors; attention's operands say it otherwise.
    """
    if has_cache:
        cache = describe(graph, find(graph, storages(graph)))
        return 0.0 if cache is None or not cache.tokens else cache.bytes * tokens / cache.tokens
    # Layers that are a loop are one node, executed as often.
    layers = ((n.count, n.op.replace(kv_len=tokens)) for n in graph.nodes if isinstance(n.op, Attention))
    return float(sum(count * op.kv_bytes for count, op in layers))


def _past_dims(graph: Graph, new: str) -> tuple[str, ...]:
    """Dimensions that count cached tokens: of inputs for keys and values, all that no other meaning is known of."""
    found: dict[str, None] = {}
    for name, axes in graph.input_axes.items():
        # Sequences lie along the first axis, whatever it is called.
        for axis in axes[1:]:
            if axis is None or axis == new or axis.lower() in BATCH_DIMS or "total" in axis.lower():
                continue
            if _OF_CACHE.search(axis) or (_OF_CACHE.search(name) and _OF_TOKENS.search(axis)):
                found[axis] = None
    return tuple(found)


def _total_dims(graph: Graph, new: str) -> tuple[str, ...]:
    """Dimensions that count cached and new tokens together, as an attention mask has."""
    pasts = _past_dims(graph, new)
    found: dict[str, None] = {}
    for name, axes in graph.input_axes.items():
        for axis in axes[1:]:
            if axis is None or axis == new or axis in pasts or axis.lower() in BATCH_DIMS:
                continue
            if "total" in axis.lower() or "mask" in name.lower():
                found[axis] = None
    return tuple(found)

"""What one run of a model works on: how many samples, and how many tokens of them.

Costs are quoted per million tokens or per million images, so a prediction has to know how many of either a run does. The
names of the inputs' dimensions say so; where they say nothing, samples lie along the first axis of an input, and no tokens
are claimed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from perfmodel.dtypes import is_floating
from perfmodel.graph import Graph
from perfmodel.ops.base import is_symbolic

BATCH_DIMS = frozenset({"batch", "batch_size", "bs", "b", "n"})
"""Names of a dimension, in lower case, that count samples: throughput is this dimension over latency."""

SEQUENCE_DIMS = frozenset(
    {
        "seq", "seqlen", "seq_len", "seq_length", "sequence", "sequence_len", "sequence_length", "decoder_sequence_length",
        "encoder_sequence_length", "tokens", "num_tokens", "n_tokens", "token_count", "max_length", "input_length",
    }
)  # fmt: skip
"""Names of a dimension, in lower case, that count the tokens that a run works on (not those it finds in a cache)."""

_TOKEN_IDS = re.compile(r"(^|_)(ids|tokens)$|input_?ids", re.IGNORECASE)
"""Names of inputs that hold one whole number a token."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What one run works on.

    Attributes:
        samples: sequences, images, ... in the batch; at least 1.
        tokens: tokens of all of them together; None where no dimension is known to count tokens.
    """

    samples: int = 1
    tokens: int | None = None

    @property
    def unit(self) -> str:
        """What costs are quoted by: ``tokens`` where they are known, else ``samples``."""
        return "samples" if self.tokens is None else "tokens"

    @property
    def units(self) -> int:
        """How many of :attr:`unit` a run works on."""
        return self.samples if self.tokens is None else self.tokens

    @property
    def in_each_run(self) -> str:
        """``2,048 tokens in each run``."""
        return f"{self.units:,} {self.unit if self.units != 1 else self.unit.removesuffix('s')} in each run"


def workload_of(graph: Graph) -> Workload:
    """Samples and tokens of one run of a bound graph."""
    samples = _first(graph, BATCH_DIMS)
    each = _first(graph, SEQUENCE_DIMS)
    if each is None:
        each = next((shape[1] for name, shape in _inputs(graph) if _holds_token_ids(graph, name, shape)), None)
    if samples is None:
        # A batch that is no symbolic dimension lies along the first axis of what the model is given.
        axes = next(((name, shape) for name, shape in _inputs(graph) if len(shape) > 1), None)
        samples = 1 if axes is None or _named(graph, axes[0], 0) in SEQUENCE_DIMS else axes[1][0]
    return Workload(samples, None if each is None else samples * each)


def sequence_dim(graph: Graph) -> str | None:
    """The name of the dimension that counts a sequence's new tokens; None where no input has one."""
    for name in graph.inputs:
        for axis in graph.input_axes.get(name, ()):
            if axis is not None and axis.lower() in SEQUENCE_DIMS:
                return axis
    for name in graph.inputs:
        axes = graph.input_axes.get(name, ())
        if len(axes) == 2 and axes[1] is not None and _TOKEN_IDS.search(name):
            return axes[1]
    return None


def _inputs(graph: Graph) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for name in graph.inputs:
        tensor = graph.tensors.get(name)
        if tensor is not None and tensor.shape and not any(is_symbolic(d) for d in tensor.shape):
            yield name, tensor.shape


def _first(graph: Graph, names: frozenset[str]) -> int | None:
    """The extent of the first axis of an input whose dimension has one of the names."""
    for name, shape in _inputs(graph):
        for axis, extent in enumerate(shape):
            if _named(graph, name, axis) in names:
                return int(extent)
    return None


def _named(graph: Graph, name: str, axis: int) -> str | None:
    axes = graph.input_axes.get(name, ())
    called = axes[axis] if axis < len(axes) else None
    return None if called is None else called.lower()


def _holds_token_ids(graph: Graph, name: str, shape: tuple[Any, ...]) -> bool:
    return len(shape) == 2 and not is_floating(graph.tensors[name].dtype) and bool(_TOKEN_IDS.search(name))

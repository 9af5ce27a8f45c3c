"""Which chains a sweep draws, how large, and how often: pieces, each a model of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.collect.sweeps import convolutions, recurrent, small, transformers
from perfmodel.collect.sweeps.builder import Builder

KINDS = {
    "convolutions": convolutions.CHAINS,
    "transformers": transformers.CHAINS,
    "recurrent": recurrent.CHAINS,
    "small": small.CHAINS,
}
"""Chains by kind."""
CHAINS = {name: chain for chains in KINDS.values() for name, (chain, _) in chains.items()}
USUAL_SHARES = {
    "convolutions": 0.34,
    "transformers": 0.3,
    "recurrent": 0.08,
    "small": 0.28,
}
"""How much of a sweep each kind is. Of every kind, chains are drawn in proportion to their weights."""
SIZES = ("large", "small", "hot")
"""A third of the pieces each: chains of milliseconds, chains of microseconds, and one chain alone, whose weights stay
in the caches."""
_FLOPS = {"large": (2e7, 8e8), "small": (2e3, 2e7), "hot": (1e4, 6e8)}
"""FLOPs of one chain, from and to."""
_BUDGET = {"large": 1.2e9, "small": 2.5e8}
"""FLOPs of a whole piece: some tens of milliseconds a run."""
_MOST_CHAINS = {"large": 8, "small": 30, "hot": 1}
_MOST_WEIGHT_BYTES = 250_000_000


@dataclass(frozen=True)
class Piece:
    """A model of a sweep.

    Attributes:
        name: says what it holds: size, number.
        size: one of :data:`SIZES`.
        chains: the names of its chains, in their order.
        model: the ``onnx.ModelProto``.
        weight_bytes: of its weights.
    """

    name: str
    size: str
    chains: tuple[str, ...]
    model: Any
    weight_bytes: int


def draw(number: int, seed: int, weights: Mapping[str, float] | None = None) -> Piece:
    """The piece of a number: the same for equal arguments, whatever was drawn before.

    Args:
        number: its place in the sweep, from 0; every third piece is of one size.
        seed: of the whole sweep.
        weights: how often each chain of :data:`CHAINS` is drawn; None: :func:`usual_weights`.
    """
    rng = np.random.default_rng([seed, number])
    size = SIZES[number % len(SIZES)]
    shares = weights or usual_weights()
    names = list(shares)
    chances = np.array([shares[n] for n in names])
    chances = chances / chances.sum()
    b = Builder(rng)
    chains: list[str] = []
    low, high = _FLOPS[size]
    while len(chains) < _MOST_CHAINS[size]:
        name = names[int(rng.choice(len(names), p=chances))]
        left = _BUDGET.get(size, high) - b.flops
        if chains and left < low:
            break
        CHAINS[name](b, min(b.between(low, high), max(left, low)))
        chains.append(name)
        if b.weight_bytes > _MOST_WEIGHT_BYTES:
            break
    name = f"sweep-{seed}-{number:05d}-{size}"
    return Piece(name, size, tuple(chains), b.model(name), b.weight_bytes)


def usual_weights() -> dict[str, float]:
    """How often each chain is drawn where nothing is known of errors."""
    found: dict[str, float] = {}
    for kind, chains in KINDS.items():
        total = sum(weight for _, weight in chains.values())
        found |= {name: USUAL_SHARES[kind] * weight / total for name, (_, weight) in chains.items()}
    return found

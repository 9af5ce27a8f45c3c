"""How the tokens of a mixture-of-experts layer spread over the experts of one GPU.

Even routing gives every expert of every rank its share. Under a *power law* of exponent a (``"power_law_1.2"``) the loads of
the experts are drawn from a Pareto distribution between two bounds, and what counts is the rank that received most: the
others wait for it. Its expected load follows from draws with a fixed seed, so that equal rows get equal estimates.

The bounds are those of AIConfigurator's collector (ai-dynamo/aiconfigurator, ``collector/helper.py``): loads of 1 to 0.8
times the tokens, or of 0.01 to 2 where there are fewer (token, expert) pairs than experts, scaled to the number of pairs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = np.array([16.0, 32.0, 64.0, 128.0, 256.0])
"""Heights of the tiles whose blocks are counted."""

DRAWS = 8
"""Draws of the experts' loads that are averaged."""
_SEED = 20
_POWER_LAW = re.compile(r"power_law_(\d+(?:\.\d+)?)")
_CELLS = 2**22


@dataclass(frozen=True)
class Load:
    """What reaches the busiest GPU; arrays of shape ``[rows]``, averages over the draws.

    Attributes:
        rows: (token, expert) pairs.
        active: experts that receive at least one token.
        busiest: pairs of the expert that receives most.
        blocks: blocks of ``BLOCK_ROWS`` rows in which the experts' rows lie, shape ``[rows, len(BLOCK_ROWS)]``.
    """

    rows: np.ndarray
    active: np.ndarray
    busiest: np.ndarray
    blocks: np.ndarray


def exponent(distribution: str | None) -> float | None:
    """The exponent of a power law; None for even routing, and for a name that says nothing of how uneven it is."""
    match = _POWER_LAW.fullmatch(distribution or "")
    return float(match[1]) if match else None


def load(distribution: str | None, tokens: np.ndarray, experts: np.ndarray, top_k: np.ndarray, ep: np.ndarray) -> Load:
    """The load of the busiest of ``ep`` ranks.

    Args:
        distribution: as in :class:`perfmodel.ops.Moe`.
        tokens: of the whole batch, shape ``[rows]``; the others have the same shape.
        experts: of the whole layer.
        top_k: experts a token visits.
        ep: ranks that the experts are split over.
    """
    alpha = exponent(distribution)
    if alpha is None:
        return _even(tokens, experts, top_k, ep)
    keys, inverse = np.unique(np.stack([experts, ep, top_k, tokens], axis=1), axis=0, return_inverse=True)
    figures = np.empty((len(keys), 3 + len(BLOCK_ROWS)))
    for of_experts in np.unique(keys[:, :2], axis=0):
        same = np.flatnonzero((keys[:, :2] == of_experts).all(axis=1))
        count = max(int(of_experts[0]), 1)
        step = max(1, _CELLS // (count * DRAWS))
        for start in range(0, len(same), step):
            part = same[start : start + step]
            figures[part] = _drawn(alpha, count, max(int(of_experts[1]), 1), keys[part, 2], keys[part, 3])
    figures = figures[inverse.reshape(-1)]
    return Load(figures[:, 0], figures[:, 1], figures[:, 2], figures[:, 3:])


def _even(tokens: np.ndarray, experts: np.ndarray, top_k: np.ndarray, ep: np.ndarray) -> Load:
    rows = np.maximum(np.ceil(tokens * top_k / ep), 1.0)
    active = np.minimum(np.maximum(experts // ep, 1.0), rows)
    least = rows // active
    more = rows - least * active  # so many experts have a row more than the others
    blocks = more[:, None] * np.ceil((least[:, None] + 1) / BLOCK_ROWS)
    blocks = blocks + (active - more)[:, None] * np.ceil(least[:, None] / BLOCK_ROWS)
    return Load(rows, active, least + (more > 0), blocks)


def _drawn(alpha: float, experts: int, ep: int, top_k: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Rows, active experts, busiest expert and blocks, for layers of like experts; shape ``[layers, 3 + blocks]``."""
    uniform = np.random.default_rng(_SEED).random((DRAWS, experts))
    tokens = np.maximum(tokens, 1.0)[:, None, None]
    pairs = np.maximum(tokens * top_k[:, None, None], 1.0)
    many = pairs > experts
    low = np.where(many, 1.0, 0.01)
    high = np.where(many, np.maximum(0.8 * tokens, 1.0 + 1e-9), 2.0)
    e = 1.0 - alpha
    if abs(e) < 1e-6:
        loads = low * (high / low) ** uniform
    else:
        loads = (low**e + uniform * (high**e - low**e)) ** (1 / e)
    share = loads / loads.sum(axis=2, keepdims=True) * pairs
    counts = np.floor(share)
    # What rounding down lost goes to the largest remainders, so that no pair is lost.
    missing = pairs - counts.sum(axis=2, keepdims=True)
    rank = np.argsort(np.argsort(counts - share, axis=2), axis=2)
    # A token visits an expert at most once.
    counts = np.minimum(counts + (rank < missing), tokens)
    ranks = max(min(ep, experts), 1)
    local = -(-experts // ranks)
    padded = np.pad(counts, ((0, 0), (0, 0), (0, ranks * local - experts)))  # the last ranks may hold fewer
    groups = padded.reshape(*counts.shape[:2], ranks, local)
    busiest_rank = groups.sum(axis=3).argmax(axis=2)
    mine = np.take_along_axis(groups, busiest_rank[:, :, None, None], axis=2)[:, :, 0, :]
    blocks = np.stack([np.ceil(mine / b).sum(axis=2).mean(axis=1) for b in BLOCK_ROWS], axis=1)
    figures = [mine.sum(axis=2), (mine > 0).sum(axis=2), mine.max(axis=2)]
    return np.concatenate([np.stack([f.mean(axis=1) for f in figures], axis=1), blocks], axis=1)

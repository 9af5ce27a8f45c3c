"""Splits of traces into what is trained on and what is judged: whole groups are held out, never single rows."""

from __future__ import annotations

import hashlib

import numpy as np

FOLDS = 5


def shape_fold(n: np.ndarray, k: np.ndarray, *, seed: int = 0, folds: int = FOLDS) -> np.ndarray:
    """Fold of each row under the protocol ``shapes``: a hash of its (n, k) pair.

    A pair falls into the same fold in every file of every device, so that a held-out pair is out everywhere.

    Args:
        n, k: whole numbers, shape ``[rows]``.
        seed: another seed gives another partition.
        folds: how many parts.
    """
    pairs = np.stack([np.asarray(n, dtype=np.int64), np.asarray(k, dtype=np.int64)], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    fold = np.array([_hash(f"{seed}:{a}x{b}") % folds for a, b in unique.tolist()], dtype=np.int64)
    return fold[inverse.reshape(-1)]


def _hash(text: str) -> int:
    # Python's own hash differs from run to run.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

"""What to measure next: chains whose kernels are least well explained by what was measured so far.

A quick model explains each kind of kernel: the logarithm of its time as a linear function of the logarithms of its work,
traffic and dimensions. What is left of it, in the mean over rows that had no say, over the square root of the rows, says
how much another row would teach. Which kernels a chain leads to is seen in the pieces that hold one chain alone. Shares
stay within a factor of :data:`MOST_CHANGE` of the usual ones, so that nothing is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.collect.sweeps.families import usual_weights
from perfmodel.hardware import Device
from perfmodel.models.host.features import numbers

if TYPE_CHECKING:
    import pandas as pd

MOST_CHANGE = 2.0
_READ = (
    "log_base", "log2_flops", "log2_bytes_read", "log2_bytes_written", "log2_weight_bytes", "log2_m", "log2_n", "log2_k",
    "log2_contiguous_elements", "log2_input_distance_bytes",
)  # fmt: skip
_RIDGE = 3.0
_FEWEST = 8
"""Rows of a kernel below which nothing can be said of how they scatter."""


def chain_weights(pieces: Iterable[tuple[tuple[str, ...], pd.DataFrame]], device: Device) -> dict[str, float]:
    """How often each chain is to be drawn.

    Args:
        pieces: of each sweep piece the names of its chains, and its usable rows.
        device: that was measured.
    """
    import pandas

    listed = [(chains, rows) for chains, rows in pieces if len(rows)]
    usual = usual_weights()
    if not listed:
        return usual
    table = pandas.concat([rows for _, rows in listed], ignore_index=True)
    spread = kernel_spread(table, device)
    worst = max(spread.values(), default=0.0)
    teaches: dict[str, list[float]] = {}
    for chains, rows in listed:
        if len(set(chains)) == 1:
            share = rows["latency_s"].to_numpy(dtype=np.float64)
            known = np.array([spread.get(k, worst) for k in rows["kernel"].astype(str)])
            teaches.setdefault(chains[0], []).append(float((share * known).sum() / share.sum()))
    gains = {name: float(np.mean(found)) for name, found in teaches.items()}
    middle = float(np.median(list(gains.values()))) if gains else 0.0
    if middle <= 0:
        return usual
    # What was never measured alone counts as what teaches most.
    most = max(gains.values())
    changed = {
        name: weight * float(np.clip(gains.get(name, most) / middle, 1 / MOST_CHANGE, MOST_CHANGE))
        for name, weight in usual.items()
    }
    total = sum(changed.values())
    return {name: weight / total for name, weight in changed.items()}


def kernel_spread(table: pd.DataFrame, device: Device) -> dict[str, float]:
    """By kernel, what the quick model leaves of ln(seconds), over the square root of the rows."""
    columns, _ = numbers({name: table[name].to_numpy() for name in table.columns}, device)
    target = np.log(table["latency_s"].to_numpy(dtype=np.float64))
    kernels = table["kernel"].astype(str).to_numpy(dtype=object)
    result: dict[str, float] = {}
    for kernel in dict.fromkeys(kernels.tolist()):
        rows = np.flatnonzero(kernels == kernel)
        if len(rows) < _FEWEST:
            result[kernel] = 1.0 / float(np.sqrt(len(rows)))
            continue
        features = np.stack([columns[name][rows] for name in _READ], axis=1)
        left = _left_out(features, target[rows])
        result[kernel] = float(np.sqrt(np.mean(left**2)) / np.sqrt(len(rows)))
    return result


def _left_out(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Errors of a ridge regression of each row by the others (leave one out, from the hat matrix)."""
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    design = np.concatenate([np.ones((len(scaled), 1)), scaled], axis=1)
    penalty = _RIDGE * np.eye(design.shape[1])
    penalty[0, 0] = 1e-9
    hat = design @ np.linalg.solve(design.T @ design + penalty, design.T)
    error: np.ndarray = (target - hat @ target) / np.maximum(1 - np.diag(hat), 1e-3)
    return error


def shares_by_kind(weights: Mapping[str, float]) -> str:
    """The chains that are drawn most, for a line of progress."""
    top = sorted(weights.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} {share:.0%}" for name, share in top)

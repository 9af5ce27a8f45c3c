"""In which measure two configurations are near each other: the coordinates of the covariance of what was not foreseen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.rank.physics import Costs

_ALIGNED = 64
"""Largest power of two that the threads of the first axis are looked at for: a wavefront of AMD's CDNA."""


def coordinates(columns: Mapping[str, np.ndarray], costs: Costs) -> np.ndarray:
    """The parameters and what follows from them, on binary logarithms, each to mean 0 and variance 1/16 over the rows.

    Beside the parameters: outputs of a thread on either axis and in all, threads, their alignment, shared memory, loads for
    each output, and how full a unit is. Constant ones are left out.

    Args:
        columns: the space's parameters, shape ``[rows]``.
        costs: of the same rows, over arrays.

    Returns:
        shape ``[rows, coordinates]``.
    """
    rows = len(next(iter(columns.values())))
    r = costs.roles

    def log(value: object, offset: float = 0.0) -> np.ndarray:
        array = np.broadcast_to(np.asarray(value, dtype=np.float64), (rows,))
        return np.log2(np.maximum(array + offset, 2.0**-10))

    threads_m = r["threads"] if r["threads_m"] is None else r["threads_m"]
    whole = np.broadcast_to(np.asarray(threads_m), (rows,)).astype(np.int64)
    outputs = r["work_m"] * r["work_n"]
    loads = r["loads_m"] / r["vector_m"] + r["loads_n"] / r["vector_n"]
    # A parameter of few values (0 and 1, say) counts by its value, others by their size.
    derived = [log(v, 1.0) for v in columns.values()]
    derived += [
        log(r["work_m"]), log(r["work_n"]), log(outputs), log(r["threads"]), log(r["shared_bytes"], 1.0),
        log(loads / outputs), log(np.minimum(np.maximum(whole & -whole, 1), _ALIGNED)),
    ]  # fmt: skip
    matrix = np.stack(derived, axis=1)
    spread = matrix.std(axis=0)
    kept = spread > 1e-9
    return (matrix[:, kept] - matrix[:, kept].mean(axis=0)) / spread[kept] / 4

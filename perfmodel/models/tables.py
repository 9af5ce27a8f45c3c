"""Look-ups in fixed tables."""

from __future__ import annotations

import numpy as np


def look_up(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``table[index]`` of a table of shape ``[entries]``.

    Numpy does not tell an index that it is used as one: arrays that write down what is done to them
    (:mod:`perfmodel.recording`) have a method for it.
    """
    own = getattr(index, "looked_up_in", None)
    taken: np.ndarray = table.take(index) if own is None else own(table)
    return taken

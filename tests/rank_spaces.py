"""Problems and a small space that the tests of rankings share."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import perfmodel

GEMM = perfmodel.Gemm(m=1024, n=1024, k=1024, dtype="fp32")
HALF = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp16")


def sgemm(**changes: Any) -> dict[str, np.ndarray]:
    """A small CLBlast space: 2 x 2 tiles, threads, widths, switches."""
    values = {
        "MWG": (32, 128), "NWG": (32, 64), "MDIMC": (8, 16), "NDIMC": (8,), "MDIMA": (8, 16), "NDIMB": (8,), "VWM": (1, 2),
        "VWN": (1, 2), "SA": (0, 1), "SB": (0, 1),
    }  # fmt: skip
    rows = np.array(list(itertools.product(*{**values, **changes}.values())))
    return {name: rows[:, place] for place, name in enumerate(values)}

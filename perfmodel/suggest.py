"""Which shapes to measure first: those after which least is unknown.

Each next shape is the one whose measurement would lower the mean variance of the predictor's errors over all candidates the
most, under the covariance of those errors on devices that were not measured. At first that spreads over sizes and regimes
(space filling, in the measure in which errors differ), then it goes where the interval is still widest. The physics constants
that a calibration may move are part of the covariance, so that the first shapes tell those apart as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfmodel.calibrate import DEFAULT_CACHE, SPREAD, Measured, physics
from perfmodel.errors import InputError, nearest
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import constants_for
from perfmodel.models.kernel import Kernel, Points, error_columns
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor, load
from perfmodel.ops import Gemm
from perfmodel.ops.table import Group

if TYPE_CHECKING:
    import pandas as pd

FAMILIES = ("gemm",)
CANDIDATES = 1500
"""Shapes that are weighed against each other."""
_STEP = 0.05
_M = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384)
_NK = (
    128, 256, 512, 768, 1024, 1536, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384, 18432,
    22016, 28672,
)  # fmt: skip
"""Extents of the products of language and vision models; every third m is moved off its multiple of eight."""
_LONGEST_S = 0.2


def suggest(
    device: Device | str,
    count: int,
    *,
    family: str = "gemm",
    dtype: str = "bf16",
    software: str | None = None,
    candidates: pd.DataFrame | None = None,
    predictor: Predictor | str = "default",
    seed: int = 0,
) -> pd.DataFrame:
    """The shapes to measure first, in order.

    Args:
        device: the device, its id or its TOML.
        count: how many.
        family: of :data:`FAMILIES`.
        dtype: the number format.
        software: the stack that will be measured; rows that a correction already holds count as known.
        candidates: a table with columns m, n, k (and batch, software, cache where rows differ in them) to choose from;
            None means a grid over the usual extents.
        predictor: whose errors are to be learned.
        seed: of the draw of :data:`CANDIDATES` candidates where there are more.

    Returns:
        Columns ``op``, ``batch``, ``m``, ``n``, ``k``, ``dtype``, ``device``; ``latency_s`` as predicted, with
        ``low_s`` and ``high_s``; and ``candidate``, the row of ``candidates``.

    Raises:
        InputError: a family without suggestions, a count below 1 or above the number of candidates.
    """
    from perfmodel.datasets.schema import require_pandas

    pandas = require_pandas()
    if family not in FAMILIES:
        raise InputError(f"no shapes are suggested for {family!r} so far: {nearest(family, FAMILIES)}")
    record, loaded = load_device(device) if not isinstance(device, Device) else device, load(predictor)
    table = _grid(seed) if candidates is None else candidates.reset_index(drop=True)
    if not 1 <= count <= len(table):
        raise InputError(f"{count} shapes were asked for; there are {len(table)} candidates")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(table))[: max(CANDIDATES, count)])
    table = table.iloc[drawn]
    op = Gemm(
        batch=_column(table, "batch", 1.0), m=_column(table, "m"), n=_column(table, "n"), k=_column(table, "k"), dtype=dtype
    )
    estimates = loaded.predict(op, record, cache=DEFAULT_CACHE)
    if candidates is None:
        short = np.flatnonzero(estimates.latency_s < _LONGEST_S)
        table, drawn = table.iloc[short], drawn[short]
        op = Group(op, np.arange(len(op.m))).op.replace(**{d: np.asarray(getattr(op, d))[short] for d in ("batch", "m", "n", "k")})
        estimates = loaded.predict(op, record, cache=DEFAULT_CACHE)
    chosen = choose(_points(table, op, record, loaded, software), record, loaded, count)
    picked = table.iloc[chosen.index]
    return pandas.DataFrame(
        {
            "op": family, "batch": _column(picked, "batch", 1.0).astype(np.int64), "m": picked["m"].to_numpy(),
            "n": picked["n"].to_numpy(), "k": picked["k"].to_numpy(), "dtype": dtype, "device": record.id,
            "latency_s": estimates.latency_s[chosen.index], "low_s": estimates.latency_low_s[chosen.index],
            "high_s": estimates.latency_high_s[chosen.index], "candidate": drawn[chosen.index],
        }
    )  # fmt: skip

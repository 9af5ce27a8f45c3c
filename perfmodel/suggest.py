"""Which shapes to measure first: those after which least is unknown.

Each next shape is the one whose measurement would lower the mean variance of the predictor's errors over all candidates the
most, under the covariance of those errors on devices that were not measured. At first that spreads over sizes and regimes
(space filling, in the measure in which errors differ), then it goes where the interval is still widest. The physics constants
that a calibration may move are part of the covariance, so that the first shapes tell those apart as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.calibrate import SPREAD, Measured, fleet_constants, measured_errors, physics, taken
from perfmodel.errors import InputError, nearest
from perfmodel.hardware import Device, load_device
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.kernel import Kernel, Points
from perfmodel.models.predictor import Predictor, load_trained
from perfmodel.models.trace_rows import DEFAULT_CACHE, Part, descriptor_columns
from perfmodel.ops.table import from_columns

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
"""Extents of the products of language and vision models."""
LONGEST_S = 0.1
"""Seconds that a suggested product takes at most, as predicted."""


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
        software: the stack that will be measured; latencies are its own where the predictor knows it.
        candidates: operator traces to choose rows from; their latencies are not looked at. None means products of the usual
            extents that take no longer than :data:`LONGEST_S`.
        predictor: whose errors are to be learned; what a correction of it already holds counts as known.
        seed: of the draw of :data:`CANDIDATES` candidates where there are more.

    Returns:
        The descriptor columns of the schema with ``device``, ``latency_s`` as predicted, ``low_s`` and ``high_s``, and
        ``candidate``: the row of ``candidates``.

    Raises:
        InputError: a family without suggestions, no candidates, or a count beyond them.
    """
    from perfmodel.datasets.schema import require_pandas

    pandas = require_pandas()
    if family not in FAMILIES:
        raise InputError(f"no shapes are suggested for {family!r} so far: {nearest(family, FAMILIES)}")
    record, loaded = load_device(device) if not isinstance(device, Device) else device, load_trained(predictor)
    table = _grid(pandas, dtype, software or "any", seed) if candidates is None else candidates
    table = table[(table["op"] == family) & (table["dtype"].astype(str) == dtype)]
    drawn = np.random.default_rng(seed).permutation(len(table))[: max(CANDIDATES, count)]
    table = table.assign(candidate=np.arange(len(table))).iloc[np.sort(drawn)]
    group = from_columns(descriptor_columns(table, family))[0] if len(table) else None
    if group is None or len(group) != len(table):
        raise InputError(f"the candidates hold no {family} in {dtype}, or several kinds of it")
    known = None if software is None else loaded.known_software(software, record, group.op)
    estimates = loaded.predict(group.op, record, software=known, cache=DEFAULT_CACHE)
    if candidates is None:
        short = np.flatnonzero(estimates.latency_s <= LONGEST_S)
        table = table.iloc[short]
        estimates = loaded.predict(taken(group, short).op, record, software=known, cache=DEFAULT_CACHE)
    if not 1 <= count <= len(table):
        raise InputError(f"{count} shapes were asked for; wanted 1 to {len(table)}, as many as there are candidates")
    unmeasured = table.assign(latency_s=estimates.latency_s)
    chosen = choose(Part(GEMM, family, record.id, dtype, unmeasured), record, loaded, count)
    names = [c for c in ("op", "batch", "m", "n", "k", "dtype") if c in table.columns]
    return table.iloc[chosen][names].assign(
        device=record.id, latency_s=estimates.latency_s[chosen], low_s=estimates.latency_low_s[chosen],
        high_s=estimates.latency_high_s[chosen], candidate=table["candidate"].to_numpy()[chosen],
    )  # fmt: skip


def choose(part: Part, device: Device, predictor: Predictor, count: int) -> np.ndarray:
    """Places of the rows of a part whose measurement lowers the mean variance over all its rows the most, in order.

    Args:
        part: the candidates; their latencies are not looked at.
        device: where they will be measured.
        predictor: whose errors are to be learned.
        count: how many.
    """
    assert part.family is not None
    rows = measured_errors(part, device, predictor)
    kernel, points = predictor.error_kernel(part.family).restricted(tuple(rows.points.columns)), rows.points
    covariance, noise = kernel.covariance(points, points), kernel.noise_variance(points)
    if part.family is GEMM and not device.calibrated and device.kind == "gpu":
        slope = _slopes(rows, device, predictor)
        covariance = covariance + slope @ slope.T
    correction = predictor.corrections.get((part.family.name, device.id, part.part))
    if correction is not None:
        covariance = covariance - _known(kernel, points, correction.points)
    taken_already = np.zeros(len(points), dtype=bool)
    chosen = []
    for _ in range(count):
        gain = (covariance**2).sum(axis=0) / (np.diag(covariance) + noise)
        best = int(np.argmax(np.where(taken_already, -1.0, gain)))
        taken_already[best] = True
        chosen.append(best)
        column = covariance[:, best] / np.sqrt(covariance[best, best] + noise[best])
        covariance = covariance - np.outer(column, column)
    return np.array(chosen)


def _slopes(rows: Measured, device: Device, predictor: Predictor) -> np.ndarray:
    """What a standard deviation of each physics constant changes in ln latency, shape ``[rows, constants]``."""
    fleet = fleet_constants(device, predictor)
    start = physics(rows, device, predictor, fleet)
    slopes = []
    for name, spread in SPREAD.items():
        moved = physics(rows, device, predictor, {**fleet, name: fleet[name] * float(np.exp(_STEP))})
        slopes.append((moved - start) / _STEP * spread)
    return np.stack(slopes, axis=1)


def _known(kernel: Kernel, points: Points, measured: Points) -> np.ndarray:
    """By how much the covariance of some points is smaller once others were measured."""
    between = kernel.covariance(points, measured)
    inverse = np.linalg.inv(kernel.covariance(measured, measured) + np.diag(kernel.noise_variance(measured)))
    known: np.ndarray = between @ inverse @ between.T
    return known


def _grid(pandas: Any, dtype: str, software: str, seed: int) -> pd.DataFrame:
    """Products of the usual extents; half of them with an m off its multiple of eight, as sequence lengths are."""
    m, n, k = (v.reshape(-1) for v in np.meshgrid(_M, _NK, _NK, indexing="ij"))
    rng = np.random.default_rng(seed)
    m = np.where((m >= 32) & (rng.random(len(m)) < 0.5), m - rng.integers(1, 32, len(m)), m)
    return pandas.DataFrame({"op": "gemm", "batch": 1, "m": m, "n": n, "k": k, "dtype": dtype, "software": software})

"""GEMM: products of the tile model, with what it chose among their features."""

from __future__ import annotations

import numpy as np

from perfmodel.features.vector import QUANTISED_TILES, gemm_columns
from perfmodel.hardware.device import Device
from perfmodel.models import gemm
from perfmodel.models.bounds import Bounds
from perfmodel.models.families.base import BOOSTER, Columns, Family, any_of_its_family, by_dtype
from perfmodel.models.machine import Machine
from perfmodel.ops import Operator

_SLOWDOWNS = [f"tile_{m}x{n}_slowdown" for m, n in QUANTISED_TILES]
_TILE_INDEX = [int(np.flatnonzero(np.all(np.array(tile) == gemm.TILES, axis=1))[0]) for tile in QUANTISED_TILES]


def residual_columns(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/gemm.toml`` for rows of one dtype on one device, and log2 of the batch.

    Args:
        op: descriptor with array dimensions of shape ``[rows]``.
        bounds: what the analytical model says of them.
        machine: the device for their dtype.
        device: not looked at: the units are all that the shape features need.
    """
    (product,) = op.products
    columns = gemm_columns(product, machine.units)
    m, n = (np.maximum(np.asanyarray(v, dtype=np.float64), 1.0) for v in (product.m, product.n))
    d, terms, latency = bounds.details, bounds.terms, bounds.latency_s
    batch = np.maximum(np.asanyarray(product.batch, dtype=np.float64), 1.0)
    columns |= {
        "log2_batch": np.broadcast_to(np.log2(batch), latency.shape),
        "log_analytical": np.log(latency),
        # The offset keeps a resident operand's DRAM share (0) finite.
        "share_compute": np.log(terms["compute"] / latency + 1e-3),
        "share_l2": np.log(terms["l2"] / latency + 1e-3),
        "share_dram": np.log(terms["dram"] / latency + 1e-3),
        "share_launch": terms["launch"] / latency,
        "share_split_k": d["split_k_s"] / latency,
        "miss": d["miss"],
        "log_footprint": np.log(d["footprint"]),
        "unsplit_slowdown": np.log(d["unsplit_latency_s"] / latency),
        "log2_tile_m": np.log2(d["tile_m"]),
        "log2_tile_n": np.log2(d["tile_n"]),
        "log2_split_k": np.log2(d["split_k"]),
        "log_tiles_per_unit": np.log(d["tiles_per_unit"]),
        "occupancy": d["occupancy"],
        "m_fill": m / d["tile_m"] / np.ceil(m / d["tile_m"]),
        "n_fill": n / d["tile_n"] / np.ceil(n / d["tile_n"]),
    }
    best = d["tile_latency_s"].min(axis=1)
    slowdowns = np.log(d["tile_latency_s"][:, _TILE_INDEX] / best[:, None])
    columns |= dict(zip(_SLOWDOWNS, slowdowns.T, strict=True))
    shape = latency.shape
    # Mostly they are of that shape already; for one row, looking costs a tenth of asking numpy.
    return {n: v if v.shape == shape else np.broadcast_to(v, shape) for n, v in columns.items()}


GEMM = Family(
    name="gemm", op="gemm", applies=any_of_its_family, columns=residual_columns, part=by_dtype,
    # Of twice the features that other families have; a row far from its target counts as part of one.
    booster={**BOOSTER, "colsample_bynode": 0.2, "min_child_weight": 2},
    # Where batched products were not measured, each doubling of the batch counts as an octave.
    support=("log2_m", "log2_n", "log2_k", "log2_batch"),
)  # fmt: skip

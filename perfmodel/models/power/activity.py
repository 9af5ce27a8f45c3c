"""What an execution does that takes energy: FLOPs, values, bytes by level of memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.dtypes import element_bytes
from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.ops.table import Group

_USUAL_TILE = 128.0
"""Side of the tile of products whose model chose none (fused attention's blocks)."""
_SMALLEST_TILE = 16.0


@dataclass(frozen=True)
class Activity:
    """One execution of each row; arrays of shape ``[rows]``.

    Attributes:
        arithmetic: what runs the products.
        product_flops: executed inside products, all passes counted.
        vector_flops: executed outside of them.
        elements: values that ordinary instructions load or store outside the main loop of a product.
        l2_bytes: bytes that units take from the last-level cache: operands of tiles, and whatever else moves.
        dram_bytes: bytes that cross DRAM.
        occupancy: share of the units that have work.
    """

    arithmetic: str
    product_flops: np.ndarray
    vector_flops: np.ndarray
    elements: np.ndarray
    l2_bytes: np.ndarray
    dram_bytes: np.ndarray
    occupancy: np.ndarray

    @classmethod
    def of(cls, group: Group, device: Device, bounds: Bounds, extras: Extras) -> Activity:
        """The activity of a group's rows, as the analytical model sees them.

        Args:
            group: like descriptors.
            device: the machine.
            bounds: what :func:`perfmodel.models.analytical.analyse` says of the group there.
            extras: traffic and arithmetic of fused epilogues.
        """
        rows, op = len(group), group.op

        def per_row(value: object) -> np.ndarray:
            return np.broadcast_to(np.asarray(value, dtype=np.float64), (rows,))

        product, total, executed = per_row(op.product_flops), per_row(op.flops), per_row(op.flops_executed)
        # Causality drops the same share of products and of the rest.
        share = np.divide(executed, total, out=np.ones(rows), where=total > 0)
        arithmetic = device.arithmetic(op.dtype)
        product_flops = product * share if bounds.product_flops is None else bounds.product_flops
        width = element_bytes(op.dtype)
        read, written = per_row(op.bytes_read), per_row(op.bytes_written)
        has_product = product > 0
        elements = (np.where(has_product, 0.0, read) + written + extras.bytes_read) / width
        moved = read + written + extras.bytes_read
        tile_m, tile_n = (
            np.maximum(np.nan_to_num(per_row(bounds.details.get(name, _USUAL_TILE)), nan=_USUAL_TILE), _SMALLEST_TILE)
            for name in ("tile_m", "tile_n")
        )
        operands = product_flops / 2 * width * (1 / tile_m + 1 / tile_n)
        occupancy = np.nan_to_num(per_row(bounds.details.get("occupancy", 1.0)), nan=1.0)
        return cls(
            arithmetic=arithmetic.name,
            product_flops=product_flops * arithmetic.passes,
            vector_flops=(total - product) * share + extras.flops,
            elements=elements,
            l2_bytes=np.where(has_product, operands + written + extras.bytes_read, moved),
            dram_bytes=bounds.dram_bytes,
            occupancy=np.clip(occupancy, 0.0, 1.0),
        )

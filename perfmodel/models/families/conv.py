"""Convolution: measured in one corner only, which its exact features bound."""

from __future__ import annotations

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds
from perfmodel.models.families.base import BOOSTER, Columns, Family, bound_columns, by_dtype, log2, per_row
from perfmodel.models.machine import Machine
from perfmodel.ops import Conv, Operator

_EXACT = (
    "kernel_h", "kernel_w", "kernel_d", "stride_h", "stride_w", "stride_d", "pad_h", "pad_w", "pad_d",
    "dilation_h", "dilation_w", "dilation_d", "groups",
)  # fmt: skip


def columns(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/conv.toml``, and the settings that must have been measured."""
    assert isinstance(op, Conv)
    (product,) = op.products
    tiles = np.maximum(np.ceil(per_row(product.m, bounds) / 128) * np.ceil(per_row(product.n, bounds) / 128), 1.0)
    waves = tiles / machine.units
    return {
        **bound_columns(bounds),
        "log2_batch": log2(op.batch, bounds),
        "log2_c_in": log2(op.c_in, bounds),
        "log2_c_out": log2(op.c_out, bounds),
        "log2_h": log2(op.h, bounds),
        "log2_w": log2(op.w, bounds),
        "log2_m": log2(product.m, bounds),
        "log2_k": log2(product.k, bounds),
        "log2_flops": log2(op.flops, bounds),
        "log2_bytes": log2(op.bytes, bounds),
        "log_waves": np.log(waves),
        "occupancy": waves / np.ceil(waves),
        "winograd": bounds.ran("winograd").astype(np.float64),
        "fft": bounds.ran("fft").astype(np.float64),
        **{name: per_row(getattr(op, name), bounds) for name in _EXACT},
    }


CONV = Family(
    name="conv", op="conv", applies=lambda op: isinstance(op, Conv) and not op.transposed, columns=columns, part=by_dtype,
    booster={**BOOSTER, "max_leaves": 48, "trees": 120, "subsample": 0.8, "colsample_bynode": 0.8},
    support=("log2_batch", "log2_c_in", "log2_c_out", "log2_h", "log2_w"), exact=_EXACT,
)  # fmt: skip

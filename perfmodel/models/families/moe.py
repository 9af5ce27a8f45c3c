"""Mixtures of experts."""

from __future__ import annotations

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds
from perfmodel.models.families.base import (
    BOOSTER,
    Columns,
    Family,
    any_of_its_family,
    bound_columns,
    by_dtype,
    log2,
    per_row,
)
from perfmodel.models.machine import Machine
from perfmodel.ops import Moe, Operator


def columns(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/moe.toml``."""
    assert isinstance(op, Moe)
    active = np.maximum(per_row(op.active_experts, bounds), 1.0)
    rows = np.maximum(per_row(op.local_rows, bounds), 1.0)
    return {
        **bound_columns(bounds),
        "log2_tokens": log2(op.tokens, bounds),
        "log2_hidden": log2(op.hidden, bounds),
        "log2_intermediate": log2(op.intermediate, bounds),
        "log2_width": log2(per_row(op.intermediate, bounds) / per_row(op.tp, bounds), bounds),
        "log2_experts": log2(op.experts, bounds),
        "log2_local_experts": log2(op.local_experts, bounds),
        "log2_top_k": log2(op.top_k, bounds),
        "log2_tp": log2(op.tp, bounds),
        "log2_ep": log2(op.ep, bounds),
        "log2_active": np.log2(active),
        "log2_rows": np.log2(rows),
        "log2_rows_per_expert": np.log2(rows / active),
        "log2_weight_bytes": log2(op.weight_bytes, bounds),
        "matrices": np.full_like(active, op.matrices),
        "skew": np.full_like(active, skew(op.distribution)),
    }


def skew(distribution: str | None) -> float:
    """The exponent of a power law over experts (``"power_law_1.2"``); 0 is an even load."""
    if distribution is None or not distribution.startswith("power_law_"):
        return 0.0
    try:
        return float(distribution.removeprefix("power_law_"))
    except ValueError:
        return 0.0


MOE = Family(
    name="moe", op="moe", applies=any_of_its_family, columns=columns, part=by_dtype, booster=dict(BOOSTER),
    support=("log2_tokens", "log2_hidden", "log2_width", "log2_local_experts", "log2_top_k"),
)  # fmt: skip

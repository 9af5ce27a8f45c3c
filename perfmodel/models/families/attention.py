"""Attention, one family a phase: their kernels have little in common."""

from __future__ import annotations

import numpy as np

from perfmodel.dtypes import element_bytes
from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds
from perfmodel.models.families.base import BOOSTER, Columns, Family, bound_columns, by_dtype, log2, per_row
from perfmodel.models.machine import Machine
from perfmodel.ops import Attention, Operator

_QUERY_ROWS = 128.0


def columns(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/attention_<phase>.toml``."""
    assert isinstance(op, Attention)
    heads, kv_heads, keys = (np.maximum(per_row(v, bounds), 1.0) for v in (op.heads, op.kv_heads, op.kv_len))
    seen = keys if op.window is None else np.minimum(per_row(op.window, bounds), keys)
    blocks = per_row(op.batch, bounds) * kv_heads * np.ceil(per_row(op.q_len, bounds) * heads / kv_heads / _QUERY_ROWS)
    waves = np.maximum(blocks, 1.0) / machine.units
    return {
        **bound_columns(bounds),
        "log2_batch": log2(op.batch, bounds),
        "log2_q_len": log2(op.q_len, bounds),
        "log2_kv_len": np.log2(keys),
        "log2_heads": np.log2(heads),
        "log2_kv_heads": np.log2(kv_heads),
        "log2_group": np.log2(heads / kv_heads),
        "log2_head_dim": log2(op.head_dim, bounds),
        "log2_value_dim": log2(op.value_dim, bounds),
        "log2_window_share": np.log2(np.maximum(seen, 1.0) / keys),
        "log2_queries": log2(per_row(op.batch, bounds) * per_row(op.q_len, bounds), bounds),
        "log2_scores": log2(op.scores_executed, bounds),
        "log2_kv_bytes": log2(op.kv_bytes, bounds),
        "log2_bytes": log2(op.bytes, bounds),
        "kv_bits": np.full_like(keys, 8 * element_bytes(op.kv_dtype or op.dtype)),
        "log_waves": np.log(waves),
        "occupancy": waves / np.ceil(waves),
    }


def _family(phase: str) -> Family:
    return Family(
        name=phase if phase.startswith("mla") else f"attention_{phase}", op="attention",
        applies=lambda op: isinstance(op, Attention) and op.phase == phase, columns=columns, part=by_dtype,
        booster=dict(BOOSTER),
        support=("log2_batch", "log2_q_len", "log2_kv_len", "log2_heads", "log2_kv_heads", "log2_head_dim"),
    )  # fmt: skip


ATTENTION = tuple(_family(phase) for phase in ("prefill", "decode", "encoder", "mla_prefill", "mla_decode"))

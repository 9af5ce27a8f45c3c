"""Mixtures of experts.

Kernels differ more than formats: a booster reads software, kernel and make apart. Triton kernels run twice as fast where their
stack ships tile sizes tuned for that layer and device (``tuned_experts.toml``), and of those and others some still handle the
(token, expert) pairs of the other ranks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.hardware.device import Device
from perfmodel.models import routing
from perfmodel.models.bounds import Bounds
from perfmodel.models.families.base import (
    BOOSTER,
    Columns,
    Family,
    any_of_its_family,
    bound_columns,
    log2,
    per_row,
)
from perfmodel.models.machine import Machine
from perfmodel.ops import Moe, Operator
from perfmodel.ops.base import ceil_div

TUNED_STACKS = ("sglang", "vllm")
"""Stacks whose Triton kernels come with tuned tile sizes for some layers."""
_WIDEST = 2.0**24
_BYTES = 2.0
_WAVE_HEIGHTS = (16, 64, 128)
_WAVE_WIDTH = 128.0
"""Tiles whose waves are features: a kernel may well choose another than the analytical model."""


def columns(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/moe.toml``."""
    assert isinstance(op, Moe)
    record, details = dtype_record(op.dtype), bounds.details
    hidden, width = per_row(op.hidden, bounds), per_row(ceil_div(op.intermediate, op.tp), bounds)
    rows = np.maximum(details["expert_rows"], 1.0)
    active = np.maximum(details["active_experts"], 1.0)
    local = np.maximum(per_row(op.local_experts, bounds), 1.0)
    blocks = details["expert_blocks"]
    latency = np.maximum(bounds.latency_s, np.finfo(np.float64).tiny)
    pairs = np.maximum(per_row(op.tokens, bounds) * per_row(op.top_k, bounds), 1.0)
    all_pairs_s = pairs * _BYTES * (2 * hidden + op.matrices * width) / machine.dram_bytes_per_s
    result = {
        **bound_columns(bounds),
        # One booster serves all formats of a device: kernels differ less between them than shapes do.
        "weight_bits": np.full_like(rows, record.weight_bits),
        "activation_bits": np.full_like(rows, record.activation_bits),
        "log2_tokens": log2(op.tokens, bounds),
        "log2_hidden": log2(op.hidden, bounds),
        "log2_width": log2(width, bounds),
        "log2_experts": log2(op.experts, bounds),
        "log2_local_experts": np.log2(local),
        "log2_top_k": log2(op.top_k, bounds),
        "log2_tp": log2(op.tp, bounds),
        "log2_ep": log2(op.ep, bounds),
        "matrices": np.full_like(rows, op.matrices),
        "exponent": np.full_like(rows, routing.exponent(op.distribution) or 0.0),
        "log2_active": np.log2(active),
        "active_share": active / local,
        "log2_rows": np.log2(rows),
        "log2_pairs": np.log2(pairs),
        "log2_tokens_per_local_expert": np.log2(np.maximum(per_row(op.tokens, bounds), 1.0) / local),
        "share_all_pairs": np.log(all_pairs_s / latency + 1e-3),
        **{f"tuned_{stack}": tuned(stack, device.id, op.dtype, local, width) for stack in TUNED_STACKS},
        "log2_rows_per_expert": np.log2(rows / active),
        "log2_imbalance": np.log2(np.maximum(details["busiest_expert"] * active / rows, 1.0)),
        "log2_weights": np.log2(np.maximum(active * op.matrices * hidden * width, 1.0)),
        "log2_macs": np.log2(np.maximum(rows * op.matrices * hidden * width, 1.0)),
        "log_footprint": np.log(details["footprint"]),
        "share_around": np.log(details["around_s"] / latency + 1e-3),
        "share_up": details["up_latency_s"] / latency,
        "occupancy_up": details["up_occupancy"],
        "occupancy_down": details["down_occupancy"],
    }
    for index, height in enumerate(routing.BLOCK_ROWS):
        result[f"fill_{height:.0f}"] = rows / np.maximum(blocks[:, index] * height, 1.0)
    for height in _WAVE_HEIGHTS:
        index = int(np.flatnonzero(height == routing.BLOCK_ROWS)[0])
        for name, n in (("up", (op.matrices - 1) * width), ("down", hidden)):
            waves = np.maximum(blocks[:, index] * np.ceil(n / _WAVE_WIDTH), 1.0) / machine.units
            result[f"log2_waves_{name}_{height}"] = np.log2(waves)
            result[f"last_wave_{name}_{height}"] = waves / np.ceil(waves)
    return result


def tuned(stack: str, device: str, dtype: str, local_experts: np.ndarray, width: np.ndarray) -> np.ndarray:
    """1 where a stack ships tuned tile sizes for a layer, 0 elsewhere; shape ``[rows]``.

    Args:
        stack: one of :data:`TUNED_STACKS`.
        device: id.
        dtype: of the layer; other formats than those of the table run in kernels that need no such sizes.
        local_experts: of a rank, shape ``[rows]``.
        width: of one expert's layer on a rank, the same shape.
    """
    shapes = _tuned_shapes()[stack].get(device, {}).get("bf16" if dtype == "fp16" else dtype, np.empty(0))
    return np.isin(_layer_key(local_experts, width), shapes).astype(np.float64)


@cache
def _tuned_shapes() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    text = files("perfmodel.models.families").joinpath("tuned_experts.toml").read_text(encoding="utf-8")

    def keys(names: list[str]) -> np.ndarray:
        experts, width = np.array([name.split("x") for name in names], dtype=np.float64).T
        return _layer_key(experts, width)

    data: Mapping[str, Mapping[str, Mapping[str, list[str]]]] = tomllib.loads(text)
    return {
        stack: {device: {dtype: keys(names) for dtype, names in formats.items()} for device, formats in devices.items()}
        for stack, devices in data.items()
    }


def _layer_key(experts: np.ndarray, width: np.ndarray) -> np.ndarray:
    return experts * _WIDEST + width


MOE = Family(
    name="moe", op="moe", applies=any_of_its_family, columns=columns, part=lambda op: "all",
    # Rows are many and alike (27 token counts, 3 distributions of each layer), shapes few: a part of the rows says it all.
    booster={
        **BOOSTER, "max_leaves": 144, "trees": 220, "eta": 0.1, "subsample": 0.8, "min_child_weight": 2, "rows": 50_000,
    },
    support=("log2_tokens", "log2_hidden", "log2_width", "log2_local_experts", "log2_top_k"),
    kernel_classes=("marlin", "deepgemm", "cutlass", "min_latency", "trtllm", "nongated", "triton|fused_moe"),
    exact=("weight_bits", "activation_bits"), kernels=("weight_bits", "activation_bits", "matrices", "log2_ep"),
)  # fmt: skip

"""Attention, one family a phase: their kernels have little in common.

A held-out set of heads has to be judged by what a kernel sees of it: blocks of queries over units, keys that a unit passes
over, bytes beside the cache, the queries that share a key. Which kernel a library picks follows from the width of a head,
the window, the group and the number formats, which are features for that reason.

Formats are features and no parts: on held-out heads one booster over all formats and kernels of a device beat one for each
pair of formats by 0.4 to 0.9 points of MAPE at like size (prefill on B200, decode on H100), for the tables of a format repeat
the same shapes. A booster is a device's and a phase's, except for formats that are neither 16 bits nor fp8. Within it each
software has trees of its own: TensorRT-LLM decodes groups of more than 32 heads four (median) to twenty times slower than vLLM
on A100, which shared trees took for what vLLM does, too (decode on A100: 9.8 % of MAPE shared, 4.2 % apart).
"""

from __future__ import annotations

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds
from perfmodel.models.families.base import BOOSTER, Columns, Family, bound_columns, per_row
from perfmodel.models.machine import Machine
from perfmodel.ops import Attention, Operator

_QUERY_BLOCKS = (64, 128, 256)
"""Queries of a block in the kernels of libraries: one or two groups of warps, and two tiles a block on Blackwell."""
_PACKED_BLOCKS = (64, 128)
"""The same where the heads that share keys are packed into one block."""
_KEY_BLOCK = 128
_HEAD_GRAIN = 64
_GROUP_GRAIN = 8
"""Heads that share keys are padded to multiples of this, the narrowest side of a matrix instruction."""
_NO_WINDOW = 2.0**20
"""Stands for the window of rows without one: wider than any that is trained on."""


def columns(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of the schemas ``features/attention_*.toml`` and ``features/mla_*.toml``.

    Args:
        op: descriptor with array dimensions of shape ``[rows]``.
        bounds: what the analytical model says of them.
        machine: the device for their dtype.
        device: not looked at.
    """
    assert isinstance(op, Attention)
    batch, heads, kv_heads, queries, keys, width = (
        np.maximum(per_row(v, bounds), 1.0) for v in (op.batch, op.heads, op.kv_heads, op.q_len, op.kv_len, op.head_dim)
    )
    window = per_row(_NO_WINDOW if op.window is None else op.window, bounds)
    group, streams, kv_streams = heads / kv_heads, batch * heads, batch * kv_heads
    scores = np.maximum(per_row(op.scores_executed, bounds), 1.0)
    seen = scores / (streams * queries)
    operand_bits, kv_bits = 8 * element_bytes(op.dtype), 8 * element_bytes(op.kv_dtype or op.dtype)
    kv_bytes = np.maximum(per_row(op.kv_bytes, bounds), 1.0)
    query_bytes = streams * queries * width * operand_bits / 8
    moved = kv_bytes + 2 * query_bytes
    units = machine.units
    result = {
        **bound_columns(bounds),
        "throttle": per_row(bounds.throttle, bounds),
        "miss": bounds.dram_bytes / moved,
        "splits_keys": bounds.ran("fused_split_kv").astype(np.float64),
        "unfused": bounds.ran("unfused").astype(np.float64),
        "operand_bits": np.full_like(keys, operand_bits),
        "kv_bits": np.full_like(keys, kv_bits),
        "log2_batch": np.log2(batch),
        "log2_q_len": np.log2(queries),
        "log2_kv_len": np.log2(keys),
        "log2_heads": np.log2(heads),
        "log2_kv_heads": np.log2(kv_heads),
        "log2_group": np.log2(group),
        "log2_head_dim": np.log2(width),
        "log2_value_dim": np.log2(np.maximum(per_row(op.value_dim, bounds), 1.0)),
        "log2_window": np.log2(np.maximum(window, 1.0)),
        "log2_window_share": np.log2(np.clip(window, 1.0, keys) / keys),
        "log2_seen": np.log2(seen),
        "log2_queries": np.log2(batch * queries),
        "log2_streams": np.log2(streams),
        "log2_kv_streams": np.log2(kv_streams),
        "log2_streams_per_unit": np.log2(streams / units),
        "log2_kv_streams_per_unit": np.log2(kv_streams / units),
        "log2_scores_per_unit": np.log2(scores / units),
        "log2_keys_per_unit": np.log2(kv_streams * seen / units),
        "log2_kv_bytes": np.log2(kv_bytes),
        "log2_query_bytes": np.log2(query_bytes),
        "log2_kv_over_query_bytes": np.log2(kv_bytes / query_bytes),
        "log2_footprint": np.log2(moved / machine.l2_bytes),
        "log2_kv_over_q_len": np.log2(keys / queries),
        "query_fill": _fill(queries, _QUERY_BLOCKS[1]),
        "key_fill": _fill(np.minimum(window, keys), _KEY_BLOCK),
        "head_fill": _fill(width, _HEAD_GRAIN),
        "group_fill": _fill(group, _GROUP_GRAIN),
    }
    for rows in _QUERY_BLOCKS:
        waves = np.ceil(queries / rows) * streams / units
        result |= {f"log_waves_{rows}": np.log(waves), f"occupancy_{rows}": waves / np.ceil(waves)}
    for rows in _PACKED_BLOCKS:
        waves = np.ceil(queries * group / rows) * kv_streams / units
        result |= {f"log_packed_waves_{rows}": np.log(waves), f"packed_occupancy_{rows}": waves / np.ceil(waves)}
    return result


def _fill(size: np.ndarray, block: int) -> np.ndarray:
    """Used share of whole blocks."""
    filled: np.ndarray = size / (np.ceil(size / block) * block)
    return filled


def formats(op: Operator) -> str:
    """One part for 16-bit floats and fp8, of which kernels of one make exist; one of its own for any other dtype."""
    return "float" if dtype_record(op.dtype).arithmetics[0] in ("bf16", "fp16", "fp8") else op.dtype


_LARGE = {
    **BOOSTER, "objective": "reg:squarederror", "max_leaves": 64, "max_bin": 256, "eta": 0.15, "colsample_bytree": 0.8,
    "colsample_bynode": 1.0, "subsample": 0.8, "min_child_weight": 4, "trees": 70,
}  # fmt: skip
"""For tables of tens of thousands of rows; trees are those of each software. Squared errors of ln(measured / analytical) beat
absolute ones on held-out heads by 0.5 to 0.8 points of MAPE: a booster of medians ignores the few rows of a rare kernel."""
_SMALL = {**_LARGE, "max_leaves": 24, "trees": 60}
"""For tables of a few thousand."""
_ROWS = 12_000
"""Rows of a software that its trees see: tables hold up to 76,000."""


def _family(name: str, phase: str, booster: dict[str, object], *more: str) -> Family:
    return Family(
        name=name, op="attention", applies=lambda op: isinstance(op, Attention) and op.phase == phase, columns=columns,
        part=formats, booster={**booster, "rows": _ROWS}, support=("log2_batch", "log2_kv_len", "log2_heads", *more),
        exact=("operand_bits", "kv_bits"), by_software=True,
    )  # fmt: skip


ATTENTION = (
    _family("attention_prefill", "prefill", _LARGE, "log2_q_len", "log2_kv_heads", "log2_head_dim", "log2_kv_over_q_len"),
    _family("attention_decode", "decode", _LARGE, "log2_q_len", "log2_kv_heads", "log2_head_dim"),
    _family("attention_encoder", "encoder", _SMALL, "log2_q_len", "log2_head_dim", "log2_kv_over_q_len"),
    _family("mla_prefill", "mla_prefill", _SMALL, "log2_q_len", "log2_head_dim", "log2_kv_over_q_len"),
    _family("mla_decode", "mla_decode", _SMALL, "log2_q_len", "log2_head_dim"),
)  # fmt: skip
"""Support includes the keys a query in prefill: no table has a prompt on a filled cache, where kernels split the keys."""

"""Operators that stream memory, and collectives."""

from __future__ import annotations

import numpy as np

from perfmodel.dtypes import element_bytes
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
from perfmodel.ops import Collective, Elementwise, Norm, Operator, Quantize, Softmax

_SMALL = {**BOOSTER, "max_leaves": 16, "trees": 120, "subsample": 0.8, "colsample_bynode": 0.8}
"""Tables of these families have hundreds or thousands of rows, not a hundred thousand."""


def elementwise(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/elementwise.toml``."""
    assert isinstance(op, Elementwise)
    elements = np.maximum(per_row(op.elements, bounds), 1.0)
    return {
        **bound_columns(bounds),
        "log2_elements": np.log2(elements),
        "inputs": per_row(op.inputs, bounds),
        "flops_per_element": per_row(op.flops, bounds) / elements,
        "log2_bytes": log2(op.bytes, bounds),
        "log_footprint": np.log(np.maximum(per_row(op.bytes, bounds), 1.0) / machine.l2_bytes),
    }


def by_row(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/norm.toml`` and ``features/softmax.toml``: kernels that reduce each row."""
    assert isinstance(op, (Norm, Softmax))
    rows, cols = (np.maximum(per_row(v, bounds), 1.0) for v in (op.rows, op.cols))
    return {
        **bound_columns(bounds),
        **_matrix_columns(op, rows, cols, bounds, machine),
        "flops_per_element": per_row(op.flops, bounds) / (rows * cols),
    }


def quantize(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/quantize.toml``."""
    assert isinstance(op, Quantize)
    rows, cols = (np.maximum(per_row(v, bounds), 1.0) for v in (op.rows, op.cols))
    return {**bound_columns(bounds), **_matrix_columns(op, rows, cols, bounds, machine)}


def collective(op: Operator, bounds: Bounds, machine: Machine, device: Device) -> Columns:
    """Every feature of ``features/collective.toml``."""
    assert isinstance(op, Collective)
    ranks = np.maximum(per_row(op.ranks, bounds), 1.0)
    phases = 2.0 if op.kind == "all_reduce" else 1.0
    # Peers exchange with one another at once; rings and trees hand on from rank to rank.
    hops = np.ones_like(ranks) if op.kind in ("all_to_all", "p2p") else phases * np.maximum(ranks - 1, 1.0)
    return {
        **bound_columns(bounds),
        "log2_bytes": log2(op.message_bytes, bounds),
        "log2_wire_bytes": np.log2(np.maximum(phases * (ranks - 1) / ranks * per_row(op.message_bytes, bounds), 1.0)),
        "log2_chunk_bytes": np.log2(np.maximum(per_row(op.message_bytes, bounds) / ranks, 1.0)),
        "log2_ranks": np.log2(ranks),
        "log2_hops": np.log2(hops),
        "phases": np.full_like(ranks, phases),
        "reduces": np.full_like(ranks, float(op.kind in ("all_reduce", "reduce_scatter"))),
        "element_bytes": np.full_like(ranks, element_bytes(op.dtype)),
    }


def _matrix_columns(op: Operator, rows: np.ndarray, cols: np.ndarray, bounds: Bounds, machine: Machine) -> Columns:
    waves = rows / machine.units
    return {
        "log2_rows": np.log2(rows),
        "log2_cols": np.log2(cols),
        "log2_elements": np.log2(rows * cols),
        "cols_mod_128": cols % 128,
        "log_waves": np.log(waves),
        "occupancy": waves / np.ceil(waves),
        "log_footprint": np.log(np.maximum(per_row(op.bytes, bounds), 1.0) / machine.l2_bytes),
    }


def _kind(op: Operator) -> str:
    return str(getattr(op, "kind", op.op))


ELEMENTWISE = Family(
    name="elementwise", op="elementwise", applies=any_of_its_family, columns=elementwise, part=by_dtype, booster=_SMALL,
    support=("log2_elements",), exact=("inputs", "flops_per_element"),
)  # fmt: skip
SOFTMAX = Family(
    name="softmax", op="softmax", applies=any_of_its_family, columns=by_row, part=by_dtype, booster=_SMALL,
    support=("log2_rows", "log2_cols"),
)  # fmt: skip
NORM = Family(
    name="norm", op="norm", applies=any_of_its_family, columns=by_row, part=lambda op: f"{op.dtype}_{_kind(op)}",
    booster=_SMALL, support=("log2_rows", "log2_cols"),
)  # fmt: skip
QUANTIZE = Family(
    # Not the kernel that finds a scale alone: its labels are differences of two timings, many of them near 0.
    name="quantize", op="quantize", applies=lambda op: _kind(op) != "scale", columns=quantize,
    part=lambda op: f"{op.dtype}_{_kind(op)}_{op.out_dtype}" if isinstance(op, Quantize) else op.dtype,
    booster=_SMALL, support=("log2_rows", "log2_cols"),
)  # fmt: skip
COLLECTIVE = Family(
    # All kinds together: rings of one kind tell about those of another, and each has three numbers of ranks only.
    name="collective", op="collective", applies=any_of_its_family, columns=collective, part=lambda op: "all",
    booster=_SMALL, support=("log2_bytes",), exact=("log2_ranks", "log2_hops", "phases", "reduces"),
    kernels=("log2_ranks", "log2_hops", "phases", "reduces"),
)  # fmt: skip

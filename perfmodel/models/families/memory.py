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

_SMALL = {**BOOSTER, "max_leaves": 32, "trees": 150}
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
    return {
        **bound_columns(bounds),
        "log2_bytes": log2(op.message_bytes, bounds),
        "log2_ranks": log2(op.ranks, bounds),
        "element_bytes": np.full_like(bounds.latency_s, element_bytes(op.dtype)),
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
    name="quantize", op="quantize", applies=any_of_its_family, columns=quantize,
    part=lambda op: f"{op.dtype}_{_kind(op)}_{op.out_dtype}" if isinstance(op, Quantize) else op.dtype,
    booster=_SMALL, support=("log2_rows", "log2_cols"),
)  # fmt: skip
COLLECTIVE = Family(
    # Bytes cross the links whatever their dtype, but libraries have kernels of their own for each kind.
    name="collective", op="collective", applies=any_of_its_family, columns=collective, part=_kind,
    booster=_SMALL, support=("log2_bytes",), exact=("log2_ranks",),
)  # fmt: skip

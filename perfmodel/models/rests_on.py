"""Which measured figures of a device file (``perfmodel calibrate``) a prediction rests on, and how well they are known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.hardware.measured import MEMORY, UNCERTAINTY, memory_levels
from perfmodel.models.core import rate_name
from perfmodel.ops import Conv, Operator

WORTH_SAYING = 0.05
"""Uncertainty of a run's time from which on a prediction says so: a figure that is known better counts as steady."""
MEASURED_HERE = "anchor.gemm_s"
"""A figure of every file that was measured on a processor."""
_FEW_ROWS = 16
"""Rows below which a product streams its weights, and is modelled by the benchmarks of a single row."""
_NAMED = 3


def figure_of(op: Operator, device: Device) -> str | None:
    """The measured figure that decides most of an operator's time; None where the file has none of that name.

    Args:
        op: with numbers for dimensions.
        device: a processor that was measured.
    """
    runtime = "onnxruntime"
    if isinstance(op, Conv):
        depthwise = op.groups > 1 and op.groups == op.c_in
        kind = "depthwise" if depthwise else "1x1" if op.kernel_h * op.kernel_w == 1 else "3x3"
        name = f"conv.{runtime}.fp32_{kind}_flops"
    elif op.products:
        rows = getattr(op, "m", None)
        if rows is not None and rows < _FEW_ROWS:
            caches = [level.bytes for level in memory_levels(device)[:-1]]
            streamed = not caches or float(op.bytes) > caches[-1]
            name = f"gemv.{runtime}.fp32_m1_flops" if streamed else f"gemm.{runtime}.fp32_m1_flops"
        else:
            name = f"gemm.{runtime}.{op.dtype}_flops"
            name = name if name in device.measured else f"gemm.{runtime}.fp32_flops"
    else:
        name = rate_name(op, device) or f"{MEMORY}.read_bytes_per_s"
    return name if name in device.measured else None


def doubt(device: Device, operators: Iterable[tuple[Operator, float]]) -> str | None:
    """One line where the measured figures that a run's time rests on are not well known; None where they are, or where
    nothing was measured.

    Args:
        device: any.
        operators: of the run, with seconds.
    """
    if MEASURED_HERE not in device.measured:
        return None
    if not any(name.startswith(UNCERTAINTY) for name in device.measured):
        return (
            f"the file of {device.id} does not say how well its figures are known: calibrate again, and long enough"
            " (the default does)"
        )
    shares: dict[str, float] = {}
    for op, seconds in operators:
        name = figure_of(op, device)
        if name is not None and f"{UNCERTAINTY}{name}" in device.measured:
            shares[name] = shares.get(name, 0.0) + seconds
    if not shares:
        return None
    known = {name: device.measured[f"{UNCERTAINTY}{name}"] for name in shares}
    # Errors of figures that were measured together go the same way: they are averaged, not their squares.
    mean = float(np.average(list(known.values()), weights=list(shares.values())))
    if mean <= WORTH_SAYING:
        return None
    most = sorted(shares, key=lambda name: -shares[name] * known[name])[:_NAMED]
    named = ", ".join(f"{name} to {known[name]:.0%}" for name in most)
    return (
        f"the machine moved while {device.id} was calibrated: the figures that this time rests on are known to {mean:.0%}"
        f" ({named}); calibrate again when it is quiet"
    )

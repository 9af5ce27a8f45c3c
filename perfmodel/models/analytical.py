"""Named bounds of an operator on a device: what its time would be if one resource alone limited it, and all together.

Each family has a model that reduces it to matrix products (:mod:`perfmodel.models.gemm`) or to a stream of bytes with some
vector arithmetic. The result says every term, which one won, which algorithm ran, and the physical floor below which no
prediction may fall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.attention import attention
from perfmodel.models.bounds import TERMS, Bounds, Extras, Setting
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.convolution import convolution
from perfmodel.models.experts import experts
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.products import product, recurrent
from perfmodel.models.stream import collective, stream, view
from perfmodel.ops import Attention, Collective, Conv, Gemm, Moe, Norm, Operator, Rnn, Softmax, View
from perfmodel.ops.table import Group

_Model = Callable[[Operator, Setting], Bounds]
_MODELS: dict[type[Operator], _Model] = {
    Gemm: product,
    Conv: convolution,
    Attention: attention,
    Moe: experts,
    Rnn: recurrent,
    View: view,
    Collective: collective,
}
"""Every other family is a stream of bytes."""
_HELD_ON_CHIP = (Attention, Norm, Softmax)
"""Families whose kernels hold blocks or rows in a unit's own memory."""

# A core and its caches in place of an SM: an operator call costs microseconds of a thread, not of a command queue; operand
# rates follow from two 32-byte loads a clock. AVX2 widens 32 weights of 4 bits to fp32 in 15 instructions, three a clock: 3 to
# bytes, and 4 times one to 32 bits, one to fp32, one times the scale. That is 0.16 clocks a weight, for which
# perfmodel.models.quantised counts 3.25. Not fitted yet: wide intervals say so.
CPU_CONSTANTS = Constants(
    launch_cycles=9000.0, wave_cycles=1.0, split_cycles=6000.0, k_extra=16.0, mma_efficiency=0.75, norm_p=3.0,
    dram_efficiency=0.75, l2_bytes_per_clock=32.0, l2_exponent=1e-6, hit_bytes_per_clock=16.0, residency=0.5,
    residency_power=1.5, refetch_residency=0.49, refetch_power=1.5, block_scale=0.32, throttle_flops_per_w=1e15,
    dequantize_cycles_per_element=0.048, simt_efficiency=0.75, stream_launch_cycles=6000.0,
    stream_efficiency=0.75, simt_convolution_efficiency=1.0, attention_launch_cycles=9000.0, attention_block_cycles=500.0,
)  # fmt: skip


# A matrix unit of 128 x 128 or more in place of an SM. The few units share a scratchpad of about 22 times the bandwidth of
# HBM, from which the compiler works on blocks of a thousand rows and columns ("How to Scale Your Model", 2025, part 2).
# Not fitted.
TPU_CONSTANTS = Constants(
    mma_efficiency=0.9, simt_efficiency=0.855, k_extra=128.0, l2_bytes_per_clock=100.0, hit_bytes_per_clock=3000.0,
    block_scale=2.8, split_cycles=1e5, residency=0.5, residency_power=1.5, refetch_residency=0.49, refetch_power=1.5,
    launch_cycles=4350.0, wave_cycles=280.0, norm_p=3.9, throttle_flops_per_w=1e15, dram_efficiency=0.85,
    stream_efficiency=0.85, attention_block_cycles=500.0,
)  # fmt: skip

_ASSUMED_CONSTANTS = {"cpu": CPU_CONSTANTS, "tpu": TPU_CONSTANTS}


def constants_for(device: Device, fitted: Constants | None) -> Constants:
    """The constants that describe this device: the fitted ones for GPUs, assumed ones for CPUs and TPUs, and over them what
    was calibrated on the device itself."""
    constants = _ASSUMED_CONSTANTS.get(device.kind, fitted or FALLBACK)
    return replace(constants, **device.calibrated) if device.calibrated else constants


def analyse(
    group: Group,
    device: Device,
    *,
    constants: Constants | None = None,
    conditions: Conditions | None = None,
    extras: Extras | None = None,
) -> Bounds:
    """The bounds of every row of a group.

    Args:
        group: like descriptors with array dimensions (:func:`perfmodel.ops.table.stack`).
        device: the machine.
        constants: fitted constants; None means those for the device's kind.
        conditions: cache, clock, power limit.
        extras: traffic and arithmetic of fused epilogues.
    """
    conditions = conditions or Conditions()
    op, rows = group.op, len(group)
    machine = Machine.of(device, op.dtype, conditions)
    if extras is None:
        extras = Extras(np.zeros(rows), np.zeros(rows))
    setting = Setting(rows, device, machine, constants_for(device, constants), conditions, extras)
    result = _MODELS.get(type(op), stream)(op, setting)
    arithmetic = device.arithmetic(op.dtype)
    notes = ((arithmetic.note,) if arithmetic.note and op.products else ()) + machine.assumptions
    if isinstance(op, _HELD_ON_CHIP) and setting.on_chip_assumption:
        notes += (setting.on_chip_assumption,)
    return replace(result, notes=notes)


__all__ = ["CPU_CONSTANTS", "TERMS", "TPU_CONSTANTS", "Bounds", "Extras", "analyse", "constants_for"]

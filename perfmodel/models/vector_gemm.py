"""fp32 products on the vector units of a GPU ("SIMT" kernels): the tile model with constants of their own.

Such kernels differ from those of matrix units in four ways. Two blocks share a unit, so that tiles come in pairs. The loop
advances eight elements of k at a time through two small buffers and pays hardly anything to fill. A smaller tile reads more
of its operands from shared memory for each multiply-add, and those loads compete with the arithmetic for issue slots. And
a card that is built for inference cannot feed all of its vector units within its power limit (T4, P4, L4).

The constants were fitted to NeuSight's fp32 products, which time eager calls of PyTorch: what a call costs beyond the
kernel is fitted beside them (``eager_launch_s``) and is no part of the estimate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models import gemm
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.vector_power import vector_power_w

K_STEP = 8.0
"""Elements of k that a step of the loop takes: the ``128x128x8`` and its sisters of cuBLAS."""
K_EXTRA = 8.0
"""Elements of k that filling the loop's second buffer costs."""
BLOCKS_PER_UNIT = 2.0
"""Thread blocks that share a unit: registers leave room for two tiles of 128 x 128 in fp32."""
LAUNCH_CYCLES, WAVE_CYCLES = 3000.0, 500.0
"""Clocks of a launch and of a wave's prologue. NeuSight's labels hold an eager call's cost, ten times as much, beside which
neither can be told."""
RESIDENCY_POWER = 3.0
"""Sharpness with which operands fall out of the last-level cache."""


def runs_on(device: Device, machine: Machine) -> bool:
    """Whether products of this machine's arithmetic run there: fp32 on a GPU whose matrix units do not take it."""
    return device.kind == "gpu" and machine.arithmetic == "fp32" and not machine.on_matrix_units


def throttle(device: Device, conditions: Conditions, c: Constants) -> float:
    """Share of the peak clock that the power limit leaves to dense fp32 arithmetic on the vector units, at most 1.

    What the arithmetic would draw follows from the energy of an operation and the process
    (:func:`perfmodel.models.vector_power.vector_power_w`).
    """
    if conditions.clock_hz is not None or device.tdp_w is None:
        return 1.0
    return float(min(1.0, device.tdp_w / vector_power_w(device)) ** c.simt_throttle_power)


def as_timed(latency_s: np.ndarray, c: Constants) -> np.ndarray:
    """Latencies [s] of such kernels as a benchmark reads them that times eager calls of PyTorch."""
    return latency_s + c.eager_launch_s


def estimate(
    shape: gemm.GemmShape, device: Device, machine: Machine, c: Constants, conditions: Conditions
) -> gemm.GemmEstimate:
    """:func:`perfmodel.models.gemm.estimate` for such products.

    Args:
        shape: the products.
        device: the GPU; :func:`runs_on` holds.
        machine: its rates for fp32.
        c: the physics constants.
        conditions: cache and clock.
    """
    own = replace(
        c,
        launch_cycles=LAUNCH_CYCLES, wave_cycles=WAVE_CYCLES, k_extra=K_EXTRA,
        simt_efficiency=c.simt_gemm_efficiency, norm_p=c.simt_norm_p, dram_efficiency=c.simt_dram_efficiency,
        split_cycles=c.simt_split_cycles, block_scale=c.simt_block_scale,
        residency=c.simt_residency, residency_power=RESIDENCY_POWER,
        refetch_residency=c.simt_residency, refetch_power=RESIDENCY_POWER,
    )  # fmt: skip
    kernels = gemm.Kernels(
        gemm.TILES, gemm.SPLITS, K_STEP,
        blocks_per_unit=BLOCKS_PER_UNIT, tile_cost=c.simt_tile_cost, operand_bytes_per_clock=c.simt_l2_bytes_per_clock,
        sustained=throttle(device, conditions, c),
    )  # fmt: skip
    return gemm.estimate(shape, machine, own, conditions.cache, kernels)

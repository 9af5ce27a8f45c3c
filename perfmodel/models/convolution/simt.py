"""Products on the vector units (fp32 "SIMT" kernels): their tiles, their short pipelines, and what the power limit leaves them.

Grids and names of kernels were read off NeuSight's convolution traces (cuDNN 8.9 on P100, P4, T4 and V100).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfmodel.models import gemm
from perfmodel.models.bounds import Setting
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Machine
from perfmodel.models.vector_power import vector_power_w

CONVOLUTION = gemm.Kernels(np.array([(128.0, 32.0), (128.0, 64.0), (128.0, 128.0)]), np.array([1.0]), k_step=8.0)
"""Tiles of cuDNN's fp32 convolutions (``scudnn_128x64`` and its sisters): 128 outputs by 32 to 128 channels, no split-K, 8
elements of k at a time."""
WINOGRAD = gemm.Kernels(
    np.array([(64.0, 64.0), (128.0, 64.0), (32.0, 128.0), (128.0, 32.0)]), np.array([1.0]), k_step=8.0
)
"""Tiles of the fp32 GEMMs between the transforms of non-fused Winograd (``sgemm_32x128`` and its sisters)."""
K_EXTRA = 16.0
"""Elements of k that filling and draining such a loop costs: two buffers of 8. The constant of GEMMs was fitted to the far
deeper pipelines of matrix units."""


def throttle(s: Setting) -> float:
    """Share of the peak clock that the power limit leaves to dense fp32 arithmetic on the vector units, at most 1."""
    if s.conditions.pinned or s.device.tdp_w is None or s.device.kind == "cpu":
        return 1.0
    return float(min(1.0, s.device.tdp_w / vector_power_w(s.device)) ** s.constants.throttle_power)


def product(s: Setting, efficiency: float | None = None) -> tuple[Machine, Constants]:
    """The machine and the constants for the tile model of such kernels.

    Args:
        s: where it runs.
        efficiency: share of a GEMM kernel's rate that the main loop sustains; None means that of implicit GEMM.
    """
    share = s.constants.simt_convolution_efficiency if efficiency is None else efficiency
    constants = replace(
        s.constants, k_extra=min(s.constants.k_extra, K_EXTRA), simt_efficiency=s.constants.simt_efficiency * share
    )
    return replace(s.machine, flops_per_clock=s.machine.flops_per_clock * throttle(s)), constants

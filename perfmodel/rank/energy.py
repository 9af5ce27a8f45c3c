"""Power and energy of kernel configurations: the physical power model on what a configuration moves and computes.

No public tuning space has power labels: these figures are the physics' own (``analytical``), of the right order at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.errors import InputError
from perfmodel.models.power.activity import Activity
from perfmodel.models.power.capped import CappedRuns, under_cap
from perfmodel.models.power.device import DevicePower
from perfmodel.models.power.energy import Estimated, energy_terms
from perfmodel.rank.physics import Costs, Physics

_STEPS = 4
"""Towards the time without a cap: within 1 % of it. Where a cap leaves hardly any power, the time under it hardly follows the
kernel's own, and the exact inverse would take a measurement that is 5 % off for one that is 90 % off."""


@dataclass(frozen=True)
class Powered:
    """Under the power limit; arrays of shape ``[rows]``.

    Attributes:
        latency_s: as given, longer where the limit slows the clock.
        power_w: mean power.
        energy_j: of one execution.
    """

    latency_s: np.ndarray
    power_w: np.ndarray
    energy_j: np.ndarray


def powered(
    physics: Physics, costs: Costs, latency_s: np.ndarray, power_limit_w: float | None = None
) -> Powered | None:
    """Power and energy of configurations that take so long; None where the device's TDP or idle power is unknown.

    A tile that reaches beyond the problem computes all of it; operands that go through shared memory or the L1 cache count as
    values loaded, each once a trip through registers.

    Args:
        physics: of the space, problem and device.
        costs: of the rows.
        latency_s: seconds of one execution, shape ``[rows]``.
        power_limit_w: a cap below the device's own limit.

    Raises:
        InputError: the limit is not above 0.
    """
    if power_limit_w is not None and not power_limit_w > 0:
        raise InputError(f"the power limit is {power_limit_w!r}; wanted watts above 0")
    d = DevicePower.of(physics.device)
    if d.idle_w is None or d.tdp_w is None:
        return None
    rows, r = len(latency_s), costs.roles

    def per_row(value: object) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (rows,))

    flops = per_row(physics.fixed["op.flops"])
    multiply_adds = flops / 2
    loads = multiply_adds * per_row((r["loads_m"] + r["loads_n"]) / np.maximum(r["work_m"] * r["work_n"], 1.0))
    on_matrix = per_row(r["matrix_units"]) > 0
    activity = Activity(
        arithmetic=physics.machine.arithmetic,
        product_flops=flops,
        vector_flops=np.zeros(rows),
        # What threads load beside a well-tiled kernel's 16 x 8 outputs, whose loads the energy of a FLOP includes.
        elements=np.where(on_matrix, 0.0, np.maximum(loads - multiply_adds * (1 / 16 + 1 / 8), 0.0) / 8),
        l2_bytes=per_row(costs.l2_bytes),
        dram_bytes=per_row(costs.dram_bytes),
        occupancy=np.clip(per_row(costs.tail), 0.0, 1.0),
    )
    free = Estimated.of(d, energy_terms(d, activity, latency_s), latency_s, 1.0, d.tdp_w)
    power, latency = np.asarray(free.power_w), latency_s
    if power_limit_w is not None and power_limit_w < d.tdp_w:
        runs = CappedRuns(
            power, latency_s, np.full(rows, free.idle_w), np.full(rows, d.tdp_w), np.full(rows, float(power_limit_w))
        )
        power, latency = under_cap(runs)
    return Powered(latency, power, power * latency)


def without_cap(physics: Physics, costs: Costs, latency_s: np.ndarray, power_limit_w: float) -> np.ndarray:
    """Seconds without a cap of kernels that took so long under it: nearly the inverse of :func:`powered`, shape ``[rows]``.

    Args:
        physics: of the space, problem and device.
        costs: of the rows.
        latency_s: seconds of one execution under the cap, shape ``[rows]``.
        power_limit_w: the cap.
    """
    free = latency_s
    for _ in range(_STEPS):
        under = powered(physics, costs, free, power_limit_w)
        if under is None:  # power that is unknown limits nothing
            return latency_s
        free = latency_s * free / under.latency_s
    return free

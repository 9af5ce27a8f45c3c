"""A first physical model of power: idle, energy per FLOP by arithmetic, energy per byte, clipped to the power limit.

    P = min(limit, idle + (e_flop·FLOPs + e_dram·bytes) / latency)        E = P · latency

It is always marked ``analytical``: the constants come from published figures and are not fitted to labels.
"""

from __future__ import annotations

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.models.machine import Conditions
from perfmodel.ops.table import Group

# Energy per FLOP of dense matrix products at the peak clock, operand delivery on chip included [J]. For a 4-5 nm GPU,
# from the H100's datasheet: (700 W TDP - idle - DRAM) over its sustained dense rate gives about 0.7 pJ per 16-bit FLOP;
# the ratios between formats follow its peaks at equal power (NVIDIA H100 Tensor Core GPU datasheet, 2023), and fp32
# on the vector units those of Horowitz, "Computing's Energy Problem", ISSCC 2014, figure 1.1.9 (fp32 FMA over fp16 FMA,
# operand delivery dominating).
_ENERGY_PER_FLOP_J = {
    "fp64": 12e-12, "fp32": 6e-12, "tf32": 1.4e-12, "fp16": 0.7e-12, "bf16": 0.7e-12, "fp8": 0.38e-12, "int8": 0.38e-12,
    "fp6": 0.38e-12, "fp4": 0.22e-12, "int4": 0.22e-12,
    "int1": 0.055e-12,  # assumed: in proportion to the bits of int4's operands
}  # fmt: skip
_REFERENCE_NM = 4.0
_VECTOR_ENERGY_PER_FLOP_J = 6e-12
# DRAM access with its interface: HBM2 3.9 pJ/bit, GDDR5 14 pJ/bit (O'Connor et al., "Fine-Grained DRAM", MICRO 2017,
# section 2); the way across the chip comes on top of HBM's, and GDDR6 lies somewhat below GDDR5.
_ENERGY_PER_HBM_BYTE_J = 45e-12
_ENERGY_PER_GDDR_BYTE_J = 100e-12
_NARROWEST_HBM_BITS = 1024
"""Memory buses from this width on are HBM's; GDDR's and LPDDR's are narrower."""
_ASSUMED_IDLE_SHARE = 0.2
"""Idle power over TDP where a device file quotes none."""
FACTOR = 1.5
"""The interval of power is a factor of this either way, within idle and limit."""

# Supply voltage over clock, both relative to their peaks, of an A100 PCIe (EnergAIzer artifact, ISPASS 2026,
# config/dvfs/yz8/supply_voltage.json): flat to 0.73 of the top clock, then rising by 29 %.
_FLAT_TO = 0.73
_FLAT_VOLTAGE = 0.694 / 0.894


def relative_voltage(clock_ratio: float) -> float:
    """Supply voltage at a clock, over that at the peak clock."""
    if clock_ratio <= _FLAT_TO:
        return _FLAT_VOLTAGE
    rise: float = ((min(clock_ratio, 1.0) - _FLAT_TO) / (1 - _FLAT_TO)) ** 1.25
    return _FLAT_VOLTAGE + (1 - _FLAT_VOLTAGE) * rise


def idle_power_w(device: Device) -> float | None:
    """Idle power of a device [W]; None where neither it nor the TDP is known."""
    if device.idle_power_w is not None:
        return device.idle_power_w
    return None if device.tdp_w is None else _ASSUMED_IDLE_SHARE * device.tdp_w


def _process(device: Device) -> float:
    # Energy per operation grows about as the feature size: capacitance does, and voltage hardly falls any more. Measured
    # marginal figures of the A100 (7 nm) are 1.5 to 2 times those of 4 nm GPUs.
    return (device.process_nm or _REFERENCE_NM) / _REFERENCE_NM


def vector_power_w(device: Device) -> float:
    """What fp32 products on the ordinary units would draw at the datasheet's peak [W].

    That is more than the power limit of cards that are built for less of it (T4, P4, L4): their clock falls.
    """
    return _ENERGY_PER_FLOP_J["fp32"] * _process(device) * device.vector_flops


def _energy_per_dram_byte_j(device: Device) -> float:
    wide = device.memory_bus_bits is not None and device.memory_bus_bits >= _NARROWEST_HBM_BITS
    # A device that does not quote its bus is taken for one with HBM when its bandwidth is beyond any GDDR card's.
    return _ENERGY_PER_HBM_BYTE_J if wide or device.memory_bandwidth_bytes_per_s > 2e12 else _ENERGY_PER_GDDR_BYTE_J


def limit_w(device: Device, power_limit_w: float | None) -> float | None:
    """The limit in force: the user's, but never above the device's own."""
    limits = [w for w in (device.tdp_w, power_limit_w) if w is not None]
    return min(limits) if limits else None


def dynamic_energy_j(
    device: Device,
    *,
    arithmetic: str,
    product_flops: np.ndarray,
    other_flops: np.ndarray,
    dram_bytes: np.ndarray,
    clock_hz: float | None = None,
) -> np.ndarray:
    """Energy above idle of one execution of each row [J].

    Args:
        device: the machine.
        arithmetic: what runs the products.
        product_flops, other_flops: executed FLOPs inside and outside matrix products, shape ``[rows]``.
        dram_bytes: bytes that cross DRAM.
        clock_hz: a pinned clock; the energy per operation falls with the square of the voltage.
    """
    peak_clock = device.clock_hz(arithmetic)
    clock_ratio = 1.0 if clock_hz is None or not peak_clock else clock_hz / peak_clock
    scale = _process(device) * relative_voltage(clock_ratio) ** 2
    return (
        _ENERGY_PER_FLOP_J[arithmetic] * scale * product_flops
        + _VECTOR_ENERGY_PER_FLOP_J * scale * other_flops
        + _energy_per_dram_byte_j(device) * dram_bytes
    )


def power(
    device: Device, dynamic_j: np.ndarray, latency_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Mean power while each row runs against the device's own limit, with its interval [W].

    Args:
        device: the machine; a device without TDP gives no estimate.
        dynamic_j: energy above idle of one execution, shape ``[rows]``.
        latency_s: seconds of one execution.

    Returns:
        (value, low, high), each of shape ``[rows]``, within idle and limit; None where the TDP is unknown.
    """
    idle = idle_power_w(device)
    if idle is None or device.tdp_w is None:
        return None
    idle = min(idle, device.tdp_w)
    with np.errstate(divide="ignore", invalid="ignore"):
        dynamic = np.where(latency_s > 0, dynamic_j / latency_s, 0.0)
    value = np.clip(idle + dynamic, idle, device.tdp_w)
    return value, np.clip(value / FACTOR, idle, device.tdp_w), np.clip(value * FACTOR, idle, device.tdp_w)


def of_group(
    group: Group, device: Device, bounds: Bounds, latency_s: np.ndarray, extras: Extras, conditions: Conditions
) -> dict[str, np.ndarray]:
    """Power and dynamic energy of a group's rows, by the names of the estimates' columns, and ``dynamic_j``."""
    rows = len(group)
    product = np.broadcast_to(np.asarray(group.op.product_flops, dtype=np.float64), (rows,))
    other = np.broadcast_to(np.asarray(group.op.flops, dtype=np.float64), (rows,)) - product
    executed = np.broadcast_to(np.asarray(group.op.flops_executed, dtype=np.float64), (rows,))
    total = np.broadcast_to(np.asarray(group.op.flops, dtype=np.float64), (rows,))
    # Causality drops the same share of products and of the rest.
    share = np.divide(executed, total, out=np.ones(rows), where=total > 0)
    arithmetic = device.arithmetic(group.op.dtype)
    dynamic_j = dynamic_energy_j(
        device,
        arithmetic=arithmetic.name,
        product_flops=(product * share if bounds.product_flops is None else bounds.product_flops) * arithmetic.passes,
        other_flops=other * share + extras.flops,
        dram_bytes=bounds.dram_bytes,
        clock_hz=conditions.clock_hz,
    )
    estimate = power(device, dynamic_j, latency_s)
    if estimate is None:
        unknown = np.full(rows, np.nan)
        estimate = (unknown, unknown, unknown)
    names = ("power_w", "power_low_w", "power_high_w")
    return dict(zip(names, estimate, strict=True)) | {"dynamic_j": dynamic_j}

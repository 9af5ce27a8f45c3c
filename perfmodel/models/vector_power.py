"""What fp32 products on the ordinary units would draw at the datasheet's peak: how far the latency models throttle them.

The constants of the latency models were fitted with these figures, which therefore stay as they are. Estimates of power and
energy have constants of their own (:mod:`perfmodel.models.power`).
"""

from __future__ import annotations

from perfmodel.hardware.device import Device

# An fp32 multiply-add with its operands' delivery, over an fp16 one: Horowitz, "Computing's Energy Problem", ISSCC 2014,
# figure 1.1.9; for a 4 nm GPU, growing about as the feature size.
_ENERGY_PER_FLOP_J = 6e-12
_REFERENCE_NM = 4.0


def vector_power_w(device: Device) -> float:
    """What fp32 products on the ordinary units would draw at the datasheet's peak [W].

    That is more than the power limit of cards that are built for less of it (T4, P4, L4): their clock falls.
    """
    return _ENERGY_PER_FLOP_J * ((device.process_nm or _REFERENCE_NM) / _REFERENCE_NM) * device.vector_flops

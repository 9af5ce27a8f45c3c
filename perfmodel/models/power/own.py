"""The power constants that a device file has itself: its table ``[measured.power]``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfmodel.errors import DeviceError
from perfmodel.hardware.device import Device

if TYPE_CHECKING:
    from perfmodel.models.power.device import DevicePower

_OWN = "power."
"""Before the names of a device file's own power constants, a table of ``measured``."""
_OF_ARITHMETIC = "_j_per_flop"
_OWN_NUMBERS = (
    "idle_w", "idle_clock_rise", "vector_j_per_flop", "element_j", "l2_j_per_byte", "dram_j_per_byte", "issue_j_per_clock",
    "leakage_w", "ceiling",
)  # fmt: skip


def with_own(regressed: DevicePower, device: Device) -> DevicePower:
    """With the constants that the device file has itself, ``[measured.power]``: ``idle_w``, ``bf16_j_per_flop`` and so on.

    Raises:
        DeviceError: a constant that there is not.
    """
    own = {name.removeprefix(_OWN): value for name, value in device.measured.items() if name.startswith(_OWN)}
    if not own:
        return regressed
    arithmetic = {name.removesuffix(_OF_ARITHMETIC): v for name, v in own.items() if name.endswith(_OF_ARITHMETIC)}
    numbers = {name: v for name, v in own.items() if not name.endswith(_OF_ARITHMETIC)}
    if "vector" in arithmetic:
        numbers[f"vector{_OF_ARITHMETIC}"] = arithmetic.pop("vector")
    strange = sorted([*(set(arithmetic) - set(regressed.arithmetic_j_per_flop)), *(set(numbers) - set(_OWN_NUMBERS))])
    if strange:
        wanted = ", ".join((*_OWN_NUMBERS, *(f"{a}{_OF_ARITHMETIC}" for a in regressed.arithmetic_j_per_flop)))
        raise DeviceError(f"{device.id}: measured.power.{strange[0]} is no power constant; wanted some of {wanted}")
    sources = dict(regressed.sources)
    for name in numbers:
        sources[name] = device.sources.get(f"measured.{_OWN}{name}", "measured")
    for name in arithmetic:
        sources["arithmetic_j_per_flop"] = device.sources.get(f"measured.{_OWN}{name}{_OF_ARITHMETIC}", "measured")
    joint = dict(regressed.arithmetic_j_per_flop) | arithmetic
    changed: Any = numbers
    return replace(regressed, arithmetic_j_per_flop=joint, sources=sources, **changed)

"""Which known device resembles a described one most: its numbers stand in messages beside what was got."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from perfmodel.hardware.device import Device
from perfmodel.hardware.fields import number_of

_FAR = math.log(10)
"""Numbers further apart than this say no more: one of them may be in the wrong unit."""


def nearest_sibling(
    field: str, identity: Mapping[str, object], numbers: Mapping[str, float], known: Iterable[Device]
) -> Device | None:
    """The device whose value of a field helps most.

    Devices of the same kind come first, of those the same family, else the same vendor; among the ones that are left, the
    most similar by the other numbers (mean distance of logarithms).

    Args:
        field: what is asked for (``"tdp_w"``, ``"peak_flops.bf16"``); only devices that have it count.
        identity: ``kind``, ``family`` and ``vendor`` as far as they are given.
        numbers: the other numbers that are given, by field.
        known: the devices to choose from.

    Returns:
        None where no device has the field.
    """
    left = [device for device in known if number_of(device, field) is not None]
    left = _alike(left, "kind", identity)
    same_family = _alike(left, "family", identity)
    left = same_family if len(same_family) < len(left) else _alike(left, "vendor", identity)
    others = {name: value for name, value in numbers.items() if name != field and 0 < value < math.inf}
    return min(left, key=lambda device: (_distance(device, others), device.id), default=None)


def _alike(devices: list[Device], name: str, identity: Mapping[str, object]) -> list[Device]:
    """Those that share an attribute; all of them where none does."""
    return [device for device in devices if getattr(device, name) == identity.get(name)] or devices


def _distance(device: Device, numbers: Mapping[str, float]) -> float:
    distances = [
        min(abs(math.log(value / theirs)), _FAR)
        for name, value in numbers.items()
        if (theirs := number_of(device, name)) is not None
    ]
    return sum(distances) / len(distances) if distances else _FAR

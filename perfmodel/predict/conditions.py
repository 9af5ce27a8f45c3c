"""The conditions of a prediction, as keyword arguments that other functions hand on to :func:`perfmodel.predict`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from perfmodel.errors import InputError
from perfmodel.hardware import Device, load_device
from perfmodel.models.protocol import PredictorProtocol


class PredictionConditions(TypedDict, total=False):
    """Keyword arguments of :func:`perfmodel.predict`; what each means stands there."""

    dims: Mapping[str, int] | None
    dtype: str | None
    dtype_map: Mapping[str, str] | None
    kv_dtype: str | None
    predictor: str | Path | PredictorProtocol
    software: str | None
    fusion: str
    launch: str
    clock_mhz: float | None
    power_limit_w: float | None
    cache: str
    entry: str | None


CONDITIONS = tuple(PredictionConditions.__annotations__)
"""Their names."""


def device_list(devices: Any, what: str) -> list[Any]:
    """Devices as a list: a single one, by id, path or record, is a list of one.

    Args:
        devices: what was given.
        what: who asks for them, for the message.

    Raises:
        InputError: there is none.
    """
    chosen = list(devices) if isinstance(devices, Sequence) and not isinstance(devices, str) else [devices]
    if not chosen:
        raise InputError(f"{what} needs at least one device")
    return chosen


def distinct_devices(devices: Sequence[Any]) -> tuple[Device, ...]:
    """The records of devices, in order, where what is shown of each bears its id.

    Args:
        devices: ids, paths or records.

    Raises:
        InputError: one is given twice; or two have one id, as the file that ``perfmodel calibrate`` writes and the device that
            it began with.
    """
    records = tuple(load_device(device) for device in devices)
    seen: dict[str, tuple[Any, Device]] = {}
    for given, record in zip(devices, records, strict=True):
        if record.id in seen:
            other, first = seen[record.id]
            names = [_named(other), _named(given)]
            if first is record or os.path.realpath(names[0]) == os.path.realpath(names[1]):
                raise InputError(f"{record.id} is given twice: name each device once")
            raise InputError(
                f"two devices ({names[0]}, {names[1]}) have the id {record.id!r}, by which they are told apart here:"
                " change `id` in the file of one of them"
            )
        seen[record.id] = given, record
    return records


def _named(device: Any) -> str:
    return f"a record of {device.id}" if isinstance(device, Device) else str(device)

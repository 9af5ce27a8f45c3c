"""The conditions of a prediction, as keyword arguments that other functions hand on to :func:`perfmodel.predict`."""

from __future__ import annotations

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
        InputError: two of them have one id, as the file that ``perfmodel calibrate`` writes and the device that it began with.
    """
    records = tuple(load_device(device) for device in devices)
    seen: dict[str, Any] = {}
    for given, record in zip(devices, records, strict=True):
        if record.id in seen:
            names = [_named(given), _named(seen[record.id])]
            raise InputError(
                f"two devices ({names[1]}, {names[0]}) have the id {record.id!r}, by which they are told apart here:"
                " change `id` in the file of one of them"
            )
        seen[record.id] = given
    return records


def _named(device: Any) -> str:
    return "a record" if isinstance(device, Device) else str(device)

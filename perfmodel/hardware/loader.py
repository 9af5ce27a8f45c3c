"""Where device records come from: the shipped catalogue, a user's TOML file, or this machine.

One device costs one small file: nothing here reads the whole catalogue unless :func:`catalogue` is called, and
importing this module loads neither ``tomllib`` nor ``importlib.resources`` nor ``pathlib``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from perfmodel.errors import DeviceError, checked_keywords, nearest
from perfmodel.hardware.device import Device

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

LOCAL_CPU = "local-cpu"
LISTED = "`perfmodel devices`"
"""The id of the machine that perfmodel runs on; it has no file."""

MAX_FILE_BYTES = 1_000_000
"""A device file is a page of numbers; anything larger is not one."""

_SUFFIX = ".toml"

# Files of users by (real path, modification time, size): edited files are read again.
_user_files: dict[tuple[str, int, int], Device] = {}


@checked_keywords()
def load_device(id_or_path: str | os.PathLike[str] | Device) -> Device:
    """The record of one device.

    Args:
        id_or_path: an id of :func:`device_ids` (``"h100-sxm"``, ``"local-cpu"``), the path of a device TOML (a string
            with a path separator or ending in ``.toml``, or a path object), or a record, which is returned as it is.

    Returns:
        the record; the same object each time, as long as the file does not change.

    Raises:
        DeviceError: the id is unknown, or the file cannot be read or breaks the schema.
    """
    if isinstance(id_or_path, Device):
        return id_or_path
    if isinstance(id_or_path, str) and not _is_path(id_or_path):
        return _by_id(id_or_path)
    try:
        name = os.fspath(id_or_path)
    except TypeError:
        name = None
    if not isinstance(name, str):
        raise DeviceError(
            f"a device is given by its id or by the path of a device TOML; got a {type(id_or_path).__name__}"
        )
    return _by_path(name)


@checked_keywords()
def device_ids() -> tuple[str, ...]:
    """Every id that :func:`load_device` knows, sorted, ``local-cpu`` among them. Reads no device file."""
    return tuple(sorted((*_files(), LOCAL_CPU)))


def catalogue() -> Mapping[str, Device]:
    """All shipped records by id. ``local-cpu`` is not among them: reading it measures this machine."""
    return {name: _by_id(name) for name in sorted(_files())}


def _is_path(text: str) -> bool:
    return text.endswith(_SUFFIX) or "/" in text or os.sep in text


@cache
def _files() -> dict[str, Traversable]:
    from importlib.resources import files

    folder = files("perfmodel.hardware").joinpath("catalogue")
    return {f.name.removesuffix(_SUFFIX): f for f in folder.iterdir() if f.name.endswith(_SUFFIX)}


def _by_id(name: str) -> Device:
    # The check comes before the cache, so that hostile names do not fill it.
    if name != LOCAL_CPU and name not in _files():
        first, comma, _ = name.partition(",")
        if comma and first in device_ids():
            raise DeviceError(f"wanted one device, got {name[:80]!r}: `perfmodel compare` and `report` take several")
        raise DeviceError(f"unknown device {name[:80]!r}: {_similar_ids(name[:80])}; or give the path of a device TOML")
    return _from_catalogue(name)


def _similar_ids(name: str) -> str:
    """``nearest``, but a shortened id ("a100") first finds the ids that contain it."""
    ids = device_ids()
    containing = [known for known in ids if len(name) > 1 and name.lower() in known]
    if containing:
        return f"did you mean {' or '.join(map(repr, containing))}? ({LISTED} lists all)"
    return nearest(name, ids, listed=LISTED)


@cache
def _from_catalogue(name: str) -> Device:
    if name == LOCAL_CPU:
        from perfmodel.hardware.local_cpu import local_cpu

        return local_cpu()
    from perfmodel.hardware.schema import parse_device

    return parse_device(_files()[name].read_text(encoding="utf-8"), f"{name}{_SUFFIX}")


def _by_path(name: str) -> Device:
    shown = name if name.isprintable() else repr(name)
    from pathlib import Path

    try:
        path = Path(name).expanduser()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DeviceError(f"{shown}: wanted a device TOML; this is not a file")
        if status.st_size > MAX_FILE_BYTES:
            raise DeviceError(f"{shown}: {status.st_size:,} bytes; a device TOML has at most {MAX_FILE_BYTES:,}")
        key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
        if key not in _user_files:
            from perfmodel.hardware.schema import parse_device

            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)  # it may have grown since stat
            if len(data) > MAX_FILE_BYTES:
                raise DeviceError(f"{shown}: a device TOML has at most {MAX_FILE_BYTES:,} bytes")
            # Some editors put a byte-order mark in front; TOML knows none.
            _user_files[key] = parse_device(data.decode("utf-8-sig"), shown, lambda: catalogue().values())
        return _user_files[key]
    except UnicodeDecodeError as error:
        raise DeviceError(f"{shown}: not a device TOML: byte {error.start} is not UTF-8") from None
    except FileNotFoundError:
        raise DeviceError(f"{shown}: no such file; {LISTED} lists the ids that there are") from None
    except DeviceError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        # ValueError: a zero byte in the path; RuntimeError: ~user without such a user, or a loop of links.
        reason = getattr(error, "strerror", None) or error
        raise DeviceError(f"{shown}: cannot be read: {reason}") from None

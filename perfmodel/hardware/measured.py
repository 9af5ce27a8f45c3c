"""Names of what ``perfmodel calibrate`` measures on a processor, as they stand in the ``[measured]`` table of its file.

``cache.<level>.bytes``, ``cache.<level>.read_bytes_per_s``, ``cache.<level>.write_bytes_per_s``
    a level's size as software finds it, and what one core streams from and to it; levels are ``l1``, ``l2``, ...
``memory.read_bytes_per_s``, ``memory.write_bytes_per_s``
    the same of main memory
``kernel.<op>.<kind>_per_s``
    elements per second of a runtime's kernel, operands in cache; op and kind as of the descriptors, ``_residual`` after
    the kind of a normalisation that adds its input to another first
``call.run_s``
    a run of a model beside its kernels
``uncertainty.<name>``
    how well another of the names is known, relative: twice its standard error

Other names are free; these are the ones that predictions use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfmodel.hardware.device import Device

RUN_S = "call.run_s"
MEMORY = "memory"
UNCERTAINTY = "uncertainty."


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """A cache level or main memory, as one core sees it.

    Attributes:
        name: ``l1``, ``l2``, ... or ``memory``.
        bytes: working set that it holds; infinite for memory.
        read_bytes_per_s, write_bytes_per_s: streaming; a write's rate includes fetching the line that it replaces.
    """

    name: str
    bytes: float
    read_bytes_per_s: float
    write_bytes_per_s: float


def memory_levels(device: Device) -> tuple[MemoryLevel, ...]:
    """The measured levels of a device, from the smallest to memory; empty where its file has none."""
    m = device.measured
    if f"{MEMORY}.read_bytes_per_s" not in m:
        return ()
    names = {name.split(".")[1] for name in m if name.startswith("cache.") and name.endswith(".bytes")}
    found = [_level(name, f"cache.{name}", device) for name in names]
    caches = sorted((level for level in found if level is not None), key=lambda level: level.bytes)
    memory = _level(MEMORY, MEMORY, device)
    return (*caches, memory) if memory is not None else ()


def _level(name: str, prefix: str, device: Device) -> MemoryLevel | None:
    """One level; None where one of its numbers is missing, or no size or rate."""
    m = device.measured
    size = math.inf if name == MEMORY else m.get(f"{prefix}.bytes", 0.0)
    read, write = (m.get(f"{prefix}.{kind}_bytes_per_s", 0.0) for kind in ("read", "write"))
    return MemoryLevel(name, size, read, write) if min(size, read, write) > 0 else None


def kernel_rate(device: Device, op: str, kind: str) -> float | None:
    """Elements per second of a kind of operator, operands in cache; None where it was not measured."""
    rate = device.measured.get(f"kernel.{op}.{kind}_per_s")
    return rate if rate is not None and rate > 0 else None

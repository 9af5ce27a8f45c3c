"""What one unit of a device lets run at once: threads, blocks, shared memory, registers (``limits.toml``, with sources)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.hardware.device import Device

_REGISTER_BYTES = 4


@dataclass(frozen=True)
class Limits:
    """Limits of one unit (SM, compute unit, core).

    Attributes:
        warp: threads that run in step.
        threads, blocks: resident at once.
        block_threads: of one block.
        block_shared_bytes: shared memory of one block; the device file's own figure where it is smaller.
        unit_shared_bytes: shared memory of the unit.
        reserved_shared_bytes: what the system takes of it for each block.
        registers: 32-bit registers of the unit.
        thread_registers: of one thread.
        warp_registers: granularity of their allocation to a warp.
        load_bytes_per_clock: read from shared memory.
        cache_bytes_per_clock: read from the L1 cache.
        matrix_reads_shared: 1 where matrix units read operands from shared memory themselves: they need no registers, and a
            stage's buffer is not free before its products are done.
        l1_bytes: L1 cache of the unit, shared memory with it where they are one.
    """

    warp: float
    threads: float
    blocks: float
    block_threads: float
    block_shared_bytes: float
    unit_shared_bytes: float
    reserved_shared_bytes: float
    registers: float
    thread_registers: float
    warp_registers: float
    load_bytes_per_clock: float
    cache_bytes_per_clock: float
    matrix_reads_shared: float
    l1_bytes: float

    @classmethod
    def of(cls, device: Device) -> Limits:
        """The limits of a device: by its compute capability, with the sizes of its own file."""
        table = _table()
        kind = device.kind if device.kind in table["default"] else "gpu"
        values = dict(table["default"][kind])
        capability = device.compute_capability or ""
        known = [prefix for prefix in table["capability"] if capability.startswith(prefix)]
        if known and kind == "gpu":
            values |= table["capability"][max(known, key=len)]
        shared = float(device.shared_bytes_per_unit or values["block_shared_bytes"])
        registers = device.register_bytes_per_unit or _REGISTER_BYTES * values["thread_registers"] * values["threads"]
        values |= {
            "unit_shared_bytes": max(shared, values["block_shared_bytes"]) if kind == "cpu" else shared,
            "block_shared_bytes": values["block_shared_bytes"] if kind == "cpu" else min(values["block_shared_bytes"], shared),
            "registers": registers / _REGISTER_BYTES,
            "l1_bytes": float(device.l1_bytes_per_unit or shared),
        }  # fmt: skip
        return cls(**{f.name: float(values[f.name]) for f in fields(cls)})


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    with (Path(__file__).parent / "limits.toml").open("rb") as file:
        return tomllib.load(file)

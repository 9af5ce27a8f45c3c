"""The lines of the roofline: arithmetic by format, and the bandwidths of memory and of the last-level cache.

The hierarchical form follows Ilic, Pratas and Sousa, "Cache-aware Roofline Model: Upgrading the Loft" (IEEE Computer
Architecture Letters, 2014), and Yang, Kurth and Williams, "Hierarchical Roofline analysis for GPUs" (Concurrency and
Computation, 2020); here all lines stand over one axis, the FLOPs for each byte read or written by the operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from perfmodel.hardware import Device
from perfmodel.models import gemm
from perfmodel.models.analytical import constants_for
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Conditions, Machine


@dataclass(frozen=True)
class Ceiling:
    """One line.

    Attributes:
        kind: ``"compute"`` (``value`` in FLOP/s), ``"dram"`` or ``"l2"`` (bytes/s).
        label: what stands beside it.
        value: the rate.
        source: where it comes from.
    """

    kind: str
    label: str
    value: float
    source: str


def ceilings(
    device: Device, dtypes: Iterable[str], *, constants: Constants | None = None, clock_hz: float | None = None
) -> list[Ceiling]:
    """The ceilings of a device for operators of some formats, bandwidths first.

    Args:
        device: the machine.
        dtypes: of the operators; each arithmetic that runs one of them has a line, and the ordinary units one.
        constants: fitted constants of GPUs; None means the built-in ones.
        clock_hz: a locked clock.
    """
    conditions = Conditions(clock_hz=clock_hz)
    machines = {m.arithmetic: m for m in (Machine.of(device, dtype, conditions) for dtype in sorted(set(dtypes)))}
    plain = Machine.of(device, "fp32", conditions)
    rate = plain.units * gemm.operand_rate(plain, constants_for(device, constants))
    found = [
        Ceiling(
            "dram", "DRAM", plain.dram_bytes_per_s, device.sources.get("memory_bandwidth_bytes_per_s", "device file")
        ),
        Ceiling("l2", "last-level cache", rate, "fitted constant: operands that all units take"),
    ]
    compute = {
        name: Ceiling("compute", name, m.peak_flops, device.sources.get(f"peak_flops.{name}", "device file"))
        for name, m in machines.items()
    }
    if all(c.value != plain.vector_flops for c in compute.values()):
        compute["vector"] = Ceiling("compute", "ordinary units, fp32", plain.vector_flops, "device file")
    return found + sorted(compute.values(), key=lambda c: -c.value)


def peak_of(device: Device, dtype: str, clock_hz: float | None = None) -> float:
    """FLOP/s of the arithmetic that runs a format, at the clock in force."""
    return Machine.of(device, dtype, Conditions(clock_hz=clock_hz)).peak_flops

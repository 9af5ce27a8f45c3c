"""What every analytical model returns, and the physics that all of them share: floor, residency, the choice of the fastest.

A *model* turns rows of like descriptors into :class:`Bounds`. Where a library has several algorithms for an operator,
each is a :class:`Bounds` of its own and :func:`fastest` picks, row by row, the fastest of those that can run there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.hardware.measured import MemoryLevel, memory_levels
from perfmodel.models import gemm
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import Operator

TERMS = ("compute", "l2", "dram", "vector", "launch", "link")
"""Names of the bounds. ``vector`` is arithmetic outside matrix products, ``launch`` everything that is overhead in time
(launch, waves, split-K, quantisation of activations), ``link`` the interconnect."""

_THROTTLED = 0.98
BOUND_POWER = "power"
"""Reported instead of ``compute`` where the power limit holds the clock below its peak."""

EXPONENTIALS_PER_CLOCK = 16.0
"""exp2 results per clock and SM where a device file quotes none: those of NVIDIA's from Volta on (CUDA C++ Programming Guide,
table "Throughput of Native Arithmetic Instructions") and a quarter of the 64 lanes of AMD's compute units."""
POLYNOMIAL_FLOPS = 20.0
"""FLOPs of an exponential without special-function units: ten vector instructions of two FLOPs, six of them a polynomial."""
ASSUMED_SHARED_BYTES = 2**16
"""Shared memory of a GPU's unit where its file quotes none: the least that any of the catalogue has."""


@dataclass(frozen=True)
class Extras:
    """What kernels do beyond their descriptor (fused epilogues); arrays of shape ``[rows]``."""

    bytes_read: np.ndarray
    flops: np.ndarray

    def part(self, index: np.ndarray) -> Extras:
        """Those of the rows ``index``."""
        return Extras(self.bytes_read[index], self.flops[index])


@dataclass(frozen=True)
class Setting:
    """Where and how a group of rows runs.

    Attributes:
        rows: how many rows there are.
        device: the machine as its file describes it.
        machine: its rates for the rows' dtype at the clock in force.
        constants: the physics constants.
        conditions: cache, clock, power limit.
        extras: traffic and arithmetic of fused epilogues.
    """

    rows: int
    device: Device
    machine: Machine
    constants: Constants
    conditions: Conditions
    extras: Extras

    @property
    def cache(self) -> str:
        """State of the last-level cache."""
        return self.conditions.cache

    @property
    def vector_rate(self) -> float:
        """FLOP/s that elementwise arithmetic sustains."""
        return self.machine.vector_flops * self.constants.vector_efficiency

    @property
    def dram_rate(self) -> float:
        """Bytes per second that kernels with reuse sustain from DRAM."""
        return self.machine.dram_bytes_per_s * self.constants.dram_efficiency

    @property
    def hit_rate(self) -> float:
        """Bytes per second that the last-level cache sustains on streaming hits."""
        return gemm.hit_rate(self.machine, self.constants, self.dram_rate)

    @property
    def exponentials_per_s(self) -> float:
        """Exponentials that one unit computes in a second."""
        per_clock = self.device.exponentials_per_clock_per_unit
        if per_clock is None and self.device.kind == "cpu":
            return self.machine.vector_flops / (self.machine.units * POLYNOMIAL_FLOPS)
        if per_clock is not None:
            return per_clock * self.machine.clock_hz
        # Few but wide vector units (a TPU's) give more than an SM does: at least one exponential for 32 FLOP.
        return max(
            EXPONENTIALS_PER_CLOCK * self.machine.clock_hz, self.machine.vector_flops / (32 * self.machine.units)
        )

    @property
    def on_chip_bytes(self) -> float:
        """What one unit holds of a row or a block while it works on it: its shared memory, or its share of the caches.

        CPUs have no shared memory, and a TPU's units share theirs.
        """
        if self.device.shared_bytes_per_unit is not None:
            return self.device.shared_bytes_per_unit
        if self.device.kind == "gpu":
            return ASSUMED_SHARED_BYTES
        return max(ASSUMED_SHARED_BYTES, self.machine.l2_bytes / self.machine.units)

    @property
    def on_chip_assumption(self) -> str | None:
        """What of :attr:`on_chip_bytes` is assumed, one line; None where the device file says it."""
        if self.device.kind != "gpu" or self.device.shared_bytes_per_unit is not None:
            return None
        return f"{self.device.id} quotes no shared memory; assumed {ASSUMED_SHARED_BYTES // 1024} KiB a unit"

    @property
    def levels(self) -> tuple[MemoryLevel, ...]:
        """Measured cache levels and memory; empty where there are none."""
        return memory_levels(self.device)

    @property
    def stream_launch_s(self) -> float:
        """Seconds of an empty streaming kernel."""
        return self.constants.stream_launch_cycles / self.machine.clock_hz

    def per_row(self, value: Any) -> np.ndarray:
        """A number or an array as float64 of shape ``[rows]``."""
        array: np.ndarray = np.asanyarray(value, dtype=np.float64)
        return array if array.shape == (self.rows,) else np.broadcast_to(array, (self.rows,))

    def part(self, index: np.ndarray) -> Setting:
        """The same for the rows ``index`` alone."""
        return replace(self, rows=len(index), extras=self.extras.part(index))


@dataclass(frozen=True)
class Bounds:
    """What the analytical model says of a group of rows; arrays of shape ``[rows]``.

    Attributes:
        latency_s: seconds of one execution.
        terms: seconds by name of :data:`TERMS`; terms that an operator does not have are absent.
        floor_s: no prediction may be below: max(FLOPs executed / peak, bytes that must cross DRAM / bandwidth), of the
            cheapest algorithm that can run.
        dram_bytes: bytes expected to cross DRAM.
        throttle: share of its speed that the power limit leaves to the arithmetic, a number or one of shape ``[rows]``.
        details: tile and wave figures of products, empty for other operators.
        notes: which arithmetic ran instead of the dtype's own, and what was assumed of the device.
        workspace_bytes: memory beyond operands and results that the kernels need while they run; None means none.
        product_flops: FLOPs inside products that the chosen algorithm executes; None means those of the descriptor.
        algorithm: names of the algorithms (object array); None where there is but one.
        chosen: the place of each row's algorithm among ``competed``; None where there is but one.
        competed: names of the algorithms that were compared.
    """

    latency_s: np.ndarray
    terms: dict[str, np.ndarray]
    floor_s: np.ndarray
    dram_bytes: np.ndarray
    throttle: float | np.ndarray = 1.0
    details: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    workspace_bytes: np.ndarray | None = None
    product_flops: np.ndarray | None = None
    algorithm: np.ndarray | None = None
    chosen: np.ndarray | None = None
    competed: tuple[str, ...] = ()

    def ran(self, *prefixes: str) -> np.ndarray:
        """Whether each row's algorithm has a name that begins with one of some, shape ``[rows]``."""
        if self.chosen is None:
            return np.zeros(self.latency_s.shape, dtype=bool)
        return np.isin(self.chosen, [place for place, name in enumerate(self.competed) if name.startswith(prefixes)])

    @property
    def bound(self) -> np.ndarray:
        """Name of the largest term of each row (``power`` for a throttled compute bound)."""
        names = np.array([n for n in TERMS if n in self.terms], dtype=object)
        winner: np.ndarray = names[np.argmax(np.stack([self.terms[n] for n in names]), axis=0)]
        held_down: np.ndarray = (winner == "compute") & (np.asarray(self.throttle) < _THROTTLED)
        return np.where(held_down, BOUND_POWER, winner)


@dataclass(frozen=True)
class Candidate:
    """One algorithm for the rows ``index``, those that it can run; its arrays have the shape ``[len(index)]``.

    Attributes:
        name: as reported.
        index: the rows.
        latency_s, terms, dram_bytes, details, workspace_bytes: as in :class:`Bounds`.
        product_flops: FLOPs executed inside products.
        product_rate: FLOP/s at which no product can run faster: the peak of the units that it uses.
        throttle: as in :class:`Bounds`.
    """

    name: str
    index: np.ndarray
    latency_s: np.ndarray
    terms: dict[str, np.ndarray]
    dram_bytes: np.ndarray
    workspace_bytes: np.ndarray
    product_flops: np.ndarray
    product_rate: float
    details: dict[str, np.ndarray] = field(default_factory=dict)
    throttle: float | np.ndarray = 1.0


def fastest(candidates: Sequence[Candidate], setting: Setting, memory_floor_s: np.ndarray) -> Bounds:
    """The fastest candidate of each row.

    No row may be without a candidate. The floor is that of the candidate which executes the fewest FLOPs: no choice of
    a library's could beat it.
    """
    # Arrays made like the floor are of its kind: exports record what is written into them (perfmodel.recording).
    latency, compute_floor = np.full_like(memory_floor_s, np.inf), np.full_like(memory_floor_s, np.inf)
    chosen = np.zeros_like(memory_floor_s, dtype=np.intp)
    for number, c in enumerate(candidates):
        compute_floor[c.index] = np.minimum(compute_floor[c.index], c.product_flops / c.product_rate)
        so_far = latency[c.index]
        better = c.latency_s < so_far
        latency[c.index] = np.where(better, c.latency_s, so_far)
        chosen[c.index] = np.where(better, number, chosen[c.index])
    assert not setting.rows or latency.max() < np.inf, "a row without an algorithm"
    terms = {name: np.zeros_like(latency) for name in TERMS if any(name in c.terms for c in candidates)}
    details = {name: np.full_like(latency, np.nan) for c in candidates for name in c.details}
    columns = {name: np.zeros_like(latency) for name in ("dram_bytes", "workspace_bytes", "product_flops")}
    throttle = np.ones_like(latency)
    for number, c in enumerate(candidates):
        mine = chosen[c.index] == number

        def write(
            column: np.ndarray, values: np.ndarray | float, index: np.ndarray = c.index, mine: np.ndarray = mine
        ) -> None:
            column[index] = np.where(mine, values, column[index])

        write(throttle, c.throttle)
        for name, column in columns.items():
            write(column, getattr(c, name))
        for name, values in c.terms.items():
            write(terms[name], values)
        for name, values in c.details.items():
            if values.ndim == 1:
                write(details[name], values)
    floor = np.maximum(compute_floor, memory_floor_s)
    names = tuple(c.name for c in candidates)
    return Bounds(
        np.maximum(latency, floor), terms, floor, columns["dram_bytes"], throttle, details,
        workspace_bytes=columns["workspace_bytes"], product_flops=columns["product_flops"],
        algorithm=np.array(names, dtype=object)[chosen], chosen=chosen, competed=names,
    )  # fmt: skip


def executed_product_flops(op: Operator, s: Setting) -> np.ndarray:
    """FLOPs inside products after causality and windows, which drop the same share of products and of the rest."""
    executed, total = s.per_row(op.flops_executed), s.per_row(op.flops)
    share = np.divide(executed, total, out=np.ones(s.rows), where=total > 0)
    product: np.ndarray = s.per_row(op.product_flops) * share
    return product


def memory_floor(op: Operator, s: Setting) -> np.ndarray:
    """Seconds in which the bytes that must cross DRAM can, at the datasheet's bandwidth."""
    moved = s.per_row(op.bytes) + s.extras.bytes_read
    resident = s.cache != "cold"
    held = s.machine.l2_bytes if resident else 0.0
    crossing = np.where(resident & (moved <= s.machine.l2_bytes), 0.0, np.maximum(moved - held, 0.0))
    floor: np.ndarray = crossing / s.machine.dram_bytes_per_s
    return floor


def floor(op: Operator, s: Setting) -> np.ndarray:
    """max(FLOPs executed in products / peak, bytes that must cross DRAM / bandwidth).

    Products run at the matrix peak; the rest may run beside them on other units.
    """
    result: np.ndarray = np.maximum(executed_product_flops(op, s) / s.machine.peak_flops, memory_floor(op, s))
    return result


def miss(footprint: np.ndarray, s: Setting) -> np.ndarray:
    """Share of a footprint that is not resident in the last-level cache."""
    if s.cache == "cold":
        return np.ones_like(footprint)
    return gemm.miss_share(footprint, s.machine, s.constants)


def joined(p: float, *terms: np.ndarray) -> np.ndarray:
    """The p-norm of terms that overlap."""
    total: np.ndarray = sum(t**p for t in terms) ** (1 / p)
    return total

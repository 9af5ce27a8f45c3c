"""What nests of loops cost on one core of a processor, from their extents and the addresses that they touch.

A schedule of a loop compiler (tiles, order, vectors, unrolling) is a handful of nests. Of each, in clocks of a core:

- *compute*: multiply-adds in whole vectors over what the core does in a clock;
- *latency*: the same where too few results are on their way to fill the pipelines;
- *loads*: loads and stores of straight-line code, element by element where neighbours do not lie side by side;
- *spills*: results that fit no vector register;
- *loops*: counting and branching of what is not unrolled;
- *l1*, *llc*: lines that come into the first cache and into the core's share of the last one.

A cache holds everything that the loops inside touch, from the outermost loop on for which it fits; loops further out bring it
in again, but for what they do not move. Rows that lie some power of two apart crowd into few sets of the first cache. The
4-norm joins the terms of a nest; nests follow each other.

References: Wolf and Lam, "A Data Locality Optimizing Algorithm", PLDI 1991 (reuse of nests); Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", ACM TOMS 34, 2008 (blocks of registers and caches); Fog, "The microarchitecture of
Intel, AMD and VIA CPUs" (pipelines of four instructions, two loads and one store a clock).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Machine
from perfmodel.rank.limits import Limits

LINE = 64.0
"""Bytes of a cache line."""
L1_WAYS = 8
"""Lines of one set of a first cache of 32 KB (Zen 2 to 4, Intel's before Ice Lake); larger ones have 12, ARM's 4."""
VECTOR_REGISTERS = 16
"""AVX2's; AVX-512 and NEON have 32, of which compilers keep as many for operands."""
ARITHMETIC_LATENCY = 4.0
"""Clocks of a multiply-add (Zen 2 and later, Skylake and later: 4)."""
ISSUED_PER_CLOCK = 4.0
LOADS_PER_CLOCK = 2.0
L1_FILL_BYTES_PER_CLOCK = 32.0
"""From the second cache into the first (AMD's and Intel's optimization guides: 32 to 64)."""
LOOP_INSTRUCTIONS = 3.0
"""Counter, comparison and branch."""
LOOP_EXIT_CLOCKS = 6.0
"""Of leaving a loop: part of the times the branch is foreseen wrongly (about 15 clocks)."""
GATHER = 2.0
"""Instructions that a lane takes which is loaded by itself and put into its vector."""
UNROLLED_ANYWAY = 32
"""Iterations up to which LLVM unrolls loops without being told (a body of about ten instructions, threshold 300)."""
LOOKS_AHEAD = 200.0
"""Instructions between the oldest that is not done and the newest that is (Zen 3: 256, Skylake: 224)."""
ODD_VECTOR_SPILLS = 6.0
"""How much dearer spilling gets for vectors of, say, 40 elements, which LLVM takes apart (seen on Zen 3 with LLVM 20)."""
PARALLEL_CLOCKS = 400.0
"""Of handing one chunk to a thread."""
TERMS = ("compute", "latency", "loads", "spills", "loops", "l1", "llc")


@dataclass(frozen=True)
class Access:
    """What one load or store of a nest's innermost statement touches.

    Attributes:
        buffer: its name.
        element_bytes: of an element.
        written: whether it is a store.
        shape: of the buffer.
        reach: distance between the first and the last iteration of each loop, in each index; shape ``[dimensions, loops]``.
        stride: elements between neighbouring iterations of each loop, shape ``[loops]``.
    """

    buffer: str
    element_bytes: float
    written: bool
    shape: np.ndarray
    reach: np.ndarray
    stride: np.ndarray

    def elements(self) -> np.ndarray:
        """Elements that the loops from each one inward touch, shape ``[loops + 1]``; the last: one iteration."""
        result: np.ndarray = self._touched().prod(axis=0)
        return result

    def footprints(self) -> np.ndarray:
        """Bytes in whole lines of the same, shape ``[loops + 1]``."""
        touched = self._touched()
        touched[-1] = np.ceil(touched[-1] * self.element_bytes / LINE) * LINE
        result: np.ndarray = touched.prod(axis=0)
        return result

    def pressure(self, sets: int) -> np.ndarray:
        """Bytes of a cache that they take up, shape ``[loops + 1]``: rows some power of two apart crowd into few sets.

        Args:
            sets: of the cache, a power of two.
        """
        touched = self._touched()
        lines = np.ceil(touched[-1] * self.element_bytes / LINE)
        used = lines.copy()
        pitch = self.element_bytes * self.shape[-1]
        for rows, extent in zip(touched[-2::-1], self.shape[-2::-1], strict=True):
            apart = pitch / LINE
            used = used * np.minimum(rows, sets / np.gcd(sets, int(apart)) if apart == int(apart) else sets)
            lines = lines * rows
            pitch *= extent
        used = np.minimum(used, sets)
        result: np.ndarray = lines * LINE * np.where(lines > used, sets / used, 1.0)
        return result

    def _touched(self) -> np.ndarray:
        """The same in each index, shape ``[dimensions, loops + 1]``."""
        inward = np.cumsum(self.reach[:, ::-1], axis=1)[:, ::-1]
        touched = np.concatenate([inward, np.zeros((len(self.shape), 1))], axis=1) + 1
        result: np.ndarray = np.minimum(touched, self.shape[:, None])
        return result


@dataclass(frozen=True)
class Nest:
    """Loops around one statement, the outermost first.

    Attributes:
        extents: iterations, shape ``[loops]``.
        kinds: ``serial``, ``parallel``, ``vectorized`` or ``unrolled``, one a loop.
        accesses: loads and stores of the statement.
        flops: of one iteration.
        unroll_steps: iterations up to which the compiler was told to unroll.
        branches: whether the statement chooses between values (padding).
    """

    extents: np.ndarray
    kinds: tuple[str, ...]
    accesses: tuple[Access, ...]
    flops: float
    unroll_steps: int = 0
    branches: bool = False

    @property
    def iterations(self) -> float:
        """Of the statement."""
        return float(np.prod(self.extents))


@dataclass(frozen=True)
class Core:
    """One core, reduced to what nests need.

    Attributes:
        clock_hz: at which it runs.
        lane_bytes: of its vectors.
        multiply_adds_per_clock: of fp32.
        l1_bytes: first cache.
        share_bytes: its share of the last-level cache.
        dram_bytes_per_clock: of one core.
        cores: that may share a parallel loop.
    """

    clock_hz: float
    lane_bytes: float
    multiply_adds_per_clock: float
    l1_bytes: float
    share_bytes: float
    dram_bytes_per_clock: float
    cores: int

    @classmethod
    def of(cls, device: Device, cores: int = 1) -> Core:
        """A core of a processor's device file, with two pipelines of multiply-adds (Zen, Skylake and later).

        Args:
            device: the processor.
            cores: that the program may use.
        """
        machine, limits = Machine.of(device, "fp32"), Limits.of(device)
        per_clock = machine.vector_flops / (machine.units * machine.clock_hz) / 2
        bandwidth = machine.dram_bytes_per_s * Constants().dram_efficiency / machine.clock_hz
        # One core keeps about a dozen lines on their way, whatever the sockets' channels could bring.
        alone = min(bandwidth, 8.0)
        return cls(
            machine.clock_hz, max(per_clock / 2, 1.0) * 4, per_clock, limits.l1_bytes,
            machine.l2_bytes / machine.units, alone, max(cores, 1),
        )  # fmt: skip


@dataclass(frozen=True)
class NestCosts:
    """What one nest takes.

    Attributes:
        seconds: in all.
        terms_s: seconds of each of :data:`TERMS` alone.
        described: numbers that say what kind of nest it is (:data:`DESCRIPTION`).
    """

    seconds: float
    terms_s: dict[str, float]
    described: dict[str, float]


DESCRIPTION = (
    "lanes", "whole", "odd", "accumulators", "ahead", "straight", "operand_loads", "gathered", "reduction_inside", "hoisted",
    "l1_level", "crowding", "l1_fill", "llc_fill", "chunks", "chunk_bytes", "loops", "innermost", "second", "unroll_steps",
    "touched_straight",
)  # fmt: skip


def nest_costs(nest: Nest, core: Core) -> NestCosts:
    """What a nest takes on a core.

    Args:
        nest: with at least one access.
        core: where.
    """
    extents = nest.extents.astype(np.float64)
    count = len(extents)
    inside = np.concatenate([np.cumprod(extents[::-1])[::-1], [1.0]])  # iterations of the loops from each one inward
    iterations = inside[0]
    chunks = float(np.prod([e for e, k in zip(extents, nest.kinds, strict=True) if k == "parallel"]))
    share = max(1.0, min(chunks, core.cores))
    widest = max(core.lane_bytes / max(a.element_bytes for a in nest.accesses), 1.0)

    told = next((i for i, k in enumerate(nest.kinds) if k == "vectorized" and extents[i] > 1), None)
    straight = _straight_line(nest, extents, told)
    vector = _vector_loop(nest, extents, straight) if told is None else told
    wide = 1.0 if vector is None else extents[vector]
    # Whole vectors and one of each smaller power of two for the rest.
    vectors = float(np.floor(wide / widest) + bin(int(wide % widest)).count("1"))
    if vector is not None and vector < straight:  # the compiler makes vectors of the innermost loop that is left
        straight = vector
    body = inside[straight] / wide * vectors  # statements in a pass of the straight-line code, as vectors
    passes = iterations / inside[straight]

    stores = [a for a in nest.accesses if a.written]
    carried = [a for a in nest.accesses if not a.written and any(a.buffer == s.buffer for s in stores)]
    results = sum(_vectors(a, straight, vector, wide, vectors) for a in stores)
    operands = gathers = 0.0
    for access in nest.accesses:
        if access.written or access in carried:
            continue
        loads = _vectors(access, straight, vector, wide, vectors)
        if vector is not None and abs(access.stride[vector]) > 1:
            gathers += loads * wide / vectors * GATHER
        operands += loads
    # A result stays in its register across the loops around that do not move it.
    hoisted = 1.0
    if carried and results <= VECTOR_REGISTERS:
        for loop in range(straight - 1, -1, -1):
            if any(s.stride[loop] for s in stores):
                break
            hoisted *= extents[loop]
    moved = results * (2.0 if carried else 1.0) / hoisted
    scattered = sum(
        wide for s in stores if vector is not None and abs(s.stride[vector]) > 1
    ) / max(wide, 1.0) * results * wide / vectors  # fmt: skip
    spilled = 2.0 * max(results + 2.0 - VECTOR_REGISTERS, 0.0) if carried else 0.0
    odd = wide / (int(wide) & -int(wide))
    if odd > 1 and wide > widest:
        spilled *= ODD_VECTOR_SPILLS
    # Chains of additions of results further on start while these still run, as far as the core looks ahead.
    chain = hoisted * body / max(results, 1.0)
    ahead = max(LOOKS_AHEAD / (2.0 * chain * max(results, 1.0)), 1.0)

    computing = max(nest.flops / 2, 0.5) if nest.flops else 0.0
    clocks = {
        "compute": passes * body * computing * widest / core.multiply_adds_per_clock,
        "latency": passes * body * computing * ARITHMETIC_LATENCY / (max(results, 1.0) * ahead) if carried else 0.0,
        "loads": passes * max(
            (operands + moved + gathers + scattered) / LOADS_PER_CLOCK,
            (operands + moved + gathers + scattered + body * max(computing, 1.0) + (2 * body if nest.branches else 0))
            / ISSUED_PER_CLOCK,
        ),
        "spills": passes * spilled / hoisted / LOADS_PER_CLOCK,
        "loops": _looping(extents, straight, chunks),
    }  # fmt: skip
    prints = [a.footprints() for a in nest.accesses]
    crowded = [a.pressure(int(core.l1_bytes / LINE / L1_WAYS)) for a in nest.accesses]
    l1_level, l1_bytes = _filled(nest, prints, crowded, extents, core.l1_bytes)
    # Addresses are hashed over the slices of the last-level cache: rows do not crowd there.
    _, llc_bytes = _filled(nest, prints, prints, extents, core.share_bytes)
    clocks["l1"] = l1_bytes / L1_FILL_BYTES_PER_CLOCK
    clocks["llc"] = llc_bytes / core.dram_bytes_per_clock
    terms = {name: value / core.clock_hz / share for name, value in clocks.items()}
    norm = sum(value**4 for name, value in terms.items() if name not in ("loops", "spills")) ** 0.25
    seconds = norm + terms["loops"] + terms["spills"]
    reduced = [extents[i] for i in range(straight, count) if not any(s.stride[i] for s in stores)]
    long = [e for e in extents if e > 1]
    beyond = max(l1_level - 1, 0)  # the first loop for which the cache is too small
    described = {
        "lanes": wide / vectors, "whole": wide, "odd": odd, "accumulators": results, "ahead": ahead, "straight": body,
        "operand_loads": operands / body,
        "gathered": gathers / body, "reduction_inside": float(np.prod(reduced)) if reduced else 1.0, "hoisted": hoisted,
        "l1_level": inside[l1_level], "crowding": _touched(nest, crowded, beyond) / _touched(nest, prints, beyond),
        "l1_fill": l1_bytes / iterations, "llc_fill": llc_bytes / iterations, "chunks": chunks,
        "chunk_bytes": _touched(nest, prints, sum(k == "parallel" for k in nest.kinds)), "loops": float(len(long)),
        "innermost": long[-1] if long else 1.0, "second": long[-2] if len(long) > 1 else 1.0,
        "unroll_steps": 1.0 + nest.unroll_steps, "touched_straight": _touched(nest, prints, straight),
    }  # fmt: skip
    return NestCosts(seconds, terms, described)


def _straight_line(nest: Nest, extents: np.ndarray, vector: int | None) -> int:
    """The outermost loop of those that become straight-line code."""
    limit, size, place = max(nest.unroll_steps, UNROLLED_ANYWAY), 1.0, len(extents)
    for loop in range(len(extents) - 1, -1, -1):
        if nest.kinds[loop] == "parallel":
            break
        if loop != vector:
            size *= extents[loop]
        if size > limit and nest.kinds[loop] != "unrolled":
            break
        place = loop
    return place


def _vector_loop(nest: Nest, extents: np.ndarray, straight: int) -> int | None:
    """The loop that the compiler makes vectors of where the schedule names none: neighbours side by side, or the same."""
    loops = list(range(len(extents) - 1, straight - 1, -1))
    left = [i for i in range(straight - 1, -1, -1) if extents[i] > 1 and nest.kinds[i] == "serial"]
    for loop in loops + left[:1]:
        strides = {abs(float(a.stride[loop])) for a in nest.accesses if not a.written}
        if (
            extents[loop] >= 2
            and strides <= {0.0, 1.0}
            and all(abs(a.stride[loop]) == 1 for a in nest.accesses if a.written)
        ):
            return loop
    return None


def _vectors(access: Access, straight: int, vector: int | None, wide: float, vectors: float) -> float:
    """Vectors (or single elements, broadcast) that one pass of the straight-line code loads or stores of an access."""
    elements = float(access.elements()[straight])
    if vector is None or vector < straight or access.stride[vector] == 0:
        return elements
    return max(elements / wide, 1.0) * vectors


def _looping(extents: np.ndarray, straight: int, chunks: float) -> float:
    """Clocks of counting, branching, and leaving loops."""
    clocks, entered = PARALLEL_CLOCKS * (1.0 if chunks > 1 else 0.0) + 10.0 * chunks, 1.0
    for loop in range(straight):
        if extents[loop] > 1:
            entered *= extents[loop]
            clocks += entered * LOOP_INSTRUCTIONS / ISSUED_PER_CLOCK + entered / extents[loop] * LOOP_EXIT_CLOCKS
    return float(clocks)


def _merged(nest: Nest, prints: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Footprints of each buffer: of several accesses, the largest."""
    merged: dict[str, np.ndarray] = {}
    for access, bytes_ in zip(nest.accesses, prints, strict=True):
        known = merged.get(access.buffer)
        merged[access.buffer] = bytes_ if known is None else np.maximum(known, bytes_)
    return merged


def _touched(nest: Nest, prints: Sequence[np.ndarray], level: int) -> float:
    return float(sum(b[level] for b in _merged(nest, prints).values()))


def _filled(
    nest: Nest, prints: Sequence[np.ndarray], taken: Sequence[np.ndarray], extents: np.ndarray, capacity: float
) -> tuple[int, float]:
    """The outermost loop from which on a cache holds what is touched, and the bytes that come into it in all."""
    merged = _merged(nest, prints)
    total = np.sum(list(_merged(nest, taken).values()), axis=0)
    fits = np.flatnonzero(total <= capacity)
    level = int(fits[0]) if len(fits) else len(extents)
    moves = {name: np.zeros(len(extents), dtype=bool) for name in merged}
    for access in nest.accesses:
        moves[access.buffer] |= access.stride != 0
    bytes_in = 0.0
    for name, bytes_ in merged.items():
        loop = level - 1
        while loop >= 0 and not moves[name][loop]:
            loop -= 1
        # The first loop that moves it brings in what is new; those further out all of it again.
        bytes_in += float(bytes_[max(loop, 0)] * np.prod(extents[: max(loop, 0)]))
    return level, bytes_in


@dataclass(frozen=True)
class Program:
    """Nests that follow each other, as a schedule makes them.

    Attributes:
        seconds: of all, physics alone.
        features: what a learner sees, shape ``[features]``, on binary logarithms; names in :func:`feature_names`.
        nest_seconds: of each nest, shape ``[nests]``.
        nest_vectors: of each nest, shape ``[nests, values]``, on binary logarithms; names in :data:`NEST_VECTOR`.
        computes: whether a nest does arithmetic, shape ``[nests]``.
    """

    seconds: float
    features: np.ndarray
    nest_seconds: np.ndarray
    nest_vectors: np.ndarray
    computes: np.ndarray


HEAVY = 2
"""Nests that are described one by one: those with the most arithmetic."""
NEST_VECTOR = (*(f"term.{t}" for t in TERMS), *DESCRIPTION)
_SMALL = 2.0**-6


def feature_names() -> tuple[str, ...]:
    """Of a program's features, in order."""
    own = tuple(f"nest{place}.{name}" for place in range(HEAVY) for name in DESCRIPTION)
    return ("seconds", *(f"term.{t}" for t in TERMS), "others", *own)


def program(nests: Sequence[Nest], core: Core) -> Program:
    """What a schedule's nests take together, and what a learner should know of them.

    Args:
        nests: in order of execution.
        core: where they run.

    Raises:
        ValueError: there are none.
    """
    if not nests:
        raise ValueError("a program without loop nests has no cost")
    costs = [nest_costs(n, core) for n in nests]
    each = np.array([c.seconds for c in costs])
    seconds = float(each.sum())
    described = np.log2(np.array([[c.described[name] + _SMALL for name in DESCRIPTION] for c in costs]))
    terms = np.array([[c.terms_s[t] for t in TERMS] for c in costs])
    shares = np.log2(terms / each[:, None] + _SMALL)
    work = np.array([n.flops * n.iterations for n in nests])
    # In order of execution, so that the first product of a block is always the first; a light one has no say.
    heavy = [i for i in sorted(np.argsort(-work, kind="stable")[:HEAVY].tolist()) if work[i] > 0.2 * work.max()]
    others = seconds - each[heavy].sum()
    own = np.zeros((HEAVY, len(DESCRIPTION)))
    own[: len(heavy)] = described[heavy]
    totals = np.log2(np.array([*terms.sum(axis=0), others]) + 1e-3 * seconds)
    features = np.concatenate([[np.log2(seconds)], totals, own.ravel()])
    return Program(seconds, features, each, np.concatenate([shares, described], axis=1), work > 0)

"""What a kernel configuration costs on a device, from its description alone: feasibility, occupancy, and the terms of its time.

A block computes a tile of outputs, step by step through the reduction. In clocks of one unit:

- *compute*: multiply-adds of whole tiles over what the unit does in a clock;
- *issue*: the instructions of all its threads, loads and loop included, over its four schedulers;
- *loads*: what threads read of shared memory or the L1 cache, in trips of its width; a trip serves neighbours that read within
  it, so that strides cost more (bank conflicts and uncoalesced loads alike);
- *latency*: what the resident warps cannot hide of a step;
- *l2*, *dram*: what blocks fetch from the last-level cache and what crosses memory, over the device's rates.

The last wave of blocks counts as whole blocks of the busiest unit. The 4-norm joins the terms, as p-norms do in the analytical
models of :mod:`perfmodel.models`. It runs over arrays or over plain numbers (:class:`~perfmodel.rank.expressions.Arithmetic`).

References: NVIDIA CUDA C++ Programming Guide (occupancy, bank conflicts); Volkov, "Understanding Latency Hiding on GPUs", UC
Berkeley 2016 (latency); Williams et al., "Roofline", CACM 2009.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.dtypes import element_bytes
from perfmodel.hardware.device import Device
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops.base import Operator
from perfmodel.rank.expressions import ARRAYS, LARGEST, Arithmetic
from perfmodel.rank.limits import Limits
from perfmodel.rank.space import Space

SCHEDULERS = 4.0
"""Of a unit of a GPU, each issuing an instruction of a warp a clock (SMs since Maxwell; SIMDs of a compute unit)."""
ARITHMETIC_LATENCY = 4.0
"""Clocks from a multiply-add to one that needs its result (Volta and later; Haswell and later: 4 to 5)."""
LOAD_LATENCY = 30.0
"""Clocks of a load from shared memory or the L1 cache (Jia et al., "Dissecting the NVIDIA Turing T4 GPU", 2019: 19 to 32)."""
FETCH_LATENCY = 1000.0
"""Clocks from asking for the operands of a matrix unit's step to multiplying them, barrier included: twice what one load from
memory takes. Measured on an H100: a further stage in flight shortens the steps of a blocked product by what 1000 to 1100 clocks
in flight would save."""
CPU_LOAD_LATENCY = 5.0
"""The same of a core's L1 cache (Intel's optimization reference manual)."""
OTHER_REGISTERS = 24.0
"""Registers of a thread beside outputs and operands: addresses, counters."""
L2_BYTES_PER_CLOCK = 64.0
"""From the last-level cache to one unit: its port (NVIDIA's A100 whitepaper: 5120 bytes a clock to 108 SMs, 47 of each)."""
SPILL_LOADS = 2.0
"""Loads and stores that an output costs a step that fits no register."""
MATRIX_STEPS = 16.0
"""Steps of the reduction in one instruction of matrix units on 16-bit operands (NVIDIA's PTX ISA: mma.m16n8k16)."""
GROUP_WARPS, GROUP_ROWS = 4.0, 64.0
"""Warps and rows of an instruction whose operands matrix units read from shared memory (NVIDIA's PTX ISA: wgmma.m64nNk16, by
a warpgroup of four). Smaller blocks are multiplied by the older instructions, from registers."""
TERMS = ("compute", "issue", "loads", "latency", "l2", "dram")

REASONS = (
    "feasible",
    "more threads than a block may have",
    "no threads, or no outputs",
    "over shared memory",
    "over registers",
    "a formula of the space divides by 0, or leaves all bounds",
)
"""Why the device refuses a configuration, by code; reasons of the space's own requirements follow."""
_UNDEFINED = len(REASONS) - 1


def undefined_role(space: Space) -> str:
    """What is said where a formula of problem and device alone has no value, so that no configuration has one."""
    return f"the space {space.id}: a role is 0 that others are divided by, or leaves all bounds"


@dataclass(frozen=True)
class Costs:
    """One configuration a row: arrays of shape ``[rows]``, or plain numbers.

    Attributes:
        refused: 0 where no check speaks against the configuration, else the place of its reason in ``REASONS`` and the
            space's. :meth:`Physics.refusal` counts those of which a formula is undefined, too.
        latency_s: seconds, physics alone.
        terms_s: seconds of each of :data:`TERMS` alone.
        blocks_per_unit: resident at once.
        occupancy: threads resident over what a unit may have.
        tail: share of the units' time that the last wave leaves in use.
        registers: of a thread, as wanted.
        roles: values of all roles, defaults filled in.
        l2_bytes, dram_bytes: moved in all.
    """

    refused: Any
    latency_s: Any
    terms_s: dict[str, Any]
    blocks_per_unit: Any
    occupancy: Any
    tail: Any
    registers: Any
    roles: dict[str, Any]
    l2_bytes: Any
    dram_bytes: Any


@dataclass(frozen=True)
class Physics:
    """A space, a problem and a device: what all configurations have in common.

    Attributes:
        space: the description.
        op: the problem.
        device: where it runs.
        limits: what a unit lets run.
        machine: rates of the dtype's arithmetic.
        matrix: whether that arithmetic is of matrix units.
        constants: of the analytical models: bandwidth that is reached, launch.
        fixed: what formulas may read beside the columns.
    """

    space: Space
    op: Operator
    device: Device
    limits: Limits
    machine: Machine
    vector_flops_per_clock: float
    constants: Constants
    fixed: Mapping[str, float]

    @classmethod
    def of(cls, space: Space, op: Operator, device: Device, conditions: Conditions | None = None) -> Physics:
        """The physics of a space's kernels for one problem on one device.

        Raises:
            InputError: the descriptor is of another family, or has open dimensions or arrays.
        """
        space.refuse_other(op)
        limits, machine = Limits.of(device), Machine.of(device, op.dtype, conditions)
        vector = machine.vector_flops / (machine.units * machine.clock_hz)
        fixed = {name: float(value) for name, value in problem_values(op).items()}
        fixed |= {f"device.{name}": float(getattr(limits, name)) for name in Limits.__dataclass_fields__}
        fixed |= {"device.units": float(machine.units), "device.l2_bytes": float(machine.l2_bytes)}
        # Of a CPU's vector, as if its cores began two multiply-adds a clock.
        fixed["device.lanes"] = max(vector / 4, 1.0)
        return cls(space, op, device, limits, machine, vector, Constants(), fixed)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a configuration is refused, by code."""
        return (*REASONS, *(r.reason for r in self.space.requirements))

    def costs(self, columns: Mapping[str, Any], x: Arithmetic = ARRAYS) -> Costs:
        """The costs of configurations.

        Args:
            columns: the space's parameters, all of them: arrays of shape ``[rows]``, or numbers with :data:`NUMBERS`.
            x: the arithmetic that fits the columns.
        """
        if x is not ARRAYS:
            return self._costs(columns, x)
        with np.errstate(all="ignore"):  # of shapes that cannot be, which are refused, and of what no branch takes
            return self._costs(columns, x)

    def _costs(self, columns: Mapping[str, Any], x: Arithmetic) -> Costs:
        values = {**self.fixed, **columns}
        r = self._roles(self.space.role_values(values, x), x)
        refused = self._refused(values, r, x)
        lim, mac = self.limits, self.machine
        eb = self.fixed["op.element_bytes"]
        gpu = self.device.kind != "cpu"
        warps = x.ceil(r["threads"] / lim.warp)
        per_unit, resident = self._residency(r, warps, x)
        blocks_m, blocks_n = x.ceil(r["extent_m"] / r["tile_m"]), x.ceil(r["extent_n"] / r["tile_n"])
        blocks = blocks_m * blocks_n * r["batch"] * r["split_k"]
        units = x.maximum(x.minimum(r["units"], mac.units), 1.0)
        slots = units * per_unit
        whole = x.floor(blocks / slots)
        mine = whole * per_unit + x.minimum(x.ceil((blocks - whole * slots) / units), per_unit)
        steps = x.ceil(r["extent_k"] / r["split_k"] / r["tile_k"]) * r["tile_k"]

        # One step of a warp, in clocks of its scheduler.
        schedulers = SCHEDULERS if gpu else 1.0
        per_clock = x.where(r["matrix_units"] > 0, mac.flops_per_clock, self.vector_flops_per_clock) / 2
        outputs = r["work_m"] * r["work_n"]
        products = outputs / r["lanes"]
        product_clocks = schedulers * lim.warp * r["lanes"] / per_clock
        widest = 16.0 / eb if gpu else r["lanes"]
        vector_m, vector_n = x.minimum(r["vector_m"], widest), x.minimum(r["vector_n"], widest)
        loads = r["loads_m"] / vector_m + r["loads_n"] / vector_n
        spilled = x.maximum(r["registers"] - lim.thread_registers, 0.0) * SPILL_LOADS
        simt = x.where(r["matrix_units"] > 0, 0.0, 1.0)
        others = simt * (loads + spilled + 2.0 / r["unroll"])
        latency = (LOAD_LATENCY if gpu else CPU_LOAD_LATENCY) / (
            r["unroll"] * x.maximum(r["stages"], 1.0)
        ) + ARITHMETIC_LATENCY
        alone = products * product_clocks + others + latency

        compute = mine * r["tile_m"] * r["tile_n"] * steps * (warps * lim.warp / r["threads"]) / per_clock
        compute = compute / x.minimum(1.0, r["lanes"] * (1.0 if gpu else 2.0 / per_clock))
        issue = simt * mine * steps * warps * (products * x.where(gpu, 1.0, product_clocks) + others) / schedulers
        # Matrix units wait for whole steps of the pipeline.
        fetch = FETCH_LATENCY / (r["tile_k"] * x.maximum(r["stages"] - 1.0, 1.0))
        # As many blocks wait at once as a unit holds, or as it gets where there are fewer.
        rounds = x.where(simt > 0, mine / per_unit, mine / x.minimum(per_unit, x.maximum(mine, 1.0)))
        hidden = steps * rounds * x.where(simt > 0, alone, fetch)
        trips = mine * steps * self._trips(r, warps, vector_m, vector_n, spilled, simt, x)

        fetched = (r["fetched_m"] + r["fetched_n"]) * eb
        results = r["extent_m"] * r["extent_n"] * r["batch"] * x.where(r["split_k"] > 1, 8.0 * r["split_k"], eb)
        l2_bytes = blocks * steps * fetched + results
        # Blocks that run together form a near-square patch of the output and share what they fetch.
        patch = x.minimum(blocks, slots)
        group = x.minimum(x.maximum(r["group"], x.sqrt(patch)), patch)
        together = r["fetched_m"] / x.maximum(patch / group, 1.0) + r["fetched_n"] / group
        once = self.fixed["op.bytes_read"]
        again = x.maximum(blocks * steps * together * eb - once, 0.0)
        missing = x.where(once > mac.resident_bytes, again * (1 - mac.resident_bytes / once), 0.0)
        dram_bytes = once + results + missing
        f = mac.clock_hz
        terms = {
            "compute": compute / f,
            "issue": issue / f,
            "loads": trips / f,
            "latency": hidden / f,
            "l2": l2_bytes / (L2_BYTES_PER_CLOCK * units * f),
            "dram": dram_bytes / (mac.dram_bytes_per_s * self.constants.dram_efficiency),
        }
        total: Any = 0.0
        for seconds in terms.values():
            squared = seconds * seconds
            total = total + squared * squared
        total = x.sqrt(x.sqrt(total))
        launches = x.where(r["split_k"] > 1, 2.0, 1.0) if gpu else 1.0
        latency_s = total + launches * self.constants.launch_cycles / f * (1.0 if gpu else 0.1)
        tail = blocks / (x.maximum(mine, 1.0) * units)
        return Costs(
            refused, latency_s, terms, per_unit, resident / lim.threads, tail, r["registers"], r, l2_bytes, dram_bytes
        )  # fmt: skip

    def refusal(self, costs: Costs) -> Any:
        """The code of why each configuration cannot run, 0 where it can: also where a formula divides by 0 or gives what no
        kernel has.

        Args:
            costs: over arrays. Plain numbers stop at such a division by themselves.
        """
        undefined = ~(costs.latency_s < math.inf)
        for name, formula in self.space.roles.items():
            if formula.may_leave_bounds:
                # No number is not below it, either.
                undefined = undefined | ~(np.abs(costs.roles[name]) <= LARGEST)
        return np.where((costs.refused == 0) & undefined, _UNDEFINED, costs.refused)

    def _roles(self, r: dict[str, Any], x: Arithmetic) -> dict[str, Any]:
        """All roles: those of the space, and the defaults of the others."""
        f = self.fixed
        if self.op.op == "conv":
            extents = (
                f["op.out_w"],
                f["op.out_h"],
                f["op.kernel_h"] * f["op.kernel_w"] * f["op.c_in"] / f["op.groups"],
            )
            batch = f["op.batch"] * f["op.c_out"]
        else:
            extents, batch = (f["op.m"], f["op.n"], f["op.k"]), f["op.batch"]
        given = r.get
        r = {"extent_m": extents[0], "extent_n": extents[1], "extent_k": extents[2], "batch": batch, **r}
        r.setdefault("tile_k", r["extent_k"])
        for axis in "mn":
            r.setdefault(f"threads_{axis}", None)
        if "threads" not in r:
            r["threads"] = (r["threads_m"] or 1.0) * (r["threads_n"] or 1.0) if _plain(r) else _product(r)
        matrix = given("matrix_units", 0.0)
        for axis in "mn":
            threads = r[f"threads_{axis}"]
            default = r[f"tile_{axis}"] / (x.sqrt(r["threads"]) if threads is None else x.maximum(threads, 1.0))
            r.setdefault(f"work_{axis}", default)
            r.setdefault(f"vector_{axis}", 1.0)
            r.setdefault(f"stride_{axis}", r[f"vector_{axis}"])
            r.setdefault(f"loads_{axis}", r[f"work_{axis}"])
            r.setdefault(f"shared_{axis}", 0.0)
            r.setdefault(f"fetched_{axis}", r[f"tile_{axis}"])
        for name in ("shared_bytes", "cached_bytes", "outer_bytes"):
            r.setdefault(name, 0.0)
        for name in ("split_k", "stages", "unroll", "group", "lanes"):
            r.setdefault(name, 1.0)
        r["matrix_units"] = matrix
        r.setdefault("units", self.machine.units)
        operands = x.where(matrix > 0, self._fragments(r, x), r["work_m"] + r["work_n"])
        registers = r["work_m"] * r["work_n"] + operands + OTHER_REGISTERS
        # A space says how many vectors of a CPU it holds; where it does not, they are taken to fit.
        r.setdefault("registers", 0.0 * registers if self.device.kind == "cpu" else registers)
        return r

    def _fragments(self, r: Mapping[str, Any], x: Arithmetic) -> Any:
        """Registers of a thread for the operands of matrix units: 16 steps of its warp's part of the tile, twice."""
        warps = x.ceil(r["threads"] / self.limits.warp)
        side = (r["tile_m"] + r["tile_n"]) / x.sqrt(warps)
        held = 2 * MATRIX_STEPS * side * self.fixed["op.element_bytes"] / 4 / self.limits.warp
        return x.where(self._reads_shared(r, warps, x), 0.0, held) if self.limits.matrix_reads_shared else held

    def _reads_shared(self, r: Mapping[str, Any], warps: Any, x: Arithmetic) -> Any:
        """Whether the matrix units read operands from shared memory: they do for the rows of whole groups of warps alone."""
        return (self.limits.matrix_reads_shared > 0) & (r["tile_m"] >= GROUP_ROWS) & (warps >= GROUP_WARPS)

    def _refused(self, values: Mapping[str, Any], r: Mapping[str, Any], x: Arithmetic) -> Any:
        """The code of the first reason against each configuration, 0 where there is none; sane shapes come first."""
        lim = self.limits
        least = x.minimum(r["registers"], lim.thread_registers)
        checks = [
            (r["threads"] > lim.block_threads, 1),
            ((r["threads"] < 1) | (r["tile_m"] < 1) | (r["tile_n"] < 1) | (r["tile_k"] < 1) | (r["split_k"] < 1), 2),
            (r["shared_bytes"] > lim.block_shared_bytes, 3),
            (least * x.ceil(r["threads"] / lim.warp) * lim.warp > lim.registers, 4),
        ]
        for place, requirement in enumerate(self.space.requirements):
            checks.append((requirement.holds(values, x) == 0, len(REASONS) + place))
        refused: Any = 0
        for failed, code in reversed(checks):
            if failed if isinstance(failed, bool) else failed.any():
                refused = x.where(failed, code, refused)
        return refused

    def _residency(self, r: Mapping[str, Any], warps: Any, x: Arithmetic) -> tuple[Any, Any]:
        """Blocks that a unit holds at once, at least 1, and their threads."""
        lim = self.limits
        if self.device.kind == "cpu":
            return 1.0, 1.0
        wanted = x.minimum(r["registers"], lim.thread_registers)
        of_warp = x.ceil(wanted * lim.warp / lim.warp_registers) * lim.warp_registers
        shared = x.maximum(r["shared_bytes"] + lim.reserved_shared_bytes, 1.0)
        count = x.minimum(lim.registers / x.maximum(of_warp * warps, 1.0), lim.unit_shared_bytes / shared)
        count = x.minimum(x.minimum(count, lim.threads / x.maximum(warps * lim.warp, 1.0)), lim.blocks)
        count = x.maximum(x.floor(count), 1.0)
        return count, count * warps * lim.warp

    def _trips(
        self, r: Mapping[str, Any], warps: Any, vector_m: Any, vector_n: Any, spilled: Any, simt: Any, x: Arithmetic
    ) -> Any:
        """Clocks in which a block's loads of one step occupy shared memory or the L1 cache."""
        lim, eb = self.limits, self.fixed["op.element_bytes"]
        if self.device.kind == "cpu":
            loads = r["loads_m"] + r["loads_n"]
            # A level further away takes about twice as long (Goto and van de Geijn's blocks fit the L1 and L2 caches).
            beyond = x.where(r["cached_bytes"] > lim.l1_bytes, 2.0, 1.0)
            beyond = beyond * x.where(r["outer_bytes"] > self.machine.l2_bytes / self.machine.units, 2.0, 1.0)
            return r["tile_m"] * r["tile_n"] / (r["work_m"] * r["work_n"]) * (loads * beyond + spilled) / 2
        along_m = lim.warp if r["threads_m"] is None else x.minimum(r["threads_m"], lim.warp)
        along_n = x.maximum(lim.warp / along_m, 1.0)
        total: Any = spilled * lim.warp * 4.0 / lim.cache_bytes_per_clock
        for axis, threads, vector in (("m", along_m, vector_m), ("n", along_n, vector_n)):
            width = x.where(r[f"shared_{axis}"] > 0, lim.load_bytes_per_clock, lim.cache_bytes_per_clock)
            span = threads * x.maximum(r[f"stride_{axis}"], vector) * eb / width
            apart = x.maximum(threads * vector * eb / width, threads)
            total = total + r[f"loads_{axis}"] / vector * x.minimum(x.maximum(span, 1.0), x.maximum(apart, 1.0))
        stored = (r["shared_m"] * r["fetched_m"] + r["shared_n"] * r["fetched_n"]) * eb / lim.load_bytes_per_clock
        # Warps of matrix units share a tile in a near-square grid: each reads its rows of one operand and columns of the other.
        # Where the units read shared memory themselves, a group of warps does so together.
        readers = x.where(self._reads_shared(r, warps, x), warps / GROUP_WARPS, warps)
        tiled = (r["tile_m"] + r["tile_n"]) * x.sqrt(readers) * eb / lim.load_bytes_per_clock
        tiled = tiled + warps * spilled * lim.warp * 4.0 / lim.cache_bytes_per_clock / MATRIX_STEPS
        return x.where(simt > 0, warps * total, tiled) + stored


def problem_values(op: Operator) -> dict[str, Any]:
    """What formulas may read of a problem: its dimensions, and what follows from them."""
    values = {f"op.{name}": v for name in op.dimension_names() if (v := getattr(op, name)) is not None}
    values |= {f"op.{name}": getattr(op, name) for name in ("out_h", "out_w") if hasattr(op, name)}
    return values | {
        "op.element_bytes": element_bytes(op.dtype), "op.flops": op.flops, "op.bytes_read": op.bytes_read,
    }  # fmt: skip


def _plain(r: Mapping[str, Any]) -> bool:
    return all(isinstance(r[f"threads_{axis}"], int | float | None) for axis in "mn")


def _product(r: Mapping[str, Any]) -> Any:
    m, n = r["threads_m"], r["threads_n"]
    return (1.0 if m is None else m) * (1.0 if n is None else n)

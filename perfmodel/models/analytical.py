"""Named bounds of an operator on a device: what its time would be if one resource alone limited it, and all together.

Each family is reduced to matrix products (:mod:`perfmodel.models.gemm`) or to a stream of bytes with some vector
arithmetic. The result says every term, which one won, and the physical floor below which no prediction may fall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.hardware.device import Device
from perfmodel.models import gemm, quantised
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import Attention, Collective, Conv, Gemm, Moe, Norm, Operator, Rnn, Softmax, Unmodelled, View
from perfmodel.ops.table import Group

TERMS = ("compute", "l2", "dram", "vector", "launch", "link")
"""Names of the bounds. ``vector`` is arithmetic outside matrix products, ``launch`` everything that is overhead in time
(launch, waves, split-K, quantisation of activations), ``link`` the interconnect."""

_THROTTLED = 0.98
BOUND_POWER = "power"
"""Reported instead of ``compute`` where the power limit holds the clock below its peak."""

_EXPONENTIALS_PER_CLOCK = 16.0
"""exp2 results per clock and SM (CUDA C++ Programming Guide, table "Throughput of Native Arithmetic Instructions")."""
_ATTENTION_BLOCK = 128
"""Queries per thread block of fused attention kernels (Dao, "FlashAttention-2", 2023, section 3.3)."""
_ATTENTION_EFFICIENCY = 0.75
"""Share of the matrix peak that fused attention sustains where exponentials do not limit (FlashAttention-2 and -3 report
about 0.7 of the A100's and 0.75 of the H100's peak)."""


@dataclass(frozen=True)
class Bounds:
    """What the analytical model says of a group of rows; arrays of shape ``[rows]``.

    Attributes:
        latency_s: seconds of one execution.
        terms: seconds by name of :data:`TERMS`; terms that an operator does not have are absent.
        floor_s: no prediction may be below: max(FLOPs executed / peak, bytes that must cross DRAM / bandwidth).
        dram_bytes: bytes expected to cross DRAM.
        throttle: share of the peak clock that the power limit leaves.
        details: tile and wave figures of products, empty for other operators.
        notes: which arithmetic ran instead of the dtype's own, and what was assumed of the device.
    """

    latency_s: np.ndarray
    terms: dict[str, np.ndarray]
    floor_s: np.ndarray
    dram_bytes: np.ndarray
    throttle: float = 1.0
    details: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def bound(self) -> np.ndarray:
        """Name of the largest term of each row (``power`` for a throttled compute bound)."""
        names = np.array([n for n in TERMS if n in self.terms], dtype=object)
        winner: np.ndarray = names[np.argmax(np.stack([self.terms[n] for n in names]), axis=0)]
        if self.throttle < _THROTTLED:
            winner = np.where(winner == "compute", BOUND_POWER, winner)
        return winner


@dataclass(frozen=True)
class Extras:
    """What kernels do beyond their descriptor (fused epilogues); arrays of shape ``[rows]``."""

    bytes_read: np.ndarray
    flops: np.ndarray


# A core and its caches in place of an SM: an operator call costs microseconds of a thread, not of a command queue; operand
# rates follow from two 32-byte loads a clock. AVX2 widens 32 weights of 4 bits to fp32 in 15 instructions, three a clock: 3 to
# bytes, and 4 times one to 32 bits, one to fp32, one times the scale. That is 0.16 clocks a weight, for which
# perfmodel.models.quantised counts 3.25. Not fitted yet: wide intervals say so.
CPU_CONSTANTS = Constants(
    launch_cycles=9000.0, wave_cycles=1.0, split_cycles=6000.0, k_extra=16.0, mma_efficiency=0.75, norm_p=3.0,
    dram_efficiency=0.75, l2_bytes_per_clock=32.0, l2_exponent=1e-6, hit_bytes_per_clock=16.0, residency=0.5,
    throttle_flops_per_w=1e15, dequantize_cycles_per_element=0.048, simt_efficiency=1.0, stream_launch_cycles=6000.0,
    stream_efficiency=0.75,
)  # fmt: skip


def constants_for(device: Device, fitted: Constants | None) -> Constants:
    """The constants that describe this kind of device: the fitted ones for GPUs, assumed ones for CPUs."""
    if device.kind == "cpu":
        return CPU_CONSTANTS
    return fitted or FALLBACK


def analyse(
    group: Group,
    device: Device,
    *,
    constants: Constants | None = None,
    conditions: Conditions | None = None,
    extras: Extras | None = None,
) -> Bounds:
    """The bounds of every row of a group.

    Args:
        group: like descriptors with array dimensions (:func:`perfmodel.ops.table.stack`).
        device: the machine.
        constants: fitted constants; None means those for the device's kind.
        conditions: cache, clock, power limit.
        extras: traffic and arithmetic of fused epilogues.
    """
    conditions = conditions or Conditions()
    c = constants_for(device, constants)
    op = group.op
    machine = Machine.of(device, op.dtype, conditions)
    rows = len(group)
    if extras is None:
        extras = Extras(np.zeros(rows), np.zeros(rows))
    model = _MODELS.get(type(op), _stream)
    result = model(op, rows, device, machine, c, conditions, extras)
    arithmetic = device.arithmetic(op.dtype)
    notes = ((arithmetic.note,) if arithmetic.note and op.products else ()) + machine.assumptions
    return Bounds(
        result.latency_s, result.terms, result.floor_s, result.dram_bytes, result.throttle, result.details, notes
    )


def _rows(value: Any, rows: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (rows,))


def _floor(op: Operator, rows: int, machine: Machine, cache: str, extra_bytes: np.ndarray) -> np.ndarray:
    """max(FLOPs executed in products / peak, bytes that must cross DRAM / bandwidth)."""
    executed, total = _rows(op.flops_executed, rows), _rows(op.flops, rows)
    # Products run at the matrix peak; the rest may run beside them on other units. Causality and windows drop the same
    # share of both.
    product = _rows(op.product_flops, rows) * np.divide(executed, total, out=np.ones(rows), where=total > 0)
    moved = _rows(op.bytes, rows) + extra_bytes
    resident = cache != "cold"
    crossing = np.where(resident & (moved <= machine.l2_bytes), 0.0, moved - (machine.l2_bytes if resident else 0.0))
    floor: np.ndarray = np.maximum(product / machine.peak_flops, np.maximum(crossing, 0.0) / machine.dram_bytes_per_s)
    return floor


def _products(op: Operator, rows: int, machine: Machine, c: Constants, cache: str, extras: Extras) -> Bounds:
    """Gemm and Conv: one product through the tile model, the epilogue overlapped with it."""
    (product,) = op.products
    record = dtype_record(op.dtype)
    # GEMM tables of dynamic formats time the quantisation of the activations, too. Convolution engines use scales that were
    # calibrated beforehand and quantise in the epilogue of whatever made the activations.
    dynamic = 0 if isinstance(op, Conv) else record.quantize_kernels
    compulsory = _rows(op.bytes, rows) + extras.bytes_read
    out_dtype = getattr(op, "out_dtype", None)
    shape = gemm.GemmShape(
        batch=_rows(product.batch, rows), m=_rows(product.m, rows), n=_rows(product.n, rows), k=_rows(product.k, rows),
        # Arithmetic that is emulated wider still moves the narrow operands.
        a_bits=record.activation_bits, b_bits=record.weight_bits,
        c_bits=record.output_bits if out_dtype is None else dtype_record(out_dtype).activation_bits,
        compulsory_bytes=compulsory if isinstance(op, Conv) or extras.bytes_read.any() else None,
        quantize_kernels=dynamic,
    )  # fmt: skip
    e = quantised.estimate(shape, record, machine, c, cache)
    vector = extras.flops / (machine.vector_flops * c.vector_efficiency)
    overhead = e.launch_s + e.split_k_s + e.quantize_s
    latency = np.maximum(e.latency_s, overhead + vector)
    terms = {"compute": e.compute_s, "l2": e.l2_s, "dram": e.dram_s, "vector": vector, "launch": overhead}
    details = {
        "tile_m": e.tile_m, "tile_n": e.tile_n, "split_k": e.split_k, "tiles_per_unit": e.tiles_per_unit,
        "occupancy": e.occupancy, "miss": e.miss, "tile_latency_s": e.tile_latency_s,
    }  # fmt: skip
    if isinstance(op, Conv):
        latency, terms = _direct_convolution(op, rows, machine, c, latency, terms)
    floor = _floor(op, rows, machine, cache, extras.bytes_read)
    return Bounds(np.maximum(latency, floor), terms, floor, e.dram_bytes, gemm.throttle(machine, c), details)


def _direct_convolution(
    op: Conv, rows: int, machine: Machine, c: Constants, latency: np.ndarray, terms: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Depthwise and thin grouped convolutions leave matrix tiles nearly empty; libraries run them on the vector units."""
    on_vector = _rows(op.product_flops, rows) / (machine.vector_flops * 2 * c.vector_efficiency)
    launch = np.full(rows, c.stream_launch_cycles / machine.clock_hz)
    direct = launch + np.maximum(on_vector, terms["dram"])
    better = direct < latency
    replaced = {
        "compute": np.where(better, 0.0, terms["compute"]),
        "l2": np.where(better, 0.0, terms["l2"]),
        "dram": terms["dram"],
        "vector": np.where(better, on_vector, terms["vector"]),
        "launch": np.where(better, launch, terms["launch"]),
    }
    return np.minimum(latency, direct), replaced


def _gemm(op: Operator, rows: int, device: Device, machine: Machine, c: Constants, k: Conditions, x: Extras) -> Bounds:
    return _products(op, rows, machine, c, k.cache, x)


def _attention(
    op: Operator, rows: int, device: Device, machine: Machine, c: Constants, conditions: Conditions, extras: Extras
) -> Bounds:
    """One fused kernel: products in blocks of queries, an exponential per score, keys and values read once per block."""
    assert isinstance(op, Attention)
    heads, queries, keys = (_rows(v, rows) for v in (op.heads, op.q_len, op.kv_len))
    batch, kv_heads = _rows(op.batch, rows), np.maximum(_rows(op.kv_heads, rows), 1.0)
    scores = _rows(op.scores_executed, rows)
    widths = _rows(op.head_dim, rows) + _rows(op.value_dim, rows)
    # Grouped queries are packed into the rows of one block in decode, so that K and V cross once per group.
    rows_per_kv = np.where(queries < _ATTENTION_BLOCK, queries * heads / kv_heads, queries)
    streams = np.where(queries < _ATTENTION_BLOCK, batch * kv_heads, batch * heads)
    blocks = np.maximum(streams * np.ceil(rows_per_kv / _ATTENTION_BLOCK), 1.0)
    # Kernels split the keys when there are too few blocks to fill the device (flash decoding).
    splits = np.clip(np.floor(machine.units / blocks), 1.0, np.maximum(np.ceil(keys / 256), 1.0))
    per_unit = np.ceil(blocks * splits / machine.units)
    occupancy = blocks * splits / (per_unit * machine.units)
    padding = np.ceil(rows_per_kv / 16) * 16 / np.maximum(rows_per_kv, 1e-9)  # matrix instructions take 16 rows
    rate = machine.peak_flops * _ATTENTION_EFFICIENCY * c.mma_efficiency * gemm.throttle(machine, c)
    compute = 2 * scores * widths * np.minimum(padding, 16.0) / (rate * occupancy)
    vector = scores / (_EXPONENTIALS_PER_CLOCK * machine.units * machine.clock_hz * occupancy)
    vector = vector + extras.flops / (machine.vector_flops * c.vector_efficiency)
    moved = _rows(op.bytes, rows) + extras.bytes_read
    miss = _miss(moved, machine, c, conditions.cache)
    dram_rate = machine.dram_bytes_per_s * c.dram_efficiency
    hit_rate = c.hit_bytes_per_clock * machine.units * machine.clock_hz
    dram = moved * miss / dram_rate + moved * (1 - miss) / hit_rate
    every_key = _rows(op.replace(window=None).kv_bytes, rows)
    kv_reads = every_key * np.ceil(rows_per_kv / _ATTENTION_BLOCK)
    kv_reads = kv_reads * np.where(queries < _ATTENTION_BLOCK, 1.0, heads / kv_heads)
    # Blocks of keys that causality or the window hides are skipped.
    kv_reads = kv_reads * scores / np.maximum(_rows(op.scores, rows), 1.0)
    l2 = kv_reads / (hit_rate * 2 * occupancy)
    launch = (c.launch_cycles + np.where(splits > 1, c.split_cycles, 0.0)) / machine.clock_hz
    p = c.norm_p
    latency = launch + (compute**p + vector**p + dram**p + l2**p) ** (1 / p)
    floor = _floor(op, rows, machine, conditions.cache, extras.bytes_read)
    terms = {"compute": compute, "l2": l2, "dram": dram, "vector": vector, "launch": launch}
    return Bounds(np.maximum(latency, floor), terms, floor, moved * miss, gemm.throttle(machine, c))


def _moe(
    op: Operator, rows: int, device: Device, machine: Machine, c: Constants, conditions: Conditions, extras: Extras
) -> Bounds:
    """Two grouped GEMMs over the active experts, after a kernel that sorts the tokens."""
    assert isinstance(op, Moe)
    record = dtype_record(op.dtype)
    active = np.maximum(_rows(op.active_experts, rows), 1.0)
    per_expert = np.ceil(_rows(op.local_rows, rows) / active)
    widened, widened_a = quantised.widening(record, machine.arithmetic)
    estimates = []
    for product in op.products:
        shape = gemm.GemmShape(
            active, per_expert, _rows(product.n, rows), _rows(product.k, rows),
            record.activation_bits, record.weight_bits, record.output_bits,
            dequantize=widened, dequantize_a=widened_a,
        )  # fmt: skip
        estimates.append(gemm.estimate(shape, machine, c, conditions.cache))
    gate = (_rows(op.flops, rows) - _rows(op.product_flops, rows)) / (machine.vector_flops * c.vector_efficiency)
    sorting = np.full(rows, 3 * c.stream_launch_cycles / machine.clock_hz)  # route, sort, gather
    launch = sorting + sum(e.launch_s + e.split_k_s + e.quantize_s for e in estimates)
    terms = {
        "compute": sum(e.compute_s for e in estimates),
        "l2": sum(e.l2_s for e in estimates),
        "dram": sum(e.dram_s for e in estimates),
        "vector": gate,
        "launch": launch,
    }
    latency = sorting + gate + sum(e.latency_s for e in estimates)
    floor = _floor(op, rows, machine, conditions.cache, extras.bytes_read)
    crossing = _rows(op.bytes, rows) * _miss(_rows(op.bytes, rows), machine, c, conditions.cache)
    return Bounds(np.maximum(latency, floor), terms, floor, crossing, gemm.throttle(machine, c))


def _rnn(
    op: Operator, rows: int, device: Device, machine: Machine, c: Constants, conditions: Conditions, extras: Extras
) -> Bounds:
    """The input projection as one GEMM, then one dependent small GEMM a step."""
    assert isinstance(op, Rnn)
    record = dtype_record(op.dtype)
    bits = (record.activation_bits, record.weight_bits, record.output_bits)
    steps = _rows(op.seq_len, rows)
    inputs, recurrent = op.products
    first = quantised.estimate(
        gemm.GemmShape(
            _rows(inputs.batch, rows), _rows(inputs.m, rows), _rows(inputs.n, rows), _rows(inputs.k, rows), *bits
        ),
        record, machine, c, conditions.cache,
    )  # fmt: skip
    step = quantised.estimate(
        gemm.GemmShape(
            _rows(op.directions, rows), _rows(recurrent.m, rows), _rows(recurrent.n, rows), _rows(recurrent.k, rows), *bits
        ),
        record, machine, c, "warm",
    )  # fmt: skip
    # The cell's arithmetic rides in the step's epilogue.
    gates = (_rows(op.flops, rows) - _rows(op.product_flops, rows)) / (machine.vector_flops * c.vector_efficiency)
    terms = {
        "compute": first.compute_s + steps * step.compute_s,
        "l2": first.l2_s + steps * step.l2_s,
        "dram": first.dram_s + steps * step.dram_s,
        "vector": gates,
        "launch": first.launch_s + first.split_k_s + steps * (step.launch_s + step.split_k_s),
    }
    latency = first.latency_s + steps * step.latency_s + gates
    floor = _floor(op, rows, machine, conditions.cache, extras.bytes_read)
    return Bounds(
        np.maximum(latency, floor), terms, floor, _rows(op.bytes, rows) * first.miss, gemm.throttle(machine, c)
    )


def _miss(footprint: np.ndarray, machine: Machine, c: Constants, cache: str) -> np.ndarray:
    """Share of a footprint that is not resident in the last-level cache."""
    if cache == "cold":
        return np.ones_like(footprint)
    result: np.ndarray = 1 - 1 / (1 + (footprint / (c.residency * machine.l2_bytes)) ** c.residency_power)
    return result


def _stream(
    op: Operator, rows: int, device: Device, machine: Machine, c: Constants, conditions: Conditions, extras: Extras
) -> Bounds:
    """Everything that is bound by traffic: bytes through DRAM or L2, some vector arithmetic, a launch."""
    moved = _rows(op.bytes, rows) + extras.bytes_read
    miss = _miss(moved, machine, c, conditions.cache)
    hit_rate = c.hit_bytes_per_clock * machine.units * machine.clock_hz
    dram = moved * miss / (machine.dram_bytes_per_s * c.stream_efficiency)
    l2 = moved / hit_rate
    if isinstance(op, (Norm, Softmax)):
        dram, l2 = dram / c.row_efficiency, l2 / c.row_efficiency
        # One thread block per row: with fewer rows than units the others idle.
        row_count = np.maximum(_rows(op.rows, rows), 1.0)
        l2 = l2 * np.ceil(row_count / machine.units) * machine.units / row_count
    vector = (_rows(op.flops, rows) + extras.flops) / (machine.vector_flops * c.vector_efficiency)
    launch = np.full(rows, c.stream_launch_cycles / machine.clock_hz)
    p = c.norm_p
    latency = launch + (dram**p + l2**p + vector**p) ** (1 / p)
    floor = _floor(op, rows, machine, conditions.cache, extras.bytes_read)
    terms = {"l2": l2, "dram": dram, "vector": vector, "launch": launch}
    return Bounds(np.maximum(latency, floor), terms, floor, moved * miss)


def _view(
    op: Operator, rows: int, device: Device, machine: Machine, c: Constants, conditions: Conditions, extras: Extras
) -> Bounds:
    """Nothing moves and nothing is launched."""
    zero = np.zeros(rows)
    return Bounds(zero, {"launch": zero}, zero, zero)


ASSUMED_LINK_BYTES_PER_S = 32e9
"""PCIe 4.0 x16, one direction, where a device file quotes no interconnect."""


def _collective(
    op: Operator, rows: int, device: Device, machine: Machine, c: Constants, conditions: Conditions, extras: Extras
) -> Bounds:
    """Ring algorithms: (r - 1) / r of the message per phase, two phases for an all-reduce (Thakur et al., 2005)."""
    assert isinstance(op, Collective)
    ranks = np.maximum(_rows(op.ranks, rows), 1.0)
    phases = 2.0 if op.kind == "all_reduce" else 1.0
    link_rate = device.interconnect_bytes_per_s or ASSUMED_LINK_BYTES_PER_S
    link = phases * (ranks - 1) / ranks * _rows(op.message_bytes, rows) / (link_rate * c.stream_efficiency)
    launch = (c.stream_launch_cycles + phases * (ranks - 1) * c.stream_launch_cycles / 4) / machine.clock_hz
    moved = _rows(op.bytes, rows)
    floor = np.zeros(rows)
    return Bounds(launch + link, {"link": link, "launch": launch}, floor, moved)


_Model = Callable[[Operator, int, Device, Machine, Constants, Conditions, Extras], Bounds]
_MODELS: dict[type[Operator], _Model] = {
    Gemm: _gemm,
    Conv: _gemm,
    Attention: _attention,
    Moe: _moe,
    Rnn: _rnn,
    View: _view,
    Collective: _collective,
    Unmodelled: _stream,
}

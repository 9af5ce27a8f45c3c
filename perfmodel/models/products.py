"""Operators that are one or a few products of the tile model: GEMM, expert layers, recurrent layers."""

from __future__ import annotations

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.models import gemm, quantised
from perfmodel.models.bounds import Bounds, Setting, floor, miss
from perfmodel.ops import Gemm, Moe, Operator, Rnn

PARTIAL_SUM_BYTES = 4
"""Partial results of split-K kernels are kept in fp32."""


def tile_details(e: gemm.GemmEstimate) -> dict[str, np.ndarray]:
    """What the tile model chose, by the names of :data:`perfmodel.models.estimates.DETAILS`."""
    return {
        "tile_m": e.tile_m, "tile_n": e.tile_n, "split_k": e.split_k, "tiles_per_unit": e.tiles_per_unit,
        "occupancy": e.occupancy, "miss": e.miss, "footprint": e.footprint, "unsplit_latency_s": e.unsplit_latency_s,
        "split_k_s": e.split_k_s, "tile_latency_s": e.tile_latency_s,
    }  # fmt: skip


def split_k_workspace(e: gemm.GemmEstimate, shape: gemm.GemmShape) -> np.ndarray:
    """Bytes of the partial sums that split-K kernels keep in memory; 0 where the contraction is not split."""
    outputs = shape.batch * shape.m * shape.n
    result: np.ndarray = np.where(e.split_k > 1, outputs * e.split_k * PARTIAL_SUM_BYTES, 0.0)
    return result


def product(op: Operator, s: Setting) -> Bounds:
    """One product through the tile model, the epilogue overlapped with it."""
    assert isinstance(op, Gemm)
    (only,) = op.products
    record = dtype_record(op.dtype)
    compulsory = s.per_row(op.bytes) + s.extras.bytes_read
    shape = gemm.GemmShape(
        batch=s.per_row(only.batch), m=s.per_row(only.m), n=s.per_row(only.n), k=s.per_row(only.k),
        # Arithmetic that is emulated wider still moves the narrow operands.
        a_bits=record.activation_bits, b_bits=record.weight_bits,
        c_bits=record.output_bits if op.out_dtype is None else dtype_record(op.out_dtype).activation_bits,
        compulsory_bytes=compulsory if s.extras.bytes_read.any() else None,
        # GEMM tables of dynamic formats time the quantisation of the activations, too.
        quantize_kernels=record.quantize_kernels,
    )  # fmt: skip
    e = quantised.estimate(shape, record, s.machine, s.constants, s.cache)
    vector = s.extras.flops / s.vector_rate
    overhead = e.launch_s + e.split_k_s + e.quantize_s
    latency = np.maximum(e.latency_s, overhead + vector)
    terms = {"compute": e.compute_s, "l2": e.l2_s, "dram": e.dram_s, "vector": vector, "launch": overhead}
    lowest = floor(op, s)
    return Bounds(
        np.maximum(latency, lowest), terms, lowest, e.dram_bytes, e.throttle, tile_details(e),
        workspace_bytes=split_k_workspace(e, shape),
    )  # fmt: skip


def experts(op: Operator, s: Setting) -> Bounds:
    """Two grouped GEMMs over the active experts, after a kernel that sorts the tokens."""
    assert isinstance(op, Moe)
    record = dtype_record(op.dtype)
    active = np.maximum(s.per_row(op.active_experts), 1.0)
    per_expert = np.ceil(s.per_row(op.local_rows) / active)
    widened, widened_a = quantised.widening(record, s.machine.arithmetic)
    estimates, partial_sums = [], np.zeros(s.rows)
    for part in op.products:
        shape = gemm.GemmShape(
            active, per_expert, s.per_row(part.n), s.per_row(part.k),
            record.activation_bits, record.weight_bits, record.output_bits,
            dequantize=widened, dequantize_a=widened_a,
        )  # fmt: skip
        estimates.append(gemm.estimate(shape, s.machine, s.constants, s.cache))
        partial_sums = np.maximum(partial_sums, split_k_workspace(estimates[-1], shape))
    # What a fused epilogue reads and computes comes on top, in the kernel that gathers the results.
    extra_dram = s.extras.bytes_read / s.dram_rate
    gate = s.per_row(op.flops) - s.per_row(op.product_flops)
    vector = (gate + s.extras.flops) / s.vector_rate
    sorting = np.full(s.rows, 3 * s.stream_launch_s)  # route, sort, gather
    launch = sorting + sum(e.launch_s + e.split_k_s + e.quantize_s for e in estimates)
    terms = {
        "compute": sum(e.compute_s for e in estimates),
        "l2": sum(e.l2_s for e in estimates),
        "dram": sum(e.dram_s for e in estimates) + extra_dram,
        "vector": vector,
        "launch": launch,
    }
    latency = sorting + vector + extra_dram + sum(e.latency_s for e in estimates)
    lowest = floor(op, s)
    moved = s.per_row(op.bytes)
    # Between the two products the activations of all experts lie in memory, and the gathered tokens before them.
    up, down = op.products
    rows_in_flight = s.per_row(up.m) * (s.per_row(up.k) + s.per_row(up.n) + s.per_row(down.n))
    return Bounds(
        np.maximum(latency, lowest), terms, lowest, moved * miss(moved, s) + s.extras.bytes_read,
        np.min([e.throttle for e in estimates], axis=0),
        workspace_bytes=rows_in_flight * record.output_bits / 8 + partial_sums,
    )  # fmt: skip


def recurrent(op: Operator, s: Setting) -> Bounds:
    """The input projection as one GEMM, then one dependent small GEMM a step."""
    assert isinstance(op, Rnn)
    record = dtype_record(op.dtype)
    bits = (record.activation_bits, record.weight_bits, record.output_bits)
    steps = s.per_row(op.seq_len)
    inputs, step_products = op.products
    first = quantised.estimate(
        gemm.GemmShape(
            s.per_row(inputs.batch), s.per_row(inputs.m), s.per_row(inputs.n), s.per_row(inputs.k), *bits
        ),
        record, s.machine, s.constants, s.cache,
    )  # fmt: skip
    step = quantised.estimate(
        gemm.GemmShape(
            s.per_row(op.directions), s.per_row(step_products.m), s.per_row(step_products.n), s.per_row(step_products.k),
            *bits,
        ),
        record, s.machine, s.constants, "warm",
    )  # fmt: skip
    # The cell's arithmetic rides in the step's epilogue; so does what was fused to the layer.
    gates = s.per_row(op.flops) - s.per_row(op.product_flops)
    vector = (gates + s.extras.flops) / s.vector_rate
    extra_dram = s.extras.bytes_read / s.dram_rate
    terms = {
        "compute": first.compute_s + steps * step.compute_s,
        "l2": first.l2_s + steps * step.l2_s,
        "dram": first.dram_s + steps * step.dram_s + extra_dram,
        "vector": vector,
        "launch": first.launch_s
        + first.split_k_s
        + first.quantize_s
        + steps * (step.launch_s + step.split_k_s + step.quantize_s),
    }
    latency = first.latency_s + steps * step.latency_s + vector + extra_dram
    lowest = floor(op, s)
    # The projected inputs of all steps wait in memory for their step.
    projected = s.per_row(inputs.batch) * s.per_row(inputs.m) * s.per_row(inputs.n)
    return Bounds(
        np.maximum(latency, lowest), terms, lowest, s.per_row(op.bytes) * first.miss + s.extras.bytes_read,
        first.throttle, workspace_bytes=projected * record.output_bits / 8,
    )  # fmt: skip

"""Expert layers: two grouped GEMMs over the experts that received tokens, between kernels that sort, gather and combine.

Grouped kernels launch the tiles of all experts together, so that waves count over all of them; each expert's rows are
padded to whole tiles, whose heights go down to 16 rows. Which experts receive how much follows from the routing
(:mod:`perfmodel.models.routing`).
"""

from __future__ import annotations

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.models import gemm, quantised, routing
from perfmodel.models.bounds import Bounds, Setting, executed_product_flops, floor, memory_floor, miss
from perfmodel.ops import Moe, Operator
from perfmodel.ops.base import ceil_div

GROUPED = gemm.Kernels(
    np.array([(m, n) for m in routing.BLOCK_ROWS for n in (64.0, 128.0, 256.0) if m * n <= 2**15]), np.array([1.0])
)
"""Tiles of grouped kernels; they do not split k."""
_HEIGHT = np.searchsorted(routing.BLOCK_ROWS, GROUPED.tiles[:, 0])
_KERNELS_AROUND = 3
"""Streaming kernels beside the products: route and sort, the activation, the weighted sum."""
_ROUTED_BYTES = 2.0
"""Tokens arrive, leave and lie between the kernels in 16 bits."""


def experts(op: Operator, s: Setting) -> Bounds:
    """Two grouped GEMMs over the active experts of the busiest rank, and the kernels around them."""
    assert isinstance(op, Moe)
    record = dtype_record(op.dtype)
    load = routing.load(op.distribution, *(s.per_row(v) for v in (op.tokens, op.experts, op.top_k, op.ep)))
    active = np.maximum(load.active, 1.0)
    widened, widened_a = quantised.widening(record, s.machine.arithmetic)
    estimates = []
    for part in op.products:
        shape = gemm.GemmShape(
            active, load.rows / active, s.per_row(part.n), s.per_row(part.k),
            record.activation_bits, record.weight_bits, record.output_bits,
            dequantize=widened, dequantize_a=widened_a, row_blocks=load.blocks[:, _HEIGHT],
        )  # fmt: skip
        estimates.append(gemm.estimate(shape, s.machine, s.constants, s.cache, GROUPED))
    up, down = estimates

    # The tokens are gathered (and quantised), the activation reads both halves of the first product, the last kernel sums the
    # results of a token's experts. What a fused epilogue reads and computes comes on top of that one.
    hidden, width = s.per_row(op.hidden), s.per_row(ceil_div(op.intermediate, op.tp))
    narrow = record.activation_bits / 8
    per_pair = hidden * (2 * _ROUTED_BYTES + narrow) + width * ((op.matrices - 1) * _ROUTED_BYTES + narrow)
    around = load.rows * per_pair + np.minimum(s.per_row(op.tokens), load.rows) * hidden * _ROUTED_BYTES
    missed = miss(around, s)
    stream_rate = s.machine.dram_bytes_per_s * s.constants.stream_efficiency
    around_s = around * (missed / stream_rate + (1 - missed) / s.hit_rate)
    extra_dram = s.extras.bytes_read / s.dram_rate
    share = load.rows / np.maximum(s.per_row(op.local_rows), 1.0)
    vector = ((s.per_row(op.flops) - s.per_row(op.product_flops)) * share + s.extras.flops) / s.vector_rate
    kernels = _KERNELS_AROUND + record.quantize_kernels
    sorting = np.full(s.rows, kernels * s.stream_launch_s)
    latency = sorting + np.maximum(vector, around_s) + extra_dram + up.latency_s + down.latency_s
    terms = {
        "compute": up.compute_s + down.compute_s,
        "l2": up.l2_s + down.l2_s,
        "dram": up.dram_s + down.dram_s + around_s + extra_dram,
        "vector": vector,
        "launch": sorting + up.launch_s + down.launch_s,
    }
    lowest = _floor(op, s)
    moved = s.per_row(op.bytes)
    # Between the two products the activations of all experts lie in memory, and the gathered tokens before them.
    first, last = op.products
    rows_in_flight = s.per_row(first.m) * (s.per_row(first.k) + s.per_row(first.n) + s.per_row(last.n))
    return Bounds(
        np.maximum(latency, lowest), terms, lowest, moved * miss(moved, s) + s.extras.bytes_read,
        np.minimum(up.throttle, down.throttle), _details(load, up, down, around_s),
        workspace_bytes=rows_in_flight * record.output_bits / 8,
    )  # fmt: skip


def _floor(op: Moe, s: Setting) -> np.ndarray:
    """The floor of even routing, without the experts' weights where uneven routing may leave most of them idle."""
    if routing.exponent(op.distribution) is None:
        return floor(op, s)
    # All tokens may agree on the same top_k experts, the fewest whose weights must be read.
    fewest = np.minimum(np.ceil(s.per_row(op.top_k) / s.per_row(op.ep)), s.per_row(op.active_experts))
    idle = 1 - fewest / np.maximum(s.per_row(op.active_experts), 1.0)
    unread = memory_floor(op, s) - s.per_row(op.weight_bytes) * idle / s.machine.dram_bytes_per_s
    result: np.ndarray = np.maximum(executed_product_flops(op, s) / s.machine.peak_flops, np.maximum(unread, 0.0))
    return result


def _details(
    load: routing.Load, up: gemm.GemmEstimate, down: gemm.GemmEstimate, around_s: np.ndarray
) -> dict[str, np.ndarray]:
    """What the residual's features read, beside the tile of the first product."""
    details = {
        "expert_rows": load.rows, "active_experts": load.active, "busiest_expert": load.busiest,
        "expert_blocks": load.blocks, "around_s": around_s, "footprint": up.footprint + down.footprint,
    }  # fmt: skip
    for name, e in (("up", up), ("down", down)):
        details |= {
            f"{name}_latency_s": e.latency_s, f"{name}_occupancy": e.occupancy, f"{name}_tile_m": e.tile_m,
            f"{name}_tile_n": e.tile_n, f"{name}_tiles_per_unit": e.tiles_per_unit, f"{name}_miss": e.miss,
            f"{name}_tile_latency_s": e.tile_latency_s,
        }  # fmt: skip
    return details

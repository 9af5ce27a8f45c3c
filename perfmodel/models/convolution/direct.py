"""Direct convolution on the vector units: depthwise and thin grouped convolutions, which leave matrix tiles nearly empty.

Such kernels keep the taps in registers and a tile of the input on chip, and are bound by traffic as long as the taps are few:
a depthwise 3x3 does 18 FLOPs for the 4 bytes that it moves in 16 bits. This is why time follows activations, not FLOPs
(Dollár et al., "Fast and Accurate Model Scaling", 2021), and why grouped convolutions with few channels a group run far below
the rate of dense ones (Li et al., on efficient group convolution for GPUs, among others).
"""

from __future__ import annotations

import numpy as np

from perfmodel.models.bounds import Candidate, Setting, joined, miss
from perfmodel.models.convolution.shape import ConvShape, Formats

OUTPUT_TILE = 16.0
"""Side of the block of outputs that a thread block computes; its inputs overlap those of its neighbours by a halo."""


def direct(shape: ConvShape, f: Formats, s: Setting) -> list[Candidate]:
    """A kernel whose threads each compute a few outputs of one channel."""
    index = np.flatnonzero(shape.groups > 1)
    if not len(index):
        return []
    shape, s = shape.part(index), s.part(index)
    c = s.constants
    packing = 2.0 if f.record.activation_bits <= 16 and s.device.kind != "cpu" else 1.0  # two 16-bit values a lane
    rate = min(s.machine.vector_flops * packing, s.machine.peak_flops)
    vector = shape.flops / (rate * c.direct_efficiency) + s.extras.flops / s.vector_rate
    # Rows and columns of input that a tile of outputs needs, over those that it alone would own.
    step = np.sqrt(shape.stride)
    side = np.minimum(OUTPUT_TILE, np.maximum(np.sqrt(shape.outputs), 1.0)) * step
    halo = (1 + np.maximum(shape.reach_h - step, 0.0) / side) * (1 + np.maximum(shape.reach_w - step, 0.0) / side)
    moved = shape.compulsory_bytes
    missed = miss(moved, s)
    crossing = moved * missed
    dram = crossing / (s.machine.dram_bytes_per_s * c.stream_efficiency)
    l2 = (moved + shape.input_bytes * (halo - 1)) / s.hit_rate
    launch = np.full(s.rows, s.stream_launch_s)
    latency = launch + joined(c.norm_p, dram, l2, vector)
    terms = {"l2": l2, "dram": dram, "vector": vector, "launch": launch}
    return [Candidate("direct", index, latency, terms, crossing, np.zeros(s.rows), shape.flops, rate)]

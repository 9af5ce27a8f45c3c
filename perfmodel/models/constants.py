"""The physics constants of the analytical model: few, named, fitted together over all devices.

They are numbers of the kind "an SM streams so many bytes a clock", never of one device: a device enters only with its
datasheet. ``perfmodel train`` fits them and stores them in the predictor's manifest; ``FALLBACK`` holds the values that
are used where no predictor is at hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from perfmodel.errors import PredictorError


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constants of the tile model of GEMM-like kernels and of the streaming model of the others. All are positive."""

    launch_cycles: float = 4150.0
    """Clocks from launch to finish of an empty GEMM kernel, as timed (event to event)."""
    wave_cycles: float = 410.0
    """Prologue and epilogue of a wave; grows with the root of the number of waves, since waves overlap."""
    split_cycles: float = 4690.0
    """Extra clocks of a split-K kernel: a second launch or a semaphore, and the reduction's tail."""
    k_extra: float = 112.0
    """Elements of k that filling and draining the software pipeline of a tile costs."""
    mma_efficiency: float = 1.05
    """Share of the matrix units' peak that a tile's main loop sustains."""
    norm_p: float = 4.7
    """Exponent of the p-norm that joins compute, L2 and DRAM time: infinity would be perfect overlap."""
    dram_efficiency: float = 0.78
    """Sustained share of the datasheet's DRAM bandwidth."""
    l2_bytes_per_clock: float = 26.0
    """Operand bytes an SM takes from L2 per clock, for a matrix unit of 2048 FLOP per clock."""
    l2_exponent: float = 1.0
    """How that grows with the matrix unit's width."""
    hit_bytes_per_clock: float = 13.3
    """Bytes per clock and SM that L2 sustains on streaming hits."""
    residency: float = 1.0
    """Share of a partition of the last-level cache up to which a footprint stays resident between executions."""
    residency_power: float = 11.0
    """Sharpness of that transition."""
    refetch_residency: float = 0.9
    """The same share for operands that later waves of the same execution read again."""
    refetch_power: float = 4.5
    """Sharpness of that one."""
    block_scale: float = 0.29
    """Side of the block of tiles that one wave covers, over the side of a square of that many tiles."""
    throttle_flops_per_w: float = 1.48e12
    """Dense 16-bit FLOP/s per watt of TDP about which the power limit begins to hold a GPU down, for matrix units of 2048
    FLOP per clock at 1.5 GHz."""
    throttle_power: float = 0.44
    """How fast the sustained rate falls beyond it."""
    quantize_cycles: float = 3500.0
    """Clocks of one activation-quantisation kernel that runs before a GEMM in a dynamic 8- or 4-bit format."""
    dequantize_cycles_per_element: float = 0.02
    """Clocks per SM and weight element to widen 4- or 8-bit weights to 16 bits in registers."""
    fp8_efficiency: float = 0.9
    """Efficiency of fp8 main loops over bf16 ones."""
    fp4_efficiency: float = 0.8
    """Efficiency of fp4 main loops over bf16 ones."""
    int8_efficiency: float = 0.9
    """Efficiency of int8 main loops over bf16 ones."""
    simt_efficiency: float = 0.95
    """Share of the vector units' peak that fp32 main loops sustain; set on NeuSight's fp32 linear layers above
    0.3 ms on A100 and V100, where it leaves a median bias of -3 and +6 %."""
    simt_gemm_efficiency: float = 1.313
    """The same of fp32 GEMM kernels in the limit of large tiles (:mod:`perfmodel.models.vector_gemm`). This and the next
    nine are fitted together to NeuSight's fp32 linear layers and batched products on A100, P100, P4, T4 and V100; a value
    above 1 stands beside ``simt_tile_cost``, which always takes some of it back.
    Four of them (L2, residency, block, throttle) lie on the edge of what the fit allows: they stand in for cuBLAS's choice of
    tiles, which the model does not follow. Each GPU left out in turn, 20 (P100, A100), 22 (V100), 23 (T4) and 33 % (P4)."""
    simt_tile_cost: float = 0.859
    """How much longer a multiply-add takes in a tile of 64 x 64 for reading its operands from shared memory; in others in
    proportion to the tile's circumference over its area."""
    simt_l2_bytes_per_clock: float = 8.0
    """Operand bytes that such a kernel takes from L2 per clock and SM."""
    simt_dram_efficiency: float = 0.632
    """Share of the DRAM bandwidth that it sustains."""
    simt_residency: float = 2.0
    """Share of a cache partition up to which its operands stay resident."""
    simt_block_scale: float = 0.05
    """Side of the block of tiles that one of its waves covers, over that of a square of that many tiles: without swizzling,
    a wave is a long strip."""
    simt_norm_p: float = 2.53
    """Exponent that joins its compute, L2 and DRAM time: short pipelines overlap them less than matrix kernels do."""
    simt_split_cycles: float = 23000.0
    """Extra clocks of its split-K kernels, a second eager call included."""
    simt_throttle_power: float = 1.0
    """How fast its rate falls where the vector units would draw more than the power limit."""
    eager_launch_s: float = 32e-6
    """Seconds that an eager call of PyTorch takes beyond its kernel, as NeuSight timed it. No estimate holds it; it is to be
    added before an estimate is held against such a label."""
    stream_launch_cycles: float = 4000.0
    """Clocks of an empty elementwise kernel, launch included."""
    stream_efficiency: float = 0.80
    """Share of the DRAM bandwidth that streaming kernels sustain. This and the next two were fitted once to the fp32
    elementwise, softmax and layer-norm kernels of NeuSight on A100, P100, T4 and V100 (a robust fit of ln ratio)."""
    row_efficiency: float = 0.64
    """Share of the streaming rate that kernels with a reduction per row (softmax, normalisation) sustain."""
    vector_efficiency: float = 0.15
    """Share of the vector units' peak that elementwise arithmetic sustains: no FMA, conversions, addressing."""

    simt_convolution_efficiency: float = 0.78
    """Rate of fp32 implicit-GEMM main loops on the vector units over that of fp32 GEMM. This and the next three were fitted
    together to NeuSight's fp32 convolutions above 0.5 ms on P100, P4, T4 and V100 (700 rows each, least absolute ln ratio);
    leaving one of the GPUs out moves them to 0.76-0.85, 0.71-0.79, 0.34-0.47 and 0.19-0.27."""
    winograd_efficiency: float = 0.76
    """The same of the fused Winograd kernel, which transforms its tiles on the units that multiply them."""
    transform_efficiency: float = 0.40
    """Rate at which the transforms of non-fused Winograd and FFT pass over tiles, over that of streaming kernels: they gather
    overlapping tiles and scatter their values over as many matrices as a tile has values."""
    filter_transform_efficiency: float = 0.21
    """The same for the transform of the filters, which are gathered in runs of nine values."""
    direct_efficiency: float = 0.5
    """Share of the vector units' multiply-add peak that direct (depthwise, grouped) convolutions sustain. Not fitted: no label
    of ours has one."""
    attention_efficiency: float = 0.95
    """Rate of the products inside fused attention over the matrix peak, for matrix units that run asynchronously. This and
    the next four follow a fit to AIConfigurator's attention tables (150 rows a table and phase, least absolute ln ratio),
    rounded; leaving one of the families A100, L40S, Hopper, Blackwell out moved the errors there by a few percent."""
    attention_sync_efficiency: float = 0.57
    """The same where the warps that feed the matrix units also compute the softmax (before Hopper)."""
    attention_narrow_efficiency: float = 0.5
    """The same of 8-bit products over 16-bit ones: scores are converted between the two, and values are transposed."""
    attention_launch_cycles: float = 12000.0
    """Clocks of an attention operator with hardly any work, as serving stacks run it: scheduling and cache kernels included."""
    attention_block_cycles: float = 5000.0
    """Clocks of a block of queries beside its passes over keys: loading it, filling the pipeline, scaling and storing."""

    def to_dict(self) -> dict[str, float]:
        """Name to value, in order of declaration."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """The inverse of :meth:`to_dict`.

        Raises:
            PredictorError: a constant is missing (other than those of :data:`LATER`), unknown, or outside its
                :func:`sane_bounds`.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        wrong = sorted(names.symmetric_difference(values) - LATER)
        if wrong:
            raise PredictorError(
                f"physics constants do not match this version: {', '.join(wrong)}; rebuild the predictor"
            )
        numbers: dict[str, float] = {}
        for name, value in values.items():
            least, most = sane_bounds(name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise PredictorError(
                    f"physics constant {name} is {value!r}; wanted a positive number, {least:g} to {most:g}"
                )
            numbers[name] = float(value)
        return cls(**numbers)


_LEAST, _MOST, _FACTOR = 1e-9, 1e30, 1e4
_EXPONENTS = {"norm_p": (1.0, 10.0), "throttle_power": (1e-6, 2.0), "l2_exponent": (1e-6, 4.0), "_power": (1e-6, 16.0)}
"""Of the first ending that fits. A norm's p is at least 1: below, joined times would be longer than their sum."""
_OVERHEADS = ("_cycles", "k_extra", "_per_element", "_cost", "_launch_s")
"""Endings of what grows with time; everything else that is no exponent is a rate or a share, by which times are divided."""


def sane_bounds(name: str) -> tuple[float, float]:
    """Least and most that a stored constant may be.

    Wider than anything that was ever fitted, but no constant may make kernels more than 10,000 times slower than
    :data:`FALLBACK` does: the models raise times to the power p, and with all constants at their worst that must stay finite,
    whoever wrote the manifest.
    """
    exponent = next((bounds for ending, bounds in _EXPONENTS.items() if name.endswith(ending)), None)
    if exponent is not None:
        return exponent
    usual: float = getattr(FALLBACK, name)
    return (_LEAST, usual * _FACTOR) if name.endswith(_OVERHEADS) else (usual / _FACTOR, _MOST)


LATER_OF_PRODUCTS = frozenset(
    {
        "simt_gemm_efficiency", "simt_tile_cost", "simt_l2_bytes_per_clock", "simt_dram_efficiency", "simt_residency",
        "simt_block_scale", "simt_norm_p", "simt_split_cycles", "simt_throttle_power", "eager_launch_s",
    }
)  # fmt: skip
"""Those of :data:`LATER` that fp32 GEMMs on vector units depend on."""

LATER = LATER_OF_PRODUCTS | frozenset(
    {
        "simt_convolution_efficiency", "winograd_efficiency", "transform_efficiency", "filter_transform_efficiency",
        "direct_efficiency", "attention_efficiency", "attention_sync_efficiency", "attention_narrow_efficiency",
        "attention_launch_cycles", "attention_block_cycles",
    }
)  # fmt: skip
"""Constants that manifests from before their time leave out; their defaults hold then.

A residual is the rest that the physics of its training left. Such a manifest may hold those of GEMMs on matrix units alone,
whose estimates depend on none of these: with one of fp32 GEMMs :data:`LATER_OF_PRODUCTS` must be there, with one of another
family all (:func:`perfmodel.models.manifest.read` refuses others; the hashes of features do not tell constants apart). A
missing constant of GEMM kernels stays an error."""

FALLBACK = Constants()

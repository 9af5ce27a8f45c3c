"""What docs/accuracy.md says of each operator family beside its figures: what was measured, and what was not."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """A family's part of the page.

    Attributes:
        title: its heading.
        held_out: what the protocol ``shapes`` holds out, as a noun phrase.
        unmeasured: what its figures say nothing about.
    """

    title: str
    held_out: str
    unmeasured: str


SECTIONS: dict[str, Section] = {
    "gemm": Section(
        "Matrix products",
        "whole (n, k) pairs, in every table of every device",
        "Transposed layouts and fused epilogues were not measured, nor were batches in any table of AIConfigurator's, m above "
        "32,768, n and k above 65,536, and formats that are not in the table. The `fp8` tables time the quantisation of the "
        "activations together with the product.",
    ),
    "attention_prefill": Section(
        "Attention: prefill",
        "whole combinations of heads, key/value heads, head size and window",
        "Only causal attention was measured, no masks given as a tensor, no sinks, no cross-attention.",
    ),
    "attention_decode": Section(
        "Attention: decode",
        "whole combinations of heads, key/value heads, head size and window",
        "The benchmarks read the same keys and values again and again, so that short caches stay in L2; a server's do not. "
        "Batches of unequal lengths were not measured.",
    ),
    "attention_encoder": Section(
        "Attention: encoder",
        "whole combinations of heads, key/value heads and head size",
        "Padding masks and unequal lengths were not measured.",
    ),
    "mla_prefill": Section(
        "Latent attention: prefill",
        "whole combinations of heads and head size",
        "Models other than DeepSeek's shapes were not measured.",
    ),
    "mla_decode": Section(
        "Latent attention: decode",
        "whole combinations of heads and head size",
        "Models other than DeepSeek's shapes were not measured; caches stay in L2 as in decode above.",
    ),
    "moe": Section(
        "Mixture of experts",
        "whole combinations of hidden size, expert size, experts and top-k",
        "Routing is what the benchmark drew (balanced or a power law); a real router's skew, shared experts and the exchange "
        "between devices were not measured.",
    ),
    "conv": Section(
        "Convolution",
        "whole combinations of input and output channels",
        "The data cover one corner: 3x3, stride 1, padding 1, ungrouped, fp32, on four GPUs. Inside it the predictor says "
        "`learned`. Everything else (other kernels and strides, depthwise and grouped ones, 16-bit and 8-bit formats, GPUs "
        "newer than Turing) is unmeasured: it is the analytical model, corrected as the GEMM of its implicit GEMM is, and "
        "says `blended` or `analytical`.",
    ),
    "elementwise": Section(
        "Elementwise operators",
        "whole bands of sizes, a quarter of an octave wide",
        "fp32 in eager PyTorch alone. Other kinds, formats, and chains that engines fuse were not measured.",
    ),
    "softmax": Section(
        "Softmax", "whole widths", "fp32 in eager PyTorch alone; log-softmax and masked softmax were not measured."
    ),
    "norm": Section(
        "Normalisation",
        "whole widths",
        "LayerNorm in fp32 in eager PyTorch alone; RMSNorm, group and batch normalisation and fused residuals were not.",
    ),
    "quantize": Section(
        "Quantisation",
        "whole widths",
        "Only what the serving stacks run before an 8-bit or 4-bit product; dequantising was not. Finding scales "
        "alone has labels that are differences of two timings, many near 0: it is analytical.",
    ),
    "collective": Section(
        "Collectives",
        "whole combinations of kind and number of devices",
        "One node alone, up to eight devices; nothing that overlaps with computation.",
    ),
}
"""Every family that may have figures, in the order of the page."""

"""Convolutions: the algorithms that libraries have compete, and the fastest that can run a row is taken.

That is what engines do when they time the algorithms of a layer before they choose (cuDNN's ``Find``, TensorRT's tactics);
heuristics that choose without timing come close to it.
"""

from __future__ import annotations

from perfmodel.models.bounds import Bounds, Setting, fastest, memory_floor
from perfmodel.models.convolution.direct import direct
from perfmodel.models.convolution.gemm_based import im2col_gemm, implicit_gemm
from perfmodel.models.convolution.shape import conv_shape, formats
from perfmodel.models.convolution.transforms import fft, winograd
from perfmodel.ops import Conv, Operator

ALGORITHMS = (
    "implicit_gemm", "implicit_gemm_packed_groups", "im2col_gemm", "direct", "winograd_fused", "winograd_nonfused", "fft",
)  # fmt: skip
"""Names that are reported."""


def convolution(op: Operator, s: Setting) -> Bounds:
    """The fastest algorithm of each row."""
    assert isinstance(op, Conv)
    shape, f = conv_shape(op, s), formats(op, s)
    candidates = [
        *implicit_gemm(shape, f, s),
        *im2col_gemm(shape, f, s, op.transposed),
        *direct(shape, f, s),
        *winograd(op, shape, f, s),
        *fft(op, shape, f, s),
    ]
    return fastest(candidates, s, memory_floor(op, s))

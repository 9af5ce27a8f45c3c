"""The dimensions of a group of convolutions as arrays, in the words of the papers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from perfmodel.dtypes import Dtype
from perfmodel.dtypes import dtype as dtype_record
from perfmodel.models.bounds import Setting
from perfmodel.ops import Conv


@dataclass(frozen=True)
class ConvShape:
    """Rows of convolutions; arrays of shape ``[rows]``.

    Attributes:
        batch, groups: as in the descriptor.
        c_in, c_out: channels of *one group*.
        taps: kernel positions, kernel_d · kernel_h · kernel_w.
        inputs, outputs: positions of one image.
        out_h, out_w: extent of the output.
        products: positions at which a kernel is applied: outputs, or inputs where the convolution is transposed.
        stride: product of the strides.
        reach_h, reach_w: rows and columns that a (dilated) kernel spans.
        input_bytes, weight_bytes, output_bytes: of the three tensors.
        extra_bytes: what a fused epilogue reads.
        flops: 2 · batch · products · taps · c_in · c_out · groups, those of the direct algorithm.
    """

    batch: np.ndarray
    groups: np.ndarray
    c_in: np.ndarray
    c_out: np.ndarray
    taps: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    out_h: np.ndarray
    out_w: np.ndarray
    products: np.ndarray
    stride: np.ndarray
    reach_h: np.ndarray
    reach_w: np.ndarray
    input_bytes: np.ndarray
    weight_bytes: np.ndarray
    output_bytes: np.ndarray
    extra_bytes: np.ndarray
    flops: np.ndarray

    @property
    def compulsory_bytes(self) -> np.ndarray:
        """Every operand read once, the result written once."""
        total: np.ndarray = self.input_bytes + self.weight_bytes + self.output_bytes + self.extra_bytes
        return total

    def part(self, index: np.ndarray) -> ConvShape:
        """The rows ``index``."""
        return ConvShape(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Formats:
    """Bits of the values, and which units multiply them.

    Attributes:
        record: the dtype.
        output_bits: bits of a stored result.
        on_matrix_units: products run on matrix units, which take operands in vectors of 16 bytes.
    """

    record: Dtype
    output_bits: float
    on_matrix_units: bool


def conv_shape(op: Conv, s: Setting) -> ConvShape:
    """The arrays of a group of descriptors."""
    groups = np.maximum(s.per_row(op.groups), 1.0)
    c_in, c_out = np.floor(s.per_row(op.c_in) / groups), np.floor(s.per_row(op.c_out) / groups)
    taps = s.per_row(op.kernel_h) * s.per_row(op.kernel_w) * s.per_row(op.kernel_d)
    inputs = s.per_row(op.h) * s.per_row(op.w) * s.per_row(op.depth)
    out_h, out_w = s.per_row(op.out_h), s.per_row(op.out_w)
    outputs = out_h * out_w * s.per_row(op.out_d)
    weights = s.per_row(op.weight_bytes)
    return ConvShape(
        batch=s.per_row(op.batch), groups=groups, c_in=c_in, c_out=c_out, taps=taps, inputs=inputs, outputs=outputs,
        out_h=out_h, out_w=out_w, products=inputs if op.transposed else outputs,
        stride=s.per_row(op.stride_h) * s.per_row(op.stride_w) * s.per_row(op.stride_d),
        reach_h=s.per_row(op.dilation_h) * (s.per_row(op.kernel_h) - 1) + 1,
        reach_w=s.per_row(op.dilation_w) * (s.per_row(op.kernel_w) - 1) + 1,
        input_bytes=s.per_row(op.bytes_read) - weights, weight_bytes=weights, output_bytes=s.per_row(op.bytes_written),
        extra_bytes=s.extras.bytes_read, flops=s.per_row(op.product_flops),
    )  # fmt: skip


def formats(op: Conv, s: Setting) -> Formats:
    """The bits of a group of descriptors, and its units."""
    record = dtype_record(op.dtype)
    output_bits = record.output_bits if op.out_dtype is None else dtype_record(op.out_dtype).activation_bits
    return Formats(record, output_bits, s.device.kind != "cpu" and s.machine.on_matrix_units)

"""Descriptors of the operators that multiply matrices: GEMM, convolution, mixture of experts, RNN."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.errors import DescriptorError, one_of
from perfmodel.ops import costs
from perfmodel.ops.base import (
    Dim,
    Operator,
    Product,
    at_least,
    at_most,
    ceil_div,
    dim_field,
    floor_div,
    is_symbolic,
    lowest,
    storage_bytes,
)


def _of_numbers(dtype: str, batch: Dim, m: Dim, n: Dim, k: Dim) -> Product:
    """The product of real numbers that a product is.

    Complex matrices multiply as real ones of twice the columns and twice the terms, (Re A, Im A) · ((Re B, Im B), (-Im B,
    Re B)): 8 FLOPs a term of complex numbers.
    """
    if costs.is_complex(dtype):
        return Product(batch, m, 2 * n, 2 * k)
    return Product(batch, m, n, k)


@dataclass(frozen=True, kw_only=True)
class Gemm(Operator):
    """``batch`` independent products C[m,n] = A[m,k] · B[k,n]; B holds the weights where there are any.

    Args:
        dtype: of A and B, as one name (``"bf16"``, ``"fp8"``, ``"w4a16"``).
        batch: number of independent products. When B is shared by all of them, fold the batch into m instead.
        m: rows of A and of C (tokens, or samples).
        n: columns of B and of C (output features).
        k: columns of A and rows of B (input features): what is summed over.
        out_dtype: how C is stored; None means the usual output of ``dtype`` (16 bits for the narrow formats).
        layout: ``"nn"``, ``"nt"``, ... transposition of A and B as BLAS writes it; None means unknown.
    """

    op: ClassVar[str] = "gemm"
    batch: Dim = dim_field(1)
    m: Dim = dim_field()
    n: Dim = dim_field()
    k: Dim = dim_field()
    out_dtype: str | None = None
    layout: str | None = None

    @property
    def shape(self) -> str:
        batch = "" if isinstance(self.batch, int) and self.batch == 1 else f"{self.batch}x"
        return f"{batch}{self.m}x{self.n}x{self.k}"

    @property
    def products(self) -> tuple[Product, ...]:
        return (_of_numbers(self.dtype, self.batch, self.m, self.n, self.k),)

    @property
    def flops(self) -> Any:
        return self.product_flops

    @property
    def weight_bytes(self) -> Any:
        """Bytes of B."""
        return storage_bytes(self.batch * self.n * self.k, dtype_record(self.dtype).weight_bits)

    @property
    def bytes_read(self) -> Any:
        a = storage_bytes(self.batch * self.m * self.k, dtype_record(self.dtype).activation_bits)
        return a + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        bits = dtype_record(self.dtype).output_bits if self.out_dtype is None else 8 * element_bytes(self.out_dtype)
        return storage_bytes(self.batch * self.m * self.n, bits)


@dataclass(frozen=True, kw_only=True)
class Conv(Operator):
    """A two-dimensional convolution, NCHW in meaning; one-dimensional ones have h = kernel_h = 1.

    Padding is per side and symmetric; asymmetric padding is given as half the sum of the two sides.
    ``depth``, ``kernel_d``, ``stride_d``, ``pad_d`` and ``dilation_d`` carry a third spatial axis.

    Args:
        dtype: of input and filters, as one name (``"fp16"``, ``"int8"``).
        batch: samples (N).
        c_in, c_out: channels of the input and of the output, over all groups.
        h, w: rows and columns of the input, padding left out.
        kernel_h, kernel_w: rows and columns of a filter, at least 1; dilation left out.
        stride_h, stride_w: elements from one position of the filter to the next, at least 1.
        pad_h, pad_w: rows and columns of padding on each side; may be half of a whole number.
        dilation_h, dilation_w: elements from one tap of the filter to the next, at least 1 (dense).
        groups: parts that the channels are split into, convolved apart; ``c_in`` and ``c_out`` are multiples of it. As many
            as ``c_in`` is a depthwise convolution.
        depth: planes of the input; 1 for two-dimensional convolutions.
        kernel_d, stride_d, pad_d, dilation_d: the same along the planes.
        out_pad_h, out_pad_w, out_pad_d: rows, columns and planes by which the output of a transposed convolution is longer
            (ONNX's output_padding); unused otherwise.
        transposed: swaps the roles of input and output extent (ConvTranspose).
        out_dtype: how the output is stored; None means the usual output of ``dtype`` (16 bits for the narrow formats).

    Raises:
        DescriptorError: channels not divisible by the groups, or a kernel larger than the padded input.
    """

    op: ClassVar[str] = "conv"
    batch: Dim = dim_field(1)
    c_in: Dim = dim_field()
    c_out: Dim = dim_field()
    h: Dim = dim_field()
    w: Dim = dim_field()
    kernel_h: Dim = dim_field()
    kernel_w: Dim = dim_field()
    stride_h: Dim = dim_field(1)
    stride_w: Dim = dim_field(1)
    pad_h: Dim = dim_field(0)
    pad_w: Dim = dim_field(0)
    dilation_h: Dim = dim_field(1)
    dilation_w: Dim = dim_field(1)
    groups: Dim = dim_field(1)
    depth: Dim = dim_field(1)
    kernel_d: Dim = dim_field(1)
    stride_d: Dim = dim_field(1)
    pad_d: Dim = dim_field(0)
    dilation_d: Dim = dim_field(1)
    out_pad_h: Dim = dim_field(0)
    out_pad_w: Dim = dim_field(0)
    out_pad_d: Dim = dim_field(0)
    transposed: bool = False
    out_dtype: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "stride_h", "stride_w", "stride_d", "dilation_h", "dilation_w", "dilation_d", "groups",
            "kernel_h", "kernel_w", "kernel_d",
        ):  # fmt: skip
            _at_least_one("Conv", name, getattr(self, name))
        channels = (self.c_in, self.c_out, self.groups)
        if not any(map(is_symbolic, channels)) and any(
            r.max(initial=0) if isinstance(r, np.ndarray) else r
            for r in (self.c_in % self.groups, self.c_out % self.groups)
        ):
            raise DescriptorError(
                f"Conv has c_in {self.c_in} and c_out {self.c_out}, which its {self.groups} groups do not divide"
            )
        for name, size in (("out_h", self.h), ("out_w", self.w), ("out_d", self.depth)):
            value = lowest(getattr(self, name))
            # Nothing is made of nothing: an input without rows has an output without rows.
            if value is not None and value < (0 if self.transposed or lowest(size) == 0 else 1):
                raise DescriptorError(f"Conv has a kernel larger than its padded input: {name} would be {value}")

    def _out(self, size: Dim, kernel: Dim, stride: Dim, pad: Dim, dilation: Dim, out_pad: Dim) -> Any:
        if type(size) is type(kernel) is type(pad) is int and not self.transposed:  # nearly all of them
            return (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        reach = dilation * (kernel - 1) + 1
        if self.transposed:
            out = (size - 1) * stride - 2 * pad + reach + out_pad
            return int(out) if isinstance(out, float) else out
        padded = size + 2 * pad - reach
        if isinstance(padded, float) and padded.is_integer():
            padded = int(padded)
        out = floor_div(padded, stride) + 1
        return int(out) if isinstance(out, float) else out

    @cached_property
    def out_h(self) -> Any:
        """Rows of the output: floor((h + 2·pad - dilation·(kernel - 1) - 1) / stride) + 1."""
        return self._out(self.h, self.kernel_h, self.stride_h, self.pad_h, self.dilation_h, self.out_pad_h)

    @cached_property
    def out_w(self) -> Any:
        """Columns of the output."""
        return self._out(self.w, self.kernel_w, self.stride_w, self.pad_w, self.dilation_w, self.out_pad_w)

    @cached_property
    def out_d(self) -> Any:
        """Planes of the output; 1 for two-dimensional convolutions."""
        return self._out(self.depth, self.kernel_d, self.stride_d, self.pad_d, self.dilation_d, self.out_pad_d)

    @property
    def shape(self) -> str:
        space = f"{self.h}x{self.w}" if _is_one(self.depth) else f"{self.depth}x{self.h}x{self.w}"
        kernel = (
            f"{self.kernel_h}x{self.kernel_w}"
            if _is_one(self.kernel_d)
            else f"{self.kernel_d}x{self.kernel_h}x{self.kernel_w}"
        )
        options = [f"k{kernel}"]
        if not (_is_one(self.stride_h) and _is_one(self.stride_w)):
            options.append(f"s{self.stride_h}")
        if not (_is_one(self.dilation_h) and _is_one(self.dilation_w)):
            options.append(f"d{self.dilation_h}")
        if not _is_one(self.groups):
            options.append(f"g{self.groups}")
        return f"b{self.batch} {self.c_in}>{self.c_out} {space} {' '.join(options)}"

    @cached_property
    def products(self) -> tuple[Product, ...]:
        # Implicit GEMM (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014, section 3):
        # rows are output positions, columns output channels, the contraction runs over kernel and input channels.
        # A transposed convolution multiplies at every input position instead.
        rows = self.depth * self.h * self.w if self.transposed else self.out_d * self.out_h * self.out_w
        kernel = self.kernel_h * self.kernel_w * self.kernel_d
        c_in, c_out = floor_div(self.c_in, self.groups), floor_div(self.c_out, self.groups)
        if self.transposed:
            return (_of_numbers(self.dtype, self.groups, self.batch * rows, c_out * kernel, c_in),)
        return (_of_numbers(self.dtype, self.groups, self.batch * rows, c_out, c_in * kernel),)

    @property
    def flops(self) -> Any:
        return self.product_flops

    @property
    def weight_bytes(self) -> Any:
        """Bytes of the filters."""
        elements = self.c_out * floor_div(self.c_in, self.groups) * self.kernel_h * self.kernel_w * self.kernel_d
        return storage_bytes(elements, dtype_record(self.dtype).weight_bits)

    @property
    def bytes_read(self) -> Any:
        elements = self.batch * self.c_in * self.depth * self.h * self.w
        return storage_bytes(elements, dtype_record(self.dtype).activation_bits) + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        bits = dtype_record(self.dtype).output_bits if self.out_dtype is None else 8 * element_bytes(self.out_dtype)
        return storage_bytes(self.batch * self.c_out * self.out_d * self.out_h * self.out_w, bits)


def _at_least_one(owner: str, name: str, value: Dim) -> None:
    low = lowest(value)
    if low is not None and low < 1:
        raise DescriptorError(f"{owner}.{name} is {low}; it is at least 1")


def _is_one(value: Dim) -> bool:
    return isinstance(value, int) and value == 1


@dataclass(frozen=True, kw_only=True)
class Moe(Operator):
    """The expert layers of a mixture-of-experts block on one GPU, routing decided.

    Args:
        dtype: of the products' operands (``"bf16"``, ``"fp8"``, ``"w4a16"``); tokens arrive and leave in 16 bits at least.
        tokens: tokens of the whole batch, over all ranks.
        hidden, intermediate: model width and expert width (before tensor parallelism).
        experts: experts of the whole layer (before expert parallelism).
        top_k: experts that each token visits.
        tp, ep: ranks the experts' width and the experts themselves are split over, at least 1 each.
        distribution: how tokens spread over experts (``"uniform"``, ``"power_law_1.2"``, ...); None means uniform.
        matrices: weight matrices per expert: 3 for gated units (gate, up, down), 2 without a gate.
    """

    op: ClassVar[str] = "moe"
    tokens: Dim = dim_field()
    hidden: Dim = dim_field()
    intermediate: Dim = dim_field()
    experts: Dim = dim_field()
    top_k: Dim = dim_field()
    tp: Dim = dim_field(1)
    ep: Dim = dim_field(1)
    distribution: str | None = None
    matrices: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tp", "ep"):
            _at_least_one("Moe", name, getattr(self, name))

    @property
    def local_experts(self) -> Any:
        """Experts that live on this GPU."""
        return at_least(floor_div(self.experts, self.ep), 1)

    @property
    def local_rows(self) -> Any:
        """(token, expert) pairs that reach this GPU when the load is even."""
        return ceil_div(self.tokens * self.top_k, self.ep)

    @property
    def active_experts(self) -> Any:
        """Experts of this GPU that receive at least one token, at most."""
        return at_most(self.local_experts, self.local_rows)

    @property
    def products(self) -> tuple[Product, ...]:
        width = ceil_div(self.intermediate, self.tp)
        rows = self.local_rows
        # Each active expert multiplies its share of the rows; written with batch = 1 so that FLOPs stay exact.
        up = Product(1, rows, (self.matrices - 1) * width, self.hidden)
        down = Product(1, rows, self.hidden, width)
        return (up, down)

    @property
    def flops(self) -> Any:
        gate = costs.FLOPS_PER_ELEMENT["silu"] + (1 if self.matrices == 3 else 0)
        return self.product_flops + self.local_rows * ceil_div(self.intermediate, self.tp) * gate

    @property
    def weight_bytes(self) -> Any:
        """Bytes of the experts that are read: only those that receive a token."""
        elements = self.active_experts * self.matrices * self.hidden * ceil_div(self.intermediate, self.tp)
        return storage_bytes(elements, dtype_record(self.dtype).weight_bits)

    @property
    def bytes_read(self) -> Any:
        return self.bytes_written + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        # Tokens arrive and leave in 16 bits, wider where the arithmetic is: narrow operands are quantised inside.
        bits = max(16.0, dtype_record(self.dtype).activation_bits)
        return storage_bytes(self.tokens * self.hidden, bits)


RNN_GATES = {"lstm": 4, "gru": 3, "rnn": 1}

# Of one cell and step: how often each activation runs, in the order in which they are named; what they are by default;
# and multiplications and additions that update the state. LSTM: c = f∘c + i∘g, h = o∘act(c). GRU: the reset gate, then
# h = (1 - z)∘g + z∘h.
_RNN_ACTIVATIONS = {"lstm": (3, 1, 1), "gru": (2, 1), "rnn": (1,)}
_RNN_DEFAULTS = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh"), "rnn": ("tanh",)}
_RNN_UPDATE = {"lstm": 4, "gru": 5, "rnn": 0}
_PEEPHOLES = 3


@dataclass(frozen=True, kw_only=True)
class Rnn(Operator):
    """A recurrent layer over ``seq_len`` steps.

    Args:
        dtype: of the sequence and of the weights (``"fp16"``).
        kind: ``"lstm"`` (4 gates), ``"gru"`` (3) or ``"rnn"`` (1).
        batch: sequences.
        seq_len: steps of each sequence, run one after the other.
        input_size: features of a step's input.
        hidden_size: features of the state, and of the output in each direction.
        directions: 2 for a bidirectional layer.
        bias: each gate adds two biases, one of the input's product and one of the recurrent product.
        peepholes: three gates of an LSTM see the cell's state (a multiplication and an addition each).
        activations: keys of :data:`perfmodel.ops.costs.FLOPS_PER_ELEMENT` joined by ``+``: the gates', the candidate's and
            the output's, one set for all directions or one a direction; None means sigmoid and tanh as usual.
    """

    op: ClassVar[str] = "rnn"
    kind: str = "lstm"
    batch: Dim = dim_field(1)
    seq_len: Dim = dim_field()
    input_size: Dim = dim_field()
    hidden_size: Dim = dim_field()
    directions: Dim = dim_field(1)
    bias: bool = True
    peepholes: bool = False
    activations: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("Rnn.kind", self.kind, tuple(RNN_GATES), DescriptorError)
        names = self._activations
        wanted = len(_RNN_ACTIVATIONS[self.kind])
        if not names or len(names) % wanted:
            raise DescriptorError(f"Rnn.activations names {len(names)}; a {self.kind} has {wanted} a direction")
        unknown = [name for name in names if name not in costs.FLOPS_PER_ELEMENT]
        if unknown:
            raise DescriptorError(f"Rnn.activations has the unknown {', '.join(unknown)}")

    @property
    def _activations(self) -> tuple[str, ...]:
        return _RNN_DEFAULTS[self.kind] if self.activations is None else tuple(self.activations.split("+"))

    @property
    def gates(self) -> int:
        """Gates of the cell: rows of weights per hidden unit."""
        return RNN_GATES[self.kind]

    @property
    def products(self) -> tuple[Product, ...]:
        width = self.gates * self.hidden_size
        # Input projections of all steps are one GEMM; the recurrent ones are seq_len dependent small ones.
        return (
            Product(self.directions, self.batch * self.seq_len, width, self.input_size),
            Product(self.directions * self.seq_len, self.batch, width, self.hidden_size),
        )

    @property
    def flops(self) -> Any:
        cells = self.batch * self.seq_len * self.hidden_size
        counts = _RNN_ACTIVATIONS[self.kind]
        names = self._activations
        sets = len(names) // len(counts)
        activations = sum(
            count * costs.FLOPS_PER_ELEMENT[name] for count, name in zip(counts * sets, names, strict=True)
        )
        others = _RNN_UPDATE[self.kind]
        if self.bias:
            others += 2 * self.gates
        if self.peepholes:
            others += 2 * _PEEPHOLES
        per_cell = others * self.directions + (activations if sets > 1 else activations * self.directions)
        return self.product_flops + cells * per_cell

    @property
    def weight_bytes(self) -> Any:
        """Bytes of W and R of all directions."""
        elements = self.directions * self.gates * self.hidden_size * (self.input_size + self.hidden_size)
        return storage_bytes(elements, dtype_record(self.dtype).weight_bits)

    @property
    def bytes_read(self) -> Any:
        x = self.batch * self.seq_len * self.input_size
        return storage_bytes(x, dtype_record(self.dtype).activation_bits) + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        out = self.batch * self.seq_len * self.directions * self.hidden_size
        return storage_bytes(out, dtype_record(self.dtype).output_bits)


__all__ = ["Conv", "Gemm", "Moe", "Rnn"]

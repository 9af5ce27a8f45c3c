"""Descriptors of the operators that multiply matrices: GEMM, convolution, attention, mixture of experts, RNN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.errors import DescriptorError
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
    storage_bytes,
)


@dataclass(frozen=True, kw_only=True)
class Gemm(Operator):
    """``batch`` independent products C[m,n] = A[m,k] · B[k,n]; B holds the weights where there are any.

    Args:
        batch: number of independent products. When B is shared by all of them, fold the batch into m instead.
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
    def products(self) -> tuple[Product, ...]:
        return (Product(self.batch, self.m, self.n, self.k),)

    @property
    def flops(self) -> Any:
        return self.product_flops

    @property
    def weight_bytes(self) -> Any:
        """Bytes of B."""
        return storage_bytes(self.batch * self.n * self.k, dtype_record(self.dtype).weight_bits)  # type: ignore[operator]

    @property
    def bytes_read(self) -> Any:
        a = storage_bytes(self.batch * self.m * self.k, dtype_record(self.dtype).activation_bits)  # type: ignore[operator]
        return a + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        bits = dtype_record(self.dtype).output_bits if self.out_dtype is None else 8 * element_bytes(self.out_dtype)
        return storage_bytes(self.batch * self.m * self.n, bits)  # type: ignore[operator]


@dataclass(frozen=True, kw_only=True)
class Conv(Operator):
    """A two-dimensional convolution, NCHW in meaning; one-dimensional ones have h = kernel_h = 1.

    Padding is per side and symmetric; asymmetric padding is given as half the sum of the two sides.
    ``transposed`` swaps the roles of input and output extent (ConvTranspose), whose output may be longer by
    ``out_pad_h``, ``out_pad_w`` and ``out_pad_d`` (output_padding). ``depth``, ``kernel_d``, ``stride_d``, ``pad_d`` and
    ``dilation_d`` carry a third spatial axis; like ``h`` and ``w``, ``depth`` is the extent of the input.

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
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise DescriptorError(f"Conv.{name} is {value}; it is at least 1")
        if all(isinstance(v, int) for v in (self.c_in, self.c_out, self.groups)) and (
            self.c_in % self.groups or self.c_out % self.groups  # type: ignore[operator]
        ):
            raise DescriptorError(
                f"Conv has c_in {self.c_in} and c_out {self.c_out}, which its {self.groups} groups do not divide"
            )
        for name in ("out_h", "out_w", "out_d"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 0:
                raise DescriptorError(f"Conv has a kernel larger than its padded input: {name} would be {value}")

    def _out(self, size: Dim, kernel: Dim, stride: Dim, pad: Dim, dilation: Dim, out_pad: Dim) -> Any:
        reach = dilation * (kernel - 1) + 1  # type: ignore[operator]
        if self.transposed:
            out = (size - 1) * stride - 2 * pad + reach + out_pad  # type: ignore[operator]
            return int(out) if isinstance(out, float) else out
        padded = size + 2 * pad - reach  # type: ignore[operator]
        if isinstance(padded, float) and padded.is_integer():
            padded = int(padded)
        out = floor_div(padded, stride) + 1
        return int(out) if isinstance(out, float) else out

    @property
    def out_h(self) -> Any:
        """Rows of the output: floor((h + 2·pad - dilation·(kernel - 1) - 1) / stride) + 1."""
        return self._out(self.h, self.kernel_h, self.stride_h, self.pad_h, self.dilation_h, self.out_pad_h)

    @property
    def out_w(self) -> Any:
        """Columns of the output."""
        return self._out(self.w, self.kernel_w, self.stride_w, self.pad_w, self.dilation_w, self.out_pad_w)

    @property
    def out_d(self) -> Any:
        """Planes of the output; 1 for two-dimensional convolutions."""
        return self._out(self.depth, self.kernel_d, self.stride_d, self.pad_d, self.dilation_d, self.out_pad_d)

    @property
    def products(self) -> tuple[Product, ...]:
        # Implicit GEMM (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014, section 3):
        # rows are output positions, columns output channels, the contraction runs over kernel and input channels.
        # A transposed convolution multiplies at every input position instead.
        rows = self.depth * self.h * self.w if self.transposed else self.out_d * self.out_h * self.out_w  # type: ignore[operator]
        kernel = self.kernel_h * self.kernel_w * self.kernel_d  # type: ignore[operator]
        c_in, c_out = floor_div(self.c_in, self.groups), floor_div(self.c_out, self.groups)
        if self.transposed:
            return (Product(self.groups, self.batch * rows, c_out * kernel, c_in),)  # type: ignore[operator]
        return (Product(self.groups, self.batch * rows, c_out, c_in * kernel),)  # type: ignore[operator]

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
        elements = self.batch * self.c_in * self.depth * self.h * self.w  # type: ignore[operator]
        return storage_bytes(elements, dtype_record(self.dtype).activation_bits) + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        bits = dtype_record(self.dtype).output_bits if self.out_dtype is None else 8 * element_bytes(self.out_dtype)
        return storage_bytes(self.batch * self.c_out * self.out_d * self.out_h * self.out_w, bits)  # type: ignore[operator]


ATTENTION_PHASES = ("prefill", "decode", "encoder", "mla_prefill", "mla_decode")


@dataclass(frozen=True, kw_only=True)
class Attention(Operator):
    """softmax(Q·K^T)·V over ``heads`` query heads sharing ``kv_heads`` key/value heads, in one fused kernel.

    Args:
        phase: one of :data:`ATTENTION_PHASES`. In the ``mla_*`` phases K and V are one latent of ``head_dim``
            values per token, of which the first ``v_head_dim`` serve as V (DeepSeek-V2, section 2.1).
        q_len, kv_len: tokens per sequence on either side; ``kv_len`` includes tokens already cached.
        v_head_dim: width of a value head; None means ``head_dim``.
        causal: query i sees the first ``kv_len - q_len + i + 1`` keys.
        window: each query sees at most this many keys; None means all.
        kv_dtype: how K and V are stored; None means ``dtype``.
        tp: tensor-parallel ranks the model was split over (``heads`` are already per GPU).
    """

    op: ClassVar[str] = "attention"
    phase: str = "prefill"
    batch: Dim = dim_field(1)
    q_len: Dim = dim_field()
    kv_len: Dim = dim_field()
    heads: Dim = dim_field()
    kv_heads: Dim = dim_field()
    head_dim: Dim = dim_field()
    v_head_dim: Dim | None = dim_field(None)
    causal: bool = False
    window: Dim | None = dim_field(None)
    kv_dtype: str | None = None
    tp: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phase not in ATTENTION_PHASES:
            raise DescriptorError(f"Attention.phase is {self.phase!r}; wanted one of {', '.join(ATTENTION_PHASES)}")

    @property
    def value_dim(self) -> Any:
        """Width of a value head."""
        return self.head_dim if self.v_head_dim is None else self.v_head_dim

    @property
    def products(self) -> tuple[Product, ...]:
        streams = self.batch * self.heads  # type: ignore[operator]
        return (
            Product(streams, self.q_len, self.kv_len, self.head_dim),
            Product(streams, self.q_len, self.value_dim, self.kv_len),
        )

    @property
    def scores(self) -> Any:
        """Query-key pairs over all heads, unmasked."""
        return self.batch * self.heads * self.q_len * self.kv_len  # type: ignore[operator]

    @property
    def scores_executed(self) -> Any:
        """Query-key pairs that causality and the window leave."""
        return self.batch * self.heads * self._visible_pairs()  # type: ignore[operator]

    def _visible_pairs(self) -> Any:
        """Sum over the queries of the keys each sees; closed form, exact for integers."""
        q, kv = self.q_len, self.kv_len
        window = kv if self.window is None else at_most(self.window, kv)
        if not self.causal:
            return q * window  # type: ignore[operator]
        # Query i (0-based) sees min(kv - q + i + 1, window) keys; the first `ramp` queries see fewer than the window.
        first = at_least(kv - q + 1, 0)  # type: ignore[operator]
        ramp = at_most(at_least(window - first, 0), q)
        rising = ramp * first + floor_div(ramp * (ramp - 1), 2)
        return rising + (q - ramp) * window

    @property
    def flops(self) -> Any:
        # One more per score for the scale, then the softmax.
        return self.product_flops + self.scores * (1 + costs.SOFTMAX)

    @property
    def flops_executed(self) -> Any:
        return self.scores_executed * (2 * self.head_dim + 2 * self.value_dim + 1 + costs.SOFTMAX)  # type: ignore[operator]

    @property
    def kv_bytes(self) -> Any:
        """Bytes of the keys and values (of the latent, for MLA)."""
        width = self.head_dim if self.phase.startswith("mla_decode") else self.head_dim + self.value_dim  # type: ignore[operator]
        elements = self.batch * self.kv_heads * self.kv_len * width  # type: ignore[operator]
        return storage_bytes(elements, 8 * element_bytes(self.kv_dtype or self.dtype))

    @property
    def bytes_read(self) -> Any:
        q = self.batch * self.heads * self.q_len * self.head_dim  # type: ignore[operator]
        return storage_bytes(q, 8 * element_bytes(self.dtype)) + self.kv_bytes

    @property
    def bytes_written(self) -> Any:
        out = self.batch * self.heads * self.q_len * self.value_dim  # type: ignore[operator]
        return storage_bytes(out, dtype_record(self.dtype).output_bits)


@dataclass(frozen=True, kw_only=True)
class Moe(Operator):
    """The expert layers of a mixture-of-experts block on one GPU, routing decided.

    Args:
        tokens: tokens of the whole batch, over all ranks.
        hidden, intermediate: model width and expert width (before tensor parallelism).
        experts: experts of the whole layer (before expert parallelism); each token visits ``top_k`` of them.
        tp, ep: ranks the experts' width and the experts themselves are split over.
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

    @property
    def local_experts(self) -> Any:
        """Experts that live on this GPU."""
        return at_least(floor_div(self.experts, self.ep), 1)

    @property
    def local_rows(self) -> Any:
        """(token, expert) pairs that reach this GPU when the load is even."""
        return ceil_div(self.tokens * self.top_k, self.ep)  # type: ignore[operator]

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
        return storage_bytes(self.tokens * self.hidden, 16) + self.weight_bytes  # type: ignore[operator]

    @property
    def bytes_written(self) -> Any:
        return storage_bytes(self.tokens * self.hidden, 16)  # type: ignore[operator]


RNN_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True, kw_only=True)
class Rnn(Operator):
    """A recurrent layer over ``seq_len`` steps.

    Args:
        kind: ``"lstm"`` (4 gates), ``"gru"`` (3) or ``"rnn"`` (1).
        directions: 2 for a bidirectional layer.
    """

    op: ClassVar[str] = "rnn"
    kind: str = "lstm"
    batch: Dim = dim_field(1)
    seq_len: Dim = dim_field()
    input_size: Dim = dim_field()
    hidden_size: Dim = dim_field()
    directions: Dim = dim_field(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in RNN_GATES:
            raise DescriptorError(f"Rnn.kind is {self.kind!r}; wanted one of {', '.join(RNN_GATES)}")

    @property
    def gates(self) -> int:
        """Gates of the cell: rows of weights per hidden unit."""
        return RNN_GATES[self.kind]

    @property
    def products(self) -> tuple[Product, ...]:
        width = self.gates * self.hidden_size  # type: ignore[operator]
        # Input projections of all steps are one GEMM; the recurrent ones are seq_len dependent small ones.
        return (
            Product(self.directions, self.batch * self.seq_len, width, self.input_size),  # type: ignore[operator]
            Product(self.directions * self.seq_len, self.batch, width, self.hidden_size),  # type: ignore[operator]
        )

    @property
    def flops(self) -> Any:
        cells = self.directions * self.batch * self.seq_len * self.hidden_size  # type: ignore[operator]
        gate = {
            "lstm": 3 * costs.SIGMOID + 2 * costs.TRANSCENDENTAL + 4 + 8,  # 3 sigmoid, 2 tanh, cell update 4, biases 8
            "gru": 2 * costs.SIGMOID + costs.TRANSCENDENTAL + 5 + 6,
            "rnn": costs.TRANSCENDENTAL + 2,
        }[self.kind]
        return self.product_flops + cells * gate

    @property
    def weight_bytes(self) -> Any:
        """Bytes of W and R of all directions."""
        elements = self.directions * self.gates * self.hidden_size * (self.input_size + self.hidden_size)  # type: ignore[operator]
        return storage_bytes(elements, dtype_record(self.dtype).weight_bits)

    @property
    def bytes_read(self) -> Any:
        x = self.batch * self.seq_len * self.input_size  # type: ignore[operator]
        return storage_bytes(x, dtype_record(self.dtype).activation_bits) + self.weight_bytes

    @property
    def bytes_written(self) -> Any:
        out = self.batch * self.seq_len * self.directions * self.hidden_size  # type: ignore[operator]
        return storage_bytes(out, dtype_record(self.dtype).output_bits)


__all__ = ["ATTENTION_PHASES", "Attention", "Conv", "Gemm", "Moe", "Rnn", "is_symbolic"]

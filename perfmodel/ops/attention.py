"""The descriptor of fused attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes
from perfmodel.errors import DescriptorError, one_of
from perfmodel.ops import costs
from perfmodel.ops.base import Dim, Operator, Product, at_least, at_most, dim_field, floor_div, storage_bytes

ATTENTION_PHASES = ("prefill", "decode", "encoder", "mla_prefill", "mla_decode")


@dataclass(frozen=True, kw_only=True)
class Attention(Operator):
    """softmax(Q·K^T)·V over ``heads`` query heads sharing ``kv_heads`` key/value heads, in one fused kernel.

    Args:
        dtype: of Q (``"bf16"``, ``"fp8"``), and of K and V where ``kv_dtype`` is None; narrow formats give 16 bits.
        phase: one of :data:`ATTENTION_PHASES`. In ``mla_decode`` K and V are one latent of ``head_dim`` values per token,
            of which the first ``v_head_dim`` serve as V (DeepSeek-V2, section 2.1); ``mla_prefill`` has them apart.
        batch: sequences.
        q_len, kv_len: tokens per sequence on either side; ``kv_len`` includes tokens already cached.
        heads: query heads on this GPU.
        kv_heads: key/value heads on this GPU: as many as ``heads`` (MHA), fewer (GQA), or 1 (MQA).
        head_dim: width of a query and of a key head.
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
        one_of("Attention.phase", self.phase, ATTENTION_PHASES, DescriptorError)

    @property
    def shape(self) -> str:
        parts = [
            f"b{self.batch}",
            f"q{self.q_len}",
            f"kv{self.kv_len}",
            f"h{self.heads}/{self.kv_heads}",
            f"d{self.head_dim}",
        ]
        if self.causal:
            parts.append("causal")
        if self.window is not None:
            parts.append(f"w{self.window}")
        return " ".join(parts)

    @property
    def value_dim(self) -> Any:
        """Width of a value head."""
        return self.head_dim if self.v_head_dim is None else self.v_head_dim

    @property
    def products(self) -> tuple[Product, ...]:
        streams = self.batch * self.heads
        return (
            Product(streams, self.q_len, self.kv_len, self.head_dim),
            Product(streams, self.q_len, self.value_dim, self.kv_len),
        )

    @property
    def scores(self) -> Any:
        """Query-key pairs over all heads, unmasked."""
        return self.batch * self.heads * self.q_len * self.kv_len

    @property
    def scores_executed(self) -> Any:
        """Query-key pairs that causality and the window leave."""
        return self.batch * self.heads * self._visible_pairs()

    def _visible_pairs(self) -> Any:
        """Sum over the queries of the keys each sees; closed form, exact for integers."""
        q, kv = self.q_len, self.kv_len
        window = kv if self.window is None else at_most(self.window, kv)
        if not self.causal:
            return q * window
        # Query i (0-based) sees min(kv - q + i + 1, window) keys. The first q - kv queries, if any, see none; of the
        # others the first `ramp` see fewer than the window.
        seeing = at_most(q, kv)
        first = at_least(kv - q, 0) + 1
        ramp = at_most(at_least(window - first, 0), seeing)
        rising = ramp * first + floor_div(ramp * (ramp - 1), 2)
        return rising + (seeing - ramp) * window

    @property
    def flops(self) -> Any:
        # One more per score for the scale, then the softmax.
        return self.product_flops + self.scores * (1 + costs.SOFTMAX)

    @property
    def flops_executed(self) -> Any:
        return self.scores_executed * (2 * self.head_dim + 2 * self.value_dim + 1 + costs.SOFTMAX)

    @property
    def kv_bytes(self) -> Any:
        """Bytes of the keys and values (of the latent, for MLA) that some query sees.

        With a window those are the last ``q_len + window - 1`` of them at most: kernels skip the others.
        """
        width = self.head_dim if self.phase == "mla_decode" else self.head_dim + self.value_dim
        seen = self.kv_len
        if self.window is not None:
            seen = at_most(seen, at_least(self.q_len + self.window - 1, 0))
        elements = self.batch * self.kv_heads * seen * width
        return storage_bytes(elements, 8 * element_bytes(self.kv_dtype or self.dtype))

    @property
    def bytes_read(self) -> Any:
        q = self.batch * self.heads * self.q_len * self.head_dim
        return storage_bytes(q, 8 * element_bytes(self.dtype)) + self.kv_bytes

    @property
    def bytes_written(self) -> Any:
        out = self.batch * self.heads * self.q_len * self.value_dim
        return storage_bytes(out, dtype_record(self.dtype).output_bits)

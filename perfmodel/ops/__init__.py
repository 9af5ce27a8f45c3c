"""Operator descriptors: what is computed, with FLOPs and bytes that follow from the shapes alone."""

from perfmodel.ops.attention import Attention
from perfmodel.ops.base import Dim, Operator, Product, is_symbolic
from perfmodel.ops.memory import (
    Collective,
    Copy,
    Elementwise,
    Embedding,
    Norm,
    Pool,
    Quantize,
    Reduce,
    Softmax,
    Unmodelled,
    View,
)
from perfmodel.ops.products import Conv, Gemm, Moe, Rnn

FAMILIES: dict[str, type[Operator]] = {
    cls.op: cls
    for cls in (
        Gemm, Conv, Attention, Moe, Rnn, Norm, Softmax, Elementwise, Reduce, Pool, Copy, Embedding, Quantize, Collective,
        View, Unmodelled,
    )
}  # fmt: skip
"""Every descriptor class by its family's name."""

GEMM_LIKE = ("gemm", "conv", "attention", "moe", "rnn")
"""Families that multiply matrices and that ``--dtype`` casts."""

__all__ = [
    "FAMILIES",
    "GEMM_LIKE",
    "Attention",
    "Collective",
    "Conv",
    "Copy",
    "Dim",
    "Elementwise",
    "Embedding",
    "Gemm",
    "Moe",
    "Norm",
    "Operator",
    "Pool",
    "Product",
    "Quantize",
    "Reduce",
    "Rnn",
    "Softmax",
    "Unmodelled",
    "View",
    "is_symbolic",
]

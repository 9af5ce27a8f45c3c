"""Operators and devices that the contract suite asks about: every family, ordinary, tiny and huge."""

from __future__ import annotations

from perfmodel.ops import (
    Attention,
    Collective,
    Conv,
    Copy,
    Elementwise,
    Embedding,
    Gemm,
    Moe,
    Norm,
    Operator,
    Pool,
    Quantize,
    Reduce,
    Rnn,
    Softmax,
)

SAMPLES: tuple[Operator, ...] = (
    Gemm(m=4096, n=4096, k=4096, dtype="bf16"),
    Gemm(m=1, n=4096, k=11008, dtype="bf16"),
    Gemm(m=77, n=320, k=100, dtype="fp16"),
    Gemm(batch=12, m=128, n=128, k=64, dtype="fp32"),
    Gemm(m=512, n=4096, k=4096, dtype="int8"),
    Conv(batch=8, c_in=64, c_out=64, h=56, w=56, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="fp16"),
    Conv(c_in=96, c_out=96, h=28, w=28, kernel_h=5, kernel_w=5, stride_h=2, stride_w=2, groups=96, dtype="fp32"),
    Attention(batch=2, q_len=512, kv_len=512, heads=16, kv_heads=4, head_dim=128, causal=True, dtype="bf16"),
    Attention(phase="decode", batch=16, q_len=1, kv_len=3000, heads=32, kv_heads=8, head_dim=128, dtype="fp16"),
    Moe(tokens=100, hidden=2048, intermediate=768, experts=64, top_k=8, dtype="bf16"),
    Rnn(batch=4, seq_len=32, input_size=256, hidden_size=256, dtype="fp32"),
    Norm(kind="rmsnorm", rows=1024, cols=4096, dtype="bf16"),
    Softmax(rows=4096, cols=1000, dtype="fp32"),
    Elementwise(kind="gelu", elements=1_000_000, dtype="fp16"),
    Reduce(rows=512, cols=2048, dtype="fp32"),
    Pool(batch=8, channels=64, h=56, w=56, out_h=28, out_w=28, kernel_h=3, kernel_w=3, dtype="fp16"),
    Copy(elements=5_000_000, dtype="bf16"),
    Embedding(rows=2048, cols=4096, dtype="bf16"),
    Quantize(rows=512, cols=4096, dtype="bf16", out_dtype="int8"),
    Collective(message_bytes=2**24, ranks=8, dtype="bf16"),
)
"""One or more of every family that runs a kernel."""

EXTREMES: tuple[Operator, ...] = (
    Gemm(m=1, n=1, k=1, dtype="bf16"),
    Gemm(m=2**20, n=2**20, k=2**20, dtype="bf16"),
    Gemm(m=2**40, n=1, k=1, dtype="fp16"),
    Gemm(m=1, n=1, k=2**40, dtype="fp32"),
    Gemm(batch=2**30, m=1, n=1, k=1, dtype="bf16"),
    Conv(c_in=1, c_out=1, h=1, w=1, kernel_h=1, kernel_w=1, dtype="fp16"),
    Conv(batch=2**16, c_in=2**14, c_out=2**14, h=2**10, w=2**10, kernel_h=3, kernel_w=3, dtype="fp16"),
    Attention(q_len=1, kv_len=1, heads=1, kv_heads=1, head_dim=1, dtype="bf16"),
    Attention(q_len=2**24, kv_len=2**24, heads=128, kv_heads=8, head_dim=128, causal=True, dtype="bf16"),
    Moe(tokens=1, hidden=1, intermediate=1, experts=1, top_k=1, dtype="bf16"),
    Moe(tokens=2**30, hidden=2**14, intermediate=2**14, experts=2**12, top_k=8, dtype="bf16"),
    Rnn(seq_len=1, input_size=1, hidden_size=1, dtype="fp32"),
    Norm(rows=1, cols=1, dtype="fp16"),
    Norm(rows=2**30, cols=2**20, dtype="fp16"),
    Softmax(rows=1, cols=1, dtype="fp16"),
    Softmax(rows=1, cols=2**40, dtype="fp16"),
    Elementwise(kind="add", elements=1, inputs=2, dtype="fp32"),
    Elementwise(kind="tanh", elements=2**45, dtype="fp32"),
    Reduce(rows=1, cols=1, dtype="fp32"),
    Reduce(rows=1, cols=2**40, dtype="fp32"),
    Pool(channels=1, h=1, w=1, out_h=1, out_w=1, kernel_h=1, kernel_w=1, dtype="fp32"),
    Copy(elements=1, dtype="fp16"),
    Copy(elements=2**45, dtype="fp16"),
    Embedding(rows=1, cols=1, dtype="fp16"),
    Quantize(rows=1, cols=1, dtype="bf16", out_dtype="int8"),
    Quantize(rows=2**30, cols=2**14, dtype="bf16", out_dtype="int8"),
    Collective(message_bytes=1, ranks=2, dtype="bf16"),
    Collective(message_bytes=2**40, ranks=8, dtype="bf16"),
)
"""The smallest and absurdly large shapes of the families."""

DEVICES = ("h100-sxm", "a100-sxm-80gb", "l40s", "v100-pcie-32gb")
"""GPUs of four families; the shipped predictor has measurements of the first three."""

"""Rules of weights narrower than the activations that they meet (``com.microsoft``): 2 to 8 bits, with scales."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.dtypes import mixed_dtype
from perfmodel.features.onnx import rules_products
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_contrib import routed

_WEIGHT_ONLY = {4: "w4a16", 8: "w8a16"}
"""The formats of 16-bit activations, by the weights' bits."""


def weight_only_dtype(activation: str, bits: int) -> str | None:
    """The format of a product with weights of so many bits, None where there is none."""
    return _WEIGHT_ONLY.get(bits) if activation in ("fp16", "bf16") else None


def narrow_product(
    call: Call, m: Any, n: Any, k: Any, bits: int, block: Any, stored: Any, *, bias: int | None = None
) -> Modelled:
    """A product whose weights take ``stored`` bytes, scales and zero points included.

    Args:
        m, n, k: rows of the activations, columns of the result, length of the sums.
        bias: the operand that is added to the result.
    """
    dtype = weight_only_dtype(call.dtype, bits)
    op = ops.Gemm(batch=1, m=m, n=n, k=k, dtype=dtype or call.dtype, out_dtype=call.out_dtype)
    plain = Modelled(op) if bias is None else rules_products.with_bias(call, op, bias, {})
    attributes = {**plain.attributes, "bits": bits, "block_size": block}
    # The descriptor counts weights in its format's width; take off (or put on) what the file's do not (or do) read.
    excess = op.weight_bytes - stored if isinstance(stored, (int, float)) else 0
    return Modelled(op, attributes, plain.fused, plain.extra_bytes_read - min(excess, op.weight_bytes))


def _stored(call: Call, *operands: int) -> Any:
    return sum(call.tensor(i).bytes for i in operands if call.has(i))


def matmul_nbits(call: Call) -> Modelled:
    """MatMulNBits(A, B, scales, zero points, group index, bias): weights of 2 to 8 bits, with a scale a block."""
    a = call.shape(0)
    n, k, bits = int(call.get("N", 0)), int(call.get("K", 0)), int(call.get("bits", 4))
    block = int(call.get("block_size", 32))
    if not (1 <= bits <= 8 and n > 0 and k > 0 and block > 0):
        raise RuleError(f"it has {bits} bits, N = {n}, K = {k} and blocks of {block}")
    # Where a block is longer than a row, one scale serves the row.
    record = mixed_dtype(bits, 32 if call.dtype == "fp32" else 16, max(8, min(block, k)))
    op = ops.Gemm(batch=1, m=elements(a[:-1]), n=n, k=k, dtype=record.name, out_dtype=call.out_dtype)
    plain = rules_products.with_bias(call, op, 5, {"bits": bits, "block_size": block})
    return Modelled(op, plain.attributes, plain.fused, plain.extra_bytes_read + _stored(call, 3, 4))


def matmul_bnb4(call: Call) -> Modelled:
    """MatMulBnb4(A, B, absmax): 4-bit floats of bitsandbytes, a scale a block."""
    n, k = int(call.get("N", 0)), int(call.get("K", 0))
    rows = elements(call.shape(0)[:-1])
    return narrow_product(call, rows, n, k, 4, call.get("block_size", None), _stored(call, 1, 2))


def matmul_fpq4(call: Call) -> Modelled:
    """MatMulFpQ4(A, B, shape of B): 4-bit blocks of MLAS, scales inside."""
    rows, k = elements(call.shape(0)[:-1]), call.shape(0)[-1]
    return narrow_product(call, rows, call.result_shape()[-1], k, 4, 32, _stored(call, 1))


def block_fp(bits: int) -> Rule:
    """MatMulBlockQuantizedFp8Weight and ...Fp4Weight: B is [N, K] in 8 or 4 bits, with scales of blocks."""

    def rule(call: Call) -> Modelled:
        rows, k = elements(call.shape(0)[:-1]), call.shape(0)[-1]
        return narrow_product(call, rows, call.result_shape()[-1], k, bits, None, _stored(call, 1, 2, 3))

    return rule


def gemm_float8(call: Call) -> Modelled:
    """GemmFloat8(A, B, C, scales): an 8-bit floating product."""
    a, b = call.shape(0), call.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise RuleError(f"its operands have the ranks {len(a)} and {len(b)}, not 2")
    m, k = reversed(a) if call.get("transA", 0) else a
    n = b[0] if call.get("transB", 0) else b[1]
    op = ops.Gemm(batch=1, m=m, n=n, k=k, dtype=call.dtype, out_dtype=call.result().dtype)
    plain = rules_products.with_bias(call, op, 2, {})
    return Modelled(op, plain.attributes, plain.fused, plain.extra_bytes_read + _stored(call, 3, 4, 5))


def gather_blocks(call: Call) -> Modelled:
    """GatherBlockQuantized(data, indices, scales, zero points): rows are looked up and dequantised."""
    out, bits = call.result(), int(call.get("bits", 4))
    op = ops.Elementwise(kind="sub+mul", elements=out.elements, input_elements=0, dtype=out.dtype)
    block = max(int(call.get("block_size", 128)), 1)
    read = out.elements * bits / 8 + out.elements / block * (1 if not call.has(3) else 2) * (_width(call, 2))
    return Modelled(op, {"axis": call.get("gather_axis", 0)}, (), read + call.tensor(1).bytes)


def _width(call: Call, index: int) -> float:
    tensor = call.tensor(index)
    return float(ops.Copy(elements=1, dtype=tensor.dtype).bytes_written)


def quantized_experts(call: Call) -> Modelled:
    """QMoE: like MoE, with weights of 4 or 8 bits whose last axis is packed into bytes."""
    first, second = call.shape(2), call.shape(5)
    bits = int(call.get("expert_weight_bits", 4))
    if len(first) != 3 or len(second) != 3:
        raise RuleError("its experts' weights do not have the rank 3")
    hidden = call.shape(0)[-1]
    packed = 8 // bits
    # [experts, width, hidden / packed] of today, or [experts, hidden, width / packed] of older files.
    width = second[2] * packed if second[1] == hidden else second[1]
    gated = call.has(8) or str(call.get("activation_type", "relu")) == "swiglu"
    dtype = weight_only_dtype(call.dtype, bits)
    plain = routed(call, experts=first[0], width=width, gated=gated, dtype=dtype or call.dtype)
    if dtype is not None:
        return plain
    assert isinstance(plain.op, ops.Moe)
    # No format names these widths: the descriptor's weights are as wide as the activations, the file's are not.
    wide = 8 * ops.Copy(elements=1, dtype=call.dtype).bytes_written
    return Modelled(plain.op, plain.attributes, (), plain.extra_bytes_read - plain.op.weight_bytes * (1 - bits / wide))


CONTRIB: dict[str, Rule] = {
    "GatherBlockQuantized": gather_blocks,
    "GemmFloat8": gemm_float8,
    "MatMulBlockQuantizedFp4Weight": block_fp(4),
    "MatMulBlockQuantizedFp8Weight": block_fp(8),
    "MatMulBnb4": matmul_bnb4,
    "MatMulFpQ4": matmul_fpq4,
    "MatMulNBits": matmul_nbits,
    "QMoE": quantized_experts,
}
"""Operators of ONNX Runtime's domain ``com.microsoft``."""

"""Rules of ONNX Runtime's operators on 8-bit tensors (``com.microsoft``): QLinear*, QGemm, QOrdered*, dynamic products."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx import rules_memory, rules_products, rules_recurrent
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_contrib import embed_layer_norm
from perfmodel.features.onnx.rules_elementwise import every_operand
from perfmodel.features.onnx.rules_products import matmul_of
from perfmodel.features.onnx.rules_quantized import quantize, requantized


def _scales(call: Call, *operands: int) -> Any:
    return sum(call.tensor(i).bytes for i in operands if call.has(i))


def _rescaled(call: Call, plain: Modelled | ops.Operator, scales: tuple[int, ...]) -> Modelled:
    """An operator on integers, whose results are scaled to the output's range."""
    answer = plain if isinstance(plain, Modelled) else Modelled(plain)
    out = call.result()
    step = ops.Elementwise(kind="requantize", elements=out.elements, inputs=0, dtype=out.dtype)
    return Modelled(
        answer.op, answer.attributes, (*answer.fused, step), answer.extra_bytes_read + _scales(call, *scales)
    )


def rescaled(rule: Rule, scales: tuple[int, ...] = (1, 2, 3, 4)) -> Rule:
    """``rule`` on an 8-bit operand; the result is scaled back to 8 bits."""

    def fused(call: Call) -> Modelled:
        return _rescaled(call, rule(call), scales)

    return fused


def average_pool(call: Call) -> Modelled | ops.Operator:
    """QLinearAveragePool, channels first or last."""
    return rules_memory.pool("average", last=bool(call.get("channels_last", 0)))(call)


def global_average_pool(call: Call) -> Modelled | ops.Operator:
    """QLinearGlobalAveragePool, channels first or last."""
    return rules_memory.global_pool("mean", last=bool(call.get("channels_last", 0)))(call)


def concat(call: Call) -> Modelled:
    """QLinearConcat(scale, zero, then operand, scale, zero for each): every operand is scaled to the result's range."""
    return Modelled(every_operand(call, "mul+requantize", call.result().elements))


def where(call: Call) -> Modelled:
    """QLinearWhere(condition, x, scale, zero, y, scale, zero, scale, zero)."""
    return Modelled(every_operand(call, "where+mul+requantize", call.result().elements))


def softmax(call: Call) -> Modelled:
    """QLinearSoftmax: computed in single precision, read and written in 8 bits."""
    shape = call.shape(0)
    if not shape:
        raise RuleError("its operand is a scalar")
    opset = int(call.get("opset", 13))
    axis = call.axis(-1 if opset >= 13 else 1, len(shape))
    cols = shape[axis] if opset >= 13 else elements(shape[axis:])
    rows = rules_memory.over(elements(shape), cols)
    op = ops.Softmax(rows=rows, cols=cols, dtype="fp32", io_dtype=call.dtype)
    return _rescaled(call, Modelled(op, {"axis": axis}), (1, 2, 3, 4))


def qgemm(call: Call) -> Modelled:
    """QGemm(A, scale, zero, B, scale, zero, C, scale, zero): 8-bit operands; 8-bit results where they have a scale."""
    a, b = call.shape(0), call.shape(3)
    if len(a) != 2 or len(b) != 2:
        raise RuleError(f"its operands have the ranks {len(a)} and {len(b)}, not 2")
    m, k = reversed(a) if call.get("transA", 0) else a
    n = b[0] if call.get("transB", 0) else b[1]
    out = call.result()
    op = ops.Gemm(batch=1, m=m, n=n, k=k, dtype="int8", out_dtype=out.dtype)
    scaled = requantized(call, op, (1, 2, 4, 5, 7, 8))
    biased = rules_products.with_bias(call, op, 6, {})
    return Modelled(
        op, biased.attributes, (*biased.fused, *scaled.fused), scaled.extra_bytes_read + biased.extra_bytes_read
    )


def to_float(second: int, scales: tuple[int, ...], bias: int | None) -> Rule:
    """A product of 8-bit operands whose sums are scaled to floating numbers (MatMulIntegerToFloat)."""

    def rule(call: Call) -> Modelled:
        return _scaled_product(call, second, scales, bias)

    return rule


def _scaled_product(call: Call, second: int, scales: tuple[int, ...], bias: int | None) -> Modelled:
    out = call.result()
    op = matmul_of(call, 0, second, dtype="int8", out_dtype=out.dtype).op
    step = ops.Elementwise(kind="mul", elements=out.elements, inputs=0, dtype="fp32")
    biased = Modelled(op) if bias is None else rules_products.with_bias(call, op, bias, {})
    return Modelled(
        op, biased.attributes, (step, *biased.fused), biased.extra_bytes_read + _scales(call, *scales)
    )  # fmt: skip


def dynamic_matmul(call: Call) -> Modelled:
    """DynamicQuantizeMatMul(A, B, scale, zero, bias): A is quantised while the kernel runs.

    A is read twice in its own width (for its range, then for its values) and multiplied in 8 bits.
    """
    product = _scaled_product(call, 1, (2, 3), 4)
    a = call.tensor(0)
    quantization = ops.Elementwise(kind="max+requantize", elements=a.elements, inputs=0, dtype=a.dtype)
    return Modelled(
        product.op, product.attributes, (quantization, *product.fused),
        product.extra_bytes_read + 2 * a.bytes - a.elements,  # the descriptor reads A in 8 bits
    )  # fmt: skip


def dynamic_lstm(call: Call) -> Modelled:
    """DynamicQuantizeLSTM: LSTM with 8-bit weights; W is [directions, inputs, 4 * hidden], as R is.

    Inputs and states are quantised while it runs, and multiplied in 8 bits.
    """
    x, w, r = call.shape(0), call.shape(1), call.shape(2)
    if not len(x) == len(w) == len(r) == 3:
        raise RuleError("its operands do not have the rank 3")
    plain = rules_recurrent.recurrent_layer(call, "lstm", hidden=r[1], directions=w[0])
    assert isinstance(plain.op, ops.Rnn)
    op = plain.op.replace(dtype="int8")
    # The descriptor reads 8-bit inputs: what the wide ones move beside that.
    wide = call.tensor(0).bytes - call.tensor(0).elements
    return Modelled(op, plain.attributes, plain.fused, plain.extra_bytes_read + _scales(call, 8, 9, 10, 11) + wide)


def ordered_matmul(call: Call) -> Modelled:
    """QOrderedMatMul(A, scale, B, scale, scale, bias, C, scale): 8 bits, in the layout of cuBLASLt."""
    op = matmul_of(call, 0, 2, dtype="int8", out_dtype=call.result().dtype).op
    scaled = requantized(call, op, (1, 3, 4, 7))
    adds = tuple(
        ops.Elementwise(kind="add", elements=call.result().elements, inputs=0, dtype="fp32")
        for i in (5, 6)
        if call.has(i)
    )
    return Modelled(op, {}, (*adds, *scaled.fused), scaled.extra_bytes_read + _scales(call, 5, 6))


def ordered_norm(call: Call) -> Modelled:
    """QOrderedLayerNormalization(X, scale, gamma, beta, scale)."""
    shape = call.shape(0)
    op = ops.Norm(
        kind="layernorm", rows=elements(shape[:-1]), cols=shape[-1], parameters=0, dtype="fp32", io_dtype=call.dtype
    )
    return _rescaled(call, Modelled(op, {"axis": len(shape) - 1}), (1, 2, 3, 4))


def ordered_gelu(call: Call) -> Modelled:
    """QOrderedGelu(X, scale, scale)."""
    return Modelled(every_operand(call, "mul+gelu+requantize", call.result().elements))


def integer_product(call: Call) -> Modelled:
    """MulInteger(A, zero, B, zero): 32-bit products of 8-bit operands."""
    return Modelled(every_operand(call, "sub+sub+mul", call.result().elements))


def matmul_integer_16(call: Call) -> ops.Operator:
    """MatMulInteger16: 16-bit operands, 32-bit sums."""
    return matmul_of(call, 0, 1, dtype="int16", out_dtype="int32").op


CONTRIB: dict[str, Rule] = {
    "DequantizeWithOrder": quantize("dequantize"),
    "DynamicQuantizeLSTM": dynamic_lstm,
    "DynamicQuantizeMatMul": dynamic_matmul,
    "MatMulInteger16": matmul_integer_16,
    "MatMulIntegerToFloat": to_float(1, (2, 3, 4, 5), 6),
    "MulInteger": integer_product,
    "NhwcMaxPool": rules_memory.pool("max", last=True),
    "QEmbedLayerNormalization": embed_layer_norm((2, 3, 4)),
    "QGemm": qgemm,
    "QLinearAveragePool": rescaled(average_pool),
    "QLinearConcat": concat,
    "QLinearGlobalAveragePool": rescaled(global_average_pool),
    "QLinearReduceMean": rescaled(rules_memory.reduction("mean", by_attribute=True)),
    "QLinearSoftmax": softmax,
    "QLinearWhere": where,
    "QOrderedGelu": ordered_gelu,
    "QOrderedLayerNormalization": ordered_norm,
    "QOrderedMatMul": ordered_matmul,
    "QuantizeWithOrder": quantize("quantize"),
}
"""Operators of ONNX Runtime's domain ``com.microsoft``."""

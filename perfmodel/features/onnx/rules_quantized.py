"""Rules of quantisation and of products of integers."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_products import convolution, product, with_bias


def quantize(kind: str) -> Rule:
    """QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: every element, and the scales."""

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        op = ops.Quantize(
            kind=kind,
            rows=elements(shape[:-1]),
            cols=shape[-1] if shape else 1,
            dtype=call.dtype,
            out_dtype=call.result().dtype,
        )
        scales = sum(call.tensor(i).bytes for i in (1, 2) if call.has(i))
        return Modelled(op, {"axis": call.get("axis", None), "block_size": call.get("block_size", None)}, (), scales)

    return rule


def requantized(call: Call, op: ops.Operator, scales: tuple[int, ...]) -> Modelled:
    """A product of integers whose sums are scaled back to integers by the same kernel."""
    out = call.result()
    step = ops.Elementwise(
        kind="requantize",
        elements=out.elements,
        inputs=1,
        input_elements=out.elements,
        dtype="int32",
        out_dtype=out.dtype,
    )
    return Modelled(op, {}, (step,), sum(call.tensor(i).bytes for i in scales if call.has(i)))


def matmul_integer(call: Call) -> ops.Gemm:
    """MatMulInteger: 8-bit operands, 32-bit sums."""
    return product((call.tensor(0), call.tensor(1)), call.shape(0), call.shape(1), "int8", "int32")


def qlinear_matmul(call: Call) -> Modelled:
    """QLinearMatMul(a, scale, zero, b, scale, zero, scale, zero)."""
    op = product((call.tensor(0), call.tensor(3)), call.shape(0), call.shape(3), "int8", call.result().dtype)
    return requantized(call, op, (1, 2, 4, 5, 6, 7))


def conv_integer(call: Call) -> ops.Conv:
    """ConvInteger: 8-bit operands, 32-bit sums."""
    return convolution(call, 1, "int8", "int32")


def qlinear_conv(call: Call) -> Modelled:
    """QLinearConv(x, scale, zero, w, scale, zero, scale, zero, bias); com.microsoft may have the channels last."""
    op = convolution(call, 3, "int8", call.result().dtype, last=bool(call.get("channels_last", 0)))
    scaled = requantized(call, op, (1, 2, 4, 5, 6, 7))
    biased = with_bias(call, op, 8, {})
    return Modelled(
        op, biased.attributes, (*biased.fused, *scaled.fused), scaled.extra_bytes_read + biased.extra_bytes_read
    )


def qlinear(kind: str, operands: tuple[int, ...]) -> Rule:
    """QLinearAdd and its like (com.microsoft): dequantise, one function, quantise; operands are 8 bits wide."""

    def rule(call: Call) -> Modelled:
        out = call.result()
        if not all(call.has(i) for i in operands):
            raise RuleError("an operand is missing")
        op = ops.Elementwise(
            kind="+".join(["mul"] * len(operands) + [kind, "requantize"]),
            elements=out.elements,
            inputs=len(operands),
            input_elements=sum(call.elements(i) for i in operands),
            dtype=call.dtype,
            out_dtype=call.out_dtype,
        )
        return Modelled(op)

    return rule


RULES: dict[str, Rule] = {
    "QuantizeLinear": quantize("quantize"),
    "DequantizeLinear": quantize("dequantize"),
    "DynamicQuantizeLinear": quantize("dynamic"),
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
}

CONTRIB: dict[str, Rule] = {
    "QuantizeLinear": quantize("quantize"),
    "DequantizeLinear": quantize("dequantize"),
    "QLinearConv": qlinear_conv,
    "QLinearAdd": qlinear("add", (0, 3)),
    "QLinearMul": qlinear("mul", (0, 3)),
    "QLinearSigmoid": qlinear("sigmoid", (0,)),
    "QLinearLeakyRelu": qlinear("leaky_relu", (0,)),
}
"""Operators of ONNX Runtime's domain ``com.microsoft``."""

"""Rules of the elementwise operators."""

from __future__ import annotations

import math
from typing import Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError
from perfmodel.graph import Tensor
from perfmodel.ops.base import at_most, is_symbolic

KINDS: dict[str, str] = {
    # one operand
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh",
    "BitwiseNot": "bitwise", "Ceil": "ceil", "Celu": "celu", "Cos": "cos", "Cosh": "cosh", "Elu": "elu", "Erf": "erf",
    "Exp": "exp", "Floor": "floor", "HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish", "IsInf": "is_inf",
    "IsNaN": "is_nan", "LeakyRelu": "leaky_relu", "Log": "log", "Mish": "mish", "Neg": "neg", "Not": "not",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Selu": "selu", "Shrink": "shrink",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh", "ThresholdedRelu": "thresholded_relu",
    # two
    "Add": "add", "And": "and", "BitShift": "shift", "BitwiseAnd": "bitwise", "BitwiseOr": "bitwise",
    "BitwiseXor": "bitwise", "Div": "div", "Equal": "equal", "Greater": "greater", "GreaterOrEqual": "greater_equal",
    "Less": "less", "LessOrEqual": "less_equal", "Mod": "mod", "Mul": "mul", "Or": "or", "PRelu": "prelu", "Pow": "pow",
    "Sub": "sub", "Xor": "xor",
    # three
    "Clip": "clip", "Where": "where",
}  # fmt: skip
"""Operators that are one scalar function, and its name in :data:`perfmodel.ops.costs.FLOPS_PER_ELEMENT`."""


def elementwise(call: Call, kind: str) -> Modelled:
    """A scalar function over the operands' broadcast: each operand is read once, at its own size and width."""
    out = call.result()
    inputs = [t for t in call.inputs if t is not None]
    dtype = inputs[0].dtype
    if len(inputs) > 1 and inputs[0].dtype == "bool":
        dtype = inputs[1].dtype  # Where: the condition is a byte an element, the operands are not
    op = ops.Elementwise(
        kind=kind,
        elements=out.elements,
        inputs=len(inputs),
        input_elements=sum(call.elements(i) for i, t in enumerate(call.inputs) if t is not None and t.dtype == dtype),
        out_dtype=None if out.dtype == dtype else out.dtype,
        dtype=dtype,
    )
    others = sum(call.tensor(i).bytes for i, t in enumerate(call.inputs) if t is not None and t.dtype != dtype)
    return Modelled(op, {}, (), others)


def every_operand(
    call: Call, kind: str, count: Any, *, steps: Any = 1, dtype: str | None = None, read: Any = None
) -> ops.Elementwise:
    """The descriptor of ``steps`` scalar functions for each of ``count`` elements, whatever the operands' shapes.

    Every operand is read once and every result written once, each as wide as it is stored.

    Args:
        dtype: of the arithmetic; None means the first result's.
        read: bytes read, where operands are read in part or more than once.

    Raises:
        RuleError: the shape of an operand or of a result is not known.
    """
    arithmetic = dtype or call.result().dtype
    if read is None:
        read = sum(_bytes(t, "input", i) for i, t in enumerate(call.inputs) if t is not None)
    written = sum(_bytes(t, "output", i) for i, t in enumerate(call.outputs) if t is not None)
    width = element_bytes(arithmetic)
    return ops.Elementwise(
        kind=kind, elements=count, input_elements=share(read, width), outputs=share(share(written, width), count),
        steps=steps, dtype=arithmetic,
    )  # fmt: skip


def _bytes(tensor: Tensor, role: str, index: int) -> Any:
    if tensor.shape is None:
        raise RuleError(f"the shape of its {role} {index} is not known")
    return tensor.bytes


def share(total: Any, part: Any) -> Any:
    """``total / part``, an int where it is whole; 0 of 0."""
    if is_symbolic(total) or is_symbolic(part):
        return total / part
    if not part:
        return 0
    whole, rest = divmod(total, part)
    return total / part if rest else int(whole)


def log2(count: Any) -> Any:
    """Stages of an algorithm that halves its problem at each; 0 for one element."""
    if is_symbolic(count):
        import sympy

        return sympy.log(count, 2)
    return math.log2(count) if count > 1 else 0


def named(kind: str) -> Rule:
    """The rule of an operator that is one scalar function."""

    def rule(call: Call) -> Modelled:
        return elementwise(call, kind)

    return rule


def gelu(call: Call) -> Modelled:
    """Gelu, exact or with tanh."""
    return elementwise(call, "gelu_tanh" if call.get("approximate", "none") == "tanh" else "gelu")


def swish(call: Call) -> Modelled:
    """Swish: x · sigmoid(alpha · x); SiLU where alpha is 1."""
    return elementwise(call, "silu" if call.get("alpha", 1.0) == 1.0 else "swish")


def rotary(tables: tuple[int, int]) -> Rule:
    """RotaryEmbedding: each element and its partner, times a cosine and a sine that all heads share.

    Args:
        tables: which operands hold the cosines and sines.
    """

    def rule(call: Call) -> Modelled:
        x = call.shape(0)
        # A table may be longer than the sequence: a position reads one row of it.
        positions = x[0] * (x[2] if len(x) == 4 else x[1])
        read = sum(at_most(call.elements(i), positions * call.shape(i)[-1]) for i in tables if call.has(i))
        size = call.elements(0)
        op = ops.Elementwise(kind="rope", elements=size, inputs=1, input_elements=size + read, dtype=call.dtype)
        return Modelled(op, {"interleaved": bool(call.get("interleaved", 0))})

    return rule


def variadic(kind: str) -> Rule:
    """Sum, Max, Min, Mean over any number of operands: one step a further operand, and a division for a mean."""

    def rule(call: Call) -> Modelled | ops.Operator:
        operands = sum(t is not None for t in call.inputs)
        if operands == 1:
            return ops.View(kind="identity", dtype=call.dtype)
        step = "add" if kind == "mean" else kind
        steps = [step] * (operands - 1) + (["mul"] if kind == "mean" else [])
        return elementwise(call, "+".join(steps))

    return rule


RULES: dict[str, Rule] = {
    **{op_type: named(kind) for op_type, kind in KINDS.items()},
    "Gelu": gelu,
    "RotaryEmbedding": rotary((1, 2)),
    "Swish": swish,
    "SwiGLU": named("silu+mul"),
    "Sum": variadic("add"),
    "Max": variadic("max"),
    "Min": variadic("min"),
    "Mean": variadic("mean"),
}

"""Rules of the torch dialect: elementwise functions, products, normalisation and attention of ATen.

Scalars and lists are operands there (``torch.constant.int``, ``torch.prim.ListConstruct``); what is known of them stands in
:class:`~perfmodel.features.mlir.known.Known`. Overloads (``add.Tensor``, ``add.Scalar``) and the variants that write in
place (``relu_``) share a rule.
"""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import Call, DefinitionError, Modelled, Rule, RuleError
from perfmodel.features.mlir.contractions import Operand, contract, out_dtype_of
from perfmodel.features.mlir.convolutions import Window, exact, filtered, same_size
from perfmodel.features.mlir.rules_elementwise import apply, limits
from perfmodel.features.onnx.rules_memory import over
from perfmodel.features.onnx.rules_products import product
from perfmodel.graph import Tensor

UNARY = {
    "relu": "relu", "silu": "silu", "sigmoid": "sigmoid", "tanh": "tanh", "exp": "exp", "exp2": "exp", "expm1": "expm1",
    "log": "log", "log2": "log", "log10": "log", "log1p": "log1p", "neg": "neg", "abs": "abs", "sqrt": "sqrt",
    "rsqrt": "rsqrt", "reciprocal": "reciprocal", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin",
    "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh", "asinh": "asinh", "acosh": "acosh",
    "atanh": "atanh", "erf": "erf", "erfinv": "erf", "floor": "floor", "ceil": "ceil", "round": "round",
    "trunc": "trunc", "sign": "sign", "sgn": "sign", "isnan": "is_nan", "isinf": "is_inf", "isfinite": "is_inf",
    "logical_not": "not", "bitwise_not": "bitwise", "softplus": "softplus", "mish": "mish", "square": "square",
    "hardsigmoid": "hard_sigmoid", "hardswish": "hard_swish", "leaky_relu": "leaky_relu", "elu": "elu", "celu": "celu",
    "selu": "selu", "relu6": "clip", "hardtanh": "clip", "hardshrink": "shrink", "softshrink": "shrink",
    "threshold": "thresholded_relu", "log_sigmoid": "softplus", "logit": "log", "frac": "sub", "deg2rad": "mul",
    "nan_to_num": "where", "rrelu": "leaky_relu", "glu": "glu", "erfc": "erf", "softsign": "softsign",
}  # fmt: skip
"""ATen functions of one tensor."""

BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "pow": "pow", "maximum": "max", "minimum": "min",
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "logical_and": "and", "logical_or": "or", "logical_xor": "xor", "bitwise_and": "bitwise", "bitwise_or": "bitwise",
    "bitwise_xor": "bitwise", "bitwise_left_shift": "shift", "bitwise_right_shift": "shift", "remainder": "mod",
    "fmod": "mod", "floor_divide": "div", "atan2": "atan", "prelu": "prelu", "__and__": "bitwise", "__or__": "bitwise",
    "where": "where", "masked_fill": "where", "addcmul": "mul+mul+add", "addcdiv": "div+mul+add", "lerp": "sub+mul+add",
    "fake_quantize_per_tensor_affine": "quantize", "heaviside": "where", "xlogy": "log",
    "clamp_min": "max", "clamp_max": "min", "dot_mul": "mul", "rsub": "sub", "copysign": "sign",
}  # fmt: skip
"""ATen functions of several tensors or scalars."""

_TENSOR_OPERANDS = {"where": 3, "masked_fill": 3, "addcmul": 3, "addcdiv": 3, "lerp": 3}


def operand(call: Call, index: int, dtype: str) -> Tensor | None:
    """A tensor operand, or the constant that a scalar operand is; None where it is absent.

    Args:
        dtype: of the arithmetic, which scalars take part in.
    """
    if index >= len(call.inputs):
        return None
    tensor = call.inputs[index]
    if tensor is not None:
        return tensor
    number = call.known[index].number
    if isinstance(number, (int, float)) and not call.known[index].is_none:
        return call.constant(number, dtype)
    return None


def unary(kind: str) -> Rule:
    """A function of the first operand."""

    def rule(call: Call) -> None:
        x = call.tensor(0)
        if kind == "clip":
            low, high = (0.0, 6.0) if "relu6" in call.op_type else (call.number(1), call.number(2))
            limits(call, x, low, high, [])
            return
        apply(call, kind, [x])

    return rule


def gelu(call: Call) -> None:
    """GELU, exact or by tanh."""
    apply(call, "gelu_tanh" if len(call.known) > 1 and call.known[1].text == "tanh" else "gelu", [call.tensor(0)])


def clamp(call: Call) -> None:
    """clamp(x, low, high), either of which may be absent."""
    x = call.tensor(0)
    low, high = call.number(1), call.number(2)
    if low == 0 and high is None:
        high = float("inf")
    limits(call, x, low, high, [])


def binary(name: str, kind: str) -> Rule:
    """A function of tensors and scalars; add and sub scale their second operand by a third."""
    count = _TENSOR_OPERANDS.get(name, 2)

    def rule(call: Call) -> None:
        out = call.result()
        dtype = next((t.dtype for t in call.inputs[:count] if t is not None and t.dtype != "bool"), out.dtype)
        inputs = [t for i in range(count) if (t := operand(call, i, dtype)) is not None]
        function = kind
        if name in ("add", "sub", "rsub") and call.number(2) not in (None, 1, 1.0):
            function = f"mul+{kind}"
        if name == "rsub":
            inputs.reverse()
        if name == "masked_fill" and len(inputs) == 3:  # (x, mask, value) as a choice
            inputs = [inputs[1], inputs[2], inputs[0]]
        if not inputs:
            raise RuleError("it has no operand")
        apply(call, function, inputs)

    return rule


# Products


def mm(call: Call) -> None:
    """mm, bmm, matmul, mv, dot: like ``numpy.matmul``."""
    _matmul(call, 0, 1)


def _matmul(call: Call, first: int, second: int, *, transposed: bool = False) -> tuple[ops.Operator, Tensor, Tensor]:
    a, b, out = call.ranked(first), call.ranked(second), call.result()
    answer, a, b = described_matmul(a, b, out, transposed=transposed)
    call.emit(answer, (a, b), (out,), {"transpose_a": False, "transpose_b": transposed})
    return answer, a, b


def described_matmul(
    a: Tensor, b: Tensor, out: Tensor, *, transposed: bool = False
) -> tuple[ops.Operator, Tensor, Tensor]:
    """The descriptor of A times B, or times B transposed."""
    b_shape = b.shape or ()
    if transposed and len(b_shape) > 1:
        b_shape = (*b_shape[:-2], b_shape[-1], b_shape[-2])
    if a.shape and b_shape:
        same_size("%s rows of the second operand", a.shape[-1], b_shape[-2] if len(b_shape) > 1 else b_shape[0])
    op = product((a, b), a.shape or (), b_shape, a.dtype, out_dtype_of(a, out))
    return op, a, b


def biased(call: Call, answer: Modelled, inputs: list[Tensor], bias: Tensor | None, out: Tensor) -> None:
    """A product and the addition of its bias by the same kernel."""
    op, attributes, extra = answer.op, answer.attributes, answer.extra_bytes_read
    if bias is None or bias.scalar == 0:
        call.emit(op, inputs, (out,), attributes, extra=extra)
        return
    add = ops.Elementwise(
        kind="add", elements=out.elements, inputs=1, input_elements=out.elements + bias.elements, dtype=out.dtype
    )
    call.emit(op, [*inputs, bias], (out,), {**attributes, "bias": bias.name}, fused=(add,), extra=extra + bias.bytes)


def linear(call: Call) -> None:
    """linear(x, weight [n, k], bias)."""
    out = call.result()
    op, a, b = described_matmul(call.tensor(0), call.tensor(1), out, transposed=True)
    answer = Modelled(op, {"transpose_a": False, "transpose_b": True})
    biased(call, answer, [a, b], operand(call, 2, out.dtype), out)


def addmm(call: Call) -> None:
    """addmm and baddbmm: beta · bias + alpha · A · B."""
    out = call.result()
    op, a, b = described_matmul(call.ranked(1), call.ranked(2), out)
    bias = None if call.number(3) == 0 else call.inputs[0]
    biased(call, Modelled(op, {"transpose_a": False, "transpose_b": False}), [a, b], bias, out)


def einsum(call: Call) -> None:
    """einsum of two operands."""
    text = (call.known[0].text or "").replace(" ", "")
    items = call.known[1].items or []
    left, arrow, result = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(items):
        raise DefinitionError(f"expected an operand for each of {left!r}, found {len(items)}")
    if not arrow or len(parts) != 2 or "." in text:
        raise RuleError(f"its equation is {text!r}")
    for item in items:
        call.convert.full(item)
    a, b = (item.tensor for item in items)
    if a is None or b is None:
        raise RuleError("its operands are no tensors")
    answer, swapped = contract(Operand(a, parts[0]), Operand(b, parts[1]), result, out=call.result())
    inputs = (b, a) if swapped else (a, b)
    call.emit(answer.op, inputs, (call.result(),), answer.attributes, extra=answer.extra_bytes_read)


def conv(call: Call) -> None:
    """convolution(x, w, bias, stride, padding, dilation, transposed, output_padding, groups)."""
    _conv(call, bool(call.number(6)), call.number(8))


def conv_nd(call: Call) -> None:
    """conv1d, conv2d, conv3d: (x, w, bias, stride, padding, dilation, groups)."""
    _conv(call, False, call.number(6))


def conv_transpose(call: Call) -> None:
    """conv_transpose2d.input: (x, w, bias, stride, padding, output_padding, groups, dilation)."""
    _conv(call, True, call.number(6), dilation=7)


def _conv(call: Call, transposed: bool, groups: Any, *, dilation: int = 5) -> None:
    x, w, out = call.tensor(0), call.tensor(1), call.result()
    xs: tuple[Any, ...] = x.shape or ()
    ws: tuple[Any, ...] = w.shape or ()
    ys: tuple[Any, ...] = out.shape or ()
    count = len(xs) - 2
    groups = groups if isinstance(groups, int) and groups > 0 else 1
    stride = _per_axis(call, 3, count, 1)
    dilations = _per_axis(call, dilation, count, 1)
    padding = call.known[4]
    pads = [0] * count
    if padding.text == "same":
        pads = [d * (k - 1) for d, k in zip(dilations, ws[2:], strict=True)]
    elif padding.text != "valid":
        pads = [2 * p for p in _per_axis(call, 4, count, 0)]
    window = Window(
        xs[2:], ws[2:], [1] * count if transposed else stride, dilations, pads, ys[2:], stride if transposed else ()
    )
    if transposed and all(s == 1 for s in stride):
        pads = [y - s + d * (k - 1) for y, s, d, k in zip(ys[2:], xs[2:], dilations, ws[2:], strict=True)]
        window = Window(xs[2:], ws[2:], stride, dilations, pads, ys[2:])
    same_size("filters for %s channels", xs[1] if transposed else over(xs[1], groups), ws[0] if transposed else ws[1])
    exact(window)
    c_out = ws[1] * groups if transposed else ws[0]
    op, form = filtered(window, x, w, out, batch=xs[0], c_in=xs[1], c_out=c_out, groups=groups)
    answer = Modelled(op, {"groups": groups, "strides": tuple(stride)}, (), form.extra_bytes(op, w))
    biased(call, answer, [x, w], operand(call, 2, out.dtype), out)


def _per_axis(call: Call, index: int, count: int, default: int) -> list[int]:
    if index >= len(call.known):
        return [default] * count
    values = call.known[index].integers
    if values is None:
        raise RuleError(f"its operand {index} is computed while the model runs")
    if not values:
        return [default] * count
    return values * count if len(values) == 1 else values


# Attention, normalisation, softmax


ATTENTION: dict[str, tuple[int | None, int]] = {
    "scaled_dot_product_attention": (3, 5), "_scaled_dot_product_flash_attention": (None, 4),
    "_scaled_dot_product_flash_attention_for_cpu": (5, 4), "_scaled_dot_product_efficient_attention": (3, 6),
    "_scaled_dot_product_cudnn_attention": (3, 6), "_scaled_dot_product_fused_attention_overrideable": (3, 5),
}  # fmt: skip
"""Which operands of ATen's attention are the mask and ``is_causal`` (PyTorch's ``native_functions.yaml``)."""


def attention(mask_at: int | None, causal_at: int) -> Rule:
    """Attention of ATen (q, k, v, ...), whichever kernel is named."""

    def rule(call: Call) -> None:
        mask = call.inputs[mask_at] if mask_at is not None and mask_at < len(call.inputs) else None
        _attention(call, mask, causal=bool(call.number(causal_at)))

    return rule


def _attention(call: Call, mask: Tensor | None, *, causal: bool) -> None:
    q, k, v = call.tensor(0), call.tensor(1), call.tensor(2)
    q_shape, k_shape, v_shape = q.shape or (), k.shape or (), v.shape or ()
    if len(q_shape) < 3:
        raise RuleError("its operands do not have heads")
    batch = prod(q_shape[:-3]) if len(q_shape) > 3 else 1
    q_len, kv_len = q_shape[-2], k_shape[-2]
    op = ops.Attention(
        phase="decode" if q_len == 1 else "prefill" if causal else "encoder", batch=batch, heads=q_shape[-3],
        kv_heads=k_shape[-3], q_len=q_len, kv_len=kv_len, head_dim=q_shape[-1],
        v_head_dim=None if v_shape[-1] == q_shape[-1] else v_shape[-1], causal=causal and q_len != 1, dtype=q.dtype,
    )  # fmt: skip
    outputs = [t for t in call.outputs if t is not None][:1]
    if mask is None:
        call.emit(op, (q, k, v), outputs)
    else:
        add = ops.Elementwise(kind="add", elements=op.scores, inputs=0, dtype=q.dtype)
        call.emit(op, (q, k, v, mask), outputs, fused=(add,), extra=mask.bytes)


def _norm(call: Call, kind: str, rows: Any, cols: Any, parameters: list[int], epsilon: Any) -> None:
    x = call.tensor(0)
    weights = [t for i in parameters if i < len(call.inputs) and (t := call.inputs[i]) is not None]
    op = ops.Norm(kind=kind, rows=rows, cols=cols, parameters=sum(t.elements for t in weights), dtype=x.dtype)
    attributes = {"epsilon": float(epsilon) if isinstance(epsilon, (int, float)) else 1e-5}
    outputs = [t for t in call.outputs if t is not None]
    call.emit(op, [x, *weights], outputs[:1], attributes)


def layer_norm(call: Call) -> None:
    """layer_norm and native_layer_norm: (x, shape, weight, bias, eps)."""
    cols = prod(call.list_of(1))
    _norm(call, "layernorm", over(call.elements(0), cols), cols, [2, 3], call.number(4))


def rms_norm(call: Call) -> None:
    """rms_norm: (x, shape, weight, eps)."""
    cols = prod(call.list_of(1))
    _norm(call, "rmsnorm", over(call.elements(0), cols), cols, [2], call.number(3))


def batch_norm(training_at: int | None) -> Rule:
    """batch_norm and native_batch_norm: (x, weight, bias, mean, variance, training, momentum, eps)."""

    def rule(call: Call) -> None:
        x, out = call.tensor(0), call.result()
        shape = x.shape or ()
        channels = shape[1] if len(shape) > 1 else 1
        # In training the statistics are the batch's own, as in stablehlo.batch_norm_training: nothing to fold.
        training = training_at is not None and bool(call.number(training_at))
        kind = "instancenorm" if training else "batchnorm"
        inputs = [x, *(t for t in call.inputs[1:5] if t is not None)]
        read = sum(t.elements for t in inputs[1:]) if training else None
        op = ops.Norm(kind=kind, rows=channels, cols=over(x.elements, channels), parameters=read, dtype=x.dtype)
        # The running statistics are written again, and those of the batch where they are results.
        further = [*call.inputs[3:5], *call.outputs[1:]] if training else []
        written = sum(t.bytes for t in further if t is not None)
        call.emit(op, inputs, (out,), {"epsilon": 1e-5, "axis": 1}, extra=written)

    return rule


def group_norm(call: Call) -> None:
    """group_norm: (x, groups, weight, bias, eps)."""
    groups = call.number(1)
    rows = call.shape(0)[0] * (groups if isinstance(groups, int) else 1)
    _norm(call, "groupnorm", rows, over(call.elements(0), rows), [2, 3], call.number(4))


def native_group_norm(call: Call) -> None:
    """native_group_norm: (x, weight, bias, n, c, hw, groups, eps)."""
    groups = call.number(6)
    rows = call.shape(0)[0] * (groups if isinstance(groups, int) else 1)
    _norm(call, "groupnorm", rows, over(call.elements(0), rows), [1, 2], call.number(7))


def instance_norm(call: Call) -> None:
    """instance_norm: (x, weight, bias, ...)."""
    shape = call.shape(0)
    _norm(call, "instancenorm", prod(shape[:2]), prod(shape[2:]), [1, 2], 1e-5)


def softmax(kind: str) -> Rule:
    """softmax(x, dim, ...)."""

    def rule(call: Call) -> None:
        x, out = call.tensor(0), call.result()
        axis = call.number(1)
        if not isinstance(axis, int) or not x.shape:
            raise RuleError("its axis is not known")
        cols = x.shape[axis]
        op = ops.Softmax(kind=kind, rows=over(x.elements, cols), cols=cols, dtype=x.dtype)
        call.emit(op, (x,), (out,), {"axis": axis % len(x.shape)})

    return rule


def quantize(call: Call) -> None:
    """quantize_per_tensor and alike."""
    x, out = call.tensor(0), call.result()
    call.emit(ops.Quantize(kind="quantize", rows=1, cols=x.elements, dtype=x.dtype, out_dtype=out.dtype), (x,), (out,))


def dequantize(call: Call) -> None:
    """dequantize."""
    x, out = call.tensor(0), call.result()
    call.emit(
        ops.Quantize(kind="dequantize", rows=1, cols=x.elements, dtype=x.dtype, out_dtype=out.dtype), (x,), (out,)
    )


ATEN: dict[str, Rule] = {
    **{name: unary(kind) for name, kind in UNARY.items()},
    **{name: binary(name, kind) for name, kind in BINARY.items()},
    "gelu": gelu, "clamp": clamp, "clip": clamp,
    "mm": mm, "bmm": mm, "matmul": mm, "mv": mm, "dot": mm, "linear": linear, "addmm": addmm, "baddbmm": addmm,
    "einsum": einsum, "convolution": conv, "_convolution": conv, "conv1d": conv_nd, "conv2d": conv_nd,
    "conv3d": conv_nd, "conv_transpose1d": conv_transpose, "conv_transpose2d": conv_transpose,
    "conv_transpose3d": conv_transpose, **{name: attention(*places) for name, places in ATTENTION.items()},
    "layer_norm": layer_norm, "native_layer_norm": layer_norm, "rms_norm": rms_norm, "_fused_rms_norm": rms_norm,
    "batch_norm": batch_norm(5), "native_batch_norm": batch_norm(5),
    "_native_batch_norm_legit_no_training": batch_norm(None), "group_norm": group_norm,
    "native_group_norm": native_group_norm, "instance_norm": instance_norm, "softmax": softmax("softmax"),
    "_softmax": softmax("softmax"), "_safe_softmax": softmax("softmax"),
    "log_softmax": softmax("log_softmax"), "_log_softmax": softmax("log_softmax"),
    "quantize_per_tensor": quantize, "quantize_per_channel": quantize, "dequantize": dequantize, "int_repr": dequantize,
}  # fmt: skip
"""Rules by the name of the ATen function, overload left out."""

SPREADING = frozenset({*UNARY, *BINARY, "gelu", "clamp", "clip", "mm", "bmm", "matmul", "baddbmm", "addmm"})
"""Functions that read broadcast operands at their own size."""

"""Rules of the operators that multiply matrices."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.errors import DescriptorError
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError
from perfmodel.graph import Tensor
from perfmodel.ops import Dim
from perfmodel.ops.base import at_least, ceil_div, is_symbolic


def fold_batches(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> tuple[Dim, Dim, Dim]:
    """How many independent products the leading axes of A and B make.

    An axis along which B has one element shares B between the products: it is more rows of A, not more products. One
    along which A has one element is more columns of B.

    Args:
        a, b: the axes before the last two.

    Returns:
        (products of which each has its own A and B, factor of the rows of A, factor of the columns of B).
    """
    rank = max(len(a), len(b))
    a = (1,) * (rank - len(a)) + a
    b = (1,) * (rank - len(b)) + b
    batch: Any = 1
    rows: Any = 1
    columns: Any = 1
    for x, y in zip(a, b, strict=True):
        if _is_one(y):
            rows = rows * x
        elif _is_one(x):
            columns = columns * y
        else:
            batch = batch * x
    return batch, rows, columns


def _is_one(dim: Any) -> bool:
    return not is_symbolic(dim) and bool(dim == 1)


def product(
    operands: tuple[Tensor, Tensor], a: tuple[Dim, ...], b: tuple[Dim, ...], dtype: str, out_dtype: str | None
) -> ops.Gemm:
    """The descriptor of ``numpy.matmul(A, B)`` for operands of any rank.

    Args:
        operands: the tensors; a weight goes to B's side of the descriptor.
        a, b: their shapes, transposed where the operator transposes first.
    """
    if not a or not b:
        raise RuleError("one of its operands is a scalar")
    if len(a) == 1:
        a = (1, *a)
    if len(b) == 1:
        b = (*b, 1)
    (m, k), n = a[-2:], b[-1]
    batch, rows, columns = fold_batches(a[:-2], b[:-2])
    # C^T = B^T · A^T puts a weight on the left, or a left side that all products share, where weights are expected.
    weight_left = operands[0].is_weight and not operands[1].is_weight
    if _is_one(rows) and (not _is_one(columns) or (weight_left and _is_one(batch))):
        return ops.Gemm(batch=batch, m=columns * n, n=m, k=k, dtype=dtype, out_dtype=out_dtype)
    return ops.Gemm(batch=batch, m=rows * m, n=columns * n, k=k, dtype=dtype, out_dtype=out_dtype)


def matmul_of(
    call: Call,
    first: int,
    second: int,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    batches: tuple[bool, bool] = (False, False),
    alpha: float | None = None,
    dtype: str | None = None,
    out_dtype: str | None = None,
) -> Modelled:
    """The product of inputs ``first`` and ``second``, like ``numpy.matmul``.

    Args:
        transpose_a, transpose_b: the last two axes change places first.
        batches: the first axis moves behind the last but one first (the batches of FusedMatMul).
        alpha: a factor of the result.
        dtype, out_dtype: of the product and of its result, where they are not those of the first operand and result.
    """
    a, b = (
        _transposed(_batches_first(call.shape(i), moved), swapped)
        for i, moved, swapped in ((first, batches[0], transpose_a), (second, batches[1], transpose_b))
    )
    op = product(
        (call.tensor(first), call.tensor(second)), a, b, dtype or call.dtype, out_dtype if dtype else call.out_dtype
    )
    attributes: dict[str, Any] = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return Modelled(op, attributes if alpha is None else {**attributes, "alpha": alpha})


def _transposed(shape: tuple[Dim, ...], swapped: bool) -> tuple[Dim, ...]:
    return (*shape[:-2], shape[-1], shape[-2]) if swapped and len(shape) > 1 else shape


def _batches_first(shape: tuple[Dim, ...], moved: bool) -> tuple[Dim, ...]:
    """[m, batch, k] as FusedMatMul has it with ``transBatchA``, as [batch, m, k]."""
    return (*shape[1:-1], shape[0], shape[-1]) if moved and len(shape) > 2 else shape


def matmul(call: Call) -> Modelled:
    """MatMul: like ``numpy.matmul``."""
    return matmul_of(call, 0, 1)


def gemm(call: Call) -> Modelled:
    """Gemm: alpha · A' · B' + beta · C."""
    a, b = call.shape(0), call.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise RuleError(f"its operands have the ranks {len(a)} and {len(b)}, not 2")
    transpose_a, transpose_b = bool(call.get("transA", 0)), bool(call.get("transB", 0))
    m, k = reversed(a) if transpose_a else a
    n = b[0] if transpose_b else b[1]
    layout = ("t" if transpose_a else "n") + ("t" if transpose_b else "n")
    op = ops.Gemm(batch=1, m=m, n=n, k=k, dtype=call.dtype, out_dtype=call.out_dtype, layout=layout)
    attributes = {
        "transpose_a": transpose_a, "transpose_b": transpose_b,
        "alpha": float(call.get("alpha", 1.0)), "beta": float(call.get("beta", 1.0)),
    }  # fmt: skip
    return with_bias(call, op, 2, attributes)


def with_bias(call: Call, op: ops.Operator, index: int, attributes: dict[str, Any]) -> Modelled:
    """The descriptor, with the addition of the bias ``index`` fused where the call has one."""
    if not call.has(index):
        return Modelled(op, attributes)
    bias = call.tensor(index)
    out = call.result()
    add = ops.Elementwise(
        kind="add", elements=out.elements, inputs=1, input_elements=out.elements + bias.elements, dtype=out.dtype
    )
    return Modelled(op, {**attributes, "bias": bias.name}, (add,), bias.bytes)


def _per_axis(call: Call, name: str, count: int, default: int) -> list[int]:
    given = call.get(name, None)
    if given is None:
        return [default] * count
    values = [int(v) for v in given]
    if len(values) != count:
        raise RuleError(f"it has {len(values)} {name} for {count} spatial axes")
    return values


def conv_window(call: Call, sizes: tuple[Dim, ...], kernel: tuple[Dim, ...]) -> tuple[list[int], list[Any], list[int]]:
    """Strides, padding (both sides together) and dilations of a window over ``sizes``, ``auto_pad`` resolved."""
    count = len(sizes)
    strides, dilations = _per_axis(call, "strides", count, 1), _per_axis(call, "dilations", count, 1)
    if any(s < 1 for s in strides) or any(d < 1 for d in dilations):
        raise RuleError("a stride or a dilation is smaller than 1")
    auto = call.get("auto_pad", "NOTSET") or "NOTSET"
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        # The output has ceil(size / stride) positions (ONNX specification of Conv).
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        pads = [
            at_least((ceil_div(size, s) - 1) * s + r - size, 0)
            for size, s, r in zip(sizes, strides, reach, strict=True)
        ]
    elif auto == "VALID":
        pads = [0] * count
    else:
        both = _per_axis(call, "pads", 2 * count, 0)
        pads = [both[i] + both[i + count] for i in range(count)]
    return strides, pads, dilations


def _half(total: Any) -> Any:
    """Padding of one side, where both sides have ``total`` together."""
    if isinstance(total, int):
        return total // 2 if total % 2 == 0 else total / 2
    return total / 2


def _spatial(values: Any, filler: Any) -> tuple[Any, Any, Any]:
    """(depth, height, width) of one to three spatial values; missing leading ones are ``filler``."""
    values = tuple(values)
    depth, height, width = (filler,) * (3 - len(values)) + values
    return depth, height, width


def conv(call: Call) -> Modelled:
    """Conv with one, two or three spatial axes."""
    return with_bias(call, convolution(call, 1, call.dtype, call.out_dtype), 2, _window_attributes(call))


def conv_channels_last(call: Call) -> Modelled:
    """NhwcConv and NhwcFusedConv: like Conv, with activations [N, H, W, C]; the filters' axes are those of Conv."""
    op = convolution(call, 1, call.dtype, call.out_dtype, last=True)
    return with_bias(call, op, 2, _window_attributes(call))


def conv_blocked(call: Call) -> Modelled:
    """The Conv of ONNX Runtime's blocked layout, whose filters may be for more channels than there are."""
    op = convolution(call, 1, call.dtype, call.out_dtype, blocked=True)
    return with_bias(call, op, 2, _window_attributes(call))


def _window_attributes(call: Call) -> dict[str, Any]:
    return {"groups": int(call.get("group", 1)), "strides": call.get("strides", None), "pads": call.get("pads", None)}


_LARGEST_BLOCK = 16
"""Channels of a block of ONNX Runtime's layout NCHWc: 16 with AVX-512, 8 otherwise."""


def convolution(
    call: Call, weight: int, dtype: str, out_dtype: str | None, *, last: bool = False, blocked: bool = False
) -> ops.Conv:
    """The descriptor of a convolution whose filters are input ``weight``.

    Args:
        last: the activations' channels are the last axis instead of the second.
        blocked: channels come in blocks, of which the filters may have more than the operand.
    """
    x, w = call.shape(0), call.shape(weight)
    if last and len(x) > 2:
        x = (x[0], x[-1], *x[1:-1])
    if not 3 <= len(x) <= 5 or len(w) != len(x):
        raise RuleError(f"it has {len(x) - 2} spatial axes; 1 to 3 are covered")
    kernel = w[2:]
    groups = int(call.get("group", 1))
    c_in = x[1]
    if all(isinstance(d, int) for d in (x[1], w[1])) and x[1] != w[1] * groups:
        # The blocked layout fills the last block of channels up, and computes it whole.
        if not (blocked and x[1] < w[1] * groups < x[1] + _LARGEST_BLOCK):
            raise DescriptorError(f"its filters are for {w[1]} x {groups} channels, its input has {x[1]}")
        c_in = w[1] * groups
    strides, pads, dilations = conv_window(call, x[2:], kernel)
    depth, h, width = _spatial(x[2:], 1)
    kernel_d, kernel_h, kernel_w = _spatial(kernel, 1)
    stride_d, stride_h, stride_w = _spatial(strides, 1)
    pad_d, pad_h, pad_w = _spatial(map(_half, pads), 0)
    dilation_d, dilation_h, dilation_w = _spatial(dilations, 1)
    return ops.Conv(
        batch=x[0], c_in=c_in, c_out=w[0], groups=groups, dtype=dtype, out_dtype=out_dtype,
        depth=depth, h=h, w=width, kernel_d=kernel_d, kernel_h=kernel_h, kernel_w=kernel_w,
        stride_d=stride_d, stride_h=stride_h, stride_w=stride_w, pad_d=pad_d, pad_h=pad_h, pad_w=pad_w,
        dilation_d=dilation_d, dilation_h=dilation_h, dilation_w=dilation_w,
    )  # fmt: skip


def causal_conv(call: Call) -> Modelled:
    """CausalConvWithState(input, weight, bias, past): a depthwise convolution along the last axis, as long as its input; its
    last values are the next state."""
    x, w = call.shape(0), call.shape(1)
    if len(x) != 3 or len(w) != 3 or call.get("channels_last", 0):
        raise RuleError("its operands do not have the rank 3, or its channels come last")
    op = ops.Conv(
        batch=x[0], c_in=x[1], c_out=x[1], groups=x[1], h=1, w=x[2], kernel_h=1, kernel_w=w[2],
        pad_w=_half(int(call.get("dilation", 1)) * (w[2] - 1)), dilation_w=int(call.get("dilation", 1)), dtype=call.dtype,
        out_dtype=call.out_dtype,
    )  # fmt: skip
    plain = with_bias(call, op, 2, {})
    if str(call.get("activation", "none")) in ("silu", "swish"):
        out = call.result()
        step = ops.Elementwise(kind="silu", elements=out.elements, inputs=0, dtype=out.dtype)
        plain = Modelled(op, plain.attributes, (*plain.fused, step), plain.extra_bytes_read)
    state = call.further_results() + (call.tensor(3).bytes if call.has(3) else 0)
    return Modelled(op, plain.attributes, plain.fused, plain.extra_bytes_read + state)


def deform_conv(call: Call) -> Modelled:
    """DeformConv: a convolution at positions that are read, too."""
    plain = with_bias(call, convolution(call, 1, call.dtype, call.out_dtype), 3, _window_attributes(call))
    positions = sum(call.tensor(i).bytes for i in (2, 4) if call.has(i))
    return Modelled(plain.op, plain.attributes, plain.fused, plain.extra_bytes_read + positions)


def conv_transpose(call: Call) -> Modelled:
    """ConvTranspose; the padding follows from the output's extent, however the file gives it."""
    x, w, y = call.shape(0), call.shape(1), call.result_shape()
    if not 3 <= len(x) <= 5 or len(w) != len(x):
        raise RuleError(f"it has {len(x) - 2} spatial axes; 1 to 3 are covered")
    count = len(x) - 2
    groups = int(call.get("group", 1))
    strides, dilations = _per_axis(call, "strides", count, 1), _per_axis(call, "dilations", count, 1)
    # out = (size - 1)·stride + dilation·(kernel - 1) + 1 - padding + output_padding
    excess = [
        (size - 1) * s + d * (k - 1) + 1 - out
        for size, s, d, k, out in zip(x[2:], strides, dilations, w[2:], y[2:], strict=True)
    ]
    pads = [_half(at_least(e, 0)) for e in excess]
    extra = [at_least(-e, 0) for e in excess]
    depth, h, width = _spatial(x[2:], 1)
    kernel_d, kernel_h, kernel_w = _spatial(w[2:], 1)
    stride_d, stride_h, stride_w = _spatial(strides, 1)
    pad_d, pad_h, pad_w = _spatial(pads, 0)
    dilation_d, dilation_h, dilation_w = _spatial(dilations, 1)
    out_pad_d, out_pad_h, out_pad_w = _spatial(extra, 0)
    op = ops.Conv(
        batch=x[0], c_in=x[1], c_out=w[1] * groups, groups=groups, transposed=True, dtype=call.dtype,
        out_dtype=call.out_dtype, depth=depth, h=h, w=width, kernel_d=kernel_d, kernel_h=kernel_h, kernel_w=kernel_w,
        stride_d=stride_d, stride_h=stride_h, stride_w=stride_w, pad_d=pad_d, pad_h=pad_h, pad_w=pad_w,
        dilation_d=dilation_d, dilation_h=dilation_h, dilation_w=dilation_w,
        out_pad_d=out_pad_d, out_pad_h=out_pad_h, out_pad_w=out_pad_w,
    )  # fmt: skip
    return with_bias(call, op, 2, _window_attributes(call))


RULES: dict[str, Rule] = {
    "MatMul": matmul,
    "Gemm": gemm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "CausalConvWithState": causal_conv,
    "DeformConv": deform_conv,
}

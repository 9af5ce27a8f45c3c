"""Rules of the operators that multiply matrices."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.errors import DescriptorError
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.graph import Tensor
from perfmodel.ops import Dim
from perfmodel.ops.base import at_least, ceil_div, is_symbolic


def fold_batches(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> tuple[Dim, Dim, Dim]:
    """How many independent products the leading axes of A and B make.

    An axis along which B has one element shares B between the products: it is more rows of A, not more products.

    Args:
        a, b: the axes before the last two.

    Returns:
        (products of which each has its own A and B, factor of the rows of A, products that share A).
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
    if _is_one(batch) and _is_one(rows) and (weight_left or not _is_one(columns)):
        return ops.Gemm(batch=1, m=columns * n, n=m, k=k, dtype=dtype, out_dtype=out_dtype)
    return ops.Gemm(batch=batch * columns, m=rows * m, n=n, k=k, dtype=dtype, out_dtype=out_dtype)


def matmul(call: Call) -> Modelled:
    """MatMul: like ``numpy.matmul``."""
    op = product((call.tensor(0), call.tensor(1)), call.shape(0), call.shape(1), call.dtype, call.out_dtype)
    return Modelled(op, {"transpose_a": False, "transpose_b": False})


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


def _window_attributes(call: Call) -> dict[str, Any]:
    return {"groups": int(call.get("group", 1)), "strides": call.get("strides", None), "pads": call.get("pads", None)}


def convolution(call: Call, weight: int, dtype: str, out_dtype: str | None) -> ops.Conv:
    """The descriptor of a convolution whose filters are input ``weight``."""
    x, w = call.shape(0), call.shape(weight)
    if not 3 <= len(x) <= 5 or len(w) != len(x):
        raise RuleError(f"it has {len(x) - 2} spatial axes; 1 to 3 are covered")
    kernel = w[2:]
    groups = int(call.get("group", 1))
    if all(isinstance(d, int) for d in (x[1], w[1])) and x[1] != w[1] * groups:
        raise DescriptorError(f"its filters are for {w[1]} x {groups} channels, its input has {x[1]}")
    strides, pads, dilations = conv_window(call, x[2:], kernel)
    depth, h, width = _spatial(x[2:], 1)
    kernel_d, kernel_h, kernel_w = _spatial(kernel, 1)
    stride_d, stride_h, stride_w = _spatial(strides, 1)
    pad_d, pad_h, pad_w = _spatial(map(_half, pads), 0)
    dilation_d, dilation_h, dilation_w = _spatial(dilations, 1)
    return ops.Conv(
        batch=x[0], c_in=x[1], c_out=w[0], groups=groups, dtype=dtype, out_dtype=out_dtype,
        depth=depth, h=h, w=width, kernel_d=kernel_d, kernel_h=kernel_h, kernel_w=kernel_w,
        stride_d=stride_d, stride_h=stride_h, stride_w=stride_w, pad_d=pad_d, pad_h=pad_h, pad_w=pad_w,
        dilation_d=dilation_d, dilation_h=dilation_h, dilation_w=dilation_w,
    )  # fmt: skip


def causal_conv(call: Call) -> Modelled:
    """CausalConvWithState: a depthwise convolution along the last axis, as long as its input."""
    x, w = call.shape(0), call.shape(1)
    if len(x) != 3 or len(w) != 3:
        raise RuleError("its operands do not have the rank 3")
    op = ops.Conv(
        batch=x[0], c_in=x[1], c_out=x[1], groups=x[1], h=1, w=x[2], kernel_h=1, kernel_w=w[2],
        pad_w=_half(w[2] - 1), dtype=call.dtype, out_dtype=call.out_dtype,
    )  # fmt: skip
    return with_bias(call, op, 2, {})


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


def attention(call: Call) -> Modelled:
    """Attention (operator set 23 and newer): Q, K, V of rank 3 or 4, a mask, cached keys and values."""
    q, k, v = call.shape(0), call.shape(1), call.shape(2)
    if len(q) == 4:
        batch, heads, q_len, head_dim = q
        _, kv_heads, kv_len, _ = k
        value_dim = v[3]
    elif len(q) == 3:
        heads, kv_heads = call.get("q_num_heads", None), call.get("kv_num_heads", None)
        if not heads or not kv_heads:
            raise RuleError("it names no q_num_heads and kv_num_heads")
        batch, q_len, kv_len = q[0], q[1], k[1]
        head_dim, value_dim = exact_share(q[2], heads), exact_share(v[2], kv_heads)
    else:
        raise RuleError(f"its query has the rank {len(q)}")
    if call.has(4):
        kv_len = kv_len + call.shape(4)[-2]
    causal = bool(call.get("is_causal", 0))
    mask = call.tensor(3) if call.has(3) else None
    op = ops.Attention(
        phase=phase_of(q_len, kv_len, causal), batch=batch, q_len=q_len, kv_len=kv_len, heads=heads, kv_heads=kv_heads,
        head_dim=head_dim, v_head_dim=None if value_dim == head_dim else value_dim, causal=causal, dtype=call.dtype,
    )  # fmt: skip
    attributes = {"causal": causal, "scale": call.get("scale", None), "mask": mask.name if mask else None}
    return Modelled(op, attributes, (), mask.bytes if mask else 0)


def phase_of(q_len: Any, kv_len: Any, causal: bool) -> str:
    """One query against a longer past is decoding; a causal mask is a prompt; everything else an encoder."""
    if _is_one(q_len) and not _is_one(kv_len):
        return "decode"
    return "prefill" if causal else "encoder"


def exact_share(size: Any, parts: int) -> Any:
    """``size / parts``, which is whole by the operator's definition."""
    if is_symbolic(size):
        return size / parts
    if size % parts:
        raise RuleError(f"{size} is not divisible into {parts} heads")
    return size // parts


def recurrent(kind: str) -> Rule:
    """LSTM, GRU and RNN."""

    def rule(call: Call) -> Modelled:
        x, w, r = call.shape(0), call.shape(1), call.shape(2)
        if len(x) != 3 or len(w) != 3 or len(r) != 3:
            raise RuleError("its operands do not have the rank 3")
        seq_len, batch = (x[1], x[0]) if call.get("layout", 0) == 1 else (x[0], x[1])
        return Modelled(
            ops.Rnn(
                kind=kind,
                batch=batch,
                seq_len=seq_len,
                input_size=x[2],
                hidden_size=r[2],
                directions=w[0],
                dtype=call.dtype,
            )
        )

    return rule


def einsum(call: Call) -> Modelled:
    """Einsum of one operand (a transposition or a sum) or of two (a product, batched where labels are common)."""
    equation = str(call.get("equation", "")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.inputs):
        raise RuleError(f"its equation {equation!r} does not fit its {len(call.inputs)} operands")
    labelled = [_labels(term, call.shape(i)) for i, term in enumerate(terms)]
    size = {label: dim for term in labelled for label, dim in term if not _is_one(dim)}
    names = [[label for label, _ in term] for term in labelled]
    if arrow:
        out = [label for label, _ in _labels(right, call.result_shape())]
    else:
        flat = [label for term in names for label in term]
        out = sorted(label for label in set(flat) if flat.count(label) == 1)
    if len(terms) == 1:
        read = call.elements(0)
        if set(out) == set(names[0]):
            return Modelled(ops.Copy(kind="transpose", elements=read, dtype=call.dtype), {"equation": equation})
        rows = call.result().elements
        return Modelled(
            ops.Reduce(kind="sum", rows=rows, cols=_ratio(read, rows), dtype=call.dtype), {"equation": equation}
        )
    if len(terms) != 2:
        raise RuleError(f"its equation has {len(terms)} operands; one or two are covered")
    a, b, result = set(names[0]), set(names[1]), set(out)

    def extent(labels: set[str]) -> Any:
        return elements(tuple(size.get(label, 1) for label in sorted(labels)))

    if not (a & b) - result:
        return Modelled(
            ops.Elementwise(
                kind="mul", elements=call.result().elements, inputs=2,
                input_elements=call.elements(0) + call.elements(1), dtype=call.dtype,
            ),
            {"equation": equation},
        )  # fmt: skip
    batch, m, n, k = (
        extent(a & b & result), extent((a - b) & result), extent((b - a) & result), extent((a & b) - result)
    )  # fmt: skip
    if call.tensor(0).is_weight and not call.tensor(1).is_weight:
        m, n = n, m
    return Modelled(
        ops.Gemm(batch=batch, m=m, n=n, k=k, dtype=call.dtype, out_dtype=call.out_dtype), {"equation": equation}
    )


def _labels(term: str, shape: tuple[Dim, ...]) -> list[tuple[str, Dim]]:
    """(label, size) for each axis; the axes of an ellipsis are numbered from the right."""
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise RuleError(f"the term {term!r} does not fit a tensor of rank {len(shape)}")
    names = [*before, *(f".{hidden - i}" for i in range(hidden)), *after]
    return list(zip(names, shape, strict=True))


def _ratio(total: Any, rows: Any) -> Any:
    if is_symbolic(total) or is_symbolic(rows):
        return total / rows
    return total // rows if rows else 0


RULES: dict[str, Rule] = {
    "MatMul": matmul,
    "Gemm": gemm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "CausalConvWithState": causal_conv,
    "DeformConv": deform_conv,
    "Attention": attention,
    "LSTM": recurrent("lstm"),
    "GRU": recurrent("gru"),
    "RNN": recurrent("rnn"),
    "Einsum": einsum,
}

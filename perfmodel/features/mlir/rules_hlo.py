"""Rules of StableHLO, MHLO and CHLO that are no elementwise functions and no control flow."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir import rules_movement as movement
from perfmodel.features.mlir.bodies import combiner, is_arg_search
from perfmodel.features.mlir.call import Call, DefinitionError, Modelled, Rule, RuleError, numbers_of
from perfmodel.features.mlir.contractions import Operand, contract, out_dtype_of
from perfmodel.features.mlir.convolutions import Window, exact, filtered, pool, same_size
from perfmodel.features.mlir.rules_hlo_movement import (
    broadcast,
    broadcast_in_dim,
    concatenate,
    dimension_numbers,
    dynamic_slice,
    dynamic_update_slice,
    gather,
    pad,
    scatter,
    slice_,
    sort,
    top_k,
    torch_index_select,
    transpose,
)
from perfmodel.features.onnx.rules_memory import over


def dot_general(call: Call) -> None:
    """A product with any batching and contracting dimensions."""
    numbers = dimension_numbers(call, "dot_dimension_numbers")
    lhs_batch = numbers.get("lhs_batching_dimensions", [])
    rhs_batch = numbers.get("rhs_batching_dimensions", [])
    lhs_sum = numbers.get("lhs_contracting_dimensions", [])
    rhs_sum = numbers.get("rhs_contracting_dimensions", [])
    _product(call, lhs_batch, rhs_batch, lhs_sum, rhs_sum)


def _product(call: Call, lhs_batch: list[int], rhs_batch: list[int], lhs_sum: list[int], rhs_sum: list[int]) -> None:
    out = call.result()
    ranks = [len((k.tensor.shape if k.tensor else None) or ()) for k in call.known[:2]]
    a, b = call.ranked(0), call.ranked(1)
    letters_a: list[Any] = [f"m{i}" for i in range(ranks[0])]
    letters_b: list[Any] = [f"n{i}" for i in range(ranks[1])]
    for number, (i, j) in enumerate(zip(lhs_batch, rhs_batch, strict=True)):
        letters_a[i] = letters_b[j] = f"b{number}"
    for number, (i, j) in enumerate(zip(lhs_sum, rhs_sum, strict=True)):
        letters_a[i] = letters_b[j] = f"k{number}"
    result = [
        *(letters_a[i] for i in lhs_batch),
        *(x for x in letters_a if x[0] == "m"),
        *(x for x in letters_b if x[0] == "n"),
    ]
    sizes: dict[Any, Any] = dict(zip(result, out.shape or (), strict=True))
    answer, swapped = contract(Operand(a, letters_a), Operand(b, letters_b), result, sizes=sizes, out=out)
    first, second = (b, a) if swapped else (a, b)
    call.emit(answer.op, (first, second), (out,), answer.attributes, extra=answer.extra_bytes_read)


def dot(call: Call) -> None:
    """A product of vectors and matrices: the last axis with the first."""
    rank = len(call.known[0].tensor.shape or ()) if call.known[0].tensor else 0
    _product(call, [], [], [rank - 1], [0])


def einsum(call: Call) -> None:
    """MHLO's einsum of two operands."""
    text = str(call.attributes.get("einsum_config", ""))
    left, arrow, result = text.partition("->")
    parts = left.split(",")
    if not arrow or len(parts) != 2:
        raise DefinitionError(f"expected an equation of two operands, found {text!r}")
    a, b, out = call.tensor(0), call.tensor(1), call.result()
    answer, swapped = contract(Operand(a, parts[0].strip()), Operand(b, parts[1].strip()), result.strip(), out=out)
    inputs = (b, a) if swapped else (a, b)
    call.emit(answer.op, inputs, (out,), answer.attributes, extra=answer.extra_bytes_read)


_SIDE = re.compile(r"\[([^\]]*)\]")


def _layouts(call: Call) -> tuple[list[str], list[str], list[str]]:
    """What each axis of input, filters and result is: ``b``, ``f``, ``i``, ``o``, or the number of a spatial axis."""
    found = call.attributes.get("dimension_numbers")
    body = str(getattr(found, "body", found))
    sides = [[part.strip() for part in side.split(",")] for side in _SIDE.findall(body)]
    if len(sides) != 3 or "input_batch_dimension" in body:
        params = {k: numbers_of(v) for k, v in (getattr(found, "params", None) or {}).items()}
        sides = [_side(params, side, *names) for side, names in _NAMES]
    return sides[0], sides[1], sides[2]


_NAMES = (
    ("input", ("batch", "feature")),
    ("kernel", ("output_feature", "input_feature")),
    ("output", ("batch", "feature")),
)


def _side(params: dict[str, Any], side: str, first: str, second: str) -> list[str]:
    spatial = params.get(f"{side}_spatial_dimensions") or []
    letters = {"batch": "b", "feature": "f", "output_feature": "o", "input_feature": "i"}
    try:
        axes = {params[f"{side}_{n}_dimension"][0]: letters[n] for n in (first, second)}
    except (KeyError, TypeError, IndexError):
        raise RuleError("its dimension numbers are unknown") from None
    axes |= {axis: str(number) for number, axis in enumerate(spatial)}
    return [axes[i] for i in range(len(axes))]


def convolve(call: Call) -> None:
    """A convolution of any layout, with groups, dilations of input and filters, and padding."""
    x, w, out = call.tensor(0), call.tensor(1), call.result()
    of_x, of_w, of_out = _layouts(call)
    xs, ws, ys = (dict(zip(names, t.shape or (), strict=True)) for names, t in ((of_x, x), (of_w, w), (of_out, out)))
    count = len(of_x) - 2
    axes = [str(i) for i in range(count)]
    pads = call.ints("padding", [0] * (2 * count))
    groups = int(call.get("feature_group_count", 1))
    of_batch = int(call.get("batch_group_count", 1))
    reversed_ = call.attributes.get("lhs_dilation")
    window = Window(
        [xs[a] for a in axes], [ws[a] for a in axes], call.ints("window_strides", [1] * count, count=count),
        call.ints("rhs_dilation", [1] * count, count=count), [pads[2 * i] + pads[2 * i + 1] for i in range(count)],
        [ys[a] for a in axes], [] if reversed_ is None else call.ints("lhs_dilation", count=count),
    )  # fmt: skip
    exact(window)
    same_size("%s input features of the filters", over(xs["f"], groups), ws["i"])
    if of_batch > 1:
        # The gradient of grouped filters: groups of the batch are convolved apart, as channels are in a grouped one.
        op, form = filtered(
            window, x, w, out, batch=over(xs["b"], of_batch), c_in=xs["f"] * of_batch, c_out=ws["o"], groups=of_batch
        )
    else:
        op, form = filtered(window, x, w, out, batch=xs["b"], c_in=xs["f"], c_out=ws["o"], groups=groups)
    channel = of_out.index("f")
    attributes = {"groups": groups, "strides": tuple(window.strides), "channel_axis": channel}
    call.emit(op, (x, w), (out,), attributes, extra=form.extra_bytes(op, w))


def reduce(call: Call) -> None:
    """A reduction; its kind follows from its body. Several results in one body are searches for a position."""
    shape = call.shape(0)
    axes = tuple(sorted(call.ints("dimensions", [])))
    cols = prod(shape[a] for a in axes)
    kind = combiner(call.operation)
    results = sum(t is not None for t in call.outputs)
    out = call.result()
    if results > 1 and is_arg_search(call.operation):
        op = ops.Reduce(kind="argmax", rows=out.elements, cols=cols, dtype=call.dtype)
        _searched(call, op, {"axis": axes, "keepdims": False})
        return
    for index in range(results):
        x, result = call.tensor(index), call.result(index)
        op = ops.Reduce(kind=kind, rows=result.elements, cols=cols, out_dtype=out_dtype_of(x, result), dtype=x.dtype)
        call.emit(op, (x,), (result,), {"axis": axes, "keepdims": False})


def reduce_window(call: Call) -> None:
    """Pooling, or a running reduction along an axis."""
    x, out = call.tensor(0), call.result()
    shape, result = x.shape or (), out.shape or ()
    rank = len(shape)
    window = call.ints("window_dimensions", count=rank)
    strides = call.ints("window_strides", [1] * rank, count=rank)
    dilations = call.ints("window_dilations", [1] * rank, count=rank)
    pads = call.ints("padding", [0] * (2 * rank))
    is_search = sum(t is not None for t in call.outputs) > 1 and is_arg_search(call.operation)
    kind = "max" if is_search else combiner(call.operation)
    moving = [a for a in range(rank) if window[a] != 1]
    if len(moving) == 1 and window[moving[0]] == shape[moving[0]] == result[moving[0]] and rank > 0:
        # A window as long as the axis with as much padding: a cumulative sum.
        axis = moving[0]
        op: ops.Operator = ops.Reduce(
            kind={"sum": "cumsum", "prod": "cumprod"}.get(kind, kind), rows=over(x.elements, shape[axis]),
            cols=shape[axis], results=shape[axis], dtype=x.dtype,
        )  # fmt: skip
        _searched(call, op, {"axis": (axis,)})
        return
    fixed = [a for a in range(rank) if a not in moving]
    if len(moving) > 3:
        raise RuleError(f"its window runs along {len(moving)} axes; up to 3 are covered")
    of_window = Window(
        [shape[a] for a in moving], [window[a] for a in moving], [strides[a] for a in moving],
        [dilations[a] for a in moving], [pads[2 * a] + pads[2 * a + 1] for a in moving], [result[a] for a in moving],
    )  # fmt: skip
    op = pool(
        of_window,
        kind={"sum": "average"}.get(kind, kind),
        batch=1,
        channels=prod(shape[a] for a in fixed),
        dtype=x.dtype,
    )
    if len(fixed) >= 1 and len(moving) <= 2 and isinstance(op, ops.Pool):
        op = op.replace(batch=shape[fixed[0]], channels=prod(shape[a] for a in fixed[1:]))
    _searched(call, op, {"kernel": tuple(window[a] for a in moving), "strides": tuple(strides[a] for a in moving)})


def _searched(call: Call, op: ops.Operator, attributes: dict[str, Any]) -> None:
    """One node for all results, initial values left out: positions are written beside the values that are searched.

    They are read, too, where the device computed them; counted up from 0, they are made in registers.
    """
    outputs = [t for t in call.outputs if t is not None]
    positions = [call.tensor(i) for i in range(1, len(outputs)) if call.known[i].origin is None]
    extra = sum((t.bytes for t in (*positions, *outputs[1:])), 0)
    call.emit(op, (call.tensor(0), *positions), outputs, attributes, extra=extra)


def select_and_scatter(call: Call) -> Modelled:
    """The gradient of max pooling: every window is searched again, and a value added at its place."""
    x, source = call.tensor(0), call.tensor(1)
    window = prod(call.ints("window_dimensions", [1]))
    op = ops.Elementwise(
        kind="compare", elements=source.elements, steps=window, input_elements=x.elements + source.elements,
        outputs=over(x.elements, source.elements) if isinstance(x.elements, int) else 1, dtype=x.dtype,
    )  # fmt: skip
    return Modelled(op)


def batch_norm(call: Call) -> Modelled:
    """batch_norm_inference: one scale and one shift a feature."""
    shape = call.shape(0)
    axis = call.ints("feature_index")[0]
    op = ops.Norm(kind="batchnorm", rows=shape[axis], cols=over(call.elements(0), shape[axis]), dtype=call.dtype)
    return Modelled(op, {"epsilon": float(call.get("epsilon", 1e-5)), "axis": axis})


def training_norm(call: Call) -> Modelled:
    """batch_norm_training and batch_norm_grad: a mean and a variance a feature over all of the batch."""
    shape = call.shape(0)
    axis = call.ints("feature_index")[0]
    # Beside the operand: scales, shifts, means of each feature; of the gradient the output's, too. Means are results as well.
    read = sum(call.elements(i) for i in range(1, len(call.inputs)))
    op = ops.Norm(
        kind="instancenorm",
        rows=shape[axis],
        cols=over(call.elements(0), shape[axis]),
        parameters=read,
        dtype=call.dtype,
    )
    return Modelled(op, {"axis": axis}, (), sum(t.bytes for t in call.outputs[1:] if t is not None))


def fft(call: Call) -> Modelled:
    """A Fourier transform over its last axes: log2 stages of one complex butterfly a point."""
    from perfmodel.features.onnx.rules_elementwise import every_operand, log2

    lengths = call.ints("fft_length")
    x, out = call.tensor(0), call.result()
    points = out.elements if out.dtype.startswith("complex") else x.elements
    return Modelled(every_operand(call, "fft_stage", points, steps=sum(log2(n) for n in lengths), dtype="fp32"))


def quantize(call: Call) -> Modelled | ops.Operator:
    """uniform_quantize: from floats, or from one scale to another."""
    x, out = call.tensor(0), call.result()
    if x.dtype in ("fp32", "fp16", "bf16", "fp64"):
        return ops.Quantize(kind="quantize", rows=1, cols=x.elements, dtype=x.dtype, out_dtype=out.dtype)
    return ops.Elementwise(kind="requantize", elements=x.elements, dtype=x.dtype, out_dtype=out.dtype)


def dequantize(call: Call) -> ops.Operator:
    """uniform_dequantize: to floats."""
    x, out = call.tensor(0), call.result()
    return ops.Quantize(kind="dequantize", rows=1, cols=x.elements, dtype=x.dtype, out_dtype=out.dtype)


def cholesky(call: Call) -> ops.Operator:
    """n^3/3 multiplications and additions a matrix (Golub and Van Loan, "Matrix Computations", section 4.2)."""
    x = call.tensor(0)
    n = (x.shape or (1,))[-1]
    return ops.Elementwise(kind="mul+add", elements=x.elements, steps=n / 3, dtype=x.dtype)


def triangular_solve(call: Call) -> ops.Operator:
    """n^2 multiplications and additions a right-hand side (Golub and Van Loan, section 3.1)."""
    a, b, out = call.tensor(0), call.tensor(1), call.result()
    n = (a.shape or (1,))[-1]
    return ops.Elementwise(
        kind="mul+add", elements=out.elements, steps=n, input_elements=a.elements + b.elements, dtype=a.dtype
    )


def map_(call: Call) -> None:
    """A scalar function given as a body."""
    from perfmodel.features.mlir.rules_generic import pointwise_body

    pointwise_body(call, [t for t in call.inputs if t is not None], [t for t in call.outputs if t is not None])


_SHARED: dict[str, Rule] = {
    "dot_general": dot_general, "dot": dot, "einsum": einsum, "convolution": convolve, "dynamic_conv": convolve,
    "reduce": reduce, "reduce_window": reduce_window, "select_and_scatter": select_and_scatter,
    "broadcast_in_dim": broadcast_in_dim, "dynamic_broadcast_in_dim": broadcast_in_dim, "broadcast": broadcast,
    "reshape": movement.reshape, "dynamic_reshape": movement.reshape, "transpose": transpose,
    "concatenate": concatenate, "slice": slice_, "real_dynamic_slice": dynamic_slice, "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice, "pad": pad, "dynamic_pad": pad, "gather": gather,
    "dynamic_gather": gather, "torch_index_select": torch_index_select, "scatter": scatter,
    "reverse": movement.copy("reverse"), "iota": movement.fill("iota"), "dynamic_iota": movement.fill("iota"),
    "sort": sort, "topk": top_k, "top_k": top_k, "batch_norm_inference": batch_norm,
    "batch_norm_training": training_norm, "batch_norm_grad": training_norm, "fft": fft,
    "rng": movement.fill("random"), "rng_bit_generator": movement.fill("random"),
    "rng_uniform": movement.fill("random"), "uniform_quantize": quantize, "uniform_dequantize": dequantize,
    "cholesky": cholesky, "triangular_solve": triangular_solve, "map": map_, "copy": movement.copy("copy"),
    "optimization_barrier": movement.identity, "get_tuple_element": movement.view("identity"),
    "constant_like": movement.fill("fill"), "bitcast": movement.view("reshape"),
    "set_dimension_size": movement.view("identity"), "add_dependency": movement.view("identity"),
    "domain": movement.view("identity"), "unary_einsum": movement.copy("transpose"),
}  # fmt: skip

RULES: dict[str, Rule] = {
    f"{dialect}.{name}": rule for dialect in ("stablehlo", "mhlo", "chlo", "vhlo") for name, rule in _SHARED.items()
}
"""Rules by the operation's name."""

RULES |= {f"chlo.{name}": _SHARED[name] for name in ("constant_like", "dynamic_reshape", "top_k")}

FULL = frozenset(
    f"{dialect}.{name}" for dialect in ("stablehlo", "mhlo", "chlo", "vhlo")
    for name in _SHARED
    if name not in ("dot_general", "dot", "broadcast_in_dim", "dynamic_broadcast_in_dim", "broadcast", "reshape",
                    "optimization_barrier", "dynamic_reshape")
)  # fmt: skip
"""Operations that read their operands in full, rather than the smaller ones that those repeat."""

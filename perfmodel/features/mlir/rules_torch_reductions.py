"""Rules of the torch dialect that reduce, pool or sort."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import Call, Rule
from perfmodel.features.mlir.contractions import out_dtype_of
from perfmodel.features.mlir.convolutions import Window, pool
from perfmodel.features.mlir.known import Known
from perfmodel.features.mlir.rules_elementwise import apply, describe
from perfmodel.features.onnx.rules_memory import over
from perfmodel.graph import Tensor

# Reductions


def reduction(kind: str) -> Rule:
    """sum, mean, amax, ...: over the axes of a list, one axis, or all."""

    def rule(call: Call) -> None:
        x = call.tensor(0)
        outputs = _read(call)
        out = outputs[0]
        axes = _axes(call, 1, len(x.shape or ()))
        cols = prod((x.shape or ())[a] for a in axes)
        keepdims = len(out.shape or ()) == len(x.shape or ())
        extra = sum((o.bytes for o in outputs[1:]), 0)
        op = ops.Reduce(
            kind=kind, rows=over(x.elements, cols), cols=cols, out_dtype=out_dtype_of(x, out), dtype=x.dtype
        )
        call.emit(op, (x,), outputs, {"axis": axes, "keepdims": keepdims}, extra=extra)

    return rule


def largest(call: Call) -> None:
    """max and min: of two tensors a function, of one a reduction."""
    kind = "max" if ".max" in call.op_type else "min"
    if len(call.inputs) > 1 and call.inputs[1] is not None:
        apply(call, kind, [call.tensor(0), call.tensor(1)])
    else:
        reduction(kind)(call)


def _axes(call: Call, index: int, rank: int) -> tuple[int, ...]:
    """The axes that an operand names; all without one."""
    known = call.known[index] if index < len(call.known) else Known(text="none")
    values = None if known.is_none else known.integers
    if values is not None and any(isinstance(v, bool) for v in values):
        values = None
    if not values:
        return tuple(range(rank))
    return tuple(sorted(int(v) % max(rank, 1) for v in values))


def variance(call: Call) -> None:
    """var, std, var_mean: the mean of the squared differences from the mean, written out as exporters do."""
    x = call.tensor(0)
    outputs = [o for o in call.outputs if o is not None]
    shape = x.shape or ()
    axes = _axes(call, 1, len(shape))
    kept = tuple(1 if a in axes else d for a, d in enumerate(shape))
    cols = prod(shape[a] for a in axes)
    rows = over(x.elements, cols)
    flags = {"axis": axes, "keepdims": True}
    mean_out = outputs[1] if len(outputs) > 1 else None
    squares, centred = call.new(shape, x.dtype), call.new(shape, x.dtype)
    mean = mean_out if mean_out is not None and mean_out.shape == kept else call.new(kept, x.dtype)
    reduce = ops.Reduce(kind="mean", rows=rows, cols=cols, dtype=x.dtype)
    call.emit(reduce, (x,), (mean,), flags)
    apply(call, "sub", [x, mean], out=centred)
    call.emit(
        describe("mul", [centred, centred], squares).replace(input_elements=x.elements), (centred, centred), (squares,)
    )
    is_root = ".std" in call.op_type
    result = outputs[0]
    direct = result.shape == kept and not is_root
    found = result if direct else call.new(kept, x.dtype)
    call.emit(reduce, (squares,), (found,), flags)
    if is_root:
        root = result if result.shape == kept else call.new(kept, x.dtype)
        apply(call, "sqrt", [found], out=root)
        found = root
    if found is not result:
        call.emit(ops.View(kind="reshape", dtype=x.dtype), (found,), (result,))
    if mean_out is not None and mean is not mean_out:
        call.emit(ops.View(kind="reshape", dtype=x.dtype), (mean,), (mean_out,))


def running(kind: str) -> Rule:
    """cumsum(x, dim), cumprod."""

    def rule(call: Call) -> None:
        x, out = call.tensor(0), call.result()
        axis = _axes(call, 1, len(x.shape or ()))[0]
        cols = (x.shape or (1,))[axis]
        op = ops.Reduce(kind=kind, rows=over(x.elements, cols), cols=cols, results=cols, dtype=x.dtype)
        call.emit(op, (x,), (out,), {"axis": (axis,)})

    return rule


def top_k(call: Call) -> None:
    """topk(x, k, dim, ...)."""
    from perfmodel.dtypes import element_bytes

    x = call.tensor(0)
    outputs = [o for o in call.outputs if o is not None]
    axis = call.number(2) if isinstance(call.number(2), int) else -1
    cols = (x.shape or (1,))[axis]
    results = (outputs[0].shape or (1,))[axis] * (1 + 8 / element_bytes(x.dtype))
    op = ops.Reduce(kind="topk", rows=over(x.elements, cols), cols=cols, results=results, dtype=x.dtype)
    call.emit(op, (x,), outputs, {"axis": (axis,)})


def sort(call: Call) -> None:
    """sort(x, dim, descending), argsort."""
    from perfmodel.features.onnx.rules_elementwise import every_operand, log2

    x = call.tensor(0)
    outputs = [o for o in call.outputs if o is not None]
    axis = call.number(1) if isinstance(call.number(1), int) and not isinstance(call.number(1), bool) else -1
    op = every_operand(call, "compare", x.elements, steps=log2((x.shape or (1,))[axis]), dtype=x.dtype)
    call.emit(op, (x,), outputs)


# Pooling


def _read(call: Call) -> list[Tensor]:
    """The results that something reads, and the first one in any case: positions of maxima that nobody asks for are not
    written."""
    uses = call.convert.module.uses()
    return [
        o for i, (v, o) in enumerate(zip(call.operation.results, call.outputs, strict=True))
        if o is not None and (i == 0 or v in uses)
    ]  # fmt: skip


def pooling(kind: str) -> Rule:
    """max_pool2d, avg_pool2d and alike: (x, kernel, stride, padding, ...)."""

    def rule(call: Call) -> None:
        x = call.tensor(0)
        outputs = _read(call)
        shape, result = x.shape or (), outputs[0].shape or ()
        kernel = call.list_of(1)
        count = len(kernel)
        strides = call.known[2].integers if len(call.known) > 2 else None
        strides = strides or kernel
        window = Window(shape[-count:], kernel, strides, [1] * count, [0] * count, result[-count:])
        batch = shape[0] if len(shape) > count + 1 else 1
        op = pool(window, kind=kind, batch=batch, channels=shape[-count - 1], dtype=x.dtype)
        extra = sum((o.bytes for o in outputs[1:]), 0)
        call.emit(op, (x,), outputs, {"kernel": tuple(kernel), "strides": tuple(strides)}, extra=extra)

    return rule


def adaptive(kind: str) -> Rule:
    """Adaptive pooling to a given extent; to one element it is a reduction."""

    def rule(call: Call) -> None:
        x = call.tensor(0)
        outputs = [o for o in call.outputs if o is not None]
        shape: tuple[Any, ...] = x.shape or ()
        result: tuple[Any, ...] = outputs[0].shape or ()
        count = len(shape) - 2
        spatial = range(2, len(shape))
        if all(result[a] == 1 for a in spatial):
            cols = prod(shape[2:])
            op: ops.Operator = ops.Reduce(
                kind="mean" if kind == "average" else kind, rows=over(x.elements, cols), cols=cols, dtype=x.dtype
            )
            call.emit(op, (x,), outputs, {"axis": tuple(spatial), "keepdims": True})
            return
        kernel = [-(-shape[a] // result[a]) for a in spatial]
        window = Window(shape[2:], kernel, kernel, [1] * count, [0] * count, result[2:])
        op = pool(window, kind=kind, batch=shape[0], channels=shape[1], dtype=x.dtype)
        call.emit(op, (x,), outputs, {"kernel": tuple(kernel)})

    return rule


ATEN: dict[str, Rule] = {
    "sum": reduction("sum"), "mean": reduction("mean"), "amax": reduction("max"), "amin": reduction("min"),
    "max": largest, "min": largest, "prod": reduction("prod"), "any": reduction("or"), "all": reduction("and"),
    "argmax": reduction("argmax"), "argmin": reduction("argmin"), "norm": reduction("l2"),
    "linalg_vector_norm": reduction("l2"), "frobenius_norm": reduction("l2"), "logsumexp": reduction("log_sum_exp"),
    "count_nonzero": reduction("sum"),
    "var": variance, "var_mean": variance, "std": variance, "cumsum": running("cumsum"), "cumprod": running("cumprod"),
    "topk": top_k, "sort": sort, "argsort": sort,
    **{f"max_pool{n}d": pooling("max") for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": pooling("max") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": pooling("average") for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive("average") for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": adaptive("average") for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive("max") for n in (1, 2, 3)},
}  # fmt: skip
"""Rules by the name of the ATen function, overload left out."""

"""Rules of StableHLO and MHLO that move, select or sort."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.mlir import rules_movement as movement
from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.bodies import combiner
from perfmodel.features.mlir.call import Call, Modelled, RuleError
from perfmodel.features.onnx.rules_memory import over


def dimension_numbers(call: Call, name: str) -> dict[str, list[int]]:
    """The lists of axes of an attribute such as ``dot_dimension_numbers``; those that are absent are empty."""
    found = call.attributes.get(name)
    params = dict(getattr(found, "params", None) or (found if isinstance(found, dict) else {}))
    return {key: [int(n) for n in numbers_of(value) or []] for key, value in params.items()}


def broadcast_in_dim(call: Call) -> None:
    """An operand repeated along axes that it lacks or has one element of."""
    dims = call.ints("broadcast_dimensions", [])
    _spread(call, dims)


def broadcast(call: Call) -> None:
    """An operand repeated along new leading axes."""
    rank, out = len(call.shape(0)), call.result_shape()
    _spread(call, list(range(len(out) - rank, len(out))))


def _spread(call: Call, dims: list[int]) -> None:
    out = call.result()
    known = call.known[0]
    whole = known.tensor
    if whole is None or whole.shape is None or out.shape is None:
        raise RuleError("its shape is not known")
    source = known.spread if known.spread is not None and len(known.spread.shape or ()) == len(whole.shape) else whole
    shape = source.shape or ()
    ones: list[Any] = [1] * len(out.shape)
    for axis, dim in enumerate(dims):
        ones[dim] = shape[axis]
    if tuple(ones) == out.shape and source is whole:
        if whole.shape == out.shape:
            call.convert.alias(call.operation.results[0], known)
        elif known.origin is not None:
            call.convert.rename_constant(call.operation, known, out.shape)
        else:
            call.convert.full(known)
            call.emit(ops.View(kind="reshape", dtype=out.dtype), (whole,), (out,))
        return
    call.convert.broadcast(call.operation, known, tuple(ones), out)


def transpose(call: Call) -> None:
    """A transpose."""
    movement.permuted(call, call.ints("permutation"), call.tensor(0), call.result())


def concatenate(call: Call) -> Modelled:
    """A concatenation along one axis."""
    axis = call.ints("dimension", [0])[0]
    return movement.joined(call, axis, [t for t in call.inputs if t is not None])


def slice_(call: Call) -> None:
    """A slice at a place known beforehand."""
    movement.cut(call, call.ints("start_indices", []), numbers_of(call.attributes.get("strides")), (call.tensor(0),))


def dynamic_slice(call: Call) -> None:
    """A slice at a place that operands give; where all of those are known it is a plain one."""
    starts = [k.number for k in call.known[1:]]
    known = None if any(not isinstance(s, int) for s in starts) else starts
    x, out = call.tensor(0), call.result()
    if x.is_weight and x.shape is not None and out.shape is not None and x.shape[1:] == out.shape[1:]:
        # One layer of stacked weights: the kernel that reads it is given another address.
        call.emit(ops.View(kind="slice", dtype=x.dtype), (x,), (out,))
        return
    movement.cut(call, known, None, (call.tensor(0),))


def dynamic_update_slice(call: Call) -> None:
    """An update of a part: done in place, so that only the part moves."""
    update, out = call.tensor(1), call.result()
    op = ops.Copy(kind="scatter", elements=update.elements, dtype=update.dtype)
    call.emit(op, (call.tensor(0), update), (out,))


def pad(call: Call) -> None:
    """Padding by one value, at both ends and between the elements."""
    value = call.known[1].number if len(call.known) > 1 else None
    between = numbers_of(call.attributes.get("interior_padding")) or [0]
    answer = movement.padded(call, call.tensor(0), value if not any(between) else None)
    call.emit(answer.op, (call.tensor(0),), (call.result(),), answer.attributes)


def gather(call: Call) -> None:
    """Slices of an operand at positions that are data."""
    table, indices, out = call.tensor(0), call.tensor(1), call.result()
    numbers = dimension_numbers(call, "dimension_numbers")
    sizes = call.ints("slice_sizes", [])
    shape = table.shape or ()
    rows = (
        len(shape) == 2 and numbers.get("start_index_map") == [0] and len(sizes) == 2 and sizes[0] == 1
        and sizes[1] == shape[1]
    )  # fmt: skip
    mapped = numbers.get("start_index_map")
    axis = mapped[0] if mapped else None
    movement.looked_up(call, table, indices, out, axis=axis, rows=rows)


def torch_index_select(call: Call) -> None:
    """Rows of an operand along one axis."""
    axis = call.ints("dim", [0])[0]
    movement.looked_up(call, call.tensor(0), call.tensor(1), call.result(), axis=axis, rows=axis == 0)


def scatter(call: Call) -> Modelled:
    """Updates at positions that are data, written over or combined as the body says."""
    count = sum(t is not None for t in call.outputs)
    how = combiner(call.operation, default="none")
    known = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}.get(how)
    indices, updates = call.tensor(count), call.tensor(count + 1)
    return movement.scattered(call, call.tensor(0), indices, updates, known)


def sort(call: Call) -> Modelled:
    """A sort along one axis: log2(n) passes of a merge, a comparison an element each."""
    from perfmodel.features.onnx.rules_elementwise import every_operand, log2

    x = call.tensor(0)
    axis = call.ints("dimension", [-1])[0]
    steps = log2((x.shape or (1,))[axis])
    return Modelled(every_operand(call, "compare", x.elements, steps=steps, dtype=x.dtype), {"axis": (axis,)})


def top_k(call: Call) -> Modelled:
    """The largest values along the last axis and their positions."""
    from perfmodel.dtypes import element_bytes

    shape, out = call.shape(0), call.result()
    index = call.outputs[1] if len(call.outputs) > 1 else None
    per_value = 1 + (element_bytes(index.dtype) / element_bytes(call.dtype) if index is not None else 0)
    results = (out.shape or (1,))[-1] * per_value
    op = ops.Reduce(
        kind="topk", rows=over(call.elements(0), shape[-1]), cols=shape[-1], results=results, dtype=call.dtype
    )
    return Modelled(op, {"axis": (len(shape) - 1,)})

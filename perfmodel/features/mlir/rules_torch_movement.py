"""Rules of the torch dialect that move, select, reduce or pool."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.mlir import rules_movement as movement
from perfmodel.features.mlir.call import Call, Rule, RuleError
from perfmodel.features.mlir.known import Known
from perfmodel.features.mlir.rules_elementwise import converts
from perfmodel.graph import Tensor


def alias(call: Call) -> None:
    """The operand under another name: clones and dropouts that an engine drops."""
    x, out = call.tensor(0), call.result()
    if x.dtype != out.dtype:
        cast(call)
    else:
        call.convert.alias(call.operation.results[0], call.known[0])


def cast(call: Call) -> None:
    """to.dtype, _to_copy, convert_element_type."""
    x, out = call.tensor(0), call.result()
    if x.dtype == out.dtype and not converts(call.operation):
        call.convert.alias(call.operation.results[0], call.known[0])
        return
    op = ops.Copy(kind="cast", elements=out.elements, read_elements=x.elements, dtype=x.dtype, out_dtype=out.dtype)
    call.emit(op, (x,), (out,))


def permute(call: Call) -> None:
    """permute(x, dims)."""
    rank = len(call.shape(0))
    movement.permuted(call, [int(d) % rank for d in call.list_of(1)], call.tensor(0), call.result())


def transpose(call: Call) -> None:
    """transpose.int(x, a, b)."""
    rank = len(call.shape(0))
    _swap(call, int(call.list_of(1)[0]) % rank, int(call.list_of(2)[0]) % rank)


def t(call: Call) -> None:
    """t(x) and numpy_T: the axes of a matrix change places."""
    if len(call.shape(0)) < 2:
        movement.reshape(call)
    else:
        _swap(call, 0, 1)


def _swap(call: Call, a: int, b: int) -> None:
    perm = list(range(len(call.shape(0))))
    perm[a], perm[b] = perm[b], perm[a]
    movement.permuted(call, perm, call.tensor(0), call.result())


def expand(call: Call) -> None:
    """expand, broadcast_to, expand_as: repeated along axes of one element, and new leading ones."""
    x, out = call.tensor(0), call.result()
    shape, rank = x.shape or (), len(out.shape or ())
    if shape == out.shape:
        call.convert.alias(call.operation.results[0], call.known[0])
        return
    call.convert.broadcast(call.operation, call.known[0], (1,) * (rank - len(shape)) + shape, out)


def slice_(call: Call) -> None:
    """slice.Tensor(x, dim, start, end, step) and narrow."""
    shape = call.shape(0)
    axis, start, step = call.number(1), call.number(2), call.number(4)
    starts: list[Any] | None = None
    if isinstance(axis, int) and isinstance(start, int):
        starts = [0] * len(shape)
        starts[axis % len(shape)] = start
    steps = [1] * len(shape)
    if isinstance(axis, int) and isinstance(step, int):
        steps[axis % len(shape)] = step
    movement.cut(call, starts, steps, (call.tensor(0),))


def select(call: Call) -> None:
    """select.int(x, dim, index): a slice of one, without its axis."""
    x, out = call.tensor(0), call.result()
    op = ops.Copy(kind="slice", elements=out.elements, dtype=x.dtype)
    call.emit(op, (x,), (out,), {"axis": call.number(1)})


def split(call: Call) -> None:
    """split, split_with_sizes, chunk, unbind: a list of parts."""
    x = call.tensor(0)
    shape: tuple[Any, ...] = x.shape or ()
    name = call.op_type
    axis = call.number(1) if "unbind" in name else call.number(2)
    axis = (axis if isinstance(axis, int) else 0) % max(len(shape), 1)
    length = shape[axis]
    given = [1] * length if "unbind" in name else call.list_of(1)
    if "chunk" in name:
        size = -(-length // given[0])
        given = [min(size, length - i) for i in range(0, length, size)]
    elif len(given) == 1 and "with_sizes" not in name:
        size = given[0]
        given = [min(size, length - i) for i in range(0, length, size)]
    parts = []
    for size in given:
        part = (*shape[:axis], *(() if "unbind" in name else (size,)), *shape[axis + 1 :])
        parts.append(call.new(part, x.dtype))
    op = ops.Copy(kind="split", elements=x.elements, dtype=x.dtype)
    call.emit(op, (x,), parts, {"axis": axis, "sizes": tuple(given)})
    call.convert.env[call.operation.results[0]] = Known(items=[Known(p) for p in parts])


def cat(call: Call) -> None:
    """cat and stack of a list."""
    items = call.known[0].items
    if not items:
        raise RuleError("its list is not known")
    inputs = []
    for item in items:
        call.convert.full(item)
        if item.tensor is not None:
            inputs.append(item.tensor)
    out = call.result()
    axis = call.number(1)
    axis = (axis if isinstance(axis, int) else 0) % max(len(out.shape or ()), 1)
    answer = movement.joined(call, axis, inputs)
    call.emit(answer.op, inputs, (out,), answer.attributes)


def embedding(call: Call) -> None:
    """embedding(table, indices, ...)."""
    movement.looked_up(call, call.tensor(0), call.tensor(1), call.result(), axis=0, rows=True)


def index_select(call: Call) -> None:
    """index_select(x, dim, indices), gather(x, dim, indices, ...)."""
    axis = call.number(1)
    rows = axis == 0 and "index_select" in call.op_type
    movement.looked_up(call, call.tensor(0), call.tensor(2), call.result(), axis=axis, rows=rows)


def index(call: Call) -> None:
    """index.Tensor(x, list of indices) and its relatives."""
    x, out = call.tensor(0), call.result()
    positions = [i.tensor for i in call.known[1].items or [] if i.tensor is not None]
    op = ops.Copy(kind="gather", elements=out.elements, dtype=x.dtype)
    call.emit(op, (x, *positions), (out,), extra=sum(p.bytes for p in positions))


def index_put(call: Call) -> None:
    """index_put(x, list of indices, values, accumulate)."""
    x, out = call.tensor(0), call.result()
    positions = [i.tensor for i in call.known[1].items or [] if i.tensor is not None]
    values = call.tensor(2)
    op = ops.Copy(kind="scatter", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    extra = values.bytes + sum(p.bytes for p in positions)
    call.emit(op, (x, *positions, values), (out,), extra=extra)


def scatter(call: Call) -> None:
    """scatter.src, scatter_add, scatter_reduce: (x, dim, indices, values)."""
    values = call.inputs[3] if len(call.inputs) > 3 and call.inputs[3] is not None else call.tensor(2)
    how = "add" if "add" in call.op_type else None
    answer = movement.scattered(call, call.tensor(0), call.tensor(2), values, how)
    inputs = list(dict.fromkeys((call.tensor(0), call.tensor(2), values)))
    call.emit(answer.op, inputs, (call.result(),), fused=answer.fused, extra=answer.extra_bytes_read)


def pad(call: Call) -> None:
    """constant_pad_nd(x, amounts, value), pad(x, amounts, mode, value)."""
    value = call.number(2)
    if "constant" not in call.op_type:
        value = call.number(3) if len(call.known) > 3 and call.known[2].text in (None, "constant") else None
    answer = movement.padded(call, call.tensor(0), 0.0 if value is None and "constant" in call.op_type else value)
    call.emit(answer.op, (call.tensor(0),), (call.result(),), answer.attributes)


def repeat(call: Call) -> None:
    """repeat, tile, repeat_interleave."""
    x, out = call.tensor(0), call.result()
    op = ops.Copy(kind="tile", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    call.emit(op, (x,), (out,))


def triangle(call: Call) -> None:
    """tril and triu."""
    x, out = call.tensor(0), call.result()
    call.emit(ops.Copy(kind="trilu", elements=out.elements, dtype=x.dtype), (x,), (out,))


def resize(call: Call) -> None:
    """upsample and interpolate."""
    x, out = call.tensor(0), call.result()
    if "nearest" in call.op_type:
        op: ops.Operator = ops.Copy(kind="resize", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    else:
        kind = "resize_cubic" if "cubic" in call.op_type else "resize_linear"
        op = ops.Elementwise(kind=kind, elements=out.elements, input_elements=x.elements, dtype=x.dtype)
    call.emit(op, (x,), (out,))


def _filled(call: Call) -> None:
    """Written, with nothing to speak of read."""
    out: Tensor = call.result()
    op = ops.Copy(kind="fill", elements=out.elements, read_elements=0, dtype=out.dtype)
    call.emit(op, (), (out,))


_VIEWS = (
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "unsqueeze", "squeeze", "view_as", "reshape_as",
    "_reshape_alias", "_reshape_copy", "view_copy", "as_strided", "view_as_complex", "view_as_real", "ravel",
)  # fmt: skip
_ALIASES = (
    "contiguous", "clone", "detach", "alias", "lift_fresh_copy", "dropout", "native_dropout", "alpha_dropout",
    "feature_dropout", "detach_copy", "requires_grad", "_conj", "resolve_conj", "resolve_neg", "copy",
)  # fmt: skip

ATEN: dict[str, Rule] = {
    **dict.fromkeys(_VIEWS, movement.reshape),
    **dict.fromkeys(_ALIASES, alias),
    **dict.fromkeys(("to", "_to_copy", "type_as", "_cast_Float", "float", "half"), cast),
    "permute": permute, "permute_copy": permute, "transpose": transpose, "swapaxes": transpose, "t": t, "numpy_T": t,
    "expand": expand, "broadcast_to": expand, "expand_as": expand, "expand_copy": expand,
    "slice": slice_, "slice_copy": slice_, "narrow": slice_, "select": select, "select_copy": select, "split": split,
    "split_with_sizes": split, "split_with_sizes_copy": split, "chunk": split, "unbind": split,
    "tensor_split": split, "cat": cat, "stack": cat,
    "hstack": cat, "embedding": embedding, "index_select": index_select, "gather": index_select, "index": index,
    "_index_put_impl": index_put, "index_put": index_put, "scatter": scatter, "scatter_add": scatter,
    "scatter_reduce": scatter, "slice_scatter": scatter, "select_scatter": scatter, "constant_pad_nd": pad, "pad": pad,
    "reflection_pad1d": pad, "reflection_pad2d": pad, "replication_pad2d": pad, "repeat": repeat, "tile": repeat,
    "repeat_interleave": repeat, "roll": repeat, "flip": repeat, "tril": triangle, "triu": triangle,
    "pixel_shuffle": repeat, "pixel_unshuffle": repeat, "channel_shuffle": repeat,
    "upsample_nearest1d": resize, "upsample_nearest2d": resize, "upsample_bilinear2d": resize, "upsample_bicubic2d": resize,
    "_upsample_bilinear2d_aa": resize, "__interpolate": resize,
    **dict.fromkeys(
        ("arange", "zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full",
         "new_empty", "empty", "empty_like", "fill", "zero", "scalar_tensor", "eye", "linspace", "tensor", "ScalarImplicit",
         "rand", "randn", "randint", "rand_like", "randn_like", "bernoulli", "uniform", "normal_functional", "empty_strided"),
        _filled,
    ),
}  # fmt: skip
"""Rules by the name of the ATen function, overload left out."""

PRIMS: dict[str, Rule] = {
    "convert_element_type": cast, "squeeze": movement.reshape, "collapse": movement.reshape,
    "split_dim": movement.reshape, "view_of": alias, "broadcast_in_dim": expand,
    "iota": _filled,
}  # fmt: skip

SPREADING = frozenset({"expand", "broadcast_to", "expand_as", *_VIEWS, *_ALIASES, "to"})

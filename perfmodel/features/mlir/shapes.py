"""Shapes of results that the module leaves open, from what is known of the operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.known import Known
from perfmodel.features.mlir.types import SHAPED
from perfmodel.ops.base import is_symbolic

Shape = tuple[Any, ...]
_DYNAMIC = -(2**63)


def infer(operation: Operation, known: Sequence[Known]) -> Sequence[Shape | None]:
    """A shape for each result, None where nothing is known."""
    shapes = [k.tensor.shape if k.tensor is not None else None for k in known]
    name = operation.name
    function = (
        _TORCH.get(name.split(".")[2]) if name.startswith("torch.aten.") else _FUNCTIONS.get(name.partition(".")[2])
    )
    if name.startswith(("linalg.", "tm_tensor.")):
        count = len(operation.results)
        return shapes[len(shapes) - count :]
    found: Shape | None = None
    try:
        if function is not None:
            found = function(operation, known, shapes)
        elif name in TENSOR_KINDS or _keeps_shape(name):
            found = broadcast([s for s in shapes if s is not None])
    except (TypeError, ValueError, IndexError, KeyError, AttributeError):
        found = None
    if found is not None and not _fits(operation, found):
        found = None
    return [found] * len(operation.results)


def broadcast(shapes: Sequence[Shape]) -> Shape | None:
    """The shape that operands broadcast to, numpy's way; None without operands."""
    if not shapes:
        return None
    rank = max(map(len, shapes))
    result: list[Any] = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, start=rank - len(shape)):
            if not is_symbolic(result[axis]) and result[axis] == 1:
                result[axis] = size
    return tuple(result)


_SAME = frozenset(
    "convert bitcast_convert reverse sort cholesky optimization_barrier all_reduce copy cast identity clamp reduce_precision "
    "uniform_quantize uniform_dequantize collective_permute collective_broadcast batch_norm_inference map rescale table "
    "softmax materialize_in_destination clone to_tensor to_memref to_buffer shape_with scatter dynamic_update_slice "
    "insert_slice triangular_solve".split()
)
_SAME_TORCH = frozenset(
    "softmax _softmax log_softmax _log_softmax layer_norm rms_norm batch_norm group_norm gelu clamp to _to_copy type_as clone "
    "contiguous detach dropout tril triu cumsum roll flip masked_fill index_put _index_put_impl scatter scatter_add "
    "copy alias zeros_like ones_like full_like empty_like".split()
)


def _keeps_shape(name: str) -> bool:
    """Whether an operation's result has the shape that its operands broadcast to."""
    if name.startswith(("torch.aten.", "torch.prims.")):
        from perfmodel.features.mlir.rules_torch import BINARY, UNARY

        function = name.split(".")[2].rstrip("_")
        return function in UNARY or function in BINARY or function in _SAME_TORCH or function == "convert_element_type"
    return name.partition(".")[2] in _SAME


def _fits(operation: Operation, shape: Shape) -> bool:
    """Whether a shape has the rank and the numbers of the result's type."""
    kind = operation.results[0].type if operation.results else None
    own = kind.shape if isinstance(kind, SHAPED) else None
    if own is None:
        return True
    return len(own) == len(shape) and all(
        a is None or b is None or is_symbolic(b) or a == b for a, b in zip(own, shape, strict=True)
    )


def _numbers(operation: Operation, name: str) -> list[int]:
    return [int(n) for n in numbers_of(operation.attributes.get(name)) or []]


def _dot_general(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    params = {k: numbers_of(v) or [] for k, v in operation.attributes["dot_dimension_numbers"].params.items()}
    a, b = shapes[0], shapes[1]
    if a is None or b is None:
        return None
    lhs, rhs = params.get("lhs_batching_dimensions", []), params.get("rhs_batching_dimensions", [])
    gone_a, gone_b = params.get("lhs_contracting_dimensions", []), params.get("rhs_contracting_dimensions", [])
    return (
        *(a[i] for i in lhs),
        *(d for i, d in enumerate(a) if i not in lhs and i not in gone_a),
        *(d for i, d in enumerate(b) if i not in rhs and i not in gone_b),
    )


def _dot(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    a, b = shapes[0], shapes[1]
    return None if a is None or b is None else (*a[:-1], *b[1:])


def _gathered(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    params = {k: numbers_of(v) or [] for k, v in operation.attributes["dimension_numbers"].params.items()}
    offset, collapsed = params.get("offset_dims", []), params.get("collapsed_slice_dims", [])
    given = known[2].integers if operation.name.endswith("dynamic_gather") else _numbers(operation, "slice_sizes")
    if given is None:
        return None
    collapsed = [*collapsed, *params.get("operand_batching_dims", [])]
    sizes = [n for i, n in enumerate(given) if i not in collapsed]
    vector = params.get("index_vector_dim", [0])[0]  # absent where it is 0
    batch = [d for i, d in enumerate(shapes[1] or ()) if i != vector]
    rank = len(sizes) + len(batch)
    return tuple(sizes.pop(0) if axis in offset else batch.pop(0) for axis in range(rank))


def _reduced(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    axes = _numbers(operation, "dimensions")
    return tuple(d for i, d in enumerate(shapes[0] or ()) if i not in axes) if shapes[0] is not None else None


def _kept(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    axis = _numbers(operation, "axis")[0]
    return tuple(1 if i == axis else d for i, d in enumerate(shapes[0] or ()))


def _permuted(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    perm = _numbers(operation, "permutation") or _numbers(operation, "perms")
    return tuple((shapes[0] or ())[p] for p in perm)


def _by_operand(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    """The last operand is the shape."""
    numbers = known[-1].integers
    return None if numbers is None else tuple(numbers)


def _reshaped(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    if len(known) > 1 and known[1].integers is not None:
        return _filled(known[1].integers, shapes[0])
    kind = operation.results[0].type
    own = kind.shape if isinstance(kind, SHAPED) else None
    return None if own is None else _filled([-1 if d is None else d for d in own], shapes[0])


def _filled(wanted: Sequence[Any], shape: Shape | None) -> Shape | None:
    """A shape with one -1 replaced by what the number of elements leaves."""
    missing = [i for i, d in enumerate(wanted) if not is_symbolic(d) and d == -1]
    if not missing:
        return tuple(wanted)
    if len(missing) > 1 or shape is None:
        return None
    rest = prod(d for i, d in enumerate(wanted) if i not in missing)
    total = prod(shape)
    size = total / rest if is_symbolic(total) or is_symbolic(rest) else total // rest if rest else 0
    return tuple(size if i in missing else d for i, d in enumerate(wanted))


def _concatenated(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    axis = (_numbers(operation, "dimension") or _numbers(operation, "axis") or _numbers(operation, "dim"))[0]
    parts = [s for s in shapes if s is not None]
    return tuple(sum(s[axis] for s in parts) if i == axis else d for i, d in enumerate(parts[0]))


def _empty(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    kind = operation.results[0].type
    own = kind.shape if isinstance(kind, SHAPED) else ()
    sizes = iter([k.number for k in known])
    return tuple(next(sizes) if d is None else d for d in own or ())


def _collapsed(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    groups = operation.attributes["reassociation"]
    shape = shapes[0] or ()
    return tuple(prod(shape[i] for i in group) for group in groups)


def _expanded(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    static = numbers_of(operation.attributes.get("static_output_shape"))
    sizes = iter([k.number for k in known[1:]])
    if static is None:
        return _reshaped(operation, known[:1], shapes)
    return tuple(next(sizes) if d is None or d <= _DYNAMIC else d for d in static)


def _sliced(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    sizes = numbers_of(operation.attributes.get("static_sizes"))
    if sizes is None:
        return None
    offsets = numbers_of(operation.attributes.get("static_offsets")) or []
    dynamic = [k.number for k in known[1:]]
    skipped = sum(1 for n in offsets if n is None or n <= _DYNAMIC)
    rest = iter(dynamic[skipped:])
    return tuple(next(rest) if d is None or d <= _DYNAMIC else d for d in sizes)


def _padded(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    low, high = (numbers_of(operation.attributes.get(n)) for n in ("static_low", "static_high"))
    if low is None or high is None:
        low, high = (numbers_of(operation.attributes.get(n)) for n in ("edge_padding_low", "edge_padding_high"))
    if low is None or high is None or any(n is None or n <= _DYNAMIC for n in (*low, *high)):
        return None
    return tuple(d + a + b for d, a, b in zip(shapes[0] or (), low, high, strict=True))


def _matmul(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    a, b = shapes[0] or (), shapes[1] or ()
    return (*(broadcast([a[:-2], b[:-2]]) or ()), a[-2], b[-1]) if len(a) > 1 and len(b) > 1 else None


def _windowed(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    """The result of a convolution or pool of TOSA."""
    x = shapes[0] or ()
    count = len(x) - 2
    w = shapes[1] if "conv" in operation.name and len(shapes) > 1 else None
    kernel = _numbers(operation, "kernel") or list(
        (w or ())[:count] if "depthwise" in operation.name else (w or ())[1:-1]
    )
    stride, pad = _numbers(operation, "stride"), _numbers(operation, "pad")
    dilation = _numbers(operation, "dilation") or [1] * count
    spatial = [
        (x[1 + i] + pad[2 * i] + pad[2 * i + 1] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(count)
    ]
    channels = x[-1] if w is None else x[-1] * w[-1] if "depthwise" in operation.name else w[0]
    return (x[0], *spatial, channels)


def _convolved(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    """The result of a convolution of StableHLO."""
    body = operation.attributes["dimension_numbers"].body
    sides = [[p.strip() for p in s.split(",")] for s in body.replace("->", "x").replace("[", "").split("]x")]
    of_x, of_w, of_out = ([p.strip("] ") for p in s] for s in sides)
    x = dict(zip(of_x, shapes[0] or (), strict=True))
    w = dict(zip(of_w, shapes[1] or (), strict=True))
    count = len(of_x) - 2
    stride = _numbers(operation, "window_strides") or [1] * count
    pad = _numbers(operation, "padding") or [0] * (2 * count)
    spread = _numbers(operation, "lhs_dilation") or [1] * count
    dilation = _numbers(operation, "rhs_dilation") or [1] * count
    sizes: dict[str, Any] = {"b": x["b"], "f": w["o"]}
    for i in range(count):
        whole = (x[str(i)] - 1) * spread[i] + 1 + pad[2 * i] + pad[2 * i + 1]
        sizes[str(i)] = (whole - dilation[i] * (w[str(i)] - 1) - 1) // stride[i] + 1
    return tuple(sizes[p] for p in of_out)


_FUNCTIONS: dict[str, Callable[..., Shape | None]] = {
    "dot_general": _dot_general,
    "dot": _dot,
    "gather": _gathered, "dynamic_gather": _gathered, "reduce": _reduced, "transpose": _permuted, "concatenate": _concatenated,
    "concat": _concatenated, "dynamic_broadcast_in_dim": _by_operand, "dynamic_reshape": _by_operand,
    "dynamic_iota": _by_operand, "reshape": _reshaped, "empty": _empty, "alloc": _empty, "alloca": _empty,
    "alloc_tensor": _empty, "collapse_shape": _collapsed, "expand_shape": _expanded, "extract_slice": _sliced,
    "subview": _sliced, "pad": _padded, "matmul": _matmul, "conv2d": _windowed, "conv3d": _windowed,
    "depthwise_conv2d": _windowed, "max_pool2d": _windowed, "avg_pool2d": _windowed, "convolution": _convolved,
    **{f"reduce_{kind}": _kept for kind in ("sum", "max", "min", "prod", "product", "all", "any")},
}  # fmt: skip
"""By the operation's name, dialect left out."""


# The torch dialect


def _viewed(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    numbers = known[1].integers
    return None if numbers is None else _filled(numbers, shapes[0])


def _transposed(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    shape = list(shapes[0] or ())
    a, b = (known[i].number for i in (1, 2))
    shape[a], shape[b] = shape[b], shape[a]
    return tuple(shape)


def _turned(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    return tuple(reversed(shapes[0] or ()))


def _torch_permuted(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    return tuple((shapes[0] or ())[p] for p in known[1].integers or ())


def _unsqueezed(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    shape = list(shapes[0] or ())
    axis = known[1].number
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
    return tuple(shape)


def _torch_expanded(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    numbers, shape = known[1].integers or [], shapes[0] or ()
    own = (1,) * (len(numbers) - len(shape)) + shape
    return tuple(b if not is_symbolic(a) and a == -1 else a for a, b in zip(numbers, own, strict=True))


def _linear(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    return (*(shapes[0] or ())[:-1], (shapes[1] or ())[0])


def _addmm(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    return _matmul(operation, known[1:], shapes[1:])


def _torch_concatenated(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    parts = [i.tensor.shape for i in known[0].items or [] if i.tensor is not None and i.tensor.shape is not None]
    axis = known[1].number % len(parts[0])
    return tuple(sum(s[axis] for s in parts) if i == axis else d for i, d in enumerate(parts[0]))


def _torch_reduced(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    shape = shapes[0] or ()
    axes = [a % len(shape) for a in known[1].integers or range(len(shape))]
    keep = next((k.scalar for k in known[2:4] if isinstance(k.scalar, bool)), False)
    if keep:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def _torch_convolved(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    x, w = shapes[0] or (), shapes[1] or ()
    count = len(x) - 2
    stride, pad, dilation = (
        (known[i].integers or [d]) * (count if len(known[i].integers or [d]) == 1 else 1)
        for i, d in ((3, 1), (4, 0), (5, 1))
    )
    spatial = [(x[2 + i] + 2 * pad[i] - dilation[i] * (w[2 + i] - 1) - 1) // stride[i] + 1 for i in range(count)]
    return (x[0], w[0], *spatial)


def _embedded(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    return (*(shapes[1] or ()), (shapes[0] or ())[-1])


def _attended(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    return (*(shapes[0] or ())[:-1], (shapes[2] or ())[-1])


def _torch_sliced(operation: Operation, known: Sequence[Known], shapes: Sequence[Shape | None]) -> Shape | None:
    shape = list(shapes[0] or ())
    axis, start, end, step = (known[i].number for i in range(1, 5))
    size = shape[axis]
    if not is_symbolic(size):
        start = max(start + size, 0) if start < 0 else min(start, size)
        end = max(end + size, 0) if end < 0 else min(end, size)
        shape[axis] = max(-(-(end - start) // step), 0)
    elif not (start == 0 and end >= 2**31):
        shape[axis] = -(-(end - start) // step)
    return tuple(shape)


_TORCH: dict[str, Callable[..., Shape | None]] = {
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), _viewed), "transpose": _transposed, "t": _turned,
    "permute": _torch_permuted, "unsqueeze": _unsqueezed, "expand": _torch_expanded, "broadcast_to": _torch_expanded,
    "mm": _matmul, "bmm": _matmul, "matmul": _matmul, "linear": _linear, "addmm": _addmm, "baddbmm": _addmm,
    "cat": _torch_concatenated, "sum": _torch_reduced, "mean": _torch_reduced, "amax": _torch_reduced,
    "max": _torch_reduced, "min": _torch_reduced, "var": _torch_reduced, "var_mean": _torch_reduced,
    "convolution": _torch_convolved, "conv2d": _torch_convolved, "embedding": _embedded,
    "scaled_dot_product_attention": _attended, "slice": _torch_sliced,
}  # fmt: skip

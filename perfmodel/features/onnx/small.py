"""The values of small constants: what shape arithmetic and fusion need to know (a scale, an exponent, an epsilon).

Exporters spell constants out (``Cast`` of a number, ``1 / Sqrt`` of a head size). The functions that they use are
evaluated here for operands of a few elements; what is missing stays unknown, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

import numpy as np

from perfmodel.features.onnx.external import MAX_CONSTANT_ELEMENTS

_STANDARD = ("", "ai.onnx")


def tensor_of(value: Any) -> Any:
    """The stored tensor of a small constant (an initializer, a Constant node, an evaluated value), else None."""
    if value.const_value is not None:
        return value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain not in _STANDARD or len(node.attributes) != 1:
        return None
    import onnx_ir as ir

    try:
        tensor = ir.convenience.get_const_tensor(value)
    except (ValueError, TypeError):
        return None
    return None if isinstance(tensor, ir.ExternalTensor) else tensor


def array_of(value: Any) -> np.ndarray | None:
    """The elements of a small constant, else None."""
    tensor = tensor_of(value)
    if tensor is None:
        return None
    try:
        array = np.asarray(tensor.numpy())
    except Exception:
        # numpy and ml_dtypes raise several types for data that do not fit; then the value is just not known.
        return None
    return array if array.size <= MAX_CONSTANT_ELEMENTS and array.dtype.kind not in "OUS" else None


def scalar_of(value: Any) -> float | None:
    """The number in a constant of one element, else None."""
    array = array_of(value)
    if array is None or array.size != 1:
        return None
    try:
        return float(array.reshape(-1)[0])
    except (TypeError, ValueError, OverflowError):
        return None  # a complex number


def evaluate_all(
    graphs: Iterable[Any], dtype_of: Callable[[Any], Any], repeated: Container[Any] = frozenset()
) -> list[Any]:
    """Give every value that follows from small constants its ``const_value``.

    Args:
        graphs: the model's graphs, their nodes in topological order; changed in place.
        dtype_of: the ``onnx_ir`` dtype of a value where it is known.
        repeated: graphs inside which shapes may change from one execution to the next.

    Returns:
        The nodes that were evaluated.
    """
    import onnx_ir as ir
    from onnx_shape_inference import SYM_DATA_KEY

    found = []
    for graph in graphs:
        for node in graph:
            if node.op_type not in _FUNCTIONS or node.domain not in _STANDARD or len(node.outputs) != 1:
                continue
            out = node.outputs[0]
            if out.const_value is not None:
                continue
            if node.op_type in _OF_SHAPES and node.inputs and node.inputs[0] is not None:
                operands = _sizes(node.inputs[0], repeated)
            else:
                operands = _operands(node)
            if operands is None:
                continue
            array = evaluate(node, operands, dtype_of)
            if array is None:
                continue
            out.const_value = ir.tensor(array, name=out.name)
            out.shape = ir.Shape(array.shape)
            if out.dtype is None:
                out.dtype = out.const_value.dtype
            out.metadata_props.pop(SYM_DATA_KEY, None)
            found.append(node)
    return found


def evaluate(
    node: Any,
    operands: list[np.ndarray | None],
    dtype_of: Callable[[Any], Any],
    largest: int = MAX_CONSTANT_ELEMENTS,
) -> np.ndarray | None:
    """The result of a node for given operands; None where that is not known here, or has more elements than wanted."""
    function = _FUNCTIONS.get(node.op_type)
    if function is None or node.domain not in _STANDARD:
        return None
    try:
        # Overflow to infinity and 0/0 are what the model computes, too.
        with np.errstate(all="ignore"):
            array = np.asarray(function(node, operands, dtype_of, largest))
    except _EXPECTED:
        return None
    return None if array.size > largest or array.dtype.kind in "OUSc" else array


class _UnknownError(Exception):
    """The value does not follow from what is known."""


_EXPECTED = (_UnknownError, TypeError, ValueError, IndexError, ArithmeticError, AttributeError, KeyError, MemoryError)


def _operands(node: Any) -> list[np.ndarray | None] | None:
    """The operands' elements; None when one that matters is not known."""
    arrays: list[np.ndarray | None] = []
    for index, value in enumerate(node.inputs):
        if value is None or (node.op_type == "CastLike" and index == 1):
            arrays.append(None)
            continue
        array = array_of(value)
        if array is None:
            return None
        arrays.append(array)
    return arrays if arrays else None


def _sizes(value: Any, repeated: Container[Any]) -> list[np.ndarray | None] | None:
    """The sizes of a tensor as an operand, where all are known and do not change."""
    if value.shape is None or value.graph in repeated or not all(isinstance(d, int) for d in value.shape):
        return None
    return [np.array(list(value.shape), dtype=np.int64)]


def _attribute(node: Any, name: str, default: Any) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.value is None else attribute.value


def _cast(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    import onnx_ir as ir

    if node.op_type == "Cast":
        dtype = ir.DataType(int(_attribute(node, "to", 0)))
    else:
        dtype = dtype_of(node.inputs[1])
        if dtype is None:
            raise _UnknownError
    return np.asarray(operands[0].astype(dtype.numpy()))


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the operands alone, in the operands' dtype."""

    def apply(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> Any:
        result = np.asarray(function(*(o for o in operands if o is not None)))
        # numpy widens some results; ONNX keeps the operands' dtype, but for comparisons.
        return result if result.dtype == bool else result.astype(operands[0].dtype)

    return apply


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind in "iu":
        if not np.all(b):
            raise _UnknownError
        quotient = np.abs(a) // np.abs(b)  # ONNX divides integers towards zero
        return np.asarray(np.where((a < 0) == (b < 0), quotient, -quotient))
    return np.asarray(a / b)


def _mod(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind not in "iu" or not np.all(b):
        raise _UnknownError
    return np.asarray(np.mod(a, b))


def _range(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    start, limit, delta = (o.reshape(-1)[0] for o in operands)
    if not delta or abs((limit - start) / delta) > largest:
        raise _UnknownError
    return np.arange(start, limit, delta, dtype=operands[0].dtype)


def _slice(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    if len(operands) < 3:
        raise _UnknownError
    data, starts, ends = operands[0], operands[1].reshape(-1), operands[2].reshape(-1)
    axes = operands[3].reshape(-1) if len(operands) > 3 and operands[3] is not None else range(len(starts))
    steps = operands[4].reshape(-1) if len(operands) > 4 and operands[4] is not None else [1] * len(starts)
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not step:
            raise _UnknownError
        index[int(axis)] = slice(int(start), int(end), int(step))
    return np.asarray(data[tuple(index)])


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> Any:
        axes = _axes(node, operands)
        if axes is None and _attribute(node, "noop_with_empty_axes", 0):
            return operands[0]
        keep = bool(_attribute(node, "keepdims", 1))
        return np.asarray(function(operands[0], axis=axes, keepdims=keep)).astype(operands[0].dtype)

    return apply


def _where(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.where(operands[0], operands[1], operands[2]))


def _axes(node: Any, operands: list[Any]) -> tuple[int, ...] | None:
    given = _attribute(node, "axes", None)
    if given is None and len(operands) > 1 and operands[1] is not None:
        given = operands[1].reshape(-1).tolist()
    return None if given is None else tuple(int(a) for a in given)


def _squeeze(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.squeeze(operands[0], _axes(node, operands)))


def _unsqueeze(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    axes = _axes(node, operands)
    if axes is None or len(axes) > 8:
        raise _UnknownError
    return np.asarray(np.expand_dims(operands[0], axes))


def _reshape(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    shape = [int(d) for d in operands[1].reshape(-1)]
    if 0 in shape and not _attribute(node, "allowzero", 0):
        shape = [operands[0].shape[i] if d == 0 else d for i, d in enumerate(shape)]
    return np.asarray(operands[0].reshape(shape))


def _gather(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.take(operands[0], operands[1].astype(np.int64), axis=int(_attribute(node, "axis", 0))))


def _concat(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.concatenate(operands, axis=int(_attribute(node, "axis", 0))))


def _transpose(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.transpose(operands[0], _attribute(node, "perm", None)))


def _expand(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    shape = [int(d) for d in operands[1].reshape(-1)]
    if np.prod(shape, dtype=float) > largest:
        raise _UnknownError
    return np.asarray(operands[0] * np.ones(shape, dtype=operands[0].dtype))


def _filled(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    shape = [int(d) for d in operands[0].reshape(-1)]
    if np.prod(shape, dtype=float) > largest:
        raise _UnknownError
    given = _attribute(node, "value", None)
    number = np.zeros(1, np.float32) if given is None else np.asarray(given.numpy())
    return np.full(shape, number.reshape(-1)[0], dtype=number.dtype)


def _triangle(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    offset = 0 if len(operands) < 2 or operands[1] is None else int(operands[1].reshape(-1)[0])
    cut = np.triu if _attribute(node, "upper", 1) else np.tril
    return np.asarray(cut(operands[0], offset))


def _nonzero(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.stack(np.nonzero(np.atleast_1d(operands[0]))), dtype=np.int64)


def _shape(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(operands[0][slice(_attribute(node, "start", 0), _attribute(node, "end", None))])


def _size(node: Any, operands: list[Any], dtype_of: Callable[[Any], Any], largest: int) -> np.ndarray:
    return np.asarray(np.prod(operands[0], dtype=np.int64))


_OF_SHAPES = frozenset({"Shape", "Size"})

_PLAIN: dict[str, Callable[..., Any]] = {
    "Identity": lambda x: x, "Neg": np.negative, "Abs": np.abs, "Sqrt": np.sqrt, "Reciprocal": lambda x: 1 / x,
    "Exp": np.exp, "Log": np.log, "Floor": np.floor, "Ceil": np.ceil, "Round": np.round,
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide, "Pow": np.power, "Mod": _mod,
    "Max": np.maximum, "Min": np.minimum, "Equal": np.equal, "Greater": np.greater, "Less": np.less,
    "GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal,
    "And": np.logical_and, "Or": np.logical_or, "Not": np.logical_not,
}  # fmt: skip

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Cast": _cast,
    "CastLike": _cast,
    "Trilu": _triangle,
    "Where": _where,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Gather": _gather,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "NonZero": _nonzero,
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Transpose": _transpose,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    **{op_type: _plain(function) for op_type, function in _PLAIN.items()},
}
"""The functions that exporters build constants from."""

"""What needs no execution on the device: constants and what follows from them, shape arithmetic, scalars of the host.

An engine computes these once, when it is built, or on the host while the model runs. Of small ones the values are kept
(shapes, trip counts, an epsilon that fusion compares); of large ones only that they are constant, and whether all
elements are one number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir import positions, shapes
from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.attributes import Dense
from perfmodel.features.mlir.evaluate import MAX_NUMBERS, value_of
from perfmodel.features.mlir.generic_products import dequantised
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.known import NONE, Known, Origin
from perfmodel.features.mlir.types import SHAPED, ScalarType
from perfmodel.graph import Removed

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

CONSTANTS = {
    "stablehlo.constant": "value", "mhlo.constant": "value", "chlo.constant": "value", "arith.constant": "value",
    "tosa.const": "values", "tosa.const_shape": "values", "torch.vtensor.literal": "value",
    "torch.tensor.literal": "value", "torch.constant.int": "value", "torch.constant.float": "value",
    "torch.constant.bool": "value", "torch.constant.number": "value", "index.constant": "value",
    "index.bool.constant": "value", "complex.constant": "value", "shape.const_shape": "shape",
    "vector.constant_mask": "", "llvm.mlir.constant": "value", "shape.const_size": "value", "spirv.Constant": "value",
}  # fmt: skip
"""Operations that are a constant, and the attribute that holds it."""

WEIGHTS = frozenset(
    "util.global.load ml_program.global_load ml_program.global_load_const memref.get_global torch.get_attr "
    "torch.prim.GetAttr torch.operator_get flow.tensor.constant util.unfoldable_constant "
    "torch.global_slot.get stablehlo.get_global iree_input.global.load".split()
)
"""Operations that read a weight of the module."""

EMPTY = frozenset(
    "tensor.empty linalg.init_tensor memref.alloc memref.alloca bufferization.alloc_tensor torch.aten.empty.memory_format "
    "flow.tensor.empty gpu.alloc".split()
)
"""Operations that give storage without contents."""

_NEVER_FOLDED = frozenset(
    "stablehlo.custom_call mhlo.custom_call stablehlo.rng stablehlo.rng_bit_generator mhlo.rng mhlo.rng_bit_generator "
    "stablehlo.uniform_dequantize quant.dcast torch.aten.dropout torch.aten.bernoulli torch.aten.rand torch.aten.randn "
    "torch.aten.uniform memref.store memref.copy linalg.copy gpu.launch_func gpu.launch torch.prim.ListConstruct "
    "torch.prim.TupleConstruct torch.prim.ListUnpack torch.prim.TupleUnpack torch.constant.none torch.constant.str "
    "torch.constant.device torch.derefine torch.aten.size.int tensor.dim memref.dim stablehlo.get_dimension_size "
    "mhlo.get_dimension_size shape.shape_of torch.runtime.assert cf.assert stablehlo.create_token "
    "stablehlo.partition_id stablehlo.replica_id memref.dealloc bufferization.dealloc_tensor "
    "torch.overwrite.tensor.contents torch.aten.quantize_per_tensor torch.aten.dequantize.self "
    "torch.aten.dequantize.tensor torch.aten._make_per_tensor_quantized_tensor "
    "torch.quantized_decomposed.dequantize_per_tensor".split()
)
_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "collective")

_REPEATING = frozenset(
    "stablehlo.broadcast_in_dim mhlo.broadcast_in_dim stablehlo.broadcast linalg.broadcast tosa.tile torch.aten.expand "
    "torch.aten.broadcast_to torch.aten.expand_as".split()
)
"""Operations that repeat a smaller operand."""

_PLACED = frozenset(("stablehlo.dynamic_slice", "mhlo.dynamic_slice"))
_POSITIONS = frozenset(("stablehlo.iota", "mhlo.iota", "vector.step", "linalg.iota"))
_MARKING = ("iota", "arange", "arange.start", "arange.start_step", "tril", "triu")
_RENAMING = (
    ".reshape",
    ".view",
    ".cast",
    "._unsafe_view",
    ".broadcast_in_dim",
    ".clone",
    ".contiguous",
    ".expand_shape",
    ".collapse_shape",
)


def fold(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """Make the results of an operation known that needs no execution.

    Returns:
        False where the device executes it.
    """
    name = operation.name
    special = _SPECIAL.get(name)
    if special is not None:
        return special(convert, operation, known)
    origin = Origin.CONSTANT
    for k in known:
        if k.origin is None:
            break
        if k.origin > origin:
            origin = k.origin
    else:
        if not known or _is_never_folded(name):
            return _is_host_scalar(convert, operation)
        if not operation.results or (
            operation.regions and not name.startswith(("linalg.", "tensor.", "stablehlo.reduce"))
        ):
            return False
        if operation.regions and _reads_outside(convert, operation):
            return False
        repeats = name in _REPEATING or (name == "linalg.generic" and _hands_on(operation))
        if repeats and known[0].scalar is None and len(operation.results) == 1:
            return False  # the rule keeps what is repeated apart
        if name == "linalg.generic" and dequantised(operation) is not None:
            return False  # engines keep weights narrow, and dequantise them where they are multiplied
        if name in _PLACED and any(k.number is None for k in known[1:]):
            return False  # a part of a weight that changes from iteration to iteration
        if _keeps_shape(convert, operation, known):
            convert.env[operation.results[0]] = known[0]
            convert.removed.append(Removed(convert.name_of(operation), operation.name, origin.reason))
            return True
        _folded(convert, operation, known, origin)
        return True
    return _is_host_scalar(convert, operation)


@lru_cache(maxsize=4096)
def _is_never_folded(name: str) -> bool:
    return name in _NEVER_FOLDED or any(part in name for part in _COLLECTIVES)


def _hands_on(operation: Operation) -> bool:
    """Whether a body hands its first argument on, along axes that the operand lacks."""
    body = operation.body
    terminator = None if body is None else body.terminator
    if body is None or terminator is None or list(terminator.operands) != body.arguments[:1]:
        return False
    source, result = operation.operands[0].type, operation.results[0].type
    return (
        isinstance(source, SHAPED) and isinstance(result, SHAPED) and len(source.shape or ()) < len(result.shape or ())
    )


def _keeps_shape(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """Whether a constant that repeats a smaller one is renamed only."""
    first = known[0]
    if first.spread is None or first.scalar is not None or first.tensor is None or len(operation.results) != 1:
        return False
    if not operation.name.endswith(_RENAMING):
        return False
    found = convert.typed(operation.results[0].type)
    return found is not None and found == (first.tensor.shape, first.tensor.dtype)


def _reads_outside(convert: Conversion, operation: Operation) -> bool:
    """Whether a body reads a tensor of the device that is no operand of its operation."""
    for inner in operation.walk():
        for value in inner.operands:
            known = convert.env.get(value)
            if known is not None and known.origin is None and known.tensor is not None:
                return True
    return False


def _is_host_scalar(convert: Conversion, operation: Operation) -> bool:
    """Arithmetic on scalars outside of any kernel runs on the host: nothing is launched for it."""
    results = operation.results
    if not results or type(results[0].type) is not ScalarType or operation.regions:
        return False
    if operation.name.startswith(("gpu.", "nvgpu.", "torch.aten.item")):
        return False
    for value in results:
        if not isinstance(value.type, ScalarType):
            return False
    known = [convert.known(v) for v in operation.operands]
    if any(k.tensor is not None and k.origin is None for k in known) and "dim" not in operation.name:
        # An element of a tensor (a load): its value is not known, the arithmetic is still the host's.
        for value in operation.results:
            convert.env[value] = Known(origin=Origin.HOST)
    else:
        _folded(convert, operation, known, Origin.HOST)
        return True
    convert.removed.append(Removed(convert.name_of(operation), operation.name, Origin.HOST.reason))
    return True


def _make(
    convert: Conversion, value: Any, origin: Origin, *, scalar: Any = None, numbers: list[Any] | None = None,
    source: str | None = None, empty: bool = False, guess: tuple[Any, ...] | None = None,
) -> Known:  # fmt: skip
    """A folded value; its tensor is stored with the model.

    Args:
        guess: the shape where the type leaves it open.
    """
    found = convert.typed(value.type)
    if found is None or not isinstance(value.type, SHAPED):
        known = Known(origin=origin, scalar=scalar, numbers=numbers, source=source, empty=empty)
        convert.env[value] = known
        return known
    shape = found[0]
    if shape is None or None in shape:
        shape = convert.dims.merged(shape, guess, value, value.operation.name if value.operation else "the module")
    one = shape is not None and all(isinstance(d, int) and d == 1 for d in shape)
    if one and scalar is None and numbers is not None and len(numbers) == 1:
        scalar = numbers[0]
    number = float(scalar) if isinstance(scalar, (int, float)) else None
    tensor = convert.make_tensor(
        value.name or "v", shape, found[1], is_weight=True, scalar=number if one else None, source=source
    )
    spread = convert.constant(scalar, found[1]) if number is not None and not one else None
    known = Known(
        tensor, origin=origin, scalar=scalar, numbers=numbers, spread=spread, source=source or tensor.name, empty=empty
    )
    convert.env[value] = known
    return known


def _position(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """``iota`` of a static shape."""
    if known:
        return False
    _folded(convert, operation, known, Origin.CONSTANT)
    return True


def _storage(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """Weights, and storage without contents."""
    guesses = shapes.infer(operation, known) if known else ()
    for index, value in enumerate(operation.results):
        guess = guesses[index] if index < len(guesses) else None
        _make(convert, value, Origin.CONSTANT, empty=operation.name in EMPTY, guess=guess)
    return True


def _constant(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    attribute = operation.attributes.get(CONSTANTS[operation.name])
    found = convert.values_of.get(id(attribute))
    if found is None:  # the module keeps the attribute, and with it its address
        found = convert.values_of[id(attribute)] = _values_of(attribute)
    scalar, numbers = found
    for value in operation.results:
        _make(convert, value, Origin.CONSTANT, scalar=scalar, numbers=numbers)
    return True


def _values_of(attribute: Any) -> tuple[Any, list[Any] | None]:
    """(the number that all elements are, the elements) of a constant; each None where unknown."""
    scalar: Any = None
    numbers: list[Any] | None = None
    if isinstance(attribute, Dense):
        scalar = attribute.splat
        flat = attribute.flat()
        if flat is not None and len(flat) <= MAX_NUMBERS:
            numbers = list(flat)
            count = _count(attribute.type)
            if count is not None and len(numbers) == 1 and count != 1:
                numbers = numbers * count if count <= MAX_NUMBERS else None
    elif isinstance(attribute, (bool, int, float)):
        scalar = attribute
    elif attribute is not None:
        numbers = numbers_of(attribute)
    if scalar is not None and not isinstance(scalar, (bool, int, float)):
        scalar = None  # a complex number, a string
    return scalar, numbers


def _count(kind: Any) -> int | None:
    shape = getattr(kind, "shape", None)
    return None if shape is None or None in shape else math.prod(shape)


def _folded(convert: Conversion, operation: Operation, known: Sequence[Known], origin: Origin) -> None:
    scalar, numbers = value_of(operation, known)
    source = next((k.source for k in known if k.source is not None and k.scalar is None), None)
    guesses: Sequence[Any] = ()
    marked = convert.marks or operation.name.endswith(_MARKING)
    for index, value in enumerate(operation.results):
        shape = getattr(value.type, "shape", ())
        if not guesses and (shape is None or None in shape):
            guesses = shapes.infer(operation, known)
        first = index == 0
        made = _make(
            convert, value, origin, scalar=scalar if first else None, numbers=numbers if first else None, source=source,
            guess=guesses[index] if index < len(guesses) else None,
        )  # fmt: skip
        if marked and first and made.tensor is not None and made.tensor.shape is not None:
            made.mark = positions.mark(operation, known, len(made.tensor.shape), made.tensor.shape)
            convert.marks = convert.marks or made.mark is not None
    convert.removed.append(Removed(convert.name_of(operation), operation.name, origin.reason))


# Single operations


def _dimension(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """The extent of one axis."""
    tensor = known[0].tensor if known else None
    axis = operation.attributes.get("dimension")
    if axis is None:
        axis = known[1].number if len(known) > 1 else None
    size = None
    if (
        tensor is not None
        and tensor.shape is not None
        and isinstance(axis, int)
        and -len(tensor.shape) <= axis < len(tensor.shape)
    ):
        size = tensor.shape[axis]
    _make(convert, operation.results[0], Origin.HOST, scalar=size)
    convert.removed.append(Removed(convert.name_of(operation), operation.name, Origin.HOST.reason))
    return True


def _shape_of(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    tensor = known[0].tensor if known else None
    shape = None if tensor is None or tensor.shape is None else list(tensor.shape)
    _make(convert, operation.results[0], Origin.HOST, numbers=shape)
    convert.removed.append(Removed(convert.name_of(operation), operation.name, Origin.HOST.reason))
    return True


def _list(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    origin = None if any(k.origin is None and k.tensor is not None for k in known) else Origin.CONSTANT
    convert.env[operation.results[0]] = Known(items=list(known), origin=origin)
    return True


def _unpack(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    items = known[0].items if known else None
    for index, value in enumerate(operation.results):
        convert.env[value] = items[index] if items is not None and index < len(items) else convert.fresh(value)
    return True


def _none(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    for value in operation.results:
        convert.env[value] = NONE
    return True


def _text(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    text = operation.attributes.get("value")
    if text is None and operation.literals:
        text = operation.literals[0]
    convert.env[operation.results[0]] = Known(text=str(text), origin=Origin.CONSTANT)
    return True


def _same(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    convert.env[operation.results[0]] = known[0]
    return True


def _from_elements(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    numbers = [k.number for k in known]
    whole = None if any(n is None for n in numbers) else numbers
    _make(convert, operation.results[0], Origin.HOST, numbers=whole)
    convert.removed.append(Removed(convert.name_of(operation), operation.name, Origin.HOST.reason))
    return True


def _filled(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """A tensor of one number: what reads it element by element takes the number."""
    name = operation.name.split(".")[2]
    number: Any = {"zeros": 0, "ones": 1}.get(name.removesuffix("_like").removeprefix("new_"))
    if number is None:
        number = known[1 if "full" in name and len(known) > 1 else 0].number
    found = convert.typed(operation.results[0].type)
    if not isinstance(number, (int, float)) or found is None or found[0] is None or None in found[0]:
        return False
    _make(convert, operation.results[0], Origin.CONSTANT, scalar=number)
    convert.removed.append(Removed(convert.name_of(operation), operation.name, Origin.CONSTANT.reason))
    return True


def _element(convert: Conversion, operation: Operation, known: Sequence[Known]) -> bool:
    """One element of a tensor, read by the host."""
    source = known[0] if known else Known()
    number = source.scalar
    index = known[1].number if len(known) == 2 else None
    if number is None and source.numbers is not None and isinstance(index, int) and 0 <= index < len(source.numbers):
        number = source.numbers[index]
    if number is None and source.numbers is not None and len(known) == 1 and len(source.numbers) == 1:
        number = source.numbers[0]
    if not isinstance(operation.results[0].type, ScalarType):
        return False
    convert.env[operation.results[0]] = Known(origin=Origin.HOST, scalar=number)
    convert.removed.append(Removed(convert.name_of(operation), operation.name, Origin.HOST.reason))
    return True


_SPECIAL: dict[str, Callable[[Conversion, Operation, Sequence[Known]], bool]] = {
    **dict.fromkeys((*EMPTY, *WEIGHTS), _storage), **dict.fromkeys(CONSTANTS, _constant),
    **dict.fromkeys(_POSITIONS, _position),
    "stablehlo.get_dimension_size": _dimension, "mhlo.get_dimension_size": _dimension, "tensor.dim": _dimension,
    "memref.dim": _dimension, "torch.aten.size.int": _dimension, "shape.shape_of": _shape_of,
    "torch.aten.size": _shape_of,
    "torch.prim.ListConstruct": _list, "torch.prim.TupleConstruct": _list, "stablehlo.tuple": _list, "mhlo.tuple": _list,
    "torch.prim.ListUnpack": _unpack, "torch.prim.TupleUnpack": _unpack,
    "torch.constant.none": _none, "torch.constant.str": _text, "torch.constant.device": _text, "torch.derefine": _same,
    "torch_c.to_builtin_tensor": _same, "torch_c.from_builtin_tensor": _same, "torch.symbolic_int": _none,
    "tensor.from_elements": _from_elements, "tensor.extract": _element,
    **dict.fromkeys(
        (f"torch.aten.{n}" for n in ("full_like", "zeros_like", "ones_like", "full", "zeros", "ones", "new_full",
                                     "new_zeros", "new_ones")), _filled
    ),
}  # fmt: skip

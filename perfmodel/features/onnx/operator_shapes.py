"""Shapes of operators that ``onnx_shape_inference`` does not follow, or follows wrongly; registered with it.

A shape function gets the inference's context and a node, and sets what it knows of the outputs; what it does not know
it leaves open. Dimensions are ints or symbols with arithmetic, as ``onnx_ir`` has them. Where an operator is another
one under a different name, that one's function is registered again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from perfmodel.features.onnx import fallback

ShapeFunction: TypeAlias = Callable[[Any, Any], None]

_NEWEST = 50
"""Operator sets beyond any that exist."""
_OPSET = 21
"""Version of the standard functions that operators of other domains borrow."""


def input_of(node: Any, index: int) -> Any:
    """Operand ``index``, None where it is absent."""
    return node.inputs[index] if index < len(node.inputs) else None


def attribute(node: Any, name: str, default: Any) -> Any:
    """The attribute's value, or ``default``."""
    found = node.attributes.get(name)
    return default if found is None or found.value is None else found.value


def set_output(ctx: Any, node: Any, index: int, dims: Sequence[Any] | None, dtype: Any) -> None:
    """Set shape and dtype of output ``index`` where the node has it; None leaves either open."""
    import onnx_ir as ir

    if index >= len(node.outputs) or not node.outputs[index].name:
        return
    shape = None if dims is None else ir.Shape([ctx.new_symbolic_dim() if d is None else d for d in dims])
    ctx.set_shape_and_dtype(node.outputs[index], shape, dtype)


def dims_of(value: Any) -> list[Any] | None:
    """The dimensions of an operand whose rank is known."""
    return None if value is None or value.shape is None else list(value.shape.dims)


def like(*sources: int, dtype: Any = None) -> ShapeFunction:
    """Output i has the shape and the dtype of operand ``sources[i]``."""

    def function(ctx: Any, node: Any) -> None:
        for index, source in enumerate(sources):
            value = input_of(node, source)
            if value is not None:
                set_output(ctx, node, index, dims_of(value), dtype or value.dtype)

    return function


def broadcast(*sources: int, dtype: Any = None) -> ShapeFunction:
    """The only output has the broadcast shape of these operands."""

    def function(ctx: Any, node: Any) -> None:
        import onnx_ir as ir
        from onnx_shape_inference import broadcast_shapes

        shape: Any = ir.Shape([])
        for source in sources:
            value = input_of(node, source)
            shape = None if value is None or shape is None else broadcast_shapes(shape, value.shape)
        first = input_of(node, sources[0])
        kind = dtype or (None if first is None else first.dtype)
        set_output(ctx, node, 0, None if shape is None else list(shape.dims), kind)

    return function


def is_known(ctx: Any, value: Any) -> bool:
    """Whether the elements of an operand are constants, or shape arithmetic that inference followed."""
    if value.const_value is not None or ctx.get_symbolic_value(value) is not None:
        return True
    producer = value.producer()
    return producer is not None and producer.op_type == "Constant"


def unless_unknown(index: int, plain: ShapeFunction, otherwise: ShapeFunction) -> ShapeFunction:
    """``plain``, or ``otherwise`` where operand ``index`` is computed while the model runs."""

    def function(ctx: Any, node: Any) -> None:
        value = input_of(node, index)
        (plain if value is None or is_known(ctx, value) else otherwise)(ctx, node)

    return function


def of_few_dimensions(plain: ShapeFunction) -> ShapeFunction:
    """The shape function of an operator, unless an operand asks for more dimensions than a tensor has: onnx then objects."""

    def function(ctx: Any, node: Any) -> None:
        if (fallback.rank_wanted(node) or 0) <= fallback.MOST_RANK:
            plain(ctx, node)

    return function


def _uneven_split(ctx: Any, node: Any) -> None:
    """Split into parts whose sizes are computed while the model runs."""
    x = dims_of(input_of(node, 0))
    axis = int(attribute(node, "axis", 0))
    for index in range(len(node.outputs)):
        dims = None if x is None else [None if a == axis % len(x) else d for a, d in enumerate(x)]
        set_output(ctx, node, index, dims, node.inputs[0].dtype)


def _squeezed(ctx: Any, node: Any) -> None:
    """Squeeze of axes that are computed while the model runs: only the element type is known."""
    set_output(ctx, node, 0, None, node.inputs[0].dtype)


def upsampled(ctx: Any, node: Any) -> None:
    """Upsample whose factors are an attribute: before operator set 9, and in ONNX Runtime's blocked layout."""
    x, scales = dims_of(input_of(node, 0)), attribute(node, "scales", None)
    if x is None or scales is None or len(scales) != len(x):
        return
    dims = [
        d * int(s) if float(s).is_integer() else math.floor(d * s) if isinstance(d, int) else None
        for d, s in zip(x, scales, strict=True)
    ]
    set_output(ctx, node, 0, dims, node.inputs[0].dtype)


def infer_unique(ctx: Any, node: Any) -> None:
    """Unique: of all elements, or of the slices along an axis; how many there are depends on data."""
    import onnx_ir as ir

    x, axis = dims_of(input_of(node, 0)), attribute(node, "axis", None)
    kept = ctx.new_symbolic_dim()
    if axis is None or x is None:
        dims = [kept] if axis is None else None
    else:
        dims = [kept if a == axis % len(x) else d for a, d in enumerate(x)]
    set_output(ctx, node, 0, dims, node.inputs[0].dtype)
    count = None if x is None else x[axis % len(x)] if axis is not None else math.prod(x)
    for index, length in ((1, kept), (2, count), (3, kept)):
        set_output(ctx, node, index, [length], ir.DataType.INT64)


@lru_cache(maxsize=1)
def register() -> None:
    """Hand all shape functions of this package to ``onnx_shape_inference``, once a process."""
    from onnx_shape_inference import registry

    from perfmodel.features.onnx import contrib_shapes, loop_shapes

    registry.collect()
    registry.register("", "Loop")(loop_shapes.infer_loop)
    registry.register("", "Unique", 11)(infer_unique)
    for op_type, index, otherwise in (("Split", 1, _uneven_split), ("Squeeze", 1, _squeezed)):
        for opset in (1, 13):
            found = registry.get("", op_type, opset)
            if found is not None:
                registry.register("", op_type, opset)(unless_unknown(index, found, otherwise))
    for op_type in fallback.RANK_BY_LENGTH:
        of_opset = {opset: registry.get("", op_type, opset) for opset in range(1, _NEWEST + 1)}
        for opset, found in of_opset.items():
            if found is not None and found is not of_opset.get(opset - 1):
                registry.register("", op_type, opset)(of_few_dimensions(found))
    # ONNX Runtime's fusions put the operator of opset 17 into files of every opset, and it runs them.
    registry.register("", "LayerNormalization", 1)(registry.get("", "LayerNormalization", 17) or like(0))
    factors_as_operand = registry.get("", "Upsample", 9)
    registry.register("", "Upsample", 7)(upsampled)
    if factors_as_operand is not None:
        registry.register("", "Upsample", 9)(factors_as_operand)
    for (domain, op_type), function in contrib_shapes.functions().items():
        registry.register(domain, op_type)(function)
    borrowed = [(contrib_shapes.MS, op_type, "", standard) for op_type, standard in contrib_shapes.BORROWED.items()]
    blocked = ("Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
    borrowed += [(contrib_shapes.NCHWC, op_type, "", op_type) for op_type in blocked]
    for domain, op_type, source, standard in borrowed:
        found = registry.get(source, standard, _OPSET)
        if found is not None:
            registry.register(domain, op_type)(found)

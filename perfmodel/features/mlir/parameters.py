"""Which arguments of an entry function are a model's weights.

JAX passes parameters as arguments. An argument counts as a weight where all that is done with it is what is done with
weights: it is the second operand of a product without batches, the filters of a convolution, a table that is looked up in,
or a vector that is repeated over a larger tensor (a bias, gamma and beta of a normalisation); or a loop cuts one of these
out of it at each iteration. At least one argument remains an input.
"""

from __future__ import annotations

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.ir import Module, Operation, Value
from perfmodel.features.mlir.types import SHAPED

_MAX_WALK = 4000

_THROUGH = frozenset(
    "stablehlo.reshape stablehlo.convert stablehlo.transpose stablehlo.dynamic_slice stablehlo.slice "
    "stablehlo.optimization_barrier mhlo.reshape mhlo.convert mhlo.transpose".split()
)
_CALLS = ("func.call", "call")
_FILTERS = frozenset(("stablehlo.convolution", "mhlo.convolution"))
_PRODUCTS = frozenset(("stablehlo.dot_general", "mhlo.dot_general", "stablehlo.dot", "mhlo.dot"))
_TABLES = frozenset(("stablehlo.gather", "mhlo.gather", "stablehlo.torch_index_select"))
_BROADCASTS = frozenset(("stablehlo.broadcast_in_dim", "mhlo.broadcast_in_dim"))


def parameters_of(module: Module, function: Operation) -> frozenset[int]:
    """Positions of the arguments that are weights."""
    block = function.body
    if block is None or not any(o.dialect in ("stablehlo", "mhlo") for o in block.operations):
        return frozenset()
    uses = module.uses()
    callers: dict[str, list[Operation]] = {}
    for operation in module.walk():
        if operation.name in _CALLS:
            callers.setdefault(str(operation.attributes.get("callee")), []).append(operation)
    found = [i for i, v in enumerate(block.arguments) if _is_weight(module, uses, callers, v)]
    tensors = [i for i, v in enumerate(block.arguments) if isinstance(v.type, SHAPED)]
    return frozenset(found) if len(found) < len(tensors) else frozenset()


def _is_weight(
    module: Module,
    uses: dict[Value, list[tuple[Operation, int]]],
    callers: dict[str, list[Operation]],
    argument: Value,
) -> bool:
    waiting, seen, is_used = [argument], {argument}, False
    while waiting:
        value = waiting.pop()
        for operation, index in uses.get(value, ()):
            onward = _follow(module, callers, operation, index)
            if onward is None:
                return False
            is_used = True
            for next_value in onward:
                if next_value not in seen:
                    if len(seen) > _MAX_WALK:
                        return False
                    seen.add(next_value)
                    waiting.append(next_value)
    return is_used


def _follow(
    module: Module, callers: dict[str, list[Operation]], operation: Operation, index: int
) -> list[Value] | None:
    """Where the values go on to; empty where they are used as a weight is, None where they are used otherwise."""
    name = operation.name
    if name in _THROUGH:
        return operation.results if index == 0 else None
    if name in _FILTERS:
        return [] if index == 1 else None
    if name in _TABLES:
        return [] if index == 0 else None
    if name in _PRODUCTS:
        numbers = operation.attributes.get("dot_dimension_numbers")
        batches = numbers_of((getattr(numbers, "params", None) or {}).get("rhs_batching_dimensions"))
        return [] if index == 1 and not batches else None
    if name in _BROADCASTS:
        source, result = operation.operands[0].type, operation.results[0].type
        if (
            not isinstance(source, SHAPED)
            or not isinstance(result, SHAPED)
            or source.shape is None
            or result.shape is None
        ):
            return None
        if len(source.shape) == 1 and len(result.shape) > 1:
            return []
        return list(operation.results)
    if name in _CALLS:
        target = module.lookup(operation.attributes.get("callee"), operation)
        body = target.body if target is not None else None
        return [body.arguments[index]] if body is not None and index < len(body.arguments) else None
    if name == "stablehlo.while":
        bodies = [r.entry for r in operation.regions]
        return [b.arguments[index] for b in bodies if b is not None and index < len(b.arguments)]
    if name in ("stablehlo.return", "mhlo.return"):
        parent = operation.parent_op
        return [parent.results[index]] if parent is not None and parent.name == "stablehlo.while" else None
    if name in ("func.return", "return"):
        parent = operation.parent_op
        calls = callers.get(f"@{parent.symbol}", []) if parent is not None else []
        return [c.results[index] for c in calls] or None
    return None

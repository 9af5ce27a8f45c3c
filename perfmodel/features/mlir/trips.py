"""How often loops run: by their bounds, or by the counter that their condition compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.attributes import AffineMap, affine_value
from perfmodel.features.mlir.evaluate import direction
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.ops.base import at_least, ceil_div, is_symbolic

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

_MAX_STEPS = 8
_DYNAMIC = -(2**63)


class Counter(NamedTuple):
    """What a ``while`` counts by: the number of the carried value, where it starts, and what each iteration adds."""

    number: int
    start: Any
    step: int
    trips: Any


def of_while(convert: Conversion, operation: Operation, condition: Block, body: Block) -> Any:
    """Iterations of ``while (i < n) { ...; i += step }``; None where its condition is anything else."""
    found = counter(convert, operation, condition, body)
    return None if found is None else found.trips


def counter(convert: Conversion, operation: Operation, condition: Block, body: Block) -> Counter | None:
    """The counter of ``while (i < n) { ...; i += step }``; None where its condition is anything else."""
    terminator = condition.terminator
    if terminator is None or not terminator.operands:
        return None
    test = terminator.operands[0].operation
    for _ in range(_MAX_STEPS):  # `i < n and more` ends early at most
        if test is None or TENSOR_KINDS.get(test.name) != "and":
            break
        sides = [v.operation for v in test.operands]
        test = next((o for o in sides if o is not None and TENSOR_KINDS.get(o.name) in _TESTS), None)
    if test is None or TENSOR_KINDS.get(test.name) not in _TESTS or len(test.operands) < 2:
        return None
    way = direction(test) if TENSOR_KINDS[test.name] == "compare" else _TESTS[TENSOR_KINDS[test.name]]
    left, right = (_same_as(v) for v in test.operands[:2])
    if right in condition.arguments and left not in condition.arguments:
        left, right = right, left
        way = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE"}.get(way, way)
    if left not in condition.arguments:
        return None
    index = condition.arguments.index(left)
    if index >= len(operation.operands) or body.terminator is None:
        return None
    start = convert.known(operation.operands[index]).number
    limit = _bound(convert, operation, condition, right)
    step = _step(convert, body, index)
    if start is None or limit is None or not isinstance(step, int) or step == 0:
        return None
    low, high, size = (start, limit, step) if step > 0 else (-start, -limit, -step)
    if step < 0:
        way = {"GT": "LT", "GE": "LE"}.get(way, way)
    if way == "LE":
        high = high + 1
    elif way not in ("LT", "NE"):
        return None
    return Counter(index, start, step, at_least(ceil_div(high - low, size), 0))


_TESTS = {"compare": "", "less": "LT", "greater": "GT", "less_equal": "LE", "greater_equal": "GE", "not_equal": "NE"}


def _same_as(value: Value) -> Value:
    """The value that conversions and reshapes hold under another type."""
    for _ in range(_MAX_STEPS):
        operation = value.operation
        if operation is None or not operation.name.endswith(
            (".convert", ".reshape", ".cast", ".index_cast", ".extract")
        ):
            return value
        value = operation.operands[0]
    return value


def _bound(convert: Conversion, operation: Operation, condition: Block, value: Value) -> Any:
    """The limit: a constant of the condition, a value from outside, or a carried value that never changes."""
    if value in condition.arguments:
        index = condition.arguments.index(value)
        body = operation.regions[1].entry
        if body is None or body.terminator is None or index >= len(body.terminator.operands):
            return None
        handed = body.terminator.operands[index]
        if handed in body.arguments and body.arguments.index(handed) == index:
            return convert.known(operation.operands[index]).number
        return None
    inner = value.operation
    if inner is not None and inner.parent is condition:
        for before in condition.operations:
            if before is inner:
                break
        convert.convert(inner)
    return convert.known(value).number


def _step(convert: Conversion, body: Block, index: int) -> Any:
    """What the body adds to a carried counter; None where it does anything else with it."""
    terminator = body.terminator
    if terminator is None or index >= len(terminator.operands) or index >= len(body.arguments):
        return None
    counter = body.arguments[index]
    made = _same_as(terminator.operands[index]).operation
    if made is None:
        return None
    if made.name in ("func.call", "call") and counter in made.operands:
        return _step_of_function(convert, made, made.operands.index(counter), terminator.operands[index])
    kind = TENSOR_KINDS.get(made.name)
    if kind not in ("add", "sub") or len(made.operands) < 2:
        return None
    left, right = made.operands[:2]
    if _same_as(left) is not counter:
        left, right = right, left
    if _same_as(left) is not counter:
        return None
    if right.operation is not None and right.operation.parent is body:
        convert.convert(right.operation)
    number = convert.known(right).number
    return -number if kind == "sub" and isinstance(number, int) else number


def _step_of_function(convert: Conversion, call: Operation, index: int, result: Value) -> Any:
    """What a called function adds to the counter that it is given."""
    function = convert.module.lookup(call.attributes.get("callee"), call)
    block = function.body if function is not None else None
    if block is None or block.terminator is None or index >= len(block.arguments):
        return None
    made = _same_as(block.terminator.operands[result.index]).operation
    if made is None or TENSOR_KINDS.get(made.name) != "add":
        return None
    others = [v for v in made.operands if _same_as(v) is not block.arguments[index]]
    if len(others) != 1 or others[0].operation is None:
        return None
    numbers = numbers_of(others[0].operation.attributes.get("value"))
    return numbers[0] if numbers and isinstance(numbers[0], int) else None


def of_loop(convert: Conversion, operation: Operation, values: dict[Value, Any] | None = None) -> Any:
    """Iterations of scf.for, scf.parallel, scf.forall, affine.for, affine.parallel; None where a bound is not known.

    Args:
        values: mean values of outer loops' variables, which bounds may depend on.
    """
    found: Any = 1
    for extent in extents(convert, operation, values or {}):
        if extent is None:
            return None
        found = found * extent
    return found


def extents(convert: Conversion, operation: Operation, values: dict[Value, Any]) -> list[Any]:
    """Iterations along each variable of a loop; None for those that are not known."""
    return [_extent(*bounds) for bounds in ranges(convert, operation, values)]


def _extent(low: Any, high: Any, step: Any) -> Any:
    if low is None or high is None or step is None or (not is_symbolic(step) and step == 0):
        return None
    span = high - low
    if isinstance(span, float):
        return max(span / step, 0.0) if not span.is_integer() else max(-(-int(span) // step), 0)
    return at_least(ceil_div(span, step), 0)


def ranges(convert: Conversion, operation: Operation, values: dict[Value, Any]) -> list[tuple[Any, Any, Any]]:
    """(from, to, step) of each variable."""

    def number(value: Value) -> Any:
        return values[value] if value in values else convert.known(value).number

    operands = operation.operands
    name = operation.name
    if name == "scf.for":
        low, high, step = (number(v) for v in operands[:3])
        return [(low, high, step)]
    if name == "affine.for":
        return [_affine_range(operation, number)]
    count = len(operation.body.arguments) if operation.body is not None else 0
    if name == "scf.parallel":
        rows = [[number(v) for v in operands[i * count : (i + 1) * count]] for i in range(3)]
        return list(zip(*rows, strict=False)) if all(len(r) == count for r in rows) else [(None, None, None)]
    if name == "affine.parallel":
        return _affine_parallel(operation, number)
    static = numbers_of(operation.attributes.get("static_upper_bound", operation.attributes.get("staticUpperBound")))
    if static is not None:
        lows = numbers_of(
            operation.attributes.get("static_lower_bound", operation.attributes.get("staticLowerBound"))
        ) or [0] * len(static)
        steps = numbers_of(operation.attributes.get("static_step", operation.attributes.get("staticStep"))) or [
            1
        ] * len(static)
        dynamic = iter(operands)
        filled = [
            [number(next(dynamic)) if n is None or n <= _DYNAMIC else n for n in row] for row in (lows, static, steps)
        ]
        return list(zip(*filled, strict=True))
    loops = [number(v) for v in operands[: len(operands) - len(operation.results)]]
    return [(0, n, 1) for n in loops] or [(None, None, None)]


def _affine_range(operation: Operation, number: Any) -> tuple[Any, Any, Any]:
    low_map, high_map = operation.attributes.get("lowerBoundMap"), operation.attributes.get("upperBoundMap")
    groups = operation.operand_groups
    split = numbers_of(operation.attributes.get("operandSegmentSizes"))
    lower = groups.get("lower", split[0] if split else 0)
    upper = groups.get("upper", split[1] if split else 0)
    low = _value(low_map, [number(v) for v in operation.operands[:lower]], max)
    high = _value(high_map, [number(v) for v in operation.operands[lower : lower + upper]], min)
    step = operation.attributes.get("step", 1)
    return low, high, step


def _value(map_: Any, operands: list[Any], choose: Any) -> Any:
    if not isinstance(map_, AffineMap) or any(o is None for o in operands):
        return None
    dims, symbols = operands[: map_.num_dims], operands[map_.num_dims :]
    found = [affine_value(r, dims, symbols) for r in map_.results]
    return choose(found) if found else None


def _affine_parallel(operation: Operation, number: Any) -> list[tuple[Any, Any, Any]]:
    attributes = operation.attributes
    low_map, high_map = attributes.get("lowerBoundsMap"), attributes.get("upperBoundsMap")
    steps = numbers_of(attributes.get("steps"))
    if not isinstance(low_map, AffineMap) or not isinstance(high_map, AffineMap):
        return [(None, None, None)]
    count = low_map.num_dims + low_map.num_symbols
    lower = [number(v) for v in operation.operands[:count]]
    upper = [number(v) for v in operation.operands[count:]]
    if any(v is None for v in (*lower, *upper)):
        return [(None, None, None)]
    lows = [affine_value(r, lower[: low_map.num_dims], lower[low_map.num_dims :]) for r in low_map.results]
    highs = [affine_value(r, upper[: high_map.num_dims], upper[high_map.num_dims :]) for r in high_map.results]
    return list(zip(lows, highs, steps or [1] * len(lows), strict=False))

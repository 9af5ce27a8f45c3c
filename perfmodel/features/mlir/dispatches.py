"""IREE's dispatches: functions of executables, which are given buffers and write their results into others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir.call import Call
from perfmodel.features.mlir.ir import Operation
from perfmodel.features.mlir.known import Known
from perfmodel.graph import Removed
from perfmodel.ops import Copy, View

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion


def dispatch(convert: Conversion, operation: Operation) -> None:
    """flow.dispatch: the operations of the executable's function stand here; its last arguments are the results."""
    attributes = operation.attributes
    target: Any = attributes.get("entry_points", attributes.get("symbol"))
    if isinstance(target, tuple) and target:
        target = target[0]
    function = _function(convert, operation, target)
    known = [convert.known(v) for v in operation.operands]
    body = function.body if function is not None else None
    if function is None or body is None:
        convert.outside_call(operation, known, f"the function {target} has no body here")
        return
    outputs = convert.results(operation, known)
    written = [Known(t) for t in outputs]
    # Operands that are tied to results are written in place; the others have arguments of their own.
    arguments = [*known, *written][: len(body.arguments)]
    name = convert.name_of(operation)
    ended: dict[int, Known] = {}
    convert.run_function(function, arguments, convert.scope(function.symbol or name), ended=ended)
    for number, value in enumerate(operation.results):
        at = len(body.arguments) - len(operation.results) + number
        if at in ended:
            convert.env[value] = ended[at]
    convert.removed.append(Removed(name, operation.name, "a call: the operations of the function stand in its place"))


def _function(convert: Conversion, operation: Operation, target: Any) -> Operation | None:
    path = getattr(target, "path", None)
    if not path:
        return None
    executable = convert.module.lookup(path[0], operation)
    if executable is None:
        return None
    return next((o for o in executable.walk() if o.symbol == path[-1] and o.function_type is not None), None)


def imported(call: Call) -> None:
    """hal.tensor.import: what the host hands over is an input of the model."""
    known = call.known[0] if call.known else Known()
    if known.tensor is not None:
        call.convert.alias(call.operation.results[0], known)
    else:
        call.convert.imported.append(call.result().name)


def load(call: Call) -> None:
    """flow.dispatch.tensor.load: all of an argument, or a part of it at a place of its own."""
    x, out = call.tensor(0), call.result()
    if x.shape == out.shape:
        call.convert.alias(call.operation.results[0], call.known[0])
    else:
        call.emit(View(kind="slice", dtype=x.dtype), (x,), (out,))


def store(call: Call) -> None:
    """flow.dispatch.tensor.store: the argument becomes what was computed, without another copy."""
    target = call.operation.operands[1]
    x, whole = call.tensor(0), call.tensor(1)
    if x.shape == whole.shape:
        call.convert.env[target] = call.known[0]
        call.convert.full(call.known[0])
        call.convert.removed.append(
            Removed(call.convert.name_of(call.operation), call.operation.name, "written where it was computed")
        )
        return
    result = call.convert.overwrite(target, whole)
    call.emit(Copy(kind="scatter", elements=x.elements, dtype=x.dtype), (x, whole), (result,))

"""Bodies that are scalar code: each function that the result depends on becomes one elementwise node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import Call, RuleError
from perfmodel.features.mlir.evaluate import direction
from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS, TENSOR_KINDS
from perfmodel.features.mlir.rules_elementwise import COMPARISONS, apply, converts, describe
from perfmodel.graph import Tensor
from perfmodel.ops.base import is_symbolic

_YIELDS = ("linalg.yield", "stablehlo.return", "mhlo.return", "tensor.yield", "chlo.return")


class Body:
    """One body on its way to nodes.

    Args:
        call: the operation that has it.
        tensors: for each argument of the block, the tensor whose elements it gets.
        outputs: the tensors that the yielded values go to.
        arguments: of the block.
    """

    def __init__(
        self, call: Call, tensors: Sequence[Tensor], outputs: Sequence[Tensor], arguments: Sequence[Value]
    ) -> None:
        self.call = call
        self.outputs = outputs
        self.values: dict[Value, Tensor | None] = dict(zip(arguments, tensors, strict=False))
        self._whole = outputs[0].shape or ()
        self._causal: set[Value] = set()
        self._yielded: dict[Value, Tensor] = {}

    def emit(self, *, joined: bool = False) -> None:
        """Add the nodes of everything that is yielded.

        Args:
            joined: as one node for each result instead of one a function.
        """
        terminator = self.call.body().terminator
        if terminator is None:
            raise RuleError("its body yields nothing")
        for value, out in zip(terminator.operands, self.outputs, strict=False):
            self._yielded.setdefault(value, out)
        for value, out in zip(terminator.operands, self.outputs, strict=False):
            if joined:
                self._emit_joined(value, out)
            else:
                self.emit_value(value, out)

    def emit_value(self, value: Value, out: Tensor) -> None:
        """Add the nodes of one value, which becomes the tensor ``out``."""
        found = self.values.get(value)
        if found is out and value.operation is not None:  # another result has been made of it already
            return
        if value in self.values and found is None:
            self._fill(out, "iota")
            return
        operation = value.operation
        if operation is None or found is not None or self._outside(value):
            tensor = self.tensor(value)
            if tensor is None or tensor.elements == 1:
                self._fill(out, "fill")
            else:
                kind = "copy" if tensor.shape == out.shape else "expand"
                op = ops.Copy(kind=kind, elements=out.elements, read_elements=tensor.elements, dtype=tensor.dtype)
                self.call.emit(op, (tensor,), (out,))
            return
        if self._one(operation, value, out):
            self.values[value] = out  # what else depends on it reads it, and computes it no second time
        else:
            self._fill(out, "iota")

    def _fill(self, out: Tensor, kind: str) -> None:
        self.call.emit(ops.Copy(kind=kind, elements=out.elements, read_elements=0, dtype=out.dtype), (), (out,))

    def _outside(self, value: Value) -> bool:
        """Whether a value is made outside of the body."""
        operation = value.operation
        return operation is not None and operation.parent is not self.call.body()

    def tensor(self, value: Value) -> Tensor | None:
        """The tensor whose elements a value of the body is; None for positions (``linalg.index``)."""
        if value in self.values:
            return self.values[value]
        operation = value.operation
        if operation is None or self._outside(value):
            found = self._constant(value)
        elif operation.name == "arith.constant":
            self.call.convert.convert(operation)
            found = self._constant(value)
        else:
            found = self._computed(operation, value)
        self.values[value] = found
        return found

    def _constant(self, value: Value) -> Tensor | None:
        known = self.call.convert.known(value)
        if known.tensor is not None:
            return known.spread or known.tensor
        typed = self.call.convert.typed(value.type)
        if typed is None:
            return None
        number = known.number
        if number is None or is_symbolic(number):
            return (
                None
                if typed[1] == "int64"
                else self.call.convert.make_tensor(value.name or "s", (), typed[1], is_weight=True)
            )
        return self.call.convert.constant(number, typed[1])

    def _computed(self, operation: Operation, value: Value) -> Tensor | None:
        name = operation.name
        if name in ("linalg.index", "gpu.thread_id"):
            return None
        if name == "tensor.extract":
            source = self.call.convert.known(operation.operands[0])
            self.call.convert.full(source)
            out = self.call.new(self._whole, source.tensor.dtype if source.tensor else "fp32")
            if source.tensor is not None:
                positions = [t for v in operation.operands[1:] if (t := self.tensor(v)) is not None and t.elements != 1]
                self._gathered(source.tensor, positions, out)
            return out
        kind = SCALAR_KINDS.get(name) or TENSOR_KINDS.get(name)
        inputs = [self.tensor(v) for v in operation.operands]
        if kind == "cast" and inputs and inputs[0] is not None and inputs[0].scalar is not None:
            typed = self.call.convert.typed(value.type)
            return self.call.convert.constant(inputs[0].scalar, typed[1] if typed else inputs[0].dtype)
        if all(t is None or (t.scalar is not None) for t in inputs):
            if kind == "compare":
                self._causal.add(value)
            return None  # positions and constants: computed in registers
        typed = self.call.convert.typed(value.type)
        shape, dtype = _shape([t for t in inputs if t is not None]), typed[1] if typed else "fp32"
        result = self._yielded.get(value)
        is_whole = result is not None and (result.shape, result.dtype) == (shape, dtype)
        out = result if result is not None and is_whole else self.call.new(shape, dtype)
        return out if self._one(operation, value, out) else None

    def _gathered(self, table: Tensor, positions: list[Tensor], out: Tensor) -> None:
        from perfmodel.features.mlir.rules_movement import looked_up

        if not positions:
            op = ops.Copy(kind="gather", elements=out.elements, dtype=table.dtype)
            self.call.emit(op, (table,), (out,))
            return
        rows = len(positions) == 1 and len(out.shape or ()) > 0 and len(table.shape or ()) == 2
        if rows and table.is_weight and out.elements % positions[0].elements == 0:
            looked_up(self.call, table, positions[0], out, axis=0, rows=True)
        else:
            looked_up(self.call, table, positions[0], out, axis=0, rows=False)

    def _one(self, operation: Operation, value: Value, out: Tensor) -> bool:
        """Add the node of one function; False where nothing of the device goes into it."""
        name = operation.name
        if name == "tensor.extract":
            self.values[value] = None
            source = self.call.convert.known(operation.operands[0])
            self.call.convert.full(source)
            if source.tensor is None:
                return False
            positions = [t for v in operation.operands[1:] if (t := self.tensor(v)) is not None and t.elements != 1]
            self._gathered(source.tensor, positions, out)
            return True
        kind = SCALAR_KINDS.get(name) or TENSOR_KINDS.get(name)
        if kind is None:
            raise RuleError(f"its body has {name}, which no rule covers")
        relu = self._relu(operation) if kind in ("where", "max") else None
        if relu is not None:
            apply(self.call, "relu", [relu], out=out)
            return True
        masked = any(v in self._causal for v in operation.operands)
        inputs = [t for v in operation.operands if (t := self.tensor(v)) is not None]
        masked = masked or any(v in self._causal for v in operation.operands)
        if not inputs or all(t.scalar is not None for t in inputs):
            return False
        if kind == "cast":
            x = inputs[0]
            op: ops.Operator = ops.Copy(kind="cast", elements=x.elements, dtype=x.dtype, out_dtype=out.dtype)
            if x.dtype == out.dtype and not converts(operation):
                op = ops.View(kind="identity", dtype=x.dtype)
            self.call.emit(op, (x,), (out,))
            return True
        if kind == "compare":
            kind = COMPARISONS.get(direction(operation), "compare")
        attributes = {"causal": True} if masked and kind == "where" else {}
        apply(self.call, kind, inputs, attributes, out=out)
        return True

    def _relu(self, operation: Operation) -> Tensor | None:
        """x where an operation is max(x, 0), or ``x > 0 ? x : 0``."""
        if SCALAR_KINDS.get(operation.name) == "max" and len(operation.operands) == 2:
            for x, other in (operation.operands, reversed(operation.operands)):
                if self._number(other) == 0:
                    return self.tensor(x)
            return None
        if len(operation.operands) != 3 or self._number(operation.operands[2]) != 0:
            return None
        test = operation.operands[0].operation
        if test is None or SCALAR_KINDS.get(test.name) != "compare" or direction(test) not in ("GT", "GE"):
            return None
        if test.operands[0] is not operation.operands[1] or self._number(test.operands[1]) != 0:
            return None
        return self.tensor(operation.operands[1])

    def _number(self, value: Value) -> Any:
        if value in self.values or (value.operation is not None and not self._outside(value)):
            tensor = self.values.get(value)
            return None if tensor is None else tensor.scalar
        return self.call.convert.known(value).number

    # One node for all

    def collect(self, value: Value) -> tuple[list[str], list[Tensor]]:
        """The functions that a value is made by, in order, and the tensors that they read.

        Raises:
            RuleError: a function that no rule covers.
        """
        kinds: list[str] = []
        read: dict[str, Tensor] = {}
        self._collect(value, kinds, read, set())
        return kinds, list(read.values())

    def _emit_joined(self, value: Value, out: Tensor) -> None:
        kinds, inputs = self.collect(value)
        if not kinds or not inputs:
            self.emit_value(value, out)
            return
        wide = max(inputs, key=lambda t: float(t.elements) if isinstance(t.elements, int) else 0.0)
        extra = sum(t.bytes for t in inputs if t.dtype != wide.dtype)
        same = [t for t in inputs if t.dtype == wide.dtype]
        op = describe("+".join(kinds), same, out)
        self.call.emit(op, inputs, (out,), extra=extra)

    def _collect(self, value: Value, kinds: list[str], read: dict[str, Tensor], seen: set[Value]) -> None:
        if value in seen:
            return
        seen.add(value)
        operation = value.operation
        if value in self.values or operation is None or self._outside(value):
            tensor = self.tensor(value)
            if tensor is not None:
                read[tensor.name] = tensor
            return
        if operation.name in ("linalg.index", "arith.constant"):
            return
        for operand in operation.operands:
            self._collect(operand, kinds, read, seen)
        if operation.name == "tensor.extract":
            return
        kind = SCALAR_KINDS.get(operation.name) or TENSOR_KINDS.get(operation.name)
        if kind is None:
            raise RuleError(f"its body has {operation.name}, which no rule covers")
        kinds.append(COMPARISONS.get(direction(operation), "compare") if kind == "compare" else kind)


def _shape(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """The shape that operands broadcast to."""
    rank = max(len(t.shape or ()) for t in tensors)
    shape: list[Any] = [1] * rank
    for tensor in tensors:
        own = tensor.shape or ()
        for axis, size in enumerate(own, start=rank - len(own)):
            if is_symbolic(shape[axis]) or shape[axis] != 1:
                continue
            shape[axis] = size
    return tuple(shape)

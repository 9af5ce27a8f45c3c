"""What is known of the values of a module while it is converted, and the tensors that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from perfmodel.features.mlir import shapes
from perfmodel.features.mlir.dims import Dimensions
from perfmodel.features.mlir.element_types import dtype_of
from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.known import Known, Origin
from perfmodel.features.mlir.positions import mark
from perfmodel.features.mlir.recipes import Step
from perfmodel.features.mlir.types import SHAPED, ScalarType, Type
from perfmodel.graph import Removed, Tensor
from perfmodel.ops import Copy, Operator, View

Shape = tuple[Any, ...]


class Values:
    """Values and their tensors; the base of :class:`perfmodel.features.mlir.convert.Conversion`.

    Args:
        dims: the numbers of the module's dimensions.

    Attributes:
        env: what is known of each value of the function that is being converted.
        tensors: every tensor by name.
        removed: operations that are no nodes, and why.
        later: broadcasts and fills that nothing has needed in full yet.
        buffers: the last state of each buffer that something was written to.
        marks: whether any constant is known to be positions, or a mask.
        values_of: the numbers of attributes that are constants, by address.
        steps: what the rule that runs has done so far, where that is to be remembered.
        changes: how often what was known of a value became something else: a buffer written, a broadcast emitted.
    """

    def __init__(self, dims: Dimensions) -> None:
        self.dims = dims
        self.env: dict[Value, Known] = {}
        self.prefix: str = ""
        self.tensors: dict[str, Tensor] = {}
        self.removed: list[Removed] = []
        self.later: list[tuple[str, str, Known]] = []
        self.buffers: dict[Value, Tensor] = {}
        self.marks = False
        self.steps: list[Step] | None = None
        self.changes: int = 0
        self.values_of: dict[int, tuple[Any, list[Any] | None]] = {}
        self._names: dict[str, int] = {}
        self._types: dict[int, tuple[Type | None, tuple[Shape | None, str] | None]] = {}
        self._constants: dict[tuple[Any, str], Tensor] = {}

    def add(
        self,
        operation: Operation,
        op: Operator,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        attributes: Mapping[str, Any],
        fused: tuple[Operator, ...] = (),
        extra: Any = 0,
    ) -> None:
        """Append a node."""
        raise NotImplementedError

    def name_of(self, operation: Operation, *, used: bool = True) -> str:
        """A node's name: the operation's, with the number of its result."""
        raise NotImplementedError

    def known(self, value: Value) -> Known:
        """What is known of a value."""
        found = self.env.get(value)
        if found is None:
            found = self.env[value] = self.fresh(value)
        return found

    def fresh(self, value: Value, *, name: str = "") -> Known:
        """A value of which nothing but the type is known."""
        found = self.typed(value.type)
        if found is None:
            return Known()
        shape, dtype = found
        if not isinstance(value.type, SHAPED):
            return Known(origin=Origin.HOST)
        return Known(self.make_tensor(name or value.name or "v", self.dims.complete(shape, value), dtype))

    def results(self, operation: Operation, known: Sequence[Known]) -> tuple[Tensor | None, ...]:
        """The tensors of an operation's results, which become known."""
        tensors: list[Tensor | None] = []
        inferred: Sequence[Shape | None] | None = None
        for index, value in enumerate(operation.results):
            found = self.typed(value.type)
            if found is None or not isinstance(value.type, SHAPED):
                self.env[value] = Known(origin=None if found is None else Origin.HOST)
                tensors.append(None)
                continue
            shape, dtype = found
            if shape is None or None in shape:
                if inferred is None:
                    inferred = shapes.infer(operation, known)
                guess = inferred[index] if index < len(inferred) else None
                shape = self.dims.merged(shape, guess, value, operation.name)
            tensor = self.make_tensor(value.name or "v", shape, dtype)
            self.env[value] = Known(tensor)
            tensors.append(tensor)
        return tuple(tensors)

    def typed(self, kind: Type | None) -> tuple[Shape | None, str] | None:
        """Shape (None for open dimensions) and dtype of a type; None for what is no number."""
        found = self._types.get(id(kind))
        if found is not None:
            return found[1]
        answer: tuple[Shape | None, str] | None = None
        if isinstance(kind, SHAPED):
            dtype = dtype_of(kind.element)
            if dtype is None and kind.element is None:
                dtype = "fp32"
            if dtype is None and hasattr(kind.element, "shape"):  # memref<4xvector<8xf32>>
                inner = self.typed(kind.element)
                if inner is not None and kind.shape is not None and inner[0] is not None:
                    answer = ((*kind.shape, *inner[0]), inner[1])
            elif dtype is not None:
                answer = (kind.shape, dtype)
            if answer is None and dtype is None:
                answer = (kind.shape, "int64")  # indices, pointers, tokens: a word each
        elif isinstance(kind, ScalarType) or kind is not None:
            dtype = dtype_of(kind)
            answer = None if dtype is None else ((), dtype)
        self._types[id(kind)] = (kind, answer)
        return answer

    def make_tensor(
        self, name: str, shape: Shape | None, dtype: str, *, is_weight: bool = False, scalar: Any = None,
        source: str | None = None,
    ) -> Tensor:  # fmt: skip
        """A tensor under a name of its own."""
        asked = name
        name = self.prefix + name
        number = self._names.get(name)
        if number is None:
            self._names[name] = 1
        else:
            while f"{name}.{number}" in self._names:
                number += 1
            self._names[name] = number + 1
            name = f"{name}.{number}"
            self._names[name] = 1
        tensor = Tensor(name, shape, dtype, is_weight, scalar, source)
        self.tensors[name] = tensor
        if self.steps is not None:
            self.steps.append(Step(tensor, asked, self.prefix))
        return tensor

    def constant(self, value: float, dtype: str) -> Tensor:
        """A constant of one element; equal ones are one tensor."""
        key = (value, dtype)
        found = self._constants.get(key)
        if found is None:
            steps, self.steps = self.steps, None
            outer, self.prefix = self.prefix, ""
            found = self._constants[key] = self.make_tensor(
                f"{value:g}", (), dtype, is_weight=True, scalar=_as_float(value)
            )
            self.prefix, self.steps = outer, steps
        if self.steps is not None:
            self.steps.append(Step(found, constant=(value, dtype)))
        return found

    def full(self, known: Known) -> None:
        """Emit the broadcast of a value that a reader needs in full."""
        if known.make is not None:
            make, known.make = known.make, None
            self.changes += 1
            make()

    def broadcast(self, operation: Operation, known: Known, ones: Shape, result: Tensor) -> None:
        """A result that is its operand, repeated along the axes where ``ones`` is 1 and the result is larger.

        Nothing is emitted unless some reader needs all of it.
        """
        source = known.spread or known.tensor
        value = operation.results[0]
        assert source is not None
        if known.origin is not None:
            result = replace(result, is_weight=True, source=known.source)
            self.tensors[result.name] = result
            spread = source if source.shape in (ones, ()) else self.reshaped_constant(source, ones)
            self.env[value] = Known(
                result, origin=known.origin, scalar=known.scalar, spread=spread, source=known.source, empty=known.empty
            )
            if known.mark is not None:
                self.env[value].mark = mark(operation, [known], len(result.shape or ()), result.shape)
            self.removed.append(Removed(self.name_of(operation), operation.name, known.origin.reason))
            return
        if (
            source.shape == ()
            or (known.spread is not None and prod(known.spread.shape or (2,)) == 1)
            or (
                source.shape == ones
                or (
                    ones[: len(ones) - len(source.shape or ())] == (1,) * (len(ones) - len(source.shape or ()))
                    and ones[len(ones) - len(source.shape or ()) :] == source.shape
                )
            )
        ):
            spread = source
        else:
            spread = self.make_tensor(result.name, ones, result.dtype)
            self.add(operation, View(kind="reshape", dtype=result.dtype), (source.name,), (spread.name,), {})

        def make() -> None:
            op = Copy(kind="expand", elements=result.elements, read_elements=spread.elements, dtype=result.dtype)
            self.add(operation, op, (spread.name,), (result.name,), {})

        found = self.env[value] = Known(result, spread=spread, make=make)
        self.later.append((self.name_of(operation), operation.name, found))

    def reshaped_constant(self, source: Tensor, shape: Shape) -> Tensor:
        """A stored tensor under another shape of as many elements."""
        name = source.source or source.name
        outer, self.prefix = self.prefix, ""
        found = self.make_tensor(source.name, shape, source.dtype, is_weight=True, scalar=source.scalar, source=name)
        self.prefix = outer
        return found

    def rename_constant(self, operation: Operation, known: Known, shape: Shape) -> None:
        """A result that is a stored tensor under another shape."""
        assert known.tensor is not None
        tensor = self.reshaped_constant(known.tensor, shape)
        self.env[operation.results[0]] = Known(
            tensor, origin=known.origin, scalar=known.scalar, numbers=known.numbers, source=known.source
        )
        if known.mark is not None:
            self.env[operation.results[0]].mark = mark(operation, [known], len(shape), shape)
        self.removed.append(Removed(self.name_of(operation), operation.name, Origin.CONSTANT.reason))

    def overwrite(self, value: Value, tensor: Tensor) -> Tensor:
        """A new state of a buffer that an operation writes to."""
        outer, self.prefix = self.prefix, ""
        target = self.make_tensor(tensor.name, tensor.shape, tensor.dtype)
        self.prefix = outer
        self.env[value] = Known(target)
        self.buffers[value] = target
        self.changes += 1
        return target

    def alias(self, value: Value, known: Known) -> None:
        """A result that is another value."""
        self.env[value] = known
        if value.operation is not None and value.index == 0:
            self.removed.append(Removed(self.name_of(value.operation), value.operation.name, "renames its operand"))


def _as_float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None

"""One operation of the module, as a rule sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from perfmodel.features.mlir.attribute_values import enum_of, numbers_of
from perfmodel.features.mlir.ir import Block, Operation
from perfmodel.features.mlir.known import CAUSAL, Known
from perfmodel.features.onnx.call import Call as OperatorCall
from perfmodel.features.onnx.call import Modelled, RuleError
from perfmodel.graph import Tensor
from perfmodel.ops import Dim, Elementwise, Operator, View

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion


class DefinitionError(Exception):
    """An operation contradicts its definition: the module is refused.

    ``str()`` says what was expected, and what was found.
    """


@dataclass(slots=True)
class Call(OperatorCall):
    """One operation with its operands: what the rules of every format see, and what only MLIR has.

    Attributes:
        operation: the operation itself, with its regions.
        known: what is known of each operand.
        convert: the conversion, which takes further nodes.
    """

    operation: Operation
    known: tuple[Known, ...]
    convert: Conversion

    def __init__(
        self,
        operation: Operation,
        known: tuple[Known, ...],
        inputs: tuple[Tensor | None, ...],
        outputs: tuple[Tensor | None, ...],
        convert: Conversion,
    ) -> None:
        # Written out: this runs once for every operation of modules that compilers hand over by the thousands.
        self.op_type: str = operation.name
        self.opset = 0
        self.inputs = inputs
        self.outputs = outputs
        self.attributes: Mapping[str, Any] = operation.attributes
        self.values: Callable[[int], list[Any] | None] = self._numbers
        self.operation = operation
        self.known = known
        self.convert = convert

    def _numbers(self, index: int) -> list[Any] | None:
        return self.known[index].integers if index < len(self.known) else None

    # Attributes

    def ints(self, name: str, default: Sequence[int] | None = None, *, count: int | None = None) -> list[int]:
        """An attribute of whole numbers, whichever way it is written.

        Args:
            default: where it is absent.
            count: how many are wanted; one number stands for all of them.

        Raises:
            RuleError: it is absent without a default, or no list of numbers, or of another length.
        """
        found = numbers_of(self.attributes.get(name))
        if found is None:
            if default is None:
                raise RuleError(f"its attribute {name} is missing or unknown")
            found = list(default)
        if count is not None and len(found) != count:
            if len(found) != 1:
                raise RuleError(f"its attribute {name} has {len(found)} numbers; wanted {count}")
            found = found * count
        return found

    def number(self, index: int) -> Any:
        """The value of a scalar operand; None where it is not known."""
        return self.known[index].number if index < len(self.known) else None

    def list_of(self, index: int) -> list[Any]:
        """The whole numbers of an operand that is a list or a small tensor.

        Raises:
            RuleError: they are not known.
        """
        found = self.known[index].integers if index < len(self.known) else None
        if found is None:
            raise RuleError(f"its operand {index} is computed while the model runs")
        return found

    def ranked(self, index: int) -> Tensor:
        """An operand with all of its axes: the smaller tensor that it repeats, with ones where it does, or the operand itself.

        Raises:
            RuleError: it is no tensor of known rank.
        """
        known = self.known[index]
        whole, small = known.tensor, known.spread
        if whole is None or whole.shape is None:
            raise RuleError(f"the shape of its operand {index} is not known")
        if small is not None and small.shape:
            missing = len(whole.shape) - len(small.shape)
            if missing == 0:
                return small
            ones = (1,) * missing + small.shape
            if small.is_weight:
                return self.convert.reshaped_constant(small, ones)
            target = self.convert.make_tensor(small.name, ones, small.dtype)
            self.emit(View(kind="reshape", dtype=small.dtype), (small,), (target,))
            return target
        self.convert.full(known)
        return whole

    def body(self, region: int = 0) -> Block:
        """The entry block of a region.

        Raises:
            RuleError: there is none.
        """
        regions = self.operation.regions
        block = regions[region].entry if region < len(regions) else None
        if block is None:
            raise RuleError("it has no body")
        return block

    # Nodes

    def emit(
        self,
        op: Operator,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        attributes: Mapping[str, Any] | None = None,
        *,
        fused: tuple[Operator, ...] = (),
        extra: Any = 0,
    ) -> None:
        """Add a node of this operation; operations of several steps add several."""
        if self.convert.marks and isinstance(op, Elementwise) and any(k.mark == CAUSAL for k in self.known):
            attributes = {**(attributes or {}), "causal": True}
        self.convert.add(
            self.operation,
            op,
            tuple(t.name for t in inputs),
            tuple(t.name for t in outputs),
            attributes or {},
            fused,
            extra,
        )

    def new(self, shape: tuple[Dim, ...], dtype: str) -> Tensor:
        """A tensor between two nodes of this operation."""
        results = self.operation.results
        return self.convert.make_tensor(results[0].name if results else self.op_type, shape, dtype)

    def constant(self, value: float, dtype: str) -> Tensor:
        """A constant of one element."""
        return self.convert.constant(value, dtype)


Rule: TypeAlias = Callable[[Call], "Modelled | Operator | None"]
"""A rule describes one operation; None means that it has added its nodes itself."""


__all__ = ["Call", "DefinitionError", "Modelled", "Rule", "RuleError", "enum_of", "numbers_of"]

"""What is known of sequences: how many tensors they hold, and of which shapes.

Shape inference gives sequences an element type only. Here they are followed from where they are made (out of tensors,
of a split, of a loop that inserts) to where a tensor leaves them again (by position, or concatenated).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.errors import ModelFileError, PerfmodelError
from perfmodel.features.onnx import small
from perfmodel.features.onnx.dims import Dimensions

MAX_FOLLOWED = 1024
"""Elements whose shapes are kept apart; of longer sequences only a common shape is known."""

_LENGTH = "perfmodel.sequence_length"
_STANDARD = ("", "ai.onnx")

Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """What is known of one sequence.

    Attributes:
        length: number of tensors; None where it is unknown.
        shapes: the shape of each in order; None where they are not known one by one.
        common: a shape that all have, with None for a dimension that differs or is unknown; None for an unknown rank.
    """

    length: Any = None
    shapes: tuple[Shape, ...] | None = None
    common: Shape | None = None

    @classmethod
    def of(cls, shapes: list[Shape | None]) -> Items:
        """A sequence of tensors of these shapes."""
        known = tuple(s for s in shapes if s is not None)
        if len(known) < len(shapes) or not known:
            return cls(len(shapes), () if not shapes else None, None)
        return cls(len(shapes), known if len(known) <= MAX_FOLLOWED else None, _common(known))


def _common(shapes: tuple[Shape, ...]) -> Shape | None:
    first = shapes[0]
    if any(len(s) != len(first) for s in shapes):
        return None
    return tuple(d if all(s[axis] == d for s in shapes) else None for axis, d in enumerate(first))


def length_of(value: Any) -> Any:
    """The number of tensors in a sequence, None where it is unknown."""
    return value.meta.get(_LENGTH)


def follow(graph: Any, dims: Dimensions) -> set[Any]:
    """Set the shapes of tensors that leave sequences, and the values of lengths.

    Raises:
        ModelFileError: a node contradicts its operator's definition.

    Args:
        graph: the main graph; bodies are followed with it, and changed in place.

    Returns:
        The values for which that brought something.
    """
    follower = _Follower(dims)
    follower.graph(graph)
    return follower.found


class _Follower:
    def __init__(self, dims: Dimensions) -> None:
        self.dims = dims
        self.found: set[Any] = set()
        self._items: dict[Any, Items] = {}
        self._rules: dict[str, Callable[[Any], None]] = {
            "SequenceConstruct": self._construct, "SequenceEmpty": self._empty, "SequenceInsert": self._insert,
            "SequenceErase": self._erase, "SplitToSequence": self._split, "SequenceAt": self._at,
            "ConcatFromSequence": self._concatenate, "SequenceLength": self._length, "SequenceMap": self._map,
            "Identity": self._pass, "Optional": self._pass, "OptionalGetElement": self._pass, "Loop": self._loop,
            "If": self._if,
        }  # fmt: skip

    def graph(self, graph: Any) -> None:
        """Follow all sequences of a graph; its outer values are known by now."""
        for node in graph:
            rule = self._rules.get(node.op_type, self._bodies) if node.domain in _STANDARD else self._bodies
            try:
                rule(node)
            except (TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
                if isinstance(error, PerfmodelError):
                    raise
                # Attributes or operands of a kind that the operator's definition rules out.
                raise ModelFileError(
                    f"{self.dims.label}: the node {node.name!r} ({node.op_type}) does not follow the operator's "
                    f"definition: {error}"
                ) from None

    def _bodies(self, node: Any) -> None:
        for attribute in node.attributes.values():
            if attribute.type.name == "GRAPH" and not attribute.is_ref():
                self.graph(attribute.value)

    def _shape(self, value: Any) -> Shape | None:
        if value is None or value.shape is None:
            return None
        return tuple(self.dims.resolve(d) for d in value.shape)

    def _get(self, value: Any) -> Items:
        found = self._items.get(value)
        if found is None:
            # A sequence that enters the model: its elements' shape is declared, its length can be given.
            length = None if value is None else self.dims.given.get(f"{value.name}_length")
            found = Items(length, None, self._shape(value) if value is not None and _is_sequence(value) else None)
        return found

    def _put(self, value: Any, items: Items) -> None:
        self._items[value] = items
        value.meta[_LENGTH] = items.length

    def _set(self, value: Any, shape: Shape | None) -> None:
        """The shape of a tensor, unless it is known as well already."""
        import onnx_ir as ir

        if shape is None or not value.name:
            return
        before = self._shape(value)
        if before is not None and (len(before) != len(shape) or all(d is not None for d in before)):
            return
        if before is not None and all(new is None or old is not None for old, new in zip(before, shape, strict=True)):
            return
        value.shape = ir.Shape([_as_ir(d) for d in shape])
        self.found.add(value)

    # ------------------------------------------------------------------------------------- makers of sequences

    def _construct(self, node: Any) -> None:
        self._put(node.outputs[0], Items.of([self._shape(v) for v in node.inputs]))

    def _empty(self, node: Any) -> None:
        self._put(node.outputs[0], Items(0, (), None))

    def _insert(self, node: Any) -> None:
        before, shape = self._get(node.inputs[0]), self._shape(node.inputs[1] if len(node.inputs) > 1 else None)
        length = None if before.length is None else before.length + 1
        shapes = None
        if before.shapes is not None and shape is not None and len(before.shapes) < MAX_FOLLOWED:
            at = self._position(node, 2, len(before.shapes))
            if at is not None:
                shapes = (*before.shapes[:at], shape, *before.shapes[at:])
        common = shape
        if before.length != 0:
            common = None if before.common is None or shape is None else _common((before.common, shape))
        self._put(node.outputs[0], Items(length, shapes, common))

    def _erase(self, node: Any) -> None:
        before = self._get(node.inputs[0])
        length = None if before.length is None else max(before.length - 1, 0)
        shapes = None
        if before.shapes:
            at = self._position(node, 1, len(before.shapes) - 1)
            if at is not None and at < len(before.shapes):
                shapes = (*before.shapes[:at], *before.shapes[at + 1 :])
        self._put(node.outputs[0], Items(length, shapes, before.common))

    def _position(self, node: Any, index: int, last: int) -> int | None:
        """A position that is a constant, counted from the front; the last one where the operand is absent."""
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            return last
        number = small.scalar_of(value)
        if number is None:
            return None
        at = int(number)
        at = at + last + (index == 1) if at < 0 else at
        return at if at >= 0 else None

    def _split(self, node: Any) -> None:
        shape = self._shape(node.inputs[0])
        axis = int(_attribute(node, "axis", 0))
        if shape is None or not -len(shape) <= axis < max(len(shape), 1) or not shape:
            self._put(node.outputs[0], Items())
            return
        axis %= len(shape)
        size = shape[axis]
        given = node.inputs[1] if len(node.inputs) > 1 else None
        if given is None:
            keeps = bool(_attribute(node, "keepdims", 1))
            one = tuple(1 if a == axis else d for a, d in enumerate(shape) if keeps or a != axis)
            self._put(node.outputs[0], Items(size, None, one))
            return
        sizes: list[Any] | None = None
        array = small.array_of(given)
        if array is not None and array.ndim == 1:
            sizes = [int(n) for n in array]
        elif array is not None and isinstance(size, int) and int(array) > 0:
            part = int(array)
            sizes = [min(part, size - start) for start in range(0, size, part)]
        if sizes is None:
            self._put(node.outputs[0], Items(None, None, tuple(None if a == axis else d for a, d in enumerate(shape))))
            return
        self._put(node.outputs[0], Items.of([tuple(n if a == axis else d for a, d in enumerate(shape)) for n in sizes]))

    def _map(self, node: Any) -> None:
        """SequenceMap: the body's inputs are the elements, its outputs the elements of the results."""
        body = _attribute(node, "body", None)
        if body is None:
            return
        length = self._get(node.inputs[0]).length
        for inner, outer in zip(body.inputs, node.inputs, strict=False):
            if outer is not None:
                self._set(inner, self._get(outer).common if _is_sequence(outer) else self._shape(outer))
        self.graph(body)
        for inner, outer in zip(body.outputs, node.outputs, strict=False):
            self._put(outer, Items(length, None, self._shape(inner)))

    def _pass(self, node: Any) -> None:
        if node.inputs and node.inputs[0] in self._items and node.outputs:
            self._put(node.outputs[0], self._items[node.inputs[0]])

    def _loop(self, node: Any) -> None:
        """Loop: a sequence that each iteration makes longer is longer by as many times that at the end."""
        body = _attribute(node, "body", None)
        if body is None:
            return
        for inner, outer in zip(body.inputs[2:], node.inputs[2:], strict=False):
            if outer is not None and _is_sequence(inner):
                # Inside, the sequence may have grown already: only what all elements share is known.
                self._put(inner, replace(self._get(outer), shapes=None))
        self.graph(body)
        trips = small.scalar_of(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
        for inner, result, outer in zip(body.inputs[2:], body.outputs[1:], node.outputs, strict=False):
            if not _is_sequence(inner):
                continue
            before, after = self._get(inner), self._get(result)
            length = None
            if trips is not None and before.length is not None and after.length is not None:
                length = before.length + int(trips) * (after.length - before.length)
            self._put(outer, Items(length, None, after.common))

    def _if(self, node: Any) -> None:
        self._bodies(node)
        branches = [_attribute(node, name, None) for name in ("then_branch", "else_branch")]
        if any(b is None for b in branches):
            return
        for index, outer in enumerate(node.outputs):
            results = [b.outputs[index] for b in branches if index < len(b.outputs)]
            if len(results) < 2 or not all(r in self._items for r in results):
                continue
            a, b = (self._items[r] for r in results)
            common = None if a.common is None or b.common is None else _common((a.common, b.common))
            self._put(outer, a if a == b else Items(a.length if a.length == b.length else None, None, common))

    # ------------------------------------------------------------------------------------- tensors that leave them

    def _at(self, node: Any) -> None:
        items = self._get(node.inputs[0])
        if items.shapes:
            at = self._position(node, 1, len(items.shapes) - 1)
            if at is not None and at < len(items.shapes):
                self._set(node.outputs[0], items.shapes[at])
                return
        self._set(node.outputs[0], items.common)

    def _concatenate(self, node: Any) -> None:
        items = self._get(node.inputs[0])
        axis, stacks = int(_attribute(node, "axis", 0)), bool(_attribute(node, "new_axis", 0))
        shape = items.common
        if shape is None:
            return
        rank = len(shape) + stacks
        if not -rank <= axis < max(rank, 1):
            return
        axis = axis % rank if rank else 0
        if stacks:
            self._set(node.outputs[0], (*shape[:axis], items.length, *shape[axis:]))
            return
        if not shape:
            return
        if items.shapes:
            sizes = [s[axis] for s in items.shapes]
            total = None if any(s is None for s in sizes) else sum(sizes)
        else:
            total = None if items.length is None or shape[axis] is None else items.length * shape[axis]
        self._set(node.outputs[0], tuple(total if a == axis else d for a, d in enumerate(shape)))

    def _length(self, node: Any) -> None:
        import numpy as np
        import onnx_ir as ir

        length = self._get(node.inputs[0]).length
        out = node.outputs[0]
        if isinstance(length, int) and out.const_value is None:
            out.const_value = ir.tensor(np.array(length, dtype=np.int64), name=out.name)
            self.found.add(out)


def _is_sequence(value: Any) -> bool:
    import onnx_ir as ir

    kind = value.type
    if isinstance(kind, ir.OptionalType):
        kind = kind.elem_type
    return isinstance(kind, ir.SequenceType)


def _attribute(node: Any, name: str, default: Any) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() or attribute.value is None else attribute.value


def _as_ir(dim: Any) -> Any:
    import onnx_ir as ir

    return dim if isinstance(dim, int) else ir.SymbolicDim(dim)

"""From a module to a :class:`perfmodel.graph.Graph`: every operation becomes nodes, is folded, or is listed as unmodelled.

Functions are followed where they are called, so that a function called twice stands twice in the graph, under its own
prefix. What a value is (:class:`~perfmodel.features.mlir.known.Known`) is kept for the function that is being converted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from perfmodel.errors import DescriptorError, DtypeError, ModelFileError
from perfmodel.features.mlir import constants, control, nests, shapes
from perfmodel.features.mlir.call import Call, Modelled, RuleError
from perfmodel.features.mlir.dims import Dimensions
from perfmodel.features.mlir.element_types import dtype_of
from perfmodel.features.mlir.ir import Block, Module, Operation, Value
from perfmodel.features.mlir.known import Known, Origin
from perfmodel.features.mlir.layouts import Layouts
from perfmodel.features.mlir.positions import mark
from perfmodel.features.mlir.rules import IGNORED, TERMINATORS, UNMODELLED, reads_full, rule_for
from perfmodel.features.mlir.types import SHAPED, ScalarType, Type
from perfmodel.graph import Graph, Node, Removed, Tensor
from perfmodel.ops import Copy, Operator, Unmodelled, View

MAX_NODES = 2_000_000
"""Nodes of the whole graph, called functions expanded."""

MAX_CALL_DEPTH = 64
"""Functions that call each other."""

Shape = tuple[Any, ...]


class Conversion:
    """One module on its way to a graph.

    Args:
        module: from any reader.
        dims: the numbers of its dimensions.
        joined: whether the body of a ``linalg.generic`` is one node, as the file has it, rather than one a scalar
            function, as fusion wants it.
    """

    def __init__(self, module: Module, dims: Dimensions, *, joined: bool = False) -> None:
        self.module = module
        self.dims = dims
        self.joined = joined
        self.marks = False  # whether any constant is known to be positions, or a mask
        self.label = dims.label
        self.env: dict[Value, Known] = {}
        self.prefix = ""
        self.count: Any = 1
        self.depth = 0
        self.nodes: list[Node] = []
        self.removed: list[Removed] = []
        self._notes: dict[str, list[str]] = {}
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[str, int] = {}
        self._types: dict[int, tuple[Type, tuple[Shape | None, str] | None]] = {}
        self._constants: dict[tuple[Any, str], Tensor] = {}
        self.layouts = Layouts(module)
        self.later: list[tuple[str, str, Known]] = []  # broadcasts and fills that nothing has needed in full yet
        self.buffers: dict[Value, Tensor] = {}  # the last state of each buffer that something was written to

    # The graph

    def graph(self, entry: Operation | Block, name: str, arguments: Sequence[Known], warnings: Sequence[str]) -> Graph:
        """The finished graph.

        Args:
            entry: a function, or a block of operations outside any.
            name: of the graph.
            arguments: what is known of the entry's arguments.
            warnings: so far.
        """
        inputs = [k.tensor.name for k in arguments if k.tensor is not None and not k.tensor.is_weight]
        results = self.run_function(entry, arguments) if isinstance(entry, Operation) else self.run_block(entry)
        outputs: list[str] = []
        for known in results:
            self.full(known)
            if known.tensor is not None:
                outputs.append(known.tensor.name)
        block = entry.body if isinstance(entry, Operation) else entry
        outputs += [self.buffers[v].name for v in (block.arguments if block is not None else ()) if v in self.buffers]
        self.removed += [Removed(n, source, "spread by the kernels that read it") for n, source, k in self.later if k.make]
        used = {n for node in self.nodes for n in (*node.inputs, *node.outputs)}
        used.update(inputs, outputs)
        notes = [*warnings]
        if not self.nodes:
            notes.append("nothing in the module depends on its arguments: there is nothing to execute")
        return Graph(
            name=name,
            tensors={n: t for n, t in self.tensors.items() if n in used},
            nodes=tuple(self.nodes),
            inputs=tuple(dict.fromkeys(inputs)),
            outputs=tuple(dict.fromkeys(outputs)),
            removed=tuple(self.removed),
            warnings=(*dict.fromkeys(notes), *(f"{text} ({_some(names)})" for text, names in self._notes.items())),
            input_axes=dict(self.dims.input_axes),
        )

    def run_function(self, function: Operation, arguments: Sequence[Known], prefix: str = "") -> list[Known]:
        """Convert a function's body with values of its own.

        Returns:
            What is known of its results.
        """
        if self.depth == MAX_CALL_DEPTH:
            raise ModelFileError(
                f"{self.where(function)}: functions call each other {MAX_CALL_DEPTH} levels deep, or for ever"
            )
        outer = self.env, self.prefix
        self.env, self.prefix, self.depth = {}, prefix, self.depth + 1
        try:
            blocks = function.regions[0].blocks if function.regions else []
            if not blocks:
                raise ModelFileError(f"{self.where(function)}: the function @{function.symbol} has no body")
            if len(blocks) > 1:
                self.note("it branches between blocks: each is counted once", function.symbol or function.name)
            for value, known in zip(blocks[0].arguments, arguments, strict=False):
                self.env[value] = known
            for block in blocks[1:]:
                for value in block.arguments:
                    self.env[value] = self.fresh(value)
            results: list[Known] = []
            if function.name == "gpu.func":
                from perfmodel.features.mlir import kernels

                kernels.entry(self, function)
                return results
            if len(blocks) == 1 and nests.is_kernel_body(blocks[0]):
                nests.describe_block(self, function, blocks[0])
                return [self.known(v) for v in blocks[0].operations[-1].operands]
            for block in blocks:
                found = self.run_block(block)
                if block.terminator is not None and not block.terminator.successors:
                    results = found
            return results
        finally:
            (self.env, self.prefix), self.depth = outer, self.depth - 1

    def run_block(self, block: Block) -> list[Known]:
        """Convert the operations of a block; what its terminator hands on is returned."""
        handed: list[Known] = []
        for operation in block.operations:
            if operation.name in TERMINATORS:
                handed = [self.known(v) for v in operation.operands]
            else:
                self.convert(operation)
        return handed

    # One operation

    def convert(self, operation: Operation) -> None:
        """Convert one operation."""
        name = operation.name
        handler = control.HANDLERS.get(name)
        if handler is not None:
            handler(self, operation)
            return
        known = tuple([self.env.get(v) or self.known(v) for v in operation.operands])
        if constants.fold(self, operation, known):
            return
        if name in IGNORED:
            self.removed.append(Removed(self.name_of(operation), name, IGNORED[name]))
            return
        rule = rule_for(name)
        if reads_full(name):
            for k in known:
                if k.make is not None:
                    self.full(k)
            inputs = tuple([k.tensor for k in known])
        else:
            inputs = tuple([k.spread or k.tensor for k in known])
        outputs = self.results(operation, known)
        call = Call(operation, known, inputs, outputs, self)
        try:
            if rule is None:
                raise RuleError(UNMODELLED.get(name, "no rule covers it"))
            answer = rule(call)
        except RuleError as error:
            self.unmodelled(call, str(error))
            return
        except (DescriptorError, DtypeError) as error:
            raise ModelFileError(f"{self.where(operation)}: {name}: {error}") from None
        except (TypeError, ValueError, ArithmeticError, IndexError, AttributeError, KeyError) as error:
            raise ModelFileError(f"{self.where(operation)}: {name} does not follow its definition: {error}") from None
        if answer is None:
            return
        if isinstance(answer, Modelled):
            op, attributes, fused, extra = answer.op, answer.attributes, answer.fused, answer.extra_bytes_read
        else:
            op, attributes, fused, extra = answer, {}, (), 0
        self.add(
            operation, op, tuple([t.name for t in inputs if t is not None]),
            tuple([t.name for t in outputs if t is not None]), attributes, fused, extra,
        )  # fmt: skip

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
        if len(self.nodes) >= MAX_NODES:
            raise ModelFileError(
                f"{self.label}: more than {MAX_NODES:,} operations; perfmodel reads modules up to that size"
            )
        name = self.name_of(operation)
        self.nodes.append(
            Node(name, op, inputs, outputs, operation.name, attributes, self.count, fused, extra, (name,))
        )

    def unmodelled(self, call: Call, reason: str) -> None:
        """An operation that is counted as memory traffic; one that touches no tensor is only listed as removed."""
        operation = call.operation
        for k in call.known:
            self.full(k)
        inputs = [k.tensor for k in call.known if k.tensor is not None]
        outputs = [t for t in call.outputs if t is not None]
        if not inputs and not outputs:
            self.removed.append(Removed(self.name_of(operation), operation.name, "touches no tensor"))
            return
        self.note(f"{operation.name}: {reason}: counted as memory traffic only", self.name_of(operation, used=False))
        read = sum(t.bytes for t in inputs if t.shape is not None)
        written = sum(t.bytes for t in outputs if t.shape is not None)
        kind = operation.name
        if kind in ("stablehlo.custom_call", "mhlo.custom_call"):
            kind = f"custom_call @{operation.attributes.get('call_target_name', '?')}"
        dtype = next((t.dtype for t in (*outputs, *inputs)), "fp32")
        op = Unmodelled(kind=kind, read=read, written=written, dtype=dtype)
        self.add(operation, op, tuple(t.name for t in inputs), tuple(t.name for t in outputs), {})

    def outside_call(self, operation: Operation, known: Sequence[Known], reason: str) -> None:
        """A call of something that is not in the module."""
        self.unmodelled(Call(operation, tuple(known), (), self.results(operation, known), self), reason)

    def scope(self, label: str) -> str:
        """The prefix of a function that is called here: ``main/relu_2/``."""
        name = self.prefix + label
        number = self._names.get("//" + name, 0) + 1
        self._names["//" + name] = number
        return f"{name}/" if number == 1 else f"{name}_{number}/"

    # Values

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
                    inferred = shapes.infer(self, operation, known)
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
        self._types[id(kind)] = (kind, answer)  # type: ignore[assignment]
        return answer

    def make_tensor(
        self, name: str, shape: Shape | None, dtype: str, *, is_weight: bool = False, scalar: Any = None,
        source: str | None = None,
    ) -> Tensor:  # fmt: skip
        """A tensor under a name of its own."""
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
        return tensor

    def constant(self, value: float, dtype: str) -> Tensor:
        """A constant of one element; equal ones are one tensor."""
        key = (value, dtype)
        found = self._constants.get(key)
        if found is None:
            outer, self.prefix = self.prefix, ""
            found = self._constants[key] = self.make_tensor(
                f"{value:g}", (), dtype, is_weight=True, scalar=_as_float(value)
            )
            self.prefix = outer
        return found

    def full(self, known: Known) -> None:
        """Emit the broadcast of a value that a reader needs in full."""
        if known.make is not None:
            make, known.make = known.make, None
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
        return target

    def channels_first(self, operation: Operation, x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """The tensors that a convolution or pool with channels last reads and writes where transposes around it only bring
        its channels there: those on the other side of the transposes."""
        return self.layouts.around(self, operation, x, out)

    def alias(self, value: Value, known: Known) -> None:
        """A result that is another value."""
        self.env[value] = known
        if value.operation is not None and value.index == 0:
            self.removed.append(Removed(self.name_of(value.operation), value.operation.name, "renames its operand"))

    # Names and messages

    def name_of(self, operation: Operation, *, used: bool = True) -> str:
        """A node's name: the operation's, with the number of its result."""
        short = operation.name.partition(".")[2] or operation.name
        result = operation.results[0].name if operation.results else str(operation.line or "")
        name = f"{self.prefix}{short}_{result}" if result else self.prefix + short
        if not used:
            return name
        number = self._names.get("/" + name)
        if number is None:
            self._names["/" + name] = 1
            return name
        self._names["/" + name] = number + 1
        return f"{name}.{number}"

    def where(self, operation: Operation) -> str:
        """``model.mlir:12``, for messages."""
        return f"{self.label}:{operation.line}" if operation.line else self.label

    def note(self, text: str, name: str) -> None:
        """Warn of an operation; equal texts are joined."""
        self._notes.setdefault(text, []).append(name)


def _some(names: list[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more"


def _as_float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None

"""From a module to a :class:`perfmodel.graph.Graph`: every operation becomes nodes, is folded, or is listed as unmodelled.

Functions are followed where they are called, so that a function called twice stands twice in the graph, under its own
prefix. What a value is (:class:`~perfmodel.features.mlir.known.Known`) is kept for the function that is being converted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from perfmodel.errors import DescriptorError, DtypeError, ModelFileError, PerfmodelError
from perfmodel.features.mlir import constants, control, nests
from perfmodel.features.mlir.call import Call, DefinitionError, Modelled, Rule, RuleError
from perfmodel.features.mlir.dims import Dimensions
from perfmodel.features.mlir.ir import Block, Module, Operation, Value
from perfmodel.features.mlir.known import Known
from perfmodel.features.mlir.layouts import Layouts
from perfmodel.features.mlir.recipes import REPEATED, Recipe, Recipes, Step
from perfmodel.features.mlir.rules import IGNORED, TERMINATORS, UNMODELLED, named_by, reads_full, rule_for
from perfmodel.features.mlir.scalar_code import is_kernel_body
from perfmodel.features.mlir.values import Values
from perfmodel.features.mlir.verify import DEFINITION, MALFORMED, place, refuse, signature
from perfmodel.graph import Graph, Node, Removed, Tensor
from perfmodel.ops import Operator, Unmodelled

MAX_NODES = 2_000_000
"""Nodes of the whole graph, called functions expanded."""

MAX_CALL_DEPTH = 64
"""Functions that call each other."""

Shape = tuple[Any, ...]


class Conversion(Values):
    """One module on its way to a graph.

    Args:
        module: from any reader.
        dims: the numbers of its dimensions.
        joined: whether the body of a ``linalg.generic`` is one node, as the file has it, rather than one a scalar
            function, as fusion wants it.
    """

    def __init__(self, module: Module, dims: Dimensions, *, joined: bool = False) -> None:
        super().__init__(dims)
        self.module = module
        self.joined = joined
        self.label: str = dims.label
        self.count: Any = 1
        self.depth: int = 0
        self.nodes: list[Node] = []
        self.innermost: Operation | None = None
        self.guessed: dict[str, Any] = {}
        self.imported: list[str] = []
        self._notes: dict[str, list[str]] = {}
        self.layouts: Layouts = Layouts(module)
        self.recipes: Recipes = Recipes(self)

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
        self.removed.extend(
            Removed(n, source, "spread by the kernels that read it") for n, source, k in self.later if k.make
        )
        used = {n for node in self.nodes for n in (*node.inputs, *node.outputs)}
        inputs += self.imported
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

    def run_function(
        self,
        function: Operation,
        arguments: Sequence[Known],
        prefix: str = "",
        *,
        ended: dict[int, Known] | None = None,
    ) -> list[Known]:
        """Convert a function's body with values of its own.

        Args:
            ended: takes what is known of the arguments in the end, by their number: functions may write to them.

        Returns:
            What is known of its results.
        """
        if self.depth == MAX_CALL_DEPTH:
            raise ModelFileError(
                f"{self.where(function)}: functions call each other {MAX_CALL_DEPTH} levels deep, or for ever"
            )
        outer = self.env, self.prefix
        self.env: dict[Value, Known] = {}
        self.prefix: str = prefix
        self.depth += 1
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
            if function.name in ("llvm.func", "tt.func") or (len(blocks) == 1 and is_kernel_body(blocks[0])):
                nests.describe_blocks(self, function, blocks)
                return [self.known(v) for v in blocks[0].operations[-1].operands]
            for block in blocks:
                found = self.run_block(block)
                if block.terminator is not None and not block.terminator.successors:
                    results = found
            if ended is not None:
                ended.update({i: self.env[v] for i, v in enumerate(blocks[0].arguments) if v in self.env})
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
        """Convert one operation.

        Raises:
            ModelFileError: it contradicts its definition.
        """
        try:
            self._convert(operation)
        except DefinitionError as problem:
            refuse(self.label, operation, str(problem))
        except (DescriptorError, DtypeError) as error:
            raise ModelFileError(f"{self.where(operation)}: {operation.name}: {error}") from None
        except PerfmodelError:
            raise
        except MALFORMED:
            refuse(self.label, operation, f"{DEFINITION}, found {signature(operation)}")

    def _convert(self, operation: Operation) -> None:
        name = operation.name
        if name == "torch.operator":
            name = operation.name = named_by(operation)
        handler = control.HANDLERS.get(name)
        if handler is not None:
            self.innermost = operation
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
        recipe = self.recipes.find(operation, known) if name in REPEATED and not self.marks else None
        if recipe is not None and not recipe[2]:
            self.recipes.follow(recipe[0], operation, recipe[1])
            return
        outputs = self.results(operation, known)
        call = Call(operation, known, inputs, outputs, self)
        try:
            if rule is None:
                raise RuleError(UNMODELLED.get(name, "no rule covers it"))
            if recipe is None:
                self._describe(rule, call)
            else:
                self._remember(rule, call, recipe[0], recipe[1])
        except RuleError as error:
            self.unmodelled(call, str(error))
            return

    def _describe(self, rule: Rule, call: Call) -> None:
        """Let a rule add its nodes, or add the one that it answers."""
        answer = rule(call)
        if answer is None:
            return
        if isinstance(answer, Modelled):
            op, attributes, fused, extra = answer.op, answer.attributes, answer.fused, answer.extra_bytes_read
        else:
            op, attributes, fused, extra = answer, {}, (), 0
        self.add(
            call.operation, op, tuple([t.name for t in call.inputs if t is not None]),
            tuple([t.name for t in call.outputs if t is not None]), attributes, fused, extra,
        )  # fmt: skip

    def _remember(self, rule: Rule, call: Call, recipe: Recipe, names: list[str]) -> None:
        """Run a rule for the first operation of a signature; where it did nothing but add nodes, the others follow it."""
        before, first = self._other_effects(), len(self.nodes)
        steps: list[Step] = []
        outer, self.steps = self.steps, steps
        try:
            self._describe(rule, call)
        finally:
            self.steps = outer
        if outer is None and self._other_effects() == before:
            self.recipes.learn(recipe, call.operation, names, steps, call.outputs, self.nodes[first:])

    def _other_effects(self) -> tuple[int, ...]:
        """What changes where a rule does more than to add nodes and tensors."""
        notes = sum(map(len, self._notes.values()))
        return len(self.removed), len(self.later), self.changes, notes, len(self.dims.of_data)

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
        node = Node(name, op, inputs, outputs, operation.name, attributes, self.count, fused, extra, (name,))
        self.nodes.append(node)
        if self.steps is not None:
            self.steps.append(Step(None, node=node))

    def unmodelled(self, call: Call, reason: str) -> None:
        """An operation that is counted as memory traffic; one that touches no tensor is only listed as removed."""
        operation = call.operation
        for k in call.known:
            self.full(k)
        inputs = [k.tensor for k in call.known if k.tensor is not None]
        outputs = [t for t in call.outputs if t is not None]
        if not inputs and not outputs:
            self.removed.append(Removed(self.name_of(operation), operation.name, "touches no tensor"))
            control.inside(self, operation)
            return
        self.note(f"{operation.name}: {reason}: counted as memory traffic only", self.name_of(operation, used=False))
        read = sum(self.bytes_of(t) for t in inputs)
        written = 0
        for t in outputs:
            if t.shape is None:  # of unknown rank: as large as the largest that it may be made of
                self.guessed[t.name] = max((self.bytes_of(i) for i in inputs), default=0, key=_size)
            written = written + self.bytes_of(t)
        kind = operation.name
        if kind in ("stablehlo.custom_call", "mhlo.custom_call"):
            kind = f"custom_call @{operation.attributes.get('call_target_name', '?')}"
        dtype = next((t.dtype for t in (*outputs, *inputs)), "fp32")
        op = Unmodelled(kind=kind, read=read, written=written, dtype=dtype)
        self.add(operation, op, tuple(t.name for t in inputs), tuple(t.name for t in outputs), {})
        if rule_for(operation.name) is None:
            control.inside(self, operation)

    def bytes_of(self, tensor: Tensor) -> Any:
        """Bytes of a tensor; an estimate where its rank is not known."""
        return self.guessed.get(tensor.name, 0) if tensor.shape is None else tensor.bytes

    def outside_call(self, operation: Operation, known: Sequence[Known], reason: str) -> None:
        """A call of something that is not in the module."""
        self.unmodelled(Call(operation, tuple(known), (), self.results(operation, known), self), reason)

    def scope(self, label: str) -> str:
        """The prefix of a function that is called here: ``main/relu_2/``."""
        name = self.prefix + label
        number = self._names.get("//" + name, 0) + 1
        self._names["//" + name] = number
        return f"{name}/" if number == 1 else f"{name}_{number}/"

    def channels_first(self, operation: Operation, x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """The tensors that a convolution or pool with channels last reads and writes where transposes around it only bring
        its channels there: those on the other side of the transposes."""
        return self.layouts.around(self, operation, x, out)

    # Names and messages

    def name_of(self, operation: Operation, *, used: bool = True) -> str:
        """A node's name: the operation's, with the number of its result."""
        short = _short(operation.name)
        result = operation.results[0].name.partition("#")[0] if operation.results else str(operation.line or "")
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
        """``model.mlir:12:5``, for messages."""
        return place(self.label, operation)

    def note(self, text: str, name: str) -> None:
        """Warn of an operation; equal texts are joined."""
        self._notes.setdefault(text, []).append(name)


@lru_cache(maxsize=4096)
def _short(name: str) -> str:
    return name.partition(".")[2] or name


def _size(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _some(names: list[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more"

"""What an operation becomes, remembered by its signature: modules repeat few kinds of operations thousands of times.

A signature is all that a rule looks at: the operation's name, attributes, types and body, and what is known of its
operands, down to which of them are the same tensor; not what they are called. Operations of one signature become the same
nodes between tensors of other names, so that the rule runs for the first of them and is followed for the others.

Only rules that look at nothing else may be followed (:data:`REPEATED`), and only where they did nothing but make tensors
and add nodes. What a conversion remembers ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.known import Known
from perfmodel.features.mlir.rules_linalg import PRODUCTS
from perfmodel.graph import Node, Tensor
from perfmodel.ops import Operator

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

# A choice looks at how its condition was made.
_LOOKS_BACK = frozenset(
    "stablehlo.select mhlo.select chlo.broadcast_select tosa.select arith.select linalg.select".split()
)

REPEATED = frozenset(
    (
        *(name for name in TENSOR_KINDS if name not in _LOOKS_BACK),
        *(f"linalg.{name}" for name in PRODUCTS),
        "linalg.generic", "linalg.reduce", "linalg.softmax",
        "stablehlo.dot_general", "stablehlo.dot", "mhlo.dot_general", "mhlo.dot",
    )
)  # fmt: skip
"""Operations whose rules look at nothing that a signature leaves out."""

MAX_BODY = 64
"""Operations of the largest body that is looked at."""

Key: TypeAlias = tuple[Any, ...]


class Made(NamedTuple):
    """A tensor between the operation's nodes."""

    name: int | str
    """A name's number, or the name itself; the operation's own result is -1."""
    shape: tuple[Any, ...]
    dtype: str
    is_weight: bool
    scalar: float | None


class Constant(NamedTuple):
    """A constant of one element."""

    value: float
    dtype: str


class Added(NamedTuple):
    """A node; inputs and outputs are numbers of names."""

    op: Operator
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any]
    fused: tuple[Operator, ...]
    extra: Any


class Recipe:
    """How the nodes of a signature are made; ``steps`` is None where its rule is to run.

    Names are numbered: of each operand the tensor and the smaller one that it repeats, then the results, then what the
    steps make.
    """

    __slots__ = ("results", "steps")

    def __init__(self) -> None:
        self.steps: list[Made | Constant | Added] | None = None
        self.results: list[tuple[tuple[Any, ...], str, int]] = []


class Step(NamedTuple):
    """What a rule did: a tensor under the name that it asked for, or a node."""

    tensor: Tensor | None
    name: str = ""
    prefix: str = ""
    constant: tuple[float, str] | None = None
    node: Node | None = None


class Recipes:
    """Those of one conversion."""

    def __init__(self, convert: Conversion) -> None:
        self._convert = convert
        self._recipes: dict[Key, Recipe] = {}
        self._signatures: dict[Key, int] = {}
        self._attributes: dict[int, int] = {}
        self._texts: dict[str, int] = {}

    def find(self, operation: Operation, known: Sequence[Known]) -> tuple[Recipe, list[str], bool] | None:
        """The recipe of an operation's signature, the names of its operands, and whether it is new.

        Returns:
            None where the rule has to run, and is not to be remembered.
        """
        captured: list[Value] = []
        body: Key = ()
        if operation.regions:
            found = self._body(operation, captured)
            if found is None:
                return None
            body = found
            env = self._convert.env
            outside = [env.get(v) for v in captured]
            if None in outside:
                return None
            known = (*known, *(k for k in outside if k is not None))
        names: list[str] = []  # empty, which no tensor is called, where there is none
        signatures = []
        for k in known:
            number = k.signature or self._signature(k)
            if number < 0:
                return None
            signatures.append((number, k.make is None))
            names.append("" if k.tensor is None else k.tensor.name)
            names.append("" if k.spread is None else k.spread.name)
        key = (
            operation.name,
            self._inherent(operation),
            tuple([id(v.type) for v in operation.operands]),
            tuple([id(v.type) for v in operation.results]),
            tuple(signatures),
            tuple(map(names.index, names)),
            body,
        )
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipes[key] = Recipe()
            return recipe, names, True
        return None if recipe.steps is None else (recipe, names, False)

    def follow(self, recipe: Recipe, operation: Operation, names: list[str]) -> None:
        """Make the nodes of an operation."""
        convert = self._convert
        for value, (shape, dtype, signature) in zip(operation.results, recipe.results, strict=True):
            tensor = convert.make_tensor(value.name or "v", shape, dtype)
            known = convert.env[value] = Known(tensor)
            known.signature = signature
            names.append(tensor.name)
        for step in recipe.steps or ():
            if type(step) is Added:
                inputs, outputs = (tuple([names[i] for i in side]) for side in (step.inputs, step.outputs))
                convert.add(operation, step.op, inputs, outputs, step.attributes, step.fused, step.extra)
            elif type(step) is Made:
                name = step.name
                if not isinstance(name, str):
                    name = operation.results[0].name if name < 0 else names[name]
                new = convert.make_tensor(name, step.shape, step.dtype, is_weight=step.is_weight, scalar=step.scalar)
                names.append(new.name)
            elif type(step) is Constant:
                names.append(convert.constant(step.value, step.dtype).name)

    def learn(
        self,
        recipe: Recipe,
        operation: Operation,
        names: Sequence[str],
        steps: Sequence[Step],
        outputs: Sequence[Tensor | None],
        added: Sequence[Node],
    ) -> None:
        """Remember what a rule did, where it can be followed.

        Args:
            recipe: of the operation's signature.
            names: of its operands.
            steps: what the rule did.
            outputs: the tensors of the results.
            added: the nodes that are there now.
        """
        convert = self._convert
        numbers: dict[str, int] = {}
        for number, name in enumerate(names):
            if name:
                numbers.setdefault(name, number)
        count = len(names)
        results = []
        for value, output in zip(operation.results, outputs, strict=True):
            known = convert.env.get(value)
            if known is None or output is None or known.tensor is not output or not _is_plain(known):
                return
            signature = known.signature or self._signature(known)
            if signature < 0:
                return
            numbers[output.name] = count
            count += 1
            results.append((output.shape or (), output.dtype, signature))
        made = [s.node for s in steps if s.node is not None]
        if len(made) != len(added) or any(a is not b for a, b in zip(made, added, strict=True)):  # changed afterwards
            return
        done: list[Made | Constant | Added] = []
        for step in steps:
            if step.node is not None:
                node = step.node
                if not all(n in numbers for n in (*node.inputs, *node.outputs)):
                    return
                inputs, outs = (tuple([numbers[n] for n in side]) for side in (node.inputs, node.outputs))
                done.append(Added(node.op, inputs, outs, node.attributes, node.fused, node.extra_bytes_read))
                continue
            tensor = step.tensor
            if tensor is None or tensor.name in numbers:
                return
            if step.constant is not None:
                done.append(Constant(*step.constant))
            else:
                named = -1 if step.name == operation.results[0].name else numbers.get(step.name, step.name)
                if (
                    step.prefix != convert.prefix
                    or tensor.source is not None
                    or tensor.shape is None
                    or (isinstance(named, str) and named not in ("s", "v", operation.name))
                ):
                    return
                done.append(Made(named, tensor.shape, tensor.dtype, tensor.is_weight, tensor.scalar))
            numbers[tensor.name] = count
            count += 1
        recipe.steps, recipe.results = done, results

    def _inherent(self, operation: Operation) -> Key:
        """What an operation says of itself beside its operands."""
        numbers = self._attributes
        key: list[Any] = []
        for name, value in operation.attributes.items():
            number = numbers.get(id(value))
            if number is None:  # the module keeps it, and with it its address
                number = numbers[id(value)] = self._text(repr(value))
            key += (name, number)
        if operation.literals or operation.operand_groups:
            key += (repr(operation.literals), *operation.operand_groups.items())
        return tuple(key)

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _body(self, operation: Operation, captured: list[Value]) -> Key | None:
        """The operations of a body of one block, and values of outside that they read."""
        if len(operation.regions) != 1 or len(operation.regions[0].blocks) != 1:
            return None
        block = operation.regions[0].blocks[0]
        if len(block.operations) > MAX_BODY:
            return None
        places: dict[Value, int] = {value: number for number, value in enumerate(block.arguments)}
        key: list[Any] = [tuple([id(value.type) for value in block.arguments])]
        for inner in block.operations:
            if inner.regions or inner.successors:
                return None
            read = []
            for value in inner.operands:
                place = places.get(value)
                if place is None:
                    captured.append(value)
                    place = places[value] = -len(captured)
                read.append(place)
            for value in inner.results:
                places[value] = len(places)
            kinds = tuple([id(value.type) for value in inner.results])
            key.append((inner.name, self._inherent(inner), tuple(read), kinds))
        return tuple(key)

    def _signature(self, known: Known) -> int:
        """A number for all that is known of a value but its names; -1 where nothing can be followed."""
        tensor, spread = _facts(known.tensor), _facts(known.spread)
        if tensor is None or spread is None or known.items is not None or known.text is not None:
            known.signature = -1
            return -1
        key = (
            tensor, spread, known.origin, repr(known.scalar), repr(known.numbers), known.mark, known.empty,
            known.source is None,
        )  # fmt: skip
        known.signature = self._signatures.setdefault(key, len(self._signatures) + 1)
        return known.signature


def _facts(tensor: Tensor | None) -> Key | None:
    """All but the names; None where a dimension is open."""
    if tensor is None:
        return ()
    shape = tensor.shape
    if shape is None or not all(type(d) is int for d in shape):
        return None
    return shape, tensor.dtype, tensor.is_weight, repr(tensor.scalar), tensor.source is None


def _is_plain(known: Known) -> bool:
    """Whether nothing but the tensor is known."""
    return (
        known.spread is None and known.make is None and known.origin is None and known.scalar is None
        and known.numbers is None and known.items is None and known.mark is None and not known.empty
        and known.source is None and known.text is None
    )  # fmt: skip

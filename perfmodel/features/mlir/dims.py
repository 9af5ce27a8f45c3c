"""Dynamic dimensions of a module: what they are called, and the numbers given for them.

The ``?`` of an argument of the entry function is called after the argument and the axis, as in ONNX: ``arg0_1`` for the
second axis of ``%arg0``; an argument that is itself a number (``%n: index``) has the argument's name. ``arg<number>_<axis>``
works whatever the argument is called, so that texts, bytecode and live modules take the same names. Where the module
names a dimension (JAX's shape polymorphism, torch's symbolic shapes), that name stands for all axes that share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.features.mlir.ir import Block, Module, Operation, Value
from perfmodel.features.onnx import expressions
from perfmodel.features.onnx.dims import Dimensions as NamedDimensions
from perfmodel.features.onnx.dims import identifier

Shape = tuple[Any, ...]


class Dimensions(NamedDimensions):
    """Names and numbers of one module's dynamic dimensions.

    Args:
        label: how errors call the module.
        given: checked numbers by name.
        keep_symbolic: dimensions without a number are sympy expressions.
    """

    def __init__(self, label: str, given: Mapping[str, int], *, keep_symbolic: bool = False) -> None:
        super().__init__(label, given)
        self.keep_symbolic = keep_symbolic
        self._unknown = list(self.given)
        self._axis_names: dict[tuple[int, int], str] = {}

    def declare(self, argument: str, number: int, axis: int | None, known_as: str | None = None) -> Any:
        """One open dimension of an argument.

        Args:
            argument: its name; empty where there is none.
            number: its position.
            axis: None for an argument that is itself a number.
            known_as: what the module calls the dimension.

        Returns:
            Its number, its symbol where there is none.
        """
        ending = "" if axis is None else f"_{axis}"
        names = [identifier(n + ending) for n in (argument, f"arg{number}") if n]
        if known_as:
            names.insert(0, identifier(known_as))
        name = names[0]
        for other in names:
            if other in self.given:
                self.given.setdefault(name, self.given[other])
            if other in self._unknown:
                self._unknown.remove(other)
        if name not in self._known:
            self.names.append(name)
            self._known.add(name)
        if axis is not None:
            self._axis_names[number, axis] = name
        return self._value(name)

    def declare_scalar(self, argument: str, number: int) -> Any:
        """An argument that is itself a number."""
        return self.declare(argument, number, None)

    def axis_name(self, number: int, axis: int) -> str | None:
        """What the dimension of an argument's axis is called."""
        return self._axis_names.get((number, axis))

    @staticmethod
    def wants_scalar(module: Module, value: Value) -> bool:
        """Whether an argument that is a number says how often a loop runs or how large something is."""
        names = (
            "scf.for",
            "scf.parallel",
            "affine.for",
            "scf.forall",
            "tensor.empty",
            "memref.alloc",
            "gpu.launch_func",
        )
        return any(o.name in names for o, _ in module.uses().get(value, ()))

    @staticmethod
    def names_in(module: Module, function: Operation | Block) -> dict[tuple[int, int], str]:
        """What the module calls dimensions of the entry's arguments, by (argument, axis).

        JAX hands the size of an axis to a function whose argument has the name (``jax.global_constant``); torch binds
        symbols to shapes (``torch.bind_symbolic_shape``).
        """
        block = function.body if isinstance(function, Operation) else function
        found: dict[tuple[int, int], str] = {}
        for operation in block.operations if block is not None else ():
            if operation.name in ("func.call", "call"):
                target = module.lookup(operation.attributes.get("callee"), operation)
                attributes = target.attributes.get("arg_attrs") if target is not None else None
                for value, own in zip(operation.operands, attributes or (), strict=False):
                    name = own.get("jax.global_constant") if isinstance(own, dict) else None
                    size = value.operation
                    if name and size is not None and size.name.endswith("get_dimension_size") and block is not None:
                        source = size.operands[0]
                        if source in block.arguments:
                            found[block.arguments.index(source), int(size.attributes.get("dimension", 0))] = name
            elif operation.name == "torch.bind_symbolic_shape" and block is not None:
                _bind_symbols(operation, block, found)
        return found

    def loop(self, name: str) -> str:
        """Accept a number for how often a loop's body runs: ``<loop>_trips``."""
        dimension = f"{identifier(name)}_trips"
        self.trips[dimension] = None
        if dimension in self._unknown:
            self._unknown.remove(dimension)
        return dimension

    def _value(self, name: str) -> Any:
        return self.given[name] if name in self.given else expressions.symbol(name)

    def complete(self, shape: Shape | None, value: Value) -> Shape | None:
        """The shape of a value that nothing infers: what is open depends on data."""
        return self.merged(shape, None, value, "the module")

    def merged(self, shape: Shape | None, guess: Sequence[Any] | None, value: Value, made_by: str) -> Shape | None:
        """The dimensions of a type, and where those are open the inferred ones; else dimensions that depend on data."""
        if shape is None:
            return None if guess is None or any(d is None for d in guess) else tuple(guess)
        if None not in shape:
            return shape
        if guess is None or len(guess) != len(shape):
            guess = (None,) * len(shape)
        found = []
        for axis, (dim, inferred) in enumerate(zip(shape, guess, strict=True)):
            if dim is None:
                dim = inferred if inferred is not None else self._of_data(value, axis, made_by)
            found.append(dim)
        return tuple(found)

    def _of_data(self, value: Value, axis: int, made_by: str) -> Any:
        name = identifier(f"{value.name or 'v'}_{axis}")
        if name not in self._known:
            self.of_data[name] = made_by
            self._known.add(name)
        if name in self._unknown:
            self._unknown.remove(name)
        return self._value(name)


def _bind_symbols(operation: Operation, block: Block, found: dict[tuple[int, int], str]) -> None:
    """``torch.bind_symbolic_shape %arg0, [%s0], affine_map<()[s0] -> (s0, 10)>``."""
    map_ = next((v for v in operation.attributes.values() if hasattr(v, "num_symbols")), None)
    if map_ is None or not operation.operands or operation.operands[0] not in block.arguments:
        return
    argument = block.arguments.index(operation.operands[0])
    for axis, expression in enumerate(map_.results):
        if isinstance(expression, tuple) and expression[0] == "s" and 1 + expression[1] < len(operation.operands):
            made = operation.operands[1 + expression[1]].operation
            name = None
            if made is not None:
                name = made.attributes.get("symbol_name") or next(
                    (x for x in made.literals if isinstance(x, str)), None
                )
            if name:
                found[argument, axis] = str(name)

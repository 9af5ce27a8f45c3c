"""Dynamic dimensions of a module: what they are called, and the numbers given for them.

The ``?`` of an argument of the entry function is called after the argument and the axis, as in ONNX: ``arg0_1`` for the
second axis of ``%arg0``; an argument that is itself a number (``%n: index``) has the argument's name. ``arg<number>_<axis>``
works whatever the argument is called, so that texts, bytecode and live modules take the same names. Where the module
names a dimension (JAX's shape polymorphism, torch's symbolic shapes), that name stands for all axes that share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.features.mlir.ir import Value
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
        return self._value(name)

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

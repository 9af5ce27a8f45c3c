"""The symbolic dimensions of a model: their names, the numbers given for them, and expressions over them.

A name is what the file calls a dimension (``dim_param``); an unnamed dynamic dimension is called after its tensor and
axis, ``<tensor>_<axis>``, and an input that declares no rank has the axes that the caller gives so. Characters that no
identifier has become underscores, so that every name can be typed on a command line and used as a keyword. A
``dim_param`` like ``past + seq``, whose parts are dimensions of other inputs, is an expression and needs no number of its
own.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

from perfmodel.errors import InputError, ModelFileError, UnboundDimensionError, nearest
from perfmodel.features.onnx import expressions
from perfmodel.ops.base import MAX_DIMENSION

MAX_BOUND = 2**31
"""Largest number accepted for a symbolic dimension."""

_EXAMPLES = {"batch": 1, "batch_size": 1, "n": 1, "seq": 128, "sequence": 128, "seq_len": 128, "sequence_length": 128}


def check_given(dims: Mapping[str, Any] | None) -> dict[str, int]:
    """The numbers that the caller gives for dimensions, checked.

    Raises:
        InputError: a value is no whole number of 1 to 2^31.
    """
    if dims is not None and not isinstance(dims, Mapping):
        raise InputError(f"dims is {dims!r}; wanted a mapping of names to whole numbers, such as {{'batch': 8}}")
    checked: dict[str, int] = {}
    for name, value in (dims or {}).items():
        try:
            number = None if isinstance(value, bool) else operator.index(value)
        except TypeError:
            number = None
        if number is None:
            raise InputError(f"the dimension {name!r} is given as {value!r}; wanted a whole number, such as 8")
        if not 1 <= number <= MAX_BOUND:
            raise InputError(f"the dimension {name!r} is given as {number}; wanted a whole number of 1 to 2^31")
        checked[str(name)] = number
    return checked


def identifier(text: str) -> str:
    """A name that can be typed as a keyword: other characters become underscores."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    name = name[:60]
    return name if name and not name[0].isdigit() else f"d_{name}"


class Dimensions:
    """Names and numbers of one model's symbolic dimensions.

    Args:
        label: how errors call the model.
        given: checked numbers by name (:func:`check_given`).
    """

    def __init__(self, label: str, given: Mapping[str, int]) -> None:
        self.label = label
        self.given: dict[str, int] = dict(given)
        self.names: list[str] = []  # of the inputs, in order
        # Of the inputs that have any: what the dimension of each axis is called, None for numbers.
        self.input_axes: dict[str, tuple[str | None, ...]] = {}
        self.of_data: dict[str, str] = {}  # names of dimensions that depend on data → what makes them
        self.trips: dict[str, None] = {}  # names of numbers of iterations, which may stay open
        self._plain: set[Any] = set()  # names in the file that are identifiers, and stay as they are
        self._alias: dict[str, str] = {}  # as the file writes it → identifier
        self._renamed: dict[str, str] = {}  # symbol of the shape inference → our name
        self._known: set[str] = set()
        self._cache: dict[str, Any] = {}

    def declare_inputs(self, inputs: Iterable[Any]) -> None:
        """Name every dimension of the graph's inputs, and put the given numbers into their shapes.

        Args:
            inputs: ``onnx_ir`` values; their shapes are replaced.

        Raises:
            ModelFileError: an input without a rank, whose dimensions are not given either, or with an impossible dimension.
            InputError: numbers are given for dimensions that the model does not have.
        """
        import onnx_ir as ir

        inputs = [value for value in inputs if value.type is None or isinstance(value.type, ir.TensorType)]
        for value in inputs:
            if not value.dtype:
                raise ModelFileError(f"{self.label}: the input {value.name!r} declares no element type")
            if value.shape is None:
                value.shape = ir.Shape([None] * self._given_rank(value))
        self._plain |= {d.value for v in inputs for d in v.shape if not isinstance(d, int) and _is_name(d.value)}
        rows = [(value, [self._declared(value, axis, dim) for axis, dim in enumerate(value.shape)]) for value in inputs]
        unknown = [n for n in self.given if n not in self.names and n not in self._alias]
        self._unknown = unknown
        for raw, name in self._alias.items():
            if raw in self.given:
                self.given.setdefault(name, self.given[raw])
        for value, dims in rows:
            axes = tuple(dim if isinstance(dim, str) else None for dim in dims)
            if any(axes):
                self.input_axes[value.name] = axes
            value.shape = ir.Shape([self.as_ir(dim) for dim in dims])

    def _given_rank(self, value: Any) -> int:
        """How many axes of an input without a shape the caller gives, counted from the first."""
        rank = 0
        while not {f"{value.name}_{rank}", identifier(f"{value.name}_{rank}")}.isdisjoint(self.given):
            rank += 1
        if not rank:
            first = identifier(f"{value.name}_0")
            raise ModelFileError(
                f"{self.label}: the input {value.name!r} declares no shape, not even its rank; "
                f"give each of its dimensions, as in --dim {first}=1 --dim {first[:-1]}1=8, "
                "or export the model again with shapes for its inputs"
            )
        return rank

    def _declared(self, value: Any, axis: int, dim: Any) -> int | str:
        if isinstance(dim, int):
            if dim == -1:  # several converters write a dynamic dimension like this
                return self._unnamed(value, axis)
            if dim < 0:
                raise ModelFileError(
                    f"{self.label}: the input {value.name!r} has the dimension {dim} on axis {axis}; wanted 1 or more"
                )
            if dim > MAX_DIMENSION:
                raise ModelFileError(
                    f"{self.label}: the input {value.name!r} has the dimension {dim} on axis {axis}; "
                    "the largest accepted is 2^48"
                )
            return dim
        text = dim.value
        if not text or text == "?":
            return self._unnamed(value, axis)
        if not _is_name(text) and self._over_names(text):
            return str(text)
        return self._name(text)

    def _unnamed(self, value: Any, axis: int) -> str:
        text = f"{value.name}_{axis}"
        while text in self._plain:  # the file calls another dimension so
            text += "_"
        return self._name(text)

    def _name(self, text: str) -> str:
        name = self._alias.get(text)
        if name is None:
            name = identifier(text)
            taken = set(self._alias.values())
            # Two names that differ only in odd characters are two dimensions.
            while name in taken or (name != text and name in self._plain):
                name += "_"
            self._alias[text] = name
            self.names.append(name)
            self._known.add(name)
        return name

    def _over_names(self, text: str) -> bool:
        expression = expressions.parse(text)
        return expression is not None and bool(expression.free_symbols) and all(
            str(s) in self._plain for s in expression.free_symbols
        )  # fmt: skip

    def resolve(self, dim: Any) -> Any:
        """A dimension as the graph has it: an int, or a sympy expression over the open dimensions.

        Args:
            dim: an int or an ``onnx_ir.SymbolicDim``.

        Returns:
            None where the dimension is unknown.
        """
        if isinstance(dim, int):
            return dim
        text = dim if isinstance(dim, str) else dim.value
        if text is None:
            return None
        if text not in self._cache:
            self._cache[text] = self._evaluated(text)
        return self._cache[text]

    def _evaluated(self, text: str) -> Any:
        import sympy

        text = self._alias.get(text, text)
        if text in self.given:
            return self.given[text]
        expression = expressions.parse(text)
        if expression is None:
            return None
        numbers = {}
        for symbol in expression.free_symbols:
            name = self._renamed.get(str(symbol), str(symbol))
            if name in self.given:
                numbers[symbol] = sympy.Integer(self.given[name])
            elif name != str(symbol):
                numbers[symbol] = expressions.symbol(name)
        expression = expression.subs(numbers) if numbers else expression
        if expression.is_Integer:
            return int(expression)
        if not expression.free_symbols or not all(str(s) in self._known for s in expression.free_symbols):
            return None  # a name that only shape inference knows
        return expression

    def as_ir(self, dim: Any) -> Any:
        """The dimension for a shape of ``onnx_ir``: bound where it can be."""
        import onnx_ir as ir

        value = self.resolve(dim)
        if value is None or isinstance(value, int):
            return ir.SymbolicDim(None) if value is None else value
        return ir.SymbolicDim(value)

    def declare_trips(self, node: str) -> str:
        """Accept a number for how often a node's body runs.

        Args:
            node: the node's name, as an identifier.

        Returns:
            The dimension's name: ``<node>_trips``, with a number where two nodes would share it.
        """
        name, number = f"{node}_trips", 2
        while name in self.trips or name in self._known:
            name, number = f"{node}_{number}_trips", number + 1
        self.trips[name] = None
        return name

    def resolve_name(self, name: str) -> Any:
        """A named dimension: its number, its symbol where it is open, None where there is none of that name."""
        if name in self.given:
            return self.given[name]
        return expressions.symbol(name) if name in self._known else None

    def name_of_data(self, symbol: str, name: str, made_by: str) -> None:
        """Name a dimension that depends on data (how many boxes, how many non-zeros)."""
        if symbol in self._renamed or symbol in self._known:
            return
        name = identifier(name)
        while name in self._known:
            name += "_"
        self._renamed[symbol] = name
        self.of_data[name] = made_by
        self._known.add(name)
        self._cache.clear()

    @property
    def open(self) -> tuple[str, ...]:
        """Names without a number: those of the inputs in order, then those that depend on data."""
        return tuple(n for n in (*self.names, *self.of_data) if n not in self.given)

    @property
    def known(self) -> tuple[str, ...]:
        """Every name that the model has."""
        return (*self.names, *self.of_data)

    def refuse_unknown(self) -> None:
        """Refuse numbers for dimensions that the model does not have.

        Raises:
            InputError: names the nearest ones that it has.
        """
        unknown = [n for n in self._unknown if n not in self.of_data and n not in self.trips]
        if not unknown:
            return
        known = tuple(dict.fromkeys((*self.known, *self.trips)))
        if not known:
            raise InputError(f"{self.label}: has no dimension {unknown[0]!r}; all its dimensions are fixed")
        raise InputError(f"{self.label}: has no dimension {unknown[0]!r}; {nearest(unknown[0], known)}")

    def refuse_open(self) -> None:
        """Refuse dimensions without a number.

        Raises:
            UnboundDimensionError: names each, and shows how to give one.
        """
        names = self.open
        if not names:
            return
        example = " ".join(f"--dim {n}={_EXAMPLES.get(n.lower(), 8)}" for n in names[:4]) + (
            " ..." if len(names) > 4 else ""
        )
        text = f"{self.label}: give a number for {_listed(names)}, for example {example}"
        if len(names) < len(self.known):
            text += f" (the model has the dimensions {', '.join(self.known)})"
        depends = [f"{n!r} is made by {self.of_data[n]} and depends on data" for n in names if n in self.of_data]
        unknown = [n for n in self._unknown if n not in self.of_data and n not in self.trips]
        if unknown:
            text += f"; it has no dimension {unknown[0]!r}"
        if depends:
            text += f"; {'; '.join(depends[:3])}"
        raise UnboundDimensionError(text, names)


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and text.isidentifier() and text.isascii()


def _listed(names: tuple[str, ...]) -> str:
    quoted = [repr(n) for n in names[:20]] + ([f"{len(names) - 20} more"] if len(names) > 20 else [])
    kind = "the dimension" if len(names) == 1 else "the dimensions"
    return f"{kind} {quoted[0]}" if len(quoted) == 1 else f"{kind} {', '.join(quoted[:-1])} and {quoted[-1]}"

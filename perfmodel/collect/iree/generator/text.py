"""Text of one function over tensors: values, linalg operations and the scalar code inside of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

AXES = "ijklmnpq"
ENTRY = "main"
_FLOATS = ("f64", "f32", "f16", "bf16")


class Value(NamedTuple):
    """A tensor of the function.

    Attributes:
        name: with the percent sign.
        shape: extents.
        dtype: of an element, as MLIR writes it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def type(self) -> str:
        """As MLIR writes it."""
        return tensor_type(self.shape, self.dtype)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)


def tensor_type(shape: Sequence[int], dtype: str) -> str:
    """``tensor<2x3xf32>``."""
    return f"tensor<{''.join(f'{extent}x' for extent in shape)}{dtype}>"


def is_float(dtype: str) -> bool:
    """Whether arithmetic on it is floating."""
    return dtype in _FLOATS


def bits(dtype: str) -> int:
    """Width of an element."""
    return 16 if dtype == "bf16" else 1 if dtype == "i1" else int(dtype[1:])


class Scalars:
    """The scalar code of a linalg.generic: every method adds a line and gives the result's name.

    Attributes:
        dtypes: of every value by name, so that callers need not repeat them.
    """

    def __init__(self, function: Function, arguments: Sequence[tuple[str, str]]) -> None:
        self._function = function
        self.lines: list[str] = []
        self.dtypes: dict[str, str] = dict(arguments)

    def constant(self, value: float, dtype: str) -> str:
        """A constant, which stands before the operation."""
        name = self._function.constant(value, dtype)
        self.dtypes[name] = dtype
        return name

    def _add(self, text: str, dtype: str) -> str:
        name = self._function.fresh()
        self.lines.append(f"    {name} = {text}")
        self.dtypes[name] = dtype
        return name

    def unary(self, op: str, x: str) -> str:
        """``math.exp %x : f32`` and its like."""
        return self._add(f"{op} {x} : {self.dtypes[x]}", self.dtypes[x])

    def binary(self, op: str, x: str, y: str) -> str:
        """An operation of arith by its stem: ``add`` is addf or addi, as the operands are."""
        dtype = self.dtypes[x]
        if is_float(dtype):
            full = {"max": "maximumf", "min": "minimumf"}.get(op, f"{op}f")
        else:
            full = {"max": "maxsi", "min": "minsi", "div": "divsi"}.get(op, f"{op}i")
        return self._add(f"arith.{full} {x}, {y} : {dtype}", dtype)

    def greater(self, x: str, y: str) -> str:
        """x > y."""
        dtype = self.dtypes[x]
        op = "cmpf ogt," if is_float(dtype) else "cmpi sgt,"
        return self._add(f"arith.{op} {x}, {y} : {dtype}", "i1")

    def select(self, condition: str, x: str, y: str) -> str:
        """x where the condition holds, else y."""
        return self._add(f"arith.select {condition}, {x}, {y} : {self.dtypes[x]}", self.dtypes[x])

    def cast(self, x: str, dtype: str) -> str:
        """Another dtype; x itself where it has it."""
        old = self.dtypes[x]
        if old == dtype:
            return x
        if is_float(old) and is_float(dtype):
            if bits(old) == bits(dtype):  # f16 and bf16 meet in f32
                return self.cast(self.cast(x, "f32"), dtype)
            op = "extf" if bits(dtype) > bits(old) else "truncf"
        elif is_float(old) or is_float(dtype):
            op = "fptosi" if is_float(old) else "sitofp"
        else:
            op = "extsi" if bits(dtype) > bits(old) else "trunci"
        return self._add(f"arith.{op} {x} : {old} to {dtype}", dtype)

    def index(self, axis: int) -> str:
        """The index along an axis of the iteration."""
        return self._add(f"linalg.index {axis} : index", "index")

    def to_index(self, x: str) -> str:
        """An integer as an index."""
        return self._add(f"arith.index_cast {x} : {self.dtypes[x]} to index", "index")

    def to_integer(self, x: str, dtype: str) -> str:
        """An index as an integer."""
        return self._add(f"arith.index_cast {x} : index to {dtype}", dtype)

    def extract(self, tensor: Value, indices: Sequence[str]) -> str:
        """One element of a tensor."""
        return self._add(f"tensor.extract {tensor.name}[{', '.join(indices)}] : {tensor.type}", tensor.dtype)


Body = Callable[[Scalars, list[str]], "str | Sequence[str]"]


class Function:
    """A function under construction, :data:`ENTRY` by name."""

    def __init__(self) -> None:
        self._arguments: list[Value] = []
        self._comments: list[str] = []
        self._constants: dict[tuple[str, str], str] = {}
        self._head: list[str] = []
        self._lines: list[str] = []
        self._names = 0

    def fresh(self) -> str:
        """A name that is free."""
        self._names += 1
        return f"%{self._names - 1}"

    def argument(self, shape: Sequence[int], dtype: str, *, below: int | None = None) -> Value:
        """A tensor that the caller gives; whole numbers from 0 to ``below``, which a comment says, where they are places."""
        value = Value(f"%arg{len(self._arguments)}", tuple(shape), dtype)
        if below is not None:
            self._comments.append(f"// {value.name} is below {below}")
        self._arguments.append(value)
        return value

    def constant(self, value: float, dtype: str) -> str:
        """A scalar constant; each is written once."""
        text = f"{float(value):.8e}" if is_float(dtype) else str(int(value))
        if (text, dtype) not in self._constants:
            name = f"%c{len(self._constants)}"
            self._head.append(f"  {name} = arith.constant {text} : {dtype}")
            self._constants[text, dtype] = name
        return self._constants[text, dtype]

    def dense(self, shape: Sequence[int], dtype: str, value: float) -> Value:
        """A constant tensor of one value."""
        text = f"{float(value):.8e}" if is_float(dtype) else str(int(value))
        name = self.fresh()
        self._lines.append(f"  {name} = arith.constant dense<{text}> : {tensor_type(shape, dtype)}")
        return Value(name, tuple(shape), dtype)

    def op(self, text: str, shape: Sequence[int], dtype: str) -> Value:
        """An operation with one result; ``text`` is what follows the equals sign."""
        value = Value(self.fresh(), tuple(shape), dtype)
        self._lines.append(f"  {value.name} = {text}")
        return value

    def empty(self, shape: Sequence[int], dtype: str) -> Value:
        """A tensor of no value yet."""
        return self.op(f"tensor.empty() : {tensor_type(shape, dtype)}", shape, dtype)

    def filled(self, shape: Sequence[int], dtype: str, value: float = 0.0) -> Value:
        """A tensor filled with one value."""
        scalar, into = self.constant(value, dtype), self.empty(shape, dtype)
        return self.op(
            f"linalg.fill ins({scalar} : {dtype}) outs({into.name} : {into.type}) -> {into.type}", shape, dtype
        )

    def named(self, op: str, inputs: Sequence[Value], into: Value, attributes: str = "") -> Value:
        """A named linalg operation with one result.

        Args:
            op: its name behind ``linalg.``, ``attributes`` what stands between that and the operands.
            inputs: operands.
            into: what it accumulates into.
        """
        names = ", ".join(value.name for value in inputs)
        types = ", ".join(value.type for value in inputs)
        between = f" {attributes}" if attributes else ""
        return self.op(
            f"linalg.{op}{between} ins({names} : {types}) outs({into.name} : {into.type}) -> {into.type}",
            into.shape,
            into.dtype,
        )

    def generic(
        self, inputs: Sequence[tuple[Value, str]], into: Sequence[tuple[Value, str]], axes: str, body: Body
    ) -> list[Value]:
        """A linalg.generic.

        Args:
            inputs: operands with the axes that index them, as in ``(a, "ij")``; axes by comma where one is an expression.
            into: what is written, likewise.
            axes: of the iteration, in order; capital letters are reductions.
            body: adds the scalar code; is given the names of the operands' and the results' elements, and gives what is
                yielded.
        """
        operands = [*inputs, *into]
        loops = axes.lower()
        kinds = ", ".join('"reduction"' if axis.isupper() else '"parallel"' for axis in axes)
        maps = ", ".join(f"affine_map<({', '.join(loops)}) -> ({_indexed(text)})>" for _, text in operands)
        block = [(f"%b{self._names + n}", value.dtype) for n, (value, _) in enumerate(operands)]
        self._names += len(operands)
        scalars = Scalars(self, block)
        given = body(scalars, [name for name, _ in block])
        yielded = [given] if isinstance(given, str) else list(given)
        results = [Value(self.fresh(), value.shape, value.dtype) for value, _ in into]

        def clause(word: str, values: Sequence[tuple[Value, str]]) -> str:
            names = ", ".join(value.name for value, _ in values)
            types = ", ".join(value.type for value, _ in values)
            return f" {word}({names} : {types})" if values else ""

        out_types = [value.type for value, _ in into]
        arrow = out_types[0] if len(out_types) == 1 else f"({', '.join(out_types)})"
        left = results[0].name if len(results) == 1 else f"{results[0].name}:{len(results)}"
        self._lines += [
            f"  {left} = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}"
            f"{clause('ins', inputs)}{clause('outs', into)} {{",
            f"  ^bb0({', '.join(f'{name}: {dtype}' for name, dtype in block)}):",
            *scalars.lines,
            f"    linalg.yield {', '.join(yielded)} : {', '.join(scalars.dtypes[name] for name in yielded)}",
            f"  }} -> {arrow}",
        ]
        if len(results) == 1:
            return results
        return [value._replace(name=f"{results[0].name}#{n}") for n, value in enumerate(results)]

    def map(self, inputs: Sequence[Value], body: Body, dtype: str | None = None) -> Value:
        """The same scalar code for every element of operands of one shape."""
        shape = inputs[0].shape
        axes = AXES[: len(shape)]
        into = self.empty(shape, dtype or inputs[0].dtype)
        return self.generic([(value, axes) for value in inputs], [(into, axes)], axes, body)[0]

    def text(self, *results: Value) -> str:
        """The module, with the values that the function returns."""
        arguments = ", ".join(f"{value.name}: {value.type}" for value in self._arguments)
        types = ", ".join(value.type for value in results)
        arrow = types if len(results) == 1 else f"({types})"
        return "\n".join(
            [
                *self._comments,
                f"func.func @{ENTRY}({arguments}) -> {arrow} {{",
                *self._head,
                *self._lines,
                f"  return {', '.join(value.name for value in results)} : {types}",
                "}",
                "",
            ]
        )


def _indexed(text: str) -> str:
    return text if "," in text or "+" in text else ", ".join(text)

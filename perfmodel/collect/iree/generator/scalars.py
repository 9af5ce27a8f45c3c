"""Functions of single elements, as layers of networks apply them."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.collect.iree.generator.text import Scalars

Unary = Callable[[Scalars, str], str]


def _with(op: str, value: float) -> Unary:
    def apply(s: Scalars, x: str) -> str:
        return s.binary(op, x, s.constant(value, s.dtypes[x]))

    return apply


def relu(s: Scalars, x: str) -> str:
    """max(x, 0)."""
    return s.binary("max", x, s.constant(0, s.dtypes[x]))


def sigmoid(s: Scalars, x: str) -> str:
    """1 / (1 + exp(-x))."""
    one = s.constant(1, s.dtypes[x])
    return s.binary("div", one, s.binary("add", one, s.unary("math.exp", s.unary("arith.negf", x))))


def silu(s: Scalars, x: str) -> str:
    """x sigmoid(x)."""
    return s.binary("mul", x, sigmoid(s, x))


def gelu_erf(s: Scalars, x: str) -> str:
    """x/2 (1 + erf(x / sqrt 2))."""
    t = s.dtypes[x]
    inner = s.unary("math.erf", s.binary("mul", x, s.constant(0.70710678, t)))
    return s.binary("mul", s.binary("mul", x, s.constant(0.5, t)), s.binary("add", inner, s.constant(1, t)))


def gelu_tanh(s: Scalars, x: str) -> str:
    """The approximation of GELU by tanh."""
    t = s.dtypes[x]
    cube = s.binary("mul", s.binary("mul", x, x), x)
    inner = s.binary("add", x, s.binary("mul", cube, s.constant(0.044715, t)))
    tanh = s.unary("math.tanh", s.binary("mul", inner, s.constant(0.79788456, t)))
    return s.binary("mul", s.binary("mul", x, s.constant(0.5, t)), s.binary("add", tanh, s.constant(1, t)))


def clip(s: Scalars, x: str) -> str:
    """Between 0 and 6."""
    return s.binary("min", relu(s, x), s.constant(6, s.dtypes[x]))


def leaky_relu(s: Scalars, x: str) -> str:
    """x, or a hundredth of it where it is negative."""
    t = s.dtypes[x]
    return s.select(s.greater(x, s.constant(0, t)), x, s.binary("mul", x, s.constant(0.01, t)))


def hard_swish(s: Scalars, x: str) -> str:
    """x clip(x + 3) / 6."""
    t = s.dtypes[x]
    return s.binary("mul", s.binary("mul", x, clip(s, s.binary("add", x, s.constant(3, t)))), s.constant(0.16666667, t))


def square(s: Scalars, x: str) -> str:
    """x²."""
    return s.binary("mul", x, x)


def _math(op: str) -> Unary:
    return lambda s, x: s.unary(op, x)


ACTIVATIONS: dict[str, Unary] = {
    "relu": relu, "sigmoid": sigmoid, "silu": silu, "gelu_erf": gelu_erf, "gelu_tanh": gelu_tanh, "clip": clip,
    "leaky_relu": leaky_relu, "hard_swish": hard_swish, "tanh": _math("math.tanh"),
}  # fmt: skip
FLOATING: dict[str, Unary] = {
    **ACTIVATIONS, "square": square, "exp": _math("math.exp"), "log1p": _math("math.log1p"), "sqrt": _math("math.sqrt"),
    "rsqrt": _math("math.rsqrt"), "abs": _math("math.absf"), "neg": _math("arith.negf"), "sin": _math("math.sin"),
    "scale": _with("mul", 0.125), "shift": _with("add", 0.5), "divide": _with("div", 3.0), "floor": _math("math.floor"),
}  # fmt: skip
WHOLE: dict[str, Unary] = {
    "relu": relu, "square": square, "scale": _with("mul", 3), "shift": _with("add", 5), "clip": clip,
    "leaky_relu": lambda s, x: s.select(s.greater(x, s.constant(0, s.dtypes[x])), x, s.binary("sub", x, x)),
}  # fmt: skip
BINARY = ("add", "mul", "sub", "max", "min", "div")
"""Stems of :meth:`perfmodel.collect.iree.generator.text.Scalars.binary`."""

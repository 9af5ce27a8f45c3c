"""Dimension expressions: the text that files and shape inference write (``"floor((seq - 1)/2) + 1"``) to sympy.

sympy's own ``sympify`` evaluates Python, which a model file must never make us do; so the few forms that dimensions
take are read from Python's syntax tree, and everything else is refused.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sympy

MAX_TEXT = 4000
MAX_EXPONENT = 8
"""A dimension is no power tower: ``9**9**9`` would keep sympy busy for ever."""


def parse(text: str) -> sympy.Expr | None:
    """The expression, over positive integer symbols; None when the text is no such expression."""
    if len(text) > MAX_TEXT:
        return None
    try:
        return _expression(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        return None


def symbol(name: str) -> sympy.Symbol:
    """The symbol of a dimension: a positive integer."""
    import sympy

    return sympy.Symbol(name, integer=True, positive=True)


def _expression(node: ast.expr) -> sympy.Expr:
    import sympy

    if isinstance(node, ast.Constant) and type(node.value) is int:
        if abs(node.value) > 2**63:
            raise ValueError("a number that no dimension has")
        return sympy.Integer(node.value)
    if isinstance(node, ast.Name):
        return symbol(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_expression(node.operand)
    if isinstance(node, ast.BinOp):
        return _binary(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function = {
            "Max": sympy.Max, "max": sympy.Max, "Min": sympy.Min, "min": sympy.Min, "floor": sympy.floor,
            "ceiling": sympy.ceiling, "ceil": sympy.ceiling, "Mod": sympy.Mod, "mod": sympy.Mod, "sqrt": sympy.sqrt,
        }.get(node.func.id)  # fmt: skip
        if function is not None:
            return function(*(_expression(a) for a in node.args))
    raise ValueError("no dimension is written like this")


def _binary(node: ast.BinOp) -> sympy.Expr:
    import sympy

    left, right = _expression(node.left), _expression(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.FloorDiv():
            return sympy.floor(left / right)
        case ast.Mod():
            return sympy.Mod(left, right)
        case ast.Pow() if right.is_Integer and abs(int(right)) <= MAX_EXPONENT:
            return left**right
    raise ValueError("no dimension is written like this")

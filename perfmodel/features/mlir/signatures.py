"""Functions: ``func.func public @main(%a: tensor<4xf32> {...}) -> (tensor<4xf32> {...}) attributes {...} { ... }``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.features.mlir.lexer import SYMBOL, TYPE, VALUE, WORD
from perfmodel.features.mlir.parse_attributes import symbol
from perfmodel.features.mlir.parse_types import at_type, parse_type
from perfmodel.features.mlir.pending import Argument, Pending
from perfmodel.features.mlir.types import FunctionType, Type

if TYPE_CHECKING:
    from perfmodel.features.mlir.custom import CustomForms

_VISIBILITIES = frozenset(("public", "private", "nested"))


def is_function(name: str) -> bool:
    """Whether an operation is written like a function."""
    if name.startswith("vhlo.func_v"):
        return True
    return name.endswith((".func", ".subgraph", ".pyfunc")) and name not in ("pdl_interp.func", "irdl.func")


def read_signature(forms: CustomForms, pending: Pending) -> None:
    """Everything up to the body or the end; the cursor stands behind the results."""
    lexer, operation = forms.lexer, pending.operation
    while lexer.kind == WORD:  # visibility, linkage, calling convention
        if lexer.token in _VISIBILITIES:
            operation.attributes["sym_visibility"] = lexer.token
        else:
            pending.literals.append(lexer.token)
        lexer.advance()
        if lexer.token == "(":
            lexer.jump(lexer.closing(lexer.start))
    if lexer.kind != SYMBOL:
        lexer.fail("the name of a function (@name)")
    operation.attributes["sym_name"] = symbol(lexer.token).leaf
    lexer.advance()
    if lexer.token != "(":
        lexer.fail("'(' before the arguments of a function")
    inputs = _arguments(forms, pending)
    results: list[Type] = []
    if lexer.token == "->":
        lexer.advance()
        results = _results(forms, pending)
    operation.attributes["function_type"] = FunctionType(tuple(inputs), tuple(results))
    pending.typed = True


def _arguments(forms: CustomForms, pending: Pending) -> list[Type]:
    lexer, table = forms.lexer, forms.attributes.types
    types: list[Type] = []
    extras = []
    lexer.advance()
    while lexer.token != ")":
        name, position = None, lexer.start
        if lexer.kind == VALUE:
            name = lexer.token[1:]
            lexer.advance()
            lexer.expect(":", "after the name of an argument")
        if lexer.token == ".":  # varargs
            while lexer.token == ".":
                lexer.advance()
            pending.literals.append("...")
            continue
        kind = parse_type(lexer, table)
        types.append(kind)
        if name is not None:
            pending.arguments.append(Argument(name, position, kind))
        extras.append(forms.attributes.dictionary(lexer) if lexer.token == "{" else {})
        forms.skip_location()
        if lexer.token != ")":
            lexer.expect(",", "or ')' after an argument")
    lexer.advance()
    if any(extras):
        pending.operation.attributes["arg_attrs"] = tuple(extras)
    return types


def _results(forms: CustomForms, pending: Pending) -> list[Type]:
    lexer, table = forms.lexer, forms.attributes.types
    if lexer.token != "(":
        return [parse_type(lexer, table)]
    types: list[Type] = []
    extras = []
    lexer.advance()
    while lexer.token != ")":
        if lexer.kind == VALUE:  # util.func: (%arg0 as tensor<4xf32>)
            lexer.advance()
            if lexer.token == "as":
                lexer.advance()
        if not at_type(lexer) and lexer.kind != TYPE:
            lexer.fail("the type of a result")
        types.append(parse_type(lexer, table))
        extras.append(forms.attributes.dictionary(lexer) if lexer.token == "{" else {})
        if lexer.token != ")":
            lexer.expect(",", "or ')' after a result")
    lexer.advance()
    if any(extras):
        pending.operation.attributes["res_attrs"] = tuple(extras)
    return types

"""Portable artefacts: the versioned dialect ``vhlo`` back to StableHLO, which it spells out.

Every operation, type and attribute of StableHLO has a versioned twin (``vhlo.add_v1``, ``!vhlo.tensor_v1<4x!vhlo.f32_v1>``,
``#vhlo.integer_v1<4 : i64>``), so that files stay readable; records of dimension numbers are single attributes there.
The specification: https://openxla.org/stablehlo/vhlo.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from perfmodel.features.mlir.attributes import Dense, DialectAttribute, SymbolRef
from perfmodel.features.mlir.ir import Module, Operation
from perfmodel.features.mlir.normalise import normalise
from perfmodel.features.mlir.parse_attributes import AttributeParser
from perfmodel.features.mlir.parse_types import TypeTextError, split
from perfmodel.features.mlir.types import DialectType, FunctionType, ScalarType, TensorType, Type

_VERSION = re.compile(r"_v[0-9]+\Z")
_TWIN = re.compile(r"!vhlo\.([A-Za-z0-9]+(?:_[A-Za-z0-9]+)*?)_v[0-9]+")
_ENTRY = re.compile(r'#vhlo\.string_v[0-9]+<("[^"\\]*(?:\\.[^"\\]*)*")>\s*=\s*(.*)\Z', re.DOTALL)
_WRAPPED = frozenset(("tensor", "integer", "float", "bool", "array"))
_TYPE_NAMES = {"bool": "i1", "unranked_tensor": "tensor", "token": "!stablehlo.token", "witness": "!shape.witness"}
_OTHER_DIALECTS = {"func": "func.func", "call": "func.call"}
_SYMBOLS = frozenset(("callee", "decomposition"))
_MAX_DEPTH = 50


def is_portable(module: Module) -> bool:
    """Whether a module is written in ``vhlo``."""
    return any(o.name.startswith("vhlo.") for o in module.operations)


def to_stablehlo(module: Module) -> None:
    """Turn a module of ``vhlo`` into one of StableHLO, in place."""
    twins = _Twins(module.filename)
    for operation in module.walk():
        for region in operation.regions:
            for block in region.blocks:
                for value in block.arguments:
                    value.type = twins.type(value.type)
        for value in operation.results:
            value.type = twins.type(value.type)
        if not operation.name.startswith("vhlo."):
            continue
        short = _VERSION.sub("", operation.name[5:])
        above = operation.parent_op
        if short == "return" and above is not None and above.name == "func.func":
            operation.name = "func.return"
        else:
            operation.name = _OTHER_DIALECTS.get(short, f"stablehlo.{short}")
        converted = {name: twins.attribute(name, value) for name, value in operation.attributes.items()}
        operation.attributes = {name: value for name, value in converted.items() if value is not None}
        special = _RECORDS.get(short)
        if special is not None:
            special(operation)
        normalise(operation)


class _Twins:
    """Converts types and attributes; each distinct one once."""

    def __init__(self, filename: str) -> None:
        self._text = AttributeParser(filename)
        self._types: dict[Type, Type] = {}

    def type(self, kind: Type | None) -> Type | None:
        """The builtin type that a versioned one stands for."""
        if isinstance(kind, FunctionType):
            inputs, results = (tuple(self._known(k) for k in side) for side in (kind.inputs, kind.results))
            return FunctionType(inputs, results)
        if not isinstance(kind, DialectType) or kind.dialect != "vhlo":
            return kind
        found = self._types.get(kind)
        if found is None:
            found = self._types[kind] = self._type(str(kind))
        return found

    def _known(self, kind: Type) -> Type:
        return self.type(kind) or kind

    def _type(self, text: str) -> Type:
        if text.startswith("!vhlo.func_v"):
            inputs, _, results = text.partition("<")[2][:-1].partition("->")
            inside = split(inputs.strip()[1:-1]), split(results)
            left, right = (tuple(self._type(part) for part in parts if part != "()") for parts in inside)
            return FunctionType(left, right)
        written = _TWIN.sub(lambda m: _TYPE_NAMES.get(m[1], m[1]), text)
        if text.startswith("!vhlo.unranked_tensor_v"):
            written = written.replace("<", "<*x", 1)
        try:
            return self._text.types.named(written)
        except TypeTextError:
            name, _, body = text[1:].partition("<")
            return DialectType(name, body[:-1])

    def attribute(self, name: str, value: Any, depth: int = 0) -> Any:
        """The attribute that a versioned one stands for; None for the type that says there is none."""
        if isinstance(value, FunctionType):
            return self.type(value)
        if isinstance(value, tuple):
            return tuple(self.attribute("", item, depth) for item in value)
        if not isinstance(value, DialectAttribute) or value.dialect != "vhlo" or depth > _MAX_DEPTH:
            return value
        short = _VERSION.sub("", value.name[5:])
        if short == "string":
            text = self._text.from_text(value.body, tolerant=True)
            return SymbolRef((text,)) if name in _SYMBOLS else text
        if short == "type":
            kind = self._type(value.body)
            return None if kind == ScalarType("none") else kind
        if short == "dict":
            entries = (_ENTRY.match(part) for part in split(value.body.strip()[1:-1]))
            return {
                self._text.from_text(m[1], tolerant=True): self.attribute(
                    "", self._text.from_text(m[2], tolerant=True), depth + 1
                )
                for m in entries
                if m is not None
            }
        if short in _WRAPPED:
            body = _TWIN.sub(lambda m: _TYPE_NAMES.get(m[1], m[1]), value.body)
            inner = self._text.from_text(body, tolerant=True)
            if isinstance(inner, Dense):
                return inner if name == "value" else _listed(inner)
            return self.attribute(name, inner, depth + 1)
        return DialectAttribute(f"stablehlo.{short}", value.body)


def _listed(value: Dense) -> Any:
    """One-dimensional constants are arrays in StableHLO."""
    kind, numbers = value.type, value.values
    if not isinstance(kind, TensorType) or kind.shape is None or len(kind.shape) != 1 or numbers is None:
        return value
    count = kind.shape[0] or 0
    if isinstance(numbers, tuple):
        return numbers
    return (numbers,) * count if count <= 1000 else value


def _dot_general(operation: Operation) -> None:
    _record(operation, "dot_dimension_numbers", "stablehlo.dot", _DOT)


def _gather(operation: Operation) -> None:
    _record(operation, "dimension_numbers", "stablehlo.gather", _GATHER)


def _scatter(operation: Operation) -> None:
    _record(operation, "scatter_dimension_numbers", "stablehlo.scatter", _SCATTER)


def _record(operation: Operation, name: str, kind: str, keys: tuple[str, ...]) -> None:
    given = {key: operation.attributes.pop(key) for key in keys if key in operation.attributes}
    filled = {key: value for key, value in given.items() if value != ()}
    body = ", ".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in filled.items())
    operation.attributes[name] = DialectAttribute(kind, body, filled)


def _convolution(operation: Operation) -> None:
    attributes = operation.attributes
    sides = []
    for side, marks in (
        ("input", {"batch": "b", "feature": "f"}),
        ("kernel", {"input_feature": "i", "output_feature": "o"}),
        ("output", {"batch": "b", "feature": "f"}),
    ):
        places = {attributes.pop(f"{side}_{key}_dimension", None): mark for key, mark in marks.items()}
        for number, place in enumerate(attributes.pop(f"{side}_spatial_dimensions", ())):
            places[place] = str(number)
        sides.append("[" + ", ".join(places[p] for p in sorted(p for p in places if isinstance(p, int))) + "]")
    body = f"{sides[0]}x{sides[1]}->{sides[2]}"
    attributes["dimension_numbers"] = DialectAttribute("stablehlo.conv", body)


def _function(operation: Operation) -> None:
    for name in ("arg_attrs", "res_attrs"):
        if not any(operation.attributes.get(name) or ()):
            operation.attributes.pop(name, None)


_DOT = (
    "lhs_batching_dimensions",
    "rhs_batching_dimensions",
    "lhs_contracting_dimensions",
    "rhs_contracting_dimensions",
)
_GATHER = (
    "offset_dims",
    "collapsed_slice_dims",
    "operand_batching_dims",
    "start_indices_batching_dims",
    "start_index_map",
    "index_vector_dim",
)
_SCATTER = (
    "update_window_dims",
    "inserted_window_dims",
    "input_batching_dims",
    "scatter_indices_batching_dims",
    "scatter_dims_to_operand_dims",
    "index_vector_dim",
)
_RECORDS: dict[str, Callable[[Operation], None]] = {
    "dot_general": _dot_general,
    "gather": _gather,
    "dynamic_gather": _gather,
    "scatter": _scatter,
    "convolution": _convolution,
    "dynamic_conv": _convolution,
    "func": _function,
}

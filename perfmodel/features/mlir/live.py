"""Modules that exist as Python objects: the bindings of jaxlib, torch-mlir and IREE, walked without printing them.

The bindings differ in their package and in what they register, not in their interface, so nothing here imports any.
Types and attributes are unique in a context: each is converted once, and known again by its address afterwards.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

from perfmodel.errors import InputError
from perfmodel.features.mlir.attributes import Dense, SymbolRef
from perfmodel.features.mlir.dialects import implies_body
from perfmodel.features.mlir.ir import Block, Module, Operation, Region, Value
from perfmodel.features.mlir.normalise import normalise
from perfmodel.features.mlir.parse_attributes import AttributeParser
from perfmodel.features.mlir.types import Type
from perfmodel.graph import without_collection

MAX_ELEMENTS = 64
"""Constants with more elements are not read, except where all elements are the same."""

_MAX_DEPTH = 50


class LiveReader:
    """Converts operations of one context.

    Keep one for many modules of the same context: what it knows of types and attributes makes the next one quicker.
    """

    def __init__(self) -> None:
        self._text = AttributeParser("<live>")
        self._types: dict[Any, Type] = {}
        self._attributes: dict[Any, Any] = {}

    def module(self, live: Any) -> Module:
        """The module of an operation or module of the bindings."""
        top = getattr(live, "operation", live)
        with without_collection(), _Dialects(type(top).__module__) as dialects:
            converted = self._operations(top, dialects)
        if converted.name != "builtin.module":
            outer = Operation("builtin.module")
            region = Region(parent=outer)
            block = Block(operations=[converted], parent=region)
            region.blocks.append(block)
            outer.regions.append(region)
            converted.parent = block
            converted = outer
        return Module(converted, "<live>", source="live")

    def _operations(self, top: Any, dialects: _Dialects) -> Operation:
        known, type_of = self._types, self.type
        values: dict[Any, Value] = {}
        blocks: dict[Any, Block] = {}
        found: list[tuple[Operation, Any]] = []
        jumps: list[tuple[Operation, Any]] = []
        leaves: dict[str, bool] = {}
        first = Operation("")
        stack: list[tuple[Any, Operation, Block | None]] = [(top, first, None)]
        while stack:
            live, operation, parent = stack.pop()
            operation.name = name = live.name
            operation.parent = parent
            leaf = leaves.get(name)
            if leaf is None:
                leaf = leaves[name] = implies_body(name)
                dialects.meet(name.partition(".")[0])
            for index, result in enumerate(live.results):
                kind = result.type
                values[result] = value = Value(known.get(kind) or type_of(kind), "", operation, index)
                operation.results.append(value)
            found.append((operation, live))
            self._read_attributes(operation, live.attributes)
            normalise(operation)
            if leaf or not len(live.regions):
                if len(live.successors):
                    jumps.append((operation, live))
                continue
            for inner in live.regions:
                region = Region(parent=operation)
                operation.regions.append(region)
                for old in inner.blocks:
                    block = Block(parent=region)
                    region.blocks.append(block)
                    blocks[old] = block
                    for index, argument in enumerate(old.arguments):
                        kind = argument.type
                        value = Value(known.get(kind) or type_of(kind), "", block, index)
                        values[argument] = value
                        block.arguments.append(value)
                    for view in old.operations:
                        new = Operation("")
                        block.operations.append(new)
                        stack.append((view.operation, new, block))
        for operation, live in found:
            operands = operation.operands
            for used in live.operands:
                known_value = values.get(used)
                if known_value is None:  # defined outside of the operation that was given
                    known_value = values[used] = Value(self.type(used.type))
                operands.append(known_value)
        for operation, live in jumps:
            operation.successors = [blocks[b] for b in live.successors if b in blocks]
        return first

    def _read_attributes(self, operation: Operation, attributes: Any) -> None:
        known = self._attributes
        target = operation.attributes
        for name, attribute in _pairs(attributes):
            value = known.get(attribute)
            if value is None:
                value = known[attribute] = self.attribute(attribute)
            target[name] = value

    def type(self, live: Any) -> Type:
        """A type of the bindings."""
        found = self._types.get(live)
        if found is None:
            found = self._types[live] = self._text.types.named(str(live))
        return found

    def attribute(self, live: Any, depth: int = 0) -> Any:
        """An attribute of the bindings as a Python value."""
        kind = type(live).__name__
        if kind in ("IntegerAttr", "FloatAttr", "StringAttr", "BoolAttr"):
            return live.value
        if kind == "TypeAttr":
            return self.type(live.value)
        if kind == "UnitAttr":
            return True
        if kind == "FlatSymbolRefAttr":
            return SymbolRef((live.value,))
        if kind == "SymbolRefAttr":
            return SymbolRef(tuple(live.value))
        if kind.startswith("Dense") and kind.endswith("ArrayAttr"):
            return tuple(live)
        if kind == "ArrayAttr" and depth < _MAX_DEPTH:
            return tuple(self.attribute(item, depth + 1) for item in live)
        if kind == "DictAttr" and depth < _MAX_DEPTH:
            return {name: self.attribute(value, depth + 1) for name, value in _pairs(live)}
        if kind.startswith("Dense") and "Elements" in kind and "Resource" not in kind:
            return self._dense(live)
        return self._text.from_text(str(live), tolerant=True)

    def _dense(self, live: Any) -> Dense:
        declared = self.type(live.type)
        if live.is_splat:
            value = self.attribute(live.get_splat_value())
            return Dense(declared, value if isinstance(value, (int, float)) else None)
        if len(live) > MAX_ELEMENTS:
            return Dense(declared, None)
        parsed = self._text.from_text(str(live), tolerant=True)
        return parsed if isinstance(parsed, Dense) else Dense(declared, None)


def _pairs(attributes: Any) -> Any:
    """Names and attributes of a dictionary of the bindings, whose iteration differs between releases."""
    if hasattr(attributes, "items"):
        return attributes.items()
    return [(a, attributes[a]) if isinstance(a, str) else (a.name, a.attr) for a in attributes]


class _Dialects:
    """Spares the bindings a search on disk for each operation.

    They look for a Python module of the operation's dialect whenever they hand one out, and remember only those that
    they find. IREE ships none for stablehlo, which makes every operation of it cost fifty microseconds. While this is
    entered, an empty module stands in for those that do not exist.
    """

    def __init__(self, module: str) -> None:
        self._package = module.partition("._mlir_libs")[0] + ".dialects" if "._mlir_libs" in module else ""
        self._empty: list[str] = []

    def __enter__(self) -> _Dialects:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._empty:
            sys.modules.pop(name, None)

    def meet(self, dialect: str) -> None:
        """The walk has come to a dialect."""
        name = f"{self._package}.{dialect}"
        if not self._package or name in sys.modules:
            return
        try:
            absent = importlib.util.find_spec(name) is None
        except (ImportError, ValueError):
            return
        if absent:
            sys.modules[name] = types.ModuleType(name)
            self._empty.append(name)


def is_live(source: Any) -> bool:
    """Whether an object is a module, an operation, or something that holds one, of MLIR's Python bindings."""
    return hasattr(source, "compiler_ir") or (
        hasattr(getattr(source, "operation", source), "regions") and hasattr(source, "context")
    )


def read_live(source: Any, reader: LiveReader | None = None) -> Module:
    """The module of a live object: ``ir.Module``, ``ir.Operation``, ``ir.OpView``, or what ``jax.jit(f).lower`` returns.

    Args:
        reader: keeps what it learns of a context for the next call; default: a new one.

    Raises:
        InputError: it is none of these.
    """
    if hasattr(source, "compiler_ir"):
        source = source.compiler_ir("stablehlo")
    if not is_live(source):
        raise InputError(
            f"a module of MLIR's Python bindings is needed (ir.Module, ir.Operation or jax.jit(f).lower(...)), "
            f"got {type(source).__module__}.{type(source).__qualname__}"
        )
    return (reader or LiveReader()).module(source)

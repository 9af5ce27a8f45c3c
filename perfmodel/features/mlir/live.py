"""Modules that exist as Python objects: the bindings of jaxlib, torch-mlir and IREE, walked without printing them.

The bindings differ in their package and in what they register, not in their interface, so nothing here imports any.
Types and attributes are unique in a context: each is converted once, and known again by its address afterwards.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from perfmodel.errors import InputError
from perfmodel.features.mlir.attributes import Dense, SymbolRef
from perfmodel.features.mlir.dialects import implies_body
from perfmodel.features.mlir.ir import Block, Module, Operation, Region, Value
from perfmodel.features.mlir.normalise import normaliser
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
        type_of, attributes_of = self._types, self._attributes
        values: dict[Any, Value] = {}
        blocks: dict[Any, Block] = {}
        early: list[tuple[Operation, Any]] = []
        jumps: list[tuple[Operation, Any]] = []
        kinds: dict[str, tuple[bool, Callable[[dict[str, Any]], None] | None]] = {}
        outermost: list[Operation] = []
        # Blocks that are being read, the innermost last: operands are known by then, but in graphs.
        stack: list[tuple[Iterator[Any], list[Operation], Block | None]] = [(iter((top,)), outermost, None)]
        while stack:
            views, read, parent = stack[-1]
            live = next(views, None)
            if live is None:
                stack.pop()
                continue
            live = live.operation
            name = live.name
            kind = kinds.get(name)
            if kind is None:
                kind = kinds[name] = implies_body(name), normaliser(name)
                dialects.meet(name.partition(".")[0])
            implied, normalise = kind
            operands: list[Value] = []
            results: list[Value] = []
            attributes: dict[str, Any] = {}
            operation = Operation(name, operands, results, attributes, parent=parent)
            read.append(operation)
            for used in live.operands:
                value = values.get(used)
                if value is None:
                    early.append((operation, live))
                    operands.clear()
                    break
                operands.append(value)
            for index, result in enumerate(live.results):
                found = result.type
                values[result] = value = Value(type_of.get(found) or self.type(found), "", operation, index)
                results.append(value)
            given = live.attributes
            if len(given):
                for label, attribute in _pairs(given):
                    known = attributes_of.get(attribute)
                    if known is None:
                        known = attributes_of[attribute] = self.attribute(attribute)
                    attributes[label] = known
                if normalise is not None:
                    normalise(attributes)
            regions = () if implied else live.regions
            if not len(regions):
                if len(live.successors):
                    jumps.append((operation, live))
                continue
            entered = []
            for inner in regions:
                region = Region(parent=operation)
                operation.regions.append(region)
                for old in inner.blocks:
                    block = Block(parent=region)
                    region.blocks.append(block)
                    blocks[old] = block
                    for index, argument in enumerate(old.arguments):
                        found = argument.type
                        value = Value(type_of.get(found) or self.type(found), "", block, index)
                        values[argument] = value
                        block.arguments.append(value)
                    entered.append((iter(old.operations), block.operations, block))
            stack += reversed(entered)
        for operation, live in early:
            for used in live.operands:
                value = values.get(used)
                if value is None:  # defined outside of the operation that was given
                    value = values[used] = Value(self.type(used.type))
                operation.operands.append(value)
        for operation, live in jumps:
            operation.successors = [blocks[b] for b in live.successors if b in blocks]
        return outermost[0]

    def type(self, live: Any) -> Type:
        """A type of the bindings."""
        found = self._types.get(live)
        if found is None:
            found = self._types[live] = _type_of(str(live))
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
        return _attribute_of(str(live))

    def _dense(self, live: Any) -> Dense:
        declared = self.type(live.type)
        if live.is_splat:
            value = self.attribute(live.get_splat_value())
            return Dense(declared, value if isinstance(value, (int, float)) else None)
        if len(live) > MAX_ELEMENTS:
            return Dense(declared, None)
        parsed = _attribute_of(str(live))
        return parsed if isinstance(parsed, Dense) else Dense(declared, None)


@lru_cache(maxsize=8192)
def _type_of(text: str) -> Type:
    """A type by its text, which is all that contexts have in common: a compiler makes many."""
    return AttributeParser("<live>").types.named(text)


@lru_cache(maxsize=8192)
def _attribute_of(text: str) -> Any:
    return AttributeParser("<live>").from_text(text, tolerant=True)


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

"""A module as every reader gives it: operations, values, blocks and regions.

The text reader, the bytecode reader and the walk over live Python objects build the same structures, with the names
that MLIR's generic form uses: for the dialects that the reader knows, ``attributes`` has the official names
(``broadcast_dimensions``, ``permutation``, ``indexing_maps``) even where the custom form writes something else. What a
custom form says beyond that is in ``literals``.

Operations and values compare by identity and can be keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from perfmodel.features.mlir.types import FunctionType, Type


@dataclass(slots=True, eq=False, repr=False)
class Value:
    """A result of an operation or an argument of a block.

    Attributes:
        type: None where a custom form does not say it and no rule infers it.
        name: as in the text, without ``%`` (``"0#1"`` for the second result of ``%0:2``); empty where there is no text.
        owner: the operation, or the block whose argument it is.
        index: number of the result or argument.
    """

    type: Type | None
    name: str = ""
    owner: Operation | Block | None = None
    index: int = 0

    @property
    def operation(self) -> Operation | None:
        """The defining operation; None for block arguments."""
        return self.owner if isinstance(self.owner, Operation) else None

    @property
    def is_argument(self) -> bool:
        """Whether it is an argument of a block."""
        return isinstance(self.owner, Block)

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


@dataclass(slots=True, eq=False, repr=False)
class Operation:
    """One operation.

    Attributes:
        name: with the dialect: ``"stablehlo.dot_general"``, ``"func.func"``, ``"builtin.module"``.
        operands, results: values in order.
        attributes: inherent (properties) and discardable ones together; see
            :mod:`perfmodel.features.mlir.attributes`.
        regions: nested code.
        successors: blocks that a terminator jumps to.
        literals: keywords, numbers and arrays of a custom form that no attribute name is known for, in order.
        operand_groups: how many operands stand in each list of a custom form (``ins``, ``outs``, indices), by its
            keyword; empty where the form has none.
        location: text of the location (``"loc(#loc3)"``); :meth:`Module.location` resolves aliases.
        line, column: place in the text, both from 1; 0 where there is no text.
        parent: the block that it stands in; None for the outermost.
    """

    name: str
    operands: list[Value] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    successors: list[Block] = field(default_factory=list)
    literals: tuple[Any, ...] = ()
    operand_groups: dict[str, int] = field(default_factory=dict)
    location: str | None = None
    line: int = 0
    parent: Block | None = None
    column: int = 0

    @property
    def dialect(self) -> str:
        """What stands before the first point of the name."""
        return self.name.partition(".")[0]

    @property
    def parent_op(self) -> Operation | None:
        """The operation that this one is nested in."""
        block = self.parent
        return block.parent.parent if block is not None and block.parent is not None else None

    @property
    def symbol(self) -> str | None:
        """The name that symbol references use (``sym_name``)."""
        name = self.attributes.get("sym_name")
        return name if isinstance(name, str) else None

    @property
    def function_type(self) -> FunctionType | None:
        """Type of a function-like operation."""
        kind = self.attributes.get("function_type")
        return kind if isinstance(kind, FunctionType) else None

    @property
    def body(self) -> Block | None:
        """The first block of the first region; None without one."""
        return self.regions[0].blocks[0] if self.regions and self.regions[0].blocks else None

    def walk(self) -> Iterator[Operation]:
        """This operation and all nested ones, each before what it contains, in the order of the text."""
        stack = [self]
        while stack:
            operation = stack.pop()
            yield operation
            if operation.regions:
                inner = [o for region in operation.regions for block in region.blocks for o in block.operations]
                inner.reverse()
                stack += inner

    def __repr__(self) -> str:
        results = ", ".join("%" + v.name for v in self.results)
        operands = ", ".join("%" + v.name for v in self.operands)
        return f"{results}{' = ' if results else ''}{self.name}({operands}) at line {self.line}"


@dataclass(slots=True, eq=False, repr=False)
class Block:
    """A list of operations; ``label`` is the name in the text without ``^``, empty for an unlabelled entry block."""

    arguments: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    label: str = ""
    parent: Region | None = None

    @property
    def terminator(self) -> Operation | None:
        """The last operation."""
        return self.operations[-1] if self.operations else None


@dataclass(slots=True, eq=False, repr=False)
class Region:
    """A list of blocks; the first is entered."""

    blocks: list[Block] = field(default_factory=list)
    parent: Operation | None = None

    @property
    def entry(self) -> Block | None:
        """The first block."""
        return self.blocks[0] if self.blocks else None


@dataclass(slots=True, eq=False, repr=False)
class Module:
    """What a reader returns.

    Attributes:
        operation: the outermost ``builtin.module``; one is put around the operations of a text that has none.
        filename: how errors call it.
        resources: bytes of each blob of the text's resource section, by name; None where the blob is elided.
        aliases: attribute, type and location aliases by name with ``#`` or ``!``, as text.
        source: ``"text"``, ``"bytecode"`` or ``"live"``.
    """

    operation: Operation
    filename: str = "<text>"
    resources: dict[str, int | None] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    source: str = "text"
    _symbols: dict[Operation, dict[str, Operation]] = field(default_factory=dict)
    _uses: dict[Value, list[tuple[Operation, int]]] | None = None

    @property
    def operations(self) -> list[Operation]:
        """The operations at the top level."""
        body = self.operation.body
        return body.operations if body is not None else []

    def walk(self) -> Iterator[Operation]:
        """All operations, each before what it contains, the outermost module included."""
        return self.operation.walk()

    def functions(self) -> list[Operation]:
        """All operations with a symbol and a function type (``func.func``, ``gpu.func``, ...), at any depth."""
        named = [o for o in self.walk() if "sym_name" in o.attributes]
        return [o for o in named if o.symbol is not None and o.function_type is not None]

    def lookup(self, path: Any, scope: Operation | None = None) -> Operation | None:
        """The operation that a symbol names.

        Args:
            path: a ``SymbolRef``, a name, or a tuple of names.
            scope: where the reference stands; the search goes outwards from there. Default: the outermost module.
        """
        names = (path,) if isinstance(path, str) else tuple(getattr(path, "path", path))
        start: Operation | None = scope or self.operation
        while start is not None:
            found: Operation | None = start
            for name in names:
                found = self._table(found).get(name) if found is not None else None
            if found is not None:
                return found
            start = start.parent_op
        return None

    def uses(self) -> dict[Value, list[tuple[Operation, int]]]:
        """For each value that is used: (operation, number of the operand), in the order of the text. Computed once."""
        if self._uses is None:
            uses: dict[Value, list[tuple[Operation, int]]] = {}
            for operation in self.walk():
                for index, value in enumerate(operation.operands):
                    found = uses.get(value)
                    if found is None:
                        uses[value] = [(operation, index)]
                    else:
                        found.append((operation, index))
            self._uses = uses
        return self._uses

    def location(self, operation: Operation) -> str:
        """Where an operation comes from: ``model.mlir:12``, with the text of its own location where it has one."""
        place = f"{self.filename}:{operation.line}" if operation.line else self.filename
        text = operation.location or ""
        if text.startswith("loc(#") and text.endswith(")"):
            text = self.aliases.get(text[4:-1], text)
        return f"{place} {text}" if text and text != "loc(unknown)" else place

    def _table(self, operation: Operation) -> dict[str, Operation]:
        table = self._symbols.get(operation)
        if table is None:
            table = {}
            for region in operation.regions:
                for block in region.blocks:
                    for inner in block.operations:
                        if (name := inner.symbol) is not None:
                            table.setdefault(name, inner)
            self._symbols[operation] = table
        return table

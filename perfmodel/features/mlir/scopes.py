"""Names of values: which one a use means, and what is used before it is defined."""

from __future__ import annotations

from perfmodel.features.mlir.ir import Block, Operation, Region, Value
from perfmodel.features.mlir.lexer import Lexer
from perfmodel.features.mlir.types import Type


class Scopes:
    """The names that can be seen at one place of the text.

    One table for all nested regions, with a log of what each region changed, so that neither depth nor the number of
    names costs more than one look-up a use. A region that is isolated from above (a function's) starts with an empty
    table.
    """

    __slots__ = ("_log", "_outer", "first_use", "lexer", "values")

    def __init__(self, lexer: Lexer) -> None:
        self.lexer: Lexer = lexer
        self.values: dict[str, Value] = {}
        self.first_use: dict[Value, int] = {}
        self._log: list[tuple[str, Value | None]] = []
        self._outer: list[tuple[int, dict[str, Value] | None, dict[Value, int], list[tuple[str, Value | None]]]] = []

    def enter(self, *, isolated: bool) -> None:
        """Begin a region."""
        if isolated:
            self._outer.append((0, self.values, self.first_use, self._log))
            self.values, self.first_use, self._log = {}, {}, []
        else:
            self._outer.append((len(self._log), None, self.first_use, self._log))

    def leave(self) -> None:
        """End a region: its names are forgotten; uses that it leaves open may be defined outside, further down."""
        length, values, first_use, log = self._outer.pop()
        if values is not None:
            self.close()
            self.values, self.first_use, self._log = values, first_use, log
            return
        still_open = []
        mine = self.values
        while len(log) > length:
            name, before = log.pop()
            value = mine.get(name)
            if before is not None:
                mine[name] = before
            elif value is None:
                continue
            elif value.owner is None and value in first_use:
                still_open.append((name, None))
            else:
                del mine[name]
        log += still_open

    def close(self) -> None:
        """Refuse uses of values that nothing defines."""
        if self.first_use:
            value, position = min(self.first_use.items(), key=lambda item: item[1])
            self.lexer.refuse(f"expected a definition of %{value.name}, found only uses", position)

    def use(self, name: str, position: int) -> Value:
        """The value that a name means; a new one without an owner where the definition has not come yet."""
        value = self.values.get(name)
        if value is None:
            base, mark, number = name.partition("#")
            if mark and (first := self.values.get(base)) is not None and first.owner is not None:
                if number == "0":
                    return first
                self.lexer.refuse(f"expected a result that %{base} has, found %{name}", position)
            value = self.values[name] = Value(None, name)
            self.first_use[value] = position
            self._log.append((name, None))
        return value

    def define(self, name: str, kind: Type | None, owner: Operation | Block, index: int, position: int) -> Value:
        """The value that a name means from here on."""
        before = self.values.get(name)
        if before is not None:
            if before.owner is None:
                self.first_use.pop(before, None)
                before.type, before.owner, before.index = kind, owner, index
                return before
            if _region(before.owner) is _region(owner):
                self.lexer.refuse(f"expected a new name, found a second definition of %{name}", position)
        value = Value(kind, name, owner, index)
        self.values[name] = value
        self._log.append((name, before))
        return value

    def alias(self, name: str, value: Value) -> None:
        """A second name of a value (``%0`` for the first result of ``%0:2``)."""
        self._log.append((name, self.values.get(name)))
        self.values[name] = value

    def forget(self, value: Value) -> None:
        """Take back a use: the name turns out to be defined by the operation itself."""
        self.first_use.pop(value, None)
        if self.values.get(value.name) is value:
            del self.values[value.name]


def _region(owner: Operation | Block) -> Region | None:
    block = owner.parent if isinstance(owner, Operation) else owner
    return block.parent if block is not None else None

"""An operation while it is read: what its text has said so far."""

from __future__ import annotations

from typing import Any

from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.types import Type

START, REGIONS, TAIL, CUSTOM = range(4)
"""Phases: before the operands of the generic form, between its regions, behind them; a custom form."""


class Argument:
    """An argument that a custom form names ahead of the region (``%i`` of ``scf.for %i = ...``).

    Attributes:
        name, position: without ``%``, and where it stands.
        type: None where the form does not say it.
        initial: number of the operand that it begins as; None without one.
    """

    __slots__ = ("initial", "name", "position", "type")

    def __init__(self, name: str, position: int, kind: Type | None = None, initial: int | None = None) -> None:
        self.name: str = name
        self.position: int = position
        self.type: Type | None = kind
        self.initial: int | None = initial


class Pending:
    """See the module's text.

    Attributes:
        operation: what is built.
        names: (name, number of results, position) before the equals sign.
        phase: see above.
        arguments: named ahead of the next region.
        fresh: operands that nothing had defined, which may turn out to be arguments of the region.
        types, results: types after the colon, and those behind ``->``, ``to`` or ``into``.
        typed: whether the types have been read, so that another name begins the next operation.
        arrow: the word between the two lists of types.
        literals: see :class:`~perfmodel.features.mlir.ir.Operation`.
        symbols: symbols of the custom form, in order.
    """

    __slots__ = (
        "arguments",
        "arrow",
        "fresh",
        "literals",
        "names",
        "operation",
        "phase",
        "position",
        "results",
        "symbols",
        "typed",
        "types",
    )

    def __init__(self, operation: Operation, names: list[tuple[str, int, int]], phase: int, position: int) -> None:
        self.operation: Operation = operation
        self.names: list[tuple[str, int, int]] = names
        self.phase: int = phase
        self.position: int = position
        self.arguments: list[Argument] = []
        self.fresh: list[Value] = []
        self.types: list[Type] = []
        self.results: list[Type] = []
        self.typed: bool = False
        self.arrow: str = ""
        self.literals: list[Any] = []
        self.symbols: list[Any] = []

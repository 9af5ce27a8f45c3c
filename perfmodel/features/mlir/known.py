"""What is known of a value while a module is converted."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from perfmodel.graph import Tensor

CAUSAL = "causal"
"""Mark of a mask by which each query sees the keys up to its own position."""


class Origin(IntEnum):
    """Where a value that needs no execution on the device comes from; a folded result has the largest of its operands."""

    CONSTANT = 1
    HOST = 2  # shape arithmetic, loop counters, scalars

    @property
    def reason(self) -> str:
        """How :class:`perfmodel.graph.Removed` names it."""
        return "constant" if self is Origin.CONSTANT else "scalar arithmetic"


class Known:
    """One value.

    Attributes:
        tensor: the tensor that holds it; None for what is no tensor (lists, strings, tokens) and for scalars.
        spread: a smaller tensor that it is a broadcast of: of the same rank with ones, or of one element. What reads
            values one by one, or shares an operand between products, reads that one.
        make: emits the broadcast, for readers that need it in full; None once that is done, or where there is nothing to
            emit.
        origin: None where the device computes it while the model runs.
        scalar: the one number that all elements are.
        numbers: the elements, where they are few and known; of a shape, dimensions that may be symbolic.
        items: what a list holds.
        text: a string.
        source: the weight of the module that a folded constant goes back to.
        mark: what :mod:`perfmodel.features.mlir.positions` knows of a constant.
        empty: whether it is storage without contents yet (``tensor.empty``, ``memref.alloc``).
        signature: a number for all of this but the names (:mod:`perfmodel.features.mlir.recipes`); 0 until it is asked for.
    """

    __slots__ = (
        "empty", "items", "make", "mark", "numbers", "origin", "scalar", "signature", "source", "spread", "tensor", "text",
    )  # fmt: skip

    def __init__(
        self,
        tensor: Tensor | None = None,
        *,
        origin: Origin | None = None,
        scalar: Any = None,
        numbers: list[Any] | None = None,
        spread: Tensor | None = None,
        make: Callable[[], None] | None = None,
        items: list[Known] | None = None,
        text: str | None = None,
        source: str | None = None,
        empty: bool = False,
        mark: Any = None,
    ) -> None:
        self.tensor: Tensor | None = tensor
        self.origin: Origin | None = origin
        self.scalar: Any = scalar
        self.numbers: list[Any] | None = numbers
        self.spread: Tensor | None = spread
        self.make: Callable[[], None] | None = make
        self.items: list[Known] | None = items
        self.text: str | None = text
        self.source: str | None = source
        self.empty: bool = empty
        self.mark: Any = mark
        self.signature: int = 0

    @property
    def number(self) -> Any:
        """The value of a scalar, or of a tensor whose elements are all the same; None where unknown."""
        if self.scalar is not None:
            return self.scalar
        return self.numbers[0] if self.numbers is not None and len(self.numbers) == 1 else None

    @property
    def integers(self) -> list[Any] | None:
        """A list of whole numbers: the elements of a small tensor, or those of a list of scalars."""
        if self.items is not None:
            found = [item.number for item in self.items]
            return None if any(n is None for n in found) else found
        if self.numbers is not None:
            return self.numbers
        return None if self.scalar is None else [self.scalar]

    @property
    def is_none(self) -> bool:
        """Whether it is torch's ``None``."""
        return self.text == "none" and self.tensor is None


NONE = Known(text="none", origin=Origin.CONSTANT)

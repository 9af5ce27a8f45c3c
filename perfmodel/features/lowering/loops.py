"""Operations of linalg as loop nests: extents, which loops reduce, what each operand reads, what the body computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

Axes = tuple[tuple[int, ...], ...]
"""For each axis of an operand the loops that index it: ``((0,), (2,))`` is ``(d0, d2)``, ``((1, 4),)`` is ``(d1 + d4)``."""


@dataclass(frozen=True)
class Access:
    """One operand of a nest.

    Attributes:
        axes: which loops index each axis.
        shape: of the whole tensor.
        bits: of one element, as the compiler stores it.
        is_float: whether its elements are floating-point numbers.
        is_part: whether it is a part of a larger tensor, so that its rows do not follow each other in memory.
        value: what identifies the tensor in the module; None where that does not matter.
        is_brain: whether its elements are bf16, which shares its 16 bits with f16.
    """

    axes: Axes
    shape: tuple[int, ...]
    bits: int
    is_float: bool = True
    is_part: bool = False
    value: Any = field(default=None, compare=False)
    is_brain: bool = False

    @property
    def loops(self) -> frozenset[int]:
        """The loops that it depends on."""
        return frozenset(loop for axis in self.axes for loop in axis)

    @property
    def innermost(self) -> int | None:
        """The loop along which neighbours in memory are read; None for scalars and windows."""
        return self.axes[-1][0] if self.axes and len(self.axes[-1]) == 1 else None

    def step(self, loop: int, extents: Sequence[int]) -> int:
        """Elements between what neighbouring iterations of a loop read along the axis that it indexes: the stride of a window,
        as the size of the axis tells; 1 where the loop indexes none."""
        for axis, size in zip(self.axes, self.shape, strict=True):
            if axis and axis[0] == loop and extents[loop] > 1:
                others = sum(extents[i] - 1 for i in axis[1:])
                return max((size - 1 - others) // (extents[loop] - 1), 1)
        return 1

    @property
    def bytes(self) -> int:
        """Of the whole tensor, elements of fewer than 8 bits rounded up."""
        return prod(self.shape) * max(self.bits, 8) // 8

    def renumbered(self, number: dict[int, int]) -> Access:
        """With other numbers of the loops."""
        return replace(self, axes=tuple(tuple(number[loop] for loop in axis) for axis in self.axes))


@dataclass(frozen=True)
class LoopNest:
    """One operation of linalg (or several that the compiler makes one of).

    Attributes:
        name: ``linalg.matmul``; of several operations that of the last.
        kind: ``contraction``, ``convolution``, ``pooling``, ``reduction``, ``elementwise``, ``softmax``, ``fill``,
            ``copy`` or ``pack``: how a compiler chooses its strategy.
        extents: iterations of each loop, the outermost first.
        reduces: of each loop, whether it is a reduction.
        inputs, outputs: operands; an output's accumulator is no input.
        body: scalar operations of one iteration, by ``<kind>`` (``add``, ``exp``, ...) for floating-point numbers of 32 bits,
            ``f16.<kind>``, ``bf16.<kind>``, and ``i.<kind>`` for integers.
        operations: how many operations of the module it stands for.
    """

    name: str
    kind: str
    extents: tuple[int, ...]
    reduces: tuple[bool, ...]
    inputs: tuple[Access, ...]
    outputs: tuple[Access, ...]
    body: Counter[str] = field(default_factory=Counter)
    operations: int = 1

    @property
    def operands(self) -> tuple[Access, ...]:
        """Inputs, then outputs."""
        return (*self.inputs, *self.outputs)

    @property
    def iterations(self) -> int:
        """How often the body runs."""
        return prod(self.extents)

    @property
    def parallel(self) -> tuple[int, ...]:
        """Numbers of the loops that do not reduce."""
        return tuple(i for i, r in enumerate(self.reduces) if not r)

    @property
    def reduction(self) -> tuple[int, ...]:
        """Numbers of the loops that reduce."""
        return tuple(i for i, r in enumerate(self.reduces) if r)

    @property
    def is_transpose(self) -> bool:
        """Whether it moves one tensor into another order of its axes."""
        if self.kind != "elementwise" or len(self.inputs) != 1 or len(self.outputs) != 1 or len(self.extents) < 2:
            return False
        source, target = self.inputs[0].axes, self.outputs[0].axes
        straight = tuple((i,) for i in range(len(self.extents)))
        return (
            source != target and sorted(source) == sorted(target) == sorted(straight) and straight in (source, target)
        )


def ordered(nest: LoopNest, order: Sequence[int]) -> LoopNest:
    """The nest with its loops in another order: ``order[i]`` is the present number of the loop that becomes the i-th."""
    number = {old: new for new, old in enumerate(order)}
    return replace(
        nest,
        extents=tuple(nest.extents[i] for i in order),
        reduces=tuple(nest.reduces[i] for i in order),
        inputs=tuple(a.renumbered(number) for a in nest.inputs),
        outputs=tuple(a.renumbered(number) for a in nest.outputs),
    )


def without_unit_loops(nest: LoopNest) -> LoopNest:
    """The nest without loops of one iteration, and without the axes that they index."""
    kept = [i for i, extent in enumerate(nest.extents) if extent != 1]
    if len(kept) == len(nest.extents):
        return nest
    number = {old: new for new, old in enumerate(kept)}

    def cut(access: Access) -> Access:
        pairs = [
            (tuple(number[x] for x in axis if x in number), size)
            for axis, size in zip(access.axes, access.shape, strict=True)
            if not (size == 1 and all(x not in number for x in axis))
        ]
        return replace(access, axes=tuple(a for a, _ in pairs), shape=tuple(s for _, s in pairs))

    return replace(
        nest,
        extents=tuple(nest.extents[i] for i in kept),
        reduces=tuple(nest.reduces[i] for i in kept),
        inputs=tuple(map(cut, nest.inputs)),
        outputs=tuple(map(cut, nest.outputs)),
    )


def collapsed(nest: LoopNest) -> LoopNest:
    """The nest with neighbouring loops joined wherever every operand has both or neither, next to each other in memory."""
    loop = 0
    while loop + 1 < len(nest.extents):
        if nest.reduces[loop] == nest.reduces[loop + 1] and all(_joins(a, loop) for a in nest.operands):
            nest = _join(nest, loop)
        else:
            loop += 1
    return nest


def _joins(access: Access, loop: int) -> bool:
    axes = access.axes
    places = [i for i, axis in enumerate(axes) if loop in axis or loop + 1 in axis]
    if not places:
        return True
    if access.is_part:
        return False
    return (
        len(places) == 2
        and places[1] == places[0] + 1
        and axes[places[0]] == (loop,)
        and axes[places[1]] == (loop + 1,)
    )


def _join(nest: LoopNest, loop: int) -> LoopNest:
    number = {i: i if i <= loop else i - 1 for i in range(len(nest.extents))}

    def cut(access: Access) -> Access:
        axes, shape = list(access.axes), list(access.shape)
        if (loop + 1,) in axes:
            place = axes.index((loop + 1,))
            shape[place - 1] *= shape[place]
            del axes[place], shape[place]
        return replace(access, axes=tuple(tuple(number[x] for x in axis) for axis in axes), shape=tuple(shape))

    extents, reduces = list(nest.extents), list(nest.reduces)
    extents[loop] *= extents.pop(loop + 1)
    reduces.pop(loop + 1)
    return replace(
        nest,
        extents=tuple(extents),
        reduces=tuple(reduces),
        inputs=tuple(map(cut, nest.inputs)),
        outputs=tuple(map(cut, nest.outputs)),
    )

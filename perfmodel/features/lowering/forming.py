"""Which operations the compiler makes one dispatch of: a root with what is fused before and behind it.

As IREE forms them: elementwise operations join the one elementwise operation or reduction that reads them; a product,
convolution or reduction takes the elementwise operations behind it that keep its parallel loops, and no second reduction; fills
belong to what overwrites them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.features.lowering.loops import Access, LoopNest, collapsed, ordered, without_unit_loops
from perfmodel.features.lowering.nests_of import Nests

_PRIORITY = {"contraction": 4, "convolution": 4, "pooling": 3, "softmax": 2, "reduction": 2}


@dataclass
class Dispatch:
    """One kernel that the compiler will make.

    Attributes:
        nests: its loop nests in order, fills left out.
        root: the one whose tiles decide.
    """

    nests: list[LoopNest] = field(default_factory=list)

    @property
    def root(self) -> LoopNest:
        """The product, convolution or reduction; without one the last nest."""
        last = max(range(len(self.nests)), key=lambda i: (_PRIORITY.get(self.nests[i].kind, 0), i))
        return self.nests[last]

    @property
    def name(self) -> str:
        """The root's operation with its extents."""
        root = self.root
        return f"{root.name.partition('.')[2] or root.name} {'x'.join(map(str, root.extents)) or '1'}"


def dispatches_of(found: Nests) -> list[Dispatch]:
    """The dispatches of a function's nests, in the order in which they run."""
    nests = _fused_elementwise(found)
    users: Counter[Any] = Counter(found.root(a.value) for n in nests for a in n.inputs)
    groups: list[list[LoopNest]] = []
    group_of: dict[Any, int] = {}
    for nest in nests:
        chosen = None
        if nest.kind == "copy" and nest.name != "tensor.concat":
            # A pad of what a dispatch makes is written by that dispatch, straight into the larger tensor.
            source = found.root(nest.inputs[0].value)
            if (producer := group_of.get(source)) is not None and users[source] == 1 and source not in found.returned:
                groups[producer] = [_written_into_part(n) for n in groups[producer]]
                group_of[found.root(nest.outputs[0].value)] = producer
                continue
        if nest.kind == "elementwise":
            for access in nest.inputs:
                producer = group_of.get(found.root(access.value))
                if producer is not None and _joins(groups[producer], nest, access, found):
                    chosen = producer if chosen is None else max(chosen, producer)
        if chosen is None:
            chosen = len(groups)
            groups.append([])
        groups[chosen].append(nest)
        for output in nest.outputs:
            group_of[found.root(output.value)] = chosen
    return [Dispatch([normal(n) for n in group]) for group in groups]


def _written_into_part(nest: LoopNest) -> LoopNest:
    return replace(nest, outputs=tuple(replace(output, is_part=True) for output in nest.outputs))


def normal(nest: LoopNest) -> LoopNest:
    """A nest as the compiler has it before it tiles: reductions innermost, loops that stay neighbours joined."""
    if nest.kind in ("reduction", "softmax", "contraction"):
        nest = ordered(nest, (*nest.parallel, *nest.reduction))
    if nest.is_transpose:  # in the order of what is read
        nest = ordered(nest, [axis[0] for axis in nest.inputs[0].axes])
    if nest.kind in ("elementwise", "reduction", "copy") or (
        nest.kind == "contraction" and nest.name == "linalg.generic"
    ):
        nest = collapsed(without_unit_loops(nest))
    return nest


def _fused_elementwise(found: Nests) -> list[LoopNest]:
    """The nests without fills, every elementwise one in the one elementwise operation or reduction that reads it."""
    readers: Counter[Any] = Counter(found.root(a.value) for n in found.nests for a in n.inputs)
    made: dict[Any, LoopNest] = {}
    kept: list[LoopNest] = []
    for nest in found.nests:
        if nest.kind == "fill":
            continue
        if nest.kind in ("elementwise", "reduction"):
            for access in nest.inputs:
                value = found.root(access.value)
                producer = made.get(value)
                if (
                    producer is None
                    or producer.kind != "elementwise"
                    or readers[value] != 1
                    or value in found.returned
                    or value is not access.value
                    or producer not in kept
                ):
                    continue
                merged = _merged(producer, nest, access)
                if merged is not None:
                    kept.remove(producer)
                    nest = merged
        for output in nest.outputs:
            made[found.root(output.value)] = nest
        kept.append(nest)
    return kept


def _merged(producer: LoopNest, consumer: LoopNest, access: Access) -> LoopNest | None:
    """An elementwise producer computed in its consumer's loops; None where the consumer's loops do not name its own."""
    target = producer.outputs[0].axes
    if len(producer.outputs) != 1 or any(len(axis) != 1 for axis in (*target, *access.axes)):
        return None
    number = {axis[0]: read[0] for axis, read in zip(target, access.axes, strict=True)}
    if set(number) != set(range(len(producer.extents))):
        return None
    inputs = [a for a in consumer.inputs if a is not access]
    inputs += [a.renumbered(number) for a in producer.inputs]
    return replace(
        consumer,
        inputs=tuple(inputs),
        body=consumer.body + producer.body,
        operations=consumer.operations + producer.operations,
    )


def _joins(group: list[LoopNest], nest: LoopNest, access: Access, found: Nests) -> bool:
    """Whether an elementwise nest is fused behind the group that makes one of its operands: behind a product, convolution or
    reduction whose parallel loops are, in their order, its own outermost ones."""
    root = max(group, key=lambda n: _PRIORITY.get(n.kind, 0))
    if root.kind not in _PRIORITY or access.value is not found.root(access.value):
        return False
    parallel = [loop for loop in nest.parallel if nest.extents[loop] != 1]
    read = [axis[0] for axis in access.axes if len(axis) == 1 and nest.extents[axis[0]] != 1]
    if root.kind in ("contraction", "convolution", "pooling"):
        return read == parallel
    if not read and not found.returned & {found.root(o.value) for o in nest.outputs}:
        return False  # behind a reduction to one number only what is returned
    return read == parallel[: len(read)]

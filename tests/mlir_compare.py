"""Two readings of one module, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel.features.mlir.ir import Block, Operation, Region


def _filled(operation: Operation) -> list[Region]:
    """Regions with something in them: an empty one is printed and left out as dialects like."""
    return [r for r in operation.regions if r.blocks and (r.blocks[0].operations or len(r.blocks) > 1)]


def differences(first: Operation, second: Operation) -> Iterator[str]:
    """One line for each operation whose name, operands, result types or nesting differ."""
    pairs = [(first, second)]
    while pairs:
        one, other = pairs.pop()
        where = f"line {one.line or other.line}: {one.name}"
        if one.name != other.name:
            yield f"{where}: the other is {other.name}"
            continue
        for what in ("operands", "results"):
            left = [v.type for v in getattr(one, what)]
            right = [v.type for v in getattr(other, what)]
            named = what != "results" or left  # a result without a name does not stand in a custom form
            if left != right and named:
                yield f"{where}: {what} {[str(t) for t in left]} and {[str(t) for t in right]}"
        regions, others = _filled(one), _filled(other)
        if len(regions) != len(others):
            yield f"{where}: {len(regions)} and {len(others)} regions"
            continue
        for region, counterpart in zip(regions, others, strict=True):
            if len(region.blocks) != len(counterpart.blocks):
                yield f"{where}: {len(region.blocks)} and {len(counterpart.blocks)} blocks"
                continue
            for block, same in zip(region.blocks, counterpart.blocks, strict=True):
                yield from _blocks(where, block, same)
                pairs += zip(block.operations, same.operations, strict=False)


def _blocks(where: str, block: Block, same: Block) -> Iterator[str]:
    left, right = [v.type for v in block.arguments], [v.type for v in same.arguments]
    if left != right:
        yield f"{where}: arguments {[str(t) for t in left]} and {[str(t) for t in right]}"
    if len(block.operations) != len(same.operations):
        yield f"{where}: operations {[o.name for o in block.operations]} and {[o.name for o in same.operations]}"

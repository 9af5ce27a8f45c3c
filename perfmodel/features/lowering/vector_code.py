"""How many vector operations a tiled nest becomes: in the code, and executed.

A vector tile is unrolled whole: its operations stand in the code as often as the tile has vectors, and run once a tile. What
is left of a tile at the end of a loop, or of the last workgroup, is code of its own. The counts are a first estimate that the
learned model corrects; nothing here is fitted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod

from perfmodel.features.lowering.loops import Access, LoopNest
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.features.lowering.tiling import Tiling


@dataclass(frozen=True)
class LoopTiles:
    """One loop in one workgroup after another.

    Attributes:
        full: whole vector tiles, over all workgroups.
        size: iterations of a whole one.
        partial: tiles that are not whole, over all workgroups.
        leftover: iterations in those together.
        sizes: the different sizes of tiles, which are different code.
    """

    full: int
    size: int
    partial: int
    leftover: int
    sizes: tuple[int, ...]

    @property
    def shapes(self) -> int:
        """How many sizes of tiles there are."""
        return len(self.sizes)

    @property
    def tiles(self) -> int:
        """All tiles."""
        return self.full + self.partial


def tiles_of(extent: int, distribution: int, vector: int) -> LoopTiles:
    """The tiles of one loop."""
    group = distribution or extent
    size = min(vector or group, group)
    whole, rest = divmod(extent, group)
    full, left = divmod(group, size)
    last_full, last_left = divmod(rest, size)
    sizes = {size} if full else set()
    sizes |= {s for s in (left, last_left) if s}
    return LoopTiles(
        whole * full + last_full,
        size,
        whole * (left > 0) + (last_left > 0),
        whole * left + last_left,
        tuple(sorted(sizes, reverse=True)) or (1,),
    )


@dataclass(frozen=True)
class VectorCode:
    """The counts of one nest.

    Attributes:
        lane_loop: the loop that becomes the lanes of vectors; None where none does.
        lane_reduces: whether that loop reduces, so that lanes are added up at the end.
        lanes: elements of one vector.
        variants: copies of the body for different sizes of tiles.
        unrolled: vector instances of the body in one whole tile.
        static: vector operations in the code by kind of scalar operation, with ``load`` and ``store``.
        executed: the same, executed.
        tiles: vector tiles executed.
        workgroups: workgroups.
        scalar_iterations: iterations left over in the loop of the lanes, where there is no whole vector.
        live: vectors that one whole tile holds at once: its results and one operand.
    """

    lane_loop: int | None
    lane_reduces: bool
    lanes: int
    variants: int
    unrolled: int
    static: Counter[str] = field(default_factory=Counter)
    executed: Counter[str] = field(default_factory=Counter)
    tiles: int = 0
    workgroups: int = 1
    scalar_iterations: int = 0
    live: int = 0


def vector_code(
    nest: LoopNest,
    distribution: tuple[int, ...],
    vector: tuple[int, ...],
    target: CompileTarget,
    *,
    scalar: bool = False,
) -> VectorCode:
    """Counts the vector operations of a nest under tiles.

    Args:
        nest: what is computed.
        distribution, vector: tile sizes of its loops (:class:`~perfmodel.features.lowering.tiling.Tiling`).
        target: whose registers hold the vectors.
        scalar: whether the compiler leaves the nest in scalar loops.
    """
    if scalar:
        vector = tuple(1 for _ in vector)
    loops = [tiles_of(e, d, v) for e, d, v in zip(nest.extents, distribution, vector, strict=True)]
    bits = max((a.bits for a in nest.operands), default=32)
    lane = _lane_loop(nest, vector)
    width = min(target.lanes(bits), loops[lane].size) if lane is not None else 1
    width = max(width, 1)

    def instances(loop: int, size: int) -> int:
        """Vectors along a loop in a tile of some size; what fills no vector takes one of its own."""
        return -(-size // width) if loop == lane else size

    # In one whole tile, in the code of all sizes of tiles, and executed.
    per_tile = {i: instances(i, t.size) for i, t in enumerate(loops)}
    coded = {i: sum(instances(i, size) for size in t.sizes) for i, t in enumerate(loops)}
    run = {i: t.full * per_tile[i] + t.leftover for i, t in enumerate(loops)}
    variants = prod(tile.shapes for tile in loops)
    static: Counter[str] = Counter()
    executed: Counter[str] = Counter()
    unrolled = prod(per_tile.values())
    iterations = prod(run.values())
    for kind, times in nest.body.items():
        static[kind] += times * prod(coded.values())
        executed[kind] += times * iterations
    lane_reduces = lane is not None and nest.reduces[lane]
    if lane_reduces:
        # Lanes of floating-point numbers are added up one after another, which keeps the order of the sum.
        kind = "lane_sum" if nest.outputs[0].is_float else "i.lane_sum"
        static[kind], executed[kind] = prod(coded.values()), iterations
    tiles = prod(tile.tiles for tile in loops)
    for name, accesses in (("load", nest.inputs), ("store", nest.outputs)):
        for access in accesses:
            own = access.loops
            coded_once = prod(coded[i] for i in own) * prod(loops[i].shapes for i in range(len(loops)) if i not in own)
            # Loads of a tile are hoisted out of loops that the operand does not depend on only where these are within the tile.
            others = [i for i in range(len(loops)) if i not in own]
            if name == "store":  # results stay in registers while loops reduce into them
                others = [i for i in others if not nest.reduces[i]]
            once = prod(run[i] for i in own) * prod(loops[i].tiles for i in others)
            gathers = lane is not None and lane in own and not _is_contiguous(access, lane, nest.extents)
            kind = f"gather_{name}" if gathers else (name if lane in own else f"broadcast_{name}")
            kind += _format(access)
            factor = width if gathers else 1
            static[kind] += factor * coded_once
            executed[kind] += factor * once
    groups = prod(-(-e // d) if d else 1 for e, d in zip(nest.extents, distribution, strict=True))
    results = sum(prod(per_tile[i] for i in a.loops) for a in nest.outputs)
    operand = max((prod(per_tile[i] for i in a.loops) for a in nest.inputs), default=0)
    return VectorCode(
        lane, lane_reduces, width, variants, unrolled, static, executed, tiles, groups,
        loops[lane].leftover * prod(run[i] for i in run if i != lane) if lane is not None else iterations,
        results + operand,
    )  # fmt: skip


def _is_contiguous(access: Access, lane: int, extents: tuple[int, ...]) -> bool:
    """Whether neighbouring lanes read neighbours in memory: a window that moves by one is, a strided one is not."""
    last = access.axes[-1] if access.axes else ()
    return lane in last and (last[0] != lane or access.step(lane, extents) == 1)


def _format(access: Access) -> str:
    """The suffix of a load or store: by what else than the transfer it takes."""
    if access.bits == 16 and access.is_float:
        return ".bf16" if access.is_brain else ".f16"
    return ".i8" if access.bits <= 8 else ""


def _lane_loop(nest: LoopNest, vector: tuple[int, ...]) -> int | None:
    """The loop that becomes lanes: along which the result is contiguous where that is tiled, else an operand is. A reduction
    has the lanes of what it reads, and adds them up."""
    candidates: list[Access] = [*nest.outputs, *nest.inputs]
    if nest.kind in ("reduction", "softmax"):
        candidates = [*nest.inputs, *nest.outputs]
    for access in candidates:
        loop = access.innermost
        if loop is not None and vector[loop] > 1:
            return loop
    tiled = [i for i, v in enumerate(vector) if v > 1]
    return tiled[-1] if tiled else None


def inherited(root: LoopNest, tiling: Tiling, nest: LoopNest) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tiles of another nest of the root's dispatch: the root's where the leading parallel loops agree, else whole loops."""
    distribution, vector = [], []
    for place, extent in enumerate(nest.extents):
        same = place < len(root.extents) and root.extents[place] == extent and not root.reduces[place]
        distribution.append(tiling.distribution[place] if same else 0)
        vector.append(min(tiling.vector[place], extent) if same and tiling.vector[place] else min(8, extent))
    return tuple(distribution), tuple(vector)


def tiling_for(nest: LoopNest, root: LoopNest, tiling: Tiling) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tiles of one nest of a dispatch."""
    return (tiling.distribution, tiling.vector) if nest is root else inherited(root, tiling, nest)

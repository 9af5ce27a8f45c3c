"""The tile sizes that IREE's llvm-cpu backend chooses for a loop nest, re-derived; no compiler is needed.

What is followed is the strategy of the compiler's ``KernelDispatch`` (github.com/iree-org/iree,
compiler/src/iree/compiler/Codegen/LLVMCPU): loops are divided among workgroups (*distribution*), then into tiles that are
vectorised and unrolled whole (*vector*). The rules below were checked against the configurations that iree-compile 3.13
prints (``--compile-to=executable-configurations``); docs/characterise.md says how often they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from perfmodel.features.lowering.loops import LoopNest
from perfmodel.features.lowering.target import CompileTarget

_MOST = 64
"""Largest distribution tile of a loop (``--iree-llvmcpu-distribution-size``)."""
_FEWEST_ELEMENTWISE = 4096
"""Iterations that a workgroup of elementwise work has at least, where there are so many."""
_UNROLL = 8
"""Largest tile of a loop that is unrolled, not vectorised."""


@dataclass(frozen=True)
class Tiling:
    """Tile sizes of a nest's loops.

    Attributes:
        strategy: ``contraction``, ``convolution``, ``transpose``, ``elementwise``, ``generic`` or ``default``.
        distribution: iterations of each loop in one workgroup; 0: the loop is not divided.
        vector: iterations of each loop that are vectorised and unrolled together; 0: not tiled.
        peels: whether what is left of a tile gets code of its own; otherwise vectors are masked.
    """

    strategy: str
    distribution: tuple[int, ...]
    vector: tuple[int, ...]
    peels: bool = False


def tiling_of(nest: LoopNest, target: CompileTarget) -> Tiling:
    """The tiles that the compiler's heuristic chooses for the root of a dispatch."""
    if nest.kind == "softmax":  # lowered as reductions along its rows, whose results lack the rows' loop
        rows = nest.outputs[0]
        kept = tuple(zip(rows.axes, rows.shape, strict=True))
        kept = tuple((axis, size) for axis, size in kept if axis[0] not in nest.reduction)
        statistic = replace(rows, axes=tuple(a for a, _ in kept), shape=tuple(s for _, s in kept))
        nest = replace(nest, kind="reduction", outputs=(statistic,))
    if nest.kind == "contraction" and nest.reduction == (len(nest.extents) - 1,):
        return _contraction(nest, target)
    if nest.kind in ("convolution", "pooling") and (window := _window_tiles(nest, target)) is not None:
        return _convolution(nest, target, window)
    if nest.kind in ("convolution", "pooling"):
        # Other windows are lowered as reductions are, channels innermost among a depthwise convolution's parallel loops.
        nest = replace(nest, kind="reduction")
    if nest.kind in ("pack", "contraction", "fill"):
        distribution = _distribution(nest, target)
        return Tiling("default", tuple(distribution), tuple(_limited(nest, list(distribution), target)))
    if nest.is_transpose:
        smallest = smallest_tiles(nest, target, unroll=_UNROLL)
        if sum(s > 1 for s in smallest) == 2 and all(s == 1 or s >= _UNROLL for s in smallest):
            tiles = [_UNROLL if s > 1 else 1 for s in smallest]
            distribution = _distribution(nest, target, smallest=tiles, incomplete=True)
            return Tiling("transpose", tuple(distribution), tuple(tiles))
    if not nest.reduction:
        return _elementwise(nest, target)
    distribution = _distribution(nest, target, most=[_MOST // 2] * len(nest.extents))
    smallest = smallest_tiles(nest, target)
    vector = [
        (_vector_tile(d, s, s, power_of_two=True) if d else (0 if extent == 1 else s))
        for d, s, extent in zip(distribution, smallest, nest.extents, strict=True)
    ]
    return Tiling("generic", tuple(distribution), tuple(_limited(nest, vector, target)))


def smallest_tiles(nest: LoopNest, target: CompileTarget, unroll: int = _UNROLL) -> list[int]:
    """For each loop along which an operand is contiguous a register's elements; one further loop is unrolled."""
    tiles = [1] * len(nest.extents)
    for access in nest.operands:
        loop = access.innermost
        if loop is not None:
            tiles[loop] = max(tiles[loop], target.lanes(access.bits))
    vectorised = [i for i, t in enumerate(tiles) if t > 1]
    for place, loop in enumerate(reversed(vectorised[:-1])):
        tiles[loop] = min(tiles[loop], unroll if place == 0 else 1)
    return tiles


def _contraction(nest: LoopNest, target: CompileTarget) -> Tiling:
    loops = len(nest.extents)
    lanes = min(target.lanes(a.bits) for a in nest.operands)
    vector = ([1] * (loops - 3) + [8, lanes, lanes])[-loops:] if loops >= 3 else [8, lanes, lanes][3 - loops :]
    for loop in range(loops - 2):
        vector[loop] = min(vector[loop], nest.extents[loop])
    most, hints = [_MOST] * loops, [lanes] * loops
    if nest.name == "linalg.batch_matmul":
        most[0] = hints[0] = 1
    widens = nest.inputs[0].bits != nest.outputs[0].bits or nest.inputs[0].is_float != nest.outputs[0].is_float
    cache = [0] * loops if widens or loops < 3 else [0] * (loops - 3) + [8, 128, 0]
    cache = [min(c, e) for c, e in zip(cache, nest.extents, strict=True)]
    smallest = [c or v for c, v in zip(cache, vector, strict=True)]
    distribution = _distribution(nest, target, smallest=smallest, most=most, hints=hints, incomplete=True)
    return Tiling("contraction", tuple(distribution), tuple(vector), peels=nest.name != "linalg.generic")


def _window_tiles(nest: LoopNest, target: CompileTarget) -> list[int] | None:
    """The vector tiles of 2-D convolutions and pools, in the order of the nest's loops; None for other ones."""
    lanes = target.lanes(nest.outputs[0].bits)
    if nest.kind == "pooling" and nest.outputs[0].is_float and nest.outputs[0].bits < 32:
        return None  # computed in 32 bits, which no longer is the operation of that name
    short = nest.name.partition(".")[2]
    tiles = {
        "conv_2d_nhwc_hwcf": [1, 1, 8, lanes, 1, 1, 8], "conv_2d_nchw_fchw": [1, lanes, 1, 8, 8, 1, 1],
        "depthwise_conv_2d_nhwc_hwc": [1, 1, 8, lanes, 1, 3],
    }.get(short)  # fmt: skip
    if tiles is None and short.startswith("pooling_nhwc_"):
        tiles = [1, 1, 8, lanes, 1, 8]
    if tiles is None and short.startswith("pooling_nchw_"):
        tiles = [1, lanes, 1, 8, 1, 8]
    return tiles if tiles is not None and len(tiles) == len(nest.extents) else None


def _convolution(nest: LoopNest, target: CompileTarget, wanted: list[int]) -> Tiling:
    lanes = target.lanes(nest.outputs[0].bits)
    hints = [1] * len(nest.extents)
    hints[3] = lanes
    distribution = _distribution(nest, target, hints=hints)
    vector = [
        w if w == 1 else _vector_tile(d or e, w, lanes)
        for w, d, e in zip(wanted, distribution, nest.extents, strict=True)
    ]
    return Tiling("convolution", tuple(distribution), tuple(_limited(nest, vector, target)), peels=True)


def _elementwise(nest: LoopNest, target: CompileTarget) -> Tiling:
    smallest = smallest_tiles(nest, target, unroll=1)
    distribution = _distribution(nest, target, smallest=smallest, incomplete=True)
    work = 1
    for tile, extent in zip(distribution, nest.extents, strict=True):
        work *= tile or extent
    loop = 0
    while work < _FEWEST_ELEMENTWISE and loop < len(distribution):
        tile, extent = distribution[loop], nest.extents[loop]
        if tile in (0, extent):
            loop += 1
            continue
        distribution[loop] = min(2 * tile, extent)
        work = work // tile * distribution[loop]
    vector = [_power_of_two(min(s, target.vector_bytes // 4)) for s in smallest]
    return Tiling("elementwise", tuple(distribution), tuple(vector))


def _distribution(
    nest: LoopNest,
    target: CompileTarget,
    smallest: Sequence[int] | None = None,
    most: Sequence[int] | None = None,
    hints: Sequence[int] | None = None,
    *,
    incomplete: bool = False,
) -> list[int]:
    """Iterations of each parallel loop for one workgroup: an eighth (of 8 threads) of the loop, then more while there are more
    than two workgroups a thread, then what divides the loop."""
    count = len(nest.extents)
    divided = [not nest.reduces[i] and nest.extents[i] != 1 for i in range(count)]
    low = [(smallest[i] if smallest else 1) if divided[i] else 0 for i in range(count)]
    high = [(most[i] if most else _MOST) if divided[i] else 0 for i in range(count)]
    hint = [(hints[i] if hints else 1) if divided[i] else 1 for i in range(count)]
    tiles = [0] * count
    for i in range(count):
        if high[i] == 0:
            continue
        wanted, chosen = min(nest.extents[i] // target.threads, high[i]), 1
        if hint[i] > 1:
            fitting = [k for k in range(hint[i], wanted + 1, hint[i]) if nest.extents[i] % k == 0 and k >= low[i]]
            chosen = fitting[-1] if fitting else 1
        if chosen == 1:
            chosen = max(1 << (wanted.bit_length() - 1) if wanted else 0, low[i])
        tiles[i] = min(chosen, high[i])
    # Which count it is follows from what the compiler printed: of reductions partial workgroups are none, and 16 are too many.
    down = nest.kind == "reduction"
    _merge_workgroups(nest.extents, tiles, high, hint, 2 * target.threads - down, target.threads, rounds_down=down)
    return [
        _distribution_tile(nest.extents[i], tiles[i], low[i], incomplete=incomplete) if tiles[i] else 0
        for i in range(count)
    ]


def _merge_workgroups(
    extents: Sequence[int], tiles: list[int], most: Sequence[int], hints: Sequence[int], limit: int, fewest: int,
    *, rounds_down: bool = False,
) -> None:  # fmt: skip
    """Larger tiles, the innermost loop's first, while there are more workgroups than ``limit``; then even ones."""

    def count(extent: int, tile: int) -> int:
        return max(extent // tile if rounds_down else -(-extent // tile), 1)

    groups = [count(extent, tile) if tile else 1 for extent, tile in zip(extents, tiles, strict=True)]
    loop, total = len(tiles) - 1, prod(groups)
    while total > limit and loop >= 0:
        tile, extent, hint = tiles[loop], extents[loop], hints[loop]
        if tile == 0 or tile >= most[loop] or tile >= extent:
            loop -= 1
            continue
        larger = min(2 * tile, extent)
        if hint > 1 and _is_ideal(tile, extent, hint) and not _is_ideal(larger, extent, hint):
            # What divides the loop into whole vectors goes to the next such size, unless too few workgroups are left.
            sizes = range(tile + hint, min(extent, most[loop]) + 1, hint)
            larger = next((size for size in sizes if extent % size == 0), 0)
            if larger == 0 or total // groups[loop] * (extent // larger) < fewest:
                loop -= 1
                continue
        tiles[loop] = larger
        fewer = count(extent, larger)
        if fewer < groups[loop]:
            total = total // groups[loop] * fewer
            groups[loop] = fewer
        else:
            loop -= 1
    for i, tile in enumerate(tiles):
        if tile == 0:
            continue
        even = -(-extents[i] // -(-extents[i] // tile))
        if hints[i] > 1 and not _is_ideal(even, extents[i], hints[i]):
            continue
        tiles[i] = even


def _is_ideal(tile: int, extent: int, hint: int) -> bool:
    return tile % hint == 0 and extent % tile == 0


def _distribution_tile(extent: int, most: int, multiple: int, *, incomplete: bool) -> int:
    """The largest tile up to ``most`` that divides a loop, a multiple of the vector's where there is one."""
    if extent <= most and extent < multiple:
        return extent
    start = min(most, extent)
    for tile in range(start // multiple * multiple, 0, -multiple):
        if extent % tile == 0:
            return tile
    for tile in range(start, (start // 2 if incomplete else 1) - 1, -1):
        if tile and extent % tile == 0:
            return tile
    return most if incomplete else 1


def _vector_tile(extent: int, tile: int, lanes: int, *, power_of_two: bool = False) -> int:
    if extent <= tile and extent < lanes:
        return _power_of_two(extent) if power_of_two else extent
    start = min(tile, extent)
    if power_of_two:
        return _power_of_two(start)
    for size in range(start // lanes * lanes, 0, -lanes):
        if extent % size == 0:
            return size
    return next(size for size in range(start, 0, -1) if extent % size == 0)


def _limited(nest: LoopNest, vector: list[int], target: CompileTarget) -> list[int]:
    """Vector tiles cut until the operands' tiles fit the registers, each alone and then all together."""
    limit, each = target.register_bits, target.register_bits
    while True:
        held = [a.bits for a in nest.operands]
        if any(bits > each for bits in held):
            return vector
        for loop in reversed(range(len(vector))):
            for i, access in enumerate(nest.operands):
                if loop not in access.loops or vector[loop] == 0:
                    continue
                most = max(1, each // held[i])
                if vector[loop] > most:
                    vector[loop] = 1 << (most.bit_length() - 1)
                held[i] *= vector[loop]
        if sum(held) <= limit:
            return vector
        each //= 2


def _power_of_two(size: int) -> int:
    """The next power of two from a size on."""
    return 1 << (size - 1).bit_length() if size > 0 else 0

"""Generated MLIR modules of linalg and tensor operations, by family, seed and number.

`text` writes functions, `drawing` draws extents and formats, `registry` has the families, and `products`, `elementwise`,
`reductions`, `windows` and `blocks` define them. The same family, seed and number give the same text everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.collect.iree.generator import blocks, elementwise, products, reductions, windows
from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.generator.registry import FAMILIES, Family, Parameters
from perfmodel.errors import InputError

__all__ = ["FAMILIES", "Family", "Generated", "Parameters", "draw_family", "generate"]

SMALL_SHARE = 0.2
"""Modules whose work is below what a call takes anyhow: they teach what the code looks like, not how long it runs."""
_TRIES = 400
_LEAST = 1 / 200
"""The least work, over a family's ``small``."""

# Importing them registered their families.
assert all((blocks, elementwise, products, reductions, windows))


@dataclass(frozen=True)
class Generated:
    """A generated module.

    Attributes:
        family, seed, number: what it is generated from.
        parameters: that were drawn.
        text: the module.
    """

    family: str
    seed: int
    number: int
    parameters: Parameters
    text: str

    @property
    def name(self) -> str:
        """``gemm-0-00012``."""
        return f"{self.family}-{self.seed}-{self.number:05d}"


def generate(family: str, seed: int, number: int) -> Generated:
    """The module of a family with a number.

    Raises:
        InputError: there is no such family.
    """
    if family not in FAMILIES:
        raise InputError(f"no family {family!r}; known: {', '.join(sorted(FAMILIES))}")
    known = FAMILIES[family]
    draw = Draw(f"{family}/{seed}/{number}")
    # The work is drawn first, so that sizes spread evenly over it whatever the extents are.
    wanted = (
        draw.between(known.small * _LEAST, known.small)
        if draw.chance(SMALL_SHARE)
        else draw.between(known.small, known.large)
    )
    best: tuple[float, Parameters] | None = None
    for _ in range(_TRIES):
        parameters = known.draw(draw)
        work = known.work(parameters)
        if work <= 0:
            continue
        off = max(work / wanted, wanted / work)
        if best is None or off < best[0]:
            best = off, parameters
        if off < 1.5:
            break
    assert best is not None, family
    return Generated(family, seed, number, best[1], known.render(best[1]))


def draw_family(seed: int, number: int) -> str:
    """Which family the module at a place of a collection has."""
    names = sorted(FAMILIES)
    return Draw(f"family/{seed}/{number}").choice(names, [FAMILIES[name].weight for name in names])

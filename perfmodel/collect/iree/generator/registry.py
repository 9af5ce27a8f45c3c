"""The families: how each draws its parameters, what work they are, and the text that they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perfmodel.collect.iree.generator.drawing import Draw

Parameters = dict[str, Any]
"""What tells one module of a family from another: whole numbers, names, booleans."""


@dataclass(frozen=True)
class Family:
    """A kind of generated module.

    Attributes:
        name: of the family.
        draw: gives parameters.
        work: scalar operations of a call, roughly, with what emulation adds; it only decides what is drawn.
        render: the text of a module, by the parameters alone.
        small, large: between them lies the work of most modules, which takes more than the floor of a call and less than
            what counting instructions can wait for; below ``small`` that of the others.
        weight: how often it is drawn.
    """

    name: str
    draw: Callable[[Draw], Parameters]
    work: Callable[[Parameters], float]
    render: Callable[[Parameters], str]
    small: float
    large: float
    weight: float = 1.0


FAMILIES: dict[str, Family] = {}


def family(
    name: str,
    *,
    draw: Callable[[Draw], Parameters],
    work: Callable[[Parameters], float],
    small: float,
    large: float,
    weight: float = 1.0,
) -> Callable[[Callable[[Parameters], str]], Callable[[Parameters], str]]:
    """Registers a function that renders modules; the arguments are those of :class:`Family`."""

    def register(render: Callable[[Parameters], str]) -> Callable[[Parameters], str]:
        FAMILIES[name] = Family(name, draw, work, render, small, large, weight)
        return render

    return register

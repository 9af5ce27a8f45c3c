"""In which order a program's steps are written as C, which share a loop, and where their results lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.recording.program import ELEMENTWISE, Program, Step, Value


@dataclass(frozen=True)
class Block:
    """Steps that are written together.

    Attributes:
        steps: in order; one alone unless it is a loop.
        loop: whether they are operations on as many numbers each, done number by number.
    """

    steps: list[Step]
    loop: bool


class Schedule:
    """The order of a program's steps, and their places in a workspace.

    Attributes:
        blocks: in order.
        places: by number of a step, where its results begin; those of one number have none, nor those that no
            other block reads.
        workspace: numbers that the workspace holds.
    """

    def __init__(self, program: Program) -> None:
        self.blocks: list[Block] = _blocks(program)
        self.places: dict[int, int] = {}
        self.workspace: int = 0
        self._place(program)

    def _place(self, program: Program) -> None:
        block_of = {s.number: b for b, block in enumerate(self.blocks) for s in block.steps}
        last: dict[int, int] = {}
        for b, block in enumerate(self.blocks):
            for step in block.steps:
                for value in step.inputs:
                    source = value.step.number
                    if value.step.size > 1 and value.step.op != "constant" and block_of[source] != b:
                        last[source] = b
        for value in program.outputs.values():
            if value.step.size > 1:
                last[value.step.number] = len(self.blocks)
        free: dict[int, list[int]] = {}
        ends: dict[int, list[Step]] = {}
        for b, block in enumerate(self.blocks):
            for step in block.steps:
                if step.size > 1 and step.number in last:
                    known = free.setdefault(step.size, [])
                    if known:
                        self.places[step.number] = known.pop()
                    else:
                        self.places[step.number], self.workspace = self.workspace, self.workspace + step.size
                    ends.setdefault(last[step.number], []).append(step)
            for step in ends.get(b, ()):
                free[step.size].append(self.places[step.number])


def _blocks(program: Program) -> list[Block]:
    blocks: list[Block] = []
    opened: list[Step] = []
    inside: set[int] = set()

    def close() -> None:
        if opened:
            blocks.append(Block(list(opened), True))
            opened.clear()
            inside.clear()

    for step in program.needed():
        if step.op == "constant":
            continue
        loops = step.op in ELEMENTWISE and step.size > 1
        reads = [v for v in step.inputs if v.step.number in inside]
        if loops and (not opened or opened[0].size == step.size) and all(_same_place(v) for v in reads):
            opened.append(step)
            inside.add(step.number)
            continue
        if loops or reads:
            close()
        if loops:
            opened.append(step)
            inside.add(step.number)
        else:
            blocks.append(Block([step], False))
    close()
    return blocks


def _same_place(value: Value) -> bool:
    """Whether a loop reads of each number the one that it has just made."""
    return len(value) == value.step.size and bool((value.places == np.arange(len(value))).all())

"""A recorded program in plain Python: for one row at a time, where numpy's cost of a call is what counts."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from perfmodel.recording.program import Program, Step
from perfmodel.recording.recorded import UnrecordableError


def _and(a: Any, b: Any) -> Any:
    return int(a) & int(b)


def _or(a: Any, b: Any) -> Any:
    return int(a) | int(b)


_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv, "power": operator.pow,
    "maximum": max, "minimum": min, "remainder": operator.mod, "floor_divide": operator.floordiv, "hypot": math.hypot,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq,
    "not_equal": operator.ne, "logical_and": _and, "logical_or": _or, "bitwise_and": _and, "bitwise_or": _or,
}  # fmt: skip
_OF_ONE: dict[str, Callable[[Any], Any]] = {
    "ceil": math.ceil, "floor": math.floor, "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log2": math.log2,
    "negative": operator.neg, "absolute": abs, "logical_not": operator.not_, "rint": round, "trunc": int,
}  # fmt: skip
_Listed = tuple[Callable[[Any, Any], Any] | None, int, Any]
"""A step: its function (None: a choice), the place of its first operand, that of its second or those of a choice's two."""


class Interpreted:
    """A program whose steps have one number each.

    Args:
        program: the steps; its outputs ``first`` are computed before the others.
        first: output that decides whether the others are wanted.
        then: the output that is wanted if the first is 0.

    Raises:
        UnrecordableError: a step of several numbers, or one that plain Python has no function for.
    """

    def __init__(self, program: Program, first: str, then: str) -> None:
        self._inputs = len(program.inputs)
        place: dict[int, int] = {}
        self._constants: list[float] = []
        steps = program.needed()
        for step in program.steps:
            if step.op == "input":
                place[step.number] = len(place)
        constants = [s for s in steps if s.op == "constant"]
        for step in constants:
            self._constants.append(float(step.data[0]))
            place[step.number] = len(place)
        if any(s.size > 1 for s in steps):
            raise UnrecordableError("a program of vectors is not run in plain Python")
        early = _reached(program, first)
        self._early = self._listed([s for s in steps if s.number in early], place)
        self._late = self._listed([s for s in steps if s.number not in early], place)
        self._first = place[program.outputs[first].step.number]
        self._then = place[program.outputs[then].step.number]

    def __call__(self, inputs: Sequence[float]) -> tuple[Any, Any]:
        """The first output, and the one that is wanted where the first is 0 (else None).

        Args:
            inputs: in the program's order.

        Raises:
            ZeroDivisionError, ValueError, OverflowError: as arithmetic does.
        """
        values: list[Any] = [*inputs, *self._constants]
        _run(self._early, values)
        refused = values[self._first]
        if refused:
            return refused, None
        _run(self._late, values)
        return refused, values[self._then]

    @staticmethod
    def _listed(steps: list[Step], place: dict[int, int]) -> list[_Listed]:
        listed: list[_Listed] = []
        for step in steps:
            if step.op in ("input", "constant"):
                continue
            first, *others = (place[v.step.number] for v in step.inputs)
            if step.op == "where":
                listed.append((None, first, (others[0], others[1])))
            elif step.op in _OF_TWO:
                listed.append((_OF_TWO[step.op], first, others[0]))
            elif step.op in _OF_ONE:
                listed.append((_taking_two(_OF_ONE[step.op]), first, first))
            else:
                raise UnrecordableError(f"{step.op} is not run in plain Python")
            place[step.number] = len(place)
        return listed


def _taking_two(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A function of one as one of two: a look at how many there are, at each step, costs more than it does at these."""
    return lambda a, _: function(a)


def _run(steps: list[_Listed], values: list[Any]) -> None:
    append = values.append
    for function, a, b in steps:
        if function is None:
            append(values[b[0]] if values[a] else values[b[1]])
        else:
            append(function(values[a], values[b]))


def _reached(program: Program, output: str) -> set[int]:
    """Numbers of the steps that an output depends on."""
    wanted = {program.outputs[output].step.number}
    for step in reversed(program.steps):
        if step.number in wanted:
            wanted |= {v.step.number for v in step.inputs}
    return wanted

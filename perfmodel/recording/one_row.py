"""A recorded program as one Python function: for one row at a time, where numpy's cost of a call is what counts.

The steps are written as the lines of a function and compiled, as the standard library makes its named tuples: a loop over steps
takes twice as long as what they do. Nothing but numbers of steps, names below and constants stands in those lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from perfmodel.recording.program import Program, Step
from perfmodel.recording.recorded import UnrecordableError

_OF_TWO = {
    "add": "{a} + {b}", "subtract": "{a} - {b}", "multiply": "{a} * {b}", "divide": "{a} / {b}", "power": "{a} ** {b}",
    "maximum": "{b} if {b} > {a} else {a}", "minimum": "{b} if {b} < {a} else {a}", "remainder": "{a} % {b}",
    "floor_divide": "{a} // {b}", "hypot": "hypot({a}, {b})", "less": "{a} < {b}", "less_equal": "{a} <= {b}",
    "greater": "{a} > {b}", "greater_equal": "{a} >= {b}", "equal": "{a} == {b}", "not_equal": "{a} != {b}",
    "logical_and": "int({a}) & int({b})", "logical_or": "int({a}) | int({b})", "bitwise_and": "int({a}) & int({b})",
    "bitwise_or": "int({a}) | int({b})",
}  # fmt: skip
_OF_ONE = {
    "ceil": "ceil({a})", "floor": "floor({a})", "sqrt": "sqrt({a})", "exp": "exp({a})", "log": "log({a})", "log2": "log2({a})",
    "negative": "-{a}", "absolute": "abs({a})", "logical_not": "not {a}", "rint": "round({a})", "trunc": "int({a})",
}  # fmt: skip
_NAMES = {f.__name__: f for f in (math.hypot, math.ceil, math.floor, math.sqrt, math.exp, math.log, math.log2)}


def one_by_one(program: Program, first: str, then: str) -> Callable[[Sequence[float]], tuple[Any, Any]]:
    """A program whose steps have one number each, as a function of one row.

    Args:
        program: the steps; its outputs ``first`` are computed before the others.
        first: output that decides whether the others are wanted.
        then: the output that is wanted if the first is 0.

    Returns:
        a function of the inputs, in the program's order. It gives the first output, and the one that is wanted where the first
        is 0 (else None), and raises ZeroDivisionError, ValueError and OverflowError as arithmetic does.

    Raises:
        UnrecordableError: a step of several numbers, or one that plain Python has no function for.
    """
    steps = program.needed()
    if any(s.size > 1 for s in steps):
        raise UnrecordableError("a program of vectors is not run in plain Python")
    early = _reached(program, first)
    names: dict[str, Any] = dict(_NAMES)
    names |= {_name(s): float(s.data[0]) for s in steps if s.op == "constant"}
    inputs = [_name(s) for s in program.steps if s.op == "input"]
    done = [s for s in steps if s.op not in ("input", "constant")]
    decides, wanted = (_name(program.outputs[name].step) for name in (first, then))
    # Names of a module are looked up in a dictionary at each use; those of arguments are not.
    lines = [
        f"def run(inputs, {', '.join(f'{n}={n}' for n in names)}):",
        f"    [{', '.join(inputs)}] = inputs",
        *(f"    {_name(s)} = {_written(s)}" for s in done if s.number in early),
        f"    if {decides}:",
        f"        return {decides}, None",
        *(f"    {_name(s)} = {_written(s)}" for s in done if s.number not in early),
        f"    return {decides}, {wanted}",
    ]
    exec(compile("\n".join(lines), f"<{then}, one by one>", "exec"), names)  # noqa: S102 (nothing that was read stands in it)
    run: Callable[[Sequence[float]], tuple[Any, Any]] = names["run"]
    return run


def _name(step: Step) -> str:
    return f"s{step.number}"


def _written(step: Step) -> str:
    """A step as an expression.

    Raises:
        UnrecordableError: plain Python has no function for it.
    """
    operands = [_name(v.step) for v in step.inputs]
    if step.op == "where":
        condition, one, other = operands
        return f"{one} if {condition} else {other}"
    form = _OF_TWO.get(step.op) or _OF_ONE.get(step.op)
    if form is None:
        raise UnrecordableError(f"{step.op} is not run in plain Python")
    return form.format(**dict(zip("ab", operands, strict=False)))


def _reached(program: Program, output: str) -> set[int]:
    """Numbers of the steps that an output depends on."""
    wanted = {program.outputs[output].step.number}
    for step in reversed(program.steps):
        if step.number in wanted:
            wanted |= {v.step.number for v in step.inputs}
    return wanted

"""The error function as compilers write it out: a rational function of its limited argument.

XLA and StableHLO have no instruction for erf and replace it by P(x) / Q(x) for x limited to a few standard deviations
(``chlo.erf`` in single precision; Eigen does the same). The pattern does not look at the coefficients: it evaluates the
region from the limit to the division at a few points, and compares with erf itself.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erf

from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Elementwise

_POINTS = (-3.0, -1.0, -0.25, 0.5, 2.0)
_TOLERANCE = 1e-3  # coefficients may have passed through bfloat16
_MAX_REGION = 64
_MIN_LIMIT, _MAX_LIMIT = 2.5, 10.0

_FUNCTIONS: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "square": lambda a: a * a,
}


def fuse_erf(ws: Rewriter, limit: Vertex) -> None:
    """Replaces a written-out erf, of which ``limit`` is the limitation of its argument, by one elementwise operator."""
    low, high = _limits(ws, limit)
    if low is None or high is None or low != -high or not _MIN_LIMIT <= high <= _MAX_LIMIT:
        return
    region = _region(ws, limit)
    if region is None:
        return
    last = region[-1]
    for x in _POINTS:
        found = _value(ws, region, limit, min(max(x, low), high))
        if found is None or abs(found - erf(x)) > _TOLERANCE:
            return
    source = limit.inputs[0]
    if not same(ws.elements(source), ws.elements(last.output)) or ws.dtype(source) != ws.dtype(last.output):
        return
    after = ws.sole_reader(last.output)
    if (
        after is not None
        and after.computes("clip")
        and _limits(ws, after) == (-1.0, 1.0)
        and after.inputs[0] == last.output
    ):
        region, last = [*region, after], after  # newer versions limit the result, too
    op = Elementwise(kind="erf", dtype=ws.dtype(source), elements=ws.elements(last.output), inputs=1)
    ws.merge([limit, *region], main=region[0], op=op, inputs=(source,), outputs=(last.output,), attributes={})


def _limits(ws: Rewriter, limit: Vertex) -> tuple[float | None, float | None]:
    values = [ws.scalar(n) for n in limit.inputs[1:3]]
    if len(values) == 2:
        return values[0], values[1]
    attributes = limit.node.attributes
    return attributes.get("min"), attributes.get("max")


def _region(ws: Rewriter, limit: Vertex) -> list[Vertex] | None:
    """The vertices from a limit to the one division that all of them lead to, in order; None where there is none."""
    found: dict[Vertex, None] = {}
    waiting = [limit]
    while waiting:
        for reader in ws.readers(waiting.pop().output):
            if reader in found or (reader.computes("div") and len(reader.node.outputs) == 1 and _ends(ws, reader)):
                found[reader] = None
                continue
            if not (isinstance(reader.op, Elementwise) and reader.kind in _FUNCTIONS) or len(found) == _MAX_REGION:
                return None
            found[reader] = None
            waiting.append(reader)
    ordered = sorted(found, key=lambda v: v.key)
    ends = [v for v in ordered if v.computes("div")]
    return ordered if len(ends) == 1 and ordered[-1] is ends[0] and len(ordered) > 4 else None


def _ends(ws: Rewriter, division: Vertex) -> bool:
    """Whether a division is of two values that are both computed."""
    return len(division.inputs) == 2 and all(ws.scalar(n) is None for n in division.inputs)


def _value(ws: Rewriter, region: list[Vertex], limit: Vertex, x: float) -> float | None:
    values = {limit.output: x}
    for vertex in region:
        operands = [values.get(n, ws.scalar(n)) for n in vertex.inputs]
        if any(o is None for o in operands):
            return None
        try:
            values[vertex.output] = _FUNCTIONS[vertex.kind](*operands)
        except (ArithmeticError, TypeError):
            return None
    return values[region[-1].output]

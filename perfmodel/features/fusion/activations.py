"""Activations that an exporter wrote out as arithmetic, back into one operator.

Activations are recognised by what they compute, not by the order of their nodes: the arithmetic around an anchor
(erf, tanh, sigmoid, ...) is multiplied out into a polynomial of the input x and of the anchor's result e, and
compared with the definition. ``0.5·x·(1 + e)``, ``(x·0.5)·(e + 1)`` and ``0.5·(x + x·e)`` are the same polynomial, so
that all orders of writing are found by one rule.

Definitions: GELU and its tanh form from Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2; SiLU
from Elfwing et al. (2017); swish from Ramachandran et al., "Searching for Activation Functions" (2017); hard swish
from Howard et al., "Searching for MobileNetV3" (2019), section 5.2; Mish from Misra (2019).
"""

from __future__ import annotations

from math import pi, sqrt
from typing import TypeAlias

from perfmodel.features.fusion.approximations import fuse_erf
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Elementwise

Polynomial: TypeAlias = dict[tuple[int, int], float]
"""Coefficients by the powers of (x, e)."""

_X: Polynomial = {(1, 0): 1.0}
_GELU: Polynomial = {(1, 0): 0.5, (1, 1): 0.5}
_PRODUCT: Polynomial = {(1, 1): 1.0}
_SIXTH: Polynomial = {(1, 1): 1 / 6}

_ANCHORS = frozenset(("erf", "tanh", "sigmoid", "hard_sigmoid", "clip", "min", "relu"))
_MAX_DEGREE = 4
_MAX_DEPTH = 8
_MAX_STEPS = 5
_TOLERANCE = 4e-3  # constants may have passed through bfloat16: 8 bits of mantissa


def fuse_activations(ws: Rewriter, *, hard_swish: bool = True) -> None:
    """Decomposed sigmoid, GELU (erf and tanh), SiLU, swish, hard swish and Mish become one elementwise operator
    each.

    Args:
        hard_swish: False leaves hard swish as it is, for runtimes that do not know it.
    """
    for vertex in ws.vertices(Elementwise):
        if vertex.kind == "exp" and ws.alive(vertex) and vertex.computes("exp"):
            _sigmoid(ws, vertex)
        elif vertex.kind == "clip" and ws.alive(vertex) and vertex.computes("clip"):
            fuse_erf(ws, vertex)
    # A new list: sigmoids that were just put together are anchors of SiLU.
    for vertex in ws.vertices(Elementwise):
        if vertex.kind not in _ANCHORS or not ws.alive(vertex):
            continue
        if vertex.computes("erf"):
            _activation(ws, vertex, "gelu", {(1, 0): sqrt(0.5)}, _GELU)
        elif vertex.computes("tanh"):
            slope = sqrt(2 / pi)
            _activation(ws, vertex, "gelu_tanh", {(1, 0): slope, (3, 0): slope * 0.044715}, _GELU) or _mish(ws, vertex)
        elif vertex.computes("sigmoid"):
            _activation(ws, vertex, "silu", _X, _PRODUCT) or _activation(ws, vertex, "swish", None, _PRODUCT)
        elif vertex.computes("hard_sigmoid") and hard_swish:
            _activation(ws, vertex, "hard_swish", _X, _PRODUCT)
        elif vertex.computes("clip", "min", "relu") and hard_swish:
            _hard_swish(ws, vertex)


def _activation(
    ws: Rewriter,
    anchor: Vertex,
    kind: str,
    inner: Polynomial | None,
    outer: Polynomial,
    *,
    start: str | None = None,
    members: tuple[Vertex, ...] = (),
) -> bool:
    """Replaces arithmetic around an anchor that computes ``outer(x, anchor(inner(x)))``.

    Args:
        inner: what the anchor is applied to; None means any multiple of x.
        start: the tensor that holds inner(x); None means the anchor's first operand.
        members: further vertices between ``start`` and the anchor.
    """
    start = anchor.inputs[0] if start is None else start
    first = ws.sole_reader(anchor.output)
    if first is None or not first.computes("mul", "add", "sub", "div"):
        return False  # every definition multiplies or shifts the anchor's result
    for x in _candidates(ws, start):
        before: dict[Vertex, None] = {}
        found = _polynomial(ws, start, x, None, before)
        if found is None:
            continue
        is_inner = _is_equal(found, inner) if inner is not None else set(found) == {(1, 0)}
        if not is_inner:
            continue
        step: Vertex | None = anchor
        for _ in range(_MAX_STEPS):
            step = _next(ws, step, anchor) if step is not None else None
            if step is None:
                break
            after: dict[Vertex, None] = {}
            if not _is_equal(_polynomial(ws, step.output, x, anchor.output, after), outer):
                continue
            return _replace(ws, [anchor, *members, *before, *after], anchor, kind, x, step)
    return False


def _next(ws: Rewriter, step: Vertex, anchor: Vertex) -> Vertex | None:
    reader = ws.sole_reader(step.output)
    return reader if reader is not None and isinstance(reader.op, Elementwise) and reader is not anchor else None


def _replace(ws: Rewriter, members: list[Vertex], anchor: Vertex, kind: str, x: str, last: Vertex) -> bool:
    elements = ws.elements(last.output)
    if not (same(elements, ws.elements(x)) and ws.dtype(x) == ws.dtype(last.output)):
        return False
    op = Elementwise(kind=kind, dtype=ws.dtype(x), elements=elements, inputs=1)
    merged = ws.merge(members, main=anchor, op=op, inputs=(x,), outputs=(last.output,), attributes={})
    return merged is not None


def _candidates(ws: Rewriter, start: str) -> list[str]:
    """Tensors that x may be, nearest to the anchor first."""
    found = [start]
    for name in found:
        maker = ws.maker(name)
        if maker is None or len(found) > 12 or not maker.computes("mul", "div", "add", "sub", "pow", "square", "neg"):
            continue
        found.extend(n for n in maker.inputs if n not in found and ws.scalar(n) is None)
    return found


def _polynomial(
    ws: Rewriter, name: str, x: str, e: str | None, used: dict[Vertex, None], depth: int = 0
) -> Polynomial | None:
    """What a tensor is in terms of x and e; None when it is anything but a polynomial of them.

    The vertices that compute it are added to ``used``.
    """
    if name == x:
        return {(1, 0): 1.0}
    if name == e:
        return {(0, 1): 1.0}
    constant = ws.scalar(name)
    if constant is not None:
        return {(0, 0): constant}
    vertex = ws.maker(name)
    if vertex is None or depth > _MAX_DEPTH or not isinstance(vertex.op, Elementwise):
        return None
    parts = [_polynomial(ws, n, x, e, used, depth + 1) for n in vertex.inputs]
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    result = _apply(vertex.kind, known)
    if result is not None:
        used[vertex] = None
    return result


def _apply(kind: str, operands: list[Polynomial]) -> Polynomial | None:
    if len(operands) == 1:
        (a,) = operands
        return {"neg": _scaled(a, -1.0), "square": _times(a, a)}.get(kind)
    if len(operands) != 2:
        return None
    a, b = operands
    number = b.get((0, 0), 0.0) if set(b) <= {(0, 0)} else None
    if kind == "mul":
        return _times(a, b)
    if kind in ("add", "sub"):
        total = dict(a)
        for powers, value in _scaled(b, 1.0 if kind == "add" else -1.0).items():
            total[powers] = total.get(powers, 0.0) + value
        return total
    if kind == "div" and number:
        return _scaled(a, 1 / number)
    if kind == "pow" and number in (1.0, 2.0, 3.0):
        power = a
        for _ in range(int(number) - 1):
            power = _times(power, a)
        return power
    return None


def _scaled(a: Polynomial, factor: float) -> Polynomial:
    return {powers: factor * value for powers, value in a.items()}


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    product: Polynomial = {}
    for (i, j), u in a.items():
        for (k, m), v in b.items():
            if i + k + j + m <= _MAX_DEGREE:
                product[i + k, j + m] = product.get((i + k, j + m), 0.0) + u * v
            else:
                product[_MAX_DEGREE + 1, 0] = 1.0  # matches no definition
    return product


def _is_equal(a: Polynomial | None, b: Polynomial) -> bool:
    if a is None:
        return False
    scale = max(abs(v) for v in b.values())
    return all(
        abs(a.get(p, 0.0) - b.get(p, 0.0)) <= _TOLERANCE * (abs(b.get(p, 0.0)) or 1e-3 * scale)
        for p in a.keys() | b.keys()
    )


def _sigmoid(ws: Rewriter, exp: Vertex) -> bool:
    """1 / (1 + exp(-x)) and x / (1 + exp(-x))."""
    start, minus = exp.inputs[0], {(1, 0): -1.0}
    plus_one = ws.sole_reader(exp.output)
    if plus_one is None or not plus_one.computes("add"):
        return False
    one = plus_one.other(exp.output)
    last = ws.sole_reader(plus_one.output)
    if one is None or not ws.is_close(one, 1.0) or last is None:
        return False
    for x in _candidates(ws, start):
        before: dict[Vertex, None] = {}
        found = _polynomial(ws, start, x, None, before)
        if found is None or not _is_equal(found, minus):
            continue
        is_division = last.computes("div") and last.inputs[1] == plus_one.output
        if last.computes("reciprocal") or (is_division and ws.is_close(last.inputs[0], 1.0)):
            kind = "sigmoid"
        elif is_division and last.inputs[0] == x:
            kind = "silu"
        else:
            continue
        return _replace(ws, [exp, plus_one, last, *before], exp, kind, x, last)
    return False


def _mish(ws: Rewriter, tanh: Vertex) -> bool:
    """x · tanh(softplus(x))."""
    softplus = ws.maker(tanh.inputs[0])
    if softplus is None or not softplus.computes("softplus"):
        return False
    return _activation(ws, tanh, "mish", _X, _PRODUCT, start=softplus.inputs[0], members=(softplus,))


def _hard_swish(ws: Rewriter, clip: Vertex) -> bool:
    """x · clip(x + 3, 0, 6) / 6, and x · clip(x/6 + 1/2, 0, 1); the limits may be a relu and a min (relu6)."""
    members: tuple[Vertex, ...] = ()
    start = clip.inputs[0]
    limits = [v for v in (ws.scalar(n) for n in clip.inputs[1:]) if v is not None]
    if clip.computes("min"):
        relu = ws.maker(start)
        if relu is None or not relu.computes("relu", "max"):
            return False
        members, start = (relu,), relu.inputs[0]
    elif clip.computes("relu"):
        return False  # relu6 is anchored at its min
    else:
        limits += [float(clip.node.attributes[a]) for a in ("min", "max") if a in clip.node.attributes]
    if any(abs(v - 6) < 1e-2 for v in limits):
        return _activation(ws, clip, "hard_swish", {(1, 0): 1.0, (0, 0): 3.0}, _SIXTH, start=start, members=members)
    return _activation(ws, clip, "hard_swish", {(1, 0): 1 / 6, (0, 0): 0.5}, _PRODUCT, start=start, members=members)

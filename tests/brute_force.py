"""Naive definitions of operators on numbers that count what is done with them.

Nothing here knows perfmodel. An operator is written as its specification reads: loops over the elements of the result
and the taps of the kernel, one multiplication and one addition at a time. Conventions: accumulators start from the neutral
element; what lies in the padding is multiplied and added like everything else; a mean multiplies by 1/n once, instead of
adding its first element.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

COST = {"add": 1, "sub": 1, "mul": 1, "compare": 1, "div": 4, "sqrt": 4, "exp": 8, "log": 8, "tanh": 8, "pow": 8}


class Tally:
    """FLOPs so far."""

    def __init__(self) -> None:
        self.flops = 0

    def of(self, kind: str) -> None:
        self.flops += COST[kind]


class Number:
    """A number that tells its tally of every operation."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        self.value, self.tally = value, tally

    def _made(self, value: float, kind: str) -> Number:
        self.tally.flops += COST[kind]
        return Number(value, self.tally)

    def __add__(self, other: Number) -> Number:
        return self._made(self.value + other.value, "add")

    def __sub__(self, other: Number) -> Number:
        return self._made(self.value - other.value, "sub")

    def __mul__(self, other: Number) -> Number:
        return self._made(self.value * other.value, "mul")

    def __truediv__(self, other: Number) -> Number:
        return self._made(self.value / other.value if other.value else math.nan, "div")

    def __neg__(self) -> Number:
        return self._made(-self.value, "sub")

    def __abs__(self) -> Number:
        return self._made(abs(self.value), "compare")

    def largest(self, other: Number) -> Number:
        return self._made(max(self.value, other.value), "compare")

    def smallest(self, other: Number) -> Number:
        return self._made(min(self.value, other.value), "compare")

    def function(self, name: str) -> Number:
        with np.errstate(all="ignore"):
            return self._made(float(getattr(np, name)(self.value)), name)

    def power(self, exponent: float) -> Number:
        return self._made(float(self.value**exponent), "pow")


def numbers(array: Any, tally: Tally) -> np.ndarray:
    """The array's elements as counting numbers."""
    flat = np.asarray(array, dtype=np.float64).reshape(-1)
    out = np.empty(flat.shape, dtype=object)
    out[:] = [Number(v, tally) for v in flat.tolist()]
    return out.reshape(np.shape(array))


def values(array: np.ndarray) -> np.ndarray:
    """The plain numbers of an array of counting ones."""
    return np.vectorize(lambda n: n.value, otypes=[np.float64])(array) if array.size else np.zeros(array.shape)


def positions(shape: Iterable[int]) -> Iterable[tuple[int, ...]]:
    return itertools.product(*map(range, shape))


# --------------------------------------------------------------------------------------------------- products


def dot(pairs: Iterable[tuple[Number, Number]], tally: Tally) -> Number:
    total = Number(0.0, tally)
    for a, b in pairs:
        total = total + a * b
    return total


def matmul(a: np.ndarray, b: np.ndarray, tally: Tally) -> np.ndarray:
    """``numpy.matmul`` element by element."""
    first, second = a.ndim == 1, b.ndim == 1
    a = a[None] if first else a
    b = b[:, None] if second else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    out = np.empty((*batch, a.shape[-2], b.shape[-1]), dtype=object)
    for place in positions(out.shape):
        *lead, row, column = place
        index = tuple(lead)
        out[place] = dot(((a[(*index, row, k)], b[(*index, k, column)]) for k in range(a.shape[-1])), tally)
    out = out[..., 0, :] if first else out
    return out[..., 0] if second else out


def einsum(equation: str, operands: Sequence[np.ndarray], tally: Tally) -> np.ndarray:
    """Einsum over all values of all labels; one operand is summed, two are multiplied first where they are summed."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    letters = iter("ABCDEFGH")
    hidden = max(op.ndim - len(t.replace("...", "")) for t, op in zip(terms, operands, strict=True))
    dots = "".join(next(letters) for _ in range(hidden))

    def spelt(term: str, rank: int) -> str:
        return term.replace("...", dots[hidden - (rank - len(term.replace("...", ""))) :] if "..." in term else "")

    terms = [spelt(t, op.ndim) for t, op in zip(terms, operands, strict=True)]
    if arrow:
        right = right.replace("...", dots)
    else:
        flat = "".join(terms)
        right = dots + "".join(sorted(c for c in set(flat) if flat.count(c) == 1 and c not in dots))
    size = {c: op.shape[i] for t, op in zip(terms, operands, strict=True) for i, c in enumerate(t)}
    summed = [c for c in size if c not in right]
    out = np.empty([size[c] for c in right], dtype=object)
    for place in positions(out.shape):
        at = dict(zip(right, place, strict=True))
        total = Number(0.0, tally)
        for inner in positions(size[c] for c in summed):
            at.update(zip(summed, inner, strict=True))
            factors = [op[tuple(at[c] for c in t)] for t, op in zip(terms, operands, strict=True)]
            product = factors[0]
            for factor in factors[1:]:
                product = product * factor
            total = total + product if summed else product
        out[place] = total
    return out


# ------------------------------------------------------------------------------------------------ convolutions


def window(attributes: dict[str, Any], sizes: Sequence[int], kernel: Sequence[int]) -> tuple[Any, ...]:
    """(strides, dilations, padding in front, extents of the result) as the specification of Conv and the pools says."""
    count = len(sizes)
    strides = list(attributes.get("strides", [1] * count))
    dilations = list(attributes.get("dilations", [1] * count))
    auto = attributes.get("auto_pad", "NOTSET")
    pads = list(attributes.get("pads", [0] * 2 * count))
    front, extents = [], []
    for axis in range(count):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        if auto.startswith("SAME"):
            extent = math.ceil(sizes[axis] / strides[axis])
            total = max((extent - 1) * strides[axis] + reach - sizes[axis], 0)
            front.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
        else:
            before, after = (0, 0) if auto == "VALID" else (pads[axis], pads[axis + count])
            span = (sizes[axis] + before + after - reach) / strides[axis]
            up = attributes.get("ceil_mode", 0)
            extent = (math.ceil(span) if up else math.floor(span)) + 1
            # A window must start inside the image or the padding before it.
            if up and (extent - 1) * strides[axis] >= sizes[axis] + before:
                extent -= 1
            front.append(before)
        extents.append(extent)
    return strides, dilations, front, extents


def at(image: np.ndarray, place: Sequence[int], otherwise: Number) -> Number:
    """The element, or ``otherwise`` where the place lies in the padding."""
    inside = all(0 <= p < s for p, s in zip(place, image.shape, strict=True))
    return image[tuple(place)] if inside else otherwise


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, attributes: dict[str, Any], tally: Tally) -> np.ndarray:
    strides, dilations, front, extents = window(attributes, x.shape[2:], w.shape[2:])
    groups = attributes.get("group", 1)
    width = w.shape[0] // groups
    zero = Number(0.0, tally)
    out = np.empty((x.shape[0], w.shape[0], *extents), dtype=object)
    for place in positions(out.shape):
        image, channel, *spot = place
        total = Number(0.0, tally)
        for c in range(w.shape[1]):
            plane = x[image, channel // width * w.shape[1] + c]
            for tap in positions(w.shape[2:]):
                where = [s * p - f + d * t for s, p, f, d, t in zip(strides, spot, front, dilations, tap, strict=True)]
                total = total + at(plane, where, zero) * w[(channel, c, *tap)]
        out[place] = total if b is None else total + b[channel]
    return out


def conv_transpose(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, attributes: dict[str, Any], extents: Sequence[int], tally: Tally
) -> np.ndarray:
    """Every element of the input is spread over the result; ``extents`` are those of the result."""
    count = x.ndim - 2
    strides = list(attributes.get("strides", [1] * count))
    dilations = list(attributes.get("dilations", [1] * count))
    groups = attributes.get("group", 1)
    per_group = x.shape[1] // groups
    full = [(x.shape[2 + a] - 1) * strides[a] + (w.shape[2 + a] - 1) * dilations[a] + 1 for a in range(count)]
    out = np.empty(
        (x.shape[0], w.shape[1] * groups, *(max(f, e) for f, e in zip(full, extents, strict=True))), dtype=object
    )
    for place in positions(out.shape):
        out[place] = Number(0.0, tally)
    for image, channel, *spot in positions(x.shape):
        for c in range(w.shape[1]):
            target = channel // per_group * w.shape[1] + c
            for tap in positions(w.shape[2:]):
                where = (
                    image,
                    target,
                    *(s * p + d * t for s, p, d, t in zip(strides, spot, dilations, tap, strict=True)),
                )
                out[where] = out[where] + x[(image, channel, *spot)] * w[(channel, c, *tap)]
    if b is not None:
        # The bias is added to what is left of the result.
        tally.flops += x.shape[0] * w.shape[1] * groups * math.prod(extents)
    return out


# ------------------------------------------------------------------------------------------ pools and reductions


def fold(kind: str, items: Sequence[Number], tally: Tally, p: float = 2) -> Number:
    """One result of a reduction or of a pool."""
    first = {"max": -math.inf, "min": math.inf, "prod": 1.0}.get(kind, 0.0)
    total = Number(first, tally)
    if kind == "mean":
        total = items[0]
        for item in items[1:]:
            total = total + item
        return total * Number(1 / len(items), tally)
    if kind == "log_sum_exp":
        top = fold("max", items, tally)
        for item in items:
            total = total + (item - top).function("exp")
        return total.function("log") + top
    for item in items:
        if kind == "max":
            total = total.largest(item)
        elif kind == "min":
            total = total.smallest(item)
        elif kind == "prod":
            total = total * item
        elif kind in ("sum", "log_sum"):
            total = total + item
        elif kind == "l1":
            total = total + abs(item)
        elif kind in ("l2", "sum_square"):
            total = total + item * item
        else:
            total = total + abs(item).power(p)
    if kind == "l2":
        return total.function("sqrt")
    if kind == "log_sum":
        return total.function("log")
    return total.power(1 / p) if kind == "lp" else total


def pool(kind: str, x: np.ndarray, attributes: dict[str, Any], tally: Tally) -> np.ndarray:
    kernel = attributes["kernel_shape"]
    strides, dilations, front, extents = window(attributes, x.shape[2:], kernel)
    outside = Number(-math.inf if kind == "max" else 0.0, tally)
    out = np.empty((*x.shape[:2], *extents), dtype=object)
    for place in positions(out.shape):
        image, channel, *spot = place
        items = [
            at(x[image, channel],
               [s * p - f + d * t for s, p, f, d, t in zip(strides, spot, front, dilations, tap, strict=True)], outside)
            for tap in positions(kernel)
        ]  # fmt: skip
        out[place] = fold(kind, items, tally, attributes.get("p", 2))
    return out


def reduce(kind: str, x: np.ndarray, axes: Sequence[int], tally: Tally) -> np.ndarray:
    """Over these axes, which leave the shape."""
    kept = [a for a in range(x.ndim) if a not in axes]
    out = np.empty([x.shape[a] for a in kept], dtype=object)
    moved = np.transpose(x, [*kept, *axes]).reshape([*out.shape, -1])
    for place in positions(out.shape):
        items = list(moved[place])
        out[place] = fold(kind, items, tally)
    return out


def softmax(x: np.ndarray, tally: Tally, *, log: bool = False) -> np.ndarray:
    """Over the last axis, of a matrix."""
    out = np.empty(x.shape, dtype=object)
    for row in range(x.shape[0]):
        top = fold("max", list(x[row]), tally)
        shifted = [item - top for item in x[row]]
        raised = [item.function("exp") for item in shifted]
        total = fold("sum", raised, tally)
        if log:
            logarithm = total.function("log")
            out[row] = [item - logarithm for item in shifted]
        else:
            out[row] = [item / total for item in raised]
    return out

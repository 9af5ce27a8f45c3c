"""Nests of loops over tensors whose indices are windows: convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.call import Call, Modelled, RuleError
from perfmodel.features.mlir.contractions import Format, Scales
from perfmodel.features.mlir.convolutions import Window, filtered, pool
from perfmodel.graph import Tensor


@dataclass(slots=True)
class Nest:
    """A nest of loops over tensors.

    Attributes:
        ins, outs: the tensors read and written.
        maps: for each of them, what its axes are indexed with.
        sizes: extent of each loop; None where unknown.
        reducing: which loops reduce.
        initial: the accumulators' initial values where they are tensors of the device; None for fills.
    """

    ins: list[Tensor]
    outs: list[Tensor]
    maps: list[AffineMap]
    sizes: list[Any]
    reducing: frozenset[int]
    initial: list[Tensor | None]


@dataclass(slots=True)
class Prologue:
    """What a product's kernel does with its operands before it multiplies them.

    Attributes:
        scales: of the narrow operand, where there is one.
        read: scales, zero points and what else is read beside the operands.
        parts: the arithmetic on each operand, by the operand's name.
        after: the arithmetic on the sums.
    """

    scales: Scales | None = None
    read: list[Tensor] = field(default_factory=list)
    parts: dict[str, tuple[ops.Operator, ...]] = field(default_factory=dict)
    after: tuple[ops.Operator, ...] = ()

    def of(self, answer: Modelled, form: Format) -> Modelled:
        """A product with its prologue; formats that name two dtypes have the conversion in themselves."""
        converted = form.narrow.name if form.is_named and form.narrow is not None else None
        fused = [p for name, parts in self.parts.items() if name != converted for p in parts]
        extra = answer.extra_bytes_read + sum(t.bytes for t in self.read)
        return Modelled(answer.op, answer.attributes, (*fused, *self.after), extra)


def letters(map_: AffineMap) -> list[Any]:
    """The loop that each axis is indexed by, None for a constant.

    Raises:
        RuleError: an axis is indexed by more than one loop.
    """
    found: list[Any] = []
    for expression in map_.results:
        if isinstance(expression, int):
            found.append(None)
        elif expression[0] == "d":
            found.append(expression[1])
        else:
            raise RuleError("an index is more than one loop's")
    return found


def emit_accumulated(call: Call, answer: Modelled, inputs: list[Tensor], out: Tensor, initial: Tensor | None) -> None:
    """A product, and the addition of what its accumulator starts from: a bias, or an earlier result."""
    op, attributes, fused, read = answer.op, answer.attributes, answer.fused, answer.extra_bytes_read
    if initial is None:
        call.emit(op, inputs, (out,), attributes, fused=fused, extra=read)
        return
    add = ops.Elementwise(
        kind="add", elements=out.elements, inputs=1, input_elements=out.elements + initial.elements, dtype=out.dtype
    )
    attributes = {**attributes, "bias": initial.name}
    call.emit(op, [*inputs, initial], (out,), attributes, fused=(*fused, add), extra=read + initial.bytes)


def convolved(call: Call, nest: Nest, a: int, b: int, around: Prologue) -> None:
    """Describe a sum of products of operand ``a``, which is indexed by windows, and operand ``b``, the filters."""
    x, w, out = nest.ins[a], nest.ins[b], nest.outs[0]
    of_w, of_out = letters(nest.maps[b]), letters(nest.maps[len(nest.ins)])
    size_w = dict(zip(of_w, w.shape or (), strict=True))
    size_out = dict(zip(of_out, out.shape or (), strict=True))
    batch: Any = 1
    c_in: Any = 1
    groups: Any = 1
    sizes, kernel, strides, dilations, results = [], [], [], [], []
    seen = set()
    for expression, size in zip(nest.maps[a].results, x.shape or (), strict=True):
        if isinstance(expression, int):
            continue
        if expression[0] == "d":
            d = expression[1]
            seen.add(d)
            if d in size_out and d in size_w:
                groups = groups * size
            elif d in size_out:
                batch = batch * size
            else:
                c_in = c_in * size
            continue
        window = window_terms(expression, set(size_out), nest.reducing)
        if window is None:
            raise RuleError("an index is no window over an axis")
        (moved, stride), (inner, dilation) = window
        seen.update((moved, inner))
        sizes.append(size)
        kernel.append(size_w.get(inner, nest.sizes[inner] if nest.sizes[inner] is not None else 1))
        strides.append(stride)
        dilations.append(dilation)
        results.append(size_out.get(moved, 1))
    c_out = prod(size for d, size in size_w.items() if d in size_out and d not in seen)
    pads = [0] * len(sizes)
    op, form = filtered(
        Window(sizes, kernel, strides, dilations, pads, results), x, w, out, batch=batch, c_in=c_in * groups,
        c_out=c_out * groups, groups=groups, scales=around.scales,
    )  # fmt: skip
    channels = [i for i, d in enumerate(of_out) if d in size_w]
    attributes = {"groups": groups, "strides": tuple(strides), "channel_axis": channels[0] if channels else 1}
    answer = Modelled(op, attributes, (), form.extra_bytes(op, w))
    emit_accumulated(call, around.of(answer, form), [x, w, *around.read], out, nest.initial[0])


def window_terms(
    expression: Any, outer: set[Any], reducing: frozenset[int]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """((loop of the result, stride), (loop of the window, dilation)) of ``d0 * 2 + d3``; None for anything else."""
    if expression[0] != "+":
        return None
    terms = []
    for side in expression[1:]:
        if isinstance(side, tuple) and side[0] == "d":
            terms.append((side[1], 1))
        elif isinstance(side, tuple) and side[0] == "*":
            factor = next((s for s in side[1:] if isinstance(s, int)), None)
            loop = next((s for s in side[1:] if isinstance(s, tuple) and s[0] == "d"), None)
            if factor is None or loop is None:
                return None
            terms.append((loop[1], factor))
        else:
            return None
    moved = [t for t in terms if t[0] in outer and t[0] not in reducing]
    inner = [t for t in terms if t[0] in reducing]
    return (moved[0], inner[0]) if len(moved) == len(inner) == 1 else None


def pooled(call: Call, nest: Nest, kind: str) -> None:
    """Describe a reduction of windows."""
    x, out = nest.ins[0], nest.outs[0]
    of_out = letters(nest.maps[len(nest.ins)])
    size_out = dict(zip(of_out, out.shape or (), strict=True))
    sizes, kernel, strides, dilations, results = [], [], [], [], []
    fixed: list[Any] = []
    for expression, size in zip(nest.maps[0].results, x.shape or (), strict=True):
        window = (
            None
            if isinstance(expression, int) or expression[0] == "d"
            else window_terms(expression, set(size_out), nest.reducing)
        )
        if window is None:
            fixed.append(size)
            continue
        (moved, stride), (inner, dilation) = window
        extent = nest.sizes[inner]
        if extent is None:
            raise RuleError("the extent of its window is not known")
        sizes.append(size)
        kernel.append(extent)
        strides.append(stride)
        dilations.append(dilation)
        results.append(size_out.get(moved, 1))
    op = pool(
        Window(sizes, kernel, strides, dilations, [0] * len(sizes), results), kind={"sum": "average"}.get(kind, kind),
        batch=fixed[0] if fixed else 1, channels=prod(fixed[1:]), dtype=x.dtype,
    )  # fmt: skip
    call.emit(op, (x,), (out,), {"kernel": tuple(kernel), "strides": tuple(strides)})

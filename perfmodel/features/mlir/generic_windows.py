"""Nests of loops over tensors whose indices are windows: convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.call import Call, RuleError
from perfmodel.features.mlir.contractions import out_dtype_of
from perfmodel.features.mlir.convolutions import Window, convolution, pool
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


def emit_accumulated(
    call: Call, op: ops.Operator, inputs: list[Tensor], out: Tensor, attributes: dict[str, Any], initial: Tensor | None
) -> None:
    """A product, and the addition of what its accumulator starts from: a bias, or an earlier result."""
    if initial is None:
        call.emit(op, inputs, (out,), attributes)
        return
    add = ops.Elementwise(
        kind="add", elements=out.elements, inputs=1, input_elements=out.elements + initial.elements, dtype=out.dtype
    )
    call.emit(op, [*inputs, initial], (out,), {**attributes, "bias": initial.name}, fused=(add,), extra=initial.bytes)


def convolved(call: Call, nest: Nest, a: int, b: int) -> None:
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
    op = convolution(
        Window(sizes, kernel, strides, dilations, pads, results), batch=batch, c_in=c_in * groups, c_out=c_out * groups,
        groups=groups, dtype=x.dtype, out_dtype=out_dtype_of(x, out),
    )  # fmt: skip
    channels = [i for i, d in enumerate(of_out) if d in size_w]
    attributes = {"groups": groups, "strides": tuple(strides), "channel_axis": channels[0] if channels else 1}
    emit_accumulated(call, op, [x, w], out, attributes, nest.initial[0])


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

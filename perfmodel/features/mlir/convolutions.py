"""Convolutions by the roles of their axes: the one way from any layout of any dialect to :class:`perfmodel.ops.Conv`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import DefinitionError, RuleError
from perfmodel.features.mlir.contractions import Format, Scales, format_of
from perfmodel.features.onnx.rules_memory import over
from perfmodel.graph import Tensor
from perfmodel.ops.base import at_least, is_symbolic


@dataclass(frozen=True, slots=True)
class Window:
    """What a window does along the spatial axes, outermost first.

    Attributes:
        sizes: extent of the input.
        kernel: extent of the window.
        strides, dilations: of the window.
        pads: padding of both sides together; may be negative.
        results: extent of the output.
        spread: distance of the input's elements (``lhs_dilation``); above 1 in transposed convolutions.
    """

    sizes: Sequence[Any]
    kernel: Sequence[Any]
    strides: Sequence[int]
    dilations: Sequence[int]
    pads: Sequence[Any]
    results: Sequence[Any]
    spread: Sequence[int] = ()


def convolution(
    window: Window, *, batch: Any, c_in: Any, c_out: Any, groups: Any, dtype: str, out_dtype: str | None
) -> ops.Conv:
    """The descriptor of a convolution.

    Raises:
        RuleError: more than three spatial axes.
    """
    window = _squeezed(window)
    window = _fitting(window)
    count = len(window.sizes)
    if count > 3:
        raise RuleError(f"it has {count} spatial axes; up to 3 are covered")
    if window.spread and any(s > 1 for s in window.spread):
        return _transposed(window, batch, c_in, c_out, groups, dtype, out_dtype)
    d, h, w = _three(window.sizes, 1)
    kernel_d, kernel_h, kernel_w = _three(window.kernel, 1)
    stride_d, stride_h, stride_w = _three(window.strides, 1)
    dilation_d, dilation_h, dilation_w = _three(window.dilations, 1)
    sizes, pads = [d, h, w], list(_three([half(p) for p in window.pads], 0))
    for axis in range(3):
        if isinstance(pads[axis], (int, float)) and pads[axis] < 0:  # cropped: the input is smaller instead
            sizes[axis], pads[axis] = sizes[axis] + int(2 * pads[axis]), 0
    return ops.Conv(
        batch=batch, c_in=c_in, c_out=c_out, groups=groups, depth=sizes[0], h=sizes[1], w=sizes[2],
        kernel_d=kernel_d, kernel_h=kernel_h, kernel_w=kernel_w, stride_d=stride_d, stride_h=stride_h,
        stride_w=stride_w, pad_d=pads[0], pad_h=pads[1], pad_w=pads[2], dilation_d=dilation_d, dilation_h=dilation_h,
        dilation_w=dilation_w, dtype=dtype, out_dtype=out_dtype,
    )  # fmt: skip


def filtered(
    window: Window, x: Tensor, w: Tensor, out: Tensor, *, batch: Any, c_in: Any, c_out: Any, groups: Any,
    scales: Scales | None = None,
) -> tuple[ops.Conv, Format]:  # fmt: skip
    """The descriptor of a convolution of x with the filters w, and the format in which the two are multiplied.

    Args:
        scales: of the narrower of the two.
    """
    form = format_of(x, w, scales, over(w.elements, c_out), fixed=True)
    op = convolution(
        window,
        batch=batch,
        c_in=c_in,
        c_out=c_out,
        groups=groups,
        dtype=form.dtype,
        out_dtype=form.out_dtype(out.dtype),
    )
    return op, form


def _results(window: Window) -> list[Any]:
    """What a window makes of each axis: floor((size + pads - dilation·(kernel - 1) - 1) / stride) + 1; None where unknown."""
    rows = (window.sizes, window.kernel, window.strides, window.dilations, window.pads)
    return [
        (size + pad - dilation * (kernel - 1) - 1) // stride + 1
        if all(isinstance(n, int) for n in (size, kernel, stride, dilation, pad)) and stride > 0
        else None
        for size, kernel, stride, dilation, pad in zip(*rows, strict=True)
    ]


def exact(window: Window) -> Window:
    """A window of a dialect that says how large the result must be.

    Raises:
        DefinitionError: it has another size.
    """
    if not any(s > 1 for s in window.spread):
        for axis, (wanted, found) in enumerate(zip(_results(window), window.results, strict=True)):
            same_size(f"a result of %s elements along spatial axis {axis}", wanted, found)
    return window


def same_size(what: str, wanted: Any, found: Any) -> None:
    """Refuse two sizes that the definition of an operation wants equal.

    Args:
        what: what is expected, with ``%s`` for the number.

    Raises:
        DefinitionError: both are known, and differ.
    """
    if isinstance(wanted, int) and isinstance(found, int) and wanted != found:
        raise DefinitionError(f"expected {what % wanted}, found {found}")


def _fitting(window: Window) -> Window:
    """The part of the input that the results need: loops over results may stop before the input's end.

    Raises:
        DefinitionError: the windows of the results reach beyond the input.
    """
    if any(s > 1 for s in window.spread):
        return window
    sizes = list(window.sizes)
    for axis, (made, result) in enumerate(zip(_results(window), window.results, strict=True)):
        if not isinstance(made, int) or not isinstance(result, int) or made == result:
            continue
        if made < result:
            raise DefinitionError(f"expected at most {made} results along spatial axis {axis}, found {result}")
        sizes[axis] -= (made - result) * window.strides[axis]
    return replace(window, sizes=sizes)


def _transposed(
    window: Window, batch: Any, c_in: Any, c_out: Any, groups: Any, dtype: str, out_dtype: str | None
) -> ops.Conv:
    """A convolution over an input with zeros between its elements, as the transposed one that it is."""
    excess = [
        (size - 1) * s + d * (k - 1) + 1 - out
        for size, s, d, k, out in zip(
            window.sizes, window.spread, window.dilations, window.kernel, window.results, strict=True
        )
    ]
    pads = [half(at_least(e, 0)) for e in excess]
    extra = [at_least(-e, 0) for e in excess]
    d, h, w = _three(window.sizes, 1)
    kernel_d, kernel_h, kernel_w = _three(window.kernel, 1)
    stride_d, stride_h, stride_w = _three(window.spread, 1)
    dilation_d, dilation_h, dilation_w = _three(window.dilations, 1)
    pad_d, pad_h, pad_w = _three(pads, 0)
    out_d, out_h, out_w = _three(extra, 0)
    return ops.Conv(
        batch=batch, c_in=c_in, c_out=c_out, groups=groups, transposed=True, depth=d, h=h, w=w, kernel_d=kernel_d,
        kernel_h=kernel_h, kernel_w=kernel_w, stride_d=stride_d, stride_h=stride_h, stride_w=stride_w, pad_d=pad_d,
        pad_h=pad_h, pad_w=pad_w, dilation_d=dilation_d, dilation_h=dilation_h, dilation_w=dilation_w, out_pad_d=out_d,
        out_pad_h=out_h, out_pad_w=out_w, dtype=dtype, out_dtype=out_dtype,
    )  # fmt: skip


def pool(window: Window, *, kind: str, batch: Any, channels: Any, dtype: str) -> ops.Pool:
    """The descriptor of pooling; three spatial axes are folded into two."""
    window = _squeezed(window)
    if not window.sizes:
        window = Window([1], [1], [1], [1], [0], [1])
    h, out_h, kernel_h = 1, 1, 1
    for size, out, kernel in zip(window.sizes[:-1], window.results[:-1], window.kernel[:-1], strict=True):
        h, out_h, kernel_h = h * size, out_h * out, kernel_h * kernel
    return ops.Pool(
        kind=kind, batch=batch, channels=channels, h=h, w=window.sizes[-1], out_h=out_h, out_w=window.results[-1],
        kernel_h=kernel_h, kernel_w=window.kernel[-1], dtype=dtype,
    )  # fmt: skip


def _squeezed(window: Window) -> Window:
    """Without axes of one element that nothing happens along, where there are more than two."""
    if len(window.sizes) <= 2:
        return window
    spread = window.spread or [1] * len(window.sizes)
    keep = [
        axis
        for axis in range(len(window.sizes))
        if not all(
            not is_symbolic(v) and v == 1 for v in (window.sizes[axis], window.kernel[axis], window.results[axis])
        )
    ]
    rows = (window.sizes, window.kernel, window.strides, window.dilations, window.pads, window.results, spread)
    return Window(*([row[axis] for axis in keep] for row in rows))


def half(total: Any) -> Any:
    """Padding of one side, where both sides have ``total`` together."""
    if isinstance(total, int):
        return total // 2 if total % 2 == 0 else total / 2
    return total / 2


def _three(values: Sequence[Any], filler: Any) -> tuple[Any, Any, Any]:
    """(depth, height, width) of up to three spatial values; missing leading ones are ``filler``."""
    depth, height, width = (filler,) * (3 - len(values)) + tuple(values)
    return depth, height, width

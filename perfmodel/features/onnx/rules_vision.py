"""Rules of operators on images and boxes: resizing, sampling, regions, suppression."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import every_operand
from perfmodel.ops.base import at_most, storage_bytes

ADAPTIVE_SAMPLES = 2
"""Samples along each side of a bin of RoiAlign where it says "as many as the region needs": regions of the size of their
bins, as detectors choose their feature maps, need up to two."""

_AXES = {1: "_1d", 2: "", 3: "_3d"}


def interpolation(mode: str, axes: int) -> str:
    """The kind of an interpolation along some axes.

    Raises:
        RuleError: along more than three.
    """
    if axes not in _AXES:
        raise RuleError(f"it interpolates along {axes} axes; 1 to 3 are covered")
    return f"resize_{'cubic' if mode in ('cubic', 'bicubic') else 'linear'}{_AXES[axes]}"


def resize(call: Call) -> Modelled:
    """Resize and Upsample: nearest neighbours are copied, others interpolated along the axes whose size changes."""
    mode = str(call.get("mode", "nearest"))
    x, out = call.shape(0), call.result()
    attributes = {"mode": mode}
    changed = sum(a != b for a, b in zip(x, out.shape or (), strict=True))
    if mode == "nearest" or not changed:
        op: ops.Operator = ops.Copy(
            kind="resize",
            elements=out.elements,
            read_elements=at_most(call.elements(0), out.elements),
            dtype=call.dtype,
        )
        return Modelled(op, attributes)
    kind = interpolation(mode, changed)
    op = ops.Elementwise(kind=kind, elements=out.elements, input_elements=call.elements(0), dtype=call.dtype)
    return Modelled(op, attributes)


def sample(call: Call) -> Modelled:
    """GridSample: neighbours at computed positions; the grid is read too."""
    out, grid = call.result(), call.tensor(1)
    mode = str(call.get("mode", "linear"))
    kind = "copy" if mode == "nearest" else interpolation(mode, len(call.shape(0)) - 2)
    op = ops.Elementwise(kind=kind, elements=out.elements, input_elements=call.elements(0), dtype=call.dtype)
    return Modelled(op, {"mode": mode}, (), grid.bytes)


def affine_grid(call: Call) -> ops.Gemm:
    """AffineGrid: every position of the image times a matrix of 2 x 3 (or 3 x 4) an image."""
    theta, out = call.shape(0), call.result_shape()
    return ops.Gemm(batch=out[0], m=elements(out[1:-1]), n=out[-1], k=theta[-1], dtype=call.dtype)


def roi_align(call: Call) -> Modelled:
    """RoiAlign(x, regions, batch indices): the mean (or maximum) of interpolated samples in each bin."""
    out = call.result()
    side = int(call.get("sampling_ratio", 0)) or ADAPTIVE_SAMPLES
    return _samples(call, "resize_linear+add", out.elements, side * side)


def _samples(call: Call, kind: str, results: Any, samples: int) -> Modelled:
    """Interpolated samples of a map; each reads four neighbours, and no more than the whole map is read."""
    neighbours = at_most(call.elements(0), 4 * samples * results)
    read = storage_bytes(neighbours, 8 * element_bytes(call.dtype))
    read = read + sum(call.tensor(i).bytes for i in range(1, len(call.inputs)) if call.has(i))
    return Modelled(every_operand(call, kind, results, steps=samples, read=read))


def crop_and_resize(call: Call) -> Modelled:
    """CropAndResize (com.microsoft): one interpolated sample for each element of the crops."""
    if str(call.get("mode", "bilinear")) == "nearest":
        return _samples(call, "copy", call.result().elements, 1)
    return _samples(call, "resize_linear", call.result().elements, 1)


def max_roi_pool(call: Call) -> Modelled:
    """MaxRoiPool: the sizes of the regions are data; each counts as the whole map, which is the most it can be."""
    x, regions = call.shape(0), call.shape(1)
    covered = regions[0] * elements(x[1:])
    read = at_most(call.tensor(0).bytes, storage_bytes(covered, 8 * element_bytes(call.dtype)))
    return Modelled(every_operand(call, "max", covered, read=read + call.tensor(1).bytes))


def suppression(call: Call) -> Modelled:
    """NonMaxSuppression: each box of a class against the boxes kept before it, at most.

    How many are kept is a dimension that depends on data.
    """
    boxes, scores = call.shape(0), call.shape(1)
    if len(boxes) != 3 or len(scores) != 3:
        raise RuleError("its boxes and scores do not have the rank 3")
    kept = call.result_shape()[0]
    return Modelled(every_operand(call, "iou", boxes[1] * kept, dtype=call.dtype))


def fold_columns(call: Call) -> Modelled:
    """Col2Im: every element of the blocks is added to its place in the image."""
    return Modelled(every_operand(call, "add", call.elements(0)))


def _square(call: Call) -> tuple[Any, Any]:
    shape = call.shape(0)
    if len(shape) < 2:
        raise RuleError(f"its operand has the rank {len(shape)}")
    return elements(shape[:-2]), shape[-1]


def determinant(call: Call) -> Modelled:
    """Det by elimination: n(n-1)/2 divisions, (n-1)n(2n-1)/6 products and subtractions, n-1 products of the diagonal."""
    matrices, n = _square(call)
    pairs = (n - 1) * n * (2 * n - 1) / 3
    steps = pairs + 4 * n * (n - 1) / 2 + (n - 1)
    return Modelled(every_operand(call, "add", matrices, steps=steps))


def inverse(call: Call) -> Modelled:
    """Inverse (com.microsoft) by elimination: 2·n^3 (Golub and Van Loan, "Matrix Computations", section 3.4)."""
    matrices, n = _square(call)
    return Modelled(every_operand(call, "add", matrices, steps=2 * n**3))


RULES: dict[str, Rule] = {
    "AffineGrid": affine_grid,
    "Col2Im": fold_columns,
    "Det": determinant,
    "GridSample": sample,
    "MaxRoiPool": max_roi_pool,
    "NonMaxSuppression": suppression,
    "Resize": resize,
    "RoiAlign": roi_align,
    "Upsample": resize,
}

CONTRIB: dict[str, Rule] = {"CropAndResize": crop_and_resize, "GridSample": sample, "Inverse": inverse}
"""Operators of ONNX Runtime's domain ``com.microsoft``."""

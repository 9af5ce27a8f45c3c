"""Which format of :mod:`perfmodel.dtypes` a product of narrow operands has."""

from __future__ import annotations

from perfmodel.dtypes import dtype as dtype_record

_INT8 = ("int8", "uint8")
_INT16 = ("int16", "uint16")
_SUB_BYTE = ("int4", "uint4", "int2", "uint2")
_FP4 = "mxfp4"  # how tensors of E2M1 are called; their scales are tensors of their own
_LEAST_GROUP = 8
LARGEST_GROUP = 65536
"""Of the groups of weights that share a scale, as :mod:`perfmodel.dtypes` names them."""


def is_narrow(dtype: str) -> bool:
    """Whether tensors of this dtype hold quantised values."""
    return dtype in (*_INT8, *_INT16, *_SUB_BYTE, _FP4, "fp8")


def product_format(activations: str, weights: str, scales: str, group: int) -> str | None:
    """The format of a product of two quantised tensors.

    Args:
        activations, weights: how they are stored; either may be an activation.
        scales: how the scales of the second are stored.
        group: values of the second that share a scale.

    Returns:
        None where no unit multiplies them as they are.
    """
    if activations in _INT8:
        # Four bits are widened to eight on the way to the multipliers.
        return "int8" if weights in (*_INT8, *_SUB_BYTE) else None
    if activations == "fp8":
        # Scales are given beforehand: nothing has to look for the largest value first.
        return "fp8_static" if weights in ("fp8", *_SUB_BYTE) else None
    if activations == _FP4 and weights == _FP4:
        return "nvfp4" if scales == "fp8" else "mxfp4"
    # 16-bit integers are multiplied as 16-bit floating-point numbers.
    return _weight_only(weights, 16, scales, group) if activations in _INT16 else None


def weight_format(activations: str, weights: str, scales: str, group: int) -> str | None:
    """The format of a product of floating-point activations and quantised weights.

    Args:
        activations, weights, scales: how they are stored.
        group: weights that share a scale.

    Returns:
        None where the weights are no narrower than the activations.
    """
    width = {"fp32": 32, "tf32": 32, "fp16": 16, "bf16": 16}.get(activations)
    return None if width is None else _weight_only(weights, width, scales, group)


def _weight_only(weights: str, width: int, scales: str, group: int) -> str | None:
    if weights in _INT8:
        return f"w8a{width}"
    if weights == "fp8":
        return f"w8a{width}_fp8"
    if weights == _FP4:
        return f"w4a{width}_{'nvfp4' if scales == 'fp8' else 'mxfp4'}"
    if weights not in _SUB_BYTE:
        return None
    size = min(max(group, _LEAST_GROUP), LARGEST_GROUP)
    return dtype_record(f"w{weights[-1]}a{width}_g{size}").name

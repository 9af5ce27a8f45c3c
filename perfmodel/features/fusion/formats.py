"""Which format of :mod:`perfmodel.dtypes` a product of narrow operands has."""

from __future__ import annotations

_INT8 = ("int8", "uint8")
_INT16 = ("int16", "uint16")
_SUB_BYTE = ("int4", "uint4", "int2", "uint2")
_FP4 = "mxfp4"  # how tensors of E2M1 are called; their scales are tensors of their own
_WIDE = ("fp64", "fp32", "tf32")


def is_narrow(dtype: str) -> bool:
    """Whether tensors of this dtype hold quantised values."""
    return dtype in (*_INT8, *_INT16, *_SUB_BYTE, _FP4, "fp8")


def product_format(activations: str, weights: str, scales: str) -> str | None:
    """The format of a product of two quantised tensors.

    Args:
        activations, weights: how they are stored; either may be an activation.
        scales: how the scales of the second are stored.

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
    if activations in _INT16:
        return _beside_16_bits(weights)
    return None


def weight_format(activations: str, weights: str) -> str | None:
    """The format of a product of floating-point activations and quantised weights.

    Returns:
        The activations' own format where they are wider than 16 bits: then the weights alone are narrower than it says.
        None where the weights are no narrower than the activations.
    """
    if activations in _WIDE:
        return activations
    return _beside_16_bits(weights) if activations in ("fp16", "bf16") else None


def _beside_16_bits(weights: str) -> str | None:
    if weights in (*_INT8, "fp8"):
        return "w8a16"
    if weights in _SUB_BYTE:
        return "w4a16"
    return "w4a16_mxfp4" if weights == _FP4 else None

"""Element types of MLIR in the words of :mod:`perfmodel.dtypes`."""

from __future__ import annotations

import re

from perfmodel.features.mlir.types import ComplexType, DialectType, ScalarType, Type

_NAMED: dict[str, str] = {
    "f64": "fp64", "f32": "fp32", "tf32": "tf32", "f16": "fp16", "bf16": "bf16", "index": "int64", "i1": "bool",
    "f4E2M1FN": "mxfp4", "f6E2M3FN": "fp8", "f6E3M2FN": "fp8", "f8E8M0FNU": "uint8",
}  # fmt: skip
# 6-bit floats are stored in 8 bits; the scales of mxfp4 are another tensor, as in ONNX.

_INTEGER = re.compile(r"(s|u)?i([0-9]+)")
_QUANTIZED = re.compile(r"\s*([su]?i[0-9]+)\s*(?:<[^>]*>)?\s*:\s*(\w+)")
_TORCH = {"torch.qint8": "int8", "torch.quint8": "uint8", "torch.qint32": "int32", "torch.qint16": "int16"}


def dtype_of(element: Type | None) -> str | None:
    """The dtype of an element type; None for what is no number (tokens, resources).

    A quantised type (``!quant.uniform<i8:f32, 0.1:3>``) counts as what it is stored as.
    """
    if isinstance(element, ScalarType):
        return _scalar(element.name)
    if isinstance(element, ComplexType):
        return "complex128" if dtype_of(element.element) == "fp64" else "complex64"
    if isinstance(element, DialectType):
        if element.name in _TORCH:
            return _TORCH[element.name]
        if element.name.startswith("quant."):
            match = _QUANTIZED.match(element.body)
            return _scalar(match[1]) if match else "int8"
        if element.name in ("torch.int", "torch.bool", "torch.float", "torch.number"):
            return {"torch.int": "int64", "torch.bool": "bool"}.get(element.name, "fp64")
    return None


def _scalar(name: str) -> str | None:
    found = _NAMED.get(name)
    if found is not None:
        return found
    if name.startswith("f8E"):
        return "fp8"
    match = _INTEGER.fullmatch(name)
    if match is None:
        return None
    bits = int(match[2])
    unsigned = match[1] == "u"
    for width in (2, 4, 8, 16, 32, 64):
        if bits <= width:
            return f"uint{width}" if unsigned else f"int{width}"
    return "complex128"  # integers of up to 128 bits: 16 bytes

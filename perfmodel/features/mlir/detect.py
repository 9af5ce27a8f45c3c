"""Whether a model is an MLIR module: a path, a text, bytes or a live object."""

from __future__ import annotations

import os
import re
from typing import Any

ENDINGS = (".mlir", ".mlirbc", ".stablehlo", ".vhlo")
"""File names that end so are MLIR."""

_BYTECODE = (b"ML\xefR", b"ML\xc3\xafR")
_START = re.compile(
    r"(?:\s|//[^\n]*\n)*(module\b|func\.func\b|\"builtin\.module\"|builtin\.module\b|#[\w.$-]+\s*=|![\w.$-]+\s*=|\{-#)"
)
_PEEK = 4096


def is_mlir(model: Any) -> bool:
    """Whether :func:`perfmodel.features.mlir.read_mlir` reads a model; else it is taken for ONNX.

    A string with line breaks or a brace is a text; one without is a path. Files are told by their names, or by how they begin.
    """
    from perfmodel.features.mlir.ir import Module
    from perfmodel.features.mlir.source import is_text

    if isinstance(model, Module):
        return True
    if isinstance(model, (bytes, bytearray, memoryview)):
        beginning = bytes(model[:_PEEK])
        return beginning.startswith(_BYTECODE) or _starts(beginning)
    if isinstance(model, (str, os.PathLike)):
        text = os.fspath(model)
        if is_text(model):
            return True
        name = str(text)
        if name.endswith(ENDINGS):
            return True
        if name.endswith(".onnx"):
            return False
        return _file_starts(name)
    kind = type(model)
    if kind.__module__.split(".")[0] == "onnx" or kind.__name__ == "ModelProto":
        return False
    return any(hasattr(model, name) for name in ("operation", "compiler_ir", "mlir_module", "regions"))


def _starts(beginning: bytes) -> bool:
    try:
        return _START.match(beginning.decode("utf-8", "ignore")) is not None
    except UnicodeDecodeError:
        return False


def _file_starts(path: str) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            beginning = file.read(_PEEK)
    except (OSError, ValueError):
        return False
    return beginning.startswith(_BYTECODE) or _starts(beginning)

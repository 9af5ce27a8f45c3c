"""Which reader a file, a text or an object needs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeGuard

from perfmodel.errors import ModelFileError
from perfmodel.features.mlir.ir import Module
from perfmodel.features.opening import opening
from perfmodel.files import read_at_most
from perfmodel.graph import without_collection

MAX_FILE_BYTES = 2**31 - 1
BYTECODE_MAGIC = b"ML\xefR"

_NO_PATH = re.compile(r"^[(\[<]|[%@\"=]|^\s*(func|module|builtin)\b[. ]")
"""What names of files hardly have, and texts do."""

_ONNX = "; perfmodel predict reads ONNX as it is, and a compiler's importer (iree-import-onnx) makes MLIR of it"


def read(source: str | os.PathLike[str] | bytes | Any) -> Module:
    """A module from a path, from bytes (text or bytecode), from text, or from a live module of MLIR's Python bindings.

    A ``str`` is text where it has several lines or a brace, and a path otherwise. Live: an ``ir.Module``,
    ``ir.Operation`` or ``ir.OpView`` of jaxlib, torch-mlir or IREE, or what ``jax.jit(f).lower(...)`` returns.

    Raises:
        ModelFileError: the file cannot be read or breaks the syntax; names file:line:column, what was found and what
            was expected.
        MissingExtraError: bytecode, and no bindings are installed that read it.
        InputError: an object of another kind.
    """
    if is_text(source):
        return read_text(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read_bytes(bytes(source), "<bytes>")
    if isinstance(source, (str, os.PathLike)):
        label = " ".join(os.fspath(source).split()) or "."
        return _read_bytes(_file(Path(source), label), label)
    from perfmodel.features.mlir.live import read_live

    return _current(read_live(source))


def is_text(source: Any) -> TypeGuard[str]:
    """Whether an object is a text rather than a path: a string with several lines or a brace."""
    return isinstance(source, str) and ("\n" in source or "{" in source)


def read_text(text: str, filename: str = "<text>") -> Module:
    """A module from its text, with perfmodel's own reader.

    Raises:
        ModelFileError: the text breaks the syntax; names file:line:column, what was found and what was expected.
    """
    from perfmodel.features.mlir.parse_operations import parse

    with without_collection():
        return _current(parse(text, filename))


def _current(module: Module) -> Module:
    """The module in StableHLO where it is written in its portable form."""
    from perfmodel.features.mlir import vhlo

    if vhlo.is_portable(module):
        vhlo.to_stablehlo(module)
    return module


def _file(path: Path, label: str) -> bytes:
    with opening(label):
        if _NO_PATH.search(label) and not path.exists():
            raise ModelFileError(f"{label[:80]}: no such file; the text of a module has several lines or a brace")
        if path.is_dir():
            raise ModelFileError(f"{label}: is a folder; give the .mlir file inside it")
        data = None if path.stat().st_size > MAX_FILE_BYTES else read_at_most(path, MAX_FILE_BYTES)
        if data is None:
            raise ModelFileError(
                f"{label}: {max(path.stat().st_size, MAX_FILE_BYTES) / 1e9:.1f} GB; at most 2 GB are read. Leave the weights "
                "out: mlir-opt --mlir-elide-elementsattrs-if-larger=64 --mlir-elide-resource-strings-if-larger=64"
            )
        return data


def _read_bytes(data: bytes, label: str) -> Module:
    if data.startswith(BYTECODE_MAGIC):
        from perfmodel.features.mlir.bytecode import read_bytecode

        return _current(read_bytecode(data, label))
    if not data.strip():
        raise ModelFileError(f"{label}: the file is empty")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ModelFileError(
            f"{label}:{line}:{column}: expected MLIR as UTF-8 text or bytecode, found the byte"
            f" 0x{data[error.start]:02x}{_ONNX if label.endswith('.onnx') else ''}"
        ) from None
    del data
    return read_text(text, label)

"""Which reader a file, a text or an object needs."""

from __future__ import annotations

import os
from typing import Any

from perfmodel.features.mlir.ir import Module
from perfmodel.graph import without_collection


def read(source: str | os.PathLike[str] | bytes | Any) -> Module:
    """A module from a path, from bytes (text or bytecode), or from a live module of MLIR's Python bindings.

    Live: an ``ir.Module`` or ``ir.Operation`` of jaxlib, torch-mlir or IREE, or what ``jax.jit(f).lower(...)`` returns.

    Raises:
        ModelFileError: the file cannot be read or breaks the syntax; names file:line:column, what was found and what
            was expected.
        MissingExtraError: bytecode, and no bindings are installed that read it.
    """
    raise NotImplementedError


def read_text(text: str, filename: str = "<text>") -> Module:
    """A module from its text, with perfmodel's own reader.

    Raises:
        ModelFileError: the text breaks the syntax; names file:line:column, what was found and what was expected.
    """
    from perfmodel.features.mlir.parse_operations import parse

    with without_collection():
        return parse(text, filename)

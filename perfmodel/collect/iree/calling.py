"""How a module's function is called: its name, and inputs for it as IREE's tools take them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from perfmodel.errors import InputError

_ENTRY = re.compile(r"func\.func\s+(?:public\s+)?@([\w$.-]+)\s*\(")
_TENSOR = re.compile(
    r"%[\w$.-]+\s*:\s*(?:tensor<([0-9x]*?)x?(f64|f32|f16|bf16|i64|i32|i16|i8|i4|i1)>|(f64|f32|f16|i64|i32|i16|i8))"
)
_BELOW = re.compile(r"^// (%[\w]+) is below (\d+)$", re.MULTILINE)
FLOAT, WHOLE = "0.5", "1"
_DEMOTED = {"f64": "f32"}
"""IREE computes in f32 what is written in f64, and takes its inputs so (its option ``--iree-input-demote-f64-to-f32``)."""
_STRIDE = 7919
"""A prime: numbers of rows that follow each other lie apart, as an embedding's do."""


def entry_of(text: str) -> tuple[str, list[tuple[str, tuple[int, ...], str]]]:
    """The first function and its arguments: name, shape, dtype.

    Raises:
        InputError: there is none, or an argument is no tensor or number of known shape.
    """
    found = _ENTRY.search(text)
    if found is None:
        raise InputError("no func.func in the module")
    depth, end = 1, found.end()
    while depth and end < len(text):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    listed = text[found.end() : end - 1]
    arguments = []
    for match in _TENSOR.finditer(listed):
        name = match[0].partition(":")[0].strip()
        shape = tuple(int(extent) for extent in (match[1] or "").split("x") if extent)
        arguments.append((name, shape, match[2] or match[3]))
    if len(arguments) != len(re.findall(r"%[\w$.-]+\s*:", listed)):
        raise InputError(f"@{found[1]} has an argument whose shape is not known")
    return found[1], arguments


def inputs_of(text: str, folder: Path) -> tuple[str, list[str]]:
    """Name of the function, and a value for each argument: 0.5, or 1 for whole numbers; where a comment of the generator says
    that an argument numbers rows, different ones below its limit, from a file in ``folder``.

    Raises:
        InputError: as :func:`entry_of`.
    """
    name, arguments = entry_of(text)
    below = {argument: int(limit) for argument, limit in _BELOW.findall(text)}
    values = []
    for argument, shape, dtype in arguments:
        if argument in below:
            path = folder / f"{argument[1:]}.npy"
            np.save(path, (np.arange(int(np.prod(shape))) * _STRIDE % below[argument]).reshape(shape).astype(np.int32))
            values.append(f"@{path}")
        else:
            kind = "x".join([*map(str, shape), _DEMOTED.get(dtype, dtype)])
            values.append(f"{kind}={FLOAT if 'f' in dtype else WHOLE}")
    return name, values

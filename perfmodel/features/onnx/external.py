"""Small constants that stand outside the model file; weights stay where they are.

Some exporters write every tensor to external data, the shape operands of Reshape included. Shape arithmetic needs
those, so constants of a few elements are read, from regular files in the model's own folder only.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from perfmodel.errors import ModelFileError

MAX_CONSTANT_ELEMENTS = 64
"""Larger constants are weights: they have a shape and a dtype, and nobody looks inside."""


def is_outside(location: str) -> bool:
    """Whether an external-data location is absolute or climbs out of its folder, on any system."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    return (
        posix.is_absolute() or bool(windows.root) or bool(windows.drive) or ".." in posix.parts or ".." in windows.parts
    )


def read_small(tensor: Any, folder: Path | None, label: str) -> Any:
    """The tensor itself where its data are few and at hand, a copy in memory where they had to be fetched, else None.

    Data that are absent are normal; so are weights that a tool took out of the file.

    Raises:
        ModelFileError: the data inside the file do not fit the tensor's shape.
    """
    import onnx_ir as ir

    elements = 1
    for dim in tensor.shape:
        elements *= int(dim)
    if elements > MAX_CONSTANT_ELEMENTS:
        return None
    if isinstance(tensor, ir.ExternalTensor):
        return None if folder is None else _fetched(tensor, elements, folder)
    try:
        tensor.numpy()
    except Exception as error:
        # numpy and ml_dtypes raise several types for data that do not fit the shape.
        if not _has_data(tensor):
            return None
        text = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{label}: the data of the tensor {tensor.name!r} do not fit its shape: {text}") from None
    return tensor


def _has_data(tensor: Any) -> bool:
    raw = getattr(tensor, "raw", None)
    fields = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
    return raw is None or any(len(getattr(raw, field, ())) for field in fields)


def first_elements(tensor: Any, count: int, folder: Path | None) -> Any:
    """The first elements of a stored tensor as a flat array, without reading the others; None where they are not at
    hand."""
    import onnx_ir as ir

    if isinstance(tensor, ir.ExternalTensor):
        return None if folder is None else _read(tensor, count, folder)
    try:
        raw = getattr(getattr(tensor, "raw", None), "raw_data", b"")
        dtype = tensor.dtype.numpy()
        if raw and tensor.dtype.bitwidth >= 8:
            return np.frombuffer(raw, dtype=dtype, count=count) if len(raw) >= count * dtype.itemsize else None
        return np.asarray(tensor.numpy()).reshape(-1)[:count] if raw or _has_data(tensor) else None
    except Exception:
        # numpy and ml_dtypes raise several types for data that do not fit; then they are just not known.
        return None


def _fetched(tensor: Any, elements: int, folder: Path) -> Any:
    import onnx_ir as ir

    array = _read(tensor, elements, folder)
    if array is None:
        return None
    return ir.tensor(array.reshape([int(d) for d in tensor.shape]), dtype=tensor.dtype, name=tensor.name)


def _read(tensor: Any, elements: int, folder: Path) -> np.ndarray | None:
    location = str(tensor.location)
    if not elements or is_outside(location):
        return None
    try:
        home = folder.resolve()
        path = (home / location).resolve()
        # resolve() follows links: a link that leads out of the folder is not followed.
        if not path.is_relative_to(home) or not path.is_file():
            return None
        dtype = np.dtype(tensor.dtype.numpy())
        length = elements * dtype.itemsize
        if tensor.dtype.bitwidth < 8:
            return None
        with path.open("rb") as file:
            file.seek(int(tensor.offset or 0))
            data = file.read(length)
        if len(data) < length:
            return None
        return np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype)
    except (OSError, ValueError, TypeError, OverflowError):
        return None

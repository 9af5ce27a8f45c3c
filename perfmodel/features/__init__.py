"""From files to graphs and feature vectors: readers (ONNX, ...), fusion, and the columns that predictors see.

Every reader is loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfmodel.features.onnx.reader import model_dims as model_dims
    from perfmodel.features.onnx.reader import read_onnx as read_onnx

_MODULE_OF = {"model_dims": "onnx.reader", "read_onnx": "onnx.reader"}

__all__ = ["model_dims", "read_onnx"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value

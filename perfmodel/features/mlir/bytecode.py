"""MLIR bytecode and StableHLO's portable artefacts, read by bindings that are installed.

Both begin with the same four bytes; a portable artefact names StableHLO as its producer and holds operations of the
versioned dialect ``vhlo``, which jaxlib turns back into StableHLO.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from perfmodel.errors import MissingExtraError, ModelFileError
from perfmodel.features.mlir.ir import Module

_TRIED: tuple[tuple[str, Callable[[bytes], Any]], ...]


def read_bytecode(data: bytes, label: str) -> Module:
    """A module from bytecode.

    Raises:
        MissingExtraError: no bindings are installed.
        ModelFileError: those that are installed refuse it.
    """
    from perfmodel.features.mlir.live import read_live

    refusals = []
    for name, parse in _TRIED:
        try:
            live = parse(data)
        except ImportError:
            continue
        except Exception as error:  # each package has its own
            refusals.append(f"{name}: {' '.join(str(error).split())[:200]}")
            continue
        module = read_live(live)
        module.filename, module.source = label, "bytecode"
        return module
    if not refusals:
        raise MissingExtraError("iree.compiler", "mlir", f"{label}: MLIR bytecode ({producer(data)})")
    raise ModelFileError(f"{label}: bytecode of {producer(data)} that cannot be read: {'; '.join(refusals)}")


def producer(data: bytes) -> str:
    """Who wrote it, as the header says (``"MLIR20.0.0"``, ``"StableHLO_v1.9.0"``)."""
    end = data.find(b"\0", 5, 200)
    return data[5:end].decode("ascii", "replace") if end != -1 else "an unknown producer"


def _iree(data: bytes) -> Any:
    ir = import_module("iree.compiler.ir")
    return ir.Module.parse(data, ir.Context())


def _jaxlib(data: bytes) -> Any:
    ir = import_module("jaxlib.mlir.ir")
    stablehlo = import_module("jaxlib.mlir.dialects.stablehlo")
    context = ir.Context()
    for dialect in ("stablehlo", "chlo"):
        import_module(f"jaxlib.mlir.dialects.{dialect}").register_dialect(context)
    if producer(data).startswith("StableHLO"):
        return stablehlo.deserialize_portable_artifact(context, data)
    return ir.Module.parse(data, context)


def _torch_mlir(data: bytes) -> Any:
    ir = import_module("torch_mlir.ir")
    context = ir.Context()
    import_module("torch_mlir.dialects.torch").register_dialect(context)
    return ir.Module.parse(data, context)


_TRIED = (("jaxlib", _jaxlib), ("iree-base-compiler", _iree), ("torch-mlir", _torch_mlir))

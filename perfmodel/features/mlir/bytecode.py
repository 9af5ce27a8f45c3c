"""MLIR bytecode and StableHLO's portable artefacts, read by bindings that are installed.

Both begin with the same four bytes; a portable artefact names StableHLO as its producer and holds operations of the
versioned dialect ``vhlo``, which jaxlib turns back into StableHLO.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from perfmodel.errors import MissingExtraError, ModelFileError
from perfmodel.features.mlir.ir import Module

PACKAGES = {"jaxlib.mlir": "jaxlib", "iree.compiler": "iree-base-compiler", "torch_mlir": "torch-mlir"}
"""Packages of bindings and the distributions that they come in, in the order in which they are tried."""


def read_bytecode(data: bytes, label: str) -> Module:
    """A module from bytecode.

    Raises:
        MissingExtraError: no bindings are installed.
        ModelFileError: those that are installed refuse it.
    """
    from perfmodel.features.mlir.live import read_live

    refusals = []
    for package, name in PACKAGES.items():
        try:
            live = _parse(package, data)
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
    raise ModelFileError(
        f"{label}: bytecode of {producer(data)} that the installed bindings do not read ({'; '.join(refusals)}); "
        "those of jaxlib and IREE know StableHLO: pip install 'perfmodel[mlir]'"
    )


def producer(data: bytes) -> str:
    """Who wrote it, as the header says (``"MLIR20.0.0"``, ``"StableHLO_v1.9.0"``)."""
    end = data.find(b"\0", 5, 200)
    name = data[5:end].decode("ascii", "replace") if end != -1 else ""
    return name.strip() or "an unknown producer"


def bindings(package: str) -> tuple[Any, Any]:
    """The ``ir`` module of a package of bindings, and a context with all dialects that the package has.

    Args:
        package: one of :data:`PACKAGES`.

    Raises:
        ImportError: it is not installed.
    """
    ir = import_module(f"{package}.ir")
    context = ir.Context()
    if package == "jaxlib.mlir":
        registry = ir.DialectRegistry()
        import_module("jaxlib.mlir._mlir_libs._jax_mlir_ext").register_dialects(registry)
        context.append_dialect_registry(registry)
        context.load_all_available_dialects()
        for dialect in ("stablehlo", "chlo"):
            import_module(f"{package}.dialects.{dialect}").register_dialect(context)
    elif package == "torch_mlir":
        import_module("torch_mlir.dialects.torch").register_dialect(context)
    return ir, context


def _parse(package: str, data: bytes) -> Any:
    ir, context = bindings(package)
    if package == "jaxlib.mlir" and producer(data).startswith("StableHLO"):
        return import_module("jaxlib.mlir.dialects.stablehlo").deserialize_portable_artifact(context, data)
    return ir.Module.parse(data, context)

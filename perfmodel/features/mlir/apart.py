"""The process that reads untrusted bytecode: ``python apart.py PACKAGE``, bytecode in, text out. It needs no other module.

LLVM ends the process on some damaged bytecode (an allocation that cannot be, a failed check), which nothing in Python can
catch. So another process hands it to the bindings and gives back the text: if that one ends, the caller's says so in one line.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import Any

NOT_INSTALLED, REFUSED, TOO_LONG = 3, 4, 5
"""Exit codes of this process beside 0; any other says that the bindings ended it."""
LARGE_ELEMENTS = 64
"""Constants of more elements are left out of the text: nobody reads their values."""
_LEAST_MEMORY, _LEAST_TEXT = 4 * 2**30, 64 * 2**20
_MEMORY_PER_BYTE, _TEXT_PER_BYTE = 8, 16
"""For each byte of bytecode, of memory and of text. Types can nest so that they print without end."""


def main(package: str) -> int:
    """Reads bytecode from standard input; writes the module's text, or why the bindings refuse it, to standard output."""
    # What libraries print must not stand in the text.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    data = sys.stdin.buffer.read()
    _bound(_LEAST_MEMORY + _MEMORY_PER_BYTE * len(data))
    try:
        live = parse(package, data)
        text = _text(live.operation).encode()
    except ImportError:
        return NOT_INSTALLED
    except Exception as error:  # each package has its own
        out.write(" ".join((str(error) or type(error).__name__).split())[:500].encode(errors="replace"))
        out.close()
        return REFUSED
    if len(text) > _LEAST_TEXT + _TEXT_PER_BYTE * len(data):
        return TOO_LONG
    out.write(text)
    out.close()
    return 0


def _text(operation: Any) -> str:
    """The generic form, which needs no knowledge of dialects to be read."""
    options = {"print_generic_op_form": True, "large_elements_limit": LARGE_ELEMENTS}
    try:
        return str(operation.get_asm(**options, large_resource_limit=LARGE_ELEMENTS))
    except TypeError:  # bindings of before 2025 print all of a resource or nothing
        return str(operation.get_asm(**options))


def _bound(most_bytes: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such bounds
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def producer(data: bytes) -> str:
    """Who wrote it, as the header says (``"MLIR20.0.0"``, ``"StableHLO_v1.9.0"``)."""
    end = data.find(b"\0", 5, 200)
    name = data[5:end].decode("ascii", "replace") if end != -1 else ""
    return name.strip() or "an unknown producer"


def bindings(package: str) -> tuple[Any, Any]:
    """The ``ir`` module of a package of bindings, and a context with all dialects that the package has.

    Args:
        package: one of :data:`perfmodel.features.mlir.bytecode.PACKAGES`.

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


def parse(package: str, data: bytes) -> Any:
    """The live module of bytecode, in this process.

    Raises:
        ImportError: the bindings are not installed.
        Exception: theirs, where they refuse it.
    """
    ir, context = bindings(package)
    if package == "jaxlib.mlir" and producer(data).startswith("StableHLO"):
        return import_module("jaxlib.mlir.dialects.stablehlo").deserialize_portable_artifact(context, data)
    return ir.Module.parse(data, context)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

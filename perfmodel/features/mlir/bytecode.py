"""MLIR bytecode and StableHLO's portable artefacts, read by bindings that are installed.

Both begin with the same four bytes; a portable artefact names StableHLO as its producer and holds operations of the
versioned dialect ``vhlo``, which jaxlib turns back into StableHLO.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from perfmodel.errors import MissingExtraError, ModelFileError
from perfmodel.features.mlir import apart
from perfmodel.features.mlir.apart import producer
from perfmodel.features.mlir.ir import Module

PACKAGES = {"jaxlib.mlir": "jaxlib", "iree.compiler": "iree-base-compiler", "torch_mlir": "torch-mlir"}
"""Packages of bindings and the distributions that they come in, in the order in which they are tried."""

SECONDS = 120.0
"""By the clock, for reading one module: two gigabytes take a quarter of that."""


def read_bytecode(data: bytes, label: str) -> Module:
    """A module from bytecode, which the bindings read in a process of their own (:mod:`perfmodel.features.mlir.apart`).

    That takes a third of a second: whoever has the module in memory hands over the live one instead.

    Raises:
        MissingExtraError: no bindings are installed.
        ModelFileError: those that are installed refuse it, or end over it.
    """
    from perfmodel.features.mlir.source import read_text

    refusals = []
    for package, name in PACKAGES.items():
        if find_spec(package.partition(".")[0]) is None:
            continue
        text, why = _read_apart(package, data)
        if text is not None:
            module = read_text(text, label)
            module.source = "bytecode"
            return module
        if why is not None:
            refusals.append(f"{name}: {why}")
    if not refusals:
        raise MissingExtraError("iree.compiler", "mlir", f"{label}: MLIR bytecode ({producer(data)})")
    raise ModelFileError(
        f"{label}: bytecode of {producer(data)} that the installed bindings do not read ({'; '.join(refusals)}); "
        "those of jaxlib and IREE know StableHLO: pip install 'perfmodel[mlir]'"
    )


def _read_apart(package: str, data: bytes) -> tuple[str | None, str | None]:
    """The module's text, or why there is none; neither where the bindings are not installed after all."""
    # As a script, with nothing of its folder or of perfmodel to import: that halves the time.
    command = [sys.executable, "-P", apart.__file__, package]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONIOENCODING": "utf-8"}
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return None, f"read it for {SECONDS:g} seconds without an end"
    except OSError as error:
        return None, f"their process cannot be started: {error.strerror or error}"
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace"), None
    if done.returncode == apart.NOT_INSTALLED:
        return None, None
    if done.returncode == apart.REFUSED:
        return None, " ".join(done.stdout.decode("utf-8", "replace").split())[:200]
    if done.returncode == apart.TOO_LONG:
        return None, "its text would have no end"
    said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "ERROR" in line or "Error" in line]
    return None, f"ended over it{': ' + ' '.join(said[-1].split())[:200] if said else ''}"

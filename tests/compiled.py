"""Exports as C, compiled with the system's compiler and called."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from perfmodel.export import Export, artefact

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
FLAGS = ("-std=c99", "-O1", "-pedantic", "-Wall", "-Wextra", "-Werror")


def compiled(export: Export, folder: Path) -> Callable[[Mapping[str, float]], tuple[int, dict[str, float]]]:
    """A function of inputs by name that gives what the C function returns, and what it wrote."""
    for name, data in artefact(export, "c").items():
        (folder / name).write_bytes(data)
    library = folder / f"{export.name}.so"
    subprocess.run(
        [COMPILER, *FLAGS, "-shared", "-fPIC", str(folder / f"{export.name}.c"), "-o", str(library), "-lm"], check=True
    )
    function = getattr(ctypes.CDLL(str(library)), export.name)

    def call(inputs: Mapping[str, float]) -> tuple[int, dict[str, float]]:
        given = (ctypes.c_double * len(export.inputs))(*(inputs[n] for n in export.inputs))
        got = (ctypes.c_double * len(export.outputs))(*[float("nan")] * len(export.outputs))
        code = function(given, got)
        return code, dict(zip(export.outputs, got, strict=True))

    return call

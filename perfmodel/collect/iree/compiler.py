"""Compiles a module for a processor with IREE, and keeps what the compiler says of each dispatch.

A dispatch is a function that IREE makes of a part of the module; all of them are linked into one ELF file for the runtime's own
loader. Beside the code, the compiler gives the configuration of each dispatch (pipeline and tile sizes) and LLVM's remarks on
the registers that it spilled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from perfmodel.collect.iree.process import TooLongError, run_bounded
from perfmodel.errors import InputError, MissingExtraError, PerfmodelError

PACKAGE, RUNTIME = "iree-base-compiler", "iree-base-runtime"
DEFAULT_CPU = "haswell"
"""AVX2, which Valgrind can run; it knows no AVX-512."""
COMPILE_LIMIT_S = 120.0
LAYOUT_REMARKS, SPILL_REMARKS = "stack-frame-layout", "regalloc"
_PUBLIC = re.compile(r"\s*util\.func public @([\w$.-]+)\(")
_DISPATCH = re.compile(r"flow\.dispatch (?:\{)?@[\w$.-]+::@([\w$.-]+)")


class CompileError(PerfmodelError):
    """A module that the compiler refuses, or that takes it too long."""


@dataclass(frozen=True)
class Compiled:
    """What came of a module.

    Attributes:
        vmfb: the file for the runtime.
        executables: ELF files with the dispatches' code.
        configurations: by the name of a dispatch's source file, its text after the choice of pipeline and tiles.
        remarks: what LLVM printed.
        called: by function the dispatches that it runs, in order; one may run several times, and one may serve several
            functions, since the compiler keeps the first of equal ones.
    """

    vmfb: Path
    executables: tuple[Path, ...]
    configurations: dict[str, str]
    remarks: str
    called: dict[str, tuple[str, ...]]


def compiler_version() -> str:
    """``iree-base-compiler 3.13.0``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        raise MissingExtraError(PACKAGE, "iree", "compiling MLIR modules") from None


def tool(name: str) -> Path:
    """A program of the compiler's or the runtime's wheel: the binary itself, since the scripts in front of it start a Python.

    Raises:
        MissingExtraError: its package is not installed.
    """
    package, folder = ("iree.compiler", "_mlir_libs") if name == "iree-compile" else ("iree._runtime_libs", "")
    try:
        found = find_spec(package)
    except ModuleNotFoundError:
        found = None
    if found is not None and found.submodule_search_locations:
        path = Path(next(iter(found.submodule_search_locations))) / folder / name
        if path.is_file():
            return path
    raise MissingExtraError(PACKAGE if name == "iree-compile" else RUNTIME, "iree", f"{name}")


def compile_module(
    source: Path, folder: Path, *, cpu: str = DEFAULT_CPU, limit_s: float = COMPILE_LIMIT_S, flags: Sequence[str] = ()
) -> Compiled:
    """Compiles a file.

    Args:
        source: text of MLIR in any dialect that IREE reads.
        folder: an empty one, for what is made.
        cpu: LLVM's name of the processor.
        limit_s: of processor time, after which the compiler is ended.
        flags: more of the compiler's own.

    Raises:
        CompileError: the compiler refuses it, dies, or takes longer.
        InputError: the compiler knows no such processor.
        MissingExtraError: IREE is not installed.
    """
    vmfb, binaries, configurations, phases = (
        folder / name for name in ("module.vmfb", "binaries", "configurations", "phases")
    )
    command = [
        str(tool("iree-compile")), str(source), "-o", str(vmfb), "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu", f"--iree-llvmcpu-target-cpu={cpu}",
        f"--iree-hal-dump-executable-binaries-to={binaries}",
        f"--iree-hal-dump-executable-configurations-to={configurations}", f"--dump-compilation-phases-to={phases}",
        f"--pass-remarks-missed={SPILL_REMARKS}", f"--pass-remarks-analysis={LAYOUT_REMARKS}", *flags,
    ]  # fmt: skip
    try:
        done = run_bounded(command, limit_s)
    except TooLongError as problem:
        raise CompileError(f"{source.name}: {problem} for iree-compile") from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0:
        errors = [line.strip() for line in said.splitlines() if "error:" in line or "Unknown CPU" in line]
        # Where the file lay says nothing to anybody.
        first = errors[0].replace(f"{source.parent}/", "") if errors else f"iree-compile ended with {done.returncode}"
        if "CPU" in first and cpu in first:
            raise InputError(
                f"the target CPU {cpu!r}: {first[:200]}; wanted a processor as LLVM names it, as in haswell"
            )
        raise CompileError(f"{source.name}: {first[:300]}")
    return Compiled(
        vmfb=vmfb,
        executables=tuple(sorted(binaries.glob("*.so"))) if binaries.is_dir() else (),
        configurations={
            path.name: path.read_text(encoding="utf-8", errors="replace")
            for path in sorted(configurations.glob("*.mlir"))
        }
        if configurations.is_dir()
        else {},
        remarks=said,
        called=_called(next(iter(phases.glob("*.flow.mlir")), None)),
    )


def _called(flow: Path | None) -> dict[str, tuple[str, ...]]:
    """Names of dispatches by the public function that runs them, from the module as it is once dispatches are formed."""
    called: dict[str, list[str]] = {}
    function = None
    for line in flow.read_text(encoding="utf-8", errors="replace").splitlines() if flow else ():
        if match := _PUBLIC.match(line):
            function = called.setdefault(match[1], [])
        elif line.lstrip().startswith(("util.func", "util.initializer")):
            function = None
        elif function is not None:
            function += _DISPATCH.findall(line)
    return {name: tuple(found) for name, found in called.items()}

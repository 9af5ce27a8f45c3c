"""Instructions executed by a call of a module, address by address, with Valgrind's callgrind.

Perf counters are what one would rather read, but virtual machines seldom have them. Callgrind runs the code in an interpreter
of its own, repeats to the instruction, and knows AVX2 but not AVX-512. The code of the dispatches is mapped by IREE's own
loader, so callgrind knows no names of it: addresses are matched with those of the ELF file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfmodel.collect.iree.assembly import Code
from perfmodel.collect.iree.compiler import tool
from perfmodel.collect.iree.process import TooLongError, run_bounded
from perfmodel.errors import PerfmodelError

COUNT_LIMIT_S = 20.0
_PAGE = 4096
_INVOKE = "iree_vm_invoke*"
"""Counting begins where the runtime calls the function, so that loading the module and its initialisers do not count."""
_POSITION = re.compile(rb"0x([0-9a-f]+) \S+ (\d+)$")
_IO_URING = (425, 426, 427)
"""io_uring_setup, _enter and _register on x86-64: under Valgrind the runtime waits for them for ever."""


class CountError(PerfmodelError):
    """Instructions could not be counted."""


def why_not() -> str | None:
    """Why nothing can be counted here; None where it can."""
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        return "instructions are counted on Linux on x86-64 alone"
    if shutil.which("valgrind") is None:
        return "instructions are counted with valgrind, which is not installed (apt-get install valgrind)"
    return None


def executed_by_address(
    modules: Sequence[Path], function: str, inputs: Sequence[str], folder: Path, *, limit_s: float = COUNT_LIMIT_S
) -> dict[int, int]:
    """How often each instruction of unnamed code was executed in one call.

    Args:
        modules: compiled modules; the last one has the function, the others what it imports.
        function: that is called.
        inputs: of ``iree-run-module``.
        folder: for callgrind's file.
        limit_s: of a processor's time, after which it is ended.

    Raises:
        CountError: it failed, or took longer.
        MissingExtraError: the runtime is not installed.
    """
    out = folder / "callgrind.out"
    out.unlink(missing_ok=True)
    command = [
        "valgrind", "--tool=callgrind", "--dump-instr=yes", "--compress-pos=no", "--compress-strings=no",
        "--collect-atstart=no", f"--toggle-collect={_INVOKE}", f"--callgrind-out-file={out}", "-q",
        str(tool("iree-run-module")), *(f"--module={path}" for path in modules), f"--function={function}",
        "--device=local-sync",
        *(f"--input={value}" for value in inputs), "--output_max_element_count=1",
    ]  # fmt: skip

    name = modules[-1].name
    try:
        done = run_bounded(command, limit_s, _without_io_uring)
    except TooLongError as problem:
        raise CountError(f"{name}: {problem} under valgrind") from None
    if done.returncode != 0 or not out.is_file():
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CountError(f"{name}: valgrind ended with {done.returncode}: {said[-1][:200] if said else ''}")
    return parse(out.read_bytes())


def parse(data: bytes) -> dict[int, int]:
    """Self costs of addresses in objects without a name, from a file that callgrind wrote without compression."""
    counts: dict[int, int] = {}
    unnamed = skip = False
    for line in data.splitlines():
        if line.startswith(b"ob="):
            unnamed = line == b"ob=???"
        elif line.startswith(b"calls="):
            skip = True  # the next line is what the call cost in all
        elif (match := _POSITION.match(line)) is not None:
            if unnamed and not skip:
                address = int(match[1], 16)
                counts[address] = counts.get(address, 0) + int(match[2])
            skip = False
    return counts


def executed_by_dispatch(
    counts: Mapping[int, int], dispatches: Sequence[Code]
) -> tuple[dict[str, dict[int, int]], int] | None:
    """Counts of the addresses of an ELF file.

    Args:
        counts: by the address at run time.
        dispatches: of one file.

    Returns:
        By the dispatch's name how often each of its addresses was executed, and what was executed outside of them (functions
        that dispatches call, and other unnamed code); None where the file's place cannot be told.
    """
    known = {instruction.address for code in dispatches for instruction in code.instructions}
    best, base = 0, None
    for shift in {
        address - code.begin for address in counts for code in dispatches if (address - code.begin) % _PAGE == 0
    }:
        hit = sum((address - shift) in known for address in counts)
        if hit > best:
            best, base = hit, shift
    if base is None:
        return None
    at_file = {address - base: times for address, times in counts.items()}
    by_name = {
        code.name: {i.address: at_file[i.address] for i in code.instructions if i.address in at_file}
        for code in dispatches
    }
    inside = sum(sum(times.values()) for times in by_name.values())
    return by_name, sum(at_file.values()) - inside


def _without_io_uring() -> None:
    """Makes the system calls of io_uring fail in this process and all that it starts, as on a kernel without it.

    A filter of seccomp (Linux' seccomp(2)), so that no library has to be compiled and preloaded.
    """
    load, at_least, above, give = 0x20, 0x35, 0x25, 0x06
    allow, fail = 0x7FFF0000, 0x00050000 | errno.ENOSYS
    program = [
        (load, 0, 0, 0),  # the number of the call
        (at_least, 0, 2, min(_IO_URING)),
        (above, 1, 0, max(_IO_URING)),
        (give, 0, 0, fail),
        (give, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filtered = 38, 22, 2
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    libc.prctl(seccomp, filtered, ctypes.byref(Filter(len(program), ctypes.addressof(code))), 0, 0)

"""Counts of instructions by kind from the code of a dispatch: in its text, and as often as each was executed.

Every instruction is of one kind of :data:`KINDS`. Beside that, ``loads`` and ``stores`` count those that read and write memory,
whatever their kind, and ``spill_stores`` and ``spill_loads`` those of vector registers to and from the stack.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError, MissingExtraError

KINDS = ("fma", "vector_arithmetic", "vector_movement", "scalar_float", "scalar", "branch")
"""``fma``: fused multiply-adds and dot products of vectors; ``vector_arithmetic``: all other of vectors;
``vector_movement``: moves, broadcasts, shuffles, conversions of vector registers; ``scalar_float``: one number in a vector
register; ``scalar``: general registers; ``branch``: jumps, calls, returns."""
TOUCHES = ("loads", "stores", "spill_stores", "spill_loads")
_FMA = re.compile(r"vf(n?m)(add|sub|addsub|subadd)\d*(ps|pd|ph|sh|ss|sd)$|vpdp\w+$|vdpbf16ps$")
_MOVEMENT = re.compile(
    r"v?p?(mov|broadcast|perm|shuf|unpck|blend|insert|extract|extr|insr|insert|align|pack|gather|scatter|compress|expand|"
    r"maskmov|lddqu|cvt|zeroupper|zeroall|ldmxcsr|stmxcsr|slldq|srldq|expandload|test)"
)
_STORES_ALONE = (
    "mov",
    "vmov",
    "set",
    "vextract",
    "extract",
    "vpextr",
    "pextr",
    "vmaskmov",
    "vpmaskmov",
    "vcvtps2ph",
    "stmxcsr",
    "vstmxcsr",
    "pop",
)
"""Beginnings of instructions that write a place in memory without reading it first."""
_NAMES_BEHIND_FUNCTIONS = 32


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        address: in the ELF file.
        size: bytes.
        kind: of :data:`KINDS`.
        touches: which of :data:`TOUCHES` it counts for.
        vector, general: registers that it names; vector registers by number, whatever their width.
        target: address that it jumps to; None: it does not, or not to a known one.
    """

    address: int
    size: int
    kind: str
    touches: tuple[str, ...]
    vector: frozenset[int]
    general: frozenset[str]
    target: int | None


@dataclass(frozen=True)
class Code:
    """The code of one dispatch.

    Attributes:
        name: of the function.
        begin, end: addresses in the ELF file, without padding.
        instructions: all of them, in order.
    """

    name: str
    begin: int
    end: int
    instructions: tuple[Instruction, ...]

    def static(self) -> dict[str, int]:
        """``instructions``, each kind, each touch, ``code_bytes``, ``loops`` (jumps backwards), registers used."""
        counts = _counted((instruction, 1) for instruction in self.instructions)
        vector = frozenset().union(*(i.vector for i in self.instructions)) if self.instructions else frozenset()
        general = frozenset().union(*(i.general for i in self.instructions)) if self.instructions else frozenset()
        return {
            **counts,
            "code_bytes": self.end - self.begin,
            "loops": sum(i.target is not None and self.begin <= i.target <= i.address for i in self.instructions),
            "vector_registers": len(vector),
            "general_registers": len(general),
        }

    def executed(self, times: Mapping[int, int]) -> dict[str, int]:
        """``instructions``, each kind and each touch, by how often each address was executed."""
        return _counted((instruction, times.get(instruction.address, 0)) for instruction in self.instructions)


def _counted(weighted: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for instruction, times in weighted:
        counts["instructions"] += times
        counts[instruction.kind] += times
        for touch in instruction.touches:
            counts[touch] += times
    return {name: counts[name] for name in ("instructions", *KINDS, *TOUCHES)}


def dispatches_of(executable: Path) -> list[Code]:
    """The dispatches of an ELF file that IREE linked for x86-64, in the order of their numbers.

    Raises:
        InputError: it is no such file.
        MissingExtraError: pyelftools or capstone are not installed.
    """
    try:
        import capstone
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise MissingExtraError(str(error.name), "iree", "reading machine code") from None
    with executable.open("rb") as file:
        try:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_X86_64":
                raise InputError(f"{executable} is for {elf['e_machine']}; wanted EM_X86_64")
            text = elf.get_section_by_name(".text")
            begin, data = int(text["sh_addr"]), bytes(text.data())
            exports, helpers = _exports(elf, begin, begin + len(data))
        except (ELFError, AttributeError, KeyError, StopIteration) as error:
            raise InputError(f"{executable} is no ELF file of IREE's embedded linker: {error}") from None
    reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    reader.detail = True
    bounds = sorted({*exports, helpers, begin + len(data)})
    result = []
    for address, name in exports.items():
        end = next(bound for bound in bounds if bound > address)
        code = list(reader.disasm(data[address - begin : end - begin], address))
        result.append(_code(name, address, code))
    return result


def _exports(elf: Any, begin: int, end: int) -> tuple[dict[int, str], int]:
    """Names of the dispatches by address, and where the code behind them begins.

    The loader relocates every pointer of the library's tables, so the relocations are the tables: from place to addend. The
    record of exports points to the array of functions and, four pointers further, to that of their names
    (``iree_hal_executable_export_table_v0_t`` of the runtime's header ``executable_library.h``).
    """
    pointers = {
        int(entry["r_offset"]): int(entry["r_addend"])
        for entry in elf.get_section_by_name(".rela.dyn").iter_relocations()
    }
    rodata = elf.get_section_by_name(".rodata")
    first, content = int(rodata["sh_addr"]), rodata.data()
    places = sorted(place for place, addend in pointers.items() if begin <= addend < end)
    record = next(place for place, addend in pointers.items() if addend == places[0])
    names = pointers[record + _NAMES_BEHIND_FUNCTIONS]
    exports = {}
    for number, place in enumerate(places):
        at = pointers[names + 8 * number] - first
        exports[pointers[place]] = content[at : content.index(b"\0", at)].decode("utf-8", "replace")
    symbols = elf.get_section_by_name(".dynsym").iter_symbols()
    behind = next(symbol for symbol in symbols if symbol.name == "iree_hal_executable_library_query")
    return exports, int(behind["st_value"])


def _code(name: str, begin: int, found: Sequence[Any]) -> Code:
    import capstone

    # Padding between functions: int3 or nop behind the last instruction that leaves the function.
    last = max((n for n, i in enumerate(found) if i.mnemonic in ("ret", "jmp", "ud2")), default=len(found) - 1)
    kept = found[: last + 1]
    framed = any(i.mnemonic == "mov" and i.op_str == "rbp, rsp" for i in kept[:12])
    bases = {"rsp", "rbp"} if framed else {"rsp"}
    instructions = tuple(_read(i, bases, capstone) for i in kept)
    end = kept[-1].address + kept[-1].size if kept else begin
    return Code(name, begin, end, instructions)


def _read(found: Any, bases: set[str], capstone: Any) -> Instruction:
    vector: set[int] = set()
    general: set[str] = set()
    memory: list[tuple[int, Any]] = []
    for place, operand in enumerate(found.operands):
        if operand.type == capstone.x86.X86_OP_REG:
            _register(found.reg_name(operand.reg), vector, general)
        elif operand.type == capstone.x86.X86_OP_MEM:
            memory.append((place, operand.mem))
            for register in (operand.mem.base, operand.mem.index):
                if register:
                    _register(found.reg_name(register), vector, general)
    mnemonic = found.mnemonic.split()[-1]
    kind = _kind(mnemonic, bool(vector) or mnemonic.startswith("v"), found.groups, capstone)
    touches: list[str] = []
    if memory and mnemonic not in ("lea", "nop") and not mnemonic.startswith("prefetch"):
        place, where = memory[0]
        writes = place == 0 and not _reads_alone(mnemonic, len(found.operands))
        reads = not writes or not mnemonic.startswith(_STORES_ALONE)
        touches += ["loads"] if reads else []
        touches += ["stores"] if writes else []
        slot = where.base and not where.index and found.reg_name(where.base) in bases
        if slot and vector:
            touches += ["spill_stores"] if writes else ["spill_loads"]
    elif mnemonic == "push":
        touches.append("stores")
    elif mnemonic == "pop":
        touches.append("loads")
    target = None
    if kind == "branch" and found.operands and found.operands[0].type == capstone.x86.X86_OP_IMM and mnemonic != "call":
        target = int(found.operands[0].imm)
    return Instruction(found.address, found.size, kind, tuple(touches), frozenset(vector), frozenset(general), target)


def _reads_alone(mnemonic: str, operands: int) -> bool:
    """Whether an instruction only reads its first operand."""
    if operands == 1:
        return mnemonic in ("push", "call", "jmp", "div", "idiv", "mul", "imul", "ldmxcsr", "vldmxcsr")
    return mnemonic in ("cmp", "test", "bt") or mnemonic.lstrip("v").startswith(("ucomis", "comis", "ptest", "testp"))


def _kind(mnemonic: str, in_vectors: bool, groups: Sequence[int], capstone: Any) -> str:
    if capstone.CS_GRP_JUMP in groups or capstone.CS_GRP_CALL in groups or capstone.CS_GRP_RET in groups:
        return "branch"
    if not in_vectors:
        return "scalar"
    if _MOVEMENT.match(mnemonic):
        return "vector_movement"
    if mnemonic.endswith(("ss", "sd", "sh")) and not mnemonic.startswith(("vpabs", "vps", "vph")):
        return "scalar_float"
    return "fma" if _FMA.match(mnemonic) else "vector_arithmetic"


_VECTOR = re.compile(r"[xyz]mm(\d+)$")
_WIDE = re.compile(r"[re]?(ax|bx|cx|dx|si|di|bp|sp)$|([abcd])[lh]$|(si|di|bp|sp)l$|(r\d+)[dwb]?$")


def _register(name: str, vector: set[int], general: set[str]) -> None:
    if match := _VECTOR.match(name):
        vector.add(int(match[1]))
    elif match := _WIDE.match(name):
        general.add(match[1] or (f"{match[2]}x" if match[2] else None) or match[3] or match[4])

"""What one CPU core computes in one clock, from its instruction set: the vendors' statements as rules.

A rate is (multiply-adds per instruction) x 2 x (instructions of that kind per clock). The number of vector units is
not in the feature flags; it is taken from the model where the vendor says it, else the smaller number is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_INTEL = "Intel 64 and IA-32 Architectures Optimization Reference Manual"
_AMD = "AMD Software Optimization Guide for the {} Microarchitecture"
_ARM = "Arm Neoverse {} Core Software Optimization Guide"


class Rate(NamedTuple):
    """FLOP per clock and core, and the rule's source."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Cpu:
    """What the system tells about its processor; empty or None where it says nothing.

    Attributes:
        name: the vendor's model name.
        vendor: ``"AMD"``, ``"Intel"``, ``"Arm"``, ... or the raw identifier.
        architecture: ``"x86_64"``, ``"aarch64"`` or what Python's ``platform.machine()`` says.
        flags: feature flags in Linux' spelling.
        family, model: the x86 numbers.
        part: Arm's part number.
        current_mhz: the clocks of the moment.
    """

    name: str
    vendor: str
    architecture: str
    flags: frozenset[str]
    family: int | None = None
    model: int | None = None
    part: int | None = None
    current_mhz: tuple[float, ...] = ()

    @property
    def family_name(self) -> str:
        """The architecture family of the device record."""
        if self.vendor == "AMD":
            wide = "avx512f" in self.flags
            name = {
                0x17: "zen2" if (self.model or 0) >= 0x30 else "zen",
                0x19: "zen4" if wide else "zen3",
                0x1A: "zen5",
            }
            return name.get(self.family or 0, "amd-x86")
        if self.part in _NEOVERSE:
            return "neoverse-" + _NEOVERSE[self.part][0].lower()
        if self.vendor == "Intel":
            return "intel-" + next((isa for isa in ("amx", "avx512", "avx2", "avx") if self._has(isa)), "x86")
        return re.sub(r"[^a-z0-9._-]+", "-", self.architecture.lower()).strip("-._") or "cpu"

    def _has(self, isa: str) -> bool:
        return {"amx": "amx_tile", "avx512": "avx512f"}.get(isa, isa) in self.flags


# Arm part number -> name, 128-bit FP pipes (SVE of 256 bits counts twice), per the optimisation guides.
_NEOVERSE: dict[int, tuple[str, int]] = {
    0xD0C: ("N1", 2),
    0xD40: ("V1", 4),
    0xD49: ("N2", 2),
    0xD4F: ("V2", 4),
    0xD84: ("V3", 4),
    0xD8E: ("N3", 2),
}


def parse_cpuinfo(text: str, machine: str) -> Cpu:
    """The processor that ``/proc/cpuinfo`` describes.

    Args:
        text: the file's content, empty where there is none.
        machine: ``platform.machine()``, which decides where the file does not.
    """
    facts: dict[str, str] = {}
    clocks = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if colon:
            facts.setdefault(key, value)
            if key == "cpu MHz" and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
                clocks.append(float(value))
    flags = frozenset((facts.get("flags") or facts.get("Features") or "").split())
    architecture = "x86_64" if "flags" in facts else "aarch64" if "CPU part" in facts else machine.lower()
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    identifier = facts.get("vendor_id") or facts.get("CPU implementer") or ""
    vendors = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel", "0x41": "Arm", "0x61": "Apple", "0xc0": "Ampere"}
    part = _integer(facts.get("CPU part"))
    name = _printable(facts.get("model name") or "")
    if not name and part in _NEOVERSE:
        name = f"Arm Neoverse {_NEOVERSE[part][0]}"
    return Cpu(
        name=name,
        vendor=vendors.get(identifier, _printable(identifier)),
        architecture=architecture,
        flags=flags,
        family=_integer(facts.get("cpu family")),
        model=_integer(facts.get("model")),
        part=part,
        current_mhz=tuple(clock for clock in clocks if clock > 0),
    )


def flops_per_clock(cpu: Cpu) -> dict[str, Rate]:
    """FLOP per clock and core by arithmetic; at least fp32 and fp64. An arithmetic without instructions is left out."""
    if cpu.architecture == "aarch64":
        return _arm(cpu)
    if cpu.architecture == "x86_64":
        return _x86(cpu)
    source = f"assumed: one 128-bit multiply-add a clock; no rule for {_printable(cpu.architecture) or 'this machine'}"
    return {"fp64": Rate(4, source), "fp32": Rate(8, source)}


def _x86(cpu: Cpu) -> dict[str, Rate]:
    lanes, ops, source = _x86_vectors(cpu)
    fp32 = lanes * ops
    rates = {"fp64": Rate(fp32 / 2, source), "fp32": Rate(fp32, source)}
    wide = "avx512f" in cpu.flags
    if wide and "avx512_fp16" in cpu.flags:
        rates["fp16"] = Rate(2 * fp32, f"{source}; AVX512-FP16: twice the lanes of fp32")
    if wide and "avx512_bf16" in cpu.flags:
        rates["bf16"] = Rate(2 * fp32, f"{source}; VDPBF16PS: two multiply-adds per 32-bit lane")
    if (wide and "avx512_vnni" in cpu.flags) or "avx_vnni" in cpu.flags:
        rates["int8"] = Rate(4 * fp32, f"{source}; VPDPBUSD: four multiply-adds per 32-bit lane")
    # TDPBF16PS: 16 x 16 x 32 multiply-adds in 16 clocks; TDPBUSD: 16 x 16 x 64.
    for flag, arithmetic, rate in (("amx_bf16", "bf16", 1024), ("amx_fp16", "fp16", 1024), ("amx_int8", "int8", 2048)):
        if flag in cpu.flags and "amx_tile" in cpu.flags:
            rates[arithmetic] = Rate(rate, f"{_INTEL}, chapter on AMX: {rate} operations a clock and core")
    return rates


def _x86_vectors(cpu: Cpu) -> tuple[int, int, str]:
    """fp32 lanes of a vector, FLOP per lane and clock, and the source."""
    flags = cpu.flags
    if "avx512f" in flags:
        if cpu.vendor == "AMD" and cpu.family == 0x19:
            return 16, 2, f"{_AMD.format('AMD Zen 4')}: 512-bit FMA on two 256-bit units, one a clock"
        if cpu.vendor == "AMD" and cpu.family == 0x1A and (cpu.model or 0) not in _ZEN5_NARROW:
            return 16, 4, f"{_AMD.format('AMD Zen 5')}: two 512-bit FMA units"
        if cpu.vendor == "Intel" and _two_avx512_units(cpu):
            return 16, 4, f"{_INTEL}: two 512-bit FMA units"
        return 16, 2, f"{_INTEL}: one 512-bit FMA a clock (parts with one unit; taken where the model does not tell)"
    if "avx2" in flags and "fma" in flags:
        if cpu.vendor == "AMD" and cpu.family == 0x17 and (cpu.model or 0) < 0x30:
            return 8, 2, f"{_AMD.format('AMD Family 17h')}: two 128-bit FMA units"
        source = _AMD.format("AMD Family 17h Models 30h and later") if cpu.vendor == "AMD" else _INTEL
        return 8, 4, f"{source}: two 256-bit FMA units"
    if "avx" in flags:
        return 8, 2, f"{_INTEL}, Sandy Bridge: a 256-bit multiply and a 256-bit add a clock"
    if "sse2" in flags:
        return 4, 2, f"{_INTEL}, Core: a 128-bit multiply and a 128-bit add a clock"
    return 8, 4, "assumed: two 256-bit FMA units (AVX2); the feature flags are not readable on this system"


# Zen 5 in laptops keeps 256-bit units (Strix Point, Krackan Point, Strix Halo).
_ZEN5_NARROW = frozenset((*range(0x20, 0x30), *range(0x60, 0x80)))
# Ice Lake-SP, Sapphire Rapids, Emerald Rapids, Granite Rapids: two units in every model.
_TWO_UNITS = frozenset((0x6A, 0x8F, 0xCF, 0xAD))
_SKYLAKE_SP = 0x55


def _two_avx512_units(cpu: Cpu) -> bool:
    if cpu.model in _TWO_UNITS:
        return True
    single = re.search(r"Bronze|Silver|Gold (?!5122)5[0-9]{3}|Xeon\S* D-", cpu.name)
    return cpu.model == _SKYLAKE_SP and not single


def _arm(cpu: Cpu) -> dict[str, Rate]:
    if cpu.part in _NEOVERSE:
        name, pipes = _NEOVERSE[cpu.part]
        source = f"{_ARM.format(name)}: {pipes} x 128 bits of FMLA a clock"
    elif cpu.vendor == "Apple" or cpu.name.startswith("Apple"):
        pipes, source = 4, "Apple Silicon CPU Optimization Guide (2024): 4 x 128 bits of FMLA a clock"
    else:
        pipes, source = 2, "assumed: 2 x 128 bits of FMLA a clock, as in Neoverse N1; the part is not known"
    fp32 = 8 * pipes
    rates = {"fp64": Rate(fp32 / 2, source), "fp32": Rate(fp32, source)}
    if "asimdhp" in cpu.flags:
        rates["fp16"] = Rate(2 * fp32, f"{source}; FP16: twice the lanes of fp32")
    if "bf16" in cpu.flags:
        rates["bf16"] = Rate(4 * fp32, f"{source}; BFMMLA: 16 multiply-adds, against FMLA's 4")
    if "i8mm" in cpu.flags:
        rates["int8"] = Rate(8 * fp32, f"{source}; SMMLA: 32 multiply-adds, against FMLA's 4")
    elif "asimddp" in cpu.flags:
        rates["int8"] = Rate(4 * fp32, f"{source}; SDOT: 16 multiply-adds, against FMLA's 4")
    return rates


def _integer(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|[0-9]{1,8}", text):
        return None
    return int(text, 0) if text.startswith("0x") else int(text)


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:100]

"""What a compiler's heuristics look at in a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 65536
"""Of bytes, registers, threads."""


@dataclass(frozen=True)
class CompileTarget:
    """A target of IREE's llvm-cpu backend.

    Attributes:
        id: how commands name it, as in ``iree-llvm-cpu-haswell``.
        cpu: LLVM's name of the processor.
        vector_bytes: of one vector register (``native_vector_size`` of the target).
        vector_registers: architectural vector registers.
        threads: that work is divided for (``--iree-llvmcpu-number-of-threads``; 8 unless said).
        compiler: name and version that was learned from.
    """

    id: str
    cpu: str
    vector_bytes: int
    vector_registers: int
    threads: int = 8
    compiler: str = "iree"

    @property
    def register_bits(self) -> int:
        """Of all vector registers together."""
        return 8 * self.vector_bytes * self.vector_registers

    def lanes(self, bits: int) -> int:
        """Elements of so many bits that one vector register holds."""
        return max(1, self.vector_bytes * 8 // max(bits, 8))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> CompileTarget:
        """From a manifest.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        numbers = [int(fields[name]) for name in ("vector_bytes", "vector_registers", "threads")]
        if not all(1 <= number <= _MOST for number in numbers):
            raise ValueError(f"vector_bytes, vector_registers and threads are {numbers}; wanted 1 to {_MOST}")
        vector_bytes, vector_registers, threads = numbers
        return cls(
            str(fields["id"]), str(fields["cpu"]), vector_bytes, vector_registers, threads, str(fields["compiler"])
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "id": self.id, "cpu": self.cpu, "vector_bytes": self.vector_bytes, "vector_registers": self.vector_registers,
            "threads": self.threads, "compiler": self.compiler,
        }  # fmt: skip


HASWELL = CompileTarget("iree-llvm-cpu-haswell", "haswell", vector_bytes=32, vector_registers=16)
"""AVX2: 16 registers of 256 bits (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 14)."""

"""What LLVM says of the registers that it spilled, from its remarks.

``regalloc`` counts the spills and reloads that allocation inserted, of registers of any kind, by function;
``stack-frame-layout`` lists the slots of each frame. Both are the compiler's own word, against which reading the code can be
held.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REMARK = re.compile(r"^remark: (?:.*/)?(\S+?\.mlir):\d+:\d+: (.*)$")
_COUNT = re.compile(r"(\d+) (folded )?(spills|reloads)\b")
_FUNCTION = re.compile(r"^Function: (\S+)$")
_SLOT = re.compile(r"^Offset: \[SP[^\]]*\], Type: (\w+), Align: \d+, Size: (\d+)")
LEAST_VECTOR = 16
"""Bytes of the smallest slot that holds a whole vector register."""


@dataclass(frozen=True)
class Spilled:
    """Of one dispatch.

    Attributes:
        spills, reloads: instructions that allocation inserted, those folded into others included.
        vector_slots: places of the frame for spilled registers of :data:`LEAST_VECTOR` bytes and more.
        other_slots: smaller ones: general registers, those that calling keeps, single numbers.
        variable_bytes: of the frame, for buffers of the program itself.
    """

    spills: int = 0
    reloads: int = 0
    vector_slots: int = 0
    other_slots: int = 0
    variable_bytes: int = 0


def spilled_by_dispatch(remarks: str) -> dict[str, Spilled]:
    """By function, and by source file for those whose function is not named in a remark; each once.

    Args:
        remarks: what the compiler printed.

    Returns:
        By the name of the configuration's file the counts of ``regalloc``, and by the name of the function the slots of
        ``stack-frame-layout``.
    """
    found: dict[str, Spilled] = {}
    function = None
    for line in remarks.splitlines():
        if match := _REMARK.match(line):
            function = None
            if match[2].endswith("generated in function"):
                counts = {"spills": 0, "reloads": 0}
                for number, _, what in _COUNT.findall(match[2]):
                    counts[what] += int(number)
                found[match[1]] = Spilled(spills=counts["spills"], reloads=counts["reloads"])
        elif match := _FUNCTION.match(line):
            function = match[1]
            found[function] = Spilled()
        elif function is not None and (match := _SLOT.match(line)):
            old, size = found[function], int(match[2])
            spill = match[1] == "Spill"
            found[function] = Spilled(
                vector_slots=old.vector_slots + (spill and size >= LEAST_VECTOR),
                other_slots=old.other_slots + (spill and size < LEAST_VECTOR),
                variable_bytes=old.variable_bytes + (size if match[1] == "Variable" else 0),
            )
    return found

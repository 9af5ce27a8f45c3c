"""What arithmetic would take with other circuits: narrower operands, an adder in a multiplier's place.

A FLOP of a device takes ``e``; the bare circuits in it, scaled to the device's process, are

    c = (multiplier + accumulator) / 2          a multiply-add is two FLOPs

and the rest, e - c, is what brings operands and instructions to them. With other circuits c' and operands of b' bits in place
of b

    e' = c' + (e - c) · b' / b

Two extremes bracket it: the rest stays as it is (high), or everything shrinks as the circuits do (low).
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.errors import InputError, nearest
from perfmodel.hardware.published_energy import ADD, MULTIPLY, circuit_j

ADDER = "adder"
MAX_BITS = 64
FORMULA = "e' = c' + (e - c) b'/b; c = (multiplier + accumulator)/2, of published circuits at the device's process"
_ACCUMULATORS = {"int": "int32", "float": "fp32"}
_BITS = {"tf32": 19}
"""Bits of an operand where the format's name does not give them."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A change of the arithmetic that nobody built.

    Attributes:
        bits: operands are integers of so many bits, summed in 32; None: as they are.
        multiplier: ``"adder"``: each product becomes an integer sum of the operands' width (as L-Mul, arXiv:2410.00907, and
            AdderNet, CVPR 2020, propose); None: as it is.
    """

    bits: int | None = None
    multiplier: str | None = None

    def __bool__(self) -> bool:
        return self.bits is not None or self.multiplier is not None

    def __str__(self) -> str:
        parts = [] if self.bits is None else [f"bits={self.bits}"]
        return ", ".join(parts if self.multiplier is None else [*parts, f"multiplier={self.multiplier}"])

    def operand_ratio(self, bits: float) -> float:
        """Bits of an operand over those that it has now, ``bits``."""
        return 1.0 if self.bits is None else self.bits / bits


def parse(texts: list[str]) -> WhatIf:
    """A what-if from ``["bits=8", "multiplier=adder"]``; several may stand in one text, separated by commas.

    Raises:
        InputError: an unknown change, or one that is given twice.
    """
    given: dict[str, str] = {}
    for pair in (p.strip() for text in texts for p in text.split(",")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or name not in ("bits", "multiplier"):
            raise InputError(f"--what-if {pair!r}: wanted bits=N or multiplier={ADDER}")
        if given.setdefault(name, value) != value:
            raise InputError(f"--what-if gives {name} twice: {given[name]} and {value}")
    bits = None
    if "bits" in given:
        text = given["bits"]
        bits = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
        if not 1 <= bits <= MAX_BITS:
            raise InputError(f"--what-if bits={text}: wanted a whole number from 1 to {MAX_BITS}")
    if given.get("multiplier", ADDER) != ADDER:
        raise InputError(f"--what-if multiplier={given['multiplier']}: {nearest(given['multiplier'], [ADDER])}")
    return WhatIf(bits, given.get("multiplier"))


@dataclass(frozen=True, slots=True)
class Changed:
    """Energy of a FLOP with other circuits [J]; ``low`` and ``high`` are the two extremes of the rest."""

    value: float
    low: float
    high: float


def operand_bits(arithmetic: str) -> int:
    """Bits of an operand of an arithmetic (``"bf16"``: 16)."""
    digits = "".join(c for c in arithmetic if c.isdigit())
    return _BITS.get(arithmetic, int(digits))


def circuits_j(arithmetic: str, process_nm: float, what_if: WhatIf | None = None) -> float | None:
    """Bare circuits of a FLOP: half of a multiplier and an accumulator [J].

    Args:
        arithmetic: of :data:`perfmodel.dtypes.ARITHMETICS`.
        process_nm: the chip's.
        what_if: with these changes.

    Returns:
        None where no document says anything of the format.
    """
    change = what_if or WhatIf()
    changed = arithmetic if change.bits is None else f"int{change.bits}"
    accumulator = _ACCUMULATORS["int" if changed.startswith("int") else "float"]
    if change.multiplier == ADDER:
        product = circuit_j(ADD, f"int{operand_bits(changed)}", process_nm)
        if circuit_j(MULTIPLY, changed, process_nm) is None:
            return None
    else:
        product = circuit_j(MULTIPLY, changed, process_nm)
    total = circuit_j(ADD, accumulator, process_nm)
    return None if product is None or total is None else (product + total) / 2


def changed_flop_j(energy_j: float, arithmetic: str, process_nm: float, what_if: WhatIf) -> Changed | None:
    """Energy of a FLOP with other circuits.

    Args:
        energy_j: what it takes now [J].
        arithmetic, process_nm: of the device.
        what_if: the changes.

    Returns:
        None where no document says anything of the format.
    """
    now, then = circuits_j(arithmetic, process_nm), circuits_j(arithmetic, process_nm, what_if)
    if now is None or then is None:
        return None
    if (
        energy_j <= now
    ):  # less than the documents' circuits: nothing is left over, and the circuits' ratio is all there is
        value = energy_j * then / now
        return Changed(value, value, value)
    rest = energy_j - now
    value = then + rest * what_if.operand_ratio(operand_bits(arithmetic))
    low, high = energy_j * then / now, then + rest
    return Changed(value, min(low, value), max(high, value))

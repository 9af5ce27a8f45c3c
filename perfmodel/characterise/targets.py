"""What is predicted of a dispatch and of a module."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.features.lowering.features import EXECUTED_TERMS, STATIC_TERMS


@dataclass(frozen=True)
class Target:
    """One quantity.

    Attributes:
        name: in results and manifests.
        column: of the data set's table.
        terms: features that hold the terms of a first, linear estimate, which the booster corrects. None: it predicts alone.
        scale: ``log``: ln(1 + count) is predicted; ``plain``: the number itself; ``above``: the log-odds that it is above
            :data:`MANY_SPILLS`.
        meaning: for the card and the docs.
        once: whether equal dispatches count once in a module, as what stands in the file does.
    """

    name: str
    column: str
    terms: tuple[str, ...] | None
    scale: str
    meaning: str
    once: bool = True


MANY_SPILLS = 8
"""Spills that are more than a few: what the classification asks."""

INSTRUCTIONS = Target("instructions", "instructions", STATIC_TERMS, "log", "machine instructions in the code")
CODE_BYTES = Target("code_bytes", "code_bytes", STATIC_TERMS, "log", "bytes of code")
EXECUTED = Target(
    "executed", "executed_instructions", EXECUTED_TERMS, "log", "instructions executed by one call", once=False
)
REGISTERS = Target("vector_registers", "vector_registers", None, "plain", "vector registers that the code names")
SPILLS = Target("spills", "spills", None, "log", "vector stores to and loads from the stack in the code")
SPILLS_ABOVE = Target("many_spills", "spills", None, "above", f"whether there are more than {MANY_SPILLS} spills")
DISPATCH_TARGETS = (INSTRUCTIONS, CODE_BYTES, EXECUTED, REGISTERS, SPILLS, SPILLS_ABOVE)
LATENCY = Target("latency_s", "latency_s", ("ln_executed",), "log", "seconds of one call above the runtime's floor")

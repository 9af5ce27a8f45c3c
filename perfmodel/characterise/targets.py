"""What is predicted of a dispatch and of a module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One quantity.

    Attributes:
        name: in results and manifests.
        column: of the data set's table.
        base: feature that holds the logarithm of a first estimate; the booster corrects it. None: the booster predicts alone.
        scale: ``log``: ln(1 + count) is predicted; ``plain``: the number itself; ``above``: the log-odds that it is above
            :data:`MANY_SPILLS`.
        meaning: for the card and the docs.
        once: whether equal dispatches count once in a module, as what stands in the file does.
    """

    name: str
    column: str
    base: str | None
    scale: str
    meaning: str
    once: bool = True


MANY_SPILLS = 8
"""Spills that are more than a few: what the classification asks."""

INSTRUCTIONS = Target("instructions", "instructions", "ln_static_vectors", "log", "machine instructions in the code")
CODE_BYTES = Target("code_bytes", "code_bytes", "ln_static_vectors", "log", "bytes of code")
EXECUTED = Target("executed", "executed_instructions", "ln_executed_vectors", "log", "instructions executed by one call", once=False)
REGISTERS = Target("vector_registers", "vector_registers", None, "plain", "vector registers that the code names")
SPILLS = Target("spills", "spills", None, "log", "vector stores to and loads from the stack in the code")
SPILLS_ABOVE = Target("many_spills", "spills", None, "above", f"whether there are more than {MANY_SPILLS} spills")
DISPATCH_TARGETS = (INSTRUCTIONS, CODE_BYTES, EXECUTED, REGISTERS, SPILLS, SPILLS_ABOVE)
LATENCY = Target("latency_s", "latency_s", "ln_executed", "log", "seconds of one call above the runtime's floor")

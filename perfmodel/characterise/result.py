"""What a characterisation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel import units
from perfmodel.errors import checked_methods
from perfmodel.html_table import html_result, html_table

if TYPE_CHECKING:
    from pandas import DataFrame


@checked_methods()
@dataclass(frozen=True)
class Interval:
    """An estimate with its 90 % interval.

    Attributes:
        value: the estimate.
        low, high: the ends of the interval.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """As JSON has it."""
        return {"value": self.value, "low": self.low, "high": self.high}


@checked_methods()
@dataclass(frozen=True)
class DispatchCharacter:
    """What the compiler is predicted to make of one dispatch.

    Attributes:
        name: the root's operation and its extents.
        strategy: how the compiler's heuristic lowers it.
        distribution, vector: the heuristic's tile sizes of the root's loops; 0: not tiled.
        iterations: of all its loop nests.
        flops: floating-point operations of one call.
        bytes: of the tensors that it reads and writes.
        instructions: machine instructions in its code.
        code_bytes: their bytes.
        executed: instructions that one call executes.
        vector_registers: vector registers that the code names.
        spills: vector stores to and loads from the stack in the code.
        many_spills: probability that there are more than 8 of them.
    """

    name: str
    strategy: str
    distribution: tuple[int, ...]
    vector: tuple[int, ...]
    iterations: int
    flops: float
    bytes: int
    instructions: Interval
    code_bytes: Interval
    executed: Interval
    vector_registers: Interval
    spills: Interval
    many_spills: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name, "strategy": self.strategy, "distribution": list(self.distribution), "vector": list(self.vector),
            "iterations": self.iterations, "flops": self.flops, "bytes": self.bytes,
            "instructions": self.instructions.to_dict(), "code_bytes": self.code_bytes.to_dict(),
            "executed": self.executed.to_dict(), "vector_registers": self.vector_registers.to_dict(),
            "spills": self.spills.to_dict(), "many_spills": self.many_spills,
        }  # fmt: skip


@checked_methods()
@dataclass(frozen=True)
class Characterisation:
    """What the compiler is predicted to make of a module.

    Attributes:
        module: its name.
        target: id of the target.
        compiler: that was learned from.
        processor: that latencies were measured on.
        dispatches: in order.
        instructions, code_bytes, executed, spills: sums over the dispatches.
        latency_s: seconds of one call on one thread; None where the model has learned none.
        utilisation: floating-point operations of a call over what the processor could do in its time; None without.
        unknown: operations that are in no dispatch, with how often each occurs: what they cost is not in the figures.
        notes: what a reader should know of this prediction.
    """

    module: str
    target: str
    compiler: str
    processor: str
    dispatches: tuple[DispatchCharacter, ...]
    instructions: Interval
    code_bytes: Interval
    executed: Interval
    spills: Interval
    latency_s: Interval | None
    utilisation: Interval | None
    unknown: Mapping[str, int]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """One line."""
        time = units.duration(None if self.latency_s is None else self.latency_s.value)
        return (
            f"<Characterisation of {self.module} for {self.target}: {len(self.dispatches)} dispatches, "
            f"{self.instructions.value:.0f} instructions, {time} a call>"
        )

    def _repr_html_(self) -> str:
        """What Jupyter shows: the module, and each dispatch, with intervals."""
        whole = (
            "all", "", *map(_between, (self.instructions, self.code_bytes, self.executed)), "", _between(self.spills),
        )  # fmt: skip
        rows = [
            (
                d.name, d.strategy,
                *map(_between, (d.instructions, d.code_bytes, d.executed, d.vector_registers, d.spills)),
            )
            for d in self.dispatches
        ]  # fmt: skip
        heads = ("dispatch", "strategy", "instructions", "code bytes", "executed", "vector registers", "spills")
        table = html_table(heads, [*rows, whole], right=range(2, 7))
        return html_result(repr(self)[1:-1], table, notes=["in brackets the 90 % interval", *self.notes])

    def to_pandas(self) -> DataFrame:
        """One row a dispatch; intervals as ``_low`` and ``_high``.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.datasets.schema import require_pandas

        rows = []
        for dispatch in self.dispatches:
            row: dict[str, Any] = {}
            for name, value in dispatch.to_dict().items():
                if isinstance(value, dict):  # an interval
                    row |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
                else:
                    row[name] = value
            rows.append(row)
        frame: DataFrame = require_pandas("a data frame").DataFrame(rows)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "module": self.module, "target": self.target, "compiler": self.compiler, "processor": self.processor,
            "instructions": self.instructions.to_dict(), "code_bytes": self.code_bytes.to_dict(),
            "executed": self.executed.to_dict(), "spills": self.spills.to_dict(),
            "latency_s": None if self.latency_s is None else self.latency_s.to_dict(),
            "utilisation": None if self.utilisation is None else self.utilisation.to_dict(),
            "dispatches": [d.to_dict() for d in self.dispatches],
            "unknown": [{"op": op, "count": count} for op, count in sorted(self.unknown.items())], "notes": list(self.notes),
        }  # fmt: skip


def _between(interval: Interval) -> str:
    """``1,234 (1,100 to 1,400)``."""
    return f"{interval.value:,.0f} ({interval.low:,.0f} to {interval.high:,.0f})"

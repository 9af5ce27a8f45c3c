"""Energy per operation, and of models by cause, as tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfmodel import units
from perfmodel.cli.tables import plain_table, safe

if TYPE_CHECKING:
    from rich.console import Console

    from perfmodel.energy_table import DeviceTable, ModelEnergy, OperatorEnergy, Row
    from perfmodel.hardware.published_energy import Published
    from perfmodel.models.circuits import WhatIf
    from perfmodel.predict import Estimate

_NONE = "-"
"""In place of an energy that is unknown, or of an arithmetic that a device does not have."""
OPERATORS_SHOWN = 10
"""Kinds of operators in the table of a model."""
_NAMES = {"vector_flop": "FLOP, ordinary units", "element": "value loaded or stored", "l2_byte": "byte from L2"}
_SUMMARY = ("fp32", "bf16", "fp8")
_OTHERWISE = {"bf16": ("fp16",), "fp8": ("int8",)}
"""What stands in a column of the summary where a device has no arithmetic of that name."""
_PUBLISHED = {"add": "add", "multiply": "multiply", "byte": "byte of", "instruction": ""}
_LEGEND = (
    "Energies in pJ. takes: what one more costs. whole chip: with its share of what the chip draws whatever it does, all units "
    "busy at the clock that the power limit allows. published: of a FLOP half of a bare multiplier and accumulator, of an L2 "
    "byte one of a 1 MB SRAM, both scaled to the process; of DRAM the nearest kind. `perfmodel energy-table` lists documents."
)
_WHAT_IF = (
    "A what-if: circuits that nobody built. e' = c' + (e - c) b'/b for a FLOP that takes e, of which c is half of a multiplier "
    "and an accumulator as documents have them, scaled to the process; b: bits of an operand. Time is left as it is."
)


def print_summary(console: Console, tables: Sequence[DeviceTable]) -> None:
    """A line a device."""
    table = plain_table(gap=1)
    table.add_column("device", no_wrap=True)
    table.add_column("nm", justify="right")
    for name in _SUMMARY:
        table.add_column(f"{name}", justify="right", no_wrap=True)
    table.add_column("L2", justify="right")
    table.add_column("DRAM", justify="right")
    table.add_column("idle", justify="right")
    table.add_column("basis")
    for t in tables:
        flops = [
            next((r for n in (name, *_OTHERWISE.get(name, ())) if (r := t.row("flop", n))), None) for name in _SUMMARY
        ]
        rows = [*flops, t.row("l2_byte"), t.row("dram_byte")]
        said = [*(r.basis for r in rows if r is not None and r.energy_j is not None), t.idle_basis]
        basis = [b for b in dict.fromkeys(said) if b != units.UNKNOWN]
        table.add_row(
            safe(t.device),
            "?" if t.process_nm is None else f"{t.process_nm:g}",
            *(_NONE if r is None or r.energy_j is None else _picojoules(r.energy_j.value) for r in rows),
            units.UNKNOWN if t.idle_power_w is None else units.power(t.idle_power_w.value),
            ", ".join(basis),
        )
    console.print(table)
    console.print(
        "pJ a FLOP by format (fp16 and int8 where there is no bf16 or fp8), pJ a byte, idle power. fitted: to measured power; "
        "regressed: from process, memory and TDP. Of CPUs and TPUs without a TDP the energy of memory alone is known. --device "
        "shows one with its intervals and sources.",
        style="dim",
    )


def print_tables(console: Console, tables: Sequence[DeviceTable], what_if: WhatIf) -> None:
    """Every row of each device, with interval, source and, for FLOPs, the bare circuits."""
    for t in tables:
        nm = "process unknown" if t.process_nm is None else f"{t.process_nm:g} nm"
        clock = "" if t.clock_mhz is None else f", at {t.clock_mhz:g} MHz"
        limit = "" if t.power_limit_w is None else f", limited to {t.power_limit_w:g} W"
        console.print(safe(f"{t.device}: {nm}, {t.memory.upper()}{clock}{limit}"), style="bold")
        table = plain_table(gap=1)
        table.add_column("one", overflow="fold")
        changes = ("changed", "90 % interval") if what_if else ("whole chip",)
        for name in ("takes", "90 % interval", *changes, "published"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("basis", no_wrap=True)
        for row in t.rows:
            e = row.energy_j
            cells = [_operation(row), *((_NONE, "") if e is None else (_picojoules(e.value), _interval(e)))]
            if not what_if:
                cells.append("" if row.whole_chip_j is None else _picojoules(row.whole_chip_j))
            elif row.what_if_j is None:
                cells += ["", ""]
            else:
                cells += [_picojoules(row.what_if_j.value), _interval(row.what_if_j)]
            cells.append("" if row.published is None else _range(row.published.low_j, row.published.high_j))
            table.add_row(*map(safe, cells), row.basis)
        console.print(table)
        _print_idle(console, t)
        sources = dict.fromkeys(row.source for row in t.rows)
        for source in sources:
            console.print(safe(f"  {source}"), style="dim")
        console.print()
    console.print(_LEGEND if not what_if else f"{_LEGEND} changed: with {what_if}.", style="dim")
    if what_if:
        console.print(_WHAT_IF, style="bold")


def print_published(console: Console, figures: Iterable[Published]) -> None:
    """The published figures as the documents have them, and the documents."""
    console.print()
    console.print("published figures", style="bold")
    table = plain_table(gap=2)
    table.add_column("operation", overflow="fold")
    table.add_column("pJ", justify="right")
    table.add_column("nm", justify="right")
    table.add_column("document", overflow="fold")
    documents = {}
    for p in figures:
        documents[p.document.id] = p.document
        pj = _range(p.low_j, p.high_j)
        nm = "" if p.process_nm is None else f"{p.process_nm:g}"
        table.add_row(f"{_PUBLISHED[p.operation]} {p.what}".strip(), pj, nm, p.document.id)
    console.print(table)
    for d in documents.values():
        console.print(safe(f"  {d.id}: {d.title}; {d.seen}"), style="dim")


def print_model(console: Console, energy: ModelEnergy, *, dtype: str | None, explain: bool = False) -> None:
    """Energy by cause, the operators that take the most, and what would change."""
    p, change = energy.prediction, energy.what_if
    assert p.energy_j is not None
    asked = [*(f"{name}={value}" for name, value in p.dims.items()), *([] if dtype is None else [dtype])]
    conditions = f" ({', '.join(asked)})" if asked else ""
    console.print(safe(f"{p.model}{conditions} on {p.device}"), style="bold")
    table = plain_table()
    table.add_column("cause")
    table.add_column("energy", justify="right")
    table.add_column("share", justify="right")
    if change:
        table.add_column(f"if {change}", justify="right")
    total, changed = p.energy_j.value, energy.what_if_j.value
    for cause, joules in energy.by_cause_j.items():
        cells = [cause, units.energy(joules), units.share(joules / total if total else None)]
        table.add_row(*cells, *([units.energy(energy.what_if_by_cause_j[cause])] if change else []))
    table.add_row("all", units.energy(total), "", *([units.energy(changed)] if change else []))
    console.print(table)
    console.print(
        f"90 % interval: {_joules(p.energy_j)}" + (f"; with the change: {_joules(energy.what_if_j)}" if change else "")
    )
    if change:
        console.print(f"saved: {units.share(1 - changed / total if total else None)} of the energy, at the same speed")
    console.print()
    console.print(_operators(energy, explain))
    if change:
        console.print(_WHAT_IF, style="bold")
    for note in energy.notes:
        console.print(safe(f"note: {note}"))
    for warning in p.warnings:
        console.print(safe(f"warning: {warning}"))


def _operators(energy: ModelEnergy, explain: bool) -> object:
    change = bool(energy.what_if)
    groups: dict[tuple[str, str, str], list[OperatorEnergy]] = {}
    for o in energy.operators:
        groups.setdefault((o.operator.op, o.operator.dtype, o.operator.shape), []).append(o)

    def joules(some: Sequence[OperatorEnergy]) -> float:
        return sum(sum(o.by_cause_j.values()) for o in some)

    table = plain_table(gap=1)
    table.add_column("op", overflow="fold")
    table.add_column("shape", overflow="fold")
    for name in ("count", "energy", *(("changed",) if change else ())):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by cause" if explain else "most of it", overflow="fold")
    ordered = sorted(groups.items(), key=lambda item: -joules(item[1]))
    for (op, dtype, shape), some in ordered[:OPERATORS_SHOWN]:
        causes: dict[str, float] = {}
        for o in some:
            for cause, value in o.by_cause_j.items():
                causes[cause] = causes.get(cause, 0.0) + value
        largest = sorted(causes, key=lambda cause: -causes[cause])
        said = ", ".join(f"{c} {units.energy(causes[c])}" for c in largest) if explain else largest[0]
        cells = [f"{op} {dtype}", shape, str(sum(o.operator.count for o in some)), units.energy(joules(some))]
        table.add_row(*map(safe, [*cells, *([units.energy(sum(o.what_if_j for o in some))] if change else []), said]))
    rest = [o for _, some in ordered[OPERATORS_SHOWN:] for o in some]
    if rest:
        cells = ["others", "", str(sum(o.operator.count for o in rest)), units.energy(joules(rest))]
        table.add_row(*cells, *([units.energy(sum(o.what_if_j for o in rest))] if change else []), "")
    return table


def _operation(row: Row) -> str:
    if row.operation == "flop":
        return f"FLOP in {row.dtype}"
    if row.operation == "dram_byte":
        return f"byte from {(row.dtype or 'DRAM').upper()}"
    return _NAMES.get(row.operation, row.operation)


def _print_idle(console: Console, t: DeviceTable) -> None:
    if t.idle_power_w is None:
        console.print(f"  idle power: {units.UNKNOWN}")
        return
    e = t.idle_power_w
    console.print(
        safe(f"  idle power: {units.power(e.value)} ({units.power(e.low)} to {units.power(e.high)}); {t.idle_source}")
    )


def _picojoules(joules: float) -> str:
    return units.digits(joules * 1e12)


def _range(low: float, high: float) -> str:
    return _picojoules(low) if low == high else f"{_picojoules(low)} - {_picojoules(high)}"


def _interval(e: Estimate) -> str:
    return _range(e.low, e.high)


def _joules(e: Estimate) -> str:
    return f"{units.energy(e.low)} to {units.energy(e.high)}"

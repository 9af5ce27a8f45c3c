"""Predictions as tables of at most 80 columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perfmodel import units
from perfmodel.predict.kinds import OperatorGroup, formula, group_operators
from perfmodel.predict.unpowered import unpowered
from perfmodel.predict.workload import BATCH_DIMS

if TYPE_CHECKING:
    from perfmodel.predict import Estimate, ModelPrediction
    from perfmodel.predict.generation_result import GenerationPrediction

OPERATORS_SHOWN = 15
"""Kinds of operators in the table unless ``--all`` is given."""

MAPPED_SHOWN = 3
"""Keys of a ``--dtype-map`` in the headline; of more, their number."""


def print_prediction(
    console: Console,
    prediction: ModelPrediction,
    *,
    dtype: str | None,
    device_memory_bytes: int | None = None,
    shown: int | None = OPERATORS_SHOWN,
    explain: bool = False,
    owners: bool = False,
    sections: Iterable[Callable[[Console], None]] = (),
) -> None:
    """The figures of the whole model, then its operators by their share of the time.

    Args:
        dtype: the format that was asked for; None means the file's own.
        device_memory_bytes: what the model's memory is held against; None means unknown.
        shown: kinds of operators to list, the slowest first, the others in one line; None means all.
        explain: also print the terms of each listed operator's bound.
        owners: also print the largest tensors that are alive when memory is at its peak.
        sections: print what else was asked for, above the warnings.
    """
    console.print(headline(prediction, dtype))
    console.print(_figures(prediction, device_memory_bytes))
    console.print()
    groups = group_operators(prediction.operators)
    listed = groups if shown is None or len(groups) == shown + 1 else groups[:shown]
    console.print(_operator_table(prediction, listed, groups[len(listed) :]))
    if explain:
        _print_explanations(console, listed)
    if owners and prediction.memory is not None:
        from perfmodel.cli.memory import print_owners

        print_owners(console, prediction.memory)
    for section in sections:
        section(console)
    print_warnings(console, prediction.warnings)


def print_comparison(
    console: Console,
    ranking: Sequence[ModelPrediction],
    *,
    dtype: str | None,
    explain: bool = False,
) -> None:
    """One line a device, the fastest first; what each prediction warns of below."""
    fastest = ranking[0].latency_s.value
    memory = max(p.peak_memory_bytes for p in ranking)
    heading = f"{ranking[0].model}{conditions(ranking[0], dtype)}: {units.size(memory)} of memory at its peak"
    console.print(safe(heading), style="bold")
    table = plain_table()
    table.add_column("device", overflow="fold")
    for name in ("latency", "90 % interval", "slower", "power", "energy", "util."):
        table.add_column(name, justify="right", no_wrap=True)
    for p in ranking:
        table.add_row(
            safe(p.device),
            units.duration(p.latency_s.value),
            interval(p.latency_s, units.duration),
            f"{p.latency_s.value / fastest:.2f}x" if fastest else units.UNKNOWN,
            units.power(value_of(p.power_w)),
            units.energy(value_of(p.energy_j)),
            units.share(p.utilisation),
        )
    console.print(table)
    if explain:
        print_explanations(console, ranking)
    print_common_warnings(console, ranking)


def print_explanations(console: Console, ranking: Sequence[ModelPrediction]) -> None:
    """Of each device the terms of the bounds of its slowest kinds of operators."""
    for p in ranking:
        console.print(safe(f"{p.device}:"))
        _print_explanations(console, group_operators(p.operators)[:OPERATORS_SHOWN])


def plain_table(gap: int = 2) -> Table:
    """A table with a line under its heading and nothing else: it reads the same in a pipe.

    Args:
        gap: blanks between columns, at least 1.
    """
    return Table(box=SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False)


def headline(prediction: ModelPrediction | GenerationPrediction, dtype: str | None) -> Text:
    """``resnet18 (batch=8, bf16) on h100-sxm``."""
    text = safe(f"{prediction.model}{conditions(prediction, dtype)} on {prediction.device}")
    text.stylize("bold")
    return text


def conditions(prediction: ModelPrediction | GenerationPrediction, dtype: str | None) -> str:
    """`` (batch=8, bf16)``: what the model was bound to and runs in; empty where nothing was asked for."""
    parts = [f"{name}={value}" for name, value in prediction.dims.items()]
    if dtype is not None:
        parts.append(dtype)
    mapped = [f"{key} in {value}" for key, value in prediction.dtype_map.items()]
    parts += mapped if len(mapped) <= MAPPED_SHOWN else [f"{len(mapped)} keys in other formats"]
    if prediction.kv_dtype is not None:
        parts.append(f"cached keys and values in {prediction.kv_dtype}")
    return f" ({', '.join(parts)})" if parts else ""


def _figures(prediction: ModelPrediction, device_memory_bytes: int | None) -> Table:
    latency = prediction.latency_s
    power = prediction.power_w
    energy = prediction.energy_j
    why = unpowered(prediction)
    rows = [("latency", units.duration(latency.value), interval_note(latency, units.duration))]
    work = prediction.workload
    batch = next((value for name, value in prediction.dims.items() if name.lower() in BATCH_DIMS), None)
    if work.tokens is not None and latency.value:
        rows.append(("throughput", units.rate(work.tokens / latency.value), work.in_each_run))
    elif batch is not None and latency.value:
        rows.append(("throughput", units.rate(batch / latency.value), f"{batch} in each run"))
    rows += [
        ("power", units.power(value_of(power)), interval_note(power, units.power, why)),
        ("energy", units.energy(value_of(energy)), interval_note(energy, units.energy, why)),
        ("memory", units.size(prediction.peak_memory_bytes), _memory_note(prediction, device_memory_bytes)),
        ("work", units.flops(prediction.flops_executed), f"{units.size(prediction.bytes)} read and written"),
        ("utilisation", units.share(prediction.utilisation), "of the device's peak FLOP/s"),
    ]
    missing = sum(u["bytes_share"] for u in prediction.unmodelled)
    names = ", ".join(dict.fromkeys(u["op"] for u in prediction.unmodelled))
    note = f"of the bytes: {names}, estimated as memory traffic" if names else "every operator has a rule"
    rows.append(("unmodelled", units.share(missing), note))
    return figures_grid(rows)


def figures_grid(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Label, figure and note, one line each."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value, note in rows:
        grid.add_row(f"  {label}", value, safe(note))
    return grid


def _memory_note(prediction: ModelPrediction, total: int | None) -> str:
    parts = f"{units.size(prediction.weights_bytes)} of it weights"
    if prediction.memory is not None:
        from perfmodel.cli.memory import parts_of

        parts = parts_of(prediction.memory)
    if total is None:
        return f"at its peak; {parts}"
    if prediction.peak_memory_bytes is not None and prediction.peak_memory_bytes > total:
        return f"MORE than the device's {units.size(total)}; {parts}"
    return f"of {units.size(total)}, at its peak; {parts}"


def _operator_table(
    prediction: ModelPrediction, listed: Sequence[OperatorGroup], others: Sequence[OperatorGroup]
) -> Table:
    total = prediction.latency_s.value
    table = plain_table(gap=1)  # shapes are long
    table.add_column("op", overflow="fold")
    table.add_column("shape", overflow="fold")
    for name in ("count", "time", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("bound", overflow="fold")
    table.add_column("source", no_wrap=True)

    def time_and_share(seconds: float) -> tuple[str, str]:
        return units.duration(seconds), units.share(seconds / total if total else None)

    for group in listed:
        table.add_row(
            safe(f"{group.op} {group.dtype}"),
            safe(group.shape),
            str(group.count),
            *time_and_share(group.latency_s),
            safe(group.bound),
            safe(group.source),
        )
    if others:
        seconds = sum(g.latency_s for g in others)
        table.add_row(f"{len(others)} other kinds", "", str(sum(g.count for g in others)), *time_and_share(seconds))
    if prediction.launch_gap_s:
        table.add_row("launch gaps", "", "", *time_and_share(prediction.launch_gap_s))
    return table


def _print_explanations(console: Console, groups: Iterable[OperatorGroup]) -> None:
    console.print("\none execution of each, by the analytical model:")
    for group in groups:
        operator = group.slowest
        # Soft wrap: the formula stays one line in a pipe, for grep.
        console.print(safe(f"  {group.op} {group.dtype} {group.shape}: {formula(operator)}"), soft_wrap=True)


def print_warnings(console: Console, warnings: Iterable[str]) -> None:
    """One line each."""
    for warning in warnings:
        console.print(safe(f"warning: {warning}"), style="yellow")


def print_common_warnings(console: Console, ranking: Sequence[ModelPrediction | GenerationPrediction]) -> None:
    """Each warning once, with the devices that it holds for unless it holds for all."""
    devices: dict[str, list[str]] = {}
    for p in ranking:
        for warning in p.warnings:
            devices.setdefault(warning, []).append(p.device)
    for warning, where in devices.items():
        prefix = "" if len(where) == len(ranking) else f"{', '.join(where)}: "
        console.print(safe(f"warning: {prefix}{warning}"), style="yellow")


def value_of(estimate: Estimate | None) -> float | None:
    """The estimate without its interval."""
    return None if estimate is None else estimate.value


def interval(estimate: Estimate, unit: Callable[[float], str]) -> str:
    """``3.10 to 4.20 ms``."""
    low, high = unit(estimate.low), unit(estimate.high)
    # "3.10 to 4.20 ms", not "3.10 ms to 4.20 ms", where both have one unit.
    number, _, name = low.partition(" ")
    return f"{number if high.endswith(f' {name}') else low} to {high}"


def interval_note(estimate: Estimate | None, unit: Callable[[float], str], missing: str = "") -> str:
    """``90 % interval: 3.10 to 4.20 ms``; why there is none (:func:`perfmodel.predict.unpowered.unpowered`)."""
    return missing if estimate is None else f"90 % interval: {interval(estimate, unit)}"


def safe(text: str) -> Text:
    """Text without characters that a terminal would obey: names come from files."""
    return Text(re.sub(r"[^\S ]", " ", "".join(c if c.isprintable() else "?" for c in text)))

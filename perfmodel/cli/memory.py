"""The memory of a prediction as text: its parts in one line, and the owners of the peak as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel import units
from perfmodel.cli.tables import plain_table, safe

if TYPE_CHECKING:
    from rich.console import Console

    from perfmodel.predict.memory import KVCache, MemoryPlan

OWNERS_SHOWN = 8
"""Tensors in the table; JSON has a few more."""


def parts_of(memory: MemoryPlan) -> str:
    """``weights 46.7 MB, activations 32.1 MB, inputs 4.82 MB``: the parts that there are, the largest first."""
    parts = {
        "weights": memory.weights_bytes,
        "activations": memory.activations_bytes,
        "key/value cache": memory.kv_cache_bytes,
        "inputs": memory.inputs_bytes,
        "outputs": memory.outputs_bytes,
        "workspace": memory.workspace_bytes,
    }
    ranked = sorted(((size, name) for name, size in parts.items() if size), key=lambda part: -part[0])
    return ", ".join(f"{name} {units.size(size)}" for size, name in ranked) or "nothing of known size"


def print_owners(console: Console, memory: MemoryPlan) -> None:
    """The largest tensors alive at the peak, and what the cache grows with."""
    where = f", while {memory.peak_node} runs" if memory.peak_node is not None else ""
    console.print()
    console.print(safe(f"memory at its peak{where}:"))
    table = plain_table(gap=1)
    table.add_column("tensor", overflow="fold")
    table.add_column("kind", no_wrap=True)
    for name in ("size", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("made by", overflow="fold")
    table.add_column("needed until", overflow="fold")
    listed = memory.owners[:OWNERS_SHOWN]
    for owner in listed:
        table.add_row(
            safe(owner.name),
            owner.kind,
            units.size(owner.bytes),
            units.share(owner.share),
            safe(owner.made_by or "(given)"),
            safe(owner.until or "(the end)"),
        )
    others = memory.peak_bytes - sum(o.bytes for o in listed)
    if others > 0:
        table.add_row("all others", "", units.size(others), units.share(others / memory.peak_bytes), "", "")
    console.print(table)
    if memory.kv_cache is not None:
        console.print(safe(cache_line(memory.kv_cache)))


def cache_line(cache: KVCache) -> str:
    """``key/value cache: 37.7 MB for 512 tokens a sequence, 73.7 kB a token; grows by ...``."""
    line = (
        f"key/value cache: {units.size(cache.bytes)} for {cache.tokens} tokens of each sequence,"
        f" {units.size(cache.bytes_per_token)} a token"
    )
    grows = ", ".join(f"{units.size(size)} with each {name}" for name, size in cache.grows_with.items())
    return f"{line}; grows by {grows}" if grows else line

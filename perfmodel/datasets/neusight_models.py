"""The adapter of NeuSight's whole networks (``datasets/neusight_models/card.toml``): runs, with the operators of each.

A run is ``label/<GPU>/<network>-<inf|train>-<length>-<batch>.json``, its time and number of layers; beside it a CSV file
times every node of the traced graph alone. ``results/opgraph`` has the graph, by node the operators of the forward pass, of
the backward pass and of the accumulation of gradients. One layer is traced, and counts as often as the network has it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, read_table
from perfmodel.datasets.cards import Card, load_card
from perfmodel.datasets.runs import operator_table
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import TraceError
from perfmodel.ops import Copy, Elementwise, Gemm, Norm, Operator, Softmax

if TYPE_CHECKING:
    import pandas as pd

_MILLISECOND = 1e-3
_PHASES = {"inf": "inference", "train": "training"}
_TWO_TENSORS = ("add", "mul", "pow", "div")
_PASSES = ("FwOps", "BwOps", "AccOps")
OTHER = "other"
"""Variant of the nodes that upstream's sums leave out."""


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a GPU.

    Raises:
        TraceError: no runs, a GPU that the card does not know, or a file that is none of upstream's.
    """
    pandas = require_pandas()
    layout = "whole networks of NeuSight; wanted .../label/<GPU>/<network>-<inf|train>-<length>-<batch>.json"
    files = find(root, ["**/label/*/*.json"], layout)
    for gpu in dict.fromkeys(path.parent.name for path in files):
        if gpu not in card.devices:
            raise TraceError(f"{root}: the card names no device for {gpu!r}: {', '.join(card.devices)}")
        device = card.devices[gpu]
        rows = []
        for path in files if wanted.device(device) else ():
            named = _named(path.stem)
            if path.parent.name != gpu or named is None:
                continue
            network, phase, _, batch = named
            rows.append({
                "device": device, "software": card.raw["software"]["amd" if gpu.startswith("AMD") else "nvidia"],
                "launch": "eager", "workload": path.stem, "network": network, "phase": _PHASES[phase], "batch": batch,
                "dtype": "fp32", "operators": f"{gpu}/{path.stem}", "collection": f"label/{gpu}",
                "latency_s": _label(path)["e2e_latency"] * _MILLISECOND, "status": "ok",
            })  # fmt: skip
        if rows:
            yield pandas.DataFrame(rows)


def operator_lists(root: str | Path, card: Card) -> Callable[[str], pd.DataFrame]:
    """The operators of the run that a value of the column ``operators`` names, with counts, variants and times."""
    labels = {f"{p.parent.name}/{p.stem}": p for p in find(root, ["**/label/*/*.json"], "runs of NeuSight")}
    graphs = {p.stem: p for p in sorted(Path(root).absolute().glob("**/results/opgraph/*.csv"))}
    elementwise = load_card("neusight").raw["kinds"]

    def table(reference: str) -> pd.DataFrame:
        label = labels[reference]
        path = graphs.get(label.stem)
        if path is None:
            raise TraceError(f"{label} has no graph; wanted .../results/opgraph/{label.stem}.csv")
        graph = read_table(path, ("Name", "OpName", *_PASSES))
        named = _named(label.stem)
        if named is None:
            raise TraceError(
                f"{label} is no run of one network on one device, whose name is NETWORK-PHASE-LENGTH-BATCH"
            )
        network = named[0]
        counts = _counts(graph["Name"].tolist(), network, int(_label(label)["num_layer"]), card, path)
        times = _times(label.with_suffix(".csv"))
        return operator_table(_rows(graph, counts, times, elementwise, path))

    return table


def _named(stem: str) -> tuple[str, str, int, int] | None:
    """Network, phase, sequence length and batch; None for a fused or distributed run."""
    parts = stem.split("-")
    if len(parts) != 4 or parts[1] not in _PHASES or not (parts[2].isdigit() and parts[3].isdigit()):
        return None
    return parts[0], parts[1], int(parts[2]), int(parts[3])


def _label(path: Path) -> dict[str, float]:
    try:
        label = json.loads(path.read_bytes())
        return {name: float(label[name]) for name in ("num_layer", "e2e_latency")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TraceError(f"{path} is no run of NeuSight (num_layer, e2e_latency): {error!r}") from None


def _times(path: Path) -> dict[str, float]:
    """Seconds of each node alone; empty where upstream has only the whole run."""
    if not path.is_file():
        return {}
    table = read_table(path, ("Name", "latency"))
    return dict(zip(table["Name"].astype(str), table["latency"].astype(float) * _MILLISECOND, strict=True))


def _counts(names: list[str], network: str, layers: int, card: Card, path: Path) -> list[int]:
    """How often each node runs: those of the traced layer once a layer."""
    ends = next((value.split() for kind, value in card.raw["kinds"].items() if kind in network), None)
    if ends is None:
        return [1] * len(names)  # traced whole
    if not all(end in names for end in ends):
        raise TraceError(f"{path}: no layer from {ends[0]!r} to {ends[1]!r}, as {network} has one")
    first, last = (names.index(end) for end in ends)
    return [layers if first <= index <= last else 1 for index in range(len(names))]


def _rows(
    graph: pd.DataFrame, counts: list[int], times: dict[str, float], elementwise: dict[str, str], path: Path
) -> Iterator[tuple[Operator, int, dict[str, Any]]]:
    columns = (graph[c].tolist() for c in ("Name", "OpName", *_PASSES))
    for (name, node, *passes), count in zip(zip(*columns, strict=True), counts, strict=True):
        more: dict[str, Any] = {"variant": _variant(node), "node": name}
        if name in times:
            more["latency_s"] = times[name]
        for entry in (entry for text in passes for entry in _entries(text, path)):
            yield _operator(entry, elementwise, path), count, more
            more = {k: v for k, v in more.items() if k != "latency_s"}  # once a node


def _variant(node: str) -> str:
    if node in ("Linear", "BMM"):
        return node.lower()
    if node.startswith("VEC"):
        return {"VECsoftmax": "softmax", "VECln": "ln"}.get(node, "elem")
    return OTHER


def _entries(text: str, path: Path) -> list[Any]:
    try:
        entries = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise TraceError(f"{path}: {text!r} is no list of operators")
    return entries


def _operator(entry: Any, elementwise: dict[str, str], path: Path) -> Operator:
    try:
        name, sizes = entry
        if name == "Linear":
            m, k, n = sizes
            return Gemm(batch=1, m=m, n=n, k=k, dtype="fp32")
        if name == "BMM":
            batch, m, k, n = sizes
            return Gemm(batch=batch, m=m, n=n, k=k, dtype="fp32")
        if name == "MEM":
            # Bytes alone are given: a copy of half as many elements reads and writes as much.
            return Copy(kind="memory", elements=ceil(sum(map(prod, sizes)) / 2), dtype="fp32")
        rows, cols = sizes
        function = name.removeprefix("VEC")
        if function == "ln":
            return Norm(kind="layernorm", rows=rows, cols=cols, dtype="fp32")
        if function == "softmax":
            return Softmax(rows=rows, cols=cols, dtype="fp32")
        inputs = 2 if function in _TWO_TENSORS else 1
        return Elementwise(kind=elementwise[function], elements=rows * cols, inputs=inputs, dtype="fp32")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"{path}: {entry!r} is no operator that this version reads: {error!r}") from None

"""Kernels as columns of numbers: a first estimate of their time, and what the learned correction of it reads.

The table is that of traces: the descriptor's columns, ``kernel``, ``fused``, and those of
:data:`perfmodel.models.host.context.COLUMNS`. Kernels of a graph become the same table (:func:`table_of_nodes`), so that
what predicts reads what was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perfmodel.dtypes import element_bytes
from perfmodel.graph import Node
from perfmodel.hardware import Device
from perfmodel.models.analytical import Extras, analyse
from perfmodel.models.host.context import COLUMNS
from perfmodel.ops import FAMILIES, Conv, Elementwise, Operator, Rnn
from perfmodel.ops.table import COLUMN_OF_FIELD, columns_of, from_columns

Columns = dict[str, np.ndarray]

FOURIER = "fft_stage"
SCALAR = 48.0
"""How many times slower than its peak a core is with scalar code, as the Fourier transforms are: eight lanes, two units, and
three for operations that wait for each other and factors that are computed anew (ONNX Runtime 1.32 on one core: transforms
of 1 ms and more take 3.1 times what 16 alone would give: 3.7 for powers of two, 2.8 for other lengths)."""
CALL_S = 5e-7
"""The first estimate of what a call takes whatever it does."""

_LOGS = (
    "flops", "product_flops", "m", "n", "k", "batch", "bytes_read", "bytes_written", "rows", "cols", "elements", "steps",
    "hidden", "out_w", "height", "patches", "channels_in", "channels_out", *(c for c in COLUMNS if c != "operands"),
)  # fmt: skip
_PLAIN = (
    "operands", "kernel_h", "kernel_w", "stride", "dilation", "depthwise", "grouped", "padded", "element_bytes",
    "out_element_bytes", "one_axis", "m_small", "n_mod_16", "k_mod_4", "m_mod_6", "c_in_mod_16", "c_out_mod_16", "out_w_mod_6",
    "directions", "repeats", "odd_repeats", "log_base", "log_over_ceilings", "call_share", "log_intensity", "bytes_share",
    "weights_share",
)  # fmt: skip
_OF_COSTS = ("log_costs", "log_costs_over_base", "log2_places")
NUMBERS = (*(f"log2_{name}" for name in _LOGS), *_PLAIN, *_OF_COSTS)
"""Features that are numbers, in the order in which boosters read them; flags of kinds (:func:`words`) follow. The last ones
are added when factors are known (:func:`with_costs`)."""


def table_of_nodes(nodes: Sequence[Node], stands: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Columns of a graph's nodes; ``stands`` is of :func:`perfmodel.models.host.context.contexts`."""
    rows = [
        {**columns_of(node.op), "kernel": node.source_op, "fused": fused_kinds(node), **stand}
        for node, stand in zip(nodes, stands, strict=True)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _column([row.get(name) for row in rows]) for name in names}


def fused_kinds(node: Node) -> str | None:
    """What a kernel absorbed, joined by ``+``; None where it absorbed nothing."""
    return "+".join(str(getattr(f, "kind", f.op)) for f in node.fused) or None


def _column(values: list[Any]) -> np.ndarray:
    if all(v is None or (isinstance(v, (int, float, np.number)) and not isinstance(v, bool)) for v in values):
        return np.array([np.nan if v is None else float(v) for v in values])
    return np.array(values, dtype=object)


def measured_here(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which rows say how they stand in a graph; bool of shape ``[rows]``."""
    if any(name not in table for name in COLUMNS):
        return np.zeros(len(table["op"]), dtype=bool)
    known: np.ndarray = np.isfinite(np.asarray(table["run_bytes"], dtype=np.float64))
    return known


def with_costs(columns: Columns, costs_s: np.ndarray, base_s: np.ndarray, places: np.ndarray) -> Columns:
    """The features with those that follow from what kernels cost (:mod:`perfmodel.models.host.work`).

    Args:
        columns, base_s: of :func:`numbers`.
        costs_s: seconds of each row by its kernel's factors.
        places: of one image of a convolution.
    """
    values = (np.log(costs_s), np.log(costs_s / base_s), np.log2(places + 1.0))
    return columns | dict(zip(_OF_COSTS, values, strict=True))


def numbers(table: Mapping[str, np.ndarray], device: Device) -> tuple[Columns, np.ndarray]:
    """The features :data:`NUMBERS` without those of costs, and the first estimate of each row [s]; arrays of shape ``[rows]``.

    The first estimate is that of the analytical model, which knows what was calibrated on the device.
    """
    core = one_core(device)
    count = len(table["op"])
    raw: Columns = {name: np.zeros(count) for name in (*_LOGS, *_PLAIN)}
    for name in COLUMNS:
        raw[name] = np.nan_to_num(np.asarray(table[name], dtype=np.float64))
    raw["element_bytes"][:] = 4.0
    raw["out_element_bytes"][:] = 4.0
    base, compute, memory, call = (np.zeros(count) for _ in range(4))
    ops = np.asarray(table["op"]).astype(str)
    for op in dict.fromkeys(ops.tolist()):
        rows = np.flatnonzero(ops == op)
        for group in from_columns(_descriptors(table, op, rows)):
            mine = rows[group.rows]
            _describe(raw, mine, group.op)
            flops = _per_row(group.op.flops, mine) + raw["extra_flops"][mine]
            moved = _per_row(group.op.bytes, mine) + raw["extra_bytes_read"][mine]
            extras = Extras(raw["extra_bytes_read"][mine], raw["extra_flops"][mine])
            bounds = analyse(group, core, extras=extras)
            base[mine], call[mine] = bounds.latency_s, bounds.terms.get("launch", 0.0)
            peak = core.arithmetic(group.op.dtype).peak_flops
            compute[mine] = flops / peak
            if isinstance(group.op, Elementwise) and group.op.kind == FOURIER:
                compute[mine] = _fourier_flops(group.op, mine) * SCALAR / peak
                base[mine] = np.maximum(base[mine], CALL_S + compute[mine])
            memory[mine] = moved / device.memory_bandwidth_bytes_per_s
    base = np.maximum(base, CALL_S)
    ceilings = CALL_S + np.maximum(compute, memory)
    raw["log_base"] = np.log(base)
    raw["log_over_ceilings"] = np.log(base / ceilings)
    raw["call_share"] = call / base
    raw["log_intensity"] = np.log((compute + 1e-9) / (memory + 1e-9))
    raw["bytes_share"] = memory / ceilings
    raw["weights_share"] = raw["weight_bytes"] / np.maximum(
        raw["weight_bytes"] + raw["input_bytes"] + raw["output_bytes"], 1
    )
    columns = {f"log2_{name}": np.log2(np.maximum(raw[name], 0.0) + 1.0) for name in _LOGS}
    return columns | {name: raw[name] for name in _PLAIN}, base


def one_core(device: Device) -> Device:
    """What one thread has of a processor; files of ``perfmodel calibrate`` are of one core already."""
    units = device.units or 1
    if units == 1:
        return device
    peaks, vector = (
        {arithmetic: value / units for arithmetic, value in values.items()}
        for values in (device.peak_flops, device.vector_peak_flops)
    )
    return replace(device, units=1, peak_flops=peaks, vector_peak_flops=vector)


def _fourier_flops(op: Elementwise, rows: np.ndarray) -> np.ndarray:
    """FLOPs of Fourier transforms as they run: 5 m log2(m) for a length m that is a power of two (Cooley and Tukey, 1965).

    Others go by three transforms of the next power of two above twice their length (Bluestein, 1970).

    The descriptor counts stages of real transforms, half the logarithm of the length.
    """
    elements, stages = _per_row(op.elements, rows), 2.0 * _per_row(op.steps, rows)
    whole = np.abs(stages - np.round(stages)) < 1e-9
    longer = np.where(whole, stages, np.ceil(stages) + 1.0)
    times: np.ndarray = elements * 2.0 ** (longer - stages) * 5.0 * longer * np.where(whole, 1.0, 3.0)
    return times


def _descriptors(table: Mapping[str, np.ndarray], op: str, rows: np.ndarray) -> dict[str, Any]:
    names = set(COLUMN_OF_FIELD.get(op, {}).values()) | set(_field_names(op))
    return {"op": np.full(len(rows), op, dtype=object)} | {n: np.asarray(table[n])[rows] for n in names if n in table}


def _field_names(op: str) -> list[str]:
    import dataclasses

    return [f.name for f in dataclasses.fields(FAMILIES[op])]


def _per_row(value: Any, rows: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (len(rows),))


def _describe(raw: Columns, rows: np.ndarray, op: Operator) -> None:
    """What the descriptor of some rows says."""

    def put(name: str, value: Any) -> None:
        raw[name][rows] = _per_row(value, rows)

    put("flops", op.flops)
    put("product_flops", op.product_flops)
    put("bytes_read", op.bytes_read)
    put("bytes_written", op.bytes_written)
    put("element_bytes", element_bytes(op.dtype))
    put("out_element_bytes", element_bytes(getattr(op, "out_dtype", None) or op.dtype))
    for name in ("rows", "cols", "elements"):
        if getattr(op, name, None) is not None:
            put(name, getattr(op, name))
    if isinstance(op, Elementwise):
        # Stages of a Fourier transform: not whole where its length is no power of two, which runs another algorithm.
        repeats = _per_row(op.steps, rows)
        put("repeats", repeats)
        put("odd_repeats", repeats != np.round(repeats))
    if op.products:
        product = op.products[0]
        m, n, k = (_per_row(v, rows) for v in (product.m, product.n, product.k))
        put("m", m)
        put("n", n)
        put("k", k)
        put("batch", product.batch)
        put("m_small", np.minimum(m, 16.0))
        put("n_mod_16", n % 16)
        put("k_mod_4", k % 4)
        put("m_mod_6", m % 6)
    if isinstance(op, Conv):
        groups = _per_row(op.groups, rows)
        per_group = _per_row(op.c_in, rows) / groups
        for name, value in {
            "kernel_h": op.kernel_h, "kernel_w": op.kernel_w, "stride": op.stride_h * op.stride_w,
            "dilation": op.dilation_h * op.dilation_w, "padded": op.pad_h + op.pad_w, "out_w": op.out_w,
            "channels_in": op.c_in, "channels_out": op.c_out, "height": op.h,
        }.items():  # fmt: skip
            put(name, value)
        # Convolutions along one axis run other code; what is no blocked kernel writes its patches out before the product.
        put("one_axis", (_per_row(op.h, rows) == 1) & (_per_row(op.kernel_h, rows) == 1))
        put("patches", raw["batch"][rows] * raw["m"][rows] * raw["k"][rows])
        put("grouped", groups > 1)
        put("depthwise", (groups > 1) & (per_group == 1))
        put("c_in_mod_16", per_group % 16)
        put("c_out_mod_16", _per_row(op.c_out, rows) % 16)
        put("out_w_mod_6", _per_row(op.out_w, rows) % 6)
    if isinstance(op, Rnn):
        put("steps", op.seq_len)
        put("hidden", op.hidden_size)
        put("directions", op.directions)
        put("batch", op.batch)
        put("k", op.input_size)


def words(table: Mapping[str, np.ndarray]) -> list[set[str]]:
    """What each row is called: its family, kernel, kind, absorbed kinds and formats."""
    count = len(table["op"])
    found: list[set[str]] = [set() for _ in range(count)]
    for column in ("op", "kernel", "kind", "fused", "dtype", "out_dtype", "layout"):
        if column not in table:
            continue
        for row, value in enumerate(np.asarray(table[column], dtype=object).tolist()):
            if isinstance(value, str) and value:
                parts = [value, *value.split("+")] if column in ("kind", "fused") else [value]
                found[row].update(f"{column}={part}" for part in parts)
    return found


def vocabulary(all_words: Iterable[set[str]], least: int) -> tuple[str, ...]:
    """Words that so many rows have, but not all of them, sorted."""
    counts: dict[str, int] = {}
    rows = 0
    for some in all_words:
        rows += 1
        for word in some:
            counts[word] = counts.get(word, 0) + 1
    return tuple(sorted(w for w, c in counts.items() if least <= c < rows))


def matrix(columns: Columns, all_words: Sequence[set[str]], known: Sequence[str]) -> np.ndarray:
    """Features of shape ``[rows, numbers + words]``, float32."""
    flags = np.zeros((len(all_words), len(known)), dtype=np.float32)
    place = {word: index for index, word in enumerate(known)}
    for row, some in enumerate(all_words):
        for word in some:
            if word in place:
                flags[row, place[word]] = 1.0
    return np.concatenate([np.stack([columns[n] for n in NUMBERS], axis=1).astype(np.float32), flags], axis=1)

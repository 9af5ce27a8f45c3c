"""The columns of trace tables: their names, what they hold, and which of them each operator family needs.

The design's columns stand here by name; a family's optional columns are the fields of its descriptor
(:data:`perfmodel.ops.FAMILIES`), so that a new field of a descriptor is a column of traces at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cache

from perfmodel.ops import FAMILIES
from perfmodel.ops.table import COLUMN_OF_FIELD

TEXT, INTEGER, NUMBER, FLAG = "text", "integer", "number", "flag"

BASE = {
    "device": TEXT, "software": TEXT, "latency_s": NUMBER, "power_w": NUMBER, "energy_j": NUMBER, "source": TEXT,
    "collection": TEXT, "order": INTEGER, "clock_mhz": NUMBER, "mem_clock_mhz": NUMBER, "power_limit_w": NUMBER,
    "temperature_c": NUMBER, "threads": INTEGER, "cache": TEXT, "samples": INTEGER, "latency_rel_std": NUMBER,
    "power_rel_std": NUMBER, "status": TEXT, "note": TEXT, "repeat": INTEGER,
}  # fmt: skip
"""Columns of both kinds of table."""

OPERATOR = {"op": TEXT, "kernel": TEXT, "kernels": INTEGER, "launch": TEXT}
"""Columns of operator traces beside a family's descriptor. ``kernels`` is how many kernels ran, ``launch`` is ``eager``
or ``graph``."""

RUN = {
    "workload": TEXT, "batch": INTEGER, "phase": TEXT, "score": NUMBER, "score_unit": TEXT, "operators": TEXT, "dtype": TEXT,
    "optimizer": TEXT, "network": TEXT, "launch": TEXT,
}  # fmt: skip
"""Columns of run traces. ``network`` is what workloads of one network share (they differ in batch, length, precision);
``machine_<name>`` columns describe a machine that no device record describes."""

REQUIRED = ("device", "software", "op", "latency_s", "source")
REQUIRED_OF_RUNS = ("device", "software", "workload", "latency_s", "source")

REQUIRED_OF_FAMILY: dict[str, tuple[str, ...]] = {
    "gemm": ("batch", "m", "n", "k", "dtype"),
    "conv": (
        "batch", "c_in", "c_out", "h", "w", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "groups",
        "dtype",
    ),
    "attention": ("phase", "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal", "dtype"),
    "moe": ("tokens", "hidden", "intermediate", "experts", "top_k", "dtype"),
    "norm": ("kind", "rows", "cols", "dtype"),
    "softmax": ("rows", "cols", "dtype"),
    "elementwise": ("kind", "elements", "inputs", "dtype"),
    "reduce": ("kind", "rows", "cols", "dtype"),
    "pool": ("kind", "batch", "channels", "h", "w", "out_h", "out_w", "kernel_h", "kernel_w", "dtype"),
    "copy": ("kind", "elements", "dtype"),
    "embedding": ("rows", "cols", "dtype"),
    "rnn": ("kind", "batch", "seq_len", "input_size", "hidden_size", "dtype"),
    "quantize": ("kind", "rows", "cols", "dtype", "out_dtype"),
    "collective": ("kind", "bytes", "ranks", "dtype"),
}  # fmt: skip
"""Columns that a row of a family must fill; the order of the families is that of a built table."""

MAY_BE_ZERO = frozenset(
    "pad_h pad_w pad_d out_pad_h out_pad_w out_pad_d inputs input_elements read_elements parameters".split()
)
"""Dimensions whose least value is 0 rather than 1."""
MAY_BE_HALF = frozenset(("pad_h", "pad_w", "pad_d"))
"""Asymmetric padding is given as half the sum of its two sides."""
MAY_BE_FRACTION = frozenset(("steps",))
"""Stages of a Fourier transform are the logarithm of its length, which tells what runs where that is no power of two."""

CONFIGURATION = "cfg_"
MACHINE = "machine_"
"""Prefixes of columns that a data set names itself (its card says what they hold)."""


@cache
def family_columns(family: str) -> dict[str, str]:
    """Every column of a family's descriptor and what it holds, required ones first."""
    fields = {}
    for field in dataclasses.fields(FAMILIES[family]):
        name = COLUMN_OF_FIELD.get(family, {}).get(field.name, field.name)
        if field.metadata.get("dim"):
            fields[name] = INTEGER
        else:
            annotation = str(field.type)
            fields[name] = FLAG if "bool" in annotation else INTEGER if "int" in annotation else TEXT
    required = REQUIRED_OF_FAMILY[family]
    return {name: fields[name] for name in (*required, *(n for n in fields if n not in required))}


def kind_of(column: str) -> str | None:
    """What a column holds; None where the schema does not name it."""
    for table in (BASE, OPERATOR, RUN):
        if column in table:
            return table[column]
    for family in REQUIRED_OF_FAMILY:
        if column in family_columns(family):
            return family_columns(family)[column]
    return None


def operator_columns(families: Iterable[str], provided: Iterable[str] = ()) -> dict[str, str]:
    """The columns of a table of operator traces, in order, and what each holds.

    Args:
        families: operator families that the table may hold; their required columns are always there.
        provided: columns that it has beside the required ones.
    """
    kept = {*REQUIRED, *provided}
    wanted = set(families)
    head = {"device": TEXT, "software": TEXT, **OPERATOR}
    columns = {name: kind for name, kind in head.items() if name in kept}
    for family, required in REQUIRED_OF_FAMILY.items():
        if family in wanted:
            needed = kept.union(required)
            columns |= {name: kind for name, kind in family_columns(family).items() if name in needed}
    return columns | {name: kind for name, kind in BASE.items() if name in kept and name not in columns}


def run_columns(provided: Iterable[str] = ()) -> dict[str, str]:
    """The columns of a table of run traces, in order; ``provided`` as for :func:`operator_columns`."""
    kept = {*REQUIRED_OF_RUNS, *provided}
    everything = {"device": TEXT, "software": TEXT, **RUN, **BASE}
    return {name: kind for name, kind in everything.items() if name in kept}

"""From rows of a trace table to descriptors, bounds and features: one way for every family.

    table → (family, device, part) → groups of like descriptors → bounds in the cache state of each row → features

Everything that trains or judges goes this way, so that a booster reads in use what it read in training.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets.splits import folds_of, group_keys
from perfmodel.errors import TraceError
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.bounds import Bounds
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.families import Family, family_of
from perfmodel.models.learned import software_columns, software_order, variant_columns, variant_of
from perfmodel.models.machine import CACHES, Conditions, Machine
from perfmodel.ops import FAMILIES as DESCRIPTORS
from perfmodel.ops import Collective
from perfmodel.ops.table import COLUMN_OF_FIELD, Group, from_columns

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_CACHE = "warm"
"""State of the last-level cache of rows that do not say: benchmarks repeat one call on the same buffers."""
_ROWS_AT_A_TIME = 50_000
"""The features of half a million GEMMs with all tile candidates would not fit the memory at once."""
_UNLIKELY_RATIO = 300.0
"""Measured over analytical latency, in the median of many rows: a thousand where milliseconds are taken for seconds. A slow
host may well take thirty times as long as the kernels that it waits for."""
_ROWS_CHECKED = 200
_SHARED_SHAPES = 0.01
"""Share of a software's shapes that must have been measured with two kernels before its kernels count as variants."""


@dataclass(frozen=True)
class Part:
    """The rows of a table that one booster is trained on.

    Attributes:
        family: None where nothing like these operators is learned.
        op: the descriptors' family.
        device: as the table names it.
        part: :attr:`perfmodel.models.families.Family.part`; the dtype where there is no family.
        rows: the rows of the table.
    """

    family: Family | None
    op: str
    device: str
    part: str
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """The family's name, or the operator's where there is none."""
        return self.op if self.family is None else self.family.name


def parts_of(table: pd.DataFrame) -> list[Part]:
    """The parts of a table, by family (in the order of :data:`perfmodel.models.families.FAMILIES`), device and part.

    Args:
        table: usable rows of operator traces, checked.
    """
    from perfmodel.models.families import FAMILIES

    if not len(table):
        return []
    label = np.zeros(len(table), dtype=np.int64)
    labels: list[tuple[Family | None, str, str]] = []
    ops, names = table["op"].factorize()
    for code, op in enumerate(map(str, names)):
        rows = np.flatnonzero(ops == code)
        kind = _settings_codes(table, op, rows)
        _, first, inverse = np.unique(kind, return_index=True, return_inverse=True)
        of_kind = np.zeros(len(first), dtype=np.int64)
        for group in from_columns(descriptor_columns(table.iloc[rows[first]], op)):
            family = family_of(group.op)
            entry = (family, op, group.op.dtype if family is None else family.part(group.op))
            if entry not in labels:
                labels.append(entry)
            of_kind[group.rows] = labels.index(entry)
        label[rows] = of_kind[inverse.reshape(-1)]
    device_of_row, devices = table["device"].astype(str).factorize()
    joint = label * max(len(devices), 1) + device_of_row
    found = []
    order = np.argsort(joint, kind="stable")
    starts = np.flatnonzero(np.diff(joint[order], prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        family, op, part = labels[joint[order[start]] // len(devices)]
        found.append(
            Part(family, op, str(devices[joint[order[start]] % len(devices)]), part, table.iloc[order[start:stop]])
        )
    place = {name: i for i, name in enumerate(FAMILIES)}
    return sorted(found, key=lambda p: (place.get(p.name, len(place)), p.name, p.device, p.part))


def _settings_codes(table: pd.DataFrame, op: str, rows: np.ndarray) -> np.ndarray:
    """A number that is equal for rows whose descriptors go into one group."""
    codes = np.zeros(len(rows), dtype=np.int64)
    for f in dataclasses.fields(DESCRIPTORS[op]):
        if f.name not in table.columns:
            continue
        column = table[f.name].iloc[rows]
        if not f.metadata.get("dim"):
            mine, distinct = column.factorize()
            codes = codes * (len(distinct) + 1) + mine + 1
        elif f.default is None:
            codes = codes * 2 + column.isna().to_numpy()
        # Few combinations occur: numbers stay small.
        codes = np.unique(codes, return_inverse=True)[1].reshape(-1)
    return codes


def descriptor_columns(table: pd.DataFrame, op: str) -> dict[str, Any]:
    """The columns of a descriptor's fields, as :func:`perfmodel.ops.table.from_columns` takes them."""
    names = {f.name for f in dataclasses.fields(DESCRIPTORS[op])}
    names |= set(COLUMN_OF_FIELD.get(op, {}).values())
    columns = {name: table[name].to_numpy() for name in table.columns if name in names}
    return {"op": np.full(len(table), op, dtype=object), **columns}


def cache_states(table: pd.DataFrame) -> np.ndarray:
    """The state of the last-level cache of each row."""
    if "cache" not in table.columns:
        return np.full(len(table), DEFAULT_CACHE, dtype=object)
    states: np.ndarray = table["cache"].astype(object).fillna(DEFAULT_CACHE).to_numpy()
    return states


def beyond_kernel_s(table: pd.DataFrame, op: str, constants: Constants) -> np.ndarray:
    """What the rows' labels hold beyond the kernel that an estimate is of: an eager call's cost, where products were timed
    so; seconds of shape ``[rows]``. The launch constants of other operators were fitted to such labels, and hold it."""
    if op != "gemm" or "launch" not in table.columns:
        return np.zeros(len(table))
    eager = (table["launch"].astype(object) == "eager").to_numpy(dtype=bool)
    return np.where(eager, constants.eager_launch_s, 0.0)


@dataclass(frozen=True)
class Analysed:
    """Some rows of a table as one group, and what the analytical model says of them.

    Attributes:
        rows: their places in the table.
        group: the descriptors; its own rows count from 0.
        cache: the state of the cache that ``bounds`` are for.
    """

    rows: np.ndarray
    group: Group
    cache: str
    bounds: Bounds


def analysed(
    table: pd.DataFrame, op: str, device: Device, constants: Constants | None, states: np.ndarray
) -> Iterator[Analysed]:
    """Every row of a table under its state of the cache, some tens of thousands at a time.

    Args:
        table: rows of one family of descriptors on one device.
        op: that family.
        device, constants: for the analytical model.
        states: of each row (:func:`cache_states`).
    """
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        for cache in CACHES:
            rows = start + np.flatnonzero(states[start : start + _ROWS_AT_A_TIME] == cache)
            if not len(rows):
                continue
            for group in from_columns(descriptor_columns(table.iloc[rows], op)):
                mine = Group(group.op, np.arange(len(group)))
                bounds = analyse(mine, device, constants=constants, conditions=Conditions(cache))
                yield Analysed(rows[group.rows], mine, cache, bounds)


def check_seconds(part: Part, device: Device, constants: Constants | None) -> None:
    """Refuses rows whose times are hundreds of times off what the physics says of them, most likely in another unit.

    Args:
        part: rows of one (family, device, part).
        device: the part's device.
        constants: for the analytical model.

    Raises:
        TraceError: the median of measured / analytical is beyond :data:`_UNLIKELY_RATIO` either way.
    """
    table = part.rows.iloc[:: max(1, len(part.rows) // _ROWS_CHECKED)]
    ratio = np.empty(len(table))
    measured = table["latency_s"].to_numpy(dtype=np.float64)
    for chunk in analysed(table, part.op, device, constants, cache_states(table)):
        ratio[chunk.rows] = measured[chunk.rows] / chunk.bounds.latency_s
    middle = float(np.median(ratio))
    if not 1 / _UNLIKELY_RATIO < middle < _UNLIKELY_RATIO:
        shown = f"{middle:,.0f}" if middle > 1 else f"{middle:.2g}"
        raise TraceError(
            f"latency_s of {part.op} on {device.id} is {shown} times what the physics says, in the median of"
            f" {len(table)} rows; wanted seconds: are they ms or us?"
        )


def roofline_s(group: Group, device: Device) -> np.ndarray:
    """The plain roofline: max(FLOPs / peak, bytes / DRAM bandwidth), nothing else (Williams et al., CACM 2009).

    A collective's bytes cross the interconnect instead, where the device file quotes one.
    """
    machine = Machine.of(device, group.op.dtype, Conditions())
    flops = np.broadcast_to(np.asarray(group.op.flops_executed, dtype=np.float64), (len(group),))
    moved = np.broadcast_to(np.asarray(group.op.bytes, dtype=np.float64), (len(group),))
    if isinstance(group.op, Collective) and device.interconnect_bytes_per_s is not None:
        return np.broadcast_to(group.op.message_bytes / device.interconnect_bytes_per_s, (len(group),)).copy()
    return np.maximum(flops / machine.peak_flops, moved / machine.dram_bytes_per_s)


_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def shape_keys(group: Group) -> np.ndarray:
    """A number for each row that is equal for equal descriptors, whatever the table; uint64 of shape ``[rows]``.

    Mixed as in SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", 2014).
    """
    op = group.op
    dims = set(op.dimension_names())
    settings = repr([(f.name, getattr(op, f.name)) for f in dataclasses.fields(op) if f.name not in dims])
    key = np.full(len(group), text_key(settings), dtype=np.uint64)
    for name in op.dimension_names():
        value = getattr(op, name)
        column = np.broadcast_to(np.asarray(-1.0 if value is None else value, dtype=np.float64), (len(group),))
        key = _mixed(key ^ (np.ascontiguousarray(column).view(np.uint64) + _MIX[0]))
    return key


def _mixed(key: np.ndarray) -> np.ndarray:
    key = (key ^ (key >> np.uint64(30))) * _MIX[1]
    key = (key ^ (key >> np.uint64(27))) * _MIX[2]
    mixed: np.ndarray = key ^ (key >> np.uint64(31))
    return mixed


def text_key(text: str) -> int:
    """A number for a text, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def variants_of(
    software: np.ndarray, kernel: np.ndarray | None, shape_key: np.ndarray, *, always: bool = False
) -> np.ndarray:
    """What each row's one-hot column is called: its software, or ``software:kernel``.

    A software that chooses one kernel for each shape is one variant, since the choice is part of what is learned. One that was
    measured with several kernels on the same shapes is as many variants as it has kernels: the caller chooses there.

    Args:
        software, kernel, shape_key: of each row; a kernel may be null.
        always: kernels are variants whether or not shapes were measured with several.
    """
    variants = software.astype(object).copy()
    if kernel is None:
        return variants
    for name in sorted(set(software.tolist())):
        rows = np.flatnonzero(software == name)
        kernels = np.array(["" if not isinstance(k, str) else k for k in kernel[rows].tolist()], dtype=object)
        distinct, codes = np.unique(kernels.astype(str), return_inverse=True)
        if len(distinct) < 2:
            continue
        shapes, shape = np.unique(shape_key[rows], return_inverse=True)
        pairs = np.unique(shape.reshape(-1) * len(distinct) + codes.reshape(-1))
        several = np.bincount(pairs // len(distinct), minlength=len(shapes)) > 1
        if always or several.mean() > _SHARED_SHAPES:
            named = np.array([variant_of(name, k) if k else name for k in distinct.tolist()], dtype=object)
            variants[rows] = named[codes.reshape(-1)]
    return variants


@dataclass(frozen=True)
class PreparedTable:
    """The rows of one (family, device, part) with their features; arrays of shape ``[rows]`` in the order of the table.

    Attributes:
        software: the variants (:func:`variants_of`), in the booster's order.
        cache: the commonest state of the cache of each.
        variant_of_row: the variant of each row; ``software_of_row`` its software.
        matrix: features, then what tells the variants apart, float32 of shape ``[rows, features]``.
        support: least and greatest value of the family's support features.
        exact: the values of the family's exact features.
        kernels: of each variant the values of the features that say which kernels can run.
        group: the group of shapes that each row belongs to; ``fold`` which fold holds it out
            (:mod:`perfmodel.datasets.splits`).
    """

    family: Family
    device: Device
    part: str
    software: tuple[str, ...]
    cache: tuple[str, ...]
    variant_of_row: np.ndarray
    software_of_row: np.ndarray
    dtype_of_row: np.ndarray
    measured_s: np.ndarray
    analytical_s: np.ndarray
    floor_s: np.ndarray
    roofline_s: np.ndarray
    matrix: np.ndarray
    support: dict[str, tuple[float, float]]
    exact: dict[str, tuple[float, ...]]
    kernels: dict[str, dict[str, tuple[float, ...]]]
    group: np.ndarray
    fold: np.ndarray
    shape_key: np.ndarray

    def __len__(self) -> int:
        return len(self.measured_s)

    @property
    def log_ratio(self) -> np.ndarray:
        """ln(measured / analytical)."""
        ratio: np.ndarray = np.log(self.measured_s / self.analytical_s)
        return ratio

    @property
    def entry(self) -> dict[str, Any]:
        """The manifest's entry of a booster that was trained on these rows, without quantiles and file."""
        return {
            "family": self.family.name, "device": self.device.id, "part": self.part, "dtype": str(self.dtype_of_row[0]),
            "software": list(self.software), "cache": list(self.cache),
            "support": {k: list(v) for k, v in self.support.items()},
            "exact": {k: list(v) for k, v in self.exact.items()}, "rows": len(self),
            "kernels": {s: {k: list(v) for k, v in f.items()} for s, f in self.kernels.items()},
        }  # fmt: skip


def prepare(part: Part, constants: Constants | None, seed: int, device: Device | None = None) -> PreparedTable:
    """The features and the analytical latency of a part's rows, each under the state of its cache.

    Args:
        part: the rows.
        constants: of the physics.
        seed: of the folds.
        device: the record, where it is another than the one that the part names.
    """
    family, table, rows = part.family, part.rows, len(part.rows)
    assert family is not None
    device = load_device(part.device) if device is None else device
    schema = family.schema
    states = cache_states(table)
    features = np.empty((rows, len(schema.names)), dtype=np.float32)
    kept = {name: np.empty(rows) for name in (*family.support, *family.exact, *family.kernels)}
    latency, floor, roofline = (np.empty(rows) for _ in range(3))
    keys = np.empty(rows, dtype=np.uint64)
    for chunk in analysed(table, part.op, device, constants, states):
        op = chunk.group.op
        columns = family.columns(op, chunk.bounds, Machine.of(device, op.dtype), device)
        features[chunk.rows] = schema.matrix(columns)
        for name, values in kept.items():
            values[chunk.rows] = columns[name]
        latency[chunk.rows], floor[chunk.rows] = chunk.bounds.latency_s, chunk.bounds.floor_s
        roofline[chunk.rows], keys[chunk.rows] = roofline_s(chunk.group, device), shape_keys(chunk.group)
    latency += beyond_kernel_s(table, part.op, constants or FALLBACK)
    software_of_row = table["software"].astype(str).to_numpy(dtype=object)
    kernel = table["kernel"].astype(object).to_numpy() if "kernel" in table.columns else None
    variant_of_row = variants_of(software_of_row, kernel, keys, always=bool(family.kernels))
    software = software_order(variant_of_row.tolist())
    groups = group_keys(table)
    told = software_columns(software, variant_of_row) @ variant_columns(software, family.kernel_classes)
    return PreparedTable(
        family=family, device=device, part=part.part, software=software,
        cache=tuple(_commonest(states[variant_of_row == s]) for s in software), variant_of_row=variant_of_row,
        software_of_row=software_of_row, dtype_of_row=table["dtype"].astype(str).to_numpy(dtype=object),
        measured_s=table["latency_s"].to_numpy(dtype=np.float64), analytical_s=latency, floor_s=floor, roofline_s=roofline,
        matrix=np.concatenate([features, told], axis=1),
        support={f: (float(kept[f].min()), float(kept[f].max())) for f in family.support},
        exact={f: tuple(np.unique(kept[f]).tolist()) for f in family.exact},
        kernels={
            s: {f: tuple(np.unique(kept[f][variant_of_row == s]).tolist()) for f in family.kernels} for s in software
        } if family.kernels else {},
        group=groups, fold=folds_of(groups, seed=seed), shape_key=keys,
    )  # fmt: skip


def _commonest(states: np.ndarray) -> str:
    names, counts = np.unique(states.astype(str), return_counts=True)
    return str(names[np.argmax(counts)])

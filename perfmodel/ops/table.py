"""Many operators at once: groups of like descriptors whose dimensions are arrays.

Everything below this layer is vectorised over such groups, so that a table of a million candidates costs no Python
loop per row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import DescriptorError, InputError, nearest
from perfmodel.ops import FAMILIES
from perfmodel.ops.base import MAX_DIMENSION, Operator

_POWERS_OF_TWO = 2.0 ** np.arange(MAX_DIMENSION.bit_length())


@dataclass(frozen=True)
class Group:
    """Rows of one family that differ in their dimensions only.

    Attributes:
        op: a descriptor whose dimensions are float64 arrays of shape ``[rows]``.
        rows: index of each row in the whole table, shape ``[rows]``.
    """

    op: Operator
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> Group:
        """The rows ``start:stop`` of this group."""
        return self.taken(slice(start, stop))

    def taken(self, index: slice | np.ndarray) -> Group:
        """Some rows of this group."""
        changes = {
            name: value[index] for name in self.op.dimension_names() if (value := getattr(self.op, name)) is not None
        }
        return Group(self.op.replace(**changes), self.rows[index])

    def halved(self, at_most: float) -> Group | None:
        """The rows of a batch above 1 with half of it (rounded up), and half of that until it is at most ``at_most``.

        Returns:
            None where no row has a batch above 1; ``rows`` are indices within this group.
        """
        batch = np.broadcast_to(np.asanyarray(getattr(self.op, "batch", 1.0), dtype=np.float64), (len(self),))
        rows = np.flatnonzero(batch > 1)
        if not len(rows):
            return None
        # To halve and round up again and again is to divide by a power of two and round up once.
        halvings = (batch[rows][:, None] > np.floor(max(at_most, 1.0)) * _POWERS_OF_TWO).sum(axis=1)
        fewer = np.ceil(batch[rows] / np.exp2(np.maximum(halvings, 1)))
        changes = {
            name: np.broadcast_to(np.asanyarray(value, dtype=np.float64), (len(self),))[rows]
            for name in self.op.dimension_names()
            if (value := getattr(self.op, name)) is not None
        }
        return Group(self.op.replace(**changes | {"batch": fewer}), rows)


def _settings(op: Operator) -> tuple[Any, ...]:
    """What makes two descriptors unlike: their class, their non-dimension fields, and which dimensions are absent."""
    dims = set(op.dimension_names())
    fixed = tuple(getattr(op, f.name) for f in dataclasses.fields(op) if f.name not in dims)
    absent = tuple(getattr(op, name) is None for name in op.dimension_names())
    return (type(op), fixed, absent)


def stack(ops: Sequence[Operator]) -> list[Group]:
    """Groups like descriptors; every dimension becomes a float64 array.

    Raises:
        DescriptorError: a descriptor still has open symbolic dimensions, or arrays as dimensions.
    """
    by_settings: dict[tuple[Any, ...], list[int]] = {}
    for index, op in enumerate(ops):
        if op.free_dims:
            raise DescriptorError(
                f"operator {index} ({op.op}) has open dimensions {', '.join(op.free_dims)}: bind them first"
            )
        if any(np.ndim(getattr(op, name)) for name in op.dimension_names()):
            raise DescriptorError(f"operator {index} ({op.op}) has arrays as dimensions: give it alone, not in a list")
        by_settings.setdefault(_settings(op), []).append(index)
    groups = []
    for indices in by_settings.values():
        first = ops[indices[0]]
        changes = {
            name: np.array([getattr(ops[i], name) for i in indices], dtype=np.float64)
            for name in first.dimension_names()
            if getattr(first, name) is not None
        }
        groups.append(Group(first.replace(**changes), np.array(indices, dtype=np.intp)))
    return groups


def groups_of(ops: Operator | Sequence[Operator] | Mapping[str, Any]) -> tuple[list[Group], int]:
    """Groups of one descriptor (its dimensions may be arrays), a sequence of descriptors, or a table of columns; and the rows.

    Raises:
        InputError: dimensions that do not fit together, or something that is no descriptor.
        DescriptorError: a table that lacks a column; see :func:`from_columns`.
    """
    if isinstance(ops, Mapping):
        groups = from_columns(ops)
    elif isinstance(ops, Operator):
        # One descriptor whose dimensions may be arrays: a sweep.
        shapes = [np.shape(v) for n in ops.dimension_names() if (v := getattr(ops, n)) is not None]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            raise InputError(
                f"the dimensions of {ops.op} differ in length: {sorted({s for s in shapes if s})}"
            ) from None
        if len(shape) > 1:
            raise InputError(f"the dimensions of {ops.op} broadcast to the shape {shape}; wanted numbers or 1-D arrays")
        rows = shape[0] if shape else 1
        if ops.free_dims or not shape:
            groups = stack([ops])
        else:
            changes = {
                n: np.broadcast_to(np.asarray(v, dtype=np.float64), (rows,))
                for n in ops.dimension_names()
                if (v := getattr(ops, n)) is not None
            }
            groups = [Group(ops.replace(**changes), np.arange(rows))]
    else:
        ops = list(ops)
        for index, op in enumerate(ops):
            if not isinstance(op, Operator):
                raise InputError(
                    f"operator {index} is a {type(op).__name__}; wanted a descriptor: {', '.join(FAMILIES)}"
                )
        groups = stack(ops)
    return groups, sum(len(g) for g in groups)


COLUMN_OF_FIELD = {"collective": {"message_bytes": "bytes"}}
"""By family, the fields of a descriptor that traces call otherwise: their column's name would clash on a descriptor."""


def columns_of(op: Operator) -> dict[str, Any]:
    """A descriptor as columns of a trace row, ``op`` first; fields that are None are left out."""
    names = COLUMN_OF_FIELD.get(op.op, {})
    fields = {names.get(f.name, f.name): getattr(op, f.name) for f in dataclasses.fields(op)}
    return {"op": op.op, **{name: value for name, value in fields.items() if value is not None}}


def from_columns(columns: Mapping[str, Any]) -> list[Group]:
    """Groups the rows of a table of columns (the operator-trace columns, see ``docs/contracts.md``).

    Args:
        columns: ``op`` (a family's name, or one a row) and that family's fields, each one value or one a row. A column
            that a family does not have is ignored, so that a whole trace table can be passed. A null (None, NaN) means
            the field's default.

    Raises:
        DescriptorError: no ``op`` column, an unknown family, a missing field, a null in a field without default, or
            columns of unlike length.
    """
    if "op" not in columns:
        raise DescriptorError("the table has no column 'op': name each row's family (gemm, conv, ...)")
    for name, column in columns.items():
        if np.ndim(column) > 1:
            raise DescriptorError(f"column {name!r} has the shape {np.shape(column)}; wanted one value a row")
    lengths = {name: len(c) for name, c in columns.items() if np.ndim(c) == 1}
    if len(set(lengths.values())) > 1:
        raise DescriptorError(f"the columns differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}")
    rows = next(iter(lengths.values()), 1)
    families, family_of_row = _coded(columns["op"], rows)
    groups: list[Group] = []
    for code, family in enumerate(families):
        if family not in FAMILIES:
            hint = nearest(str(family), FAMILIES)
            raise DescriptorError(f"unknown operator family {family!r} in column 'op': {hint}")
        index = np.flatnonzero(family_of_row == code)
        aliases = {
            name: columns[column] for name, column in COLUMN_OF_FIELD.get(family, {}).items() if column in columns
        }
        groups += _family_groups(FAMILIES[family], {**aliases, **columns}, index, rows)
    return groups


def _family_groups(cls: type[Operator], columns: Mapping[str, Any], index: np.ndarray, rows: int) -> list[Group]:
    missing = [f.name for f in dataclasses.fields(cls) if f.name not in columns and f.default is dataclasses.MISSING]
    if missing:
        wanted = [COLUMN_OF_FIELD.get(cls.op, {}).get(name, name) for name in missing]
        raise DescriptorError(
            f"the table has no column {wanted[0]!r}, which {cls.op} needs (missing: {', '.join(wanted)})"
        )
    dims: dict[str, np.ndarray] = {}
    settings: dict[str, tuple[list[Any], np.ndarray]] = {}
    keys = np.zeros(len(index), dtype=np.int64)
    for f in dataclasses.fields(cls):
        if f.name not in columns:
            continue
        if f.metadata.get("dim"):
            values = _numbers(columns[f.name], rows, f.name)[index]
            null = np.isnan(values)
            if f.default is None:
                keys = keys * 2 + null  # rows with and without a window belong to different groups
            dims[f.name] = values
        else:
            distinct, codes = _coded(columns[f.name], rows)
            settings[f.name] = distinct, codes[index]
            null = np.array([v is None for v in distinct], dtype=bool)[settings[f.name][1]]
            keys = keys * max(len(distinct), 1) + settings[f.name][1]
        if f.default is dataclasses.MISSING and null.any():
            raise DescriptorError(f"row {index[np.argmax(null)]}, column {f.name!r} is null; {cls.op} needs it")
    groups = []
    for key in np.unique(keys):
        chosen = np.flatnonzero(keys == key)
        arguments: dict[str, Any] = {}
        for name, (distinct, codes) in settings.items():
            if (value := distinct[codes[chosen[0]]]) is not None:
                arguments[name] = value
        for f in dataclasses.fields(cls):
            default: Any = f.default
            if f.name in dims:
                part = dims[f.name][chosen]
                if default is None:
                    arguments[f.name] = None if np.isnan(part[0]) else part
                elif default is dataclasses.MISSING:
                    arguments[f.name] = part
                else:
                    arguments[f.name] = np.where(np.isnan(part), default, part)
            elif f.metadata.get("dim") and default is not None:
                arguments[f.name] = np.full(len(chosen), float(default))
        groups.append(Group(cls(**arguments), index[chosen]))
    return groups


def _coded(column: Any, rows: int) -> tuple[list[Any], np.ndarray]:
    """The distinct values of a column (nulls as None), and which of them each row has."""
    if np.ndim(column) == 0:
        return [None if _is_null(column) else column], np.zeros(rows, dtype=np.int64)
    values = np.asarray(column, dtype=object).tolist()
    distinct: dict[Any, int] = {}
    codes = {v: distinct.setdefault(None if _is_null(v) else v, len(distinct)) for v in dict.fromkeys(values)}
    return list(distinct), np.fromiter(map(codes.__getitem__, values), dtype=np.int64, count=len(values))


def _numbers(column: Any, rows: int, name: str) -> np.ndarray:
    """A column as float64, nulls as NaN."""
    numbers = np.asarray(column)
    try:
        if numbers.dtype == object:
            numbers = np.array([np.nan if _is_null(v) else v for v in numbers.reshape(-1)]).reshape(numbers.shape)
        return np.broadcast_to(numbers.astype(np.float64), (rows,))
    except (TypeError, ValueError) as error:
        raise DescriptorError(f"column {name!r} holds something that is no number: {error}") from None


def _is_null(value: Any) -> bool:
    # pandas' NA is neither equal nor unequal to itself.
    return (
        value is None or (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType")
    )

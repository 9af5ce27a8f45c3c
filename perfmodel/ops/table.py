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

from perfmodel.errors import DescriptorError, nearest
from perfmodel.ops import FAMILIES
from perfmodel.ops.base import Operator


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
        changes = {
            name: value[start:stop]
            for name in self.op.dimension_names()
            if (value := getattr(self.op, name)) is not None
        }
        return Group(self.op.replace(**changes), self.rows[start:stop])


def _settings(op: Operator) -> tuple[Any, ...]:
    """What makes two descriptors unlike: their class, their non-dimension fields, and which dimensions are absent."""
    dims = set(op.dimension_names())
    fixed = tuple(getattr(op, f.name) for f in dataclasses.fields(op) if f.name not in dims)
    absent = tuple(getattr(op, name) is None for name in op.dimension_names())
    return (type(op), fixed, absent)


def stack(ops: Sequence[Operator]) -> list[Group]:
    """Groups like descriptors; every dimension becomes a float64 array.

    Raises:
        DescriptorError: a descriptor still has open symbolic dimensions.
    """
    by_settings: dict[tuple[Any, ...], list[int]] = {}
    for index, op in enumerate(ops):
        if op.free_dims:
            raise DescriptorError(f"operator {index} ({op.op}) has open dimensions {', '.join(op.free_dims)}: bind them first")
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


def from_columns(columns: Mapping[str, Any]) -> list[Group]:
    """Groups the rows of a table of columns (the operator-trace columns, see ``docs/contracts.md``).

    Args:
        columns: ``op`` (a family's name, or one a row) and that family's fields, each one value or one a row. A column
            that a family does not have is ignored, so that a whole trace table can be passed.

    Raises:
        DescriptorError: no ``op`` column, an unknown family, a missing field, or columns of unlike length.
    """
    if "op" not in columns:
        raise DescriptorError("the table has no column 'op': name each row's family (gemm, conv, ...)")
    lengths = {name: len(c) for name, c in columns.items() if not isinstance(c, str) and np.ndim(c) == 1}
    if len(set(lengths.values())) > 1:
        raise DescriptorError(f"the columns differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}")
    rows = next(iter(lengths.values()), 1)
    families = np.broadcast_to(np.asarray(columns["op"], dtype=object), (rows,))
    groups: list[Group] = []
    for family in dict.fromkeys(families.tolist()):
        if family not in FAMILIES:
            raise DescriptorError(f"unknown operator family {family!r} in column 'op': {nearest(str(family), FAMILIES)}")
        index = np.flatnonzero(families == family)
        groups += _family_groups(FAMILIES[family], columns, index, rows)
    return groups


def _family_groups(cls: type[Operator], columns: Mapping[str, Any], index: np.ndarray, rows: int) -> list[Group]:
    dims = cls.dimension_names()
    fields = [f for f in dataclasses.fields(cls) if f.name in columns]
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name not in columns and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise DescriptorError(f"the table has no column {missing[0]!r}, which {cls.op} needs (missing: {', '.join(missing)})")
    arrays: dict[str, np.ndarray] = {}
    settings: list[str] = []
    keys = np.zeros(len(index), dtype=np.int64)
    values: dict[str, np.ndarray] = {}
    for f in fields:
        column = np.broadcast_to(np.asarray(columns[f.name], dtype=None if f.name in dims else object), (rows,))[index]
        if f.name in dims:
            try:
                arrays[f.name] = column.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise DescriptorError(f"column {f.name!r} holds something that is no number: {error}") from None
            # A null dimension means "absent" (a window): rows with and without it belong to different groups.
            absent = np.isnan(arrays[f.name])
            keys = keys * 2 + absent
        else:
            codes: dict[Any, int] = {}
            coded = np.array([codes.setdefault(_null(v), len(codes)) for v in column.tolist()], dtype=np.int64)
            keys = keys * max(len(codes), 1) + coded
            values[f.name] = np.array([_null(v) for v in column.tolist()], dtype=object)
            settings.append(f.name)
    groups = []
    for key in np.unique(keys):
        chosen = np.flatnonzero(keys == key)
        arguments: dict[str, Any] = {name: values[name][chosen[0]] for name in settings}
        arguments = {n: v for n, v in arguments.items() if v is not None or _may_be_none(cls, n)}
        for name, array in arrays.items():
            part = array[chosen]
            arguments[name] = None if np.isnan(part[0]) else part
        for name in dims:
            if name not in arguments:
                default = next(f.default for f in dataclasses.fields(cls) if f.name == name)
                arguments[name] = default if default is None else np.full(len(chosen), float(default))
        groups.append(Group(cls(**arguments), index[chosen]))
    return groups


def _null(value: Any) -> Any:
    return None if value is None or value != value else value


def _may_be_none(cls: type[Operator], name: str) -> bool:
    return any(f.name == name and f.default is None for f in dataclasses.fields(cls))

"""Descriptions of configuration spaces: which column means what, in formulas, and which configurations cannot be.

A description is a TOML file (``spaces/*.toml``) or a mapping of the same form. Everything above it, physics, coordinates,
learning, treats CLBlast's SGEMM, a Triton GEMM and a user's own kernel alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import InputError, checked_keywords, checked_methods, nearest
from perfmodel.files import parse_toml, read_at_most
from perfmodel.ops.base import Operator
from perfmodel.rank.expressions import ARRAYS, MOST, Arithmetic, Expression

SCHEMA = 1
ROLES: dict[str, str] = {
    "tile_m": "outputs of a block along its first (contiguous) axis",
    "tile_n": "outputs of a block along its second axis",
    "tile_k": "steps of the reduction that a block takes at a time; default: all of it",
    "extent_m": "outputs of the problem along the first axis; default: m, or the width of a convolution's output",
    "extent_n": "outputs along the second axis; default: n, or the height",
    "extent_k": "multiply-adds of one output; default: k, or the filter's size times its channels",
    "batch": "independent problems; default: batch (of convolutions times their output channels)",
    "threads_m": "threads of a block along the first axis",
    "threads_n": "threads along the second axis",
    "threads": "threads of a block; default: threads_m * threads_n",
    "work_m": "outputs of a thread along the first axis; default: tile_m / threads_m",
    "work_n": "outputs of a thread along the second axis; default: tile_n / threads_n",
    "vector_m": "elements of a load of the first operand; default: 1",
    "vector_n": "elements of a load of the second operand; default: 1",
    "stride_m": "elements between what neighbouring threads load of the first operand; default: vector_m",
    "stride_n": "elements between what neighbouring threads load of the second operand; default: vector_n",
    "loads_m": "elements of the first operand that a thread loads in a step; default: work_m",
    "loads_n": "elements of the second operand that a thread loads in a step; default: work_n",
    "shared_m": "1 if the first operand goes through shared memory; default: 0",
    "shared_n": "1 if the second one does; default: 0",
    "fetched_m": "elements of the first operand that a block fetches in a step; default: tile_m",
    "fetched_n": "elements of the second operand that a block fetches in a step; default: tile_n",
    "shared_bytes": "shared memory of a block; default: 0",
    "registers": "32-bit registers of a thread (vectors of a CPU's core); default: from its outputs and loads",
    "split_k": "parts of the reduction that run apart and are added up; default: 1",
    "stages": "steps that are on their way at once; default: 1",
    "unroll": "how often the innermost loop is unrolled; default: 1",
    "group": "blocks of one column that run after each other; default: 1",
    "lanes": "multiply-adds of one instruction; default: 1 on GPUs",
    "matrix_units": "1 if matrix units compute the tiles; default: 0",
    "units": "units that are used; default: all",
    "cached_bytes": "what a block goes over again and again, which its unit's first cache should hold; default: 0",
    "outer_bytes": "what it goes over less often, for its share of the last-level cache; default: 0",
}
"""What the columns of a space may stand for, with the default of each."""
COMPULSORY = ("tile_m", "tile_n")
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class Requirement:
    """A condition that every configuration meets that exists.

    Attributes:
        holds: true where it is met.
        reason: why a configuration is refused, without its numbers.
    """

    holds: Expression
    reason: str


@checked_methods()
@dataclass(frozen=True)
class Space:
    """A configuration space.

    Attributes:
        id: its name.
        op: family of the operators that its kernel computes.
        title: what the kernel is, in one line.
        columns: its parameters, with the value where a table lacks the column; None: the column is compulsory.
        roles: formulas over the columns, ``op.<field>`` and ``device.<limit>``, by names of :data:`ROLES`.
        requirements: what a configuration must meet beside the limits of the device.
    """

    id: str
    op: str
    title: str
    columns: Mapping[str, float | None]
    roles: Mapping[str, Expression]
    requirements: tuple[Requirement, ...]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], where: str = "the space") -> Space:
        """A space from the content of its TOML file.

        Args:
            value: ``id``, ``op``, ``columns``, ``roles`` and perhaps ``title`` and ``require``.
            where: what messages call it.

        Raises:
            InputError: something is absent, unknown, or no formula.
        """
        try:
            if value.get("schema", SCHEMA) != SCHEMA:
                raise InputError(f"{where} has schema {value['schema']!r}; this version reads {SCHEMA}")
            columns = {str(name): _default(entry) for name, entry in value["columns"].items()}
            roles = {str(name): Expression.parse(text) for name, text in value["roles"].items()}
            require = tuple(
                Requirement(Expression.parse(r["holds"]), str(r["reason"])) for r in value.get("require", ())
            )
            space = cls(
                str(value["id"]), str(value["op"]), str(value.get("title", value["id"])), columns, roles, require
            )
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{where} lacks something or holds a wrong type ({type(error).__name__} {error}); wanted id, op, columns and "
                "roles as in docs/ranking.md"
            ) from None
        for role in space.roles:
            if role not in ROLES:
                raise InputError(f"{where} has the role {role!r}: {nearest(role, ROLES)}")
        for role in COMPULSORY:
            if role not in space.roles:
                raise InputError(f"{where} says nothing of {role}: {ROLES[role]}")
        for text in (*space.roles.values(), *(r.holds for r in space.requirements)):
            for name in text.names:
                if "." not in name and name not in columns:
                    raise InputError(f"{where} reads {name!r} in {text.text!r}: {nearest(name, columns)}")
        return space

    @classmethod
    def read(cls, path: str | Path) -> Space:
        """A space from a TOML file.

        Raises:
            InputError: it cannot be read, or describes none.
        """
        path = Path(path)
        try:
            data = read_at_most(path, _MAX_BYTES)
            if data is None:
                raise InputError(f"{path} is larger than {_MAX_BYTES >> 20} MiB, which no space is")
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no TOML: byte {error.start} is not UTF-8") from None
        try:
            value = parse_toml(text)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        return cls.from_dict(value, str(path))

    def refuse_other(self, op: Operator) -> None:
        """Raises InputError unless the descriptor is of this space's family and one problem with all dimensions known."""
        if op.op != self.op:
            raise InputError(f"the space {self.id} is of {self.op} kernels, got a descriptor of {op.op}")
        if op.free_dims:
            raise InputError(f"the descriptor has open dimensions {', '.join(op.free_dims)}: bind them first")
        if any(np.ndim(getattr(op, name)) for name in op.dimension_names()):
            raise InputError("one problem is ranked at a time: got a descriptor with arrays as dimensions")
        if op.flops == 0:
            raise InputError(f"the descriptor computes nothing, since a dimension is 0: {op}")

    def role_values(self, values: Mapping[str, Any], arithmetic: Arithmetic = ARRAYS) -> dict[str, Any]:
        """What the formulas of the roles give, of those that the space has."""
        return {name: formula(values, arithmetic) for name, formula in self.roles.items()}


def _default(entry: Any) -> float | None:
    value = entry.get("default") if isinstance(entry, Mapping) else entry
    if value is None:
        return None
    if not abs(float(value)) <= MOST:
        raise InputError(f"the default {value!r:.40}; wanted a number up to 2^53")
    return float(value)


@checked_keywords()
def space(name: str | Path | Space | Mapping[str, Any]) -> Space:
    """A space by its name, its TOML file, or its description.

    Raises:
        InputError: there is none of that name, or the description is faulty.
    """
    if isinstance(name, Space):
        return name
    if isinstance(name, Mapping):
        return Space.from_dict(name)
    if str(name) in space_ids():
        return _shipped(str(name))
    if str(name).endswith(".toml"):
        return Space.read(name)
    raise InputError(
        f"there is no configuration space {str(name)!r}: {nearest(str(name), space_ids())}; or a .toml file"
    )


@lru_cache(maxsize=1)
@checked_keywords()
def space_ids() -> tuple[str, ...]:
    """Names of the spaces that ship."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def recognised(op: str, columns: list[str]) -> Space:
    """The shipped space whose compulsory columns a table has; the one with the most of them.

    Args:
        op: family of the operator.
        columns: the table's.

    Raises:
        InputError: there is none.
    """
    have = set(columns)
    fitting = []
    of_family: set[str] = set()
    for name in space_ids():
        known = _shipped(name)
        if known.op == op:
            of_family |= set(known.columns)
        wanted = {c for c, default in known.columns.items() if default is None}
        if known.op == op and wanted <= have:
            fitting.append((len(set(known.columns) & have), name))
    if not fitting:
        raise InputError(
            f"no shipped space of {op} has the columns {', '.join(columns[:8])}{_misspelt(columns, of_family)}; "
            f"name a space or describe your own (known: {', '.join(space_ids())})"
        )
    return _shipped(max(fitting)[1])


def _misspelt(columns: Iterable[str], known: set[str]) -> str:
    """What the first column that no space of the family has may stand for."""
    wrong = next((c for c in columns if known and c not in known), None)
    if wrong is None or not (hint := nearest(wrong, known)).startswith("did you mean"):
        return ""
    return f" ({wrong!r}: {hint})"


@lru_cache(maxsize=32)
def _shipped(name: str) -> Space:
    return Space.read(_folder() / f"{name}.toml")


def _folder() -> Path:
    return Path(__file__).parent / "spaces"

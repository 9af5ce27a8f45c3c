"""What the definitions of operations ask of shapes, axes and signatures, compared where the text says numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.call import DefinitionError
from perfmodel.features.mlir.definitions import AXES
from perfmodel.features.mlir.ir import Module, Operation, Value
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.types import SHAPED, FunctionType

Dims = tuple[int | None, ...]


def some(number: int, noun: str) -> str:
    """``1 operand``, ``2 operands of ins``."""
    first, _, rest = noun.partition(" ")
    return f"{number} {first}{'' if number == 1 else 's'}{' ' if rest else ''}{rest}"


def shape_of(value: Value) -> Dims | None:
    """The dimensions of a value's type; None for what has none, or none that are known."""
    kind = value.type
    return kind.shape if isinstance(kind, SHAPED) else None


def _text(shape: Dims | None) -> str:
    return "x".join("?" if d is None else str(d) for d in shape) if shape else "no axes"


def _differ(a: int | None, b: int | None) -> bool:
    return a is not None and b is not None and a != b


def _equal(what: str, a: Dims | None, b: Dims | None) -> None:
    if a is not None and b is not None and (len(a) != len(b) or any(map(_differ, a, b))):
        raise DefinitionError(f"expected {what} of {_text(a)}, found {_text(b)}")


def _axes(what: str, axes: Sequence[Any], rank: int) -> None:
    """Axes that exist, each named once."""
    wrong = next((a for a in axes if not isinstance(a, int) or not 0 <= a < rank), None)
    if wrong is not None:
        raise DefinitionError(f"expected {what} below the rank {rank}, found {wrong}")
    if len(set(axes)) < len(axes):
        raise DefinitionError(f"expected {what} once each, found {list(axes)}")


def _numbers(operation: Operation, name: str) -> list[Any] | None:
    return numbers_of(operation.attributes.get(name))


def _given(operation: Operation, name: str) -> list[Any]:
    found = _numbers(operation, name)
    if found is None:
        raise DefinitionError(f"expected the attribute {name}, found none that could be read")
    return found


def _alike(module: Module, operation: Operation) -> None:
    """Operands and results of one shape."""
    first: Dims | None = None
    for value in (*operation.operands, *operation.results):
        shape = shape_of(value)
        if first is None:
            first = shape
        elif shape is not None:
            _equal("operands and results", first, shape)


def _broadcast(module: Module, operation: Operation) -> None:
    """Operands that broadcast to each other, numpy's way."""
    sizes: list[int] = []
    for value in operation.operands:
        for axis, size in enumerate(reversed(shape_of(value) or ())):
            if axis == len(sizes):
                sizes.append(1)
            if size is None or size == 1 or sizes[axis] == size:
                continue
            if sizes[axis] != 1:
                found = " and ".join(_text(shape_of(v)) for v in operation.operands[:2])
                raise DefinitionError(f"expected operands that broadcast to each other, found {found}")
            sizes[axis] = size


def _dot_general(module: Module, operation: Operation) -> None:
    numbers = operation.attributes.get("dot_dimension_numbers")
    params = getattr(numbers, "params", None)
    if numbers is None:
        raise DefinitionError("expected dimension numbers (contracting_dims = [1] x [0]), found none")
    a, b = (shape_of(v) for v in operation.operands)
    if a is None or b is None:
        return
    sides = []
    for what in ("batching", "contracting"):
        left, right = ([*(numbers_of((params or {}).get(f"{s}_{what}_dimensions")) or [])] for s in ("lhs", "rhs"))
        if len(left) != len(right):
            raise DefinitionError(f"expected as many {what} dimensions of both operands, found {left} and {right}")
        for axes, shape in ((left, a), (right, b)):
            _axes(f"{what} dimensions", axes, len(shape))
        for i, j in zip(left, right, strict=True):
            if _differ(a[i], b[j]):
                raise DefinitionError(f"expected {what} dimensions of one size, found {a[i]} and {b[j]}")
        sides.append((left, right))
    gone = [set(x) | set(y) for x, y in zip(*sides, strict=True)]
    result = [a[i] for i in sides[0][0]]
    result += [d for i, d in enumerate(a) if i not in gone[0]] + [d for i, d in enumerate(b) if i not in gone[1]]
    for value in operation.results:
        _equal("a result", tuple(result), shape_of(value))


def _dot(module: Module, operation: Operation) -> None:
    a, b = (shape_of(v) for v in operation.operands)
    if a and b and _differ(a[-1], b[0]):
        raise DefinitionError(f"expected as many columns as rows, found {a[-1]} and {b[0]}")


def _transpose(module: Module, operation: Operation) -> None:
    x = shape_of(operation.operands[0])
    perm = _numbers(operation, "permutation") or _numbers(operation, "perms")
    if perm is None and operation.dialect != "tosa" and x:
        perm = _given(operation, "permutation")
    if x is None or perm is None:
        return
    if sorted(perm) != list(range(len(x))):
        raise DefinitionError(f"expected a permutation of {len(x)} axes, found {perm}")
    results = operation.results or operation.operands[1:2]
    for value in results:
        _equal("a result", tuple(x[p] for p in perm), shape_of(value))


def _same_count(module: Module, operation: Operation) -> None:
    shapes = [shape_of(v) for v in (*operation.operands[:1], *operation.results[:1])]
    known = [prod(d for d in s if d is not None) for s in shapes if s is not None and None not in s]
    if len(known) == 2 and known[0] != known[1] and len(operation.results) == 1:
        raise DefinitionError(f"expected a result of as many elements, found {_text(shapes[0])} and {_text(shapes[1])}")


def _broadcast_in_dim(module: Module, operation: Operation) -> None:
    x, out = shape_of(operation.operands[0]), shape_of(operation.results[0]) if operation.results else None
    dims = _numbers(operation, "broadcast_dimensions")
    if x is None or out is None or (dims is None and not x):
        return
    dims = _given(operation, "broadcast_dimensions")
    if len(dims) != len(x):
        raise DefinitionError(f"expected a dimension of the result for each axis of {_text(x)}, found {dims}")
    _axes("dimensions", dims, len(out))
    for size, dim in zip(x, dims, strict=True):
        if size != 1 and _differ(size, out[dim]):
            raise DefinitionError(f"expected 1 or {out[dim]} elements along dimension {dim}, found {size}")


def _concatenate(module: Module, operation: Operation) -> None:
    name = {"stablehlo": "dimension", "mhlo": "dimension", "tosa": "axis"}.get(operation.dialect, "dim")
    axis = (_numbers(operation, name) or [0])[0]
    shapes = [s for s in map(shape_of, operation.operands) if s is not None]
    for shape in shapes:
        _axes("an axis", [axis], len(shape))
        _equal("operands", tuple(None if i == axis else d for i, d in enumerate(shapes[0])),
               tuple(None if i == axis else d for i, d in enumerate(shape)))  # fmt: skip
    sizes = [s[axis] for s in shapes]
    if operation.results and None not in sizes and len(shapes) == len(operation.operands):
        whole = tuple(sum(map(int, sizes)) if i == axis else d for i, d in enumerate(shapes[0]))
        _equal("a result", whole, shape_of(operation.results[0]))


def _slice(module: Module, operation: Operation) -> None:
    x = shape_of(operation.operands[0])
    if x is None:
        return
    rows = [_given(operation, n) for n in ("start_indices", "limit_indices")]
    rows.append(_numbers(operation, "strides") or [1] * len(rows[0]))
    if any(len(row) != len(x) for row in rows):
        raise DefinitionError(f"expected a range for each of the {len(x)} axes, found {len(rows[0])}")
    for axis, (start, limit, step) in enumerate(zip(*rows, strict=True)):
        size = x[axis]
        if not (isinstance(start, int) and isinstance(limit, int) and isinstance(step, int)) or not (
            0 <= start <= limit and step > 0 and (size is None or limit <= size)
        ):
            raise DefinitionError(
                f"expected a range within {size} elements along axis {axis}, found {start}:{limit}:{step}"
            )
    sizes = tuple(-(-(limit - start) // step) for start, limit, step in zip(*rows, strict=True))
    for value in operation.results:
        _equal("a result", sizes, shape_of(value))


def _reduce(module: Module, operation: Operation) -> None:
    x, axes = shape_of(operation.operands[0]), _given(operation, "dimensions")
    if x is None:
        return
    _axes("dimensions", axes, len(x))
    for value in operation.results:
        _equal("a result", tuple(d for i, d in enumerate(x) if i not in axes), shape_of(value))


def _tosa_reduce(module: Module, operation: Operation) -> None:
    x = shape_of(operation.operands[0])
    if x is not None:
        _axes("an axis", _given(operation, "axis"), len(x))


def _select(module: Module, operation: Operation) -> None:
    condition = shape_of(operation.operands[0])
    shapes = [shape_of(v) for v in (*operation.operands[1:], *operation.results)]
    for shape in shapes[1:]:
        _equal("operands and results", shapes[0], shape)
    if condition:
        _equal("a condition", shapes[0], condition)


def _named_axes(module: Module, operation: Operation) -> None:
    """Attributes that name axes of the first operand, or of the result where there is none."""
    x = next((s for v in (*operation.operands, *operation.results) if (s := shape_of(v)) is not None), None)
    found = _numbers(operation, AXES[operation.name])
    if x is not None and found is not None:
        rank = max(len(x), 1) if operation.name != "linalg.broadcast" else len(shape_of(operation.operands[-1]) or ())
        _axes(
            AXES[operation.name].replace("_", " "),
            [a % rank if isinstance(a, int) and -rank <= a < 0 else a for a in found],
            rank,
        )


def _starts(module: Module, operation: Operation) -> None:
    """One start an axis behind the operands of dynamic slices."""
    x = shape_of(operation.operands[0])
    first = 2 if operation.name.endswith("update_slice") else 1
    found = len(operation.operands) - first
    if x is not None and found != len(x):
        raise DefinitionError(f"expected a start for each of the {len(x)} axes, found {found}")


def _grouped(module: Module, operation: Operation) -> None:
    """tensor.collapse_shape and expand_shape: the groups name every axis of the larger side once."""
    _same_count(module, operation)
    groups = operation.attributes.get("reassociation")
    larger = operation.operands[:1] if operation.name.endswith("collapse_shape") else operation.results[:1]
    shape = shape_of(larger[0]) if larger else None
    if not isinstance(groups, tuple) or shape is None or not all(isinstance(g, tuple) for g in groups):
        return
    listed = [a for group in groups for a in group]
    if listed != list(range(len(shape))):
        raise DefinitionError(f"expected groups of the axes 0 to {len(shape) - 1}, found {[list(g) for g in groups]}")


def _contraction(module: Module, operation: Operation) -> None:
    maps = operation.attributes.get("indexing_maps")
    if isinstance(maps, tuple) and all(isinstance(m, AffineMap) for m in maps):
        loops_agree(operation, maps)


def _per_axis(*names: str) -> Callable[[Module, Operation], None]:
    """Attributes with one number an axis of the first operand."""

    def check(module: Module, operation: Operation) -> None:
        x = shape_of(operation.operands[0])
        for name in names if x is not None else ():
            found = _given(operation, name)
            if len(found) != len(x or ()):
                raise DefinitionError(f"expected {name} of {len(x or ())} numbers, one an axis, found {len(found)}")

    return check


def _indexed(first: int) -> Callable[[Module, Operation], None]:
    """One index an axis of the operand that is accessed; ``first`` stands before it."""

    def check(module: Module, operation: Operation) -> None:
        shape = shape_of(operation.operands[first])
        found = len(operation.operands) - first - 1
        if shape is not None and found != len(shape):
            raise DefinitionError(f"expected an index for each of the {len(shape)} axes, found {found}")

    return check


def _mapped(module: Module, operation: Operation) -> None:
    """Affine loads and stores: one index an axis."""
    at = 1 if operation.name.endswith("store") else 0
    map_ = operation.attributes.get("map")
    if len(operation.operands) <= at:
        raise DefinitionError(f"expected a buffer and its indices, found {some(len(operation.operands), 'operand')}")
    shape = shape_of(operation.operands[at])
    if isinstance(map_, AffineMap) and shape is not None and len(map_.results) != len(shape):
        raise DefinitionError(f"expected an index for each of the {len(shape)} axes, found {len(map_.results)}")


def loops_agree(operation: Operation, maps: Sequence[AffineMap]) -> None:
    """Operands that agree on how long each loop is."""
    extents: dict[int, int] = {}
    for map_, value in zip(maps, operation.operands, strict=False):
        shape = shape_of(value)
        if shape is None:
            continue
        if len(map_.results) != len(shape):
            raise DefinitionError(f"expected an index for each of the {len(shape)} axes, found {len(map_.results)}")
        for expression, size in zip(map_.results, shape, strict=True):
            if size is None or not isinstance(expression, tuple) or expression[0] != "d":
                continue
            before = extents.setdefault(expression[1], size)
            if before != size:
                raise DefinitionError(f"expected one extent of loop {expression[1]}, found {before} and {size}")


# Functions


def _call(module: Module, operation: Operation) -> None:
    target = module.lookup(operation.attributes.get("callee"), operation)
    kind = target.function_type if target is not None else None
    if isinstance(kind, FunctionType):
        for side, wanted, found in (
            ("argument", len(kind.inputs), len(operation.operands)),
            ("result", len(kind.results), len(operation.results) or len(kind.results)),
        ):
            if wanted != found:
                raise DefinitionError(
                    f"expected {some(wanted, side)} of @{target.symbol if target else ''}, found {found}"
                )


def _return(module: Module, operation: Operation) -> None:
    parent = operation.parent_op
    kind = parent.function_type if parent is not None else None
    if kind is None:
        return
    if len(kind.results) != len(operation.operands):
        raise DefinitionError(
            f"expected a value for each of the function's {some(len(kind.results), 'result')}, "
            f"found {some(len(operation.operands), 'operand')}"
        )
    for wanted, value in zip(kind.results, operation.operands, strict=True):
        _equal("a value", wanted.shape if isinstance(wanted, SHAPED) else None, shape_of(value))


_HLO: dict[str, Callable[[Module, Operation], None]] = {
    "dot_general": _dot_general, "dot": _dot, "transpose": _transpose, "reshape": _same_count,
    "bitcast": _same_count, "broadcast_in_dim": _broadcast_in_dim, "concatenate": _concatenate, "slice": _slice,
    "reduce": _reduce, "pad": _per_axis("edge_padding_low", "edge_padding_high"),
    "dynamic_slice": _starts, "dynamic_update_slice": _starts, "gather": _per_axis("slice_sizes"),
    "reduce_window": _per_axis("window_dimensions"),
}  # fmt: skip
_SELECTS = ("stablehlo.select", "mhlo.select", "arith.select")
_OTHERS = frozenset((*_SELECTS, "stablehlo.clamp", "mhlo.clamp"))

CHECKS: dict[str, Callable[[Module, Operation], None]] = {
    **{
        name: _alike for name in TENSOR_KINDS
        if name.startswith(("stablehlo.", "mhlo.", "arith.", "math.", "complex.")) and name not in _OTHERS
    },
    **{name: _broadcast for name in TENSOR_KINDS if name.startswith(("chlo.broadcast_", "tosa."))},
    **{f"{dialect}.{name}": check for dialect in ("stablehlo", "mhlo") for name, check in _HLO.items()},
    "tosa.transpose": _transpose, "linalg.transpose": _transpose, "tosa.concat": _concatenate,
    "tensor.concat": _concatenate, "tensor.collapse_shape": _grouped, "tensor.expand_shape": _grouped,
    "tosa.reshape": _same_count,
    **{f"tosa.reduce_{kind}": _tosa_reduce for kind in ("sum", "max", "min", "prod", "product", "all", "any")},
    "tosa.argmax": _tosa_reduce, "memref.load": _indexed(0), "memref.store": _indexed(1), "tensor.extract": _indexed(0),
    "tensor.insert": _indexed(1), "affine.load": _mapped, "affine.store": _mapped, "func.call": _call,
    "func.return": _return, "vector.contract": _contraction, **dict.fromkeys(_SELECTS, _select),
    **dict.fromkeys(AXES, _named_axes),
}  # fmt: skip
"""What is looked at beyond the number of operands, by the operation's name."""

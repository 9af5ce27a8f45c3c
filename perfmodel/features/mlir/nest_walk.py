"""One pass over a nest of loops, or over a kernel: what it computes, loads and stores in all of its iterations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel.dtypes import element_bytes
from perfmodel.features.mlir import instructions, trips
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.element_types import _scalar as scalar_dtype
from perfmodel.features.mlir.generic_products import uncast
from perfmodel.features.mlir.indices import Access, Indices, Linear, Loop
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS
from perfmodel.features.mlir.rules import IGNORED, TERMINATORS
from perfmodel.features.mlir.scalar_code import (
    BRANCHES,
    DIALECTS,
    FREE,
    FUNCTIONS,
    LOADS,
    LOOPS,
    POINTER_LOADS,
    POINTER_STORES,
    STORES,
    is_kernel_code,
)
from perfmodel.features.mlir.types import MemRefType, ScalarType, TensorType, VectorType
from perfmodel.features.onnx.rules_elementwise import share

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

_MAX_STEPS = 64
_ADDRESSES = frozenset(
    "llvm.getelementptr llvm.addrspacecast llvm.bitcast tt.addptr tt.splat tt.broadcast tt.expand_dims tt.reshape "
    "tt.make_tensor_ptr tt.advance tt.bitcast".split()
)
"""Operations that make an address from another one, their first operand."""

_MAX_CALLS = 16
"""Functions of scalars that call each other."""


@dataclass
class Work:
    """What a nest does in all of its iterations.

    Attributes:
        arithmetic: executions (times elements of vectors) by kind and dtype.
        loads, stores: accesses by buffer.
        products: multiplications and additions of matrix instructions: (m, n, k, executions, dtype of A, dtype of C).
        instructions: executions by operation, counted once a thread or warp.
        multiplied: operands of the products of scalars or vectors that are summed.
        pointers: (bytes read, bytes written, dtype) through each pointer: each access counts, since nothing says which meet.
    """

    arithmetic: dict[tuple[str, str], Any] = field(default_factory=dict)
    loads: dict[Value, list[Access]] = field(default_factory=dict)
    stores: dict[Value, list[Access]] = field(default_factory=dict)
    products: list[tuple[Any, Any, Any, Any, str, str]] = field(default_factory=list)
    instructions: dict[str, Any] = field(default_factory=dict)
    multiplied: list[tuple[Value, Value]] = field(default_factory=list)
    pointers: dict[Value, tuple[Any, Any, str]] = field(default_factory=dict)


class Walk:
    """One pass over a nest.

    Args:
        convert: the conversion, for what is known outside of the nest.
        threads: how many threads execute what is outside of all loops; 1 outside of GPU kernels.
    """

    def __init__(self, convert: Conversion, *, threads: Any = 1) -> None:
        self.convert = convert
        self.threads = threads
        self.work: Work = Work()
        self.indices: Indices = Indices(self._outside)
        self.aliases: dict[Value, Value] = {}
        self.aliases_of_arguments: dict[Value, Value] = {}
        self.unknown: list[Operation] = []
        self.uncovered: dict[str, Any] = {}
        self._depth = 0

    def _outside(self, value: Value) -> Any:
        known = self.convert.env.get(value)
        return None if known is None else known.number

    def block(self, block: Block, runs: Any) -> None:
        """All operations of a block, each executed ``runs`` times."""
        for operation in block.operations:
            self.operation(operation, runs)

    def operation(self, operation: Operation, runs: Any) -> None:
        """One operation."""
        name = operation.name
        if name in LOOPS:
            self._loop(operation, runs)
        elif name == "tt.reduce":
            self._reduced(operation, runs)
        elif name in ("func.call", "llvm.call"):
            self._called(operation, runs)
        elif name in POINTER_LOADS or name in POINTER_STORES:
            self._through_pointer(operation, runs)
        elif name == "scf.while":
            self._while(operation, runs)
        elif name in BRANCHES:
            self._branches(operation, runs)
        elif name in LOADS:
            self._access(operation, operation.operands[0], 1, self.work.loads, runs)
        elif name in STORES:
            self._store(operation, runs)
        elif name in (
            "memref.subview",
            "memref.cast",
            "memref.reinterpret_cast",
            "memref.collapse_shape",
            "memref.expand_shape",
        ):
            self.aliases[operation.results[0]] = self.buffer(operation.operands[0])
        else:
            self._compute(operation, runs)

    def _reduced(self, operation: Operation, runs: Any) -> None:
        """tt.reduce: its body once an element."""
        body = operation.body
        for value in operation.operands[:1]:
            times = runs * instructions.width(value)
            for inner in body.operations if body is not None else ():
                self._compute(inner, times)

    def _called(self, operation: Operation, runs: Any) -> None:
        """A call of a function of scalars: its body runs here."""
        callee = operation.attributes.get("callee")
        function = self.convert.module.lookup(callee, operation) if callee is not None else None
        body = function.body if function is not None else None
        if body is None or self._depth >= _MAX_CALLS or not is_kernel_code(body):
            self.uncovered[operation.name] = runs
            return
        self._depth += 1
        self.block(body, runs)
        self._depth -= 1

    def _while(self, operation: Operation, runs: Any) -> None:
        """scf.while: as often as its counter says, which is a variable of the nest like those of other loops."""
        blocks = [b for region in operation.regions for b in region.blocks]
        found = trips.counter(self.convert, operation, *blocks) if len(blocks) == 2 else None
        given = self.convert.dims.given.get(self.convert.dims.loop(self.convert.name_of(operation, used=False)))
        extent = given if given is not None or found is None else found.trips
        if extent is None:
            self.unknown.append(operation)
            extent = 1
        if found is not None:
            carried = [b.arguments[found.number] for b in blocks if found.number < len(b.arguments)]
            self.indices.loops.update(dict.fromkeys(carried, Loop(extent, found.start, found.step)))
        for block in blocks:
            self.block(block, runs * extent)

    def _loop(self, operation: Operation, runs: Any) -> None:
        body = operation.body
        if body is None:
            return
        values = {v: n for v in operation.operands if (n := self.indices.number(v)) is not None}
        bounds = trips.ranges(self.convert, operation, values)
        extents = trips.extents(self.convert, operation, values)
        name = self.convert.dims.loop(self.convert.name_of(operation, used=False))
        for variable, extent, (start, _, step) in zip(body.arguments, extents, bounds, strict=False):
            if extent is None:
                extent = self.convert.dims.given.get(name)
                if extent is None:
                    self.unknown.append(operation)
                    extent = 1
            moving = self.indices.moving(operation, start, step) if len(bounds) == 1 else None
            loop = self.indices.loops[variable] = moving or Loop(extent, start, step)
            runs = runs * loop.extent
        self.indices.tile(operation, body.arguments)
        if not bounds:
            self.unknown.append(operation)
        self.block(body, runs)

    def _branches(self, operation: Operation, runs: Any) -> None:
        """The longest branch: a condition on data may hold each time."""
        blocks = [b for region in operation.regions for b in region.blocks]
        if len(blocks) < 2:
            for block in blocks:
                self.block(block, runs)
        else:
            self.block(max(blocks, key=lambda b: sum(1 for o in b.operations for _ in o.walk())), runs)

    def buffer(self, value: Value) -> Value:
        """The buffer that a view is a part of."""
        for _ in range(64):
            if value not in self.aliases:
                return value
            value = self.aliases[value]
        return value

    def _store(self, operation: Operation, runs: Any) -> None:
        # (value, buffer, indices) but for transfer_write and store_matrix, which are the same in that.
        index = next((i for i, v in enumerate(operation.operands) if isinstance(v.type, MemRefType)), None)
        if index is not None:
            self._access(operation, operation.operands[index], index + 1, self.work.stores, runs)
            if operation.name == "memref.atomic_rmw":
                self._count("add", self._dtype(operation.operands[0]), runs)

    def _through_pointer(self, operation: Operation, runs: Any) -> None:
        """A load or store by address."""
        self._instruction(operation.name, runs)
        is_store = operation.name in POINTER_STORES
        operands = operation.operands
        at = next((i for i, v in enumerate(operands) if "ptr" in str(v.type)), len(operands) - 1)
        moved = operation.results[0] if operation.results else operands[0 if at else 1]
        pointer = operands[at]
        for _ in range(_MAX_STEPS):
            made = pointer.operation
            if made is None or made.name not in _ADDRESSES:
                break
            pointer = made.operands[0]
        if pointer.operation is not None and pointer.operation.name == "llvm.alloca":
            return  # registers or the stack
        dtype = self._dtype(moved) if operation.name.startswith("llvm.") else _pointed(operands[at])
        moved_bytes = runs * instructions.width(moved) * element_bytes(dtype)
        read, written, _ = self.work.pointers.get(pointer, (0, 0, dtype))
        if is_store:
            written = written + moved_bytes
        if not is_store or "atomic" in operation.name:
            read = read + moved_bytes
        self.work.pointers[pointer] = (read, written, dtype)

    def _access(
        self, operation: Operation, buffer: Value, first: int, into: dict[Value, list[Access]], runs: Any
    ) -> None:
        kind = buffer.type
        self._instruction(operation.name, runs)
        if not isinstance(kind, MemRefType):
            return
        rank = len(kind.shape or ())
        map_ = operation.attributes.get("map")
        forms: Sequence[Linear | None]
        operands = operation.operands[first:]
        if isinstance(map_, AffineMap):
            forms = self.indices.through(map_, operands[: map_.num_dims + map_.num_symbols])
        else:
            forms = [self.indices.form(v) for v in operands[:rank]]
        shape: tuple[Any, ...] = ()
        vector = next(
            (v.type for v in (*operation.results, *operation.operands) if isinstance(v.type, VectorType)), None
        )
        if vector is not None:
            shape = tuple(vector.shape)
        fragment = instructions.fragment(operation)
        if fragment is not None:
            shape = fragment
        is_alias = buffer in self.aliases
        source = self.buffer(buffer)
        if is_alias and isinstance(source.type, MemRefType):
            # A part of a buffer at a place of its own: the same elements of the part each time count once a place.
            forms = [None] * len(source.type.shape or ())
        into.setdefault(source, []).append(Access(tuple(forms[:rank] if not is_alias else forms), shape, runs))

    def _compute(self, operation: Operation, runs: Any) -> None:
        name = operation.name
        found = instructions.product(operation)
        if found is not None:
            m, n, k, a, c, per_warp = found
            warps = self._warps(runs) if per_warp else runs
            self._instruction(name, warps)
            self.work.products.append((m, n, k, warps, a, c))
            return
        kind = SCALAR_KINDS.get(name) or instructions.KINDS.get(name)
        if kind is None and _must_be_known(operation):
            self.uncovered[name] = runs
            return
        if kind is None or kind in ("cast", "copy") or not operation.results:
            return
        result = operation.results[0]
        if self.indices.form(result) is not None or _is_index(result):
            return
        kind_of_operand = operation.operands[0] if kind == "compare" and operation.operands else result
        if _is_index(kind_of_operand):
            return
        if isinstance(result.type, TensorType) and not _is_float(kind_of_operand.type):
            return  # positions and masks of Triton's blocks
        elements = instructions.lanes(operation)
        self._instruction(name, runs)
        self._count(kind, self._dtype(kind_of_operand), runs * elements)
        if kind in ("add", "mul+add"):
            self._note_product(operation, kind)

    def _warps(self, runs: Any) -> Any:
        return runs if self.threads == 1 else share(runs, instructions.WARP)

    def _note_product(self, operation: Operation, kind: str) -> None:
        if kind == "mul+add":
            self.work.multiplied.append((uncast(operation.operands[0]), uncast(operation.operands[1])))
            return
        for value in operation.operands:
            inner = uncast(value).operation
            if inner is not None and SCALAR_KINDS.get(inner.name) == "mul":
                self.work.multiplied.append((uncast(inner.operands[0]), uncast(inner.operands[1])))

    def _dtype(self, value: Value) -> str:
        found = self.convert.typed(value.type)
        return "fp32" if found is None else found[1]

    def _count(self, kind: str, dtype: str, times: Any) -> None:
        key = (kind, dtype)
        self.work.arithmetic[key] = self.work.arithmetic.get(key, 0) + times

    def _instruction(self, name: str, times: Any) -> None:
        self.work.instructions[name] = self.work.instructions.get(name, 0) + times


_POINTED = re.compile(r"!tt\.ptr<(?:tensor<[0-9x]*)?(\w+)")


def _pointed(pointer: Value) -> str:
    """The dtype behind Triton's pointers."""
    match = _POINTED.search(str(pointer.type))
    return (scalar_dtype(match[1]) if match is not None else None) or "fp32"


def _must_be_known(operation: Operation) -> bool:
    """Whether an operation without a rule computes something: it must not pass for registers."""
    name = operation.name
    if name in TERMINATORS or name in IGNORED or (operation.results and _is_index(operation.results[0])):
        return False
    if operation.dialect not in DIALECTS:
        return True
    return (
        operation.dialect in FUNCTIONS
        and bool(operation.results)
        and name not in FREE
        and not name.endswith(".constant")
    )


def _is_float(kind: Any) -> bool:
    element = getattr(kind, "element", kind)
    return not isinstance(element, ScalarType) or not re.fullmatch(r"[su]?i[0-9]+|index", element.name)


def _is_index(value: Value) -> bool:
    kind = value.type
    return isinstance(kind, ScalarType) and kind.name == "index"

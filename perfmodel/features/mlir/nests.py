"""Loop nests over buffers (affine, scf, vector): what they multiply, and what they read and write.

A nest is one kernel. Where its arithmetic is one sum of products of two buffers it is a GEMM or a convolution, by which
loops each buffer's indices depend on; any other nest counts its arithmetic as often as it runs, and each buffer's distinct
elements once. Arithmetic on indices costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.mlir import instructions, trips
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.indices import Access, Indices, Linear, Loop, distinct
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS
from perfmodel.features.mlir.known import Known, Origin
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
from perfmodel.features.mlir.types import MemRefType, ScalarType, VectorType
from perfmodel.features.onnx.rules_elementwise import share
from perfmodel.graph import Removed, Tensor

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

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
        self.work = Work()
        self.indices = Indices(self._outside)
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
        elif name in ("func.call", "llvm.call"):
            self._called(operation, runs)
        elif name in POINTER_LOADS or name in POINTER_STORES:
            self._through_pointer(operation, runs)
        elif name == "scf.while":
            self._branches(operation, self._unbounded(operation, runs))
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

    def _unbounded(self, operation: Operation, runs: Any) -> Any:
        self.unknown.append(operation)
        return runs

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
        if operation.name == "scf.while" or len(blocks) < 2:
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
        at = next((i for i, v in enumerate(operation.operands) if str(v.type).startswith("!llvm.ptr")), None)
        moved = operation.results[0] if operation.results else operation.operands[0]
        if at is None or (
            is_store and operation.name != "llvm.atomicrmw" and moved is operation.operands[at] and at == 0
        ):
            moved = operation.operands[0]
        pointer = operation.operands[at if at is not None else -1]
        for _ in range(64):
            made = pointer.operation
            if made is None or made.name not in ("llvm.getelementptr", "llvm.addrspacecast", "llvm.bitcast"):
                break
            pointer = made.operands[0]
        if pointer.operation is not None and pointer.operation.name == "llvm.alloca":
            return  # registers or the stack
        dtype = self._dtype(moved)
        moved_bytes = runs * instructions.width(moved) * element_bytes(dtype)
        read, written, _ = self.work.pointers.get(pointer, (0, 0, dtype))
        if is_store:
            written = written + moved_bytes
        if not is_store or operation.name == "llvm.atomicrmw":
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
        elements = instructions.lanes(operation)
        self._instruction(name, runs)
        self._count(kind, self._dtype(kind_of_operand), runs * elements)
        if kind in ("add", "mul+add"):
            self._note_product(operation, kind)

    def _warps(self, runs: Any) -> Any:
        return runs if self.threads == 1 else share(runs, instructions.WARP)

    def _note_product(self, operation: Operation, kind: str) -> None:
        if kind == "mul+add":
            self.work.multiplied.append((_uncast(operation.operands[0]), _uncast(operation.operands[1])))
            return
        for value in operation.operands:
            inner = _uncast(value).operation
            if inner is not None and SCALAR_KINDS.get(inner.name) == "mul":
                self.work.multiplied.append((_uncast(inner.operands[0]), _uncast(inner.operands[1])))

    def _dtype(self, value: Value) -> str:
        found = self.convert.typed(value.type)
        return "fp32" if found is None else found[1]

    def _count(self, kind: str, dtype: str, times: Any) -> None:
        key = (kind, dtype)
        self.work.arithmetic[key] = self.work.arithmetic.get(key, 0) + times

    def _instruction(self, name: str, times: Any) -> None:
        self.work.instructions[name] = self.work.instructions.get(name, 0) + times


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


def _is_index(value: Value) -> bool:
    kind = value.type
    return isinstance(kind, ScalarType) and kind.name == "index"


def _uncast(value: Value) -> Value:
    while (operation := value.operation) is not None and SCALAR_KINDS.get(operation.name) == "cast":
        value = operation.operands[0]
    return value


def describe(convert: Conversion, operation: Operation) -> None:
    """The kernel of one nest."""
    walk = Walk(convert)
    walk.operation(operation, 1)
    emit(convert, operation, walk)


def describe_blocks(convert: Conversion, operation: Operation, blocks: Sequence[Block]) -> None:
    """The kernel of a function that is scalar or vector code as a whole."""
    walk = Walk(convert)
    for block in blocks:
        walk.block(block, 1)
    emit(convert, operation, walk)


def statement(convert: Conversion, operation: Operation) -> None:
    """A load, a store or a vector operation between tensor code: registers, which cost nothing by themselves."""
    walk = Walk(convert)
    walk.operation(operation, 1)
    for value in operation.results:
        convert.env[value] = Known(origin=Origin.HOST)
    if walk.work.products or walk.work.stores:
        emit(convert, operation, walk)
    else:
        convert.removed.append(Removed(convert.name_of(operation), operation.name, "registers alone"))


def emit(convert: Conversion, operation: Operation, walk: Walk) -> None:
    """Add the node of a nest."""
    from perfmodel.features.mlir import nest_products

    for value in operation.results:
        convert.env[value] = Known(origin=Origin.HOST)
    for loop in walk.unknown:
        name = convert.name_of(loop, used=False)
        convert.note(
            f"{loop.name}: how often its body runs depends on data; counted once: --dim {convert.dims.loop(name)}=N counts "
            "it N times",
            name,
        )
    reads = _traffic(convert, walk, walk.work.loads)
    writes = _traffic(convert, walk, walk.work.stores)
    for pointer, (read, written, dtype) in walk.work.pointers.items():
        if not (isinstance(read, int) and read == 0):
            reads[pointer] = (read, dtype)
        if not (isinstance(written, int) and written == 0):
            writes[pointer] = (written, dtype)
    attributes: dict[str, Any] = {"instructions": dict(walk.work.instructions)}
    answer = nest_products.product_of(convert, walk)
    if answer is not None:
        op, fused = answer.op, answer.fused
        attributes |= answer.attributes
        extra = sum(b for v, (b, _) in reads.items() if v not in answer.operands)
    else:
        described = _described(walk, reads, writes)
        if described is None:
            convert.removed.append(
                Removed(convert.name_of(operation), operation.name, "it computes and stores nothing")
            )
            return
        op, fused, extra = *described, 0
    if walk.uncovered and answer is None:
        op = ops.Unmodelled(
            kind=f"{operation.name} of {', '.join(sorted(walk.uncovered))}", read=sum(b for b, _ in reads.values()),
            written=sum(b for b, _ in writes.values()), dtype=op.dtype,
        )  # fmt: skip
        fused, extra = (), 0
    if walk.uncovered:
        counted = "counted as memory traffic only" if answer is None else "the product alone is counted"
        convert.note(
            f"{operation.name}: it has {', '.join(sorted(walk.uncovered))}, which no rule covers: {counted}",
            convert.name_of(operation, used=False),
        )
    inputs = [t.name for v in reads if (t := _tensor(convert, v)) is not None]
    if answer is not None:
        first = [t.name for v in answer.operands if (t := _tensor(convert, v)) is not None]
        inputs = [*first, *(n for n in inputs if n not in first)]
    outputs = [
        convert.overwrite(walk.aliases_of_arguments.get(v, v), t).name
        for v in writes
        if (t := _tensor(convert, v)) is not None
    ]
    convert.add(operation, op, tuple(inputs), tuple(outputs), attributes, fused, extra)


def _tensor(convert: Conversion, value: Value) -> Tensor | None:
    known = convert.known(value)
    convert.full(known)
    return known.tensor


def _traffic(convert: Conversion, walk: Walk, accesses: dict[Value, list[Access]]) -> dict[Value, tuple[Any, str]]:
    """Distinct bytes of each buffer in memory, and its dtype."""
    found: dict[Value, tuple[Any, str]] = {}
    for value, group in accesses.items():
        if instructions.is_on_chip(value):
            continue
        tensor = _tensor(convert, value)
        if tensor is None or tensor.shape is None:
            continue
        count = distinct(group, tensor.shape, walk.indices.loops)
        found[value] = (count * element_bytes(tensor.dtype), tensor.dtype)
    return found


def _described(
    walk: Walk, reads: dict[Value, tuple[Any, str]], writes: dict[Value, tuple[Any, str]]
) -> tuple[ops.Operator, tuple[ops.Operator, ...]] | None:
    """The descriptor of a nest that is no product: the function that runs most often, and the others as its parts."""
    read = sum(b for b, _ in reads.values())
    written = sum(b for b, _ in writes.values())
    parts = [(kind, dtype, times) for (kind, dtype), times in walk.work.arithmetic.items()]
    if not parts:
        if not writes and not reads:
            return None
        dtype = next((d for _, d in (*writes.values(), *reads.values())), "fp32")
        width = element_bytes(dtype)
        return ops.Copy(kind="move", elements=share(written, width), read_elements=share(read, width), dtype=dtype), ()
    parts.sort(key=lambda p: float(p[2]) if isinstance(p[2], (int, float)) else 0.0, reverse=True)
    kind, dtype, times = parts[0]
    width = element_bytes(dtype)
    op = ops.Elementwise(
        kind=kind, elements=times, input_elements=share(read, width), outputs=share(share(written, width), times),
        dtype=dtype,
    )  # fmt: skip
    return op, tuple(ops.Elementwise(kind=k, elements=n, inputs=0, dtype=d) for k, d, n in parts[1:])

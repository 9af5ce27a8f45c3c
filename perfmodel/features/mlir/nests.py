"""Loop nests over buffers (affine, scf, vector): what they multiply, and what they read and write.

A nest is one kernel. Where its arithmetic is one sum of products of two buffers it is a GEMM or a convolution, by which
loops each buffer's indices depend on; any other nest counts its arithmetic as often as it runs, and each buffer's distinct
elements once. Arithmetic on indices costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.mlir import instructions
from perfmodel.features.mlir.indices import Access, distinct
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.known import Known, Origin
from perfmodel.features.mlir.nest_walk import Walk
from perfmodel.features.onnx.rules_elementwise import share
from perfmodel.graph import Removed, Tensor

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion


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
    op: ops.Operator
    if answer is not None:
        op, fused = answer.op, answer.fused
        attributes |= answer.attributes
        extra = sum(b for v, (b, _) in reads.items() if v not in answer.operands)
        extra = extra + answer.extra_bytes(convert, {v: b for v, (b, _) in reads.items()})
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
